//! What the discovery document of an issuer excludes, of which nothing else is known. Pure.

use std::collections::BTreeSet;

use crate::domain::{DesiredClient, Discovery, TokenEndpointAuthMethod, Unsupported};

/// Fields of `desired` that cannot work there. Grants and scopes that the document does not list may work all the same (OIDC Discovery
/// 1.0, section 3: a server may leave some out).
pub(super) fn by_document(desired: &DesiredClient, discovery: &Discovery) -> Vec<Unsupported> {
    let offered = |offered: &BTreeSet<String>| offered.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let unsupported = |field: &str, why: String| Unsupported {
        field: format!("spec.{field}"),
        why,
    };
    let method = desired.auth_method;
    let methods = discovery
        .auth_methods
        .as_ref()
        .filter(|methods| method != TokenEndpointAuthMethod::None && !methods.contains(method.as_str()))
        .map(|methods| {
            let why = format!("this issuer takes {}, not {}", offered(methods), method.as_str());
            unsupported("tokenEndpointAuthMethod", why)
        });
    let algorithm = desired
        .id_token_alg
        .filter(|algorithm| discovery.excludes(*algorithm))
        .map(|algorithm| {
            let why = format!(
                "this issuer signs with {}, not {}",
                offered(&discovery.signing_algorithms),
                algorithm.as_str()
            );
            unsupported("idTokenSignedResponseAlg", why)
        });
    methods.into_iter().chain(algorithm).collect()
}
