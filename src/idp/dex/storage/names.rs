//! Names of OAuth2Client objects: Dex's own encoding of client IDs (`storage/kubernetes/client.go`, `idToName`).
//!
//! Dex looks for a client under this name, and nowhere else. The encoding is lower-case base32 of the ID followed by eight
//! constant bytes: Dex hands the ID to `Sum` of an FNV hash, and in Go that appends the digest of what was hashed so far, which is
//! nothing. So the ID can be read back, and no two have the same name.

use data_encoding::BASE32_NOPAD;

/// The offset basis of FNV-1, 64 bits: the digest of nothing.
const DIGEST_OF_NOTHING: [u8; 8] = [0xcb, 0xf2, 0x9c, 0xe4, 0x84, 0x22, 0x23, 0x25];

/// Longest client ID that can be kept, in bytes: the name of an object has 253 characters at most.
pub(super) const MAX_CLIENT_ID: usize = 150;

/// The name of the object that holds a client; `None` where the ID is too long for Kubernetes, and so for Dex.
pub(super) fn object_name(client_id: &str) -> Option<String> {
    if client_id.len() > MAX_CLIENT_ID {
        return None;
    }
    let bytes = [client_id.as_bytes(), &DIGEST_OF_NOTHING].concat();
    Some(BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

/// The client ID under which Dex finds the object of this name; `None`: under none.
pub(super) fn client_id(object_name: &str) -> Option<String> {
    if object_name.chars().any(|c| c.is_ascii_uppercase()) {
        return None;
    }
    let bytes = BASE32_NOPAD.decode(object_name.to_ascii_uppercase().as_bytes()).ok()?;
    let id = bytes.strip_suffix(DIGEST_OF_NOTHING.as_slice())?;
    String::from_utf8(id.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_dexs_own() {
        // From a running Dex 2.45.1.
        let name = "mv4gc3lqnrss2ylqodf7fhheqqrcgji";
        assert_eq!(object_name("example-app").as_deref(), Some(name));
        assert_eq!(client_id(name).as_deref(), Some("example-app"));
    }

    #[test]
    fn what_is_no_name_of_dexs_belongs_to_no_client() {
        for name in [
            "",
            "example-app",
            "mv4gc3lqnrss2ylqoa",
            "MV4GC3LQNRSS2YLQODF7FHHEQQRCGJI",
            // Bits after the end that Dex would never set.
            "mv4gc3lqnrss2ylqodf7fhheqqrcgjj",
        ] {
            assert_eq!(client_id(name), None, "{name}");
        }
    }

    #[test]
    fn the_longest_id_just_fits() {
        let longest = "é".repeat(MAX_CLIENT_ID / 2);
        assert_eq!(object_name(&longest).map(|name| name.len()), Some(253));
        assert_eq!(object_name(&format!("{longest}x")), None);
    }

    proptest! {
        #[test]
        fn every_id_has_a_legal_name_of_its_own(id in "\\PC{0,60}") {
            let Some(name) = object_name(&id) else {
                prop_assert!(id.len() > MAX_CLIENT_ID);
                return Ok(());
            };
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
            prop_assert!(!name.is_empty() && name.len() <= 253 && name.chars().all(legal), "{}", name);
            // Injective: the ID can be read back.
            prop_assert_eq!(client_id(&name), Some(id));
        }
    }
}
