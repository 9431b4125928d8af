//! What many clients cost, in requests.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::ListParams;
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    authentik::{AuthentikOptions, Managed, kinds},
    case,
    install::{NAMESPACE, SERVICE_ACCOUNT},
    operator::Operator,
    scene::{Idp as _, Stage},
    wait::eventually,
};
use serde_json::json;
use tokio::time::Instant;

use crate::held::look;

const CLIENTS: usize = 1000;
/// Rows on a page of a list.
const PAGE: usize = 100;
const BOUND: Duration = Duration::from_secs(300);
const LIST: &str = "GET providers/oauth2/";

/// The operator has passed over nothing for two seconds.
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

#[expect(clippy::print_stdout, reason = "what clients cost is a finding")]
fn printed(what: &str, kinds: &BTreeMap<String, usize>) {
    println!("{what}:");
    for (kind, count) in kinds {
        println!("  {count:>6}  {kind}");
    }
}

#[tokio::test]
async fn a_restart_with_a_thousand_unchanged_clients_writes_nothing_and_reads_little() {
    case::run(async {
        let managed = Managed::start(AuthentikOptions::default())?;
        let mut stage = Stage::start("bulk", &[]).await?;
        let scene = stage.scene_at(&managed, "bulk", json!({})).await?;
        settled(&stage.operator).await?;
        let (mark, start) = (managed.mark(), Instant::now());
        let names: Vec<String> = (0..CLIENTS).map(|number| format!("c{number}")).collect();
        futures::stream::iter(&names)
            .map(|name| scene.client(name, json!({})))
            .buffer_unordered(8)
            .try_collect::<()>()
            .await?;
        let api = scene.api::<OIDCClient>();
        eventually("all are ready", BOUND, async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let all = api.list(&ListParams::default()).await?.items;
            let is_ready = |client: &&OIDCClient| {
                let conditions = client.status.iter().flat_map(|status| &status.conditions);
                let mut reasons = conditions.map(|condition| (condition.type_.as_str(), condition.reason.as_str()));
                reasons.any(|found| found == ("Ready", "Ready"))
            };
            let ready = all.iter().filter(is_ready).count();
            ensure!(ready == CLIENTS, "{ready} are ready");
            Ok(())
        })
        .await?;
        let seconds = start.elapsed().as_secs_f64();
        settled(&stage.operator).await?;
        let asked = managed.asked_since(mark);
        println!(
            "{CLIENTS} clients in {seconds:.0} s, {:.2} requests to the API for each",
            asked.len() as f64 / CLIENTS as f64
        );
        printed("made", &kinds(&asked));
        let writes = kinds(&managed.writes_since(mark));
        let expected = ["POST core/applications/", "POST providers/oauth2/"];
        assert_eq!(writes, expected.map(|kind| (kind.to_owned(), CLIENTS)).into());

        // What the provider counts is up to date.
        look(&scene, "counted").await?;
        let status = scene.api::<OIDCProvider>().get(Managed::NAME).await?.status;
        let counted = status.context("status")?.clients.context("clients")?.total;
        assert_eq!(usize::try_from(counted)?, CLIENTS);
        settled(&stage.operator).await?;
        drop(scene);
        stage.operator.terminate(Duration::from_secs(10)).await?;
        let (audit, mark) = (stage.cluster.audit().mark().await?, managed.mark());
        stage.operator.start_again()?;
        eventually("a pass over every client", BOUND, async || {
            let labels = [("operation", "list secrets")];
            let lists = stage
                .operator
                .metric("oidc_operator_kubernetes_requests_total", &labels)
                .await?;
            ensure!(lists >= CLIENTS as f64, "{lists} passes");
            Ok(())
        })
        .await?;
        settled(&stage.operator).await?;
        let all = stage.cluster.audit().since(&audit).await?;
        let writes = all.by_service_account(NAMESPACE, SERVICE_ACCOUNT).writes();
        assert_eq!(writes.counts(), BTreeMap::new(), "unchanged, and still writing");
        let asked = kinds(&managed.asked_since(mark));
        printed("restart", &asked);
        let pages = *asked.get(LIST).context("it has not looked")?;
        ensure!(pages <= CLIENTS.div_ceil(PAGE), "{pages} pages for {CLIENTS} clients");
        for (kind, count) in &asked {
            let bound = match kind.as_str() {
                LIST => pages,
                "GET flows/instances/" => 2,
                "GET admin/version/" | "GET crypto/certificatekeypairs/" | "GET propertymappings/provider/scope/" => 1,
                _ => 0,
            };
            ensure!(*count <= bound, "{kind}: {count}");
        }
        Ok(())
    })
    .await;
}
