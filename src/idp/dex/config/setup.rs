//! What stands before any client can: the target, the Secret for the secrets, and the workload that takes it for its environment.
//!
//! Dex reads a variable that is not set as an empty secret, and then accepts an empty secret. So, before an entry with a variable is
//! written, every Pod that may start must find the variable. Two things see to that. The container takes the whole Secret by
//! `envFrom`, not optional: a Pod that starts between the write of the target and that of its template finds the key that was
//! written before both. And each variable stands in the Pod template by itself, not optional: a Pod without its key does not start.
//! Here the first is put in place, and waited for.

use super::{
    installation::{KeysChange, TargetDraft, TemplateDraft},
    rollout::Rollout,
    seen::Seen,
};
use crate::domain::IdpError;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setup {
    /// Write the target.
    Target(TargetDraft),
    /// Make the Secret, or put a salt into it.
    Keys(KeysChange),
    /// Place `envFrom`, and all else of ours, in the Pod template.
    Template(TemplateDraft),
    /// Wait for the roll-out that brings `envFrom` to all Pods: what is missing, for people.
    Wait(String),
    /// All stands.
    Done,
}

/// Names the next thing to do; `fresh`: a random text that was never used.
///
/// # Errors
/// Where the target cannot be made.
pub(super) fn next(seen: &Seen, fresh: &str) -> Result<Setup, IdpError> {
    let entries = seen.entries();
    let text = seen.render(&entries)?;
    let (workload, uid) = (&seen.workload, &seen.workload.uid);
    // Before anything else: while the target holds an entry without its key, no Pod may get through.
    let target = seen.target.as_ref();
    let guarded = target.and_then(|target| target.guarded.clone());
    let guarded = guarded.filter(|guarded| workload.env_from && guarded == uid);
    let revision = target.and_then(|target| target.revision.clone());
    let revision = revision.filter(|_| target.is_some_and(|target| target.text == text));
    if revision.is_none() || target.is_some_and(|target| target.guarded != guarded) {
        return Ok(Setup::Target(TargetDraft {
            text,
            guarded,
            revision: revision.unwrap_or_else(|| fresh.to_owned()),
        }));
    }
    if seen.keys.as_ref().is_none_or(|keys| keys.salt.is_none()) {
        return Ok(Setup::Keys(KeysChange {
            salt: Some(fresh.to_owned()),
            ..KeysChange::default()
        }));
    }
    if !workload.env_from {
        return Ok(Setup::Template(seen.template(&text, &entries)));
    }
    if guarded.is_some() {
        return Ok(Setup::Done);
    }
    Ok(match workload.rollout(&seen.names.workload) {
        Rollout::Running(why) => Setup::Wait(why),
        Rollout::Complete => Setup::Target(TargetDraft {
            text,
            guarded: Some(uid.clone()),
            revision: revision.unwrap_or_else(|| fresh.to_owned()),
        }),
    })
}
