//! What does not agree with the document.

use std::fmt;

/// Which half of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What was asked.
    Request,
    /// What was answered.
    Response,
}

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// The document has no such path, or not with this method.
    Operation,
    /// The document has no such parameter of the query.
    UnknownParameter,
    /// A parameter that must be there is not.
    MissingParameter,
    /// A parameter's value is not of its type.
    Parameter,
    /// The document has no such status for this operation.
    Status,
    /// A body of another type than the document has, a body where it has none, or none where it has one.
    ContentType,
    /// A field that the document does not have, or not in this direction.
    UnknownField,
    /// A field that must be there is not.
    MissingField,
    /// A value that may not be there.
    Value,
}

/// One thing that does not agree with the document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The document's name.
    pub document: String,
    /// Method and path as the document writes them, or as they were sent if it does not have them.
    pub operation: String,
    /// Which half of the exchange.
    pub part: Part,
    /// What was broken.
    pub rule: Rule,
    /// Where in a body, as a JSON pointer; the name of a parameter; else empty.
    pub at: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self.part {
            Part::Request => "request",
            Part::Response => "answer",
        };
        write!(f, "{}: {}: {part}", self.document, self.operation)?;
        if !self.at.is_empty() {
            write!(f, " at {}", self.at)?;
        }
        write!(f, ": {}", self.message)
    }
}
