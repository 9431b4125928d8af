//! The application behind oauth2-proxy: it believes what the proxy says about the user, as one in the same Pod may.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use axum::Router;
use axum::http::HeaderMap;
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A server that greets the user by the headers of oauth2-proxy; ends when dropped.
#[derive(Debug)]
pub struct Greeting {
    address: SocketAddr,
    server: JoinHandle<()>,
}

impl Greeting {
    /// Starts one, for the runtime of this test.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("greeting")?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", get(greet));
        let server = tokio::spawn(async move {
            // It never gives up.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, server })
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Greeting {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn greet(headers: HeaderMap) -> Html<String> {
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    // Names and addresses of the tests' own users: nothing to escape.
    let user = header("x-forwarded-email");
    Html(format!(
        "<!doctype html><title>Greeting</title><p>Hello, <b id=\"user\">{user}</b>!</p>\
         <a id=\"logout\" href=\"/oauth2/sign_out?rd=/\">Log out</a>"
    ))
}
