//! The user's own keys: templates of minijinja, in a language cut down to what cannot grow.
//!
//! A template comes from an application team and is rendered inside of the operator, beside all other teams' work. Steps are
//! bounded by fuel, and the output by its writer; what could build a large value without writing it (assignments, string
//! operators, macros, filters that multiply) is not in the language.

use std::{collections::BTreeMap, io};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior, Value,
    machinery::{Token, tokenize},
    syntax::SyntaxConfig,
};

use super::{MAX_DATA, Values};

/// Instructions that one template may take.
const FUEL: u64 = 20_000;

/// Most that one filter may give.
const MAX_VALUE: usize = 256 * 1024;

/// The statements of the language.
const STATEMENTS: [&str; 6] = ["if", "elif", "else", "endif", "for", "endfor"];

/// Why a template cannot be used. Never quotes a value: it may be secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// Column, from 1.
    pub column: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: {}", self.what),
            (Some(line), None) => write!(f, "line {line}: {}", self.what),
            (None, _) => f.write_str(&self.what),
        }
    }
}

/// Whose template it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The Secret's.
    Secret,
    /// The ConfigMap's: nothing secret is bound.
    ConfigMap,
}

/// Renders one template.
///
/// # Errors
/// It is not in the language, names what there is not, or gives too much.
pub fn render(source: &str, values: &Values<'_>, target: Target) -> Result<String, TemplateError> {
    allowed(source)?;
    let environment = environment();
    let template = environment
        .template_from_str(source)
        .map_err(|error| described(&error, source, true))?;
    let mut writer = Bounded(Vec::new());
    template
        .render_captured_to(bindings(values, target), &mut writer)
        .map_err(|error| described(&error, source, false))?;
    String::from_utf8(writer.0).map_err(|_| TemplateError {
        line: None,
        column: None,
        what: "its output is no text".to_owned(),
    })
}

/// Checks that every token belongs to the language.
fn allowed(source: &str) -> Result<(), TemplateError> {
    let mut before = [None, None];
    for token in tokenize(source, false, syntax()) {
        let (token, span) = token.map_err(|error| described(&error, source, true))?;
        let refused = match (&before, &token) {
            ([_, Some(Token::BlockStart)], Token::Ident(name)) if !STATEMENTS.contains(name) => {
                Some(format!("the statement {name:?} is not supported: only if and for are"))
            }
            // Filters take arguments; nothing else is called.
            ([Some(Token::Pipe), Some(Token::Ident(_))], Token::ParenOpen) => None,
            ([_, Some(Token::Ident(name))], Token::ParenOpen) if !is_word(name) => {
                Some("functions and methods cannot be called: use filters".to_owned())
            }
            ([_, Some(Token::ParenClose | Token::BracketClose)], Token::ParenOpen) => {
                Some("functions and methods cannot be called: use filters".to_owned())
            }
            (_, Token::Ident("recursive")) => Some("recursive loops are not supported".to_owned()),
            (
                _,
                Token::TemplateData(_)
                | Token::VariableStart
                | Token::VariableEnd
                | Token::BlockStart
                | Token::BlockEnd
                | Token::Ident(_)
                | Token::Str(_)
                | Token::String(_)
                | Token::Int(_)
                | Token::Dot
                | Token::Comma
                | Token::Pipe
                | Token::Eq
                | Token::Ne
                | Token::Gt
                | Token::Gte
                | Token::Lt
                | Token::Lte
                | Token::ParenOpen
                | Token::ParenClose
                | Token::BracketOpen
                | Token::BracketClose,
            ) => None,
            _ => Some("this operator is not supported".to_owned()),
        };
        if let Some(what) = refused {
            let (line, column) = position(source, span.start_offset as usize);
            return Err(TemplateError {
                line: Some(line),
                column: Some(column),
                what,
            });
        }
        before = [before[1].take(), Some(token)];
    }
    Ok(())
}

/// Words after which a parenthesis groups.
fn is_word(name: &str) -> bool {
    ["if", "elif", "in", "and", "or", "not", "is", "else"].contains(&name)
}

/// Line and column, both from 1, of a byte.
fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// For people. The details of an error at rendering may quote values, so that only its kind is told.
fn described(error: &Error, source: &str, compiling: bool) -> TemplateError {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
        ErrorKind::WriteFailure => format!("it gives more than {MAX_DATA} bytes"),
        ErrorKind::UndefinedError => "it uses a value that there is not".to_owned(),
        kind => match error.detail().filter(|_| compiling) {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    let place = error.range().map(|range| position(source, range.start));
    TemplateError {
        line: place.map(|(line, _)| line).or_else(|| error.line()),
        column: place.map(|(_, column)| column),
        what,
    }
}

/// Jinja's, but the last line keeps its end, as in every file.
fn syntax() -> SyntaxConfig {
    let mut builder = SyntaxConfig::builder();
    builder.keep_trailing_newline(true);
    builder.build().unwrap_or_default()
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_syntax(syntax());
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("lower", |text: String| bounded(text.to_lowercase()));
    environment.add_filter("upper", |text: String| bounded(text.to_uppercase()));
    environment.add_filter("trim", |text: String| bounded(text.trim().to_owned()));
    environment.add_filter("b64encode", |text: String| bounded(STANDARD.encode(text)));
    environment.add_filter("tojson", |value: Value| {
        bounded(match value.try_iter() {
            Ok(items) if value.as_str().is_none() => {
                serde_json::Value::from_iter(items.map(|item| item.to_string())).to_string()
            }
            _ => serde_json::Value::from(value.to_string()).to_string(),
        })
    });
    environment.add_filter("join", join);
    environment
}

/// Only lists: text joined by text would grow by each use.
fn join(value: Value, separator: Option<String>) -> Result<String, Error> {
    if value.as_str().is_some() {
        return Err(Error::new(ErrorKind::InvalidOperation, "join takes a list"));
    }
    let items: Vec<String> = value.try_iter()?.map(|item| item.to_string()).collect();
    bounded(items.join(&separator.unwrap_or_default()))
}

fn bounded(text: String) -> Result<String, Error> {
    if text.len() > MAX_VALUE {
        return Err(Error::new(ErrorKind::InvalidOperation, "too large"));
    }
    Ok(text)
}

/// A writer that takes so much and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_DATA {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a template may name. Text that there is not is empty, so that `if` can ask for it.
fn bindings(values: &Values<'_>, target: Target) -> Value {
    let endpoints = values.endpoints;
    let optional = |value: &Option<String>| Value::from(value.clone().unwrap_or_default());
    let mut bound: BTreeMap<&str, Value> = BTreeMap::from([
        ("clientID", Value::from(values.client_id)),
        ("issuer", Value::from(values.issuer)),
        ("issuerNoSlash", Value::from(values.issuer_no_slash())),
        ("internalIssuer", Value::from(values.internal_issuer)),
        ("discoveryURL", Value::from(values.discovery_url)),
        (
            "endpoints",
            Value::from(BTreeMap::from([
                ("authorization", Value::from(endpoints.authorization.as_str())),
                ("token", Value::from(endpoints.token.as_str())),
                ("userinfo", optional(&endpoints.userinfo)),
                ("jwks", Value::from(endpoints.jwks.as_str())),
                ("endSession", optional(&endpoints.end_session)),
            ])),
        ),
        ("audience", Value::from(values.client_id)),
        ("scopes", Value::from(values.scopes.join(" "))),
        ("scopeList", Value::from_iter(values.scopes.iter().cloned())),
        ("redirectURI", Value::from(values.redirect_uri())),
        ("redirectURIs", Value::from_iter(values.redirect_uris.iter().cloned())),
        ("usernameClaim", Value::from(values.username_claim)),
        ("caPEM", Value::from(values.ca_pem)),
        ("caFile", Value::from(values.ca_file.as_str())),
        ("provider", Value::from(values.provider)),
    ]);
    if target == Target::Secret {
        bound.insert("clientSecret", Value::from(values.client_secret));
        bound.insert("privateKey", Value::from(values.private_key));
        bound.insert("keyID", Value::from(values.key_id.as_str()));
        let generated = values.generated.iter();
        let generated: BTreeMap<String, Value> = generated
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .collect();
        bound.insert("generated", Value::from(generated));
    }
    Value::from(bound)
}
