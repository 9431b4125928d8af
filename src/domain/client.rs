//! An OAuth 2.0 client, as the operator wants it and as an identity provider shows it.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{mark::Mark, secret::ClientSecret};

/// Whether the application can keep a secret (RFC 6749, section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientType {
    /// It can: a server-side application.
    #[default]
    Confidential,
    /// It cannot: a browser or native application.
    Public,
}

/// An OAuth 2.0 grant type, by its registered name (RFC 7591, section 2; RFC 8628; RFC 8693).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GrantType {
    /// RFC 6749, section 4.1.
    #[serde(rename = "authorization_code")]
    AuthorizationCode,
    /// RFC 6749, section 6.
    #[serde(rename = "refresh_token")]
    RefreshToken,
    /// RFC 6749, section 4.4.
    #[serde(rename = "client_credentials")]
    ClientCredentials,
    /// RFC 8628.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    /// RFC 8693.
    #[serde(rename = "urn:ietf:params:oauth:grant-type:token-exchange")]
    TokenExchange,
}

impl GrantType {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::TokenExchange => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }
}

/// How the application authenticates at the token endpoint (OIDC Core, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenEndpointAuthMethod {
    /// The secret in an HTTP Basic header.
    ClientSecretBasic,
    /// The secret in the request body.
    ClientSecretPost,
    /// No authentication: a public client.
    None,
}

impl TokenEndpointAuthMethod {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::None => "none",
        }
    }
}

/// Whether the application sends a PKCE challenge (RFC 7636; always S256).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Pkce {
    /// Every authorization request carries a challenge.
    Required,
    /// It may.
    Optional,
}

/// The algorithm that signs ID tokens (RFC 7518, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// ECDSA with P-256 and SHA-256.
    ES256,
}

impl SignatureAlgorithm {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::ES256 => "ES256",
        }
    }
}

/// A client as the spec wants it, every unset field resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredClient {
    /// The OAuth client identifier.
    pub client_id: String,
    /// The mark it carries at the identity provider.
    pub mark: Mark,
    /// Confidential or public.
    pub client_type: ClientType,
    /// What people see on the login page.
    pub display_name: Option<String>,
    /// A picture beside it.
    pub logo_uri: Option<String>,
    /// Where the identity provider may send codes; the first one is special in output formats.
    pub redirect_uris: Vec<String>,
    /// The grants that the application uses.
    pub grant_types: BTreeSet<GrantType>,
    /// How it authenticates.
    pub auth_method: TokenEndpointAuthMethod,
    /// Whether it sends PKCE challenges.
    pub pkce: Pkce,
    /// What it asks for.
    pub scopes: Vec<String>,
    /// The signature it expects on ID tokens, where it cares.
    pub id_token_alg: Option<SignatureAlgorithm>,
    /// Names of the custom claims it asks for.
    pub claims: Vec<String>,
}

impl DesiredClient {
    /// Does the identity provider hold a secret for it?
    pub fn has_secret(&self) -> bool {
        self.client_type == ClientType::Confidential
    }

    /// What the application asks for: its scopes, and `offline_access` where refresh tokens need it (OIDC Core, section 11;
    /// Dex gives none without).
    pub fn requested_scopes(&self) -> Vec<String> {
        const OFFLINE_ACCESS: &str = "offline_access";
        let mut scopes = self.scopes.clone();
        if self.uses(GrantType::RefreshToken) && !scopes.iter().any(|scope| scope == OFFLINE_ACCESS) {
            scopes.push(OFFLINE_ACCESS.to_owned());
        }
        scopes
    }

    /// Does it use `grant`?
    pub fn uses(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }
}

/// What an identity provider shows of a client's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedSecret {
    /// It was not in the answer (a list, or a caller with fewer rights): says nothing.
    NotShown,
    /// The client has none.
    Absent,
    /// In clear.
    Shown(ClientSecret),
}

/// A client as an identity provider shows it, reduced to what the operator manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedClient {
    /// The OAuth client identifier.
    pub client_id: String,
    /// The marks that it carries; none where there is none.
    pub marks: Vec<String>,
    /// Confidential or public.
    pub client_type: ClientType,
    /// As shown on the login page.
    pub display_name: Option<String>,
    /// A picture beside it.
    pub logo_uri: Option<String>,
    /// Registered redirect URIs, in the provider's order.
    pub redirect_uris: Vec<String>,
    /// The secret, where it is shown.
    pub secret: ObservedSecret,
    /// Powers that it has beyond any spec, in the provider's own words; each is drift. Dex: other clients in
    /// `trusted_peers`, which may obtain tokens for this one.
    pub extra_grants: Vec<String>,
}

impl ObservedClient {
    /// Whose it is, seen from the holder of `mine`. Two different marks, or an unreadable one, are foreign.
    pub fn ownership(&self, mine: &Mark) -> super::Ownership {
        match self.marks.as_slice() {
            [] => super::Ownership::Unmarked,
            [one] => Mark::parse(one).map_or(super::Ownership::Foreign, |mark| mine.judge(Some(&mark))),
            _ => super::Ownership::Foreign,
        }
    }
}
