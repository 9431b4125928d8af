//! The operator's account: its realm, its secret, its rights.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    keycloak::{ADMIN, Realm, ServiceAccount, admin_secret},
    scene::{Scene, Stage},
};
use serde_json::{Value, json};

use super::{Held, PROVIDER, not_ready, nothing_stands, own_realm, stays, tells};
use crate::realm;

/// What is mended in an object that the operator watches is noticed, not waited for. Generous: two cores, many tests.
const SECONDS: Duration = Duration::from_secs(20);
/// Short enough to see a token end; tokens live for five minutes else.
const SHORT: &str = "5s";

/// The provider's Secret with this secret.
async fn give_secret(scene: &Scene<'_, Realm>, secret: &str) -> Result<()> {
    let account = ServiceAccount {
        secret: secret.to_owned(),
        ..scene.idp.operator().clone()
    };
    scene.apply(admin_secret(&scene.identity, &account)).await.map(drop)
}

/// A merge patch: a provider that logs in as `account`.
fn as_account(account: &ServiceAccount) -> Value {
    json!({"spec": {"resyncInterval": SHORT, "keycloak": {"credentials": {
        "clientCredentials": {"clientID": account.client_id},
    }}}})
}

/// A scene whose provider logs in as an account with these roles.
async fn scene_with_roles(prefix: &str, roles: &[&str]) -> Result<(Scene<'static, Realm>, ServiceAccount)> {
    let realm = realm().await?;
    let scene = Stage::shared().await?.empty_scene_at(realm, prefix).await?;
    let account = realm
        .service_account(&format!("account-{}", scene.identity), roles)
        .await?;
    scene.apply(admin_secret(&scene.identity, &account)).await?;
    scene.provider(as_account(&account)).await?;
    Ok((scene, account))
}

/// A merge patch: an administrator of the whole server, by password.
fn by_password() -> Value {
    json!({"spec": {"keycloak": {"authRealm": "master", "credentials": {
        "type": "Password",
        "clientCredentials": null,
        "password": {
            "usernameSecretRef": {"name": ADMIN, "key": "username"},
            "passwordSecretRef": {"name": ADMIN, "key": "password"},
        },
    }}}})
}

/// The Secret that [`by_password`] refers to.
async fn give_password(scene: &Scene<'_, Realm>, password: &str) -> Result<()> {
    let mut secret = admin_secret(&scene.identity, scene.idp.operator());
    let (username, _) = scene.idp.admin().credentials();
    secret["stringData"] = json!({"username": username, "password": password});
    scene.apply(secret).await.map(drop)
}

#[tokio::test]
async fn a_realm_that_is_missing() {
    case::run(async {
        let realm = own_realm("missing").await?;
        realm.delete().await?;
        let scene = Stage::shared().await?.empty_scene_at(&realm, "missing").await?;
        scene.provider(json!({"spec": {"resyncInterval": SHORT}})).await?;
        let message = not_ready(&scene, "RealmNotFound").await?;
        tells(&message, &["there is no realm", realm.name()])?;
        scene.client("shop", json!({})).await?;
        scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotReady")
            .await?;

        // Whoever logs in elsewhere is told the same.
        give_password(&scene, realm.admin().credentials().1).await?;
        scene.provider(by_password()).await?;
        let message = not_ready(&scene, "RealmNotFound").await?;
        tells(&message, &["has no realm", realm.name()])?;
        nothing_stands_in_kubernetes(&scene).await?;

        realm.make_again().await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready::<OIDCClient>("shop").await?;
        Held::of(&scene, "shop").await?.works(&scene).await
    })
    .await;
}

async fn nothing_stands_in_kubernetes(scene: &Scene<'_, Realm>) -> Result<()> {
    let secret = scene.secrets().get_opt("shop-oidc").await?;
    ensure!(secret.is_none(), "a Secret stands");
    Ok(())
}

/// All is ready within seconds of `start`, with what was `held` before.
async fn ready_soon_with(scene: &Scene<'_, Realm>, start: Instant, held: &Held) -> Result<()> {
    scene.ready::<OIDCProvider>(PROVIDER).await?;
    scene.ready::<OIDCClient>("shop").await?;
    ensure!(start.elapsed() < SECONDS, "ready again after {:?}", start.elapsed());
    ensure!(Held::of(scene, "shop").await? == *held, "something was lost");
    Ok(())
}

#[tokio::test]
async fn a_wrong_client_secret() {
    case::run(async {
        let scene = Stage::shared()
            .await?
            .scene_at(realm().await?, "secret", json!({}))
            .await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;

        give_secret(&scene, "mistyped-secret").await?;
        let message = not_ready(&scene, "Unauthorized").await?;
        tells(
            &message,
            &["does not log in client oidc-operator of realm", scene.idp.name()],
        )?;
        ensure!(!message.contains("mistyped-secret"), "{message}");
        scene
            .condition::<OIDCClient>("shop", "ProviderResolved", "False", "ProviderNotReady")
            .await?;
        stays(&scene, "shop", &held).await?;

        let start = Instant::now();
        scene.references().await?;
        ready_soon_with(&scene, start, &held).await
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_is_regenerated_while_the_operator_runs() {
    case::run(async {
        let realm = own_realm("regenerated").await?;
        realm.update(&json!({"accessTokenLifespan": 5})).await?;
        let provider = json!({"spec": {"resyncInterval": SHORT}});
        let scene = Stage::shared().await?.scene_at(&realm, "regenerated", provider).await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;

        // The token that the operator has is good until its end.
        let secret = realm.regenerate_secret(&realm.operator().client_id).await?;
        let message = not_ready(&scene, "Unauthorized").await?;
        tells(&message, &["does not log in"])?;
        stays(&scene, "shop", &held).await?;

        let start = Instant::now();
        give_secret(&scene, &secret).await?;
        ready_soon_with(&scene, start, &held).await
    })
    .await;
}

#[tokio::test]
async fn an_account_without_any_role() {
    case::run(async {
        let (scene, account) = scene_with_roles("roles", &[]).await?;
        let message = not_ready(&scene, "Forbidden").await?;
        tells(&message, &["manage-clients", "realm-management", scene.idp.name()])?;
        scene.idp.grant(&account.client_id, &["manage-clients"]).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.ready_client("shop", json!({})).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_account_that_may_only_look() {
    case::run(async {
        let (scene, account) = scene_with_roles("look", &["view-clients"]).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        scene.client("shop", json!({})).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "Ready", "Unknown", "Forbidden")
            .await?;
        tells(&message, &["gives the operator too few rights"])?;
        let client = scene.idp.client(&scene.client_id("shop")).await?;
        ensure!(client.is_none(), "{client:?}");

        scene.idp.grant(&account.client_id, &["manage-clients"]).await?;
        scene.ready::<OIDCClient>("shop").await?;
        Held::of(&scene, "shop").await?.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn an_administrators_password() {
    case::run(async {
        let realm = realm().await?;
        let scene = Stage::shared().await?.empty_scene_at(realm, "password").await?;
        let (username, password) = realm.admin().credentials();
        give_password(&scene, "mistyped-password").await?;
        scene.provider(by_password()).await?;
        let message = not_ready(&scene, "Unauthorized").await?;
        tells(&message, &["does not log in the user of realm master"])?;
        for secret in ["mistyped-password", username] {
            ensure!(!message.contains(secret), "{message}");
        }

        let start = Instant::now();
        give_password(&scene, password).await?;
        scene.ready::<OIDCProvider>(PROVIDER).await?;
        ensure!(start.elapsed() < SECONDS, "ready after {:?}", start.elapsed());
        scene
            .ready_client("shop", json!({"scopes": ["openid", "email"]}))
            .await?;
        Held::of(&scene, "shop").await?.works(&scene).await?;
        scene.delete::<OIDCClient>("shop").await?;
        nothing_stands(&scene, "shop").await
    })
    .await;
}
