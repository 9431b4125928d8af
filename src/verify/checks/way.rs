//! The way to the issuer, layer by layer.

use jiff::Timestamp;

use super::check::{Check, after};
use crate::verify::evidence::Route;

const THROUGH_PROXY: &str = "a proxy of the environment (HTTPS_PROXY) does it";

pub(super) fn dns(route: &Route) -> Check {
    let host = &route.host;
    match &route.addresses {
        Some(Ok(addresses)) => {
            let mut ips: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            ips.dedup();
            Check::ok("dns", format!("{host} is {}", ips.join(", ")))
        }
        Some(Err(why)) => Check::failed("dns", format!("the name {host} cannot be resolved: {why}")).hint(
            "check its spelling and DNS. Is it a name that only the cluster knows (issuer.internal)? Then run this in the cluster",
        ),
        None if route.proxy => Check::skipped("dns", THROUGH_PROXY),
        None => Check::skipped("dns", "not reached"),
    }
}

pub(super) fn tcp(route: &Route) -> Check {
    match &route.connected {
        Some(Ok(address)) => Check::ok("tcp", format!("{address} takes connections")),
        Some(Err(why)) => Check::failed("tcp", format!("{} cannot be connected to: {why}", route.peer))
            .hint("is the issuer running, is the port right, and does a network policy or firewall let this through?"),
        None if route.proxy => Check::skipped("tcp", THROUGH_PROXY),
        None => after("tcp", &[dns(route)]),
    }
}

pub(super) fn tls(route: &Route, now: Timestamp) -> Check {
    const NAME: &str = "tls";
    if !route.tls {
        return Check::skipped(NAME, "the issuer is plain http: anybody on the way can read tokens")
            .hint("use it for development only");
    }
    let expires = route.certificate.as_ref();
    match &route.handshake {
        None => after(NAME, &[dns(route), tcp(route)]),
        Some(Err(error)) => Check::failed(NAME, error.message.clone()).hint(
            "the delivered CA must have signed the certificate that the server shows: compare issuerCertificateAuthority \
             of the OIDCProvider with it, and the names and dates in it",
        ),
        Some(Ok(())) => {
            let told = match expires {
                Some(seen) => format!("the certificate of {} is trusted, and expires at {}", route.peer, seen.not_after),
                None => format!("the certificate of {} is trusted", route.peer),
            };
            let check = Check::ok(NAME, told);
            match expires.filter(|seen| seen.near_from() <= now) {
                Some(_) => check.hint("that is soon: have it renewed"),
                None => check,
            }
        }
    }
}
