//! The IO half: one request each (two where a client is missing), with the operator's token.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use async_trait::async_trait;
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use super::{
    errors, mappers,
    model::{KeycloakModel, is_part},
    representation::{self, OPTIONAL_SCOPES, Representation, SCOPES},
    token::{AdminCredentials, Tokens},
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof, RemoteDiff,
        model::FieldChange,
    },
    idp::{
        Created, Credentials, Driver, Page, ServerInfo, Transport, Written,
        http::{Answer, CONFIGURATION, HttpClient, parse_url},
        proof,
    },
};

/// Clients on a page of the list: some hundred kilobytes, and a second or so of a busy server.
const PAGE: u32 = 200;

/// Where a Keycloak is, and who asks.
#[derive(Clone, Debug)]
pub struct KeycloakConfig {
    /// Its address (`spec.keycloak.adminURL`), with the path that it is served under, if any.
    pub admin_url: String,
    /// The realm of the clients.
    pub realm: String,
    /// The realm of the operator's account.
    pub auth_realm: String,
    /// The operator's account.
    pub credentials: AdminCredentials,
}

/// A realm of a Keycloak.
pub struct KeycloakDriver {
    /// `{adminURL}/admin/realms/{realm}`.
    base: Url,
    realm: String,
    http: HttpClient,
    tokens: Tokens,
    /// Ids of the realm's client scopes by name, as last read.
    scopes: RwLock<Arc<BTreeMap<String, String>>>,
    issuer_http: HttpClient,
    model: KeycloakModel,
}

impl std::fmt::Debug for KeycloakDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeycloakDriver")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct ClientScope {
    id: String,
    name: String,
    #[serde(default)]
    protocol: Option<String>,
}

impl KeycloakDriver {
    /// A driver for a realm. `issuer_http` trusts the issuer's CA and carries the credential proofs. Nothing is asked yet.
    ///
    /// # Errors
    /// [`IdpErrorKind::Refused`] where the address is none, [`IdpErrorKind::Tls`] where the CA cannot be used.
    pub fn new(
        config: &KeycloakConfig,
        admin_transport: &Transport,
        issuer_http: HttpClient,
    ) -> Result<Self, IdpError> {
        let root = parse_url(&config.admin_url).ok_or_else(|| {
            let message = format!("adminURL {:?} is not an http(s) URL", config.admin_url);
            IdpError::new(IdpErrorKind::Refused, CONFIGURATION, message)
        })?;
        let http = HttpClient::new(admin_transport)?;
        let token_endpoint = below(
            &root,
            &["realms", &config.auth_realm, "protocol", "openid-connect", "token"],
        );
        let tokens = Tokens::new(
            http.clone(),
            token_endpoint,
            &config.auth_realm,
            config.credentials.clone(),
        );
        Ok(Self {
            base: below(&root, &["admin", "realms", &config.realm]),
            realm: config.realm.clone(),
            http,
            tokens,
            scopes: RwLock::default(),
            issuer_http,
            model: KeycloakModel::new(&config.realm),
        })
    }

    /// One request with a good token. A token that is refused is replaced once.
    async fn send(
        &self,
        operation: &'static str,
        method: Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Answer, IdpError> {
        let token = self.tokens.get().await?;
        let answer = self
            .http
            .with_token(operation, method.clone(), url.clone(), token.value(), body)
            .await?;
        if !matches!(answer.status, 401 | 403) {
            return Ok(answer);
        }
        match self.tokens.instead_of(&token, answer.status).await? {
            Some(token) => {
                self.http
                    .with_token(operation, method, url.clone(), token.value(), body)
                    .await
            }
            None => Ok(answer),
        }
    }

    async fn read<T: DeserializeOwned>(&self, operation: &'static str, url: &Url) -> Result<Option<T>, IdpError> {
        let answer = self.send(operation, Method::GET, url, None).await?;
        match answer.status {
            200 => serde_json::from_slice(answer.body.as_bytes())
                .map(Some)
                .map_err(|_| errors::not_keycloak(operation, url)),
            404 if is_missing_object(&answer) => Ok(None),
            _ => Err(errors::of_answer(operation, url, &answer, &self.realm)),
        }
    }

    /// The same for a list, which is always there.
    async fn read_list<T: DeserializeOwned>(&self, operation: &'static str, url: &Url) -> Result<Vec<T>, IdpError> {
        let found = self.read(operation, url).await?;
        found.ok_or_else(|| errors::not_keycloak(operation, url))
    }

    async fn write(
        &self,
        operation: &'static str,
        method: Method,
        url: &Url,
        body: Option<&Value>,
        secret: Option<&ClientSecret>,
    ) -> Result<Written, IdpError> {
        let answer = self.send(operation, method, url, body).await?;
        match answer.status {
            200..=204 => Ok(Written::Done),
            404 if is_missing_object(&answer) => Ok(Written::NotFound),
            // Somebody made it meanwhile: the plan looks anew.
            409 => Ok(Written::NotFound),
            _ => Err(errors::of_answer_to(operation, url, &answer, &self.realm, secret)),
        }
    }

    fn clients(&self) -> Url {
        below(&self.base, &["clients"])
    }

    fn client(&self, observed: &ObservedClient, parts: &[&str]) -> Url {
        let path: Vec<&str> = ["clients", &observed.remote_id]
            .into_iter()
            .chain(parts.iter().copied())
            .collect();
        below(&self.base, &path)
    }

    /// Ids of client scopes by name. Only those of OpenID Connect: SAML's cannot be given to our clients.
    async fn read_scopes(&self) -> Result<Arc<BTreeMap<String, String>>, IdpError> {
        let url = below(&self.base, &["client-scopes"]);
        let found: Vec<ClientScope> = self.read_list("GET client-scopes", &url).await?;
        let scopes = found
            .into_iter()
            .filter(|scope| scope.protocol.as_deref() != Some("saml"))
            .map(|scope| (scope.name, scope.id))
            .collect();
        let scopes = Arc::new(scopes);
        *self.scopes.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&scopes);
        Ok(scopes)
    }

    fn known_scopes(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.scopes.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn scope_id(&self, name: &str) -> Result<String, IdpError> {
        if let Some(id) = self.known_scopes().get(name) {
            return Ok(id.clone());
        }
        self.read_scopes().await?.get(name).cloned().ok_or_else(|| {
            let message = format!("realm {} has no client scope {name}", self.realm);
            IdpError::new(IdpErrorKind::Refused, "GET client-scopes", message)
        })
    }

    fn observe(&self, client: &Representation) -> ObservedClient {
        // Keycloak 26.8 shows empty lists of scopes to those who may not see scopes.
        client.observe(!self.known_scopes().is_empty())
    }

    /// A scope or a claim, by its own endpoint.
    async fn update_part(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        change: &FieldChange,
    ) -> Result<Written, IdpError> {
        let method = if change.to.is_empty() {
            Method::DELETE
        } else {
            Method::PUT
        };
        let scopes = [
            (SCOPES, "default-client-scopes"),
            (OPTIONAL_SCOPES, "optional-client-scopes"),
        ];
        for (prefix, endpoint) in scopes {
            if let Some(name) = change.field.strip_prefix(prefix) {
                let id = self.scope_id(name).await?;
                let url = self.client(observed, &[endpoint, &id]);
                return self.write("change of a client scope", method, &url, None, None).await;
            }
        }
        let models = ["protocol-mappers", "models"];
        let id = observed.handles.get(&change.field);
        let mapper = mappers::wanted_for(desired, &change.field).filter(|_| !change.to.is_empty());
        match (mapper, id) {
            (Some(mapper), None) => {
                let url = self.client(observed, &models);
                self.write("POST protocol mapper", Method::POST, &url, Some(&mapper.body()), None)
                    .await
            }
            (Some(mut mapper), Some(id)) => {
                mapper.id = Some(id.clone());
                let url = self.client(observed, &[models[0], models[1], id]);
                self.write("PUT protocol mapper", Method::PUT, &url, Some(&mapper.body()), None)
                    .await
            }
            (None, Some(id)) => {
                let url = self.client(observed, &[models[0], models[1], id]);
                self.write("DELETE protocol mapper", Method::DELETE, &url, None, None)
                    .await
            }
            // What was never there need not go.
            (None, None) => Ok(Written::NotFound),
        }
    }
}

/// A 404 from Keycloak about something in the realm: `{"error":"Could not find client"}` and the like.
fn is_missing_object(answer: &Answer) -> bool {
    let body = answer.body.as_bytes();
    serde_json::from_slice::<serde_json::Map<String, Value>>(body).is_ok() && !errors::is_missing_realm(body)
}

fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // An http(s) URL always has segments.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

fn with_query(mut url: Url, query: &[(&str, &str)]) -> Url {
    url.query_pairs_mut().extend_pairs(query);
    url
}

#[async_trait]
impl Driver for KeycloakDriver {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    /// Token, rights and realm are good if the client scopes can be read. Keycloak tells its version to administrators of
    /// the whole server only.
    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        let scopes = self.read_scopes().await?;
        Ok(ServerInfo {
            product: "Keycloak",
            version: None,
            api_version: None,
            bulk_list: true,
            signing_algorithms: None,
            scopes: (!scopes.is_empty()).then(|| scopes.keys().cloned().collect()),
        })
    }

    async fn list(&self, page: u32) -> Result<Page, IdpError> {
        let first = page.saturating_mul(PAGE).to_string();
        let url = with_query(self.clients(), &[("first", &first), ("max", &PAGE.to_string())]);
        let rows: Vec<Representation> = self.read_list("GET clients", &url).await?;
        Ok(Page {
            more: u32::try_from(rows.len()).is_ok_and(|rows| rows >= PAGE),
            rows: rows.iter().map(|client| self.observe(client)).collect(),
        })
    }

    async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        let url = with_query(self.clients(), &[("clientId", client_id)]);
        let found: Vec<Representation> = self.read_list("GET client", &url).await?;
        if let Some(client) = found.iter().find(|client| client.client_id == client_id) {
            return Ok(Some(self.observe(client)));
        }
        self.get_by_id(&self.model.uuid(mark)).await
    }

    async fn get_by_id(&self, remote_id: &str) -> Result<Option<ObservedClient>, IdpError> {
        let is_one = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_one(remote_id) {
            return Ok(None);
        }
        let url = below(&self.base, &["clients", remote_id]);
        let found: Option<Representation> = self.read("GET client", &url).await?;
        Ok(found.map(|client| self.observe(&client)))
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        const OPERATION: &str = "POST client";
        if desired.has_secret() && secret.is_none_or(|secret| secret.expose().is_empty() || !desired.takes(secret)) {
            // Keycloak would make one up, and nobody would know it.
            let message = "a confidential client needs a secret, or a private key where it authenticates with one";
            return Err(IdpError::new(IdpErrorKind::Refused, OPERATION, message));
        }
        let url = self.clients();
        let body = representation::create(&self.model.uuid(&desired.mark), desired, secret);
        let answer = self.send(OPERATION, Method::POST, &url, Some(&body)).await?;
        match answer.status {
            201 => Ok(Created::Created),
            409 => Ok(Created::Taken),
            _ => Err(errors::of_answer_to(OPERATION, &url, &answer, &self.realm, secret)),
        }
    }

    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        const OPERATION: &str = "PUT client";
        if diff.recreate {
            let message = "Keycloak changes everything in place: nothing needs a new client";
            return Err(IdpError::new(IdpErrorKind::Unsupported, OPERATION, message));
        }
        match diff.changes.as_slice() {
            [change] if is_part(&change.field) => self.update_part(observed, desired, change).await,
            _ => {
                let url = self.client(observed, &[]);
                let body = representation::update(observed, desired, secret, diff);
                self.write(OPERATION, Method::PUT, &url, Some(&body), secret).await
            }
        }
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        let url = self.client(observed, &[]);
        self.write("DELETE client", Method::DELETE, &url, None, None).await
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        proof::by_invalid_code(&self.issuer_http, credentials, endpoints).await
    }
}
