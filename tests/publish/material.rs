//! One client and one provider that every test renders.

use std::collections::BTreeSet;

use oidc_operator::{
    api::client::Outputs,
    domain::{
        ClientSecret, DesiredClient, Mark, MarkUid, OwnerId, ProviderFacts, ResourceName, TokenEndpointAuthMethod,
        facts::{Discovery, Endpoints},
    },
    publish::{self, Data, Generated, Material, RenderError},
};
use serde_json::Value;

/// What an output is rendered from.
pub struct Given {
    pub desired: DesiredClient,
    pub scopes: Vec<String>,
    pub facts: ProviderFacts,
    pub outputs: Outputs,
}

pub const SECRET: &str = "s3cr3t-s3cr3t-s3cr3t";

/// The key of RFC 7517, appendix A.2.
pub const KEY: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg870MB6gfuTJ4HtUn
UvYMyJpr5eUZNP4Bk43bVdj3eAGhRANCAAQwoEJM0hwpRIOKLXXJKzfnbqINnwCJ
OjtO7oo8Cq/sPuBLZekkVtmIi1Kzeb371R7oae8fD8ZbZllpW2zOCBcj
-----END PRIVATE KEY-----
";

/// A Keycloak client with `spec.outputs` as given.
pub fn given(outputs: Value) -> Given {
    let issuer = "https://sso.example.com/realms/apps";
    let mark = Mark {
        owner: OwnerId::new("cluster").expect("an owner id"),
        client: ResourceName::new("shop", "shop"),
        uid: MarkUid::Uid("uid".to_owned()),
    };
    let mut desired = DesiredClient::new("shop".to_owned(), mark);
    desired.redirect_uris = [
        "https://shop.example.com/auth/callback",
        "http://localhost:5000/callback",
    ]
    .map(str::to_owned)
    .to_vec();
    Given {
        desired,
        scopes: ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        facts: ProviderFacts {
            provider_type: "Keycloak",
            discovery: Discovery {
                issuer: issuer.to_owned(),
                url: format!("{issuer}/.well-known/openid-configuration"),
                endpoints: Endpoints {
                    authorization: format!("{issuer}/auth"),
                    token: format!("{issuer}/token"),
                    userinfo: Some(format!("{issuer}/userinfo")),
                    jwks: format!("{issuer}/certs"),
                    end_session: Some(format!("{issuer}/logout")),
                    ..Endpoints::default()
                },
                code_challenge_methods: BTreeSet::from(["S256".to_owned()]),
                ..Discovery::default()
            },
            username_claim: "preferred_username".to_owned(),
            ca_bundle: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_owned(),
            ..ProviderFacts::default()
        },
        outputs: serde_json::from_value(outputs).expect("spec.outputs"),
    }
}

impl Given {
    /// A client that authenticates with a private key.
    pub fn with_key(mut self) -> Self {
        self.desired.auth_method = TokenEndpointAuthMethod::PrivateKeyJwt;
        self
    }

    /// An issuer whose endpoints were given by hand.
    pub fn without_discovery(mut self) -> Self {
        self.facts.discovery.url = String::new();
        self
    }

    fn with<T>(&self, render: impl Fn(&Material<'_>) -> T) -> T {
        let credential = if self.desired.has_key() { KEY } else { SECRET };
        let (secret, seed) = (ClientSecret::new(credential), ClientSecret::new("seed"));
        let wanted = publish::generate::wanted(Some(&self.outputs));
        let generated = Generated::complete(&wanted, &Generated::default(), &seed);
        render(&Material {
            desired: &self.desired,
            requested_scopes: &self.scopes,
            facts: &self.facts,
            spec: Some(&self.outputs),
            secret: Some(&secret),
            generated: &generated,
        })
    }

    pub fn secret(&self) -> Result<Data, RenderError> {
        self.with(publish::secret)
    }

    pub fn config_map(&self) -> Result<Data, RenderError> {
        self.with(publish::config_map)
    }
}

/// The data as text.
pub fn text(data: &Data, key: &str) -> String {
    let value = data
        .get(key)
        .unwrap_or_else(|| panic!("no key {key} in {:?}", data.keys()));
    String::from_utf8(value.clone()).expect("text")
}
