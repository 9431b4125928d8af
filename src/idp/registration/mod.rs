//! `type: DynamicRegistration`: any issuer with dynamic client registration (RFC 7591; OpenID Connect Dynamic Client Registration
//! 1.0), and where it has that, its management (RFC 7592).
//!
//! The server names the client and makes its secret, and it tells both once. What it answered is kept by the controller in a record
//! ([`crate::domain::Registration`]); this driver keeps nothing.
//!
//! - `metadata.rs`: a client as this protocol writes it, and as the server registered it. Pure.
//! - `model.rs`: what such a server can do. Pure.
//! - `errors.rs`: what a refusal means. Pure.
//! - `driver.rs`: the requests.

mod driver;
mod errors;
mod metadata;
mod model;

pub use driver::{RegistrationConfig, RegistrationDriver};
pub use model::RegistrationModel;
