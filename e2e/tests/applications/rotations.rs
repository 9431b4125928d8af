//! Rotations under a stream of logins: people log into Flask all the time, and the operator restarts it after each rotation.
//!
//! What is measured is told on the terminal and in `target/bench/rotations-<name>.json`. The kubelet, which takes a minute to refresh
//! mounted files and seconds to start a Pod, is not part of it: a process that follows the Deployment stands for the Pod.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator::{api::OIDCClient, domain::model::RotationCapability};
use oidc_operator_e2e::{
    applications::{Application, Example, Place, Program, Restart, User},
    case,
    dex::StoredDex,
    install,
    keycloak::{Realm, Rotation},
    login::{Attempt, failures, gaps, refused_for_a_secret, secret_accepted, stream},
    pki::Ca,
    scene::{Idp, SOON, Scene, Stage},
    shared, tools,
    wait::eventually,
};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};

use crate::journey::Provider;

const PROGRAM: Program = Program::Flask;

/// How many rotations; five unless it is set (`make e2e-rotations`: 50).
const ROTATIONS_VARIABLE: &str = "OIDC_OPERATOR_E2E_ROTATIONS";

/// People who log in at the same time.
const USERS: usize = 2;

/// Long enough for a restart on a busy machine, short enough to be waited for at the end.
const OVERLAP: Duration = Duration::from_secs(30);

fn rotations() -> Result<usize> {
    match std::env::var(ROTATIONS_VARIABLE) {
        Ok(text) => text.parse().context(ROTATIONS_VARIABLE),
        Err(_) => Ok(5),
    }
}

/// A client in the middle of it all.
struct Play<'a, P: Idp> {
    scene: &'a Scene<'a, P>,
    provider: &'a Provider<'a>,
    /// All secrets that it ever had.
    secrets: Vec<String>,
}

impl<P: Idp> Play<'_, P> {
    /// The secret in the Secret, which is new.
    async fn learn_secret(&mut self) -> Result<()> {
        let data = self.scene.secret(&format!("{}-oidc", PROGRAM.name())).await?;
        let secret = data.get("OIDC_CLIENT_SECRET").or_else(|| data.get("client-secret"));
        let secret = secret.context("no client secret")?;
        ensure!(!self.secrets.contains(secret), "a secret comes back");
        self.secrets.push(secret.clone());
        Ok(())
    }

    /// Rotates, one after the other: the next once the application has the last.
    async fn rotate(&mut self, times: usize, restarts: &mut watch::Receiver<Vec<Restart>>) -> Result<()> {
        for number in 1..=times {
            self.scene.rotate(PROGRAM.name(), &number.to_string()).await?;
            let done = timeout(SOON, restarts.wait_for(|restarts| restarts.len() >= number)).await;
            drop(done.with_context(|| format!("no restart after rotation {number}"))??);
            self.learn_secret().await?;
            eventually("the rotation is told", SOON, async || {
                let told = self.scene.credentials(PROGRAM.name()).await?.last_rotate_request;
                ensure!(told == Some(number.to_string()), "{told:?}");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Which of all secrets are valid.
    async fn valid(&self) -> Result<Vec<usize>> {
        let (ca, endpoint) = (self.provider.ca_pem, &self.provider.token_endpoint);
        let id = self.scene.client_id(PROGRAM.name());
        let mut valid = Vec::new();
        for (number, secret) in self.secrets.iter().enumerate() {
            if secret_accepted(ca, endpoint, &id, secret).await? {
                valid.push(number);
            }
        }
        Ok(valid)
    }
}

/// Plays `times` rotations at one provider, and tells what was measured.
async fn play<P: Idp>(
    name: &str,
    scene: &Scene<'_, P>,
    provider: &Provider<'_>,
    expected: RotationCapability,
) -> Result<()> {
    let times = rotations()?;
    install::allow_restarts(scene.cluster, &scene.app).await?;
    let place = Place::new(PROGRAM.name(), &Ca::new("oidc-operator-e2e applications")?)?;
    let reference = (P::NAME, scene.identity.as_str());
    let mut example = Example::of(PROGRAM, &place, &scene.app, reference, "")?;
    let spec = &mut example.client["spec"];
    spec["clientID"] = json!(scene.client_id(PROGRAM.name()));
    spec["rolloutRestart"] = json!([{"kind": "Deployment", "name": PROGRAM.name()}]);
    spec["credentials"] = json!({"rotation": {"interval": "720h", "overlap": format!("{}s", OVERLAP.as_secs())}});
    example.deployment["metadata"]["annotations"] = json!({"oidc-operator.io/restart-on": PROGRAM.name()});
    scene.apply(example.client).await?;
    scene.apply(example.deployment).await?;
    scene.ready::<OIDCClient>(PROGRAM.name()).await?;
    let mut application = Application::start(PROGRAM, &scene.kube, &scene.app, place).await?;
    let login = application.login(&provider.user, provider.ca_pem);

    let mut play = Play {
        scene,
        provider,
        secrets: Vec::new(),
    };
    play.learn_secret().await?;
    let body = async |mut restarts: watch::Receiver<Vec<Restart>>| {
        let (played, attempts) = stream(&login, USERS, play.rotate(times, &mut restarts)).await?;
        played.with_context(|| format!("logins failed: {:?}", failures(&attempts)))?;
        Ok(attempts)
    };
    let (attempts, restarts) = application.supervised(&scene.kube, &scene.app, body).await?;
    ensure!(
        restarts.len() == times,
        "{} restarts for {times} rotations",
        restarts.len()
    );
    let status = scene.credentials(PROGRAM.name()).await?;
    ensure!(status.rotation_capability == expected, "{status:?}");

    // Once the last overlap has ended, one secret is valid: that in the Secret.
    let valid = eventually("one secret is valid", OVERLAP + SOON, async || {
        let valid = play.valid().await?;
        ensure!(valid == [times], "valid are {valid:?} of {}", play.secrets.len());
        Ok(valid)
    })
    .await?;
    login.run().await.context("the last login")?;

    let failures = failures(&attempts);
    report(name, expected, times, &attempts, valid.len())?;
    if expected == RotationCapability::Overlap {
        ensure!(failures.is_empty(), "in overlaps: {failures:?}");
    }
    ensure!(
        failures.iter().copied().all(refused_for_a_secret),
        "for another reason: {failures:?}"
    );
    Ok(())
}

/// Tells what was measured, also of a test that passes.
fn report(
    name: &str,
    capability: RotationCapability,
    rotations: usize,
    attempts: &[Attempt],
    valid: usize,
) -> Result<()> {
    let mut lengths: Vec<Duration> = gaps(attempts).into_iter().map(|gap| gap.length).collect();
    lengths.sort_unstable();
    let seconds = |length: Option<&Duration>| length.map(|length| length.as_secs_f64());
    let found: Value = json!({
        "provider": name,
        "capability": format!("{capability:?}"),
        "rotations": rotations,
        "logins": attempts.len(),
        "failed_logins": failures(attempts).len(),
        "gaps": lengths.len(),
        "gap_median_seconds": seconds(lengths.get(lengths.len() / 2)),
        "gap_longest_seconds": seconds(lengths.last()),
        "kubelet_included": false,
        "valid_secrets_at_the_end": valid,
    });
    let folder = tools::repository().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let text = serde_json::to_string_pretty(&found)?;
    std::fs::write(folder.join(format!("rotations-{name}.json")), &text)?;
    // Past the test harness, which keeps to itself what passing tests print.
    writeln!(std::io::stderr(), "rotations at {name}, without a kubelet: {found}")?;
    Ok(())
}

fn at_realm(realm: &Realm) -> Provider<'_> {
    Provider {
        user: User::of_keycloak(realm.user()),
        token_endpoint: realm.token_endpoint(),
        ca_pem: realm.ca_pem(),
    }
}

#[tokio::test]
async fn no_login_fails_in_overlaps_at_keycloak() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("rotations-overlap").await?;
        realm.set_rotation_policy(Rotation::default()).await?;
        let stage = Stage::restarting().await?;
        let scene = stage.scene_at(&realm, "overlap", json!({})).await?;
        play(
            "keycloak-overlap",
            &scene,
            &at_realm(&realm),
            RotationCapability::Overlap,
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn gaps_of_atomic_rotations_at_keycloak() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("rotations-atomic").await?;
        let stage = Stage::restarting().await?;
        let scene = stage.scene_at(&realm, "atomic", json!({})).await?;
        play("keycloak-atomic", &scene, &at_realm(&realm), RotationCapability::Atomic).await
    })
    .await;
}

#[tokio::test]
async fn gaps_of_recreations_at_dex() {
    case::run(async {
        let stage = Stage::restarting().await?;
        let scene = stage.scene("recreate").await?;
        let provider = Provider {
            user: User::of_dex(),
            token_endpoint: stage.dex.token_endpoint(),
            ca_pem: stage.dex.ca_pem(),
        };
        play("dex-recreate", &scene, &provider, RotationCapability::Recreate).await
    })
    .await;
}

#[tokio::test]
async fn gaps_of_atomic_rotations_in_dexs_storage() {
    case::run(async {
        let stage = Stage::restarting().await?;
        let stored = StoredDex::start(&stage.cluster, "rotations-dex").await?;
        stored.allow_operator(&stage.cluster).await?;
        let scene = stage.scene_at(&stored, "stored", json!({})).await?;
        let provider = Provider {
            user: User::of_dex(),
            token_endpoint: stored.dex.token_endpoint(),
            ca_pem: stored.dex.ca_pem(),
        };
        play("dex-storage-atomic", &scene, &provider, RotationCapability::Atomic).await
    })
    .await;
}
