//! Dex, by the objects of its Kubernetes storage.
//!
//! What shapes this driver, read in and measured on Dex 2.45.1:
//! - A client is one OAuth2Client object in Dex's namespace, whose name follows from its ID (`names.rs`).
//! - Dex reads the object at each request and keeps nothing of it: a patch takes effect at once. So everything changes in place,
//!   and all that changes together is one patch.
//! - A confidential client without a secret would accept an empty one: no write ever leaves one, not for an instant (`object.rs`).
//! - The API server says who changed what at once: a watch takes the place of lists (`watch.rs`).
//! - The mark is an annotation; marks are longer than labels may be. Beside it stands a label with the uid of the OIDCClient, for
//!   people.
//!
//! This is the one driver that knows Kubernetes: see docs/decisions/0015-dex-storage.md.

mod driver;
mod errors;
mod model;
mod names;
mod object;
mod watch;

pub use driver::DexStorageDriver;
pub use model::DexStorageModel;
