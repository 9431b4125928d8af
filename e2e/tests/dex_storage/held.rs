//! A scene with a Dex of its own, and what stands in it.

use anyhow::{Context as _, Result, ensure};
use kube::api::DynamicObject;
use oidc_operator_e2e::{
    dex::StoredDex,
    login::secret_accepted,
    scene::{self, SOON, Stage},
    wait::eventually,
};
use serde_json::{Value, json};

pub(crate) type Scene<'a> = scene::Scene<'a, StoredDex>;

/// A Dex in a namespace of the shared stage, which the operator may work in.
pub(crate) async fn dex(name: &str) -> Result<(&'static Stage, StoredDex)> {
    let stage = Stage::shared().await?;
    let dex = StoredDex::start(&stage.cluster, name).await?;
    dex.allow_operator(&stage.cluster).await?;
    Ok((stage, dex))
}

/// The client of OIDCClient `name`, as its object shows it, without the parts that say nothing of the client.
pub(crate) async fn held(scene: &Scene<'_>, name: &str) -> Result<Value> {
    let object = object(scene, name).await?;
    let metadata = &object.metadata;
    let mut held = json!({"labels": metadata.labels, "annotations": metadata.annotations});
    held["client"] = object.data;
    Ok(held)
}

/// The object of OIDCClient `name`.
pub(crate) async fn object(scene: &Scene<'_>, name: &str) -> Result<DynamicObject> {
    let id = scene.client_id(name);
    let found = scene.idp.object(&scene.kube, &id).await?;
    found.with_context(|| format!("no OAuth2Client of {id}"))
}

/// Waits until the object of OIDCClient `name` looks as `held` again.
pub(crate) async fn becomes(scene: &Scene<'_>, name: &str, held: &Value) -> Result<()> {
    eventually(format!("{name} is as it was"), SOON, async || {
        let now = self::held(scene, name).await?;
        ensure!(now == *held, "it is {now}");
        Ok(())
    })
    .await
}

/// Does Dex take this secret of OIDCClient `name`?
pub(crate) async fn accepted(scene: &Scene<'_>, name: &str, secret: &str) -> Result<bool> {
    let dex = &scene.idp.dex;
    secret_accepted(dex.ca_pem(), &dex.token_endpoint(), &scene.client_id(name), secret).await
}

/// The secret in the output of OIDCClient `name`, which Dex takes.
pub(crate) async fn secret(scene: &Scene<'_>, name: &str) -> Result<String> {
    let data = scene.secret(&format!("{name}-oidc")).await?;
    let secret = data.get("client-secret").context("no client-secret")?.clone();
    ensure!(accepted(scene, name, &secret).await?, "Dex refuses the Secret");
    Ok(secret)
}
