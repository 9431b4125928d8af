//! The endpoints of OpenID Connect, and the pages on the way.

mod authorize;
mod bearer;
mod claims;
mod discovery;
mod token;

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::input;
use super::keys;
use super::pages;
use super::providers::Provider;
use super::reply::{self, Reply};
use super::request::Request;
use super::state::State;

pub(super) use authorize::{Code, Session, flow};

/// An access token that was given out.
pub(super) struct AccessToken {
    pub(super) pk: u64,
    pub(super) provider: i64,
    pub(super) user: i64,
    token: String,
    scopes: Vec<String>,
    claims: Value,
    expires: Timestamp,
    revoked: bool,
}

/// A refresh token that was given out; it works once.
pub(super) struct RefreshToken {
    pub(super) provider: i64,
    user: i64,
    token: String,
    scopes: Vec<String>,
    nonce: Option<String>,
    expires: Timestamp,
}

/// Answers what stands below `/application/o/`.
pub(super) fn answer(state: &mut State, request: &Request, path: &[&str]) -> Reply {
    let post = request.method == Method::POST;
    match path {
        ["authorize"] => authorize::authorize(state, request),
        ["token"] if post => token::token(state, request),
        ["userinfo"] => bearer::userinfo(state, request),
        ["introspect"] if post => bearer::introspect(state, request),
        ["revoke"] if post => bearer::revoke(state, request),
        [slug, ".well-known", "openid-configuration"] => match of_application(state, slug) {
            Some(provider) => discovery::document(state, request, provider, slug),
            None => pages::not_found(&request.method),
        },
        [slug, "jwks"] => match of_application(state, slug) {
            Some(provider) => discovery::jwks(state, provider),
            None => pages::not_found(&request.method),
        },
        [slug, "end-session"] => match of_application(state, slug).cloned() {
            Some(provider) => authorize::end_session(state, request, &provider),
            None => pages::not_found(&request.method),
        },
        ["token" | "introspect" | "revoke"] => reply::html(405, String::new()).with("allow", "POST, OPTIONS"),
        _ => pages::not_found(&request.method),
    }
}

/// The provider behind an application. Without both there are no endpoints.
fn of_application<'a>(state: &'a State, slug: &str) -> Option<&'a Provider> {
    let application = state.applications.iter().find(|application| application.slug == slug)?;
    state.providers.get(&application.provider?)
}

/// `issuer_mode` says whether the application is in it.
pub(super) fn issuer(request: &Request, provider: &Provider, slug: &str) -> String {
    match provider.issuer_mode.as_str() {
        "global" => format!("{}/", request.base),
        _ => format!("{}/application/o/{slug}/", request.base),
    }
}

/// The user of an access token that may call the API.
pub(super) fn api_user(state: &State, token: &str) -> Option<i64> {
    let found = bearer::valid(state, token)?;
    found
        .scopes
        .iter()
        .any(|scope| scope == "goauthentik.io/api")
        .then_some(found.user)
}

/// Scopes of the request that the provider has mappings for; others are dropped.
fn known_scopes(state: &State, provider: &Provider, wanted: &str) -> Vec<String> {
    let known = |scope: &&str| {
        let mut mappings = state
            .mappings
            .iter()
            .filter(|mapping| provider.property_mappings.contains(&mapping.pk));
        mappings.any(|mapping| mapping.scope_name == **scope)
    };
    wanted.split_whitespace().filter(known).map(ToOwned::to_owned).collect()
}

fn signed(state: &State, provider: &Provider, claims: &Value) -> String {
    let pair = provider
        .signing_key
        .as_ref()
        .and_then(|pk| state.keys.iter().find(|pair| pair.pk == *pk));
    match pair {
        Some(pair) => pair.signed(claims),
        None => keys::signed_with_secret(&provider.client_secret, claims),
    }
}

fn later(duration: &str) -> (Timestamp, i64) {
    let seconds = input::seconds(duration).unwrap_or_default();
    (Timestamp::now() + jiff::SignedDuration::from_secs(seconds), seconds)
}

/// An error of RFC 6749, section 5.2.
fn error(state: &mut State, status: u16, code: &str) -> Reply {
    let description = match code {
        "invalid_client" => {
            "Client authentication failed (e.g., unknown client, no client authentication included, or unsupported \
             authentication method)"
        }
        "unsupported_grant_type" => "The authorization grant type is not supported by the authorization server",
        "invalid_grant" => {
            "The provided authorization grant or refresh token is invalid, expired, revoked, does not match the redirection \
             URI used in the authorization request, or was issued to another client"
        }
        "invalid_scope" => {
            "The requested scope is invalid, unknown, malformed, or exceeds the scope granted by the resource owner"
        }
        _ => "The request is otherwise malformed",
    };
    let body = json!({ "error": code, "error_description": description, "request_id": state.ids.hex() });
    uncached(reply::json(status, body))
}

fn uncached(reply: Reply) -> Reply {
    reply.with("cache-control", "no-store").with("pragma", "no-cache")
}

/// `client_id` and secret of a request: by HTTP basic authentication, else in its form.
fn client(request: &Request, form: &[(String, String)]) -> (String, String) {
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map_or_else(String::new, |(_, value)| value.clone())
    };
    request
        .basic()
        .unwrap_or_else(|| (field("client_id"), field("client_secret")))
}
