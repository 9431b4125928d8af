//! `OIDCClient`: an OAuth client that an application asks for, and where it finds the credentials.

#![expect(
    clippy::duplicated_attributes,
    reason = "the columns of kube's derive have the same type, and are told apart by name"
)]

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::Condition;
use crate::domain::{
    ResourceName,
    client::{ClaimToken, ClientType, GrantType, Pkce, SignatureAlgorithm, TokenEndpointAuthMethod},
    model::{Enforcement, RotationCapability},
    names::default_client_id,
};

/// An OAuth client, described by the application team beside its application.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oidc-operator.io",
    version = "v1alpha1",
    kind = "OIDCClient",
    plural = "oidcclients",
    shortname = "oidcc",
    category = "oidc",
    namespaced,
    status = "OIDCClientStatus",
    derive = "PartialEq",
    doc = "An OAuth client at an OIDCProvider. Its credentials and CA bundle are written beside it.",
    printcolumn(name = "Provider", type_ = "string", json_path = ".status.provider"),
    printcolumn(name = "Client ID", type_ = "string", json_path = ".status.clientID"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.binding.name"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Issuer", type_ = "string", json_path = ".status.issuer", priority = 1),
    selectable = ".spec.providerRef.name"
)]
#[serde(rename_all = "camelCase")]
pub struct OIDCClientSpec {
    /// The OIDCProvider. Immutable.
    pub provider_ref: ProviderReference,
    /// The OAuth client identifier; `<namespace>_<name>` unless set. Immutable.
    #[serde(rename = "clientID", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 150))]
    pub client_id: Option<String>,
    /// Confidential (it can keep a secret) or Public.
    #[serde(rename = "type", default)]
    pub type_: ClientType,
    /// What users see on the login page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub display_name: Option<String>,
    /// What it is, for administrators of the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub description: Option<String>,
    /// The application's start page.
    #[serde(rename = "homepageURI", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub homepage_uri: Option<String>,
    /// A picture for the login page.
    #[serde(rename = "logoURI", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub logo_uri: Option<String>,
    /// Where codes may be sent. The first one is the one that output formats show.
    #[serde(rename = "redirectURIs", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)))]
    pub redirect_uris: Option<Vec<String>>,
    /// Where browsers may be sent after logout; nowhere unless set.
    #[serde(rename = "postLogoutRedirectURIs", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)))]
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// Origins of browser code that calls the provider (CORS), listed one by one; none unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 255)))]
    pub web_origins: Option<Vec<String>>,
    /// OAuth's registered names; authorization_code and refresh_token unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 5))]
    pub grant_types: Option<Vec<GrantType>>,
    /// How the application authenticates at the token endpoint; client_secret_basic unless set, none for Public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<TokenEndpointAuthMethod>,
    /// Whether the application sends PKCE challenges (S256); Required for Public, Optional for Confidential unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkce: Option<Pkce>,
    /// The signature that the application expects on ID tokens; whatever the issuer uses unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_signed_response_alg: Option<SignatureAlgorithm>,
    /// What the application asks for; openid, profile, email unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub scopes: Option<Vec<String>>,
    /// What the application may also ask for; nothing unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub optional_scopes: Option<Vec<String>>,
    /// How the application hears of logouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logout: Option<Logout>,
    /// How long tokens live; as the provider has it unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_lifetimes: Option<TokenLifetimes>,
    /// Custom claims in tokens. Refused where the provider cannot make them (Dex).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub claims: Option<Vec<Claim>>,
    /// BestEffort, or Strict: refuse where the provider would allow more than is said here.
    #[serde(default)]
    pub enforcement: EnforcementPolicy,
    /// Where the client secret comes from; the operator makes one unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<ClientCredentialsSpec>,
    /// What is written beside the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Outputs>,
    /// Workloads of this namespace that are restarted when what the outputs hold changes. Each consents by the annotation
    /// `oidc-operator.io/restart-on`, and the operator must have been given the rights (`--enable-rollout-restart`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8))]
    pub rollout_restart: Option<Vec<WorkloadReference>>,
    /// What to do where a client of this ID exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
    /// What becomes of the client at the provider, and of the outputs, when this object is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// An OIDCProvider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace; the client's own unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

impl OIDCClientSpec {
    /// The client ID of the OIDCClient `name` with this spec.
    pub fn client_id_of(&self, name: &ResourceName) -> String {
        self.client_id.clone().unwrap_or_else(|| default_client_id(name))
    }

    /// By what rule the operator's secret is rotated, where it is.
    pub fn rotation(&self) -> Option<&Rotation> {
        self.credentials.as_ref()?.rotation.as_ref()
    }

    /// The workloads that shall follow the outputs.
    pub fn rollout_restart(&self) -> &[WorkloadReference] {
        self.rollout_restart.as_deref().unwrap_or_default()
    }

    /// The user's own Secret, where a confidential client has one. A public client has no secret, whatever the spec says.
    pub fn existing_secret_ref(&self) -> Option<&ExistingSecretReference> {
        let credentials = self.credentials.as_ref()?;
        (self.type_ == ClientType::Confidential)
            .then_some(credentials.existing_secret_ref.as_ref())
            .flatten()
    }
}

impl ProviderReference {
    /// The provider that is meant, seen from `namespace`.
    pub fn seen_from(&self, namespace: &str) -> ResourceName {
        ResourceName::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }
}

/// How the application hears of logouts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Logout {
    /// BackChannel, or FrontChannel.
    #[serde(rename = "type")]
    pub type_: LogoutType,
    /// Where the application listens.
    #[schemars(length(min = 1, max = 1024))]
    pub uri: String,
    /// Whether the application needs to be told which session ended (`sid`).
    #[serde(default = "default_session_required")]
    pub session_required: bool,
}

fn default_session_required() -> bool {
    true
}

/// Ways of logout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogoutType {
    /// The provider sends a logout token (OpenID Connect Back-Channel Logout 1.0).
    BackChannel,
    /// The user's browser loads the address in a frame (OpenID Connect Front-Channel Logout 1.0).
    FrontChannel,
}

/// How long tokens live, in whole seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenLifetimes {
    /// Access tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 32))]
    pub access_token: Option<String>,
    /// Refresh tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 32))]
    pub refresh_token: Option<String>,
}

/// A custom claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Name of the claim.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Where its value comes from; selects one block below, where there is one.
    #[serde(rename = "type")]
    pub type_: ClaimType,
    /// With `type: Groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupsClaim>,
    /// With `type: Constant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<ConstantClaim>,
    /// With `type: UserAttribute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_attribute: Option<UserAttributeClaim>,
    /// The tokens that carry it; all unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 3))]
    pub tokens: Option<Vec<ClaimToken>>,
}

/// Sources of claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClaimType {
    /// The user's groups.
    Groups,
    /// The same value for everybody.
    Constant,
    /// An attribute of the user.
    UserAttribute,
    /// The user's roles that hold at the whole provider (with Keycloak: in the realm).
    RealmRoles,
    /// The user's roles that belong to this very client.
    ClientRoles,
}

/// How groups are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupsClaim {
    /// Name, or FullPath (`/a/b`).
    pub path: GroupPath,
}

/// Forms of a group's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum GroupPath {
    /// The last part.
    Name,
    /// With its parents.
    FullPath,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConstantClaim {
    /// The value.
    #[schemars(length(max = 1024))]
    pub value: String,
}

/// A user's attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserAttributeClaim {
    /// Its name at the provider.
    #[schemars(length(min = 1, max = 256))]
    pub attribute: String,
}

/// Where the client secret comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCredentialsSpec {
    /// A Secret of your own with the client secret, or with the private key (PKCS#8, PEM). It is followed when it changes, and never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing_secret_ref: Option<ExistingSecretReference>,
    /// When the operator's secret is replaced by a new one. Never by itself unless set; the annotation
    /// `oidc-operator.io/rotate` asks for it at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// When a client secret is rotated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// How old a secret may become. Clients that were made together rotate spread over the last tenth of it.
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 32))]
    pub interval: String,
    /// How long the former secret shall stay valid beside the new one, where the provider can do that. None unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 32))]
    pub overlap: Option<String>,
    /// The part of the day in which rotations begin; any time unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<RotationWindow>,
}

/// A part of each day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RotationWindow {
    /// Time of day, `HH:MM`.
    #[schemars(regex(pattern = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"), length(max = 5))]
    pub start: String,
    /// How long it is open.
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 32))]
    pub duration: String,
    /// Name in the IANA time zone database (`Europe/Berlin`); UTC unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// A key of a Secret in the same namespace, made by its users (by hand, External Secrets, Sealed Secrets). The Secret must
/// carry the label `oidc-operator.io/credential: client`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExistingSecretReference {
    /// Name of the Secret. Not that of the output Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in it; default `clientSecret`.
    #[serde(default = "default_existing_secret_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_existing_secret_key() -> String {
    "clientSecret".to_owned()
}

/// What to do where the provider would allow more than the spec says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EnforcementPolicy {
    /// Go on, and say so in `status.enforcement`.
    #[default]
    BestEffort,
    /// Refuse the client.
    Strict,
}

/// What is written beside the application.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outputs {
    /// Ready-made sets of keys, several at once; default unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 6))]
    pub formats: Option<Vec<OutputFormat>>,
    /// Where the application mounts the ConfigMap, for file names inside of values; /etc/oidc unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub mount_path: Option<String>,
    /// The Secret with the credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretOutput>,
    /// The ConfigMap with the CA bundle and the endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapOutput>,
}

/// Ready-made sets of keys: docs/outputs.md shows each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputFormat {
    /// Service Binding's and Spring Cloud Bindings' `oauth2`.
    Default,
    /// Environment variables of twelve-factor applications.
    Env,
    /// oauth2-proxy and its chart.
    Oauth2Proxy,
    /// Dploy's chart.
    Dploy,
    /// Qualytics and its chart.
    Qualytics,
    /// OpenShift's `Authentication`.
    Openshift,
}

/// A key of the user's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// The key; none that a format writes.
    #[schemars(length(min = 1, max = 200))]
    pub key: String,
    /// Its value: a template (docs/outputs.md has the language and the names).
    #[schemars(length(min = 1, max = 16384))]
    pub value: String,
}

/// A value that the operator makes up, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratedKey {
    /// The key; none that a format writes.
    #[schemars(length(min = 1, max = 200))]
    pub key: String,
    /// How many characters; 32 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 16, max = 1024))]
    pub length: Option<i32>,
    /// Which characters; Alphanumeric unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alphabet: Option<Alphabet>,
}

/// Characters of generated values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Alphabet {
    /// Letters and digits.
    #[default]
    Alphanumeric,
    /// Digits and a to f.
    Hex,
    /// Letters, digits, `-` and `_` (RFC 4648, section 5).
    Base64URL,
}

/// Types of the output Secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SecretType {
    /// Any keys.
    #[default]
    Opaque,
    /// Service Binding's `oauth2`.
    #[serde(rename = "servicebinding.io/oauth2")]
    ServiceBindingOauth2,
}

impl SecretType {
    /// As in the Secret's `type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opaque => "Opaque",
            Self::ServiceBindingOauth2 => "servicebinding.io/oauth2",
        }
    }
}

/// The output Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretOutput {
    /// Its name; `<name>-oidc` unless set. A new name moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 248))]
    pub name: Option<String>,
    /// Its type; Opaque unless set. A new type makes it anew, with a new client secret.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<SecretType>,
    /// Keys of your own, rendered from templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub templates: Option<Vec<Template>>,
    /// Values that the operator makes up once, and keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub generate: Option<Vec<GeneratedKey>>,
    /// Labels to put on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32), extend("additionalProperties" = {"type": "string", "maxLength": 63}))]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations to put on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32), extend("additionalProperties" = {"type": "string", "maxLength": 4096}))]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The output ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapOutput {
    /// Its name; `<name>-oidc` unless set. A new name moves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Keys of your own, rendered from templates. Nothing secret is bound in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub templates: Option<Vec<Template>>,
    /// Which CA certificates are in it; IssuerOnly unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundlePolicy>,
}

/// Which CA certificates applications are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CaBundlePolicy {
    /// Those that the delivered endpoints need; no key where public ones do.
    #[default]
    IssuerOnly,
    /// Those, and the roots that the operator's own system trusts: for applications that take one file for all connections.
    WithSystemRoots,
}

/// A workload in the namespace of the OIDCClient.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadReference {
    /// Deployment, StatefulSet or DaemonSet.
    pub kind: WorkloadKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl std::fmt::Display for WorkloadReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}

/// Kinds of workloads that Kubernetes rolls out anew when their Pod template changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
}

/// What to do where a client of this ID exists already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Adoption {
    /// Never: a client that this operator did not make for this object is refused.
    pub policy: AdoptionPolicy,
}

/// Adoption policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AdoptionPolicy {
    /// Refuse.
    Never,
}

/// What becomes of the client when its object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The client is deleted at the provider, the outputs go with the object.
    #[default]
    Delete,
    /// Both stay; an OIDCClient of the same name takes them back.
    Retain,
}

/// What the operator found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OIDCClientStatus {
    /// The generation of the spec that this status speaks of.
    pub observed_generation: i64,
    /// The provider, as `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The OAuth client identifier.
    #[serde(rename = "clientID", skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The issuer of this client's tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The provider's identifiers of the client; present while something of ours is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteStatus>,
    /// What unset fields became.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedFields>,
    /// Who enforces what, by field of the spec.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub enforcement: BTreeMap<String, Enforcement>,
    /// The Secret, for Service Binding (servicebinding.io, Provisioned Service).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// About the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<CredentialsStatus>,
    /// With dynamic registration: what is worth knowing of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration: Option<RegistrationStatus>,
    /// The last value of the annotation `oidc-operator.io/reconcile-requested` that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reconcile_request: Option<String>,
    /// ProviderResolved, Accepted, Provisioned, CredentialsPublished, CredentialsVerified, Ready; Reconciling and
    /// Stalled while they hold; WorkloadsCurrent with `rolloutRestart`.
    pub conditions: Vec<Condition>,
}

/// The provider's identifiers of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteStatus {
    /// With Dex: the client ID. With Keycloak: the UUID of the client.
    pub id: String,
}

/// A client that the server named (RFC 7591).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RegistrationStatus {
    /// `software_id` of attempts whose answer was lost, the newest: each may have left a client at the server whose secret nobody
    /// holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub possible_orphans: Vec<String>,
    /// What the server registered otherwise than the spec asks for: field of the spec, and what it is there. Empty: not set.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub altered: BTreeMap<String, String>,
}

/// What unset fields became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResolvedFields {
    /// Grants.
    pub grant_types: Vec<GrantType>,
    /// Authentication at the token endpoint.
    pub token_endpoint_auth_method: TokenEndpointAuthMethod,
    /// PKCE.
    pub pkce: Pkce,
    /// The scopes that formats write, with `offline_access` where refresh tokens need it.
    pub scopes: Vec<String>,
}

/// Service Binding's Provisioned Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Binding {
    /// Name of the Secret.
    pub name: String,
}

/// About the credentials. Never a secret, nor a hash of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialsStatus {
    /// How a new secret takes effect at this provider. `Overlap` only once that was seen with this client.
    pub rotation_capability: RotationCapability,
    /// When the current secret was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rotation: Option<String>,
    /// When it is rotated next, by `rotation.interval` and `rotation.window`, or before the provider lets it expire (RFC 3339).
    /// Absent: not by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<String>,
    /// Until when the secret before the current one is, or was, valid beside it (RFC 3339); tried after the rotation. Absent: it
    /// ended with the rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_valid_until: Option<String>,
    /// With `private_key_jwt`, while the provider takes the key before the current one too: its id (RFC 7638).
    #[serde(default, rename = "previousKeyID", skip_serializing_if = "Option::is_none")]
    pub previous_key_id: Option<String>,
    /// The last value of the annotation `oidc-operator.io/rotate` that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rotate_request: Option<String>,
    /// The last try of the written Secret at the provider; what it said is in the condition CredentialsVerified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_proof: Option<ProofStatus>,
}

/// A proof of credentials.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProofStatus {
    /// When (RFC 3339).
    pub time: String,
    /// uid of the Secret that was tried.
    #[serde(rename = "secretUID")]
    pub secret_uid: String,
    /// Its rotation attempt, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<String>,
    /// With `existingSecretRef`: the resourceVersion of the user's Secret that the secret was read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}
