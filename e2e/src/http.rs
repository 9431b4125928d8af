//! HTTP clients that trust one CA and nothing else.
//!
//! A client keeps connections that die with the runtime they were made in, so nothing shared between tests holds one.

use std::sync::Once;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::Certificate;

/// The `User-Agent` of all that the tests themselves ask.
pub const USER_AGENT: &str = concat!("oidc-operator-e2e/", env!("CARGO_PKG_VERSION"));

/// Chooses `ring` for TLS in the whole process. rustls panics without a choice when several providers are linked.
pub fn choose_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error means that the program has chosen already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A client that trusts the CAs in `ca_pem` only, asks servers directly, and gives up on an answer after 30 s.
///
/// # Errors
/// `ca_pem` holds no certificate.
pub fn client(ca_pem: &str) -> Result<reqwest::Client> {
    builder(ca_pem)?.build().context("HTTP client")
}

/// [`client`] before it is built, for callers that want cookies or no redirects.
///
/// # Errors
/// As [`client`].
pub fn builder(ca_pem: &str) -> Result<reqwest::ClientBuilder> {
    choose_crypto();
    let roots = Certificate::from_pem_bundle(ca_pem.as_bytes()).context("CA certificates")?;
    Ok(reqwest::Client::builder()
        .tls_certs_only(roots)
        .no_proxy()
        .user_agent(USER_AGENT)
        .timeout(Duration::from_secs(30)))
}

/// A client for plain HTTP on loopback.
///
/// # Errors
/// None is known.
pub fn plain() -> Result<reqwest::Client> {
    choose_crypto();
    let builder = reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .user_agent(USER_AGENT);
    builder.timeout(Duration::from_secs(30)).build().context("HTTP client")
}
