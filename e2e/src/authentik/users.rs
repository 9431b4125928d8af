//! Users: people, service accounts, the caller itself.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::input::{self, BLANK, Input, REQUIRED};
use super::lists;
use super::providers::set;
use super::reply::{self, Reply};
use super::request::Request;
use super::roles::{self, Role};
use super::state::State;

#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) pk: i64,
    pub(super) uuid: String,
    /// Also the subject of tokens, in the usual `sub_mode`.
    pub(super) uid: String,
    pub(super) username: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) password: Option<String>,
    pub(super) kind: &'static str,
    pub(super) path: String,
    pub(super) attributes: Value,
    /// Beside those that a superuser has.
    pub(super) groups: Vec<String>,
    /// By the slug of an application.
    pub(super) entitlements: BTreeMap<String, Vec<String>>,
    pub(super) is_active: bool,
    pub(super) is_superuser: bool,
    pub(super) last_login: Option<Timestamp>,
    pub(super) joined: Timestamp,
    pub(super) updated: Timestamp,
}

const SYSTEM_PERMISSIONS: [&str; 16] = [
    "access_admin_interface",
    "add_initialpermissions",
    "add_role",
    "assign_role_permissions",
    "change_initialpermissions",
    "change_role",
    "delete_initialpermissions",
    "delete_role",
    "edit_system_settings",
    "manage_media_files",
    "unassign_role_permissions",
    "view_initialpermissions",
    "view_media_files",
    "view_role",
    "view_system_info",
    "view_system_settings",
];

/// A user who logs in.
pub(super) fn person(state: &mut State, username: &str, password: &str) {
    let user = state.add_user(username, "internal");
    user.email = format!("{username}@example.test");
    user.password = Some(password.to_owned());
}

/// A service account with these rights; its API token.
pub(super) fn service_account(state: &mut State, name: &str, permissions: &[&str]) -> Result<String> {
    for permission in permissions {
        ensure!(roles::is_known(state, permission), "there is no right {permission}");
    }
    let user = add_service_account(state, name);
    let role = Role {
        pk: state.ids.uuid(),
        name: name.to_owned(),
        members: BTreeSet::from([user]),
        permissions: permissions.iter().map(|&permission| permission.to_owned()).collect(),
    };
    state.roles.push(role);
    Ok(state.add_token(&format!("{name}-api"), "api", user, false).key.clone())
}

fn add_service_account(state: &mut State, name: &str) -> i64 {
    let user = state.add_user(name, "service_account");
    user.path = "goauthentik.io/service-accounts".to_owned();
    user.attributes = json!({ "goauthentik.io/user/token-expires": false });
    user.pk
}

pub(super) fn shown(state: &State, user: &User) -> Value {
    let roles: Vec<_> = state
        .roles
        .iter()
        .filter(|role| role.members.contains(&user.pk))
        .collect();
    json!({
        "pk": user.pk,
        "username": user.username,
        "name": user.name,
        "is_active": user.is_active,
        "last_login": user.last_login,
        "date_joined": user.joined,
        "is_superuser": user.is_superuser,
        "groups": [],
        "groups_obj": [],
        "roles": roles.iter().map(|role| &role.pk).collect::<Vec<_>>(),
        "roles_obj": roles.iter().map(|role| roles::shown(role)).collect::<Vec<_>>(),
        "email": user.email,
        "avatar": avatar(user),
        "attributes": user.attributes,
        "uid": user.uid,
        "path": user.path,
        "type": user.kind,
        "uuid": user.uuid,
        "password_change_date": user.joined,
        "last_updated": user.updated,
    })
}

/// As other objects show it.
pub(super) fn shown_partly(user: &User) -> Value {
    json!({
        "pk": user.pk,
        "username": user.username,
        "name": user.name,
        "is_active": user.is_active,
        "last_login": user.last_login,
        "email": user.email,
        "attributes": user.attributes,
        "uid": user.uid,
    })
}

fn avatar(user: &User) -> String {
    let initials: String = user.username.chars().take(2).collect::<String>().to_uppercase();
    let svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\"><text>{initials}</text></svg>");
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))
}

/// The caller, as it sees itself.
pub(super) fn me(state: &State, user: &User) -> Reply {
    let roles: Vec<_> = state
        .roles
        .iter()
        .filter(|role| role.members.contains(&user.pk))
        .collect();
    let groups = if user.is_superuser {
        json!([{ "name": "authentik Admins", "pk": "437d0717-7ec2-4ed2-a8cc-12875ab22e54" }])
    } else {
        json!([])
    };
    let system: &[&str] = if user.is_superuser { &SYSTEM_PERMISSIONS } else { &[] };
    reply::ok(json!({ "user": {
        "pk": user.pk,
        "username": user.username,
        "name": user.name,
        "is_active": user.is_active,
        "is_superuser": user.is_superuser,
        "groups": groups,
        "roles": roles.iter().map(|role| roles::shown(role)).collect::<Vec<_>>(),
        "email": user.email,
        "avatar": avatar(user),
        "uid": user.uid,
        "settings": {},
        "type": user.kind,
        "system_permissions": system,
    }}))
}

pub(super) fn list(state: &State, request: &Request) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let mut found: Vec<_> = state.users.iter().collect();
    found.retain(|user| {
        lists::is(request, "username", &user.username)
            && lists::is(request, "name", &user.name)
            && lists::is(request, "email", &user.email)
            && lists::is(request, "type", user.kind)
            && lists::found(request, &[&user.username, &user.name, &user.email])
    });
    lists::sort(request, &mut found, "username", |user, field| match field {
        "username" => Some((0, user.username.clone())),
        "pk" => Some((user.pk, String::new())),
        _ => None,
    });
    let page = lists::page(request, found)?;
    let results = page.items.iter().map(|user| shown(state, user)).collect();
    let field = |kind: &str, nullable: bool| json!({ "type": kind, "nullable": nullable, "options": null });
    let kinds = ["internal", "external", "service_account", "internal_service_account"];
    Ok(page.answer_completed(
        results,
        json!({ "current_model": "authentik_core.user", "models": { "authentik_core.user": {
            "username": field("str", false),
            "name": field("str", false),
            "email": field("str", false),
            "path": field("str", false),
            "is_active": field("bool", true),
            "type": { "type": "str", "nullable": false, "options": kinds },
            "attributes": {
                "type": "relation", "nullable": false, "options": null, "relation": "authentik_core.user_attributes"
            },
        }}}),
    ))
}

pub(super) fn create_service_account(state: &mut State, fields: Map<String, Value>) -> Result<Reply, Reply> {
    let mut input = Input::new(fields, false);
    let name = input.text("name", REQUIRED);
    let expiring = input.boolean("expiring").unwrap_or(true);
    if state.users.iter().any(|user| Some(&user.username) == name.as_ref()) {
        input.refuse("name", "This field must be unique.");
    }
    input.checked().map_err(input::bad_request)?;
    let name = name.unwrap_or_default();
    let pk = add_service_account(state, &name);
    let token = state.add_token(
        &format!("service-account-{name}-password"),
        "app_password",
        pk,
        expiring,
    );
    let key = token.key.clone();
    let uid = state.user(pk).map(|user| user.uid.clone());
    Ok(reply::ok(
        json!({ "username": name, "user_uid": uid, "user_pk": pk, "token": key }),
    ))
}

pub(super) fn change(state: &mut State, pk: i64, fields: Map<String, Value>) -> Result<Reply, Reply> {
    let mut input = Input::new(fields, true);
    let active = input.boolean("is_active");
    let name = input.text("name", BLANK);
    let email = input.text("email", BLANK);
    input.checked().map_err(input::bad_request)?;
    let user = state.users.iter_mut().find(|user| user.pk == pk);
    let user = user.ok_or_else(|| reply::no_such("User"))?;
    set(&mut user.is_active, active);
    set(&mut user.name, name);
    set(&mut user.email, email);
    user.updated = Timestamp::now();
    state.list_cache.clear();
    let user = state.user(pk).ok_or_else(|| reply::no_such("User"))?;
    Ok(reply::ok(shown(state, user)))
}
