//! What the operator logs when it runs in the process of a test.

use std::sync::Once;

use tracing_subscriber::EnvFilter;

/// Writes this process's log, all that the operator can say, into the record of the run. Nothing without a record; once is enough.
///
/// # Panics
/// It cannot be written, or something else has set up logging: then the sweep would not see it.
#[expect(clippy::unwrap_used, reason = "a panic is how a Rust test fails")]
pub fn keep_own_logs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Some(record) = super::current() else { return };
        let file = std::sync::Mutex::new(record.own_file("operator").unwrap());
        let logs = tracing_subscriber::fmt().json().with_writer(file);
        let logs = logs.with_env_filter(EnvFilter::new("oidc_operator=trace"));
        logs.try_init().unwrap();
    });
}
