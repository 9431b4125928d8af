//! What Keycloak refuses of a client, or would if it were asked.

use std::time::Duration;

use anyhow::{Result, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    keycloak::Realm,
    scene::{Scene, Stage},
    wait::steadily,
};
use serde_json::{Value, json};

use super::{Held, nothing_stands, own_realm, stays, tells};
use crate::scene;

/// Waits until the client is not accepted for `reason`; gives the message.
async fn refused(scene: &Scene<'_, Realm>, name: &str, reason: &str) -> Result<String> {
    scene.condition::<OIDCClient>(name, "Accepted", "False", reason).await
}

#[tokio::test]
async fn a_client_scope_that_the_realm_does_not_have() {
    case::run(async {
        let scene = scene("scope").await?;
        let scope = format!("billing-{}", scene.app);
        scene
            .client("shop", json!({"scopes": ["openid", "profile", scope]}))
            .await?;
        let message = refused(&scene, "shop", "UnsupportedByProvider").await?;
        tells(&message, &["spec.scopes", &scope, "make it there"])?;
        nothing_stands(&scene, "shop").await?;

        scene.idp.create_scope(&scope).await?;
        scene.ready::<OIDCClient>("shop").await?;
        let client = Held::of(&scene, "shop").await?.in_keycloak;
        let assigned = client["defaultClientScopes"].as_array().cloned().unwrap_or_default();
        ensure!(assigned.contains(&json!(scope)), "{assigned:?}");
        // One that goes again: the client is left as it is, and says so.
        scene.idp.delete_scope(&scope).await?;
        let message = refused(&scene, "shop", "UnsupportedByProvider").await?;
        tells(&message, &[&scope])
    })
    .await;
}

/// A realm whose administrators let nobody write what the policy forbids.
async fn guarded(prefix: &'static str) -> Result<(Scene<'static, Realm>, &'static Realm)> {
    let realm: &'static Realm = Box::leak(Box::new(own_realm(prefix).await?));
    let often = json!({"spec": {"resyncInterval": "5s"}});
    let scene = Stage::shared().await?.scene_at(realm, prefix, often).await?;
    Ok((scene, realm))
}

/// Nothing is tried again and again while nothing changes.
async fn writes_stay_below(realm: &Realm, most: usize, act: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let mark = realm.mark().await?;
    act().await?;
    steadily("hardly anything is written", Duration::from_secs(12), async || {
        let writes = realm.requests_since(mark).await?.of_operator().admin_writes();
        ensure!(writes.len() <= most, "{:?}", writes.kinds());
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_policy_that_refuses_a_new_client() {
    case::run(async {
        let (scene, realm) = guarded("https-policy").await?;
        realm.set_https_policy().await?;
        // Once; a second time where a pass began before the refusal had reached the operator's own view of the status.
        writes_stay_below(realm, 2, async || {
            let local = json!({"redirectURIs": ["http://localhost/callback"]});
            scene.client("shop", local).await?;
            let message = refused(&scene, "shop", "RefusedByProvider").await?;
            tells(&message, &["Keycloak refuses it (400)", "invalid_client_metadata"])?;
            nothing_stands(&scene, "shop").await
        })
        .await?;
        nothing_stands(&scene, "shop").await?;

        // Since 26.6 this policy does not let a client send users nowhere after logout, either; before, none without an
        // address for logout notices.
        let secure = json!({
            "redirectURIs": ["https://localhost/callback"],
            "postLogoutRedirectURIs": ["https://localhost/bye"],
            "logout": {"type": "BackChannel", "uri": "https://localhost/logout"},
        });
        scene.ready_client("shop", secure).await?;
        Held::of(&scene, "shop").await?.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_refuses_every_change() {
    case::run(async {
        let (scene, realm) = guarded("read-only-policy").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        realm.set_read_only_policy().await?;
        writes_stay_below(realm, 1, async || {
            scene.client("shop", json!({"displayName": "Shop"})).await?;
            let message = refused(&scene, "shop", "RefusedByProvider").await?;
            tells(&message, &["Keycloak refuses it (400)", "invalid_request"])
        })
        .await?;
        stays(&scene, "shop", &held).await?;

        // Nothing tells the operator that the policy is gone.
        realm.clear_policies().await?;
        scene.ask::<OIDCClient>("shop", "the policy is gone").await?;
        scene.ready::<OIDCClient>("shop").await?;
        let now = Held::of(&scene, "shop").await?;
        assert_eq!(now.in_keycloak["name"], "Shop");
        assert_eq!(now.secret, held.secret);

        // What cannot be changed can still be deleted.
        realm.set_read_only_policy().await?;
        scene.delete::<OIDCClient>("shop").await?;
        nothing_in_keycloak(&scene, "shop").await
    })
    .await;
}

async fn nothing_in_keycloak(scene: &Scene<'_, Realm>, name: &str) -> Result<()> {
    let client = scene.idp.client(&scene.client_id(name)).await?;
    ensure!(client.is_none(), "{client:?}");
    Ok(())
}

#[tokio::test]
async fn texts_that_are_longer_than_columns() {
    case::run(async {
        let scene = scene("long").await?;
        let long = "ü".repeat(256);
        let uri = format!("https://app.example.com/{}", "x".repeat(240));
        for (name, spec, told) in [
            ("name", json!({"displayName": long}), "spec.displayName"),
            ("home", json!({"homepageURI": uri}), "spec.homepageURI"),
            ("redirect", json!({"redirectURIs": [uri]}), "spec.redirectURIs"),
        ] {
            scene.client(name, spec).await?;
            let message = refused(&scene, name, "UnsupportedByProvider").await?;
            tells(&message, &[told, "at most 255 characters"])?;
            nothing_stands(&scene, name).await?;
        }
        Ok(())
    })
    .await;
}

/// As long as the OIDCClient may be: each of these is kept as it is.
#[tokio::test]
async fn texts_that_are_as_long_as_they_may_be() {
    case::run(async {
        let scene = scene("longest").await?;
        let text = "ü".repeat(255);
        let uri = |number: usize, length: usize| {
            let start = format!("https://app.example.com/{number:02}/");
            format!("{start}{}", "x".repeat(length - start.len()))
        };
        let many = |length| (0..32).map(|number| uri(number, length)).collect::<Vec<_>>();
        let claims: Vec<Value> = (0..32)
            .map(|number| {
                let name = format!("{number:02}{}", "c".repeat(126));
                json!({"name": name, "type": "Constant", "constant": {"value": "ü".repeat(1024)}})
            })
            .collect();
        let spec = json!({
            "displayName": text,
            "description": text,
            "homepageURI": uri(0, 255),
            "logoURI": uri(0, 2048),
            "redirectURIs": many(255),
            "postLogoutRedirectURIs": many(1024),
            "logout": {"type": "BackChannel", "uri": uri(0, 1024)},
            "claims": claims,
        });
        scene.ready_client("shop", spec).await?;
        let held = Held::of(&scene, "shop").await?;
        held.works(&scene).await?;
        assert_eq!(held.in_keycloak["name"], text.as_str());
        assert_eq!(held.in_keycloak["protocolMappers"].as_array().map(Vec::len), Some(33));
        stays(&scene, "shop", &held).await?;
        scene.ready_client("shop", json!({})).await?;
        Ok(())
    })
    .await;
}
