//! What every Kubernetes object has.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt as _};

use crate::domain::ResourceName;

/// The name of a namespaced object.
pub fn name_of(meta: &ObjectMeta) -> ResourceName {
    ResourceName::new(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// Does it carry `finalizer`?
pub fn carries<K: Resource>(object: &K, finalizer: &str) -> bool {
    object.finalizers().iter().any(|found| found == finalizer)
}
