//! `type: DynamicRegistration`, at Keycloak's own registration endpoint with its default policies.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _, api::DeleteParams};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case, install,
    keycloak::Registrar,
    login::{ClientAuth, secret_accepted},
    scene::{Idp, SOON, Scene, Stage},
    shared,
    wait::eventually,
};
use serde_json::{Value, json};

const REDIRECT: &str = "https://app.example.com/callback";

async fn scene(prefix: &str) -> Result<Scene<'static, Registrar>> {
    let realm = shared::keycloak().await?.realm(prefix).await?;
    let registrar = Box::leak(Box::new(Registrar::new(realm).await?));
    Stage::shared().await?.scene_at(registrar, prefix, json!({})).await
}

/// The records of a scene's clients, in the operator's own namespace.
async fn records(scene: &Scene<'_, Registrar>) -> Result<Vec<Secret>> {
    Registrar::records(&scene.kube, &scene.app).await
}

/// Waits until the operator has looked at the provider anew.
async fn look_at_provider(scene: &Scene<'_, Registrar>, request: &str) -> Result<()> {
    scene.ask::<OIDCProvider>(Registrar::NAME, request).await?;
    eventually("the provider was looked at", SOON, async || {
        let provider = scene.api::<OIDCProvider>().get(Registrar::NAME).await?;
        let status = provider.status.context("status")?;
        ensure!(status.last_reconcile_request.as_deref() == Some(request));
        Ok(())
    })
    .await
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone()).ok()
}

/// The one client that the realm registered.
async fn the_client(scene: &Scene<'_, Registrar>) -> Result<Value> {
    let clients = scene.idp.realm.registered().await?;
    ensure!(clients.len() == 1, "{} clients", clients.len());
    clients.into_iter().next().context("none")
}

/// Registered, published, logged in with, changed, and deleted: each as the server shows it.
#[tokio::test]
async fn a_client_lives_from_registration_to_deletion() {
    case::run(async {
        let scene = scene("dcr").await?;
        let realm = &scene.idp.realm;
        scene
            .condition::<OIDCProvider>(Registrar::NAME, "AdminAPIReady", "True", "AdminAPIReady")
            .await?;
        let object = scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        let status = object.status.context("status")?;
        let id = status.client_id.context("no client ID")?;
        let client = the_client(&scene).await?;
        assert_eq!(client["clientId"], *id);
        assert_eq!(client["name"], "Shop");
        assert_eq!(client["redirectUris"], json!([REDIRECT]));
        assert_eq!(status.remote.context("remote")?.id, id);
        println!("what Keycloak altered: {:?}", status.registration);

        // The outputs have what the server gave, and nothing that manages it.
        let secret = scene.secret("shop-oidc").await?;
        assert_eq!(secret["client-id"], id);
        assert_eq!(realm.secret_of(&id).await?.as_ref(), Some(&secret["client-secret"]));
        let [record] = &records(&scene).await?[..] else {
            anyhow::bail!("not one record")
        };
        let token = text(record, "registration-access-token").context("no token")?;
        for (place, told) in scene.told(&Stage::shared().await?.operator).await? {
            ensure!(!told.contains(&token), "{place} tells the registration access token");
        }
        ensure!(
            secret.values().all(|value| !value.contains(&token)),
            "the output has the token"
        );
        let auth = ClientAuth::SecretBasic(secret["client-secret"].clone());
        realm.login(&id, auth, REDIRECT).run().await?;

        // Nothing changes: nothing is written, and nobody is asked.
        let mark = realm.mark().await?;
        let version = scene.api::<OIDCClient>().get("shop").await?.resource_version();
        look_at_provider(&scene, "1").await?;
        assert_eq!(scene.api::<OIDCClient>().get("shop").await?.resource_version(), version);
        let writes = realm
            .requests_since(mark)
            .await?
            .of_operator()
            .such(|request| request.method != "GET");
        assert_eq!(writes.kinds(), BTreeMap::new());

        // A change of the spec is a change there, with the same ID and secret.
        scene
            .client(
                "shop",
                json!({"displayName": "Shop", "redirectURIs": [REDIRECT, "https://app.example.com/second"]}),
            )
            .await?;
        scene.ready::<OIDCClient>("shop").await?;
        let changed = the_client(&scene).await?;
        assert_eq!(changed["clientId"], *id);
        let mut uris: Vec<&str> = changed["redirectUris"]
            .as_array()
            .context("list")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        uris.sort_unstable();
        assert_eq!(uris, [REDIRECT, "https://app.example.com/second"]);
        let after = scene.secret("shop-oidc").await?;
        assert_eq!(
            after["client-secret"], secret["client-secret"],
            "the secret is the same"
        );
        ensure!(
            secret_accepted(realm.ca_pem(), &realm.token_endpoint(), &id, &after["client-secret"]).await?,
            "it is refused"
        );
        let now = text(&records(&scene).await?[0], "registration-access-token").context("no token")?;
        println!("the token changed with the answer: {}", now != token);

        // A lost output comes back, with the same secret.
        scene.secrets().delete("shop-oidc", &DeleteParams::default()).await?;
        eventually("the Secret is back", SOON, async || {
            ensure!(scene.secret("shop-oidc").await?["client-secret"] == secret["client-secret"]);
            Ok(())
        })
        .await?;

        scene.delete::<OIDCClient>("shop").await?;
        assert_eq!(realm.registered().await?.len(), 0);
        assert_eq!(records(&scene).await?.len(), 0);
        Ok(())
    })
    .await;
}

/// Kept with its record, and taken back with it by another object of the same name, which then deletes it.
#[tokio::test]
async fn retained_and_taken_back() {
    case::run(async {
        let scene = scene("dcr-retain").await?;
        let first = scene.ready_client("shop", json!({"deletionPolicy": "Retain"})).await?;
        scene.delete::<OIDCClient>("shop").await?;
        assert_eq!(scene.idp.realm.registered().await?.len(), 1);
        assert_eq!(records(&scene).await?.len(), 1);
        let again = scene.ready_client("shop", json!({})).await?;
        assert_eq!(
            again.status.context("status")?.client_id,
            first.status.context("status")?.client_id
        );
        scene.delete::<OIDCClient>("shop").await?;
        assert_eq!(scene.idp.realm.registered().await?.len(), 0);
        assert_eq!(records(&scene).await?.len(), 0);
        Ok(())
    })
    .await;
}

/// A wrong initial access token is told and costs nothing; a good one mends it.
#[tokio::test]
async fn a_refused_initial_token_is_mended() {
    case::run(async {
        let scene = scene("dcr-token").await?;
        scene
            .apply(Registrar::token_secret(&scene.identity, "not-a-token"))
            .await?;
        look_at_provider(&scene, "1").await?;
        scene.client("shop", json!({})).await?;
        scene
            .condition::<OIDCClient>("shop", "Provisioned", "Unknown", "Unauthorized")
            .await?;
        assert_eq!(scene.idp.realm.registered().await?.len(), 0);
        assert_eq!(records(&scene).await?.len(), 0, "an attempt that was refused is none");
        let good = scene.idp.realm.initial_access_token(1).await?;
        scene.apply(Registrar::token_secret(&scene.identity, &good)).await?;
        scene.ready::<OIDCClient>("shop").await?;
        let status = scene.api::<OIDCClient>().get("shop").await?.status.context("status")?;
        ensure!(
            status
                .registration
                .is_none_or(|registration| registration.possible_orphans.is_empty()),
            "a refusal leaves nothing"
        );
        // It was good for one.
        scene.client("other", json!({})).await?;
        scene
            .condition::<OIDCClient>("other", "Provisioned", "Unknown", "Unauthorized")
            .await?;
        Ok(())
    })
    .await;
}

/// What the server's policies refuse is told in its own words.
#[tokio::test]
async fn a_policy_that_refuses_is_told() {
    case::run(async {
        let scene = scene("dcr-policy").await?;
        scene
            .client("shop", json!({"scopes": ["openid", "nobody-has-this-scope"]}))
            .await?;
        let message = scene
            .condition::<OIDCClient>("shop", "Accepted", "False", "RefusedByProvider")
            .await?;
        println!("Keycloak says: {message}");
        assert_eq!(scene.idp.realm.registered().await?.len(), 0);
        assert_eq!(records(&scene).await?.len(), 0);
        scene.client("shop", json!({})).await?;
        scene.ready::<OIDCClient>("shop").await?;
        Ok(())
    })
    .await;
}

/// Without its record the client works on; nobody changes it; its deletion ends, and tells.
#[tokio::test]
async fn a_lost_token_is_told_and_the_client_works_on() {
    case::run(async {
        let scene = scene("dcr-lost").await?;
        let id = scene
            .ready_client("shop", json!({}))
            .await?
            .status
            .context("status")?
            .client_id
            .context("id")?;
        let record = records(&scene).await?.pop().context("no record")?;
        let api: Api<Secret> = Api::namespaced(scene.kube.clone(), install::NAMESPACE);
        api.delete(&record.name_any(), &DeleteParams::default()).await?;
        scene.client("shop", json!({"displayName": "Too late"})).await?;
        scene
            .condition::<OIDCClient>("shop", "Provisioned", "Unknown", "ManagementTokenLost")
            .await?;
        ensure!(the_client(&scene).await?["name"] != "Too late", "it was changed");
        let secret = scene.secret("shop-oidc").await?;
        let realm = &scene.idp.realm;
        ensure!(secret_accepted(realm.ca_pem(), &realm.token_endpoint(), &id, &secret["client-secret"]).await?);
        scene.delete::<OIDCClient>("shop").await?;
        scene.event(&scene.app, "shop", "LeftBehind").await?;
        assert_eq!(the_client(&scene).await?["clientId"], *id);
        Ok(())
    })
    .await;
}
