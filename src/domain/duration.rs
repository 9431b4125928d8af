//! Durations in specs: `^([0-9]{1,5}(h|m|s|ms)){1,4}$`, a subset of Go's form that every Kubernetes user knows.

use std::time::Duration;

/// Reads a duration; `None` where `text` is not one.
pub fn parse(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        if !(1..=5).contains(&digits) {
            return None;
        }
        let value: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += match &rest[..unit] {
            "h" => Duration::from_secs(value * 3600),
            "m" => Duration::from_secs(value * 60),
            "s" => Duration::from_secs(value),
            "ms" => Duration::from_millis(value),
            _ => return None,
        };
        rest = &rest[unit..];
        parts += 1;
    }
    (1..=4).contains(&parts).then_some(total)
}

/// Prints a duration for people: `10m`, `1h30m`, `45s`.
pub fn print(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    for (value, unit) in [(hours, 'h'), (minutes, 'm'), (seconds, 's')] {
        if value > 0 {
            text.push_str(&format!("{value}{unit}"));
        }
    }
    if text.is_empty() {
        format!("{}ms", duration.as_millis())
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_crd_lets_through() {
        assert_eq!(parse("10m"), Some(Duration::from_secs(600)));
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("1s500ms"), Some(Duration::from_millis(1500)));
        for text in ["", "10", "m", "123456s", "1d", "1h1m1s1ms1h", "-1s", "1.5s"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(print(Duration::from_secs(5400)), "1h30m");
        assert_eq!(print(Duration::from_millis(250)), "250ms");
    }
}
