//! What is missing is named where the platform looks for it, and mended without anybody's asking.

use std::time::Duration;

use anyhow::ensure;
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    control_plane::{ControlPlane, Options},
    dex::StoredDex,
    install,
    operator::{Operator, OperatorOptions},
    scene::{PROVIDER, SOON, Scene, Stage},
};
use serde_json::json;

use crate::held::{accepted, secret};

#[tokio::test]
async fn missing_rights_are_named_and_follow_at_once() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = StoredDex::start(&stage.cluster, "storage-rights").await?;
        let scene = stage.empty_scene_at(&dex, "rights").await?;
        scene.provider(json!({})).await?;
        scene.client("shop", json!({})).await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "Forbidden")
            .await?;
        for told in ["oauth2clients.dex.coreos.com", dex.namespace(), "config/dex-storage"] {
            ensure!(message.contains(told), "{message}");
        }
        let tenant = scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotReady")
            .await?;
        ensure!(!tenant.contains("oauth2clients"), "tenants see admin errors: {tenant}");
        // One provider's watch is not the operator's health.
        stage.operator.wait_ready(Duration::from_secs(5)).await?;

        dex.allow_operator(&stage.cluster).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready::<OIDCClient>("shop").await?;
        secret(&scene, "shop").await?;
        Ok(())
    })
    .await;
}

/// The API server goes and comes back: what a hand did right then is mended, and the provider is ready again by itself.
#[tokio::test]
async fn an_api_server_that_restarts_hides_nothing() {
    case::run(async {
        let cluster = ControlPlane::start(Options {
            name: "storage-restart".to_owned(),
            ..Options::default()
        })
        .await?;
        let kubeconfig = install::install(&cluster).await?;
        let operator = Operator::start(OperatorOptions::new(kubeconfig, "e2e"))?;
        operator.wait_ready(SOON).await?;
        let dex = StoredDex::start(&cluster, "storage-dex").await?;
        dex.allow_operator(&cluster).await?;
        let scene = Scene::empty(&cluster, &dex, "restart").await?;
        scene.provider(json!({})).await?;
        scene.ready_client("shop", json!({})).await?;
        let (before, secret) = (crate::held::held(&scene, "shop").await?, secret(&scene, "shop").await?);

        cluster.restart_apiserver().await?;
        dex.edit(
            &scene.kube,
            &scene.client_id("shop"),
            json!({"secret": "chosen by somebody"}),
        )
        .await?;
        crate::held::becomes(&scene, "shop", &before).await?;
        ensure!(accepted(&scene, "shop", &secret).await?, "Dex refuses the Secret");
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready::<OIDCClient>("shop").await?;
        Ok(())
    })
    .await;
}
