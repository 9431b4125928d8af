//! What authentik's API shows and takes, as far as the operator cares (`schema.yml` of 2025.8 to 2026.8). Unknown members are
//! ignored; members that a release does not have are `None`.

use serde::{Deserialize, Serialize};

/// A page of a list. `next` is a page number, 0 at the end.
#[derive(Deserialize)]
pub(super) struct Listed<T> {
    pub(super) pagination: Pagination,
    pub(super) results: Vec<T>,
}

#[derive(Deserialize)]
pub(super) struct Pagination {
    /// A whole number; some releases declare it as a floating-point one.
    #[serde(default)]
    next: f64,
}

impl<T> Listed<T> {
    pub(super) fn has_more(&self) -> bool {
        self.pagination.next > 0.0
    }
}

/// Server version (`/admin/version/`).
#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) version_current: String,
}

/// A flow (`/flows/instances/`).
#[derive(Deserialize)]
pub(super) struct Flow {
    pub(super) pk: String,
    pub(super) slug: String,
}

/// A key pair (`/crypto/certificatekeypairs/`).
#[derive(Deserialize)]
pub(super) struct KeyPair {
    pub(super) pk: String,
    pub(super) name: String,
    /// `rsa`, `ec`…; called `private_key_type` before 2025.12.
    #[serde(default, alias = "private_key_type")]
    pub(super) key_type: Option<String>,
}

/// A scope mapping (`/propertymappings/provider/scope/`).
#[derive(Clone, Deserialize)]
pub(super) struct Mapping {
    pub(super) pk: String,
    pub(super) name: String,
    pub(super) scope_name: String,
    pub(super) expression: String,
    #[serde(default)]
    pub(super) managed: Option<String>,
}

/// An OAuth2 provider (`/providers/oauth2/`).
#[derive(Clone, Deserialize)]
pub(super) struct Provider {
    pub(super) pk: i64,
    pub(super) name: String,
    pub(super) client_id: String,
    pub(super) client_type: String,
    /// Shown with a right of its own from 2026.11 on.
    #[serde(default)]
    pub(super) client_secret: Option<String>,
    /// From 2026.5 on.
    #[serde(default)]
    pub(super) grant_types: Option<Vec<String>>,
    #[serde(default)]
    pub(super) redirect_uris: Vec<RedirectUri>,
    #[serde(default)]
    pub(super) property_mappings: Vec<String>,
    #[serde(default)]
    pub(super) authorization_flow: Option<String>,
    #[serde(default)]
    pub(super) invalidation_flow: Option<String>,
    #[serde(default)]
    pub(super) signing_key: Option<String>,
    #[serde(default)]
    pub(super) encryption_key: Option<String>,
    #[serde(default)]
    pub(super) access_token_validity: String,
    #[serde(default)]
    pub(super) refresh_token_validity: String,
    #[serde(default)]
    pub(super) include_claims_in_id_token: bool,
    /// From 2025.10 on.
    #[serde(default)]
    pub(super) logout_uri: Option<String>,
    #[serde(default)]
    pub(super) logout_method: Option<String>,
    #[serde(default)]
    pub(super) sub_mode: String,
    #[serde(default)]
    pub(super) issuer_mode: String,
    #[serde(default)]
    pub(super) jwt_federation_sources: Vec<String>,
    #[serde(default)]
    pub(super) jwt_federation_providers: Vec<i64>,
    #[serde(default)]
    pub(super) assigned_application_slug: Option<String>,
    #[serde(default)]
    pub(super) assigned_application_name: Option<String>,
}

/// A redirect URI of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RedirectUri {
    /// `strict` or `regex`.
    pub(super) matching_mode: String,
    pub(super) url: String,
    /// `authorization` or `logout`; from 2026.5 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) redirect_uri_type: Option<String>,
}

/// An application (`/core/applications/`).
#[derive(Clone, Deserialize)]
pub(super) struct Application {
    pub(super) pk: String,
    pub(super) name: String,
    pub(super) slug: String,
    #[serde(default)]
    pub(super) provider: Option<i64>,
    #[serde(default)]
    pub(super) meta_launch_url: Option<String>,
    #[serde(default)]
    pub(super) meta_icon: Option<String>,
    #[serde(default)]
    pub(super) meta_description: Option<String>,
}
