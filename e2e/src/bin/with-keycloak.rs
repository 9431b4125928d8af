//! Runs a command with one Keycloak for all of its processes: `with-keycloak cargo test ...`. It takes long to start, and each
//! test program is a process of its own.
//!
//! The command finds it through an environment variable (`Keycloak::borrowed`); Keycloak ends after the command, or with this
//! program however that ends.
//!
//! Whatever the command's processes and their programs told is searched then for each secret that was made meanwhile
//! (`oidc_operator_e2e::record`). The exit code is the command's; 1 if that was 0 and a secret was found.

#![allow(clippy::print_stderr, reason = "a program for a terminal")]

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use oidc_operator_e2e::keycloak::{Keycloak, KeycloakOptions, SHARED_VARIABLE};
use oidc_operator_e2e::record::{self, Record};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// How long what the command printed may be on its way once the command has ended.
const LAST_OUTPUT: Duration = Duration::from_secs(5);

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
    // Keycloak's own log belongs to it.
    let mut record = Record::begin()?;
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
    // What a person sees in a terminal is left as it is: colours, and shells.
    let output = |terminal: bool| if terminal { Stdio::inherit() } else { Stdio::piped() };
    let mut child = Command::new(program)
        .args(arguments)
        .env(SHARED_VARIABLE, keycloak.lend()?)
        .env(record::VARIABLE, record.folder())
        .stdout(output(std::io::stdout().is_terminal()))
        .stderr(output(std::io::stderr().is_terminal()))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let mut printing = JoinSet::new();
    if let Some(from) = child.stdout.take() {
        printing.spawn(pass_on(from, std::io::stdout(), record.output("stdout")?));
    }
    if let Some(from) = child.stderr.take() {
        printing.spawn(pass_on(from, std::io::stderr(), record.output("stderr")?));
    }
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // Ctrl-C reaches the command by itself.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => end(&child)?,
        }
    };
    // Who outlives the command and still holds its output is not waited for.
    let _ = tokio::time::timeout(LAST_OUTPUT, async { while printing.join_next().await.is_some() {} }).await;
    if !status.success() {
        keycloak.keep_logs();
    }
    drop(keycloak);
    let report = record.sweep().context("search for secrets")?;
    eprintln!("with-keycloak: {report}");
    if report.is_clean() {
        return Ok(code_of(status));
    }
    record.keep();
    Ok(if status.success() {
        ExitCode::FAILURE
    } else {
        code_of(status)
    })
}

/// Prints what the command prints, and keeps it.
async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl Write, mut kept: File) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        kept.write_all(&buffer[..length])?;
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
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
