//! The contract suite of drivers, against real identity providers: what keeps the one in memory honest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod authentik;
mod by_hand;
mod dex;
mod dex_config;
mod dex_storage;
mod keycloak;
mod registration;

use std::net::TcpListener;

use oidc_operator::idp::{
    Driver,
    contract::{self, Fixture},
};

/// Runs all cases; none may fail.
async fn run(driver: &dyn Driver, fixture: &Fixture) {
    let report = contract::run(driver, fixture).await;
    assert_eq!(report.outcomes.len(), contract::cases_of(driver));
    let failures: Vec<_> = report.failures().collect();
    assert_eq!(failures, []);
}

/// A server that accepts connections (the kernel does) and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}
