//! Real applications, with what the operator wrote for them: people log into oauth2-proxy, Flask and FastAPI with a browser, at
//! Dex and at Keycloak.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod dex;
mod harness;
mod journey;
mod keycloak;
mod restarts;
mod rotations;

use anyhow::Result;
use oidc_operator_e2e::{browser::Browser, pki::Ca, scene::Stage};

/// Where people log in at one identity provider.
struct Theatre {
    stage: &'static Stage,
    /// Of the applications' own certificates, as of an Ingress.
    ca: Ca,
    /// Trusts that one and the identity provider's.
    browser: Browser,
}

impl Theatre {
    async fn open(stage: &'static Stage, provider_ca: &str) -> Result<Self> {
        let ca = Ca::new("oidc-operator-e2e applications")?;
        let browser = Browser::start(&[ca.pem(), provider_ca]).await?;
        Ok(Self { stage, ca, browser })
    }
}
