//! Applications: what users open, and what gives a provider its endpoints.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::bindings;
use super::input::{self, BLANK, Input, REQUIRED};
use super::lists;
use super::providers::{self, set};
use super::reply::{self, Reply};
use super::request::Request;
use super::state::State;
use super::users::User;
use super::{Shared, events, roles};

pub(super) const MODEL: &str = "authentik_core.application";
/// Names of endpoints beside which slugs stand.
const RESERVED: [&str; 8] = [
    "authorize",
    "token",
    "device",
    "userinfo",
    "introspect",
    "revoke",
    "register",
    "end-session",
];

#[derive(Debug, Clone)]
pub(super) struct Application {
    pub(super) pk: String,
    pub(super) name: String,
    pub(super) slug: String,
    pub(super) provider: Option<i64>,
    backchannel_providers: Vec<i64>,
    open_in_new_tab: bool,
    meta_launch_url: String,
    meta_icon: String,
    meta_description: String,
    meta_publisher: String,
    pub(super) policy_engine_mode: String,
    group: String,
    meta_hide: bool,
}

impl Application {
    /// Without an address of its own, that of the first redirect URI's server.
    fn launch_url(&self, state: &State) -> Option<String> {
        if !self.meta_launch_url.is_empty() {
            return Some(self.meta_launch_url.clone());
        }
        let first = state.providers.get(&self.provider?)?.redirect_uris.first()?;
        let (scheme, rest) = first.url.split_once("://")?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Some(format!("{scheme}://{host}"))
    }
}

pub(super) fn shown(state: &State, application: &Application) -> Value {
    let provider = application.provider.and_then(|pk| state.providers.get(&pk));
    let backchannel = application
        .backchannel_providers
        .iter()
        .filter_map(|pk| state.providers.get(pk));
    let backchannel: Vec<_> = backchannel
        .map(|provider| providers::shown_briefly(state, provider))
        .collect();
    let mut shown = json!({
        "pk": application.pk,
        "name": application.name,
        "slug": application.slug,
        "provider": application.provider,
        "provider_obj": provider.map(|provider| providers::shown_briefly(state, provider)),
        "backchannel_providers": application.backchannel_providers,
        "backchannel_providers_obj": backchannel,
        "launch_url": application.launch_url(state),
        "open_in_new_tab": application.open_in_new_tab,
        "meta_launch_url": application.meta_launch_url,
        "meta_icon": application.meta_icon,
        "meta_icon_url": (!application.meta_icon.is_empty()).then_some(&application.meta_icon),
        "meta_icon_themed_urls": null,
        "meta_description": application.meta_description,
        "meta_publisher": application.meta_publisher,
        "policy_engine_mode": application.policy_engine_mode,
        "group": application.group,
    });
    if state.release.has_grant_types() {
        shown["meta_hide"] = json!(application.meta_hide);
    }
    shown
}

/// An application as `fields` want it: a new one, or `old` changed. Nothing is kept yet.
pub(super) fn validated(
    state: &mut State,
    fields: Map<String, Value>,
    old: Option<&Application>,
    partial: bool,
) -> Result<Application, Map<String, Value>> {
    let mut input = Input::new(fields, partial);
    let exists = |pk: i64| state.providers.contains_key(&pk);
    let name = input.text("name", REQUIRED);
    let slug = input.text("slug", REQUIRED);
    let provider = input.number("provider", exists);
    let backchannel = backchannel_providers(&mut input, exists);
    let open_in_new_tab = input.boolean("open_in_new_tab");
    let meta_launch_url = input.text("meta_launch_url", BLANK);
    let meta_icon = input.text("meta_icon", BLANK);
    let meta_description = input.text("meta_description", BLANK);
    let meta_publisher = input.text("meta_publisher", BLANK);
    let policy_engine_mode = input.choice("policy_engine_mode", &["all", "any"]);
    let group = input.text("group", BLANK);
    let meta_hide = if state.release.has_grant_types() {
        input.boolean("meta_hide")
    } else {
        None
    };

    let others = || {
        state
            .applications
            .iter()
            .filter(|other| Some(&other.pk) != old.map(|old| &old.pk))
    };
    if let Some(slug) = &slug {
        if !slug.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            input.refuse(
                "slug",
                "Enter a valid “slug” consisting of letters, numbers, underscores or hyphens.",
            );
        } else if RESERVED.contains(&slug.as_str()) {
            let message = format!("The slug '{slug}' is reserved and cannot be used for applications.");
            input.refuse("slug", message);
        } else if others().any(|other| other.slug == *slug) {
            input.refuse("slug", "Application with this slug already exists.");
        }
    }
    if let Some(Some(pk)) = provider
        && others().any(|other| other.provider == Some(pk))
    {
        input.refuse("provider", "Application with this provider already exists.");
    }
    if meta_launch_url
        .as_deref()
        .is_some_and(|url| !url.is_empty() && !is_url(url))
    {
        input.refuse("meta_launch_url", "Enter a valid URL.");
    }
    input.checked()?;

    let mut application = old.cloned().unwrap_or_else(|| Application {
        pk: state.ids.uuid(),
        name: String::new(),
        slug: String::new(),
        provider: None,
        backchannel_providers: Vec::new(),
        open_in_new_tab: false,
        meta_launch_url: String::new(),
        meta_icon: String::new(),
        meta_description: String::new(),
        meta_publisher: String::new(),
        policy_engine_mode: "any".to_owned(),
        group: String::new(),
        meta_hide: false,
    });
    set(&mut application.name, name);
    set(&mut application.slug, slug);
    set(&mut application.provider, provider);
    set(&mut application.backchannel_providers, backchannel);
    set(&mut application.open_in_new_tab, open_in_new_tab);
    set(&mut application.meta_launch_url, meta_launch_url);
    set(&mut application.meta_icon, meta_icon);
    set(&mut application.meta_description, meta_description);
    set(&mut application.meta_publisher, meta_publisher);
    set(&mut application.policy_engine_mode, policy_engine_mode);
    set(&mut application.group, group);
    set(&mut application.meta_hide, meta_hide);
    Ok(application)
}

fn backchannel_providers(input: &mut Input, exists: impl Fn(i64) -> bool) -> Option<Vec<i64>> {
    let values = input.value("backchannel_providers")?.as_array()?.clone();
    let pks: Vec<_> = values.iter().filter_map(Value::as_i64).collect();
    if let Some(missing) = pks.iter().find(|pk| !exists(**pk)) {
        let message = format!("Invalid pk \"{missing}\" - object does not exist.");
        input.refuse("backchannel_providers", message);
    }
    Some(pks)
}

fn is_url(text: &str) -> bool {
    let after = text.split_once("://").filter(|(scheme, _)| !scheme.is_empty());
    after.is_some_and(|(_, rest)| !rest.is_empty() && !rest.contains(char::is_whitespace))
}

/// Keeps a new application. Its slug or provider may be taken since it was checked; then the database refuses it.
pub(super) fn insert(state: &mut State, application: Application) -> Result<(), Reply> {
    let provider = application.provider;
    let taken =
        |other: &Application| other.slug == application.slug || (provider.is_some() && other.provider == provider);
    if state.applications.iter().any(taken) {
        return Err(reply::empty_405());
    }
    state.applications.push(application);
    state.list_cache.clear();
    Ok(())
}

/// The list. Unless all are wanted or something is searched, it shows what it showed this user last on a page of this number:
/// filters and the size of the page only count for the pagination.
pub(super) fn list(state: &mut State, request: &Request, user: i64) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let full = request.is_true("superuser_full_list") && state.user(user).is_some_and(|user| user.is_superuser);
    let mut found: Vec<_> = state.applications.iter().collect();
    found.retain(|application| {
        (full || !application.meta_hide)
            && lists::is(request, "name", &application.name)
            && lists::is(request, "slug", &application.slug)
            && lists::is(request, "group", &application.group)
            && lists::is(request, "meta_launch_url", &application.meta_launch_url)
            && lists::is(request, "meta_description", &application.meta_description)
            && lists::is(request, "meta_publisher", &application.meta_publisher)
            && lists::found(
                request,
                &[
                    &application.name,
                    &application.slug,
                    &application.meta_launch_url,
                    &application.meta_description,
                    &application.meta_publisher,
                    &application.group,
                ],
            )
    });
    sort(request, &mut found);
    let pks = found.iter().map(|application| application.pk.clone()).collect();
    let page = lists::page::<String>(request, pks)?;
    if full {
        let results = applications(state, &page.items);
        return Ok(page.answer(results));
    }
    let allowed = |state: &State| {
        let opens = |pk: &&String| {
            state
                .applications
                .iter()
                .any(|one| one.pk == **pk && bindings::open(state, one, user))
        };
        page.items.iter().filter(opens).cloned().collect::<Vec<_>>()
    };
    let shown = if request.parameter("search").is_some() {
        allowed(state)
    } else {
        let place = (user, page.number);
        // A list without anything counts as none.
        let cached = state.list_cache.get(&place).filter(|pks| !pks.is_empty()).cloned();
        cached.unwrap_or_else(|| {
            let now = allowed(state);
            state.list_cache.insert(place, now.clone());
            now
        })
    };
    let results = applications(state, &shown);
    Ok(page.answer(results))
}

/// These applications, as they are now; what is gone is left out.
fn applications(state: &State, pks: &[String]) -> Vec<Value> {
    let find = |pk: &String| state.applications.iter().find(|application| application.pk == *pk);
    pks.iter()
        .filter_map(find)
        .map(|application| shown(state, application))
        .collect()
}

fn sort(request: &Request, applications: &mut [&Application]) {
    lists::sort(request, applications, "name", |application, field| match field {
        "name" => Some(application.name.clone()),
        "slug" => Some(application.slug.clone()),
        "group" => Some(application.group.clone()),
        _ => None,
    });
}

pub(super) async fn create(shared: &Shared, request: &Request, user: &User) -> Result<Reply, Reply> {
    let fields = request.json()?;
    let application = validated(&mut shared.state(), fields, None, false).map_err(input::bad_request)?;
    shared.faults.wait_for_rivals().await;
    let mut state = shared.state();
    insert(&mut state, application.clone())?;
    let (pk, name) = (json!(application.pk), &application.name);
    events::add(&mut state, request, user, "model_created", MODEL, pk, name);
    Ok(reply::json(201, shown(&state, &application)))
}

pub(super) fn find<'a>(state: &'a State, slug: &str) -> Result<&'a Application, Reply> {
    let found = state.applications.iter().find(|application| application.slug == slug);
    found.ok_or_else(|| reply::no_such("Application"))
}

/// What is done to one: read, changed, deleted.
pub(super) fn one(state: &mut State, request: &Request, user: &User, slug: &str) -> Result<Reply, Reply> {
    let old = find(state, slug)?.clone();
    if matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(reply::ok(shown(state, &old)));
    }
    if request.method == Method::DELETE {
        roles::need(state, user, MODEL, "delete")?;
        state.applications.retain(|application| application.pk != old.pk);
        state.bindings.retain(|binding| binding.target != old.pk);
        events::add(state, request, user, "model_deleted", MODEL, json!(old.pk), &old.name);
        return Ok(reply::empty(204));
    }
    roles::need(state, user, MODEL, "change")?;
    let partial = request.method == Method::PATCH;
    let new = validated(state, request.json()?, Some(&old), partial).map_err(input::bad_request)?;
    let place = state
        .applications
        .iter_mut()
        .find(|application| application.pk == new.pk);
    *place.ok_or_else(|| reply::no_such("Application"))? = new.clone();
    events::add(state, request, user, "model_updated", MODEL, json!(new.pk), &new.name);
    let mut shown = shown(state, &new);
    // The provider was read before the change, and still shows the old names.
    if new.provider.is_some() && new.provider == old.provider {
        shown["provider_obj"]["assigned_application_slug"] = json!(old.slug);
        shown["provider_obj"]["assigned_application_name"] = json!(old.name);
    }
    Ok(reply::ok(shown))
}
