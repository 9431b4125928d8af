//! The IO half. Calls write the secret and the target; a task of the driver's rolls the workload out, many changes at once.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt as _;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    change::{Answer, Applied, Change, apply},
    effects::Effects,
    installation::{Installation, Keys, KeysChange, Part, Sighting, Stored, Target, TargetDraft, Version, Workload},
    issuer::ConfigIssuer,
    known::{Known, News},
    model::DexConfigModel,
    roll::{self, Ages, Roll},
    seen::Seen,
    setup::{self, Setup},
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Effect, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof,
        RemoteDiff,
    },
    idp::{Created, Credentials, Driver, Page, ServerInfo, Written, proof},
};

/// How often a write is tried again that met a change of somebody else's.
const CONFLICTS_AT_MOST: usize = 8;

/// How often all is looked at while a roll-out is under way: often at first, then less.
const POLL: Duration = Duration::from_secs(1);
const POLL_LATER: Duration = Duration::from_secs(5);
const POLLS_OFTEN: u32 = 120;

/// After a failed look, and while Dex does not answer at its issuer.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// After an empty secret was accepted.
const AFTER_ALARM: Duration = Duration::from_secs(30);

/// What the driver has to tell whoever holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The provider is worth a look.
    Provider,
    /// These clients are: what is in effect of them is another thing than before.
    Clients(Vec<String>),
}

/// How it tells.
pub type Listener = Box<dyn Fn(Notice) + Send + Sync>;

/// A Dex that is managed by its configuration file.
pub struct DexConfigDriver {
    shared: Arc<Shared>,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for DexConfigDriver {
    /// What it leaves undone, the next one finds.
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl std::fmt::Debug for DexConfigDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DexConfigDriver")
            .field("names", self.shared.installation.names())
            .finish_non_exhaustive()
    }
}

struct Shared {
    installation: Box<dyn Installation>,
    issuer: ConfigIssuer,
    timeout: Duration,
    listener: Listener,
    /// One writer at a time: between the write of a key and that of the target nobody takes the key away.
    writer: tokio::sync::Mutex<()>,
    /// One at a time concludes roll-outs.
    roller: tokio::sync::Mutex<()>,
    queue: Mutex<Vec<Waiting>>,
    effects: Mutex<Effects>,
    known: Mutex<Known>,
    times: Mutex<Times>,
    wake: Notify,
}

/// A change in the queue, and who waits for it.
struct Waiting {
    change: Change,
    caller: oneshot::Sender<Result<Answer, IdpError>>,
}

#[derive(Default)]
struct Times {
    first_change: Option<Instant>,
    last_change: Option<Instant>,
    last_template: Option<Instant>,
    /// The last roll-out of changes.
    last_batch: Option<Instant>,
    /// As in [`Ages::streak`].
    streak: u32,
}

impl DexConfigDriver {
    /// A driver for the Dex of `installation`; each of its calls ends within `timeout`. Its tasks start at once, in the
    /// runtime that this is called in, and write nothing before the first probe.
    pub fn new(
        installation: Box<dyn Installation>,
        issuer: ConfigIssuer,
        timeout: Duration,
        listener: Listener,
    ) -> Self {
        let shared = Arc::new(Shared {
            installation,
            issuer,
            timeout,
            listener,
            writer: tokio::sync::Mutex::default(),
            roller: tokio::sync::Mutex::default(),
            queue: Mutex::default(),
            effects: Mutex::default(),
            known: Mutex::default(),
            times: Mutex::default(),
            wake: Notify::new(),
        });
        let tasks = [
            tokio::spawn(follow(Arc::clone(&shared))),
            tokio::spawn(attend(Arc::clone(&shared))),
        ];
        Self { shared, tasks }
    }

    async fn within<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, IdpError>>,
    ) -> Result<T, IdpError> {
        tokio::time::timeout(self.shared.timeout, call)
            .await
            .unwrap_or_else(|_| {
                let message = format!("no end within {} s", self.shared.timeout.as_secs_f32());
                Err(IdpError::new(IdpErrorKind::Timeout, operation, message))
            })
    }

    async fn change(&self, operation: &'static str, change: Change) -> Result<Answer, IdpError> {
        self.within(operation, self.shared.change(change)).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Rolls out what was changed, for ever.
async fn follow(shared: Arc<Shared>) {
    shared.wake.notified().await;
    let mut polls = 0;
    loop {
        let wait = match shared.step().await {
            Ok(Next::Idle) => None,
            Ok(Next::Again) => Some(Duration::ZERO),
            Ok(Next::After(wait)) => Some(wait),
            Ok(Next::Poll) => {
                polls += 1;
                Some(if polls < POLLS_OFTEN { POLL } else { POLL_LATER })
            }
            // Only a person can help, and then the provider is looked at.
            Err(error) if error.class() == crate::domain::ErrorClass::User => None,
            Err(error) => {
                tracing::warn!(%error, "the roll-out of Dex's configuration waits");
                Some(AFTER_FAILURE)
            }
        };
        if wait.is_none() {
            polls = 0;
        }
        match wait {
            None => shared.wake.notified().await,
            Some(wait) => {
                let _ = tokio::time::timeout(wait, shared.wake.notified()).await;
            }
        }
    }
}

/// Hears of what others do to the objects that are written here, for ever: Dex does not start while one is missing, and must not run
/// without a variable.
async fn attend(shared: Arc<Shared>) {
    let mut sightings = shared.installation.sightings();
    while let Some(Sighting { part, shown }) = sightings.next().await {
        let news = {
            // What is being written is no news once its version is known.
            let _writer = shared.writer.lock().await;
            lock(&shared.known).seen(part, shown)
        };
        match news {
            News::Nothing => {}
            News::Template => shared.wake.notify_one(),
            News::Clients | News::Sight => (shared.listener)(Notice::Provider),
        }
    }
}

/// When to go on.
enum Next {
    Idle,
    Again,
    After(Duration),
    Poll,
}

/// What a look, and the setup after it, came to.
enum Standing {
    Whole(Box<Seen>),
    Waits(String),
}

impl Shared {
    async fn look(&self) -> Result<Seen, IdpError> {
        self.look_and(|_, _, _, _| ()).await
    }

    /// `noted` sees what was read, also where nothing can be made of it.
    async fn look_and(
        &self,
        noted: impl FnOnce(&mut Known, Option<&Target>, Option<&Keys>, &Workload),
    ) -> Result<Seen, IdpError> {
        let (base, target, keys, workload) = tokio::try_join!(
            self.installation.base(),
            self.installation.target(),
            self.installation.keys(),
            self.installation.workload(),
        )?;
        noted(&mut lock(&self.known), target.as_ref(), keys.as_ref(), &workload);
        let seen = Seen::new(self.installation.names(), &base, target, keys, workload)?;
        lock(&self.effects).wrote(seen.digests(&seen.entries()));
        Ok(seen)
    }

    async fn write_target(&self, former: Option<&Version>, draft: &TargetDraft) -> Result<Stored, IdpError> {
        let stored = self.installation.write_target(former, draft).await?;
        self.note(Part::Target, former, &stored);
        Ok(stored)
    }

    async fn write_keys(&self, former: Option<&Version>, change: &KeysChange) -> Result<Stored, IdpError> {
        let stored = self.installation.write_keys(former, change).await?;
        self.note(Part::Keys, former, &stored);
        Ok(stored)
    }

    fn note(&self, part: Part, former: Option<&Version>, stored: &Stored) {
        if let Stored::Done(version) = stored {
            lock(&self.known).wrote(part, former, version.clone());
        }
    }

    /// Brings everything in place that clients need. `before_all`: all clients are looked at next.
    async fn set_up(&self, before_all: bool) -> Result<Standing, IdpError> {
        let _writer = self.writer.lock().await;
        for _ in 0..CONFLICTS_AT_MOST {
            let seen = self
                .look_and(|known, target, keys, workload| {
                    if before_all {
                        known.looked(target, keys, workload);
                    } else {
                        known.compared(workload);
                    }
                })
                .await?;
            let fresh = fresh();
            let (target, keys) = (
                seen.target.as_ref().map(|target| &target.version),
                seen.keys.as_ref().map(|keys| &keys.version),
            );
            match setup::next(&seen, &fresh)? {
                Setup::Done => return Ok(Standing::Whole(Box::new(seen))),
                Setup::Wait(why) => return Ok(Standing::Waits(why)),
                Setup::Target(draft) => drop(self.write_target(target, &draft).await?),
                Setup::Keys(change) => drop(self.write_keys(keys, &change).await?),
                Setup::Template(draft) => {
                    if let Stored::Done(_) = self.installation.write_template(&seen.workload, &draft).await? {
                        let mut times = lock(&self.times);
                        times.last_template = Some(Instant::now());
                        times.first_change = None;
                    }
                }
            }
        }
        Err(contested())
    }

    /// Carries out one change, or those of all who wait, and gives the answer to this one.
    async fn change(&self, change: Change) -> Result<Answer, IdpError> {
        let (caller, mut answer) = oneshot::channel();
        lock(&self.queue).push(Waiting { change, caller });
        let _writer = self.writer.lock().await;
        if let Ok(answer) = answer.try_recv() {
            return answer;
        }
        // Who gave up waiting does not expect it to be done later.
        let waiting = std::mem::take(&mut *lock(&self.queue));
        let waiting: Vec<Waiting> = waiting
            .into_iter()
            .filter(|waiting| !waiting.caller.is_closed())
            .collect();
        self.write(waiting).await;
        answer.try_recv().unwrap_or_else(|_| Err(contested()))
    }

    /// Carries out changes together; where one of them cannot be, each by itself.
    async fn write(&self, waiting: Vec<Waiting>) {
        let changes: Vec<Change> = waiting.iter().map(|waiting| waiting.change.clone()).collect();
        let answers = match self.write_all(&changes).await {
            Err(error) if error.kind == IdpErrorKind::Refused && changes.len() > 1 => {
                let mut answers = Vec::new();
                for change in &changes {
                    let answer = self.write_all(std::slice::from_ref(change)).await;
                    answers.push(answer.and_then(|mut answers| answers.pop().unwrap_or_else(|| Err(contested()))));
                }
                answers
            }
            Err(error) => vec![Err(error); changes.len()],
            Ok(answers) => answers,
        };
        for (waiting, answer) in waiting.into_iter().zip(answers) {
            // Who gave up does not hear of it.
            let _ = waiting.caller.send(answer);
        }
    }

    /// The secrets first, then the target.
    async fn write_all(&self, changes: &[Change]) -> Result<Vec<Result<Answer, IdpError>>, IdpError> {
        for _ in 0..CONFLICTS_AT_MOST {
            let seen = self.look().await?;
            let Applied {
                answers,
                entries,
                secrets,
            } = apply(&seen, changes);
            let standing = seen.entries();
            let adds = |entry: &super::entry::StaticClient| {
                let stands = standing
                    .get(&entry.id)
                    .is_some_and(|former| former.secret_env == entry.secret_env);
                entry.secret_env.is_some() && !stands
            };
            let text = seen.render(&entries)?;
            let (Some(target), Some(keys)) = (&seen.target, &seen.keys) else {
                return Err(self.not_set_up("its objects are made first"));
            };
            if !seen.is_guarded() && entries.values().any(adds) {
                return Err(self.not_set_up("its Pods must take the Secret for their environment first"));
            }
            if !secrets.is_empty() {
                let change = KeysChange {
                    put: secrets,
                    revision: Some(fresh()),
                    ..KeysChange::default()
                };
                if self.write_keys(Some(&keys.version), &change).await? == Stored::Conflict {
                    continue;
                }
                self.changed();
            }
            if text != target.text {
                let draft = TargetDraft {
                    text,
                    guarded: target.guarded.clone(),
                    revision: fresh(),
                };
                if self.write_target(Some(&target.version), &draft).await? == Stored::Conflict {
                    continue;
                }
                self.changed();
            }
            // What is written now is what the next look finds.
            self.look().await?;
            return Ok(answers);
        }
        Err(contested())
    }

    fn not_set_up(&self, why: &str) -> IdpError {
        (self.listener)(Notice::Provider);
        let message = format!("{}: {why}", self.installation.names().workload);
        IdpError::new(IdpErrorKind::RollingOut, "write", message)
    }

    /// Something was written that no template has yet.
    fn changed(&self) {
        let now = Instant::now();
        let mut times = lock(&self.times);
        if times.first_change.is_none() {
            let in_stream = times.last_batch.is_some_and(|last| last.elapsed() < roll::STREAM);
            times.streak = if in_stream { times.streak.saturating_add(1) } else { 0 };
            times.first_change = Some(now);
        }
        times.last_change = Some(now);
        drop(times);
        self.wake.notify_one();
    }

    fn ages(&self) -> Ages {
        let times = lock(&self.times);
        let age = |time: Option<Instant>| time.map(|time| time.elapsed());
        Ages {
            first_change: age(times.first_change),
            last_change: age(times.last_change),
            streak: times.streak,
            last_template: age(times.last_template),
        }
    }

    /// One step of a roll-out.
    async fn step(&self) -> Result<Next, IdpError> {
        let seen = match self.set_up(false).await? {
            Standing::Whole(seen) => seen,
            Standing::Waits(why) => {
                lock(&self.effects).waits(why);
                return Ok(Next::Poll);
            }
        };
        let concluded = lock(&self.effects).conclusions();
        let next = self.roll(&seen).await;
        if lock(&self.effects).conclusions() != concluded {
            // Its issuer may answer now, or otherwise than before.
            (self.listener)(Notice::Provider);
        }
        next
    }

    async fn roll(&self, seen: &Seen) -> Result<Next, IdpError> {
        let _roller = self.roller.lock().await;
        let next = roll::next(seen, &lock(&self.effects), self.ages())?;
        Ok(match next {
            // Nobody here wrote what it would bring: somebody else did, or an earlier process. Where clients were lost with it, they
            // are about to be written again, and Pods that run have them still.
            Roll::Template(..) if lock(&self.times).first_change.is_none() => {
                self.changed();
                Next::Again
            }
            Roll::Template(draft, written) => {
                let first_change = lock(&self.times).first_change.take();
                match self.installation.write_template(&seen.workload, &draft).await {
                    Ok(Stored::Done(_)) => {
                        let mut times = lock(&self.times);
                        times.last_template = Some(Instant::now());
                        times.last_batch = times.last_template;
                        lock(&self.effects).rolls(draft.checksum, written);
                        Next::Poll
                    }
                    failed => {
                        lock(&self.times).first_change = first_change;
                        failed?;
                        Next::Again
                    }
                }
            }
            Roll::Quiet(wait) => Next::After(wait),
            Roll::Wait(why) => {
                lock(&self.effects).waits(why);
                Next::Poll
            }
            Roll::Conclude { read, behind } => self.conclude(seen, read, behind).await?,
            Roll::Done => {
                self.clean().await?;
                if !lock(&self.effects).is_unsafe() {
                    return Ok(Next::Idle);
                }
                lock(&self.effects).try_again();
                Next::After(AFTER_ALARM)
            }
        })
    }

    /// All Pods have read these clients: are they in effect, and does none accept an empty secret?
    async fn conclude(&self, seen: &Seen, read: super::seen::Digests, behind: bool) -> Result<Next, IdpError> {
        let entries = seen.entries();
        let confidential = entries
            .values()
            .filter(|entry| !entry.public && read.contains_key(&entry.id));
        let ids: Vec<String> = confidential.map(|entry| entry.id.clone()).collect();
        match self.issuer.accepts_empty_secrets(ids).await {
            Err(why) => {
                let mut effects = lock(&self.effects);
                effects.waits(why);
                if behind {
                    // Perhaps it is what comes next that mends it.
                    effects.skip(seen.workload.generation);
                    return Ok(Next::Again);
                }
                Ok(Next::After(AFTER_FAILURE))
            }
            Ok(accepted) => {
                for client_id in accepted.keys() {
                    tracing::error!(client_id, "Dex accepts an empty secret");
                }
                let news = lock(&self.effects).conclude(seen.workload.generation, read, accepted);
                if !news.is_empty() {
                    (self.listener)(Notice::Clients(news));
                }
                Ok(Next::Again)
            }
        }
    }

    /// Takes away what nobody reads any more.
    async fn clean(&self) -> Result<(), IdpError> {
        let _writer = self.writer.lock().await;
        let seen = self.look().await?;
        let unused = roll::unused(&seen);
        if let Some(keys) = &seen.keys
            && !unused.is_empty()
        {
            let change = KeysChange {
                remove: unused,
                ..KeysChange::default()
            };
            self.write_keys(Some(&keys.version), &change).await?;
        }
        Ok(())
    }
}

/// A random text that was never used; as good as a client secret, though it is none.
fn fresh() -> String {
    ClientSecret::generate().expose().to_owned()
}

fn contested() -> IdpError {
    IdpError::new(
        IdpErrorKind::Server,
        "write",
        "somebody else changes Dex's configuration, its Secret or its workload at the same time",
    )
}

#[async_trait]
impl Driver for DexConfigDriver {
    fn model(&self) -> &dyn Model {
        &DexConfigModel
    }

    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        let probe = async {
            if let Some(error) = lock(&self.shared.known).hidden() {
                return Err(error.clone());
            }
            let standing = self.shared.set_up(true).await?;
            let seen = match standing {
                Standing::Whole(seen) => seen,
                Standing::Waits(why) => {
                    self.shared.wake.notify_one();
                    return Err(IdpError::new(IdpErrorKind::RollingOut, "probe", why));
                }
            };
            // After a start nobody knows what is in effect. It is found out before any client asks, so that none is told otherwise.
            if !lock(&self.shared.effects).is_known() {
                drop(self.shared.roll(&seen).await);
            }
            self.shared.wake.notify_one();
            Ok(())
        };
        self.within("probe", probe).await?;
        Ok(ServerInfo {
            product: "Dex",
            version: None,
            api_version: None,
            bulk_list: true,
            scopes: None,
            signing_algorithms: None,
        })
    }

    async fn list(&self, _page: u32) -> Result<Page, IdpError> {
        let seen = self.within("list", self.shared.look()).await?;
        Ok(Page {
            rows: seen.observed(),
            more: false,
        })
    }

    async fn get(&self, client_id: &str, _mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        let seen = self.within("get", self.shared.look()).await?;
        Ok(seen.observed().into_iter().find(|client| client.client_id == client_id))
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        Ok(match self.change("create", Change::create(desired, secret)).await? {
            Answer::Taken => Created::Taken,
            Answer::Done | Answer::NotFound => Created::Created,
        })
    }

    async fn update(
        &self,
        _observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        if diff.recreate {
            let message = "every change is made in place: there is nothing to create anew";
            return Err(IdpError::new(IdpErrorKind::Unsupported, "update", message));
        }
        Ok(written(
            self.change("update", Change::update(desired, secret, diff)).await?,
        ))
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        let change = Change::Delete(observed.client_id.clone());
        Ok(written(self.change("delete", change).await?))
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        proof::by_invalid_code(&self.shared.issuer.http, credentials, endpoints).await
    }

    fn effect(&self, client_id: &str) -> Effect {
        lock(&self.shared.effects).of(client_id)
    }
}

fn written(answer: Answer) -> Written {
    match answer {
        Answer::Done | Answer::Taken => Written::Done,
        Answer::NotFound => Written::NotFound,
    }
}
