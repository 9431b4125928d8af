//! Proof that a client's credentials work, without a user: a token request with a code that nobody issued.
//!
//! RFC 6749, section 3.2.1: the token endpoint authenticates the client before it looks at the grant. Good credentials
//! therefore end in `invalid_grant`, bad ones in `invalid_client` (section 5.2). Measured: Dex 400 `invalid_grant`
//! against 401 `invalid_client`; authentik 400 and 400; Keycloak 400 `invalid_grant` against 401 `unauthorized_client`.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Credentials,
    http::{Answer, HttpClient, client_secret_basic},
};
use crate::domain::{ClientSecret, Endpoints, PrivateKey, Proof, TokenEndpointAuthMethod};

/// A code that no server issues; its text tells whoever finds it in a log where it came from.
const INVALID_CODE: &str = "oidc-operator-credential-proof";

/// RFC 7523, section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Seconds that an assertion is good for: some servers take none that lasts longer (Keycloak).
const ASSERTION_LASTS: i64 = 60;

/// Tries `credentials` at the token endpoint.
pub async fn by_invalid_code(http: &HttpClient, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
    match post(http, credentials, &endpoints.token, invalid_code(credentials)).await {
        Ok(answer) => judge(answer.status, answer.body.as_bytes()),
        Err(proof) => proof,
    }
}

fn invalid_code<'a>(credentials: &Credentials<'a>) -> Vec<(&'a str, &'a str)> {
    let mut form = vec![("grant_type", "authorization_code"), ("code", INVALID_CODE)];
    form.extend(credentials.redirect_uri.map(|uri| ("redirect_uri", uri)));
    form
}

/// Tries `credentials` at a revocation endpoint (RFC 7009, section 2.1: it authenticates the client first, and section 2.2: a
/// token that it does not know is no error). For issuers whose token endpoint answers `invalid_grant` to bad credentials, too,
/// where a client may not use the grant (authentik).
pub async fn by_revocation(http: &HttpClient, credentials: &Credentials<'_>, endpoint: &str) -> Proof {
    match post(http, credentials, endpoint, vec![("token", INVALID_CODE)]).await {
        Ok(answer) if answer.status == 200 => Proof::Proven,
        Ok(answer) => match judge(answer.status, answer.body.as_bytes()) {
            Proof::Disproven => Proof::Disproven,
            _ => Proof::Unknown(format!("the revocation endpoint answered {}", answer.status)),
        },
        Err(proof) => proof,
    }
}

/// Tries `credentials` at a server of which nothing is known. Success proves, `invalid_client` disproves, and nothing else says
/// anything: there are servers that answer `invalid_grant` to bad credentials, too.
///
/// Success is to be had at the revocation endpoint, if there is one; else only a disproof is.
pub async fn of_unknown_server(http: &HttpClient, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
    if let Some(revocation) = &endpoints.revocation
        && let proof @ (Proof::Proven | Proof::Disproven) = by_revocation(http, credentials, revocation).await
    {
        return proof;
    }
    let form = invalid_code(credentials);
    match post(http, credentials, &endpoints.token, form).await {
        Ok(answer) => judge_strictly(answer.status, answer.body.as_bytes()),
        Err(proof) => proof,
    }
}

/// A form with the credentials, sent as the application sends them.
///
/// # Errors
/// [`Proof::Unknown`] where it could not be sent, or there are no credentials to send.
pub(crate) async fn post<'a>(
    http: &HttpClient,
    credentials: &Credentials<'a>,
    endpoint: &str,
    form: Vec<(&'a str, &'a str)>,
) -> Result<Answer, Proof> {
    let secret = credentials.secret.expose();
    let assertion;
    let mut form: Vec<(&str, &str)> = form;
    let basic = match credentials.method {
        TokenEndpointAuthMethod::ClientSecretBasic => true,
        TokenEndpointAuthMethod::ClientSecretPost => {
            form.extend([("client_id", credentials.client_id), ("client_secret", secret)]);
            false
        }
        TokenEndpointAuthMethod::PrivateKeyJwt => {
            assertion = self::assertion(credentials, Timestamp::now())?;
            // RFC 7523, section 2.2; the client's ID is optional there, and some servers want it.
            form.extend([
                ("client_id", credentials.client_id),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
            ]);
            false
        }
        TokenEndpointAuthMethod::None => {
            return Err(Proof::Unknown("a public client has no credentials to prove".to_owned()));
        }
    };
    let authenticate = |request| {
        if basic {
            client_secret_basic(request, credentials.client_id, secret)
        } else {
            request
        }
    };
    let answer = http.post_form("credential proof", endpoint, &form, authenticate).await;
    answer.map_err(|error| Proof::Unknown(error.message))
}

/// The client's assertion (RFC 7523, section 3; OpenID Connect Core, section 9): good for one request, now.
fn assertion(credentials: &Credentials<'_>, now: Timestamp) -> Result<String, Proof> {
    let Some(key) = PrivateKey::of(credentials.secret) else {
        return Err(Proof::Unknown(
            "there is no private key to sign an assertion with".to_owned(),
        ));
    };
    let now = now.as_second();
    let claims = json!({
        "iss": credentials.client_id,
        "sub": credentials.client_id,
        "aud": credentials.audience,
        "jti": ClientSecret::generate().expose(),
        "iat": now,
        "exp": now + ASSERTION_LASTS,
    });
    key.sign(&claims).map_err(|error| Proof::Unknown(error.to_string()))
}

/// What an answer to the invalid code proves.
///
/// Only an OAuth error counts as a disproof: a bare 401 or 403 may come from whatever stands before the issuer, and a
/// wrong disproof would have a good secret replaced.
pub fn judge(status: u16, body: &[u8]) -> Proof {
    match (status, error_of(body).as_deref()) {
        (400 | 401 | 403, Some("invalid_client" | "unauthorized_client")) => Proof::Disproven,
        (400, Some("invalid_grant")) => Proof::Proven,
        (
            _,
            Some(
                known @ ("invalid_request"
                | "unsupported_grant_type"
                | "invalid_scope"
                | "server_error"
                | "temporarily_unavailable"),
            ),
        ) => Proof::Unknown(format!("the token endpoint answered {status} {known}")),
        (200..=299, _) => Proof::Unknown("the token endpoint accepted a code that nobody issued".to_owned()),
        (401 | 403, _) => Proof::Unknown(format!(
            "the token endpoint answered {status} without an OAuth error: does something before the issuer ask for credentials?"
        )),
        (300..=399, _) => Proof::Unknown(format!(
            "the token endpoint redirects ({status}), which is not followed"
        )),
        _ => Proof::Unknown(format!("the token endpoint answered {status}")),
    }
}

/// The same of a server of which nothing is known. `unauthorized_client` is for clients that did authenticate (RFC 6749, section
/// 5.2), but with 401, which is for those that did not, it means the same as `invalid_client` (Keycloak).
fn judge_strictly(status: u16, body: &[u8]) -> Proof {
    match (judge(status, body), error_of(body).as_deref()) {
        (Proof::Disproven, Some("unauthorized_client")) if status != 401 => {
            Proof::Undecided(format!("the token endpoint answered {status} unauthorized_client"))
        }
        (Proof::Proven, _) => Proof::Undecided(
            "the token endpoint refused a code that nobody issued, before or after it looked at the secret".to_owned(),
        ),
        // Whatever it is that a server answers to an application's mistake, it answers again.
        (Proof::Unknown(why), _) if (400..500).contains(&status) && status != 429 => Proof::Undecided(why),
        (proof, _) => proof,
    }
}

/// RFC 6749, section 5.2. The description is foreign text and not read.
fn error_of(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct OAuthError {
        error: String,
    }
    serde_json::from_slice(body).ok().map(|OAuthError { error }| error)
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;

    fn with(status: u16, error: &str) -> Proof {
        judge(
            status,
            format!("{{\"error\":\"{error}\",\"error_description\":\"hunter2\"}}").as_bytes(),
        )
    }

    #[test]
    fn what_each_server_answers() {
        assert_eq!(with(400, "invalid_grant"), Proof::Proven, "Dex, Keycloak, authentik");
        assert_eq!(with(401, "invalid_client"), Proof::Disproven, "Dex");
        assert_eq!(with(401, "unauthorized_client"), Proof::Disproven, "Keycloak");
        assert_eq!(with(400, "invalid_client"), Proof::Disproven, "authentik");
    }

    #[test]
    fn of_a_server_of_which_nothing_is_known_success_alone_proves() {
        let with = |status, error: &str| judge_strictly(status, format!(r#"{{"error":"{error}"}}"#).as_bytes());
        assert_eq!(with(401, "invalid_client"), Proof::Disproven);
        assert_eq!(with(400, "invalid_client"), Proof::Disproven, "Google");
        assert_eq!(with(401, "unauthorized_client"), Proof::Disproven, "Keycloak");
        for undecided in [
            with(400, "invalid_grant"),
            with(400, "unauthorized_client"),
            with(400, "invalid_request"),
            judge_strictly(403, b"<html>"),
        ] {
            assert!(matches!(undecided, Proof::Undecided(_)), "{undecided:?}");
        }
        for unknown in [
            with(429, "slow_down"),
            with(503, "server_error"),
            judge_strictly(502, b""),
        ] {
            assert!(matches!(unknown, Proof::Unknown(_)), "{unknown:?}");
        }
    }

    #[test]
    fn an_assertion_is_from_the_client_to_the_issuer_and_for_once() {
        let secret = PrivateKey::generate().to_secret();
        let credentials = Credentials {
            client_id: "shop_web",
            secret: &secret,
            method: TokenEndpointAuthMethod::PrivateKeyJwt,
            redirect_uri: None,
            audience: "https://idp/realms/apps",
        };
        let claims = || -> serde_json::Value {
            let token = assertion(&credentials, Timestamp::UNIX_EPOCH).unwrap();
            let payload = token.split('.').nth(1).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
        };
        let (mut one, other) = (claims(), claims());
        assert_ne!(one["jti"], other["jti"]);
        assert!(one["jti"].take().as_str().unwrap().len() >= 22, "128 bits");
        assert_eq!(
            one,
            json!({
                "iss": "shop_web", "sub": "shop_web", "aud": "https://idp/realms/apps", "jti": null, "iat": 0, "exp": 60,
            })
        );
        let shared = Credentials {
            secret: &ClientSecret::new("hunter2"),
            ..credentials
        };
        let Err(Proof::Unknown(why)) = assertion(&shared, Timestamp::UNIX_EPOCH) else {
            panic!("a shared secret signs nothing")
        };
        assert!(!why.contains("hunter2"));
    }

    #[test]
    fn all_else_proves_nothing() {
        for proof in [
            with(400, "invalid_request"),
            with(500, "server_error"),
            with(503, "invalid_client"),
            with(401, "invalid_grant"),
            with(400, "hunter2"),
            judge(401, b"<html>Log in"),
            judge(403, b""),
            judge(302, b""),
            judge(200, b"{\"access_token\":\"hunter2\"}"),
            judge(502, b"bad gateway"),
        ] {
            let Proof::Unknown(why) = proof else {
                panic!("{proof:?}")
            };
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
