//! A TCP proxy on loopback that can misbehave, in front of any server, TLS or not.
//!
//! It runs on a thread of its own, so it lives as long as its handle and not as long as the runtime of one test. A change of
//! mode takes effect on open connections too: clients keep theirs alive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

use crate::random;

/// What the proxy does with what comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Hands everything on.
    Pass,
    /// Closes connections at once, with a reset.
    Refuse,
    /// Accepts, keeps connections open, moves no byte. What a client sends meanwhile is handed on once it passes again.
    Hang,
    /// Answers random bytes and closes.
    Garbage,
    /// Hands everything on, each piece of an answer after this time.
    Delay(Duration),
    /// Resets a connection once this many bytes of answers have gone through it, counted from when it was opened.
    ResetAfter(u64),
}

/// A running proxy; ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    setting: watch::Sender<Setting>,
    accepted: Arc<AtomicUsize>,
    // Dropping it ends the runtime on the proxy's thread.
    _end: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy)]
struct Setting {
    mode: Mode,
    upstream: SocketAddr,
}

impl FaultProxy {
    /// Starts a proxy before `upstream`, in [`Mode::Pass`]. Nobody needs to listen there yet.
    ///
    /// # Errors
    /// No port or no thread is to be had.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("proxy")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (setting, settings) = watch::channel(Setting {
            mode: Mode::Pass,
            upstream,
        });
        let (end, ended) = oneshot::channel();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serve = async move {
            let listener = TcpListener::from_std(listener)?;
            tokio::select! {
                _ = ended => Ok(()),
                result = accept(&listener, &settings, &counter) => result,
            }
        };
        std::thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve) {
                    tracing::error!(%error, "fault proxy");
                }
            })?;
        Ok(Self {
            address,
            setting,
            accepted,
            _end: end,
        })
    }

    /// Where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what it does, also with open connections.
    pub fn set(&self, mode: Mode) {
        self.setting.send_modify(|setting| setting.mode = mode);
    }

    /// Changes where new connections go.
    pub fn set_upstream(&self, upstream: SocketAddr) {
        self.setting.send_modify(|setting| setting.upstream = upstream);
    }

    /// How many connections it has accepted so far, whatever the mode.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn accept(listener: &TcpListener, settings: &watch::Receiver<Setting>, accepted: &AtomicUsize) -> Result<()> {
    loop {
        let (client, _) = listener.accept().await?;
        accepted.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(connection(client, settings.clone()));
    }
}

async fn connection(mut client: TcpStream, settings: watch::Receiver<Setting>) {
    if handle(&mut client, settings).await.is_err() {
        // The close that follows is then a reset, as when a machine goes away.
        let _ = client.set_zero_linger();
    }
}

async fn handle(client: &mut TcpStream, mut settings: watch::Receiver<Setting>) -> std::io::Result<()> {
    loop {
        let setting = *settings.borrow_and_update();
        match setting.mode {
            Mode::Refuse => return Err(std::io::ErrorKind::ConnectionRefused.into()),
            Mode::Garbage => return garbage(client).await,
            Mode::Hang => settings.changed().await.map_err(std::io::Error::other)?,
            Mode::Pass | Mode::Delay(_) | Mode::ResetAfter(_) => {
                let mut upstream = TcpStream::connect(setting.upstream).await?;
                client.set_nodelay(true)?;
                upstream.set_nodelay(true)?;
                // Borrowed halves: owned ones send an orderly end when they are dropped, and there would be no resets.
                let (from_client, to_client) = client.split();
                let (from_upstream, to_upstream) = upstream.split();
                tokio::try_join!(
                    copy(from_client, to_upstream, settings.clone(), Direction::Request),
                    copy(from_upstream, to_client, settings, Direction::Answer),
                )?;
                return Ok(());
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

/// Moves bytes one way until the end of the stream, or until the mode says otherwise: an error ends the other way too.
async fn copy(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut settings: watch::Receiver<Setting>,
    direction: Direction,
) -> std::io::Result<()> {
    let answer = direction == Direction::Answer;
    let mut moved = 0;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let mode = settings.borrow_and_update().mode;
        match mode {
            Mode::Refuse => return Err(std::io::ErrorKind::ConnectionReset.into()),
            Mode::Garbage if answer => {
                to.write_all(&random_bytes()?).await?;
                return Err(std::io::ErrorKind::InvalidData.into());
            }
            Mode::Hang | Mode::Garbage => {
                settings.changed().await.map_err(std::io::Error::other)?;
                continue;
            }
            Mode::Pass | Mode::Delay(_) | Mode::ResetAfter(_) => {}
        }
        let count = tokio::select! {
            count = from.read(&mut buffer) => count?,
            changed = settings.changed() => {
                changed.map_err(std::io::Error::other)?;
                continue;
            }
        };
        if count == 0 {
            return to.shutdown().await;
        }
        if let (Mode::Delay(time), true) = (mode, answer) {
            sleep(time).await;
        }
        let allowed = match mode {
            Mode::ResetAfter(limit) if answer => {
                usize::try_from(limit.saturating_sub(moved)).unwrap_or(count).min(count)
            }
            _ => count,
        };
        to.write_all(&buffer[..allowed]).await?;
        if allowed < count {
            return Err(std::io::ErrorKind::ConnectionReset.into());
        }
        moved += u64::try_from(count).unwrap_or(u64::MAX);
    }
}

async fn garbage(client: &mut TcpStream) -> std::io::Result<()> {
    client.write_all(&random_bytes()?).await?;
    // Without this the reset of the close could overtake the bytes.
    client.shutdown().await?;
    let mut rest = [0; 1024];
    while client.read(&mut rest).await? > 0 {}
    Ok(())
}

fn random_bytes() -> std::io::Result<[u8; 512]> {
    random::bytes().map_err(std::io::Error::other)
}
