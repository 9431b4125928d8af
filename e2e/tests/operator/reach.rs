//! An issuer or an admin API that is not what the OIDCProvider says, or not there.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions},
    proxy::{FaultProxy, Mode},
    scene::{PROVIDER, Scene, Stage},
};
use serde_json::{Value, json};

use crate::held::{Held, stays, tells};

/// An OIDCProvider that reaches its admin API through `proxy` and gives up on a call after a second.
fn through(proxy: &FaultProxy) -> Value {
    json!({"spec": {
        "dex": {"grpc": {"address": proxy.address().to_string()}},
        "adminAPI": {"timeout": "1s"},
        "resyncInterval": "5s",
    }})
}

/// Plays a fault of the admin API: told with `reason` and `parts`; nothing changes meanwhile; well again by itself after it.
async fn fault(prefix: &str, mode: Mode, reason: &str, parts: &[&str]) {
    case::run(async {
        let stage = Stage::shared().await?;
        let proxy = FaultProxy::start(stage.dex.grpc_address())?;
        let scene = stage.scene_at(&stage.dex, prefix, through(&proxy)).await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;

        proxy.set(mode);
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", reason)
            .await?;
        tells(&message, parts)?;
        tells(&message, &[&proxy.address().to_string()])?;
        scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "True", "DiscoveryValid")
            .await?;
        scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotReady")
            .await?;
        stays(&scene, "shop", &held).await?;

        proxy.set(Mode::Pass);
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready::<OIDCClient>("shop").await?;
        ensure!(Held::of(&scene, "shop").await? == held, "something was lost");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_dex() {
    fault(
        "unreachable",
        Mode::Refuse,
        "Unreachable",
        &["closed the connection", "right port"],
    )
    .await;
}

#[tokio::test]
async fn a_dex_that_does_not_answer() {
    fault("silent", Mode::Hang, "Timeout", &["did not answer"]).await;
}

#[tokio::test]
async fn something_that_speaks_no_tls() {
    fault("garbage", Mode::Garbage, "TLSFailed", &["does not speak TLS"]).await;
}

#[tokio::test]
async fn a_dex_that_is_stopped_and_started() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage
            .scene_at(&dex, "stopped", json!({"spec": {"resyncInterval": "5s"}}))
            .await?;
        scene.ready_client("shop", json!({})).await?;
        let before = Held::of(&scene, "shop").await?;
        dex.kill();
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "Unreachable")
            .await?;
        tells(&message, &["refuses connections: is it running"])?;
        scene.client("late", json!({})).await?;
        scene
            .condition::<OIDCClient>("late", "ProviderResolved", "False", "ProviderNotReady")
            .await?;
        dex.start_again().await?;
        scene.ready::<OIDCClient>("late").await?;
        scene.ready::<OIDCClient>("shop").await?;
        ensure!(Held::of(&scene, "shop").await? == before, "something was lost");
        Ok(())
    })
    .await;
}

/// How long an OIDCClient of `provider` takes until it is ready.
async fn time_to_ready(scene: &Scene<'_>, name: &str, provider: &str) -> Result<Duration> {
    let start = Instant::now();
    scene
        .ready_client(name, json!({"providerRef": {"name": provider}}))
        .await?;
    Ok(start.elapsed())
}

#[tokio::test]
async fn a_provider_that_hangs_keeps_only_its_own_clients_waiting() {
    case::run(async {
        let stage = Stage::shared().await?;
        let proxy = FaultProxy::start(stage.dex.grpc_address())?;
        let scene = stage.scene_at(&stage.dex, "hang", through(&proxy)).await?;
        scene.provider(json!({"metadata": {"name": "direct"}})).await?;
        scene.ready::<OIDCProvider>("direct").await?;
        let usual = time_to_ready(&scene, "before", "direct").await?;

        proxy.set(Mode::Hang);
        // More than the operator works on at once (`--concurrency`, 16).
        for number in 0..20 {
            scene.client(&format!("waits-{number}"), json!({})).await?;
        }
        let meanwhile = time_to_ready(&scene, "meanwhile", "direct").await?;
        let patience = usual.max(Duration::from_secs(1)) * 5;
        ensure!(meanwhile < patience, "usually {usual:?}, meanwhile {meanwhile:?}");
        scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "Timeout")
            .await?;

        proxy.set(Mode::Pass);
        for number in 0..20 {
            scene.ready::<OIDCClient>(&format!("waits-{number}")).await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_issuer_with_a_slash_too_many() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("slash").await?;
        let wrong = format!("{}/", stage.dex.issuer());
        scene
            .provider(json!({"spec": {"issuer": {"issuerURL": wrong}}}))
            .await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "IssuerMismatch")
            .await?;
        tells(&message, &[stage.dex.issuer(), "differ in the trailing slash"])?;
        scene
            .condition::<OIDCProvider>(PROVIDER, "Ready", "False", "IssuerMismatch")
            .await?;
        let refused = scene.provider(json!({})).await.unwrap_err();
        tells(
            &format!("{refused:#}"),
            &["issuer.issuerURL is immutable: make a new OIDCProvider"],
        )?;

        scene.provider(json!({"metadata": {"name": "right"}})).await?;
        scene.ready::<OIDCProvider>("right").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_path_without_a_discovery_document() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("no-document").await?;
        let wrong = format!("{}/realms/shop", stage.dex.issuer());
        scene
            .provider(json!({"spec": {"issuer": {"issuerURL": wrong}}}))
            .await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "UnexpectedAnswer")
            .await?;
        tells(&message, &["404", "check issuerURL"])
    })
    .await;
}

#[tokio::test]
async fn plain_http_only_where_it_is_allowed() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions {
            plain_http: true,
            ..DexOptions::default()
        })
        .await?;
        let scene = stage.empty_scene_at(&dex, "http").await?;
        let refused = scene.provider(json!({})).await.unwrap_err();
        tells(
            &format!("{refused:#}"),
            &["issuer.issuerURL must be https, unless insecureTransport.allowed holds Discovery"],
        )?;

        scene
            .provider(json!({"spec": {"insecureTransport": {"allowed": ["Discovery"]}}}))
            .await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "InsecureEndpoint")
            .await?;
        tells(&message, &["insecureTransport.allowed: [Endpoints]"])?;

        scene
            .provider(json!({"spec": {"insecureTransport": {"allowed": ["Discovery", "Endpoints"]}}}))
            .await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "TransportSecure", "False", "InsecureTransport")
            .await?;
        tells(
            &message,
            &["the issuer and its discovery document (http)", "for development only"],
        )?;
        scene.ready_client("shop", json!({})).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_admin_api_without_a_client_certificate_only_where_it_is_allowed() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("no-certificate").await?;
        let mut patch = json!({"spec": {"dex": {"grpc": {"clientCertificateSecretRef": null}}}});
        let refused = scene.provider(patch.clone()).await.unwrap_err();
        tells(&format!("{refused:#}"), &["mutual TLS is Dex's only protection"])?;

        patch["spec"]["insecureTransport"] = json!({"allowed": ["AdminAPI"]});
        scene.provider(patch).await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "TLSFailed")
            .await?;
        tells(&message, &["wants a client certificate"])?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "TransportSecure", "False", "InsecureTransport")
            .await?;
        tells(&message, &["no client certificate"])?;

        scene.provider(json!({})).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene
            .condition::<OIDCProvider>(PROVIDER, "TransportSecure", "True", "TransportSecure")
            .await?;
        Ok(())
    })
    .await;
}
