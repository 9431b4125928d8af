//! Keycloak: a service account with exactly `manage-clients`, and an administrator's password.

use std::time::Duration;

use anyhow::Result;
use oidc_operator::{
    domain::ProviderFacts,
    idp::{
        Transport,
        contract::Fixture,
        http::HttpClient,
        issuer::{self, IssuerRequest},
        keycloak::{AdminCredentials, KeycloakConfig, KeycloakDriver},
    },
};
use oidc_operator_e2e::{case, http, keycloak::Realm, shared};

use super::{run, silent};

/// Clients on a page of the driver's list.
const PAGE: usize = 200;

pub(super) struct Subject {
    pub(super) realm: Realm,
    pub(super) web: HttpClient,
}

impl Subject {
    pub(super) async fn new(prefix: &str) -> Result<Self> {
        http::choose_crypto();
        let realm = shared::keycloak().await?.realm(prefix).await?;
        let web = HttpClient::new(&transport(&realm, Duration::from_secs(10)))?;
        Ok(Self { realm, web })
    }

    pub(super) fn driver(
        &self,
        url: &str,
        auth_realm: &str,
        credentials: AdminCredentials,
        timeout: Duration,
    ) -> Result<KeycloakDriver> {
        let config = KeycloakConfig {
            admin_url: url.to_owned(),
            realm: self.realm.name().to_owned(),
            auth_realm: auth_realm.to_owned(),
            credentials,
        };
        Ok(KeycloakDriver::new(
            &config,
            &transport(&self.realm, timeout),
            self.web.clone(),
        )?)
    }

    pub(super) async fn fixture(&self, prefix: &str) -> Result<Fixture> {
        let request = IssuerRequest {
            issuer: &self.realm.issuer(),
            field: "issuerURL",
            discovery_url: None,
            insecure_endpoints_allowed: false,
        };
        let (discovery, keys) = issuer::read(&self.web, &request).await?;
        assert!(!keys.is_empty(), "no keys");
        let fixture = Fixture::new(prefix, Some(discovery.endpoints.clone())).with_page(PAGE);
        Ok(fixture.with_facts(ProviderFacts {
            discovery,
            ..ProviderFacts::default()
        }))
    }

    pub(super) fn account(&self, secret: &str) -> AdminCredentials {
        AdminCredentials::ClientCredentials {
            client_id: self.realm.operator().client_id.clone(),
            client_secret: secret.to_owned().into(),
        }
    }
}

fn transport(realm: &Realm, timeout: Duration) -> Transport {
    Transport {
        timeout,
        certificate_authority: Some(realm.ca_pem().to_owned()),
        system_roots: false,
        identity: None,
    }
}

#[tokio::test]
async fn keycloak_with_a_service_account() {
    case::run(async {
        let subject = Subject::new("contract").await?;
        let (realm, bound) = (&subject.realm, Duration::from_secs(10));
        let good = subject.account(&realm.operator().secret);
        let driver = subject.driver(realm.base_url(), realm.name(), good.clone(), bound)?;
        let wrong = subject.account("wrong");
        let stranger = subject.driver(realm.base_url(), realm.name(), wrong, bound)?;
        let (_listener, address) = silent();
        let hasty = Duration::from_millis(300);
        let silent = subject.driver(&format!("https://{address}"), realm.name(), good, hasty)?;
        let fixture = subject
            .fixture("account")
            .await?
            .with_stranger(Box::new(stranger))
            .with_silent(Box::new(silent));
        let before = realm.client_ids().await?;
        run(&driver, &fixture).await;
        assert_eq!(realm.client_ids().await?, before, "something is left");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn keycloak_with_a_password() {
    case::run(async {
        let subject = Subject::new("contract-password").await?;
        let realm = &subject.realm;
        let user = realm.admin().credentials();
        let password = AdminCredentials::Password {
            username: user.0.to_owned().into(),
            password: user.1.to_owned().into(),
        };
        let driver = subject.driver(realm.base_url(), "master", password, Duration::from_secs(10))?;
        run(&driver, &subject.fixture("password").await?).await;
        Ok(())
    })
    .await;
}
