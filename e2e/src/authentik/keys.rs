//! The key pair that signs tokens, and what JWKS and the API say of it.

use anyhow::{Context, Result, anyhow};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_RSA_SHA256};
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA512};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use super::lists;
use super::reply::Reply;
use super::request::Request;
use super::state::State;

/// It signs for nobody but this server; `ring` can use RSA keys and cannot make them.
const RSA: &str = include_str!("throwaway-rsa.pem");

pub(super) struct KeyPairRow {
    pub(super) pk: String,
    pub(super) name: String,
    /// With these numbers of a real server's.
    certificate: Vec<u8>,
    kid: String,
    rsa: RsaKeyPair,
}

impl KeyPairRow {
    pub(super) fn new(pk: String) -> Result<Self> {
        let der = PrivateKeyDer::from_pem_slice(RSA.as_bytes()).context("RSA key")?;
        let rsa = RsaKeyPair::from_pkcs8(der.secret_der()).map_err(|error| anyhow!("RSA key: {error}"))?;
        let name = "authentik Self-signed Certificate".to_owned();
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, &name);
        params.distinguished_name.push(DnType::OrganizationName, "authentik");
        params
            .distinguished_name
            .push(DnType::OrganizationalUnitName, "Self-signed");
        let key = KeyPair::from_pem_and_sign_algo(RSA, &PKCS_RSA_SHA256)?;
        let certificate = params.self_signed(&key)?.der().to_vec();
        let kid = URL_SAFE_NO_PAD.encode(digest::digest(&SHA512, pk.as_bytes()));
        Ok(Self {
            pk,
            name,
            certificate,
            kid,
            rsa,
        })
    }

    pub(super) fn shown(&self) -> Value {
        let url = |what| format!("/api/v3/crypto/certificatekeypairs/{}/{what}/?download", self.pk);
        json!({
            "pk": self.pk,
            "name": self.name,
            "fingerprint_sha256": fingerprint(digest::digest(&SHA256, &self.certificate).as_ref()),
            "fingerprint_sha1": fingerprint(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.certificate).as_ref()),
            "cert_expiry": "2099-01-01T00:00:00Z",
            "cert_subject": "OU=Self-signed,O=authentik,CN=authentik Self-signed Certificate",
            "private_key_available": true,
            "key_type": "rsa",
            "certificate_download_url": url("view_certificate"),
            "private_key_download_url": url("view_private_key"),
            "managed": null,
        })
    }

    /// RFC 7517.
    pub(super) fn jwk(&self) -> Value {
        let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        json!({
            "alg": "RS256",
            "kid": self.kid,
            "kty": "RSA",
            "use": "sig",
            "n": URL_SAFE_NO_PAD.encode(&public.n),
            "e": URL_SAFE_NO_PAD.encode(&public.e),
            "x5c": [STANDARD.encode(&self.certificate)],
            "x5t": URL_SAFE_NO_PAD.encode(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.certificate)),
            "x5t#S256": URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, &self.certificate)),
        })
    }

    /// A JWT with these claims (RS256).
    pub(super) fn signed(&self, claims: &Value) -> String {
        let input = signing_input(&json!({ "alg": "RS256", "kid": self.kid, "typ": "JWT" }), claims);
        let mut signature = vec![0; self.rsa.public().modulus_len()];
        // It fails only if the signature's length is wrong.
        let _ = self.rsa.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            input.as_bytes(),
            &mut signature,
        );
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

pub(super) fn list(state: &State, request: &Request) -> Result<Reply, Reply> {
    lists::no_nul(request)?;
    let mut found: Vec<_> = state.keys.iter().collect();
    // Every pair here has its key.
    found.retain(|pair| {
        lists::is(request, "name", &pair.name)
            && request.parameter("has_key").is_none_or(|_| request.is_true("has_key"))
            && lists::found(request, &[&pair.name])
    });
    let page = lists::page(request, found)?;
    let results = page.items.iter().map(|pair| pair.shown()).collect();
    Ok(page.answer(results))
}

/// A JWT with these claims (HS256), for clients without a key pair.
pub(super) fn signed_with_secret(secret: &str, claims: &Value) -> String {
    let input = signing_input(&json!({ "alg": "HS256", "typ": "JWT" }), claims);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let signature = ring::hmac::sign(&key, input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn signing_input(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn fingerprint(digest: &[u8]) -> String {
    let bytes: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(":")
}
