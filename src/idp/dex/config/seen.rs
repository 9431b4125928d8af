//! What was seen of an installation in one look, and what follows from it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    document::{self, Base, Entries},
    entry::StaticClient,
    installation::{Keys, Names, Target, TemplateDraft, Text, Workload},
};
use crate::domain::{ClientSecret, IdpError, IdpErrorKind, ObservedClient, ObservedSecret, digest};

/// Operation of errors in what stands in Kubernetes rather than in a call.
pub(super) const CONFIGURATION: &str = "configuration";

/// Most bytes of a target: Kubernetes takes no more in a ConfigMap or Secret (1 MiB, all keys together).
pub(super) const MAX_TARGET_BYTES: usize = 1 << 20;

/// A digest for each client of ours, that changes with all that Dex reads of it.
pub(super) type Digests = BTreeMap<String, String>;

/// One look.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) names: Names,
    pub(super) base: Base,
    pub(super) target: Option<Target>,
    pub(super) keys: Option<Keys>,
    pub(super) workload: Workload,
}

impl Seen {
    /// Takes in what was read.
    ///
    /// # Errors
    /// [`IdpErrorKind::Configuration`] where `base` cannot be used, or an object that the operator would write is somebody else's.
    pub(super) fn new(
        names: &Names,
        base: &Text,
        target: Option<Target>,
        keys: Option<Keys>,
        workload: Workload,
    ) -> Result<Self, IdpError> {
        for (name, is_foreign) in [
            (&names.target, target.as_ref().is_some_and(|target| !target.ours)),
            (&names.keys, keys.as_ref().is_some_and(|keys| !keys.ours)),
        ] {
            if is_foreign {
                return Err(wrong(format!(
                    "{name} exists, and was not made by the operator for this OIDCProvider. It is left as it is: delete or rename it"
                )));
            }
        }
        Ok(Self {
            base: Base::parse(&base.0).map_err(|why| wrong(format!("{} {why}", names.base)))?,
            names: names.clone(),
            target,
            keys,
            workload,
        })
    }

    /// The secret under a variable.
    fn secret(&self, variable: &str) -> Option<&ClientSecret> {
        let secret = self.keys.as_ref()?.secrets.get(variable)?;
        // Dex would accept it as it is.
        Some(secret).filter(|secret| !secret.expose().is_empty())
    }

    /// Does the Secret hold all of these?
    pub(super) fn has_keys(&self, variables: &BTreeSet<String>) -> bool {
        let held = self.keys.as_ref().map(|keys| &keys.secrets);
        variables
            .iter()
            .all(|variable| held.is_some_and(|held| held.contains_key(variable)))
    }

    pub(super) fn secret_of(&self, entry: &StaticClient) -> Option<&ClientSecret> {
        self.secret(entry.secret_env.as_deref()?)
    }

    /// The clients of ours that stand in the target and may: Dex takes a variable that is not set for an empty secret, and accepts
    /// that, so an entry without a key is dropped.
    pub(super) fn entries(&self) -> Entries {
        let mut entries = self.standing();
        entries.retain(|_, entry| entry.public || self.secret_of(entry).is_some());
        entries
    }

    /// The clients of ours that stand in the target.
    pub(super) fn standing(&self) -> Entries {
        let text = self.target.as_ref().map(|target| target.text.0.as_str());
        text.map(document::entries).unwrap_or_default()
    }

    /// The target with these clients.
    ///
    /// # Errors
    /// [`IdpErrorKind::Configuration`] where it cannot be made from `base`, [`IdpErrorKind::Refused`] where it would be too large.
    pub(super) fn render(&self, entries: &Entries) -> Result<Text, IdpError> {
        let text = self.base.with(entries);
        let text = text.map_err(|why| wrong(format!("{} {why}", self.names.base)))?;
        if text.len() > MAX_TARGET_BYTES && !entries.is_empty() {
            return Err(IdpError::new(
                IdpErrorKind::Refused,
                CONFIGURATION,
                format!(
                    "{} would hold more than the {MAX_TARGET_BYTES} bytes that Kubernetes takes: for so many clients use Dex's gRPC API or its Kubernetes storage",
                    self.names.target
                ),
            ));
        }
        Ok(Text(text))
    }

    /// May an entry with a variable be added to the target? Only where each Pod that starts from now on takes the whole Secret for
    /// its environment, whatever the variables that its template names.
    pub(super) fn is_guarded(&self) -> bool {
        let guarded = self.target.as_ref().and_then(|target| target.guarded.as_ref());
        self.workload.env_from && guarded == Some(&self.workload.uid)
    }

    /// The Pod template that belongs to this text.
    pub(super) fn template(&self, text: &Text, entries: &Entries) -> TemplateDraft {
        let variables = entries.values().filter_map(|entry| entry.secret_env.clone());
        let mut parts = BTreeMap::from([
            ("configuration".to_owned(), text.0.clone()),
            ("salt".to_owned(), self.salt().to_owned()),
            ("revision".to_owned(), self.revision()),
        ]);
        for entry in entries.values() {
            if let (Some(variable), Some(secret)) = (&entry.secret_env, self.secret_of(entry)) {
                parts.insert(format!("secret {variable}"), secret.expose().to_owned());
            }
        }
        TemplateDraft {
            checksum: digest::of_data(&parts),
            variables: variables.collect(),
        }
    }

    /// What differs with each write of a text or a secret, also where the former one comes back.
    fn revision(&self) -> String {
        let target = self.target.as_ref().and_then(|target| target.revision.as_deref());
        let keys = self.keys.as_ref().and_then(|keys| keys.revision.as_deref());
        format!("{} {}", target.unwrap_or_default(), keys.unwrap_or_default())
    }

    fn salt(&self) -> &str {
        self.keys
            .as_ref()
            .and_then(|keys| keys.salt.as_deref())
            .unwrap_or_default()
    }

    /// Is the Pod template as `draft` says?
    pub(super) fn has_template(&self, draft: &TemplateDraft) -> bool {
        let workload = &self.workload;
        workload.env_from
            && workload.checksum.as_ref() == Some(&draft.checksum)
            && workload.variables == draft.variables
            && workload.other_variables.is_empty()
    }

    /// A digest of each client.
    pub(super) fn digests(&self, entries: &Entries) -> Digests {
        let digest = |entry: &StaticClient| {
            let secret = self.secret_of(entry).map(|secret| secret.expose().to_owned());
            let parts = BTreeMap::from([
                ("entry".to_owned(), entry.write(0)),
                ("salt".to_owned(), self.salt().to_owned()),
                ("secret".to_owned(), secret.unwrap_or_default()),
            ]);
            digest::of_data(&parts)
        };
        entries.iter().map(|(id, entry)| (id.clone(), digest(entry))).collect()
    }

    /// All clients of the file, as the plan sees them.
    pub(super) fn observed(&self) -> Vec<ObservedClient> {
        use crate::idp::dex::model::observe;
        let theirs = self.base.clients().map(|client| ObservedClient {
            secret: ObservedSecret::NotShown,
            ..observe(&client.shown(None))
        });
        let ours = self.entries();
        let ours = ours.values().map(|entry| observe(&entry.shown(self.secret_of(entry))));
        theirs.chain(ours).collect()
    }
}

/// What stands in Kubernetes is not as it must be.
pub(super) fn wrong(message: impl AsRef<str>) -> IdpError {
    IdpError::new(IdpErrorKind::Configuration, CONFIGURATION, message)
}
