//! The bulkhead around one provider's admin API: calls under way at once, calls a second, a deadline, and numbers.

use std::{
    num::NonZeroU32,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::StreamExt as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::{sync::Semaphore, time::Instant};

use super::lock::lock;
use crate::{
    domain::{
        ClientSecret, DesiredClient, Effect, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof,
        RemoteDiff,
    },
    idp::{Created, Credentials, Driver, Page, ServerInfo, Watch, Watched, Written},
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
    /// Until when the server asked to be left alone.
    pause: Mutex<Option<Instant>>,
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
            pause: Mutex::default(),
            metrics,
        })
    }

    /// What is left of the time that the server asked for (`Retry-After`). It asked all callers, not only the one who was told.
    fn left_alone(&self, operation: &'static str) -> Result<(), IdpError> {
        let left = lock(&self.pause).map(|end| end.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            None => Ok(()),
            Some(left) => {
                let message = format!(
                    "not asked: the server wants to be left alone for {} s more",
                    left.as_secs() + 1
                );
                Err(IdpError::new(IdpErrorKind::Throttled, operation, message).after(Some(left)))
            }
        }
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
        self.left_alone(operation)?;
        let start = Instant::now();
        // The driver has the same deadline; this one holds whatever a driver forgets.
        let result = tokio::time::timeout(self.timeout + Duration::from_secs(1), request)
            .await
            .unwrap_or_else(|_| {
                self.metrics.deadline("idp");
                Err(IdpError::new(IdpErrorKind::Timeout, operation, "no answer in time"))
            });
        if let Err(error) = &result
            && let Some(wait) = error.retry_after
        {
            let end = Instant::now() + wait;
            let mut pause = lock(&self.pause);
            *pause = Some(pause.map_or(end, |former| former.max(end)));
        }
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

    /// Each list and each failure counts as a call; a watch that stands makes none.
    fn watch(&self) -> Option<Watch> {
        let watch = self.inner.watch()?;
        let (metrics, provider_type) = (self.metrics.clone(), self.provider_type);
        let counted = watch.events.inspect(move |event| match event {
            Watched::Listed { began, .. } => {
                metrics.idp_request(provider_type, "list", "ok", began.elapsed().as_secs_f64());
            }
            Watched::Changed(_) => {}
            Watched::Failed(error) => metrics.idp_request(provider_type, "watch", kind(error.kind), 0.0),
        });
        Some(Watch {
            events: counted.boxed(),
            ..watch
        })
    }

    async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        self.call("get", self.inner.get(client_id, mark)).await
    }

    async fn get_by_id(&self, remote_id: &str) -> Result<Option<ObservedClient>, IdpError> {
        self.call("get", self.inner.get_by_id(remote_id)).await
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

    fn effect(&self, client_id: &str) -> Effect {
        self.inner.effect(client_id)
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        let request = async { Ok(self.inner.prove(credentials, endpoints).await) };
        let proof = self
            .counted("prove", request, |proof| match proof {
                Proof::Proven => "proven",
                Proof::Disproven => "disproven",
                Proof::Unknown(_) => "unknown",
                Proof::Undecided(_) => "undecided",
                Proof::WrongIssuer(_) => "wrong_issuer",
            })
            .await;
        proof.unwrap_or_else(|error| Proof::Unknown(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idp::{
        contract::Fixture,
        memory::{Like, MemoryDriver, Operation},
    };

    /// Answers `503` with `Retry-After: 5` to the first call, and then as the one in memory.
    struct Overloaded {
        first: Mutex<bool>,
        memory: Arc<MemoryDriver>,
    }

    #[async_trait]
    impl Driver for Overloaded {
        fn model(&self) -> &dyn Model {
            self.memory.model()
        }
        async fn probe(&self) -> Result<ServerInfo, IdpError> {
            if std::mem::take(&mut *lock(&self.first)) {
                let error = IdpError::new(IdpErrorKind::Server, "probe", "overloaded");
                return Err(error.after(Some(Duration::from_secs(5))));
            }
            self.memory.probe().await
        }
        async fn list(&self, page: u32) -> Result<Page, IdpError> {
            self.memory.list(page).await
        }
        async fn get(&self, client_id: &str, mark: &Mark) -> Result<Option<ObservedClient>, IdpError> {
            self.memory.get(client_id, mark).await
        }
        async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Result<Created, IdpError> {
            self.memory.create(desired, secret).await
        }
        async fn update(
            &self,
            observed: &ObservedClient,
            desired: &DesiredClient,
            secret: Option<&ClientSecret>,
            diff: &RemoteDiff,
        ) -> Result<Written, IdpError> {
            self.memory.update(observed, desired, secret, diff).await
        }
        async fn delete(&self, observed: &ObservedClient) -> Result<Written, IdpError> {
            self.memory.delete(observed).await
        }
        async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
            self.memory.prove(credentials, endpoints).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_for_a_pause_is_left_alone_by_everybody() {
        let memory = Arc::new(MemoryDriver::new(Like::Keycloak));
        let overloaded = Overloaded {
            first: Mutex::new(true),
            memory: memory.clone(),
        };
        let limits = Limits {
            max_in_flight: 4,
            requests_per_second: NonZeroU32::new(1000).unwrap(),
            timeout: Duration::from_secs(1),
        };
        let metered = Metered::new(Box::new(overloaded), "Test", limits, Metrics::default());
        assert_eq!(metered.probe().await.unwrap_err().kind, IdpErrorKind::Server);

        let (desired, _) = Fixture::new("test", None).client("a");
        tokio::time::advance(Duration::from_secs(3)).await;
        let error = metered.get(&desired.client_id, &desired.mark).await.unwrap_err();
        assert_eq!(error.kind, IdpErrorKind::Throttled);
        assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
        assert_eq!(memory.count(Operation::Get), 0, "nothing was sent");

        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(metered.get(&desired.client_id, &desired.mark).await.unwrap(), None);
    }
}
