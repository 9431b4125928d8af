//! A client of ours as an entry of Dex's `staticClients`.

use std::fmt::Write as _;

use serde::Deserialize;

use super::yaml::{quoted, quoted_list};
use crate::{
    domain::{ClientSecret, Mark, digest},
    idp::dex::proto,
};

/// What the names of all environment variables of ours begin with.
pub const VARIABLE_PREFIX: &str = "OIDC_CLIENT_SECRET_";

/// The environment variable that holds the secret of the client `client_id`, and the key of the same name in the Secret: legal as
/// both whatever the client ID holds, and told apart by 128 bits of its sha256.
pub fn variable(client_id: &str) -> String {
    let digest = digest::sha256_hex(client_id.as_bytes()).to_ascii_uppercase();
    format!("{VARIABLE_PREFIX}{}", &digest[..32])
}

/// An entry, as `storage.Client` of Dex 2.45 reads it. The ownership mark is a trusted peer, as in Dex's gRPC API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StaticClient {
    pub(super) id: String,
    /// Dex requires one.
    pub(super) name: String,
    /// The environment variable with the secret: of a confidential client.
    pub(super) secret_env: Option<String>,
    #[serde(rename = "redirectURIs")]
    pub(super) redirect_uris: Vec<String>,
    pub(super) trusted_peers: Vec<String>,
    pub(super) public: bool,
    #[serde(rename = "logoURL")]
    pub(super) logo_url: String,
}

impl StaticClient {
    /// From the form that Dex's gRPC API takes; the secret of a confidential client stands elsewhere.
    pub(super) fn new(client: &proto::Client) -> Self {
        Self {
            id: client.id.clone(),
            name: if client.name.is_empty() {
                &client.id
            } else {
                &client.name
            }
            .clone(),
            secret_env: (!client.public).then(|| variable(&client.id)),
            redirect_uris: client.redirect_uris.clone(),
            trusted_peers: client.trusted_peers.clone(),
            public: client.public,
            logo_url: client.logo_url.clone(),
        }
    }

    /// In the form that Dex's gRPC API shows, with its secret where there is one.
    pub(super) fn shown(&self, secret: Option<&ClientSecret>) -> proto::Client {
        normal(proto::Client {
            id: self.id.clone(),
            secret: secret
                .filter(|_| !self.public)
                .map(|secret| secret.expose().to_owned())
                .unwrap_or_default(),
            redirect_uris: self.redirect_uris.clone(),
            trusted_peers: self.trusted_peers.clone(),
            public: self.public,
            name: self.name.clone(),
            logo_url: self.logo_url.clone(),
        })
    }

    /// Is it one of ours? What claims to be a mark is enough: that it cannot be read makes it nobody else's.
    pub(super) fn is_marked(&self) -> bool {
        self.trusted_peers.iter().any(|peer| Mark::looks_like_one(peer))
    }

    /// As an item of a block list that stands `indent` columns in. What is not set is not written.
    pub(super) fn write(&self, indent: usize) -> String {
        let space = " ".repeat(indent);
        let mut text = format!("{space}- id: {}\n", quoted(&self.id));
        let mut put = |member: &str, value: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{space}  {member}: {value}");
        };
        put("name", &quoted(&self.name));
        if let Some(variable) = &self.secret_env {
            put("secretEnv", &quoted(variable));
        }
        if self.public {
            put("public", "true");
        }
        for (member, values) in [
            ("redirectURIs", &self.redirect_uris),
            ("trustedPeers", &self.trusted_peers),
        ] {
            if !values.is_empty() {
                put(member, &quoted_list(values));
            }
        }
        if !self.logo_url.is_empty() {
            put("logoURL", &quoted(&self.logo_url));
        }
        text
    }
}

/// A client that shows its own ID as its name has none: Dex requires one.
pub(super) fn normal(mut client: proto::Client) -> proto::Client {
    if client.name == client.id {
        client.name.clear();
    }
    client
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn confidential(id: &str) -> StaticClient {
        StaticClient::new(&proto::Client {
            id: id.to_owned(),
            redirect_uris: vec!["https://app.example.com/cb".to_owned()],
            trusted_peers: vec![format!("oidc-operator.io/c1/shop/{id}/u1")],
            ..proto::Client::default()
        })
    }

    #[test]
    fn variables_are_legal_names() {
        for id in ["web", "shop_web", "1", "a:b c", "漢字 🦀", &"x".repeat(150)] {
            let name = variable(id);
            assert!(name.len() == VARIABLE_PREFIX.len() + 32, "{name}");
            assert!(
                name.chars()
                    .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            );
        }
        assert_ne!(variable("a"), variable("b"));
    }

    #[test]
    fn an_entry_reads_well() {
        let client = proto::Client {
            id: "shop_web".to_owned(),
            name: "Shop".to_owned(),
            logo_url: "https://shop/logo.png".to_owned(),
            redirect_uris: vec!["https://shop/cb".to_owned(), "https://shop/cb2".to_owned()],
            trusted_peers: vec!["oidc-operator.io/c1/shop/web/u1".to_owned()],
            ..proto::Client::default()
        };
        assert_eq!(
            StaticClient::new(&client).write(2),
            format!(
                r#"  - id: "shop_web"
    name: "Shop"
    secretEnv: "{}"
    redirectURIs: ["https://shop/cb", "https://shop/cb2"]
    trustedPeers: ["oidc-operator.io/c1/shop/web/u1"]
    logoURL: "https://shop/logo.png"
"#,
                variable("shop_web")
            )
        );
        let public = proto::Client {
            public: true,
            name: String::new(),
            ..client
        };
        let written = StaticClient::new(&public).write(0);
        assert!(
            written.contains("public: true\n") && !written.contains("secretEnv"),
            "{written}"
        );
        assert!(written.contains("name: \"shop_web\"\n"), "{written}");
    }

    #[test]
    fn a_public_client_shows_no_secret() {
        let entry = StaticClient {
            public: true,
            secret_env: None,
            ..confidential("a")
        };
        assert_eq!(entry.shown(Some(&ClientSecret::new("left over"))).secret, "");
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            prop::sample::select(vec![
                "yes",
                "no",
                "on",
                "null",
                "~",
                "0x1f",
                "1e3",
                "12:30:00",
                "---",
                "...",
                "- a",
                "? b",
                "a: b",
                "#c",
                "&a",
                "*a",
                "!t",
                "|",
                ">",
                "%TAG",
                "@x",
                "`y",
                "{a}",
                "[b",
                "'",
                "\"",
                "\\",
                " lead",
                "trail ",
                "<<",
                "a\r\nb",
                "\u{feff}x",
                "\u{85}",
                "\u{2028}",
                "\u{7f}",
                "=",
                "2001-01-01",
                "$HOME",
                "{{ .x }}",
            ])
            .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #[test]
        fn hostile_values_come_back(
            id in text(),
            name in text(),
            logo in text(),
            uris in prop::collection::vec(text(), 0..4),
            peers in prop::collection::vec(text(), 0..3),
            public in any::<bool>(),
            indent in 0_usize..5,
        ) {
            let entry = StaticClient::new(&proto::Client {
                id, name, public,
                logo_url: logo,
                redirect_uris: uris,
                trusted_peers: peers,
                secret: String::new(),
            });
            let read: Vec<StaticClient> = serde_yaml::from_str(&entry.write(indent)).unwrap();
            prop_assert_eq!(read, vec![entry]);
        }
    }
}
