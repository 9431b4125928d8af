//! Which resource is meant, who asks, and whether they may.

use axum::http::Method;
use jiff::Timestamp;
use serde_json::json;

use super::reply::{self, Reply};
use super::request::Request;
use super::roles::right;
use super::state::State;
use super::users::User;
use super::{
    Release, Shared, applications, bindings, events, flows, keys, mappings, oidc, pages, providers, roles, tokens,
    transactional, users,
};

const USER: &str = "authentik_core.user";
const TOKEN: &str = "authentik_core.token";
const ROLE: &str = "authentik_rbac.role";

/// What the path of a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource<'a> {
    RootConfig,
    Version,
    Me,
    Users,
    User(&'a str),
    ServiceAccounts,
    Tokens,
    Token(&'a str),
    TokenKey(&'a str),
    Roles,
    RoleMembers(&'a str),
    RolePermissions(&'a str),
    Bindings,
    Binding(&'a str),
    Flows,
    Flow(&'a str),
    Keys,
    Key(&'a str),
    Mappings,
    Mapping(&'a str),
    AllProviders,
    Providers,
    Provider(&'a str),
    ProviderUsedBy(&'a str),
    ProviderUrls(&'a str),
    Applications,
    Application(&'a str),
    ApplicationUsedBy(&'a str),
    ApplicationAccess(&'a str),
    Transactional,
    Events,
}

const LIST: &str = "GET, POST, HEAD, OPTIONS";
const ONE: &str = "GET, PUT, PATCH, DELETE, HEAD, OPTIONS";
const READ: &str = "GET, HEAD, OPTIONS";
const ACTION: &str = "POST, OPTIONS";

impl<'a> Resource<'a> {
    fn named(path: &[&'a str]) -> Option<Self> {
        Some(match *path {
            ["root", "config"] => Self::RootConfig,
            ["admin", "version"] => Self::Version,
            ["core", "users", "me"] => Self::Me,
            ["core", "users"] => Self::Users,
            ["core", "users", "service_account"] => Self::ServiceAccounts,
            ["core", "users", pk] => Self::User(pk),
            ["core", "tokens"] => Self::Tokens,
            ["core", "tokens", identifier] => Self::Token(identifier),
            ["core", "tokens", identifier, "view_key"] => Self::TokenKey(identifier),
            ["rbac", "roles"] => Self::Roles,
            ["rbac", "roles", pk, "add_user"] => Self::RoleMembers(pk),
            ["rbac", "permissions", "assigned_by_roles", pk, "assign"] => Self::RolePermissions(pk),
            ["policies", "bindings"] => Self::Bindings,
            ["policies", "bindings", pk] => Self::Binding(pk),
            ["flows", "instances"] => Self::Flows,
            ["flows", "instances", slug] => Self::Flow(slug),
            ["crypto", "certificatekeypairs"] => Self::Keys,
            ["crypto", "certificatekeypairs", pk] => Self::Key(pk),
            ["propertymappings", "provider", "scope"] => Self::Mappings,
            ["propertymappings", "provider", "scope", pk] => Self::Mapping(pk),
            ["providers", "all"] => Self::AllProviders,
            ["providers", "oauth2"] => Self::Providers,
            ["providers", "oauth2", pk] => Self::Provider(pk),
            ["providers", "oauth2", pk, "used_by"] => Self::ProviderUsedBy(pk),
            ["providers", "oauth2", pk, "setup_urls"] => Self::ProviderUrls(pk),
            ["core", "applications"] => Self::Applications,
            ["core", "applications", slug] => Self::Application(slug),
            ["core", "applications", slug, "used_by"] => Self::ApplicationUsedBy(slug),
            ["core", "applications", slug, "check_access"] => Self::ApplicationAccess(slug),
            ["core", "transactional", "applications"] => Self::Transactional,
            ["events", "events"] => Self::Events,
            _ => return None,
        })
    }

    fn allow(self) -> &'static str {
        match self {
            Self::Users
            | Self::Tokens
            | Self::Roles
            | Self::Bindings
            | Self::Flows
            | Self::Keys
            | Self::Mappings
            | Self::Providers
            | Self::Applications
            | Self::Events => LIST,
            Self::User(_)
            | Self::Token(_)
            | Self::Binding(_)
            | Self::Flow(_)
            | Self::Key(_)
            | Self::Mapping(_)
            | Self::Provider(_)
            | Self::Application(_) => ONE,
            Self::ServiceAccounts | Self::RoleMembers(_) | Self::RolePermissions(_) => ACTION,
            Self::Transactional => "PUT, OPTIONS",
            Self::RootConfig
            | Self::Version
            | Self::Me
            | Self::TokenKey(_)
            | Self::AllProviders
            | Self::ProviderUsedBy(_)
            | Self::ProviderUrls(_)
            | Self::ApplicationUsedBy(_)
            | Self::ApplicationAccess(_) => READ,
        }
    }

    /// What rights are about here; none is needed where there is none.
    fn model(self) -> Option<&'static str> {
        Some(match self {
            Self::RootConfig | Self::Version | Self::Me | Self::Transactional => return None,
            Self::Users | Self::User(_) | Self::ServiceAccounts => USER,
            Self::Tokens | Self::Token(_) | Self::TokenKey(_) => TOKEN,
            Self::Roles | Self::RoleMembers(_) | Self::RolePermissions(_) => ROLE,
            Self::Bindings | Self::Binding(_) => bindings::MODEL,
            Self::Flows | Self::Flow(_) => "authentik_flows.flow",
            Self::Keys | Self::Key(_) => "authentik_crypto.certificatekeypair",
            Self::Mappings | Self::Mapping(_) => mappings::MODEL,
            Self::AllProviders
            | Self::Providers
            | Self::Provider(_)
            | Self::ProviderUsedBy(_)
            | Self::ProviderUrls(_) => providers::MODEL,
            Self::Applications | Self::Application(_) | Self::ApplicationUsedBy(_) | Self::ApplicationAccess(_) => {
                applications::MODEL
            }
            Self::Events => "authentik_events.event",
        })
    }
}

/// The whole server.
pub(super) async fn answer(shared: &Shared, request: &Request) -> Reply {
    if shared.faults.starting() {
        return reply::json(503, json!({ "error": "authentik starting" })).with("retry-after", "5");
    }
    let down = shared.faults.database_down();
    let segments = request.segments().unwrap_or_default();
    match segments.as_slice() {
        ["-", "health", "live"] if down => reply::empty(502),
        ["-", "health", "live"] => match shared.release {
            Release::R2026_2 => reply::html(200, String::new()),
            Release::R2026_5 => reply::empty(200),
        },
        _ if down => pages::server_error(&request.method),
        ["-", "health", "ready"] => reply::html(200, String::new()),
        ["api", "v3", path @ ..] => match Resource::named(path) {
            Some(resource) => api(shared, request, resource).await,
            None => pages::not_found(&request.method),
        },
        ["application", "o", path @ ..] => oidc::answer(&mut shared.state(), request, path),
        // Discovery is the one address without a slash at its end.
        [] => match request
            .path
            .strip_prefix("/application/o/")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((slug, ".well-known/openid-configuration")) => oidc::answer(
                &mut shared.state(),
                request,
                &[slug, ".well-known", "openid-configuration"],
            ),
            _ => pages::not_found(&request.method),
        },
        ["if", "flow", slug] => oidc::flow(&mut shared.state(), request, slug),
        _ => pages::not_found(&request.method),
    }
}

async fn api(shared: &Shared, request: &Request, resource: Resource<'_>) -> Reply {
    let reply = match resource_answer(shared, request, resource).await {
        Ok(reply) | Err(reply) => reply,
    };
    // Views that failed say what error pages allow.
    if reply.headers.iter().any(|(name, _)| *name == "allow") {
        return reply;
    }
    reply.with("allow", resource.allow())
}

async fn resource_answer(shared: &Shared, request: &Request, resource: Resource<'_>) -> Result<Reply, Reply> {
    if !request.accepts_json() {
        return Err(reply::detail(406, "Could not satisfy the request Accept header."));
    }
    if resource == Resource::RootConfig && request.bearer().is_none() {
        return Ok(root_config());
    }
    let user = caller(&shared.state(), request)?;
    let allowed = resource
        .allow()
        .split(", ")
        .any(|method| method == request.method.as_str());
    if !allowed {
        return Err(reply::method_not_allowed(&request.method));
    }
    let may = |action: &str| {
        let model = resource.model();
        model.is_none_or(|model| shared.state().may(user.pk, &right(model, action)))
    };
    // Applications that one may open are listed without any right.
    let open = resource == Resource::Applications && request.method == Method::GET;
    let adds = request.method == Method::POST && may("add");
    if !(open || adds || may("view")) {
        return Err(reply::forbidden());
    }
    if request.method == Method::OPTIONS {
        return Err(reply::not_here());
    }
    let creates = matches!(
        resource,
        Resource::Providers
            | Resource::Applications
            | Resource::Users
            | Resource::ServiceAccounts
            | Resource::Tokens
            | Resource::Roles
            | Resource::Bindings
            | Resource::Mappings
    );
    if request.method == Method::POST && !may(if creates { "add" } else { "change" }) {
        return Err(reply::forbidden());
    }
    match (&request.method, resource) {
        (&Method::POST, Resource::Providers) => return providers::create(shared, request, &user).await,
        (&Method::POST, Resource::Applications) => return applications::create(shared, request, &user).await,
        _ => {}
    }
    let mut state = shared.state();
    let state = &mut *state;
    let reading = matches!(request.method, Method::GET | Method::HEAD);
    match resource {
        Resource::RootConfig => Ok(root_config()),
        Resource::Version => Ok(version(shared.release)),
        Resource::Me => Ok(users::me(state, &user)),
        Resource::Flows if reading => flows::list(state, request),
        Resource::Flow(slug) if reading => {
            let flow = state.flows.iter().find(|flow| flow.slug == slug);
            Ok(reply::ok(flows::shown(flow.ok_or_else(|| reply::no_such("Flow"))?)))
        }
        Resource::Keys if reading => keys::list(state, request),
        Resource::Key(pk) if reading => {
            let pair = state.keys.iter().find(|pair| pair.pk == pk);
            Ok(reply::ok(
                pair.ok_or_else(|| reply::no_such("CertificateKeyPair"))?.shown(),
            ))
        }
        Resource::Mappings if reading => mappings::list(state, request),
        Resource::Mappings => mappings::create(state, request, &user),
        Resource::Mapping(pk) => mappings::one(state, request, &user, pk),
        Resource::AllProviders => providers::list_all(state, request),
        Resource::Providers if reading => providers::list(state, request, user.pk),
        Resource::Provider(pk) => providers::one(state, request, &user, pk),
        Resource::ProviderUsedBy(pk) => Ok(providers::used_by(state, providers::find(state, pk)?)),
        Resource::ProviderUrls(pk) => Ok(providers::setup_urls(state, request, providers::find(state, pk)?)),
        Resource::Applications if reading => applications::list(state, request, user.pk),
        Resource::Application(slug) => applications::one(state, request, &user, slug),
        Resource::ApplicationUsedBy(slug) => {
            applications::find(state, slug)?;
            Ok(reply::ok(json!([])))
        }
        Resource::ApplicationAccess(slug) => {
            applications::find(state, slug)?;
            Ok(reply::ok(
                json!({ "passing": true, "messages": [], "log_messages": [] }),
            ))
        }
        Resource::Transactional => transactional::put(state, request, &user),
        Resource::Events if reading => events::list(state, request),
        Resource::Users if reading => users::list(state, request),
        Resource::User(pk) => {
            let pk = pk.parse().map_err(|_| reply::detail(404, "Not found."))?;
            match request.method {
                Method::PATCH => users::change(state, pk, request.json()?),
                _ if reading => {
                    let found = state.user(pk).ok_or_else(|| reply::no_such("User"))?;
                    Ok(reply::ok(users::shown(state, found)))
                }
                _ => Err(reply::not_here()),
            }
        }
        Resource::ServiceAccounts => users::create_service_account(state, request.json()?),
        Resource::Tokens if !reading => tokens::create(state, request.json()?, user.pk),
        Resource::Token(identifier) => tokens::one(state, request, identifier),
        Resource::TokenKey(identifier) => tokens::key(state, identifier),
        Resource::Roles if !reading => roles::create(state, request.json()?),
        Resource::RoleMembers(pk) => roles::add_member(state, pk, request.json()?),
        Resource::RolePermissions(pk) => roles::assign(state, pk, request.json()?),
        Resource::Bindings if reading => bindings::list(state, request),
        Resource::Bindings => bindings::create(state, request.json()?),
        Resource::Binding(pk) => bindings::one(state, request, &user, pk),
        _ => Err(reply::not_here()),
    }
}

/// The user whose token this is. A wrong one is `403`, never `401`.
fn caller(state: &State, request: &Request) -> Result<User, Reply> {
    let missing = || reply::detail(403, "Authentication credentials were not provided.");
    let key = request.bearer().ok_or_else(missing)?;
    let now = Timestamp::now();
    let api = state
        .tokens
        .iter()
        .find(|token| token.key == key && token.intent == "api");
    let api = api
        .filter(|token| !token.expiring || token.expires > now)
        .map(|token| token.user);
    let user = api.or_else(|| oidc::api_user(state, key)).and_then(|pk| state.user(pk));
    user.filter(|user| user.is_active)
        .cloned()
        .ok_or_else(|| reply::detail(403, "Token invalid/expired"))
}

fn version(release: Release) -> Reply {
    reply::ok(json!({
        "version_current": release.version(),
        "version_latest": release.version(),
        "version_latest_valid": true,
        "build_hash": "",
        "outdated": false,
        "outpost_outdated": false,
    }))
}

fn root_config() -> Reply {
    reply::ok(json!({
        "error_reporting": {
            "enabled": false,
            "sentry_dsn": "https://key@error-reporting.example.test/1",
            "environment": "customer",
            "send_pii": false,
            "traces_sample_rate": 0.1,
        },
        "capabilities": ["can_impersonate", "is_enterprise"],
        "cache_timeout": 300,
        "cache_timeout_flows": 300,
        "cache_timeout_policies": 300,
    }))
}
