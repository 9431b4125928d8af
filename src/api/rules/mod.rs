//! CEL rules and list types of the CRDs, as one table: where a rule stands, what it says, what a person reads.
//!
//! `provider.rs` and `client.rs` hold the rules of the two kinds, in groups; `shapes.rs` holds those that stand in several
//! places.
//!
//! A rule stands here when what is wrong can be seen in the object alone; what depends on the provider (wildcards,
//! plain http to other hosts, supported grants) is a check in `plan`. Every row is tested both ways on a real API
//! server. Immutability stands on the parent struct, because a rule on an optional field does not run when the field
//! appears or disappears. A rule about one item of a list stands on the item (`[]`), so that the answer names it. Lengths
//! and counts are bounded wherever a rule walks, so that its cost is bounded too.
//!
//! Regular expressions are RE2's (`re2/wiki/Syntax`): no look-around, and `$` is the end of the text.

#[macro_use]
mod shapes;
mod client;
mod provider;

pub use client::CLIENT_RULES;
pub use provider::PROVIDER_RULES;

/// One CEL rule of a CRD.
#[derive(Clone, Copy, Debug)]
pub struct CelRule {
    /// The property it stands on, as a path from the root (`spec.issuer`; empty: the root; `[]`: a list's items).
    pub path: &'static str,
    /// The CEL expression.
    pub rule: &'static str,
    /// What a person reads when it fails.
    pub message: &'static str,
}

const fn rule(path: &'static str, rule: &'static str, message: &'static str) -> CelRule {
    CelRule { path, rule, message }
}

/// How a list is merged by server-side apply.
#[derive(Clone, Copy, Debug)]
pub enum ListType {
    /// Replaced as a whole: the order has a meaning.
    Atomic,
    /// A set of scalars.
    Set,
    /// Told apart by this key.
    Map(&'static str),
    /// Told apart by these keys together.
    MapOf(&'static [&'static str]),
}

/// List types of OIDCProvider.
pub const PROVIDER_LISTS: &[(&str, ListType)] = &[
    ("spec.insecureTransport.allowed", ListType::Set),
    ("status.conditions", ListType::Map("type")),
    ("status.issuer.keys", ListType::Atomic),
    ("status.certificates", ListType::Map("use")),
];

/// List types of OIDCClient.
pub const CLIENT_LISTS: &[(&str, ListType)] = &[
    ("spec.redirectURIs", ListType::Atomic),
    ("spec.postLogoutRedirectURIs", ListType::Set),
    ("spec.webOrigins", ListType::Set),
    ("spec.grantTypes", ListType::Set),
    ("spec.scopes", ListType::Set),
    ("spec.optionalScopes", ListType::Set),
    ("spec.claims", ListType::Map("name")),
    ("spec.claims.[].tokens", ListType::Set),
    ("spec.outputs.formats", ListType::Set),
    ("spec.outputs.secret.templates", ListType::Map("key")),
    ("spec.outputs.secret.generate", ListType::Map("key")),
    ("spec.outputs.configMap.templates", ListType::Map("key")),
    ("spec.rolloutRestart", ListType::MapOf(&["kind", "name"])),
    ("status.conditions", ListType::Map("type")),
    ("status.registration.possibleOrphans", ListType::Set),
    ("status.resolved.grantTypes", ListType::Set),
    ("status.resolved.scopes", ListType::Set),
];

/// Limits that a type of somebody else does not bring: where, which keyword, how much.
pub const PROVIDER_LIMITS: &[(&str, &str, u32)] = &[
    (
        "spec.clients.allowedNamespaces.selector.matchLabels",
        "maxProperties",
        32,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchLabels.{}",
        "maxLength",
        63,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions",
        "maxItems",
        32,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].key",
        "maxLength",
        317,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].operator",
        "maxLength",
        12,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].values",
        "maxItems",
        128,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].values.[]",
        "maxLength",
        63,
    ),
];
