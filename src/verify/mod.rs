//! `oidc-operator verify`: does an OIDCClient work, seen from where this runs? From a kubeconfig to a login that begins.
//!
//! ```text
//! gather (IO) -> Evidence -> checks (pure) -> report
//! ```
//!
//! It reads what the application reads, the OIDCClient with its Secret and ConfigMap, and asks the issuer as the application does,
//! with the delivered CA and nothing else. It changes nothing, neither in Kubernetes nor at the provider, and never prints a secret.

pub mod authorization;
pub mod checks;
pub mod evidence;
mod gather;
pub mod report;
mod route;

use std::io::Write as _;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

use crate::{cli::VerifyArgs, domain::ResourceName, kubernetes::client};

/// Runs all checks and writes the report to standard output; `true`: nothing failed.
///
/// # Errors
/// When there is no way to reach Kubernetes, or standard output is closed.
pub fn run(args: &VerifyArgs) -> Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let evidence = runtime.block_on(async {
        let (kube, namespace) = client::connect_as(args.kubeconfig.as_deref(), args.context.as_deref()).await?;
        let namespace = args.namespace.as_deref().unwrap_or(&namespace);
        let name = ResourceName::new(namespace, &args.name);
        anyhow::Ok(gather::evidence(&kube, &name, args.timeout).await)
    })?;
    // A name lookup that hangs is a thread that nobody waits for.
    runtime.shutdown_background();
    let checks = checks::all(&evidence, Timestamp::now());
    let text = match args.output {
        report::Output::Text => report::text(&checks),
        report::Output::Json => report::json(&checks)?,
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(checks.iter().all(|check| check.outcome != checks::Outcome::Failed))
}
