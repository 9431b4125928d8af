//! Free loopback ports.
//!
//! A program can only be told a port, not handed a socket, so there is a moment between finding the port free and the
//! program's bind. The kernel gives outgoing connections ports from its ephemeral range at any time, so a port found by
//! binding port 0 may be gone in that moment, or while a stopped server is to come back on it. Ports are therefore taken from
//! below that range, at random, and each only once per process.

use std::collections::HashSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

use anyhow::Result;

use crate::random;

/// Below are the ports of well-known services.
const LOWEST: u16 = 12_000;
/// Where Linux begins its ephemeral range unless told otherwise.
const USUAL_EPHEMERAL: u16 = 32_768;
const TRIES: usize = 200;

/// A port on 127.0.0.1 that nobody listens on and that this process has not given out before.
///
/// # Errors
/// There is no free port.
pub fn free() -> Result<u16> {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let end = first_ephemeral();
    for _ in 0..TRIES {
        let wanted = if end > LOWEST + 1_000 {
            LOWEST + u16::from_le_bytes(random::bytes()?) % (end - LOWEST)
        } else {
            0
        };
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)) else {
            continue;
        };
        let port = listener.local_addr()?.port();
        if given.insert(port) {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port on 127.0.0.1 after {TRIES} tries")
}

/// [`free`] as an address of 127.0.0.1.
///
/// # Errors
/// As [`free`].
pub fn free_address() -> Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free()?)))
}

fn first_ephemeral() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    range
        .split_whitespace()
        .next()
        .and_then(|low| low.parse().ok())
        .unwrap_or(USUAL_EPHEMERAL)
}
