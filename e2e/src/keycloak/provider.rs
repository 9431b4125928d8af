//! A realm, as an OIDCProvider describes it.

use serde_json::{Value, json};

use super::{Realm, ServiceAccount};
use crate::install;
use crate::scene::Idp;

/// Name of the CA ConfigMap.
pub const CA: &str = "keycloak-ca";
/// Name of the Secret with the service account's `clientSecret`.
pub const ADMIN: &str = "keycloak-admin";

impl Idp for Realm {
    const NAME: &'static str = "keycloak";

    fn references(&self, namespace: &str) -> Vec<Value> {
        vec![
            install::ca_config_map(namespace, CA, self.ca_pem()),
            admin_secret(namespace, self.operator()),
        ]
    }

    fn provider(&self, namespace: &str) -> Value {
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": Self::NAME, "namespace": namespace},
            "spec": {
                "type": "Keycloak",
                "issuer": {"issuerURL": self.issuer(), "issuerCertificateAuthority": {"name": CA}},
                "keycloak": {
                    "adminURL": self.base_url(),
                    "realm": self.name(),
                    "certificateAuthority": {"name": CA},
                    "credentials": {"type": "ClientCredentials", "clientCredentials": {
                        "clientID": self.operator().client_id,
                        "clientSecretRef": {"name": ADMIN, "key": "clientSecret"},
                    }},
                },
                "clients": {"allowedNamespaces": {"from": "All"}},
            },
        })
    }
}

/// The Secret with the credentials of `account`, labelled so that the operator may read it.
pub fn admin_secret(namespace: &str, account: &ServiceAccount) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": ADMIN,
            "namespace": namespace,
            "labels": {"oidc-operator.io/credential": "provider"},
        },
        "stringData": {"clientSecret": account.secret},
    })
}
