//! Parts that both kinds share.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reason::Reason;

/// One aspect of an object's state (Kubernetes API conventions, `metav1.Condition`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Type of condition in CamelCase.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// The generation of the spec that this condition speaks of.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub observed_generation: i64,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// Why, in one CamelCase word; names the Event and labels the metric too.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// Why, for people: what is wrong, where, and what to do.
    #[schemars(length(max = 32768))]
    pub message: String,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known (yet, or any more).
    Unknown,
}

impl Condition {
    /// Builds a condition that changed at `now`.
    pub fn new(
        type_: &str,
        status: ConditionStatus,
        reason: Reason,
        message: impl Into<String>,
        now: Timestamp,
    ) -> Self {
        Self {
            type_: type_.to_owned(),
            status,
            observed_generation: 0,
            last_transition_time: Time(now),
            reason: reason.as_str().to_owned(),
            message: message.into(),
        }
    }
}

/// A Secret in the same namespace. It must carry the label `oidc-operator.io/credential: provider`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// A key of a Secret in the same namespace. The Secret must carry the label `oidc-operator.io/credential: provider`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Where CA certificates are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CertificateAuthorityKind {
    /// A ConfigMap; with the label `oidc-operator.io/certificate-authority: "true"` a change is followed at once.
    #[default]
    ConfigMap,
    /// A Secret; it must carry the label `oidc-operator.io/certificate-authority: "true"` or `oidc-operator.io/credential:
    /// provider`.
    Secret,
}

/// CA certificates in PEM, kept in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthorityReference {
    /// ConfigMap (the default) or Secret.
    #[serde(default)]
    pub kind: CertificateAuthorityKind,
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it; default `ca-bundle.crt`.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The key of a CA bundle where none is named, as on OpenShift.
pub const CA_BUNDLE_KEY: &str = "ca-bundle.crt";

/// The second name of the CA bundle: what most charts mount.
pub const CA_KEY: &str = "ca.crt";

pub(super) fn default_ca_key() -> String {
    CA_BUNDLE_KEY.to_owned()
}

/// A name in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalName {
    /// The name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
