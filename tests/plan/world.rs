//! A living OIDCClient `shop/web` on a ready provider `shop/idp`, everything unset; and how to vary it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::Duration,
};

use jiff::Timestamp;
use oidc_operator::{
    api::{
        OIDCClientSpec, OIDCClientStatus,
        client::{DeletionPolicy, EnforcementPolicy, Outputs, ProviderReference, SecretOutput},
    },
    domain::{
        ClientSecret, ClientType, Discovery, Endpoints, Mark, OwnerId, ProviderFacts, ResourceName,
        TokenEndpointAuthMethod,
        vocabulary::{CREDENTIAL_CLIENT, LABEL_CREDENTIAL},
    },
    idp::memory::Like,
    plan::{
        Snapshot, resolve,
        snapshot::{
            ClientBrief, ClientView, ExistingSecret, ExistingView, Memory, ModelRef, NamespaceView, PresentProvider,
            ProviderView, RegistrationView, RemoteView, Settings, Supply,
        },
    },
};
use serde_json::json;

/// When it all happens.
pub const NOW: &str = "2026-01-01T12:00:00Z";

/// What the API server and the operator's own memory hold, but for outputs and the provider's clients.
#[derive(Clone)]
pub struct World {
    pub now: Timestamp,
    pub settings: Settings,
    pub client: ClientView,
    pub namespace: NamespaceView,
    pub provider: ProviderView,
    /// The user's Secret, where there is one.
    pub existing: Option<ExistingSecret>,
    /// Other OIDCClients with the same client ID.
    pub others: Vec<ClientBrief>,
}

impl World {
    pub fn new(like: Like) -> Self {
        Self {
            now: time(NOW),
            settings: Settings {
                owner: OwnerId::new("c1").unwrap(),
                deletion_timeout: Duration::from_secs(600),
                started: time("2026-01-01T00:00:00Z"),
                rollout_restart: true,
            },
            client: ClientView {
                name: ResourceName::new("shop", "web"),
                uid: "uid-1".to_owned(),
                generation: 1,
                finalizer: false,
                deletion: None,
                orphan: false,
                reconcile_request: None,
                rotate_request: None,
                spec: spec(),
                status: OIDCClientStatus::default(),
            },
            namespace: NamespaceView::default(),
            provider: ProviderView::Present(Box::new(provider(like))),
            existing: None,
            others: Vec::new(),
        }
    }

    /// The spec names the user's Secret, or names none any more.
    pub fn existing_secret_ref(&mut self, there: bool) -> &mut Self {
        let credentials =
            there.then(|| serde_json::from_value(json!({"existingSecretRef": {"name": "by-hand"}})).unwrap());
        self.spec(|spec| spec.credentials = credentials)
    }

    /// The user makes a Secret, or changes the value in it.
    pub fn users_secret(&mut self, value: &str) -> &mut Self {
        self.users_value(&format!("{SECRET_PREFIX}{value}"))
    }

    /// The same with a private key, the same each time for the same number.
    pub fn users_key(&mut self, number: usize) -> &mut Self {
        static KEYS: LazyLock<[ClientSecret; 2]> =
            LazyLock::new(|| [(); 2].map(|()| ClientSecret::generate_for(TokenEndpointAuthMethod::PrivateKeyJwt)));
        self.users_value(KEYS[number].expose())
    }

    fn users_value(&mut self, value: &str) -> &mut Self {
        let version = self
            .existing
            .as_ref()
            .map_or(1, |old| old.resource_version.parse::<u64>().unwrap() + 1);
        self.existing = Some(ExistingSecret {
            resource_version: version.to_string(),
            labels: [(LABEL_CREDENTIAL.to_owned(), CREDENTIAL_CLIENT.to_owned())].into(),
            value: Some(value.as_bytes().to_vec()),
        });
        self
    }

    /// What a look at the user's Secret shows.
    pub fn existing(&self) -> ExistingView {
        self.existing.clone().map_or(ExistingView::Missing, ExistingView::Found)
    }

    /// A change of the spec, as an apply makes it.
    pub fn spec(&mut self, change: impl FnOnce(&mut OIDCClientSpec)) -> &mut Self {
        let before = self.client.spec.clone();
        change(&mut self.client.spec);
        if self.client.spec != before {
            self.client.generation += 1;
        }
        self
    }

    pub fn public(&mut self) -> &mut Self {
        self.spec(|spec| spec.type_ = ClientType::Public)
    }

    pub fn redirect_uris(&mut self, uris: &[&str]) -> &mut Self {
        self.spec(|spec| spec.redirect_uris = Some(strings(uris)))
    }

    pub fn display_name(&mut self, name: Option<&str>) -> &mut Self {
        self.spec(|spec| spec.display_name = name.map(str::to_owned))
    }

    pub fn retain(&mut self) -> &mut Self {
        self.spec(|spec| spec.deletion_policy = DeletionPolicy::Retain)
    }

    pub fn strict(&mut self) -> &mut Self {
        self.spec(|spec| spec.enforcement = EnforcementPolicy::Strict)
    }

    pub fn outputs(&mut self, change: impl FnOnce(&mut Outputs)) -> &mut Self {
        self.spec(|spec| change(spec.outputs.get_or_insert_with(Outputs::default)))
    }

    pub fn secret_output(&mut self, change: impl FnOnce(&mut SecretOutput)) -> &mut Self {
        self.outputs(|outputs| change(outputs.secret.get_or_insert_with(SecretOutput::default)))
    }

    /// `kubectl delete`, now.
    pub fn deleted(&mut self) -> &mut Self {
        self.client.deletion = Some(self.now);
        self
    }

    /// Another object of the same name: the former one is gone, and so is its status.
    pub fn reborn(&mut self) -> &mut Self {
        self.client.uid = "uid-2".to_owned();
        self.client.generation = 1;
        self.client.finalizer = false;
        self.client.deletion = None;
        self.client.status = OIDCClientStatus::default();
        self
    }

    pub fn provider(&mut self, change: impl FnOnce(&mut PresentProvider)) -> &mut Self {
        if let ProviderView::Present(provider) = &mut self.provider {
            change(provider);
        }
        self
    }

    pub fn pass_time(&mut self, seconds: i64) -> &mut Self {
        self.now += jiff::SignedDuration::from_secs(seconds);
        self
    }

    pub fn client_id(&self) -> String {
        resolve::client_id(&self.client)
    }

    pub fn mark(&self) -> Mark {
        resolve::mark(&self.client, &self.settings)
    }

    /// All OIDCClients with this client ID.
    pub fn rivals(&self) -> Vec<ClientBrief> {
        let mine = ClientBrief {
            name: self.client.name.clone(),
            uid: self.client.uid.clone(),
            client_id: self.client_id(),
            finalizer: self.client.finalizer,
            provisioned: self.client.status.remote.is_some(),
            created: Some(time("2026-01-01T11:00:00Z")),
        };
        self.others.iter().cloned().chain([mine]).collect()
    }

    /// What a pass starts with: nothing was looked at yet. `number` tells the supplies of passes apart.
    pub fn snapshot(&self, number: usize) -> Snapshot {
        let status = &self.client.status;
        let asked =
            self.client.reconcile_request.is_some() && self.client.reconcile_request != status.last_reconcile_request;
        Snapshot {
            now: self.now,
            settings: self.settings.clone(),
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            provider: self.provider.clone(),
            outputs: None,
            remote: RemoteView::Unknown,
            registration: RegistrationView::Unknown,
            existing: ExistingView::Unknown,
            rivals: None,
            workloads: BTreeMap::new(),
            memory: Memory {
                look_fresh: asked,
                ..Memory::default()
            },
            supply: Supply {
                secret: match resolve::auth_method(&self.client.spec) {
                    method @ TokenEndpointAuthMethod::PrivateKeyJwt => ClientSecret::generate_for(method),
                    _ => ClientSecret::new(format!("{SECRET_PREFIX}{number}")),
                },
                attempt: format!("attempt-{number}"),
                seed: ClientSecret::new(format!("seed-{number}")),
            },
        }
    }
}

/// All secrets that the simulated operator makes begin so: easily found where none may be.
pub const SECRET_PREFIX: &str = "hunter2-";

/// All private keys begin so (PKCS#8 of a key on P-256, in base64).
pub const KEY_PREFIX: &str = "MIGHAgEA";

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn strings(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// Only what must be set: a provider and a redirect URI.
pub fn spec() -> OIDCClientSpec {
    serde_json::from_value(serde_json::json!({
        "providerRef": {"name": "idp"},
        "redirectURIs": ["https://shop/cb"],
    }))
    .unwrap()
}

pub fn reference(namespace: &str, name: &str) -> ProviderReference {
    ProviderReference {
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()),
    }
}

/// Dex 2.45 and Keycloak 26.7 as they come.
pub fn facts(like: Like) -> ProviderFacts {
    let by_secret = ["client_secret_basic", "client_secret_post"].as_slice();
    let (provider_type, scopes, grant_types, auth_methods) = match like {
        Like::Dex | Like::DexStorage | Like::DexConfig => (
            "Dex",
            ["openid", "email", "groups", "profile", "offline_access"].as_slice(),
            ["authorization_code", "refresh_token"].as_slice(),
            by_secret,
        ),
        Like::Authentik => (
            "Authentik",
            ["openid", "email", "profile", "offline_access"].as_slice(),
            [].as_slice(),
            by_secret,
        ),
        Like::Registration => ("DynamicRegistration", ["openid"].as_slice(), [].as_slice(), by_secret),
        Like::Keycloak => (
            "Keycloak",
            ["openid", "email", "roles", "profile", "offline_access"].as_slice(),
            [
                "authorization_code",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:jwt-bearer",
            ]
            .as_slice(),
            ["private_key_jwt", "client_secret_basic", "client_secret_post"].as_slice(),
        ),
    };
    ProviderFacts {
        provider_type,
        discovery: Discovery {
            issuer: "https://idp".to_owned(),
            url: "https://idp/.well-known/openid-configuration".to_owned(),
            endpoints: Endpoints {
                authorization: "https://idp/auth".to_owned(),
                token: "https://idp/token".to_owned(),
                jwks: "https://idp/keys".to_owned(),
                ..Endpoints::default()
            },
            scopes: Some(set(scopes)),
            grant_types: Some(set(grant_types)),
            signing_algorithms: set(&["RS256"]),
            auth_methods: Some(set(auth_methods)),
            code_challenge_methods: set(&["S256"]),
        },
        internal_issuer: None,
        keys: Vec::new(),
        ca_bundle: "-----BEGIN CERTIFICATE-----\n".to_owned(),
        ca_bundle_with_system_roots: "-----BEGIN CERTIFICATE-----\nroots\n".into(),
        ca_expiry: None,
        username_claim: "preferred_username".to_owned(),
        insecure_endpoints_allowed: false,
        scopes: (like == Like::Keycloak).then(|| set(scopes)),
        server_version: None,
    }
}

/// A ready provider that serves its own namespace.
pub fn provider(like: Like) -> PresentProvider {
    PresentProvider {
        grants: None,
        terminating: false,
        credentials_gone: false,
        facts: Some(Arc::new(facts(like))),
        not_ready: None,
        resync: Duration::from_secs(600),
        model: Some(ModelRef(like.model())),
    }
}
