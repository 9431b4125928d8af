//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::verify::report::Output;

/// Provisions OIDC clients in identity providers from Kubernetes resources.
#[derive(Debug, Parser)]
#[command(name = "oidc-operator", version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator.
    Run(Box<RunArgs>),
    /// Write the CRDs, generated from the types.
    Crds(CrdsArgs),
    /// Write docs/backends.md: what each backend can do.
    #[command(hide = true)]
    Comparison(ComparisonArgs),
    /// Check an OIDCClient from where this runs, the whole way to a login that begins. Changes nothing.
    Verify(VerifyArgs),
}

/// How the operator runs.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Names this installation in the marks it leaves at identity providers; keep it when a cluster is rebuilt.
    /// Default: the uid of namespace kube-system.
    #[arg(long, env = "OIDC_OPERATOR_OWNER_ID")]
    pub owner_id: Option<String>,

    /// How long a deletion waits for an unreachable provider before the object is let go.
    #[arg(long, env = "OIDC_OPERATOR_DELETION_TIMEOUT", default_value = "10m", value_parser = parse_duration)]
    pub deletion_timeout: Duration,

    /// The operator's own namespace, where it keeps what clients are managed with that a server registered. Default: that of its
    /// ServiceAccount, or of the kubeconfig's context.
    #[arg(long, env = "OIDC_OPERATOR_NAMESPACE")]
    pub namespace: Option<String>,

    /// Passes over the OIDCClients of one provider under way at once.
    #[arg(long, env = "OIDC_OPERATOR_CONCURRENCY", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,

    /// Restart the workloads that OIDCClients name (rolloutRestart) and that consent. The operator needs rights for that:
    /// config/rollout-restart.
    #[arg(long, env = "OIDC_OPERATOR_ENABLE_ROLLOUT_RESTART")]
    pub enable_rollout_restart: bool,

    /// Where /healthz, /readyz and /metrics listen.
    #[arg(long, env = "OIDC_OPERATOR_HEALTH_ADDR", default_value = "0.0.0.0:8080")]
    pub health_addr: SocketAddr,

    /// Form of the log.
    #[arg(long, env = "OIDC_OPERATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// What is logged, as in tracing's EnvFilter.
    #[arg(long, env = "OIDC_OPERATOR_LOG", default_value = "info")]
    pub log: String,
}

/// Forms of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

/// Where the CRDs go.
#[derive(Clone, Debug, Args)]
pub struct CrdsArgs {
    /// The folder; standard output unless set.
    #[arg(long)]
    pub output: Option<PathBuf>,
}

/// Where the comparison goes.
#[derive(Clone, Debug, Args)]
pub struct ComparisonArgs {
    /// The file; standard output unless set.
    #[arg(long)]
    pub output: Option<PathBuf>,
}

/// Which OIDCClient is checked, and how.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Name of the OIDCClient.
    pub name: String,

    /// Its namespace. Default: that of the kubeconfig's context.
    #[arg(short, long)]
    pub namespace: Option<String>,

    /// The kubeconfig. Default: KUBECONFIG, ~/.kube/config, or the ServiceAccount of the Pod.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,

    /// The context of the kubeconfig. Default: its current one.
    #[arg(long)]
    pub context: Option<String>,

    /// How long each request to the issuer may take.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Form of the report.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// Durations as everywhere in this project: `90s`, `10m`, `1h30m`.
///
/// # Errors
/// When `text` is not such a duration.
pub fn parse_duration(text: &str) -> Result<Duration> {
    crate::domain::duration::parse(text)
        .with_context(|| format!("{text:?} is not a duration such as 90s, 10m or 1h30m"))
}
