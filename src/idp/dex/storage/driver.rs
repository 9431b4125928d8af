//! The IO half: one request to the Kubernetes API server a call (a list may have pages).

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions},
    core::{DynamicObject, ObjectList},
    runtime::watcher,
};

use super::{
    errors::{Operation, Place, classify, is_conflict, is_missing, is_taken},
    model::DexStorageModel,
    names,
    object::{self, observe},
    watch,
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof, RemoteDiff,
        vocabulary::FIELD_MANAGER,
    },
    idp::{Created, Credentials, Driver, Page, ServerInfo, Watch, Written, http::HttpClient, proof},
    kubernetes::{
        client::{CallError, within_time},
        watch::{answering, prune_metadata, watch_and_tell},
    },
    telemetry::metrics::Metrics,
};

/// Objects a page of the list.
const PAGE: u32 = 500;

/// A Dex, by the objects of its Kubernetes storage.
pub struct DexStorageDriver {
    clients: Api<DynamicObject>,
    place: Place,
    metrics: Metrics,
    issuer_http: HttpClient,
    model: DexStorageModel,
}

impl std::fmt::Debug for DexStorageDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DexStorageDriver")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl DexStorageDriver {
    /// A driver for the Dex that keeps its objects in `namespace`. Each call ends within `timeout`. `issuer_http` trusts the
    /// issuer's CA and carries the credential proofs. Nothing is asked yet.
    pub fn new(kube: Client, namespace: &str, timeout: Duration, issuer_http: HttpClient, metrics: Metrics) -> Self {
        Self {
            clients: Api::namespaced_with(kube, namespace, &object::resource()),
            place: Place {
                namespace: namespace.to_owned(),
                timeout,
            },
            metrics,
            issuer_http,
            model: DexStorageModel,
        }
    }

    async fn call<T>(
        &self,
        operation: Operation,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, CallError> {
        within_time(&self.metrics, operation.label(), self.place.timeout, request).await
    }

    fn error(&self, operation: Operation, failure: &CallError, sent: Option<&ClientSecret>) -> IdpError {
        classify(operation, failure, &self.place, sent)
    }

    async fn page(&self, params: &ListParams) -> Result<ObjectList<DynamicObject>, IdpError> {
        let answer = self.call(Operation::List, self.clients.list(params)).await;
        answer.map_err(|failure| self.error(Operation::List, &failure, None))
    }
}

/// What is known of the server: Dex itself is not asked, and its objects do not name its version.
fn server() -> ServerInfo {
    ServerInfo {
        product: "Dex",
        version: None,
        api_version: None,
        bulk_list: true,
        scopes: None,
        signing_algorithms: None,
    }
}

#[async_trait]
impl Driver for DexStorageDriver {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    /// Is there the CRD, and may the operator list?
    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        self.page(&ListParams::default().limit(1)).await?;
        Ok(server())
    }

    /// All clients at once: the API server names the next page by a token, which is of no use to anybody but this loop.
    async fn list(&self, _page: u32) -> Result<Page, IdpError> {
        let mut params = ListParams::default().limit(PAGE);
        let mut rows = Vec::new();
        loop {
            let page = self.page(&params).await?;
            rows.extend(page.items.iter().map(observe));
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                return Ok(Page { rows, more: false });
            }
        }
    }

    fn watch(&self) -> Option<Watch> {
        let kube = answering(&self.clients.clone().into_client());
        let clients = Api::namespaced_with(kube, &self.place.namespace, &object::resource());
        let events = watch_and_tell(
            "dex-oauth2clients",
            clients,
            watcher::Config::default(),
            prune_metadata,
            self.metrics.clone(),
        );
        Some(Watch {
            server: server(),
            events: watch::follow(events, self.place.clone()).boxed(),
        })
    }

    async fn get(&self, client_id: &str, _mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        let Some(name) = names::object_name(client_id) else {
            return Ok(None);
        };
        match self.call(Operation::Get, self.clients.get(&name)).await {
            Ok(object) => Ok(Some(observe(&object))),
            Err(failure) if is_missing(&failure, &name) => Ok(None),
            Err(failure) => Err(self.error(Operation::Get, &failure, None)),
        }
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        let object = object::new(Operation::Create.name(), desired, secret)?;
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match self
            .call(Operation::Create, self.clients.create(&params, &object))
            .await
        {
            Ok(object) => Ok(Created::As(Box::new(observe(&object)))),
            Err(failure) if is_taken(&failure) => Ok(Created::Taken),
            Err(failure) => Err(self.error(Operation::Create, &failure, secret)),
        }
    }

    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        let operation = Operation::Patch;
        if diff.recreate {
            let message = "nothing of an OAuth2Client needs a new one";
            return Err(IdpError::new(IdpErrorKind::Unsupported, operation.name(), message));
        }
        let Some(version) = object::version(observed) else {
            return self.unseen(desired).await;
        };
        let patch = object::patch(operation.name(), &version, observed, desired, secret, diff)?;
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let name = &observed.remote_id;
        let patch = Patch::Merge(&patch);
        match self.call(operation, self.clients.patch(name, &params, &patch)).await {
            Ok(object) => Ok(Written::As(Box::new(observe(&object)))),
            Err(failure) if is_missing(&failure, name) => Ok(Written::NotFound),
            Err(failure) if is_conflict(&failure) => Ok(Written::Outdated),
            Err(failure) => Err(self.error(operation, &failure, secret)),
        }
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        let operation = Operation::Delete;
        let Some(version) = object::version(observed) else {
            let message = "the OAuth2Client was not looked at";
            return Err(IdpError::new(IdpErrorKind::Protocol, operation.name(), message));
        };
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(version.uid.to_owned()),
                resource_version: Some(version.resource_version.to_owned()),
            }),
            ..DeleteParams::default()
        };
        let name = &observed.remote_id;
        match self.call(operation, self.clients.delete(name, &params)).await {
            Ok(answer) => match answer.left().and_then(|object| object.metadata.finalizers) {
                // Dex still serves it.
                Some(held) if !held.is_empty() => {
                    let message = format!(
                        "the OAuth2Client is there until its finalizers are taken off: {}",
                        held.join(", ")
                    );
                    Err(IdpError::new(IdpErrorKind::Server, operation.name(), message))
                }
                _ => Ok(Written::Done),
            },
            Err(failure) if is_missing(&failure, name) => Ok(Written::NotFound),
            Err(failure) if is_conflict(&failure) => Ok(Written::Outdated),
            Err(failure) => Err(self.error(operation, &failure, None)),
        }
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        proof::by_invalid_code(&self.issuer_http, credentials, endpoints).await
    }
}

impl DexStorageDriver {
    /// Nobody looked at this client: nothing may be written then.
    async fn unseen(&self, desired: &DesiredClient) -> Result<Written, IdpError> {
        let found = self.get(&desired.client_id, &desired.mark).await?;
        Ok(found.map_or(Written::NotFound, |_| Written::Outdated))
    }
}
