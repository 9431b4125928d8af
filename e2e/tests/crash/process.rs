//! The whole process, killed while it makes clients; less fine than the loops, but nothing is played.

use anyhow::{Context as _, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::ListParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    login::secret_accepted,
    scene::{SOON, Stage},
    wait::eventually,
};
use serde_json::json;

const CLIENTS: usize = 24;
/// Killed when this many Secrets are there.
const KILLED_AT: [usize; 4] = [1, 6, 12, 18];

#[tokio::test]
async fn an_operator_that_is_killed_again_and_again_makes_each_client_once() {
    case::run(async {
        let mut stage = Stage::start("killed", &[]).await?;
        let scene = stage.scene("killed").await?;
        let (kube, app) = (scene.kube.clone(), scene.app.clone());
        for number in 0..CLIENTS {
            scene.client(&format!("c{number}"), json!({})).await?;
        }
        drop(scene);
        let secrets: Api<Secret> = Api::namespaced(kube.clone(), &app);
        let labelled = ListParams::default().labels("oidc-operator.io/client-uid");
        for wanted in KILLED_AT {
            eventually(format!("{wanted} Secrets"), SOON, async || {
                let found = secrets.list_metadata(&labelled).await?.items.len();
                ensure!(found >= wanted, "there are {found}");
                Ok(())
            })
            .await?;
            stage.operator.kill().await?;
            stage.operator.start_again()?;
        }
        let clients: Api<OIDCClient> = Api::namespaced(kube, &app);
        for number in 0..CLIENTS {
            let name = format!("c{number}");
            eventually(format!("{name} is ready"), SOON, async || {
                let client = clients.get(&name).await?;
                let conditions = client.status.context("no status")?.conditions;
                let ready = conditions
                    .iter()
                    .find(|condition| condition.type_ == "Ready")
                    .context("no Ready")?;
                ensure!(ready.reason == "Ready", "{}: {}", ready.reason, ready.message);
                Ok(())
            })
            .await?;
            let data = secrets.get(&format!("{name}-oidc")).await?.data.unwrap_or_default();
            let secret = String::from_utf8(data["client-secret"].0.clone())?;
            let (dex, id) = (&stage.dex, format!("{app}_{name}"));
            ensure!(
                secret_accepted(dex.ca_pem(), &dex.token_endpoint(), &id, &secret).await?,
                "{id} is refused"
            );
        }
        assert_eq!(stage.dex.admin().await?.list().await?.len(), CLIENTS);
        let calls = stage.dex.grpc_requests().await?;
        let created = usize::try_from(calls["CreateClient"])?;
        // A call that was cut off in the middle may be counted, and be made again.
        ensure!((CLIENTS..=CLIENTS + KILLED_AT.len()).contains(&created), "{calls:?}");
        assert_eq!(calls.get("DeleteClient"), None);
        Ok(())
    })
    .await;
}
