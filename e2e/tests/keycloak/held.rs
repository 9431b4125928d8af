//! What stands for one client, in Keycloak and beside the application: looked at before and after, and compared.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, api::ListParams};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    audit,
    install::{NAMESPACE, SERVICE_ACCOUNT},
    keycloak::{Mark, Realm, Requests},
    login::secret_accepted,
    scene::{Idp as _, SOON, Stage},
    shared,
    wait::eventually,
};
use serde_json::{Value, json};

/// A scene with a realm.
pub(crate) type Scene<'a> = oidc_operator_e2e::scene::Scene<'a, Realm>;

/// A scene in a realm of its own, for tests that change the realm or count all that is asked of it; else as [`crate::scene`].
pub(crate) async fn scene_of_its_own(prefix: &str) -> Result<Scene<'static>> {
    let scene = rare_scene(prefix).await?;
    scene.provider(json!({"spec": {"resyncInterval": "5s"}})).await?;
    scene.ready::<OIDCProvider>(Realm::NAME).await?;
    Ok(scene)
}

/// The same with a provider that looks when it is asked to ([`look`]), and else every ten minutes.
pub(crate) async fn rare_scene(prefix: &str) -> Result<Scene<'static>> {
    let realm = shared::keycloak().await?.realm(prefix).await?;
    let stage = Stage::shared().await?;
    stage.scene_at(Box::leak(Box::new(realm)), prefix, json!({})).await
}

/// Has the provider look at the whole realm, and waits until it has; its clients follow. `request` must be new each time.
pub(crate) async fn look(scene: &Scene<'_>, request: &str) -> Result<()> {
    scene.ask::<OIDCProvider>(Realm::NAME, request).await?;
    eventually("the provider has looked", SOON, async || {
        let status = scene.api::<OIDCProvider>().get(Realm::NAME).await?.status;
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

/// How long "stays so" is watched: more than one resync of [`crate::scene`].
pub(crate) const WHILE: std::time::Duration = std::time::Duration::from_secs(7);

/// All that a user of the client depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Held {
    pub(crate) secret: BTreeMap<String, String>,
    pub(crate) secret_uid: Option<String>,
    pub(crate) config_map: BTreeMap<String, String>,
    /// Keycloak's ClientRepresentation, as its administrator sees it.
    pub(crate) shown: Value,
}

impl Held {
    /// What stands for OIDCClient `name`, whose outputs have their usual names.
    pub(crate) async fn of(scene: &Scene<'_>, name: &str) -> Result<Self> {
        let output = format!("{name}-oidc");
        let secret = scene.secret(&output).await?;
        let id = secret.get("client-id").context("no client-id in the Secret")?;
        Ok(Self {
            secret_uid: scene.secrets().get(&output).await?.metadata.uid,
            config_map: scene.config_maps().get(&output).await?.data.unwrap_or_default(),
            shown: shown(scene, id).await?,
            secret,
        })
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.secret["client-id"]
    }

    pub(crate) fn client_secret(&self) -> &str {
        self.secret.get("client-secret").map_or("", String::as_str)
    }

    /// Keycloak's `id` of the client.
    pub(crate) fn id(&self) -> &str {
        self.shown["id"].as_str().unwrap_or_default()
    }

    /// Secret and Keycloak agree, and Keycloak takes the secret.
    pub(crate) async fn works(&self, scene: &Scene<'_>) -> Result<()> {
        ensure!(
            self.shown["secret"] == self.client_secret(),
            "Keycloak has another secret than the Secret"
        );
        ensure!(
            accepted(scene, self.client_secret(), self.client_id()).await?,
            "Keycloak refuses the secret"
        );
        Ok(())
    }
}

/// A client as Keycloak shows it to its administrator; lists, which it shows in any order, are sorted.
pub(crate) async fn shown(scene: &Scene<'_>, client_id: &str) -> Result<Value> {
    let client = scene.idp.client(client_id).await?;
    let mut client = client.with_context(|| format!("no client {client_id} in Keycloak"))?;
    for (_, value) in client.as_object_mut().into_iter().flatten() {
        if let Some(values) = value.as_array_mut() {
            values.sort_by_key(|value| value["name"].as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
    }
    Ok(client)
}

/// Does Keycloak take this secret?
pub(crate) async fn accepted(scene: &Scene<'_>, secret: &str, client_id: &str) -> Result<bool> {
    secret_accepted(scene.idp.ca_pem(), &scene.idp.token_endpoint(), client_id, secret).await
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

/// Waits until what stands is as `is` wants it.
pub(crate) async fn becomes(scene: &Scene<'_>, name: &str, what: &str, is: impl Fn(&Held) -> bool) -> Result<Held> {
    eventually(format!("{name}: {what}"), SOON, async || {
        let held = Held::of(scene, name).await?;
        ensure!(is(&held), "it is {:?}", flat(&held.shown));
        Ok(held)
    })
    .await
}

/// Waits until an Event `reason` on OIDCClient `name` tells all of `parts`.
pub(crate) async fn told(scene: &Scene<'_>, name: &str, reason: &str, parts: &[&str]) -> Result<()> {
    let note = scene.event(&scene.app, name, reason).await?;
    for part in parts {
        ensure!(note.contains(part), "{note:?} does not tell {part:?}");
    }
    Ok(())
}

/// The reasons of all Events on OIDCClient `name`.
pub(crate) async fn reasons(scene: &Scene<'_>, name: &str) -> Result<BTreeSet<String>> {
    let api: Api<Event> = Api::namespaced(scene.kube.clone(), &scene.app);
    let all = api.list(&ListParams::default()).await?.items;
    let of_it = all.into_iter().filter(|event| {
        let regarding = event.regarding.as_ref().and_then(|object| object.name.as_deref());
        regarding == Some(name)
    });
    Ok(of_it.filter_map(|event| event.reason).collect())
}

/// What the operator wrote in the two namespaces of a scene since `mark`; refused writes count too.
pub(crate) async fn written(scene: &Scene<'_>, mark: &audit::Mark) -> Result<BTreeMap<String, usize>> {
    let all = scene.cluster.audit().since(mark).await?;
    let ours = all.by_service_account(NAMESPACE, SERVICE_ACCOUNT).writes();
    let here = ours.filter(|record| record.namespace == scene.app || record.namespace == scene.identity);
    Ok(here.counts())
}

/// The operator's requests to the client with this `id` since `mark` that are no reads.
pub(crate) async fn writes_to(realm: &Realm, mark: Mark, id: &str) -> Result<Requests> {
    let writes = realm.requests_since(mark).await?.of_operator().admin_writes();
    Ok(writes.such(|request| request.path.contains(id)))
}

/// The members of a ClientRepresentation, those of `attributes` and mappers one by one. A secret is told from none, and no more;
/// without `access`, which is about who looks.
pub(crate) fn flat(client: &Value) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    for (member, value) in client.as_object().into_iter().flatten() {
        match (member.as_str(), value) {
            ("access", _) => {}
            ("secret", _) => drop(flat.insert(member.clone(), json!("a secret"))),
            ("attributes", Value::Object(attributes)) => {
                let named = attributes
                    .iter()
                    .map(|(key, value)| (format!("attributes.{key}"), value.clone()));
                flat.extend(named);
            }
            ("protocolMappers", Value::Array(mappers)) => {
                flat.extend(mappers.iter().map(mapper));
            }
            _ => drop(flat.insert(member.clone(), value.clone())),
        }
    }
    flat
}

fn mapper(mapper: &Value) -> (String, Value) {
    let name = mapper["name"].as_str().unwrap_or_default();
    let what = json!({"type": mapper["protocolMapper"], "config": mapper["config"]});
    (format!("mapper {name}"), what)
}

/// An empty text is as good as none.
fn given(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| **value != "")
}

/// What two representations do not have in common, as it is in the second: `null` where it is gone.
pub(crate) fn difference(before: &Value, after: &Value) -> BTreeMap<String, Value> {
    let (before, after) = (flat(before), flat(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .filter(|name| given(before.get(*name)) != given(after.get(*name)))
        .map(|name| (name.clone(), after.get(name).cloned().unwrap_or_default()))
        .collect()
}
