//! What lies beside the code and must follow it: generated files and the documentation.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use oidc_operator::{
    api::{Reason, crd},
    comparison, crds,
};
use serde_json::Value;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn crds_are_as_generated() {
    let mut expected = vec!["Kustomization".to_owned()];
    for (name, crd) in crd::all().unwrap() {
        let stored = fs::read_to_string(repository("crds").join(name)).unwrap();
        // No assert_eq: two whole CRDs help nobody.
        assert!(
            stored == crds::yaml(&crd).unwrap(),
            "crds/{name} is not what src/api/ says: run `make crds`"
        );
        expected.push(name.to_owned());
    }
    let mut found: Vec<_> = fs::read_dir(repository("crds"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn backends_are_compared_as_the_code_has_them() {
    let stored = fs::read_to_string(repository("docs/backends.md")).unwrap();
    assert!(
        stored == comparison::page(),
        "docs/backends.md is not what the models say: run `make crds`"
    );
}

#[test]
fn every_reason_is_explained_once() {
    let page = fs::read_to_string(repository("docs/conditions.md")).unwrap();
    let (_, reasons) = page.split_once("\n## Reasons\n").unwrap();
    let mut explained: Vec<_> = reasons
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | "))
        .map(|(reason, _)| reason)
        .collect();
    let mut expected: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    explained.sort_unstable();
    expected.sort_unstable();
    assert_eq!(explained, expected);
}

/// Everything under src/ but the list of reasons itself.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if !path.ends_with("api/reason.rs") {
            found.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_reason_is_given_somewhere() {
    let mut code = String::new();
    sources(&repository("src"), &mut code);
    let given = |reason: &&Reason| {
        let name = reason.as_str();
        // Reasons of an issuer come from the domain as text.
        code.contains(&format!("Reason::{name}")) || code.contains(&format!("\"{name}\""))
    };
    let unused: Vec<_> = Reason::ALL.iter().filter(|reason| !given(reason)).collect();
    assert!(unused.is_empty(), "nothing ever gives {unused:?}");
}

#[test]
fn every_condition_is_explained() {
    let page = fs::read_to_string(repository("docs/conditions.md")).unwrap();
    for (kind, conditions) in [
        ("OIDCProvider", crd::PROVIDER_CONDITIONS),
        ("OIDCClient", crd::CLIENT_CONDITIONS),
    ] {
        let section = page
            .split("\n## ")
            .find(|section| section.starts_with(&format!("{kind}\n")))
            .unwrap();
        for condition in conditions {
            assert!(
                section.contains(&format!("\n| `{condition}` | ")),
                "docs/conditions.md lacks {condition} of {kind}"
            );
        }
    }
}

fn fields(schema: &Value, path: &str, found: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        found.push(path.clone());
        // A label selector is Kubernetes' own and documented there.
        if name != "selector" {
            fields(property, &path, found);
            fields(&property["items"], &path, found);
        }
    }
}

#[test]
fn every_field_is_documented() {
    let page = fs::read_to_string(repository("docs/api.md")).unwrap();
    for (_, crd) in crd::all().unwrap() {
        let kind = crd.spec.names.kind.clone();
        let crd = serde_json::to_value(crd).unwrap();
        let schema = crd
            .pointer("/spec/versions/0/schema/openAPIV3Schema/properties")
            .unwrap();
        let mut expected = Vec::new();
        fields(&schema["spec"], "", &mut expected);
        expected.extend(
            schema["status"]["properties"]
                .as_object()
                .unwrap()
                .keys()
                .map(|name| format!("status.{name}")),
        );
        let section = page
            .split("\n## ")
            .find(|section| section.starts_with(&format!("{kind}\n")))
            .unwrap();
        let is_there = |field: &String| {
            let row = section
                .lines()
                .find(|line| line.starts_with(&format!("| `{field}` | ")));
            row.is_some_and(|row| !row.ends_with("| to come |"))
        };
        let missing: Vec<_> = expected.iter().filter(|field| !is_there(field)).collect();
        assert!(
            missing.is_empty(),
            "docs/api.md does not name these fields of {kind}: {missing:?}"
        );
    }
}
