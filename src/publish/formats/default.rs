//! `default`: Service Binding's entry names, with the meanings that Spring Cloud Bindings gives them for type `oauth2`.

use super::{Entries, Format, optional};
use crate::{api::common::CA_KEY, domain::vocabulary::KEY_CLIENT_SECRET, publish::Values};

pub(super) struct Default;

const KEY_PRIVATE_KEY: &str = "client-private-key.pem";

impl Format for Default {
    fn secret_key(&self) -> &'static str {
        KEY_CLIENT_SECRET
    }

    fn private_key_key(&self) -> Option<&'static str> {
        Some(KEY_PRIVATE_KEY)
    }

    fn name(&self) -> &'static str {
        "default"
    }

    fn secret(&self, values: &Values<'_>) -> Entries {
        let mut entries = vec![
            ("type", "oauth2".to_owned()),
            ("provider", values.provider.to_lowercase()),
            ("client-id", values.client_id.to_owned()),
            (KEY_CLIENT_SECRET, values.client_secret.to_owned()),
            (KEY_PRIVATE_KEY, values.private_key.to_owned()),
            ("client-key-id", values.key_id.clone()),
            ("scope", values.scopes.join(" ")),
            ("redirect-uri", values.redirect_uri().to_owned()),
        ];
        entries.extend(endpoints(values));
        entries
    }

    fn config_map(&self, values: &Values<'_>) -> Entries {
        let mut entries = vec![
            (CA_KEY, values.ca_pem.to_owned()),
            ("discovery-url", values.discovery_url.to_owned()),
            ("end-session-uri", optional(values.endpoints.end_session.as_ref())),
        ];
        entries.extend(endpoints(values));
        entries
    }
}

fn endpoints(values: &Values<'_>) -> Entries {
    let endpoints = values.endpoints;
    vec![
        ("issuer-uri", values.issuer.to_owned()),
        ("authorization-uri", endpoints.authorization.clone()),
        ("token-uri", endpoints.token.clone()),
        ("user-info-uri", optional(endpoints.userinfo.as_ref())),
        ("jwk-set-uri", endpoints.jwks.clone()),
    ]
}
