//! One pass over one OIDCClient.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::{
    context::Context,
    execute, gather, registrations,
    registry::{Runtime, State},
    report, workloads,
};
use crate::{
    api::OIDCClient,
    domain::{ErrorClass, ResourceName},
    kubernetes::client::{KubeError, within},
    plan::{
        self, Move, Need, Requeue, Snapshot, Verdict,
        rehearsal::{MAX_STEPS, Outcome},
        resolve,
        snapshot::{ExistingView, Memory, NamespaceView, OutputsView, RegistrationView, RemoteView, WorkloadView},
    },
};

/// How a pass ended.
#[derive(Debug)]
pub enum End {
    /// Reported; look again then.
    Settled(Requeue),
    /// The object is gone.
    Gone,
    /// A test ended it, as a crash would.
    Stopped,
}

impl End {
    /// When to look again; `None`: only when something changes.
    pub fn requeue(self) -> Option<Requeue> {
        match self {
            Self::Settled(requeue) => Some(requeue),
            Self::Gone | Self::Stopped => None,
        }
    }
}

/// Why a pass could not end.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// Kubernetes failed a call.
    #[error("{0}")]
    Kubernetes(#[from] KubeError),
    /// It went round in circles.
    #[error("no end after {MAX_STEPS} steps; the last one was {last}")]
    Circle {
        /// The last step.
        last: &'static str,
    },
}

impl PassError {
    /// What it asks of the loop.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Kubernetes(error) => error.class(),
            Self::Circle { .. } => ErrorClass::Bug,
        }
    }
}

/// One pass: gathers what the plan asks for, carries out its steps one by one, and reports.
///
/// # Errors
/// When Kubernetes fails a call: nothing is reported then, and the pass is tried again.
pub async fn pass(context: &Context, name: &ResourceName) -> Result<End, PassError> {
    let Some(object) = context.objects.client(name).await else {
        return Ok(End::Gone);
    };
    if context.recent.was_let_go(&object) {
        return Ok(End::Gone);
    }
    let object = context.recent.client(object);
    let view = gather::client(&object);
    let provider_name = view.provider();
    let provider = context.objects.provider(&provider_name).await;
    let runtime = context.registry.get(&provider_name);
    let state = runtime.as_ref().map(|runtime| runtime.state());
    let namespace = match context.objects.namespace(&name.namespace).await {
        Some(namespace) => namespace,
        // Too new for the watch, or gone.
        None => namespace_now(context, &name.namespace).await?,
    };
    let client_id = resolve::client_id(&view);
    let asked = view.is_asked();
    let mut snapshot = Snapshot {
        now: Timestamp::now(),
        settings: context.settings.clone(),
        provider: gather::provider(&provider, state.as_deref()),
        supply: gather::supply(&view),
        client: view,
        namespace,
        outputs: None,
        existing: ExistingView::Unknown,
        remote: RemoteView::Unknown,
        registration: RegistrationView::Unknown,
        rivals: None,
        workloads: BTreeMap::new(),
        // A request by annotation looks at everything anew.
        memory: Memory {
            look_fresh: asked,
            ..Memory::default()
        },
    };
    let pair = runtime.as_deref().zip(state.as_deref());
    let mut pass = Pass {
        context,
        object,
        client_id: &client_id,
        provider: pair,
    };
    let end = pass.run(&mut snapshot).await;
    pass.remember(&snapshot);
    let Some(verdict) = end? else { return Ok(End::Stopped) };
    if verdict.gone {
        return Ok(End::Gone);
    }
    if !verdict.silent && !snapshot_is_gone(&snapshot) {
        report::client(context, &pass.object, &snapshot.client, &verdict, snapshot.now).await?;
    }
    Ok(End::Settled(verdict.requeue))
}

async fn namespace_now(context: &Context, name: &str) -> Result<NamespaceView, KubeError> {
    let api: Api<Namespace> = Api::all(context.kube.clone());
    let found = within(&context.metrics, "get namespaces", api.get_opt(name)).await?;
    Ok(found
        .map(|namespace| gather::namespace(&namespace.metadata))
        .unwrap_or_default())
}

/// Once the finalizer of a deleted object is off, the object is gone.
fn snapshot_is_gone(snapshot: &Snapshot) -> bool {
    snapshot.client.deletion.is_some() && !snapshot.client.finalizer
}

struct Pass<'a> {
    context: &'a Context,
    object: Arc<OIDCClient>,
    client_id: &'a str,
    provider: Option<(&'a Runtime, &'a State)>,
}

impl Pass<'_> {
    /// Moves until the plan settles; `None`: ended by a test.
    async fn run(&mut self, snapshot: &mut Snapshot) -> Result<Option<Verdict>, PassError> {
        let mut last = "none";
        for _ in 0..MAX_STEPS * 2 {
            match plan::next(snapshot) {
                Move::Settled(verdict) => return Ok(Some(*verdict)),
                Move::Look(need) => self.look(snapshot, need).await?,
                Move::Do(step) => {
                    last = step.name();
                    if !self.context.gate.before(&step).await {
                        return Ok(None);
                    }
                    let outcome = self.carry_out(snapshot, &step).await?;
                    if !self.context.gate.after(&step).await {
                        return Ok(None);
                    }
                    snapshot.learn(&step, outcome);
                    if matches!(*step, plan::Step::CreateOutput { .. } | plan::Step::UpdateOutput { .. }) {
                        // Its random values are used up, even if somebody deletes it again in this very pass.
                        snapshot.supply = gather::supply(&snapshot.client);
                    }
                }
            }
        }
        Err(PassError::Circle { last })
    }

    async fn look(&self, snapshot: &mut Snapshot, need: Need) -> Result<(), KubeError> {
        match need {
            Need::Outputs => snapshot.outputs = Some(self.outputs(snapshot).await?),
            Need::ExistingSecret => {
                snapshot.existing = gather::existing_secret(self.context, &snapshot.client).await?;
            }
            Need::Remote | Need::FreshRemote => {
                let remote = match self.provider {
                    Some((runtime, state)) => {
                        let mark = resolve::mark(&snapshot.client, &snapshot.settings);
                        let seen_as = snapshot.client.status.remote.as_ref().map(|remote| remote.id.as_str());
                        let fresh = need == Need::FreshRemote;
                        gather::remote(runtime, state, self.client_id, &mark, seen_as, fresh).await
                    }
                    None => RemoteView::Absent,
                };
                snapshot.see_remote(remote);
            }
            Need::Rivals => {
                let provider = snapshot.client.provider();
                snapshot.rivals = Some(self.context.objects.clients_with(&provider, self.client_id).await);
            }
            Need::Registration => snapshot.registration = registrations::look(self.context, &snapshot.client).await?,
            Need::Effect => snapshot.memory.effect = Some(gather::effect(self.provider, self.client_id)),
            Need::Workloads => workloads::look(self.context, snapshot).await,
        }
        Ok(())
    }

    async fn outputs(&self, snapshot: &Snapshot) -> Result<OutputsView, KubeError> {
        gather::outputs(self.context, &snapshot.client).await
    }

    async fn carry_out(&mut self, snapshot: &Snapshot, step: &plan::Step) -> Result<Outcome, KubeError> {
        tracing::debug!(client = %snapshot.client.name, %step, "step");
        let answer = execute::step(self.context, &snapshot.client, &self.object, self.provider, step).await;
        let failed = |outcome: &Outcome| {
            matches!(
                outcome,
                Outcome::Failed(_) | Outcome::OutputRefused(_) | Outcome::Workload(WorkloadView::Failed { .. })
            )
        };
        let ok = answer.as_ref().is_ok_and(|outcome| !failed(outcome));
        self.context.metrics.step(step.name(), ok);
        if step.is_write() {
            tracing::info!(client = %snapshot.client.name, step = step.name(), ok, "wrote");
        }
        let outcome = answer?;
        if matches!(step, plan::Step::AddFinalizer) {
            self.object = self.context.recent.client(self.object.clone());
        }
        if let Some(note) = step.note()
            && matches!(
                outcome,
                Outcome::Done
                    | Outcome::Shown(_)
                    | Outcome::Output(_)
                    | Outcome::OutputGone
                    | Outcome::Registration(_)
                    | Outcome::Workload(WorkloadView::Found(_))
            )
        {
            let provider = self.provider.map(|(runtime, _)| runtime);
            report::note(self.context, &self.object, provider, snapshot, note);
        }
        Ok(outcome)
    }

    /// Keeps what was seen of the client at the provider for the next pass.
    fn remember(&self, snapshot: &Snapshot) {
        let Some((runtime, _)) = self.provider else { return };
        if snapshot_is_gone(snapshot) {
            runtime.forget(self.client_id);
            return;
        }
        match &snapshot.remote {
            // What is known of it is in its record.
            _ if snapshot.registers() => {}
            RemoteView::Present { client, .. } => runtime.remember(self.client_id, Some(client.clone())),
            RemoteView::Absent | RemoteView::Failed(_) => runtime.remember(self.client_id, None),
            RemoteView::Unknown | RemoteView::Unlisted => {}
        }
    }
}
