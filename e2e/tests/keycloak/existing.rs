//! A client secret of the user's own (`credentials.existingSecretRef`), at Keycloak.

use anyhow::ensure;
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::case;
use serde_json::json;

use crate::{
    held::{Held, accepted, becomes, told},
    scene,
};

const ONCE: &str = "made by hand: ~!@#$%^&*()_+ once";
const AGAIN: &str = "made-by-hand-again";

/// Set where a generated secret was, changed, drifted at Keycloak, removed: the output Secret, Keycloak and the proof follow.
#[tokio::test]
async fn the_users_secret_is_set_and_kept() {
    case::run(async {
        let scene = scene("existing").await?;
        scene.ready_client("shop", json!({})).await?;
        let generated = Held::of(&scene, "shop").await?;
        let id = generated.client_id().to_owned();

        scene.users_secret("secret", ONCE).await?;
        let spec = json!({"credentials": {"existingSecretRef": {"name": "by-hand", "key": "secret"}}});
        scene.ready_client("shop", spec).await?;
        let held = Held::of(&scene, "shop").await?;
        assert_eq!(held.client_secret(), ONCE);
        held.works(&scene).await?;
        assert_eq!((held.id(), &held.secret_uid), (generated.id(), &generated.secret_uid));
        ensure!(
            !accepted(&scene, generated.client_secret(), &id).await?,
            "the generated one is still good"
        );
        told(&scene, "shop", "SecretReplaced", &["shop-oidc"]).await?;

        scene.users_secret("secret", AGAIN).await?;
        let held = becomes(&scene, "shop", "the new secret", |now| now.client_secret() == AGAIN).await?;
        held.works(&scene).await?;
        ensure!(!accepted(&scene, ONCE, &id).await?, "the former one is still good");

        scene.idp.regenerate_secret(&id).await?;
        becomes(&scene, "shop", "the user's secret at Keycloak", |now| {
            now.shown["secret"] == AGAIN
        })
        .await?;

        scene.ready_client("shop", json!({})).await?;
        let own = Held::of(&scene, "shop").await?;
        own.works(&scene).await?;
        ensure!(own.client_secret() != AGAIN, "the user's secret stays");
        ensure!(!accepted(&scene, AGAIN, &id).await?, "the user's secret is still good");
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "Verified")
            .await
            .map(drop)
    })
    .await;
}
