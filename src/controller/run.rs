//! Streams, queues, start and end.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use async_trait::async_trait;
use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        controller::{Action, Config as ControllerConfig, Controller},
        reflector::{self, ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tokio::{sync::SetOnce, task::JoinSet};
use tokio_util::sync::CancellationToken;

use super::{
    client::{self, End},
    context::{Attempts, Context, Objects, Open, PASS_DEADLINE, Recent},
    gather,
    index::Index,
    provider,
    registry::Registry,
    report,
    triggers::{self, Triggers},
};
use crate::{
    api::{
        OIDCClient, OIDCProvider,
        crd::{CLIENT_CONDITIONS, PROVIDER_CONDITIONS},
    },
    domain::{
        ErrorClass, OwnerId, ResourceName,
        vocabulary::{
            ANNOTATION_ORPHAN, ANNOTATION_RECONCILE_REQUESTED, LABEL_CERTIFICATE_AUTHORITY, LABEL_CLIENT_UID,
            LABEL_CREDENTIAL,
        },
    },
    kubernetes::{
        client::within,
        events::Events,
        streams::{self, Change},
    },
    plan::{
        retry,
        snapshot::{ClientBrief, NamespaceView, Settings},
    },
    telemetry::{
        health::Health,
        metrics::{Kind, Metrics, Outcome},
    },
};

/// How long work under way may take once the operator was told to stop.
pub const GRACE: Duration = Duration::from_secs(8);

/// The stores behind the watches.
pub struct Stores {
    clients: Store<DeserializeGuard<OIDCClient>>,
    providers: Store<DeserializeGuard<OIDCProvider>>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    index: Index,
    filled: Filled,
}

/// Which stores hold all that exists. kube's `Store::wait_until_ready` keeps one waker only (`DelayedInit`): of several
/// passes that wait at the start, all but the last would wait for ever.
#[derive(Default)]
struct Filled {
    clients: SetOnce<()>,
    providers: SetOnce<()>,
    namespaces: SetOnce<()>,
}

/// Opens `gate` after the first list; for events that went through [`streams::reflect`].
fn open_when_listed<K>(gate: &SetOnce<()>, event: &watcher::Event<K>) {
    if matches!(event, watcher::Event::InitDone) {
        // A relist opens it once more, which changes nothing.
        let _ = gate.set(());
    }
}

impl Stores {
    fn briefs(&self, names: Vec<ResourceName>) -> Vec<ClientBrief> {
        let found = names.iter().filter_map(|name| self.clients.get(&reference(name)));
        found
            .filter_map(|guarded| guarded.0.as_ref().ok().map(gather::brief))
            .collect()
    }
}

fn reference<K: Resource<DynamicType = ()>>(name: &ResourceName) -> ObjectRef<K> {
    ObjectRef::new(&name.name).within(&name.namespace)
}

fn readable<K: Clone>(guarded: &DeserializeGuard<K>) -> Option<Arc<K>> {
    guarded.0.as_ref().ok().cloned().map(Arc::new)
}

#[async_trait]
impl Objects for Stores {
    async fn ready(&self) {
        self.filled.clients.wait().await;
        self.filled.providers.wait().await;
        self.filled.namespaces.wait().await;
    }

    async fn client(&self, name: &ResourceName) -> Option<Arc<OIDCClient>> {
        readable(self.clients.get(&reference(name))?.as_ref())
    }

    async fn provider(&self, name: &ResourceName) -> Option<Arc<OIDCProvider>> {
        readable(self.providers.get(&reference(name))?.as_ref())
    }

    async fn clients_of(&self, provider: &ResourceName) -> Vec<ClientBrief> {
        self.briefs(self.index.of(provider))
    }

    async fn clients_with(&self, provider: &ResourceName, client_id: &str) -> Vec<ClientBrief> {
        self.briefs(self.index.with(provider, client_id))
    }

    async fn namespace(&self, name: &str) -> Option<NamespaceView> {
        let namespace = self.namespaces.get(&ObjectRef::new(name))?;
        Some(gather::namespace(&namespace.metadata))
    }
}

/// How the loop runs.
#[derive(Clone, Debug)]
pub struct LoopConfig {
    /// See `--owner-id`; `None`: the uid of kube-system.
    pub owner_id: Option<String>,
    /// See `--deletion-timeout`.
    pub deletion_timeout: Duration,
    /// See `--concurrency`.
    pub concurrency: usize,
}

/// Runs until `stop`, and then up to [`GRACE`] longer for what is under way.
///
/// # Errors
/// When the owner id cannot be found out.
pub async fn run(
    kube: Client,
    config: LoopConfig,
    metrics: Metrics,
    health: Health,
    stop: CancellationToken,
) -> Result<()> {
    let settings = Settings {
        owner: owner_id(&kube, &metrics, config.owner_id).await?,
        deletion_timeout: config.deletion_timeout,
        started: Timestamp::now(),
    };
    tracing::info!(owner_id = %settings.owner, "starting");
    let (events, publishing) = Events::start(kube.clone(), instance(), metrics.clone(), stop.clone());
    let publishing = tokio::spawn(publishing);
    let (triggers, triggered) = Triggers::new();
    let watches = Watches {
        kube: kube.clone(),
        metrics: metrics.clone(),
        health,
    };

    let (namespaces, namespace_writer) = reflector::store();
    let (clients, client_writer) = reflector::store();
    let (providers, provider_writer) = reflector::store();
    let stores = Arc::new(Stores {
        clients: clients.clone(),
        providers: providers.clone(),
        namespaces: namespaces.clone(),
        index: Index::default(),
        filled: Filled::default(),
    });
    let context = Arc::new(Context {
        kube,
        objects: stores.clone(),
        settings,
        registry: Registry::new(config.concurrency),
        metrics,
        events,
        triggers,
        gate: Arc::new(Open),
        recent: Recent::default(),
        attempts: Attempts::default(),
    });

    let mut following = JoinSet::new();
    following.spawn(follow_providers(
        watches.clone(),
        context.clone(),
        stores.clone(),
        provider_writer,
    ));
    following.spawn(follow_clients(
        watches.clone(),
        context.clone(),
        stores.clone(),
        client_writer,
    ));
    following.spawn(follow_namespaces(
        watches.clone(),
        context.clone(),
        stores.clone(),
        namespace_writer,
    ));
    following.spawn(follow_references(watches.clone(), context.clone(), stores));
    following.spawn(follow_outputs(watches, context.clone()));

    // Queues only: what is watched comes in through the triggers. Unlimited, because kube's own limit is not fair (P1); the
    // bulkheads bound the work, first come first served.
    let provider_loop = Controller::for_stream(futures::stream::pending(), providers)
        .with_config(ControllerConfig::default())
        .reconcile_on(triggers::providers(triggered.providers))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(provider_pass, provider_failed, context.clone())
        .for_each(|_| std::future::ready(()));
    let client_loop = Controller::for_stream(futures::stream::pending(), clients)
        .with_config(ControllerConfig::default())
        .reconcile_on(triggers::clients(triggered.clients))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(client_pass, client_failed, context)
        .for_each(|_| std::future::ready(()));
    let loops = async {
        tokio::join!(provider_loop, client_loop);
        anyhow::Ok(())
    };
    let grace = async {
        stop.cancelled().await;
        tracing::info!("stopping: waiting for passes under way");
        tokio::time::sleep(GRACE).await;
        tracing::warn!("passes under way are cut off; the next start goes on from what stands");
        Ok(())
    };
    let blind = async {
        // They never end by themselves; without one of them the operator would be blind and look alive.
        let ended = following.join_next().await;
        Err(anyhow!("a watch ended, which is a defect of the operator: {ended:?}"))
    };
    let ended = tokio::select! {
        ended = loops => ended,
        ended = grace => ended,
        ended = blind => ended,
    };
    // Whatever happened: what waits to be told is told, for a second at most.
    stop.cancel();
    drop(following);
    let _ = tokio::time::timeout(Duration::from_secs(2), publishing).await;
    ended
}

/// Annotations whose change asks for a pass.
const ANNOTATIONS: &[&str] = &[ANNOTATION_RECONCILE_REQUESTED, ANNOTATION_ORPHAN];

/// The uid of kube-system names a cluster for as long as it lives.
async fn owner_id(kube: &Client, metrics: &Metrics, given: Option<String>) -> Result<OwnerId> {
    let id = match given {
        Some(id) => id,
        None => {
            let api: Api<Namespace> = Api::all(kube.clone());
            within(metrics, "get namespaces", api.get("kube-system"))
                .await
                .context("cannot read the uid of namespace kube-system, the default owner id; set --owner-id, or allow get on namespaces")?
                .uid()
                .context("namespace kube-system has no uid")?
        }
    };
    OwnerId::new(id).map_err(anyhow::Error::msg)
}

/// Names this process in Events.
fn instance() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| "oidc-operator".to_owned())
}

#[derive(Clone)]
struct Watches {
    kube: Client,
    metrics: Metrics,
    health: Health,
}

impl Watches {
    fn guarded<K>(&self, name: &'static str) -> impl Stream<Item = watcher::Event<DeserializeGuard<K>>> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
    {
        self.watch(
            name,
            Api::<DeserializeGuard<K>>::all(self.kube.clone()),
            watcher::Config::default(),
        )
    }

    fn labelled<K>(
        &self,
        name: &'static str,
        selector: &str,
    ) -> impl Stream<Item = watcher::Event<PartialObjectMeta<K>>> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
    {
        let api: Api<PartialObjectMeta<K>> = Api::all(self.kube.clone());
        self.watch(name, api, watcher::Config::default().labels(selector))
    }

    fn watch<K>(
        &self,
        name: &'static str,
        api: Api<K>,
        config: watcher::Config,
    ) -> impl Stream<Item = watcher::Event<K>> + Send + use<K>
    where
        K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
    {
        streams::watch(
            name,
            api,
            config,
            streams::prune_metadata,
            self.metrics.clone(),
            self.health.clone(),
        )
    }
}

/// OIDCProviders: a changed one is looked at; one that is gone leaves nothing behind in this process, and its clients hear
/// of it.
async fn follow_providers(
    watches: Watches,
    context: Arc<Context>,
    stores: Arc<Stores>,
    writer: Writer<DeserializeGuard<OIDCProvider>>,
) {
    let events = streams::reflect(watches.guarded("oidcproviders"), writer)
        .inspect(|event| open_when_listed(&stores.filled.providers, event));
    let mut names = pin!(streams::changed(events, ANNOTATIONS));
    while let Some(name) = names.next().await {
        if stores.providers.get(&reference(&name)).is_some() {
            context.triggers.provider(name);
        } else {
            context.registry.forget(&name);
            context.attempts.succeeded(provider::KIND, &name);
            context.recent.forget_provider(&name);
            for client in stores.index.of(&name) {
                context.triggers.client(client);
            }
        }
    }
}

/// OIDCClients, the same. Those who wait for one to go hear of it: others with its client ID, and a provider that is being
/// deleted.
async fn follow_clients(
    watches: Watches,
    context: Arc<Context>,
    stores: Arc<Stores>,
    writer: Writer<DeserializeGuard<OIDCClient>>,
) {
    // Before the store: whoever finds the store filled finds the index filled too.
    let indexed = watches.guarded::<OIDCClient>("oidcclients").inspect({
        let stores = stores.clone();
        move |event| {
            if let watcher::Event::Apply(DeserializeGuard(Ok(client)))
            | watcher::Event::InitApply(DeserializeGuard(Ok(client))) = event
            {
                let name = gather::name_of(&client.metadata);
                stores
                    .index
                    .put(&name, gather::client_provider(client), gather::client_id(client));
            }
        }
    });
    let events = streams::reflect(indexed, writer).inspect(|event| open_when_listed(&stores.filled.clients, event));
    let mut names = pin!(streams::changed(events, ANNOTATIONS));
    while let Some(name) = names.next().await {
        match stores.clients.get(&reference(&name)) {
            Some(_) => context.triggers.client(name),
            None => {
                context.attempts.succeeded(client::KIND, &name);
                context.recent.forget_client(&name);
                for rival in stores.index.remove(&name) {
                    context.triggers.client(rival);
                }
                for provider in stores.providers.state() {
                    if provider.meta().deletion_timestamp.is_some() {
                        context.triggers.provider(gather::name_of(provider.meta()));
                    }
                }
            }
        }
    }
}

/// Namespaces: labels decide grants; a deletion decides what is still made.
async fn follow_namespaces(
    watches: Watches,
    context: Arc<Context>,
    stores: Arc<Stores>,
    writer: Writer<PartialObjectMeta<Namespace>>,
) {
    let api = Api::<PartialObjectMeta<Namespace>>::all(watches.kube.clone());
    let events = streams::reflect(watches.watch("namespaces", api, watcher::Config::default()), writer)
        .inspect(|event| open_when_listed(&stores.filled.namespaces, event));
    let mut touched = pin!(streams::touched(events));
    while let Some((namespace, _)) = touched.next().await {
        for client in stores.clients.state() {
            if client.meta().namespace == namespace.name {
                context.triggers.client(gather::name_of(client.meta()));
            }
        }
    }
}

/// Secrets and ConfigMaps that providers may refer to: all providers beside them look anew.
async fn follow_references(watches: Watches, context: Arc<Context>, stores: Arc<Stores>) {
    let credentials = streams::touched(watches.labelled::<Secret>("credential-secrets", LABEL_CREDENTIAL));
    let authorities = streams::touched(watches.labelled::<ConfigMap>("ca-configmaps", LABEL_CERTIFICATE_AUTHORITY));
    let mut touched = pin!(futures::stream::select(credentials, authorities));
    while let Some((object, _)) = touched.next().await {
        for provider in stores.providers.state() {
            if provider.meta().namespace == object.namespace {
                context.triggers.provider(gather::name_of(provider.meta()));
            }
        }
    }
}

/// Outputs: their OIDCClient looks anew, unless the change is the echo of its own write.
async fn follow_outputs(watches: Watches, context: Arc<Context>) {
    let secrets = streams::touched(watches.labelled::<Secret>("output-secrets", LABEL_CLIENT_UID));
    let maps = streams::touched(watches.labelled::<ConfigMap>("output-configmaps", LABEL_CLIENT_UID));
    let mut touched = pin!(futures::stream::select(secrets, maps));
    while let Some((object, change)) = touched.next().await {
        let uid = object.uid.as_deref().unwrap_or_default();
        let version = object.resource_version.as_deref().unwrap_or_default();
        if change == Change::Deleted {
            context.recent.forget_output(uid);
        } else if context.recent.is_echo(uid, version) {
            continue;
        }
        let namespace = object.namespace.as_deref().unwrap_or_default();
        for owner in object.owner_references.iter().flatten() {
            if gather::owner(owner).is_client {
                context.triggers.client(ResourceName::new(namespace, &owner.name));
            }
        }
    }
}

/// Errors never reach kube's error policy: each pass says itself when it is tried again.
#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

async fn provider_pass(object: Arc<DeserializeGuard<OIDCProvider>>, context: Arc<Context>) -> Result<Action, Never> {
    context.objects.ready().await;
    let name = gather::name_of(object.meta());
    let start = std::time::Instant::now();
    let (outcome, wait) = match &object.0 {
        Err(invalid) => {
            context.metrics.invalid_object(Kind::Provider);
            let told = report::invalid::<OIDCProvider>(&context, invalid, PROVIDER_CONDITIONS).await;
            (
                Outcome::Invalid,
                told.err()
                    .map(|error| failed(&context, provider::KIND, &name, error.class(), &error)),
            )
        }
        Ok(_) => match tokio::time::timeout(PASS_DEADLINE, provider::pass(&context, &name)).await {
            Err(_) => {
                context.metrics.deadline("provider-pass");
                (
                    Outcome::Deadline,
                    Some(failed(
                        &context,
                        provider::KIND,
                        &name,
                        ErrorClass::Transient,
                        &"too slow",
                    )),
                )
            }
            Ok(Err(error)) => (
                Outcome::Failed,
                Some(failed(&context, provider::KIND, &name, error.class(), &error)),
            ),
            Ok(Ok(None)) => {
                context.attempts.succeeded(provider::KIND, &name);
                (Outcome::Settled, None)
            }
            Ok(Ok(Some(requeue))) => {
                let outcome = match requeue {
                    crate::plan::Requeue::Resync(_) | crate::plan::Requeue::Never => Outcome::Settled,
                    _ => Outcome::Retry,
                };
                (outcome, client::wait(&context, provider::KIND, &name, &requeue))
            }
        },
    };
    context
        .metrics
        .pass(Kind::Provider, outcome, start.elapsed().as_secs_f64());
    Ok(wait.map_or_else(Action::await_change, Action::requeue))
}

async fn client_pass(object: Arc<DeserializeGuard<OIDCClient>>, context: Arc<Context>) -> Result<Action, Never> {
    context.objects.ready().await;
    let name = gather::name_of(object.meta());
    // First come, first served, a queue for each provider: one that hangs keeps only its own clients waiting.
    let bulkhead = match &object.0 {
        Ok(client) => context.registry.bulkhead(&gather::client_provider(client)),
        Err(_) => context.registry.bulkhead(&name),
    };
    // Closed only with the process.
    let _permit = bulkhead.acquire().await;
    let start = std::time::Instant::now();
    let (outcome, wait) = match &object.0 {
        Err(invalid) => {
            context.metrics.invalid_object(Kind::Client);
            let told = report::invalid::<OIDCClient>(&context, invalid, CLIENT_CONDITIONS).await;
            (
                Outcome::Invalid,
                told.err()
                    .map(|error| failed(&context, client::KIND, &name, error.class(), &error)),
            )
        }
        Ok(_) => match tokio::time::timeout(PASS_DEADLINE, client::pass(&context, &name)).await {
            Err(_) => {
                context.metrics.deadline("client-pass");
                (
                    Outcome::Deadline,
                    Some(failed(
                        &context,
                        client::KIND,
                        &name,
                        ErrorClass::Transient,
                        &"too slow",
                    )),
                )
            }
            Ok(Err(error)) => (
                Outcome::Failed,
                Some(failed(&context, client::KIND, &name, error.class(), &error)),
            ),
            Ok(Ok(End::Gone | End::Stopped)) => {
                context.attempts.succeeded(client::KIND, &name);
                (Outcome::Settled, None)
            }
            Ok(Ok(End::Settled(requeue))) => {
                let outcome = match requeue {
                    crate::plan::Requeue::Resync(_) | crate::plan::Requeue::Never => Outcome::Settled,
                    _ => Outcome::Retry,
                };
                (outcome, client::wait(&context, client::KIND, &name, &requeue))
            }
        },
    };
    context
        .metrics
        .pass(Kind::Client, outcome, start.elapsed().as_secs_f64());
    Ok(wait.map_or_else(Action::await_change, Action::requeue))
}

/// Logs a failed pass and says when it is tried again.
fn failed(
    context: &Context,
    kind: &'static str,
    name: &ResourceName,
    class: ErrorClass,
    error: &dyn std::fmt::Display,
) -> Duration {
    let attempt = context.attempts.failed(kind, name);
    let wait = retry::backoff(class, attempt, rand::random());
    tracing::warn!(kind, %name, attempt, retry_in = ?wait, %error, "pass failed");
    wait
}

fn provider_failed(_: Arc<DeserializeGuard<OIDCProvider>>, _: &Never, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(60))
}

fn client_failed(_: Arc<DeserializeGuard<OIDCClient>>, _: &Never, _: Arc<Context>) -> Action {
    Action::requeue(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_who_wait_for_the_stores_are_let_in() {
        let stores = Arc::new(Stores {
            clients: reflector::store().0,
            providers: reflector::store().0,
            namespaces: reflector::store().0,
            index: Index::default(),
            filled: Filled::default(),
        });
        let mut waiting = JoinSet::new();
        for _ in 0..3 {
            let stores = stores.clone();
            waiting.spawn(async move { stores.ready().await });
        }
        let filled = &stores.filled;
        for gate in [&filled.namespaces, &filled.clients, &filled.providers] {
            tokio::task::yield_now().await;
            assert!(
                waiting.try_join_next().is_none(),
                "let in before all stores were filled"
            );
            for _ in 0..2 {
                open_when_listed::<()>(gate, &watcher::Event::InitDone);
            }
        }
        let all = tokio::time::timeout(Duration::from_secs(5), waiting.join_all()).await;
        assert_eq!(all.map(|let_in| let_in.len()), Ok(3));
    }
}
