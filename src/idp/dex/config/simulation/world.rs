//! Kubernetes and Dex, as far as they matter: what a Pod finds when it starts, or why it does not.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{
    change::{Answer, Applied, Change, apply},
    document,
    effects::Effects,
    installation::{Keys, KeysChange, Names, Progress, Target, TargetDraft, TemplateDraft, Text, Version, Workload},
    roll::{self, Ages, Roll},
    seen::Seen,
    setup::{self, Setup},
};
use crate::domain::{ClientSecret, IdpErrorKind};

pub(super) const BASE: &str = "issuer: https://dex\nstaticClients:\n- {id: theirs, name: Theirs, secret: s}\n";

/// What a Pod was started with: the clients that it read, with their secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) template: u64,
    pub(super) clients: BTreeMap<String, Option<String>>,
}

/// A template of the workload.
#[derive(Clone, Debug, Default)]
pub(super) struct Template {
    pub(super) env_from: bool,
    pub(super) variables: BTreeSet<String>,
    pub(super) checksum: Option<String>,
}

/// Kubernetes, as far as it matters.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) base: String,
    /// Text, what guards it, revision.
    pub(super) target: Option<(String, Option<String>, String)>,
    pub(super) keys: Option<BTreeMap<String, String>>,
    pub(super) salt: Option<String>,
    pub(super) keys_revision: Option<String>,
    pub(super) fresh: usize,
    pub(super) templates: Vec<Template>,
    pub(super) pod: Option<Pod>,
    pub(super) effects: Effects,
    pub(super) restarts: usize,
}

impl Clone for Effects {
    /// Nothing of it outlives a process.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl World {
    pub(super) fn new() -> Self {
        let mut world = Self {
            base: BASE.to_owned(),
            target: None,
            keys: None,
            salt: None,
            keys_revision: None,
            fresh: 0,
            templates: vec![Template::default()],
            pod: None,
            effects: Effects::default(),
            restarts: 0,
        };
        world.settle();
        world
    }

    pub(super) fn newest(&self) -> u64 {
        self.templates.len() as u64
    }

    pub(super) fn seen(&self) -> Seen {
        let version = || Version {
            uid: "u".to_owned(),
            resource_version: "1".to_owned(),
        };
        let target = self.target.as_ref().map(|(text, guarded, revision)| Target {
            version: version(),
            ours: true,
            text: Text(text.clone()),
            guarded: guarded.clone(),
            revision: Some(revision.clone()),
        });
        let keys = self.keys.as_ref().map(|keys| Keys {
            version: version(),
            ours: true,
            salt: self.salt.clone(),
            revision: self.keys_revision.clone(),
            secrets: keys
                .iter()
                .map(|(name, value)| (name.clone(), ClientSecret::new(value.clone())))
                .collect(),
        });
        let template = self.templates.last().unwrap();
        let updated = i32::from(self.pod.as_ref().is_some_and(|pod| pod.template == self.newest()));
        let workload = Workload {
            uid: "deployment".to_owned(),
            resource_version: "1".to_owned(),
            env_from: template.env_from,
            variables: template.variables.clone(),
            other_variables: BTreeSet::new(),
            checksum: template.checksum.clone(),
            generation: i64::try_from(self.newest()).unwrap(),
            progress: Progress {
                observed_generation: i64::try_from(self.newest()).unwrap(),
                wanted: 1,
                replicas: i32::from(self.pod.is_some()),
                updated,
                available: updated,
                ..Progress::default()
            },
        };
        Seen::new(&names(), &Text(self.base.clone()), target, keys, workload).unwrap()
    }

    /// A Pod of this template starts, or does not: as the kubelet and Dex have it.
    pub(super) fn start(&mut self, number: u64) {
        self.pod = None;
        let template = &self.templates[usize::try_from(number).unwrap() - 1];
        let Some((text, ..)) = &self.target else { return };
        let empty = BTreeMap::new();
        let keys = match &self.keys {
            Some(keys) => keys,
            None if template.env_from || !template.variables.is_empty() => return,
            None => &empty,
        };
        if template.variables.iter().any(|variable| !keys.contains_key(variable)) {
            return;
        }
        let reads = |variable: &String| {
            let set = template.env_from || template.variables.contains(variable);
            keys.get(variable).filter(|_| set).cloned().unwrap_or_default()
        };
        let clients = document::entries(text);
        let clients: BTreeMap<String, Option<String>> = clients
            .into_iter()
            .map(|(id, entry)| (id, entry.secret_env.as_ref().map(reads)))
            .collect();
        for (id, secret) in &clients {
            assert_ne!(secret.as_deref(), Some(""), "Dex accepts an empty secret for {id}");
        }
        self.restarts += 1;
        self.pod = Some(Pod {
            template: number,
            clients,
        });
    }

    /// The Pod that runs, or one that waits, starts anew; where there is none, one of the newest template tries.
    pub(super) fn restart(&mut self) {
        let template = self.pod.as_ref().map_or(self.newest(), |pod| pod.template);
        self.start(template);
    }

    pub(super) fn write_target(&mut self, draft: &TargetDraft) {
        self.target = Some((draft.text.0.clone(), draft.guarded.clone(), draft.revision.clone()));
    }

    pub(super) fn write_keys(&mut self, change: &KeysChange) {
        let keys = self.keys.get_or_insert_default();
        keys.extend(
            change
                .put
                .iter()
                .map(|(name, secret)| (name.clone(), secret.expose().to_owned())),
        );
        keys.retain(|name, _| !change.remove.contains(name));
        if let Some(salt) = &change.salt {
            self.salt = Some(salt.clone());
        }
        if let Some(revision) = &change.revision {
            self.keys_revision = Some(revision.clone());
        }
    }

    pub(super) fn write_template(&mut self, draft: &TemplateDraft) {
        self.templates.push(Template {
            env_from: true,
            variables: draft.variables.clone(),
            checksum: Some(draft.checksum.clone()),
        });
    }

    /// A text that was never used.
    pub(super) fn fresh(&mut self) -> String {
        self.fresh += 1;
        format!("fresh-{}", self.fresh)
    }

    /// One write of the setup, or of a roll-out; `false`: nothing is left to write.
    pub(super) fn step(&mut self) -> bool {
        let seen = self.seen();
        self.effects.wrote(seen.digests(&seen.entries()));
        match setup::next(&seen, &self.fresh()).unwrap() {
            Setup::Target(draft) => self.write_target(&draft),
            Setup::Keys(change) => self.write_keys(&change),
            Setup::Template(draft) => self.write_template(&draft),
            Setup::Wait(_) => return false,
            Setup::Done => return self.roll(&seen),
        }
        true
    }

    pub(super) fn roll(&mut self, seen: &Seen) -> bool {
        match roll::next(seen, &self.effects, Ages::default()).unwrap() {
            Roll::Template(draft, digests) => {
                self.effects.rolls(draft.checksum.clone(), digests);
                self.write_template(&draft);
            }
            Roll::Conclude { read, .. } => {
                self.effects.conclude(seen.workload.generation, read, BTreeMap::new());
            }
            Roll::Quiet(_) | Roll::Wait(_) => return false,
            Roll::Done => {
                let remove = roll::unused(seen);
                if remove.is_empty() {
                    return false;
                }
                self.write_keys(&KeysChange {
                    remove,
                    ..KeysChange::default()
                });
            }
        }
        true
    }

    /// All that the operator and Kubernetes do by themselves.
    pub(super) fn settle(&mut self) {
        for _ in 0..100 {
            if self.step() {
                continue;
            }
            if self.pod.as_ref().is_some_and(|pod| pod.template == self.newest()) {
                return;
            }
            let newest = self.newest();
            self.start(newest);
        }
        panic!("no end: {self:?}");
    }

    /// The writes of a call, one by one; the call is cut off after so many, or not. Gives its answer, and whether it was cut off.
    pub(super) fn call(&mut self, change: &Change, writes: usize) -> Option<Result<Answer, IdpErrorKind>> {
        let seen = self.seen();
        let Applied {
            mut answers,
            entries,
            secrets,
        } = apply(&seen, std::slice::from_ref(change));
        assert!(seen.is_guarded());
        let mut left = writes;
        if !secrets.is_empty() {
            if left == 0 {
                return None;
            }
            left -= 1;
            let revision = Some(self.fresh());
            self.write_keys(&KeysChange {
                put: secrets,
                revision,
                ..KeysChange::default()
            });
        }
        let text = seen.render(&entries).unwrap();
        let (former, guarded, _) = self.target.clone().unwrap();
        if text.0 != former {
            if left == 0 {
                return None;
            }
            let revision = self.fresh();
            self.write_target(&TargetDraft {
                text,
                guarded,
                revision,
            });
        }
        Some(answers.pop().unwrap().map_err(|error| error.kind))
    }

    pub(super) fn done(&mut self, change: &Change) {
        let answer = self.call(change, usize::MAX);
        assert_eq!(answer, Some(Ok(Answer::Done)), "{change:?}");
    }

    pub(super) fn text(&self) -> &str {
        &self.target.as_ref().unwrap().0
    }

    pub(super) fn running(&self) -> BTreeMap<String, Option<String>> {
        self.pod.clone().unwrap().clients
    }
}

pub(super) fn names() -> Names {
    Names {
        base: "ConfigMap dex/base".to_owned(),
        target: "ConfigMap dex/target".to_owned(),
        keys: "Secret dex/keys".to_owned(),
        workload: "Deployment dex/dex".to_owned(),
    }
}
