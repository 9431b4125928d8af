//! The audit log. It names what was changed and by whom, and no value.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::lists;
use super::reply::Reply;
use super::request::Request;
use super::state::State;
use super::users::User;

pub(super) struct Event {
    pk: String,
    action: &'static str,
    user: Value,
    model: Value,
    request: Value,
    created: Timestamp,
}

/// Notes that the caller has done this (`model_created`, ...) to a `kind` such as `authentik_core.application`.
pub(super) fn add(
    state: &mut State,
    request: &Request,
    user: &User,
    action: &'static str,
    kind: &str,
    pk: Value,
    name: &str,
) {
    let (app, model) = kind.split_once('.').unwrap_or(("", kind));
    let event = Event {
        pk: state.ids.uuid(),
        action,
        user: json!({ "pk": user.pk, "email": user.email, "username": user.username }),
        model: json!({ "pk": pk, "app": app, "name": name, "model_name": model }),
        request: json!({
            "args": {},
            "path": request.path,
            "method": request.method.as_str(),
            "request_id": state.ids.hex(),
            "user_agent": request.user_agent,
        }),
        created: Timestamp::now(),
    };
    state.events.push(event);
}

fn shown(event: &Event) -> Value {
    json!({
        "pk": event.pk,
        "user": event.user,
        "action": event.action,
        "app": "authentik.events.middleware",
        "context": { "model": event.model, "http_request": event.request },
        "client_ip": "127.0.0.1",
        "created": event.created,
        "expires": "2099-01-01T00:00:00Z",
        "brand": {
            "pk": "4af42dfac41540fa87fdb7b26bea463f",
            "app": "authentik_brands",
            "name": "Default brand",
            "model_name": "brand",
        },
    })
}

/// Newest last, unless `ordering=-created`.
pub(super) fn list(state: &State, request: &Request) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let mut found: Vec<_> = state.events.iter().enumerate().collect();
    found.retain(|(_, event)| lists::is(request, "action", event.action));
    lists::sort(request, &mut found, "-created", |(at, _), field| {
        (field == "created").then_some(*at)
    });
    let page = lists::page(request, found)?;
    let results = page.items.iter().map(|(_, event)| shown(event)).collect();
    Ok(page.answer_completed(results, completed()))
}

fn completed() -> Value {
    const ACTIONS: [&str; 32] = [
        "login",
        "login_failed",
        "logout",
        "user_write",
        "suspicious_request",
        "password_set",
        "secret_view",
        "secret_rotate",
        "invitation_used",
        "authorize_application",
        "source_linked",
        "impersonation_started",
        "impersonation_ended",
        "flow_execution",
        "policy_execution",
        "policy_exception",
        "property_mapping_exception",
        "system_task_execution",
        "system_task_exception",
        "system_exception",
        "configuration_error",
        "configuration_warning",
        "model_created",
        "model_updated",
        "model_deleted",
        "email_sent",
        "update_available",
        "export_ready",
        "review_initiated",
        "review_overdue",
        "review_attested",
        "review_completed",
    ];
    const APPS: [&str; 4] = [
        "authentik.core.api.tokens",
        "authentik.events.middleware",
        "authentik.events.signals",
        "authentik.providers.oauth2.views.token",
    ];
    let field = |kind: &str| json!({ "type": kind, "nullable": false, "options": null });
    let options = |kind: &str, options: Value| json!({ "type": kind, "nullable": false, "options": options });
    let relation = |to: &str| json!({ "type": "relation", "nullable": false, "options": null, "relation": to });
    let actions: Vec<_> = ACTIONS.into_iter().chain(["custom_"]).collect();
    json!({ "current_model": "authentik_events.event", "models": {
        "authentik_events.event": {
            "action": options("str", json!(actions)),
            "event_uuid": field("str"),
            "app": options("str", json!(APPS)),
            "client_ip": field("str"),
            "user": relation("authentik_events.event_user"),
            "brand": relation("authentik_events.event_brand"),
            "context": relation("authentik_events.event_context"),
            "created": options("datetime", json!([])),
        },
        "authentik_events.event_user": { "pk": field("int"), "username": field("str"), "email": field("str") },
        "authentik_events.event_brand": {
            "pk": field("str"), "app": field("str"), "name": field("str"), "model_name": field("str"),
        },
        "authentik_events.event_context": { "http_request": relation("authentik_events.event_context_http_request") },
        "authentik_events.event_context_http_request": {
            "args": relation("authentik_events.event_context_http_request_args"),
            "path": field("str"),
            "method": field("str"),
            "request_id": field("str"),
            "user_agent": field("str"),
        },
    }})
}
