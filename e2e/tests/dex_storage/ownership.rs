//! What this operator did not make is neither changed nor told.

use anyhow::{Context as _, Result, ensure};
use kube::api::{DynamicObject, PostParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    dex::api::Client as DexClient,
    install,
    scene::SOON,
    wait::{eventually, steadily},
};
use serde_json::json;

use crate::held::{Scene, accepted, dex, held, object, secret};

const SECRET: &str = "made-by-hand-and-nobodys-business";

/// A client that a person made through Dex's gRPC API, with the mark of somebody else or none.
async fn by_hand(scene: &Scene<'_>, id: &str, mark: Option<&str>) -> Result<DynamicObject> {
    let client = DexClient {
        id: id.to_owned(),
        secret: SECRET.to_owned(),
        redirect_uris: vec!["https://by-hand.example.com/callback".to_owned()],
        name: "By hand".to_owned(),
        ..DexClient::default()
    };
    scene.idp.dex.admin().await?.create(client).await?;
    let patch = json!({"metadata": {"annotations": {"oidc-operator.io/mark": mark}}});
    scene.idp.edit(&scene.kube, id, patch).await
}

#[tokio::test]
async fn what_somebody_else_made_is_left_alone() {
    case::run(async {
        let (stage, dex) = dex("storage-foreign").await?;
        let scene = stage.scene_at(&dex, "foreign", json!({})).await?;
        let mark = |owner: &str, name: &str| format!("oidc-operator.io/{owner}/{}/{name}/some-uid", scene.app);
        let marks = [
            ("unmarked", None),
            ("another-cluster", Some(mark("other", "another-cluster"))),
            ("another-object", Some(mark("e2e", "somebody"))),
            ("unreadable", Some("oidc-operator.io/e2e".to_owned())),
        ];
        let mut before = Vec::new();
        for (name, mark) in &marks {
            before.push(by_hand(&scene, &scene.client_id(name), mark.as_deref()).await?);
            scene.client(name, json!({"displayName": "Shop"})).await?;
        }
        for (name, _) in &marks {
            let message = scene
                .condition::<OIDCClient>(name, "Accepted", "False", "ClientIDTaken")
                .await?;
            ensure!(!message.contains(SECRET), "{message}");
        }
        // A hand works on: that wakes the clients, and changes nothing.
        for (number, object) in before.iter_mut().enumerate() {
            let id = object.data["id"].as_str().unwrap_or_default().to_owned();
            *object = dex
                .edit(&scene.kube, &id, json!({"name": format!("By hand {number}")}))
                .await?;
        }
        let unchanged = async || {
            for object in &before {
                let id = object.data["id"].as_str().unwrap_or_default();
                let now = dex.object(&scene.kube, id).await?;
                ensure!(now.as_ref() == Some(object), "{id} was changed");
            }
            for (what, text) in scene.told(&stage.operator).await? {
                ensure!(!text.contains(SECRET), "{what} tells a secret");
            }
            Ok(())
        };
        steadily("they are left alone", std::time::Duration::from_secs(2), unchanged).await?;
        for (name, _) in &marks {
            scene.delete::<OIDCClient>(name).await?;
        }
        unchanged().await
    })
    .await;
}

/// A client that is let go with `Retain` goes on, and a new OIDCClient of the same name takes it back.
#[tokio::test]
async fn what_is_retained_is_taken_back() {
    case::run(async {
        let (stage, dex) = dex("storage-retain").await?;
        let scene = stage.scene_at(&dex, "retain", json!({})).await?;
        let first = scene.ready_client("shop", json!({"deletionPolicy": "Retain"})).await?;
        let (before, kept) = (held(&scene, "shop").await?, secret(&scene, "shop").await?);
        let uid = |client: &OIDCClient| client.metadata.uid.clone().unwrap();
        assert_eq!(before["labels"]["oidc-operator.io/client-uid"], uid(&first));

        scene.delete::<OIDCClient>("shop").await?;
        let released = object(&scene, "shop").await?;
        let mark = &released.metadata.annotations.as_ref().unwrap()["oidc-operator.io/mark"];
        ensure!(mark.ends_with("/shop/released"), "{mark}");
        assert_eq!(released.metadata.labels, None);
        ensure!(
            accepted(&scene, "shop", &kept).await?,
            "what was retained does not work"
        );

        let second = scene.ready_client("shop", json!({})).await?;
        let after = held(&scene, "shop").await?;
        assert_eq!(after["labels"]["oidc-operator.io/client-uid"], uid(&second));
        assert_eq!(after["client"], before["client"], "with the same secret");
        assert_eq!(secret(&scene, "shop").await?, kept);

        scene.delete::<OIDCClient>("shop").await?;
        ensure!(dex.object(&scene.kube, &scene.client_id("shop")).await?.is_none());
        Ok(())
    })
    .await;
}

/// The way from the gRPC API to the objects: the clients go on with their secrets, and so do the outputs.
#[tokio::test]
async fn a_client_of_the_grpc_api_is_taken_over() {
    case::run(async {
        let (stage, dex) = dex("storage-move").await?;
        let scene = stage.scene_at(&dex, "move", json!({})).await?;
        for reference in install::references(&dex.dex, &scene.identity) {
            scene.apply(reference).await?;
        }
        let by_grpc = install::provider(&dex.dex, &scene.identity, "dex-by-grpc");
        scene.apply(by_grpc).await?;
        let reference = json!({"name": "dex-by-grpc", "namespace": scene.identity});
        let spec = json!({"providerRef": reference, "deletionPolicy": "Retain", "displayName": "Shop"});
        scene.ready_client("shop", spec).await?;
        let (before, kept) = (held(&scene, "shop").await?, secret(&scene, "shop").await?);
        assert_eq!(before["annotations"], json!(null), "the mark is among the peers");

        // Before it is let go, it is not unmarked to the other way in.
        scene
            .client("thief", json!({"clientID": scene.client_id("shop")}))
            .await?;
        scene
            .condition::<OIDCClient>("thief", "Accepted", "False", "ClientIDTaken")
            .await?;
        scene.delete::<OIDCClient>("thief").await?;

        scene.delete::<OIDCClient>("shop").await?;
        let second = scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        let after = held(&scene, "shop").await?;
        let uid = second.metadata.uid.context("no uid")?;
        assert_eq!(after["labels"]["oidc-operator.io/client-uid"], uid);
        let mark = after["annotations"]["oidc-operator.io/mark"]
            .as_str()
            .unwrap_or_default();
        ensure!(mark.ends_with(&uid), "{after}");
        assert_eq!(after["client"]["trustedPeers"], json!(null));
        assert_eq!(after["client"]["secret"], before["client"]["secret"]);
        assert_eq!(secret(&scene, "shop").await?, kept);
        Ok(())
    })
    .await;
}

/// A client ID that Dex finds under another name is free, whoever says otherwise.
#[tokio::test]
async fn an_object_under_another_name_is_no_client_of_dexs() {
    case::run(async {
        let (stage, dex) = dex("storage-names").await?;
        let scene = stage.scene_at(&dex, "names", json!({})).await?;
        let id = scene.client_id("shop");
        let mut lookalike: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "dex.coreos.com/v1",
            "kind": "OAuth2Client",
            "metadata": {"name": "lookalike"},
            "id": id,
            "secret": SECRET,
        }))?;
        lookalike = dex
            .clients(&scene.kube)
            .create(&PostParams::default(), &lookalike)
            .await?;
        scene.ready_client("shop", json!({})).await?;
        eventually("the client works", SOON, async || {
            let data = scene.secret("shop-oidc").await?;
            ensure!(accepted(&scene, "shop", &data["client-secret"]).await?);
            ensure!(!accepted(&scene, "shop", SECRET).await?);
            Ok(())
        })
        .await?;
        let now = dex.clients(&scene.kube).get("lookalike").await?;
        assert_eq!(now, lookalike);
        Ok(())
    })
    .await;
}
