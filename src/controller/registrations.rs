//! IO in and out on the records of clients that their server named: Secrets in the operator's own namespace.
//!
//! What they hold may change all of a client, so no application's team may read them, and no output has any of it.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::Value;

use super::context::Context;
use crate::{
    domain::{
        Registration,
        registration::secret_name,
        vocabulary::{
            ANNOTATION_CLIENT, ANNOTATION_MARK, ANNOTATION_PROVIDER, FIELD_MANAGER, LABEL_MANAGED_BY,
            LABEL_REGISTRATION, MANAGED_BY,
        },
    },
    kubernetes::client::{KubeError, within},
    plan::{
        rehearsal::Outcome,
        resolve,
        snapshot::{ClientView, KeptRegistration, RegistrationView},
        step::Precondition,
    },
};

fn api(context: &Context) -> Api<Secret> {
    Api::namespaced(context.kube.clone(), &context.namespace)
}

fn name(client: &ClientView) -> String {
    secret_name(&client.name, &client.provider())
}

/// The record of a client, live.
///
/// # Errors
/// When Kubernetes cannot be asked.
pub async fn look(context: &Context, client: &ClientView) -> Result<RegistrationView, KubeError> {
    let found = within(&context.metrics, "get secrets", api(context).get_opt(&name(client))).await?;
    Ok(found.map_or(RegistrationView::Missing, |secret| view(context, client, secret)))
}

/// A record, as plans see it.
fn view(context: &Context, client: &ClientView, secret: Secret) -> RegistrationView {
    let data: BTreeMap<String, Vec<u8>> = secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0))
        .collect();
    let mine = resolve::mark(client, &context.settings);
    let read = Registration::from_data(&data).and_then(|record| {
        if mine.judge(Some(&record.mark)).is_ours() {
            Ok(record)
        } else {
            Err("it belongs to another installation of the operator")
        }
    });
    match read {
        Ok(record) => RegistrationView::Kept(KeptRegistration {
            precondition: Precondition {
                uid: secret.metadata.uid.unwrap_or_default(),
                resource_version: secret.metadata.resource_version,
            },
            record: Box::new(record),
        }),
        Err(why) => RegistrationView::Broken(format!(
            "cannot be read from Secret {} of the operator's namespace: {why}",
            name(client)
        )),
    }
}

/// Writes a record: what is seen is replaced as a whole.
///
/// # Errors
/// When Kubernetes fails the call: whether it was written is not known then.
pub async fn keep(
    context: &Context,
    client: &ClientView,
    record: &Registration,
    precondition: Option<&Precondition>,
) -> Result<Outcome, KubeError> {
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name(client)),
            namespace: Some(context.namespace.clone()),
            labels: Some(BTreeMap::from([
                (LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned()),
                (LABEL_REGISTRATION.to_owned(), "true".to_owned()),
            ])),
            annotations: Some(BTreeMap::from([
                (ANNOTATION_MARK.to_owned(), record.mark.to_string()),
                (ANNOTATION_CLIENT.to_owned(), client.name.to_string()),
                (
                    ANNOTATION_PROVIDER.to_owned(),
                    format!("{}/{}", context.settings.owner, client.provider()),
                ),
            ])),
            uid: precondition.map(|seen| seen.uid.clone()),
            resource_version: precondition.and_then(|seen| seen.resource_version.clone()),
            ..ObjectMeta::default()
        },
        data: Some(
            record
                .to_data()
                .into_iter()
                .map(|(key, value)| (key, ByteString(value)))
                .collect(),
        ),
        ..Secret::default()
    };
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let (api, name) = (api(context), name(client));
    let written = match precondition {
        None => within(&context.metrics, "create secrets", api.create(&params, &secret)).await,
        Some(_) => {
            let patch = Patch::Merge(replacement(&secret)?);
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            within(&context.metrics, "patch secrets", api.patch(&name, &params, &patch)).await
        }
    };
    match written {
        Ok(secret) => Ok(Outcome::Registration(Box::new(view(context, client, secret)))),
        Err(KubeError::AlreadyExists | KubeError::Conflict | KubeError::NotFound) => Ok(Outcome::RegistrationChanged),
        Err(error) => Err(error),
    }
}

/// As a merge patch that leaves no key of a former record (docs/decisions/0006).
fn replacement(secret: &Secret) -> Result<Value, KubeError> {
    let mut patch = serde_json::to_value(secret).map_err(|_| KubeError::Invalid {
        message: "a record cannot be written as JSON".to_owned(),
    })?;
    for key in Registration::KEYS {
        if patch["data"][key].is_null() {
            patch["data"][key] = Value::Null;
        }
    }
    Ok(patch)
}

/// Deletes a record, in the version that was seen.
///
/// # Errors
/// When Kubernetes fails the call.
pub async fn drop(context: &Context, client: &ClientView, precondition: &Precondition) -> Result<Outcome, KubeError> {
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(precondition.uid.clone()),
            resource_version: precondition.resource_version.clone(),
        }),
        ..DeleteParams::default()
    };
    let name = name(client);
    match within(&context.metrics, "delete secrets", api(context).delete(&name, &params)).await {
        Ok(_) | Err(KubeError::NotFound) => Ok(Outcome::Registration(Box::new(RegistrationView::Missing))),
        Err(KubeError::Conflict) => Ok(Outcome::RegistrationChanged),
        Err(error) => Err(error),
    }
}
