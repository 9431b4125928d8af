//! Waiting on conditions, always with a bound: no test sleeps for a fixed time.

use std::fmt::Display;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use tokio::time::{Instant, sleep_until, timeout_at};

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Calls `probe` until it succeeds, with pauses of 10 to 250 ms, and gives what it found.
///
/// # Errors
/// `bound` has passed: the text names `what` was waited for and the last error of `probe`.
pub async fn eventually<T>(
    what: impl Display,
    bound: Duration,
    mut probe: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let start = Instant::now();
    let deadline = start + bound;
    let mut pause = FIRST_PAUSE;
    let mut last = anyhow!("no answer to the first try");
    loop {
        match timeout_at(deadline, probe()).await {
            Ok(Ok(value)) => {
                tracing::debug!(%what, seconds = start.elapsed().as_secs_f64(), "is so");
                return Ok(value);
            }
            Ok(Err(error)) => last = error,
            // The try itself hangs: what was seen before is still the best hint.
            Err(_elapsed) => {}
        }
        let next = Instant::now() + pause;
        if next >= deadline {
            bail!("waited {bound:?} for: {what}\nlast seen: {last:#}");
        }
        sleep_until(next).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// Calls `probe` again and again for the whole `window`: what holds now must go on to hold.
///
/// # Errors
/// The first error of `probe`, with how long it had held until then.
pub async fn steadily(what: impl Display, window: Duration, mut probe: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < window {
        if let Err(error) = probe().await {
            bail!(
                "after {:?} this did not hold any more: {what}\n{error:#}",
                start.elapsed()
            );
        }
        sleep_until((Instant::now() + LONGEST_PAUSE).min(start + window)).await;
    }
    Ok(())
}
