//! The identity provider of a scenario, as the loops see it from outside.

use std::collections::BTreeMap;

use anyhow::Result;
use oidc_operator::domain::ResourceName;
use oidc_operator_e2e::scene::Idp;

/// A client, as an identity provider shows it.
pub(crate) struct Shown {
    /// All but the secret, without what differs from run to run, a line for each setting.
    pub(crate) settings: Vec<String>,
    /// The client secret, where there is one.
    pub(crate) secret: Option<String>,
}

/// What the loops ask of an identity provider.
pub(crate) trait Server: Idp + 'static {
    /// A point in time at the provider.
    type Mark;

    /// The client.
    ///
    /// # Errors
    /// It cannot be asked, or has more than this one client of the scenario.
    async fn client(&self, client_id: &str) -> Result<Option<Shown>>;

    /// Does its token endpoint take this secret?
    async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool>;

    /// Now.
    async fn mark(&self) -> Result<Self::Mark>;

    /// How many writes of the operator it has carried out since then, by kind, where that can be told.
    async fn writes_since(&self, mark: Self::Mark) -> Result<BTreeMap<String, usize>>;

    /// Removes what a scenario has left, so that the next one finds nothing.
    async fn clear(&self, client_id: &str) -> Result<()>;
}

/// A provider of the stage: the server, and the OIDCProvider for it.
pub(crate) struct Subject<P: 'static> {
    pub(crate) server: &'static P,
    pub(crate) provider: ResourceName,
}

impl<P> Clone for Subject<P> {
    fn clone(&self) -> Self {
        Self {
            server: self.server,
            provider: self.provider.clone(),
        }
    }
}
