//! Dex by its configuration file (`spec.dex.config` of an OIDCProvider).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Dex's configuration file, and what reads it. All of it in the provider's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DexConfig {
    /// The platform's part of the configuration. The operator reads it only; a Secret must carry the label
    /// `oidc-operator.io/credential: dex-config`, and with it a change is followed at once.
    pub base: DexConfigBase,
    /// The configuration that Dex reads: `base` with the clients. The operator makes it, of the same kind as `base`.
    pub target: DexConfigTarget,
    /// What runs Dex. It is rolled out whenever the target, or a client secret, changes.
    pub workload: DexWorkload,
}

/// Where a configuration is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DexConfigKind {
    /// A ConfigMap.
    #[default]
    ConfigMap,
    /// A Secret.
    Secret,
}

impl DexConfigKind {
    /// As in the spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// The platform's part of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DexConfigBase {
    /// ConfigMap (the default) or Secret.
    #[serde(default)]
    pub kind: DexConfigKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it; default `config.yaml`.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The configuration that Dex reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DexConfigTarget {
    /// ConfigMap (the default) or Secret.
    #[serde(default)]
    pub kind: DexConfigKind,
    /// Name of the object. The Secret with the client secrets is called so, with `-client-secrets` after it.
    #[schemars(length(min = 1, max = 238))]
    pub name: String,
    /// Key in it; default `config.yaml`.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

impl DexConfigTarget {
    /// Name of the Secret with the client secrets.
    pub fn keys_name(&self) -> String {
        format!("{}-client-secrets", self.name)
    }
}

/// Kinds of workloads that run Dex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DexWorkloadKind {
    /// A Deployment.
    #[default]
    Deployment,
}

/// What runs Dex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DexWorkload {
    /// Deployment.
    #[serde(default)]
    pub kind: DexWorkloadKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The container that is Dex; default `dex`.
    #[serde(default = "default_container")]
    #[schemars(length(min = 1, max = 63))]
    pub container: String,
}

fn default_key() -> String {
    "config.yaml".to_owned()
}

fn default_container() -> String {
    "dex".to_owned()
}
