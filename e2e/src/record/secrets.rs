//! Every secret that was ever stored in a control plane.
//!
//! etcd is asked, not the API server: its watch gives each version of each Secret, also of those that lived for a millisecond or
//! while the API server was down, and nobody can see the question in the audit log. The watch is that of etcd's HTTP gateway; the
//! values in it are as the API server stores them, in protobuf.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Write;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oidc_operator::domain::registration::KEY_MANAGEMENT_TOKEN;
use oidc_operator::domain::vocabulary::{
    ANNOTATION_GENERATED, ANNOTATION_SECRET_KEY, GENERATED_PREFIX, KEY_CLIENT_SECRET, LABEL_CREDENTIAL,
    LABEL_MANAGED_BY, MANAGED_BY,
};
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;

use super::{Record, SECRETS, append, current};

/// Shorter values are words that tests made up, and also stand where they are no secret: "made-by-hand" in the name of an object.
/// What the operator makes up is longer: 43 characters, and 32 unless a spec says otherwise.
const SHORTEST: usize = 20;
/// All Secrets are stored below; the second is the end of that range.
const RANGE: [&str; 2] = ["/registry/secrets/", "/registry/secrets0"];
/// Written to etcd at the end, when nobody else writes any more: whoever sees it has seen all.
const FENCE: &str = "/registry/secrets/oidc-operator-e2e-fence";
/// How long etcd may take to begin its answer: it serves already.
const BEGIN_BOUND: Duration = Duration::from_secs(30);
/// How long the last Secrets may take to be seen.
const LAST_BOUND: Duration = Duration::from_secs(5);

/// A secret, and what it is: `client-secret of Secret shop/shop-oidc of shared-control-plane-1-1`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Noted {
    pub(super) what: String,
    pub(super) value: String,
}

/// Notes the secrets of one control plane in the record until it is dropped. With the process it ends as it is.
#[derive(Debug)]
pub(crate) struct Watcher {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Begins, if there is a record. `etcd` is the URL for its clients; `name` names the control plane.
    ///
    /// # Errors
    /// The record cannot be written.
    pub(crate) fn start(etcd: &str, name: &str) -> Result<Option<Self>> {
        let Some(record) = current() else { return Ok(None) };
        let file = append(&record.folder.join(SECRETS).join(format!("{name}.jsonl")))?;
        let (stop, stopped) = oneshot::channel();
        let mut notes = Notes::new(name, file);
        let etcd = etcd.to_owned();
        // A runtime of its own: that of the test which happens to start a shared control plane ends with it.
        let thread = std::thread::Builder::new().name("secrets".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let seen = runtime
                .map_err(anyhow::Error::from)
                .and_then(|runtime| runtime.block_on(watch(&etcd, &mut notes, stopped)));
            if let Err(error) = seen {
                record.gap(&format!("secrets of {}: {error:#}", notes.cluster));
            }
        })?;
        Ok(Some(Self {
            stop: Some(stop),
            thread: Some(thread),
        }))
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Blocks, as a destructor cannot wait in any other way. The thread has a bound for all that it still does.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Notes every secret since etcd was made, until `stop` and what came before it.
async fn watch(etcd: &str, notes: &mut Notes, stop: oneshot::Receiver<()>) -> Result<()> {
    crate::http::choose_crypto();
    // It has no end: no timeout.
    let web = reqwest::Client::builder().tls_certs_only([]).no_proxy().build()?;
    let [key, range_end] = RANGE.map(|key| STANDARD.encode(key));
    let question = json!({"create_request": {"key": key, "range_end": range_end, "start_revision": "1"}});
    let asked = web.post(format!("{etcd}/v3/watch")).json(&question).send();
    let begun = tokio::time::timeout(BEGIN_BOUND, asked)
        .await
        .context("etcd does not answer")?;
    let mut answer = begun?.error_for_status()?;
    let (mut buffer, mut end) = (Vec::new(), None);
    tokio::pin!(stop);
    loop {
        let chunk = tokio::select! {
            chunk = answer.chunk() => chunk?,
            _ = &mut stop, if end.is_none() => {
                let fence = json!({"key": STANDARD.encode(FENCE), "value": ""});
                web.post(format!("{etcd}/v3/kv/put")).json(&fence).timeout(LAST_BOUND).send().await?.error_for_status()?;
                end = Some(tokio::time::Instant::now() + LAST_BOUND);
                continue;
            }
            () = sleep_until(end) => bail!("the last Secrets were not seen"),
        };
        buffer.extend_from_slice(&chunk.context("etcd has ended the watch")?);
        while let Some(length) = buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=length).collect();
            if notes.line(&line)? {
                return Ok(());
            }
        }
    }
}

async fn sleep_until(end: Option<tokio::time::Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Where the secrets of one control plane are noted, each once.
struct Notes {
    cluster: String,
    file: File,
    known: HashSet<String>,
}

impl Notes {
    fn new(cluster: &str, file: File) -> Self {
        Self {
            cluster: cluster.to_owned(),
            file,
            known: HashSet::new(),
        }
    }

    /// One line of the watch; true if it holds the fence.
    fn line(&mut self, line: &[u8]) -> Result<bool> {
        let line: Line = serde_json::from_slice(line).context("what etcd answers")?;
        let Some(answer) = line.result else {
            bail!("etcd refuses: {}", line.error);
        };
        ensure!(!answer.canceled, "etcd has ended the watch: {}", answer.cancel_reason);
        let mut last = false;
        for event in answer.events {
            let key = STANDARD.decode(&event.kv.key)?;
            if key == FENCE.as_bytes() {
                last = true;
            } else if event.type_ != "DELETE" {
                let stored = STANDARD.decode(&event.kv.value)?;
                self.note(&Secret::stored(&stored).with_context(|| String::from_utf8_lossy(&key).into_owned())?)?;
            }
        }
        Ok(last)
    }

    fn note(&mut self, secret: &Secret) -> Result<()> {
        for (key, value) in secret.secrets() {
            if self.known.insert(value.to_owned()) {
                let meta = secret.metadata();
                let what = format!("{key} of Secret {}/{} of {}", meta.namespace, meta.name, self.cluster);
                let value = value.to_owned();
                let mut line = serde_json::to_vec(&Noted { what, value })?;
                line.push(b'\n');
                // One write: a process that is killed leaves whole lines.
                self.file.write_all(&line)?;
            }
        }
        Ok(())
    }
}

/// A line of a watch of etcd's gateway. Protobuf in JSON: what is false or empty is left out.
#[derive(Deserialize)]
struct Line {
    result: Option<Answer>,
    #[serde(default)]
    error: serde_json::Value,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    events: Vec<Event>,
    #[serde(default)]
    canceled: bool,
    #[serde(default)]
    cancel_reason: String,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type", default)]
    type_: String,
    kv: KeyValue,
}

#[derive(Deserialize)]
struct KeyValue {
    key: String,
    #[serde(default)]
    value: String,
}

/// `k8s.io/apimachinery/pkg/runtime.Unknown`, of which every stored object is one, after four bytes.
#[derive(Clone, PartialEq, Message)]
struct Unknown {
    #[prost(bytes = "vec", tag = "2")]
    raw: Vec<u8>,
}

const STORED: &[u8] = b"k8s\0";

/// `k8s.io/api/core/v1.Secret`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct Secret {
    #[prost(message, optional, tag = "1")]
    metadata: Option<Metadata>,
    #[prost(btree_map = "string, bytes", tag = "2")]
    data: BTreeMap<String, Vec<u8>>,
}

/// `k8s.io/apimachinery/pkg/apis/meta/v1.ObjectMeta`, as far as it is needed.
#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "3")]
    namespace: String,
    #[prost(btree_map = "string, string", tag = "11")]
    labels: BTreeMap<String, String>,
    #[prost(btree_map = "string, string", tag = "12")]
    annotations: BTreeMap<String, String>,
}

impl Secret {
    fn stored(bytes: &[u8]) -> Result<Self> {
        let bytes = bytes.strip_prefix(STORED).context("it is not stored as protobuf")?;
        Ok(Self::decode(Unknown::decode(bytes)?.raw.as_slice())?)
    }

    fn metadata(&self) -> Metadata {
        self.metadata.clone().unwrap_or_default()
    }

    /// Which of its values are secret, by key: of the operator's own Secrets the client secret and what was made up beside it; of
    /// those with credentials, which users make, all but certificates. Either only if it is long enough ([`SHORTEST`]).
    fn secrets(&self) -> Vec<(&str, &str)> {
        let meta = self.metadata();
        let label = |key: &str| meta.labels.get(key).map(String::as_str);
        let annotation = |key: &str| meta.annotations.get(key).map_or("", String::as_str);
        let credentials = label(LABEL_CREDENTIAL).is_some();
        let ours = label(LABEL_MANAGED_BY) == Some(MANAGED_BY);
        let generated: Vec<&str> = annotation(ANNOTATION_GENERATED)
            .split_whitespace()
            .filter_map(|entry| entry.rsplit_once(':').map(|(key, _)| key))
            .collect();
        let is_secret = |key: &str, value: &str| {
            let made = [
                KEY_CLIENT_SECRET,
                KEY_MANAGEMENT_TOKEN,
                annotation(ANNOTATION_SECRET_KEY),
            ]
            .contains(&key)
                || key.starts_with(GENERATED_PREFIX)
                || generated.contains(&key)
                || value.contains("PRIVATE KEY-----");
            (ours && made) || (credentials && !value.contains("-----BEGIN CERTIFICATE"))
        };
        self.data
            .iter()
            .filter_map(|(key, value)| Some((key.as_str(), std::str::from_utf8(value).ok()?)))
            .filter(|(key, value)| value.len() >= SHORTEST && is_secret(key, value))
            .collect()
    }
}

impl Record {
    /// All secrets that were noted, each once, with what it is.
    pub(super) fn secrets(&self) -> Result<BTreeMap<String, String>> {
        let folder = self.folder.join(SECRETS);
        let mut all = BTreeMap::new();
        for file in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
            let file = file?.path();
            let text = std::fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
            for line in text.lines() {
                // Not the line itself in the error: it holds a secret.
                let noted: Noted = serde_json::from_str(line)
                    .ok()
                    .with_context(|| format!("{}", file.display()))?;
                all.entry(noted.value).or_insert(noted.what);
            }
        }
        Ok(all)
    }
}
