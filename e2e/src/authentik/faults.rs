//! What a test can break.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What becomes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status with an empty body, and perhaps `Retry-After` in seconds.
    Status(u16, Option<u64>),
    /// `405` with an empty HTML body: how a real server says that a write has failed on its side.
    Empty405,
    /// `502` of the router: the worker went away before it had read the request, or after its effect before it answered.
    BadGateway,
    /// The connection is reset.
    Reset,
    /// No answer ever comes.
    Hang,
    /// `200` with this body, as JSON.
    Body(String),
}

/// Which requests have a fault, and whether they take effect all the same.
#[derive(Debug, Clone)]
pub struct Rule {
    method: Option<String>,
    only_writes: bool,
    prefix: String,
    fault: Fault,
    takes_effect: bool,
    skipped: usize,
    left: Option<usize>,
}

impl Rule {
    /// Every request to a path that begins so; none takes effect.
    pub fn new(prefix: &str, fault: Fault) -> Self {
        Self {
            method: None,
            only_writes: false,
            prefix: prefix.to_owned(),
            fault,
            takes_effect: false,
            skipped: 0,
            left: None,
        }
    }

    /// Only requests with this method.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests that change something.
    #[must_use]
    pub fn writes(mut self) -> Self {
        self.only_writes = true;
        self
    }

    /// Not the next `times` such requests, but those after them.
    #[must_use]
    pub fn skip(mut self, times: usize) -> Self {
        self.skipped = times;
        self
    }

    /// Only the next `times` such requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    /// The request is done; only its answer has the fault.
    #[must_use]
    pub fn after_effect(mut self) -> Self {
        self.takes_effect = true;
        self
    }
}

#[derive(Default)]
pub(super) struct Faults(Mutex<Switches>);

#[derive(Default)]
struct Switches {
    rules: Vec<Rule>,
    latencies: BTreeMap<String, Duration>,
    database_down: bool,
    starting: bool,
    race_window: Duration,
}

impl Faults {
    fn switches(&self) -> MutexGuard<'_, Switches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, rule: Rule) {
        self.switches().rules.push(rule);
    }

    pub(super) fn clear(&self) {
        *self.switches() = Switches::default();
    }

    pub(super) fn set_latency(&self, prefix: &str, time: Duration) {
        self.switches().latencies.insert(prefix.to_owned(), time);
    }

    pub(super) fn set_database_down(&self, down: bool) {
        self.switches().database_down = down;
    }

    pub(super) fn set_starting(&self, starting: bool) {
        self.switches().starting = starting;
    }

    pub(super) fn set_race_window(&self, time: Duration) {
        self.switches().race_window = time;
    }

    pub(super) fn database_down(&self) -> bool {
        self.switches().database_down
    }

    pub(super) fn starting(&self) -> bool {
        self.switches().starting
    }

    /// The time between the check that a name is free and the write.
    pub(super) async fn wait_for_rivals(&self) {
        let window = self.switches().race_window;
        if !window.is_zero() {
            tokio::time::sleep(window).await;
        }
    }

    pub(super) fn latency(&self, path: &str) -> Duration {
        let switches = self.switches();
        let hits = switches
            .latencies
            .iter()
            .filter(|(prefix, _)| path.starts_with(prefix.as_str()));
        hits.map(|(_, time)| *time).sum()
    }

    /// The fault of the first rule that hits, and whether the request takes effect first.
    pub(super) fn hit(&self, method: &str, path: &str) -> Option<(Fault, bool)> {
        let mut switches = self.switches();
        let rule = switches.rules.iter_mut().find(|rule| {
            path.starts_with(&rule.prefix)
                && rule.method.as_deref().is_none_or(|wanted| wanted == method)
                && (!rule.only_writes || !matches!(method, "GET" | "HEAD" | "OPTIONS"))
                && rule.left != Some(0)
        })?;
        if let Some(skipped) = rule.skipped.checked_sub(1) {
            rule.skipped = skipped;
            return None;
        }
        if let Some(left) = &mut rule.left {
            *left -= 1;
        }
        Some((rule.fault.clone(), rule.takes_effect))
    }
}
