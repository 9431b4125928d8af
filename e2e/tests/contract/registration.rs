//! Dynamic registration: Keycloak's own, with its default policies and an initial access token.

use std::time::Duration;

use oidc_operator::idp::{
    Transport,
    http::HttpClient,
    registration::{RegistrationConfig, RegistrationDriver},
};
use oidc_operator_e2e::{
    case,
    keycloak::{Realm, Version},
};

use super::{keycloak::Subject, run, silent};

fn config(realm: &Realm, token: &str, registration_url: Option<String>) -> RegistrationConfig {
    RegistrationConfig {
        issuer: realm.issuer(),
        issuer_field: "issuerURL",
        discovery_url: None,
        registration_url,
        initial_token: Some(token.to_owned().into()),
        insecure_endpoints_allowed: false,
        insecure_allowed: false,
    }
}

#[tokio::test]
async fn keycloak_with_an_initial_access_token() {
    case::run(async {
        let subject = Subject::new("contract-registration").await?;
        let realm = &subject.realm;
        let token = realm.initial_access_token(1000).await?;
        let driver = RegistrationDriver::new(config(realm, &token, None), subject.web.clone())?;
        let stranger = RegistrationDriver::new(config(realm, "wrong", None), subject.web.clone())?;
        let (_listener, address) = silent();
        let hasty = HttpClient::new(&Transport {
            timeout: Duration::from_millis(300),
            certificate_authority: Some(realm.ca_pem().to_owned()),
            system_roots: false,
            identity: None,
        })?;
        let mut nowhere = config(realm, &token, None);
        nowhere.discovery_url = Some(format!("https://{address}/document"));
        let silent = RegistrationDriver::new(nowhere, hasty)?;
        // Users may come back to every redirect URI, no notice of a logout names the session, and 26.4 keeps to client_secret_basic.
        let altered: &[_] = match Version::chosen()? {
            Version::Current => &["postLogoutRedirectURIs", "logout"],
            Version::Former => &["postLogoutRedirectURIs", "logout", "tokenEndpointAuthMethod"],
        };
        let fixture = subject
            .fixture("registration")
            .await?
            .with_altered(altered)
            .with_stranger(Box::new(stranger))
            .with_silent(Box::new(silent));
        run(&driver, &fixture).await;
        assert_eq!(realm.registered().await?.len(), 0, "something is left");
        Ok(())
    })
    .await;
}
