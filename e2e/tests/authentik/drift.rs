//! What somebody changes in authentik: what the spec is about is put back, with one write; the rest is theirs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    authentik::{Admin, Managed, Release, kinds},
    case,
    scene::SOON,
    wait::{eventually, steadily},
};
use serde_json::{Value, json};

use crate::{
    held::{Scene, WHILE, difference, look, pass, rare_scene, shown, works},
    scene,
};

const PATCH: &str = "PATCH providers/oauth2/{id}/";
const PATCH_APPLICATION: &str = "PATCH core/applications/{slug}/";

/// The spec of clients that drift: something to lose.
fn spec() -> Value {
    json!({
        "displayName": "Shop",
        "description": "the shop",
        "homepageURI": "https://app.example.com",
        "claims": [{"name": "tier", "type": "Constant", "constant": {"value": "gold"}}],
    })
}

/// What somebody does to a client, the field that an Event names then, and the requests that put it back.
struct Drift {
    name: &'static str,
    field: &'static str,
    requests: &'static [&'static str],
    by: By,
}

enum By {
    Provider(Value),
    Application(Value),
    Mapping(Value),
    DeletedMapping,
    DeletedApplication,
}

fn drifts(release: Release) -> Vec<Drift> {
    let provider = |name, field, patch| Drift {
        name,
        field,
        requests: &[PATCH],
        by: By::Provider(patch),
    };
    let other = |name, field, requests, by| Drift {
        name,
        field,
        requests,
        by,
    };
    let uris = |mode: &str, url: &str| json!({"redirect_uris": [{"matching_mode": mode, "url": url}]});
    let mut drifts = vec![
        provider("uris", "redirectURIs", uris("strict", "https://evil.example.com/")),
        provider(
            "regex",
            "redirectURIs",
            uris("regex", "https://app.example.com/callback"),
        ),
        provider("no-uris", "redirectURIs", json!({"redirect_uris": []})),
        provider("secret", "secret", json!({"client_secret": "known-to-somebody"})),
        provider("public", "type", json!({"client_type": "public"})),
        provider("scopes", "scopes", json!({"property_mappings": []})),
        provider(
            "access",
            "tokenLifetimes.accessToken",
            json!({"access_token_validity": "days=365"}),
        ),
        provider(
            "refresh",
            "tokenLifetimes.refreshToken",
            json!({"refresh_token_validity": "days=365"}),
        ),
        provider("key", "signingKey", json!({"signing_key": null})),
        provider("sub", "subMode", json!({"sub_mode": "user_email"})),
        provider("issuer", "issuerMode", json!({"issuer_mode": "global"})),
        provider(
            "id-token",
            "claimsInIDToken",
            json!({"include_claims_in_id_token": false}),
        ),
        provider("logout", "logout", json!({"logout_uri": "https://evil.example.com/"})),
        other(
            "name",
            "displayName",
            &[PATCH_APPLICATION],
            By::Application(json!({"name": "Evil"})),
        ),
        other(
            "claim",
            "claims.tier",
            &["PATCH propertymappings/provider/scope/{id}/"],
            By::Mapping(json!({"expression": "return {\"tier\": \"free\"}"})),
        ),
        other(
            "no-claim",
            "claims.tier",
            &["POST propertymappings/provider/scope/", PATCH],
            By::DeletedMapping,
        ),
        other(
            "no-application",
            "application",
            &["POST core/applications/"],
            By::DeletedApplication,
        ),
    ];
    if release == Release::R2026_5 {
        let grants = json!({"grant_types": ["authorization_code", "password", "client_credentials"]});
        drifts.push(provider("grants", "grantTypes", grants));
        let bye = json!({"redirect_uris": [
            {"matching_mode": "strict", "url": "https://app.example.com/callback"},
            {"matching_mode": "strict", "url": "https://evil.example.com/", "redirect_uri_type": "logout"},
        ]});
        drifts.push(provider("bye", "postLogoutRedirectURIs", bye));
    }
    drifts
}

async fn mapping_of(admin: &Admin, provider: &Value) -> Result<String> {
    let name = format!("{}/tier", provider["name"].as_str().context("name")?);
    let all = admin.made_mappings().await?;
    let found = all
        .iter()
        .find(|mapping| mapping["name"] == name)
        .context("no mapping")?;
    let pk = found["pk"].as_str().context("pk")?;
    Ok(format!("propertymappings/provider/scope/{pk}/"))
}

impl By {
    async fn happen(&self, managed: &Managed, id: &str) -> Result<()> {
        let admin = managed.admin()?;
        let provider = managed.server.provider(id).context("no provider")?;
        let application = format!("core/applications/{id}/");
        match self {
            Self::Provider(patch) => admin.patch(&admin.path_of(id).await?, patch).await.map(drop),
            Self::Application(patch) => admin.patch(&application, patch).await.map(drop),
            Self::Mapping(patch) => admin
                .patch(&mapping_of(&admin, &provider).await?, patch)
                .await
                .map(drop),
            Self::DeletedMapping => admin.delete(&mapping_of(&admin, &provider).await?).await,
            Self::DeletedApplication => admin.delete(&application).await,
        }
    }
}

/// As it was, but for the identifier of what had to be made again.
async fn same(scene: &Scene<'_>, name: &str, before: &BTreeMap<String, Value>) -> Result<()> {
    let mut difference = difference(before, &shown(scene, &scene.client_id(name)).await?);
    if name == "no-application" {
        difference.remove("application.pk");
    }
    ensure!(difference.is_empty(), "differs in {difference:?}");
    works(scene, name).await
}

#[tokio::test]
async fn what_is_changed_by_hand_is_put_back_within_one_resync_with_one_write() {
    case::run(async {
        let scene = rare_scene("drift").await?;
        let managed = scene.idp;
        let drifts = drifts(managed.server.release());
        for drift in &drifts {
            scene.client(drift.name, spec()).await?;
        }
        let (mut before, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for drift in &drifts {
            scene.ready::<OIDCClient>(drift.name).await?;
            before.insert(drift.name, shown(&scene, &scene.client_id(drift.name)).await?);
            secrets.insert(drift.name, scene.secret(&format!("{}-oidc", drift.name)).await?);
        }
        // What each client's requests will name.
        let pks = |id: &str| managed.server.provider(id).map(|provider| provider["pk"].to_string());
        for drift in &drifts {
            let id = scene.client_id(drift.name);
            drift.by.happen(managed, &id).await.context(drift.name)?;
            let now = shown(&scene, &id).await?;
            let secret = managed.server.provider(&id).context("no provider")?["client_secret"].clone();
            let changed = now != before[drift.name] || secret != secrets[drift.name]["client-secret"].as_str();
            ensure!(changed, "{}: nothing has happened", drift.name);
        }
        let mark = managed.mark();
        look(&scene, "drifted").await?;
        for drift in &drifts {
            eventually(format!("{}: as it was", drift.name), SOON, async || {
                same(&scene, drift.name, &before[drift.name]).await
            })
            .await?;
            let note = scene.event(&scene.app, drift.name, "Updated").await?;
            ensure!(note.contains(drift.field), "{}: {note}", drift.name);
            scene.ready::<OIDCClient>(drift.name).await?;
            let secret = scene.secret(&format!("{}-oidc", drift.name)).await?;
            assert_eq!(secret, secrets[drift.name], "{}", drift.name);
        }
        let asked = managed.asked_since(mark);
        let lists = asked
            .iter()
            .filter(|request| request.query.contains("ordering=pk"))
            .count();
        assert_eq!(lists, 1, "one look finds it all");
        let writes = managed.writes_since(mark);
        let mut expected = BTreeMap::new();
        for request in drifts.iter().flat_map(|drift| drift.requests) {
            *expected.entry((*request).to_owned()).or_default() += 1;
        }
        assert_eq!(kinds(&writes), expected);
        for drift in drifts.iter().filter(|drift| drift.requests.contains(&PATCH)) {
            let pk = pks(&scene.client_id(drift.name)).context("no provider")?;
            let path = format!("/api/v3/providers/oauth2/{pk}/");
            let patches = writes.iter().filter(|write| write.path == path).count();
            assert_eq!(patches, 1, "{}", drift.name);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_no_list_shows_is_put_back_when_the_client_is_looked_at() {
    case::run(async {
        let scene = rare_scene("details").await?;
        scene.ready_client("shop", spec()).await?;
        let id = scene.client_id("shop");
        let before = shown(&scene, &id).await?;
        let admin = scene.idp.admin()?;
        for (number, drift) in [
            json!({"meta_launch_url": "https://evil.example.com"}),
            json!({"meta_description": "x"}),
            json!({"meta_icon": "https://evil.example.com/x.png"}),
        ]
        .iter()
        .enumerate()
        {
            admin.patch(&format!("core/applications/{id}/"), drift).await?;
            ensure!(shown(&scene, &id).await? != before);
            let mark = scene.idp.mark();
            pass(&scene, "shop", &number.to_string()).await?;
            same(&scene, "shop", &before).await?;
            let writes = kinds(&scene.idp.writes_since(mark));
            assert_eq!(writes, [(PATCH_APPLICATION.to_owned(), 1)].into(), "{drift}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_administrators_add_elsewhere_stays() {
    case::run(async {
        let scene = scene("theirs").await?;
        scene.ready_client("shop", spec()).await?;
        let id = scene.client_id("shop");
        let admin = scene.idp.admin()?;
        let theirs = json!({"group": "Shops", "meta_publisher": "we", "open_in_new_tab": true});
        admin.patch(&format!("core/applications/{id}/"), &theirs).await?;
        admin
            .patch(
                &admin.path_of(&id).await?,
                &json!({"access_code_validity": "minutes=2"}),
            )
            .await?;
        let before = shown(&scene, &id).await?;
        let mark = scene.idp.mark();
        pass(&scene, "shop", "now").await?;
        steadily("it stays", WHILE, async || {
            ensure!(shown(&scene, &id).await? == before);
            Ok(())
        })
        .await?;
        let writes = scene.idp.writes_since(mark);
        let pk = scene.idp.server.provider(&id).context("no provider")?["pk"].to_string();
        let ours = |path: &str| path.contains(&id) || path.ends_with(&format!("/oauth2/{pk}/"));
        ensure!(!writes.iter().any(|write| ours(&write.path)), "{writes:?}");
        // Nor does a write that is about something else take it away.
        let mut spec = spec();
        spec["displayName"] = json!("New");
        scene.ready_client("shop", spec).await?;
        let after = shown(&scene, &id).await?;
        assert_eq!(json!(difference(&before, &after)), json!({"application.name": "New"}));
        Ok(())
    })
    .await;
}
