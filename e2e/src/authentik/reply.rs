//! Answers, before they are bytes.

use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::openapi::Content;

/// What the server answers.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    /// Without a `Content-Type`.
    Nothing,
    Html(String),
    Json(Value),
}

impl Reply {
    #[must_use]
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn content(&self) -> Content<'_> {
        match &self.body {
            Body::Nothing => Content::Nothing,
            Body::Html(_) => Content::Other("text/html"),
            Body::Json(value) => Content::Json(value),
        }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let (content_type, body) = match self.body {
            Body::Nothing => (None, String::new()),
            Body::Html(page) => (Some("text/html; charset=utf-8"), page),
            Body::Json(value) => (Some("application/json"), value.to_string()),
        };
        let mut response = axum::body::Body::from(body).into_response();
        // No reply has another number.
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

pub(super) fn json(status: u16, body: Value) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Body::Json(body),
    }
}

pub(super) fn ok(body: Value) -> Reply {
    json(200, body)
}

pub(super) fn empty(status: u16) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Body::Nothing,
    }
}

pub(super) fn html(status: u16, page: String) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: Body::Html(page),
    }
}

/// An error of Django REST framework.
pub(super) fn detail(status: u16, text: &str) -> Reply {
    json(status, json!({ "detail": text }))
}

pub(super) fn forbidden() -> Reply {
    detail(403, "You do not have permission to perform this action.")
}

pub(super) fn no_such(model: &str) -> Reply {
    detail(404, &format!("No {model} matches the given query."))
}

pub(super) fn method_not_allowed(method: &Method) -> Reply {
    detail(405, &format!("Method \"{method}\" not allowed."))
}

/// The view of error pages knows only GET, so whatever fails behind another method ends here.
pub(super) fn empty_405() -> Reply {
    html(405, String::new()).with("allow", "GET, HEAD, OPTIONS")
}

/// A real server can do this and this one cannot: a test shall not take it for an answer.
pub(super) fn not_here() -> Reply {
    detail(501, "This stand-in for authentik has no such thing.")
}

pub(super) fn redirect(location: &str) -> Reply {
    html(302, String::new()).with("location", location)
}
