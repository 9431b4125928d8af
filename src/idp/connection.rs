//! What a failed connection means: a chain of errors in, a kind and a sentence for people out.
//!
//! HTTP and gRPC share it. Libraries bury the cause: `reqwest::Error` -> `hyper_util` -> `io::Error` -> `rustls::Error`,
//! where an `io::Error` even hides the error that it carries from `source()`. So the whole chain is walked and what is
//! recognised by its type decides; text is looked at only for DNS, which has no type of its own.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use rustls::{AlertDescription, CertificateError};

use crate::domain::IdpErrorKind;

/// Which certificates a connection trusts; it decides what to tell a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Only the given CA.
    GivenCa,
    /// The system's roots.
    System,
}

/// The peer as messages name it, and what the connection trusts.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// `host:port` or `host`.
    pub name: &'a str,
    /// What it must be signed by.
    pub trust: Trust,
    /// Does the operator show a certificate of its own?
    pub shows_identity: bool,
}

/// Reads the chain of `error`; `None` where nothing in it is known.
pub fn diagnose(error: &(dyn Error + 'static), peer: Peer<'_>) -> Option<(IdpErrorKind, String)> {
    let chain = chain(error);
    // TLS first: a refused handshake often also shows as a reset or an unexpected end.
    chain
        .iter()
        .find_map(|error| error.downcast_ref::<rustls::Error>())
        .map(|error| (IdpErrorKind::Tls, tls(error, peer)))
        .or_else(|| chain.iter().find_map(|error| dns(*error, peer)))
        .or_else(|| {
            chain
                .iter()
                .find_map(|error| error.downcast_ref::<io::Error>())
                .and_then(|error| io(error, peer))
        })
}

/// The error and all that it was caused by, outermost first, with what `io::Error` carries inside.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    /// No honest chain is longer; a cyclic one ends here.
    const MAX_DEPTH: usize = 32;
    let mut found = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next
        && found.len() < MAX_DEPTH
    {
        found.push(error);
        // `io::Error::source` is the source of what it carries and skips that itself.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    found
}

fn dns(error: &(dyn Error + 'static), peer: Peer<'_>) -> Option<(IdpErrorKind, String)> {
    // hyper-util's ConnectError has no public kind; the standard library's lookup error has no ErrorKind.
    let text = error.to_string();
    (text == "dns error" || text.starts_with("failed to lookup address")).then(|| {
        let name = peer.name;
        (
            IdpErrorKind::Unreachable,
            format!("the name of {name} cannot be resolved: check its spelling and DNS"),
        )
    })
}

fn io(error: &io::Error, peer: Peer<'_>) -> Option<(IdpErrorKind, String)> {
    let name = peer.name;
    let message = match error.kind() {
        ErrorKind::ConnectionRefused => {
            format!("{name} refuses connections: is it running, and is the port right?")
        }
        ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionAborted => {
            format!("{name} closed the connection: is it the right port, and does it want TLS or a client certificate?")
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable => {
            format!("there is no route to {name}: check network policies and routing")
        }
        ErrorKind::TimedOut => return Some((IdpErrorKind::Timeout, format!("{name} does not answer"))),
        _ => return None,
    };
    Some((IdpErrorKind::Unreachable, message))
}

fn tls(error: &rustls::Error, peer: Peer<'_>) -> String {
    let name = peer.name;
    match error {
        rustls::Error::InvalidCertificate(error) => certificate(error, peer),
        rustls::Error::AlertReceived(alert) => refused(*alert, peer),
        rustls::Error::InvalidMessage(_) => format!("{name} does not speak TLS: is it plain http, or another port?"),
        rustls::Error::PeerIncompatible(_) => {
            format!("{name} and the operator share no TLS version or cipher: TLS 1.2 or newer is needed")
        }
        rustls::Error::NoCertificatesPresented => format!("{name} shows no certificate"),
        // The remaining ones are of the TLS library and name no secrets.
        other => format!("TLS with {name} failed: {other}"),
    }
}

fn certificate(error: &CertificateError, peer: Peer<'_>) -> String {
    let name = peer.name;
    match error {
        CertificateError::UnknownIssuer => match peer.trust {
            Trust::GivenCa => format!("the certificate of {name} is not signed by the given CA"),
            Trust::System => {
                format!(
                    "the certificate of {name} is not signed by a CA that the system trusts: give the CA that signed it"
                )
            }
        },
        CertificateError::BadSignature => format!(
            "the certificate of {name} is signed by another key than the trusted CA's: was the CA made anew under the \
             same name?"
        ),
        CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
            let names = presented
                .iter()
                .take(5)
                .map(|name| readable_name(name))
                .collect::<Vec<_>>()
                .join(", ");
            format!("the certificate of {name} is for other names: {names}")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("the certificate of {name} names no host (a subjectAltName is needed)")
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate of {name} expired at {}", instant(not_after.as_secs()))
        }
        CertificateError::Expired => format!("the certificate of {name} has expired"),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!(
                "the certificate of {name} is not valid before {}: check both clocks",
                instant(not_before.as_secs())
            )
        }
        CertificateError::NotValidYet => format!("the certificate of {name} is not valid yet: check both clocks"),
        CertificateError::Revoked => format!("the certificate of {name} was revoked"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("the certificate of {name} is not one for servers (extended key usage serverAuth)")
        }
        CertificateError::BadEncoding => format!("the certificate of {name} is malformed"),
        // webpki's CaUsedAsEndEntity has no variant in rustls.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => format!(
            "the certificate of {name} is a CA's own (self-signed?): let a CA sign a certificate for the server, with CA:FALSE"
        ),
        other => format!("the certificate of {name} is not acceptable: {other}"),
    }
}

/// rustls prints names as `DnsName("a.example")` and `IpAddress(127.0.0.1)`.
fn readable_name(name: &str) -> String {
    name.trim_start_matches("DnsName(")
        .trim_start_matches("IpAddress(")
        .trim_end_matches(')')
        .trim_matches('"')
        .to_owned()
}

fn instant(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an unknown time".to_owned(), |instant| instant.to_string())
}

fn refused(alert: AlertDescription, peer: Peer<'_>) -> String {
    let name = peer.name;
    match alert {
        AlertDescription::CertificateRequired => {
            format!("{name} wants a client certificate: give one that its client CA signed")
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnknownCA
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => {
            if peer.shows_identity {
                format!(
                    "{name} refused the client certificate ({alert:?}): it must be valid now and signed by the server's \
                     client CA"
                )
            } else {
                // A Go server before 1.24, and TLS 1.2, say `bad certificate` where none was shown.
                format!("{name} wants a client certificate ({alert:?}): give one that its client CA signed")
            }
        }
        AlertDescription::UnrecognisedName => format!("{name} serves no certificate for that name"),
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            format!("{name} and the operator share no TLS version or cipher: TLS 1.2 or newer is needed")
        }
        AlertDescription::NoApplicationProtocol => format!("{name} does not speak HTTP/2, which gRPC needs"),
        other => format!("{name} refused the TLS handshake ({other:?})"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const PEER: Peer<'static> = Peer {
        name: "dex:5557",
        trust: Trust::GivenCa,
        shows_identity: true,
    };

    /// As libraries nest it: an outer error, an io::Error, and the cause inside of that.
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    fn told(cause: rustls::Error, peer: Peer<'_>) -> String {
        let (kind, message) = diagnose(&Outer(io::Error::new(ErrorKind::InvalidData, cause)), peer).unwrap();
        assert_eq!(kind, IdpErrorKind::Tls);
        message
    }

    #[test]
    fn finds_tls_inside_of_io() {
        let error = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(
            told(error.clone(), PEER),
            "the certificate of dex:5557 is not signed by the given CA"
        );
        let message = told(
            error,
            Peer {
                trust: Trust::System,
                ..PEER
            },
        );
        assert!(message.ends_with("give the CA that signed it"), "{message}");
    }

    #[test]
    fn tells_who_must_change_the_client_certificate() {
        let alert = rustls::Error::AlertReceived(AlertDescription::BadCertificate);
        assert!(told(alert.clone(), PEER).contains("refused the client certificate"));
        assert!(
            told(
                alert,
                Peer {
                    shows_identity: false,
                    ..PEER
                }
            )
            .contains("wants a client certificate")
        );
    }

    #[test]
    fn names_the_names_that_a_certificate_is_for() {
        let error = rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            expected: "dex".try_into().unwrap(),
            presented: vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()],
        });
        assert_eq!(
            told(error, PEER),
            "the certificate of dex:5557 is for other names: a.example, 127.0.0.1"
        );
    }

    #[test]
    fn a_ca_used_as_server_certificate_is_explained() {
        #[derive(Debug, thiserror::Error)]
        #[error("CaUsedAsEndEntity")]
        struct Webpki;
        let error = CertificateError::Other(rustls::OtherError(Arc::new(Webpki)));
        assert!(told(rustls::Error::InvalidCertificate(error), PEER).contains("CA:FALSE"));
    }

    #[test]
    fn tells_refused_from_closed_from_unknown() {
        let refused = Outer(io::Error::from(ErrorKind::ConnectionRefused));
        assert_eq!(diagnose(&refused, PEER).unwrap().0, IdpErrorKind::Unreachable);
        let closed = Outer(io::Error::new(ErrorKind::UnexpectedEof, "tls handshake eof"));
        assert!(diagnose(&closed, PEER).unwrap().1.contains("closed the connection"));
        let slow = Outer(io::Error::from(ErrorKind::TimedOut));
        assert_eq!(diagnose(&slow, PEER).unwrap().0, IdpErrorKind::Timeout);
        assert_eq!(diagnose(&Outer(io::Error::other("?")), PEER), None);
    }
}
