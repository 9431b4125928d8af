"""A Flask application that people log into with OpenID Connect, by Authlib. All it knows of the provider stands in its environment."""

import os
import secrets

from authlib.integrations.flask_client import OAuth, OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from flask import Flask, redirect, render_template_string, session, url_for
from joserfc.jwk import ECKey

PAGE = """<!doctype html>
<title>Flask</title>
{% if error %}<p id="error">{{ error }}</p>{% endif %}
{% if user %}
<p>Hello, <b id="user">{{ user.name }}</b>!</p>
<dl id="claims">{% for name, value in user.items() %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>
<a id="logout" href="{{ url_for('logout') }}">Log out</a>
{% else %}
<a id="login" href="{{ url_for('login') }}">Log in</a>
{% endif %}"""

app = Flask(__name__)
# Sessions end with the process, unless the key is given.
app.secret_key = os.environ.get("SESSION_KEY") or secrets.token_hex()

if private_key := os.environ.get("OIDC_CLIENT_PRIVATE_KEY"):
    # tokenEndpointAuthMethod: private_key_jwt. `kid` tells the provider which key it is, while it knows two.
    auth = PrivateKeyJWT(alg="ES256", headers={"kid": os.environ["OIDC_CLIENT_KEY_ID"]})
    credentials = {"client_secret": ECKey.import_key(private_key), "client_auth_methods": [auth]}
    auth_method = auth.name
else:
    credentials = {"client_secret": os.environ["OIDC_CLIENT_SECRET"]}
    auth_method = "client_secret_basic"

oauth = OAuth(app)
oauth.register(
    "oidc",
    client_id=os.environ["OIDC_CLIENT_ID"],
    **credentials,
    server_metadata_url=os.environ["OIDC_DISCOVERY_URL"],
    client_kwargs={
        "scope": os.environ["OIDC_SCOPES"],
        "token_endpoint_auth_method": auth_method,
        "code_challenge_method": "S256",
        # The provider's CA and no other; without one, those that requests brings.
        "verify": os.environ.get("OIDC_CA_FILE", True),
        "default_timeout": 10,
    },
)


@app.get("/")
def home():
    return render_template_string(PAGE, user=session.get("user"))


@app.get("/login")
def login():
    return oauth.oidc.authorize_redirect(url_for("callback", _external=True))


@app.get("/auth/callback")
def callback():
    # Fetches the tokens and checks the ID token: signature, issuer, audience, nonce, expiry.
    token = oauth.oidc.authorize_access_token()
    session["user"] = token["userinfo"]
    return redirect(url_for("home"))


@app.get("/logout")
def logout():
    session.clear()
    return redirect(url_for("home"))


@app.errorhandler(OAuthError)
def refused(error):
    app.logger.error("login refused: %s", error)
    return render_template_string(PAGE, error=str(error)), 502
