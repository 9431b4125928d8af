//! From a manifest to a login; every change in place, and never an instant in which Dex would take an empty secret.

use anyhow::ensure;
use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use oidc_operator::{
    api::{OIDCClient, OIDCProvider},
    domain::model::RotationCapability,
};
use oidc_operator_e2e::{
    case,
    login::{ClientAuth, Login},
    scene::{PROVIDER, SOON},
    wait::eventually,
};
use serde_json::json;

use crate::held::{Scene, accepted, dex, held, object, secret};

fn login(scene: &Scene<'_>, name: &str, secret: &str) -> Login {
    let dex = &scene.idp.dex;
    let auth = ClientAuth::SecretBasic(secret.to_owned());
    let uri = "https://app.example.com/callback";
    Login::new(dex.issuer(), dex.ca_pem(), &scene.client_id(name), auth, uri)
}

#[tokio::test]
async fn a_manifest_becomes_a_login_and_every_change_is_in_place() {
    case::run(async {
        let (stage, dex) = dex("storage-way").await?;
        let scene = stage.scene_at(&dex, "way", json!({})).await?;
        let status = scene.api::<OIDCProvider>().get(PROVIDER).await?.status.unwrap();
        let capabilities = status.capabilities.unwrap();
        assert_eq!(capabilities.rotation, RotationCapability::Atomic);
        assert_eq!(status.server.unwrap().product, "Dex");

        scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        let first = secret(&scene, "shop").await?;
        login(&scene, "shop", &first).run().await?;
        let made = object(&scene, "shop").await?;
        let status = scene.api::<OIDCClient>().get("shop").await?.status.unwrap();
        assert_eq!(Some(status.remote.unwrap().id), made.metadata.name);

        // Every version of the object, from here on.
        let clients = dex.clients(&scene.kube);
        let versions = tokio::spawn(async move {
            let objects = watcher(clients, watcher::Config::default()).applied_objects().boxed();
            let mut seen = Vec::new();
            let mut objects = objects.take_until(tokio::time::sleep(SOON * 4)).boxed();
            while let Some(object) = objects.next().await {
                let data = object?.data;
                seen.push(data.clone());
                if data["name"] == "The end" {
                    break;
                }
            }
            anyhow::Ok(seen)
        });

        scene.rotate("shop", "1").await?;
        eventually("another secret", SOON, async || {
            ensure!(scene.credentials("shop").await?.last_rotate_request.as_deref() == Some("1"));
            ensure!(secret(&scene, "shop").await? != first);
            Ok(())
        })
        .await?;
        let second = secret(&scene, "shop").await?;
        ensure!(!accepted(&scene, "shop", &first).await?, "Dex takes the old secret");
        login(&scene, "shop", &second).run().await?;

        // Lists and texts are emptied in place.
        scene
            .ready_client("shop", json!({"displayName": null, "logoURI": null}))
            .await?;
        assert_eq!(held(&scene, "shop").await?["client"]["name"], json!(null));

        for _ in 0..3 {
            scene.ready_client("shop", json!({"type": "Public"})).await?;
            let public = held(&scene, "shop").await?;
            assert_eq!(
                (&public["client"]["public"], &public["client"]["secret"]),
                (&json!(true), &json!(null))
            );
            scene.ready_client("shop", json!({"type": "Confidential"})).await?;
        }
        scene.ready_client("shop", json!({"displayName": "The end"})).await?;
        secret(&scene, "shop").await?;

        let seen = versions.await??;
        ensure!(seen.len() >= 8, "{} versions", seen.len());
        for data in &seen {
            let has_secret = data["secret"].as_str().is_some_and(|secret| !secret.is_empty());
            ensure!(
                data["public"] == true || has_secret,
                "confidential and without a secret"
            );
        }
        let now = object(&scene, "shop").await?;
        assert_eq!(now.metadata.uid, made.metadata.uid, "never made anew");
        scene.delete::<OIDCClient>("shop").await?;
        ensure!(dex.object(&scene.kube, &scene.client_id("shop")).await?.is_none());
        Ok(())
    })
    .await;
}
