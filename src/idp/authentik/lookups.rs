//! What ids on the server stand for, as last looked up.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{claims, settings::Settings, wire::Mapping};
use crate::domain::{DesiredClient, Mark};

/// Flows, signing key and scope mappings.
#[derive(Clone, Default)]
pub(super) struct Lookups {
    pub(super) authorization_flow: String,
    pub(super) invalidation_flow: String,
    pub(super) signing_key: String,
    pub(super) mappings: Mappings,
}

impl Lookups {
    /// The scopes that a client can be given.
    pub(super) fn scopes(&self) -> BTreeSet<String> {
        let theirs = self.mappings.theirs();
        theirs.map(|mapping| mapping.scope_name.clone()).collect()
    }

    /// Scopes that the client is to have, and no mapping serves.
    pub(super) fn missing_scopes(&self, desired: &DesiredClient, settings: &Settings) -> Vec<String> {
        let wanted = claims::their_scopes(desired, settings.email_verified).into_iter();
        wanted.filter(|scope| self.of_scope(scope).is_none()).collect()
    }

    /// The mapping that serves a scope: authentik's own before an administrator's, then by name.
    pub(super) fn of_scope(&self, scope: &str) -> Option<&Mapping> {
        let theirs = self.mappings.theirs();
        theirs
            .filter(|mapping| mapping.scope_name == scope)
            .min_by_key(|mapping| (mapping.managed.is_none(), &mapping.name))
    }
}

/// Scope mappings. The operator's, of which there may be some for each client, are found by the client.
#[derive(Clone, Default)]
pub(super) struct Mappings {
    by_id: BTreeMap<String, Arc<Mapping>>,
    /// Ids of those that are not the operator's.
    theirs: BTreeSet<String>,
    /// Ids of the operator's, by [`claims::prefix`].
    own: HashMap<String, BTreeSet<String>>,
}

impl Mappings {
    pub(super) fn insert(&mut self, mapping: Mapping) {
        let id = mapping.pk.clone();
        // It may have had another name.
        self.remove(&id);
        match claims::ours(&mapping) {
            Some((mark, _)) => drop(self.own.entry(claims::prefix(&mark)).or_default().insert(id.clone())),
            None => drop(self.theirs.insert(id.clone())),
        }
        self.by_id.insert(id, Arc::new(mapping));
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(mapping) = self.by_id.remove(id) else { return };
        self.theirs.remove(id);
        if let Some((mark, _)) = claims::ours(&mapping) {
            let prefix = claims::prefix(&mark);
            if let Some(ids) = self.own.get_mut(&prefix) {
                ids.remove(id);
                if ids.is_empty() {
                    self.own.remove(&prefix);
                }
            }
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Mapping> {
        self.by_id.get(id).map(AsRef::as_ref)
    }

    /// The operator's for this client, whatever its life.
    pub(super) fn of(&self, mark: &Mark) -> Vec<Mapping> {
        let ids = self.own.get(&claims::prefix(mark)).into_iter().flatten();
        ids.filter_map(|id| self.get(id).cloned()).collect()
    }

    fn theirs(&self) -> impl Iterator<Item = &Mapping> {
        self.theirs.iter().filter_map(|id| self.get(id))
    }
}

impl FromIterator<Mapping> for Mappings {
    fn from_iter<I: IntoIterator<Item = Mapping>>(mappings: I) -> Self {
        let mut all = Self::default();
        for mapping in mappings {
            all.insert(mapping);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(pk: &str, name: &str) -> Mapping {
        Mapping {
            pk: pk.to_owned(),
            name: name.to_owned(),
            scope_name: "openid".to_owned(),
            expression: String::new(),
            managed: None,
        }
    }

    #[test]
    fn mappings_are_found_by_client_and_move_with_their_names() {
        let mark = |text: &str| Mark::parse(text).unwrap();
        let (web, api) = (
            mark("oidc-operator.io/c1/shop/web/u2"),
            mark("oidc-operator.io/c1/shop/api/u3"),
        );
        let mut all: Mappings = [
            mapping("1", "oidc-operator.io/c1/shop/web/u1/team"),
            mapping("2", "oidc-operator.io/c1/shop/web/u2/tier"),
            mapping("3", "somebody's"),
        ]
        .into_iter()
        .collect();
        let ids = |found: Vec<Mapping>| found.into_iter().map(|mapping| mapping.pk).collect::<Vec<_>>();
        assert_eq!(ids(all.of(&web)), ["1", "2"], "of every life");
        assert_eq!(ids(all.of(&api)), [""; 0]);
        assert_eq!(ids(all.theirs().cloned().collect()), ["3"]);

        all.insert(mapping("3", "oidc-operator.io/c1/shop/api/u3/team"));
        all.insert(mapping("2", "somebody's now"));
        all.remove("1");
        assert_eq!(ids(all.of(&web)), [""; 0]);
        assert_eq!(ids(all.of(&api)), ["3"]);
        assert_eq!(ids(all.theirs().cloned().collect()), ["2"]);
        assert!(all.get("1").is_none());
    }
}
