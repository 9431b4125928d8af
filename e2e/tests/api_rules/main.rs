//! What a real API server makes of the CRDs: every CEL rule and every limit both ways, defaults, and what users see.
//!
//! The tables are `provider.rs`, `client.rs` (CEL rules) and `limits.rs` (the schema's own limits). A rule or limit without
//! a case that passes and one that fails makes a test fail, so none comes in untested.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod client;
mod dex_config;
mod limits;
mod objects;
mod provider;
mod server;
mod table;

use oidc_operator::api::rules::{CLIENT_RULES, PROVIDER_RULES};
use oidc_operator_e2e::case;

use crate::{server::Server, table::Kind};

#[tokio::test]
async fn every_rule_of_oidcprovider_works_both_ways() {
    case::run(async {
        table::check(
            &Server::new().await?,
            Kind::Provider,
            &PROVIDER_RULES.concat(),
            &provider::rows(),
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn every_rule_of_oidcclient_works_both_ways() {
    case::run(async {
        table::check(
            &Server::new().await?,
            Kind::Client,
            &CLIENT_RULES.concat(),
            &client::rows(),
        )
        .await
    })
    .await;
}
