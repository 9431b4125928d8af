//! What Keycloak can do, and how a client looks there. Pure.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{
    mappers,
    representation::{self, AUDIENCE, CLAIMS, HANDLE_NO_SCOPES, OPTIONAL_SCOPES, SCOPES},
};
use crate::domain::{
    Assessment, Capabilities, ClientSecret, ClientType, DesiredClient, Enforcement, Fields, GrantType, Mark, Model,
    ObservedClient, Pkce, ProviderFacts, RemoteDiff, Support, TokenEndpointAuthMethod, TokenLifetimes, Unsupported,
    client::OPENID,
    model::{FieldChange, RotationCapability, created_secret},
};

/// The pure half of the Keycloak driver.
#[derive(Clone, Debug)]
pub struct KeycloakModel {
    realm: String,
}

/// Columns of Keycloak's database that hold texts of a client (`CLIENT.NAME`, `REDIRECT_URIS.VALUE`, ...): a longer one
/// ends in an internal server error.
const MAX_TEXT: usize = 255;

/// A grant that Keycloak has offered since it lets a client be bound to one method of sending its secret
/// (`client.secret.authentication.allowed.method`; measured: 26.4 has neither, 26.7 both). Its version it tells to few.
const GRANT_OF_NEWER_SERVERS: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl KeycloakModel {
    /// For the clients of `realm`.
    pub fn new(realm: impl Into<String>) -> Self {
        Self { realm: realm.into() }
    }

    /// The UUID of the client that is made for `mark`: the same each time, so that a lost reply is recognised. UUIDs are
    /// unique over all realms of a server, hence the realm in it: a cluster that was copied may well use another realm.
    pub(super) fn uuid(&self, mark: &Mark) -> String {
        let digest = Sha256::digest(format!("{}\0{mark}", self.realm));
        uuid_v8(&digest.into())
    }

    /// The client, as the representation of [`representation::create`] makes it.
    fn fields(desired: &DesiredClient) -> Fields {
        let mut fields = representation::wanted_fields(desired);
        fields.extend(mappers::wanted(desired).into_iter().map(|mapper| {
            let value = mapper.normal_form();
            (mapper.field(), value)
        }));
        fields
    }
}

/// RFC 9562, section 5.8: a UUID with bits of one's own making.
fn uuid_v8(digest: &[u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Does the change have an endpoint of its own?
pub(super) fn is_part(field: &str) -> bool {
    field == AUDIENCE
        || [SCOPES, OPTIONAL_SCOPES, CLAIMS]
            .iter()
            .any(|part| field.starts_with(part))
}

impl Model for KeycloakModel {
    fn capabilities(&self) -> Capabilities {
        let fields = [
            "clientID",
            "type",
            "displayName",
            "description",
            "homepageURI",
            "logoURI",
            "redirectURIs",
            "postLogoutRedirectURIs",
            "webOrigins",
            "grantTypes",
            "tokenEndpointAuthMethod",
            "pkce",
            "idTokenSignedResponseAlg",
            "scopes",
            "optionalScopes",
            "logout",
            "claims",
            "tokenLifetimes",
        ];
        Capabilities {
            rotation: RotationCapability::Atomic,
            bulk_list: true,
            fields: fields
                .into_iter()
                .map(|field| (field.to_owned(), Support::PerClient))
                .collect(),
        }
    }

    /// Never: there it means sessions that outlive the logout.
    fn refresh_needs_offline_access(&self) -> bool {
        false
    }

    fn assess(&self, desired: &DesiredClient, facts: &ProviderFacts) -> Assessment {
        Assessment {
            unsupported: unsupported(desired, facts),
            enforcement: enforcement(desired, facts),
        }
    }

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            client_id: desired.client_id.clone(),
            remote_id: self.uuid(&desired.mark),
            marks: vec![desired.mark.to_string()],
            secret: created_secret(desired, secret),
            disabled: false,
            fields: Self::fields(desired),
            handles: BTreeMap::new(),
        }
    }

    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff {
        let mut diff = RemoteDiff::between(observed, &self.created(desired, secret), |_| false);
        if observed.handles.contains_key(HANDLE_NO_SCOPES) {
            let is_scope = |field: &str| field.starts_with(SCOPES) || field.starts_with(OPTIONAL_SCOPES);
            diff.changes.retain(|change| !is_scope(&change.field));
        }
        diff
    }

    /// The representation with all that is in it; then scopes and claims one by one, what goes before what comes: a scope
    /// cannot be default and optional at once.
    fn next_request(&self, open: RemoteDiff) -> RemoteDiff {
        let (parts, whole): (Vec<FieldChange>, Vec<FieldChange>) =
            open.changes.into_iter().partition(|change| is_part(&change.field));
        let changes = if whole.is_empty() {
            let next = parts.iter().position(|change| change.to.is_empty()).unwrap_or_default();
            parts.into_iter().nth(next).into_iter().collect()
        } else {
            whole
        };
        RemoteDiff { changes, ..open }
    }
}

fn unsupported(desired: &DesiredClient, facts: &ProviderFacts) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut note = |field: &str, why: String| {
        found.push(Unsupported {
            field: format!("spec.{field}"),
            why,
        });
    };
    if let Some(offered) = &facts.discovery.grant_types {
        for grant in desired
            .grant_types
            .iter()
            .filter(|grant| !offered.contains(grant.as_str()))
        {
            note(
                "grantTypes",
                format!("this Keycloak does not offer the grant {}", grant.as_str()),
            );
        }
    }
    if desired.client_type == ClientType::Public && desired.uses(GrantType::TokenExchange) {
        note(
            "grantTypes",
            "Keycloak exchanges tokens for confidential clients only".to_owned(),
        );
    }
    let scopes = desired.scopes.iter().map(|scope| ("scopes", scope));
    let optional = desired.optional_scopes.iter().map(|scope| ("optionalScopes", scope));
    for (field, scope) in scopes.chain(optional) {
        // Keycloak drops what it does not know, and the application would miss it.
        if let Some(known) = &facts.scopes
            && scope != OPENID
            && !known.contains(scope)
        {
            note(
                field,
                format!("the realm has no client scope {scope}; make it there, or leave it out"),
            );
        }
    }
    if let Some(algorithm) = desired.id_token_alg
        && !facts.discovery.signing_algorithms.contains(algorithm.as_str())
    {
        note(
            "idTokenSignedResponseAlg",
            format!("this Keycloak does not sign with {}", algorithm.as_str()),
        );
    }
    let texts = [
        ("displayName", &desired.display_name),
        ("description", &desired.description),
        ("homepageURI", &desired.homepage_uri),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(field, text)| Some((field, text.as_ref()?)));
    let redirects = desired.redirect_uris.iter().map(|uri| ("redirectURIs", uri));
    let origins = desired.web_origins.iter().map(|origin| ("webOrigins", origin));
    for (field, text) in texts.chain(redirects).chain(origins) {
        if text.chars().count() > MAX_TEXT {
            note(field, format!("Keycloak keeps at most {MAX_TEXT} characters of each"));
        }
    }
    found
}

/// Only what the spec restricts is named.
fn enforcement(desired: &DesiredClient, facts: &ProviderFacts) -> BTreeMap<String, Enforcement> {
    let mut enforced: BTreeMap<String, Enforcement> = [
        "type",
        "redirectURIs",
        "postLogoutRedirectURIs",
        "webOrigins",
        "grantTypes",
        "scopes",
    ]
    .into_iter()
    .map(|field| (field.to_owned(), Enforcement::Client))
    .collect();
    let mut note = |field: &str, by: Enforcement| {
        enforced.insert(field.to_owned(), by);
    };
    if desired.pkce == Pkce::Required {
        note("pkce", Enforcement::Client);
    }
    if desired.auth_method != TokenEndpointAuthMethod::None {
        let grants = facts.discovery.grant_types.as_ref();
        let binds = grants.is_some_and(|grants| grants.contains(GRANT_OF_NEWER_SERVERS));
        note(
            "tokenEndpointAuthMethod",
            if binds { Enforcement::Client } else { Enforcement::None },
        );
    }
    if desired.id_token_alg.is_some() {
        note("idTokenSignedResponseAlg", Enforcement::Client);
    }
    if desired.lifetimes != TokenLifetimes::default() {
        note("tokenLifetimes", Enforcement::Client);
    }
    enforced
}
