//! Proof that a client's credentials work, without a user: a token request with a code that nobody issued.
//!
//! RFC 6749, section 3.2.1: the token endpoint authenticates the client before it looks at the grant. Good credentials
//! therefore end in `invalid_grant`, bad ones in `invalid_client` (section 5.2). Measured: Dex 400 `invalid_grant`
//! against 401 `invalid_client`; authentik 400 and 400; Keycloak 400 `invalid_grant` against 401 `unauthorized_client`.

use serde::Deserialize;

use super::{
    Credentials,
    http::{Answer, HttpClient, client_secret_basic},
};
use crate::domain::{Endpoints, Proof, TokenEndpointAuthMethod};

/// A code that no server issues; its text tells whoever finds it in a log where it came from.
const INVALID_CODE: &str = "oidc-operator-credential-proof";

/// Tries `credentials` at the token endpoint.
pub async fn by_invalid_code(http: &HttpClient, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
    let mut form = vec![("grant_type", "authorization_code"), ("code", INVALID_CODE)];
    form.extend(credentials.redirect_uri.map(|uri| ("redirect_uri", uri)));
    match post(http, credentials, &endpoints.token, form).await {
        Ok(answer) => judge(answer.status, answer.body.as_bytes()),
        Err(proof) => proof,
    }
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

/// A form with the credentials, sent as the application sends them.
///
/// # Errors
/// [`Proof::Unknown`] where it could not be sent, or there are no credentials to send.
pub(crate) async fn post<'a>(
    http: &HttpClient,
    credentials: &Credentials<'a>,
    endpoint: &str,
    mut form: Vec<(&'a str, &'a str)>,
) -> Result<Answer, Proof> {
    let secret = credentials.secret.expose();
    let basic = match credentials.method {
        TokenEndpointAuthMethod::ClientSecretBasic => true,
        TokenEndpointAuthMethod::ClientSecretPost => {
            form.extend([("client_id", credentials.client_id), ("client_secret", secret)]);
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

/// What an answer to the invalid code proves.
///
/// Only an OAuth error counts as a disproof: a bare 401 or 403 may come from whatever stands before the issuer, and a
/// wrong disproof would have a good secret replaced.
pub fn judge(status: u16, body: &[u8]) -> Proof {
    /// RFC 6749, section 5.2. The description is foreign text and not read.
    #[derive(Deserialize)]
    struct OAuthError {
        error: String,
    }
    let error = serde_json::from_slice(body).ok().map(|OAuthError { error }| error);
    match (status, error.as_deref()) {
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

#[cfg(test)]
mod tests {
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
