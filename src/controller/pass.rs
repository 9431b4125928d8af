//! From the queue to one pass over one object: a permit, a deadline, and when to look again.

use std::{
    fmt::Display,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt as _;
use jiff::Timestamp;
use kube::{Resource, core::DeserializeGuard, runtime::controller::Action};

use super::{
    client::{self, PassError},
    context::{Context, PASS_DEADLINE, PROVIDER_PASS_DEADLINE},
    gather, provider, unreadable,
};
use crate::{
    api::{OIDCClient, OIDCProvider},
    domain::{ErrorClass, ResourceName},
    kubernetes::objects::name_of,
    plan::{Requeue, retry},
    telemetry::metrics::{Kind, Outcome},
};

/// Errors never reach kube's error policy: each pass says itself when it is tried again (P16).
#[derive(Debug, thiserror::Error)]
#[error("never")]
pub struct Never;

/// kube wants an error policy.
pub fn never_failed<K>(_: Arc<K>, _: &Never, _: Arc<Context>) -> Action {
    Action::await_change()
}

/// One pass over an OIDCProvider.
///
/// # Errors
/// Never.
pub async fn provider(object: Arc<DeserializeGuard<OIDCProvider>>, context: Arc<Context>) -> Result<Action, Never> {
    context.objects.ready().await;
    context.objects.references_listed().await;
    let name = name_of(object.meta());
    let readable = object.0.is_ok();
    let pass = async {
        match &object.0 {
            Ok(_) => Ok(provider::pass(&context, &name).await?),
            Err(invalid) => Ok(unreadable::provider(&context, invalid).await?),
        }
    };
    Ok(conclude(&context, Kind::Provider, &name, readable, pass).await)
}

/// One pass over an OIDCClient, once its provider's bulkhead lets it in.
///
/// # Errors
/// Never.
pub async fn client(object: Arc<DeserializeGuard<OIDCClient>>, context: Arc<Context>) -> Result<Action, Never> {
    context.objects.ready().await;
    let name = name_of(object.meta());
    let readable = object.0.is_ok();
    // First come, first served, a queue for each provider: one that hangs keeps only its own clients waiting.
    let provider = object.0.as_ref().ok().map(gather::client_provider);
    let bulkhead = context.registry.bulkhead(provider.as_ref());
    // Closed only with the process.
    let _permit = bulkhead.acquire().await;
    // On the heap and only now: thousands may wait for their permit, and a pass's state is large.
    let pass = Box::pin(async {
        match &object.0 {
            Ok(_) => Ok(client::pass(&context, &name).await?.requeue()),
            Err(invalid) => Ok(unreadable::client(&context, invalid).await?),
        }
    });
    Ok(conclude(&context, Kind::Client, &name, readable, pass).await)
}

/// Runs a pass within its deadline, counts it, and says when the next one is due. `None`, as a pass's end: only when
/// something changes.
async fn conclude(
    context: &Context,
    kind: Kind,
    name: &ResourceName,
    readable: bool,
    pass: impl Future<Output = Result<Option<Requeue>, PassError>>,
) -> Action {
    let start = Instant::now();
    if !readable {
        context.metrics.invalid_object(kind);
    }
    let deadline = match kind {
        Kind::Provider => PROVIDER_PASS_DEADLINE,
        Kind::Client => PASS_DEADLINE,
    };
    let pass = tokio::time::timeout(deadline, pass);
    // A defect that one object brings to light must not end the work on all others. What passes share is behind locks, and
    // good wherever one ends: it may be cut off anywhere.
    let (outcome, wait) = match AssertUnwindSafe(pass).catch_unwind().await {
        Err(_) => {
            let why = &"a defect of the operator: the pass panicked";
            (Outcome::Failed, Some(failed(context, kind, name, ErrorClass::Bug, why)))
        }
        Ok(Err(_)) => {
            context.metrics.deadline("pass");
            let why = &"it took too long";
            (
                Outcome::Deadline,
                Some(failed(context, kind, name, ErrorClass::Transient, why)),
            )
        }
        Ok(Ok(Err(error))) => (
            Outcome::Failed,
            Some(failed(context, kind, name, error.class(), &error)),
        ),
        Ok(Ok(Ok(requeue))) => {
            let outcome = match requeue {
                _ if !readable => Outcome::Invalid,
                None | Some(Requeue::Resync(_) | Requeue::ResyncOrAt(..) | Requeue::Never) => Outcome::Settled,
                Some(_) => Outcome::Retry,
            };
            (outcome, wait(context, kind, name, &requeue.unwrap_or(Requeue::Never)))
        }
    };
    context.metrics.pass(kind, outcome, start.elapsed().as_secs_f64());
    wait.map_or_else(Action::await_change, Action::requeue)
}

/// Logs a failed pass and says when it is tried again.
fn failed(context: &Context, kind: Kind, name: &ResourceName, class: ErrorClass, error: &dyn Display) -> Duration {
    let attempt = context.attempts.failed(kind, name);
    let wait = retry::backoff(class, attempt, rand::random());
    tracing::warn!(kind = kind.as_str(), %name, attempt, retry_in = ?wait, %error, "pass failed");
    wait
}

/// The wait before the next pass over an object; `None`: only when something changes.
fn wait(context: &Context, kind: Kind, name: &ResourceName, requeue: &Requeue) -> Option<Duration> {
    let jitter = rand::random::<f64>();
    match requeue {
        Requeue::Never => {
            context.attempts.succeeded(kind, name);
            None
        }
        Requeue::Resync(interval) => {
            context.attempts.succeeded(kind, name);
            Some(retry::resync(*interval, jitter))
        }
        Requeue::ResyncOrAt(interval, time) => {
            context.attempts.succeeded(kind, name);
            let left = Duration::try_from(time.duration_since(Timestamp::now())).unwrap_or_default();
            // Not a moment too early, which would cost another pass.
            Some(retry::resync(*interval, jitter).min(left + Duration::from_millis(100)))
        }
        Requeue::Backoff(class) => Some(retry::backoff(*class, context.attempts.failed(kind, name), jitter)),
        Requeue::NotBefore(wait, class) => {
            Some((*wait).max(retry::backoff(*class, context.attempts.failed(kind, name), jitter)))
        }
        Requeue::NotAfter(end) => {
            let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
            let backoff = retry::backoff(ErrorClass::Transient, context.attempts.failed(kind, name), jitter);
            Some(backoff.min(left + Duration::from_millis(100)))
        }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{
        controller::{
            context::{Attempts, Lookup, Objects, Open, Recent},
            registry::Registry,
            triggers::Triggers,
        },
        domain::OwnerId,
        kubernetes::{client::KubeError, events::Events},
        plan::snapshot::{ClientBrief, NamespaceView, Settings},
        telemetry::metrics::Metrics,
    };

    struct Nothing;

    #[async_trait]
    impl Objects for Nothing {
        async fn ready(&self) {}
        async fn client(&self, _: &ResourceName) -> Option<Arc<OIDCClient>> {
            None
        }
        async fn provider(&self, _: &ResourceName) -> Lookup<OIDCProvider> {
            Lookup::NotFound
        }
        async fn clients_of(&self, _: &ResourceName) -> Vec<ClientBrief> {
            Vec::new()
        }
        async fn clients_with(&self, _: &ResourceName, _: &str) -> Vec<ClientBrief> {
            Vec::new()
        }
        async fn namespace(&self, _: &str) -> Option<NamespaceView> {
            None
        }
    }

    /// A context whose API server never answers.
    fn context() -> Context {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let kube = kube::Client::new(silent, "default");
        let metrics = Metrics::new();
        let (events, _) = Events::start(
            kube.clone(),
            "test".to_owned(),
            metrics.clone(),
            CancellationToken::new(),
        );
        Context {
            kube,
            objects: Arc::new(Nothing),
            namespace: "oidc-operator".to_owned(),
            settings: Settings {
                owner: OwnerId::new("test").unwrap(),
                deletion_timeout: Duration::from_secs(600),
                started: Timestamp::now(),
                rollout_restart: false,
            },
            registry: Registry::new(1),
            metrics,
            events,
            triggers: Triggers::new().0,
            gate: Arc::new(Open),
            recent: Recent::default(),
            attempts: Attempts::default(),
        }
    }

    async fn outcome(pass: impl Future<Output = Result<Option<Requeue>, PassError>>) -> (Action, String) {
        let context = context();
        let name = ResourceName::new("n", "x");
        let action = conclude(&context, Kind::Client, &name, true, pass).await;
        let text = context.metrics.text();
        let counted = text
            .lines()
            .find(|line| line.starts_with("oidc_operator_passes_total{"));
        (action, counted.unwrap().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_hangs_is_ended_and_tried_again() {
        let (action, counted) = outcome(std::future::pending()).await;
        assert_ne!(action, Action::await_change());
        assert!(counted.contains(r#"outcome="deadline""#), "{counted}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_panics_is_tried_again_and_ends_nothing_else() {
        let (action, counted) = outcome(async { panic!("a defect") }).await;
        assert_ne!(action, Action::await_change());
        assert!(counted.contains(r#"outcome="failed""#), "{counted}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_end_has_its_wait() {
        let gone = KubeError::NotFound;
        for (end, settled, waits) in [
            (Ok(None), true, false),
            (Ok(Some(Requeue::Never)), true, false),
            (Ok(Some(Requeue::Resync(Duration::from_secs(600)))), true, true),
            (Ok(Some(Requeue::Backoff(ErrorClass::User))), false, true),
            (Err(PassError::Kubernetes(gone)), false, true),
        ] {
            let what = format!("{end:?}");
            let (action, counted) = outcome(std::future::ready(end)).await;
            assert_eq!(action != Action::await_change(), waits, "{what}");
            assert_eq!(counted.contains(r#"outcome="settled""#), settled, "{what}: {counted}");
        }
    }
}
