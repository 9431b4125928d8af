//! An admin API that is slow, refuses, or whose answers are lost.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    dex::Dex,
    http_proxy::{Fault, HttpProxy},
    keycloak::{Realm, Request},
    scene::{Idp as _, SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::json;

use super::{Held, PROVIDER, not_ready, own_realm, proxy_before, scene_behind, stays, tells};
use crate::realm;

/// A page of the list of all clients.
const PAGE: &str = "GET /admin/clients?first&max";

fn is(kind: &'static str) -> impl Fn(&Request) -> bool + Send + Sync {
    move |request| request.kind() == kind
}

async fn hit(proxy: &HttpProxy, times: usize) -> Result<()> {
    eventually(format!("{times} requests met the fault"), SOON, async || {
        let hits = proxy.hits();
        ensure!(hits >= times, "{hits} did");
        Ok(())
    })
    .await
}

/// There is one client of this scene in the realm, and its secret is good.
async fn one_client(scene: &Scene<'_, Realm>, name: &str) -> Result<()> {
    let ids = scene.idp.client_ids().await?;
    let ours: Vec<_> = ids.iter().filter(|id| id.starts_with(&scene.app)).collect();
    ensure!(ours == [&scene.client_id(name)], "{ours:?}");
    Held::of(scene, name).await?.works(scene).await
}

/// The admin API is up, but nobody gets a token.
async fn no_tokens(prefix: &'static str, fault: Fault, reason: &str, parts: &[&str]) {
    case::run(async {
        let realm = own_realm(prefix).await?;
        realm.update(&json!({"accessTokenLifespan": 5})).await?;
        let proxy = proxy_before(&realm)?;
        let scene = scene_behind(&realm, &proxy, prefix, json!({})).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;

        proxy.fault(is("POST /protocol/openid-connect/token"), fault);
        let message = not_ready(&scene, reason).await?;
        tells(&message, parts)?;
        tells(&message, &["token request"])?;
        scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "True", "DiscoveryValid")
            .await?;
        stays(&scene, "shop", &held).await?;

        proxy.pass();
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready::<OIDCClient>("shop").await?;
        ensure!(Held::of(&scene, "shop").await? == held, "something was lost");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_token_endpoint_that_fails() {
    no_tokens("no-tokens", Fault::Status(503, None), "ServerError", &["503"]).await;
}

#[tokio::test]
async fn a_token_endpoint_that_hangs_up() {
    no_tokens("hangs-up", Fault::Cut, "Unreachable", &["closed the connection"]).await;
}

/// How long an OIDCClient takes at Dex.
async fn time_at_dex(scene: &Scene<'_, Dex>, name: &str) -> Result<Duration> {
    let start = Instant::now();
    scene.ready_client(name, json!({})).await?;
    Ok(start.elapsed())
}

#[tokio::test]
async fn a_page_of_the_list_that_takes_twenty_seconds() {
    const SLOW: Duration = Duration::from_secs(20);
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = stage.scene("slow-page-dex").await?;
        let usual = time_at_dex(&dex, "before").await?;
        let realm = realm().await?;
        let proxy = proxy_before(realm)?;
        proxy.fault(is(PAGE), Fault::Delay(SLOW));

        // Thirty seconds are the deadline unless the spec says otherwise.
        let start = Instant::now();
        let unset = json!({"spec": {"resyncInterval": "10m"}});
        let scene = scene_behind(realm, &proxy, "slow-page", unset).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        ensure!(
            start.elapsed() >= SLOW,
            "the list was not waited for: {:?}",
            start.elapsed()
        );
        scene.ready_client("shop", json!({})).await?;

        let hasty = json!({"spec": {
            "keycloak": {"adminURL": proxy.url(), "certificateAuthority": {"name": super::PROXY_CA}},
            "adminAPI": {"timeout": "3s"},
        }});
        scene.provider(hasty).await?;
        hit(&proxy, 2).await?;
        let meanwhile = time_at_dex(&dex, "meanwhile").await?;
        let message = not_ready(&scene, "Timeout").await?;
        tells(&message, &["GET clients", "did not answer within 3 s"])?;
        let patience = usual.max(Duration::from_secs(2)) * 5;
        ensure!(meanwhile < patience, "usually {usual:?}, meanwhile {meanwhile:?}");

        proxy.pass();
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready::<OIDCClient>("shop").await?;
        Ok(())
    })
    .await;
}

/// A server that asks to be left alone is: by all clients of this provider, and by nobody else's.
async fn left_alone(prefix: &'static str, status: u16) {
    const PAUSE: u64 = 12;
    case::run(async {
        let stage = Stage::shared().await?;
        let realm = realm().await?;
        let proxy = proxy_before(realm)?;
        // One at a time: none is under way when the server asks for its pause.
        let limits = json!({"spec": {"adminAPI": {"maxInFlight": 1}, "resyncInterval": "5s"}});
        let scene = scene_behind(realm, &proxy, prefix, limits).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready_client("old", json!({})).await?;

        proxy.fault(is("POST /admin/clients"), Fault::Status(status, Some(PAUSE)));
        scene.client("new", json!({})).await?;
        hit(&proxy, 1).await?;
        proxy.pass();
        // Work enough for those who do not listen.
        scene
            .patch::<OIDCClient>("old", json!({"spec": {"displayName": "Old"}}))
            .await?;
        scene.client("other", json!({})).await?;
        scene.ask::<OIDCProvider>(PROVIDER, "now").await?;
        let dex = stage.scene(prefix).await?;
        time_at_dex(&dex, "elsewhere").await?;

        for name in ["new", "old", "other"] {
            scene.ready::<OIDCClient>(name).await?;
        }
        let arrivals = proxy.arrivals();
        let asked = arrivals.iter().position(|arrival| arrival.fault.is_some());
        let [asked, next, ..] = &arrivals[asked.unwrap_or_default()..] else {
            anyhow::bail!("nothing came after the pause")
        };
        let pause = next.at.duration_since(asked.at);
        ensure!(
            pause >= Duration::from_secs(PAUSE),
            "{} came after {pause:?}",
            next.request.kind()
        );
        ensure!(proxy.hits() == 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_asks_to_slow_down() {
    left_alone("throttled", 429).await;
}

#[tokio::test]
async fn a_server_that_asks_to_come_back_later() {
    left_alone("unavailable", 503).await;
}

#[tokio::test]
async fn a_client_that_is_deleted_between_look_and_change() {
    case::run(async {
        let realm = realm().await?;
        let proxy = proxy_before(realm)?;
        let scene = scene_behind(realm, &proxy, "between", json!({})).await?;
        scene.ready_client("shop", json!({})).await?;
        let before = Held::of(&scene, "shop").await?;

        proxy.fault(is("PUT /admin/clients/{id}"), Fault::Hold);
        scene
            .patch::<OIDCClient>("shop", json!({"spec": {"displayName": "Shop"}}))
            .await?;
        hit(&proxy, 1).await?;
        ensure!(realm.delete_client(&scene.client_id("shop")).await?, "it was not there");
        proxy.pass();
        let note = scene.event(&scene.app, "shop", "Restored").await?;
        tells(&note, &[&scene.client_id("shop"), "was gone"])?;
        scene.ready::<OIDCClient>("shop").await?;
        let after = Held::of(&scene, "shop").await?;
        ensure!(after.secret["client-secret"] == before.secret["client-secret"]);
        ensure!(
            after.in_keycloak["id"] == before.in_keycloak["id"],
            "it has another UUID"
        );
        assert_eq!(after.in_keycloak["name"], "Shop");
        one_client(&scene, "shop").await
    })
    .await;
}

#[tokio::test]
async fn answers_that_are_lost() {
    case::run(async {
        let realm = realm().await?;
        let proxy = proxy_before(realm)?;
        let scene = scene_behind(realm, &proxy, "lost", json!({})).await?;
        scene.ready::<OIDCProvider>(Realm::NAME).await?;
        for (kind, change) in [
            ("POST /admin/clients", json!({})),
            ("PUT /admin/clients/{id}", json!({"displayName": "Shop"})),
            (
                "POST /admin/clients/{id}/protocol-mappers/models",
                json!({"displayName": "Shop", "claims": [{"name": "roles-here", "type": "RealmRoles"}]}),
            ),
            (
                "PUT /admin/clients/{id}/optional-client-scopes/{id}",
                json!({"displayName": "Shop", "optionalScopes": ["phone"]}),
            ),
        ] {
            let before = proxy.hits();
            proxy.fault(is(kind), Fault::LoseAnswer);
            scene.client("shop", change).await?;
            hit(&proxy, before + 1).await?;
            proxy.pass();
            scene.ready::<OIDCClient>("shop").await?;
            one_client(&scene, "shop").await?;
        }
        let names = |list: &serde_json::Value| list.as_array().map(Vec::len);
        let client = Held::of(&scene, "shop").await?.in_keycloak;
        assert_eq!(client["name"], "Shop");
        assert_eq!(
            names(&client["protocolMappers"]),
            Some(1),
            "the claim is gone, the audience stays"
        );
        assert_eq!(client["optionalClientScopes"], json!(["phone"]));
        proxy.fault(is("DELETE /admin/clients/{id}"), Fault::LoseAnswer);
        let deleted = scene.delete::<OIDCClient>("shop");
        let release = async {
            hit(&proxy, 5).await?;
            proxy.pass();
            Ok(())
        };
        tokio::try_join!(deleted, release)?;
        ensure!(realm.client(&scene.client_id("shop")).await?.is_none());
        Ok(())
    })
    .await;
}
