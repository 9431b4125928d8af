//! Rows of the tables: a rule, what it lets through, what it refuses.

use anyhow::{Result, ensure};
use oidc_operator::api::rules::CelRule;
use serde_json::{Map, Value, json};

use crate::server::{Cause, Server};

/// The two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Provider,
    Client,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Provider => "OIDCProvider",
            Self::Client => "OIDCClient",
        }
    }

    /// The smallest usual object; an attempt's `spec` is a JSON merge patch (RFC 7396) on it.
    pub(crate) fn base(self) -> Value {
        match self {
            Self::Provider => json!({
                "type": "Dex",
                "issuer": {"issuerURL": "https://dex.example.com/dex"},
                "dex": {"type": "GRPC", "grpc": {
                    "address": "dex.identity.svc:5557",
                    "certificateAuthority": {"name": "dex-ca"},
                    "clientCertificateSecretRef": {"name": "dex-grpc-client"},
                }},
            }),
            Self::Client => json!({
                "providerRef": {"name": "dex"},
                "redirectURIs": ["https://app.example.com/cb"],
            }),
        }
    }

    /// The base object's spec with a patch.
    pub(crate) fn patched(self, patch: &Value) -> Value {
        let mut spec = self.base();
        merge(&mut spec, patch);
        spec
    }
}

/// The patch that makes the base OIDCProvider one of Keycloak, with `patch` on its block.
pub(crate) fn keycloak(patch: &Value) -> Value {
    let mut block = json!({
        "adminURL": "https://keycloak.identity.svc:8443",
        "realm": "apps",
        "credentials": {"type": "ClientCredentials", "clientCredentials": {
            "clientID": "oidc-operator",
            "clientSecretRef": {"name": "keycloak-admin", "key": "clientSecret"},
        }},
    });
    merge(&mut block, patch);
    json!({"type": "Keycloak", "dex": null, "keycloak": block})
}

/// The patch that makes the base OIDCProvider one of Keycloak, with `patch` on its credentials by password.
pub(crate) fn keycloak_password(patch: &Value) -> Value {
    let mut password = json!({
        "usernameSecretRef": {"name": "keycloak-admin", "key": "username"},
        "passwordSecretRef": {"name": "keycloak-admin", "key": "password"},
    });
    merge(&mut password, patch);
    keycloak(&json!({"credentials": {"type": "Password", "password": password, "clientCredentials": null}}))
}

/// The patch that makes the base OIDCProvider one of authentik, with `patch` on its block.
pub(crate) fn authentik(patch: &Value) -> Value {
    let mut block = json!({
        "publicURL": "https://auth.example.com",
        "adminURL": "https://authentik-server.authentik.svc",
        "tokenSecretRef": {"name": "authentik-token", "key": "token"},
    });
    merge(&mut block, patch);
    json!({"type": "Authentik", "dex": null, "issuer": {"issuerURL": null}, "authentik": block})
}

/// The patch that makes the base OIDCProvider one with dynamic registration, with `patch` on its block.
pub(crate) fn registration(patch: &Value) -> Value {
    let mut block = json!({
        "initialAccessTokenSecretRef": {"name": "initial", "key": "token"},
        "registrationURL": "https://sso.example.com/register",
    });
    merge(&mut block, patch);
    json!({"type": "DynamicRegistration", "dex": null, "dynamicRegistration": block})
}

/// The patch that makes the base OIDCProvider one whose clients are made by hand, with `patch` on its issuer.
pub(crate) fn by_hand(patch: &Value) -> Value {
    json!({"type": "Static", "dex": null, "issuer": patch})
}

/// An object that is created, or updated from `before`.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) name: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) spec: Value,
    pub(crate) widened: bool,
    also: Vec<String>,
}

/// Creates the base object with `patch`.
pub(crate) fn create(patch: Value) -> Attempt {
    Attempt {
        name: None,
        before: None,
        spec: patch,
        widened: false,
        also: Vec::new(),
    }
}

/// Updates the base object with patch `before` to the base object with patch `after`.
pub(crate) fn update(before: Value, after: Value) -> Attempt {
    Attempt {
        before: Some(before),
        ..create(after)
    }
}

impl Attempt {
    /// With this metadata.name.
    pub(crate) fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where the enums of types have one more value, `Other`.
    pub(crate) fn widened(mut self) -> Self {
        self.widened = true;
        self
    }

    /// Another rule, by the start of its message, refuses it too.
    pub(crate) fn also(mut self, rule: impl Into<String>) -> Self {
        self.also.push(rule.into());
        self
    }

    /// With the whole spec in place of the patches.
    pub(crate) fn complete(&self, kind: Kind) -> Self {
        let before = self.before.as_ref().map(|patch| kind.patched(patch));
        Self {
            before,
            spec: kind.patched(&self.spec),
            ..self.clone()
        }
    }
}

/// One rule, named by the start of its message.
pub(crate) struct Row {
    rule: String,
    accepted: Vec<Attempt>,
    refused: Vec<Attempt>,
}

/// A rule's row.
pub(crate) fn row<const A: usize, const R: usize>(
    rule: impl Into<String>,
    accepted: [Attempt; A],
    refused: [Attempt; R],
) -> Row {
    Row {
        rule: rule.into(),
        accepted: accepted.into(),
        refused: refused.into(),
    }
}

/// Tries all rows; every rule must have one row, with attempts of both sorts. A refusal names this rule, at its place, and no
/// other one.
pub(crate) async fn check(server: &Server, kind: Kind, rules: &[CelRule], rows: &[Row]) -> Result<()> {
    let mut wrong = Vec::new();
    for rule in rules {
        let matching: Vec<_> = rows.iter().filter(|row| rule.message.starts_with(&row.rule)).collect();
        match matching.as_slice() {
            [row] if !row.accepted.is_empty() && !row.refused.is_empty() => {}
            [_] => wrong.push(format!("rule without both sorts of attempts: {}", rule.message)),
            found => wrong.push(format!("rule with {} rows: {}", found.len(), rule.message)),
        }
    }
    for row in rows {
        let found: Vec<_> = rules
            .iter()
            .filter(|rule| rule.message.starts_with(&row.rule))
            .collect();
        let &[rule] = found.as_slice() else {
            wrong.push(format!("row that names {} rules: {}", found.len(), row.rule));
            continue;
        };
        for attempt in &row.accepted {
            let causes = server.attempt(kind, &attempt.complete(kind)).await?;
            if !causes.is_empty() {
                wrong.push(format!("refused: {attempt:?}\n  {causes:?}\n  of rule: {}", row.rule));
            }
        }
        for attempt in &row.refused {
            let causes = server.attempt(kind, &attempt.complete(kind)).await?;
            if let Err(why) = refusal(rule, attempt, &causes) {
                wrong.push(format!("{why}: {attempt:?}\n  {causes:?}\n  of rule: {}", row.rule));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        kind.name(),
        wrong.join("\n")
    );
    Ok(())
}

fn refusal(rule: &CelRule, attempt: &Attempt, causes: &[Cause]) -> Result<(), &'static str> {
    if causes.is_empty() {
        return Err("accepted");
    }
    let own = causes
        .iter()
        .find(|cause| cause.message.ends_with(rule.message))
        .ok_or("refused, but not by this rule")?;
    if !rule.path.is_empty() && place(&own.field) != rule.path.replace(".[]", "") {
        return Err("refused at another place");
    }
    if attempt
        .also
        .iter()
        .any(|other| !causes.iter().any(|cause| cause.message.contains(other.as_str())))
    {
        return Err("not refused by the other rule too");
    }
    let expected = |cause: &Cause| {
        cause.message.ends_with(rule.message) || attempt.also.iter().any(|other| cause.message.contains(other.as_str()))
    };
    if causes.iter().all(expected) {
        Ok(())
    } else {
        Err("refused by more than this rule")
    }
}

/// `spec.claims[tier].name` as `spec.claims.name`.
pub(crate) fn place(field: &str) -> String {
    let mut depth = 0;
    field
        .chars()
        .filter(|character| {
            depth += i32::from(*character == '[');
            let outside = depth == 0;
            depth -= i32::from(*character == ']');
            outside
        })
        .collect()
}

/// RFC 7396.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            members.remove(name);
        } else {
            merge(members.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
