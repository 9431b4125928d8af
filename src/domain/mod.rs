//! What a client is: the vocabulary that every other room speaks.
//!
//! Nothing here knows Kubernetes' client or HTTP (a test in `tests/layers.rs` says so): values, names, marks and the
//! contract between `plan` and the identity-provider drivers.

pub mod authentik;
pub mod certificate;
pub mod client;
pub mod digest;
pub mod discovery;
pub mod duration;
pub mod error;
pub mod facts;
pub mod key;
pub mod mark;
pub mod model;
pub mod names;
pub mod pem;
pub mod registration;
pub mod secret;
pub mod vocabulary;

pub use client::{
    Claim, ClaimSource, ClaimToken, ClientType, DesiredClient, Fields, GrantType, Logout, LogoutChannel,
    ObservedClient, ObservedSecret, Pkce, PreviousSecret, SignatureAlgorithm, TokenEndpointAuthMethod, TokenLifetimes,
    Validity,
};
pub use discovery::IssuerError;
pub use error::{ErrorClass, IdpError, IdpErrorKind};
pub use facts::{Discovery, Endpoints, JsonWebKeySummary, ProviderFacts};
pub use key::{PrivateKey, PublicKey};
pub use mark::{Mark, MarkUid, OwnerId, Ownership};
pub use model::{Assessment, Capabilities, Effect, Enforcement, Model, Proof, RemoteDiff, Support, Unsupported};
pub use names::ResourceName;
pub use pem::CaBundle;
pub use registration::{Management, Registered, Registration};
pub use secret::{ClientSecret, SecretKind};
