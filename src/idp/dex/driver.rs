//! The IO half: one gRPC call each, over a channel that is made when it is needed and thrown away when it fails.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rustls::ClientConfig;
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, timeout_at};
use tonic::{
    Response, Status,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{
    errors::{classify, is_hang_up, is_not_found, is_transport_failure, timed_out},
    handshake,
    model::{DexModel, create_request, observe, observe_listed, update_request},
    proto::{self, dex_client::DexClient},
};
use crate::{
    domain::{
        CaBundle, ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof,
        RemoteDiff, error::bounded,
    },
    idp::{
        ClientIdentity, Created, Credentials, Driver, Page, ServerInfo, Transport, Written,
        connection::{Peer, Trust, diagnose},
        http::{CONFIGURATION, CONNECT_TIMEOUT, HttpClient, USER_AGENT, ca, tls_configuration},
        proof,
    },
};

/// Largest answer that is read: some 50 000 clients in one `ListClients`.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// Pings while a call waits, so that a dead peer is noticed before the deadline. Only then: grpc-go, which Dex uses,
/// hangs up on clients that ping an idle connection more often than every five minutes (`keepalive.EnforcementPolicy`).
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// The kernel looks after idle connections.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// How long a second look at a server that hung up may take.
const VERDICT_TIMEOUT: Duration = Duration::from_secs(3);

/// First `GetVersion.api` with `ListClients` (Dex 2.44). Kubernetes storage still lacks it: only the call tells.
const API_WITH_LIST: i32 = 3;

/// How Dex's gRPC API is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminTls {
    /// Both sides show certificates: Dex's only way to tell who calls (`grpc.tlsClientCA`).
    Mutual,
    /// The server shows one. Whoever reaches the port may do everything.
    ServerOnly,
    /// Nothing is protected.
    Plaintext,
}

/// A Dex.
pub struct DexDriver {
    address: String,
    endpoint: Endpoint,
    timeout: Duration,
    trust: Trust,
    shows_identity: bool,
    /// For a second look at a server that hung up; with a given CA only.
    tls: Option<Arc<ClientConfig>>,
    /// The channel and its number, so that of many calls that fail on it only the first throws it away.
    channel: Mutex<Slot>,
    issuer_http: HttpClient,
    model: DexModel,
}

#[derive(Default)]
struct Slot {
    number: u64,
    channel: Option<Channel>,
}

impl std::fmt::Debug for DexDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DexDriver")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl DexDriver {
    /// A driver for the gRPC API at `address` (`host:port`; a name in the certificate must be `host`). `issuer_http`
    /// trusts the issuer's CA and carries the credential proofs. Nothing is connected yet.
    ///
    /// # Errors
    /// [`IdpErrorKind::Refused`] where the address is none, [`IdpErrorKind::Tls`] where the CA, the client certificate
    /// or its key cannot be used.
    pub fn new(
        address: &str,
        admin: AdminTls,
        admin_transport: &Transport,
        issuer_http: HttpClient,
    ) -> Result<Self, IdpError> {
        let scheme = if admin == AdminTls::Plaintext { "http" } else { "https" };
        let mut endpoint = endpoint(scheme, address)?
            .connect_timeout(admin_transport.timeout.min(CONNECT_TIMEOUT))
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(false)
            .tcp_keepalive(Some(TCP_KEEPALIVE));
        let mut tls = None;
        if admin != AdminTls::Plaintext {
            let identity = identity(admin, admin_transport)?;
            // tonic skips certificates that it cannot read and does not tell what is wrong: check first.
            let authority = admin_transport.certificate_authority.as_deref().map(ca).transpose()?;
            if let Some(authority) = &authority {
                tls = Some(Arc::new(handshake::client_config(authority, identity)?));
            }
            endpoint = endpoint
                .tls_config(tls_config(authority.as_ref(), identity))
                .map_err(|_| {
                    tls_configuration(
                        "the client certificate or its key cannot be used, or the system has no CA certificates",
                    )
                })?;
        }
        let given_ca = admin_transport.certificate_authority.is_some();
        Ok(Self {
            address: address.to_owned(),
            endpoint,
            timeout: admin_transport.timeout,
            trust: if given_ca { Trust::GivenCa } else { Trust::System },
            shows_identity: admin == AdminTls::Mutual,
            tls,
            channel: Mutex::default(),
            issuer_http,
            model: DexModel,
        })
    }

    fn peer(&self) -> Peer<'_> {
        Peer {
            name: &self.address,
            trust: self.trust,
            shows_identity: self.shows_identity,
        }
    }

    /// One call, connecting included, within the deadline.
    async fn call<T, F>(
        &self,
        operation: &'static str,
        call: impl FnOnce(DexClient<Channel>) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let deadline = Instant::now() + self.timeout;
        let (number, channel) = self.channel();
        let client = DexClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        match timeout_at(deadline, call(client)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => {
                if is_transport_failure(&status) {
                    self.drop_channel(number);
                }
                if is_hang_up(&status)
                    && let Some(refusal) = self.refusal(operation, deadline).await
                {
                    return Err(Failure::Refusal(refusal));
                }
                Err(Failure::Status(operation, status))
            }
            Err(_) => {
                self.drop_channel(number);
                Err(Failure::TimedOut(operation))
            }
        }
    }

    /// What TLS has to say of a server that hung up; nothing, where it is not to blame.
    async fn refusal(&self, operation: &'static str, deadline: Instant) -> Option<IdpError> {
        let tls = self.tls.clone()?;
        // Nothing by then: the server is content with us. `adminAPI.timeout` may be long.
        let deadline = deadline.min(Instant::now() + VERDICT_TIMEOUT);
        let error = timeout_at(deadline, handshake::verdict(tls, &self.address))
            .await
            .ok()?
            .err()?;
        let (kind, message) = diagnose(&error, self.peer())?;
        (kind == IdpErrorKind::Tls).then(|| IdpError::new(kind, operation, message))
    }

    fn channel(&self) -> (u64, Channel) {
        let mut slot = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        // Made here and not in `new`: a channel needs a running tokio.
        let channel = slot.channel.get_or_insert_with(|| self.endpoint.connect_lazy()).clone();
        (slot.number, channel)
    }

    /// The next call resolves the name, connects and shakes hands anew: the peer or its certificate may be another one.
    fn drop_channel(&self, number: u64) {
        let mut slot = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.number == number {
            *slot = Slot {
                number: number + 1,
                channel: None,
            };
        }
    }

    fn error(&self, failure: &Failure, sent: Option<&ClientSecret>) -> IdpError {
        match failure {
            Failure::Status(operation, status) => classify(operation, status, self.peer(), sent),
            Failure::Refusal(error) => error.clone(),
            Failure::TimedOut(operation) => timed_out(operation, self.peer(), self.timeout.as_secs_f32()),
        }
    }
}

/// Why a call failed, before it is put into our terms.
enum Failure {
    Status(&'static str, Status),
    Refusal(IdpError),
    TimedOut(&'static str),
}

fn endpoint(scheme: &str, address: &str) -> Result<Endpoint, IdpError> {
    let wrong = || {
        let message = format!("{address:?} is not host:port");
        IdpError::new(IdpErrorKind::Refused, CONFIGURATION, message)
    };
    // The URL parser of the standard, so that nothing but a host and a port is let through.
    let url = url::Url::parse(&format!("{scheme}://{address}")).map_err(|_| wrong())?;
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !address.ends_with('/');
    if !has_port || !bare || !url.has_host() || !url.username().is_empty() || address.contains('@') {
        return Err(wrong());
    }
    Endpoint::from_shared(format!("{scheme}://{address}"))
        .and_then(|endpoint| endpoint.user_agent(USER_AGENT))
        .map_err(|_| wrong())
}

fn identity(admin: AdminTls, transport: &Transport) -> Result<Option<&ClientIdentity>, IdpError> {
    match (admin, &transport.identity) {
        (AdminTls::Mutual, Some(identity)) => Ok(Some(identity)),
        (AdminTls::Mutual, None) => Err(tls_configuration("mutual TLS needs a client certificate and its key")),
        (AdminTls::ServerOnly | AdminTls::Plaintext, _) => Ok(None),
    }
}

fn tls_config(authority: Option<&CaBundle>, identity: Option<&ClientIdentity>) -> ClientTlsConfig {
    let tls = match authority {
        Some(authority) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority.to_pem())),
        None => ClientTlsConfig::new().with_enabled_roots(),
    };
    match identity {
        Some(identity) => tls.identity(Identity::from_pem(&identity.certificate, identity.key.expose_secret())),
        None => tls,
    }
}

#[async_trait]
impl Driver for DexDriver {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        let version = self
            .call("GetVersion", |mut dex| async move {
                dex.get_version(proto::VersionReq {}).await
            })
            .await
            .map_err(|failure| self.error(&failure, None))?;
        Ok(ServerInfo {
            product: "Dex",
            version: Some(bounded(&version.server)),
            api_version: Some(version.api),
            bulk_list: version.api >= API_WITH_LIST,
            signing_algorithms: None,
            scopes: None,
        })
    }

    async fn list(&self, _page: u32) -> Result<Page, IdpError> {
        let answer = self
            .call("ListClients", |mut dex| async move {
                dex.list_clients(proto::ListClientReq {}).await
            })
            .await
            .map_err(|failure| self.error(&failure, None))?;
        Ok(Page {
            rows: answer.clients.iter().map(observe_listed).collect(),
            more: false,
        })
    }

    async fn get(&self, client_id: &str, _mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        let request = proto::GetClientReq {
            id: client_id.to_owned(),
        };
        match self
            .call("GetClient", |mut dex| async move { dex.get_client(request).await })
            .await
        {
            Ok(answer) => match answer.client {
                Some(client) if client.id == client_id => Ok(Some(observe(&client))),
                _ => Err(IdpError::new(
                    IdpErrorKind::Protocol,
                    "GetClient",
                    "Dex answered with another client",
                )),
            },
            Err(Failure::Status(_, status)) if is_not_found(&status) => Ok(None),
            Err(failure) => Err(self.error(&failure, None)),
        }
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        if desired.has_secret() && secret.is_none_or(|secret| secret.expose().is_empty()) {
            // Dex would make one up, and nobody would know it.
            return Err(IdpError::new(
                IdpErrorKind::Refused,
                "CreateClient",
                "a confidential client needs a secret",
            ));
        }
        let request = proto::CreateClientReq {
            client: Some(create_request(desired, secret)),
        };
        let answer = self
            .call(
                "CreateClient",
                |mut dex| async move { dex.create_client(request).await },
            )
            .await
            .map_err(|failure| self.error(&failure, secret))?;
        Ok(if answer.already_exists {
            Created::Taken
        } else {
            Created::Created
        })
    }

    async fn update(
        &self,
        _observed: &ObservedClient,
        desired: &DesiredClient,
        _secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        if diff.recreate {
            let message = "Dex cannot make this change in place: delete and create the client";
            return Err(IdpError::new(IdpErrorKind::Unsupported, "UpdateClient", message));
        }
        let request = update_request(desired, diff);
        let answer = self
            .call(
                "UpdateClient",
                |mut dex| async move { dex.update_client(request).await },
            )
            .await
            .map_err(|failure| self.error(&failure, None))?;
        Ok(if answer.not_found {
            Written::NotFound
        } else {
            Written::Done
        })
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        let request = proto::DeleteClientReq {
            id: observed.client_id.clone(),
        };
        let answer = self
            .call(
                "DeleteClient",
                |mut dex| async move { dex.delete_client(request).await },
            )
            .await
            .map_err(|failure| self.error(&failure, None))?;
        Ok(if answer.not_found {
            Written::NotFound
        } else {
            Written::Done
        })
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        proof::by_invalid_code(&self.issuer_http, credentials, endpoints).await
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use secrecy::SecretString;

    use super::*;
    use crate::idp::{
        ClientIdentity,
        testing::{Authority, crypto, response, serve, transport},
    };

    fn driver(address: &str, admin: AdminTls, admin_transport: &Transport) -> Result<DexDriver, IdpError> {
        crypto();
        let http = HttpClient::new(&transport(Some(&Authority::new("issuer")))).unwrap();
        DexDriver::new(address, admin, admin_transport, http)
    }

    fn with_identity(ca: &Authority, signed_by: &Authority) -> Transport {
        let (certificate, key) = signed_by.sign(&["operator"], |_| {});
        let key = SecretString::from(key.serialize_pem());
        Transport {
            identity: Some(ClientIdentity { certificate, key }),
            ..transport(Some(ca))
        }
    }

    async fn failure(address: &str, admin: AdminTls, transport: &Transport) -> IdpError {
        let driver = driver(address, admin, transport).unwrap();
        driver.probe().await.unwrap_err()
    }

    #[test]
    fn only_host_and_port_are_an_address() {
        let ca = Authority::new("ours");
        for address in [
            "dex:5557",
            "dex.auth.svc:5557",
            "10.0.0.1:5557",
            "[::1]:5557",
            "dex:443",
            "dex:80",
        ] {
            assert!(
                driver(address, AdminTls::ServerOnly, &transport(Some(&ca))).is_ok(),
                "{address}"
            );
        }
        for address in [
            "",
            "dex",
            ":5557",
            "dex:0",
            "dex:x",
            "dex:5557/",
            "dex:5557/x",
            "u@dex:5557",
            "dex:5557?x",
            "https://dex:5557",
        ] {
            let error = driver(address, AdminTls::ServerOnly, &transport(Some(&ca))).unwrap_err();
            assert_eq!(error.kind, IdpErrorKind::Refused, "{address}");
        }
    }

    #[test]
    fn unusable_certificates_are_refused_before_any_io() {
        let ca = Authority::new("ours");
        let garbage = Transport {
            certificate_authority: Some("garbage".to_owned()),
            ..transport(None)
        };
        let mut foreign_key = with_identity(&ca, &ca);
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        foreign_key.identity.as_mut().unwrap().key = SecretString::from(key);
        let mut no_key = with_identity(&ca, &ca);
        no_key.identity.as_mut().unwrap().key = SecretString::from("hunter2".to_owned());
        for (admin, transport, told) in [
            (AdminTls::ServerOnly, garbage, "the CA holds no certificate"),
            (AdminTls::Mutual, transport(Some(&ca)), "needs a client certificate"),
            (AdminTls::Mutual, foreign_key, "do not belong together"),
            (AdminTls::Mutual, no_key, "the key of the client certificate is not PEM"),
        ] {
            let error = driver("dex:5557", admin, &transport).unwrap_err();
            assert_eq!(error.kind, IdpErrorKind::Tls, "{error}");
            assert!(
                error.message.contains(told) && !error.message.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[test]
    fn debug_shows_the_address_only() {
        let ca = Authority::new("ours");
        let driver = driver("dex:5557", AdminTls::Mutual, &with_identity(&ca, &ca)).unwrap();
        assert_eq!(format!("{driver:?}"), "DexDriver { address: \"dex:5557\", .. }");
    }

    #[tokio::test]
    async fn tls_failures_tell_what_to_do() {
        let (ca, other) = (Authority::new("ours"), Authority::new("another"));
        let port = serve(Some(ca.mutual_server(&["localhost"], b"h2")), |_| Vec::new());
        let address = format!("localhost:{port}");

        let error = failure(&address, AdminTls::ServerOnly, &transport(Some(&other))).await;
        assert_eq!(error.kind, IdpErrorKind::Tls, "{error}");
        assert!(error.message.contains("is not signed by the given CA"), "{error}");

        let error = failure(
            &format!("127.0.0.1:{port}"),
            AdminTls::ServerOnly,
            &transport(Some(&ca)),
        )
        .await;
        assert_eq!(error.kind, IdpErrorKind::Tls, "{error}");
        assert!(error.message.contains("is for other names: localhost"), "{error}");

        let error = failure(&address, AdminTls::ServerOnly, &transport(Some(&ca))).await;
        assert_eq!(error.kind, IdpErrorKind::Tls, "{error}");
        assert!(error.message.contains("wants a client certificate"), "{error}");

        let error = failure(&address, AdminTls::Mutual, &with_identity(&ca, &other)).await;
        assert_eq!(error.kind, IdpErrorKind::Tls, "{error}");
        assert!(error.message.contains("refused the client certificate"), "{error}");
    }

    #[tokio::test]
    async fn other_servers_are_recognised() {
        let ca = Authority::new("ours");
        let plain = format!("localhost:{}", serve(None, |_| response("404 Not Found", "<html>")));
        let error = failure(&plain, AdminTls::Plaintext, &transport(Some(&ca))).await;
        assert_eq!(error.kind, IdpErrorKind::Unreachable, "{error}");

        let error = failure(&plain, AdminTls::ServerOnly, &transport(Some(&ca))).await;
        assert_eq!(error.kind, IdpErrorKind::Tls, "{error}");
        assert!(error.message.contains("does not speak TLS"), "{error}");
    }

    #[tokio::test]
    async fn unreachable_and_silent_are_told_apart() {
        let ca = Authority::new("ours");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = failure(&nobody.to_string(), AdminTls::ServerOnly, &transport(Some(&ca))).await;
        assert_eq!(error.kind, IdpErrorKind::Unreachable, "{error}");
        assert!(error.message.contains("refuses connections"), "{error}");

        let error = failure("no-such-host.invalid:5557", AdminTls::ServerOnly, &transport(Some(&ca))).await;
        assert_eq!(error.kind, IdpErrorKind::Unreachable, "{error}");
        assert!(error.message.contains("DNS"), "{error}");

        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let hasty = Transport {
            timeout: Duration::from_millis(100),
            ..transport(Some(&ca))
        };
        for admin in [AdminTls::ServerOnly, AdminTls::Plaintext] {
            let error = failure(&silent.local_addr().unwrap().to_string(), admin, &hasty).await;
            assert_eq!(error.kind, IdpErrorKind::Timeout, "{error}");
        }
    }

    #[tokio::test]
    async fn a_failed_channel_is_thrown_away_once() {
        let ca = Authority::new("ours");
        let driver = driver("localhost:1", AdminTls::Plaintext, &transport(Some(&ca))).unwrap();
        let (first, _) = driver.channel();
        driver.drop_channel(first);
        let (second, _) = driver.channel();
        driver.drop_channel(first);
        assert_ne!(first, second);
        assert_eq!(
            driver.channel().0,
            second,
            "a late failure on the old channel leaves the new one alone"
        );
    }
}
