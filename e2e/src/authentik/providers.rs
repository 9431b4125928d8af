//! OAuth2 providers: what an OIDC client is here.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::input::{self, BLANK, FILLED, Input, REQUIRED, Text};
use super::lists;
use super::redirect_uris::{self, RedirectUri};
use super::reply::{self, Reply};
use super::request::Request;
use super::roles;
use super::state::State;
use super::users::User;
use super::{Shared, events};

pub(super) const MODEL: &str = "authentik_providers_oauth2.oauth2provider";
pub(super) const GRANTS: [&str; 7] = [
    "authorization_code",
    "implicit",
    "hybrid",
    "refresh_token",
    "client_credentials",
    "password",
    "urn:ietf:params:oauth:grant-type:device_code",
];
const SUB_MODES: [&str; 6] = [
    "hashed_user_id",
    "user_id",
    "user_uuid",
    "user_username",
    "user_email",
    "user_upn",
];

#[derive(Debug, Clone)]
pub(super) struct Provider {
    pub(super) pk: i64,
    pub(super) name: String,
    authentication_flow: Option<String>,
    pub(super) authorization_flow: String,
    pub(super) invalidation_flow: String,
    pub(super) property_mappings: Vec<String>,
    pub(super) client_type: String,
    pub(super) grant_types: Vec<String>,
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) access_code_validity: String,
    pub(super) access_token_validity: String,
    pub(super) refresh_token_validity: String,
    refresh_token_threshold: String,
    pub(super) include_claims_in_id_token: bool,
    pub(super) signing_key: Option<String>,
    encryption_key: Option<String>,
    pub(super) redirect_uris: Vec<RedirectUri>,
    logout_uri: String,
    logout_method: String,
    pub(super) sub_mode: String,
    pub(super) issuer_mode: String,
}

impl Provider {
    /// Whether logins may end at this address.
    pub(super) fn redirects_to(&self, url: &str) -> bool {
        let mut logins = self.redirect_uris.iter().filter(|uri| !uri.is_logout());
        logins.any(|uri| uri.matches(url))
    }
}

/// What all kinds of providers show.
pub(super) fn shown_briefly(state: &State, provider: &Provider) -> Value {
    let application = state.application_of(provider.pk);
    json!({
        "pk": provider.pk,
        "name": provider.name,
        "authentication_flow": provider.authentication_flow,
        "authorization_flow": provider.authorization_flow,
        "invalidation_flow": provider.invalidation_flow,
        "property_mappings": provider.property_mappings,
        "component": "ak-provider-oauth2-form",
        "assigned_application_slug": application.map(|application| &application.slug),
        "assigned_application_name": application.map(|application| &application.name),
        "assigned_backchannel_application_slug": null,
        "assigned_backchannel_application_name": null,
        "verbose_name": "OAuth2/OpenID Provider",
        "verbose_name_plural": "OAuth2/OpenID Providers",
        "meta_model_name": MODEL,
    })
}

pub(super) fn shown(state: &State, provider: &Provider) -> Value {
    let mut shown = shown_briefly(state, provider);
    let uris: Vec<_> = provider
        .redirect_uris
        .iter()
        .map(|uri| uri.shown(state.release))
        .collect();
    let more = json!({
        "client_type": provider.client_type,
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "access_code_validity": provider.access_code_validity,
        "access_token_validity": provider.access_token_validity,
        "refresh_token_validity": provider.refresh_token_validity,
        "refresh_token_threshold": provider.refresh_token_threshold,
        "include_claims_in_id_token": provider.include_claims_in_id_token,
        "signing_key": provider.signing_key,
        "encryption_key": provider.encryption_key,
        "redirect_uris": uris,
        "logout_uri": provider.logout_uri,
        "logout_method": provider.logout_method,
        "sub_mode": provider.sub_mode,
        "issuer_mode": provider.issuer_mode,
        "jwt_federation_sources": [],
        "jwt_federation_providers": [],
    });
    if let (Value::Object(shown), Value::Object(more)) = (&mut shown, more) {
        shown.extend(more);
        if state.release.has_grant_types() {
            shown.insert("grant_types".to_owned(), json!(provider.grant_types));
        }
    }
    shown
}

/// What somebody sees of it.
pub(super) fn shown_to(state: &State, provider: &Provider, user: i64) -> Value {
    let mut shown = shown(state, provider);
    if state.hides_secrets
        && !state.may(user, roles::VIEW_SECRET)
        && let Some(fields) = shown.as_object_mut()
    {
        fields.remove("client_secret");
    }
    shown
}

/// The answer to a PATCH: redirect URIs without a type show none, unlike everywhere else.
pub(super) fn shown_patched(state: &State, provider: &Provider, user: i64) -> Value {
    let mut shown = shown_to(state, provider, user);
    shown["redirect_uris"] = provider.redirect_uris.iter().map(RedirectUri::kept).collect();
    shown
}

/// A provider as `fields` want it: a new one, or `old` changed. Nothing is kept yet.
pub(super) fn validated(
    state: &mut State,
    fields: Map<String, Value>,
    old: Option<&Provider>,
    partial: bool,
) -> Result<Provider, Map<String, Value>> {
    let typed = state.release.has_grant_types();
    let mut input = Input::new(fields, partial);
    let short = Text {
        longest: Some(255),
        ..FILLED
    };
    let flow = |pk: &str| state.flows.iter().any(|flow| flow.pk == pk);
    let key = |pk: &str| state.keys.iter().any(|key| key.pk == pk);
    let mapping = |pk: &str| state.mappings.iter().any(|mapping| mapping.pk == pk);

    let name = input.text("name", REQUIRED);
    let authentication_flow = input.uuid("authentication_flow", false, true, flow);
    let authorization_flow = input.uuid("authorization_flow", true, false, flow).flatten();
    let invalidation_flow = input.uuid("invalidation_flow", true, false, flow).flatten();
    let property_mappings = input.uuids("property_mappings", mapping);
    let client_type = input.choice("client_type", &["confidential", "public"]);
    let grant_types = if typed { grant_types(&mut input) } else { None };
    let client_id = input.text("client_id", short);
    let client_secret = input.text("client_secret", Text { blank: true, ..short });
    let access_code_validity = input.duration("access_code_validity");
    let access_token_validity = input.duration("access_token_validity");
    let refresh_token_validity = input.duration("refresh_token_validity");
    let refresh_token_threshold = input.duration("refresh_token_threshold");
    let include_claims_in_id_token = input.boolean("include_claims_in_id_token");
    let signing_key = input.uuid("signing_key", false, true, key);
    let encryption_key = input.uuid("encryption_key", false, true, key);
    let redirect_uris = redirect_uris::parsed(&mut input, typed);
    let logout_uri = input.text("logout_uri", BLANK);
    let logout_method = input.choice("logout_method", &["backchannel", "frontchannel"]);
    let sub_mode = input.choice("sub_mode", &SUB_MODES);
    let issuer_mode = input.choice("issuer_mode", &["global", "per_provider"]);

    let mut others = state
        .providers
        .values()
        .filter(|other| Some(other.pk) != old.map(|old| old.pk));
    if name.is_some() && others.clone().any(|other| Some(&other.name) == name.as_ref()) {
        input.refuse("name", "provider with this name already exists.");
    }
    if client_id.is_some() && others.any(|other| Some(&other.client_id) == client_id.as_ref()) {
        input.refuse(
            "client_id",
            "OAuth2/OpenID Provider with this Client ID already exists.",
        );
    }
    input.checked()?;

    let mut provider = old.cloned().unwrap_or_else(|| Provider {
        pk: 0,
        name: String::new(),
        authentication_flow: None,
        authorization_flow: String::new(),
        invalidation_flow: String::new(),
        property_mappings: Vec::new(),
        client_type: "confidential".to_owned(),
        grant_types: Vec::new(),
        client_id: state.ids.text(40),
        client_secret: state.ids.text(128),
        access_code_validity: "minutes=1".to_owned(),
        access_token_validity: "hours=1".to_owned(),
        refresh_token_validity: "days=30".to_owned(),
        refresh_token_threshold: "seconds=0".to_owned(),
        include_claims_in_id_token: true,
        signing_key: None,
        encryption_key: None,
        redirect_uris: Vec::new(),
        logout_uri: String::new(),
        logout_method: "backchannel".to_owned(),
        sub_mode: "hashed_user_id".to_owned(),
        issuer_mode: "per_provider".to_owned(),
    });
    set(&mut provider.name, name);
    set(&mut provider.authentication_flow, authentication_flow);
    set(&mut provider.authorization_flow, authorization_flow);
    set(&mut provider.invalidation_flow, invalidation_flow);
    set(&mut provider.property_mappings, property_mappings);
    set(&mut provider.client_type, client_type);
    set(&mut provider.grant_types, grant_types);
    set(&mut provider.client_id, client_id);
    set(&mut provider.client_secret, client_secret);
    set(&mut provider.access_code_validity, access_code_validity);
    set(&mut provider.access_token_validity, access_token_validity);
    set(&mut provider.refresh_token_validity, refresh_token_validity);
    set(&mut provider.refresh_token_threshold, refresh_token_threshold);
    set(&mut provider.include_claims_in_id_token, include_claims_in_id_token);
    set(&mut provider.signing_key, signing_key);
    set(&mut provider.encryption_key, encryption_key);
    set(&mut provider.redirect_uris, redirect_uris);
    set(&mut provider.logout_uri, logout_uri);
    set(&mut provider.logout_method, logout_method);
    set(&mut provider.sub_mode, sub_mode);
    set(&mut provider.issuer_mode, issuer_mode);
    Ok(provider)
}

/// What is absent stays as it is, also in a PUT.
pub(super) fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn grant_types(input: &mut Input) -> Option<Vec<String>> {
    let value = input.value("grant_types")?.clone();
    let key = "grant_types";
    let Value::Array(values) = &value else {
        let message = if value.is_null() {
            input::IS_NULL.to_owned()
        } else {
            input::not_a_list(&value)
        };
        input.refuse(key, message);
        return None;
    };
    if values.is_empty() {
        input.refuse(key, "This list may not be empty.");
        return None;
    }
    let mut wrong = Map::new();
    let mut grants = Vec::new();
    for (at, value) in values.iter().enumerate() {
        match input::choice(value, &GRANTS) {
            Some(grant) => grants.push(grant),
            None => {
                wrong.insert(at.to_string(), json!([input::not_a_choice(value)]));
            }
        }
    }
    if wrong.is_empty() {
        return Some(grants);
    }
    input.refuse_with(key, Value::Object(wrong));
    None
}

/// Keeps a new provider. Its name or `client_id` may be taken since it was checked; then the database refuses it.
pub(super) fn insert(state: &mut State, mut provider: Provider) -> Result<i64, Reply> {
    // Numbers are given before the row is refused.
    provider.pk = state.next_provider;
    state.next_provider += 1;
    let taken = |other: &Provider| other.name == provider.name || other.client_id == provider.client_id;
    if state.providers.values().any(taken) {
        return Err(reply::empty_405());
    }
    let pk = provider.pk;
    state.providers.insert(pk, provider);
    Ok(pk)
}

/// Takes it away, with its tokens. Its application stays, without one.
pub(super) fn remove(state: &mut State, pk: i64) {
    state.providers.remove(&pk);
    for application in &mut state.applications {
        if application.provider == Some(pk) {
            application.provider = None;
        }
    }
    state.access_tokens.retain(|token| token.provider != pk);
    state.refresh_tokens.retain(|token| token.provider != pk);
    state.codes.retain(|_, code| code.provider != pk);
}

pub(super) fn list(state: &State, request: &Request, user: i64) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let application = match request.parameter("application") {
        None => None,
        Some(text) if !input::is_uuid(text) => {
            return Err(reply::json(400, json!({ "application": [input::not_a_uuid(text)] })));
        }
        Some(text) => match state.applications.iter().find(|application| application.pk == text) {
            Some(application) => Some(application.provider),
            None => {
                let message = "Select a valid choice. That choice is not one of the available choices.";
                return Err(reply::json(400, json!({ "application": [message] })));
            }
        },
    };
    let mut found: Vec<_> = state.providers.values().collect();
    found.retain(|provider| {
        lists::is(request, "name", &provider.name)
            && lists::is(request, "client_id", &provider.client_id)
            && lists::is(request, "client_type", &provider.client_type)
            && lists::is(request, "authorization_flow", &provider.authorization_flow)
            && lists::is(request, "invalidation_flow", &provider.invalidation_flow)
            && lists::is(request, "issuer_mode", &provider.issuer_mode)
            && lists::is(request, "sub_mode", &provider.sub_mode)
            && lists::is(
                request,
                "signing_key",
                provider.signing_key.as_deref().unwrap_or_default(),
            )
            && application.is_none_or(|wanted| wanted == Some(provider.pk))
            && lists::found(request, &[&provider.name])
    });
    sort(request, &mut found, "name");
    let page = lists::page(request, found)?;
    let results = page
        .items
        .iter()
        .map(|provider| shown_to(state, provider, user))
        .collect();
    Ok(page.answer(results))
}

/// Providers of all kinds; there are no others here.
pub(super) fn list_all(state: &State, request: &Request) -> Result<Reply, Reply> {
    let mut found: Vec<_> = state.providers.values().collect();
    found.retain(|provider| {
        let alone = state.application_of(provider.pk).is_none();
        let wanted = request
            .parameter("application__isnull")
            .map(|_| request.is_true("application__isnull"));
        wanted.is_none_or(|wanted| wanted == alone) && lists::found(request, &[&provider.name])
    });
    sort(request, &mut found, "pk");
    let page = lists::page(request, found)?;
    let results = page
        .items
        .iter()
        .map(|provider| shown_briefly(state, provider))
        .collect();
    Ok(page.answer(results))
}

fn sort(request: &Request, providers: &mut [&Provider], usual: &str) {
    lists::sort(request, providers, usual, |provider, field| match field {
        "pk" => Some((provider.pk, String::new())),
        "name" => Some((0, provider.name.clone())),
        "client_id" => Some((0, provider.client_id.clone())),
        _ => None,
    });
}

/// What would go with it.
pub(super) fn used_by(state: &State, provider: &Provider) -> Reply {
    let mut used = Vec::new();
    for token in state.access_tokens.iter().filter(|token| token.provider == provider.pk) {
        used.push(json!({
            "app": "authentik_providers_oauth2",
            "model_name": "accesstoken",
            "pk": token.pk.to_string(),
            "name": format!("Access Token for {} for user {}", provider.pk, token.user),
            "action": "cascade",
        }));
    }
    for mapping in state
        .mappings
        .iter()
        .filter(|mapping| provider.property_mappings.contains(&mapping.pk))
    {
        used.push(json!({
            "app": "authentik_core",
            "model_name": "propertymapping",
            "pk": mapping.pk,
            "name": format!("Property Mapping {}", mapping.name),
            "action": "cascade_many",
        }));
    }
    reply::ok(json!(used))
}

/// Where its endpoints are, as far as it has an application.
pub(super) fn setup_urls(state: &State, request: &Request, provider: &Provider) -> Reply {
    let url = |path: &str| format!("{}/application/o/{path}", request.base);
    let mut urls = json!({
        "issuer": null,
        "authorize": url("authorize/"),
        "token": url("token/"),
        "user_info": url("userinfo/"),
        "provider_info": null,
        "logout": null,
    });
    if let Some(application) = state.application_of(provider.pk) {
        let slug = &application.slug;
        urls["issuer"] = json!(super::oidc::issuer(request, provider, slug));
        urls["provider_info"] = json!(url(&format!("{slug}/.well-known/openid-configuration")));
        urls["logout"] = json!(url(&format!("{slug}/end-session/")));
        urls["jwks"] = json!(url(&format!("{slug}/jwks/")));
    }
    reply::ok(urls)
}

pub(super) async fn create(shared: &Shared, request: &Request, user: &User) -> Result<Reply, Reply> {
    let fields = request.json()?;
    let provider = validated(&mut shared.state(), fields, None, false).map_err(input::bad_request)?;
    shared.faults.wait_for_rivals().await;
    let mut state = shared.state();
    let pk = insert(&mut state, provider)?;
    let provider = find(&state, &pk.to_string())?.clone();
    events::add(
        &mut state,
        request,
        user,
        "model_created",
        MODEL,
        json!(pk),
        &provider.name,
    );
    Ok(reply::json(201, shown_to(&state, &provider, user.pk)))
}

pub(super) fn find<'a>(state: &'a State, pk: &str) -> Result<&'a Provider, Reply> {
    let pk: i64 = pk.parse().map_err(|_| reply::detail(404, "Not found."))?;
    state.providers.get(&pk).ok_or_else(|| reply::no_such("OAuth2Provider"))
}

/// What is done to one: read, changed, deleted.
pub(super) fn one(state: &mut State, request: &Request, user: &User, pk: &str) -> Result<Reply, Reply> {
    let old = find(state, pk)?.clone();
    if matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(reply::ok(shown_to(state, &old, user.pk)));
    }
    if request.method == Method::DELETE {
        roles::need(state, user, MODEL, "delete")?;
        remove(state, old.pk);
        events::add(state, request, user, "model_deleted", MODEL, json!(old.pk), &old.name);
        return Ok(reply::empty(204));
    }
    roles::need(state, user, MODEL, "change")?;
    let partial = request.method == Method::PATCH;
    let new = validated(state, request.json()?, Some(&old), partial).map_err(input::bad_request)?;
    state.providers.insert(new.pk, new.clone());
    events::add(state, request, user, "model_updated", MODEL, json!(new.pk), &new.name);
    Ok(reply::ok(if partial {
        shown_patched(state, &new, user.pk)
    } else {
        shown_to(state, &new, user.pk)
    }))
}
