//! Real applications that people log into: oauth2-proxy, and two that are written with Flask and FastAPI (`e2e/applications`).
//!
//! Each runs as its Deployment in docs/applications.md says, from nothing but the Secret and the ConfigMap beside it. What an Ingress
//! would do is done by the application itself: it serves TLS on a port of loopback.

mod example;
mod greeting;
mod supervised;
mod user;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client, ResourceExt};

pub use example::Example;
pub use greeting::Greeting;
pub use supervised::Restart;
pub use user::{LoginPage, Outcome, User};

use crate::pki::Ca;
use crate::pod::{self, Container};
use crate::process::Process;
use crate::proxy::FaultProxy;
use crate::wait::eventually;
use crate::workdir::WorkDir;
use crate::{http, ports, tools};

/// Python imports a lot, on a busy machine.
const READY_BOUND: Duration = Duration::from_secs(60);

/// What a process still gets to answer after another has taken its place.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// How long it may take to end, before it is killed as the kubelet would.
const GRACE_PERIOD: Duration = Duration::from_secs(10);

/// Which application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// oauth2-proxy before a [`Greeting`].
    OAuth2Proxy,
    /// `e2e/applications/flask_app.py`.
    Flask,
    /// `e2e/applications/fastapi_app.py`.
    FastApi,
}

impl Program {
    /// Its name in docs/applications.md: that of the OIDCClient, the Deployment and the container.
    pub fn name(self) -> &'static str {
        match self {
            Self::OAuth2Proxy => "oauth2-proxy",
            Self::Flask => "flask",
            Self::FastApi => "fastapi",
        }
    }

    /// The program, as its image starts it; it listens on `address`.
    fn command(self, place: &Place, address: SocketAddr) -> Result<Command> {
        let folder = tools::repository().join("e2e/applications");
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let python = |module: &str| -> Result<Command> {
            let mut command = Command::new(tools::tool("applications")?.join("bin/python"));
            command
                .args(["-m", module])
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .env("PYTHONUNBUFFERED", "1");
            Ok(command)
        };
        match self {
            Self::OAuth2Proxy => {
                let mut command = Command::new(tools::tool("oauth2-proxy")?);
                command.args(["--http-address=-", &format!("--https-address={address}")]);
                command.arg(format!("--tls-cert-file={}", place.certificate.display()));
                command.arg(format!("--tls-key-file={}", place.key.display()));
                Ok(command)
            }
            Self::Flask => {
                let mut command = python("flask")?;
                command.arg("--app").arg(folder.join("flask_app.py"));
                command.args(["run", "--host", &ip, "--port", &port]);
                command
                    .arg("--cert")
                    .arg(&place.certificate)
                    .arg("--key")
                    .arg(&place.key);
                Ok(command)
            }
            Self::FastApi => {
                let mut command = python("uvicorn")?;
                command.arg("fastapi_app:app").arg("--app-dir").arg(folder);
                command.args(["--host", &ip, "--port", &port]);
                // Else it waits for browsers to close their connections.
                command.args(["--timeout-graceful-shutdown", "1"]);
                command.arg("--ssl-certfile").arg(&place.certificate);
                command.arg("--ssl-keyfile").arg(&place.key);
                Ok(command)
            }
        }
    }

    /// A path that answers with 200 once it serves.
    fn health(self) -> &'static str {
        match self {
            Self::OAuth2Proxy => "/ping",
            Self::Flask | Self::FastApi => "/",
        }
    }
}

/// Where an application is served: known before it runs, as its redirect URI stands in its OIDCClient. Like a Service, it hands
/// connections to the process that is ready.
#[derive(Debug)]
pub struct Place {
    service: FaultProxy,
    ca: String,
    certificate: PathBuf,
    key: PathBuf,
    workdir: WorkDir,
}

impl Place {
    /// A port, with a certificate of `ca` for it; `name` is for the folder with the log.
    ///
    /// # Errors
    /// There is no port, or the folder cannot be written.
    pub fn new(name: &str, ca: &Ca) -> Result<Self> {
        let workdir = WorkDir::new(name)?;
        let identity = ca.server(&[])?;
        Ok(Self {
            // Nobody listens there.
            service: FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], 1)))?,
            ca: ca.pem().to_owned(),
            certificate: workdir.write("web.crt", &identity.certificate)?,
            key: workdir.write("web.key", &identity.key)?,
            workdir,
        })
    }

    /// `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("https://{}", self.service.address())
    }

    /// The folder that stands for `/etc/oidc` of the documentation.
    pub fn mount_path(&self) -> PathBuf {
        self.workdir.path().join("etc-oidc")
    }

    fn root(&self) -> &Path {
        self.workdir.path()
    }
}

/// A running application; ends when dropped.
#[derive(Debug)]
pub struct Application {
    program: Program,
    place: Place,
    process: Process,
}

impl Application {
    /// Starts the program of the Deployment of its name in `namespace`, and waits until it serves.
    ///
    /// # Errors
    /// As [`pod::prepare`], or it ends or does not serve: the text has the end of its log.
    pub async fn start(program: Program, kube: &Client, namespace: &str, place: Place) -> Result<Self> {
        let container = container(program, kube, namespace, place.root()).await?;
        let process = serve(program, &container, &place).await?;
        Ok(Self {
            program,
            place,
            process,
        })
    }

    /// Replaces the process by one that has what the Secret and the ConfigMap hold now, as a Deployment replaces its Pod: the
    /// new one serves before the old one ends.
    ///
    /// # Errors
    /// As [`Self::start`]; then the old one goes on.
    pub async fn restart(&mut self, kube: &Client, namespace: &str) -> Result<()> {
        let container = container(self.program, kube, namespace, self.place.root()).await?;
        let process = serve(self.program, &container, &self.place).await?;
        let old = std::mem::replace(&mut self.process, process);
        // As `preStop: {sleep: {seconds: 3}}`: what it has begun to answer it may end.
        tokio::time::sleep(LAST_ANSWERS).await;
        if old.terminate(GRACE_PERIOD).await.is_err() {
            old.kill().await?;
        }
        Ok(())
    }

    /// Which one it is.
    pub fn program(&self) -> Program {
        self.program
    }

    /// `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        self.place.url()
    }

    /// The CA of its own certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.place.ca
    }

    /// The process, for its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

async fn container(program: Program, kube: &Client, namespace: &str, root: &Path) -> Result<Container> {
    let deployments: Api<Deployment> = Api::namespaced(kube.clone(), namespace);
    let deployment = deployments.get(program.name()).await?;
    let name = deployment.name_any();
    let spec = deployment.spec.and_then(|spec| spec.template.spec);
    let spec = spec.with_context(|| format!("Deployment {name} has no Pods"))?;
    pod::prepare(kube, namespace, &spec, program.name(), root)
        .await
        .with_context(|| format!("Pod of Deployment {name}"))
}

/// Runs the program until it serves, and sends its users there.
async fn serve(program: Program, container: &Container, place: &Place) -> Result<Process> {
    let address = ports::free_address()?;
    let mut command = program.command(place, address)?;
    command.args(&container.args).current_dir(place.root());
    // Nothing of ours, so that it is seen to need nothing but what its Pod has.
    for (name, _) in std::env::vars_os() {
        if name != "PATH" {
            command.env_remove(name);
        }
    }
    command.envs(&container.env);
    let process = Process::spawn(program.name(), &command, place.root())?.with_grace(Duration::ZERO);
    let (web, url) = (
        http::client(&place.ca)?,
        format!("https://{address}{}", program.health()),
    );
    let serving = eventually(format!("{} serves", program.name()), READY_BOUND, async || {
        if process.is_running() {
            let status = web.get(&url).send().await?.status();
            ensure!(status.is_success(), "{url}: {status}");
        }
        Ok(())
    });
    serving
        .await
        .with_context(|| format!("log of {}:\n{}", program.name(), process.log_tail(15)))?;
    process.must_run()?;
    place.service.set_upstream(address);
    Ok(process)
}
