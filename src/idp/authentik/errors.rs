//! What authentik answers when it does not do what was asked.
//!
//! Decided by status and shape; texts are for people only, parsed and bounded. Shapes (Django REST framework):
//! `{"detail": ...}`, and `{"<field>": [...], "non_field_errors": [...]}` with status 400.

use serde_json::{Map, Value};
use url::Url;

use crate::{
    domain::{ClientSecret, IdpError, IdpErrorKind, error::bounded},
    idp::http::{Answer, peer_name},
};

type Told = Map<String, Value>;

fn told(answer: &Answer) -> Option<Told> {
    serde_json::from_slice(answer.body.as_bytes()).ok()
}

fn detail(told: &Told) -> Option<&str> {
    told.get("detail")?.as_str()
}

/// Something else answers there.
pub(super) fn not_authentik(operation: &'static str, url: &Url) -> IdpError {
    let message = format!(
        "{} does not answer as authentik's API: check adminURL, and whether it needs a path (AUTHENTIK_WEB__PATH)",
        peer_name(url)
    );
    IdpError::new(IdpErrorKind::Protocol, operation, message)
}

/// A 404 about an object: `{"detail": "No Application matches the given query."}`; a page beyond the end of a list, too. What
/// does not exist as a path answers in HTML.
pub(super) fn is_missing_object(answer: &Answer) -> bool {
    answer.status == 404 && told(answer).is_some_and(|told| detail(&told).is_some())
}

/// Is a refused body about something that exists already, in one of these members?
pub(super) fn is_taken(answer: &Answer, members: &[&str]) -> bool {
    let Some(told) = told(answer).filter(|_| answer.status == 400) else {
        return false;
    };
    let exists = |value: &Value| value.as_str().is_some_and(|text| text.ends_with("already exists."));
    members
        .iter()
        .filter_map(|member| told.get(*member)?.as_array())
        .any(|texts| texts.iter().any(exists))
}

/// An answer that is not what was hoped for. No text may repeat `sent`.
pub(super) fn of_answer(operation: &'static str, url: &Url, answer: &Answer, sent: Option<&ClientSecret>) -> IdpError {
    let name = peer_name(url);
    let status = answer.status;
    let said = told(answer);
    let text = said.as_ref().map(|told| words(told, sent)).unwrap_or_default();
    let (kind, message) = match status {
        // Never 401: what it says of the token is in the text (measured on 2026.2 and 2026.5).
        401 | 403 if said.as_ref().is_some_and(is_about_the_token) || status == 401 => (
            IdpErrorKind::Unauthorized,
            format!(
                "{name} refuses the operator's token: {text}. It must be an API token (intent api) that has not expired, of an active user"
            ),
        ),
        403 if said.is_some() => (
            IdpErrorKind::Forbidden,
            format!(
                "{name} says that the token's user may not do this: give it the role of docs/authentik.md. It said: {text}"
            ),
        ),
        // An empty one is what a failed write of the server's can look like: nobody knows what became of it.
        405 if answer.body.as_bytes().is_empty() => (
            IdpErrorKind::Server,
            format!(
                "{name} answered 405 without a word, as it does when a write failed inside; what came of it is looked up"
            ),
        ),
        400 | 409 | 422 if said.is_some() => (
            IdpErrorKind::Refused,
            format!("authentik refuses it ({status}): {text}"),
        ),
        429 => (IdpErrorKind::Throttled, format!("{name} asks to slow down (429)")),
        503 if answer.retry_after.is_some() => (IdpErrorKind::Server, format!("{name} is starting (503)")),
        500..=599 => (IdpErrorKind::Server, format!("{name} failed ({status}) {text}")),
        300..=399 => {
            let to = answer
                .location
                .as_deref()
                .map(|to| format!(", it points to {to}"))
                .unwrap_or_default();
            let message = format!("{name} redirects ({status}), which is not followed: check adminURL{to}");
            (IdpErrorKind::Protocol, message)
        }
        _ => return not_authentik(operation, url),
    };
    IdpError::new(kind, operation, message.trim_end()).after(answer.retry_after)
}

fn is_about_the_token(told: &Told) -> bool {
    detail(told).is_some_and(|detail| {
        detail.starts_with("Token invalid") || detail.starts_with("Authentication credentials were not provided")
    })
}

/// `field: text; field: text`, whatever the nesting.
fn words(told: &Told, sent: Option<&ClientSecret>) -> String {
    fn texts(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
            Value::Object(members) => members.values().for_each(|value| texts(value, found)),
            _ => {}
        }
    }
    let parts = told.iter().map(|(member, value)| {
        let mut found = Vec::new();
        texts(value, &mut found);
        let text = found.join(" ");
        if member == "detail" {
            text
        } else {
            format!("{member}: {text}")
        }
    });
    let text = parts.collect::<Vec<_>>().join("; ");
    match sent {
        Some(secret) if text.contains(secret.expose()) => "it repeats the secret, so its words are left out".to_owned(),
        _ => bounded(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idp::http::AnswerBody;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            body: AnswerBody::new(body.as_bytes().to_vec()),
            location: None,
            target: None,
            retry_after: None,
        }
    }

    fn error(status: u16, body: &str) -> IdpError {
        let url = Url::parse("https://auth.example/api/v3/").unwrap();
        of_answer(
            "POST provider",
            &url,
            &answer(status, body),
            Some(&ClientSecret::new("hunter2")),
        )
    }

    #[test]
    fn kinds_by_status_and_shape() {
        for (status, body, kind) in [
            (403, r#"{"detail":"Token invalid/expired"}"#, IdpErrorKind::Unauthorized),
            (
                403,
                r#"{"detail":"Authentication credentials were not provided."}"#,
                IdpErrorKind::Unauthorized,
            ),
            (
                403,
                r#"{"detail":"You do not have permission to perform this action."}"#,
                IdpErrorKind::Forbidden,
            ),
            (403, "<html>blocked", IdpErrorKind::Protocol),
            (405, "", IdpErrorKind::Server),
            (
                405,
                r#"{"detail":"Method \"POST\" not allowed."}"#,
                IdpErrorKind::Protocol,
            ),
            (400, r#"{"name":["This field is required."]}"#, IdpErrorKind::Refused),
            (404, "<html>", IdpErrorKind::Protocol),
            (
                502,
                r#"{"error":"failed to connect to authentik backend"}"#,
                IdpErrorKind::Server,
            ),
            (302, "", IdpErrorKind::Protocol),
        ] {
            assert_eq!(error(status, body).kind, kind, "{status} {body}");
        }
        assert!(!error(405, "").is_definite(), "its outcome is unknown");
    }

    #[test]
    fn taken_is_told_by_the_member() {
        let taken = answer(
            400,
            r#"{"client_id":["OAuth2/OpenID Provider with this Client ID already exists."]}"#,
        );
        assert!(is_taken(&taken, &["client_id"]));
        assert!(!is_taken(&taken, &["name", "slug"]));
        assert!(!is_taken(
            &answer(400, r#"{"client_id":["This field may not be blank."]}"#),
            &["client_id"]
        ));
    }

    #[test]
    fn words_name_the_member_and_no_secret() {
        let message = error(400, r#"{"redirect_uris":[{},{"url":["Enter a valid URL."]}]}"#).message;
        assert!(message.contains("redirect_uris: Enter a valid URL."), "{message}");
        let message = error(400, r#"{"client_secret":["hunter2 is too short"]}"#).message;
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn what_is_missing_says_so_in_json() {
        assert!(is_missing_object(&answer(
            404,
            r#"{"detail":"No Flow matches the given query."}"#
        )));
        assert!(is_missing_object(&answer(404, r#"{"detail":"Invalid page."}"#)));
        assert!(!is_missing_object(&answer(404, "<!DOCTYPE html>")));
    }
}
