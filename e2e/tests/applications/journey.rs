//! The way of one application: deployed, used, its secret rotated, used again.

use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    applications::{Application, Example, Greeting, Outcome, Place, Program, User},
    login::secret_accepted,
    scene::{Idp, SOON, Scene, merge},
    wait::eventually,
};
use serde_json::Value;

use crate::Theatre;

/// What a journey has to know of the identity provider.
pub(crate) struct Provider<'a> {
    /// Who logs in.
    pub(crate) user: User,
    /// Where a secret is tried.
    pub(crate) token_endpoint: String,
    /// Its CA, PEM.
    pub(crate) ca_pem: &'a str,
}

/// Goes it, with the example's OIDCClient, and `spec` merged into it.
pub(crate) async fn run<P: Idp>(
    theatre: &Theatre,
    scene: &Scene<'_, P>,
    program: Program,
    provider: &Provider<'_>,
    spec: Value,
) -> Result<()> {
    let user = &provider.user;
    let name = program.name();
    let greeting = Greeting::start().await?;
    let place = Place::new(name, &theatre.ca)?;
    let reference = (P::NAME, scene.identity.as_str());
    let mut example = Example::of(program, &place, &scene.app, reference, &greeting.url())?;
    merge(&mut example.client["spec"], &spec);
    let kubectl = scene.cluster.kubectl()?;
    for manifest in [&example.client, &example.deployment] {
        let args = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        kubectl.run_with_input(args, &manifest.to_string()).await?;
    }
    scene.ready::<OIDCClient>(name).await?;
    let mut application = Application::start(program, &scene.kube, &scene.app, place).await?;
    logs_in(theatre, &application, user).await.context("first login")?;

    let (before, after) = rotate(scene, name).await?;
    ensure!(before.id == after.id, "the client is another");
    let accepted =
        async |secret: &str| secret_accepted(provider.ca_pem, &provider.token_endpoint, &after.id, secret).await;
    ensure!(!accepted(&before.secret).await?, "the old secret is accepted");
    ensure!(accepted(&after.secret).await?, "the new secret is refused");

    // The application still has the old one.
    let page = theatre.browser.page(&format!("{name}-old-secret")).await?;
    let refused = application.log_in(&page, user).await?;
    ensure!(
        matches!(refused, Outcome::Refused(_)),
        "with the old secret: {refused:?}"
    );
    let log = application.process().log_text()?;
    // Dex says the first, Keycloak the second.
    ensure!(
        log.contains("invalid_client") || log.contains("unauthorized_client"),
        "refused for another reason:\n{log}"
    );
    for secret in [&before.secret, &after.secret] {
        ensure!(!log.contains(secret.as_str()), "{name} logs its secret");
    }

    application.restart(&scene.kube, &scene.app).await?;
    logs_in(theatre, &application, user)
        .await
        .context("login after the rotation")
}

/// The emergency rotation: the Secret is deleted, and made anew. Gives the credentials before and after.
pub(crate) async fn rotate<P: Idp>(scene: &Scene<'_, P>, client: &str) -> Result<(Credentials, Credentials)> {
    let before = credentials(scene, client).await?;
    let secret = scene.secrets().get(&before.name).await?;
    scene.secrets().delete(&before.name, &DeleteParams::default()).await?;
    let after = eventually("a new Secret", SOON, async || {
        let now = scene.secrets().get(&before.name).await?;
        ensure!(now.uid() != secret.uid(), "the old one");
        credentials(scene, client).await
    })
    .await?;
    scene.ready::<OIDCClient>(client).await?;
    ensure!(before.secret != after.secret, "the secret is the same");
    Ok((before, after))
}

async fn logs_in(theatre: &Theatre, application: &Application, user: &User) -> Result<()> {
    let page = theatre.browser.page(application.program().name()).await?;
    let outcome = application.log_in(&page, user).await?;
    let expected = Outcome::In(user.called_by(application.program()).to_owned());
    ensure!(
        outcome == expected,
        "{outcome:?}, not {expected:?}; its log:\n{}",
        application.process().log_tail(20)
    );
    application.log_out(&page).await
}

pub(crate) struct Credentials {
    /// Of the Kubernetes Secret.
    name: String,
    id: String,
    secret: String,
}

/// What stands in the Secret, whatever its format calls it.
async fn credentials<P: Idp>(scene: &Scene<'_, P>, client: &str) -> Result<Credentials> {
    let name = format!("{client}-oidc");
    let mut data = scene.secret(&name).await?;
    let mut take = |keys: &[&str]| keys.iter().find_map(|key| data.remove(*key));
    Ok(Credentials {
        id: take(&["OIDC_CLIENT_ID", "client-id"]).context("no client ID")?,
        secret: take(&["OIDC_CLIENT_SECRET", "client-secret", "OIDC_CLIENT_PRIVATE_KEY"])
            .context("no client secret")?,
        name,
    })
}
