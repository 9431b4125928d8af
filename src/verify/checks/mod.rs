//! What the evidence means: one small function a check, with a hint wherever a person can do something. Pure.

mod answers;
mod check;
mod objects;
#[cfg(test)]
mod tests;
mod way;

use jiff::Timestamp;

use self::check::after;
pub use self::check::{Check, Outcome};
use super::evidence::{Evidence, IssuerEvidence, Outputs};
use crate::api::{OIDCClient, OIDCClientStatus};

/// The checks that ask the issuer, in their order.
const AT_ISSUER: [&str; 9] = [
    "dns",
    "tcp",
    "tls",
    "discovery",
    "signature",
    "jwks",
    "redirect-uri",
    "credentials",
    "audience",
];
const CLAIMS: &str = "claims";

/// All checks, in the order in which an application meets them. A failed one skips what needs it, and says so.
pub fn all(evidence: &Evidence, now: Timestamp) -> Vec<Check> {
    let client = match &evidence.client {
        Ok(client) => client.as_ref(),
        Err(unread) => return vec![objects::unread_client(evidence, unread)],
    };
    let status = client.status.clone().unwrap_or_default();
    let mut checks = vec![objects::found(evidence, &status), objects::conditions(client, &status)];
    let Some(outputs) = &evidence.outputs else {
        return checks;
    };
    checks.push(match &outputs.secret {
        Ok(secret) => objects::secret(client, &status, outputs, secret),
        Err(unread) => objects::unread_output("secret", "Secret", &outputs.secret_name, unread),
    });
    match &outputs.config_map {
        Ok(map) => checks.extend([objects::config_map(&status, outputs, map), objects::ca(map, now)]),
        Err(unread) => checks.push(objects::unread_output(
            "configmap",
            "ConfigMap",
            &outputs.config_map_name,
            unread,
        )),
    }
    match &evidence.issuer {
        Some(issuer) => checks.extend(at_issuer(client, &status, outputs, issuer, now)),
        None => {
            let why = if status.issuer.is_none() {
                "status.issuer is not set: the operator has not got that far"
            } else {
                "it is not known which CA the issuer is trusted by"
            };
            checks.extend(
                AT_ISSUER
                    .into_iter()
                    .chain([CLAIMS])
                    .map(|name| Check::skipped(name, why)),
            );
        }
    }
    checks
}

fn at_issuer(
    client: &OIDCClient,
    status: &OIDCClientStatus,
    outputs: &Outputs,
    issuer: &IssuerEvidence,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks = vec![
        way::dns(&issuer.route),
        way::tcp(&issuer.route),
        way::tls(&issuer.route, now),
    ];
    checks.push(match &issuer.discovery {
        None => after("discovery", &checks),
        Some(Ok(found)) => Check::ok(
            "discovery",
            format!("{} names the issuer {}", issuer.discovery_url, found.discovery.issuer),
        ),
        Some(Err(error)) => answers::discovery_failed(error),
    });
    let Some(Ok(found)) = &issuer.discovery else {
        let rest = AT_ISSUER.into_iter().skip(4).chain([CLAIMS]);
        let rest: Vec<_> = rest.map(|name| after(name, &checks)).collect();
        checks.extend(rest);
        return checks;
    };
    checks.push(answers::signature(client, &found.discovery.signing_algorithms));
    checks.push(match &issuer.keys {
        None => after("jwks", &checks),
        Some(keys) => answers::jwks(&found.discovery.endpoints.jwks, keys),
    });
    checks.push(answers::redirects(status, issuer));
    checks.push(answers::credentials(client, issuer));
    checks.push(answers::audience(status, outputs, issuer));
    checks.push(answers::claims(client, issuer));
    checks
}
