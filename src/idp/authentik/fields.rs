//! A client in normal form, field by field, and the bodies that set those fields.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    claims::{self, WantedMapping},
    lookups::Lookups,
    settings::Settings,
    wire::{Application, Mapping, Provider, RedirectUri},
};
use crate::{
    domain::{
        ClientSecret, ClientType, DesiredClient, Fields, LogoutChannel, Mark, ObservedClient, ObservedSecret, Validity,
        client::FIELD_TYPE,
        model::{CLIENT_ID, MARK, SECRET},
    },
    idp::normal_form::{
        ACCESS_TOKEN_LIFETIME, CLAIMS, Collected, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI,
        LOGOUT, POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, sorted, text,
    },
};

/// The application's slug.
pub(super) const APPLICATION: &str = "application";
const SCOPES: &str = "scopes";
/// The operator's scope mappings that the provider uses.
const USED_CLAIMS: &str = "usedClaims";
// What the OIDCProvider says for all.
const AUTHORIZATION_FLOW: &str = "authorizationFlow";
const INVALIDATION_FLOW: &str = "invalidationFlow";
const SIGNING_KEY: &str = "signingKey";
const SUB_MODE: &str = "subMode";
const ISSUER_MODE: &str = "issuerMode";
/// Claims belong into ID tokens, too.
const CLAIMS_IN_ID_TOKEN: &str = "claimsInIDToken";
// Powers, and hindrances, that no spec can ask for yet.
const FEDERATION: &str = "jwtFederation";
const ENCRYPTION_KEY: &str = "encryptionKey";

/// Fields of the application but for [`APPLICATION`]; a list of providers shows none but the name.
pub(super) const OF_APPLICATION: &[&str] = &[DISPLAY_NAME, DESCRIPTION, HOMEPAGE_URI, LOGO_URI];
/// Those of them that only the application itself shows.
pub(super) const DETAILS: &[&str] = &[DESCRIPTION, HOMEPAGE_URI, LOGO_URI];

/// [`ObservedClient::handles`]: the provider's number.
pub(super) const HANDLE_PROVIDER: &str = "provider";
/// [`ObservedClient::handles`]: the slug of its application, as it is.
pub(super) const HANDLE_SLUG: &str = "slug";
/// [`ObservedClient::handles`]: mappings of others that the provider uses; they stay.
const HANDLE_OTHERS: &str = "otherMappings";
/// [`ObservedClient::handles`]: slug and id of an application without a provider that stands where the client's belongs.
const HANDLE_ORPHAN: &str = "orphan";
const HANDLE_ORPHAN_ID: &str = "orphanID";
/// Prefix of [`ObservedClient::handles`]: fields that were not shown.
const HIDDEN: &str = "hidden.";

/// Where a list of redirect URIs would be empty: authentik then takes the first that is used. Nobody owns this name (RFC 6761,
/// section 6.4).
const NOWHERE: &str = "https://nowhere.invalid/";
const STRICT: &str = "strict";
const LOGOUT_TYPE: &str = "logout";
/// Lifetimes that authentik gives where none is set. They are sent, so that nothing depends on a release's default.
const DEFAULT_ACCESS_SECONDS: u64 = 3600;
const DEFAULT_REFRESH_SECONDS: u64 = 30 * 86400;

/// Slugs longer than this were refused before 2025.12.
const MAX_SLUG: usize = 50;
/// Paths of authentik's own beside the applications (`/application/o/authorize/`).
const RESERVED_SLUGS: &[&str] = &[
    "authorize",
    "token",
    "device",
    "userinfo",
    "introspect",
    "revoke",
    "register",
    "end-session",
];

/// The slug of a client's application: its client ID, with what a slug cannot hold as `-` and two hex digits.
pub fn slug(client_id: &str) -> String {
    let mut slug = String::new();
    for byte in client_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => slug.push(char::from(byte)),
            _ => slug.push_str(&format!("-{byte:02x}")),
        }
    }
    if slug.len() <= MAX_SLUG && !RESERVED_SLUGS.contains(&slug.as_str()) {
        return slug;
    }
    let digest = Sha256::digest(client_id.as_bytes());
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    slug.truncate(MAX_SLUG - 1 - hash.len());
    format!("{slug}-{hash}")
}

/// The client as the spec wants it.
pub(super) fn wanted(desired: &DesiredClient, settings: &Settings) -> Fields {
    let mut fields = Collected::default();
    fields.put(FIELD_TYPE, desired.client_type.as_str());
    fields.put(APPLICATION, slug(&desired.client_id));
    fields.put(DISPLAY_NAME, display_name(desired));
    fields.put(DESCRIPTION, text(&desired.description));
    fields.put(HOMEPAGE_URI, text(&desired.homepage_uri));
    fields.put(LOGO_URI, text(&desired.logo_uri));
    fields.put(REDIRECT_URIS, sorted(&desired.redirect_uris));
    fields.put(POST_LOGOUT_REDIRECT_URIS, sorted(&desired.post_logout_redirect_uris));
    fields.put(
        GRANT_TYPES,
        sorted(desired.grant_types.iter().map(|grant| grant.as_str())),
    );
    fields.put(SCOPES, sorted(claims::their_scopes(desired, settings.email_verified)));
    let (uri, method) = logout(desired);
    fields.put(LOGOUT, logout_text(uri, method));
    fields.put(ACCESS_TOKEN_LIFETIME, access_seconds(desired).to_string());
    fields.put(REFRESH_TOKEN_LIFETIME, refresh_seconds(desired).to_string());
    let mappings = claims::wanted(desired, settings.email_verified);
    fields.put(USED_CLAIMS, sorted(mappings.iter().map(|mapping| &mapping.key)));
    for mapping in mappings {
        fields.put(format!("{CLAIMS}{}", mapping.key), mapping.normal());
    }
    fields.put(AUTHORIZATION_FLOW, &settings.authorization_flow);
    fields.put(INVALIDATION_FLOW, &settings.invalidation_flow);
    fields.put(SIGNING_KEY, &settings.signing_key);
    fields.put(SUB_MODE, settings.sub_mode.as_str());
    fields.put(ISSUER_MODE, settings.issuer_mode.as_str());
    fields.put(CLAIMS_IN_ID_TOKEN, "true");
    fields.0
}

/// An application must have a name.
fn display_name(desired: &DesiredClient) -> String {
    desired
        .display_name
        .clone()
        .unwrap_or_else(|| desired.client_id.clone())
}

fn logout(desired: &DesiredClient) -> (&str, &'static str) {
    desired.logout.as_ref().map_or(("", "backchannel"), |logout| {
        let method = match logout.channel {
            LogoutChannel::Back => "backchannel",
            LogoutChannel::Front => "frontchannel",
        };
        (logout.uri.as_str(), method)
    })
}

fn logout_text(uri: &str, method: &str) -> String {
    if uri.is_empty() {
        String::new()
    } else {
        format!("{method} {uri}")
    }
}

fn access_seconds(desired: &DesiredClient) -> u64 {
    desired
        .lifetimes
        .access
        .map_or(DEFAULT_ACCESS_SECONDS, |lifetime| lifetime.as_secs())
}

fn refresh_seconds(desired: &DesiredClient) -> u64 {
    desired
        .lifetimes
        .refresh
        .map_or(DEFAULT_REFRESH_SECONDS, |lifetime| lifetime.as_secs())
}

/// `hours=1;minutes=2` in seconds; what is no such text stays what it is.
fn validity(text: &str) -> String {
    let unit = |unit: &str| match unit {
        "seconds" => Some(1),
        "minutes" => Some(60),
        "hours" => Some(3600),
        "days" => Some(86400),
        "weeks" => Some(7 * 86400),
        _ => None,
    };
    let seconds = text.split(';').map(|part| {
        let (name, number) = part.split_once('=')?;
        number.trim().parse::<u64>().ok()?.checked_mul(unit(name.trim())?)
    });
    seconds
        .sum::<Option<u64>>()
        .map_or_else(|| text.to_owned(), |seconds| seconds.to_string())
}

/// A client as authentik shows it. `mappings` are the operator's for this client, by their key, used or not.
pub(super) fn observe(
    provider: &Provider,
    application: Option<&Application>,
    mappings: &[Mapping],
    lookups: &Lookups,
    settings: &Settings,
) -> ObservedClient {
    let mut fields = Collected::default();
    let mut handles = BTreeMap::new();
    let confidential = provider.client_type == "confidential";
    let kind = if confidential {
        ClientType::Confidential
    } else {
        ClientType::Public
    };
    fields.put(FIELD_TYPE, kind.as_str());
    let logs_out = |uri: &&RedirectUri| uri.redirect_uri_type.as_deref() == Some(LOGOUT_TYPE);
    let (logouts, logins): (Vec<&RedirectUri>, Vec<&RedirectUri>) = provider.redirect_uris.iter().partition(logs_out);
    fields.put(REDIRECT_URIS, addresses(&logins));
    fields.put(POST_LOGOUT_REDIRECT_URIS, addresses(&logouts));
    match &provider.grant_types {
        Some(grants) => fields.put(GRANT_TYPES, sorted(grants)),
        None => hide(&mut handles, GRANT_TYPES),
    }
    match &provider.logout_uri {
        Some(uri) => fields.put(
            LOGOUT,
            logout_text(uri, provider.logout_method.as_deref().unwrap_or_default()),
        ),
        None => hide(&mut handles, LOGOUT),
    }
    fields.put(ACCESS_TOKEN_LIFETIME, validity(&provider.access_token_validity));
    fields.put(REFRESH_TOKEN_LIFETIME, validity(&provider.refresh_token_validity));
    used_mappings(provider, mappings, lookups, &mut fields, &mut handles);
    for mapping in mappings {
        if let Some((_, key)) = claims::ours(mapping) {
            let field = format!("{CLAIMS}{key}");
            fields.put(field.clone(), claims::found(mapping));
            handles.insert(field, mapping.pk.clone());
        }
    }
    let named = |id: &Option<String>, known: &str, name: &str| match id.as_deref() {
        None => "none".to_owned(),
        Some(id) if id == known => name.to_owned(),
        Some(_) => "another".to_owned(),
    };
    let flow = named(
        &provider.authorization_flow,
        &lookups.authorization_flow,
        &settings.authorization_flow,
    );
    fields.put(AUTHORIZATION_FLOW, flow);
    let flow = named(
        &provider.invalidation_flow,
        &lookups.invalidation_flow,
        &settings.invalidation_flow,
    );
    fields.put(INVALIDATION_FLOW, flow);
    fields.put(
        SIGNING_KEY,
        named(&provider.signing_key, &lookups.signing_key, &settings.signing_key),
    );
    fields.put(SUB_MODE, &provider.sub_mode);
    fields.put(ISSUER_MODE, &provider.issuer_mode);
    fields.put(CLAIMS_IN_ID_TOKEN, provider.include_claims_in_id_token.to_string());
    if !provider.jwt_federation_sources.is_empty() || !provider.jwt_federation_providers.is_empty() {
        fields.put(FEDERATION, "others may authenticate as this client");
    }
    if provider.encryption_key.is_some() {
        fields.put(ENCRYPTION_KEY, "set");
    }
    handles.insert(HANDLE_PROVIDER.to_owned(), provider.pk.to_string());
    if let Some(application) = application {
        put_application(application, &mut fields, &mut handles);
    } else if let Some(slug) = &provider.assigned_application_slug {
        fields.put(APPLICATION, slug);
        fields.put(
            DISPLAY_NAME,
            provider.assigned_application_name.clone().unwrap_or_default(),
        );
        handles.insert(HANDLE_SLUG.to_owned(), slug.clone());
        for detail in DETAILS {
            hide(&mut handles, detail);
        }
    }
    let secret = match &provider.client_secret {
        _ if !confidential => ObservedSecret::Absent,
        Some(secret) => ObservedSecret::Shown(ClientSecret::new(secret.clone())),
        None => ObservedSecret::NotShown,
    };
    ObservedClient {
        client_id: provider.client_id.clone(),
        remote_id: application
            .map(|application| application.pk.clone())
            .unwrap_or_default(),
        marks: Mark::looks_like_one(&provider.name)
            .then(|| provider.name.clone())
            .into_iter()
            .collect(),
        secret,
        validity: Validity::default(),
        disabled: false,
        fields: fields.0,
        handles,
        registered: None,
    }
}

/// What is left of a client, or stands in its way: an application without a provider of ours, or mappings alone.
pub(super) fn remains(
    client_id: &str,
    application: Option<&Application>,
    mappings: &[Mapping],
    marks: Vec<String>,
) -> ObservedClient {
    let mut fields = Collected::default();
    let mut handles = BTreeMap::new();
    if let Some(application) = application {
        put_application(application, &mut fields, &mut handles);
        // It is not linked to a provider of this client.
        fields.0.remove(APPLICATION);
    }
    for mapping in mappings {
        if let Some((_, key)) = claims::ours(mapping) {
            fields.put(format!("{CLAIMS}{key}"), claims::found(mapping));
            handles.insert(format!("{CLAIMS}{key}"), mapping.pk.clone());
        }
    }
    ObservedClient {
        client_id: client_id.to_owned(),
        remote_id: application
            .map(|application| application.pk.clone())
            .unwrap_or_default(),
        marks,
        secret: ObservedSecret::NotShown,
        validity: Validity::default(),
        disabled: false,
        fields: fields.0,
        handles,
        registered: None,
    }
}

/// The client's provider has no application, and this one, under the client's slug, has no provider.
pub(super) fn put_orphan(observed: &mut ObservedClient, application: &Application) {
    observed
        .handles
        .insert(HANDLE_ORPHAN.to_owned(), application.slug.clone());
    observed
        .handles
        .insert(HANDLE_ORPHAN_ID.to_owned(), application.pk.clone());
}

/// An application whose provider was deleted lost the mark with it. Nobody else's has the id that status remembers.
pub(super) fn recall(observed: &mut ObservedClient, mark: &Mark, remote_id: &str) {
    if remote_id.is_empty() {
        return;
    }
    if observed.marks.is_empty() && observed.remote_id == remote_id && !observed.fields.contains_key(FIELD_TYPE) {
        observed.marks = vec![mark.to_string()];
    }
    // Its new provider was made, and not yet given to it.
    if observed.handles.get(HANDLE_ORPHAN_ID).map(String::as_str) == Some(remote_id)
        && let Some(slug) = observed.handles.remove(HANDLE_ORPHAN)
    {
        observed.handles.insert(HANDLE_SLUG.to_owned(), slug);
        remote_id.clone_into(&mut observed.remote_id);
    }
}

fn put_application(application: &Application, fields: &mut Collected, handles: &mut BTreeMap<String, String>) {
    fields.put(APPLICATION, &application.slug);
    fields.put(DISPLAY_NAME, &application.name);
    fields.put(DESCRIPTION, text(&application.meta_description));
    fields.put(HOMEPAGE_URI, text(&application.meta_launch_url));
    fields.put(LOGO_URI, text(&application.meta_icon));
    handles.insert(HANDLE_SLUG.to_owned(), application.slug.clone());
}

fn addresses(uris: &[&RedirectUri]) -> String {
    let uris = uris.iter().filter(|uri| uri.url != NOWHERE);
    sorted(uris.map(|uri| match uri.matching_mode.as_str() {
        STRICT => uri.url.clone(),
        mode => format!("{mode}:{}", uri.url),
    }))
}

/// Scopes and claims that the provider uses. Mappings that nobody can name stay as they are.
fn used_mappings(
    provider: &Provider,
    mappings: &[Mapping],
    lookups: &Lookups,
    fields: &mut Collected,
    handles: &mut BTreeMap<String, String>,
) {
    let mut scopes = BTreeSet::new();
    let mut used = BTreeSet::new();
    let mut others = BTreeSet::new();
    for id in &provider.property_mappings {
        let own = mappings.iter().find(|mapping| mapping.pk == *id);
        match own.or_else(|| lookups.mappings.get(id)) {
            Some(mapping) => match claims::ours(mapping) {
                Some((_, key)) => used.insert(key.to_owned()),
                None => scopes.insert(mapping.scope_name.clone()),
            },
            None => others.insert(id.clone()),
        };
    }
    fields.put(SCOPES, sorted(scopes));
    fields.put(USED_CLAIMS, sorted(used));
    if !others.is_empty() {
        handles.insert(HANDLE_OTHERS.to_owned(), sorted(others));
    }
}

fn hide(handles: &mut BTreeMap<String, String>, field: &str) {
    handles.insert(format!("{HIDDEN}{field}"), String::new());
}

/// As a client looks after its provider was written: the answer, and what was known of its application and mappings.
pub(super) fn after_provider(
    observed: &ObservedClient,
    provider: &Provider,
    lookups: &Lookups,
    settings: &Settings,
) -> ObservedClient {
    let shown = observe(provider, None, &mappings_in(observed), lookups, settings);
    let mut after = ObservedClient {
        remote_id: observed.remote_id.clone(),
        ..shown
    };
    // Of the application the answer shows less than was known.
    let is_less = |handle: &str| handle == HANDLE_SLUG || handle.strip_prefix(HIDDEN).is_some_and(is_of_application);
    after.handles.retain(|handle, _| !is_less(handle));
    after.fields.retain(|field, _| !is_of_application(field));
    let known = |handle: &str| is_less(handle) || handle.starts_with(CLAIMS);
    let handles = observed.handles.iter().filter(|(handle, _)| known(handle));
    after
        .handles
        .extend(handles.map(|(handle, value)| (handle.clone(), value.clone())));
    let fields = observed.fields.iter().filter(|(field, _)| is_of_application(field));
    after
        .fields
        .extend(fields.map(|(field, value)| (field.clone(), value.clone())));
    after
}

/// As a client looks after its application was written.
pub(super) fn after_application(observed: &ObservedClient, application: &Application) -> ObservedClient {
    let mut after = observed.clone();
    after
        .handles
        .retain(|handle, _| !handle.strip_prefix(HIDDEN).is_some_and(is_of_application));
    after.fields.retain(|field, _| !is_of_application(field));
    let mut shown = Collected::default();
    put_application(application, &mut shown, &mut after.handles);
    after.fields.extend(shown.0);
    after.remote_id.clone_from(&application.pk);
    after
}

/// The operator's mappings, as they were seen.
fn mappings_in(observed: &ObservedClient) -> Vec<Mapping> {
    let mark = observed.marks.first().cloned().unwrap_or_default();
    let mappings = observed.handles.iter().filter_map(|(field, id)| {
        let key = field.strip_prefix(CLAIMS)?;
        let (scope, expression) = observed.fields.get(field)?.split_once(": ")?;
        Some(Mapping {
            pk: id.clone(),
            name: format!("{mark}/{key}"),
            scope_name: scope.to_owned(),
            expression: expression.to_owned(),
            managed: None,
        })
    });
    mappings.collect()
}

/// Is it done to the application, rather than to the provider?
pub(super) fn is_of_application(field: &str) -> bool {
    field == APPLICATION || OF_APPLICATION.contains(&field)
}

/// Was a field not shown?
pub(super) fn is_hidden(observed: &ObservedClient, field: &str) -> bool {
    observed.handles.contains_key(&format!("{HIDDEN}{field}"))
}

/// The body of a new provider.
pub(super) fn new_provider(
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
pub(super) fn changed_provider<'a>(
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
pub(super) fn new_application(desired: &DesiredClient, provider: i64) -> Value {
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
pub(super) fn changed_application<'a>(
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
pub(super) fn mapping(mapping: &WantedMapping, mark: &Mark) -> Value {
    json!({
        "name": mapping.name(mark),
        "scope_name": mapping.scope,
        "expression": mapping.expression,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::de::DeserializeOwned;

    use super::*;
    use crate::domain::{
        Claim, ClaimSource, ClaimToken, GrantType, Logout, MarkUid, OwnerId, ResourceName, TokenLifetimes,
    };

    fn settings() -> Settings {
        Settings {
            public_url: "https://auth.example.com".to_owned(),
            authorization_flow: "consent".to_owned(),
            invalidation_flow: "end".to_owned(),
            signing_key: "key".to_owned(),
            sub_mode: Default::default(),
            issuer_mode: Default::default(),
            email_verified: Default::default(),
        }
    }

    /// A mapping for each of these scopes, whose id is the scope.
    fn lookups() -> Lookups {
        let scopes = ["openid", "profile", "email", "offline_access"];
        let mapping = |scope: &str| Mapping {
            pk: scope.to_owned(),
            name: format!("authentik default OAuth Mapping: {scope}"),
            scope_name: scope.to_owned(),
            expression: "return {}".to_owned(),
            managed: Some(format!("goauthentik.io/providers/oauth2/scope-{scope}")),
        };
        Lookups {
            authorization_flow: "flow-1".to_owned(),
            invalidation_flow: "flow-2".to_owned(),
            signing_key: "key-1".to_owned(),
            mappings: scopes.into_iter().map(mapping).collect(),
        }
    }

    fn plain() -> DesiredClient {
        let mark = Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid("u1".to_owned()),
        };
        DesiredClient::new("shop_web", mark)
    }

    fn full() -> DesiredClient {
        let claim = |name: &str, source| Claim {
            name: name.to_owned(),
            source,
            tokens: [ClaimToken::IDToken].into(),
        };
        DesiredClient {
            display_name: Some("Shop".to_owned()),
            description: Some("Where things are sold".to_owned()),
            homepage_uri: Some("https://shop.example/".to_owned()),
            logo_uri: Some("https://shop.example/logo.png".to_owned()),
            redirect_uris: vec!["https://shop.example/b".to_owned(), "https://shop.example/a".to_owned()],
            post_logout_redirect_uris: vec!["https://shop.example/bye".to_owned()],
            grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            optional_scopes: vec!["profile".to_owned()],
            logout: Some(Logout {
                channel: LogoutChannel::Front,
                uri: "https://shop.example/out".to_owned(),
                session_required: true,
            }),
            claims: vec![
                claim("tier", ClaimSource::Constant("gold".to_owned())),
                claim("org.groups", ClaimSource::Groups { full_path: false }),
            ],
            lifetimes: TokenLifetimes {
                access: Some(Duration::from_secs(90)),
                refresh: Some(Duration::from_secs(3600)),
            },
            ..plain()
        }
    }

    fn public() -> DesiredClient {
        DesiredClient {
            client_type: ClientType::Public,
            ..plain()
        }
    }

    /// A body as the server shows it, with this id.
    fn kept<T: DeserializeOwned>(mut body: Value, pk: impl Into<Value>) -> T {
        body["pk"] = pk.into();
        serde_json::from_value(body).unwrap()
    }

    /// The client as it is after these bodies were sent to a server that keeps them.
    fn made(desired: &DesiredClient, secret: Option<&ClientSecret>, settings: &Settings) -> ObservedClient {
        let wanted = claims::wanted(desired, settings.email_verified);
        let mappings: Vec<Mapping> = wanted
            .iter()
            .map(|wanted| kept(mapping(wanted, &desired.mark), format!("own-{}", wanted.key)))
            .collect();
        let own = wanted
            .iter()
            .map(|wanted| (wanted.key.clone(), format!("own-{}", wanted.key)));
        let body = new_provider(desired, secret, settings, &lookups(), &own.collect());
        let provider: Provider = kept(body, 7);
        let application: Application = kept(new_application(desired, 7), "application-1");
        observe(&provider, Some(&application), &mappings, &lookups(), settings)
    }

    #[test]
    fn slugs_are_client_ids_where_they_can_be() {
        for (client_id, expected) in [
            ("shop_web-1", "shop_web-1"),
            ("Shop", "Shop"),
            ("a.b", "a-2eb"),
            ("a b/é", "a-20b-2f-c3-a9"),
        ] {
            assert_eq!(slug(client_id), expected);
        }
        let longest = "x".repeat(50);
        assert_eq!(slug(&longest), longest);
    }

    #[test]
    fn slugs_are_short_and_never_the_servers_own() {
        let (one, other) = (
            slug(&format!("{}1", "x".repeat(50))),
            slug(&format!("{}2", "x".repeat(50))),
        );
        assert_eq!((one.len(), other.len()), (50, 50));
        assert_ne!(one, other);
        for reserved in RESERVED_SLUGS {
            let slug = slug(reserved);
            assert!(slug.starts_with(&format!("{reserved}-")), "{slug}");
            assert_eq!(slug.len(), reserved.len() + 9);
        }
        // Escapes count, too.
        assert_eq!(slug(&"é".repeat(20)).len(), 50);
    }

    #[test]
    fn validities_are_compared_in_seconds() {
        for (text, expected) in [
            ("seconds=90", "90"),
            ("minutes=1;seconds=30", "90"),
            ("hours=1;minutes=2", "3720"),
            ("days=30", "2592000"),
            ("weeks=1", "604800"),
            (" minutes = 5 ", "300"),
        ] {
            assert_eq!(validity(text), expected, "{text:?}");
        }
        for strange in [
            "",
            "90",
            "fortnights=1",
            "minutes=-1",
            "minutes=1.5",
            "weeks=99999999999999999999",
        ] {
            assert_eq!(validity(strange), strange);
        }
    }

    #[test]
    fn a_client_that_was_made_looks_as_it_should() {
        let verified = Settings {
            email_verified: crate::domain::authentik::EmailVerified::AlwaysTrue,
            ..settings()
        };
        let secret = ClientSecret::new("hunter2");
        for settings in [settings(), verified] {
            for desired in [plain(), full()] {
                let observed = made(&desired, Some(&secret), &settings);
                assert_eq!(observed.fields, wanted(&desired, &settings));
                assert_eq!(observed.client_id, desired.client_id);
                assert_eq!(observed.marks, [desired.mark.to_string()]);
                assert_eq!(observed.secret, ObservedSecret::Shown(secret.clone()));
                assert_eq!(observed.remote_id, "application-1");
            }
            let observed = made(&public(), None, &settings);
            assert_eq!(observed.fields, wanted(&public(), &settings));
            assert_eq!(observed.secret, ObservedSecret::Absent);
        }
    }

    #[test]
    fn a_new_provider_has_all_that_authentik_does_not_set_well() {
        let body = new_provider(&plain(), None, &settings(), &lookups(), &BTreeMap::new());
        assert_eq!(body["grant_types"], json!(["authorization_code"]));
        assert_eq!(body["signing_key"], "key-1");
        assert_eq!(body["include_claims_in_id_token"], true);
        assert_eq!(
            body["redirect_uris"],
            json!([{ "matching_mode": "strict", "url": NOWHERE }])
        );
        // A server would keep an empty one, and accept it.
        assert_eq!(body.get("client_secret"), None);
        assert_eq!(body.get("logout_uri"), None);
    }

    #[test]
    fn a_change_holds_its_field_and_nothing_else() {
        let (desired, secret) = (full(), ClientSecret::new("hunter2"));
        let mut observed = made(&desired, Some(&secret), &settings());
        let body = |field: &str, observed: &ObservedClient| {
            let own = [("tier".to_owned(), "own-tier".to_owned())].into();
            let fields = [field].into_iter();
            changed_provider(fields, observed, &desired, Some(&secret), &settings(), &lookups(), &own)
        };
        assert_eq!(
            body(ACCESS_TOKEN_LIFETIME, &observed),
            json!({ "access_token_validity": "seconds=90" })
        );
        assert_eq!(body(SECRET, &observed), json!({ "client_secret": "hunter2" }));
        assert_eq!(
            body(FIELD_TYPE, &observed),
            json!({ "client_type": "confidential", "client_secret": "hunter2" })
        );
        let uris = body(REDIRECT_URIS, &observed);
        let kinds: Vec<_> = uris["redirect_uris"]
            .as_array()
            .unwrap()
            .iter()
            .map(|uri| uri.get("redirect_uri_type"))
            .collect();
        assert_eq!(
            kinds,
            [None, None, Some(&json!("logout"))],
            "the list is replaced as a whole"
        );
        // Mappings of others stay.
        observed.handles.insert(HANDLE_OTHERS.to_owned(), "strange".to_owned());
        assert_eq!(
            body(SCOPES, &observed),
            json!({ "property_mappings": ["email", "offline_access", "openid", "own-tier", "profile", "strange"] })
        );
        let body = changed_application([DESCRIPTION].into_iter(), &plain(), None);
        assert_eq!(body, json!({ "meta_description": "" }));
    }

    #[test]
    fn what_is_not_shown_is_hidden() {
        let provider: Provider = kept(
            json!({ "name": "By hand", "client_id": "a", "client_type": "confidential", "assigned_application_slug": "a" }),
            7,
        );
        let observed = observe(&provider, None, &[], &lookups(), &settings());
        assert_eq!(observed.marks, [""; 0]);
        assert_eq!(observed.secret, ObservedSecret::NotShown);
        for field in [GRANT_TYPES, LOGOUT, DESCRIPTION, HOMEPAGE_URI, LOGO_URI] {
            assert!(is_hidden(&observed, field), "{field}");
        }
        assert!(!is_hidden(&observed, REDIRECT_URIS));
        assert_eq!(observed.fields[SIGNING_KEY], "none");
    }
}
