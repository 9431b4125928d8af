//! What the platform does beside the operator: its part of the configuration changes, breaks, takes an ID; an object is in the way.

use anyhow::{Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    dex::{
        Storage,
        supervised::{BASE, DEPLOYMENT, KEYS, PLATFORM_CLIENT, SupervisedDex, TARGET},
    },
    scene::{SOON, Scene},
    wait::eventually,
};
use serde_json::json;

use crate::site::{PROVIDER, Site, ready, target};

async fn base(scene: &Scene<'_, SupervisedDex>, text: &str) -> Result<()> {
    let metadata = json!({
        "name": BASE,
        "namespace": scene.identity,
        "labels": {"oidc-operator.io/credential": "dex-config"},
    });
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config.yaml": text}});
    scene.apply(object).await.map(drop)
}

#[tokio::test]
async fn the_platforms_part_is_followed_at_once() {
    case::run(async {
        let site = Site::start("platform", Storage::Memory).await?;
        let (scene, _kubelet) = site.scene().await?;
        scene.client("web", json!({})).await?;
        ready::<OIDCClient>(&scene, "web").await?;
        let id = scene.client_id("web");

        // A change reaches Dex, with the clients as they are.
        let before = site.dex.starts().len();
        let changed = format!("{}expiry: {{idTokens: 1h}}\n", site.dex.base());
        base(&scene, &changed).await?;
        site.restarted(before, 1).await?;
        let good = target(&scene).await?;
        ensure!(good.contains("idTokens: 1h") && good.contains(&id), "{good}");

        // One that cannot be read, or has an ID of ours, changes nothing.
        for (broken, told) in [
            ("issuer: [\n".to_owned(), "is no YAML"),
            (
                changed.replace(
                    "staticClients:\n",
                    &format!("staticClients:\n  - {{id: {id}, name: X, secret: x}}\n"),
                ),
                "remove one of both",
            ),
        ] {
            base(&scene, &broken).await?;
            let why = scene
                .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "InvalidConfiguration")
                .await?;
            ensure!(why.contains(told) && why.contains(BASE), "{why}");
            ensure!(target(&scene).await? == good, "the target changed");
            base(&scene, &changed).await?;
            ready::<OIDCProvider>(&scene, PROVIDER).await?;
        }

        // A client of the platform's is nobody else's.
        scene.client("taken", json!({"clientID": PLATFORM_CLIENT})).await?;
        scene
            .condition::<OIDCClient>("taken", "Accepted", "False", "ClientIDTaken")
            .await?;
        ready::<OIDCClient>(&scene, "web").await?;
        site.was_never_open()
    })
    .await;
}

#[tokio::test]
async fn what_is_not_the_operators_is_left_alone() {
    case::run(async {
        let site = Site::start("foreign", Storage::Memory).await?;
        let (scene, _kubelet) = site.prepared().await?;
        let theirs = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": TARGET, "namespace": scene.identity},
            "data": {"config.yaml": site.dex.base()},
        });
        scene.apply(theirs).await?;
        scene.provider(json!({})).await?;
        let why = scene
            .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", "InvalidConfiguration")
            .await?;
        ensure!(why.contains("was not made by the operator"), "{why}");
        ensure!(target(&scene).await? == site.dex.base(), "it was changed");

        let kubectl = site.cluster.kubectl()?;
        kubectl
            .run(["delete", "configmap", TARGET, "-n", &scene.identity])
            .await?;
        // It hears of it by itself.
        ready::<OIDCProvider>(&scene, PROVIDER).await?;
        site.was_never_open()
    })
    .await;
}

/// Nobody asks the operator to look, and its resync is minutes away.
#[tokio::test]
async fn what_others_change_comes_back_at_once() {
    case::run(async {
        let site = Site::start("hands", Storage::Memory).await?;
        let (scene, _kubelet) = site.scene().await?;
        scene.client("web", json!({})).await?;
        ready::<OIDCClient>(&scene, "web").await?;
        let (id, secret) = (
            scene.client_id("web"),
            scene.secret("web-oidc").await?["client-secret"].clone(),
        );
        let kubectl = site.cluster.kubectl()?;
        let namespace = scene.identity.as_str();
        let heals = async |what: &str, args: &[&str]| {
            let before = site.dex.starts().len();
            kubectl.run([args, &["-n", namespace]].concat()).await?;
            eventually(format!("{what}: all is as before"), SOON * 3, async || {
                let starts = site.dex.starts();
                ensure!(
                    starts.len() > before && starts.last().is_some_and(|start| start.served.is_some()),
                    "Dex was not started anew"
                );
                ensure!(target(&scene).await?.contains(&id), "the target lacks the client");
                let deployment = kubectl.get_json(["deployment", "dex", "-n", namespace]).await?;
                let container = &deployment["spec"]["template"]["spec"]["containers"][0];
                ensure!(container["envFrom"].is_array(), "{container}");
                let names = container["env"].as_array().into_iter().flatten();
                let ours =
                    names.filter(|variable| variable["name"].as_str().is_some_and(|name| name.starts_with("OIDC_")));
                ensure!(ours.count() == 1, "{container}");
                ensure!(site.accepts(&id, &secret).await?, "its secret is refused");
                ensure!(!site.accepts(&id, "").await?, "an empty secret is accepted");
                Ok(())
            })
            .await?;
            ready::<OIDCProvider>(&scene, PROVIDER).await?;
            ready::<OIDCClient>(&scene, "web").await?;
            let kept = scene.secret("web-oidc").await?["client-secret"].clone();
            ensure!(kept == secret, "{what}: the application got another secret");
            Ok(())
        };

        // Pods of Dex could not start without it.
        heals("the Secret is deleted", &["delete", "secret", KEYS]).await?;
        heals("the target is deleted", &["delete", "configmap", TARGET]).await?;
        let data = json!({"data": {"config.yaml": site.dex.base()}}).to_string();
        let patch = ["patch", "configmap", TARGET, "--type", "merge", "-p", &data];
        heals("the target is overwritten", &patch).await?;
        let gone = |member: &str| json!({"op": "remove", "path": format!("/spec/template/spec/containers/0/{member}")});
        let part = json!([gone("envFrom")]).to_string();
        let patch = ["patch", "deployment", DEPLOYMENT, "--type", "json", "-p", &part];
        heals("envFrom is taken away", &patch).await?;
        site.was_never_open()?;

        // Only who takes both away opens Dex, and not for long.
        let all = json!([gone("envFrom"), gone("env")]).to_string();
        let patch = ["patch", "deployment", DEPLOYMENT, "--type", "json", "-p", &all];
        heals("all variables are taken away", &patch).await
    })
    .await;
}
