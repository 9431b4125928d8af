//! The API as users should meet it: manifests of a whole platform, applied in one go. Only hosts and ports are those of the test.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use kube::{Api, ResourceExt as _, api::ListParams};
use oidc_operator::api::{OIDCClient, OIDCProvider, common::ConditionStatus};
use oidc_operator_e2e::{
    case,
    dex::{Storage, supervised::SupervisedDex},
    install,
    keycloak::Registrar,
    ports,
    scene::{Idp as _, SOON, Stage},
    shared, tools,
    wait::eventually,
};
use serde_json::json;

const FOLDER: &str = "e2e/tests/keycloak/examples";

/// The client that an administrator made by hand at the legacy issuer.
const BY_HAND: (&str, &str) = ("0oabc123def456", "made by an administrator, long ago");

#[tokio::test]
async fn the_whole_of_the_examples_is_accepted_in_one_go() {
    case::run(async {
        let keycloak = shared::keycloak().await?;
        let realm = keycloak.realm("examples").await?;
        // Refresh tokens of a day need sessions of a day.
        realm.update(&json!({"ssoSessionIdleTimeout": 86400})).await?;
        let stage = Stage::start_with("examples", &["--enable-rollout-restart"], true).await?;
        install::restarts(&stage.cluster).await?;
        // The Dex that is managed by its configuration file, and runs in Pods of a Deployment.
        let playpen = SupervisedDex::new("examples-playpen", Storage::Memory)?;
        let (kube, kubectl) = (stage.cluster.client().await?, stage.cluster.kubectl()?);
        let mut text = String::new();
        let mut files: Vec<_> = fs::read_dir(tools::repository().join(FOLDER))?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        files.sort();
        for file in files {
            text += "---\n";
            text += &fs::read_to_string(&file)?;
        }
        // Nothing serves there: neither a host of the examples nor any other is asked.
        let nobody = format!("https://{}", ports::free_address()?);
        let issuer = realm.issuer();
        let endpoint = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
        let trusted = |issuer: &str, ca: &str| {
            format!("issuer: {{issuerURL: \"{issuer}\", issuerCertificateAuthority: {{name: {ca}}}}}")
        };
        for (documented, here) in [
            (
                "issuer: {issuerURL: http://dex.playpen-platform.svc.cluster.local:5556/dex}",
                trusted(playpen.issuer(), install::CA).as_str(),
            ),
            (
                "issuer: {issuerURL: https://sso.example.com/realms/apps}",
                &trusted(&issuer, "sso-ca"),
            ),
            // No client of the examples uses it.
            ("https://login.example.com/dex", &format!("{nobody}/dex")),
            ("https://sso.example.com/realms/apps", &issuer),
            ("https://keycloak.identity.svc:8443/realms/apps", &issuer),
            ("https://keycloak.identity.svc:8443", realm.base_url()),
            ("realm: apps", &format!("realm: {}", realm.name())),
            (
                "clientID: oidc-operator,",
                &format!("clientID: {},", realm.operator().client_id),
            ),
            ("https://dex.example.com/dex", stage.dex.issuer()),
            ("dex.identity.svc:5557", &stage.dex.grpc_address().to_string()),
            ("https://login.example.com/oauth2/authorize", &endpoint("auth")),
            ("https://login.example.com/oauth2/token", &endpoint("token")),
            ("https://login.example.com/oauth2/userinfo", &endpoint("userinfo")),
            ("https://login.example.com/oauth2/jwks", &endpoint("certs")),
            // A public host would have a certificate of a public CA.
            (
                "issuerURL: https://login.example.com\n",
                &format!("issuerURL: {issuer}\n    issuerCertificateAuthority: {{name: sso-ca}}\n"),
            ),
            ("https://auth.example.com", &nobody),
            ("https://authentik-server.authentik.svc", &nobody),
            ("https://login.microsoftonline.com", &nobody),
        ] {
            ensure!(text.contains(documented), "the examples have no {documented}");
            text = text.replace(documented, here);
        }
        let by_hand = json!({"clientId": BY_HAND.0, "secret": BY_HAND.1, "publicClient": false});
        realm.create_client(&by_hand).await?;
        kubectl
            .run_with_input(["apply", "--server-side", "--validate=strict", "-f", "-"], &text)
            .await?;
        install::allow_dex_config(&stage.cluster, "playpen-platform").await?;
        let _kubelet = playpen.kubelet(&stage.cluster, "playpen-platform")?;
        // The Secrets and CAs come from elsewhere, as with GitOps: late.
        let mut references = [
            realm.references("identity"),
            stage.dex.references("identity"),
            playpen.references("playpen-platform"),
        ]
        .concat();
        let token = realm.initial_access_token(10).await?;
        references.push(Registrar::token_secret("identity", &token));
        references.push(install::ca_config_map("identity", "sso-ca", realm.ca_pem()));
        references.push(install::ca_config_map("qualytics", "sso-ca", realm.ca_pem()));
        references.push(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "qualytics-by-hand", "namespace": "qualytics", "labels": {"oidc-operator.io/credential": "client"}},
            "stringData": {"clientSecret": BY_HAND.1},
        }));
        let references = json!({"apiVersion": "v1", "kind": "List", "items": references});
        kubectl
            .run_with_input(["apply", "--server-side", "-f", "-"], &references.to_string())
            .await?;

        let expected = [
            "batch",
            "console",
            "dploy",
            "oauth2-proxy",
            "oc-cli",
            "playpen",
            "qualytics",
            "qualytics-legacy",
            "shop",
        ];
        let clients: Api<OIDCClient> = Api::all(kube.clone());
        eventually("every client is accepted, and ready", SOON, async || {
            let found = clients.list(&ListParams::default()).await?.items;
            let here = |client: &&OIDCClient| expected.contains(&client.name_any().as_str());
            let mut names = Vec::new();
            for client in found.iter().filter(here) {
                let name = client.name_any();
                let conditions = &client.status.as_ref().context("no status")?.conditions;
                for type_ in ["Accepted", "Ready"] {
                    let is_true = conditions
                        .iter()
                        .any(|condition| condition.type_ == type_ && condition.status == ConditionStatus::True);
                    ensure!(is_true, "{name} is not {type_}: {conditions:#?}");
                }
                names.push(name);
            }
            names.sort();
            ensure!(names == expected, "{names:?}");
            Ok(())
        })
        .await?;
        let providers: Api<OIDCProvider> = Api::namespaced(kube, "identity");
        eventually("the provider with dynamic registration is ready", SOON, async || {
            let status = providers.get("dcr").await?.status.context("no status")?;
            let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
            ensure!(ready.is_some_and(|ready| ready.status == ConditionStatus::True), "{ready:?}");
            Ok(())
        })
        .await
    })
    .await;
}
