//! A Deployment that runs Dex: what of it matters, and the patch that brings its Pod template to a draft. Pure.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Container, EnvFromSource, EnvVar},
};
use serde_json::{Value, json};

use crate::{
    domain::vocabulary::ANNOTATION_DEX_CONFIG_DIGEST,
    idp::dex::config::{Progress, TemplateDraft, VARIABLE_PREFIX, Workload},
};

/// Reason of the condition `Progressing` once a Deployment's controller has given up waiting.
const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";

/// What matters of a Deployment, whose `container` takes secrets from the Secret `keys`; `None`: there is no such container.
pub(super) fn read(deployment: &Deployment, container: &str, keys: &str) -> Option<Workload> {
    let spec = deployment.spec.as_ref()?;
    let container = container_of(deployment, container)?;
    let status = deployment.status.clone().unwrap_or_default();
    let ours = container
        .env
        .iter()
        .flatten()
        .filter(|variable| variable.name.starts_with(VARIABLE_PREFIX));
    let (good, other): (Vec<&EnvVar>, Vec<&EnvVar>) = ours.partition(|variable| takes_key(variable, keys));
    let names = |variables: Vec<&EnvVar>| variables.into_iter().map(|variable| variable.name.clone()).collect();
    let annotations = spec
        .template
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.annotations.as_ref());
    let progressing = status.conditions.iter().flatten();
    let progressing = progressing.filter(|condition| condition.type_ == "Progressing");
    Some(Workload {
        uid: deployment.metadata.uid.clone().unwrap_or_default(),
        resource_version: deployment.metadata.resource_version.clone().unwrap_or_default(),
        env_from: container
            .env_from
            .iter()
            .flatten()
            .any(|source| takes_all(source, keys)),
        variables: names(good),
        other_variables: names(other),
        checksum: annotations
            .and_then(|annotations| annotations.get(ANNOTATION_DEX_CONFIG_DIGEST))
            .cloned(),
        generation: deployment.metadata.generation.unwrap_or_default(),
        progress: Progress {
            observed_generation: status.observed_generation.unwrap_or_default(),
            paused: spec.paused.unwrap_or_default(),
            wanted: spec.replicas.unwrap_or(1),
            replicas: status.replicas.unwrap_or_default(),
            updated: status.updated_replicas.unwrap_or_default(),
            available: status.available_replicas.unwrap_or_default(),
            deadline_exceeded: progressing
                .into_iter()
                .any(|found| found.reason.as_deref() == Some(DEADLINE_EXCEEDED)),
        },
    })
}

/// A strategic merge patch of the version that was `seen`: of the Pod template it changes the annotation, and of the container the
/// variables of ours and, where it lacks the Secret, `envFrom`, which is replaced as a whole.
pub(super) fn patch(
    deployment: &Deployment,
    container: &str,
    keys: &str,
    seen: &Workload,
    draft: &TemplateDraft,
) -> Value {
    let stands = |variable: &&String| seen.variables.contains(*variable) || seen.other_variables.contains(*variable);
    let added = draft.variables.iter().filter(|variable| !stands(variable));
    let added = added.map(|variable| {
        let reference = json!({"name": keys, "key": variable, "optional": false});
        json!({"name": variable, "valueFrom": {"secretKeyRef": reference}})
    });
    // What stands there in another way goes first, and comes back with the next patch: `envFrom` has it meanwhile.
    let is_good = |variable: &&String| draft.variables.contains(*variable) && seen.variables.contains(*variable);
    let removed = seen.variables.iter().chain(&seen.other_variables);
    let removed = removed.filter(|variable| !is_good(variable));
    let removed = removed.map(|variable| json!({"name": variable, "$patch": "delete"}));
    let mut changed = json!({"name": container});
    let variables: Vec<Value> = added.chain(removed).collect();
    if !variables.is_empty() {
        changed["env"] = json!(variables);
    }
    if !seen.env_from {
        let found = container_of(deployment, container).and_then(|container| container.env_from.clone());
        let mut sources = json!(found.unwrap_or_default());
        if let Some(sources) = sources.as_array_mut() {
            sources.push(json!({"secretRef": {"name": keys, "optional": false}}));
        }
        changed["envFrom"] = sources;
    }
    json!({
        "metadata": {"uid": seen.uid, "resourceVersion": seen.resource_version},
        "spec": {"template": {
            "metadata": {"annotations": {ANNOTATION_DEX_CONFIG_DIGEST: draft.checksum}},
            "spec": {"containers": [changed]},
        }},
    })
}

fn container_of<'a>(deployment: &'a Deployment, name: &str) -> Option<&'a Container> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    pod.containers.iter().find(|container| container.name == name)
}

/// All keys under their own names, and no start without the Secret?
fn takes_all(source: &EnvFromSource, keys: &str) -> bool {
    let secret = source.secret_ref.as_ref();
    let whole = source.prefix.as_deref().unwrap_or_default().is_empty();
    whole && secret.is_some_and(|secret| secret.name == keys && secret.optional != Some(true))
}

/// The key of its own name, and no start without it?
fn takes_key(variable: &EnvVar, keys: &str) -> bool {
    let key = variable
        .value_from
        .as_ref()
        .and_then(|from| from.secret_key_ref.as_ref());
    key.is_some_and(|key| key.name == keys && key.key == variable.name && key.optional != Some(true))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::idp::dex::config::variable;

    const KEYS: &str = "dex-config-client-secrets";

    fn deployment(container: Value) -> Deployment {
        let mut container = container;
        container["name"] = json!("dex");
        serde_json::from_value(json!({
            "metadata": {"uid": "u", "resourceVersion": "7", "generation": 3},
            "spec": {"selector": {}, "replicas": 2, "template": {
                "metadata": {"annotations": {ANNOTATION_DEX_CONFIG_DIGEST: "c"}},
                "spec": {"containers": [{"name": "sidecar"}, container]},
            }},
            "status": {
                "observedGeneration": 3, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1,
                "conditions": [{"type": "Progressing", "status": "False", "reason": DEADLINE_EXCEEDED}],
            },
        }))
        .unwrap()
    }

    fn takes(variable: &str, optional: Value) -> Value {
        json!({"name": variable, "valueFrom": {"secretKeyRef": {"name": KEYS, "key": variable, "optional": optional}}})
    }

    #[test]
    fn what_matters_is_read() {
        let (a, b, c) = (variable("a"), variable("b"), variable("c"));
        let env = json!([
            {"name": "THEIRS", "value": "x"},
            takes(&a, json!(false)),
            takes(&b, json!(true)),
            {"name": c, "value": "plain"},
        ]);
        let found = read(&deployment(json!({"env": env})), "dex", KEYS).unwrap();
        assert_eq!(
            found,
            Workload {
                uid: "u".to_owned(),
                resource_version: "7".to_owned(),
                env_from: false,
                variables: BTreeSet::from([a]),
                other_variables: BTreeSet::from([b, c]),
                checksum: Some("c".to_owned()),
                generation: 3,
                progress: Progress {
                    observed_generation: 3,
                    paused: false,
                    wanted: 2,
                    replicas: 2,
                    updated: 1,
                    available: 1,
                    deadline_exceeded: true,
                },
            }
        );
        assert_eq!(read(&deployment(json!({})), "other", KEYS), None);
    }

    #[test]
    fn the_whole_secret_is_taken_only_without_a_way_around_it() {
        for (source, expected) in [
            (json!({"secretRef": {"name": KEYS}}), true),
            (json!({"secretRef": {"name": KEYS, "optional": false}}), true),
            (json!({"secretRef": {"name": KEYS, "optional": true}}), false),
            (json!({"secretRef": {"name": KEYS}, "prefix": "X_"}), false),
            (json!({"secretRef": {"name": "other"}}), false),
            (json!({"configMapRef": {"name": KEYS}}), false),
        ] {
            let found = read(&deployment(json!({"envFrom": [source]})), "dex", KEYS).unwrap();
            assert_eq!(found.env_from, expected, "{source}");
        }
    }

    #[test]
    fn a_patch_changes_what_is_ours_and_nothing_else() {
        let (a, b, c) = (variable("a"), variable("b"), variable("c"));
        let theirs = json!({"configMapRef": {"name": "theirs"}});
        let env = json!([{"name": "THEIRS", "value": "x"}, takes(&a, json!(false)), takes(&b, json!(false))]);
        let deployment = deployment(json!({"env": env, "envFrom": [theirs]}));
        let seen = read(&deployment, "dex", KEYS).unwrap();
        let draft = TemplateDraft {
            checksum: "d".to_owned(),
            variables: BTreeSet::from([a.clone(), c.clone()]),
        };
        let patch = patch(&deployment, "dex", KEYS, &seen, &draft);
        assert_eq!(patch["metadata"], json!({"uid": "u", "resourceVersion": "7"}));
        let template = &patch["spec"]["template"];
        assert_eq!(
            template["metadata"]["annotations"],
            json!({ANNOTATION_DEX_CONFIG_DIGEST: "d"})
        );
        let container = &template["spec"]["containers"][0];
        assert_eq!(container["name"], "dex");
        assert_eq!(
            container["envFrom"],
            json!([theirs, {"secretRef": {"name": KEYS, "optional": false}}])
        );
        let env = container["env"].as_array().unwrap();
        assert_eq!(env.len(), 2, "{env:?}");
        assert_eq!(env[0]["name"], c);
        assert_eq!(env[0]["valueFrom"]["secretKeyRef"]["optional"], false);
        assert_eq!(env[1], json!({"name": b, "$patch": "delete"}));
    }

    #[test]
    fn what_stands_is_left_alone() {
        let deployment = deployment(json!({"envFrom": [{"secretRef": {"name": KEYS}}]}));
        let seen = read(&deployment, "dex", KEYS).unwrap();
        let draft = TemplateDraft {
            checksum: "d".to_owned(),
            variables: BTreeSet::new(),
        };
        let patch = patch(&deployment, "dex", KEYS, &seen, &draft);
        assert_eq!(
            patch["spec"]["template"]["spec"]["containers"],
            json!([{"name": "dex"}])
        );
    }
}
