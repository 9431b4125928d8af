//! Logins at Dex, where a new secret means a new client.

use anyhow::Result;
use oidc_operator_e2e::{
    applications::{Program, User},
    case,
    scene::Stage,
};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    Theatre,
    journey::{self, Provider},
};

/// That of all tests at Dex.
pub(crate) async fn theatre() -> Result<&'static Theatre> {
    static CELL: OnceCell<Theatre> = OnceCell::const_new();
    CELL.get_or_try_init(async || {
        let stage = Stage::shared().await?;
        Theatre::open(stage, stage.dex.ca_pem()).await
    })
    .await
}

async fn at_dex(program: Program) -> Result<()> {
    let theatre = theatre().await?;
    let scene = theatre.stage.scene(program.name()).await?;
    let dex = &theatre.stage.dex;
    let provider = Provider {
        user: User::of_dex(),
        token_endpoint: dex.token_endpoint(),
        ca_pem: dex.ca_pem(),
    };
    journey::run(theatre, &scene, program, &provider, json!({})).await
}

#[tokio::test]
async fn people_log_into_oauth2_proxy_before_and_after_a_rotation() {
    case::run(at_dex(Program::OAuth2Proxy)).await;
}

#[tokio::test]
async fn people_log_into_flask_before_and_after_a_rotation() {
    case::run(at_dex(Program::Flask)).await;
}

#[tokio::test]
async fn people_log_into_fastapi_before_and_after_a_rotation() {
    case::run(at_dex(Program::FastApi)).await;
}
