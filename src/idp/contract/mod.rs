//! What every driver must do: one suite, run against the one in memory and against every real provider.
//!
//! A case is a function that tells what went wrong instead of panicking, so that it can run anywhere: `cargo test`,
//! e2e, or by hand against a server. Each works on clients of its own, cleans up, and leaves other clients alone.

mod fixture;
mod named;
mod registered;
mod subject;
mod variants;

use futures::future::BoxFuture;

pub use self::{fixture::Fixture, named::CASES, subject::Subject};
use super::Driver;

/// What came of each case, by name.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of [`CASES`].
    pub outcomes: Vec<(&'static str, Result<(), String>)>,
}

impl Report {
    /// Those that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.outcomes
            .iter()
            .filter_map(|(name, outcome)| Some((*name, outcome.as_ref().err()?.as_str())))
    }
}

/// One case; the name is also part of its client's ID.
pub type Case = (&'static str, for<'a> fn(&'a Subject<'a>) -> BoxFuture<'a, Outcome>);

type Outcome = Result<(), String>;

/// How many cases there are for this driver.
pub fn cases_of(driver: &dyn Driver) -> usize {
    if driver.model().registers() {
        registered::CASES.len()
    } else {
        CASES.len()
    }
}

/// Runs all cases, one after the other: those of drivers whose server names the clients, or those of all others.
pub async fn run(driver: &dyn Driver, fixture: &Fixture) -> Report {
    let mut report = Report::default();
    if driver.model().registers() {
        for (name, case) in registered::CASES {
            let outcome = case(&Subject { driver, fixture, name }).await;
            report.outcomes.push((name, outcome));
        }
        return report;
    }
    for (name, case) in CASES {
        let subject = Subject { driver, fixture, name };
        // What an interrupted run left behind.
        let ready = subject.clean().await;
        let outcome = match ready {
            Ok(()) => case(&subject).await,
            Err(why) => Err(why),
        };
        report.outcomes.push((name, outcome.and(subject.clean().await)));
    }
    report
}
