//! What a pass found, for status, Events and the next pass.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    api::{Reason, client::ResolvedFields, common::ConditionStatus},
    domain::{ErrorClass, IdpError, model::Enforcement},
};

/// One condition's news.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// True, False, Unknown.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// Why, and what to do.
    pub message: String,
}

impl Finding {
    /// It holds.
    pub fn yes(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::True,
            reason,
            message: message.into(),
        }
    }

    /// It does not.
    pub fn no(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::False,
            reason,
            message: message.into(),
        }
    }

    /// Nobody knows.
    pub fn unknown(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            status: ConditionStatus::Unknown,
            reason,
            message: message.into(),
        }
    }
}

/// When to look again, unless something happens earlier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// At the provider's resync interval.
    Resync(Duration),
    /// With growing distance, by what went wrong.
    Backoff(ErrorClass),
    /// By backoff, but not before the provider's own time has passed (`Retry-After`).
    NotBefore(Duration, ErrorClass),
    /// At the provider's resync interval, or at a certain time where that comes first.
    ResyncOrAt(Duration, Timestamp),
    /// At a certain time, or earlier by backoff.
    NotAfter(Timestamp),
    /// Only when something changes.
    Never,
}

/// Facts for the status beside the conditions; `None` in a field keeps what stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The client ID.
    pub client_id: Option<String>,
    /// The issuer.
    pub issuer: Option<String>,
    /// What unset fields became.
    pub resolved: Option<ResolvedFields>,
    /// Who enforces what.
    pub enforcement: Option<std::collections::BTreeMap<String, Enforcement>>,
    /// Name of the Secret, once it stands.
    pub secret_name: Option<String>,
    /// The provider's id of the client; `Some(None)`: there is nothing of ours.
    pub remote: Option<Option<String>>,
    /// How secrets rotate here.
    pub rotation: Option<crate::domain::model::RotationCapability>,
    /// When the secret was made.
    pub rotated_at: Option<String>,
    /// When it is rotated next; `Some(None)`: not by itself.
    pub next_rotation: Option<Option<String>>,
    /// Until when the secret before it is, or was, valid too; `Some(None)`: it ended with the current one.
    pub previous_until: Option<Option<String>>,
    /// The id of the key before it, while that is valid too; `Some(None)`: there is none.
    pub previous_key: Option<Option<String>>,
    /// The request by annotation that it answers.
    pub rotate_request: Option<String>,
    /// A proof that was carried out in this pass.
    pub proven: Option<Tried>,
    /// Of a client that the server names; `Some(None)`: nothing is kept of it.
    pub registration: Option<Option<RegistrationFacts>>,
}

/// What is to be told of a client that the server names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationFacts {
    /// Software IDs of attempts that may have left a client behind.
    pub possible_orphans: Vec<String>,
    /// What the server registered otherwise than asked for, by field of the spec.
    pub altered: crate::domain::Fields,
}

/// Which secret was tried: told apart from others without showing anything of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// uid of the output Secret.
    pub secret_uid: String,
    /// The rotation attempt that made it, where there was one.
    pub attempt: Option<String>,
    /// Of a user's secret: the resourceVersion of the Secret that it was read from.
    pub resource_version: Option<String>,
}

/// What a pass found. A condition without news keeps its last value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Found, allowed, ready.
    pub provider_resolved: Option<Finding>,
    /// The provider can do what the spec asks for.
    pub accepted: Option<Finding>,
    /// The client stands.
    pub provisioned: Option<Finding>,
    /// The outputs stand.
    pub published: Option<Finding>,
    /// The credentials are good.
    pub verified: Option<Finding>,
    /// The workloads that follow the outputs do; `None` also where there are none.
    pub workloads: Option<Finding>,
    /// Why work goes on, if it does.
    pub reconciling: Option<(Reason, String)>,
    /// Why only a person can help, if so.
    pub stalled: Option<(Reason, String)>,
    /// Facts for the status.
    pub facts: Facts,
    /// Was the latest reconcile request carried out?
    pub request_done: bool,
    /// Is the object gone, so that there is nothing to report on?
    pub gone: bool,
    /// Nothing to say yet: no status is written.
    pub silent: bool,
    /// When to look again.
    pub requeue: Requeue,
}

impl Requeue {
    /// What a failed call to a provider asks for.
    pub fn after(error: &IdpError) -> Self {
        match error.retry_after {
            Some(wait) => Self::NotBefore(wait, error.class()),
            None => Self::Backoff(error.class()),
        }
    }
}

impl Verdict {
    /// Nothing found yet, to be looked at again by `requeue`.
    pub fn new(requeue: Requeue) -> Self {
        Self {
            provider_resolved: None,
            accepted: None,
            provisioned: None,
            published: None,
            verified: None,
            workloads: None,
            reconciling: None,
            stalled: None,
            facts: Facts::default(),
            request_done: false,
            gone: false,
            silent: false,
            requeue,
        }
    }
}
