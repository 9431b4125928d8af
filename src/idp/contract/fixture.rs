//! What the cases need to know of a server.

use crate::{
    domain::{ClientSecret, DesiredClient, Endpoints, Mark, MarkUid, OwnerId, ProviderFacts, ResourceName},
    idp::Driver,
};

/// What the cases need to know.
pub struct Fixture {
    prefix: String,
    owner: OwnerId,
    pub(super) endpoints: Option<Endpoints>,
    pub(super) page: usize,
    pub(super) facts: Option<ProviderFacts>,
    pub(super) plain_basic: bool,
    pub(super) altered: &'static [&'static str],
    pub(super) stranger: Option<Box<dyn Driver>>,
    pub(super) silent: Option<Box<dyn Driver>>,
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Fixture {
    /// Client IDs start with `prefix`: give each run its own where runs share a server. Without `endpoints` nothing is
    /// proven at the token endpoint.
    pub fn new(prefix: impl Into<String>, endpoints: Option<Endpoints>) -> Self {
        Self {
            prefix: prefix.into(),
            // The only way to fail is an illegal constant.
            owner: OwnerId::new("contract-suite").unwrap_or_else(|_| unreachable!("a legal owner id")),
            endpoints,
            page: 2,
            facts: None,
            plain_basic: false,
            altered: &[],
            stranger: None,
            silent: None,
        }
    }

    /// Marks name this owner: give each run its own where a server wants marks to be unique.
    #[must_use]
    pub fn with_owner(mut self, owner: OwnerId) -> Self {
        self.owner = owner;
        self
    }

    /// The list shows so many clients on a page: enough are made to fill more than one.
    #[must_use]
    pub fn with_page(mut self, page: usize) -> Self {
        self.page = page;
        self
    }

    /// What is known of the server: variants of a client that its model refuses there are not tried.
    #[must_use]
    pub fn with_facts(mut self, facts: ProviderFacts) -> Self {
        self.facts = Some(facts);
        self
    }

    /// The server reads Basic credentials as they are, and not form-encoded as RFC 6749, section 2.3.1, wants it: odd ones are
    /// good in the body of a request only.
    #[must_use]
    pub fn with_plain_basic(mut self) -> Self {
        self.plain_basic = true;
        self
    }

    /// The server registers these fields otherwise than it is asked to, and says so.
    #[must_use]
    pub fn with_altered(mut self, fields: &'static [&'static str]) -> Self {
        self.altered = fields;
        self
    }

    /// A driver for the same server with credentials that it does not accept.
    #[must_use]
    pub fn with_stranger(mut self, driver: Box<dyn Driver>) -> Self {
        self.stranger = Some(driver);
        self
    }

    /// A driver, of a short timeout, for a server that accepts connections and never answers.
    #[must_use]
    pub fn with_silent(mut self, driver: Box<dyn Driver>) -> Self {
        self.silent = Some(driver);
        self
    }

    /// A confidential client as most are, and its secret.
    pub fn client(&self, name: &str) -> (DesiredClient, ClientSecret) {
        let mark = self.mark(name, MarkUid::Uid("1b671a64-40d5-491e-99b0-da01ff1f3341".to_owned()));
        let client = DesiredClient {
            display_name: Some("Contract".to_owned()),
            logo_uri: Some("https://app.example.com/logo.png".to_owned()),
            redirect_uris: vec!["https://app.example.com/callback".to_owned()],
            ..DesiredClient::new(format!("{}_{name}", self.prefix), mark)
        };
        (client, ClientSecret::generate())
    }

    pub(super) fn mark(&self, name: &str, uid: MarkUid) -> Mark {
        Mark {
            owner: self.owner.clone(),
            client: ResourceName::new("contract", name),
            uid,
        }
    }
}
