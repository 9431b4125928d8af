//! What the server keeps, and what a new one has.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::applications::Application;
use super::bindings::Binding;
use super::events::Event;
use super::flows::Flow;
use super::keys::KeyPairRow;
use super::mappings::Mapping;
use super::oidc::{AccessToken, Code, RefreshToken, Session};
use super::providers::Provider;
use super::roles::Role;
use super::tokens::Token;
use super::users::User;
use super::{ADMIN, ADMIN_PASSWORD, Release, USER, USER_PASSWORD, flows, mappings, users};
use crate::random;

/// What makes one new server different from another.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) release: Release,
    /// The API token of [`ADMIN`].
    pub(super) token: String,
    pub(super) blueprints: bool,
    pub(super) hides_secrets: bool,
}

pub(super) struct State {
    pub(super) release: Release,
    /// `client_secret` is shown only to those with [`roles::VIEW_SECRET`].
    pub(super) hides_secrets: bool,
    pub(super) ids: Ids,
    /// In the order of creation.
    pub(super) users: Vec<User>,
    pub(super) roles: Vec<Role>,
    pub(super) tokens: Vec<Token>,
    pub(super) flows: Vec<Flow>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) keys: Vec<KeyPairRow>,
    pub(super) providers: BTreeMap<i64, Provider>,
    pub(super) next_provider: i64,
    pub(super) applications: Vec<Application>,
    pub(super) bindings: Vec<Binding>,
    /// Applications by user and page of the list: what the list shows instead of what was asked.
    pub(super) list_cache: BTreeMap<(i64, usize), Vec<String>>,
    pub(super) events: Vec<Event>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) codes: BTreeMap<String, Code>,
    pub(super) access_tokens: Vec<AccessToken>,
    pub(super) next_access_token: u64,
    pub(super) refresh_tokens: Vec<RefreshToken>,
}

impl State {
    pub(super) fn new(setup: &Setup) -> Result<Self> {
        let mut ids = Ids {
            seed: random::bytes()?,
            count: 0,
        };
        let keys = vec![KeyPairRow::new(ids.uuid())?];
        let mut state = Self {
            release: setup.release,
            hides_secrets: setup.hides_secrets,
            flows: Vec::new(),
            mappings: Vec::new(),
            keys,
            ids,
            users: Vec::new(),
            roles: Vec::new(),
            tokens: Vec::new(),
            providers: BTreeMap::new(),
            next_provider: 1,
            applications: Vec::new(),
            bindings: Vec::new(),
            list_cache: BTreeMap::new(),
            events: Vec::new(),
            sessions: BTreeMap::new(),
            codes: BTreeMap::new(),
            access_tokens: Vec::new(),
            next_access_token: 1,
            refresh_tokens: Vec::new(),
        };
        let admin = state.add_user(ADMIN, "internal");
        admin.name = "authentik Default Admin".to_owned();
        admin.email = "root@example.invalid".to_owned();
        admin.password = Some(ADMIN_PASSWORD.to_owned());
        admin.is_superuser = true;
        let admin = admin.pk;
        users::person(&mut state, USER, USER_PASSWORD);
        state.add_token("authentik-bootstrap-token", "api", admin, false).key = setup.token.clone();
        if setup.blueprints {
            state.apply_blueprints();
        }
        Ok(state)
    }

    /// Flows and scope mappings come from blueprints, which a worker applies some time after the first start.
    pub(super) fn apply_blueprints(&mut self) {
        if self.flows.is_empty() {
            self.flows = flows::new(&mut self.ids);
            self.mappings.extend(mappings::managed(&mut self.ids));
        }
    }

    pub(super) fn user(&self, pk: i64) -> Option<&User> {
        self.users.iter().find(|user| user.pk == pk)
    }

    pub(super) fn add_user(&mut self, username: &str, kind: &'static str) -> &mut User {
        // The first three are the system's own.
        let pk = self.users.last().map_or(4, |user| user.pk + 1);
        let now = Timestamp::now();
        let uuid = self.ids.uuid();
        let user = User {
            pk,
            uid: self.ids.hashed(&format!("user {pk}")),
            uuid,
            username: username.to_owned(),
            name: username.to_owned(),
            email: String::new(),
            password: None,
            kind,
            path: "users".to_owned(),
            attributes: serde_json::json!({}),
            groups: Vec::new(),
            entitlements: BTreeMap::new(),
            is_active: true,
            is_superuser: false,
            last_login: None,
            joined: now,
            updated: now,
        };
        self.list_cache.clear();
        self.users.push(user);
        let last = self.users.len() - 1;
        &mut self.users[last]
    }

    pub(super) fn add_token(&mut self, identifier: &str, intent: &str, user: i64, expiring: bool) -> &mut Token {
        let token = Token {
            pk: self.ids.uuid(),
            identifier: identifier.to_owned(),
            intent: intent.to_owned(),
            user,
            key: self.ids.text(60),
            description: String::new(),
            expiring,
            expires: Timestamp::now() + std::time::Duration::from_secs(30 * 60),
        };
        self.tokens.push(token);
        let last = self.tokens.len() - 1;
        &mut self.tokens[last]
    }

    /// Whether the user has a right such as `authentik_core.view_application`.
    pub(super) fn may(&self, user: i64, permission: &str) -> bool {
        let superuser = self.user(user).is_some_and(|user| user.is_superuser);
        let mut roles = self.roles.iter().filter(|role| role.members.contains(&user));
        superuser || roles.any(|role| role.permissions.contains(permission))
    }

    /// The application of a provider.
    pub(super) fn application_of(&self, provider: i64) -> Option<&Application> {
        self.applications
            .iter()
            .find(|application| application.provider == Some(provider))
    }
}

/// Identifiers that nobody can guess, none twice.
pub(super) struct Ids {
    seed: [u8; 32],
    count: u64,
}

impl Ids {
    fn next(&mut self) -> [u8; 32] {
        self.count += 1;
        let mut digest = Sha256::new();
        digest.update(self.seed);
        digest.update(self.count.to_le_bytes());
        digest.finalize().into()
    }

    /// RFC 9562, version 4.
    pub(super) fn uuid(&mut self) -> String {
        let mut hex = self.hex();
        hex.replace_range(12..13, "4");
        hex.replace_range(16..17, "a");
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    /// 32 digits.
    pub(super) fn hex(&mut self) -> String {
        self.next()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Letters and digits.
    pub(super) fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let mut text = String::new();
        while text.len() < length {
            let more = self
                .next()
                .map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
            text.extend(more.into_iter().take(length - text.len()));
        }
        text
    }

    /// 64 digits, always the same for one text and server.
    pub(super) fn hashed(&self, text: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(self.seed);
        digest.update(text);
        let bytes: [u8; 32] = digest.finalize().into();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
