//! The bodies of requests.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    names::{
        APPLICATION, AUTHORIZATION_FLOW, CLAIMS_IN_ID_TOKEN, ENCRYPTION_KEY, FEDERATION, HANDLE_OTHERS,
        INVALIDATION_FLOW, ISSUER_MODE, LOGOUT_TYPE, NOWHERE, OF_APPLICATION, SCOPES, SIGNING_KEY, STRICT, SUB_MODE,
        USED_CLAIMS,
    },
    slug::slug,
    wanted::{access_seconds, display_name, logout, refresh_seconds},
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Mark, ObservedClient,
        client::FIELD_TYPE,
        model::{CLIENT_ID, MARK, SECRET},
    },
    idp::{
        authentik::{
            claims::{self, WantedMapping},
            lookups::Lookups,
            settings::Settings,
            wire::RedirectUri,
        },
        normal_form::{
            ACCESS_TOKEN_LIFETIME, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT,
            POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, text,
        },
    },
};

/// The body of a new provider.
pub(in crate::idp::authentik) fn new_provider(
    desired: &DesiredClient,
    secret: Option<&ClientSecret>,
    settings: &Settings,
    lookups: &Lookups,
    own: &BTreeMap<String, String>,
) -> Value {
    const ALL: &[&str] = &[
        MARK,
        CLIENT_ID,
        SECRET,
        FIELD_TYPE,
        REDIRECT_URIS,
        GRANT_TYPES,
        SCOPES,
        LOGOUT,
        ACCESS_TOKEN_LIFETIME,
        REFRESH_TOKEN_LIFETIME,
        AUTHORIZATION_FLOW,
        INVALIDATION_FLOW,
        SIGNING_KEY,
        SUB_MODE,
        ISSUER_MODE,
        CLAIMS_IN_ID_TOKEN,
    ];
    let mut body = Map::new();
    for field in ALL {
        set(&mut body, field, desired, secret, settings, lookups, own, &[]);
    }
    // Nothing stands there yet that it would clear.
    if desired.logout.is_none() {
        body.remove("logout_uri");
        body.remove("logout_method");
    }
    Value::Object(body)
}

/// The body that changes these fields of a provider.
pub(in crate::idp::authentik) fn changed_provider<'a>(
    fields: impl Iterator<Item = &'a str>,
    observed: &ObservedClient,
    desired: &DesiredClient,
    secret: Option<&ClientSecret>,
    settings: &Settings,
    lookups: &Lookups,
    own: &BTreeMap<String, String>,
) -> Value {
    let others: Vec<&str> = observed
        .handles
        .get(HANDLE_OTHERS)
        .map(|ids| ids.split(' ').collect())
        .unwrap_or_default();
    let mut body = Map::new();
    for field in fields {
        set(&mut body, field, desired, secret, settings, lookups, own, &others);
        // What was made for a public client is nobody's secret.
        if field == FIELD_TYPE {
            set(&mut body, SECRET, desired, secret, settings, lookups, own, &others);
        }
    }
    Value::Object(body)
}

/// All that makes up a field of the provider.
#[expect(clippy::too_many_arguments, reason = "all that a body is made of")]
fn set(
    body: &mut Map<String, Value>,
    field: &str,
    desired: &DesiredClient,
    secret: Option<&ClientSecret>,
    settings: &Settings,
    lookups: &Lookups,
    own: &BTreeMap<String, String>,
    others: &[&str],
) {
    let mut put = |member: &str, value: Value| drop(body.insert(member.to_owned(), value));
    match field {
        MARK => put("name", json!(desired.mark.to_string())),
        CLIENT_ID => put("client_id", json!(desired.client_id)),
        // Never an empty one: it would be stored, and accepted.
        SECRET => {
            if let Some(secret) = secret.filter(|secret| desired.has_secret() && !secret.expose().is_empty()) {
                put("client_secret", json!(secret.expose()));
            }
        }
        FIELD_TYPE => put("client_type", json!(desired.client_type.as_str().to_lowercase())),
        REDIRECT_URIS | POST_LOGOUT_REDIRECT_URIS => put("redirect_uris", json!(redirect_uris(desired))),
        GRANT_TYPES => {
            let grants: Vec<&str> = desired.grant_types.iter().map(|grant| grant.as_str()).collect();
            put("grant_types", json!(grants));
        }
        SCOPES | USED_CLAIMS => {
            let theirs = claims::their_scopes(desired, settings.email_verified);
            let theirs = theirs
                .iter()
                .filter_map(|scope| lookups.of_scope(scope))
                .map(|mapping| mapping.pk.as_str());
            let ours = claims::wanted(desired, settings.email_verified);
            let ours = ours
                .iter()
                .filter_map(|mapping| own.get(&mapping.key))
                .map(String::as_str);
            let ids: BTreeSet<&str> = theirs.chain(ours).chain(others.iter().copied()).collect();
            put("property_mappings", json!(ids));
        }
        LOGOUT => {
            let (uri, method) = logout(desired);
            put("logout_uri", json!(uri));
            put("logout_method", json!(method));
        }
        ACCESS_TOKEN_LIFETIME => put(
            "access_token_validity",
            json!(format!("seconds={}", access_seconds(desired))),
        ),
        REFRESH_TOKEN_LIFETIME => put(
            "refresh_token_validity",
            json!(format!("seconds={}", refresh_seconds(desired))),
        ),
        AUTHORIZATION_FLOW => put("authorization_flow", json!(lookups.authorization_flow)),
        INVALIDATION_FLOW => put("invalidation_flow", json!(lookups.invalidation_flow)),
        SIGNING_KEY => put("signing_key", json!(lookups.signing_key)),
        SUB_MODE => put("sub_mode", json!(settings.sub_mode.as_str())),
        ISSUER_MODE => put("issuer_mode", json!(settings.issuer_mode.as_str())),
        CLAIMS_IN_ID_TOKEN => put("include_claims_in_id_token", json!(true)),
        FEDERATION => {
            put("jwt_federation_sources", json!([]));
            put("jwt_federation_providers", json!([]));
        }
        ENCRYPTION_KEY => put("encryption_key", Value::Null),
        _ => {}
    }
}

/// The whole list, which a PATCH replaces.
fn redirect_uris(desired: &DesiredClient) -> Vec<RedirectUri> {
    let strict = |url: &String, kind: Option<&str>| RedirectUri {
        matching_mode: STRICT.to_owned(),
        url: url.clone(),
        redirect_uri_type: kind.map(str::to_owned),
    };
    // No type where the default is meant: older releases do not know the member.
    let logins = desired.redirect_uris.iter().map(|url| strict(url, None));
    let logouts = desired
        .post_logout_redirect_uris
        .iter()
        .map(|url| strict(url, Some(LOGOUT_TYPE)));
    let mut uris: Vec<RedirectUri> = logins.chain(logouts).collect();
    if desired.redirect_uris.is_empty() {
        uris.push(strict(&NOWHERE.to_owned(), None));
    }
    uris
}

/// The body of a new application.
pub(in crate::idp::authentik) fn new_application(desired: &DesiredClient, provider: i64) -> Value {
    let mut body = Map::new();
    body.insert("slug".to_owned(), json!(slug(&desired.client_id)));
    body.insert("provider".to_owned(), json!(provider));
    for field in OF_APPLICATION {
        set_application(&mut body, field, desired);
    }
    body.retain(|_, value| value != "");
    Value::Object(body)
}

/// The body that changes these fields of an application.
pub(in crate::idp::authentik) fn changed_application<'a>(
    fields: impl Iterator<Item = &'a str>,
    desired: &DesiredClient,
    provider: Option<i64>,
) -> Value {
    let mut body = Map::new();
    for field in fields {
        set_application(&mut body, field, desired);
    }
    if let Some(provider) = provider {
        body.insert("provider".to_owned(), json!(provider));
    }
    Value::Object(body)
}

fn set_application(body: &mut Map<String, Value>, field: &str, desired: &DesiredClient) {
    let (member, value) = match field {
        APPLICATION => ("slug", json!(slug(&desired.client_id))),
        DISPLAY_NAME => ("name", json!(display_name(desired))),
        DESCRIPTION => ("meta_description", json!(text(&desired.description))),
        HOMEPAGE_URI => ("meta_launch_url", json!(text(&desired.homepage_uri))),
        LOGO_URI => ("meta_icon", json!(text(&desired.logo_uri))),
        _ => return,
    };
    body.insert(member.to_owned(), value);
}

/// The body of a scope mapping.
pub(in crate::idp::authentik) fn mapping(mapping: &WantedMapping, mark: &Mark) -> Value {
    json!({
        "name": mapping.name(mark),
        "scope_name": mapping.scope,
        "expression": mapping.expression,
    })
}
