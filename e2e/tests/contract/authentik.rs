//! Authentik, as far as its stand-in goes: a service account with exactly the rights that docs/authentik.md names.

use std::time::Duration;

use anyhow::Result;
use oidc_operator::{
    domain::{Endpoints, ProviderFacts},
    idp::{
        Driver as _, Transport,
        authentik::{AuthentikConfig, AuthentikDriver, Settings},
        contract::Fixture,
        http::HttpClient,
    },
};
use oidc_operator_e2e::{
    authentik::{Authentik, AuthentikOptions, RIGHTS},
    case, http,
    pki::Ca,
};

use super::{run, silent};

/// Clients on a page of the driver's list.
const PAGE: usize = 100;

fn driver(ca: &Ca, server: &str, admin: &str, token: &str, timeout: Duration) -> Result<AuthentikDriver> {
    let transport = Transport {
        timeout,
        certificate_authority: Some(ca.pem().to_owned()),
        system_roots: false,
        identity: None,
    };
    let config = AuthentikConfig {
        admin_url: admin.to_owned(),
        token: token.to_owned().into(),
        settings: Settings {
            public_url: server.to_owned(),
            authorization_flow: "default-provider-authorization-implicit-consent".to_owned(),
            invalidation_flow: "default-provider-invalidation-flow".to_owned(),
            signing_key: "authentik Self-signed Certificate".to_owned(),
            sub_mode: Default::default(),
            issuer_mode: Default::default(),
            email_verified: Default::default(),
        },
    };
    Ok(AuthentikDriver::new(&config, &transport, HttpClient::new(&transport)?)?)
}

#[tokio::test]
async fn authentik_with_a_role_of_its_own() {
    case::run(async {
        http::choose_crypto();
        let ca = Ca::new("authentik")?;
        let server = Authentik::start(AuthentikOptions {
            tls: Some(&ca),
            ..AuthentikOptions::default()
        })?;
        let (url, bound) = (server.url(), Duration::from_secs(10));
        let token = server.service_account("oidc-operator", RIGHTS)?;
        let good = driver(&ca, &url, &url, &token, bound)?;
        let (_listener, address) = silent();
        let found = good.probe().await?;
        let facts = ProviderFacts {
            server_version: found.version,
            scopes: found.scopes,
            ..ProviderFacts::default()
        };
        let fixture = Fixture::new("contract", Some(Endpoints::default()))
            .with_page(PAGE)
            .with_facts(facts)
            .with_plain_basic()
            .with_stranger(Box::new(driver(&ca, &url, &url, "wrong", bound)?))
            .with_silent(Box::new(driver(
                &ca,
                &url,
                &format!("https://{address}"),
                &token,
                Duration::from_millis(300),
            )?));
        let before = server.client_ids();
        run(&good, &fixture).await;
        assert_eq!(server.client_ids(), before, "something is left");
        assert_eq!(server.slugs(), [""; 0], "an application is left");
        assert_eq!(server.findings(), [""; 0]);
        Ok(())
    })
    .await;
}
