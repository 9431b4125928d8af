//! The thread that serves: from a request to its answer, and the faults on the way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{self, Body};
use axum::extract::{ConnectInfo, Request as Incoming, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use super::connections::{Connections, Reset};
use super::faults::Fault;
use super::log::Logged;
use super::reply::{self, Reply};
use super::request::Request;
use super::{Release, Shared, router};
use crate::openapi::{Content, Exchange};

/// What the operator's `User-Agent` begins with.
const OPERATOR: &str = "oidc-operator/";
/// Far more than any request has.
const LONGEST_BODY: usize = 16 << 20;

/// A server that listens.
pub(super) struct Running {
    end: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    pub(super) fn start(address: SocketAddr, tls: Option<TlsAcceptor>, shared: Arc<Shared>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (end, ended) = oneshot::channel();
        let connections = {
            let _entered = runtime.enter();
            Connections::new(listener(address).context("port of authentik")?, tls)?
        };
        // One handler: which answer an unknown path or a missing slash gets is the API's own business, see `router`.
        let service = Router::new()
            .fallback(handle)
            .with_state(shared)
            .into_make_service_with_connect_info::<Reset>();
        let serve = async move {
            tokio::select! {
                _ = ended => Ok(()),
                result = axum::serve(connections, service) => result,
            }
        };
        let thread = std::thread::Builder::new()
            .name("authentik".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve) {
                    tracing::error!(%error, "authentik");
                }
            })?;
        Ok(Self { end, thread })
    }

    /// Returns once the port is free and all connections are closed: they end with the runtime, which the thread owns.
    pub(super) fn stop(self) {
        drop(self.end);
        let _ = self.thread.join();
    }
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Connections that the former server closed wait on the port.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(256)
}

async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(reset): ConnectInfo<Reset>,
    incoming: Incoming,
) -> Response {
    let (parts, body) = incoming.into_parts();
    let Ok(body) = body::to_bytes(body, LONGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let request = Request::new(shared.scheme, parts.method, &parts.uri, parts.headers, body);
    let at = shared.log.add(Logged {
        at: Instant::now(),
        method: request.method.to_string(),
        path: request.path.clone(),
        query: request.raw_query.clone(),
        user_agent: request.user_agent.clone(),
        body: request.sent(),
        status: None,
    });
    let latency = shared.faults.latency(&request.path);
    if latency > Duration::ZERO {
        tokio::time::sleep(latency).await;
    }
    let reply = match shared.faults.hit(request.method.as_str(), &request.path) {
        None => {
            let reply = router::answer(&shared, &request).await;
            check(&shared, &request, Some(&reply));
            reply
        }
        Some((fault, takes_effect)) => {
            check(&shared, &request, None);
            if takes_effect {
                router::answer(&shared, &request).await;
            }
            match faulty(fault, takes_effect).await {
                Some(reply) => reply,
                None => {
                    reset.set();
                    return Response::new(Body::empty());
                }
            }
        }
    };
    shared.log.answered(at, &request.path, reply.status);
    rendered(shared.release, reply)
}

/// Holds the answer to the documents, unless a fault makes it up, and the request, if it is the operator's: what tests send may
/// be wrong on purpose.
fn check(shared: &Shared, request: &Request, reply: Option<&Reply>) {
    let (sent, content_type) = (request.sent(), request.content_type());
    let exchange = Exchange {
        method: request.method.as_str(),
        path: &request.path,
        query: &request.raw_query,
        request: content(&sent, content_type),
        status: reply.map_or(0, |reply| reply.status),
        response: reply.map_or(Content::Nothing, Reply::content),
    };
    if reply.is_some() {
        shared.findings.answer(shared.release.into(), &exchange);
    }
    if request.user_agent.starts_with(OPERATOR) {
        shared.findings.request(&exchange);
    }
}

fn content<'a>(body: &'a Value, content_type: &'a str) -> Content<'a> {
    match body {
        Value::Null if content_type.is_empty() => Content::Nothing,
        Value::Null => Content::Other(content_type),
        _ => Content::Json(body),
    }
}

/// `None`: the connection is to be reset.
async fn faulty(fault: Fault, takes_effect: bool) -> Option<Reply> {
    Some(match fault {
        Fault::Status(status, None) => reply::empty(status),
        Fault::Status(status, Some(seconds)) => reply::empty(status).with("retry-after", seconds.to_string()),
        Fault::Empty405 => reply::empty_405(),
        Fault::BadGateway => {
            let how = if takes_effect {
                "read unix @->/tmp/authentik-core.sock: read: connection reset by peer"
            } else {
                "write unix @->/tmp/authentik-core.sock: write: broken pipe"
            };
            reply::json(
                502,
                json!({ "error": format!("failed to connect to authentik backend: {how}") }),
            )
        }
        Fault::Reset => return None,
        Fault::Hang => std::future::pending().await,
        Fault::Body(text) => reply::html(200, text).with("content-type", "application/json"),
    })
}

fn rendered(release: Release, reply: Reply) -> Response {
    let served_by = match release {
        Release::R2026_2 => ("server", "uvicorn"),
        Release::R2026_5 => ("x-powered-by", "authentik"),
    };
    ([served_by], reply).into_response()
}
