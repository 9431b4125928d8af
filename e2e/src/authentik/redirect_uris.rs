//! Redirect URIs of a provider: where logins and, since 2026.5, logouts may end.

use serde_json::{Map, Value, json};

use super::Release;
use super::input::{self, FILLED, Input};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RedirectUri {
    pub(super) regex: bool,
    pub(super) url: String,
    /// `None`, if a PATCH left it out: an ordinary one.
    pub(super) kind: Option<String>,
}

impl RedirectUri {
    pub(super) fn is_logout(&self) -> bool {
        self.kind.as_deref() == Some("logout")
    }

    /// Whether `url` is one of these.
    pub(super) fn matches(&self, url: &str) -> bool {
        if !self.regex {
            return self.url == url;
        }
        regex::Regex::new(&format!("^(?:{})$", self.url)).is_ok_and(|pattern| pattern.is_match(url))
    }

    /// As it is kept.
    pub(super) fn kept(&self) -> Value {
        let mut shown = json!({ "matching_mode": if self.regex { "regex" } else { "strict" }, "url": self.url });
        if let Some(kind) = &self.kind {
            shown["redirect_uri_type"] = json!(kind);
        }
        shown
    }

    pub(super) fn shown(&self, release: Release) -> Value {
        let mut shown = self.kept();
        if release.has_grant_types() && self.kind.is_none() {
            shown["redirect_uri_type"] = json!("authorization");
        }
        shown
    }
}

/// The field `redirect_uris`. Older releases are not `typed`: to them each is one for logins.
pub(super) fn parsed(input: &mut Input, typed: bool) -> Option<Vec<RedirectUri>> {
    let key = "redirect_uris";
    let value = match input.value(key) {
        None if input.partial => return None,
        None => {
            input.refuse(key, input::IS_REQUIRED);
            return None;
        }
        Some(value) => value.clone(),
    };
    let Value::Array(values) = &value else {
        if value.is_null() {
            input.refuse(key, input::IS_NULL);
        } else {
            input.refuse_with(key, json!({ "non_field_errors": [input::not_a_list(&value)] }));
        }
        return None;
    };
    let default = (typed && !input.partial).then(|| "authorization".to_owned());
    let mut uris = Vec::new();
    let mut errors = Vec::new();
    for value in values {
        match redirect_uri(value, typed, default.clone()) {
            Ok(uri) => {
                uris.push(uri);
                errors.push(Map::new());
            }
            Err(error) => errors.push(error),
        }
    }
    if errors.iter().any(|error| !error.is_empty()) {
        input.refuse_with(key, json!(errors));
        return None;
    }
    let wrong = uris
        .iter()
        .find(|uri| uri.regex && regex::Regex::new(&uri.url).is_err());
    if let Some(wrong) = wrong {
        input.refuse(key, format!("Invalid Regex Pattern: {}", wrong.url));
        return None;
    }
    Some(uris)
}

fn redirect_uri(value: &Value, typed: bool, default: Option<String>) -> Result<RedirectUri, Map<String, Value>> {
    let Value::Object(fields) = value else {
        let message = format!(
            "Invalid data. Expected a dictionary, but got {}.",
            input::python_type(value)
        );
        return Err(Map::from_iter([("non_field_errors".to_owned(), json!([message]))]));
    };
    let required = |key: &str| match fields.get(key) {
        None => Err(input::IS_REQUIRED.to_owned()),
        Some(Value::Null) => Err(input::IS_NULL.to_owned()),
        Some(value) => Ok(value),
    };
    let mut errors = Map::new();
    let mut refuse = |key: &str, message: String| errors.insert(key.to_owned(), json!([message]));
    let mode = required("matching_mode")
        .and_then(|value| input::choice(value, &["strict", "regex"]).ok_or_else(|| input::not_a_choice(value)));
    let url = required("url").and_then(|value| input::text(value, FILLED));
    let kind = match fields.get("redirect_uri_type").filter(|_| typed) {
        None => Ok(default),
        Some(Value::Null) => Err(input::IS_NULL.to_owned()),
        Some(value) => match input::choice(value, &["authorization", "logout"]) {
            Some(kind) => Ok(Some(kind)),
            None => Err(input::not_a_choice(value)),
        },
    };
    if let Err(message) = &mode {
        refuse("matching_mode", message.clone());
    }
    if let Err(message) = &url {
        refuse("url", message.clone());
    }
    if let Err(message) = &kind {
        refuse("redirect_uri_type", message.clone());
    }
    match (mode, url, kind) {
        (Ok(mode), Ok(url), Ok(kind)) => Ok(RedirectUri {
            regex: mode == "regex",
            url,
            kind,
        }),
        _ => Err(errors),
    }
}
