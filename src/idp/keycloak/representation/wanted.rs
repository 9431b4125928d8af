//! The client as the spec wants it, in normal form.

use std::collections::BTreeSet;

use super::names::{ASSIGNED, AUTH_METHOD, BUILT_IN_SCOPES, ID_TOKEN_ALG, OPTIONAL_SCOPES, PKCE, SCOPES, WEB_ORIGINS};
use crate::{
    domain::{
        DesiredClient, Fields, Logout, LogoutChannel, Pkce,
        client::{FIELD_TYPE, OFFLINE_ACCESS, OPENID},
    },
    idp::normal_form::{
        ACCESS_TOKEN_LIFETIME, Collected, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT,
        POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, sorted, text,
    },
};

/// The client as the spec wants it, in normal form, but for mappers.
pub(in crate::idp::keycloak) fn wanted_fields(desired: &DesiredClient) -> Fields {
    let mut fields = Collected::default();
    fields.put(FIELD_TYPE, desired.client_type.as_str());
    fields.put(DISPLAY_NAME, text(&desired.display_name));
    fields.put(DESCRIPTION, text(&desired.description));
    fields.put(HOMEPAGE_URI, text(&desired.homepage_uri));
    fields.put(LOGO_URI, text(&desired.logo_uri));
    fields.put(REDIRECT_URIS, sorted(&desired.redirect_uris));
    fields.put(POST_LOGOUT_REDIRECT_URIS, sorted(&desired.post_logout_redirect_uris));
    fields.put(WEB_ORIGINS, sorted(&desired.web_origins));
    fields.put(
        GRANT_TYPES,
        sorted(desired.grant_types.iter().map(|grant| grant.as_str())),
    );
    if desired.has_secret() {
        fields.put(AUTH_METHOD, desired.auth_method.as_str());
    }
    fields.put(PKCE, if desired.pkce == Pkce::Required { "S256" } else { "" });
    fields.put(
        ID_TOKEN_ALG,
        desired.id_token_alg.map_or("", |algorithm| algorithm.as_str()),
    );
    fields.put(LOGOUT, desired.logout.as_ref().map(logout_text).unwrap_or_default());
    fields.put(ACCESS_TOKEN_LIFETIME, seconds(desired.lifetimes.access));
    fields.put(REFRESH_TOKEN_LIFETIME, seconds(desired.lifetimes.refresh));
    for (prefix, scopes) in [
        (SCOPES, default_scopes(desired)),
        (OPTIONAL_SCOPES, optional_scopes(desired)),
    ] {
        for scope in scopes {
            fields.put(format!("{prefix}{scope}"), ASSIGNED);
        }
    }
    fields.0
}

/// What every token carries. `openid` is no client scope there; `offline_access` must be asked for.
pub(super) fn default_scopes(desired: &DesiredClient) -> BTreeSet<&str> {
    let scopes = desired.scopes.iter().map(String::as_str);
    scopes
        .filter(|scope| is_assigned(scope) && *scope != OFFLINE_ACCESS)
        .collect()
}

pub(super) fn optional_scopes(desired: &DesiredClient) -> BTreeSet<&str> {
    let offline = desired.scopes.iter().filter(|scope| *scope == OFFLINE_ACCESS);
    let scopes = desired.optional_scopes.iter().chain(offline).map(String::as_str);
    scopes.filter(|scope| is_assigned(scope)).collect()
}

pub(super) fn is_assigned(scope: &str) -> bool {
    scope != OPENID && !BUILT_IN_SCOPES.contains(&scope)
}

pub(super) fn seconds(lifetime: Option<std::time::Duration>) -> String {
    lifetime
        .map(|lifetime| lifetime.as_secs().to_string())
        .unwrap_or_default()
}

pub(super) fn logout_text(logout: &Logout) -> String {
    let channel = match logout.channel {
        LogoutChannel::Back => "BackChannel",
        LogoutChannel::Front => "FrontChannel",
    };
    let session = if logout.session_required { "with" } else { "without" };
    format!("{channel} {} {session} session", logout.uri)
}
