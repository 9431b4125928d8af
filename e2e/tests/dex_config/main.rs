//! What users see with a Dex that is managed by its configuration file: the operator's binary, a real API server with the controllers
//! that make Pods, and a process of Dex that starts anew with each roll-out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod logins;
mod many;
mod platform;
mod rights;
mod secrets;
mod site;
mod way;
