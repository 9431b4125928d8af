//! From the queue to one pass over one object: a permit, a deadline, and when to look again.

use std::{
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{Resource, core::DeserializeGuard, runtime::controller::Action};

use super::{
    client::{self, PassError},
    context::{Context, PASS_DEADLINE},
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
    let (outcome, wait) = match tokio::time::timeout(PASS_DEADLINE, pass).await {
        Err(_) => {
            context.metrics.deadline("pass");
            (
                Outcome::Deadline,
                Some(failed(context, kind, name, ErrorClass::Transient, &"it took too long")),
            )
        }
        Ok(Err(error)) => (
            Outcome::Failed,
            Some(failed(context, kind, name, error.class(), &error)),
        ),
        Ok(Ok(requeue)) => {
            let outcome = match requeue {
                _ if !readable => Outcome::Invalid,
                None | Some(Requeue::Resync(_) | Requeue::Never) => Outcome::Settled,
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
        Requeue::Backoff(class) => Some(retry::backoff(*class, context.attempts.failed(kind, name), jitter)),
        Requeue::NotAfter(end) => {
            let left = Duration::try_from(end.duration_since(Timestamp::now())).unwrap_or_default();
            let backoff = retry::backoff(ErrorClass::Transient, context.attempts.failed(kind, name), jitter);
            Some(backoff.min(left + Duration::from_millis(100)))
        }
    }
}
