//! One client ID, several who want it: what this operator did not make is neither changed nor told, whoever asks for it.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    control_plane::{ControlPlane, Options},
    install,
    operator::{Operator, OperatorOptions},
    scene::SOON,
    wait::{eventually, steadily},
};
use serde_json::{Value, json};

use crate::{
    held::{Held, Scene, WHILE, accepted, becomes, no_outputs, scene_of_its_own, shown, told, writes_to},
    scene,
};

const SECRET: &str = "made-by-hand-and-nobodys-business";

/// A client that a person made, with all that such a client has.
fn by_hand(client_id: &str, mark: Option<String>) -> Value {
    let mut client = json!({
        "clientId": client_id,
        "name": "By hand",
        "secret": SECRET,
        "publicClient": false,
        "redirectUris": ["https://by-hand.example.com/callback"],
        "attributes": {"a": "b"},
    });
    if let Some(mark) = mark {
        client["attributes"]["oidc-operator.io/mark"] = json!(mark);
    }
    client
}

/// No Secret of the scene's namespaces holds [`SECRET`].
async fn not_read_out(scene: &Scene<'_>) -> Result<()> {
    for namespace in [&scene.app, &scene.identity] {
        let secrets: Api<Secret> = Api::namespaced(scene.kube.clone(), namespace);
        for secret in secrets.list(&ListParams::default()).await? {
            let data = secret.data.unwrap_or_default();
            let holds = |value: &[u8]| String::from_utf8_lossy(value).contains(SECRET);
            ensure!(
                !data.values().any(|value| holds(&value.0)),
                "{:?}",
                secret.metadata.name
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_somebody_else_made_is_left_alone() {
    case::run(async {
        let scene = scene("foreign").await?;
        let mark = |owner: &str, name: &str| format!("oidc-operator.io/{owner}/{}/{name}/some-uid", scene.app);
        let marks = [
            ("unmarked", None),
            ("another-cluster", Some(mark("other", "another-cluster"))),
            ("another-object", Some(mark("e2e", "somebody"))),
            ("unreadable", Some("oidc-operator.io/e2e".to_owned())),
        ];
        let mut before = Vec::new();
        let start = scene.idp.mark().await?;
        for (name, mark) in marks {
            let id = format!("{}-{name}", scene.app);
            scene.idp.create_client(&by_hand(&id, mark)).await?;
            before.push((name, shown(&scene, &id).await?));
            scene
                .client(name, json!({"clientID": id, "displayName": "Shop"}))
                .await?;
        }
        for (name, client) in &before {
            let id = client["clientId"].as_str().unwrap_or_default();
            let message = scene
                .condition::<OIDCClient>(name, "Accepted", "False", "ClientIDTaken")
                .await?;
            ensure!(message.contains(id) && !message.contains(SECRET), "{message}");
            let object = scene.api::<OIDCClient>().get(name).await?;
            let status = serde_json::to_value(object.status)?;
            ensure!(status["remote"].is_null() && status["binding"].is_null(), "{status}");
        }
        let unchanged = async || {
            for (name, before) in &before {
                let id = before["clientId"].as_str().unwrap_or_default();
                let now = shown(&scene, id).await?;
                ensure!(now == *before, "it is {now}, it was {before}");
                no_outputs(&scene, name).await?;
            }
            not_read_out(&scene).await
        };
        steadily("they are left alone", WHILE, unchanged).await?;

        // Nor does the end of a refused client touch what is not its own.
        for (name, _) in &before {
            scene.delete::<OIDCClient>(name).await?;
        }
        for (_, client) in &before {
            let id = client["clientId"].as_str().unwrap_or_default();
            assert_eq!(shown(&scene, id).await?, *client);
            let made = client["id"].as_str().unwrap_or_default();
            assert_eq!(writes_to(scene.idp, start, made).await?.kinds(), [].into());
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_place_of_a_client_made_by_hand_is_taken_once_it_is_free() {
    case::run(async {
        let scene = scene("freed").await?;
        let id = scene.client_id("shop");
        scene.idp.create_client(&by_hand(&id, None)).await?;
        scene.client("shop", json!({})).await?;
        scene
            .condition::<OIDCClient>("shop", "Accepted", "False", "ClientIDTaken")
            .await?;
        no_outputs(&scene, "shop").await?;
        ensure!(scene.idp.delete_client(&id).await?);
        scene.ask::<OIDCClient>("shop", "now").await?;
        scene.ready::<OIDCClient>("shop").await?;
        let held = Held::of(&scene, "shop").await?;
        assert_ne!(held.client_secret(), SECRET);
        ensure!(!accepted(&scene, SECRET, &id).await?);
        held.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn of_two_objects_that_name_one_client_id_the_first_has_it() {
    case::run(async {
        let scene = scene("rivals").await?;
        let id = format!("{}-shared", scene.app);
        scene.ready_client("first", json!({"clientID": id})).await?;
        let first = Held::of(&scene, "first").await?;
        let mark = scene.idp.mark().await?;
        scene.client("second", json!({"clientID": id})).await?;
        scene
            .condition::<OIDCClient>("second", "Accepted", "False", "ClientIDTaken")
            .await?;
        steadily("the first keeps it", WHILE, async || {
            no_outputs(&scene, "second").await?;
            ensure!(Held::of(&scene, "first").await? == first);
            Ok(())
        })
        .await?;
        assert_eq!(writes_to(scene.idp, mark, first.id()).await?.kinds(), [].into());
        scene.delete::<OIDCClient>("first").await?;
        scene.ask::<OIDCClient>("second", "now").await?;
        scene.ready::<OIDCClient>("second").await?;
        let second = Held::of(&scene, "second").await?;
        assert_ne!(second.id(), first.id());
        assert_ne!(second.client_secret(), first.client_secret());
        second.works(&scene).await
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
        let here = scene_of_its_own("clusters").await?;
        let (operator, cluster) = another_cluster("other").await?;
        let there = Scene::empty(&cluster, here.idp, "clusters").await?;
        there.provider(json!({"spec": {"resyncInterval": "5s"}})).await?;
        there.ready::<oidc_operator::api::OIDCProvider>("keycloak").await?;
        let mark = here.idp.mark().await?;
        let spec = |name: &str| json!({"clientID": "shop", "displayName": name});
        let (one, two) = tokio::join!(here.client("shop", spec("here")), there.client("shop", spec("there")));
        one.and(two)?;
        let (one, two) = tokio::try_join!(decided(&here), decided(&there))?;
        let (winner, loser, name) = match (one.as_str(), two.as_str()) {
            ("Ready", "ClientIDTaken") => (&here, &there, "here"),
            ("ClientIDTaken", "Ready") => (&there, &here, "there"),
            _ => bail!("here {one}, there {two}"),
        };
        let held = Held::of(winner, "shop").await?;
        assert_eq!(held.shown["name"], name);
        held.works(winner).await?;
        steadily("nothing flips", WHILE, async || {
            ensure!(Held::of(winner, "shop").await? == held);
            no_outputs(loser, "shop").await
        })
        .await?;
        assert_eq!(decided(loser).await?, "ClientIDTaken");
        let writes = here.idp.requests_since(mark).await?.of_operator().admin_writes();
        let made = writes.such(|request| request.method == "POST" && request.status == 201);
        assert_eq!(made.len(), 1, "{writes:?}");
        assert_eq!(writes.such(|request| request.status < 300).len(), 1, "{writes:?}");
        // The loser looks before it writes, as soon as it knows.
        ensure!(writes.len() <= 2, "{writes:?}");

        // Who is refused leaves it there; once the other is gone, there is room.
        winner.delete::<OIDCClient>("shop").await?;
        ensure!(here.idp.client("shop").await?.is_none());
        loser.ask::<OIDCClient>("shop", "now").await?;
        loser.ready::<OIDCClient>("shop").await?;
        Held::of(loser, "shop").await?.works(loser).await?;
        operator.terminate(Duration::from_secs(10)).await.map(drop)
    })
    .await;
}

#[tokio::test]
async fn a_client_that_was_renamed_by_hand_is_found_and_named_back() {
    case::run(async {
        let scene = scene("renamed").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let other = format!("{}-renamed", scene.app);
        let mark = scene.idp.mark().await?;
        scene
            .idp
            .update_client(held.client_id(), &json!({"clientId": other, "webOrigins": []}))
            .await?;
        let id = held.client_id();
        eventually("it has its name again", SOON, async || {
            ensure!(scene.idp.client(&other).await?.is_none(), "it is still {other}");
            ensure!(shown(&scene, id).await? == held.shown);
            Ok(())
        })
        .await?;
        let writes = writes_to(scene.idp, mark, held.id()).await?;
        assert_eq!(
            writes.of_operator().kinds(),
            [("PUT /admin/clients/{id}".to_owned(), 1)].into()
        );
        told(&scene, "shop", "Updated", &["clientID"]).await?;
        scene.ready::<OIDCClient>("shop").await?;
        assert_eq!(Held::of(&scene, "shop").await?, held);

        // Also its end finds it.
        scene
            .idp
            .update_client(id, &json!({"clientId": other, "webOrigins": []}))
            .await?;
        scene.delete::<OIDCClient>("shop").await?;
        for client_id in [id, &other] {
            ensure!(scene.idp.client(client_id).await?.is_none(), "{client_id} is left");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_retained_client_is_taken_back_with_id_and_secret() {
    case::run(async {
        let scene = scene("retain").await?;
        let spec = json!({"deletionPolicy": "Retain", "displayName": "Shop"});
        scene.ready_client("shop", spec.clone()).await?;
        let before = Held::of(&scene, "shop").await?;
        scene.delete::<OIDCClient>("shop").await?;
        told(&scene, "shop", "Retained", &[]).await?;
        let retained = Held::of(&scene, "shop").await?;
        let mark = |uid: &str| format!("oidc-operator.io/e2e/{}/shop/{uid}", scene.app);
        assert_eq!(
            json!(crate::held::difference(&before.shown, &retained.shown)),
            json!({"attributes.oidc-operator.io/mark": mark("released")})
        );
        assert_eq!(retained.secret, before.secret);
        retained.works(&scene).await?;

        let start = scene.idp.mark().await?;
        let client = scene.ready_client("shop", spec).await?;
        let after = Held::of(&scene, "shop").await?;
        let uid = client.metadata.uid.unwrap_or_default();
        assert_eq!(
            json!(crate::held::difference(&before.shown, &after.shown)),
            json!({"attributes.oidc-operator.io/mark": mark(&uid)}),
            "with the same id"
        );
        assert_eq!((&after.secret, &after.secret_uid), (&before.secret, &before.secret_uid));
        let writes = writes_to(scene.idp, start, after.id()).await?;
        assert_eq!(writes.kinds(), [("PUT /admin/clients/{id}".to_owned(), 1)].into());
        let remote = client.status.and_then(|status| status.remote).map(|remote| remote.id);
        assert_eq!(remote.as_deref(), Some(after.id()));
        after.works(&scene).await?;

        // Its id is that of its former life. Renamed by hand it is found all the same.
        let other = format!("{}-renamed", scene.app);
        scene
            .idp
            .update_client(after.client_id(), &json!({"clientId": other, "webOrigins": []}))
            .await?;
        becomes(&scene, "shop", "as it was", |now| *now == after).await?;
        ensure!(scene.idp.client(&other).await?.is_none(), "there are two of it now");
        scene
            .idp
            .update_client(after.client_id(), &json!({"clientId": other, "webOrigins": []}))
            .await?;
        scene
            .patch::<OIDCClient>("shop", json!({"spec": {"deletionPolicy": "Delete"}}))
            .await?;
        scene.delete::<OIDCClient>("shop").await?;
        for client_id in [after.client_id(), &other] {
            ensure!(scene.idp.client(client_id).await?.is_none(), "{client_id} is left");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_client_of_a_lost_cluster_is_taken_back_with_a_new_secret() {
    case::run(async {
        // The same owner id, namespace and name; the uid and the Secret are of a cluster that is no more.
        let scene = scene("rebuilt").await?;
        let id = scene.client_id("shop");
        let mark = format!("oidc-operator.io/e2e/{}/shop/of-the-lost-cluster", scene.app);
        let uuid = scene.idp.create_client(&by_hand(&id, Some(mark))).await?;
        let client = scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        assert_eq!(held.id(), uuid);
        assert_ne!(held.client_secret(), SECRET);
        ensure!(!accepted(&scene, SECRET, &id).await?);
        held.works(&scene).await?;
        assert_eq!(held.shown["redirectUris"], json!(["https://app.example.com/callback"]));
        assert_eq!(held.shown["fullScopeAllowed"], false);
        assert_eq!(held.shown["attributes"]["a"], "b", "what it does not manage stays");
        let remote = client.status.and_then(|status| status.remote).map(|remote| remote.id);
        assert_eq!(remote.as_deref(), Some(uuid.as_str()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_mark_was_taken_away_is_let_alone_until_it_is_back() {
    case::run(async {
        let scene = scene("unmarked").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let put_mark = async |mark: &Value| {
            let patch = json!({"attributes": {"oidc-operator.io/mark": mark}, "webOrigins": [], "name": "Theirs"});
            scene.idp.update_client(held.client_id(), &patch).await
        };
        put_mark(&json!("")).await?;
        scene
            .condition::<OIDCClient>("shop", "Accepted", "False", "ClientIDTaken")
            .await?;
        let taken = Held::of(&scene, "shop").await?;
        assert_eq!(taken.shown["name"], "Theirs");
        // Applications hold what they read: it stays.
        assert_eq!((&taken.secret, &taken.secret_uid), (&held.secret, &held.secret_uid));
        steadily("it is let alone", WHILE, async || {
            ensure!(Held::of(&scene, "shop").await? == taken);
            Ok(())
        })
        .await?;

        put_mark(&held.shown["attributes"]["oidc-operator.io/mark"]).await?;
        becomes(&scene, "shop", "as it was", |now| {
            crate::held::difference(&held.shown, &now.shown).is_empty()
                && (&now.secret, &now.secret_uid) == (&held.secret, &held.secret_uid)
        })
        .await?;
        scene.ready::<OIDCClient>("shop").await?;

        put_mark(&json!("")).await?;
        scene
            .condition::<OIDCClient>("shop", "Accepted", "False", "ClientIDTaken")
            .await?;
        scene.delete::<OIDCClient>("shop").await?;
        assert_eq!(shown(&scene, held.client_id()).await?, taken.shown);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_copy_that_somebody_made_of_a_client_is_theirs() {
    case::run(async {
        let scene = scene("copied").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let copy_id = format!("{}-copy", scene.app);
        let mut copy = held.shown.clone();
        copy["clientId"] = json!(copy_id);
        copy["name"] = json!("A copy");
        copy["secret"] = json!(SECRET);
        for member in ["id", "protocolMappers"] {
            copy.as_object_mut().and_then(|copy| copy.remove(member));
        }
        scene.idp.create_client(&copy).await?;
        let copy = shown(&scene, &copy_id).await?;
        let unchanged = async || {
            ensure!(shown(&scene, &copy_id).await? == copy, "the copy was changed");
            ensure!(Held::of(&scene, "shop").await? == held);
            Ok(())
        };
        steadily("both stay as they are", WHILE, unchanged).await?;
        // Nor is it taken for the one that was made, once that is gone.
        ensure!(scene.idp.delete_client(held.client_id()).await?);
        let again = becomes(&scene, "shop", "there again", |now| now.id() == held.id()).await?;
        again.works(&scene).await?;
        scene.delete::<OIDCClient>("shop").await?;
        assert_eq!(shown(&scene, &copy_id).await?, copy);
        not_read_out(&scene).await
    })
    .await;
}
