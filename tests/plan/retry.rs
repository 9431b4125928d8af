//! How long to wait, by class.

use std::time::Duration;

use oidc_operator::{
    domain::{ErrorClass, IdpError, IdpErrorKind},
    plan::retry::{backoff, resync},
};

const CLASSES: [(ErrorClass, u64, u64); 5] = [
    (ErrorClass::Transient, 1, 60),
    (ErrorClass::Throttled, 5, 120),
    (ErrorClass::Auth, 5, 300),
    (ErrorClass::User, 30, 600),
    (ErrorClass::Bug, 10, 600),
];

#[test]
fn each_class_has_its_first_and_longest_wait() {
    for (class, first, longest) in CLASSES {
        assert_eq!(backoff(class, 0, 0.5), Duration::from_secs(first), "{class:?}");
        assert_eq!(backoff(class, 1, 0.5), Duration::from_secs(2 * first), "{class:?}");
        assert_eq!(backoff(class, u32::MAX, 0.5), Duration::from_secs(longest), "{class:?}");
    }
}

#[test]
fn waits_never_shrink_and_jitter_stays_in_bounds() {
    for (class, _, longest) in CLASSES {
        for attempt in 0..40 {
            assert!(
                backoff(class, attempt, 0.3) <= backoff(class, attempt + 1, 0.3),
                "{class:?} {attempt}"
            );
        }
        // A jitter out of bounds is no more than the bound.
        assert_eq!(backoff(class, 40, 7.0), Duration::from_secs(longest).mul_f64(1.2));
        assert_eq!(backoff(class, 40, -7.0), Duration::from_secs(longest).mul_f64(0.8));
    }
    let interval = Duration::from_secs(600);
    assert_eq!(resync(interval, 0.5), interval);
    assert_eq!(
        (resync(interval, -1.0), resync(interval, 2.0)),
        (Duration::from_secs(540), Duration::from_secs(660))
    );
}

#[test]
fn every_kind_of_failure_has_a_class() {
    use IdpErrorKind as Kind;
    for (kind, class, definite) in [
        (Kind::Unreachable, ErrorClass::Transient, false),
        (Kind::Timeout, ErrorClass::Transient, false),
        (Kind::Server, ErrorClass::Transient, false),
        (Kind::Throttled, ErrorClass::Throttled, false),
        (Kind::Protocol, ErrorClass::Bug, false),
        (Kind::Tls, ErrorClass::Auth, false),
        (Kind::Unauthorized, ErrorClass::Auth, true),
        (Kind::Forbidden, ErrorClass::Auth, true),
        (Kind::Taken, ErrorClass::User, true),
        (Kind::Refused, ErrorClass::User, true),
        (Kind::Unsupported, ErrorClass::User, true),
    ] {
        let error = IdpError::new(kind, "x", "y");
        assert_eq!((error.class(), error.is_definite()), (class, definite), "{kind:?}");
    }
}
