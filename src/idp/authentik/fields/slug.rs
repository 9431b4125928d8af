//! The slug of a client's application.

use sha2::{Digest as _, Sha256};

/// Slugs longer than this were refused before 2025.12.
const MAX_SLUG: usize = 50;
/// Paths of authentik's own beside the applications (`/application/o/authorize/`).
const RESERVED_SLUGS: &[&str] = &[
    "authorize",
    "token",
    "device",
    "userinfo",
    "introspect",
    "revoke",
    "register",
    "end-session",
];

/// The slug of a client's application: its client ID, with what a slug cannot hold as `-` and two hex digits.
pub fn slug(client_id: &str) -> String {
    let mut slug = String::new();
    for byte in client_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => slug.push(char::from(byte)),
            _ => slug.push_str(&format!("-{byte:02x}")),
        }
    }
    if slug.len() <= MAX_SLUG && !RESERVED_SLUGS.contains(&slug.as_str()) {
        return slug;
    }
    let digest = Sha256::digest(client_id.as_bytes());
    let hash: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    slug.truncate(MAX_SLUG - 1 - hash.len());
    format!("{slug}-{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_client_ids_where_they_can_be() {
        for (client_id, expected) in [
            ("shop_web-1", "shop_web-1"),
            ("Shop", "Shop"),
            ("a.b", "a-2eb"),
            ("a b/é", "a-20b-2f-c3-a9"),
        ] {
            assert_eq!(slug(client_id), expected);
        }
        let longest = "x".repeat(50);
        assert_eq!(slug(&longest), longest);
    }

    #[test]
    fn slugs_are_short_and_never_the_servers_own() {
        let (one, other) = (
            slug(&format!("{}1", "x".repeat(50))),
            slug(&format!("{}2", "x".repeat(50))),
        );
        assert_eq!((one.len(), other.len()), (50, 50));
        assert_ne!(one, other);
        for reserved in RESERVED_SLUGS {
            let slug = slug(reserved);
            assert!(slug.starts_with(&format!("{reserved}-")), "{slug}");
            assert_eq!(slug.len(), reserved.len() + 9);
        }
        // Escapes count, too.
        assert_eq!(slug(&"é".repeat(20)).len(), 50);
    }
}
