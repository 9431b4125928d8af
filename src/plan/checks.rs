//! Small named checks, `input -> Option<finding>`: why a client is not accepted, and what to do about it.

use url::{Host, Url};

use super::{
    snapshot::{ClientBrief, PresentProvider},
    verdict::Finding,
};
use crate::{
    api::{
        Reason,
        client::{CaBundlePolicy, EnforcementPolicy},
        provider::{ClientGrants, NamespacesFrom},
    },
    domain::{Assessment, ClientType, DesiredClient, Enforcement, ProviderFacts, ResourceName},
    plan::snapshot::{ClientView, NamespaceView},
};

/// Does the provider serve this namespace? (`clients.allowedNamespaces`; only its own unless set.)
pub fn namespace_allowed(
    provider: &ResourceName,
    grants: Option<&ClientGrants>,
    client: &ResourceName,
    namespace: &NamespaceView,
) -> bool {
    let same = provider.namespace == client.namespace;
    match grants.and_then(|grants| grants.allowed_namespaces.as_ref()) {
        None => same,
        Some(allowed) => match allowed.from {
            NamespacesFrom::Same => same,
            NamespacesFrom::All => true,
            NamespacesFrom::Selector => allowed
                .selector
                .as_ref()
                .is_some_and(|selector| selects(selector, &namespace.labels)),
        },
    }
}

/// Does a label selector match? One that cannot be read matches nothing (deny by default).
fn selects(
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
    labels: &std::collections::BTreeMap<String, String>,
) -> bool {
    let equal = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    let expressions = selector.match_expressions.iter().flatten().all(|requirement| {
        let found = labels.get(&requirement.key);
        let values = requirement.values.as_deref().unwrap_or_default();
        let listed = || found.is_some_and(|value| values.contains(value));
        // As Kubernetes reads them: values are required by the first two, and forbidden by the others.
        match (requirement.operator.as_str(), values) {
            ("In", [_, ..]) => listed(),
            ("NotIn", [_, ..]) => !listed(),
            ("Exists", []) => found.is_some(),
            ("DoesNotExist", []) => found.is_none(),
            _ => false,
        }
    });
    equal && expressions
}

/// What of the provider stands in the client's way.
pub fn provider(client: &ClientView, namespace: &NamespaceView, provider: &PresentProvider) -> Option<Finding> {
    let name = client.provider();
    if !namespace_allowed(&name, provider.grants.as_ref(), &client.name, namespace) {
        return Some(Finding::no(
            Reason::NamespaceNotAllowed,
            format!(
                "OIDCProvider {name} does not serve namespace {}. Ask its owner to add the namespace to clients.allowedNamespaces; what was made stays as it is meanwhile",
                client.name.namespace
            ),
        ));
    }
    if provider.terminating {
        return Some(Finding::no(
            Reason::ProviderTerminating,
            format!("OIDCProvider {name} is being deleted; nothing is changed any more. Delete this OIDCClient too"),
        ));
    }
    provider.not_ready.map(|_| provider_not_ready(&name))
}

/// The provider cannot be used now. Tenants see no admin errors: the details stand in the provider's own conditions.
pub fn provider_not_ready(name: &ResourceName) -> Finding {
    Finding::no(
        Reason::ProviderNotReady,
        format!("OIDCProvider {name} is not ready; see its conditions. What was made stays as it is meanwhile"),
    )
}

/// Does another OIDCClient hold the client ID, although there is nothing at the provider now (it lost its storage)? Then it
/// is not up for grabs. Only one that carries our finalizer counts: one that was never accepted must not keep an ID from
/// others. `all` holds this client too.
pub fn rival(client: &ClientView, all: &[ClientBrief]) -> Option<Finding> {
    // Made before not made, then the older one, then by name: the same order whoever asks.
    let rank = |brief: &ClientBrief| (!brief.provisioned, brief.created, brief.name.clone());
    let mine = all
        .iter()
        .find(|brief| brief.uid == client.uid)
        .filter(|_| client.finalizer)
        .map(rank);
    let holder = all
        .iter()
        .filter(|brief| brief.uid != client.uid && brief.finalizer)
        .find(|brief| mine.as_ref().is_none_or(|mine| rank(brief) < *mine))?;
    // Names of other namespaces are nobody's business.
    let who = if holder.name.namespace == client.name.namespace {
        format!("OIDCClient {}", holder.name.name)
    } else {
        "An OIDCClient of another namespace".to_owned()
    };
    Some(Finding::no(
        Reason::ClientIDConflict,
        format!(
            "{who} has client ID {} at this provider already. Make a new OIDCClient with another clientID, or have that one deleted",
            holder.client_id
        ),
    ))
}

/// What a client lacks that somebody makes by hand at the provider: its ID, and its secret where it has one.
pub fn by_hand(client: &ClientView) -> Option<Finding> {
    let spec = &client.spec;
    let lacks = if spec.client_id.is_none() {
        "it needs spec.clientID, the ID that it has there. That is fixed from the start: make a new OIDCClient with it"
    } else if spec.type_ == ClientType::Confidential && spec.existing_secret_ref().is_none() {
        "it needs spec.credentials.existingSecretRef, a Secret with the secret that it has there; or it is of type Public"
    } else {
        return None;
    };
    Some(Finding::no(
        Reason::UnsupportedByProvider,
        format!("The clients of this provider are made by hand, so the operator cannot make this one: {lacks}"),
    ))
}

/// What of the spec the provider refuses.
pub fn acceptance(client: &ClientView, desired: &DesiredClient, assessment: &Assessment) -> Option<Finding> {
    unsupported(assessment)
        .or_else(|| addresses(desired))
        .or_else(|| strict(client, assessment))
}

fn unsupported(assessment: &Assessment) -> Option<Finding> {
    if assessment.unsupported.is_empty() {
        return None;
    }
    let fields: Vec<String> = assessment
        .unsupported
        .iter()
        .map(|field| format!("{}: {}", field.field, field.why))
        .collect();
    Some(Finding::no(
        Reason::UnsupportedByProvider,
        format!("This provider cannot serve {}", fields.join("; ")),
    ))
}

/// Addresses that widen power (RFC 9700, section 2.1; RFC 8252, section 7.3): wildcards, and plain http to a host other than
/// loopback. No provider grants them yet.
fn addresses(desired: &DesiredClient) -> Option<Finding> {
    let lists = [
        ("redirectURIs", &desired.redirect_uris, "codes would travel in clear"),
        (
            "postLogoutRedirectURIs",
            &desired.post_logout_redirect_uris,
            "users would be sent where anybody can answer",
        ),
        (
            "webOrigins",
            &desired.web_origins,
            "anybody on the way could act as that origin",
        ),
    ];
    lists.into_iter().find_map(|(field, addresses, danger)| {
        addresses.iter().find_map(|address| {
            let why = if address.contains('*') {
                "has a wildcard: anybody who controls a matching address would be let in. List each address".to_owned()
            } else if plain_http_elsewhere(address) {
                format!(
                    "is plain http to another host: {danger}. Use https (http is allowed for localhost, 127.0.0.1 and [::1])"
                )
            } else {
                return None;
            };
            Some(Finding::no(
                Reason::RedirectURINotAllowed,
                format!("spec.{field}: {address} {why}"),
            ))
        })
    })
}

fn plain_http_elsewhere(uri: &str) -> bool {
    let Ok(url) = Url::parse(uri) else { return true };
    url.scheme() == "http"
        && !match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
}

/// Is there the CA bundle that the spec asks for?
pub fn ca_bundle(client: &ClientView, facts: &ProviderFacts) -> Option<Finding> {
    const FIELD: &str = "spec.outputs.configMap.caBundle";
    if client.ca_bundle_policy() == CaBundlePolicy::IssuerOnly {
        return None;
    }
    facts.ca_bundle_with_system_roots.is_empty().then(|| {
        Finding::no(
            Reason::NoSystemRoots,
            format!(
                "{FIELD} is WithSystemRoots, and the operator's system has no CA certificates. Have its image get some (ca-certificates, or SSL_CERT_FILE), or use IssuerOnly"
            ),
        )
    })
}

fn strict(client: &ClientView, assessment: &Assessment) -> Option<Finding> {
    let open = not_enforced(assessment);
    (client.spec.enforcement == EnforcementPolicy::Strict && !open.is_empty()).then(|| {
        Finding::no(
            Reason::EnforcementMissing,
            format!(
                "enforcement is Strict, and this provider would allow more than the spec says in: {}. Use BestEffort, or another provider",
                open.join(", ")
            ),
        )
    })
}

/// Fields of which the provider would allow more than the spec says.
pub fn not_enforced(assessment: &Assessment) -> Vec<&str> {
    assessment
        .enforcement
        .iter()
        .filter(|(_, enforcement)| **enforcement == Enforcement::None)
        .map(|(field, _)| field.as_str())
        .collect()
}
