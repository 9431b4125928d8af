//! From a provider's spec and the objects it refers to, to a driver.

mod accounts;
mod certificates;
pub mod dex_config;
mod dex_sightings;
mod dex_workload;
mod references;
mod roots;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

pub use self::{
    accounts::{AdminReferences, IssuerTrust, References, references},
    certificates::certificates,
    roots::with_system_roots,
};
use super::{
    context::Context,
    metered::{Limits, Metered},
};
use crate::{
    api::{
        Reason,
        provider::{AuthentikSpec, DexGrpc, DexType, InsecurePart, OIDCProviderSpec, ProviderType},
    },
    domain::{Discovery, Endpoints, IdpError, ResourceName, digest, duration, pem::CaBundle},
    idp::{
        ClientIdentity, Driver, Transport,
        authentik::{AuthentikConfig, AuthentikDriver, Settings},
        by_hand::ByHandDriver,
        dex::{AdminTls, DexDriver, DexStorageDriver},
        http::HttpClient,
        issuer::IssuerRequest,
        keycloak::{AdminCredentials, KeycloakConfig, KeycloakDriver},
        registration::{RegistrationConfig, RegistrationDriver},
    },
    plan::provider::{AdminProblem, BadReference},
};

/// Unless `spec.adminAPI.timeout` says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Unless `spec.adminAPI.maxInFlight` says otherwise.
const DEFAULT_IN_FLIGHT: i32 = 8;
/// The same for an authentik: it is slow, and more calls under way gain nothing.
const DEFAULT_IN_FLIGHT_AUTHENTIK: i32 = 4;
/// Unless `spec.authentik.authorizationFlow` says otherwise: authentik's own, which does not ask for consent.
const DEFAULT_AUTHORIZATION_FLOW: &str = "default-provider-authorization-implicit-consent";
/// Unless `spec.authentik.invalidationFlow` says otherwise: authentik's own, which ends the session with the application.
const DEFAULT_INVALIDATION_FLOW: &str = "default-provider-invalidation-flow";
/// Unless `spec.authentik.signingKey` says otherwise: the key pair that authentik makes at its first start.
const DEFAULT_SIGNING_KEY: &str = "authentik Self-signed Certificate";
/// Unless `spec.adminAPI.requestsPerSecond` says otherwise.
const DEFAULT_RATE: i32 = 50;
/// Unless `spec.resyncInterval` says otherwise.
pub const DEFAULT_RESYNC: Duration = Duration::from_secs(600);

/// How often a provider and its clients are looked at anew.
pub fn resync(spec: &OIDCProviderSpec) -> Duration {
    spec.resync_interval
        .as_deref()
        .and_then(duration::parse)
        .unwrap_or(DEFAULT_RESYNC)
}

/// May this part be insecure?
pub fn allows(spec: &OIDCProviderSpec, part: InsecurePart) -> bool {
    spec.insecure_transport
        .as_ref()
        .is_some_and(|insecure| insecure.allowed.contains(&part))
}

/// Which discovery document the operator reads: the one that applications inside use. The nearer field wins: what is said of the
/// way inside, then of the issuer.
pub fn issuer_request(spec: &OIDCProviderSpec) -> IssuerRequest<'_> {
    let issuer = &spec.issuer;
    let internal = issuer.internal.as_ref();
    let (expected, field, public_document) = match issuer.internal_issuer_url() {
        Some(url) => (url, "issuer.internal.issuerURL", None),
        None => (
            issuer.issuer_url.as_deref().unwrap_or_default(),
            "issuerURL",
            issuer.discovery_url.as_deref(),
        ),
    };
    IssuerRequest {
        issuer: expected,
        field,
        discovery_url: internal
            .and_then(|internal| internal.discovery_url.as_deref())
            .or(public_document),
        insecure_endpoints_allowed: allows(spec, InsecurePart::Endpoints),
    }
}

/// What the spec says in place of a discovery document. Of what else a document says, nothing is known.
pub fn given_discovery(spec: &OIDCProviderSpec) -> Option<Discovery> {
    let given = spec.issuer.endpoints.as_ref()?;
    Some(Discovery {
        issuer: spec.issuer.issuer_url.clone().unwrap_or_default(),
        endpoints: Endpoints {
            authorization: given.authorization.clone(),
            token: given.token.clone(),
            userinfo: given.userinfo.clone(),
            jwks: given.jwks.clone(),
            end_session: given.end_session.clone(),
            ..Endpoints::default()
        },
        ..Discovery::default()
    })
}

/// The limits of `spec.adminAPI`.
fn limits(spec: &OIDCProviderSpec) -> Limits {
    let given = spec.admin_api.as_ref();
    let in_flight = given.and_then(|admin| admin.max_in_flight).unwrap_or(match spec.type_ {
        ProviderType::Authentik => DEFAULT_IN_FLIGHT_AUTHENTIK,
        ProviderType::Dex | ProviderType::Keycloak | ProviderType::DynamicRegistration | ProviderType::Static => {
            DEFAULT_IN_FLIGHT
        }
    });
    let rate = given
        .and_then(|admin| admin.requests_per_second)
        .unwrap_or(DEFAULT_RATE);
    Limits {
        max_in_flight: usize::try_from(in_flight).unwrap_or(1).max(1),
        requests_per_second: u32::try_from(rate)
            .ok()
            .and_then(NonZeroU32::new)
            .unwrap_or(NonZeroU32::MIN),
        timeout: given
            .and_then(|admin| admin.timeout.as_deref())
            .and_then(duration::parse)
            .unwrap_or(DEFAULT_TIMEOUT),
    }
}

/// What all clients of an authentik share, with the defaults.
pub fn authentik_settings(spec: Option<&AuthentikSpec>) -> Settings {
    let text = |given: Option<&String>, default: &str| given.map_or_else(|| default.to_owned(), Clone::clone);
    Settings {
        public_url: spec
            .map(|spec| spec.public_url.trim_end_matches('/').to_owned())
            .unwrap_or_default(),
        authorization_flow: text(
            spec.and_then(|spec| spec.authorization_flow.as_ref()),
            DEFAULT_AUTHORIZATION_FLOW,
        ),
        invalidation_flow: text(
            spec.and_then(|spec| spec.invalidation_flow.as_ref()),
            DEFAULT_INVALIDATION_FLOW,
        ),
        signing_key: text(spec.and_then(|spec| spec.signing_key.as_ref()), DEFAULT_SIGNING_KEY),
        sub_mode: spec.and_then(|spec| spec.sub_mode).unwrap_or_default(),
        issuer_mode: spec.and_then(|spec| spec.issuer_mode).unwrap_or_default(),
        email_verified: spec.and_then(|spec| spec.email_verified).unwrap_or_default(),
    }
}

/// What a driver is built from: a change of any of it asks for a new one. Holds digests only.
pub fn fingerprint(spec: &OIDCProviderSpec, references: &References) -> String {
    let hashed = |secret: &SecretString| digest::sha256_hex(secret.expose_secret().as_bytes());
    let pem = |ca: &Option<CaBundle>| ca.as_ref().map(CaBundle::to_pem).unwrap_or_default();
    let mut parts = vec![format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        spec.dex,
        spec.keycloak,
        spec.authentik,
        spec.dynamic_registration,
        // Which document names the registration endpoint.
        spec.dynamic_registration.as_ref().map(|_| &spec.issuer),
        limits(spec),
        spec.insecure_transport
    )];
    if let Ok(trust) = &references.issuer {
        parts.push(format!("{} {}", trust.system_roots, pem(&trust.bundle)));
    }
    match &references.admin {
        Ok(AdminReferences::Dex { ca, identity }) => {
            parts.push(pem(ca));
            if let Some(identity) = identity {
                parts.extend([
                    digest::sha256_hex(identity.certificate.as_bytes()),
                    hashed(&identity.key),
                ]);
            }
        }
        Ok(AdminReferences::Keycloak { ca, credentials }) => {
            parts.push(pem(ca));
            match credentials {
                AdminCredentials::ClientCredentials { client_secret, .. } => parts.push(hashed(client_secret)),
                AdminCredentials::Password { username, password } => {
                    parts.extend([hashed(username), hashed(password)]);
                }
            }
        }
        Ok(AdminReferences::Authentik { ca, token }) => parts.extend([pem(ca), hashed(token)]),
        Ok(AdminReferences::Registration { initial_token }) => parts.extend(initial_token.as_ref().map(hashed)),
        Ok(AdminReferences::DexConfig | AdminReferences::Nothing) | Err(_) => {}
    }
    // A driver for Dex's configuration reads the discovery document, too.
    if spec.dex.as_ref().is_some_and(|dex| dex.config.is_some()) {
        parts.push(format!("{:?}", spec.issuer));
    }
    digest::sha256_hex(parts.join("\u{0}").as_bytes())
}

/// The HTTP client for the issuer: with its CAs, and nothing but them.
///
/// # Errors
/// When a CA cannot be used.
pub fn issuer_http(spec: &OIDCProviderSpec, trust: &IssuerTrust) -> Result<HttpClient, IdpError> {
    HttpClient::new(&Transport {
        timeout: limits(spec).timeout,
        certificate_authority: trust.bundle.as_ref().map(CaBundle::to_pem),
        system_roots: trust.system_roots,
        identity: None,
    })
}

/// By which interface a Dex is managed.
pub fn dex_type(spec: &OIDCProviderSpec) -> Option<DexType> {
    spec.dex.as_ref().map(|dex| dex.type_)
}

/// Deadline of each call to the provider.
pub fn timeout(spec: &OIDCProviderSpec) -> Duration {
    limits(spec).timeout
}

/// The driver of a provider in `namespace`, within its limits. Nothing is connected yet.
///
/// # Errors
/// What stands in the way.
pub fn driver(
    context: &Context,
    name: &ResourceName,
    spec: &OIDCProviderSpec,
    admin: &AdminReferences,
    issuer: HttpClient,
) -> Result<Arc<dyn Driver>, AdminProblem> {
    let limits = limits(spec);
    let transport = |ca: &Option<CaBundle>, identity: &Option<ClientIdentity>| Transport {
        timeout: limits.timeout,
        certificate_authority: ca.as_ref().map(CaBundle::to_pem),
        system_roots: false,
        identity: identity.clone(),
    };
    let grpc = spec.dex.as_ref().and_then(|dex| dex.grpc.as_ref());
    let driver: Result<Box<dyn Driver>, IdpError> = match (admin, grpc, &spec.keycloak, &spec.authentik) {
        (AdminReferences::Dex { ca, identity }, Some(grpc), ..) => {
            DexDriver::new(&grpc.address, admin_tls(grpc), &transport(ca, identity), issuer)
                .map(|dex| Box::new(dex) as Box<dyn Driver>)
        }
        (AdminReferences::DexConfig, ..) if spec.dex.as_ref().is_some_and(|dex| dex.config.is_some()) => {
            dex_config::driver(context, name, spec, issuer, limits.timeout).map(|dex| Box::new(dex) as Box<dyn Driver>)
        }
        (AdminReferences::Keycloak { ca, credentials }, _, Some(keycloak), _) => {
            let config = KeycloakConfig {
                admin_url: keycloak.admin_url.clone(),
                realm: keycloak.realm.clone(),
                auth_realm: keycloak.auth_realm.clone().unwrap_or_else(|| keycloak.realm.clone()),
                credentials: credentials.clone(),
            };
            KeycloakDriver::new(&config, &transport(ca, &None), issuer)
                .map(|keycloak| Box::new(keycloak) as Box<dyn Driver>)
        }
        (AdminReferences::Authentik { ca, token }, .., Some(authentik)) => {
            let config = AuthentikConfig {
                admin_url: authentik.admin_url().to_owned(),
                token: token.clone(),
                settings: authentik_settings(Some(authentik)),
            };
            AuthentikDriver::new(&config, &transport(ca, &None), issuer)
                .map(|authentik| Box::new(authentik) as Box<dyn Driver>)
        }
        (AdminReferences::Registration { initial_token }, ..) if spec.type_ == ProviderType::DynamicRegistration => {
            RegistrationDriver::new(registration_config(spec, initial_token.clone()), issuer)
                .map(|registration| Box::new(registration) as Box<dyn Driver>)
        }
        (AdminReferences::Nothing, ..) if spec.type_ == ProviderType::Static => Ok(Box::new(ByHandDriver::new(issuer))),
        (AdminReferences::Nothing, ..) if dex_type(spec) == Some(DexType::KubernetesStorage) => {
            let (kube, metrics) = (context.kube.clone(), context.metrics.clone());
            Ok(Box::new(DexStorageDriver::new(
                kube,
                &name.namespace,
                limits.timeout,
                issuer,
                metrics,
            )))
        }
        // The CRD's rules exclude it; an object from before them is not a reason to fail.
        _ => {
            let needed = match spec.type_ {
                ProviderType::Dex => "spec.dex.grpc or spec.dex.config",
                ProviderType::Keycloak => "spec.keycloak with credentials",
                ProviderType::Authentik => "spec.authentik",
                ProviderType::DynamicRegistration => "spec.dynamicRegistration",
                ProviderType::Static => "spec.issuer alone",
            };
            return Err(AdminProblem::Reference(BadReference {
                reason: Reason::InvalidObject,
                message: format!("{needed} is required with type {}", spec.type_.as_str()),
            }));
        }
    };
    Ok(Metered::new(
        driver.map_err(AdminProblem::Call)?,
        spec.type_.as_str(),
        limits,
        context.metrics.clone(),
    ))
}

fn registration_config(spec: &OIDCProviderSpec, initial_token: Option<SecretString>) -> RegistrationConfig {
    let request = issuer_request(spec);
    RegistrationConfig {
        issuer: request.issuer.to_owned(),
        issuer_field: request.field,
        discovery_url: request.discovery_url.map(str::to_owned),
        registration_url: spec
            .dynamic_registration
            .as_ref()
            .and_then(|registration| registration.registration_url.clone()),
        initial_token,
        insecure_endpoints_allowed: request.insecure_endpoints_allowed,
        insecure_allowed: allows(spec, InsecurePart::AdminAPI),
    }
}

fn admin_tls(grpc: &DexGrpc) -> AdminTls {
    match (&grpc.certificate_authority, &grpc.client_certificate_secret_ref) {
        (None, _) => AdminTls::Plaintext,
        (Some(_), None) => AdminTls::ServerOnly,
        (Some(_), Some(_)) => AdminTls::Mutual,
    }
}

/// What is insecure in this spec, as `insecureTransport` allows it.
pub fn insecure(spec: &OIDCProviderSpec) -> Vec<&'static str> {
    let mut found = Vec::new();
    match spec.dex.as_ref().and_then(|dex| dex.grpc.as_ref()).map(admin_tls) {
        Some(AdminTls::Plaintext) => found.push("the admin API (plain text)"),
        Some(AdminTls::ServerOnly) => {
            found.push("the admin API (no client certificate: whoever reaches it is its admin)")
        }
        Some(AdminTls::Mutual) | None => {}
    }
    let is_plain = |url: &str| url.starts_with("http://");
    let keycloak = spec.keycloak.as_ref().map(|keycloak| keycloak.admin_url.as_str());
    let registration = spec.dynamic_registration.as_ref();
    let registration = registration.and_then(|registration| registration.registration_url.as_deref());
    let authentik = spec.authentik.as_ref();
    if keycloak
        .or(registration)
        .or(authentik.map(AuthentikSpec::admin_url))
        .is_some_and(is_plain)
    {
        found.push("the admin API and the operator's own credentials (http)");
    }
    let issuer = spec.issuer.issuer_url.as_deref();
    let public = issuer.or(authentik.map(|authentik| authentik.public_url.as_str()));
    let request = issuer_request(spec);
    let others = [
        request.discovery_url,
        Some(request.issuer),
        spec.issuer.discovery_url.as_deref(),
    ];
    if public.into_iter().chain(others.into_iter().flatten()).any(is_plain) {
        found.push("the issuer and its discovery document (http)");
    }
    if allows(spec, InsecurePart::Endpoints) {
        found.push("endpoints (may be http)");
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::{Value, json};

    use super::*;
    use crate::domain::authentik::{EmailVerified, IssuerMode, SubMode};

    fn spec(authentik: Value) -> OIDCProviderSpec {
        let mut block =
            json!({"publicURL": "https://auth.example.com/", "tokenSecretRef": {"name": "t", "key": "token"}});
        for (field, value) in authentik.as_object().unwrap() {
            block[field] = value.clone();
        }
        serde_json::from_value(json!({"type": "Authentik", "issuer": {}, "authentik": block})).unwrap()
    }

    #[test]
    fn settings_of_authentik_have_its_own_defaults() {
        let settings = |authentik| authentik_settings(spec(authentik).authentik.as_ref());
        let default = Settings {
            public_url: "https://auth.example.com".to_owned(),
            authorization_flow: "default-provider-authorization-implicit-consent".to_owned(),
            invalidation_flow: "default-provider-invalidation-flow".to_owned(),
            signing_key: "authentik Self-signed Certificate".to_owned(),
            sub_mode: SubMode::HashedUserId,
            issuer_mode: IssuerMode::PerProvider,
            email_verified: EmailVerified::Default,
        };
        assert_eq!(settings(json!({})), default);
        let given = json!({
            "authorizationFlow": "ask", "invalidationFlow": "leave", "signingKey": "ours", "subMode": "user_email",
            "issuerMode": "global", "emailVerified": "AlwaysTrue",
        });
        assert_eq!(
            settings(given),
            Settings {
                public_url: default.public_url,
                authorization_flow: "ask".to_owned(),
                invalidation_flow: "leave".to_owned(),
                signing_key: "ours".to_owned(),
                sub_mode: SubMode::UserEmail,
                issuer_mode: IssuerMode::Global,
                email_verified: EmailVerified::AlwaysTrue,
            }
        );
    }

    #[test]
    fn the_nearer_field_says_which_document_is_read() {
        let read = |issuer: Value| {
            let mut whole = json!({"issuerURL": "https://public/"});
            whole
                .as_object_mut()
                .unwrap()
                .extend(issuer.as_object().unwrap().clone());
            let spec: OIDCProviderSpec = serde_json::from_value(json!({"type": "Static", "issuer": whole})).unwrap();
            let request = issuer_request(&spec);
            (request.issuer.to_owned(), request.url())
        };
        let well_known = |base: &str| format!("{base}/.well-known/openid-configuration");
        for (issuer, expected, url) in [
            (json!({}), "https://public/", well_known("https://public")),
            (
                json!({"discoveryURL": "https://elsewhere/doc"}),
                "https://public/",
                "https://elsewhere/doc".to_owned(),
            ),
            (
                json!({"discoveryURL": "https://elsewhere/doc", "internal": {"discoveryURL": "https://inside/doc"}}),
                "https://public/",
                "https://inside/doc".to_owned(),
            ),
            (
                json!({"discoveryURL": "https://elsewhere/doc", "internal": {"issuerURL": "https://inside"}}),
                "https://inside",
                well_known("https://inside"),
            ),
            (
                json!({"internal": {"issuerURL": "https://inside", "discoveryURL": "https://other/doc"}}),
                "https://inside",
                "https://other/doc".to_owned(),
            ),
        ] {
            assert_eq!(read(issuer), (expected.to_owned(), url));
        }
    }

    #[test]
    fn plain_http_of_any_document_is_told() {
        for issuer in [
            json!({"issuerURL": "http://a"}),
            json!({"issuerURL": "https://a", "discoveryURL": "http://b/doc"}),
            json!({"issuerURL": "https://a", "internal": {"issuerURL": "http://b"}}),
            json!({"issuerURL": "https://a", "internal": {"discoveryURL": "http://b/doc"}}),
        ] {
            let spec = serde_json::from_value(json!({"type": "Static", "issuer": issuer})).unwrap();
            assert_eq!(insecure(&spec), ["the issuer and its discovery document (http)"]);
        }
    }

    #[test]
    fn an_authentik_gets_fewer_calls_at_once() {
        let mut authentik = spec(json!({}));
        let dex = serde_json::from_value(json!({"type": "Dex", "issuer": {"issuerURL": "https://dex"}})).unwrap();
        assert_eq!((limits(&authentik).max_in_flight, limits(&dex).max_in_flight), (4, 8));
        authentik.admin_api = serde_json::from_value(json!({"maxInFlight": 9})).unwrap();
        assert_eq!(limits(&authentik).max_in_flight, 9);
    }

    #[test]
    fn plain_http_of_authentik_is_told_where_it_is_used() {
        const ADMIN: &str = "the admin API and the operator's own credentials (http)";
        const ISSUER: &str = "the issuer and its discovery document (http)";
        for (urls, expected) in [
            (json!({}), vec![]),
            (json!({"adminURL": "http://inside"}), vec![ADMIN]),
            (
                json!({"publicURL": "http://outside", "adminURL": "https://inside"}),
                vec![ISSUER],
            ),
            (json!({"publicURL": "http://outside"}), vec![ADMIN, ISSUER]),
        ] {
            assert_eq!(insecure(&spec(urls)), expected);
        }
    }

    #[test]
    fn whatever_an_authentik_is_reached_by_asks_for_a_new_driver() {
        let of = |spec: &OIDCProviderSpec, token: &str| {
            let references = References {
                issuer: Ok(IssuerTrust::default()),
                admin: Ok(AdminReferences::Authentik {
                    ca: None,
                    token: SecretString::from(token),
                }),
                credentials_gone: false,
            };
            fingerprint(spec, &references)
        };
        let one = of(&spec(json!({})), "token");
        assert_eq!(one, of(&spec(json!({})), "token"));
        assert_ne!(one, of(&spec(json!({})), "another"));
        for change in [
            json!({"adminURL": "https://inside"}),
            json!({"authorizationFlow": "ask"}),
            json!({"signingKey": "ours"}),
            json!({"emailVerified": "AlwaysTrue"}),
        ] {
            assert_ne!(one, of(&spec(change), "token"));
        }
    }
}
