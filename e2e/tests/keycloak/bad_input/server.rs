//! Keycloak itself: restarted, hung, or known by two addresses.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    dex::Dex,
    keycloak::{CA, Hostname, Keycloak, KeycloakOptions, Storage},
    proxy::{FaultProxy, Mode},
    scene::{SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::json;

use super::{Held, PROVIDER, not_ready, tells};
use crate::realm;

#[tokio::test]
async fn a_keycloak_that_is_restarted_while_clients_are_made() {
    const CLIENTS: usize = 20;
    const KILLED_AT: usize = 5;
    case::run(async {
        let keycloak = Keycloak::start(KeycloakOptions {
            name: "restarted-keycloak".to_owned(),
            storage: Storage::File,
            ..KeycloakOptions::default()
        })
        .await?;
        let realm = keycloak.realm("restarted").await?;
        let provider = json!({"spec": {"resyncInterval": "5s", "adminAPI": {"timeout": "5s"}}});
        let scene = Stage::shared().await?.scene_at(&realm, "restarted", provider).await?;
        scene.ready_client("old", json!({})).await?;
        let old = Held::of(&scene, "old").await?;
        let name = |number: usize| format!("c{number}");
        for number in 0..CLIENTS {
            scene.client(&name(number), json!({})).await?;
        }
        eventually("some clients are made", SOON, async || {
            let made = realm.client_ids().await?.len();
            ensure!(made > KILLED_AT, "{made}");
            Ok(())
        })
        .await?;
        keycloak.kill()?;
        // What was told to the application until now is true for good.
        let mut known = Vec::new();
        for number in 0..CLIENTS {
            known.push(scene.secret(&format!("{}-oidc", name(number))).await.ok());
        }
        let message = not_ready(&scene, "Unreachable").await?;
        tells(&message, &["refuses connections"])?;
        keycloak.start_again().await?;

        scene.ready::<OIDCProvider>(PROVIDER).await?;
        for (number, known) in known.into_iter().enumerate() {
            scene.ready::<OIDCClient>(&name(number)).await?;
            let held = Held::of(&scene, &name(number)).await?;
            held.works(&scene).await?;
            ensure!(known.is_none_or(|known| known == held.secret), "a secret was lost");
        }
        scene.ready::<OIDCClient>("old").await?;
        ensure!(Held::of(&scene, "old").await? == old, "something was lost");
        assert_eq!(realm.client_ids().await?.len(), CLIENTS + 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_public_issuer_and_an_internal_address() {
    const PUBLIC: &str = "https://sso.example.com";
    case::run(async {
        let keycloak = Keycloak::start(KeycloakOptions {
            name: "public-keycloak".to_owned(),
            hostname: Hostname::Public(PUBLIC.to_owned()),
            ..KeycloakOptions::default()
        })
        .await?;
        let realm = keycloak.realm("public").await?;
        let internal = format!("{}/realms/{}", realm.base_url(), realm.name());
        ensure!(realm.issuer().starts_with(PUBLIC));
        let provider = json!({"spec": {"issuer": {"internal": {
            "discoveryURL": format!("{internal}/.well-known/openid-configuration"),
            "certificateAuthority": {"name": CA},
        }}}});
        let scene = Stage::shared().await?.scene_at(&realm, "public", provider).await?;
        let status = scene
            .api::<OIDCProvider>()
            .get(PROVIDER)
            .await?
            .status
            .context("status")?;
        let issuer = status.issuer.context("issuer")?;
        assert_eq!(issuer.url, realm.issuer());
        ensure!(issuer.token_endpoint.starts_with(&internal), "{issuer:?}");
        ensure!(issuer.authorization_endpoint.starts_with(PUBLIC), "{issuer:?}");

        scene.ready_client("shop", json!({})).await?;
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "Verified")
            .await?;
        let held = Held::of(&scene, "shop").await?;
        held.works(&scene).await?;
        assert_eq!(held.secret["issuer-uri"], realm.issuer());
        assert_eq!(
            held.secret["token-uri"],
            format!("{internal}/protocol/openid-connect/token")
        );
        ensure!(
            held.secret["authorization-uri"].starts_with(PUBLIC),
            "{:?}",
            held.secret["authorization-uri"]
        );
        Ok(())
    })
    .await;
}

/// Twenty OIDCClients at once at Dex: how long each takes, sorted.
async fn times_at_dex(scene: &Scene<'_, Dex>, prefix: &str) -> Result<Vec<Duration>> {
    let one = async |number: usize| {
        let start = Instant::now();
        scene.ready_client(&format!("{prefix}-{number}"), json!({})).await?;
        anyhow::Ok(start.elapsed())
    };
    let mut times = try_join_all((0..20).map(one)).await?;
    times.sort();
    Ok(times)
}

#[tokio::test]
async fn a_keycloak_that_hangs_keeps_only_its_own_clients_waiting() {
    const DEADLINE: Duration = Duration::from_secs(30);
    case::run(async {
        let stage = Stage::shared().await?;
        let realm = realm().await?;
        let dex = stage.scene("beside").await?;
        let usual = times_at_dex(&dex, "before").await?;

        let address = realm.base_url().trim_start_matches("https://").parse()?;
        let proxy = FaultProxy::start(address)?;
        let provider = json!({"spec": {
            "keycloak": {"adminURL": format!("https://{}", proxy.address())},
            "adminAPI": {"timeout": "30s"},
            "resyncInterval": "5s",
        }});
        let scene = stage.scene_at(realm, "hangs", provider).await?;
        proxy.set(Mode::Hang);
        // More than the operator works on at once (`--concurrency`, 16).
        for number in 0..20 {
            scene.client(&format!("waits-{number}"), json!({})).await?;
        }
        let meanwhile = times_at_dex(&dex, "meanwhile").await?;
        // The 99th percentile of twenty is the slowest.
        let slowest = |times: &[Duration]| times.last().copied().unwrap_or_default();
        let middle = |times: &[Duration]| times[times.len() / 2];
        println!(
            "20 OIDCClients at Dex, median and p99: {:?} and {:?}; beside a Keycloak that hangs {:?} and {:?}",
            middle(&usual),
            slowest(&usual),
            middle(&meanwhile),
            slowest(&meanwhile)
        );
        ensure!(
            slowest(&meanwhile) < DEADLINE.min(slowest(&usual).max(Duration::from_secs(2)) * 5),
            "usually {usual:?}, meanwhile {meanwhile:?}"
        );
        let message = not_ready(&scene, "Timeout").await?;
        tells(&message, &["did not answer within 30 s"])?;

        proxy.set(Mode::Pass);
        for number in 0..20 {
            scene.ready::<OIDCClient>(&format!("waits-{number}")).await?;
        }
        Ok(())
    })
    .await;
}
