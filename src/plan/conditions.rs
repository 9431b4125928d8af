//! From a verdict to the status of an object. Time moves only where something else does.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::verdict::{Finding, RegistrationFacts, Verdict};
use crate::{
    api::{
        Condition, OIDCClientStatus, Reason,
        client::{Binding, CredentialsStatus, ProofStatus, RegistrationStatus, RemoteStatus},
        common::ConditionStatus,
        crd::CLIENT_CONDITIONS,
    },
    plan::snapshot::ClientView,
};

/// Stands only with `rolloutRestart`, and is no part of `Ready`.
const WORKLOADS_CURRENT: &str = "WorkloadsCurrent";

/// RFC 3339, to the second.
pub fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Puts news into a list of conditions: `lastTransitionTime` moves only when `status` changes.
pub fn set(conditions: &mut Vec<Condition>, type_: &str, finding: &Finding, generation: i64, now: Timestamp) {
    let mut fresh = Condition::new(type_, finding.status, finding.reason, finding.message.clone(), now);
    fresh.observed_generation = generation;
    match conditions.iter_mut().find(|condition| condition.type_ == type_) {
        Some(old) => {
            if old.status == fresh.status {
                fresh.last_transition_time = old.last_transition_time.clone();
            }
            *old = fresh;
        }
        None => conditions.push(fresh),
    }
}

/// Makes sure that every type is there, in order; what was never looked at is Unknown.
pub fn complete(conditions: &mut Vec<Condition>, types: &[&str]) {
    for type_ in types {
        if !conditions.iter().any(|condition| condition.type_ == *type_) {
            conditions.push(Condition {
                observed_generation: 0,
                last_transition_time: Time(Timestamp::UNIX_EPOCH),
                ..Condition::new(
                    type_,
                    ConditionStatus::Unknown,
                    Reason::Pending,
                    "Waiting for the operator",
                    Timestamp::UNIX_EPOCH,
                )
            });
        }
    }
    conditions.sort_by_key(|condition| {
        types
            .iter()
            .position(|type_| *type_ == condition.type_)
            .unwrap_or(usize::MAX)
    });
}

/// kstatus' abnormal-true conditions stand only while they hold.
pub fn set_while(
    conditions: &mut Vec<Condition>,
    type_: &str,
    why: Option<&(Reason, String)>,
    generation: i64,
    now: Timestamp,
) {
    match why {
        Some((reason, message)) => set(
            conditions,
            type_,
            &Finding::yes(*reason, message.clone()),
            generation,
            now,
        ),
        None => conditions.retain(|condition| condition.type_ != type_),
    }
}

/// `Ready`: all of `needed` are True, and none of `tolerated` is False. Its reason and message are those of the first
/// condition in the way.
pub fn ready(conditions: &[Condition], needed: &[&str], tolerated: &[&str], message: &str) -> Finding {
    let find = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_);
    let status = |type_: &str| find(type_).map_or(ConditionStatus::Unknown, |condition| condition.status);
    let any_false = needed
        .iter()
        .chain(tolerated)
        .find(|type_| status(type_) == ConditionStatus::False);
    let any_open = needed.iter().find(|type_| status(type_) != ConditionStatus::True);
    match any_false.or(any_open) {
        None => Finding::yes(Reason::Ready, message),
        Some(type_) => {
            let (reason, message) = find(type_).map_or((Reason::Pending, String::new()), |condition| {
                (Reason::parse(&condition.reason), condition.message.clone())
            });
            let status = if any_false.is_some() {
                ConditionStatus::False
            } else {
                ConditionStatus::Unknown
            };
            Finding {
                status,
                reason,
                message,
            }
        }
    }
}

/// The status of an OIDCClient after a verdict.
pub fn client_status(client: &ClientView, verdict: &Verdict, now: Timestamp) -> OIDCClientStatus {
    let mut status = client.status.clone();
    let generation = client.generation;
    status.observed_generation = generation;
    status.provider = Some(client.provider().to_string());
    let facts = &verdict.facts;
    if let Some(client_id) = &facts.client_id {
        status.client_id = Some(client_id.clone());
    }
    if let Some(issuer) = &facts.issuer {
        status.issuer = Some(issuer.clone());
    }
    if let Some(resolved) = &facts.resolved {
        status.resolved = Some(resolved.clone());
    }
    if let Some(enforcement) = &facts.enforcement {
        status.enforcement = enforcement.clone();
    }
    if let Some(name) = &facts.secret_name {
        status.binding = Some(Binding { name: name.clone() });
    }
    if let Some(remote) = &facts.remote {
        status.remote = remote.clone().map(|id| RemoteStatus { id });
    }
    if let Some(rotation) = facts.rotation {
        let old = status.credentials.take();
        // What this pass did not find out stays.
        let kept = |news: &Option<Option<String>>, of: fn(&CredentialsStatus) -> &Option<String>| match news {
            Some(news) => news.clone(),
            None => old.as_ref().and_then(|old| of(old).clone()),
        };
        status.credentials = Some(CredentialsStatus {
            rotation_capability: rotation,
            last_rotation: facts
                .rotated_at
                .clone()
                .or(old.as_ref().and_then(|old| old.last_rotation.clone())),
            next_rotation: kept(&facts.next_rotation, |old| &old.next_rotation),
            previous_secret_valid_until: kept(&facts.previous_until, |old| &old.previous_secret_valid_until),
            previous_key_id: kept(&facts.previous_key, |old| &old.previous_key_id),
            last_rotate_request: facts
                .rotate_request
                .clone()
                .or(old.as_ref().and_then(|old| old.last_rotate_request.clone())),
            last_proof: match &facts.proven {
                Some(tried) => Some(ProofStatus {
                    time: timestamp(now),
                    secret_uid: tried.secret_uid.clone(),
                    attempt: tried.attempt.clone(),
                    resource_version: tried.resource_version.clone(),
                }),
                None => old.and_then(|old| old.last_proof),
            },
        });
    }
    if let Some(registration) = &facts.registration {
        status.registration = registration
            .as_ref()
            .filter(|registration| **registration != RegistrationFacts::default())
            .map(|registration| RegistrationStatus {
                possible_orphans: registration.possible_orphans.clone(),
                altered: registration.altered.clone(),
            });
    }
    if verdict.request_done {
        status.last_reconcile_request.clone_from(&client.reconcile_request);
    }
    let conditions = &mut status.conditions;
    let news = [
        ("ProviderResolved", &verdict.provider_resolved),
        ("Accepted", &verdict.accepted),
        ("Provisioned", &verdict.provisioned),
        ("CredentialsPublished", &verdict.published),
        ("CredentialsVerified", &verdict.verified),
    ];
    for (type_, finding) in news {
        if let Some(finding) = finding {
            set(conditions, type_, finding, generation, now);
        }
    }
    let summary = ready(
        conditions,
        &["ProviderResolved", "Accepted", "Provisioned", "CredentialsPublished"],
        &["CredentialsVerified"],
        "The client works: its credentials and endpoints are in the Secret and the ConfigMap",
    );
    set(conditions, "Ready", &summary, generation, now);
    match &verdict.workloads {
        Some(finding) => set(conditions, WORKLOADS_CURRENT, finding, generation, now),
        // Kept while nothing new is known; gone with the field.
        None if client.spec.rollout_restart().is_empty() => {
            conditions.retain(|condition| condition.type_ != WORKLOADS_CURRENT);
        }
        None => {}
    }
    set_while(conditions, "Reconciling", verdict.reconciling.as_ref(), generation, now);
    set_while(conditions, "Stalled", verdict.stalled.as_ref(), generation, now);
    complete(conditions, CLIENT_CONDITIONS);
    status
}
