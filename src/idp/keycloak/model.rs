//! What Keycloak can do, and how a client looks there. Pure.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{
    mappers,
    representation::{self, AUDIENCE, HANDLE_NO_SCOPES, OPTIONAL_SCOPES, SCOPES},
};
use crate::{
    domain::{
        Assessment, Capabilities, ClientSecret, ClientType, DesiredClient, Enforcement, Fields, GrantType, Mark, Model,
        ObservedClient, ObservedSecret, Pkce, ProviderFacts, RemoteDiff, Support, TokenEndpointAuthMethod,
        TokenLifetimes, Unsupported, Validity,
        client::OPENID,
        model::{FieldChange, RotationCapability, SECRET, created_secret},
    },
    idp::normal_form::CLAIMS,
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
        let fields = fields.map(|field| (field, Support::PerClient));
        Capabilities::new(RotationCapability::Atomic, true, fields)
    }

    /// Where the realm has a client policy with the executor `secret-rotation`.
    fn may_overlap(&self) -> bool {
        true
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

    fn chosen_id(&self, mark: &Mark) -> Option<String> {
        Some(self.uuid(mark))
    }

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            client_id: desired.client_id.clone(),
            remote_id: self.uuid(&desired.mark),
            marks: vec![desired.mark.to_string()],
            secret: created_secret(desired, secret),
            validity: Validity {
                secret_until: None,
                previous_until: desired.previous.as_ref().map(|previous| previous.until),
            },
            disabled: false,
            fields: Self::fields(desired),
            handles: BTreeMap::new(),
            registered: None,
        }
    }

    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff {
        let wanted = self.created(desired, secret);
        let mut diff = RemoteDiff::between(observed, &wanted, |_| false);
        // A secret that is kept from us says nothing; that there are keys to be in its place, does.
        if diff.changes(representation::AUTH_METHOD)
            && !diff.changes(SECRET)
            && matches!(wanted.secret, ObservedSecret::Keys(_))
        {
            diff.changes.push(FieldChange {
                field: SECRET.to_owned(),
                from: "not shown".to_owned(),
                to: "ours".to_owned(),
            });
        }
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
    let methods = facts.discovery.auth_methods.as_ref();
    if desired.has_key() && methods.is_some_and(|methods| !methods.contains(desired.auth_method.as_str())) {
        note(
            "tokenEndpointAuthMethod",
            "this Keycloak does not offer private_key_jwt".to_owned(),
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
        && facts.discovery.excludes(algorithm)
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
    if desired.has_key() {
        note("tokenEndpointAuthMethod", Enforcement::Client);
    } else if desired.auth_method != TokenEndpointAuthMethod::None {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{Discovery, MarkUid, OwnerId, ResourceName, SignatureAlgorithm};

    fn mark(uid: &str) -> Mark {
        Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid(uid.to_owned()),
        }
    }

    fn web() -> DesiredClient {
        DesiredClient {
            redirect_uris: vec!["https://shop/cb".to_owned()],
            ..DesiredClient::new("shop_web", mark("u1"))
        }
    }

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn facts() -> ProviderFacts {
        ProviderFacts {
            provider_type: "Keycloak",
            discovery: Discovery {
                grant_types: Some(set(&[
                    "authorization_code",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                    GRANT_OF_NEWER_SERVERS,
                ])),
                signing_algorithms: set(&["RS256", "ES256"]),
                ..Discovery::default()
            },
            internal_issuer: None,
            keys: Vec::new(),
            ca_bundle: String::new(),
            ca_bundle_with_system_roots: "".into(),
            ca_expiry: None,
            username_claim: "preferred_username".to_owned(),
            insecure_endpoints_allowed: false,
            scopes: Some(set(&["profile", "email", "phone"])),
            server_version: None,
        }
    }

    fn model() -> KeycloakModel {
        KeycloakModel::new("apps")
    }

    #[test]
    fn ids_are_uuids_and_differ_by_mark_and_realm() {
        let id = model().uuid(&mark("u1"));
        let groups: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(&id[14..15], "8", "the version");
        assert!("89ab".contains(&id[19..20]), "the variant: {id}");
        assert_eq!(id, model().uuid(&mark("u1")));
        assert_ne!(id, model().uuid(&mark("u2")));
        assert_ne!(id, KeycloakModel::new("other").uuid(&mark("u1")));
    }

    /// Some callers are shown no secrets. That there are to be keys in their place is reason enough to write those.
    #[test]
    fn keys_are_set_where_a_secret_is_kept_from_us() {
        let with_key = DesiredClient {
            auth_method: TokenEndpointAuthMethod::PrivateKeyJwt,
            ..web()
        };
        let key = ClientSecret::generate_for(with_key.auth_method);
        let mut observed = model().created(&web(), Some(&ClientSecret::new("hunter2")));
        observed.secret = ObservedSecret::NotShown;
        let diff = model().diff(&with_key, Some(&key), &observed);
        assert!(
            diff.changes(representation::AUTH_METHOD) && diff.changes(SECRET),
            "{diff:?}"
        );
        let done = model().created(&with_key, Some(&key));
        assert_eq!(model().diff(&with_key, Some(&key), &done), RemoteDiff::default());
    }

    #[test]
    fn keys_need_a_server_that_takes_them() {
        let with_key = DesiredClient {
            auth_method: TokenEndpointAuthMethod::PrivateKeyJwt,
            ..web()
        };
        assert_eq!(refused(&with_key), Vec::<String>::new());
        let mut facts = facts();
        facts.discovery.auth_methods = Some(set(&["client_secret_basic"]));
        let found = model().assess(&with_key, &facts).unsupported;
        assert_eq!(found[0].field, "spec.tokenEndpointAuthMethod");
        assert_eq!(
            model().assess(&with_key, &facts).enforcement["tokenEndpointAuthMethod"],
            Enforcement::Client,
            "no secret is taken, by whatever method"
        );
    }

    fn refused(desired: &DesiredClient) -> Vec<String> {
        let found = model().assess(desired, &facts()).unsupported;
        found
            .into_iter()
            .map(|found| format!("{}: {}", found.field, found.why))
            .collect()
    }

    #[test]
    fn what_cannot_work_is_named() {
        assert_eq!(refused(&web()), Vec::<String>::new());
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let long = "x".repeat(MAX_TEXT + 1);
        for (desired, told) in [
            (
                DesiredClient {
                    scopes: texts(&["openid", "nope"]),
                    ..web()
                },
                "spec.scopes: the realm has no client scope nope",
            ),
            (
                DesiredClient {
                    optional_scopes: texts(&["nope"]),
                    ..web()
                },
                "spec.optionalScopes: the realm has no client scope nope",
            ),
            (
                DesiredClient {
                    grant_types: [GrantType::DeviceCode].into(),
                    ..web()
                },
                "spec.grantTypes: this Keycloak does not offer the grant urn:ietf:params:oauth:grant-type:device_code",
            ),
            (
                DesiredClient {
                    grant_types: [GrantType::TokenExchange].into(),
                    client_type: ClientType::Public,
                    ..web()
                },
                "spec.grantTypes: Keycloak exchanges tokens for confidential clients only",
            ),
            (
                DesiredClient {
                    display_name: Some(long.clone()),
                    ..web()
                },
                "spec.displayName: Keycloak keeps at most 255 characters of each",
            ),
            (
                DesiredClient {
                    redirect_uris: vec![format!("https://{long}")],
                    ..web()
                },
                "spec.redirectURIs: Keycloak keeps at most 255 characters of each",
            ),
        ] {
            let found = refused(&desired);
            assert!(found.len() == 1 && found[0].starts_with(told), "{found:?}, not {told}");
        }
    }

    #[test]
    fn scopes_that_cannot_be_listed_refuse_nothing() {
        let mut facts = facts();
        facts.scopes = None;
        let desired = DesiredClient {
            scopes: vec!["openid".to_owned(), "nope".to_owned()],
            ..web()
        };
        assert_eq!(model().assess(&desired, &facts).unsupported, []);
    }

    #[test]
    fn an_older_server_does_not_bind_the_method() {
        let by = |facts: &ProviderFacts| model().assess(&web(), facts).enforcement["tokenEndpointAuthMethod"];
        assert_eq!(by(&facts()), Enforcement::Client);
        let mut older = facts();
        older.discovery.grant_types = Some(set(&["authorization_code"]));
        assert_eq!(by(&older), Enforcement::None);
    }

    #[test]
    fn enforcement_names_what_the_spec_restricts() {
        let narrow = DesiredClient {
            pkce: Pkce::Required,
            id_token_alg: Some(SignatureAlgorithm::ES256),
            lifetimes: TokenLifetimes {
                access: Some(std::time::Duration::from_secs(60)),
                refresh: None,
            },
            ..web()
        };
        let named: Vec<String> = model().assess(&narrow, &facts()).enforcement.into_keys().collect();
        assert_eq!(
            named,
            [
                "grantTypes",
                "idTokenSignedResponseAlg",
                "pkce",
                "postLogoutRedirectURIs",
                "redirectURIs",
                "scopes",
                "tokenEndpointAuthMethod",
                "tokenLifetimes",
                "type",
                "webOrigins"
            ]
        );
    }

    #[test]
    fn hidden_scopes_are_no_drift() {
        let desired = DesiredClient {
            scopes: vec!["openid".to_owned(), "profile".to_owned()],
            ..web()
        };
        let mut observed = model().created(&desired, None);
        observed.fields.remove("scopes.profile");
        assert_eq!(model().diff(&desired, None, &observed).changes.len(), 1);
        observed.handles.insert(HANDLE_NO_SCOPES.to_owned(), "true".to_owned());
        assert_eq!(model().diff(&desired, None, &observed), RemoteDiff::default());
        observed.fields.insert("displayName".to_owned(), "Evil".to_owned());
        assert_eq!(
            model().diff(&desired, None, &observed).changes.len(),
            1,
            "all else counts"
        );
    }

    #[test]
    fn a_request_changes_the_representation_or_one_part() {
        let change = |field: &str, to: &str| FieldChange {
            field: field.to_owned(),
            from: "x".to_owned(),
            to: to.to_owned(),
        };
        let mut open = vec![
            change("claims.a", "y"),
            change("displayName", "y"),
            change("optionalScopes.phone", "y"),
            change("scopes.phone", ""),
            change("secret", "ours"),
        ];
        let mut requests = Vec::new();
        while !open.is_empty() {
            let diff = RemoteDiff {
                changes: open.clone(),
                recreate: false,
            };
            let next: Vec<String> = model()
                .next_request(diff)
                .changes
                .into_iter()
                .map(|change| change.field)
                .collect();
            open.retain(|change| !next.contains(&change.field));
            requests.push(next.join(" "));
        }
        assert_eq!(
            requests,
            ["displayName secret", "scopes.phone", "claims.a", "optionalScopes.phone"]
        );
    }
}
