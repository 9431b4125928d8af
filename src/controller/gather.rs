//! IO in: what a decision about one OIDCClient needs.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, ResourceExt as _, api::ListParams};

use super::{
    connect,
    context::{Context, Lookup},
    registry::{Runtime, State},
};
use crate::{
    api::{
        OIDCClient, OIDCProvider,
        provider::{DexType, OIDCProviderSpec, ProviderType},
    },
    domain::{
        ClientSecret, Effect, Mark, Model, ResourceName, digest,
        names::next_secret_name,
        vocabulary::{
            ANNOTATION_ORPHAN, ANNOTATION_RECONCILE_REQUESTED, ANNOTATION_ROTATE, CLIENT_FINALIZER, CREDENTIAL_CLIENT,
            GROUP, LABEL_CLIENT_UID, LABEL_CREDENTIAL,
        },
    },
    idp::{
        authentik::AuthentikModel,
        by_hand::ByHandModel,
        dex::{DexModel, DexStorageModel, config::DexConfigModel},
        keycloak::KeycloakModel,
        registration::RegistrationModel,
    },
    kubernetes::{
        client::{KubeError, within},
        objects::{carries, name_of},
    },
    plan::{
        resolve,
        snapshot::{
            ClientBrief, ClientView, ExistingSecret, ExistingView, ModelRef, NamespaceView, OutputView, OutputsView,
            OwnerView, PresentProvider, ProviderView, RemoteView, Supply,
        },
    },
    publish::Data,
};

/// Longest value of a request by annotation that is shown as it is, in bytes.
const MAX_REQUEST: usize = 256;

/// An OIDCClient, as plans see it.
pub fn client(object: &OIDCClient) -> ClientView {
    let annotations = object.annotations();
    ClientView {
        name: name_of(&object.metadata),
        uid: object.uid().unwrap_or_default(),
        generation: object.metadata.generation.unwrap_or_default(),
        finalizer: carries(object, CLIENT_FINALIZER),
        deletion: object.metadata.deletion_timestamp.as_ref().map(|time| time.0),
        orphan: annotations.contains_key(ANNOTATION_ORPHAN),
        reconcile_request: annotations.get(ANNOTATION_RECONCILE_REQUESTED).cloned(),
        rotate_request: annotations.get(ANNOTATION_ROTATE).map(|value| rotate_request(value)),
        spec: object.spec.clone(),
        status: object.status.clone().unwrap_or_default(),
    }
}

/// It is copied into other objects: a long value is told apart by its digest.
fn rotate_request(value: &str) -> String {
    if value.len() <= MAX_REQUEST {
        value.to_owned()
    } else {
        format!("sha256:{}", digest::sha256_hex(value.as_bytes()))
    }
}

/// An OIDCClient, as others see it.
pub fn brief(object: &OIDCClient) -> ClientBrief {
    let provisioned = object.status.as_ref().is_some_and(|status| status.remote.is_some());
    brief_of(&object.metadata, client_id(object), provisioned)
}

/// An OIDCClient that could be read once and cannot any more, as others see it. Whether it was made, nobody knows: the more
/// careful answer.
pub fn brief_unreadable(meta: &ObjectMeta, client_id: String) -> ClientBrief {
    brief_of(meta, client_id, true)
}

fn brief_of(meta: &ObjectMeta, client_id: String, provisioned: bool) -> ClientBrief {
    ClientBrief {
        name: name_of(meta),
        uid: meta.uid.clone().unwrap_or_default(),
        client_id,
        finalizer: meta.finalizers.iter().flatten().any(|found| found == CLIENT_FINALIZER),
        provisioned,
        created: meta.creation_timestamp.as_ref().map(|time| time.0),
    }
}

/// The client ID of an OIDCClient.
pub fn client_id(object: &OIDCClient) -> String {
    object.spec.client_id_of(&name_of(&object.metadata))
}

/// The Secret of its user's that an OIDCClient refers to.
pub fn client_existing_secret(object: &OIDCClient) -> Option<ResourceName> {
    let own = object.metadata.namespace.as_deref().unwrap_or_default();
    let reference = object.spec.existing_secret_ref()?;
    Some(ResourceName::new(own, &reference.name))
}

/// The provider that an OIDCClient refers to.
pub fn client_provider(object: &OIDCClient) -> ResourceName {
    let own = object.metadata.namespace.as_deref().unwrap_or_default();
    object.spec.provider_ref.seen_from(own)
}

/// A namespace, as plans see it.
pub fn namespace(meta: &ObjectMeta) -> NamespaceView {
    NamespaceView {
        labels: meta.labels.clone().unwrap_or_default(),
        terminating: meta.deletion_timestamp.is_some(),
    }
}

/// Its provider, as plans see it.
pub fn provider(found: &Lookup<OIDCProvider>, state: Option<&State>) -> ProviderView {
    let object = match found {
        Lookup::NotFound => return ProviderView::NotFound,
        Lookup::Unreadable => return ProviderView::Unreadable,
        Lookup::Found(object) => object,
    };
    let Some(state) = state.filter(|state| state.looked_at) else {
        return ProviderView::Starting;
    };
    ProviderView::Present(Box::new(PresentProvider {
        grants: object.spec.clients.clone(),
        terminating: object.metadata.deletion_timestamp.is_some(),
        credentials_gone: state.credentials_gone,
        facts: state.facts.clone(),
        not_ready: state.not_ready,
        resync: state.resync,
        model: Some(ModelRef(model(&object.spec))),
    }))
}

/// The pure half of a provider's driver.
pub fn model(spec: &OIDCProviderSpec) -> Arc<dyn Model> {
    match spec.type_ {
        ProviderType::Dex => match connect::dex_type(spec) {
            Some(DexType::KubernetesStorage) => Arc::new(DexStorageModel),
            Some(DexType::Config) => Arc::new(DexConfigModel),
            Some(DexType::Grpc) | None => Arc::new(DexModel),
        },
        ProviderType::Keycloak => {
            let realm = spec.keycloak.as_ref().map(|keycloak| keycloak.realm.as_str());
            Arc::new(KeycloakModel::new(realm.unwrap_or_default()))
        }
        ProviderType::Authentik => Arc::new(AuthentikModel::new(connect::authentik_settings(
            spec.authentik.as_ref(),
        ))),
        ProviderType::DynamicRegistration => Arc::new(RegistrationModel),
        ProviderType::Static => Arc::new(ByHandModel),
    }
}

/// Fresh random values.
pub fn supply(client: &ClientView) -> Supply {
    let attempt = ClientSecret::generate();
    Supply {
        secret: ClientSecret::generate_for(resolve::auth_method(&client.spec)),
        // Not a secret: a name for a try, short enough to read.
        attempt: attempt
            .expose()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(12)
            .collect(),
        seed: ClientSecret::generate(),
    }
}

/// The outputs, live: a LIST on our label, and a GET of each name that the list did not show.
///
/// # Errors
/// When Kubernetes cannot be asked.
pub async fn outputs(context: &Context, client: &ClientView) -> Result<OutputsView, KubeError> {
    let namespace = &client.name.namespace;
    let params = ListParams::default().labels(&format!("{LABEL_CLIENT_UID}={}", client.uid));
    let secrets: Api<Secret> = Api::namespaced(context.kube.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(context.kube.clone(), namespace);
    let (listed_secrets, listed_maps) = tokio::try_join!(
        within(&context.metrics, "list secrets", secrets.list(&params)),
        within(&context.metrics, "list configmaps", maps.list(&params)),
    )?;
    let mut view = OutputsView {
        secrets: listed_secrets.items.into_iter().map(secret).collect(),
        config_maps: listed_maps.items.into_iter().map(config_map).collect(),
    };
    let secret_name = client.secret_name();
    if !has(&view.secrets, &secret_name) {
        // A staged Secret of a foreign hand matters only where a rotation is about to begin: it is found by its POST.
        for name in [secret_name.clone(), next_secret_name(&secret_name)] {
            if !has(&view.secrets, &name) {
                let found = within(&context.metrics, "get secrets", secrets.get_opt(&name)).await?;
                view.secrets.extend(found.map(secret));
            }
        }
    }
    let map_name = client.config_map_name();
    if !has(&view.config_maps, &map_name) {
        let found = within(&context.metrics, "get configmaps", maps.get_opt(&map_name)).await?;
        view.config_maps.extend(found.map(config_map));
    }
    Ok(view)
}

/// The user's Secret, live. What is in it is read only where its owner labelled it for this purpose.
///
/// # Errors
/// When Kubernetes cannot be asked.
pub async fn existing_secret(context: &Context, client: &ClientView) -> Result<ExistingView, KubeError> {
    let Some(reference) = client.spec.existing_secret_ref() else {
        return Ok(ExistingView::Missing);
    };
    let secrets: Api<Secret> = Api::namespaced(context.kube.clone(), &client.name.namespace);
    let found = within(&context.metrics, "get secrets", secrets.get_opt(&reference.name)).await?;
    Ok(found.map_or(ExistingView::Missing, |object| {
        let labels = object.metadata.labels.unwrap_or_default();
        let labelled = labels.get(LABEL_CREDENTIAL).map(String::as_str) == Some(CREDENTIAL_CLIENT);
        let value = object
            .data
            .filter(|_| labelled)
            .and_then(|mut data| data.remove(&reference.key));
        ExistingView::Found(ExistingSecret {
            resource_version: object.metadata.resource_version.unwrap_or_default(),
            labels,
            value: value.map(|bytes| bytes.0),
        })
    }))
}

fn has(list: &[OutputView], name: &str) -> bool {
    list.iter().any(|output| output.name == name)
}

/// A Secret, as plans see it.
pub fn secret(object: Secret) -> OutputView {
    let data = object
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect();
    view(object.metadata, data, object.type_, object.immutable)
}

/// A ConfigMap, as plans see it.
pub fn config_map(object: ConfigMap) -> OutputView {
    let mut data: Data = object
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.into_bytes()))
        .collect();
    data.extend(
        object
            .binary_data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, value.0)),
    );
    view(object.metadata, data, None, object.immutable)
}

fn view(meta: ObjectMeta, data: Data, type_: Option<String>, immutable: Option<bool>) -> OutputView {
    OutputView {
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        resource_version: meta.resource_version.unwrap_or_default(),
        terminating: meta.deletion_timestamp.is_some(),
        owners: meta.owner_references.iter().flatten().map(owner).collect(),
        labels: meta.labels.unwrap_or_default(),
        annotations: meta.annotations.unwrap_or_default(),
        data,
        type_,
        immutable: immutable.unwrap_or_default(),
    }
}

/// An owner reference, as plans see it.
pub fn owner(reference: &OwnerReference) -> OwnerView {
    OwnerView {
        is_client: reference.kind == "OIDCClient" && reference.api_version.split('/').next() == Some(GROUP),
        name: reference.name.clone(),
        uid: reference.uid.clone(),
    }
}

/// The client at the provider: from memory where that is good enough, else by a request.
///
/// `seen_as` is the provider's id of the client in status: where somebody renamed it, and it was made in a former life of this
/// object, nothing else leads to it. It is a hint, and counts only if the mark says the same.
pub async fn remote(
    runtime: &Runtime,
    state: &State,
    client_id: &str,
    mark: &Mark,
    seen_as: Option<&str>,
    fresh: bool,
) -> RemoteView {
    if !fresh && let known @ (RemoteView::Present { .. } | RemoteView::Unlisted) = runtime.remembered(client_id) {
        return known;
    }
    let Some(driver) = &state.driver else {
        return RemoteView::Failed(crate::domain::IdpError::new(
            crate::domain::IdpErrorKind::Unreachable,
            "connect",
            "the admin API was not set up",
        ));
    };
    let mut found = driver.get(client_id, mark).await;
    // The id that was chosen for this mark has just been looked at.
    let other = seen_as.filter(|id| driver.model().chosen_id(mark).as_deref() != Some(id));
    if let (Ok(None), Some(id)) = (&found, other) {
        let renamed = driver.get_by_id(id).await;
        found = renamed.map(|client| client.filter(|client| client.ownership(mark).is_ours()));
    }
    if let (Ok(Some(client)), Some(id)) = (&mut found, seen_as) {
        driver.model().recall(client, mark, id);
    }
    match found {
        Ok(Some(client)) => RemoteView::Present {
            client,
            evidence: crate::plan::snapshot::Evidence::Fresh,
        },
        Ok(None) => RemoteView::Absent,
        Err(error) => RemoteView::Failed(error),
    }
}

/// Whether what was written of a client is in effect, as its driver knows it.
pub fn effect(provider: Option<(&Runtime, &State)>, client_id: &str) -> Effect {
    let driver = provider.and_then(|(_, state)| state.driver.as_ref());
    driver.map_or_else(
        || Effect::NotYet("the provider was not looked at yet".to_owned()),
        |driver| driver.effect(client_id),
    )
}

/// Labels of ours on a map, for tests and triggers.
pub fn client_uid(labels: &BTreeMap<String, String>) -> Option<&str> {
    labels.get(LABEL_CLIENT_UID).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::registry::Registry,
        domain::{DesiredClient, MarkUid, OwnerId},
        idp::{
            Driver as _,
            memory::{Like, MemoryDriver},
        },
    };

    fn mark(name: &str, uid: &str) -> Mark {
        Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", name),
            uid: MarkUid::Uid(uid.to_owned()),
        }
    }

    #[tokio::test]
    async fn a_client_of_a_former_life_is_found_under_another_name_by_the_id_in_status() {
        let driver = Arc::new(MemoryDriver::new(Like::Keycloak));
        let made = driver
            .model()
            .created(&DesiredClient::new("shop_web", mark("web", "u1")), None);
        let renamed = crate::domain::ObservedClient {
            client_id: "renamed".to_owned(),
            ..made.clone()
        };
        driver.put(renamed.clone());
        let runtime = Registry::new(1).get_or_make(&ResourceName::new("identity", "sso"), "u");
        let state = State {
            driver: Some(driver),
            ..State::default()
        };
        let look =
            async |mark: Mark, seen_as: Option<&str>| match remote(&runtime, &state, "shop_web", &mark, seen_as, true)
                .await
            {
                RemoteView::Present { client, .. } => Some(client),
                RemoteView::Absent => None,
                other => panic!("{other:?}"),
            };
        let id = Some(made.remote_id.as_str());
        assert_eq!(
            look(mark("web", "u1"), None).await,
            Some(renamed.clone()),
            "of this life"
        );
        assert_eq!(look(mark("web", "u2"), None).await, None);
        assert_eq!(look(mark("web", "u2"), id).await, Some(renamed));
        assert_eq!(look(mark("other", "u2"), id).await, None, "a status proves nothing");
        assert_eq!(look(mark("web", "u2"), Some("no-such-id")).await, None);
    }

    #[tokio::test]
    async fn what_is_left_without_a_mark_is_ours_only_by_the_id_in_status() {
        let driver = Arc::new(MemoryDriver::new(Like::Authentik));
        let desired = DesiredClient::new("shop_web", mark("web", "u1"));
        let whole = crate::domain::ObservedClient {
            remote_id: "application".to_owned(),
            marks: Vec::new(),
            ..driver.model().created(&desired, None)
        };
        let mut left = whole.clone();
        left.fields.remove(crate::domain::client::FIELD_TYPE);
        let runtime = Registry::new(1).get_or_make(&ResourceName::new("identity", "sso"), "u");
        let state = State {
            driver: Some(driver.clone()),
            ..State::default()
        };
        for (shown, seen_as, ours) in [
            (&left, Some("application"), true),
            (&left, Some("another"), false),
            (&left, None, false),
            // Somebody's whole client, which never carried a mark.
            (&whole, Some("application"), false),
        ] {
            driver.put(shown.clone());
            let mine = mark("web", "u1");
            let found = remote(&runtime, &state, "shop_web", &mine, seen_as, true).await;
            let RemoteView::Present { client, .. } = found else {
                panic!("{found:?}")
            };
            assert_eq!(client.ownership(&mine).is_ours(), ours, "{seen_as:?}");
        }
    }
}
