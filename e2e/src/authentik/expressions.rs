//! The expressions of scope mappings. They are Python; understood is `return` of a dictionary built from literals and the user:
//! what a new server has, and what generated expressions look like.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value, json};

use super::users::User;

/// The claims that an expression gives for a user. `None`: it is not understood.
pub(super) fn claims(expression: &str, user: &User) -> Option<Map<String, Value>> {
    // Whatever is assigned before is known by its name, see `named`.
    let at = expression.find("return ").filter(|at| {
        let line = expression[..*at].rsplit('\n').next().unwrap_or_default();
        line.trim().is_empty()
    })?;
    let mut parser = Parser {
        rest: expression[at + "return ".len()..].chars().peekable(),
        user,
    };
    let value = parser.value()?;
    parser.skip();
    match value {
        Value::Object(claims) if parser.rest.peek().is_none() => Some(claims),
        _ => None,
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    user: &'a User,
}

impl Parser<'_> {
    /// Space and comments.
    fn skip(&mut self) {
        while let Some(&next) = self.rest.peek() {
            if next == '#' {
                while self.rest.next_if(|&c| c != '\n').is_some() {}
            } else if self.rest.next_if(|c| c.is_whitespace()).is_none() {
                return;
            }
        }
    }

    /// Whether this is next; then it is taken.
    fn takes(&mut self, wanted: char) -> bool {
        self.skip();
        self.rest.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self) -> Option<Value> {
        self.skip();
        match *self.rest.peek()? {
            '{' => self.dictionary(),
            '[' => self.list(),
            '"' | '\'' => self.text().map(Value::String),
            c if c == '-' || c.is_ascii_digit() => {
                let number = self.while_one_of(|c| matches!(c, '-' | '+' | '.' | 'e') || c.is_ascii_digit());
                serde_json::from_str(&number).ok()
            }
            _ => self.named(),
        }
    }

    fn dictionary(&mut self) -> Option<Value> {
        let mut fields = Map::new();
        self.rest.next();
        while !self.takes('}') {
            self.skip();
            let key = self.text()?;
            if !self.takes(':') {
                return None;
            }
            fields.insert(key, self.value()?);
            if !self.takes(',') {
                return self.takes('}').then_some(Value::Object(fields));
            }
        }
        Some(Value::Object(fields))
    }

    /// A list, or the names of the user's groups: the one comprehension that is understood.
    fn list(&mut self) -> Option<Value> {
        let all: String = self.rest.clone().take_while(|&c| c != ']').collect();
        let words: Vec<_> = all.trim_start_matches('[').split_whitespace().collect();
        if let [element, "for", variable, "in", groups] = words.as_slice() {
            let of_user = matches!(*groups, "request.user.groups.all()" | "request.user.ak_groups.all()");
            self.rest.by_ref().find(|&c| c == ']');
            return (of_user && *element == format!("{variable}.name")).then(|| json!(groups_of(self.user)));
        }
        let mut values = Vec::new();
        self.rest.next();
        while !self.takes(']') {
            values.push(self.value()?);
            if !self.takes(',') {
                return self.takes(']').then_some(Value::Array(values));
            }
        }
        Some(Value::Array(values))
    }

    fn text(&mut self) -> Option<String> {
        let quote = self.rest.next_if(|c| matches!(c, '"' | '\''))?;
        let mut text = String::new();
        loop {
            match self.rest.next()? {
                c if c == quote => return Some(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    /// What a backslash stands for (Python's language reference, section 2.4.1).
    fn escaped(&mut self) -> Option<char> {
        let digits = match self.rest.next()? {
            'n' => return Some('\n'),
            'r' => return Some('\r'),
            't' => return Some('\t'),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            c @ ('\\' | '"' | '\'') => return Some(c),
            _ => return None,
        };
        let number: String = self.rest.by_ref().take(digits).collect();
        char::from_u32(u32::from_str_radix(&number, 16).ok()?)
    }

    fn named(&mut self) -> Option<Value> {
        let name = self.while_one_of(|c| matches!(c, '.' | '_') || c.is_ascii_alphanumeric());
        Some(match name.as_str() {
            "True" => json!(true),
            "False" => json!(false),
            "None" => Value::Null,
            // What `scope-entitlements` assigns before it returns; nobody has any here.
            "entitlements" => json!([]),
            "request.user.email" => json!(self.user.email),
            "request.user.name" => json!(self.user.name),
            "request.user.username" => json!(self.user.username),
            "request.user.attributes.get" => {
                if !self.takes('(') {
                    return None;
                }
                self.skip();
                let attribute = self.text()?;
                let otherwise = if self.takes(',') { self.value()? } else { Value::Null };
                let found = self.user.attributes.get(attribute).cloned().unwrap_or(otherwise);
                return self.takes(')').then_some(found);
            }
            _ => return None,
        })
    }

    fn while_one_of(&mut self, wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.rest.next_if(|&c| wanted(c))).collect()
    }
}

fn groups_of(user: &User) -> &'static [&'static str] {
    if user.is_superuser { &["authentik Admins"] } else { &[] }
}
