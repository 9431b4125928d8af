//! A client that the server names (RFC 7591): it is registered first, and published when what the server answered is kept.
//!
//! A registration cannot be repeated, and what it answered cannot be asked for again. So each attempt is written down before it is
//! made, and its answer before anything else: whichever of these steps is the last one that ran, at most one registration is lost,
//! by name. The record is the proof of ownership; without it the client works on, and nobody can manage it.

use super::{
    client::{Work, failed, settled, step},
    conditions,
    drafts::Credential,
    outputs::{self, Outputs},
    snapshot::{ClientView, KeptRegistration, RegistrationView, RemoteView, Snapshot},
    step::{Move, Need, Note, Step},
    verdict::{Finding, RegistrationFacts, Requeue, Verdict},
};
use crate::{
    api::Reason,
    domain::{
        Effect, ErrorClass, IdpError, IdpErrorKind, ObservedClient, Registered, Registration, RemoteDiff, SecretKind,
    },
};

/// What a spec may not say where the server names the client and makes its secret.
pub fn refused(client: &ClientView) -> Option<Finding> {
    let spec = &client.spec;
    let why = if spec.client_id.is_some() {
        "spec.clientID: with dynamic registration the server chooses it. That is fixed from the start: make a new OIDCClient without; status.clientID and the outputs will show the one it got"
    } else if spec.existing_secret_ref().is_some() {
        "spec.credentials.existingSecretRef: with dynamic registration the server makes the secret. Leave it out, or use a provider of type Static for a client that was made by hand"
    } else if spec.rotation().is_some() {
        "spec.credentials.rotation: the server makes the secret, and dynamic registration (RFC 7592) has no word to ask for another one. Leave it out; a new OIDCClient gets a new client with a new secret"
    } else {
        return None;
    };
    Some(Finding::no(
        Reason::UnsupportedByProvider,
        format!("This provider cannot serve {why}"),
    ))
}

/// Stands for an ID that is not known yet, where outputs are tried before anything is made.
const NOT_NAMED_YET: &str = "to-be-named-by-the-server";

/// The client ID: as the record has it, as status remembers it, or what stands for it.
pub(super) fn client_id(snapshot: &Snapshot) -> String {
    recorded(snapshot)
        .map(|client| &client.client_id)
        .or(snapshot.client.status.client_id.as_ref())
        .map_or_else(|| NOT_NAMED_YET.to_owned(), Clone::clone)
}

/// The client as the record holds it, if the server has answered.
pub(super) fn recorded(snapshot: &Snapshot) -> Option<&ObservedClient> {
    match &snapshot.registration {
        RegistrationView::Kept(kept) => kept.record.client.as_ref(),
        RegistrationView::Unknown | RegistrationView::Missing | RegistrationView::Broken(_) => None,
    }
}

fn registered(client: &ObservedClient) -> Option<&Registered> {
    client.registered.as_deref()
}

/// The record, kept as it shall be.
pub(super) fn keep(record: Registration, kept: Option<&KeptRegistration>, note: Option<Note>) -> Move {
    step(Step::KeepRegistration {
        record: Box::new(record),
        precondition: kept.map(|kept| kept.precondition.clone()),
        note,
    })
}

/// The record goes: there is nothing that it tells of any more.
pub(super) fn drop_record(kept: &KeptRegistration, note: Option<Note>) -> Move {
    step(Step::DropRegistration {
        precondition: kept.precondition.clone(),
        note,
    })
}

impl Work<'_> {
    /// The next thing to do where the server names the client.
    pub(super) fn next_registered(&self, outputs: &Outputs<'_>) -> Move {
        let kept = match &self.snapshot.registration {
            RegistrationView::Unknown => return Move::Look(Need::Registration),
            RegistrationView::Broken(why) => return self.token_lost(outputs, why),
            RegistrationView::Missing => None,
            RegistrationView::Kept(kept) => Some(kept),
        };
        if let Some(answer) = self.unkept_answer(kept) {
            return answer;
        }
        if let Some(again) = self.after_failure(outputs, kept) {
            return again;
        }
        if !self.snapshot.client.finalizer {
            return step(Step::AddFinalizer);
        }
        if let Some(first) = self.note_workloads(outputs) {
            return first;
        }
        let Some(kept) = kept else {
            let published = outputs.secret.or(outputs.former_secret).is_some() || outputs.config_map.is_some();
            return if published {
                self.token_lost(outputs, "is gone")
            } else {
                self.refused_before(outputs).map_or_else(
                    || keep(Registration::stage(&self.mark, self.new_attempt(), None), None, None),
                    |finding| self.refused(finding),
                )
            };
        };
        let Some(client) = &kept.record.client else {
            return self.register(kept);
        };
        if kept.record.mark != self.mark {
            return self.take_back(kept, client);
        }
        self.bring_registered(outputs, kept, client)
    }

    fn new_attempt(&self) -> &str {
        &self.snapshot.supply.attempt
    }

    /// What the server has just answered is kept before anything else is done: nobody can ask for it again.
    fn unkept_answer(&self, kept: Option<&KeptRegistration>) -> Option<Move> {
        let RemoteView::Present { client, .. } = &self.snapshot.remote else {
            return None;
        };
        if kept.is_some_and(|kept| kept.record.client.as_ref() == Some(client)) {
            return None;
        }
        // Somebody may have deleted the record meanwhile.
        let before = kept.map(|kept| kept.record.as_ref().clone()).unwrap_or_else(|| {
            let attempt = self.snapshot.memory.staged.as_deref().unwrap_or_default();
            Registration::stage(&self.mark, attempt, None)
        });
        let first = before.client.is_none();
        let now = || conditions::timestamp(self.snapshot.now);
        let record = Registration {
            registered_at: before.registered_at.clone().or_else(|| Some(now())),
            client: Some(client.clone()),
            ..before
        };
        let note = first.then(|| Note {
            warning: false,
            reason: Reason::Created,
            message: format!("The server registered the client as {}", client.client_id),
        });
        Some(keep(record, kept, note))
    }

    /// What a failed call of this pass leaves to do.
    fn after_failure(&self, outputs: &Outputs<'_>, kept: Option<&KeptRegistration>) -> Option<Move> {
        let unanswered = kept.filter(|kept| kept.record.client.is_none());
        if let Some((reason, why)) = &self.snapshot.memory.refused {
            // Nothing was registered: the attempt never was.
            return Some(match unanswered {
                Some(kept) => drop_record(kept, None),
                None => self.refused(Finding::no(
                    *reason,
                    format!(
                        "{why}; tried again once the spec changes, or the annotation oidc-operator.io/reconcile-requested does"
                    ),
                )),
            });
        }
        let RemoteView::Failed(error) = &self.snapshot.remote else {
            return None;
        };
        if let Some(kept) = unanswered.filter(|_| error.is_definite()) {
            return Some(drop_record(kept, None));
        }
        if let Some((kept, client)) = kept.zip(recorded(self.snapshot))
            && let Some(changed) = without_management(client, error)
        {
            let record = Registration {
                client: Some(changed),
                ..kept.record.as_ref().clone()
            };
            return Some(keep(record, Some(kept), None));
        }
        let known = recorded(self.snapshot).filter(|client| registered(client).is_some_and(|it| it.is_unmanaged()));
        if let (Some(kept), Some(client)) = (kept, known) {
            // What has just been noted is told, and not the call.
            return Some(self.bring_registered(outputs, kept, client));
        }
        Some(failed(
            error,
            self.registered_verdict(Requeue::Never, kept),
            recorded(self.snapshot).is_some(),
        ))
    }

    /// The attempt that was staged is made; or where an earlier pass made it and its answer was lost, another one is.
    fn register(&self, kept: &KeptRegistration) -> Move {
        let record = &kept.record;
        if self.snapshot.memory.staged.as_deref() == Some(record.attempt.as_str()) {
            let mut desired = self.desired.clone();
            desired.client_id.clear();
            desired.attempt = Some(record.attempt.clone());
            return step(Step::CreateRemote {
                desired: Box::new(desired),
                secret: None,
                note: Note {
                    warning: false,
                    reason: Reason::Created,
                    message: "A client was registered".to_owned(),
                },
            });
        }
        let note = Note {
            warning: true,
            reason: Reason::PossibleOrphan,
            message: format!(
                "The answer to a registration was lost, or it was never sent. The server may have a client with software_id {} whose secret nobody holds: have it deleted there. Another one is registered",
                record.software_id()
            ),
        };
        keep(
            Registration::stage(&self.mark, self.new_attempt(), Some(record)),
            Some(kept),
            Some(note),
        )
    }

    /// A record of another life of this object, or one that was retained: it is ours, and says so from now on.
    fn take_back(&self, kept: &KeptRegistration, client: &ObservedClient) -> Move {
        let record = Registration {
            mark: self.mark.clone(),
            client: Some(ObservedClient {
                marks: vec![self.mark.to_string()],
                ..client.clone()
            }),
            ..kept.record.as_ref().clone()
        };
        keep(record, Some(kept), None)
    }

    /// The client is registered: it is changed where the spec did, and published.
    fn bring_registered(&self, outputs: &Outputs<'_>, kept: &KeptRegistration, client: &ObservedClient) -> Move {
        let diff = self.model.diff(&self.desired, None, client);
        let management = client.management();
        let mut provisioned = self.registered_as(client);
        if !diff.changes.is_empty() {
            match management {
                Some(management) if !management.refused => {
                    return step(Step::UpdateRemote {
                        observed: Box::new(client.clone()),
                        desired: Box::new(crate::domain::DesiredClient {
                            attempt: Some(kept.record.attempt.clone()),
                            ..self.desired.clone()
                        }),
                        secret: None,
                        note: Some(Note {
                            warning: false,
                            reason: Reason::Updated,
                            message: super::client::changed(&client.client_id, &diff),
                        }),
                        diff,
                    });
                }
                Some(_) => {}
                None => provisioned = create_only(client, &diff),
            }
        }
        if management.is_some_and(|management| management.refused) {
            provisioned = lost(&format!(
                "is refused by the server, which may have been given it twice, or has no client {} any more",
                client.client_id
            ));
        }
        let secret = client.secret.shown().cloned();
        if self.desired.has_secret() && secret.is_none() {
            let mut verdict = self.registered_verdict(Requeue::Backoff(ErrorClass::User), Some(kept));
            let finding = Finding::no(
                Reason::UnexpectedAnswer,
                format!(
                    "The server registered client {} and gave it no secret. A client of type Public needs none; else have one set at the server, and use a provider of type Static",
                    client.client_id
                ),
            );
            verdict.stalled = Some((finding.reason, finding.message.clone()));
            verdict.provisioned = Some(finding);
            return settled(verdict);
        }
        let credential = secret.filter(|_| self.desired.has_secret()).map(|secret| Credential {
            secret,
            source: SecretKind::Generated,
            attempt: Some(kept.record.attempt.clone()),
            rotated_at: kept.record.registered_at.clone(),
            request: None,
            previous_until: None,
            previous_key: None,
        });
        self.publish_registered(outputs, credential.as_ref())
            .or_else(|| self.restart_workloads(outputs))
            .unwrap_or_else(|| {
                let mut verdict = self.registered_verdict(Requeue::Resync(self.provider.resync), Some(kept));
                if provisioned.reason == Reason::CreateOnly {
                    verdict.stalled = Some((provisioned.reason, provisioned.message.clone()));
                }
                verdict.provisioned = Some(provisioned);
                self.settle_published(outputs, Some(client), &Effect::InEffect, verdict)
            })
    }

    /// The outputs of a client that stands already, with the secret that it has.
    fn publish_registered(&self, outputs: &Outputs<'_>, credential: Option<&Credential>) -> Option<Move> {
        let name = self.snapshot.client.secret_name();
        if outputs.secret.is_none() {
            return Some(self.create_secret(outputs, &name, credential));
        }
        if let Some(seen) = outputs.secret.filter(|seen| !self.has_type(seen)) {
            return Some(super::publishing::delete_output(
                super::step::OutputKind::Secret,
                seen,
                super::publishing::TYPE_CHANGES,
            ));
        }
        self.secret_up_to_date(outputs, credential)
            .or_else(|| self.config_map_up_to_date(outputs))
    }

    /// How the client stands at the server, and what of it the server made otherwise.
    fn registered_as(&self, client: &ObservedClient) -> Finding {
        let id = &client.client_id;
        let Some(registered) = registered(client) else {
            return Finding::yes(Reason::Provisioned, format!("Client {id} is registered"));
        };
        let expires = registered.secret_expires.map_or_else(String::new, |time| {
            format!(". The server lets its secret expire at {}", conditions::timestamp(time))
        });
        let unmanaged = if registered.management.is_none() {
            ". The server lets no client be changed or deleted (RFC 7592 is optional)"
        } else {
            ""
        };
        let unheard = if self.snapshot.client.rotate_request.is_some() {
            ". The annotation oidc-operator.io/rotate changes nothing: the server makes the secret, and there is no word to ask it for another one"
        } else {
            ""
        };
        if registered.altered.is_empty() {
            return Finding::yes(
                Reason::Provisioned,
                format!("Client {id} is registered as the spec wants it{expires}{unmanaged}{unheard}"),
            );
        }
        let altered: Vec<String> = registered
            .altered
            .iter()
            .map(|(field, now)| match now.as_str() {
                "" => format!("{field} (not set)"),
                now => format!("{field} ({now})"),
            })
            .collect();
        Finding::yes(
            Reason::AlteredByProvider,
            format!(
                "Client {id} is registered; the server made these otherwise than asked for: {}{expires}{unmanaged}{unheard}",
                altered.join(", ")
            ),
        )
    }

    /// The client works on with what was published; nobody can change or delete it.
    fn token_lost(&self, outputs: &Outputs<'_>, why: &str) -> Move {
        let finding = lost(&format!(
            "{why}. Delete the output Secret and ConfigMap to have another client registered"
        ));
        let held = outputs.secret.and_then(outputs::credential);
        // Its ID is known from an earlier pass: what else the outputs show stays up to date.
        let publish = (self.snapshot.client.status.client_id.is_some() && outputs.secret.is_some())
            .then_some(held)
            .filter(|held| held.is_some() == self.desired.has_secret())
            .and_then(|held| self.publish_registered(outputs, held.as_ref()));
        publish.unwrap_or_else(|| {
            let mut verdict = self.registered_verdict(Requeue::Resync(self.provider.resync), None);
            verdict.provisioned = Some(finding);
            verdict.request_done = true;
            settled(verdict)
        })
    }

    fn registered_verdict(&self, requeue: Requeue, kept: Option<&KeptRegistration>) -> Verdict {
        let mut verdict = self.verdict(requeue);
        if recorded(self.snapshot).is_none() {
            verdict.facts.client_id = None;
        }
        verdict.facts.registration = Some(kept.map(|kept| {
            RegistrationFacts {
                possible_orphans: kept.record.possible_orphans.clone(),
                altered: kept
                    .record
                    .client
                    .as_ref()
                    .and_then(registered)
                    .map(|registered| registered.altered.clone())
                    .unwrap_or_default(),
            }
        }));
        verdict
    }
}

fn lost(why: &str) -> Finding {
    Finding::unknown(
        Reason::ManagementTokenLost,
        format!(
            "Client and outputs stay as they are: what the client is managed with, its registration access token, {why}"
        ),
    )
}

fn create_only(client: &ObservedClient, diff: &RemoteDiff) -> Finding {
    let fields: Vec<&str> = diff.changes.iter().map(|change| change.field.as_str()).collect();
    Finding::no(
        Reason::CreateOnly,
        format!(
            "The server lets no client be changed (RFC 7592 is optional), and client {} differs from the spec in: {}. Make a new OIDCClient, or have it changed at the server and the spec changed back",
            client.client_id,
            fields.join(", ")
        ),
    )
}

/// The client as it is known once a management call failed for good: the token is refused, or there is no management at all.
fn without_management(client: &ObservedClient, error: &IdpError) -> Option<ObservedClient> {
    let registered = registered(client)?;
    let management = registered
        .management
        .as_ref()
        .filter(|management| !management.refused)?;
    let management = match error.kind {
        IdpErrorKind::Unauthorized => Some(crate::domain::Management {
            refused: true,
            ..management.clone()
        }),
        IdpErrorKind::Forbidden | IdpErrorKind::Unsupported => None,
        _ => return None,
    };
    Some(ObservedClient {
        registered: Some(Box::new(Registered {
            management,
            ..registered.clone()
        })),
        ..client.clone()
    })
}
