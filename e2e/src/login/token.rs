//! The token endpoint (RFC 6749, sections 2.3.1, 4.1.3 and 5.2).

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use super::short;
use crate::{http, random};

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// `client_secret_basic`.
    SecretBasic(String),
    /// `client_secret_post`.
    SecretPost(String),
    /// `private_key_jwt`, by ES256: the key in PKCS#8, PEM.
    PrivateKey(String),
    /// The same, with the key's id in the header (`kid`).
    NamedKey {
        /// The key.
        pem: String,
        /// Its id.
        id: String,
    },
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
    fn request(&self, web: &Client, endpoint: &str) -> Result<RequestBuilder> {
        let assertion;
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", self.code),
            ("redirect_uri", self.redirect_uri),
        ];
        fields.extend(self.verifier.map(|verifier| ("code_verifier", verifier)));
        let request = web.post(endpoint);
        Ok(match self.auth {
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
            ClientAuth::PrivateKey(pem) | ClientAuth::NamedKey { pem, .. } => {
                let id = match self.auth {
                    ClientAuth::NamedKey { id, .. } => Some(id.as_str()),
                    _ => None,
                };
                assertion = self::assertion(pem, id, self.client_id, endpoint)?;
                fields.extend([
                    (
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ),
                    ("client_assertion", &assertion),
                ]);
                request.form(&fields)
            }
            ClientAuth::None => {
                fields.push(("client_id", self.client_id));
                request.form(&fields)
            }
        })
    }
}

/// An assertion (RFC 7523, section 3) as Authlib makes it: for the token endpoint, and without a key id unless it is told one.
fn assertion(pem: &str, id: Option<&str>, client_id: &str, endpoint: &str) -> Result<String> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let pkcs8 = STANDARD.decode(body).context("the private key")?;
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8, &random)
        .map_err(|error| anyhow!("the private key: {error}"))?;
    let now = Timestamp::now().as_second();
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut header = json!({"alg": "ES256", "typ": "JWT"});
    if let Some(id) = id {
        header["kid"] = json!(id);
    }
    let signed = [
        part(header),
        part(json!({
            "iss": client_id, "sub": client_id, "aud": endpoint, "iat": now, "exp": now + 50, "jti": random::token()?,
        })),
    ]
    .join(".");
    let signature = key
        .sign(&random, signed.as_bytes())
        .map_err(|error| anyhow!("{error}"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Exchanges a code for tokens.
pub(super) async fn exchange(web: &Client, endpoint: &str, exchange: &Exchange<'_>) -> Result<Value> {
    super::json(exchange.request(web, endpoint)?.send().await?).await
}

/// Whether the identity provider takes this secret for the client (`client_secret_basic`; `private_key_jwt` where it is a key), found out without a login: with a
/// code that does not exist, a right secret gets `invalid_grant` and a wrong one `invalid_client`.
///
/// # Errors
/// The endpoint cannot be reached or answers neither of the two.
pub async fn secret_accepted(ca_pem: &str, token_endpoint: &str, client_id: &str, secret: &str) -> Result<bool> {
    let auth = if secret.starts_with("-----BEGIN ") {
        ClientAuth::PrivateKey(secret.to_owned())
    } else {
        ClientAuth::SecretBasic(secret.to_owned())
    };
    let probe = Exchange {
        client_id,
        auth: &auth,
        code: "no-such-code",
        redirect_uri: "https://invalid.example",
        verifier: None,
    };
    let answer = probe
        .request(&http::client(ca_pem)?, token_endpoint)?
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
