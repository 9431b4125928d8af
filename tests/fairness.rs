//! Nobody starves: the queue as the operator uses it, under more load than it can bear (P1).

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    ResourceExt as _,
    core::ObjectMeta,
    runtime::{
        controller::{Action, Config, Controller},
        reflector::{self, ObjectRef},
        watcher::Event,
    },
};
use oidc_operator::controller::registry::Registry;

const OBJECTS: usize = 500;
const PERMITS: usize = 4;
const WORK: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
#[error("never")]
struct Never;

struct Load {
    registry: Registry,
    runs: Vec<AtomicUsize>,
}

async fn pass(object: Arc<ConfigMap>, load: Arc<Load>) -> Result<Action, Never> {
    let bulkhead = load.registry.bulkhead(None);
    let _permit = bulkhead.acquire().await;
    tokio::time::sleep(WORK).await;
    let number: usize = object.name_any().parse().unwrap();
    load.runs[number].fetch_add(1, Ordering::SeqCst);
    // At once again: as much load as there can be.
    Ok(Action::requeue(Duration::from_millis(1)))
}

#[tokio::test(start_paused = true)]
async fn every_object_has_its_turn_under_overload() {
    let (store, mut writer) = reflector::store();
    writer.apply_watcher_event(&Event::Init);
    for number in 0..OBJECTS {
        let metadata = ObjectMeta {
            name: Some(number.to_string()),
            ..ObjectMeta::default()
        };
        writer.apply_watcher_event(&Event::InitApply(ConfigMap {
            metadata,
            ..ConfigMap::default()
        }));
    }
    writer.apply_watcher_event(&Event::InitDone);
    let load = Arc::new(Load {
        registry: Registry::new(PERMITS),
        runs: (0..OBJECTS).map(|_| AtomicUsize::new(0)).collect(),
    });
    let names = futures::stream::iter((0..OBJECTS).map(|number| ObjectRef::new(&number.to_string())));
    let work = Controller::for_stream(futures::stream::pending(), store)
        .with_config(Config::default())
        .reconcile_on(names.chain(futures::stream::pending()))
        .run(pass, |_, _: &Never, _| Action::await_change(), load.clone())
        .for_each(|_| std::future::ready(()));
    let rounds = 10;
    let time = WORK * u32::try_from(OBJECTS / PERMITS * rounds).unwrap();
    let _ = tokio::time::timeout(time, work).await;
    let runs: Vec<usize> = load.runs.iter().map(|runs| runs.load(Ordering::SeqCst)).collect();
    let (least, most) = (runs.iter().min().unwrap(), runs.iter().max().unwrap());
    assert!(
        *least + 2 >= *most && *least + 2 >= rounds,
        "between {least} and {most} turns each"
    );
}
