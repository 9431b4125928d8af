//! What formats and templates may show of a client: one place that knows where each value comes from.

use super::{Generated, Material, ca_bundle};
use crate::{
    api::{client::CaBundlePolicy, common::CA_BUNDLE_KEY},
    domain::{ClientSecret, Pkce, PrivateKey, discovery::well_known, facts::Endpoints},
};

/// Where applications mount the ConfigMap unless `outputs.mountPath` says otherwise.
pub const DEFAULT_MOUNT_PATH: &str = "/etc/oidc";

/// The PKCE method of OAuth 2.1 (RFC 7636, section 4.2).
const S256: &str = "S256";

/// The values of one client. Empty text: there is none.
pub struct Values<'a> {
    /// `Keycloak`, `Authentik`, `Dex`, …
    pub provider: &'a str,
    /// The OAuth client identifier.
    pub client_id: &'a str,
    /// The client secret; empty for a client that has none.
    pub client_secret: &'a str,
    /// The private key in PEM; empty for a client that has none.
    pub private_key: &'a str,
    /// The name of that key, which an assertion's header carries (`kid`).
    pub key_id: String,
    /// Exactly what tokens carry in `iss`.
    pub issuer: &'a str,
    /// What tokens carry that are fetched inside the cluster, where that is another issuer; else empty.
    pub internal_issuer: &'a str,
    /// What tokens carry that are fetched inside the cluster.
    pub issuer_inside: &'a str,
    /// The discovery document; empty where the provider has none that can be reached.
    pub discovery_url: &'a str,
    /// The endpoints that applications use.
    pub endpoints: &'a Endpoints,
    /// What the application must ask for.
    pub scopes: &'a [String],
    /// Where codes may be sent; the first one is the one that formats show.
    pub redirect_uris: &'a [String],
    /// The claim that names a user for people.
    pub username_claim: &'a str,
    /// The CA bundle in PEM; empty: the system's roots are meant.
    pub ca_pem: &'a str,
    /// Path of the bundle where the application mounts the ConfigMap; empty without a bundle.
    pub ca_file: String,
    /// Does the bundle hold the system's roots too, so that it can stand in their place?
    pub with_system_roots: bool,
    /// Are there applications that may be told of plain http?
    pub insecure_endpoints: bool,
    /// Shall the application send PKCE challenges?
    pub pkce: bool,
    /// Values that the operator made up for this client.
    pub generated: &'a Generated,
    /// Is the document of `discovery_url` the one below the issuer, which every library finds by itself?
    pub standard_discovery: bool,
}

impl<'a> Values<'a> {
    /// Collects them.
    pub fn new(material: &Material<'a>) -> Self {
        let (desired, facts) = (material.desired, material.facts);
        let discovery = &facts.discovery;
        let mount_path = material
            .spec
            .and_then(|outputs| outputs.mount_path.as_deref())
            .unwrap_or(DEFAULT_MOUNT_PATH);
        let policy = material
            .spec
            .and_then(|outputs| outputs.config_map.as_ref()?.ca_bundle)
            .unwrap_or_default();
        let credential = material.secret.filter(|_| desired.has_secret());
        let key = credential.filter(|_| desired.has_key());
        let ca_pem = ca_bundle(facts, policy);
        Self {
            provider: facts.provider_type,
            client_id: &desired.client_id,
            client_secret: credential
                .filter(|_| !desired.has_key())
                .map_or("", ClientSecret::expose),
            private_key: key.map_or("", ClientSecret::expose),
            key_id: key
                .and_then(PrivateKey::of)
                .map_or_else(String::new, |key| key.public().key_id()),
            issuer: facts.public_issuer(),
            internal_issuer: facts.internal_issuer.as_deref().unwrap_or_default(),
            issuer_inside: facts.internal_issuer(),
            discovery_url: &discovery.url,
            endpoints: &discovery.endpoints,
            scopes: material.requested_scopes,
            redirect_uris: &desired.redirect_uris,
            username_claim: &facts.username_claim,
            ca_pem,
            ca_file: if ca_pem.is_empty() {
                String::new()
            } else {
                format!("{}/{CA_BUNDLE_KEY}", mount_path.trim_end_matches('/'))
            },
            with_system_roots: policy == CaBundlePolicy::WithSystemRoots,
            insecure_endpoints: facts.insecure_endpoints_allowed,
            pkce: desired.pkce == Pkce::Required || discovery.code_challenge_methods.contains(S256),
            generated: material.generated,
            standard_discovery: discovery.url == well_known(&discovery.issuer),
        }
    }

    /// The issuer without a slash at its end, as some applications want it.
    pub fn issuer_no_slash(&self) -> &'a str {
        self.issuer.trim_end_matches('/')
    }

    /// The first redirect URI.
    pub fn redirect_uri(&self) -> &'a str {
        self.redirect_uris.first().map_or("", String::as_str)
    }

    /// A value that the operator made up.
    pub fn generated(&self, key: &str) -> &'a str {
        self.generated.get(key).unwrap_or_default()
    }
}
