//! What a server with dynamic registration can do. Pure.

use std::collections::BTreeMap;

use super::metadata::Metadata;
use crate::domain::{
    Assessment, Capabilities, ClientSecret, DesiredClient, Enforcement, Model, ObservedClient, ProviderFacts, Support,
    Unsupported, Validity,
    client::TokenLifetimes,
    model::{DriftDetection, RotationCapability, created_secret},
};
use crate::idp::{excluded, restricted};

/// The pure half of the driver.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegistrationModel;

/// Fields that can be asked for. What a server makes of them, it tells in its answer.
const REGISTERED: [&str; 11] = [
    "type",
    "displayName",
    "homepageURI",
    "logoURI",
    "redirectURIs",
    "postLogoutRedirectURIs",
    "grantTypes",
    "tokenEndpointAuthMethod",
    "idTokenSignedResponseAlg",
    "scopes",
    "logout",
];

/// Fields that the protocol has no word for.
const WITHOUT_A_WORD: [&str; 6] = [
    "clientID",
    "description",
    "webOrigins",
    "pkce",
    "claims",
    "tokenLifetimes",
];

impl Model for RegistrationModel {
    fn capabilities(&self) -> Capabilities {
        let registered = REGISTERED.map(|field| (field, Support::PerClient));
        let others = WITHOUT_A_WORD.map(|field| (field, Support::Unsupported));
        Capabilities::new(RotationCapability::Manual, false, registered.into_iter().chain(others))
            .with_drift(DriftDetection::None)
    }

    fn registers(&self) -> bool {
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

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            client_id: desired.client_id.clone(),
            remote_id: desired.client_id.clone(),
            marks: vec![desired.mark.to_string()],
            secret: created_secret(desired, secret),
            validity: Validity::default(),
            disabled: false,
            fields: Metadata::of(desired).fields(),
            handles: BTreeMap::new(),
            registered: None,
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
    let without_a_word = [
        ("claims", !desired.claims.is_empty()),
        ("tokenLifetimes", desired.lifetimes != TokenLifetimes::default()),
    ];
    for (field, _) in without_a_word.into_iter().filter(|(_, asked)| *asked) {
        note(
            field,
            "dynamic registration (RFC 7591) has no word for it: have it set at the server, and leave it out here"
                .to_owned(),
        );
    }
    if desired.has_key() {
        note(
            "tokenEndpointAuthMethod",
            "with dynamic registration the server makes the credentials, which are a shared secret: use client_secret_basic or client_secret_post"
                .to_owned(),
        );
    }
    found.extend(excluded::by_document(desired, &facts.discovery));
    found
}

/// Only what the spec restricts is named. What was registered, the server is told to hold; whether it does, nobody knows of one of
/// which nothing is known.
fn enforcement(desired: &DesiredClient) -> BTreeMap<String, Enforcement> {
    let by = |field: &str| match field {
        "scopes" | "webOrigins" | "pkce" => Enforcement::None,
        _ => Enforcement::Client,
    };
    restricted::fields(desired)
        .map(|field| (field.to_owned(), by(field)))
        .collect()
}
