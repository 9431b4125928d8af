//! Objects that this version cannot read, as a newer one may have stored them: they say so, are left alone, and nobody else
//! notices. A stage of its own: its CRDs are changed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
};
use oidc_operator::api::{OIDCClient, OIDCProvider, crd};
use oidc_operator_e2e::{
    case,
    control_plane::ControlPlane,
    scene::{PROVIDER, SOON, Scene, Stage, Watched},
    wait::{eventually, steadily},
};
use serde_json::{Value, json};

use crate::held::{Held, WHILE, at_dex, tells};

/// The CRDs with one more choice for `spec.type`.
async fn widen(cluster: &ControlPlane) -> Result<()> {
    for (_, crd) in crd::all()? {
        let mut crd = serde_json::to_value(crd)?;
        let place = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/type/enum";
        let choices = crd.pointer_mut(place).and_then(Value::as_array_mut);
        choices.context("spec.type is no enum")?.push(json!("Newer"));
        cluster.kubectl()?.apply(&crd.to_string()).await?;
    }
    Ok(())
}

/// Waits until the API server takes, or refuses, `Newer`.
async fn takes_newer(scene: &Scene<'_>, wanted: bool) -> Result<()> {
    let api = untyped::<OIDCClient>(scene);
    let object = scene.client_object("probe", &json!({"type": "Newer"}));
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::apply("e2e").force()
    };
    eventually(format!("type Newer is taken: {wanted}"), SOON, async || {
        let answer = api.patch("probe", &params, &Patch::Apply(&object)).await;
        ensure!(answer.is_ok() == wanted, "{answer:?}");
        Ok(())
    })
    .await
}

fn untyped<K: Watched>(scene: &Scene<'_>) -> Api<DynamicObject> {
    Api::namespaced_with(scene.kube.clone(), K::home(scene), &ApiResource::erase::<K>(&()))
}

/// Waits until `Ready` is False because the object cannot be read; gives the message.
async fn invalid<K: Watched>(scene: &Scene<'_>, name: &str) -> Result<String> {
    let api = untyped::<K>(scene);
    eventually(format!("{name} says that it cannot be read"), SOON, async || {
        let object = api.get(name).await?;
        ensure!(object.data["status"]["observedGeneration"] == json!(object.metadata.generation));
        let conditions = object.data["status"]["conditions"].as_array().cloned();
        let conditions = conditions.context("no conditions")?;
        let ready = conditions.iter().find(|condition| condition["type"] == "Ready");
        let ready = ready.context("no Ready")?;
        ensure!(
            ready["status"] == "False" && ready["reason"] == "InvalidObject",
            "{ready}"
        );
        Ok(ready["message"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

#[tokio::test]
async fn an_object_that_cannot_be_read_says_so_and_holds_nobody_up() {
    case::run(async {
        let mut stage = Stage::start("decode", &[]).await?;
        let scene = Scene::empty(&stage.cluster, &stage.dex, "decode").await?;
        scene.provider(json!({})).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready_client("shop", json!({})).await?;
        scene.ready_client("upgraded", json!({})).await?;
        scene.ready_client("unwanted", json!({})).await?;
        let held = [Held::of(&scene, "shop").await?, Held::of(&scene, "upgraded").await?];

        // A newer operator was here, and this one comes back with its own CRDs.
        stage.operator.terminate(Duration::from_secs(10)).await?;
        widen(&stage.cluster).await?;
        takes_newer(&scene, true).await?;
        scene.client("new", json!({"type": "Newer"})).await?;
        scene.client("upgraded", json!({"type": "Newer"})).await?;
        scene.client("unwanted", json!({"type": "Newer"})).await?;
        scene
            .provider(json!({"metadata": {"name": "newer"}, "spec": {"type": "Newer", "dex": null}}))
            .await?;
        stage.cluster.kubectl()?.apply_path("config/crd").await?;
        takes_newer(&scene, false).await?;
        stage.operator.start_again()?;
        stage.operator.wait_ready(SOON).await?;

        for name in ["new", "upgraded", "unwanted"] {
            let message = invalid::<OIDCClient>(&scene, name).await?;
            tells(
                &message,
                &[
                    "cannot read the object",
                    "Newer",
                    "update the operator and the CRDs together",
                ],
            )?;
        }
        invalid::<OIDCProvider>(&scene, "newer").await?;
        for kind in ["OIDCClient", "OIDCProvider"] {
            let name = "oidc_operator_invalid_objects_total";
            let count = stage.operator.metric(name, &[("kind", kind)]).await?;
            ensure!(count > 0.0, "{kind} was not counted");
        }

        // Everybody else goes on.
        scene.ready_client("late", json!({})).await?;
        scene
            .ready_client("shop", json!({"redirectURIs": ["https://new.example.com/callback"]}))
            .await?;
        let shop = Held::of(&scene, "shop").await?;
        assert_eq!(shop.at_dex.redirect_uris, ["https://new.example.com/callback"]);
        assert_eq!(shop.client_secret(), held[0].client_secret());
        assert_eq!(Held::of(&scene, "upgraded").await?, held[1]);
        crate::held::nothing_stands(&scene, "new").await?;
        scene.delete::<OIDCClient>("late").await?;

        // The end of one waits for whoever can read it, unless somebody says otherwise.
        let api = untyped::<OIDCClient>(&scene);
        api.delete("new", &DeleteParams::default()).await?;
        ensure!(
            api.get_opt("new").await?.is_none(),
            "it never had anything at Dex, and is there"
        );
        api.delete("unwanted", &DeleteParams::default()).await?;
        steadily("it waits", WHILE, async || {
            api.get("unwanted").await?;
            Ok(())
        })
        .await?;
        let orphan = json!({"metadata": {"annotations": {"oidc-operator.io/orphan": "true"}}});
        api.patch("unwanted", &PatchParams::default(), &Patch::Merge(orphan))
            .await?;
        eventually("it is gone", SOON, async || {
            ensure!(api.get_opt("unwanted").await?.is_none(), "it is there");
            Ok(())
        })
        .await?;
        let note = scene.event(&scene.app, "unwanted", "LeftBehind").await?;
        tells(&note, &["cannot read it", "oidc-operator.io/orphan"])?;
        ensure!(
            at_dex(&scene, &scene.client_id("unwanted")).await?.is_some(),
            "it was deleted"
        );

        // Mended: what was there is still there.
        for name in ["new", "upgraded"] {
            scene.ready_client(name, json!({})).await?;
            Held::of(&scene, name).await?.works(&scene).await?;
        }
        assert_eq!(Held::of(&scene, "upgraded").await?, held[1]);
        Ok(())
    })
    .await;
}
