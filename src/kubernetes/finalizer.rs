//! Our finalizer on and off, only on the very version that was seen.

use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::client::{KubeError, within};
use crate::telemetry::metrics::Metrics;

/// Puts `finalizer` on `object` or takes it off; gives the object as the API server answered it, `None` where it was gone
/// when its finalizer was to be taken off (there is nothing left to hold then).
///
/// A merge patch replaces the whole list, so uid and resourceVersion go with it: whoever else changed the object meanwhile
/// is not undone (P18).
///
/// # Errors
/// [`KubeError`]; a conflict means that the object must be looked at again.
pub async fn set<K>(
    kube: &Client,
    metrics: &Metrics,
    operation: &'static str,
    object: &K,
    finalizer: &str,
    wanted: bool,
) -> Result<Option<K>, KubeError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let others = object
        .finalizers()
        .iter()
        .map(String::as_str)
        .filter(|found| *found != finalizer);
    let finalizers: Vec<&str> = others.chain(wanted.then_some(finalizer)).collect();
    let patch = Patch::Merge(json!({"metadata": {
        "uid": object.uid(),
        "resourceVersion": object.resource_version(),
        "finalizers": finalizers,
    }}));
    let api: Api<K> = Api::namespaced(kube.clone(), &object.namespace().unwrap_or_default());
    let params = PatchParams::default();
    match within(metrics, operation, api.patch(&object.name_any(), &params, &patch)).await {
        Ok(object) => Ok(Some(object)),
        Err(KubeError::NotFound) if !wanted => Ok(None),
        Err(error) => Err(error),
    }
}
