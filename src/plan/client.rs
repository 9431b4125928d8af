//! The next thing to do for one OIDCClient. The order of writes is the design's: each step may be the last one that ran.

use std::sync::Arc;

use super::{
    checks, conditions, deletion,
    drafts::{self, Context, Credential},
    outputs::{self, Outputs},
    overlap::{self, Former},
    publishing::{TYPE_CHANGES, delete_output},
    registration, resolve,
    schedule::Schedule,
    snapshot::{Evidence, PresentProvider, ProviderView, RemoteView, Snapshot},
    step::{Move, Need, Note, OutputKind, Step},
    verdict::{Finding, Requeue, Verdict},
};
use crate::{
    api::Reason,
    domain::{
        Assessment, DesiredClient, Effect, ErrorClass, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof,
        ProviderFacts, RemoteDiff, SecretKind,
        model::{FieldChange, RotationCapability, SECRET},
    },
};

/// Names the next thing to do.
pub fn next(snapshot: &Snapshot) -> Move {
    if snapshot.client.deletion.is_some() {
        return deletion::next(snapshot);
    }
    if snapshot.namespace.terminating {
        // Nothing is made or rotated there; the object's own deletion comes next.
        return silent(Requeue::Never);
    }
    let provider = match &snapshot.provider {
        ProviderView::NotFound => return provider_not_found(snapshot),
        ProviderView::Starting => return silent(Requeue::Never),
        ProviderView::Unreadable => return provider_unreadable(snapshot),
        ProviderView::Present(provider) => provider,
    };
    if let Some(finding) = checks::provider(&snapshot.client, &snapshot.namespace, provider) {
        let mut verdict = Verdict::new(Requeue::Resync(provider.resync));
        match finding.reason {
            Reason::ProviderNotReady => verdict.reconciling = Some((finding.reason, finding.message.clone())),
            _ => verdict.stalled = Some((finding.reason, finding.message.clone())),
        }
        verdict.provider_resolved = Some(finding);
        return settled(verdict);
    }
    let (Some(facts), Some(model)) = (&provider.facts, &provider.model) else {
        return silent(Requeue::Never);
    };
    Work::new(snapshot, provider, facts, model.0.as_ref()).next()
}

fn silent(requeue: Requeue) -> Move {
    let mut verdict = Verdict::new(requeue);
    verdict.silent = true;
    settled(verdict)
}

pub(super) fn settled(verdict: Verdict) -> Move {
    Move::Settled(Box::new(verdict))
}

pub(super) fn step(step: Step) -> Move {
    Move::Do(Box::new(step))
}

fn provider_not_found(snapshot: &Snapshot) -> Move {
    let name = snapshot.client.provider();
    let message = format!("There is no OIDCProvider {name}. Create it, or make a new OIDCClient that names another");
    let mut verdict = Verdict::new(Requeue::Never);
    verdict.stalled = Some((Reason::ProviderNotFound, message.clone()));
    verdict.provider_resolved = Some(Finding::no(Reason::ProviderNotFound, message));
    settled(verdict)
}

fn provider_unreadable(snapshot: &Snapshot) -> Move {
    let finding = checks::provider_not_ready(&snapshot.client.provider());
    let mut verdict = Verdict::new(Requeue::Never);
    verdict.reconciling = Some((finding.reason, finding.message.clone()));
    verdict.provider_resolved = Some(finding);
    settled(verdict)
}

/// What a failed call to the provider means for the object: it keeps what it has, and says why work goes on.
pub(super) fn failed(error: &IdpError, mut verdict: Verdict, provisioned_before: bool) -> Move {
    let (reason, why) = describe(error);
    verdict.reconciling = Some((reason, why.clone()));
    if !provisioned_before {
        verdict.provisioned = Some(Finding::unknown(reason, why));
    }
    verdict.requeue = Requeue::after(error);
    settled(verdict)
}

/// Reason and message of a failed call. Tenants see the kind, not the admin API's own words.
pub(super) fn describe(error: &IdpError) -> (Reason, String) {
    let (reason, what) = match error.kind {
        IdpErrorKind::Unreachable => (Reason::Unreachable, "cannot be reached"),
        IdpErrorKind::Timeout => (Reason::Timeout, "did not answer in time"),
        IdpErrorKind::Tls => (Reason::TLSFailed, "could not be reached over TLS"),
        IdpErrorKind::Unauthorized => (Reason::Unauthorized, "refuses the operator's credentials"),
        IdpErrorKind::Forbidden => (Reason::Forbidden, "gives the operator too few rights"),
        IdpErrorKind::RealmNotFound => (Reason::RealmNotFound, "does not know the realm any more"),
        IdpErrorKind::Throttled => (Reason::Throttled, "asks the operator to slow down"),
        IdpErrorKind::Protocol => (Reason::UnexpectedAnswer, "answers something else than expected"),
        IdpErrorKind::Server => (Reason::ServerError, "failed"),
        IdpErrorKind::Unsupported => (Reason::Unsupported, "cannot do that"),
        IdpErrorKind::Configuration => (Reason::InvalidConfiguration, "is not set up as it must be"),
        IdpErrorKind::RollingOut => (Reason::RollingOut, "is not set up yet"),
        IdpErrorKind::Taken | IdpErrorKind::Refused => (Reason::RefusedByProvider, "refuses it"),
    };
    (
        reason,
        format!(
            "{}: the provider's admin API {what}; the operator keeps trying",
            error.operation
        ),
    )
}

/// One pass over an OIDCClient whose provider is ready.
pub(super) struct Work<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) provider: &'a PresentProvider,
    pub(super) facts: Arc<ProviderFacts>,
    pub(super) model: &'a dyn Model,
    pub(super) desired: DesiredClient,
    requested_scopes: Vec<String>,
    pub(super) mark: Mark,
    /// What the provider makes of the spec.
    assessment: Assessment,
    /// The rotation by the clock, where there is one; or why it cannot be read.
    pub(super) schedule: Result<Option<Schedule>, Finding>,
}

impl<'a> Work<'a> {
    fn new(
        snapshot: &'a Snapshot,
        provider: &'a PresentProvider,
        facts: &'a Arc<ProviderFacts>,
        model: &'a dyn Model,
    ) -> Self {
        let mut desired = resolve::desired(&snapshot.client, &snapshot.settings);
        if model.registers() {
            desired.client_id = registration::client_id(snapshot);
        }
        let requested_scopes = desired.requested_scopes(model.refresh_needs_offline_access());
        let mark = desired.mark.clone();
        let facts = model.facts_of(&desired.client_id, facts);
        let client = &snapshot.client;
        let rotation = client.spec.rotation();
        Self {
            snapshot,
            provider,
            assessment: model.assess(&desired, &facts),
            facts,
            model,
            desired,
            requested_scopes,
            mark,
            schedule: rotation.map(|spec| Schedule::new(spec, &client.uid)).transpose(),
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            client: &self.snapshot.client,
            mark: &self.mark,
            desired: &self.desired,
            requested_scopes: &self.requested_scopes,
            facts: &self.facts,
        }
    }

    fn next(&self) -> Move {
        let by_hand = self.model.made_by_hand();
        let refused = by_hand
            .then(|| checks::by_hand(&self.snapshot.client))
            .flatten()
            .or_else(|| {
                self.model
                    .registers()
                    .then(|| registration::refused(&self.snapshot.client))
                    .flatten()
            })
            .or_else(|| checks::acceptance(&self.snapshot.client, &self.desired, &self.assessment))
            .or_else(|| checks::ca_bundle(&self.snapshot.client, &self.facts))
            .or_else(|| self.schedule.as_ref().err().cloned());
        if let Some(finding) = refused {
            return self.refused(finding);
        }
        let check = || drafts::check(self.context(), &self.snapshot.supply.secret);
        if let Err(finding) = self.snapshot.memory.can_render.get_or_init(check) {
            return self.refused(finding.clone());
        }
        if let Some(waiting) = self.wait_for_existing() {
            return waiting;
        }
        let Some(found) = &self.snapshot.outputs else {
            return Move::Look(Need::Outputs);
        };
        let client = &self.snapshot.client;
        let outputs = match outputs::sort(found, &self.mark, &client.secret_name(), &client.config_map_name()) {
            Ok(outputs) => outputs,
            Err(finding) => return self.outputs_unusable(finding),
        };
        if let Some(finding) = &self.snapshot.memory.output_refused {
            return self.outputs_unusable(finding.clone());
        }
        if self.model.registers() {
            return self.next_registered(&outputs);
        }
        let remote = match &self.snapshot.remote {
            // Nothing is looked at there.
            _ if by_hand => None,
            _ if self.snapshot.memory.look_fresh => return Move::Look(Need::FreshRemote),
            RemoteView::Unknown => return Move::Look(Need::Remote),
            RemoteView::Failed(error) => {
                let was_provisioned = client.status.remote.is_some();
                return failed(error, self.verdict(Requeue::Never), was_provisioned);
            }
            RemoteView::Unlisted if client.finalizer && !self.snapshot.memory.finalizer_added => {
                return Move::Look(Need::FreshRemote);
            }
            RemoteView::Absent | RemoteView::Unlisted => None,
            RemoteView::Present { client, evidence } => Some((client, *evidence)),
        };
        if let Some((observed, evidence)) = remote
            && !observed.ownership(&self.mark).is_ours()
        {
            return if evidence == Evidence::Fresh {
                self.taken(&outputs)
            } else {
                Move::Look(Need::FreshRemote)
            };
        }
        // A list need not show the provider's id. Where status does not remember it, a look tells it.
        let remembered = client.status.remote.as_ref().map(|remote| remote.id.as_str());
        if let Some((observed, Evidence::Listed)) = remote
            && observed.remote_id.is_empty()
            && remembered.is_none_or(str::is_empty)
        {
            return Move::Look(Need::FreshRemote);
        }
        if remote.is_none() && !by_hand {
            let Some(rivals) = &self.snapshot.rivals else {
                return Move::Look(Need::Rivals);
            };
            if let Some(finding) = checks::rival(client, rivals) {
                return self.never_made(&outputs).unwrap_or_else(|| self.not_ours(finding));
            }
        }
        if let Some((reason, why)) = &self.snapshot.memory.refused {
            // A client that is there was made: its secret stays with those who hold it.
            let never_made = remote.is_none().then(|| self.never_made(&outputs)).flatten();
            return never_made.unwrap_or_else(|| {
                let again = if remote.is_none() && outputs.secret.is_none() {
                    "; tried again once the spec changes, or the annotation oidc-operator.io/reconcile-requested does"
                } else {
                    ""
                };
                self.refused(Finding::no(*reason, format!("{why}{again}")))
            });
        }
        if remote.is_none()
            && let Some(finding) = self.refused_before(&outputs)
        {
            return self.refused(finding);
        }
        if !client.finalizer {
            return step(Step::AddFinalizer);
        }
        if let Some(first) = self.note_workloads(&outputs) {
            return first;
        }
        self.bring(&outputs, remote)
            .or_else(|| self.restart_workloads(&outputs))
            .unwrap_or_else(|| self.prove_and_settle(&outputs, remote.map(|(observed, _)| observed)))
    }

    /// The steps that bring outputs and client to the spec, in the design's order; `None`: all is there.
    fn bring(&self, outputs: &Outputs<'_>, remote: Option<(&ObservedClient, Evidence)>) -> Option<Move> {
        if !self.desired.has_secret() {
            return self.bring_public(outputs, remote);
        }
        if let Some(secret) = self.existing_secret() {
            return self.bring_existing(&secret, outputs, remote);
        }
        if let Some((staged, target)) = &outputs.next {
            return Some(self.finish_rotation(outputs, staged, target, remote));
        }
        let credential = match self.credential(outputs, remote.map(|(observed, _)| observed)) {
            Ok(credential) => credential,
            Err(write) => return Some(write),
        };
        self.remote(Some(&credential), remote)
            .or_else(|| self.secret_up_to_date(outputs, Some(&credential)))
            .or_else(|| self.config_map_up_to_date(outputs))
    }

    /// Public: the provider first, then the Secret's key goes; a staged secret serves nobody any more.
    fn bring_public(&self, outputs: &Outputs<'_>, remote: Option<(&ObservedClient, Evidence)>) -> Option<Move> {
        let name = self.snapshot.client.secret_name();
        let name_is_free = outputs.next.as_ref().is_none_or(|(staged, _)| staged.name != name);
        if outputs.secret.is_none() && name_is_free {
            return Some(self.create_secret(outputs, &name, None));
        }
        if let Some(seen) = outputs.secret.filter(|seen| !self.has_type(seen)) {
            return Some(delete_output(OutputKind::Secret, seen, TYPE_CHANGES));
        }
        self.remote(None, remote)
            .or_else(|| self.secret_up_to_date(outputs, None))
            .or_else(|| {
                let (staged, _) = outputs.next.as_ref()?;
                Some(delete_output(OutputKind::Secret, staged, "the client is public now"))
            })
            .or_else(|| self.config_map_up_to_date(outputs))
    }

    /// Brings the client at the provider to the spec; `None`: it is.
    pub(super) fn remote(
        &self,
        credential: Option<&Credential>,
        remote: Option<(&ObservedClient, Evidence)>,
    ) -> Option<Move> {
        self.remote_with(credential, Former::default(), remote)
    }

    /// The same, where the secret that a new one replaces may stay valid for a time, or must not.
    pub(super) fn remote_with(
        &self,
        credential: Option<&Credential>,
        former: Former,
        remote: Option<(&ObservedClient, Evidence)>,
    ) -> Option<Move> {
        if self.model.made_by_hand() {
            return None;
        }
        let secret = credential.map(|credential| credential.secret.clone());
        let desired = Box::new(DesiredClient {
            previous_key: overlap::previous_key(&former, credential),
            // What has to be made has no former secret.
            previous: former.previous.filter(|_| remote.is_some() && !self.desired.has_key()),
            ..self.desired.clone()
        });
        let client_id = &desired.client_id;
        let Some((observed, evidence)) = remote else {
            let note = if self.snapshot.memory.deleted_to_recreate {
                Note {
                    warning: false,
                    reason: Reason::Recreated,
                    message: format!(
                        "Client {client_id} was made anew, because this provider cannot change it in place"
                    ),
                }
            } else if self.snapshot.client.status.remote.is_some() {
                Note {
                    warning: true,
                    reason: Reason::Restored,
                    message: format!(
                        "Client {client_id} was gone at the provider; it was made again, with the credentials in its Secret"
                    ),
                }
            } else {
                Note {
                    warning: false,
                    reason: Reason::Created,
                    message: format!("Client {client_id} was created at the provider"),
                }
            };
            return Some(step(Step::CreateRemote { desired, secret, note }));
        };
        let mut diff = self.model.diff(&desired, secret.as_ref(), observed);
        // The provider refuses a secret that it claims to hold, or lets a former one be valid: it is written once more.
        let why = match (self.snapshot.memory.set_again, former.must_end) {
            (true, _) => Some("refused"),
            (false, true) => Some("ours, beside a former one"),
            (false, false) => None,
        };
        if let Some(why) = why {
            diff.changes.retain(|change| change.field != SECRET);
            diff.changes.push(FieldChange {
                field: SECRET.to_owned(),
                from: why.into(),
                to: "ours".into(),
            });
        }
        if self.snapshot.memory.set_again {
            diff.recreate |= self.model.capabilities().rotation == RotationCapability::Recreate;
        }
        if diff.changes.is_empty() {
            return None;
        }
        if evidence != Evidence::Fresh {
            return Some(Move::Look(Need::FreshRemote));
        }
        let observed = Box::new(observed.clone());
        Some(step(if diff.recreate {
            Step::DeleteRemote {
                observed,
                diff: Some(diff),
                note: None,
            }
        } else {
            // One Event names all that differs, however many requests it takes.
            let note = (!self.snapshot.memory.update_told).then(|| Note {
                warning: false,
                reason: Reason::Updated,
                message: changed(client_id, &diff),
            });
            Step::UpdateRemote {
                observed,
                desired,
                secret,
                diff: self.model.next_request(diff),
                note,
            }
        }))
    }

    /// The provider's id of the client, which not every list shows.
    fn remote_id(&self, observed: &ObservedClient) -> String {
        match &self.snapshot.client.status.remote {
            Some(remembered) if observed.remote_id.is_empty() => remembered.id.clone(),
            _ => observed.remote_id.clone(),
        }
    }

    /// Everything stands: tries the credentials where that is due, and reports.
    fn prove_and_settle(&self, outputs: &Outputs<'_>, remote: Option<&ObservedClient>) -> Move {
        let effect = match self.effect() {
            Ok(effect) => effect,
            Err(look) => return look,
        };
        let mut verdict = self.verdict(Requeue::Resync(self.provider.resync));
        let client_id = &self.desired.client_id;
        let disabled = remote.is_some_and(|observed| observed.disabled);
        verdict.provisioned = Some(if disabled {
            Finding::no(
                Reason::ClientDisabled,
                format!(
                    "Client {client_id} was switched off at the provider: nobody can log in with it. The operator leaves that to the provider's administrators; have it switched on there"
                ),
            )
        } else if self.model.made_by_hand() {
            Finding::yes(
                Reason::MadeByHand,
                format!(
                    "Client {client_id} is made by hand at the provider; the operator neither makes nor changes it"
                ),
            )
        } else {
            Finding::yes(
                Reason::Provisioned,
                format!("Client {client_id} stands at the provider"),
            )
        });
        self.tell_of_effect(&mut verdict, &effect);
        self.settle_published(outputs, remote, &effect, verdict)
    }

    /// The outputs are published; `verdict` says how the client stands.
    pub(super) fn settle_published(
        &self,
        outputs: &Outputs<'_>,
        remote: Option<&ObservedClient>,
        effect: &Effect,
        mut verdict: Verdict,
    ) -> Move {
        let disabled = remote.is_some_and(|observed| observed.disabled);
        verdict.facts.remote = Some(remote.map(|observed| self.remote_id(observed)));
        let (secret_name, config_map) = (
            self.snapshot.client.secret_name(),
            self.snapshot.client.config_map_name(),
        );
        verdict.published = Some(Finding::yes(
            Reason::Published,
            format!("Secret {secret_name} and ConfigMap {config_map} are up to date"),
        ));
        verdict.facts.secret_name = Some(secret_name);
        verdict.facts.next_rotation = Some(None);
        verdict.request_done = true;
        let held = outputs
            .secret
            .and_then(|secret| Some((secret, outputs::credential(secret)?)));
        let Some((secret, credential)) = held.filter(|_| self.desired.has_secret()) else {
            verdict.verified = Some(Finding::yes(
                Reason::NotApplicable,
                "A public client has no secret to verify",
            ));
            return self.settle_with_workloads(verdict);
        };
        verdict.facts.rotated_at = credential.rotated_at.clone();
        verdict.facts.rotate_request = credential.request.clone();
        verdict.facts.previous_until = Some(credential.previous_until.clone());
        verdict.facts.previous_key = Some(overlap::standing_key(&credential).map(|key| key.key_id()));
        if credential.previous_until.is_some() {
            verdict.facts.rotation = Some(RotationCapability::Overlap);
        }
        if credential.source == SecretKind::Generated
            && let Some(next) = self.next_rotation(&credential, remote)
        {
            verdict.facts.next_rotation = Some(Some(conditions::timestamp(next)));
            verdict.requeue = Requeue::ResyncOrAt(self.provider.resync, next);
        }
        if let Some(end) = overlap::key_ends(&credential) {
            let next = match verdict.requeue {
                Requeue::ResyncOrAt(_, next) => next.min(end),
                _ => end,
            };
            verdict.requeue = Requeue::ResyncOrAt(self.provider.resync, next);
        }
        match self.proof(&credential) {
            // A client that is switched off refuses good credentials, too: nothing is learned.
            _ if disabled => {}
            // Those that applications hold may not have taken effect.
            _ if *effect != Effect::InEffect => {}
            None if self.proof_is_due(secret, &credential) => return self.prove(&credential),
            None => {}
            Some(Proof::Proven) => {
                verdict.verified = Some(Finding::yes(
                    Reason::Verified,
                    "The provider accepts the credentials in the Secret",
                ));
                verdict.facts.proven = Some(self.tried(secret, &credential));
            }
            Some(Proof::Disproven) => {
                verdict.verified = Some(self.refused_credentials());
                verdict.requeue = Requeue::Backoff(ErrorClass::Auth);
            }
            Some(Proof::WrongIssuer(why)) => {
                verdict.verified = Some(Finding::no(Reason::IssuerMismatch, why));
                verdict.requeue = Requeue::Backoff(ErrorClass::Transient);
            }
            Some(Proof::Undecided(why)) => {
                verdict.verified = Some(Finding::unknown(
                    Reason::ProofUnavailable,
                    format!(
                        "Whether the provider accepts the credentials does not show without a user: {why}. Log in to see; tried again when they change, and once a day"
                    ),
                ));
                verdict.facts.proven = Some(self.tried(secret, &credential));
            }
            Some(Proof::Unknown(why)) => {
                // A former proof keeps standing; without one, nobody knows.
                if self.last_proof(secret, &credential).is_none() {
                    verdict.verified = Some(Finding::unknown(
                        Reason::ProofUnavailable,
                        format!(
                            "Whether the provider accepts the credentials could not be tried: {why}; tried again soon"
                        ),
                    ));
                }
                verdict.requeue = Requeue::Backoff(ErrorClass::Transient);
            }
        }
        self.settle_with_workloads(verdict)
    }

    /// What is known once the provider accepts the spec.
    pub(super) fn verdict(&self, requeue: Requeue) -> Verdict {
        let mut verdict = Verdict::new(requeue);
        verdict.provider_resolved = Some(Finding::yes(
            Reason::Resolved,
            format!(
                "OIDCProvider {} is ready and serves this namespace",
                self.snapshot.client.provider()
            ),
        ));
        let open = checks::not_enforced(&self.assessment);
        verdict.accepted = Some(if open.is_empty() {
            Finding::yes(Reason::Accepted, "The provider can do what the spec asks for")
        } else {
            Finding::yes(
                Reason::NotEnforced,
                format!(
                    "Accepted; the provider would allow more than the spec says in: {}",
                    open.join(", ")
                ),
            )
        });
        verdict.facts.enforcement = Some(self.assessment.enforcement.clone());
        self.describe_client(&mut verdict);
        verdict
    }

    fn describe_client(&self, verdict: &mut Verdict) {
        verdict.facts.client_id = Some(self.desired.client_id.clone());
        verdict.facts.issuer = Some(self.facts.discovery.issuer.clone());
        verdict.facts.resolved = Some(resolve::resolved(&self.desired, &self.requested_scopes));
        verdict.facts.rotation = Some(self.model.capabilities().rotation);
    }

    /// What the provider refused to make from this very spec is not tried again, which would cost a Secret each time:
    /// only once the spec changes, or somebody asks for it.
    pub(super) fn refused_before(&self, outputs: &Outputs<'_>) -> Option<Finding> {
        let client = &self.snapshot.client;
        if client.is_asked() || outputs.secret.is_some() || outputs.next.is_some() {
            return None;
        }
        let accepted = client
            .status
            .conditions
            .iter()
            .find(|condition| condition.type_ == "Accepted")?;
        (accepted.reason == Reason::RefusedByProvider.as_str() && accepted.observed_generation == client.generation)
            .then(|| Finding::no(Reason::RefusedByProvider, accepted.message.clone()))
    }

    /// Not accepted: nothing is changed until the spec or the provider is.
    pub(super) fn refused(&self, finding: Finding) -> Move {
        settled(self.refusal(finding))
    }

    /// Not accepted, because the client ID is somebody else's: there is nothing of ours.
    fn not_ours(&self, finding: Finding) -> Move {
        let mut verdict = self.refusal(finding);
        verdict.facts.remote = Some(None);
        settled(verdict)
    }

    fn refusal(&self, finding: Finding) -> Verdict {
        let mut verdict = self.verdict(Requeue::Backoff(ErrorClass::User));
        verdict.facts.enforcement = None;
        verdict.stalled = Some((finding.reason, finding.message.clone()));
        verdict.accepted = Some(finding);
        verdict.request_done = true;
        verdict
    }

    pub(super) fn outputs_unusable(&self, finding: Finding) -> Move {
        let waiting = finding.reason == Reason::WaitingForGarbageCollection;
        let class = if waiting {
            ErrorClass::Transient
        } else {
            ErrorClass::User
        };
        let mut verdict = self.verdict(Requeue::Backoff(class));
        let why = (finding.reason, finding.message.clone());
        if waiting {
            verdict.reconciling = Some(why)
        } else {
            verdict.stalled = Some(why)
        }
        // Waiting ends by itself; all else was carried out as far as it can be.
        verdict.request_done = !waiting;
        verdict.published = Some(finding);
        settled(verdict)
    }

    /// The client ID belongs to something else. It is neither read out nor changed.
    fn taken(&self, outputs: &Outputs<'_>) -> Move {
        self.never_made(outputs).unwrap_or_else(|| {
            self.not_ours(Finding::no(
                Reason::ClientIDTaken,
                format!(
                    "The provider has a client {} that was not made for this OIDCClient (by hand, in its configuration, by another OIDCClient or by another cluster). It is left as it is. Remove it there, or make a new OIDCClient with another clientID",
                    self.desired.client_id
                ),
            ))
        })
    }

    /// The client was never made, and cannot be: a Secret made for it goes. Where our ConfigMap stands, it was made
    /// once, and applications may still hold what they read: then the Secret stays.
    fn never_made(&self, outputs: &Outputs<'_>) -> Option<Move> {
        let published = outputs.config_map.is_some() || outputs.former_config_map.is_some();
        let secret = outputs.secret.filter(|_| !published)?;
        let ours = secret.ownership(&self.mark) == super::snapshot::OutputOwnership::Ours;
        ours.then(|| delete_output(OutputKind::Secret, secret, "its client was never made"))
    }
}

pub(super) fn changed(client_id: &str, diff: &RemoteDiff) -> String {
    let fields: Vec<&str> = diff.changes.iter().map(|change| change.field.as_str()).collect();
    format!("Client {client_id} was changed at the provider: {}", fields.join(", "))
}
