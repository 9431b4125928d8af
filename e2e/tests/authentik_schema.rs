//! Recorded exchanges with real servers against authentik's own OpenAPI documents.

#[path = "authentik_replay/recording.rs"]
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::Result;
use oidc_operator_e2e::authentik;
use oidc_operator_e2e::authentik_schema::{self, CHANGES, Checked, DIFFERENCES, Findings, Release};
use oidc_operator_e2e::openapi::{Content, Exchange};
use recording::Recording;
use serde_json::{Value, json};

const RECORDED: [authentik::Release; 2] = [authentik::Release::R2026_2, authentik::Release::R2026_5];

/// Requests that were accepted and are not in documents, nor for them.
const ACCEPTED_ANYHOW: &[(&str, &str)] = &[
    ("056", "a field that no release has"),
    ("074", "a slug that is too long for 2025.8"),
    ("157", "OPTIONS"),
    ("168", "a filter that no release has"),
    ("186", "a page that is no number"),
    ("189", "a page size that is no number"),
    ("207", "a filter that no release has"),
    ("258", "users of a role; 2025.8 has rights of users"),
    ("336", "a field that no release has"),
];

/// What was checked, and with which result.
#[derive(Default)]
struct Tally {
    checks: usize,
    explained: BTreeMap<&'static str, usize>,
    unexplained: BTreeSet<String>,
}

impl Tally {
    fn add(&mut self, recording: &Recording, checked: Checked) {
        self.count(&recording.number, &recording.name, checked);
    }

    fn count(&mut self, number: &str, name: &str, checked: Checked) {
        self.checks += 1;
        for name in checked.explained {
            *self.explained.entry(name).or_default() += 1;
        }
        let unexplained = checked.unexplained.iter();
        self.unexplained
            .extend(unexplained.map(|violation| format!("{number} {name}: {violation}")));
    }
}

/// Answers of the stand-in for which there is no recording: what for, method, path, status and body.
fn unrecorded() -> [(&'static str, &'static str, &'static str, u16, Value); 2] {
    let id = "57ca5eec-aad0-45b3-8865-b2e40bbff193";
    let binding = json!({
        "pk": id, "policy": null, "group": null, "user": 5, "policy_obj": null, "group_obj": null, "target": id, "order": 0,
        "user_obj": { "pk": 5, "username": "jane", "name": "jane", "uid": "5" },
    });
    let who = json!({ "detail": "Authentication credentials were not provided." });
    [
        ("bindings", "POST", "/api/v3/policies/bindings/", 201, binding),
        ("who asks", "PUT", "/api/v3/providers/oauth2/", 403, who),
    ]
}

/// What a real server answered, and what it accepted, agrees with the document of its release or is on the list; the same holds
/// for the documents of other releases. And the list has nothing else.
#[test]
fn recorded_exchanges_agree_with_the_documents() -> Result<()> {
    let started = Instant::now();
    let (mut own, mut others, mut recordings) = (Tally::default(), Tally::default(), 0);
    for release in RECORDED {
        let server = Release::from(release);
        for recording in recording::all(release)? {
            recordings += 1;
            let body = Exchanged::new(&recording);
            let exchange = body.exchange();
            let accepted = (200..300).contains(&exchange.status)
                && !ACCEPTED_ANYHOW.iter().any(|(number, _)| *number == recording.number);
            for document in Release::ALL {
                let tally = if document == server { &mut own } else { &mut others };
                tally.add(&recording, authentik_schema::check_answer(document, server, &exchange)?);
                // 2026.2 accepts any value in fields that came later, so what it accepted says nothing about others.
                if accepted && (document == server || server == Release::R2026_5) {
                    tally.add(&recording, authentik_schema::check_request(document, &exchange)?);
                }
            }
        }
    }
    for (what, tally) in [("their own release", &own), ("other releases", &others)] {
        println!(
            "{recordings} recordings, documents of {what}: {} checks, {} unexplained; explained: {:?}",
            tally.checks,
            tally.unexplained.len(),
            tally.explained
        );
    }
    for (name, method, path, status, answer) in &unrecorded() {
        let exchange = Exchange {
            method,
            path,
            query: "",
            request: Content::Nothing,
            status: *status,
            response: Content::Json(answer),
        };
        for document in Release::ALL {
            let checked = authentik_schema::check_answer(document, Release::R2026_5, &exchange)?;
            others.count(name, "", checked);
        }
    }
    let icon = json!({ "meta_icon": "https://app.example.test/icon.png" });
    let by_operator = Exchange {
        method: "PATCH",
        path: "/api/v3/core/applications/web/",
        query: "",
        request: Content::Json(&icon),
        status: 200,
        response: Content::Nothing,
    };
    for document in Release::ALL {
        let checked = authentik_schema::check_request(document, &by_operator)?;
        others.count("icon", "", checked);
    }
    println!("in {:?}", started.elapsed());
    let nothing = BTreeSet::new();
    assert_eq!(own.unexplained, nothing);
    assert_eq!(others.unexplained, nothing);

    let names = DIFFERENCES
        .iter()
        .map(|one| one.name)
        .chain(CHANGES.iter().map(|one| one.field));
    let unused: Vec<_> = names
        .filter(|name| !own.explained.contains_key(name) && !others.explained.contains_key(name))
        .collect();
    assert!(unused.is_empty(), "entries that explain nothing: {unused:?}");
    Ok(())
}

/// A provider as the operator could create it, with one more field.
fn with(field: &str, value: Value) -> Value {
    let mut body = json!({
        "name": "a",
        "authorization_flow": "57ca5eec-aad0-45b3-8865-b2e40bbff193",
        "invalidation_flow": "b7920db7-d4e7-474e-aaf1-58e5d6222d34",
        "redirect_uris": [],
    });
    body[field] = value;
    body
}

/// A request to create this, and an answer to it.
fn create<'a>(request: &'a Value, status: u16, response: &'a Value) -> Exchange<'a> {
    Exchange {
        method: "POST",
        path: "/api/v3/providers/oauth2/",
        query: "",
        request: Content::Json(request),
        status,
        response: Content::Json(response),
    }
}

#[test]
fn a_request_must_suit_all_releases() {
    let started = Instant::now();
    let refused = json!({ "detail": "no" });
    let found = |request: &Value| {
        let findings = Findings::default();
        findings.request(&create(request, 403, &refused));
        findings.all()
    };
    assert_eq!(found(&with("grant_types", json!(["authorization_code"]))), [""; 0]);
    println!("the first exchange took {:?}", started.elapsed());

    let unknown = found(&with("issuer", json!("a")));
    assert_eq!(unknown.len(), 5, "{unknown:?}");
    let later = found(&with(
        "grant_types",
        json!(["urn:ietf:params:oauth:grant-type:token-exchange"]),
    ));
    assert_eq!(later.len(), 1, "2026.5 has the field without this value: {later:?}");
    assert!(
        later[0].starts_with("authentik 2026.5: POST /providers/oauth2/: request at /grant_types/0: "),
        "{later:?}"
    );
}

#[test]
fn an_answer_must_be_one_of_the_release_that_is_played() {
    let request = with("client_type", json!("public"));
    let found = |status, response: &Value| {
        let findings = Findings::default();
        findings.answer(Release::R2026_2, &create(&request, status, response));
        findings.all()
    };
    assert_eq!(found(400, &json!({ "name": ["This field must be unique."] })), [""; 0]);
    assert_eq!(found(404, &json!({ "detail": "Not found." })), [""; 0]);
    assert_eq!(
        found(404, &json!({ "message": "Not found." })).len(),
        5,
        "no server says it so"
    );
    assert_eq!(
        found(409, &json!({ "detail": "There is one." })).len(),
        5,
        "no document has it"
    );
    let missing = found(201, &json!({ "pk": 1, "grant_types": [] }));
    let of_later = |sentence: &&String| sentence.contains("at /grant_types: there is no such field");
    assert_eq!(
        missing.iter().filter(of_later).count(),
        3,
        "2026.2 has no such field: {missing:?}"
    );
    assert!(
        missing
            .iter()
            .any(|sentence| sentence.contains("answer at /name: the field is missing"))
    );
}

/// A recording, with its path as a server sees it.
struct Exchanged<'a> {
    recording: &'a Recording,
    path: String,
    query: &'a str,
}

impl<'a> Exchanged<'a> {
    fn new(recording: &'a Recording) -> Self {
        let sent = recording.request.path.as_str();
        let (path, query) = sent.split_once('?').unwrap_or((sent, ""));
        Self {
            recording,
            // The only escape that the recordings have.
            path: path.replace("%2F", "/"),
            query,
        }
    }

    fn exchange(&self) -> Exchange<'_> {
        let (request, answer) = (&self.recording.request, &self.recording.response);
        let mut headers = request.headers.iter();
        let sent = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let sent = sent.and_then(|(_, value)| value.as_str()).unwrap_or_default();
        Exchange {
            method: &request.method,
            path: &self.path,
            query: self.query,
            request: content(request.body.as_ref().unwrap_or(&Value::Null), sent),
            status: answer.status,
            response: content(&answer.body, answer.header("content-type").unwrap_or_default()),
        }
    }
}

fn content<'a>(body: &'a Value, content_type: &'a str) -> Content<'a> {
    match body {
        Value::Null => Content::Nothing,
        Value::String(text) if text.is_empty() => Content::Nothing,
        Value::String(_) => Content::Other(content_type),
        _ => Content::Json(body),
    }
}
