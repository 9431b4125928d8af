//! IO out: one request a step. Nothing is decided here; an unexpected answer is passed back to the plan.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    context::Context,
    gather, registrations,
    registry::{Runtime, State},
    remotes::Left,
    workloads,
};
use crate::{
    api::OIDCClient,
    domain::{
        IdpError, IdpErrorKind,
        vocabulary::{CLIENT_FINALIZER, FIELD_MANAGER},
    },
    idp::{Created, Credentials, Driver, Written},
    kubernetes::{
        client::{KubeError, within},
        finalizer,
    },
    plan::{
        Step,
        rehearsal::Outcome,
        resolve,
        snapshot::{ClientView, OutputView},
        step::{OutputDraft, OutputKind, Precondition},
    },
};

/// Carries out one step.
///
/// # Errors
/// When Kubernetes fails a call; failures of the provider are outcomes, because the plan has an answer to them.
pub async fn step(
    context: &Context,
    client: &ClientView,
    object: &OIDCClient,
    provider: Option<(&Runtime, &State)>,
    step: &Step,
) -> Result<Outcome, KubeError> {
    let _writing = step
        .is_in_kubernetes()
        .then(|| context.recent.writing(&client.name, &context.triggers));
    match step {
        Step::AddFinalizer => finalizer(context, object, true).await,
        Step::RemoveFinalizer { .. } => finalizer(context, object, false).await,
        Step::CreateOutput { draft, .. } => create_output(context, client, draft).await,
        Step::UpdateOutput {
            draft, precondition, ..
        } => update_output(context, client, draft, precondition).await,
        Step::DeleteOutput {
            kind,
            name,
            precondition,
            ..
        } => delete_output(context, client, *kind, name, precondition).await,
        Step::KeepRegistration {
            record, precondition, ..
        } => registrations::keep(context, client, record, precondition.as_ref()).await,
        Step::DropRegistration { precondition, .. } => registrations::drop(context, client, precondition).await,
        Step::UpdateWorkload { .. } => Ok(workloads::update(context, &client.name.namespace, step).await),
        remote => match provider {
            Some((runtime, state)) => {
                let (outcome, news) = remote_step(runtime, state, &resolve::client_id(client), remote).await;
                if news {
                    context.triggers.client(client.name.clone());
                }
                Ok(outcome)
            }
            None => Ok(Outcome::Failed(IdpError::new(
                IdpErrorKind::Unreachable,
                "connect",
                "no provider",
            ))),
        },
    }
}

async fn finalizer(context: &Context, object: &OIDCClient, wanted: bool) -> Result<Outcome, KubeError> {
    let (kube, metrics) = (&context.kube, &context.metrics);
    let written = finalizer::set(kube, metrics, "patch oidcclients", object, CLIENT_FINALIZER, wanted).await?;
    Ok(match written {
        Some(object) if wanted => {
            context.recent.wrote_finalizer(object);
            Outcome::Done
        }
        Some(object) => {
            context.recent.let_go(&object);
            Outcome::Done
        }
        // Somebody else's doing, or an earlier pass's: nothing to tell.
        None => Outcome::Missing,
    })
}

async fn create_output(context: &Context, client: &ClientView, draft: &OutputDraft) -> Result<Outcome, KubeError> {
    let namespace = &client.name.namespace;
    let metadata = ObjectMeta {
        name: Some(draft.name.clone()),
        namespace: Some(namespace.clone()),
        labels: Some(draft.labels.clone()),
        annotations: Some(draft.annotations.clone()),
        owner_references: draft.owned.then(|| vec![owner(client)]),
        ..ObjectMeta::default()
    };
    let immutable = draft.immutable.then_some(true);
    match draft.kind {
        OutputKind::Secret => {
            let secret = Secret {
                metadata,
                type_: Some(draft.type_.as_str().to_owned()),
                data: Some(
                    draft
                        .data
                        .iter()
                        .map(|(key, value)| (key.clone(), ByteString(value.clone())))
                        .collect(),
                ),
                immutable,
                ..Secret::default()
            };
            post(context, namespace, "create secrets", &secret, gather::secret).await
        }
        OutputKind::ConfigMap => {
            let map = ConfigMap {
                metadata,
                data: Some(texts(draft)),
                immutable,
                ..ConfigMap::default()
            };
            post(context, namespace, "create configmaps", &map, gather::config_map).await
        }
    }
}

fn texts(draft: &OutputDraft) -> BTreeMap<String, String> {
    draft
        .data
        .iter()
        .map(|(key, value)| (key.clone(), String::from_utf8_lossy(value).into_owned()))
        .collect()
}

async fn post<K>(
    context: &Context,
    namespace: &str,
    operation: &'static str,
    object: &K,
    view: fn(K) -> OutputView,
) -> Result<Outcome, KubeError>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(context.kube.clone(), namespace);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    outcome(
        context,
        within(&context.metrics, operation, api.create(&params, object))
            .await
            .map(view),
    )
}

/// The answer to a write of an output, as the plan wants to hear it.
fn outcome(context: &Context, answer: Result<OutputView, KubeError>) -> Result<Outcome, KubeError> {
    match answer {
        Ok(view) => {
            context.recent.wrote_output(&view.uid, &view.resource_version);
            Ok(Outcome::Output(Box::new(view)))
        }
        Err(KubeError::AlreadyExists | KubeError::Conflict | KubeError::NotFound) => Ok(Outcome::OutputChanged),
        Err(KubeError::Invalid { message } | KubeError::Forbidden { message }) => Ok(Outcome::OutputRefused(message)),
        Err(error) => Err(error),
    }
}

/// Changes exactly what differs: a merge patch, bound to uid and resourceVersion, that names each key that goes.
async fn update_output(
    context: &Context,
    client: &ClientView,
    draft: &OutputDraft,
    precondition: &Precondition,
) -> Result<Outcome, KubeError> {
    let namespace = &client.name.namespace;
    match draft.kind {
        OutputKind::Secret => {
            let api: Api<Secret> = Api::namespaced(context.kube.clone(), namespace);
            let Some(seen) = within(&context.metrics, "get secrets", api.get_opt(&draft.name)).await? else {
                return Ok(Outcome::OutputChanged);
            };
            let data: BTreeMap<String, Value> = draft
                .data
                .iter()
                .map(|(key, value)| Ok((key.clone(), serde_json::to_value(ByteString(value.clone()))?)))
                .collect::<Result<_, serde_json::Error>>()
                .map_err(|_| KubeError::Invalid {
                    message: "data cannot be written as JSON".to_owned(),
                })?;
            let old = seen.data.iter().flatten().map(|(key, _)| key.as_str());
            let patch = patch(
                client,
                draft,
                precondition,
                &seen.metadata,
                &[("data", with_removals(data, old))],
            );
            let (params, patch) = (params(), Patch::Merge(&patch));
            let request = api.patch(&draft.name, &params, &patch);
            outcome(
                context,
                within(&context.metrics, "patch secrets", request)
                    .await
                    .map(gather::secret),
            )
        }
        OutputKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(context.kube.clone(), namespace);
            let Some(seen) = within(&context.metrics, "get configmaps", api.get_opt(&draft.name)).await? else {
                return Ok(Outcome::OutputChanged);
            };
            let data = texts(draft)
                .into_iter()
                .map(|(key, value)| (key, Value::String(value)))
                .collect();
            let old = seen.data.iter().flatten().map(|(key, _)| key.as_str());
            let binary = seen.binary_data.iter().flatten().map(|(key, _)| key.as_str());
            let parts = [
                ("data", with_removals(data, old)),
                ("binaryData", with_removals(BTreeMap::new(), binary)),
            ];
            let patch = patch(client, draft, precondition, &seen.metadata, &parts);
            let (params, patch) = (params(), Patch::Merge(&patch));
            let request = api.patch(&draft.name, &params, &patch);
            outcome(
                context,
                within(&context.metrics, "patch configmaps", request)
                    .await
                    .map(gather::config_map),
            )
        }
    }
}

fn params() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn with_removals<'a>(mut data: BTreeMap<String, Value>, old: impl Iterator<Item = &'a str>) -> Value {
    for key in old {
        data.entry(key.to_owned()).or_insert(Value::Null);
    }
    json!(data)
}

fn patch(
    client: &ClientView,
    draft: &OutputDraft,
    precondition: &Precondition,
    seen: &ObjectMeta,
    parts: &[(&str, Value)],
) -> Value {
    let strings = |wanted: &BTreeMap<String, String>, seen: &Option<BTreeMap<String, String>>| {
        let mut values: BTreeMap<&str, Value> =
            wanted.iter().map(|(key, value)| (key.as_str(), json!(value))).collect();
        for key in &draft.dropped {
            if seen.as_ref().is_some_and(|seen| seen.contains_key(key)) && !wanted.contains_key(key) {
                values.insert(key, Value::Null);
            }
        }
        json!(values)
    };
    // Other owners stay; ours is put in or taken out.
    let mut owners: Vec<OwnerReference> = seen
        .owner_references
        .iter()
        .flatten()
        .filter(|reference| reference.uid != client.uid)
        .cloned()
        .collect();
    if draft.owned {
        owners.push(owner(client));
    }
    let mut patch = json!({"metadata": {
        "uid": precondition.uid,
        "resourceVersion": precondition.resource_version,
        "labels": strings(&draft.labels, &seen.labels),
        "annotations": strings(&draft.annotations, &seen.annotations),
        "ownerReferences": owners,
    }});
    for (key, value) in parts {
        patch[*key] = value.clone();
    }
    patch
}

async fn delete_output(
    context: &Context,
    client: &ClientView,
    kind: OutputKind,
    name: &str,
    precondition: &Precondition,
) -> Result<Outcome, KubeError> {
    let namespace = &client.name.namespace;
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(precondition.uid.clone()),
            resource_version: precondition.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let answer = match kind {
        OutputKind::Secret => {
            let api: Api<Secret> = Api::namespaced(context.kube.clone(), namespace);
            within(&context.metrics, "delete secrets", api.delete(name, &params))
                .await
                .map(drop)
        }
        OutputKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(context.kube.clone(), namespace);
            within(&context.metrics, "delete configmaps", api.delete(name, &params))
                .await
                .map(drop)
        }
    };
    match answer {
        Ok(()) | Err(KubeError::NotFound) => {
            context.recent.forget_output(&precondition.uid);
            Ok(Outcome::OutputGone)
        }
        Err(KubeError::Conflict) => Ok(Outcome::OutputChanged),
        Err(KubeError::Invalid { message } | KubeError::Forbidden { message }) => Ok(Outcome::OutputRefused(message)),
        Err(error) => Err(error),
    }
}

/// The owner reference of an output. It does not block the owner's deletion: nobody waits for a Secret.
fn owner(client: &ClientView) -> OwnerReference {
    OwnerReference {
        api_version: <OIDCClient as kube::Resource>::api_version(&()).into_owned(),
        kind: "OIDCClient".to_owned(),
        name: client.name.name.clone(),
        uid: client.uid.clone(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

/// What came of a step at the provider; and whether the client was changed by somebody else while it was written.
async fn remote_step(runtime: &Runtime, state: &State, client_id: &str, step: &Step) -> (Outcome, bool) {
    let Some(driver) = &state.driver else {
        let error = IdpError::new(IdpErrorKind::Unreachable, "connect", "the admin API was not set up");
        return (Outcome::Failed(error), false);
    };
    match step {
        Step::CreateRemote { .. } | Step::UpdateRemote { .. } | Step::DeleteRemote { .. } => {}
        Step::Prove {
            client_id,
            secret,
            method,
            redirect_uri,
            previous: _,
            audience,
        } => {
            let credentials = Credentials {
                client_id,
                secret,
                method: *method,
                redirect_uri: redirect_uri.as_deref(),
                audience,
            };
            let Some(facts) = &state.facts else {
                let unknown = crate::domain::Proof::Unknown("the token endpoint is not known".to_owned());
                return (Outcome::Proof(unknown), false);
            };
            let proof = driver.prove(&credentials, &facts.discovery.endpoints).await;
            return (Outcome::Proof(proof), false);
        }
        _ => return (Outcome::Done, false),
    }
    let writing = runtime.write_begins(client_id);
    let outcome = write(driver.as_ref(), step).await;
    let left = match (&outcome, step) {
        (Outcome::Shown(client), _) => client.revision().map_or(Left::Unknown, Left::Revision),
        (Outcome::Done | Outcome::Missing, Step::DeleteRemote { .. }) => Left::Nothing,
        _ => Left::Unknown,
    };
    let news = writing.ended(left);
    (outcome, news)
}

async fn write(driver: &dyn Driver, step: &Step) -> Outcome {
    let written = |answer| match answer {
        Ok(Written::Done) => Outcome::Done,
        Ok(Written::As(client)) => Outcome::Shown(client),
        Ok(Written::NotFound) => Outcome::Missing,
        Ok(Written::Outdated) => Outcome::Outdated,
        Err(error) => Outcome::Failed(error),
    };
    match step {
        Step::CreateRemote { desired, secret, .. } => match driver.create(desired, secret.as_ref()).await {
            Ok(Created::Created) => Outcome::Done,
            Ok(Created::As(client)) => Outcome::Shown(client),
            Ok(Created::Taken) => Outcome::Taken,
            Err(error) if error.kind == IdpErrorKind::Taken => Outcome::Taken,
            Err(error) => Outcome::Failed(error),
        },
        Step::UpdateRemote {
            observed,
            desired,
            secret,
            diff,
            ..
        } => written(driver.update(observed, desired, secret.as_ref(), diff).await),
        Step::DeleteRemote { observed, .. } => written(driver.delete(observed).await),
        _ => Outcome::Done,
    }
}
