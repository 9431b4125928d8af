//! No secret and no token is told to anybody but the Secret and Keycloak. A stage of its own, whose operator logs all that it can.

use std::time::Duration;

use anyhow::ensure;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    keycloak::{ADMIN, admin_secret},
    scene::Stage,
    shared,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::held::{Held, becomes, shown};

#[tokio::test]
async fn no_secret_is_told() {
    case::run(async {
        let stage = Stage::start("secrecy", &["--log", "trace,hyper=debug,h2=debug,rustls=debug"]).await?;
        let realm = shared::keycloak().await?.realm("secrecy").await?;
        let scene = stage
            .scene_at(&realm, "secrecy", json!({"spec": {"resyncInterval": "5s"}}))
            .await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let id = held.client_id().to_owned();
        let mut secrets = vec![held.client_secret().to_owned(), realm.operator().secret.clone()];

        // Somebody sets a secret in Keycloak: it is found, and put back.
        secrets.push(realm.regenerate_secret(&id).await?);
        becomes(&scene, "shop", "our secret", |now| {
            now.shown["secret"] == held.client_secret()
        })
        .await?;
        // A client that somebody else holds.
        let foreign = json!({"clientId": "foreign", "secret": "secret-of-a-foreign-client", "publicClient": false});
        secrets.push("secret-of-a-foreign-client".to_owned());
        realm.create_client(&foreign).await?;
        scene.client("foreign", json!({"clientID": "foreign"})).await?;
        scene
            .condition::<OIDCClient>("foreign", "Accepted", "False", "ClientIDTaken")
            .await?;
        // Writes that Keycloak refuses, in which a secret was sent.
        realm.set_read_only_policy().await?;
        scene.client("refused", json!({})).await?;
        let message = scene
            .condition::<OIDCClient>("refused", "Accepted", "False", "RefusedByProvider")
            .await?;
        ensure!(message.contains("Keycloak refuses it"), "{message}");
        secrets.push(
            realm
                .regenerate_secret(&id)
                .await
                .unwrap_or_else(|_| held.client_secret().to_owned()),
        );
        realm.clear_policies().await?;
        becomes(&scene, "shop", "our secret", |now| {
            now.shown["secret"] == held.client_secret()
        })
        .await?;
        scene.delete::<OIDCClient>("refused").await?;
        ensure!(shown(&scene, "foreign").await?["secret"] == secrets[3]);

        // The admin's credentials become wrong, then a user's, then right again.
        let mut wrong = realm.operator().clone();
        wrong.secret = "a-wrong-admin-secret".to_owned();
        secrets.push(wrong.secret.clone());
        scene.apply(admin_secret(&scene.identity, &wrong)).await?;
        scene
            .condition::<OIDCProvider>("keycloak", "AdminAPIReady", "False", "Unauthorized")
            .await?;
        let (username, password) = realm.admin().credentials();
        secrets.push(password.to_owned());
        let mut by_password = admin_secret(&scene.identity, &wrong);
        by_password["stringData"] = json!({"username": username, "password": password});
        scene.apply(by_password).await?;
        scene
            .provider(json!({"spec": {"resyncInterval": "5s", "keycloak": {
                "authRealm": "master",
                "credentials": {"type": "Password", "clientCredentials": null, "password": {
                    "usernameSecretRef": {"name": ADMIN, "key": "username"},
                    "passwordSecretRef": {"name": ADMIN, "key": "password"},
                }},
            }}}))
            .await?;
        scene.ready::<OIDCProvider>("keycloak").await?;
        scene.references().await?;
        scene.provider(json!({})).await?;
        scene.ready::<OIDCProvider>("keycloak").await?;
        scene.ready::<OIDCClient>("shop").await?;

        let told = scene.told(&stage.operator).await?;
        for place in ["log", "metrics", "Event", "OIDCClient", "OIDCProvider", "ConfigMap"] {
            ensure!(told.iter().any(|(found, _)| found == place), "no {place} was looked at");
        }
        ensure!(told[0].1.contains("\"level\":\"DEBUG\""), "the log tells too little");
        for secret in &secrets {
            ensure!(
                secret.len() > 8,
                "a secret of {} characters may stand anywhere",
                secret.len()
            );
            let digest = Sha256::digest(secret.as_bytes());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            for form in [secret.clone(), STANDARD.encode(secret), hex, STANDARD.encode(digest)] {
                for (place, text) in &told {
                    // Not the whole text: it would tell the secret once more.
                    ensure!(!text.contains(&form), "a secret stands in a {place}");
                }
            }
        }
        // A JWT begins with `{"`, and so do Keycloak's tokens. The API server's own are none of its business, but also secret.
        for (place, text) in &told {
            ensure!(!text.contains("eyJ"), "a token stands in a {place}");
        }
        let took = stage.operator.terminate(Duration::from_secs(10)).await?;
        ensure!(stage.operator.process().exit_code() == Some(0), "after {took:?}");
        Ok(())
    })
    .await;
}
