//! What can be done next: one request each, with its precondition.

use std::{collections::BTreeMap, fmt};

use crate::{
    api::{
        Reason,
        client::{SecretType, WorkloadReference},
    },
    domain::{ClientSecret, DesiredClient, ObservedClient, Registration, RemoteDiff, TokenEndpointAuthMethod},
    publish::Data,
};

/// What to do now.
#[derive(Clone, Debug)]
pub enum Move {
    /// Read something first.
    Look(Need),
    /// Carry out one step.
    Do(Box<Step>),
    /// Stop, and report.
    Settled(Box<super::Verdict>),
}

/// What must be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The outputs: a live LIST on our label and a GET of both names.
    Outputs,
    /// The user's Secret (`credentials.existingSecretRef`), live.
    ExistingSecret,
    /// The client at the provider: a list, or what an earlier pass saw, will do.
    Remote,
    /// The client at the provider, by a request for it now.
    FreshRemote,
    /// Other OIDCClients with the same client ID.
    Rivals,
    /// The record of a client that the server names, live.
    Registration,
    /// Whether what was written at the provider is in effect.
    Effect,
    /// The workloads that the spec names and that were not looked at yet, live.
    Workloads,
}

/// Secret or ConfigMap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// The Secret.
    Secret,
    /// The ConfigMap.
    ConfigMap,
}

impl fmt::Display for OutputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
        })
    }
}

/// A Secret or ConfigMap as it shall be.
#[derive(Clone)]
pub struct OutputDraft {
    /// Which.
    pub kind: OutputKind,
    /// Its name.
    pub name: String,
    /// Owned by the OIDCClient? Not any more once it is retained.
    pub owned: bool,
    /// Labels of ours and of the spec. Others stay.
    pub labels: BTreeMap<String, String>,
    /// Annotations of ours and of the spec. Others stay.
    pub annotations: BTreeMap<String, String>,
    /// Keys of labels and annotations that came from the spec once and go now, but where they are wanted above.
    pub dropped: Vec<String>,
    /// All of its data.
    pub data: Data,
    /// Its type: of a Secret. Kubernetes changes none.
    pub type_: SecretType,
    /// May it never change?
    pub immutable: bool,
}

impl fmt::Debug for OutputDraft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} with {:?}",
            self.kind,
            self.name,
            self.data.keys().collect::<Vec<_>>()
        )
    }
}

/// Which version of an object a write is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion; `None`: any.
    pub resource_version: Option<String>,
}

/// An Event to publish once the step is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Normal or Warning.
    pub warning: bool,
    /// Names the Event.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

/// One request.
#[derive(Clone, Debug)]
pub enum Step {
    /// Put the finalizer on the OIDCClient.
    AddFinalizer,
    /// Take it off; the object goes.
    RemoveFinalizer {
        /// What is left behind, where something may be.
        left_behind: Option<Note>,
    },
    /// POST an output that does not exist.
    CreateOutput {
        /// As it shall be.
        draft: OutputDraft,
        /// To tell.
        note: Option<Note>,
    },
    /// Change an output that is ours.
    UpdateOutput {
        /// As it shall be.
        draft: OutputDraft,
        /// The version that was seen.
        precondition: Precondition,
        /// To tell.
        note: Option<Note>,
    },
    /// Delete an output that is ours.
    DeleteOutput {
        /// Which.
        kind: OutputKind,
        /// Its name.
        name: String,
        /// The one that was seen.
        precondition: Precondition,
        /// Why, for people.
        why: &'static str,
    },
    /// Make the client at the provider.
    CreateRemote {
        /// As it shall be.
        desired: Box<DesiredClient>,
        /// Its secret.
        secret: Option<ClientSecret>,
        /// To tell.
        note: Note,
    },
    /// Change it in place.
    UpdateRemote {
        /// As it looks.
        observed: Box<ObservedClient>,
        /// As it shall be.
        desired: Box<DesiredClient>,
        /// Its secret.
        secret: Option<ClientSecret>,
        /// What this request changes.
        diff: RemoteDiff,
        /// To tell.
        note: Option<Note>,
    },
    /// Delete it.
    DeleteRemote {
        /// As it looks.
        observed: Box<ObservedClient>,
        /// Why: for good, or to make it anew (then what differs).
        diff: Option<RemoteDiff>,
        /// To tell.
        note: Option<Note>,
    },
    /// Keep what is known of a client that the server names.
    KeepRegistration {
        /// As it shall be.
        record: Box<Registration>,
        /// The version that was seen; `None`: there is none.
        precondition: Option<Precondition>,
        /// To tell.
        note: Option<Note>,
    },
    /// Delete that record.
    DropRegistration {
        /// The version that was seen.
        precondition: Precondition,
        /// To tell.
        note: Option<Note>,
    },
    /// Try the secret at the token endpoint.
    Prove {
        /// The client ID.
        client_id: String,
        /// The secret.
        secret: ClientSecret,
        /// Is it the one before the current one, which may be valid for a while yet?
        previous: bool,
        /// How the application sends it.
        method: TokenEndpointAuthMethod,
        /// A registered redirect URI.
        redirect_uri: Option<String>,
        /// For whom an assertion is.
        audience: String,
    },
    /// Note on a workload what it was started with and, where that changed, start it anew: one request for both.
    UpdateWorkload {
        /// Which.
        workload: WorkloadReference,
        /// The version that was seen, with its consent.
        precondition: Precondition,
        /// The annotation that tells what it was started with.
        key: String,
        /// What stands for that.
        fingerprint: String,
        /// The restart; `None`: it was started with this.
        restarted_at: Option<String>,
        /// To tell.
        note: Option<Note>,
    },
}

impl Step {
    /// A short name for logs, metrics and tests.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AddFinalizer => "add-finalizer",
            Self::RemoveFinalizer { .. } => "remove-finalizer",
            Self::CreateOutput { draft, .. } => match draft.kind {
                OutputKind::Secret if draft.immutable => "create-next",
                OutputKind::Secret => "create-secret",
                OutputKind::ConfigMap => "create-configmap",
            },
            Self::UpdateOutput { draft, .. } => match (draft.kind, draft.owned) {
                (OutputKind::Secret, true) => "update-secret",
                (OutputKind::ConfigMap, true) => "update-configmap",
                (OutputKind::Secret, false) => "release-secret",
                (OutputKind::ConfigMap, false) => "release-configmap",
            },
            Self::DeleteOutput {
                kind: OutputKind::Secret,
                ..
            } => "delete-secret",
            Self::DeleteOutput {
                kind: OutputKind::ConfigMap,
                ..
            } => "delete-configmap",
            Self::CreateRemote { .. } => "create-remote",
            Self::UpdateRemote { .. } => "update-remote",
            Self::DeleteRemote { .. } => "delete-remote",
            Self::KeepRegistration { record, .. } if record.client.is_none() => "stage-registration",
            Self::KeepRegistration { .. } => "keep-registration",
            Self::DropRegistration { .. } => "drop-registration",
            Self::Prove { previous: false, .. } => "prove",
            Self::Prove { previous: true, .. } => "prove-previous",
            Self::UpdateWorkload {
                restarted_at: Some(_), ..
            } => "restart-workload",
            Self::UpdateWorkload { restarted_at: None, .. } => "note-workload",
        }
    }

    /// Does it change anything?
    pub fn is_write(&self) -> bool {
        !matches!(self, Self::Prove { .. })
    }

    /// Is it done in Kubernetes, rather than at the provider?
    pub fn is_in_kubernetes(&self) -> bool {
        matches!(
            self,
            Self::AddFinalizer
                | Self::RemoveFinalizer { .. }
                | Self::CreateOutput { .. }
                | Self::UpdateOutput { .. }
                | Self::DeleteOutput { .. }
                | Self::KeepRegistration { .. }
                | Self::DropRegistration { .. }
                | Self::UpdateWorkload { .. }
        )
    }

    /// The Event to publish once it is done.
    pub fn note(&self) -> Option<&Note> {
        match self {
            Self::CreateOutput { note, .. }
            | Self::UpdateOutput { note, .. }
            | Self::UpdateRemote { note, .. }
            | Self::UpdateWorkload { note, .. }
            | Self::KeepRegistration { note, .. }
            | Self::DropRegistration { note, .. }
            | Self::DeleteRemote { note, .. } => note.as_ref(),
            Self::RemoveFinalizer { left_behind } => left_behind.as_ref(),
            Self::CreateRemote { note, .. } => Some(note),
            _ => None,
        }
    }
}

/// As a line of a diff: `+` made, `~` changed, `-` removed, `?` asked. Values of secrets never show.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = |f: &mut fmt::Formatter<'_>, diff: &RemoteDiff| {
            diff.changes
                .iter()
                .try_for_each(|change| write!(f, "\n    {}: {:?} -> {:?}", change.field, change.from, change.to))
        };
        match self {
            Self::AddFinalizer => f.write_str("+ finalizer"),
            Self::RemoveFinalizer { left_behind: None } => f.write_str("- finalizer"),
            Self::RemoveFinalizer {
                left_behind: Some(note),
            } => write!(f, "- finalizer ({})", note.message),
            Self::CreateOutput { draft, .. } => {
                write!(f, "+ {} {} ({})", draft.kind, draft.name, keys(&draft.data))
            }
            Self::UpdateOutput { draft, .. } if draft.owned => {
                write!(f, "~ {} {} ({})", draft.kind, draft.name, keys(&draft.data))
            }
            Self::UpdateOutput { draft, .. } => write!(f, "~ {} {} loses its owner", draft.kind, draft.name),
            Self::DeleteOutput { kind, name, why, .. } => write!(f, "- {kind} {name} ({why})"),
            Self::CreateRemote { desired, .. } if desired.attempt.is_some() => {
                write!(f, "+ client that the server names ({:?})", desired.client_type)
            }
            Self::CreateRemote { desired, .. } => {
                write!(f, "+ client {} ({:?})", desired.client_id, desired.client_type)
            }
            Self::UpdateRemote { desired, diff, .. } => {
                write!(f, "~ client {}", desired.client_id)?;
                changes(f, diff)
            }
            Self::DeleteRemote { observed, diff, .. } => {
                write!(f, "- client {}", observed.client_id)?;
                diff.as_ref().map_or(Ok(()), |diff| {
                    f.write_str(" (to make it anew)")?;
                    changes(f, diff)
                })
            }
            Self::KeepRegistration { record, .. } => match &record.client {
                Some(client) => write!(f, "~ record of client {}", client.client_id),
                None => write!(f, "+ record of an attempt to register"),
            },
            Self::DropRegistration { .. } => f.write_str("- record of the registration"),
            Self::Prove {
                client_id,
                previous: false,
                ..
            } => write!(f, "? secret of client {client_id}"),
            Self::Prove { client_id, .. } => write!(f, "? former secret of client {client_id}"),
            Self::UpdateWorkload {
                workload, restarted_at, ..
            } => match restarted_at {
                Some(_) => write!(f, "~ {workload} starts anew"),
                None => write!(f, "~ {workload}: what it was started with"),
            },
        }
    }
}

fn keys(data: &Data) -> String {
    data.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}
