//! Objects and events for tests of watches.

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::runtime::watcher::Event;

pub(super) fn map(name: &str, generation: i64) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("n".to_owned()),
            uid: Some(format!("uid-{name}")),
            generation: Some(generation),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    }
}

/// A whole list.
pub(super) fn listed(names: &[&str]) -> Vec<Event<ConfigMap>> {
    let mut events = vec![Event::Init];
    events.extend(names.iter().map(|name| Event::InitApply(map(name, 1))));
    events.push(Event::InitDone);
    events
}
