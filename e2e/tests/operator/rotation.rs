//! A client secret is rotated when somebody asks for it, and when its time has come.

use anyhow::{Context as _, ensure};
use kube::api::{Patch, PatchParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    scene::{SOON, Stage},
    wait::eventually,
};
use serde_json::json;

use crate::{
    held::{Held, tells},
    mend::replaced,
};

#[tokio::test]
async fn asked_by_annotation_once_for_each_value() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("rotate").await?;
        scene.ready_client("shop", json!({})).await?;
        let mut held = Held::of(&scene, "shop").await?;
        assert_eq!(scene.credentials("shop").await?.last_rotate_request, None);
        for value in ["2026-11-28", "again"] {
            scene.rotate("shop", value).await?;
            held = replaced(&scene, &held).await?;
            eventually("status shows it", SOON, async || {
                let shown = scene.credentials("shop").await?.last_rotate_request;
                ensure!(shown.as_deref() == Some(value), "{shown:?}");
                Ok(())
            })
            .await?;
        }
        let note = scene.event(&scene.app, "shop", "Rotated").await?;
        tells(&note, &["Secret shop-oidc", "not valid any more"])?;

        // The value that was carried out, and none at all, ask for nothing: what is done because of another change shows it.
        scene.rotate("shop", "again").await?;
        let patch = json!({"spec": {"displayName": "Asked"}});
        scene.patch::<OIDCClient>("shop", patch).await?;
        eventually("the other change is there", SOON, async || {
            let now = Held::of(&scene, "shop").await?;
            ensure!(now.at_dex.name == "Asked", "{}", now.at_dex.name);
            Ok(())
        })
        .await?;
        let now = Held::of(&scene, "shop").await?;
        assert_eq!(now.secret["client-secret"], held.secret["client-secret"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn when_its_interval_is_over() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("rotate-due").await?;
        let rotation = json!({"credentials": {"rotation": {"interval": "720h"}}});
        scene.ready_client("shop", rotation).await?;
        let status = scene.credentials("shop").await?;
        let made: jiff::Timestamp = status.last_rotation.context("made")?.parse()?;
        let next: jiff::Timestamp = status.next_rotation.context("next")?.parse()?;
        let wait = next.duration_since(made).as_hours();
        assert!((648..=720).contains(&wait), "{wait} h");

        let held = Held::of(&scene, "shop").await?;
        // As old as the interval, and a little more.
        let then = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(721);
        let annotations = json!({"oidc-operator.io/rotated-at": then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        let secrets = scene.secrets();
        secrets.patch("shop-oidc", &PatchParams::default(), &patch).await?;
        replaced(&scene, &held).await?;
        eventually("the next one is far away", SOON, async || {
            let next = scene.credentials("shop").await?.next_rotation.context("next")?;
            let next: jiff::Timestamp = next.parse()?;
            ensure!(next.duration_since(jiff::Timestamp::now()).as_hours() > 640, "{next}");
            Ok(())
        })
        .await?;
        Ok(())
    })
    .await;
}
