//! Keycloak: realms, rights, the access log, restarts.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oidc_operator_e2e::keycloak::{
    Hostname, Keycloak, KeycloakOptions, Realm, Rotation, SHARED_VARIABLE, Storage, User,
};
use oidc_operator_e2e::login::{ClientAuth, discover};
use oidc_operator_e2e::pki::Ca;
use oidc_operator_e2e::{case, http, shared};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

const REDIRECT: &str = "https://app.example.com/callback";

/// A client as an application has it.
fn client(client_id: &str, secret: &str) -> Value {
    json!({ "clientId": client_id, "secret": secret, "publicClient": false, "redirectUris": [REDIRECT] })
}

/// Status and error of a password grant.
async fn password_grant(realm: &Realm, client: (&str, &str), password: &str) -> Result<(StatusCode, Value)> {
    let fields = [
        ("grant_type", "password"),
        ("client_id", client.0),
        ("client_secret", client.1),
        ("username", &realm.user().username),
        ("password", password),
    ];
    let (status, answer) = realm.token(&fields).await?;
    Ok((status, answer["error"].clone()))
}

#[tokio::test]
async fn a_realm_of_keycloak_has_a_user_who_gets_tokens_where_it_is_allowed() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("passwords").await?;
        realm.create_client(&client("app", "s3cret")).await?;
        let (app, jane) = (("app", "s3cret"), realm.user().password.as_str());
        let refused = (StatusCode::BAD_REQUEST, json!("unauthorized_client"));
        assert_eq!(password_grant(&realm, app, jane).await?, refused);

        let direct = json!({ "directAccessGrantsEnabled": true });
        realm.update_client("app", &direct).await?;
        assert_eq!(password_grant(&realm, app, jane).await?, (StatusCode::OK, Value::Null));
        let (_, error) = password_grant(&realm, app, "wrong").await?;
        assert_eq!(error, "invalid_grant");
        let refused = (StatusCode::UNAUTHORIZED, json!("unauthorized_client"));
        assert_eq!(password_grant(&realm, ("app", "wrong"), jane).await?, refused);

        let stranger = Ca::new("another CA")?;
        http::client(stranger.pem())?
            .get(realm.issuer())
            .send()
            .await
            .expect_err("another CA");
        let name = realm.name().to_owned();
        assert!(realm.admin().realms().await?.contains(&name));
        realm.delete().await?;
        assert!(!realm.admin().realms().await?.contains(&name));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_service_account_at_keycloak_may_manage_clients_and_no_more() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("rights").await?;
        let admin = realm.admin();
        let token = realm.access_token(realm.operator()).await?;
        let body = client("made-by-it", "s3cret");
        let (status, _) = admin
            .request_as(&token, Method::POST, &realm.path("clients"), Some(&body))
            .await?;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(realm.client_ids().await?, ["made-by-it"]);
        for path in ["users", "identity-provider/instances", "keys"] {
            let (status, _) = admin.request_as(&token, Method::GET, &realm.path(path), None).await?;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        }
        let policies = json!({ "policies": [] });
        let path = realm.path("client-policies/policies");
        let (status, _) = admin.request_as(&token, Method::PUT, &path, Some(&policies)).await?;
        assert_eq!(status, StatusCode::FORBIDDEN);

        let reader = realm.service_account("reader", &["view-clients"]).await?;
        let token = realm.access_token(&reader).await?;
        let path = realm.path("clients");
        let (status, _) = admin.request_as(&token, Method::GET, &path, None).await?;
        assert_eq!(status, StatusCode::OK);
        let body = client("not-made", "s3cret");
        let (status, _) = admin.request_as(&token, Method::POST, &path, Some(&body)).await?;
        assert_eq!(status, StatusCode::FORBIDDEN);

        let secret = realm.regenerate_secret("reader").await?;
        realm.access_token(&reader).await.expect_err("the secret is another");
        assert_eq!(realm.secret_of("reader").await?, Some(secret));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn clients_of_keycloak_are_changed_and_brought_back() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("changes").await?;
        let id = realm.create_client(&client("app", "s3cret")).await?;
        realm
            .create_client(&client("app", "other"))
            .await
            .expect_err("it is there already");
        realm.create_scope("billing").await?;
        realm.assign_scope("app", "billing", false).await?;
        assert!(realm.client_scopes().await?.contains(&"billing".to_owned()));
        let before = realm.client("app").await?.expect("it was made");
        assert!(
            before["defaultClientScopes"]
                .as_array()
                .expect("a list")
                .contains(&json!("billing"))
        );
        let snapshot = realm.snapshot().await?;

        let patch = json!({ "secret": "changed", "redirectUris": [], "attributes": { "a": "b" } });
        realm.update_client("app", &patch).await?;
        realm.unassign_scope("app", "billing", false).await?;
        realm.create_client(&client("later", "s3cret")).await?;
        let changed = realm.client("app").await?.expect("it was made");
        assert_eq!(
            [
                &changed["secret"],
                &changed["redirectUris"],
                &changed["attributes"]["a"]
            ],
            [&json!("changed"), &json!([]), &json!("b")]
        );
        assert_eq!(realm.mappers_of("app").await?, Vec::<Value>::new());

        realm.restore(&snapshot).await?;
        assert_eq!(realm.client_ids().await?, ["app"]);
        assert_eq!(realm.client("app").await?, Some(before));
        assert!(realm.delete_client("app").await?);
        assert!(!realm.delete_client("app").await?);
        realm.restore(&snapshot).await?;
        let again = realm.client("app").await?.expect("it was brought back");
        assert_eq!([&again["id"], &again["secret"]], [&json!(id), &json!("s3cret")]);
        realm.access_token(realm.operator()).await?;

        realm.delete_scope("billing").await?;
        realm
            .assign_scope("app", "billing", true)
            .await
            .expect_err("it is gone");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn client_policies_of_keycloak() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("policies").await?;
        realm.create_client(&client("app", "first")).await?;
        let plain = json!({ "redirectUris": ["http://app.example.com/callback"] });
        realm.set_https_policy().await?;
        let error = realm.update_client("app", &plain).await.expect_err("no TLS");
        assert!(format!("{error:#}").contains("invalid_client_metadata"), "{error:#}");

        realm.set_read_only_policy().await?;
        realm
            .update_client("app", &json!({ "name": "x" }))
            .await
            .expect_err("it is read-only");
        realm
            .create_client(&client("new", "s"))
            .await
            .expect_err("it is read-only");
        realm.clear_policies().await?;
        realm.update_client("app", &plain).await?;

        // What rotation is for: two secrets are good.
        let endpoint = realm.token_endpoint();
        let accepted = async |secret: &str| {
            oidc_operator_e2e::login::secret_accepted(realm.ca_pem(), &endpoint, "app", secret).await
        };
        realm.set_rotation_policy(Rotation::default()).await?;
        let second = realm.regenerate_secret("app").await?;
        let third = realm.regenerate_secret("app").await?;
        assert!(accepted(&second).await? && accepted(&third).await?);
        assert!(!accepted("wrong").await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_user_of_keycloak_is_as_she_was_made() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("users").await?;
        let john = User {
            username: "john".to_owned(),
            email: "john@example.com".to_owned(),
            first_name: "John".to_owned(),
            department: "sales".to_owned(),
            ..User::jane()
        };
        realm.create_user(&john).await?;
        for (name, department) in [("jane", "research"), ("john", "sales")] {
            let path = realm.path(&format!("users?exact=true&username={name}"));
            let found = realm.admin().get(&path).await?;
            assert_eq!(found[0]["attributes"]["department"], json!([department]));
            let id = found[0]["id"].as_str().expect("an id");
            let groups = realm.admin().get(&realm.path(&format!("users/{id}/groups"))).await?;
            assert_eq!(groups[0]["path"], "/staff/devs");
            let path = realm.path(&format!("users/{id}/role-mappings/realm"));
            let roles = realm.admin().get(&path).await?;
            let roles = roles.as_array().expect("a list");
            assert!(roles.iter().any(|role| role["name"] == "developer"), "{roles:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_user_logs_in_through_the_pages_of_keycloak() {
    case::run(async {
        let realm = shared::keycloak().await?.realm("logins").await?;
        // Characters that client_secret_basic must encode.
        let secret = "p@ss:w+rd /%";
        realm.create_client(&client("app", secret)).await?;
        let login = realm.login("app", ClientAuth::SecretBasic(secret.to_owned()), REDIRECT);
        let claims = login.run().await?.claims;
        assert_eq!(claims["iss"], realm.issuer());
        assert_eq!(claims["aud"], "app");
        let who = ["preferred_username", "given_name", "family_name", "email"].map(|name| &claims[name]);
        assert_eq!(who, ["jane", "Jane", "Doe", "jane@example.com"]);
        let post = ClientAuth::SecretPost(secret.to_owned());
        realm.login("app", post, REDIRECT).with_pkce().run().await?;

        let alg = json!({ "attributes": { "id.token.signed.response.alg": "ES256" } });
        realm.update_client("app", &alg).await?;
        let offline = login.clone().with_scope("openid offline_access").run().await?;
        assert!(offline.tokens["refresh_token"].is_string());
        let header = offline.tokens["id_token"].as_str().expect("a token").split('.').next();
        let header = URL_SAFE_NO_PAD.decode(header.expect("a header"))?;
        assert_eq!(serde_json::from_slice::<Value>(&header)?["alg"], "ES256");

        let pkce = json!({ "attributes": { "pkce.code.challenge.method": "S256" } });
        realm.update_client("app", &pkce).await?;
        let error = login.run().await.expect_err("without PKCE");
        assert!(format!("{error:#}").contains("code_challenge"), "{error:#}");
        login.clone().with_pkce().run().await?;

        let error = login.clone().with_pkce().with_user("jane", "wrong").run().await;
        let error = format!("{:#}", error.expect_err("a wrong password"));
        assert!(error.contains("the login was refused"), "{error}");
        let wrong = realm.login("app", ClientAuth::SecretBasic("wrong".to_owned()), REDIRECT);
        let error = wrong.with_pkce().run().await.expect_err("a wrong client secret");
        assert!(format!("{error:#}").contains("unauthorized_client"), "{error:#}");
        let auth = ClientAuth::SecretBasic(secret.to_owned());
        let elsewhere = realm.login("app", auth, "https://evil.example.com/").with_pkce();
        let error = elsewhere.run().await.expect_err("a redirect URI of somebody else");
        assert!(format!("{error:#}").contains("redirect_uri"), "{error:#}");

        let public = json!({ "clientId": "public", "publicClient": true, "redirectUris": [REDIRECT] });
        realm.create_client(&public).await?;
        realm
            .login("public", ClientAuth::None, REDIRECT)
            .with_pkce()
            .run()
            .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn requests_to_keycloak_are_counted_exactly() {
    case::run(async {
        let keycloak = shared::keycloak().await?;
        let realm = keycloak.realm("counted").await?;
        realm.admin().get("serverinfo").await?; // so that no login falls between the marks
        let mark = realm.mark().await?;
        assert_eq!(realm.requests_since(mark).await?.len(), 0);
        for number in 0..20 {
            realm.create_client(&client(&format!("app-{number}"), "s3cret")).await?;
        }
        realm.access_token(realm.operator()).await?;
        // The operator's name, as this realm's log will see it.
        let operator = http::builder(realm.ca_pem())?
            .user_agent("oidc-operator/0.0 test")
            .build()?;
        let discovery = format!("{}/.well-known/openid-configuration", realm.issuer());
        operator.get(&discovery).send().await?.error_for_status()?;
        operator
            .get(format!("{}/no-such-path?x=1&a=2", realm.issuer()))
            .send()
            .await?;

        let requests = realm.requests_since(mark).await?;
        let expected = [
            ("GET /.well-known/openid-configuration", 1),
            ("GET /admin/clients?clientId", 20),
            ("GET /no-such-path?a&x", 1),
            ("POST /admin/clients", 20),
            ("POST /protocol/openid-connect/token", 1),
        ];
        assert_eq!(
            requests.kinds(),
            expected.map(|(kind, count)| (kind.to_owned(), count)).into()
        );
        assert_eq!(
            (requests.admin_writes().len(), requests.token_requests().len()),
            (20, 1)
        );
        assert_eq!(requests.count("POST /admin/clients"), 20);
        let statuses: Vec<u16> = requests.of_operator().0.iter().map(|request| request.status).collect();
        assert_eq!(statuses, [200, 404]);
        let mark = keycloak.mark().await?;
        realm.client("app-0").await?;
        assert_eq!(keycloak.requests_since(mark).await?.of_realm(realm.name()).len(), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn keycloak_forgets_in_memory_and_remembers_in_a_file() {
    case::run(async {
        for (storage, kept) in [(Storage::Memory, false), (Storage::File, true)] {
            let keycloak = Keycloak::start(KeycloakOptions {
                name: format!("keycloak-{storage:?}").to_lowercase(),
                storage,
                ..KeycloakOptions::default()
            })
            .await?;
            let realm = keycloak.realm("kept").await?;
            realm.create_client(&client("app", "s3cret")).await?;
            // At once: what was answered is not lost.
            keycloak.kill()?;
            realm.clients().await.expect_err("nobody listens");
            if kept {
                keycloak.backup("with-app")?;
            } else {
                keycloak.backup("no-file").expect_err("there is no file");
            }
            keycloak.start_again().await?;
            assert_eq!(realm.admin().realms().await?.len(), if kept { 2 } else { 1 });
            if !kept {
                continue;
            }
            assert_eq!(realm.client_ids().await?, ["app"]);
            realm.delete_client("app").await?;
            keycloak.restore("with-app").expect_err("it runs");
            keycloak.stop().await?;
            keycloak.restore("with-app")?;
            keycloak.start_again().await?;
            assert_eq!(realm.secret_of("app").await?, Some("s3cret".to_owned()));
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_frozen_keycloak_answers_again_when_it_thaws_and_two_do_not_meet() {
    case::run(async {
        let start = |name: &str, hostname| {
            Keycloak::start(KeycloakOptions {
                name: name.to_owned(),
                hostname,
                ..KeycloakOptions::default()
            })
        };
        let public = Hostname::Public("https://sso.example.com".to_owned());
        let (frozen, other) =
            tokio::try_join!(start("keycloak-frozen", Hostname::Own), start("keycloak-other", public))?;
        let realm = frozen.realm("here").await?;
        frozen.freeze()?;
        let mut waiting = std::pin::pin!(realm.client_ids());
        tokio::time::timeout(Duration::from_millis(300), &mut waiting)
            .await
            .expect_err("it is frozen");
        assert_eq!(other.admin()?.realms().await?, ["master"]);
        frozen.thaw()?;
        assert_eq!(waiting.await?, Vec::<String>::new());

        // The one with a public name says so, and its endpoints for applications are where it was asked.
        let there = other.realm("there").await?;
        let web = http::client(other.ca_pem())?;
        let discovery = format!(
            "{}/realms/{}/.well-known/openid-configuration",
            other.base_url(),
            there.name()
        );
        let discovery: Value = web.get(discovery).send().await?.json().await?;
        assert_eq!(discovery["issuer"], there.issuer());
        assert_eq!(
            discovery["issuer"],
            format!("https://sso.example.com/realms/{}", there.name())
        );
        assert_eq!(discovery["token_endpoint"], there.token_endpoint());
        let authorization = discovery["authorization_endpoint"].as_str().expect("a URL");
        assert!(authorization.starts_with("https://sso.example.com/"), "{authorization}");
        there.access_token(there.operator()).await?;
        let own = discover(&http::client(frozen.ca_pem())?, &realm.issuer()).await?;
        assert_eq!(own.token_endpoint, realm.token_endpoint());

        // One that is lent can be used, and not be disturbed.
        let lent = Keycloak::borrowed_from(&other.lend()?)?;
        lent.realm("lent").await?;
        assert_eq!((lent.pid(), lent.base_url()), (other.pid(), other.base_url()));
        lent.freeze().expect_err("it is not ours");
        lent.kill().expect_err("it is not ours");
        lent.stop().await.expect_err("it is not ours");

        let pid = other.pid();
        assert!(other.cpu_seconds()? > 1.0 && other.rss()? > 100 << 20);
        drop(other);
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it has not ended");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_runs_with_a_keycloak_of_its_own() {
    case::run(async {
        // The file must be there, for this user only, and its server must answer; then the command fails in its own way.
        let script =
            format!(r#"test "$(stat -c %a "${SHARED_VARIABLE}")" = 600 && cat "${SHARED_VARIABLE}" && exit 7"#);
        let output = Command::new(env!("CARGO_BIN_EXE_with-keycloak"))
            .args(["/bin/sh", "-c", &script])
            .env_remove(SHARED_VARIABLE)
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{said}");
        let access: Value = serde_json::from_slice(&output.stdout)?;
        assert!(
            said.contains(access["base_url"].as_str().expect("an address")),
            "{said}"
        );
        assert!(!said.contains(access["admin"]["password"].as_str().expect("a password")));
        assert!(
            !Path::new(&format!("/proc/{}", access["pid"])).exists(),
            "it has not ended"
        );
        // The command failed, so somebody will want to read this.
        let log = Path::new(access["log"].as_str().expect("a path"));
        assert!(log.exists());
        std::fs::remove_dir_all(log.parent().expect("a folder"))?;
        Ok(())
    })
    .await;
}
