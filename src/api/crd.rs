//! The CRDs as Kubernetes gets them: generated from the types, with rules, list types and status defaults put in.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

use super::{
    client::{OIDCClient, OIDCClientSpec, OIDCClientStatus},
    provider::{OIDCProvider, OIDCProviderSpec, OIDCProviderStatus},
    rules::{CLIENT_LISTS, CLIENT_RULES, CelRule, ListType, PROVIDER_LIMITS, PROVIDER_LISTS, PROVIDER_RULES},
};

/// Condition types of OIDCProvider, in the order of its status.
pub const PROVIDER_CONDITIONS: &[&str] = &[
    "DiscoveryValid",
    "AdminAPIReady",
    "TransportSecure",
    "CertificatesValid",
    "Ready",
];

/// Condition types of OIDCClient, in the order of its status.
pub const CLIENT_CONDITIONS: &[&str] = &[
    "ProviderResolved",
    "Accepted",
    "Provisioned",
    "CredentialsPublished",
    "CredentialsVerified",
    "Ready",
];

/// Both CRDs with their file names under `crds/`.
///
/// # Errors
/// When a rule's path does not exist in the schema: a defect of this crate, caught by its tests.
pub fn all() -> Result<Vec<(&'static str, CustomResourceDefinition)>> {
    let provider = Additions {
        spec: schema_for!(OIDCProviderSpec),
        status: schema_for!(OIDCProviderStatus),
        rules: PROVIDER_RULES,
        lists: PROVIDER_LISTS,
        limits: PROVIDER_LIMITS,
        conditions: PROVIDER_CONDITIONS,
    };
    let client = Additions {
        spec: schema_for!(OIDCClientSpec),
        status: schema_for!(OIDCClientStatus),
        rules: CLIENT_RULES,
        lists: CLIENT_LISTS,
        limits: &[],
        conditions: CLIENT_CONDITIONS,
    };
    Ok(vec![
        (
            "oidc-operator.io_oidcproviders.yaml",
            complete(OIDCProvider::crd(), &provider)?,
        ),
        (
            "oidc-operator.io_oidcclients.yaml",
            complete(OIDCClient::crd(), &client)?,
        ),
    ])
}

/// What a generated CRD lacks.
struct Additions {
    spec: Schema,
    status: Schema,
    rules: &'static [&'static [CelRule]],
    lists: &'static [(&'static str, ListType)],
    limits: &'static [(&'static str, &'static str, u32)],
    conditions: &'static [&'static str],
}

fn complete(crd: CustomResourceDefinition, additions: &Additions) -> Result<CustomResourceDefinition> {
    let mut crd = serde_json::to_value(crd)?;
    let schema = crd
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema")
        .context("the CRD has no schema of its version")?;
    drop_nullable(schema);
    describe(
        property(schema, "spec")?,
        additions.spec.as_value(),
        additions.spec.as_value(),
    );
    describe(
        property(schema, "status")?,
        additions.status.as_value(),
        additions.status.as_value(),
    );
    for rule in additions.rules.iter().copied().flatten() {
        let place = property(schema, rule.path)?;
        let rules = place["x-kubernetes-validations"].take();
        let mut rules = if let Value::Array(rules) = rules {
            rules
        } else {
            Vec::new()
        };
        rules.push(json!({"rule": rule.rule, "message": rule.message}));
        place["x-kubernetes-validations"] = Value::Array(rules);
    }
    for (path, list) in additions.lists {
        let place = property(schema, path)?;
        if place["type"] != "array" {
            bail!("{path} is not a list");
        }
        match list {
            ListType::Atomic => place["x-kubernetes-list-type"] = json!("atomic"),
            ListType::Set => place["x-kubernetes-list-type"] = json!("set"),
            ListType::Map(key) => {
                place["x-kubernetes-list-type"] = json!("map");
                place["x-kubernetes-list-map-keys"] = json!([key]);
            }
            ListType::MapOf(keys) => {
                place["x-kubernetes-list-type"] = json!("map");
                place["x-kubernetes-list-map-keys"] = json!(keys);
            }
        }
    }
    for (path, keyword, limit) in additions.limits {
        property(schema, path)?[*keyword] = json!(limit);
    }
    // A new object is never taken for done (kstatus reads a missing Ready as "current"), as Gateway API does it.
    property(schema, "status")?["default"] = json!({
        "observedGeneration": 0,
        "conditions": additions.conditions.iter().map(|type_| json!({
            "type": type_,
            "status": "Unknown",
            "observedGeneration": 0,
            "lastTransitionTime": "1970-01-01T00:00:00Z",
            "reason": "Pending",
            "message": "Waiting for the operator",
        })).collect::<Vec<_>>(),
    });
    Ok(serde_json::from_value(crd)?)
}

/// Without `nullable`, the API server drops an explicit null before defaults and rules see it, so that `has()` means
/// what it says.
fn drop_nullable(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.remove("nullable");
            members.values_mut().for_each(drop_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nullable),
        _ => {}
    }
}

/// Puts the fields' own documentation where kube's rewriting left that of an optional field's type (which knows no default):
/// `kubectl explain` shows it.
fn describe(place: &mut Value, source: &Value, root: &Value) {
    if let Some(description) = source.get("description") {
        place["description"] = description.clone();
    }
    let optional = source["anyOf"]
        .as_array()
        .and_then(|any| any.iter().find(|one| one.get("$ref").is_some()));
    let reference = optional.unwrap_or(source)["$ref"].as_str();
    let shape = reference
        .and_then(|path| root.pointer(path.trim_start_matches('#')))
        .unwrap_or(source);
    if let (Some(properties), Some(places)) = (shape["properties"].as_object(), place["properties"].as_object_mut()) {
        for (name, property) in properties {
            if let Some(place) = places.get_mut(name) {
                describe(place, property, root);
            }
        }
    }
    if let Some(items) = place.get_mut("items") {
        describe(items, &shape["items"], root);
    }
}

/// The schema of one property; `[]` steps into a list's items, `{}` into a map's values. `__namespace__` escapes are
/// CEL's, not ours.
fn property<'a>(schema: &'a mut Value, path: &str) -> Result<&'a mut Value> {
    let mut place = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        place = match step {
            "[]" => place.get_mut("items").with_context(|| format!("{path}: not a list"))?,
            "{}" => place
                .get_mut("additionalProperties")
                .with_context(|| format!("{path}: not a map"))?,
            name => place
                .pointer_mut(&format!("/properties/{name}"))
                .with_context(|| format!("{path}: no property {name}"))?,
        };
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists_without_type(schema: &Value, path: &str, found: &mut Vec<String>) {
        if schema["type"] == "array" && schema.get("x-kubernetes-list-type").is_none() {
            found.push(path.to_owned());
        }
        if let Some(properties) = schema["properties"].as_object() {
            for (name, property) in properties {
                lists_without_type(property, &format!("{path}.{name}"), found);
            }
        }
        if schema["items"].is_object() {
            lists_without_type(&schema["items"], &format!("{path}[]"), found);
        }
    }

    #[test]
    fn every_list_has_a_type() {
        for (_, crd) in all().unwrap() {
            let crd = serde_json::to_value(crd).unwrap();
            let schema = crd.pointer("/spec/versions/0/schema/openAPIV3Schema").unwrap();
            let mut found = Vec::new();
            lists_without_type(schema, "", &mut found);
            // Kubernetes' own LabelSelector brings its own.
            found.retain(|path| !path.contains("selector"));
            assert_eq!(found, Vec::<String>::new());
        }
    }

    fn unbounded(schema: &Value, path: &str, found: &mut Vec<String>) {
        let bounded = match schema["type"].as_str() {
            Some("string") => ["enum", "maxLength"]
                .iter()
                .any(|keyword| schema.get(keyword).is_some()),
            Some("array") => schema.get("maxItems").is_some(),
            Some("integer") => schema.get("maximum").is_some(),
            Some("object") if schema["additionalProperties"].is_object() => schema.get("maxProperties").is_some(),
            _ => true,
        };
        if !bounded {
            found.push(path.to_owned());
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            unbounded(property, &format!("{path}.{name}"), found);
        }
        for keyword in ["items", "additionalProperties"] {
            if schema[keyword].is_object() {
                unbounded(&schema[keyword], &format!("{path}.[]"), found);
            }
        }
    }

    #[test]
    fn everything_that_users_write_is_bounded() {
        for (_, crd) in all().unwrap() {
            let crd = serde_json::to_value(crd).unwrap();
            let spec = crd
                .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
                .unwrap();
            let mut found = Vec::new();
            unbounded(spec, "spec", &mut found);
            assert_eq!(found, Vec::<String>::new());
        }
    }

    #[test]
    fn optional_fields_keep_their_own_description() {
        let (_, crd) = all().unwrap().remove(1);
        let crd = serde_json::to_value(crd).unwrap();
        let pkce = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/pkce/description";
        assert!(crd.pointer(pkce).unwrap().as_str().unwrap().contains("unless set"));
    }

    #[test]
    fn no_two_rules_say_the_same() {
        let mut messages: Vec<_> = PROVIDER_RULES
            .iter()
            .chain(CLIENT_RULES)
            .copied()
            .flatten()
            .map(|rule| rule.message)
            .collect();
        messages.sort_unstable();
        let all = messages.len();
        messages.dedup();
        assert_eq!(messages.len(), all);
    }

    #[test]
    fn every_message_names_what_to_do_in_one_line() {
        for rule in PROVIDER_RULES.iter().chain(CLIENT_RULES).copied().flatten() {
            assert!(
                rule.message.len() < 400 && !rule.message.contains('\n'),
                "{}",
                rule.message
            );
        }
    }
}
