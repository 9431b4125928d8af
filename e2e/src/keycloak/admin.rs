//! Keycloak's admin API as a test sees it: a plain client that shares no code with the operator's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;

use super::Access;

/// A token is not used for the last part of its life.
const SPARE: Duration = Duration::from_secs(15);

/// A client of the admin API with the rights of the server's administrator. It logs in when it must, by password (`admin-cli`
/// in `master`; such a token lives for a minute).
#[derive(Clone)]
pub struct KeycloakAdmin {
    pub(super) access: Arc<Access>,
    pub(super) web: Client,
    token: Arc<Mutex<Option<Token>>>,
}

struct Token {
    value: String,
    good_until: Instant,
}

impl std::fmt::Debug for KeycloakAdmin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeycloakAdmin").finish_non_exhaustive()
    }
}

impl KeycloakAdmin {
    pub(super) fn new(access: Arc<Access>) -> Result<Self> {
        let web = access.web()?;
        let token = Arc::default();
        Ok(Self { access, web, token })
    }

    /// The administrator's name and password, in realm `master`.
    pub fn credentials(&self) -> (&str, &str) {
        (&self.access.admin.username, &self.access.admin.password)
    }

    async fn token(&self) -> Result<String> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| token.good_until > Instant::now()) {
            return Ok(token.value.clone());
        }
        let asked = Instant::now();
        let fields = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", &self.access.admin.username),
            ("password", &self.access.admin.password),
        ];
        let (status, answer) = self.access.token(&self.web, "master", &fields).await?;
        ensure!(status.is_success(), "login of the administrator: {status}: {answer}");
        let value = answer["access_token"].as_str().context("no access_token")?.to_owned();
        let life = Duration::from_secs(answer["expires_in"].as_u64().context("no expires_in")?);
        *token = Some(Token {
            value: value.clone(),
            good_until: asked + life.saturating_sub(SPARE),
        });
        Ok(value)
    }

    /// The next request logs in anew: a token knows only the realms that were there when it was made.
    pub(super) async fn forget_token(&self) {
        *self.token.lock().await = None;
    }

    /// A request to `<base>/admin/<path>`; gives status and answer, whatever they are. What is not JSON becomes a string, an
    /// empty answer `null`.
    ///
    /// # Errors
    /// There is no answer, or the administrator cannot log in.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value)> {
        let token = self.token().await?;
        let answer = self.request_as(&token, method.clone(), path, body).await?;
        if answer.0 != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // A server that was started again may have lost the keys that it signs with.
        self.forget_token().await;
        let token = self.token().await?;
        self.request_as(&token, method, path, body).await
    }

    /// [`Self::request`] with an access token of somebody else.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn request_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value)> {
        let url = format!("{}/admin/{path}", self.access.base_url);
        let mut request = self.web.request(method.clone(), &url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| format!("{method} {path}"))?;
        let status = response.status();
        let text = response.text().await?;
        let answer = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        };
        Ok((status, answer))
    }

    async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let (status, answer) = self.request(method.clone(), path, body).await?;
        ensure!(
            status.is_success(),
            "{method} {path}: {status}: {}",
            // What a failed write is answered has no secret.
            answer.to_string().chars().take(400).collect::<String>()
        );
        Ok(answer)
    }

    /// `GET`.
    ///
    /// # Errors
    /// The status is not of success; the text has the answer.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect(Method::GET, path, None).await
    }

    /// `POST`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(Method::POST, path, Some(body)).await
    }

    /// `PUT`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.expect(Method::PUT, path, Some(body)).await.map(drop)
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.expect(Method::DELETE, path, None).await.map(drop)
    }

    /// Names of all realms, `master` too.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn realms(&self) -> Result<Vec<String>> {
        let realms = self.get("realms?briefRepresentation=true").await?;
        let names = realms.as_array().context("no list of realms")?.iter();
        Ok(names
            .filter_map(|realm| realm["realm"].as_str().map(str::to_owned))
            .collect())
    }
}
