//! An issuer that registers clients: the server names them, and the operator keeps what manages them.

use anyhow::{Result, ensure};
use oidc_operator_e2e::{
    control_plane::ControlPlane,
    keycloak::{Keycloak, KeycloakOptions, Registrar},
};

use crate::{Demo, Sample, Shown, say, show};

/// A Keycloak with one realm, of which the operator has an initial access token and no more; the realm is first, so that it is done
/// with before its server ends.
pub(crate) struct Registration {
    registrar: Registrar,
    _keycloak: Keycloak,
}

impl Shown for Registration {
    type Idp = Registrar;
    const SAMPLES: &'static str = "dynamic-registration";
    const STARTS: &'static str = "a Keycloak that registers clients (about 12 s)";
    const ADAPTED: &'static str = "with this Keycloak's issuer, CA and initial access token";
    const CLIENT: Sample = Sample {
        namespace: "shop",
        name: "shop-dcr",
    };

    async fn start(_: &ControlPlane) -> Result<Self> {
        let keycloak = Keycloak::start(KeycloakOptions {
            name: "demo-keycloak".to_owned(),
            ..KeycloakOptions::default()
        })
        .await?;
        let registrar = Registrar::new(keycloak.realm("registering").await?).await?;
        Ok(Self {
            registrar,
            _keycloak: keycloak,
        })
    }

    fn idp(&self) -> &Registrar {
        &self.registrar
    }

    fn issuer(&self) -> String {
        self.registrar.realm.issuer()
    }

    fn replacements(&self) -> Vec<(&'static str, String)> {
        let issuer = self.registrar.realm.issuer();
        vec![
            (
                "https://sso.example.com/realms/apps",
                format!("{issuer}\n    issuerCertificateAuthority:\n      name: keycloak-ca"),
            ),
            ("put-the-real-one-here", self.registrar.token().to_owned()),
        ]
    }

    fn user(&self) -> (&str, &str) {
        let user = self.registrar.realm.user();
        (&user.username, &user.password)
    }

    async fn own_part(&self, demo: &Demo) -> Result<()> {
        say("The spec changes: the client is changed there, with the token that only the operator's namespace holds");
        let uris = r#"{"spec":{"displayName":"Shop of the demonstration"}}"#;
        show(
            &demo.kubectl,
            &[
                "patch", "oidcc", "shop-dcr", "-n", "shop", "--type", "merge", "-p", uris,
            ],
        )
        .await?;
        let wait = [
            "wait",
            "oidcc",
            "shop-dcr",
            "-n",
            "shop",
            "--for=condition=Ready",
            "--timeout=60s",
        ];
        show(&demo.kubectl, &wait).await?;
        let named = oidc_operator_e2e::wait::eventually(
            "the client is changed",
            std::time::Duration::from_secs(60),
            async || {
                let clients = self.registrar.realm.registered().await?;
                ensure!(clients.len() == 1, "{} clients", clients.len());
                ensure!(clients[0]["name"] == "Shop of the demonstration");
                Ok(clients[0]["clientId"].to_string())
            },
        )
        .await?;
        println!("Keycloak has client {named}, as \"Shop of the demonstration\"");
        show(
            &demo.kubectl,
            &[
                "get",
                "secrets",
                "-n",
                "oidc-operator-system",
                "-l",
                "oidc-operator.io/registration",
                "-o",
                "custom-columns=RECORD:.metadata.name,CLIENT:.metadata.annotations.oidc-operator\\.io/client",
            ],
        )
        .await?;
        demo.log_in().await?;
        println!("logged in with the same secret");
        Ok(())
    }

    fn proposals() -> String {
        "# Ask for what the server decides:
kubectl patch oidcc shop-dcr -n shop --type merge -p '{\"spec\":{\"credentials\":{\"rotation\":{\"interval\":\"720h\"}}}}'"
            .to_owned()
    }
}
