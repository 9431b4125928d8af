//! Follows the clients at a provider that tells of changes by itself: what a hand changes there is looked at at once, and while
//! nothing changes, nothing is asked.
//!
//! It belongs to the driver, and ends with it. One that does not work makes its provider unready, and says why there; the
//! operator's own health is another matter.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures::StreamExt as _;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};

use super::{
    context::{Context, Objects},
    registry::Runtime,
    triggers::Triggers,
};
use crate::{
    domain::{ErrorClass, IdpError, IdpErrorKind, ResourceName},
    idp::{self, ServerInfo, Watched, WatchedRow},
};

/// How long a watch may fail, for a reason that is likely to pass by itself, before its provider is unready: an API server that
/// is restarted need not trouble every client.
const GRACE: Duration = Duration::from_secs(10);

/// How long a watch must work before it counts as mended: one that may list and not watch fails right after each list.
const PROBATION: Duration = Duration::from_secs(2);

/// A watch of all clients of one provider; dropped, it ends.
#[derive(Debug)]
pub struct DriftWatch {
    server: ServerInfo,
    standing: watch::Sender<Standing>,
    task: JoinHandle<()>,
}

impl Drop for DriftWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a watch fares.
#[derive(Clone, Debug, PartialEq)]
enum Standing {
    /// Nothing was heard of it yet.
    Starting,
    /// It works.
    Works,
    /// It fails.
    Fails(Failure),
}

/// Why a watch fails.
#[derive(Clone, Debug)]
struct Failure(IdpError);

impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        self.0.kind == other.0.kind && self.0.message == other.0.message
    }
}

impl DriftWatch {
    /// Begins to follow the clients of provider `name`.
    pub fn start(context: &Context, name: &ResourceName, runtime: &Arc<Runtime>, watch: idp::Watch) -> Arc<Self> {
        let (standing, _) = watch::channel(Standing::Starting);
        let follower = Follower {
            provider: name.clone(),
            // Not its owner: the runtime owns the watch.
            runtime: Arc::downgrade(runtime),
            objects: context.objects.clone(),
            triggers: context.triggers.clone(),
            standing: standing.clone(),
        };
        Arc::new(Self {
            server: watch.server,
            standing,
            task: tokio::spawn(follower.follow(watch.events)),
        })
    }

    /// Has it ended? It never should.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Who tells; or why nothing is told. Waits for the first list, up to `patience`; asks nothing.
    ///
    /// # Errors
    /// Why the watch fails.
    pub async fn server(&self, patience: Duration) -> Result<ServerInfo, IdpError> {
        let mut standing = self.standing.subscribe();
        let begun = standing.wait_for(|standing| *standing != Standing::Starting);
        let found = match timeout(patience, begun).await {
            Ok(Ok(found)) => found.clone(),
            // The sender lives as long as this.
            Ok(Err(_)) => Standing::Starting,
            Err(_) => {
                let message = format!("no list of clients within {} s", patience.as_secs_f32());
                let late = Standing::Fails(Failure(IdpError::new(IdpErrorKind::Timeout, "watch", message)));
                // Once it works, the provider hears of it.
                self.standing.send_if_modified(|standing| {
                    let waits = *standing == Standing::Starting;
                    if waits {
                        *standing = late;
                    }
                    waits
                });
                self.standing.borrow().clone()
            }
        };
        match found {
            Standing::Fails(Failure(error)) => Err(error),
            Standing::Works | Standing::Starting => Ok(self.server.clone()),
        }
    }
}

/// What becomes of the standing if nothing else happens before.
struct Pending {
    at: Instant,
    then: Standing,
}

struct Follower {
    provider: ResourceName,
    runtime: Weak<Runtime>,
    objects: Arc<dyn Objects>,
    triggers: Triggers,
    standing: watch::Sender<Standing>,
}

impl Follower {
    async fn follow(self, mut events: futures::stream::BoxStream<'static, Watched>) {
        let mut pending: Option<Pending> = None;
        loop {
            let due = pending.as_ref().map(|pending| pending.at);
            let due = async {
                match due {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                event = events.next() => event,
                () = due => {
                    if let Some(pending) = pending.take() {
                        self.stands(pending.then);
                    }
                    continue;
                }
            };
            let Some(runtime) = self.runtime.upgrade() else { return };
            let before = self.standing.borrow().clone();
            match event {
                Some(Watched::Listed { began, rows }) => {
                    self.list(&runtime, began, rows).await;
                    pending = match before {
                        // Whoever waits for the first list is told, and wakes the clients.
                        Standing::Starting => {
                            self.standing.send_replace(Standing::Works);
                            None
                        }
                        Standing::Works => {
                            self.wake_those_that_differ(&runtime).await;
                            None
                        }
                        Standing::Fails(_) => Some(Pending {
                            at: Instant::now() + PROBATION,
                            then: Standing::Works,
                        }),
                    };
                }
                Some(Watched::Changed(row)) => self.change(&runtime, row).await,
                Some(Watched::Failed(error)) => pending = self.failed(before, error, pending),
                None => {
                    let error = IdpError::new(IdpErrorKind::Protocol, "watch", "it ended, which is a defect");
                    self.stands(Standing::Fails(Failure(error)));
                    return;
                }
            }
        }
    }

    fn failed(&self, before: Standing, error: IdpError, pending: Option<Pending>) -> Option<Pending> {
        let passes_by_itself = matches!(error.class(), ErrorClass::Transient | ErrorClass::Throttled);
        let then = Standing::Fails(Failure(error));
        match before {
            Standing::Works if passes_by_itself => Some(Pending {
                at: pending.map_or_else(|| Instant::now() + GRACE, |pending| pending.at),
                then,
            }),
            // The one who waits for the first list is told.
            Standing::Starting => {
                self.standing.send_replace(then);
                None
            }
            Standing::Works | Standing::Fails(_) => {
                self.stands(then);
                None
            }
        }
    }

    /// Tells the provider, if that is news.
    fn stands(&self, now: Standing) {
        let news = self.standing.send_if_modified(|standing| {
            let news = *standing != now;
            *standing = now;
            news
        });
        if news {
            self.triggers.provider(self.provider.clone());
        }
    }

    /// Keeps what OIDCClients ask for; the secrets of all others are nobody's business here.
    async fn list(&self, runtime: &Runtime, began: std::time::Instant, mut rows: Vec<WatchedRow>) {
        let clients = self.objects.clients_of(&self.provider).await;
        let wanted: std::collections::HashSet<&str> = clients.iter().map(|client| client.client_id.as_str()).collect();
        rows.retain(|row| wanted.contains(row.client_id.as_str()));
        runtime.watched(began, rows);
    }

    async fn wake_those_that_differ(&self, runtime: &Runtime) {
        for client in self.objects.clients_of(&self.provider).await {
            if !runtime.unchanged(&client.client_id) {
                self.triggers.client(client.name);
            }
        }
    }

    async fn change(&self, runtime: &Runtime, row: WatchedRow) {
        let clients = self.objects.clients_with(&self.provider, &row.client_id).await;
        if clients.is_empty() {
            runtime.unlist(&row.client_id);
        } else if runtime.changed(row) {
            for client in clients {
                self.triggers.client(client.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio::sync::mpsc;

    use super::*;
    use crate::{
        api::{OIDCClient, OIDCProvider},
        controller::{context::Lookup, registry::Registry, triggers::Triggered},
        domain::{Fields, ObservedClient, ObservedSecret, Validity, client::REVISION},
        plan::snapshot::{ClientBrief, NamespaceView},
    };

    /// One OIDCClient, `shop/web`, with client ID `web`.
    struct OneClient;

    #[async_trait]
    impl Objects for OneClient {
        async fn ready(&self) {}
        async fn client(&self, _: &ResourceName) -> Option<Arc<OIDCClient>> {
            None
        }
        async fn provider(&self, _: &ResourceName) -> Lookup<OIDCProvider> {
            Lookup::NotFound
        }
        async fn clients_of(&self, _: &ResourceName) -> Vec<ClientBrief> {
            vec![ClientBrief {
                name: ResourceName::new("shop", "web"),
                uid: "u1".to_owned(),
                client_id: "web".to_owned(),
                finalizer: true,
                provisioned: true,
                created: None,
            }]
        }
        async fn clients_with(&self, provider: &ResourceName, client_id: &str) -> Vec<ClientBrief> {
            let mut all = self.clients_of(provider).await;
            all.retain(|client| client.client_id == client_id);
            all
        }
        async fn namespace(&self, _: &str) -> Option<NamespaceView> {
            None
        }
    }

    struct Scene {
        runtime: Arc<Runtime>,
        watch: DriftWatch,
        tells: mpsc::UnboundedSender<Watched>,
        woken: Triggered,
    }

    fn scene() -> Scene {
        let (triggers, woken) = Triggers::new();
        let name = ResourceName::new("identity", "dex");
        let runtime = Registry::new(1).get_or_make(&name, "u");
        let (standing, _) = watch::channel(Standing::Starting);
        let follower = Follower {
            provider: name,
            runtime: Arc::downgrade(&runtime),
            objects: Arc::new(OneClient),
            triggers,
            standing: standing.clone(),
        };
        let (tells, told) = mpsc::unbounded_channel();
        let events = futures::stream::unfold(told, |mut told| async move { Some((told.recv().await?, told)) });
        let server = ServerInfo {
            product: "Dex",
            version: None,
            api_version: None,
            bulk_list: true,
            scopes: None,
            signing_algorithms: None,
        };
        Scene {
            runtime,
            watch: DriftWatch {
                server,
                standing,
                task: tokio::spawn(follower.follow(events.boxed())),
            },
            tells,
            woken,
        }
    }

    impl Scene {
        async fn tell(&self, event: Watched) {
            self.tells.send(event).unwrap();
            // Long enough for the task, and much shorter than any of its times.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }

        async fn list(&self, rows: Vec<WatchedRow>) {
            let began = std::time::Instant::now();
            self.tell(Watched::Listed { began, rows }).await;
        }

        async fn fail(&self, kind: IdpErrorKind, why: &str) {
            self.tell(Watched::Failed(IdpError::new(kind, "watch", why))).await;
        }

        fn provider_woken(&mut self) -> usize {
            std::iter::from_fn(|| self.woken.providers.try_recv().ok()).count()
        }

        fn clients_woken(&mut self) -> usize {
            std::iter::from_fn(|| self.woken.clients.try_recv().ok()).count()
        }

        async fn says(&self) -> Result<&'static str, IdpErrorKind> {
            let told = self.watch.server(Duration::from_secs(1)).await;
            told.map(|server| server.product).map_err(|error| error.kind)
        }
    }

    fn row(client_id: &str, revision: u64, name: &str) -> WatchedRow {
        let client = ObservedClient {
            client_id: client_id.to_owned(),
            remote_id: client_id.to_owned(),
            marks: Vec::new(),
            secret: ObservedSecret::Absent,
            validity: Validity::default(),
            disabled: false,
            fields: Fields::from([("displayName".to_owned(), name.to_owned())]),
            handles: [(REVISION.to_owned(), revision.to_string())].into(),
            registered: None,
        };
        WatchedRow {
            client_id: client_id.to_owned(),
            revision: Some(revision),
            client: Some(client),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_client_that_was_changed_is_woken() {
        let mut scene = scene();
        scene.list(vec![row("web", 1, "Web"), row("other", 2, "Other")]).await;
        assert_eq!(scene.says().await, Ok("Dex"));
        assert_eq!(
            (scene.provider_woken(), scene.clients_woken()),
            (0, 0),
            "whoever waits wakes them"
        );
        scene.runtime.remember("web", row("web", 1, "Web").client);
        for (what, row, woken) in [
            ("somebody else's", row("other", 3, "Another"), 0),
            ("touched", row("web", 4, "Web"), 0),
            ("changed", row("web", 5, "Drifted"), 1),
            (
                "gone",
                WatchedRow {
                    client: None,
                    ..row("web", 6, "")
                },
                1,
            ),
        ] {
            scene.tell(Watched::Changed(row)).await;
            assert_eq!(scene.clients_woken(), woken, "{what}");
        }
        assert_eq!(scene.provider_woken(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_failure_troubles_nobody_and_misses_nothing() {
        let mut scene = scene();
        scene.list(vec![row("web", 1, "Web")]).await;
        scene.runtime.remember("web", row("web", 1, "Web").client);
        scene.fail(IdpErrorKind::Unreachable, "refused").await;
        tokio::time::sleep(GRACE / 2).await;
        scene.list(vec![row("web", 2, "Drifted")]).await;
        tokio::time::sleep(GRACE * 2).await;
        assert_eq!(scene.says().await, Ok("Dex"));
        assert_eq!((scene.provider_woken(), scene.clients_woken()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_lasts_makes_the_provider_look_and_so_does_its_end() {
        let mut scene = scene();
        scene.list(Vec::new()).await;
        for _ in 0..4 {
            scene.fail(IdpErrorKind::Unreachable, "refused").await;
            tokio::time::sleep(GRACE / 3).await;
        }
        assert_eq!(scene.says().await, Err(IdpErrorKind::Unreachable));
        assert_eq!(scene.provider_woken(), 1);
        scene.fail(IdpErrorKind::Unreachable, "refused").await;
        assert_eq!(scene.provider_woken(), 0, "no news");
        scene.list(Vec::new()).await;
        assert_eq!(scene.says().await, Err(IdpErrorKind::Unreachable), "on probation");
        tokio::time::sleep(PROBATION * 2).await;
        assert_eq!((scene.says().await, scene.provider_woken()), (Ok("Dex"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_right_is_told_at_once_and_steadily() {
        let mut scene = scene();
        // The right to list alone.
        for _ in 0..3 {
            scene.list(Vec::new()).await;
            scene.fail(IdpErrorKind::Forbidden, "may not watch").await;
        }
        assert_eq!(scene.says().await, Err(IdpErrorKind::Forbidden));
        assert_eq!(scene.provider_woken(), 1);
        scene.fail(IdpErrorKind::Forbidden, "may not list").await;
        assert_eq!(scene.provider_woken(), 1, "another reason");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_the_first_list_waits_no_longer_than_he_wants() {
        let mut scene = scene();
        assert_eq!(scene.says().await, Err(IdpErrorKind::Timeout));
        scene.list(Vec::new()).await;
        tokio::time::sleep(PROBATION * 2).await;
        assert_eq!(scene.provider_woken(), 1, "it hears when there is one");
        assert_eq!(scene.says().await, Ok("Dex"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_its_owner() {
        let scene = scene();
        drop(scene.watch);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(scene.tells.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_by_itself_is_told_and_known() {
        let mut scene = scene();
        scene.list(Vec::new()).await;
        scene.tells = mpsc::unbounded_channel().0;
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(scene.watch.has_ended());
        assert_eq!(
            (scene.says().await, scene.provider_woken()),
            (Err(IdpErrorKind::Protocol), 1)
        );
    }
}
