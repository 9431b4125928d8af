//! What a spec restricts: the fields of which a provider might allow more than they say. Pure.

use crate::domain::{DesiredClient, Pkce, TokenEndpointAuthMethod};

/// The fields of `desired` that restrict something, by their names in the spec.
pub(super) fn fields(desired: &DesiredClient) -> impl Iterator<Item = &'static str> + use<> {
    let restricted = [
        ("type", true),
        ("redirectURIs", true),
        ("grantTypes", true),
        ("scopes", true),
        ("postLogoutRedirectURIs", !desired.post_logout_redirect_uris.is_empty()),
        ("webOrigins", !desired.web_origins.is_empty()),
        ("pkce", desired.pkce == Pkce::Required),
        (
            "tokenEndpointAuthMethod",
            desired.auth_method != TokenEndpointAuthMethod::None,
        ),
        ("idTokenSignedResponseAlg", desired.id_token_alg.is_some()),
    ];
    restricted
        .into_iter()
        .filter(|(_, restricted)| *restricted)
        .map(|(field, _)| field)
}
