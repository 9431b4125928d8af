//! The operator at work, as its users see it: on a real API server with a real Dex.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod held;
mod reach;
mod references;
mod way;
