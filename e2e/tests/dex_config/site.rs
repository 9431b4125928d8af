//! Kubernetes, the operator, and a Dex with its Deployment.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use oidc_operator::api::OIDCProvider;
use oidc_operator_e2e::{
    control_plane::{ControlPlane, Options},
    dex::{
        Storage,
        supervised::{Kubelet, SupervisedDex, TARGET},
    },
    http, install,
    login::secret_accepted,
    operator::{Operator, OperatorOptions},
    scene::{Idp as _, Scene, Watched},
    wait::eventually,
};
use serde_json::json;

pub(crate) const PROVIDER: &str = SupervisedDex::NAME;

/// What is started once for a test.
pub(crate) struct Site {
    _operator: Operator,
    pub(crate) dex: SupervisedDex,
    pub(crate) cluster: ControlPlane,
}

impl Site {
    pub(crate) async fn start(name: &str, storage: Storage) -> Result<Self> {
        Self::start_with(name, SupervisedDex::new(&format!("{name}-dex"), storage)?).await
    }

    pub(crate) async fn start_with(name: &str, dex: SupervisedDex) -> Result<Self> {
        http::choose_crypto();
        let cluster = ControlPlane::start(Options {
            name: format!("{name}-control-plane"),
            workloads: true,
            ..Options::default()
        })
        .await?;
        let kubeconfig = install::install(&cluster).await?;
        // The garbage collector learns of new CRDs every 30 s only.
        cluster.start_controller_manager().await?;
        let mut options = OperatorOptions::new(kubeconfig, "e2e");
        options.name = format!("{name}-operator");
        let operator = Operator::start(options)?;
        operator.wait_ready(Duration::from_secs(60)).await?;
        Ok(Self {
            _operator: operator,
            dex,
            cluster,
        })
    }

    /// Namespaces, the platform's objects and a provider that is ready; Dex runs until the second one is dropped.
    pub(crate) async fn scene(&self) -> Result<(Scene<'_, SupervisedDex>, Kubelet)> {
        let (scene, kubelet) = self.prepared().await?;
        scene.provider(json!({})).await?;
        let ready = ready::<OIDCProvider>(&scene, PROVIDER).await;
        ready.with_context(|| format!("Pod: {:?}\n{}", self.dex.refused(), self.dex.log_tail()))?;
        Ok((scene, kubelet))
    }

    /// The same, without a provider.
    pub(crate) async fn prepared(&self) -> Result<(Scene<'_, SupervisedDex>, Kubelet)> {
        let scene = Scene::empty(&self.cluster, &self.dex, "config").await?;
        install::allow_dex_config(&self.cluster, &scene.identity).await?;
        let kubelet = self.dex.kubelet(&self.cluster, &scene.identity)?;
        Ok((scene, kubelet))
    }

    /// Does Dex accept this secret?
    pub(crate) async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool> {
        secret_accepted(self.dex.ca_pem(), &self.dex.token_endpoint(), client_id, secret).await
    }

    /// No start of Dex ever had a client without its variable.
    pub(crate) fn was_never_open(&self) -> Result<()> {
        for start in self.dex.starts() {
            ensure!(start.open.is_empty(), "Dex accepted an empty secret: {start:?}");
        }
        Ok(())
    }

    /// Waits until Dex was started so often since `before`, and serves.
    pub(crate) async fn restarted(&self, before: usize, times: usize) -> Result<()> {
        eventually(format!("{times} starts of Dex"), Duration::from_secs(180), async || {
            let starts = self.dex.starts();
            ensure!(starts.len() == before + times, "{} starts since", starts.len() - before);
            ensure!(
                starts.last().is_some_and(|start| start.served.is_some()),
                "it does not serve"
            );
            Ok(())
        })
        .await
    }
}

/// Waits until an object is ready. A roll-out takes several programs, one after the other: on a busy machine longer than most things.
pub(crate) async fn ready<K: Watched>(scene: &Scene<'_, SupervisedDex>, name: &str) -> Result<K> {
    for _ in 0..2 {
        if let Ok(object) = scene.ready::<K>(name).await {
            return Ok(object);
        }
    }
    scene.ready(name).await
}

/// The target as it is.
pub(crate) async fn target(scene: &Scene<'_, SupervisedDex>) -> Result<String> {
    let maps: Api<ConfigMap> = Api::namespaced(scene.kube.clone(), &scene.identity);
    let data = maps.get(TARGET).await?.data.context("no data")?;
    data.get("config.yaml").cloned().context("no configuration")
}
