//! Which of the objects found are this client's outputs.

use super::{
    drafts::Credential,
    snapshot::{OutputOwnership, OutputView, OutputsView},
    verdict::Finding,
};
use crate::{
    api::Reason,
    domain::{
        Mark, SecretKind,
        names::next_secret_name,
        vocabulary::{
            ANNOTATION_ATTEMPT, ANNOTATION_GENERATED, ANNOTATION_PREVIOUS_KEY, ANNOTATION_PREVIOUS_UNTIL,
            ANNOTATION_ROTATE_REQUEST, ANNOTATION_ROTATED_AT, ANNOTATION_SECRET_SOURCE, GENERATED_PREFIX, NEXT_SUFFIX,
        },
    },
    publish::Generated,
};

/// The outputs of one client, told apart.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The Secret under the name that the spec wants.
    pub secret: Option<&'a OutputView>,
    /// The staged Secret of a rotation, and the output that it is for.
    pub next: Option<(&'a OutputView, String)>,
    /// A Secret of ours under a former name.
    pub former_secret: Option<&'a OutputView>,
    /// The ConfigMap under the name that the spec wants.
    pub config_map: Option<&'a OutputView>,
    /// A ConfigMap of ours under a former name.
    pub former_config_map: Option<&'a OutputView>,
}

/// Sorts what was found, or says why a name cannot be used. `secret` and `config_map` are the wanted names.
///
/// # Errors
/// A finding for `CredentialsPublished`.
pub fn sort<'a>(found: &'a OutputsView, mark: &Mark, secret: &str, config_map: &str) -> Result<Outputs<'a>, Finding> {
    let mut outputs = Outputs {
        secret: None,
        next: None,
        former_secret: None,
        config_map: None,
        former_config_map: None,
    };
    for view in &found.secrets {
        let wanted = view.name == secret;
        let staged = view.name == next_secret_name(secret);
        let Some(view) = usable("Secret", view, mark, wanted || staged)? else {
            continue;
        };
        // First of all, whatever the spec calls its output now: a rotation that stands is finished under the old name.
        if let Some(target) = staged_for(view) {
            outputs.next = Some((view, target.to_owned()));
        } else if wanted {
            outputs.secret = Some(view);
        } else if view.ownership(mark) == OutputOwnership::Ours {
            // A retained Secret under a name that nobody asks for is left alone.
            outputs.former_secret = Some(view);
        }
    }
    for view in &found.config_maps {
        let wanted = view.name == config_map;
        match usable("ConfigMap", view, mark, wanted)? {
            None => {}
            Some(view) if wanted => outputs.config_map = Some(view),
            Some(view) if view.ownership(mark) == OutputOwnership::Ours => outputs.former_config_map = Some(view),
            Some(_) => {}
        }
    }
    Ok(outputs)
}

/// The output that a staged Secret is for. Staged by us, and by nobody else: immutable, with an attempt.
fn staged_for(view: &OutputView) -> Option<&str> {
    view.attempt().filter(|_| view.immutable)?;
    view.name.strip_suffix(NEXT_SUFFIX)
}

fn usable<'a>(
    kind: &str,
    view: &'a OutputView,
    mark: &Mark,
    name_wanted: bool,
) -> Result<Option<&'a OutputView>, Finding> {
    let name = &view.name;
    match view.ownership(mark) {
        OutputOwnership::Ours | OutputOwnership::Retained if view.terminating => Err(waiting(kind, name)),
        OutputOwnership::Ours | OutputOwnership::Retained => Ok(Some(view)),
        _ if !name_wanted => Ok(None),
        OutputOwnership::FormerLife => Err(waiting(kind, name)),
        OutputOwnership::Foreign => Err(not_owned(kind, name)),
    }
}

/// The name of an output is taken.
pub(super) fn not_owned(kind: &str, name: &str) -> Finding {
    Finding::no(
        Reason::OutputNotOwned,
        format!(
            "{kind} {name} exists and was not made for this OIDCClient; it is left as it is. Delete or rename it, or choose another name under spec.outputs"
        ),
    )
}

fn waiting(kind: &str, name: &str) -> Finding {
    Finding::no(
        Reason::WaitingForGarbageCollection,
        format!("{kind} {name} belongs to a former object of this name and is still being deleted; waiting for that"),
    )
}

/// The values that an output holds beside the client secret, those of them that stand as the operator made them. A staged
/// Secret holds them under names of its own.
pub fn generated(view: &OutputView) -> Generated {
    let record = view.annotations.get(ANNOTATION_GENERATED);
    let prefix = if staged_for(view).is_some() {
        GENERATED_PREFIX
    } else {
        ""
    };
    Generated::intact(&view.data, record.map_or("", String::as_str), prefix)
}

/// The keys of values that an output should hold and does not, or not as the operator made them.
pub fn lost(view: &OutputView) -> Vec<&str> {
    let record = view.annotations.get(ANNOTATION_GENERATED);
    record.map_or_else(Vec::new, |record| generated(view).missing(record))
}

/// The credential that an output holds, if it is the one that the operator wrote.
pub fn credential(view: &OutputView) -> Option<Credential> {
    let annotation = |key: &str| view.annotations.get(key).cloned();
    Some(Credential {
        secret: view.intact_secret()?,
        source: SecretKind::parse(view.annotations.get(ANNOTATION_SECRET_SOURCE).map(String::as_str)),
        attempt: annotation(ANNOTATION_ATTEMPT),
        rotated_at: annotation(ANNOTATION_ROTATED_AT),
        request: annotation(ANNOTATION_ROTATE_REQUEST),
        previous_until: annotation(ANNOTATION_PREVIOUS_UNTIL),
        previous_key: annotation(ANNOTATION_PREVIOUS_KEY),
    })
}
