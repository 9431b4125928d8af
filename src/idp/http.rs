//! The HTTP client of everything that is not gRPC: discovery, keys, token endpoints, later admin APIs.
//!
//! - With a CA given, only that CA is trusted; without one, the system's roots. There is no switch to skip the check.
//! - Redirects are not followed. A redirect of discovery or of a token endpoint means that the configured address is
//!   wrong, or that somebody wants it to be: the answer would not come from where it was asked for, and a token request
//!   carries the client's secret.
//! - Connecting, the whole call and the size of the answer are bounded.
//! - `HTTPS_PROXY` and `NO_PROXY` of the environment are honoured.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{
    Certificate, Client, Identity, Method, RequestBuilder, Url,
    header::{HeaderMap, LOCATION, RETRY_AFTER},
    redirect::Policy,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::{
    Transport,
    connection::{Peer, Trust, diagnose},
};
use crate::domain::{IdpError, IdpErrorKind, error::bounded, pem::CaBundle};

/// As other servers see us.
pub const USER_AGENT: &str = concat!("oidc-operator/", env!("CARGO_PKG_VERSION"));

/// Largest answer that is read. A discovery document has some kilobytes, a page of clients some hundred; of clients with
/// hundreds of addresses some thousand.
pub const MAX_BODY_BYTES: usize = 8 << 20;

/// A connection that is not there after this long will not come: what is left of the deadline is for the answer.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that are kept for the next call. There are never more than there were calls under way at once
/// (`adminAPI.maxInFlight`, at most this); closing one only to open another costs the server a TLS handshake.
const MAX_IDLE: usize = 64;

/// Operation of errors in what was configured rather than in a call.
pub(crate) const CONFIGURATION: &str = "configuration";

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most [`MAX_BODY_BYTES`]. It may hold secrets.
    pub body: AnswerBody,
    /// `Location`, bounded, for people.
    pub location: Option<String>,
    /// The same as an address, whole.
    pub target: Option<Url>,
    /// `Retry-After`: how long the server asks to wait (RFC 9110, section 10.2.3).
    pub retry_after: Option<Duration>,
}

/// A body whose `Debug` tells its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerBody(Vec<u8>);

impl AnswerBody {
    /// Takes bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AnswerBody({} bytes)", self.0.len())
    }
}

/// An HTTP client with one set of trusted roots. Cheap to clone; keeps its connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client,
    timeout: Duration,
    trust: Trust,
    shows_identity: bool,
}

impl HttpClient {
    /// Builds a client; no IO but, without a CA, reading the system's roots.
    ///
    /// # Errors
    /// [`IdpErrorKind::Tls`] where the CA or the client certificate cannot be used, or the system has no roots.
    pub fn new(transport: &Transport) -> Result<Self, IdpError> {
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .timeout(transport.timeout)
            .connect_timeout(transport.timeout.min(CONNECT_TIMEOUT))
            .redirect(Policy::none())
            .referer(false)
            // One host a client; a resync must not leave a heap of idle connections behind.
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(Duration::from_secs(60));
        if let Some(pem) = &transport.certificate_authority {
            let roots = ca(pem)?
                .certificates()
                .iter()
                .map(|certificate| Certificate::from_der(&certificate.der))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| tls_configuration("a certificate of the CA cannot be used as a trust anchor"))?;
            builder = if transport.system_roots {
                builder.tls_certs_merge(roots)
            } else {
                builder.tls_certs_only(roots)
            };
        }
        if let Some(identity) = &transport.identity {
            let pem = format!("{}\n{}", identity.certificate, identity.key.expose_secret());
            // The library's error is dropped: it may quote what it read.
            let identity = Identity::from_pem(pem.as_bytes())
                .map_err(|_| tls_configuration("the client certificate or its key is not PEM"))?;
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|_| {
            tls_configuration(if transport.identity.is_some() {
                "the client certificate and its key do not fit, or the CA cannot be used as a trust anchor"
            } else if transport.certificate_authority.is_some() {
                "a certificate of the CA cannot be used as a trust anchor"
            } else {
                "the system has no CA certificates (SSL_CERT_FILE): give the CA"
            })
        })?;
        let trust = if transport.certificate_authority.is_some() && !transport.system_roots {
            Trust::GivenCa
        } else {
            Trust::System
        };
        Ok(Self {
            client,
            timeout: transport.timeout,
            trust,
            shows_identity: transport.identity.is_some(),
        })
    }

    /// GET; every status is an answer.
    ///
    /// # Errors
    /// [`IdpErrorKind`]: `Unreachable`, `Timeout`, `Tls`, or `Protocol`.
    pub async fn get(&self, operation: &'static str, url: &str) -> Result<Answer, IdpError> {
        let url = self.url(operation, url)?;
        self.send(operation, &url, self.client.get(url.clone())).await
    }

    /// POST of a form; `complete` adds what else the request needs (authentication).
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post_form(
        &self,
        operation: &'static str,
        url: &str,
        form: &[(&str, &str)],
        complete: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Answer, IdpError> {
        let url = self.url(operation, url)?;
        self.send(operation, &url, complete(self.client.post(url.clone()).form(form)))
            .await
    }

    /// A request with a bearer token (RFC 6750) and, if given, a JSON body.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn with_token(
        &self,
        operation: &'static str,
        method: Method,
        url: Url,
        token: &SecretString,
        body: Option<&Value>,
    ) -> Result<Answer, IdpError> {
        let request = self
            .client
            .request(method, url.clone())
            .bearer_auth(token.expose_secret());
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.send(operation, &url, request).await
    }

    /// A request without credentials and, if given, with a JSON body.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn json(
        &self,
        operation: &'static str,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Answer, IdpError> {
        let request = self.client.request(method, url.clone());
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        self.send(operation, &url, request).await
    }

    fn url(&self, operation: &'static str, url: &str) -> Result<Url, IdpError> {
        parse_url(url).ok_or_else(|| {
            IdpError::new(
                IdpErrorKind::Protocol,
                operation,
                format!("{url:?} is not an http(s) URL"),
            )
        })
    }

    async fn send(&self, operation: &'static str, url: &Url, request: RequestBuilder) -> Result<Answer, IdpError> {
        let failed = |error: reqwest::Error| self.classify(operation, url, &error);
        let mut response = request.send().await.map_err(failed)?;
        let too_long = || {
            let message = format!("{} answers with more than {MAX_BODY_BYTES} bytes", peer_name(url));
            IdpError::new(IdpErrorKind::Protocol, operation, message)
        };
        if response
            .content_length()
            .is_some_and(|length| length > MAX_BODY_BYTES as u64)
        {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        let headers = response.headers();
        Ok(Answer {
            status: response.status().as_u16(),
            location: header(headers, LOCATION.as_str()),
            target: headers
                .get(LOCATION)
                .and_then(|value| url.join(value.to_str().ok()?).ok()),
            retry_after: header(headers, RETRY_AFTER.as_str()).and_then(|value| retry_after(&value, Timestamp::now())),
            body: AnswerBody(body),
        })
    }

    /// A failed request in our terms. The error's own text is dropped: it repeats the URL and helps nobody.
    fn classify(&self, operation: &'static str, url: &Url, error: &reqwest::Error) -> IdpError {
        let name = peer_name(url);
        let peer = Peer {
            name: &name,
            trust: self.trust,
            shows_identity: self.shows_identity,
        };
        let (kind, message) = if error.is_timeout() {
            (
                IdpErrorKind::Timeout,
                format!("{name} did not answer within {} s", self.timeout.as_secs_f32()),
            )
        } else if let Some(known) = diagnose(error, peer) {
            known
        } else if error.is_connect() {
            (IdpErrorKind::Unreachable, format!("{name} cannot be reached"))
        } else {
            (
                IdpErrorKind::Protocol,
                format!("{name} does not answer in HTTP/1.1: is it the right port?"),
            )
        };
        IdpError::new(kind, operation, message)
    }
}

/// An http or https URL with a host; `None` where the text is none.
pub(crate) fn parse_url(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host())
}

/// Completes a request with a client's credentials in its header. RFC 6749, section 2.3.1: both are form-encoded before they go
/// into it.
pub(crate) fn client_secret_basic(request: RequestBuilder, client_id: &str, secret: &str) -> RequestBuilder {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    request.basic_auth(encoded(client_id), Some(encoded(secret)))
}

/// `host:port`, as messages name it: never a path or a query.
pub(crate) fn peer_name(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(bounded)
}

/// `Retry-After`: seconds, or a date.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

/// Reads the PEM of a transport.
pub(crate) fn ca(pem: &str) -> Result<CaBundle, IdpError> {
    CaBundle::parse(pem).map_err(|error| tls_configuration(format!("the CA {error}")))
}

pub(crate) fn tls_configuration(message: impl AsRef<str>) -> IdpError {
    IdpError::new(IdpErrorKind::Tls, CONFIGURATION, message)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use rcgen::{ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
    use secrecy::SecretString;

    use super::*;
    use crate::idp::{
        ClientIdentity,
        testing::{Authority, crypto, response, serve, transport},
    };

    async fn get(transport: &Transport, url: &str) -> Result<Answer, IdpError> {
        HttpClient::new(transport).unwrap().get("discovery", url).await
    }

    async fn failure(transport: &Transport, url: &str) -> (IdpErrorKind, String) {
        let error = get(transport, url).await.unwrap_err();
        (error.kind, error.message)
    }

    fn ok(_: &str) -> Vec<u8> {
        response("200 OK", "{}")
    }

    #[tokio::test]
    async fn the_given_ca_is_trusted_and_we_say_who_we_are() {
        let ca = Authority::new("ours");
        let port = serve(Some(ca.server(&["localhost"], |_| {})), |request| {
            assert!(request.contains(&format!("user-agent: oidc-operator/{}\r\n", env!("CARGO_PKG_VERSION"))));
            response("200 OK", "{}")
        });
        let answer = get(&transport(Some(&ca)), &format!("https://localhost:{port}/x"))
            .await
            .unwrap();
        assert_eq!((answer.status, answer.body.as_bytes()), (200, b"{}".as_slice()));
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_certificate_is_told() {
        let ca = Authority::new("ours");
        let other = Authority::new("another");
        let twin = Authority::new("ours");
        let trusted = transport(Some(&ca));
        let long_ago = |params: &mut rcgen::CertificateParams| params.not_after = date_time_ymd(2020, 1, 1);
        let not_yet = |params: &mut rcgen::CertificateParams| params.not_before = date_time_ymd(2900, 1, 1);
        let for_clients = |params: &mut rcgen::CertificateParams| {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        };
        for (server, told) in [
            (other.server(&["localhost"], |_| {}), "is not signed by the given CA"),
            (twin.server(&["localhost"], |_| {}), "under the same name"),
            (
                ca.server(&["dex.example.com"], |_| {}),
                "is for other names: dex.example.com",
            ),
            (ca.server(&["localhost"], long_ago), "expired at 2020-01-01T00:00:00Z"),
            (
                ca.server(&["localhost"], not_yet),
                "not valid before 2900-01-01T00:00:00Z",
            ),
            (ca.server(&["localhost"], for_clients), "not one for servers"),
        ] {
            let port = serve(Some(server), ok);
            let (kind, message) = failure(&trusted, &format!("https://localhost:{port}/")).await;
            assert_eq!(kind, IdpErrorKind::Tls, "{message}");
            assert!(
                message.contains(told) && message.contains(&format!("localhost:{port}")),
                "{message}"
            );
        }
    }

    #[tokio::test]
    async fn without_a_ca_the_system_decides() {
        let ca = Authority::new("ours");
        let port = serve(Some(ca.server(&["localhost"], |_| {})), ok);
        // A machine without any roots refuses earlier, and says so.
        let Ok(client) = HttpClient::new(&transport(None)) else {
            return;
        };
        let error = client
            .get("discovery", &format!("https://localhost:{port}/"))
            .await
            .unwrap_err();
        assert_eq!(error.kind, IdpErrorKind::Tls);
        assert!(error.message.contains("give the CA that signed it"), "{error}");
    }

    #[tokio::test]
    async fn a_given_ca_replaces_the_systems() {
        // Both are trusted if, and only if, both are given.
        let (one, other) = (Authority::new("one"), Authority::new("other"));
        let port = serve(Some(one.server(&["localhost"], |_| {})), ok);
        let url = format!("https://localhost:{port}/");
        let both = Transport {
            certificate_authority: Some(one.pem() + &other.pem()),
            ..transport(None)
        };
        assert_eq!(get(&both, &url).await.unwrap().status, 200);
        assert_eq!(failure(&transport(Some(&other)), &url).await.0, IdpErrorKind::Tls);
    }

    /// Nobody would notice here: so a condition tells of it (`CertificatesValid`). OpenSSL, Go and Java refuse it.
    #[tokio::test]
    async fn the_dates_of_a_ca_are_not_looked_at() {
        let ca = Authority::with("old", |params| params.not_after = date_time_ymd(2020, 1, 1));
        let port = serve(Some(ca.server(&["localhost"], |_| {})), ok);
        let answer = get(&transport(Some(&ca)), &format!("https://localhost:{port}/")).await;
        assert_eq!(answer.unwrap().status, 200);
    }

    #[tokio::test]
    async fn unreachable_servers_are_told_apart() {
        let ca = Authority::new("ours");
        let trusted = transport(Some(&ca));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (kind, message) = failure(&trusted, &format!("https://localhost:{port}/")).await;
        assert_eq!(kind, IdpErrorKind::Unreachable);
        assert!(message.contains("refuses connections"), "{message}");

        let (kind, message) = failure(&trusted, "https://no-such-host.invalid/").await;
        assert_eq!(kind, IdpErrorKind::Unreachable);
        assert!(
            message.contains("DNS") && message.contains("no-such-host.invalid"),
            "{message}"
        );

        let plain = serve(None, ok);
        let (kind, message) = failure(&trusted, &format!("https://localhost:{plain}/")).await;
        assert_eq!(kind, IdpErrorKind::Tls);
        assert!(message.contains("does not speak TLS"), "{message}");

        let tls = serve(Some(ca.server(&["localhost"], |_| {})), ok);
        let (kind, message) = failure(&trusted, &format!("http://localhost:{tls}/")).await;
        assert!(
            matches!(kind, IdpErrorKind::Protocol | IdpErrorKind::Unreachable),
            "{kind:?} {message}"
        );
    }

    #[tokio::test]
    async fn a_silent_server_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let hasty = Transport {
            timeout: Duration::from_millis(50),
            ..transport(Some(&Authority::new("ours")))
        };
        let (kind, message) = failure(&hasty, &url).await;
        assert_eq!(kind, IdpErrorKind::Timeout, "{message}");
        assert!(message.contains("within 0.05 s"), "{message}");
    }

    #[tokio::test]
    async fn a_server_that_stops_half_way_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
                .unwrap();
            std::thread::park();
        });
        let hasty = Transport {
            timeout: Duration::from_millis(200),
            ..transport(Some(&Authority::new("ours")))
        };
        assert_eq!(failure(&hasty, &url).await.0, IdpErrorKind::Timeout);
    }

    #[tokio::test]
    async fn redirects_are_answers() {
        let followed = Arc::new(AtomicBool::new(false));
        let seen = followed.clone();
        let port = serve(None, move |request| {
            if request.starts_with("GET /elsewhere") {
                seen.store(true, Ordering::SeqCst);
            }
            b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec()
        });
        let url = format!("http://localhost:{port}/");
        let answer = get(&transport(Some(&Authority::new("ours"))), &url).await.unwrap();
        assert_eq!((answer.status, answer.location.as_deref()), (302, Some("/elsewhere")));
        assert!(!followed.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_flood_is_cut_off() {
        let trusted = transport(Some(&Authority::new("ours")));
        let announced = serve(None, |_| {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", MAX_BODY_BYTES + 1).into_bytes()
        });
        let endless = serve(None, |_| {
            let mut answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
            answer.resize(MAX_BODY_BYTES + 1000, b'x');
            answer
        });
        for port in [announced, endless] {
            let (kind, message) = failure(&trusted, &format!("http://localhost:{port}/")).await;
            assert_eq!(kind, IdpErrorKind::Protocol, "{message}");
            assert!(message.contains("more than 8388608 bytes"), "{message}");
        }
    }

    #[test]
    fn unusable_certificates_are_refused_before_any_io() {
        crypto();
        let ca = Authority::new("ours");
        let told = |transport: &Transport| {
            let error = HttpClient::new(transport).unwrap_err();
            assert_eq!(error.kind, IdpErrorKind::Tls);
            error.to_string()
        };
        let garbage = Transport {
            certificate_authority: Some("garbage".to_owned()),
            ..transport(None)
        };
        assert!(
            told(&garbage).contains("the CA holds no certificate"),
            "{}",
            told(&garbage)
        );

        let (certificate, _) = ca.sign(&["client"], |_| {});
        let identity = |key: String| Transport {
            identity: Some(ClientIdentity {
                certificate: certificate.clone(),
                key: SecretString::from(key),
            }),
            ..transport(Some(&ca))
        };
        assert!(told(&identity("hunter2".to_owned())).contains("not PEM"));
        let foreign = KeyPair::generate().unwrap().serialize_pem();
        assert!(told(&identity(foreign)).contains("do not fit"));
    }

    #[test]
    fn debug_shows_no_body() {
        assert_eq!(
            format!("{:?}", AnswerBody::new(b"hunter2".to_vec())),
            "AnswerBody(7 bytes)"
        );
    }
}
