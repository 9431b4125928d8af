//! Keycloak: what somebody changes there by hand is found in bulk and undone.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator_e2e::{
    control_plane::ControlPlane,
    keycloak::{Keycloak, KeycloakOptions, Realm},
    scene::Idp,
    wait::eventually,
};
use serde_json::json;

use crate::{Demo, Sample, Shown, say};

/// How long a repair may take.
const SOON: Duration = Duration::from_secs(60);
/// Where an attacker, or a hurried administrator, would send users of the shop.
const ELSEWHERE: &str = "https://elsewhere.example.com/callback";

/// A Keycloak with one realm; the realm is first, so that it is done with before its server ends.
pub(crate) struct KeycloakRealm {
    realm: Realm,
    _keycloak: Keycloak,
}

impl Shown for KeycloakRealm {
    type Idp = Realm;
    const STARTS: &'static str = "a Keycloak with TLS and a realm (about 12 s)";
    const ADAPTED: &'static str =
        "with this Keycloak's address, realm and CA, and the secret of its client oidc-operator";
    const CLIENT: Sample = Sample {
        namespace: "webshop",
        name: "webshop",
    };

    async fn start(_: &ControlPlane) -> Result<Self> {
        let keycloak = Keycloak::start(KeycloakOptions {
            name: "demo-keycloak".to_owned(),
            ..KeycloakOptions::default()
        })
        .await?;
        let realm = keycloak.realm("apps").await?;
        Ok(Self {
            realm,
            _keycloak: keycloak,
        })
    }

    fn idp(&self) -> &Realm {
        &self.realm
    }

    fn issuer(&self) -> String {
        self.realm.issuer()
    }

    fn replacements(&self) -> Vec<(&'static str, String)> {
        let ca = self.realm.ca_pem().trim_end().replace('\n', "\n    ");
        vec![
            ("https://sso.example.com/realms/apps", self.realm.issuer()),
            ("https://keycloak.identity.svc:8443", self.realm.base_url().to_owned()),
            ("realm: apps", format!("realm: {}", self.realm.name())),
            (
                "put-the-secret-of-client-oidc-operator-here",
                self.realm.operator().secret.clone(),
            ),
            ("Put the CA of Keycloak's certificate here, as PEM.", ca),
        ]
    }

    fn user(&self) -> (&str, &str) {
        let user = self.realm.user();
        (&user.username, &user.password)
    }

    async fn own_part(&self, demo: &Demo) -> Result<()> {
        self.drift(demo).await
    }

    fn proposals() -> String {
        let Sample { namespace, name } = Self::CLIENT;
        format!(
            "# Ask for what this realm does not have:
kubectl patch oidcc {name} -n {namespace} --type merge -p '{{\"spec\":{{\"optionalScopes\":[\"payments\"]}}}}'"
        )
    }
}

impl KeycloakRealm {
    async fn drift(&self, demo: &Demo) -> Result<()> {
        let realm = &self.realm;
        let Sample { namespace, name } = demo.sample;
        let client_id = demo.secret_value("client-id").await?;
        let before = demo.secret_value("client-secret").await?;
        let redirect_uri = demo.secret_value("redirect-uri").await?;

        say("An administrator of Keycloak changes the client by hand: another redirect URI, and a new secret");
        realm
            .update_client(&client_id, &json!({"redirectUris": [ELSEWHERE]}))
            .await?;
        realm.regenerate_secret(&client_id).await?;
        let refused = demo.log_in().await;
        ensure!(refused.is_err(), "a login works although the client was changed");
        println!("Keycloak sends users of {client_id} to {ELSEWHERE} now; a login at the shop fails");

        say("The operator finds it in its list of all clients, and puts it right; the Secret stays as it was");
        let mark = realm.mark().await?;
        demo.ask(Realm::NAME).await?;
        eventually("the client is as the spec says", SOON, async || {
            let client = realm.client(&client_id).await?.context("no client")?;
            ensure!(
                client["redirectUris"] == json!([redirect_uri]),
                "{}",
                client["redirectUris"]
            );
            ensure!(
                realm.secret_of(&client_id).await?.as_ref() == Some(&before),
                "its secret is another"
            );
            Ok(())
        })
        .await?;
        ensure!(
            demo.secret_value("client-secret").await? == before,
            "the Secret was changed"
        );
        for (what, count) in realm.requests_since(mark).await?.of_operator().kinds() {
            println!("  asked of Keycloak: {count} x {what}");
        }
        let filter = format!("involvedObject.name={name},reason=Updated");
        let command = ["get", "events", "-n", namespace, "--field-selector", &filter];
        let events = eventually("an Event that names what was changed", SOON, async || {
            let events = demo.kubectl.run(command).await?;
            let named = events.contains("redirectURIs") && events.contains("secret");
            ensure!(named, "there is: {events}");
            Ok(events)
        })
        .await?;
        print!("$ kubectl {}\n{events}", command.join(" "));

        demo.log_in().await?;
        println!("logged in again with the Secret that was there before");
        Ok(())
    }
}
