//! The contract suite of drivers.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use oidc_operator::{
    domain::{Endpoints, OwnerId, ProviderFacts},
    idp::{
        Driver as _,
        contract::{self, CASES, Fixture},
    },
};

use crate::{own::Own, say};

/// Clients on a page of the driver's list.
const PAGE: usize = 100;
/// How long one request may take: the default of `adminAPI.timeout`.
const BOUND: Duration = Duration::from_secs(10);

pub(crate) async fn run(own: &Own) -> Result<()> {
    say("The contract suite of drivers");
    let good = own.driver(&own.url, &own.token, BOUND)?;
    let found = good.probe().await.context("address, token, rights, flows and key")?;
    println!(
        "authentik {}",
        found.version.as_deref().unwrap_or("of an unknown version")
    );
    println!(
        "{} cases, one after the other; one of them makes more than {PAGE} clients for a short time",
        CASES.len()
    );
    let facts = ProviderFacts {
        server_version: found.version,
        scopes: found.scopes,
        ..ProviderFacts::default()
    };
    // It accepts connections (the kernel does) and never answers.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let scheme = own.url.split("://").next().unwrap_or("https");
    let silent_url = format!("{scheme}://{}", silent.local_addr()?);
    let owner = OwnerId::new(own.run.clone()).map_err(|why| anyhow!(why))?;
    let fixture = Fixture::new(own.run.clone(), Some(Endpoints::default()))
        .with_owner(owner)
        .with_page(PAGE)
        .with_facts(facts)
        .with_plain_basic()
        .with_stranger(Box::new(own.driver(&own.url, "not-a-token-of-anybody", BOUND)?))
        .with_silent(Box::new(own.driver(
            &silent_url,
            &own.token,
            Duration::from_millis(300),
        )?));
    let start = Instant::now();
    let report = contract::run(&good, &fixture).await;
    for (name, outcome) in &report.outcomes {
        match outcome {
            Ok(()) => println!("  ok      {name}"),
            Err(why) => println!("  FAILED  {name}: {why}"),
        }
    }
    let failed = report.failures().count();
    println!(
        "{} held, {failed} failed, in {:.0} s",
        report.outcomes.len() - failed,
        start.elapsed().as_secs_f64()
    );
    ensure!(failed == 0, "{failed} cases of the contract suite failed");
    Ok(())
}
