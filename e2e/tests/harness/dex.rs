//! Dex: its two doors, logins, restarts.

use std::time::Duration;

use oidc_operator_e2e::dex::{Dex, DexAdmin, DexOptions, StaticClient, Storage, USER_EMAIL, USER_NAME, api};
use oidc_operator_e2e::login::{ClientAuth, Login, secret_accepted};
use oidc_operator_e2e::pki::Ca;
use oidc_operator_e2e::{case, shared};

const REDIRECT: &str = "https://app.example.com/callback";

fn client(id: &str, secret: &str) -> api::Client {
    api::Client {
        id: id.to_owned(),
        secret: secret.to_owned(),
        redirect_uris: vec![REDIRECT.to_owned()],
        name: id.to_owned(),
        public: secret.is_empty(),
        ..api::Client::default()
    }
}

#[tokio::test]
async fn the_grpc_door_opens_with_a_certificate_of_its_ca_only() {
    case::run(async {
        let dex = shared::dex().await?;
        assert_eq!(dex.admin().await?.get("nobody").await?, None);

        let stranger = Ca::new("another CA")?;
        for identity in [None, Some(stranger.client("oidc-operator")?)] {
            let outcome = match DexAdmin::connect(dex.grpc_address(), dex.ca_pem(), identity.as_ref()).await {
                Ok(admin) => admin.get("nobody").await.map(drop),
                Err(error) => Err(error),
            };
            outcome.expect_err("a client without a certificate of the right CA");
        }
        DexAdmin::connect(dex.grpc_address(), stranger.pem(), Some(dex.client_identity()))
            .await
            .expect_err("another CA");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn clients_are_made_listed_and_deleted_and_calls_are_counted() {
    case::run(async {
        let static_clients = vec![StaticClient {
            id: "static".to_owned(),
            secret: "s".to_owned(),
            redirect_uris: vec![REDIRECT.to_owned()],
        }];
        let dex = Dex::start(DexOptions {
            name: "dex-crud".to_owned(),
            static_clients,
            ..DexOptions::default()
        })
        .await?;
        let admin = dex.admin().await?;
        assert_eq!(admin.create(client("a", "s3cret")).await?.secret, "s3cret");
        admin
            .create(client("a", "other"))
            .await
            .expect_err("it is there already");
        assert_eq!(admin.list().await?, ["a", "static"]);
        assert_eq!(
            admin.get("a").await?.map(|client| client.secret),
            Some("s3cret".to_owned())
        );
        assert!(admin.delete("a").await?);
        assert!(!admin.delete("a").await?);
        let counts = dex.grpc_requests().await?;
        let expected = [
            ("CreateClient", 2),
            ("DeleteClient", 2),
            ("GetClient", 1),
            ("ListClients", 1),
        ];
        assert_eq!(
            counts,
            expected.map(|(method, count)| (method.to_owned(), count)).into()
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_user_logs_in_with_and_without_pkce() {
    case::run(async {
        let dex = shared::dex().await?;
        let admin = dex.admin().await?;
        // Characters that client_secret_basic must encode.
        let secret = "p@ss:w+rd /%";
        admin.create(client("logs-in", secret)).await?;
        let basic = ClientAuth::SecretBasic(secret.to_owned());
        let login = Login::new(dex.issuer(), dex.ca_pem(), "logs-in", basic, REDIRECT);
        let claims = login.run().await?.claims;
        assert_eq!(claims["email"], USER_EMAIL);
        assert_eq!(claims["name"], USER_NAME);
        assert_eq!(claims["iss"], dex.issuer());
        login.clone().with_pkce().run().await?;

        let post = ClientAuth::SecretPost(secret.to_owned());
        Login {
            client_auth: post,
            ..login.clone()
        }
        .run()
        .await?;
        let wrong = Login {
            client_auth: ClientAuth::SecretBasic("wrong".to_owned()),
            ..login.clone()
        };
        let error = wrong.run().await.expect_err("a wrong client secret");
        assert!(format!("{error:#}").contains("invalid_client"), "{error:#}");
        let wrong = Login {
            password: "wrong".to_owned(),
            ..login.clone()
        };
        let error = wrong.run().await.expect_err("a wrong password");
        assert!(format!("{error:#}").contains("the login was refused"), "{error:#}");
        let wrong = Login {
            redirect_uri: "https://evil.example.com/".to_owned(),
            ..login
        };
        let error = wrong.run().await.expect_err("a redirect URI of somebody else");
        assert!(format!("{error:#}").contains("redirect_uri"), "{error:#}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_public_client_logs_in_with_pkce() {
    case::run(async {
        let dex = shared::dex().await?;
        dex.admin().await?.create(client("public", "")).await?;
        Login::new(dex.issuer(), dex.ca_pem(), "public", ClientAuth::None, REDIRECT)
            .with_pkce()
            .run()
            .await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_proved_without_a_login() {
    case::run(async {
        let dex = shared::dex().await?;
        dex.admin().await?.create(client("proved", "right")).await?;
        let endpoint = dex.token_endpoint();
        assert!(secret_accepted(dex.ca_pem(), &endpoint, "proved", "right").await?);
        assert!(!secret_accepted(dex.ca_pem(), &endpoint, "proved", "wrong").await?);
        assert!(!secret_accepted(dex.ca_pem(), &endpoint, "unknown", "right").await?);
        let stranger = Ca::new("another CA")?;
        secret_accepted(stranger.pem(), &endpoint, "proved", "right")
            .await
            .expect_err("another CA");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn memory_forgets_and_sqlite_remembers() {
    case::run(async {
        for (storage, kept) in [(Storage::Memory, false), (Storage::Sqlite, true)] {
            let name = format!("dex-{storage:?}").to_lowercase();
            let dex = Dex::start(DexOptions {
                name,
                storage,
                ..DexOptions::default()
            })
            .await?;
            dex.admin().await?.create(client("a", "s3cret")).await?;
            dex.restart().await?;
            assert_eq!(dex.admin().await?.get("a").await?.is_some(), kept);
            dex.kill();
            dex.admin().await.expect_err("nobody listens");
            dex.start_again().await?;
            assert_eq!(dex.admin().await?.get("a").await?.is_some(), kept);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_frozen_dex_answers_again_when_it_thaws() {
    case::run(async {
        let dex = Dex::start(DexOptions {
            name: "dex-frozen".to_owned(),
            ..DexOptions::default()
        })
        .await?;
        let admin = dex.admin().await?;
        dex.freeze()?;
        let mut waiting = std::pin::pin!(admin.list());
        tokio::time::timeout(Duration::from_millis(300), &mut waiting)
            .await
            .expect_err("it is frozen");
        dex.thaw()?;
        assert_eq!(waiting.await?, Vec::<String>::new());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn dex_keeps_clients_in_kubernetes() {
    case::run(async {
        let cluster = shared::control_plane().await?;
        let namespace = cluster.namespace("dex").await?;
        cluster
            .kubectl()?
            .run(["-n", &namespace, "create", "serviceaccount", "dex"])
            .await?;
        let subject = format!("--serviceaccount={namespace}:dex");
        cluster
            .kubectl()?
            .run([
                "create",
                "clusterrolebinding",
                &namespace,
                "--clusterrole=cluster-admin",
                &subject,
            ])
            .await?;
        let kubeconfig = cluster.service_account_kubeconfig(&namespace, "dex").await?;
        let options = DexOptions {
            name: "dex-kubernetes".to_owned(),
            storage: Storage::Kubernetes(kubeconfig),
            ..DexOptions::default()
        };
        let dex = Dex::start(options).await?;
        dex.admin().await?.create(client("in-kubernetes", "s3cret")).await?;
        let auth = ClientAuth::SecretBasic("s3cret".to_owned());
        Login::new(dex.issuer(), dex.ca_pem(), "in-kubernetes", auth, REDIRECT)
            .run()
            .await?;
        let objects = cluster
            .kubectl()?
            .get_json(["oauth2clients.dex.coreos.com", "-A"])
            .await?;
        assert_eq!(objects["items"][0]["id"], "in-kubernetes");
        Ok(())
    })
    .await;
}
