//! Names of objects, and names derived from them.

use std::fmt;

/// A namespaced object's name, printed as `namespace/name` (the form of every column and message).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResourceName {
    /// The namespace.
    pub namespace: String,
    /// The name in it.
    pub name: String,
}

impl ResourceName {
    /// Both parts, as Kubernetes gave them (already legal names).
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The client ID of an OIDCClient that names none: `<namespace>_<name>`.
///
/// `_` is legal in neither part, so two objects never share one.
pub fn default_client_id(client: &ResourceName) -> String {
    format!("{}_{}", client.namespace, client.name)
}

/// The default name of both outputs: `<name>-oidc`.
pub fn default_output_name(client: &ResourceName) -> String {
    format!("{}-oidc", client.name)
}

/// The staged Secret of a rotation of `secret`.
pub fn next_secret_name(secret: &str) -> String {
    format!("{secret}{}", super::vocabulary::NEXT_SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_client_ids_are_unambiguous() {
        let one = default_client_id(&ResourceName::new("a", "b-c"));
        let two = default_client_id(&ResourceName::new("a-b", "c"));
        assert_eq!(one, "a_b-c");
        assert_ne!(one, two);
    }
}
