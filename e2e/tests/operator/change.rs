//! A spec that changes: in place where Dex can, else anew in one pass, always with the same secret.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions},
    install::{CA, ca_config_map},
    pki::Ca,
    scene::{SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::held::{Held, accepted, becomes};

/// How often Dex was asked to change something, by kind.
pub(crate) async fn writes(dex: &Dex) -> Result<BTreeMap<String, u64>> {
    let mut counts = dex.grpc_requests().await?;
    counts.retain(|method, _| ["CreateClient", "UpdateClient", "DeleteClient"].contains(&method.as_str()));
    Ok(counts)
}

/// The writes that bring a standing client from `before` to `after`, two patches of the usual spec.
async fn change(scene: &Scene<'_>, before: Value, after: Value) -> Result<(Held, Held, BTreeMap<String, u64>)> {
    scene.ready_client("shop", before).await?;
    let held = Held::of(scene, "shop").await?;
    let counted = writes(scene.idp).await?;
    scene.ready_client("shop", after).await?;
    let mut did = writes(scene.idp).await?;
    for (method, count) in &mut did {
        *count -= counted.get(method).copied().unwrap_or_default();
    }
    did.retain(|_, count| *count > 0);
    Ok((held, Held::of(scene, "shop").await?, did))
}

fn once(methods: &[&str]) -> BTreeMap<String, u64> {
    methods.iter().map(|method| ((*method).to_owned(), 1)).collect()
}

#[tokio::test]
async fn a_change_at_dex_is_one_call_in_place_or_two_to_make_it_anew() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage.scene_at(&dex, "change", json!({})).await?;
        let logo = "https://shop.example.com/logo.png";
        let full = json!({"displayName": "Shop", "logoURI": logo});

        let uris =
            json!({"displayName": "Shop", "logoURI": logo, "redirectURIs": ["https://new.example.com/callback"]});
        let (before, after, did) = change(&scene, full.clone(), uris).await?;
        assert_eq!(did, once(&["UpdateClient"]));
        assert_eq!(after.at_dex.redirect_uris, ["https://new.example.com/callback"]);
        assert_eq!(after.secret["redirect-uri"], "https://new.example.com/callback");
        assert_eq!(after.client_secret(), before.client_secret());
        assert_eq!(after.secret_uid, before.secret_uid);
        after.works(&scene).await?;

        // `UpdateClient` cannot clear a text.
        let (before, after, did) = change(&scene, full.clone(), json!({"logoURI": logo})).await?;
        assert_eq!(did, once(&["CreateClient", "DeleteClient"]));
        assert_eq!((after.at_dex.name.as_str(), after.at_dex.logo_url.as_str()), ("", logo));
        assert_eq!(after.client_secret(), before.client_secret());
        after.works(&scene).await?;
        scene.event(&scene.app, "shop", "Recreated").await?;

        // What Dex does not hold is no business of Dex.
        let (before, after, did) = change(
            &scene,
            full,
            json!({"displayName": "Shop", "logoURI": logo, "scopes": ["openid"]}),
        )
        .await?;
        assert_eq!(did, once(&[]));
        assert_eq!(after.secret["scope"], "openid offline_access");
        assert_eq!(after.at_dex, before.at_dex);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn confidential_to_public_and_back() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage.scene_at(&dex, "flip", json!({})).await?;
        let (confidential, public, did) = change(&scene, json!({}), json!({"type": "Public"})).await?;
        assert_eq!(did, once(&["CreateClient", "DeleteClient"]));
        ensure!(public.at_dex.public && public.at_dex.secret.is_empty());
        ensure!(
            !public.secret.contains_key("client-secret"),
            "the Secret keeps a client secret"
        );
        let annotations = scene.secrets().get("shop-oidc").await?.metadata.annotations.unwrap();
        for gone in ["client-secret-sha256", "secret-source", "rotated-at"] {
            let key = format!("oidc-operator.io/{gone}");
            ensure!(!annotations.contains_key(&key), "{key} stays");
        }
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "NotApplicable")
            .await?;

        let (_, again, did) = change(&scene, json!({"type": "Public"}), json!({})).await?;
        assert_eq!(did, once(&["CreateClient", "DeleteClient"]));
        again.works(&scene).await?;
        assert_ne!(again.client_secret(), confidential.client_secret());
        ensure!(!accepted(&scene, confidential.client_secret(), &again.secret["client-id"]).await?);
        ensure!(
            scene.secrets().get_opt("shop-oidc-next").await?.is_none(),
            "a staged Secret is left"
        );
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "Verified")
            .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn other_names_move_the_outputs() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("rename").await?;
        scene.ready_client("shop", json!({})).await?;
        let before = Held::of(&scene, "shop").await?;
        let names = json!({"outputs": {"secret": {"name": "moved"}, "configMap": {"name": "moved"}}});
        let client = scene.ready_client("shop", names).await?;
        assert_eq!(client.status.unwrap().binding.unwrap().name, "moved");
        let after = Held::under(&scene, "shop", "moved").await?;
        assert_eq!(after.secret, before.secret);
        assert_eq!(after.config_map, before.config_map);
        assert_eq!(after.at_dex, before.at_dex);
        crate::held::no_outputs(&scene, "shop").await
    })
    .await;
}

#[tokio::test]
async fn labels_and_annotations_of_the_spec_come_and_go() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("metadata").await?;
        scene
            .ready_client(
                "shop",
                json!({"outputs": {"secret": {
                    "labels": {"example.com/team": "shop", "example.com/tier": "web"},
                    "annotations": {"example.com/team": "shop", "example.com/reload": "yes"},
                }}}),
            )
            .await?;
        let metadata = async || anyhow::Ok(scene.secrets().get("shop-oidc").await?.metadata);
        let before = metadata().await?;
        let (labels, annotations) = (before.labels.unwrap(), before.annotations.unwrap());
        assert_eq!(labels["example.com/team"], "shop");
        assert_eq!(labels["example.com/tier"], "web");
        assert_eq!(annotations["example.com/reload"], "yes");
        // What others put there is theirs.
        let patch = json!({"metadata": {"labels": {"backup.example.com/keep": "yes"}}});
        scene
            .secrets()
            .patch(
                "shop-oidc",
                &kube::api::PatchParams::default(),
                &kube::api::Patch::Merge(patch),
            )
            .await?;

        let fewer = json!({"outputs": {"secret": {"annotations": {"example.com/team": "web"}}}});
        scene.ready_client("shop", fewer).await?;
        eventually("labels and annotations are those of the spec", SOON, async || {
            let now = metadata().await?;
            let (labels, annotations) = (now.labels.unwrap(), now.annotations.unwrap());
            ensure!(!labels.contains_key("example.com/tier"), "{labels:?}");
            ensure!(!labels.contains_key("example.com/team"), "{labels:?}");
            ensure!(labels["backup.example.com/keep"] == "yes", "{labels:?}");
            ensure!(annotations["example.com/team"] == "web", "{annotations:?}");
            ensure!(!annotations.contains_key("example.com/reload"), "{annotations:?}");
            Ok(())
        })
        .await?;
        Held::of(&scene, "shop").await?.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn another_ca_reaches_the_applications() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("ca-grows").await?;
        scene.ready_client("shop", json!({})).await?;
        let before = Held::of(&scene, "shop").await?;
        let next = Ca::new("the next CA")?;
        let both = format!("{}{}", next.pem(), scene.idp.ca_pem());
        scene.apply(ca_config_map(&scene.identity, CA, &both)).await?;
        let after = becomes(&scene, "shop", "both CAs in the ConfigMap", |now| {
            now.config_map["ca-bundle.crt"].matches("BEGIN CERTIFICATE").count() == 2
        })
        .await?;
        assert_eq!(after.config_map["ca.crt"], after.config_map["ca-bundle.crt"]);
        assert_eq!((&after.secret, &after.at_dex), (&before.secret, &before.at_dex));
        scene.ready::<OIDCClient>("shop").await?;
        Ok(())
    })
    .await;
}
