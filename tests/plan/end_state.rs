//! What there is at the end of a history, without what differs from run to run.

use std::{collections::BTreeMap, fmt::Write as _};

use oidc_operator::{api::OIDCClientStatus, domain::ObservedSecret, plan::snapshot::OutputView};

use crate::simulator::Simulator;

impl Simulator {
    /// What the operator wrote but for status, without what differs from run to run: uids, versions, times, random values.
    pub fn end_state(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| writeln!(text, "{line}").unwrap();
        for ((kind, name), view) in &self.cluster.objects {
            let owners: Vec<_> = view.owners.iter().map(|owner| &owner.name).collect();
            line(format!("{kind} {name} of {owners:?}, immutable: {}", view.immutable));
            line(format!("  labels: {:?}", view.labels));
            line(format!("  annotations: {:?}", masked(view)));
            for (key, value) in &view.data {
                let value = match (key.as_str(), String::from_utf8_lossy(value)) {
                    ("client-secret", value) if self.valid_secret().as_deref() == Some(&*value) => "valid".to_owned(),
                    ("client-secret", _) => "not valid".to_owned(),
                    (_, value) => value.into_owned(),
                };
                line(format!("  {key}: {value:?}"));
            }
        }
        for mut client in self.driver.clients() {
            client.remote_id.clear();
            if let ObservedSecret::Shown(_) = client.secret {
                client.secret = ObservedSecret::NotShown;
            }
            line(format!("{client:?}"));
        }
        if !self.gone {
            line(format!("finalizer: {}", self.world.client.finalizer));
        }
        text
    }
}

/// Annotations without digests of random values, times and ids; a digest shows only whether it is right.
fn masked(view: &OutputView) -> BTreeMap<&str, String> {
    view.annotations
        .iter()
        .filter(|(key, _)| !key.ends_with("/rotation-attempt") && !key.ends_with("/rotated-at"))
        .map(|(key, value)| {
            let value = if key.ends_with("/client-secret-sha256") {
                format!("right: {}", view.intact_secret().is_some())
            } else {
                value.clone()
            };
            (key.as_str(), value)
        })
        .collect()
}

/// Conditions and facts on a few lines.
pub fn summary(status: &OIDCClientStatus) -> String {
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .map(|condition| format!("{}={:?}/{}", condition.type_, condition.status, condition.reason))
        .collect();
    format!(
        "{}\nclient {:?}, remote {:?}, binding {:?}, enforcement {:?}",
        conditions.join(" "),
        status.client_id,
        status.remote.as_ref().map(|remote| &remote.id),
        status.binding.as_ref().map(|binding| &binding.name),
        status.enforcement
    )
}
