//! What is done with a token that was given out: userinfo, introspection (RFC 7662), revocation (RFC 7009).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::reply::{self, Reply};
use super::super::request::Request;
use super::super::state::State;
use super::{AccessToken, claims, client, error, uncached};

/// An access token that is good.
pub(super) fn valid<'a>(state: &'a State, token: &str) -> Option<&'a AccessToken> {
    let found = state.access_tokens.iter().find(|known| known.token == token)?;
    (!found.revoked && found.expires > Timestamp::now()).then_some(found)
}

/// It does not ask whether the provider still has an application.
pub(super) fn userinfo(state: &State, request: &Request) -> Reply {
    let found = request.bearer().and_then(|token| valid(state, token));
    let user = found.and_then(|found| state.user(found.user));
    let provider = found.and_then(|found| state.providers.get(&found.provider));
    let (Some(found), Some(user), Some(provider)) = (found, user, provider) else {
        let problem = "error=\"invalid_token\", error_description=\"The access token provided is expired, revoked, malformed, \
                       or invalid for other reasons\"";
        return reply::html(401, String::new()).with("www-authenticate", problem);
    };
    let mut body = claims::of_scopes(state, provider, user, &found.scopes);
    body.insert("sub".to_owned(), json!(claims::subject(provider, user)));
    uncached(reply::ok(Value::Object(body)))
}

/// A wrong secret and a wrong token look the same.
pub(super) fn introspect(state: &State, request: &Request) -> Reply {
    let form = request.form();
    let inactive = || uncached(reply::ok(json!({ "active": false })));
    let Some(provider) = authenticated(state, request, &form) else {
        return inactive();
    };
    let token = form
        .iter()
        .find(|(key, _)| key == "token")
        .map_or("", |(_, value)| value.as_str());
    let Some(found) = valid(state, token).filter(|found| found.provider == provider) else {
        return inactive();
    };
    let mut body = found.claims.clone();
    body["active"] = json!(true);
    body["scope"] = json!(found.scopes.join(" "));
    body["client_id"] = found.claims["aud"].clone();
    uncached(reply::ok(body))
}

/// A token that nobody knows is as good as revoked.
pub(super) fn revoke(state: &mut State, request: &Request) -> Reply {
    let form = request.form();
    let Some(provider) = authenticated(state, request, &form) else {
        return error(state, 401, "invalid_client");
    };
    let token = form
        .iter()
        .find(|(key, _)| key == "token")
        .map_or("", |(_, value)| value.as_str());
    for known in &mut state.access_tokens {
        if known.token == token && known.provider == provider {
            known.revoked = true;
        }
    }
    state
        .refresh_tokens
        .retain(|known| known.token != token || known.provider != provider);
    uncached(reply::ok(json!({})))
}

/// The provider whose secret this is; public clients need none.
fn authenticated(state: &State, request: &Request, form: &[(String, String)]) -> Option<i64> {
    let (client_id, secret) = client(request, form);
    let provider = state
        .providers
        .values()
        .find(|provider| provider.client_id == client_id)?;
    (provider.client_secret == secret || provider.client_type == "public").then_some(provider.pk)
}
