//! A real Keycloak: TLS on its web port, an access log that counts requests, realms of the tests' own.
//!
//! It takes its time to start, so there is one for a whole test run (`with-keycloak`, see [`crate::shared::keycloak`]); tests keep to
//! realms of their own there. A test that stops, freezes or restarts one starts it itself. The program's folder stays unwritten:
//! each server has a home folder of its own.

mod access_log;
mod admin;
mod policies;
mod provider;
mod realm;
mod registrar;
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use access_log::{Mark, Request, Requests};
pub use admin::KeycloakAdmin;
pub use policies::Rotation;
pub use provider::{ADMIN, CA, admin_secret};
pub use realm::{Realm, ServiceAccount, Snapshot, User};
pub use registrar::{INITIAL_TOKEN, Registrar};

use crate::process::{Process, cpu_seconds_of};
use crate::workdir::WorkDir;
use crate::{http, pki::Ca, ports};
use server::Addresses;

/// Names the Keycloak to run: `former` for the oldest that is supported; unset or `current` for the newest.
pub const VERSION_VARIABLE: &str = "OIDC_OPERATOR_E2E_KEYCLOAK";
/// Names the file that tells how to reach the Keycloak of this test run, see [`Keycloak::borrowed`].
pub const SHARED_VARIABLE: &str = "OIDC_OPERATOR_E2E_KEYCLOAK_SHARED";

/// Name and password of the administrator, as in the database that hack/tools/tools.sh makes.
const ADMINISTRATOR: (&str, &str) = ("admin", "e2e-administrator");
/// A port can be lost to somebody else between the choice and the bind.
const TRIES: usize = 3;
/// How long a polite end may take; about 1 s on an idle machine.
const STOP_BOUND: Duration = Duration::from_secs(30);

/// Which Keycloak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// The newest that is supported; `make tools` builds it.
    Current,
    /// The oldest that is supported; `hack/tools/tools.sh install keycloak-former` builds it.
    Former,
}

impl Version {
    /// The one that [`VERSION_VARIABLE`] names.
    ///
    /// # Errors
    /// It names none.
    pub fn chosen() -> Result<Self> {
        match std::env::var(VERSION_VARIABLE).as_deref() {
            Err(_) | Ok("" | "current") => Ok(Self::Current),
            Ok("former") => Ok(Self::Former),
            Ok(other) => bail!("{VERSION_VARIABLE} is {other:?}, not current or former"),
        }
    }
}

/// Where Keycloak keeps realms, clients and keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Storage {
    /// Lost with the process.
    #[default]
    Memory,
    /// A file that outlives restarts, also after SIGKILL.
    File,
}

/// What Keycloak calls itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hostname {
    /// Its own address.
    #[default]
    Own,
    /// `https://host[:port]`, for the issuer and all endpoints, however it is asked: that of a [`crate::proxy::FaultProxy`] before
    /// it.
    Fixed(String),
    /// `https://host[:port]`, for the issuer and the authorization endpoint. The endpoints for applications follow the address that
    /// is asked (`--hostname-backchannel-dynamic`).
    Public(String),
}

/// What Keycloak is to be like.
#[derive(Debug, Clone, Default)]
pub struct KeycloakOptions {
    /// Names its folder; "keycloak" if empty.
    pub name: String,
    /// Which one; if `None`, [`Version::chosen`].
    pub version: Option<Version>,
    /// Where it keeps everything.
    pub storage: Storage,
    /// What it calls itself.
    pub hostname: Hostname,
    /// Whether it serves many tests: Java then has both of its compilers. That costs 8 s more of processor time at the start, and
    /// a realm (two RSA keys) 1.5 s instead of 3.
    pub lasting: bool,
    /// More arguments of `start --optimized`.
    pub args: Vec<String>,
}

/// All that is needed to use a running Keycloak; another process can do so too.
#[derive(Clone, Serialize, Deserialize)]
struct Access {
    version: Version,
    base_url: String,
    public_url: String,
    ca_pem: String,
    admin: Credentials,
    log: PathBuf,
    pid: i32,
}

#[derive(Clone, Serialize, Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// A running Keycloak: of this process, then it ends when dropped, or of the whole test run.
pub struct Keycloak {
    access: Arc<Access>,
    own: Option<Own>,
}

/// What only the process that started it can do.
struct Own {
    process: Mutex<Arc<Process>>,
    addresses: Addresses,
    options: KeycloakOptions,
    ca: Ca,
    workdir: WorkDir,
}

/// Without the credentials.
impl std::fmt::Debug for Keycloak {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keycloak")
            .field("base_url", &self.access.base_url)
            .field("own", &self.own.is_some())
            .finish_non_exhaustive()
    }
}

impl Keycloak {
    /// Starts Keycloak and waits until it serves: 7 s on an idle machine of two cores.
    ///
    /// # Errors
    /// It was not built, or it ends or does not serve within three minutes: the text has the end of its log.
    pub async fn start(options: KeycloakOptions) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(&options).await {
                Err(error) if tries < TRIES && format!("{error:#}").contains("already bound") => tries += 1,
                result => return result,
            }
        }
    }

    async fn try_start(options: &KeycloakOptions) -> Result<Self> {
        let version = options.version.map_or_else(Version::chosen, Ok)?;
        let name = if options.name.is_empty() {
            "keycloak"
        } else {
            &options.name
        };
        let workdir = WorkDir::new(name)?;
        let ca = Ca::new("oidc-operator-e2e Keycloak")?;
        let addresses = Addresses {
            web: ports::free_address()?,
            management: ports::free_address()?,
        };
        let base_url = format!("https://{}", addresses.web);
        let public_url = match &options.hostname {
            Hostname::Own => base_url.clone(),
            Hostname::Fixed(url) | Hostname::Public(url) => url.clone(),
        };
        let admin = Credentials {
            username: ADMINISTRATOR.0.to_owned(),
            password: ADMINISTRATOR.1.to_owned(),
        };
        server::prepare(&workdir, &ca)?;
        let mut access = Access {
            version,
            base_url,
            public_url,
            ca_pem: ca.pem().to_owned(),
            admin,
            log: PathBuf::new(),
            pid: 0,
        };
        let process = server::serve(&workdir, options, addresses, &access).await?;
        access.log = process.log().to_owned();
        access.pid = process.pid();
        Ok(Self {
            access: Arc::new(access),
            own: Some(Own {
                process: Mutex::new(Arc::new(process)),
                addresses,
                options: options.clone(),
                ca,
                workdir,
            }),
        })
    }

    /// The Keycloak of the test run, if there is one: [`SHARED_VARIABLE`] names the file of [`Self::lend`].
    ///
    /// # Errors
    /// The file cannot be read, or is of another version than [`Version::chosen`].
    pub fn borrowed() -> Result<Option<Self>> {
        let Some(path) = std::env::var_os(SHARED_VARIABLE).map(PathBuf::from) else {
            return Ok(None);
        };
        let keycloak = Self::borrowed_from(&path).with_context(|| SHARED_VARIABLE.to_owned())?;
        let (version, chosen) = (keycloak.version(), Version::chosen()?);
        ensure!(
            version == chosen,
            "the Keycloak of this run is {version:?}, not {chosen:?}"
        );
        Ok(Some(keycloak))
    }

    /// A Keycloak that another handle owns; it can be neither stopped nor frozen through this one.
    ///
    /// # Errors
    /// `path` is not a file that [`Self::lend`] wrote.
    pub fn borrowed_from(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{}", path.display()))?;
        let access: Access = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
        let (access, own) = (Arc::new(access), None);
        Ok(Self { access, own })
    }

    /// Writes how to use it, with the credentials, to a file that only this user can read; gives its path for [`SHARED_VARIABLE`].
    ///
    /// # Errors
    /// It cannot be written, or this one is borrowed itself.
    pub fn lend(&self) -> Result<PathBuf> {
        let text = serde_json::to_string(&*self.access)?;
        self.own()?.workdir.write("shared.json", text)
    }

    /// Leaves its folder with the log, as after a failed test.
    pub fn keep_logs(&mut self) {
        if let Some(own) = &mut self.own {
            own.workdir.keep();
        }
    }

    fn own(&self) -> Result<&Own> {
        self.own
            .as_ref()
            .context("this Keycloak is shared: a test that does this starts its own")
    }

    /// The process that runs now, or ran last.
    fn process(&self) -> Result<Arc<Process>> {
        let process = &self.own()?.process;
        Ok(Arc::clone(&process.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Which one it is.
    pub fn version(&self) -> Version {
        self.access.version
    }

    /// Where it is reached: `https://127.0.0.1:<port>`.
    pub fn base_url(&self) -> &str {
        &self.access.base_url
    }

    /// `127.0.0.1:<port>`, for a [`crate::proxy::FaultProxy`].
    ///
    /// # Errors
    /// None is known.
    pub fn address(&self) -> Result<std::net::SocketAddr> {
        Ok(self.access.base_url.trim_start_matches("https://").parse()?)
    }

    /// The CA of its certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.access.ca_pem
    }

    /// The issuer of a realm, as it calls itself.
    pub fn issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.access.public_url)
    }

    /// The token endpoint of a realm, at [`Self::base_url`].
    pub fn token_endpoint(&self, realm: &str) -> String {
        self.access.token_endpoint(realm)
    }

    /// A client of the admin API with all rights.
    ///
    /// # Errors
    /// None is known.
    pub fn admin(&self) -> Result<KeycloakAdmin> {
        KeycloakAdmin::new(Arc::clone(&self.access))
    }

    /// Makes a realm whose name begins with `prefix` (1.5 to 3 s of processor time, for its RSA
    /// keys). In it are the user [`User::jane`] and the service account `oidc-operator` with the role `manage-clients` and no
    /// other.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn realm(&self, prefix: &str) -> Result<Realm> {
        Realm::create(self.admin()?, prefix).await
    }

    /// Remembers what was requested until now.
    ///
    /// # Errors
    /// Its log cannot be read, or it does not answer.
    pub async fn mark(&self) -> Result<Mark> {
        self.settle().await?;
        access_log::end(&self.access.log)
    }

    /// All that was requested since then, by anybody, oldest first.
    ///
    /// # Errors
    /// As [`Self::mark`].
    pub async fn requests_since(&self, mark: Mark) -> Result<Requests> {
        self.settle().await?;
        access_log::read(&self.access.log, mark)
    }

    /// A Keycloak that has ended logs nothing more.
    async fn settle(&self) -> Result<()> {
        if self.own.is_some() && !self.process()?.is_running() {
            return Ok(());
        }
        access_log::settle(&self.access).await
    }

    /// The processor time that it has used since it was last started, in seconds.
    ///
    /// # Errors
    /// It has ended.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds_of(self.pid())
    }

    /// The memory it holds now (resident set), in bytes.
    ///
    /// # Errors
    /// It has ended, or is shared.
    pub fn rss(&self) -> Result<u64> {
        self.process()?.rss()
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.process().map_or(self.access.pid, |process| process.pid())
    }

    /// Its log, with the access log.
    pub fn log(&self) -> &Path {
        &self.access.log
    }

    /// What it wrote since it was last started.
    ///
    /// # Errors
    /// The log cannot be read, or it is shared.
    pub fn log_text(&self) -> Result<String> {
        self.process()?.log_text()
    }

    /// The CA itself, for certificates of the same kind.
    ///
    /// # Errors
    /// It is shared.
    pub fn ca(&self) -> Result<&Ca> {
        Ok(&self.own()?.ca)
    }

    /// Ends it politely (SIGTERM); connections are refused from now on.
    ///
    /// # Errors
    /// It is shared, or does not end within half a minute.
    pub async fn stop(&self) -> Result<()> {
        self.process()?.terminate(STOP_BOUND).await.map(drop)
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// It is shared.
    pub fn kill(&self) -> Result<()> {
        self.process()?.end_now();
        Ok(())
    }

    /// Starts it again at the same addresses, after [`Self::stop`] or [`Self::kill`]. With memory storage realms are gone.
    ///
    /// # Errors
    /// It is shared, or as [`Self::start`].
    pub async fn start_again(&self) -> Result<()> {
        let own = self.own()?;
        let process = server::serve(&own.workdir, &own.options, own.addresses, &self.access).await?;
        *own.process.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(process);
        Ok(())
    }

    /// Ends and starts it.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::start_again`].
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start_again().await
    }

    /// SIGSTOP: connections stay open and get no answer, until [`Self::thaw`].
    ///
    /// # Errors
    /// It is shared or has ended.
    pub fn freeze(&self) -> Result<()> {
        self.process()?.pause()
    }

    /// After [`Self::freeze`].
    ///
    /// # Errors
    /// It is shared or has ended.
    pub fn thaw(&self) -> Result<()> {
        self.process()?.resume()
    }

    /// Copies its database, while it is stopped; a backup that [`Self::restore`] brings back.
    ///
    /// # Errors
    /// It is shared, runs, or has no file.
    pub fn backup(&self, name: &str) -> Result<()> {
        let own = self.own_stopped()?;
        std::fs::copy(
            server::database(&own.workdir),
            own.workdir.path().join(format!("{name}.backup")),
        )
        .context("backup")?;
        Ok(())
    }

    /// Puts a backup in the place of its database, while it is stopped.
    ///
    /// # Errors
    /// It is shared, runs, or there is no such backup.
    pub fn restore(&self, name: &str) -> Result<()> {
        let own = self.own_stopped()?;
        std::fs::copy(
            own.workdir.path().join(format!("{name}.backup")),
            server::database(&own.workdir),
        )
        .context("restore")?;
        Ok(())
    }

    fn own_stopped(&self) -> Result<&Own> {
        let own = self.own()?;
        ensure!(own.options.storage == Storage::File, "it has no file");
        ensure!(!self.process()?.is_running(), "it runs");
        Ok(own)
    }
}

impl Access {
    fn token_endpoint(&self, realm: &str) -> String {
        format!("{}/realms/{realm}/protocol/openid-connect/token", self.base_url)
    }

    /// A token request of a realm, whatever it is answered.
    async fn token(&self, web: &reqwest::Client, realm: &str, fields: &[(&str, &str)]) -> Result<(StatusCode, Value)> {
        let response = web.post(self.token_endpoint(realm)).form(fields).send().await?;
        let status = response.status();
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// An HTTP client for the runtime it is made in. Patient: a realm takes long to make on a busy machine.
    fn web(&self) -> Result<reqwest::Client> {
        // No connection is kept: it would die with the runtime of the test that made it, and handles are shared by many.
        let builder = http::builder(&self.ca_pem)?
            .timeout(Duration::from_secs(120))
            .pool_max_idle_per_host(0);
        builder.build().context("HTTP client")
    }
}
