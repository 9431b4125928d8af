//! Identity providers: one driver a folder, behind one trait.
//!
//! A driver has two halves. The pure half ([`crate::domain::Model`]) says what the provider can do and what must
//! change; the IO half ([`Driver`]) sends one request a call, classifies what came back, and decides nothing.

pub mod authentik;
pub mod by_hand;
pub mod certificate;
pub mod connection;
pub mod contract;
pub mod dex;
mod excluded;
pub mod http;
pub mod issuer;
pub mod keycloak;
pub mod memory;
mod normal_form;
pub mod proof;
pub mod registration;
mod restricted;
#[cfg(test)]
pub(crate) mod testing;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::SecretString;

use crate::domain::{
    ClientSecret, DesiredClient, Effect, Endpoints, IdpError, Mark, Model, ObservedClient, Proof, RemoteDiff,
    TokenEndpointAuthMethod,
};

/// What the server says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// The product (`Dex`).
    pub product: &'static str,
    /// Its version as it tells it, bounded; `DEV` and the like are passed on. Keycloak tells it to few.
    pub version: Option<String>,
    /// The admin API's own version number, where it has one.
    pub api_version: Option<i32>,
    /// May all clients be listed? Found out by trying, where the version does not tell.
    pub bulk_list: bool,
    /// The scopes that a client can be given, where the admin API lists them.
    pub scopes: Option<BTreeSet<String>>,
    /// What ID tokens are signed with, where the admin API tells, and no discovery document of the provider does.
    pub signing_algorithms: Option<BTreeSet<String>>,
}

/// A part of the list of all clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The clients, in the provider's order.
    pub rows: Vec<ObservedClient>,
    /// Is there another page?
    pub more: bool,
}

/// What became of a create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It was made, and looks as [`Model::created`] says.
    Created,
    /// It was made, and looks like this: its identifiers are the server's choice.
    As(Box<ObservedClient>),
    /// Its client ID is taken; by whom must be looked up.
    Taken,
}

/// What became of an update or a delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was done.
    Done,
    /// It was done, and the client looks like this now: an identifier is new.
    As(Box<ObservedClient>),
    /// There is no such client.
    NotFound,
    /// It does not look as it was observed any more, and nothing was done: look again.
    Outdated,
}

/// All clients of a provider, followed: what takes the place of lists where the provider tells of changes by itself.
pub struct Watch {
    /// Who tells.
    pub server: ServerInfo,
    /// What it tells, without end. It mends itself; dropped, it ends.
    pub events: BoxStream<'static, Watched>,
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

/// What a [`Watch`] tells.
#[derive(Clone, Debug)]
pub enum Watched {
    /// All clients, as they are: the first that it tells, and again after each failure.
    Listed {
        /// Before the list was asked for.
        began: Instant,
        /// The clients.
        rows: Vec<WatchedRow>,
    },
    /// One client was made, changed or deleted.
    Changed(WatchedRow),
    /// It does not work now; it goes on trying.
    Failed(IdpError),
}

/// A client, as a watch shows it.
#[derive(Clone, Debug)]
pub struct WatchedRow {
    /// The client ID under which applications find it, whatever the client itself says.
    pub client_id: String,
    /// A number that grows with each change, also with the deletion; as in [`ObservedClient::revision`].
    pub revision: Option<u64>,
    /// How it looks; `None`: it is gone.
    pub client: Option<ObservedClient>,
}

/// Credentials to try at a token endpoint.
#[derive(Clone, Debug)]
pub struct Credentials<'a> {
    /// The client identifier.
    pub client_id: &'a str,
    /// Its secret, or its private key.
    pub secret: &'a ClientSecret,
    /// How the application sends it.
    pub method: TokenEndpointAuthMethod,
    /// A registered redirect URI, where there is one.
    pub redirect_uri: Option<&'a str>,
    /// For whom an assertion is ([`Model::assertion_audience`]).
    pub audience: &'a str,
}

/// The IO half of a driver: one request a call, or several where a client is several objects; then each may be the last one
/// (docs/decisions/0010-authentik-several-requests-a-call.md). Every call ends within the provider's `adminAPI.timeout`.
#[async_trait]
pub trait Driver: Send + Sync {
    /// The pure half.
    fn model(&self) -> &dyn Model;

    /// Asks the admin API for its version: reachable, and are the credentials good?
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn probe(&self) -> Result<ServerInfo, IdpError>;

    /// One page of the list of all clients; the first is page 0. Absence from it is never evidence: what is made or deleted
    /// meanwhile may move a client from one page to another.
    ///
    /// # Errors
    /// [`crate::domain::IdpErrorKind::Unsupported`] where this server cannot; any other [`IdpError`].
    async fn list(&self, page: u32) -> Result<Page, IdpError>;

    /// Follows all clients, where the provider tells of changes by itself; [`Self::probe`] and [`Self::list`] are not called
    /// then.
    fn watch(&self) -> Option<Watch> {
        None
    }

    /// One client by its client ID, or where somebody gave it another one, by what was made for the holder of `mark`;
    /// `None` where there is certainly none.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError>;

    /// One client by the provider's own id of it ([`ObservedClient::remote_id`]), as it was seen once: that of a client which
    /// was taken over from a former life does not follow from `mark`. `None` where there is none, or where only the client ID
    /// is an id. Whose it is, its mark says.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn get_by_id(&self, _remote_id: &str) -> Result<Option<ObservedClient>, IdpError> {
        Ok(None)
    }

    /// Makes the client.
    ///
    /// # Errors
    /// Any [`IdpError`]; unless it [is definite](IdpError::is_definite) the client may exist.
    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError>;

    /// Makes the changes in `diff`, one request's worth ([`Model::next_request`]), on a client that looks as `observed`; it
    /// never asks for a re-creation. Nothing but those fields is written.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError>;

    /// Deletes the client that was just `observed` to be ours.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError>;

    /// Is what was written of a client in effect? From what the driver knows, without a request; where that takes time
    /// ([`Model::takes_effect_later`]).
    fn effect(&self, _client_id: &str) -> Effect {
        Effect::InEffect
    }

    /// Tries credentials at the token endpoint, without a user and without a trace.
    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof;
}

/// How a driver reaches its server.
#[derive(Clone, Debug)]
pub struct Transport {
    /// Deadline of each call.
    pub timeout: Duration,
    /// Trusted roots in PEM; none: the system's.
    pub certificate_authority: Option<String>,
    /// Are the system's roots trusted beside those?
    pub system_roots: bool,
    /// Client certificate and key in PEM, for mutual TLS.
    pub identity: Option<ClientIdentity>,
}

/// A client certificate.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The chain, in PEM.
    pub certificate: String,
    /// The private key, in PEM.
    pub key: SecretString,
}
