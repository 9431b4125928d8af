//! What an issuer can do about which nothing is known but its discovery document. Pure.

use std::collections::BTreeMap;

use crate::domain::{
    Assessment, Capabilities, ClientSecret, DesiredClient, Enforcement, Model, ObservedClient, ProviderFacts, Support,
    Unsupported, Validity,
    client::TokenLifetimes,
    model::{DriftDetection, RotationCapability, created_secret},
};
use crate::idp::{excluded, restricted};

/// The pure half of the driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByHandModel;

/// Fields that say what the provider shall do, or allow: whoever made the client decides that.
const FIELDS: [&str; 16] = [
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
    "claims",
    "logout",
    "tokenLifetimes",
];

impl Model for ByHandModel {
    fn capabilities(&self) -> Capabilities {
        let fields = FIELDS.map(|field| (field, Support::Unsupported));
        Capabilities::new(RotationCapability::Manual, false, fields).with_drift(DriftDetection::None)
    }

    fn made_by_hand(&self) -> bool {
        true
    }

    fn assess(&self, desired: &DesiredClient, facts: &ProviderFacts) -> Assessment {
        Assessment {
            unsupported: unsupported(desired, facts),
            enforcement: enforcement(desired),
        }
    }

    /// Servers differ in that; the scopes are those that the spec names.
    fn refresh_needs_offline_access(&self) -> bool {
        false
    }

    /// The token endpoint, which OpenID Connect Core, section 9, names; not all servers know themselves by their issuer there.
    fn assertion_audience<'a>(&self, facts: &'a ProviderFacts) -> &'a str {
        &facts.discovery.endpoints.token
    }

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            client_id: desired.client_id.clone(),
            remote_id: String::new(),
            marks: Vec::new(),
            secret: created_secret(desired, secret),
            validity: Validity::default(),
            disabled: false,
            fields: BTreeMap::new(),
            handles: BTreeMap::new(),
            registered: None,
        }
    }
}

/// What the provider would have to do for this client, and what its discovery document excludes.
fn unsupported(desired: &DesiredClient, facts: &ProviderFacts) -> Vec<Unsupported> {
    let mut found = Vec::new();
    let mut note = |field: &str, why: String| {
        found.push(Unsupported {
            field: format!("spec.{field}"),
            why,
        });
    };
    let by_hand = [
        ("claims", !desired.claims.is_empty()),
        ("logout", desired.logout.is_some()),
        ("tokenLifetimes", desired.lifetimes != TokenLifetimes::default()),
    ];
    for (field, _) in by_hand.into_iter().filter(|(_, asked)| *asked) {
        note(
            field,
            "its clients are made by hand, so the operator cannot set that: set it there, and leave it out here"
                .to_owned(),
        );
    }
    found.extend(excluded::by_document(desired, &facts.discovery));
    found
}

/// Only what the spec restricts is named. Nothing is known to hold: that is up to whoever made the client.
fn enforcement(desired: &DesiredClient) -> BTreeMap<String, Enforcement> {
    restricted::fields(desired)
        .map(|field| (field.to_owned(), Enforcement::None))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::{
        Discovery, Logout, LogoutChannel, Mark, MarkUid, OwnerId, ResourceName, SignatureAlgorithm,
        TokenEndpointAuthMethod,
    };

    fn desired() -> DesiredClient {
        let mark = Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid("u1".to_owned()),
        };
        DesiredClient {
            redirect_uris: vec!["https://shop/cb".to_owned()],
            ..DesiredClient::new("0oabc", mark)
        }
    }

    fn refused(desired: &DesiredClient, discovery: Discovery) -> Vec<String> {
        let facts = ProviderFacts {
            discovery,
            ..ProviderFacts::default()
        };
        let assessment = ByHandModel.assess(desired, &facts);
        assessment.unsupported.into_iter().map(|field| field.field).collect()
    }

    #[test]
    fn what_the_document_excludes_is_refused_and_what_it_leaves_out_is_not() {
        let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        // As Entra ID's, which names neither grants nor PKCE.
        let entra = Discovery {
            scopes: Some(set(&["openid", "profile", "email", "offline_access"])),
            signing_algorithms: set(&["RS256"]),
            auth_methods: Some(set(&["client_secret_post", "private_key_jwt"])),
            ..Discovery::default()
        };
        let mut client = desired();
        client.scopes = vec!["openid".to_owned(), "api://shop/read".to_owned()];
        client.auth_method = TokenEndpointAuthMethod::ClientSecretPost;
        client.id_token_alg = Some(SignatureAlgorithm::RS256);
        assert!(refused(&client, entra.clone()).is_empty());
        client.auth_method = TokenEndpointAuthMethod::ClientSecretBasic;
        client.id_token_alg = Some(SignatureAlgorithm::ES256);
        assert_eq!(
            refused(&client, entra),
            ["spec.tokenEndpointAuthMethod", "spec.idTokenSignedResponseAlg"]
        );
        assert!(
            refused(&client, Discovery::default()).is_empty(),
            "endpoints by hand say nothing"
        );
    }

    #[test]
    fn what_the_provider_would_have_to_do_is_refused() {
        let mut client = desired();
        client.logout = Some(Logout {
            channel: LogoutChannel::Back,
            uri: "https://shop/logout".to_owned(),
            session_required: true,
        });
        assert_eq!(refused(&client, Discovery::default()), ["spec.logout"]);
    }

    #[test]
    fn nothing_is_known_to_hold() {
        let enforcement = ByHandModel.assess(&desired(), &ProviderFacts::default()).enforcement;
        assert!(
            enforcement
                .values()
                .all(|enforcement| *enforcement == Enforcement::None)
        );
        assert!(enforcement.contains_key("redirectURIs") && !enforcement.contains_key("webOrigins"));
    }
}
