//! Watches that mend themselves, and what the rest of the operator wants to hear of them.
//!
//! kube's watcher resumes by itself after most failures. What it lacks (docs/decisions/0003): a pause between failing tries
//! (P9), a list anew where the server answers 410 to the *start* of a watch (P8), and an end to a list or a start that gets
//! no answer at all (P3).

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    pin::Pin,
    time::Duration,
};

use futures::{Stream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource,
    runtime::{
        reflector::{Lookup, Store, store::Writer},
        watcher::{self, DefaultBackoff, Event, watcher},
    },
};
use serde::de::DeserializeOwned;

use crate::{
    domain::ResourceName,
    telemetry::{health::Health, metrics::Metrics},
};

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

/// Tells any number of waiters that a store was filled once.
///
/// kube's `Store::wait_until_ready` must have one waiter only, and its controller is that one: the waker of an earlier one is
/// lost, and who waited first waits for ever (docs/decisions/0003).
#[derive(Clone, Debug)]
pub struct Filled(tokio::sync::watch::Receiver<bool>);

impl Filled {
    /// Waits until the store was filled; nothing is waited for once the watch behind it has ended, with the operator.
    pub async fn wait(&self) {
        let _ = self.0.clone().wait_for(|filled| *filled).await;
    }
}

/// A store to be filled by [`reflect`].
pub struct Unfilled<K>
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    writer: Writer<K>,
    filled: tokio::sync::watch::Sender<bool>,
}

/// A store: to read, to wait for, and to fill.
pub fn store<K>() -> (Store<K>, Filled, Unfilled<K>)
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone + Default,
{
    let (reader, writer) = kube::runtime::reflector::store();
    let (filled, wait) = tokio::sync::watch::channel(false);
    (reader, Filled(wait), Unfilled { writer, filled })
}

/// Keeps a store up to date on the way. A relist replaces its content at its end, at once.
pub fn reflect<K>(
    events: impl Stream<Item = Event<K>> + Send,
    mut store: Unfilled<K>,
) -> impl Stream<Item = Event<K>> + Send
where
    K: Lookup + Clone + Send + Sync + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone + Send + Sync,
{
    events.inspect(move |event| {
        store.writer.apply_watcher_event(event);
        if matches!(event, Event::InitDone) {
            store.filled.send_replace(true);
        }
    })
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is there.
    Applied,
    /// It is gone.
    Deleted,
}

fn name_of(meta: &ObjectMeta) -> ResourceName {
    ResourceName::new(
        meta.namespace.as_deref().unwrap_or_default(),
        meta.name.as_deref().unwrap_or_default(),
    )
}

/// Follows what is there, so that what vanished while nobody watched is heard of too.
struct Followed<T> {
    known: HashMap<ResourceName, T>,
    listed: Option<HashMap<ResourceName, T>>,
}

impl<T> Default for Followed<T> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            listed: None,
        }
    }
}

impl<T> Followed<T> {
    fn begin(&mut self) {
        self.listed = Some(HashMap::new());
    }

    fn see(&mut self, name: ResourceName, value: T) -> Option<T> {
        match &mut self.listed {
            Some(listed) => listed.insert(name, value),
            None => self.known.insert(name, value),
        }
    }

    /// Ends a list: what was known before, and what is known now.
    fn end(&mut self) -> (HashMap<ResourceName, T>, &HashMap<ResourceName, T>) {
        let before = std::mem::replace(&mut self.known, self.listed.take().unwrap_or_default());
        (before, &self.known)
    }
}

/// The part of an object's metadata that decides whom its change concerns.
fn essence(meta: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        owner_references: meta.owner_references.clone(),
        ..ObjectMeta::default()
    }
}

/// Each object that was touched, with the part of its metadata that decides whom it concerns. After a relist: all that is
/// there, and what was there before and is not any more.
pub fn touched<K: Resource + Send>(
    events: impl Stream<Item = Event<K>> + Send,
) -> impl Stream<Item = (ObjectMeta, Change)> + Send {
    let mut followed = Followed::<ObjectMeta>::default();
    events.flat_map(move |event| {
        let changes = match event {
            Event::Init => {
                followed.begin();
                Vec::new()
            }
            Event::InitApply(object) => {
                followed.see(name_of(object.meta()), essence(object.meta()));
                Vec::new()
            }
            Event::InitDone => {
                let (before, now) = followed.end();
                let gone = before
                    .into_iter()
                    .filter(|(name, _)| !now.contains_key(name))
                    .map(|(_, meta)| meta);
                gone.map(|meta| (meta, Change::Deleted))
                    .chain(now.values().map(|meta| (meta.clone(), Change::Applied)))
                    .collect()
            }
            Event::Apply(object) => {
                let meta = essence(object.meta());
                followed.see(name_of(&meta), meta.clone());
                vec![(meta, Change::Applied)]
            }
            Event::Delete(object) => {
                followed.known.remove(&name_of(object.meta()));
                vec![(essence(object.meta()), Change::Deleted)]
            }
        };
        futures::stream::iter(changes)
    })
}

/// The names of objects in which something changed that a pass must look at: the spec (by generation), finalizers (P5), the
/// deletion timestamp, or one of `annotations`. Writes of the status wake nobody (P4). Names come after the end of a list,
/// when the store behind [`reflect`] holds the objects.
pub fn changed<K: Resource + Send>(
    events: impl Stream<Item = Event<K>> + Send,
    annotations: &'static [&'static str],
) -> impl Stream<Item = ResourceName> + Send {
    let mut followed = Followed::<u64>::default();
    events.flat_map(move |event| {
        let names = match event {
            Event::Init => {
                followed.begin();
                Vec::new()
            }
            Event::InitApply(object) => {
                followed.see(name_of(object.meta()), fingerprint(object.meta(), annotations));
                Vec::new()
            }
            Event::InitDone => {
                let (before, now) = followed.end();
                let news = now.iter().filter(|(name, print)| before.get(*name) != Some(*print));
                let gone: HashSet<_> = before.keys().filter(|name| !now.contains_key(*name)).collect();
                news.map(|(name, _)| name.clone())
                    .chain(gone.into_iter().cloned())
                    .collect()
            }
            Event::Apply(object) => {
                let (name, print) = (name_of(object.meta()), fingerprint(object.meta(), annotations));
                let before = followed.see(name.clone(), print);
                if before == Some(print) { Vec::new() } else { vec![name] }
            }
            Event::Delete(object) => {
                let name = name_of(object.meta());
                followed.known.remove(&name);
                vec![name]
            }
        };
        futures::stream::iter(names)
    })
}

fn fingerprint(meta: &ObjectMeta, annotations: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    meta.uid.hash(&mut hasher);
    meta.generation.hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    meta.deletion_timestamp
        .as_ref()
        .map(|time| time.0.as_nanosecond())
        .hash(&mut hasher);
    for annotation in annotations {
        meta.annotations
            .as_ref()
            .and_then(|all| all.get(*annotation))
            .hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::{core::Status, runtime::reflector};
    use tokio::time::Instant;

    use super::*;

    fn map(name: &str, generation: i64) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some("n".to_owned()),
                uid: Some(format!("uid-{name}")),
                generation: Some(generation),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn listed(names: &[&str]) -> Vec<Event<ConfigMap>> {
        let mut events = vec![Event::Init];
        events.extend(names.iter().map(|name| Event::InitApply(map(name, 1))));
        events.push(Event::InitDone);
        events
    }

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

    async fn all<T>(
        events: Vec<Event<ConfigMap>>,
        read: impl FnOnce(stream::Iter<std::vec::IntoIter<Event<ConfigMap>>>) -> T,
    ) -> Vec<T::Item>
    where
        T: Stream,
    {
        read(stream::iter(events)).collect().await
    }

    #[tokio::test]
    async fn what_vanished_while_nobody_watched_is_heard_of() {
        let events = [listed(&["a", "b"]), listed(&["b"])].concat();
        let mut changes: Vec<_> = all(events, touched)
            .await
            .into_iter()
            .map(|(meta, change)| (meta.name.unwrap(), change))
            .collect();
        changes[..2].sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(
            changes,
            [
                ("a".to_owned(), Change::Applied),
                ("b".to_owned(), Change::Applied),
                ("a".to_owned(), Change::Deleted),
                ("b".to_owned(), Change::Applied),
            ]
        );
    }

    #[tokio::test]
    async fn only_what_a_pass_must_look_at_wakes_it() {
        type Edit = fn(&mut ObjectMeta);
        let edits: [(&str, bool, Edit); 8] = [
            ("nothing", false, |_| {}),
            ("status", false, |meta| meta.resource_version = Some("2".to_owned())),
            ("another annotation", false, |meta| {
                meta.annotations = Some([("other".into(), "1".into())].into())
            }),
            ("a label", false, |meta| {
                meta.labels = Some([("other".into(), "1".into())].into())
            }),
            ("the spec", true, |meta| meta.generation = Some(2)),
            // P5: with the generation alone, the event that adds the finalizer would be lost.
            ("a finalizer", true, |meta| meta.finalizers = Some(vec!["x".into()])),
            ("a request", true, |meta| {
                meta.annotations = Some([("ask".into(), "1".into())].into())
            }),
            ("another life", true, |meta| meta.uid = Some("another".into())),
        ];
        for (what, wakes, edit) in edits {
            let mut after = map("a", 1);
            edit(&mut after.metadata);
            let events = vec![Event::Apply(map("a", 1)), Event::Apply(after)];
            let names = all(events, |events| changed(events, &["ask"])).await;
            assert_eq!(names.len(), if wakes { 2 } else { 1 }, "{what}");
        }
    }

    #[tokio::test]
    async fn a_relist_wakes_only_what_changed_meanwhile() {
        let mut second = vec![
            Event::Init,
            Event::InitApply(map("a", 1)),
            Event::InitApply(map("b", 2)),
        ];
        second.extend([Event::InitApply(map("d", 1)), Event::InitDone]);
        let events = [listed(&["a", "b", "c"]), second].concat();
        let names: Vec<_> = all(events, |events| changed(events, &[])).await;
        let mut woken: Vec<_> = names[3..].iter().map(|name| name.name.clone()).collect();
        woken.sort();
        assert_eq!(woken, ["b", "c", "d"]);
    }

    #[tokio::test]
    async fn names_come_when_the_store_holds_the_objects() {
        let (store, _, unfilled) = store();
        let events = [listed(&["a"]), listed(&["a", "b"])].concat();
        let mut names = Box::pin(changed(reflect(stream::iter(events), unfilled), &[]));
        let mut seen = 0;
        while let Some(name) = names.next().await {
            seen += 1;
            assert!(
                store.get(&reflector::ObjectRef::new(&name.name).within("n")).is_some(),
                "{name}"
            );
        }
        assert_eq!(seen, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn every_waiter_hears_that_a_store_was_filled() {
        let (_, filled, unfilled) = store();
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let filled = filled.clone();
                tokio::spawn(async move { filled.wait().await })
            })
            .collect();
        // All of them wait before anything happens.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let events = reflect(stream::iter(listed(&[])).chain(stream::pending()), unfilled);
        tokio::spawn(events.for_each(|_| std::future::ready(())));
        for waiter in waiters {
            tokio::time::timeout(Duration::from_secs(1), waiter)
                .await
                .unwrap()
                .unwrap();
        }
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
