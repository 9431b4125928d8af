//! From a provider's spec and the objects it refers to, to a driver.

mod references;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use self::references::Reader;
use super::{
    context::Context,
    metered::{Limits, Metered},
};
use crate::{
    api::{
        Reason,
        common::{CA_BUNDLE_KEY, CertificateAuthorityKind, CertificateAuthorityReference},
        provider::{DexGrpc, InsecurePart, KeycloakCredentialsType, KeycloakSpec, OIDCProviderSpec, ProviderType},
    },
    domain::{IdpError, digest, duration, pem::CaBundle},
    idp::{
        ClientIdentity, Driver, Transport,
        dex::{AdminTls, DexDriver},
        http::HttpClient,
        keycloak::{AdminCredentials, KeycloakConfig, KeycloakDriver},
    },
    kubernetes::client::KubeError,
    plan::provider::{AdminProblem, BadReference},
};

/// Unless `spec.adminAPI.timeout` says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Unless `spec.adminAPI.maxInFlight` says otherwise.
const DEFAULT_IN_FLIGHT: i32 = 8;
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

/// Where applications inside, and the operator, read the discovery document, if not at the issuer itself.
pub fn discovery_url(spec: &OIDCProviderSpec) -> Option<&str> {
    spec.issuer.internal.as_ref()?.discovery_url.as_deref()
}

/// The limits of `spec.adminAPI`.
fn limits(spec: &OIDCProviderSpec) -> Limits {
    let given = spec.admin_api.as_ref();
    let in_flight = given.and_then(|admin| admin.max_in_flight).unwrap_or(DEFAULT_IN_FLIGHT);
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

/// The objects that a provider's spec refers to, read.
pub struct References {
    /// CAs of the issuer.
    pub issuer: Result<IssuerTrust, BadReference>,
    /// For the admin API.
    pub admin: Result<AdminReferences, BadReference>,
    /// Is the Secret with the admin credentials missing?
    pub credentials_gone: bool,
}

/// Whom the issuer's addresses are trusted by.
#[derive(Clone, Debug, Default)]
pub struct IssuerTrust {
    /// The CAs of all its addresses; none: the system's roots.
    pub bundle: Option<CaBundle>,
    /// Has one of the addresses a CA of its own, and the other the system's?
    system_roots: bool,
}

impl IssuerTrust {
    /// `public`: of what browsers reach; `internal`: of `issuer.internal`, where that is reached by another CA.
    fn new(public: Option<CaBundle>, internal: Option<CaBundle>) -> Self {
        let system_roots = public.is_none() && internal.is_some();
        let bundle = match (public, internal) {
            (Some(public), Some(internal)) => Some(public.with(internal)),
            (public, internal) => public.or(internal),
        };
        Self { bundle, system_roots }
    }
}

/// For the admin API.
pub enum AdminReferences {
    /// Dex's gRPC API.
    Dex {
        /// CA of its certificate.
        ca: Option<CaBundle>,
        /// The operator's certificate.
        identity: Option<ClientIdentity>,
    },
    /// Keycloak's admin REST API.
    Keycloak {
        /// CA of its certificate.
        ca: Option<CaBundle>,
        /// The operator's account.
        credentials: AdminCredentials,
    },
    /// What the type needs is not in the spec: an object from before the CRD's rules.
    Nothing,
}

/// Reads what the spec refers to.
///
/// # Errors
/// When Kubernetes cannot be asked: nothing is known then. What is missing or wrong is in the result.
pub async fn references(context: &Context, namespace: &str, spec: &OIDCProviderSpec) -> Result<References, KubeError> {
    let reader = Reader { context, namespace };
    let issuer_ca = spec
        .issuer
        .issuer_certificate_authority
        .as_ref()
        .map(|reference| CertificateAuthorityReference {
            kind: CertificateAuthorityKind::ConfigMap,
            name: reference.name.clone(),
            key: CA_BUNDLE_KEY.to_owned(),
        });
    let internal_ca = spec
        .issuer
        .internal
        .as_ref()
        .and_then(|internal| internal.certificate_authority.as_ref());
    let public = reader
        .certificate_authority("spec.issuer.issuerCertificateAuthority", issuer_ca.as_ref())
        .await?;
    let internal = reader
        .certificate_authority("spec.issuer.internal.certificateAuthority", internal_ca)
        .await?;
    let issuer = match (public, internal) {
        (Ok(public), Ok(internal)) => Ok(IssuerTrust::new(public, internal)),
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    let (ca, credentials) = match (spec.dex.as_ref().and_then(|dex| dex.grpc.as_ref()), &spec.keycloak) {
        (Some(grpc), _) => dex(reader, grpc).await?,
        (None, Some(keycloak)) => self::keycloak(reader, keycloak).await?,
        (None, None) => (Ok(None), Ok(Account::Nothing)),
    };
    let credentials_gone = matches!(&credentials, Err(problem) if problem.reason == Reason::SecretNotFound);
    let admin = match (ca, credentials) {
        // Without credentials nothing works, whatever the CA.
        (_, Err(problem)) | (Err(problem), Ok(_)) => Err(problem),
        (Ok(ca), Ok(Account::Dex(identity))) => Ok(AdminReferences::Dex { ca, identity }),
        (Ok(ca), Ok(Account::Keycloak(credentials))) => Ok(AdminReferences::Keycloak { ca, credentials }),
        (Ok(_), Ok(Account::Nothing)) => Ok(AdminReferences::Nothing),
    };
    Ok(References {
        issuer,
        admin,
        credentials_gone,
    })
}

/// Who the operator is at an admin API.
enum Account {
    Dex(Option<ClientIdentity>),
    Keycloak(AdminCredentials),
    Nothing,
}

type Admin = (Result<Option<CaBundle>, BadReference>, Result<Account, BadReference>);

async fn dex(reader: Reader<'_>, grpc: &DexGrpc) -> Result<Admin, KubeError> {
    let ca = reader
        .certificate_authority(
            "spec.dex.grpc.certificateAuthority",
            grpc.certificate_authority.as_ref(),
        )
        .await?;
    let identity = match &grpc.client_certificate_secret_ref {
        None => Ok(None),
        Some(reference) => reader
            .client_certificate("spec.dex.grpc.clientCertificateSecretRef", reference)
            .await?
            .map(Some),
    };
    Ok((ca, identity.map(Account::Dex)))
}

async fn keycloak(reader: Reader<'_>, spec: &KeycloakSpec) -> Result<Admin, KubeError> {
    let ca = reader
        .certificate_authority(
            "spec.keycloak.certificateAuthority",
            spec.certificate_authority.as_ref(),
        )
        .await?;
    let given = &spec.credentials;
    let account = match (given.type_, &given.client_credentials, &given.password) {
        (KeycloakCredentialsType::ClientCredentials, Some(client), _) => reader
            .secret_text(
                "spec.keycloak.credentials.clientCredentials.clientSecretRef",
                &client.client_secret_ref,
            )
            .await?
            .map(|client_secret| AdminCredentials::ClientCredentials {
                client_id: client.client_id.clone(),
                client_secret,
            }),
        (KeycloakCredentialsType::Password, _, Some(user)) => {
            const FIELD: &str = "spec.keycloak.credentials.password";
            let username = reader
                .secret_text(&format!("{FIELD}.usernameSecretRef"), &user.username_secret_ref)
                .await?;
            let password = reader
                .secret_text(&format!("{FIELD}.passwordSecretRef"), &user.password_secret_ref)
                .await?;
            match (username, password) {
                (Ok(username), Ok(password)) => Ok(AdminCredentials::Password { username, password }),
                (Err(problem), _) | (_, Err(problem)) => Err(problem),
            }
        }
        _ => return Ok((ca, Ok(Account::Nothing))),
    };
    Ok((ca, account.map(Account::Keycloak)))
}

/// What a driver is built from: a change of any of it asks for a new one. Holds digests only.
pub fn fingerprint(spec: &OIDCProviderSpec, references: &References) -> String {
    let hashed = |secret: &SecretString| digest::sha256_hex(secret.expose_secret().as_bytes());
    let pem = |ca: &Option<CaBundle>| ca.as_ref().map(CaBundle::to_pem).unwrap_or_default();
    let mut parts = vec![format!(
        "{:?} {:?} {:?} {:?}",
        spec.dex,
        spec.keycloak,
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
        Ok(AdminReferences::Nothing) | Err(_) => {}
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

/// The driver, within its limits. Nothing is connected yet.
///
/// # Errors
/// What stands in the way.
pub fn driver(
    context: &Context,
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
    let driver: Result<Box<dyn Driver>, IdpError> = match (admin, grpc, &spec.keycloak) {
        (AdminReferences::Dex { ca, identity }, Some(grpc), _) => {
            DexDriver::new(&grpc.address, admin_tls(grpc), &transport(ca, identity), issuer)
                .map(|dex| Box::new(dex) as Box<dyn Driver>)
        }
        (AdminReferences::Keycloak { ca, credentials }, _, Some(keycloak)) => {
            let config = KeycloakConfig {
                admin_url: keycloak.admin_url.clone(),
                realm: keycloak.realm.clone(),
                auth_realm: keycloak.auth_realm.clone().unwrap_or_else(|| keycloak.realm.clone()),
                credentials: credentials.clone(),
            };
            KeycloakDriver::new(&config, &transport(ca, &None), issuer)
                .map(|keycloak| Box::new(keycloak) as Box<dyn Driver>)
        }
        // The CRD's rules exclude it; an object from before them is not a reason to fail.
        _ => {
            let needed = match spec.type_ {
                ProviderType::Dex => "spec.dex.grpc",
                ProviderType::Keycloak => "spec.keycloak with credentials",
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
    if spec
        .keycloak
        .as_ref()
        .is_some_and(|keycloak| is_plain(&keycloak.admin_url))
    {
        found.push("the admin API and the operator's own credentials (http)");
    }
    let public = spec.issuer.issuer_url.as_deref();
    if public.into_iter().chain(discovery_url(spec)).any(is_plain) {
        found.push("the issuer and its discovery document (http)");
    }
    if allows(spec, InsecurePart::Endpoints) {
        found.push("endpoints of the discovery document (may be http)");
    }
    found
}
