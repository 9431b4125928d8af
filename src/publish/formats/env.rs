//! `env`: environment variables of twelve-factor applications, for `envFrom`.

use super::{Entries, Format};
use crate::publish::Values;

pub(super) struct Env;

const SECRET: &str = "OIDC_CLIENT_SECRET";
const PRIVATE_KEY: &str = "OIDC_CLIENT_PRIVATE_KEY";

impl Format for Env {
    fn secret_key(&self) -> &'static str {
        SECRET
    }

    fn private_key_key(&self) -> Option<&'static str> {
        Some(PRIVATE_KEY)
    }

    fn name(&self) -> &'static str {
        "env"
    }

    fn secret(&self, values: &Values<'_>) -> Entries {
        vec![
            ("OIDC_CLIENT_ID", values.client_id.to_owned()),
            (SECRET, values.client_secret.to_owned()),
            (PRIVATE_KEY, values.private_key.to_owned()),
            ("OIDC_CLIENT_KEY_ID", values.key_id.clone()),
            ("OIDC_ISSUER_URL", values.issuer.to_owned()),
            ("OIDC_DISCOVERY_URL", values.discovery_url.to_owned()),
            ("OIDC_SCOPES", values.scopes.join(" ")),
        ]
    }

    fn config_map(&self, values: &Values<'_>) -> Entries {
        let mut entries = vec![("OIDC_CA_FILE", values.ca_file.clone())];
        // It stands in the place of the system's roots.
        if values.with_system_roots {
            entries.push(("SSL_CERT_FILE", values.ca_file.clone()));
        }
        entries
    }
}
