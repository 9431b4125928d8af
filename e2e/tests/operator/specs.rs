//! Specs that the provider cannot serve: refused with what to do, before anything is made, and without harm to what stands.

use anyhow::ensure;
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{case, scene::Stage};
use serde_json::{Value, json};

use crate::held::{Held, nothing_stands, stays, tells};

/// Plays one such spec: with a new client, and as a change of one that stands. `bad` and `good` are patches of the usual spec.
async fn refused(prefix: &str, bad: Value, (reason, parts): (&str, &[&str]), good: Value) {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene(prefix).await?;
        scene.client("new", bad.clone()).await?;
        scene.ready_client("old", json!({})).await?;
        let held = Held::of(&scene, "old").await?;
        scene.client("old", bad).await?;
        for name in ["new", "old"] {
            let message = scene.condition::<OIDCClient>(name, "Accepted", "False", reason).await?;
            tells(&message, parts)?;
            scene.condition::<OIDCClient>(name, "Ready", "False", reason).await?;
            scene.condition::<OIDCClient>(name, "Stalled", "True", reason).await?;
        }
        stays(&scene, "old", &held).await?;
        nothing_stands(&scene, "new").await?;

        for name in ["new", "old"] {
            scene.ready_client(name, good.clone()).await?;
            Held::of(&scene, name).await?.works(&scene).await?;
        }
        let after = Held::of(&scene, "old").await?;
        ensure!(after.client_secret() == held.client_secret(), "another secret");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_redirect_uri_with_a_wildcard() {
    refused(
        "wildcard",
        json!({"redirectURIs": ["https://app.example.com/callback", "https://app.example.com/*"]}),
        (
            "RedirectURINotAllowed",
            &["https://app.example.com/*", "has a wildcard", "List each address"],
        ),
        json!({"redirectURIs": ["https://app.example.com/callback", "https://app.example.com/other"]}),
    )
    .await;
}

#[tokio::test]
async fn a_plain_http_redirect_uri() {
    refused(
        "http-redirect",
        json!({"redirectURIs": ["http://app.example.com/callback"]}),
        (
            "RedirectURINotAllowed",
            &[
                "http://app.example.com/callback",
                "plain http to another host",
                "Use https",
            ],
        ),
        // The exception: loopback.
        json!({"redirectURIs": ["http://localhost:8000/callback", "http://127.0.0.1:8000/callback"]}),
    )
    .await;
}

#[tokio::test]
async fn a_grant_that_dex_does_not_offer() {
    refused(
        "grant",
        json!({"grantTypes": ["authorization_code", "client_credentials"]}),
        ("UnsupportedByProvider", &["spec.grantTypes", "client_credentials"]),
        json!({"grantTypes": ["authorization_code"]}),
    )
    .await;
}

#[tokio::test]
async fn custom_claims_and_an_unknown_scope_are_named_together() {
    refused(
        "claims",
        json!({
            "claims": [{"name": "team", "type": "Constant", "constant": {"value": "shop"}}],
            "scopes": ["openid", "roles"],
        }),
        (
            "UnsupportedByProvider",
            &["spec.claims", "Dex has no custom claims", "spec.scopes", "scope roles"],
        ),
        json!({"scopes": ["openid", "groups"]}),
    )
    .await;
}

#[tokio::test]
async fn strict_where_dex_would_allow_more() {
    refused(
        "strict",
        json!({"enforcement": "Strict"}),
        (
            "EnforcementMissing",
            &["enforcement is Strict", "grantTypes", "scopes", "Use BestEffort"],
        ),
        json!({"enforcement": "BestEffort"}),
    )
    .await;
}

#[tokio::test]
async fn what_dex_allows_beyond_the_spec_is_shown() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("best-effort").await?;
        let client = scene.ready_client("shop", json!({"pkce": "Required"})).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "Accepted", "True", "NotEnforced")
            .await?;
        tells(&message, &["pkce", "grantTypes"])?;
        let enforcement = serde_json::to_value(client.status.unwrap().enforcement)?;
        assert_eq!(enforcement["pkce"], "None");
        assert_eq!(enforcement["redirectURIs"], "Client");
        Ok(())
    })
    .await;
}
