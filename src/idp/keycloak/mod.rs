//! Keycloak, by its admin REST API (`/admin/realms/{realm}`): clients are looked up by client ID, changed by their UUID.
//!
//! - One request creates a client with all that belongs to it, under a UUID that is made from the ownership mark: a lost
//!   reply is recognised by it. What is there changes by one request a part: the representation, each scope, each claim.
//! - A PUT merges: what is absent stays. Only fields that the operator manages are sent, and nothing is sent back that was
//!   read, but for `authorizationServicesEnabled`: a PUT without it deletes the client's authorization settings.
//! - Lists show everything, secrets too, so that drift is found page by page.

mod driver;
mod errors;
mod key_authentication;
mod mappers;
mod model;
mod representation;
mod token;

pub use driver::{KeycloakConfig, KeycloakDriver};
pub use model::KeycloakModel;
pub use token::AdminCredentials;
