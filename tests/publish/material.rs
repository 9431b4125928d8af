//! One client and one provider that every test renders.

use std::collections::BTreeSet;

use oidc_operator::{
    api::client::Outputs,
    domain::{
        ClientSecret, DesiredClient, Mark, MarkUid, OwnerId, ProviderFacts, ResourceName,
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
    /// An issuer whose endpoints were given by hand.
    pub fn without_discovery(mut self) -> Self {
        self.facts.discovery.url = String::new();
        self
    }

    fn with<T>(&self, render: impl Fn(&Material<'_>) -> T) -> T {
        let (secret, seed) = (ClientSecret::new(SECRET), ClientSecret::new("seed"));
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
