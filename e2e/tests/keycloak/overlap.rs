//! A rotated secret that stays valid for a time (client policy `secret-rotation`), and secrets that the policy lets expire.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use oidc_operator::{api::OIDCClient, domain::model::RotationCapability};
use oidc_operator_e2e::{
    case,
    keycloak::Rotation,
    scene::SOON,
    wait::{eventually, steadily},
};
use serde_json::json;

use crate::held::{Held, Scene, WHILE, accepted, becomes, look, rare_scene, scene_of_its_own, told, written};

const UNTIL: &str = "oidc-operator.io/previous-secret-valid-until";

/// Secrets that live for an hour: far longer than a test.
const LONG: Rotation = Rotation {
    expiration: 3600,
    rotated_expiration: 600,
    remaining: 60,
};

async fn rotate(scene: &Scene<'_>, held: &Held, value: &str) -> Result<Held> {
    scene.rotate("shop", value).await?;
    becomes(scene, "shop", "another secret", |now| {
        now.client_secret() != held.client_secret() && now.shown["secret"] == now.client_secret()
    })
    .await
}

/// Until when the former secret is valid, as the output Secret and status say alike.
async fn promised(scene: &Scene<'_>) -> Result<Option<Timestamp>> {
    eventually("Secret and status agree", SOON, async || {
        let annotated = scene.secret_annotations("shop-oidc").await?.remove(UNTIL);
        let status = scene.credentials("shop").await?;
        ensure!(
            status.previous_secret_valid_until == annotated,
            "{annotated:?}, {status:?}"
        );
        let expected = if annotated.is_some() {
            RotationCapability::Overlap
        } else {
            RotationCapability::Atomic
        };
        ensure!(status.rotation_capability == expected, "{status:?}");
        Ok(annotated.map(|until| until.parse()).transpose()?)
    })
    .await
}

async fn refused(scene: &Scene<'_>, held: &[&Held]) -> Result<()> {
    for held in held {
        ensure!(
            !accepted(scene, held.client_secret(), held.client_id()).await?,
            "a former secret is still good"
        );
    }
    Ok(())
}

fn overlap(overlap: &str) -> serde_json::Value {
    json!({"credentials": {"rotation": {"interval": "720h", "overlap": overlap}}})
}

/// Both are valid, whatever else changes, until the time that is promised; then one. Nothing has to be written for that.
#[tokio::test]
async fn both_secrets_are_valid_for_the_time_that_is_promised() {
    case::run(async {
        let scene = rare_scene("overlap").await?;
        // The client is older than the policy: Keycloak fails on every write without attributes then.
        scene.ready_client("shop", overlap("15s")).await?;
        let first = Held::of(&scene, "shop").await?;
        scene.idp.set_rotation_policy(LONG).await?;
        let patch = json!({"spec": {"displayName": "Older than the policy"}});
        scene.patch::<OIDCClient>("shop", patch).await?;
        becomes(&scene, "shop", "the new name", |now| {
            now.shown["name"] == "Older than the policy"
        })
        .await?;

        let second = rotate(&scene, &first, "1").await?;
        let until = promised(&scene).await?.context("no promise")?;
        let left = until.duration_since(Timestamp::now());
        ensure!(left.as_secs() <= 15, "{left:?}");
        first_and_second(&scene, &first, &second).await?;
        told(
            &scene,
            "shop",
            "Rotated",
            &["shop-oidc", "stays valid until", &until.to_string()],
        )
        .await?;
        let patch = json!({"spec": {"displayName": "Both"}});
        scene.patch::<OIDCClient>("shop", patch).await?;
        becomes(&scene, "shop", "the new name", |now| now.shown["name"] == "Both").await?;
        ensure!(Timestamp::now() < until, "too slow to see the overlap");
        first_and_second(&scene, &first, &second).await?;

        eventually("the former secret ends", SOON, async || {
            refused(&scene, &[&first]).await
        })
        .await?;
        ensure!(Timestamp::now() >= until, "it ended early");
        second.works(&scene).await?;
        let (mark, at_keycloak) = (scene.cluster.audit().mark().await?, scene.idp.mark().await?);
        look(&scene, "after-the-overlap").await?;
        let requests = scene
            .idp
            .requests_since(at_keycloak)
            .await?
            .of_operator()
            .admin_writes();
        ensure!(requests.is_empty(), "{:?}", requests.kinds());
        let written = written(&scene, &mark).await?;
        ensure!(!written.keys().any(|kind| kind.contains("secrets")), "{written:?}");
        ensure!(promised(&scene).await? == Some(until), "what was stays told");
        Ok(())
    })
    .await;
}

async fn first_and_second(scene: &Scene<'_>, first: &Held, second: &Held) -> Result<()> {
    second.works(scene).await?;
    ensure!(
        accepted(scene, first.client_secret(), first.client_id()).await?,
        "the former secret ended early"
    );
    Ok(())
}

/// Whoever deletes or edits the Secret wants what may be in wrong hands to end, and does not wait for an overlap.
#[tokio::test]
async fn the_emergency_rotation_ends_all_former_secrets() {
    case::run(async {
        let scene = scene_of_its_own("overlap-emergency").await?;
        scene.idp.set_rotation_policy(LONG).await?;
        scene.ready_client("shop", overlap("1h")).await?;
        let first = Held::of(&scene, "shop").await?;
        let second = rotate(&scene, &first, "1").await?;
        promised(&scene).await?.context("no promise")?;
        first_and_second(&scene, &first, &second).await?;

        scene.secrets().delete("shop-oidc", &Default::default()).await?;
        let third = becomes(&scene, "shop", "a third secret", |now| {
            now.client_secret() != second.client_secret() && now.shown["secret"] == now.client_secret()
        })
        .await?;
        third.works(&scene).await?;
        refused(&scene, &[&first, &second]).await?;
        ensure!(promised(&scene).await?.is_none(), "a promise is left");

        // A secret that somebody else made at Keycloak goes, too.
        let fourth = rotate(&scene, &third, "2").await?;
        promised(&scene).await?.context("no promise")?;
        scene.idp.regenerate_secret(fourth.client_id()).await?;
        becomes(&scene, "shop", "ours again", |now| {
            now.shown["secret"] == fourth.client_secret()
        })
        .await?;
        fourth.works(&scene).await?;
        refused(&scene, &[&first, &second, &third]).await?;
        ensure!(promised(&scene).await?.is_none(), "a promise is left");
        Ok(())
    })
    .await;
}

/// Keycloak takes the wish for an overlap and drops it where no policy allows it: that is found out, and nothing is promised.
#[tokio::test]
async fn without_the_policy_nothing_is_promised() {
    case::run(async {
        let scene = scene_of_its_own("overlap-none").await?;
        scene.ready_client("shop", overlap("1h")).await?;
        let first = Held::of(&scene, "shop").await?;
        let second = rotate(&scene, &first, "1").await?;
        ensure!(promised(&scene).await?.is_none(), "promised what there is not");
        second.works(&scene).await?;
        refused(&scene, &[&first]).await?;
        told(&scene, "shop", "Rotated", &["not valid any more"]).await?;
        let shown = second.shown["attributes"].as_object().context("attributes")?;
        ensure!(
            !shown
                .keys()
                .any(|key| key.contains("rotated") || key.contains("expiration")),
            "{shown:?}"
        );
        Ok(())
    })
    .await;
}

/// The policy would let the secret expire: it is rotated before that, although the spec asks for no rotation, and the new one has a whole
/// life of its own.
#[tokio::test]
async fn a_secret_is_rotated_before_keycloak_lets_it_expire() {
    case::run(async {
        let scene = scene_of_its_own("overlap-expiry").await?;
        let short = Rotation {
            expiration: 40,
            rotated_expiration: 20,
            remaining: 5,
        };
        scene.idp.set_rotation_policy(short).await?;
        scene.ready_client("shop", json!({})).await?;
        let first = Held::of(&scene, "shop").await?;
        let next = eventually("the next rotation is told", SOON, async || {
            scene
                .credentials("shop")
                .await?
                .next_rotation
                .context("no next rotation")
        })
        .await?;
        let left = next.parse::<Timestamp>()?.duration_since(Timestamp::now());
        ensure!(left.as_secs() < 40, "{left:?}");
        let second = eventually("the rotation", Duration::from_secs(60), async || {
            let now = Held::of(&scene, "shop").await?;
            ensure!(
                now.client_secret() != first.client_secret() && now.shown["secret"] == now.client_secret(),
                "still the first"
            );
            Ok(now)
        })
        .await?;
        second.works(&scene).await?;
        told(&scene, "shop", "SecretReplaced", &["expire"]).await?;
        let until = |held: &Held| -> Option<i64> {
            held.shown["attributes"]["client.secret.expiration.time"]
                .as_str()?
                .parse()
                .ok()
        };
        let (old, new) = (until(&first).context("end")?, until(&second).context("end")?);
        ensure!(new > old + 15, "{old} {new}");
        // And not again at once.
        steadily("the second secret", WHILE, async || {
            let now = Held::of(&scene, "shop").await?;
            ensure!(now.client_secret() == second.client_secret(), "rotated again");
            Ok(())
        })
        .await
    })
    .await;
}
