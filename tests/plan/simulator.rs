//! The controller's loop (`src/controller/client.rs`) over modelled parts, with trouble at any step; and the rules that no
//! step may break, checked at each.

use futures::executor::block_on;
use oidc_operator::{
    api::OIDCClientStatus,
    domain::{Endpoints, IdpErrorKind, ObservedClient, ObservedSecret, Ownership, PrivateKey, Registration},
    idp::{
        Created, Credentials, Driver as _, Written,
        memory::{Like, MemoryDriver, Operation, When},
    },
    plan::{
        self, Move, Need, Snapshot, Step, Verdict, conditions,
        rehearsal::{MAX_STEPS, Outcome},
        resolve,
        snapshot::{
            Evidence, KeptRegistration, OutputOwnership, OutputView, RegistrationView, RemoteView, WorkloadView,
        },
        step::{Note, OutputKind, Precondition},
    },
};

use crate::{
    cluster::Cluster,
    world::{KEY_PREFIX, SECRET_PREFIX, World},
};

/// What goes wrong at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The process dies before the step.
    CrashBefore,
    /// The process dies right after it.
    CrashAfter,
    /// The step is done, and its answer gets lost; the process lives.
    ReplyLost,
    /// The request does not get through; the process lives.
    NotReached,
}

pub const TROUBLES: [Trouble; 4] = [
    Trouble::CrashBefore,
    Trouble::CrashAfter,
    Trouble::ReplyLost,
    Trouble::NotReached,
];

/// How a pass ended.
#[derive(Debug)]
pub enum End {
    Settled(Box<Verdict>),
    /// The object is gone, now or before.
    Gone,
    /// The process died, or Kubernetes failed a call: nothing was reported.
    Cut,
}

/// One pass.
#[derive(Debug)]
pub struct Pass {
    pub steps: Vec<Step>,
    /// Writes that were carried out: not those that were refused.
    pub writes: usize,
    /// Events of the steps that were carried out.
    pub events: Vec<Note>,
    pub end: End,
    pub status_written: bool,
}

impl Pass {
    /// Was anything written, status included?
    pub fn wrote(&self) -> bool {
        self.status_written || self.writes > 0
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.steps.iter().map(Step::name).collect()
    }

    pub fn verdict(&self) -> &Verdict {
        match &self.end {
            End::Settled(verdict) => verdict,
            other => panic!("not settled: {other:?}"),
        }
    }
}

pub struct Simulator {
    pub world: World,
    pub cluster: Cluster,
    pub driver: MemoryDriver,
    /// Clients made and deleted at the provider, by the operator.
    pub made: usize,
    pub unmade: usize,
    /// What is kept of a client that the server named.
    pub record: RegistrationView,
    /// The OIDCClient is gone.
    pub gone: bool,
    /// What this process saw of the client at the provider.
    known: Option<ObservedClient>,
    passes: usize,
    writes: usize,
    events: Vec<Note>,
}

impl Simulator {
    pub fn new(like: Like) -> Self {
        Self {
            world: World::new(like),
            cluster: Cluster::default(),
            driver: MemoryDriver::new(like),
            made: 0,
            unmade: 0,
            record: RegistrationView::Missing,
            gone: false,
            known: None,
            passes: 0,
            writes: 0,
            events: Vec::new(),
        }
    }

    /// The process starts anew.
    pub fn restart(&mut self) {
        self.known = None;
    }

    /// The list of a resync: what it shows is known from now on, with Dex but for secrets; what is missing is not known.
    pub fn resync(&mut self) {
        let client_id = self.world.client_id();
        self.known = self
            .rows()
            .unwrap_or_default()
            .into_iter()
            .find(|row| row.client_id == client_id);
    }

    /// Somebody wipes the status (a backup was restored).
    pub fn wipe_status(&mut self) {
        self.world.client.status = OIDCClientStatus::default();
    }

    /// One pass; `trouble` strikes at the step of that number.
    pub fn pass(&mut self, trouble: Option<(usize, Trouble)>) -> Pass {
        self.passes += 1;
        self.writes = 0;
        self.events.clear();
        self.world.pass_time(1);
        let mut steps = Vec::new();
        let mut status_written = false;
        let end = if self.gone {
            End::Gone
        } else {
            let mut snapshot = self.world.snapshot(self.passes);
            let end = self.run(&mut snapshot, &mut steps, trouble);
            self.remember(&snapshot);
            if let End::Settled(verdict) = &end
                && !verdict.silent
            {
                status_written = self.report(&snapshot, verdict);
            }
            end
        };
        if steps.len() == trouble.map_or(usize::MAX, |(at, _)| at + 1)
            && trouble.is_some_and(|(_, trouble)| matches!(trouble, Trouble::CrashBefore | Trouble::CrashAfter))
        {
            self.restart();
        }
        Pass {
            steps,
            writes: self.writes,
            events: std::mem::take(&mut self.events),
            end,
            status_written,
        }
    }

    fn run(&mut self, snapshot: &mut Snapshot, steps: &mut Vec<Step>, trouble: Option<(usize, Trouble)>) -> End {
        for _ in 0..MAX_STEPS * 2 {
            match plan::next(snapshot) {
                Move::Settled(verdict) if verdict.gone => return End::Gone,
                Move::Settled(verdict) => {
                    assert_hides_secrets(&format!("{verdict:?}"));
                    return if self.gone { End::Gone } else { End::Settled(verdict) };
                }
                Move::Look(need) => self.look(snapshot, need),
                Move::Do(step) => {
                    let trouble = trouble.filter(|(at, _)| *at == steps.len()).map(|(_, trouble)| trouble);
                    steps.push((*step).clone());
                    let Some(outcome) = self.carry_out(snapshot, &step, trouble) else {
                        return End::Cut;
                    };
                    snapshot.learn(&step, outcome);
                }
            }
        }
        panic!(
            "the plan goes round in circles: {:?}",
            steps.iter().map(Step::name).collect::<Vec<_>>()
        );
    }

    fn look(&mut self, snapshot: &mut Snapshot, need: Need) {
        match need {
            Need::Outputs => snapshot.outputs = Some(self.cluster.gather(&self.world.client)),
            Need::ExistingSecret => snapshot.existing = self.world.existing(),
            Need::Rivals => snapshot.rivals = Some(self.world.rivals()),
            Need::Registration => snapshot.registration = self.record.clone(),
            Need::Effect => snapshot.memory.effect = Some(self.driver.effect(&self.world.client_id())),
            Need::Workloads => self.look_at_workloads(snapshot),
            Need::Remote | Need::FreshRemote => {
                let remote = match &self.known {
                    Some(client) if need == Need::Remote => RemoteView::Present {
                        client: client.clone(),
                        evidence: Evidence::Listed,
                    },
                    None if need == Need::Remote && !self.is_listed() => RemoteView::Unlisted,
                    _ => self.ask(),
                };
                snapshot.see_remote(remote);
            }
        }
    }

    fn look_at_workloads(&self, snapshot: &mut Snapshot) {
        for reference in self.world.client.spec.rollout_restart() {
            let seen = || self.cluster.see(reference);
            snapshot.workloads.entry(reference.clone()).or_insert_with(seen);
        }
    }

    /// Does the provider's list show the client? Where it cannot be had, nobody knows.
    fn is_listed(&self) -> bool {
        let id = self.world.client_id();
        self.rows()
            .is_none_or(|rows| rows.iter().any(|row| row.client_id == id))
    }

    /// All pages of the provider's list; `None` where it cannot be had.
    fn rows(&self) -> Option<Vec<ObservedClient>> {
        let mut rows = Vec::new();
        for page in 0.. {
            let found = block_on(self.driver.list(page)).ok()?;
            rows.extend(found.rows);
            if !found.more {
                break;
            }
        }
        Some(rows)
    }

    fn ask(&self) -> RemoteView {
        match block_on(self.driver.get(&self.world.client_id(), &self.world.mark())) {
            Ok(Some(client)) => RemoteView::Present {
                client,
                evidence: Evidence::Fresh,
            },
            Ok(None) => RemoteView::Absent,
            Err(error) => RemoteView::Failed(error),
        }
    }

    /// All that can be looked at, for a rehearsal.
    pub fn observe(&self) -> Snapshot {
        let mut snapshot = self.world.snapshot(self.passes + 1);
        snapshot.outputs = Some(self.cluster.gather(&self.world.client));
        snapshot.existing = self.world.existing();
        snapshot.rivals = Some(self.world.rivals());
        self.look_at_workloads(&mut snapshot);
        snapshot.see_remote(self.ask());
        snapshot
    }

    /// Carries out one step, as `src/controller/execute.rs` does; `None`: the pass ends here.
    fn carry_out(&mut self, snapshot: &Snapshot, step: &Step, trouble: Option<Trouble>) -> Option<Outcome> {
        self.assert_allowed(snapshot, step);
        let at_provider = operation(step);
        match trouble {
            Some(Trouble::CrashBefore) => return None,
            Some(Trouble::NotReached) if at_provider.is_none() => return None,
            Some(Trouble::NotReached) => self.fault(at_provider, IdpErrorKind::Unreachable, When::Before),
            Some(Trouble::ReplyLost) => self.fault(at_provider, IdpErrorKind::Timeout, When::After),
            Some(Trouble::CrashAfter) | None => {}
        }
        let held_before = self.valid_secret_is_held();
        let outcome = self.effect(step);
        if matches!(
            outcome,
            Outcome::Done
                | Outcome::Output(_)
                | Outcome::OutputGone
                | Outcome::Shown(_)
                | Outcome::Registration(_)
                | Outcome::Workload(WorkloadView::Found(_))
        ) {
            self.writes += usize::from(step.is_write());
            self.events.extend(step.note().cloned());
        }
        // Once the user's secret is wanted, nobody waits for what a rotation staged: the next write replaces it.
        let superseded = matches!(step, Step::DeleteOutput { name, .. } if name.ends_with("-next"))
            && (self.world.client.spec.existing_secret_ref().is_some() || self.nothing_else_is_wanted());
        // What a server names, it answers: this process holds that, and writes it down next.
        let answered = matches!(&outcome, Outcome::Shown(client) if client.registered.is_some());
        assert!(
            !held_before || superseded || answered || self.valid_secret_is_held() || self.gone,
            "nobody holds the valid secret after {}",
            step.name()
        );
        match trouble {
            Some(Trouble::CrashAfter) => None,
            Some(Trouble::ReplyLost) if at_provider.is_none() => None,
            _ => Some(outcome),
        }
    }

    /// Neither what a rotation staged, nor what the output holds, if anything, is of the kind that the client authenticates with now.
    fn nothing_else_is_wanted(&self) -> bool {
        let desired = resolve::desired(&self.world.client, &self.world.settings);
        self.secrets_of_ours()
            .filter_map(OutputView::intact_secret)
            .all(|held| !desired.takes(&held))
    }

    fn fault(&self, operation: Option<Operation>, kind: IdpErrorKind, when: When) {
        if let Some(operation) = operation {
            self.driver.fail(operation, kind, when, 1);
        }
    }

    fn effect(&mut self, step: &Step) -> Outcome {
        let client = self.world.client.clone();
        match step {
            Step::AddFinalizer => {
                self.world.client.finalizer = true;
                Outcome::Done
            }
            Step::RemoveFinalizer { .. } => {
                self.world.client.finalizer = false;
                self.gone = client.deletion.is_some();
                Outcome::Done
            }
            Step::CreateOutput { draft, .. } => self.cluster.create(&client, draft),
            Step::UpdateOutput {
                draft, precondition, ..
            } => self.cluster.update(&client, draft, precondition),
            Step::DeleteOutput {
                kind,
                name,
                precondition,
                ..
            } => self.cluster.delete(*kind, name, precondition),
            Step::UpdateWorkload {
                workload,
                precondition,
                key,
                fingerprint,
                restarted_at,
                ..
            } => self
                .cluster
                .restart(workload, precondition, (key, fingerprint), restarted_at.as_ref()),
            Step::KeepRegistration {
                record, precondition, ..
            } => self.keep_record(Some(record), precondition.as_ref()),
            Step::DropRegistration { precondition, .. } => self.keep_record(None, Some(precondition)),
            Step::Prove {
                client_id,
                secret,
                method,
                redirect_uri,
                previous: _,
                audience,
            } => {
                let credentials = Credentials {
                    client_id,
                    secret,
                    method: *method,
                    redirect_uri: redirect_uri.as_deref(),
                    audience,
                };
                Outcome::Proof(block_on(self.driver.prove(&credentials, &Endpoints::default())))
            }
            remote => self.remote_effect(remote),
        }
    }

    /// Writes the record, or deletes it, in the version that was seen.
    fn keep_record(&mut self, record: Option<&Registration>, seen: Option<&Precondition>) -> Outcome {
        let stands = match &self.record {
            RegistrationView::Kept(kept) => Some(&kept.precondition),
            _ => None,
        };
        if stands != seen {
            return Outcome::RegistrationChanged;
        }
        self.record = match record {
            None => RegistrationView::Missing,
            // By way of the Secret that it is kept in.
            Some(record) => RegistrationView::Kept(KeptRegistration {
                precondition: Precondition {
                    uid: seen.map_or_else(|| format!("record-{}", self.passes), |seen| seen.uid.clone()),
                    resource_version: Some(format!("{}-{}", self.passes, self.writes)),
                },
                record: Box::new(Registration::from_data(&record.to_data()).unwrap()),
            }),
        };
        Outcome::Registration(Box::new(self.record.clone()))
    }

    /// The ID of the client: as the server named it, where it does.
    pub fn client_id(&self) -> String {
        match &self.record {
            RegistrationView::Kept(kept) if let Some(client) = &kept.record.client => client.client_id.clone(),
            _ => self.world.client_id(),
        }
    }

    fn remote_effect(&mut self, step: &Step) -> Outcome {
        let there = |driver: &MemoryDriver, id: &str| driver.client(id).is_some();
        let id = self.client_id();
        let before = there(&self.driver, &id);
        let written = |answer| match answer {
            Ok(Written::As(client)) => Outcome::Shown(client),
            Ok(Written::Done) => Outcome::Done,
            Ok(Written::NotFound) => Outcome::Missing,
            Ok(Written::Outdated) => Outcome::Outdated,
            Err(error) => Outcome::Failed(error),
        };
        let outcome = match step {
            Step::CreateRemote { desired, secret, .. } => {
                match block_on(self.driver.create(desired, secret.as_ref())) {
                    Ok(Created::As(client)) => Outcome::Shown(client),
                    Ok(Created::Created) => Outcome::Done,
                    Ok(Created::Taken) => Outcome::Taken,
                    Err(error) if error.kind == IdpErrorKind::Taken => Outcome::Taken,
                    Err(error) => Outcome::Failed(error),
                }
            }
            Step::UpdateRemote {
                observed,
                desired,
                secret,
                diff,
                ..
            } => written(block_on(self.driver.update(observed, desired, secret.as_ref(), diff))),
            Step::DeleteRemote { observed, .. } => written(block_on(self.driver.delete(observed))),
            other => panic!("not the provider's: {other:?}"),
        };
        let after = there(&self.driver, &id);
        self.made += usize::from(!before && after);
        self.unmade += usize::from(before && !after);
        outcome
    }

    fn remember(&mut self, snapshot: &Snapshot) {
        match &snapshot.remote {
            _ if self.gone => self.known = None,
            RemoteView::Present { client, .. } => self.known = Some(client.clone()),
            RemoteView::Absent | RemoteView::Failed(_) => self.known = None,
            RemoteView::Unknown | RemoteView::Unlisted => {}
        }
    }

    fn report(&mut self, snapshot: &Snapshot, verdict: &Verdict) -> bool {
        let status = conditions::client_status(&snapshot.client, verdict, snapshot.now);
        assert_hides_secrets(&serde_json::to_string(&status).unwrap());
        let changed = status != self.world.client.status;
        self.world.client.status = status;
        changed
    }

    /// Passes, and garbage collection between them, until one writes nothing. Gives the passes that wrote.
    pub fn settle(&mut self) -> Vec<Pass> {
        let mut passes = Vec::new();
        loop {
            let living = (!self.gone).then(|| self.world.client.uid.clone());
            self.cluster.collect_garbage(living.as_deref());
            let pass = self.pass(None);
            if !pass.wrote() {
                return passes;
            }
            passes.push(pass);
            assert!(passes.len() < 6, "no end: {:?}", passes.last().map(Pass::names));
        }
    }

    /// What is valid at the provider, by [`name_of`], where this OIDCClient has a confidential client there.
    pub fn valid_secret(&self) -> Option<String> {
        let client = self.driver.client(&self.client_id())?;
        if !client.ownership(&self.world.mark()).is_ours() || !client.is_confidential() {
            return None;
        }
        match client.secret {
            ObservedSecret::Shown(secret) => Some(secret.expose().to_owned()),
            ObservedSecret::Keys(keys) => Some(keys.into_iter().collect::<Vec<_>>().join(" ")),
            ObservedSecret::Absent | ObservedSecret::NotShown => None,
        }
    }

    /// Is this valid?
    pub fn is_valid(&self, credentials: &str) -> bool {
        let name = name_of(credentials);
        self.valid_secret()
            .is_some_and(|valid| valid.split(' ').any(|valid| valid == name))
    }

    /// Does a Secret of this OIDCClient, or its user's own, hold what is valid? Else nobody could ever use it.
    fn valid_secret_is_held(&self) -> bool {
        let users = self.world.existing.as_ref().and_then(|secret| secret.value.as_deref());
        let users = users.map(|value| name_of(&String::from_utf8_lossy(value)));
        let recorded = match &self.record {
            RegistrationView::Kept(kept) => kept.record.client.as_ref(),
            _ => None,
        };
        let recorded = recorded.and_then(|client| match &client.secret {
            ObservedSecret::Shown(secret) => Some(secret.expose().to_owned()),
            _ => None,
        });
        let held = |name: &str| {
            self.secrets_of_ours()
                .any(|view| name_of(&text(view, view.client_secret_key())) == name)
                || users.as_deref() == Some(name)
                || recorded.as_deref() == Some(name)
        };
        // Of several keys one is enough.
        self.valid_secret().is_none_or(|valid| valid.split(' ').any(held))
    }

    fn secrets_of_ours(&self) -> impl Iterator<Item = &OutputView> {
        let mark = self.world.mark();
        self.cluster
            .objects
            .iter()
            .filter(|((kind, _), _)| kind == "Secret")
            .map(|(_, view)| view)
            .filter(move |view| is_ours(view.ownership(&mark)))
    }

    /// What no step may do, whatever happened before.
    fn assert_allowed(&self, snapshot: &Snapshot, step: &Step) {
        assert_hides_secrets(&format!("{step} {step:?} {:?}", step.note()));
        assert_hides_secrets(&format!("{snapshot:?}"));
        let mark = self.world.mark();
        match step {
            Step::UpdateOutput {
                draft, precondition, ..
            } => self.assert_output_is_ours(draft.kind, &draft.name, &precondition.uid),
            Step::DeleteOutput {
                kind,
                name,
                precondition,
                ..
            } => self.assert_output_is_ours(*kind, name, &precondition.uid),
            Step::CreateOutput { .. } => {
                assert!(!self.world.namespace.terminating, "{step} in a terminating namespace");
                let staged = self.secrets_of_ours().any(|view| view.immutable);
                assert!(
                    self.world.client.deletion.is_none() || staged,
                    "{step} once it is being deleted"
                );
                assert!(self.world.client.finalizer, "{step} without a finalizer");
            }
            Step::CreateRemote { .. } => assert!(self.world.client.finalizer, "{step} without a finalizer"),
            Step::UpdateRemote { desired, .. } => {
                if let Some(client) = self.driver.client(&desired.client_id) {
                    assert!(client.ownership(&mark).is_ours(), "{step}: not ours");
                }
            }
            Step::DeleteRemote { observed, diff, .. } => {
                if let Some(client) = self.driver.client(&observed.client_id) {
                    let ownership = client.ownership(&mark);
                    // What the server named carries its mark in the record.
                    let recorded = matches!(&self.record, RegistrationView::Kept(kept) if kept.record.mark == mark);
                    let may = diff.is_some() && ownership.is_ours() || ownership == Ownership::Ours || recorded;
                    assert!(may, "{step}: {ownership:?}");
                }
            }
            Step::RemoveFinalizer { left_behind } => {
                let ours = self
                    .driver
                    .client(&self.client_id())
                    .is_some_and(|client| client.ownership(&mark) == Ownership::Ours);
                // What the server named carries its mark in the record.
                let released =
                    matches!(&self.record, RegistrationView::Kept(kept) if kept.record.mark == mark.released());
                assert!(
                    !ours || released || left_behind.is_some(),
                    "{step}: a client is left, and nobody is told"
                );
            }
            Step::UpdateWorkload { workload, key, .. } => {
                assert!(self.world.settings.rollout_restart, "{step}: not allowed");
                assert!(self.world.client.deletion.is_none(), "{step} once it is being deleted");
                assert_eq!(key, "restart.oidc-operator.io/web");
                if let WorkloadView::Found(seen) = self.cluster.see(workload) {
                    let consent = seen.annotations.get("oidc-operator.io/restart-on");
                    assert!(
                        consent.is_some_and(|names| names.contains("web")),
                        "{step} without consent"
                    );
                }
            }
            Step::KeepRegistration { .. } => assert!(self.world.client.finalizer, "{step} without a finalizer"),
            Step::AddFinalizer | Step::DropRegistration { .. } | Step::Prove { .. } => {}
        }
    }

    fn assert_output_is_ours(&self, kind: OutputKind, name: &str, uid: &str) {
        if let Some(view) = self.cluster.get(kind, name).filter(|view| view.uid == uid) {
            let ownership = view.ownership(&self.world.mark());
            assert!(is_ours(ownership), "{kind} {name} is {ownership:?}");
        }
    }
}

fn is_ours(ownership: OutputOwnership) -> bool {
    matches!(ownership, OutputOwnership::Ours | OutputOwnership::Retained)
}

pub fn text(view: &OutputView, key: &str) -> String {
    view.data
        .get(key)
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .unwrap_or_default()
}

/// What a provider knows of credentials: of a private key the id of its public half, of a secret all.
pub fn name_of(credentials: &str) -> String {
    PrivateKey::parse(credentials).map_or_else(|_| credentials.to_owned(), |key| key.public().key_id())
}

pub fn assert_hides_secrets(text: &str) {
    let shown = [SECRET_PREFIX, KEY_PREFIX].iter().any(|prefix| text.contains(prefix));
    assert!(!shown, "a secret shows: {text}");
}

/// Which call to the provider a step is.
fn operation(step: &Step) -> Option<Operation> {
    match step {
        Step::CreateRemote { .. } => Some(Operation::Create),
        Step::UpdateRemote { .. } => Some(Operation::Update),
        Step::DeleteRemote { .. } => Some(Operation::Delete),
        Step::Prove { .. } => Some(Operation::Prove),
        _ => None,
    }
}
