//! What the driver and its tests need beside that: logins, scope mappings, who may open what, a first start, a restart.

use std::io::ErrorKind;

use anyhow::{Context, Result, ensure};
use oidc_operator_e2e::authentik::{self, Authentik, AuthentikOptions, Fault, Release, Rule};
use oidc_operator_e2e::login::{ClientAuth, Login};
use oidc_operator_e2e::pki::Ca;
use oidc_operator_e2e::{case, http};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::room::{
    APPLICATIONS, DELETE, GET, NONE, PATCH, POST, PROVIDERS, REQUIRED, Room, TOKEN, machine, provider, with,
};

const MAPPINGS: &str = "/api/v3/propertymappings/provider/scope/";

/// An application's login: discovery, the page, the code, the tokens and their signature.
#[tokio::test]
async fn users_log_in() {
    case::run(async {
        let ca = Ca::new("authentik")?;
        let server = Authentik::start(AuthentikOptions {
            tls: Some(&ca),
            ..AuthentikOptions::default()
        })?;
        let web = http::client(ca.pem())?;
        let url = |path: &str| format!("{}{path}", server.url());
        let pks = |path: &'static str| {
            let request = web.get(url(path)).bearer_auth(server.token()).send();
            async move {
                let list: Value = request.await?.json().await?;
                let results = list["results"].as_array().cloned().unwrap_or_default();
                anyhow::Ok(results.iter().map(|one| one["pk"].clone()).collect::<Vec<_>>())
            }
        };
        let flows = pks("/api/v3/flows/instances/?search=implicit-consent").await?;
        let keys = pks("/api/v3/crypto/certificatekeypairs/").await?;
        let scopes = pks("/api/v3/propertymappings/provider/scope/").await?;
        let body = with(
            provider("app"),
            json!({
                "authorization_flow": flows[0], "invalidation_flow": flows[0], "signing_key": keys[0],
                "property_mappings": scopes, "client_secret": "secret",
            }),
        );
        let created = web
            .post(url(PROVIDERS))
            .bearer_auth(server.token())
            .json(&body)
            .send()
            .await?;
        let provider: Value = created.error_for_status()?.json().await?;
        let application = json!({ "name": "App", "slug": "app", "provider": provider["pk"] });
        let created = web
            .post(url(APPLICATIONS))
            .bearer_auth(server.token())
            .json(&application)
            .send()
            .await?;
        created.error_for_status()?;

        let issuer = url("/application/o/app/");
        let auth = ClientAuth::SecretBasic("secret".to_owned());
        let login = Login::new(&issuer, ca.pem(), "app", auth, "https://app.example.test/cb")
            .with_user(authentik::USER, authentik::USER_PASSWORD)
            .with_scope("openid profile email offline_access");
        let done = login.clone().with_pkce().run().await?;
        ensure!(done.claims["preferred_username"] == authentik::USER, "{}", done.claims);
        ensure!(done.claims["email_verified"] == false, "{}", done.claims);
        let refresh = done.tokens["refresh_token"].as_str().context("refresh token")?;
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", "app"),
            ("client_secret", "secret"),
        ];
        let mut less = fields.to_vec();
        less.push(("scope", "openid"));
        let refused: Value = web.post(url(TOKEN)).form(&less).send().await?.json().await?;
        ensure!(refused["error"] == "invalid_scope", "{refused}");
        let again = web.post(url(TOKEN)).form(&fields).send().await?;
        ensure!(again.status() == 200);
        let used = web.post(url(TOKEN)).form(&fields).send().await?;
        ensure!(used.status() == 400, "a refresh token works once");
        let without = login.clone().with_scope("openid").run().await?;
        ensure!(
            without.tokens.get("refresh_token").is_none(),
            "only offline_access gives one"
        );

        let access = done.tokens["access_token"].as_str().context("access token")?;
        let proof = [("client_id", "app"), ("client_secret", "secret"), ("token", access)];
        let userinfo = || web.get(url("/application/o/userinfo/")).bearer_auth(access).send();
        let active = || async {
            let answer = web.post(url("/application/o/introspect/")).form(&proof).send().await?;
            anyhow::Ok(answer.json::<Value>().await?["active"].clone())
        };
        let told: Value = userinfo().await?.error_for_status()?.json().await?;
        ensure!(
            told["sub"] == done.claims["sub"] && told["email"] == "jane@example.test",
            "{told}"
        );
        ensure!(active().await? == true);
        let revoked = web.post(url("/application/o/revoke/")).form(&proof).send().await?;
        ensure!(revoked.status() == 200);
        ensure!(active().await? == false && userinfo().await?.status() == 401);

        let wrong = login.with_user(authentik::USER, "wrong").run().await;
        ensure!(wrong.is_err());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_restart_keeps_or_forgets() {
    case::run(async {
        let mut room = Room::new(Release::R2026_5).await?;
        let address = room.server.address();
        room.server.restart()?;
        ensure!(room.server.address() == address);
        room.rows(vec![(
            GET,
            "/api/v3/providers/oauth2/{BASE}/",
            NONE,
            200,
            json!({ "client_secret": "right" }),
        )])
        .await?;
        room.server.stop();
        ensure!(room.send(GET, PROVIDERS, &NONE).await.is_err());
        room.server.restart_empty()?;
        let flow = "/api/v3/flows/instances/default-provider-invalidation-flow/";
        let (status, found) = room.ask(GET, flow, NONE).await?;
        ensure!(status == 200 && room.server.client_ids().is_empty() && room.server.slugs().is_empty());
        let former = room
            .known
            .iter()
            .find(|(name, _)| *name == "INVALIDATE")
            .map(|(_, pk)| pk);
        ensure!(Some(&found["pk"]) != former, "a new installation has new identifiers");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_public_client_needs_no_secret() {
    case::run(async {
        let ca = Ca::new("authentik")?;
        let room = Room::with(AuthentikOptions {
            tls: Some(&ca),
            ..AuthentikOptions::default()
        })
        .await?;
        room.rows(vec![(
            PATCH,
            "/api/v3/providers/oauth2/{BASE}/",
            json!({ "client_type": "public", "property_mappings": ["OPENID"] }),
            200,
            json!({ "client_type": "public" }),
        )])
        .await?;
        let issuer = room.path("/application/o/base/");
        let login = Login::new(
            &issuer,
            ca.pem(),
            "base",
            ClientAuth::None,
            "https://app.example.test/cb",
        )
        .with_user(authentik::USER, authentik::USER_PASSWORD)
        .with_scope("openid")
        .with_pkce();
        login.run().await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_issuer_follows_the_host_that_was_asked() {
    case::run(async {
        let room = Room::new(Release::R2026_5).await?;
        let asked = room
            .web
            .get(room.path("/application/o/base/.well-known/openid-configuration"))
            .header("host", "sso.example.test");
        let document: Value = asked.send().await?.json().await?;
        ensure!(
            document["issuer"] == "http://sso.example.test/application/o/base/",
            "{document}"
        );
        ensure!(
            document["jwks_uri"] == "http://sso.example.test/application/o/base/jwks/",
            "{document}"
        );
        let shown = room.server.application("base").context("application")?;
        ensure!(shown["provider_obj"]["assigned_application_slug"] == "base", "{shown}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_reset_is_no_orderly_end() {
    case::run(async {
        let server = Authentik::start(AuthentikOptions::default())?;
        server.fault(Rule::new("/-/", Fault::Reset).times(1));
        let request = b"GET /-/health/live/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let mut first = [0; 15];
        let mut connection = TcpStream::connect(server.address()).await?;
        connection.write_all(request).await?;
        let error = connection.read(&mut first).await.err().context("an answer")?;
        ensure!(error.kind() == ErrorKind::ConnectionReset, "{error}");
        let mut connection = TcpStream::connect(server.address()).await?;
        connection.write_all(request).await?;
        connection.read_exact(&mut first).await?;
        ensure!(&first == b"HTTP/1.1 200 OK", "{first:?}");
        Ok(())
    })
    .await;
}

/// What the client itself is told with this scope.
async fn told(room: &Room, scope: &str) -> Result<Value> {
    let mut request = machine("right");
    request[3].1 = scope;
    let (status, token) = room.form(TOKEN, &request).await?;
    let access = token["access_token"]
        .as_str()
        .with_context(|| format!("{status} {token}"))?;
    let userinfo = room.web.get(room.path("/application/o/userinfo/")).bearer_auth(access);
    Ok(userinfo.send().await?.error_for_status()?.json().await?)
}

#[tokio::test]
async fn scope_mappings_make_claims() {
    case::run(async {
        let mut room = Room::new(Release::R2026_5).await?;
        let expression = r#"return {
    "team": "a \"b\" \u00e9", "level": [1, True, None], # why
    'who': request.user.username, "groups": [group.name for group in request.user.groups.all()],
    "room": request.user.attributes.get("room", "none"),
}"#;
        let mapping = json!({ "name": "ours/team", "scope_name": "team", "expression": expression });
        let (status, made) = room.ask(POST, MAPPINGS, mapping.clone()).await?;
        ensure!(
            status == 201 && made["managed"].is_null() && made["description"] == "",
            "{made}"
        );
        room.known.push(("OURS", made["pk"].clone()));
        let one = "/api/v3/propertymappings/provider/scope/{OURS}/";
        let taken = json!({ "name": ["Property Mapping with this name already exists."] });
        let required = json!({ "name": [REQUIRED], "expression": [REQUIRED], "scope_name": [REQUIRED] });
        room.rows(vec![
            (POST, MAPPINGS, mapping, 400, taken),
            (POST, MAPPINGS, json!({}), 400, required),
            (GET, one, NONE, 200, json!({ "scope_name": "team" })),
            (
                PATCH,
                "/api/v3/providers/oauth2/{BASE}/",
                json!({ "property_mappings": ["OPENID", "OURS"] }),
                200,
                NONE,
            ),
        ])
        .await?;
        let claims = told(&room, "openid team").await?;
        ensure!(
            claims["team"] == "a \"b\" é" && claims["level"] == json!([1, true, null]),
            "{claims}"
        );
        ensure!(
            claims["who"] == "ak-base-client_credentials" && claims["groups"] == json!([]),
            "{claims}"
        );
        ensure!(claims["room"] == "none", "{claims}");
        ensure!(
            told(&room, "openid").await?.get("team").is_none(),
            "the scope was not asked for"
        );
        let (_, document) = room
            .ask(GET, "/application/o/base/.well-known/openid-configuration", NONE)
            .await?;
        let supported = document["claims_supported"].as_array().context("claims")?;
        ensure!(supported.contains(&json!("team")), "{document}");
        room.rows(vec![(
            PATCH,
            one,
            json!({ "expression": "return {\"team\": False}" }),
            200,
            json!({ "name": "ours/team" }),
        )])
        .await?;
        ensure!(told(&room, "openid team").await?["team"] == false);

        let admin = room.token.clone();
        room.token = room
            .server
            .service_account("viewer", &["authentik_providers_oauth2.view_scopemapping"])?;
        room.rows(vec![
            (GET, one, NONE, 200, NONE),
            (PATCH, one, json!({ "name": "x" }), 403, NONE),
            (DELETE, one, NONE, 403, NONE),
            (POST, MAPPINGS, json!({}), 403, NONE),
        ])
        .await?;
        room.token = admin;
        room.rows(vec![
            (DELETE, one, NONE, 204, json!("")),
            (
                GET,
                one,
                NONE,
                404,
                json!({ "detail": "No ScopeMapping matches the given query." }),
            ),
            (
                GET,
                "/api/v3/providers/oauth2/{BASE}/",
                NONE,
                200,
                json!({ "property_mappings": ["OPENID"] }),
            ),
        ])
        .await
    })
    .await;
}

#[tokio::test]
async fn bindings_say_who_may_open_an_application() {
    case::run(async {
        let mut room = Room::new(Release::R2026_5).await?;
        let (_, base) = room.ask(GET, "/api/v3/core/applications/base/", NONE).await?;
        let (_, users) = room
            .ask(GET, &format!("/api/v3/core/users/?username={}", authentik::USER), NONE)
            .await?;
        room.known.push(("PBM", base["pk"].clone()));
        room.known.push(("JANE", users["results"][0]["pk"].clone()));
        ensure!(
            told(&room, "openid").await?["sub"].is_string(),
            "without a binding everybody may"
        );
        let (status, made) = room
            .ask(
                POST,
                "/api/v3/policies/bindings/",
                json!({ "target": "PBM", "user": "JANE", "order": 0 }),
            )
            .await?;
        ensure!(
            status == 201 && made["user_obj"]["username"] == authentik::USER,
            "{made}"
        );
        room.known.push(("ONE", made["pk"].clone()));
        let (_, refused) = room.form(TOKEN, &machine("right")).await?;
        ensure!(refused["error"] == "invalid_grant", "{refused}");
        let (_, list) = room.ask(GET, "/api/v3/policies/bindings/?target={PBM}", NONE).await?;
        ensure!(
            list["results"][0]["pk"] == made["pk"] && list["pagination"]["count"] == 1,
            "{list}"
        );
        room.rows(vec![
            (
                GET,
                "/api/v3/policies/bindings/{ONE}/",
                NONE,
                200,
                json!({ "target": "PBM" }),
            ),
            (DELETE, "/api/v3/policies/bindings/{ONE}/", NONE, 204, NONE),
            (GET, "/api/v3/policies/bindings/{ONE}/", NONE, 404, NONE),
        ])
        .await?;
        ensure!(told(&room, "openid").await?["sub"].is_string());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn flows_and_mappings_come_after_the_first_start() {
    case::run(async {
        let mut server = Authentik::start(AuthentikOptions {
            blueprints: false,
            ..AuthentikOptions::default()
        })?;
        let counts = |server: &Authentik| {
            let (url, token) = (server.url(), server.token().to_owned());
            async move {
                // A new client: a connection from before a restart is closed.
                let web = http::plain()?;
                let mut counts = Vec::new();
                for path in [
                    "/api/v3/flows/instances/",
                    MAPPINGS,
                    "/api/v3/crypto/certificatekeypairs/",
                ] {
                    let answer = web.get(format!("{url}{path}")).bearer_auth(&token).send().await?;
                    counts.push(answer.json::<Value>().await?["pagination"]["count"].as_u64());
                }
                anyhow::Ok(counts)
            }
        };
        ensure!(
            counts(&server).await? == [Some(0), Some(0), Some(1)],
            "the key is there at once"
        );
        server.apply_blueprints();
        server.restart()?;
        ensure!(counts(&server).await? == [Some(6), Some(7), Some(1)]);
        server.restart_empty()?;
        ensure!(counts(&server).await? == [Some(0), Some(0), Some(1)]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn secrets_can_be_hidden() {
    case::run(async {
        let mut room = Room::with(AuthentikOptions {
            hides_secrets: true,
            ..AuthentikOptions::default()
        })
        .await?;
        let rights =
            ["view", "add", "change"].map(|action| format!("authentik_providers_oauth2.{action}_oauth2provider"));
        let rights: Vec<_> = rights.iter().map(String::as_str).collect();
        room.token = room.server.service_account("writer", &rights)?;
        let one = "/api/v3/providers/oauth2/{BASE}/";
        let (_, list) = room.ask(GET, PROVIDERS, NONE).await?;
        let (_, created) = room.create("new", json!({ "client_secret": "given" })).await?;
        let (_, changed) = room.ask(PATCH, one, json!({ "client_secret": "changed" })).await?;
        for shown in [&list["results"][0], &created, &changed] {
            ensure!(
                shown["client_id"].is_string() && shown.get("client_secret").is_none(),
                "{shown}"
            );
        }
        let (status, token) = room.form(TOKEN, &machine("changed")).await?;
        ensure!(status == 200, "it is written all the same: {token}");
        let seeing = [rights[0], "authentik_secrets.view_secret_value"];
        room.token = room.server.service_account("reader", &seeing)?;
        room.rows(vec![(GET, one, NONE, 200, json!({ "client_secret": "changed" }))])
            .await
    })
    .await;
}
