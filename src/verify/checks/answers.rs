//! What the issuer says of itself and of the client.

use super::{
    CLAIMS,
    check::Check,
    objects::{differs, what_credentials},
};
use crate::{
    api::{OIDCClient, OIDCClientStatus},
    domain::{ClientType, GrantType, IssuerError, JsonWebKeySummary, Proof, SignatureAlgorithm, error::bounded},
    verify::{
        authorization::Authorization,
        evidence::{IssuerEvidence, Outputs},
    },
};

pub(super) fn discovery_failed(error: &IssuerError) -> Check {
    let check = Check::failed("discovery", error.to_string());
    match error {
        IssuerError::IssuerMismatch { .. } => check.hint(
            "applications compare the issuer with iss of each token, byte for byte: configure both sides with the same one",
        ),
        IssuerError::Request(_) => check.hint("it takes connections, and does not answer as an HTTP server should: is it the right port?"),
        IssuerError::Status { status: 500.., .. } => check.hint("see the log of the issuer, and of what stands before it"),
        _ => check,
    }
}

pub(super) fn signature(client: &OIDCClient, offered: &std::collections::BTreeSet<String>) -> Check {
    const NAME: &str = "signature";
    let algorithm = client.spec.id_token_signed_response_alg;
    let wanted = algorithm.unwrap_or(SignatureAlgorithm::RS256).as_str();
    let all = offered.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    if offered.contains(wanted) {
        Check::ok(NAME, format!("{wanted} is offered for ID tokens"))
    } else if algorithm.is_some() {
        Check::failed(
            NAME,
            format!(
                "idTokenSignedResponseAlg is {wanted}, and the issuer offers {}",
                bounded(&all)
            ),
        )
        .hint("set it to an algorithm that the issuer offers")
    } else {
        Check::failed(
            NAME,
            format!("the issuer offers {}, and most applications need RS256", bounded(&all)),
        )
        .hint("give the issuer an RSA key, or say in idTokenSignedResponseAlg what the application checks")
    }
}

pub(super) fn jwks(url: &str, keys: &Result<Vec<JsonWebKeySummary>, IssuerError>) -> Check {
    match keys {
        Ok(keys) => Check::ok("jwks", format!("{url} has {} usable keys", keys.len())),
        Err(error @ IssuerError::NoUsableKey { .. }) => {
            Check::failed("jwks", error.to_string()).hint("give the issuer an RSA or EC key for signatures")
        }
        Err(error) => Check::failed("jwks", format!("the keys at {url} cannot be read: {error}"))
            .hint("applications read them at that very address: it must be reachable for them, with the delivered CA"),
    }
}

pub(super) fn redirects(status: &OIDCClientStatus, issuer: &IssuerEvidence) -> Check {
    const NAME: &str = "redirect-uri";
    let grants = status.resolved.as_ref().map(|resolved| resolved.grant_types.as_slice());
    if !grants.unwrap_or_default().contains(&GrantType::AuthorizationCode) {
        return Check::skipped(NAME, "the client does not use authorization_code");
    }
    let name = |uri: &str| bounded(uri);
    let refused = issuer.redirects.iter().find_map(|(uri, answer)| match answer {
        Ok(Authorization::Refused(status)) => Some((uri, status)),
        _ => None,
    });
    if let Some((uri, status)) = refused {
        return Check::failed(NAME, format!("the authorization endpoint refuses {} ({status})", name(uri))).hint(
            "redirect URIs are compared byte for byte: is the client at the provider as the spec says, and is it there at all? \
             The operator repairs it with the next resync, or at once by the annotation oidc-operator.io/reconcile-requested",
        );
    }
    let returned = issuer.redirects.iter().find_map(|(uri, answer)| match answer {
        Ok(Authorization::Returned(error)) => Some((uri, error)),
        _ => None,
    });
    if let Some((uri, error)) = returned {
        return Check::failed(NAME, format!("{} is known, and no login begins: {error}", name(uri)))
            .hint("the provider does not let this client do what scopes, grantTypes and pkce of the spec say");
    }
    let unclear = issuer.redirects.iter().find_map(|(uri, answer)| match answer {
        Ok(Authorization::Unclear(status)) => {
            Some(format!("the authorization endpoint answers {status} to {}", name(uri)))
        }
        Err(error) => Some(format!(
            "the authorization endpoint could not be asked for {}: {}",
            name(uri),
            error.message
        )),
        _ => None,
    });
    match unclear {
        Some(why) => Check::unknown(NAME, why).hint("browsers use that endpoint: can it be reached from here at all?"),
        None => {
            let count = issuer.redirects.len();
            let uris = if count == 1 { "redirect URI" } else { "redirect URIs" };
            Check::ok(NAME, format!("a login begins for {count} {uris}"))
        }
    }
}

pub(super) fn credentials(client: &OIDCClient, issuer: &IssuerEvidence) -> Check {
    const NAME: &str = "credentials";
    let what = what_credentials(client);
    match &issuer.proof {
        _ if client.spec.type_ == ClientType::Public => Check::skipped(NAME, "the client is Public: it has no secret"),
        None => Check::skipped(NAME, format!("there is no {what} to try")),
        Some(Proof::Proven) => Check::ok(NAME, format!("the token endpoint takes the {what}")),
        Some(Proof::Disproven) => Check::failed(NAME, format!("the token endpoint refuses the {what}")).hint(
            "somebody changed it at the provider, or the client is gone there: the operator sets it again with the next resync, \
             or at once by the annotation oidc-operator.io/reconcile-requested. Applications must be restarted if they still \
             hold an older one",
        ),
        Some(Proof::Unknown(why) | Proof::Undecided(why)) => Check::unknown(NAME, why.clone()),
        Some(Proof::WrongIssuer(why)) => Check::failed(NAME, why.clone()),
    }
}

pub(super) fn audience(status: &OIDCClientStatus, outputs: &Outputs, issuer: &IssuerEvidence) -> Check {
    const NAME: &str = "audience";
    let id = status.client_id.clone().unwrap_or_default();
    let delivered = outputs.config_map.as_ref().ok().and_then(|map| map.audience.as_ref());
    if let Some(wrong) = differs("jwtAudience", delivered, status.client_id.as_ref()) {
        return Check::failed(NAME, wrong).hint(
            "an application that expects another audience refuses every token: ID tokens carry the client ID (OIDC Core, section 2)",
        );
    }
    match &issuer.audience {
        None => Check::skipped(
            NAME,
            format!("only a login shows a token; its ID token carries aud {id} (OIDC Core, section 2)"),
        )
        .hint("an application that checks tokens must expect that audience, or be given another by a claim mapper"),
        Some(Err(why)) => Check::unknown(
            NAME,
            format!("a token of the client itself could not be looked at: {why}"),
        ),
        Some(Ok(found)) if found.contains(&id) => {
            Check::ok(NAME, format!("an access token of the client itself carries aud {id}"))
        }
        Some(Ok(found)) => {
            let found = bounded(&found.join(", "));
            Check::unknown(NAME, format!("an access token of the client itself carries aud {found}, not {id}")).hint(
                "an API that checks access tokens must expect that audience, or the provider must add the client ID to it; ID \
                 tokens carry the client ID in any case",
            )
        }
    }
}

pub(super) fn claims(client: &OIDCClient, issuer: &IssuerEvidence) -> Check {
    let supported = match &issuer.discovery {
        Some(Ok(found)) => found.claims.as_ref(),
        _ => None,
    };
    let Some(supported) = supported else {
        return Check::unknown(
            CLAIMS,
            "the discovery document does not say which claims there are (claims_supported)",
        );
    };
    let username = issuer.username_claim.as_str();
    if !supported.contains(username) {
        return Check::failed(
            CLAIMS,
            format!("claims_supported lacks {username}, the claim that names users"),
        )
        .hint("have the application use a claim that the issuer has, such as sub or email");
    }
    let own = client.spec.claims.iter().flatten().map(|claim| claim.name.as_str());
    let unlisted: Vec<_> = own.filter(|name| !supported.contains(*name)).collect();
    if unlisted.is_empty() {
        Check::ok(CLAIMS, format!("claims_supported has {username}"))
    } else {
        // Keycloak and authentik list what is theirs, not what mappers of one client add.
        Check::unknown(
            CLAIMS,
            format!(
                "claims_supported has {username}, and does not list {}",
                unlisted.join(", ")
            ),
        )
        .hint("servers need not list the claims of single clients: look into a token after a login")
    }
}
