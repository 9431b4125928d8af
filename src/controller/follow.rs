//! Watches, stores, and who is woken by what.

use std::{pin::pin, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::{
    Api, Client, Resource,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use tokio::{sync::watch::Sender, task::JoinSet};

use super::{
    context::{Context, Lookup, Objects, Shown},
    gather,
    index::Index,
};
use crate::{
    api::{OIDCClient, OIDCProvider},
    domain::{
        ResourceName,
        vocabulary::{
            ANNOTATION_ORPHAN, ANNOTATION_RECONCILE_REQUESTED, ANNOTATION_ROTATE, LABEL_CERTIFICATE_AUTHORITY,
            LABEL_CLIENT_UID, LABEL_CREDENTIAL,
        },
    },
    kubernetes::{
        objects::name_of,
        streams::{self, Change, Filled, Unfilled},
        watch,
    },
    plan::snapshot::{ClientBrief, NamespaceView},
    telemetry::{
        health::Health,
        metrics::{Kind, Metrics},
    },
};

/// Annotations whose change asks for a pass.
const ANNOTATIONS: &[&str] = &[ANNOTATION_RECONCILE_REQUESTED, ANNOTATION_ROTATE, ANNOTATION_ORPHAN];

/// How long the first look at a provider waits for what providers refer to. Should that not come, it is looked at without,
/// and once more when it does.
const REFERENCES_WAIT: Duration = Duration::from_secs(10);

/// The stores behind the watches.
pub struct Stores {
    /// OIDCClients, readable or not.
    pub clients: Store<DeserializeGuard<OIDCClient>>,
    /// OIDCProviders, readable or not.
    pub providers: Store<DeserializeGuard<OIDCProvider>>,
    namespaces: Store<PartialObjectMeta<Namespace>>,
    index: Index,
    filled: [Filled; 3],
    references: [Filled; 4],
}

/// What fills them.
pub struct Sources {
    clients: Unfilled<DeserializeGuard<OIDCClient>>,
    providers: Unfilled<DeserializeGuard<OIDCProvider>>,
    namespaces: Unfilled<PartialObjectMeta<Namespace>>,
    references: [Sender<bool>; 4],
}

impl Stores {
    /// Empty stores, to be filled by [`start`].
    pub fn new() -> (Arc<Self>, Sources) {
        let (clients, clients_filled, client_source) = streams::store();
        let (providers, providers_filled, provider_source) = streams::store();
        let (namespaces, namespaces_filled, namespace_source) = streams::store();
        let references = [(); 4].map(|()| streams::filled());
        let listed = references.each_ref().map(|(_, listed)| listed.clone());
        let stores = Self {
            clients,
            providers,
            namespaces,
            index: Index::default(),
            filled: [clients_filled, providers_filled, namespaces_filled],
            references: listed,
        };
        let sources = Sources {
            clients: client_source,
            providers: provider_source,
            namespaces: namespace_source,
            references: references.map(|(sender, _)| sender),
        };
        (Arc::new(stores), sources)
    }

    /// Clients as others see them; one that cannot be read any more, too: there may be something of it at the provider.
    fn briefs(&self, clients: Vec<(ResourceName, String)>) -> Vec<ClientBrief> {
        let brief = |(name, client_id): (ResourceName, String)| {
            let found = self.clients.get(&reference(&name))?;
            Some(match &found.0 {
                Ok(client) => gather::brief(client),
                Err(invalid) => gather::brief_unreadable(&invalid.metadata, client_id),
            })
        };
        clients.into_iter().filter_map(brief).collect()
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
        for store in &self.filled {
            store.wait().await;
        }
    }

    async fn references_listed(&self) {
        let listed = async {
            for references in &self.references {
                references.wait().await;
            }
        };
        let _ = tokio::time::timeout(REFERENCES_WAIT, listed).await;
    }

    async fn client(&self, name: &ResourceName) -> Option<Arc<OIDCClient>> {
        readable(self.clients.get(&reference(name))?.as_ref())
    }

    async fn provider(&self, name: &ResourceName) -> Lookup<OIDCProvider> {
        match self.providers.get(&reference(name)) {
            None => Lookup::NotFound,
            Some(guarded) => readable(&guarded).map_or(Lookup::Unreadable, Lookup::Found),
        }
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

/// Starts all watches. None of them ends by itself: one that does is a defect, and the operator would be blind.
pub fn start(watches: &Watches, context: &Arc<Context>, stores: &Arc<Stores>, sources: Sources) -> JoinSet<()> {
    let shared = || (watches.clone(), context.clone(), stores.clone());
    let mut following = JoinSet::new();
    following.spawn(follow_providers(shared(), sources.providers));
    following.spawn(follow_clients(shared(), sources.clients));
    following.spawn(follow_namespaces(shared(), sources.namespaces));
    following.spawn(follow_references(shared(), sources.references));
    following.spawn(follow_outputs(shared()));
    following
}

type Shared = (Watches, Arc<Context>, Arc<Stores>);

/// What every watch is made of.
#[derive(Clone)]
pub struct Watches {
    /// Kubernetes, by a client that is [`watch::answering`].
    pub kube: Client,
    /// Numbers.
    pub metrics: Metrics,
    /// Whether they work.
    pub health: Health,
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
        watch::watch(
            name,
            api,
            config,
            watch::prune_metadata,
            self.metrics.clone(),
            self.health.clone(),
        )
    }
}

/// OIDCProviders: a changed one is looked at; one that is gone leaves nothing behind in this process, and its clients hear
/// of it.
async fn follow_providers((watches, context, stores): Shared, store: Unfilled<DeserializeGuard<OIDCProvider>>) {
    let events = streams::reflect(watches.guarded("oidcproviders"), store);
    let mut names = pin!(streams::changed(events, ANNOTATIONS));
    while let Some(name) = names.next().await {
        if stores.providers.get(&reference(&name)).is_some() {
            context.triggers.provider(name);
        } else {
            context.forget_provider(&name);
            context.attempts.succeeded(Kind::Provider, &name);
            context.recent.forget_provider(&name);
            for (client, _) in stores.index.of(&name) {
                context.triggers.client(client);
            }
        }
    }
}

/// OIDCClients, the same. Those who wait for one to go hear of it: others with its client ID, and a provider that is being
/// deleted.
async fn follow_clients((watches, context, stores): Shared, store: Unfilled<DeserializeGuard<OIDCClient>>) {
    // Before the store: whoever finds the store filled finds the index filled too.
    let indexed = watches.guarded::<OIDCClient>("oidcclients").inspect({
        let (context, stores) = (context.clone(), stores.clone());
        move |event| {
            if let watcher::Event::Apply(DeserializeGuard(Ok(client)))
            | watcher::Event::InitApply(DeserializeGuard(Ok(client))) = event
            {
                context.recent.client_seen(client);
                let name = name_of(&client.metadata);
                stores
                    .index
                    .put(&name, gather::client_provider(client), gather::client_id(client));
                stores.index.put_secret(&name, gather::client_existing_secret(client));
            }
        }
    });
    let mut names = pin!(streams::changed(streams::reflect(indexed, store), ANNOTATIONS));
    while let Some(name) = names.next().await {
        match stores.clients.get(&reference(&name)) {
            Some(seen) => {
                let version = seen.meta().resource_version.clone().unwrap_or_default();
                // Our own finalizer, put on the very version that was looked at: the pass goes on by itself.
                if !echo(&context, &name, Shown::Client { version }) {
                    context.triggers.client(name);
                }
            }
            None => {
                context.attempts.succeeded(Kind::Client, &name);
                context.recent.forget_client(&name);
                for rival in stores.index.remove(&name) {
                    context.triggers.client(rival);
                }
                for provider in stores.providers.state() {
                    if provider.meta().deletion_timestamp.is_some() {
                        context.triggers.provider(name_of(provider.meta()));
                    }
                }
            }
        }
    }
}

/// Namespaces: labels decide grants; a deletion decides what is still made.
async fn follow_namespaces((watches, context, stores): Shared, store: Unfilled<PartialObjectMeta<Namespace>>) {
    let api = Api::<PartialObjectMeta<Namespace>>::all(watches.kube.clone());
    let events = streams::reflect(watches.watch("namespaces", api, watcher::Config::default()), store);
    let mut touched = pin!(streams::touched(events));
    while let Some((namespace, _)) = touched.next().await {
        for client in stores.clients.state() {
            if client.meta().namespace == namespace.name {
                context.triggers.client(name_of(client.meta()));
            }
        }
    }
}

/// Secrets and ConfigMaps that providers may refer to: all providers beside them look anew. One that was not looked at yet
/// will read them anyway: the first list costs no second look at every provider. Secrets that clients refer to: those look
/// anew.
async fn follow_references((watches, context, stores): Shared, listed: [Sender<bool>; 4]) {
    let [
        credentials_listed,
        authorities_listed,
        secrets_listed,
        configurations_listed,
    ] = &listed;
    let credentials = watches.labelled::<Secret>("credential-secrets", LABEL_CREDENTIAL);
    let authorities = watches.labelled::<ConfigMap>("ca-configmaps", LABEL_CERTIFICATE_AUTHORITY);
    let secrets = watches.labelled::<Secret>("ca-secrets", LABEL_CERTIFICATE_AUTHORITY);
    let configurations = watches.labelled::<ConfigMap>("dex-config-configmaps", LABEL_CREDENTIAL);
    let credentials = streams::touched_in_lists(credentials).map(|touched| touched.ok_or(credentials_listed));
    let authorities = streams::touched_in_lists(authorities).map(|touched| touched.ok_or(authorities_listed));
    let secrets = streams::touched_in_lists(secrets).map(|touched| touched.ok_or(secrets_listed));
    let configurations = streams::touched_in_lists(configurations);
    let configurations = configurations.map(|touched| touched.ok_or(configurations_listed));
    let authorities = futures::stream::select(authorities, secrets);
    let authorities = futures::stream::select(authorities, configurations);
    let mut touched = pin!(futures::stream::select(credentials, authorities));
    while let Some(touched) = touched.next().await {
        let object = match touched {
            Ok((object, _)) => object,
            Err(listed) => {
                listed.send_replace(true);
                continue;
            }
        };
        for client in stores.index.with_secret(&name_of(&object)) {
            context.triggers.client(client);
        }
        for provider in stores.providers.state() {
            let name = name_of(provider.meta());
            if provider.meta().namespace == object.namespace && context.registry.get(&name).is_some() {
                context.triggers.provider(name);
            }
        }
    }
}

/// Outputs: their OIDCClient looks anew, unless the change is the echo of its own write.
async fn follow_outputs((watches, context, _): Shared) {
    let secrets = streams::touched(watches.labelled::<Secret>("output-secrets", LABEL_CLIENT_UID));
    let maps = streams::touched(watches.labelled::<ConfigMap>("output-configmaps", LABEL_CLIENT_UID));
    let mut touched = pin!(futures::stream::select(secrets, maps));
    while let Some((object, change)) = touched.next().await {
        let uid = object.uid.as_deref().unwrap_or_default();
        if change == Change::Deleted {
            context.recent.forget_output(uid);
        }
        let namespace = object.namespace.as_deref().unwrap_or_default();
        for owner in object.owner_references.iter().flatten() {
            if !gather::owner(owner).is_client {
                continue;
            }
            let client = ResourceName::new(namespace, &owner.name);
            let shown = Shown::Output {
                uid: uid.to_owned(),
                version: object.resource_version.clone().unwrap_or_default(),
            };
            if change == Change::Deleted || !echo(&context, &client, shown) {
                context.triggers.client(client);
            }
        }
    }
}

/// Is it the echo of our own write? If that is still under way, its end decides.
fn echo(context: &Context, client: &ResourceName, shown: Shown) -> bool {
    context.recent.is_own(client, &shown) || context.recent.hold(client, shown)
}
