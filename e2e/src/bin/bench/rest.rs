//! Waiting for the operator.

use std::{
    collections::HashMap,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{operator::Operator, wait::eventually};

use crate::BOUND;

/// Waits until all clients are ready; gives when each of them was seen so.
pub(crate) async fn all_ready(kube: &Client, clients: usize, start: Instant) -> Result<Vec<Duration>> {
    ready(Api::all(kube.clone()), clients, start).await
}

/// The same for the clients that `api` shows.
pub(crate) async fn ready(api: Api<OIDCClient>, clients: usize, start: Instant) -> Result<Vec<Duration>> {
    let mut events = pin!(
        watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    let mut ready = HashMap::new();
    let wait = async {
        while ready.len() < clients {
            let client = events.next().await.context("the watch ended")??;
            let conditions = client
                .status
                .as_ref()
                .map(|status| status.conditions.as_slice())
                .unwrap_or_default();
            if conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.reason == "Ready")
            {
                ready.entry(client.uid()).or_insert_with(|| start.elapsed());
            }
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(BOUND, wait).await {
        Ok(done) => done?,
        Err(_) => bail!("only {} of {clients} clients are ready after {BOUND:?}", ready.len()),
    }
    Ok(ready.into_values().collect())
}

/// Waits until each client was looked at once with a provider that is known: only then are its outputs looked up, with one
/// list of Secrets a pass.
pub(crate) async fn passed(operator: &Operator, clients: usize) -> Result<()> {
    eventually("a pass over every client", BOUND, async || {
        let labels = [("operation", "list secrets")];
        let lists = operator
            .metric("oidc_operator_kubernetes_requests_total", &labels)
            .await?;
        ensure!(lists >= clients as f64, "{lists} passes");
        Ok(())
    })
    .await
}

/// Waits until nothing has been passed over for two seconds, and all Events are out.
pub(crate) async fn settled(operator: &Operator) -> Result<()> {
    let mut last = (f64::NAN, Instant::now());
    eventually("the operator has come to rest", BOUND, async || {
        let now = operator.metric("oidc_operator_passes_total", &[]).await?
            + operator.metric("oidc_operator_events_total", &[]).await?;
        if now != last.0 {
            last = (now, Instant::now());
        }
        ensure!(last.1.elapsed() > Duration::from_secs(2), "{now} passes and Events");
        Ok(())
    })
    .await
}

/// The mean time of each kind of request, as the operator saw it, by the number of them.
pub(crate) async fn latencies(operator: &Operator) -> Result<String> {
    let text = operator.metrics().await?;
    let mut means = Vec::new();
    for (name, label) in [("kubernetes", "operation"), ("idp", "operation")] {
        let prefix = format!("oidc_operator_{name}_request_seconds_sum{{");
        for line in text.lines().filter_map(|line| line.strip_prefix(&prefix)) {
            let (labels, seconds) = line.rsplit_once("} ").context("a sample without a value")?;
            let count = format!("oidc_operator_{name}_request_seconds_count{{{labels}}} ");
            let count = text.lines().find_map(|line| line.strip_prefix(&count));
            let count: f64 = count.context("a sum without a count")?.parse()?;
            let operation = labels
                .split(',')
                .find_map(|pair| pair.strip_prefix(&format!("{label}=\"")));
            let operation = operation.unwrap_or(labels).trim_end_matches('"');
            let mean = seconds.parse::<f64>()? / count * 1000.0;
            means.push(format!("{operation} {mean:.0}"));
        }
    }
    Ok(means.join(", "))
}
