//! The client as the spec wants it.

use super::{
    names::{
        APPLICATION, AUTHORIZATION_FLOW, CLAIMS_IN_ID_TOKEN, DEFAULT_ACCESS_SECONDS, DEFAULT_REFRESH_SECONDS,
        INVALIDATION_FLOW, ISSUER_MODE, SCOPES, SIGNING_KEY, SUB_MODE, USED_CLAIMS,
    },
    slug::slug,
};
use crate::{
    domain::{DesiredClient, Fields, LogoutChannel, client::FIELD_TYPE},
    idp::{
        authentik::{claims, settings::Settings},
        normal_form::{
            ACCESS_TOKEN_LIFETIME, CLAIMS, Collected, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI,
            LOGOUT, POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, sorted, text,
        },
    },
};

/// The client as the spec wants it.
pub(in crate::idp::authentik) fn wanted(desired: &DesiredClient, settings: &Settings) -> Fields {
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
pub(super) fn display_name(desired: &DesiredClient) -> String {
    desired
        .display_name
        .clone()
        .unwrap_or_else(|| desired.client_id.clone())
}

pub(super) fn logout(desired: &DesiredClient) -> (&str, &'static str) {
    desired.logout.as_ref().map_or(("", "backchannel"), |logout| {
        let method = match logout.channel {
            LogoutChannel::Back => "backchannel",
            LogoutChannel::Front => "frontchannel",
        };
        (logout.uri.as_str(), method)
    })
}

pub(super) fn logout_text(uri: &str, method: &str) -> String {
    if uri.is_empty() {
        String::new()
    } else {
        format!("{method} {uri}")
    }
}

pub(super) fn access_seconds(desired: &DesiredClient) -> u64 {
    desired
        .lifetimes
        .access
        .map_or(DEFAULT_ACCESS_SECONDS, |lifetime| lifetime.as_secs())
}

pub(super) fn refresh_seconds(desired: &DesiredClient) -> u64 {
    desired
        .lifetimes
        .refresh
        .map_or(DEFAULT_REFRESH_SECONDS, |lifetime| lifetime.as_secs())
}
