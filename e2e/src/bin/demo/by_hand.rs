//! A client that somebody made by hand: credentials come in, outputs go out, and nothing is written at the issuer.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator_e2e::{
    control_plane::ControlPlane,
    install::ca_config_map,
    keycloak::{CA, Keycloak, KeycloakOptions, Realm},
    scene::Idp,
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{Demo, Sample, Shown, say, show};

/// How long the outputs may take to follow.
const SOON: Duration = Duration::from_secs(60);
/// What the administrator of Keycloak called the client.
const CLIENT_ID: &str = "shop-by-hand";

/// A Keycloak with one realm, which the operator knows nothing of but its issuer; the realm is first, so that it is done with
/// before its server ends.
pub(crate) struct ByHand {
    realm: Realm,
    /// The client's secret, as Keycloak made it.
    secret: String,
    _keycloak: Keycloak,
}

impl Idp for ByHand {
    const NAME: &'static str = "static";

    fn references(&self, namespace: &str) -> Vec<Value> {
        vec![ca_config_map(namespace, CA, self.realm.ca_pem())]
    }

    /// That of the samples is used.
    fn provider(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": "entra", "namespace": namespace},
            "spec": {
                "type": "Static",
                "issuer": {"issuerURL": self.realm.issuer(), "issuerCertificateAuthority": {"name": CA}},
            },
        })
    }
}

impl Shown for ByHand {
    type Idp = Self;
    const STARTS: &'static str = "a Keycloak whose administrator makes a client by hand (about 12 s)";
    const ADAPTED: &'static str = "with this Keycloak's issuer and CA, and the client's ID and secret";
    const CLIENT: Sample = Sample {
        namespace: "shop",
        name: "shop-entra",
    };

    async fn start(_: &ControlPlane) -> Result<Self> {
        let keycloak = Keycloak::start(KeycloakOptions {
            name: "demo-keycloak".to_owned(),
            ..KeycloakOptions::default()
        })
        .await?;
        let realm = keycloak.realm("by-hand").await?;
        realm
            .create_client(&json!({
                "clientId": CLIENT_ID,
                "publicClient": false,
                "standardFlowEnabled": true,
                "redirectUris": ["https://shop.example.com/auth/callback"],
            }))
            .await?;
        let secret = realm.secret_of(CLIENT_ID).await?.context("Keycloak made no secret")?;
        Ok(Self {
            realm,
            secret,
            _keycloak: keycloak,
        })
    }

    fn idp(&self) -> &Self {
        self
    }

    fn issuer(&self) -> String {
        self.realm.issuer()
    }

    fn replacements(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0",
                format!(
                    "{}\n    issuerCertificateAuthority:\n      name: {CA}",
                    self.realm.issuer()
                ),
            ),
            ("6731de76-14a6-49ae-97bc-6eba6914391e", CLIENT_ID.to_owned()),
            ("put-the-real-one-here", self.secret.clone()),
        ]
    }

    fn user(&self) -> (&str, &str) {
        let user = self.realm.user();
        (&user.username, &user.password)
    }

    async fn own_part(&self, demo: &Demo) -> Result<()> {
        say("The administrator gives the client a new secret, and puts it into the same Secret; the outputs follow");
        let mark = self.realm.mark().await?;
        let secret = self.realm.regenerate_secret(CLIENT_ID).await?;
        ensure!(demo.log_in().await.is_err(), "a login works with the secret of before");
        // Not shown with its arguments: they hold the secret.
        println!("$ kubectl patch secret shop-by-hand -n shop --type merge -p ...");
        let patch = json!({"stringData": {"clientSecret": secret}}).to_string();
        let patch = [
            "patch",
            "secret",
            "shop-by-hand",
            "-n",
            "shop",
            "--type",
            "merge",
            "-p",
            &patch,
        ];
        print!("{}", demo.kubectl.run(patch).await?);
        eventually("the output has the new secret", SOON, async || {
            ensure!(demo.secret_value("client-secret").await? == secret);
            demo.log_in().await
        })
        .await?;
        println!("logged in with the new secret");
        let requests = self
            .realm
            .requests_since(mark)
            .await?
            .of_operator()
            .admin_writes()
            .kinds();
        ensure!(requests.is_empty(), "the operator wrote to Keycloak: {requests:?}");
        show(
            &demo.kubectl,
            &[
                "get",
                "oidcp",
                "entra",
                "-n",
                "identity",
                "-o",
                "jsonpath={.status.conditions[?(@.type=='AdminAPIReady')].message}{\"\\n\"}",
            ],
        )
        .await?;
        Ok(())
    }

    fn proposals() -> String {
        "# Ask for what nobody can bring about:
kubectl patch oidcc shop-entra -n shop --type merge -p '{\"spec\":{\"tokenLifetimes\":{\"accessToken\":\"5m\"}}}'"
            .to_owned()
    }
}
