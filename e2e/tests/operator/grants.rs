//! Which OIDCProvider, and whom it serves.

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    scene::{PROVIDER, Scene, Stage},
};
use serde_json::{Value, json};

use crate::held::{Held, at_dex, nothing_stands, stays, tells};

/// A patch of `spec.clients.allowedNamespaces`.
fn allowed(from: &str, selector: Value) -> Value {
    json!({"spec": {"clients": {"allowedNamespaces": {"from": from, "selector": selector}}}})
}

/// Labels the namespace of the application; null takes the label off.
async fn label(scene: &Scene<'_>, value: Value) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(scene.kube.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": {"example.com/oidc": value}}}));
    namespaces.patch(&scene.app, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn a_provider_that_comes_later() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("later").await?;
        scene.client("shop", json!({})).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotFound")
            .await?;
        tells(&message, &[&format!("{}/{PROVIDER}", scene.identity), "Create it"])?;
        scene
            .condition::<OIDCClient>("shop", "Stalled", "True", "ProviderNotFound")
            .await?;
        nothing_stands(&scene, "shop").await?;

        scene.provider(json!({})).await?;
        let client = scene.ready::<OIDCClient>("shop").await?;
        let conditions = client.status.unwrap().conditions;
        ensure!(conditions.iter().all(|condition| condition.type_ != "Stalled"));
        Held::of(&scene, "shop").await?.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn only_the_providers_own_namespace_unless_it_says_more() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("same").await?;
        // As if `clients` was never written.
        scene.provider(json!({"spec": {"clients": null}})).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.client("shop", json!({})).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "NamespaceNotAllowed")
            .await?;
        tells(&message, &[&scene.app, "Ask its owner", "clients.allowedNamespaces"])?;
        nothing_stands(&scene, "shop").await?;
        // The neighbour of the provider is served.
        let neighbour = Scene {
            app: scene.identity.clone(),
            ..scene.clone()
        };
        neighbour.ready_client("shop", json!({})).await?;

        scene.provider(allowed("All", Value::Null)).await?;
        scene.ready::<OIDCClient>("shop").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_label_grants_and_taking_it_off_stops_changes_and_deletes_nothing() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("selector").await?;
        let selector = json!({"matchLabels": {"example.com/oidc": "yes"}});
        scene.provider(allowed("Selector", selector)).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.client("shop", json!({})).await?;
        scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "NamespaceNotAllowed")
            .await?;
        nothing_stands(&scene, "shop").await?;

        label(&scene, json!("yes")).await?;
        scene.ready::<OIDCClient>("shop").await?;
        let held = Held::of(&scene, "shop").await?;

        label(&scene, Value::Null).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "NamespaceNotAllowed")
            .await?;
        tells(&message, &["what was made stays as it is"])?;
        let other = json!({"redirectURIs": ["https://other.example.com/callback"]});
        scene.client("shop", other.clone()).await?;
        scene
            .condition::<OIDCClient>("shop", "Ready", "False", "NamespaceNotAllowed")
            .await?;
        stays(&scene, "shop", &held).await?;

        label(&scene, json!("yes")).await?;
        scene.ready::<OIDCClient>("shop").await?;
        let after = Held::of(&scene, "shop").await?;
        assert_eq!(after.at_dex.redirect_uris, ["https://other.example.com/callback"]);
        assert_eq!(after.client_secret(), held.client_secret());

        // What was made under a grant is taken away also without it.
        label(&scene, Value::Null).await?;
        scene
            .condition::<OIDCClient>("shop", "Ready", "False", "NamespaceNotAllowed")
            .await?;
        scene.delete::<OIDCClient>("shop").await?;
        ensure!(at_dex(&scene, &scene.client_id("shop")).await?.is_none(), "it is there");
        Ok(())
    })
    .await;
}
