//! `deletionPolicy: Retain`: client and outputs outlive their OIDCClient, and the next one of its name takes them back.

use std::collections::BTreeMap;

use anyhow::ensure;
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions},
    scene::Stage,
};
use serde_json::json;

use crate::{
    change::writes,
    held::{Held, stays},
};

#[tokio::test]
async fn a_retained_client_is_taken_back_with_the_same_secret() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage.scene_at(&dex, "retain", json!({})).await?;
        let spec = json!({"deletionPolicy": "Retain", "displayName": "Shop"});
        scene.ready_client("shop", spec.clone()).await?;
        let before = Held::of(&scene, "shop").await?;
        scene.delete::<OIDCClient>("shop").await?;
        scene.event(&scene.app, "shop", "Retained").await?;

        let retained = Held::of(&scene, "shop").await?;
        let mark = format!("oidc-operator.io/e2e/{}/shop/released", scene.app);
        assert_eq!(retained.at_dex.trusted_peers, std::slice::from_ref(&mark));
        assert_eq!(retained.secret, before.secret);
        assert_eq!(retained.config_map, before.config_map);
        retained.works(&scene).await?;
        for metadata in [
            scene.secrets().get("shop-oidc").await?.metadata,
            scene.config_maps().get("shop-oidc").await?.metadata,
        ] {
            assert_eq!(metadata.owner_references.unwrap_or_default(), []);
            assert_eq!(metadata.annotations.unwrap()["oidc-operator.io/mark"], mark);
            ensure!(
                !metadata
                    .labels
                    .unwrap_or_default()
                    .contains_key("oidc-operator.io/client-uid")
            );
        }
        // The garbage collector has no reason to take them.
        stays(&scene, "shop", &retained).await?;

        let counted = writes(&dex).await?;
        let client = scene.ready_client("shop", spec).await?;
        let after = Held::of(&scene, "shop").await?;
        let uid = client.metadata.uid.unwrap();
        assert_eq!(
            after.at_dex.trusted_peers,
            [format!("oidc-operator.io/e2e/{}/shop/{uid}", scene.app)]
        );
        assert_eq!((&after.secret, &after.secret_uid), (&before.secret, &before.secret_uid));
        assert_eq!(after.config_map, before.config_map);
        // Re-marked in place. A creation that Dex refuses as taken may come before it; a new client would need a deletion.
        let change = writes(&dex).await?;
        let more = |method: &str| {
            let count = |counts: &BTreeMap<String, u64>| counts.get(method).copied().unwrap_or_default();
            count(&change) - count(&counted)
        };
        assert_eq!((more("UpdateClient"), more("DeleteClient")), (1, 0));
        after.works(&scene).await?;
        for metadata in [
            scene.secrets().get("shop-oidc").await?.metadata,
            scene.config_maps().get("shop-oidc").await?.metadata,
        ] {
            let owners = metadata.owner_references.unwrap();
            assert_eq!(
                owners.iter().map(|owner| owner.uid.as_str()).collect::<Vec<_>>(),
                [uid.as_str()]
            );
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_one_retained_is_not_anothers() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("retain-other").await?;
        let id = format!("{}-id", scene.app);
        scene
            .ready_client("shop", json!({"deletionPolicy": "Retain", "clientID": id}))
            .await?;
        scene.delete::<OIDCClient>("shop").await?;
        let retained = Held::of(&scene, "shop").await?;
        scene
            .client(
                "other",
                json!({"clientID": id, "outputs": {"secret": {"name": "shop-oidc"}}}),
            )
            .await?;
        scene
            .condition::<OIDCClient>("other", "CredentialsPublished", "False", "OutputNotOwned")
            .await?;
        scene.client("other", json!({"clientID": id})).await?;
        scene
            .condition::<OIDCClient>("other", "Accepted", "False", "ClientIDTaken")
            .await?;
        assert_eq!(Held::of(&scene, "shop").await?, retained);
        Ok(())
    })
    .await;
}
