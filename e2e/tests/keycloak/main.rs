//! The operator at work with Keycloak, as its users see it: on a real API server with a real Keycloak.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod bad_input;
mod by_hand;
mod drift;
mod effects;
mod examples;
mod existing;
mod fields;
mod held;
mod keys;
mod overlap;
mod ownership;
mod registration;
mod secrecy;
mod verify;
mod way;

use anyhow::Result;
use oidc_operator_e2e::{
    keycloak::Realm,
    scene::{Scene, Stage},
    shared,
};
use serde_json::json;
use tokio::sync::OnceCell;

/// The realm of this test program: tests tell their clients apart by the client ID, which starts with their own namespace.
/// A test that changes the realm itself makes one of its own.
async fn realm() -> Result<&'static Realm> {
    static CELL: OnceCell<Realm> = OnceCell::const_new();
    CELL.get_or_try_init(async || shared::keycloak().await?.realm("keycloak").await)
        .await
}

/// A scene of a test's own in the shared realm, with a provider that is ready and looks every five seconds.
async fn scene(prefix: &str) -> Result<Scene<'static, Realm>> {
    let stage = Stage::shared().await?;
    stage
        .scene_at(realm().await?, prefix, json!({"spec": {"resyncInterval": "5s"}}))
        .await
}
