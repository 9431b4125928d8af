//! What can go wrong at an identity provider, and what each failure asks of us.

use std::time::Duration;

/// The kinds of failure that a driver tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdpErrorKind {
    /// Connection refused, DNS, reset: nothing was sent, or nobody knows.
    Unreachable,
    /// No answer within `adminAPI.timeout`.
    Timeout,
    /// The TLS handshake failed: a wrong CA, a name that does not match, a refused client certificate.
    Tls,
    /// The credentials were refused.
    Unauthorized,
    /// The credentials are good, the rights are missing.
    Forbidden,
    /// There is no such realm.
    RealmNotFound,
    /// The client ID is taken.
    Taken,
    /// The identity provider refuses this write for good (validation, a static client).
    Refused,
    /// Too many requests.
    Throttled,
    /// The answer made no sense: not the server we expect.
    Protocol,
    /// The server failed; whether a write took effect is unknown.
    Server,
    /// This server cannot do that (an older version, another storage).
    Unsupported,
    /// What a person set up for the identity provider in Kubernetes is not as it must be.
    Configuration,
    /// The identity provider is being rolled out: until that has ended, nothing can be written.
    RollingOut,
}

/// What a failure asks of the loop: who must act, and how soon a retry makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A person must change something; retry rarely.
    User,
    /// Likely to pass by itself.
    Transient,
    /// Slow down.
    Throttled,
    /// Credentials or rights.
    Auth,
    /// A defect, here or there.
    Bug,
}

/// A failed call to an identity provider. The message is ours or parsed and bounded: never a raw answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{operation}: {message}")]
pub struct IdpError {
    /// The kind.
    pub kind: IdpErrorKind,
    /// What was tried, for people (`CreateClient`, `discovery`).
    pub operation: &'static str,
    /// What went wrong, bounded, without secrets.
    pub message: String,
    /// How long the server asks to wait (`Retry-After`, RFC 9110, section 10.2.3), bounded.
    pub retry_after: Option<Duration>,
}

/// Longest wait that a server is granted: it may ask for days.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Longest piece of foreign text that is passed on.
const MAX_MESSAGE: usize = 300;

impl IdpError {
    /// Builds an error; `message` is cut and stripped of control characters.
    pub fn new(kind: IdpErrorKind, operation: &'static str, message: impl AsRef<str>) -> Self {
        Self {
            kind,
            operation,
            message: bounded(message.as_ref()),
            retry_after: None,
        }
    }

    /// The same, from a server that asks to be left alone for a while.
    #[must_use]
    pub fn after(self, wait: Option<Duration>) -> Self {
        Self {
            retry_after: wait.map(|wait| wait.min(MAX_RETRY_AFTER)),
            ..self
        }
    }

    /// What it asks of the loop.
    pub fn class(&self) -> ErrorClass {
        match self.kind {
            IdpErrorKind::Unreachable | IdpErrorKind::Timeout | IdpErrorKind::Server | IdpErrorKind::RollingOut => {
                ErrorClass::Transient
            }
            IdpErrorKind::Throttled => ErrorClass::Throttled,
            IdpErrorKind::Unauthorized | IdpErrorKind::Forbidden | IdpErrorKind::RealmNotFound | IdpErrorKind::Tls => {
                ErrorClass::Auth
            }
            IdpErrorKind::Taken | IdpErrorKind::Refused | IdpErrorKind::Unsupported | IdpErrorKind::Configuration => {
                ErrorClass::User
            }
            IdpErrorKind::Protocol => ErrorClass::Bug,
        }
    }

    /// Was the write definitely not carried out? Otherwise its outcome is unknown: look before the next write.
    pub fn is_definite(&self) -> bool {
        matches!(
            self.kind,
            IdpErrorKind::Taken
                | IdpErrorKind::Refused
                | IdpErrorKind::Unauthorized
                | IdpErrorKind::Forbidden
                | IdpErrorKind::RealmNotFound
                | IdpErrorKind::Unsupported
                | IdpErrorKind::Configuration
                | IdpErrorKind::RollingOut
        )
    }
}

/// Foreign text made safe for a condition or a log: one line, at most 300 characters.
pub fn bounded(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_MESSAGE + 1)
        .collect();
    if clean.chars().count() > MAX_MESSAGE {
        clean.chars().take(MAX_MESSAGE).chain(['…']).collect()
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_cut_and_cleaned() {
        let error = IdpError::new(IdpErrorKind::Protocol, "x", "a\nb\0".to_owned() + &"é".repeat(500));
        assert_eq!(error.message.chars().count(), MAX_MESSAGE + 1);
        assert!(error.message.starts_with("a b "));
        assert!(error.message.ends_with('…'));
    }
}
