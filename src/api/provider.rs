//! `OIDCProvider`: an identity provider, how to reach it, and who may make clients there.

#![expect(
    clippy::duplicated_attributes,
    reason = "the columns of kube's derive have the same type, and are told apart by name"
)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    common::{CertificateAuthorityReference, Condition, LocalName, SecretKeyReference, SecretReference},
    dex_config::DexConfig,
};
use crate::domain::{
    authentik::{EmailVerified, IssuerMode, SubMode},
    certificate::CertificateUse,
    model::Capabilities,
};

/// An identity provider, described once by the platform team.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "oidc-operator.io",
    version = "v1alpha1",
    kind = "OIDCProvider",
    plural = "oidcproviders",
    shortname = "oidcp",
    category = "oidc",
    namespaced,
    status = "OIDCProviderStatus",
    derive = "PartialEq",
    doc = "An identity provider: its issuer, how to reach its admin API, and who may make clients there.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Issuer", type_ = "string", json_path = ".status.issuer.url"),
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
    printcolumn(name = "Clients", type_ = "integer", json_path = ".status.clients.total"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.server.version",
        priority = 1
    ),
    selectable = ".spec.type"
)]
#[serde(rename_all = "camelCase")]
pub struct OIDCProviderSpec {
    /// Which product it is; selects the block below. Immutable.
    #[serde(rename = "type")]
    pub type_: ProviderType,
    /// The issuer, as in OpenShift's Authentication. With `type: Authentik` only its CA: the issuer belongs to the application.
    #[serde(default)]
    pub issuer: Issuer,
    /// Dex: required with `type: Dex`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dex: Option<DexSpec>,
    /// Keycloak: required with `type: Keycloak`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keycloak: Option<KeycloakSpec>,
    /// Authentik: required with `type: Authentik`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentik: Option<AuthentikSpec>,
    /// Dynamic registration: required with `type: DynamicRegistration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_registration: Option<DynamicRegistrationSpec>,
    /// What claims mean, as in OpenShift's Authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_mappings: Option<ClaimMappings>,
    /// Limits of the operator's calls to the admin API.
    #[serde(rename = "adminAPI", default, skip_serializing_if = "Option::is_none")]
    pub admin_api: Option<AdminApi>,
    /// How often everything is looked at anew, changed or not; 10m unless set, spread by up to a tenth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 32))]
    pub resync_interval: Option<String>,
    /// Where plain http, or TLS without client certificate, is tolerated. For development.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_transport: Option<InsecureTransport>,
    /// Who may make clients here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientGrants>,
}

/// The products that the operator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ProviderType {
    /// Dex, <https://dexidp.io>.
    Dex,
    /// Keycloak, <https://www.keycloak.org>.
    Keycloak,
    /// Authentik, <https://goauthentik.io>.
    Authentik,
    /// Any issuer with dynamic client registration (RFC 7591), and its management (RFC 7592) where it has that.
    DynamicRegistration,
    /// Any issuer whose clients are made by hand: credentials come in, outputs go out.
    Static,
}

impl ProviderType {
    /// As in the spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dex => "Dex",
            Self::Keycloak => "Keycloak",
            Self::Authentik => "Authentik",
            Self::DynamicRegistration => "DynamicRegistration",
            Self::Static => "Static",
        }
    }
}

/// The issuer of tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// Exactly what tokens carry in `iss`, compared byte for byte with the discovery document. Immutable. Not with
    /// `type: Authentik`, where each client shows its own.
    #[serde(rename = "issuerURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub issuer_url: Option<String>,
    /// The discovery document, where it lies elsewhere than below `issuerURL`. It names `issuerURL` all the same.
    #[serde(rename = "discoveryURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub discovery_url: Option<String>,
    /// ConfigMap in this namespace with the CA of the issuer, in key `ca-bundle.crt`. Unset: the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_certificate_authority: Option<LocalName>,
    /// How the operator, and applications inside the cluster, reach the issuer, where that is not the public way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<InternalIssuer>,
    /// Endpoints by hand, for an issuer without a discovery document that can be read. None is read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<IssuerEndpoints>,
}

/// What a discovery document would say (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerEndpoints {
    /// Where users log in.
    #[schemars(length(min = 1, max = 2048))]
    pub authorization: String,
    /// Where codes become tokens.
    #[schemars(length(min = 1, max = 2048))]
    pub token: String,
    /// Where claims can be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub userinfo: Option<String>,
    /// Where the keys are.
    #[schemars(length(min = 1, max = 2048))]
    pub jwks: String,
    /// Where sessions end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub end_session: Option<String>,
}

impl Issuer {
    /// The issuer of tokens that are fetched inside the cluster, where that is another one.
    pub fn internal_issuer_url(&self) -> Option<&str> {
        self.internal.as_ref()?.issuer_url.as_deref()
    }
}

/// The way to the issuer inside the cluster. Tokens carry `issuerURL` all the same, unless it has an `issuerURL` of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InternalIssuer {
    /// Exactly what tokens that are fetched inside carry in `iss`, only where that is really another one: then the discovery document
    /// names it.
    #[serde(rename = "issuerURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub issuer_url: Option<String>,
    /// The discovery document; below the issuer unless set.
    #[serde(rename = "discoveryURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub discovery_url: Option<String>,
    /// CA of the certificate that is shown inside the cluster; that of the issuer unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthorityReference>,
}

/// What claims mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimMappings {
    /// The name of a user.
    pub username: UsernameClaimMapping,
}

/// Where the name of a user stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsernameClaimMapping {
    /// The claim that formats tell applications to show; preferred_username unless set, with Dex name.
    #[schemars(length(min = 1, max = 256))]
    pub claim: String,
}

impl OIDCProviderSpec {
    /// The claim that names a user for people. Dex has no `preferred_username` for most of its connectors.
    pub fn username_claim(&self) -> &str {
        match &self.claim_mappings {
            Some(mappings) => &mappings.username.claim,
            None if self.type_ == ProviderType::Dex => "name",
            None => "preferred_username",
        }
    }
}

/// How Dex is managed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DexSpec {
    /// By which interface. Immutable.
    #[serde(rename = "type")]
    pub type_: DexType,
    /// Dex's gRPC API: required with `type: GRPC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc: Option<DexGrpc>,
    /// Dex's configuration file: required with `type: Config`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<DexConfig>,
}

/// Interfaces to Dex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DexType {
    /// The gRPC API, with mutual TLS.
    #[serde(rename = "GRPC")]
    Grpc,
    /// The OAuth2Client objects of Dex's Kubernetes storage, in the namespace of the OIDCProvider.
    KubernetesStorage,
    /// The configuration file, and a roll-out of Dex whenever it changes.
    Config,
}

/// Dex's gRPC API (`grpc:` in its configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DexGrpc {
    /// `host:port`; the host must be in Dex's gRPC certificate.
    #[schemars(length(min = 3, max = 260))]
    pub address: String,
    /// CA of Dex's gRPC certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthorityReference>,
    /// Secret of type `kubernetes.io/tls` with the operator's client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<SecretReference>,
}

/// How Keycloak is managed: by its admin REST API, one realm a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeycloakSpec {
    /// Base address of the server, without `/admin`; with Keycloak's `http-relative-path` where it has one.
    #[serde(rename = "adminURL")]
    #[schemars(length(min = 1, max = 512))]
    pub admin_url: String,
    /// The realm whose clients are managed. Immutable.
    #[schemars(length(min = 1, max = 255))]
    pub realm: String,
    /// The realm where the operator logs in; `realm` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub auth_realm: Option<String>,
    /// CA of the server's certificate at `adminURL`. Unset: the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthorityReference>,
    /// Who the operator is at Keycloak: an account that may manage the realm's clients (`manage-clients`).
    pub credentials: KeycloakCredentials,
}

/// The operator's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeycloakCredentials {
    /// ClientCredentials (preferred), or Password.
    #[serde(rename = "type")]
    pub type_: KeycloakCredentialsType,
    /// A client with a service account: required with `type: ClientCredentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_credentials: Option<KeycloakClientCredentials>,
    /// A user: required with `type: Password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<KeycloakPassword>,
}

/// Sorts of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum KeycloakCredentialsType {
    /// The service account of a client (RFC 6749, section 4.4).
    ClientCredentials,
    /// A user with a password, through the client `admin-cli` (RFC 6749, section 4.3).
    Password,
}

/// A client with a service account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeycloakClientCredentials {
    /// Its client ID.
    #[serde(rename = "clientID")]
    #[schemars(length(min = 1, max = 255))]
    pub client_id: String,
    /// Its secret.
    pub client_secret_ref: SecretKeyReference,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeycloakPassword {
    /// The name.
    pub username_secret_ref: SecretKeyReference,
    /// The password.
    pub password_secret_ref: SecretKeyReference,
}

/// How clients are registered: the server names them, and makes their secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DynamicRegistrationSpec {
    /// The initial access token (RFC 7591, section 1.2). Unset: the server registers whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_access_token_secret_ref: Option<SecretKeyReference>,
    /// The registration endpoint, where the discovery document does not name the one to use.
    #[serde(rename = "registrationURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub registration_url: Option<String>,
}

/// How authentik is managed: by its REST API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthentikSpec {
    /// What browsers reach: issuers and endpoints begin with it. With the path that authentik is served under, where it has
    /// one. Immutable.
    #[serde(rename = "publicURL")]
    #[schemars(length(min = 1, max = 512))]
    pub public_url: String,
    /// What the operator reaches, without `/api/v3`; `publicURL` unless set.
    #[serde(rename = "adminURL", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub admin_url: Option<String>,
    /// CA of the server's certificate at `adminURL`. Unset: the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthorityReference>,
    /// The operator's token, of intent `api`.
    pub token_secret_ref: SecretKeyReference,
    /// Slug of the flow that asks users whether an application may know who they are;
    /// `default-provider-authorization-implicit-consent` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub authorization_flow: Option<String>,
    /// Slug of the flow that logs users out of an application; `default-provider-invalidation-flow` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub invalidation_flow: Option<String>,
    /// Name of the key pair that signs tokens; `authentik Self-signed Certificate` unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub signing_key: Option<String>,
    /// What `sub` is; `hashed_user_id` unless set. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_mode: Option<SubMode>,
    /// What `iss` is; `per_provider` unless set. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_mode: Option<IssuerMode>,
    /// What `email_verified` is; Default unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<EmailVerified>,
}

impl AuthentikSpec {
    /// What the operator reaches.
    pub fn admin_url(&self) -> &str {
        self.admin_url.as_deref().unwrap_or(&self.public_url)
    }
}

/// Limits of the operator's calls to one provider's admin API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdminApi {
    /// Calls under way at once; 8 unless set, with Authentik 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 64))]
    pub max_in_flight: Option<i32>,
    /// Calls begun in a second, on average; 50 unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub requests_per_second: Option<i32>,
    /// Deadline of one call; 30s unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"), length(max = 32))]
    pub timeout: Option<String>,
}

/// What may be insecure. A standing warning in the condition `TransportSecure`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InsecureTransport {
    /// The parts.
    #[schemars(length(min = 1, max = 3))]
    pub allowed: Vec<InsecurePart>,
}

/// Parts whose transport may be insecure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum InsecurePart {
    /// The admin API: plain text; with Dex also TLS without client certificate.
    AdminAPI,
    /// The issuer and its discovery document over plain http.
    Discovery,
    /// Endpoints, those of the discovery document or given by hand, over plain http.
    Endpoints,
}

/// Who may make clients at a provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientGrants {
    /// The namespaces whose OIDCClients are served; only the provider's own unless set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<AllowedNamespaces>,
}

/// A choice of namespaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllowedNamespaces {
    /// Same, All or Selector.
    pub from: NamespacesFrom,
    /// Labels of the namespaces: required with Selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How namespaces are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// The provider's own.
    Same,
    /// Every one.
    All,
    /// Those whose labels match.
    Selector,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OIDCProviderStatus {
    /// The generation of the spec that this status speaks of.
    pub observed_generation: i64,
    /// The issuer, as its discovery document and keys show it. With Authentik each OIDCClient has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerStatus>,
    /// The server behind the admin API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerStatus>,
    /// The certificates that it depends on, as last seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStatus>,
    /// What this provider can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// The OIDCClients that refer to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clients: Option<ClientCounts>,
    /// The last value of the annotation `oidc-operator.io/reconcile-requested` that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reconcile_request: Option<String>,
    /// DiscoveryValid, AdminAPIReady, TransportSecure, CertificatesValid, Ready.
    pub conditions: Vec<Condition>,
}

/// The issuer, as found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerStatus {
    /// The issuer of tokens.
    pub url: String,
    /// The issuer of tokens that are fetched inside, where that is another one.
    #[serde(rename = "internalURL", skip_serializing_if = "Option::is_none")]
    pub internal_url: Option<String>,
    /// Where users log in.
    pub authorization_endpoint: String,
    /// Where codes become tokens.
    pub token_endpoint: String,
    /// Where claims can be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// Where the keys are.
    #[serde(rename = "jwksURI")]
    pub jwks_uri: String,
    /// Where sessions end, if the issuer has that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_session_endpoint: Option<String>,
    /// Usable signature keys.
    pub keys: Vec<KeyStatus>,
    /// When the first certificate of `issuerCertificateAuthority` expires (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority_expires: Option<String>,
}

/// A certificate, as seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// What it is for.
    #[serde(rename = "use")]
    pub use_: CertificateUse,
    /// Its subject; empty where it has alternative names only.
    pub subject: String,
    /// The first moment at which it is valid (RFC 3339).
    pub not_before: String,
    /// The last moment at which it is valid (RFC 3339).
    pub not_after: String,
}

/// A signature key of the issuer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// `kid`.
    #[serde(rename = "keyID", skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// `kty`.
    pub key_type: String,
    /// `alg`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
}

/// The server behind the admin API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// The product.
    pub product: String,
    /// Its version, where it tells it to the operator's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Version of its admin API, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<i32>,
}

/// OIDCClients that refer to a provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCounts {
    /// All of them, as counted at the last pass over the provider.
    pub total: i32,
}
