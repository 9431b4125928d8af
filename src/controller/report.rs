//! Status, only on change; Events.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{context::Context, registry::Runtime};
use crate::{
    api::{Condition, OIDCClient, OIDCProvider, OIDCProviderStatus, Reason, common::ConditionStatus},
    kubernetes::{
        client::{KubeError, within},
        objects::name_of,
    },
    plan::{Snapshot, Verdict, conditions, snapshot::ClientView, step::Note},
};

/// Writes the status of a client, if anything but time changed.
///
/// # Errors
/// When Kubernetes fails the call.
pub async fn client(
    context: &Context,
    object: &OIDCClient,
    view: &ClientView,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<(), KubeError> {
    let status = conditions::client_status(view, verdict, now);
    let old = object.status.clone().unwrap_or_default();
    if status == old {
        return Ok(());
    }
    announce(context, object, &old.conditions, &status.conditions);
    if let Some(written) = write_status(context, object, &status, "patch oidcclients/status").await? {
        context.recent.wrote_client(written);
    }
    Ok(())
}

/// Writes the status of a provider, if anything but time changed.
///
/// # Errors
/// When Kubernetes fails the call.
pub async fn provider(context: &Context, object: &OIDCProvider, status: &OIDCProviderStatus) -> Result<(), KubeError> {
    let old = object.status.clone().unwrap_or_default();
    if *status == old {
        return Ok(());
    }
    announce(context, object, &old.conditions, &status.conditions);
    warn_of_certificates(context, object, &old.conditions, &status.conditions);
    if let Some(written) = write_status(context, object, status, "patch oidcproviders/status").await? {
        context.recent.wrote_provider(written);
    }
    Ok(())
}

/// Replaces the status of the very object that was looked at (a test of its uid); gone is no failure.
async fn write_status<K, S>(
    context: &Context,
    object: &K,
    status: &S,
    operation: &'static str,
) -> Result<Option<K>, KubeError>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
    S: Serialize,
{
    let name = name_of(object.meta());
    let api: Api<K> = Api::namespaced(context.kube.clone(), &name.namespace);
    let patch = status_patch(object.meta().uid.as_deref(), json!(status))?;
    match within(
        &context.metrics,
        operation,
        api.patch_status(&name.name, &PatchParams::default(), &patch),
    )
    .await
    {
        Ok(written) => Ok(Some(written)),
        // Another object of this name, or none: its own pass reports on it.
        Err(KubeError::NotFound | KubeError::Conflict) => Ok(None),
        // The test of the uid failed, or the schema refuses the status, which would be a defect: the answer is the same.
        Err(refused @ KubeError::Invalid { .. }) => {
            let live = within(&context.metrics, "get object", api.get_metadata_opt(&name.name)).await?;
            if live.is_some_and(|live| live.metadata.uid == object.meta().uid) {
                Err(refused)
            } else {
                Ok(None)
            }
        }
        Err(error) => Err(error),
    }
}

/// Replaces the status of the object with this uid, and of no other.
///
/// # Errors
/// A status that is no JSON: a defect.
pub fn status_patch(uid: Option<&str>, status: Value) -> Result<Patch<()>, KubeError> {
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": status},
    ]);
    let patch = serde_json::from_value(operations).map_err(|error| KubeError::Invalid {
        message: format!("status cannot be written as a patch: {error}"),
    })?;
    Ok(Patch::Json(patch))
}

/// An Event where `Ready` changed its status or reason, or was never known and is False.
fn announce<K: Resource<DynamicType = ()>>(context: &Context, object: &K, old: &[Condition], new: &[Condition]) {
    let ready = |conditions: &[Condition]| {
        conditions
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .map(|condition| (condition.status, condition.reason.clone(), condition.message.clone()))
    };
    let (before, after) = (ready(old), ready(new));
    let Some((status, reason, message)) = after else { return };
    let known = before.filter(|(status, ..)| *status != ConditionStatus::Unknown);
    let news = match known {
        Some((old_status, old_reason, _)) => old_status != status || old_reason != reason,
        // That a new object works is no news beside the Events of what was made for it.
        None => status == ConditionStatus::False,
    };
    if !news {
        return;
    }
    // That a provider is rolled out with what was just written is as it should be.
    let warning = status == ConditionStatus::False && reason != Reason::RollingOut.as_str();
    context.events.publish(
        object.object_ref(&()),
        warning,
        Reason::parse(&reason),
        "Reconcile",
        &message,
    );
}

/// A Warning where the end of a certificate has come near, or has come; once for each, because the message names them, and changes
/// with nothing else.
fn warn_of_certificates(context: &Context, object: &OIDCProvider, old: &[Condition], new: &[Condition]) {
    let find = |conditions: &[Condition]| {
        let found = conditions
            .iter()
            .find(|condition| condition.type_ == "CertificatesValid");
        found.filter(|found| found.status == ConditionStatus::False).cloned()
    };
    let Some(now) = find(new) else { return };
    if find(old).is_some_and(|old| old.message == now.message) {
        return;
    }
    let reason = Reason::parse(&now.reason);
    context
        .events
        .publish(object.object_ref(&()), true, reason, "Reconcile", &now.message);
}

/// The Event of a step. A namespace that is ending takes no Events: what is left behind is told on the provider.
pub fn note(context: &Context, object: &OIDCClient, provider: Option<&Runtime>, snapshot: &Snapshot, note: &Note) {
    if note.reason == Reason::LeftBehind {
        context.metrics.left_behind();
        tracing::warn!(client = %snapshot.client.name, message = note.message, "left behind");
    }
    let regarding = match provider {
        Some(runtime) if snapshot.namespace.terminating && note.reason == Reason::LeftBehind => {
            let provider = snapshot.client.provider();
            ObjectReference {
                api_version: Some(OIDCProvider::api_version(&()).into_owned()),
                kind: Some("OIDCProvider".to_owned()),
                name: Some(provider.name),
                namespace: Some(provider.namespace),
                uid: Some(runtime.uid().to_owned()),
                ..ObjectReference::default()
            }
        }
        _ => object.object_ref(&()),
    };
    context
        .events
        .publish(regarding, note.warning, note.reason, "Reconcile", &note.message);
}
