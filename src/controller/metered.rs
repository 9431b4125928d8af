//! The bulkhead around one provider's admin API: calls under way at once, calls a second, a deadline, and numbers.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::Semaphore;

use crate::{
    domain::{
        ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof, RemoteDiff,
    },
    idp::{Created, Credentials, Driver, Page, ServerInfo, Written},
    telemetry::metrics::Metrics,
};

/// Limits of calls to one admin API (`spec.adminAPI`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls under way at once.
    pub max_in_flight: usize,
    /// Calls begun a second, on average.
    pub requests_per_second: NonZeroU32,
    /// Deadline of one call.
    pub timeout: Duration,
}

/// A driver within its limits.
pub struct Metered {
    inner: Box<dyn Driver>,
    provider_type: &'static str,
    in_flight: Semaphore,
    rate: DefaultDirectRateLimiter,
    timeout: Duration,
    metrics: Metrics,
}

impl Metered {
    /// Puts limits around a driver.
    pub fn new(inner: Box<dyn Driver>, provider_type: &'static str, limits: Limits, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self {
            inner,
            provider_type,
            in_flight: Semaphore::new(limits.max_in_flight),
            rate: RateLimiter::direct(Quota::per_second(limits.requests_per_second)),
            timeout: limits.timeout,
            metrics,
        })
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, IdpError>> + Send,
    ) -> Result<T, IdpError> {
        self.counted(operation, request, |_| "ok").await
    }

    /// One call within the limits; `found` labels what came of one that did not fail.
    async fn counted<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, IdpError>> + Send,
        found: fn(&T) -> &'static str,
    ) -> Result<T, IdpError> {
        // The semaphore is closed only with the process.
        let _permit = self.in_flight.acquire().await;
        self.rate.until_ready().await;
        let start = Instant::now();
        // The driver has the same deadline; this one holds whatever a driver forgets.
        let result = tokio::time::timeout(self.timeout + Duration::from_secs(1), request)
            .await
            .unwrap_or_else(|_| {
                self.metrics.deadline("idp");
                Err(IdpError::new(IdpErrorKind::Timeout, operation, "no answer in time"))
            });
        let outcome = result.as_ref().map_or_else(|error| kind(error.kind), found);
        self.metrics
            .idp_request(self.provider_type, operation, outcome, start.elapsed().as_secs_f64());
        result
    }
}

fn kind(kind: IdpErrorKind) -> &'static str {
    crate::plan::provider::reason_of(kind).as_str()
}

#[async_trait]
impl Driver for Metered {
    fn model(&self) -> &dyn Model {
        self.inner.model()
    }

    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        self.call("probe", self.inner.probe()).await
    }

    async fn list(&self, page: u32) -> Result<Page, IdpError> {
        self.call("list", self.inner.list(page)).await
    }

    async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        self.call("get", self.inner.get(client_id, mark)).await
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
        self.call("create", self.inner.create(desired, secret)).await
    }

    async fn update(
        &self,
        observed: &ObservedClient,
        desired: &DesiredClient,
        secret: Option<&ClientSecret>,
        diff: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        self.call("update", self.inner.update(observed, desired, secret, diff))
            .await
    }

    async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
        self.call("delete", self.inner.delete(observed)).await
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        let request = async { Ok(self.inner.prove(credentials, endpoints).await) };
        let proof = self
            .counted("prove", request, |proof| match proof {
                Proof::Proven => "proven",
                Proof::Disproven => "disproven",
                Proof::Unknown(_) => "unknown",
            })
            .await;
        proof.unwrap_or_else(|error| Proof::Unknown(error.to_string()))
    }
}
