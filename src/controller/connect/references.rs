//! Objects that a provider's spec refers to, read live, and Secrets only with their label.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, ResourceExt as _};
use secrecy::SecretString;

use crate::{
    api::{
        Reason,
        common::{CertificateAuthorityKind, CertificateAuthorityReference, SecretKeyReference, SecretReference},
        dex_config::{DexConfigBase, DexConfigKind},
    },
    domain::{
        pem::CaBundle,
        vocabulary::{
            CERTIFICATE_AUTHORITY, CREDENTIAL_DEX_CONFIG, CREDENTIAL_PROVIDER, LABEL_CERTIFICATE_AUTHORITY,
            LABEL_CREDENTIAL,
        },
    },
    idp::ClientIdentity,
    kubernetes::client::{KubeError, within},
    plan::provider::BadReference,
    telemetry::metrics::Metrics,
};

/// Keys of a Secret of type kubernetes.io/tls.
const TLS_CERTIFICATE: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";

/// The labels of which a Secret needs one, with its value: what it is read for.
type Purposes = &'static [(&'static str, &'static str)];

const FOR_CREDENTIALS: Purposes = &[(LABEL_CREDENTIAL, CREDENTIAL_PROVIDER)];
/// A CA is no credential: its own label does, and lets nobody send it anywhere.
const FOR_AUTHORITIES: Purposes = &[
    (LABEL_CREDENTIAL, CREDENTIAL_PROVIDER),
    (LABEL_CERTIFICATE_AUTHORITY, CERTIFICATE_AUTHORITY),
];

const FOR_DEX_CONFIG: Purposes = &[(LABEL_CREDENTIAL, CREDENTIAL_DEX_CONFIG)];

/// What was found, or what is wrong with the reference. The outer error: Kubernetes could not be asked.
type Read<T> = Result<Result<T, BadReference>, KubeError>;

/// Where references are read: what a reading needs besides the reference itself.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) kube: &'a Client,
    pub(super) metrics: &'a Metrics,
    pub(super) namespace: &'a str,
}

impl Reader<'_> {
    /// A CA bundle; `None` where none is referred to.
    pub(super) async fn certificate_authority(
        self,
        field: &str,
        reference: Option<&CertificateAuthorityReference>,
    ) -> Read<Option<CaBundle>> {
        let Some(CertificateAuthorityReference { kind, name, key }) = reference else {
            return Ok(Ok(None));
        };
        let text = match kind {
            CertificateAuthorityKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.kube.clone(), self.namespace);
                let found = within(self.metrics, "get configmaps", api.get_opt(name)).await?;
                let Some(map) = found else {
                    return Ok(Err(self.missing(Reason::ConfigMapNotFound, "ConfigMap", name, field)));
                };
                map.data.and_then(|mut data| data.remove(key))
            }
            CertificateAuthorityKind::Secret => match self.labelled_secret(field, name, FOR_AUTHORITIES).await? {
                Err(problem) => return Ok(Err(problem)),
                Ok(secret) => text_of(&secret, key),
            },
        };
        let Some(text) = text else {
            return Ok(Err(self.key_missing(&format!("{kind:?}"), name, key, field)));
        };
        Ok(CaBundle::parse(&text).map(Some).map_err(|error| BadReference {
            reason: Reason::InvalidCertificate,
            message: format!("{field}: key {key} of {kind:?} {}/{name} {error}", self.namespace),
        }))
    }

    /// A certificate and its key, from a Secret of type kubernetes.io/tls.
    pub(super) async fn client_certificate(self, field: &str, reference: &SecretReference) -> Read<ClientIdentity> {
        let name = &reference.name;
        let secret = match self.labelled_secret(field, name, FOR_CREDENTIALS).await? {
            Ok(secret) => secret,
            Err(problem) => return Ok(Err(problem)),
        };
        Ok(match (text_of(&secret, TLS_CERTIFICATE), text_of(&secret, TLS_KEY)) {
            (None, _) => Err(self.key_missing("Secret", name, TLS_CERTIFICATE, field)),
            (_, None) => Err(self.key_missing("Secret", name, TLS_KEY, field)),
            (Some(certificate), Some(key)) => Ok(ClientIdentity {
                certificate,
                key: SecretString::from(key),
            }),
        })
    }

    /// One value of a Secret. A line break at its end, which editors and `echo` leave there, does not belong to it.
    pub(super) async fn secret_text(self, field: &str, reference: &SecretKeyReference) -> Read<SecretString> {
        let SecretKeyReference { name, key } = reference;
        let secret = match self.labelled_secret(field, name, FOR_CREDENTIALS).await? {
            Ok(secret) => secret,
            Err(problem) => return Ok(Err(problem)),
        };
        let text = text_of(&secret, key).map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
        Ok(match text.filter(|text| !text.is_empty()) {
            Some(text) => Ok(SecretString::from(text)),
            None => Err(self.key_missing("Secret", name, key, field)),
        })
    }

    /// Can the platform's part of Dex's configuration be read?
    pub(super) async fn dex_config_base(self, reference: &DexConfigBase) -> Read<()> {
        Ok(self.dex_config_text(reference).await?.map(drop))
    }

    /// The platform's part of Dex's configuration.
    pub(super) async fn dex_config_text(self, reference: &DexConfigBase) -> Read<String> {
        const FIELD: &str = "spec.dex.config.base";
        let DexConfigBase { kind, name, key } = reference;
        let text = match kind {
            DexConfigKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.kube.clone(), self.namespace);
                let found = within(self.metrics, "get configmaps", api.get_opt(name)).await?;
                let Some(map) = found else {
                    return Ok(Err(self.missing(Reason::ConfigMapNotFound, "ConfigMap", name, FIELD)));
                };
                map.data.and_then(|mut data| data.remove(key))
            }
            DexConfigKind::Secret => match self.labelled_secret(FIELD, name, FOR_DEX_CONFIG).await? {
                Err(problem) => return Ok(Err(problem)),
                Ok(secret) => text_of(&secret, key),
            },
        };
        Ok(text.ok_or_else(|| self.key_missing(kind.as_str(), name, key, FIELD)))
    }

    /// A Secret is read only where its owner labelled it for this purpose: who may write an OIDCProvider shall not read
    /// every Secret of the namespace through the operator.
    async fn labelled_secret(self, field: &str, name: &str, purposes: Purposes) -> Read<Secret> {
        let api: Api<Secret> = Api::namespaced(self.kube.clone(), self.namespace);
        let Some(secret) = within(self.metrics, "get secrets", api.get_opt(name)).await? else {
            return Ok(Err(self.missing(Reason::SecretNotFound, "Secret", name, field)));
        };
        let carries = |(label, value): &(&str, &str)| secret.labels().get(*label).map(String::as_str) == Some(*value);
        if !purposes.iter().any(carries) {
            let needed: Vec<_> = purposes
                .iter()
                .map(|(label, value)| format!("{label}: {value}"))
                .collect();
            let needed = needed.join(" or ");
            return Ok(Err(BadReference {
                reason: Reason::SecretNotLabelled,
                message: format!(
                    "{field}: Secret {}/{name} is not used, because it lacks the label {needed}. Its owner must add it",
                    self.namespace
                ),
            }));
        }
        Ok(Ok(secret))
    }

    fn missing(self, reason: Reason, kind: &str, name: &str, field: &str) -> BadReference {
        BadReference {
            reason,
            message: format!("{field}: there is no {kind} {}/{name}. Create it", self.namespace),
        }
    }

    fn key_missing(self, kind: &str, name: &str, key: &str, field: &str) -> BadReference {
        BadReference {
            reason: Reason::KeyNotFound,
            message: format!("{field}: {kind} {}/{name} has no text under key {key}", self.namespace),
        }
    }
}

pub(super) fn text_of(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}
