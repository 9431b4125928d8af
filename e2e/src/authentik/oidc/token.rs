//! The token endpoint (RFC 6749, section 3.2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::bindings;
use super::super::input;
use super::super::providers::{GRANTS, Provider};
use super::super::reply::{self, Reply};
use super::super::request::Request;
use super::super::state::State;
use super::super::users::User;
use super::{AccessToken, RefreshToken, claims, client, error, issuer, known_scopes, later, signed, uncached};

/// What a grant is good for.
pub(super) struct Granted {
    user: i64,
    pub(super) scopes: Vec<String>,
    pub(super) nonce: Option<String>,
    refresh: bool,
}

pub(super) fn token(state: &mut State, request: &Request) -> Reply {
    let form = request.form();
    match granted(state, request, &form) {
        Ok((provider, slug, granted)) => issued(state, request, &provider, &slug, granted),
        Err(code) => error(state, 400, code),
    }
}

/// The checks in the order of a real server: which error comes first tells a right secret from a wrong one.
fn granted(
    state: &mut State,
    request: &Request,
    form: &[(String, String)],
) -> Result<(Provider, String, Granted), &'static str> {
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value.as_str())
    };
    let (client_id, secret) = client(request, form);
    let provider = state
        .providers
        .values()
        .find(|provider| provider.client_id == client_id);
    let provider = provider.cloned().ok_or("invalid_client")?;
    let grant = field("grant_type");
    if state.release.has_grant_types() {
        if !provider.grant_types.iter().any(|allowed| allowed == grant) {
            return Err("invalid_grant");
        }
    } else if !GRANTS.contains(&grant) || matches!(grant, "implicit" | "hybrid") {
        return Err("unsupported_grant_type");
    }
    let right = provider.client_secret == secret;
    if matches!(grant, "authorization_code" | "refresh_token") && provider.client_type == "confidential" && !right {
        return Err("invalid_client");
    }
    let scopes = known_scopes(state, &provider, field("scope"));
    let application = state.application_of(provider.pk).cloned();
    let granted = match grant {
        "authorization_code" => exchanged(
            state,
            &provider,
            field("code"),
            field("redirect_uri"),
            field("code_verifier"),
        )?,
        "refresh_token" => refreshed(state, &provider, field("refresh_token"), &scopes)?,
        "client_credentials" | "password" => {
            let application = application.as_ref().ok_or("invalid_grant")?;
            let user = if !field("username").is_empty() {
                app_password(state, field("username"), field("password")).ok_or("invalid_grant")?
            } else if right {
                machine(state, &provider, &application.name, &application.slug)
            } else {
                return Err("invalid_grant");
            };
            if !bindings::open(state, application, user) {
                return Err("invalid_grant");
            }
            Granted {
                user,
                scopes,
                nonce: None,
                refresh: false,
            }
        }
        _ => return Err("invalid_grant"),
    };
    let slug = application.ok_or("invalid_grant")?.slug;
    Ok((provider, slug, granted))
}

/// A code works once, for its client, its redirect URI and its verifier (RFC 7636). A redirect URI that the client does not have
/// is found first, and called an invalid client (authentik/providers/oauth2/views/token.py).
fn exchanged(
    state: &mut State,
    provider: &Provider,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
) -> Result<Granted, &'static str> {
    if code.is_empty() {
        return Err("invalid_grant");
    }
    if !provider.redirects_to(redirect_uri) {
        return Err("invalid_client");
    }
    let code = state.codes.remove(code).ok_or("invalid_grant")?;
    let proven = match &code.challenge {
        None => verifier.is_empty(),
        Some((challenge, true)) => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *challenge,
        Some((challenge, false)) => verifier == challenge,
    };
    let mine = code.provider == provider.pk && code.redirect_uri == redirect_uri;
    if !proven || !mine || code.expires < Timestamp::now() {
        return Err("invalid_grant");
    }
    let refresh = code.scopes.iter().any(|scope| scope == "offline_access");
    Ok(Granted {
        user: code.user,
        scopes: code.scopes,
        nonce: code.nonce,
        refresh,
    })
}

/// A refresh token works once. Scopes may be asked for again, not more, and `offline_access` among them; the new token has all of the
/// old one's all the same (authentik/providers/oauth2/views/token.py).
fn refreshed(state: &mut State, provider: &Provider, token: &str, scopes: &[String]) -> Result<Granted, &'static str> {
    let at = state
        .refresh_tokens
        .iter()
        .position(|known| known.token == token && known.provider == provider.pk);
    let at = at.ok_or("invalid_grant")?;
    let old = &state.refresh_tokens[at];
    if old.expires < Timestamp::now() {
        return Err("invalid_grant");
    }
    let again = scopes.iter().all(|scope| old.scopes.contains(scope));
    let offline = scopes.is_empty() || scopes.iter().any(|scope| scope == "offline_access");
    if !again || !offline {
        return Err("invalid_scope");
    }
    let old = state.refresh_tokens.remove(at);
    Ok(Granted {
        user: old.user,
        scopes: old.scopes,
        nonce: old.nonce,
        refresh: true,
    })
}

/// The user of an app password; it stands where a password would.
fn app_password(state: &State, username: &str, password: &str) -> Option<i64> {
    let user = state
        .users
        .iter()
        .find(|user| user.username == username && user.is_active)?;
    let mut tokens = state
        .tokens
        .iter()
        .filter(|token| token.user == user.pk && token.intent == "app_password");
    tokens.any(|token| token.key == password).then_some(user.pk)
}

/// The user that stands for the client itself. It survives provider and application.
fn machine(state: &mut State, provider: &Provider, application: &str, slug: &str) -> i64 {
    let username = format!("ak-{}-client_credentials", provider.name);
    let known = state.users.iter().position(|user| user.username == username);
    let at = known.unwrap_or_else(|| {
        state.add_user(&username, "service_account");
        state.users.len() - 1
    });
    let now = Timestamp::now();
    let user = &mut state.users[at];
    user.name = format!("Autogenerated user from application {application} (client credentials)");
    user.attributes = json!({ "goauthentik.io/user/generated": true });
    user.path = format!("goauthentik.io/apps/{slug}");
    user.last_login = Some(now);
    user.updated = now;
    let pk = user.pk;
    state.list_cache.clear();
    pk
}

fn issued(state: &mut State, request: &Request, provider: &Provider, slug: &str, granted: Granted) -> Reply {
    let Some(user) = state.user(granted.user).cloned() else {
        return error(state, 400, "invalid_grant");
    };
    let (expires, seconds) = later(&provider.access_token_validity);
    let issuer = issuer(request, provider, slug);
    let id = state.ids.text(40);
    let claims = claims::of_id_token(state, provider, &user, &granted, &issuer, &id, expires);
    let id_token = signed(state, provider, &Value::Object(claims.clone()));
    let scope = granted.scopes.join(" ");
    let mut access = claims.clone();
    access.insert("azp".to_owned(), json!(provider.client_id));
    access.insert("uid".to_owned(), json!(state.ids.text(40)));
    access.insert("scope".to_owned(), json!(scope));
    let access_token = signed(state, provider, &Value::Object(access));
    let pk = state.next_access_token;
    state.next_access_token += 1;
    state.access_tokens.push(AccessToken {
        pk,
        provider: provider.pk,
        user: user.pk,
        token: access_token.clone(),
        scopes: granted.scopes.clone(),
        claims: Value::Object(claims),
        expires,
        revoked: false,
    });
    let mut body = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "scope": scope,
        "expires_in": seconds,
        "id_token": id_token,
    });
    if granted.refresh {
        body["refresh_token"] = json!(refresh_token(state, provider, &user, granted));
    }
    uncached(reply::ok(body))
}

fn refresh_token(state: &mut State, provider: &Provider, user: &User, granted: Granted) -> String {
    let token = state.ids.text(128);
    let seconds = input::seconds(&provider.refresh_token_validity).unwrap_or_default();
    state.refresh_tokens.push(RefreshToken {
        provider: provider.pk,
        user: user.pk,
        token: token.clone(),
        scopes: granted.scopes,
        nonce: granted.nonce,
        expires: Timestamp::now() + jiff::SignedDuration::from_secs(seconds),
    });
    token
}
