//! The operator at work, as its users see it: on a real API server with a real Dex.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod certificates;
mod change;
mod client_ids;
mod decode;
mod ends;
mod existing;
mod grants;
mod held;
mod issuer;
mod mend;
mod names;
mod process;
mod quiet;
mod reach;
mod references;
mod restarts;
mod retain;
mod rotation;
mod secrecy;
mod specs;
mod timeout;
mod verify;
mod way;
