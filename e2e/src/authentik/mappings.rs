//! Scope mappings: which claims a scope gives. Those of a new server are managed by it; others are their owners' business.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::events;
use super::input::{self, BLANK, Input, REQUIRED};
use super::lists;
use super::providers::set;
use super::reply::{self, Reply};
use super::request::Request;
use super::roles;
use super::state::{Ids, State};
use super::users::User;

pub(super) const MODEL: &str = "authentik_providers_oauth2.scopemapping";

#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) pk: String,
    pub(super) managed: Option<String>,
    pub(super) name: String,
    pub(super) expression: String,
    pub(super) scope_name: String,
    description: String,
}

/// Identifier, name, scope, description, expression.
const MAPPINGS: [(&str, &str, &str, &str, &str); 7] = [
    (
        "providers/proxy/scope-proxy",
        "Proxy outpost",
        "ak_proxy",
        "authentik Proxy - User information",
        "# This mapping is used by the authentik proxy. It passes extra user attributes,\n# which are used for example for the HTTP-Basic Authentication mapping.\nreturn {\n    \"ak_proxy\": {\n        \"user_attributes\": request.user.group_attributes(request),\n        \"is_superuser\": request.user.is_superuser,\n    }\n}",
    ),
    (
        "providers/oauth2/scope-email",
        "OpenID 'email'",
        "email",
        "Email address",
        "return {\n    \"email\": request.user.email,\n    \"email_verified\": False\n}",
    ),
    (
        "providers/oauth2/scope-entitlements",
        "Application Entitlements",
        "entitlements",
        "Application entitlements",
        "entitlements = [entitlement.name for entitlement in request.user.app_entitlements(provider.application)]\nreturn {\n    \"entitlements\": entitlements,\n    \"roles\": entitlements,\n}",
    ),
    (
        "providers/oauth2/scope-authentik_api",
        "authentik API access",
        "goauthentik.io/api",
        "authentik API Access on behalf of your user",
        "# This scope grants the application the ability to access the authentik API\n# on behalf of the authorizing user\nreturn {}",
    ),
    (
        "providers/oauth2/scope-offline_access",
        "OpenID 'offline_access'",
        "offline_access",
        "Access to request new tokens without interaction",
        "# This scope grants the application a refresh token that can be used to refresh user data\n# and let the application access authentik without the users interaction\nreturn {}",
    ),
    (
        "providers/oauth2/scope-openid",
        "OpenID 'openid'",
        "openid",
        "",
        "# This scope is required by the OpenID-spec, and must as such exist in authentik.\n# The scope by itself does not grant any information\nreturn {}",
    ),
    (
        "providers/oauth2/scope-profile",
        "OpenID 'profile'",
        "profile",
        "General Profile Information",
        "return {\n    # Because authentik only saves the user's full name, and has no concept of first and last names,\n    # the full name is used as given name.\n    # You can override this behaviour in custom mappings, i.e. `request.user.name.split(\" \")`\n    \"name\": request.user.name,\n    \"given_name\": request.user.name,\n    \"preferred_username\": request.user.username,\n    \"nickname\": request.user.username,\n    \"groups\": [group.name for group in request.user.groups.all()],\n}",
    ),
];

pub(super) fn managed(ids: &mut Ids) -> Vec<Mapping> {
    let row = |(managed, name, scope, description, expression): &(&str, &str, &str, &str, &str)| Mapping {
        pk: ids.uuid(),
        managed: Some(format!("goauthentik.io/{managed}")),
        name: format!("authentik default OAuth Mapping: {name}"),
        expression: (*expression).to_owned(),
        scope_name: (*scope).to_owned(),
        description: (*description).to_owned(),
    };
    MAPPINGS.iter().map(row).collect()
}

pub(super) fn shown(mapping: &Mapping) -> Value {
    json!({
        "pk": mapping.pk,
        "managed": mapping.managed,
        "name": mapping.name,
        "expression": mapping.expression,
        "component": "ak-property-mapping-provider-scope-form",
        "verbose_name": "Scope Mapping",
        "verbose_name_plural": "Scope Mappings",
        "meta_model_name": MODEL,
        "scope_name": mapping.scope_name,
        "description": mapping.description,
    })
}

/// `managed` may be there several times: any of them.
pub(super) fn list(state: &State, request: &Request) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let managed: Vec<_> = request
        .query
        .iter()
        .filter(|(key, value)| key == "managed" && !value.is_empty())
        .collect();
    let mut found: Vec<_> = state.mappings.iter().collect();
    found.retain(|mapping| {
        let chosen = managed.iter().any(|(_, value)| Some(value) == mapping.managed.as_ref());
        (managed.is_empty() || chosen)
            && lists::is(request, "scope_name", &mapping.scope_name)
            && lists::is(request, "name", &mapping.name)
            && lists::found(request, &[&mapping.name])
    });
    lists::sort(request, &mut found, "scope_name", |mapping, field| match field {
        "scope_name" => Some(mapping.scope_name.clone()),
        "name" => Some(mapping.name.clone()),
        _ => None,
    });
    let page = lists::page(request, found)?;
    let results = page.items.iter().map(|mapping| shown(mapping)).collect();
    Ok(page.answer(results))
}

/// A mapping as `fields` want it: a new one, or `old` changed. Nothing is kept yet. Expressions are not checked.
fn validated(
    state: &mut State,
    fields: Map<String, Value>,
    old: Option<&Mapping>,
    partial: bool,
) -> Result<Mapping, Map<String, Value>> {
    let mut input = Input::new(fields, partial);
    let name = input.text("name", REQUIRED);
    let expression = input.text("expression", REQUIRED);
    let scope_name = input.text("scope_name", REQUIRED);
    let description = input.text("description", BLANK);
    let mut others = state
        .mappings
        .iter()
        .filter(|other| Some(&other.pk) != old.map(|old| &old.pk));
    if name.is_some() && others.any(|other| Some(&other.name) == name.as_ref()) {
        input.refuse("name", "Property Mapping with this name already exists.");
    }
    input.checked()?;
    let mut mapping = old.cloned().unwrap_or_else(|| Mapping {
        pk: state.ids.uuid(),
        managed: None,
        name: String::new(),
        expression: String::new(),
        scope_name: String::new(),
        description: String::new(),
    });
    set(&mut mapping.name, name);
    set(&mut mapping.expression, expression);
    set(&mut mapping.scope_name, scope_name);
    set(&mut mapping.description, description);
    Ok(mapping)
}

pub(super) fn create(state: &mut State, request: &Request, user: &User) -> Result<Reply, Reply> {
    let mapping = validated(state, request.json()?, None, false).map_err(input::bad_request)?;
    let (pk, answer) = (json!(mapping.pk), shown(&mapping));
    events::add(state, request, user, "model_created", MODEL, pk, &mapping.name);
    state.mappings.push(mapping);
    Ok(reply::json(201, answer))
}

/// What is done to one: read, changed, deleted. Providers lose a mapping that is deleted.
pub(super) fn one(state: &mut State, request: &Request, user: &User, pk: &str) -> Result<Reply, Reply> {
    let at = state.mappings.iter().position(|mapping| mapping.pk == pk);
    let at = at.ok_or_else(|| reply::no_such("ScopeMapping"))?;
    if matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(reply::ok(shown(&state.mappings[at])));
    }
    if request.method == Method::DELETE {
        roles::need(state, user, MODEL, "delete")?;
        let old = state.mappings.remove(at);
        for provider in state.providers.values_mut() {
            provider.property_mappings.retain(|mapping| *mapping != old.pk);
        }
        events::add(state, request, user, "model_deleted", MODEL, json!(old.pk), &old.name);
        return Ok(reply::empty(204));
    }
    roles::need(state, user, MODEL, "change")?;
    let old = state.mappings[at].clone();
    let partial = request.method == Method::PATCH;
    let new = validated(state, request.json()?, Some(&old), partial).map_err(input::bad_request)?;
    events::add(state, request, user, "model_updated", MODEL, json!(new.pk), &new.name);
    state.mappings[at] = new;
    Ok(reply::ok(shown(&state.mappings[at])))
}
