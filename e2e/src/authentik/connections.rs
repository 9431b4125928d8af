//! The connections of the server: TCP or TLS, and how one is reset.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use anyhow::Result;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use crate::pki::Ca;

/// Connections whose TLS handshake is done; one that takes long, or never ends, holds up no other.
pub(super) struct Connections {
    address: SocketAddr,
    ready: mpsc::Receiver<(Connection, SocketAddr)>,
}

impl Connections {
    /// To be called within the runtime that serves.
    pub(super) fn new(listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (send, ready) = mpsc::channel(1);
        tokio::spawn(accept(listener, tls, send));
        Ok(Self { address, ready })
    }
}

/// [`Listener`] of TCP knows which errors pass.
async fn accept(mut listener: TcpListener, tls: Option<TlsAcceptor>, send: mpsc::Sender<(Connection, SocketAddr)>) {
    loop {
        let (client, address) = Listener::accept(&mut listener).await;
        let (tls, send) = (tls.clone(), send.clone());
        tokio::spawn(async move {
            let _ = client.set_nodelay(true);
            let stream = match tls {
                None => Either::Left(client),
                Some(tls) => match tls.accept(client).await {
                    Ok(stream) => Either::Right(stream),
                    // The client does not trust us, or is none.
                    Err(_) => return,
                },
            };
            let _ = send.send((Connection::new(stream), address)).await;
        });
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // Nobody accepts any more: the runtime is about to end.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Resets the connection that a request came by, as soon as something would be written to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Reset(Arc<AtomicBool>);

impl Reset {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl Connected<IncomingStream<'_, Connections>> for Reset {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().reset.clone()
    }
}

pub(super) struct Connection {
    stream: Either<TcpStream, TlsStream<TcpStream>>,
    reset: Reset,
}

impl Connection {
    fn new(stream: Either<TcpStream, TlsStream<TcpStream>>) -> Self {
        let reset = Reset::default();
        Self { stream, reset }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.reset.check().is_err() {
            let client = match &self.stream {
                Either::Left(client) => client,
                Either::Right(stream) => stream.get_ref().0,
            };
            // The close that follows is then a reset (RFC 9293, section 3.6).
            let _ = client.set_zero_linger();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.reset.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reset.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// TLS with a certificate of `ca` for loopback.
pub(super) fn tls(ca: &Ca) -> Result<TlsAcceptor> {
    crate::http::choose_crypto();
    let identity = ca.server(&[])?;
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
