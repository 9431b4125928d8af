//! A request, taken apart.

use axum::body::Bytes;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, HeaderName, HeaderValue, USER_AGENT};
use axum::http::{HeaderMap, Method, Uri};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::reply::{self, Reply};

pub(super) struct Request {
    pub(super) method: Method,
    /// Decoded, without the query.
    pub(super) path: String,
    /// As it was sent.
    pub(super) raw_query: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) user_agent: String,
    /// `http(s)://<host>` as the client called the server: all URLs in answers begin so.
    pub(super) base: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    pub(super) fn new(scheme: &str, method: Method, uri: &Uri, headers: HeaderMap, body: Bytes) -> Self {
        let raw_query = uri.query().unwrap_or_default().to_owned();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Self {
            method,
            path: decoded(uri.path()),
            query: form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect(),
            raw_query,
            user_agent: text(USER_AGENT).unwrap_or_default().to_owned(),
            base: format!("{scheme}://{}", text(HOST).unwrap_or("127.0.0.1")),
            headers,
            body,
        }
    }

    /// The path between the slashes, if it ends with one.
    pub(super) fn segments(&self) -> Option<Vec<&str>> {
        let inner = self.path.strip_prefix('/')?.strip_suffix('/')?;
        Some(inner.split('/').collect())
    }

    /// A parameter of the query, the last one if there are several, as Django has it. An empty one counts as none.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.parameter(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn header(&self, name: HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The scheme of `Authorization` in lower case, and what follows.
    fn authorization(&self) -> (String, &str) {
        let (scheme, rest) = self.header(AUTHORIZATION).split_once(' ').unwrap_or_default();
        (scheme.to_ascii_lowercase(), rest.trim())
    }

    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.authorization();
        (scheme == "bearer" && !token.is_empty()).then_some(token)
    }

    /// User and password of HTTP basic authentication.
    pub(super) fn basic(&self) -> Option<(String, String)> {
        let (scheme, encoded) = self.authorization();
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        (scheme == "basic").then(|| (user.to_owned(), password.to_owned()))
    }

    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let mut pairs = self
            .header(COOKIE)
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    pub(super) fn accepts_json(&self) -> bool {
        let accept = self.header(ACCEPT);
        let mut types = accept
            .split(',')
            .map(|part| part.split(';').next().unwrap_or_default().trim());
        accept.is_empty() || types.any(|one| matches!(one, "application/json" | "application/*" | "*/*"))
    }

    /// The body's fields, of a form.
    pub(super) fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    pub(super) fn content_type(&self) -> &str {
        self.header(CONTENT_TYPE)
    }

    /// The body as it was sent; null if there is none, or it is no JSON.
    pub(super) fn sent(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body's fields, of a JSON object. Nothing is an object without fields.
    pub(super) fn json(&self) -> Result<Map<String, Value>, Reply> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        let content_type = self.content_type();
        if content_type.split(';').next().map(str::trim) != Some("application/json") {
            let detail = format!("Unsupported media type \"{content_type}\" in request.");
            return Err(reply::detail(415, &detail));
        }
        let text = std::str::from_utf8(&self.body).map_err(|error| {
            let at = error.valid_up_to();
            let byte = self.body.get(at).copied().unwrap_or_default();
            reply::detail(
                400,
                &format!(
                    "JSON parse error - 'utf-8' codec can't decode byte {byte:#04x} in position {at}: invalid start byte"
                ),
            )
        })?;
        let value: Value = serde_json::from_str(text).map_err(|error| {
            let (what, past) = if error.is_eof() {
                ("unexpected end of data", 1)
            } else {
                ("unexpected character", 0)
            };
            let (line, column) = (error.line(), error.column() + past);
            let before: usize = text
                .split_inclusive('\n')
                .take(line.saturating_sub(1))
                .map(str::len)
                .sum();
            let at = before + column.saturating_sub(1);
            reply::detail(
                400,
                &format!("JSON parse error - {what}: line {line} column {column} (char {at})"),
            )
        })?;
        match value {
            Value::Object(fields) => Ok(fields),
            other => {
                let message = format!(
                    "Invalid data. Expected a dictionary, but got {}.",
                    super::input::python_type(&other)
                );
                Err(reply::json(400, serde_json::json!({ "non_field_errors": [message] })))
            }
        }
    }
}

/// A path with its escapes resolved. Escapes that are no UTF-8 become the replacement character.
fn decoded(path: &str) -> String {
    let escaped = path.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    form_urlencoded::parse(escaped.as_bytes())
        .next()
        .map(|(text, _)| text.into_owned())
        .unwrap_or_default()
}
