//! What the evidence means: one small function a check, with a hint wherever a person can do something. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    authorization::Authorization,
    evidence::{ConfigMapEvidence, Evidence, IssuerEvidence, Outputs, Route, SecretEvidence, Unread},
};
use crate::{
    api::{OIDCClient, OIDCClientStatus, common::ConditionStatus},
    domain::{
        ClientType, GrantType, IssuerError, JsonWebKeySummary, Proof, SignatureAlgorithm, TokenEndpointAuthMethod,
        error::bounded, pem::CaBundle,
    },
};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// It holds.
    Ok,
    /// It does not.
    Failed,
    /// Nothing to check here, or something before it failed.
    Skipped,
    /// It cannot be told from here.
    Unknown,
}

impl Outcome {
    /// As in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Failed => "FAILED",
            Self::Skipped => "SKIPPED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    #[serde(rename = "check")]
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Check {
    /// It holds.
    pub fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Ok, message)
    }

    fn failed(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Failed, message)
    }

    fn skipped(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Skipped, message)
    }

    fn unknown(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Outcome::Unknown, message)
    }

    fn new(name: &'static str, outcome: Outcome, message: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

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
        Err(unread) => return vec![unread_client(evidence, unread)],
    };
    let status = client.status.clone().unwrap_or_default();
    let mut checks = vec![found(evidence, &status), conditions(client, &status)];
    let Some(outputs) = &evidence.outputs else {
        return checks;
    };
    checks.push(match &outputs.secret {
        Ok(secret) => self::secret(client, &status, outputs, secret),
        Err(unread) => unread_output("secret", "Secret", &outputs.secret_name, unread),
    });
    match &outputs.config_map {
        Ok(map) => checks.extend([config_map(&status, outputs, map), ca(map, now)]),
        Err(unread) => checks.push(unread_output(
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

fn unread_client(evidence: &Evidence, unread: &Unread) -> Check {
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

fn found(evidence: &Evidence, status: &OIDCClientStatus) -> Check {
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

fn conditions(client: &OIDCClient, status: &OIDCClientStatus) -> Check {
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

fn unread_output(name: &'static str, kind: &str, object: &str, unread: &Unread) -> Check {
    match unread {
        Unread::NotFound => Check::failed(name, format!("there is no {kind} {object}"))
            .hint("the condition CredentialsPublished of the OIDCClient says why"),
        Unread::Forbidden(words) => Check::failed(name, format!("{kind} {object} may not be read: {words}"))
            .hint("run this as somebody who may: the application's pods mount it without that right"),
        Unread::Failed(words) => Check::failed(name, format!("{kind} {object} could not be read: {words}")),
    }
}

/// Does an output say the same as the status?
fn differs(key: &str, found: Option<&String>, expected: Option<&String>) -> Option<String> {
    let (found, expected) = (found?, expected?);
    (found != expected).then(|| format!("{key} is {:?}, and {expected:?} is right", bounded(found)))
}

const EDITED: &str = "somebody edited it: the operator writes it again, or is not running";

/// For people: what a confidential client authenticates with.
fn what_credentials(client: &OIDCClient) -> &'static str {
    match client.spec.token_endpoint_auth_method {
        Some(TokenEndpointAuthMethod::PrivateKeyJwt) => "private key",
        _ => "client secret",
    }
}

fn secret(client: &OIDCClient, status: &OIDCClientStatus, outputs: &Outputs, secret: &SecretEvidence) -> Check {
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

fn config_map(status: &OIDCClientStatus, outputs: &Outputs, map: &ConfigMapEvidence) -> Check {
    const NAME: &str = "configmap";
    let object = &outputs.config_map_name;
    match differs("issuer-uri", map.issuer.as_ref(), status.issuer.as_ref()) {
        Some(wrong) => Check::failed(NAME, format!("ConfigMap {object}: {wrong}")).hint(EDITED),
        None => Check::ok(NAME, format!("ConfigMap {object}: {}", map.keys.join(", "))),
    }
}

fn ca(map: &ConfigMapEvidence, now: Timestamp) -> Check {
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

fn at_issuer(
    client: &OIDCClient,
    status: &OIDCClientStatus,
    outputs: &Outputs,
    issuer: &IssuerEvidence,
    now: Timestamp,
) -> Vec<Check> {
    let mut checks = vec![dns(&issuer.route), tcp(&issuer.route), tls(&issuer.route, now)];
    checks.push(match &issuer.discovery {
        None => after("discovery", &checks),
        Some(Ok(found)) => Check::ok(
            "discovery",
            format!("{} names the issuer {}", issuer.discovery_url, found.discovery.issuer),
        ),
        Some(Err(error)) => discovery_failed(error),
    });
    let Some(Ok(found)) = &issuer.discovery else {
        let rest = AT_ISSUER.into_iter().skip(4).chain([CLAIMS]);
        let rest: Vec<_> = rest.map(|name| after(name, &checks)).collect();
        checks.extend(rest);
        return checks;
    };
    checks.push(signature(client, &found.discovery.signing_algorithms));
    checks.push(match &issuer.keys {
        None => after("jwks", &checks),
        Some(keys) => jwks(&found.discovery.endpoints.jwks, keys),
    });
    checks.push(redirects(status, issuer));
    checks.push(credentials(client, issuer));
    checks.push(audience(status, outputs, issuer));
    checks.push(claims(client, issuer));
    checks
}

/// A check that cannot be made, because an earlier one failed.
fn after(name: &'static str, before: &[Check]) -> Check {
    let failed = before.iter().find(|check| check.outcome == Outcome::Failed);
    Check::skipped(
        name,
        failed.map_or_else(|| "not reached".to_owned(), |check| format!("{} failed", check.name)),
    )
}

const THROUGH_PROXY: &str = "a proxy of the environment (HTTPS_PROXY) does it";

fn dns(route: &Route) -> Check {
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

fn tcp(route: &Route) -> Check {
    match &route.connected {
        Some(Ok(address)) => Check::ok("tcp", format!("{address} takes connections")),
        Some(Err(why)) => Check::failed("tcp", format!("{} cannot be connected to: {why}", route.peer))
            .hint("is the issuer running, is the port right, and does a network policy or firewall let this through?"),
        None if route.proxy => Check::skipped("tcp", THROUGH_PROXY),
        None => after("tcp", &[dns(route)]),
    }
}

fn tls(route: &Route, now: Timestamp) -> Check {
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

fn discovery_failed(error: &IssuerError) -> Check {
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

fn signature(client: &OIDCClient, offered: &std::collections::BTreeSet<String>) -> Check {
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

fn jwks(url: &str, keys: &Result<Vec<JsonWebKeySummary>, IssuerError>) -> Check {
    match keys {
        Ok(keys) => Check::ok("jwks", format!("{url} has {} usable keys", keys.len())),
        Err(error @ IssuerError::NoUsableKey { .. }) => {
            Check::failed("jwks", error.to_string()).hint("give the issuer an RSA or EC key for signatures")
        }
        Err(error) => Check::failed("jwks", format!("the keys at {url} cannot be read: {error}"))
            .hint("applications read them at that very address: it must be reachable for them, with the delivered CA"),
    }
}

fn redirects(status: &OIDCClientStatus, issuer: &IssuerEvidence) -> Check {
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

fn credentials(client: &OIDCClient, issuer: &IssuerEvidence) -> Check {
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

fn audience(status: &OIDCClientStatus, outputs: &Outputs, issuer: &IssuerEvidence) -> Check {
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

fn claims(client: &OIDCClient, issuer: &IssuerEvidence) -> Check {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        domain::{Discovery, Endpoints, IdpError, IdpErrorKind, ResourceName, certificate::Validity},
        idp::testing::Authority,
        verify::evidence::Found,
    };

    const ISSUER: &str = "https://sso.example.com/dex";

    fn client(spec: &Value, status: &Value) -> OIDCClient {
        let mut object = json!({
            "metadata": {"name": "shop", "namespace": "shop", "generation": 1},
            "spec": {"providerRef": {"name": "dex"}, "redirectURIs": ["https://shop.example.com/cb"]},
            "status": {
                "observedGeneration": 1, "provider": "identity/dex", "clientID": "shop_shop", "issuer": ISSUER,
                "resolved": {
                    "grantTypes": ["authorization_code"], "tokenEndpointAuthMethod": "client_secret_basic",
                    "pkce": "Optional", "scopes": ["openid"],
                },
                "conditions": [condition("True", "Ready", "all is well")],
            },
        });
        for (part, patch) in [("spec", spec), ("status", status)] {
            for (field, value) in patch.as_object().unwrap() {
                object[part][field] = value.clone();
            }
        }
        serde_json::from_value(object).unwrap()
    }

    fn condition(status: &str, reason: &str, message: &str) -> Value {
        json!({"type": "Ready", "status": status, "reason": reason, "message": message,
               "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    /// All is well.
    fn good() -> Evidence {
        let key = JsonWebKeySummary {
            key_id: None,
            key_type: "RSA".to_owned(),
            algorithm: None,
        };
        let discovery = Discovery {
            issuer: ISSUER.to_owned(),
            endpoints: Endpoints {
                jwks: format!("{ISSUER}/keys"),
                ..Endpoints::default()
            },
            signing_algorithms: set(&["RS256"]),
            ..Discovery::default()
        };
        Evidence {
            name: ResourceName::new("shop", "shop"),
            client: Ok(Box::new(client(&json!({}), &json!({})))),
            outputs: Some(Outputs {
                secret_name: "shop-oidc".to_owned(),
                secret: Ok(SecretEvidence {
                    keys: vec!["client-id".to_owned(), "client-secret".to_owned()],
                    client_id: Some("shop_shop".to_owned()),
                    issuer: Some(ISSUER.to_owned()),
                    has_client_secret: true,
                    is_as_written: true,
                }),
                config_map_name: "shop-oidc".to_owned(),
                config_map: Ok(ConfigMapEvidence {
                    keys: vec!["issuer-uri".to_owned()],
                    issuer: Some(ISSUER.to_owned()),
                    audience: None,
                    ca: Some(CaBundle::parse(&Authority::new("ours").pem())),
                }),
            }),
            issuer: Some(IssuerEvidence {
                expected: ISSUER.to_owned(),
                discovery_url: format!("{ISSUER}/.well-known/openid-configuration"),
                provider_type: "Dex".to_owned(),
                username_claim: "name".to_owned(),
                route: Route {
                    host: "sso.example.com".to_owned(),
                    peer: "sso.example.com".to_owned(),
                    tls: true,
                    addresses: Some(Ok(vec!["192.0.2.1:443".parse().unwrap()])),
                    connected: Some(Ok("192.0.2.1:443".parse().unwrap())),
                    handshake: Some(Ok(())),
                    ..Route::default()
                },
                discovery: Some(Ok(Found {
                    discovery,
                    claims: Some(set(&["sub", "name"])),
                })),
                keys: Some(Ok(vec![key])),
                redirects: vec![("https://shop.example.com/cb".to_owned(), Ok(Authorization::Login))],
                proof: Some(Proof::Proven),
                audience: None,
            }),
        }
    }

    fn now() -> Timestamp {
        "2026-06-01T00:00:00Z".parse().unwrap()
    }

    /// The check `name` of evidence that was `changed`.
    fn check(name: &str, change: impl FnOnce(&mut Evidence)) -> Check {
        let mut evidence = good();
        change(&mut evidence);
        let checks = all(&evidence, now());
        let found = checks.iter().find(|check| check.name == name);
        found.unwrap_or_else(|| panic!("{checks:#?}")).clone()
    }

    fn issuer(evidence: &mut Evidence) -> &mut IssuerEvidence {
        evidence.issuer.as_mut().unwrap()
    }

    fn outputs(evidence: &mut Evidence) -> &mut Outputs {
        evidence.outputs.as_mut().unwrap()
    }

    fn object(evidence: &mut Evidence, spec: &Value, status: &Value) {
        evidence.client = Ok(Box::new(client(spec, status)));
    }

    /// It failed, says all of `words`, and says what to do with all of `hints`.
    fn failed(check: &Check, words: &[&str], hints: &[&str]) {
        assert_eq!(check.outcome, Outcome::Failed, "{check:?}");
        told(check, words, hints);
    }

    fn told(check: &Check, words: &[&str], hints: &[&str]) {
        let hint = check.hint.clone().unwrap_or_default();
        assert!(words.iter().all(|word| check.message.contains(word)), "{check:?}");
        assert!(hints.iter().all(|word| hint.contains(word)), "{check:?}");
    }

    #[test]
    fn all_is_well() {
        let checks = all(&good(), now());
        let names: Vec<_> = checks.iter().map(|check| check.name).collect();
        let expected: Vec<_> = ["client", "conditions", "secret", "configmap", "ca"]
            .into_iter()
            .chain(AT_ISSUER)
            .chain([CLAIMS])
            .collect();
        assert_eq!(names, expected);
        for check in checks {
            let expected = if check.name == "audience" {
                Outcome::Skipped
            } else {
                Outcome::Ok
            };
            assert_eq!(check.outcome, expected, "{check:?}");
        }
    }

    #[test]
    fn objects_that_cannot_be_read() {
        for (unread, words) in [
            (Unread::NotFound, "no OIDCClient shop/shop"),
            (Unread::Forbidden("no".to_owned()), "may not be read"),
            (Unread::Failed("no".to_owned()), "could not be read"),
        ] {
            let mut evidence = good();
            evidence.client = Err(unread.clone());
            let checks = all(&evidence, now());
            assert_eq!(checks.len(), 1, "nothing else can be told");
            assert!(checks[0].hint.is_some());
            failed(&checks[0], &[words], &[]);
            let secret = check("secret", |evidence| outputs(evidence).secret = Err(unread.clone()));
            failed(&secret, &["shop-oidc"], &[]);
            let map = check("configmap", |evidence| outputs(evidence).config_map = Err(unread));
            failed(&map, &["ConfigMap shop-oidc"], &[]);
        }
    }

    #[test]
    fn conditions_of_the_operator() {
        let ready = |status: &str| json!({"conditions": [condition(status, "ProviderNotReady", "look there")]});
        let refused = check("conditions", |evidence| object(evidence, &json!({}), &ready("False")));
        failed(&refused, &["ProviderNotReady", "look there"], &["docs/conditions.md"]);
        let open = check("conditions", |evidence| object(evidence, &json!({}), &ready("Unknown")));
        assert_eq!(open.outcome, Outcome::Unknown);
        let stale = check("conditions", |evidence| {
            object(evidence, &json!({}), &json!({"observedGeneration": 0}))
        });
        assert_eq!(stale.outcome, Outcome::Unknown);
        let new = check("client", |evidence| {
            object(evidence, &json!({}), &json!({"clientID": null, "issuer": null}));
            evidence.issuer = None;
        });
        failed(&new, &["not looked at"], &["is the operator running"]);
    }

    #[test]
    fn outputs_that_somebody_edited() {
        let change = |change: fn(&mut SecretEvidence)| {
            check("secret", |evidence| change(outputs(evidence).secret.as_mut().unwrap()))
        };
        failed(
            &change(|secret| secret.client_id = Some("other".to_owned())),
            &["client-id", "other", "shop_shop"],
            &["edited"],
        );
        failed(
            &change(|secret| secret.issuer = Some(format!("{ISSUER}/"))),
            &["issuer-uri"],
            &["edited"],
        );
        failed(
            &change(|secret| secret.has_client_secret = false),
            &["no client secret"],
            &["edited"],
        );
        failed(
            &change(|secret| secret.is_as_written = false),
            &["not the one"],
            &["edited"],
        );
        let map = check("configmap", |evidence| {
            outputs(evidence).config_map.as_mut().unwrap().issuer = Some("https://other".to_owned());
        });
        failed(&map, &["https://other", ISSUER], &["edited"]);
    }

    #[test]
    fn a_ca_that_does_not_do() {
        let change = |ca| check("ca", |evidence| outputs(evidence).config_map.as_mut().unwrap().ca = ca);
        assert_eq!(change(None).outcome, Outcome::Skipped);
        failed(
            &change(Some(CaBundle::parse("garbage"))),
            &["holds no certificate"],
            &["edited"],
        );
        let old = Authority::with("old", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)).pem();
        failed(
            &change(Some(CaBundle::parse(&old))),
            &["have expired", "CN=old"],
            &["spec.issuer"],
        );
        let both = change(Some(CaBundle::parse(&(old + &Authority::new("new").pem()))));
        assert_eq!(both.outcome, Outcome::Ok);
        told(&both, &["2 CA certificates"], &["CN=old"]);
    }

    #[test]
    fn each_layer_of_the_way_is_told_apart() {
        let dead = |change: fn(&mut Route)| {
            let mut evidence = good();
            let found = issuer(&mut evidence);
            change(&mut found.route);
            (found.discovery, found.keys, found.proof) = (None, None, None);
            let checks = all(&evidence, now());
            let failed: Vec<_> = checks
                .iter()
                .filter(|check| check.outcome == Outcome::Failed)
                .cloned()
                .collect();
            assert_eq!(failed.len(), 1, "only one is to blame: {checks:#?}");
            let after = checks
                .iter()
                .skip_while(|check| check.outcome != Outcome::Failed)
                .skip(1);
            for check in after {
                assert_eq!(check.outcome, Outcome::Skipped);
                told(check, &[&format!("{} failed", failed[0].name)], &[]);
            }
            failed[0].clone()
        };
        let dns = dead(|route| {
            route.addresses = Some(Err("there is no such name".to_owned()));
            (route.connected, route.handshake) = (None, None);
        });
        assert_eq!(dns.name, "dns");
        failed(&dns, &["sso.example.com", "no such name"], &["run this in the cluster"]);
        let tcp = dead(|route| {
            route.connected = Some(Err("192.0.2.1:443: connection refused".to_owned()));
            route.handshake = None;
        });
        assert_eq!(tcp.name, "tcp");
        failed(&tcp, &["connection refused"], &["network policy"]);
        let tls = dead(|route| {
            let error = IdpError::new(IdpErrorKind::Tls, "discovery", "is not signed by the given CA");
            route.handshake = Some(Err(error));
        });
        assert_eq!(tls.name, "tls");
        failed(&tls, &["not signed by the given CA"], &["issuerCertificateAuthority"]);
    }

    #[test]
    fn what_is_not_looked_at_says_why() {
        let plain = check("tls", |evidence| issuer(evidence).route.tls = false);
        assert_eq!(plain.outcome, Outcome::Skipped);
        told(&plain, &["plain http"], &["development"]);
        for name in ["dns", "tcp"] {
            let through = check(name, |evidence| {
                let route = &mut issuer(evidence).route;
                (route.proxy, route.addresses, route.connected) = (true, None, None);
            });
            assert_eq!(through.outcome, Outcome::Skipped);
            told(&through, &["HTTPS_PROXY"], &[]);
        }
        let soon = check("tls", |evidence| {
            issuer(evidence).route.certificate = Some(Validity {
                subject: String::new(),
                not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
                not_after: "2026-06-10T00:00:00Z".parse().unwrap(),
            });
        });
        assert_eq!(soon.outcome, Outcome::Ok);
        told(&soon, &["2026-06-10T00:00:00Z"], &["renewed"]);
    }

    fn discovery(error: IssuerError) -> Check {
        check("discovery", |evidence| issuer(evidence).discovery = Some(Err(error)))
    }

    #[test]
    fn a_discovery_document_that_does_not_do() {
        let mismatch = discovery(IssuerError::IssuerMismatch {
            field: "issuer-uri",
            expected: ISSUER.to_owned(),
            found: format!("{ISSUER}/"),
        });
        failed(
            &mismatch,
            &[&format!("{ISSUER:?}"), &format!("\"{ISSUER}/\""), "trailing slash"],
            &["iss of each token"],
        );
        let http = IdpError::new(IdpErrorKind::Timeout, "discovery", "did not answer");
        failed(
            &discovery(IssuerError::Request(http)),
            &["did not answer"],
            &["right port"],
        );
        let status = |status| IssuerError::Status {
            url: ISSUER.to_owned(),
            status,
            location: None,
        };
        failed(&discovery(status(503)), &["503"], &["log of the issuer"]);
        failed(&discovery(status(404)), &["404", "no discovery document"], &[]);
    }

    #[test]
    fn keys_and_algorithms_that_do_not_do() {
        let offers = |spec: Value, algorithms: &[&str]| {
            check("signature", |evidence| {
                object(evidence, &spec, &json!({}));
                let Some(Ok(found)) = &mut issuer(evidence).discovery else {
                    panic!()
                };
                found.discovery.signing_algorithms = set(algorithms);
            })
        };
        failed(
            &offers(json!({}), &["ES256"]),
            &["ES256", "RS256"],
            &["idTokenSignedResponseAlg"],
        );
        let es256 = json!({"idTokenSignedResponseAlg": "ES256"});
        failed(
            &offers(es256.clone(), &["RS256"]),
            &["idTokenSignedResponseAlg is ES256"],
            &["set it"],
        );
        assert_eq!(offers(es256, &["RS256", "ES256"]).outcome, Outcome::Ok);
        let jwks = |error| check("jwks", |evidence| issuer(evidence).keys = Some(Err(error)));
        let unreachable = IssuerError::Request(IdpError::new(IdpErrorKind::Unreachable, "keys", "refuses connections"));
        failed(
            &jwks(unreachable),
            &["/keys", "refuses connections"],
            &["must be reachable"],
        );
        let none = IssuerError::NoUsableKey {
            url: ISSUER.to_owned(),
            reason: "there are no keys".to_owned(),
        };
        failed(&jwks(none), &["no usable signature key"], &["RSA or EC"]);
    }

    #[test]
    fn redirect_uris_that_no_login_begins_for() {
        let said = |answer| {
            check("redirect-uri", |evidence| {
                issuer(evidence)
                    .redirects
                    .push(("https://shop.example.com/other".to_owned(), answer));
            })
        };
        failed(
            &said(Ok(Authorization::Refused(400))),
            &["refuses https://shop.example.com/other (400)"],
            &["byte for byte", "reconcile-requested"],
        );
        failed(
            &said(Ok(Authorization::Returned("invalid_scope".to_owned()))),
            &["invalid_scope"],
            &["scopes"],
        );
        assert_eq!(said(Ok(Authorization::Unclear(502))).outcome, Outcome::Unknown);
        let error = IdpError::new(IdpErrorKind::Unreachable, "authorization", "refuses connections");
        let unknown = said(Err(error));
        assert_eq!(unknown.outcome, Outcome::Unknown);
        told(&unknown, &["refuses connections"], &["reached from here"]);
        let machine = json!({"resolved": {"grantTypes": ["client_credentials"], "pkce": "Optional", "scopes": [],
            "tokenEndpointAuthMethod": "client_secret_basic"}});
        let skipped = check("redirect-uri", |evidence| object(evidence, &json!({}), &machine));
        assert_eq!(skipped.outcome, Outcome::Skipped);
    }

    #[test]
    fn credentials_that_are_refused_or_not_there() {
        let proof = |proof| check("credentials", |evidence| issuer(evidence).proof = proof);
        failed(
            &proof(Some(Proof::Disproven)),
            &["refuses"],
            &["reconcile-requested", "restarted"],
        );
        failed(
            &proof(Some(Proof::WrongIssuer("another".to_owned()))),
            &["another"],
            &[],
        );
        assert_eq!(proof(Some(Proof::Unknown("down".to_owned()))).outcome, Outcome::Unknown);
        assert_eq!(proof(None).outcome, Outcome::Skipped);
        let public = |name| {
            check(name, |evidence| {
                object(evidence, &json!({"type": "Public"}), &json!({}))
            })
        };
        assert_eq!(public("credentials").outcome, Outcome::Skipped);
        told(&public("credentials"), &["Public"], &[]);
        assert_eq!(public("secret").outcome, Outcome::Ok);
    }

    #[test]
    fn audiences_that_differ() {
        let delivered = check("audience", |evidence| {
            outputs(evidence).config_map.as_mut().unwrap().audience = Some("other".to_owned());
        });
        failed(
            &delivered,
            &["jwtAudience", "other", "shop_shop"],
            &["refuses every token"],
        );
        let token = |found| check("audience", |evidence| issuer(evidence).audience = Some(found));
        assert_eq!(token(Ok(vec!["shop_shop".to_owned()])).outcome, Outcome::Ok);
        let account = token(Ok(vec!["account".to_owned()]));
        assert_eq!(account.outcome, Outcome::Unknown);
        told(&account, &["account"], &["must expect that audience"]);
        assert_eq!(token(Err("opaque".to_owned())).outcome, Outcome::Unknown);
    }

    #[test]
    fn claims_that_are_not_there() {
        let listed = |spec: Value, claims: Option<BTreeSet<String>>| {
            check("claims", |evidence| {
                object(evidence, &spec, &json!({}));
                let Some(Ok(found)) = &mut issuer(evidence).discovery else {
                    panic!()
                };
                found.claims = claims;
            })
        };
        failed(&listed(json!({}), Some(set(&["sub"]))), &["lacks name"], &["email"]);
        assert_eq!(listed(json!({}), None).outcome, Outcome::Unknown, "it need not say");
        let groups = json!({"claims": [{"name": "teams", "type": "Groups"}]});
        let own = listed(groups, Some(set(&["name"])));
        assert_eq!(own.outcome, Outcome::Unknown);
        told(&own, &["teams"], &["need not list"]);
    }
}
