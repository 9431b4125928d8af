//! How OIDCClients, OIDCProviders and namespaces end.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions, Storage},
    scene::{PROVIDER, SOON, Scene, Stage, Watched},
    wait::{eventually, steadily},
};
use serde_json::json;

use crate::held::{Held, WHILE, at_dex, no_outputs, tells};

/// Asks for the deletion, and does not wait for its end.
pub(crate) async fn begin_to_delete<K: Watched>(scene: &Scene<'_>, name: &str) -> Result<()> {
    scene.api::<K>().delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// Puts `oidc-operator.io/orphan` on an object.
async fn orphan<K: Watched>(scene: &Scene<'_>, name: &str) -> Result<()> {
    let patch = json!({"metadata": {"annotations": {"oidc-operator.io/orphan": "true"}}});
    scene.patch::<K>(name, patch).await.map(drop)
}

async fn outputs_go(scene: &Scene<'_>, name: &str) -> Result<()> {
    eventually("the outputs are collected", SOON, async || {
        no_outputs(scene, name).await
    })
    .await
}

async fn namespace_ends(scene: &Scene<'_>, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(scene.kube.clone());
    namespaces.delete(name, &DeleteParams::default()).await?;
    eventually(format!("namespace {name} is gone"), SOON, async || {
        let left = namespaces.get_opt(name).await?;
        ensure!(left.is_none(), "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_orphaned_client_is_left_at_dex_and_said_so() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("orphan").await?;
        scene.ready_client("shop", json!({})).await?;
        let id = scene.client_id("shop");
        orphan::<OIDCClient>(&scene, "shop").await?;
        let held = Held::of(&scene, "shop").await?;
        crate::held::stays(&scene, "shop", &held).await?;
        scene.delete::<OIDCClient>("shop").await?;
        let note = scene.event(&scene.app, "shop", "LeftBehind").await?;
        tells(&note, &["oidc-operator.io/orphan", &id, "may be left there"])?;
        assert_eq!(at_dex(&scene, &id).await?, Some(held.at_dex));
        outputs_go(&scene, "shop").await
    })
    .await;
}

#[tokio::test]
async fn a_namespace_ends_and_takes_its_client_from_dex() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("namespace").await?;
        scene.ready_client("shop", json!({})).await?;
        scene.ready_client("app", json!({"type": "Public"})).await?;
        namespace_ends(&scene, &scene.app).await?;
        for name in ["shop", "app"] {
            let left = at_dex(&scene, &scene.client_id(name)).await?;
            ensure!(left.is_none(), "{left:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_namespace_with_a_provider_and_its_clients_ends() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("everything").await?;
        let inside = Scene {
            app: scene.identity.clone(),
            ..scene.clone()
        };
        inside.ready_client("shop", json!({})).await?;
        namespace_ends(&scene, &scene.identity).await
    })
    .await;
}

#[tokio::test]
async fn a_provider_waits_for_its_clients_and_names_them() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("remain").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        // It has nothing at Dex: nobody waits for it.
        scene
            .client("refused", json!({"redirectURIs": ["https://app.example.com/*"]}))
            .await?;
        scene
            .condition::<OIDCClient>("refused", "Accepted", "False", "RedirectURINotAllowed")
            .await?;
        begin_to_delete::<OIDCProvider>(&scene, PROVIDER).await?;
        let api = scene.api::<OIDCProvider>();
        let message = eventually("the provider says for whom it waits", SOON, async || {
            let status = api.get(PROVIDER).await?.status.unwrap_or_default();
            let ready = status
                .conditions
                .into_iter()
                .find(|condition| condition.type_ == "Ready");
            let ready = ready.filter(|ready| ready.reason == "ClientsRemain");
            ready
                .map(|ready| ready.message)
                .ok_or_else(|| anyhow::anyhow!("it does not"))
        })
        .await?;
        tells(&message, &[&format!("{}/shop", scene.app), "oidc-operator.io/orphan"])?;
        ensure!(!message.contains("refused"), "{message}");
        let message = scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderTerminating")
            .await?;
        tells(&message, &["is being deleted", "Delete this OIDCClient too"])?;
        scene.client("late", json!({})).await?;
        scene
            .condition::<OIDCClient>("late", "ProviderResolved", "False", "ProviderTerminating")
            .await?;
        steadily("the provider waits", WHILE, async || {
            ensure!(api.get_opt(PROVIDER).await?.is_some(), "it is gone");
            ensure!(Held::of(&scene, "shop").await? == held, "something was lost");
            Ok(())
        })
        .await?;

        scene.delete::<OIDCClient>("shop").await?;
        ensure!(at_dex(&scene, &scene.client_id("shop")).await?.is_none());
        scene.gone::<OIDCProvider>(PROVIDER).await?;
        scene
            .condition::<OIDCClient>("late", "ProviderResolved", "False", "ProviderNotFound")
            .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_orphaned_provider_ends_at_once_and_its_clients_after_it() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("orphan-provider").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        begin_to_delete::<OIDCProvider>(&scene, PROVIDER).await?;
        orphan::<OIDCProvider>(&scene, PROVIDER).await?;
        scene.gone::<OIDCProvider>(PROVIDER).await?;
        scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotFound")
            .await?;
        crate::held::stays(&scene, "shop", &held).await?;

        // Nobody is left who could delete it.
        scene.delete::<OIDCClient>("shop").await?;
        let note = scene.event(&scene.app, "shop", "LeftBehind").await?;
        tells(&note, &["is gone", &scene.client_id("shop")])?;
        assert_eq!(at_dex(&scene, &scene.client_id("shop")).await?, Some(held.at_dex));
        outputs_go(&scene, "shop").await
    })
    .await;
}

#[tokio::test]
async fn a_client_that_never_had_anything_at_dex_ends_at_once() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("never").await?;
        scene.client("shop", json!({})).await?;
        scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotFound")
            .await?;
        let client = scene.api::<OIDCClient>().get("shop").await?;
        assert_eq!(client.metadata.finalizers, None);
        scene.delete::<OIDCClient>("shop").await
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_made_again_at_once_starts_anew() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("again").await?;
        scene.ready_client("shop", json!({})).await?;
        let before = Held::of(&scene, "shop").await?;
        scene.delete::<OIDCClient>("shop").await?;
        // The outputs of the first one may still stand: they are waited for, not taken.
        scene.ready_client("shop", json!({})).await?;
        let after = Held::of(&scene, "shop").await?;
        assert_ne!(after.client_secret(), before.client_secret());
        assert_ne!(after.secret_uid, before.secret_uid);
        assert_ne!(after.at_dex.trusted_peers, before.at_dex.trusted_peers);
        after.works(&scene).await?;
        crate::held::stays(&scene, "shop", &after).await
    })
    .await;
}

#[tokio::test]
async fn a_deletion_waits_for_dex() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions {
            storage: Storage::Sqlite,
            ..DexOptions::default()
        })
        .await?;
        let scene = stage.scene_at(&dex, "patient", json!({})).await?;
        scene.ready_client("shop", json!({})).await?;
        let secret = scene.secret("shop-oidc").await?;
        dex.kill();
        begin_to_delete::<OIDCClient>(&scene, "shop").await?;
        let message = scene
            .condition::<OIDCClient>("shop", "Reconciling", "True", "Terminating")
            .await?;
        tells(&message, &["Waiting to delete the client", "It is let go at"])?;
        steadily("it waits, and its outputs stand", WHILE, async || {
            ensure!(scene.api::<OIDCClient>().get_opt("shop").await?.is_some(), "it is gone");
            ensure!(scene.secret("shop-oidc").await? == secret, "the Secret was changed");
            Ok(())
        })
        .await?;
        dex.start_again().await?;
        ensure!(at_dex(&scene, &scene.client_id("shop")).await?.is_some());
        scene.gone::<OIDCClient>("shop").await?;
        ensure!(
            at_dex(&scene, &scene.client_id("shop")).await?.is_none(),
            "it was left behind"
        );
        outputs_go(&scene, "shop").await
    })
    .await;
}
