//! The instruments of the rotation tests: an application that follows its Deployment, and a stream of logins.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    applications::{Application, Example, Place, Program, Restart, User},
    case,
    dex::Dex,
    install,
    login::{failures, gaps, refused_for_a_secret, stream},
    pki::Ca,
    scene::{SOON, Scene, Stage},
};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use crate::{Theatre, dex::theatre, journey};

const PROGRAM: Program = Program::Flask;

/// Flask, and what was applied for it.
async fn flask(theatre: &Theatre, scene: &Scene<'_, Dex>) -> Result<Application> {
    let place = Place::new(PROGRAM.name(), &theatre.ca)?;
    let example = Example::of(PROGRAM, &place, &scene.app, ("dex", &scene.identity), "")?;
    start(scene, place, example).await
}

async fn start(scene: &Scene<'_, Dex>, place: Place, example: Example) -> Result<Application> {
    scene.apply(example.client).await?;
    scene.apply(example.deployment).await?;
    scene.ready::<OIDCClient>(PROGRAM.name()).await?;
    Application::start(PROGRAM, &scene.kube, &scene.app, place).await
}

/// Asks for a restart, as people do, and waits until the old process has ended.
async fn restart(scene: &Scene<'_, Dex>, mut restarts: watch::Receiver<Vec<Restart>>) -> Result<Restart> {
    let before = restarts.borrow().len();
    let deployment = format!("deployment/{}", PROGRAM.name());
    let args = ["rollout", "restart", &deployment, "-n", &scene.app];
    scene.cluster.kubectl()?.run(args).await?;
    let done = timeout(SOON, restarts.wait_for(|restarts| restarts.len() > before)).await;
    let restarts = done.context("no restart")??.clone();
    restarts.last().cloned().context("no restart")
}

#[tokio::test]
async fn an_application_that_follows_its_deployment_is_replaced_without_a_failed_login() {
    case::run(async {
        let theatre = theatre().await?;
        let scene = theatre.stage.scene("restart").await?;
        let mut application = flask(theatre, &scene).await?;
        let login = application.login(&User::of_dex(), theatre.stage.dex.ca_pem());
        let body = async |restarts| {
            let (restart, attempts) = stream(&login, 2, restart(&scene, restarts)).await?;
            Ok((restart?, attempts))
        };
        let ((restart, attempts), _) = application.supervised(&scene.kube, &scene.app, body).await?;
        ensure!(failures(&attempts).is_empty(), "{:?}", failures(&attempts));
        let (before, after): (Vec<_>, Vec<_>) = attempts.iter().partition(|attempt| attempt.started < restart.seen);
        ensure!(
            !before.is_empty() && !after.is_empty(),
            "{} before the restart, {} after",
            before.len(),
            after.len()
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_logins_shows_how_long_none_worked() {
    case::run(async {
        let theatre = theatre().await?;
        let scene = theatre.stage.scene("gap").await?;
        let mut application = flask(theatre, &scene).await?;
        let login = application.login(&User::of_dex(), theatre.stage.dex.ca_pem());
        let rotated = async |restarts| -> Result<Restart> {
            journey::rotate(&scene, PROGRAM.name()).await?;
            // Dex has the new secret, and Flask the old one.
            login.run().await.err().context("a login works with the old secret")?;
            let restart = restart(&scene, restarts).await?;
            login.run().await.context("after the restart")?;
            Ok(restart)
        };
        let body = async |restarts| {
            let (restart, attempts) = stream(&login, 2, rotated(restarts)).await?;
            Ok((restart?, attempts))
        };
        let ((restart, attempts), _) = application.supervised(&scene.kube, &scene.app, body).await?;
        let gaps = gaps(&attempts);
        ensure!(!gaps.is_empty(), "no login failed");
        ensure!(gaps.iter().all(|gap| gap.began < restart.done), "{gaps:?}");
        let failures = failures(&attempts);
        ensure!(refused_for_a_secret(failures[0]), "{failures:?}");
        // With the Secret its session key was lost: a login that has begun before the restart does not end after it.
        let expected = |failure: &&str| refused_for_a_secret(failure) || failure.contains("mismatching_state");
        ensure!(failures.iter().all(expected), "{failures:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_operator_restarts_an_application_that_consents_once_its_secret_was_rotated() {
    case::run(async {
        let stage = Stage::restarting().await?;
        let scene = stage.scene("follow").await?;
        install::allow_restarts(&stage.cluster, &scene.app).await?;
        let place = Place::new(PROGRAM.name(), &Ca::new("oidc-operator-e2e applications")?)?;
        let mut example = Example::of(PROGRAM, &place, &scene.app, ("dex", &scene.identity), "")?;
        let name = PROGRAM.name();
        example.client["spec"]["rolloutRestart"] = json!([{"kind": "Deployment", "name": name}]);
        example.deployment["metadata"]["annotations"] = json!({"oidc-operator.io/restart-on": name});
        let mut application = start(&scene, place, example).await?;
        let login = application.login(&User::of_dex(), stage.dex.ca_pem());

        let body = async |mut restarts: watch::Receiver<Vec<Restart>>| -> Result<()> {
            login.run().await.context("before the rotation")?;
            // Of the operator alone: nobody else asks for it.
            scene.rotate(name, "1").await?;
            let done = timeout(SOON, restarts.wait_for(|restarts| !restarts.is_empty())).await;
            drop(done.context("no restart")??);
            login.run().await.context("after the restart")
        };
        let ((), restarts) = application.supervised(&scene.kube, &scene.app, body).await?;
        ensure!(restarts.len() == 1, "{restarts:?}");
        Ok(())
    })
    .await;
}
