//! The pure core, tested by the hundred: plans as diffs, crashes at every step, and what must hold after any history.
//!
//! ```text
//! world      what the API server holds of the client, its namespace and its provider
//! cluster    a model of Secrets and ConfigMaps      simulator  the controller's loop over both, and a provider
//! scenarios  the situations                         plans, crashes, properties  what is asked of each of them
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "helpers of tests"
)]

mod cluster;
mod end_state;
mod scenarios;
mod simulator;
mod world;

mod checks;
mod conditions;
mod crashes;
mod deletion;
mod effect;
mod keys;
mod plans;
mod properties;
mod provider_status;
mod registration;
mod restarts;
mod retry;
mod secrecy;
mod troubles;
