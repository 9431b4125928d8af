//! Watches that mend themselves.
//!
//! kube's watcher resumes by itself after most failures. What it lacks (docs/decisions/0003): a pause between failing tries
//! (P9), a list anew where the server answers 410 to the *start* of a watch (P8), and an end to a list or a start that gets
//! no answer at all (P3).

use std::{pin::Pin, time::Duration};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, Resource,
    runtime::watcher::{self, DefaultBackoff, Event, watcher},
};
use serde::de::DeserializeOwned;

use super::client::KubeError;
use crate::{
    domain::error::bounded,
    telemetry::{health::Health, metrics::Metrics},
};

/// Between two pieces of a list.
const LIST_DEADLINE: Duration = Duration::from_secs(60);

/// Until the API server begins to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(60);

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

/// The same client, for watches: a request that is not answered within a minute fails (P3).
///
/// Between two pieces of a watch there is no deadline. A quiet one would be taken for a dead one: kube keeps the bookmarks of the API
/// server to itself. It looks after the silence of a connection too, and begins the watch anew after 295 s of it.
pub fn answering(kube: &Client) -> Client {
    let inner = kube.clone();
    let service = tower::service_fn(move |request| {
        let inner = inner.clone();
        async move {
            let answer = tokio::time::timeout(ANSWER_DEADLINE, inner.send(request)).await;
            answer.unwrap_or_else(|_| {
                let silence = format!("no answer within {} s", ANSWER_DEADLINE.as_secs());
                Err(kube::Error::Service(silence.into()))
            })
        }
    });
    Client::new(service, kube.default_namespace())
}

/// Watches for ever, by a client that is [`answering`]. Errors are counted and mended here and never reach the caller; `name` names the watch in metrics,
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
    let make = move || watcher(api.clone(), config.clone());
    healthy(name, mended(name, make, refused_as_gone, metrics), health).map(move |event| event.modify(prune))
}

/// Why a watch fails. It is mended all the same.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What the watcher, or the API server, says.
    #[error("{0}")]
    Told(#[from] watcher::Error),
    /// A list gets nowhere within this time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It ended without a word.
    #[error("it ended")]
    Ended,
}

/// Watches for ever, too, by a client that is [`answering`], and tells of each failure before it is mended: for a watch whose state is somebody else's business
/// than the operator's own health. After a failure all is listed anew, so that the end of a list says that it works again.
pub fn watch_and_tell<K>(
    name: &'static str,
    api: Api<K>,
    config: watcher::Config,
    prune: fn(&mut K),
    metrics: Metrics,
) -> impl Stream<Item = Result<Event<K>, Failure>> + Send + use<K>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    let config = config.page_size(PAGE);
    let make = move || watcher(api.clone(), config.clone());
    mended(name, make, |_| true, metrics).map(move |told| told.map(|event| event.modify(prune)))
}

impl Failure {
    /// The same as the failure of a call.
    pub fn as_call(&self, operation: &'static str) -> KubeError {
        match self {
            Self::Told(
                watcher::Error::InitialListFailed(error)
                | watcher::Error::WatchStartFailed(error)
                | watcher::Error::WatchFailed(error),
            ) => KubeError::new(operation, error),
            Self::Told(watcher::Error::WatchError(status)) => KubeError::answered(operation, status),
            Self::Told(watcher::Error::NoResourceVersion) | Self::Silent(_) | Self::Ended => KubeError::Failed {
                operation,
                message: self.to_string(),
            },
        }
    }
}

type Running<K> = Pin<Box<dyn Stream<Item = Result<Event<K>, watcher::Error>> + Send>>;

struct Mended<F, K> {
    make: F,
    running: Option<Running<K>>,
    listing: bool,
    /// How long to wait before the next try.
    pause: Option<Duration>,
    backoff: DefaultBackoff,
}

/// Events for the operator itself: failures count in its health.
fn healthy<K: Send + 'static>(
    name: &'static str,
    told: impl Stream<Item = Result<Event<K>, Failure>> + Send,
    health: Health,
) -> impl Stream<Item = Event<K>> + Send {
    health.started(name);
    told.filter_map(move |told| {
        match &told {
            // A list that gets nowhere is not well yet.
            Ok(Event::Init | Event::InitApply(_)) => {}
            Ok(Event::InitDone) => health.listed(name),
            Ok(Event::Apply(_) | Event::Delete(_)) => health.works(name),
            Err(_) => health.failed(name),
        }
        std::future::ready(told.ok())
    })
}

/// Takes the place of what `make` gives whenever that is beyond repair, or where `anew` says so.
fn mended<K, S>(
    name: &'static str,
    make: impl Fn() -> S + Send + 'static,
    anew: fn(&watcher::Error) -> bool,
    metrics: Metrics,
) -> impl Stream<Item = Result<Event<K>, Failure>> + Send
where
    K: Send + 'static,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    let state = Mended {
        make,
        running: None,
        listing: true,
        pause: None,
        backoff: DefaultBackoff::default(),
    };
    futures::stream::unfold((state, metrics), move |(mut state, metrics)| async move {
        if let Some(pause) = state.pause.take() {
            tokio::time::sleep(pause).await;
        }
        let running = state.running.get_or_insert_with(|| Box::pin((state.make)()));
        let next = running.next();
        let next = if state.listing {
            tokio::time::timeout(LIST_DEADLINE, next).await
        } else {
            Ok(next.await)
        };
        let (failure, begin_anew) = match next {
            Ok(Some(Ok(event))) => {
                match &event {
                    Event::Init => state.listing = true,
                    Event::InitDone => state.listing = false,
                    Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
                }
                return Some((Ok(event), (state, metrics)));
            }
            Ok(Some(Err(error))) => {
                let begin_anew = anew(&error);
                (Failure::Told(error), begin_anew)
            }
            Ok(None) => (Failure::Ended, true),
            Err(_) => {
                metrics.deadline("watch");
                (Failure::Silent(LIST_DEADLINE), true)
            }
        };
        tracing::warn!(watch = name, error = %bounded(&failure.to_string()), "watch failed");
        metrics.watch_error(name);
        if begin_anew {
            metrics.watch_rebuild(name);
            (state.running, state.listing) = (None, true);
        }
        // Endless: kube's own default has no last try.
        state.pause = Some(state.backoff.next().unwrap_or(LIST_DEADLINE));
        Some((Err(failure), (state, metrics)))
    })
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
            healthy(
                "maps",
                mended("maps", make, refused_as_gone, metrics.clone()),
                health.clone(),
            ),
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

    #[tokio::test(start_paused = true)]
    async fn who_asks_is_told_of_a_failure_at_once_and_then_sees_all_anew() {
        let scripts: Vec<Script> = vec![
            vec![Ok(Event::Init), Ok(Event::InitDone), Err(start_failed(503))],
            listed(&["a"]).into_iter().map(Ok).collect(),
        ];
        let scripts = Mutex::new(scripts.into_iter());
        let make = move || {
            let script = scripts.lock().unwrap().next().unwrap_or_default();
            stream::iter(script).chain(stream::pending())
        };
        let mut told = Box::pin(mended("maps", make, |_| true, Metrics::new()));
        let start = Instant::now();
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(told.next().await.unwrap().map(|event| event.to_string()).is_ok());
        }
        assert_eq!((seen, start.elapsed()), (vec![true, true, false], Duration::ZERO));
        let anew = told.next().await.unwrap().unwrap().to_string();
        assert_eq!(anew, "Init");
        assert!(start.elapsed() > Duration::from_millis(500), "after a pause");
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_watch_is_not_taken_for_a_dead_one() {
        let (events, begun, metrics, health) = play(vec![listed(&["a"]).into_iter().map(Ok).collect()]);
        let mut events = Box::pin(events);
        take(&mut events, 3).await;
        let quiet = tokio::time::timeout(Duration::from_secs(24 * 3600), events.next()).await;
        assert!(quiet.is_err(), "a day without a word");
        assert_eq!(begun.load(Ordering::SeqCst), 1);
        assert!(!metrics.text().contains("watch_errors_total{"), "{}", metrics.text());
        assert!(health.unready().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_of_a_watch_without_an_answer_ends() {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, kube::Error>>()
        });
        let maps: Api<ConfigMap> = Api::all(answering(&Client::new(silent, "default")));
        let start = Instant::now();
        let begun = maps.watch(&kube::api::WatchParams::default(), "1").await;
        let Err(error) = begun else { panic!("it was answered") };
        assert!(error.to_string().contains("no answer within 60 s"), "{error}");
        assert_eq!(start.elapsed(), ANSWER_DEADLINE);
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
