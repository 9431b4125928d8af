//! A realm that registers clients dynamically, as an OIDCProvider describes it that knows nothing of the realm's admin API.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use super::{CA, Realm};
use crate::install;
use crate::scene::Idp;

/// Name of the Secret with the initial access token, in key `token`.
pub const INITIAL_TOKEN: &str = "dcr-token";

/// A realm, and an initial access token of it.
#[derive(Debug)]
pub struct Registrar {
    /// The realm.
    pub realm: Realm,
    token: String,
}

impl Registrar {
    /// A realm whose policies are Keycloak's own, and a token for many registrations.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn new(realm: Realm) -> Result<Self> {
        let token = realm.initial_access_token(1000).await?;
        Ok(Self { realm, token })
    }

    /// The records of registered clients of OIDCClients in `namespace`: Secrets in the operator's own.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn records(kube: &Client, namespace: &str) -> Result<Vec<Secret>> {
        let api: Api<Secret> = Api::namespaced(kube.clone(), install::NAMESPACE);
        let labelled = ListParams::default().labels("oidc-operator.io/registration");
        let of = format!("{namespace}/");
        let ours = |secret: &Secret| {
            let client = secret.annotations().get("oidc-operator.io/client");
            client.is_some_and(|client| client.starts_with(&of))
        };
        Ok(api.list(&labelled).await?.items.into_iter().filter(ours).collect())
    }

    /// The initial access token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The Secret with the initial access token.
    pub fn token_secret(namespace: &str, token: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": INITIAL_TOKEN,
                "namespace": namespace,
                "labels": {"oidc-operator.io/credential": "provider"},
            },
            "stringData": {"token": token},
        })
    }
}

impl Realm {
    /// A token with which `count` clients can be registered within an hour.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn initial_access_token(&self, count: u32) -> Result<String> {
        let path = self.path("clients-initial-access");
        let made = self
            .admin
            .post(&path, &json!({"count": count, "expiration": 3600}))
            .await?;
        Ok(made["token"].as_str().context("no token")?.to_owned())
    }

    /// The realm's clients that carry a client name or ID of nobody but tests: those that were registered.
    ///
    /// # Errors
    /// Keycloak does not answer.
    pub async fn registered(&self) -> Result<Vec<Value>> {
        let clients = self.clients().await?;
        // Keycloak notes who registered a client in a token of its own, and shows nothing of it: names that it chose are UUIDs.
        let chosen = |client: &Value| {
            let id = client["clientId"].as_str().unwrap_or_default();
            id.len() == 36 && id.bytes().filter(|byte| *byte == b'-').count() == 4
        };
        Ok(clients.into_iter().filter(chosen).collect())
    }
}

impl Idp for Registrar {
    const NAME: &'static str = "dcr";

    fn references(&self, namespace: &str) -> Vec<Value> {
        vec![
            install::ca_config_map(namespace, CA, self.realm.ca_pem()),
            Self::token_secret(namespace, &self.token),
        ]
    }

    fn provider(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": Self::NAME, "namespace": namespace},
            "spec": {
                "type": "DynamicRegistration",
                "issuer": {"issuerURL": self.realm.issuer(), "issuerCertificateAuthority": {"name": CA}},
                "dynamicRegistration": {"initialAccessTokenSecretRef": {"name": INITIAL_TOKEN, "key": "token"}},
                "clients": {"allowedNamespaces": {"from": "All"}},
            },
        })
    }
}
