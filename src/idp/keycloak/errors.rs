//! What Keycloak's admin API answers when it does not do what was asked.
//!
//! Decided by the status; texts are for people only, parsed and bounded. Shapes (`ErrorRepresentation`, `OAuth2Error...`):
//! `{"errorMessage": ...}`, `{"error": ..., "error_description": ...}`.

use serde::Deserialize;
use url::Url;

use crate::{
    domain::{ClientSecret, IdpError, IdpErrorKind, error::bounded},
    idp::http::{Answer, peer_name},
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Told {
    error_message: String,
    error: String,
    #[serde(rename = "error_description")]
    error_description: String,
}

fn told(body: &[u8]) -> Option<Told> {
    serde_json::from_slice(body).ok()
}

/// Is a 404 about the realm, and not about something in it?
pub(super) fn is_missing_realm(body: &[u8]) -> bool {
    told(body).is_some_and(|told| matches!(told.error.as_str(), "Realm not found." | "Realm does not exist"))
}

/// Something else answers there.
pub(super) fn not_keycloak(operation: &'static str, url: &Url) -> IdpError {
    IdpError::new(
        IdpErrorKind::Protocol,
        operation,
        format!(
            "{} does not answer as a Keycloak's admin API: check adminURL, and whether it needs a path (http-relative-path, such as /auth)",
            peer_name(url)
        ),
    )
}

/// An answer that is not what was hoped for.
pub(super) fn of_answer(operation: &'static str, url: &Url, answer: &Answer, realm: &str) -> IdpError {
    of_answer_to(operation, url, answer, realm, None)
}

/// The same for a request that carried `sent`, which no text may repeat.
pub(super) fn of_answer_to(
    operation: &'static str,
    url: &Url,
    answer: &Answer,
    realm: &str,
    sent: Option<&ClientSecret>,
) -> IdpError {
    let name = peer_name(url);
    let status = answer.status;
    let said = told(answer.body.as_bytes());
    let text = said.as_ref().map(|told| words(told, sent)).unwrap_or_default();
    let (kind, message) = match status {
        401 => (
            IdpErrorKind::Unauthorized,
            format!("{name} refuses the operator's token, also a new one"),
        ),
        403 => (
            IdpErrorKind::Forbidden,
            format!(
                "{name} says that the operator's account may not do this: give it the client role manage-clients of realm-management in realm {realm} (for an account of realm master: of {realm}-realm)"
            ),
        ),
        404 if is_missing_realm(answer.body.as_bytes()) => {
            (IdpErrorKind::RealmNotFound, format!("{name} has no realm {realm}"))
        }
        404 | 405 => return not_keycloak(operation, url),
        409 => (IdpErrorKind::Taken, format!("{name} has it already")),
        429 => (IdpErrorKind::Throttled, format!("{name} asks to slow down (429)")),
        400 | 402..=499 if said.is_some() => (IdpErrorKind::Refused, format!("Keycloak refuses it ({status}): {text}")),
        500..=599 => (IdpErrorKind::Server, format!("{name} failed ({status}) {text}")),
        300..=399 => (
            IdpErrorKind::Protocol,
            format!(
                "{name} redirects ({status}), which is not followed: check adminURL{}",
                answer
                    .location
                    .as_deref()
                    .map(|location| format!(", it points to {location}"))
                    .unwrap_or_default()
            ),
        ),
        _ => return not_keycloak(operation, url),
    };
    IdpError::new(kind, operation, message.trim_end()).after(answer.retry_after)
}

fn words(told: &Told, sent: Option<&ClientSecret>) -> String {
    let parts = [&told.error_message, &told.error, &told.error_description];
    let text = parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(": ");
    match sent {
        Some(secret) if text.contains(secret.expose()) => "it repeats the secret, so its words are left out".to_owned(),
        _ => bounded(&text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::idp::http::AnswerBody;

    fn error(status: u16, body: &str) -> IdpError {
        let answer = Answer {
            status,
            body: AnswerBody::new(body.as_bytes().to_vec()),
            location: None,
            target: None,
            retry_after: Some(Duration::from_secs(7)),
        };
        let url = Url::parse("https://sso.example.com/admin/realms/apps/clients").unwrap();
        of_answer_to(
            "POST client",
            &url,
            &answer,
            "apps",
            Some(&ClientSecret::new("hunter2")),
        )
    }

    #[test]
    fn kinds_by_status() {
        for (status, body, kind) in [
            (401, r#"{"error":"HTTP 401 Unauthorized"}"#, IdpErrorKind::Unauthorized),
            (403, r#"{"error":"HTTP 403 Forbidden"}"#, IdpErrorKind::Forbidden),
            (404, r#"{"error":"Realm not found."}"#, IdpErrorKind::RealmNotFound),
            (404, "<html>", IdpErrorKind::Protocol),
            (405, "", IdpErrorKind::Protocol),
            (
                409,
                r#"{"errorMessage":"Client x already exists"}"#,
                IdpErrorKind::Taken,
            ),
            (
                400,
                r#"{"error":"invalid_input","error_description":"no"}"#,
                IdpErrorKind::Refused,
            ),
            (400, "<html>", IdpErrorKind::Protocol),
            (429, "", IdpErrorKind::Throttled),
            (500, r#"{"error":"unknown_error"}"#, IdpErrorKind::Server),
            (503, "<html>", IdpErrorKind::Server),
            (302, "", IdpErrorKind::Protocol),
            (200, "", IdpErrorKind::Protocol),
        ] {
            assert_eq!(error(status, body).kind, kind, "{status} {body}");
        }
        assert_eq!(error(503, "").retry_after, Some(Duration::from_secs(7)));
    }

    #[test]
    fn people_are_told_what_to_do() {
        assert!(
            error(403, "")
                .message
                .contains("manage-clients of realm-management in realm apps")
        );
        assert!(error(404, "<html>").message.contains("check adminURL"));
        let told = error(
            400,
            r#"{"error":"invalid_input","error_description":"no URL fragment"}"#,
        )
        .message;
        assert_eq!(told, "Keycloak refuses it (400): invalid_input: no URL fragment");
        let long = format!(r#"{{"errorMessage":"{}"}}"#, "x".repeat(10_000));
        assert!(error(400, &long).message.chars().count() <= 301);
    }

    #[test]
    fn a_secret_that_comes_back_is_left_out() {
        let told = error(400, r#"{"errorMessage":"hunter2 is too weak"}"#).message;
        assert!(!told.contains("hunter2"), "{told}");
    }
}
