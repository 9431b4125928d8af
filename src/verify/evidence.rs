//! What was found, before anybody says what it means. No secret is in it.

use std::{collections::BTreeSet, net::SocketAddr};

use super::authorization::Authorization;
use crate::{
    api::OIDCClient,
    domain::{
        Discovery, IdpError, IssuerError, JsonWebKeySummary, Proof, ResourceName,
        certificate::Validity,
        pem::{CaBundle, PemError},
    },
};

/// What was found of one OIDCClient.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Its name.
    pub name: ResourceName,
    /// The object.
    pub client: Result<Box<OIDCClient>, Unread>,
    /// Its outputs; `None`: the object could not be read.
    pub outputs: Option<Outputs>,
    /// Its issuer; `None`: nobody knows which, or the CA could not be read.
    pub issuer: Option<IssuerEvidence>,
}

/// Why an object could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// There is none of that name.
    NotFound,
    /// Whoever runs this may not read it. Kubernetes' words.
    Forbidden(String),
    /// Kubernetes could not be asked.
    Failed(String),
}

/// The Secret and the ConfigMap.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Name of the Secret.
    pub secret_name: String,
    /// The Secret, without its secrets.
    pub secret: Result<SecretEvidence, Unread>,
    /// Name of the ConfigMap.
    pub config_map_name: String,
    /// The ConfigMap.
    pub config_map: Result<ConfigMapEvidence, Unread>,
}

/// What can be told of the Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretEvidence {
    /// Its keys.
    pub keys: Vec<String>,
    /// `client-id`, where it has that key.
    pub client_id: Option<String>,
    /// `issuer-uri`, where it has that key.
    pub issuer: Option<String>,
    /// Was the client secret found in it?
    pub has_client_secret: bool,
    /// Is it the one that the operator wrote (by its digest)?
    pub is_as_written: bool,
}

/// What the ConfigMap delivers.
#[derive(Clone, Debug, Default)]
pub struct ConfigMapEvidence {
    /// Its keys.
    pub keys: Vec<String>,
    /// `issuer-uri`, where it has that key.
    pub issuer: Option<String>,
    /// `jwtAudience`, where it has that key.
    pub audience: Option<String>,
    /// The CA bundle; `None`: it delivers none, and public CAs are meant.
    pub ca: Option<Result<CaBundle, PemError>>,
}

/// The issuer, as far as it could be asked.
#[derive(Clone, Debug)]
pub struct IssuerEvidence {
    /// As the client's status names it.
    pub expected: String,
    /// Where its discovery document is read.
    pub discovery_url: String,
    /// `Dex`, `Keycloak`, `Authentik`; empty: not known.
    pub provider_type: String,
    /// The claim that names a user for people; `sub`: not known.
    pub username_claim: String,
    /// The way there.
    pub route: Route,
    /// The discovery document; `None`: the way there ends before it.
    pub discovery: Option<Result<Found, IssuerError>>,
    /// Its usable keys.
    pub keys: Option<Result<Vec<JsonWebKeySummary>, IssuerError>>,
    /// What the authorization endpoint says to each redirect URI.
    pub redirects: Vec<(String, Result<Authorization, IdpError>)>,
    /// What it says to the credentials; `None`: there are none, or it could not be asked.
    pub proof: Option<Proof>,
    /// `aud` of an access token by client_credentials, or why there is none; `None`: not asked for.
    pub audience: Option<Result<Vec<String>, String>>,
}

/// A discovery document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The parts that everybody needs.
    pub discovery: Discovery,
    /// `claims_supported`; `None`: it does not say.
    pub claims: Option<BTreeSet<String>>,
}

/// The way to a server, layer by layer.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The host's name, or its address.
    pub host: String,
    /// `host:port`, or the host where the port is the scheme's own.
    pub peer: String,
    /// Is a proxy of the environment between (`HTTPS_PROXY`)? Then names and connections are its business.
    pub proxy: bool,
    /// Is it https?
    pub tls: bool,
    /// The addresses of its name, or what is wrong.
    pub addresses: Option<Result<Vec<SocketAddr>, String>>,
    /// The address that took a connection, or what is wrong.
    pub connected: Option<Result<SocketAddr, String>>,
    /// The certificate that it shows.
    pub certificate: Option<Validity>,
    /// A whole request: nothing, or what is wrong with TLS.
    pub handshake: Option<Result<(), IdpError>>,
}
