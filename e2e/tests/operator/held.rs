//! What stands for one client, at Dex and beside the application: looked at before and after.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use oidc_operator_e2e::{
    dex::api::Client,
    login::secret_accepted,
    scene::{SOON, Scene},
    wait::{eventually, steadily},
};

/// How long "stays so" is watched.
pub(crate) const WHILE: std::time::Duration = std::time::Duration::from_secs(2);

/// All that a user of the client depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) secret: BTreeMap<String, String>,
    pub(crate) secret_uid: Option<String>,
    pub(crate) config_map: BTreeMap<String, String>,
    pub(crate) at_dex: Client,
}

impl Held {
    /// What stands for OIDCClient `name`, whose outputs have their usual names.
    pub(crate) async fn of(scene: &Scene<'_>, name: &str) -> Result<Self> {
        let output = format!("{name}-oidc");
        Self::under(scene, name, &output).await
    }

    /// The same, with outputs called `output`.
    pub(crate) async fn under(scene: &Scene<'_>, name: &str, output: &str) -> Result<Self> {
        let secret = scene.secret(output).await?;
        let id = secret
            .get("client-id")
            .with_context(|| format!("no client-id of {name}"))?;
        Ok(Self {
            secret_uid: scene.secrets().get(output).await?.metadata.uid,
            config_map: scene.config_maps().get(output).await?.data.unwrap_or_default(),
            at_dex: at_dex(scene, id)
                .await?
                .with_context(|| format!("no client {id} at Dex"))?,
            secret,
        })
    }

    pub(crate) fn client_secret(&self) -> &str {
        &self.secret["client-secret"]
    }

    /// Secret and Dex agree, and Dex takes the secret.
    pub(crate) async fn works(&self, scene: &Scene<'_>) -> Result<()> {
        ensure!(
            self.at_dex.secret == self.client_secret(),
            "Dex has another secret than the Secret"
        );
        ensure!(
            accepted(scene, self.client_secret(), &self.secret["client-id"]).await?,
            "Dex refuses the secret"
        );
        Ok(())
    }
}

/// Does Dex take this secret?
pub(crate) async fn accepted(scene: &Scene<'_>, secret: &str, client_id: &str) -> Result<bool> {
    secret_accepted(scene.idp.ca_pem(), &scene.idp.token_endpoint(), client_id, secret).await
}

/// The client as Dex holds it.
pub(crate) async fn at_dex(scene: &Scene<'_>, client_id: &str) -> Result<Option<Client>> {
    scene.idp.admin().await?.get(client_id).await
}

/// Nothing was made for OIDCClient `name`: no client at Dex, no outputs.
pub(crate) async fn nothing_stands(scene: &Scene<'_>, name: &str) -> Result<()> {
    let at_dex = at_dex(scene, &scene.client_id(name)).await?;
    ensure!(at_dex.is_none(), "a client was made: {at_dex:?}");
    no_outputs(scene, name).await
}

/// No outputs of the usual names.
pub(crate) async fn no_outputs(scene: &Scene<'_>, name: &str) -> Result<()> {
    let output = format!("{name}-oidc");
    if scene.secrets().get_opt(&output).await?.is_some() {
        bail!("there is a Secret {output}");
    }
    if scene.config_maps().get_opt(&output).await?.is_some() {
        bail!("there is a ConfigMap {output}");
    }
    Ok(())
}

/// Nothing of `held` changes for a moment.
pub(crate) async fn stays(scene: &Scene<'_>, name: &str, held: &Held) -> Result<()> {
    steadily(format!("nothing of {name} changes"), WHILE, async || {
        let now = Held::of(scene, name).await?;
        ensure!(now == *held, "it is {now:?}, it was {held:?}");
        Ok(())
    })
    .await
}

/// Waits until what stands is as `is` wants it.
pub(crate) async fn becomes(scene: &Scene<'_>, name: &str, what: &str, is: impl Fn(&Held) -> bool) -> Result<Held> {
    eventually(format!("{name}: {what}"), SOON, async || {
        let held = Held::of(scene, name).await?;
        ensure!(is(&held), "it is {held:?}");
        Ok(held)
    })
    .await
}

/// A message that tells all of `parts`.
pub(crate) fn tells(message: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(message.contains(part), "{message:?} does not tell {part:?}");
    }
    Ok(())
}
