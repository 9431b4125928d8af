//! A configuration with secrets of the platform's in it is kept in a Secret, and so is what Dex reads.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, api::ListParams};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    dex::{
        Storage,
        supervised::{BASE, SupervisedDex, TARGET},
    },
    login::{ClientAuth, Login},
    scene::{SOON, Scene},
    wait::eventually,
};
use serde_json::json;

use crate::site::{PROVIDER, Site, ready};

async fn target(scene: &Scene<'_, SupervisedDex>) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(scene.kube.clone(), &scene.identity);
    let data = secrets.get(TARGET).await?.data.context("no data")?;
    let text = data.get("config.yaml").context("no configuration")?;
    Ok(String::from_utf8(text.0.clone())?)
}

#[tokio::test]
async fn a_configuration_with_secrets_is_kept_in_secrets() {
    case::run(async {
        let dex = SupervisedDex::new("secrets-dex", Storage::Memory)?.in_secrets();
        let site = Site::start_with("secrets", dex).await?;
        let (scene, _kubelet) = site.prepared().await?;
        let kubectl = site.cluster.kubectl()?;
        let namespace = scene.identity.as_str();
        let label = |value: &str| format!("oidc-operator.io/credential{value}");

        // A Secret that its owner did not mark for this is not read.
        kubectl
            .run(["label", "secret", BASE, "-n", namespace, &label("-")])
            .await?;
        scene.provider(json!({})).await?;
        let why = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "SecretNotLabelled")
            .await?;
        ensure!(why.contains(BASE), "{why}");
        kubectl
            .run(["label", "secret", BASE, "-n", namespace, &label("=dex-config")])
            .await?;
        ready::<OIDCProvider>(&scene, PROVIDER).await?;
        ensure!(target(&scene).await? == site.dex.base(), "nothing is added yet");

        scene.client("web", json!({})).await?;
        ready::<OIDCClient>(&scene, "web").await?;
        let id = scene.client_id("web");
        let secret = scene.secret("web-oidc").await?["client-secret"].clone();
        let text = target(&scene).await?;
        ensure!(
            text.contains(&id) && !text.contains(&secret),
            "the target has the client, and not its secret"
        );
        let auth = ClientAuth::SecretBasic(secret.clone());
        let redirect = "https://app.example.com/callback";
        Login::new(site.dex.issuer(), site.dex.ca_pem(), &id, auth, redirect)
            .run()
            .await?;

        // What the platform changes reaches Dex, and what others do to the target does not stay.
        let changed = format!("{}expiry: {{idTokens: 1h}}\n", site.dex.base());
        let base = json!({"stringData": {"config.yaml": changed}}).to_string();
        kubectl
            .run(["patch", "secret", BASE, "-n", namespace, "--type", "merge", "-p", &base])
            .await?;
        eventually("the change is taken over", SOON, async || {
            let text = target(&scene).await?;
            ensure!(text.contains("idTokens: 1h") && text.contains(&id), "it is not");
            Ok(())
        })
        .await?;
        kubectl.run(["delete", "secret", TARGET, "-n", namespace]).await?;
        eventually("the target is there again", SOON, async || {
            ensure!(target(&scene).await?.contains(&id), "without the client");
            ensure!(site.accepts(&id, &secret).await?, "its secret is refused");
            Ok(())
        })
        .await?;

        // None of it stands where people look without a thought.
        let maps: Api<ConfigMap> = Api::namespaced(scene.kube.clone(), namespace);
        let maps = maps.list(&ListParams::default()).await?;
        let shown = maps.items.iter().flat_map(|map| map.data.iter().flatten());
        ensure!(
            shown.into_iter().all(|(_, text)| !text.contains(&id)),
            "a ConfigMap holds the configuration"
        );
        site.was_never_open()
    })
    .await;
}
