//! Choices of authentik that belong to a whole provider, as the spec names them and as its API does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `iss` is (authentik's `issuer_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuerMode {
    /// Every application has an issuer of its own: `{publicURL}/application/o/{slug}/`.
    #[default]
    PerProvider,
    /// All share `{publicURL}/`. Discovery by that issuer finds nothing there: applications need the endpoints one by one.
    Global,
}

impl IssuerMode {
    /// As in the spec and in authentik's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerProvider => "per_provider",
            Self::Global => "global",
        }
    }
}

/// What `sub` is (authentik's `sub_mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubMode {
    /// A hash of the user's id: never somebody else's.
    #[default]
    HashedUserId,
    /// The user's id.
    UserId,
    /// The user's UUID.
    UserUuid,
    /// The user's name, which can be given to somebody else later.
    UserUsername,
    /// The user's email address, which can be given to somebody else later.
    UserEmail,
    /// The user's principal name, where a directory gives one.
    UserUpn,
}

impl SubMode {
    /// As in the spec and in authentik's API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HashedUserId => "hashed_user_id",
            Self::UserId => "user_id",
            Self::UserUuid => "user_uuid",
            Self::UserUsername => "user_username",
            Self::UserEmail => "user_email",
            Self::UserUpn => "user_upn",
        }
    }
}

/// What tokens say of a user's email address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EmailVerified {
    /// What authentik's own mapping of the scope `email` says; since 2025.10: not verified.
    #[default]
    Default,
    /// Verified, always: for installations where only administrators set addresses.
    AlwaysTrue,
}
