//! The way of a client: written, rolled out, provisioned, used, rotated, deleted.

use anyhow::ensure;
use kube::api::DeleteParams;
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    dex::Storage,
    login::{ClientAuth, Login},
    wait::eventually,
};
use serde_json::json;

use crate::site::{Site, ready, target};

#[tokio::test]
async fn a_client_comes_works_is_rotated_and_goes() {
    case::run(async {
        let site = Site::start("way", Storage::Sqlite).await?;
        let (scene, _kubelet) = site.scene().await?;
        assert_eq!(target(&scene).await?, site.dex.base(), "nothing is added yet");

        // While Dex is rolled out, the client says so.
        scene.client("web", json!({"displayName": "yes: no"})).await?;
        scene
            .condition::<OIDCClient>("web", "Provisioned", "False", "RollingOut")
            .await?;
        ready::<OIDCClient>(&scene, "web").await?;
        let id = scene.client_id("web");
        let text = target(&scene).await?;
        assert!(
            text.starts_with(site.dex.base().split("\n# Users").next().unwrap()),
            "{text}"
        );
        assert!(
            text.contains("name: \"yes: no\"") && !text.contains("secret: \""),
            "{text}"
        );

        let secret = scene.secret("web-oidc").await?["client-secret"].clone();
        let login = |secret: &str| {
            let auth = ClientAuth::SecretBasic(secret.to_owned());
            Login::new(
                site.dex.issuer(),
                site.dex.ca_pem(),
                &id,
                auth,
                "https://app.example.com/callback",
            )
        };
        login(&secret).run().await?;
        assert!(!site.accepts(&id, "").await?);

        // Applications keep the old secret until Dex has the new one.
        scene.rotate("web", "1").await?;
        eventually("the rotation is told", oidc_operator_e2e::scene::SOON * 3, async || {
            let told = scene.credentials("web").await?.last_rotate_request;
            ensure!(told.as_deref() == Some("1"), "{told:?}");
            Ok(())
        })
        .await?;
        let rotated = scene.secret("web-oidc").await?["client-secret"].clone();
        assert_ne!(rotated, secret);
        login(&rotated).run().await?;
        assert!(!site.accepts(&id, &secret).await? && !site.accepts(&id, "").await?);

        let before = site.dex.starts().len();
        scene
            .api::<OIDCClient>()
            .delete("web", &DeleteParams::default())
            .await?;
        scene.gone::<OIDCClient>("web").await?;
        site.restarted(before, 1).await?;
        assert!(!site.accepts(&id, &rotated).await?);
        assert_eq!(target(&scene).await?, site.dex.base());
        site.was_never_open()
    })
    .await;
}
