//! An operator in this process that can be ended before or after any step.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use async_trait::async_trait;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::ListParams};
use oidc_operator::{
    api::{OIDCClient, OIDCProvider},
    controller::{
        client::{self, End},
        context::{Attempts, Context, Gate, Lookup, Objects, Recent},
        gather, provider,
        registry::Registry,
        triggers::Triggers,
    },
    domain::{ErrorClass, OwnerId, ResourceName},
    kubernetes::events::Events,
    plan::{
        Requeue, Step,
        snapshot::{ClientBrief, NamespaceView, Settings},
    },
    telemetry::metrics::Metrics,
};
use tokio_util::sync::CancellationToken;

pub(crate) const OWNER: &str = "crash";

/// Where the process dies: before or after its step number `.0` (counted from 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Never,
    Before(usize),
    After(usize),
}

/// What somebody does once, just before the first step of this name.
pub(crate) type Meanwhile = Arc<tokio::sync::Mutex<Option<(&'static str, BoxFuture<'static, Result<()>>)>>>;

/// Counts steps, notes those that were carried out, and ends the pass where it is told to.
struct Reaper {
    death: Death,
    meanwhile: Meanwhile,
    begun: AtomicUsize,
    done: Mutex<Vec<&'static str>>,
}

impl Reaper {
    fn new(death: Death, meanwhile: Meanwhile) -> Arc<Self> {
        Arc::new(Self {
            death,
            meanwhile,
            begun: AtomicUsize::new(0),
            done: Mutex::default(),
        })
    }
}

#[async_trait]
impl Gate for Reaper {
    async fn before(&self, step: &Step) -> bool {
        let act = self.meanwhile.lock().await.take_if(|(name, _)| *name == step.name());
        if let Some((_, act)) = act {
            act.await.unwrap();
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        self.death != Death::Before(number)
    }

    async fn after(&self, step: &Step) -> bool {
        self.done.lock().unwrap().push(step.name());
        self.death != Death::After(self.begun.load(Ordering::SeqCst) - 1)
    }
}

/// Objects read live: what a watch's store holds once it has caught up.
struct Live(Client);

#[async_trait]
impl Objects for Live {
    async fn ready(&self) {}

    async fn client(&self, name: &ResourceName) -> Option<Arc<OIDCClient>> {
        Api::namespaced(self.0.clone(), &name.namespace)
            .get_opt(&name.name)
            .await
            .unwrap()
            .map(Arc::new)
    }

    async fn provider(&self, name: &ResourceName) -> Lookup<OIDCProvider> {
        let found = Api::namespaced(self.0.clone(), &name.namespace)
            .get_opt(&name.name)
            .await;
        found
            .unwrap()
            .map_or(Lookup::NotFound, |provider| Lookup::Found(Arc::new(provider)))
    }

    async fn clients_of(&self, provider: &ResourceName) -> Vec<ClientBrief> {
        let all: Api<OIDCClient> = Api::all(self.0.clone());
        let all = all.list(&ListParams::default()).await.unwrap().items;
        all.iter()
            .filter(|client| gather::client_provider(client) == *provider)
            .map(gather::brief)
            .collect()
    }

    async fn clients_with(&self, provider: &ResourceName, client_id: &str) -> Vec<ClientBrief> {
        self.clients_of(provider)
            .await
            .into_iter()
            .filter(|client| client.client_id == client_id)
            .collect()
    }

    async fn namespace(&self, name: &str) -> Option<NamespaceView> {
        let api: Api<Namespace> = Api::all(self.0.clone());
        api.get_opt(name)
            .await
            .unwrap()
            .map(|namespace| gather::namespace(&namespace.metadata))
    }
}

/// The same, but for one client that is shown as it once was: a watch that lags behind.
struct Lagging(Live, Arc<OIDCClient>);

#[async_trait]
impl Objects for Lagging {
    async fn ready(&self) {}

    async fn client(&self, _: &ResourceName) -> Option<Arc<OIDCClient>> {
        Some(self.1.clone())
    }

    async fn provider(&self, name: &ResourceName) -> Lookup<OIDCProvider> {
        self.0.provider(name).await
    }

    async fn clients_of(&self, provider: &ResourceName) -> Vec<ClientBrief> {
        self.0.clients_of(provider).await
    }

    async fn clients_with(&self, provider: &ResourceName, client_id: &str) -> Vec<ClientBrief> {
        self.0.clients_with(provider, client_id).await
    }

    async fn namespace(&self, name: &str) -> Option<NamespaceView> {
        self.0.namespace(name).await
    }
}

/// One life of the operator.
pub(crate) struct Life {
    context: Context,
    reaper: Arc<Reaper>,
    stop: CancellationToken,
}

impl Life {
    /// Begins a life that has looked at the provider.
    pub(crate) async fn begin(
        kube: &Client,
        provider: &ResourceName,
        death: Death,
        meanwhile: &Meanwhile,
    ) -> Result<Self> {
        let objects = Arc::new(Live(kube.clone()));
        Self::with(kube, provider, Reaper::new(death, meanwhile.clone()), objects).await
    }

    /// A life whose watch shows `client` as it is now, whatever becomes of it.
    pub(crate) async fn begin_lagging(kube: &Client, provider: &ResourceName, client: OIDCClient) -> Result<Self> {
        let objects = Arc::new(Lagging(Live(kube.clone()), Arc::new(client)));
        let reaper = Reaper::new(Death::Never, Meanwhile::default());
        Self::with(kube, provider, reaper, objects).await
    }

    async fn with(
        kube: &Client,
        provider: &ResourceName,
        reaper: Arc<Reaper>,
        objects: Arc<dyn Objects>,
    ) -> Result<Self> {
        oidc_operator_e2e::record::keep_own_logs();
        let metrics = Metrics::new();
        let stop = CancellationToken::new();
        let (events, publishing) = Events::start(kube.clone(), "crash".to_owned(), metrics.clone(), stop.clone());
        tokio::spawn(publishing);
        // Nobody listens: passes are run by hand.
        let (triggers, _) = Triggers::new();
        let context = Context {
            kube: kube.clone(),
            objects,
            namespace: oidc_operator_e2e::install::NAMESPACE.to_owned(),
            settings: Settings {
                owner: OwnerId::new(OWNER).unwrap(),
                deletion_timeout: Duration::from_secs(600),
                started: jiff::Timestamp::now(),
                rollout_restart: true,
            },
            registry: Registry::new(4),
            metrics,
            events,
            triggers,
            gate: reaper.clone(),
            recent: Recent::default(),
            attempts: Attempts::default(),
        };
        // Several lives look at the one provider at once: whose status comes second is refused, and looks again.
        oidc_operator_e2e::wait::eventually("the provider was looked at", Duration::from_secs(20), async || {
            provider::pass(&context, provider).await?;
            anyhow::ensure!(
                context
                    .registry
                    .get(provider)
                    .is_some_and(|known| known.state().looked_at)
            );
            Ok(())
        })
        .await?;
        Ok(Self { context, reaper, stop })
    }

    /// Passes over the client until nothing is left to do, or until death.
    pub(crate) async fn run(&self, client: &ResourceName) -> Result<()> {
        const MOST: usize = 40;
        for _ in 0..MOST {
            match client::pass(&self.context, client).await {
                // A refused client waits for a person.
                Ok(
                    End::Gone
                    | End::Stopped
                    | End::Settled(Requeue::Resync(_) | Requeue::ResyncOrAt(..) | Requeue::Backoff(ErrorClass::User)),
                ) => {
                    return Ok(());
                }
                // As the queue would do it, only sooner: a conflict or a wait for somebody else.
                Ok(End::Settled(_)) | Err(client::PassError::Kubernetes(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => bail!("{client}: {error}"),
            }
        }
        bail!("{client} is not settled after {MOST} passes; steps: {:?}", self.steps())
    }

    /// The steps that were carried out in this life.
    pub(crate) fn steps(&self) -> Vec<&'static str> {
        self.reaper.done.lock().unwrap().clone()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
