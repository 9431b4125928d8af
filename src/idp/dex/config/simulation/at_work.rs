//! The driver itself, with its tasks and its clock, on the model.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    super::{
        driver::{DexConfigDriver, Listener, Notice},
        installation::{
            Installation, Keys, KeysChange, Names, Part, Sighting, Stored, Target, TargetDraft, TemplateDraft, Text,
            Version, Workload,
        },
        issuer::ConfigIssuer,
    },
    standing,
    world::{BASE, World, names},
};
use crate::{
    domain::{ClientSecret, DesiredClient, IdpError, Mark, MarkUid, OwnerId, ResourceName},
    idp::{Created, Driver as _, http::HttpClient, testing::transport},
};

struct Modelled {
    world: Arc<Mutex<World>>,
    names: Names,
    sightings: Mutex<Option<BoxStream<'static, Sighting>>>,
}

impl Modelled {
    fn changed(&self, change: impl FnOnce(&mut World)) -> Result<Stored, IdpError> {
        change(&mut self.world.lock().unwrap());
        Ok(Stored::Done(Version {
            uid: "u".to_owned(),
            resource_version: "1".to_owned(),
        }))
    }
}

#[async_trait]
impl Installation for Modelled {
    fn names(&self) -> &Names {
        &self.names
    }
    fn sightings(&self) -> BoxStream<'static, Sighting> {
        self.sightings.lock().unwrap().take().unwrap()
    }
    async fn base(&self) -> Result<Text, IdpError> {
        Ok(Text(self.world.lock().unwrap().base.clone()))
    }
    async fn target(&self) -> Result<Option<Target>, IdpError> {
        Ok(self.world.lock().unwrap().seen().target)
    }
    async fn keys(&self) -> Result<Option<Keys>, IdpError> {
        Ok(self.world.lock().unwrap().seen().keys)
    }
    async fn workload(&self) -> Result<Workload, IdpError> {
        Ok(self.world.lock().unwrap().seen().workload)
    }
    async fn write_target(&self, _: Option<&Version>, draft: &TargetDraft) -> Result<Stored, IdpError> {
        self.changed(|world| world.write_target(draft))
    }
    async fn write_keys(&self, _: Option<&Version>, change: &KeysChange) -> Result<Stored, IdpError> {
        self.changed(|world| world.write_keys(change))
    }
    async fn write_template(&self, _: &Workload, draft: &TemplateDraft) -> Result<Stored, IdpError> {
        self.changed(|world| world.write_template(draft))
    }
}

/// Nothing is told of the objects, and nobody hears what the driver tells.
fn driver(world: &Arc<Mutex<World>>) -> DexConfigDriver {
    driver_that_hears(world, Box::pin(futures::stream::pending()), Box::new(|_| ()))
}

fn driver_that_hears(
    world: &Arc<Mutex<World>>,
    sightings: BoxStream<'static, Sighting>,
    listener: Listener,
) -> DexConfigDriver {
    let issuer = ConfigIssuer {
        http: HttpClient::new(&transport(None)).unwrap(),
        // Nobody answers there.
        issuer: "https://127.0.0.1:1".to_owned(),
        discovery_url: None,
        insecure_endpoints_allowed: false,
        endpoints: None,
    };
    let installation = Modelled {
        world: Arc::clone(world),
        names: names(),
        sightings: Mutex::new(Some(sightings)),
    };
    DexConfigDriver::new(Box::new(installation), issuer, Duration::from_secs(60), listener)
}

fn client() -> DesiredClient {
    let mark = Mark {
        owner: OwnerId::new("c1").unwrap(),
        client: ResourceName::new("shop", "a"),
        uid: MarkUid::Uid("u1".to_owned()),
    };
    DesiredClient {
        redirect_uris: vec!["https://a.example.com".to_owned()],
        ..DesiredClient::new("a", mark)
    }
}

/// Pods that run have it still; the operator hears of it, and writes the client again. A roll-out before that would take the client
/// from everybody, for as long as it and the next one last.
#[tokio::test(start_paused = true)]
async fn a_client_that_somebody_took_out_is_written_again_before_dex_starts_anew() {
    let mut world = standing();
    let before = world.newest();
    let (_, guarded, revision) = world.target.clone().unwrap();
    world.target = Some((BASE.to_owned(), guarded, revision));
    let world = Arc::new(Mutex::new(world));
    let newest = || world.lock().unwrap().newest();

    let driver = driver(&world);
    driver.probe().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(newest(), before, "Dex is started anew without the client");
    let created = driver.create(&client(), Some(&ClientSecret::new("old"))).await.unwrap();
    assert_eq!(created, Created::Created);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(newest(), before + 1);
    let variables = world.lock().unwrap().templates.last().unwrap().variables.len();
    assert_eq!(variables, 1);
}

/// Where nobody writes it again, its absence reaches Dex all the same.
#[tokio::test(start_paused = true)]
async fn what_is_gone_for_good_is_gone_soon() {
    let mut world = standing();
    let before = world.newest();
    let (_, guarded, revision) = world.target.clone().unwrap();
    world.target = Some((BASE.to_owned(), guarded, revision));
    let world = Arc::new(Mutex::new(world));
    let driver = driver(&world);
    driver.probe().await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let world = world.lock().unwrap();
    assert_eq!(world.newest(), before + 1);
    assert!(world.templates.last().unwrap().variables.is_empty());
}

/// A list reads the target too, and writes nothing: that it found it missing mends nothing.
#[tokio::test(start_paused = true)]
async fn a_target_that_was_deleted_is_told_of_although_a_list_found_it_missing_first() {
    let world = Arc::new(Mutex::new(standing()));
    let (tell, told) = futures::channel::mpsc::unbounded();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = {
        let heard = Arc::clone(&heard);
        Box::new(move |notice| heard.lock().unwrap().push(notice))
    };
    let driver = driver_that_hears(&world, Box::pin(told), listener);
    driver.probe().await.unwrap();
    heard.lock().unwrap().clear();

    world.lock().unwrap().target = None;
    driver.list(0).await.unwrap();
    let shown = Ok(None);
    tell.unbounded_send(Sighting {
        part: Part::Target,
        shown,
    })
    .unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(*heard.lock().unwrap(), [Notice::Provider]);
}
