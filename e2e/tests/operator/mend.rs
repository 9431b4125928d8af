//! What somebody edits or deletes, beside the application or in Dex, is mended.

use anyhow::{Result, ensure};
use kube::api::{DeleteParams, Patch, PatchParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions, api},
    scene::{PROVIDER, SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::held::{Held, accepted, at_dex, becomes, tells};

async fn edit_secret(scene: &Scene<'_>, data: Value) -> Result<()> {
    let patch = Patch::Merge(json!({"stringData": data}));
    scene
        .secrets()
        .patch("shop-oidc", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

async fn edit_config_map(scene: &Scene<'_>, data: Value) -> Result<()> {
    let patch = Patch::Merge(json!({"data": data}));
    scene
        .config_maps()
        .patch("shop-oidc", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}

#[tokio::test]
async fn an_edited_secret_is_written_again_with_the_same_client_secret() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("edit-secret").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let edit = json!({"issuer-uri": "https://evil.example.com", "more": "of somebody"});
        edit_secret(&scene, edit).await?;
        becomes(&scene, "shop", "as it was", |now| *now == held).await?;
        let note = scene.event(&scene.app, "shop", "OutputRepaired").await?;
        tells(&note, &["Secret shop-oidc was edited"])?;
        scene.ready::<OIDCClient>("shop").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_edited_and_a_deleted_config_map_are_written_again() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("edit-map").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let edit = json!({"ca-bundle.crt": "no CA", "token-uri": null, "more": "of somebody"});
        edit_config_map(&scene, edit).await?;
        becomes(&scene, "shop", "as it was", |now| *now == held).await?;
        let note = scene.event(&scene.app, "shop", "OutputRepaired").await?;
        tells(&note, &["ConfigMap shop-oidc was edited"])?;

        scene
            .config_maps()
            .delete("shop-oidc", &DeleteParams::default())
            .await?;
        becomes(&scene, "shop", "as it was", |now| *now == held).await?;
        Ok(())
    })
    .await;
}

/// The secret becomes a new one that works; the old one is refused from then on.
pub(crate) async fn replaced(scene: &Scene<'_>, old: &Held) -> Result<Held> {
    let id = &old.secret["client-id"];
    let new = becomes(scene, "shop", "a new secret, at Dex too", |now| {
        now.secret.get("client-secret").is_some_and(|new| {
            *new != old.secret["client-secret"] && *new == now.at_dex.secret && new.len() == old.client_secret().len()
        })
    })
    .await?;
    new.works(scene).await?;
    ensure!(
        !accepted(scene, old.client_secret(), id).await?,
        "Dex takes the old secret"
    );
    eventually("the staged Secret is gone", SOON, async || {
        let staged = scene.secrets().get_opt("shop-oidc-next").await?;
        ensure!(staged.is_none(), "it is there");
        Ok(())
    })
    .await?;
    let note = scene.event(&scene.app, "shop", "SecretReplaced").await?;
    for secret in [old.client_secret(), new.client_secret()] {
        ensure!(!note.contains(secret), "the Event tells a secret");
    }
    // All else is as it was.
    assert_eq!(new.config_map, old.config_map);
    assert_eq!(new.at_dex.trusted_peers, old.at_dex.trusted_peers);
    scene.ready::<OIDCClient>("shop").await?;
    scene
        .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "Verified")
        .await?;
    Ok(new)
}

#[tokio::test]
async fn an_edited_client_secret_is_replaced_and_never_believed() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("edit-key").await?;
        scene.ready_client("shop", json!({})).await?;
        let old = Held::of(&scene, "shop").await?;
        edit_secret(&scene, json!({"client-secret": "chosen by somebody"})).await?;
        let new = replaced(&scene, &old).await?;
        let id = &new.secret["client-id"];
        ensure!(
            !accepted(&scene, "chosen by somebody", id).await?,
            "Dex takes what somebody chose"
        );
        let status = scene.api::<OIDCClient>().get("shop").await?.status.unwrap();
        let rotated = status.credentials.unwrap().last_rotation;
        let annotations = scene.secrets().get("shop-oidc").await?.metadata.annotations.unwrap();
        assert_eq!(rotated.as_ref(), annotations.get("oidc-operator.io/rotated-at"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_deleted_secret_comes_back_with_a_new_client_secret() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("delete-secret").await?;
        scene.ready_client("shop", json!({})).await?;
        let old = Held::of(&scene, "shop").await?;
        scene.secrets().delete("shop-oidc", &DeleteParams::default()).await?;
        eventually("there is a Secret again", SOON, async || {
            Held::of(&scene, "shop").await.map(drop)
        })
        .await?;
        replaced(&scene, &old).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_somebody_changes_in_dex_is_found_by_the_resync() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage
            .scene_at(&stage.dex, "drift", json!({"spec": {"resyncInterval": "5s"}}))
            .await?;
        scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        let held = Held::of(&scene, "shop").await?;
        let (admin, id) = (scene.idp.admin().await?, &held.secret["client-id"]);

        let request = api::UpdateClientReq {
            id: id.clone(),
            redirect_uris: vec!["https://evil.example.com/callback".to_owned()],
            trusted_peers: [held.at_dex.trusted_peers.as_slice(), &["evil".to_owned()]].concat(),
            name: "Evil".to_owned(),
            ..api::UpdateClientReq::default()
        };
        let answer = admin.client.clone().update_client(request).await?.into_inner();
        ensure!(!answer.not_found && Held::of(&scene, "shop").await? != held);
        becomes(&scene, "shop", "as it was", |now| *now == held).await?;
        let note = scene.event(&scene.app, "shop", "Updated").await?;
        tells(&note, &["redirectURIs", "displayName", "trustedPeers"])?;

        ensure!(admin.delete(id).await?);
        eventually("it is there again", SOON, async || {
            ensure!(at_dex(&scene, id).await?.as_ref() == Some(&held.at_dex));
            Ok(())
        })
        .await?;
        let note = scene.event(&scene.app, "shop", "Restored").await?;
        tells(
            &note,
            &["was gone at the provider", "with the credentials in its Secret"],
        )?;
        held.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn a_dex_that_lost_its_memory_gets_the_same_clients_back() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage.scene_at(&dex, "forgetful", json!({})).await?;
        scene.ready_client("shop", json!({})).await?;
        scene.ready_client("app", json!({"type": "Public"})).await?;
        let held = [Held::of(&scene, "shop").await?, Held::of(&scene, "app").await?];
        let lose_memory = async || {
            dex.kill();
            dex.start_again().await
        };

        // At once for who asks.
        lose_memory().await?;
        scene.ask::<OIDCClient>("shop", "now").await?;
        becomes(&scene, "shop", "as it was", |now| *now == held[0]).await?;
        held[0].works(&scene).await?;
        let client = scene.ready::<OIDCClient>("shop").await?;
        eventually("the request is answered", SOON, async || {
            let client = scene.api::<OIDCClient>().get("shop").await?;
            let done = client.status.and_then(|status| status.last_reconcile_request);
            ensure!(done.as_deref() == Some("now"), "{done:?}");
            Ok(())
        })
        .await?;
        assert_eq!(client.metadata.name.as_deref(), Some("shop"));

        // By themselves with the next resync, all of them.
        scene.provider(json!({"spec": {"resyncInterval": "5s"}})).await?;
        scene.ready::<oidc_operator::api::OIDCProvider>(PROVIDER).await?;
        lose_memory().await?;
        becomes(&scene, "shop", "as it was", |now| *now == held[0]).await?;
        becomes(&scene, "app", "as it was", |now| *now == held[1]).await?;
        held[0].works(&scene).await
    })
    .await;
}
