//! Logins at Keycloak, which insists on PKCE, as each OIDCClient asks.

use anyhow::Result;
use oidc_operator_e2e::{
    applications::{Program, User},
    case,
    keycloak::Realm,
    scene::Stage,
    shared,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    Theatre,
    journey::{self, Provider},
};

/// That of all tests at Keycloak, and their realm.
pub(crate) async fn theatre() -> Result<&'static (Theatre, Realm)> {
    static CELL: OnceCell<(Theatre, Realm)> = OnceCell::const_new();
    CELL.get_or_try_init(async || {
        let (stage, keycloak) = tokio::try_join!(Stage::shared(), shared::keycloak())?;
        let realm = keycloak.realm("applications").await?;
        Ok((Theatre::open(stage, keycloak.ca_pem()).await?, realm))
    })
    .await
}

async fn at_keycloak(program: Program, spec: Value) -> Result<()> {
    let (theatre, realm) = theatre().await?;
    let scene = theatre.stage.scene_at(realm, program.name(), json!({})).await?;
    let provider = Provider {
        user: User::of_keycloak(realm.user()),
        token_endpoint: realm.token_endpoint(),
        ca_pem: realm.ca_pem(),
    };
    journey::run(theatre, &scene, program, &provider, spec).await
}

#[tokio::test]
async fn people_log_into_oauth2_proxy_before_and_after_a_rotation() {
    case::run(at_keycloak(Program::OAuth2Proxy, json!({}))).await;
}

#[tokio::test]
async fn people_log_into_flask_before_and_after_a_rotation() {
    case::run(at_keycloak(Program::Flask, json!({}))).await;
}

/// By Authlib's own hand: whatever the operator's proof says, a library that is widely used gets its users in.
#[tokio::test]
async fn people_log_into_flask_with_a_private_key() {
    let spec = json!({"tokenEndpointAuthMethod": "private_key_jwt"});
    case::run(at_keycloak(Program::Flask, spec)).await;
}

#[tokio::test]
async fn people_log_into_fastapi_before_and_after_a_rotation() {
    case::run(at_keycloak(Program::FastApi, json!({}))).await;
}
