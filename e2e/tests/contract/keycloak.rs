//! Keycloak.

use std::time::Duration;

use anyhow::Result;
use oidc_operator::idp::{
    Transport,
    contract::Fixture,
    http::HttpClient,
    issuer::{self, IssuerRequest},
    keycloak::{AdminCredentials, KeycloakConfig, KeycloakDriver},
};
use oidc_operator_e2e::{case, http};

use super::{run, silent};

fn transport(timeout: Duration) -> Transport {
    Transport {
        timeout,
        certificate_authority: None,
        system_roots: false,
        identity: None,
    }
}

#[tokio::test]
async fn keycloak_with_a_service_account() {
    case::run(async {
        http::choose_crypto();
        let base = std::env::var("KC")?;
        let web = HttpClient::new(&transport(Duration::from_secs(10)))?;
        let issuer = format!("{base}/realms/r1");
        let request = IssuerRequest {
            issuer: &issuer,
            discovery_url: None,
            insecure_endpoints_allowed: true,
        };
        let (discovery, _) = issuer::read(&web, &request).await?;
        let config = |url: &str, secret: &str| KeycloakConfig {
            admin_url: url.to_owned(),
            realm: "r1".to_owned(),
            auth_realm: "r1".to_owned(),
            credentials: AdminCredentials::ClientCredentials {
                client_id: "op".to_owned(),
                client_secret: secret.to_owned().into(),
            },
        };
        let driver = |url: &str, secret: &str, timeout| -> Result<KeycloakDriver> {
            Ok(KeycloakDriver::new(
                &config(url, secret),
                &transport(timeout),
                web.clone(),
            )?)
        };
        let good = driver(&base, "opsecret", Duration::from_secs(10))?;
        let (_listener, address) = silent();
        let fixture = Fixture::new("adhoc", Some(discovery.endpoints))
            .with_page(200)
            .with_stranger(Box::new(driver(&base, "wrong", Duration::from_secs(10))?))
            .with_silent(Box::new(driver(
                &format!("http://{address}"),
                "x",
                Duration::from_millis(300),
            )?));
        run(&good, &fixture).await;
        Ok(())
    })
    .await;
}
