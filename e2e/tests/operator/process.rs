//! The process: its HTTP answers, its end, its restart, and an API server that goes away. A stage of its own, played on from
//! test to test in one go, because each part is stopped, restarted or frozen.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    control_plane::ControlPlane,
    http,
    operator::Operator,
    scene::{PROVIDER, SOON, Scene, Stage},
    wait::eventually,
};
use serde_json::json;

use crate::{
    held::{Held, tells},
    quiet::written,
};

#[tokio::test]
async fn it_outlives_its_api_server_and_leaves_nothing_half_done() {
    case::run(async {
        let mut stage = Stage::start("process", &[]).await?;
        let scene = Scene::empty(&stage.cluster, &stage.dex, "process").await?;
        scene.provider(json!({"spec": {"resyncInterval": "5s"}})).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        for (name, spec) in [("telling-name", json!({})), ("public", json!({"type": "Public"}))] {
            scene.ready_client(name, spec).await?;
        }
        scene
            .client("refused", json!({"redirectURIs": ["https://app.example.com/*"]}))
            .await?;
        scene
            .condition::<OIDCClient>("refused", "Accepted", "False", "RedirectURINotAllowed")
            .await?;

        // The last thing that is written before all is quiet.
        eventually("the provider counts three", SOON, async || {
            let status = scene.api::<OIDCProvider>().get(PROVIDER).await?.status;
            let total = status.and_then(|status| status.clients).map(|clients| clients.total);
            ensure!(total == Some(3), "{total:?}");
            Ok(())
        })
        .await?;
        answers_over_http(&stage.operator, &scene).await.context("HTTP")?;
        a_restart_writes_nothing(&mut stage.operator, &scene)
            .await
            .context("restart of the operator")?;

        stage.cluster.restart_apiserver().await?;
        scene.ready_client("after-restart", json!({})).await?;
        // The watches of what stands beside applications are there again, too.
        let held = Held::of(&scene, "after-restart").await?;
        scene
            .secrets()
            .delete("after-restart-oidc", &Default::default())
            .await?;
        crate::held::becomes(&scene, "after-restart", "a new secret", |now| {
            now.client_secret() != held.client_secret()
        })
        .await?;

        a_frozen_api_server_is_waited_for(&stage, &scene)
            .await
            .context("frozen API server")?;
        let Stage { operator, cluster, .. } = &mut stage;
        it_ends_in_time_with_a_frozen_api_server(operator, cluster)
            .await
            .context("SIGTERM while the API server is frozen")?;
        it_is_not_ready_without_an_api_server(operator, cluster)
            .await
            .context("start without an API server")?;
        it_ends_in_time_with_work_under_way(&mut stage, "ends")
            .await
            .context("SIGTERM while Dex is frozen")
    })
    .await;
}

async fn answers_over_http(operator: &Operator, scene: &Scene<'_>) -> Result<()> {
    let web = http::plain()?;
    for path in ["healthz", "readyz"] {
        let answer = web.get(format!("{}/{path}", operator.health_url())).send().await?;
        ensure!(answer.status().is_success(), "{path}: {}", answer.status());
        assert_eq!(answer.text().await?, "ok\n");
    }
    let metrics = operator.metrics().await?;
    for needed in [
        "oidc_operator_build_info{",
        "oidc_operator_passes_total{kind=\"OIDCClient\",outcome=\"settled\"}",
        "oidc_operator_steps_total{step=\"create-remote\",result=\"ok\"}",
        "oidc_operator_idp_requests_total{provider_type=\"Dex\",operation=\"create\",outcome=\"ok\"}",
        "oidc_operator_kubernetes_requests_total{operation=\"create secrets\",outcome=\"ok\"}",
    ] {
        ensure!(metrics.contains(needed), "{needed} is not in\n{metrics}");
    }
    // No label whose values users choose.
    for chosen in [
        &scene.app,
        &scene.identity,
        "telling-name",
        PROVIDER,
        scene.idp.issuer(),
    ] {
        let found = metrics.lines().find(|line| {
            let quoted = format!("\"{chosen}");
            line.contains(&quoted)
        });
        ensure!(found.is_none(), "{found:?} tells {chosen}");
    }
    Ok(())
}

async fn a_restart_writes_nothing(operator: &mut Operator, scene: &Scene<'_>) -> Result<()> {
    let held = Held::of(scene, "telling-name").await?;
    ends_in_time(operator).await?;
    let mark = scene.cluster.audit().mark().await?;
    operator.start_again()?;
    operator.wait_ready(SOON).await?;
    eventually("a pass over each object", SOON, async || {
        for (kind, count) in [("OIDCClient", 3.0), ("OIDCProvider", 1.0)] {
            let passes = operator.metric("oidc_operator_passes_total", &[("kind", kind)]).await?;
            ensure!(passes >= count, "{passes} passes over {kind}");
        }
        Ok(())
    })
    .await?;
    assert_eq!(written(scene, &mark).await?.counts(), [].into());
    assert_eq!(Held::of(scene, "telling-name").await?, held);
    Ok(())
}

async fn a_frozen_api_server_is_waited_for(stage: &Stage, scene: &Scene<'_>) -> Result<()> {
    let operator = &stage.operator;
    let deadlines = async || {
        operator
            .metric("oidc_operator_deadlines_total", &[("what", "kubernetes")])
            .await
    };
    let before = deadlines().await?;
    stage.cluster.freeze_apiserver()?;
    eventually("a call was given up", SOON, async || {
        ensure!(deadlines().await? > before, "none");
        Ok(())
    })
    .await?;
    let alive = http::plain()?
        .get(format!("{}/healthz", operator.health_url()))
        .send()
        .await?;
    ensure!(alive.status().is_success(), "{}", alive.status());
    stage.cluster.thaw_apiserver()?;
    scene.ready_client("after-freeze", json!({})).await?;
    operator.process().must_run()
}

async fn it_ends_in_time_with_a_frozen_api_server(operator: &Operator, cluster: &ControlPlane) -> Result<()> {
    cluster.freeze_apiserver()?;
    let ended = ends_in_time(operator).await;
    cluster.thaw_apiserver()?;
    ended
}

async fn it_is_not_ready_without_an_api_server(operator: &mut Operator, cluster: &ControlPlane) -> Result<()> {
    cluster.stop_apiserver();
    operator.start_again()?;
    let web = http::plain()?;
    eventually("it is alive, not ready, and says why", SOON, async || {
        let answer = web.get(format!("{}/healthz", operator.health_url())).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let answer = web.get(format!("{}/readyz", operator.health_url())).send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        ensure!(status == 503, "{status}: {text}");
        tells(&text, &["oidcclients: ", "namespaces: "])
    })
    .await?;
    cluster.start_apiserver_again().await?;
    operator.wait_ready(SOON).await
}

/// Its end after SIGTERM takes at most ten seconds, and is no failure.
async fn ends_in_time(operator: &Operator) -> Result<()> {
    let took = operator.terminate(Duration::from_secs(10)).await?;
    let code = operator.process().exit_code();
    ensure!(code == Some(0), "code {code:?} after {took:?}");
    Ok(())
}

async fn it_ends_in_time_with_work_under_way(stage: &mut Stage, prefix: &str) -> Result<()> {
    let scene = Scene::empty(&stage.cluster, &stage.dex, prefix).await?;
    scene.provider(json!({})).await?;
    scene.ready::<OIDCProvider>(PROVIDER).await?;
    // Calls to Dex hang for 30 s, the usual deadline.
    stage.dex.freeze()?;
    let mark = stage.cluster.audit().mark().await?;
    scene.client("shop", json!({})).await?;
    eventually("the outputs were looked for, Dex is next", SOON, async || {
        let asked = stage.cluster.audit().since(&mark).await?;
        let asked = asked.namespace(&scene.app).resource("configmaps").verb("get");
        ensure!(asked.count() > 0, "not yet");
        Ok(())
    })
    .await?;
    ends_in_time(&stage.operator).await?;
    stage.dex.thaw()?;
    stage.operator.start_again()?;
    stage.operator.wait_ready(SOON).await?;
    scene.ready::<OIDCClient>("shop").await?;
    Held::of(&scene, "shop").await?.works(&scene).await
}
