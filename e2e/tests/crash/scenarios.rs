//! The scenarios, and the loop over all their deaths.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::LocalBoxFuture;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use oidc_operator::{api::OIDCClient, domain::ResourceName};
use oidc_operator_e2e::{case, wait::eventually};
use serde_json::{Value, json};

use crate::{
    operator::{Death, Life},
    stage::{self, PROVIDER, Stage},
    state::{EndState, end_state, namespace_gone},
};

/// The client of every scenario; each run has a namespace of its own.
const NAME: &str = "web";
const SECRET: &str = "web-oidc";
const SOON: Duration = Duration::from_secs(60);

/// Where a scenario is played.
struct Run {
    stage: &'static Stage,
    kube: Client,
    namespace: String,
}

/// What happens to a client that may have been made before.
struct Scenario {
    name: &'static str,
    /// As the client is applied; merged into the smallest usual spec.
    spec: Value,
    /// Does the client exist, settled, before it happens?
    made: bool,
    happens: for<'a> fn(&'a Run) -> LocalBoxFuture<'a, Result<()>>,
    /// The steps of an undisturbed run.
    steps: &'static [&'static str],
}

impl Run {
    fn clients(&self) -> Api<OIDCClient> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    fn client(&self) -> ResourceName {
        ResourceName::new(&self.namespace, NAME)
    }

    fn client_id(&self) -> String {
        format!("{}_{NAME}", self.namespace)
    }

    async fn apply(&self, spec: &Value) -> Result<()> {
        let (provider_namespace, provider) = PROVIDER;
        let mut object = json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCClient",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {
                "providerRef": {"name": provider, "namespace": provider_namespace},
                "redirectURIs": ["https://app.example.com/callback"],
            },
        });
        oidc_operator_e2e::scene::merge(&mut object["spec"], spec);
        let object: OIDCClient = serde_json::from_value(object)?;
        self.clients().create(&PostParams::default(), &object).await?;
        Ok(())
    }

    async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.clients().patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The status goes as if it had never been written: the CRD's default takes its place.
    async fn wipe_status(&self) -> Result<()> {
        let patch = Patch::Merge(json!({"status": null}));
        match self.clients().patch_status(NAME, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn live(&self, death: Death) -> Result<Vec<&'static str>> {
        let life = Life::begin(&self.kube, death).await?;
        life.run(&self.client()).await?;
        Ok(life.steps())
    }

    /// The end state, once Kubernetes' own controllers have done their part.
    async fn end(&self) -> Result<EndState> {
        if self
            .clients()
            .get_opt(NAME)
            .await?
            .is_none_or(|client| client.metadata.deletion_timestamp.is_some())
        {
            eventually("what was owned is gone", SOON, async || {
                let left = self.secrets().get_opt(SECRET).await?;
                ensure!(
                    left.is_none_or(|left| left.metadata.owner_references.is_none()),
                    "the Secret is there"
                );
                Ok(())
            })
            .await?;
        }
        end_state(&self.kube, &self.stage.dex, &self.namespace, NAME).await
    }
}

async fn play(scenario: &Scenario, death: Death, wiped: bool) -> Result<(EndState, Vec<&'static str>)> {
    let stage = stage::shared().await?;
    let run = Run {
        stage,
        kube: stage.cluster.client().await?,
        namespace: stage.cluster.namespace("crash").await?,
    };
    if scenario.made {
        run.apply(&scenario.spec).await?;
        run.live(Death::Never).await?;
    }
    (scenario.happens)(&run).await?;
    let mut steps = run.live(death).await?;
    if death != Death::Never {
        if wiped {
            run.wipe_status().await?;
        }
        steps.extend(run.live(Death::Never).await?);
    }
    let end = run.end().await?;
    // The goal stays reached.
    let more: Vec<_> = run.live(Death::Never).await?;
    ensure!(
        more.is_empty() || more == ["prove"] && wiped,
        "one more pass did {more:?}"
    );
    ensure!(run.end().await? == end, "one more pass changed something");
    Ok((end, steps))
}

fn counts(steps: &[&'static str]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    // Only asking again is harmless, and only a finalizer can be put on twice without a trace.
    for step in steps.iter().filter(|step| **step != "prove") {
        *counts.entry(*step).or_default() += 1;
    }
    counts
}

/// The loop: every step, before and after, status kept and wiped.
async fn every_death(scenario: Scenario) -> Result<()> {
    let (expected, undisturbed) = play(&scenario, Death::Never, false).await.context(scenario.name)?;
    assert_eq!(
        undisturbed, scenario.steps,
        "{}: the steps of an undisturbed run",
        scenario.name
    );
    for number in 0..undisturbed.len() {
        for death in [Death::Before(number), Death::After(number)] {
            for wiped in [false, true] {
                let what = || {
                    format!(
                        "{}: {death:?} ({}), status wiped: {wiped}",
                        scenario.name, undisturbed[number]
                    )
                };
                let (end, steps) = play(&scenario, death, wiped).await.with_context(what)?;
                if end != expected {
                    bail!("{}\nfound    {end:#?}\nexpected {expected:#?}", what());
                }
                assert_eq!(
                    counts(&steps),
                    counts(&undisturbed),
                    "{}: every write once; steps {steps:?}",
                    what()
                );
            }
        }
    }
    Ok(())
}

macro_rules! crash_loop {
    ($test:ident, $spec:tt, made: $made:literal, $happens:expr, $steps:expr) => {
        #[tokio::test]
        async fn $test() {
            case::run(every_death(Scenario {
                name: stringify!($test),
                spec: json!($spec),
                made: $made,
                happens: $happens,
                steps: &$steps,
            }))
            .await;
        }
    };
}

crash_loop!(
    create, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    create_public, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({"type": "Public"})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap"]
);

crash_loop!(
    change_redirect_uris, {}, made: true,
    |run| Box::pin(run.change(json!({"redirectURIs": ["https://app.example.com/a", "https://app.example.com/b"]}))),
    ["update-remote", "update-secret"]
);

// Dex cannot clear a name in place.
crash_loop!(
    clear_display_name, {"displayName": "Web"}, made: true,
    |run| Box::pin(run.change(json!({"displayName": null}))),
    ["delete-remote", "create-remote", "prove"]
);

crash_loop!(
    dex_lost_its_storage, {}, made: true,
    |run| Box::pin(async move {
        ensure!(run.stage.dex.admin().await?.delete(&run.client_id()).await?, "it was not there");
        Ok(())
    }),
    ["create-remote", "prove"]
);

crash_loop!(
    edited_secret, {}, made: true,
    |run| Box::pin(async move {
        let patch = Patch::Merge(json!({"stringData": {"client-secret": "guessed"}}));
        run.secrets().patch(SECRET, &PatchParams::default(), &patch).await?;
        Ok(())
    }),
    ["create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    edited_other_key, {}, made: true,
    |run| Box::pin(async move {
        let patch = Patch::Merge(json!({"stringData": {"issuer-uri": "https://elsewhere"}, "data": {"token-uri": null}}));
        run.secrets().patch(SECRET, &PatchParams::default(), &patch).await?;
        Ok(())
    }),
    ["update-secret"]
);

crash_loop!(
    deleted_secret, {}, made: true,
    |run| Box::pin(async move {
        run.secrets().delete(SECRET, &DeleteParams::default()).await?;
        Ok(())
    }),
    ["create-next", "delete-remote", "create-remote", "prove", "create-secret", "delete-secret"]
);

crash_loop!(
    new_secret_name, {}, made: true,
    |run| Box::pin(run.change(json!({"outputs": {"secret": {"name": "moved"}}}))),
    ["create-secret", "delete-secret", "prove"]
);

crash_loop!(
    public_becomes_confidential, {"type": "Public"}, made: true,
    |run| Box::pin(run.change(json!({"type": "Confidential"}))),
    ["create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    confidential_becomes_public, {}, made: true,
    |run| Box::pin(run.change(json!({"type": "Public"}))),
    ["delete-remote", "create-remote", "update-secret"]
);

crash_loop!(
    delete, {}, made: true,
    |run| Box::pin(async move {
        run.clients().delete(NAME, &DeleteParams::default()).await?;
        Ok(())
    }),
    ["delete-remote", "remove-finalizer"]
);

crash_loop!(
    retain, {"deletionPolicy": "Retain"}, made: true,
    |run| Box::pin(async move {
        run.clients().delete(NAME, &DeleteParams::default()).await?;
        Ok(())
    }),
    ["update-remote", "release-secret", "release-configmap", "remove-finalizer"]
);

crash_loop!(
    namespace_is_deleted, {}, made: true,
    |run| Box::pin(async move {
        let namespaces: Api<Namespace> = Api::all(run.kube.clone());
        namespaces.delete(&run.namespace, &DeleteParams::default()).await?;
        // Its controller deletes what is inside; only then the operator is asked.
        eventually("the client is being deleted", SOON, async || {
            let client = run.clients().get(NAME).await?;
            ensure!(client.metadata.deletion_timestamp.is_some(), "not yet");
            Ok(())
        })
        .await
    }),
    ["delete-remote", "remove-finalizer"]
);

/// Once the finalizer is off, nothing holds the namespace.
#[tokio::test]
async fn a_deleted_namespace_ends() {
    case::run(async {
        let stage = stage::shared().await?;
        let kube = stage.cluster.client().await?;
        let run = Run {
            stage,
            kube: kube.clone(),
            namespace: stage.cluster.namespace("ends").await?,
        };
        run.apply(&json!({})).await?;
        run.live(Death::Never).await?;
        let namespaces: Api<Namespace> = Api::all(kube.clone());
        namespaces.delete(&run.namespace, &DeleteParams::default()).await?;
        eventually("the namespace is gone", SOON, async || {
            run.live(Death::Never).await?;
            namespace_gone(&kube, &run.namespace).await
        })
        .await?;
        assert_eq!(stage.dex.admin().await?.get(&run.client_id()).await?, None);
        Ok(())
    })
    .await;
}

/// A pass that sees the object as it was before it was let go must not let it go, and tell of it, once more.
#[tokio::test]
async fn what_was_let_go_is_let_go_once() {
    case::run(async {
        let stage = stage::shared().await?;
        let run = Run {
            stage,
            kube: stage.cluster.client().await?,
            namespace: stage.cluster.namespace("once").await?,
        };
        run.apply(&json!({"deletionPolicy": "Retain"})).await?;
        run.live(Death::Never).await?;
        run.clients().delete(NAME, &DeleteParams::default()).await?;
        let life = Life::begin_lagging(&run.kube, run.clients().get(NAME).await?).await?;
        life.run(&run.client()).await?;
        let steps = life.steps();
        assert_eq!(steps.last(), Some(&"remove-finalizer"));
        assert!(run.clients().get_opt(NAME).await?.is_none());
        life.run(&run.client()).await?;
        assert_eq!(life.steps(), steps);
        Ok(())
    })
    .await;
}
