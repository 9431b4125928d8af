//! The operator at work, as its users see it: on a real API server with a real Dex.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod client_ids;
mod grants;
mod held;
mod names;
mod reach;
mod references;
mod specs;
mod way;
