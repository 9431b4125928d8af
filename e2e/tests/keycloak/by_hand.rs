//! `type: Static`: a realm whose clients an administrator makes by hand.

use anyhow::{Context as _, Result, ensure};
use kube::api::DeleteParams;
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    install::ca_config_map,
    keycloak::{CA, Realm},
    scene::{Idp, SOON, Scene, Stage},
    shared,
    wait::eventually,
};
use serde_json::{Value, json};

const CLIENT_ID: &str = "0oabc123def456";
const ONCE: &str = "made-by-hand-once";
const AGAIN: &str = "made-by-hand-again";

/// A realm, as an OIDCProvider describes it that knows nothing of its admin API.
struct ByHand(Realm);

impl Idp for ByHand {
    const NAME: &'static str = "by-hand";

    fn references(&self, namespace: &str) -> Vec<Value> {
        vec![ca_config_map(namespace, CA, self.0.ca_pem())]
    }

    fn provider(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": Self::NAME, "namespace": namespace},
            "spec": {
                "type": "Static",
                "issuer": {"issuerURL": self.0.issuer(), "issuerCertificateAuthority": {"name": CA}},
                "clients": {"allowedNamespaces": {"from": "All"}},
            },
        })
    }
}

/// A scene of its own, with a client that the realm's administrator made.
async fn scene(prefix: &str, provider: impl FnOnce(&Realm) -> Value) -> Result<Scene<'static, ByHand>> {
    let realm = shared::keycloak().await?.realm(prefix).await?;
    let client = json!({
        "clientId": CLIENT_ID,
        "secret": ONCE,
        "publicClient": false,
        "standardFlowEnabled": true,
        "redirectUris": ["https://app.example.com/callback"],
    });
    realm.create_client(&client).await?;
    let patch = provider(&realm);
    let realm = Box::leak(Box::new(ByHand(realm)));
    Stage::shared().await?.scene_at(realm, prefix, patch).await
}

fn spec() -> Value {
    json!({"clientID": CLIENT_ID, "credentials": {"existingSecretRef": {"name": "by-hand"}}})
}

async fn verified(scene: &Scene<'_, ByHand>, status: &str, reason: &str) -> Result<String> {
    scene
        .condition::<OIDCClient>("shop", "CredentialsVerified", status, reason)
        .await
}

/// Credentials come in, outputs go out and are tried; there, nothing is changed, whatever happens here.
#[tokio::test]
async fn credentials_come_in_and_outputs_go_out() {
    case::run(async {
        let scene = scene("by-hand", |_| json!({})).await?;
        let realm = &scene.idp.0;
        let made = realm.client(CLIENT_ID).await?.context("no client")?;
        scene
            .condition::<OIDCProvider>(ByHand::NAME, "AdminAPIReady", "True", "NoAdminAPI")
            .await?;

        // What it lacks is told.
        for (name, lacking, told) in [
            ("nameless", json!({"clientID": null}), "spec.clientID"),
            ("secretless", json!({"credentials": null}), "existingSecretRef"),
        ] {
            let mut spec = spec();
            oidc_operator_e2e::scene::merge(&mut spec, &lacking);
            scene.client(name, spec).await?;
            let message = scene
                .condition::<OIDCClient>(name, "Accepted", "False", "UnsupportedByProvider")
                .await?;
            ensure!(message.contains(told), "{message}");
        }

        scene.users_secret("clientSecret", ONCE).await?;
        scene.ready_client("shop", spec()).await?;
        verified(&scene, "True", "Verified").await?;
        scene
            .condition::<OIDCClient>("shop", "Provisioned", "True", "MadeByHand")
            .await?;
        let secret = scene.secret("shop-oidc").await?;
        assert_eq!(
            (&*secret["client-id"], &*secret["client-secret"], &*secret["provider"]),
            (CLIENT_ID, ONCE, "static")
        );
        let status = scene.api::<OIDCClient>().get("shop").await?.status.context("status")?;
        ensure!(
            status.remote.is_none(),
            "nothing there is the operator's: {:?}",
            status.remote
        );

        // A secret that it does not have there: told, and not written over the one that works.
        scene.users_secret("clientSecret", "not-what-it-has-there").await?;
        verified(&scene, "False", "CredentialsRefused").await?;
        assert_eq!(scene.secret("shop-oidc").await?["client-secret"], ONCE);
        ensure!(
            realm.client(CLIENT_ID).await?.as_ref() == Some(&made),
            "it was changed there"
        );

        // It has another one there.
        realm.update_client(CLIENT_ID, &json!({"secret": AGAIN})).await?;
        scene.users_secret("clientSecret", AGAIN).await?;
        eventually("the new secret", SOON, async || {
            ensure!(scene.secret("shop-oidc").await?["client-secret"] == AGAIN);
            Ok(())
        })
        .await?;
        verified(&scene, "True", "Verified").await?;
        let now = realm.client(CLIENT_ID).await?.context("no client")?;

        // The end comes at once, and nothing goes there; a provider waits for nobody.
        scene.delete::<OIDCClient>("shop").await?;
        scene.ready_client("shop", spec()).await?;
        scene.delete::<OIDCProvider>(ByHand::NAME).await?;
        scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotFound")
            .await?;
        ensure!(realm.client(CLIENT_ID).await? == Some(now), "it was changed there");
        Ok(())
    })
    .await;
}

/// No discovery document is read; a right secret cannot be told from one, a wrong one can.
#[tokio::test]
async fn endpoints_by_hand() {
    case::run(async {
        let scene = scene("given", |realm| {
            let endpoint = |path: &str| format!("{}/protocol/openid-connect/{path}", realm.issuer());
            json!({"spec": {"issuer": {
                "issuerURL": "https://login.example.com",
                "endpoints": {
                    "authorization": endpoint("auth"),
                    "token": endpoint("token"),
                    "userinfo": endpoint("userinfo"),
                    "jwks": endpoint("certs"),
                },
            }}})
        })
        .await?;
        let realm = &scene.idp.0;
        let mark = realm.mark().await?;
        scene
            .condition::<OIDCProvider>(ByHand::NAME, "DiscoveryValid", "True", "EndpointsGiven")
            .await?;
        scene.ask::<OIDCProvider>(ByHand::NAME, "now").await?;

        scene.users_secret("clientSecret", ONCE).await?;
        scene.ready_client("shop", spec()).await?;
        let message = verified(&scene, "Unknown", "ProofUnavailable").await?;
        ensure!(message.contains("Log in to see"), "{message}");
        let map = scene.config_maps().get("shop-oidc").await?.data.unwrap_or_default();
        ensure!(!map.contains_key("discovery-url"), "{map:?}");
        assert_eq!(map["issuer-uri"], "https://login.example.com");
        assert_eq!(map["token-uri"], realm.token_endpoint());
        ensure!(!map.contains_key("end-session-uri"), "{map:?}");

        scene.users_secret("clientSecret", "not-what-it-has-there").await?;
        verified(&scene, "False", "CredentialsRefused").await?;

        let read = realm.requests_since(mark).await?;
        let read = read.such(|request| request.path.contains("well-known") || request.path.ends_with("/certs"));
        ensure!(read.is_empty(), "{read:?}");
        scene
            .api::<OIDCClient>()
            .delete("shop", &DeleteParams::default())
            .await?;
        scene.gone::<OIDCClient>("shop").await
    })
    .await;
}
