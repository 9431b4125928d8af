//! What somebody changes in Keycloak: what the spec is about is put back within one resync, with one write; the rest is theirs.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use oidc_operator::api::{OIDCClient, OIDCProvider};
use oidc_operator_e2e::{
    case,
    keycloak::{Realm, Requests},
    scene::{Idp as _, SOON},
    wait::{eventually, steadily},
};
use serde_json::{Value, json};

use crate::{
    held::{Held, WHILE, becomes, difference, reasons, scene_of_its_own, shown, told, writes_to, written},
    scene,
};

const LIST: &str = "GET /admin/clients?first&max";
const PUT: &str = "PUT /admin/clients/{id}";

/// The spec of clients that drift: something to lose.
fn spec() -> Value {
    json!({
        "displayName": "Shop",
        "webOrigins": ["https://shop.example.com"],
        "optionalScopes": ["phone"],
        "claims": [{"name": "tier", "type": "Constant", "constant": {"value": "gold"}}],
    })
}

/// What somebody does to a client, the field that this is about, and the one request that puts it back.
struct Drift {
    name: &'static str,
    field: &'static str,
    request: &'static str,
    by: By,
}

enum By {
    Update(Value),
    NewSecret,
    Assign(&'static str, bool),
    Unassign(&'static str, bool),
    ChangedMapper(&'static str),
    DeletedMapper(&'static str),
    AddedMapper(&'static str),
}

fn drifts() -> Vec<Drift> {
    let update = |name, field, patch| Drift {
        name,
        field,
        request: PUT,
        by: By::Update(patch),
    };
    let other = |name, field, request, by| Drift {
        name,
        field,
        request,
        by,
    };
    let models = "POST /admin/clients/{id}/protocol-mappers/models";
    let model = "PUT /admin/clients/{id}/protocol-mappers/models/{id}";
    vec![
        update(
            "uris",
            "redirectURIs",
            json!({"redirectUris": ["https://evil.example.com/*"]}),
        ),
        update("no-uris", "redirectURIs", json!({"redirectUris": []})),
        update("origins", "webOrigins", json!({"webOrigins": ["*"]})),
        update("name", "displayName", json!({"name": "Evil"})),
        update("public", "type", json!({"publicClient": true})),
        update("full-scope", "fullScopeAllowed", json!({"fullScopeAllowed": true})),
        update("password", "grantTypes", json!({"directAccessGrantsEnabled": true})),
        update("implicit", "grantTypes", json!({"implicitFlowEnabled": true})),
        update("account", "grantTypes", json!({"serviceAccountsEnabled": true})),
        update(
            "bye",
            "postLogoutRedirectURIs",
            json!({"attributes": {"post.logout.redirect.uris": "+"}}),
        ),
        update(
            "bye-unset",
            "postLogoutRedirectURIs",
            json!({"attributes": {"post.logout.redirect.uris": ""}}),
        ),
        update(
            "method",
            "tokenEndpointAuthMethod",
            json!({"attributes": {"client.secret.authentication.allowed.method": ""}}),
        ),
        update(
            "signed",
            "tokenEndpointAuthMethod",
            json!({"clientAuthenticatorType": "client-jwt"}),
        ),
        update(
            "alg",
            "idTokenSignedResponseAlg",
            json!({"attributes": {"id.token.signed.response.alg": "HS256"}}),
        ),
        update(
            "lifetime",
            "tokenLifetimes.accessToken",
            json!({"attributes": {"access.token.lifespan": "86400"}}),
        ),
        update("front", "logout", json!({"frontchannelLogout": true})),
        other("secret", "secret", PUT, By::NewSecret),
        other(
            "scope",
            "scopes.roles",
            "DELETE /admin/clients/{id}/default-client-scopes/{id}",
            By::Assign("roles", false),
        ),
        other(
            "no-scope",
            "scopes.email",
            "PUT /admin/clients/{id}/default-client-scopes/{id}",
            By::Unassign("email", false),
        ),
        other(
            "optional",
            "optionalScopes.address",
            "DELETE /admin/clients/{id}/optional-client-scopes/{id}",
            By::Assign("address", true),
        ),
        other(
            "no-optional",
            "optionalScopes.phone",
            "PUT /admin/clients/{id}/optional-client-scopes/{id}",
            By::Unassign("phone", true),
        ),
        other(
            "mapper",
            "claims.tier",
            model,
            By::ChangedMapper("oidc-operator.io/claim/tier"),
        ),
        other(
            "no-mapper",
            "claims.tier",
            models,
            By::DeletedMapper("oidc-operator.io/claim/tier"),
        ),
        other(
            "no-audience",
            "audience",
            models,
            By::DeletedMapper("oidc-operator.io/audience"),
        ),
        other(
            "more-mappers",
            "claims.admin",
            "DELETE /admin/clients/{id}/protocol-mappers/models/{id}",
            By::AddedMapper("oidc-operator.io/claim/admin"),
        ),
    ]
}

impl By {
    async fn happen(&self, realm: &Realm, client: &Held) -> Result<()> {
        let id = client.client_id();
        match self {
            Self::Update(patch) => {
                // As the admin console does it: with all members, else an empty list of origins would be filled.
                let mut whole = client.shown.clone();
                oidc_operator_e2e::scene::merge(&mut whole, patch);
                realm.update_client(id, &whole).await
            }
            Self::NewSecret => realm.regenerate_secret(id).await.map(drop),
            Self::Assign(scope, optional) => realm.assign_scope(id, scope, *optional).await,
            Self::Unassign(scope, optional) => realm.unassign_scope(id, scope, *optional).await,
            Self::ChangedMapper(name) => {
                let (path, mut mapper) = mapper(realm, client, name).await?;
                mapper["config"]["claim.value"] = json!("platinum");
                realm.admin().put(&path, &mapper).await
            }
            Self::DeletedMapper(name) => {
                let (path, _) = mapper(realm, client, name).await?;
                realm.admin().delete(&path).await
            }
            Self::AddedMapper(name) => add_mapper(realm, client, name).await,
        }
    }
}

fn models(realm: &Realm, client: &Held) -> String {
    realm.path(&format!("clients/{}/protocol-mappers/models", client.id()))
}

async fn mapper(realm: &Realm, client: &Held, name: &str) -> Result<(String, Value)> {
    let mappers = realm.mappers_of(client.client_id()).await?;
    let mapper = mappers.into_iter().find(|mapper| mapper["name"] == name);
    let mapper = mapper.with_context(|| format!("no mapper {name}"))?;
    let id = mapper["id"].as_str().context("a mapper without id")?;
    Ok((format!("{}/{id}", models(realm, client)), mapper))
}

async fn add_mapper(realm: &Realm, client: &Held, name: &str) -> Result<()> {
    let mapper = json!({
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-hardcoded-claim-mapper",
        "config": {"claim.name": "admin", "claim.value": "true", "jsonType.label": "boolean", "access.token.claim": "true"},
    });
    realm.admin().post(&models(realm, client), &mapper).await.map(drop)
}

/// The last repair came before a third list: one that was under way may have seen only a part of what had happened. How long
/// the repairs took does not matter, nor how long it took to see them.
fn within_one_resync(requests: &Requests) -> Result<()> {
    let requests = requests.of_operator();
    let writes = requests.admin_writes();
    let last = writes.0.last().context("nothing was written")?;
    let lists = requests.such(|request| request.time <= last.time).count(LIST);
    ensure!(lists <= 2, "it took {lists} lists");
    Ok(())
}

/// As it was, but for when Keycloak says that the secret was set.
fn same(now: &Value, before: &Value) -> Result<()> {
    let mut difference = difference(before, now);
    difference.retain(|name, _| name != "attributes.client.secret.creation.time");
    ensure!(difference.is_empty(), "differs in {difference:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_changed_by_hand_is_put_back_within_one_resync_with_one_write() {
    case::run(async {
        let scene = scene_of_its_own("drift").await?;
        let drifts = drifts();
        for drift in &drifts {
            scene.client(drift.name, spec()).await?;
        }
        let before: BTreeMap<&str, Held> = try_join_all(drifts.iter().map(async |drift| {
            scene.ready::<OIDCClient>(drift.name).await?;
            anyhow::Ok((drift.name, Held::of(&scene, drift.name).await?))
        }))
        .await?
        .into_iter()
        .collect();
        let mark = scene.idp.mark().await?;
        for drift in &drifts {
            drift
                .by
                .happen(scene.idp, &before[drift.name])
                .await
                .context(drift.name)?;
        }
        let drifted = scene.idp.mark().await?;
        for drift in &drifts {
            let before = &before[drift.name];
            eventually(format!("{}: as it was", drift.name), SOON, async || {
                let now = Held::of(&scene, drift.name).await?;
                same(&now.shown, &before.shown)?;
                ensure!(now.shown["secret"] == before.shown["secret"], "the secret is another");
                ensure!((&now.secret, &now.secret_uid) == (&before.secret, &before.secret_uid));
                Ok(())
            })
            .await?;
        }
        within_one_resync(&scene.idp.requests_since(drifted).await?)?;
        let requests = scene.idp.requests_since(mark).await?.of_operator().admin_writes();
        for drift in &drifts {
            let held = &before[drift.name];
            let writes = requests.such(|request| request.path.contains(held.id()));
            let expected: BTreeMap<String, usize> = [(drift.request.to_owned(), 1)].into();
            assert_eq!(writes.kinds(), expected, "{}", drift.name);
            told(&scene, drift.name, "Updated", &[drift.field])
                .await
                .context(drift.name)?;
            scene.ready::<OIDCClient>(drift.name).await?;
        }
        assert_eq!(requests.len(), drifts.len(), "{:?}", requests.kinds());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_was_deleted_by_hand_is_made_again_with_the_same_secret() {
    case::run(async {
        let scene = scene("deleted").await?;
        scene.ready_client("shop", spec()).await?;
        let before = Held::of(&scene, "shop").await?;
        ensure!(scene.idp.delete_client(before.client_id()).await?);
        let after = becomes(&scene, "shop", "as it was", |now| {
            same(&now.shown, &before.shown).is_ok()
        })
        .await?;
        assert_eq!(after.id(), before.id());
        assert_eq!((&after.secret, &after.secret_uid), (&before.secret, &before.secret_uid));
        after.works(&scene).await?;
        told(&scene, "shop", "Restored", &["with the credentials in its Secret"]).await?;
        scene.ready::<OIDCClient>("shop").await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_realm_from_an_older_backup_is_brought_up_to_date() {
    case::run(async {
        let scene = scene_of_its_own("backup").await?;
        scene.ready_client("old", json!({})).await?;
        scene.ready_client("same", json!({})).await?;
        let snapshot = scene.idp.snapshot().await?;
        let newer = json!({
            "displayName": "New", "type": "Public", "optionalScopes": ["phone"],
            "claims": [{"name": "tier", "type": "Constant", "constant": {"value": "gold"}}],
        });
        scene.ready_client("old", newer).await?;
        scene.ready_client("new", spec()).await?;
        let names = ["old", "same", "new"];
        let mut before = Vec::new();
        for name in names {
            before.push(Held::of(&scene, name).await?);
        }

        scene.idp.restore(&snapshot).await?;
        let restored = scene.idp.mark().await?;
        for (name, before) in names.iter().zip(&before) {
            let after = becomes(&scene, name, "as before", |now| {
                same(&now.shown, &before.shown).is_ok() && now.shown["secret"] == before.shown["secret"]
            })
            .await?;
            assert_eq!((&after.secret, &after.secret_uid), (&before.secret, &before.secret_uid));
            scene.ready::<OIDCClient>(name).await?;
        }
        within_one_resync(&scene.idp.requests_since(restored).await?)?;
        let untouched = writes_to(scene.idp, restored, before[1].id()).await?;
        assert_eq!(untouched.of_operator().kinds(), [].into());
        Ok(())
    })
    .await;
}

/// The operator looked at the whole realm `times` times since now.
async fn resyncs(realm: &Realm, times: usize) -> Result<()> {
    let mark = realm.mark().await?;
    eventually(format!("{times} resyncs"), SOON, async || {
        let lists = realm.requests_since(mark).await?.of_operator().count(LIST);
        ensure!(lists >= times, "{lists} lists");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn what_administrators_add_elsewhere_stays() {
    case::run(async {
        let scene = scene_of_its_own("theirs").await?;
        let realm = scene.idp;
        let machine = json!({"grantTypes": ["authorization_code", "client_credentials"]});
        scene.ready_client("shop", machine.clone()).await?;
        let held = Held::of(&scene, "shop").await?;
        let id = held.client_id();
        let mut theirs = held.shown.clone();
        oidc_operator_e2e::scene::merge(
            &mut theirs,
            &json!({
                "rootUrl": "https://shop.example.com",
                "adminUrl": "https://shop.example.com/admin",
                "consentRequired": true,
                "alwaysDisplayInConsole": true,
                "authorizationServicesEnabled": true,
                "attributes": {"acr.loa.map": "{\"gold\":\"2\"}", "our.own": "note", "tosUri": "https://shop.example.com/tos"},
            }),
        );
        realm.update_client(id, &theirs).await?;
        add_mapper(realm, &held, "by hand").await?;
        let server = realm.path(&format!("clients/{}/authz/resource-server", held.id()));
        let resource = json!({"name": "till", "uris": ["/till"], "scopes": [{"name": "open"}]});
        realm.admin().post(&format!("{server}/resource"), &resource).await?;
        let settings = async || {
            let mut settings = realm.admin().get(&format!("{server}/settings")).await?;
            if let Some(resources) = settings["resources"].as_array_mut() {
                resources.sort_by_key(|resource| resource["name"].to_string());
            }
            anyhow::Ok(settings)
        };
        let settled = settings().await?;
        let before = shown(&scene, id).await?;
        ensure!(before["authorizationServicesEnabled"] == true, "{before}");

        let mark = realm.mark().await?;
        resyncs(realm, 2).await?;
        let writes = realm.requests_since(mark).await?.of_operator().admin_writes();
        assert_eq!(writes.kinds(), BTreeMap::new(), "drift that is none");
        assert_eq!(shown(&scene, id).await?, before);

        // Nor does a write that is about something else take it away.
        let mut spec = machine;
        spec["displayName"] = json!("Shop");
        scene.ready_client("shop", spec).await?;
        let after = shown(&scene, id).await?;
        assert_eq!(json!(difference(&before, &after)), json!({"name": "Shop"}));
        assert_eq!(settings().await?, settled);
        // And drift that is some is found beside what is not.
        realm
            .update_client(id, &json!({"description": "x", "authorizationServicesEnabled": true, "webOrigins": []}))
            .await?;
        eventually("the description is gone", SOON, async || same(&shown(&scene, id).await?, &after)).await?;
        assert_eq!(settings().await?, settled);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_switched_off_by_hand_stays_off() {
    case::run(async {
        let scene = scene("off").await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let id = held.client_id();
        let switch = async |on: bool| {
            scene
                .idp
                .update_client(id, &json!({"enabled": on, "webOrigins": []}))
                .await
        };
        let mark = scene.idp.mark().await?;
        switch(false).await?;
        let message = scene
            .condition::<OIDCClient>("shop", "Provisioned", "False", "ClientDisabled")
            .await?;
        ensure!(message.contains(id) && message.contains("switched off"), "{message}");
        scene
            .condition::<OIDCClient>("shop", "Ready", "False", "ClientDisabled")
            .await?;
        steadily("it is off", WHILE, async || {
            ensure!(shown(&scene, id).await?["enabled"] == false);
            Ok(())
        })
        .await?;
        assert_eq!(
            writes_to(scene.idp, mark, held.id()).await?.of_operator().kinds(),
            [].into()
        );
        // A change of the spec arrives, and the switch is left alone.
        scene.client("shop", json!({"displayName": "Shop"})).await?;
        becomes(&scene, "shop", "the new name", |now| now.shown["name"] == "Shop").await?;
        scene
            .condition::<OIDCClient>("shop", "Ready", "False", "ClientDisabled")
            .await?;
        assert_eq!(shown(&scene, id).await?["enabled"], false);

        switch(true).await?;
        scene.ready::<OIDCClient>("shop").await?;
        let now = Held::of(&scene, "shop").await?;
        assert_eq!(now.secret, held.secret);
        now.works(&scene).await
    })
    .await;
}

#[tokio::test]
async fn passes_that_find_nothing_changed_write_nothing() {
    case::run(async {
        let scene = scene_of_its_own("quiet").await?;
        let names = ["shop", "app", "machine"];
        scene.ready_client("shop", spec()).await?;
        scene.ready_client("app", json!({"type": "Public"})).await?;
        let machine = json!({"redirectURIs": null, "scopes": ["email"], "grantTypes": ["client_credentials"]});
        scene.ready_client("machine", machine).await?;
        for name in names {
            told(&scene, name, "Created", &[]).await?;
        }
        eventually("the provider counts three", SOON, async || {
            let status = scene.api::<OIDCProvider>().get(Realm::NAME).await?.status;
            let clients = status.context("status")?.clients.context("clients")?;
            ensure!(clients.total == 3, "{clients:?}");
            Ok(())
        })
        .await?;
        // What was made is seen once in a list, and compared.
        resyncs(scene.idp, 1).await?;

        let (audit, mark) = (scene.cluster.audit().mark().await?, scene.idp.mark().await?);
        resyncs(scene.idp, 2).await?;
        assert_eq!(written(&scene, &audit).await?, BTreeMap::new());
        let requests = scene.idp.requests_since(mark).await?.of_operator();
        let kinds: Vec<String> = requests
            .such(|request| request.path.starts_with("/admin/"))
            .kinds()
            .into_keys()
            .collect();
        assert_eq!(kinds, ["GET /admin/client-scopes", LIST]);
        assert_eq!(requests.token_requests().len(), 0, "a token lives for five minutes");

        // Who asks gets an answer, and nothing else is written.
        let held = Held::of(&scene, "shop").await?;
        let (audit, mark) = (scene.cluster.audit().mark().await?, scene.idp.mark().await?);
        scene.ask::<OIDCClient>("shop", "now").await?;
        eventually("the request is answered", Duration::from_secs(30), async || {
            let status = scene.api::<OIDCClient>().get("shop").await?.status.context("status")?;
            ensure!(status.last_reconcile_request.as_deref() == Some("now"), "{status:?}");
            Ok(())
        })
        .await?;
        assert_eq!(
            written(&scene, &audit).await?,
            [("patch oidcclients/status".to_owned(), 1)].into()
        );
        let writes = scene.idp.requests_since(mark).await?.of_operator().admin_writes();
        assert_eq!(writes.kinds(), BTreeMap::new());
        assert_eq!(Held::of(&scene, "shop").await?, held);
        for name in names {
            assert_eq!(reasons(&scene, name).await?, ["Created".to_owned()].into(), "{name}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_new_client_is_made_with_one_request() {
    case::run(async {
        let scene = scene_of_its_own("few").await?;
        let (audit, mark) = (scene.cluster.audit().mark().await?, scene.idp.mark().await?);
        scene.ready_client("shop", spec()).await?;
        told(&scene, "shop", "Created", &[]).await?;
        let requests = scene.idp.requests_since(mark).await?.of_operator();
        assert_eq!(
            requests.admin_writes().kinds(),
            [("POST /admin/clients".to_owned(), 1)].into()
        );
        let looks = requests.such(|request| request.kind() == "GET /admin/clients?clientId");
        ensure!(looks.len() <= 1, "{:?}", requests.kinds());
        let counts = written(&scene, &audit).await?;
        for once in [
            "create configmaps",
            "create secrets",
            "patch oidcclients",
            "patch oidcclients/status",
        ] {
            assert_eq!(counts.get(once), Some(&1), "{once}: {counts:?}");
        }
        scene.delete::<OIDCClient>("shop").await?;
        let writes = scene.idp.requests_since(mark).await?.of_operator().admin_writes();
        assert_eq!(writes.count("DELETE /admin/clients/{id}"), 1);
        assert_eq!(writes.len(), 2);
        Ok(())
    })
    .await;
}
