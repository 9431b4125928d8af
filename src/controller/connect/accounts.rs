//! What a provider's spec refers to, read: whom its addresses are trusted by, and who the operator is there.

use secrecy::SecretString;

use super::references::Reader;
use crate::{
    api::{
        Reason,
        common::{CA_BUNDLE_KEY, CertificateAuthorityKind, CertificateAuthorityReference},
        provider::{
            AuthentikSpec, DexGrpc, DynamicRegistrationSpec, KeycloakCredentialsType, KeycloakSpec, OIDCProviderSpec,
        },
    },
    controller::context::Context,
    domain::pem::CaBundle,
    idp::{ClientIdentity, keycloak::AdminCredentials},
    kubernetes::client::KubeError,
    plan::provider::BadReference,
};

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
    pub(super) system_roots: bool,
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
    /// Dex's configuration file; the driver reads all of it itself.
    DexConfig,
    /// Keycloak's admin REST API.
    Keycloak {
        /// CA of its certificate.
        ca: Option<CaBundle>,
        /// The operator's account.
        credentials: AdminCredentials,
    },
    /// Authentik's REST API.
    Authentik {
        /// CA of its certificate.
        ca: Option<CaBundle>,
        /// The operator's token.
        token: SecretString,
    },
    /// Dynamic registration.
    Registration {
        /// The initial access token.
        initial_token: Option<SecretString>,
    },
    /// There is none; or what the type needs is not in the spec: an object from before the CRD's rules.
    Nothing,
}

impl AdminReferences {
    /// The CA of the admin API's certificate, where one is given.
    pub(super) fn certificate_authority(&self) -> Option<&CaBundle> {
        match self {
            Self::Dex { ca, .. } | Self::Keycloak { ca, .. } | Self::Authentik { ca, .. } => ca.as_ref(),
            Self::Registration { .. } | Self::DexConfig | Self::Nothing => None,
        }
    }
}

/// Reads what the spec refers to.
///
/// # Errors
/// When Kubernetes cannot be asked: nothing is known then. What is missing or wrong is in the result.
pub async fn references(context: &Context, namespace: &str, spec: &OIDCProviderSpec) -> Result<References, KubeError> {
    let reader = Reader {
        kube: &context.kube,
        metrics: &context.metrics,
        namespace,
    };
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
    let grpc = spec.dex.as_ref().and_then(|dex| dex.grpc.as_ref());
    let config = spec.dex.as_ref().and_then(|dex| dex.config.as_ref());
    if let Some(config) = config {
        let admin = reader
            .dex_config_base(&config.base)
            .await?
            .map(|()| AdminReferences::DexConfig);
        // What the operator was given is the right to write, and that it cannot lose.
        let credentials_gone = false;
        return Ok(References {
            issuer,
            admin,
            credentials_gone,
        });
    }
    let (ca, credentials) = match (grpc, &spec.keycloak, &spec.authentik, &spec.dynamic_registration) {
        (Some(grpc), ..) => dex(reader, grpc).await?,
        (None, Some(keycloak), ..) => self::keycloak(reader, keycloak).await?,
        (None, None, Some(authentik), _) => self::authentik(reader, authentik).await?,
        (None, None, None, Some(registration)) => self::registration(reader, registration).await?,
        (None, None, None, None) => (Ok(None), Ok(Account::Nothing)),
    };
    let credentials_gone = matches!(&credentials, Err(problem) if problem.reason == Reason::SecretNotFound);
    let admin = match (ca, credentials) {
        // Without credentials nothing works, whatever the CA.
        (_, Err(problem)) | (Err(problem), Ok(_)) => Err(problem),
        (Ok(ca), Ok(Account::Dex(identity))) => Ok(AdminReferences::Dex { ca, identity }),
        (Ok(ca), Ok(Account::Keycloak(credentials))) => Ok(AdminReferences::Keycloak { ca, credentials }),
        (Ok(ca), Ok(Account::Authentik(token))) => Ok(AdminReferences::Authentik { ca, token }),
        (Ok(_), Ok(Account::Registration(initial_token))) => Ok(AdminReferences::Registration { initial_token }),
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
    Authentik(SecretString),
    Registration(Option<SecretString>),
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

async fn authentik(reader: Reader<'_>, spec: &AuthentikSpec) -> Result<Admin, KubeError> {
    let ca = reader
        .certificate_authority(
            "spec.authentik.certificateAuthority",
            spec.certificate_authority.as_ref(),
        )
        .await?;
    let token = reader
        .secret_text("spec.authentik.tokenSecretRef", &spec.token_secret_ref)
        .await?;
    Ok((ca, token.map(Account::Authentik)))
}

async fn registration(reader: Reader<'_>, spec: &DynamicRegistrationSpec) -> Result<Admin, KubeError> {
    let token = match &spec.initial_access_token_secret_ref {
        None => Ok(None),
        Some(reference) => reader
            .secret_text("spec.dynamicRegistration.initialAccessTokenSecretRef", reference)
            .await?
            .map(Some),
    };
    Ok((Ok(None), token.map(Account::Registration)))
}
