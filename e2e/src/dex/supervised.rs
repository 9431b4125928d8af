//! A Dex that is managed by its configuration file, with a Deployment: kube-controller-manager makes its Pods, and what a kubelet does
//! with them is done here. There is no node: the Pod's container is a process of this machine, with the environment that its template
//! names, and the file that its volume holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, ResourceExt};
use oidc_operator::{
    api::dex_config::DexConfigKind,
    idp::{Transport, dex::config::ConfigIssuer, http::HttpClient},
};
use serde_json::{Value, json};

use super::{Addresses, Storage, USER_EMAIL, USER_ID, USER_NAME, config};
use crate::control_plane::ControlPlane;
use crate::pki::Ca;
use crate::process::Process;
use crate::scene::Idp;
use crate::wait::eventually;
use crate::workdir::WorkDir;
use crate::{http, install, pod, ports, tools};

/// The objects, by name.
pub const BASE: &str = "dex-config-base";
/// What the operator makes, and Dex reads.
pub const TARGET: &str = "dex-config";
/// The Secret with the client secrets.
pub const KEYS: &str = "dex-config-client-secrets";
/// The Deployment, and its container.
pub const DEPLOYMENT: &str = "dex";
/// A client of the platform's, in the configuration from the start.
pub const PLATFORM_CLIENT: &str = "platform";
/// Its secret.
pub const PLATFORM_SECRET: &str = "platform-secret-of-the-tests";
/// Its redirect URI.
pub const PLATFORM_REDIRECT_URI: &str = "https://platform.example.com/callback";

const FILE: &str = "config.yaml";

/// How often Pods are looked at.
const PERIOD: Duration = Duration::from_millis(50);

/// One start of the container.
#[derive(Debug, Clone)]
pub struct Start {
    /// The Pod.
    pub pod: String,
    /// When the process before it was told to end; `None`: there was none.
    pub ended: Option<Instant>,
    /// When Dex served.
    pub served: Option<Instant>,
    /// Clients whose variable was not set, or empty: Dex accepts an empty secret for them.
    pub open: Vec<String>,
}

/// Dex, as the platform's manifests have it.
#[derive(Debug)]
pub struct SupervisedDex {
    addresses: Addresses,
    issuer: String,
    ca: Ca,
    storage: Storage,
    kind: DexConfigKind,
    workdir: WorkDir,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    starts: Mutex<Vec<Start>>,
    /// Why the container could not be started last, as `kubectl describe` would show it.
    refused: Mutex<Option<String>>,
    /// The container is to start anew.
    restart: Mutex<bool>,
    process: Mutex<Option<Arc<Process>>>,
    stop: AtomicBool,
}

/// Follows the Pods until it is dropped; the process ends with it.
#[derive(Debug)]
pub struct Kubelet {
    thread: Option<std::thread::JoinHandle<()>>,
    shared: Arc<Shared>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It panics only with a defect of its own, which the test has seen otherwise.
            let _ = thread.join();
        }
        if let Some(process) = lock(&self.shared.process).take() {
            process.end_now();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SupervisedDex {
    /// Chooses its addresses and makes its certificates. Nothing runs yet.
    ///
    /// # Errors
    /// No port is free, or the folder cannot be written.
    pub fn new(name: &str, storage: Storage) -> Result<Self> {
        let workdir = WorkDir::new(name)?;
        let ca = Ca::new("oidc-operator-e2e Dex")?;
        let server = ca.server(&["dex", "dex.dex.svc"])?;
        workdir.write(config::CERTIFICATE, &server.certificate)?;
        workdir.write(config::KEY, &server.key)?;
        let addresses = Addresses {
            web: ports::free_address()?,
            grpc: ports::free_address()?,
            telemetry: ports::free_address()?,
        };
        Ok(Self {
            issuer: format!("https://{}/dex", addresses.web),
            addresses,
            ca,
            storage,
            kind: DexConfigKind::ConfigMap,
            workdir,
            shared: Arc::default(),
        })
    }

    /// Its configuration, the platform's part and what the operator makes of it, is kept in Secrets.
    #[must_use]
    pub fn in_secrets(mut self) -> Self {
        self.kind = DexConfigKind::Secret;
        self
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Its token endpoint.
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.issuer)
    }

    /// The CA of its certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        self.ca.pem()
    }

    /// As a driver for its configuration sees its issuer, each request within `timeout`.
    ///
    /// # Errors
    /// Its CA cannot be used.
    pub fn as_issuer(&self, timeout: Duration) -> Result<ConfigIssuer> {
        let transport = Transport {
            timeout,
            certificate_authority: Some(self.ca_pem().to_owned()),
            system_roots: false,
            identity: None,
        };
        Ok(ConfigIssuer {
            http: HttpClient::new(&transport)?,
            issuer: self.issuer.clone(),
            discovery_url: None,
            insecure_endpoints_allowed: false,
            endpoints: None,
        })
    }

    /// Applies its objects in a namespace of its own, and follows its Pods there.
    ///
    /// # Errors
    /// The API server refuses, or the thread cannot be started.
    pub async fn place(&self, cluster: &ControlPlane) -> Result<(String, Kubelet)> {
        let namespace = cluster.namespace("dex").await?;
        for object in self.manifests(&namespace) {
            cluster.kubectl()?.apply(&object.to_string()).await?;
        }
        let kubelet = self.kubelet(cluster, &namespace)?;
        Ok((namespace, kubelet))
    }

    /// All starts of the container, in their order.
    pub fn starts(&self) -> Vec<Start> {
        lock(&self.shared.starts).clone()
    }

    /// Why its container could not be started last.
    pub fn refused(&self) -> Option<String> {
        lock(&self.shared.refused).clone()
    }

    /// The container ends and is started anew in the same Pod, as after a crash: its environment and its file are as they are now.
    /// Waits until Dex serves again, or its container cannot be started.
    ///
    /// # Errors
    /// Neither within the bound.
    pub async fn crash(&self) -> Result<()> {
        let before = self.starts().len();
        *lock(&self.shared.refused) = None;
        *lock(&self.shared.restart) = true;
        eventually(
            "Dex is started anew, or cannot be",
            Duration::from_secs(30),
            async || {
                let starts = self.starts();
                let served = starts.len() > before && starts.last().is_some_and(|start| start.served.is_some());
                ensure!(served || self.refused().is_some(), "{} starts", starts.len());
                Ok(())
            },
        )
        .await
    }

    /// The platform's part of the configuration, written as a person would.
    pub fn base(&self) -> String {
        let file = |name: &str| self.workdir.path().join(name).display().to_string();
        let storage = match &self.storage {
            Storage::Memory => "{type: memory}".to_owned(),
            Storage::Sqlite => format!("{{type: sqlite3, config: {{file: {}}}}}", file("dex.db")),
            Storage::Kubernetes(kubeconfig) => {
                format!(
                    "{{type: kubernetes, config: {{kubeConfigFile: {}}}}}",
                    kubeconfig.display()
                )
            }
        };
        format!(
            "\
# Kept by the platform team.
issuer: {issuer}
storage: {storage}
web:
  https: {web}
  tlsCert: {certificate}
  tlsKey: {key}
telemetry: {{http: {telemetry}}}
logger: {{level: debug, format: json}}
oauth2:
  skipApprovalScreen: yes  # as YAML 1.1 has it
staticClients:
  - id: {PLATFORM_CLIENT}
    name: Platform
    secret: {PLATFORM_SECRET}
    redirectURIs: [\"{PLATFORM_REDIRECT_URI}\"]

# Users
enablePasswordDB: true
staticPasswords:
- email: {USER_EMAIL}
  hash: {hash}
  username: {USER_NAME}
  userID: {USER_ID}
",
            issuer = self.issuer,
            web = self.addresses.web,
            telemetry = self.addresses.telemetry,
            certificate = file(config::CERTIFICATE),
            key = file(config::KEY),
            hash = config::USER_PASSWORD_HASH,
        )
    }

    /// The objects of the platform: the Deployment, and what it needs but for the target.
    pub fn manifests(&self, namespace: &str) -> Vec<Value> {
        let labels = json!({"app": DEPLOYMENT});
        let mount = self.mount().display().to_string();
        let (data, volume) = match self.kind {
            DexConfigKind::ConfigMap => ("data", json!({"name": "config", "configMap": {"name": TARGET}})),
            DexConfigKind::Secret => (
                "stringData",
                json!({"name": "config", "secret": {"secretName": TARGET}}),
            ),
        };
        vec![
            json!({
                "apiVersion": "v1",
                "kind": self.kind.as_str(),
                "metadata": {
                    "name": BASE,
                    "namespace": namespace,
                    "labels": {"oidc-operator.io/credential": "dex-config"},
                },
                data: {FILE: self.base()},
            }),
            json!({
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": DEPLOYMENT, "namespace": namespace},
                "spec": {
                    "replicas": 1,
                    // One port: two of them cannot run at once.
                    "strategy": {"type": "Recreate"},
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "automountServiceAccountToken": false,
                            "containers": [{
                                "name": DEPLOYMENT,
                                "image": "dex",
                                "args": ["serve", format!("{mount}/{FILE}")],
                                "env": [{"name": "DEX_EXPAND_ENV", "value": "false"}],
                                "volumeMounts": [{"name": "config", "mountPath": mount}],
                            }],
                            "volumes": [volume],
                        },
                    },
                },
            }),
        ]
    }

    /// `spec.dex.config` of its OIDCProvider.
    pub fn spec(&self) -> Value {
        let kind = self.kind.as_str();
        json!({
            "base": {"kind": kind, "name": BASE, "key": FILE},
            "target": {"kind": kind, "name": TARGET, "key": FILE},
            "workload": {"kind": "Deployment", "name": DEPLOYMENT, "container": DEPLOYMENT},
        })
    }

    fn mount(&self) -> PathBuf {
        self.workdir.path().join("pod")
    }

    /// Follows the Pods of the Deployment in `namespace`, in a thread and a runtime of its own.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn kubelet(&self, cluster: &ControlPlane, namespace: &str) -> Result<Kubelet> {
        let (kubeconfig, namespace) = (cluster.admin_kubeconfig().to_owned(), namespace.to_owned());
        let (root, file, addresses) = (self.workdir.path().to_owned(), self.mount().join(FILE), self.addresses);
        let shared = Arc::clone(&self.shared);
        shared.stop.store(false, Ordering::SeqCst);
        let follow = async move || {
            let follower = Follower {
                kube: client(&kubeconfig).await?,
                namespace,
                root,
                file,
                addresses,
                shared,
                running: None,
                ended: None,
            };
            follower.follow().await;
            anyhow::Ok(())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("kubelet".to_owned()).spawn(move || {
            if let Err(error) = runtime.block_on(follow()) {
                tracing::error!(error = format!("{error:#}"), "kubelet");
            }
        })?;
        Ok(Kubelet {
            thread: Some(thread),
            shared: Arc::clone(&self.shared),
        })
    }

    /// The last lines of Dex's log.
    pub fn log_tail(&self) -> String {
        lock(&self.shared.process)
            .as_ref()
            .map(|process| process.log_tail(15))
            .unwrap_or_default()
    }
}

impl Idp for SupervisedDex {
    const NAME: &'static str = "dex-config";

    fn references(&self, namespace: &str) -> Vec<Value> {
        let mut objects = vec![install::ca_config_map(namespace, install::CA, self.ca_pem())];
        objects.extend(self.manifests(namespace));
        objects
    }

    fn provider(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": Self::NAME, "namespace": namespace},
            "spec": {
                "type": "Dex",
                "issuer": {"issuerURL": self.issuer, "issuerCertificateAuthority": {"name": install::CA}},
                "dex": {"type": "Config", "config": self.spec()},
                "clients": {"allowedNamespaces": {"from": "All"}},
            },
        })
    }
}

/// The Pod whose container runs.
struct Running {
    pod: String,
    serves: bool,
}

struct Follower {
    kube: Client,
    namespace: String,
    root: PathBuf,
    file: PathBuf,
    addresses: Addresses,
    shared: Arc<Shared>,
    running: Option<Running>,
    /// When the last process was told to end.
    ended: Option<Instant>,
}

impl Follower {
    async fn follow(mut self) {
        while !self.shared.stop.load(Ordering::SeqCst) {
            if let Err(error) = self.turn().await {
                tracing::debug!(error = format!("{error:#}"), "kubelet");
                *lock(&self.shared.refused) = Some(format!("{error:#}"));
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    async fn turn(&mut self) -> Result<()> {
        let selector = ListParams::default().labels(&format!("app={DEPLOYMENT}"));
        let pods = self.pods().list(&selector).await?.items;
        let living = pods.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none());
        let restart = std::mem::take(&mut *lock(&self.shared.restart));
        let same = self.running.as_ref().map(|running| &running.pod)
            == living.as_ref().and_then(|pod| pod.metadata.name.as_ref());
        let ended = lock(&self.shared.process)
            .as_ref()
            .is_some_and(|process| !process.is_running());
        if self.running.is_some() && (!same || restart || ended) {
            self.end().await?;
        }
        let Some(pod) = living else { return Ok(()) };
        match &self.running {
            None => self.start(&pod).await,
            Some(running) if !running.serves => self.serve(&pod).await,
            Some(_) => Ok(()),
        }
    }

    async fn end(&mut self) -> Result<()> {
        self.running = None;
        self.ended = Some(Instant::now());
        let process = lock(&self.shared.process).take();
        if let Some(process) = process.filter(|process| process.is_running()) {
            process.terminate(Duration::from_secs(10)).await?;
        }
        Ok(())
    }

    async fn start(&mut self, pod: &Pod) -> Result<()> {
        let spec = pod.spec.as_ref().context("a Pod without spec")?;
        let container = pod::prepare(&self.kube, &self.namespace, spec, DEPLOYMENT, &self.root).await?;
        let mut command = Command::new(tools::tool("dex")?);
        command
            .args(&container.args)
            .envs(&container.env)
            .current_dir(&self.root);
        let open = open_clients(&std::fs::read_to_string(&self.file)?, &container.env)?;
        let process = Process::spawn("dex", &command, &self.root)?.with_grace(Duration::ZERO);
        *lock(&self.shared.process) = Some(Arc::new(process));
        *lock(&self.shared.refused) = None;
        lock(&self.shared.starts).push(Start {
            pod: pod.name_any(),
            ended: self.ended.take(),
            served: None,
            open,
        });
        self.running = Some(Running {
            pod: pod.name_any(),
            serves: false,
        });
        Ok(())
    }

    /// Marks the Pod as ready once Dex serves.
    async fn serve(&mut self, pod: &Pod) -> Result<()> {
        let ready = format!("http://{}/healthz/ready", self.addresses.telemetry);
        let served = async {
            http::plain()?.get(&ready).send().await?.error_for_status()?;
            tokio::net::TcpStream::connect(self.addresses.web).await?;
            anyhow::Ok(())
        };
        if served.await.is_err() {
            return Ok(());
        }
        if let Some(start) = lock(&self.shared.starts).last_mut() {
            start.served = Some(Instant::now());
        }
        let status = json!({"status": {"phase": "Running", "conditions": [{
            "type": "Ready", "status": "True", "lastTransitionTime": jiff::Timestamp::now().to_string(),
        }]}});
        let (name, params) = (pod.name_any(), PatchParams::default());
        self.pods()
            .patch_status(&name, &params, &Patch::Strategic(status))
            .await?;
        if let Some(running) = &mut self.running {
            running.serves = true;
        }
        Ok(())
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let options = KubeConfigOptions::default();
    let mut config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig)?, &options).await?;
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}

/// The clients of a configuration whose secret Dex reads as an empty one (`cmd/dex/serve.go`: `os.Getenv(client.SecretEnv)`).
fn open_clients(text: &str, env: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let document: Value = serde_yaml::from_str(text).context("the target is no YAML")?;
    let clients = document["staticClients"].as_array().cloned().unwrap_or_default();
    let is_open = |client: &Value| {
        let variable = client["secretEnv"].as_str()?;
        let set = env.get(variable).is_some_and(|value| !value.is_empty());
        (!set).then(|| client["id"].as_str().unwrap_or_default().to_owned())
    };
    Ok(clients.iter().filter_map(is_open).collect())
}
