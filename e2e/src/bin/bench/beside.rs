//! How soon clients of a Dex are ready beside a Keycloak that accepts connections and never answers.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kube::{Api, api::ListParams};
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    dex::Dex,
    install,
    keycloak::Realm,
    operator::{Operator, OperatorOptions},
    scene::Idp,
    wait::eventually,
};

use crate::{
    BOUND, Findings,
    calls::Measured as _,
    keycloak::KeycloakRealm,
    millis,
    rest::{ready, settled},
    site::{IDENTITY, IN_FLIGHT, Site, apply_provider, make},
};

/// Clients of each run, and of the Keycloak that hangs.
const CLIENTS: usize = 50;
/// Runs of each kind.
const RUNS: usize = 3;

pub(crate) async fn bench() -> Result<()> {
    let (site, keycloak) = tokio::try_join!(Site::<Dex>::prepare(), KeycloakRealm::start())?;
    apply_provider(&site.cluster, keycloak.idp()).await?;
    let kubeconfig = site
        .cluster
        .service_account_kubeconfig(install::NAMESPACE, install::SERVICE_ACCOUNT)
        .await?;
    let operator = Operator::start(OperatorOptions::new(kubeconfig, "bench"))?;
    let providers: Api<OIDCProvider> = Api::namespaced(site.kube.clone(), IDENTITY);
    for name in [Dex::NAME, Realm::NAME] {
        eventually(format!("OIDCProvider {name} is ready"), BOUND, async || {
            let status = providers.get(name).await?.status.unwrap_or_default();
            let is_ready = status.conditions.iter().any(|condition| condition.reason == "Ready");
            ensure!(is_ready, "{:?}", status.conditions);
            Ok(())
        })
        .await?;
    }
    println!("{CLIENTS} OIDCClients of Dex are made and become ready, {RUNS} times; a first time that does not count");
    one(&site, &operator).await?;
    let alone = several(&site, &operator).await?;

    println!("Keycloak hangs, with {CLIENTS} OIDCClients of its own that wait");
    keycloak.freeze()?;
    let namespace = site.cluster.namespace("hung").await?;
    make(&site.kube, Realm::NAME, &names(&namespace)).await?;
    let hung: Api<OIDCClient> = Api::namespaced(site.kube.clone(), &namespace);
    eventually("as many passes as there can be wait for Keycloak", BOUND, async || {
        let clients = hung.list(&ListParams::default()).await?;
        let begun = clients.iter().filter(|client| client.metadata.finalizers.is_some());
        ensure!(begun.count() >= IN_FLIGHT, "too few");
        Ok(())
    })
    .await?;
    let beside = several(&site, &operator).await?;
    for client in hung.list(&ListParams::default()).await? {
        let remote = client.status.and_then(|status| status.remote);
        ensure!(remote.is_none(), "Keycloak answered");
    }

    println!("  first creation to ready, p99, median of {RUNS} (each run)");
    println!("  Keycloak idle                   {} ms ({alone:?})", median(&alone));
    println!("  Keycloak hung                   {} ms ({beside:?})", median(&beside));
    let mut findings = Findings::default();
    findings.put("clients", CLIENTS);
    findings.put("p99_ms", median(&alone));
    findings.put("p99_ms_beside_hung_keycloak", median(&beside));
    findings.conclude("beside-hung-keycloak")
}

fn names(namespace: &str) -> Vec<(String, String)> {
    (0..CLIENTS)
        .map(|number| (namespace.to_owned(), format!("app-{number}")))
        .collect()
}

/// Clients of Dex in a namespace of their own; the time from the first creation until 99 % of them are ready.
async fn one(site: &Site<Dex>, operator: &Operator) -> Result<u64> {
    let namespace = site.cluster.namespace("beside").await?;
    let names = names(&namespace);
    let start = Instant::now();
    let all_ready = ready(Api::namespaced(site.kube.clone(), &namespace), CLIENTS, start);
    let ((), mut times): ((), Vec<Duration>) = tokio::try_join!(make(&site.kube, Dex::NAME, &names), all_ready)?;
    times.sort();
    settled(operator).await?;
    millis(&times, 0.99)
}

async fn several(site: &Site<Dex>, operator: &Operator) -> Result<Vec<u64>> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(one(site, operator).await?);
    }
    Ok(runs)
}

fn median(runs: &[u64]) -> u64 {
    let mut sorted = runs.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
