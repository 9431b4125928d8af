//! From a provider's spec and the objects it refers to, to a driver. References are read live, and only with their label.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt as _};
use secrecy::SecretString;

use super::{
    context::Context,
    metered::{Limits, Metered},
};
use crate::{
    api::{
        Reason,
        common::{CA_BUNDLE_KEY, CertificateAuthorityKind, CertificateAuthorityReference, SecretReference},
        provider::{DexGrpc, InsecurePart, OIDCProviderSpec, ProviderType},
    },
    domain::{
        IdpError, digest, duration,
        pem::CaBundle,
        vocabulary::{CREDENTIAL_PROVIDER, LABEL_CREDENTIAL},
    },
    idp::{
        ClientIdentity, Driver, Transport,
        dex::{AdminTls, DexDriver},
        http::HttpClient,
    },
    kubernetes::client::{KubeError, within},
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
/// Keys of a Secret of type kubernetes.io/tls.
const TLS_CERTIFICATE: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";

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
    /// CA of the issuer.
    pub issuer_ca: Result<Option<CaBundle>, BadReference>,
    /// CA and identity for the admin API; and whether the Secret with the credentials is missing.
    pub admin: Result<AdminReferences, BadReference>,
    /// Is the Secret with the admin credentials missing?
    pub credentials_gone: bool,
}

/// For the admin API.
pub struct AdminReferences {
    ca: Option<CaBundle>,
    identity: Option<ClientIdentity>,
}

/// Reads what the spec refers to.
///
/// # Errors
/// When Kubernetes cannot be asked: nothing is known then. What is missing or wrong is in the result.
pub async fn references(context: &Context, namespace: &str, spec: &OIDCProviderSpec) -> Result<References, KubeError> {
    let issuer_ca = match &spec.issuer.issuer_certificate_authority {
        None => Ok(None),
        Some(reference) => {
            let reference = CertificateAuthorityReference {
                kind: CertificateAuthorityKind::ConfigMap,
                name: reference.name.clone(),
                key: CA_BUNDLE_KEY.to_owned(),
            };
            certificate_authority(context, namespace, "spec.issuer.issuerCertificateAuthority", &reference)
                .await?
                .map(Some)
        }
    };
    let (admin, credentials_gone) = match spec.dex.as_ref().and_then(|dex| dex.grpc.as_ref()) {
        None => (
            Ok(AdminReferences {
                ca: None,
                identity: None,
            }),
            false,
        ),
        Some(grpc) => admin(context, namespace, grpc).await?,
    };
    Ok(References {
        issuer_ca,
        admin,
        credentials_gone,
    })
}

async fn admin(
    context: &Context,
    namespace: &str,
    grpc: &DexGrpc,
) -> Result<(Result<AdminReferences, BadReference>, bool), KubeError> {
    let ca = match &grpc.certificate_authority {
        None => Ok(None),
        Some(reference) => certificate_authority(context, namespace, "spec.dex.grpc.certificateAuthority", reference)
            .await?
            .map(Some),
    };
    let identity = match &grpc.client_certificate_secret_ref {
        None => Ok(None),
        Some(reference) => client_certificate(context, namespace, reference).await?.map(Some),
    };
    let gone = matches!(&identity, Err(problem) if problem.reason == Reason::SecretNotFound);
    let admin = match (ca, identity) {
        (Ok(ca), Ok(identity)) => Ok(AdminReferences { ca, identity }),
        (_, Err(problem)) | (Err(problem), Ok(_)) => Err(problem),
    };
    Ok((admin, gone))
}

async fn certificate_authority(
    context: &Context,
    namespace: &str,
    field: &str,
    reference: &CertificateAuthorityReference,
) -> Result<Result<CaBundle, BadReference>, KubeError> {
    let CertificateAuthorityReference { kind, name, key } = reference;
    let text = match kind {
        CertificateAuthorityKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(context.kube.clone(), namespace);
            let Some(map) = within(&context.metrics, "get configmaps", api.get_opt(name)).await? else {
                return Ok(Err(missing(
                    Reason::ConfigMapNotFound,
                    "ConfigMap",
                    namespace,
                    name,
                    field,
                )));
            };
            map.data.and_then(|mut data| data.remove(key))
        }
        CertificateAuthorityKind::Secret => match labelled_secret(context, namespace, field, name).await? {
            Err(problem) => return Ok(Err(problem)),
            Ok(secret) => text_of(&secret, key),
        },
    };
    let Some(text) = text else {
        return Ok(Err(key_missing(&format!("{kind:?}"), namespace, name, key, field)));
    };
    Ok(CaBundle::parse(&text).map_err(|error| BadReference {
        reason: Reason::InvalidCertificate,
        message: format!("{field}: key {key} of {kind:?} {namespace}/{name} {error}"),
    }))
}

async fn client_certificate(
    context: &Context,
    namespace: &str,
    reference: &SecretReference,
) -> Result<Result<ClientIdentity, BadReference>, KubeError> {
    const FIELD: &str = "spec.dex.grpc.clientCertificateSecretRef";
    let name = &reference.name;
    let secret = match labelled_secret(context, namespace, FIELD, name).await? {
        Ok(secret) => secret,
        Err(problem) => return Ok(Err(problem)),
    };
    Ok(match (text_of(&secret, TLS_CERTIFICATE), text_of(&secret, TLS_KEY)) {
        (None, _) => Err(key_missing("Secret", namespace, name, TLS_CERTIFICATE, FIELD)),
        (_, None) => Err(key_missing("Secret", namespace, name, TLS_KEY, FIELD)),
        (Some(certificate), Some(key)) => Ok(ClientIdentity {
            certificate,
            key: SecretString::from(key),
        }),
    })
}

/// A Secret is read only where its owner labelled it for this purpose: who may write an OIDCProvider shall not read
/// every Secret of the namespace through the operator.
async fn labelled_secret(
    context: &Context,
    namespace: &str,
    field: &str,
    name: &str,
) -> Result<Result<Secret, BadReference>, KubeError> {
    let api: Api<Secret> = Api::namespaced(context.kube.clone(), namespace);
    let Some(secret) = within(&context.metrics, "get secrets", api.get_opt(name)).await? else {
        return Ok(Err(missing(Reason::SecretNotFound, "Secret", namespace, name, field)));
    };
    if secret.labels().get(LABEL_CREDENTIAL).map(String::as_str) != Some(CREDENTIAL_PROVIDER) {
        return Ok(Err(BadReference {
            reason: Reason::SecretNotLabelled,
            message: format!(
                "{field}: Secret {namespace}/{name} is not used, because it lacks the label {LABEL_CREDENTIAL}: {CREDENTIAL_PROVIDER}. Its owner must add it"
            ),
        }));
    }
    Ok(Ok(secret))
}

fn text_of(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

fn missing(reason: Reason, kind: &str, namespace: &str, name: &str, field: &str) -> BadReference {
    BadReference {
        reason,
        message: format!("{field}: there is no {kind} {namespace}/{name}. Create it"),
    }
}

fn key_missing(kind: &str, namespace: &str, name: &str, key: &str, field: &str) -> BadReference {
    BadReference {
        reason: Reason::KeyNotFound,
        message: format!("{field}: {kind} {namespace}/{name} has no text under key {key}"),
    }
}

/// What a driver is built from: a change of any of it asks for a new one. Holds digests only.
pub fn fingerprint(spec: &OIDCProviderSpec, references: &References) -> String {
    let mut parts = vec![format!(
        "{:?} {:?} {:?}",
        spec.dex,
        limits(spec),
        spec.insecure_transport
    )];
    if let Ok(ca) = &references.issuer_ca {
        parts.push(ca.as_ref().map(CaBundle::to_pem).unwrap_or_default());
    }
    if let Ok(admin) = &references.admin {
        parts.push(admin.ca.as_ref().map(CaBundle::to_pem).unwrap_or_default());
        if let Some(identity) = &admin.identity {
            use secrecy::ExposeSecret as _;
            parts.push(digest::sha256_hex(identity.certificate.as_bytes()));
            parts.push(digest::sha256_hex(identity.key.expose_secret().as_bytes()));
        }
    }
    digest::sha256_hex(parts.join("\u{0}").as_bytes())
}

/// The HTTP client for the issuer: with its CA, and nothing but it.
///
/// # Errors
/// When the CA cannot be used.
pub fn issuer_http(spec: &OIDCProviderSpec, ca: Option<&CaBundle>) -> Result<HttpClient, IdpError> {
    HttpClient::new(&Transport {
        timeout: limits(spec).timeout,
        certificate_authority: ca.map(CaBundle::to_pem),
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
    if spec.type_ != ProviderType::Dex {
        return Err(AdminProblem::Reference(BadReference {
            reason: Reason::InvalidObject,
            message: format!(
                "spec.type: this version of the operator has no driver for {}",
                spec.type_.as_str()
            ),
        }));
    }
    let Some(grpc) = spec.dex.as_ref().and_then(|dex| dex.grpc.as_ref()) else {
        // The CRD's rules exclude it; an object from before them is not a reason to fail.
        return Err(AdminProblem::Reference(BadReference {
            reason: Reason::InvalidObject,
            message: "spec.dex.grpc is required with type Dex".to_owned(),
        }));
    };
    let transport = Transport {
        timeout: limits.timeout,
        certificate_authority: admin.ca.as_ref().map(CaBundle::to_pem),
        identity: admin.identity.clone(),
    };
    let dex = DexDriver::new(&grpc.address, admin_tls(grpc), &transport, issuer).map_err(AdminProblem::Call)?;
    Ok(Metered::new(
        Box::new(dex),
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
    if spec
        .issuer
        .issuer_url
        .as_deref()
        .is_some_and(|url| url.starts_with("http://"))
    {
        found.push("the issuer and its discovery document (http)");
    }
    if allows(spec, InsecurePart::Endpoints) {
        found.push("endpoints of the discovery document (may be http)");
    }
    found
}
