//! CA certificates in PEM, as people paste them: checked, and brought into one form.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use x509_parser::{certificate::X509Certificate, error::PEMError, pem::Pem, prelude::FromDer as _};

use super::{certificate::Validity, digest::sha256_hex, error::bounded};

/// One certificate of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    /// Its subject, for people (`CN=corp root`).
    pub subject: String,
    /// sha256 of its DER form, in hex: its identity.
    pub sha256: String,
    /// The first moment at which it is valid.
    pub not_before: Timestamp,
    /// The last moment at which it is valid.
    pub not_after: Timestamp,
    /// The certificate itself.
    pub der: Vec<u8>,
}

impl CaCertificate {
    /// When it holds.
    fn validity(&self) -> Validity {
        Validity {
            subject: self.subject.clone(),
            not_before: self.not_before,
            not_after: self.not_after,
        }
    }
}

/// CA certificates, at least one, each once, ordered by subject and digest.
///
/// The order and form do not depend on how the source was laid out: a comment added to a ConfigMap changes no output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaBundle {
    certificates: Vec<CaCertificate>,
}

/// Why a text is not a bundle of CA certificates. Nothing of the text is repeated: it may be a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// There is no PEM block.
    #[error("holds no certificate: PEM text with BEGIN CERTIFICATE is expected")]
    Empty,
    /// A private key is in it. It has been where anyone may read it.
    #[error("holds a private key: give the CA certificate only, and replace that key")]
    PrivateKey,
    /// A block of another kind.
    #[error("holds a block {label:?}: only CERTIFICATE is expected")]
    OtherBlock {
        /// Its label, bounded.
        label: String,
    },
    /// A block that does not end, or is not base64.
    #[error("PEM block {number} is damaged: {why}")]
    Damaged {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A block whose content is no certificate.
    #[error("PEM block {number} is not an X.509 certificate")]
    NotACertificate {
        /// Counted from 1.
        number: usize,
    },
}

impl CaBundle {
    /// Reads PEM. Text around the blocks, CRLF, indentation and duplicates are tolerated; anything but certificates is
    /// not.
    ///
    /// # Errors
    /// [`PemError`], for people.
    pub fn parse(text: &str) -> Result<Self, PemError> {
        // Indentation is what YAML most often leaves behind; RFC 7468 allows white space around lines.
        let lines: String = text.lines().flat_map(|line| [line.trim(), "\n"]).collect();
        let mut certificates = BTreeMap::new();
        for (index, block) in Pem::iter_from_buffer(lines.as_bytes()).enumerate() {
            let certificate = certificate(index + 1, &block)?;
            certificates.insert((certificate.subject.clone(), certificate.sha256.clone()), certificate);
        }
        if certificates.is_empty() {
            return Err(PemError::Empty);
        }
        Ok(Self {
            certificates: certificates.into_values().collect(),
        })
    }

    /// From certificates in DER. What cannot be read is left out: a system's store holds what no person chose. `None` where
    /// nothing is left.
    pub fn from_der<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let read: BTreeMap<_, _> = certificates
            .into_iter()
            .filter_map(read)
            .map(|certificate| ((certificate.subject.clone(), certificate.sha256.clone()), certificate))
            .collect();
        (!read.is_empty()).then(|| Self {
            certificates: read.into_values().collect(),
        })
    }

    /// The certificates of both, each once.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let both = self.certificates.into_iter().chain(other.certificates);
        let sorted: BTreeMap<_, _> = both
            .map(|certificate| ((certificate.subject.clone(), certificate.sha256.clone()), certificate))
            .collect();
        Self {
            certificates: sorted.into_values().collect(),
        }
    }

    /// The certificates, in order.
    pub fn certificates(&self) -> &[CaCertificate] {
        &self.certificates
    }

    /// The bundle in its one form: CERTIFICATE blocks of 64 columns, LF, nothing else.
    pub fn to_pem(&self) -> String {
        self.certificates
            .iter()
            .map(|certificate| block("CERTIFICATE", &certificate.der))
            .collect()
    }

    /// The one that expires first.
    pub fn first_to_expire(&self) -> Option<Validity> {
        let first = self
            .certificates
            .iter()
            .min_by_key(|certificate| certificate.not_after)?;
        Some(first.validity())
    }

    /// When the first of them expires.
    pub fn earliest_expiry(&self) -> Timestamp {
        self.certificates
            .iter()
            .map(|certificate| certificate.not_after)
            .min()
            .unwrap_or(Timestamp::MAX)
    }
}

fn certificate(number: usize, block: &Result<Pem, PEMError>) -> Result<CaCertificate, PemError> {
    let block = block.as_ref().map_err(|error| PemError::Damaged {
        number,
        why: match error {
            PEMError::Base64DecodeError => "it is not base64",
            PEMError::IncompletePEM => "its END line is missing",
            _ => "its BEGIN line is malformed",
        },
    })?;
    match block.label.as_str() {
        "CERTIFICATE" => {}
        label if label.ends_with("PRIVATE KEY") => return Err(PemError::PrivateKey),
        label => return Err(PemError::OtherBlock { label: bounded(label) }),
    }
    read(&block.contents).ok_or(PemError::NotACertificate { number })
}

/// When the certificate in `der` holds; `None`: it is none.
pub fn validity(der: &[u8]) -> Option<Validity> {
    read(der).map(|certificate| certificate.validity())
}

/// One certificate, and nothing behind it.
fn read(der: &[u8]) -> Option<CaCertificate> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    let validity = parsed.validity();
    // "No expiry" is written as the year 9999 (RFC 5280, section 4.1.2.5), which jiff's range just misses.
    let instant = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    rest.is_empty().then(|| CaCertificate {
        subject: bounded(&parsed.subject().to_string()),
        sha256: sha256_hex(der),
        not_before: instant(validity.not_before.timestamp()),
        not_after: instant(validity.not_after.timestamp()),
        der: der.to_vec(),
    })
}

/// A PEM block of 64 columns (RFC 7468, section 3).
pub(super) fn block(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut block = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // base64 is ASCII: every index is a boundary.
        let (line, tail) = rest.split_at(rest.len().min(64));
        block.push_str(line);
        block.push('\n');
        rest = tail;
    }
    block.push_str(&format!("-----END {label}-----\n"));
    block
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    use super::*;

    fn ca(name: &str, year: i32) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_after = date_time_ymd(year, 1, 2);
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    #[test]
    fn one_form_whatever_the_layout() {
        let ((a, _), (b, _)) = (ca("a", 2040), ca("b", 2035));
        let tidy = CaBundle::parse(&format!("{a}{b}")).unwrap();
        let messy = format!(
            "# our roots\r\n{}\n\n  {}{b}",
            b.replace('\n', "\r\n"),
            a.replace('\n', "\n    ")
        );
        assert_eq!(CaBundle::parse(&messy).unwrap(), tidy);
        assert_eq!(CaBundle::parse(&tidy.to_pem()).unwrap(), tidy);
        assert!(!tidy.to_pem().contains('\r'));
        let subjects: Vec<_> = tidy.certificates().iter().map(|c| c.subject.as_str()).collect();
        assert!(
            subjects[0].contains("CN=a") && subjects[1].contains("CN=b"),
            "{subjects:?}"
        );
        assert_eq!(tidy.earliest_expiry(), "2035-01-02T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn two_keys_of_one_name_are_two_certificates() {
        let ((one, _), (other, _)) = (ca("a", 2040), ca("a", 2040));
        let (forth, back) = (
            CaBundle::parse(&format!("{one}{other}")).unwrap(),
            CaBundle::parse(&format!("{other}{one}")).unwrap(),
        );
        assert_eq!(forth, back);
        assert_eq!(forth.certificates().len(), 2);
    }

    #[test]
    fn a_certificate_without_end_of_life_is_accepted() {
        let (pem, _) = ca("eternal", 9999);
        assert!(CaBundle::parse(&pem).unwrap().earliest_expiry() > "9000-01-01T00:00:00Z".parse().unwrap());
    }

    #[test]
    fn tells_what_is_wrong() {
        let (pem, key) = ca("a", 2040);
        for empty in ["", "  \n", "not pem at all", "MIIB"] {
            assert_eq!(CaBundle::parse(empty), Err(PemError::Empty), "{empty:?}");
        }
        assert_eq!(CaBundle::parse(&format!("{pem}{key}")), Err(PemError::PrivateKey));
        let request = pem.replace("CERTIFICATE", "CERTIFICATE REQUEST");
        assert_eq!(
            CaBundle::parse(&request),
            Err(PemError::OtherBlock {
                label: "CERTIFICATE REQUEST".to_owned()
            })
        );
        let cut = pem.split("-----END").next().unwrap();
        assert_eq!(
            CaBundle::parse(cut),
            Err(PemError::Damaged {
                number: 1,
                why: "its END line is missing"
            })
        );
        let bad = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        assert_eq!(
            CaBundle::parse(bad),
            Err(PemError::Damaged {
                number: 1,
                why: "it is not base64"
            })
        );
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(
            CaBundle::parse(&format!("{pem}{garbage}")),
            Err(PemError::NotACertificate { number: 2 })
        );
    }

    #[test]
    fn a_system_store_is_taken_as_far_as_it_can_be_read() {
        let bundle = CaBundle::parse(&(ca("b", 2040).0 + &ca("a", 2035).0)).unwrap();
        let ders = bundle
            .certificates()
            .iter()
            .rev()
            .map(|certificate| certificate.der.as_slice());
        let read = CaBundle::from_der(ders.chain([b"garbage".as_slice()]));
        assert_eq!(read, Some(bundle));
        assert_eq!(CaBundle::from_der([b"garbage".as_slice()]), None);
    }

    #[test]
    fn never_repeats_what_it_read() {
        let (_, key) = ca("a", 2040);
        let body = key.lines().nth(1).unwrap();
        assert!(!CaBundle::parse(&key).unwrap_err().to_string().contains(body));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(-----BEGIN [A-Z ]{0,12}-----\n)?[A-Za-z0-9+/=\n -]{0,200}(-----END X-----)?") {
            let _ = CaBundle::parse(&text);
        }
    }
}
