//! How long to wait: backoff by error class, and jitter, so that objects do not march in step.

use std::time::Duration;

use crate::domain::ErrorClass;

/// First and longest wait by class.
fn bounds(class: ErrorClass) -> (Duration, Duration) {
    match class {
        ErrorClass::Transient => (Duration::from_secs(1), Duration::from_secs(60)),
        ErrorClass::Throttled => (Duration::from_secs(5), Duration::from_secs(120)),
        ErrorClass::Auth => (Duration::from_secs(5), Duration::from_secs(300)),
        ErrorClass::User => (Duration::from_secs(30), Duration::from_secs(600)),
        ErrorClass::Bug => (Duration::from_secs(10), Duration::from_secs(600)),
    }
}

/// The wait before try number `attempt` + 1 (`attempt` counts from 0): doubled each time, capped, and spread by
/// `jitter` (0 to 1) over ±20 %.
pub fn backoff(class: ErrorClass, attempt: u32, jitter: f64) -> Duration {
    let (first, longest) = bounds(class);
    let wait = first.saturating_mul(2_u32.saturating_pow(attempt.min(16))).min(longest);
    spread(wait, 0.2, jitter)
}

/// A resync interval spread by `jitter` (0 to 1) over ±10 %.
pub fn resync(interval: Duration, jitter: f64) -> Duration {
    spread(interval, 0.1, jitter)
}

fn spread(wait: Duration, share: f64, jitter: f64) -> Duration {
    wait.mul_f64(1.0 - share + 2.0 * share * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_is_capped_and_spread() {
        assert_eq!(backoff(ErrorClass::Transient, 0, 0.5), Duration::from_secs(1));
        assert_eq!(backoff(ErrorClass::Transient, 3, 0.5), Duration::from_secs(8));
        assert_eq!(backoff(ErrorClass::Transient, 40, 0.5), Duration::from_secs(60));
        assert_eq!(backoff(ErrorClass::Transient, 40, 1.0), Duration::from_secs(72));
        assert_eq!(resync(Duration::from_secs(600), 0.0), Duration::from_secs(540));
        assert_eq!(resync(Duration::from_secs(600), 1.0), Duration::from_secs(660));
    }
}
