//! Every field of OIDCClient that is about the client: set, changed and cleared, and what authentik shows of it each time.
//!
//! Each table says all that changes at authentik, so that whatever else changed fails too. It starts and ends with a client that
//! has nothing set: what is cleared is as if it had never been set.

use anyhow::{Result, bail, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{authentik::Release, case};
use serde_json::{Value, json};

use crate::{
    held::{difference, shown, works},
    scene,
};

/// Brings a client from spec to spec. Each step: the spec, and all that changes.
async fn table(prefix: &str, steps: Vec<(Value, Value)>) -> Result<()> {
    let scene = scene(prefix).await?;
    scene.ready_client("shop", json!({})).await?;
    let id = scene.client_id("shop");
    let first = shown(&scene, &id).await?;
    let mut before = first.clone();
    let mut wrong = Vec::new();
    for (spec, expected) in steps {
        scene.ready_client("shop", spec.clone()).await?;
        let after = shown(&scene, &id).await?;
        let found = json!(difference(&before, &after));
        if found != expected {
            wrong.push(format!("{spec}\n  changed  {found}\n  expected {expected}"));
        }
        before = after;
    }
    let left = difference(&first, &before);
    if !left.is_empty() {
        wrong.push(format!("in the end something is left: {left:?}"));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    works(&scene, "shop").await
}

/// Does the server know grant types, and redirect URIs for logout?
fn is_new() -> Result<bool> {
    Ok(Release::chosen()? == Release::R2026_5)
}

fn uri(url: &str) -> Result<Value> {
    Ok(if is_new()? {
        json!({"matching_mode": "strict", "redirect_uri_type": "authorization", "url": url})
    } else {
        json!({"matching_mode": "strict", "url": url})
    })
}

#[tokio::test]
async fn texts_and_addresses() {
    case::run(table(
        "texts",
        vec![
            (json!({"displayName": "Shop"}), json!({"application.name": "Shop"})),
            (json!({"displayName": "Läden & <Co>"}), json!({"application.name": "Läden & <Co>"})),
            (
                json!({"description": "d"}),
                json!({"application.name": "{id}", "application.meta_description": "d"}),
            ),
            (json!({"description": "e"}), json!({"application.meta_description": "e"})),
            (
                json!({"homepageURI": "https://a.example.com/?b=c"}),
                json!({"application.meta_description": "", "application.meta_launch_url": "https://a.example.com/?b=c"}),
            ),
            (
                json!({"homepageURI": "https://b.example.com"}),
                json!({"application.meta_launch_url": "https://b.example.com"}),
            ),
            (
                json!({"logoURI": "https://a.example.com/logo.png"}),
                json!({"application.meta_launch_url": "", "application.meta_icon": "https://a.example.com/logo.png"}),
            ),
            (
                json!({"logoURI": "https://a.example.com/logo.svg"}),
                json!({"application.meta_icon": "https://a.example.com/logo.svg"}),
            ),
            (json!({}), json!({"application.meta_icon": ""})),
        ],
    ))
    .await;
}

#[tokio::test]
async fn redirect_uris_and_origins() {
    case::run(async {
        let (one, two) = ("https://one.example.com/callback", "https://two.example.com/callback");
        let first = "https://app.example.com/callback";
        let machine = json!({"redirectURIs": null, "grantTypes": ["client_credentials"]});
        let mut nowhere = json!({
            "provider.redirect_uris": [uri("https://nowhere.invalid/")?],
            "provider.property_mappings": ["email", "openid", "profile"],
        });
        let mut back = json!({
            "provider.redirect_uris": [uri(first)?],
            "provider.property_mappings": ["email", "offline_access", "openid", "profile"],
        });
        if is_new()? {
            nowhere["provider.grant_types"] = json!(["client_credentials"]);
            back["provider.grant_types"] = json!(["authorization_code", "refresh_token"]);
        }
        let both = json!({"provider.redirect_uris": [uri(one)?, uri(two)?]});
        table(
            "redirects",
            vec![
                (json!({"redirectURIs": [one, two]}), both),
                // The order matters to output formats, not to authentik.
                (json!({"redirectURIs": [two, one]}), json!({})),
                (
                    json!({"redirectURIs": [two]}),
                    json!({"provider.redirect_uris": [uri(two)?]}),
                ),
                // Those of redirect URIs may call it anyway.
                (
                    json!({"redirectURIs": [two], "webOrigins": ["https://two.example.com"]}),
                    json!({}),
                ),
                // Never an empty list: authentik would take the first address that is used.
                (machine, nowhere),
                (json!({}), back),
            ],
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn post_logout_redirect_uris() {
    case::run(async {
        if !is_new()? {
            return refused_by_old_servers().await;
        }
        let out = |url: &str| json!({"matching_mode": "strict", "redirect_uri_type": "logout", "url": url});
        let callback = uri("https://app.example.com/callback")?;
        let (one, two) = ("https://app.example.com/bye", "https://app.example.com/ciao");
        table(
            "logouts",
            vec![
                (
                    json!({"postLogoutRedirectURIs": [one]}),
                    json!({"provider.redirect_uris": [callback, out(one)]}),
                ),
                (
                    json!({"postLogoutRedirectURIs": [two, one]}),
                    json!({"provider.redirect_uris": [callback, out(one), out(two)]}),
                ),
                (json!({}), json!({"provider.redirect_uris": [callback]})),
            ],
        )
        .await
    })
    .await;
}

/// There they would become redirect URIs.
async fn refused_by_old_servers() -> Result<()> {
    let scene = scene("logouts").await?;
    let bye = "https://app.example.com/bye";
    scene.client("shop", json!({"postLogoutRedirectURIs": [bye]})).await?;
    let message = scene
        .condition::<OIDCClient>("shop", "Accepted", "False", "UnsupportedByProvider")
        .await?;
    ensure!(message.contains("postLogoutRedirectURIs"), "{message}");
    assert_eq!(scene.idp.server.provider(&scene.client_id("shop")), None);
    Ok(())
}

#[tokio::test]
async fn types_grants_and_scopes() {
    case::run(async {
        let usual = json!(["email", "offline_access", "openid", "profile"]);
        let mut plain = json!({"provider.property_mappings": ["email", "openid", "profile"]});
        let mut public = json!({"provider.property_mappings": usual, "provider.client_type": "public"});
        if is_new()? {
            plain["provider.grant_types"] = json!(["authorization_code"]);
            public["provider.grant_types"] = json!(["authorization_code", "refresh_token"]);
        }
        table(
            "types",
            vec![
                // Unset, refresh tokens are among them, and their scope.
                (json!({"grantTypes": ["authorization_code"]}), plain),
                (json!({"type": "Public"}), public),
                (
                    json!({"scopes": ["openid", "entitlements"]}),
                    json!({
                        "provider.client_type": "confidential",
                        "provider.property_mappings": ["entitlements", "offline_access", "openid"],
                    }),
                ),
                (
                    json!({"scopes": ["openid"], "optionalScopes": ["profile"]}),
                    json!({"provider.property_mappings": ["offline_access", "openid", "profile"]}),
                ),
                (json!({}), json!({"provider.property_mappings": usual})),
            ],
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn lifetimes_and_logout() {
    let logout = |type_: &str, uri: &str| json!({"logout": {"type": type_, "uri": uri}});
    case::run(table(
        "lifetimes",
        vec![
            (
                json!({"tokenLifetimes": {"accessToken": "5m"}}),
                json!({"provider.access_token_validity": "seconds=300"}),
            ),
            (
                json!({"tokenLifetimes": {"accessToken": "10m", "refreshToken": "12h"}}),
                json!({
                    "provider.access_token_validity": "seconds=600",
                    "provider.refresh_token_validity": "seconds=43200",
                }),
            ),
            (
                logout("BackChannel", "https://app.example.com/back"),
                json!({
                    "provider.access_token_validity": "seconds=3600",
                    "provider.refresh_token_validity": "seconds=2592000",
                    "provider.logout_uri": "https://app.example.com/back",
                }),
            ),
            (
                logout("FrontChannel", "https://app.example.com/front"),
                json!({
                    "provider.logout_uri": "https://app.example.com/front",
                    "provider.logout_method": "frontchannel",
                }),
            ),
            (
                json!({}),
                json!({"provider.logout_uri": "", "provider.logout_method": "backchannel"}),
            ),
        ],
    ))
    .await;
}

#[tokio::test]
async fn claims_are_mappings_of_their_own() {
    let constant = |name: &str, value: &str| json!({"name": name, "type": "Constant", "constant": {"value": value}});
    let gold = json!(["openid", "value = \"gold\"\nreturn {\"tier\": value}"]);
    let blue = json!(["openid", "value = \"blue\"\nreturn {\"tier\": value}"]);
    let nested = json!(["openid", "value = \"x\"\nreturn {\"a\": {\"b\": value}}"]);
    case::run(table(
        "claims",
        vec![
            (
                json!({"claims": [constant("tier", "gold")]}),
                json!({
                    "mapping./tier": gold,
                    "provider.property_mappings": ["/tier", "email", "offline_access", "openid", "profile"],
                }),
            ),
            (
                json!({"claims": [constant("tier", "blue")]}),
                json!({"mapping./tier": blue}),
            ),
            (
                json!({"claims": [constant("a.b", "x")]}),
                json!({
                    "mapping./tier": null,
                    "mapping./a.b": nested,
                    "provider.property_mappings": ["/a.b", "email", "offline_access", "openid", "profile"],
                }),
            ),
            (
                json!({}),
                json!({
                    "mapping./a.b": null,
                    "provider.property_mappings": ["email", "offline_access", "openid", "profile"],
                }),
            ),
        ],
    ))
    .await;
}
