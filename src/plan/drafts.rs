//! Outputs as they shall be, and whether one already is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    snapshot::{ClientView, OutputView},
    step::{OutputDraft, OutputKind, Precondition},
    verdict::Finding,
};
use crate::{
    api::{
        Reason,
        client::{Outputs, SecretType},
    },
    domain::{
        ClientSecret, DesiredClient, Mark, ProviderFacts, SecretKind, digest,
        names::next_secret_name,
        vocabulary::{
            ANNOTATION_APPLIED_METADATA, ANNOTATION_ATTEMPT, ANNOTATION_DATA_DIGEST, ANNOTATION_GENERATED,
            ANNOTATION_MARK, ANNOTATION_OUTPUT_HASH, ANNOTATION_PREVIOUS_KEY, ANNOTATION_PREVIOUS_UNTIL,
            ANNOTATION_ROTATE_REQUEST, ANNOTATION_ROTATED_AT, ANNOTATION_SECRET_DIGEST, ANNOTATION_SECRET_KEY,
            ANNOTATION_SECRET_SOURCE, GENERATED_PREFIX, KEY_CLIENT_SECRET, LABEL_CLIENT_UID, LABEL_MANAGED_BY,
            MANAGED_BY,
        },
    },
    publish::{self, Data, Generated, Material, RenderError},
};

/// A client secret with what is known of its making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The secret.
    pub secret: ClientSecret,
    /// Where it came from.
    pub source: SecretKind,
    /// The rotation attempt that made it; the first one has none.
    pub attempt: Option<String>,
    /// When it was made; the user's: when it was taken over (RFC 3339).
    pub rotated_at: Option<String>,
    /// The request by annotation that it answers: the last one before it was made.
    pub request: Option<String>,
    /// Until when the secret before it is valid too, or was (RFC 3339); `None`: it ended with this one.
    pub previous_until: Option<String>,
    /// The public key before this one, as a JSON Web Key, while it is valid.
    pub previous_key: Option<String>,
}

impl Credential {
    /// What is known of its making, by annotation.
    fn history(&self) -> [(&'static str, &Option<String>); 5] {
        [
            (ANNOTATION_ATTEMPT, &self.attempt),
            (ANNOTATION_ROTATED_AT, &self.rotated_at),
            (ANNOTATION_ROTATE_REQUEST, &self.request),
            (ANNOTATION_PREVIOUS_UNTIL, &self.previous_until),
            (ANNOTATION_PREVIOUS_KEY, &self.previous_key),
        ]
    }
}

/// What a draft is made for.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The OIDCClient.
    pub client: &'a ClientView,
    /// Its mark.
    pub mark: &'a Mark,
    /// The client that the spec wants.
    pub desired: &'a DesiredClient,
    /// What the application must ask for.
    pub requested_scopes: &'a [String],
    /// What is known of the provider.
    pub facts: &'a ProviderFacts,
}

impl<'a> Context<'a> {
    fn spec(self) -> Option<&'a Outputs> {
        self.client.spec.outputs.as_ref()
    }

    fn material(self, secret: Option<&'a ClientSecret>, generated: &'a Generated) -> Material<'a> {
        Material {
            desired: self.desired,
            requested_scopes: self.requested_scopes,
            facts: self.facts,
            spec: self.spec(),
            secret,
            generated,
        }
    }

    /// The type that the spec wants for the output Secret.
    pub fn secret_type(self) -> SecretType {
        self.spec()
            .and_then(|outputs| outputs.secret.as_ref()?.type_)
            .unwrap_or_default()
    }
}

/// Can the outputs be rendered? Tried before anything is made, with credentials that stand for those to come.
///
/// # Errors
/// A finding for `Accepted`.
pub fn check(context: Context<'_>, stand_in: &ClientSecret) -> Result<(), Finding> {
    let wanted = publish::generate::wanted(context.spec());
    let generated = Generated::complete(&wanted, &Generated::default(), stand_in);
    let material = context.material(Some(stand_in), &generated);
    publish::secret(&material).map_err(|error| unrendered(&error))?;
    publish::config_map(&material).map_err(|error| unrendered(&error))?;
    Ok(())
}

fn unrendered(error: &RenderError) -> Finding {
    let reason = match error {
        RenderError::Template { .. } | RenderError::KeyTaken { .. } => Reason::TemplateInvalid,
        RenderError::NeedsSecret { .. } => Reason::UnsupportedByFormat,
        RenderError::TooLarge { .. } => Reason::OutputTooLarge,
    };
    Finding::no(reason, error.to_string())
}

/// The output Secret under `name`.
///
/// # Errors
/// A finding for `CredentialsPublished`: it cannot be rendered.
pub fn secret(
    context: Context<'_>,
    name: &str,
    credential: Option<&Credential>,
    generated: &Generated,
    seen: Option<&OutputView>,
) -> Result<OutputDraft, Finding> {
    let material = context.material(credential.map(|credential| &credential.secret), generated);
    let data = publish::secret(&material).map_err(|error| unrendered(&error))?;
    let key = publish::secret_key(context.spec(), context.desired);
    let spec = context.spec().and_then(|outputs| outputs.secret.as_ref());
    let wanted = Metadata {
        labels: spec.and_then(|secret| secret.labels.clone()).unwrap_or_default(),
        annotations: spec.and_then(|secret| secret.annotations.clone()).unwrap_or_default(),
    };
    let mut draft = base(context.mark, OutputKind::Secret, name, data, key, wanted, seen);
    draft.type_ = context.secret_type();
    record(&mut draft, generated);
    if key == KEY_CLIENT_SECRET || credential.is_none() {
        draft.dropped.push(ANNOTATION_SECRET_KEY.to_owned());
    } else {
        draft
            .annotations
            .insert(ANNOTATION_SECRET_KEY.to_owned(), key.to_owned());
    }
    if let Some(credential) = credential {
        // Of a user's secret too, however easy it is to guess: whoever may read the annotation may read the secret itself, which
        // the same object holds. It never goes anywhere else: status shows a resourceVersion in its place.
        draft
            .annotations
            .insert(ANNOTATION_SECRET_DIGEST.to_owned(), credential.secret.digest());
        draft.annotations.insert(
            ANNOTATION_SECRET_SOURCE.to_owned(),
            credential.source.as_str().to_owned(),
        );
        for (key, value) in credential.history() {
            match value {
                Some(value) => drop(draft.annotations.insert(key.to_owned(), value.clone())),
                None => draft.dropped.push(key.to_owned()),
            }
        }
    } else {
        // A public client: nothing of a former secret stays.
        draft.dropped.extend(
            [
                ANNOTATION_SECRET_DIGEST,
                ANNOTATION_SECRET_SOURCE,
                ANNOTATION_ATTEMPT,
                ANNOTATION_ROTATED_AT,
                ANNOTATION_ROTATE_REQUEST,
                ANNOTATION_PREVIOUS_UNTIL,
                ANNOTATION_PREVIOUS_KEY,
            ]
            .map(str::to_owned),
        );
    }
    Ok(draft)
}

/// Notes which values were made up.
fn record(draft: &mut OutputDraft, generated: &Generated) {
    if generated.is_empty() {
        draft.dropped.push(ANNOTATION_GENERATED.to_owned());
    } else {
        draft
            .annotations
            .insert(ANNOTATION_GENERATED.to_owned(), generated.record());
    }
}

/// The staged Secret of a rotation: only what the rotation needs, and immutable.
pub fn next(context: Context<'_>, output: &str, credential: &Credential, generated: &Generated) -> OutputDraft {
    let mut data: Data = generated
        .iter()
        .map(|(key, value)| (format!("{GENERATED_PREFIX}{key}"), value.as_bytes().to_vec()))
        .collect();
    data.insert(
        KEY_CLIENT_SECRET.to_owned(),
        credential.secret.expose().as_bytes().to_vec(),
    );
    let mut draft = base(
        context.mark,
        OutputKind::Secret,
        &next_secret_name(output),
        data,
        KEY_CLIENT_SECRET,
        Metadata::default(),
        None,
    );
    draft.immutable = true;
    record(&mut draft, generated);
    draft
        .annotations
        .insert(ANNOTATION_SECRET_DIGEST.to_owned(), credential.secret.digest());
    for (key, value) in credential.history() {
        if let Some(value) = value {
            draft.annotations.insert(key.to_owned(), value.clone());
        }
    }
    draft
}

/// The output ConfigMap.
///
/// # Errors
/// A finding for `CredentialsPublished`: it cannot be rendered.
pub fn config_map(context: Context<'_>, seen: Option<&OutputView>) -> Result<OutputDraft, Finding> {
    let generated = Generated::default();
    let data = publish::config_map(&context.material(None, &generated)).map_err(|error| unrendered(&error))?;
    Ok(base(
        context.mark,
        OutputKind::ConfigMap,
        &context.client.config_map_name(),
        data,
        KEY_CLIENT_SECRET,
        Metadata::default(),
        seen,
    ))
}

/// An output that loses its owner, because the OIDCClient goes and it stays (`deletionPolicy: Retain`).
pub fn released(mark: &Mark, kind: OutputKind, seen: &OutputView) -> OutputDraft {
    OutputDraft {
        kind,
        owned: false,
        annotations: BTreeMap::from([(ANNOTATION_MARK.to_owned(), mark.released().to_string())]),
        dropped: vec![LABEL_CLIENT_UID.to_owned()],
        ..unchanged(seen)
    }
}

/// The Secret of ours that was seen, with nothing changed.
pub fn unchanged(seen: &OutputView) -> OutputDraft {
    OutputDraft {
        kind: OutputKind::Secret,
        name: seen.name.clone(),
        owned: true,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        dropped: Vec::new(),
        data: seen.data.clone(),
        type_: SecretType::default(),
        immutable: seen.immutable,
    }
}

#[derive(Default)]
struct Metadata {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn base(
    mark: &Mark,
    kind: OutputKind,
    name: &str,
    data: Data,
    secret_key: &str,
    spec: Metadata,
    seen: Option<&OutputView>,
) -> OutputDraft {
    let uid = match &mark.uid {
        crate::domain::MarkUid::Uid(uid) => uid.clone(),
        crate::domain::MarkUid::Released => String::new(),
    };
    // With their kind: a key that moves from the labels to the annotations leaves the labels.
    let labels = spec.labels.keys().map(|key| format!("label:{key}"));
    let annotations = spec.annotations.keys().map(|key| format!("annotation:{key}"));
    let applied: BTreeSet<String> = labels.chain(annotations).collect();
    // What an earlier spec put there and this one does not goes; what others put there stays.
    let mut dropped: Vec<String> = seen
        .and_then(|seen| seen.annotations.get(ANNOTATION_APPLIED_METADATA))
        .map(|text| {
            text.split(' ')
                .filter(|entry| !entry.is_empty() && !applied.contains(*entry))
                .map(|entry| entry.split_once(':').map_or(entry, |(_, key)| key).to_owned())
                .collect()
        })
        .unwrap_or_default();
    let mut labels = spec.labels;
    labels.insert(LABEL_CLIENT_UID.to_owned(), uid);
    labels.insert(LABEL_MANAGED_BY.to_owned(), MANAGED_BY.to_owned());
    let mut annotations = spec.annotations;
    annotations.insert(ANNOTATION_MARK.to_owned(), mark.to_string());
    annotations.insert(ANNOTATION_DATA_DIGEST.to_owned(), data_digest(&data, secret_key));
    annotations.insert(ANNOTATION_OUTPUT_HASH.to_owned(), digest::of_data(&data));
    if applied.is_empty() {
        dropped.push(ANNOTATION_APPLIED_METADATA.to_owned());
    } else {
        let applied = applied.into_iter().collect::<Vec<_>>().join(" ");
        annotations.insert(ANNOTATION_APPLIED_METADATA.to_owned(), applied);
    }
    OutputDraft {
        kind,
        name: name.to_owned(),
        owned: true,
        labels,
        annotations,
        dropped,
        data,
        type_: SecretType::default(),
        immutable: false,
    }
}

/// The digest of every key but that of the client secret, which has its own.
fn data_digest(data: &Data, secret_key: &str) -> String {
    digest::of_data(data.iter().filter(|(key, _)| *key != secret_key))
}

/// Is the output as the draft wants it?
pub fn is_as(seen: &OutputView, draft: &OutputDraft, mark: &Mark) -> bool {
    let owned = seen.ownership(mark) == super::snapshot::OutputOwnership::Ours;
    let has = |found: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
        wanted.iter().all(|(key, value)| found.get(key) == Some(value))
    };
    // A key that goes from the labels may be wanted as an annotation.
    let stale = |found: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>| {
        draft
            .dropped
            .iter()
            .any(|key| found.contains_key(key) && !wanted.contains_key(key))
    };
    owned == draft.owned
        && seen.data == draft.data
        && has(&seen.labels, &draft.labels)
        && has(&seen.annotations, &draft.annotations)
        && !stale(&seen.labels, &draft.labels)
        && !stale(&seen.annotations, &draft.annotations)
}

/// Was its data changed by somebody else since the operator wrote it?
pub fn was_edited(seen: &OutputView) -> bool {
    seen.annotations.get(ANNOTATION_DATA_DIGEST) != Some(&data_digest(&seen.data, seen.client_secret_key()))
}

/// The version that was seen.
pub fn seen_version(seen: &OutputView) -> Precondition {
    Precondition {
        uid: seen.uid.clone(),
        resource_version: Some(seen.resource_version.clone()),
    }
}

/// The object that was seen, whatever its version.
pub fn seen_object(seen: &OutputView) -> Precondition {
    Precondition {
        uid: seen.uid.clone(),
        resource_version: None,
    }
}
