//! What stands in Kubernetes: the OIDCClient, its Secret and its ConfigMap.

use jiff::Timestamp;

use super::check::Check;
use crate::{
    api::{OIDCClient, OIDCClientStatus, common::ConditionStatus},
    domain::{ClientType, TokenEndpointAuthMethod, error::bounded, pem::CaBundle},
    verify::evidence::{ConfigMapEvidence, Evidence, Outputs, SecretEvidence, Unread},
};

pub(super) fn unread_client(evidence: &Evidence, unread: &Unread) -> Check {
    let name = &evidence.name;
    match unread {
        Unread::NotFound => Check::failed("client", format!("there is no OIDCClient {name}"))
            .hint("name the right namespace with -n; kubectl get oidcc -A lists all"),
        Unread::Forbidden(words) => Check::failed("client", format!("OIDCClient {name} may not be read: {words}"))
            .hint("ask for get on oidcclients, secrets and configmaps in that namespace"),
        Unread::Failed(words) => Check::failed("client", format!("OIDCClient {name} could not be read: {words}"))
            .hint("check the kubeconfig and its context, and that the CRDs are installed"),
    }
}

pub(super) fn found(evidence: &Evidence, status: &OIDCClientStatus) -> Check {
    let name = &evidence.name;
    match (&status.client_id, &status.provider) {
        (Some(id), Some(provider)) => Check::ok("client", format!("OIDCClient {name} is client {id} at {provider}")),
        _ => Check::failed(
            "client",
            format!("OIDCClient {name} was not looked at by the operator yet"),
        )
        .hint("is the operator running? See its log"),
    }
}

pub(super) fn conditions(client: &OIDCClient, status: &OIDCClientStatus) -> Check {
    const NAME: &str = "conditions";
    let Some(ready) = status.conditions.iter().find(|condition| condition.type_ == "Ready") else {
        return Check::unknown(NAME, "there is no condition Ready");
    };
    let told = format!("Ready is {:?}, {}: {}", ready.status, ready.reason, ready.message);
    let stale = client.metadata.generation.unwrap_or_default() > status.observed_generation;
    match ready.status {
        ConditionStatus::False => {
            Check::failed(NAME, told).hint(format!("docs/conditions.md says what to do about {}", ready.reason))
        }
        _ if stale => Check::unknown(NAME, "the operator has not looked at the last change of the spec yet"),
        ConditionStatus::True => Check::ok(NAME, format!("Ready: {}", ready.message)),
        ConditionStatus::Unknown => Check::unknown(NAME, told),
    }
}

pub(super) fn unread_output(name: &'static str, kind: &str, object: &str, unread: &Unread) -> Check {
    match unread {
        Unread::NotFound => Check::failed(name, format!("there is no {kind} {object}"))
            .hint("the condition CredentialsPublished of the OIDCClient says why"),
        Unread::Forbidden(words) => Check::failed(name, format!("{kind} {object} may not be read: {words}"))
            .hint("run this as somebody who may: the application's pods mount it without that right"),
        Unread::Failed(words) => Check::failed(name, format!("{kind} {object} could not be read: {words}")),
    }
}

/// Does an output say the same as the status?
pub(super) fn differs(key: &str, found: Option<&String>, expected: Option<&String>) -> Option<String> {
    let (found, expected) = (found?, expected?);
    (found != expected).then(|| format!("{key} is {:?}, and {expected:?} is right", bounded(found)))
}

const EDITED: &str = "somebody edited it: the operator writes it again, or is not running";

/// For people: what a confidential client authenticates with.
pub(super) fn what_credentials(client: &OIDCClient) -> &'static str {
    match client.spec.token_endpoint_auth_method {
        Some(TokenEndpointAuthMethod::PrivateKeyJwt) => "private key",
        _ => "client secret",
    }
}

pub(super) fn secret(
    client: &OIDCClient,
    status: &OIDCClientStatus,
    outputs: &Outputs,
    secret: &SecretEvidence,
) -> Check {
    const NAME: &str = "secret";
    let object = &outputs.secret_name;
    let wrong = differs("client-id", secret.client_id.as_ref(), status.client_id.as_ref())
        .or_else(|| differs("issuer-uri", secret.issuer.as_ref(), status.issuer.as_ref()));
    if let Some(wrong) = wrong {
        return Check::failed(NAME, format!("Secret {object}: {wrong}")).hint(EDITED);
    }
    if client.spec.type_ == ClientType::Public {
        return Check::ok(
            NAME,
            format!("Secret {object}, without a client secret: the client is Public"),
        );
    }
    let what = what_credentials(client);
    if !secret.has_client_secret {
        return Check::failed(NAME, format!("Secret {object} holds no {what}")).hint(EDITED);
    }
    if !secret.is_as_written {
        return Check::failed(
            NAME,
            format!("Secret {object}: the {what} is not the one that the operator wrote"),
        )
        .hint(EDITED);
    }
    Check::ok(NAME, format!("Secret {object}: {}", secret.keys.join(", ")))
}

pub(super) fn config_map(status: &OIDCClientStatus, outputs: &Outputs, map: &ConfigMapEvidence) -> Check {
    const NAME: &str = "configmap";
    let object = &outputs.config_map_name;
    match differs("issuer-uri", map.issuer.as_ref(), status.issuer.as_ref()) {
        Some(wrong) => Check::failed(NAME, format!("ConfigMap {object}: {wrong}")).hint(EDITED),
        None => Check::ok(NAME, format!("ConfigMap {object}: {}", map.keys.join(", "))),
    }
}

pub(super) fn ca(map: &ConfigMapEvidence, now: Timestamp) -> Check {
    const NAME: &str = "ca";
    let bundle = match &map.ca {
        None => {
            return Check::skipped(
                NAME,
                "no CA is delivered: the roots of the application's own system are meant",
            )
            .hint("what follows is checked with the roots of the system that this runs on");
        }
        Some(Err(error)) => return Check::failed(NAME, format!("the delivered CA bundle {error}")).hint(EDITED),
        Some(Ok(bundle)) => bundle,
    };
    let all = bundle.certificates();
    let expired: Vec<_> = all
        .iter()
        .filter(|ca| ca.not_after < now)
        .map(|ca| ca.subject.as_str())
        .collect();
    if expired.len() == all.len() {
        return Check::failed(NAME, format!("all delivered CA certificates have expired: {}", expired.join(", "))).hint(
            "have the CA made anew, and give it in spec.issuer of the OIDCProvider: many applications refuse an expired one",
        );
    }
    let told = format!("{}, the first expires at {}", count(bundle), bundle.earliest_expiry());
    if expired.is_empty() {
        Check::ok(NAME, told)
    } else {
        Check::ok(NAME, told).hint(format!("take out what has expired: {}", expired.join(", ")))
    }
}

fn count(bundle: &CaBundle) -> String {
    match bundle.certificates() {
        [one] => format!("1 CA certificate ({})", one.subject),
        all => format!("{} CA certificates", all.len()),
    }
}
