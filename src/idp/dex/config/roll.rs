//! When the workload is rolled out: many changes, one roll-out. Pure.

use std::time::Duration;

use super::{
    effects::Effects,
    installation::TemplateDraft,
    rollout::Rollout,
    seen::{Digests, Seen},
};
use crate::domain::IdpError;

/// A roll-out begins once nothing was changed for so long.
pub(super) const QUIET: Duration = Duration::from_secs(2);

/// While changes keep coming, it begins so long after the first one. One that is under way is waited for, so each begins with all
/// that came meanwhile.
pub(super) const AT_MOST: Duration = Duration::from_secs(15);

/// Changes that come so soon after a roll-out began belong to one stream with those before it. In a stream each roll-out waits longer
/// than the last one, [`QUIET`] twice and [`AT_MOST`] four times as long, two times at the most: a stream of many costs few.
pub(super) const STREAM: Duration = Duration::from_secs(60);

/// How often the waits grow.
const GROWS_AT_MOST: u32 = 2;

/// A roll-out under way is waited for so long; then the next one takes its place.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// How long ago what happened; `None`: not at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ages {
    /// The first change that no template has yet.
    pub(super) first_change: Option<Duration>,
    /// The last one.
    pub(super) last_change: Option<Duration>,
    /// How many roll-outs there were in this stream of changes before.
    pub(super) streak: u32,
    /// The last write of a template, by this process.
    pub(super) last_template: Option<Duration>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Roll {
    /// Write the template, which starts a roll-out; its Pods will read at least these.
    Template(TemplateDraft, Digests),
    /// More changes may come.
    Quiet(Duration),
    /// Wait for the roll-out: what is missing, for people.
    Wait(String),
    /// A roll-out has ended: these clients are read. `behind`: others are written since.
    Conclude {
        /// What was read.
        read: Digests,
        /// Is there more to be rolled out?
        behind: bool,
    },
    /// All is in effect.
    Done,
}

/// Names the next thing to do, once all stands that clients need ([`super::setup`]).
///
/// # Errors
/// Where the target cannot be made.
pub(super) fn next(seen: &Seen, effects: &Effects, ages: Ages) -> Result<Roll, IdpError> {
    let entries = seen.entries();
    let text = seen.render(&entries)?;
    let template = seen.template(&text, &entries);
    let digests = seen.digests(&entries);
    let (workload, rollout) = (&seen.workload, seen.workload.rollout(&seen.names.workload));
    let behind = !seen.has_template(&template);
    if rollout == Rollout::Complete {
        let earlier = workload
            .checksum
            .as_deref()
            .and_then(|checksum| effects.read_by(checksum));
        let read = if behind {
            earlier.cloned()
        } else {
            Some(digests.clone())
        };
        if let Some(read) = read
            && !effects.is_concluded(workload.generation, &read)
            && !(behind && effects.is_skipped(workload.generation))
        {
            return Ok(Roll::Conclude { read, behind });
        }
    }
    if !behind {
        return Ok(match rollout {
            Rollout::Complete => Roll::Done,
            Rollout::Running(why) => Roll::Wait(why),
        });
    }
    // Where nobody runs, nobody is disturbed; and Pods that wait for a key that is gone wait for ever.
    let is_stuck = workload.progress.wanted == 0 || !seen.has_keys(&workload.variables);
    let patient = ages.last_template.is_none_or(|age| age < PATIENCE) && !is_stuck;
    if let Rollout::Running(why) = rollout
        && patient
    {
        return Ok(Roll::Wait(why));
    }
    let grown = ages.streak.min(GROWS_AT_MOST);
    let (quiet, at_most) = (QUIET * (1 << grown), AT_MOST * (1 << (2 * grown)));
    let quiet = ages.last_change.map_or(Duration::ZERO, |age| quiet.saturating_sub(age));
    let left = ages
        .first_change
        .map_or(Duration::ZERO, |age| at_most.saturating_sub(age));
    let wait = quiet.min(left);
    if !wait.is_zero() {
        return Ok(Roll::Quiet(wait));
    }
    Ok(Roll::Template(template, digests))
}

/// Variables whose secrets nobody reads any more: no client in the target names them, nor does any Pod.
pub(super) fn unused(seen: &Seen) -> std::collections::BTreeSet<String> {
    let Some(keys) = &seen.keys else {
        return Default::default();
    };
    let standing = seen.standing();
    let named = |variable: &String| {
        standing
            .values()
            .any(|entry| entry.secret_env.as_ref() == Some(variable))
            || seen.workload.variables.contains(variable)
            || seen.workload.other_variables.contains(variable)
    };
    let is_rolled_out = seen.workload.is_rolled_out();
    keys.secrets
        .keys()
        .filter(|variable| is_rolled_out && variable.starts_with(super::entry::VARIABLE_PREFIX) && !named(variable))
        .cloned()
        .collect()
}
