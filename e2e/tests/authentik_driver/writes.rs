//! Surprises 1, 7, 9 and 11: writes that fail, or seem to.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use oidc_operator::domain::{IdpErrorKind, Ownership};
use oidc_operator::idp::{Created, Driver as _, Written};
use oidc_operator_e2e::authentik::{AuthentikOptions, Fault, Rule};
use oidc_operator_e2e::case;
use reqwest::Method;
use serde_json::{Value, json};

use crate::room::{APPLICATIONS, MAPPINGS, PROVIDERS, Room, client, error};

/// Every way in which the answer to a write can be lost.
fn faults(path: &str, method: &str) -> Vec<(String, Rule)> {
    let mut rules = Vec::new();
    for fault in [Fault::Empty405, Fault::BadGateway, Fault::Reset] {
        let name = format!("{method} {path}: {fault:?}");
        let rule = Rule::new(path, fault).method(method).times(1);
        rules.push((format!("{name} before its effect"), rule.clone()));
        rules.push((format!("{name} after its effect"), rule.after_effect()));
    }
    rules
}

/// Whatever is lost on the way, nobody takes it for refused or done, and a look and another try end well.
#[tokio::test]
async fn surprise_01_an_empty_405_means_outcome_unknown() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("unknown");
        for (name, rule) in [MAPPINGS, PROVIDERS, APPLICATIONS]
            .iter()
            .flat_map(|path| faults(path, "POST"))
        {
            room.server.fault(rule);
            let lost = error(&name, room.driver.create(&desired, Some(&secret)).await)?;
            ensure!(!lost.is_definite(), "{name}: {lost:?}");
            room.bring(&desired, &secret).await.context(name.clone())?;
            room.is_all_there_is(&desired).await.context(name.clone())?;
            room.driver.delete(&room.get(&desired).await?).await?;
            room.nothing_is_left().await.context(name)?;
        }

        room.bring(&desired, &secret).await?;
        let mut changed = desired.clone();
        changed.redirect_uris.push("https://app.example.com/second".to_owned());
        changed.description = Some("changed".to_owned());
        changed.claims[0].source = oidc_operator::domain::ClaimSource::Constant("silver".to_owned());
        for (name, rule) in [MAPPINGS, PROVIDERS, APPLICATIONS]
            .iter()
            .flat_map(|path| faults(path, "PATCH"))
        {
            room.server.fault(rule);
            let lost = room.bring(&changed, &secret).await;
            let lost = lost.err().with_context(|| format!("{name} went well"))?;
            let lost = lost.downcast_ref::<oidc_operator::domain::IdpError>();
            ensure!(lost.is_some_and(|lost| !lost.is_definite()), "{name}: {lost:?}");
            room.bring(&changed, &secret).await.context(name)?;
            room.bring(&desired, &secret).await?;
        }

        for (name, rule) in [APPLICATIONS, PROVIDERS, MAPPINGS]
            .iter()
            .flat_map(|path| faults(path, "DELETE"))
        {
            room.bring(&desired, &secret).await?;
            room.server.fault(rule);
            let lost = error(&name, room.driver.delete(&room.get(&desired).await?).await)?;
            ensure!(!lost.is_definite(), "{name}: {lost:?}");
            // What is left is still ours, and goes.
            if let Some(mut left) = room.driver.get(&desired.client_id, &desired.mark).await? {
                let id = left.remote_id.clone();
                room.driver.model().recall(&mut left, &desired.mark, &id);
                ensure!(left.ownership(&desired.mark) == Ownership::Ours, "{name}: {left:?}");
                room.driver.delete(&left).await?;
            }
            room.nothing_is_left().await.context(name)?;
        }
        room.finish()
    })
    .await;
}

/// A foreign client ID, a foreign slug, and a slug that is taken between the look and the write.
#[tokio::test]
async fn surprise_07_what_is_taken_is_refused_and_nothing_is_left() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("taken");
        let id = desired.client_id.as_str();

        let foreign = room.by_hand(id, "By hand", None).await?;
        ensure!(room.driver.create(&desired, Some(&secret)).await? == Created::Taken);
        ensure!(room.get(&desired).await?.ownership(&desired.mark) == Ownership::Unmarked);
        ensure!(room.all().await? == (vec![id.to_owned()], vec![], vec![]));
        let path = format!("{PROVIDERS}{}/", foreign["pk"]);
        room.admin(Method::DELETE, &path, Value::Null).await?;

        room.by_hand("another", "By hand", Some(id)).await?;
        let before = room.all().await?;
        room.server.forget_requests();
        ensure!(room.driver.create(&desired, Some(&secret)).await? == Created::Taken);
        ensure!(
            room.sent("POST", "/").is_empty(),
            "something was made before the slug was looked at"
        );
        ensure!(room.get(&desired).await?.ownership(&desired.mark) == Ownership::Unmarked);
        ensure!(room.all().await? == before);
        room.admin(Method::DELETE, &format!("{APPLICATIONS}{id}/"), Value::Null)
            .await?;

        let before = room.all().await?;
        room.server.forget_requests();
        room.server.latency(PROVIDERS, Duration::from_millis(300));
        let rival = async {
            while room.sent("POST", PROVIDERS).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let application = json!({ "name": "Rival", "slug": id });
            room.admin(Method::POST, APPLICATIONS, application).await
        };
        let (created, rival) = tokio::join!(room.driver.create(&desired, Some(&secret)), rival);
        rival?;
        ensure!(created? == Created::Taken);
        room.server.heal();
        ensure!(
            room.sent("POST", APPLICATIONS).len() == 1,
            "the slug was free when it was looked at"
        );
        ensure!(room.all().await? == (before.0, vec![id.to_owned()], vec![]));
        let rival = room.server.application(id).context("the rival is gone")?;
        ensure!(rival["name"] == "Rival", "{rival}");
        room.finish()
    })
    .await;
}

/// Our own name is taken where somebody gave the client another ID: the look finds it by its name, as ours.
#[tokio::test]
async fn surprise_07_a_taken_name_is_found_by_the_mark() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("renamed");
        let shown = room.create(&desired, &secret).await?;
        let path = format!("{PROVIDERS}{}/", shown.handles["provider"]);
        room.admin(Method::PATCH, &path, json!({ "client_id": "renamed-by-hand" }))
            .await?;
        let slug = format!("{APPLICATIONS}{}/", desired.client_id);
        room.admin(Method::PATCH, &slug, json!({ "slug": "renamed-by-hand" }))
            .await?;
        ensure!(room.driver.create(&desired, Some(&secret)).await? == Created::Taken);
        let found = room.get(&desired).await?;
        ensure!(found.client_id == "renamed-by-hand");
        ensure!(found.ownership(&desired.mark) == Ownership::Ours);
        room.bring(&desired, &secret).await?;
        room.is_all_there_is(&desired).await?;
        room.finish()
    })
    .await;
}

/// What the server refuses for another reason, after others were made, leaves nothing either.
#[tokio::test]
async fn surprise_07_a_refused_application_takes_its_provider_with_it() {
    case::run(async {
        let room = Room::new().await?;
        let (mut desired, secret) = client("refused");
        desired.homepage_uri = Some("no address".to_owned());
        let refused = error("create", room.driver.create(&desired, Some(&secret)).await)?;
        ensure!(refused.kind == IdpErrorKind::Refused, "{refused:?}");
        ensure!(
            room.sent("POST", APPLICATIONS).len() == 1,
            "it was refused for another reason"
        );
        room.nothing_is_left().await?;
        // The documents refuse that address, too.
        Ok(())
    })
    .await;
}

/// A PATCH carries what changed and nothing else; what people set beside stays.
#[tokio::test]
async fn surprise_09_a_patch_holds_only_the_operators_fields() {
    case::run(async {
        let room = Room::new().await?;
        let (mut desired, secret) = client("patched");
        let shown = room.create(&desired, &secret).await?;
        let provider = format!("{PROVIDERS}{}/", shown.handles["provider"]);
        let application = format!("{APPLICATIONS}{}/", desired.client_id);
        let by_hand = json!({ "access_code_validity": "minutes=7" });
        room.admin(Method::PATCH, &provider, by_hand).await?;
        let by_hand = json!({ "group": "Tools", "meta_publisher": "Somebody" });
        room.admin(Method::PATCH, &application, by_hand).await?;
        room.stands(&desired, &secret).await?;

        desired.description = Some("new".to_owned());
        desired.lifetimes.access = Some(Duration::from_secs(90));
        room.bring(&desired, &secret).await?;
        let patches: Vec<Value> = room.sent("PATCH", "/").into_iter().map(|one| one.body).collect();
        ensure!(
            patches
                == [
                    json!({ "access_token_validity": "seconds=90" }),
                    json!({ "meta_description": "new" })
                ],
            "{patches:?}"
        );
        ensure!(room.sent("PUT", "/").is_empty());
        let found = room.server.provider(&desired.client_id).context("no provider")?;
        ensure!(found["access_code_validity"] == "minutes=7", "{found}");
        let found = room.server.application(&desired.client_id).context("no application")?;
        ensure!(
            found["group"] == "Tools" && found["meta_publisher"] == "Somebody",
            "{found}"
        );
        room.finish()
    })
    .await;
}

/// A provider and its application end apart: each is deleted, and what is left of one of them is found.
#[tokio::test]
async fn surprise_09_a_deletion_leaves_nothing() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("gone");
        let shown = room.create(&desired, &secret).await?;
        room.server.forget_requests();
        ensure!(room.driver.delete(&shown).await? == Written::Done);
        let deleted: Vec<String> = room.sent("DELETE", "/").into_iter().map(|one| one.path).collect();
        let order = [APPLICATIONS, PROVIDERS, MAPPINGS];
        ensure!(
            deleted.len() == 3 && deleted.iter().zip(order).all(|(path, prefix)| path.starts_with(prefix)),
            "{deleted:?}"
        );
        room.nothing_is_left().await?;
        ensure!(room.driver.get(&desired.client_id, &desired.mark).await?.is_none());
        ensure!(room.driver.delete(&shown).await? == Written::NotFound);

        // Without its application it is still ours, and whole again after a repair.
        room.bring(&desired, &secret).await?;
        let slug = format!("{APPLICATIONS}{}/", desired.client_id);
        room.admin(Method::DELETE, &slug, Value::Null).await?;
        room.bring(&desired, &secret).await?;
        room.is_all_there_is(&desired).await?;

        // Without its provider only the application's id tells whose it is.
        let whole = room.get(&desired).await?;
        let provider = format!("{PROVIDERS}{}/", whole.handles["provider"]);
        room.admin(Method::DELETE, &provider, Value::Null).await?;
        let mut rest = room.get(&desired).await?;
        for (remembered, owner) in [("another", Ownership::Unmarked), (&whole.remote_id, Ownership::Ours)] {
            room.driver.model().recall(&mut rest, &desired.mark, remembered);
            ensure!(rest.ownership(&desired.mark) == owner, "remembered as {remembered}");
        }
        ensure!(room.driver.delete(&rest).await? == Written::Done);
        room.nothing_is_left().await?;
        room.finish()
    })
    .await;
}

#[tokio::test]
async fn surprise_11_a_deletion_that_does_nothing_is_noticed() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("stays");
        for path in [APPLICATIONS, PROVIDERS, MAPPINGS] {
            room.bring(&desired, &secret).await?;
            let rule = Rule::new(path, Fault::Status(204, None)).method("DELETE");
            room.server.fault(rule.times(1));
            let noticed = error(path, room.driver.delete(&room.get(&desired).await?).await)?;
            ensure!(!noticed.is_definite(), "{path}: {noticed:?}");
            if let Some(left) = room.driver.get(&desired.client_id, &desired.mark).await? {
                room.driver.delete(&left).await?;
            }
            room.nothing_is_left().await.context(path)?;
        }
        room.finish()
    })
    .await;
}

#[tokio::test]
async fn surprise_11_a_server_that_starts_is_waited_for() {
    case::run(async {
        let room = Room::with(AuthentikOptions {
            blueprints: false,
            ..AuthentikOptions::default()
        })
        .await?;
        let (desired, secret) = client("patience");
        room.server.starting(true);
        for outcome in [
            room.driver.probe().await.map(drop),
            room.driver.list(0).await.map(drop),
            room.driver.create(&desired, Some(&secret)).await.map(drop),
        ] {
            let starting = error("a call to a server that starts", outcome)?;
            ensure!(starting.kind == IdpErrorKind::Server, "{starting:?}");
            ensure!(starting.retry_after == Some(Duration::from_secs(5)), "{starting:?}");
        }
        room.server.heal();
        // Its own flows and scope mappings come later still.
        let early = error("probe", room.driver.probe().await)?;
        ensure!(early.kind == IdpErrorKind::Server, "{early:?}");
        ensure!(early.message.contains("some minutes after its first start"), "{early}");
        room.server.apply_blueprints();
        room.driver.probe().await?;
        room.bring(&desired, &secret).await?;
        room.finish()
    })
    .await;
}
