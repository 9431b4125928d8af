//! What Dex can do, and what separates a client from its spec. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::proto;
use crate::{
    domain::{
        Assessment, Capabilities, ClientSecret, ClientType, DesiredClient, Enforcement, GrantType, Mark, Model,
        ObservedClient, ObservedSecret, Pkce, ProviderFacts, RemoteDiff, Support, TokenEndpointAuthMethod, Unsupported,
        Validity,
        client::{FIELD_TYPE, OPENID, TokenLifetimes},
        model::{FieldChange, MARK, RotationCapability, SECRET, created_secret},
    },
    idp::normal_form::{DISPLAY_NAME, LOGO_URI, REDIRECT_URIS},
};

/// Scopes that Dex knows whatever its discovery document lists (`server/oauth2.go`).
const UNLISTED_SCOPES: &[&str] = &["federated:id"];

/// Asks for tokens whose audience is another client (`server/oauth2.go`, `scopeCrossClientPrefix`).
const CROSS_CLIENT_PREFIX: &str = "audience:server:client_id:";

/// Where Dex sends a user of the device flow. It is checked against the client's redirect URIs like any other
/// (`server/deviceflowhandlers.go`), so a client that uses the grant must have it.
const DEVICE_CALLBACK: &str = "/device/callback";

/// The pure half of the Dex driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct DexModel;

impl Model for DexModel {
    fn capabilities(&self) -> Capabilities {
        let fields = [
            ("clientID", Support::PerClient),
            ("type", Support::PerClient),
            ("displayName", Support::PerClient),
            ("logoURI", Support::PerClient),
            ("redirectURIs", Support::PerClient),
            ("grantTypes", Support::ProviderWide),
            ("scopes", Support::ProviderWide),
            ("idTokenSignedResponseAlg", Support::ProviderWide),
            // Both work; neither can be demanded.
            ("pkce", Support::Unsupported),
            ("tokenEndpointAuthMethod", Support::Unsupported),
            ("claims", Support::Unsupported),
            ("logout", Support::Unsupported),
            ("postLogoutRedirectURIs", Support::Unsupported),
            ("webOrigins", Support::ProviderWide),
            ("tokenLifetimes", Support::ProviderWide),
        ];
        Capabilities::new(RotationCapability::Recreate, true, fields)
    }

    fn assess(&self, desired: &DesiredClient, facts: &ProviderFacts) -> Assessment {
        Assessment {
            unsupported: unsupported(desired, facts),
            enforcement: enforcement(desired, facts),
        }
    }

    fn refresh_needs_offline_access(&self) -> bool {
        true
    }

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            secret: created_secret(desired, secret),
            ..observe(&create_request(desired, secret))
        }
    }

    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff {
        RemoteDiff::between(observed, &self.created(desired, secret), needs_a_new_client)
    }
}

/// `UpdateClient` changes neither the secret nor the type, and leaves what is sent empty as it is.
fn needs_a_new_client(change: &FieldChange) -> bool {
    match change.field.as_str() {
        SECRET | FIELD_TYPE => true,
        REDIRECT_URIS | DISPLAY_NAME | LOGO_URI => change.to.is_empty(),
        _ => false,
    }
}

pub(super) const TRUSTED_PEERS: &str = "trustedPeers";

fn wanted_secret<'a>(desired: &DesiredClient, secret: Option<&'a ClientSecret>) -> Option<&'a ClientSecret> {
    secret.filter(|_| desired.has_secret())
}

fn registered_redirect_uris(desired: &DesiredClient) -> Vec<String> {
    let mut uris = desired.redirect_uris.clone();
    if desired.uses(GrantType::DeviceCode) && !uris.iter().any(|uri| uri == DEVICE_CALLBACK) {
        uris.push(DEVICE_CALLBACK.to_owned());
    }
    uris
}

fn unsupported(desired: &DesiredClient, facts: &ProviderFacts) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut note = |field: &str, why: String| {
        found.push(Unsupported {
            field: format!("spec.{field}"),
            why,
        })
    };
    let discovery = &facts.discovery;
    if desired.has_key() {
        note(
            "tokenEndpointAuthMethod",
            "Dex knows shared secrets only: use client_secret_basic or client_secret_post".to_owned(),
        );
    }
    if let Some(supported) = &discovery.grant_types {
        for grant in desired
            .grant_types
            .iter()
            .filter(|grant| !supported.contains(grant.as_str()))
        {
            note(
                "grantTypes",
                format!("this Dex does not offer the grant {}", grant.as_str()),
            );
        }
    }
    if desired.uses(GrantType::DeviceCode)
        && desired.client_type == ClientType::Confidential
        && has_path(&discovery.issuer)
    {
        // `server/oauth2.go` completes the callback with the issuer's path for public clients only.
        note(
            "grantTypes",
            "Dex sends users of a confidential client's device flow to a wrong address where the issuer has a path; use type Public"
                .to_owned(),
        );
    }
    let scopes = desired.scopes.iter().map(|scope| ("scopes", scope));
    let optional = desired.optional_scopes.iter().map(|scope| ("optionalScopes", scope));
    for (field, scope) in scopes.chain(optional) {
        if scope.starts_with(CROSS_CLIENT_PREFIX) {
            note(
                field,
                format!("{scope} would widen the audience of tokens to another client, which is not offered"),
            );
        } else if let Some(supported) = &discovery.scopes
            && !supported.contains(scope)
            && !UNLISTED_SCOPES.contains(&scope.as_str())
        {
            note(
                field,
                format!("Dex does not know the scope {scope} and would refuse every login that asks for it"),
            );
        }
    }
    if desired.uses(GrantType::AuthorizationCode) && !desired.scopes.iter().any(|scope| scope == OPENID) {
        note(
            "scopes",
            "Dex refuses every login that does not ask for the scope openid".to_owned(),
        );
    }
    if let Some(algorithm) = desired.id_token_alg
        && discovery.excludes(algorithm)
    {
        let offered = discovery
            .signing_algorithms
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        note(
            "idTokenSignedResponseAlg",
            format!(
                "this Dex signs with {offered}, for all clients, not {}",
                algorithm.as_str()
            ),
        );
    }
    if !desired.claims.is_empty() {
        note(
            "claims",
            "Dex has no custom claims: a token carries what the connector and the scopes give".to_owned(),
        );
    }
    if desired.logout.is_some() {
        note("logout", "Dex tells no application that a session ended".to_owned());
    }
    if !desired.post_logout_redirect_uris.is_empty() {
        note(
            "postLogoutRedirectURIs",
            "Dex has no logout to come back from".to_owned(),
        );
    }
    found
}

fn has_path(issuer: &str) -> bool {
    url::Url::parse(issuer).is_ok_and(|url| url.path() != "/")
}

/// Only what the spec restricts is named: a field is `None` where Dex would let this client do more than it says.
fn enforcement(desired: &DesiredClient, facts: &ProviderFacts) -> BTreeMap<String, Enforcement> {
    let discovery = &facts.discovery;
    let mut enforced = BTreeMap::new();
    let mut note = |field: &str, by: Enforcement| enforced.insert(field.to_owned(), by);
    let provider_if = |exactly: bool| {
        if exactly {
            Enforcement::Provider
        } else {
            Enforcement::None
        }
    };

    note("type", Enforcement::Client);
    // A public client without redirect URIs may use any on loopback, and the out-of-band one (`validateRedirectURI`).
    let any_loopback = desired.client_type == ClientType::Public && registered_redirect_uris(desired).is_empty();
    note(
        "redirectURIs",
        if any_loopback {
            Enforcement::None
        } else {
            Enforcement::Client
        },
    );
    // Grants and scopes are the same for all clients of a Dex.
    let wanted: BTreeSet<&str> = desired.grant_types.iter().map(|grant| grant.as_str()).collect();
    note(
        "grantTypes",
        provider_if(offers_no_more(discovery.grant_types.as_ref(), &wanted)),
    );
    let scopes = desired.requested_scopes(true);
    let wanted: BTreeSet<&str> = scopes.iter().map(String::as_str).collect();
    note(
        "scopes",
        provider_if(offers_no_more(discovery.scopes.as_ref(), &wanted)),
    );
    if desired.pkce == Pkce::Required {
        note("pkce", Enforcement::None);
    }
    if desired.auth_method != TokenEndpointAuthMethod::None {
        let wanted = BTreeSet::from([desired.auth_method.as_str()]);
        note(
            "tokenEndpointAuthMethod",
            provider_if(offers_no_more(discovery.auth_methods.as_ref(), &wanted)),
        );
    }
    // One setting for all clients, which Dex shows to nobody.
    if desired.lifetimes != TokenLifetimes::default() {
        note("tokenLifetimes", Enforcement::None);
    }
    if !desired.web_origins.is_empty() {
        note("webOrigins", Enforcement::None);
    }
    if let Some(algorithm) = desired.id_token_alg {
        let wanted = BTreeSet::from([algorithm.as_str()]);
        note(
            "idTokenSignedResponseAlg",
            provider_if(offers_no_more(Some(&discovery.signing_algorithms), &wanted)),
        );
    }
    enforced
}

/// Is all that the provider offers wanted? Where the document does not say, nobody knows: no.
fn offers_no_more(offered: Option<&BTreeSet<String>>, wanted: &BTreeSet<&str>) -> bool {
    offered.is_some_and(|offered| offered.iter().all(|value| wanted.contains(value.as_str())))
}

/// The client as `CreateClient` takes it.
pub(super) fn create_request(desired: &DesiredClient, secret: Option<&ClientSecret>) -> proto::Client {
    proto::Client {
        id: desired.client_id.clone(),
        secret: wanted_secret(desired, secret)
            .map(|secret| secret.expose().to_owned())
            .unwrap_or_default(),
        redirect_uris: registered_redirect_uris(desired),
        trusted_peers: vec![desired.mark.to_string()],
        public: desired.client_type == ClientType::Public,
        name: desired.display_name.clone().unwrap_or_default(),
        logo_url: desired.logo_uri.clone().unwrap_or_default(),
    }
}

/// The changes as `UpdateClient` takes them: what is empty stays as it is (a diff that would clear something asks for a
/// re-creation instead), and lists replace lists, so peers that are not ours go with the next mark.
pub(super) fn update_request(desired: &DesiredClient, diff: &RemoteDiff) -> proto::UpdateClientReq {
    let wanted = create_request(desired, None);
    proto::UpdateClientReq {
        id: wanted.id,
        redirect_uris: kept_if(diff.changes(REDIRECT_URIS), wanted.redirect_uris),
        trusted_peers: kept_if(diff.changes(MARK) || diff.changes(TRUSTED_PEERS), wanted.trusted_peers),
        name: kept_if(diff.changes(DISPLAY_NAME), wanted.name),
        logo_url: kept_if(diff.changes(LOGO_URI), wanted.logo_url),
    }
}

fn kept_if<T: Default>(changes: bool, value: T) -> T {
    if changes { value } else { T::default() }
}

/// What `GetClient` shows.
pub(super) fn observe(client: &proto::Client) -> ObservedClient {
    let secret = match client.secret.as_str() {
        "" => ObservedSecret::Absent,
        secret => ObservedSecret::Shown(ClientSecret::new(secret)),
    };
    observed(
        &client.id,
        &client.redirect_uris,
        &client.trusted_peers,
        client.public,
        [&client.name, &client.logo_url],
        secret,
    )
}

/// What `ListClients` shows: all but the secret.
pub(super) fn observe_listed(client: &proto::ClientInfo) -> ObservedClient {
    let texts = [&client.name, &client.logo_url];
    observed(
        &client.id,
        &client.redirect_uris,
        &client.trusted_peers,
        client.public,
        texts,
        ObservedSecret::NotShown,
    )
}

/// A client's normal form, from what Dex keeps of it. Marks stand among the trusted peers.
pub(super) fn observed(
    id: &str,
    redirect_uris: &[String],
    trusted_peers: &[String],
    public: bool,
    [name, logo]: [&String; 2],
    secret: ObservedSecret,
) -> ObservedClient {
    let (marks, peers): (Vec<String>, Vec<String>) = trusted_peers
        .iter()
        .cloned()
        .partition(|peer| Mark::looks_like_one(peer));
    let type_ = if public {
        ClientType::Public
    } else {
        ClientType::Confidential
    };
    let fields = [
        (FIELD_TYPE, type_.as_str().to_owned()),
        (DISPLAY_NAME, name.clone()),
        (LOGO_URI, logo.clone()),
        (REDIRECT_URIS, redirect_uris.join(" ")),
        (TRUSTED_PEERS, peers.join(" ")),
    ];
    ObservedClient {
        client_id: id.to_owned(),
        remote_id: id.to_owned(),
        marks,
        secret,
        validity: Validity::default(),
        disabled: false,
        fields: fields
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(field, value)| (field.to_owned(), value))
            .collect(),
        handles: BTreeMap::new(),
        registered: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        Claim, ClaimSource, ClaimToken, Discovery, OwnerId, ResourceName, SignatureAlgorithm, mark::MarkUid,
    };

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    fn mark(uid: &str) -> Mark {
        Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid(uid.to_owned()),
        }
    }

    fn web() -> DesiredClient {
        DesiredClient {
            display_name: Some("Shop".to_owned()),
            logo_uri: Some("https://shop/logo.png".to_owned()),
            redirect_uris: vec!["https://shop/cb".to_owned()],
            ..DesiredClient::new("shop_web", mark("u1"))
        }
    }

    fn secret() -> ClientSecret {
        ClientSecret::new("hunter2")
    }

    /// Dex 2.45.1 as it comes.
    fn dex() -> ProviderFacts {
        ProviderFacts {
            provider_type: "Dex",
            discovery: Discovery {
                issuer: "https://dex.example.com/dex".to_owned(),
                scopes: Some(set(&["openid", "email", "groups", "profile", "offline_access"])),
                grant_types: Some(set(&[
                    "authorization_code",
                    "refresh_token",
                    "urn:ietf:params:oauth:grant-type:device_code",
                    "urn:ietf:params:oauth:grant-type:token-exchange",
                ])),
                signing_algorithms: set(&["RS256"]),
                auth_methods: Some(set(&["client_secret_basic", "client_secret_post"])),
                ..Discovery::default()
            },
            internal_issuer: None,
            keys: Vec::new(),
            ca_bundle: String::new(),
            ca_bundle_with_system_roots: "".into(),
            ca_expiry: None,
            username_claim: "preferred_username".to_owned(),
            insecure_endpoints_allowed: false,
            scopes: None,
            server_version: None,
        }
    }

    fn set_field(client: &mut ObservedClient, field: &str, value: &str) {
        if value.is_empty() {
            client.fields.remove(field);
        } else {
            client.fields.insert(field.to_owned(), value.to_owned());
        }
    }

    fn fields(fields: &[&str]) -> Vec<String> {
        fields.iter().map(|field| (*field).to_owned()).collect()
    }

    /// What separates `web()` from how it was observed, and does it need a re-creation?
    fn diff(desired: &DesiredClient, observed: &ObservedClient) -> (Vec<String>, bool) {
        let diff = DexModel.diff(desired, Some(&secret()), observed);
        (
            diff.changes.into_iter().map(|change| change.field).collect(),
            diff.recreate,
        )
    }

    fn changed(change: impl FnOnce(&mut ObservedClient)) -> (Vec<String>, bool) {
        let mut observed = DexModel.created(&web(), Some(&secret()));
        change(&mut observed);
        diff(&web(), &observed)
    }

    #[test]
    fn nothing_differs_after_a_create() {
        assert_eq!(changed(|_| {}), (vec![], false));
    }

    #[test]
    fn some_things_change_in_place() {
        assert_eq!(
            changed(|c| set_field(c, "redirectURIs", "")),
            (fields(&["redirectURIs"]), false)
        );
        assert_eq!(
            changed(|c| set_field(c, "redirectURIs", "https://shop/cb https://evil")),
            (fields(&["redirectURIs"]), false)
        );
        assert_eq!(
            changed(|c| set_field(c, "displayName", "Evil")),
            (fields(&["displayName"]), false)
        );
        assert_eq!(changed(|c| set_field(c, "logoURI", "")), (fields(&["logoURI"]), false));
        assert_eq!(changed(|c| c.marks.clear()), (fields(&["mark"]), false));
        assert_eq!(
            changed(|c| c.marks = vec![mark("u0").to_string()]),
            (fields(&["mark"]), false)
        );
        assert_eq!(
            changed(|c| set_field(c, "trustedPeers", "evil")),
            (fields(&["trustedPeers"]), false)
        );
    }

    #[test]
    fn others_need_a_new_client() {
        assert_eq!(
            changed(|c| c.secret = ObservedSecret::Shown(ClientSecret::new("x"))),
            (fields(&["secret"]), true)
        );
        assert_eq!(
            changed(|c| c.secret = ObservedSecret::Absent),
            (fields(&["secret"]), true)
        );
        assert_eq!(changed(|c| set_field(c, "type", "Public")), (fields(&["type"]), true));

        let observed = DexModel.created(&web(), Some(&secret()));
        let no_name = DesiredClient {
            display_name: None,
            ..web()
        };
        assert_eq!(diff(&no_name, &observed), (fields(&["displayName"]), true));
        let no_logo = DesiredClient {
            logo_uri: None,
            ..web()
        };
        assert_eq!(diff(&no_logo, &observed), (fields(&["logoURI"]), true));
        let no_uris = DesiredClient {
            redirect_uris: Vec::new(),
            ..web()
        };
        assert_eq!(diff(&no_uris, &observed), (fields(&["redirectURIs"]), true));
        let public = DesiredClient {
            client_type: ClientType::Public,
            ..web()
        };
        assert_eq!(diff(&public, &observed), (fields(&["type", "secret"]), true));
    }

    #[test]
    fn a_list_says_nothing_of_secrets() {
        assert_eq!(changed(|c| c.secret = ObservedSecret::NotShown), (vec![], false));
        let observed = DexModel.created(&web(), Some(&secret()));
        assert_eq!(
            DexModel.diff(&web(), None, &observed),
            RemoteDiff::default(),
            "nor does a plan without one"
        );
    }

    #[test]
    fn a_diff_never_shows_a_secret() {
        let mut observed = DexModel.created(&web(), Some(&secret()));
        observed.secret = ObservedSecret::Shown(ClientSecret::new("hunter3"));
        let printed = format!("{:?}", DexModel.diff(&web(), Some(&secret()), &observed));
        assert!(printed.contains("secret") && !printed.contains("hunter"), "{printed}");
    }

    #[test]
    fn a_public_client_gets_no_secret() {
        let public = DesiredClient {
            client_type: ClientType::Public,
            ..web()
        };
        assert_eq!(create_request(&public, Some(&secret())).secret, "");
        let created = DexModel.created(&public, Some(&secret()));
        assert_eq!(created.secret, ObservedSecret::Absent);
        assert_eq!(DexModel.diff(&public, Some(&secret()), &created), RemoteDiff::default());
    }

    #[test]
    fn marks_are_told_from_peers() {
        let client = proto::Client {
            trusted_peers: vec![
                "peer".to_owned(),
                mark("u1").to_string(),
                "oidc-operator.io/unreadable".to_owned(),
            ],
            ..create_request(&web(), Some(&secret()))
        };
        let observed = observe(&client);
        assert_eq!(
            observed.marks,
            [mark("u1").to_string(), "oidc-operator.io/unreadable".to_owned()]
        );
        assert_eq!(observed.fields["trustedPeers"], "peer");
        assert_eq!(
            observed.ownership(&mark("u1")),
            crate::domain::Ownership::Foreign,
            "two marks are nobody's"
        );
    }

    #[test]
    fn the_device_flow_gets_its_redirect_uri() {
        let device = DesiredClient {
            client_type: ClientType::Public,
            grant_types: BTreeSet::from([GrantType::DeviceCode]),
            redirect_uris: Vec::new(),
            ..web()
        };
        assert_eq!(create_request(&device, None).redirect_uris, ["/device/callback"]);
        assert_eq!(
            update_request(&device, &DexModel.diff(&device, None, &DexModel.created(&web(), None))).redirect_uris,
            ["/device/callback"]
        );
        assert_eq!(
            DexModel.diff(&device, None, &DexModel.created(&device, None)),
            RemoteDiff::default()
        );
        let listed = DesiredClient {
            redirect_uris: vec!["/device/callback".to_owned()],
            ..device
        };
        assert_eq!(create_request(&listed, None).redirect_uris, ["/device/callback"]);
    }

    fn refused(desired: &DesiredClient, facts: &ProviderFacts) -> Vec<(String, String)> {
        DexModel
            .assess(desired, facts)
            .unsupported
            .into_iter()
            .map(|u| (u.field, u.why))
            .collect()
    }

    #[test]
    fn what_cannot_work_is_named() {
        assert_eq!(refused(&web(), &dex()), vec![]);
        let machine = BTreeSet::from([GrantType::AuthorizationCode, GrantType::ClientCredentials]);
        let scopes = |scopes: &[&str]| scopes.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>();
        for (desired, field, told) in [
            (
                DesiredClient {
                    grant_types: machine,
                    ..web()
                },
                "spec.grantTypes",
                "client_credentials",
            ),
            (
                DesiredClient {
                    claims: vec![Claim {
                        name: "department".to_owned(),
                        source: ClaimSource::UserAttribute("department".to_owned()),
                        tokens: BTreeSet::from([ClaimToken::IDToken]),
                    }],
                    ..web()
                },
                "spec.claims",
                "no custom claims",
            ),
            (
                DesiredClient {
                    scopes: scopes(&["openid", "roles"]),
                    ..web()
                },
                "spec.scopes",
                "roles",
            ),
            (
                DesiredClient {
                    scopes: scopes(&["openid", "audience:server:client_id:other"]),
                    ..web()
                },
                "spec.scopes",
                "widen the audience",
            ),
            (
                DesiredClient {
                    scopes: scopes(&["email"]),
                    ..web()
                },
                "spec.scopes",
                "openid",
            ),
            (
                DesiredClient {
                    id_token_alg: Some(SignatureAlgorithm::ES256),
                    ..web()
                },
                "spec.idTokenSignedResponseAlg",
                "RS256",
            ),
            (
                DesiredClient {
                    grant_types: BTreeSet::from([GrantType::DeviceCode]),
                    ..web()
                },
                "spec.grantTypes",
                "type Public",
            ),
        ] {
            let found = refused(&desired, &dex());
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].0 == field && found[0].1.contains(told),
                "{found:?} should tell {field} {told}"
            );
        }
        let known = DesiredClient {
            scopes: scopes(&["openid", "groups", "federated:id"]),
            ..web()
        };
        assert_eq!(refused(&known, &dex()), vec![]);
    }

    #[test]
    fn a_document_that_says_nothing_refuses_nothing() {
        let mut facts = dex();
        (facts.discovery.grant_types, facts.discovery.scopes) = (None, None);
        let desired = DesiredClient {
            scopes: vec!["openid".to_owned(), "roles".to_owned()],
            ..web()
        };
        assert_eq!(refused(&desired, &facts), vec![]);
    }

    fn enforced(desired: &DesiredClient, facts: &ProviderFacts) -> Vec<(String, Enforcement)> {
        DexModel.assess(desired, facts).enforcement.into_iter().collect()
    }

    #[test]
    fn enforcement_is_honest() {
        let owned = |list: &[(&str, Enforcement)]| list.iter().map(|(f, e)| ((*f).to_owned(), *e)).collect::<Vec<_>>();
        let pkce = DesiredClient {
            pkce: Pkce::Required,
            ..web()
        };
        assert_eq!(
            enforced(&pkce, &dex()),
            owned(&[
                ("grantTypes", Enforcement::None),
                ("pkce", Enforcement::None),
                ("redirectURIs", Enforcement::Client),
                ("scopes", Enforcement::None),
                ("tokenEndpointAuthMethod", Enforcement::None),
                ("type", Enforcement::Client),
            ])
        );

        let mut narrow = dex();
        narrow.discovery.grant_types = Some(set(&["authorization_code"]));
        narrow.discovery.scopes = Some(set(&["openid"]));
        let alg = DesiredClient {
            id_token_alg: Some(SignatureAlgorithm::RS256),
            ..web()
        };
        assert_eq!(
            enforced(&alg, &narrow),
            owned(&[
                ("grantTypes", Enforcement::Provider),
                ("idTokenSignedResponseAlg", Enforcement::Provider),
                ("redirectURIs", Enforcement::Client),
                ("scopes", Enforcement::Provider),
                ("tokenEndpointAuthMethod", Enforcement::None),
                ("type", Enforcement::Client),
            ])
        );
    }

    #[test]
    fn a_public_client_without_redirect_uris_may_use_any_on_loopback() {
        let public = DesiredClient {
            client_type: ClientType::Public,
            auth_method: TokenEndpointAuthMethod::None,
            redirect_uris: Vec::new(),
            ..web()
        };
        let enforced: BTreeMap<_, _> = enforced(&public, &dex()).into_iter().collect();
        assert_eq!(enforced["redirectURIs"], Enforcement::None);
        assert_eq!(enforced.get("tokenEndpointAuthMethod"), None);
    }
}
