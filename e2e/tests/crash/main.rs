//! Crash anywhere: for every scenario and every step k, the operator dies before or after step k, loses its status or not,
//! starts anew, and finds the same end state on a real API server, and at a real Dex or Keycloak, or authentik's
//! stand-in.
//!
//! The operator runs in this process, one pass at a time, behind a gate that ends a pass like a crash would: nothing that was
//! in memory is used again, and status is not written. `process.rs` does the same, less finely, with SIGKILL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod authentik;
mod authority;
mod dex;
mod dex_config;
mod dex_storage;
mod keycloak;
mod loops;
mod operator;
mod process;
mod registration;
mod requests;
mod server;
mod stage;
mod state;
