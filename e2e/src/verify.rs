//! `oidc-operator verify`, the built program, as a person at a terminal runs it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use crate::{record, tools};

/// Far more than all of its deadlines together take.
const BOUND: Duration = Duration::from_secs(120);

/// One check of the report.
#[derive(Debug, Clone, Deserialize)]
pub struct Check {
    /// Its name.
    pub check: String,
    /// OK, FAILED, SKIPPED or UNKNOWN.
    pub outcome: String,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(default)]
    pub hint: String,
}

/// What it said.
#[derive(Debug, Clone)]
pub struct Report {
    /// Did it end with exit code 0?
    pub success: bool,
    /// The checks.
    pub checks: Vec<Check>,
    /// All of its output.
    pub text: String,
}

impl Report {
    /// The names of the checks that ended so.
    pub fn with(&self, outcome: &str) -> Vec<&str> {
        let found = self.checks.iter().filter(|check| check.outcome == outcome);
        found.map(|check| check.check.as_str()).collect()
    }

    /// The check of that name.
    ///
    /// # Errors
    /// It was not made.
    pub fn check(&self, name: &str) -> Result<&Check> {
        let found = self.checks.iter().find(|check| check.check == name);
        found.with_context(|| format!("no check {name}: {self:#?}"))
    }

    /// It failed in `name` and nothing else; its message and hint hold `words`.
    ///
    /// # Errors
    /// Not so.
    pub fn fails_in(&self, name: &str, words: &[&str]) -> Result<()> {
        ensure!(!self.success, "it ended well: {self:#?}");
        ensure!(self.with("FAILED") == [name], "not only {name} failed: {self:#?}");
        let check = self.check(name)?;
        let said = format!("{}\n{}", check.message, check.hint);
        let missing: Vec<_> = words.iter().filter(|word| !said.contains(**word)).collect();
        ensure!(missing.is_empty(), "{missing:?} is not in {said:?}");
        Ok(())
    }
}

/// Runs it with JSON as output. Each request has 20 s: the first login page of a busy Keycloak takes some of them.
///
/// # Errors
/// It cannot be run, takes too long, or says something else than a report.
pub async fn verify(kubeconfig: &Path, namespace: &str, name: &str) -> Result<Report> {
    verify_within(kubeconfig, namespace, name, "20s").await
}

/// The same with another `--timeout`.
///
/// # Errors
/// As [`verify`].
pub async fn verify_within(kubeconfig: &Path, namespace: &str, name: &str, timeout: &str) -> Result<Report> {
    let args = ["-n", namespace, name, "--output", "json", "--timeout", timeout];
    let (success, text) = run(kubeconfig, &args).await?;
    let checks = serde_json::from_str(&text).with_context(|| format!("not a report: {text}"))?;
    Ok(Report { success, checks, text })
}

/// Runs it with arguments of one's own; whether it ended well, and what it said on both of its outputs.
///
/// # Errors
/// It cannot be run, or takes too long.
pub async fn run(kubeconfig: &Path, args: &[&str]) -> Result<(bool, String)> {
    let mut command = Command::new(tools::operator()?);
    command.arg("verify").arg("--kubeconfig").arg(kubeconfig).args(args);
    // Everything is on loopback.
    for proxy in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env_remove(proxy);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(BOUND, command.output())
        .await
        .context("verify took too long")??;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    record::told("verify", &text)?;
    Ok((output.status.success(), text))
}
