//! Rules and limits of Dex's configuration file (`spec.dex.config`), both ways.

use serde_json::{Value, json};

use crate::{
    limits::{Limit, choice, limit, long},
    provider::reference,
    table::{Row, create, merge, row},
};

/// The patch that makes the base OIDCProvider one by Dex's configuration, with `patch` on its block.
pub(crate) fn dex_config(patch: &Value) -> Value {
    let mut block = json!({
        "base": {"name": "dex-config-base"},
        "target": {"name": "dex-config"},
        "workload": {"name": "dex"},
    });
    merge(&mut block, patch);
    json!({"dex": {"type": "Config", "grpc": null, "config": block}})
}

pub(crate) fn rows() -> Vec<Row> {
    let config = |patch: Value| create(dex_config(&patch));
    let kinds = |base: &str, target: &str| config(json!({"base": {"kind": base}, "target": {"kind": target}}));
    let names = |base: &str, target: &str| config(json!({"base": {"name": base}, "target": {"name": target}}));
    let secrets = |base: &str| {
        config(json!({"base": {"kind": "Secret", "name": base}, "target": {"kind": "Secret", "name": "dex-config"}}))
    };
    let workload = |name: &str| config(json!({"workload": {"name": name}}));
    let container = |name: &str| config(json!({"workload": {"container": name}}));
    let mut rows = vec![
        row(
            "dex.config must be set if, and only if, dex.type is Config",
            [config(json!({})), create(json!({}))],
            [
                create(json!({"dex": {"type": "Config", "grpc": null}})),
                create(json!({"dex": {"config": dex_config(&json!({}))["dex"]["config"]}})),
            ],
        ),
        row(
            "dex.config.target.kind must be that of base",
            [
                kinds("ConfigMap", "ConfigMap"),
                kinds("Secret", "Secret"),
                config(json!({})),
            ],
            [
                kinds("Secret", "ConfigMap"),
                kinds("ConfigMap", "Secret"),
                config(json!({"base": {"kind": "Secret"}})),
            ],
        ),
        row(
            "dex.config.target.name must differ from that of base",
            [names("a", "b")],
            [names("a", "a")],
        ),
        row(
            "dex.config.base.name must not be that of the Secret",
            [
                secrets("dex-config-base"),
                names("dex-config-client-secrets", "dex-config"),
            ],
            [secrets("dex-config-client-secrets")],
        ),
        row(
            "dex.config.workload.name must be a DNS subdomain",
            [workload("dex"), workload("dex.example-2.com")],
            [workload("a/b"), workload("-dex"), workload("Dex")],
        ),
        row(
            "dex.config.workload.container must be the name of a container",
            [container("dex"), container("dex-2")],
            [container("a.b"), container("Dex"), container("dex-")],
        ),
    ];
    rows.extend(reference("dex.config.base", &|reference| {
        config(json!({"base": reference}))
    }));
    rows.extend(reference("dex.config.target", &|reference| {
        config(json!({"target": reference}))
    }));
    rows
}

pub(crate) fn limits() -> Vec<Limit> {
    let config = |patch: Value| dex_config(&patch);
    let member = |member: &str, patch: Value| dex_config(&json!({member: patch}));
    let missing = |member: &str| [config(json!({member: null})), config(json!({member: "dex"}))];
    vec![
        Limit {
            field: "spec.dex.type",
            taken: vec![
                create(json!({})),
                create(json!({"dex": {"type": "KubernetesStorage", "grpc": null}})),
                create(config(json!({}))),
            ],
            refused: ["GRPCx", "no such", ""]
                .map(|value| create(json!({"dex": {"type": value}})))
                .into(),
        },
        limit("spec.dex.config.base", [], missing("base")),
        choice("spec.dex.config.base.kind", ["ConfigMap"], |value| {
            config(json!({"base": {"kind": value}}))
        }),
        limit(
            "spec.dex.config.base.name",
            [member("base", json!({"name": long(253)}))],
            [
                member("base", json!({"name": long(254)})),
                member("base", json!({"name": ""})),
                member("base", json!({"name": null})),
            ],
        ),
        limit(
            "spec.dex.config.base.key",
            [member("base", json!({"key": long(253)}))],
            [
                member("base", json!({"key": long(254)})),
                member("base", json!({"key": ""})),
            ],
        ),
        limit("spec.dex.config.target", [], missing("target")),
        choice("spec.dex.config.target.kind", ["ConfigMap"], |value| {
            config(json!({"target": {"kind": value}}))
        }),
        limit(
            "spec.dex.config.target.name",
            [member("target", json!({"name": long(238)}))],
            [
                member("target", json!({"name": long(239)})),
                member("target", json!({"name": ""})),
                member("target", json!({"name": null})),
            ],
        ),
        limit(
            "spec.dex.config.target.key",
            [member("target", json!({"key": long(253)}))],
            [
                member("target", json!({"key": long(254)})),
                member("target", json!({"key": ""})),
            ],
        ),
        limit("spec.dex.config.workload", [], missing("workload")),
        choice("spec.dex.config.workload.kind", ["Deployment"], |value| {
            config(json!({"workload": {"kind": value}}))
        }),
        limit(
            "spec.dex.config.workload.name",
            [member("workload", json!({"name": long(253)}))],
            [
                member("workload", json!({"name": long(254)})),
                member("workload", json!({"name": ""})),
                member("workload", json!({"name": null})),
            ],
        ),
        limit(
            "spec.dex.config.workload.container",
            [member("workload", json!({"container": long(63)}))],
            [
                member("workload", json!({"container": long(64)})),
                member("workload", json!({"container": ""})),
            ],
        ),
    ]
}
