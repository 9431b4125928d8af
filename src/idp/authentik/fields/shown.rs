//! The client as authentik shows it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    names::{
        APPLICATION, AUTHORIZATION_FLOW, CLAIMS_IN_ID_TOKEN, DETAILS, ENCRYPTION_KEY, FEDERATION, HANDLE_ORPHAN,
        HANDLE_ORPHAN_ID, HANDLE_OTHERS, HANDLE_PROVIDER, HANDLE_SLUG, HIDDEN, INVALIDATION_FLOW, ISSUER_MODE,
        LOGOUT_TYPE, NOWHERE, SCOPES, SIGNING_KEY, STRICT, SUB_MODE, USED_CLAIMS, is_of_application,
    },
    wanted::logout_text,
};
use crate::{
    domain::{ClientSecret, ClientType, Mark, ObservedClient, ObservedSecret, Validity, client::FIELD_TYPE},
    idp::{
        authentik::{
            claims,
            lookups::Lookups,
            settings::Settings,
            wire::{Application, Mapping, Provider, RedirectUri},
        },
        normal_form::{
            ACCESS_TOKEN_LIFETIME, CLAIMS, Collected, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI,
            LOGOUT, POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, sorted, text,
        },
    },
};

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
pub(in crate::idp::authentik) fn observe(
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
pub(in crate::idp::authentik) fn remains(
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
pub(in crate::idp::authentik) fn put_orphan(observed: &mut ObservedClient, application: &Application) {
    observed
        .handles
        .insert(HANDLE_ORPHAN.to_owned(), application.slug.clone());
    observed
        .handles
        .insert(HANDLE_ORPHAN_ID.to_owned(), application.pk.clone());
}

/// An application whose provider was deleted lost the mark with it. Nobody else's has the id that status remembers.
pub(in crate::idp::authentik) fn recall(observed: &mut ObservedClient, mark: &Mark, remote_id: &str) {
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
pub(in crate::idp::authentik) fn after_provider(
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
pub(in crate::idp::authentik) fn after_application(
    observed: &ObservedClient,
    application: &Application,
) -> ObservedClient {
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

/// Was a field not shown?
pub(in crate::idp::authentik) fn is_hidden(observed: &ObservedClient, field: &str) -> bool {
    observed.handles.contains_key(&format!("{HIDDEN}{field}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
