//! What the fields do: logins that get what the spec says.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oidc_operator_e2e::{
    case, http,
    login::{ClientAuth, LoggedIn, Login},
    scene::SOON,
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{
    held::{Scene, rare_scene},
    scene,
};

/// A login with the credentials in the Secret, as the spec asks for it.
async fn login(scene: &Scene<'_>, name: &str) -> Result<Login> {
    let secret = scene.secret(&format!("{name}-oidc")).await?;
    let auth = ClientAuth::SecretBasic(secret["client-secret"].clone());
    let login = scene.idp.login(&secret["client-id"], auth, &secret["redirect-uri"]);
    Ok(login.with_scope(&secret["scope"]))
}

/// The claims of a JWT that was got first-hand.
fn payload(tokens: &Value, token: &str) -> Result<Value> {
    let token = tokens[token].as_str().with_context(|| format!("no {token}"))?;
    let payload = token.split('.').nth(1).context("not a JWT")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

async fn userinfo(scene: &Scene<'_>, tokens: &Value) -> Result<Value> {
    let token = tokens["access_token"].as_str().context("no access token")?;
    let request = http::client(scene.idp.ca.pem())?.get(scene.idp.endpoint("userinfo"));
    let answer = request.bearer_auth(token).send().await?;
    Ok(answer.error_for_status()?.json().await?)
}

#[tokio::test]
async fn claims_are_in_every_token() {
    case::run(async {
        let scene = rare_scene("tokens").await?;
        let server = &scene.idp.server;
        // Nothing of it may end the text in an expression.
        let odd = "\"}; import os # 'é€😀\\n{x}";
        let spec = json!({
            "claims": [
                {"name": "tier", "type": "Constant", "constant": {"value": "gold"}},
                {"name": "odd", "type": "Constant", "constant": {"value": odd}},
                {"name": "unit.name", "type": "UserAttribute", "userAttribute": {"attribute": "department"}},
                {"name": "missing", "type": "UserAttribute", "userAttribute": {"attribute": "nobody has it"}},
                {"name": "teams", "type": "Groups", "groups": {"path": "Name"}},
                {"name": "roles", "type": "ClientRoles"},
            ],
        });
        scene.ready_client("shop", spec).await?;
        server.give_attribute("department", json!("sales"));
        server.give_groups(&["staff", "buyers"]);
        server.give_entitlements(&scene.client_id("shop"), &["editor"]);
        server.give_entitlements("another-application", &["owner"]);
        let LoggedIn { claims, tokens } = login(&scene, "shop").await?.run().await?;
        let told = userinfo(&scene, &tokens).await?;
        for (place, claims) in [
            ("ID token", &claims),
            ("access token", &payload(&tokens, "access_token")?),
            ("userinfo", &told),
        ] {
            assert_eq!(claims["tier"], "gold", "{place}");
            assert_eq!(claims["odd"], odd, "{place}");
            assert_eq!(claims["unit"], json!({"name": "sales"}), "{place}");
            assert_eq!(claims["teams"], json!(["buyers", "staff"]), "{place}");
            assert_eq!(claims["roles"], json!(["editor"]), "{place}");
            assert_eq!(claims.get("missing"), None, "{place}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_refresh_token_is_given_with_its_grant_and_scope_only() {
    case::run(async {
        let scene = scene("refresh").await?;
        let spec = json!({"grantTypes": ["authorization_code"]});
        scene.ready_client("without", spec).await?;
        let spec = json!({"grantTypes": ["authorization_code", "refresh_token"]});
        scene.ready_client("with", spec).await?;
        let given = async |login: Login| anyhow::Ok(login.run().await?.tokens.get("refresh_token").cloned());
        let plain = login(&scene, "with").await?.with_scope("openid");
        assert_eq!(given(plain).await?, None, "the scope was not asked for");
        let greedy = login(&scene, "without").await?.with_scope("openid offline_access");
        assert_eq!(given(greedy).await?, None, "the client has no such scope");
        let token = given(login(&scene, "with").await?).await?.context("no refresh token")?;

        let secret = scene.secret("with-oidc").await?;
        let request = http::client(scene.idp.ca.pem())?.post(scene.idp.endpoint("token"));
        let request = request.basic_auth(&secret["client-id"], Some(&secret["client-secret"]));
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.as_str().context("text")?),
        ];
        let answer = request.form(&form).send().await?;
        let tokens: Value = answer.error_for_status()?.json().await?;
        ensure!(tokens["access_token"].is_string(), "{tokens}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn email_verified_is_what_the_provider_says() {
    case::run(async {
        let scene = rare_scene("email").await?;
        scene.ready_client("shop", json!({})).await?;
        let claims = async |name: &str| anyhow::Ok(login(&scene, name).await?.run().await?.claims);
        assert_eq!(claims("shop").await?["email_verified"], false);
        scene
            .provider(json!({"spec": {"authentik": {"emailVerified": "AlwaysTrue"}}}))
            .await?;
        // A client that was there, and a new one.
        eventually("it is verified", SOON, async || {
            let claims = claims("shop").await?;
            ensure!(claims["email_verified"] == true, "{claims}");
            ensure!(claims["email"] == "jane@example.test", "{claims}");
            Ok(())
        })
        .await?;
        scene.ready_client("new", json!({})).await?;
        assert_eq!(claims("new").await?["email_verified"], true);
        scene.ready_client("none", json!({"scopes": ["openid"]})).await?;
        assert_eq!(claims("none").await?.get("email"), None);
        Ok(())
    })
    .await;
}
