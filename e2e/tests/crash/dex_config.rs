//! Dex by its configuration file: the operator dies before each write to Secret, target and Pod template, Dex starts anew at once, and
//! the next process goes on from what it finds. At no point does Dex accept an empty secret, or one that was taken away.
//!
//! The driver alone is played here, with a real API server, a real Dex, and the controllers that make Pods: what the plan does around
//! it, crash by crash, is in `tests/plan`.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use futures::stream::BoxStream;
use kube::Client;
use oidc_operator::{
    api::dex_config::DexConfig,
    controller::connect::dex_config::installation,
    domain::{
        ClientSecret, ClientType, DesiredClient, Effect, IdpError, Mark, MarkUid, OwnerId, ResourceName,
        TokenEndpointAuthMethod,
    },
    idp::{
        Driver as _,
        dex::config::{
            DexConfigDriver, Installation, Keys, KeysChange, Names, Sighting, Stored, Target, TargetDraft,
            TemplateDraft, Text, Version, Workload,
        },
    },
    telemetry::metrics::Metrics,
};
use oidc_operator_e2e::{
    case,
    control_plane::{ControlPlane, Options},
    dex::{
        Storage,
        supervised::{Kubelet, SupervisedDex},
    },
    http,
    login::secret_accepted,
    wait::eventually,
};
use tokio::sync::Notify;

/// Generous: two cores, many tests.
const SOON: Duration = Duration::from_secs(180);
const ID: &str = "shop_web";

/// What all lives of one process share: how many writes are left, and which were made.
#[derive(Default)]
struct Fate {
    left: AtomicUsize,
    died: Notify,
    writes: Mutex<Vec<&'static str>>,
}

impl Fate {
    fn of(left: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(left),
            ..Self::default()
        })
    }

    /// Dies before this write, if it is time: whoever waits for it is never heard of again.
    async fn before(&self, write: &'static str) {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
        self.writes.lock().unwrap().push(write);
    }
}

/// The real objects, until death.
struct Mortal {
    inner: Box<dyn Installation>,
    fate: Arc<Fate>,
}

#[async_trait]
impl Installation for Mortal {
    fn names(&self) -> &Names {
        self.inner.names()
    }
    fn sightings(&self) -> BoxStream<'static, Sighting> {
        self.inner.sightings()
    }
    async fn base(&self) -> Result<Text, IdpError> {
        self.inner.base().await
    }
    async fn target(&self) -> Result<Option<Target>, IdpError> {
        self.inner.target().await
    }
    async fn keys(&self) -> Result<Option<Keys>, IdpError> {
        self.inner.keys().await
    }
    async fn workload(&self) -> Result<Workload, IdpError> {
        self.inner.workload().await
    }
    async fn write_target(&self, former: Option<&Version>, draft: &TargetDraft) -> Result<Stored, IdpError> {
        self.fate.before("target").await;
        self.inner.write_target(former, draft).await
    }
    async fn write_keys(&self, former: Option<&Version>, change: &KeysChange) -> Result<Stored, IdpError> {
        self.fate.before("secret").await;
        self.inner.write_keys(former, change).await
    }
    async fn write_template(&self, former: &Workload, draft: &TemplateDraft) -> Result<Stored, IdpError> {
        self.fate.before("template").await;
        self.inner.write_template(former, draft).await
    }
}

/// A Dex on a cluster of its own.
struct Site {
    dex: SupervisedDex,
    kube: Client,
    namespace: String,
    _kubelet: Kubelet,
    _cluster: ControlPlane,
}

impl Site {
    async fn new() -> Result<Self> {
        http::choose_crypto();
        let cluster = ControlPlane::start(Options {
            name: "crash-dex-config".to_owned(),
            workloads: true,
            ..Options::default()
        })
        .await?;
        let dex = SupervisedDex::new("crash-dex-config", Storage::Memory)?;
        let kube = cluster.client().await?;
        let (namespace, kubelet) = dex.place(&cluster).await?;
        Ok(Self {
            dex,
            kube,
            namespace,
            _kubelet: kubelet,
            _cluster: cluster,
        })
    }

    fn driver(&self, fate: &Arc<Fate>) -> Result<DexConfigDriver> {
        let config: DexConfig = serde_json::from_value(self.dex.spec())?;
        let (owner, provider) = (
            OwnerId::new("crash").unwrap(),
            ResourceName::new(&self.namespace, "dex"),
        );
        let timeout = Duration::from_secs(60);
        let mortal = Mortal {
            inner: installation(&self.kube, &Metrics::new(), &owner, &provider, config),
            fate: Arc::clone(fate),
        };
        Ok(DexConfigDriver::new(
            Box::new(mortal),
            self.dex.as_issuer(timeout)?,
            timeout,
            Box::new(|_| ()),
        ))
    }

    /// A process that lives, once it has looked at everything.
    async fn living(&self) -> Result<DexConfigDriver> {
        let driver = self.driver(&Fate::of(usize::MAX))?;
        eventually("Dex is set up", SOON, async || {
            let probed = driver.probe().await;
            ensure!(probed.is_ok(), "{probed:?}; Pod: {:?}", self.dex.refused());
            Ok(())
        })
        .await?;
        Ok(driver)
    }

    async fn accepts(&self, secret: &str) -> Result<bool> {
        secret_accepted(self.dex.ca_pem(), &self.dex.token_endpoint(), ID, secret).await
    }

    /// No start of Dex so far had a client without its variable; and none is open now, if Dex runs.
    async fn is_closed(&self, public: bool) -> Result<()> {
        for start in self.dex.starts() {
            ensure!(start.open.is_empty(), "Dex accepts an empty secret: {start:?}");
        }
        let serves =
            self.dex.refused().is_none() && self.dex.starts().last().is_some_and(|start| start.served.is_some());
        if serves && !public {
            ensure!(!self.accepts("").await?, "an empty secret is accepted");
        }
        Ok(())
    }
}

fn mark() -> Mark {
    Mark {
        owner: OwnerId::new("crash").unwrap(),
        client: ResourceName::new("shop", "web"),
        uid: MarkUid::Uid("u".to_owned()),
    }
}

fn web() -> DesiredClient {
    DesiredClient {
        redirect_uris: vec!["https://shop.example.com/callback".to_owned()],
        ..DesiredClient::new(ID, mark())
    }
}

/// What the spec says; `None`: the client is deleted.
type Wanted = Option<(DesiredClient, Option<ClientSecret>)>;

/// Brings the client there, as the plan does, and waits until it is in effect.
async fn bring(driver: &DexConfigDriver, wanted: &Wanted) -> Result<()> {
    let found = driver.get(ID, &mark()).await?;
    match (wanted, found) {
        (None, None) => return Ok(()),
        (None, Some(found)) => {
            driver.delete(&found).await?;
            return Ok(());
        }
        (Some((desired, secret)), None) => drop(driver.create(desired, secret.as_ref()).await?),
        (Some((desired, secret)), Some(found)) => {
            let diff = driver.model().diff(desired, secret.as_ref(), &found);
            if !diff.changes.is_empty() {
                driver.update(&found, desired, secret.as_ref(), &diff).await?;
            }
        }
    }
    eventually("the client is in effect", SOON, async || {
        let effect = driver.effect(ID);
        ensure!(effect == Effect::InEffect, "{effect:?}");
        Ok(())
    })
    .await
}

/// A change: from what, to what, and the writes that an undisturbed process makes for it.
struct Scenario {
    name: &'static str,
    from: Wanted,
    to: Wanted,
    writes: &'static [&'static str],
}

fn scenarios() -> Vec<Scenario> {
    let (old, new) = (ClientSecret::generate(), ClientSecret::generate());
    let standing = || Some((web(), Some(old.clone())));
    let moved = DesiredClient {
        redirect_uris: vec!["https://elsewhere.example.com/callback".to_owned()],
        ..web()
    };
    let public = DesiredClient {
        client_type: ClientType::Public,
        auth_method: TokenEndpointAuthMethod::None,
        ..web()
    };
    vec![
        Scenario {
            name: "create",
            from: None,
            to: standing(),
            writes: &["secret", "target", "template"],
        },
        Scenario {
            name: "rotate",
            from: standing(),
            to: Some((web(), Some(new.clone()))),
            writes: &["secret", "template"],
        },
        Scenario {
            name: "change",
            from: standing(),
            to: Some((moved, Some(old.clone()))),
            writes: &["target", "template"],
        },
        Scenario {
            name: "to-public",
            from: standing(),
            to: Some((public, None)),
            writes: &["target", "template", "secret"],
        },
        Scenario {
            name: "delete",
            from: standing(),
            to: None,
            writes: &["target", "template", "secret"],
        },
    ]
}

impl Site {
    /// One scenario, with death before the write of this number.
    async fn play(&self, scenario: &Scenario, death: usize) -> Result<()> {
        let before = self.living().await?;
        bring(&before, &scenario.from).await.context("before")?;
        self.quiet(&before).await?;
        drop(before);

        let is_public = |wanted: &Wanted| wanted.as_ref().is_some_and(|(_, secret)| secret.is_none());
        let public = is_public(&scenario.to);
        let fate = Fate::of(death);
        let mortal = self.driver(&fate)?;
        let life = async {
            mortal.probe().await?;
            bring(&mortal, &scenario.to).await?;
            self.quiet(&mortal).await
        };
        tokio::select! {
            () = fate.died.notified() => {}
            lived = life => {
                lived?;
                ensure!(death >= scenario.writes.len(), "it outlived write {death}");
            }
        }
        drop(mortal);
        let made = fate.writes.lock().unwrap().clone();
        ensure!(made == scenario.writes[..death.min(scenario.writes.len())], "{made:?}");

        // Whoever starts now finds half of it.
        self.dex.crash().await?;
        self.is_closed(public).await?;

        let next = self.living().await?;
        bring(&next, &scenario.to).await.context("after")?;
        self.quiet(&next).await?;
        self.is_closed(public).await?;
        let secret = |wanted: &Wanted| wanted.as_ref().and_then(|(_, secret)| secret.clone());
        let (old, new) = (secret(&scenario.from), secret(&scenario.to));
        if let Some(new) = &new {
            ensure!(self.accepts(new.expose()).await?, "the secret is refused");
        }
        if let Some(old) = old.filter(|old| Some(old) != new.as_ref()) {
            ensure!(
                !self.accepts(old.expose()).await?,
                "a secret that was taken away is accepted"
            );
        }
        bring(&next, &None).await?;
        self.quiet(&next).await
    }

    /// Waits until nothing is left to do: the Pod template is as the target, and no secret is left that nobody reads.
    async fn quiet(&self, driver: &DexConfigDriver) -> Result<()> {
        let config: DexConfig = serde_json::from_value(self.dex.spec())?;
        let (owner, provider) = (
            OwnerId::new("crash").unwrap(),
            ResourceName::new(&self.namespace, "dex"),
        );
        let look = installation(&self.kube, &Metrics::new(), &owner, &provider, config);
        eventually("nothing is left to do", SOON, async || {
            driver.probe().await?;
            let (keys, workload) = (look.keys().await?.context("no Secret")?, look.workload().await?);
            let target = look.target().await?.context("no target")?.text.0;
            let confidential = target.matches("secretEnv").count();
            ensure!(workload.variables.len() == confidential, "{confidential}: {workload:?}");
            ensure!(keys.secrets.len() == confidential, "{:?}", keys.secrets.keys());
            let progress = &workload.progress;
            ensure!(
                progress.observed_generation == workload.generation && progress.available == 1,
                "{progress:?}"
            );
            ensure!(
                driver.effect(ID) == Effect::InEffect || !target.contains(ID),
                "not in effect"
            );
            Ok(())
        })
        .await
    }
}

#[tokio::test]
async fn every_write_may_be_the_last_one() {
    case::run(async {
        let site = Site::new().await?;
        for scenario in scenarios() {
            for death in 0..=scenario.writes.len() {
                let what = format!("{}, death before write {death} of {:?}", scenario.name, scenario.writes);
                let played = site.play(&scenario, death).await;
                played.with_context(|| format!("{what}\n{}", site.dex.log_tail()))?;
            }
        }
        let starts = site.dex.starts();
        if starts.is_empty() {
            bail!("Dex never ran");
        }
        Ok(())
    })
    .await;
}
