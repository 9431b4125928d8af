//! What applications find, to the letter: a golden file for each format, and the language of templates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub,
    reason = "helpers of tests"
)]

mod formats;
mod material;
mod templates;
