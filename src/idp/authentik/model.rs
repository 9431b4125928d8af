//! What authentik can do, and how a client looks there. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    claims::{self, EMAIL},
    fields::{self, is_of_application},
    settings::Settings,
};
use crate::{
    domain::{
        Assessment, Capabilities, ClaimSource, ClaimToken, ClientSecret, DesiredClient, Discovery, Endpoints,
        Enforcement, GrantType, Mark, Model, ObservedClient, Pkce, ProviderFacts, RemoteDiff, Support,
        TokenEndpointAuthMethod, Unsupported,
        authentik::IssuerMode,
        model::{FieldChange, RotationCapability, created_secret},
    },
    idp::normal_form::CLAIMS,
};

/// The pure half.
#[derive(Clone, Debug)]
pub struct AuthentikModel {
    settings: Settings,
}

/// A release, as `2026.5`.
type Release = (u32, u32);
/// `logout_uri`.
const WITH_LOGOUT: Release = (2025, 10);
/// `meta_icon` in the application's own body.
const WITH_ICON: Release = (2025, 12);
/// `grant_types`, and redirect URIs for logout.
const WITH_GRANT_TYPES: Release = (2026, 5);
/// RFC 8693.
const WITH_TOKEN_EXCHANGE: Release = (2026, 8);

impl AuthentikModel {
    /// For a provider with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The issuer and endpoints of a client, by authentik's own scheme (`authentik/providers/oauth2/urls.py`). They begin with
    /// the public URL, whatever way the operator takes.
    pub fn discovery_of(&self, client_id: &str) -> Discovery {
        let root = self.settings.public_url.trim_end_matches('/');
        let application = format!("{root}/application/o/{}/", fields::slug(client_id));
        let shared = |path: &str| format!("{root}/application/o/{path}/");
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<String>>()
        };
        Discovery {
            issuer: match self.settings.issuer_mode {
                IssuerMode::PerProvider => application.clone(),
                IssuerMode::Global => format!("{root}/"),
            },
            url: format!("{application}.well-known/openid-configuration"),
            endpoints: Endpoints {
                authorization: shared("authorize"),
                token: shared("token"),
                userinfo: Some(shared("userinfo")),
                jwks: format!("{application}jwks/"),
                end_session: Some(format!("{application}end-session/")),
                device_authorization: Some(shared("device")),
            },
            auth_methods: Some(names(&["client_secret_basic", "client_secret_post"])),
            code_challenge_methods: names(&["plain", "S256"]),
            ..Discovery::default()
        }
    }

    /// Where tokens are revoked (RFC 7009); the proof of credentials goes there.
    pub(super) fn revocation_endpoint(&self) -> String {
        let root = self.settings.public_url.trim_end_matches('/');
        format!("{root}/application/o/revoke/")
    }
}

/// The release of a version (`2026.5.0-rc1`); `None` where it is written otherwise.
fn release(version: &str) -> Option<Release> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Is the server older than `wanted`? One that hides its version counts as new: what it lacks shows by itself.
fn is_before(facts: &ProviderFacts, wanted: Release) -> bool {
    let found = facts.server_version.as_deref().and_then(release);
    found.is_some_and(|found| found < wanted)
}

/// The scope mapping that a field is, if it is one.
pub(super) fn mapping_key(field: &str) -> Option<&str> {
    field.strip_prefix(CLAIMS)
}

impl Model for AuthentikModel {
    fn capabilities(&self) -> Capabilities {
        let fields = [
            ("clientID", Support::PerClient),
            ("type", Support::PerClient),
            ("displayName", Support::PerClient),
            ("description", Support::PerClient),
            ("homepageURI", Support::PerClient),
            ("logoURI", Support::PerClient),
            ("redirectURIs", Support::PerClient),
            ("postLogoutRedirectURIs", Support::PerClient),
            ("webOrigins", Support::Unsupported),
            ("grantTypes", Support::PerClient),
            ("tokenEndpointAuthMethod", Support::Unsupported),
            ("pkce", Support::Unsupported),
            ("idTokenSignedResponseAlg", Support::ProviderWide),
            ("scopes", Support::PerClient),
            ("optionalScopes", Support::PerClient),
            ("logout", Support::PerClient),
            ("claims", Support::PerClient),
            ("tokenLifetimes", Support::PerClient),
        ];
        Capabilities {
            rotation: RotationCapability::Atomic,
            bulk_list: true,
            fields: fields
                .into_iter()
                .map(|(field, support)| (field.to_owned(), support))
                .collect(),
        }
    }

    /// Since 2024.2.
    fn refresh_needs_offline_access(&self) -> bool {
        true
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
            remote_id: String::new(),
            marks: vec![desired.mark.to_string()],
            secret: created_secret(desired, secret),
            disabled: false,
            fields: fields::wanted(desired, &self.settings),
            handles: BTreeMap::new(),
        }
    }

    /// An application whose provider was deleted lost the mark with it. Nobody else's has the id that status remembers.
    fn recall(&self, observed: &mut ObservedClient, mark: &Mark, remote_id: &str) {
        fields::recall(observed, mark, remote_id);
    }

    fn facts_of(&self, client_id: &str, facts: &Arc<ProviderFacts>) -> Arc<ProviderFacts> {
        let discovery = Discovery {
            signing_algorithms: facts.discovery.signing_algorithms.clone(),
            ..self.discovery_of(client_id)
        };
        Arc::new(ProviderFacts {
            discovery,
            ..ProviderFacts::clone(facts)
        })
    }

    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff {
        let mut diff = RemoteDiff::between(observed, &self.created(desired, secret), |_| false);
        diff.changes
            .retain(|change| !fields::is_hidden(observed, &change.field));
        diff
    }

    /// Mappings that the provider will use, one by one; the provider; the application; mappings that nothing uses any more.
    fn next_request(&self, open: RemoteDiff) -> RemoteDiff {
        let (mappings, rest): (Vec<FieldChange>, Vec<FieldChange>) = open
            .changes
            .into_iter()
            .partition(|change| mapping_key(&change.field).is_some());
        let (application, provider): (Vec<FieldChange>, Vec<FieldChange>) =
            rest.into_iter().partition(|change| is_of_application(&change.field));
        let (gone, made): (Vec<FieldChange>, Vec<FieldChange>) =
            mappings.into_iter().partition(|change| change.to.is_empty());
        let first = |changes: Vec<FieldChange>| changes.into_iter().take(1).collect();
        let groups = [first(made), provider, application, first(gone)];
        RemoteDiff {
            changes: groups
                .into_iter()
                .find(|group: &Vec<_>| !group.is_empty())
                .unwrap_or_default(),
            recreate: open.recreate,
        }
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
    let since = |release: Release| {
        format!(
            "this authentik cannot do that; {}.{} and later can",
            release.0, release.1
        )
    };
    if !desired.post_logout_redirect_uris.is_empty() && is_before(facts, WITH_GRANT_TYPES) {
        // They would become redirect URIs: codes could be sent there.
        note("postLogoutRedirectURIs", since(WITH_GRANT_TYPES));
    }
    if desired.logout.is_some() && is_before(facts, WITH_LOGOUT) {
        note("logout", since(WITH_LOGOUT));
    }
    if desired.logo_uri.is_some() && is_before(facts, WITH_ICON) {
        note("logoURI", since(WITH_ICON));
    }
    if desired.uses(GrantType::TokenExchange) && is_before(facts, WITH_TOKEN_EXCHANGE) {
        note("grantTypes", format!("token exchange: {}", since(WITH_TOKEN_EXCHANGE)));
    }
    for origin in foreign_origins(desired) {
        note(
            "webOrigins",
            format!("authentik lets the origins of redirectURIs call it, and no other: {origin} is none of them"),
        );
    }
    if let Some(known) = &facts.scopes {
        for scope in claims::scopes(desired)
            .into_iter()
            .filter(|scope| !known.contains(*scope))
        {
            let field = if desired.optional_scopes.iter().any(|optional| optional == scope) {
                "optionalScopes"
            } else {
                "scopes"
            };
            note(
                field,
                format!("authentik has no scope mapping for {scope}; make one there, or leave the scope out"),
            );
        }
    }
    for claim in &desired.claims {
        let why = match &claim.source {
            ClaimSource::RealmRoles => "has no roles of a realm; its roles of an application are ClientRoles",
            ClaimSource::Groups { full_path: true } => "has no paths of groups: a group may have several parents",
            _ if claim.name == EMAIL => "has a mapping of its own for it",
            _ => continue,
        };
        note("claims", format!("{}: authentik {why}", claim.name));
    }
    let algorithms = &facts.discovery.signing_algorithms;
    if let Some(algorithm) = desired.id_token_alg
        && !algorithms.is_empty()
        && !algorithms.contains(algorithm.as_str())
    {
        note(
            "idTokenSignedResponseAlg",
            format!("the provider's signing key does not sign with {}", algorithm.as_str()),
        );
    }
    found
}

/// Origins of the spec that no redirect URI has.
fn foreign_origins(desired: &DesiredClient) -> Vec<&str> {
    let origin = |uri: &str| url::Url::parse(uri).ok().map(|uri| uri.origin());
    let known: Vec<url::Origin> = desired.redirect_uris.iter().filter_map(|uri| origin(uri)).collect();
    let foreign = desired
        .web_origins
        .iter()
        .filter(|uri| origin(uri).is_none_or(|origin| !known.contains(&origin)));
    foreign.map(String::as_str).collect()
}

/// Only what the spec restricts is named.
fn enforcement(desired: &DesiredClient, facts: &ProviderFacts) -> BTreeMap<String, Enforcement> {
    let grants = if is_before(facts, WITH_GRANT_TYPES) {
        Enforcement::None
    } else {
        Enforcement::Client
    };
    let mut enforced: BTreeMap<String, Enforcement> = [
        ("type", Enforcement::Client),
        ("redirectURIs", Enforcement::Client),
        ("grantTypes", grants),
        ("scopes", Enforcement::Client),
        ("tokenLifetimes", Enforcement::Client),
    ]
    .into_iter()
    .map(|(field, by)| (field.to_owned(), by))
    .collect();
    let mut note = |field: &str, by: Enforcement| {
        enforced.insert(field.to_owned(), by);
    };
    if !desired.post_logout_redirect_uris.is_empty() {
        note("postLogoutRedirectURIs", Enforcement::Client);
    }
    if desired.pkce == Pkce::Required {
        note("pkce", Enforcement::None);
    }
    if desired.auth_method != TokenEndpointAuthMethod::None {
        note("tokenEndpointAuthMethod", Enforcement::None);
    }
    if desired.id_token_alg.is_some() {
        note("idTokenSignedResponseAlg", Enforcement::Provider);
    }
    // The same mappings serve the ID token, the access token and userinfo.
    let everywhere = [ClaimToken::IDToken, ClaimToken::AccessToken, ClaimToken::UserInfo];
    if desired.claims.iter().any(|claim| claim.tokens.len() < everywhere.len()) {
        note("claims", Enforcement::None);
    }
    enforced
}

/// The mapping of the spec with this key.
pub(super) fn wanted_mapping(desired: &DesiredClient, settings: &Settings, key: &str) -> Option<claims::WantedMapping> {
    let wanted = claims::wanted(desired, settings.email_verified);
    wanted.into_iter().find(|mapping| mapping.key == key)
}
