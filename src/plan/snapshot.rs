//! Everything that one decision may depend on, and nothing else.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::Timestamp;

use super::{
    step::{OutputKind, Precondition},
    verdict::Finding,
};
use crate::{
    api::{
        OIDCClientSpec, OIDCClientStatus, Reason,
        client::{CaBundlePolicy, WorkloadReference},
        provider::ClientGrants,
    },
    domain::{
        ClientSecret, Effect, ErrorClass, IdpError, Mark, MarkUid, Model, ObservedClient, OwnerId, Ownership, Proof,
        ProviderFacts, Registration, ResourceName,
        vocabulary::{
            ANNOTATION_ATTEMPT, ANNOTATION_MARK, ANNOTATION_SECRET_DIGEST, ANNOTATION_SECRET_KEY, KEY_CLIENT_SECRET,
        },
    },
};

/// What is known when a decision is made.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time.
    pub now: Timestamp,
    /// How this operator runs.
    pub settings: Settings,
    /// The OIDCClient.
    pub client: ClientView,
    /// Its namespace.
    pub namespace: NamespaceView,
    /// Its provider.
    pub provider: ProviderView,
    /// Its outputs; `None`: not looked at yet.
    pub outputs: Option<OutputsView>,
    /// The user's Secret, where the spec names one.
    pub existing: ExistingView,
    /// The client at the provider.
    pub remote: RemoteView,
    /// What is kept of it, where the server names it.
    pub registration: RegistrationView,
    /// All OIDCClients of the provider with this client ID, this one among them; `None`: not looked at yet.
    pub rivals: Option<Vec<ClientBrief>>,
    /// Workloads that the spec names; those that are missing here were not looked at yet.
    pub workloads: BTreeMap<WorkloadReference, WorkloadView>,
    /// What this pass has learned that cannot be seen anywhere.
    pub memory: Memory,
    /// Fresh random values, to be used at most once each.
    pub supply: Supply,
}

impl Snapshot {
    /// Does the server name the client? `false` where the provider is not known.
    pub fn registers(&self) -> bool {
        match &self.provider {
            ProviderView::Present(provider) => provider.model.as_ref().is_some_and(|model| model.0.registers()),
            ProviderView::NotFound | ProviderView::Starting | ProviderView::Unreadable => false,
        }
    }

    /// Is the client made by hand at the provider? `false` where the provider is not known.
    pub fn made_by_hand(&self) -> bool {
        match &self.provider {
            ProviderView::Present(provider) => provider.model.as_ref().is_some_and(|model| model.0.made_by_hand()),
            ProviderView::NotFound | ProviderView::Starting | ProviderView::Unreadable => false,
        }
    }
}

/// How this operator runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which installation.
    pub owner: OwnerId,
    /// How long a deletion waits for an unreachable provider.
    pub deletion_timeout: Duration,
    /// When this process started.
    pub started: Timestamp,
    /// May workloads be restarted?
    pub rollout_restart: bool,
}

/// The OIDCClient.
#[derive(Clone, Debug)]
pub struct ClientView {
    /// Its name.
    pub name: ResourceName,
    /// Its uid.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// Does it carry our finalizer?
    pub finalizer: bool,
    /// Since when it is being deleted.
    pub deletion: Option<Timestamp>,
    /// Does it carry `oidc-operator.io/orphan`?
    pub orphan: bool,
    /// Value of `oidc-operator.io/reconcile-requested`.
    pub reconcile_request: Option<String>,
    /// Value of `oidc-operator.io/rotate`.
    pub rotate_request: Option<String>,
    /// Its spec.
    pub spec: OIDCClientSpec,
    /// Its status, as last read.
    pub status: OIDCClientStatus,
}

/// An OIDCClient, as much as others need to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientBrief {
    /// Its name.
    pub name: ResourceName,
    /// Its uid.
    pub uid: String,
    /// Its client ID.
    pub client_id: String,
    /// Does it carry our finalizer: may there be something of it at the provider?
    pub finalizer: bool,
    /// Was its client seen at the provider, by its status?
    pub provisioned: bool,
    /// When it was made.
    pub created: Option<Timestamp>,
}

impl ClientView {
    /// The provider it refers to.
    pub fn provider(&self) -> ResourceName {
        self.spec.provider_ref.seen_from(&self.name.namespace)
    }

    /// Does somebody ask for a pass that looks at everything anew?
    pub fn is_asked(&self) -> bool {
        self.reconcile_request.is_some() && self.reconcile_request != self.status.last_reconcile_request
    }

    /// Name of its output Secret.
    pub fn secret_name(&self) -> String {
        let named = self
            .spec
            .outputs
            .as_ref()
            .and_then(|outputs| outputs.secret.as_ref()?.name.clone());
        named.unwrap_or_else(|| crate::domain::names::default_output_name(&self.name))
    }

    /// Which CA certificates its application is given.
    pub fn ca_bundle_policy(&self) -> CaBundlePolicy {
        let outputs = self.spec.outputs.as_ref();
        outputs
            .and_then(|outputs| outputs.config_map.as_ref()?.ca_bundle)
            .unwrap_or_default()
    }

    /// Name of its output ConfigMap.
    pub fn config_map_name(&self) -> String {
        let named = self
            .spec
            .outputs
            .as_ref()
            .and_then(|outputs| outputs.config_map.as_ref()?.name.clone());
        named.unwrap_or_else(|| crate::domain::names::default_output_name(&self.name))
    }
}

/// The namespace of the OIDCClient.
#[derive(Clone, Debug, Default)]
pub struct NamespaceView {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Is it being deleted?
    pub terminating: bool,
}

/// The provider, seen from one of its clients.
#[derive(Clone, Debug)]
pub enum ProviderView {
    /// There is none of that name.
    NotFound,
    /// It exists, and this process has not looked at it yet.
    Starting,
    /// It exists, and this version cannot read it.
    Unreadable,
    /// It exists.
    Present(Box<PresentProvider>),
}

/// A provider that exists.
#[derive(Clone, Debug)]
pub struct PresentProvider {
    /// Who may use it.
    pub grants: Option<ClientGrants>,
    /// Is it being deleted?
    pub terminating: bool,
    /// Are the credentials of its admin API gone (the Secret is missing)?
    pub credentials_gone: bool,
    /// What is known of its issuer; `None`: never read.
    pub facts: Option<Arc<ProviderFacts>>,
    /// What of it cannot be used now.
    pub not_ready: Option<NotReady>,
    /// How often everything is looked at anew.
    pub resync: Duration,
    /// The pure half of its driver; `None`: not known yet.
    pub model: Option<ModelRef>,
}

/// What of a provider cannot be used. Why stands in the provider's own conditions: tenants see no admin errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// The admin API: nothing can be changed.
    AdminApi,
    /// The issuer only: nothing can be published or proven, but a client can be deleted.
    Issuer,
}

/// The pure half of a driver.
#[derive(Clone)]
pub struct ModelRef(pub Arc<dyn Model>);

impl std::fmt::Debug for ModelRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Model")
    }
}

/// The outputs, as a live read showed them.
#[derive(Clone, Debug, Default)]
pub struct OutputsView {
    /// Secrets: all that carry our label, and those of our names.
    pub secrets: Vec<OutputView>,
    /// ConfigMaps, the same.
    pub config_maps: Vec<OutputView>,
}

/// One Secret or ConfigMap.
#[derive(Clone)]
pub struct OutputView {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Is it being deleted?
    pub terminating: bool,
    /// Its owners: kind, name, uid.
    pub owners: Vec<OwnerView>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its data.
    pub data: crate::publish::Data,
    /// Its type (Secrets).
    pub type_: Option<String>,
    /// Is it immutable?
    pub immutable: bool,
}

impl std::fmt::Debug for OutputView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the data.
        f.debug_struct("OutputView")
            .field("name", &self.name)
            .field("uid", &self.uid)
            .field("keys", &self.data.keys())
            .finish_non_exhaustive()
    }
}

/// An owner reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnerView {
    /// Is it an OIDCClient?
    pub is_client: bool,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Whose an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputOwnership {
    /// Owned by this very object.
    Ours,
    /// Without owner, left by an earlier life with `Retain`: ours to take back.
    Retained,
    /// Owned by an earlier life: garbage collection will take it.
    FormerLife,
    /// Somebody else's.
    Foreign,
}

impl OutputView {
    /// Whose it is, seen from the OIDCClient of `mark`.
    pub fn ownership(&self, mark: &Mark) -> OutputOwnership {
        let MarkUid::Uid(uid) = &mark.uid else {
            return OutputOwnership::Foreign;
        };
        if self.owners.iter().any(|owner| owner.is_client && owner.uid == *uid) {
            return OutputOwnership::Ours;
        }
        match self.owners.as_slice() {
            [] => {
                let found = self.annotations.get(ANNOTATION_MARK).and_then(|mark| Mark::parse(mark));
                match mark.judge(found.as_ref()) {
                    Ownership::Ours | Ownership::FormerLife => OutputOwnership::Retained,
                    Ownership::Foreign | Ownership::Unmarked => OutputOwnership::Foreign,
                }
            }
            owners
                if owners
                    .iter()
                    .all(|owner| owner.is_client && owner.name == mark.client.name) =>
            {
                OutputOwnership::FormerLife
            }
            _ => OutputOwnership::Foreign,
        }
    }

    /// The key that holds its client secret, where it holds one.
    pub fn client_secret_key(&self) -> &str {
        self.annotations
            .get(ANNOTATION_SECRET_KEY)
            .map_or(KEY_CLIENT_SECRET, String::as_str)
    }

    /// Its client secret, where it holds one.
    pub fn client_secret(&self) -> Option<ClientSecret> {
        let bytes = self.data.get(self.client_secret_key())?;
        String::from_utf8(bytes.clone())
            .ok()
            .filter(|text| !text.is_empty())
            .map(ClientSecret::new)
    }

    /// Its client secret, if it is the one that the operator wrote.
    pub fn intact_secret(&self) -> Option<ClientSecret> {
        let secret = self.client_secret()?;
        (self.annotations.get(ANNOTATION_SECRET_DIGEST) == Some(&secret.digest())).then_some(secret)
    }

    /// The rotation attempt that it carries.
    pub fn attempt(&self) -> Option<&str> {
        self.annotations.get(ANNOTATION_ATTEMPT).map(String::as_str)
    }
}

/// The user's Secret (`credentials.existingSecretRef`).
#[derive(Clone, Debug)]
pub enum ExistingView {
    /// Not looked at yet.
    Unknown,
    /// There is none of that name.
    Missing,
    /// It is there, as a live read showed it.
    Found(ExistingSecret),
}

/// What of the user's Secret matters.
#[derive(Clone)]
pub struct ExistingSecret {
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The value under the key that the spec names.
    pub value: Option<Vec<u8>>,
}

impl std::fmt::Debug for ExistingSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the value.
        f.debug_struct("ExistingSecret")
            .field("resource_version", &self.resource_version)
            .field("labels", &self.labels)
            .finish_non_exhaustive()
    }
}

/// A workload that the spec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadView {
    /// There is none of that name, or it is being deleted.
    Missing,
    /// It could not be read, or not be changed.
    Failed {
        /// Kubernetes' own words, bounded.
        message: String,
        /// What that asks of the loop.
        class: ErrorClass,
    },
    /// It is there, as a live read or our own write showed it.
    Found(Workload),
}

/// What of a workload matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Its own annotations, not those of its Pods.
    pub annotations: BTreeMap<String, String>,
}

/// The client at the provider.
#[derive(Clone, Debug)]
pub enum RemoteView {
    /// Not looked at yet.
    Unknown,
    /// A request for it said that there is none.
    Absent,
    /// It is missing from a list. No evidence: enough to try to make what was never made, where a taken ID shows, and for
    /// nothing else.
    Unlisted,
    /// It is there.
    Present {
        /// As it looks.
        client: ObservedClient,
        /// How that is known.
        evidence: Evidence,
    },
    /// Looking, or writing, failed.
    Failed(IdpError),
}

/// The record of a client that the server names.
#[derive(Clone, Debug, PartialEq)]
pub enum RegistrationView {
    /// Not looked at yet.
    Unknown,
    /// There is none.
    Missing,
    /// Something stands in its place that cannot be read; why, for people.
    Broken(String),
    /// It is there, as a live read or our own write showed it.
    Kept(KeptRegistration),
}

/// A record that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptRegistration {
    /// Its version.
    pub precondition: Precondition,
    /// What it holds.
    pub record: Box<Registration>,
}

/// How the look of a client is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// From a list, or from an earlier pass: good to find that nothing changed, too little to reset or delete on.
    Listed,
    /// From a request for it in this pass, or from our own write in it.
    Fresh,
}

/// What a pass has learned that cannot be seen anywhere.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What the last proof said of the secret of this digest.
    pub proof: Option<(String, Proof)>,
    /// What a try of the secret before the current one said. Soon nobody knows it any more, so that it is tried twice if need be.
    pub previous_proof: Option<Proof>,
    /// How often that try said nothing.
    pub previous_unknown: u32,
    /// How often a disproven secret was set again.
    pub secret_set_again: u32,
    /// Is the client to be made anew although nothing differs, because its secret was disproven?
    pub set_again: bool,
    /// Did this pass create the client, or set its secret?
    pub secret_written: bool,
    /// A definite refusal of a write to the provider, with its reason.
    pub refused: Option<(Reason, String)>,
    /// Did this pass put the finalizer on? Then nothing was ever made before it.
    pub finalizer_added: bool,
    /// Did an Event tell that the client is being changed?
    pub update_told: bool,
    /// Did the provider say in this pass that the client ID is taken?
    pub taken: bool,
    /// Was the client deleted at the provider in this pass, to be made anew?
    pub deleted_to_recreate: bool,
    /// Is the client in effect as it is written? `None`: not looked at since the last write.
    pub effect: Option<Effect>,
    /// Must the client be asked for, whatever lists say?
    pub look_fresh: bool,
    /// The attempt to register the client that this pass wrote down.
    pub staged: Option<String>,
    /// Can the outputs be rendered? Spec and facts are the same for the whole pass, so it is found out once.
    pub can_render: OnceLock<Result<(), Finding>>,
    /// Why an output cannot be written: Kubernetes refuses it, or its name is taken.
    pub output_refused: Option<Finding>,
    /// The name under which an output could not be made, because something stands there: looked at anew since.
    pub output_conflict: Option<(OutputKind, String)>,
    /// How often a workload was changed by somebody else between a look at it and the write.
    pub workload_conflicts: u32,
}

/// Fresh random values.
#[derive(Clone, Debug)]
pub struct Supply {
    /// A new client secret, or a new private key where the spec wants one.
    pub secret: ClientSecret,
    /// Id of a new rotation attempt.
    pub attempt: String,
    /// What other values are made from.
    pub seed: ClientSecret,
}
