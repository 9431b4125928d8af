//! The expressions of scope mappings. They are Python; understood is `return` of a dictionary built from literals and the user:
//! what a new server has, and what generated expressions look like.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value, json};

use super::users::User;

const IMPORT_GROUP: &str = "from authentik.core.models import Group";

/// The claims that an expression gives for a user of the application with this slug. `None`: it is not understood.
pub(super) fn claims(expression: &str, user: &User, application: Option<&str>) -> Option<Map<String, Value>> {
    let at = expression.find("return ").filter(|at| {
        let line = expression[..*at].rsplit('\n').next().unwrap_or_default();
        line.trim().is_empty()
    })?;
    let mut names = Names {
        user,
        application,
        knows_groups: false,
        assigned: BTreeMap::new(),
    };
    for line in expression[..at].lines().map(str::trim) {
        if line == IMPORT_GROUP {
            names.knows_groups = true;
        } else if !line.is_empty() && !line.starts_with('#') {
            let (name, value) = line.split_once(" = ")?;
            let value = names.value_of(value)?;
            names.assigned.insert(name.to_owned(), value);
        }
    }
    match names.value_of(&expression[at + "return ".len()..])? {
        Value::Object(claims) => Some(claims),
        _ => None,
    }
}

/// What names stand for.
struct Names<'a> {
    user: &'a User,
    /// The slug of `provider.application`.
    application: Option<&'a str>,
    /// `Group` was imported.
    knows_groups: bool,
    assigned: BTreeMap<String, Value>,
}

impl Names<'_> {
    /// All of a text, as a value: `a`, or `a if b is not None else c`.
    fn value_of(&self, text: &str) -> Option<Value> {
        let mut parser = Parser {
            rest: text.chars().peekable(),
            names: self,
        };
        let value = parser.value()?;
        parser.skip();
        let rest: String = parser.rest.collect();
        let Some(rest) = rest.strip_prefix("if ") else {
            return rest.is_empty().then_some(value);
        };
        let (condition, otherwise) = rest.split_once(" is not None else ")?;
        if self.value_of(condition)?.is_null() {
            self.value_of(otherwise)
        } else {
            Some(value)
        }
    }

    /// What a comprehension goes over.
    fn named_things(&self, source: &str) -> Option<Vec<String>> {
        match source {
            "request.user.groups.all()" | "request.user.ak_groups.all()" => Some(groups_of(self.user)),
            "Group.objects.filter(users=request.user).order_by(\"name\")" if self.knows_groups => {
                let mut groups = groups_of(self.user);
                groups.sort();
                Some(groups)
            }
            "request.user.app_entitlements(provider.application)" => {
                let of_application = self.application.and_then(|slug| self.user.entitlements.get(slug));
                Some(of_application.cloned().unwrap_or_default())
            }
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: Peekable<Chars<'a>>,
    names: &'a Names<'a>,
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

    /// A list, or the names of groups or entitlements: the one comprehension that is understood.
    fn list(&mut self) -> Option<Value> {
        let all: String = self.rest.clone().take_while(|&c| c != ']').collect();
        let words: Vec<_> = all.trim_start_matches('[').split_whitespace().collect();
        if let [element, "for", variable, "in", source] = words.as_slice() {
            self.rest.by_ref().find(|&c| c == ']');
            let named = self.names.named_things(source)?;
            return (*element == format!("{variable}.name")).then(|| json!(named));
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
            "request.user.email" => json!(self.names.user.email),
            "request.user.name" => json!(self.names.user.name),
            "request.user.username" => json!(self.names.user.username),
            "request.user.attributes.get" => {
                if !self.takes('(') {
                    return None;
                }
                self.skip();
                let attribute = self.text()?;
                let otherwise = if self.takes(',') { self.value()? } else { Value::Null };
                let found = self.names.user.attributes.get(attribute).cloned().unwrap_or(otherwise);
                return self.takes(')').then_some(found);
            }
            assigned => return self.names.assigned.get(assigned).cloned(),
        })
    }

    fn while_one_of(&mut self, wanted: impl Fn(char) -> bool) -> String {
        std::iter::from_fn(|| self.rest.next_if(|&c| wanted(c))).collect()
    }
}

fn groups_of(user: &User) -> Vec<String> {
    let admins = user.is_superuser.then(|| "authentik Admins".to_owned());
    admins.into_iter().chain(user.groups.iter().cloned()).collect()
}
