//! What the rest of the operator wants to hear of a watch.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use futures::{Stream, StreamExt as _};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    runtime::{
        reflector::{Lookup, Store, store::Writer},
        watcher::Event,
    },
};

use super::objects::name_of;
use crate::domain::ResourceName;

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

/// For what is not kept in a store: the sender tells.
pub fn filled() -> (tokio::sync::watch::Sender<bool>, Filled) {
    let (filled, wait) = tokio::sync::watch::channel(false);
    (filled, Filled(wait))
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
    let (filled, wait) = filled();
    (reader, wait, Unfilled { writer, filled })
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
    touched_in_lists(events).filter_map(std::future::ready)
}

/// The same, with a `None` after each list.
pub fn touched_in_lists<K: Resource + Send>(
    events: impl Stream<Item = Event<K>> + Send,
) -> impl Stream<Item = Option<(ObjectMeta, Change)>> + Send {
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
                gone.map(|meta| Some((meta, Change::Deleted)))
                    .chain(now.values().map(|meta| Some((meta.clone(), Change::Applied))))
                    .chain([None])
                    .collect()
            }
            Event::Apply(object) => {
                let meta = essence(object.meta());
                followed.see(name_of(&meta), meta.clone());
                vec![Some((meta, Change::Applied))]
            }
            Event::Delete(object) => {
                followed.known.remove(&name_of(object.meta()));
                vec![Some((essence(object.meta()), Change::Deleted))]
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
    use std::time::Duration;

    use futures::stream;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::runtime::reflector;

    use super::{
        super::testing::{listed, map},
        *,
    };

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
}
