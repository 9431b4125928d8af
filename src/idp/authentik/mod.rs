//! Authentik, by its REST API (`/api/v3/`).
//!
//! A client is an OAuth2 provider, which carries the mark in its name, with an application, which gives it an issuer, and scope
//! mappings, one a claim of the spec.
//!
//! ```text
//! driver (requests) -> api (one answer) -> errors
//!        |-> fields (normal form and bodies) -> claims (expressions), wire (JSON)
//! model (what it can do) -> fields
//! ```

mod api;
mod claims;
mod driver;
mod errors;
mod fields;
mod lookups;
mod model;
mod settings;
mod wire;

pub use driver::{AuthentikConfig, AuthentikDriver};
pub use fields::slug;
pub use model::AuthentikModel;
pub use settings::Settings;
