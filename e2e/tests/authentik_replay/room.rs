//! A server with one client, and rows of requests and answers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use oidc_operator_e2e::authentik::{Authentik, AuthentikOptions, Release};
use oidc_operator_e2e::http;
use reqwest::{Client, Method};
use serde_json::{Value, json};

pub(crate) const PROVIDERS: &str = "/api/v3/providers/oauth2/";
pub(crate) const APPLICATIONS: &str = "/api/v3/core/applications/";
pub(crate) const REQUIRED: &str = "This field is required.";

/// A server with a provider `base` (secret `right`) and its application of the same name.
pub(crate) struct Room {
    pub(crate) server: Authentik,
    pub(crate) web: Client,
    pub(crate) token: String,
    /// What stands in requests, and what is sent in its place.
    pub(crate) known: Vec<(&'static str, Value)>,
}

impl Room {
    pub(crate) async fn new(release: Release) -> Result<Self> {
        Self::with(AuthentikOptions {
            release: Some(release),
            ..AuthentikOptions::default()
        })
        .await
    }

    pub(crate) async fn with(options: AuthentikOptions<'_>) -> Result<Self> {
        let server = Authentik::start(options)?;
        http::choose_crypto();
        let web = Client::builder()
            .no_proxy()
            // Nothing is proven by it; logins check the certificate.
            .tls_danger_accept_invalid_certs(true)
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            // A connection kept from before a restart would be closed under the next request.
            .pool_max_idle_per_host(0)
            .build()?;
        let mut room = Self {
            token: server.token().to_owned(),
            server,
            web,
            known: Vec::new(),
        };
        for (name, path) in [
            (
                "AUTHORIZE",
                "/api/v3/flows/instances/?slug=default-provider-authorization-implicit-consent",
            ),
            (
                "INVALIDATE",
                "/api/v3/flows/instances/?slug=default-provider-invalidation-flow",
            ),
            ("KEY", "/api/v3/crypto/certificatekeypairs/?has_key=true"),
            ("OPENID", "/api/v3/propertymappings/provider/scope/?scope_name=openid"),
            (
                "OFFLINE",
                "/api/v3/propertymappings/provider/scope/?scope_name=offline_access",
            ),
        ] {
            let (_, found) = room.ask(Method::GET, path, Value::Null).await?;
            room.known.push((name, found["results"][0]["pk"].clone()));
        }
        let (status, provider) = room
            .create("base", json!({ "client_secret": "right", "signing_key": "KEY" }))
            .await?;
        ensure!(status == 201, "{status} {provider}");
        room.known.push(("BASE", provider["pk"].clone()));
        let application = json!({ "name": "base", "slug": "base", "provider": "BASE" });
        let (status, answer) = room.ask(Method::POST, APPLICATIONS, application).await?;
        ensure!(status == 201, "{status} {answer}");
        Ok(room)
    }

    /// Creates a provider with this name and `client_id`, and `more`.
    pub(crate) async fn create(&self, name: &str, more: Value) -> Result<(u16, Value)> {
        self.ask(Method::POST, PROVIDERS, with(provider(name), more)).await
    }

    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let known = self.known.iter().find(|(name, _)| name == text);
                known.map_or_else(|| value.clone(), |(_, value)| value.clone())
            }
            Value::Array(values) => values.iter().map(|value| self.filled(value)).collect(),
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .map(|(key, value)| (key.clone(), self.filled(value)))
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    pub(crate) fn path(&self, path: &str) -> String {
        let mut path = path.to_owned();
        for (name, value) in &self.known {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        format!("{}{path}", self.server.url())
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: &Value) -> Result<reqwest::Response> {
        let mut request = self.web.request(method, self.path(path)).bearer_auth(&self.token);
        if !body.is_null() {
            request = request.json(&self.filled(body));
        }
        Ok(request.send().await?)
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Result<(u16, Value)> {
        let answer = self.send(method, path, &body).await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<(u16, Value)> {
        let answer = self.web.post(self.path(path)).form(fields).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// Each row is asked in its turn, and gets its status and at least what it expects.
    pub(crate) async fn rows(&self, rows: Vec<Row>) -> Result<()> {
        let mut wrong = Vec::new();
        for (method, path, body, status, expected) in rows {
            let _ = ASKED.try_with(|asked| asked.borrow_mut().insert(as_text(method.as_str(), path, &body)));
            let (got, answer) = self.ask(method.clone(), path, body.clone()).await?;
            let expected = self.filled(&expected);
            if got != status || !holds(&answer, &expected) {
                wrong.push(format!(
                    "{method} {path} {body}\n  {status} {expected}\n  is {got} {answer}"
                ));
            }
        }
        wrong.extend(self.server.findings());
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    }
}

/// Method, path, body, status, and a part of the answer. Null expects nothing.
pub(crate) type Row = (Method, &'static str, Value, u16, Value);

/// Whether `answer` has all members of `expected`.
pub(crate) fn holds(answer: &Value, expected: &Value) -> bool {
    match (answer, expected) {
        (_, Value::Null) => true,
        (Value::Object(answer), Value::Object(expected)) => expected.iter().all(|(key, value)| {
            answer
                .get(key)
                .is_some_and(|got| got == value || holds_object(got, value))
        }),
        _ => answer == expected,
    }
}

pub(crate) fn holds_object(answer: &Value, expected: &Value) -> bool {
    expected.is_object() && holds(answer, expected)
}

pub(crate) fn provider(name: &str) -> Value {
    json!({
        "name": name, "client_id": name, "authorization_flow": "AUTHORIZE", "invalidation_flow": "INVALIDATE",
        "grant_types": ["authorization_code", "client_credentials", "refresh_token"],
        "redirect_uris": [{ "matching_mode": "strict", "url": "https://app.example.test/cb" }],
    })
}

pub(crate) fn with(mut value: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut value, more) {
        fields.extend(more);
    }
    value
}

pub(crate) fn strict(url: &str) -> Value {
    json!({ "matching_mode": "strict", "url": url })
}

pub(crate) const GET: Method = Method::GET;
pub(crate) const POST: Method = Method::POST;
pub(crate) const PUT: Method = Method::PUT;
pub(crate) const PATCH: Method = Method::PATCH;
pub(crate) const DELETE: Method = Method::DELETE;
pub(crate) const NONE: Value = Value::Null;

pub(crate) const TOKEN: &str = "/application/o/token/";

pub(crate) fn machine(secret: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "client_credentials"),
        ("client_id", "base"),
        ("client_secret", secret),
        ("scope", "openid"),
    ]
}

tokio::task_local! {
    /// What the rows of [`all`] asked, each once.
    pub(crate) static ASKED: RefCell<BTreeSet<String>>;
}

/// As a row writes it: what it names by a placeholder has another number on every server.
pub(crate) fn as_text(method: &str, path: &str, body: &Value) -> String {
    let (head, digits) = path.split_once(PROVIDERS).unwrap_or((path, ""));
    let tail = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if tail.len() < digits.len() {
        return format!("{method} {head}{PROVIDERS}{{BASE}}{tail} {body}");
    }
    format!("{method} {path} {body}")
}
