//! The user's server: how the operator is told of it.

use std::time::Duration;

use anyhow::Result;
use oidc_operator::idp::{
    authentik::{AuthentikConfig, AuthentikDriver, Settings},
    http::HttpClient,
};
use oidc_operator_e2e::{
    authentik::{CA, TOKEN},
    authentik_api::{Api, transport},
    install,
    scene::Idp,
};
use serde_json::{Value, json};

/// An authentik that somebody runs, and what this run is called.
pub(crate) struct Own {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) ca: Option<String>,
    pub(crate) run: String,
    pub(crate) authorization_flow: String,
    pub(crate) invalidation_flow: String,
    pub(crate) signing_key: String,
}

impl Own {
    /// The server's API, to look and to clean up.
    pub(crate) fn api(&self) -> Result<Api> {
        Api::new(&self.url, self.ca.as_deref(), &self.token)
    }

    /// The operator's driver for it, with an address of the API and a token that need not be good.
    pub(crate) fn driver(&self, admin_url: &str, token: &str, timeout: Duration) -> Result<AuthentikDriver> {
        let transport = transport(self.ca.as_deref(), timeout);
        let config = AuthentikConfig {
            admin_url: admin_url.to_owned(),
            token: token.to_owned().into(),
            settings: Settings {
                public_url: self.url.clone(),
                authorization_flow: self.authorization_flow.clone(),
                invalidation_flow: self.invalidation_flow.clone(),
                signing_key: self.signing_key.clone(),
                sub_mode: Default::default(),
                issuer_mode: Default::default(),
                email_verified: Default::default(),
            },
        };
        Ok(AuthentikDriver::new(&config, &transport, HttpClient::new(&transport)?)?)
    }
}

impl Idp for Own {
    const NAME: &'static str = "authentik";

    fn references(&self, namespace: &str) -> Vec<Value> {
        let token = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": TOKEN,
                "namespace": namespace,
                "labels": {"oidc-operator.io/credential": "provider"},
            },
            "stringData": {"token": self.token},
        });
        let ca = self.ca.as_ref().map(|pem| install::ca_config_map(namespace, CA, pem));
        ca.into_iter().chain([token]).collect()
    }

    fn provider(&self, namespace: &str) -> Value {
        let mut spec = json!({
            "type": "Authentik",
            "authentik": {
                "publicURL": self.url,
                "tokenSecretRef": {"name": TOKEN, "key": "token"},
                "authorizationFlow": self.authorization_flow,
                "invalidationFlow": self.invalidation_flow,
                "signingKey": self.signing_key,
            },
            "clients": {"allowedNamespaces": {"from": "All"}},
        });
        if self.ca.is_some() {
            spec["issuer"] = json!({"issuerCertificateAuthority": {"name": CA}});
            spec["authentik"]["certificateAuthority"] = json!({"name": CA});
        }
        if self.url.starts_with("http://") {
            spec["insecureTransport"] = json!({"allowed": ["AdminAPI", "Discovery"]});
        }
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": Self::NAME, "namespace": namespace},
            "spec": spec,
        })
    }
}
