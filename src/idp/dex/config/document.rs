//! Dex's configuration file: what of it is the platform's (`base`), and the same with the clients of ours (`target`).
//!
//! The text of `base` is kept byte for byte, because its meaning is not ours to judge: Dex reads YAML 1.1, and takes a plain `yes` for
//! true where YAML 1.2 takes it for a text. The clients are put into the text, and the outcome is used only if it reads as the very
//! document that was meant.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::{entry::StaticClient, yaml};
use crate::domain::error::bounded;

/// The member of Dex's configuration that lists clients.
const STATIC_CLIENTS: &str = "staticClients";

/// Clients of ours, by ID: the order in which they are written.
pub(super) type Entries = BTreeMap<String, StaticClient>;

/// The platform's part of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Base {
    text: String,
    document: Mapping,
    clients: Vec<Value>,
    ids: BTreeSet<String>,
}

impl Base {
    /// Reads it.
    ///
    /// # Errors
    /// Why it cannot be used, for people: it is no YAML, no mapping, or lists clients in a way that Dex and the operator may read
    /// differently.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document = match serde_yaml::from_str(text) {
            Ok(Value::Mapping(document)) => document,
            Ok(_) => {
                return Err("is no mapping: Dex's configuration is one (issuer, storage, web and so on)".to_owned());
            }
            Err(error) => return Err(format!("is no YAML: {}", place(&error))),
        };
        // Go's JSON decoder matches names without regard to case.
        let alike = |key: &Value| matches!(key, Value::String(key) if key.eq_ignore_ascii_case(STATIC_CLIENTS));
        if let Some(other) = document
            .keys()
            .find(|key| alike(key) && key.as_str() != Some(STATIC_CLIENTS))
        {
            let other = bounded(other.as_str().unwrap_or_default());
            return Err(format!(
                "names {other}, which Dex takes for {STATIC_CLIENTS}: write it so"
            ));
        }
        let clients = match document.get(STATIC_CLIENTS) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Sequence(clients)) => clients.clone(),
            Some(_) => return Err(format!("has {STATIC_CLIENTS} that are no list")),
        };
        Ok(Self {
            ids: clients.iter().filter_map(id).collect(),
            text: text.to_owned(),
            document,
            clients,
        })
    }

    /// Does it list a client of this ID? Then that is the platform's.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Its clients, as far as they can be read: without their secrets, which are nobody's business.
    pub(super) fn clients(&self) -> impl Iterator<Item = StaticClient> {
        self.clients.iter().filter_map(|client| {
            let known: StaticClient = serde_yaml::from_value(client.clone()).unwrap_or_default();
            Some(StaticClient {
                id: id(client)?,
                // What looks like a mark there was copied: it makes nothing ours.
                trusted_peers: Vec::new(),
                ..known
            })
        })
    }

    /// The text of the target: this one, with `entries` at the end of its clients. Without entries it is this very text.
    ///
    /// # Errors
    /// Why it cannot be made, for people.
    pub(super) fn with(&self, entries: &Entries) -> Result<String, String> {
        if let Some(id) = entries.keys().find(|id| self.has(id)) {
            let id = bounded(id);
            return Err(format!(
                "lists a client {id}, and the operator made one of this ID: remove one of both"
            ));
        }
        if entries.is_empty() {
            return Ok(self.text.clone());
        }
        let mut clients = self.clients.clone();
        for entry in entries.values() {
            let written = serde_yaml::from_str::<Vec<Value>>(&entry.write(0));
            clients.extend(written.map_err(|error| format!("cannot be written: {}", place(&error)))?);
        }
        let mut wanted = self.document.clone();
        wanted.insert(Value::from(STATIC_CLIENTS), Value::Sequence(clients));
        let wanted = Value::Mapping(wanted);
        let reads_as_wanted = |text: &String| serde_yaml::from_str::<Value>(text).is_ok_and(|read| read == wanted);
        super::splice::candidates(&self.text, self.document.contains_key(STATIC_CLIENTS), entries)
            .into_iter()
            // JSON is rewritten as a whole: there are no two ways to read it.
            .chain(serde_json::from_str::<serde_json::Value>(&self.text).ok().and_then(|_| yaml::flow(&wanted)))
            .find(reads_as_wanted)
            .ok_or_else(|| {
                format!(
                    "is written in a way that clients cannot be added to. Write it as a block mapping, and {STATIC_CLIENTS} in it as a block list with one dash for each client, or leave {STATIC_CLIENTS} out"
                )
            })
    }
}

/// The clients of ours that stand in a target: those that carry a mark. A target that cannot be read has none: what was lost is
/// made again.
pub(super) fn entries(target: &str) -> Entries {
    let Ok(Value::Mapping(document)) = serde_yaml::from_str(target) else {
        return Entries::new();
    };
    let Some(Value::Sequence(clients)) = document.get(STATIC_CLIENTS) else {
        return Entries::new();
    };
    let ours = clients.iter().filter_map(|client| {
        let entry: StaticClient = serde_yaml::from_value(client.clone()).ok()?;
        entry.is_marked().then(|| (entry.id.clone(), entry))
    });
    ours.collect()
}

/// The ID of a client in `base`, as Dex reads it: names without regard to case, numbers as texts.
fn id(client: &Value) -> Option<String> {
    let members = client.as_mapping()?;
    let (_, id) = members
        .iter()
        .find(|(key, _)| key.as_str().is_some_and(|key| key.eq_ignore_ascii_case("id")))?;
    match id {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        Value::Bool(id) => Some(id.to_string()),
        _ => None,
    }
}

/// Where a text is no YAML. The parser's own words may quote what stands there, and that may be a secret.
fn place(error: &serde_yaml::Error) -> String {
    match error.location() {
        Some(place) => format!("see line {}, column {}", place.line(), place.column()),
        None => "it cannot be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::entry::tests::confidential, *};

    const BASE: &str = "\
issuer: https://dex.example.com/dex  # ours
storage:
  type: memory
enablePasswordDB: yes
web: {http: 0.0.0.0:5556}
";

    fn of(ids: &[&str]) -> Entries {
        ids.iter().map(|id| ((*id).to_owned(), confidential(id))).collect()
    }

    fn target(base: &str, ids: &[&str]) -> Result<String, String> {
        Base::parse(base)?.with(&of(ids))
    }

    /// IDs in the order of the document, however they are written.
    fn ids(text: &str) -> Vec<String> {
        let document: Value = serde_yaml::from_str(text).unwrap();
        document["staticClients"]
            .as_sequence()
            .unwrap()
            .iter()
            .filter_map(id)
            .collect()
    }

    #[test]
    fn the_platforms_text_stays_as_it_is() {
        let text = target(BASE, &["b", "a"]).unwrap();
        assert!(text.starts_with(BASE), "{text}");
        assert_eq!(ids(&text), ["a", "b"], "in order of their IDs");
        assert_eq!(target(BASE, &[]).unwrap(), BASE);
        assert_eq!(entries(&text), of(&["a", "b"]));
    }

    #[test]
    fn the_platforms_clients_come_first() {
        for clients in [
            "staticClients:\n- id: z\n  name: Z\n  secret: s\n",
            "staticClients:\n  - id: z\n    name: Z\n    secret: s\n",
            "staticClients:  # theirs\n\n    -   id: z\n        name: Z\n",
            "\"staticClients\":\n- {id: z, name: Z}\n",
            "staticClients:\n-\n  id: z\n",
            "staticClients:\n- id: z\n  name: |\n    # Z\n\n    z\n",
        ] {
            for base in [
                format!("{BASE}{clients}"),
                format!("{clients}{BASE}"),
                format!("{clients}# a comment\n\n{BASE}"),
                format!("{clients}\n# a comment\n"),
                format!("---\n{clients}{BASE}"),
            ] {
                let text = target(&base, &["a", "b"]).unwrap_or_else(|why| panic!("{why}\n{base}"));
                assert_eq!(ids(&text), ["z", "a", "b"], "{text}");
                assert_eq!(entries(&text), of(&["a", "b"]));
                for line in base.lines() {
                    assert!(text.contains(line), "{line} is gone: {text}");
                }
            }
        }
    }

    #[test]
    fn no_clients_are_written_in_many_ways() {
        for none in [
            "staticClients: []\n",
            "staticClients:\n",
            "staticClients: null\n",
            "staticClients: ~ # none\n",
            "staticClients: [ ]  # none\n",
            "",
        ] {
            for base in [
                format!("{BASE}{none}"),
                format!("{none}{BASE}"),
                format!("{none}\n{BASE}"),
            ] {
                let text = target(&base, &["a"]).unwrap_or_else(|why| panic!("{why}\n{base}"));
                assert_eq!(ids(&text), ["a"], "{text}");
            }
        }
    }

    #[test]
    fn documents_of_other_shapes_are_met() {
        for base in [
            r#"{"issuer": "https://dex", "enablePasswordDB": true}"#,
            r#"{"issuer": "https://dex", "staticClients": []}"#,
            r#"{"issuer": "https://dex", "staticClients": [{"id": "z", "name": "Z", "n": 1.5}]}"#,
            "issuer: https://dex",
            "issuer: https://dex\n...\n",
            "%YAML 1.1\n---\nissuer: https://dex\n",
            "issuer: https://dex\nfrontend:\n  theme: |+\n    a\n\n",
            "issuer: https://dex\nfrontend:\n  theme: |\n    a",
            "issuer: &i https://dex\nother: *i\n",
            "issuer: https://dex\r\nstorage:\r\n  type: memory\r\n",
            "  issuer: https://dex\n  storage: {type: memory}\n",
        ] {
            let text = target(base, &["a"]).unwrap_or_else(|why| panic!("{why}\n{base}"));
            assert!(ids(&text).ends_with(&["a".to_owned()]), "{text}");
            let (mut before, mut after): (Value, Value) = (
                serde_yaml::from_str(base).unwrap(),
                serde_yaml::from_str(&text).unwrap(),
            );
            for document in [&mut before, &mut after] {
                document.as_mapping_mut().unwrap().remove("staticClients");
            }
            assert_eq!(before, after, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (base, told) in [
            ("issuer: [", "is no YAML: see line"),
            ("secret: \"hunter2", "is no YAML"),
            ("issuer: a\n---\nissuer: b\n", "is no YAML"),
            ("a: 1\na: 2\n", "is no YAML"),
            ("- a\n", "is no mapping"),
            ("", "is no mapping"),
            ("just text", "is no mapping"),
            ("staticClients: {id: a}", "no list"),
            ("staticclients: []", "which Dex takes for staticClients"),
            ("staticClients:\n- {id: a, name: A}\n", "remove one of both"),
            ("staticClients:\n- {ID: a, name: A}\n", "remove one of both"),
            (
                "issuer: x\nstaticClients: [{id: z,\n name: Z}]\n",
                "Write it as a block mapping",
            ),
        ] {
            let why = target(base, &["a"]).unwrap_err();
            assert!(why.contains(told) && !why.contains("hunter2"), "{base:?}: {why}");
        }
        let why = target("staticClients:\n- {id: 7, name: A}\n", &["7"]).unwrap_err();
        assert!(why.contains("remove one of both"), "{why}");
    }

    #[test]
    fn only_what_is_marked_is_ours() {
        let text = target("staticClients:\n- {id: z, name: Z, trustedPeers: [other]}\n", &["a"]).unwrap();
        assert_eq!(entries(&text), of(&["a"]));
        assert_eq!(entries("no: [yaml"), Entries::new());
        assert_eq!(entries("a: 1"), Entries::new());
    }

    #[test]
    fn the_platforms_clients_show_neither_secret_nor_mark() {
        let base = Base::parse(
            "staticClients:\n- {id: z, name: Z, secret: hunter2, trustedPeers: [oidc-operator.io/c/n/x/u]}\n- {idEnv: X}\n",
        )
        .unwrap();
        let clients: Vec<StaticClient> = base.clients().collect();
        assert_eq!(clients.len(), 1);
        assert!(!clients[0].is_marked() && !format!("{clients:?}").contains("hunter2"));
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[a-z]{1,8}",
            prop::sample::select(vec!["yes", "~", "a: b", "- x", "\n", "#"]).prop_map(str::to_owned)
        ]
    }

    proptest! {
        #[test]
        fn any_clients_beside_any_settings(
            settings in prop::collection::btree_map("[a-z]{1,6}", hostile(), 1..5),
            theirs in prop::option::of(prop::collection::vec("[a-z]{9,12}", 0..3)),
            ours in prop::collection::btree_map("[A-Z][ -~]{0,8}", (hostile(), prop::collection::vec(hostile(), 0..3)), 0..5),
        ) {
            let mut document = Mapping::new();
            for (key, value) in &settings {
                document.insert(Value::from(key.clone()), Value::from(value.clone()));
            }
            if let Some(theirs) = &theirs {
                let clients = theirs.iter().map(|id| {
                    Value::Mapping(Mapping::from_iter([("id", id), ("name", id)].map(|(k, v)| (Value::from(k), Value::from(v.clone())))))
                });
                document.insert(Value::from(STATIC_CLIENTS), Value::Sequence(clients.collect()));
            }
            let base = serde_yaml::to_string(&document).unwrap();
            let ours: Entries = ours.into_iter().map(|(id, (name, uris))| {
                let entry = StaticClient { name, redirect_uris: uris, ..confidential(&id) };
                (id, entry)
            }).collect();
            let text = Base::parse(&base).unwrap().with(&ours).unwrap();
            prop_assert_eq!(entries(&text), ours.clone());
            let read: Mapping = serde_yaml::from_str(&text).unwrap();
            for (key, value) in &settings {
                prop_assert_eq!(read.get(key.as_str()), Some(&Value::from(value.clone())));
            }
            let expected = theirs.unwrap_or_default().len() + ours.len();
            let found = read.get(STATIC_CLIENTS).and_then(Value::as_sequence).map_or(0, Vec::len);
            prop_assert_eq!(found, expected);
        }
    }
}
