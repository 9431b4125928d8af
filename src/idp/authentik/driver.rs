//! The IO half. A client is several objects: what a call writes, it writes in an order in which every request may be the last
//! one, and `get` finds whatever is left of it by the mark.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::de::IgnoredAny;

use super::{
    api::{self, Api, Made},
    claims::{self, WantedMapping},
    errors,
    fields::{self, APPLICATION, HANDLE_PROVIDER, HANDLE_SLUG, is_of_application},
    lookups::Lookups,
    model::{AuthentikModel, mapping_key, wanted_mapping},
    settings::Settings,
    wire::{Application, Flow, KeyPair, Mapping, Provider, Version},
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, IssuerError, Mark, Model, ObservedClient,
        Proof, RemoteDiff, client::FIELD_TYPE, error::bounded, model::FieldChange,
    },
    idp::{
        Created, Credentials, Driver, Page, ServerInfo, Transport, Written,
        http::{HttpClient, peer_name},
        issuer::{self, IssuerRequest},
        normal_form::CLAIMS,
        proof,
    },
};

const PROVIDERS: &[&str] = &["providers", "oauth2"];
const APPLICATIONS: &[&str] = &["core", "applications"];
const MAPPINGS: &[&str] = &["propertymappings", "provider", "scope"];

/// How old the details of an application may be, which no list shows. They are read again one by one, spread over this time.
const DETAILS_AGE: Duration = Duration::from_secs(24 * 3600);

/// Where an authentik is, and who asks.
#[derive(Clone, Debug)]
pub struct AuthentikConfig {
    /// Its address for the operator (`spec.authentik.adminURL`), with the path that it is served under, if any.
    pub admin_url: String,
    /// The operator's API token.
    pub token: SecretString,
    /// What all clients share.
    pub settings: Settings,
}

/// An authentik.
pub struct AuthentikDriver {
    api: Api,
    issuer_http: HttpClient,
    model: AuthentikModel,
    /// What ids stand for, as last looked up.
    lookups: RwLock<Option<Arc<Lookups>>>,
    /// Applications of marked providers by slug, as last read.
    details: Mutex<HashMap<String, (Instant, Application)>>,
    started: Instant,
}

impl std::fmt::Debug for AuthentikDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthentikDriver")
            .field("base", &self.api.base().as_str())
            .finish_non_exhaustive()
    }
}

impl AuthentikDriver {
    /// A driver. `issuer_http` trusts the issuer's CA and carries the credential proofs. Nothing is asked yet.
    ///
    /// # Errors
    /// [`IdpErrorKind::Refused`] where the address is none, [`IdpErrorKind::Tls`] where the CA cannot be used.
    pub fn new(config: &AuthentikConfig, transport: &Transport, issuer_http: HttpClient) -> Result<Self, IdpError> {
        Ok(Self {
            api: Api::new(&config.admin_url, config.token.clone(), transport)?,
            issuer_http,
            model: AuthentikModel::new(config.settings.clone()),
            lookups: RwLock::default(),
            details: Mutex::default(),
            started: Instant::now(),
        })
    }

    fn settings(&self) -> &Settings {
        self.model.settings()
    }

    /// Flows, signing key and scope mappings, by the names in the spec; with the algorithm of the key.
    async fn look_up(&self) -> Result<(Arc<Lookups>, Option<&'static str>), IdpError> {
        let settings = self.settings();
        let authorization_flow = self.flow("authorizationFlow", &settings.authorization_flow).await?;
        let invalidation_flow = self.flow("invalidationFlow", &settings.invalidation_flow).await?;
        let key = self.key(&settings.signing_key).await?;
        let algorithm = match key.key_type.as_deref() {
            Some("rsa") => Some("RS256"),
            Some("ec") => Some("ES256"),
            Some(other) => {
                let message = format!(
                    "signingKey: authentik signs no tokens with the {} key {:?}; name an RSA or EC key pair",
                    bounded(other),
                    settings.signing_key
                );
                return Err(IdpError::new(IdpErrorKind::Unsupported, "GET key pair", message));
            }
            None => None,
        };
        let mappings = api::mappings(&self.api, None).await?;
        let lookups = Arc::new(Lookups {
            authorization_flow,
            invalidation_flow,
            signing_key: key.pk,
            mappings: mappings.into_iter().collect(),
        });
        if !lookups.scopes().contains(crate::domain::client::OPENID) {
            return Err(self.not_there_yet("GET scope mappings", "scope mapping for openid"));
        }
        *self.lookups.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&lookups));
        Ok((lookups, algorithm))
    }

    async fn lookups(&self) -> Result<Arc<Lookups>, IdpError> {
        let known = self.lookups.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(lookups) => Ok(lookups),
            None => self.look_up().await.map(|(lookups, _)| lookups),
        }
    }

    async fn flow(&self, field: &str, slug: &str) -> Result<String, IdpError> {
        const OPERATION: &str = "GET flow";
        let found: Vec<Flow> = self
            .api
            .list(OPERATION, &["flows", "instances"], &[("slug", slug)])
            .await?;
        let flow = found.into_iter().find(|flow| flow.slug == slug);
        flow.map(|flow| flow.pk)
            .ok_or_else(|| self.not_there_yet(OPERATION, &format!("flow {slug:?} ({field})")))
    }

    async fn key(&self, name: &str) -> Result<KeyPair, IdpError> {
        const OPERATION: &str = "GET key pair";
        let query = [("name", name), ("has_key", "true")];
        let found: Vec<KeyPair> = self
            .api
            .list(OPERATION, &["crypto", "certificatekeypairs"], &query)
            .await?;
        let key = found.into_iter().find(|key| key.name == name);
        key.ok_or_else(|| self.not_there_yet(OPERATION, &format!("key pair {name:?} with a private key (signingKey)")))
    }

    /// Its own ones appear some time after the first start of a server.
    fn not_there_yet(&self, operation: &'static str, what: &str) -> IdpError {
        let message = format!(
            "{} shows no {what}: a new authentik makes its own some minutes after its first start; else check the name, and that the token's user may view it",
            peer_name(self.api.base())
        );
        IdpError::new(IdpErrorKind::Server, operation, message)
    }

    /// Mappings that were read or written since the look-up: without them a list would show clients without their claims.
    fn keep_mappings(&self, mappings: &[Mapping]) {
        let mut known = self.lookups.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookups) = known.as_mut().filter(|_| !mappings.is_empty()) {
            let known = &mut Arc::make_mut(lookups).mappings;
            mappings.iter().for_each(|mapping| known.insert(mapping.clone()));
        }
    }

    fn forget_mapping(&self, id: &str) {
        let mut known = self.lookups.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(lookups) = known.as_mut().filter(|lookups| lookups.mappings.get(id).is_some()) {
            Arc::make_mut(lookups).mappings.remove(id);
        }
    }

    fn keep_details(&self, application: &Application) {
        let mut details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        details.insert(application.slug.clone(), (Instant::now(), application.clone()));
    }

    fn forget_details(&self, slug: &str) {
        self.details.lock().unwrap_or_else(PoisonError::into_inner).remove(slug);
    }

    /// The details of an application as last read, and whether they are due. The first time is a time of its own for each, so
    /// that a start reads none and a day reads all.
    fn known_details(&self, slug: &str) -> (Option<Application>, bool) {
        let details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        match details.get(slug) {
            Some((read, application)) => (Some(application.clone()), read.elapsed() >= DETAILS_AGE),
            None => {
                let mut hasher = DefaultHasher::new();
                slug.hash(&mut hasher);
                let share = Duration::from_secs(hasher.finish() % DETAILS_AGE.as_secs());
                (None, self.started.elapsed() >= share)
            }
        }
    }

    /// A row of the list, with what is known of its application.
    async fn row(&self, provider: &Provider, lookups: &Lookups) -> Result<ObservedClient, IdpError> {
        let slug = provider.assigned_application_slug.as_deref();
        let slug = slug.filter(|_| Mark::looks_like_one(&provider.name));
        let mut application = None;
        if let Some(slug) = slug {
            let (known, due) = self.known_details(slug);
            application = if due { self.read_application(slug).await? } else { known };
            // The row is newer than what was read of the name.
            if let (Some(application), Some(name)) = (&mut application, &provider.assigned_application_name) {
                application.name.clone_from(name);
            }
        }
        let mark = Mark::parse(&provider.name);
        let own = mark.map(|mark| lookups.mappings.of(&mark)).unwrap_or_default();
        Ok(fields::observe(
            provider,
            application.as_ref(),
            &own,
            lookups,
            self.settings(),
        ))
    }

    async fn read_application(&self, slug: &str) -> Result<Option<Application>, IdpError> {
        let found = api::application(&self.api, slug).await?;
        match &found {
            Some(application) => self.keep_details(application),
            None => self.forget_details(slug),
        }
        Ok(found)
    }

    /// The operator's mappings of a client, as they are now.
    async fn own_mappings(&self, mark: &Mark) -> Result<Vec<Mapping>, IdpError> {
        let found = api::mappings(&self.api, Some(&claims::prefix(mark))).await?;
        let own: Vec<Mapping> = found.into_iter().filter(|mapping| is_of(mapping, mark)).collect();
        self.keep_mappings(&own);
        Ok(own)
    }

    /// Makes a mapping; one that was made before, and whose answer was lost, is taken.
    async fn make_mapping(&self, wanted: &WantedMapping, mark: &Mark) -> Result<Mapping, IdpError> {
        const OPERATION: &str = "POST scope mapping";
        let body = fields::mapping(wanted, mark);
        let made = self.api.post(OPERATION, MAPPINGS, &body, &["name"], None).await?;
        if let Made::Made(mapping) = made {
            self.keep_mappings(std::slice::from_ref(&mapping));
            return Ok(mapping);
        }
        let name = wanted.name(mark);
        let own = self.own_mappings(mark).await?;
        own.into_iter().find(|mapping| mapping.name == name).ok_or_else(|| {
            let message =
                format!("authentik has a property mapping {name:?} that is no scope mapping: rename or delete it");
            IdpError::new(IdpErrorKind::Taken, OPERATION, message)
        })
    }

    /// Ids of the operator's mappings by key: those that were seen, and those that are there by now.
    async fn ids_of_mappings(&self, observed: &ObservedClient, desired: &DesiredClient) -> Result<Ids, IdpError> {
        let mut ids: Ids = observed
            .handles
            .iter()
            .filter_map(|(field, id)| Some((field.strip_prefix(CLAIMS)?.to_owned(), id.clone())))
            .collect();
        let wanted = claims::wanted(desired, self.settings().email_verified);
        if wanted.iter().any(|mapping| !ids.contains_key(&mapping.key)) {
            ids.extend(by_key(&self.own_mappings(&desired.mark).await?));
        }
        Ok(ids)
    }

    /// What ids stand for, provided that every scope of the client has a mapping: authentik would drop the scope silently.
    async fn lookups_for(&self, desired: &DesiredClient) -> Result<Arc<Lookups>, IdpError> {
        let mut lookups = self.lookups().await?;
        if !lookups.missing_scopes(desired, self.settings()).is_empty() {
            // It may have been made since.
            lookups = self.look_up().await?.0;
        }
        match lookups.missing_scopes(desired, self.settings()).as_slice() {
            [] => Ok(lookups),
            missing => {
                let message = format!("authentik has no scope mapping for {}", bounded(&missing.join(", ")));
                Err(IdpError::new(IdpErrorKind::Refused, "GET scope mappings", message))
            }
        }
    }

    async fn make_provider(
        &self,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        lookups: &Lookups,
        own: &Ids,
    ) -> Result<Made<Provider>, IdpError> {
        const OPERATION: &str = "POST provider";
        if desired.has_secret() && secret.is_none_or(|secret| secret.expose().is_empty()) {
            // Authentik would make one up, and nobody would know it.
            let message = "a confidential client needs a secret";
            return Err(IdpError::new(IdpErrorKind::Refused, OPERATION, message));
        }
        let body = fields::new_provider(desired, secret, self.settings(), lookups, own);
        self.api
            .post(OPERATION, PROVIDERS, &body, &["client_id", "name"], secret)
            .await
    }

    /// The application that gives the provider its issuer; `None` where its slug is taken.
    async fn make_application(&self, desired: &DesiredClient, provider: i64) -> Result<Option<Application>, IdpError> {
        let body = fields::new_application(desired, provider);
        let made = self
            .api
            .post("POST application", APPLICATIONS, &body, &["slug", "provider"], None)
            .await?;
        Ok(match made {
            Made::Made(application) => {
                self.keep_details(&application);
                Some(application)
            }
            Made::Taken(_) => None,
        })
    }

    async fn change_mapping(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        change: &FieldChange,
        key: &str,
    ) -> Result<Written, IdpError> {
        let id = observed.handles.get(&change.field);
        let wanted = wanted_mapping(desired, self.settings(), key).filter(|_| !change.to.is_empty());
        let mapping = match (wanted, id) {
            (Some(wanted), None) => self.make_mapping(&wanted, &desired.mark).await?,
            (Some(wanted), Some(id)) => {
                let body = fields::mapping(&wanted, &desired.mark);
                let path = object(MAPPINGS, id);
                match self.api.patch("PATCH scope mapping", &path, &body, None).await? {
                    Some(mapping) => {
                        self.keep_mappings(std::slice::from_ref(&mapping));
                        mapping
                    }
                    None => return Ok(Written::NotFound),
                }
            }
            (None, Some(id)) => {
                self.api.delete("DELETE scope mapping", &object(MAPPINGS, id)).await?;
                self.forget_mapping(id);
                return Ok(Written::Done);
            }
            // What was never there need not go.
            (None, None) => return Ok(Written::NotFound),
        };
        let mut shown = observed.clone();
        shown.fields.insert(change.field.clone(), claims::found(&mapping));
        shown.handles.insert(change.field.clone(), mapping.pk);
        Ok(Written::As(Box::new(shown)))
    }

    async fn change_provider(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        let lookups = self.lookups_for(desired).await?;
        let own = self.ids_of_mappings(observed, desired).await?;
        let provider = match observed.handles.get(HANDLE_PROVIDER) {
            Some(pk) => {
                let changed = diff.changes.iter().map(|change| change.field.as_str());
                let body =
                    fields::changed_provider(changed, observed, desired, secret, self.settings(), &lookups, &own);
                let path = object(PROVIDERS, pk);
                match self.api.patch("PATCH provider", &path, &body, secret).await? {
                    Some(provider) => provider,
                    None => return Ok(Written::NotFound),
                }
            }
            // Only where a look found none: else it is gone.
            None if observed.fields.contains_key(FIELD_TYPE) => return Ok(Written::NotFound),
            None => match self.make_provider(desired, secret, &lookups, &own).await? {
                Made::Made(provider) => provider,
                Made::Taken(_) => return Ok(Written::NotFound),
            },
        };
        let after = fields::after_provider(observed, &provider, &lookups, self.settings());
        Ok(Written::As(Box::new(after)))
    }

    async fn change_application(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        let provider = observed
            .handles
            .get(HANDLE_PROVIDER)
            .and_then(|pk| pk.parse::<i64>().ok());
        let Some(provider) = provider else {
            return Ok(Written::NotFound);
        };
        let application = match observed.handles.get(HANDLE_SLUG) {
            Some(slug) => {
                let changed = diff.changes.iter().map(|change| change.field.as_str());
                let link = diff.changes(APPLICATION).then_some(provider);
                let body = fields::changed_application(changed, desired, link);
                let path = object(APPLICATIONS, slug);
                let changed: Option<Application> = self.api.patch("PATCH application", &path, &body, None).await?;
                self.forget_details(slug);
                changed
            }
            None => match self.make_application(desired, provider).await? {
                Some(application) => Some(application),
                None => {
                    let message = format!(
                        "application {:?} exists, and is not that of this client: delete or rename it, or give it the provider {:?}",
                        fields::slug(&desired.client_id),
                        desired.mark.to_string()
                    );
                    return Err(IdpError::new(IdpErrorKind::Taken, "POST application", message));
                }
            },
        };
        let Some(application) = application else {
            return Ok(Written::NotFound);
        };
        self.keep_details(&application);
        Ok(Written::As(Box::new(fields::after_application(observed, &application))))
    }

    /// `false` where there is no such object.
    async fn delete_for_good(&self, operation: &'static str, path: &[&str]) -> Result<bool, IdpError> {
        let found = self.api.delete(operation, path).await?;
        if found && self.api.get::<IgnoredAny>(operation, path).await?.is_some() {
            let message = "authentik said that it was deleted, and still has it";
            return Err(IdpError::new(IdpErrorKind::Server, operation, message));
        }
        Ok(found)
    }

    /// What was refused for good leaves nothing behind; else its outcome is open.
    async fn refused(&self, error: IdpError, own: &Ids, provider: Option<i64>) -> IdpError {
        if !error.is_definite() {
            return error;
        }
        match self.take_back(own, provider).await {
            Ok(()) => error,
            Err(left) => {
                let message = format!("{}; and what was made before is still there: {left}", error.message);
                IdpError::new(IdpErrorKind::Server, error.operation, message)
            }
        }
    }

    /// Takes back what a create made before its client ID or slug turned out to be taken.
    async fn take_back(&self, own: &Ids, provider: Option<i64>) -> Result<(), IdpError> {
        if let Some(pk) = provider {
            self.api
                .delete("DELETE provider", &object(PROVIDERS, &pk.to_string()))
                .await?;
        }
        for id in own.values() {
            self.api.delete("DELETE scope mapping", &object(MAPPINGS, id)).await?;
            self.forget_mapping(id);
        }
        Ok(())
    }
}

/// Ids of scope mappings by key.
type Ids = BTreeMap<String, String>;

fn object<'a>(list: &[&'a str], id: &'a str) -> Vec<&'a str> {
    list.iter().copied().chain([id]).collect()
}

fn by_key(mappings: &[Mapping]) -> Ids {
    let keyed = mappings.iter().filter_map(|mapping| {
        let (_, key) = claims::ours(mapping)?;
        Some((key.to_owned(), mapping.pk.clone()))
    });
    keyed.collect()
}

/// Is it a mapping of this client, whatever its life?
fn is_of(mapping: &Mapping, mark: &Mark) -> bool {
    claims::ours(mapping).is_some_and(|(found, _)| mark.judge(Some(&found)).is_ours())
}

#[async_trait]
impl Driver for AuthentikDriver {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    /// Token and rights are good if everything that clients are built from can be read.
    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        const OPERATION: &str = "GET version";
        let version: Option<Version> = self.api.get(OPERATION, &["admin", "version"]).await?;
        let version = version.ok_or_else(|| errors::not_authentik(OPERATION, self.api.base()))?;
        let (lookups, algorithm) = self.look_up().await?;
        Ok(ServerInfo {
            product: "authentik",
            version: Some(bounded(&version.version_current)),
            api_version: None,
            bulk_list: true,
            scopes: Some(lookups.scopes()),
            signing_algorithms: algorithm.map(|algorithm| BTreeSet::from([algorithm.to_owned()])),
        })
    }

    async fn list(&self, page: u32) -> Result<Page, IdpError> {
        let lookups = self.lookups().await?;
        let number = page.saturating_add(1);
        let query = [("ordering", "pk")];
        let Some(found) = self
            .api
            .page::<Provider>("GET providers", PROVIDERS, &query, number)
            .await?
        else {
            return Ok(Page::default());
        };
        let more = found.has_more();
        let mut rows = Vec::with_capacity(found.results.len());
        for provider in &found.results {
            rows.push(self.row(provider, &lookups).await?);
        }
        Ok(Page { rows, more })
    }

    /// By client ID, else by the mark; then the application, and mappings of the mark. An application alone under the client's
    /// slug stands in its way, or is what is left of it.
    async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        let lookups = self.lookups().await?;
        let mut provider = api::provider_by(&self.api, "client_id", client_id).await?;
        if provider.is_none() {
            provider = api::provider_by(&self.api, "name", &mark.to_string()).await?;
        }
        let own = self.own_mappings(mark).await?;
        let slug = fields::slug(client_id);
        let Some(provider) = provider else {
            let application = self.read_application(&slug).await?;
            let mut remains = match (&application, own.is_empty()) {
                (None, true) => return Ok(None),
                // Nothing but mappings: ours.
                (None, false) => fields::remains(client_id, None, &own, vec![mark.to_string()]),
                (Some(application), _) => fields::remains(client_id, Some(application), &own, Vec::new()),
            };
            // It belongs to nobody's provider, or to a provider that is not this client's.
            if application.is_some_and(|application| application.provider.is_some()) {
                remains.remote_id.clear();
            }
            return Ok(Some(remains));
        };
        let application = match provider.assigned_application_slug.as_deref() {
            Some(slug) => self.read_application(slug).await?,
            None => None,
        };
        let settings = self.settings();
        let mut observed = fields::observe(&provider, application.as_ref(), &own, &lookups, settings);
        if provider.assigned_application_slug.is_none()
            && observed.ownership(mark).is_ours()
            && let Some(orphan) = self.read_application(&slug).await?
            && orphan.provider.is_none()
        {
            fields::put_orphan(&mut observed, &orphan);
        }
        Ok(Some(observed))
    }

    /// Mappings, the provider, the application: until there is an application the client has no issuer, and no token.
    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        let lookups = self.lookups_for(desired).await?;
        // Before anything is made: whose application is that?
        if api::application(&self.api, &fields::slug(&desired.client_id))
            .await?
            .is_some()
        {
            return Ok(Created::Taken);
        }
        let mut own = Vec::new();
        for wanted in claims::wanted(desired, self.settings().email_verified) {
            match self.make_mapping(&wanted, &desired.mark).await {
                Ok(mapping) => own.push(mapping),
                Err(error) => return Err(self.refused(error, &by_key(&own), None).await),
            }
        }
        let ids = by_key(&own);
        let provider = match self.make_provider(desired, secret, &lookups, &ids).await {
            Err(error) => return Err(self.refused(error, &ids, None).await),
            Ok(Made::Made(provider)) => provider,
            Ok(Made::Taken(answer)) => {
                // Under our own name it is ours, from a create whose answer was lost, and so are the mappings.
                if !errors::is_taken(&answer, &["name"]) {
                    self.take_back(&ids, None).await?;
                }
                return Ok(Created::Taken);
            }
        };
        let application = match self.make_application(desired, provider.pk).await {
            Err(error) => return Err(self.refused(error, &ids, Some(provider.pk)).await),
            Ok(Some(application)) => application,
            Ok(None) => {
                self.take_back(&ids, Some(provider.pk)).await?;
                return Ok(Created::Taken);
            }
        };
        let shown = fields::observe(&provider, Some(&application), &own, &lookups, self.settings());
        Ok(Created::As(Box::new(shown)))
    }

    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        if diff.recreate {
            let message = "authentik changes everything in place: nothing needs a new client";
            return Err(IdpError::new(IdpErrorKind::Unsupported, "PATCH provider", message));
        }
        match diff.changes.as_slice() {
            [change] if let Some(key) = mapping_key(&change.field) => {
                self.change_mapping(observed, desired, change, key).await
            }
            [change, ..] if is_of_application(&change.field) => self.change_application(observed, desired, diff).await,
            _ => self.change_provider(observed, desired, secret, diff).await,
        }
    }

    /// The application, the provider, its mappings; and of each whether it is really gone: a worker that is recycled may answer,
    /// and do nothing. The provider, which carries the mark, goes only after the application.
    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        let mut found = false;
        if let Some(slug) = observed.handles.get(HANDLE_SLUG) {
            let path = object(APPLICATIONS, slug);
            found |= self.delete_for_good("DELETE application", &path).await?;
            self.forget_details(slug);
        }
        if let Some(pk) = observed.handles.get(HANDLE_PROVIDER) {
            found |= self.delete_for_good("DELETE provider", &object(PROVIDERS, pk)).await?;
        }
        for (field, id) in &observed.handles {
            if field.starts_with(CLAIMS) {
                let path = object(MAPPINGS, id);
                found |= self.delete_for_good("DELETE scope mapping", &path).await?;
                self.forget_mapping(id);
            }
        }
        Ok(if found { Written::Done } else { Written::NotFound })
    }

    /// First the issuer that the application is told of, by its own discovery document and keys; then the credentials, at the
    /// revocation endpoint: every client may use it, whatever its grants.
    async fn prove(&self, credentials: &Credentials<'_>, _endpoints: &Endpoints) -> Proof {
        let expected = self.model.discovery_of(credentials.client_id);
        let told = &expected.endpoints;
        let request = IssuerRequest {
            issuer: &expected.issuer,
            field: "publicURL",
            discovery_url: Some(&expected.url),
            insecure_endpoints_allowed: self.settings().public_url.starts_with("http://"),
        };
        let wrong = match issuer::read(&self.issuer_http, &request).await {
            Ok((found, _)) if found.endpoints.token == told.token && found.endpoints.jwks == told.jwks => None,
            Ok((found, _)) => Some(format!(
                "{} names the token endpoint {}, and applications are told {}: check publicURL",
                expected.url,
                bounded(&found.endpoints.token),
                told.token
            )),
            // There is no such application, or it has no provider: the credentials say more.
            Err(error @ IssuerError::Status { status: 404, .. }) => Some(error.to_string()),
            Err(error @ (IssuerError::Request(_) | IssuerError::Status { .. })) => {
                return Proof::Unknown(error.to_string());
            }
            Err(error) => Some(error.to_string()),
        };
        let proof = proof::by_revocation(&self.issuer_http, credentials, &self.model.revocation_endpoint()).await;
        match (proof, wrong) {
            (Proof::Proven, Some(why)) => Proof::WrongIssuer(why),
            (proof, _) => proof,
        }
    }
}
