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
        TokenEndpointAuthMethod, Unsupported, Validity,
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
                revocation: Some(self.revocation_endpoint()),
                device_authorization: Some(shared("device")),
                registration: None,
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
        Capabilities::new(RotationCapability::Atomic, true, fields)
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
            validity: Validity::default(),
            disabled: false,
            fields: fields::wanted(desired, &self.settings),
            handles: BTreeMap::new(),
            registered: None,
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
    if desired.has_key() {
        // Its own JWT authentication is for tokens of other issuers, and for client_credentials only.
        note(
            "tokenEndpointAuthMethod",
            "authentik keeps no keys of clients: use client_secret_basic or client_secret_post".to_owned(),
        );
    }
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
    if let Some(algorithm) = desired.id_token_alg
        && facts.discovery.excludes(algorithm)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Claim, Logout, LogoutChannel, Mark, MarkUid, OwnerId, ResourceName, SignatureAlgorithm};

    fn model(issuer_mode: IssuerMode) -> AuthentikModel {
        AuthentikModel::new(Settings {
            public_url: "https://auth.example.com/sso/".to_owned(),
            authorization_flow: "consent".to_owned(),
            invalidation_flow: "end".to_owned(),
            signing_key: "key".to_owned(),
            sub_mode: Default::default(),
            issuer_mode,
            email_verified: Default::default(),
        })
    }

    fn web() -> DesiredClient {
        let mark = Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid("u1".to_owned()),
        };
        DesiredClient {
            redirect_uris: vec!["https://shop.example/cb".to_owned()],
            ..DesiredClient::new("shop.web", mark)
        }
    }

    fn facts(version: Option<&str>) -> ProviderFacts {
        ProviderFacts {
            server_version: version.map(str::to_owned),
            ..ProviderFacts::default()
        }
    }

    fn claim(name: &str, source: ClaimSource) -> Claim {
        Claim {
            name: name.to_owned(),
            source,
            tokens: [ClaimToken::IDToken, ClaimToken::AccessToken, ClaimToken::UserInfo].into(),
        }
    }

    /// The fields that cannot work.
    fn refused(desired: &DesiredClient, facts: &ProviderFacts) -> Vec<String> {
        let assessed = model(IssuerMode::PerProvider).assess(desired, facts);
        assessed.unsupported.into_iter().map(|one| one.field).collect()
    }

    #[test]
    fn each_release_refuses_what_it_does_not_have() {
        let desired = DesiredClient {
            logo_uri: Some("https://shop.example/logo.png".to_owned()),
            post_logout_redirect_uris: vec!["https://shop.example/bye".to_owned()],
            grant_types: [GrantType::AuthorizationCode, GrantType::TokenExchange].into(),
            logout: Some(Logout {
                channel: LogoutChannel::Back,
                uri: "https://shop.example/out".to_owned(),
                session_required: false,
            }),
            ..web()
        };
        let all = [
            "spec.postLogoutRedirectURIs",
            "spec.logout",
            "spec.logoURI",
            "spec.grantTypes",
        ];
        for (version, expected) in [
            ("2025.8.6", &all[..]),
            ("2025.10.0", &[all[0], all[2], all[3]]),
            ("2025.12.1", &[all[0], all[3]]),
            ("2026.2.2", &[all[0], all[3]]),
            ("2026.5.0-rc1", &[all[3]]),
            ("2026.8.3", &[]),
            // A later one is no earlier one.
            ("2026.11.0", &[]),
            ("2027.2.0", &[]),
        ] {
            assert_eq!(refused(&desired, &facts(Some(version))), expected, "{version}");
        }
        assert_eq!(
            refused(&desired, &facts(None)),
            [""; 0],
            "what it lacks shows by itself"
        );
        assert_eq!(refused(&web(), &facts(Some("2025.8.6"))), [""; 0]);
    }

    #[test]
    fn what_no_release_can_is_refused() {
        let mut desired = web();
        desired.web_origins = vec!["https://shop.example".to_owned()];
        assert_eq!(
            refused(&desired, &facts(None)),
            [""; 0],
            "a redirect URI has this origin"
        );
        desired.web_origins.push("https://elsewhere.example".to_owned());
        desired.claims = vec![
            claim("roles", ClaimSource::RealmRoles),
            claim("paths", ClaimSource::Groups { full_path: true }),
            claim("email", ClaimSource::Constant("a@b".to_owned())),
            claim("groups", ClaimSource::Groups { full_path: false }),
        ];
        assert_eq!(
            refused(&desired, &facts(None)),
            ["spec.webOrigins", "spec.claims", "spec.claims", "spec.claims"]
        );
    }

    #[test]
    fn scopes_and_algorithms_are_what_the_server_has() {
        let mut desired = web();
        desired.scopes = vec!["openid".to_owned(), "printers".to_owned()];
        desired.optional_scopes = vec!["scanners".to_owned()];
        desired.id_token_alg = Some(SignatureAlgorithm::ES256);
        let mut facts = facts(None);
        facts.scopes = Some(["openid".to_owned()].into());
        facts.discovery.signing_algorithms = ["RS256".to_owned()].into();
        assert_eq!(
            refused(&desired, &facts),
            ["spec.scopes", "spec.optionalScopes", "spec.idTokenSignedResponseAlg"]
        );
    }

    #[test]
    fn grant_types_are_enforced_where_clients_have_them() {
        for (version, expected) in [("2026.2.2", Enforcement::None), ("2026.5.0", Enforcement::Client)] {
            let assessed = model(IssuerMode::PerProvider).assess(&web(), &facts(Some(version)));
            assert_eq!(assessed.enforcement["grantTypes"], expected, "{version}");
        }
    }

    #[test]
    fn each_client_has_its_own_endpoints_and_its_own_issuer_or_that_of_all() {
        let mut known = facts(Some("2026.5.0"));
        known.discovery.signing_algorithms = ["RS256".to_owned()].into();
        let known = Arc::new(known);
        let application = "https://auth.example.com/sso/application/o/shop-2eweb/";
        for (mode, issuer) in [
            (IssuerMode::PerProvider, application),
            (IssuerMode::Global, "https://auth.example.com/sso/"),
        ] {
            let found = model(mode).facts_of("shop.web", &known);
            assert_eq!(found.discovery.issuer, issuer);
            assert_eq!(
                found.discovery.url,
                format!("{application}.well-known/openid-configuration")
            );
            assert_eq!(found.discovery.endpoints.jwks, format!("{application}jwks/"));
            assert_eq!(
                found.discovery.endpoints.token,
                "https://auth.example.com/sso/application/o/token/"
            );
            assert_eq!(found.discovery.signing_algorithms, known.discovery.signing_algorithms);
            assert_eq!(found.server_version, known.server_version);
        }
    }

    /// The fields of each request, until nothing is left.
    fn requests(model: &AuthentikModel, mut observed: ObservedClient, desired: &DesiredClient) -> Vec<Vec<String>> {
        let secret = ClientSecret::new("hunter2");
        let wanted = model.created(desired, Some(&secret));
        let mut requests = Vec::new();
        for _ in 0..20 {
            let request = model.next_request(model.diff(desired, Some(&secret), &observed));
            if request.changes.is_empty() {
                return requests;
            }
            observed = observed.with(&request, &wanted);
            requests.push(request.changes.into_iter().map(|change| change.field).collect());
        }
        panic!("it does not end: {requests:?}");
    }

    #[test]
    fn what_is_needed_comes_first_and_what_nothing_needs_goes_last() {
        let model = model(IssuerMode::PerProvider);
        let secret = ClientSecret::new("hunter2");
        let mut old = web();
        old.claims = vec![
            claim("old", ClaimSource::ClientRoles),
            claim("same", ClaimSource::ClientRoles),
        ];
        let mut new = web();
        new.description = Some("new".to_owned());
        new.lifetimes.access = Some(std::time::Duration::from_secs(90));
        new.claims = vec![
            claim("new", ClaimSource::ClientRoles),
            claim("same", ClaimSource::ClientRoles),
        ];
        assert_eq!(
            requests(&model, model.created(&old, Some(&secret)), &new),
            [
                vec!["claims.new"],
                vec!["tokenLifetimes.accessToken", "usedClaims"],
                vec!["description"],
                vec!["claims.old"],
            ]
        );
    }
}
