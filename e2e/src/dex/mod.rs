//! A real Dex: TLS on its web port, mutual TLS on its gRPC port, one user who can log in.

mod admin;
mod config;
mod stored;
pub mod supervised;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use admin::{DexAdmin, api};
pub use stored::StoredDex;

use crate::pki::{Ca, Identity};
use crate::process::Process;
use crate::wait::eventually;
use crate::workdir::WorkDir;
use crate::{http, ports, tools};

/// The user of the password database: her e-mail is what she types as login.
pub const USER_EMAIL: &str = "jane@example.com";
/// Her password.
pub const USER_PASSWORD: &str = "password";
/// Her name in the password database: the claim `name`.
pub const USER_NAME: &str = "jane";
/// Her id in the password database; the claim `sub` is made from it and the connector's id.
pub const USER_ID: &str = "08a8684b-db88-4b73-90a9-3cd1661f5466";

const READY_BOUND: Duration = Duration::from_secs(30);
const KUBERNETES_BOUND: Duration = Duration::from_secs(60);
/// A port can be lost to somebody else between the choice and the bind.
const TRIES: usize = 3;

/// Where Dex keeps clients and keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Storage {
    /// Lost with the process.
    #[default]
    Memory,
    /// A file that outlives restarts.
    Sqlite,
    /// Custom resources, reached through this kubeconfig.
    Kubernetes(PathBuf),
}

/// A client of the configuration file, which the API can show but not change.
#[derive(Debug, Clone)]
pub struct StaticClient {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: String,
    /// Exact redirect URIs.
    pub redirect_uris: Vec<String>,
}

/// What Dex is to be like.
#[derive(Debug, Clone)]
pub struct DexOptions {
    /// Names its folder.
    pub name: String,
    /// Where clients are kept.
    pub storage: Storage,
    /// Clients of the configuration file.
    pub static_clients: Vec<StaticClient>,
    /// The path of the issuer, `/dex` or empty.
    pub issuer_path: String,
    /// Host and port of the issuer, if it is not Dex's own web address: that of a [`crate::proxy::FaultProxy`] before it.
    pub issuer_authority: Option<SocketAddr>,
    /// Serve issuer, discovery and endpoints over plain http; the gRPC API keeps its mutual TLS.
    pub plain_http: bool,
}

impl Default for DexOptions {
    fn default() -> Self {
        Self {
            name: "dex".to_owned(),
            storage: Storage::Memory,
            static_clients: Vec::new(),
            issuer_path: "/dex".to_owned(),
            issuer_authority: None,
            plain_http: false,
        }
    }
}

/// A running Dex; ends when dropped.
#[derive(Debug)]
pub struct Dex {
    process: Mutex<Arc<Process>>,
    addresses: Addresses,
    issuer: String,
    ca: Ca,
    client: Identity,
    config: PathBuf,
    storage: Storage,
    workdir: WorkDir,
}

/// Where Dex listens.
#[derive(Debug, Clone, Copy)]
struct Addresses {
    web: SocketAddr,
    grpc: SocketAddr,
    telemetry: SocketAddr,
}

impl Dex {
    /// Starts Dex and waits until it serves (about 0.2 s).
    ///
    /// # Errors
    /// The binary is missing, or Dex ends or does not serve within 30 s: the text has the end of its log.
    pub async fn start(options: DexOptions) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(&options).await {
                Err(error) if tries < TRIES && format!("{error:#}").contains("address already in use") => tries += 1,
                result => return result,
            }
        }
    }

    async fn try_start(options: &DexOptions) -> Result<Self> {
        let workdir = WorkDir::new(&options.name)?;
        let ca = Ca::new("oidc-operator-e2e Dex")?;
        let client = ca.client("oidc-operator")?;
        let addresses = Addresses {
            web: ports::free_address()?,
            grpc: ports::free_address()?,
            telemetry: ports::free_address()?,
        };
        let authority = options.issuer_authority.unwrap_or(addresses.web);
        let scheme = if options.plain_http { "http" } else { "https" };
        let issuer = format!("{scheme}://{authority}{}", options.issuer_path);
        let config = config::write(&workdir, options, &addresses, &issuer, &ca)?;

        let process = serve(&workdir, &config, addresses, &options.storage).await?;
        let storage = options.storage.clone();
        Ok(Self {
            process: Mutex::new(Arc::new(process)),
            addresses,
            issuer,
            ca,
            client,
            config,
            storage,
            workdir,
        })
    }

    /// The process that runs now, or ran last.
    fn process(&self) -> Arc<Process> {
        Arc::clone(&self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `https://127.0.0.1:<port>/dex`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token endpoint, for [`crate::login::secret_accepted`].
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// The CA of the web and the gRPC certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    /// The CA itself, for certificates of the same or of a wrong kind.
    pub fn ca(&self) -> &Ca {
        &self.ca
    }

    /// Where the web server listens.
    pub fn web_address(&self) -> SocketAddr {
        self.addresses.web
    }

    /// Where the gRPC server listens, `127.0.0.1:<port>`.
    pub fn grpc_address(&self) -> SocketAddr {
        self.addresses.grpc
    }

    /// A client certificate that the gRPC server accepts.
    pub fn client_identity(&self) -> &Identity {
        &self.client
    }

    /// A gRPC client with the accepted certificate, for the runtime it is made in.
    ///
    /// # Errors
    /// The server cannot be reached or TLS fails.
    pub async fn admin(&self) -> Result<DexAdmin> {
        DexAdmin::connect(self.grpc_address(), self.ca_pem(), Some(&self.client)).await
    }

    /// How often each gRPC method was called since Dex was started, whatever the outcome: `CreateClient` and so on.
    ///
    /// # Errors
    /// Dex does not answer.
    pub async fn grpc_requests(&self) -> Result<BTreeMap<String, u64>> {
        let mut counts = BTreeMap::new();
        for (method, value) in self.counts("grpc_server_started_total", "grpc_method").await? {
            if value > 0 {
                *counts.entry(method).or_default() += value;
            }
        }
        Ok(counts)
    }

    /// How many requests to a path below the issuer, such as `/token`, were answered since Dex was started.
    ///
    /// # Errors
    /// Dex does not answer.
    pub async fn http_requests(&self, path: &str) -> Result<u64> {
        let counts = self.counts("http_requests_total", "handler").await?;
        Ok(counts
            .iter()
            .filter(|(handler, _)| handler.ends_with(path))
            .map(|(_, count)| count)
            .sum())
    }

    /// The samples of one of Dex's counters, each with one of its labels.
    async fn counts(&self, counter: &str, label: &str) -> Result<Vec<(String, u64)>> {
        let metrics = http::plain()?
            .get(format!("http://{}/metrics", self.addresses.telemetry))
            .send()
            .await?;
        let text = metrics.error_for_status()?.text().await?;
        let samples = text.lines().filter(|line| line.starts_with(&format!("{counter}{{")));
        samples
            .map(|line| {
                let value = line
                    .split_once(&format!("{label}=\""))
                    .and_then(|(_, rest)| rest.split_once('"'))
                    .zip(line.rsplit_once(' '));
                let Some(((label, _), (_, count))) = value else {
                    bail!("unexpected metric: {line}")
                };
                let count = count.parse().with_context(|| format!("unexpected metric: {line}"))?;
                Ok((label.to_owned(), count))
            })
            .collect()
    }

    /// The processor time that Dex has used, in seconds.
    ///
    /// # Errors
    /// Dex has ended.
    pub fn cpu_seconds(&self) -> Result<f64> {
        self.process().cpu_seconds()
    }

    /// Ends Dex politely (SIGTERM); connections are refused from now on. It waits for its open gRPC connections to close.
    ///
    /// # Errors
    /// It does not end within ten seconds.
    pub async fn stop(&self) -> Result<()> {
        self.process().terminate(Duration::from_secs(10)).await.map(drop)
    }

    /// Ends Dex at once (SIGKILL).
    pub fn kill(&self) {
        self.process().end_now();
    }

    /// Starts Dex again at the same addresses, after [`Self::stop`] or [`Self::kill`].
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(&self) -> Result<()> {
        let process = serve(&self.workdir, &self.config, self.addresses, &self.storage).await?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(process);
        Ok(())
    }

    /// Ends and starts Dex at the same addresses. With memory storage its clients are gone, and its signing keys new.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// Starts it again with another certificate on both of its ports.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn restart_with(&self, certificate: &Identity) -> Result<()> {
        self.workdir.write(config::CERTIFICATE, &certificate.certificate)?;
        self.workdir.write(config::KEY, &certificate.key)?;
        self.restart().await
    }

    /// SIGSTOP: connections stay open and get no answer, until [`Self::thaw`].
    ///
    /// # Errors
    /// Dex has ended.
    pub fn freeze(&self) -> Result<()> {
        self.process().pause()
    }

    /// After [`Self::freeze`].
    ///
    /// # Errors
    /// Dex has ended.
    pub fn thaw(&self) -> Result<()> {
        self.process().resume()
    }

    /// What Dex wrote since it was last started: JSON lines, level debug.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log_text(&self) -> Result<String> {
        self.process().log_text()
    }

    /// The pid, for tests of the harness itself.
    pub fn pid(&self) -> i32 {
        self.process().pid()
    }
}

/// Runs Dex until it serves.
async fn serve(workdir: &WorkDir, config: &Path, addresses: Addresses, storage: &Storage) -> Result<Process> {
    match storage {
        Storage::Memory | Storage::Sqlite => serve_once(workdir, config, addresses).await,
        // Its first start on a cluster makes its CRDs, does not wait until they are served, and ends: one starts it again.
        Storage::Kubernetes(_) => {
            let start = async || serve_once(workdir, config, addresses).await;
            eventually("Dex serves with Kubernetes storage", KUBERNETES_BOUND, start).await
        }
    }
}

async fn serve_once(workdir: &WorkDir, config: &Path, addresses: Addresses) -> Result<Process> {
    let mut command = Command::new(tools::tool("dex")?);
    command.arg("serve").arg(config).env("DEX_EXPAND_ENV", "false");
    // Its templates and its web assets are compiled in; it still looks for ./web first.
    command.current_dir(workdir.path());
    // Dropped at once: a polite end would wait for clients that live in the blocked runtime of the one who drops it.
    let process = Process::spawn("dex", &command, workdir.path())?.with_grace(Duration::ZERO);
    let ready = format!("http://{}/healthz/ready", addresses.telemetry);
    let web = http::plain()?;
    let serving = eventually("Dex serves", READY_BOUND, async || {
        if !process.is_running() {
            return Ok(false);
        }
        web.get(&ready).send().await?.error_for_status()?;
        // Telemetry is up before the two servers that matter.
        tokio::net::TcpStream::connect(addresses.web)
            .await
            .context("web port")?;
        tokio::net::TcpStream::connect(addresses.grpc)
            .await
            .context("gRPC port")?;
        Ok(true)
    });
    let serving = serving
        .await
        .with_context(|| format!("log of Dex:\n{}", process.log_tail(15)))?;
    if !serving {
        process.must_run()?;
    }
    Ok(process)
}
