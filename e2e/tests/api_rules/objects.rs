//! What users see of an object that was accepted: defaults, the first status, columns, selectors, apply.

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams, PostParams};
use oidc_operator::api::crd::{CLIENT_CONDITIONS, PROVIDER_CONDITIONS};
use oidc_operator_e2e::case;
use serde_json::{Value, json};

use crate::{
    server::Server,
    table::{Kind, authentik, keycloak},
};

async fn create(server: &Server, kind: Kind, name: &str, spec: Value) -> Result<Value> {
    let object = server.object(kind, false, name, &spec)?;
    let stored = server.api(kind, false).create(&PostParams::default(), &object).await?;
    Ok(serde_json::to_value(stored)?)
}

fn pending(conditions: &[&str]) -> Value {
    let conditions = conditions.iter().map(|type_| {
        json!({
            "type": type_, "status": "Unknown", "reason": "Pending", "message": "Waiting for the operator",
            "observedGeneration": 0, "lastTransitionTime": "1970-01-01T00:00:00Z",
        })
    });
    json!({"observedGeneration": 0, "conditions": conditions.collect::<Vec<_>>()})
}

#[tokio::test]
async fn a_new_object_is_pending_and_never_taken_for_done() {
    case::run(async {
        let server = Server::new().await?;
        let provider = create(&server, Kind::Provider, "dex", Kind::Provider.base()).await?;
        assert_eq!(provider["status"], pending(PROVIDER_CONDITIONS));
        assert_eq!(provider["metadata"]["generation"], 1);
        let client = create(&server, Kind::Client, "shop", Kind::Client.base()).await?;
        assert_eq!(client["status"], pending(CLIENT_CONDITIONS));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_status_sent_with_a_new_object_is_ignored() {
    case::run(async {
        let server = Server::new().await?;
        let mut object = server.object(Kind::Client, false, "shop", &Kind::Client.base())?;
        object.data["status"] = json!({"clientID": "stolen", "observedGeneration": 1, "conditions": []});
        let stored = server
            .api(Kind::Client, false)
            .create(&PostParams::default(), &object)
            .await?;
        assert_eq!(stored.data["status"], pending(CLIENT_CONDITIONS));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn defaults_stand_where_they_depend_on_nothing() {
    case::run(async {
        let server = Server::new().await?;
        let provider = create(&server, Kind::Provider, "dex", Kind::Provider.base()).await?;
        let mut expected = Kind::Provider.base();
        expected["dex"]["grpc"]["certificateAuthority"] =
            json!({"kind": "ConfigMap", "name": "dex-ca", "key": "ca-bundle.crt"});
        assert_eq!(provider["spec"], expected);

        let spec = Kind::Provider.patched(&keycloak(&json!({"certificateAuthority": {"name": "keycloak-ca"}})));
        let provider = create(&server, Kind::Provider, "keycloak", spec.clone()).await?;
        let mut expected = spec;
        expected["keycloak"]["certificateAuthority"] =
            json!({"kind": "ConfigMap", "name": "keycloak-ca", "key": "ca-bundle.crt"});
        assert_eq!(provider["spec"], expected);

        // What is unset stays so: which flow and which key are the operator's defaults may be read in the documentation.
        let spec = Kind::Provider.patched(&authentik(&json!({"certificateAuthority": {"name": "authentik-ca"}})));
        let provider = create(&server, Kind::Provider, "authentik", spec.clone()).await?;
        let mut expected = spec;
        expected["authentik"]["certificateAuthority"] =
            json!({"kind": "ConfigMap", "name": "authentik-ca", "key": "ca-bundle.crt"});
        assert_eq!(provider["spec"], expected);

        // With a public CA there is nothing to say of its issuer.
        let mut patch = authentik(&json!({}));
        patch["issuer"] = Value::Null;
        let spec = Kind::Provider.patched(&patch);
        let provider = create(&server, Kind::Provider, "authentik-public", spec.clone()).await?;
        let mut expected = spec;
        expected["issuer"] = json!({});
        assert_eq!(provider["spec"], expected);

        let client = create(&server, Kind::Client, "shop", Kind::Client.base()).await?;
        let mut expected = Kind::Client.base();
        expected["type"] = json!("Confidential");
        expected["enforcement"] = json!("BestEffort");
        expected["deletionPolicy"] = json!("Delete");
        assert_eq!(client["spec"], expected);

        let logout = json!({"type": "FrontChannel", "uri": "https://app.example.com/logout"});
        let client = create(
            &server,
            Kind::Client,
            "logout",
            Kind::Client.patched(&json!({"logout": logout})),
        )
        .await?;
        expected["logout"] =
            json!({"type": "FrontChannel", "uri": "https://app.example.com/logout", "sessionRequired": true});
        assert_eq!(client["spec"], expected);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_explicit_null_is_as_good_as_nothing() {
    case::run(async {
        let server = Server::new().await?;
        let client = create(
            &server,
            Kind::Client,
            "shop",
            json!({
                "providerRef": {"name": "dex", "namespace": null}, "clientID": null, "type": null, "displayName": null,
                "description": null, "homepageURI": null, "postLogoutRedirectURIs": null, "webOrigins": null,
                "optionalScopes": null, "logout": null, "tokenLifetimes": null, "logoURI": null, "redirectURIs": ["https://app.example.com/cb"], "grantTypes": null,
                "tokenEndpointAuthMethod": null, "pkce": null, "idTokenSignedResponseAlg": null, "scopes": null,
                "claims": null, "enforcement": null, "adoption": null, "deletionPolicy": null,
                "outputs": {"secret": {"name": null, "labels": null, "annotations": null}, "configMap": null},
            }),
        )
        .await?;
        assert_eq!(
            client["spec"],
            json!({
                "providerRef": {"name": "dex"}, "type": "Confidential", "redirectURIs": ["https://app.example.com/cb"],
                "enforcement": "BestEffort", "deletionPolicy": "Delete", "outputs": {"secret": {}},
            })
        );

        let mut spec = Kind::Provider.base();
        for field in ["adminAPI", "resyncInterval", "insecureTransport", "clients"] {
            spec[field] = Value::Null;
        }
        spec["issuer"]["issuerCertificateAuthority"] = Value::Null;
        spec["dex"]["grpc"]["certificateAuthority"]["key"] = Value::Null;
        let provider = create(&server, Kind::Provider, "dex", spec).await?;
        let mut expected = Kind::Provider.base();
        expected["dex"]["grpc"]["certificateAuthority"] =
            json!({"kind": "ConfigMap", "name": "dex-ca", "key": "ca-bundle.crt"});
        assert_eq!(provider["spec"], expected);

        let mut spec = Kind::Provider.patched(&keycloak(&json!({})));
        let expected = spec.clone();
        spec["issuer"]["internal"] = Value::Null;
        spec["dex"] = Value::Null;
        for field in ["authRealm", "certificateAuthority"] {
            spec["keycloak"][field] = Value::Null;
        }
        spec["keycloak"]["credentials"]["password"] = Value::Null;
        let provider = create(&server, Kind::Provider, "keycloak", spec).await?;
        assert_eq!(provider["spec"], expected);

        let mut spec = Kind::Provider.patched(&authentik(&json!({})));
        let expected = spec.clone();
        for field in [
            "certificateAuthority",
            "authorizationFlow",
            "invalidationFlow",
            "signingKey",
            "subMode",
            "issuerMode",
            "emailVerified",
        ] {
            spec["authentik"][field] = Value::Null;
        }
        spec["issuer"]["issuerURL"] = Value::Null;
        spec["issuer"]["internal"] = Value::Null;
        let provider = create(&server, Kind::Provider, "authentik", spec).await?;
        assert_eq!(provider["spec"], expected);
        Ok(())
    })
    .await;
}

/// What a GitOps tool does all day: a difference where there is none would never end.
#[tokio::test]
async fn applying_the_same_manifest_again_changes_nothing() {
    case::run(async {
        let server = Server::new().await?;
        let mut client = Kind::Client.base();
        client["grantTypes"] = json!(["refresh_token", "authorization_code"]);
        client["scopes"] = json!(["profile", "openid"]);
        client["optionalScopes"] = json!(["phone", "email"]);
        client["postLogoutRedirectURIs"] = json!(["https://app.example.com/b", "https://app.example.com/a"]);
        client["webOrigins"] = json!(["https://b.example.com", "https://a.example.com"]);
        client["logout"] = json!({"type": "BackChannel", "uri": "https://app.example.com/logout"});
        client["claims"] = json!([
            {"name": "tier", "type": "Constant", "constant": {"value": "gold"}, "tokens": ["UserInfo", "IDToken"]},
            {"name": "groups", "type": "Groups", "groups": {"path": "Name"}},
        ]);
        client["outputs"] = json!({"secret": {"labels": {"team": "shop"}, "annotations": {"a": ""}}, "configMap": {}});
        let mut provider = Kind::Provider.base();
        provider["insecureTransport"] = json!({"allowed": ["Endpoints", "Discovery"]});
        provider["clients"] =
            json!({"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"sso": "allowed"}}}});

        let params = PatchParams::apply("gitops").validation_strict();
        for (kind, spec) in [(Kind::Client, client), (Kind::Provider, provider)] {
            let api = server.api(kind, false);
            let manifest = Patch::Apply(server.object(kind, false, "same", &spec)?);
            let first = api.patch("same", &params, &manifest).await?;
            let second = api.patch("same", &params, &manifest).await?;
            assert_eq!(
                first.metadata.managed_fields, second.metadata.managed_fields,
                "{kind:?}"
            );
            assert_eq!(first.metadata.generation, second.metadata.generation, "{kind:?}");
            assert_eq!(first.data, second.data, "{kind:?}");
            // The API server stores the default of the status with the first write after the creation, whoever writes; that
            // moves the resourceVersion once, and nothing that anybody could see.
            let third = api.patch("same", &params, &manifest).await?;
            assert_eq!(
                second.metadata.resource_version, third.metadata.resource_version,
                "{kind:?}"
            );
            assert_eq!(
                second.metadata.managed_fields, third.metadata.managed_fields,
                "{kind:?}"
            );
            assert_eq!(second.data, third.data, "{kind:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn clients_are_selected_by_their_provider() {
    case::run(async {
        let server = Server::new().await?;
        for (name, provider) in [("a", "dex"), ("b", "keycloak"), ("c", "dex")] {
            let spec = json!({"providerRef": {"name": provider}, "grantTypes": ["client_credentials"]});
            create(&server, Kind::Client, name, spec).await?;
        }
        create(&server, Kind::Provider, "dex", Kind::Provider.base()).await?;
        let kubectl = server.control_plane.kubectl()?;
        let found = async |kind: &str, selector: &str| {
            kubectl
                .run([
                    "get",
                    kind,
                    "-n",
                    &server.namespace,
                    "-o",
                    "name",
                    "--field-selector",
                    selector,
                ])
                .await
        };
        let clients = found("oidcclients", "spec.providerRef.name=dex").await?;
        assert_eq!(
            clients.lines().collect::<Vec<_>>(),
            ["oidcclient.oidc-operator.io/a", "oidcclient.oidc-operator.io/c"]
        );
        assert_eq!(found("oidcclients", "spec.providerRef.name=none").await?, "");
        assert_eq!(found("oidcproviders", "spec.type=Dex").await?.lines().count(), 1);
        Ok(())
    })
    .await;
}

/// Columns are at least two spaces apart; their names may hold one.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ")
        .map(str::trim)
        .filter(|column| !column.is_empty())
        .collect()
}

#[tokio::test]
async fn columns_tell_the_state_at_a_glance() {
    case::run(async {
        let server = Server::new().await?;
        let kubectl = server.control_plane.kubectl()?;
        let rows = async |args: &[&str]| -> Result<Vec<Vec<String>>> {
            let mut all = vec!["get", "-n", &server.namespace];
            all.extend_from_slice(args);
            let text = kubectl.run(all).await?;
            Ok(text.lines().map(|line| columns(line).into_iter().map(str::to_owned).collect()).collect())
        };
        create(&server, Kind::Provider, "dex", Kind::Provider.base()).await?;
        create(&server, Kind::Client, "shop", Kind::Client.base()).await?;

        let table = rows(&["oidcc"]).await?;
        assert_eq!(table[0], ["NAME", "PROVIDER", "CLIENT ID", "READY", "REASON", "SECRET", "AGE"]);
        assert_eq!(table[1][..3], ["shop", "Unknown", "Pending"]);
        let table = rows(&["oidcp"]).await?;
        assert_eq!(table[0], ["NAME", "TYPE", "ISSUER", "READY", "REASON", "CLIENTS", "AGE"]);
        assert_eq!(table[1][..4], ["dex", "Dex", "Unknown", "Pending"]);

        let ready = |observed: Value| {
            let mut status = observed;
            status["observedGeneration"] = json!(1);
            status["conditions"] = json!([{
                "type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]);
            Patch::Merge(json!({"status": status}))
        };
        let client = ready(json!({
            "provider": "identity/dex", "clientID": "shop", "binding": {"name": "shop-oidc"},
            "issuer": "https://dex.example.com/dex",
        }));
        server.api(Kind::Client, false).patch_status("shop", &PatchParams::default(), &client).await?;
        let provider = ready(json!({
            "issuer": {
                "url": "https://dex.example.com/dex", "authorizationEndpoint": "https://dex.example.com/dex/auth",
                "tokenEndpoint": "https://dex.example.com/dex/token", "jwksURI": "https://dex.example.com/dex/keys", "keys": [],
            },
            "clients": {"total": 7},
            "server": {"product": "Dex", "version": "v2.45.1"},
        }));
        server.api(Kind::Provider, false).patch_status("dex", &PatchParams::default(), &provider).await?;

        let table = rows(&["oidcc"]).await?;
        assert_eq!(table[1][..6], ["shop", "identity/dex", "shop", "True", "Ready", "shop-oidc"]);
        let table = rows(&["oidcc", "-o", "wide"]).await?;
        assert_eq!(table[0].last().context("no column")?, "ISSUER");
        assert_eq!(table[1].last().context("no column")?, "https://dex.example.com/dex");
        let table = rows(&["oidcp"]).await?;
        assert_eq!(table[1][..6], ["dex", "Dex", "https://dex.example.com/dex", "True", "Ready", "7"]);
        let table = rows(&["oidcp", "-o", "wide"]).await?;
        assert_eq!(table[1].last().context("no column")?, "v2.45.1");

        // One word for both kinds.
        assert!(kubectl.run(["get", "oidc", "-n", &server.namespace, "-o", "name"]).await?.lines().count() == 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn spec_writes_leave_the_status_alone_and_move_the_generation() {
    case::run(async {
        let server = Server::new().await?;
        create(&server, Kind::Client, "shop", Kind::Client.base()).await?;
        let api = server.api(Kind::Client, false);
        let patch = Patch::Merge(json!({"spec": {"displayName": "A shop"}, "status": {"clientID": "stolen"}}));
        let stored = api.patch("shop", &PatchParams::default(), &patch).await?;
        assert_eq!(stored.metadata.generation, Some(2));
        assert_eq!(stored.data["status"], pending(CLIENT_CONDITIONS));
        let patch = Patch::Merge(json!({"status": {"clientID": "shop"}}));
        let stored = api.patch_status("shop", &PatchParams::default(), &patch).await?;
        assert_eq!(
            (stored.metadata.generation, &stored.data["status"]["clientID"]),
            (Some(2), &json!("shop"))
        );
        Ok(())
    })
    .await;
}
