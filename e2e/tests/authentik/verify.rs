//! `oidc-operator verify` against authentik's stand-in: its issuer belongs to the client, and its credentials are proven elsewhere.

use anyhow::{Result, ensure};
use oidc_operator_e2e::{
    case,
    verify::{self, Report},
};
use serde_json::json;

use crate::held::{Scene, rare_scene};

async fn report(scene: &Scene<'_>) -> Result<Report> {
    verify::verify(scene.cluster.admin_kubeconfig(), &scene.app, "shop").await
}

#[tokio::test]
async fn what_works_is_told_and_each_fault_is_named() {
    case::run(async {
        let scene = rare_scene("verify").await?;
        let spec = json!({"grantTypes": ["authorization_code", "client_credentials"]});
        scene.ready_client("shop", spec).await?;
        let told = report(&scene).await?;
        ensure!(told.success, "{told:#?}");
        let issuer = scene.idp.issuer(&scene.client_id("shop"));
        ensure!(told.check("discovery")?.message.ends_with(&issuer), "{told:#?}");
        assert_eq!(told.check("credentials")?.outcome, "OK", "{told:#?}");
        assert_eq!(told.check("redirect-uri")?.outcome, "OK", "{told:#?}");
        // A token of its own would leave a user behind.
        assert_eq!(told.with("SKIPPED"), ["audience"], "{told:#?}");

        let (admin, id) = (scene.idp.admin()?, scene.client_id("shop"));
        let path = admin.path_of(&id).await?;
        let elsewhere = json!([{"matching_mode": "strict", "url": "https://app.example.com/elsewhere"}]);
        admin.patch(&path, &json!({ "redirect_uris": elsewhere })).await?;
        report(&scene)
            .await?
            .fails_in("redirect-uri", &["https://app.example.com/callback (400)"])?;
        let back = json!([{"matching_mode": "strict", "url": "https://app.example.com/callback"}]);
        admin
            .patch(
                &path,
                &json!({ "redirect_uris": back, "client_secret": "another-secret" }),
            )
            .await?;
        report(&scene)
            .await?
            .fails_in("credentials", &["refuses the client secret"])
    })
    .await;
}
