//! `dploy`: values of Dploy's chart.

use std::collections::BTreeMap;

use super::{Entries, Format};
use crate::publish::{Values, yaml};

pub(super) struct Dploy;

const SECRET: &str = "oidcClientSecret";

impl Format for Dploy {
    fn secret_key(&self) -> &'static str {
        SECRET
    }

    fn name(&self) -> &'static str {
        "dploy"
    }

    fn secret(&self, values: &Values<'_>) -> Entries {
        vec![
            ("oidcClientID", values.client_id.to_owned()),
            (SECRET, values.client_secret.to_owned()),
        ]
    }

    fn config_map(&self, values: &Values<'_>) -> Entries {
        let mut entries = vec![
            ("jwksURL", values.endpoints.jwks.clone()),
            ("jwtIssuer", values.issuer_inside.to_owned()),
            ("jwtAudience", values.client_id.to_owned()),
            ("jwtUsernameClaim", values.username_claim.to_owned()),
            ("oidcClientID", values.client_id.to_owned()),
            ("oidcIssuer", values.issuer_inside.trim_end_matches('/').to_owned()),
            ("oidcRedirectURL", values.redirect_uri().to_owned()),
        ];
        // Browsers go there; all that is checked inside is the issuer inside.
        if !values.internal_issuer.is_empty() {
            entries.push(("oidcPublicIssuer", values.issuer_no_slash().to_owned()));
        }
        entries.retain(|(_, value)| !value.is_empty());
        let auth: BTreeMap<&str, &str> = entries.iter().map(|(key, value)| (*key, value.as_str())).collect();
        entries.push(("values.yaml", yaml(&BTreeMap::from([("auth", auth)]))));
        entries
    }
}
