//! Serves the stand-in for authentik until Ctrl-C, for the demo and for trying things by hand.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use oidc_operator_e2e::authentik::{
    ADMIN_TOKEN, Authentik, AuthentikOptions, RELEASE_VARIABLE, Release, USER, USER_PASSWORD,
};
use oidc_operator_e2e::pki::Ca;
use tokio::signal::unix::{SignalKind, signal};

/// Serves a stand-in for authentik until Ctrl-C. It keeps nothing.
#[derive(Debug, Parser)]
struct Args {
    /// Speak TLS, with a certificate of a new CA that is written to `ca.pem` in this folder.
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Port on 127.0.0.1; a free one unless set.
    #[arg(long)]
    port: Option<u16>,
    /// Which server it behaves like: 2026.2 or 2026.5.
    #[arg(long, env = RELEASE_VARIABLE, default_value = "2026.5")]
    release: Release,
    /// The administrator's API token.
    #[arg(long, default_value = ADMIN_TOKEN)]
    token: String,
    /// Flows and scope mappings appear after this many seconds, as after a first start.
    #[arg(long, value_name = "SECONDS")]
    blueprints_after: Option<u64>,
    /// Each answer of the API takes this many milliseconds longer.
    #[arg(long, value_name = "MILLISECONDS")]
    latency: Option<u64>,
    /// Leave `client_secret` out of answers to those without the right to see it.
    #[arg(long)]
    hide_secrets: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("authentik: {error:?}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    let ca = args.tls.as_ref().map(|_| Ca::new("authentik stand-in")).transpose()?;
    let server = Authentik::start(AuthentikOptions {
        release: Some(args.release),
        tls: ca.as_ref(),
        port: args.port,
        token: args.token,
        blueprints: args.blueprints_after.is_none(),
        hides_secrets: args.hide_secrets,
    })?;
    if let Some(time) = args.latency {
        server.latency("/api/", Duration::from_millis(time));
    }
    println!("stand-in for authentik {}", server.release().version());
    println!("address   {}", server.url());
    println!("token     {}", server.token());
    println!("user      {USER} / {USER_PASSWORD}");
    if let (Some(folder), Some(ca)) = (&args.tls, &ca) {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let file = folder.join("ca.pem");
        std::fs::write(&file, ca.pem()).with_context(|| file.display().to_string())?;
        println!("CA        {}", file.display());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let blueprints = async {
        if let Some(seconds) = args.blueprints_after {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            server.apply_blueprints();
            println!("flows and scope mappings are there");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = blueprints => {}
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
