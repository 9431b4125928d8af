//! When a client secret is rotated by the clock: after its interval, in a window where there is one. Pure: the time zones are
//! those that come with the program.

use std::time::Duration;

use jiff::{
    SignedDuration, Timestamp, ToSpan as _,
    civil::Time,
    tz::{TimeZone, TimeZoneDatabase},
};

use super::verdict::Finding;
use crate::{
    api::{
        Reason,
        client::{Rotation, RotationWindow},
    },
    domain::{digest, duration},
};

/// The share of the interval over which rotations are spread, so that clients made together do not rotate together.
const SPREAD: f64 = 0.1;

/// The share of a window over which rotations begin: each has time to end in it.
const OF_WINDOW: f64 = 0.8;

/// A rotation by the clock.
#[derive(Clone, Debug)]
pub struct Schedule {
    interval: SignedDuration,
    window: Option<Window>,
    /// 0 to 1, always the same for one client.
    share: f64,
}

/// A part of each day.
#[derive(Clone, Debug)]
struct Window {
    start: Time,
    length: SignedDuration,
    zone: TimeZone,
}

impl Schedule {
    /// The schedule of the client of this uid.
    ///
    /// # Errors
    /// A finding for `Accepted`: the time zone is not known.
    pub fn new(spec: &Rotation, uid: &str) -> Result<Self, Finding> {
        Ok(Self {
            interval: length(&spec.interval).unwrap_or(SignedDuration::MAX),
            window: spec.window.as_ref().map(Window::new).transpose()?,
            share: share(uid),
        })
    }

    /// When a secret that was made at `made` is rotated: up to a tenth of the interval before it ends, moved into the window.
    pub fn due(&self, made: Timestamp) -> Timestamp {
        let early = SignedDuration::try_from(self.interval.unsigned_abs().mul_f64(SPREAD * self.share));
        let interval = self.interval.saturating_sub(early.unwrap_or_default());
        let by_interval = made.checked_add(interval).unwrap_or(Timestamp::MAX);
        match &self.window {
            Some(window) => window.first_from(by_interval, self.share),
            None => by_interval,
        }
    }
}

/// When a secret that was made at `made`, and that the provider lets expire at `end`, is rotated: at least the overlap and a tenth of
/// its life before that, but never in the first half of its life, so that no setting makes rotations follow each other.
pub fn before(made: Timestamp, end: Timestamp, overlap: Option<SignedDuration>, uid: &str) -> Timestamp {
    let life = end.duration_since(made).max(SignedDuration::ZERO);
    let tenths = SignedDuration::try_from(life.unsigned_abs().mul_f64(SPREAD * (1.0 + share(uid))));
    let early = tenths.unwrap_or_default().max(overlap.unwrap_or_default());
    let half = made.checked_add(life / 2).unwrap_or(end);
    end.checked_sub(early).unwrap_or(half).max(half)
}

/// A duration of the spec.
pub fn length(text: &str) -> Option<SignedDuration> {
    duration::parse(text).and_then(|length: Duration| SignedDuration::try_from(length).ok())
}

fn share(uid: &str) -> f64 {
    let hex = digest::sha256_hex(uid.as_bytes());
    let number = u32::from_str_radix(hex.get(..8).unwrap_or_default(), 16).unwrap_or_default();
    f64::from(number) / f64::from(u32::MAX)
}

impl Window {
    fn new(spec: &RotationWindow) -> Result<Self, Finding> {
        let name = spec.time_zone.as_deref().unwrap_or("UTC");
        let zone = TimeZoneDatabase::bundled().get(name).map_err(|_| {
            Finding::no(
                Reason::InvalidSchedule,
                format!(
                    "spec.credentials.rotation.window.timeZone: there is no time zone {name:?}. Use a name of the IANA time zone database, for example Europe/Berlin"
                ),
            )
        })?;
        let start = Time::strptime("%H:%M", &spec.start).map_err(|_| {
            Finding::no(
                Reason::InvalidSchedule,
                "spec.credentials.rotation.window.start: must be a time of day, for example 02:00",
            )
        })?;
        Ok(Self {
            start,
            length: length(&spec.duration).unwrap_or_default(),
            zone,
        })
    }

    /// The first moment from `from` on that is in the window: `from` itself, or `share` of the way into the next one.
    fn first_from(&self, from: Timestamp, share: f64) -> Timestamp {
        let today = from.to_zoned(self.zone.clone()).date();
        let days = (-1..=2).filter_map(|day| today.checked_add(day.days()).ok());
        // A time of day that a change of the clock skips is taken as the moment after the gap.
        let opens = days.filter_map(|day| day.to_datetime(self.start).to_zoned(self.zone.clone()).ok());
        for open in opens.map(|open| open.timestamp()) {
            let close = open.checked_add(self.length).unwrap_or(Timestamp::MAX);
            if from >= open && from < close {
                return from;
            }
            if from < open {
                let into = SignedDuration::try_from(self.length.unsigned_abs().mul_f64(OF_WINDOW * share));
                return open.checked_add(into.unwrap_or_default()).unwrap_or(open);
            }
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    fn schedule(rotation: serde_json::Value) -> Schedule {
        let spec = serde_json::from_value(rotation).expect("rotation");
        Schedule::new(&spec, "uid").expect("a schedule")
    }

    fn windowed(zone: &str, share: f64) -> Schedule {
        let window = serde_json::json!({ "start": "02:00", "duration": "3h", "timeZone": zone });
        let mut schedule = schedule(serde_json::json!({ "interval": "720h", "window": window }));
        schedule.share = share;
        schedule
    }

    #[test]
    fn an_interval_ends_early_by_up_to_a_tenth() {
        let mut schedule = schedule(serde_json::json!({ "interval": "100h" }));
        assert!((0.0..=1.0).contains(&schedule.share));
        let made = at("2026-01-01T00:00:00Z");
        for (share, due) in [(0.0, "2026-01-05T04:00:00Z"), (1.0, "2026-01-04T18:00:00Z")] {
            schedule.share = share;
            assert_eq!(schedule.due(made), at(due), "{share}");
        }
    }

    #[test]
    fn a_rotation_waits_for_its_window() {
        let made = at("2026-01-01T12:00:00Z"); // the interval ends on the 31st at 12:00 UTC
        assert_eq!(windowed("Europe/Berlin", 0.0).due(made), at("2026-02-01T01:00:00Z"));
        let late = windowed("Europe/Berlin", 1.0).due(at("2026-01-04T12:00:00Z"));
        assert_eq!(
            late,
            at("2026-02-01T03:24:00Z"),
            "80 % of three hours after 02:00 in Berlin"
        );
        // In the window already: as it is.
        let inside = windowed("Asia/Tokyo", 0.0).due(at("2026-01-01T18:30:00Z"));
        assert_eq!(inside, at("2026-01-31T18:30:00Z"), "03:30 in Tokyo");
    }

    #[test]
    fn a_window_that_a_change_of_the_clock_skips_is_not_lost() {
        // In Berlin there is no 02:00 on 29 March 2026, and two of 25 October.
        let spring = windowed("Europe/Berlin", 0.0).due(at("2026-02-27T00:30:00Z"));
        assert_eq!(spring, at("2026-03-29T01:00:00Z"));
        let autumn = windowed("Europe/Berlin", 0.0).due(at("2026-09-24T23:00:00Z"));
        assert_eq!(autumn, at("2026-10-25T00:00:00Z"));
    }

    #[test]
    fn a_window_over_midnight_counts_from_the_day_before() {
        let window = serde_json::json!({ "start": "23:00", "duration": "4h" });
        let mut schedule = schedule(serde_json::json!({ "interval": "24h", "window": window }));
        schedule.share = 0.0;
        assert_eq!(schedule.due(at("2026-01-01T01:00:00Z")), at("2026-01-02T01:00:00Z"));
        assert_eq!(schedule.due(at("2026-01-01T04:00:00Z")), at("2026-01-02T23:00:00Z"));
    }

    #[test]
    fn what_the_provider_lets_expire_is_rotated_before() {
        let (made, end) = (at("2026-01-01T00:00:00Z"), at("2026-01-11T00:00:00Z"));
        let due = |hours| before(made, end, Some(SignedDuration::from_hours(hours)), "uid");
        let spread = due(0);
        assert!(
            (at("2026-01-09T00:00:00Z")..=at("2026-01-10T00:00:00Z")).contains(&spread),
            "{spread}"
        );
        assert_eq!(before(made, end, None, "uid"), spread);
        assert_eq!(due(72), at("2026-01-08T00:00:00Z"), "the overlap before its end");
        assert_eq!(due(1000), at("2026-01-06T00:00:00Z"), "not in the first half");
        assert_eq!(before(end, made, None, "uid"), end, "an end before its beginning");
    }

    #[test]
    fn an_unknown_time_zone_is_named() {
        let window = serde_json::json!({ "start": "02:00", "duration": "3h", "timeZone": "Mars/Olympus" });
        let spec =
            serde_json::from_value(serde_json::json!({ "interval": "24h", "window": window })).expect("rotation");
        let finding = Schedule::new(&spec, "uid").expect_err("no such zone");
        assert!(finding.message.contains("Mars/Olympus"), "{}", finding.message);
    }
}
