//! Verification of an ID token (OpenID Connect Core 1.0, section 3.1.3.7): RS256 and ES256.

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::error::Unspecified;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

/// What the token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
}

/// The claims of `token`, once all is right with it.
pub(super) fn verify(token: &str, keys: &Value, expected: &Expected<'_>) -> Result<Value> {
    let parts: Vec<&str> = token.split('.').collect();
    let &[header, payload, signature] = parts.as_slice() else {
        return Err(anyhow!("not a signed JWT"));
    };
    let signed = &token[..header.len() + 1 + payload.len()];
    let header = decode(header)?;
    let keys = keys["keys"].as_array().context("no keys in the JWKS")?;
    let key = keys
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .context("the JWKS does not have its key")?;
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    check(key, &header["alg"], signed.as_bytes(), &signature)?;

    let claims = decode(payload)?;
    ensure!(claims["iss"] == expected.issuer, "iss is {}", claims["iss"]);
    let audience = &claims["aud"];
    let for_us = |value: &Value| value == expected.client_id;
    ensure!(
        for_us(audience) || audience.as_array().is_some_and(|all| all.iter().any(for_us)),
        "aud is {audience}"
    );
    ensure!(
        claims["azp"].is_null() || for_us(&claims["azp"]),
        "azp is {}",
        claims["azp"]
    );
    ensure!(claims["nonce"] == expected.nonce, "nonce is {}", claims["nonce"]);
    let now = Timestamp::now().as_second();
    ensure!(
        claims["exp"].as_i64().is_some_and(|exp| exp > now),
        "exp is {}, now is {now}",
        claims["exp"]
    );
    ensure!(
        claims["iat"].as_i64().is_some_and(|iat| iat <= now + 60),
        "iat is {}, now is {now}",
        claims["iat"]
    );
    Ok(claims)
}

/// Whether `key` of a JWKS (RFC 7518, section 6) made the signature.
fn check(key: &Value, algorithm: &Value, signed: &[u8], signature: &[u8]) -> Result<()> {
    let number = |name: &str| -> Result<Vec<u8>> {
        Ok(URL_SAFE_NO_PAD.decode(key[name].as_str().with_context(|| format!("no {name} in the key"))?)?)
    };
    let outcome: Result<(), Unspecified> = match algorithm.as_str() {
        Some("RS256") => {
            let (n, e) = (number("n")?, number("e")?);
            RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, signed, signature)
        }
        Some("ES256") => {
            ensure!(key["crv"] == "P-256", "the key is of {}", key["crv"]);
            // An uncompressed point (SEC 1, section 2.3.3).
            let point = [vec![4], number("x")?, number("y")?].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed, signature)
        }
        _ => bail!("signed with {algorithm}"),
    };
    outcome.map_err(|Unspecified| anyhow!("the signature is wrong"))
}

fn decode(part: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}
