//! What was found of a provider becomes its status.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    certificates::{self, FoundCertificate},
    conditions,
    verdict::{Finding, Requeue},
};
use crate::{
    api::{
        OIDCProviderStatus, Reason,
        crd::PROVIDER_CONDITIONS,
        provider::{ClientCounts, DexType, IssuerStatus, KeyStatus, OIDCProviderSpec, ProviderType, ServerStatus},
    },
    domain::{ErrorClass, IdpError, IdpErrorKind, IssuerError, ProviderFacts, model::Capabilities},
};

/// A reference of the spec that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadReference {
    /// Names the condition's reason.
    pub reason: Reason,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What was found of a provider.
#[derive(Clone, Debug)]
pub struct Findings {
    /// The issuer: its facts, or what is wrong with a reference or with itself.
    pub issuer: Result<Arc<ProviderFacts>, IssuerProblem>,
    /// The admin API: who answers, or what is wrong.
    pub admin: Result<Server, AdminProblem>,
    /// The certificates that it depends on.
    pub certificates: Vec<FoundCertificate>,
    /// Does it refer to anything insecure?
    pub insecure: Vec<&'static str>,
    /// What it can do.
    pub capabilities: Option<Capabilities>,
    /// OIDCClients that refer to it.
    pub clients: i32,
    /// Clients that still have something there, while it is being deleted.
    pub waiting_for: Vec<String>,
    /// Value of the reconcile annotation.
    pub request: Option<String>,
}

/// The server behind the admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The product.
    pub product: &'static str,
    /// Its version, where it tells it.
    pub version: Option<String>,
    /// Its API's version.
    pub api_version: Option<i32>,
}

/// Why the issuer cannot be used.
#[derive(Clone, Debug)]
pub enum IssuerProblem {
    /// A reference.
    Reference(BadReference),
    /// The issuer itself.
    Issuer(IssuerError),
}

/// Why the admin API cannot be used.
#[derive(Clone, Debug)]
pub enum AdminProblem {
    /// A reference.
    Reference(BadReference),
    /// The call.
    Call(IdpError),
}

impl Findings {
    /// Is the provider ready for its clients?
    pub fn ready(&self) -> bool {
        self.issuer.is_ok() && self.admin.is_ok()
    }

    /// When to look again.
    pub fn requeue(&self, resync: std::time::Duration) -> Requeue {
        let issuer = match &self.issuer {
            Ok(_) => None,
            Err(IssuerProblem::Reference(_)) => Some(Requeue::Backoff(ErrorClass::User)),
            Err(IssuerProblem::Issuer(error)) if error.is_transient() => Some(Requeue::Backoff(ErrorClass::Transient)),
            Err(IssuerProblem::Issuer(_)) => Some(Requeue::Backoff(ErrorClass::Auth)),
        };
        let admin = match &self.admin {
            Ok(_) => None,
            Err(AdminProblem::Reference(_)) => Some(Requeue::Backoff(ErrorClass::User)),
            Err(AdminProblem::Call(error)) => Some(Requeue::after(error)),
        };
        // The sooner of both.
        [issuer, admin]
            .into_iter()
            .flatten()
            .min_by_key(|requeue| match requeue {
                Requeue::Backoff(class) | Requeue::NotBefore(_, class) => match class {
                    ErrorClass::Transient => 0,
                    ErrorClass::Throttled => 1,
                    ErrorClass::Auth => 2,
                    ErrorClass::Bug => 3,
                    ErrorClass::User => 4,
                },
                Requeue::Resync(_) | Requeue::ResyncOrAt(..) | Requeue::NotAfter(_) | Requeue::Never => 5,
            })
            .unwrap_or(Requeue::Resync(resync))
    }
}

/// The reason of a failed call.
pub fn reason_of(kind: IdpErrorKind) -> Reason {
    match kind {
        IdpErrorKind::Unreachable => Reason::Unreachable,
        IdpErrorKind::Timeout => Reason::Timeout,
        IdpErrorKind::Tls => Reason::TLSFailed,
        IdpErrorKind::Unauthorized => Reason::Unauthorized,
        IdpErrorKind::Forbidden => Reason::Forbidden,
        IdpErrorKind::RealmNotFound => Reason::RealmNotFound,
        IdpErrorKind::Throttled => Reason::Throttled,
        IdpErrorKind::Protocol => Reason::UnexpectedAnswer,
        IdpErrorKind::Server => Reason::ServerError,
        IdpErrorKind::Unsupported => Reason::Unsupported,
        IdpErrorKind::Configuration => Reason::InvalidConfiguration,
        IdpErrorKind::RollingOut => Reason::RollingOut,
        IdpErrorKind::Taken | IdpErrorKind::Refused => Reason::RefusedByProvider,
    }
}

/// The status of an OIDCProvider.
pub fn status(
    spec: &OIDCProviderSpec,
    old: &OIDCProviderStatus,
    generation: i64,
    findings: &Findings,
    now: Timestamp,
) -> OIDCProviderStatus {
    let mut status = old.clone();
    status.observed_generation = generation;
    status.clients = Some(ClientCounts {
        total: findings.clients,
    });
    status.last_reconcile_request.clone_from(&findings.request);
    if let Some(capabilities) = &findings.capabilities {
        status.capabilities = Some(capabilities.clone());
    }
    let conditions = &mut status.conditions;
    let discovery = match &findings.issuer {
        Ok(facts) if facts.discovery.issuer.is_empty() => {
            status.issuer = None;
            Finding::yes(
                Reason::PerClient,
                "Each client has a discovery document of its own: it is checked with the proof of the client's credentials, and status.issuer of the OIDCClient names the issuer",
            )
        }
        Ok(facts) if facts.discovery.url.is_empty() => {
            status.issuer = Some(issuer_status(facts));
            Finding::yes(
                Reason::EndpointsGiven,
                "No discovery document is read: the endpoints are those of spec.issuer.endpoints, and neither they nor the keys are checked",
            )
        }
        Ok(facts) => {
            status.issuer = Some(issuer_status(facts));
            Finding::yes(
                Reason::DiscoveryValid,
                format!(
                    "The discovery document names issuer {} and has {} usable keys",
                    facts.internal_issuer(),
                    facts.keys.len()
                ),
            )
        }
        Err(IssuerProblem::Reference(problem)) => Finding::no(problem.reason, problem.message.clone()),
        Err(IssuerProblem::Issuer(error)) => Finding::no(Reason::parse(error.reason()), error.to_string()),
    };
    conditions::set(conditions, "DiscoveryValid", &discovery, generation, now);
    let admin = match &findings.admin {
        Ok(_) if spec.type_ == ProviderType::Static => {
            status.server = None;
            Finding::yes(
                Reason::NoAdminAPI,
                "There is no admin API: clients are made by hand at the provider, and nothing is changed there",
            )
        }
        Ok(server) => {
            status.server = Some(ServerStatus {
                product: server.product.to_owned(),
                version: server.version.clone(),
                api_version: server.api_version,
            });
            let in_kubernetes = spec.dex.as_ref().map(|dex| dex.type_) == Some(DexType::KubernetesStorage);
            Finding::yes(
                Reason::AdminAPIReady,
                match &server.version {
                    _ if in_kubernetes => "The OAuth2Clients in this namespace are being followed".to_owned(),
                    Some(version) => format!("{} {version} answers", server.product),
                    None => format!("{} answers", server.product),
                },
            )
        }
        Err(AdminProblem::Reference(problem)) => Finding::no(problem.reason, problem.message.clone()),
        Err(AdminProblem::Call(error)) => Finding::no(reason_of(error.kind), error.to_string()),
    };
    conditions::set(conditions, "AdminAPIReady", &admin, generation, now);
    let transport = if findings.insecure.is_empty() {
        Finding::yes(Reason::TransportSecure, "All transport is protected by TLS")
    } else {
        Finding::no(
            Reason::InsecureTransport,
            format!(
                "Not protected, as spec.insecureTransport allows: {}. Anybody on the network can read or change what is sent there; use it for development only",
                findings.insecure.join(", ")
            ),
        )
    };
    conditions::set(conditions, "TransportSecure", &transport, generation, now);
    status.certificates = certificates::status(&old.certificates, &findings.certificates);
    let certificates = certificates::finding(&status.certificates, findings.ready(), now);
    conditions::set(conditions, "CertificatesValid", &certificates, generation, now);
    let summary = if findings.waiting_for.is_empty() {
        conditions::ready(
            conditions,
            &["AdminAPIReady", "DiscoveryValid"],
            &[],
            &format!("{} is ready for clients", spec.type_.as_str()),
        )
    } else {
        clients_remain(&findings.waiting_for)
    };
    conditions::set(conditions, "Ready", &summary, generation, now);
    let retrying = (!findings.ready()).then(|| (summary.reason, summary.message.clone()));
    conditions::set_while(conditions, "Reconciling", retrying.as_ref(), generation, now);
    // Set where the object could not be read.
    conditions::set_while(conditions, "Stalled", None, generation, now);
    conditions::complete(conditions, PROVIDER_CONDITIONS);
    status
}

/// A provider that is being deleted names the clients that it waits for.
fn clients_remain(clients: &[String]) -> Finding {
    const SHOWN: usize = 5;
    let more = clients.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Finding::no(
        Reason::ClientsRemain,
        format!(
            "Being deleted; waiting for OIDCClients that have something at the provider: {}{more}. Delete them, or set the annotation oidc-operator.io/orphan here to leave their clients behind",
            clients.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ")
        ),
    )
}

fn issuer_status(facts: &ProviderFacts) -> IssuerStatus {
    let endpoints = &facts.discovery.endpoints;
    IssuerStatus {
        url: facts.public_issuer().to_owned(),
        internal_url: facts.internal_issuer.clone(),
        authorization_endpoint: endpoints.authorization.clone(),
        token_endpoint: endpoints.token.clone(),
        userinfo_endpoint: endpoints.userinfo.clone(),
        jwks_uri: endpoints.jwks.clone(),
        end_session_endpoint: endpoints.end_session.clone(),
        keys: facts
            .keys
            .iter()
            .map(|key| KeyStatus {
                key_id: key.key_id.clone(),
                key_type: key.key_type.clone(),
                algorithm: key.algorithm.clone(),
            })
            .collect(),
        certificate_authority_expires: facts.ca_expiry.map(conditions::timestamp),
    }
}
