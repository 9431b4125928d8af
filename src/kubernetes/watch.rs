//! Watches that mend themselves.
//!
//! kube's watcher resumes by itself after most failures. What it lacks (docs/decisions/0003): a pause between failing tries
//! (P9), a list anew where the server answers 410 to the *start* of a watch (P8), and an end to a list or a start that gets
//! no answer at all (P3).

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Resource,
    runtime::watcher::{self, DefaultBackoff, Event, watcher},
};
use serde::de::DeserializeOwned;

use crate::telemetry::{health::Health, metrics::Metrics};

/// Between two pieces of a list.
const LIST_DEADLINE: Duration = Duration::from_secs(60);

/// Longer than any healthy watch is silent: kube itself ends one after 295 s without a word.
const WATCH_DEADLINE: Duration = Duration::from_secs(360);

/// Objects a page of a list, so that a relist never holds all of them twice.
const PAGE: u32 = 100;

/// What `kubectl apply` leaves on an object: as large as the object, and of no use here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Drops what is never looked at before it gets into a store: two thirds of an object's memory.
pub fn prune_metadata<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
    }
}

/// Watches for ever. Errors are counted and mended here and never reach the caller; `name` names the watch in metrics,
/// health and log.
pub fn watch<K>(
    name: &'static str,
    api: Api<K>,
    config: watcher::Config,
    prune: fn(&mut K),
    metrics: Metrics,
    health: Health,
) -> impl Stream<Item = Event<K>> + Send + use<K>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let config = config.page_size(PAGE);
    mended(name, move || watcher(api.clone(), config.clone()), metrics, health).map(move |event| event.modify(prune))
}

type Running<K> = Pin<Box<dyn Stream<Item = Result<Event<K>, watcher::Error>> + Send>>;

struct Mended<F, K> {
    make: F,
    running: Option<Running<K>>,
    listing: bool,
    backoff: DefaultBackoff,
}

/// Takes the place of what `make` gives whenever that is beyond repair.
fn mended<K, S>(
    name: &'static str,
    make: impl Fn() -> S + Send + 'static,
    metrics: Metrics,
    health: Health,
) -> impl Stream<Item = Event<K>> + Send
where
    K: Send + 'static,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    health.started(name);
    let state = Mended {
        make,
        running: None,
        listing: true,
        backoff: DefaultBackoff::default(),
    };
    futures::stream::unfold(
        (state, metrics, health),
        move |(mut state, metrics, health)| async move {
            loop {
                let running = state.running.get_or_insert_with(|| Box::pin((state.make)()));
                let deadline = if state.listing { LIST_DEADLINE } else { WATCH_DEADLINE };
                let begin_anew = match tokio::time::timeout(deadline, running.next()).await {
                    Ok(Some(Ok(event))) => {
                        match &event {
                            Event::Init => state.listing = true,
                            // A list that gets nowhere is not well yet.
                            Event::InitApply(_) => {}
                            Event::InitDone => {
                                state.listing = false;
                                health.listed(name);
                            }
                            Event::Apply(_) | Event::Delete(_) => health.works(name),
                        }
                        return Some((event, (state, metrics, health)));
                    }
                    Ok(Some(Err(error))) => {
                        tracing::warn!(watch = name, error = %crate::domain::error::bounded(&error.to_string()), "watch failed");
                        refused_as_gone(&error)
                    }
                    Ok(None) => true,
                    Err(_) => {
                        tracing::warn!(watch = name, seconds = deadline.as_secs(), "watch got no answer");
                        metrics.deadline("watch");
                        true
                    }
                };
                metrics.watch_error(name);
                health.failed(name);
                if begin_anew {
                    metrics.watch_rebuild(name);
                    (state.running, state.listing) = (None, true);
                }
                // Endless: kube's own default has no last try.
                tokio::time::sleep(state.backoff.next().unwrap_or(LIST_DEADLINE)).await;
            }
        },
    )
}

/// 410 as the answer to the start of a watch: kube's watcher would ask for the same version for ever (P8).
fn refused_as_gone(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchStartFailed(kube::Error::Api(status)) if status.code == 410)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::core::Status;
    use tokio::time::Instant;

    use super::{
        super::testing::{listed, map},
        *,
    };

    fn start_failed(code: u16) -> watcher::Error {
        watcher::Error::WatchStartFailed(kube::Error::Api(Status::failure("", "").with_code(code).boxed()))
    }

    type Script = Vec<Result<Event<ConfigMap>, watcher::Error>>;

    /// Plays one script after the other, each time the watch is begun; the last one stays silent at its end.
    fn play(
        scripts: Vec<Script>,
    ) -> (
        impl Stream<Item = Event<ConfigMap>> + Send,
        Arc<AtomicUsize>,
        Metrics,
        Health,
    ) {
        let begun = Arc::new(AtomicUsize::new(0));
        let (metrics, health) = (Metrics::new(), Health::new());
        let scripts = Mutex::new(scripts.into_iter());
        let counter = begun.clone();
        let make = move || {
            counter.fetch_add(1, Ordering::SeqCst);
            let script = scripts.lock().unwrap().next().unwrap_or_default();
            stream::iter(script).chain(stream::pending())
        };
        (
            mended("maps", make, metrics.clone(), health.clone()),
            begun,
            metrics,
            health,
        )
    }

    async fn take(events: &mut (impl Stream<Item = Event<ConfigMap>> + Unpin), count: usize) -> Vec<String> {
        let taken: Vec<_> = events.take(count).collect().await;
        taken.iter().map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn gone_at_the_start_of_a_watch_lists_anew() {
        // P8: what kube's watcher would answer for ever.
        let first = vec![
            Ok(Event::Init),
            Ok(Event::InitDone),
            Err(start_failed(410)),
            Err(start_failed(410)),
        ];
        let second = listed(&["a"]).into_iter().map(Ok).collect();
        let (events, begun, metrics, health) = play(vec![first, second]);
        let mut events = Box::pin(events);
        assert_eq!(
            take(&mut events, 5).await,
            ["Init", "InitDone", "Init", "InitApply(a)", "InitDone"]
        );
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        assert!(
            metrics
                .text()
                .contains(r#"oidc_operator_watch_rebuilds_total{watch="maps"} 1"#)
        );
        assert!(health.unready().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn other_failures_are_resumed_with_growing_pauses() {
        // P9: a refused watch must not spin.
        let mut script: Script = vec![Ok(Event::Init), Ok(Event::InitDone)];
        script.extend((0..6).map(|_| Err(start_failed(503))));
        script.push(Ok(Event::Apply(map("a", 1))));
        let (events, begun, metrics, _) = play(vec![script]);
        let mut events = Box::pin(events);
        take(&mut events, 2).await;
        let start = Instant::now();
        assert_eq!(take(&mut events, 1).await, ["Apply(a)"]);
        // 0.8 s doubled five times, and jitter.
        assert!(start.elapsed() > Duration::from_secs(30), "{:?}", start.elapsed());
        assert_eq!(begun.load(Ordering::SeqCst), 1, "resumed, not listed anew");
        assert!(
            metrics
                .text()
                .contains(r#"oidc_operator_watch_errors_total{watch="maps"} 6"#)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_without_answer_is_begun_anew() {
        let hanging = vec![Ok(Event::Init)];
        let working = listed(&[]).into_iter().map(Ok).collect();
        let (events, begun, metrics, health) = play(vec![hanging, working]);
        let mut events = Box::pin(events);
        assert_eq!(take(&mut events, 1).await, ["Init"]);
        assert!(!health.unready().is_empty());
        assert_eq!(take(&mut events, 2).await, ["Init", "InitDone"]);
        assert_eq!(begun.load(Ordering::SeqCst), 2);
        assert!(
            metrics
                .text()
                .contains(r#"oidc_operator_deadlines_total{what="watch"} 1"#)
        );
    }

    #[test]
    fn stores_hold_no_managed_fields() {
        let mut object = map("a", 1);
        object.metadata.managed_fields = Some(vec![Default::default()]);
        object.metadata.annotations = Some(
            [
                (LAST_APPLIED.to_owned(), "{}".to_owned()),
                ("kept".to_owned(), String::new()),
            ]
            .into(),
        );
        prune_metadata(&mut object);
        assert_eq!(object.metadata.managed_fields, None);
        assert_eq!(object.metadata.annotations.unwrap().len(), 1);
    }
}
