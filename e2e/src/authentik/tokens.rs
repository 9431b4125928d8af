//! Tokens of users: for the API, or in the place of a password.

use axum::http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::input::{self, BLANK, Input, REQUIRED};
use super::reply::{self, Reply};
use super::request::Request;
use super::state::State;
use super::users;

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) pk: String,
    pub(super) identifier: String,
    pub(super) intent: String,
    pub(super) user: i64,
    pub(super) key: String,
    pub(super) description: String,
    pub(super) expiring: bool,
    pub(super) expires: Timestamp,
}

fn shown(state: &State, token: &Token) -> Value {
    json!({
        "pk": token.pk,
        "managed": null,
        "identifier": token.identifier,
        "intent": token.intent,
        "user": token.user,
        "user_obj": state.user(token.user).map(|user| users::shown(state, user)),
        "description": token.description,
        "expires": token.expires,
        "expiring": token.expiring,
    })
}

pub(super) fn create(state: &mut State, fields: Map<String, Value>, caller: i64) -> Result<Reply, Reply> {
    let mut input = Input::new(fields, false);
    let identifier = input.text("identifier", REQUIRED);
    let intents = ["verification", "api", "recovery", "app_password"];
    let intent = input.choice("intent", &intents).unwrap_or_else(|| "api".to_owned());
    let user = input
        .number("user", |pk| state.user(pk).is_some())
        .flatten()
        .unwrap_or(caller);
    let expiring = input.boolean("expiring").unwrap_or(true);
    let description = input.text("description", BLANK).unwrap_or_default();
    if state
        .tokens
        .iter()
        .any(|token| Some(&token.identifier) == identifier.as_ref())
    {
        input.refuse("identifier", "Token with this identifier already exists.");
    }
    input.checked().map_err(input::bad_request)?;
    let identifier = identifier.unwrap_or_default();
    state.add_token(&identifier, &intent, user, expiring).description = description;
    let token = state.tokens.iter().find(|token| token.identifier == identifier);
    let token = token.ok_or_else(|| reply::no_such("Token"))?;
    Ok(reply::json(201, shown(state, token)))
}

/// What is done to one: read or deleted. To change one is not here.
pub(super) fn one(state: &mut State, request: &Request, identifier: &str) -> Result<Reply, Reply> {
    let found = find(state, identifier)?;
    match request.method {
        Method::GET | Method::HEAD => Ok(reply::ok(shown(state, found))),
        Method::DELETE => {
            state.tokens.retain(|token| token.identifier != identifier);
            Ok(reply::empty(204))
        }
        _ => Err(reply::not_here()),
    }
}

/// What is sent as bearer.
pub(super) fn key(state: &State, identifier: &str) -> Result<Reply, Reply> {
    Ok(reply::ok(json!({ "key": find(state, identifier)?.key })))
}

fn find<'a>(state: &'a State, identifier: &str) -> Result<&'a Token, Reply> {
    let found = state.tokens.iter().find(|token| token.identifier == identifier);
    found.ok_or_else(|| reply::no_such("Token"))
}
