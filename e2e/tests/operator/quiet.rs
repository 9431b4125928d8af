//! What is as it should be is left alone: no write, anywhere.

use std::time::Duration;

use anyhow::{Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    audit::{Mark, Records},
    case,
    dex::{Dex, DexOptions},
    install::{NAMESPACE, SERVICE_ACCOUNT},
    scene::{PROVIDER, Scene, Stage},
    wait::eventually,
};
use serde_json::json;

use crate::{change::writes, held::Held};

/// What the operator wrote in the two namespaces of a scene since `mark`; refused writes count too.
pub(crate) async fn written(scene: &Scene<'_>, mark: &Mark) -> Result<Records> {
    let all = scene.cluster.audit().since(mark).await?;
    let ours = all.by_service_account(NAMESPACE, SERVICE_ACCOUNT).writes();
    Ok(ours.filter(|record| record.namespace == scene.app || record.namespace == scene.identity))
}

#[tokio::test]
async fn passes_that_find_nothing_changed_write_nothing() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage
            .scene_at(&dex, "quiet", json!({"spec": {"resyncInterval": "5s"}}))
            .await?;
        scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        scene.ready_client("app", json!({"type": "Public"})).await?;
        let looks = async || {
            anyhow::Ok(
                dex.grpc_requests()
                    .await?
                    .get("ListClients")
                    .copied()
                    .unwrap_or_default(),
            )
        };
        // The Events of the creation are out, and the provider has counted its clients.
        eventually("the provider counts two", Duration::from_secs(30), async || {
            let status = scene.api::<OIDCProvider>().get(PROVIDER).await?.status.unwrap();
            ensure!(status.clients.unwrap().total == 2, "{:?}", status.clients);
            Ok(())
        })
        .await?;
        scene.event(&scene.app, "shop", "Created").await?;
        scene.event(&scene.app, "app", "Created").await?;

        let (mark, before, looked) = (scene.cluster.audit().mark().await?, writes(&dex).await?, looks().await?);
        eventually("two resyncs", Duration::from_secs(60), async || {
            let now = looks().await?;
            ensure!(now >= looked + 2, "Dex was looked at {now} times, {looked} before");
            Ok(())
        })
        .await?;
        assert_eq!(written(&scene, &mark).await?.counts(), [].into());
        assert_eq!(writes(&dex).await?, before);

        // Who asks gets one answer for it, and nothing else is written.
        let held = Held::of(&scene, "shop").await?;
        let mark = scene.cluster.audit().mark().await?;
        scene.ask::<OIDCClient>("shop", "now").await?;
        eventually("the request is answered", Duration::from_secs(30), async || {
            let status = scene.api::<OIDCClient>().get("shop").await?.status.unwrap();
            let done = status.last_reconcile_request;
            ensure!(done.as_deref() == Some("now"), "{done:?}");
            Ok(())
        })
        .await?;
        assert_eq!(
            written(&scene, &mark).await?.counts(),
            [("patch oidcclients/status".to_owned(), 1)].into()
        );
        assert_eq!(writes(&dex).await?, before);
        assert_eq!(Held::of(&scene, "shop").await?, held);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_refused_client_costs_one_status() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage
            .scene_at(&dex, "refused", json!({"spec": {"resyncInterval": "5s"}}))
            .await?;
        scene.ready_client("first", json!({"clientID": "same"})).await?;
        let before = writes(&dex).await?;
        let mark = scene.cluster.audit().mark().await?;
        scene.client("second", json!({"clientID": "same"})).await?;
        scene
            .condition::<OIDCClient>("second", "Accepted", "False", "ClientIDTaken")
            .await?;
        scene.event(&scene.app, "second", "ClientIDTaken").await?;
        // It looks again, and finds the same.
        for request in ["1", "2"] {
            scene.ask::<OIDCClient>("second", request).await?;
            eventually("the request is answered", Duration::from_secs(30), async || {
                let status = scene.api::<OIDCClient>().get("second").await?.status.unwrap();
                let done = status.last_reconcile_request;
                ensure!(done.as_deref() == Some(request), "{done:?}");
                Ok(())
            })
            .await?;
        }
        let counts = written(&scene, &mark).await?;
        let counts = counts.filter(|record| record.name == "second" || record.resource == "secrets");
        assert_eq!(counts.counts(), [("patch oidcclients/status".to_owned(), 3)].into());
        assert_eq!(writes(&dex).await?, before);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_new_client_is_made_with_one_write_of_each_kind() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("few").await?;
        let mark = scene.cluster.audit().mark().await?;
        scene.ready_client("shop", json!({})).await?;
        scene.event(&scene.app, "shop", "Created").await?;
        let counts = written(&scene, &mark).await?.namespace(&scene.app).counts();
        let once = [
            "create configmaps",
            "create secrets",
            "patch oidcclients",
            "patch oidcclients/status",
        ];
        let mut expected: std::collections::BTreeMap<_, _> = once.map(|what| (what.to_owned(), 1)).into();
        expected.insert("create events".to_owned(), 1);
        assert_eq!(counts, expected);
        Ok(())
    })
    .await;
}
