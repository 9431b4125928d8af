//! What is known of a provider once its discovery document and keys were read.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use super::client::SignatureAlgorithm;

/// The endpoints that applications use (OIDC Discovery 1.0, section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// `authorization_endpoint`.
    pub authorization: String,
    /// `token_endpoint`.
    pub token: String,
    /// `userinfo_endpoint`.
    pub userinfo: Option<String>,
    /// `jwks_uri`.
    pub jwks: String,
    /// `end_session_endpoint` (OIDC RP-Initiated Logout 1.0).
    pub end_session: Option<String>,
    /// `revocation_endpoint` (RFC 7009).
    pub revocation: Option<String>,
    /// `device_authorization_endpoint` (RFC 8628).
    pub device_authorization: Option<String>,
    /// `registration_endpoint` (RFC 7591).
    pub registration: Option<String>,
}

/// The parts of a discovery document that decisions need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    /// `issuer`, byte for byte: what tokens carry that browsers bring.
    pub issuer: String,
    /// Where the document was read. Empty where none is: the endpoints are given by hand then.
    pub url: String,
    /// Its endpoints.
    pub endpoints: Endpoints,
    /// `scopes_supported`; none where the document does not say.
    pub scopes: Option<BTreeSet<String>>,
    /// `grant_types_supported`; none where the document does not say.
    pub grant_types: Option<BTreeSet<String>>,
    /// `id_token_signing_alg_values_supported`.
    pub signing_algorithms: BTreeSet<String>,
    /// `token_endpoint_auth_methods_supported`; none where the document does not say (then `client_secret_basic`).
    pub auth_methods: Option<BTreeSet<String>>,
    /// `code_challenge_methods_supported`.
    pub code_challenge_methods: BTreeSet<String>,
}

/// One usable signature key of the issuer's JWKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonWebKeySummary {
    /// `kid`, where given.
    pub key_id: Option<String>,
    /// `kty`: `RSA` or `EC`.
    pub key_type: String,
    /// `alg`, where given.
    pub algorithm: Option<String>,
}

/// All that a client's plan needs to know of its provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderFacts {
    /// `Keycloak`, `Authentik`, `Dex`…
    pub provider_type: &'static str,
    /// The discovery document. Empty, and its issuer too, where each client has its own.
    pub discovery: Discovery,
    /// The issuer of tokens that are fetched inside the cluster, where that is another one (`issuer.internal.issuerURL`).
    pub internal_issuer: Option<String>,
    /// Usable keys.
    pub keys: Vec<JsonWebKeySummary>,
    /// The claim that names a user for people (`preferred_username`).
    pub username_claim: String,
    /// Normalised PEM of the CAs that applications need; empty: public roots.
    pub ca_bundle: String,
    /// The same with the roots that the operator's own system trusts; empty: it has none.
    pub ca_bundle_with_system_roots: Arc<str>,
    /// When the first certificate of that bundle expires.
    pub ca_expiry: Option<Timestamp>,
    /// May delivered endpoints be plain http?
    pub insecure_endpoints_allowed: bool,
    /// The scopes that a client can be given, where the admin API lists them.
    pub scopes: Option<BTreeSet<String>>,
    /// The server's version, where the admin API tells it.
    pub server_version: Option<String>,
}

impl Discovery {
    /// Does the issuer say how it signs ID tokens, and not with this? One that says nothing excludes nothing.
    pub fn excludes(&self, algorithm: SignatureAlgorithm) -> bool {
        !self.signing_algorithms.is_empty() && !self.signing_algorithms.contains(algorithm.as_str())
    }
}

impl ProviderFacts {
    /// The issuer of tokens that browsers bring: `issuer.issuerURL`, or the application's own.
    pub fn public_issuer(&self) -> &str {
        &self.discovery.issuer
    }

    /// The issuer of tokens that are fetched inside: the public one, unless it has an own.
    pub fn internal_issuer(&self) -> &str {
        self.internal_issuer.as_deref().unwrap_or_else(|| self.public_issuer())
    }
}
