//! The way to a server, one layer after the other, so that a person is told which one ends it.

use std::{net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use url::Url;

use super::evidence::Route;
use crate::idp::{
    certificate::{self, Address},
    http::peer_name,
};

/// Addresses that are tried, at most.
const MAX_ADDRESSES: usize = 8;

/// Looks the name up and connects, each within `limit`. TLS is looked at by whoever sends the first request.
pub(super) async fn walk(url: &Url, limit: Duration) -> Route {
    let mut route = Route {
        host: url.host_str().unwrap_or_default().to_owned(),
        peer: peer_name(url),
        proxy: proxied(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty())),
        tls: url.scheme() == "https",
        ..Route::default()
    };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return route;
    };
    if route.proxy {
        return route;
    }
    let found = lookup(host.trim_matches(['[', ']']), port, limit).await;
    let addresses = found.clone().unwrap_or_default();
    route.addresses = Some(found);
    if !addresses.is_empty() {
        let connected = connect(&addresses, limit).await;
        if connected.is_ok() && route.tls {
            let address = Address::of_url(url.as_str());
            route.certificate = match &address {
                Some(address) => certificate::shown(address).await,
                None => None,
            };
        }
        route.connected = Some(connected);
    }
    route
}

/// Does the environment name a proxy? Which hosts it is not for (`NO_PROXY`) is not looked at: what is skipped then fails later,
/// with less detail.
fn proxied(is_set: impl Fn(&str) -> bool) -> bool {
    ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        .into_iter()
        .any(is_set)
}

async fn lookup(host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
    match timeout(limit, tokio::net::lookup_host((host, port))).await {
        Err(_) => Err(format!("no answer within {} s", limit.as_secs_f32())),
        Ok(Err(_)) => Err("there is no such name".to_owned()),
        Ok(Ok(found)) => {
            let addresses: Vec<_> = found.take(MAX_ADDRESSES).collect();
            if addresses.is_empty() {
                return Err("the name has no address".to_owned());
            }
            Ok(addresses)
        }
    }
}

async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<SocketAddr, String> {
    let mut wrong = Vec::new();
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok(*address),
            Ok(Err(error)) => wrong.push(format!("{address}: {}", words(&error))),
            Err(_) => wrong.push(format!("{address}: no answer within {} s", limit.as_secs_f32())),
        }
    }
    Err(wrong.join("; "))
}

fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => "no route".to_owned(),
        kind => kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_known_by_the_environment() {
        assert!(proxied(|name| name == "https_proxy"));
        assert!(!proxied(|name| name == "NO_PROXY"));
    }
}
