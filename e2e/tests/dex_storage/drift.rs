//! What a hand changes in Dex's objects is mended at once, and while nothing changes, nothing is asked.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use oidc_operator::api::OIDCProvider;
use oidc_operator_e2e::{
    audit::{Mark, Records},
    case,
    install::{NAMESPACE, SERVICE_ACCOUNT},
    scene::{PROVIDER, SOON},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::held::{Scene, accepted, dex, held, secret};

/// A hand edit is mended within this time.
const AT_ONCE: Duration = Duration::from_secs(2);

/// How long nothing happens, and nothing may be asked: four resyncs.
const QUIET: Duration = Duration::from_secs(21);

/// What the operator asked of the API server since `mark`, in the namespaces of the scene.
async fn asked(scene: &Scene<'_>, mark: &Mark) -> Result<Records> {
    let all = scene.cluster.audit().since(mark).await?;
    let operators = all.by_service_account(NAMESPACE, SERVICE_ACCOUNT);
    Ok(operators.filter(|record| record.namespace == scene.app || record.namespace == scene.identity))
}

/// How long it takes until the client looks as `held`, from now on.
async fn mended(scene: &Scene<'_>, what: &str, held: &Value) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < SOON {
        let now = crate::held::held(scene, "shop").await;
        if now.as_ref().is_ok_and(|now| now == held) {
            let took = start.elapsed();
            writeln!(std::io::stderr(), "{what}: mended after {} ms", took.as_millis())?;
            ensure!(took < AT_ONCE, "{what}: mended after {took:?}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    anyhow::bail!("{what}: not mended; it is {:?}", crate::held::held(scene, "shop").await)
}

#[tokio::test]
async fn a_hand_edit_is_mended_at_once_and_silence_costs_nothing() {
    case::run(async {
        let (stage, dex) = dex("storage-drift").await?;
        let scene = stage
            .scene_at(&dex, "drift", json!({"spec": {"resyncInterval": "5s"}}))
            .await?;
        scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        scene.ready_client("quiet", json!({"type": "Public"})).await?;
        let (id, held_before, secret) = (
            scene.client_id("shop"),
            held(&scene, "shop").await?,
            secret(&scene, "shop").await?,
        );
        let kube = &scene.kube;

        let edits = [
            (
                "redirectURIs",
                json!({"redirectURIs": ["https://evil.example.com/callback"]}),
            ),
            ("secret", json!({"secret": "chosen by somebody"})),
            ("no secret", json!({"secret": null})),
            ("trustedPeers", json!({"trustedPeers": ["another-client"]})),
            ("public", json!({"public": true})),
            ("id", json!({"id": "renamed"})),
            ("nonsense", json!({"redirectURIs": 7, "name": {}})),
        ];
        for (what, edit) in edits {
            let mark = scene.cluster.audit().mark().await?;
            dex.edit(kube, &id, edit).await?;
            mended(&scene, what, &held_before).await?;
            let writes = asked(&scene, &mark).await?.resource("oauth2clients").writes();
            assert_eq!(
                writes.counts(),
                [("patch oauth2clients".to_owned(), 1)].into(),
                "{what}"
            );
            ensure!(
                accepted(&scene, "shop", &secret).await?,
                "{what}: Dex refuses the Secret"
            );
        }
        ensure!(!accepted(&scene, "shop", "chosen by somebody").await?);
        dex.delete(kube, &id).await?;
        mended(&scene, "deletion", &held_before).await?;
        ensure!(accepted(&scene, "shop", &secret).await?, "Dex refuses the Secret");

        // The passes that the last edits asked for are over, and what they tell is out.
        scene.ready::<oidc_operator::api::OIDCClient>("shop").await?;
        eventually("the provider counts two", SOON, async || {
            let status = scene.api::<OIDCProvider>().get(PROVIDER).await?.status.unwrap();
            ensure!(status.clients.unwrap().total == 2);
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let discovered = dex.dex.http_requests("/.well-known/openid-configuration").await?;
        let mark = scene.cluster.audit().mark().await?;
        tokio::time::sleep(QUIET).await;
        let looks = dex.dex.http_requests("/.well-known/openid-configuration").await? - discovered;
        ensure!(looks >= 3, "there were {looks} resyncs");
        let asked = asked(&scene, &mark).await?;
        let of_dex = asked.clone().resource("oauth2clients");
        assert_eq!(of_dex.counts(), [].into(), "requests to oauth2clients");
        assert_eq!(asked.writes().counts(), [].into(), "writes");
        writeln!(
            std::io::stderr(),
            "{} s of silence, {looks} resyncs: 0 requests to oauth2clients, 0 writes",
            QUIET.as_secs()
        )?;
        Ok(())
    })
    .await;
}

/// The echo of the operator's own write wakes nobody, and a hand edit wakes its own client and no other.
#[tokio::test]
async fn a_change_costs_one_look_and_one_write() {
    case::run(async {
        let (stage, dex) = dex("storage-echo").await?;
        let scene = stage.scene_at(&dex, "echo", json!({})).await?;
        let mark = scene.cluster.audit().mark().await?;
        scene.ready_client("shop", json!({})).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        // The watch itself may begin a moment after its list has made the provider ready.
        let made = asked(&scene, &mark).await?.resource("oauth2clients");
        let made = made.filter(|record| record.verb != "watch");
        assert_eq!(made.counts(), [("create oauth2clients".to_owned(), 1)].into());
        scene.ready_client("other", json!({})).await?;

        let mark = scene.cluster.audit().mark().await?;
        let before = held(&scene, "shop").await?;
        let edit = json!({"name": "By hand"});
        dex.edit(&scene.kube, &scene.client_id("shop"), edit).await?;
        mended(&scene, "name", &before).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mend = asked(&scene, &mark).await?.resource("oauth2clients");
        let once = ["get oauth2clients", "patch oauth2clients"].map(|what| (what.to_owned(), 1));
        assert_eq!(mend.counts(), once.into());
        Ok(())
    })
    .await;
}
