//! `/healthz`, `/readyz` and `/metrics`.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};

use super::{health::Health, metrics::Metrics};

/// What Prometheus wants to hear of the text (OpenMetrics 1.0).
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves until `end`.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    health: Health,
    metrics: Metrics,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address with --health-addr"))?;
    let app = router(health, metrics);
    axum::serve(listener, app)
        .with_graceful_shutdown(end)
        .await
        .context("the health server failed")
}

fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        // The process answers: its runtime is not stuck. Whether the cluster can be reached is readiness.
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(health))
        .route("/metrics", get(expose).with_state(metrics))
}

async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    match health.unready() {
        problems if problems.is_empty() => (StatusCode::OK, "ok\n".to_owned()),
        problems => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n"),
    }
}

async fn expose(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPENMETRICS)], metrics.text())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt as _;

    use super::*;

    async fn ask(app: &Router, path: &str) -> (StatusCode, String) {
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn answers_tell_alive_from_ready() {
        let health = Health::new();
        let app = router(health.clone(), Metrics::new());
        assert_eq!(ask(&app, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
        let (status, text) = ask(&app, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(text.contains("starting"), "{text}");
        health.listed("oidcclients");
        assert_eq!(ask(&app, "/readyz").await.0, StatusCode::OK);
        let (status, text) = ask(&app, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("oidc_operator_build_info"), "{text}");
        assert_eq!(ask(&app, "/other").await.0, StatusCode::NOT_FOUND);
    }
}
