//! The end of an OIDCClient, by a rule that always ends (docs/deletion.md).

use std::{fmt::Write as _, sync::OnceLock};

use jiff::{SignedDuration, Timestamp};

use super::{
    client::{describe, settled, step},
    drafts, existing, outputs, registration, resolve,
    snapshot::{
        Evidence, ExistingView, NotReady, OutputOwnership, OutputView, ProviderView, RegistrationView, RemoteView,
        Settings, Snapshot,
    },
    step::{Move, Need, Note, OutputKind, Step},
    verdict::{Finding, Requeue, Verdict},
};
use crate::{
    api::{Reason, client::DeletionPolicy},
    domain::{
        IdpError, IdpErrorKind, Mark, ObservedClient, Ownership, Registration, TokenEndpointAuthMethod, key,
        model::MARK, registration::secret_name,
    },
};

/// Names the next thing to do for an object with a deletionTimestamp.
pub fn next(snapshot: &Snapshot) -> Move {
    if !snapshot.client.finalizer {
        return gone();
    }
    let retain = snapshot.client.spec.deletion_policy == DeletionPolicy::Retain;
    let mark = resolve::mark(&snapshot.client, &snapshot.settings);
    if snapshot.made_by_hand() {
        // Nothing is ours there, and nothing is left behind.
        return let_go(snapshot, &mark, retain, None);
    }
    if let Some(why) = at_once(snapshot) {
        return let_go(snapshot, &mark, retain, Some(why));
    }
    if snapshot.registers() {
        return registered(snapshot, &mark, retain);
    }
    let remote = match &snapshot.remote {
        _ if let Some(why) = not_ready(snapshot) => return wait_or_let_go(snapshot, &mark, retain, &why),
        RemoteView::Failed(error) => {
            return wait_or_let_go(snapshot, &mark, retain, &describe(error).1);
        }
        RemoteView::Unknown
        | RemoteView::Unlisted
        | RemoteView::Present {
            evidence: Evidence::Listed,
            ..
        } => {
            return Move::Look(Need::FreshRemote);
        }
        RemoteView::Absent => None,
        RemoteView::Present { client, .. } => Some(client),
    };
    if retain {
        keep(snapshot, &mark, remote)
    } else {
        delete(snapshot, &mark, remote)
    }
}

fn gone() -> Move {
    let mut verdict = Verdict::new(Requeue::Never);
    verdict.gone = true;
    settled(verdict)
}

/// Reasons to let go at once: nobody will ever be able to delete the client there, or the user said so.
fn at_once(snapshot: &Snapshot) -> Option<String> {
    let client = &snapshot.client;
    if client.orphan {
        return Some("the annotation oidc-operator.io/orphan asks for it".to_owned());
    }
    match &snapshot.provider {
        ProviderView::NotFound => Some(format!("OIDCProvider {} is gone", client.provider())),
        ProviderView::Present(provider)
            if provider.credentials_gone && (provider.terminating || snapshot.namespace.terminating) =>
        {
            Some(format!(
                "the admin credentials of OIDCProvider {} are gone",
                client.provider()
            ))
        }
        ProviderView::Present(_) | ProviderView::Starting | ProviderView::Unreadable => None,
    }
}

/// Why nothing can be done at the provider now: it is not ready, or has just refused what was asked of it.
fn not_ready(snapshot: &Snapshot) -> Option<String> {
    if let Some((_, why)) = &snapshot.memory.refused {
        return Some(why.clone());
    }
    let name = snapshot.client.provider();
    match &snapshot.provider {
        ProviderView::NotFound => None,
        ProviderView::Unreadable => Some(format!("this version of the operator cannot read OIDCProvider {name}")),
        ProviderView::Present(provider) if provider.model.is_some() => match provider.not_ready {
            None => None,
            // To delete a client needs no issuer; to finish a rotation does.
            Some(NotReady::Issuer) if snapshot.client.spec.deletion_policy == DeletionPolicy::Delete => None,
            Some(_) => Some(format!("OIDCProvider {name} is not ready")),
        },
        ProviderView::Present(_) | ProviderView::Starting => Some("the provider was not looked at yet".to_owned()),
    }
}

/// When a deletion waits no longer: counted from the later of the deletion and the operator's start, so that an operator that
/// was down gives the provider its chance.
pub fn deadline(settings: &Settings, deletion: Timestamp) -> Timestamp {
    // One that is too long to be added is no end at all.
    SignedDuration::try_from(settings.deletion_timeout)
        .ok()
        .and_then(|timeout| deletion.max(settings.started).checked_add(timeout).ok())
        .unwrap_or(Timestamp::MAX)
}

fn waits_until(snapshot: &Snapshot) -> Timestamp {
    deadline(&snapshot.settings, snapshot.client.deletion.unwrap_or(snapshot.now))
}

/// The client may be unreachable only for so long.
fn wait_or_let_go(snapshot: &Snapshot, mark: &Mark, retain: bool, why: &str) -> Move {
    let end = waits_until(snapshot);
    if snapshot.now >= end {
        return let_go(
            snapshot,
            mark,
            retain,
            Some(format!("{why}, and the deletion timeout is over")),
        );
    }
    let what = if retain {
        "release what stays"
    } else {
        "delete the client at the provider"
    };
    let message = format!(
        "Waiting to {what}: {why}. It is let go at {end:.0}; set the annotation oidc-operator.io/orphan to let it go now"
    );
    let mut verdict = Verdict::new(Requeue::NotAfter(end));
    verdict.provisioned = Some(Finding::unknown(Reason::Terminating, message.clone()));
    verdict.reconciling = Some((Reason::Terminating, message));
    settled(verdict)
}

/// `Delete`: at the provider only by mark, and the finalizer last. The outputs go with the object.
fn delete(snapshot: &Snapshot, mark: &Mark, remote: Option<&ObservedClient>) -> Move {
    let Some(client) = remote else {
        return step(Step::RemoveFinalizer { left_behind: None });
    };
    let client_id = client.client_id.clone();
    match client.ownership(mark) {
        Ownership::Ours => step(Step::DeleteRemote {
            note: Some(Note {
                warning: false,
                reason: Reason::Deleted,
                message: format!("Client {client_id} was deleted at the provider"),
            }),
            observed: Box::new(client.clone()),
            diff: None,
        }),
        // Re-marked by a later life, retained, or somebody else's: not this object's to delete.
        Ownership::FormerLife | Ownership::Foreign | Ownership::Unmarked => let_go(
            snapshot,
            mark,
            false,
            Some(format!("client {client_id} at the provider is not this object's")),
        ),
    }
}

/// A client that the server named: it is deleted with its token, and then its record goes. Retained, the record says so, and an
/// OIDCClient of the same name takes both back.
fn registered(snapshot: &Snapshot, mark: &Mark, retain: bool) -> Move {
    let left = |why: &str| let_go(snapshot, mark, retain, Some(why.to_owned()));
    let kept = match &snapshot.registration {
        RegistrationView::Unknown => return Move::Look(Need::Registration),
        RegistrationView::Broken(why) => return left(&format!("what it is managed with {why}")),
        RegistrationView::Missing => {
            return match &snapshot.remote {
                RemoteView::Failed(error) if error.kind == IdpErrorKind::Unauthorized => left(TOKEN_REFUSED),
                RemoteView::Failed(_) => left(NO_MANAGEMENT),
                // Deleted in this pass.
                RemoteView::Absent => let_go(snapshot, mark, retain, None),
                _ if snapshot.client.status.remote.is_some() => left("its registration access token is gone"),
                _ => let_go(snapshot, mark, retain, None),
            };
        }
        RegistrationView::Kept(kept) => kept,
    };
    let record = &kept.record;
    if record.mark != *mark {
        // Retained, or taken back by another object of this name.
        return let_go(snapshot, mark, retain, None);
    }
    let Some(client) = &record.client else {
        return registration::drop_record(
            kept,
            Some(Note {
                warning: true,
                reason: Reason::LeftBehind,
                message: format!(
                    "The answer to a registration was lost, or it was never sent. The server may have a client with software_id {} whose secret nobody holds: have it deleted there",
                    record.software_id()
                ),
            }),
        );
    };
    if retain {
        let released = Registration {
            mark: mark.released(),
            ..record.as_ref().clone()
        };
        let note = Note {
            warning: false,
            reason: Reason::Retained,
            message: format!(
                "Client {} and its outputs stay, as deletionPolicy Retain says",
                client.client_id
            ),
        };
        return registration::keep(released, Some(kept), Some(note));
    }
    match &snapshot.remote {
        RemoteView::Absent => registration::drop_record(kept, None),
        RemoteView::Failed(error) if is_final(error) => registration::drop_record(kept, None),
        RemoteView::Failed(error) => wait_or_let_go(snapshot, mark, retain, &describe(error).1),
        _ if let Some(why) = not_ready(snapshot) => wait_or_let_go(snapshot, mark, retain, &why),
        _ => match client.management() {
            None => left(NO_MANAGEMENT),
            Some(management) if management.refused => left(TOKEN_REFUSED),
            Some(_) => step(Step::DeleteRemote {
                note: Some(Note {
                    warning: false,
                    reason: Reason::Deleted,
                    message: format!("Client {} was deleted at the provider", client.client_id),
                }),
                observed: Box::new(client.clone()),
                diff: None,
            }),
        },
    }
}

const TOKEN_REFUSED: &str = "the server refuses its registration access token: it is deleted already, or the token was given to somebody else or lost";
const NO_MANAGEMENT: &str = "the server lets no client be deleted (RFC 7592 is optional)";

/// Will the server never delete this client for the operator?
fn is_final(error: &IdpError) -> bool {
    matches!(
        error.kind,
        IdpErrorKind::Unauthorized | IdpErrorKind::Forbidden | IdpErrorKind::Unsupported
    )
}

/// `Retain`: a standing rotation is finished, the mark is released, outputs lose their owner, and the finalizer goes last.
fn keep(snapshot: &Snapshot, mark: &Mark, remote: Option<&ObservedClient>) -> Move {
    if let Some(rotation) = finish_rotation(snapshot, mark) {
        return rotation;
    }
    let Some(client) = remote.filter(|client| client.ownership(mark) == Ownership::Ours) else {
        return let_go(snapshot, mark, true, None);
    };
    let (ProviderView::Present(provider), released) = (&snapshot.provider, mark.released()) else {
        return let_go(snapshot, mark, true, None);
    };
    let Some(model) = &provider.model else {
        return let_go(snapshot, mark, true, None);
    };
    // Only the mark: what the spec says in its last moment is not rolled out any more.
    let mut desired = resolve::desired(&snapshot.client, &snapshot.settings);
    desired.mark = released;
    let mut diff = model.0.diff(&desired, None, client);
    diff.changes.retain(|change| change.field == MARK);
    diff.recreate = false;
    let note = Note {
        warning: false,
        reason: Reason::Retained,
        message: format!(
            "Client {} and its outputs stay, as deletionPolicy Retain says",
            desired.client_id
        ),
    };
    step(Step::UpdateRemote {
        observed: Box::new(client.clone()),
        desired: Box::new(desired),
        secret: None,
        diff,
        note: Some(note),
    })
}

/// A rotation that stands when its object is retained is finished first, and so is the taking over of a user's secret: the
/// client keeps exactly one secret, and the output holds it.
fn finish_rotation(snapshot: &Snapshot, mark: &Mark) -> Option<Move> {
    if snapshot.namespace.terminating {
        return None;
    }
    let Some(found) = &snapshot.outputs else {
        return Some(Move::Look(Need::Outputs));
    };
    let client = &snapshot.client;
    let sorted = outputs::sort(found, mark, &client.secret_name(), &client.config_map_name()).ok()?;
    // The same steps as for a living object; what it would do after the rotation is not done any more.
    let mut living = snapshot.clone();
    living.client.deletion = None;
    living.memory.can_render = OnceLock::new();
    if let Some((staged, _)) = &sorted.next {
        // Should the user's secret be wanted meanwhile, or another kind of credentials: the staged one may be valid already, and
        // somebody must hold it.
        if let Some(credentials) = &mut living.client.spec.credentials {
            credentials.existing_secret_ref = None;
        }
        let desired = resolve::desired(&living.client, &living.settings);
        let held = staged.intact_secret().filter(|_| desired.has_secret());
        if let Some(held) = held.filter(|held| !desired.takes(held)) {
            let has_key = key::looks_like_key(&held);
            living.client.spec.token_endpoint_auth_method = has_key.then_some(TokenEndpointAuthMethod::PrivateKeyJwt);
        }
    } else {
        let reference = client.spec.existing_secret_ref()?;
        let output = sorted.secret?;
        if matches!(snapshot.existing, ExistingView::Unknown) {
            return Some(Move::Look(Need::ExistingSecret));
        }
        let method = resolve::auth_method(&client.spec);
        let secret = existing::judge(reference, &snapshot.existing, method).ok()?;
        if existing::holds(output, &secret).is_some() {
            return None;
        }
    }
    match super::client::next(&living) {
        Move::Settled(_) => None,
        other => Some(other),
    }
}

/// Takes the finalizer off. Retained outputs, a staged secret too, lose their owner first.
fn let_go(snapshot: &Snapshot, mark: &Mark, retain: bool, why: Option<String>) -> Move {
    let mut staged = None;
    if retain && !snapshot.namespace.terminating {
        let Some(found) = &snapshot.outputs else {
            return Move::Look(Need::Outputs);
        };
        let secrets = found.secrets.iter().map(|view| (OutputKind::Secret, view));
        let config_maps = found.config_maps.iter().map(|view| (OutputKind::ConfigMap, view));
        for (kind, view) in secrets.chain(config_maps) {
            if view.ownership(mark) == OutputOwnership::Ours && !view.terminating {
                match &snapshot.memory.output_refused {
                    None => return release(mark, kind, view),
                    Some(finding) if snapshot.now < waits_until(snapshot) => return refused_release(snapshot, finding),
                    // It goes with its owner: nothing holds the object for ever.
                    Some(_) => {}
                }
            }
            if view.ownership(mark) == OutputOwnership::Retained && view.immutable {
                staged = Some(view.name.clone());
            }
        }
    }
    let left_behind = why.map(|why| {
        let client_id = match (&snapshot.registration, &snapshot.client.status.client_id) {
            (RegistrationView::Kept(_), _) => registration::client_id(snapshot),
            (_, Some(client_id)) => client_id.clone(),
            (_, None) => resolve::client_id(&snapshot.client),
        };
        let mut staged = staged
            .map(|name| format!("; Secret {name} holds a secret of an unfinished rotation"))
            .unwrap_or_default();
        if let RegistrationView::Kept(_) = &snapshot.registration {
            let name = secret_name(&snapshot.client.name, &snapshot.client.provider());
            let _ = write!(
                staged,
                "; what it is managed with stays in Secret {name} of the operator's namespace"
            );
        }
        Note {
            warning: true,
            reason: Reason::LeftBehind,
            message: format!(
                "OIDCClient {} is let go: {why}. Client {client_id} of OIDCProvider {} may be left there{staged}",
                snapshot.client.name,
                snapshot.client.provider()
            ),
        }
    });
    step(Step::RemoveFinalizer { left_behind })
}

/// Kubernetes refuses to take an output from its owner: with the object, it would go.
fn refused_release(snapshot: &Snapshot, finding: &Finding) -> Move {
    let end = waits_until(snapshot);
    let message = format!(
        "Waiting to release the outputs, as deletionPolicy Retain says; Kubernetes refuses it: {}. At {end:.0} they are let go, and deleted with this object",
        finding.message
    );
    let mut verdict = Verdict::new(Requeue::NotAfter(end));
    verdict.published = Some(Finding::no(finding.reason, message.clone()));
    verdict.reconciling = Some((Reason::Terminating, message));
    settled(verdict)
}

fn release(mark: &Mark, kind: OutputKind, view: &OutputView) -> Move {
    step(Step::UpdateOutput {
        draft: drafts::released(mark, kind, view),
        precondition: drafts::seen_version(view),
        note: None,
    })
}
