//! The rules of fields, with the words of Django REST framework.

use serde_json::{Map, Value, json};

use super::reply::{self, Reply};

/// The fields of a body, and what is wrong with them.
pub(super) struct Input {
    fields: Map<String, Value>,
    /// A PATCH: nothing is required, and what is absent gets no default.
    pub(super) partial: bool,
    errors: Map<String, Value>,
}

/// The rules of a text.
#[derive(Clone, Copy, Default)]
pub(super) struct Text {
    pub(super) required: bool,
    pub(super) blank: bool,
    pub(super) longest: Option<usize>,
}

pub(super) const REQUIRED: Text = Text {
    required: true,
    blank: false,
    longest: None,
};
pub(super) const BLANK: Text = Text {
    required: false,
    blank: true,
    longest: None,
};
pub(super) const FILLED: Text = Text {
    required: false,
    blank: false,
    longest: None,
};

pub(super) const IS_REQUIRED: &str = "This field is required.";
pub(super) const IS_NULL: &str = "This field may not be null.";

impl Input {
    pub(super) fn new(fields: Map<String, Value>, partial: bool) -> Self {
        Self {
            fields,
            partial,
            errors: Map::new(),
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.fields.get(key)
    }

    pub(super) fn refuse(&mut self, key: &str, message: impl Into<Value>) {
        self.errors.insert(key.to_owned(), json!([message.into()]));
    }

    /// An error that is no list of texts.
    pub(super) fn refuse_with(&mut self, key: &str, error: Value) {
        self.errors.insert(key.to_owned(), error);
    }

    pub(super) fn refused(&self, key: &str) -> bool {
        self.errors.contains_key(key)
    }

    /// All that is wrong, if anything is.
    pub(super) fn checked(self) -> Result<(), Map<String, Value>> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(self.errors)
        }
    }

    /// What is there and not null. Missing or null is refused where it must be.
    fn present(&mut self, key: &str, required: bool, nullable: bool) -> Option<Value> {
        match self.fields.get(key) {
            None if required && !self.partial => self.refuse(key, IS_REQUIRED),
            Some(Value::Null) if !nullable => self.refuse(key, IS_NULL),
            Some(Value::Null) | None => {}
            Some(value) => return Some(value.clone()),
        }
        None
    }

    /// A text, trimmed; `None` if it is absent or refused.
    pub(super) fn text(&mut self, key: &str, rules: Text) -> Option<String> {
        let value = self.present(key, rules.required, false)?;
        match text(&value, rules) {
            Ok(text) => Some(text),
            Err(message) => {
                self.refuse(key, message);
                None
            }
        }
    }

    pub(super) fn choice(&mut self, key: &str, choices: &[&str]) -> Option<String> {
        let value = self.present(key, false, false)?;
        let found = choice(&value, choices);
        if found.is_none() {
            self.refuse(key, not_a_choice(&value));
        }
        found
    }

    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        let value = self.present(key, false, false)?;
        let found = match &value {
            Value::Bool(value) => Some(*value),
            Value::String(text) if matches!(text.as_str(), "true" | "True" | "1") => Some(true),
            Value::String(text) if matches!(text.as_str(), "false" | "False" | "0") => Some(false),
            _ => None,
        };
        if found.is_none() {
            self.refuse(key, "Must be a valid boolean.");
        }
        found
    }

    pub(super) fn integer(&mut self, key: &str, required: bool) -> Option<i64> {
        let value = self.present(key, required, false)?;
        let found = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        if found.is_none() {
            self.refuse(key, "A valid integer is required.");
        }
        found
    }

    /// A time such as `hours=1;minutes=2`.
    pub(super) fn duration(&mut self, key: &str) -> Option<String> {
        let text = self.text(key, FILLED)?;
        if seconds(&text).is_none() {
            self.refuse(
                key,
                format!("{text} is not in the correct format of 'hours=3;minutes=1'."),
            );
            return None;
        }
        Some(text)
    }

    /// A reference by UUID to something that `exists`. `Some(None)` is null.
    pub(super) fn uuid(
        &mut self,
        key: &str,
        required: bool,
        nullable: bool,
        exists: impl Fn(&str) -> bool,
    ) -> Option<Option<String>> {
        if nullable && self.fields.get(key) == Some(&Value::Null) {
            return Some(None);
        }
        let value = self.present(key, required, nullable)?;
        match uuid(&value, exists) {
            Ok(uuid) => Some(Some(uuid)),
            Err(message) => {
                self.refuse(key, message);
                None
            }
        }
    }

    /// References by UUID; sorted and each once, because the database keeps no order.
    pub(super) fn uuids(&mut self, key: &str, exists: impl Fn(&str) -> bool) -> Option<Vec<String>> {
        let value = self.present(key, false, false)?;
        let Value::Array(values) = &value else {
            self.refuse(key, not_a_list(&value));
            return None;
        };
        let found: Result<Vec<_>, _> = values.iter().map(|value| uuid(value, &exists)).collect();
        match found {
            Ok(mut uuids) => {
                uuids.sort();
                uuids.dedup();
                Some(uuids)
            }
            Err(message) => {
                self.refuse(key, message);
                None
            }
        }
    }

    /// A reference by number to something that `exists`. `Some(None)` is null.
    pub(super) fn number(&mut self, key: &str, exists: impl Fn(i64) -> bool) -> Option<Option<i64>> {
        let value = self.fields.get(key)?.clone();
        if value.is_null() {
            return Some(None);
        }
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        match number {
            Some(pk) if exists(pk) => return Some(Some(pk)),
            Some(pk) => self.refuse(key, no_object(&pk.to_string())),
            None => {
                let message = format!("Incorrect type. Expected pk value, received {}.", python_type(&value));
                self.refuse(key, message);
            }
        }
        None
    }
}

/// `400` with all that is wrong.
pub(super) fn bad_request(errors: Map<String, Value>) -> Reply {
    reply::json(400, Value::Object(errors))
}

pub(super) fn text(value: &Value, rules: Text) -> Result<String, String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return Err("Not a valid string.".to_owned()),
    };
    if text.is_empty() && !rules.blank {
        return Err("This field may not be blank.".to_owned());
    }
    if text.contains('\0') {
        return Err("Null characters are not allowed.".to_owned());
    }
    match rules.longest {
        Some(longest) if text.chars().count() > longest => {
            Err(format!("Ensure this field has no more than {longest} characters."))
        }
        _ => Ok(text),
    }
}

pub(super) fn choice(value: &Value, choices: &[&str]) -> Option<String> {
    let text = value.as_str()?;
    choices.contains(&text).then(|| text.to_owned())
}

pub(super) fn not_a_choice(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    format!("\"{text}\" is not a valid choice.")
}

pub(super) fn not_a_list(value: &Value) -> String {
    format!("Expected a list of items but got type \"{}\".", python_type(value))
}

fn uuid(value: &Value, exists: impl Fn(&str) -> bool) -> Result<String, String> {
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    if !is_uuid(&text) {
        Err(not_a_uuid(&text))
    } else if exists(&text) {
        Ok(text)
    } else {
        Err(no_object(&text))
    }
}

pub(super) fn is_uuid(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    digits == 32 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

pub(super) fn not_a_uuid(text: &str) -> String {
    format!("“{text}” is not a valid UUID.")
}

fn no_object(pk: &str) -> String {
    format!("Invalid pk \"{pk}\" - object does not exist.")
}

pub(super) fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// The seconds of a time such as `hours=1;minutes=2`.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let parts = text.split(';').map(|part| {
        let (unit, number) = part.split_once('=')?;
        let number: f64 = number.trim().parse().ok()?;
        let unit = match unit.trim().to_ascii_lowercase().as_str() {
            "microseconds" => 0.000_001,
            "milliseconds" => 0.001,
            "seconds" => 1.0,
            "minutes" => 60.0,
            "hours" => 3_600.0,
            "days" => 86_400.0,
            "weeks" => 604_800.0,
            _ => return None,
        };
        Some(number * unit)
    });
    #[expect(clippy::cast_possible_truncation, reason = "no test has times of that length")]
    parts.sum::<Option<f64>>().map(|seconds| seconds as i64)
}
