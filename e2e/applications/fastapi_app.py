"""A FastAPI application that people log into with OpenID Connect, by Authlib. All it knows of the provider stands in its environment."""

import logging
import os
import secrets
import ssl
from html import escape

from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.middleware.sessions import SessionMiddleware

app = FastAPI()
# Sessions end with the process, unless the key is given.
app.add_middleware(SessionMiddleware, secret_key=os.environ.get("SESSION_KEY") or secrets.token_hex(), https_only=True)

oauth = OAuth()
oauth.register(
    "oidc",
    client_id=os.environ["OIDC_CLIENT_ID"],
    client_secret=os.environ["OIDC_CLIENT_SECRET"],
    server_metadata_url=os.environ["OIDC_DISCOVERY_URL"],
    client_kwargs={
        "scope": os.environ["OIDC_SCOPES"],
        "code_challenge_method": "S256",
        # The provider's CA and no other; without one, those of the system.
        "verify": ssl.create_default_context(cafile=os.environ.get("OIDC_CA_FILE")),
        "timeout": 10,
    },
)


def page(body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(f"<!doctype html><title>FastAPI</title>{body}", status)


@app.get("/")
async def home(request: Request):
    user = request.session.get("user")
    if not user:
        return page('<a id="login" href="/login">Log in</a>')
    claims = "".join(f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in user.items())
    return page(
        f'<p>Hello, <b id="user">{escape(user["name"])}</b>!</p><dl id="claims">{claims}</dl><a id="logout" href="/logout">Log out</a>'
    )


@app.get("/login")
async def login(request: Request):
    return await oauth.oidc.authorize_redirect(request, request.url_for("callback"))


@app.get("/auth/callback")
async def callback(request: Request):
    # Fetches the tokens and checks the ID token: signature, issuer, audience, nonce, expiry.
    token = await oauth.oidc.authorize_access_token(request)
    request.session["user"] = dict(token["userinfo"])
    return RedirectResponse("/")


@app.get("/logout")
async def logout(request: Request):
    request.session.clear()
    return RedirectResponse("/")


@app.exception_handler(OAuthError)
async def refused(request: Request, error: OAuthError):
    logging.getLogger("uvicorn.error").error("login refused: %s", error)
    return page(f'<p id="error">{escape(str(error))}</p>', 502)
