//! What this process knows of each provider, and of the clients there.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, RwLock},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::{
    drift_watch::DriftWatch,
    lock::lock,
    remotes::{Left, Remotes},
};
use crate::{
    domain::{ObservedClient, ProviderFacts, ResourceName},
    idp::{Driver, WatchedRow},
    plan::snapshot::{NotReady, RemoteView},
};

/// All providers that were looked at.
pub struct Registry {
    runtimes: Mutex<HashMap<ResourceName, Arc<Runtime>>>,
    /// Passes over clients whose provider does not exist, or that cannot be read.
    homeless: Arc<Semaphore>,
    passes: usize,
}

impl Registry {
    /// An empty registry; `passes`: passes over one provider's clients under way at once.
    pub fn new(passes: usize) -> Self {
        Self {
            runtimes: Mutex::default(),
            homeless: Arc::new(Semaphore::new(passes)),
            passes,
        }
    }

    /// What is known of a provider, if it was looked at.
    pub fn get(&self, name: &ResourceName) -> Option<Arc<Runtime>> {
        lock(&self.runtimes).get(name).cloned()
    }

    /// The same, made where it is not there or belongs to a former object of this name.
    pub fn get_or_make(&self, name: &ResourceName, uid: &str) -> Arc<Runtime> {
        let mut runtimes = lock(&self.runtimes);
        match runtimes.get(name) {
            Some(runtime) if runtime.uid == uid => runtime.clone(),
            _ => {
                let runtime = Arc::new(Runtime::new(uid, self.passes));
                runtimes.insert(name.clone(), runtime.clone());
                runtime
            }
        }
    }

    /// Forgets a provider that is gone.
    pub fn forget(&self, name: &ResourceName) {
        lock(&self.runtimes).remove(name);
    }

    /// The queue of passes over the clients of one provider: first come, first served, and no provider's clients wait
    /// for another's.
    pub fn bulkhead(&self, provider: Option<&ResourceName>) -> Arc<Semaphore> {
        let known = provider.and_then(|name| self.get(name));
        known.map_or_else(|| self.homeless.clone(), |runtime| runtime.passes.clone())
    }
}

/// One provider.
pub struct Runtime {
    uid: String,
    passes: Arc<Semaphore>,
    state: RwLock<Arc<State>>,
    remotes: Mutex<Remotes>,
}

/// What the last pass over the provider found.
#[derive(Clone, Default)]
pub struct State {
    /// Was it looked at by this process?
    pub looked_at: bool,
    /// The generation of the spec that was looked at: grants may differ in another one.
    pub generation: Option<i64>,
    /// Its issuer.
    pub facts: Option<Arc<ProviderFacts>>,
    /// Its driver.
    pub driver: Option<Arc<dyn Driver>>,
    /// Follows the clients there, where the provider tells of changes by itself.
    pub watch: Option<Arc<DriftWatch>>,
    /// What the driver was built from.
    pub fingerprint: String,
    /// What of it cannot be used now.
    pub not_ready: Option<NotReady>,
    /// Is the Secret with its admin credentials missing?
    pub credentials_gone: bool,
    /// How often everything is looked at anew.
    pub resync: Duration,
}

impl Runtime {
    fn new(uid: &str, passes: usize) -> Self {
        Self {
            uid: uid.to_owned(),
            passes: Arc::new(Semaphore::new(passes)),
            state: RwLock::default(),
            remotes: Mutex::default(),
        }
    }

    /// uid of the OIDCProvider.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// What the last pass over the provider found.
    pub fn state(&self) -> Arc<State> {
        self.state
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    /// Replaces it.
    pub fn set_state(&self, state: State) {
        *self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(state);
    }

    /// What is known of a client without asking ([`Remotes::remembered`]).
    pub fn remembered(&self, client_id: &str) -> RemoteView {
        lock(&self.remotes).remembered(client_id)
    }

    /// Notes how a client looked at the end of a pass; `None`: it is gone, or nobody knows.
    pub fn remember(&self, client_id: &str, client: Option<ObservedClient>) {
        lock(&self.remotes).remember(client_id, client);
    }

    /// Forgets a client that is nobody's business any more.
    pub fn forget(&self, client_id: &str) {
        lock(&self.remotes).forget(client_id);
    }

    /// Forgets how the list showed a client that no OIDCClient asks for.
    pub fn unlist(&self, client_id: &str) {
        lock(&self.remotes).unlist(client_id);
    }

    /// Forgets all that was seen, so that every client is asked for anew.
    pub fn forget_all(&self) {
        lock(&self.remotes).forget_all();
    }

    /// A write to a client begins: until it ends, nothing seen is evidence. Dropped before that, it died.
    pub fn write_begins<'a>(&'a self, client_id: &'a str) -> Writing<'a> {
        lock(&self.remotes).write_begins(client_id);
        Writing {
            runtime: self,
            client_id,
            ended: false,
        }
    }

    /// Takes a list whose fetch began at `began`.
    pub fn listed(&self, began: Instant, rows: Vec<ObservedClient>) {
        let rows = rows.into_iter().map(|row| (row.client_id.clone(), row));
        lock(&self.remotes).listed(began, rows);
    }

    /// Takes a list of the watch.
    pub fn watched(&self, began: Instant, rows: Vec<WatchedRow>) {
        let rows = rows.into_iter().filter_map(|row| Some((row.client_id, row.client?)));
        lock(&self.remotes).listed(began, rows);
    }

    /// Takes what the watch shows of one client. Is it worth a look ([`Remotes::changed`])?
    pub fn changed(&self, shown: WatchedRow) -> bool {
        lock(&self.remotes).changed(shown)
    }

    /// Does the list show this client as a pass last saw it ([`Remotes::unchanged`])?
    pub fn unchanged(&self, client_id: &str) -> bool {
        lock(&self.remotes).unchanged(client_id)
    }
}

/// A write to a client at the provider is under way.
pub struct Writing<'a> {
    runtime: &'a Runtime,
    client_id: &'a str,
    ended: bool,
}

impl Writing<'_> {
    /// It ended, whatever came of it. Did the watch meanwhile show more than its echo?
    pub fn ended(mut self, left: Left) -> bool {
        self.ended = true;
        lock(&self.runtime.remotes).write_ended(self.client_id, left)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.ended {
            lock(&self.runtime.remotes).write_died(self.client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use crate::{
        domain::{ClientSecret, Fields, ObservedSecret, Validity},
        plan::snapshot::Evidence,
    };

    fn client(secret: ObservedSecret) -> ObservedClient {
        ObservedClient {
            client_id: "x".to_owned(),
            remote_id: "x".to_owned(),
            marks: Vec::new(),
            secret,
            validity: Validity::default(),
            disabled: false,
            fields: Fields::new(),
            handles: BTreeMap::new(),
            registered: None,
        }
    }

    fn runtime() -> Runtime {
        Runtime::new("uid", 1)
    }

    fn listed(runtime: &Runtime, rows: Vec<ObservedClient>) {
        runtime.listed(Instant::now(), rows);
    }

    fn is_present(view: &RemoteView) -> bool {
        matches!(
            view,
            RemoteView::Present {
                evidence: Evidence::Listed,
                ..
            }
        )
    }

    #[test]
    fn a_row_is_evidence_only_if_its_fetch_began_after_our_last_write() {
        let runtime = runtime();
        assert!(matches!(runtime.remembered("x"), RemoteView::Unknown));
        let began = Instant::now();
        let writing = runtime.write_begins("x");
        runtime.listed(Instant::now(), vec![client(ObservedSecret::NotShown)]);
        assert!(
            matches!(runtime.remembered("x"), RemoteView::Unknown),
            "a write is under way"
        );
        writing.ended(Left::Unknown);
        runtime.listed(began, vec![client(ObservedSecret::NotShown)]);
        assert!(
            matches!(runtime.remembered("x"), RemoteView::Unknown),
            "the list is older than the write"
        );
        listed(&runtime, vec![client(ObservedSecret::NotShown)]);
        assert!(is_present(&runtime.remembered("x")));
    }

    #[test]
    fn absence_from_a_list_is_told_apart() {
        let runtime = runtime();
        listed(&runtime, Vec::new());
        assert!(matches!(runtime.remembered("x"), RemoteView::Unlisted));
        // What a pass saw after the list is newer.
        runtime.remember("x", Some(client(ObservedSecret::Absent)));
        assert!(is_present(&runtime.remembered("x")));
        listed(&runtime, Vec::new());
        assert!(matches!(runtime.remembered("x"), RemoteView::Unlisted));
    }

    #[test]
    fn only_what_differs_is_worth_a_look() {
        let runtime = runtime();
        assert!(!runtime.unchanged("x"), "without a list everything is");
        listed(&runtime, Vec::new());
        assert!(runtime.unchanged("x"), "neither seen nor listed");
        listed(&runtime, vec![client(ObservedSecret::NotShown)]);
        assert!(!runtime.unchanged("x"), "somebody made it");
        let shown = ObservedSecret::Shown(ClientSecret::new("hunter2"));
        runtime.remember("x", Some(client(shown)));
        listed(&runtime, vec![client(ObservedSecret::NotShown)]);
        assert!(runtime.unchanged("x"), "a list that shows no secret says nothing of it");
        let mut drifted = client(ObservedSecret::NotShown);
        drifted
            .fields
            .insert("redirectURIs".to_owned(), "https://elsewhere.example.com".to_owned());
        listed(&runtime, vec![drifted]);
        assert!(!runtime.unchanged("x"));
        listed(&runtime, Vec::new());
        assert!(!runtime.unchanged("x"), "it is gone");
    }

    #[tokio::test]
    async fn clients_of_one_provider_do_not_wait_for_anothers() {
        let registry = Registry::new(1);
        let (slow, quick) = (ResourceName::new("p", "slow"), ResourceName::new("p", "quick"));
        for name in [&slow, &quick] {
            registry.get_or_make(name, "uid");
        }
        let _held = registry.bulkhead(Some(&slow)).acquire_owned().await.unwrap();
        assert!(registry.bulkhead(Some(&slow)).try_acquire().is_err());
        assert!(registry.bulkhead(Some(&quick)).try_acquire().is_ok());
        assert!(registry.bulkhead(None).try_acquire().is_ok());
    }
}
