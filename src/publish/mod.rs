//! Renders what applications find: the data of the output Secret and of the output ConfigMap. Pure.
//!
//! Empty values write no key. The formats and whom they serve: docs/outputs.md.

use std::collections::BTreeMap;

use crate::{
    api::common::CA_BUNDLE_KEY,
    domain::{ClientSecret, DesiredClient, ProviderFacts, vocabulary::KEY_CLIENT_SECRET},
};

/// Data of an output, sorted by key.
pub type Data = BTreeMap<String, Vec<u8>>;

/// The second name of the CA bundle: what most charts mount.
const CA_KEY: &str = "ca.crt";

/// The data of the Secret in format `default`: Service Binding's entry names, with the meanings that Spring Cloud
/// Bindings gives them for type `oauth2`. A public client gets no `client-secret`. `requested_scopes`: what the application
/// must ask for.
pub fn secret(
    desired: &DesiredClient,
    requested_scopes: &[String],
    facts: &ProviderFacts,
    secret: Option<&ClientSecret>,
) -> Data {
    let mut data = Data::new();
    let mut put = |key: &str, value: &str| {
        if !value.is_empty() {
            data.insert(key.to_owned(), value.as_bytes().to_vec());
        }
    };
    put("type", "oauth2");
    put("provider", &facts.provider_type.to_lowercase());
    put("client-id", &desired.client_id);
    if desired.has_secret() {
        put(KEY_CLIENT_SECRET, secret.map_or("", ClientSecret::expose));
    }
    put("scope", &requested_scopes.join(" "));
    put("redirect-uri", desired.redirect_uris.first().map_or("", String::as_str));
    for (key, value) in endpoints(facts) {
        if key != "end-session-uri" {
            put(key, value);
        }
    }
    data
}

/// The data of the ConfigMap: the CA bundle under both of its usual names, the issuer and its endpoints.
pub fn config_map(facts: &ProviderFacts) -> Data {
    let mut data = Data::new();
    let values = [
        (CA_BUNDLE_KEY, facts.ca_bundle.as_str()),
        (CA_KEY, facts.ca_bundle.as_str()),
        ("discovery-url", facts.discovery.url.as_str()),
    ];
    for (key, value) in values.into_iter().chain(endpoints(facts)) {
        if !value.is_empty() {
            data.insert(key.to_owned(), value.as_bytes().to_vec());
        }
    }
    data
}

fn endpoints(facts: &ProviderFacts) -> [(&'static str, &str); 6] {
    let endpoints = &facts.discovery.endpoints;
    [
        ("issuer-uri", facts.discovery.issuer.as_str()),
        ("authorization-uri", &endpoints.authorization),
        ("token-uri", &endpoints.token),
        ("user-info-uri", endpoints.userinfo.as_deref().unwrap_or_default()),
        ("jwk-set-uri", &endpoints.jwks),
        ("end-session-uri", endpoints.end_session.as_deref().unwrap_or_default()),
    ]
}
