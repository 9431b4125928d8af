//! No secret is told to anybody but the Secret and Dex. A stage of its own, whose operator logs all that it can.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::api::{Patch, PatchParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    case,
    scene::{Scene, Stage},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::held::{Held, at_dex, becomes};

/// The client's secret becomes another; gives it.
async fn edited(scene: &Scene<'_>, by: &str) -> Result<String> {
    let before = Held::of(scene, "shop").await?.client_secret().to_owned();
    let patch = Patch::Merge(json!({"stringData": {"client-secret": by}}));
    scene
        .secrets()
        .patch("shop-oidc", &PatchParams::default(), &patch)
        .await?;
    let after = becomes(scene, "shop", "a new secret, at Dex too", |now| {
        let secret = now.secret.get("client-secret");
        secret.is_some_and(|secret| *secret != before && secret != by && *secret == now.at_dex.secret)
    })
    .await?;
    Ok(after.client_secret().to_owned())
}

#[tokio::test]
async fn no_secret_is_told() {
    case::run(async {
        let stage = Stage::start("secrecy", &["--log", "debug"]).await?;
        let scene = stage.scene("secrecy").await?;
        scene.ready_client("shop", json!({})).await?;
        let mut secrets = vec![Held::of(&scene, "shop").await?.client_secret().to_owned()];
        secrets.push("edited-by-somebody-else".to_owned());
        let by = secrets[1].clone();
        secrets.push(edited(&scene, &by).await?);

        // Somebody sets a secret in Dex: it is found, and put back.
        let (admin, id) = (stage.dex.admin().await?, scene.client_id("shop"));
        let mut client = at_dex(&scene, &id).await?.context("no client")?;
        admin.delete(&id).await?;
        client.secret = "set-in-dex-by-somebody".to_owned();
        secrets.push(client.secret.clone());
        admin.create(client).await?;
        scene.ask::<OIDCClient>("shop", "now").await?;
        let ours = secrets[2].clone();
        becomes(&scene, "shop", "our secret at Dex", |now| now.at_dex.secret == ours).await?;
        // A client that somebody else holds.
        let foreign = oidc_operator_e2e::dex::api::Client {
            id: "foreign".to_owned(),
            secret: "secret-of-a-foreign-client".to_owned(),
            ..Default::default()
        };
        secrets.push(foreign.secret.clone());
        admin.create(foreign).await?;
        scene.client("foreign", json!({"clientID": "foreign"})).await?;
        scene
            .condition::<OIDCClient>("foreign", "Accepted", "False", "ClientIDTaken")
            .await?;
        scene.ready::<OIDCClient>("shop").await?;
        // A Dex that fails.
        stage.dex.kill();
        scene.ask::<OIDCClient>("shop", "again").await?;
        scene
            .condition::<OIDCClient>("shop", "Reconciling", "True", "Unreachable")
            .await?;
        let key = stage.dex.client_identity().key.clone();
        secrets.extend(key.lines().filter(|line| !line.starts_with("-----")).map(str::to_owned));

        let told = scene.told(&stage.operator).await?;
        for place in ["log", "metrics", "Event", "OIDCClient", "OIDCProvider", "ConfigMap"] {
            ensure!(told.iter().any(|(found, _)| found == place), "no {place} was looked at");
        }
        ensure!(told[0].1.contains("\"level\":\"DEBUG\""), "the log tells too little");
        for secret in &secrets {
            let digest = Sha256::digest(secret.as_bytes());
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            for form in [secret.clone(), STANDARD.encode(secret), hex, STANDARD.encode(digest)] {
                for (place, text) in &told {
                    // Not the whole text: it would tell the secret once more.
                    ensure!(!text.contains(&form), "a secret stands in a {place}");
                }
            }
        }

        // One JSON object a line, each with time, level and message.
        let log = &told[0].1;
        for line in log.lines() {
            let entry: Value = serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
            for field in ["timestamp", "level", "target"] {
                ensure!(entry[field].is_string(), "no {field} in {line}");
            }
        }
        let took = stage.operator.terminate(Duration::from_secs(10)).await?;
        ensure!(stage.operator.process().exit_code() == Some(0), "after {took:?}");
        Ok(())
    })
    .await;
}
