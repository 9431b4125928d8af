//! Outputs that cannot be written: the name is somebody else's, or Kubernetes refuses.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, PostParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    scene::{Scene, Stage},
    wait::{eventually, steadily},
};
use serde_json::json;

use crate::held::{Held, WHILE, at_dex, nothing_stands, tells};

#[tokio::test]
async fn a_secret_of_somebody_else() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("foreign-secret").await?;
        let secret: Secret = serde_json::from_value(json!({
            "metadata": {"name": "shop-oidc"},
            "stringData": {"client-secret": "of somebody else"},
        }))?;
        let before = scene.secrets().create(&PostParams::default(), &secret).await?;
        scene.client("shop", json!({})).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "CredentialsPublished", "False", "OutputNotOwned")
            .await?;
        tells(
            &message,
            &[
                "Secret shop-oidc",
                "Delete or rename it",
                "another name under spec.outputs",
            ],
        )?;
        scene
            .condition::<OIDCClient>("shop", "Ready", "False", "OutputNotOwned")
            .await?;
        steadily("it is left alone", WHILE, async || {
            ensure!(scene.secrets().get("shop-oidc").await? == before, "it was changed");
            ensure!(
                at_dex(&scene, &scene.client_id("shop")).await?.is_none(),
                "a client was made"
            );
            Ok(())
        })
        .await?;

        scene.secrets().delete("shop-oidc", &DeleteParams::default()).await?;
        scene.ask::<OIDCClient>("shop", "now").await?;
        scene.ready::<OIDCClient>("shop").await?;
        Held::of(&scene, "shop").await?.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn a_config_map_of_somebody_else_and_another_name_as_the_way_out() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("foreign-map").await?;
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "shop-oidc"},
            "data": {"ca-bundle.crt": "of somebody else"},
        }))?;
        let before = scene.config_maps().create(&PostParams::default(), &map).await?;
        scene.client("shop", json!({})).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "CredentialsPublished", "False", "OutputNotOwned")
            .await?;
        tells(&message, &["ConfigMap shop-oidc", "another name under spec.outputs"])?;
        ensure!(
            scene.secrets().get_opt("shop-oidc").await?.is_none(),
            "a Secret was made"
        );

        scene
            .ready_client("shop", json!({"outputs": {"configMap": {"name": "shop-endpoints"}}}))
            .await?;
        ensure!(scene.config_maps().get("shop-oidc").await? == before, "it was changed");
        let own = scene.config_maps().get("shop-endpoints").await?.data.unwrap();
        assert_eq!(own["issuer-uri"], stage.dex.issuer());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_outputs_of_another_client() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("others-output").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        scene
            .client("thief", json!({"outputs": {"secret": {"name": "shop-oidc"}}}))
            .await?;
        scene
            .condition::<OIDCClient>("thief", "CredentialsPublished", "False", "OutputNotOwned")
            .await?;
        nothing_stands(&scene, "thief").await?;
        ensure!(Held::of(&scene, "shop").await? == held, "it was changed");
        Ok(())
    })
    .await;
}

/// Forbids Secrets in the namespace of the application, as a policy or a quota does; waits until that is in force.
async fn forbid_secrets(scene: &Scene<'_>) -> Result<()> {
    let name = format!("no-secrets-{}", scene.app);
    let kubectl = scene.cluster.kubectl()?;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]},
            ]},
            "validations": [{"expression": "false", "message": "Secrets live in the vault"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.app}}},
        },
    });
    kubectl.apply(&policy.to_string()).await?;
    kubectl.apply(&binding.to_string()).await?;
    let probe: Secret = serde_json::from_value(json!({"metadata": {"name": "probe"}}))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually("the policy is in force", Duration::from_secs(60), async || {
        let answer = scene.secrets().create(&dry_run, &probe).await;
        answer.err().context("not yet").map(drop)
    })
    .await
}

#[tokio::test]
async fn kubernetes_refuses_the_secret() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("policy").await?;
        forbid_secrets(&scene).await?;
        scene.client("shop", json!({})).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "CredentialsPublished", "False", "OutputRefused")
            .await?;
        tells(&message, &["Secrets live in the vault"])?;
        scene
            .condition::<OIDCClient>("shop", "Ready", "False", "OutputRefused")
            .await?;
        nothing_stands(&scene, "shop").await?;

        let name = format!("no-secrets-{}", scene.app);
        let kubectl = scene.cluster.kubectl()?;
        kubectl
            .run(["delete", "validatingadmissionpolicybinding", name.as_str()])
            .await?;
        kubectl
            .run(["delete", "validatingadmissionpolicy", name.as_str()])
            .await?;
        let (mut tries, scene) = (0, &scene);
        // The API server forgets a policy with a delay, and each request asks for one try.
        eventually("the client is ready", Duration::from_secs(60), async || {
            tries += 1;
            let client = scene.ask::<OIDCClient>("shop", &tries.to_string()).await?;
            let status = client.status.unwrap_or_default();
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            ensure!(ready.is_some_and(|ready| ready.reason == "Ready"), "{ready:?}");
            Ok(())
        })
        .await?;
        Held::of(scene, "shop").await?.works(scene).await
    })
    .await;
}
