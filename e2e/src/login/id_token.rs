//! Verification of an ID token (OpenID Connect Core 1.0, section 3.1.3.7), RS256 only.

use anyhow::{Context, Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
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
    ensure!(header["alg"] == "RS256", "signed with {}", header["alg"]);

    let keys = keys["keys"].as_array().context("no keys in the JWKS")?;
    let key = keys
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .context("the JWKS does not have its key")?;
    let number = |name: &str| -> Result<Vec<u8>> {
        Ok(URL_SAFE_NO_PAD.decode(key[name].as_str().with_context(|| format!("no {name} in the key"))?)?)
    };
    let key = RsaPublicKeyComponents {
        n: number("n")?,
        e: number("e")?,
    };
    let signature = URL_SAFE_NO_PAD.decode(signature)?;
    key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature)
        .map_err(|_unspecified| anyhow!("the signature is wrong"))?;

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

fn decode(part: &str) -> Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part)?)?)
}
