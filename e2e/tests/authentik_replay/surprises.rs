//! What was measured on running servers and nobody expected, in requests that no recording has, by theme.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use oidc_operator_e2e::authentik::{Fault, Release, Rule};
use oidc_operator_e2e::case;
use serde_json::{Value, json};

use crate::recording;
use crate::room::{
    APPLICATIONS, ASKED, DELETE, GET, NONE, PATCH, POST, PROVIDERS, PUT, REQUIRED, Room, TOKEN, as_text, machine,
    provider, strict, with,
};

/// How many different requests in rows no recording has. It may only grow.
const MORE: usize = 81;

/// A test for each theme, and all of them in their order.
macro_rules! tests {
    ($($test:ident: $theme:ident,)*) => {
        $(#[tokio::test]
        async fn $test() {
            case::run($theme()).await;
        })*

        async fn all() -> Result<()> {
            $($theme().await.context(stringify!($theme))?;)*
            Ok(())
        }
    };
}

// The numbers count what running servers did and nobody expected.
tests! {
    surprise_01_a_failed_write_can_be_an_empty_405: failures_behind_writes_are_empty_405s,
    surprise_01_rivals_for_a_slug_get_an_empty_405: rivals_for_a_slug_are_refused_by_the_database,
    surprise_02_the_application_list_is_cached_whatever_it_was_asked: application_lists_are_cached_by_page_and_user,
    surprise_03_bad_credentials_are_403s: bad_credentials_are_403s,
    surprise_04_each_right_opens_one_thing: each_right_opens_one_thing,
    surprise_05_without_grant_types_there_are_no_tokens: grant_types_are_a_list_that_is_not_empty,
    surprise_06_redirect_uris_are_kept_as_they_are: redirect_uris_are_kept_as_they_are,
    surprise_07_names_are_unique_but_those_of_applications: names_are_unique_but_those_of_applications,
    surprise_08_a_right_secret_can_be_told_from_a_wrong_one: a_right_secret_can_be_told_from_a_wrong_one,
    surprise_09_provider_and_application_end_apart: provider_and_application_end_apart,
    surprise_10_lists_have_pages_of_at_most_a_hundred: lists_have_pages_of_at_most_a_hundred,
    surprise_11_a_server_starts_and_its_workers_go_away: faults_hit_what_they_name,
    surprise_12_what_is_not_checked: what_is_not_checked,
    surprise_13_the_older_release_ignores_what_it_does_not_know: the_older_release_ignores_what_it_does_not_know,
}

#[tokio::test]
async fn more_is_asked_than_was_recorded() {
    case::run(async {
        let asked = ASKED.scope(RefCell::default(), async {
            all().await?;
            anyhow::Ok(ASKED.with(RefCell::take))
        });
        let asked = asked.await?;
        let mut recorded = BTreeSet::new();
        for release in [Release::R2026_2, Release::R2026_5] {
            for one in recording::all(release)? {
                let body = one.request.body.unwrap_or_default();
                recorded.insert(as_text(&one.request.method, &one.request.path, &body));
            }
        }
        let count = asked.difference(&recorded).count();
        eprintln!("{count} requests that no recording has");
        ensure!(
            count >= MORE,
            "{count} requests that no recording has; there were {MORE} before"
        );
        Ok(())
    })
    .await;
}

/// Surprise 1.
async fn failures_behind_writes_are_empty_405s() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    let empty = || json!("");
    room.rows(vec![
        (PUT, "/api/v3/nope/", json!({}), 405, empty()),
        (POST, "/nope", json!({}), 405, empty()),
        (POST, "/api/v3/core/applications", json!({}), 405, empty()),
        (PATCH, "/api/v3/core/applications/base", json!({}), 405, empty()),
        (PUT, "/api/v3/providers/oauth2/{BASE}", json!({}), 405, empty()),
        (DELETE, "/api/v3/providers/oauth2/{BASE}", NONE, 405, empty()),
        (PUT, "/api/v3/core/transactional/applications", json!({}), 405, empty()),
        (POST, "/application/o/nope/jwks/", json!({}), 405, empty()),
        (
            POST,
            APPLICATIONS,
            NONE,
            400,
            json!({ "name": [REQUIRED], "slug": [REQUIRED] }),
        ),
        (
            PUT,
            PROVIDERS,
            json!({}),
            405,
            json!({ "detail": "Method \"PUT\" not allowed." }),
        ),
        (
            POST,
            "/api/v3/core/applications/base/",
            json!({}),
            405,
            json!({ "detail": "Method \"POST\" not allowed." }),
        ),
    ])
    .await?;
    room.server.database_down(true);
    room.rows(vec![
        (PUT, "/api/v3/core/transactional/applications/", json!({}), 405, empty()),
        (POST, APPLICATIONS, json!({ "name": "x", "slug": "x" }), 405, empty()),
        (DELETE, "/api/v3/providers/oauth2/{BASE}/", NONE, 405, empty()),
        (GET, APPLICATIONS, NONE, 500, NONE),
        (GET, "/application/o/base/jwks/", NONE, 500, NONE),
    ])
    .await?;
    room.server.heal();
    ensure!(
        room.server.slugs() == ["base"] && room.server.client_ids() == ["base"],
        "something was done"
    );
    Ok(())
}

/// Surprise 1: creates at the same time.
async fn rivals_for_a_slug_are_refused_by_the_database() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    room.server.race_window(Duration::from_millis(300));
    let create = json!({ "name": "rival", "slug": "rival" });
    let rivals = (0..3).map(|_| room.ask(POST, APPLICATIONS, create.clone()));
    let mut statuses = Vec::new();
    for answer in join_all(rivals).await {
        statuses.push(answer?.0);
    }
    statuses.sort_unstable();
    ensure!(statuses == [201, 405, 405], "{statuses:?}");
    room.server.race_window(Duration::ZERO);
    let taken = json!({ "slug": ["Application with this slug already exists."] });
    room.rows(vec![(POST, APPLICATIONS, create, 400, taken)]).await
}

fn slugs(list: &Value) -> Vec<&str> {
    let results = list["results"].as_array().map(Vec::as_slice).unwrap_or_default();
    results
        .iter()
        .filter_map(|application| application["slug"].as_str())
        .collect()
}

/// Surprise 2.
async fn application_lists_are_cached_by_page_and_user() -> Result<()> {
    let mut room = Room::new(Release::R2026_5).await?;
    let new = |slug: &str| json!({ "name": slug, "slug": slug });
    for slug in ["one", "two"] {
        room.ask(POST, APPLICATIONS, new(slug)).await?;
    }
    let list = |query: &'static str| {
        let room = &room;
        async move {
            room.ask(GET, &format!("{APPLICATIONS}{query}"), NONE)
                .await
                .map(|(_, list)| list)
        }
    };
    // The first read fills the cache, whatever it asked for.
    ensure!(slugs(&list("?page_size=1").await?) == ["base"]);
    let poisoned = list("").await?;
    ensure!(
        slugs(&poisoned) == ["base"] && poisoned["pagination"]["count"] == 3,
        "{poisoned}"
    );
    ensure!(slugs(&list("?slug=two").await?) == ["base"]);
    ensure!(slugs(&list("?search=").await?) == ["base"], "an empty search is none");
    // These are the safe ones.
    ensure!(slugs(&list("?search=o").await?) == ["one", "two"]);
    ensure!(slugs(&list("?search=two&slug=two").await?) == ["two"]);
    ensure!(slugs(&list("?superuser_full_list=true").await?) == ["base", "one", "two"]);
    ensure!(
        slugs(&list("?page_size=1&page=2").await?) == ["one"],
        "another page has its own place"
    );
    // Neither a change nor a provider clears it; what is shown is as it is now.
    room.ask(PATCH, "/api/v3/core/applications/one/", json!({ "group": "g" }))
        .await?;
    room.create("other", json!({})).await?;
    ensure!(slugs(&list("").await?) == ["base"]);
    room.ask(DELETE, "/api/v3/core/applications/base/", NONE).await?;
    ensure!(slugs(&list("").await?).is_empty());
    // A create does.
    room.ask(POST, APPLICATIONS, new("three")).await?;
    ensure!(slugs(&list("").await?) == ["one", "three", "two"]);

    let (_, one) = room.ask(GET, "/api/v3/core/applications/one/", NONE).await?;
    let binding = json!({ "target": one["pk"], "user": 5, "order": 0 });
    let (status, answer) = room.ask(POST, "/api/v3/policies/bindings/", binding).await?;
    ensure!(status == 201, "{answer}");
    ensure!(
        slugs(&list("").await?) == ["three", "two"],
        "who may not open it does not see it"
    );
    ensure!(slugs(&list("?superuser_full_list=true").await?) == ["one", "three", "two"]);
    room.token = room
        .server
        .service_account("robot", &["authentik_core.view_application"])?;
    let (_, theirs) = room
        .ask(GET, "/api/v3/core/applications/?superuser_full_list=true", NONE)
        .await?;
    ensure!(slugs(&theirs) == ["three", "two"], "for superusers only");
    room.rows(vec![(
        GET,
        "/api/v3/core/applications/one/",
        NONE,
        200,
        json!({ "slug": "one" }),
    )])
    .await
}

/// Surprise 3.
async fn bad_credentials_are_403s() -> Result<()> {
    let mut room = Room::new(Release::R2026_5).await?;
    let account = json!({ "name": "robot", "expiring": true });
    let (_, robot) = room.ask(POST, "/api/v3/core/users/service_account/", account).await?;
    let token = json!({ "identifier": "robot", "intent": "api", "user": robot["user_pk"] });
    room.ask(POST, "/api/v3/core/tokens/", token).await?;
    let (_, key) = room.ask(GET, "/api/v3/core/tokens/robot/view_key/", NONE).await?;
    room.token = key["key"].as_str().context("key")?.to_owned();
    let refused = |text: &str| json!({ "detail": text });
    let (no_right, bad) = (
        "You do not have permission to perform this action.",
        "Token invalid/expired",
    );
    room.rows(vec![
        (
            GET,
            "/api/v3/core/users/me/",
            NONE,
            200,
            json!({ "user": { "username": "robot", "is_superuser": false } }),
        ),
        (GET, PROVIDERS, NONE, 403, refused(no_right)),
        (DELETE, "/api/v3/core/applications/nope/", NONE, 403, refused(no_right)),
        (GET, "/api/v3/core/tokens/robot/view_key/", NONE, 403, refused(no_right)),
    ])
    .await?;
    room.server.revoke_token(&room.token);
    room.rows(vec![
        (GET, "/api/v3/core/users/me/", NONE, 403, refused(bad)),
        (
            PUT,
            "/api/v3/core/transactional/applications/",
            json!({}),
            403,
            refused(bad),
        ),
        (PUT, PROVIDERS, json!({}), 403, refused(bad)),
        (GET, "/api/v3/root/config/", NONE, 403, refused(bad)),
    ])
    .await?;
    let unknown = room
        .web
        .get(room.path(PROVIDERS))
        .header("authorization", "Token abc")
        .send()
        .await?;
    ensure!(unknown.status() == 403);
    ensure!(unknown.json::<Value>().await? == refused("Authentication credentials were not provided."));
    Ok(())
}

/// Surprise 4.
async fn each_right_opens_one_thing() -> Result<()> {
    let mut room = Room::new(Release::R2026_5).await?;
    let provider_right = |action: &str| format!("authentik_providers_oauth2.{action}_oauth2provider");
    let (view, add, change) = (provider_right("view"), provider_right("add"), provider_right("change"));

    ensure!(
        room.server
            .service_account("x", &["authentik_core.view_nothing"])
            .is_err()
    );
    room.token = room.server.service_account("viewer", &[&view])?;
    room.rows(vec![
        (
            GET,
            "/api/v3/providers/oauth2/{BASE}/",
            NONE,
            200,
            json!({ "client_secret": "right" }),
        ),
        (GET, "/api/v3/providers/oauth2/{BASE}/setup_urls/", NONE, 200, NONE),
        (
            GET,
            "/api/v3/providers/oauth2/999/",
            NONE,
            404,
            json!({ "detail": "No OAuth2Provider matches the given query." }),
        ),
        (
            PATCH,
            "/api/v3/providers/oauth2/{BASE}/",
            json!({ "client_secret": "x" }),
            403,
            NONE,
        ),
        (PUT, "/api/v3/providers/oauth2/{BASE}/", json!({}), 403, NONE),
        (DELETE, "/api/v3/providers/oauth2/{BASE}/", NONE, 403, NONE),
        (POST, PROVIDERS, provider("mine"), 403, NONE),
        (GET, "/api/v3/core/applications/base/", NONE, 403, NONE),
        (GET, "/api/v3/flows/instances/", NONE, 403, NONE),
        (GET, "/api/v3/events/events/", NONE, 403, NONE),
    ])
    .await?;

    room.token = room.server.service_account("changer", &[&view, &change])?;
    room.rows(vec![
        (
            PATCH,
            "/api/v3/providers/oauth2/{BASE}/",
            json!({ "client_secret": "new" }),
            200,
            json!({ "client_secret": "new" }),
        ),
        (DELETE, "/api/v3/providers/oauth2/{BASE}/", NONE, 403, NONE),
    ])
    .await?;

    room.token = room
        .server
        .service_account("adder", &[&view, &add, "authentik_flows.view_flow"])?;
    let tx = json!({
        "app": { "name": "t", "slug": "t" }, "provider_model": "authentik_providers_oauth2.oauth2provider",
        "provider": provider("t"),
    });
    room.rows(vec![
        (
            GET,
            "/api/v3/flows/instances/?slug=default-provider-invalidation-flow",
            NONE,
            200,
            NONE,
        ),
        (GET, "/api/v3/crypto/certificatekeypairs/", NONE, 403, NONE),
        // Who may not see a key pair may refer to it.
        (
            POST,
            PROVIDERS,
            with(provider("mine"), json!({ "signing_key": "KEY" })),
            201,
            json!({ "signing_key": "KEY" }),
        ),
        (
            PUT,
            "/api/v3/core/transactional/applications/",
            tx,
            403,
            json!({ "app": "User lacks permission to create authentik_core.application" }),
        ),
    ])
    .await?;
    ensure!(
        room.server.client_ids() == ["base", "mine"],
        "{:?}",
        room.server.client_ids()
    );
    Ok(())
}

/// Surprise 5.
async fn grant_types_are_a_list_that_is_not_empty() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    let path = "/api/v3/providers/oauth2/{BASE}/";
    let set = |grants: Value| json!({ "grant_types": grants });
    room.rows(vec![
        (
            POST,
            PROVIDERS,
            with(provider("a"), set(json!([]))),
            400,
            set(json!(["This list may not be empty."])),
        ),
        (
            POST,
            PROVIDERS,
            with(provider("a"), set(NONE)),
            400,
            set(json!(["This field may not be null."])),
        ),
        (PATCH, path, set(NONE), 400, set(json!(["This field may not be null."]))),
        (
            PATCH,
            path,
            set(json!("code")),
            400,
            set(json!(["Expected a list of items but got type \"str\"."])),
        ),
        (
            PATCH,
            path,
            set(json!(["implicit", "x"])),
            400,
            set(json!({ "1": ["\"x\" is not a valid choice."] })),
        ),
        (
            PATCH,
            path,
            set(json!(["implicit", "hybrid"])),
            200,
            set(json!(["implicit", "hybrid"])),
        ),
    ])
    .await?;
    let (_, refused) = room.form(TOKEN, &machine("right")).await?;
    ensure!(refused["error"] == "invalid_grant", "{refused}");
    Ok(())
}

/// Surprises 5, 6 and 13.
async fn the_older_release_ignores_what_it_does_not_know() -> Result<()> {
    let room = Room::new(Release::R2026_2).await?;
    let (status, shown) = room.create("a", json!({ "grant_types": ["no such"] })).await?;
    ensure!(status == 201 && shown.get("grant_types").is_none(), "{shown}");
    let logout =
        json!({ "matching_mode": "strict", "url": "https://app.example.test/out", "redirect_uri_type": "logout" });
    let stored = json!({ "redirect_uris": [strict("https://app.example.test/out")] });
    room.rows(vec![
        (
            PATCH,
            "/api/v3/providers/oauth2/{BASE}/",
            json!({ "redirect_uris": [logout] }),
            200,
            stored,
        ),
        (
            PATCH,
            "/api/v3/core/applications/base/",
            json!({ "meta_hide": "no boolean" }),
            200,
            NONE,
        ),
    ])
    .await?;
    let authorize =
        "/application/o/authorize/?response_type=code&client_id=base&redirect_uri=https://app.example.test/out";
    let answer = room.send(GET, authorize, &NONE).await?;
    ensure!(
        answer.status() == 302,
        "a logout URI has become an ordinary one: {}",
        answer.status()
    );
    let (_, refused) = room.form(TOKEN, &[("grant_type", "x"), ("client_id", "base")]).await?;
    ensure!(refused["error"] == "unsupported_grant_type", "{refused}");
    let (status, token) = room.form(TOKEN, &machine("right")).await?;
    ensure!(status == 200, "{token}");
    let (_, document) = room
        .ask(GET, "/application/o/base/.well-known/openid-configuration", NONE)
        .await?;
    ensure!(document.get("frontchannel_logout_supported").is_none());
    Ok(())
}

/// Surprise 6.
async fn redirect_uris_are_kept_as_they_are() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    let path = "/api/v3/providers/oauth2/{BASE}/";
    let uri = "https://app.example.test/a";
    let typed = |kind: &str| with(strict(uri), json!({ "redirect_uri_type": kind }));
    let uris = |uris: Value| json!({ "redirect_uris": uris });
    let whole = with(provider("base"), uris(json!([strict(uri), strict(uri)])));
    room.rows(vec![
        (
            PUT,
            path,
            whole,
            200,
            uris(json!([typed("authorization"), typed("authorization")])),
        ),
        (PATCH, path, uris(json!([strict(uri)])), 200, uris(json!([strict(uri)]))),
        (
            PATCH,
            path,
            uris(json!([typed("logout")])),
            200,
            uris(json!([typed("logout")])),
        ),
        (GET, path, NONE, 200, uris(json!([typed("logout")]))),
        (
            PATCH,
            path,
            uris(json!([{}])),
            400,
            uris(json!([{ "matching_mode": [REQUIRED], "url": [REQUIRED] }])),
        ),
        (
            PATCH,
            path,
            uris(json!([strict("  custom:/ x ")])),
            200,
            uris(json!([strict("custom:/ x")])),
        ),
        (PATCH, path, uris(json!([typed("logout")])), 200, NONE),
    ])
    .await?;
    let authorize = format!("/application/o/authorize/?response_type=code&client_id=base&redirect_uri={uri}");
    ensure!(
        room.send(GET, &authorize, &NONE).await?.status() == 400,
        "a logout URI is none for logins"
    );
    let end = format!("/application/o/base/end-session/?post_logout_redirect_uri={uri}&state=s");
    let answer = room.send(GET, &end, &NONE).await?;
    let location = answer.headers().get("location").context("location")?.to_str()?;
    ensure!(location == format!("{uri}?state=s"), "{location}");
    Ok(())
}

/// Surprise 7.
async fn names_are_unique_but_those_of_applications() -> Result<()> {
    let mut room = Room::new(Release::R2026_5).await?;
    let (_, second) = room.create("second", json!({})).await?;
    room.known.push(("SECOND", second["pk"].clone()));
    let path = "/api/v3/providers/oauth2/{SECOND}/";
    let app = "/api/v3/core/applications/two/";
    room.rows(vec![
        (
            POST,
            APPLICATIONS,
            json!({ "name": "base", "slug": "two", "provider": "SECOND" }),
            201,
            json!({ "name": "base" }),
        ),
        (
            PATCH,
            app,
            json!({ "slug": "base" }),
            400,
            json!({ "slug": ["Application with this slug already exists."] }),
        ),
        (
            PATCH,
            app,
            json!({ "provider": "BASE" }),
            400,
            json!({ "provider": ["Application with this provider already exists."] }),
        ),
        (PATCH, app, json!({ "slug": "two", "provider": "SECOND" }), 200, NONE),
        (PATCH, app, json!({ "slug": "BASE2" }), 200, json!({ "slug": "BASE2" })),
        (
            PUT,
            path,
            provider("base"),
            400,
            json!({
                "name": ["provider with this name already exists."],
                "client_id": ["OAuth2/OpenID Provider with this Client ID already exists."],
            }),
        ),
        (
            PATCH,
            path,
            json!({ "client_id": "Base", "name": "Base" }),
            200,
            json!({ "client_id": "Base" }),
        ),
        (
            PATCH,
            path,
            json!({ "name": "  Base  " }),
            200,
            json!({ "name": "Base" }),
        ),
    ])
    .await
}

/// Surprise 8.
async fn a_right_secret_can_be_told_from_a_wrong_one() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    let path = "/api/v3/providers/oauth2/{BASE}/";
    let long = "s".repeat(255);
    let too_long = json!({ "client_secret": ["Ensure this field has no more than 255 characters."] });
    room.rows(vec![
        (
            POST,
            PROVIDERS,
            with(provider("a"), json!({ "client_secret": " padded " })),
            201,
            json!({ "client_secret": "padded" }),
        ),
        (
            POST,
            PROVIDERS,
            with(provider("b"), json!({ "client_secret": "" })),
            201,
            json!({ "client_secret": "" }),
        ),
        (
            POST,
            PROVIDERS,
            with(provider("c"), json!({ "client_secret": null })),
            400,
            NONE,
        ),
        (PATCH, path, json!({ "client_secret": long }), 200, NONE),
        (
            PATCH,
            path,
            json!({ "client_secret": format!("{long}s") }),
            400,
            too_long,
        ),
        (PATCH, path, json!({ "client_secret": "right" }), 200, NONE),
    ])
    .await?;
    let code = |secret| {
        [
            ("grant_type", "authorization_code"),
            ("client_id", "base"),
            ("client_secret", secret),
            ("redirect_uri", "https://app.example.test/cb"),
            ("code", "no"),
        ]
    };
    let revoke = |secret| [("client_id", "base"), ("client_secret", secret), ("token", "no")];
    let (_, token) = room.form(TOKEN, &machine("right")).await?;
    let token = token["access_token"].as_str().context("token")?;
    let inspect = |secret| [("client_id", "base"), ("client_secret", secret), ("token", token)];
    let (introspection, revocation) = ("/application/o/introspect/", "/application/o/revoke/");
    for (path, fields, status, key, value) in [
        (TOKEN, &code("right")[..], 400, "error", json!("invalid_grant")),
        (TOKEN, &code("wrong")[..], 400, "error", json!("invalid_client")),
        (TOKEN, &machine("wrong")[..], 400, "error", json!("invalid_grant")),
        (revocation, &revoke("right")[..], 200, "error", NONE),
        (revocation, &revoke("wrong")[..], 401, "error", json!("invalid_client")),
        (introspection, &inspect("right")[..], 200, "active", json!(true)),
        (introspection, &inspect("wrong")[..], 200, "active", json!(false)),
        (introspection, &revoke("right")[..], 200, "active", json!(false)),
    ] {
        let (got, answer) = room.form(path, fields).await?;
        ensure!(
            got == status && answer[key] == value,
            "{path} {fields:?}: {got} {answer}"
        );
    }
    // What was given out outlives the secret, and ends with the provider.
    room.rows(vec![(PATCH, path, json!({ "client_secret": "new" }), 200, NONE)])
        .await?;
    let userinfo = || {
        room.web
            .get(room.path("/application/o/userinfo/"))
            .bearer_auth(token)
            .send()
    };
    ensure!(userinfo().await?.status() == 200);
    let (_, refused) = room.form(TOKEN, &machine("right")).await?;
    ensure!(refused["error"] == "invalid_grant", "{refused}");
    room.rows(vec![(DELETE, path, NONE, 204, NONE)]).await?;
    ensure!(userinfo().await?.status() == 401);
    Ok(())
}

/// Surprise 9.
async fn provider_and_application_end_apart() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    let path = "/api/v3/providers/oauth2/{BASE}/";
    let required = json!({
        "name": "base", "authorization_flow": "AUTHORIZE", "invalidation_flow": "INVALIDATE", "redirect_uris": [],
    });
    room.form(TOKEN, &machine("right")).await?;
    room.rows(vec![
            (PATCH, path, json!({ "access_token_validity": "hours=2", "sub_mode": "user_email" }), 200, NONE),
            (PUT, path, required, 200, json!({
                "access_token_validity": "hours=2", "sub_mode": "user_email", "client_secret": "right", "signing_key": "KEY",
            })),
            (DELETE, path, NONE, 204, json!("")),
            (DELETE, path, NONE, 404, NONE),
            (GET, "/api/v3/core/applications/base/", NONE, 200, json!({ "provider": null, "provider_obj": null, "launch_url": null })),
            (GET, "/application/o/base/.well-known/openid-configuration", NONE, 404, NONE),
            (DELETE, "/api/v3/core/applications/base/", NONE, 204, NONE),
            (DELETE, "/api/v3/core/applications/base/", NONE, 404, NONE),
        ])
        .await?;
    let (_, users) = room
        .ask(GET, "/api/v3/core/users/?username=ak-base-client_credentials", NONE)
        .await?;
    ensure!(users["pagination"]["count"] == 1, "{users}");
    Ok(())
}

/// Surprise 10.
async fn lists_have_pages_of_at_most_a_hundred() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    for at in 0..104 {
        let (status, answer) = room.create(&format!("p-{at:03}"), json!({})).await?;
        ensure!(status == 201, "{answer}");
    }
    let pages = |next: u64, previous: u64, count: u64, current: u64, total: u64, first: u64, last: u64| {
        json!({ "pagination": {
            "next": next, "previous": previous, "count": count, "current": current, "total_pages": total,
            "start_index": first, "end_index": last,
        }})
    };
    room.rows(vec![
        (GET, PROVIDERS, NONE, 200, pages(2, 0, 105, 1, 6, 1, 20)),
        (
            GET,
            "/api/v3/providers/oauth2/?page=6",
            NONE,
            200,
            pages(0, 5, 105, 6, 6, 101, 105),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?page=7",
            NONE,
            404,
            json!({ "detail": "Invalid page." }),
        ),
        (GET, "/api/v3/providers/oauth2/?page=-1", NONE, 404, NONE),
        (
            GET,
            "/api/v3/providers/oauth2/?page_size=101",
            NONE,
            200,
            pages(2, 0, 105, 1, 2, 1, 100),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?page_size=100&page=2",
            NONE,
            200,
            pages(0, 1, 105, 2, 2, 101, 105),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?unknown=x&page=last",
            NONE,
            200,
            pages(0, 5, 105, 6, 6, 101, 105),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?client_id=",
            NONE,
            200,
            pages(2, 0, 105, 1, 6, 1, 20),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?client_id=p-00",
            NONE,
            200,
            pages(0, 0, 0, 1, 1, 0, 0),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?client_id=P-001",
            NONE,
            200,
            pages(0, 0, 0, 1, 1, 0, 0),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?client_id=p-001&client_id=p-002&name=p-002",
            NONE,
            200,
            pages(0, 0, 1, 1, 1, 1, 1),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?search=P-01",
            NONE,
            200,
            pages(0, 0, 10, 1, 1, 1, 10),
        ),
        (
            GET,
            "/api/v3/providers/oauth2/?search=p%203",
            NONE,
            200,
            pages(0, 0, 20, 1, 1, 1, 20),
        ),
    ])
    .await?;
    // The order of mappings is the server's.
    let ours = json!({ "property_mappings": ["OPENID", "OFFLINE", "OPENID"] });
    let (_, kept) = room.ask(PATCH, "/api/v3/providers/oauth2/{BASE}/", ours).await?;
    ensure!(kept["property_mappings"].as_array().map(Vec::len) == Some(2), "{kept}");
    Ok(())
}

/// Surprise 11, and what else a test can break.
async fn faults_hit_what_they_name() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    room.server.starting(true);
    let answer = room.send(GET, "/-/health/live/", &NONE).await?;
    ensure!(answer.status() == 503 && answer.headers()["retry-after"] == "5");
    room.server.heal();

    let hit = |fault: Fault| Rule::new(PROVIDERS, fault).method("POST").times(1);
    room.server.fault(hit(Fault::BadGateway));
    room.rows(vec![
        (GET, PROVIDERS, NONE, 200, NONE),
        (POST, PROVIDERS, provider("a"), 502, NONE),
        (POST, PROVIDERS, provider("a"), 201, NONE),
    ])
    .await?;
    room.server.fault(hit(Fault::Empty405).after_effect());
    room.rows(vec![
        (POST, PROVIDERS, provider("b"), 405, json!("")),
        (
            GET,
            "/api/v3/providers/oauth2/?client_id=b",
            NONE,
            200,
            json!({ "pagination": {
                "next": 0, "previous": 0, "count": 1, "current": 1, "total_pages": 1, "start_index": 1, "end_index": 1,
            }}),
        ),
    ])
    .await?;
    // A DELETE that says so and does not.
    room.server
        .fault(Rule::new(PROVIDERS, Fault::Status(204, None)).method("DELETE").times(1));
    room.rows(vec![
        (DELETE, "/api/v3/providers/oauth2/{BASE}/", NONE, 204, json!("")),
        (GET, "/api/v3/providers/oauth2/{BASE}/", NONE, 200, NONE),
    ])
    .await?;
    room.server.fault(hit(Fault::Reset).after_effect());
    ensure!(room.send(POST, PROVIDERS, &provider("c")).await.is_err());
    ensure!(room.server.client_ids() == ["a", "b", "base", "c"]);
    room.server.fault(Rule::new("/-/", Fault::Hang));
    let hung = tokio::time::timeout(Duration::from_millis(200), room.send(GET, "/-/health/live/", &NONE)).await;
    ensure!(hung.is_err());
    room.server.heal();

    room.server.latency("/-/", Duration::from_millis(150));
    let before = Instant::now();
    room.rows(vec![(GET, "/-/health/ready/", NONE, 200, json!(""))]).await?;
    ensure!(before.elapsed() >= Duration::from_millis(150));
    ensure!(room.server.count("POST", PROVIDERS) == 5, "{:?}", room.server.counts());
    let requests = room.server.requests();
    ensure!(
        requests
            .iter()
            .any(|request| request.method == "POST" && request.status.is_none()),
        "the reset one"
    );
    room.server.forget_requests();
    ensure!(room.server.counts().is_empty());
    room.web
        .get(room.path("/-/health/live/?x=1"))
        .header("user-agent", "me/1")
        .send()
        .await?;
    let one = &room.server.requests()[0];
    ensure!(
        (one.user_agent.as_str(), one.query.as_str(), one.status) == ("me/1", "x=1", Some(200)),
        "{one:?}"
    );
    Ok(())
}

/// Surprise 12.
async fn what_is_not_checked() -> Result<()> {
    let room = Room::new(Release::R2026_5).await?;
    let path = "/api/v3/providers/oauth2/{BASE}/";
    let tx = |app: &str, name: &str| {
        json!({
            "app": { "name": app, "slug": app }, "provider_model": "authentik_providers_oauth2.oauth2provider",
            "provider": provider(name),
        })
    };
    let put = "/api/v3/core/transactional/applications/";
    let no_model = json!({ "app": { "name": "x", "slug": "x" }, "provider": provider("x") });
    room.rows(vec![
        (PUT, put, tx("new", "new"), 200, json!({ "applied": true, "logs": [] })),
        (
            PUT,
            put,
            tx("other", "new"),
            400,
            json!({ "provider": { "name": ["provider with this name already exists."] } }),
        ),
        (
            PUT,
            put,
            tx("new", "other"),
            400,
            json!({ "app": { "slug": ["Application with this slug already exists."] } }),
        ),
        (PUT, put, no_model, 400, json!({ "provider_model": [REQUIRED] })),
        (
            POST,
            put,
            json!({}),
            405,
            json!({ "detail": "Method \"POST\" not allowed." }),
        ),
        (
            PATCH,
            path,
            json!({ "invalidation_flow": "AUTHORIZE", "no_such": 1 }),
            200,
            json!({ "invalidation_flow": "AUTHORIZE" }),
        ),
        (
            PATCH,
            "/api/v3/core/applications/base/",
            json!({ "no_such": 1 }),
            200,
            NONE,
        ),
        (
            PATCH,
            path,
            json!({ "signing_key": null, "property_mappings": ["OPENID"] }),
            200,
            json!({ "signing_key": null }),
        ),
        (GET, "/application/o/base/jwks/", NONE, 200, json!({})),
        (
            GET,
            "/application/o/base/.well-known/openid-configuration",
            NONE,
            200,
            json!({
                "id_token_signing_alg_values_supported": ["HS256"], "scopes_supported": ["openid"],
            }),
        ),
        (PATCH, path, json!({ "issuer_mode": "global" }), 200, NONE),
    ])
    .await?;
    ensure!(room.server.slugs() == ["base", "new"] && room.server.client_ids() == ["base", "new"]);
    let (_, document) = room
        .ask(GET, "/application/o/base/.well-known/openid-configuration", NONE)
        .await?;
    ensure!(document["issuer"] == format!("{}/", room.server.url()), "{document}");
    let (_, token) = room.form(TOKEN, &machine("right")).await?;
    ensure!(token["scope"] == "openid", "{token}");
    room.ask(DELETE, "/api/v3/core/applications/base/", NONE).await?;
    let (_, refused) = room.form(TOKEN, &machine("right")).await?;
    ensure!(refused["error"] == "invalid_grant", "{refused}");
    Ok(())
}
