//! The authorization endpoint (OpenID Connect Core 1.0, section 3.1.2), the login before it, and the logout.
//!
//! A real server shows its pages with scripts over an API of their own; here the login is a plain form.

use axum::http::Method;
use jiff::Timestamp;
use url::{Url, form_urlencoded};

use super::super::bindings;
use super::super::pages;
use super::super::providers::Provider;
use super::super::reply::{self, Reply};
use super::super::request::Request;
use super::super::state::State;
use super::{known_scopes, later};

const COOKIE: &str = "authentik_session";
const LOGIN_FLOW: &str = "default-authentication-flow";

/// A browser that has logged in.
pub(in super::super) struct Session {
    user: i64,
}

/// An authorization code that was given out; it works once.
pub(in super::super) struct Code {
    pub(in super::super) provider: i64,
    pub(super) user: i64,
    pub(super) redirect_uri: String,
    pub(super) scopes: Vec<String>,
    pub(super) nonce: Option<String>,
    /// RFC 7636; whether it is hashed.
    pub(super) challenge: Option<(String, bool)>,
    pub(super) expires: Timestamp,
}

pub(super) fn authorize(state: &mut State, request: &Request) -> Reply {
    let client_id = request.parameter("client_id").unwrap_or_default();
    let provider = state
        .providers
        .values()
        .find(|provider| provider.client_id == client_id);
    let Some(provider) = provider.cloned() else {
        let text = "The client identifier (client_id) is missing or invalid.";
        return pages::error(400, "Client ID Error", text);
    };
    let redirect_uri = request.parameter("redirect_uri").unwrap_or_default().to_owned();
    if !provider.redirects_to(&redirect_uri) {
        let text = "The request fails due to a missing, invalid, or mismatching redirection URI (redirect_uri).";
        return pages::error(400, "Redirect URI Error", text);
    }
    let Some(application) = state.application_of(provider.pk).cloned() else {
        return pages::not_found(&request.method);
    };
    if request.parameter("response_type") != Some("code") {
        return back(request, &redirect_uri, "error", "unsupported_response_type");
    }
    let grants = &provider.grant_types;
    if state.release.has_grant_types() && !grants.iter().any(|grant| grant == "authorization_code") {
        return back(request, &redirect_uri, "error", "invalid_request");
    }
    let session = request.cookie(COOKIE).and_then(|cookie| state.sessions.get(cookie));
    let Some(user) = session.map(|session| session.user) else {
        if request.parameter("prompt") == Some("none") {
            return back(request, &redirect_uri, "error", "login_required");
        }
        return to_login(state, request);
    };
    if !bindings::open(state, &application, user) {
        return pages::notice("Permission denied", "Request has been denied.");
    }
    let scopes = known_scopes(state, &provider, request.parameter("scope").unwrap_or_default());
    let hashed = request.parameter("code_challenge_method") == Some("S256");
    let code = state.ids.text(32);
    state.codes.insert(
        code.clone(),
        Code {
            provider: provider.pk,
            user,
            redirect_uri: redirect_uri.clone(),
            scopes,
            nonce: request.parameter("nonce").map(ToOwned::to_owned),
            challenge: request
                .parameter("code_challenge")
                .map(|text| (text.to_owned(), hashed)),
            expires: later(&provider.access_code_validity).0,
        },
    );
    back(request, &redirect_uri, "code", &code)
}

/// Back to the application, with a parameter and the state it sent.
fn back(request: &Request, redirect_uri: &str, name: &str, value: &str) -> Reply {
    let Ok(mut url) = Url::parse(redirect_uri) else {
        return pages::error(400, "Redirect URI Error", "The redirection URI is no URL.");
    };
    url.query_pairs_mut().append_pair(name, value);
    if let Some(state) = request.parameter("state") {
        url.query_pairs_mut().append_pair("state", state);
    }
    reply::redirect(url.as_str())
}

fn to_login(state: &mut State, request: &Request) -> Reply {
    let here = format!("{}?{}", request.path, request.raw_query);
    let next: String = form_urlencoded::byte_serialize(here.as_bytes()).collect();
    let session = state.ids.text(32);
    reply::redirect(&format!("/if/flow/{LOGIN_FLOW}/?{}&next={next}", request.raw_query)).with(
        "set-cookie",
        format!("{COOKIE}={session}; HttpOnly; Path=/; SameSite=Lax"),
    )
}

/// The pages of flows: the login, and others that only say what they are.
pub(in super::super) fn flow(state: &mut State, request: &Request, slug: &str) -> Reply {
    let Some(flow) = state.flows.iter().find(|flow| flow.slug == slug) else {
        return pages::not_found(&request.method);
    };
    if slug != LOGIN_FLOW {
        return pages::notice(flow.title(), "");
    }
    let action = format!("{}?{}", request.path, request.raw_query);
    if request.method != Method::POST {
        return pages::login(&action, "");
    }
    let form = request.form();
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    };
    let user = state.users.iter_mut().find(|user| {
        user.is_active && user.username == field("uid_field") && user.password.as_deref() == Some(field("password"))
    });
    let Some(user) = user else {
        return pages::login(&action, "Failed to authenticate.");
    };
    user.last_login = Some(Timestamp::now());
    let user = user.pk;
    let session = state.ids.text(32);
    state.sessions.insert(session.clone(), Session { user });
    // Only to this server: an open redirect would send users anywhere.
    let next = request
        .parameter("next")
        .filter(|next| next.starts_with('/') && !next.starts_with("//"));
    reply::redirect(next.unwrap_or("/")).with(
        "set-cookie",
        format!("{COOKIE}={session}; HttpOnly; Path=/; SameSite=Lax"),
    )
}

/// OpenID Connect RP-Initiated Logout 1.0.
pub(super) fn end_session(state: &mut State, request: &Request, provider: &Provider) -> Reply {
    if let Some(cookie) = request.cookie(COOKIE) {
        state.sessions.remove(cookie);
    }
    let typed = state.release.has_grant_types();
    if let Some(wanted) = request.parameter("post_logout_redirect_uri") {
        let mut allowed = provider.redirect_uris.iter().filter(|uri| !typed || uri.is_logout());
        if allowed.any(|uri| uri.matches(wanted)) {
            let mut target = wanted.to_owned();
            if let (Ok(mut url), Some(state)) = (Url::parse(wanted), request.parameter("state")) {
                url.query_pairs_mut().append_pair("state", state);
                target = url.into();
            }
            return reply::redirect(&target);
        }
    }
    let flow = state.flows.iter().find(|flow| flow.pk == provider.invalidation_flow);
    let slug = flow.map_or("default-provider-invalidation-flow", |flow| flow.slug);
    reply::redirect(&format!("/if/flow/{slug}/"))
}
