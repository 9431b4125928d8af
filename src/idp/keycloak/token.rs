//! The operator's own access token: asked for once per lifetime, shared by all calls.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::errors;
use crate::{
    domain::{IdpError, IdpErrorKind, error::bounded},
    idp::http::{HttpClient, client_secret_basic, peer_name},
};

/// Operation of failed token requests, as messages name it.
const OPERATION: &str = "token request";

/// The client that Keycloak gives to people with a password for its admin API; each realm has one.
const PASSWORD_CLIENT: &str = "admin-cli";

/// A token that is younger than this is not renewed because of a 403: the account has too few rights, and so would have
/// its next token. An older one may be from before a role was given (or a realm made).
const YOUNG: Duration = Duration::from_secs(10);

/// How the operator logs in.
#[derive(Clone, Debug)]
pub enum AdminCredentials {
    /// A service account (RFC 6749, section 4.4).
    ClientCredentials {
        /// Its client ID.
        client_id: String,
        /// Its client secret.
        client_secret: SecretString,
    },
    /// A user, through `admin-cli`.
    Password {
        /// Who.
        username: SecretString,
        /// The password.
        password: SecretString,
    },
}

/// The token and who gets it.
pub(super) struct Tokens {
    http: HttpClient,
    endpoint: Url,
    realm: String,
    credentials: AdminCredentials,
    current: Mutex<Option<Token>>,
}

/// An access token.
#[derive(Clone)]
pub(super) struct Token {
    value: SecretString,
    /// When it was asked for: its lifetime cannot have begun earlier.
    asked: Instant,
    lifetime: Duration,
}

impl Token {
    /// For the header.
    pub(super) fn value(&self) -> &SecretString {
        &self.value
    }

    /// Good for another call? Renewed a tenth of its lifetime before it ends, so that no call outlives it.
    fn is_fresh(&self) -> bool {
        self.asked.elapsed() < self.lifetime.mul_f64(0.9)
    }

    /// May another one help where this one was refused with `status`?
    fn may_be_stale(&self, status: u16) -> bool {
        status == 401 || self.asked.elapsed() >= YOUNG
    }
}

/// RFC 6749, section 5.1.
#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

/// RFC 6749, section 5.2.
#[derive(Deserialize)]
struct Denied {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Tokens {
    /// Tokens of `realm` at `endpoint`. Nothing is asked for yet.
    pub(super) fn new(http: HttpClient, endpoint: Url, realm: &str, credentials: AdminCredentials) -> Self {
        Self {
            http,
            endpoint,
            realm: realm.to_owned(),
            credentials,
            current: Mutex::default(),
        }
    }

    /// A token that is good for now. Whoever comes while one is being asked for waits for that one.
    ///
    /// # Errors
    /// Any [`IdpError`].
    pub(super) async fn get(&self) -> Result<Token, IdpError> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.is_fresh()) {
            return Ok(token.clone());
        }
        // Should the request be cut off, the old one is not used again.
        *current = None;
        Ok(current.insert(self.request().await?).clone())
    }

    /// Another token than `refused`, which was answered with `status`; `None`: none would help.
    ///
    /// # Errors
    /// Any [`IdpError`].
    pub(super) async fn instead_of(&self, refused: &Token, status: u16) -> Result<Option<Token>, IdpError> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.asked > refused.asked) {
            return Ok(Some(token.clone()));
        }
        if !refused.may_be_stale(status) {
            return Ok(None);
        }
        *current = None;
        Ok(Some(current.insert(self.request().await?).clone()))
    }

    async fn request(&self) -> Result<Token, IdpError> {
        let asked = Instant::now();
        let mut form = Vec::new();
        let mut basic = None;
        match &self.credentials {
            AdminCredentials::ClientCredentials {
                client_id,
                client_secret,
            } => {
                form.push(("grant_type", "client_credentials"));
                basic = Some((client_id, client_secret));
            }
            AdminCredentials::Password { username, password } => form.extend([
                ("grant_type", "password"),
                ("client_id", PASSWORD_CLIENT),
                ("username", username.expose_secret()),
                ("password", password.expose_secret()),
            ]),
        }
        let authenticate = |request| match basic {
            Some((id, secret)) => client_secret_basic(request, id, secret.expose_secret()),
            None => request,
        };
        let answer = self
            .http
            .post_form(OPERATION, self.endpoint.as_str(), &form, authenticate)
            .await?;
        let body = answer.body.as_bytes();
        if answer.status == 200 {
            let granted: Granted = serde_json::from_slice(body).map_err(|_| {
                IdpError::new(
                    IdpErrorKind::Protocol,
                    OPERATION,
                    format!(
                        "{} gave no token: is adminURL the address of a Keycloak?",
                        peer_name(&self.endpoint)
                    ),
                )
            })?;
            return Ok(Token {
                value: SecretString::from(granted.access_token),
                asked,
                lifetime: Duration::from_secs(granted.expires_in),
            });
        }
        if answer.status == 404 {
            return Err(self.not_found(body));
        }
        match (answer.status, serde_json::from_slice::<Denied>(body)) {
            (400 | 401 | 403, Ok(denied)) => Err(IdpError::new(
                IdpErrorKind::Unauthorized,
                OPERATION,
                format!(
                    "{} does not log in {}: {} {}",
                    peer_name(&self.endpoint),
                    self.who(),
                    bounded(&denied.error),
                    bounded(&denied.error_description)
                ),
            )),
            _ => Err(errors::of_answer(OPERATION, &self.endpoint, &answer, &self.realm)),
        }
    }

    fn not_found(&self, body: &[u8]) -> IdpError {
        if errors::is_missing_realm(body) {
            return IdpError::new(
                IdpErrorKind::RealmNotFound,
                OPERATION,
                format!("there is no realm {} to log in to", self.realm),
            );
        }
        errors::not_keycloak(OPERATION, &self.endpoint)
    }

    fn who(&self) -> String {
        match &self.credentials {
            AdminCredentials::ClientCredentials { client_id, .. } => {
                format!("client {client_id} of realm {}", self.realm)
            }
            // Her name comes from a Secret.
            AdminCredentials::Password { .. } => format!("the user of realm {}", self.realm),
        }
    }
}
