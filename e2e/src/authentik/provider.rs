//! A server with a CA and an account of its own for the operator, and its OIDCProvider.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Admin, Authentik, AuthentikOptions, Logged, RIGHTS, USER, USER_PASSWORD};
use oidc_operator::idp::authentik::slug;

use crate::login::{ClientAuth, Login};
use crate::pki::Ca;
use crate::scene::Idp;
use crate::{http, install};

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

    /// The API with an administrator's rights.
    ///
    /// # Errors
    /// None is known.
    pub fn admin(&self) -> Result<Admin> {
        Admin::of(self)
    }

    /// What the operator has asked of the API since there were `mark` requests ([`Self::mark`]).
    pub fn asked_since(&self, mark: usize) -> Vec<Logged> {
        let mut asked = self.server.requests().split_off(mark);
        asked.retain(|request| {
            request.user_agent == oidc_operator::idp::http::USER_AGENT && request.path.starts_with("/api/v3/")
        });
        asked
    }

    /// [`Self::asked_since`] without what only reads.
    pub fn writes_since(&self, mark: usize) -> Vec<Logged> {
        let mut writes = self.asked_since(mark);
        writes.retain(|request| request.method != "GET");
        writes
    }

    /// How many requests have come until now.
    pub fn mark(&self) -> usize {
        self.server.requests().len()
    }

    /// The issuer of the client `client_id`.
    pub fn issuer(&self, client_id: &str) -> String {
        format!("{}/application/o/{}/", self.server.url(), slug(client_id))
    }

    /// An endpoint that all clients share, such as `token`.
    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/application/o/{name}/", self.server.url())
    }

    /// Does it take this secret for the client? Found out with a token that does not exist.
    ///
    /// # Errors
    /// It answers neither yes nor no.
    pub async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool> {
        let request = http::client(self.ca.pem())?.post(self.endpoint("revoke"));
        let request = request.basic_auth(client_id, Some(secret));
        let answer = request.form(&[("token", "no-such-token")]).send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        match status {
            200 => Ok(true),
            400 | 401 if text.contains("invalid_client") => Ok(false),
            _ => bail!("{status} {text}"),
        }
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
