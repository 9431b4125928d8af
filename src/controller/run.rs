//! Start, queues, and an orderly end.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::controller::{Config as ControllerConfig, Controller},
};
use tokio_util::sync::CancellationToken;

use super::{
    context::{Attempts, Context, Open, Recent},
    follow::{self, Stores, Watches},
    pass,
    registry::Registry,
    triggers::{self, Triggers},
};
use crate::{
    domain::OwnerId,
    kubernetes::{client::within, events::Events, watch},
    plan::snapshot::Settings,
    telemetry::{health::Health, metrics::Metrics},
};

/// How long work under way may take once the operator was told to stop.
pub const GRACE: Duration = Duration::from_secs(8);

/// How the loop runs.
#[derive(Clone, Debug)]
pub struct LoopConfig {
    /// See `--owner-id`; `None`: the uid of kube-system.
    pub owner_id: Option<String>,
    /// See `--deletion-timeout`.
    pub deletion_timeout: Duration,
    /// See `--concurrency`.
    pub concurrency: usize,
    /// See `--namespace`; `None`: that of the ServiceAccount, or of the kubeconfig's context.
    pub namespace: Option<String>,
    /// See `--enable-rollout-restart`.
    pub rollout_restart: bool,
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
        rollout_restart: config.rollout_restart,
    };
    tracing::info!(owner_id = %settings.owner, "starting");
    let (events, publishing) = Events::start(kube.clone(), instance(), metrics.clone(), stop.clone());
    let publishing = tokio::spawn(publishing);
    let (triggers, triggered) = Triggers::new();
    let (stores, sources) = Stores::new();
    let watches = Watches {
        kube: watch::answering(&kube),
        metrics: metrics.clone(),
        health,
    };
    let context = Arc::new(Context {
        namespace: config.namespace.unwrap_or_else(|| kube.default_namespace().to_owned()),
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
    let mut following = follow::start(&watches, &context, &stores, sources);

    // Queues only: what is watched comes in through the triggers. Unlimited, because kube's own limit is not fair (P1); the
    // bulkheads bound the work, first come first served.
    let provider_loop = Controller::for_stream(futures::stream::pending(), stores.providers.clone())
        .with_config(ControllerConfig::default())
        .reconcile_on(triggers::providers(triggered.providers))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(pass::provider, pass::never_failed, context.clone())
        .for_each(|_| std::future::ready(()));
    let client_loop = Controller::for_stream(futures::stream::pending(), stores.clients.clone())
        .with_config(ControllerConfig::default())
        .reconcile_on(triggers::clients(triggered.clients))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(pass::client, pass::never_failed, context)
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
