//! How far a roll-out is: the judgement of `kubectl rollout status`, as data.

use super::installation::{Progress, Workload};

/// Are all Pods of the newest template?
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// They are, and available.
    Complete,
    /// Not yet: what is missing, for people.
    Running(String),
}

impl Workload {
    /// Judges it; `name` for people.
    pub(super) fn rollout(&self, name: &str) -> Rollout {
        let Progress {
            observed_generation,
            paused,
            wanted,
            replicas,
            updated,
            available,
            deadline_exceeded,
        } = self.progress;
        let missing = if observed_generation < self.generation {
            "its controller has not seen its newest Pod template yet".to_owned()
        } else if wanted == 0 {
            "it is scaled to 0".to_owned()
        } else if updated < wanted {
            format!("{updated} of {wanted} Pods are of its newest template")
        } else if replicas > updated {
            format!("{} Pods of an older template have not ended yet", replicas - updated)
        } else if available < updated {
            format!("{available} of {updated} Pods are available")
        } else {
            return Rollout::Complete;
        };
        let help = if paused {
            ": it is paused, and goes on with kubectl rollout resume"
        } else if deadline_exceeded {
            ": it makes no progress; see its Pods"
        } else {
            ""
        };
        Rollout::Running(format!("{name} is being rolled out, {missing}{help}"))
    }

    /// Are all of its Pods of the newest template, and available?
    pub(super) fn is_rolled_out(&self) -> bool {
        self.rollout("") == Rollout::Complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(change: impl FnOnce(&mut Workload)) -> Rollout {
        let mut workload = Workload {
            generation: 3,
            progress: Progress {
                observed_generation: 3,
                wanted: 2,
                replicas: 2,
                updated: 2,
                available: 2,
                ..Progress::default()
            },
            ..Workload::default()
        };
        change(&mut workload);
        workload.rollout("Deployment dex")
    }

    #[test]
    fn all_pods_must_be_new_and_available() {
        assert_eq!(workload(|_| {}), Rollout::Complete);
        let told = |change: fn(&mut Workload)| match workload(change) {
            Rollout::Running(why) => why,
            Rollout::Complete => panic!("complete"),
        };
        for (change, expected) in [
            ((|w| w.generation = 4) as fn(&mut Workload), "has not seen"),
            (|w| w.progress.updated = 1, "1 of 2 Pods are of its newest template"),
            (|w| w.progress.replicas = 3, "1 Pods of an older template"),
            (|w| w.progress.available = 0, "0 of 2 Pods are available"),
            (|w| w.progress.wanted = 0, "scaled to 0"),
        ] {
            let why = told(change);
            assert!(
                why.starts_with("Deployment dex is being rolled out") && why.contains(expected),
                "{why}"
            );
        }
        let why = told(|w| (w.progress.paused, w.progress.updated) = (true, 0));
        assert!(why.contains("kubectl rollout resume"), "{why}");
        let why = told(|w| (w.progress.deadline_exceeded, w.progress.available) = (true, 0));
        assert!(why.contains("see its Pods"), "{why}");
    }

    #[test]
    fn a_pod_that_is_surplus_but_new_does_not_matter() {
        assert_eq!(
            workload(|w| (w.progress.replicas, w.progress.updated, w.progress.available) = (3, 3, 3)),
            Rollout::Complete
        );
    }
}
