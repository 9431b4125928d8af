//! Texts for a YAML document that Dex reads the same way as we do.
//!
//! Dex reads YAML 1.1 (`ghodss/yaml` over `go-yaml` v2), the operator YAML 1.2: a plain `yes`, `0o7` or `12:30` means another thing in
//! each. So every text that is written stands in double quotes, where both agree, and holds nothing but printable ASCII.

use std::fmt::Write as _;

use serde_yaml::Value;

/// A double-quoted scalar: anything but printable ASCII is escaped (YAML 1.1, section 5.7: `\xNN`, `\uNNNN`, `\UNNNNNNNN`).
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        // Writing to a String cannot fail.
        let _ = match (c, u32::from(c)) {
            ('"' | '\\', _) => write!(quoted, "\\{c}"),
            (' '..='~', _) => write!(quoted, "{c}"),
            (_, code @ 0..=0xff) => write!(quoted, "\\x{code:02x}"),
            (_, code @ 0x100..=0xffff) => write!(quoted, "\\u{code:04x}"),
            (_, code) => write!(quoted, "\\U{code:08x}"),
        };
    }
    quoted.push('"');
    quoted
}

/// A list of texts in one line.
pub(super) fn quoted_list(texts: &[String]) -> String {
    let items: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", items.join(", "))
}

/// A whole value in flow style, which JSON is, too. `None` for what JSON has no form of: tags, and keys that are no texts.
pub(super) fn flow(value: &Value) -> Option<String> {
    Some(match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) if number.is_finite() => number.to_string(),
        Value::Number(_) | Value::Tagged(_) => return None,
        Value::String(text) => quoted(text),
        Value::Sequence(items) => {
            let items: Option<Vec<String>> = items.iter().map(flow).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Mapping(mapping) => {
            let members = mapping.iter().map(|(key, value)| match key {
                Value::String(key) => Some(format!("{}: {}", quoted(key), flow(value)?)),
                _ => None,
            });
            let members: Option<Vec<String>> = members.collect();
            format!("{{{}}}", members?.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_yaml_reads_otherwise_is_quoted_and_escaped() {
        for (text, written) in [
            ("yes", r#""yes""#),
            ("~", r#""~""#),
            ("a: b #c", r#""a: b #c""#),
            ("say \"hi\" \\", r#""say \"hi\" \\""#),
            ("a\nb\tc", r#""a\x0ab\x09c""#),
            ("Bücher\u{85}", r#""B\xfccher\x85""#),
            ("漢\u{2028}", r#""\u6f22\u2028""#),
            ("🦀", r#""\U0001f980""#),
            ("", r#""""#),
        ] {
            assert_eq!(quoted(text), written);
        }
    }

    #[test]
    fn what_json_has_no_form_of_is_not_written() {
        for yaml in ["!tag a", "{1: a}", ".nan", "[.inf]"] {
            let value: Value = serde_yaml::from_str(yaml).unwrap();
            assert_eq!(flow(&value), None, "{yaml}");
        }
    }

    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let written = quoted(&text);
            prop_assert!(written.is_ascii());
            prop_assert!(written.chars().all(|c| !c.is_control()));
            prop_assert_eq!(serde_yaml::from_str::<String>(&written).unwrap(), text);
        }

        #[test]
        fn any_json_comes_back(value in value()) {
            let yaml: Value = serde_yaml::to_value(&value).unwrap();
            let written = flow(&yaml).unwrap();
            prop_assert_eq!(serde_yaml::from_str::<Value>(&written).unwrap(), yaml);
        }
    }
}
