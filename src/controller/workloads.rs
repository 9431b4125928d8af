//! IO on workloads that follow the outputs (`rolloutRestart`). Of each, nothing but its metadata is read.
//!
//! Whatever Kubernetes answers is an answer to the plan: no workload stands in the way of its client.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde_json::json;

use super::context::Context;
use crate::{
    api::client::{WorkloadKind, WorkloadReference},
    domain::vocabulary::{ANNOTATION_RESTARTED_AT, FIELD_MANAGER},
    kubernetes::client::{KubeError, within},
    plan::{
        Snapshot, Step,
        rehearsal::Outcome,
        snapshot::{Workload, WorkloadView},
    },
};

/// The API of a workload's kind, and what its calls are counted as.
struct Kind {
    api: Api<DynamicObject>,
    get: &'static str,
    patch: &'static str,
}

fn kind(context: &Context, namespace: &str, kind: WorkloadKind) -> Kind {
    let (resource, get, patch) = match kind {
        WorkloadKind::Deployment => (
            ApiResource::erase::<Deployment>(&()),
            "get deployments",
            "patch deployments",
        ),
        WorkloadKind::StatefulSet => (
            ApiResource::erase::<StatefulSet>(&()),
            "get statefulsets",
            "patch statefulsets",
        ),
        WorkloadKind::DaemonSet => (
            ApiResource::erase::<DaemonSet>(&()),
            "get daemonsets",
            "patch daemonsets",
        ),
    };
    Kind {
        api: Api::namespaced_with(context.kube.clone(), namespace, &resource),
        get,
        patch,
    }
}

/// Looks at the workloads that the spec names and that this pass has not seen yet.
pub(super) async fn look(context: &Context, snapshot: &mut Snapshot) {
    let client = &snapshot.client;
    let wanted = client.spec.rollout_restart().iter();
    let unseen = wanted.filter(|workload| !snapshot.workloads.contains_key(workload));
    let looks = unseen.map(async |workload| (workload.clone(), one(context, &client.name.namespace, workload).await));
    let seen = futures::future::join_all(looks).await;
    snapshot.workloads.extend(seen);
}

async fn one(context: &Context, namespace: &str, workload: &WorkloadReference) -> WorkloadView {
    let Kind { api, get, .. } = kind(context, namespace, workload.kind);
    match within(&context.metrics, get, api.get_metadata_opt(&workload.name)).await {
        Ok(found) => found.map_or(WorkloadView::Missing, view),
        Err(error) => failed(&error),
    }
}

fn view(found: PartialObjectMeta<DynamicObject>) -> WorkloadView {
    let metadata = found.metadata;
    if metadata.deletion_timestamp.is_some() {
        return WorkloadView::Missing;
    }
    WorkloadView::Found(Workload {
        uid: metadata.uid.unwrap_or_default(),
        resource_version: metadata.resource_version.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
    })
}

fn failed(error: &KubeError) -> WorkloadView {
    WorkloadView::Failed {
        message: error.to_string(),
        class: error.class(),
    }
}

/// One merge patch, bound to the version that was seen, so that nothing is done to a workload that has just taken its
/// consent back. Not server-side apply: what a user's own tools apply stays theirs, field by field.
pub(super) async fn update(context: &Context, namespace: &str, step: &Step) -> Outcome {
    let Step::UpdateWorkload {
        workload,
        precondition,
        key,
        fingerprint,
        restarted_at,
        ..
    } = step
    else {
        return Outcome::Done;
    };
    let mut patch = json!({"metadata": {
        "uid": precondition.uid,
        "resourceVersion": precondition.resource_version,
        "annotations": {key: fingerprint},
    }});
    if let Some(time) = restarted_at {
        patch["spec"] = json!({"template": {"metadata": {"annotations": {ANNOTATION_RESTARTED_AT: time}}}});
    }
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let Kind {
        api, patch: operation, ..
    } = kind(context, namespace, workload.kind);
    let patch = Patch::Merge(&patch);
    let request = api.patch_metadata(&workload.name, &params, &patch);
    match within(&context.metrics, operation, request).await {
        Ok(written) => Outcome::Workload(view(written)),
        Err(KubeError::NotFound) => Outcome::Workload(WorkloadView::Missing),
        Err(KubeError::Conflict) => Outcome::WorkloadChanged,
        Err(error) => Outcome::Workload(failed(&error)),
    }
}
