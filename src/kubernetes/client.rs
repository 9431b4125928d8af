//! The client, and one way to call it: with a deadline, a count, and an error that says what to do next.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
    core::Status,
};

use crate::{
    domain::{ErrorClass, error::bounded},
    telemetry::metrics::Metrics,
};

/// Deadline of one call, connecting included. Kubernetes itself ends a usual request after 60 s; nothing the operator
/// asks for takes a healthy API server longer than this.
pub const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// How long connecting may take. Watches have no deadline of a call, so this bounds them too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connects with `KUBECONFIG`, `~/.kube/config` or the ServiceAccount of the pod, whichever is there.
///
/// # Errors
/// When there is no usable configuration.
pub async fn connect() -> Result<Client> {
    let config = Config::infer()
        .await
        .context("no way to reach Kubernetes: run inside a cluster, or set KUBECONFIG")?;
    Client::try_from(bounded_config(config)).context("the Kubernetes configuration cannot be used")
}

/// Connects as a person does, with a kubeconfig and a context of it; the context's namespace comes with it. Both unset: as
/// [`connect`].
///
/// # Errors
/// When there is no usable configuration.
pub async fn connect_as(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Client, String)> {
    let config = if kubeconfig.is_none() && context.is_none() {
        (Config::infer().await).context("no way to reach Kubernetes: set KUBECONFIG, or give --kubeconfig")?
    } else {
        let file = match kubeconfig {
            Some(path) => Kubeconfig::read_from(path).with_context(|| format!("cannot read {}", path.display()))?,
            None => Kubeconfig::read().context("there is no kubeconfig: set KUBECONFIG, or give --kubeconfig")?,
        };
        let options = KubeConfigOptions {
            context: context.map(str::to_owned),
            ..KubeConfigOptions::default()
        };
        (Config::from_custom_kubeconfig(file, &options).await).context("the kubeconfig cannot be used")?
    };
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(bounded_config(config)).context("the Kubernetes configuration cannot be used")?;
    Ok((client, namespace))
}

/// Puts the operator's bounds on a configuration.
///
/// kube's own retries are off (P2): they repeat a POST whose answer was lost, and can hold one call for minutes. Every pass
/// is retried as a whole instead, after it has looked again.
fn bounded_config(mut config: Config) -> Config {
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // `read_timeout` stays unset: it would also cut quiet watches. Calls have [`within`], watches their own watchdog.
    config
}

/// A failed call to Kubernetes, by what it asks of the caller. Messages are Kubernetes' own, bounded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeError {
    /// There is no such object (any more).
    #[error("the object is gone")]
    NotFound,
    /// A POST, and an object of that name exists.
    #[error("an object of that name exists already")]
    AlreadyExists,
    /// Another version, or another object of that name, than the one that was seen.
    #[error("the object was changed by somebody else meanwhile")]
    Conflict,
    /// Kubernetes refuses the content.
    #[error("Kubernetes refuses the object: {message}")]
    Invalid {
        /// Its words.
        message: String,
    },
    /// Rights, quota, policy, or a namespace that is ending.
    #[error("Kubernetes forbids it: {message}")]
    Forbidden {
        /// Its words.
        message: String,
    },
    /// Too many requests.
    #[error("{operation}: the API server asks to slow down")]
    Throttled {
        /// What was tried.
        operation: &'static str,
    },
    /// No answer in time. Whether a write took effect is unknown.
    #[error("{operation}: no answer from the API server within {} s", CALL_DEADLINE.as_secs())]
    Timeout {
        /// What was tried.
        operation: &'static str,
    },
    /// All else: unreachable, an internal error, an answer that makes no sense.
    #[error("{operation}: {message}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// What went wrong.
        message: String,
    },
}

impl KubeError {
    /// What it asks of the loop.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound | Self::AlreadyExists | Self::Conflict | Self::Timeout { .. } | Self::Failed { .. } => {
                ErrorClass::Transient
            }
            Self::Throttled { .. } => ErrorClass::Throttled,
            Self::Forbidden { .. } => ErrorClass::Auth,
            Self::Invalid { .. } => ErrorClass::User,
        }
    }

    /// For the label of a metric.
    fn label(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::Conflict => "conflict",
            Self::Invalid { .. } => "invalid",
            Self::Forbidden { .. } => "forbidden",
            Self::Throttled { .. } => "throttled",
            Self::Timeout { .. } => "timeout",
            Self::Failed { .. } => "failed",
        }
    }

    pub(super) fn new(operation: &'static str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::answered(operation, status),
            // The source says more than "ServiceError": refused, reset, TLS.
            kube::Error::Service(source) => Self::Failed {
                operation,
                message: bounded(&chain(source.as_ref())),
            },
            other => Self::Failed {
                operation,
                message: bounded(&chain(other)),
            },
        }
    }

    pub(super) fn answered(operation: &'static str, status: &Status) -> Self {
        let message = bounded(&status.message);
        // First: its code is 409 too.
        if status.is_already_exists() {
            Self::AlreadyExists
        } else if status.is_conflict() {
            Self::Conflict
        } else if status.is_not_found() {
            Self::NotFound
        } else if status.is_forbidden() {
            Self::Forbidden { message }
        } else if status.is_invalid() || matches!(status.code, 400 | 413) {
            Self::Invalid { message }
        } else if status.code == 429 {
            Self::Throttled { operation }
        } else {
            Self::Failed {
                operation,
                message: format!("the API server answers {} {message}", status.code),
            }
        }
    }
}

/// An error with its sources.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        // Libraries often repeat the source in their own text.
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    text
}

/// A failed call, for a caller who reads the API server's answer himself.
#[derive(Debug)]
pub enum CallError {
    /// What the client says. Its `Debug` may hold a whole answer: it is not for logs.
    Failed(kube::Error),
    /// No answer in time. Whether a write took effect is unknown.
    Timeout,
}

/// One call within [`CALL_DEADLINE`], counted by `operation` (`"<verb> <resource>"`: a bounded set).
///
/// # Errors
/// [`KubeError`].
pub async fn within<T>(
    metrics: &Metrics,
    operation: &'static str,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, KubeError> {
    let result = within_time(metrics, operation, CALL_DEADLINE, call).await;
    result.map_err(|failure| match failure {
        CallError::Failed(error) => KubeError::new(operation, &error),
        CallError::Timeout => KubeError::Timeout { operation },
    })
}

/// The same within a time of the caller's, who is told what the client said.
///
/// # Errors
/// [`CallError`].
pub async fn within_time<T>(
    metrics: &Metrics,
    operation: &'static str,
    time: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, CallError> {
    let start = Instant::now();
    let result = match tokio::time::timeout(time, call).await {
        Ok(answer) => answer.map_err(CallError::Failed),
        Err(_) => {
            metrics.deadline("kubernetes");
            Err(CallError::Timeout)
        }
    };
    let outcome = match &result {
        Ok(_) => "ok",
        Err(CallError::Failed(error)) => KubeError::new(operation, error).label(),
        Err(CallError::Timeout) => KubeError::Timeout { operation }.label(),
    };
    metrics.kubernetes_request(operation, outcome, start.elapsed().as_secs_f64());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, reason: &str) -> kube::Error {
        kube::Error::Api(Status::failure("said so", reason).with_code(code).boxed())
    }

    #[test]
    fn answers_are_told_apart_by_what_to_do() {
        let forbidden = KubeError::Forbidden {
            message: "said so".to_owned(),
        };
        let invalid = KubeError::Invalid {
            message: "said so".to_owned(),
        };
        for (error, expected) in [
            (status(404, "NotFound"), KubeError::NotFound),
            (status(409, "AlreadyExists"), KubeError::AlreadyExists),
            (status(409, "Conflict"), KubeError::Conflict),
            (status(403, "Forbidden"), forbidden),
            (status(422, "Invalid"), invalid.clone()),
            (status(413, "RequestEntityTooLarge"), invalid),
            (
                status(429, "TooManyRequests"),
                KubeError::Throttled { operation: "get x" },
            ),
        ] {
            assert_eq!(KubeError::new("get x", &error), expected);
        }
        let failed = KubeError::new("get x", &status(500, "InternalError"));
        assert_eq!(failed.class(), ErrorClass::Transient);
        assert_eq!(failed.to_string(), "get x: the API server answers 500 said so");
    }

    #[test]
    fn kubes_own_retries_are_off_and_connecting_is_bounded() {
        let config = bounded_config(Config::new("https://127.0.0.1:1".parse().unwrap()));
        assert!(!config.default_retry);
        assert_eq!(config.connect_timeout, Some(CONNECT_TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_an_answer_ends() {
        let metrics = Metrics::new();
        let start = tokio::time::Instant::now();
        let never = std::future::pending::<Result<(), kube::Error>>();
        let error = within(&metrics, "get secrets", never).await.unwrap_err();
        assert_eq!(
            error,
            KubeError::Timeout {
                operation: "get secrets"
            }
        );
        assert_eq!(start.elapsed(), CALL_DEADLINE);
        let text = metrics.text();
        assert!(
            text.contains(r#"oidc_operator_deadlines_total{what="kubernetes"} 1"#),
            "{text}"
        );
        let counted = r#"oidc_operator_kubernetes_requests_total{operation="get secrets",outcome="timeout"} 1"#;
        assert!(text.contains(counted), "{text}");
    }

    #[tokio::test]
    async fn one_call_is_one_request() {
        // P2: whatever the server answers, nothing is sent a second time.
        for code in [429, 503, 504] {
            let requests = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counter = requests.clone();
            let service = tower::service_fn(move |_: http::Request<kube::client::Body>| {
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let body = format!(r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{code}}}"#);
                let response = http::Response::builder()
                    .status(code)
                    .body(kube::client::Body::from(body.into_bytes()));
                std::future::ready(response)
            });
            let api: kube::Api<k8s_openapi::api::core::v1::Secret> =
                kube::Api::namespaced(Client::new(service, "default"), "default");
            within(&Metrics::new(), "get secrets", api.get("x")).await.unwrap_err();
            assert_eq!(requests.load(std::sync::atomic::Ordering::SeqCst), 1);
        }
    }
}
