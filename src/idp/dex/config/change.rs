//! Changes of clients, as they come, and what they make of the clients in the target. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    document::Entries,
    entry::{StaticClient, variable},
    seen::Seen,
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, IdpError, IdpErrorKind, Mark, RemoteDiff,
        client::FIELD_TYPE,
        model::{MARK, SECRET},
    },
    idp::{
        dex::model::{TRUSTED_PEERS, create_request},
        normal_form::{DISPLAY_NAME, LOGO_URI, REDIRECT_URIS},
    },
};

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Make this client, with this secret where it is confidential.
    Create(StaticClient, Option<ClientSecret>),
    /// Bring these fields to how they are in this client.
    Update(StaticClient, Option<ClientSecret>, RemoteDiff),
    /// Take the client of this ID away.
    Delete(String),
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was done.
    Done,
    /// A client of this ID exists.
    Taken,
    /// There is none.
    NotFound,
}

/// What changes make of what was seen.
#[derive(Debug)]
pub(super) struct Applied {
    /// An answer to each.
    pub(super) answers: Vec<Result<Answer, IdpError>>,
    /// The clients of ours, as they shall be.
    pub(super) entries: Entries,
    /// Secrets to be written before.
    pub(super) secrets: BTreeMap<String, ClientSecret>,
}

impl Change {
    pub(super) fn create(desired: &DesiredClient, secret: Option<&ClientSecret>) -> Self {
        Self::Create(StaticClient::new(&create_request(desired, None)), secret.cloned())
    }

    pub(super) fn update(desired: &DesiredClient, secret: Option<&ClientSecret>, diff: &RemoteDiff) -> Self {
        let wanted = StaticClient::new(&create_request(desired, None));
        Self::Update(wanted, secret.cloned(), diff.clone())
    }
}

/// Applies them in their order.
pub(super) fn apply(seen: &Seen, changes: &[Change]) -> Applied {
    let mut applied = Applied {
        answers: Vec::new(),
        entries: seen.entries(),
        secrets: BTreeMap::new(),
    };
    for change in changes {
        let answer = applied.apply(seen, change);
        applied.answers.push(answer);
    }
    // What was made and taken away again needs none.
    let used: BTreeSet<String> = applied
        .entries
        .values()
        .filter_map(|entry| entry.secret_env.clone())
        .collect();
    applied.secrets.retain(|variable, _| used.contains(variable));
    applied
}

impl Applied {
    fn apply(&mut self, seen: &Seen, change: &Change) -> Result<Answer, IdpError> {
        match change {
            Change::Create(entry, secret) => {
                if seen.base.has(&entry.id) || self.entries.contains_key(&entry.id) {
                    return Ok(Answer::Taken);
                }
                self.put(seen, entry.clone(), secret.as_ref(), true)
            }
            Change::Update(wanted, secret, diff) => {
                refuse_theirs(seen, &wanted.id)?;
                let Some(former) = self.entries.get(&wanted.id) else {
                    return Ok(Answer::NotFound);
                };
                let entry = changed(former, wanted, diff);
                self.put(seen, entry, secret.as_ref(), diff.changes(SECRET))
            }
            Change::Delete(id) => {
                refuse_theirs(seen, id)?;
                Ok(match self.entries.remove(id) {
                    Some(_) => Answer::Done,
                    None => Answer::NotFound,
                })
            }
        }
    }

    /// Puts an entry in, and its secret where that is new. Without a secret, Dex would accept an empty one.
    fn put(
        &mut self,
        seen: &Seen,
        mut entry: StaticClient,
        secret: Option<&ClientSecret>,
        is_new: bool,
    ) -> Result<Answer, IdpError> {
        entry.secret_env = (!entry.public).then(|| variable(&entry.id));
        if let Some(variable) = &entry.secret_env {
            let given = secret.filter(|secret| !secret.expose().is_empty());
            let held = self.secrets.contains_key(variable) || seen.secret_of(&entry).is_some();
            match given {
                Some(secret) if is_new || !held => drop(self.secrets.insert(variable.clone(), secret.clone())),
                None if is_new || !held => {
                    let message = "a confidential client needs a secret";
                    return Err(IdpError::new(IdpErrorKind::Refused, "write", message));
                }
                _ => {}
            }
        }
        self.entries.insert(entry.id.clone(), entry);
        Ok(Answer::Done)
    }
}

fn refuse_theirs(seen: &Seen, id: &str) -> Result<(), IdpError> {
    if seen.base.has(id) {
        let message = format!("the client stands in {}, which is the platform's", seen.names.base);
        return Err(IdpError::new(IdpErrorKind::Refused, "write", message));
    }
    Ok(())
}

/// The former entry with what differs as it is wanted, and nothing else.
fn changed(former: &StaticClient, wanted: &StaticClient, diff: &RemoteDiff) -> StaticClient {
    let mut entry = former.clone();
    if diff.changes(FIELD_TYPE) {
        entry.public = wanted.public;
    }
    if diff.changes(REDIRECT_URIS) {
        entry.redirect_uris.clone_from(&wanted.redirect_uris);
    }
    if diff.changes(DISPLAY_NAME) {
        entry.name.clone_from(&wanted.name);
    }
    if diff.changes(LOGO_URI) {
        entry.logo_url.clone_from(&wanted.logo_url);
    }
    // Both stand in one list.
    let keeps = |peer: &String| match Mark::looks_like_one(peer) {
        true => !diff.changes(MARK),
        false => !diff.changes(TRUSTED_PEERS),
    };
    entry.trusted_peers.retain(keeps);
    if diff.changes(MARK) {
        let marks = wanted.trusted_peers.iter().filter(|peer| Mark::looks_like_one(peer));
        entry.trusted_peers.extend(marks.cloned());
    }
    entry
}
