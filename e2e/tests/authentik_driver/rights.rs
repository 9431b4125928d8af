//! Surprises 3 and 4: who asks, and what they may.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::domain::{ClientSecret, DesiredClient, IdpError, IdpErrorKind};
use oidc_operator::idp::Driver;
use oidc_operator::idp::authentik::AuthentikDriver;
use oidc_operator_e2e::authentik::RIGHTS;
use oidc_operator_e2e::case;
use reqwest::Method;
use serde_json::{Value, json};

use crate::room::{Room, client, error};

/// What a driver without credentials makes of every call.
async fn every_call(
    room: &Room,
    driver: &AuthentikDriver,
    desired: &DesiredClient,
    secret: &ClientSecret,
) -> Result<Vec<(&'static str, Result<String, IdpError>)>> {
    fn told<T: std::fmt::Debug>(outcome: Result<T, IdpError>) -> Result<String, IdpError> {
        outcome.map(|done| format!("{done:?}"))
    }
    let (new, new_secret) = client("new");
    let observed = room.get(desired).await?;
    let changed = DesiredClient {
        description: Some("changed".to_owned()),
        ..desired.clone()
    };
    let diff = room.driver.model().diff(&changed, Some(secret), &observed);
    Ok(vec![
        ("probe", told(driver.probe().await)),
        ("list", told(driver.list(0).await)),
        ("get", told(driver.get(&desired.client_id, &desired.mark).await)),
        ("create", told(driver.create(&new, Some(&new_secret)).await)),
        (
            "update",
            told(driver.update(&observed, &changed, Some(secret), &diff).await),
        ),
        ("delete", told(driver.delete(&observed).await)),
    ])
}

/// Always 403, and never 401: what is wrong with the token is told from its text, and a person must act.
#[tokio::test]
async fn surprise_03_a_bad_token_is_unauthorized() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("guarded");
        room.create(&desired, &secret).await?;
        let expired = room.server.service_account("expired", RIGHTS)?;
        room.server.expire_token(&expired);
        let deleted = room.server.service_account("deleted", RIGHTS)?;
        room.server.revoke_token(&deleted);
        let inactive = room.server.service_account("inactive", RIGHTS)?;
        let users = room
            .admin(Method::GET, "/api/v3/core/users/?username=inactive", Value::Null)
            .await?;
        let user = format!("/api/v3/core/users/{}/", users["results"][0]["pk"]);
        room.admin(Method::PATCH, &user, json!({ "is_active": false })).await?;
        let account = room
            .admin(
                Method::POST,
                "/api/v3/core/users/service_account/",
                json!({ "name": "app-password", "create_group": false }),
            )
            .await?;
        let app_password = account["token"].as_str().context("no token")?.to_owned();

        let before = room.all().await?;
        for (name, token) in [
            ("none", String::new()),
            ("a wrong one", "wrong".to_owned()),
            ("an expired one", expired),
            ("a deleted one", deleted),
            ("an app password", app_password),
            ("an inactive user's", inactive),
        ] {
            let driver = room.driver(&token)?;
            for (call, outcome) in every_call(&room, &driver, &desired, &secret).await? {
                let refused = error(&format!("{call} with {name}"), outcome)?;
                ensure!(
                    refused.kind == IdpErrorKind::Unauthorized,
                    "{call} with {name}: {refused:?}"
                );
                ensure!(refused.message.contains("intent api"), "{refused}");
            }
        }
        ensure!(room.all().await? == before, "something was done");
        room.stands(&desired, &secret).await?;
        room.finish()
    })
    .await;
}

/// A right, and the calls that cannot do without.
const NEEDED_BY: &[(&str, &[&str])] = &[
    ("authentik_core.add_application", &["create"]),
    ("authentik_core.change_application", &["update"]),
    ("authentik_core.delete_application", &["delete"]),
    (
        "authentik_core.view_application",
        &["get", "create", "update", "delete"],
    ),
    ("authentik_providers_oauth2.add_oauth2provider", &["create"]),
    ("authentik_providers_oauth2.change_oauth2provider", &[]),
    ("authentik_providers_oauth2.delete_oauth2provider", &["delete"]),
    (
        "authentik_providers_oauth2.view_oauth2provider",
        &["list", "get", "delete"],
    ),
    ("authentik_providers_oauth2.add_scopemapping", &["create"]),
    ("authentik_providers_oauth2.change_scopemapping", &[]),
    ("authentik_providers_oauth2.delete_scopemapping", &["delete"]),
    (
        "authentik_providers_oauth2.view_scopemapping",
        &["probe", "list", "get", "create", "delete"],
    ),
    ("authentik_flows.view_flow", &["probe", "list", "get", "create"]),
    (
        "authentik_crypto.view_certificatekeypair",
        &["probe", "list", "get", "create"],
    ),
];

/// One right less: what needs it says so, and nothing that is there is taken for gone, nor what was not done for done.
#[tokio::test]
async fn surprise_04_a_missing_right_is_forbidden_and_never_an_empty_answer() {
    case::run(async {
        ensure!(NEEDED_BY.iter().map(|(right, _)| right).eq(RIGHTS));
        let room = Room::new().await?;
        let (desired, secret) = client("guarded");
        let (new, _) = client("new");
        for (right, calls) in NEEDED_BY {
            let rights: Vec<&str> = RIGHTS.iter().copied().filter(|one| one != right).collect();
            let driver = room.driver(&room.server.service_account(right, &rights)?)?;
            room.bring(&desired, &secret).await?;
            for (call, outcome) in every_call(&room, &driver, &desired, &secret).await? {
                match outcome {
                    Err(error) => {
                        ensure!(
                            error.kind == IdpErrorKind::Forbidden,
                            "{call} without {right}: {error:?}"
                        );
                        ensure!(calls.contains(&call), "{call} needs {right}");
                    }
                    Ok(done) => {
                        ensure!(!calls.contains(&call), "{call} without {right} is {done}");
                        let shows = matches!(call, "list" | "get");
                        ensure!(
                            !shows || done.contains(&desired.client_id),
                            "{call} without {right} is {done}"
                        );
                    }
                }
            }
            let made = room.driver.get(&new.client_id, &new.mark).await?;
            ensure!(
                made.is_none() || !right.contains(".add_"),
                "left behind without {right}: {made:?}"
            );
            // What was begun without the right to end it is still ours.
            for desired in [&desired, &new] {
                if let Some(left) = room.driver.get(&desired.client_id, &desired.mark).await? {
                    room.driver.delete(&left).await?;
                }
            }
            room.nothing_is_left().await.context(*right)?;
        }
        room.finish()
    })
    .await;
}

/// The change of each kind of object needs its own right.
#[tokio::test]
async fn surprise_04_each_change_needs_its_right() {
    case::run(async {
        let room = Room::new().await?;
        let (desired, secret) = client("changed");
        room.create(&desired, &secret).await?;
        let (mut described, mut redirected, mut claimed) = (desired.clone(), desired.clone(), desired.clone());
        described.description = Some("changed".to_owned());
        redirected
            .redirect_uris
            .push("https://app.example.com/second".to_owned());
        claimed.claims[0].source = oidc_operator::domain::ClaimSource::Constant("silver".to_owned());
        for (right, changed) in [
            ("authentik_core.change_application", described),
            ("authentik_providers_oauth2.change_oauth2provider", redirected),
            ("authentik_providers_oauth2.change_scopemapping", claimed),
        ] {
            let rights: Vec<&str> = RIGHTS.iter().copied().filter(|one| *one != right).collect();
            let driver = room.driver(&room.server.service_account(&format!("not {right}"), &rights)?)?;
            let observed = room.get(&desired).await?;
            let diff = driver.model().diff(&changed, Some(&secret), &observed);
            ensure!(diff.changes.len() == 1, "{diff:?}");
            let refused = error(right, driver.update(&observed, &changed, Some(&secret), &diff).await)?;
            ensure!(refused.kind == IdpErrorKind::Forbidden, "{right}: {refused:?}");
            room.stands(&desired, &secret).await?;
        }
        room.finish()
    })
    .await;
}
