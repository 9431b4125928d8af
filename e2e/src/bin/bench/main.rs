//! `make bench`: what a number of OIDCClients costs, against a real API server and a real identity provider.
//!
//! Counts are asserted, times are printed: they depend on the machine. The clients are made first; the clock runs from the
//! operator's start to the last client that is ready. Then a minute of idleness, and a restart with everything unchanged.
//! What only one provider can be asked for comes before and after that.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it found")]

mod beside;
mod calls;
mod dex;
mod keycloak;
mod rest;
mod site;

use std::{
    collections::BTreeMap,
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use clap::{Parser, ValueEnum};
use oidc_operator_e2e::{
    audit::Records,
    dex::Dex,
    http, install,
    operator::{Operator, OperatorOptions},
    scene::Idp,
    tools,
};
use serde_json::{Map, Value};

use self::{
    calls::Measured,
    keycloak::KeycloakRealm,
    rest::{all_ready, latencies, passed, settled},
    site::{NAMESPACES, Site},
};

/// Measures the operator.
#[derive(Debug, Parser)]
struct Args {
    /// The identity provider.
    #[arg(long, value_enum, default_value_t = Provider::Dex)]
    provider: Provider,
    /// How many OIDCClients; by default 500 with Dex, 1000 with Keycloak.
    #[arg(long)]
    clients: Option<usize>,
    /// Seconds of idleness.
    #[arg(long, default_value_t = 60)]
    idle: u64,
    /// Measures something else: how soon 50 clients of Dex are ready beside a Keycloak that hangs.
    #[arg(long)]
    beside_hung_keycloak: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Provider {
    Dex,
    Keycloak,
}

/// A defect, not a slow machine, is what takes longer.
const BOUND: Duration = Duration::from_secs(600);
/// What is written for a client: finalizer, Secret, ConfigMap, status.
const WRITES_PER_CLIENT: f64 = 4.0;

#[tokio::main]
async fn main() -> ExitCode {
    http::choose_crypto();
    let args = Args::parse();
    let done = match args.provider {
        _ if args.beside_hung_keycloak => beside::bench().await,
        Provider::Dex => bench::<Dex>(&args).await,
        Provider::Keycloak => bench::<KeycloakRealm>(&args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\nFAILED: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// What was found: the JSON, and the goals that were missed.
#[derive(Default)]
struct Findings {
    values: Map<String, Value>,
    missed: Vec<String>,
}

impl Findings {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.values.insert(key.to_owned(), value.into());
    }

    fn goal(&mut self, reached: bool, otherwise: impl FnOnce() -> String) {
        if !reached {
            self.missed.push(otherwise());
        }
    }

    /// Writes the result where CI and people look for it; says whether all goals are reached.
    fn conclude(self, name: &str) -> Result<()> {
        let folder = tools::repository().join("target/bench");
        fs::create_dir_all(&folder)?;
        let text = serde_json::to_string_pretty(&self.values)? + "\n";
        fs::write(folder.join(format!("{name}.json")), text)?;
        println!("\ntarget/bench/{name}.json");
        if !self.missed.is_empty() {
            bail!("goals that were missed:\n{}", self.missed.join("\n"));
        }
        println!("all goals are reached");
        Ok(())
    }
}

/// Those of the operator.
fn operators(records: Records) -> Records {
    records.by_service_account(install::NAMESPACE, install::SERVICE_ACCOUNT)
}

/// Events are told apart: they are written once for news, and never read again.
fn without_events(records: Records) -> Records {
    records.filter(|record| record.resource != "events")
}

async fn bench<P: Measured>(args: &Args) -> Result<()> {
    let clients = args.clients.unwrap_or(P::CLIENTS);
    let mut findings = Findings::default();
    findings.put("clients", clients);
    let mut site = Site::<P>::prepare().await?;
    P::before(&mut site, clients).await?;
    site.make_clients(clients).await?;
    let kubeconfig = site
        .cluster
        .service_account_kubeconfig(install::NAMESPACE, install::SERVICE_ACCOUNT)
        .await?;

    let began = site.provider.mark().await?;
    let mut operator = start(&site, kubeconfig, &mut findings).await?;
    idle(&site, &operator, args.idle, &mut findings).await?;
    site.provider.running(&began, &mut findings).await?;
    restart(&site, &mut operator, &mut findings).await?;
    P::after(&mut site, &operator, &mut findings).await?;
    findings.conclude(<P::Idp as Idp>::NAME)
}

/// From the operator's start to the last client that is ready.
async fn start<P: Measured>(
    site: &Site<P>,
    kubeconfig: std::path::PathBuf,
    findings: &mut Findings,
) -> Result<Operator> {
    let clients = site.clients.len();
    let (mark, before, cpu) = (
        site.cluster.audit().mark().await?,
        site.provider.mark().await?,
        Cpu::now(site)?,
    );
    let start = Instant::now();
    let operator = Operator::start(OperatorOptions::new(kubeconfig, "bench"))?;
    let mut ready_after = all_ready(&site.kube, clients, start).await?;
    let seconds = start.elapsed().as_secs_f64();
    let used = Cpu::now(site)?;
    let operator_cpu = operator.process().cpu_seconds()?;
    settled(&operator).await?;
    let records = operators(site.cluster.audit().since(&mark).await?);
    let calls = site.provider.calls_since(&before).await?;
    let of_clients = without_events(records.clone())
        .writes()
        .filter(|record| record.resource != "oidcproviders");
    let count = clients as f64;
    let per_client = of_clients.count() as f64 / count;
    let idp_per_client = calls.total() as f64 / count;
    ready_after.sort();
    let (p50, p99) = (millis(&ready_after, 0.5)?, millis(&ready_after, 0.99)?);

    println!("\n{clients} OIDCClients in {NAMESPACES} namespaces, made first");
    println!(
        "  operator's start to all ready   {seconds:.1} s ({:.0} a second)",
        count / seconds
    );
    println!("  start to ready, p50 / p99       {p50} ms / {p99} ms");
    println!("  Kubernetes writes a client      {per_client:.2} (goal <= {WRITES_PER_CLIENT})");
    println!("  {:<31} {idp_per_client:.2}", format!("{} calls a client", P::LABEL));
    println!(
        "  CPU seconds                     operator {operator_cpu:.1}, API server and etcd {:.1}, {} {:.1}",
        used.cluster - cpu.cluster,
        P::LABEL,
        used.provider - cpu.provider
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
    println!("  {:<31} {calls}", format!("calls to {}", P::LABEL));
    println!("  mean ms of a request            {}", latencies(&operator).await?);

    findings.put("seconds_to_ready", seconds);
    findings.put("kubernetes_writes_per_client", per_client);
    findings.put("idp_requests_per_client", idp_per_client);
    findings.put("p50_ms", p50);
    findings.put("p99_ms", p99);
    findings.goal(per_client <= WRITES_PER_CLIENT, || {
        format!("{per_client} Kubernetes writes a client: {:?}", of_clients.counts())
    });
    findings.goal(calls.writes() == clients as u64, || {
        format!("each client is made by one call: {calls}")
    });
    P::made(clients, &calls, findings);
    Ok(operator)
}

async fn idle<P: Measured>(site: &Site<P>, operator: &Operator, seconds: u64, findings: &mut Findings) -> Result<()> {
    println!("\n{seconds} s of idleness");
    let (mark, before) = (site.cluster.audit().mark().await?, site.provider.mark().await?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let writes = operators(site.cluster.audit().since(&mark).await?).writes();
    let calls = site.provider.calls_since(&before).await?;
    println!("  Kubernetes writes               {} (goal 0)", writes.count());
    println!("  {:<31} {calls}", format!("calls to {}", P::LABEL));
    let rss = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let peak = rss(operator.process().peak_rss()?);
    println!(
        "  memory of the operator          {:.1} MiB, peak {peak:.1} MiB",
        rss(operator.process().rss()?)
    );
    findings.put("peak_rss_mib", peak);
    findings.put("idle_writes", writes.count());
    findings.goal(writes.count() == 0, || {
        format!("idle, and still writing: {:?}", writes.counts())
    });
    findings.goal(calls.writes() == 0, || format!("idle, and still writing: {calls}"));
    Ok(())
}

async fn restart<P: Measured>(site: &Site<P>, operator: &mut Operator, findings: &mut Findings) -> Result<()> {
    let clients = site.clients.len();
    println!("\nrestart with everything unchanged");
    operator.terminate(Duration::from_secs(10)).await?;
    let (mark, before) = (site.cluster.audit().mark().await?, site.provider.mark().await?);
    let start = Instant::now();
    operator.start_again()?;
    passed(operator, clients).await?;
    let looked_at = start.elapsed().as_secs_f64();
    settled(operator).await?;
    let writes = operators(site.cluster.audit().since(&mark).await?).writes();
    let calls = site.provider.calls_since(&before).await?;
    println!("  until all were looked at        {looked_at:.1} s");
    println!("  Kubernetes writes               {} (goal 0)", writes.count());
    println!("  {:<31} {calls}", format!("calls to {}", P::LABEL));
    findings.put("restart_kubernetes_writes", writes.count());
    findings.put("restart_idp_writes", calls.writes());
    findings.put("restart_idp_requests", calls.total());
    findings.goal(writes.count() == 0, || {
        format!("unchanged, and still writing: {:?}", writes.counts())
    });
    findings.goal(calls.writes() == 0, || format!("unchanged, and still writing: {calls}"));
    P::restarted(clients, &calls, findings);
    Ok(())
}

/// The time by which this share of them was ready; `sorted` is.
fn millis(sorted: &[Duration], share: f64) -> Result<u64> {
    let at = (sorted.len().saturating_sub(1)) as f64 * share;
    let time = sorted.get(at as usize).copied().unwrap_or_default();
    Ok(u64::try_from(time.as_millis())?)
}

fn table(counts: &BTreeMap<String, usize>) -> String {
    let parts: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    parts.join(", ")
}

/// Processor time used so far, in seconds.
struct Cpu {
    cluster: f64,
    provider: f64,
}

impl Cpu {
    fn now<P: Measured>(site: &Site<P>) -> Result<Self> {
        Ok(Self {
            cluster: site.cluster.cpu_seconds()?,
            provider: site.provider.cpu_seconds()?,
        })
    }
}
