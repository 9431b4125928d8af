//! A client secret of the user's own (`credentials.existingSecretRef`): waited for, followed, never written, never told.

use anyhow::{Context as _, Result, ensure};
use kube::{Api, api::DeleteParams};
use oidc_operator::{api::OIDCClient, domain::digest::sha256_hex};
use oidc_operator_e2e::{
    case,
    scene::{Scene, Stage},
};
use serde_json::{Value, json};

use crate::held::{Held, accepted, becomes, nothing_stands, stays, tells};

const ONCE: &str = "made-by-hand-once";
const AGAIN: &str = "made-by-hand-again";

fn reference() -> Value {
    json!({"credentials": {"existingSecretRef": {"name": "by-hand"}}})
}

/// The user makes the Secret, or changes it; gives its resourceVersion.
async fn labelled(scene: &Scene<'_>, value: &str) -> Result<String> {
    let applied = scene.users_secret("clientSecret", value).await?;
    applied.metadata.resource_version.context("no resourceVersion")
}

/// The same without a label.
async fn unlabelled(scene: &Scene<'_>, value: &str) -> Result<()> {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "by-hand", "namespace": scene.app},
        "stringData": {"clientSecret": value},
    });
    scene.apply(secret).await.map(drop)
}

async fn published(scene: &Scene<'_>, reason: &str) -> Result<String> {
    scene
        .condition::<OIDCClient>("shop", "CredentialsPublished", "False", reason)
        .await
}

/// What the last proof in the status was of.
async fn proven_version(scene: &Scene<'_>) -> Result<Option<String>> {
    let client = Api::<OIDCClient>::namespaced(scene.kube.clone(), &scene.app)
        .get("shop")
        .await?;
    let credentials = client
        .status
        .and_then(|status| status.credentials)
        .context("no credentials")?;
    Ok(credentials.last_proof.context("no proof")?.resource_version)
}

#[tokio::test]
async fn it_is_waited_for_followed_and_never_written() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("existing").await?;

        // Nothing is made until it can be used; each change of a labelled Secret is seen at once.
        unlabelled(&scene, ONCE).await?;
        scene.client("shop", reference()).await?;
        let message = published(&scene, "SecretNotLabelled").await?;
        tells(&message, &["by-hand", "oidc-operator.io/credential: client"])?;
        labelled(&scene, "too-short-123\n").await?;
        tells(&published(&scene, "InvalidSecret").await?, &["by-hand", "16 bytes"])?;
        scene
            .condition::<OIDCClient>("shop", "Stalled", "True", "InvalidSecret")
            .await?;
        nothing_stands(&scene, "shop").await?;

        // A line break at its end is an editor's.
        let version = labelled(&scene, &format!("{ONCE}\n")).await?;
        scene.ready::<OIDCClient>("shop").await?;
        let held = Held::of(&scene, "shop").await?;
        assert_eq!(held.client_secret(), ONCE);
        held.works(&scene).await?;
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "Verified")
            .await?;
        assert_eq!(proven_version(&scene).await?, Some(version));
        let annotations = scene.secret_annotations("shop-oidc").await?;
        assert_eq!(
            annotations.get("oidc-operator.io/secret-source").map(String::as_str),
            Some("Existing")
        );

        // It changes.
        let version = labelled(&scene, AGAIN).await?;
        let held = becomes(&scene, "shop", "the new secret", |now| now.client_secret() == AGAIN).await?;
        held.works(&scene).await?;
        let id = held.secret["client-id"].clone();
        ensure!(!accepted(&scene, ONCE, &id).await?, "the former secret is still good");
        scene.event(&scene.app, "shop", "SecretReplaced").await?;
        scene.ready::<OIDCClient>("shop").await?;

        // The output is edited: what is found there goes nowhere.
        let patch = kube::api::Patch::Merge(json!({"stringData": {"client-secret": "edited-by-somebody-else"}}));
        scene
            .secrets()
            .patch("shop-oidc", &kube::api::PatchParams::default(), &patch)
            .await?;
        scene.event(&scene.app, "shop", "OutputRepaired").await?;
        let held = becomes(&scene, "shop", "the user's secret", |now| now.client_secret() == AGAIN).await?;
        held.works(&scene).await?;

        // Nobody but the user wrote it.
        let users = scene.secrets().get("by-hand").await?;
        assert_eq!(users.metadata.resource_version, Some(version));

        // It goes: what was made stays as it is, whatever the spec says meanwhile.
        scene.secrets().delete("by-hand", &DeleteParams::default()).await?;
        tells(
            &published(&scene, "SecretNotFound").await?,
            &["by-hand", "stays as it is"],
        )?;
        scene
            .client("shop", {
                let mut spec = reference();
                spec["displayName"] = json!("Shop");
                spec
            })
            .await?;
        scene
            .condition::<OIDCClient>("shop", "Reconciling", "True", "SecretNotFound")
            .await?;
        stays(&scene, "shop", &held).await?;
        held.works(&scene).await?;
        labelled(&scene, AGAIN).await?;
        scene.ready::<OIDCClient>("shop").await?;
        becomes(&scene, "shop", "the new name at Dex", |now| now.at_dex.name == "Shop").await?;

        // It is not wanted any more.
        scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        let own = becomes(&scene, "shop", "a secret of the operator's", |now| {
            now.client_secret() != AGAIN
        })
        .await?;
        own.works(&scene).await?;
        ensure!(!accepted(&scene, AGAIN, &id).await?, "the user's secret is still good");
        ensure!(
            scene.secrets().get_opt("shop-oidc-next").await?.is_none(),
            "a staged Secret is left"
        );
        assert_eq!(proven_version(&scene).await?, None);

        // Nobody was told.
        for (place, text) in scene.told(&stage.operator).await? {
            for secret in [ONCE, AGAIN] {
                ensure!(!text.contains(secret), "{place} has {secret}");
                let digest = sha256_hex(secret.as_bytes());
                ensure!(!text.contains(&digest), "{place} has the digest of {secret}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn it_is_not_there_for_another_namespace() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("elsewhere").await?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": "by-hand",
                "namespace": scene.identity,
                "labels": {"oidc-operator.io/credential": "client"},
            },
            "stringData": {"clientSecret": ONCE},
        });
        scene.apply(secret).await?;
        scene.client("shop", reference()).await?;
        published(&scene, "SecretNotFound").await?;
        nothing_stands(&scene, "shop").await
    })
    .await;
}
