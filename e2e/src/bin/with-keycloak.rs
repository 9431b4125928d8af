//! Runs a command with one Keycloak for all of its processes: `with-keycloak cargo test ...`. It takes long to start, and each
//! test program is a process of its own.
//!
//! The command finds it through an environment variable (`Keycloak::borrowed`); Keycloak ends after the command, or with this
//! program however that ends. The exit code is the command's.

#![allow(clippy::print_stderr, reason = "a program for a terminal")]

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use oidc_operator_e2e::keycloak::{Keycloak, KeycloakOptions, SHARED_VARIABLE};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// Runs a command with one Keycloak for all of its processes.
#[derive(Debug, Parser)]
struct Args {
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("with-keycloak: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: &[OsString]) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command")?;
    let start = Instant::now();
    let mut keycloak = Keycloak::start(KeycloakOptions {
        name: "run-keycloak".to_owned(),
        lasting: true,
        ..KeycloakOptions::default()
    })
    .await?;
    eprintln!(
        "with-keycloak: {:?} {} serves after {:.1} s",
        keycloak.version(),
        keycloak.base_url(),
        start.elapsed().as_secs_f64()
    );
    // Before the command runs: from now on a signal is handed on instead of ending us.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut child = Command::new(program)
        .args(arguments)
        .env(SHARED_VARIABLE, keycloak.lend()?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // Ctrl-C reaches the command by itself.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => end(&child)?,
        }
    };
    if !status.success() {
        keycloak.keep_logs();
    }
    Ok(code_of(status))
}

fn end(child: &Child) -> Result<()> {
    let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    match pid.map(|pid| kill_process(pid, Signal::TERM)) {
        Some(Err(error)) if error != rustix::io::Errno::SRCH => Err(error).context("cannot end the command"),
        _ => Ok(()),
    }
}

/// As a shell tells it: 128 + n after signal n.
fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}
