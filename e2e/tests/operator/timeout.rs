//! Deletions while Dex is down end after `--deletion-timeout`. A stage of its own: ten minutes are too long to wait.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions},
    scene::{PROVIDER, SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::json;

use crate::{
    ends::begin_to_delete,
    held::{no_outputs, tells},
};

/// `--deletion-timeout`.
const TIMEOUT: Duration = Duration::from_secs(5);

async fn left_behind(stage: &Stage, count: f64) -> Result<()> {
    eventually(format!("{count} were left behind"), SOON, async || {
        let now = stage.operator.metric("oidc_operator_left_behind_total", &[]).await?;
        ensure!((now - count).abs() < 0.5, "{now}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn deletions_end_although_dex_is_down_and_say_what_is_left() {
    case::run(async {
        let stage = Stage::start("timeout", &["--deletion-timeout", "5s"]).await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage.scene_at(&dex, "down", json!({})).await?;
        let ending = Scene {
            app: stage.cluster.namespace("down-ending").await?,
            ..scene.clone()
        };
        scene.ready_client("shop", json!({})).await?;
        scene.ready_client("kept", json!({"deletionPolicy": "Retain"})).await?;
        ending.ready_client("shop", json!({})).await?;
        let kept = scene.secret("kept-oidc").await?;
        dex.kill();

        // One object.
        let start = Instant::now();
        begin_to_delete::<OIDCClient>(&scene, "shop").await?;
        let message = scene
            .condition::<OIDCClient>("shop", "Reconciling", "True", "Terminating")
            .await?;
        tells(
            &message,
            &[
                "Waiting to delete the client",
                "It is let go at",
                "oidc-operator.io/orphan",
            ],
        )?;
        scene.gone::<OIDCClient>("shop").await?;
        // A deletionTimestamp knows whole seconds only.
        let took = start.elapsed();
        ensure!(took > TIMEOUT - Duration::from_secs(1), "it was let go after {took:?}");
        let note = scene.event(&scene.app, "shop", "LeftBehind").await?;
        tells(&note, &[&scene.client_id("shop"), "the deletion timeout is over"])?;
        left_behind(&stage, 1.0).await?;
        eventually("the outputs are collected", SOON, async || {
            no_outputs(&scene, "shop").await
        })
        .await?;

        // One that shall outlive its object: its Secret does, Dex could not be told.
        scene.delete::<OIDCClient>("kept").await?;
        scene.event(&scene.app, "kept", "LeftBehind").await?;
        assert_eq!(scene.secret("kept-oidc").await?, kept);
        let owners = scene.secrets().get("kept-oidc").await?.metadata.owner_references;
        assert_eq!(owners.unwrap_or_default(), []);

        // A namespace. It takes no Events any more: the provider's has them.
        let namespaces: Api<Namespace> = Api::all(scene.kube.clone());
        namespaces.delete(&ending.app, &DeleteParams::default()).await?;
        let note = scene.event(&scene.identity, PROVIDER, "LeftBehind").await?;
        tells(&note, &[&ending.client_id("shop"), "the deletion timeout is over"])?;
        eventually("the namespace is gone", SOON, async || {
            let left = namespaces.get_opt(&ending.app).await?;
            ensure!(left.is_none(), "{left:?}");
            Ok(())
        })
        .await?;
        left_behind(&stage, 3.0).await
    })
    .await;
}
