//! An HTTPS proxy on loopback that can misbehave for chosen requests: where a [`crate::proxy::FaultProxy`] knows bytes, this one
//! knows methods and paths.
//!
//! It runs on a thread of its own, as the other one does, and has a CA of its own.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use crate::keycloak::Request;
use crate::{http, pki::Ca};

/// Longer than any delay that a test plays.
const LONGEST: Duration = Duration::from_secs(120);

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status, and perhaps `Retry-After` in seconds; the server never hears of it.
    Status(u16, Option<u64>),
    /// It is handed on after this time.
    Delay(Duration),
    /// It is handed on once the fault changes.
    Hold,
    /// Its connection is closed; the server never hears of it.
    Cut,
    /// It is handed on, and its connection is closed in place of an answer.
    LoseAnswer,
}

/// Which requests a fault hits.
type Which = dyn Fn(&Request) -> bool + Send + Sync;

#[derive(Clone, Default)]
struct Rule(Option<(Arc<Which>, Fault)>);

impl Rule {
    fn fault(&self, request: &Request) -> Option<Fault> {
        let (which, fault) = self.0.as_ref()?;
        which(request).then_some(*fault)
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When.
    pub at: Instant,
    /// Which; without time and status.
    pub request: Request,
    /// What became of it; `None`: it was handed on.
    pub fault: Option<Fault>,
}

/// A running proxy; ends, with all its connections, when dropped.
pub struct HttpProxy {
    address: SocketAddr,
    ca: Ca,
    rule: watch::Sender<Rule>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    // Dropping it ends the runtime on the proxy's thread.
    _end: oneshot::Sender<()>,
}

impl fmt::Debug for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProxy")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl HttpProxy {
    /// Starts a proxy before the server at `base_url`, whose certificate is of the CA `ca_pem`. It hands everything on.
    ///
    /// # Errors
    /// No port, certificate or thread is to be had.
    pub fn start(base_url: &str, ca_pem: &str) -> Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("proxy")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let ca = Ca::new("oidc-operator-e2e proxy")?;
        let acceptor = acceptor(&ca)?;
        let (rule, rules) = watch::channel(Rule::default());
        let (end, ended) = oneshot::channel();
        let arrivals = Arc::<Mutex<Vec<Arrival>>>::default();
        let handler = Handler {
            base_url: base_url.to_owned(),
            web: http::builder(ca_pem)?
                .timeout(LONGEST)
                .redirect(reqwest::redirect::Policy::none())
                .build()?,
            rules,
            arrivals: Arc::clone(&arrivals),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = async move {
            let listener = TcpListener::from_std(listener)?;
            tokio::select! {
                _ = ended => Ok(()),
                result = accept(&listener, &acceptor, &handler) => result,
            }
        };
        std::thread::Builder::new()
            .name("http-proxy".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve) {
                    tracing::error!(%error, "HTTP proxy");
                }
            })?;
        Ok(Self {
            address,
            ca,
            rule,
            arrivals,
            _end: end,
        })
    }

    /// `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The CA of its certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    /// From now on `fault` hits such requests, and no other does.
    pub fn fault(&self, which: impl Fn(&Request) -> bool + Send + Sync + 'static, fault: Fault) {
        self.rule.send_replace(Rule(Some((Arc::new(which), fault))));
    }

    /// From now on everything is handed on, also what was held.
    pub fn pass(&self) {
        self.rule.send_replace(Rule::default());
    }

    /// What came until now, oldest first.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many of those that came a fault has hit.
    pub fn hits(&self) -> usize {
        self.arrivals().iter().filter(|arrival| arrival.fault.is_some()).count()
    }
}

fn acceptor(ca: &Ca) -> Result<TlsAcceptor> {
    http::choose_crypto();
    let identity = ca.server(&[])?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[derive(Clone)]
struct Handler {
    base_url: String,
    web: reqwest::Client,
    rules: watch::Receiver<Rule>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

async fn accept(listener: &TcpListener, acceptor: &TlsAcceptor, handler: &Handler) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        tokio::spawn(connection(client, acceptor.clone(), handler.clone()));
    }
}

/// Whatever ends it early is the client's business, or meant.
async fn connection(client: TcpStream, acceptor: TlsAcceptor, handler: Handler) {
    let Ok(client) = acceptor.accept(client).await else {
        return;
    };
    let service = service_fn(|request| handler.handle(request));
    if let Err(error) = http1::Builder::new()
        .serve_connection(TokioIo::new(client), service)
        .await
    {
        tracing::debug!(%error, "connection of the HTTP proxy");
    }
}

type Response = hyper::Response<Full<Bytes>>;

impl Handler {
    /// An error closes the connection.
    async fn handle(&self, incoming: hyper::Request<Incoming>) -> Result<Response> {
        let request = Request::arriving(incoming.method().as_str(), incoming.uri());
        let mut rules = self.rules.clone();
        let fault = rules.borrow_and_update().fault(&request);
        let arrival = Arrival {
            at: Instant::now(),
            request: request.clone(),
            fault,
        };
        self.arrivals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(arrival);
        match fault {
            None => self.forward(incoming).await,
            Some(Fault::Status(status, retry_after)) => {
                let mut answer = hyper::Response::builder().status(status);
                if let Some(seconds) = retry_after {
                    answer = answer.header(RETRY_AFTER, seconds);
                }
                Ok(answer.body(Full::default())?)
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.forward(incoming).await
            }
            Some(Fault::Hold) => {
                rules.changed().await?;
                self.forward(incoming).await
            }
            Some(Fault::Cut) => Err(anyhow!("cut")),
            Some(Fault::LoseAnswer) => {
                self.forward(incoming).await?;
                Err(anyhow!("the answer is lost"))
            }
        }
    }

    async fn forward(&self, incoming: hyper::Request<Incoming>) -> Result<Response> {
        let (parts, body) = incoming.into_parts();
        let body = body.collect().await?.to_bytes();
        let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
        let mut headers = parts.headers;
        for name in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        let answer = self
            .web
            .request(parts.method, format!("{}{target}", self.base_url))
            .headers(headers)
            .body(body)
            .send()
            .await?;
        let mut response = hyper::Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                response = response.header(name, value);
            }
        }
        let body = answer.bytes().await?;
        Ok(response.body(Full::new(body))?)
    }
}
