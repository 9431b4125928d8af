//! Values that the operator makes up beside the client secret: session keys, cookie secrets. Made once, kept in the output
//! Secret, and made anew only when they are lost, edited, or wanted in another shape.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::{Data, formats};
use crate::{
    api::client::{Alphabet, Outputs},
    domain::{ClientSecret, digest},
};

/// Length of a generated value unless `generate[].length` says otherwise.
pub const DEFAULT_LENGTH: usize = 32;

/// Generated values by key. `Debug` shows the keys only; equality is of the values.
#[derive(Clone, Default)]
pub struct Generated(BTreeMap<String, SecretString>);

/// How a value looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// So many characters of an alphabet.
    Characters(Alphabet, usize),
    /// So many bytes, in base64url without padding (RFC 4648, section 5).
    Bytes(usize),
}

impl Alphabet {
    fn characters(self) -> &'static [u8] {
        match self {
            Self::Alphanumeric => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Hex => b"0123456789abcdef",
            Self::Base64URL => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
        }
    }
}

impl Shape {
    /// A value of this shape. The same seed and key give the same value: the seed must be fresh.
    fn make(self, seed: &ClientSecret, key: &str) -> SecretString {
        let mut stream = Stream::new(seed, key);
        SecretString::from(match self {
            Self::Characters(alphabet, length) => {
                let characters = alphabet.characters();
                // Only bytes below a multiple of the alphabet's size, so that each character is as likely as any other.
                let bound = 256 - 256 % characters.len();
                let usable = std::iter::from_fn(|| Some(usize::from(stream.next_byte()))).filter(|byte| *byte < bound);
                usable
                    .take(length)
                    .filter_map(|byte| characters.get(byte % characters.len()))
                    .map(|byte| char::from(*byte))
                    .collect::<String>()
            }
            Self::Bytes(length) => {
                let bytes: Vec<u8> = (0..length).map(|_| stream.next_byte()).collect();
                URL_SAFE_NO_PAD.encode(bytes)
            }
        })
    }

    /// Could this value have been made in this shape?
    fn fits(self, value: &str) -> bool {
        match self {
            Self::Characters(alphabet, length) => {
                value.len() == length && value.bytes().all(|byte| alphabet.characters().contains(&byte))
            }
            Self::Bytes(length) => URL_SAFE_NO_PAD.decode(value).is_ok_and(|bytes| bytes.len() == length),
        }
    }
}

/// An endless stream of bytes that a seed gives: sha256 in counter mode.
struct Stream {
    start: Sha256,
    counter: u64,
    block: Vec<u8>,
}

impl Stream {
    fn new(seed: &ClientSecret, key: &str) -> Self {
        let mut start = Sha256::new();
        start.update((key.len() as u64).to_be_bytes());
        start.update(key.as_bytes());
        start.update(seed.expose().as_bytes());
        Self {
            start,
            counter: 0,
            block: Vec::new(),
        }
    }

    fn next_byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.block.pop() {
                return byte;
            }
            let mut hasher = self.start.clone();
            hasher.update(self.counter.to_be_bytes());
            self.counter += 1;
            self.block = hasher.finalize().to_vec();
        }
    }
}

/// What a spec wants made up, by key: its formats' and its own.
pub fn wanted(spec: Option<&Outputs>) -> BTreeMap<String, Shape> {
    let of_formats = formats::chosen(spec)
        .into_iter()
        .flat_map(|format| format.generates())
        .map(|(key, shape)| ((*key).to_owned(), *shape));
    let own = spec
        .and_then(|outputs| outputs.secret.as_ref()?.generate.as_ref())
        .into_iter()
        .flatten()
        .map(|value| {
            let length = value
                .length
                .and_then(|length| usize::try_from(length).ok())
                .unwrap_or(DEFAULT_LENGTH);
            let alphabet = value.alphabet.unwrap_or_default();
            (value.key.clone(), Shape::Characters(alphabet, length))
        });
    own.chain(of_formats).collect()
}

impl Generated {
    /// The wanted values: kept where `held` has them in the wanted shape, made from `seed` where not.
    pub fn complete(wanted: &BTreeMap<String, Shape>, held: &Self, seed: &ClientSecret) -> Self {
        Self(
            wanted
                .iter()
                .map(|(key, shape)| {
                    let kept = held.get(key).filter(|value| shape.fits(value));
                    let value = kept.map_or_else(|| shape.make(seed, key), SecretString::from);
                    (key.clone(), value)
                })
                .collect(),
        )
    }

    /// Those of `record` that stand in `data` as they were made, each key with `prefix` before it.
    pub fn intact(data: &Data, record: &str, prefix: &str) -> Self {
        let value = |entry: &str| {
            let (key, digest) = entry.split_once(':')?;
            let bytes = data.get(&format!("{prefix}{key}"))?;
            let text = String::from_utf8(bytes.clone()).ok()?;
            (digest::sha256_hex(bytes) == digest).then(|| (key.to_owned(), SecretString::from(text)))
        };
        Self(record.split(' ').filter_map(value).collect())
    }

    /// Which values there are, without the values: `<key>:<sha256>` each, as the output Secret's annotation holds them.
    pub fn record(&self) -> String {
        let entries = self
            .iter()
            .map(|(key, value)| format!("{key}:{}", digest::sha256_hex(value.as_bytes())));
        entries.collect::<Vec<_>>().join(" ")
    }

    /// One value.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(SecretString::expose_secret)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.expose_secret()))
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys of `record` that are not among these.
    pub fn missing<'a>(&self, record: &'a str) -> Vec<&'a str> {
        record
            .split(' ')
            .filter_map(|entry| Some(entry.split_once(':')?.0))
            .filter(|key| self.get(key).is_none())
            .collect()
    }
}

impl PartialEq for Generated {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Generated {}

impl std::fmt::Debug for Generated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> BTreeMap<String, Shape> {
        BTreeMap::from([
            ("hex".to_owned(), Shape::Characters(Alphabet::Hex, 48)),
            ("cookie".to_owned(), Shape::Bytes(32)),
        ])
    }

    #[test]
    fn values_have_their_shape_and_differ_by_key_and_seed() {
        let (one, two) = (ClientSecret::generate(), ClientSecret::generate());
        let mut wanted = shapes();
        wanted.insert("other".to_owned(), Shape::Characters(Alphabet::Hex, 48));
        let made = Generated::complete(&wanted, &Generated::default(), &one);
        for (key, shape) in &wanted {
            assert!(made.get(key).is_some_and(|value| shape.fits(value)), "{key}");
        }
        assert_ne!(made.get("hex"), made.get("other"));
        assert_eq!(made, Generated::complete(&wanted, &Generated::default(), &one));
        assert_ne!(made, Generated::complete(&wanted, &Generated::default(), &two));
    }

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_made_anew() {
        let (one, two) = (ClientSecret::generate(), ClientSecret::generate());
        let held = Generated::complete(&shapes(), &Generated::default(), &one);
        let mut wanted = shapes();
        wanted.insert("hex".to_owned(), Shape::Characters(Alphabet::Hex, 64));
        let next = Generated::complete(&wanted, &held, &two);
        assert_eq!(next.get("cookie"), held.get("cookie"));
        assert_eq!(next.get("hex").map(str::len), Some(64));
        assert_eq!(next.keys().collect::<Vec<_>>(), ["cookie", "hex"]);
    }

    #[test]
    fn each_character_of_an_alphabet_turns_up() {
        let seed = ClientSecret::new("a seed");
        for alphabet in [Alphabet::Alphanumeric, Alphabet::Hex, Alphabet::Base64URL] {
            let value = Shape::Characters(alphabet, 4096).make(&seed, "k");
            let value = value.expose_secret();
            assert_eq!(value.len(), 4096);
            assert!(
                alphabet
                    .characters()
                    .iter()
                    .all(|byte| value.contains(char::from(*byte)))
            );
        }
    }

    #[test]
    fn only_what_stands_as_it_was_made_is_intact() {
        let made = Generated::complete(&shapes(), &Generated::default(), &ClientSecret::new("seed"));
        let record = made.record();
        assert!(!record.contains(made.get("hex").unwrap_or("hex")));
        let mut data: Data = made
            .iter()
            .map(|(key, value)| (format!("g.{key}"), value.as_bytes().to_vec()))
            .collect();
        assert_eq!(Generated::intact(&data, &record, "g."), made);
        data.insert("g.hex".to_owned(), b"edited".to_vec());
        let intact = Generated::intact(&data, &record, "g.");
        assert_eq!(intact.keys().collect::<Vec<_>>(), ["cookie"]);
        assert_eq!(intact.missing(&record), ["hex"]);
        assert!(Generated::intact(&data, "", "g.").is_empty());
    }

    #[test]
    fn debug_hides_the_values() {
        let made = Generated::complete(&shapes(), &Generated::default(), &ClientSecret::new("seed"));
        assert_eq!(format!("{made:?}"), r#"{"cookie", "hex"}"#);
    }
}
