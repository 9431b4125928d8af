//! A Dex as it is installed: the objects that the driver reads and writes, without the API that keeps them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::domain::{ClientSecret, IdpError};

/// Which version of an object a write is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
}

impl Version {
    /// The version by which a workload is told of ([`Sighting`]): its generation, since its status changes all the time.
    pub fn of_template(uid: String, generation: i64) -> Self {
        Self {
            uid,
            resource_version: generation.to_string(),
        }
    }
}

/// The objects by their kinds and names (`ConfigMap dex/dex-config`), for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The platform's part of the configuration, with its key.
    pub base: String,
    /// The configuration that Dex reads.
    pub target: String,
    /// The Secret with the secrets of clients.
    pub keys: String,
    /// The workload that runs Dex.
    pub workload: String,
}

/// The configuration that Dex reads.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its version.
    pub version: Version,
    /// Did the operator make it, for this provider?
    pub ours: bool,
    /// What stands under its key; it may hold secrets of the platform's.
    pub text: Text,
    /// uid of the workload all of whose Pods were seen to take their environment from the Secret with the secrets.
    pub guarded: Option<String>,
    /// Another one with each text that was ever written. A Pod may have read what was there for a moment only: that the former text is
    /// back does not mean that all Pods have read it.
    pub revision: Option<String>,
}

/// A configuration, whose `Debug` tells its length only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(pub String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

/// The Secret with the secrets of clients.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Its version.
    pub version: Version,
    /// Did the operator make it, for this provider?
    pub ours: bool,
    /// What goes into the checksum on the Pod template beside the secrets, so that nobody can try guesses by it.
    pub salt: Option<String>,
    /// The secrets, by environment variable.
    pub secrets: BTreeMap<String, ClientSecret>,
    /// Another one with each secret that was ever written, as [`Target::revision`].
    pub revision: Option<String>,
}

/// The workload that runs Dex, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub resource_version: String,
    /// Does the container take all keys of the Secret for its environment, and not start without it?
    pub env_from: bool,
    /// The variables of ours that the container takes from the Secret, and does not start without.
    pub variables: BTreeSet<String>,
    /// Variables of ours that stand there in another way.
    pub other_variables: BTreeSet<String>,
    /// The checksum on its Pod template.
    pub checksum: Option<String>,
    /// Its generation.
    pub generation: i64,
    /// How far its controller is.
    pub progress: Progress,
}

/// How far a roll-out is (Deployment's spec and status).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The generation that the counts below are about.
    pub observed_generation: i64,
    /// Is it paused? Then its controller starts no Pods of a new template.
    pub paused: bool,
    /// Pods that are wanted.
    pub wanted: i32,
    /// Pods that there are.
    pub replicas: i32,
    /// Those of the newest template.
    pub updated: i32,
    /// Those that are ready, and were for long enough.
    pub available: i32,
    /// Did its controller give up waiting (`ProgressDeadlineExceeded`)?
    pub deadline_exceeded: bool,
}

/// The target as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetDraft {
    /// What stands under its key.
    pub text: Text,
    /// As in [`Target::guarded`].
    pub guarded: Option<String>,
    /// As in [`Target::revision`].
    pub revision: String,
}

/// A change of the Secret with the secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeysChange {
    /// Secrets to put in, by environment variable.
    pub put: BTreeMap<String, ClientSecret>,
    /// Variables whose secrets go.
    pub remove: BTreeSet<String>,
    /// A salt, where there is none.
    pub salt: Option<String>,
    /// A new [`Keys::revision`], where a secret is put in.
    pub revision: Option<String>,
}

impl KeysChange {
    /// The secrets to put in, as they are stored.
    pub fn bytes(&self) -> impl Iterator<Item = (&String, Vec<u8>)> {
        self.put
            .iter()
            .map(|(variable, secret)| (variable, secret.expose().as_bytes().to_vec()))
    }
}

/// The Pod template as it shall be, as far as it is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateDraft {
    /// The checksum of configuration and secrets.
    pub checksum: String,
    /// The variables that the container takes from the Secret.
    pub variables: BTreeSet<String>,
}

/// An object that the operator writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// [`Target`].
    Target,
    /// [`Keys`].
    Keys,
    /// [`Workload`].
    Workload,
}

/// One object, as it is told of without being asked for.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// Which one.
    pub part: Part,
    /// The version that is there (of the workload: [`Version::of_template`]), or `None`; or why it cannot be seen for now.
    pub shown: Result<Option<Version>, IdpError>,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It was done, and this is the version now.
    Done(Version),
    /// The object is not what was seen: look again.
    Conflict,
}

/// Where the objects are. One request a call, but for [`Self::sightings`]; each ends in bounded time.
#[async_trait]
pub trait Installation: Send + Sync {
    /// The objects' names.
    fn names(&self) -> &Names;

    /// Each of its objects that it writes as it is now, and again whenever that changes, without end. It mends itself; dropped, it ends.
    fn sightings(&self) -> BoxStream<'static, Sighting>;

    /// The platform's part of the configuration.
    ///
    /// # Errors
    /// [`crate::domain::IdpErrorKind::Configuration`] where it is missing, or must not be read; any other [`IdpError`].
    async fn base(&self) -> Result<Text, IdpError>;

    /// The configuration that Dex reads.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn target(&self) -> Result<Option<Target>, IdpError>;

    /// The Secret with the secrets.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn keys(&self) -> Result<Option<Keys>, IdpError>;

    /// The workload.
    ///
    /// # Errors
    /// [`crate::domain::IdpErrorKind::Configuration`] where it, or its container, is missing; any other [`IdpError`].
    async fn workload(&self) -> Result<Workload, IdpError>;

    /// Makes the target, or changes this version of it.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn write_target(&self, former: Option<&Version>, draft: &TargetDraft) -> Result<Stored, IdpError>;

    /// Makes the Secret, or changes this version of it.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn write_keys(&self, former: Option<&Version>, change: &KeysChange) -> Result<Stored, IdpError>;

    /// Changes the Pod template of this version of the workload, which starts a roll-out.
    ///
    /// # Errors
    /// Any [`IdpError`].
    async fn write_template(&self, former: &Workload, draft: &TemplateDraft) -> Result<Stored, IdpError>;
}
