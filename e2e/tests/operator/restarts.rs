//! Workloads that consent are restarted when what the outputs hold has changed, once; others are left alone.

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    audit::Mark,
    case, install,
    pki::Ca,
    scene::{SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{
    held::{Held, tells},
    mend::replaced,
    quiet::written,
};

const CONDITION: &str = "WorkloadsCurrent";
const KINDS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

fn api(scene: &Scene<'_>, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apps", "v1", kind);
    Api::namespaced_with(scene.kube.clone(), &scene.app, &ApiResource::from_gvk(&kind))
}

/// A workload without Pods, as nobody runs them here; `consent` is the annotation's value.
async fn deploy(scene: &Scene<'_>, kind: &str, name: &str, consent: Option<&str>) -> Result<()> {
    let labels = json!({ "app": name });
    let mut spec = json!({
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels},
            "spec": {"containers": [{"name": "shop", "image": "shop"}]},
        },
    });
    if kind != "DaemonSet" {
        spec["replicas"] = json!(0);
    }
    let annotations = consent.map(|names| json!({"oidc-operator.io/restart-on": names}));
    scene
        .apply(json!({
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": scene.app, "annotations": annotations},
            "spec": spec,
        }))
        .await
        .map(drop)
}

/// What is noted on a workload for `client`, and when it was restarted.
async fn seen(scene: &Scene<'_>, kind: &str, name: &str, client: &str) -> Result<(Option<String>, Option<String>)> {
    let workload = api(scene, kind).get(name).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let noted = workload.metadata.annotations.unwrap_or_default();
    let template = &workload.data["spec"]["template"]["metadata"]["annotations"];
    Ok((
        noted.get(&format!("restart.oidc-operator.io/{client}")).cloned(),
        text(&template["kubectl.kubernetes.io/restartedAt"]),
    ))
}

async fn note(scene: &Scene<'_>, kind: &str, name: &str, client: &str) -> Result<String> {
    eventually(format!("{kind} {name} is noted"), SOON, async || {
        seen(scene, kind, name, client).await?.0.context("nothing is noted")
    })
    .await
}

/// Waits until the workload was restarted after `before`; gives when.
async fn restarted(scene: &Scene<'_>, kind: &str, name: &str, before: Option<&String>) -> Result<String> {
    eventually(format!("{kind} {name} is restarted"), SOON, async || {
        let (_, at) = seen(scene, kind, name, "").await?;
        at.filter(|at| Some(at) != before).context("it is not")
    })
    .await
}

fn workloads(of: &[(&str, &str)]) -> Value {
    let named = of.iter().map(|(kind, name)| json!({"kind": kind, "name": name}));
    json!({"rolloutRestart": named.collect::<Vec<_>>()})
}

/// Asks for a pass, and waits until it was carried out.
async fn look(scene: &Scene<'_>, client: &str, request: &str) -> Result<()> {
    scene.ask::<OIDCClient>(client, request).await?;
    eventually("the request is answered", SOON, async || {
        let status = scene.api::<OIDCClient>().get(client).await?.status.unwrap_or_default();
        ensure!(status.last_reconcile_request.as_deref() == Some(request));
        Ok(())
    })
    .await
}

/// Patches of workloads by the operator since `mark`.
async fn patches(scene: &Scene<'_>, mark: &Mark) -> Result<usize> {
    let written = written(scene, mark).await?;
    Ok(written.filter(|record| record.group == "apps").count())
}

async fn scene(prefix: &str) -> Result<Scene<'static>> {
    let stage = Stage::restarting().await?;
    let scene = stage.scene(prefix).await?;
    install::allow_restarts(&stage.cluster, &scene.app).await?;
    Ok(scene)
}

#[tokio::test]
async fn each_kind_is_restarted_once_by_a_rotation_and_by_another_ca() {
    case::run(async {
        let scene = scene("restart").await?;
        for kind in KINDS {
            deploy(&scene, kind, "shop", Some("shop")).await?;
        }
        scene
            .ready_client("shop", workloads(&KINDS.map(|kind| (kind, "shop"))))
            .await?;
        scene
            .condition::<OIDCClient>("shop", CONDITION, "True", CONDITION)
            .await?;
        // They were started with these outputs.
        let mut notes = Vec::new();
        for kind in KINDS {
            let (noted, restarted_at) = seen(&scene, kind, "shop", "shop").await?;
            assert_eq!(restarted_at, None, "{kind}");
            notes.push(noted.context(kind)?);
        }

        let held = Held::of(&scene, "shop").await?;
        let mark = scene.cluster.audit().mark().await?;
        scene.rotate("shop", "1").await?;
        let mut times = Vec::new();
        for (kind, former) in KINDS.iter().zip(&notes) {
            times.push(restarted(&scene, kind, "shop", None).await?);
            assert_ne!(note(&scene, kind, "shop", "shop").await?, *former, "{kind}");
        }
        let told = scene.event(&scene.app, "shop", "Restarted").await?;
        tells(&told, &["shop was restarted", "has changed"])?;
        replaced(&scene, &held).await?;
        look(&scene, "shop", "again").await?;
        assert_eq!(patches(&scene, &mark).await?, 3, "one for each");

        // Nothing changed: nothing is written.
        let mark = scene.cluster.audit().mark().await?;
        look(&scene, "shop", "once more").await?;
        assert_eq!(
            written(&scene, &mark).await?.counts(),
            [("patch oidcclients/status".to_owned(), 1)].into()
        );

        let both = format!("{}{}", scene.idp.ca_pem(), Ca::new("the next CA")?.pem());
        scene
            .apply(install::ca_config_map(&scene.identity, install::CA, &both))
            .await?;
        for (kind, before) in KINDS.iter().zip(&times) {
            restarted(&scene, kind, "shop", Some(before)).await?;
        }
        look(&scene, "shop", "the last time").await?;
        assert_eq!(patches(&scene, &mark).await?, 3, "one for each");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn one_that_was_made_a_moment_ago_follows_the_first_rotation() {
    case::run(async {
        let scene = scene("restart-new").await?;
        // Made before it was to be followed by anything: the salt comes later.
        scene.ready_client("shop", json!({})).await?;
        scene.client("shop", workloads(&[("Deployment", "shop")])).await?;
        let said = scene
            .condition::<OIDCClient>("shop", CONDITION, "False", "WorkloadNotFound")
            .await?;
        tells(&said, &["no Deployment shop"])?;
        scene.ready::<OIDCClient>("shop").await?;

        deploy(&scene, "Deployment", "shop", Some("shop")).await?;
        scene.rotate("shop", "1").await?;
        restarted(&scene, "Deployment", "shop", None).await?;
        scene
            .condition::<OIDCClient>("shop", CONDITION, "True", CONDITION)
            .await?;
        // Gone with the field.
        let patch = json!({"spec": {"rolloutRestart": null}});
        scene.patch::<OIDCClient>("shop", patch).await?;
        eventually("the condition is gone", SOON, async || {
            let status = scene.api::<OIDCClient>().get("shop").await?.status.unwrap_or_default();
            ensure!(status.conditions.iter().all(|condition| condition.type_ != CONDITION));
            Ok(())
        })
        .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_consent_nothing_is_written() {
    case::run(async {
        let scene = scene("restart-consent").await?;
        deploy(&scene, "Deployment", "silent", None).await?;
        deploy(&scene, "Deployment", "others", Some("shop2, another")).await?;
        let mark = scene.cluster.audit().mark().await?;
        let named = [("Deployment", "silent"), ("Deployment", "others")];
        scene.ready_client("shop", workloads(&named)).await?;
        let said = scene
            .condition::<OIDCClient>("shop", CONDITION, "False", "ConsentMissing")
            .await?;
        tells(&said, &["Deployment silent", "Deployment others", "restart-on: shop"])?;
        let held = Held::of(&scene, "shop").await?;
        scene.rotate("shop", "1").await?;
        replaced(&scene, &held).await?;
        look(&scene, "shop", "1").await?;
        assert_eq!(patches(&scene, &mark).await?, 0);

        // It was started with what stands, as far as anybody knows.
        deploy(&scene, "Deployment", "others", Some("another,shop")).await?;
        look(&scene, "shop", "2").await?;
        let (noted, restarted_at) = seen(&scene, "Deployment", "others", "shop").await?;
        assert!(noted.is_some() && restarted_at.is_none(), "{noted:?} {restarted_at:?}");
        assert_eq!(patches(&scene, &mark).await?, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_clients_restart_one_workload_each_for_itself() {
    case::run(async {
        let scene = scene("restart-two").await?;
        deploy(&scene, "Deployment", "shop", Some("shop, admin")).await?;
        for client in ["shop", "admin"] {
            scene.ready_client(client, workloads(&[("Deployment", "shop")])).await?;
            note(&scene, "Deployment", "shop", client).await?;
        }
        let mark = scene.cluster.audit().mark().await?;
        // At once: whoever comes second finds another version, looks again, and changes the template once more.
        tokio::try_join!(scene.rotate("shop", "1"), scene.rotate("admin", "1"))?;
        for client in ["shop", "admin"] {
            scene.event(&scene.app, client, "Restarted").await?;
            look(&scene, client, "1").await?;
        }
        let written = written(&scene, &mark).await?.filter(|record| record.group == "apps");
        assert_eq!(written.succeeded().count(), 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_kubernetes_forbids_is_said_and_nothing_waits_for_it() {
    case::run(async {
        let stage = Stage::restarting().await?;
        let scene = stage.scene("restart-forbidden").await?;
        deploy(&scene, "Deployment", "shop", Some("shop")).await?;
        scene.ready_client("shop", workloads(&[("Deployment", "shop")])).await?;
        let said = scene
            .condition::<OIDCClient>("shop", CONDITION, "False", "RestartFailed")
            .await?;
        tells(&said, &["Deployment shop", "forbid"])?;
        let held = Held::of(&scene, "shop").await?;
        scene.rotate("shop", "1").await?;
        replaced(&scene, &held).await?;

        // Once it is allowed, it is found by itself.
        install::allow_restarts(&stage.cluster, &scene.app).await?;
        scene
            .condition::<OIDCClient>("shop", CONDITION, "True", CONDITION)
            .await?;
        assert_eq!(seen(&scene, "Deployment", "shop", "shop").await?.1, None);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_operator_that_was_not_told_to_restarts_nothing() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("restart-off").await?;
        deploy(&scene, "Deployment", "shop", Some("shop")).await?;
        let mark = scene.cluster.audit().mark().await?;
        scene.ready_client("shop", workloads(&[("Deployment", "shop")])).await?;
        let said = scene
            .condition::<OIDCClient>("shop", CONDITION, "False", "RestartsDisabled")
            .await?;
        tells(&said, &["--enable-rollout-restart"])?;
        let asked = scene.cluster.audit().since(&mark).await?;
        let asked = asked.by_service_account(install::NAMESPACE, install::SERVICE_ACCOUNT);
        assert_eq!(asked.filter(|record| record.group == "apps").count(), 0);
        let annotations = scene.secret_annotations("shop-oidc").await?;
        assert!(!annotations.contains_key("oidc-operator.io/restart-salt"));
        Ok(())
    })
    .await;
}

/// The policy is the API server's: it does not depend on what the operator does.
#[tokio::test]
async fn the_api_server_refuses_the_operator_all_but_restarts() {
    case::run(async {
        let scene = scene("restart-limits").await?;
        deploy(&scene, "Deployment", "shop", Some("shop")).await?;
        deploy(&scene, "Deployment", "silent", None).await?;
        deploy(&scene, "StatefulSet", "shop", Some("shop")).await?;
        deploy(&scene, "DaemonSet", "shop", Some("shop")).await?;
        let kubeconfig = scene
            .cluster
            .service_account_kubeconfig(install::NAMESPACE, install::SERVICE_ACCOUNT)
            .await?;
        let operator = scene.cluster.client_for(&kubeconfig).await?;
        let patch = async |kind: &str, name: &str, patch: Value| -> Result<()> {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind));
            let api: Api<DynamicObject> = Api::namespaced_with(operator.clone(), &scene.app, &resource);
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok(())
        };
        let note = |value: &str| json!({"metadata": {"annotations": {"restart.oidc-operator.io/shop": value}}});
        let template = |template: Value| json!({"spec": {"template": template}});
        let restart = template(
            json!({"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-28T00:00:00Z"}}}),
        );
        let image = template(json!({"spec": {"containers": [{"name": "shop", "image": "another"}]}}));
        // A policy is enforced a moment after it was made.
        eventually("the policy is enforced", SOON, async || {
            let refused = patch("Deployment", "silent", note("probe")).await;
            ensure!(refused.is_err(), "not yet");
            Ok(())
        })
        .await?;

        for kind in KINDS {
            for (what, change) in [("note", note("1")), ("restart", restart.clone())] {
                patch(kind, "shop", change)
                    .await
                    .with_context(|| format!("{what} of {kind}"))?;
            }
            let refused = [
                ("image", image.clone()),
                ("account", template(json!({"spec": {"serviceAccountName": "admin"}}))),
                ("label", json!({"metadata": {"labels": {"a": "b"}}})),
                ("annotation", json!({"metadata": {"annotations": {"a": "b"}}})),
                (
                    "consent",
                    json!({"metadata": {"annotations": {"oidc-operator.io/restart-on": null}}}),
                ),
                (
                    "annotation of Pods",
                    template(json!({"metadata": {"annotations": {"a": "b"}}})),
                ),
                ("label of Pods", template(json!({"metadata": {"labels": {"a": "b"}}}))),
                ("finalizer", json!({"metadata": {"finalizers": ["example.com/x"]}})),
                ("minReadySeconds", json!({"spec": {"minReadySeconds": 7}})),
            ];
            for (what, change) in refused {
                let answer = patch(kind, "shop", change).await;
                let said = answer.err().with_context(|| format!("{what} of {kind} was changed"))?;
                tells(&format!("{said:#}"), &["oidc-operator-rollout-restart", "denied"])
                    .with_context(|| format!("{what} of {kind}"))?;
            }
        }
        let answer = patch("Deployment", "shop", json!({"spec": {"replicas": 3}})).await;
        ensure!(answer.is_err(), "it was scaled");
        let answer = patch("Deployment", "silent", restart).await;
        let said = answer.err().context("restarted without consent")?;
        tells(&format!("{said:#}"), &["does not consent"])?;

        // Nobody else is held by it.
        let admin = json!({"spec": {"template": {"spec": {"containers": [{"name": "shop", "image": "another"}]}}}});
        api(&scene, "Deployment")
            .patch("shop", &PatchParams::default(), &Patch::Merge(admin))
            .await?;
        Ok(())
    })
    .await;
}
