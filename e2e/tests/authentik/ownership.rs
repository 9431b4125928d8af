//! One client ID or slug, several who want it: what this operator did not make is neither changed nor told.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    authentik::{Managed, kinds},
    case,
    control_plane::{ControlPlane, Options},
    install,
    operator::{Operator, OperatorOptions},
    scene::{Idp as _, SOON, Stage},
    wait::{eventually, steadily},
};
use serde_json::{Value, json};

use crate::{
    held::{Scene, WHILE, no_outputs, rare_scene, works},
    scene,
};

const SECRET: &str = "made-by-hand-and-nobodys-business";

/// Both objects, as they are.
fn standing(managed: &Managed, client_id: &str, slug: &str) -> (Option<Value>, Option<Value>) {
    (managed.server.provider(client_id), managed.server.application(slug))
}

#[tokio::test]
async fn what_somebody_else_made_is_left_alone() {
    case::run(async {
        let scene = rare_scene("foreign").await?;
        let admin = scene.idp.admin()?;
        let mark = |owner: &str, name: &str| format!("oidc-operator.io/{owner}/{}/{name}/some-uid", scene.app);
        // The name of a provider that has the client ID, or else of one that has another; and who has the application.
        let made = [
            ("unmarked", true, "By hand".to_owned(), true),
            ("alone", true, "Without application".to_owned(), false),
            ("another-cluster", true, mark("other", "another-cluster"), true),
            ("another-object", true, mark("e2e", "somebody"), true),
            ("unreadable", true, "oidc-operator.io/e2e".to_owned(), true),
            ("slug", false, "Of the slug".to_owned(), true),
            ("marked-slug", false, mark("other", "marked-slug"), true),
        ];
        let mut before = Vec::new();
        for (name, has_id, provider, has_application) in &made {
            let id = scene.client_id(name);
            let client_id = if *has_id { id.clone() } else { format!("{id}-other") };
            let theirs = json!({"name": provider, "client_id": client_id, "client_secret": SECRET});
            let theirs = admin.make_provider(&theirs).await?;
            if *has_application {
                let application = json!({"name": "Theirs", "slug": id, "provider": theirs["pk"]});
                admin.post("core/applications/", &application).await?;
            }
            before.push((
                *name,
                id.clone(),
                client_id.clone(),
                standing(scene.idp, &client_id, &id),
            ));
        }
        // An application of nobody.
        let id = scene.client_id("orphan");
        admin
            .post("core/applications/", &json!({"name": "Theirs", "slug": id}))
            .await?;
        before.push(("orphan", id.clone(), id.clone(), standing(scene.idp, &id, &id)));

        let mark = scene.idp.mark();
        for (name, ..) in &before {
            let claims = json!([{"name": "tier", "type": "Constant", "constant": {"value": "gold"}}]);
            scene
                .client(name, json!({"displayName": "Shop", "claims": claims}))
                .await?;
        }
        for (name, id, ..) in &before {
            let message = scene
                .condition::<OIDCClient>(name, "Accepted", "False", "ClientIDTaken")
                .await?;
            ensure!(message.contains(id.as_str()) && !message.contains(SECRET), "{message}");
            let status = serde_json::to_value(scene.api::<OIDCClient>().get(name).await?.status)?;
            ensure!(status["remote"].is_null() && status["binding"].is_null(), "{status}");
        }
        let unchanged = async || {
            for (name, id, client_id, before) in &before {
                let now = standing(scene.idp, client_id, id);
                ensure!(now == *before, "it is {now:?}, it was {before:?}");
                no_outputs(&scene, name).await?;
            }
            Ok(())
        };
        steadily("they are left alone", WHILE, unchanged).await?;
        // Nor does the end of a refused client touch what is not its own.
        for (name, ..) in &before {
            scene.delete::<OIDCClient>(name).await?;
        }
        unchanged().await?;
        // One that is in no list yet is tried once: its mapping is made and goes again, its provider is refused.
        for write in scene.idp.writes_since(mark) {
            let refused = write.kind() == "POST providers/oauth2/" && write.status == Some(400);
            ensure!(refused || write.path.contains("/scope/"), "{write:?}");
        }
        assert_eq!(admin.made_mappings().await?, [Value::Null; 0]);
        for (place, text) in scene.told(&Stage::shared().await?.operator).await? {
            ensure!(!text.contains(SECRET), "{place} tells it");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_place_of_what_was_made_by_hand_is_taken_once_it_is_free() {
    case::run(async {
        let scene = scene("freed").await?;
        let (admin, id) = (scene.idp.admin()?, scene.client_id("shop"));
        let theirs = json!({"name": format!("By hand {id}"), "client_id": id, "client_secret": SECRET});
        admin.make_provider(&theirs).await?;
        scene.client("shop", json!({})).await?;
        scene
            .condition::<OIDCClient>("shop", "Accepted", "False", "ClientIDTaken")
            .await?;
        admin.delete(&admin.path_of(&id).await?).await?;
        scene.ask::<OIDCClient>("shop", "now").await?;
        scene.ready::<OIDCClient>("shop").await?;
        ensure!(!scene.idp.accepts(&id, SECRET).await?);
        works(&scene, "shop").await
    })
    .await;
}

/// A cluster of somebody else, with an operator of its own.
async fn another_cluster(owner_id: &str) -> Result<(Operator, ControlPlane)> {
    let cluster = ControlPlane::start(Options {
        name: "other-control-plane".to_owned(),
        ..Options::default()
    })
    .await?;
    let kubeconfig = install::install(&cluster).await?;
    let mut options = OperatorOptions::new(kubeconfig, owner_id);
    options.name = "other-operator".to_owned();
    let operator = Operator::start(options)?;
    operator.wait_ready(SOON).await?;
    Ok((operator, cluster))
}

/// Accepted's reason, once it is decided who of both has the client.
async fn decided(scene: &Scene<'_>) -> Result<String> {
    eventually("it is decided", SOON, async || {
        let status = scene.api::<OIDCClient>().get("shop").await?.status.unwrap_or_default();
        let is = |type_: &str| {
            let found = status.conditions.iter().find(|condition| condition.type_ == type_);
            found.map(|found| (format!("{:?}", found.status), found.reason.clone()))
        };
        match (is("Ready"), is("Accepted")) {
            (Some((ready, _)), _) if ready == "True" => Ok("Ready".to_owned()),
            (_, Some((accepted, reason))) if accepted == "False" => Ok(reason),
            seen => bail!("{seen:?}"),
        }
    })
    .await
}

#[tokio::test]
async fn two_clusters_that_want_one_client_do_not_fight() {
    case::run(async {
        let here = rare_scene("clusters").await?;
        let managed = here.idp;
        let (operator, cluster) = another_cluster("other").await?;
        let there = Scene::empty(&cluster, managed, "clusters").await?;
        there.provider(json!({"spec": {"resyncInterval": "5s"}})).await?;
        there.ready::<OIDCProvider>(Managed::NAME).await?;
        // Both see that there is none before one of them is made.
        managed.server.race_window(Duration::from_millis(300));
        let spec = |name: &str| json!({"clientID": "shop", "displayName": name});
        let (one, two) = tokio::join!(here.client("shop", spec("here")), there.client("shop", spec("there")));
        one.and(two)?;
        let (one, two) = tokio::try_join!(decided(&here), decided(&there))?;
        let (winner, loser, name) = match (one.as_str(), two.as_str()) {
            ("Ready", "ClientIDTaken") => (&here, &there, "here"),
            ("ClientIDTaken", "Ready") => (&there, &here, "there"),
            _ => bail!("here {one}, there {two}"),
        };
        let held = standing(managed, "shop", "shop");
        let application = held.1.as_ref().context("no application")?;
        assert_eq!(application["name"], name);
        works(winner, "shop").await?;
        let mark = managed.mark();
        steadily("nothing flips", WHILE, async || {
            ensure!(standing(managed, "shop", "shop") == held);
            no_outputs(loser, "shop").await
        })
        .await?;
        assert_eq!(kinds(&managed.writes_since(mark)), [].into());
        assert_eq!(managed.server.client_ids(), ["shop"]);
        assert_eq!(managed.server.slugs(), ["shop"]);

        // Who is refused leaves it there; once the other is gone, there is room.
        winner.delete::<OIDCClient>("shop").await?;
        loser.ask::<OIDCClient>("shop", "now").await?;
        loser.ready::<OIDCClient>("shop").await?;
        works(loser, "shop").await?;
        operator.terminate(Duration::from_secs(10)).await.map(drop)
    })
    .await;
}
