//! The entries of a block mapping in a long YAML text, found by their indentation, without parsing what is in them.
//!
//! YAML itself makes this sound: whatever belongs to an entry of a block mapping is indented deeper than its key, be it a long
//! text or a comment. The one exception is a sequence, whose dashes may stand below the key. Anchors, which could reach from
//! one entry into another, are not understood; parsing an entry that uses one fails.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// Entries by their keys, each with where it stands in the text, its key included.
pub(super) type Entries = BTreeMap<String, Range<usize>>;

/// The entries whose keys stand `indent` spaces from the left in this part of a text.
pub(super) fn entries(text: &str, part: Range<usize>, indent: usize) -> Entries {
    let mut entries = Entries::new();
    let mut last: Option<(String, usize)> = None;
    let mut at = part.start;
    for line in text[part.clone()].split_inclusive('\n') {
        if let Some(key) = key(line, indent)
            && let Some((former, start)) = last.replace((key.to_owned(), at))
        {
            entries.insert(former, start..at);
        }
        at += line.len();
    }
    if let Some((former, start)) = last {
        entries.insert(former, start..part.end);
    }
    entries
}

/// The key that begins in this line, if one does at this indentation.
fn key(line: &str, indent: usize) -> Option<&str> {
    let bytes = line.as_bytes();
    let first = *bytes.get(indent)?;
    // Bytes, not characters: this runs for every line of a document.
    if matches!(first, b' ' | b'#' | b'-' | b'\n' | b'\r') || bytes[..indent].iter().any(|byte| *byte != b' ') {
        return None;
    }
    let line = line[indent..].trim_end();
    let key = line
        .strip_suffix(':')
        .or_else(|| line.split_once(": ").map(|(key, _)| key))?;
    Some(key.trim_matches(['\'', '"']))
}

/// The value of an entry.
///
/// # Errors
/// It is not YAML.
pub(super) fn value(text: &str, entry: Range<usize>) -> Result<Value> {
    let entry: BTreeMap<String, Value> = serde_yaml::from_str(&text[entry]).context("not YAML")?;
    let mut values = entry.into_values();
    values.next().ok_or_else(|| anyhow!("an empty entry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
openapi: 3.0.3
servers:
- url: /api
paths:
  # a comment
  /things/:
    get:
      description: |
        Long text,

        with: a colon
  '/quoted/{id}/':
    get: {}
components:
  schemas:
    Thing:
      type: object
";

    #[test]
    fn entries_are_what_a_parser_finds() -> Result<()> {
        let whole: Value = serde_yaml::from_str(TEXT)?;
        let top = entries(TEXT, 0..TEXT.len(), 0);
        let keys: Vec<_> = top.keys().collect();
        assert_eq!(keys, ["components", "openapi", "paths", "servers"]);
        for (key, entry) in &top {
            assert_eq!(value(TEXT, entry.clone())?, whole[key], "{key}");
        }
        let paths = entries(TEXT, top["paths"].clone(), 2);
        let keys: Vec<_> = paths.keys().collect();
        assert_eq!(keys, ["/quoted/{id}/", "/things/"]);
        for (key, entry) in &paths {
            assert_eq!(value(TEXT, entry.clone())?, whole["paths"][key], "{key}");
        }
        Ok(())
    }

    #[test]
    fn an_entry_that_needs_another_is_an_error() {
        let text = "one: &anchor 1\ntwo: *anchor\n";
        let found = entries(text, 0..text.len(), 0);
        assert!(value(text, found["two"].clone()).is_err());
    }
}
