//! What tokens say of a user.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::super::expressions;
use super::super::providers::Provider;
use super::super::state::State;
use super::super::users::User;
use super::token::Granted;

pub(super) const ACR: &str = "goauthentik.io/providers/oauth2/default";

pub(super) fn subject(provider: &Provider, user: &User) -> String {
    match provider.sub_mode.as_str() {
        "user_id" => user.pk.to_string(),
        "user_uuid" => user.uuid.clone(),
        "user_username" | "user_upn" => user.username.clone(),
        "user_email" => user.email.clone(),
        _ => user.uid.clone(),
    }
}

/// The claims of the provider's mappings for these scopes, in the order of the scopes' names, as a real server merges them.
/// A mapping whose expression is not understood gives none.
pub(super) fn of_scopes(state: &State, provider: &Provider, user: &User, scopes: &[String]) -> Map<String, Value> {
    let mut mappings: Vec<_> = state
        .mappings
        .iter()
        .filter(|mapping| provider.property_mappings.contains(&mapping.pk) && scopes.contains(&mapping.scope_name))
        .collect();
    mappings.sort_by_key(|mapping| &mapping.scope_name);
    let application = state
        .application_of(provider.pk)
        .map(|application| application.slug.as_str());
    let mut claims = Map::new();
    for mapping in mappings {
        match expressions::claims(&mapping.expression, user, application) {
            Some(more) => claims.extend(more),
            None => tracing::warn!(
                name = mapping.name,
                "an expression that the stand-in for authentik cannot run"
            ),
        }
    }
    claims
}

/// The claims of an ID token (OpenID Connect Core 1.0, section 2).
pub(super) fn of_id_token(
    state: &State,
    provider: &Provider,
    user: &User,
    granted: &Granted,
    issuer: &str,
    id: &str,
    expires: Timestamp,
) -> Map<String, Value> {
    let now = Timestamp::now().as_second();
    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    add("iss", json!(issuer));
    add("sub", json!(subject(provider, user)));
    add("aud", json!(provider.client_id));
    add("exp", json!(expires.as_second()));
    add("iat", json!(now));
    add("auth_time", json!(now));
    add("acr", json!(ACR));
    add("jti", json!(id));
    if let Some(nonce) = &granted.nonce {
        add("nonce", json!(nonce));
    }
    if provider.include_claims_in_id_token {
        claims.extend(of_scopes(state, provider, user, &granted.scopes));
    }
    claims
}
