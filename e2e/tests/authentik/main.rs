//! The operator at work with authentik's stand-in, as its users see it: on a real API server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod bulk;
mod drift;
mod effects;
mod faults;
mod fields;
mod held;
mod ownership;
mod verify;
mod waiting;
mod way;

use anyhow::Result;
use oidc_operator_e2e::{
    authentik::{AuthentikOptions, Managed},
    scene::{Scene, Stage},
};
use serde_json::json;
use tokio::sync::OnceCell;

/// The server of this test program: tests tell their clients apart by the client ID, which starts with their own namespace. A
/// test that changes the server itself starts one of its own.
async fn server() -> Result<&'static Managed> {
    static CELL: OnceCell<Managed> = OnceCell::const_new();
    CELL.get_or_try_init(async || Managed::start(AuthentikOptions::default()))
        .await
}

/// A scene of a test's own at the shared server, with a provider that is ready and looks every five seconds.
async fn scene(prefix: &str) -> Result<Scene<'static, Managed>> {
    let stage = Stage::shared().await?;
    stage
        .scene_at(server().await?, prefix, json!({"spec": {"resyncInterval": "5s"}}))
        .await
}
