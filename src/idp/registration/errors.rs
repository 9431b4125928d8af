//! What a server says that does not do as asked (RFC 7591, section 3.2.2; RFC 7592, section 2; RFC 6750, section 3.1).

use serde::Deserialize;
use url::Url;

use crate::{
    domain::{ClientSecret, IdpError, IdpErrorKind, error::bounded},
    idp::http::{Answer, peer_name},
};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    error: Option<String>,
    error_description: Option<String>,
}

/// Which of both protocols was spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum With {
    /// A registration, with the initial access token or without one.
    InitialToken {
        /// Was there one?
        given: bool,
    },
    /// The management of a client, with its registration access token.
    RegistrationToken,
}

/// An answer that is not what was hoped for. No text repeats one of `secrets`.
pub(super) fn of_answer(
    operation: &'static str,
    url: &Url,
    answer: &Answer,
    with: With,
    secrets: &[&ClientSecret],
) -> IdpError {
    let name = peer_name(url);
    let told: Option<Told> = serde_json::from_slice(answer.body.as_bytes()).ok();
    let said = told.as_ref().map(|told| words(told, secrets)).unwrap_or_default();
    let has_error = told.as_ref().is_some_and(|told| told.error.is_some());
    let (kind, message) = match answer.status {
        401 => (IdpErrorKind::Unauthorized, unauthorized(&name, with, &said)),
        // Policies of the server, which refuse a client for what it asks for (Keycloak).
        403 if has_error => (IdpErrorKind::Refused, refused(&name, &said)),
        403 => (
            IdpErrorKind::Forbidden,
            format!("{name} does not allow it{}", with_colon(&said)),
        ),
        400 | 409 | 422 if has_error => (IdpErrorKind::Refused, refused(&name, &said)),
        404 if with == With::RegistrationToken => (IdpErrorKind::Unauthorized, unauthorized(&name, with, &said)),
        404 | 405 | 501 => (
            IdpErrorKind::Unsupported,
            match with {
                With::InitialToken { .. } => format!(
                    "{name} registers no clients at that address ({}): check registration_endpoint of its discovery document, or dynamicRegistration.registrationURL",
                    answer.status
                ),
                With::RegistrationToken => format!("{name} does not offer that (RFC 7592 is optional)"),
            },
        ),
        429 => (IdpErrorKind::Throttled, format!("{name} asks for fewer requests")),
        500.. => (
            IdpErrorKind::Server,
            format!("{name} answered {}{}", answer.status, with_colon(&said)),
        ),
        300..=399 => (
            IdpErrorKind::Protocol,
            format!("{name} redirects ({}), which is not followed", answer.status),
        ),
        status => (
            IdpErrorKind::Protocol,
            format!("{name} answered {status}, which is no answer of dynamic registration"),
        ),
    };
    IdpError::new(kind, operation, message).after(answer.retry_after)
}

fn unauthorized(name: &str, with: With, said: &str) -> String {
    let said = with_colon(said);
    match with {
        With::InitialToken { given: true } => format!(
            "{name} refuses the initial access token{said}. It may have expired, or been used as often as it may: put a new one into the Secret of dynamicRegistration.initialAccessTokenSecretRef"
        ),
        With::InitialToken { given: false } => format!(
            "{name} registers nobody without an initial access token{said}. Name a Secret with one in dynamicRegistration.initialAccessTokenSecretRef"
        ),
        With::RegistrationToken => {
            format!("{name} refuses the registration access token, or has no such client{said}")
        }
    }
}

fn refused(name: &str, said: &str) -> String {
    format!("{name} refuses the client{}", with_colon(said))
}

fn with_colon(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// The error's name and description: foreign text, bounded, and never with a secret that was sent.
fn words(told: &Told, secrets: &[&ClientSecret]) -> String {
    let parts = [told.error.as_deref(), told.error_description.as_deref()];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(": ");
    if secrets.iter().any(|secret| text.contains(secret.expose())) {
        return "it repeats a secret, so its words are left out".to_owned();
    }
    bounded(&text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::idp::http::AnswerBody;

    fn answered(status: u16, body: &str, with: With) -> IdpError {
        let answer = Answer {
            status,
            body: AnswerBody::new(body.as_bytes().to_vec()),
            location: None,
            target: None,
            retry_after: None,
        };
        let url = Url::parse("https://idp.example.com/register").unwrap();
        of_answer("RegisterClient", &url, &answer, with, &[&ClientSecret::new("hunter2")])
    }

    const INITIAL: With = With::InitialToken { given: true };

    #[test]
    fn each_answer_has_its_kind() {
        let told = r#"{"error":"invalid_redirect_uri","error_description":"not allowed"}"#;
        for (status, body, with, kind) in [
            (400, told, INITIAL, IdpErrorKind::Refused),
            (400, "<html>", INITIAL, IdpErrorKind::Protocol),
            (401, "", INITIAL, IdpErrorKind::Unauthorized),
            (401, told, With::RegistrationToken, IdpErrorKind::Unauthorized),
            (403, told, INITIAL, IdpErrorKind::Refused),
            (403, "<html>", INITIAL, IdpErrorKind::Forbidden),
            (403, told, With::RegistrationToken, IdpErrorKind::Refused),
            (403, "", With::RegistrationToken, IdpErrorKind::Forbidden),
            (404, "", INITIAL, IdpErrorKind::Unsupported),
            (404, "", With::RegistrationToken, IdpErrorKind::Unauthorized),
            (405, "", With::RegistrationToken, IdpErrorKind::Unsupported),
            (429, "", INITIAL, IdpErrorKind::Throttled),
            (302, "", INITIAL, IdpErrorKind::Protocol),
            (503, "", INITIAL, IdpErrorKind::Server),
        ] {
            assert_eq!(answered(status, body, with).kind, kind, "{status} {body}");
        }
    }

    #[test]
    fn the_servers_words_are_told_but_never_a_secret() {
        let error = answered(
            400,
            r#"{"error":"invalid_redirect_uri","error_description":"not allowed"}"#,
            INITIAL,
        );
        assert!(
            error.to_string().ends_with("invalid_redirect_uri: not allowed"),
            "{error}"
        );
        let error = answered(400, r#"{"error":"x","error_description":"bad: hunter2"}"#, INITIAL);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
