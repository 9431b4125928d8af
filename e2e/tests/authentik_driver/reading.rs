//! Surprises 2, 10 and 13: answers that are not what was asked for.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use oidc_operator::domain::{Enforcement, ObservedSecret, ProviderFacts, RemoteDiff};
use oidc_operator::idp::Driver as _;
use oidc_operator_e2e::authentik::{AuthentikOptions, Fault, Release, Rule};
use oidc_operator_e2e::case;
use reqwest::Method;
use serde_json::{Value, json};

use crate::room::{APPLICATIONS, PROVIDERS, Room, client};

/// The list of applications says what it said before, and leaves out what the operator may not open. Nothing depends on it.
#[tokio::test]
async fn surprise_02_the_list_of_applications_is_never_asked() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("hidden");
        room.by_hand("first", "First", Some("first")).await?;
        // The cache of the operator's own user holds one of two applications.
        let list = format!("{APPLICATIONS}?page_size=1&ordering=-slug");
        room.ask(&room.token, Method::GET, &list, Value::Null).await?;
        let shown = room.create(&desired, &secret).await?;
        room.ask(&room.token, Method::GET, &list, Value::Null).await?;
        // Only somebody else may open ours.
        let users = room
            .admin(Method::GET, "/api/v3/core/users/?username=jane", Value::Null)
            .await?;
        let binding = json!({ "target": shown.remote_id, "user": users["results"][0]["pk"], "order": 0 });
        room.admin(Method::POST, "/api/v3/policies/bindings/", binding).await?;
        let all = format!("{APPLICATIONS}?slug={}", desired.client_id);
        let (_, listed) = room.ask(&room.token, Method::GET, &all, Value::Null).await?;
        let slugs: Vec<_> = listed["results"]
            .as_array()
            .context("no list")?
            .iter()
            .map(|row| &row["slug"])
            .collect();
        ensure!(!slugs.contains(&&json!(desired.client_id)), "no trap: {listed}");

        room.stands(&desired, &secret).await?;
        ensure!(room.get(&desired).await?.remote_id == shown.remote_id);
        ensure!(room.driver.create(&desired, Some(&secret)).await? == oidc_operator::idp::Created::Taken);
        let page = room.driver.list(0).await?;
        let row = page.rows.iter().find(|row| row.client_id == desired.client_id);
        let row = row.context("it is not in the list")?;
        ensure!(room.driver.model().diff(&desired, Some(&secret), row) == RemoteDiff::default());
        room.driver.delete(&room.get(&desired).await?).await?;
        let asked: Vec<_> = room
            .sent("GET", APPLICATIONS)
            .into_iter()
            .filter(|one| one.path == APPLICATIONS)
            .collect();
        ensure!(asked.is_empty(), "{asked:?}");
        room.finish()
    })
    .await;
}

#[tokio::test]
async fn surprise_10_lists_are_read_to_their_end() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("last");
        for at in 0..120 {
            room.by_hand(&format!("hand-{at}"), &format!("Hand {at}"), None).await?;
        }
        room.create(&desired, &secret).await?;
        let (mut seen, mut pages) = (BTreeSet::new(), 0);
        loop {
            let page = room.driver.list(pages).await?;
            pages += 1;
            seen.extend(page.rows.into_iter().map(|row| row.client_id));
            if !page.more {
                break;
            }
        }
        ensure!(pages == 2, "121 clients were {pages} pages");
        ensure!(seen.into_iter().eq(room.server.client_ids().into_iter()));
        let beyond = room.driver.list(pages).await?;
        ensure!(beyond.rows.is_empty() && !beyond.more, "{beyond:?}");
        room.finish()
    })
    .await;
}

/// A filter that a release does not know changes nothing: the first row is not the one that was asked for.
#[tokio::test]
async fn surprise_10_filters_that_are_ignored_do_no_harm() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("filtered");
        room.by_hand("a-stranger", "A stranger", Some("a-stranger")).await?;
        for (list, path) in [
            (PROVIDERS.to_owned(), PROVIDERS),
            ("/api/v3/flows/instances/".to_owned(), "/api/v3/flows/instances/"),
        ] {
            let everything = room
                .admin(Method::GET, &format!("{list}?page_size=100"), Value::Null)
                .await?;
            let rows = everything["results"].as_array().map_or(0, Vec::len);
            ensure!(rows > 0, "no trap: {everything}");
            let unfiltered = Fault::Body(everything.to_string());
            room.server.fault(Rule::new(path, unfiltered).method("GET"));
        }
        ensure!(room.driver.get(&desired.client_id, &desired.mark).await?.is_none());
        let (other, _) = client("stranger");
        let stranger = room.driver.get("a-stranger", &other.mark).await?;
        ensure!(stranger.is_some_and(|found| found.client_id == "a-stranger"));
        room.create(&desired, &secret).await?;
        room.server.heal();
        room.stands(&desired, &secret).await?;
        room.finish()
    })
    .await;
}

/// From 2026.11 on a secret is shown with a right of its own: its absence is no difference.
#[tokio::test]
async fn surprise_13_a_hidden_secret_is_no_drift() {
    case::run(async {
        let room = Room::with(AuthentikOptions {
            hides_secrets: true,
            ..AuthentikOptions::default()
        })
        .await?;
        let (mut desired, secret) = client("secretive");
        room.create(&desired, &secret).await?;
        ensure!(room.get(&desired).await?.secret == ObservedSecret::NotShown);
        room.stands(&desired, &secret).await?;
        desired.description = Some("changed".to_owned());
        desired.redirect_uris = vec!["https://app.example.com/changed".to_owned()];
        room.bring(&desired, &secret).await?;
        let sent = room.sent("PATCH", "/");
        ensure!(sent.len() == 2, "{sent:?}");
        ensure!(
            sent.iter().all(|one| one.body.get("client_secret").is_none()),
            "{sent:?}"
        );
        let kept = room.server.provider(&desired.client_id).context("no provider")?;
        ensure!(kept["client_secret"] == secret.expose(), "the secret is another one");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn surprise_13_what_a_release_does_not_have_is_no_drift() {
    case::run(async {
        let room = Room::of(Release::R2026_2).await?;
        let (desired, secret) = client("older");
        room.create(&desired, &secret).await?;
        let shown = room.server.provider(&desired.client_id).context("no provider")?;
        ensure!(shown.get("grant_types").is_none(), "no trap: {shown}");
        room.stands(&desired, &secret).await?;
        let version = room.driver.probe().await?.version;
        let facts = ProviderFacts {
            server_version: version,
            ..ProviderFacts::default()
        };
        let assessed = room.driver.model().assess(&desired, &facts);
        ensure!(assessed.unsupported.is_empty(), "{assessed:?}");
        ensure!(
            assessed.enforcement["grantTypes"] == Enforcement::None,
            "nobody enforces them there"
        );
        room.finish()
    })
    .await;
}

#[tokio::test]
async fn surprise_13_unknown_members_are_ignored() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("newer");
        room.create(&desired, &secret).await?;
        for path in [
            PROVIDERS.to_owned(),
            format!("{APPLICATIONS}{}/", desired.client_id),
            "/api/v3/admin/version/".to_owned(),
        ] {
            let mut answer = room.admin(Method::GET, &path, Value::Null).await?;
            let new = json!({ "of": ["a", 1, null] });
            answer["brand_new"] = new.clone();
            for row in answer["results"].as_array_mut().into_iter().flatten() {
                row["brand_new"] = new.clone();
            }
            let fault = Fault::Body(answer.to_string());
            room.server.fault(Rule::new(&path, fault).method("GET"));
        }
        let fresh = room.driver(&room.token)?;
        fresh.probe().await?;
        let found = fresh
            .get(&desired.client_id, &desired.mark)
            .await?
            .context("not there")?;
        ensure!(fresh.model().diff(&desired, Some(&secret), &found) == RemoteDiff::default());
        ensure!(fresh.list(0).await?.rows.len() == 1);
        room.finish()
    })
    .await;
}
