//! From an OIDCClient to a login, and to its end.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    login::ClientAuth,
    scene::{Idp as _, SOON},
    wait::eventually,
};
use serde_json::json;

use crate::scene;

#[tokio::test]
async fn a_client_is_made_works_and_goes() {
    case::run(async {
        let scene = scene("way").await?;
        let provider = scene
            .ready::<OIDCProvider>(oidc_operator_e2e::keycloak::Realm::NAME)
            .await?;
        let status = provider.status.context("status")?;
        assert_eq!(status.server.context("server")?.product, "Keycloak");

        let client = scene.ready_client("web", json!({"displayName": "Web"})).await?;
        let client_id = scene.client_id("web");
        let status = client.status.context("status")?;
        assert_eq!(status.client_id.as_deref(), Some(client_id.as_str()));
        let shown = scene.idp.client(&client_id).await?.context("no client in Keycloak")?;
        assert_eq!(shown["name"], "Web");
        assert_eq!(
            Some(shown["id"].as_str().context("id")?),
            status.remote.as_ref().map(|remote| remote.id.as_str())
        );

        let secret = scene.secret("web-oidc").await?;
        assert_eq!(secret["provider"], "keycloak");
        assert_eq!(
            secret["scope"], "openid profile email",
            "offline_access means something else there"
        );
        assert_eq!(
            Some(&secret["client-secret"]),
            scene.idp.secret_of(&client_id).await?.as_ref()
        );
        let login = scene.idp.login(
            &secret["client-id"],
            ClientAuth::SecretBasic(secret["client-secret"].clone()),
            &secret["redirect-uri"],
        );
        let claims = login.with_scope(&secret["scope"]).with_pkce().run().await?.claims;
        assert_eq!(claims["preferred_username"], "jane");
        assert_eq!(claims["aud"], client_id.as_str());

        scene.delete::<OIDCClient>("web").await?;
        assert_eq!(scene.idp.client(&client_id).await?, None);
        gone(&scene).await
    })
    .await;
}

async fn gone(scene: &oidc_operator_e2e::scene::Scene<'_, oidc_operator_e2e::keycloak::Realm>) -> Result<()> {
    eventually("the outputs are gone", SOON, async || {
        let left = scene.secrets().get_opt("web-oidc").await?;
        ensure!(left.is_none(), "the Secret is there");
        Ok(())
    })
    .await
}
