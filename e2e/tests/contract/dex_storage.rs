//! Dex, by the objects of its Kubernetes storage.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, stream::BoxStream};
use kube::{
    Client, Config,
    api::DynamicObject,
    runtime::{WatchStreamExt as _, watcher},
};
use oidc_operator::{
    domain::{ClientSecret, IdpErrorKind, Ownership},
    idp::{
        Created, Driver, Transport, Watched, WatchedRow, Written,
        contract::Fixture,
        dex::DexStorageDriver,
        http::HttpClient,
        issuer::{self, IssuerRequest},
    },
    telemetry::metrics::Metrics,
};
use oidc_operator_e2e::{
    case,
    control_plane::ControlPlane,
    dex::{Dex, DexOptions, StoredDex, api::Client as DexClient},
    http, shared,
    wait::eventually,
};
use serde_json::json;
use tokio::{sync::Mutex, task::JoinHandle, time::timeout};

const TIMEOUT: Duration = Duration::from_secs(10);

async fn start(name: &str) -> Result<(&'static ControlPlane, StoredDex)> {
    http::choose_crypto();
    let cluster = shared::control_plane().await?;
    Ok((cluster, StoredDex::start(cluster, name).await?))
}

fn web_of(dex: &Dex) -> Result<HttpClient> {
    Ok(HttpClient::new(&Transport {
        timeout: TIMEOUT,
        certificate_authority: Some(dex.ca_pem().to_owned()),
        system_roots: false,
        identity: None,
    })?)
}

fn driver(stored: &StoredDex, kube: Client, timeout: Duration) -> Result<DexStorageDriver> {
    let (namespace, web) = (stored.namespace(), web_of(&stored.dex)?);
    Ok(DexStorageDriver::new(kube, namespace, timeout, web, Metrics::new()))
}

/// What was seen of every version of every OAuth2Client.
#[derive(Default)]
struct Seen {
    versions: usize,
    /// Those that are confidential and have no secret, and what else went wrong.
    wrong: Vec<String>,
}

/// Follows every version of every OAuth2Client.
fn follow(stored: &StoredDex, kube: &Client) -> (Arc<Mutex<Seen>>, JoinHandle<()>) {
    let found = Arc::new(Mutex::new(Seen::default()));
    let (noted, clients) = (found.clone(), stored.clients(kube));
    let watching = tokio::spawn(async move {
        let mut objects = watcher(clients, watcher::Config::default()).applied_objects().boxed();
        while let Some(object) = objects.next().await {
            let mut noted = noted.lock().await;
            match object {
                Ok(object) => {
                    noted.versions += 1;
                    let (public, secret) = (&object.data["public"], &object.data["secret"]);
                    if *public != json!(true) && secret.as_str().is_none_or(str::is_empty) {
                        noted.wrong.push(object.data["id"].to_string());
                    }
                }
                Err(error) => noted.wrong.push(format!("the watch failed: {error}")),
            }
        }
    });
    (found, watching)
}

#[tokio::test]
async fn dex_with_kubernetes_storage() {
    case::run(async {
        let (cluster, stored) = start("storage-contract").await?;
        let kube = cluster.client().await?;
        let request = IssuerRequest {
            issuer: stored.dex.issuer(),
            field: "issuerURL",
            discovery_url: None,
            insecure_endpoints_allowed: false,
        };
        let (discovery, keys) = issuer::read(&web_of(&stored.dex)?, &request).await?;
        ensure!(!keys.is_empty(), "no keys");
        let stranger = cluster.kubeconfig_for("stranger", "no-token-of-anybody")?;
        let stranger = driver(&stored, cluster.client_for(&stranger).await?, TIMEOUT)?;
        let (_listener, nowhere) = super::silent();
        let nowhere = Client::try_from(Config::new(format!("https://{nowhere}").parse()?))?;
        let silent = driver(&stored, nowhere, Duration::from_millis(300))?;
        let fixture = Fixture::new("storage", Some(discovery.endpoints))
            .with_stranger(Box::new(stranger))
            .with_silent(Box::new(silent));

        let (found, watching) = follow(&stored, &kube);
        super::run(&driver(&stored, kube.clone(), TIMEOUT)?, &fixture).await;
        eventually("what was done is seen", TIMEOUT, async || {
            let seen = found.lock().await.versions;
            // Each case makes at least one client.
            ensure!(seen >= 20, "{seen} versions of objects");
            Ok(())
        })
        .await?;
        watching.abort();
        let wrong = &found.lock().await.wrong;
        assert_eq!(*wrong, Vec::<String>::new(), "confidential and without a secret");
        let left = stored.clients(&kube).list(&kube::api::ListParams::default()).await?;
        assert_eq!(left.items, Vec::<DynamicObject>::new(), "something is left");
        Ok(())
    })
    .await;
}

/// What the gRPC API makes is what the objects show, and the other way round: both ways lead to the same clients.
#[tokio::test]
async fn dexs_own_objects_are_read_as_dex_reads_them() {
    case::run(async {
        let (cluster, stored) = start("storage-same").await?;
        let driver = driver(&stored, cluster.client().await?, TIMEOUT)?;
        let admin = stored.dex.admin().await?;
        let (mut desired, secret) = Fixture::new("same", None).client("grpc");
        let by_grpc = DexClient {
            id: desired.client_id.clone(),
            secret: secret.expose().to_owned(),
            redirect_uris: desired.redirect_uris.clone(),
            trusted_peers: vec!["another-client".to_owned()],
            public: false,
            name: "Contract".to_owned(),
            logo_url: "https://app.example.com/logo.png".to_owned(),
        };
        admin.create(by_grpc).await?;
        let seen = driver.get(&desired.client_id, &desired.mark).await?;
        let seen = seen.context("not found under Dex's own name")?;
        assert_eq!(seen.ownership(&desired.mark), Ownership::Unmarked);
        let diff = driver.model().diff(&desired, Some(&secret), &seen);
        let changes: Vec<_> = diff.changes.iter().map(|change| change.field.as_str()).collect();
        assert_eq!(changes, ["mark", "trustedPeers"], "{diff:?}");

        for id in ["example-app", "Ünï-cødé_漢字", &"x".repeat(150)] {
            desired.client_id = id.to_owned();
            ensure!(driver.create(&desired, Some(&secret)).await? != Created::Taken);
            let shown = admin
                .get(id)
                .await?
                .with_context(|| format!("Dex does not find {id}"))?;
            assert_eq!((shown.secret.as_str(), shown.public), (secret.expose(), false));
            assert_eq!(shown.trusted_peers, Vec::<String>::new(), "an annotation marks it");
        }
        Ok(())
    })
    .await;
}

/// A write is bound to what was looked at: whatever somebody did meanwhile is looked at before anything is written.
#[tokio::test]
async fn a_write_never_meets_what_was_not_looked_at() {
    case::run(async {
        let (cluster, stored) = start("storage-bound").await?;
        let kube = cluster.client().await?;
        let driver = driver(&stored, kube.clone(), TIMEOUT)?;
        let (desired, secret) = Fixture::new("bound", None).client("client");
        driver.create(&desired, Some(&secret)).await?;
        let seen = driver
            .get(&desired.client_id, &desired.mark)
            .await?
            .context("not there")?;
        stored
            .edit(&kube, &desired.client_id, json!({"name": "By hand"}))
            .await?;
        let new = ClientSecret::generate();
        let diff = driver.model().diff(&desired, Some(&new), &seen);
        let written = driver.update(&seen, &desired, Some(&new), &diff).await?;
        assert_eq!(written, Written::Outdated);
        assert_eq!(driver.delete(&seen).await?, Written::Outdated);
        let now = driver
            .get(&desired.client_id, &desired.mark)
            .await?
            .context("deleted")?;
        assert_eq!(now.secret, seen.secret, "nothing was done");

        // Another object of the same name.
        stored.delete(&kube, &desired.client_id).await?;
        driver.create(&desired, Some(&secret)).await?;
        assert_eq!(driver.delete(&now).await?, Written::Outdated);
        // What was never looked at.
        let unseen = driver.model().created(&desired, Some(&secret));
        assert_eq!(
            driver.update(&unseen, &desired, Some(&new), &diff).await?,
            Written::Outdated
        );
        let error = driver.delete(&unseen).await.expect_err("not looked at");
        assert_eq!(error.kind, IdpErrorKind::Protocol);
        Ok(())
    })
    .await;
}

async fn next(events: &mut BoxStream<'static, Watched>) -> Result<Watched> {
    timeout(TIMEOUT, events.next()).await?.context("the watch ended")
}

async fn changed(events: &mut BoxStream<'static, Watched>) -> Result<WatchedRow> {
    match next(events).await? {
        Watched::Changed(row) => Ok(row),
        other => bail!("{other:?}"),
    }
}

#[tokio::test]
async fn a_watch_tells_of_every_change_and_which_came_first() {
    case::run(async {
        let (cluster, stored) = start("storage-watch").await?;
        let kube = cluster.client().await?;
        let driver = driver(&stored, kube.clone(), TIMEOUT)?;
        let (desired, secret) = Fixture::new("watch", None).client("client");
        let mut watch = driver.watch().context("no watch")?.events;
        let Watched::Listed { rows, .. } = next(&mut watch).await? else {
            bail!("no list first");
        };
        ensure!(rows.is_empty(), "{rows:?}");

        let Created::As(made) = driver.create(&desired, Some(&secret)).await? else {
            bail!("a create shows what it made");
        };
        let row = changed(&mut watch).await?;
        assert_eq!(
            (row.client_id.as_str(), row.revision),
            (desired.client_id.as_str(), made.revision())
        );
        assert_eq!(row.client.as_ref(), Some(&*made));

        let id = &desired.client_id;
        stored.edit(&kube, id, json!({"id": "renamed"})).await?;
        let row = changed(&mut watch).await?;
        assert_eq!(row.client_id, *id, "under which Dex looks for it");
        ensure!(row.revision > made.revision(), "{row:?}");
        let seen = driver.get(id, &desired.mark).await?.context("not there")?;
        assert_eq!(row.client.as_ref(), Some(&seen));
        let diff = driver.model().diff(&desired, Some(&secret), &seen);
        let Written::As(written) = driver.update(&seen, &desired, Some(&secret), &diff).await? else {
            bail!("an update shows what it wrote");
        };
        assert_eq!(changed(&mut watch).await?.client.as_ref(), Some(&*written));
        assert_eq!(driver.delete(&written).await?, Written::Done);
        let gone = changed(&mut watch).await?;
        assert_eq!(gone.client, None);
        ensure!(gone.revision > written.revision(), "{gone:?}");
        Ok(())
    })
    .await;
}

/// Without Dex's CRD, or without rights, the driver says what is missing, and takes nothing for absent.
#[tokio::test]
async fn what_is_missing_is_named() {
    case::run(async {
        http::choose_crypto();
        let bare = ControlPlane::start(oidc_operator_e2e::control_plane::Options {
            name: "storage-bare".to_owned(),
            controller_manager: false,
            ..Default::default()
        })
        .await?;
        let dex = Dex::start(DexOptions::default()).await?;
        let on_bare = |kube: Client| -> Result<DexStorageDriver> {
            Ok(DexStorageDriver::new(
                kube,
                "default",
                TIMEOUT,
                web_of(&dex)?,
                Metrics::new(),
            ))
        };
        let (desired, secret) = Fixture::new("bare", None).client("client");
        let without_crd = on_bare(bare.client().await?)?;
        let answers = [
            without_crd.probe().await.map(drop),
            without_crd.get(&desired.client_id, &desired.mark).await.map(drop),
            without_crd.create(&desired, Some(&secret)).await.map(drop),
        ];
        for answer in answers {
            let error = answer.expect_err("there is no CRD");
            assert_eq!(error.kind, IdpErrorKind::Unsupported);
            ensure!(error.message.contains("storage type kubernetes"), "{error}");
        }
        let mut watch = without_crd.watch().context("no watch")?.events;
        let Watched::Failed(error) = next(&mut watch).await? else {
            bail!("it lists what is not there");
        };
        assert_eq!(error.kind, IdpErrorKind::Unsupported);

        let (cluster, stored) = start("storage-rights").await?;
        cluster
            .kubectl()?
            .run(["create", "serviceaccount", "nobody", "-n", stored.namespace()])
            .await?;
        let kubeconfig = cluster.service_account_kubeconfig(stored.namespace(), "nobody").await?;
        let without_rights = driver(&stored, cluster.client_for(&kubeconfig).await?, TIMEOUT)?;
        for (answer, verb) in [
            (without_rights.probe().await.map(drop), "list"),
            (
                without_rights.get(&desired.client_id, &desired.mark).await.map(drop),
                "get",
            ),
            (without_rights.create(&desired, Some(&secret)).await.map(drop), "create"),
        ] {
            let error = answer.expect_err("no rights");
            assert_eq!(error.kind, IdpErrorKind::Forbidden);
            for told in [verb, stored.namespace(), "config/dex-storage"] {
                ensure!(error.message.contains(told), "{error}");
            }
        }
        Ok(())
    })
    .await;
}
