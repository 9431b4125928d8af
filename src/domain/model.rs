//! The contract between `plan` and a driver's pure half: what an identity provider can do, and what must change.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    client::{DesiredClient, ObservedClient},
    facts::ProviderFacts,
    secret::ClientSecret,
};

/// Who sees to it that a field of the spec holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Enforcement {
    /// The identity provider, for this client.
    Client,
    /// The identity provider, for all of its clients.
    Provider,
    /// Nobody: it would allow more than the spec says.
    None,
}

/// Whether an identity provider can do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Support {
    /// For each client.
    PerClient,
    /// Set once, for all clients.
    ProviderWide,
    /// Not at all.
    Unsupported,
}

/// How a new client secret takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RotationCapability {
    /// Old and new are both valid for a while.
    Overlap,
    /// The new one replaces the old one in one write.
    Atomic,
    /// The client is deleted and created again.
    Recreate,
}

/// What a provider can do, for status and documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// How a new client secret takes effect.
    pub rotation: RotationCapability,
    /// Can all clients be read in one request (or a few pages)?
    pub bulk_list: bool,
    /// Support by field of OIDCClient's spec.
    pub fields: BTreeMap<String, Support>,
}

/// A field that cannot work at this provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The field, as a path into the object (`spec.grantTypes`).
    pub field: String,
    /// Why, for people.
    pub why: String,
}

/// What a provider makes of a spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// What cannot work: the client is refused.
    pub unsupported: Vec<Unsupported>,
    /// Who enforces what (`field` without the `spec.` prefix).
    pub enforcement: BTreeMap<String, Enforcement>,
}

/// One managed field that differs. Values of secrets are never in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// The field of the spec (`redirectURIs`, `secret`, `mark`).
    pub field: &'static str,
    /// As it is, for people.
    pub from: String,
    /// As it shall be, for people.
    pub to: String,
}

/// What separates a client from its spec.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteDiff {
    /// The fields that differ; empty: nothing to do.
    pub changes: Vec<FieldChange>,
    /// Is deleting and creating again the only way to get there?
    pub recreate: bool,
}

/// What a try of the client's credentials at the token endpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// They are good.
    Proven,
    /// They are refused: `invalid_client` or the like.
    Disproven,
    /// Nothing: unreachable, or an answer that says neither.
    Unknown(String),
}

/// The pure half of a driver. No IO, no clock, no randomness: `plan` calls it.
pub trait Model: Send + Sync {
    /// What this provider can do.
    fn capabilities(&self) -> Capabilities;

    /// What cannot work there, and who enforces what can.
    fn assess(&self, desired: &DesiredClient, facts: &ProviderFacts) -> Assessment;

    /// What separates `observed` from `desired`. `secret` is the one that shall be valid (none for public clients);
    /// an observation that does not show the secret says nothing of it.
    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff;

    /// How the client looks right after it was created from `desired`, so that what was just written need not be read.
    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient;
}
