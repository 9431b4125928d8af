//! From an OIDCClient to a login, and to its end.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    authentik::Managed,
    case,
    login::ClientAuth,
    scene::{Idp as _, SOON, Scene},
    wait::eventually,
};
use serde_json::json;

use crate::scene;

#[tokio::test]
async fn a_client_is_made_works_and_goes() {
    case::run(async {
        let scene = scene("way").await?;
        let provider = scene.ready::<OIDCProvider>(Managed::NAME).await?;
        let status = provider.status.context("status")?;
        let server = status.server.context("server")?;
        assert_eq!(server.product, "authentik");
        assert_eq!(server.version.as_deref(), Some(scene.idp.server.release().version()));
        assert_eq!(status.issuer, None, "the issuer belongs to the client");

        let spec = json!({"displayName": "Web", "grantTypes": ["authorization_code", "refresh_token"]});
        let client = scene.ready_client("web", spec).await?;
        let client_id = scene.client_id("web");
        let issuer = scene.idp.issuer(&client_id);
        let status = client.status.context("status")?;
        assert_eq!(status.issuer.as_deref(), Some(issuer.as_str()));
        let application = scene.idp.server.application(&client_id).context("no application")?;
        assert_eq!(application["name"], "Web");
        let remote = status.remote.context("remote")?;
        assert_eq!(application["pk"], remote.id.as_str());
        let made = scene.idp.server.provider(&client_id).context("no provider")?;
        assert!(
            made["name"].as_str().unwrap().starts_with("oidc-operator.io/"),
            "{made}"
        );

        let secret = scene.secret("web-oidc").await?;
        assert_eq!(secret["provider"], "authentik");
        assert_eq!(secret["scope"], "openid profile email offline_access");
        assert_eq!(made["client_secret"], secret["client-secret"].as_str());
        assert_eq!(secret["issuer-uri"], issuer);
        let login = scene.idp.login(
            &secret["client-id"],
            ClientAuth::SecretBasic(secret["client-secret"].clone()),
            &secret["redirect-uri"],
        );
        let claims = login.with_scope(&secret["scope"]).with_pkce().run().await?.claims;
        assert_eq!(claims["preferred_username"], "jane");
        assert_eq!(claims["iss"], issuer.as_str());

        scene.delete::<OIDCClient>("web").await?;
        assert_eq!(scene.idp.server.provider(&client_id), None);
        assert_eq!(scene.idp.server.application(&client_id), None);
        assert_eq!(scene.idp.server.findings(), [""; 0]);
        gone(&scene).await
    })
    .await;
}

/// The outputs follow their owner.
async fn gone(scene: &Scene<'_, Managed>) -> Result<()> {
    eventually("the outputs are gone", SOON, async || {
        let left = scene.secrets().get_opt("web-oidc").await?;
        ensure!(left.is_none(), "the Secret is there");
        Ok(())
    })
    .await
}
