//! The token endpoint (RFC 6749, sections 2.3.1, 4.1.3 and 5.2).

use anyhow::{Context, Result, bail};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

use super::{json, short};
use crate::http;

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    SecretBasic(String),
    /// `client_secret_post`.
    SecretPost(String),
    /// `none`: a public client.
    None,
}

/// A token request.
pub(super) struct Exchange<'a> {
    pub(super) client_id: &'a str,
    pub(super) auth: &'a ClientAuth,
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a str,
    pub(super) verifier: Option<&'a str>,
}

impl Exchange<'_> {
    fn request(&self, web: &Client, endpoint: &str) -> RequestBuilder {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", self.code),
            ("redirect_uri", self.redirect_uri),
        ];
        fields.extend(self.verifier.map(|verifier| ("code_verifier", verifier)));
        let request = web.post(endpoint);
        match self.auth {
            ClientAuth::SecretBasic(secret) => {
                // RFC 6749, section 2.3.1: both are form-encoded before they are joined.
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                request
                    .basic_auth(encode(self.client_id), Some(encode(secret)))
                    .form(&fields)
            }
            ClientAuth::SecretPost(secret) => {
                fields.extend([("client_id", self.client_id), ("client_secret", secret)]);
                request.form(&fields)
            }
            ClientAuth::None => {
                fields.push(("client_id", self.client_id));
                request.form(&fields)
            }
        }
    }
}

/// Exchanges a code for tokens.
pub(super) async fn exchange(web: &Client, endpoint: &str, exchange: &Exchange<'_>) -> Result<Value> {
    json(exchange.request(web, endpoint).send().await?).await
}

/// Whether the identity provider takes this secret for the client (`client_secret_basic`), found out without a login: with a
/// code that does not exist, a right secret gets `invalid_grant` and a wrong one `invalid_client`.
///
/// # Errors
/// The endpoint cannot be reached or answers neither of the two.
pub async fn secret_accepted(ca_pem: &str, token_endpoint: &str, client_id: &str, secret: &str) -> Result<bool> {
    let auth = ClientAuth::SecretBasic(secret.to_owned());
    let probe = Exchange {
        client_id,
        auth: &auth,
        code: "no-such-code",
        redirect_uri: "https://invalid.example",
        verifier: None,
    };
    let answer = probe
        .request(&http::client(ca_pem)?, token_endpoint)
        .send()
        .await
        .context("token endpoint")?;
    let status = answer.status();
    let text = answer.text().await?;
    let error: Value = serde_json::from_str(&text).unwrap_or_default();
    match error["error"].as_str() {
        Some("invalid_grant") => Ok(true),
        // Keycloak says the latter.
        Some("invalid_client" | "unauthorized_client") => Ok(false),
        _ => bail!(
            "the token endpoint answered {status} to an invalid code: {}",
            short(&text)
        ),
    }
}
