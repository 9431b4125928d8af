//! `type: Static`: an issuer whose clients somebody makes by hand (Entra ID, Okta, Google, ...).
//!
//! There is no admin API: nothing is read, made, changed or deleted there. Client ID and secret come in with the OIDCClient; what
//! is left to do is to write outputs, and to try the credentials ([`ByHandDriver`] has the proof, [`ByHandModel`] the rest).

mod driver;
mod model;

pub use driver::ByHandDriver;
pub use model::ByHandModel;
