//! Checks HTTP exchanges against an OpenAPI 3.0 document: the operation, its parameters, the request's body, the answer's
//! status, content type and body. What a body must be is left to the `jsonschema` crate.
//!
//! ```text
//! blocks (parts of a long YAML text) -> document (paths, components) -> convert (OpenAPI's schemas as JSON Schema)
//!                                                                    -> check (exchange in, violations out)
//! ```
//!
//! Documents of 60,000 lines are the rule, and a test asks for a dozen operations of them: nothing is parsed or compiled
//! before an exchange needs it.

mod blocks;
mod check;
mod convert;
mod document;
mod violation;

pub use document::Document;
pub use violation::{Part, Rule, Violation};

use serde_json::Value;

/// A request and its answer.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// Without the query, decoded.
    pub path: &'a str,
    /// As it was sent, without the question mark.
    pub query: &'a str,
    /// The request's body.
    pub request: Content<'a>,
    /// The answer's status.
    pub status: u16,
    /// The answer's body.
    pub response: Content<'a>,
}

/// A body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Content<'a> {
    /// There is none.
    Nothing,
    /// `application/json`.
    Json(&'a Value),
    /// Anything else, by its content type.
    Other(&'a str),
}

impl Content<'_> {
    /// Its media type, without parameters.
    fn media_type(&self) -> Option<&str> {
        match self {
            Self::Nothing => None,
            Self::Json(_) => Some("application/json"),
            Self::Other(content_type) => content_type.split(';').next().map(str::trim),
        }
    }
}
