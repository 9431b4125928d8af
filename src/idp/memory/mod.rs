//! An identity provider in memory, for tests that need no real one: same contract, same quirks on demand, and faults
//! that a real one produces once in a thousand years.
//!
//! The [contract suite](super::contract) runs against it and against the real ones, so that it stays honest.

mod registrar;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use self::registrar::Registrar;
use super::{
    Created, Credentials, Driver, Page, ServerInfo, Written,
    authentik::{AuthentikModel, Settings},
    dex::{DexModel, DexStorageModel, config::DexConfigModel},
    keycloak::KeycloakModel,
    registration::RegistrationModel,
};
use crate::domain::{
    ClientSecret, DesiredClient, Effect, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient,
    ObservedSecret, PrivateKey, Proof, RemoteDiff, TokenEndpointAuthMethod, Validity,
    authentik::{EmailVerified, IssuerMode, SubMode},
    model::SECRET,
};

/// Whom it behaves like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Like {
    /// Dex: secret, type and clearing need a re-creation, an empty value in an update means "leave", lists show no
    /// secrets.
    Dex,
    /// Dex by its Kubernetes storage: everything changes in place, by one request, and lists show secrets.
    DexStorage,
    /// Dex by its configuration: everything changes in place, and where [`MemoryDriver::read_at_start`] says so only with a
    /// roll-out.
    DexConfig,
    /// Keycloak: everything changes in place, scopes and claims by a request each, and lists show secrets.
    Keycloak,
    /// Authentik: identifiers are the server's, and a write shows what it made; claims and the application are changed by a
    /// request each.
    Authentik,
    /// A server with dynamic registration: it names clients and makes their secrets, shows neither again, and gives another token
    /// with each answer.
    Registration,
}

impl Like {
    /// The pure half of the driver that it behaves like.
    pub fn model(self) -> Arc<dyn Model> {
        match self {
            Self::Dex => Arc::new(DexModel),
            Self::DexStorage => Arc::new(DexStorageModel),
            Self::DexConfig => Arc::new(DexConfigModel),
            Self::Keycloak => Arc::new(KeycloakModel::new("memory")),
            Self::Registration => Arc::new(RegistrationModel),
            Self::Authentik => Arc::new(AuthentikModel::new(Settings {
                public_url: "https://idp".to_owned(),
                authorization_flow: "authorize".to_owned(),
                invalidation_flow: "log-out".to_owned(),
                signing_key: "key".to_owned(),
                sub_mode: SubMode::default(),
                issuer_mode: IssuerMode::default(),
                email_verified: EmailVerified::default(),
            })),
        }
    }
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// [`Driver::probe`].
    Probe,
    /// [`Driver::list`].
    List,
    /// [`Driver::get`].
    Get,
    /// [`Driver::create`].
    Create,
    /// [`Driver::update`].
    Update,
    /// [`Driver::delete`].
    Delete,
    /// [`Driver::prove`].
    Prove,
}

impl Operation {
    /// Does it change something?
    pub fn is_write(self) -> bool {
        matches!(self, Self::Create | Self::Update | Self::Delete)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Probe => "Probe",
            Self::List => "List",
            Self::Get => "Get",
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
            Self::Prove => "Prove",
        }
    }
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Nothing was done.
    Before,
    /// All was done, and the answer was lost.
    After,
}

#[derive(Clone, Copy, Debug)]
struct Fault {
    operation: Operation,
    kind: IdpErrorKind,
    when: When,
    left: usize,
}

/// One call that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which.
    pub operation: Operation,
    /// On which client; empty for `Probe` and `List`.
    pub client_id: String,
}

#[derive(Debug)]
struct State {
    /// As Get shows them, by client ID.
    clients: BTreeMap<String, ObservedClient>,
    calls: Vec<Call>,
    faults: Vec<Fault>,
    bulk_list: bool,
    /// May a replaced secret stay valid, as under Keycloak's client policy?
    overlap: bool,
    /// Replaced secrets that are valid, by client ID.
    previous: BTreeMap<String, ClientSecret>,
    /// What the server of [`Like::Registration`] has said so far: its names, secrets and tokens are numbered.
    registrar: Registrar,
    /// The clients as they were at the last start; `None`: they are read all the time.
    read: Option<BTreeMap<String, ObservedClient>>,
    /// Clients whose empty secret is accepted.
    unsafe_clients: BTreeSet<String>,
}

/// The driver.
pub struct MemoryDriver {
    like: Like,
    model: Arc<dyn Model>,
    state: Mutex<State>,
}

impl std::fmt::Debug for MemoryDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryDriver")
            .field("like", &self.like)
            .finish_non_exhaustive()
    }
}

impl MemoryDriver {
    /// An empty one.
    pub fn new(like: Like) -> Self {
        let state = State {
            clients: BTreeMap::new(),
            calls: Vec::new(),
            faults: Vec::new(),
            bulk_list: true,
            overlap: false,
            previous: BTreeMap::new(),
            registrar: Registrar::default(),
            read: None,
            unsafe_clients: BTreeSet::new(),
        };
        Self {
            like,
            model: like.model(),
            state: Mutex::new(state),
        }
    }

    /// From now on lists are not supported, as with Dex on Kubernetes storage.
    pub fn forbid_list(&self) {
        self.state().bulk_list = false;
    }

    /// From now on a replaced secret stays valid where that is asked for, as under Keycloak's client policy.
    pub fn allow_overlap(&self) {
        self.state().overlap = true;
    }

    /// From now on no client can be changed or deleted: a server with RFC 7591 and without RFC 7592.
    pub fn forbid_management(&self) {
        self.state().registrar.create_only = true;
    }

    /// All replaced secrets end: their time is over.
    pub fn end_overlaps(&self) {
        self.state().previous.clear();
    }

    /// The secret before the current one, if it is valid.
    pub fn previous(&self, client_id: &str) -> Option<ClientSecret> {
        self.state().previous.get(client_id).cloned()
    }

    /// From now on clients are read at the start only, as with Dex's configuration. The first one is now.
    pub fn read_at_start(&self) {
        let mut state = self.state();
        state.read = Some(state.clients.clone());
    }

    /// Starts anew, and reads all clients.
    pub fn roll_out(&self) {
        self.read_at_start();
    }

    /// From now on an empty secret is accepted for this client.
    pub fn accept_empty_secret(&self, client_id: &str) {
        self.state().unsafe_clients.insert(client_id.to_owned());
    }

    /// The next `times` calls of `operation` fail. `Prove` answers [`Proof::Unknown`] instead.
    pub fn fail(&self, operation: Operation, kind: IdpErrorKind, when: When, times: usize) {
        self.state().faults.push(Fault {
            operation,
            kind,
            when,
            left: times,
        });
    }

    /// No more faults.
    pub fn heal(&self) {
        self.state().faults.clear();
    }

    /// How often `operation` was called, failures included.
    pub fn count(&self, operation: Operation) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|call| call.operation == operation)
            .count()
    }

    /// How many calls tried to change something.
    pub fn writes(&self) -> usize {
        self.state()
            .calls
            .iter()
            .filter(|call| call.operation.is_write())
            .count()
    }

    /// All calls since the last time, in order.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state().calls)
    }

    /// What is there, in order of client IDs; secrets are shown.
    pub fn clients(&self) -> Vec<ObservedClient> {
        self.state().clients.values().cloned().collect()
    }

    /// One client, behind the driver's back.
    pub fn client(&self, client_id: &str) -> Option<ObservedClient> {
        self.state().clients.get(client_id).cloned()
    }

    /// Puts a client there behind the driver's back: somebody else's, or drift.
    pub fn put(&self, client: ObservedClient) {
        self.state().clients.insert(client.client_id.clone(), client);
    }

    /// Takes a client away behind the driver's back; a provider with volatile storage that restarted.
    pub fn remove(&self, client_id: &str) -> Option<ObservedClient> {
        self.state().clients.remove(client_id)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As a list shows a client.
    fn listed(&self, client: ObservedClient) -> ObservedClient {
        match self.like {
            Like::Dex => ObservedClient {
                secret: ObservedSecret::NotShown,
                ..client
            },
            Like::DexStorage | Like::DexConfig | Like::Keycloak | Like::Authentik | Like::Registration => client,
        }
    }

    /// One call: counted, failed if a fault waits for it, else carried out.
    fn call<T>(
        &self,
        operation: Operation,
        client_id: &str,
        effect: impl FnOnce(&mut State) -> Result<T, IdpError>,
    ) -> Result<T, IdpError> {
        let mut state = self.state();
        state.calls.push(Call {
            operation,
            client_id: client_id.to_owned(),
        });
        let due = state
            .faults
            .iter_mut()
            .find(|fault| fault.operation == operation && fault.left > 0);
        let fault = due.map(|fault| {
            fault.left -= 1;
            *fault
        });
        match fault {
            None => effect(&mut state),
            Some(Fault { kind, when, .. }) => {
                if when == When::After {
                    // Whatever came of it, nobody hears.
                    let _ = effect(&mut state);
                }
                Err(IdpError::new(kind, operation.name(), "a fault of the test"))
            }
        }
    }
}

/// Is the private key one that the client may sign with?
fn signs_for(keys: &BTreeSet<String>, credentials: &Credentials<'_>) -> bool {
    credentials.method == TokenEndpointAuthMethod::PrivateKeyJwt
        && PrivateKey::of(credentials.secret).is_some_and(|key| keys.contains(&key.public().key_id()))
}

/// Clients on a page of the list: few, so that suites see several.
const PAGE: usize = 2;

#[async_trait]
impl Driver for MemoryDriver {
    fn model(&self) -> &dyn Model {
        self.model.as_ref()
    }

    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        self.call(Operation::Probe, "", |state| {
            Ok(ServerInfo {
                product: "Memory",
                version: Some("1".to_owned()),
                api_version: None,
                bulk_list: state.bulk_list,
                signing_algorithms: None,
                scopes: None,
            })
        })
    }

    async fn list(&self, page: u32) -> Result<Page, IdpError> {
        self.call(Operation::List, "", |state| {
            if self.like == Like::Registration {
                return Err(registrar::shows_nothing("List"));
            }
            if !state.bulk_list {
                return Err(IdpError::new(IdpErrorKind::Unsupported, "List", "lists are forbidden"));
            }
            let first = usize::try_from(page).unwrap_or(usize::MAX).saturating_mul(PAGE);
            let rows = state.clients.values().skip(first).take(PAGE).cloned();
            Ok(Page {
                rows: rows.map(|client| self.listed(client)).collect(),
                more: state.clients.len() > first.saturating_add(PAGE),
            })
        })
    }

    async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        if self.like == Like::Registration {
            return self.call(Operation::Get, client_id, |_| Err(registrar::shows_nothing("Get")));
        }
        let made_for = self.model.created(&DesiredClient::new(client_id, mark.clone()), None);
        self.call(Operation::Get, client_id, |state| {
            let renamed = || {
                state
                    .clients
                    .values()
                    .find(|client| client.remote_id == made_for.remote_id || client.marks == made_for.marks)
            };
            Ok(state.clients.get(client_id).or_else(renamed).cloned())
        })
    }

    async fn get_by_id(&self, remote_id: &str) -> Result<Option<ObservedClient>, IdpError> {
        self.call(Operation::Get, remote_id, |state| {
            let found = state.clients.values().find(|client| client.remote_id == remote_id);
            Ok(found.cloned())
        })
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        if self.like == Like::Registration {
            return self.call(Operation::Create, "", |state| {
                let client = state.registrar.register(self.model.as_ref(), desired);
                state.clients.insert(client.client_id.clone(), client.clone());
                Ok(Created::As(Box::new(client)))
            });
        }
        let mut client = self.model.created(desired, secret);
        self.call(Operation::Create, &desired.client_id, |state| {
            if desired.has_secret() && !secret.is_some_and(|secret| desired.takes(secret)) {
                return Err(IdpError::new(
                    IdpErrorKind::Refused,
                    "Create",
                    "a confidential client needs a secret",
                ));
            }
            let chosen_here = client.remote_id.is_empty();
            if chosen_here {
                client.remote_id = format!("id-of-{}", client.client_id);
            }
            let taken =
                |other: &ObservedClient| other.client_id == client.client_id || other.remote_id == client.remote_id;
            if state.clients.values().any(taken) {
                return Ok(Created::Taken);
            }
            state.clients.insert(desired.client_id.clone(), client.clone());
            Ok(if chosen_here {
                Created::As(Box::new(client))
            } else {
                Created::Created
            })
        })
    }

    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        self.call(Operation::Update, &desired.client_id, |state| {
            if diff.recreate {
                return Err(IdpError::new(
                    IdpErrorKind::Unsupported,
                    "Update",
                    "this needs a re-creation",
                ));
            }
            if self.like == Like::Registration {
                let stored = state.clients.get(&observed.client_id);
                let client = state.registrar.change(self.model.as_ref(), stored, observed, desired)?;
                state.clients.insert(client.client_id.clone(), client.clone());
                return Ok(Written::As(Box::new(client)));
            }
            let Some(old) = state.clients.remove(&observed.client_id) else {
                return Ok(Written::NotFound);
            };
            let mut new = old.with(diff, &self.model.created(desired, secret));
            if diff.changes(SECRET) {
                state.previous.remove(&new.client_id);
                match &desired.previous {
                    Some(previous) if state.overlap => {
                        state.previous.insert(new.client_id.clone(), previous.secret.clone());
                    }
                    _ => new.validity = Validity::default(),
                }
            }
            state.clients.insert(new.client_id.clone(), new);
            Ok(Written::Done)
        })
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        self.call(Operation::Delete, &observed.client_id, |state| {
            if self.like == Like::Registration {
                registrar::authenticated("Delete", state.clients.get(&observed.client_id), observed)?;
            }
            match state.clients.remove(&observed.client_id) {
                Some(_) => Ok(Written::Done),
                None => Ok(Written::NotFound),
            }
        })
    }

    fn effect(&self, client_id: &str) -> Effect {
        let state = self.state();
        let read = state.read.as_ref().unwrap_or(&state.clients);
        if read.get(client_id) != state.clients.get(client_id) {
            Effect::NotYet("1 of 2 Pods".to_owned())
        } else if state.unsafe_clients.contains(client_id) {
            Effect::Unsafe("an empty secret is accepted".to_owned())
        } else {
            Effect::InEffect
        }
    }

    async fn prove(&self, credentials: &Credentials<'_>, _endpoints: &Endpoints) -> Proof {
        let proof = self.call(Operation::Prove, credentials.client_id, |state| {
            let clients = state.read.as_ref().unwrap_or(&state.clients);
            let client = clients.get(credentials.client_id);
            let is_current = client.is_some_and(|client| match &client.secret {
                ObservedSecret::Shown(secret) => secret == credentials.secret,
                ObservedSecret::Keys(keys) => signs_for(keys, credentials),
                ObservedSecret::NotShown | ObservedSecret::Absent => false,
            });
            let is_previous = state.previous.get(credentials.client_id) == Some(credentials.secret);
            Ok(if is_current || is_previous {
                Proof::Proven
            } else {
                Proof::Disproven
            })
        });
        proof.unwrap_or_else(|error| Proof::Unknown(error.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idp::contract::{self, Fixture};

    fn failures(report: &contract::Report) -> Vec<String> {
        report.failures().map(|(name, why)| format!("{name}: {why}")).collect()
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        for like in [
            Like::Dex,
            Like::DexStorage,
            Like::DexConfig,
            Like::Keycloak,
            Like::Authentik,
            Like::Registration,
        ] {
            let driver = MemoryDriver::new(like);
            let report = contract::run(&driver, &Fixture::new("test", Some(Endpoints::default()))).await;
            assert_eq!(failures(&report), Vec::<String>::new(), "{like:?}");
            assert_eq!(driver.clients(), [], "{like:?}: the suite cleans up");
        }
    }

    #[tokio::test]
    async fn keeps_it_without_lists() {
        let driver = MemoryDriver::new(Like::Dex);
        driver.forbid_list();
        let report = contract::run(&driver, &Fixture::new("test", None)).await;
        assert_eq!(failures(&report), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_suite_finds_what_is_broken() {
        let driver = MemoryDriver::new(Like::Dex);
        driver.fail(Operation::Update, IdpErrorKind::Server, When::Before, usize::MAX);
        let report = contract::run(&driver, &Fixture::new("test", None)).await;
        assert!(!failures(&report).is_empty());
    }

    #[tokio::test]
    async fn faults_strike_before_or_after() {
        let driver = MemoryDriver::new(Like::Dex);
        let (desired, secret) = Fixture::new("test", None).client("a");
        driver.fail(Operation::Create, IdpErrorKind::Unreachable, When::Before, 1);
        driver.fail(Operation::Create, IdpErrorKind::Timeout, When::After, 1);

        let kind = |error: IdpError| error.kind;
        assert_eq!(
            driver.create(&desired, Some(&secret)).await.map_err(kind),
            Err(IdpErrorKind::Unreachable)
        );
        assert_eq!(driver.clients(), []);
        assert_eq!(
            driver.create(&desired, Some(&secret)).await.map_err(kind),
            Err(IdpErrorKind::Timeout)
        );
        assert_eq!(driver.clients().len(), 1);
        assert_eq!(
            driver.create(&desired, Some(&secret)).await.map_err(kind),
            Ok(Created::Taken)
        );
        assert_eq!((driver.count(Operation::Create), driver.writes()), (3, 3));
    }
}
