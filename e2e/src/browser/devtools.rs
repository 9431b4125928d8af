//! The Chrome DevTools Protocol: JSON messages over a WebSocket, of which this takes one answer after the other.
//! <https://chromedevtools.github.io/devtools-protocol/>

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Generous: a page that is loading on a busy machine.
const ANSWER_BOUND: Duration = Duration::from_secs(30);

/// A connection to the browser.
#[derive(Debug)]
pub(super) struct DevTools {
    socket: WebSocketStream<TcpStream>,
    last_id: u64,
}

impl DevTools {
    pub(super) async fn connect(authority: &str, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(authority).await.context("DevTools of Chromium")?;
        let (socket, _) = tokio_tungstenite::client_async(format!("ws://{authority}{path}"), stream)
            .await
            .context("DevTools of Chromium")?;
        Ok(Self { socket, last_id: 0 })
    }

    /// Calls a method, of the browser or of the page that has this `session`; gives its result.
    pub(super) async fn call(&mut self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let answer = timeout(ANSWER_BOUND, async {
            self.socket.send(Message::text(message.to_string())).await?;
            self.answer().await
        });
        let mut answer = answer
            .await
            .with_context(|| format!("{method}: no answer of Chromium within {ANSWER_BOUND:?}"))?
            .with_context(|| method.to_owned())?;
        if let Some(message) = answer["error"]["message"].as_str() {
            bail!("{method}: {message}");
        }
        Ok(answer["result"].take())
    }

    /// The answer to the last call. Events, and answers that a former call did not wait for, are passed over.
    async fn answer(&mut self) -> Result<Value> {
        loop {
            let message = self.socket.next().await.context("Chromium closed the connection")??;
            let Message::Text(text) = message else { continue };
            let message: Value = serde_json::from_str(&text)?;
            if message["id"] == self.last_id {
                return Ok(message);
            }
        }
    }
}
