//! Roles: who may do what. Nobody has rights but through them, except superusers, who have all.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::input::{self, Input, REQUIRED};
use super::reply::{self, Reply};
use super::state::State;
use super::users::User;

#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) pk: String,
    pub(super) name: String,
    pub(super) members: BTreeSet<i64>,
    pub(super) permissions: BTreeSet<String>,
}

/// The kinds of things that rights are about, of those that exist here.
const MODELS: [&str; 12] = [
    "authentik_core.application",
    "authentik_core.group",
    "authentik_core.token",
    "authentik_core.user",
    "authentik_crypto.certificatekeypair",
    "authentik_events.event",
    "authentik_flows.flow",
    "authentik_policies.policybinding",
    "authentik_providers_oauth2.accesstoken",
    "authentik_providers_oauth2.oauth2provider",
    "authentik_providers_oauth2.scopemapping",
    "authentik_rbac.role",
];

/// The right to see secrets, where they are hidden.
pub(super) const VIEW_SECRET: &str = "authentik_secrets.view_secret_value";

/// The right to do `action` (`view`, `add`, `change`, `delete`) to what is called `app.model`.
pub(super) fn right(model: &str, action: &str) -> String {
    match model.split_once('.') {
        Some((app, name)) => format!("{app}.{action}_{name}"),
        None => model.to_owned(),
    }
}

pub(super) fn is_known(state: &State, permission: &str) -> bool {
    let actions = ["view", "add", "change", "delete"];
    let of = |model: &str| actions.iter().any(|action| right(model, action) == permission);
    MODELS.iter().any(|model| of(model)) || (state.hides_secrets && permission == VIEW_SECRET)
}

pub(super) fn shown(role: &Role) -> Value {
    json!({ "pk": role.pk, "name": role.name })
}

pub(super) fn create(state: &mut State, fields: Map<String, Value>) -> Result<Reply, Reply> {
    let mut input = Input::new(fields, false);
    let name = input.text("name", REQUIRED);
    if state.roles.iter().any(|role| Some(&role.name) == name.as_ref()) {
        input.refuse("name", "Role with this name already exists.");
    }
    input.checked().map_err(input::bad_request)?;
    let role = Role {
        pk: state.ids.uuid(),
        name: name.unwrap_or_default(),
        members: BTreeSet::new(),
        permissions: BTreeSet::new(),
    };
    let shown = shown(&role);
    state.roles.push(role);
    Ok(reply::json(201, shown))
}

pub(super) fn add_member(state: &mut State, role: &str, fields: Map<String, Value>) -> Result<Reply, Reply> {
    let mut input = Input::new(fields, false);
    let user = input.integer("pk", true);
    input.checked().map_err(input::bad_request)?;
    let user = user
        .filter(|&pk| state.user(pk).is_some())
        .ok_or_else(|| reply::no_such("User"))?;
    let role = state.roles.iter_mut().find(|known| known.pk == role);
    role.ok_or_else(|| reply::no_such("Role"))?.members.insert(user);
    Ok(reply::empty(204))
}

/// A right that nobody knows makes the real view fail.
pub(super) fn assign(state: &mut State, role: &str, fields: Map<String, Value>) -> Result<Reply, Reply> {
    let wanted = fields
        .get("permissions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let wanted: Vec<_> = wanted.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
    if !wanted.iter().all(|permission| is_known(state, permission)) {
        return Err(reply::empty_405());
    }
    let role = state.roles.iter_mut().find(|known| known.pk == role);
    let role = role.ok_or_else(|| reply::no_such("Role"))?;
    let before = role.permissions.len();
    role.permissions.extend(wanted.iter().cloned());
    let ids: Vec<_> = (0..wanted.len())
        .map(|at| json!({ "id": (251 + before + at).to_string() }))
        .collect();
    Ok(reply::ok(json!(ids)))
}

pub(super) fn need(state: &State, user: &User, model: &str, action: &str) -> Result<(), Reply> {
    if state.may(user.pk, &right(model, action)) {
        Ok(())
    } else {
        Err(reply::forbidden())
    }
}
