//! Real applications, with what the operator wrote for them: people log into oauth2-proxy, Flask and FastAPI with a browser, at
//! Dex and at Keycloak.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod dex;
mod harness;
mod journey;
mod keycloak;

use anyhow::Result;
use oidc_operator_e2e::{browser::Browser, pki::Ca, scene::Stage, shared};
use tokio::sync::OnceCell;

/// What all tests of this program use.
struct Theatre {
    stage: &'static Stage,
    /// Of the applications' own certificates, as of an Ingress.
    ca: Ca,
    /// Trusts that one, Dex's and Keycloak's.
    browser: Browser,
}

impl Theatre {
    async fn shared() -> Result<&'static Self> {
        static CELL: OnceCell<Theatre> = OnceCell::const_new();
        CELL.get_or_try_init(async || {
            let (stage, keycloak) = tokio::try_join!(Stage::shared(), shared::keycloak())?;
            let ca = Ca::new("oidc-operator-e2e applications")?;
            let browser = Browser::start(&[ca.pem(), stage.dex.ca_pem(), keycloak.ca_pem()]).await?;
            Ok(Self { stage, ca, browser })
        })
        .await
    }
}
