//! `oidc-operator verify` against a real Keycloak: a good client, and faults that only it shows in its own way.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator_e2e::{
    case,
    keycloak::Realm,
    scene::{Scene, Stage},
    verify::{self, Report},
};
use serde_json::json;

use crate::realm;

async fn report(scene: &Scene<'_, Realm>) -> Result<Report> {
    verify::verify(scene.cluster.admin_kubeconfig(), &scene.app, "shop").await
}

#[tokio::test]
async fn what_works_is_told_and_each_fault_is_named() {
    case::run(async {
        let stage = Stage::shared().await?;
        // It looks every ten minutes: what is broken stays broken meanwhile.
        let scene = stage.scene_at(realm().await?, "verify", json!({})).await?;
        let spec = json!({
            "grantTypes": ["authorization_code", "refresh_token", "client_credentials"],
            "redirectURIs": ["https://app.example.com/callback", "https://app.example.com/other"],
            "claims": [{"name": "teams", "type": "Groups", "groups": {"path": "Name"}}],
        });
        scene.ready_client("shop", spec).await?;
        let secret = scene.secret("shop-oidc").await?["client-secret"].clone();

        let told = report(&scene).await?;
        ensure!(told.success && told.with("SKIPPED").is_empty(), "{told:#?}");
        ensure!(
            told.check("redirect-uri")?.message.contains("2 redirect URIs"),
            "{told:#?}"
        );
        ensure!(told.check("claims")?.message.contains("teams"), "{told:#?}");
        println!("{}", told.check("audience")?.message);
        ensure!(!told.text.contains(&secret), "the secret is in the report");

        let (realm, id) = (scene.idp, scene.client_id("shop"));
        let good = realm.client(&id).await?.context("no client")?;
        realm
            .update_client(&id, &json!({"redirectUris": ["https://app.example.com/other"]}))
            .await?;
        report(&scene).await?.fails_in(
            "redirect-uri",
            &["https://app.example.com/callback (400)", "byte for byte"],
        )?;
        realm
            .update_client(&id, &json!({"redirectUris": good["redirectUris"]}))
            .await?;

        let changed = realm.regenerate_secret(&id).await?;
        let told = report(&scene).await?;
        told.fails_in("credentials", &["refuses the client secret"])?;
        for secret in [&secret, &changed] {
            ensure!(!told.text.contains(secret), "a secret is in the report");
        }
        realm.update_client(&id, &json!({ "secret": secret })).await?;

        realm.update_client(&id, &json!({"enabled": false})).await?;
        let told = report(&scene).await?;
        assert_eq!(told.with("FAILED"), ["redirect-uri", "credentials"], "{told:#?}");
        realm.update_client(&id, &json!({"enabled": true})).await?;
        ensure!(report(&scene).await?.success, "all is well again");
        Ok(())
    })
    .await;
}

/// How soon a new CA is with the applications of a Keycloak.
#[tokio::test]
async fn a_new_ca_is_everywhere_within_seconds() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene_at(realm().await?, "new-ca", json!({})).await?;
        let clients = ["one", "two", "three"];
        for client in clients {
            scene.ready_client(client, json!({})).await?;
        }
        let (ours, new) = (scene.idp.ca_pem(), oidc_operator_e2e::pki::Ca::new("the next CA")?);
        scene.bundles_become(&clients, &[ours]).await?;
        let both = format!("{}{ours}", new.pem());
        let map = oidc_operator_e2e::install::ca_config_map(&scene.identity, oidc_operator_e2e::keycloak::CA, &both);
        scene.apply(map).await?;
        let took = scene.bundles_become(&clients, &[ours, new.pem()]).await?;
        println!(
            "a new CA of a Keycloak is with {} clients after {took:.1?}",
            clients.len()
        );
        ensure!(took < Duration::from_secs(15), "{took:?}");
        Ok(())
    })
    .await;
}
