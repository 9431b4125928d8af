//! CA bundles and the dates of certificates: how soon a new CA is with every application, and who is warned in time.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{Api, api::ListParams};
use oidc_operator::api::OIDCProvider;
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions, Storage},
    install,
    pki::Ca,
    scene::{PROVIDER, SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::held::tells;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Far more than it takes: two cores, many tests.
const WITHIN_SECONDS: Duration = Duration::from_secs(15);

/// The ConfigMap or Secret of a CA, with labels.
fn authority(scene: &Scene<'_>, kind: &str, name: &str, labels: Value, pem: &str) -> Value {
    let data = if kind == "Secret" { "stringData" } else { "data" };
    json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": scene.identity, "labels": labels},
        data: {"ca-bundle.crt": pem},
    })
}

#[tokio::test]
async fn a_new_ca_in_a_labelled_config_map_or_secret_is_everywhere_within_seconds() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("new-ca").await?;
        let clients = ["one", "two", "three", "four", "five"];
        for client in clients {
            scene.ready_client(client, json!({})).await?;
        }
        let (ours, new) = (stage.dex.ca_pem(), Ca::new("the next CA")?);
        scene.bundles_become(&clients, &[ours]).await?;

        // Untidy, and with one twice: what is delivered is tidy all the same.
        let both = format!("# ours\n{ours}\r\n   {}{ours}", new.pem().replace('\n', "\r\n"));
        scene
            .apply(install::ca_config_map(&scene.identity, install::CA, &both))
            .await?;
        let took = scene.bundles_become(&clients, &[ours, new.pem()]).await?;
        println!(
            "a new CA in a labelled ConfigMap is with {} clients after {took:.1?}",
            clients.len()
        );
        ensure!(took < WITHIN_SECONDS, "{took:?}");
        let text = scene.config_maps().get("one-oidc").await?.data.unwrap()["ca.crt"].clone();
        let tidy = text
            .lines()
            .all(|line| line.len() <= 64 && line == line.trim() && !line.contains('#'));
        ensure!(tidy && text.ends_with("-----END CERTIFICATE-----\n"), "{text}");

        // In a Secret that only says that it is a CA.
        let label = json!({"oidc-operator.io/certificate-authority": "true"});
        scene
            .apply(install::ca_config_map(&scene.identity, install::CA, ours))
            .await?;
        scene
            .apply(authority(&scene, "Secret", "inside", label.clone(), ours))
            .await?;
        let internal = json!({"certificateAuthority": {"kind": "Secret", "name": "inside"}});
        scene
            .provider(json!({"spec": {"issuer": {"internal": internal}}}))
            .await?;
        scene.bundles_become(&clients, &[ours]).await?;
        let both = format!("{ours}{}", new.pem());
        scene.apply(authority(&scene, "Secret", "inside", label, &both)).await?;
        let took = scene.bundles_become(&clients, &[ours, new.pem()]).await?;
        println!(
            "a new CA in a labelled Secret is with {} clients after {took:.1?}",
            clients.len()
        );
        ensure!(took < WITHIN_SECONDS, "{took:?}");

        // Without a label it is not read: the Secret may be anybody's.
        scene
            .apply(authority(&scene, "Secret", "inside", json!({}), &both))
            .await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "SecretNotLabelled")
            .await?;
        tells(
            &message,
            &[
                "spec.issuer.internal.certificateAuthority",
                "oidc-operator.io/certificate-authority: true",
            ],
        )?;
        // What was delivered stays.
        scene.bundles_become(&clients, &[ours, new.pem()]).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_new_ca_in_an_unlabelled_config_map_comes_with_the_next_resync() {
    const RESYNC: Duration = Duration::from_secs(20);
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene("resync-ca").await?;
        let (ours, new) = (stage.dex.ca_pem(), Ca::new("the next CA")?);
        let maps: Api<ConfigMap> = Api::namespaced(scene.kube.clone(), &scene.identity);
        scene
            .apply(authority(&scene, "ConfigMap", "quiet", json!({}), ours))
            .await?;
        let issuer = json!({"issuerCertificateAuthority": {"name": "quiet"}});
        scene
            .provider(json!({"spec": {"resyncInterval": "20s", "issuer": issuer}}))
            .await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready_client("shop", json!({})).await?;
        scene.bundles_become(&["shop"], &[ours]).await?;
        let both = format!("{ours}{}", new.pem());
        scene
            .apply(authority(&scene, "ConfigMap", "quiet", json!({}), &both))
            .await?;
        ensure!(maps.get("quiet").await?.metadata.labels.unwrap_or_default().is_empty());
        let took = scene.bundles_become(&["shop"], &[ours, new.pem()]).await?;
        println!("a new CA in an unlabelled ConfigMap, resyncInterval {RESYNC:?}, is there after {took:.1?}");
        // Spread by up to a tenth.
        ensure!(took < RESYNC + RESYNC / 10 + WITHIN_SECONDS, "{took:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_asks_gets_the_systems_roots_too() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("roots").await?;
        let outputs = |bundle: &str| json!({"outputs": {"configMap": {"caBundle": bundle}}});
        scene.ready_client("shop", outputs("WithSystemRoots")).await?;
        let (ours, system) = (stage.dex.ca_pem(), stage.system_root.pem());
        scene.bundles_become(&["shop"], &[ours, system]).await?;
        scene.client("shop", outputs("IssuerOnly")).await?;
        scene.bundles_become(&["shop"], &[ours]).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_expires_is_told_once_and_in_time() {
    case::run(async {
        let options = DexOptions {
            name: "expires".to_owned(),
            storage: Storage::Sqlite,
            ..DexOptions::default()
        };
        let (stage, dex) = tokio::try_join!(Stage::shared(), Dex::start(options))?;
        let quick = json!({"spec": {"resyncInterval": "5s"}});
        let scene = stage.scene_at(&dex, "soon", quick).await?;
        let well = scene
            .condition::<OIDCProvider>(PROVIDER, "CertificatesValid", "True", "CertificatesValid")
            .await?;
        tells(&well, &["The first to expire is"])?;

        dex.restart_with(&dex.ca().server_with(&[], 10 * DAY)?).await?;
        let near = scene
            .condition::<OIDCProvider>(PROVIDER, "CertificatesValid", "False", "CertificateExpiring")
            .await?;
        tells(
            &near,
            &[
                "the certificate that the issuer shows",
                "the certificate that the admin API shows",
                "expires at",
            ],
        )?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        let status = scene
            .api::<OIDCProvider>()
            .get(PROVIDER)
            .await?
            .status
            .context("status")?;
        let issuer = serde_json::to_value(&status.certificates)?;
        let issuer = issuer
            .as_array()
            .unwrap()
            .iter()
            .find(|seen| seen["use"] == "Issuer")
            .cloned();
        let not_after: jiff::Timestamp = issuer.context("no Issuer")?["notAfter"].as_str().unwrap().parse()?;
        let left = not_after.duration_since(jiff::Timestamp::now()).as_hours();
        assert!((9 * 24..=10 * 24).contains(&left), "{left} hours");

        // Of all Dexes that this operator knows, this one's expires first.
        const METRIC: &str = "oidc_operator_certificate_not_after_timestamp_seconds";
        let labels = [("provider_type", "Dex"), ("certificate", "Issuer")];
        let shown = stage.operator.metric(METRIC, &labels).await?;
        assert_eq!(shown, not_after.as_second() as f64);

        // Some resyncs later there is still one Event of it.
        scene.event(&scene.identity, PROVIDER, "CertificateExpiring").await?;
        tokio::time::sleep(Duration::from_secs(12)).await;
        let events: Api<Event> = Api::namespaced(scene.kube.clone(), &scene.identity);
        let all = events.list(&ListParams::default()).await?.items;
        let of_it = all
            .iter()
            .filter(|event| event.reason.as_deref() == Some("CertificateExpiring"));
        let told: Vec<_> = of_it.map(|event| (event.type_.clone(), event.series.clone())).collect();
        assert_eq!(told, [(Some("Warning".to_owned()), None)]);

        // It is not renewed: named wherever it matters.
        dex.restart_with(&dex.ca().expired_server(&[])?).await?;
        for condition in ["DiscoveryValid", "AdminAPIReady"] {
            let message = scene
                .condition::<OIDCProvider>(PROVIDER, condition, "False", "TLSFailed")
                .await?;
            tells(&message, &["expired at 2021-01-01T00:00:00Z"])?;
        }
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "CertificatesValid", "False", "CertificateExpired")
            .await?;
        tells(
            &message,
            &[
                "the certificate that the issuer shows",
                "expired at 2021-01-01T00:00:00Z",
                "renewed",
            ],
        )?;
        scene.event(&scene.identity, PROVIDER, "CertificateExpired").await?;

        // Renewed: all of that ends by itself.
        dex.restart_with(&dex.ca().server(&[])?).await?;
        scene
            .condition::<OIDCProvider>(PROVIDER, "CertificatesValid", "True", "CertificatesValid")
            .await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        eventually("the metric is of others", SOON, async || {
            let shown = stage.operator.metric(METRIC, &labels).await?;
            ensure!(shown > not_after.as_second() as f64, "{shown}");
            Ok(())
        })
        .await
    })
    .await;
}
