//! The IO half: one request each, to the registration endpoint or to the address that the server gave for a client.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
};

use async_trait::async_trait;
use jiff::Timestamp;
use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::{
    RegistrationModel,
    errors::{With, of_answer},
    metadata::Metadata,
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, Management, Mark, Model, ObservedClient,
        ObservedSecret, Proof, Registered, RemoteDiff, Validity,
    },
    idp::{
        Created, Credentials, Driver, Page, ServerInfo, Written,
        http::{Answer, CONFIGURATION, HttpClient, parse_url},
        issuer::{self, IssuerRequest},
        proof,
    },
};

const REGISTER: &str = "RegisterClient";
const UPDATE: &str = "UpdateClient";
const DELETE: &str = "DeleteClient";
const PROBE: &str = "RegistrationEndpoint";

/// Where and as whom clients are registered.
#[derive(Clone, Debug)]
pub struct RegistrationConfig {
    /// The issuer, whose discovery document names the endpoint.
    pub issuer: String,
    /// The field of the spec that names the issuer.
    pub issuer_field: &'static str,
    /// Where its document lies, if not below the issuer.
    pub discovery_url: Option<String>,
    /// The endpoint itself, where the document does not name the one to use.
    pub registration_url: Option<String>,
    /// The initial access token (RFC 7591, section 1.2), where the server wants one.
    pub initial_token: Option<SecretString>,
    /// May endpoints in the document be plain http?
    pub insecure_endpoints_allowed: bool,
    /// May clients be registered and managed over plain http?
    pub insecure_allowed: bool,
}

/// A server with dynamic registration.
pub struct RegistrationDriver {
    config: RegistrationConfig,
    http: HttpClient,
    model: RegistrationModel,
    /// As the last look at the discovery document showed it.
    endpoint: RwLock<Option<Arc<Url>>>,
}

impl std::fmt::Debug for RegistrationDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistrationDriver")
            .field("issuer", &self.config.issuer)
            .finish_non_exhaustive()
    }
}

/// What comes with the metadata in an answer (RFC 7591, section 3.2.1; RFC 7592, section 3).
#[derive(Deserialize)]
struct Answered {
    client_id: String,
    client_secret: Option<ClientSecretText>,
    client_secret_expires_at: Option<i64>,
    registration_access_token: Option<ClientSecretText>,
    registration_client_uri: Option<String>,
    #[serde(flatten)]
    metadata: Metadata,
}

/// A secret on its way in.
#[derive(Deserialize)]
#[serde(from = "String")]
struct ClientSecretText(ClientSecret);

impl From<String> for ClientSecretText {
    fn from(text: String) -> Self {
        Self(ClientSecret::new(text))
    }
}

impl RegistrationDriver {
    /// `http` trusts the issuer's CA. Nothing is connected yet.
    ///
    /// # Errors
    /// [`IdpErrorKind::Refused`] where `registration_url` is no address.
    pub fn new(config: RegistrationConfig, http: HttpClient) -> Result<Self, IdpError> {
        let endpoint = config
            .registration_url
            .as_deref()
            .map(|url| address(CONFIGURATION, url, config.insecure_allowed))
            .transpose()?;
        Ok(Self {
            config,
            http,
            model: RegistrationModel,
            endpoint: RwLock::new(endpoint.map(Arc::new)),
        })
    }

    /// The registration endpoint: as configured, or as the discovery document names it.
    async fn look_for_endpoint(&self) -> Result<Arc<Url>, IdpError> {
        if self.config.registration_url.is_some()
            && let Some(endpoint) = self.known_endpoint()
        {
            return Ok(endpoint);
        }
        let request = IssuerRequest {
            issuer: &self.config.issuer,
            field: self.config.issuer_field,
            discovery_url: self.config.discovery_url.as_deref(),
            insecure_endpoints_allowed: self.config.insecure_endpoints_allowed,
        };
        let (discovery, _) = issuer::document(&self.http, &request)
            .await
            .map_err(|error| match error {
                crate::domain::IssuerError::Request(error) => error,
                other => IdpError::new(IdpErrorKind::Protocol, PROBE, other.to_string()),
            })?;
        let Some(url) = discovery.endpoints.registration else {
            return Err(IdpError::new(
                IdpErrorKind::Unsupported,
                PROBE,
                "the issuer's discovery document names no registration_endpoint: it has no dynamic registration, or it must be switched on; if only the document lacks it, set dynamicRegistration.registrationURL",
            ));
        };
        let endpoint = Arc::new(address(PROBE, &url, self.config.insecure_allowed)?);
        *self.endpoint.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(endpoint.clone());
        Ok(endpoint)
    }

    fn known_endpoint(&self) -> Option<Arc<Url>> {
        self.endpoint
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    async fn send(
        &self,
        operation: &'static str,
        method: Method,
        url: &Url,
        token: Option<&SecretString>,
        body: Option<&Value>,
    ) -> Result<Answer, IdpError> {
        match token {
            Some(token) => self.http.with_token(operation, method, url.clone(), token, body).await,
            None => self.http.json(operation, method, url.clone(), body).await,
        }
    }

    async fn register(&self, endpoint: &Url, metadata: &Metadata) -> Result<Answer, IdpError> {
        // Strings, booleans and lists of strings: nothing in it can fail to be written.
        let body = serde_json::to_value(metadata).unwrap_or_default();
        let token = self.config.initial_token.as_ref();
        let answer = self.send(REGISTER, Method::POST, endpoint, token, Some(&body)).await?;
        if matches!(answer.status, 200 | 201) {
            return Ok(answer);
        }
        let sent = token.map(|token| ClientSecret::new(token.expose_secret()));
        let with = With::InitialToken { given: token.is_some() };
        let secrets: Vec<&ClientSecret> = sent.iter().collect();
        Err(of_answer(REGISTER, endpoint, &answer, with, &secrets))
    }

    async fn change(
        &self,
        url: &Url,
        management: &Management,
        observed: &ObservedClient,
        secret: Option<&ClientSecret>,
        metadata: &Metadata,
    ) -> Result<Answer, IdpError> {
        let mut body = serde_json::to_value(metadata).unwrap_or_default();
        body["client_id"] = Value::String(observed.client_id.clone());
        // The one that it has, so that it stays (RFC 7592, section 2.2).
        if let Some(secret) = secret {
            body["client_secret"] = Value::String(secret.expose().to_owned());
        }
        let token = SecretString::from(management.token.expose());
        let answer = self.send(UPDATE, Method::PUT, url, Some(&token), Some(&body)).await?;
        if answer.status == 200 {
            return Ok(answer);
        }
        let secrets: Vec<&ClientSecret> = secret.into_iter().chain([&management.token]).collect();
        Err(of_answer(UPDATE, url, &answer, With::RegistrationToken, &secrets))
    }

    /// An answer that shows the client (RFC 7591, section 3.2.1). What it does not mention stays as `before` it.
    fn client(
        &self,
        operation: &'static str,
        answer: &Answer,
        desired: &DesiredClient,
        before: Option<&ObservedClient>,
    ) -> Result<ObservedClient, IdpError> {
        let nonsense = |why: &str| IdpError::new(IdpErrorKind::Protocol, operation, why);
        let answered: Answered = serde_json::from_slice(answer.body.as_bytes())
            .map_err(|_| nonsense("the server's answer does not describe a client (RFC 7591, section 3.2.1)"))?;
        if answered.client_id.is_empty() || before.is_some_and(|before| before.client_id != answered.client_id) {
            return Err(nonsense("the server's answer names another client, or none"));
        }
        let asked = Metadata::of(desired);
        let kept = before.and_then(|before| before.secret.shown()).cloned();
        let secret = answered.client_secret.map(|secret| secret.0).or(kept);
        let former = before.and_then(ObservedClient::management).cloned();
        let token = answered.registration_access_token.map(|token| token.0);
        let management = match (answered.registration_client_uri, token, former) {
            (Some(uri), Some(token), _) => Some((uri, token)),
            (uri, token, Some(former)) => Some((uri.unwrap_or(former.uri), token.unwrap_or(former.token))),
            _ => None,
        };
        let management = management
            // What the operator would not dare to speak to is none.
            .filter(|(uri, _)| address(operation, uri, self.config.insecure_allowed).is_ok())
            .map(|(uri, token)| Management {
                uri,
                token,
                refused: false,
            });
        Ok(ObservedClient {
            remote_id: answered.client_id.clone(),
            client_id: answered.client_id,
            marks: vec![desired.mark.to_string()],
            secret: match secret.filter(|_| desired.has_secret()) {
                Some(secret) => ObservedSecret::Shown(secret),
                None => ObservedSecret::Absent,
            },
            validity: Validity::default(),
            disabled: false,
            fields: asked.fields(),
            handles: BTreeMap::new(),
            registered: Some(Box::new(Registered {
                management,
                altered: answered.metadata.altered(&asked),
                secret_expires: answered
                    .client_secret_expires_at
                    .filter(|seconds| *seconds > 0)
                    .and_then(|seconds| Timestamp::from_second(seconds).ok()),
            })),
        })
    }
}

/// An address of the server's: https, unless that is allowed otherwise.
fn address(operation: &'static str, text: &str, insecure_allowed: bool) -> Result<Url, IdpError> {
    let url = parse_url(text).filter(|url| insecure_allowed || url.scheme() == "https");
    url.ok_or_else(|| {
        IdpError::new(
            IdpErrorKind::Refused,
            operation,
            format!("{text:?} is not an https address"),
        )
    })
}

fn management<'a>(operation: &'static str, observed: &'a ObservedClient) -> Result<&'a Management, IdpError> {
    observed.management().ok_or_else(|| {
        IdpError::new(
            IdpErrorKind::Unsupported,
            operation,
            "the server gave no address at which the client can be managed (RFC 7592 is optional)",
        )
    })
}

#[async_trait]
impl Driver for RegistrationDriver {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    /// Is there an endpoint? Whether it takes the initial access token, only a registration would tell.
    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        self.look_for_endpoint().await?;
        Ok(ServerInfo {
            product: "DynamicRegistration",
            version: None,
            api_version: None,
            bulk_list: false,
            scopes: None,
            signing_algorithms: None,
        })
    }

    async fn list(&self, _: u32) -> Result<Page, IdpError> {
        Err(IdpError::new(
            IdpErrorKind::Unsupported,
            "ListClients",
            "dynamic registration lists no clients",
        ))
    }

    async fn get(&self, _: &str, _: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        Err(IdpError::new(
            IdpErrorKind::Unsupported,
            "ReadClient",
            "to read a client ends its registration access token (RFC 7592, section 3): what the server answered last is in the operator's record",
        ))
    }

    async fn create(&self, desired: &DesiredClient, _: Option<&ClientSecret>) -> Result<Created, IdpError> {
        let endpoint = match self.known_endpoint() {
            Some(endpoint) => endpoint,
            None => self.look_for_endpoint().await?,
        };
        let metadata = Metadata::of(desired);
        let registered = self.register(&endpoint, &metadata).await;
        let answer = match (registered, metadata.without_openid()) {
            // A refusal is for certain: nothing was registered.
            (Err(error), Some(less)) if error.kind == IdpErrorKind::Refused => self.register(&endpoint, &less).await,
            (registered, _) => registered,
        }?;
        let client = self.client(REGISTER, &answer, desired, None)?;
        Ok(Created::As(Box::new(client)))
    }

    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        _: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        if diff.recreate {
            let message = "a registered client is never made anew: it would get another client ID";
            return Err(IdpError::new(IdpErrorKind::Unsupported, UPDATE, message));
        }
        let management = management(UPDATE, observed)?;
        let url = address(UPDATE, &management.uri, self.config.insecure_allowed)?;
        let metadata = Metadata::of(desired).clearing(&observed.fields);
        let secret = observed.secret.shown().filter(|_| desired.has_secret());
        let changed = self.change(&url, management, observed, secret, &metadata).await;
        let answer = match (changed, metadata.without_openid()) {
            (Err(error), Some(less)) if error.kind == IdpErrorKind::Refused => {
                self.change(&url, management, observed, secret, &less).await
            }
            (changed, _) => changed,
        }?;
        let client = self.client(UPDATE, &answer, desired, Some(observed))?;
        Ok(Written::As(Box::new(client)))
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        let management = management(DELETE, observed)?;
        let url = address(DELETE, &management.uri, self.config.insecure_allowed)?;
        let token = SecretString::from(management.token.expose());
        let answer = self.send(DELETE, Method::DELETE, &url, Some(&token), None).await?;
        match answer.status {
            200 | 202 | 204 => Ok(Written::Done),
            _ => Err(of_answer(
                DELETE,
                &url,
                &answer,
                With::RegistrationToken,
                &[&management.token],
            )),
        }
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        proof::of_unknown_server(&self.http, credentials, endpoints).await
    }
}
