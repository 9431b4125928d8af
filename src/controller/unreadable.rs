//! An object that this version cannot read: a condition says so, nobody else is held up, and its deletion ends all the same.

use jiff::Timestamp;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DynamicObject, PatchParams},
    core::{
        ApiResource, NamespaceResourceScope, PartialObjectMeta, PartialObjectMetaExt as _,
        error_boundary::InvalidObject,
    },
};
use serde_json::{Value, json};

use super::{context::Context, provider, report};
use crate::{
    api::{
        Condition, OIDCClient, OIDCProvider, Reason,
        crd::{CLIENT_CONDITIONS, PROVIDER_CONDITIONS},
    },
    domain::{
        error::bounded,
        vocabulary::{ANNOTATION_ORPHAN, CLIENT_FINALIZER, PROVIDER_FINALIZER},
    },
    kubernetes::{
        client::{KubeError, within},
        finalizer,
        objects::{carries, name_of},
    },
    plan::{Finding, Requeue, conditions, deletion},
};

/// Reports on an OIDCClient; one that is being deleted is let go by the rule of all deletions.
///
/// # Errors
/// When Kubernetes fails a call.
pub async fn client(context: &Context, invalid: &InvalidObject) -> Result<Option<Requeue>, KubeError> {
    let object = metadata::<OIDCClient>(invalid);
    let Some(since) = invalid.metadata.deletion_timestamp.as_ref().map(|time| time.0) else {
        report::<OIDCClient>(context, invalid, CLIENT_CONDITIONS).await?;
        return Ok(None);
    };
    if !carries(&object, CLIENT_FINALIZER) {
        return Ok(None);
    }
    let end = deletion::deadline(&context.settings, since);
    let orphan = object.annotations().contains_key(ANNOTATION_ORPHAN);
    if !orphan && Timestamp::now() < end {
        report::<OIDCClient>(context, invalid, CLIENT_CONDITIONS).await?;
        return Ok(Some(Requeue::NotAfter(end)));
    }
    let (kube, metrics) = (&context.kube, &context.metrics);
    let let_go = finalizer::set(kube, metrics, "patch oidcclients", &object, CLIENT_FINALIZER, false).await?;
    if let_go.is_none() {
        return Ok(None);
    }
    let name = name_of(&invalid.metadata);
    let message = format!(
        "OIDCClient {name} is let go, although this version of the operator cannot read it: {}. Its client may be left at the provider",
        if orphan {
            "the annotation oidc-operator.io/orphan asks for it"
        } else {
            "the deletion timeout is over"
        }
    );
    context.metrics.left_behind();
    tracing::warn!(client = %name, message, "left behind");
    context
        .events
        .publish(object.object_ref(&()), true, Reason::LeftBehind, "Reconcile", &message);
    Ok(None)
}

/// Reports on an OIDCProvider; one that is being deleted waits for its clients, as any other.
///
/// # Errors
/// When Kubernetes fails a call.
pub async fn provider(context: &Context, invalid: &InvalidObject) -> Result<Option<Requeue>, KubeError> {
    let object = metadata::<OIDCProvider>(invalid);
    if invalid.metadata.deletion_timestamp.is_some() && carries(&object, PROVIDER_FINALIZER) {
        let clients = context.objects.clients_of(&name_of(&invalid.metadata)).await;
        if provider::remaining(&clients).is_empty() || object.annotations().contains_key(ANNOTATION_ORPHAN) {
            let (kube, metrics) = (&context.kube, &context.metrics);
            finalizer::set(kube, metrics, "patch oidcproviders", &object, PROVIDER_FINALIZER, false).await?;
            return Ok(None);
        }
    }
    report::<OIDCProvider>(context, invalid, PROVIDER_CONDITIONS).await?;
    Ok(None)
}

fn metadata<K>(invalid: &InvalidObject) -> PartialObjectMeta<K> {
    invalid.metadata.clone().into_response_partial()
}

/// Says so in the conditions, and changes nothing else of a status that may not be readable either.
async fn report<K>(context: &Context, invalid: &InvalidObject, types: &[&str]) -> Result<(), KubeError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
{
    let meta = &invalid.metadata;
    let name = name_of(meta);
    let resource = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(context.kube.clone(), &name.namespace, &resource);
    let Some(live) = within(&context.metrics, "get object", api.get_opt(&name.name)).await? else {
        return Ok(());
    };
    let now = Timestamp::now();
    let generation = meta.generation.unwrap_or_default();
    let finding = Finding::no(
        Reason::InvalidObject,
        format!(
            "This version of the operator cannot read the object: {}. Nothing is changed for it. Correct it, or update the operator and the CRDs together",
            bounded(&invalid.error)
        ),
    );
    let old: Vec<Condition> = live
        .data
        .pointer("/status/conditions")
        .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
        .unwrap_or_default();
    let mut fresh = old.clone();
    conditions::set(&mut fresh, "Ready", &finding, generation, now);
    let stalled = (finding.reason, finding.message.clone());
    conditions::set_while(&mut fresh, "Stalled", Some(&stalled), generation, now);
    conditions::complete(&mut fresh, types);
    if fresh == old {
        return Ok(());
    }
    let status = live.data.get("status").cloned().filter(Value::is_object);
    let mut status = status.unwrap_or_else(|| json!({}));
    status["observedGeneration"] = json!(generation);
    status["conditions"] = json!(fresh);
    let patch = report::status_patch(meta.uid.as_deref(), status)?;
    let params = PatchParams::default();
    match within(
        &context.metrics,
        "patch status",
        api.patch_status(&name.name, &params, &patch),
    )
    .await
    {
        Ok(_) | Err(KubeError::NotFound | KubeError::Conflict) => Ok(()),
        Err(error) => Err(error),
    }
}
