//! sha256 over bytes and over key-value data, in one stable form.

use std::{collections::BTreeMap, fmt::Write as _};

use sha2::{Digest as _, Sha256};

/// Lower-case hex of the sha256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// The digest of key-value data. Lengths go in beside the bytes, so that no two maps share one text.
pub fn of_data<'a, V: AsRef<[u8]> + 'a>(data: impl IntoIterator<Item = (&'a String, &'a V)>) -> String {
    let sorted: BTreeMap<&String, &V> = data.into_iter().collect();
    let mut hasher = Sha256::new();
    for (key, value) in sorted {
        hasher.update((key.len() as u64).to_be_bytes());
        hasher.update(key.as_bytes());
        hasher.update((value.as_ref().len() as u64).to_be_bytes());
        hasher.update(value.as_ref());
    }
    hasher
        .finalize()
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_keys_from_values() {
        let a = BTreeMap::from([("a".to_owned(), b"bc".to_vec())]);
        let b = BTreeMap::from([("ab".to_owned(), b"c".to_vec())]);
        assert_ne!(of_data(&a), of_data(&b));
        assert_eq!(
            sha256_hex(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
