//! The way of one client: made, used, changed, deleted.

use anyhow::ensure;
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    login::{ClientAuth, Login},
    scene::Stage,
};
use serde_json::json;

#[tokio::test]
async fn a_client_is_made_and_a_user_logs_in_with_what_stands_beside_the_application() {
    case::run(async {
        let stage = Stage::shared().await?;
        let scene = stage.scene("way").await?;
        let client = scene.ready_client("shop", json!({"displayName": "The shop"})).await?;
        let status = client.status.as_ref().unwrap();
        let client_id = format!("{}_shop", scene.app);
        assert_eq!(status.client_id.as_deref(), Some(client_id.as_str()));
        assert_eq!(status.binding.as_ref().unwrap().name, "shop-oidc");
        assert_eq!(
            status.provider.as_deref(),
            Some(format!("{}/dex", scene.identity).as_str())
        );

        let secret = scene.secret("shop-oidc").await?;
        let config_map = scene.config_maps().get("shop-oidc").await?.data.unwrap();
        let keys: Vec<&str> = secret.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "authorization-uri",
                "client-id",
                "client-secret",
                "issuer-uri",
                "jwk-set-uri",
                "provider",
                "redirect-uri",
                "scope",
                "token-uri",
                "type",
                "user-info-uri",
            ]
        );
        let keys: Vec<&str> = config_map.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "authorization-uri",
                "ca-bundle.crt",
                "ca.crt",
                "discovery-url",
                "issuer-uri",
                "jwk-set-uri",
                "token-uri",
                "user-info-uri",
            ]
        );
        let login = Login {
            scope: secret["scope"].clone(),
            ..Login::new(
                &secret["issuer-uri"],
                &config_map["ca-bundle.crt"],
                &secret["client-id"],
                ClientAuth::SecretBasic(secret["client-secret"].clone()),
                &secret["redirect-uri"],
            )
        };
        let logged_in = login.run().await?;
        assert_eq!(logged_in.claims["aud"], client_id);
        assert!(
            logged_in.tokens["refresh_token"].is_string(),
            "offline_access was asked for"
        );

        let at_dex = stage.dex.admin().await?.get(&client_id).await?.unwrap();
        assert_eq!(at_dex.name, "The shop");
        let uid = client.metadata.uid.clone().unwrap();
        assert_eq!(
            at_dex.trusted_peers,
            [format!("oidc-operator.io/e2e/{}/shop/{uid}", scene.app)]
        );

        scene.delete::<OIDCClient>("shop").await?;
        assert_eq!(stage.dex.admin().await?.get(&client_id).await?, None);
        oidc_operator_e2e::wait::eventually("the outputs are gone", oidc_operator_e2e::scene::SOON, async || {
            ensure!(
                scene.secrets().get_opt("shop-oidc").await?.is_none(),
                "the Secret is there"
            );
            ensure!(
                scene.config_maps().get_opt("shop-oidc").await?.is_none(),
                "the ConfigMap is there"
            );
            Ok(())
        })
        .await
    })
    .await;
}
