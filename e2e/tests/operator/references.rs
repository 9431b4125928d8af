//! What an OIDCProvider refers to is missing or wrong: it says so, nothing is lost, and it is well again once that is mended.
//!
//! The resync interval is ten minutes, so whatever is noticed here was noticed by watching.

use anyhow::{Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, api::DeleteParams};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    install::{self, CA, CLIENT_CERTIFICATE},
    pki::Ca,
    scene::{PROVIDER, Scene, Stage},
};
use serde_json::json;

use crate::held::{Held, stays, tells};

/// Plays one such case: a client stands, `breaking` breaks, `AdminAPIReady` is False for `reason` and tells `parts`,
/// `mending` mends.
async fn broken_and_mended(
    prefix: &str,
    breaking: impl AsyncFnOnce(&Scene<'_>) -> Result<()>,
    (reason, parts): (&str, &[&str]),
    mending: impl AsyncFnOnce(&Scene<'_>) -> Result<()>,
) {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene(prefix).await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;

        breaking(&scene).await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", reason)
            .await?;
        tells(&message, parts)?;
        scene
            .condition::<OIDCProvider>(PROVIDER, "Ready", "False", reason)
            .await?;
        let of_tenant = scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotReady")
            .await?;
        tells(&of_tenant, &["is not ready; see its conditions"])?;
        ensure!(!of_tenant.contains(parts[0]), "tenants see admin errors: {of_tenant}");
        stays(&scene, "shop", &held).await?;

        mending(&scene).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready::<OIDCClient>("shop").await?;
        ensure!(Held::of(&scene, "shop").await? == held, "something was lost");
        Ok(())
    })
    .await;
}

fn secrets(scene: &Scene<'_>) -> Api<Secret> {
    Api::namespaced(scene.kube.clone(), &scene.identity)
}

fn config_maps(scene: &Scene<'_>) -> Api<ConfigMap> {
    Api::namespaced(scene.kube.clone(), &scene.identity)
}

/// A Secret of type Opaque in place of the client certificate's, with the keys `names`.
async fn opaque_certificate(scene: &Scene<'_>, names: [&str; 2]) -> Result<()> {
    let identity = scene.idp.client_identity();
    let mut secret = install::certificate_secret(&scene.identity, CLIENT_CERTIFICATE, identity);
    secret["type"] = json!("Opaque");
    secret["data"] =
        json!({names[0]: STANDARD.encode(&identity.certificate), names[1]: STANDARD.encode(&identity.key)});
    scene.apply(secret).await.map(drop)
}

#[tokio::test]
async fn a_missing_secret() {
    broken_and_mended(
        "secret-missing",
        async |scene| {
            secrets(scene)
                .delete(CLIENT_CERTIFICATE, &DeleteParams::default())
                .await?;
            Ok(())
        },
        (
            "SecretNotFound",
            &[
                "spec.dex.grpc.clientCertificateSecretRef",
                CLIENT_CERTIFICATE,
                "Create it",
            ],
        ),
        async |scene| scene.references().await,
    )
    .await;
}

#[tokio::test]
async fn a_secret_whose_owner_did_not_label_it() {
    broken_and_mended(
        "secret-label",
        async |scene| {
            let mut secret =
                install::certificate_secret(&scene.identity, CLIENT_CERTIFICATE, scene.idp.client_identity());
            secret["metadata"]["labels"] = json!({});
            scene.apply(secret).await.map(drop)
        },
        (
            "SecretNotLabelled",
            &[CLIENT_CERTIFICATE, "oidc-operator.io/credential: provider"],
        ),
        async |scene| scene.references().await,
    )
    .await;
}

#[tokio::test]
async fn a_secret_with_other_keys() {
    broken_and_mended(
        "secret-keys",
        async |scene| {
            // The type of a Secret cannot be changed, and kubernetes.io/tls asks for both keys.
            secrets(scene)
                .delete(CLIENT_CERTIFICATE, &DeleteParams::default())
                .await?;
            opaque_certificate(scene, ["client.crt", "client.key"]).await
        },
        ("KeyNotFound", &[CLIENT_CERTIFICATE, "tls.crt"]),
        async |scene| opaque_certificate(scene, ["tls.crt", "tls.key"]).await,
    )
    .await;
}

#[tokio::test]
async fn a_client_certificate_of_another_ca() {
    broken_and_mended(
        "mtls-refused",
        async |scene| {
            let identity = Ca::new("another CA")?.client("oidc-operator")?;
            let secret = install::certificate_secret(&scene.identity, CLIENT_CERTIFICATE, &identity);
            scene.apply(secret).await.map(drop)
        },
        ("TLSFailed", &["client certificate", "client CA"]),
        async |scene| scene.references().await,
    )
    .await;
}

#[tokio::test]
async fn a_missing_config_map() {
    broken_and_mended(
        "ca-missing",
        async |scene| {
            config_maps(scene).delete(CA, &DeleteParams::default()).await?;
            Ok(())
        },
        (
            "ConfigMapNotFound",
            &["spec.dex.grpc.certificateAuthority", CA, "Create it"],
        ),
        async |scene| scene.references().await,
    )
    .await;
}

/// Replaces what the CA's ConfigMap holds.
async fn ca_data(scene: &Scene<'_>, key: &str, text: &str) -> Result<()> {
    let mut map = install::ca_config_map(&scene.identity, CA, "");
    map["data"] = json!({key: text});
    scene.apply(map).await.map(drop)
}

#[tokio::test]
async fn a_config_map_with_another_key() {
    broken_and_mended(
        "ca-key",
        async |scene| ca_data(scene, "ca.pem", scene.idp.ca_pem()).await,
        ("KeyNotFound", &[CA, "ca-bundle.crt"]),
        async |scene| scene.references().await,
    )
    .await;
}

#[tokio::test]
async fn a_config_map_with_a_private_key() {
    broken_and_mended(
        "ca-private",
        async |scene| {
            let key = &scene.idp.client_identity().key;
            ca_data(scene, "ca-bundle.crt", &format!("{}{key}", scene.idp.ca_pem())).await
        },
        ("InvalidCertificate", &["holds a private key", "replace that key"]),
        async |scene| scene.references().await,
    )
    .await;
}

#[tokio::test]
async fn a_config_map_that_holds_no_certificate() {
    broken_and_mended(
        "ca-text",
        async |scene| ca_data(scene, "ca-bundle.crt", "to do").await,
        ("InvalidCertificate", &["holds no certificate", "BEGIN CERTIFICATE"]),
        async |scene| scene.references().await,
    )
    .await;
}

#[tokio::test]
async fn the_ca_of_another_server() {
    broken_and_mended(
        "ca-wrong",
        async |scene| {
            ca_data(scene, "ca-bundle.crt", Ca::new("another CA")?.pem()).await?;
            // Both ways to Dex fail, and both say so.
            let message = scene
                .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "TLSFailed")
                .await?;
            tells(&message, &["is not signed by the given CA"])
        },
        ("TLSFailed", &["is not signed by the given CA"]),
        async |scene| scene.references().await,
    )
    .await;
}
