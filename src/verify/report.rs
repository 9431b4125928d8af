//! The report: for people, or for programs.

use anyhow::Result;
use clap::ValueEnum;

use super::checks::Check;

/// Forms of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line for each check, and one more for what to do.
    Text,
    /// A JSON array of the checks.
    Json,
}

/// For people.
pub fn text(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Check {
        name,
        outcome,
        message,
        hint,
    } in checks
    {
        text += &format!("{:<8} {name:<width$}  {message}\n", outcome.as_str());
        if let Some(hint) = hint {
            text += &format!("{:<8} {:<width$}  -> {hint}\n", "", "");
        }
    }
    text
}

/// For programs.
///
/// # Errors
/// Never in practice: the checks are plain text.
pub fn json(checks: &[Check]) -> Result<String> {
    Ok(serde_json::to_string_pretty(checks)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::checks::Outcome;

    #[test]
    fn a_line_for_each_check_and_one_for_what_to_do() {
        let checks = [
            Check::ok("dns", "sso.example.com is 192.0.2.1"),
            Check {
                name: "discovery",
                outcome: Outcome::Failed,
                message: "it is not there".to_owned(),
                hint: Some("put it there".to_owned()),
            },
        ];
        assert_eq!(
            text(&checks),
            "OK       dns        sso.example.com is 192.0.2.1\n\
             FAILED   discovery  it is not there\n\
             \x20                   -> put it there\n"
        );
        let parsed: serde_json::Value = serde_json::from_str(&json(&checks).unwrap()).unwrap();
        assert_eq!(parsed[0]["outcome"], "OK");
        assert_eq!(parsed[1]["hint"], "put it there");
        assert!(parsed[0].get("hint").is_none());
    }
}
