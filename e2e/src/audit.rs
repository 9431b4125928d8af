//! What the API server was asked, by whom: its audit log, counted.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::Deserialize;

use crate::http;
use crate::record;
use crate::wait::eventually;

/// The policy of the API server: who asked what; one line at the end of each request (two for a watch). Bodies only where the
/// record of the run is searched for secrets ([`crate::record`]): those of all writes but of Secrets and of what tokens are made with.
pub(crate) fn policy() -> String {
    let bodies = "\
- level: Metadata
  resources: [{group: '', resources: [secrets, serviceaccounts/token]}, {group: authentication.k8s.io}]
# Dex's objects hold secrets in clear, and are to be treated as Secrets are.
- level: Metadata
  resources: [{group: dex.coreos.com}]
- level: Request
  verbs: [create, update, patch]
";
    format!(
        "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
{}- level: Metadata
",
        if record::is_kept() { bodies } else { "" }
    )
}

/// The audit log of a control plane.
#[derive(Debug)]
pub struct Audit {
    log: PathBuf,
    url: String,
    token: String,
    ca_pem: String,
    /// Up to here the log was whole lines when it was last read.
    whole: AtomicU64,
}

/// A moment in the log; what was asked before is not counted.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    offset: u64,
    at: Timestamp,
}

/// One request, once it was answered; a watch, once it was begun.
#[derive(Debug, Clone)]
pub struct Record {
    /// The user's name, `system:serviceaccount:<namespace>:<name>` for a ServiceAccount.
    pub user: String,
    /// The `User-Agent`, empty if there was none.
    pub user_agent: String,
    /// get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural resource name, empty for paths such as `/readyz`.
    pub resource: String,
    /// status, token, finalizers or empty.
    pub subresource: String,
    /// Empty for what is in no namespace.
    pub namespace: String,
    /// Empty for lists, and for creations whose name the server made.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u16,
    /// Path and query.
    pub uri: String,
    /// When the request came in.
    pub at: Timestamp,
}

/// A set of requests; each filter gives the smaller set.
#[derive(Debug, Clone, Default)]
pub struct Records(
    /// In the order of the log.
    pub Vec<Record>,
);

impl Audit {
    pub(crate) fn new(log: PathBuf, url: &str, token: &str, ca_pem: &str) -> Self {
        Self {
            log,
            url: url.to_owned(),
            token: token.to_owned(),
            ca_pem: ca_pem.to_owned(),
            whole: AtomicU64::new(0),
        }
    }

    /// Remembers this moment for [`Self::since`].
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn mark(&self) -> Result<Mark> {
        let offset = self.fence().await?;
        Ok(Mark {
            offset,
            at: Timestamp::now(),
        })
    }

    /// All requests since `mark` that were answered by now.
    ///
    /// # Errors
    /// The API server does not answer, or its log cannot be read.
    pub async fn since(&self, mark: &Mark) -> Result<Records> {
        self.fence().await?;
        let text = self.read(mark.offset)?;
        let mut order = Vec::new();
        let mut by_id = HashMap::new();
        for line in text.lines() {
            let event: Event = serde_json::from_str(line).with_context(|| format!("audit log: {line}"))?;
            // The end of a watch that was begun, and counted, before the mark.
            if event.verb == "watch" && event.request_received_timestamp < mark.at {
                continue;
            }
            if by_id.insert(event.audit_id.clone(), Record::from(&event)).is_none() {
                order.push(event.audit_id);
            }
        }
        let fence = format!("{FENCE}=");
        let records = order
            .iter()
            .filter_map(|id| by_id.remove(id))
            .filter(|record| !record.uri.contains(&fence));
        Ok(Records(records.collect()))
    }

    /// Waits until the log holds what was answered before this call, and gives where its whole lines end then.
    ///
    /// The server writes each line before it ends its answer, but a long answer may reach the client a moment earlier.
    async fn fence(&self) -> Result<u64> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let before = self.whole.load(Ordering::SeqCst);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let fence = format!("{FENCE}={}-{number}.", std::process::id());
        let request = http::client(&self.ca_pem)?.get(format!("{}/version?{fence}", self.url));
        let answer = request.bearer_auth(&self.token).send().await;
        answer.context("the API server does not answer")?.error_for_status()?;
        eventually("the last request is in the audit log", FLUSHED_BOUND, async || {
            let text = self.read(before)?;
            ensure!(text.contains(&fence), "{fence} is not in {}", self.log.display());
            let end = before + u64::try_from(text.len())?;
            self.whole.fetch_max(end, Ordering::SeqCst);
            Ok(end)
        })
        .await
    }

    /// The log from `offset`, where a line begins, to the end of the last whole line.
    fn read(&self, offset: u64) -> Result<String> {
        let mut file = File::open(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line that is just being written can be seen in part.
        bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
        String::from_utf8(bytes).context("the audit log is not text")
    }
}

/// The query parameter of the requests that [`Audit`] itself makes.
const FENCE: &str = "oidc-operator-e2e-fence";

/// The server writes to the file itself, so this is for machines that stand still.
const FLUSHED_BOUND: Duration = Duration::from_secs(10);

impl Records {
    /// Those that `keep` accepts.
    #[must_use]
    pub fn filter(self, keep: impl Fn(&Record) -> bool) -> Self {
        Self(self.0.into_iter().filter(keep).collect())
    }

    /// Those of the user `name`.
    #[must_use]
    pub fn by_user(self, name: &str) -> Self {
        self.filter(|record| record.user == name)
    }

    /// Those of a ServiceAccount.
    #[must_use]
    pub fn by_service_account(self, namespace: &str, name: &str) -> Self {
        self.by_user(&format!("system:serviceaccount:{namespace}:{name}"))
    }

    /// Those whose `User-Agent` starts with `prefix`.
    #[must_use]
    pub fn by_agent(self, prefix: &str) -> Self {
        self.filter(|record| record.user_agent.starts_with(prefix))
    }

    /// Those with this verb.
    #[must_use]
    pub fn verb(self, verb: &str) -> Self {
        self.filter(|record| record.verb == verb)
    }

    /// Those on this resource, `secrets` or `oidcclients/status`; the plain name leaves subresources out.
    #[must_use]
    pub fn resource(self, resource: &str) -> Self {
        self.filter(|record| record.path() == resource)
    }

    /// Those in this namespace.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        self.filter(|record| record.namespace == namespace)
    }

    /// Those that change something: no dry run and no review such as `tokenreviews`, but also those that were refused.
    #[must_use]
    pub fn writes(self) -> Self {
        self.filter(Record::is_write)
    }

    /// Those that were answered with a status below 400.
    #[must_use]
    pub fn succeeded(self) -> Self {
        self.filter(|record| record.code < 400)
    }

    /// Those that were answered with a status of 400 or more.
    #[must_use]
    pub fn refused(self) -> Self {
        self.filter(|record| record.code >= 400)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many of each, by `"<verb> <resource>[/<subresource>]"`.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for record in &self.0 {
            *counts.entry(format!("{} {}", record.verb, record.path())).or_default() += 1;
        }
        counts
    }
}

impl Record {
    /// `<resource>` or `<resource>/<subresource>`; the URI for what is no resource.
    pub fn path(&self) -> String {
        match (self.resource.as_str(), self.subresource.as_str()) {
            ("", _) => self.uri.clone(),
            (resource, "") => resource.to_owned(),
            (resource, subresource) => format!("{resource}/{subresource}"),
        }
    }

    /// See [`Records::writes`].
    pub fn is_write(&self) -> bool {
        matches!(
            self.verb.as_str(),
            "create" | "update" | "patch" | "delete" | "deletecollection"
        ) && !self.uri.contains("dryRun=")
            && !matches!(self.group.as_str(), "authentication.k8s.io" | "authorization.k8s.io")
    }
}

/// What is used of an audit event, `audit.k8s.io/v1`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(rename = "auditID")]
    audit_id: String,
    verb: String,
    #[serde(rename = "requestURI")]
    request_uri: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl From<&Event> for Record {
    fn from(event: &Event) -> Self {
        let none = ObjectRef::default();
        let object = event.object_ref.as_ref().unwrap_or(&none);
        Self {
            user: event.user.username.clone(),
            user_agent: event.user_agent.clone(),
            verb: event.verb.clone(),
            group: object.api_group.clone(),
            resource: object.resource.clone(),
            subresource: object.subresource.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            code: event.response_status.as_ref().map_or(0, |status| status.code),
            uri: event.request_uri.clone(),
            at: event.request_received_timestamp,
        }
    }
}
