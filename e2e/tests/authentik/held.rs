//! What stands for one client, in authentik and beside the application: looked at before and after, and compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    authentik::{AuthentikOptions, Managed},
    scene::{Idp as _, SOON, Stage},
    wait::eventually,
};
use serde_json::{Value, json};

/// A scene with a server.
pub(crate) type Scene<'a> = oidc_operator_e2e::scene::Scene<'a, Managed>;

/// How long "stays so" is watched: more than one resync of [`crate::scene`].
pub(crate) const WHILE: Duration = Duration::from_secs(7);

/// A scene at a server of its own, with a provider that is ready and looks when it is asked to ([`look`]), and else every ten
/// minutes.
pub(crate) async fn rare_scene(prefix: &str) -> Result<Scene<'static>> {
    let server = Box::leak(Box::new(Managed::start(AuthentikOptions::default())?));
    Stage::shared().await?.scene_at(server, prefix, json!({})).await
}

/// Has the provider look at the whole server, and waits until it has; its clients follow. `request` must be new each time.
pub(crate) async fn look(scene: &Scene<'_>, request: &str) -> Result<()> {
    scene.ask::<OIDCProvider>(Managed::NAME, request).await?;
    eventually("the provider has looked", SOON, async || {
        let status = scene.api::<OIDCProvider>().get(Managed::NAME).await?.status;
        let done = status.and_then(|status| status.last_reconcile_request);
        ensure!(done.as_deref() == Some(request), "{done:?}");
        Ok(())
    })
    .await
}

/// Asks for a pass over an OIDCClient, and waits until it is over. `request` must be new each time.
pub(crate) async fn pass(scene: &Scene<'_>, name: &str, request: &str) -> Result<()> {
    scene.ask::<OIDCClient>(name, request).await?;
    eventually("the request is answered", SOON, async || {
        let status = scene.api::<OIDCClient>().get(name).await?.status;
        let done = status.and_then(|status| status.last_reconcile_request);
        ensure!(done.as_deref() == Some(request), "{done:?}");
        Ok(())
    })
    .await
}

/// Members that follow from others.
const DERIVED: &[&str] = &[
    "assigned_application_name",
    "provider_obj",
    "launch_url",
    "meta_icon_url",
    "client_secret",
];

/// A client as authentik shows it to its administrator: members of the provider, the application, and the operator's mappings,
/// one by one. Identifiers of mappings are names, and the client ID is `{id}`. The secret is not among them.
pub(crate) async fn shown(scene: &Scene<'_>, client_id: &str) -> Result<BTreeMap<String, Value>> {
    let admin = scene.idp.admin()?;
    let provider = admin.get(&admin.path_of(client_id).await?).await?.context("provider")?;
    let application = admin.get(&format!("core/applications/{client_id}/")).await?;
    let mappings = admin.all("propertymappings/provider/scope/?ordering=name").await?;
    let mark = provider["name"].as_str().context("name")?.to_owned();
    let mut shown = BTreeMap::new();
    for (kind, object) in [
        ("provider", &provider),
        ("application", &application.unwrap_or_default()),
    ] {
        for (member, value) in object.as_object().into_iter().flatten() {
            if DERIVED.contains(&member.as_str()) {
                continue;
            }
            let mut value = value.clone();
            if member == "property_mappings" {
                let used = mappings.iter().filter(|mapping| {
                    let used = provider["property_mappings"].as_array();
                    used.is_some_and(|used| used.contains(&mapping["pk"]))
                });
                let used: BTreeSet<String> = used.map(|mapping| short(mapping, &mark)).collect();
                value = json!(used);
            } else if let Some(list) = value.as_array_mut() {
                list.sort_by_key(Value::to_string);
            }
            let text = value.to_string().replace(client_id, "{id}");
            shown.insert(format!("{kind}.{member}"), serde_json::from_str(&text)?);
        }
    }
    for mapping in mappings.iter().filter(|mapping| mapping["managed"].is_null()) {
        let name = mapping["name"].as_str().unwrap_or_default();
        if name.starts_with(&mark) {
            let what = json!([mapping["scope_name"], mapping["expression"]]);
            shown.insert(format!("mapping.{}", short(mapping, &mark)), what);
        }
    }
    Ok(shown)
}

/// A claim of the operator's by its name; authentik's own by their scope.
fn short(mapping: &Value, mark: &str) -> String {
    let name = mapping["name"].as_str().unwrap_or_default();
    match name.strip_prefix(mark) {
        Some(claim) => claim.to_owned(),
        None => mapping["scope_name"].as_str().unwrap_or_default().to_owned(),
    }
}

/// What two looks do not have in common, as it is in the second: `null` where it is gone.
pub(crate) fn difference(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name.clone(), after.get(name).cloned().unwrap_or_default()))
        .collect()
}

/// Secret and authentik agree, and authentik takes the secret.
pub(crate) async fn works(scene: &Scene<'_>, name: &str) -> Result<()> {
    let secret = scene.secret(&format!("{name}-oidc")).await?;
    let (id, secret) = (&secret["client-id"], &secret["client-secret"]);
    let provider = scene.idp.server.provider(id).context("no provider")?;
    ensure!(
        provider["client_secret"] == secret.as_str(),
        "authentik has another secret"
    );
    ensure!(scene.idp.accepts(id, secret).await?, "authentik refuses the secret");
    Ok(())
}

/// Nothing was made beside the application for OIDCClient `name`.
pub(crate) async fn no_outputs(scene: &Scene<'_>, name: &str) -> Result<()> {
    let output = format!("{name}-oidc");
    let secret = scene.secrets().get_opt(&output).await?;
    ensure!(secret.is_none(), "there is a Secret {output}");
    let config_map = scene.config_maps().get_opt(&output).await?;
    ensure!(config_map.is_none(), "there is a ConfigMap {output}");
    Ok(())
}
