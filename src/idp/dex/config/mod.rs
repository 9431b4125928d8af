//! Dex by its configuration file: clients of ours beside the platform's in `staticClients`, their secrets by environment variable
//! (`secretEnv`), and a roll-out of the workload whenever they change (docs/decisions/0016-dex-by-its-configuration.md).
//!
//! What shapes it, read in and measured on Dex 2.45.1 (`cmd/dex/serve.go`, `server/handlers.go`):
//! - The file is read at the start only.
//! - A variable of `secretEnv` that is not set is an empty secret, which Dex accepts then.
//! - A static client needs a name; one of the same ID in the storage is hidden.
//!
//! By file: `document.rs`, `splice.rs`, `entry.rs`, `yaml.rs` make the file; `change.rs` applies changes to the clients in it; `seen.rs`
//! is one look at everything; `setup.rs` and `roll.rs` say what to do next; `rollout.rs` and `effects.rs` judge what became of it;
//! `known.rs` tells what others did from what the operator did. All of these are pure. `driver.rs` and `issuer.rs` do the IO, on an
//! `installation.rs` that somebody who knows Kubernetes gives.

mod change;
mod document;
mod driver;
mod effects;
mod entry;
mod installation;
mod issuer;
mod known;
mod model;
mod roll;
mod rollout;
mod seen;
mod setup;
#[cfg(test)]
mod simulation;
mod splice;
mod yaml;

pub use driver::{DexConfigDriver, Listener, Notice};
pub use entry::{VARIABLE_PREFIX, variable};
pub use installation::{
    Installation, Keys, KeysChange, Names, Part, Progress, Sighting, Stored, Target, TargetDraft, TemplateDraft, Text,
    Version, Workload,
};
pub use issuer::ConfigIssuer;
pub use model::DexConfigModel;
