//! `oidc-operator verify` against a real Dex: a good client, and each fault really caused. On a stage of its own, whose operator
//! is ended once all is made: what is broken then stays broken.

use anyhow::{Context as _, Result, ensure};
use kube::api::{Patch, PatchParams};
use oidc_operator::api::OIDCProvider;
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions, api},
    pki::Ca,
    scene::{PROVIDER, Scene, Stage},
    verify::{self, Report},
};
use serde_json::{Value, json};

const OUTPUT: &str = "shop-oidc";
const EVERYTHING: [&str; 15] = [
    "client",
    "conditions",
    "secret",
    "configmap",
    "ca",
    "dns",
    "tcp",
    "tls",
    "discovery",
    "signature",
    "jwks",
    "redirect-uri",
    "credentials",
    "audience",
    "claims",
];

/// The names of [`EVERYTHING`] after `name`.
fn after(name: &str) -> &'static [&'static str] {
    let at = EVERYTHING.iter().position(|check| *check == name).unwrap();
    EVERYTHING.get(at + 1..).unwrap_or_default()
}

async fn report(scene: &Scene<'_>, name: &str) -> Result<Report> {
    verify::verify(scene.cluster.admin_kubeconfig(), &scene.app, name).await
}

/// Replaces values of the ConfigMap; `null` removes one.
async fn deliver(scene: &Scene<'_>, data: Value) -> Result<()> {
    let patch = Patch::Merge(json!({ "data": data }));
    let maps = scene.config_maps();
    maps.patch(OUTPUT, &PatchParams::default(), &patch).await?;
    Ok(())
}

#[tokio::test]
async fn what_works_is_told_and_each_fault_is_named() {
    case::run(async {
        let stage = Stage::start("verify", &[]).await?;
        let scene = stage.scene("verify").await?;
        scene.ready_client("shop", json!({})).await?;
        scene.ready_client("app", json!({"type": "Public"})).await?;
        let secret = scene.secret(OUTPUT).await?["client-secret"].clone();

        a_good_client(&scene, &secret).await.context("a good client")?;
        a_public_client(&scene).await.context("a public client")?;
        who_asks_wrongly_is_told(&scene).await.context("wrong questions")?;

        stage.operator.kill().await?;
        outputs_that_were_edited(&scene, &secret)
            .await
            .context("edited outputs")?;
        the_delivered_way(&scene, &stage.dex)
            .await
            .context("the delivered way")?;
        the_client_at_dex(&scene, &stage.dex, &secret)
            .await
            .context("the client at Dex")?;
        a_server_that_is_not_there(&scene, &stage.dex)
            .await
            .context("a server that is not there")
    })
    .await;
}

async fn a_good_client(scene: &Scene<'_>, secret: &str) -> Result<()> {
    let report = report(scene, "shop").await?;
    ensure!(report.success, "{report:#?}");
    let names: Vec<_> = report.checks.iter().map(|check| check.check.as_str()).collect();
    assert_eq!(names, EVERYTHING);
    assert_eq!(report.with("SKIPPED"), ["audience"], "{report:#?}");
    assert_eq!(report.with("OK").len(), EVERYTHING.len() - 1, "{report:#?}");
    ensure!(!report.text.contains(secret), "the secret is in the report");

    let args = ["-n", &scene.app, "shop"];
    let (success, text) = verify::run(scene.cluster.admin_kubeconfig(), &args).await?;
    ensure!(success, "{text}");
    ensure!(!text.contains(secret), "the secret is in the report");
    let is_there = |line: &str| text.lines().any(|found| found.starts_with(line));
    for line in [
        "OK       redirect-uri  ",
        "OK       credentials   ",
        "SKIPPED  audience      ",
    ] {
        ensure!(is_there(line), "no line {line:?} in\n{text}");
    }
    Ok(())
}

async fn a_public_client(scene: &Scene<'_>) -> Result<()> {
    let report = report(scene, "app").await?;
    ensure!(report.success, "{report:#?}");
    assert_eq!(report.with("SKIPPED"), ["credentials", "audience"], "{report:#?}");
    ensure!(report.check("credentials")?.message.contains("Public"), "{report:#?}");
    Ok(())
}

async fn who_asks_wrongly_is_told(scene: &Scene<'_>) -> Result<()> {
    report(scene, "shopp")
        .await?
        .fails_in("client", &["there is no OIDCClient", "kubectl get oidcc -A"])?;
    let nobody = scene.cluster.kubeconfig_for("nobody", "no-such-token")?;
    let report = verify::verify(&nobody, &scene.app, "shop").await?;
    report.fails_in("client", &["OIDCClient"])?;
    let (success, text) = verify::run(&scene.cluster.folder().join("none"), &["shop"]).await?;
    ensure!(!success && text.contains("cannot read"), "{text}");
    Ok(())
}

async fn outputs_that_were_edited(scene: &Scene<'_>, secret: &str) -> Result<()> {
    let edit = async |value: &str| {
        let patch = Patch::Merge(json!({"stringData": {"client-secret": value}}));
        scene.secrets().patch(OUTPUT, &PatchParams::default(), &patch).await
    };
    edit("guessed-wrongly").await?;
    let told = report(scene, "shop").await?;
    ensure!(!told.text.contains("guessed-wrongly"), "the secret is in the report");
    assert_eq!(told.with("FAILED"), ["secret", "credentials"], "{told:#?}");
    edit(secret).await?;

    deliver(scene, json!({"issuer-uri": "https://elsewhere.example.com"})).await?;
    let issuer = scene.idp.issuer();
    report(scene, "shop")
        .await?
        .fails_in("configmap", &["https://elsewhere.example.com", issuer, "edited"])?;
    deliver(scene, json!({ "issuer-uri": issuer })).await
}

async fn the_delivered_way(scene: &Scene<'_>, dex: &Dex) -> Result<()> {
    let well = json!({
        "ca-bundle.crt": dex.ca_pem(),
        "ca.crt": dex.ca_pem(),
        "discovery-url": format!("{}/.well-known/openid-configuration", dex.issuer()),
    });

    // The CA of another server, and none at all.
    let other_ca = Ca::new("another CA")?;
    deliver(scene, json!({"ca-bundle.crt": other_ca.pem()})).await?;
    let told = report(scene, "shop").await?;
    told.fails_in("tls", &["is not signed by the given CA", "issuerCertificateAuthority"])?;
    assert_eq!(told.with("SKIPPED"), after("tls"), "what comes after it");
    deliver(scene, json!({"ca-bundle.crt": null, "ca.crt": null})).await?;
    let told = report(scene, "shop").await?;
    told.fails_in("tls", &[])?;
    assert_eq!(told.check("ca")?.outcome, "SKIPPED");

    // The document of another issuer: both are named.
    let other = Dex::start(DexOptions {
        name: "verify-other-dex".to_owned(),
        ..DexOptions::default()
    })
    .await?;
    let others = format!("{}/.well-known/openid-configuration", other.issuer());
    deliver(scene, json!({"ca-bundle.crt": other.ca_pem(), "discovery-url": others})).await?;
    let both = [format!("{:?}", other.issuer()), format!("{:?}", dex.issuer())];
    report(scene, "shop")
        .await?
        .fails_in("discovery", &[&both[0], &both[1], "byte for byte"])?;

    // No such document, and no such host.
    deliver(scene, json!({"discovery-url": format!("{}/nowhere", other.issuer())})).await?;
    report(scene, "shop")
        .await?
        .fails_in("discovery", &["answered 404", "no discovery document"])?;
    deliver(scene, json!({"discovery-url": "https://no-such-host.invalid/dex"})).await?;
    let told = report(scene, "shop").await?;
    told.fails_in("dns", &["no-such-host.invalid", "run this in the cluster"])?;
    assert_eq!(told.with("SKIPPED"), after("dns"));

    // Plain http where TLS is spoken.
    let plain = format!("http://{}/dex", dex.web_address());
    deliver(scene, json!({"discovery-url": plain})).await?;
    report(scene, "shop").await?.fails_in("discovery", &[])?;

    deliver(scene, well).await?;
    ensure!(report(scene, "shop").await?.success, "all is well again");
    Ok(())
}

async fn the_client_at_dex(scene: &Scene<'_>, dex: &Dex, secret: &str) -> Result<()> {
    let admin = dex.admin().await?;
    let id = scene.client_id("shop");
    let good = admin.get(&id).await?.context("no client")?;
    let replace = async |client: api::Client| {
        admin.delete(&id).await?;
        admin.create(client).await
    };

    replace(api::Client {
        redirect_uris: vec!["https://app.example.com/elsewhere".to_owned()],
        ..good.clone()
    })
    .await?;
    report(scene, "shop")
        .await?
        .fails_in("redirect-uri", &["https://app.example.com/callback", "byte for byte"])?;

    replace(api::Client {
        secret: "another-secret".to_owned(),
        ..good.clone()
    })
    .await?;
    let told = report(scene, "shop").await?;
    told.fails_in("credentials", &["refuses the client secret", "reconcile-requested"])?;
    ensure!(!told.text.contains(secret), "the secret is in the report");

    admin.delete(&id).await?;
    let told = report(scene, "shop").await?;
    assert_eq!(told.with("FAILED"), ["redirect-uri", "credentials"], "{told:#?}");
    admin.create(good).await?;
    ensure!(report(scene, "shop").await?.success, "all is well again");
    Ok(())
}

async fn a_server_that_is_not_there(scene: &Scene<'_>, dex: &Dex) -> Result<()> {
    dex.freeze()?;
    let told = verify::verify_within(scene.cluster.admin_kubeconfig(), &scene.app, "shop", "3s").await;
    dex.thaw()?;
    told?.fails_in("discovery", &["did not answer within 3 s"])?;

    dex.kill();
    let told = report(scene, "shop").await?;
    told.fails_in("tcp", &["connection refused", "is the issuer running"])?;
    assert_eq!(told.with("SKIPPED"), after("tcp"));
    Ok(())
}

/// The operator's own word comes first: a client that it refuses.
#[tokio::test]
async fn a_client_that_is_not_ready_says_why() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("verify-refused").await?;
        let wildcard = json!({"redirectURIs": ["https://app.example.com/*"]});
        scene.client("shop", wildcard).await?;
        scene
            .condition::<oidc_operator::api::OIDCClient>("shop", "Ready", "False", "RedirectURINotAllowed")
            .await?;
        let told = report(&scene, "shop").await?;
        ensure!(!told.success, "{told:#?}");
        assert_eq!(told.with("FAILED"), ["conditions", "secret", "configmap"], "{told:#?}");
        ensure!(told.check("conditions")?.message.contains("wildcard"), "{told:#?}");
        scene.ready::<OIDCProvider>(PROVIDER).await.map(drop)
    })
    .await;
}
