//! What the operator may not follow it does not manage: a Deployment that loses its variables would be an open Dex.

use anyhow::ensure;
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{case, dex::Storage, install};
use serde_json::json;

use crate::site::{PROVIDER, Site, ready};

#[tokio::test]
async fn a_right_to_follow_that_is_missing_is_named_and_its_return_is_noticed() {
    case::run(async {
        let site = Site::start("rights", Storage::Memory).await?;
        let (scene, _kubelet) = site.prepared().await?;
        let kubectl = site.cluster.kubectl()?;
        let namespace = scene.identity.as_str();
        let verbs = json!([{"op": "replace", "path": "/rules/0/verbs", "value": ["get", "patch"]}]).to_string();
        let patch = [
            "patch",
            "role",
            "oidc-operator-dex-config",
            "-n",
            namespace,
            "--type",
            "json",
            "-p",
            &verbs,
        ];
        kubectl.run(patch).await?;
        install::may(&site.cluster, "watch", "deployments.apps/dex", namespace, false).await?;
        scene.provider(json!({})).await?;
        let why = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "Forbidden")
            .await?;
        ensure!(
            why.contains("deployments") && why.contains("config/dex-config"),
            "{why}"
        );

        install::allow_dex_config(&site.cluster, namespace).await?;
        scene.client("web", json!({})).await?;
        // The watch is begun anew after pauses that grow up to half a minute.
        ready::<OIDCProvider>(&scene, PROVIDER).await?;
        ready::<OIDCClient>(&scene, "web").await?;
        site.was_never_open()
    })
    .await;
}
