//! Exchanges that differ in nothing that a document could mind: most of a server's do, and a check of each takes milliseconds.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::openapi::Content;

/// What was checked, by its hash.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<HashSet<u64>>);

impl Seen {
    /// Is it the first one like this?
    pub(super) fn is_new(&self, like: &impl Hash) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(hash(like))
    }
}

/// A text that may be an identifier or a secret: with digits in it, only its length and its marks count.
#[derive(Debug)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl Hash for Text<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if self.0.bytes().any(|byte| byte.is_ascii_digit()) {
            for byte in self.0.bytes() {
                let kind = if byte.is_ascii_alphanumeric() { b'x' } else { byte };
                state.write_u8(kind);
            }
        } else {
            self.0.hash(state);
        }
    }
}

/// A body.
#[derive(Debug)]
pub(super) struct Shape<'a>(pub(super) Content<'a>);

impl Hash for Shape<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Content::Nothing => state.write_u8(0),
            Content::Other(content_type) => content_type.hash(state),
            Content::Json(value) => state.write_u64(of_value(value)),
        }
    }
}

/// Members by name, texts as [`Text`], numbers by their kind, and what a list has, but not how often.
fn of_value(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(_) => hash(&value.as_bool()),
        Value::Number(number) => hash(&(number.is_f64(), number.as_i64().map(i64::signum))),
        Value::String(text) => hash(&Text(text)),
        Value::Array(values) => hash(&values.iter().map(of_value).collect::<BTreeSet<_>>()),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name, of_value(value)));
            hash(&members.collect::<Vec<_>>())
        }
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
