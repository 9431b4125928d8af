//! Discovery (OpenID Connect Discovery 1.0) and JWKS (RFC 7517).

use serde_json::{Value, json};

use super::super::providers::Provider;
use super::super::reply::{self, Reply};
use super::super::request::Request;
use super::super::state::State;
use super::issuer;

pub(super) fn document(state: &State, request: &Request, provider: &Provider, slug: &str) -> Reply {
    let url = |path: &str| format!("{}/application/o/{path}", request.base);
    let mapped: Vec<_> = state
        .mappings
        .iter()
        .filter(|mapping| provider.property_mappings.contains(&mapping.pk))
        .collect();
    let mut scopes: Vec<_> = mapped.iter().map(|mapping| mapping.scope_name.as_str()).collect();
    if !scopes.contains(&"openid") {
        scopes.push("openid");
    }
    let mut claims: Vec<_> = ["sub", "iss", "aud", "exp", "iat", "auth_time", "acr", "amr", "nonce"]
        .map(str::to_owned)
        .into();
    // Those of any user: expressions do not decide which claims there are.
    if let Some(user) = state.users.first() {
        let scopes: Vec<_> = mapped.iter().map(|mapping| mapping.scope_name.clone()).collect();
        claims.extend(
            super::claims::of_scopes(state, provider, user, &scopes)
                .into_iter()
                .map(|(name, _)| name),
        );
    }
    let mut document = json!({
        "issuer": issuer(request, provider, slug),
        "authorization_endpoint": url("authorize/"),
        "token_endpoint": url("token/"),
        "userinfo_endpoint": url("userinfo/"),
        "end_session_endpoint": url(&format!("{slug}/end-session/")),
        "introspection_endpoint": url("introspect/"),
        "revocation_endpoint": url("revoke/"),
        "device_authorization_endpoint": url("device/"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "response_types_supported": [
            "code", "id_token", "id_token token", "code token", "code id_token", "code id_token token"
        ],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "jwks_uri": url(&format!("{slug}/jwks/")),
        "grant_types_supported": [
            "authorization_code", "refresh_token", "implicit", "client_credentials", "password",
            "urn:ietf:params:oauth:grant-type:device_code"
        ],
        "id_token_signing_alg_values_supported": [if provider.signing_key.is_some() { "RS256" } else { "HS256" }],
        "subject_types_supported": ["public"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "acr_values_supported": [super::claims::ACR],
        "scopes_supported": scopes,
        "request_parameter_supported": false,
        "claims_supported": claims,
        "claims_parameter_supported": false,
        "code_challenge_methods_supported": ["plain", "S256"],
    });
    if state.release.has_grant_types() {
        document["frontchannel_logout_supported"] = json!(true);
        document["frontchannel_logout_session_supported"] = json!(true);
    }
    reply::ok(document)
}

/// Without a signing key there is no key at all, and no member for them.
pub(super) fn jwks(state: &State, provider: &Provider) -> Reply {
    let pair = provider
        .signing_key
        .as_ref()
        .and_then(|pk| state.keys.iter().find(|pair| pair.pk == *pk));
    let keys = pair.map_or_else(|| json!({}), |pair| -> Value { json!({ "keys": [pair.jwk()] }) });
    reply::ok(keys).with("access-control-allow-origin", "*")
}
