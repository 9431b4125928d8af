//! One client ID, two who want it: who was first keeps it, and what the operator did not make is neither changed nor told.

use anyhow::ensure;
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions, StaticClient, api::Client},
    scene::{PROVIDER, SOON, Stage},
    wait::eventually,
};
use serde_json::json;

use crate::held::{Held, WHILE, at_dex, no_outputs, stays, tells};

#[tokio::test]
async fn a_second_client_of_the_same_id_waits_until_the_first_is_gone() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("same-id").await?;
        let id = format!("{}-shared", scene.app);
        scene.ready_client("first", json!({"clientID": id})).await?;
        let first = Held::of(&scene, "first").await?;
        scene.client("second", json!({"clientID": id})).await?;
        let message = scene
            .condition::<OIDCClient>("second", "Accepted", "False", "ClientIDTaken")
            .await?;
        tells(&message, &[&id, "another clientID"])?;
        scene
            .condition::<OIDCClient>("second", "Ready", "False", "ClientIDTaken")
            .await?;
        no_outputs(&scene, "second").await?;
        stays(&scene, "first", &first).await?;
        no_outputs(&scene, "second").await?;

        scene.delete::<OIDCClient>("first").await?;
        scene.ready::<OIDCClient>("second").await?;
        let second = Held::of(&scene, "second").await?;
        second.works(&scene).await?;
        assert_ne!(second.client_secret(), first.client_secret());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_first_keeps_its_id_when_dex_lost_its_memory() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let scene = stage.scene_at(&dex, "lost-id", json!({})).await?;
        scene.ready_client("first", json!({"clientID": "shared"})).await?;
        let first = Held::of(&scene, "first").await?;
        scene.client("second", json!({"clientID": "shared"})).await?;
        scene
            .condition::<OIDCClient>("second", "Accepted", "False", "ClientIDTaken")
            .await?;

        dex.kill();
        dex.start_again().await?;
        // The second looks before the first, so the ID is free when it does.
        scene.ask::<OIDCClient>("second", "1").await?;
        let message = scene
            .condition::<OIDCClient>("second", "Accepted", "False", "ClientIDConflict")
            .await?;
        tells(&message, &["OIDCClient first has client ID shared"])?;
        ensure!(at_dex(&scene, "shared").await?.is_none(), "somebody made it");

        scene.ask::<OIDCClient>("first", "1").await?;
        eventually("the first is there again", SOON, async || {
            let now = Held::of(&scene, "first").await?;
            ensure!(now == first, "it is {now:?}");
            Ok(())
        })
        .await?;
        scene.ask::<OIDCClient>("second", "2").await?;
        scene
            .condition::<OIDCClient>("second", "Accepted", "False", "ClientIDTaken")
            .await?;
        no_outputs(&scene, "second").await
    })
    .await;
}

#[tokio::test]
async fn what_somebody_else_made_is_left_alone() {
    case::run(async {
        let stage = Stage::shared().await?;
        let dex = Dex::start(DexOptions {
            static_clients: vec![StaticClient {
                id: "static".to_owned(),
                secret: "of-the-configuration".to_owned(),
                redirect_uris: vec!["https://static.example.com/callback".to_owned()],
            }],
            ..DexOptions::default()
        })
        .await?;
        let scene = stage.scene_at(&dex, "foreign", json!({})).await?;
        let admin = dex.admin().await?;
        let by_hand = |id: &str, peers: Vec<String>| Client {
            id: id.to_owned(),
            secret: format!("secret-of-{id}"),
            redirect_uris: vec!["https://by-hand.example.com/callback".to_owned()],
            trusted_peers: peers,
            ..Client::default()
        };
        let foreign_mark = format!("oidc-operator.io/other-cluster/{}/marked/some-uid", scene.app);
        admin.create(by_hand("unmarked", vec![])).await?;
        admin.create(by_hand("marked", vec![foreign_mark])).await?;
        let ids = ["unmarked", "marked", "static"];
        let mut before = Vec::new();
        for id in ids {
            before.push(at_dex(&scene, id).await?.unwrap());
            scene.client(id, json!({"clientID": id})).await?;
        }
        for id in ids {
            let message = scene
                .condition::<OIDCClient>(id, "Accepted", "False", "ClientIDTaken")
                .await?;
            tells(&message, &[id, "It is left as it is", "in its configuration"])?;
            let secret = &at_dex(&scene, id).await?.unwrap().secret;
            ensure!(!message.contains(secret.as_str()), "the message tells the secret");
        }
        oidc_operator_e2e::wait::steadily("they are left alone", WHILE, async || {
            for (id, before) in ids.iter().zip(&before) {
                let now = at_dex(&scene, id).await?;
                ensure!(now.as_ref() == Some(before), "it is {now:?}, it was {before:?}");
                no_outputs(&scene, id).await?;
            }
            Ok(())
        })
        .await?;

        // Refused is not stuck: once the place is free, it is taken.
        admin.delete("unmarked").await?;
        scene.ask::<OIDCClient>("unmarked", "now").await?;
        scene.ready::<OIDCClient>("unmarked").await?;
        let held = Held::of(&scene, "unmarked").await?;
        assert_ne!(held.client_secret(), "secret-of-unmarked");
        held.works(&scene).await?;

        // Nor does the end of a refused client touch what is not its own.
        scene.delete::<OIDCClient>("marked").await?;
        assert_eq!(at_dex(&scene, "marked").await?.as_ref(), Some(&before[1]));
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        Ok(())
    })
    .await;
}
