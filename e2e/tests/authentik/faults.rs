//! Writes that fail, or seem to: one client in the end.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    authentik::{Fault, Rule},
    case,
    scene::SOON,
    wait::eventually,
};
use serde_json::{Value, json};

use crate::held::{Scene, rare_scene, works};

fn faults() -> Vec<(&'static str, Fault, bool)> {
    vec![
        ("empty405-done", Fault::Empty405, true),
        ("empty405", Fault::Empty405, false),
        ("bad-gateway-done", Fault::BadGateway, true),
        ("bad-gateway", Fault::BadGateway, false),
        ("reset-done", Fault::Reset, true),
        ("reset", Fault::Reset, false),
    ]
}

/// The next request of this method to this list, or to one of its objects, fails so.
fn fail(scene: &Scene<'_>, method: &str, list: &str, fault: &Fault, done: bool) {
    let rule = Rule::new(&format!("/api/v3/{list}/"), fault.clone())
        .method(method)
        .times(1);
    scene.idp.server.fault(if done { rule.after_effect() } else { rule });
}

fn spec(value: &str) -> Value {
    json!({
        "displayName": value,
        "claims": [{"name": "tier", "type": "Constant", "constant": {"value": value}}],
    })
}

/// Nothing is there but these clients, each whole.
async fn whole(scene: &Scene<'_>, names: &[&str]) -> Result<()> {
    let mut ids: Vec<String> = names.iter().map(|name| scene.client_id(name)).collect();
    ids.sort();
    assert_eq!(scene.idp.server.client_ids(), ids);
    assert_eq!(scene.idp.server.slugs(), ids);
    let mappings = scene.idp.admin()?.made_mappings().await?;
    assert_eq!(mappings.len(), names.len(), "{mappings:?}");
    Ok(())
}

const LISTS: [&str; 3] = [
    "propertymappings/provider/scope",
    "providers/oauth2",
    "core/applications",
];

#[tokio::test]
async fn whatever_becomes_of_a_write_there_is_one_client() {
    case::run(async {
        let scene = rare_scene("faults").await?;
        let mark = scene.idp.mark();
        let mut names = Vec::new();
        for (name, fault, done) in faults() {
            for list in LISTS {
                fail(&scene, "POST", list, &fault, done);
            }
            scene.ready_client(name, spec("before")).await.context(name)?;
            works(&scene, name).await.context(name)?;
            names.push(name);
            whole(&scene, &names).await.context(name)?;
            for list in LISTS {
                fail(&scene, "PATCH", list, &fault, done);
            }
            let mut changed = spec("after");
            changed["tokenLifetimes"] = json!({"accessToken": "5m"});
            scene.client(name, changed).await?;
            let id = scene.client_id(name);
            eventually(format!("{name}: it is changed"), SOON, async || {
                let provider = scene.idp.server.provider(&id).context("no provider")?;
                ensure!(provider["access_token_validity"] == "seconds=300", "{provider}");
                let application = scene.idp.server.application(&id).context("no application")?;
                ensure!(application["name"] == "after", "{application}");
                Ok(())
            })
            .await?;
            scene.ready::<OIDCClient>(name).await?;
            whole(&scene, &names).await.context(name)?;
            works(&scene, name).await.context(name)?;
        }
        for (name, fault, done) in faults() {
            for list in LISTS {
                fail(&scene, "DELETE", list, &fault, done);
            }
            scene.delete::<OIDCClient>(name).await.context(name)?;
        }
        whole(&scene, &[]).await?;
        // Each of the faults has hit, once.
        let failed = |status| matches!(status, None | Some(405 | 502));
        let mut writes = scene.idp.writes_since(mark);
        writes.retain(|write| failed(write.status));
        assert_eq!(writes.len(), faults().len() * LISTS.len() * 3, "{writes:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_server_whose_database_is_down_costs_no_client() {
    case::run(async {
        let scene = rare_scene("database").await?;
        scene.ready_client("old", spec("x")).await?;
        let before = scene.idp.server.provider(&scene.client_id("old"));
        let secret = scene.secret("old-oidc").await?;
        scene.idp.server.database_down(true);
        scene.client("new", spec("x")).await?;
        scene.client("old", spec("y")).await?;
        eventually("it says so", SOON, async || {
            let status = scene
                .api::<OIDCClient>()
                .get("new")
                .await?
                .status
                .context("no status")?;
            let mut conditions = status.conditions.iter();
            let told = conditions.any(|condition| condition.reason == "ServerError");
            ensure!(told, "{:?}", status.conditions);
            Ok(())
        })
        .await?;
        scene.idp.server.database_down(false);
        scene.ready::<OIDCClient>("new").await?;
        scene.ready::<OIDCClient>("old").await?;
        assert_eq!(scene.secret("old-oidc").await?, secret);
        let after = scene.idp.server.provider(&scene.client_id("old"));
        assert_eq!(
            after.map(|provider| provider["pk"].clone()),
            before.map(|provider| provider["pk"].clone())
        );
        whole(&scene, &["old", "new"]).await
    })
    .await;
}
