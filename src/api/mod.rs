//! The two custom resources, `OIDCProvider` and `OIDCClient`: their types, defaults, and every rule that can be
//! checked on the object alone (CEL, in the generated CRDs under `crds/`).

pub mod client;
pub mod common;
pub mod crd;
pub mod dex_config;
pub mod provider;
pub mod reason;
pub mod rules;

pub use client::{OIDCClient, OIDCClientSpec, OIDCClientStatus};
pub use common::Condition;
pub use provider::{OIDCProvider, OIDCProviderSpec, OIDCProviderStatus};
pub use reason::Reason;
