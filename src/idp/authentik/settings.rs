//! What an OIDCProvider says for all of its clients.

use crate::domain::authentik::{EmailVerified, IssuerMode, SubMode};

/// What all clients of a provider share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What browsers reach (`spec.authentik.publicURL`).
    pub public_url: String,
    /// Slug of the flow that asks users to log in and to agree.
    pub authorization_flow: String,
    /// Slug of the flow that logs users out.
    pub invalidation_flow: String,
    /// Name of the key pair that signs tokens.
    pub signing_key: String,
    /// What `sub` is.
    pub sub_mode: SubMode,
    /// What `iss` is.
    pub issuer_mode: IssuerMode,
    /// What `email_verified` is.
    pub email_verified: EmailVerified,
}
