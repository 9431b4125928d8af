//! What a step's answer means for the snapshot, and a whole sequence played without any IO.

use std::fmt;

use super::{
    client,
    snapshot::{
        Evidence, KeptRegistration, OutputView, OutputsView, OwnerView, RegistrationView, RemoteView, Snapshot,
        WorkloadView,
    },
    step::{Move, Need, OutputDraft, OutputKind, Precondition, Step},
    verdict::{Finding, Verdict},
};
use crate::{
    api::{Reason, client::WorkloadReference},
    domain::{ErrorClass, IdpError, IdpErrorKind, ObservedClient, Proof, model::SECRET},
};

/// How often a pass looks again at workloads that somebody else changes at the same time.
const WORKLOAD_CONFLICTS_AT_MOST: u32 = 4;

/// What became of a step.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It was done; for outputs see the other variants.
    Done,
    /// It was done, and the provider shows the client like this.
    Shown(Box<ObservedClient>),
    /// The output as it stands now.
    Output(Box<OutputView>),
    /// The output is gone.
    OutputGone,
    /// The output is not what was seen: look again.
    OutputChanged,
    /// Kubernetes refuses the output for good.
    OutputRefused(String),
    /// The client ID is taken.
    Taken,
    /// The client is not there any more.
    Missing,
    /// The client at the provider is not as it was looked at any more: nothing was done.
    Outdated,
    /// The call to the provider failed.
    Failed(IdpError),
    /// What the proof said.
    Proof(Proof),
    /// The workload as it stands now, is gone, or could not be changed.
    Workload(WorkloadView),
    /// The workload is not what was seen: look again.
    WorkloadChanged,
    /// The record of a registration as it stands now.
    Registration(Box<RegistrationView>),
    /// The record is not what was seen: look again.
    RegistrationChanged,
}

impl Snapshot {
    /// The snapshot after `step` had `outcome`. Pure: what was answered is the newest observation.
    pub fn learn(&mut self, step: &Step, outcome: Outcome) {
        match (step, outcome) {
            (Step::CreateOutput { draft, .. }, Outcome::OutputChanged) => self.learn_conflict(draft),
            (_, Outcome::OutputChanged) => self.outputs = None,
            (_, Outcome::OutputRefused(why)) => {
                self.memory.output_refused = Some(Finding::no(Reason::OutputRefused, why));
            }
            (Step::AddFinalizer, _) => {
                self.client.finalizer = true;
                self.memory.finalizer_added = true;
            }
            (Step::RemoveFinalizer { .. }, _) => self.client.finalizer = false,
            (Step::CreateOutput { draft, .. } | Step::UpdateOutput { draft, .. }, Outcome::Output(view)) => {
                let list = self.outputs_of(draft.kind);
                list.retain(|output| output.name != view.name);
                list.push(*view);
            }
            (Step::DeleteOutput { kind, name, .. }, _) => self.outputs_of(*kind).retain(|output| output.name != *name),
            // An output that vanished while it was written.
            (Step::CreateOutput { .. } | Step::UpdateOutput { .. }, _) => self.outputs = None,
            (Step::Prove { previous: true, .. }, Outcome::Proof(proof)) => self.learn_previous(proof),
            (Step::Prove { secret, .. }, Outcome::Proof(proof)) => {
                // Refused in an earlier pass, and set again then: once more would not help. Elsewhere, only a person or the server can set it.
                if self.credentials_were_refused() || self.made_by_hand() || self.registers() {
                    self.memory.proof = Some((secret.digest(), proof));
                } else {
                    self.memory.learn_proof(secret.digest(), proof);
                }
            }
            (Step::Prove { .. }, _) => {}
            (Step::UpdateWorkload { workload, .. }, outcome) => self.learn_workload(workload, outcome),
            (Step::KeepRegistration { record, .. }, Outcome::Registration(view)) => {
                self.registration = *view;
                if record.client.is_none() {
                    self.memory.staged = Some(record.attempt.clone());
                }
            }
            (Step::DropRegistration { .. }, Outcome::Registration(view)) => self.registration = *view,
            (Step::KeepRegistration { .. } | Step::DropRegistration { .. }, _) => {
                self.registration = RegistrationView::Unknown;
            }
            (remote, outcome) => self.learn_remote(remote, outcome),
        }
    }

    /// A provider without overlap accepts the wish and drops it.
    fn learn_previous(&mut self, proof: Proof) {
        if let (Proof::Disproven, RemoteView::Present { client, .. }) = (&proof, &mut self.remote) {
            client.validity.previous_until = None;
        }
        if let Proof::Unknown(_) = proof
            && self.memory.previous_unknown < 1
        {
            self.memory.previous_unknown += 1;
        } else {
            self.memory.previous_proof = Some(proof);
        }
    }

    fn learn_workload(&mut self, workload: &WorkloadReference, outcome: Outcome) {
        let seen = match outcome {
            Outcome::Workload(view) => Some(view),
            // Its controller writes its status while it rolls out: that is no reason to give up at once.
            _ if self.memory.workload_conflicts < WORKLOAD_CONFLICTS_AT_MOST => {
                self.memory.workload_conflicts += 1;
                None
            }
            _ => Some(WorkloadView::Failed {
                message: "it is being changed by somebody else; tried again soon".to_owned(),
                class: ErrorClass::Transient,
            }),
        };
        match seen {
            Some(view) => drop(self.workloads.insert(workload.clone(), view)),
            None => drop(self.workloads.remove(workload)),
        }
    }

    fn learn_remote(&mut self, step: &Step, outcome: Outcome) {
        self.memory.effect = None;
        match (step, outcome) {
            (Step::CreateRemote { .. } | Step::UpdateRemote { .. }, Outcome::Failed(error))
                if error.kind == IdpErrorKind::Refused =>
            {
                self.memory.refused = Some((Reason::RefusedByProvider, error.to_string()));
            }
            (_, Outcome::Failed(error)) => self.remote = RemoteView::Failed(error),
            (
                Step::CreateRemote { desired, secret, .. } | Step::UpdateRemote { desired, secret, .. },
                outcome @ (Outcome::Done | Outcome::Shown(_)),
            ) => {
                let changes = match step {
                    Step::UpdateRemote { observed, diff, .. } => Some((observed, diff)),
                    _ => None,
                };
                if let Outcome::Shown(client) = outcome {
                    self.remote = RemoteView::Present {
                        client: *client,
                        evidence: Evidence::Fresh,
                    };
                } else if let super::snapshot::ProviderView::Present(provider) = &self.provider
                    && let Some(model) = &provider.model
                {
                    let wanted = model.0.created(desired, secret.as_ref());
                    let client = match changes {
                        Some((observed, diff)) => observed.as_ref().clone().with(diff, &wanted),
                        None => wanted,
                    };
                    self.remote = RemoteView::Present {
                        client,
                        evidence: Evidence::Fresh,
                    };
                }
                self.memory.update_told |= changes.is_some();
                if changes.is_none_or(|(_, diff)| diff.changes(SECRET)) {
                    self.memory.learn_secret_written();
                }
            }
            (Step::DeleteRemote { diff, .. }, Outcome::Done | Outcome::Missing) => {
                self.remote = RemoteView::Absent;
                self.memory.deleted_to_recreate = diff.is_some();
            }
            (_, Outcome::Taken) if self.memory.taken => {
                // Looked at in between, and there was nothing.
                self.remote = RemoteView::Failed(IdpError::new(
                    IdpErrorKind::Protocol,
                    "create",
                    "the provider says that the client ID, or the identifier made for it, is taken, and shows no such client",
                ));
            }
            // Taken, or gone meanwhile: whatever was known is not true any more.
            (_, outcome) => {
                self.memory.taken |= matches!(outcome, Outcome::Taken);
                self.remote = RemoteView::Unknown;
                self.memory.look_fresh = true;
            }
        }
    }

    /// Something stands under the name of an output that was to be made. It may have been made a moment ago: looks once
    /// more; what cannot be found on the label nor by its name is not ours.
    fn learn_conflict(&mut self, draft: &OutputDraft) {
        self.outputs = None;
        let (kind, name) = (draft.kind, draft.name.clone());
        let again = self.memory.output_conflict.replace((kind, name.clone())) == Some((kind, name.clone()));
        self.memory.output_refused = again.then(|| super::outputs::not_owned(&kind.to_string(), &name));
    }

    fn credentials_were_refused(&self) -> bool {
        self.client.status.conditions.iter().any(|condition| {
            condition.type_ == "CredentialsVerified" && condition.reason == Reason::CredentialsRefused.as_str()
        })
    }

    fn outputs_of(&mut self, kind: OutputKind) -> &mut Vec<OutputView> {
        let outputs = self.outputs.get_or_insert_with(OutputsView::default);
        match kind {
            OutputKind::Secret => &mut outputs.secrets,
            OutputKind::ConfigMap => &mut outputs.config_maps,
        }
    }

    /// Notes what a look at the provider showed.
    pub fn see_remote(&mut self, remote: RemoteView) {
        self.remote = remote;
        self.memory.look_fresh = false;
    }
}

/// The steps from here to the goal, if every request succeeds and nothing else happens. Prints as a diff.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What must be read before more can be said.
    pub need: Option<Need>,
    /// How it ends; `None` where something must be read first.
    pub verdict: Option<Verdict>,
}

/// More steps than any sequence has: a plan that needs more goes round in circles.
pub const MAX_STEPS: usize = 32;

/// Plays the sequence against the snapshot alone.
pub fn rehearse(mut snapshot: Snapshot) -> Plan {
    let mut plan = Plan {
        steps: Vec::new(),
        need: None,
        verdict: None,
    };
    while plan.steps.len() < MAX_STEPS {
        match client::next(&snapshot) {
            Move::Look(need) => {
                plan.need = Some(need);
                return plan;
            }
            Move::Settled(verdict) => {
                plan.verdict = Some(*verdict);
                return plan;
            }
            Move::Do(step) => {
                let outcome = expected(&step, &snapshot);
                snapshot.learn(&step, outcome);
                plan.steps.push(*step);
            }
        }
    }
    plan
}

/// The answer that a step gets where nothing goes wrong.
pub fn expected(step: &Step, snapshot: &Snapshot) -> Outcome {
    match step {
        Step::CreateOutput { draft, .. } | Step::UpdateOutput { draft, .. } => {
            Outcome::Output(Box::new(written(draft, snapshot)))
        }
        Step::DeleteOutput { .. } => Outcome::OutputGone,
        Step::Prove { .. } => Outcome::Proof(Proof::Proven),
        Step::UpdateWorkload {
            workload,
            key,
            fingerprint,
            ..
        } => Outcome::Workload(noted(snapshot.workloads.get(workload), key, fingerprint)),
        Step::KeepRegistration {
            record, precondition, ..
        } => Outcome::Registration(Box::new(RegistrationView::Kept(KeptRegistration {
            precondition: kept_version(precondition.as_ref()),
            record: record.clone(),
        }))),
        Step::DropRegistration { .. } => Outcome::Registration(Box::new(RegistrationView::Missing)),
        Step::CreateRemote { desired, .. } if desired.attempt.is_some() => {
            Outcome::Shown(Box::new(registered(desired, snapshot)))
        }
        _ => Outcome::Done,
    }
}

/// A client as a server might register it.
fn registered(desired: &crate::domain::DesiredClient, snapshot: &Snapshot) -> ObservedClient {
    let named = crate::domain::DesiredClient {
        client_id: "named-by-the-server".to_owned(),
        ..desired.clone()
    };
    let super::snapshot::ProviderView::Present(provider) = &snapshot.provider else {
        unreachable!("a step at a provider that is not known");
    };
    let Some(model) = &provider.model else {
        unreachable!("a step at a provider that is not known");
    };
    model.0.created(&named, Some(&snapshot.supply.secret))
}

/// The version of a record once it was written.
fn kept_version(seen: Option<&Precondition>) -> Precondition {
    let version = seen.and_then(|seen| seen.resource_version.as_ref());
    Precondition {
        uid: seen.map_or_else(|| "uid-of-the-record".to_owned(), |seen| seen.uid.clone()),
        resource_version: Some(version.map_or_else(|| "1".to_owned(), |version| format!("{version}+"))),
    }
}

/// A workload as it looks once it was written.
fn noted(seen: Option<&WorkloadView>, key: &str, fingerprint: &str) -> WorkloadView {
    match seen.cloned() {
        Some(WorkloadView::Found(mut workload)) => {
            workload.annotations.insert(key.to_owned(), fingerprint.to_owned());
            workload.resource_version.push('+');
            WorkloadView::Found(workload)
        }
        other => other.unwrap_or(WorkloadView::Missing),
    }
}

/// An output as it looks once it was written.
fn written(draft: &OutputDraft, snapshot: &Snapshot) -> OutputView {
    let outputs = snapshot.outputs.clone().unwrap_or_default();
    let list = match draft.kind {
        OutputKind::Secret => outputs.secrets,
        OutputKind::ConfigMap => outputs.config_maps,
    };
    let old = list.into_iter().find(|output| output.name == draft.name);
    let mut labels = old.as_ref().map(|old| old.labels.clone()).unwrap_or_default();
    let mut annotations = old.as_ref().map(|old| old.annotations.clone()).unwrap_or_default();
    for key in &draft.dropped {
        labels.remove(key);
        annotations.remove(key);
    }
    labels.extend(draft.labels.clone());
    annotations.extend(draft.annotations.clone());
    let owner = OwnerView {
        is_client: true,
        name: snapshot.client.name.name.clone(),
        uid: snapshot.client.uid.clone(),
    };
    OutputView {
        name: draft.name.clone(),
        uid: old
            .as_ref()
            .map_or_else(|| format!("uid-of-{}", draft.name), |old| old.uid.clone()),
        resource_version: old
            .as_ref()
            .map_or("1".to_owned(), |old| format!("{}+", old.resource_version)),
        terminating: false,
        owners: if draft.owned { vec![owner] } else { Vec::new() },
        labels,
        annotations,
        data: draft.data.clone(),
        type_: (draft.kind == OutputKind::Secret).then(|| draft.type_.as_str().to_owned()),
        immutable: draft.immutable,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() && self.need.is_none() {
            return f.write_str("nothing to do");
        }
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{step}")?;
        }
        if let Some(need) = self.need {
            write!(
                f,
                "{}(then: look at {need:?})",
                if self.steps.is_empty() { "" } else { "\n" }
            )?;
        }
        Ok(())
    }
}
