//! Workloads that follow the outputs (`rolloutRestart`): they are restarted when what Secret and ConfigMap hold is not what they
//! were started with.
//!
//! Workloads are others' objects. Nothing is done to one that does not consent, and nothing but two annotations is ever changed:
//! what it was last started with (on the workload), and when it was restarted (on its Pod template), both in one request. Nor
//! is any of it in the way of the client: what goes wrong here is said in the condition `WorkloadsCurrent`, and no more.

use std::collections::BTreeMap;

use super::{
    client::{Work, settled, step},
    drafts,
    outputs::Outputs,
    snapshot::{OutputView, Workload, WorkloadView},
    step::{Move, Need, Note, OutputDraft, Precondition, Step},
    verdict::{Finding, Requeue, Verdict},
};
use crate::{
    api::{Reason, client::WorkloadReference},
    domain::{
        digest,
        vocabulary::{ANNOTATION_RESTART_ON, ANNOTATION_RESTART_SALT, RESTART_PREFIX},
    },
};

/// Longest part of an annotation's key after its prefix.
const LONGEST_KEY: usize = 63;

/// How much of the digest of a name that is longer stands in its place.
const OF_DIGEST: usize = 16;

/// The annotation of a workload that tells what it was last started with, of the outputs of the OIDCClient `client`. A longer
/// name is told apart by its digest, behind a character that no name has.
pub fn noted_under(client: &str) -> String {
    if client.len() <= LONGEST_KEY {
        return format!("{RESTART_PREFIX}{client}");
    }
    let name: String = client.chars().take(LONGEST_KEY - OF_DIGEST - 1).collect();
    let digest: String = digest::sha256_hex(client.as_bytes()).chars().take(OF_DIGEST).collect();
    format!("{RESTART_PREFIX}{name}_{digest}")
}

/// May the OIDCClient `client` restart this workload?
fn consents(workload: &Workload, client: &str) -> bool {
    let names = workload.annotations.get(ANNOTATION_RESTART_ON);
    names.is_some_and(|names| names.split(',').any(|name| name.trim() == client))
}

/// What stands for all that the outputs hold; `None`: the Secret has no salt yet.
///
/// Many who may not read a Secret may read workloads. A user's own secret may be easy to guess, so that its bare digest would
/// give it away; with a salt that only the Secret shows it does not.
pub fn fingerprint(secret: &OutputView, config_map: &OutputView) -> Option<String> {
    let salt = secret.annotations.get(ANNOTATION_RESTART_SALT)?;
    let parts = [
        ("salt", salt.clone()),
        ("secret", digest::of_data(&secret.data)),
        ("config-map", digest::of_data(&config_map.data)),
    ];
    let parts: BTreeMap<String, String> = parts.map(|(key, value)| (key.to_owned(), value)).into();
    Some(digest::of_data(&parts))
}

impl Work<'_> {
    /// Before anything changes: a workload on which nothing is noted yet was started with the outputs as they stand, and would be
    /// taken for one that was started with the new ones.
    pub(super) fn note_workloads(&self, outputs: &Outputs<'_>) -> Option<Move> {
        self.look_at_workloads()
            .or_else(|| self.follow(outputs, |noted, _| noted.is_none()))
    }

    /// Once the outputs are as the spec wants them: restarts what was started with others.
    pub(super) fn restart_workloads(&self, outputs: &Outputs<'_>) -> Option<Move> {
        // A workload that was changed meanwhile is looked at again.
        self.look_at_workloads()
            .or_else(|| self.follow(outputs, |noted, now| noted.is_none() || noted != now))
    }

    /// The workloads that are followed: none unless the operator's administrators allow it.
    fn followed(&self) -> &[WorkloadReference] {
        if self.snapshot.settings.rollout_restart {
            self.snapshot.client.spec.rollout_restart()
        } else {
            &[]
        }
    }

    fn look_at_workloads(&self) -> Option<Move> {
        let seen = |workload| self.snapshot.workloads.contains_key(workload);
        (!self.followed().iter().all(seen)).then_some(Move::Look(Need::Workloads))
    }

    /// The next write to a workload that consents, where `due` says so of what is noted on it and of what the outputs hold.
    fn follow(&self, outputs: &Outputs<'_>, due: fn(Option<&String>, Option<&String>) -> bool) -> Option<Move> {
        let secret = outputs.secret.or(outputs.former_secret)?;
        let config_map = outputs.config_map.or(outputs.former_config_map)?;
        let now = fingerprint(secret, config_map);
        let client = &self.snapshot.client.name.name;
        let key = noted_under(client);
        let (reference, workload) = self
            .followed()
            .iter()
            .filter_map(|reference| match self.snapshot.workloads.get(reference)? {
                WorkloadView::Found(workload) => Some((reference, workload)),
                WorkloadView::Missing | WorkloadView::Failed { .. } => None,
            })
            .find(|(_, workload)| consents(workload, client) && due(workload.annotations.get(&key), now.as_ref()))?;
        let Some(fingerprint) = now else {
            return Some(self.salt(secret));
        };
        let restart = workload.annotations.contains_key(&key);
        Some(step(Step::UpdateWorkload {
            workload: reference.clone(),
            precondition: Precondition {
                uid: workload.uid.clone(),
                resource_version: Some(workload.resource_version.clone()),
            },
            key,
            fingerprint,
            // To the nanosecond, unlike kubectl: two clients may restart one workload within a second, and each must change the template.
            restarted_at: restart.then(|| self.snapshot.now.to_string()),
            note: restart.then(|| Note {
                warning: false,
                reason: Reason::Restarted,
                message: format!("{reference} was restarted, because what the outputs hold has changed"),
            }),
        }))
    }

    /// The salt of an output Secret that was made before workloads were to follow it.
    fn salt(&self, secret: &OutputView) -> Move {
        let mut draft = drafts::unchanged(secret);
        self.insert_salt(&mut draft, None);
        step(Step::UpdateOutput {
            draft,
            precondition: drafts::seen_version(secret),
            note: None,
        })
    }

    /// Gives a Secret that is to be made its salt: that of the Secret whose place it takes, so that nothing is restarted only
    /// because the Secret has another name.
    pub(super) fn insert_salt(&self, draft: &mut OutputDraft, former: Option<&OutputView>) {
        if self.followed().is_empty() {
            return;
        }
        let kept = former.and_then(|former| former.annotations.get(ANNOTATION_RESTART_SALT).cloned());
        let fresh = || self.snapshot.supply.seed.digest();
        draft
            .annotations
            .insert(ANNOTATION_RESTART_SALT.to_owned(), kept.unwrap_or_else(fresh));
    }

    /// Settles with what is known of the workloads.
    pub(super) fn settle_with_workloads(&self, mut verdict: Verdict) -> Move {
        verdict.workloads = self.judge_workloads();
        let failed = self
            .followed()
            .iter()
            .find_map(|reference| match self.snapshot.workloads.get(reference)? {
                WorkloadView::Failed { class, .. } => Some(*class),
                WorkloadView::Missing | WorkloadView::Found(_) => None,
            });
        if let Some(class) = failed
            && matches!(verdict.requeue, Requeue::Resync(_) | Requeue::ResyncOrAt(..))
        {
            verdict.requeue = Requeue::Backoff(class);
        }
        settled(verdict)
    }

    /// For the condition `WorkloadsCurrent`; `None`: there is nothing to say.
    fn judge_workloads(&self) -> Option<Finding> {
        let client = &self.snapshot.client;
        let wanted = client.spec.rollout_restart();
        if wanted.is_empty() {
            return None;
        }
        if !self.snapshot.settings.rollout_restart {
            return Some(Finding::no(
                Reason::RestartsDisabled,
                "rolloutRestart: this operator restarts no workloads (it runs without --enable-rollout-restart). Restart them by other means when the outputs change",
            ));
        }
        let trouble = |reference: &WorkloadReference| match self.snapshot.workloads.get(reference) {
            Some(WorkloadView::Found(workload)) if consents(workload, &client.name.name) => None,
            Some(WorkloadView::Found(_)) => Some((
                Reason::ConsentMissing,
                format!(
                    "{reference} is left alone, because it lacks the annotation {ANNOTATION_RESTART_ON}: {}",
                    client.name.name
                ),
            )),
            Some(WorkloadView::Failed { message, .. }) => {
                Some((Reason::RestartFailed, format!("{reference}: {message}")))
            }
            Some(WorkloadView::Missing) | None => Some((
                Reason::WorkloadNotFound,
                format!("there is no {reference} in this namespace"),
            )),
        };
        let (reasons, messages): (Vec<_>, Vec<_>) = wanted.iter().filter_map(trouble).unzip();
        Some(match reasons.first() {
            Some(reason) => Finding::no(
                *reason,
                format!(
                    "rolloutRestart: {}; looked at again with the next resync at the latest",
                    messages.join("; ")
                ),
            ),
            None => Finding::yes(
                Reason::WorkloadsCurrent,
                "All workloads under rolloutRestart were started with what the outputs hold, or restarted since",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_an_annotation_of_its_own() {
        assert_eq!(noted_under("shop"), "restart.oidc-operator.io/shop");
        let longest = "s".repeat(63);
        assert_eq!(noted_under(&longest), format!("restart.oidc-operator.io/{longest}"));
        let (one, other) = (noted_under(&"s".repeat(64)), noted_under(&"s".repeat(65)));
        assert_ne!(one, other);
        for key in [one, other] {
            let (_, name) = key.split_once('/').expect("a prefix");
            assert_eq!(name.len(), 63);
            assert!(name.contains('_'), "{name} could be the name of an OIDCClient");
        }
    }

    #[test]
    fn a_workload_consents_to_each_client_that_it_names() {
        let workload = |names: &str| Workload {
            uid: "1".to_owned(),
            resource_version: "1".to_owned(),
            annotations: [(ANNOTATION_RESTART_ON.to_owned(), names.to_owned())].into(),
        };
        for names in ["shop", "admin,shop", " admin , shop ", "shop,"] {
            assert!(consents(&workload(names), "shop"), "{names:?}");
        }
        for names in ["", "*", "shop2", "admin shop", "shop;admin", "shop/web"] {
            assert!(!consents(&workload(names), "shop"), "{names:?}");
        }
    }

    fn output(annotations: &[(&str, &str)], value: &str) -> OutputView {
        OutputView {
            name: String::new(),
            uid: String::new(),
            resource_version: String::new(),
            terminating: false,
            owners: Vec::new(),
            labels: BTreeMap::new(),
            annotations: annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            data: BTreeMap::from([("key".to_owned(), value.as_bytes().to_vec())]),
            type_: None,
            immutable: false,
        }
    }

    #[test]
    fn a_fingerprint_is_of_salt_secret_and_config_map() {
        let salted = |salt: &str, value: &str| output(&[(ANNOTATION_RESTART_SALT, salt)], value);
        let of = |salt: &str, secret: &str, map: &str| fingerprint(&salted(salt, secret), &output(&[], map));
        let one = of("a", "secret", "map");
        assert!(one.is_some());
        assert_eq!(one, of("a", "secret", "map"));
        for other in [of("b", "secret", "map"), of("a", "x", "map"), of("a", "secret", "x")] {
            assert_ne!(one, other);
        }
        assert_eq!(fingerprint(&output(&[], "secret"), &output(&[], "map")), None);
    }
}
