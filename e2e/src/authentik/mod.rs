//! A stand-in for an authentik server: its API for OIDC clients, its OIDC endpoints and a login page, with state, rights,
//! validation, and the ways in which it fails. Authentik is in no package registry, so no test can start a real one.
//!
//! What it answers was recorded from two real servers (`e2e/recordings/`); `tests/authentik_replay` sends every recorded request
//! to it and compares. It reads no recording itself.
//!
//! ```text
//! connections (TCP, TLS) -> server (thread, faults) -> router (which resource, who asks)
//!     -> providers, applications, mappings, flows, keys, bindings, users, tokens, roles, transactional, events
//!     -> oidc (discovery, login, tokens; expressions)
//! state (what it keeps)   input (the rules of fields)   lists (pages, filters)   reply (answers)   faults, log (for tests)
//! ```

mod admin;
mod applications;
mod bindings;
mod connections;
mod events;
mod expressions;
mod faults;
mod flows;
mod input;
mod keys;
mod lists;
mod log;
mod mappings;
mod oidc;
mod pages;
mod provider;
mod providers;
mod redirect_uris;
mod reply;
mod request;
mod roles;
mod router;
mod server;
mod state;
mod tokens;
mod transactional;
mod users;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

pub use admin::Admin;
pub use faults::{Fault, Rule};
pub use log::{Logged, kinds};
pub use provider::{CA, Managed, TOKEN};

use crate::authentik_schema::Findings;
use crate::pki::Ca;
use faults::Faults;
use log::Log;
use server::Running;
use state::{Setup, State};

/// The user that may do everything.
pub const ADMIN: &str = "akadmin";
/// Its password at the login page.
pub const ADMIN_PASSWORD: &str = "throwaway-password";
/// Its API token, unless the options name another.
pub const ADMIN_TOKEN: &str = "throwaway-bootstrap-token-0123456789";
/// What logs in to applications.
pub const USER: &str = "jane";
/// Its password.
pub const USER_PASSWORD: &str = "correct horse battery staple";

/// The rights that the operator needs, as docs/authentik.md names them.
pub const RIGHTS: &[&str] = &[
    "authentik_core.add_application",
    "authentik_core.change_application",
    "authentik_core.delete_application",
    "authentik_core.view_application",
    "authentik_providers_oauth2.add_oauth2provider",
    "authentik_providers_oauth2.change_oauth2provider",
    "authentik_providers_oauth2.delete_oauth2provider",
    "authentik_providers_oauth2.view_oauth2provider",
    "authentik_providers_oauth2.add_scopemapping",
    "authentik_providers_oauth2.change_scopemapping",
    "authentik_providers_oauth2.delete_scopemapping",
    "authentik_providers_oauth2.view_scopemapping",
    "authentik_flows.view_flow",
    "authentik_crypto.view_certificatekeypair",
];

/// Which server it behaves like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Release {
    /// 2026.2: knows no `grant_types`, no `redirect_uri_type` and no `meta_hide`, and ignores them.
    R2026_2,
    /// 2026.5.
    R2026_5,
}

/// Names the release that servers behave like unless they are told: `2026.2` or `2026.5`; unset, the latter.
pub const RELEASE_VARIABLE: &str = "AUTHENTIK";

impl FromStr for Release {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "2026.2" => Ok(Self::R2026_2),
            "2026.5" => Ok(Self::R2026_5),
            other => bail!("{other:?} is not 2026.2 or 2026.5"),
        }
    }
}

impl Release {
    /// The one that [`RELEASE_VARIABLE`] names.
    ///
    /// # Errors
    /// It names none.
    pub fn chosen() -> Result<Self> {
        match std::env::var(RELEASE_VARIABLE).as_deref() {
            Err(_) | Ok("") => Ok(Self::R2026_5),
            Ok(text) => text.parse().context(RELEASE_VARIABLE),
        }
    }

    /// As the server names itself.
    pub fn version(self) -> &'static str {
        match self {
            Self::R2026_2 => "2026.2.2",
            Self::R2026_5 => "2026.5.0-rc1",
        }
    }

    /// Whether clients have `grant_types`, redirect URIs a type and applications `meta_hide`.
    fn has_grant_types(self) -> bool {
        self >= Self::R2026_5
    }
}

/// How to start one.
#[derive(Debug)]
pub struct AuthentikOptions<'a> {
    /// Which server it behaves like; if `None`, [`Release::chosen`].
    pub release: Option<Release>,
    /// The CA of its certificate; without one it speaks plain HTTP.
    pub tls: Option<&'a Ca>,
    /// Its port on loopback; if `None`, a free one.
    pub port: Option<u16>,
    /// The API token of [`ADMIN`].
    pub token: String,
    /// Whether flows and scope mappings are there at once, else after [`Authentik::apply_blueprints`].
    pub blueprints: bool,
    /// Whether `client_secret` is left out of answers to those without the right `authentik_secrets.view_secret_value`, as the
    /// release 2026.11 plans it.
    pub hides_secrets: bool,
}

impl Default for AuthentikOptions<'_> {
    fn default() -> Self {
        Self {
            release: None,
            tls: None,
            port: None,
            token: ADMIN_TOKEN.to_owned(),
            blueprints: true,
            hides_secrets: false,
        }
    }
}

/// A running server; ends, with all its connections, when dropped.
pub struct Authentik {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    setup: Setup,
    running: Option<Running>,
}

/// What all connections see.
struct Shared {
    release: Release,
    scheme: &'static str,
    state: Mutex<State>,
    faults: Faults,
    log: Log,
    findings: Findings,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Authentik {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authentik")
            .field("release", &self.shared.release)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Authentik {
    /// Starts a server on a free loopback port, with the flows, scope mappings and key that a new authentik has, the users
    /// [`ADMIN`] and [`USER`], and no client.
    ///
    /// # Errors
    /// No port, key, certificate or thread is to be had.
    pub fn start(options: AuthentikOptions<'_>) -> Result<Self> {
        let acceptor = options.tls.map(connections::tls).transpose()?;
        let setup = Setup {
            release: options.release.map_or_else(Release::chosen, Ok)?,
            token: options.token,
            blueprints: options.blueprints,
            hides_secrets: options.hides_secrets,
        };
        let shared = Arc::new(Shared {
            release: setup.release,
            scheme: if acceptor.is_some() { "https" } else { "http" },
            state: Mutex::new(State::new(&setup)?),
            faults: Faults::default(),
            log: Log::default(),
            findings: Findings::default(),
        });
        let address = match options.port {
            Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            None => crate::ports::free_address()?,
        };
        let running = Running::start(address, acceptor.clone(), Arc::clone(&shared))?;
        Ok(Self {
            shared,
            address,
            acceptor,
            setup,
            running: Some(running),
        })
    }

    /// `http(s)://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.shared.scheme, self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Which server it behaves like.
    pub fn release(&self) -> Release {
        self.setup.release
    }

    /// The API token of [`ADMIN`].
    pub fn token(&self) -> &str {
        &self.setup.token
    }

    /// Ends the server and its connections; what it keeps is still there after [`Self::restart`].
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    /// Ends it and starts it again at the same address, with all that it kept.
    ///
    /// # Errors
    /// The port is gone.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.running = Some(Running::start(
            self.address,
            self.acceptor.clone(),
            Arc::clone(&self.shared),
        )?);
        Ok(())
    }

    /// [`Self::restart`] as a new installation: clients, users, tokens and identifiers are gone; [`ADMIN`] keeps its token.
    ///
    /// # Errors
    /// As [`Self::restart`].
    pub fn restart_empty(&mut self) -> Result<()> {
        self.stop();
        *self.shared.state() = State::new(&self.setup)?;
        self.restart()
    }

    /// What a worker does some time after the first start: now there are flows and scope mappings.
    pub fn apply_blueprints(&self) {
        self.shared.state().apply_blueprints();
    }

    /// Adds a fault for some requests.
    pub fn fault(&self, rule: Rule) {
        self.shared.faults.add(rule);
    }

    /// Takes all faults away: rules, latencies, the database that is down, the start that does not end.
    pub fn heal(&self) {
        self.shared.faults.clear();
    }

    /// Each answer to a path that begins so takes this time longer. Zero takes it away.
    pub fn latency(&self, prefix: &str, time: Duration) {
        self.shared.faults.set_latency(prefix, time);
    }

    /// The server runs and its database does not.
    pub fn database_down(&self, down: bool) {
        self.shared.faults.set_database_down(down);
    }

    /// The server says that it is starting.
    pub fn starting(&self, starting: bool) {
        self.shared.faults.set_starting(starting);
    }

    /// The time between the check that a name is free and the write. Two creates within it are the race that a real server
    /// answers with an empty 405.
    pub fn race_window(&self, time: Duration) {
        self.shared.faults.set_race_window(time);
    }

    /// What was asked until now, oldest first.
    pub fn requests(&self) -> Vec<Logged> {
        self.shared.log.all()
    }

    /// Forgets what was asked.
    pub fn forget_requests(&self) {
        self.shared.log.clear();
    }

    /// How often each method and path (without its query) was asked.
    pub fn counts(&self) -> BTreeMap<(String, String), usize> {
        self.shared.log.counts()
    }

    /// How many requests there were with this method, to paths that begin with `prefix`.
    pub fn count(&self, method: &str, prefix: &str) -> usize {
        self.shared.log.count(method, prefix)
    }

    /// What authentik's own OpenAPI documents forbid in the answers until now, and in the operator's requests, a sentence each.
    /// Tests end with the assertion that there is nothing.
    pub fn findings(&self) -> Vec<String> {
        self.shared.findings.all()
    }

    /// A service account with these rights (such as `authentik_core.view_application`), and an API token for it.
    ///
    /// # Errors
    /// There is no such right.
    pub fn service_account(&self, name: &str, permissions: &[&str]) -> Result<String> {
        users::service_account(&mut self.shared.state(), name, permissions)
    }

    /// The token of [`Self::service_account`] and others is not good any more.
    pub fn revoke_token(&self, key: &str) {
        self.shared.state().tokens.retain(|token| token.key != key);
    }

    /// Gives [`USER`] an attribute, which claims can be made from.
    pub fn give_attribute(&self, name: &str, value: Value) {
        self.change_user(|user| user.attributes[name] = value);
    }

    /// Puts [`USER`] into these groups, and no others.
    pub fn give_groups(&self, groups: &[&str]) {
        self.change_user(|user| user.groups = groups.iter().map(|&group| group.to_owned()).collect());
    }

    /// Gives [`USER`] these entitlements of an application, and no others.
    pub fn give_entitlements(&self, slug: &str, names: &[&str]) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.change_user(|user| drop(user.entitlements.insert(slug.to_owned(), names)));
    }

    fn change_user(&self, change: impl FnOnce(&mut users::User)) {
        let mut state = self.shared.state();
        if let Some(user) = state.users.iter_mut().find(|user| user.username == USER) {
            change(user);
        }
    }

    /// The token expired a while ago.
    pub fn expire_token(&self, key: &str) {
        for token in self.shared.state().tokens.iter_mut().filter(|token| token.key == key) {
            token.expiring = true;
            token.expires = jiff::Timestamp::UNIX_EPOCH;
        }
    }

    /// The OAuth2 provider with this `client_id`, as the API shows it.
    pub fn provider(&self, client_id: &str) -> Option<Value> {
        let state = self.shared.state();
        let provider = state
            .providers
            .values()
            .find(|provider| provider.client_id == client_id)?;
        Some(providers::shown(&state, provider))
    }

    /// The application with this slug, as the API shows it.
    pub fn application(&self, slug: &str) -> Option<Value> {
        let state = self.shared.state();
        let application = state.applications.iter().find(|application| application.slug == slug)?;
        Some(applications::shown(&state, application))
    }

    /// All `client_id`s, sorted.
    pub fn client_ids(&self) -> Vec<String> {
        let state = self.shared.state();
        let mut ids: Vec<_> = state
            .providers
            .values()
            .map(|provider| provider.client_id.clone())
            .collect();
        ids.sort();
        ids
    }

    /// All application slugs, sorted.
    pub fn slugs(&self) -> Vec<String> {
        let state = self.shared.state();
        let mut slugs: Vec<_> = state
            .applications
            .iter()
            .map(|application| application.slug.clone())
            .collect();
        slugs.sort();
        slugs
    }
}
