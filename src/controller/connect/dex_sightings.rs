//! The objects of a Dex that is managed by its configuration file, as Kubernetes tells of them without being asked. Metadata is all that
//! is taken of them.

use futures::{Stream, StreamExt as _, stream::BoxStream};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event},
};

use super::dex_config;
use crate::{
    api::dex_config::{DexConfig, DexConfigKind},
    idp::dex::config::{Part, Sighting, Version},
    kubernetes::watch::{Failure, answering, prune_metadata, watch_and_tell},
    telemetry::metrics::Metrics,
};

/// Follows what the operator writes for `config`, each object by its name: the right to watch a Deployment is given by name.
pub(super) fn follow(
    kube: &Client,
    metrics: &Metrics,
    namespace: &str,
    config: &DexConfig,
) -> BoxStream<'static, Sighting> {
    let source = Source {
        kube: answering(kube),
        metrics: metrics.clone(),
        namespace: namespace.to_owned(),
    };
    let target = &config.target.name;
    let target = match config.target.kind {
        DexConfigKind::ConfigMap => source.object::<ConfigMap>(Part::Target, target),
        DexConfigKind::Secret => source.object::<Secret>(Part::Target, target),
    };
    let keys = source.object::<Secret>(Part::Keys, &config.target.keys_name());
    let workload = source.object::<Deployment>(Part::Workload, &config.workload.name);
    futures::stream::select_all([target, keys, workload]).boxed()
}

struct Source {
    kube: Client,
    metrics: Metrics,
    namespace: String,
}

impl Source {
    fn object<K>(&self, part: Part, name: &str) -> BoxStream<'static, Sighting>
    where
        K: Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Send
            + Sync
            + 'static,
    {
        let (watch, operation) = match part {
            Part::Target => ("dex-config-target", "watch target"),
            Part::Keys => ("dex-config-keys", "watch secrets"),
            Part::Workload => ("dex-config-workload", "watch deployments"),
        };
        let api: Api<PartialObjectMeta<K>> = Api::namespaced(self.kube.clone(), &self.namespace);
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let events = watch_and_tell(watch, api, config, prune_metadata, self.metrics.clone());
        sightings(part, operation, events).boxed()
    }
}

/// What the watch of one object tells. After each list it is told of once, there or not.
fn sightings<K>(
    part: Part,
    operation: &'static str,
    events: impl Stream<Item = Result<Event<PartialObjectMeta<K>>, Failure>> + Send,
) -> impl Stream<Item = Sighting> + Send
where
    K: Send + Sync,
{
    let mut listed = None;
    events.filter_map(move |event| {
        let shown = match event {
            Ok(Event::Init) => {
                listed = None;
                None
            }
            Ok(Event::InitApply(object)) => {
                listed = Some(version(part, &object.metadata));
                None
            }
            Ok(Event::InitDone) => Some(Ok(listed.take())),
            Ok(Event::Apply(object)) => Some(Ok(Some(version(part, &object.metadata)))),
            Ok(Event::Delete(_)) => Some(Ok(None)),
            Err(failure) => Some(Err(dex_config::failed(operation, &failure.as_call(operation)))),
        };
        std::future::ready(shown.map(|shown| Sighting { part, shown }))
    })
}

fn version(part: Part, metadata: &ObjectMeta) -> Version {
    match part {
        Part::Target | Part::Keys => dex_config::version(metadata),
        Part::Workload => Version::of_template(
            metadata.uid.clone().unwrap_or_default(),
            metadata.generation.unwrap_or_default(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use kube::core::{ObjectMeta, Status};

    use super::*;
    use crate::domain::IdpErrorKind;

    fn object(generation: i64) -> PartialObjectMeta<Deployment> {
        PartialObjectMeta {
            metadata: ObjectMeta {
                uid: Some("u".to_owned()),
                resource_version: Some("700".to_owned()),
                generation: Some(generation),
                ..ObjectMeta::default()
            },
            ..PartialObjectMeta::default()
        }
    }

    #[tokio::test]
    async fn what_was_listed_is_told_at_the_end_of_the_list() {
        let forbidden = kube::Error::Api(Status::failure("no", "Forbidden").with_code(403).boxed());
        let events = stream::iter(vec![
            Ok(Event::Init),
            Ok(Event::InitDone),
            Ok(Event::Apply(object(4))),
            Ok(Event::Delete(object(4))),
            Err(Failure::Told(watcher::Error::InitialListFailed(forbidden))),
            Ok(Event::Init),
            Ok(Event::InitApply(object(5))),
            Ok(Event::InitDone),
        ]);
        let told: Vec<Sighting> = sightings(Part::Workload, "watch deployments", events).collect().await;
        let told: Vec<Result<Option<String>, IdpErrorKind>> = told
            .into_iter()
            .map(|sighting| match sighting.shown {
                Ok(shown) => Ok(shown.map(|version| version.resource_version)),
                Err(error) => {
                    assert!(error.message.contains("config/dex-config"), "{error}");
                    Err(error.kind)
                }
            })
            .collect();
        let generation = |number: &str| Ok(Some(number.to_owned()));
        let expected = [
            Ok(None),
            generation("4"),
            Ok(None),
            Err(IdpErrorKind::Forbidden),
            generation("5"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_target_is_told_of_by_its_version() {
        assert_eq!(version(Part::Target, &object(4).metadata).resource_version, "700");
    }
}
