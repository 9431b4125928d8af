//! Is the operator alive, and does it see what happens in the cluster?

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A watch that fails for this long makes the operator unready.
const FAILING_FOR: Duration = Duration::from_secs(60);

/// A watch tries again at least this often (its longest backoff is 30 s, plus jitter): no error for this long means that it
/// works, even where nothing happens that could be seen.
const QUIET: Duration = Duration::from_secs(90);

/// The health of the watches. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Health {
    watches: Arc<Mutex<BTreeMap<&'static str, Watch>>>,
}

#[derive(Debug, Default)]
struct Watch {
    listed: bool,
    failing_since: Option<Instant>,
    last_failure: Option<Instant>,
}

impl Health {
    /// Nothing is watched yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn update(&self, name: &'static str, change: impl FnOnce(&mut Watch)) {
        change(
            self.watches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .entry(name)
                .or_default(),
        );
    }

    /// A watch begins.
    pub fn started(&self, name: &'static str) {
        self.update(name, |_| {});
    }

    /// All that existed was listed.
    pub fn listed(&self, name: &'static str) {
        self.update(name, |watch| {
            *watch = Watch {
                listed: true,
                ..Watch::default()
            }
        });
    }

    /// Something was seen.
    pub fn works(&self, name: &'static str) {
        self.update(name, |watch| (watch.failing_since, watch.last_failure) = (None, None));
    }

    /// A try failed.
    pub fn failed(&self, name: &'static str) {
        let now = Instant::now();
        self.update(name, |watch| {
            if watch.last_failure.is_none_or(|last| now.duration_since(last) > QUIET) {
                watch.failing_since = Some(now);
            }
            watch.last_failure = Some(now);
        });
    }

    /// What stands in the way of working, for people; empty: ready.
    pub fn unready(&self) -> Vec<String> {
        let now = Instant::now();
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        if watches.is_empty() {
            return vec!["starting: nothing is watched yet".to_owned()];
        }
        watches
            .iter()
            .filter_map(|(name, watch)| watch.problem(now).map(|what| format!("{name}: {what}")))
            .collect()
    }
}

impl Watch {
    fn problem(&self, now: Instant) -> Option<String> {
        let failing = self
            .failing_since
            .filter(|_| self.last_failure.is_some_and(|last| now.duration_since(last) <= QUIET))
            .map(|since| now.duration_since(since));
        match failing {
            Some(time) if !self.listed || time > FAILING_FOR => Some(format!(
                "the watch has been failing for {} s; see the log",
                time.as_secs()
            )),
            _ if !self.listed => Some("not listed yet".to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ready_once_everything_was_listed() {
        let health = Health::new();
        assert_eq!(health.unready().len(), 1);
        health.started("a");
        health.started("b");
        health.listed("a");
        assert_eq!(health.unready(), ["b: not listed yet"]);
        health.listed("b");
        assert!(health.unready().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_keeps_failing_makes_it_unready_until_it_works() {
        let health = Health::new();
        health.listed("a");
        for _ in 0..3 {
            health.failed("a");
            assert!(health.unready().is_empty(), "a short outage is no reason");
            advance(Duration::from_secs(30)).await;
        }
        health.failed("a");
        assert_eq!(
            health.unready(),
            ["a: the watch has been failing for 90 s; see the log"]
        );
        health.works("a");
        assert!(health.unready().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn no_error_for_long_means_that_it_works_again() {
        let health = Health::new();
        health.listed("a");
        for _ in 0..4 {
            health.failed("a");
            advance(Duration::from_secs(30)).await;
        }
        assert!(!health.unready().is_empty());
        advance(QUIET).await;
        assert!(health.unready().is_empty());
        health.failed("a");
        assert!(
            health.unready().is_empty(),
            "a new outage counts from its own beginning"
        );
    }
}
