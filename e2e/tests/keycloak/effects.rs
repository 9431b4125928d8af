//! What the fields do: logins and token requests that get what the spec says, and others that are refused.

use anyhow::{Context as _, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use oidc_operator::{api::OIDCClient, domain::model::Enforcement};
use oidc_operator_e2e::{
    case, http,
    keycloak::Version,
    login::{ClientAuth, LoggedIn, Login},
    shared,
};
use reqwest::{StatusCode, redirect::Policy};
use serde_json::{Value, json};

use crate::{
    held::{Held, Scene, scene_of_its_own, shown},
    scene,
};

/// A login with the credentials in the Secret, as the spec asks for it.
fn login(scene: &Scene<'_>, held: &Held) -> Login {
    let secret = held.client_secret().to_owned();
    let auth = if secret.is_empty() {
        ClientAuth::None
    } else {
        ClientAuth::SecretBasic(secret)
    };
    scene
        .idp
        .login(held.client_id(), auth, &held.secret["redirect-uri"])
        .with_scope(&held.secret["scope"])
}

/// The claims of a JWT that was got first-hand.
fn claims(tokens: &Value, token: &str) -> Result<Value> {
    let token = tokens[token].as_str().with_context(|| format!("no {token}"))?;
    let payload = token.split('.').nth(1).context("not a JWT")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn header(tokens: &Value, token: &str) -> Result<Value> {
    let token = tokens[token].as_str().with_context(|| format!("no {token}"))?;
    let header = token.split('.').next().context("not a JWT")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?)?)
}

/// How long a token lives, in seconds. (`expires_in` counts from the answer on, which a busy server gives a second later.)
fn life(claims: &Value) -> Result<i64> {
    let time = |name: &str| claims[name].as_i64().with_context(|| format!("no {name}"));
    Ok(time("exp")? - time("iat")?)
}

fn endpoint(scene: &Scene<'_>, rest: &str) -> String {
    format!("{}/protocol/openid-connect/{rest}", scene.idp.issuer())
}

/// The refusal of a login that must not work.
async fn refused(login: &Login) -> Result<String> {
    match login.run().await {
        Ok(_) => anyhow::bail!("it was let in"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

/// A token request with the client's credentials in the body, where it has any.
async fn token(scene: &Scene<'_>, held: &Held, fields: &[(&str, &str)]) -> Result<(StatusCode, Value)> {
    let mut form = vec![("client_id", held.client_id())];
    if !held.client_secret().is_empty() {
        form.push(("client_secret", held.client_secret()));
    }
    form.extend(fields);
    scene.idp.token(&form).await
}

/// Gives jane a role of the client, and makes the realm's role `developer` one of those that the client's tokens may name.
async fn give_roles(scene: &Scene<'_>, held: &Held, role: &str) -> Result<()> {
    let (admin, realm) = (scene.idp.admin(), scene.idp);
    let client = format!("clients/{}", held.id());
    admin
        .post(&realm.path(&format!("{client}/roles")), &json!({"name": role}))
        .await?;
    let role = admin.get(&realm.path(&format!("{client}/roles/{role}"))).await?;
    let jane = admin.get(&realm.path("users?exact=true&username=jane")).await?;
    let jane = jane[0]["id"].as_str().context("no jane")?.to_owned();
    let path = realm.path(&format!("users/{jane}/role-mappings/{client}"));
    admin.post(&path, &json!([role])).await?;
    let developer = admin.get(&realm.path("roles/developer")).await?;
    let path = realm.path(&format!("{client}/scope-mappings/realm"));
    admin.post(&path, &json!([developer])).await.map(drop)
}

#[tokio::test]
async fn claims_are_in_the_tokens_that_were_chosen_and_in_no_other() {
    case::run(async {
        let scene = scene("tokens").await?;
        let claim = |name: &str, type_: &str, block: Value, tokens: Value| {
            let mut claim = json!({"name": name, "type": type_});
            oidc_operator_e2e::scene::merge(&mut claim, &block);
            if !tokens.is_null() {
                claim["tokens"] = tokens;
            }
            claim
        };
        let spec = json!({
            "tokenEndpointAuthMethod": "client_secret_post",
            "claims": [
                claim("groups", "Groups", json!({"groups": {"path": "Name"}}), json!(["IDToken"])),
                claim("paths", "Groups", json!({"groups": {"path": "FullPath"}}), json!(["AccessToken"])),
                claim("tier", "Constant", json!({"constant": {"value": "gold"}}), json!(["UserInfo"])),
                claim("unit.name", "UserAttribute", json!({"userAttribute": {"attribute": "department"}}), Value::Null),
                claim("ranks", "RealmRoles", json!({}), json!(["AccessToken", "IDToken"])),
                claim("roles", "ClientRoles", json!({}), json!(["AccessToken", "UserInfo"])),
            ],
        });
        scene.ready_client("shop", spec).await?;
        let held = Held::of(&scene, "shop").await?;
        give_roles(&scene, &held, "buyer").await?;
        let post = ClientAuth::SecretPost(held.client_secret().to_owned());
        let LoggedIn {
            claims: id_token,
            tokens,
        } = Login {
            client_auth: post,
            ..login(&scene, &held)
        }
        .run()
        .await?;
        let access_token = claims(&tokens, "access_token")?;
        let token = tokens["access_token"].as_str().context("no access token")?;
        let web = http::client(scene.idp.ca_pem())?;
        let userinfo = web.get(endpoint(&scene, "userinfo")).bearer_auth(token).send().await?;
        let userinfo: Value = userinfo.error_for_status()?.json().await?;
        let form = [
            ("token", token),
            ("client_id", held.client_id()),
            ("client_secret", held.client_secret()),
        ];
        let introspected = web
            .post(endpoint(&scene, "token/introspect"))
            .form(&form)
            .send()
            .await?;
        let introspected: Value = introspected.error_for_status()?.json().await?;

        let names = ["groups", "paths", "tier", "unit", "ranks", "roles"];
        let carried = |token: &Value| {
            let found = names.iter().filter(|name| !token[**name].is_null());
            let found: serde_json::Map<String, Value> =
                found.map(|name| ((*name).to_owned(), token[*name].clone())).collect();
            Value::Object(found)
        };
        let (unit, ranks) = (json!({"name": "research"}), json!(["developer"]));
        assert_eq!(
            carried(&id_token),
            json!({"groups": ["devs"], "unit": unit, "ranks": ranks})
        );
        let in_access = json!({"paths": ["/staff/devs"], "unit": unit, "ranks": ranks, "roles": ["buyer"]});
        assert_eq!(carried(&access_token), in_access);
        assert_eq!(carried(&introspected), in_access);
        assert_eq!(
            carried(&userinfo),
            json!({"tier": "gold", "unit": unit, "roles": ["buyer"]})
        );

        // The token is for the application itself, and for nobody else that jane has roles at.
        assert_eq!(access_token["aud"], held.client_id());
        assert_eq!(access_token["azp"], held.client_id());
        ensure!(access_token["realm_access"].is_null() && access_token["resource_access"].is_null());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_a_role_in_its_scope_a_client_sees_none() {
    case::run(async {
        let scene = scene("roles").await?;
        let claims_ = json!([
            {"name": "ranks", "type": "RealmRoles"},
            {"name": "roles", "type": "ClientRoles"},
        ]);
        scene.ready_client("shop", json!({"claims": claims_})).await?;
        let held = Held::of(&scene, "shop").await?;
        let logged_in = login(&scene, &held).run().await?;
        let token = claims(&logged_in.tokens, "access_token")?;
        for token in [&token, &logged_in.claims] {
            ensure!(token["ranks"].is_null() && token["roles"].is_null(), "{token}");
        }
        assert_eq!(token["aud"], held.client_id());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_public_client_logs_in_with_pkce_only() {
    case::run(async {
        let scene = scene("pkce").await?;
        let client = scene.ready_client("app", json!({"type": "Public"})).await?;
        let enforcement = client.status.context("status")?.enforcement;
        assert_eq!(enforcement.get("pkce"), Some(&Enforcement::Client));
        assert_eq!(enforcement.get("tokenEndpointAuthMethod"), None);
        let app = Held::of(&scene, "app").await?;
        login(&scene, &app).with_pkce().run().await?;
        let why = refused(&login(&scene, &app)).await?;
        ensure!(why.contains("code_challenge"), "{why}");

        scene.ready_client("shop", json!({"pkce": "Required"})).await?;
        let shop = Held::of(&scene, "shop").await?;
        login(&scene, &shop).with_pkce().run().await?;
        let why = refused(&login(&scene, &shop)).await?;
        ensure!(why.contains("code_challenge"), "{why}");
        let client = scene.ready_client("shop", json!({})).await?;
        login(&scene, &shop).run().await?;
        assert_eq!(client.status.context("status")?.enforcement.get("pkce"), None);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_sent_otherwise_than_said_is_refused() {
    case::run(async {
        let scene = scene("method").await?;
        let binds = shared::keycloak().await?.version() == Version::Current;
        for (method, right) in [("client_secret_basic", 0), ("client_secret_post", 1)] {
            let client = scene
                .ready_client("shop", json!({"tokenEndpointAuthMethod": method}))
                .await?;
            let held = Held::of(&scene, "shop").await?;
            let secret = held.client_secret().to_owned();
            let mut ways = vec![ClientAuth::SecretBasic(secret.clone()), ClientAuth::SecretPost(secret)];
            let (right, wrong) = (ways.remove(right), ways.remove(0));
            let login = |client_auth| Login {
                client_auth,
                ..login(&scene, &held)
            };
            login(right).run().await?;
            let by = client.status.context("status")?.enforcement["tokenEndpointAuthMethod"];
            if binds {
                let why = refused(&login(wrong)).await?;
                ensure!(why.contains("token request"), "{method}: {why}");
                assert_eq!(by, Enforcement::Client);
            } else {
                login(wrong).run().await?;
                assert_eq!(by, Enforcement::None);
                scene
                    .condition::<OIDCClient>("shop", "Accepted", "True", "NotEnforced")
                    .await?;
            }
        }
        // Who cannot live with that says so.
        scene.client("shop", json!({"enforcement": "Strict"})).await?;
        if binds {
            scene.ready::<OIDCClient>("shop").await?;
        } else {
            scene
                .condition::<OIDCClient>("shop", "Accepted", "False", "EnforcementMissing")
                .await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn tokens_live_and_are_signed_as_said() {
    case::run(async {
        let scene = scene("lives").await?;
        let spec = json!({
            "idTokenSignedResponseAlg": "ES256",
            "tokenLifetimes": {"accessToken": "2m", "refreshToken": "10m"},
        });
        let client = scene.ready_client("shop", spec).await?;
        let enforcement = client.status.context("status")?.enforcement;
        assert_eq!(enforcement["idTokenSignedResponseAlg"], Enforcement::Client);
        assert_eq!(enforcement["tokenLifetimes"], Enforcement::Client);
        let held = Held::of(&scene, "shop").await?;
        // The signature itself is checked by the login.
        let tokens = login(&scene, &held).run().await?.tokens;
        assert_eq!(header(&tokens, "id_token")?["alg"], "ES256");
        assert_eq!(life(&claims(&tokens, "access_token")?)?, 120);
        assert_eq!(life(&claims(&tokens, "refresh_token")?)?, 600);

        scene
            .ready_client("shop", json!({"idTokenSignedResponseAlg": "RS256"}))
            .await?;
        let tokens = login(&scene, &held).run().await?.tokens;
        assert_eq!(header(&tokens, "id_token")?["alg"], "RS256");
        assert_eq!(life(&claims(&tokens, "access_token")?)?, 300, "as the realm has it");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn scopes_are_given_by_default_or_when_asked_for() {
    case::run(async {
        let scene = scene("asked").await?;
        let spec = json!({"scopes": ["openid", "email", "offline_access"], "optionalScopes": ["phone"]});
        scene.ready_client("shop", spec).await?;
        let held = Held::of(&scene, "shop").await?;
        let given = async |asked: &str| -> Result<(Vec<String>, Value)> {
            let tokens = login(&scene, &held).with_scope(asked).run().await?.tokens;
            let scope = tokens["scope"].as_str().context("no scope")?;
            let mut scopes: Vec<String> = scope.split(' ').map(str::to_owned).collect();
            scopes.sort();
            Ok((scopes, claims(&tokens, "refresh_token")?["typ"].clone()))
        };
        assert_eq!(
            given("openid").await?,
            (vec!["email".to_owned(), "openid".to_owned()], json!("Refresh"))
        );
        let (scopes, type_) = given("openid phone offline_access").await?;
        assert_eq!(
            (scopes.join(" "), type_),
            ("email offline_access openid phone".to_owned(), json!("Offline"))
        );
        let why = refused(&login(&scene, &held).with_scope("openid address")).await?;
        ensure!(why.contains("invalid_scope"), "{why}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn grants_that_are_not_named_are_refused() {
    case::run(async {
        let scene = scene("refused").await?;
        let device = "urn:ietf:params:oauth:grant-type:device_code";
        let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
        let spec = |grants: &[&str]| json!({"grantTypes": grants, "tokenEndpointAuthMethod": "client_secret_post"});
        scene.ready_client("shop", spec(&["authorization_code"])).await?;
        let held = Held::of(&scene, "shop").await?;
        let user = scene.idp.user();
        let password = [
            ("grant_type", "password"),
            ("username", user.username.as_str()),
            ("password", user.password.as_str()),
        ];
        let login = || Login {
            client_auth: ClientAuth::SecretPost(held.client_secret().to_owned()),
            ..login(&scene, &held)
        };
        let tokens = login().run().await?.tokens;
        ensure!(tokens["refresh_token"].is_null(), "a refresh token without the grant");
        let access_token = tokens["access_token"].as_str().context("no access token")?.to_owned();
        let exchanged = [
            ("grant_type", exchange),
            ("subject_token", access_token.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        let device_code = async || -> Result<StatusCode> {
            let form = [("client_id", held.client_id()), ("client_secret", held.client_secret())];
            let web = http::client(scene.idp.ca_pem())?;
            Ok(web
                .post(endpoint(&scene, "auth/device"))
                .form(&form)
                .send()
                .await?
                .status())
        };
        for fields in [&password[..], &[("grant_type", "client_credentials")], &exchanged] {
            let (status, answer) = token(&scene, &held, fields).await?;
            ensure!(status.is_client_error(), "{}: {status} {answer}", fields[0].1);
        }
        ensure!(device_code().await?.is_client_error(), "a device code");
        ensure!(implicit(&scene, &held).await?.contains("error=unauthorized_client"));

        // And each is there once it is named; password and implicit cannot be.
        let all = [
            "authorization_code",
            "refresh_token",
            "client_credentials",
            device,
            exchange,
        ];
        scene.ready_client("shop", spec(&all)).await?;
        for fields in [&[("grant_type", "client_credentials")][..], &exchanged] {
            let (status, answer) = token(&scene, &held, fields).await?;
            ensure!(status.is_success(), "{}: {status} {answer}", fields[0].1);
        }
        assert_eq!(device_code().await?, StatusCode::OK);
        let tokens = login().run().await?.tokens;
        let refresh = tokens["refresh_token"].as_str().context("no refresh token")?;
        let (status, _) = token(
            &scene,
            &held,
            &[("grant_type", "refresh_token"), ("refresh_token", refresh)],
        )
        .await?;
        assert_eq!(status, StatusCode::OK);
        let (status, answer) = token(&scene, &held, &password).await?;
        assert_eq!(
            (status, &answer["error"]),
            (StatusCode::BAD_REQUEST, &json!("unauthorized_client"))
        );
        ensure!(implicit(&scene, &held).await?.contains("error=unauthorized_client"));
        Ok(())
    })
    .await;
}

/// Where the implicit flow sends the browser.
async fn implicit(scene: &Scene<'_>, held: &Held) -> Result<String> {
    let web = http::builder(scene.idp.ca_pem())?.redirect(Policy::none()).build()?;
    let answer = web
        .get(endpoint(scene, "auth"))
        .query(&[
            ("response_type", "id_token token"),
            ("client_id", held.client_id()),
            ("redirect_uri", &held.secret["redirect-uri"]),
            ("scope", "openid"),
            ("nonce", "n"),
        ])
        .send()
        .await?;
    let location = answer.headers().get("location").context("no redirect")?;
    Ok(location.to_str()?.to_owned())
}

#[tokio::test]
async fn browsers_are_sent_to_registered_addresses_only() {
    case::run(async {
        let scene = scene("addresses").await?;
        let bye = "https://app.example.com/bye";
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        for elsewhere in [
            "https://evil.example.com/callback",
            "https://app.example.com/callback/more",
        ] {
            let login = Login {
                redirect_uri: elsewhere.to_owned(),
                ..login(&scene, &held)
            };
            let why = refused(&login).await?;
            ensure!(
                why.contains("400") && why.contains("redirect_uri"),
                "{elsewhere}: {why}"
            );
        }
        let web = http::builder(scene.idp.ca_pem())?.redirect(Policy::none()).build()?;
        let leave = async |to: &str, token: &Value| -> Result<StatusCode> {
            let query = [
                ("post_logout_redirect_uri", to),
                ("id_token_hint", token.as_str().context("no ID token")?),
            ];
            Ok(web.get(endpoint(&scene, "logout")).query(&query).send().await?.status())
        };
        let id_token = async || anyhow::Ok(login(&scene, &held).run().await?.tokens["id_token"].clone());
        // Nothing is registered, and that does not mean "as redirectURIs".
        for to in [bye, "https://app.example.com/callback"] {
            assert_eq!(leave(to, &id_token().await?).await?, StatusCode::BAD_REQUEST, "{to}");
        }
        scene
            .ready_client("shop", json!({"postLogoutRedirectURIs": [bye]}))
            .await?;
        assert_eq!(
            leave("https://app.example.com/callback", &id_token().await?).await?,
            StatusCode::BAD_REQUEST
        );
        assert_eq!(leave(bye, &id_token().await?).await?, StatusCode::FOUND);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn browser_code_of_listed_origins_only_may_call() {
    case::run(async {
        let scene = scene("origins").await?;
        scene.ready_client("app", json!({"type": "Public"})).await?;
        let held = Held::of(&scene, "app").await?;
        let web = http::client(scene.idp.ca_pem())?;
        let allowed = async |origin: &str| -> Result<bool> {
            let form = [
                ("grant_type", "authorization_code"),
                ("client_id", held.client_id()),
                ("code", "no-such-code"),
                ("redirect_uri", &held.secret["redirect-uri"]),
            ];
            let request = web
                .post(scene.idp.token_endpoint())
                .header("Origin", origin)
                .form(&form);
            let answer = request.send().await?;
            Ok(answer.headers().contains_key("access-control-allow-origin"))
        };
        // That of the redirect URI would be allowed by Keycloak, were it asked to choose.
        ensure!(!allowed("https://app.example.com").await?);
        scene
            .ready_client(
                "app",
                json!({"type": "Public", "webOrigins": ["https://spa.example.com"]}),
            )
            .await?;
        ensure!(allowed("https://spa.example.com").await?);
        ensure!(!allowed("https://app.example.com").await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_the_spec_restricts_keycloak_enforces() {
    case::run(async {
        let scene = scene("enforced").await?;
        let client = scene.ready_client("shop", json!({"displayName": "Shop"})).await?;
        let enforcement = client.status.context("status")?.enforcement;
        let named: Vec<&str> = enforcement.keys().map(String::as_str).collect();
        assert_eq!(
            named,
            [
                "grantTypes",
                "postLogoutRedirectURIs",
                "redirectURIs",
                "scopes",
                "tokenEndpointAuthMethod",
                "type",
                "webOrigins"
            ]
        );
        let open = enforcement.iter().filter(|(_, by)| **by != Enforcement::Client);
        let open: Vec<&str> = open.map(|(field, _)| field.as_str()).collect();
        let expected: &[&str] = match shared::keycloak().await?.version() {
            Version::Current => &[],
            Version::Former => &["tokenEndpointAuthMethod"],
        };
        assert_eq!(open, expected);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_leaves_nothing_behind() {
    case::run(async {
        let scene = scene_of_its_own("cannot").await?;
        let long = "x".repeat(256);
        for (spec, field) in [
            (json!({"scopes": ["openid", "no-such-scope"]}), "spec.scopes"),
            (json!({"optionalScopes": ["no-such-scope"]}), "spec.optionalScopes"),
            (json!({"displayName": long}), "spec.displayName"),
            (
                json!({"type": "Public", "grantTypes": ["authorization_code", "urn:ietf:params:oauth:grant-type:token-exchange"]}),
                "spec.grantTypes",
            ),
        ] {
            scene.client("shop", spec).await?;
            let message = scene
                .condition::<OIDCClient>("shop", "Accepted", "False", "UnsupportedByProvider")
                .await?;
            ensure!(message.contains(field), "{message}");
        }
        crate::held::no_outputs(&scene, "shop").await?;
        ensure!(scene.idp.client(&scene.client_id("shop")).await?.is_none());

        // A realm learns: the scope is made, and the next look finds it.
        scene.client("shop", json!({"scopes": ["openid", "just-made"]})).await?;
        scene
            .condition::<OIDCClient>("shop", "Accepted", "False", "UnsupportedByProvider")
            .await?;
        scene.idp.create_scope("just-made").await?;
        scene.ready::<OIDCClient>("shop").await?;
        let scopes = &shown(&scene, &scene.client_id("shop")).await?["defaultClientScopes"];
        ensure!(scopes.as_array().context("a list")?.contains(&json!("just-made")), "{scopes}");
        Ok(())
    })
    .await;
}
