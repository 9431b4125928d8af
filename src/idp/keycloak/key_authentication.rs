//! `private_key_jwt` at Keycloak: the authenticator `client-jwt`, with the client's public keys in an attribute of its own.
//!
//! Where its keys come from, the first of these that is on decides (`ClientPublicKeyLoader`): `use.jwks.url`, `use.jwks.string`, else
//! a certificate. With this authenticator no secret is good, whatever stands in `secret`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::domain::{
    ClientSecret, DesiredClient, PublicKey, TokenEndpointAuthMethod, digest::sha256_hex, error::bounded, key::ALGORITHM,
};

/// `clientAuthenticatorType` (`JWTClientAuthenticator`).
pub(super) const KEY_AUTHENTICATOR: &str = "client-jwt";

// Attributes (`OIDCConfigAttributes`).
const USE_KEYS: &str = "use.jwks.string";
const KEYS: &str = "jwks.string";
const USE_URL: &str = "use.jwks.url";
/// An address that the keys are read from; not in use, it is empty.
pub(super) const URL: &str = "jwks.url";
const SIGNING_ALGORITHM: &str = "token.endpoint.auth.signing.alg";

/// The attributes that say how the client authenticates; off, they go, and the keys with them.
pub(super) fn settings(on: bool) -> BTreeMap<&'static str, String> {
    let mut settings = BTreeMap::from([(USE_URL, String::new()), (URL, String::new())]);
    if on {
        settings.extend([(USE_KEYS, true.to_string()), (SIGNING_ALGORITHM, ALGORITHM.to_owned())]);
    } else {
        settings.extend([USE_KEYS, KEYS, SIGNING_ALGORITHM].map(|name| (name, String::new())));
    }
    settings
}

/// The public keys that the client may sign with, as a JSON Web Key Set (RFC 7517, section 5). Without any, nothing is said of them.
pub(super) fn keys(desired: &DesiredClient, secret: Option<&ClientSecret>) -> BTreeMap<&'static str, String> {
    let keys: Vec<Value> = desired.public_keys(secret).iter().map(PublicKey::to_jwk).collect();
    let set = (!keys.is_empty()).then(|| (KEYS, json!({ "keys": keys }).to_string()));
    set.into_iter().collect()
}

/// How the client authenticates, in normal form: by the keys that stand there, and by ES256 only; anything else is drift, and looks
/// so.
pub(super) fn shown_method<'a>(attribute: impl Fn(&str) -> &'a str) -> String {
    let is_on = |name: &str| attribute(name) == "true";
    let keys = match (is_on(USE_URL), is_on(USE_KEYS)) {
        (true, _) => format!("keys from {}", bounded(attribute(URL))),
        (false, true) => String::new(),
        (false, false) => "keys from a certificate".to_owned(),
    };
    let algorithm = match attribute(SIGNING_ALGORITHM) {
        ALGORITHM => String::new(),
        "" => "any algorithm".to_owned(),
        other => bounded(other),
    };
    let parts = [
        TokenEndpointAuthMethod::PrivateKeyJwt.as_str().to_owned(),
        algorithm,
        keys,
    ];
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The ids of the keys that stand there. What the operator did not write has its digest in the place of an id: it differs from all
/// that is wanted, and what it is need not be shown.
pub(super) fn shown_keys<'a>(attribute: impl Fn(&str) -> &'a str) -> BTreeSet<String> {
    let text = attribute(KEYS);
    let unknown = |what: &str| format!("unknown-{}", &sha256_hex(what.as_bytes())[..8]);
    if text.is_empty() {
        return BTreeSet::new();
    }
    let set: Value = serde_json::from_str(text).unwrap_or_default();
    let Some(keys) = set.get("keys").and_then(Value::as_array) else {
        return [unknown(text)].into();
    };
    keys.iter()
        .map(|key| PublicKey::from_jwk(key).map_or_else(|| unknown(&key.to_string()), |key| key.key_id()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Mark, MarkUid, OwnerId, PrivateKey, ResourceName};

    fn with_key() -> DesiredClient {
        let mark = Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid("u1".to_owned()),
        };
        DesiredClient {
            auth_method: TokenEndpointAuthMethod::PrivateKeyJwt,
            ..DesiredClient::new("shop_web", mark)
        }
    }

    /// The attributes of a client with this key, with `change` made by hand.
    fn attributes(key: &PrivateKey, change: &[(&'static str, &str)]) -> BTreeMap<&'static str, String> {
        let mut attributes = settings(true);
        attributes.extend(keys(&with_key(), Some(&key.to_secret())));
        attributes.extend(change.iter().map(|(name, value)| (*name, (*value).to_owned())));
        attributes
    }

    fn shown(attributes: &BTreeMap<&'static str, String>) -> (String, BTreeSet<String>) {
        let attribute = |name: &str| attributes.get(name).map_or("", String::as_str);
        (shown_method(attribute), shown_keys(attribute))
    }

    #[test]
    fn what_was_set_reads_back_as_wanted() {
        let key = PrivateKey::generate();
        let set = attributes(&key, &[]);
        assert_eq!(
            shown(&set),
            ("private_key_jwt".to_owned(), [key.public().key_id()].into())
        );
        assert!(!set[KEYS].contains("\"d\""), "the private half is in there");
    }

    #[test]
    fn other_doors_show() {
        let key = PrivateKey::generate();
        let method = |change: &[(&'static str, &str)]| shown(&attributes(&key, change)).0;
        assert_eq!(
            method(&[(USE_URL, "true"), (URL, "https://evil")]),
            "private_key_jwt, keys from https://evil"
        );
        assert_eq!(method(&[(USE_KEYS, "")]), "private_key_jwt, keys from a certificate");
        assert_eq!(method(&[(SIGNING_ALGORITHM, "")]), "private_key_jwt, any algorithm");
        assert_eq!(method(&[(SIGNING_ALGORITHM, "HS256")]), "private_key_jwt, HS256");
        assert_eq!(method(&[(URL, "https://evil")]), "private_key_jwt", "it is not used");
    }

    #[test]
    fn other_keys_show_and_not_what_they_are() {
        let key = PrivateKey::generate();
        let ours = key.public().to_jwk();
        let mut tampered = ours.clone();
        tampered["x"] = PrivateKey::generate().public().to_jwk()["x"].clone();
        let mut private = ours.clone();
        private["d"] = json!("hunter2");
        let with = |keys: &Value| shown(&attributes(&key, &[(KEYS, &keys.to_string())])).1;
        let wanted = [key.public().key_id()].into();
        assert_eq!(with(&json!({"keys": [ours]})), wanted);
        for set in [
            json!({"keys": []}),
            json!({"keys": [ours, {"kty": "RSA", "n": "hunter2"}]}),
            json!({"keys": [tampered]}),
            json!({"keys": [private]}),
            json!({"keys": "hunter2"}),
            json!("hunter2"),
        ] {
            let found = with(&set);
            assert_ne!(found, wanted, "{set}");
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn back_to_a_secret_nothing_of_it_stays() {
        let key = PrivateKey::generate();
        let mut set = attributes(&key, &[]);
        set.extend(settings(false));
        assert!(set.values().all(String::is_empty), "{set:?}");
    }
}
