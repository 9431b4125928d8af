//! The ownership mark: what the operator writes beside everything it makes in an identity provider.
//!
//! `oidc-operator.io/<owner id>/<namespace>/<name>/<uid>`. Ours is what carries our owner id, namespace and name;
//! another uid there is an earlier life of the same object (a rebuilt cluster, a re-created resource) and is re-marked.
//! A secret is never evidence of ownership.

use std::fmt;

use super::{names::ResourceName, vocabulary::GROUP};

/// Names this installation among all that may share an identity provider (`--owner-id`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerId(String);

impl OwnerId {
    /// # Errors
    /// When the id is empty, longer than 63 characters, or holds anything but letters, digits, `-`, `_` and `.`:
    /// it must survive every identity provider's idea of an attribute.
    pub fn new(id: impl Into<String>) -> Result<Self, String> {
        let id = id.into();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.is_empty() || id.len() > 63 || !id.chars().all(legal) {
            return Err(format!(
                "owner id {id:?} must be 1 to 63 letters, digits, '-', '_' or '.'"
            ));
        }
        Ok(Self(id))
    }
}

impl fmt::Display for OwnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last part of a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MarkUid {
    /// The uid of the OIDCClient.
    Uid(String),
    /// The OIDCClient was deleted with `deletionPolicy: Retain`.
    Released,
}

/// An ownership mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which installation.
    pub owner: OwnerId,
    /// Which OIDCClient.
    pub client: ResourceName,
    /// Which life of it.
    pub uid: MarkUid,
}

const RELEASED: &str = "released";

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = match &self.uid {
            MarkUid::Uid(uid) => uid,
            MarkUid::Released => RELEASED,
        };
        write!(
            f,
            "{GROUP}/{}/{}/{}/{uid}",
            self.owner, self.client.namespace, self.client.name
        )
    }
}

impl Mark {
    /// The same mark, as a retained client carries it.
    pub fn released(&self) -> Self {
        Self {
            uid: MarkUid::Released,
            ..self.clone()
        }
    }

    /// Reads a mark back; anything else is `None` (and so "unmarked").
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let (group, owner, namespace, name, uid) = (
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
            parts.next()?,
        );
        if group != GROUP || parts.next().is_some() || namespace.is_empty() || name.is_empty() || uid.is_empty() {
            return None;
        }
        let uid = if uid == RELEASED {
            MarkUid::Released
        } else {
            MarkUid::Uid(uid.to_owned())
        };
        Some(Self {
            owner: OwnerId::new(owner).ok()?,
            client: ResourceName::new(namespace, name),
            uid,
        })
    }

    /// Whether `text` claims to be a mark of this operator, readable or not. What claims to be one and cannot be read
    /// is treated as foreign, never as unmarked.
    pub fn looks_like_one(text: &str) -> bool {
        text.starts_with(GROUP) && text[GROUP.len()..].starts_with('/')
    }

    /// What a mark found at the identity provider means to the holder of `self`.
    pub fn judge(&self, found: Option<&Mark>) -> Ownership {
        match found {
            None => Ownership::Unmarked,
            Some(mark) if mark.owner != self.owner || mark.client != self.client => Ownership::Foreign,
            Some(mark) if mark.uid == self.uid => Ownership::Ours,
            Some(_) => Ownership::FormerLife,
        }
    }
}

/// Whose a thing at the identity provider is, seen from one OIDCClient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// Ours, of this very object.
    Ours,
    /// Ours, of an object of the same name that is no more (or was retained): re-marked, never deleted on its behalf.
    FormerLife,
    /// Somebody else's mark.
    Foreign,
    /// No mark: made by hand or by another tool.
    Unmarked,
}

impl Ownership {
    /// May this OIDCClient read, change and hand it out?
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::FormerLife)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(owner: &str, namespace: &str, name: &str, uid: &str) -> Mark {
        Mark {
            owner: OwnerId::new(owner).unwrap(),
            client: ResourceName::new(namespace, name),
            uid: if uid == RELEASED {
                MarkUid::Released
            } else {
                MarkUid::Uid(uid.to_owned())
            },
        }
    }

    #[test]
    fn judges_by_owner_namespace_and_name_only() {
        let mine = mark("c1", "shop", "web", "u1");
        assert_eq!(mine.judge(None), Ownership::Unmarked);
        assert_eq!(mine.judge(Some(&mine.clone())), Ownership::Ours);
        assert_eq!(
            mine.judge(Some(&mark("c1", "shop", "web", "u0"))),
            Ownership::FormerLife
        );
        assert_eq!(mine.judge(Some(&mine.released())), Ownership::FormerLife);
        assert_eq!(mine.judge(Some(&mark("c2", "shop", "web", "u1"))), Ownership::Foreign);
        assert_eq!(mine.judge(Some(&mark("c1", "shop2", "web", "u1"))), Ownership::Foreign);
        assert_eq!(mine.judge(Some(&mark("c1", "shop", "web2", "u1"))), Ownership::Foreign);
    }

    #[test]
    fn refuses_what_is_not_a_mark() {
        for text in [
            "",
            "oidc-operator.io",
            "oidc-operator.io/a/b/c",
            "oidc-operator.io/a/b/c/d/e",
            "oidc-operator.io//b/c/d",
            "oidc-operator.io/a//c/d",
            "x.io/a/b/c/d",
        ] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
        assert!(Mark::looks_like_one("oidc-operator.io/a/b/c/d/e"));
        assert!(!Mark::looks_like_one("oidc-operator.iox/a"));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_prints(owner in "[a-zA-Z0-9._-]{1,63}", ns in "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
                                     name in "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", uid in "[a-f0-9-]{1,36}") {
            let mark = mark(&owner, &ns, &name, &uid);
            prop_assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
    }
}
