//! Where one step is several requests: each of them is the last one, in every way, and the end is the same.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Secret;
use oidc_operator_e2e::{
    authentik::{Fault, Managed, Rule},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{
    loops::{Run, SECRET, SOON},
    operator::Death,
    server::{Server as _, Subject},
    state::EndState,
};

/// What is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Create,
    Delete,
}

/// How.
#[derive(Clone, Debug)]
struct Manner {
    fault: Fault,
    after_effect: bool,
    /// The operator is killed while it waits, and its status is wiped or not; else it goes on.
    killed: Option<bool>,
}

fn manners() -> Vec<Manner> {
    let mut manners = Vec::new();
    for after_effect in [false, true] {
        for wiped in [false, true] {
            manners.push(Manner {
                fault: Fault::Hang,
                after_effect,
                killed: Some(wiped),
            });
        }
        for fault in [Fault::Reset, Fault::Empty405, Fault::BadGateway] {
            manners.push(Manner {
                fault,
                after_effect,
                killed: None,
            });
        }
    }
    manners
}

async fn happens(run: &Run<Managed>, spec: &Value, cut: Cut) -> Result<()> {
    match cut {
        Cut::Create => run.apply(spec).await,
        Cut::Delete => {
            run.apply(spec).await?;
            run.live(Death::Never).await?;
            run.delete().await?;
            Ok(())
        }
    }
}

async fn secret(run: &Run<Managed>) -> Result<Option<Vec<u8>>> {
    let secret: Option<Secret> = run.secrets().get_opt(SECRET).await?;
    let mut data = secret.and_then(|secret| secret.data).unwrap_or_default();
    Ok(data.remove("client-secret").map(|value| value.0))
}

/// One run that is cut off at the write number `at` (counted from 0), in this manner.
async fn play(
    subject: &Subject<Managed>,
    spec: &Value,
    cut: Cut,
    at: usize,
    manner: &Manner,
    expected: &EndState,
) -> Result<()> {
    let server = &subject.server.server;
    let run = Run::new(subject, "cut").await?;
    happens(&run, spec, cut).await?;
    let mark = Managed::mark(subject.server);
    let rule = Rule::new("/api/v3/", manner.fault.clone()).writes().skip(at).times(1);
    server.fault(if manner.after_effect { rule.after_effect() } else { rule });
    let hit = || Managed::writes_since(subject.server, mark).len() > at;
    if let Some(wiped) = manner.killed {
        tokio::select! {
            ended = run.live(Death::Never) => bail!("it ended: {ended:?}"),
            hanging = eventually("the request hangs", SOON, async || {
                ensure!(hit());
                // Until its effect is there: the stand-in has one before it does not answer.
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(())
            }) => hanging?,
        }
        let held = secret(&run).await?;
        server.heal();
        if wiped {
            run.wipe_status().await?;
        }
        run.live(Death::Never).await?;
        if cut == Cut::Create {
            ensure!(held.is_some(), "the Secret comes before the client");
            ensure!(secret(&run).await? == held, "the Secret is another");
        }
    } else {
        let steps = run.live(Death::Never).await?;
        server.heal();
        ensure!(hit(), "nothing was cut off");
        let made = steps.iter().filter(|step| **step == "create-secret").count();
        ensure!(made == usize::from(cut == Cut::Create), "{steps:?}");
    }
    let end = run.end().await?;
    if end != *expected {
        bail!("found    {end:#?}\nexpected {expected:#?}");
    }
    let more = run.live(Death::Never).await?;
    ensure!(more.iter().all(|step| *step == "prove"), "one more pass did {more:?}");
    subject.server.clear(&run.client_id()).await
}

/// A create or a delete of a client with this spec, whose undisturbed writes are of these kinds.
pub(crate) async fn every_request(subject: &Subject<Managed>, spec: &Value, cut: Cut, writes: &[&str]) -> Result<()> {
    let run = Run::new(subject, "whole").await?;
    happens(&run, spec, cut).await?;
    let mark = Managed::mark(subject.server);
    run.live(Death::Never).await?;
    let expected = run.end().await?;
    let made = Managed::writes_since(subject.server, mark);
    let made: Vec<String> = made.iter().map(|write| write.kind()).collect();
    assert_eq!(made, writes, "the writes of an undisturbed run");
    let left = subject.server.client(&run.client_id()).await?;
    assert_eq!(
        left.is_some(),
        cut == Cut::Create,
        "{:?}",
        left.map(|left| json!(left.settings))
    );
    subject.server.clear(&run.client_id()).await?;
    for (at, write) in writes.iter().enumerate() {
        for manner in manners() {
            play(subject, spec, cut, at, &manner, &expected)
                .await
                .with_context(|| format!("{cut:?}, cut off at {write}, number {at}: {manner:?}"))?;
        }
    }
    Ok(())
}
