//! An OAuth 2.0 client, as the operator wants it and as an identity provider shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    key::{self, PrivateKey, PublicKey},
    mark::Mark,
    registration::{Management, Registered},
    secret::ClientSecret,
};

/// Whether the application can keep a secret (RFC 6749, section 2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ClientType {
    /// It can: a server-side application.
    #[default]
    Confidential,
    /// It cannot: a browser or native application.
    Public,
}

impl ClientType {
    /// As in the spec.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confidential => "Confidential",
            Self::Public => "Public",
        }
    }
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
    /// An assertion signed with its private key (RFC 7523, section 2.2), by ES256.
    PrivateKeyJwt,
    /// No authentication: a public client.
    None,
}

impl TokenEndpointAuthMethod {
    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
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

/// How the identity provider tells the application that a user's session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logout {
    /// By which way.
    pub channel: LogoutChannel,
    /// Where it tells.
    pub uri: String,
    /// Must the notice name the session (`sid`)?
    pub session_required: bool,
}

/// Ways of a logout notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutChannel {
    /// Server to server (OIDC Back-Channel Logout 1.0).
    Back,
    /// Through the user's browser (OIDC Front-Channel Logout 1.0).
    Front,
}

/// A custom claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Its name; a `.` makes a claim within a claim.
    pub name: String,
    /// Where its value comes from.
    pub source: ClaimSource,
    /// The tokens that carry it.
    pub tokens: BTreeSet<ClaimToken>,
}

/// Sources of claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimSource {
    /// The user's groups, by their names or by their full paths.
    Groups {
        /// With their parents (`/a/b`)?
        full_path: bool,
    },
    /// The user's roles of the whole issuer.
    RealmRoles,
    /// The user's roles of this very client.
    ClientRoles,
    /// The same for everybody.
    Constant(String),
    /// An attribute of the user.
    UserAttribute(String),
}

/// Tokens that can carry a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ClaimToken {
    /// The ID token.
    IDToken,
    /// The access token.
    AccessToken,
    /// The userinfo answer.
    UserInfo,
}

/// Lifetimes of tokens, where the application cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenLifetimes {
    /// Of access tokens.
    pub access: Option<Duration>,
    /// Of refresh tokens, counted from their last use.
    pub refresh: Option<Duration>,
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
    /// What it is, for administrators.
    pub description: Option<String>,
    /// The application's start page.
    pub homepage_uri: Option<String>,
    /// A picture for the login page.
    pub logo_uri: Option<String>,
    /// Where the identity provider may send codes; the first one is special in output formats.
    pub redirect_uris: Vec<String>,
    /// Where it may send users after logout; none: nowhere.
    pub post_logout_redirect_uris: Vec<String>,
    /// Origins of browser code that may call it (CORS); none: no origin.
    pub web_origins: Vec<String>,
    /// The grants that the application uses.
    pub grant_types: BTreeSet<GrantType>,
    /// How it authenticates.
    pub auth_method: TokenEndpointAuthMethod,
    /// Whether it sends PKCE challenges.
    pub pkce: Pkce,
    /// What it asks for.
    pub scopes: Vec<String>,
    /// What it may also ask for.
    pub optional_scopes: Vec<String>,
    /// The signature it expects on ID tokens, where it cares.
    pub id_token_alg: Option<SignatureAlgorithm>,
    /// How it is told that a session ended.
    pub logout: Option<Logout>,
    /// Custom claims, told apart by name.
    pub claims: Vec<Claim>,
    /// Lifetimes of tokens.
    pub lifetimes: TokenLifetimes,
    /// The secret that this write replaces, where it shall stay valid beside the new one for a time and the provider may be
    /// able to ([`Model::may_overlap`](super::Model::may_overlap)). Not a state of the client: it goes with a new secret only.
    pub previous: Option<PreviousSecret>,
    /// The key before the current one, while applications may still sign with it. A state of the client, unlike a secret: it stands
    /// until it is taken away.
    pub previous_key: Option<PublicKey>,
    /// Where the server names the client: which attempt to register it this is ([`super::registration::software_id`]).
    pub attempt: Option<String>,
}

/// A client secret that is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// The secret.
    pub secret: ClientSecret,
    /// When it is replaced.
    pub since: Timestamp,
    /// Until when it shall stay valid; whole seconds.
    pub until: Timestamp,
}

impl DesiredClient {
    /// A confidential client that logs users in, with nothing set beyond that.
    pub fn new(client_id: impl Into<String>, mark: Mark) -> Self {
        Self {
            client_id: client_id.into(),
            mark,
            client_type: ClientType::Confidential,
            display_name: None,
            description: None,
            homepage_uri: None,
            logo_uri: None,
            redirect_uris: Vec::new(),
            post_logout_redirect_uris: Vec::new(),
            web_origins: Vec::new(),
            grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
            auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            pkce: Pkce::Optional,
            scopes: vec![OPENID.to_owned()],
            optional_scopes: Vec::new(),
            id_token_alg: None,
            logout: None,
            claims: Vec::new(),
            lifetimes: TokenLifetimes::default(),
            previous: None,
            previous_key: None,
            attempt: None,
        }
    }

    /// Has it credentials: a secret that it shares with the identity provider, or a private key?
    pub fn has_secret(&self) -> bool {
        self.client_type == ClientType::Confidential
    }

    /// Are its credentials a private key, of which the identity provider holds the public half only?
    pub fn has_key(&self) -> bool {
        self.has_secret() && self.auth_method == TokenEndpointAuthMethod::PrivateKeyJwt
    }

    /// Can it authenticate with `secret`: is it a private key if, and only if, it wants one? Which of both it is, the text shows.
    pub fn takes(&self, secret: &ClientSecret) -> bool {
        if self.has_key() {
            PrivateKey::of(secret).is_some()
        } else {
            !key::looks_like_key(secret)
        }
    }

    /// The public keys that it may sign with while `secret` is its private key; none where it is none, or none is wanted.
    pub fn public_keys(&self, secret: Option<&ClientSecret>) -> Vec<PublicKey> {
        let key = secret.filter(|_| self.has_key()).and_then(PrivateKey::of);
        let previous = key.as_ref().and(self.previous_key);
        key.iter().map(PrivateKey::public).chain(previous).collect()
    }

    /// What the application asks for: its scopes, and `offline_access` where refresh tokens need it (OIDC Core, section
    /// 11; Dex gives none without, [`Model::refresh_needs_offline_access`](super::Model::refresh_needs_offline_access)).
    pub fn requested_scopes(&self, refresh_needs_offline_access: bool) -> Vec<String> {
        let mut scopes = self.scopes.clone();
        if refresh_needs_offline_access
            && self.uses(GrantType::RefreshToken)
            && !scopes.iter().any(|scope| scope == OFFLINE_ACCESS)
        {
            scopes.push(OFFLINE_ACCESS.to_owned());
        }
        scopes
    }

    /// Does it use `grant`?
    pub fn uses(&self, grant: GrantType) -> bool {
        self.grant_types.contains(&grant)
    }
}

/// The scope that makes an OAuth request an OpenID Connect one (OIDC Core, section 3.1.2.1).
pub const OPENID: &str = "openid";

/// The scope that asks for refresh tokens beyond the user's session (OIDC Core, section 11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// What an identity provider shows of a client's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservedSecret {
    /// It was not in the answer (a list, or a caller with fewer rights): says nothing.
    NotShown,
    /// The client has none.
    Absent,
    /// In clear.
    Shown(ClientSecret),
    /// It has public keys in the place of a secret, whose ids are these ([`PublicKey::key_id`](super::PublicKey::key_id)); of one
    /// that is not as the operator writes it, some other text.
    Keys(BTreeSet<String>),
}

impl ObservedSecret {
    /// The secret, where it is shown in clear.
    pub fn shown(&self) -> Option<&ClientSecret> {
        match self {
            Self::Shown(secret) => Some(secret),
            Self::NotShown | Self::Absent | Self::Keys(_) => None,
        }
    }
}

/// How long the provider itself lets a client's secrets be valid, where it says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// Until when the secret is; `None`: no end.
    pub secret_until: Option<Timestamp>,
    /// Until when the secret is that this one replaced; `None`: it is not.
    pub previous_until: Option<Timestamp>,
}

/// What the operator manages of a client, by field of the spec (`redirectURIs`; parts of a field that are written one by one
/// have a name each: `scopes.profile`), in the driver's normal form: equal texts mean the same, whatever the order or the
/// defaults that the server adds. What is not set has no entry.
pub type Fields = BTreeMap<String, String>;

/// Name of the field that tells confidential clients from public ones.
pub const FIELD_TYPE: &str = "type";

/// [`ObservedClient::handles`]: a number that grows with each change, where the provider counts them (Kubernetes:
/// `resourceVersion`).
pub const REVISION: &str = "revision";

/// A client as an identity provider shows it, reduced to what the operator manages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedClient {
    /// The OAuth client identifier.
    pub client_id: String,
    /// The provider's own identifier of it.
    pub remote_id: String,
    /// The marks that it carries; none where there is none.
    pub marks: Vec<String>,
    /// The secret, where it is shown.
    pub secret: ObservedSecret,
    /// How long its secrets are valid.
    pub validity: Validity,
    /// Did somebody switch it off there? The operator never does, and never undoes it.
    pub disabled: bool,
    /// What the operator manages. Powers beyond any spec are fields, too, that no spec ever wants (Dex: other clients in
    /// `trustedPeers`, which may obtain tokens for this one).
    pub fields: Fields,
    /// The provider's identifiers of parts, and what must be handed back unchanged; no evidence of anything.
    pub handles: BTreeMap<String, String>,
    /// What goes with it where the server named it (dynamic registration).
    pub registered: Option<Box<Registered>>,
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

    /// Confidential, as far as it says so?
    pub fn is_confidential(&self) -> bool {
        self.fields.get(FIELD_TYPE).map(String::as_str) == Some(ClientType::Confidential.as_str())
    }

    /// Which of two looks at the same client is the newer one, where the provider counts changes.
    pub fn revision(&self) -> Option<u64> {
        self.handles.get(REVISION)?.parse().ok()
    }

    /// How it is managed where the server named it, if it is at all.
    pub fn management(&self) -> Option<&Management> {
        self.registered.as_deref()?.management.as_ref()
    }

    /// Alike in everything that both show?
    pub fn looks_like(&self, other: &Self) -> bool {
        let secrets = match (&self.secret, &other.secret) {
            (ObservedSecret::NotShown, _) | (_, ObservedSecret::NotShown) => true,
            (one, another) => one == another,
        };
        secrets
            && self.client_id == other.client_id
            && self.remote_id == other.remote_id
            && self.marks == other.marks
            && self.validity == other.validity
            && self.disabled == other.disabled
            && self.fields == other.fields
    }
}
