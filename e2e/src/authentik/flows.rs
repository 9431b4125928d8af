//! Flows: what providers refer to for logins and logouts.

use serde_json::{Value, json};

use super::lists;
use super::reply::Reply;
use super::request::Request;
use super::state::{Ids, State};

pub(super) struct Flow {
    pub(super) pk: String,
    binding_pk: String,
    name: &'static str,
    pub(super) slug: &'static str,
    title: &'static str,
    designation: &'static str,
    authentication: &'static str,
    stages: Vec<String>,
}

impl Flow {
    pub(super) fn title(&self) -> &'static str {
        self.title
    }
}

const FLOWS: [(&str, &str, &str, &str, &str); 6] = [
    (
        "Welcome to authentik!",
        "default-authentication-flow",
        "Welcome to authentik!",
        "authentication",
        "none",
    ),
    (
        "Logout",
        "default-invalidation-flow",
        "Default Invalidation Flow",
        "invalidation",
        "none",
    ),
    (
        "Authorize Application",
        "default-provider-authorization-explicit-consent",
        "Redirecting to %(app)s",
        "authorization",
        "require_authenticated",
    ),
    (
        "Authorize Application",
        "default-provider-authorization-implicit-consent",
        "Redirecting to %(app)s",
        "authorization",
        "require_authenticated",
    ),
    (
        "Logged out of application",
        "default-provider-invalidation-flow",
        "You've logged out of %(app)s.",
        "invalidation",
        "none",
    ),
    (
        "User settings",
        "default-user-settings-flow",
        "Update your info",
        "stage_configuration",
        "require_authenticated",
    ),
];

pub(super) fn new(ids: &mut Ids) -> Vec<Flow> {
    let row = |&(name, slug, title, designation, authentication): &(
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    )| Flow {
        pk: ids.uuid(),
        binding_pk: ids.uuid(),
        name,
        slug,
        title,
        designation,
        authentication,
        stages: if slug.ends_with("explicit-consent") {
            vec![ids.uuid()]
        } else {
            Vec::new()
        },
    };
    FLOWS.iter().map(row).collect()
}

pub(super) fn shown(flow: &Flow) -> Value {
    json!({
        "pk": flow.pk,
        "policybindingmodel_ptr_id": flow.binding_pk,
        "name": flow.name,
        "slug": flow.slug,
        "title": flow.title,
        "designation": flow.designation,
        "background": "",
        "background_url": "/static/dist/assets/images/flow_background.jpg",
        "background_themed_urls": null,
        "stages": flow.stages,
        "policies": [],
        "cache_count": 0,
        "policy_engine_mode": "any",
        "compatibility_mode": false,
        "export_url": format!("/api/v3/flows/instances/{}/export/", flow.slug),
        "layout": "stacked",
        "denied_action": "message_continue",
        "authentication": flow.authentication,
    })
}

pub(super) fn list(state: &State, request: &Request) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let mut found: Vec<_> = state.flows.iter().collect();
    found.retain(|flow| {
        lists::is(request, "slug", flow.slug)
            && lists::is(request, "name", flow.name)
            && lists::is(request, "designation", flow.designation)
            && lists::found(request, &[flow.name, flow.slug, flow.title, flow.designation])
    });
    lists::sort(request, &mut found, "slug", |flow, field| match field {
        "slug" => Some(flow.slug),
        "name" => Some(flow.name),
        _ => None,
    });
    let page = lists::page(request, found)?;
    let results = page.items.iter().map(|flow| shown(flow)).collect();
    Ok(page.answer(results))
}
