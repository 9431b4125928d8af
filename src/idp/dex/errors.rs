//! What Dex's and the connection's failures mean.
//!
//! Dex answers every failure of its own with code UNKNOWN and a text (`server/api.go`); tonic turns failures of the
//! connection into a status, too, and keeps the cause as its source. So the source is asked first, then the code, then
//! the text.

use std::error::Error as _;

use tonic::{Code, Status};

use crate::{
    domain::{ClientSecret, IdpError, IdpErrorKind},
    idp::connection::{Peer, diagnose},
};

/// Is this Dex's way to say that there is no such client? The whole text, not a part of it: "not found" inside of some
/// other failure is no evidence of absence (`storage.ErrNotFound`, handed on as it is by `GetClient`).
pub(super) fn is_not_found(status: &Status) -> bool {
    status.source().is_none()
        && match status.code() {
            Code::Unknown => status.message() == "not found",
            // No release says so; it would be the right code.
            Code::NotFound => true,
            _ => false,
        }
}

/// Did the connection fail, rather than Dex?
pub(super) fn is_transport_failure(status: &Status) -> bool {
    status.source().is_some()
        || matches!(
            status.code(),
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded
        )
}

/// Did the server hang up on a connection that was made? The cause may be an alert that the HTTP/2 library dropped. What
/// failed while connecting is Unavailable and carries its cause.
pub(super) fn is_hang_up(status: &Status) -> bool {
    status.source().is_some() && status.code() != Code::Unavailable
}

/// Classifies a failed call. `sent` is cut out of whatever text Dex answers.
pub(super) fn classify(
    operation: &'static str,
    status: &Status,
    peer: Peer<'_>,
    sent: Option<&ClientSecret>,
) -> IdpError {
    let (kind, message) = meaning(operation, status, peer);
    IdpError::new(kind, operation, without_secret(message, sent))
}

/// A call that did not end in time.
pub(super) fn timed_out(operation: &'static str, peer: Peer<'_>, seconds: f32) -> IdpError {
    IdpError::new(
        IdpErrorKind::Timeout,
        operation,
        format!("{} did not answer within {seconds} s", peer.name),
    )
}

fn meaning(operation: &'static str, status: &Status, peer: Peer<'_>) -> (IdpErrorKind, String) {
    let name = peer.name;
    if let Some(known) = status.source().and_then(|source| diagnose(source, peer)) {
        return known;
    }
    let text = status.message();
    match status.code() {
        Code::Unimplemented if operation == "GetVersion" => (
            IdpErrorKind::Protocol,
            format!("{name} answers, but not as Dex's gRPC API: check the address and its port"),
        ),
        Code::Unimplemented => (
            IdpErrorKind::Unsupported,
            format!(
                "this Dex has no call {operation}: {} or newer is needed",
                since(operation)
            ),
        ),
        Code::Unavailable => (IdpErrorKind::Unreachable, format!("{name} cannot be reached")),
        Code::DeadlineExceeded => (IdpErrorKind::Timeout, format!("{name} did not answer in time")),
        Code::Unauthenticated => (IdpErrorKind::Unauthorized, format!("{name} refused the credentials")),
        Code::PermissionDenied => (
            IdpErrorKind::Forbidden,
            format!("{name} refused the call: the credentials lack rights"),
        ),
        Code::ResourceExhausted => (IdpErrorKind::Throttled, format!("{name} asks for fewer requests")),
        // tonic's own words for an answer that is too long, and for one that it cannot read.
        Code::OutOfRange => (
            IdpErrorKind::Protocol,
            format!("{name} answered with more than is read"),
        ),
        Code::Internal if local(text) => (
            IdpErrorKind::Protocol,
            format!("{name} answers, but not in Dex's protocol: check the address and its port"),
        ),
        Code::Unknown if text.contains("static clients: read-only") => (
            IdpErrorKind::Refused,
            "the client ID is a static client in Dex's configuration: remove it from staticClients or choose another \
             clientID"
                .to_owned(),
        ),
        Code::Unknown if operation == "ListClients" && text.contains("not implemented") => (
            IdpErrorKind::Unsupported,
            "Dex cannot list clients with Kubernetes storage".to_owned(),
        ),
        _ if status.source().is_some() => (
            IdpErrorKind::Unreachable,
            format!(
                "the connection to {name} failed: is it the right port, and does it want TLS or a client certificate?"
            ),
        ),
        _ => (IdpErrorKind::Server, format!("Dex failed: {text}")),
    }
}

/// The release that brought a call.
fn since(operation: &str) -> &'static str {
    match operation {
        "ListClients" => "2.44",
        "GetClient" => "2.38",
        _ => "2.0",
    }
}

/// Texts of tonic's decoder (`tonic/src/codec/decode.rs`, `tonic-prost`) and of a missing `grpc-status`.
fn local(text: &str) -> bool {
    text.starts_with("failed to decode")
        || text.starts_with("protocol error")
        || text.starts_with("grpc-status header missing")
        || text.contains("compression flag")
}

/// What was sent is not sent back.
pub(super) fn without_secret(message: String, sent: Option<&ClientSecret>) -> String {
    match sent.map(ClientSecret::expose) {
        Some(secret) if !secret.is_empty() => message.replace(secret, "…"),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idp::connection::Trust;

    const PEER: Peer<'static> = Peer {
        name: "dex:5557",
        trust: Trust::GivenCa,
        shows_identity: true,
    };

    fn kind(operation: &'static str, status: &Status) -> IdpErrorKind {
        classify(operation, status, PEER, None).kind
    }

    #[test]
    fn what_dex_says() {
        for (operation, status, expected) in [
            (
                "CreateClient",
                Status::unknown("create client: static clients: read-only cannot create client"),
                IdpErrorKind::Refused,
            ),
            (
                "DeleteClient",
                Status::unknown("delete client: static clients: read-only cannot delete client"),
                IdpErrorKind::Refused,
            ),
            (
                "ListClients",
                Status::unknown("list clients: not implemented"),
                IdpErrorKind::Unsupported,
            ),
            (
                "ListClients",
                Status::unimplemented("unknown method ListClients"),
                IdpErrorKind::Unsupported,
            ),
            ("GetVersion", Status::unimplemented(""), IdpErrorKind::Protocol),
            (
                "CreateClient",
                Status::unknown("create client: database is locked"),
                IdpErrorKind::Server,
            ),
            (
                "CreateClient",
                Status::unavailable("the server is shutting down"),
                IdpErrorKind::Unreachable,
            ),
            (
                "CreateClient",
                Status::deadline_exceeded("context deadline exceeded"),
                IdpErrorKind::Timeout,
            ),
            (
                "GetClient",
                Status::internal("failed to decode Protobuf message: x"),
                IdpErrorKind::Protocol,
            ),
            ("GetClient", Status::internal("panic"), IdpErrorKind::Server),
            (
                "ListClients",
                Status::out_of_range("decoded message length too large"),
                IdpErrorKind::Protocol,
            ),
        ] {
            assert_eq!(kind(operation, &status), expected, "{operation} {status:?}");
        }
    }

    #[test]
    fn only_the_exact_text_means_absent() {
        assert!(is_not_found(&Status::unknown("not found")));
        assert!(!is_not_found(&Status::unknown(
            "get client: table oauth2_client not found"
        )));
        assert!(!is_not_found(&Status::unavailable("not found")));
        assert!(
            !is_not_found(&Status::from_error("not found".into())),
            "a failed connection says nothing"
        );
    }

    #[test]
    fn the_cause_beats_the_code() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::from_error(Box::new(refused));
        let error = classify("GetVersion", &status, PEER, None);
        assert_eq!(error.kind, IdpErrorKind::Unreachable);
        assert!(error.message.contains("refuses connections"), "{error}");
        assert!(is_transport_failure(&status));
        assert!(!is_transport_failure(&Status::unknown("not found")));
    }

    #[test]
    fn a_secret_that_comes_back_in_a_text_is_cut_out() {
        let secret = ClientSecret::new("hunter2");
        let status = Status::unknown("create client: duplicate row (shop_web, hunter2)");
        let error = classify("CreateClient", &status, PEER, Some(&secret));
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.message.contains("shop_web"), "{error}");
    }
}
