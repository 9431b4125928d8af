//! Logs, to standard error: one JSON object a line, or text for people.

use anyhow::{Context as _, Result, anyhow};
use tracing_subscriber::{EnvFilter, fmt};

use crate::cli::LogFormat;

/// Sets up logging for the whole process.
///
/// # Errors
/// When `filter` is not a filter, or logging was set up before.
pub fn init(format: LogFormat, filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter)
        .with_context(|| format!("--log {filter:?} is not a filter such as info or oidc_operator=debug"))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
        LogFormat::Human => builder.try_init(),
    }
    .map_err(|error| anyhow!("logging cannot be set up: {error}"))
}
