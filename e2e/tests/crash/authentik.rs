//! Scenarios at authentik's stand-in, where a client is several objects. Each has a server of its own, whose whole content is
//! the end state: a second client and whatever is left over shows there.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use oidc_operator_e2e::{
    authentik::{AuthentikOptions, Managed, Release, kinds},
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{
    loops::{Interference, Run, SOON, Scenario, crash_loop, every_death_of},
    operator::Death,
    requests::{Cut, every_request},
    server::{Server, Shown, Subject},
    stage,
};

/// Begins the name of a provider that somebody else made.
const THEIRS: &str = "theirs";

impl Server for Managed {
    type Mark = usize;

    async fn client(&self, client_id: &str) -> Result<Option<Shown>> {
        let admin = self.admin()?;
        let mappings = admin.all("propertymappings/provider/scope/?ordering=name").await?;
        let providers = admin.providers().await?;
        let named = |rows: &[Value], pk: &Value| {
            let row = rows.iter().find(|row| row["pk"] == *pk);
            row.map_or(Value::Null, |row| row["name"].clone())
        };
        let (mut settings, mut secret) = (Vec::new(), None);
        let is_used = |pk: &Value| {
            let mut lists = providers
                .iter()
                .filter_map(|provider| provider["property_mappings"].as_array());
            lists.any(|list| list.contains(pk))
        };
        for provider in &providers {
            let mut shown = provider.clone();
            let used = shown["property_mappings"].as_array().cloned().unwrap_or_default();
            let used: BTreeSet<String> = used.iter().map(|pk| masked(&named(&mappings, pk))).collect();
            shown["property_mappings"] = json!(used);
            shown["pk"].take();
            let held = shown["client_secret"].take();
            if provider["client_id"] == client_id {
                let confidential = provider["client_type"] == "confidential";
                secret = held.as_str().filter(|_| confidential).map(str::to_owned);
            } else {
                let name = provider["name"].as_str().unwrap_or_default();
                ensure!(
                    name.starts_with(THEIRS),
                    "{client_id} is not the only client: {provider}"
                );
            }
            lines("provider", shown, &mut settings);
        }
        for mut application in admin.applications().await? {
            application["provider"] = named(&providers, &application["provider"]);
            application["provider_obj"].take();
            application["pk"].take();
            lines("application", application, &mut settings);
        }
        for mut mapping in mappings.into_iter().filter(|mapping| mapping["managed"].is_null()) {
            ensure!(is_used(&mapping["pk"]), "it is left over: {mapping}");
            mapping["name"] = json!(masked(&mapping["name"]));
            mapping["pk"].take();
            lines("mapping", mapping, &mut settings);
        }
        Ok((!settings.is_empty()).then_some(Shown { settings, secret }))
    }

    async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool> {
        Managed::accepts(self, client_id, secret).await
    }

    async fn mark(&self) -> Result<usize> {
        Ok(Managed::mark(self))
    }

    async fn writes_since(&self, mark: usize) -> Result<BTreeMap<String, usize>> {
        let mut writes = Managed::writes_since(self, mark);
        writes.retain(|write| write.status.is_some_and(|status| status < 300));
        Ok(kinds(&writes))
    }

    async fn clear(&self, _: &str) -> Result<()> {
        let admin = self.admin()?;
        for application in admin.applications().await? {
            let slug = application["slug"].as_str().context("slug")?;
            admin.delete(&format!("core/applications/{slug}/")).await?;
        }
        for provider in admin.providers().await? {
            admin.delete(&format!("providers/oauth2/{}/", provider["pk"])).await?;
        }
        for mapping in admin.made_mappings().await? {
            let pk = mapping["pk"].as_str().context("pk")?;
            admin.delete(&format!("propertymappings/provider/scope/{pk}/")).await?;
        }
        Ok(())
    }
}

fn lines(kind: &str, object: Value, lines: &mut Vec<String>) {
    let members = object.as_object().into_iter().flatten();
    lines.extend(
        members
            .filter(|(_, value)| !value.is_null())
            .map(|(member, value)| format!("{kind} {member}: {value}")),
    );
}

/// The name of a scope mapping without the UID in it, which stays that of the object it was made for.
fn masked(name: &Value) -> String {
    let name = name.as_str().unwrap_or("a mapping that is gone");
    let mut parts: Vec<&str> = name.split('/').collect();
    if let ["oidc-operator.io", _, _, _, uid, _] = parts.as_mut_slice() {
        *uid = "<some uid>";
    }
    parts.join("/")
}

/// A server for one scenario.
async fn subject() -> Result<Subject<Managed>> {
    subject_as(json!({})).await
}

/// With this merged into its OIDCProvider.
async fn subject_as(provider: Value) -> Result<Subject<Managed>> {
    // The older release refuses some of what is played here; `tests/authentik` asks it.
    let options = AuthentikOptions {
        release: Some(Release::R2026_5),
        ..AuthentikOptions::default()
    };
    let server = Box::leak(Box::new(Managed::start(options)?));
    stage::provide_as(server, provider).await
}

/// Many objects: a provider, an application, and two scope mappings.
fn full() -> Value {
    json!({
        "displayName": "Web",
        "description": "the web shop",
        "homepageURI": "https://app.example.com",
        "postLogoutRedirectURIs": ["https://app.example.com/bye"],
        "grantTypes": ["authorization_code", "refresh_token"],
        "claims": [
            {"name": "teams", "type": "Groups", "groups": {"path": "Name"}},
            {"name": "tenant", "type": "Constant", "constant": {"value": "blue"}},
        ],
        "tokenLifetimes": {"accessToken": "5m"},
        "logout": {"type": "BackChannel", "uri": "https://app.example.com/logout"},
    })
}

crash_loop!(
    create, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    create_with_everything, {}, made: false,
    |run| Box::pin(async move { run.apply(&full()).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    create_public, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({"type": "Public"})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap"]
);

// One edit, five requests: a mapping that changes, one that comes, the provider, the application, a mapping that goes.
crash_loop!(
    update_of_every_kind,
    {
        "displayName": "Web",
        "scopes": ["openid", "profile", "email"],
        "postLogoutRedirectURIs": ["https://app.example.com/bye"],
        "claims": [
            {"name": "changed", "type": "Constant", "constant": {"value": "before"}},
            {"name": "gone", "type": "ClientRoles"},
            {"name": "kept", "type": "Groups", "groups": {"path": "Name"}},
        ],
    },
    made: true,
    |run| Box::pin(run.change(json!({
        "displayName": null,
        "description": "the web shop",
        "redirectURIs": ["https://app.example.com/a", "https://app.example.com/b"],
        "postLogoutRedirectURIs": ["https://app.example.com/bye", "https://app.example.com/ciao"],
        "scopes": ["openid", "profile", "entitlements"],
        "claims": [
            {"name": "changed", "type": "Constant", "constant": {"value": "after"}},
            {"name": "kept", "type": "Groups", "groups": {"path": "Name"}},
            {"name": "new", "type": "Constant", "constant": {"value": "x"}},
        ],
    }))),
    ["update-remote", "update-remote", "update-remote", "update-remote", "update-remote", "update-secret"]
);

crash_loop!(
    post_logout_redirect_uris_come_and_redirect_uris_stay, {}, made: true,
    |run| Box::pin(run.change(json!({"postLogoutRedirectURIs": ["https://app.example.com/bye"]}))),
    ["update-remote"]
);

crash_loop!(
    edited_secret, {}, made: true,
    |run| Box::pin(run.edit_secret(json!({"stringData": {"client-secret": "guessed"}}))),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    edited_secret_and_spec, {}, made: true,
    |run| Box::pin(async move {
        run.edit_secret(json!({"stringData": {"client-secret": "guessed"}})).await?;
        run.change(json!({"scopes": ["openid", "profile"], "displayName": "Web"})).await
    }),
    ["create-next", "update-remote", "update-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    deleted_secret, {}, made: true,
    |run| Box::pin(run.delete_secret()),
    ["create-next", "update-remote", "prove", "create-secret", "delete-secret"]
);

crash_loop!(
    public_becomes_confidential, {"type": "Public"}, made: true,
    |run| Box::pin(run.change(json!({"type": "Confidential"}))),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    confidential_becomes_public, {}, made: true,
    |run| Box::pin(run.change(json!({"type": "Public"}))),
    ["update-remote", "update-secret"]
);

/// Somebody makes a client of this ID.
const TAKEN: Interference<Managed> = ("create-remote", |managed, client_id| {
    Box::pin(async move {
        let theirs = json!({"name": THEIRS, "client_id": client_id, "client_secret": "theirs"});
        managed.admin()?.make_provider(&theirs).await.map(drop)
    })
});

/// Or an application of the client's slug, for a client of their own.
async fn take_slug(managed: &Managed, client_id: &str) -> Result<()> {
    let admin = managed.admin()?;
    let theirs = json!({"name": THEIRS, "client_id": "theirs", "client_secret": "theirs"});
    let theirs = admin.make_provider(&theirs).await?;
    let application = json!({"name": "Theirs", "slug": client_id, "provider": theirs["pk"]});
    admin.post("core/applications/", &application).await.map(drop)
}

crash_loop!(
    client_id_taken_by_hand, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({})).await }),
    meanwhile: Some(TAKEN),
    ["add-finalizer", "create-secret", "create-remote", "delete-secret"]
);

crash_loop!(
    slug_taken_by_hand, {}, made: false,
    |run| Box::pin(async move { run.apply(&full()).await }),
    meanwhile: Some(("create-remote", |managed, client_id| Box::pin(async move {
        take_slug(managed, &client_id).await
    }))),
    ["add-finalizer", "create-secret", "create-remote", "delete-secret"]
);

#[tokio::test]
async fn mappings_made_before_the_client_id_turned_out_to_be_taken_go_again() {
    oidc_operator_e2e::case::run(async {
        let scenario = Scenario {
            name: "taken_with_claims",
            spec: json!({}),
            made: false,
            happens: |run| Box::pin(async move { run.apply(&full()).await }),
            meanwhile: Some(TAKEN),
            steps: &["add-finalizer", "create-secret", "create-remote", "delete-secret"],
        };
        every_death_of(&subject().await?, scenario, &[]).await
    })
    .await;
}

#[tokio::test]
async fn what_was_made_before_the_slug_turned_out_to_be_taken_goes_again() {
    oidc_operator_e2e::case::run(async {
        let subject = subject().await?;
        let run = Run::new(&subject, "slug").await?;
        run.apply(&full()).await?;
        let (managed, id) = (subject.server, run.client_id());
        // The slug was free when the operator looked.
        managed
            .server
            .latency("/api/v3/providers/oauth2/", Duration::from_millis(500));
        let made = || {
            Managed::writes_since(managed, 0)
                .iter()
                .any(|write| write.path.contains("providers"))
        };
        let (lived, taken) = tokio::join!(run.live(Death::Never), async {
            eventually("the provider is being made", SOON, async || {
                ensure!(made());
                Ok(())
            })
            .await?;
            let taken = json!({"name": "Theirs", "slug": id});
            managed.admin()?.post("core/applications/", &taken).await
        });
        let (steps, theirs) = (lived?, taken?);
        assert_eq!(steps.last(), Some(&"delete-secret"), "{steps:?}");
        let message = run.said("Accepted").await?;
        ensure!(message.contains("ClientIDTaken") && message.contains(&id), "{message}");
        assert_eq!(managed.server.client_ids(), [""; 0]);
        assert_eq!(managed.admin()?.made_mappings().await?, [json!(null); 0]);
        assert_eq!(managed.server.application(&id), Some(theirs));
        Ok(())
    })
    .await;
}

crash_loop!(
    drift_of_redirect_uri_and_secret, {}, made: true,
    |run| Box::pin(async move {
        let admin = run.subject.server.admin()?;
        let drift = json!({
            "redirect_uris": [{"matching_mode": "regex", "url": "https://evil\\.example\\.com/.*"}],
            "client_secret": "not-ours",
        });
        admin.patch(&admin.path_of(&run.client_id()).await?, &drift).await.map(drop)
    }),
    ["update-remote", "prove"]
);

crash_loop!(
    deleted_by_hand, {}, made: true,
    |run| Box::pin(async move {
        let admin = run.subject.server.admin()?;
        admin.delete(&format!("core/applications/{}/", run.client_id())).await?;
        admin.delete(&admin.path_of(&run.client_id()).await?).await
    }),
    ["create-remote", "prove"]
);

crash_loop!(
    application_deleted_by_hand, {}, made: true,
    |run| Box::pin(async move {
        let admin = run.subject.server.admin()?;
        admin.delete(&format!("core/applications/{}/", run.client_id())).await
    }),
    ["update-remote"]
);

// Between the look and the change.
crash_loop!(
    deleted_by_hand_during_an_update, {}, made: true,
    |run| Box::pin(run.change(json!({"scopes": ["openid"]}))),
    meanwhile: Some(("update-remote", |managed, client_id| Box::pin(async move {
        let admin = managed.admin()?;
        admin.delete(&format!("core/applications/{client_id}/")).await?;
        admin.delete(&admin.path_of(&client_id).await?).await
    }))),
    ["update-remote", "create-remote", "update-secret", "prove"]
);

crash_loop!(
    renamed_by_hand, {}, made: true,
    |run| Box::pin(async move {
        let (admin, id) = (run.subject.server.admin()?, run.client_id());
        let renamed = json!({"client_id": format!("{id}-renamed")});
        admin.patch(&admin.path_of(&id).await?, &renamed).await.map(drop)
    }),
    ["update-remote"]
);

crash_loop!(
    delete,
    {"claims": [{"name": "tenant", "type": "Constant", "constant": {"value": "blue"}}]},
    made: true,
    |run| Box::pin(run.delete()),
    ["delete-remote", "remove-finalizer"]
);

crash_loop!(
    retain, {"deletionPolicy": "Retain"}, made: true,
    |run| Box::pin(run.delete()),
    ["update-remote", "release-secret", "release-configmap", "remove-finalizer"]
);

// The same client, under the UID of a new object; its mappings are known by the names that they have.
crash_loop!(
    retained_and_taken_back,
    {
        "deletionPolicy": "Retain",
        "claims": [
            {"name": "tenant", "type": "Constant", "constant": {"value": "blue"}},
            {"name": "gone", "type": "Constant", "constant": {"value": "x"}},
        ],
    },
    made: true,
    |run| Box::pin(async move {
        run.delete().await?;
        run.live(Death::Never).await?;
        run.apply(&json!({
            "displayName": "Web",
            "claims": [{"name": "tenant", "type": "Constant", "constant": {"value": "green"}}],
        })).await
    }),
    [
        "add-finalizer", "update-remote", "update-remote", "update-remote", "update-remote", "update-secret",
        "update-configmap", "prove"
    ]
);

// An application without a provider has no mark: only the status says whose it is.

async fn delete_provider(run: &Run<Managed>) -> Result<()> {
    let admin = run.subject.server.admin()?;
    admin.delete(&admin.path_of(&run.client_id()).await?).await
}

#[tokio::test]
async fn a_provider_that_was_deleted_by_hand_is_made_again_while_status_knows_the_application() {
    oidc_operator_e2e::case::run(async {
        let scenario = Scenario {
            name: "provider_deleted_by_hand",
            spec: full(),
            made: true,
            happens: |run| Box::pin(delete_provider(run)),
            meanwhile: None,
            steps: &["update-remote", "update-remote"],
        };
        every_death_of(&subject().await?, scenario, &[false]).await
    })
    .await;
}

#[tokio::test]
async fn an_application_without_provider_that_no_status_knows_is_refused() {
    oidc_operator_e2e::case::run(async {
        let subject = subject().await?;
        let run = Run::new(&subject, "orphan").await?;
        run.apply(&json!({})).await?;
        run.live(Death::Never).await?;
        delete_provider(&run).await?;
        run.wipe_status().await?;
        let (server, id) = (&subject.server.server, run.client_id());
        let before = server.application(&id).context("the application")?;
        let mark = Managed::mark(subject.server);
        run.live(Death::Never).await?;
        let message = run.said("Ready").await?;
        ensure!(message.contains(&id), "{message}");
        let writes = Managed::writes_since(subject.server, mark);
        ensure!(writes.is_empty(), "{writes:?}");
        assert_eq!(server.application(&id), Some(before));
        assert_eq!(server.client_ids(), [""; 0]);
        // As the message says.
        subject
            .server
            .admin()?
            .delete(&format!("core/applications/{id}/"))
            .await?;
        run.live(Death::Never).await?;
        assert_eq!(server.client_ids(), [id.as_str()]);
        assert_eq!(server.slugs(), [id.as_str()]);
        Ok(())
    })
    .await;
}

// Beside the loops over steps, those over requests: a step of this driver is several.

#[tokio::test]
async fn create_is_cut_off_at_every_request() {
    oidc_operator_e2e::case::run(async {
        let subject = subject_as(json!({"spec": {"authentik": {"emailVerified": "AlwaysTrue"}}})).await?;
        let writes = [
            "POST propertymappings/provider/scope/",
            "POST propertymappings/provider/scope/",
            "POST propertymappings/provider/scope/",
            "POST providers/oauth2/",
            "POST core/applications/",
        ];
        every_request(&subject, &full(), Cut::Create, &writes).await
    })
    .await;
}

#[tokio::test]
async fn delete_is_cut_off_at_every_request() {
    oidc_operator_e2e::case::run(async {
        let writes = [
            "DELETE core/applications/{slug}/",
            "DELETE providers/oauth2/{id}/",
            "DELETE propertymappings/provider/scope/{id}/",
            "DELETE propertymappings/provider/scope/{id}/",
        ];
        every_request(&subject().await?, &full(), Cut::Delete, &writes).await
    })
    .await;
}
