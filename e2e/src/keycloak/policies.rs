//! Client policies of a realm: rules that Keycloak lays on clients, whoever writes them.

use anyhow::Result;
use serde_json::{Value, json};

use super::Realm;

/// Configuration of the executor `secret-rotation`, in seconds. It lets a client have its previous secret beside the new one.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// How long a secret is valid.
    pub expiration: u32,
    /// How long a secret stays valid that was replaced.
    pub rotated_expiration: u32,
    /// When a write of the client makes a new secret: this long before its secret expires.
    pub remaining: u32,
}

/// What Keycloak proposes: 29 days, 2 days, 10 days.
impl Default for Rotation {
    fn default() -> Self {
        Self {
            expiration: 2_505_600,
            rotated_expiration: 172_800,
            remaining: 864_000,
        }
    }
}

impl Realm {
    /// One policy, in the place of all others: for clients that meet the condition, the executor.
    ///
    /// # Errors
    /// Keycloak refuses, for instance because it has no such executor.
    pub async fn set_policy(&self, condition: (&str, Value), executor: (&str, Value)) -> Result<()> {
        let profile = json!({
            "name": "e2e",
            "executors": [{ "executor": executor.0, "configuration": executor.1 }],
        });
        let policy = json!({
            "name": "e2e",
            "enabled": true,
            "conditions": [{ "condition": condition.0, "configuration": condition.1 }],
            "profiles": ["e2e"],
        });
        self.put_policies(json!([profile]), json!([policy])).await
    }

    /// Confidential clients have a previous secret for a time.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn set_rotation_policy(&self, rotation: Rotation) -> Result<()> {
        let configuration = json!({
            "expiration-period": rotation.expiration,
            "rotated-expiration-period": rotation.rotated_expiration,
            "remaining-rotation-period": rotation.remaining,
        });
        let confidential = json!({ "type": ["confidential"] });
        self.set_policy(("client-access-type", confidential), ("secret-rotation", configuration))
            .await
    }

    /// No client may have a redirect URI without TLS: a write of one is answered 400 `invalid_client_metadata`.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn set_https_policy(&self) -> Result<()> {
        self.set_policy(("any-client", json!({})), ("secure-client-uris", json!({})))
            .await
    }

    /// Clients can neither be made nor changed, by nobody: 400 `invalid_request`. They can still be read and deleted.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn set_read_only_policy(&self) -> Result<()> {
        let by_users = json!({ "update-client-source": ["ByAuthenticatedUser"] });
        self.set_policy(("client-updater-context", by_users), ("reject-request", json!({})))
            .await
    }

    /// No policy any more.
    ///
    /// # Errors
    /// Keycloak refuses.
    pub async fn clear_policies(&self) -> Result<()> {
        self.put_policies(json!([]), json!([])).await
    }

    async fn put_policies(&self, profiles: Value, policies: Value) -> Result<()> {
        // A profile in use cannot go, and a policy needs its profile.
        let none = json!({ "policies": [] });
        self.admin.put(&self.path("client-policies/policies"), &none).await?;
        let profiles = json!({ "profiles": profiles });
        self.admin
            .put(&self.path("client-policies/profiles"), &profiles)
            .await?;
        let policies = json!({ "policies": policies });
        self.admin.put(&self.path("client-policies/policies"), &policies).await
    }
}
