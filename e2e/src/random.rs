//! Values that nobody can guess.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};

/// 32 characters that are safe in URLs and files (192 bits).
pub(crate) fn token() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(bytes::<24>()?))
}

/// Any number of random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok().context("no random bytes")?;
    Ok(bytes)
}

/// Eight hexadecimal digits, to tell runs apart that share a server.
///
/// # Errors
/// The system has no random bytes.
pub fn tag() -> Result<String> {
    Ok(format!("{:08x}", u32::from_be_bytes(bytes::<4>()?)))
}
