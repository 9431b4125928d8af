//! `make e2e-authentik`: the driver contract suite, and the operator with a few OIDCClients, against an authentik of the user's
//! own. It asks for nothing that only the stand-in has, logs nobody in, and takes away all that it made.
//!
//! What it makes is marked with an owner id of this run, which also begins its client IDs: it never comes near anything else.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod contract;
mod own;
mod samples;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use oidc_operator_e2e::{
    authentik_api::{Api, Traces},
    http, random,
};
use tokio::signal::unix::{SignalKind, signal};

use self::own::Own;

/// Owner ids of all runs begin so.
const RUN: &str = "e2e-authentik-";
/// What an ownership mark begins with.
const MARK: &str = "oidc-operator.io/";

/// Runs the driver contract suite and a sample set against an authentik of your own, and cleans up.
#[derive(Debug, Parser)]
struct Args {
    /// Its address, as browsers use it: https://auth.example.com
    #[arg(long, env = "AUTHENTIK_URL")]
    url: Option<String>,
    /// An API token (intent api) of an account with the rights of docs/authentik.md.
    #[arg(long, env = "AUTHENTIK_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// A file with the CA of its certificate, as PEM; without it, the CAs of this machine.
    #[arg(long, env = "AUTHENTIK_CA", value_name = "FILE")]
    ca: Option<String>,
    /// Slug of the authorization flow.
    #[arg(
        long,
        env = "AUTHENTIK_AUTHORIZATION_FLOW",
        default_value = "default-provider-authorization-implicit-consent"
    )]
    authorization_flow: String,
    /// Slug of the invalidation flow.
    #[arg(
        long,
        env = "AUTHENTIK_INVALIDATION_FLOW",
        default_value = "default-provider-invalidation-flow"
    )]
    invalidation_flow: String,
    /// Name of the key pair that signs tokens.
    #[arg(
        long,
        env = "AUTHENTIK_SIGNING_KEY",
        default_value = "authentik Self-signed Certificate"
    )]
    signing_key: String,
    /// Take away what earlier runs left behind because they were killed, and do nothing else.
    #[arg(long)]
    clean: bool,
}

const USAGE: &str = "Against which authentik? Set these, in the environment or as arguments of make:
  AUTHENTIK_URL    its address, as browsers use it: https://auth.example.com
  AUTHENTIK_TOKEN  an API token (intent api) of an account with the rights of docs/authentik.md
  AUTHENTIK_CA     optional: a file with the CA of its certificate, as PEM";

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    http::choose_crypto();
    let own = match configured(&args) {
        Ok(Some(own)) => own,
        Ok(None) => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
        Err(error) => {
            eprintln!("FAILED: {error:?}");
            return ExitCode::FAILURE;
        }
    };
    let done = if args.clean { clean(&own).await } else { run(&own).await };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// `None`: it is not said which.
fn configured(args: &Args) -> Result<Option<Own>> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let (Some(url), Some(token)) = (given(&args.url), given(&args.token)) else {
        return Ok(None);
    };
    let read = |file: String| std::fs::read_to_string(&file).with_context(|| format!("AUTHENTIK_CA {file}"));
    Ok(Some(Own {
        url: url.trim().trim_end_matches('/').to_owned(),
        token: token.trim().to_owned(),
        ca: given(&args.ca).map(read).transpose()?,
        run: format!("{RUN}{}", random::tag()?),
        authorization_flow: args.authorization_flow.clone(),
        invalidation_flow: args.invalidation_flow.clone(),
        signing_key: args.signing_key.clone(),
    }))
}

/// Says what comes next.
fn say(what: &str) {
    println!("\n# {what}");
}

async fn run(own: &Own) -> Result<()> {
    let start = Instant::now();
    let api = own.api()?;
    println!("authentik  {}", own.url);
    println!(
        "this run   {}: client IDs begin with it, and {MARK}{}/ begins the marks",
        own.run, own.run
    );
    // A wrong address or token shows here, before anything is made.
    let earlier = api
        .traces(&format!("{MARK}{RUN}"), RUN)
        .await
        .context("the server is asked what there is")?;
    if earlier.count() > 0 {
        println!(
            "An earlier run was killed and left {} objects; unless it still runs, take them away: target/debug/own-authentik --clean",
            earlier.count()
        );
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = all(own, &api) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("it was interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("it was ended")),
    };
    let swept = sweep(own, &api, outcome.is_ok()).await;
    match (outcome, swept) {
        (Ok(()), Ok(())) => {
            println!("\nAll of it held, in {:.0} s.", start.elapsed().as_secs_f64());
            Ok(())
        }
        (Err(error), Err(left)) => Err(error.context(format!("and it could not clean up: {left:#}"))),
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
    }
}

async fn all(own: &Own, api: &Api) -> Result<()> {
    // Both are run whatever comes of the first: together they say more.
    let contract = contract::run(own).await;
    if let Err(error) = &contract {
        println!("{error:#}");
    }
    samples::run(own, api).await?;
    contract
}

/// Takes away what this run left; after a good end there must be nothing.
async fn sweep(own: &Own, api: &Api, good: bool) -> Result<()> {
    say("What is left of this run at the server");
    if !good {
        // A request that nobody waits for any more may still take effect.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mark = format!("{MARK}{}/", own.run);
    let found = api.traces(&mark, &own.run).await?;
    if found.count() == 0 {
        println!("nothing");
        return Ok(());
    }
    println!("{}", counted(&found));
    let mut left = found;
    for _ in 0..3 {
        api.remove(&left).await?;
        left = api.traces(&mark, &own.run).await?;
        if left.count() == 0 {
            println!("taken away");
            ensure!(!good, "something was left, although all went well");
            return Ok(());
        }
    }
    anyhow::bail!("still there: {left:?}")
}

fn counted(traces: &Traces) -> String {
    format!(
        "{} applications, {} OAuth2 providers, {} scope mappings",
        traces.applications.len(),
        traces.providers.len(),
        traces.mappings.len()
    )
}

/// Takes away what all earlier runs left.
async fn clean(own: &Own) -> Result<()> {
    let api = own.api()?;
    let left = api.traces(&format!("{MARK}{RUN}"), RUN).await?;
    println!("left by earlier runs: {}", counted(&left));
    api.remove(&left).await?;
    println!("taken away");
    Ok(())
}
