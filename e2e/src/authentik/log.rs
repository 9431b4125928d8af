//! What was asked.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::Value;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Logged {
    /// When it had come completely.
    pub at: Instant,
    /// `GET`, `POST`, ...
    pub method: String,
    /// Without its query, decoded.
    pub path: String,
    /// As it was sent.
    pub query: String,
    /// Empty if there was none.
    pub user_agent: String,
    /// Null if there was none, or no JSON.
    pub body: Value,
    /// `None`: it has no answer, or not yet.
    pub status: Option<u16>,
}

impl Logged {
    /// Method and path, with numbers and UUIDs as `{id}` and slugs as `{slug}`.
    pub fn kind(&self) -> String {
        let parts: Vec<&str> = self.path.trim_start_matches("/api/v3/").split('/').collect();
        let parts = parts.iter().enumerate().map(|(at, &part)| match parts[..at] {
            [] | [_] => part,
            ["core", "applications"] if !part.is_empty() => "{slug}",
            _ if part.starts_with(|c: char| c.is_ascii_digit()) || part.len() == 36 => "{id}",
            _ => part,
        });
        format!("{} {}", self.method, parts.collect::<Vec<_>>().join("/"))
    }
}

/// How many requests there are of each kind.
pub fn kinds(requests: &[Logged]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for request in requests {
        *kinds.entry(request.kind()).or_default() += 1;
    }
    kinds
}

#[derive(Default)]
pub(super) struct Log(Mutex<Vec<Logged>>);

impl Log {
    fn entries(&self) -> MutexGuard<'_, Vec<Logged>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when it was, which finds the entry again.
    pub(super) fn add(&self, entry: Logged) -> Instant {
        let at = entry.at;
        self.entries().push(entry);
        at
    }

    pub(super) fn answered(&self, at: Instant, path: &str, status: u16) {
        let mut entries = self.entries();
        let entry = entries
            .iter_mut()
            .rev()
            .find(|entry| entry.at == at && entry.path == path);
        if let Some(entry) = entry {
            entry.status = Some(status);
        }
    }

    pub(super) fn all(&self) -> Vec<Logged> {
        self.entries().clone()
    }

    pub(super) fn clear(&self) {
        self.entries().clear();
    }

    pub(super) fn counts(&self) -> BTreeMap<(String, String), usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries().iter() {
            *counts.entry((entry.method.clone(), entry.path.clone())).or_default() += 1;
        }
        counts
    }

    pub(super) fn count(&self, method: &str, prefix: &str) -> usize {
        let entries = self.entries();
        let hits = entries
            .iter()
            .filter(|entry| entry.method == method && entry.path.starts_with(prefix));
        hits.count()
    }
}
