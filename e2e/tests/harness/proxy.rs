//! The fault proxy, in front of a server that sends back what it gets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use oidc_operator_e2e::proxy::{FaultProxy, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const MOMENT: Duration = Duration::from_millis(200);
const BOUND: Duration = Duration::from_secs(5);

async fn echo() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    Ok(address)
}

/// Sends `text` and gives what comes back within the bound.
async fn ask(stream: &mut TcpStream, text: &str) -> Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    timeout(BOUND, stream.read_exact(&mut answer))
        .await
        .context("no answer")??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn modes_change_under_open_connections() -> Result<()> {
    let proxy = FaultProxy::start(echo().await?)?;
    let mut stream = TcpStream::connect(proxy.address()).await?;
    assert_eq!(ask(&mut stream, "hello").await?, "hello");

    proxy.set(Mode::Hang);
    // A byte that was on its way when the mode changed would be the race of the test, not of the proxy.
    timeout(MOMENT, ask(&mut stream, "later")).await.expect_err("it hangs");
    proxy.set(Mode::Pass);
    let mut late = [0; 5];
    timeout(BOUND, stream.read_exact(&mut late)).await??;
    assert_eq!(&late, b"later");

    proxy.set(Mode::Delay(MOMENT));
    let start = Instant::now();
    assert_eq!(ask(&mut stream, "slow").await?, "slow");
    assert!(start.elapsed() >= MOMENT, "{:?}", start.elapsed());

    proxy.set(Mode::Refuse);
    ask(&mut stream, "hello").await.expect_err("it refuses");
    assert_eq!(proxy.connections(), 1);
    Ok(())
}

#[tokio::test]
async fn new_connections_meet_the_mode() -> Result<()> {
    let proxy = FaultProxy::start(echo().await?)?;
    proxy.set(Mode::Refuse);
    if let Ok(mut stream) = TcpStream::connect(proxy.address()).await {
        ask(&mut stream, "hello").await.expect_err("it refuses");
    }
    proxy.set(Mode::Garbage);
    let mut stream = TcpStream::connect(proxy.address()).await?;
    stream.write_all(b"hello").await?;
    let mut garbage = [0; 512];
    timeout(BOUND, stream.read_exact(&mut garbage)).await??;
    assert!(!garbage.starts_with(b"hello"));

    proxy.set(Mode::Hang);
    let mut stream = TcpStream::connect(proxy.address()).await?;
    timeout(MOMENT, ask(&mut stream, "hello")).await.expect_err("it hangs");
    Ok(())
}

#[tokio::test]
async fn an_answer_is_cut_in_the_middle() -> Result<()> {
    let proxy = FaultProxy::start(echo().await?)?;
    proxy.set(Mode::ResetAfter(3));
    let mut stream = TcpStream::connect(proxy.address()).await?;
    stream.write_all(b"hello").await?;
    let mut answer = Vec::new();
    let error = timeout(BOUND, stream.read_to_end(&mut answer))
        .await?
        .expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(answer.len() <= 3, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn the_end_of_a_stream_is_handed_on() -> Result<()> {
    let proxy = FaultProxy::start(echo().await?)?;
    let mut stream = TcpStream::connect(proxy.address()).await?;
    stream.write_all(b"all of it").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    timeout(BOUND, stream.read_to_string(&mut answer)).await??;
    assert_eq!(answer, "all of it");
    Ok(())
}

#[tokio::test]
async fn a_dropped_proxy_is_gone() -> Result<()> {
    let proxy = FaultProxy::start(echo().await?)?;
    let address = proxy.address();
    let mut stream = TcpStream::connect(address).await?;
    assert_eq!(ask(&mut stream, "hello").await?, "hello");
    drop(proxy);
    let mut rest = [0; 1];
    assert!(!matches!(timeout(BOUND, stream.read(&mut rest)).await?, Ok(count) if count > 0));
    Ok(())
}
