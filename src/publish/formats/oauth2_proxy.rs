//! `oauth2-proxy`: its configuration file, and its secrets under the names of its chart and of its environment.

use super::{Entries, Format, optional};
use crate::publish::{Values, generate::Shape};

pub(super) struct Oauth2Proxy;

const SECRET: &str = "client-secret";
const COOKIE: &str = "cookie-secret";

/// An AES-256 key: oauth2-proxy takes 16, 24 or 32 bytes, also in base64url.
const COOKIE_BYTES: Shape = Shape::Bytes(32);

impl Format for Oauth2Proxy {
    fn secret_key(&self) -> &'static str {
        SECRET
    }

    fn name(&self) -> &'static str {
        "oauth2-proxy"
    }

    fn secret(&self, values: &Values<'_>) -> Entries {
        let (id, secret, cookie) = (values.client_id, values.client_secret, values.generated(COOKIE));
        vec![
            ("client-id", id.to_owned()),
            (SECRET, secret.to_owned()),
            (COOKIE, cookie.to_owned()),
            ("OAUTH2_PROXY_CLIENT_ID", id.to_owned()),
            ("OAUTH2_PROXY_CLIENT_SECRET", secret.to_owned()),
            ("OAUTH2_PROXY_COOKIE_SECRET", cookie.to_owned()),
        ]
    }

    fn config_map(&self, values: &Values<'_>) -> Entries {
        vec![("oauth2_proxy.cfg", config(values))]
    }

    fn generates(&self) -> &'static [(&'static str, Shape)] {
        &[(COOKIE, COOKIE_BYTES)]
    }
}

/// The file, in TOML. Which e-mail addresses may log in is the provider's business: any that it lets in.
fn config(values: &Values<'_>) -> String {
    let endpoints = values.endpoints;
    let mut lines = vec![
        line("provider", "oidc"),
        line("oidc_issuer_url", values.issuer),
        line("scope", &values.scopes.join(" ")),
        line("redirect_url", values.redirect_uri()),
        list("provider_ca_files", &values.ca_file),
        list("email_domains", "*"),
        // Its default, force, has Dex ask for consent at every login, whatever its configuration says.
        line("approval_prompt", "auto"),
    ];
    if values.pkce {
        lines.push(line("code_challenge_method", "S256"));
    }
    // It looks for the document below the issuer and nowhere else.
    if !values.standard_discovery {
        lines.push(Some("skip_oidc_discovery = true".to_owned()));
        lines.push(line("login_url", &endpoints.authorization));
        lines.push(line("redeem_url", &endpoints.token));
        lines.push(line("oidc_jwks_url", &endpoints.jwks));
        lines.push(line("profile_url", &optional(endpoints.userinfo.as_ref())));
    }
    let mut text = lines.into_iter().flatten().collect::<Vec<_>>().join("\n");
    text.push('\n');
    text
}

fn line(key: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| format!("{key} = {}", quoted(value)))
}

fn list(key: &str, value: &str) -> Option<String> {
    (!value.is_empty()).then(|| format!("{key} = [{}]", quoted(value)))
}

/// A basic string of TOML. JSON's escapes are all of TOML's, and DEL, which only TOML forbids, is in no address or scope.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value).to_string()
}
