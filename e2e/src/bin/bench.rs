//! `make bench`: what a number of OIDCClients costs, against a real API server and a real Dex.
//!
//! Counts are asserted, times are printed: they depend on the machine. The clients are made first; the clock runs from the
//! operator's start to the last client that is ready. Then a minute of idleness, and a restart with everything unchanged.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    pin::pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::PostParams,
    runtime::{WatchStreamExt as _, watcher},
};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    audit::Records,
    control_plane::{ControlPlane, Options},
    dex::{Dex, DexOptions},
    http, install,
    operator::{Operator, OperatorOptions},
    tools,
    wait::eventually,
};
use serde_json::{Value, json};

/// Measures the operator.
#[derive(Debug, Parser)]
struct Args {
    /// The identity provider.
    #[arg(long, value_enum, default_value_t = Provider::Dex)]
    provider: Provider,
    /// How many OIDCClients.
    #[arg(long, default_value_t = 500)]
    clients: usize,
    /// Seconds of idleness.
    #[arg(long, default_value_t = 60)]
    idle: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    Dex,
}

const NAMESPACES: usize = 10;
/// A defect, not a slow machine, is what takes longer.
const BOUND: Duration = Duration::from_secs(600);
/// What is written for a client: finalizer, Secret, ConfigMap, status.
const WRITES_PER_CLIENT: f64 = 4.0;

#[tokio::main]
async fn main() -> ExitCode {
    http::choose_crypto();
    match bench(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Where it is measured.
struct Bench {
    cluster: ControlPlane,
    dex: Dex,
    kube: Client,
}

/// Calls to Dex since it was started: gRPC by method, and the token endpoint as `Prove`.
type Calls = BTreeMap<String, u64>;

impl Bench {
    async fn calls(&self) -> Result<Calls> {
        let mut calls = self.dex.grpc_requests().await?;
        calls.insert("Prove".to_owned(), self.dex.http_requests("/token").await?);
        Ok(calls)
    }

    async fn calls_since(&self, before: &Calls) -> Result<Calls> {
        let mut calls = self.calls().await?;
        for (method, count) in &mut calls {
            *count -= before.get(method).copied().unwrap_or_default();
        }
        calls.retain(|_, count| *count > 0);
        Ok(calls)
    }
}

fn total(calls: &Calls) -> u64 {
    calls.values().sum()
}

fn writes(calls: &Calls) -> u64 {
    let write = |method: &str| ["CreateClient", "UpdateClient", "DeleteClient"].contains(&method);
    calls
        .iter()
        .filter(|(method, _)| write(method))
        .map(|(_, count)| count)
        .sum()
}

/// Those of the operator.
fn operators(records: Records) -> Records {
    records.by_service_account(install::NAMESPACE, install::SERVICE_ACCOUNT)
}

/// Events are told apart: they are written once for news, and never read again.
fn without_events(records: Records) -> Records {
    records.filter(|record| record.resource != "events")
}

async fn bench(args: &Args) -> Result<()> {
    let Provider::Dex = args.provider;
    let bench = prepare(args.clients).await?;
    let kubeconfig = bench
        .cluster
        .service_account_kubeconfig(install::NAMESPACE, install::SERVICE_ACCOUNT)
        .await?;
    let (mark, before, cpu) = (
        bench.cluster.audit().mark().await?,
        bench.calls().await?,
        Cpu::now(&bench)?,
    );

    let start = Instant::now();
    let mut operator = Operator::start(OperatorOptions::new(kubeconfig, "bench"))?;
    let mut ready_after = all_ready(&bench.kube, args.clients, start).await?;
    ready_after.sort();
    let seconds = start.elapsed().as_secs_f64();
    let used = Cpu::now(&bench)?;
    let operator_cpu = operator.process().cpu_seconds()?;
    settled(&operator).await?;
    let records = operators(bench.cluster.audit().since(&mark).await?);
    let calls = bench.calls_since(&before).await?;
    let of_clients = without_events(records.clone())
        .writes()
        .filter(|record| record.resource != "oidcproviders");
    let count = args.clients as f64;
    let per_client = of_clients.count() as f64 / count;
    let idp_per_client = total(&calls) as f64 / count;
    let at = |share: f64| ready_after[((ready_after.len() - 1) as f64 * share) as usize].as_millis();
    let (p50, p99) = (at(0.5), at(0.99));

    println!("\n{} OIDCClients in {NAMESPACES} namespaces, made first", args.clients);
    println!(
        "  operator's start to all ready   {seconds:.1} s ({:.0} a second)",
        count / seconds
    );
    println!("  start to ready, p50 / p99       {p50} ms / {p99} ms");
    println!("  Kubernetes writes a client      {per_client:.2} (goal <= {WRITES_PER_CLIENT})");
    println!("  Dex calls a client              {idp_per_client:.2}");
    println!(
        "  CPU seconds                     operator {operator_cpu:.1}, API server and etcd {:.1}, Dex {:.1}",
        used.cluster - cpu.cluster,
        used.dex - cpu.dex
    );
    println!(
        "  requests to the API server      {}",
        table(&without_events(records.clone()).counts())
    );
    println!(
        "  Events                          {}",
        records.filter(|record| record.resource == "events").count()
    );
    let passes = operator
        .metric("oidc_operator_passes_total", &[("kind", "OIDCClient")])
        .await?
        / count;
    println!("  passes a client                 {passes:.2}");
    println!("  calls to Dex                    {calls:?}");

    println!("\n{} s of idleness", args.idle);
    let (mark, before) = (bench.cluster.audit().mark().await?, bench.calls().await?);
    tokio::time::sleep(Duration::from_secs(args.idle)).await;
    let idle = operators(bench.cluster.audit().since(&mark).await?).writes();
    println!("  Kubernetes writes               {} (goal 0)", idle.count());
    println!(
        "  calls to Dex                    {:?}",
        bench.calls_since(&before).await?
    );
    let rss = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let peak = rss(operator.process().peak_rss()?);
    println!(
        "  memory of the operator          {:.1} MiB, peak {peak:.1} MiB",
        rss(operator.process().rss()?)
    );

    println!("\nrestart with everything unchanged");
    operator.terminate(Duration::from_secs(10)).await?;
    let (mark, before) = (bench.cluster.audit().mark().await?, bench.calls().await?);
    let start = Instant::now();
    operator.start_again()?;
    passed(&operator, args.clients).await?;
    let looked_at = start.elapsed().as_secs_f64();
    settled(&operator).await?;
    let restart = operators(bench.cluster.audit().since(&mark).await?).writes();
    let restart_calls = bench.calls_since(&before).await?;
    println!("  until all were looked at        {looked_at:.1} s");
    println!("  Kubernetes writes               {} (goal 0)", restart.count());
    println!("  calls to Dex                    {restart_calls:?}");

    let result = json!({
        "clients": args.clients,
        "seconds_to_ready": seconds,
        "kubernetes_writes_per_client": per_client,
        "idp_requests_per_client": idp_per_client,
        "p50_ms": u64::try_from(p50)?,
        "p99_ms": u64::try_from(p99)?,
        "peak_rss_mib": peak,
        "idle_writes": idle.count(),
        "restart_kubernetes_writes": restart.count(),
        "restart_idp_writes": writes(&restart_calls),
        "restart_idp_requests": total(&restart_calls),
    });
    let path = save("dex", &result)?;
    println!("\n{path}");

    ensure!(
        per_client <= WRITES_PER_CLIENT,
        "{per_client} Kubernetes writes a client: {:?}",
        of_clients.counts()
    );
    ensure!(
        writes(&calls) == args.clients as u64,
        "each client is made by one call: {calls:?}"
    );
    ensure!(idle.count() == 0, "idle, and still writing: {:?}", idle.counts());
    ensure!(
        restart.count() == 0,
        "unchanged, and still writing: {:?}",
        restart.counts()
    );
    ensure!(
        writes(&restart_calls) == 0,
        "unchanged, and still writing: {restart_calls:?}"
    );
    println!("all goals are reached");
    Ok(())
}

fn table(counts: &BTreeMap<String, usize>) -> String {
    let parts: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    parts.join(", ")
}

/// The result where CI and people look for it.
fn save(provider: &str, result: &Value) -> Result<String> {
    let folder = tools::repository().join("target/bench");
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{provider}.json"));
    fs::write(&path, serde_json::to_string_pretty(result)? + "\n")?;
    Ok(format!("target/bench/{provider}.json"))
}

struct Cpu {
    cluster: f64,
    dex: f64,
}

impl Cpu {
    fn now(bench: &Bench) -> Result<Self> {
        Ok(Self {
            cluster: bench.cluster.cpu_seconds()?,
            dex: bench.dex.cpu_seconds()?,
        })
    }
}

/// Everything but the operator: servers, provider, clients.
async fn prepare(clients: usize) -> Result<Bench> {
    println!("starting a control plane and Dex");
    let (cluster, dex) = tokio::try_join!(
        ControlPlane::start(Options {
            name: "bench-control-plane".to_owned(),
            ..Options::default()
        }),
        Dex::start(DexOptions {
            name: "bench-dex".to_owned(),
            ..DexOptions::default()
        }),
    )?;
    install::install(&cluster).await?;
    let kubectl = cluster.kubectl()?;
    kubectl.run(["create", "namespace", "identity"]).await?;
    for reference in install::references(&dex, "identity") {
        kubectl.apply(&reference.to_string()).await?;
    }
    let mut provider = install::provider(&dex, "identity", "dex");
    // As fast as it can: the limits that protect a provider in production are not what is measured.
    provider["spec"]["adminAPI"] = json!({"maxInFlight": 16, "requestsPerSecond": 1000});
    kubectl.apply(&provider.to_string()).await?;
    let kube = cluster.client().await?;
    println!("making {clients} OIDCClients");
    let namespaces: Vec<String> = stream::iter(0..NAMESPACES)
        .then(|_| cluster.namespace("bench"))
        .try_collect()
        .await?;
    stream::iter(0..clients)
        .map(|number| {
            let api: Api<OIDCClient> = Api::namespaced(kube.clone(), &namespaces[number % NAMESPACES]);
            async move {
                let client: OIDCClient = serde_json::from_value(json!({
                    "apiVersion": "oidc-operator.io/v1alpha1",
                    "kind": "OIDCClient",
                    "metadata": {"name": format!("app-{number}")},
                    "spec": {
                        "providerRef": {"name": "dex", "namespace": "identity"},
                        "displayName": format!("Application {number}"),
                        "redirectURIs": [format!("https://app-{number}.example.com/callback")],
                    },
                }))?;
                api.create(&PostParams::default(), &client).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(8)
        .try_collect::<()>()
        .await?;
    Ok(Bench { cluster, dex, kube })
}

/// Waits until all clients are ready; gives when each of them was seen so.
async fn all_ready(kube: &Client, clients: usize, start: Instant) -> Result<Vec<Duration>> {
    let api: Api<OIDCClient> = Api::all(kube.clone());
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

/// Waits until each client was looked at once with a provider that is known.
async fn passed(operator: &Operator, clients: usize) -> Result<()> {
    eventually("a pass over every client", BOUND, async || {
        let labels = [("kind", "OIDCClient"), ("outcome", "settled")];
        let passes = operator.metric("oidc_operator_passes_total", &labels).await?;
        ensure!(passes >= clients as f64, "{passes} passes");
        Ok(())
    })
    .await
}

/// Waits until nothing has been passed over for two seconds, and all Events are out.
async fn settled(operator: &Operator) -> Result<()> {
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
