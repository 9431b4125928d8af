//! What is wrong with a Keycloak, or with what an OIDCProvider says of it: it is told, nothing is lost, and all is well again
//! once that is mended.

mod account;
mod faults;
mod refused;
mod server;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::OIDCProvider;
use oidc_operator_e2e::{
    http_proxy::HttpProxy,
    install,
    keycloak::Realm,
    login::secret_accepted,
    scene::{Idp as _, SOON, Scene, Stage},
    shared,
    wait::{eventually, steadily},
};
use serde_json::{Value, json};

/// Name of every OIDCProvider here.
const PROVIDER: &str = Realm::NAME;
/// Name of the ConfigMap with the CA of an [`HttpProxy`].
const PROXY_CA: &str = "proxy-ca";
/// How long "stays so" is watched.
const WHILE: Duration = Duration::from_secs(2);

/// All that a user of a client depends on.
#[derive(Debug, PartialEq)]
struct Held {
    secret: BTreeMap<String, String>,
    secret_uid: Option<String>,
    config_map: BTreeMap<String, String>,
    in_keycloak: Value,
}

impl Held {
    /// What stands for OIDCClient `name`.
    async fn of(scene: &Scene<'_, Realm>, name: &str) -> Result<Self> {
        let output = format!("{name}-oidc");
        let client_id = scene.client_id(name);
        Ok(Self {
            secret: scene.secret(&output).await?,
            secret_uid: scene.secrets().get(&output).await?.metadata.uid,
            config_map: scene.config_maps().get(&output).await?.data.unwrap_or_default(),
            in_keycloak: scene
                .idp
                .client(&client_id)
                .await?
                .with_context(|| format!("no client {client_id} in Keycloak"))?,
        })
    }

    /// Keycloak takes the secret.
    async fn works(&self, scene: &Scene<'_, Realm>) -> Result<()> {
        let (ca, endpoint) = (scene.idp.ca_pem(), scene.idp.token_endpoint());
        let (id, secret) = (&self.secret["client-id"], &self.secret["client-secret"]);
        ensure!(
            secret_accepted(ca, &endpoint, id, secret).await?,
            "Keycloak refuses the secret of {id}"
        );
        Ok(())
    }
}

/// Nothing of `held` changes for a moment.
async fn stays(scene: &Scene<'_, Realm>, name: &str, held: &Held) -> Result<()> {
    steadily(format!("nothing of {name} changes"), WHILE, async || {
        let now = Held::of(scene, name).await?;
        ensure!(now == *held, "it is {now:?}, it was {held:?}");
        Ok(())
    })
    .await
}

/// Nothing stands for OIDCClient `name`: no client in Keycloak, no Secret.
async fn nothing_stands(scene: &Scene<'_, Realm>, name: &str) -> Result<()> {
    let client = scene.idp.client(&scene.client_id(name)).await?;
    ensure!(client.is_none(), "a client was made: {client:?}");
    // A second try may be under way, which makes it and takes it away again.
    eventually("no Secret stands", SOON, async || {
        let secret = scene.secrets().get_opt(&format!("{name}-oidc")).await?;
        ensure!(secret.is_none(), "a Secret stands");
        Ok(())
    })
    .await
}

/// A message that tells all of `parts`, and is short enough to be read.
fn tells(message: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(message.contains(part), "{message:?} does not tell {part:?}");
    }
    ensure!(message.chars().count() < 500, "{message:?} is too long");
    Ok(())
}

/// A realm of a test's own.
async fn own_realm(prefix: &str) -> Result<Realm> {
    shared::keycloak().await?.realm(prefix).await
}

/// A proxy before the Keycloak of `realm`.
fn proxy_before(realm: &Realm) -> Result<HttpProxy> {
    HttpProxy::start(realm.base_url(), realm.ca_pem())
}

/// A scene whose provider reaches its admin API, and nothing else, through `proxy`; `patch` on top of that.
async fn scene_behind<'a>(realm: &'a Realm, proxy: &HttpProxy, prefix: &str, patch: Value) -> Result<Scene<'a, Realm>> {
    let scene = Stage::shared().await?.empty_scene_at(realm, prefix).await?;
    scene
        .apply(install::ca_config_map(&scene.identity, PROXY_CA, proxy.ca_pem()))
        .await?;
    let mut whole = json!({"spec": {
        "keycloak": {"adminURL": proxy.url(), "certificateAuthority": {"name": PROXY_CA}},
        "resyncInterval": "5s",
    }});
    oidc_operator_e2e::scene::merge(&mut whole, &patch);
    scene.provider(whole).await?;
    Ok(scene)
}

/// Waits until the provider's admin API is not ready for `reason`; gives the message.
async fn not_ready(scene: &Scene<'_, Realm>, reason: &str) -> Result<String> {
    scene
        .condition::<OIDCProvider>(PROVIDER, "AdminAPIReady", "False", reason)
        .await
}
