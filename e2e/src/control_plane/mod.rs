//! A Kubernetes control plane without nodes: etcd, kube-apiserver and, if wanted, kube-controller-manager.

mod access;
mod kubeconfig;
mod parts;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::audit::Audit;
use crate::http;
use crate::pki::{Ca, signing_key};
use crate::ports;
use crate::process::Process;
use crate::random;
use crate::record::Watcher;
use crate::workdir::WorkDir;

/// What a control plane is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names its folder.
    pub name: String,
    /// Whether to start kube-controller-manager: without it no namespace ever ends and nothing is garbage collected.
    pub controller_manager: bool,
    /// Does it make Pods of Deployments? Nobody runs them.
    pub workloads: bool,
    /// Users beside the admin. They have the rights that RBAC gives them.
    pub users: Vec<User>,
    /// More arguments of kube-apiserver, such as `--authentication-config=FILE`.
    pub apiserver_args: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: "control-plane".to_owned(),
            controller_manager: true,
            workloads: false,
            users: Vec::new(),
            apiserver_args: Vec::new(),
        }
    }
}

/// A user with a static token.
#[derive(Debug, Clone)]
pub struct User {
    /// What it shows to the API server.
    pub token: String,
    /// Its name in RBAC bindings and the audit log.
    pub name: String,
    /// Its groups, besides `system:authenticated`.
    pub groups: Vec<String>,
}

/// A running control plane; ends when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    // Ended in this order: who still has a server to talk to is quiet while it ends.
    controller_manager: Mutex<Option<Process>>,
    apiserver: Mutex<Process>,
    /// Sees the last of what the API server wrote, in etcd.
    _secrets: Option<Watcher>,
    etcd: Process,
    ca: Ca,
    address: SocketAddr,
    etcd_url: String,
    apiserver_args: Vec<String>,
    workloads: bool,
    admin_token: String,
    admin_kubeconfig: PathBuf,
    manager_kubeconfig: PathBuf,
    audit: Audit,
    workdir: WorkDir,
}

/// The user that kube-controller-manager is.
const MANAGER: &str = "system:kube-controller-manager";
/// Ports can be lost to somebody else between the choice and the bind.
const TRIES: usize = 3;

impl ControlPlane {
    /// Starts a control plane and waits until it is ready (about 3 s on an idle machine).
    ///
    /// # Errors
    /// The tools are missing, or a part ends or is not ready within a minute: the text has the end of its log.
    pub async fn start(options: Options) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::try_start(&options).await {
                Err(error) if tries < TRIES && format!("{error:#}").contains("address already in use") => tries += 1,
                result => return result,
            }
        }
    }

    async fn try_start(options: &Options) -> Result<Self> {
        http::choose_crypto();
        let workdir = WorkDir::new(&options.name)?;
        let ca = Ca::new("oidc-operator-e2e control plane")?;
        let address = ports::free_address()?;
        let url = format!("https://{address}");
        let admin_token = random::token()?;

        let mut users = options.users.clone();
        let manager_token = random::token()?;
        // A name for each, so that the audit log tells them apart.
        for (token, name) in [(&admin_token, "admin"), (&manager_token, MANAGER)] {
            users.push(User {
                token: token.clone(),
                name: name.to_owned(),
                groups: vec!["system:masters".to_owned()],
            });
        }
        parts::write_files(&workdir, &ca, &users, &signing_key()?)?;
        let manager_kubeconfig =
            kubeconfig::write(&workdir, "kube-controller-manager", &url, ca.pem(), &manager_token)?;
        let admin_kubeconfig = kubeconfig::write(&workdir, "admin", &url, ca.pem(), &admin_token)?;

        let (etcd, etcd_url) = parts::start_etcd(&workdir).await?;
        let name = workdir.path().file_name().unwrap_or_default().to_string_lossy();
        let secrets = Watcher::start(&etcd_url, &name)?;
        let apiserver = parts::start_apiserver(&workdir, address, &etcd_url, &options.apiserver_args)?;
        let web = http::client(ca.pem())?;
        let audit = Audit::new(workdir.path().join(parts::AUDIT_LOG), &url, &admin_token, ca.pem());
        parts::wait_ready(&apiserver, &web, &url, &admin_token).await?;
        let control_plane = Self {
            controller_manager: Mutex::new(None),
            apiserver: Mutex::new(apiserver),
            _secrets: secrets,
            etcd,
            ca,
            address,
            etcd_url,
            apiserver_args: options.apiserver_args.clone(),
            workloads: options.workloads,
            admin_token,
            admin_kubeconfig,
            manager_kubeconfig,
            audit,
            workdir,
        };
        if options.controller_manager {
            control_plane.start_controller_manager().await?;
        }
        Ok(control_plane)
    }

    /// Starts kube-controller-manager, or starts it anew, with garbage collection, namespace deletion, ServiceAccounts,
    /// the CA's ConfigMap and aggregated ClusterRoles.
    ///
    /// The garbage collector learns of new CRDs every 30 s only: who deletes owners right after their CRD came starts it after that.
    ///
    /// # Errors
    /// It ends, or is not ready within a minute.
    pub async fn start_controller_manager(&self) -> Result<()> {
        // Two of them would work against each other: the old one ends first.
        drop(
            self.controller_manager
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let kubeconfig = &self.manager_kubeconfig;
        let started = parts::start_controller_manager(&self.workdir, kubeconfig, self.ca.pem(), self.workloads).await?;
        *self.controller_manager.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        Ok(())
    }

    /// Ends the API server at once (SIGKILL) and starts it again at the same address; etcd keeps the objects. Watches are cut,
    /// tokens and kubeconfigs stay valid.
    ///
    /// # Errors
    /// It is not ready again within a minute.
    pub async fn restart_apiserver(&self) -> Result<()> {
        self.stop_apiserver();
        self.start_apiserver_again().await
    }

    /// Ends the API server at once (SIGKILL); connections to it are refused from now on.
    pub fn stop_apiserver(&self) {
        let apiserver = self.apiserver.lock().unwrap_or_else(PoisonError::into_inner);
        apiserver.end_now();
    }

    /// Starts the API server after [`Self::stop_apiserver`].
    ///
    /// # Errors
    /// It is not ready within a minute.
    pub async fn start_apiserver_again(&self) -> Result<()> {
        let started = parts::start_apiserver(&self.workdir, self.address, &self.etcd_url, &self.apiserver_args)?;
        parts::wait_ready(&started, &http::client(self.ca.pem())?, &self.url(), &self.admin_token).await?;
        *self.apiserver.lock().unwrap_or_else(PoisonError::into_inner) = started;
        Ok(())
    }

    /// Stops the API server's answers without closing a connection; [`Self::thaw_apiserver`] lets it go on.
    ///
    /// # Errors
    /// It has ended.
    pub fn freeze_apiserver(&self) -> Result<()> {
        self.apiserver.lock().unwrap_or_else(PoisonError::into_inner).pause()
    }

    /// After [`Self::freeze_apiserver`].
    ///
    /// # Errors
    /// It has ended.
    pub fn thaw_apiserver(&self) -> Result<()> {
        self.apiserver.lock().unwrap_or_else(PoisonError::into_inner).resume()
    }

    /// The processor time that API server and etcd have used, in seconds: what a load cost the cluster.
    ///
    /// # Errors
    /// One of them has ended.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let apiserver = self
            .apiserver
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .cpu_seconds()?;
        Ok(apiserver + self.etcd.cpu_seconds().context("etcd")?)
    }

    /// The pids of all parts, for tests of the harness itself.
    pub fn pids(&self) -> Vec<i32> {
        let manager = self.controller_manager.lock().unwrap_or_else(PoisonError::into_inner);
        let apiserver = self.apiserver.lock().unwrap_or_else(PoisonError::into_inner);
        [self.etcd.pid(), apiserver.pid()]
            .into_iter()
            .chain(manager.as_ref().map(Process::pid))
            .collect()
    }

    /// `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Where the API server listens: the upstream of a [`crate::proxy::FaultProxy`].
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The CA of the API server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    /// The audit log.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The folder with its data, keys and logs; tests may put files of their own there.
    pub fn folder(&self) -> &Path {
        self.workdir.path()
    }
}
