//! Many clients at once: few restarts.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::ListParams;
use oidc_operator::api::{OIDCClient, common::ConditionStatus};
use oidc_operator_e2e::{case, dex::Storage, wait::eventually};
use serde_json::json;

use crate::site::Site;

const CLIENTS: usize = 300;
const RESTARTS_AT_MOST: usize = 3;
const BOUND: Duration = Duration::from_secs(600);

#[tokio::test]
async fn three_hundred_clients_at_once_cost_three_restarts_at_most() {
    case::run(async {
        let site = Site::start("many", Storage::Sqlite).await?;
        let (scene, _kubelet) = site.scene().await?;
        // The first client would be another cause of a restart, where it is the first of all.
        let (before, start) = (site.dex.starts().len(), Instant::now());
        futures::stream::iter(0..CLIENTS)
            .map(|number| {
                let scene = scene.clone();
                async move { scene.client(&format!("client-{number}"), json!({})).await }
            })
            .buffer_unordered(16)
            .try_collect::<()>()
            .await?;
        let applied = start.elapsed();
        let is_ready = |client: &OIDCClient| {
            let conditions = client.status.iter().flat_map(|status| &status.conditions);
            conditions
                .into_iter()
                .any(|found| found.type_ == "Ready" && found.status == ConditionStatus::True)
        };
        eventually(format!("{CLIENTS} clients are ready"), BOUND, async || {
            let clients = scene.api::<OIDCClient>().list(&ListParams::default()).await?;
            let ready = clients.iter().filter(|client| is_ready(client)).count();
            ensure!(ready == CLIENTS, "{ready} are");
            Ok(())
        })
        .await?;
        let restarts = site.dex.starts().len() - before;
        let mut told = std::io::stderr();
        writeln!(
            told,
            "{CLIENTS} clients at once: applied in {:.1} s, all ready after {:.1} s, {restarts} restarts of Dex",
            applied.as_secs_f32(),
            start.elapsed().as_secs_f32()
        )?;
        ensure!(restarts <= RESTARTS_AT_MOST, "{restarts} restarts");
        site.was_never_open()
    })
    .await;
}
