//! Every recorded request, in its order.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::future::join_all;
use oidc_operator_e2e::authentik::{ADMIN_TOKEN, Authentik, AuthentikOptions, Fault, Release, Rule};
use oidc_operator_e2e::{case, http};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::compare::{self, Kind, Names};
use crate::recording::{self, Recording};

/// How many answers agree. These may only grow.
const MATCHED_2026_2: usize = 365;
const MATCHED_2026_5: usize = 376;

/// What the stand-in does not do: release (none: both), number, reason.
const NOT_HERE: &[(Option<Release>, &str, &str)] = &[
    (None, "157", "OPTIONS describes every field to people; no driver asks"),
    (
        Some(Release::R2026_5),
        "159",
        "the router compresses; nothing here does",
    ),
];

/// What was done between two recordings and was not recorded: before which number, method, path, body.
/// `FLOWS` stands for the flows that every provider needs.
fn unrecorded(number: &str) -> Vec<(Method, String, Value)> {
    let mut steps = Vec::new();
    match number {
        "161" => {
            for at in 0..5 {
                let description = if at % 2 == 1 {
                    "description alpha"
                } else {
                    "description beta"
                };
                let provider = json!({
                    "name": format!("flt-{at}"), "client_id": format!("flt-client-{at}"), "FLOWS": null, "redirect_uris": [],
                    "grant_types": ["authorization_code"],
                });
                steps.push((Method::POST, "/api/v3/providers/oauth2/".to_owned(), provider));
                let application = json!({
                    "name": format!("Flt {at}"), "slug": format!("flt-{at}"), "meta_description": description,
                    "PROVIDER": format!("flt-client-{at}"),
                });
                steps.push((Method::POST, "/api/v3/core/applications/".to_owned(), application));
            }
        }
        "208" => {
            let path = "/api/v3/core/applications/flt-4/".to_owned();
            steps.push((Method::PATCH, path, json!({ "meta_hide": true })));
        }
        "210" => {
            let path = "/api/v3/core/applications/flt-3/".to_owned();
            steps.push((Method::PATCH, path, json!({ "meta_description": "x" })));
        }
        "235" => {
            for slug in ["flt-2", "flt-3", "flt-4", "tx-app"] {
                steps.push((
                    Method::DELETE,
                    format!("/api/v3/core/applications/{slug}/"),
                    Value::Null,
                ));
            }
            for client_id in ["flt-client-2", "flt-client-3", "flt-client-4", "tx-client"] {
                steps.push((Method::DELETE, format!("PROVIDER {client_id}"), Value::Null));
            }
        }
        "322" => {
            let application = json!({ "name": "Poison A", "slug": "poison-a" });
            steps.push((Method::POST, "/api/v3/core/applications/".to_owned(), application));
        }
        "325" => steps.push((
            Method::DELETE,
            "/api/v3/core/applications/poison-a/".to_owned(),
            Value::Null,
        )),
        _ => {}
    }
    steps
}

/// One replay: a server, the names it gave, and other names for what the recording chose.
struct Replay {
    server: Authentik,
    web: Client,
    names: Names,
    renamed: BTreeMap<String, String>,
    flows: Value,
}

impl Replay {
    fn start(release: Release, renamed: BTreeMap<String, String>) -> Result<Self> {
        let server = Authentik::start(AuthentikOptions {
            release: Some(release),
            ..AuthentikOptions::default()
        })?;
        http::choose_crypto();
        let web = Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(20))
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            server,
            web,
            names: Names::default(),
            renamed,
            flows: Value::Null,
        })
    }

    /// A recorded text as it is sent, or expected, here.
    fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (old, new) in &self.renamed {
            text = text.replace(old.as_str(), new);
        }
        self.names.ours(&text)
    }

    fn value(&self, key: &str, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.text(text)),
            Value::Array(values) => values.iter().map(|value| self.value(key, value)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(key, value)| (key.clone(), self.value(key, value)));
                Value::Object(fields.collect())
            }
            Value::Number(number) => match (key, number.as_i64()) {
                ("provider", Some(pk)) => json!(self.names.number(Kind::Provider, pk)),
                // Users in bodies: `user` of a token, `pk` of a role's member.
                ("user" | "pk", Some(pk)) => json!(self.names.number(Kind::User, pk)),
                _ => value.clone(),
            },
            other => other.clone(),
        }
    }

    fn request(&self, recording: &Recording) -> Result<reqwest::RequestBuilder> {
        let sent = &recording.request;
        let method: Method = sent.method.parse()?;
        let url = format!("{}{}", self.server.url(), self.text(&sent.path));
        let mut request = self.web.request(method, url);
        let mut form = false;
        for (name, value) in &sent.headers {
            let value = value.as_str().unwrap_or_default();
            let value = match value.strip_prefix("Basic ") {
                Some(encoded) => basic(encoded, |text| self.text(text))?,
                None => self.text(value),
            };
            form |= value == "application/x-www-form-urlencoded";
            request = request.header(name, value);
        }
        // The requests that say nothing of who sent them are those of the races.
        if sent.headers.is_empty() {
            request = request
                .bearer_auth(ADMIN_TOKEN)
                .header("user-agent", "transcript-recorder")
                .header("content-type", "application/json");
        }
        Ok(match &sent.body {
            None => request,
            // Bytes that are no UTF-8 were recorded as Latin-1.
            Some(Value::String(text)) => {
                let bytes: Vec<u8> = text.chars().filter_map(|c| u8::try_from(u32::from(c)).ok()).collect();
                request.body(bytes)
            }
            Some(Value::Object(fields)) if form => {
                let fields = fields
                    .iter()
                    .map(|(key, value)| (key, self.text(value.as_str().unwrap_or_default())));
                let mut pairs = url::form_urlencoded::Serializer::new(String::new());
                for (key, value) in fields {
                    pairs.append_pair(key, &value);
                }
                request.body(pairs.finish())
            }
            Some(body) => request.body(self.value("", body).to_string()),
        })
    }

    /// What is not in the recordings, and what the state of the server was.
    async fn prepare(&self, recording: &Recording) -> Result<()> {
        for (method, path, body) in unrecorded(&recording.number) {
            let path = match path.strip_prefix("PROVIDER ") {
                Some(client_id) => self.provider_path(&self.text(client_id))?,
                None => self.text(&path),
            };
            let url = format!("{}{path}", self.server.url());
            let mut request = self.web.request(method, url).bearer_auth(ADMIN_TOKEN);
            if let Value::Object(mut fields) = self.value("", &body) {
                if fields.remove("FLOWS").is_some() {
                    fields.extend(self.flows.as_object().cloned().unwrap_or_default());
                }
                if let Some(client_id) = fields.remove("PROVIDER") {
                    let provider = self.server.provider(client_id.as_str().unwrap_or_default());
                    fields.insert("provider".to_owned(), provider.context("no provider")?["pk"].clone());
                }
                request = request.json(&fields);
            }
            let answer = request.send().await?;
            let status = answer.status();
            ensure!(
                status.is_success(),
                "before {}: {path} {status} {}",
                recording.number,
                answer.text().await?
            );
        }
        match recording.number.as_str() {
            "001" => self.server.starting(true),
            "368" => self.server.database_down(true),
            "377" => self.server.fault(bad_gateway().after_effect()),
            "378" => self.server.fault(bad_gateway()),
            "002" | "376" => self.server.heal(),
            _ => {}
        }
        Ok(())
    }

    fn provider_path(&self, client_id: &str) -> Result<String> {
        let provider = self
            .server
            .provider(client_id)
            .with_context(|| format!("no provider {client_id}"))?;
        Ok(format!("/api/v3/providers/oauth2/{}/", provider["pk"]))
    }

    /// Sends a recorded request; all that is different, if anything is.
    async fn play(&mut self, recording: &Recording) -> Result<Vec<String>> {
        self.prepare(recording).await?;
        let answer = if recording.name == "race-same-client-id" {
            self.race(recording).await?
        } else {
            self.request(recording)?.send().await?
        };
        let mut found = Vec::new();
        let recorded = &recording.response;
        if answer.status() != recorded.status {
            found.push(format!("status: {} is {}", recorded.status, answer.status().as_u16()));
        }
        for name in [
            "content-type",
            "allow",
            "retry-after",
            "location",
            "www-authenticate",
            "cache-control",
        ] {
            let expected = recorded.header(name).map(|value| self.text(value));
            let ours = answer.headers().get(name).map(|value| value.to_str()).transpose()?;
            // Recordings of failed connections have no headers.
            if !recorded.headers.is_empty() && expected.as_deref() != ours {
                found.push(format!("{name}: {expected:?} is {ours:?}"));
            }
        }
        let text = answer.text().await?;
        let ours: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
        self.learn(recording, &ours);
        found.extend(match (&recorded.body, &ours) {
            (Value::String(recorded), Value::String(ours)) => pages(recorded, ours),
            _ => {
                let expected = self.expected(&recording.request.path, &recorded.body);
                let ours = unordered(&recording.request.path, ours.clone());
                compare::bodies(&mut self.names, &expected, &ours)
            }
        });
        Ok(found)
    }

    /// Notes what stands for what, in the original names.
    fn learn(&mut self, recording: &Recording, ours: &Value) {
        if recording.number == "016" {
            self.flows["authorization_flow"] = ours["results"][0]["pk"].clone();
        }
        if recording.number == "018" {
            self.flows["invalidation_flow"] = ours["results"][0]["pk"].clone();
        }
    }

    /// The recorded body with our names of what the recording chose, and this server's address.
    fn expected(&self, path: &str, body: &Value) -> Value {
        let body = renamed(body, &|text| {
            let mut text = text.to_owned();
            for port in ["19000", "29000"] {
                text = text.replace(&format!("http://127.0.0.1:{port}"), &self.server.url());
            }
            for (old, new) in &self.renamed {
                text = text.replace(old.as_str(), new);
            }
            text
        });
        unordered(path, body)
    }

    /// Several creates of one client at once; the answer to one that the database refused. Who is first is chance: the names of
    /// the winners, then and now, stand for each other.
    async fn race(&mut self, recording: &Recording) -> Result<reqwest::Response> {
        self.server.race_window(Duration::from_millis(300));
        let body = recording.request.body.clone().context("a create without a body")?;
        let name = body["name"].as_str().unwrap_or_default();
        let mut requests = Vec::new();
        for at in 0..4 {
            let mut recording = recording.clone();
            let mut body = body.clone();
            body["name"] = json!(name.replace('N', &at.to_string()));
            recording.request.body = Some(body);
            requests.push(self.request(&recording)?.send());
        }
        let (mut refused, mut created) = (None, Vec::new());
        for answer in join_all(requests).await {
            let answer = answer?;
            match answer.status().as_u16() {
                405 => refused = Some(answer),
                status => created.push((status, answer.json::<Value>().await?)),
            }
        }
        self.server.race_window(Duration::ZERO);
        let [(201, winner)] = created.as_slice() else {
            bail!("not one of the rivals was created, but {created:?}");
        };
        let former = if name == "race-1-N" { "race-1-0" } else { "race-2-1" };
        self.names.learn(former, winner["name"].as_str().unwrap_or_default());
        refused.context("no rival was refused")
    }
}

/// A worker that goes away with a request.
fn bad_gateway() -> Rule {
    Rule::new("/api/v3/providers/oauth2/", Fault::BadGateway).times(1)
}

/// Pages are compared by their heading and the sentence below it.
fn pages(recorded: &str, ours: &str) -> Vec<String> {
    let part = |page: &str, tag: &str| {
        let rest = page.split_once(&format!("<{tag}"))?.1.split_once('>')?.1;
        Some(rest.split_once(&format!("</{tag}>"))?.0.trim().to_owned())
    };
    let mut found = Vec::new();
    if recorded.is_empty() != ours.is_empty() {
        found.push(format!("page: {} bytes are {}", recorded.len(), ours.len()));
    }
    for tag in ["h1", "p"] {
        if part(recorded, tag) != part(ours, tag) {
            found.push(format!("<{tag}>: {:?} is {:?}", part(recorded, tag), part(ours, tag)));
        }
    }
    found
}

/// The list of all kinds of providers has no order, nor has that of what uses a provider. The number of events depends on what
/// was not recorded.
fn unordered(path: &str, mut body: Value) -> Value {
    if path.starts_with("/api/v3/providers/all/")
        && let Some(results) = body["results"].as_array_mut()
    {
        results.sort_by_key(|result| result["name"].to_string());
    }
    if path.ends_with("/used_by/")
        && let Some(users) = body.as_array_mut()
    {
        // By kind and name: pks are ours or theirs.
        users.sort_by_key(|user| (user["model_name"].to_string(), user["name"].to_string()));
    }
    if path.contains("/events/events/") {
        body["pagination"] = Value::Null;
    }
    body
}

fn renamed(value: &Value, text: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(old) => json!(text(old)),
        Value::Array(values) => values.iter().map(|value| renamed(value, text)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), renamed(value, text)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn basic(encoded: &str, text: impl Fn(&str) -> String) -> Result<String> {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let plain = String::from_utf8(STANDARD.decode(encoded)?)?;
    Ok(format!("Basic {}", STANDARD.encode(text(&plain))))
}

/// Replays a release. Every recording agrees, or stands in [`NOT_HERE`].
#[expect(clippy::print_stderr, reason = "the number that agree is to be seen")]
async fn run(release: Release, other_names: &[(&str, &str)], least: usize) -> Result<()> {
    let renamed = other_names
        .iter()
        .map(|(old, new)| ((*old).to_owned(), (*new).to_owned()));
    let mut replay = Replay::start(release, renamed.collect())?;
    let recordings = recording::all(release)?;
    let (mut matched, mut listed, mut wrong) = (0, 0, Vec::new());
    for recording in &recordings {
        let found = replay.play(recording).await.with_context(|| recording.number.clone())?;
        let name = format!("{} {}", recording.number, recording.name);
        match (found.is_empty(), not_here(release, recording)) {
            (true, false) => matched += 1,
            (false, true) => listed += 1,
            (true, true) => wrong.push(format!("{name} agrees: take it off the list")),
            (false, false) => wrong.push(format!("{name}\n    {}", found.join("\n    "))),
        }
    }
    let names = if other_names.is_empty() { "its" } else { "other" };
    let all = recordings.len();
    eprintln!(
        "{release:?} with {names} names: {matched} of {all} recorded answers agree, {listed} are listed as not here"
    );
    ensure!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
    ensure!(matched >= least, "{matched} agree, {least} did before");
    let mut findings = replay.server.findings();
    // It stands in `NOT_HERE`.
    findings.retain(|finding| !finding.contains(": OPTIONS /"));
    ensure!(
        findings.is_empty(),
        "the documents forbid {} things\n{}",
        findings.len(),
        findings.join("\n")
    );
    Ok(())
}

fn not_here(release: Release, recording: &Recording) -> bool {
    NOT_HERE
        .iter()
        .any(|(only, number, _)| only.is_none_or(|only| only == release) && *number == recording.number)
}

/// What the recording chose, and what is sent in its place: nothing may depend on one of these names.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("throwaway-secret", "another-secret"),
    ("demo", "dummy"),
    ("Demo", "Dummy"),
    ("DEMO", "DUMMY"),
    ("flt", "qux"),
    ("Flt", "Qux"),
    ("FLT", "QUX"),
    ("tx-", "ty-"),
    ("Tx ", "Ty "),
    ("life", "span"),
    ("perm-", "perk-"),
    ("Perm ", "Perk "),
    ("poison", "queer"),
    ("Poison", "Queer"),
    ("client-sa", "robot-sa"),
    ("api-client", "api-robot"),
    ("app.example.test", "app.elsewhere.test"),
];

#[tokio::test]
async fn recordings_of_2026_2_agree() {
    case::run(run(Release::R2026_2, &[], MATCHED_2026_2)).await;
}

#[tokio::test]
async fn recordings_of_2026_5_agree() {
    case::run(run(Release::R2026_5, &[], MATCHED_2026_5)).await;
}

#[tokio::test]
async fn recordings_of_2026_2_agree_with_other_names() {
    case::run(run(Release::R2026_2, OTHER_NAMES, MATCHED_2026_2)).await;
}

#[tokio::test]
async fn recordings_of_2026_5_agree_with_other_names() {
    case::run(run(Release::R2026_5, OTHER_NAMES, MATCHED_2026_5)).await;
}
