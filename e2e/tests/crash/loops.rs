//! A scenario, and the loop over all its deaths.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::{BoxFuture, LocalBoxFuture};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use oidc_operator::{api::OIDCClient, domain::ResourceName};
use oidc_operator_e2e::wait::eventually;
use serde_json::{Value, json};

use crate::{
    operator::{Death, Life, Meanwhile},
    server::{Server, Subject},
    stage,
    state::{EndState, end_state},
};

/// The client of every scenario; each run has a namespace of its own.
pub(crate) const NAME: &str = "web";
pub(crate) const SECRET: &str = "web-oidc";
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Where a scenario is played.
pub(crate) struct Run<P: 'static> {
    pub(crate) subject: Subject<P>,
    pub(crate) kube: Client,
    pub(crate) namespace: String,
    meanwhile: Meanwhile,
}

/// What happens to a client that may have been made before.
pub(crate) struct Scenario<P: 'static> {
    pub(crate) name: &'static str,
    /// As the client is applied; merged into the smallest usual spec.
    pub(crate) spec: Value,
    /// Does the client exist, settled, before it happens?
    pub(crate) made: bool,
    pub(crate) happens: for<'a> fn(&'a Run<P>) -> LocalBoxFuture<'a, Result<()>>,
    /// What somebody else does at the identity provider just before the first step of this name, which is refused then.
    pub(crate) meanwhile: Option<Interference<P>>,
    /// The steps of an undisturbed run.
    pub(crate) steps: &'static [&'static str],
}

pub(crate) type Interference<P> = (&'static str, fn(&'static P, String) -> BoxFuture<'static, Result<()>>);

impl<P: Server> Run<P> {
    /// In a namespace that no other run has.
    pub(crate) async fn new(subject: &Subject<P>, prefix: &str) -> Result<Self> {
        let cluster = stage::cluster().await?;
        Ok(Self {
            subject: subject.clone(),
            kube: cluster.client().await?,
            namespace: cluster.namespace(prefix).await?,
            meanwhile: Meanwhile::default(),
        })
    }

    pub(crate) fn clients(&self) -> Api<OIDCClient> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    pub(crate) fn client(&self) -> ResourceName {
        ResourceName::new(&self.namespace, NAME)
    }

    pub(crate) fn client_id(&self) -> String {
        format!("{}_{NAME}", self.namespace)
    }

    pub(crate) async fn apply(&self, spec: &Value) -> Result<()> {
        let provider = &self.subject.provider;
        let mut object = json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCClient",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {
                "providerRef": {"name": provider.name, "namespace": provider.namespace},
                "redirectURIs": ["https://app.example.com/callback"],
            },
        });
        oidc_operator_e2e::scene::merge(&mut object["spec"], spec);
        let object: OIDCClient = serde_json::from_value(object)?;
        self.clients().create(&PostParams::default(), &object).await?;
        Ok(())
    }

    pub(crate) async fn change(&self, spec: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.clients().patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Deletes the OIDCClient; its finalizer keeps it.
    pub(crate) async fn delete(&self) -> Result<()> {
        self.clients().delete(NAME, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Asks for a new client secret.
    pub(crate) async fn rotate(&self, value: &str) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {"oidc-operator.io/rotate": value}}}));
        self.clients().patch(NAME, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// A Deployment that consents to restarts, started with the outputs as they stand.
    pub(crate) async fn deploy(&self) -> Result<()> {
        let labels = json!({"app": NAME});
        let deployment = json!({
            "metadata": {"name": NAME, "annotations": {"oidc-operator.io/restart-on": NAME}},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            }},
        });
        let deployment: Deployment = serde_json::from_value(deployment)?;
        let api: Api<Deployment> = Api::namespaced(self.kube.clone(), &self.namespace);
        api.create(&PostParams::default(), &deployment).await?;
        Ok(())
    }

    /// The client secret is so old that any interval is over.
    pub(crate) async fn age(&self) -> Result<()> {
        let annotations = json!({"oidc-operator.io/rotated-at": "2020-01-01T00:00:00Z"});
        self.edit_secret(json!({"metadata": {"annotations": annotations}}))
            .await
    }

    pub(crate) async fn edit_secret(&self, patch: Value) -> Result<()> {
        let patch = Patch::Merge(patch);
        self.secrets().patch(SECRET, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The user makes a Secret for the client, or changes it.
    pub(crate) async fn users_secret(&self, value: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "by-hand", "labels": {"oidc-operator.io/credential": "client"}},
            "stringData": {"clientSecret": value},
        });
        let params = PatchParams::apply("crash").force();
        self.secrets().patch("by-hand", &params, &Patch::Apply(secret)).await?;
        Ok(())
    }

    /// The user makes a Secret, and has the client use it.
    pub(crate) async fn refer_to_users_secret(&self) -> Result<()> {
        self.users_secret("made-by-hand-once").await?;
        self.change(with_users_secret()).await
    }

    /// Somebody deletes the output Secret.
    pub(crate) async fn delete_secret(&self) -> Result<()> {
        self.secrets().delete(SECRET, &DeleteParams::default()).await?;
        Ok(())
    }

    /// The client stands, with a secret of its user's.
    pub(crate) async fn stand_with_users_secret(&self) -> Result<()> {
        self.users_secret("made-by-hand-once").await?;
        self.apply(&with_users_secret()).await?;
        self.live(Death::Never).await.map(drop)
    }

    /// The status goes as if it had never been written: the CRD's default takes its place.
    pub(crate) async fn wipe_status(&self) -> Result<()> {
        let patch = Patch::Merge(json!({"status": null}));
        match self.clients().patch_status(NAME, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn live(&self, death: Death) -> Result<Vec<&'static str>> {
        let provider = &self.subject.provider;
        let life = Life::begin(&self.kube, provider, death, &self.meanwhile).await?;
        life.run(&self.client()).await?;
        Ok(life.steps())
    }

    /// The message of a condition that is False.
    pub(crate) async fn said(&self, type_: &str) -> Result<String> {
        let status = self.clients().get(NAME).await?.status.context("no status")?;
        let found = status.conditions.iter().find(|condition| condition.type_ == type_);
        let found = found.with_context(|| format!("no {type_}: {:?}", status.conditions))?;
        ensure!(format!("{:?}", found.status) == "False", "{found:?}");
        Ok(format!("{}: {}", found.reason, found.message))
    }

    /// The end state, once Kubernetes' own controllers have done their part.
    pub(crate) async fn end(&self) -> Result<EndState> {
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
        end_state(&self.kube, self.subject.server, &self.namespace, NAME).await
    }
}

/// A spec that refers to the user's Secret.
pub(crate) fn with_users_secret() -> Value {
    json!({"credentials": {"existingSecretRef": {"name": "by-hand"}}})
}

/// What came of a scenario.
struct Played {
    end: EndState,
    /// The steps that were carried out.
    steps: Vec<&'static str>,
    /// The writes that the identity provider carried out, by kind.
    writes: BTreeMap<String, usize>,
}

async fn play<P: Server>(subject: &Subject<P>, scenario: &Scenario<P>, death: Death, wiped: bool) -> Result<Played> {
    let mut run = Run::new(subject, "crash").await?;
    if scenario.made {
        run.apply(&scenario.spec).await?;
        run.live(Death::Never).await?;
    }
    (scenario.happens)(&run).await?;
    if let Some((step, act)) = scenario.meanwhile {
        run.meanwhile = Arc::new(tokio::sync::Mutex::new(Some((
            step,
            act(subject.server, run.client_id()),
        ))));
    }
    let mark = subject.server.mark().await?;
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
    let writes = subject.server.writes_since(mark).await?;
    subject.server.clear(&run.client_id()).await?;
    Ok(Played { end, steps, writes })
}

fn counts<P>(scenario: &Scenario<P>, steps: &[&'static str]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let refused = scenario.meanwhile.map(|(step, _)| step);
    // Only asking again is harmless, and only a finalizer can be put on twice without a trace.
    for step in steps
        .iter()
        .filter(|step| !step.starts_with("prove") && Some(**step) != refused)
    {
        *counts.entry(*step).or_default() += 1;
    }
    counts
}

/// The loop: every place where the operator can die, with its status kept and wiped.
pub(crate) async fn every_death<P: Server>(subject: &Subject<P>, scenario: Scenario<P>) -> Result<()> {
    every_death_of(subject, scenario, &[false, true]).await
}

/// The loop for some: is the status wiped?
pub(crate) async fn every_death_of<P: Server>(
    subject: &Subject<P>,
    scenario: Scenario<P>,
    wipes: &[bool],
) -> Result<()> {
    let undisturbed = play(subject, &scenario, Death::Never, false)
        .await
        .context(scenario.name)?;
    assert_eq!(
        undisturbed.steps, scenario.steps,
        "{}: the steps of an undisturbed run",
        scenario.name
    );
    for (number, death) in deaths(&scenario).into_iter().enumerate() {
        // Each death, every other one with a wiped status; `make full` has them all both ways.
        let one = [number % 2 == 1];
        let wipes = if is_whole() || wipes.len() < 2 { wipes } else { &one };
        for &wiped in wipes {
            let what = || {
                format!(
                    "{}: {death:?} of {:?}, status wiped: {wiped}",
                    scenario.name, scenario.steps
                )
            };
            let played = play(subject, &scenario, death, wiped).await.with_context(what)?;
            if played.end != undisturbed.end {
                bail!(
                    "{}\nfound    {:#?}\nexpected {:#?}",
                    what(),
                    played.end,
                    undisturbed.end
                );
            }
            assert_eq!(
                counts(&scenario, &played.steps),
                counts(&scenario, &undisturbed.steps),
                "{}: every write once; steps {:?}",
                what(),
                played.steps
            );
            assert_eq!(
                played.writes,
                undisturbed.writes,
                "{}: every write once at the provider",
                what()
            );
        }
    }
    Ok(())
}

/// Do loops run whole, as `make e2e-crash` has it?
fn is_whole() -> bool {
    std::env::var("OIDC_OPERATOR_E2E_CRASH").is_ok_and(|value| value == "whole")
}

/// Before the first step and after each one. Before the next one is the same again: nothing but memory changes between
/// two steps, unless somebody else acts there.
fn deaths<P>(scenario: &Scenario<P>) -> Vec<Death> {
    let interrupted = |step: &str| scenario.meanwhile.is_some_and(|(name, _)| name == step);
    let mut deaths = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        if number == 0 || interrupted(step) {
            deaths.push(Death::Before(number));
        }
        deaths.push(Death::After(number));
    }
    deaths
}

/// A loop as a test, at what `subject()` of the module gives.
macro_rules! crash_loop {
    ($test:ident, $spec:tt, made: $made:literal, $happens:expr, $steps:expr) => {
        crash_loop!($test, $spec, made: $made, $happens, meanwhile: None, $steps);
    };
    ($test:ident, $spec:tt, made: $made:literal, $happens:expr, meanwhile: $meanwhile:expr, $steps:expr) => {
        #[tokio::test]
        async fn $test() {
            oidc_operator_e2e::case::run(async {
                let subject = subject().await?;
                // In place, so that the closures know their types.
                $crate::loops::every_death(
                    &subject,
                    $crate::loops::Scenario {
                        name: stringify!($test),
                        spec: serde_json::json!($spec),
                        made: $made,
                        happens: $happens,
                        meanwhile: $meanwhile,
                        steps: &$steps,
                    },
                )
                .await
            })
            .await;
        }
    };
}
pub(crate) use crash_loop;
