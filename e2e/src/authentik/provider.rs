//! A server with a CA and an account of its own for the operator, and its OIDCProvider.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Authentik, AuthentikOptions, RIGHTS, USER, USER_PASSWORD};
use oidc_operator::idp::authentik::slug;

use crate::install;
use crate::login::{ClientAuth, Login};
use crate::pki::Ca;
use crate::scene::Idp;

/// The ConfigMap with the server's CA.
pub const CA: &str = "authentik-ca";
/// The Secret with the operator's token.
pub const TOKEN: &str = "authentik-token";

/// A server that the operator works with, over TLS, by a service account with [`RIGHTS`].
#[derive(Debug)]
pub struct Managed {
    /// The server.
    pub server: Authentik,
    /// What signed its certificate.
    pub ca: Ca,
    /// The operator's API token.
    pub token: String,
}

impl Managed {
    /// Starts one; its certificate and TLS are not of `options`.
    ///
    /// # Errors
    /// As [`Authentik::start`].
    pub fn start(options: AuthentikOptions<'_>) -> Result<Self> {
        let ca = Ca::new("authentik")?;
        let server = Authentik::start(AuthentikOptions {
            tls: Some(&ca),
            ..options
        })?;
        let token = server.service_account("oidc-operator", RIGHTS)?;
        Ok(Self { server, ca, token })
    }

    /// The issuer of the client `client_id`.
    pub fn issuer(&self, client_id: &str) -> String {
        format!("{}/application/o/{}/", self.server.url(), slug(client_id))
    }

    /// A login of [`USER`] for a client, with scope `openid profile email` and without PKCE.
    pub fn login(&self, client_id: &str, client_auth: ClientAuth, redirect_uri: &str) -> Login {
        Login::new(
            &self.issuer(client_id),
            self.ca.pem(),
            client_id,
            client_auth,
            redirect_uri,
        )
        .with_user(USER, USER_PASSWORD)
    }
}

impl Idp for Managed {
    const NAME: &'static str = "authentik";

    fn references(&self, namespace: &str) -> Vec<Value> {
        vec![
            install::ca_config_map(namespace, CA, self.ca.pem()),
            json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": TOKEN,
                    "namespace": namespace,
                    "labels": {"oidc-operator.io/credential": "provider"},
                },
                "stringData": {"token": self.token},
            }),
        ]
    }

    fn provider(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": Self::NAME, "namespace": namespace},
            "spec": {
                "type": "Authentik",
                "issuer": {"issuerCertificateAuthority": {"name": CA}},
                "authentik": {
                    "publicURL": self.server.url(),
                    "certificateAuthority": {"name": CA},
                    "tokenSecretRef": {"name": TOKEN, "key": "token"},
                },
                "clients": {"allowedNamespaces": {"from": "All"}},
            },
        })
    }
}
