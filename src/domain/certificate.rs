//! Certificates that a provider depends on, and when their end is near.

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum CertificateUse {
    /// The CA certificates of the issuer: the first of them to expire.
    IssuerCertificateAuthority,
    /// The certificate that the issuer shows where the operator reads its discovery document.
    Issuer,
    /// The CA certificates of the admin API: the first of them to expire.
    AdminCertificateAuthority,
    /// The certificate that the admin API shows.
    AdminAPI,
}

impl CertificateUse {
    /// As in status, and as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IssuerCertificateAuthority => "IssuerCertificateAuthority",
            Self::Issuer => "Issuer",
            Self::AdminCertificateAuthority => "AdminCertificateAuthority",
            Self::AdminAPI => "AdminAPI",
        }
    }
}

/// Who a certificate is for, and when it holds (RFC 5280, section 4.1.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validity {
    /// Its subject, bounded; empty where only alternative names are given.
    pub subject: String,
    /// The first moment.
    pub not_before: Timestamp,
    /// The last moment.
    pub not_after: Timestamp,
}

/// How long before its end a certificate is worth a warning.
const NEAR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The part of its life that is worth one, if that is less: who renews every day is not warned all day.
const NEAR_PART: i32 = 5;

impl Validity {
    /// From when on its end is near: 30 days before it, or the last fifth of its life, whichever is less.
    pub fn near_from(&self) -> Timestamp {
        let part = self.not_after.duration_since(self.not_before) / NEAR_PART;
        // Only the ends of time are out of range.
        self.not_after.checked_sub(NEAR.min(part)).unwrap_or(self.not_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_near_by_the_month_or_by_the_fifth() {
        let near_from = |not_before: &str, not_after: &str| {
            let validity = Validity {
                subject: String::new(),
                not_before: not_before.parse().unwrap(),
                not_after: not_after.parse().unwrap(),
            };
            validity.near_from().to_string()
        };
        assert_eq!(
            near_from("2025-01-01T00:00:00Z", "2035-01-31T00:00:00Z"),
            "2035-01-01T00:00:00Z"
        );
        // Of 90 days, of which many tools renew the last 30.
        assert_eq!(
            near_from("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"),
            "2026-03-14T00:00:00Z"
        );
        assert_eq!(
            near_from("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            "2026-01-01T19:12:00Z"
        );
        let eternal = Validity {
            subject: String::new(),
            not_before: Timestamp::MIN,
            not_after: Timestamp::MAX,
        };
        assert!(eternal.near_from() < Timestamp::MAX);
    }
}
