//! The issuer's discovery document and keys: bytes in, facts or a good reason out.
//!
//! OpenID Connect Discovery 1.0 (sections 3 and 4.3), RFC 8414, RFC 7517 and RFC 7518. Read tolerantly where a member
//! decides nothing, strictly where security hangs on it: the issuer is compared byte for byte, endpoints are https.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::{
    error::{IdpError, IdpErrorKind, bounded},
    facts::{Discovery, Endpoints, JsonWebKeySummary},
};

/// RFC 7518, section 3.3: "A key of size 2048 bits or larger MUST be used".
const MIN_RSA_BITS: usize = 2048;

/// Members that OIDC Discovery 1.0, section 3, calls REQUIRED and that hold a string.
const ISSUER: &str = "issuer";
const AUTHORIZATION: &str = "authorization_endpoint";
const TOKEN: &str = "token_endpoint";
const JWKS: &str = "jwks_uri";
const SIGNING_ALGORITHMS: &str = "id_token_signing_alg_values_supported";

/// What the configuration says the document must be.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// The field that names it.
    pub field: &'static str,
    /// Where the document was read.
    pub url: &'a str,
    /// May endpoints be plain http? Loopback is no exception: applications run elsewhere.
    pub insecure_endpoints_allowed: bool,
}

/// Why an issuer cannot be used. `Display` is the message of a condition.
#[derive(Clone, Debug, thiserror::Error)]
pub enum IssuerError {
    /// The document or the keys could not be read.
    #[error(transparent)]
    Request(IdpError),
    /// The server answered something else than 200.
    #[error("{url} answered {status}{}", status_hint(*.status, location.as_deref()))]
    Status {
        /// What was asked for.
        url: String,
        /// The HTTP status.
        status: u16,
        /// Where it would redirect to, bounded.
        location: Option<String>,
    },
    /// The body is not a JSON object.
    #[error("{url} did not answer with a JSON object: is it the issuer's address?")]
    NotJson {
        /// What was asked for.
        url: String,
    },
    /// The document names another issuer.
    #[error(
        "the document names the issuer {found:?}, {field} says {expected:?}{}",
        mismatch_hint(expected, found)
    )]
    IssuerMismatch {
        /// The field that names the configured one.
        field: &'static str,
        /// As configured.
        expected: String,
        /// As in the document, bounded.
        found: String,
    },
    /// A required member is missing or empty.
    #[error("the discovery document lacks {member:?}, which OpenID Connect Discovery 1.0 requires")]
    Missing {
        /// Its name.
        member: &'static str,
    },
    /// A member is there, but of the wrong shape.
    #[error("{member:?} of the discovery document is not {wanted}")]
    Malformed {
        /// Its name.
        member: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// An endpoint is plain http.
    #[error(
        "{member:?} is {url}, which is not https: allow it with insecureTransport.allowed: [Endpoints], or fix the issuer"
    )]
    InsecureEndpoint {
        /// Its name.
        member: &'static str,
        /// Its value, bounded.
        url: String,
    },
    /// No key of the JWKS can check the signature of an ID token.
    #[error("{url} holds no usable signature key: {reason}")]
    NoUsableKey {
        /// Where the keys were read.
        url: String,
        /// What was wrong with those that are there.
        reason: String,
    },
}

impl IssuerError {
    /// The condition's reason, in CamelCase.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Request(error) => match error.kind {
                IdpErrorKind::Unreachable => "Unreachable",
                IdpErrorKind::Timeout => "Timeout",
                IdpErrorKind::Tls => "TLSFailed",
                IdpErrorKind::Throttled => "Throttled",
                IdpErrorKind::Server => "ServerError",
                _ => "UnexpectedAnswer",
            },
            Self::Status { status: 429, .. } => "Throttled",
            Self::Status { status: 500.., .. } => "ServerError",
            Self::Status { .. } => "UnexpectedAnswer",
            Self::NotJson { .. } | Self::Missing { .. } | Self::Malformed { .. } => "InvalidDocument",
            Self::IssuerMismatch { .. } => "IssuerMismatch",
            Self::InsecureEndpoint { .. } => "InsecureEndpoint",
            Self::NoUsableKey { .. } => "NoUsableKey",
        }
    }

    /// Is it likely to pass by itself?
    pub fn is_transient(&self) -> bool {
        matches!(self.reason(), "Unreachable" | "Timeout" | "Throttled" | "ServerError")
    }
}

fn status_hint(status: u16, location: Option<&str>) -> String {
    match (status, location) {
        (404 | 410, _) => ": there is no discovery document; check issuerURL".to_owned(),
        (300..=399, Some(location)) => format!(": it redirects to {location}, which is not followed; use that address"),
        (300..=399, None) => ": redirects are not followed".to_owned(),
        (401 | 403, _) => ": discovery must be readable without credentials".to_owned(),
        _ => String::new(),
    }
}

fn mismatch_hint(expected: &str, found: &str) -> &'static str {
    if expected.trim_end_matches('/') == found.trim_end_matches('/') {
        ": they differ in the trailing slash, and an issuer is compared byte for byte"
    } else if expected.eq_ignore_ascii_case(found) {
        ": they differ in upper and lower case, and an issuer is compared byte for byte"
    } else if found.contains('{') {
        // Entra ID's `common` and `organizations` documents carry `{tenantid}`.
        ": that is a template, so use the issuer of one tenant"
    } else {
        ": use the issuer that the document names, or the document of the right issuer"
    }
}

/// Where the discovery document of an issuer lies unless it is said otherwise: a trailing slash is taken off the issuer (OpenID
/// Connect Discovery 1.0, section 4).
pub fn well_known(issuer: &str) -> String {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    format!("{base}/.well-known/openid-configuration")
}

/// Reads a discovery document.
///
/// # Errors
/// Any [`IssuerError`] but `Request`, `Status` and `NoUsableKey`.
pub fn parse_discovery(body: &[u8], expected: Expected<'_>) -> Result<Discovery, IssuerError> {
    let document = object(body, expected.url)?;
    // First of all: a document of another issuer says nothing else of interest.
    let issuer = required(&document, ISSUER)?;
    if issuer != expected.issuer {
        return Err(IssuerError::IssuerMismatch {
            field: expected.field,
            expected: expected.issuer.to_owned(),
            found: bounded(issuer),
        });
    }
    for member in ["response_types_supported", "subject_types_supported"] {
        required_set(&document, member)?;
    }
    let endpoint =
        |member| required(&document, member).and_then(|url| checked(member, url, expected.insecure_endpoints_allowed));
    let optional_endpoint = |member| match optional(&document, member)? {
        Some(url) => checked(member, url, expected.insecure_endpoints_allowed).map(Some),
        None => Ok(None),
    };
    Ok(Discovery {
        issuer: issuer.to_owned(),
        url: expected.url.to_owned(),
        endpoints: Endpoints {
            authorization: endpoint(AUTHORIZATION)?,
            token: endpoint(TOKEN)?,
            userinfo: optional_endpoint("userinfo_endpoint")?,
            jwks: endpoint(JWKS)?,
            end_session: optional_endpoint("end_session_endpoint")?,
            revocation: optional_endpoint("revocation_endpoint")?,
            device_authorization: optional_endpoint("device_authorization_endpoint")?,
            registration: optional_endpoint("registration_endpoint")?,
        },
        scopes: optional_set(&document, "scopes_supported")?,
        grant_types: optional_set(&document, "grant_types_supported")?,
        signing_algorithms: required_set(&document, SIGNING_ALGORITHMS)?,
        auth_methods: optional_set(&document, "token_endpoint_auth_methods_supported")?,
        code_challenge_methods: optional_set(&document, "code_challenge_methods_supported")?.unwrap_or_default(),
    })
}

/// Reads a JWKS (RFC 7517, section 5) and keeps what can check the signature of an ID token under one of `algorithms`.
///
/// # Errors
/// [`IssuerError::NotJson`], or [`IssuerError::NoUsableKey`] where nothing is left. `keys` may be absent: authentik
/// answers `{}` where tokens are signed with the client secret.
pub fn parse_jwks(
    body: &[u8],
    url: &str,
    algorithms: &BTreeSet<String>,
) -> Result<Vec<JsonWebKeySummary>, IssuerError> {
    let document = object(body, url)?;
    let keys = document
        .get("keys")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut unusable: BTreeSet<String> = BTreeSet::new();
    let mut usable = Vec::new();
    for key in keys {
        match usable_key(key, algorithms) {
            Ok(key) => usable.push(key),
            Err(why) => {
                unusable.insert(why);
            }
        }
    }
    if !usable.is_empty() {
        return Ok(usable);
    }
    let reason = if keys.is_empty() {
        "there are no keys; tokens signed with the client secret (HS256) cannot be checked by others".to_owned()
    } else {
        bounded(&unusable.into_iter().take(5).collect::<Vec<_>>().join("; "))
    };
    Err(IssuerError::NoUsableKey {
        url: url.to_owned(),
        reason,
    })
}

fn object(body: &[u8], url: &str) -> Result<Map<String, Value>, IssuerError> {
    serde_json::from_slice(body).map_err(|_| IssuerError::NotJson { url: url.to_owned() })
}

fn optional<'a>(document: &'a Map<String, Value>, member: &'static str) -> Result<Option<&'a str>, IssuerError> {
    match document.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(IssuerError::Malformed {
            member,
            wanted: "a string",
        }),
    }
}

fn required<'a>(document: &'a Map<String, Value>, member: &'static str) -> Result<&'a str, IssuerError> {
    optional(document, member)?.ok_or(IssuerError::Missing { member })
}

fn optional_set(document: &Map<String, Value>, member: &'static str) -> Result<Option<BTreeSet<String>>, IssuerError> {
    let wrong = IssuerError::Malformed {
        member,
        wanted: "a list of strings",
    };
    match document.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(values)) => values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .map(Some)
            .ok_or(wrong),
        Some(_) => Err(wrong),
    }
}

fn required_set(document: &Map<String, Value>, member: &'static str) -> Result<BTreeSet<String>, IssuerError> {
    optional_set(document, member)?
        .filter(|values| !values.is_empty())
        .ok_or(IssuerError::Missing { member })
}

/// An endpoint is an absolute https URL, or http where that is allowed, without a fragment (RFC 6749, section 3.1).
fn checked(member: &'static str, text: &str, insecure_allowed: bool) -> Result<String, IssuerError> {
    let wrong = IssuerError::Malformed {
        member,
        wanted: "an absolute http(s) URL without user, password and fragment",
    };
    let Ok(url) = url::Url::parse(text) else {
        return Err(wrong);
    };
    if !url.has_host() || !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(wrong);
    }
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if insecure_allowed => Ok(text.to_owned()),
        "http" => Err(IssuerError::InsecureEndpoint {
            member,
            url: bounded(text),
        }),
        _ => Err(wrong),
    }
}

/// The key's summary, or why it cannot be used, for people.
fn usable_key(key: &Value, algorithms: &BTreeSet<String>) -> Result<JsonWebKeySummary, String> {
    let text = |member: &str| key.get(member).and_then(Value::as_str);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return Err("a key is for encryption".to_owned());
    }
    if let Some(operations) = key.get("key_ops").and_then(Value::as_array)
        && !operations.iter().any(|operation| operation == "verify")
    {
        return Err("a key may not verify signatures (key_ops)".to_owned());
    }
    let key_type = text("kty").unwrap_or_default();
    let families: &[&str] = match key_type {
        "RSA" => {
            let bits = text("n")
                .and_then(|n| URL_SAFE_NO_PAD.decode(n).ok())
                .map_or(0, |n| bits(&n));
            if bits < MIN_RSA_BITS {
                return Err(format!("an RSA key has {bits} bits, {MIN_RSA_BITS} are needed"));
            }
            if text("e").is_none() {
                return Err("an RSA key lacks its exponent".to_owned());
            }
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
        }
        "EC" => {
            let (coordinate, family): (usize, &[&str]) = match text("crv").unwrap_or_default() {
                "P-256" => (32, &["ES256"]),
                "P-384" => (48, &["ES384"]),
                "P-521" => (66, &["ES512"]),
                _ => return Err("an EC key is on another curve than P-256, P-384 and P-521".to_owned()),
            };
            let whole = |member| {
                text(member)
                    .and_then(|v| URL_SAFE_NO_PAD.decode(v).ok())
                    .is_some_and(|v| v.len() == coordinate)
            };
            if !whole("x") || !whole("y") {
                return Err("an EC key's point is malformed".to_owned());
            }
            family
        }
        other => return Err(format!("a key is of type {:?}, RSA or EC is needed", bounded(other))),
    };
    if !families.iter().any(|algorithm| algorithms.contains(*algorithm)) {
        let advertised = algorithms.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        return Err(format!(
            "an {key_type} key fits none of the advertised algorithms ({advertised})"
        ));
    }
    Ok(JsonWebKeySummary {
        key_id: text("kid").map(bounded),
        key_type: key_type.to_owned(),
        algorithm: text("alg").map(bounded),
    })
}

/// Significant bits of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let significant = number.iter().skip_while(|byte| **byte == 0).count();
    match number.get(number.len() - significant) {
        Some(first) => significant * 8 - first.leading_zeros() as usize,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER_URL: &str = "https://dex.example.com/dex";

    fn document() -> Value {
        // What Dex 2.45.1 answers.
        json!({
            "issuer": ISSUER_URL,
            "authorization_endpoint": "https://dex.example.com/dex/auth",
            "token_endpoint": "https://dex.example.com/dex/token",
            "jwks_uri": "https://dex.example.com/dex/keys",
            "userinfo_endpoint": "https://dex.example.com/dex/userinfo",
            "device_authorization_endpoint": "https://dex.example.com/dex/device/code",
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256", "plain"],
            "scopes_supported": ["openid", "email", "groups", "profile", "offline_access"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        })
    }

    fn read(document: &Value, insecure_endpoints_allowed: bool) -> Result<Discovery, IssuerError> {
        let url = "https://dex.example.com/dex/.well-known/openid-configuration";
        parse_discovery(
            &serde_json::to_vec(document).unwrap(),
            Expected {
                issuer: ISSUER_URL,
                field: "issuerURL",
                url,
                insecure_endpoints_allowed,
            },
        )
    }

    fn with(member: &str, value: Value) -> Value {
        let mut document = document();
        document[member] = value;
        document
    }

    #[test]
    fn reads_what_dex_answers() {
        let discovery = read(&document(), false).unwrap();
        assert_eq!(discovery.endpoints.token, "https://dex.example.com/dex/token");
        assert_eq!(discovery.endpoints.end_session, None);
        assert!(discovery.grant_types.unwrap().contains("refresh_token"));
        assert!(discovery.signing_algorithms.contains("RS256"));
    }

    #[test]
    fn the_issuer_is_compared_byte_for_byte() {
        for (found, hint) in [
            ("https://dex.example.com/dex/", "trailing slash"),
            ("https://DEX.example.com/dex", "upper and lower case"),
            ("https://login.example.com/{tenantid}/v2.0", "one tenant"),
            ("https://other.example.com", "the right issuer"),
        ] {
            let error = read(&with("issuer", json!(found)), false).unwrap_err();
            let message = error.to_string();
            assert_eq!(error.reason(), "IssuerMismatch");
            assert!(
                message.contains(found) && message.contains(ISSUER_URL) && message.contains(hint),
                "{message}"
            );
        }
    }

    #[test]
    fn every_required_member_is_required() {
        for member in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "response_types_supported",
            "subject_types_supported",
            "id_token_signing_alg_values_supported",
        ] {
            let mut without = document();
            without.as_object_mut().unwrap().remove(member);
            for document in [without, with(member, Value::Null)] {
                let error = read(&document, false).unwrap_err();
                assert!(
                    matches!(error, IssuerError::Missing { member: missing } if missing == member),
                    "{error}"
                );
                assert_eq!(error.reason(), "InvalidDocument");
            }
            assert!(matches!(
                read(&with(member, json!(7)), false),
                Err(IssuerError::Malformed { .. })
            ));
        }
    }

    #[test]
    fn plain_http_needs_permission_even_on_loopback() {
        let document = with("userinfo_endpoint", json!("http://127.0.0.1/userinfo"));
        let error = read(&document, false).unwrap_err();
        assert!(error.to_string().contains("insecureTransport"), "{error}");
        assert_eq!(error.reason(), "InsecureEndpoint");
        assert!(read(&document, true).is_ok());
    }

    #[test]
    fn endpoints_are_plain_absolute_urls() {
        for url in [
            "/token",
            "ftp://x/token",
            "https://u:p@x/token",
            "https://x/token#f",
            "mailto:a@b",
            "https:",
        ] {
            let error = read(&with("token_endpoint", json!(url)), true).unwrap_err();
            assert!(matches!(error, IssuerError::Malformed { .. }), "{url}: {error}");
        }
    }

    #[test]
    fn anything_but_an_object_is_refused() {
        for body in ["", "<html>", "[]", "\"x\"", "{\"issuer\":"] {
            let expected = Expected {
                issuer: ISSUER_URL,
                field: "issuerURL",
                url: "https://x",
                insecure_endpoints_allowed: false,
            };
            assert!(
                matches!(
                    parse_discovery(body.as_bytes(), expected),
                    Err(IssuerError::NotJson { .. })
                ),
                "{body}"
            );
        }
    }

    fn rsa(bits: usize) -> Value {
        json!({"kty": "RSA", "kid": "r", "alg": "RS256", "use": "sig", "e": "AQAB",
               "n": URL_SAFE_NO_PAD.encode(vec![0xff_u8; bits / 8])})
    }

    fn ec(curve: &str, length: usize) -> Value {
        let coordinate = URL_SAFE_NO_PAD.encode(vec![1_u8; length]);
        json!({"kty": "EC", "crv": curve, "x": coordinate, "y": coordinate})
    }

    fn keys(keys: &[Value], algorithms: &[&str]) -> Result<Vec<JsonWebKeySummary>, IssuerError> {
        let algorithms = algorithms.iter().map(|a| (*a).to_owned()).collect();
        parse_jwks(
            &serde_json::to_vec(&json!({ "keys": keys })).unwrap(),
            "https://x/keys",
            &algorithms,
        )
    }

    #[test]
    fn signature_keys_are_usable() {
        assert_eq!(keys(&[rsa(2048)], &["RS256"]).unwrap()[0].key_id.as_deref(), Some("r"));
        assert_eq!(
            keys(&[rsa(4096), ec("P-256", 32)], &["PS512", "ES256"]).unwrap().len(),
            2
        );
        assert_eq!(keys(&[ec("P-384", 48)], &["ES384"]).unwrap().len(), 1);
        assert_eq!(keys(&[ec("P-521", 66)], &["ES512"]).unwrap().len(), 1);
        let mut verifying = rsa(2048);
        verifying["key_ops"] = json!(["verify"]);
        assert_eq!(keys(&[verifying], &["RS256"]).unwrap().len(), 1);
    }

    #[test]
    fn the_rest_is_skipped_with_a_reason() {
        let mut encryption = rsa(2048);
        encryption["use"] = json!("enc");
        let mut wrapping = rsa(2048);
        wrapping["key_ops"] = json!(["wrapKey"]);
        for (key, reason) in [
            (encryption.clone(), "for encryption"),
            (wrapping, "key_ops"),
            (rsa(1024), "1024 bits"),
            (json!({"kty": "RSA"}), "0 bits"),
            (ec("secp256k1", 32), "another curve"),
            (ec("P-256", 31), "malformed"),
            (json!({"kty": "oct", "k": "x"}), "oct"),
            (json!("key"), "type"),
            (ec("P-384", 48), "advertised"),
        ] {
            let error = keys(&[key], &["RS256", "ES256"]).unwrap_err();
            assert!(error.to_string().contains(reason), "{error} should contain {reason}");
            assert_eq!(error.reason(), "NoUsableKey");
        }
        assert_eq!(keys(&[encryption, rsa(2048)], &["RS256"]).unwrap().len(), 1);
    }

    #[test]
    fn keys_may_be_absent() {
        let none = parse_jwks(b"{}", "https://x/keys", &BTreeSet::new()).unwrap_err();
        assert!(none.to_string().contains("HS256"), "{none}");
    }

    #[test]
    fn bits_are_counted_without_leading_zeros() {
        assert_eq!(bits(&[]), 0);
        assert_eq!(bits(&[0, 0]), 0);
        assert_eq!(bits(&[0, 1]), 1);
        assert_eq!(bits(&[0x80, 0]), 16);
    }

    #[test]
    fn statuses_tell_what_to_do() {
        let status = |status, location: Option<&str>| IssuerError::Status {
            url: "https://x".to_owned(),
            status,
            location: location.map(str::to_owned),
        };
        assert!(status(404, None).to_string().contains("check issuerURL"));
        assert!(status(302, Some("https://y")).to_string().contains("https://y"));
        assert_eq!(status(503, None).reason(), "ServerError");
        assert!(status(503, None).is_transient());
        assert!(!status(404, None).is_transient());
    }
}
