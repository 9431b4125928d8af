//! Surprises 5, 6, 8 and 12: what makes a client that works.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::domain::{ClientSecret, GrantType, IdpErrorKind, Proof, ProviderFacts, RemoteDiff};
use oidc_operator::idp::Driver as _;
use oidc_operator::idp::authentik::slug;
use oidc_operator_e2e::authentik::Release;
use oidc_operator_e2e::case;
use reqwest::Method;
use serde_json::{Value, json};

use crate::room::{APPLICATIONS, PROVIDERS, Room, TOKEN, client, error};

const RELEASES: [Release; 2] = [Release::R2026_2, Release::R2026_5];

async fn machine(room: &Room, client_id: &str, secret: &ClientSecret) -> Result<(u16, Value)> {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", secret.expose()),
        ("scope", "openid"),
    ];
    room.form(TOKEN, &fields).await
}

/// Without them a client of 2026.5 gets no token at all.
#[tokio::test]
async fn surprise_05_grant_types_are_always_sent() {
    case::run(async {
        for release in RELEASES {
            let room = Room::of(release).await?;
            let (mut desired, secret) = client("grants");
            desired.grant_types = [GrantType::ClientCredentials].into();
            room.create(&desired, &secret).await?;
            let sent = room.sent("POST", PROVIDERS);
            ensure!(sent.len() == 1 && sent[0].body["grant_types"] == json!(["client_credentials"]));
            let (status, token) = machine(&room, &desired.client_id, &secret).await?;
            ensure!(status == 200, "{release:?}: {token}");
            room.finish()?;
        }

        let room = Room::of(Release::R2026_5).await?;
        let (desired, secret) = client("grants");
        let shown = room.create(&desired, &secret).await?;
        let path = format!("{PROVIDERS}{}/", shown.handles["provider"]);
        let by_hand = json!({ "grant_types": ["authorization_code", "client_credentials", "password"] });
        room.admin(Method::PATCH, &path, by_hand).await?;
        ensure!(machine(&room, &desired.client_id, &secret).await?.0 == 200, "no trap");
        room.bring(&desired, &secret).await?;
        let (status, refused) = machine(&room, &desired.client_id, &secret).await?;
        ensure!(status == 400 && refused["error"] == "invalid_grant", "{refused}");
        room.finish()
    })
    .await;
}

#[tokio::test]
async fn surprise_06_addresses_after_logout_become_no_redirect_uris() {
    case::run(async {
        let (mut desired, secret) = client("logout");
        desired.post_logout_redirect_uris = vec!["https://app.example.com/bye".to_owned()];
        let older = Room::of(Release::R2026_2).await?;
        let newer = Room::of(Release::R2026_5).await?;
        for (room, refused) in [(&older, true), (&newer, false)] {
            let facts = ProviderFacts {
                server_version: room.driver.probe().await?.version,
                ..ProviderFacts::default()
            };
            let unsupported = room.driver.model().assess(&desired, &facts).unsupported;
            let fields: Vec<&str> = unsupported.iter().map(|one| one.field.as_str()).collect();
            let expected: &[&str] = if refused { &["spec.postLogoutRedirectURIs"] } else { &[] };
            ensure!(fields == expected, "{facts:?}: {unsupported:?}");
        }
        newer.create(&desired, &secret).await?;
        let logins = |uris: &Value, kind: &str| {
            let uris = uris.as_array().cloned().unwrap_or_default();
            let of_kind = uris.iter().filter(|uri| uri["redirect_uri_type"] == kind);
            of_kind.map(|uri| uri["url"].clone()).collect::<Vec<_>>()
        };
        let uris = |room: &Room| {
            room.server
                .provider("driver_logout")
                .map(|shown| shown["redirect_uris"].clone())
        };
        let shown = uris(&newer).context("no provider")?;
        ensure!(logins(&shown, "logout") == ["https://app.example.com/bye"], "{shown}");
        ensure!(
            logins(&shown, "authorization") == ["https://app.example.com/callback"],
            "{shown}"
        );
        // The whole list is replaced at once: a change of one kind keeps the other.
        desired.redirect_uris = vec!["https://app.example.com/second".to_owned()];
        newer.bring(&desired, &secret).await?;
        let shown = uris(&newer).context("no provider")?;
        ensure!(logins(&shown, "logout") == ["https://app.example.com/bye"], "{shown}");
        ensure!(
            logins(&shown, "authorization") == ["https://app.example.com/second"],
            "{shown}"
        );
        newer.finish()
    })
    .await;
}

/// An empty list would take the first address that comes.
#[tokio::test]
async fn surprise_06_no_redirect_uri_is_never_an_empty_list() {
    case::run(async {
        for release in RELEASES {
            let room = Room::of(release).await?;
            let (mut desired, secret) = client("machine");
            desired.grant_types = [GrantType::ClientCredentials].into();
            desired.redirect_uris.clear();
            room.create(&desired, &secret).await?;
            room.stands(&desired, &secret).await?;
            let sent = room.sent("POST", PROVIDERS);
            let uris = sent[0].body["redirect_uris"].as_array().context("no list")?;
            ensure!(uris.len() == 1 && uris[0]["matching_mode"] == "strict", "{uris:?}");
            let url = url::Url::parse(uris[0]["url"].as_str().unwrap_or_default())?;
            ensure!(url.host_str().is_some_and(|host| host.ends_with(".invalid")), "{url}");
            room.finish()?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn surprise_08_secrets_are_kept_and_proven_as_they_are() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("secret");
        room.create(&desired, &secret).await?;
        let id = desired.client_id.as_str();
        let kept = || room.server.provider(id).map(|shown| shown["client_secret"].clone());
        ensure!(room.sent("POST", PROVIDERS)[0].body["client_secret"] == secret.expose());
        ensure!(kept() == Some(json!(secret.expose())));
        let wrong = ClientSecret::generate();
        ensure!(room.prove(id, &secret).await == Proof::Proven);
        ensure!(room.prove(id, &wrong).await == Proof::Disproven);
        ensure!(room.prove("driver_nobody", &secret).await == Proof::Disproven);

        // Longest, and odd ones, come and go at once.
        for next in ["x".repeat(255), "a b\"c\\d%e+f&g=h:ß€".to_owned()] {
            let next = ClientSecret::new(next);
            room.bring(&desired, &next).await?;
            ensure!(kept() == Some(json!(next.expose())), "it is not as it was given");
            ensure!(room.prove(id, &secret).await == Proof::Disproven);
        }
        room.bring(&desired, &wrong).await?;
        ensure!(room.prove(id, &wrong).await == Proof::Proven);

        // An empty one is none: the server would take it.
        let before = room.sent("POST", PROVIDERS).len();
        let (other, _) = client("empty");
        let empty = room.driver.create(&other, Some(&ClientSecret::new(""))).await;
        ensure!(error("an empty secret", empty)?.kind == IdpErrorKind::Refused);
        ensure!(room.sent("POST", PROVIDERS).len() == before);
        room.finish()
    })
    .await;
}

/// Without a key tokens would be signed with the secret, and there would be nothing to check them with.
#[tokio::test]
async fn surprise_12_a_signing_key_is_always_set() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("signed");
        let shown = room.create(&desired, &secret).await?;
        ensure!(room.sent("POST", PROVIDERS)[0].body["signing_key"].is_string());
        let jwks = format!("/application/o/{}/jwks/", desired.client_id);
        let signs = async || {
            let keys = room.admin(Method::GET, &jwks, Value::Null).await?;
            anyhow::Ok(keys["keys"][0]["alg"] == "RS256")
        };
        ensure!(signs().await?);
        ensure!(room.driver.probe().await?.signing_algorithms == Some(["RS256".to_owned()].into()));

        let path = format!("{PROVIDERS}{}/", shown.handles["provider"]);
        room.admin(Method::PATCH, &path, json!({ "signing_key": null })).await?;
        ensure!(!signs().await?, "no trap");
        let diff = room.diff(&desired, &secret).await?;
        ensure!(diff.changes("signingKey"), "{diff:?}");
        room.bring(&desired, &secret).await?;
        ensure!(signs().await?);
        room.finish()
    })
    .await;
}

#[tokio::test]
async fn surprise_12_without_an_application_there_is_no_token() {
    case::run(async {
        let room = Room::new().await?;
        let (mut desired, secret) = client("alone");
        desired.grant_types = [GrantType::ClientCredentials].into();
        room.create(&desired, &secret).await?;
        let path = format!("{APPLICATIONS}{}/", desired.client_id);
        room.admin(Method::DELETE, &path, Value::Null).await?;
        ensure!(machine(&room, &desired.client_id, &secret).await?.0 == 400, "no trap");
        // The list tells it, too.
        let row = room.driver.list(0).await?.rows.pop().context("no row")?;
        let diff = room.driver.model().diff(&desired, Some(&secret), &row);
        ensure!(diff.changes("application"), "{diff:?}");
        ensure!(room.prove(&desired.client_id, &secret).await != Proof::Proven);
        room.bring(&desired, &secret).await?;
        ensure!(machine(&room, &desired.client_id, &secret).await?.0 == 200);
        ensure!(room.prove(&desired.client_id, &secret).await == Proof::Proven);
        room.finish()
    })
    .await;
}

/// It would be dropped silently.
#[tokio::test]
async fn surprise_12_an_unknown_scope_is_refused() {
    case::run(async {
        let room = Room::new().await?;
        let (mut desired, secret) = client("scope");
        desired.scopes.push("printers".to_owned());
        let refused = error("create", room.driver.create(&desired, Some(&secret)).await)?;
        ensure!(refused.kind == IdpErrorKind::Refused, "{refused:?}");
        ensure!(refused.message.contains("printers"), "{refused}");
        room.nothing_is_left().await?;
        let facts = ProviderFacts {
            scopes: room.driver.probe().await?.scopes,
            ..ProviderFacts::default()
        };
        let unsupported = room.driver.model().assess(&desired, &facts).unsupported;
        ensure!(
            unsupported.len() == 1 && unsupported[0].field == "spec.scopes",
            "{unsupported:?}"
        );

        // Once somebody made a mapping for it, there is such a scope.
        let mapping = json!({ "name": "Printers", "scope_name": "printers", "expression": "return {}" });
        room.admin(Method::POST, crate::room::MAPPINGS, mapping).await?;
        room.bring(&desired, &secret).await?;
        room.finish()
    })
    .await;
}

/// Slugs of authentik's own, and what no slug can be.
#[tokio::test]
async fn surprise_12_every_client_id_has_a_slug_that_is_accepted() {
    case::run(async {
        let room = Room::new().await?;
        let long = "long-".repeat(20);
        for id in [
            "authorize",
            "token",
            "device",
            "userinfo",
            "introspect",
            "revoke",
            "register",
            "end-session",
            "https://app.example.com/a b",
            &long,
        ] {
            let (mut desired, secret) = client("slugs");
            desired.client_id = id.to_owned();
            room.create(&desired, &secret).await.context(id.to_owned())?;
            room.stands(&desired, &secret).await?;
            let slug = slug(id);
            ensure!(slug != id && slug.len() <= 50, "{slug}");
            ensure!(room.server.slugs() == [slug.as_str()]);
            ensure!(room.prove(id, &secret).await == Proof::Proven, "{id}");
            let row = room.driver.list(0).await?.rows.pop().context("no row")?;
            ensure!(room.driver.model().diff(&desired, Some(&secret), &row) == RemoteDiff::default());
            room.driver.delete(&room.get(&desired).await?).await?;
            room.nothing_is_left().await?;
        }
        room.finish()
    })
    .await;
}
