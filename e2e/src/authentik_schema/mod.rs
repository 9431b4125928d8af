//! What authentik's own OpenAPI documents demand, for each release that is supported, and where its servers differ from them.
//!
//! The stand-in ([`crate::authentik`]) is held to them by its answers, the operator by its requests.

mod changes;
mod differences;
mod seen;

use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, anyhow};

pub use changes::CHANGES;
pub use differences::DIFFERENCES;

use crate::authentik;
use crate::openapi::{Document, Exchange, Violation};
use crate::tools;
use seen::{Seen, Shape, Text};

/// A release of authentik whose document is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 2025.8
    R2025_8,
    /// 2025.12
    R2025_12,
    /// 2026.2
    R2026_2,
    /// 2026.5
    R2026_5,
    /// 2026.8
    R2026_8,
}

impl From<authentik::Release> for Release {
    fn from(release: authentik::Release) -> Self {
        match release {
            authentik::Release::R2026_2 => Self::R2026_2,
            authentik::Release::R2026_5 => Self::R2026_5,
        }
    }
}

impl Release {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [
        Self::R2025_8,
        Self::R2025_12,
        Self::R2026_2,
        Self::R2026_5,
        Self::R2026_8,
    ];

    /// As the tool's files are called.
    pub fn name(self) -> &'static str {
        match self {
            Self::R2025_8 => "2025.8",
            Self::R2025_12 => "2025.12",
            Self::R2026_2 => "2026.2",
            Self::R2026_5 => "2026.5",
            Self::R2026_8 => "2026.8",
        }
    }

    /// Its document, read once per process.
    ///
    /// # Errors
    /// It was not fetched; the text says how.
    pub fn document(self) -> Result<&'static Document> {
        static DOCUMENTS: [OnceLock<Result<Document, String>>; 5] = [const { OnceLock::new() }; 5];
        let read = || {
            let path = tools::tool("authentik-schema")?.join(format!("{}.yml", self.name()));
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            Document::new(&format!("authentik {}", self.name()), text)
        };
        let document = DOCUMENTS[self as usize].get_or_init(|| read().map_err(|error| format!("{error:#}")));
        document.as_ref().map_err(|error| anyhow!("{error}"))
    }
}

/// Something that a document forbids, and what may explain it.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// Whose document it is.
    pub document: Release,
    /// The release that answered. It is the document's for a request, which is the same to all.
    pub server: Release,
    /// What was asked and answered.
    pub exchange: &'a Exchange<'a>,
    /// What the document forbids.
    pub violation: &'a Violation,
}

impl Case<'_> {
    /// The name of the entry of [`DIFFERENCES`] or [`CHANGES`] that explains it.
    fn explanation(&self) -> Option<&'static str> {
        let difference = DIFFERENCES.iter().find(|one| (one.explains)(self)).map(|one| one.name);
        difference.or_else(|| CHANGES.iter().find(|one| one.explains(self)).map(|one| one.field))
    }
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// What nothing explains.
    pub unexplained: Vec<Violation>,
    /// The names of the entries that explained the rest.
    pub explained: BTreeSet<&'static str>,
}

/// A request against the document of a release. What is outside of the API is in no document.
///
/// # Errors
/// The document is missing or broken.
pub fn check_request(document: Release, exchange: &Exchange<'_>) -> Result<Checked> {
    if !is_api(exchange) {
        return Ok(Checked::default());
    }
    let violations = document.document()?.check_request(exchange)?;
    Ok(sorted(document, document, exchange, violations))
}

/// An answer of a `server` of some release against the document of this or another one. What is outside of the API is in no
/// document.
///
/// # Errors
/// The document is missing or broken.
pub fn check_answer(document: Release, server: Release, exchange: &Exchange<'_>) -> Result<Checked> {
    if !is_api(exchange) {
        return Ok(Checked::default());
    }
    let violations = document.document()?.check_response(exchange)?;
    Ok(sorted(document, server, exchange, violations))
}

fn is_api(exchange: &Exchange<'_>) -> bool {
    exchange.path.starts_with("/api/v3/")
}

fn sorted(document: Release, server: Release, exchange: &Exchange<'_>, violations: Vec<Violation>) -> Checked {
    let mut checked = Checked::default();
    for violation in violations {
        let case = Case {
            document,
            server,
            exchange,
            violation: &violation,
        };
        match case.explanation() {
            Some(name) => {
                checked.explained.insert(name);
            }
            None => checked.unexplained.push(violation),
        }
    }
    checked
}

/// What was found in the exchanges of one server. A test ends with the assertion that [`Self::all`] is empty.
#[derive(Debug, Default)]
pub struct Findings {
    found: Mutex<BTreeSet<String>>,
    seen: Seen,
}

impl Findings {
    /// Checks an answer of a server that plays this release against all documents. Not for answers that a fault made up.
    pub fn answer(&self, plays: Release, exchange: &Exchange<'_>) {
        let request = (exchange.method, Text(exchange.path), Shape(exchange.request));
        let answer = (plays.name(), exchange.status, Shape(exchange.response));
        if !is_api(exchange) || !self.seen.is_new(&(request, answer)) {
            return;
        }
        for document in Release::ALL {
            self.add(check_answer(document, plays, exchange));
        }
    }

    /// Checks a request of the operator, which must suit all releases.
    pub fn request(&self, exchange: &Exchange<'_>) {
        let place = (exchange.method, Text(exchange.path), Text(exchange.query));
        if !is_api(exchange) || !self.seen.is_new(&(place, Shape(exchange.request))) {
            return;
        }
        for document in Release::ALL {
            self.add(check_request(document, exchange));
        }
    }

    /// What nothing explains, one sentence each, each once.
    pub fn all(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn add(&self, checked: Result<Checked>) {
        match checked {
            Ok(checked) => self.lock().extend(checked.unexplained.iter().map(ToString::to_string)),
            Err(error) => {
                self.lock().insert(format!("{error:#}"));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
