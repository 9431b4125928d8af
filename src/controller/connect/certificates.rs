//! The certificates that a provider depends on, as they are now.

use super::{AdminReferences, References, issuer_request};
use crate::{
    api::provider::OIDCProviderSpec,
    domain::{certificate::CertificateUse, pem::CaBundle},
    idp::certificate::{Address, shown},
    plan::certificates::FoundCertificate,
};

/// Looks at the CA bundles, and at what issuer and admin API show: a TLS handshake each, within 5 s. What both share is looked at
/// once, and told as the issuer's.
pub async fn certificates(spec: &OIDCProviderSpec, references: &References) -> Vec<FoundCertificate> {
    let (issuer, admin) = addresses(spec);
    let admin = admin.filter(|admin| issuer.as_ref() != Some(admin));
    let look = async |address: &Option<Address>| match address {
        Some(address) => shown(address).await,
        None => None,
    };
    let (issuer_shows, admin_shows) = tokio::join!(look(&issuer), look(&admin));
    let mut found = authorities(references);
    if issuer.is_some() {
        found.push((CertificateUse::Issuer, issuer_shows));
    }
    if admin.is_some() {
        found.push((CertificateUse::AdminAPI, admin_shows));
    }
    found
}

fn authorities(references: &References) -> Vec<FoundCertificate> {
    let first = |bundle: Option<&CaBundle>| bundle.and_then(CaBundle::first_to_expire);
    let (issuer, admin) = (references.issuer.as_ref(), references.admin.as_ref());
    let (issuer_ca, admin_ca) = (
        issuer.ok().and_then(|trust| trust.bundle.as_ref()),
        admin.ok().and_then(AdminReferences::certificate_authority),
    );
    let mut found = Vec::new();
    // A bundle that cannot be read now keeps what is known of it.
    if issuer_ca.is_some() || issuer.is_err() {
        found.push((CertificateUse::IssuerCertificateAuthority, first(issuer_ca)));
    }
    if (admin_ca.is_some() && admin_ca != issuer_ca) || admin.is_err() {
        found.push((CertificateUse::AdminCertificateAuthority, first(admin_ca)));
    }
    found
}

/// Where the issuer and the admin API speak TLS.
fn addresses(spec: &OIDCProviderSpec) -> (Option<Address>, Option<Address>) {
    let authentik = spec.authentik.as_ref();
    let request = issuer_request(spec);
    let given = spec.issuer.endpoints.as_ref();
    let issuer = given
        .map(|endpoints| endpoints.token.as_str())
        .or(request.discovery_url)
        .or(Some(request.issuer).filter(|issuer| !issuer.is_empty()))
        .or(authentik.map(|authentik| authentik.public_url.as_str()));
    let grpc = spec.dex.as_ref().and_then(|dex| dex.grpc.as_ref());
    let admin = match (grpc, &spec.keycloak, authentik) {
        (Some(grpc), ..) => grpc
            .certificate_authority
            .as_ref()
            .and_then(|_| Address::of_pair(&grpc.address)),
        (None, Some(keycloak), _) => Address::of_url(&keycloak.admin_url),
        (None, None, Some(authentik)) => Address::of_url(authentik.admin_url()),
        (None, None, None) => None,
    };
    (issuer.and_then(Address::of_url), admin)
}
