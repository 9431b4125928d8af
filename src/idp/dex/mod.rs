//! Dex, through its gRPC API (2.38 and newer; lists of clients since 2.44), or through the objects of its Kubernetes storage
//! (`storage/`).
//!
//! What shapes the driver of the gRPC API, read in and measured on Dex 2.45.1:
//! - `UpdateClient` cannot change the secret nor `public`, and takes an empty value for "leave": what it cannot do is a
//!   re-creation ([`DexModel`] says so in its diff).
//! - The ownership mark is an entry of `trusted_peers`: kept by every call, shown by Get and List, granting nothing,
//!   because no client has such an ID.
//! - Failures come as code UNKNOWN and a text (`errors.rs`).
//! - Grants, scopes and algorithms are set for all clients together, in Dex's configuration file.

pub mod config;
mod driver;
mod errors;
mod handshake;
mod model;
mod proto;
mod storage;

pub use driver::{AdminTls, DexDriver};
pub use model::DexModel;
pub use storage::{DexStorageDriver, DexStorageModel};
