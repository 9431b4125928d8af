//! Certificates of our own making: a CA, servers, clients. ECDSA P-256 throughout.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

/// A certificate authority. Two of them trust nothing of each other: make a second one for the "wrong CA" tests.
#[derive(Debug)]
pub struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PKCS #8 in PEM.
    pub key: String,
}

impl Ca {
    /// A new CA that calls itself `common_name`.
    ///
    /// # Errors
    /// No key could be made.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = params(common_name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().context("CA key")?;
        let pem = params.self_signed(&key).context("CA certificate")?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(params, key),
        })
    }

    /// The CA's certificate, PEM: what clients are to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A server certificate for 127.0.0.1, localhost and `names` (DNS names or IP addresses).
    ///
    /// # Errors
    /// A name is neither.
    pub fn server(&self, names: &[&str]) -> Result<Identity> {
        self.sign(server_params(names)?)
    }

    /// As [`Self::server`], but its time has passed.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn expired_server(&self, names: &[&str]) -> Result<Identity> {
        let mut params = server_params(names)?;
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    /// As [`Self::server`], a year old, and with `left` to live.
    ///
    /// # Errors
    /// As [`Self::server`].
    pub fn server_with(&self, names: &[&str], left: Duration) -> Result<Identity> {
        const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let mut params = server_params(names)?;
        params.not_before = (SystemTime::now() - YEAR).into();
        params.not_after = (SystemTime::now() + left).into();
        self.sign(params)
    }

    /// A client certificate for mutual TLS.
    ///
    /// # Errors
    /// No key could be made.
    pub fn client(&self, common_name: &str) -> Result<Identity> {
        let mut params = params(common_name, &[])?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate().context("key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("certificate")?;
        Ok(Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// A key pair to sign tokens with (ES256), both PEM.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// PKCS #8.
    pub private: String,
    /// SubjectPublicKeyInfo.
    pub public: String,
}

/// A new [`SigningKey`].
///
/// # Errors
/// No key could be made.
pub fn signing_key() -> Result<SigningKey> {
    let key = KeyPair::generate().context("signing key")?;
    Ok(SigningKey {
        private: key.serialize_pem(),
        public: key.public_key_pem(),
    })
}

fn server_params(names: &[&str]) -> Result<CertificateParams> {
    let mut params = params("localhost", &[&["127.0.0.1", "localhost"], names].concat())?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn params(common_name: &str, names: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).context("subject alternative names")?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    // Whole years around now: no clock of a test is that wrong.
    let year = i32::from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year());
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 5, 1, 1);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
