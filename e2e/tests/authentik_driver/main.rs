//! Authentik's driver against the stand-in: a test by name for each thing that was measured on running servers and nobody
//! expected (the numbers are those of `authentik_replay/surprises.rs`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod clients;
mod reading;
mod rights;
mod room;
mod writes;
