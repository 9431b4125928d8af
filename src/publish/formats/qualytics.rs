//! `qualytics`: environment variables of Qualytics, and the same as values of its chart.

use std::collections::BTreeMap;

use super::{Entries, Format, optional};
use crate::{
    api::client::Alphabet,
    publish::{Values, generate::Shape, yaml},
};

pub(super) struct Qualytics;

const ID: &str = "OIDC_CLIENT_ID";
const SECRET: &str = "OIDC_CLIENT_SECRET";
const INSECURE: &str = "OIDC_ALLOW_INSECURE_HTTP";
/// It signs sessions: a new one ends them all.
const SIGNING: &str = "JWT_SIGNING_SECRET";

impl Format for Qualytics {
    fn secret_key(&self) -> &'static str {
        SECRET
    }

    fn name(&self) -> &'static str {
        "qualytics"
    }

    fn secret(&self, values: &Values<'_>) -> Entries {
        let credentials = [(ID, values.client_id), (SECRET, values.client_secret)];
        let mut entries: Entries = credentials.map(|(key, value)| (key, value.to_owned())).to_vec();
        let values_of_chart: BTreeMap<String, String> = entries
            .iter()
            .cloned()
            .chain(settings(values))
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (chart_name(key), value))
            .collect();
        let oidc = BTreeMap::from([("oidc", values_of_chart)]);
        entries.push(("values.yaml", yaml(&BTreeMap::from([("secrets", oidc)]))));
        entries.push((SIGNING, values.generated(SIGNING).to_owned()));
        entries
    }

    fn config_map(&self, values: &Values<'_>) -> Entries {
        let mut entries = settings(values);
        entries.push(("API_AUTH", "OIDC".to_owned()));
        entries
    }

    fn generates(&self) -> &'static [(&'static str, Shape)] {
        &[(SIGNING, Shape::Characters(Alphabet::Alphanumeric, 64))]
    }
}

/// A discovery document or endpoints, never both.
fn settings(values: &Values<'_>) -> Entries {
    let endpoints = values.endpoints;
    let mut entries = if values.discovery_url.is_empty() {
        vec![
            ("OIDC_AUTHORIZATION_ENDPOINT", endpoints.authorization.clone()),
            ("OIDC_TOKEN_ENDPOINT", endpoints.token.clone()),
            ("OIDC_USERINFO_ENDPOINT", optional(endpoints.userinfo.as_ref())),
        ]
    } else {
        vec![("OIDC_DISCOVERY_URL", values.discovery_url.to_owned())]
    };
    entries.extend([
        ("OIDC_REDIRECT_URL", values.redirect_uri().to_owned()),
        ("OIDC_SCOPES", values.scopes.join(",")),
    ]);
    // The standard claims (OIDC Core, section 5.1).
    let claims = [
        ("OIDC_USER_ID_KEY", "sub"),
        ("OIDC_USER_EMAIL_KEY", "email"),
        ("OIDC_USER_NAME_KEY", "name"),
        ("OIDC_USER_FNAME_KEY", "given_name"),
        ("OIDC_USER_LNAME_KEY", "family_name"),
        ("OIDC_USER_PICTURE_KEY", "picture"),
        ("OIDC_USER_PROVIDER_KEY", "iss"),
    ];
    entries.extend(claims.map(|(key, claim)| (key, claim.to_owned())));
    if values.insecure_endpoints {
        entries.push((INSECURE, "true".to_owned()));
    }
    entries
}

/// The chart calls a setting as its variable is called, in lower case; one of them has a name of its own.
fn chart_name(variable: &str) -> String {
    match variable {
        INSECURE => "oidc_allow_insecure_transport".to_owned(),
        other => other.to_lowercase(),
    }
}
