//! One line of the report.

use serde::Serialize;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It does not.
    Failed,
    /// Nothing to check here, or something before it failed.
    Skipped,
    /// It cannot be told from here.
    Unknown,
}

impl Outcome {
    /// As in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    #[serde(rename = "check")]
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// It holds.
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, message)
    }

    pub(super) fn failed(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Failed, message)
    }

    pub(super) fn skipped(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, message)
    }

    pub(super) fn unknown(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Unknown, message)
    }

    fn new(name: &'static str, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A check that cannot be made, because an earlier one failed.
pub(super) fn after(name: &'static str, before: &[Check]) -> Check {
    let failed = before.iter().find(|check| check.outcome == Outcome::Failed);
    Check::skipped(
        name,
        failed.map_or_else(|| "not reached".to_owned(), |check| format!("{} failed", check.name)),
    )
}
