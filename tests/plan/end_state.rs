//! What there is at the end of a history, without what differs from run to run.

use std::{collections::BTreeMap, fmt::Write as _};

use oidc_operator::{
    api::OIDCClientStatus,
    domain::{ObservedSecret, Validity, digest},
    plan::{
        drafts, outputs,
        restarts::fingerprint,
        snapshot::{OutputView, WorkloadView},
        step::OutputKind,
    },
};

use crate::simulator::{Simulator, name_of};

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
            let generated = outputs::generated(view);
            for (key, value) in &view.data {
                let mut value = match (key == view.client_secret_key(), String::from_utf8_lossy(value)) {
                    (true, value) if self.is_valid(&value) => "valid".to_owned(),
                    (true, _) => "not valid".to_owned(),
                    (false, value) => value.into_owned(),
                };
                // Copies of random values, in keys of several formats and in templates.
                for (key, random) in generated.iter() {
                    value = value.replace(random, &format!("<{key}>"));
                }
                if let Some(secret) = view.client_secret() {
                    value = value.replace(secret.expose(), "<client secret>");
                    value = value.replace(&name_of(secret.expose()), "<key id>");
                }
                line(format!("  {key}: {value:?}"));
            }
        }
        for (reference, model) in &self.cluster.workloads {
            line(format!(
                "{reference}: {}, restarts: {}",
                self.noted(&model.view),
                model.restarts.len()
            ));
        }
        for mut client in self.driver.clients() {
            client.remote_id.clear();
            let previous = match &client.secret {
                ObservedSecret::Keys(keys) => keys.len() > 1,
                _ => self.driver.previous(&client.client_id).is_some(),
            };
            client.validity = Validity::default();
            if let ObservedSecret::Shown(_) | ObservedSecret::Keys(_) = client.secret {
                client.secret = ObservedSecret::NotShown;
            }
            line(format!("{client:?}, with a former secret: {previous}"));
        }
        if !self.gone {
            line(format!("finalizer: {}", self.world.client.finalizer));
        }
        text
    }
}

impl Simulator {
    /// What a workload tells of the outputs that it was started with.
    pub fn noted(&self, workload: &WorkloadView) -> &'static str {
        let WorkloadView::Found(workload) = workload else {
            return "not readable";
        };
        let Some(noted) = workload.annotations.get("restart.oidc-operator.io/web") else {
            return "nothing noted";
        };
        let client = &self.world.client;
        let secret = self.cluster.get(OutputKind::Secret, &client.secret_name());
        let config_map = self.cluster.get(OutputKind::ConfigMap, &client.config_map_name());
        let now = secret
            .zip(config_map)
            .and_then(|(secret, map)| fingerprint(secret, map));
        if now.as_ref() == Some(noted) {
            "with these outputs"
        } else {
            "with other outputs"
        }
    }
}

/// Annotations without digests of random values, times and ids; a digest shows only whether it is right.
fn masked(view: &OutputView) -> BTreeMap<&str, String> {
    view.annotations
        .iter()
        .filter(|(key, _)| !key.ends_with("/rotation-attempt") && !key.ends_with("/rotated-at"))
        .map(|(key, value)| {
            let value = match key.rsplit('/').next() {
                Some("client-secret-sha256") => format!("right: {}", view.intact_secret().is_some()),
                Some("output-sha256") => format!("right: {}", *value == digest::of_data(&view.data)),
                Some("data-sha256") => format!("right: {}", !drafts::was_edited(view)),
                Some("previous-secret-valid-until") => "a time".to_owned(),
                Some("previous-key") => "a key".to_owned(),
                Some("restart-salt") => "random".to_owned(),
                Some("generated-sha256") => format!("{:?}, lost: {:?}", outputs::generated(view), outputs::lost(view)),
                _ => value.clone(),
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
