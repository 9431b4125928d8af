//! What the operator waits for: flows and mappings of a new server, a token, rights.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    authentik::{AuthentikOptions, Managed, RIGHTS, TOKEN},
    case,
    scene::{Idp as _, SOON, Stage},
    wait::{eventually, steadily},
};
use serde_json::{Value, json};

use crate::held::{Scene, WHILE, look, rare_scene, works};

async fn give_token(scene: &Scene<'_>, token: &str) -> Result<()> {
    let mut references = scene.idp.references(&scene.identity);
    let secret = references
        .iter_mut()
        .find(|object| object["metadata"]["name"] == TOKEN)
        .context("no Secret")?;
    secret["stringData"]["token"] = json!(token);
    scene.apply(secret.clone()).await.map(drop)
}

async fn unready(scene: &Scene<'_>, reason: &str) -> Result<String> {
    scene
        .condition::<OIDCProvider>(Managed::NAME, "AdminAPIReady", "False", reason)
        .await
}

/// Nothing of it is gone or changed.
fn standing(scene: &Scene<'_>, name: &str) -> (Option<Value>, Option<Value>) {
    let id = scene.client_id(name);
    (scene.idp.server.provider(&id), scene.idp.server.application(&id))
}

#[tokio::test]
async fn a_new_server_is_waited_for_until_its_blueprints_are_applied() {
    case::run(async {
        let managed = Managed::start(AuthentikOptions {
            blueprints: false,
            ..AuthentikOptions::default()
        })?;
        let stage = Stage::shared().await?;
        let scene = stage.empty_scene_at(&managed, "new").await?;
        scene.provider(json!({})).await?;
        let message = unready(&scene, "ServerError").await?;
        ensure!(
            message.contains("flow") && message.contains("some minutes after its first start"),
            "{message}"
        );
        scene.client("early", json!({})).await?;
        scene
            .condition::<OIDCClient>("early", "Ready", "False", "ProviderNotReady")
            .await?;
        assert_eq!(managed.writes_since(0).len(), 0, "nothing is made yet");
        managed.server.apply_blueprints();
        scene.ready::<OIDCProvider>(Managed::NAME).await?;
        scene.ready::<OIDCClient>("early").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_no_good_any_more_is_told_and_costs_no_client() {
    case::run(async {
        let scene = rare_scene("token").await?;
        scene.ready_client("shop", json!({})).await?;
        let before = standing(&scene, "shop");
        let secret = scene.secret("shop-oidc").await?;
        scene.idp.server.revoke_token(&scene.idp.token);
        let mark = scene.idp.mark();
        scene.client("shop", json!({"displayName": "New"})).await?;
        look(&scene, "revoked").await?;
        let message = unready(&scene, "Unauthorized").await?;
        ensure!(message.contains("Token invalid/expired"), "{message}");
        steadily("it stands", WHILE, async || {
            ensure!(standing(&scene, "shop") == before);
            ensure!(scene.secret("shop-oidc").await? == secret);
            Ok(())
        })
        .await?;
        let asked = scene.idp.asked_since(mark);
        ensure!(asked.iter().all(|request| request.status == Some(403)), "{asked:?}");

        let token = scene.idp.server.service_account("again", RIGHTS)?;
        give_token(&scene, &token).await?;
        scene.ready::<OIDCProvider>(Managed::NAME).await?;
        scene.ready_client("new", json!({})).await?;
        eventually("what was to be changed is", SOON, async || {
            let application = standing(&scene, "shop").1.context("no application")?;
            ensure!(application["name"] == "New", "{application}");
            Ok(())
        })
        .await?;
        assert_eq!(scene.secret("shop-oidc").await?, secret);
        works(&scene, "shop").await
    })
    .await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_told_and_nothing_is_taken_for_missing() {
    case::run(async {
        let scene = rare_scene("rights").await?;
        let claims = json!([{"name": "tier", "type": "Constant", "constant": {"value": "gold"}}]);
        let spec = json!({"claims": claims});
        scene.ready_client("old", spec.clone()).await?;
        let before = standing(&scene, "old");
        let secret = scene.secret("old-oidc").await?;
        for right in RIGHTS.iter().copied() {
            let rest: Vec<&str> = RIGHTS.iter().copied().filter(|other| *other != right).collect();
            let name = right.replace(['.', '_'], "-");
            let token = scene.idp.server.service_account(&name, &rest)?;
            give_token(&scene, &token).await?;
            look(&scene, right).await?;
            // What all clients are built from is looked up for the provider.
            let of_provider = right.contains(".view_") && right != "authentik_core.view_application";
            let message = if of_provider {
                unready(&scene, "Forbidden").await.context(right)?
            } else {
                scene.ready::<OIDCProvider>(Managed::NAME).await.context(right)?;
                blocked(&scene, &name, &spec, right, &token).await.context(right)?
            };
            let told = [
                "give it the role of docs/authentik.md",
                "gives the operator too few rights",
            ];
            ensure!(told.iter().any(|told| message.contains(told)), "{right}: {message}");
            assert_eq!(standing(&scene, "old"), before, "{right}");
            assert_eq!(scene.secret("old-oidc").await?, secret, "{right}");
            // With all rights, all is well.
            give_token(&scene, &scene.idp.token).await?;
            look(&scene, &format!("{right}, and back")).await?;
            scene.ready::<OIDCProvider>(Managed::NAME).await.context(right)?;
            scene.ready::<OIDCClient>("old").await.context(right)?;
        }
        Ok(())
    })
    .await;
}

/// A client that cannot be made, changed, or deleted for the lack of this right; what its status says then.
async fn blocked(scene: &Scene<'_>, name: &str, spec: &Value, right: &str, few: &str) -> Result<String> {
    let told = async |name: &str| {
        eventually(format!("{name} is blocked"), SOON, async || {
            let status = scene.api::<OIDCClient>().get(name).await?.status.context("no status")?;
            let mut found = status.conditions.iter();
            let found = found.find(|condition| condition.message.contains("too few rights"));
            Ok(found
                .with_context(|| format!("{:?}", status.conditions))?
                .message
                .clone())
        })
        .await
    };
    let full = &scene.idp.token;
    if right.contains(".change_") || right.contains(".delete_") {
        // It is made with all rights first.
        give_token(scene, full).await?;
        scene.ready_client(name, spec.clone()).await?;
        give_token(scene, few).await?;
        look(scene, &format!("{right}, once more")).await?;
        if right.contains(".delete_") {
            scene
                .api::<OIDCClient>()
                .delete(name, &kube::api::DeleteParams::default())
                .await?;
        } else {
            let mut changed = spec.clone();
            changed["displayName"] = json!("Changed");
            changed["tokenLifetimes"] = json!({"accessToken": "5m"});
            changed["claims"][0]["constant"]["value"] = json!("blue");
            scene.client(name, changed).await?;
        }
        let message = told(name).await?;
        give_token(scene, full).await?;
        if right.contains(".delete_") {
            scene.gone::<OIDCClient>(name).await?;
        } else {
            scene.ready::<OIDCClient>(name).await?;
        }
        return Ok(message);
    }
    scene.client(name, spec.clone()).await?;
    let message = told(name).await?;
    give_token(scene, full).await?;
    scene.ready::<OIDCClient>(name).await?;
    Ok(message)
}
