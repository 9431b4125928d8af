//! What a test of the operator plays in: a stage (control plane, Dex, operator) that many tests share, and on it a scene of the
//! test's own: a namespace with an OIDCProvider, and one with an application.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use oidc_operator::api::{Condition, OIDCClient, OIDCProvider, client::CredentialsStatus};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::control_plane::{ControlPlane, Options};
use crate::dex::{Dex, DexOptions, StoredDex};
use crate::install;
use crate::operator::{Operator, OperatorOptions};
use crate::pki::Ca;
use crate::wait::eventually;
use crate::workdir::WorkDir;

/// How long the operator may take for anything that is not made slow on purpose. Generous: two cores, many tests.
pub const SOON: Duration = Duration::from_secs(60);

/// Name of the OIDCProvider of every scene for Dex.
pub const PROVIDER: &str = <Dex as Idp>::NAME;

/// An identity provider, as a scene's OIDCProvider describes it.
pub trait Idp: Sync {
    /// Name of the OIDCProvider.
    const NAME: &'static str;

    /// The namespace that the OIDCProvider must be in; `None`: any.
    fn home(&self) -> Option<&str> {
        None
    }

    /// What the OIDCProvider refers to.
    fn references(&self, namespace: &str) -> Vec<Value>;

    /// The OIDCProvider, for OIDCClients of every namespace.
    fn provider(&self, namespace: &str) -> Value;
}

impl Idp for Dex {
    const NAME: &'static str = "dex";

    fn references(&self, namespace: &str) -> Vec<Value> {
        install::references(self, namespace).into()
    }

    fn provider(&self, namespace: &str) -> Value {
        install::provider(self, namespace, Self::NAME)
    }
}

impl Idp for StoredDex {
    const NAME: &'static str = "dex";

    fn home(&self) -> Option<&str> {
        Some(self.namespace())
    }

    fn references(&self, namespace: &str) -> Vec<Value> {
        vec![install::ca_config_map(namespace, install::CA, self.dex.ca_pem())]
    }

    fn provider(&self, _: &str) -> Value {
        self.provider(Self::NAME)
    }
}

/// A control plane with the operator installed, and a Dex.
#[derive(Debug)]
pub struct Stage {
    /// The operator that acts here; ended before what it works with.
    pub operator: Operator,
    /// Dex, with memory storage.
    pub dex: Dex,
    /// Kubernetes.
    pub cluster: ControlPlane,
    /// What the operator's system trusts, and nothing that the test has is signed by it.
    pub system_root: Ca,
    _roots: WorkDir,
}

impl Stage {
    /// Starts one. `args` are more arguments of the operator.
    ///
    /// # Errors
    /// A part does not start; the text has the end of its log.
    pub async fn start(name: &str, args: &[&str]) -> Result<Self> {
        Self::start_with(name, args, false).await
    }

    /// The same, where the Pods of `workloads` are made, too.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(name: &str, args: &[&str], workloads: bool) -> Result<Self> {
        let named = |part: &str| format!("{name}-{part}");
        let (cluster, dex) = tokio::try_join!(
            ControlPlane::start(Options {
                name: named("control-plane"),
                workloads,
                ..Options::default()
            }),
            Dex::start(DexOptions {
                name: named("dex"),
                ..DexOptions::default()
            }),
        )?;
        let kubeconfig = install::install(&cluster).await?;
        // The garbage collector learns of new CRDs every 30 s only: it starts anew, so that owners count at once.
        cluster.start_controller_manager().await?;
        let mut options = OperatorOptions::new(kubeconfig, "e2e");
        options.name = named("operator");
        options.args.extend(args.iter().map(|&arg| arg.to_owned()));
        // Whatever the machine trusts, or trusts nobody.
        let (system_root, roots) = (
            Ca::new("oidc-operator-e2e system root")?,
            WorkDir::new(&named("roots"))?,
        );
        let file = roots.write("roots.pem", system_root.pem())?;
        options.env = [("SSL_CERT_FILE", file.as_path()), ("SSL_CERT_DIR", roots.path())]
            .map(|(name, path)| (name.to_owned(), path.display().to_string()))
            .into();
        let operator = Operator::start(options)?;
        operator.wait_ready(SOON).await?;
        Ok(Self {
            operator,
            dex,
            cluster,
            system_root,
            _roots: roots,
        })
    }

    /// The stage of this process. Tests on it neither stop, restart nor freeze any of its parts.
    ///
    /// # Errors
    /// As [`Stage::start`]; the next caller tries again.
    pub async fn shared() -> Result<&'static Self> {
        static CELL: OnceCell<Stage> = OnceCell::const_new();
        CELL.get_or_try_init(|| Self::start("shared", &[])).await
    }

    /// The stage of this process whose operator may restart workloads: `--enable-rollout-restart`, and what
    /// `config/rollout-restart` has beside it. The rights are given by [`install::allow_restarts`].
    ///
    /// # Errors
    /// As [`Stage::start`]; the next caller tries again.
    pub async fn restarting() -> Result<&'static Self> {
        static CELL: OnceCell<Stage> = OnceCell::const_new();
        CELL.get_or_try_init(async || {
            let stage = Self::start("restarting", &["--enable-rollout-restart"]).await?;
            install::restarts(&stage.cluster).await?;
            Ok(stage)
        })
        .await
    }

    /// A scene with a provider that is ready, for this Dex.
    ///
    /// # Errors
    /// The provider does not become ready.
    pub async fn scene(&self, prefix: &str) -> Result<Scene<'_>> {
        let scene = self.empty_scene(prefix).await?;
        scene.provider(json!({})).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        Ok(scene)
    }

    /// A scene with the objects that a provider refers to, but without a provider.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn empty_scene(&self, prefix: &str) -> Result<Scene<'_>> {
        self.empty_scene_at(&self.dex, prefix).await
    }

    /// [`Self::empty_scene`] for another identity provider, or one of the test's own, which it may stop and restart.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn empty_scene_at<'a, P: Idp>(&'a self, idp: &'a P, prefix: &str) -> Result<Scene<'a, P>> {
        Scene::empty(&self.cluster, idp, prefix).await
    }

    /// [`Self::scene`] for another identity provider; `provider` is a merge patch on its OIDCProvider.
    ///
    /// # Errors
    /// The provider does not become ready.
    pub async fn scene_at<'a, P: Idp>(&'a self, idp: &'a P, prefix: &str, provider: Value) -> Result<Scene<'a, P>> {
        let scene = self.empty_scene_at(idp, prefix).await?;
        scene.provider(provider).await?;
        scene.ready::<OIDCProvider>(P::NAME).await?;
        Ok(scene)
    }
}

/// One test's part of a stage.
pub struct Scene<'a, P = Dex> {
    /// With the admin's rights, for the runtime of this test.
    pub kube: Client,
    /// The namespace of the OIDCProvider.
    pub identity: String,
    /// The namespace of the application.
    pub app: String,
    /// The identity provider.
    pub idp: &'a P,
    /// The stage's control plane.
    pub cluster: &'a ControlPlane,
}

impl<P> Clone for Scene<'_, P> {
    fn clone(&self) -> Self {
        Self {
            kube: self.kube.clone(),
            identity: self.identity.clone(),
            app: self.app.clone(),
            idp: self.idp,
            cluster: self.cluster,
        }
    }
}

impl<P> Debug for Scene<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scene")
            .field("identity", &self.identity)
            .field("app", &self.app)
            .finish_non_exhaustive()
    }
}

/// Kinds that a scene waits for.
pub trait Watched:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync
{
    /// The namespace of a scene that holds them.
    fn home<'a, P>(scene: &'a Scene<'_, P>) -> &'a str;
    /// The generation that the status speaks of, and the conditions.
    fn status(&self) -> (i64, &[Condition]);
}

impl Watched for OIDCProvider {
    fn home<'a, P>(scene: &'a Scene<'_, P>) -> &'a str {
        &scene.identity
    }
    fn status(&self) -> (i64, &[Condition]) {
        let status = self.status.as_ref();
        status.map_or((0, &[]), |status| (status.observed_generation, &status.conditions))
    }
}

impl Watched for OIDCClient {
    fn home<'a, P>(scene: &'a Scene<'_, P>) -> &'a str {
        &scene.app
    }
    fn status(&self) -> (i64, &[Condition]) {
        let status = self.status.as_ref();
        status.map_or((0, &[]), |status| (status.observed_generation, &status.conditions))
    }
}

impl<'a, P: Idp> Scene<'a, P> {
    /// Namespaces of its own (but for an identity provider that has a home), and the objects that a provider for `idp` refers
    /// to, but no provider.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn empty(cluster: &'a ControlPlane, idp: &'a P, prefix: &str) -> Result<Self> {
        let scene = Self {
            kube: cluster.client().await?,
            identity: match idp.home() {
                Some(home) => home.to_owned(),
                None => cluster.namespace(&format!("{prefix}-identity")).await?,
            },
            app: cluster.namespace(&format!("{prefix}-app")).await?,
            idp,
            cluster,
        };
        scene.references().await?;
        Ok(scene)
    }
}

impl<P: Idp> Scene<'_, P> {
    /// Objects of a kind in its namespace of this scene.
    pub fn api<K: Watched>(&self) -> Api<K> {
        Api::namespaced(self.kube.clone(), K::home(self))
    }

    /// The application's users make Secret `by-hand`, or change it: a client secret under `key`, labelled for that.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn users_secret(&self, key: &str, value: &str) -> Result<DynamicObject> {
        let labels = json!({"oidc-operator.io/credential": "client"});
        self.apply(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "by-hand", "namespace": self.app, "labels": labels},
            "stringData": {key: value},
        }))
        .await
    }

    /// Server-side apply of any object, as `kubectl apply --server-side` does it.
    ///
    /// # Errors
    /// The API server refuses: the text has its words.
    pub async fn apply(&self, object: Value) -> Result<DynamicObject> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, namespace) = (
            text(&object["metadata"]["name"]),
            text(&object["metadata"]["namespace"]),
        );
        let api_version = text(&object["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let kind = kube::core::GroupVersionKind::gvk(group, version, &text(&object["kind"]));
        let plural = format!("{}s", kind.kind.to_lowercase());
        let resource = ApiResource::from_gvk_with_plural(&kind, &plural);
        let api: Api<DynamicObject> = Api::namespaced_with(self.kube.clone(), &namespace, &resource);
        let params = PatchParams::apply("e2e").force();
        let applied = api.patch(&name, &params, &Patch::Apply(&object)).await;
        applied.with_context(|| format!("apply {} {namespace}/{name}", kind.kind))
    }

    /// Applies what the provider refers to, as it should be.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn references(&self) -> Result<()> {
        for reference in self.idp.references(&self.identity) {
            self.apply(reference).await?;
        }
        Ok(())
    }

    /// The client ID of an OIDCClient of the application that names none.
    pub fn client_id(&self, name: &str) -> String {
        format!("{}_{name}", self.app)
    }

    /// Applies the scene's OIDCProvider; `patch` is a JSON merge patch (RFC 7396) on it.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn provider(&self, patch: Value) -> Result<()> {
        let mut provider = self.idp.provider(&self.identity);
        merge(&mut provider, &patch);
        self.apply(provider).await.map(drop)
    }

    /// An OIDCClient of the scene's application; `spec` is a JSON merge patch on the smallest usual one.
    pub fn client_object(&self, name: &str, spec: &Value) -> Value {
        let mut object = json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCClient",
            "metadata": {"name": name, "namespace": self.app},
            "spec": {
                "providerRef": {"name": P::NAME, "namespace": self.identity},
                "redirectURIs": ["https://app.example.com/callback"],
            },
        });
        merge(&mut object["spec"], spec);
        object
    }

    /// Applies an OIDCClient of the scene's application.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn client(&self, name: &str, spec: Value) -> Result<()> {
        self.apply(self.client_object(name, &spec)).await.map(drop)
    }

    /// The same, and waits until it is ready.
    ///
    /// # Errors
    /// It does not become ready.
    pub async fn ready_client(&self, name: &str, spec: Value) -> Result<OIDCClient> {
        self.client(name, spec).await?;
        self.ready(name).await
    }

    /// A JSON merge patch on an object, as `kubectl patch --type merge` sends it.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn patch<K: Watched>(&self, name: &str, patch: Value) -> Result<K> {
        let patched = self
            .api::<K>()
            .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        patched.with_context(|| format!("patch {name}"))
    }

    /// Asks for new credentials of OIDCClient `name` (annotation `oidc-operator.io/rotate`); another `value` each time.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn rotate(&self, name: &str, value: &str) -> Result<()> {
        let annotations = json!({"oidc-operator.io/rotate": value});
        let patch = json!({"metadata": {"annotations": annotations}});
        self.patch::<OIDCClient>(name, patch).await.map(drop)
    }

    /// What the status of OIDCClient `name` tells of its credentials.
    ///
    /// # Errors
    /// It tells nothing.
    pub async fn credentials(&self, name: &str) -> Result<CredentialsStatus> {
        let status = self.api::<OIDCClient>().get(name).await?.status;
        status.context("no status")?.credentials.context("no credentials")
    }

    /// Asks for a pass that looks at everything anew (annotation `oidc-operator.io/reconcile-requested`).
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn ask<K: Watched>(&self, name: &str, request: &str) -> Result<K> {
        let annotations = json!({"oidc-operator.io/reconcile-requested": request});
        self.patch(name, json!({"metadata": {"annotations": annotations}}))
            .await
    }

    /// Waits until condition `type_` of the current generation is `status` for `reason`; gives its message.
    ///
    /// # Errors
    /// It is not within [`SOON`]; the text has what was seen last.
    pub async fn condition<K: Watched>(&self, name: &str, type_: &str, status: &str, reason: &str) -> Result<String> {
        let api = self.api::<K>();
        eventually(format!("{name}: {type_}={status} ({reason})"), SOON, async || {
            let object = api.get(name).await?;
            let (observed, conditions) = object.status();
            ensure!(
                Some(observed) == object.meta().generation,
                "its status is of generation {observed}"
            );
            let found = conditions.iter().find(|condition| condition.type_ == type_);
            let found = found.context("no such condition")?;
            ensure!(
                format!("{:?}", found.status) == status && found.reason == reason,
                "{:?} ({}): {}",
                found.status,
                found.reason,
                found.message
            );
            Ok(found.message.clone())
        })
        .await
    }

    /// Waits until `Ready` of the current generation is True; gives the object.
    ///
    /// # Errors
    /// As [`Self::condition`].
    pub async fn ready<K: Watched>(&self, name: &str) -> Result<K> {
        self.condition::<K>(name, "Ready", "True", "Ready").await?;
        Ok(self.api::<K>().get(name).await?)
    }

    /// Deletes an object and waits until it is gone.
    ///
    /// # Errors
    /// It is not gone within [`SOON`].
    pub async fn delete<K: Watched>(&self, name: &str) -> Result<()> {
        self.api::<K>().delete(name, &DeleteParams::default()).await?;
        self.gone::<K>(name).await
    }

    /// Waits until an object is gone.
    ///
    /// # Errors
    /// It is not within [`SOON`].
    pub async fn gone<K: Watched>(&self, name: &str) -> Result<()> {
        let api = self.api::<K>();
        eventually(format!("{name} is gone"), SOON, async || {
            let left = api.get_opt(name).await?;
            ensure!(left.is_none(), "{left:?}");
            Ok(())
        })
        .await
    }

    /// Every text that `operator` gave to the world, by where it stands.
    ///
    /// # Errors
    /// The operator or the API server does not answer.
    pub async fn told(&self, operator: &Operator) -> Result<Vec<(String, String)>> {
        let mut told = vec![
            ("log".to_owned(), operator.process().log_text()?),
            ("metrics".to_owned(), operator.metrics().await?),
        ];
        for namespace in [&self.app, &self.identity] {
            let events: Api<Event> = Api::namespaced(self.kube.clone(), namespace);
            for event in events.list(&ListParams::default()).await? {
                told.push(("Event".to_owned(), serde_json::to_string(&event)?));
            }
        }
        for client in self.api::<OIDCClient>().list(&ListParams::default()).await? {
            told.push(("OIDCClient".to_owned(), serde_json::to_string(&client)?));
        }
        for provider in self.api::<OIDCProvider>().list(&ListParams::default()).await? {
            told.push(("OIDCProvider".to_owned(), serde_json::to_string(&provider)?));
        }
        for map in self.config_maps().list(&ListParams::default()).await? {
            told.push(("ConfigMap".to_owned(), serde_json::to_string(&map)?));
        }
        Ok(told)
    }

    /// Secrets of the application's namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.kube.clone(), &self.app)
    }

    /// ConfigMaps of the application's namespace.
    pub fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.kube.clone(), &self.app)
    }

    /// The keys and values of a Secret of the application.
    ///
    /// # Errors
    /// It is not there, or holds something else than text.
    pub async fn secret(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let secret = self.secrets().get(name).await?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("not text");
        secret
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| Ok((key, text(value.0)?)))
            .collect()
    }

    /// The annotations of a Secret of the application.
    ///
    /// # Errors
    /// It is not there.
    pub async fn secret_annotations(&self, name: &str) -> Result<BTreeMap<String, String>> {
        let metadata = self.secrets().get(name).await?.metadata;
        Ok(metadata.annotations.unwrap_or_default())
    }

    /// Waits until the Event `reason` on the object `regarding` is in `namespace`; gives its note.
    ///
    /// # Errors
    /// It is not within [`SOON`]; the text has those that are.
    pub async fn event(&self, namespace: &str, regarding: &str, reason: &str) -> Result<String> {
        let api: Api<Event> = Api::namespaced(self.kube.clone(), namespace);
        eventually(format!("Event {reason} on {regarding}"), SOON, async || {
            let all = api.list(&ListParams::default()).await?.items;
            let is_it = |event: &&Event| {
                let name = event.regarding.as_ref().and_then(|object| object.name.as_deref());
                event.reason.as_deref() == Some(reason) && name == Some(regarding)
            };
            let Some(event) = all.iter().find(is_it) else {
                let seen: Vec<_> = all
                    .iter()
                    .map(|event| (event.name_any(), event.reason.clone()))
                    .collect();
                anyhow::bail!("there are {seen:?}");
            };
            Ok(event.note.clone().unwrap_or_default())
        })
        .await
    }
}

impl<P: Idp> Scene<'_, P> {
    /// How long it takes until the CA bundles of all `clients` hold just these certificates, in whatever order.
    ///
    /// # Errors
    /// They do not within [`SOON`].
    pub async fn bundles_become(&self, clients: &[&str], certificates: &[&str]) -> Result<Duration> {
        let start = Instant::now();
        let maps = self.config_maps();
        for client in clients {
            let name = format!("{client}-oidc");
            eventually(format!("the CA bundle of {client}"), SOON, async || {
                let data = maps.get(&name).await?.data.unwrap_or_default();
                let [first, second] = ["ca-bundle.crt", "ca.crt"].map(|key| data.get(key).cloned().unwrap_or_default());
                ensure!(first == second, "one text under both names");
                let wanted: usize = certificates.iter().map(|certificate| blocks(certificate).len()).sum();
                ensure!(blocks(&first).len() == wanted, "{} certificates", blocks(&first).len());
                let all_there = certificates.iter().flat_map(|certificate| blocks(certificate));
                ensure!(
                    all_there.into_iter().all(|block| blocks(&first).contains(&block)),
                    "other certificates"
                );
                Ok(())
            })
            .await?;
        }
        Ok(start.elapsed())
    }
}

/// The base64 of each certificate in PEM, whatever its lines and line ends.
fn blocks(pem: &str) -> Vec<String> {
    let blocks = pem.split("-----BEGIN CERTIFICATE-----").skip(1);
    let bodies = blocks.filter_map(|block| block.split("-----END").next());
    bodies.map(|body| body.split_whitespace().collect()).collect()
}

/// JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
