//! What every pass holds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use kube::{Client, Resource};

use super::{lock::lock, registry::Registry, triggers::Triggers};
use crate::{
    api::{OIDCClient, OIDCProvider},
    domain::ResourceName,
    kubernetes::{events::Events, objects::name_of, watch::prune_metadata},
    plan::{
        Step,
        snapshot::{ClientBrief, NamespaceView, Settings},
    },
    telemetry::metrics::{Kind, Metrics},
};

/// A pass over an OIDCClient ends after this time, counted from when it holds its permit.
pub const PASS_DEADLINE: Duration = Duration::from_secs(120);

/// A pass over an OIDCProvider ends after this time. It lists all clients, page by page, each page with a deadline of its own:
/// ten thousand clients of a slow server take minutes, and nobody waits for it.
pub const PROVIDER_PASS_DEADLINE: Duration = Duration::from_secs(900);

/// What a store has under a name.
#[derive(Clone, Debug)]
pub enum Lookup<K> {
    /// The object.
    Found(Arc<K>),
    /// It is there, and this version cannot read it.
    Unreadable,
    /// Nothing.
    NotFound,
}

/// Where objects are read: the watch's store in production.
#[async_trait]
pub trait Objects: Send + Sync {
    /// Waits until everything that exists has been seen once: absence means nothing before.
    async fn ready(&self);
    /// Waits a while until what providers refer to has been seen once: what is read then is newer.
    async fn references_listed(&self) {}
    /// An OIDCClient.
    async fn client(&self, name: &ResourceName) -> Option<Arc<OIDCClient>>;
    /// An OIDCProvider.
    async fn provider(&self, name: &ResourceName) -> Lookup<OIDCProvider>;
    /// The OIDCClients that refer to a provider.
    async fn clients_of(&self, provider: &ResourceName) -> Vec<ClientBrief>;
    /// Those of them with this client ID.
    async fn clients_with(&self, provider: &ResourceName, client_id: &str) -> Vec<ClientBrief>;
    /// Labels of a namespace, and whether it is being deleted; `None`: not known (yet).
    async fn namespace(&self, name: &str) -> Option<NamespaceView>;
}

/// Lets a test end a pass before or after a step, as a crash would.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Before a step runs; `false`: the process "dies" here.
    async fn before(&self, step: &Step) -> bool;
    /// After it ran.
    async fn after(&self, step: &Step) -> bool;
}

/// Never ends anything.
pub struct Open;

#[async_trait]
impl Gate for Open {
    async fn before(&self, _: &Step) -> bool {
        true
    }
    async fn after(&self, _: &Step) -> bool {
        true
    }
}

/// What every pass holds.
pub struct Context {
    /// Kubernetes.
    pub kube: Client,
    /// Objects.
    pub objects: Arc<dyn Objects>,
    /// The operator's own namespace: where records of registered clients are kept.
    pub namespace: String,
    /// How this operator runs.
    pub settings: Settings,
    /// What this process knows of each provider.
    pub registry: Registry,
    /// Numbers.
    pub metrics: Metrics,
    /// Events.
    pub events: Events,
    /// Wakes passes.
    pub triggers: Triggers,
    /// Where a test ends a pass.
    pub gate: Arc<dyn Gate>,
    /// Own writes that the watch may not have shown yet.
    pub recent: Recent,
    /// Tries since the last success, by object.
    pub attempts: Attempts,
}

impl Context {
    /// Forgets what is known of a provider that is gone.
    pub fn forget_provider(&self, name: &ResourceName) {
        self.registry.forget(name);
        self.metrics.forget_certificates(name);
    }
}

/// The newest version of objects that this process wrote, until the watch has caught up: a pass never decides on a
/// version older than its own last write.
#[derive(Default)]
pub struct Recent {
    clients: Mutex<HashMap<ResourceName, Arc<OIDCClient>>>,
    providers: Mutex<HashMap<ResourceName, Arc<OIDCProvider>>>,
    /// resourceVersion of the write of our finalizer.
    finalizers: Mutex<HashMap<ResourceName, String>>,
    /// uid of a client that was let go, until the watch shows that it is gone.
    let_go: Mutex<HashMap<ResourceName, String>>,
    /// uid to resourceVersion.
    outputs: Mutex<HashMap<String, String>>,
    /// Clients for which something is being written, and what watches showed meanwhile.
    writing: Mutex<HashMap<ResourceName, Vec<Shown>>>,
}

/// A version of an object that a watch showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// An OIDCClient.
    Client {
        /// Its resourceVersion.
        version: String,
    },
    /// One of its outputs.
    Output {
        /// Its uid.
        uid: String,
        /// Its resourceVersion.
        version: String,
    },
}

/// A write for a client is under way, until this is dropped.
pub struct Writing<'a> {
    recent: &'a Recent,
    triggers: &'a Triggers,
    client: ResourceName,
}

impl Drop for Writing<'_> {
    /// Whatever came of the write: what was not its echo is news.
    fn drop(&mut self) {
        let shown = lock(&self.recent.writing).remove(&self.client).unwrap_or_default();
        if shown.iter().any(|shown| !self.recent.is_own(&self.client, shown)) {
            self.triggers.client(self.client.clone());
        }
    }
}

impl Recent {
    /// Notes a client as the API server answered it.
    pub fn wrote_client(&self, mut object: OIDCClient) {
        prune_metadata(&mut object);
        lock(&self.clients).insert(name_of(object.meta()), Arc::new(object));
    }

    /// Notes a client that got our finalizer, as the API server answered it.
    pub fn wrote_finalizer(&self, object: OIDCClient) {
        if let Some(version) = object.meta().resource_version.clone() {
            lock(&self.finalizers).insert(name_of(object.meta()), version);
        }
        self.wrote_client(object);
    }

    /// Is this version of an object the very one that we wrote? A write is bound to the version that its pass looked at, so
    /// that nothing else can be new in it.
    pub fn is_own(&self, client: &ResourceName, shown: &Shown) -> bool {
        match shown {
            Shown::Client { version } => lock(&self.finalizers).get(client) == Some(version),
            Shown::Output { uid, version } => lock(&self.outputs).get(uid) == Some(version),
        }
    }

    /// Something is written for a client: a watch may show it before the API server's answer tells which version it is.
    /// There is one pass over a client at a time, and one write of it.
    pub fn writing<'a>(&'a self, client: &ResourceName, triggers: &'a Triggers) -> Writing<'a> {
        lock(&self.writing).insert(client.clone(), Vec::new());
        Writing {
            recent: self,
            triggers,
            client: client.clone(),
        }
    }

    /// Keeps what a watch showed until the write that is under way has ended; `false`: none is.
    pub fn hold(&self, client: &ResourceName, shown: Shown) -> bool {
        let mut writing = lock(&self.writing);
        let held = writing.get_mut(client).map(|held| held.push(shown));
        held.is_some()
    }

    /// Notes a client whose finalizer was taken off.
    pub fn let_go(&self, object: &OIDCClient) {
        let uid = object.meta().uid.clone().unwrap_or_default();
        lock(&self.let_go).insert(name_of(object.meta()), uid);
    }

    /// Was this very client let go? A watch that lags behind still shows it with its finalizer: it would be let go, and told
    /// of, once more. (Its resourceVersion does not tell: the API server answers the last one again.)
    pub fn was_let_go(&self, seen: &OIDCClient) -> bool {
        let let_go = lock(&self.let_go);
        let_go
            .get(&name_of(seen.meta()))
            .is_some_and(|uid| seen.meta().uid.as_ref() == Some(uid))
    }

    /// Notes a provider as the API server answered it.
    pub fn wrote_provider(&self, mut object: OIDCProvider) {
        prune_metadata(&mut object);
        lock(&self.providers).insert(name_of(object.meta()), Arc::new(object));
    }

    /// The newer of the two versions of a client.
    pub fn client(&self, seen: Arc<OIDCClient>) -> Arc<OIDCClient> {
        newer(&mut lock(&self.clients), seen)
    }

    /// The newer of the two versions of a provider.
    pub fn provider(&self, seen: Arc<OIDCProvider>) -> Arc<OIDCProvider> {
        newer(&mut lock(&self.providers), seen)
    }

    /// Notes an output that was written, so that its echo wakes nobody.
    pub fn wrote_output(&self, uid: &str, resource_version: &str) {
        lock(&self.outputs).insert(uid.to_owned(), resource_version.to_owned());
    }

    /// Forgets an output that is gone.
    pub fn forget_output(&self, uid: &str) {
        lock(&self.outputs).remove(uid);
    }

    /// The watch shows this version of a client: what was written up to it need not be kept any more.
    pub fn client_seen(&self, seen: &OIDCClient) {
        let mut clients = lock(&self.clients);
        let name = name_of(seen.meta());
        if clients
            .get(&name)
            .is_some_and(|written| version(written.as_ref()) <= version(seen))
        {
            clients.remove(&name);
        }
    }

    /// Forgets a client that is gone.
    pub fn forget_client(&self, name: &ResourceName) {
        lock(&self.clients).remove(name);
        lock(&self.finalizers).remove(name);
        lock(&self.let_go).remove(name);
    }

    /// Forgets a provider that is gone.
    pub fn forget_provider(&self, name: &ResourceName) {
        lock(&self.providers).remove(name);
    }
}

/// Versions of one kind can be compared as numbers (Kubernetes API concepts, "Resource versions", since 1.35; true of every
/// server before).
fn version<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

/// The newer of what was seen and what was written; what the watch has caught up with is forgotten.
fn newer<K: Resource>(written: &mut HashMap<ResourceName, Arc<K>>, seen: Arc<K>) -> Arc<K> {
    let name = name_of(seen.meta());
    match written.get(&name) {
        Some(own) if version(own.as_ref()) > version(seen.as_ref()) => own.clone(),
        Some(_) => {
            written.remove(&name);
            seen
        }
        None => seen,
    }
}

/// Tries since the last success (kube's error policy counts none).
#[derive(Default)]
pub struct Attempts(Mutex<HashMap<(Kind, ResourceName), u32>>);

impl Attempts {
    /// Counts a failed try and says how many there were before it.
    pub fn failed(&self, kind: Kind, name: &ResourceName) -> u32 {
        let mut attempts = lock(&self.0);
        let count = attempts.entry((kind, name.clone())).or_default();
        let before = *count;
        *count = count.saturating_add(1);
        before
    }

    /// Forgets the tries of an object that is well, or gone.
    pub fn succeeded(&self, kind: Kind, name: &ResourceName) {
        lock(&self.0).remove(&(kind, name.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_are_counted_by_object_until_one_succeeds() {
        // P16: kube's error policy counts none.
        let attempts = Attempts::default();
        let (one, other) = (ResourceName::new("n", "one"), ResourceName::new("n", "other"));
        assert_eq!([0, 1, 2].map(|_| attempts.failed(Kind::Client, &one)), [0, 1, 2]);
        assert_eq!(attempts.failed(Kind::Client, &other), 0);
        assert_eq!(attempts.failed(Kind::Provider, &one), 0);
        attempts.succeeded(Kind::Client, &one);
        assert_eq!(attempts.failed(Kind::Client, &one), 0);
    }

    fn at(version: &str) -> OIDCClient {
        let mut client: OIDCClient = serde_json::from_value(serde_json::json!({
            "metadata": {"namespace": "n", "name": "x", "uid": "u"},
            "spec": {"providerRef": {"name": "p"}},
        }))
        .unwrap();
        client.metadata.resource_version = Some(version.to_owned());
        client
    }

    #[test]
    fn a_pass_never_decides_on_less_than_its_own_last_write() {
        let recent = Recent::default();
        recent.wrote_client(at("10"));
        let version = |object: Arc<OIDCClient>| object.metadata.resource_version.clone().unwrap();
        assert_eq!(version(recent.client(Arc::new(at("9")))), "10", "the watch lags behind");
        assert_eq!(version(recent.client(Arc::new(at("11")))), "11");
        recent.wrote_client(at("12"));
        recent.client_seen(&at("12"));
        assert_eq!(
            version(recent.client(Arc::new(at("11")))),
            "11",
            "nothing is kept that the watch has shown"
        );
    }

    fn client(version: &str) -> Shown {
        Shown::Client {
            version: version.to_owned(),
        }
    }

    fn output(uid: &str, version: &str) -> Shown {
        Shown::Output {
            uid: uid.to_owned(),
            version: version.to_owned(),
        }
    }

    #[test]
    fn only_the_very_version_that_we_wrote_is_an_echo() {
        let recent = Recent::default();
        let name = ResourceName::new("n", "x");
        recent.wrote_finalizer(at("10"));
        assert!(recent.is_own(&name, &client("10")));
        assert!(!recent.is_own(&name, &client("11")), "somebody changed it since");
        recent.wrote_output("secret", "12");
        assert!(recent.is_own(&name, &output("secret", "12")));
        assert!(!recent.is_own(&name, &output("secret", "13")));
        assert!(!recent.is_own(&name, &output("another", "12")));
    }

    #[test]
    fn what_is_shown_during_a_write_is_judged_when_it_has_ended() {
        let recent = Recent::default();
        let (triggers, mut woken) = Triggers::new();
        let name = ResourceName::new("n", "x");
        assert!(!recent.hold(&name, output("secret", "9")), "nothing is being written");

        let writing = recent.writing(&name, &triggers);
        assert!(recent.hold(&name, output("secret", "10")));
        recent.wrote_output("secret", "10");
        drop(writing);
        assert!(
            woken.clients.try_recv().is_err(),
            "an echo that was faster than the answer"
        );
        assert!(!recent.hold(&name, output("secret", "11")), "it has ended");

        // The answer was lost, the pass was cut off, or somebody else wrote too.
        for others in [output("secret", "12"), client("13")] {
            let writing = recent.writing(&name, &triggers);
            assert!(recent.hold(&name, others));
            drop(writing);
            assert_eq!(woken.clients.try_recv().unwrap(), name);
        }
    }
}
