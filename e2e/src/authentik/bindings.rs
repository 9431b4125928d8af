//! Who may open an application: without any binding, everybody. Groups and policies do not exist here.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::applications::Application;
use super::input::{self, FILLED, Input};
use super::lists;
use super::reply::{self, Reply};
use super::request::Request;
use super::state::State;
use super::users::User;
use super::{roles, users};

pub(super) const MODEL: &str = "authentik_policies.policybinding";

#[derive(Debug, Clone)]
pub(super) struct Binding {
    pk: String,
    pub(super) target: String,
    user: i64,
    order: i64,
}

/// Whether the user may open the application.
pub(super) fn open(state: &State, application: &Application, user: i64) -> bool {
    let mut bindings = state
        .bindings
        .iter()
        .filter(|binding| binding.target == application.pk)
        .peekable();
    if bindings.peek().is_none() {
        return true;
    }
    if application.policy_engine_mode == "all" {
        bindings.all(|binding| binding.user == user)
    } else {
        bindings.any(|binding| binding.user == user)
    }
}

fn shown(state: &State, binding: &Binding) -> Value {
    json!({
        "pk": binding.pk,
        "policy": null,
        "group": null,
        "user": binding.user,
        "policy_obj": null,
        "group_obj": null,
        "user_obj": state.user(binding.user).map(users::shown_partly),
        "target": binding.target,
        "negate": false,
        "enabled": true,
        "order": binding.order,
        "timeout": 30,
        "failure_result": false,
    })
}

pub(super) fn list(state: &State, request: &Request) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let mut found: Vec<_> = state.bindings.iter().collect();
    found.retain(|binding| {
        lists::is(request, "target", &binding.target) && lists::is(request, "order", &binding.order.to_string())
    });
    found.sort_by_key(|binding| (&binding.target, binding.order));
    let page = lists::page(request, found)?;
    let results = page.items.iter().map(|binding| shown(state, binding)).collect();
    Ok(page.answer(results))
}

pub(super) fn create(state: &mut State, fields: Map<String, Value>) -> Result<Reply, Reply> {
    let mut input = Input::new(fields, false);
    let applications = &state.applications;
    let target = input
        .uuid("target", true, false, |pk| applications.iter().any(|one| one.pk == pk))
        .flatten();
    let user = input.number("user", |pk| state.user(pk).is_some()).flatten();
    let order = input.integer("order", true);
    let _ = input.text("group", FILLED);
    if user.is_none() && !input.refused("user") {
        input.refuse("non_field_errors", "One of 'policy', 'group', 'user' must be set.");
    }
    input.checked().map_err(input::bad_request)?;
    let binding = Binding {
        pk: state.ids.uuid(),
        target: target.unwrap_or_default(),
        user: user.unwrap_or_default(),
        order: order.unwrap_or_default(),
    };
    let answer = shown(state, &binding);
    state.bindings.push(binding);
    state.list_cache.clear();
    Ok(reply::json(201, answer))
}

/// What is done to one: read or deleted. To change one is not here.
pub(super) fn one(state: &mut State, request: &Request, user: &User, pk: &str) -> Result<Reply, Reply> {
    let at = state.bindings.iter().position(|binding| binding.pk == pk);
    let at = at.ok_or_else(|| reply::no_such("PolicyBinding"))?;
    match request.method {
        Method::GET | Method::HEAD => Ok(reply::ok(shown(state, &state.bindings[at]))),
        Method::DELETE => {
            roles::need(state, user, MODEL, "delete")?;
            state.bindings.remove(at);
            state.list_cache.clear();
            Ok(reply::empty(204))
        }
        _ => Err(reply::not_here()),
    }
}
