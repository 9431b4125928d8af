//! The outputs brought to the spec: made, changed, moved to another name. Which secret they hold is decided elsewhere
//! (`credentials.rs`, `existing.rs`).

use std::fmt::Write as _;

use super::{
    client::{Work, step},
    drafts::{self, Credential},
    outputs::{self, Outputs},
    snapshot::OutputView,
    step::{Move, Note, OutputDraft, OutputKind, Step},
    verdict::Finding,
};
use crate::{
    api::{Reason, client::SecretType},
    publish::{self, Generated},
};

/// Why a Secret goes that is made anew at once.
pub(super) const TYPE_CHANGES: &str = "the spec wants another type";

impl Work<'_> {
    pub(super) fn secret_up_to_date(&self, outputs: &Outputs<'_>, credential: Option<&Credential>) -> Option<Move> {
        let seen = outputs.secret?;
        match self.secret_draft(outputs, &seen.name, credential, Some(seen)) {
            Ok(draft) => self.up_to_date(seen, draft, outputs.former_secret),
            Err(finding) => Some(self.outputs_unusable(finding)),
        }
    }

    /// The output Secret under `name`, with what was made up for it before.
    pub(super) fn secret_draft(
        &self,
        outputs: &Outputs<'_>,
        name: &str,
        credential: Option<&Credential>,
        seen: Option<&OutputView>,
    ) -> Result<OutputDraft, Finding> {
        let mut draft = drafts::secret(self.context(), name, credential, &self.generated(outputs), seen)?;
        if seen.is_none() {
            self.insert_salt(&mut draft, outputs.former_secret);
        }
        Ok(draft)
    }

    pub(super) fn create_secret(&self, outputs: &Outputs<'_>, name: &str, credential: Option<&Credential>) -> Move {
        match self.secret_draft(outputs, name, credential, None) {
            Ok(draft) => step(Step::CreateOutput { draft, note: None }),
            Err(finding) => self.outputs_unusable(finding),
        }
    }

    /// The values that the operator makes up beside the client secret: those that stand are kept.
    pub(super) fn generated(&self, outputs: &Outputs<'_>) -> Generated {
        let wanted = publish::generate::wanted(self.snapshot.client.spec.outputs.as_ref());
        // While a rotation stands, its values are the desired ones.
        let staged = outputs.next.as_ref().map(|(staged, _)| *staged);
        let holder = staged.or(outputs.secret).or(outputs.former_secret);
        let held = holder.map(outputs::generated).unwrap_or_default();
        Generated::complete(&wanted, &held, &self.snapshot.supply.seed)
    }

    /// Is the Secret of the type that the spec wants? Kubernetes changes none.
    pub(super) fn has_type(&self, seen: &OutputView) -> bool {
        seen.type_.as_deref().unwrap_or(SecretType::default().as_str()) == self.context().secret_type().as_str()
    }

    pub(super) fn config_map_up_to_date(&self, outputs: &Outputs<'_>) -> Option<Move> {
        let draft = match drafts::config_map(self.context(), outputs.config_map) {
            Ok(draft) => draft,
            Err(finding) => return Some(self.outputs_unusable(finding)),
        };
        match outputs.config_map {
            None => {
                let note = (outputs.former_config_map.is_none() && self.was_published())
                    .then(|| repaired(OutputKind::ConfigMap, &draft.name, "is gone"));
                Some(step(Step::CreateOutput { draft, note }))
            }
            Some(seen) => self.up_to_date(seen, draft, outputs.former_config_map),
        }
    }

    fn up_to_date(&self, seen: &OutputView, draft: OutputDraft, former: Option<&OutputView>) -> Option<Move> {
        let kind = draft.kind;
        if !drafts::is_as(seen, &draft, &self.mark) {
            let note = (drafts::was_edited(seen) && self.was_published()).then(|| {
                let mut note = repaired(kind, &seen.name, "was edited");
                let lost = outputs::lost(seen);
                if !lost.is_empty() {
                    let _ = write!(
                        note.message,
                        "; made anew, because nobody knows them any more: {}",
                        lost.join(", ")
                    );
                }
                note
            });
            return Some(step(Step::UpdateOutput {
                draft,
                precondition: drafts::seen_version(seen),
                note,
            }));
        }
        former.map(|former| delete_output(kind, former, "the spec names another"))
    }

    pub(super) fn was_published(&self) -> bool {
        self.snapshot.client.status.binding.is_some()
    }
}

pub(super) fn delete_output(kind: OutputKind, seen: &OutputView, why: &'static str) -> Move {
    step(Step::DeleteOutput {
        kind,
        name: seen.name.clone(),
        precondition: drafts::seen_object(seen),
        why,
    })
}

pub(super) fn repaired(kind: OutputKind, name: &str, what: &str) -> Note {
    Note {
        warning: true,
        reason: Reason::OutputRepaired,
        message: format!("{kind} {name} {what}; it was written again"),
    }
}
