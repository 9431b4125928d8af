//! Outputs as they shall be, and whether one already is.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    snapshot::{ClientView, OutputView},
    step::{OutputDraft, OutputKind, Precondition},
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Mark, ProviderFacts, SecretKind, digest,
        names::next_secret_name,
        vocabulary::{
            ANNOTATION_APPLIED_METADATA, ANNOTATION_ATTEMPT, ANNOTATION_DATA_DIGEST, ANNOTATION_MARK,
            ANNOTATION_ROTATED_AT, ANNOTATION_SECRET_DIGEST, ANNOTATION_SECRET_SOURCE, KEY_CLIENT_SECRET,
            LABEL_CLIENT_UID, LABEL_MANAGED_BY, MANAGED_BY,
        },
    },
    publish::{self, Data},
};

/// A client secret with what is known of its making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The secret.
    pub secret: ClientSecret,
    /// The rotation attempt that made it; the first one has none.
    pub attempt: Option<String>,
    /// When it was made (RFC 3339).
    pub rotated_at: Option<String>,
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

/// The output Secret under `name`.
pub fn secret(
    context: Context<'_>,
    name: &str,
    credential: Option<&Credential>,
    seen: Option<&OutputView>,
) -> OutputDraft {
    let data = publish::secret(
        context.desired,
        context.requested_scopes,
        context.facts,
        credential.map(|credential| &credential.secret),
    );
    let spec = context
        .client
        .spec
        .outputs
        .as_ref()
        .and_then(|outputs| outputs.secret.as_ref());
    let wanted = Metadata {
        labels: spec.and_then(|secret| secret.labels.clone()).unwrap_or_default(),
        annotations: spec.and_then(|secret| secret.annotations.clone()).unwrap_or_default(),
    };
    let mut draft = base(context.mark, OutputKind::Secret, name, data, wanted, seen);
    if let Some(credential) = credential {
        draft
            .annotations
            .insert(ANNOTATION_SECRET_DIGEST.to_owned(), credential.secret.digest());
        draft.annotations.insert(
            ANNOTATION_SECRET_SOURCE.to_owned(),
            SecretKind::Generated.as_str().to_owned(),
        );
        let optional = [
            (ANNOTATION_ATTEMPT, &credential.attempt),
            (ANNOTATION_ROTATED_AT, &credential.rotated_at),
        ];
        for (key, value) in optional {
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
            ]
            .map(str::to_owned),
        );
    }
    draft
}

/// The staged Secret of a rotation: only what the rotation needs, and immutable.
pub fn next(context: Context<'_>, output: &str, credential: &Credential) -> OutputDraft {
    let data = Data::from([(
        KEY_CLIENT_SECRET.to_owned(),
        credential.secret.expose().as_bytes().to_vec(),
    )]);
    let mut draft = base(
        context.mark,
        OutputKind::Secret,
        &next_secret_name(output),
        data,
        Metadata::default(),
        None,
    );
    draft.immutable = true;
    draft
        .annotations
        .insert(ANNOTATION_SECRET_DIGEST.to_owned(), credential.secret.digest());
    for (key, value) in [
        (ANNOTATION_ATTEMPT, &credential.attempt),
        (ANNOTATION_ROTATED_AT, &credential.rotated_at),
    ] {
        if let Some(value) = value {
            draft.annotations.insert(key.to_owned(), value.clone());
        }
    }
    draft
}

/// The output ConfigMap.
pub fn config_map(context: Context<'_>, seen: Option<&OutputView>) -> OutputDraft {
    let data = publish::config_map(context.facts);
    base(
        context.mark,
        OutputKind::ConfigMap,
        &context.client.config_map_name(),
        data,
        Metadata::default(),
        seen,
    )
}

/// An output that loses its owner, because the OIDCClient goes and it stays (`deletionPolicy: Retain`).
pub fn released(mark: &Mark, kind: OutputKind, seen: &OutputView) -> OutputDraft {
    OutputDraft {
        kind,
        name: seen.name.clone(),
        owned: false,
        labels: BTreeMap::new(),
        annotations: BTreeMap::from([(ANNOTATION_MARK.to_owned(), mark.released().to_string())]),
        dropped: vec![LABEL_CLIENT_UID.to_owned()],
        data: seen.data.clone(),
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
    annotations.insert(ANNOTATION_DATA_DIGEST.to_owned(), data_digest(&data));
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
        immutable: false,
    }
}

/// The digest of every key but the client secret, which has its own.
fn data_digest(data: &Data) -> String {
    digest::of_data(data.iter().filter(|(key, _)| *key != KEY_CLIENT_SECRET))
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
    seen.annotations.get(ANNOTATION_DATA_DIGEST) != Some(&data_digest(&seen.data))
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
