//! When certificates expire: what stands in status, and the condition that warns in time.

use jiff::Timestamp;

use super::{conditions::timestamp, verdict::Finding};
use crate::{
    api::{Reason, provider::CertificateStatus},
    domain::certificate::{CertificateUse, Validity},
};

/// A certificate that the provider depends on, as found; `None`: it could not be looked at now.
pub type FoundCertificate = (CertificateUse, Option<Validity>);

/// What stands in status: what was found; what could not be looked at now stays as it was last seen; what is not used any more
/// goes.
pub fn status(old: &[CertificateStatus], found: &[FoundCertificate]) -> Vec<CertificateStatus> {
    found
        .iter()
        .filter_map(|(use_, seen)| match seen {
            Some(seen) => Some(CertificateStatus {
                use_: *use_,
                subject: seen.subject.clone(),
                not_before: timestamp(seen.not_before),
                not_after: timestamp(seen.not_after),
            }),
            None => old.iter().find(|old| old.use_ == *use_).cloned(),
        })
        .collect()
}

/// The last moment of a certificate in status.
pub fn not_after(certificate: &CertificateStatus) -> Option<Timestamp> {
    certificate.not_after.parse().ok()
}

/// The condition `CertificatesValid`. Its message changes only with a certificate, or when the end of one comes near: no pass
/// over a provider that stays as it is writes anything.
pub fn finding(certificates: &[CertificateStatus], looked_at: bool, now: Timestamp) -> Finding {
    let (mut expired, mut near) = (Vec::new(), Vec::new());
    for certificate in certificates {
        let (Some(end), Some(near_from)) = (not_after(certificate), near_from(certificate)) else {
            continue;
        };
        if end < now {
            expired.push(format!("{} expired at {}", what(certificate), certificate.not_after));
        } else if near_from <= now {
            near.push(format!("{} expires at {}", what(certificate), certificate.not_after));
        }
    }
    let reason = match (expired.is_empty(), near.is_empty()) {
        (true, true) => return valid(certificates, looked_at),
        (true, false) => Reason::CertificateExpiring,
        (false, _) => Reason::CertificateExpired,
    };
    let told: Vec<_> = expired.into_iter().chain(near).collect();
    Finding::no(
        reason,
        format!(
            "{}. Have it renewed, or take it out of the bundle if it is not used any more",
            told.join("; ")
        ),
    )
}

fn valid(certificates: &[CertificateStatus], looked_at: bool) -> Finding {
    match certificates.iter().min_by_key(|certificate| not_after(certificate)) {
        Some(first) => Finding::yes(
            Reason::CertificatesValid,
            format!("The first to expire is {}, at {}", what(first), first.not_after),
        ),
        None if looked_at => Finding::yes(Reason::CertificatesValid, "There is no certificate to look after"),
        None => Finding::unknown(Reason::Pending, "No certificate was seen yet"),
    }
}

fn near_from(certificate: &CertificateStatus) -> Option<Timestamp> {
    let validity = Validity {
        subject: String::new(),
        not_before: certificate.not_before.parse().ok()?,
        not_after: not_after(certificate)?,
    };
    Some(validity.near_from())
}

fn what(certificate: &CertificateStatus) -> String {
    let what = match certificate.use_ {
        CertificateUse::IssuerCertificateAuthority => "a CA certificate of the issuer",
        CertificateUse::Issuer => "the certificate that the issuer shows",
        CertificateUse::AdminCertificateAuthority => "a CA certificate of the admin API",
        CertificateUse::AdminAPI => "the certificate that the admin API shows",
    };
    if certificate.subject.is_empty() {
        what.to_owned()
    } else {
        format!("{what} ({})", certificate.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::common::ConditionStatus;

    fn seen(use_: CertificateUse, not_before: &str, not_after: &str) -> FoundCertificate {
        let validity = Validity {
            subject: "CN=x".to_owned(),
            not_before: not_before.parse().unwrap(),
            not_after: not_after.parse().unwrap(),
        };
        (use_, Some(validity))
    }

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    const YEARS: &str = "2020-01-01T00:00:00Z";

    fn told(found: &[FoundCertificate]) -> (ConditionStatus, Reason, String) {
        let finding = finding(&status(&[], found), true, now());
        (finding.status, finding.reason, finding.message)
    }

    #[test]
    fn a_warning_comes_in_time_and_names_what_and_when() {
        let ca = seen(
            CertificateUse::IssuerCertificateAuthority,
            YEARS,
            "2040-01-01T00:00:00Z",
        );
        let (status, reason, message) = told(std::slice::from_ref(&ca));
        assert_eq!((status, reason), (ConditionStatus::True, Reason::CertificatesValid));
        assert!(message.contains("2040-01-01T00:00:00Z"), "{message}");

        let leaf = seen(CertificateUse::Issuer, YEARS, "2026-06-20T00:00:00Z");
        let (status, reason, message) = told(&[ca.clone(), leaf.clone()]);
        assert_eq!((status, reason), (ConditionStatus::False, Reason::CertificateExpiring));
        assert!(
            message.starts_with("the certificate that the issuer shows (CN=x) expires at 2026-06-20T00:00:00Z."),
            "{message}"
        );

        let old = seen(
            CertificateUse::IssuerCertificateAuthority,
            YEARS,
            "2026-05-01T00:00:00Z",
        );
        let (_, reason, message) = told(&[old, leaf]);
        assert_eq!(reason, Reason::CertificateExpired);
        assert!(
            message.contains("expired at 2026-05-01") && message.contains("expires at 2026-06-20"),
            "{message}"
        );
    }

    #[test]
    fn who_renews_often_is_not_warned_all_the_time() {
        let leaf = seen(CertificateUse::AdminAPI, "2026-05-25T00:00:00Z", "2026-06-08T00:00:00Z");
        assert_eq!(told(&[leaf]).1, Reason::CertificatesValid);
    }

    #[test]
    fn what_cannot_be_looked_at_now_stays_as_it_was_seen() {
        let leaf = seen(CertificateUse::Issuer, YEARS, "2026-05-01T00:00:00Z");
        let before = status(&[], &[leaf]);
        let after = status(
            &before,
            &[(CertificateUse::Issuer, None), (CertificateUse::AdminAPI, None)],
        );
        assert_eq!(after, before, "and it says what has happened meanwhile");
        assert_eq!(finding(&after, false, now()).reason, Reason::CertificateExpired);
        assert_eq!(status(&before, &[]), [], "not used any more");
        assert_eq!(finding(&[], false, now()).status, ConditionStatus::Unknown);
    }
}
