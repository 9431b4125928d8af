//! Which OIDCClients refer to which provider, by client ID, and to which Secret: found without a walk over all objects (P12).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use super::lock::lock;
use crate::domain::ResourceName;

/// Provider and client ID.
type Key = (ResourceName, String);

/// The index. Empty at the start; the watch of OIDCClients fills it.
#[derive(Debug, Default)]
pub struct Index(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    clients: BTreeMap<Key, BTreeSet<ResourceName>>,
    keys: HashMap<ResourceName, Key>,
    secrets: HashMap<ResourceName, BTreeSet<ResourceName>>,
    secret_of: HashMap<ResourceName, ResourceName>,
}

impl Index {
    /// Notes a client. Both parts of the key are immutable, but an object of the same name may follow another.
    pub fn put(&self, client: &ResourceName, provider: ResourceName, client_id: String) {
        let mut inner = lock(&self.0);
        inner.remove(client);
        let key = (provider, client_id);
        inner.clients.entry(key.clone()).or_default().insert(client.clone());
        inner.keys.insert(client.clone(), key);
    }

    /// Notes the Secret of its user's that a client refers to; it may change.
    pub fn put_secret(&self, client: &ResourceName, secret: Option<ResourceName>) {
        let mut inner = lock(&self.0);
        inner.remove_secret(client);
        if let Some(secret) = secret {
            inner.secrets.entry(secret.clone()).or_default().insert(client.clone());
            inner.secret_of.insert(client.clone(), secret);
        }
    }

    /// The clients that refer to this Secret.
    pub fn with_secret(&self, secret: &ResourceName) -> Vec<ResourceName> {
        lock(&self.0)
            .secrets
            .get(secret)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Forgets a client that is gone; gives the others with the same client ID at the same provider.
    pub fn remove(&self, client: &ResourceName) -> Vec<ResourceName> {
        let mut inner = lock(&self.0);
        inner.remove_secret(client);
        inner.remove(client)
    }

    /// All clients of a provider, with their client IDs.
    pub fn of(&self, provider: &ResourceName) -> Vec<(ResourceName, String)> {
        let first = (provider.clone(), String::new());
        let inner = lock(&self.0);
        let theirs = inner
            .clients
            .range(first..)
            .take_while(|((found, _), _)| found == provider);
        theirs
            .flat_map(|((_, id), names)| names.iter().map(|name| (name.clone(), id.clone())))
            .collect()
    }

    /// The clients of a provider with this client ID, the same.
    pub fn with(&self, provider: &ResourceName, client_id: &str) -> Vec<(ResourceName, String)> {
        let key = (provider.clone(), client_id.to_owned());
        let inner = lock(&self.0);
        let names = inner.clients.get(&key).into_iter().flatten();
        names.map(|name| (name.clone(), client_id.to_owned())).collect()
    }
}

impl Inner {
    fn remove_secret(&mut self, client: &ResourceName) {
        let Some(secret) = self.secret_of.remove(client) else {
            return;
        };
        if let Some(clients) = self.secrets.get_mut(&secret) {
            clients.remove(client);
            if clients.is_empty() {
                self.secrets.remove(&secret);
            }
        }
    }

    fn remove(&mut self, client: &ResourceName) -> Vec<ResourceName> {
        let Some(key) = self.keys.remove(client) else {
            return Vec::new();
        };
        let Some(names) = self.clients.get_mut(&key) else {
            return Vec::new();
        };
        names.remove(client);
        let others = names.iter().cloned().collect();
        if names.is_empty() {
            self.clients.remove(&key);
        }
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ResourceName {
        let (namespace, name) = text.split_once('/').unwrap();
        ResourceName::new(namespace, name)
    }

    #[test]
    fn finds_by_the_users_secret() {
        let index = Index::default();
        for (client, secret) in [
            ("a/one", Some("a/x")),
            ("a/two", Some("a/x")),
            ("a/three", None),
            ("a/two", Some("a/y")),
        ] {
            index.put_secret(&name(client), secret.map(name));
        }
        assert_eq!(index.with_secret(&name("a/x")), [name("a/one")]);
        assert_eq!(index.with_secret(&name("a/y")), [name("a/two")]);
        index.put_secret(&name("a/one"), None);
        index.remove(&name("a/two"));
        assert!(index.with_secret(&name("a/x")).is_empty() && index.with_secret(&name("a/y")).is_empty());
    }

    #[test]
    fn finds_by_provider_and_by_client_id() {
        let index = Index::default();
        for (client, provider, id) in [
            ("a/one", "p/dex", "x"),
            ("b/two", "p/dex", "x"),
            ("a/three", "p/dex", "y"),
            ("a/four", "p/dex2", "x"),
        ] {
            index.put(&name(client), name(provider), id.to_owned());
        }
        let of = |provider: &str| {
            index
                .of(&name(provider))
                .into_iter()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
        };
        assert_eq!(of("p/dex").len(), 3);
        let with = index.with(&name("p/dex"), "x");
        assert_eq!(with, ["a/one", "b/two"].map(|client| (name(client), "x".to_owned())));
        assert_eq!(index.remove(&name("a/one")), [name("b/two")]);
        assert_eq!(of("p/dex"), [name("b/two"), name("a/three")]);
        index.put(&name("b/two"), name("p/dex2"), "x".to_owned());
        assert_eq!(of("p/dex"), [name("a/three")]);
        assert!(index.remove(&name("a/three")).is_empty() && index.remove(&name("a/three")).is_empty());
        assert!(of("p/dex").is_empty());
    }
}
