//! The operator at work on the objects of Dex's Kubernetes storage, as its users see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod drift;
mod held;
mod ownership;
mod rights;
mod way;
