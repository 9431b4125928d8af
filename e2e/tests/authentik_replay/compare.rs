//! Whether two answers are the same but for identifiers, times and tokens; and which identifier stands for which.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What the stand-in has in place of what was recorded.
#[derive(Debug, Default)]
pub(crate) struct Names {
    texts: BTreeMap<String, String>,
    /// Primary keys of providers and users; only in places that hold one.
    numbers: BTreeMap<(Kind, i64), i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Provider,
    User,
}

/// Members whose values are chosen by the server. Their type is compared, and what they stand for is noted.
const CHOSEN: &[&str] = &[
    "pk",
    "uid",
    "uuid",
    "user_uid",
    "user_pk",
    "key",
    "token",
    "access_token",
    "id_token",
    "refresh_token",
    "avatar",
    "policybindingmodel_ptr_id",
    "fingerprint_sha256",
    "fingerprint_sha1",
    "cert_expiry",
    "date_joined",
    "last_login",
    "last_updated",
    "password_change_date",
    "expires",
    "created",
    "request_id",
    "sub",
    "jti",
    "iat",
    "exp",
    "auth_time",
    "kid",
    "n",
    "x5t",
    "x5t#S256",
    "id",
    "version_latest",
    "version_latest_valid",
    "stages",
];

/// What stands before a number in a text: paths, and the names of access tokens (`Access Token for 20 for user 9`).
const NUMBERED: [(&str, Kind); 4] = [
    ("/api/v3/providers/oauth2/", Kind::Provider),
    ("/api/v3/core/users/", Kind::User),
    ("Access Token for ", Kind::Provider),
    (" for user ", Kind::User),
];

/// Lists without an order.
const SETS: &[&str] = &[
    "property_mappings",
    "scopes_supported",
    "claims_supported",
    "system_permissions",
    "capabilities",
];

impl Names {
    pub(crate) fn learn(&mut self, recorded: &str, ours: &str) {
        if recorded.len() >= 8 && recorded != ours {
            self.texts.insert(recorded.to_owned(), ours.to_owned());
        }
    }

    pub(crate) fn learn_number(&mut self, kind: Kind, recorded: i64, ours: i64) {
        self.numbers.insert((kind, recorded), ours);
    }

    pub(crate) fn number(&self, kind: Kind, recorded: i64) -> i64 {
        self.numbers.get(&(kind, recorded)).copied().unwrap_or(recorded)
    }

    /// A recorded text with our identifiers and numbers in it.
    pub(crate) fn ours(&self, text: &str) -> String {
        if let Some(whole) = self.texts.get(text) {
            return whole.clone();
        }
        let mut ours = text.to_owned();
        for (before, kind) in NUMBERED {
            let Some((head, rest)) = ours.split_once(before) else {
                continue;
            };
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if let Ok(recorded) = rest[..digits].parse() {
                ours = format!("{head}{before}{}{}", self.number(kind, recorded), &rest[digits..]);
            }
        }
        for (recorded, replacement) in &self.texts {
            if ours.contains(recorded.as_str()) {
                ours = ours.replace(recorded.as_str(), replacement);
            }
        }
        ours
    }
}

/// All differences between a recorded body and ours.
pub(crate) fn bodies(names: &mut Names, recorded: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    learn_ids(names, recorded, ours);
    walk(names, "", "", recorded, ours, &mut found);
    found
}

/// Identifiers first: they are used before they are defined.
fn learn_ids(names: &mut Names, recorded: &Value, ours: &Value) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            for (key, value) in recorded {
                let Some(our) = ours.get(key) else { continue };
                // Generated, when it was not sent.
                let secret = matches!(key.as_str(), "client_id" | "client_secret");
                if let (true, Value::String(value), Value::String(our)) = (
                    CHOSEN.contains(&key.as_str()) || (secret && value_is_long(value)),
                    value,
                    our,
                ) {
                    names.learn(value, our);
                }
                if let (Some(value), Some(our)) = (value.as_i64(), our.as_i64()) {
                    let is_user = recorded.contains_key("username") || key == "user_pk";
                    let is_provider = recorded.contains_key("component") || recorded.contains_key("model_name");
                    match (key.as_str(), is_user, is_provider) {
                        ("pk" | "user_pk", true, _) => names.learn_number(Kind::User, value, our),
                        ("pk", _, true) => names.learn_number(Kind::Provider, value, our),
                        _ => {}
                    }
                }
                learn_ids(names, value, our);
            }
        }
        (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
            for (recorded, ours) in recorded.iter().zip(ours) {
                learn_ids(names, recorded, ours);
            }
        }
        _ => {}
    }
}

/// Longer than what a person would send: 40 and 128 characters are generated.
fn value_is_long(value: &Value) -> bool {
    value.as_str().is_some_and(|text| matches!(text.len(), 40 | 128))
}

fn walk(names: &Names, at: &str, key: &str, recorded: &Value, ours: &Value, found: &mut Vec<String>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            let missing: Vec<_> = recorded.keys().filter(|key| !ours.contains_key(*key)).collect();
            let more: Vec<_> = ours.keys().filter(|key| !recorded.contains_key(*key)).collect();
            if !missing.is_empty() || !more.is_empty() {
                found.push(format!("{at}: missing {missing:?}, more {more:?}"));
            }
            for (key, value) in recorded {
                if let Some(our) = ours.get(key) {
                    walk(names, &format!("{at}/{key}"), key, value, our, found);
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            if SETS.contains(&key) {
                let set = |values: &[Value]| -> BTreeSet<String> {
                    values
                        .iter()
                        .map(|value| names.ours(value.as_str().unwrap_or_default()))
                        .collect()
                };
                let (recorded, ours) = (set(recorded), set(ours));
                if recorded != ours {
                    found.push(format!("{at}: {recorded:?} is {ours:?}"));
                }
                return;
            }
            if recorded.len() != ours.len() {
                found.push(format!("{at}: {} items are {}", recorded.len(), ours.len()));
                return;
            }
            for (index, (value, our)) in recorded.iter().zip(ours).enumerate() {
                // Certificates stand in lists.
                if key != "x5c" {
                    walk(names, &format!("{at}/{index}"), key, value, our, found);
                }
            }
        }
        (recorded, ours) if std::mem::discriminant(recorded) != std::mem::discriminant(ours) => {
            // A time that one server has noted and the other has not is no difference.
            if key != "last_login" {
                found.push(format!("{at}: {recorded} is {ours}"));
            }
        }
        _ if CHOSEN.contains(&key) => {}
        (Value::String(recorded), Value::String(ours)) => {
            let expected = names.ours(recorded);
            // RFC 6749, section 3.3: scopes have no order; a real server keeps them in a set.
            let same_words = |a: &str, b: &str| a.split(' ').collect::<BTreeSet<_>>() == b.split(' ').collect();
            if expected != *ours && !(key == "scope" && same_words(&expected, ours)) {
                found.push(format!("{at}: {expected:?} is {ours:?}"));
            }
        }
        (Value::Number(recorded), Value::Number(ours)) => {
            let expected = recorded.as_i64().map(|number| match key {
                "provider" => names.number(Kind::Provider, number),
                "user" => names.number(Kind::User, number),
                _ => number,
            });
            if expected.is_some() && expected != ours.as_i64() {
                found.push(format!("{at}: {recorded} is {ours}"));
            }
        }
        (recorded, ours) => {
            if recorded != ours {
                found.push(format!("{at}: {recorded} is {ours}"));
            }
        }
    }
}
