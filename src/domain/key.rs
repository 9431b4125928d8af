//! Keys of clients that authenticate with a signed assertion (`private_key_jwt`): PKCS#8 in PEM as the output Secret holds them, the
//! public key as a JSON Web Key, and the assertion itself.
//!
//! One kind only: ECDSA on P-256 with SHA-256 (ES256, RFC 7518, section 3.4). Every provider with `private_key_jwt` that is served
//! here knows it, its keys and signatures are short, and to make one costs microseconds.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use x509_parser::pem::Pem;

use super::{pem, secret::ClientSecret};

/// The one algorithm (RFC 7518, section 3.4).
pub const ALGORITHM: &str = "ES256";

/// Label of a PKCS#8 key (RFC 7468, section 10).
const LABEL: &str = "PRIVATE KEY";

/// What a private key begins with, in whatever form.
const BEGIN: &str = "-----BEGIN";

/// A point that is not compressed (SEC 1, section 2.3.3): this byte, then x and y.
const UNCOMPRESSED: u8 = 4;
const COORDINATE: usize = 32;

/// Why a text is not a key that can be used. Nothing of the text is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No PEM block.
    #[error("is no private key in PEM: a block BEGIN PRIVATE KEY is expected")]
    NotPem,
    /// A certificate beside it, two keys, or the like.
    #[error("holds more than one PEM block: only the private key is expected")]
    SeveralBlocks,
    /// Another form of key.
    #[error(
        "is not in PKCS#8: a block BEGIN PRIVATE KEY is expected. `openssl pkcs8 -topk8 -nocrypt` turns other forms into it"
    )]
    NotPkcs8,
    /// RSA, another curve, a broken key, or one without its public half.
    #[error(
        "is no key for ES256: it must be on the curve P-256, with its public key (`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`)"
    )]
    NotP256,
}

/// A private key, ready to sign.
pub struct PrivateKey {
    pair: EcdsaKeyPair,
    pkcs8: Vec<u8>,
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey")
            .field("key_id", &self.public().key_id())
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// A new one.
    ///
    /// # Panics
    /// Where the system has no randomness: then nothing that it makes is secret.
    #[allow(
        clippy::expect_used,
        reason = "as `rand` does for client secrets: there is no way to go on"
    )]
    pub fn generate() -> Self {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .expect("the system gives random bytes");
        Self::from_pkcs8(pkcs8.as_ref()).expect("what was just made can be read")
    }

    /// Reads PEM. Text around the block, CRLF and indentation are tolerated.
    ///
    /// # Errors
    /// [`KeyError`], for people.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let lines: String = text.lines().flat_map(|line| [line.trim(), "\n"]).collect();
        let mut blocks = Pem::iter_from_buffer(lines.as_bytes());
        let block = blocks.next().and_then(Result::ok).ok_or(KeyError::NotPem)?;
        if blocks.next().is_some() {
            return Err(KeyError::SeveralBlocks);
        }
        if block.label != LABEL {
            return Err(if block.label.ends_with(LABEL) {
                KeyError::NotPkcs8
            } else {
                KeyError::NotPem
            });
        }
        Self::from_pkcs8(&block.contents)
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der, &SystemRandom::new())
            .map_err(|_| KeyError::NotP256)?;
        Ok(Self {
            pair,
            pkcs8: der.to_vec(),
        })
    }

    /// The key that `secret` is, where it is one.
    pub fn of(secret: &ClientSecret) -> Option<Self> {
        // Most are none: that costs nothing.
        looks_like_key(secret)
            .then(|| Self::parse(secret.expose()).ok())
            .flatten()
    }

    /// In its one form: a PKCS#8 block of 64 columns, LF, nothing else.
    pub fn to_secret(&self) -> ClientSecret {
        ClientSecret::new(pem::block(LABEL, &self.pkcs8))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        let point = self.pair.public_key().as_ref();
        let mut key = PublicKey {
            x: [0; COORDINATE],
            y: [0; COORDINATE],
        };
        // The form and the lengths are the curve's.
        if let [UNCOMPRESSED, coordinates @ ..] = point
            && let Some((x, y)) = coordinates.split_at_checked(COORDINATE)
            && y.len() == COORDINATE
        {
            key.x.copy_from_slice(x);
            key.y.copy_from_slice(y);
        }
        key
    }

    /// A JSON Web Token (RFC 7519) of these claims, signed (RFC 7515, section 3.1), whose header names the key.
    ///
    /// # Errors
    /// The system has no randomness: a signature needs some.
    pub fn sign(&self, claims: &Value) -> Result<String, NoRandomness> {
        let header = json!({"alg": ALGORITHM, "kid": self.public().key_id(), "typ": "JWT"});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .map_err(|_| NoRandomness)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// The system gives no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// Is it a private key, usable or not, rather than a shared secret? What a shared secret may hold (RFC 6749, appendix A.2), has no
/// line breaks, and no PEM is without.
pub fn looks_like_key(secret: &ClientSecret) -> bool {
    let text = secret.expose();
    text.contains('\n') && text.contains(BEGIN)
}

/// A public key on P-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    x: [u8; COORDINATE],
    y: [u8; COORDINATE],
}

impl PublicKey {
    /// Its identifier: the thumbprint of RFC 7638, which anybody can compute from the key, and no two keys share.
    pub fn key_id(&self) -> String {
        // Section 3.3: the required members only, sorted, without white space.
        let [x, y] = self.coordinates();
        let required = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(required))
    }

    /// As a JSON Web Key (RFC 7517; RFC 7518, section 6.2.1), for signatures only.
    pub fn to_jwk(&self) -> Value {
        let [x, y] = self.coordinates();
        json!({"kty": "EC", "crv": "P-256", "x": x, "y": y, "use": "sig", "alg": ALGORITHM, "kid": self.key_id()})
    }

    /// Reads back what [`Self::to_jwk`] wrote; `None` where it is anything else, be it the same key with other members.
    pub fn from_jwk(jwk: &Value) -> Option<Self> {
        let coordinate = |name: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(jwk.get(name)?.as_str()?).ok()?;
            <[u8; COORDINATE]>::try_from(bytes).ok()
        };
        let key = Self {
            x: coordinate("x")?,
            y: coordinate("y")?,
        };
        (key.to_jwk() == *jwk).then_some(key)
    }

    fn coordinates(&self) -> [String; 2] {
        [&self.x, &self.y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate))
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    /// The private key of RFC 7517, appendix A.2, as OpenSSL writes it.
    const OF_THE_RFC: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg870MB6gfuTJ4HtUn\nUvYMyJpr5eUZNP4Bk43bVdj3eAGhRANCAAQwoEJM0hwpRIOKLXXJKzfnbqINnwCJ\nOjtO7oo8Cq/sPuBLZekkVtmIi1Kzeb371R7oae8fD8ZbZllpW2zOCBcj\n-----END PRIVATE KEY-----\n";
    /// The same in SEC 1.
    const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPO9DAeoH7kyeB7VJ1L2DMiaa+XlGTT+AZON21XY93gBoAoGCCqGSM49\nAwEHoUQDQgAEMKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D7gS2XpJFbZ\niItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n-----END EC PRIVATE KEY-----\n";
    /// A key on another curve.
    const P384: &str = "-----BEGIN PRIVATE KEY-----\nMIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDAAAAAAAAAAAAAAAAAA\nAAAA870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAGhZANiAASCapbFE6oW\nxe5wWTgh6G0hP4qvNrm7LNes6DaVXcw7chaBlpj7otqrKWdjgqgcCZLogRHiBypw\nf9Ih+/7LtO8L54zz327OUuOlzDoylQ0pZ2x3HUCNrpTNW0uvUsb6KT8=\n-----END PRIVATE KEY-----\n";

    #[test]
    fn the_public_half_is_that_of_the_rfc() {
        let jwk = PrivateKey::parse(OF_THE_RFC).unwrap().public().to_jwk();
        assert_eq!(jwk["x"], "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4");
        assert_eq!(jwk["y"], "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
        assert_eq!((&jwk["kty"], &jwk["crv"]), (&json!("EC"), &json!("P-256")));
        assert!(jwk.get("d").is_none(), "{jwk}");
    }

    /// RFC 9449, sections 4.2 and 6.1: a public key on P-256 and its thumbprint. (RFC 7638 itself has an RSA key only.)
    #[test]
    fn the_key_id_is_the_thumbprint() {
        let coordinate = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap().try_into().unwrap();
        let key = PublicKey {
            x: coordinate("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs"),
            y: coordinate("9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"),
        };
        assert_eq!(key.key_id(), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }

    #[test]
    fn a_key_is_read_however_it_was_pasted_and_kept_in_one_form() {
        let key = PrivateKey::parse(OF_THE_RFC).unwrap();
        let pasted = format!("Key of the shop\r\n{}", OF_THE_RFC.replace('\n', "\r\n  "));
        let same = PrivateKey::parse(&pasted).unwrap();
        assert_eq!(same.to_secret(), key.to_secret());
        assert_eq!(key.to_secret().expose(), OF_THE_RFC, "as OpenSSL writes it");
        assert_eq!(same.public(), key.public());
        let made = PrivateKey::generate();
        assert_ne!(made.public(), PrivateKey::generate().public());
        assert_eq!(PrivateKey::of(&made.to_secret()).unwrap().public(), made.public());
    }

    #[test]
    fn what_cannot_be_used_says_why_and_shows_nothing() {
        let broken = OF_THE_RFC.replacen("MIGHAgEA", "MIGHAgEB", 1);
        let rsa = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n";
        for (text, error) in [
            ("hunter2", KeyError::NotPem),
            ("", KeyError::NotPem),
            ("-----BEGIN PRIVATE KEY-----\nhunter2", KeyError::NotPem),
            (
                "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
                KeyError::NotPem,
            ),
            (SEC1, KeyError::NotPkcs8),
            (rsa, KeyError::NotPkcs8),
            (P384, KeyError::NotP256),
            (&broken, KeyError::NotP256),
            (&OF_THE_RFC.repeat(2), KeyError::SeveralBlocks),
        ] {
            assert_eq!(PrivateKey::parse(text).unwrap_err(), error, "{text}");
        }
        let shown = format!("{:?}", PrivateKey::parse(OF_THE_RFC).unwrap());
        let body = OF_THE_RFC.lines().nth(1).unwrap();
        assert!(!shown.contains(body) && !shown.contains("870MB6gf"), "{shown}");
    }

    #[test]
    fn shared_secrets_are_no_keys() {
        assert!(looks_like_key(&ClientSecret::new(SEC1)));
        assert!(PrivateKey::of(&ClientSecret::new(SEC1)).is_none());
        for text in ["hunter2", "", "-----BEGIN PRIVATE KEY-----"] {
            assert!(!looks_like_key(&ClientSecret::new(text)), "{text}");
        }
    }

    #[test]
    fn a_token_names_its_key_and_verifies() {
        let key = PrivateKey::generate();
        let token = key.sign(&json!({"iss": "shop_web"})).unwrap();
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let read = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        assert_eq!(
            read(header),
            json!({"alg": "ES256", "kid": key.public().key_id(), "typ": "JWT"})
        );
        assert_eq!(read(claims), json!({"iss": "shop_web"}));
        let point = [&[UNCOMPRESSED][..], &key.public().x, &key.public().y].concat();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let signed = format!("{header}.{claims}");
        assert!(public.verify(signed.as_bytes(), &signature).is_ok());
        assert!(public.verify(header.as_bytes(), &signature).is_err());
    }

    #[test]
    fn a_public_key_is_read_back_only_as_it_was_written() {
        let key = PrivateKey::generate().public();
        let jwk = key.to_jwk();
        assert_eq!(PublicKey::from_jwk(&jwk), Some(key));
        for (member, value) in [
            ("kid", json!("other")),
            ("use", json!("enc")),
            ("alg", json!("ES512")),
            ("x", json!("AAAA")),
            ("d", json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE")),
        ] {
            let mut other = jwk.clone();
            other[member] = value;
            assert_eq!(PublicKey::from_jwk(&other), None, "{member}");
        }
        assert_eq!(PublicKey::from_jwk(&json!({"kty": "RSA"})), None);
    }
}
