//! The contract between `plan` and a driver's pure half: what an identity provider can do, and what must change.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    client::{DesiredClient, ObservedClient, ObservedSecret},
    error::bounded,
    facts::ProviderFacts,
    key::PublicKey,
    mark::Mark,
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
    /// Not by the operator: whoever made the client by hand sets its secret there.
    Manual,
}

/// How the operator finds what somebody changed at the provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftDetection {
    /// Everything is looked at each `resyncInterval`.
    #[default]
    Resync,
    /// It is told of each change at once.
    Watch,
    /// Not at all.
    None,
}

/// What a provider can do, for status and documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// How a new client secret takes effect.
    pub rotation: RotationCapability,
    /// Can all clients be read in one request (or a few pages)?
    pub bulk_list: bool,
    /// How changes made there are found.
    #[serde(default)]
    pub drift: DriftDetection,
    /// Support by field of OIDCClient's spec.
    pub fields: BTreeMap<String, Support>,
}

impl Capabilities {
    /// From the names of fields as they stand in the spec.
    pub fn new(
        rotation: RotationCapability,
        bulk_list: bool,
        fields: impl IntoIterator<Item = (&'static str, Support)>,
    ) -> Self {
        let fields = fields.into_iter();
        Self {
            rotation,
            bulk_list,
            drift: DriftDetection::default(),
            fields: fields.map(|(field, support)| (field.to_owned(), support)).collect(),
        }
    }

    /// With changes found in this way.
    #[must_use]
    pub fn with_drift(self, drift: DriftDetection) -> Self {
        Self { drift, ..self }
    }
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
    /// The field of the spec (`redirectURIs`, `claims.groups`), or `secret`, `mark`, `clientID`.
    pub field: String,
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

/// [`FieldChange::field`] of the client secret.
pub const SECRET: &str = "secret";
/// [`FieldChange::field`] of the ownership mark.
pub const MARK: &str = "mark";
/// [`FieldChange::field`] of a client that was renamed.
pub const CLIENT_ID: &str = "clientID";

impl RemoteDiff {
    /// Compares how a client looks with how it should; `recreate` names the changes that cannot be made in place. A secret
    /// that one of both does not show says nothing.
    pub fn between(
        observed: &ObservedClient,
        wanted: &ObservedClient,
        recreate: impl Fn(&FieldChange) -> bool,
    ) -> Self {
        let mut changes = Vec::new();
        let mut note = |field: &str, from: &str, to: &str| {
            if from != to {
                changes.push(FieldChange {
                    field: field.to_owned(),
                    from: bounded(from),
                    to: bounded(to),
                });
            }
        };
        note(CLIENT_ID, &observed.client_id, &wanted.client_id);
        note(MARK, &observed.marks.join(" "), &wanted.marks.join(" "));
        let names: BTreeSet<&String> = observed.fields.keys().chain(wanted.fields.keys()).collect();
        for name in names {
            let value = |client: &'_ ObservedClient| client.fields.get(name).cloned().unwrap_or_default();
            note(name, &value(observed), &value(wanted));
        }
        match (&observed.secret, &wanted.secret) {
            (ObservedSecret::NotShown, _) | (_, ObservedSecret::NotShown) => {}
            (found, wanted) if found == wanted => {}
            (ObservedSecret::Absent, _) => note(SECRET, "none", "ours"),
            (_, ObservedSecret::Absent) => note(SECRET, "one", "none"),
            _ => note(SECRET, "another", "ours"),
        }
        let recreate = changes.iter().any(recreate);
        Self { changes, recreate }
    }

    /// Is this field among those that differ?
    pub fn changes(&self, field: &str) -> bool {
        self.changes.iter().any(|change| change.field == field)
    }
}

impl ObservedClient {
    /// As it looks once the `changed` fields are as in `wanted`.
    #[must_use]
    pub fn with(mut self, changed: &RemoteDiff, wanted: &Self) -> Self {
        for change in &changed.changes {
            match change.field.as_str() {
                SECRET => {
                    self.secret = wanted.secret.clone();
                    self.validity = wanted.validity;
                }
                MARK => self.marks.clone_from(&wanted.marks),
                CLIENT_ID => self.client_id.clone_from(&wanted.client_id),
                field => match wanted.fields.get(field) {
                    Some(value) => drop(self.fields.insert(field.to_owned(), value.clone())),
                    None => drop(self.fields.remove(field)),
                },
            }
        }
        self
    }
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
    /// Nothing, and to ask again soon would tell no more: the server answers, and its answer says neither.
    Undecided(String),
    /// Applications could not use them: the issuer is another than the one that they are given. Why, for people.
    WrongIssuer(String),
}

/// Is what was written of a client in effect?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is.
    InEffect,
    /// Not yet: the identity provider reads it later, and the driver says when it did. What it waits for, for people.
    NotYet(String),
    /// It is, and the identity provider accepts what no application was given. What, and what to do, for people.
    Unsafe(String),
}

/// The pure half of a driver. No IO, no clock, no randomness: `plan` calls it.
pub trait Model: Send + Sync {
    /// What this provider can do.
    fn capabilities(&self) -> Capabilities;

    /// Are the clients made by hand there? Then the operator changes nothing, and looks at nothing.
    fn made_by_hand(&self) -> bool {
        false
    }

    /// Does the server name the clients, and make their secrets (RFC 7591)? Then what it answered is kept in a record, because nothing
    /// can be looked up there.
    fn registers(&self) -> bool {
        false
    }

    /// Does what is written take effect only later? Then it is looked at before credentials are tried ([`Effect`]).
    fn takes_effect_later(&self) -> bool {
        false
    }

    /// Can a replaced secret stay valid for a time ([`DesiredClient::previous`])? Whether it did shows by trying it.
    fn may_overlap(&self) -> bool {
        false
    }

    /// Must an application ask for `offline_access` to be given refresh tokens (OIDC Core, section 11)?
    fn refresh_needs_offline_access(&self) -> bool;

    /// For whom a client's assertion is (RFC 7523, section 3): the issuer, as tokens name it that are fetched where the operator
    /// is, unless the provider wants another name.
    fn assertion_audience<'a>(&self, facts: &'a ProviderFacts) -> &'a str {
        facts.internal_issuer()
    }

    /// What cannot work there, and who enforces what can.
    fn assess(&self, desired: &DesiredClient, facts: &ProviderFacts) -> Assessment;

    /// How the client looks right after it was created from `desired`: what it should look like, and what need not be read
    /// after it was written. `secret` is the one that shall be valid; a confidential client without one shows nothing of it.
    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient;

    /// The identifier under which the client of `mark` is made, where the provider lets the operator choose it.
    fn chosen_id(&self, _mark: &Mark) -> Option<String> {
        None
    }

    /// Completes what was seen by the id that status remembers: marks it as ours, or names a part of it, where the mark of that was
    /// certainly lost, and nobody else can have made what has this id.
    fn recall(&self, _observed: &mut ObservedClient, _mark: &Mark, _remote_id: &str) {}

    /// What the client `client_id` needs to know: all share the provider's issuer, unless each has its own.
    fn facts_of(&self, _client_id: &str, facts: &Arc<ProviderFacts>) -> Arc<ProviderFacts> {
        Arc::clone(facts)
    }

    /// What separates `observed` from `desired`.
    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff {
        RemoteDiff::between(observed, &self.created(desired, secret), |_| false)
    }

    /// The changes that the next request to the provider makes, of those that are still open. All, unless parts of a client
    /// have endpoints of their own. At least one.
    fn next_request(&self, open: RemoteDiff) -> RemoteDiff {
        open
    }
}

/// The secret of a client made from `desired`, as [`Model::created`] shows it.
pub fn created_secret(desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedSecret {
    match secret {
        _ if !desired.has_secret() => ObservedSecret::Absent,
        Some(_) if desired.has_key() => {
            let keys = desired.public_keys(secret);
            ObservedSecret::Keys(keys.iter().map(PublicKey::key_id).collect())
        }
        Some(secret) => ObservedSecret::Shown(secret.clone()),
        None => ObservedSecret::NotShown,
    }
}
