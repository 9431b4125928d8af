//! Scenarios at a real Dex, which cannot change everything in place.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::DeleteParams};
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions},
    login::secret_accepted,
    wait::eventually,
};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    loops::{NAME, Run, SOON, crash_loop, with_users_secret},
    operator::{Death, Life},
    server::{Server, Shown, Subject},
    stage,
    state::namespace_gone,
};

impl Server for Dex {
    type Mark = ();

    async fn client(&self, client_id: &str) -> Result<Option<Shown>> {
        let found = self.admin().await?.get(client_id).await?;
        Ok(found.map(|client| Shown {
            secret: Some(client.secret).filter(|secret| !secret.is_empty()),
            settings: vec![
                format!("name: {}", client.name),
                format!("redirect URIs: {:?}", client.redirect_uris),
                format!("public: {}", client.public),
                format!("trusted peers: {:?}", client.trusted_peers),
            ],
        }))
    }

    async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool> {
        secret_accepted(self.ca_pem(), &self.token_endpoint(), client_id, secret).await
    }

    async fn mark(&self) -> Result<()> {
        Ok(())
    }

    /// Its counters do not tell one scenario from another.
    async fn writes_since(&self, _: ()) -> Result<BTreeMap<String, usize>> {
        Ok(BTreeMap::new())
    }

    /// Each scenario has another client ID, and a long list costs Dex nothing.
    async fn clear(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The Dex of all scenarios.
pub(crate) async fn dex() -> Result<&'static Dex> {
    static CELL: OnceCell<Dex> = OnceCell::const_new();
    CELL.get_or_try_init(|| {
        Dex::start(DexOptions {
            name: "crash-dex".to_owned(),
            ..DexOptions::default()
        })
    })
    .await
}

/// The provider of all scenarios.
async fn subject() -> Result<Subject<Dex>> {
    static CELL: OnceCell<Subject<Dex>> = OnceCell::const_new();
    CELL.get_or_try_init(|| async { stage::provide(dex().await?).await })
        .await
        .cloned()
}

crash_loop!(
    create, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    create_public, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({"type": "Public"})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap"]
);

crash_loop!(
    change_redirect_uris, {}, made: true,
    |run| Box::pin(run.change(json!({"redirectURIs": ["https://app.example.com/a", "https://app.example.com/b"]}))),
    ["update-remote", "update-secret"]
);

// Dex cannot clear a name in place.
crash_loop!(
    clear_display_name, {"displayName": "Web"}, made: true,
    |run| Box::pin(run.change(json!({"displayName": null}))),
    ["delete-remote", "create-remote", "prove"]
);

crash_loop!(
    dex_lost_its_storage, {}, made: true,
    |run| Box::pin(async move {
        ensure!(run.subject.server.admin().await?.delete(&run.client_id()).await?, "it was not there");
        Ok(())
    }),
    ["create-remote", "prove"]
);

crash_loop!(
    edited_secret, {}, made: true,
    |run| Box::pin(run.edit_secret(json!({"stringData": {"client-secret": "guessed"}}))),
    ["create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    edited_other_key, {}, made: true,
    |run| Box::pin(run.edit_secret(
        json!({"stringData": {"issuer-uri": "https://elsewhere"}, "data": {"token-uri": null}})
    )),
    ["update-secret"]
);

crash_loop!(
    deleted_secret, {}, made: true,
    |run| Box::pin(run.delete_secret()),
    ["create-next", "delete-remote", "create-remote", "prove", "create-secret", "delete-secret"]
);

crash_loop!(
    new_secret_name, {}, made: true,
    |run| Box::pin(run.change(json!({"outputs": {"secret": {"name": "moved"}}}))),
    ["create-secret", "delete-secret", "prove"]
);

crash_loop!(
    public_becomes_confidential, {"type": "Public"}, made: true,
    |run| Box::pin(run.change(json!({"type": "Confidential"}))),
    ["create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    confidential_becomes_public, {}, made: true,
    |run| Box::pin(run.change(json!({"type": "Public"}))),
    ["delete-remote", "create-remote", "update-secret"]
);

crash_loop!(
    rotation_asked, {}, made: true,
    |run| Box::pin(run.rotate("1")),
    ["create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    rotation_due, {"credentials": {"rotation": {"interval": "720h"}}}, made: true,
    |run| Box::pin(run.age()),
    ["create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret"]
);

// Nothing is noted on the Deployment yet: it was made since the last pass.
crash_loop!(
    rotation_with_a_workload, {"rolloutRestart": [{"kind": "Deployment", "name": NAME}]}, made: true,
    |run| Box::pin(async move {
        run.deploy().await?;
        run.rotate("1").await
    }),
    [
        "note-workload", "create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret",
        "restart-workload",
    ]
);

// A rotation was cut off after its first step, then its output goes: both are made good by the one secret.
crash_loop!(
    secret_deleted_while_a_rotation_stands, {}, made: true,
    |run| Box::pin(async move {
        run.rotate("1").await?;
        run.live(Death::After(0)).await?;
        run.delete_secret().await
    }),
    ["delete-remote", "create-remote", "prove", "create-secret", "delete-secret"]
);

crash_loop!(
    secret_type_changed, {"outputs": {"secret": {"generate": [{"key": "session-key"}]}}}, made: true,
    |run| Box::pin(run.change(json!({"outputs": {"secret": {"type": "servicebinding.io/oauth2"}}}))),
    ["create-next", "delete-remote", "create-remote", "prove", "delete-secret", "create-secret", "delete-secret"]
);

crash_loop!(
    formats_changed, {}, made: true,
    |run| Box::pin(run.change(json!({"outputs": {"formats": ["env", "oauth2-proxy"]}}))),
    ["update-secret", "update-configmap"]
);

crash_loop!(
    create_with_an_existing_secret, {}, made: false,
    |run| Box::pin(async move {
        run.users_secret("made-by-hand-once").await?;
        run.apply(&with_users_secret()).await
    }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    existing_secret_set, {}, made: true,
    |run| Box::pin(run.refer_to_users_secret()),
    ["delete-remote", "create-remote", "prove", "update-secret"]
);

crash_loop!(
    existing_secret_changed, {}, made: false,
    |run| Box::pin(async move {
        run.stand_with_users_secret().await?;
        run.users_secret("made-by-hand-again").await
    }),
    ["delete-remote", "create-remote", "prove", "update-secret"]
);

crash_loop!(
    existing_secret_removed, {}, made: false,
    |run| Box::pin(async move {
        run.stand_with_users_secret().await?;
        run.change(json!({"credentials": null})).await
    }),
    ["create-next", "delete-remote", "create-remote", "prove", "update-secret", "delete-secret"]
);

// A rotation was cut off after its first step.
crash_loop!(
    existing_secret_set_while_a_rotation_stands, {}, made: true,
    |run| Box::pin(async move {
        run.edit_secret(json!({"stringData": {"client-secret": "guessed"}})).await?;
        run.live(Death::After(0)).await?;
        run.refer_to_users_secret().await
    }),
    ["delete-secret", "delete-remote", "create-remote", "prove", "update-secret"]
);

crash_loop!(
    delete, {}, made: true,
    |run| Box::pin(run.delete()),
    ["delete-remote", "remove-finalizer"]
);

crash_loop!(
    retain, {"deletionPolicy": "Retain"}, made: true,
    |run| Box::pin(run.delete()),
    ["update-remote", "release-secret", "release-configmap", "remove-finalizer"]
);

crash_loop!(
    namespace_is_deleted, {}, made: true,
    |run| Box::pin(async move {
        let namespaces: Api<Namespace> = Api::all(run.kube.clone());
        namespaces.delete(&run.namespace, &DeleteParams::default()).await?;
        // Its controller deletes what is inside; only then the operator is asked.
        eventually("the client is being deleted", SOON, async || {
            let client = run.clients().get(NAME).await?;
            ensure!(client.metadata.deletion_timestamp.is_some(), "not yet");
            Ok(())
        })
        .await
    }),
    ["delete-remote", "remove-finalizer"]
);

/// Once the finalizer is off, nothing holds the namespace.
#[tokio::test]
async fn a_deleted_namespace_ends() {
    case::run(async {
        let run = Run::new(&subject().await?, "ends").await?;
        run.apply(&json!({})).await?;
        run.live(Death::Never).await?;
        let namespaces: Api<Namespace> = Api::all(run.kube.clone());
        namespaces.delete(&run.namespace, &DeleteParams::default()).await?;
        eventually("the namespace is gone", SOON, async || {
            run.live(Death::Never).await?;
            namespace_gone(&run.kube, &run.namespace).await
        })
        .await?;
        assert_eq!(run.subject.server.admin().await?.get(&run.client_id()).await?, None);
        Ok(())
    })
    .await;
}

/// A pass that sees the object as it was before it was let go must not let it go, and tell of it, once more.
#[tokio::test]
async fn what_was_let_go_is_let_go_once() {
    case::run(async {
        let run = Run::new(&subject().await?, "once").await?;
        run.apply(&json!({"deletionPolicy": "Retain"})).await?;
        run.live(Death::Never).await?;
        run.delete().await?;
        let life = Life::begin_lagging(&run.kube, &run.subject.provider, run.clients().get(NAME).await?).await?;
        life.run(&run.client()).await?;
        let steps = life.steps();
        assert_eq!(steps.last(), Some(&"remove-finalizer"));
        assert!(run.clients().get_opt(NAME).await?.is_none());
        life.run(&run.client()).await?;
        assert_eq!(life.steps(), steps);
        Ok(())
    })
    .await;
}
