//! Client secrets: made here, kept in the output Secret, never printed. The private key of a client that has one is kept as its
//! secret is, in PEM.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::{client::TokenEndpointAuthMethod, key::PrivateKey};

/// A client secret. `Debug` shows nothing of it; equality is of the value.
#[derive(Clone)]
pub struct ClientSecret(SecretString);

/// Where a client secret came from; the value of the annotation `oidc-operator.io/secret-source`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// The operator made it.
    Generated,
    /// It is the user's (`credentials.existingSecretRef`).
    Existing,
}

impl SecretKind {
    /// The annotation's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "Generated",
            Self::Existing => "Existing",
        }
    }

    /// Reads the annotation's value back. What is missing or unknown was made by the operator: the rotate path replaces it
    /// where the user's secret is wanted.
    pub fn parse(text: Option<&str>) -> Self {
        match text {
            Some("Existing") => Self::Existing,
            _ => Self::Generated,
        }
    }
}

impl ClientSecret {
    /// 32 random bytes in base64url: 256 bits of entropy in characters that need no escaping in a header, a form, a
    /// shell or YAML (RFC 6749, section 10.10, asks for 160 bits at the most).
    pub fn generate() -> Self {
        let mut bytes = [0_u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(SecretString::from(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Credentials for a client that authenticates so: a private key or a shared secret.
    pub fn generate_for(method: TokenEndpointAuthMethod) -> Self {
        match method {
            TokenEndpointAuthMethod::PrivateKeyJwt => PrivateKey::generate().to_secret(),
            TokenEndpointAuthMethod::ClientSecretBasic
            | TokenEndpointAuthMethod::ClientSecretPost
            | TokenEndpointAuthMethod::None => Self::generate(),
        }
    }

    /// Takes a value that was read.
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value, where it must be sent or written.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its sha256, as the output Secret's annotation holds it.
    pub fn digest(&self) -> String {
        super::digest::sha256_hex(self.expose().as_bytes())
    }
}

impl PartialEq for ClientSecret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for ClientSecret {}

impl std::fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_long_url_safe_and_never_twice_the_same() {
        let (one, two) = (ClientSecret::generate(), ClientSecret::generate());
        assert_eq!(one.expose().len(), 43);
        assert!(
            one.expose()
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        );
        assert_ne!(one, two);
    }

    #[test]
    fn debug_hides_the_value() {
        let secret = ClientSecret::new("hunter2");
        assert!(!format!("{secret:?} {:?}", Some(&secret)).contains("hunter2"));
    }
}
