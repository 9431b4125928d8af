//! Scenarios at a real Dex by the objects of its Kubernetes storage, where everything changes in place.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use futures::future::BoxFuture;
use kube::Client;
use oidc_operator_e2e::{dex::StoredDex, login::secret_accepted};
use serde_json::json;
use tokio::sync::OnceCell;

use crate::{
    loops::{Run, crash_loop, with_users_secret},
    operator::Death,
    server::{Server, Shown, Subject},
    stage,
};

async fn kube() -> Result<Client> {
    stage::cluster().await?.client().await
}

impl Server for StoredDex {
    type Mark = ();

    async fn client(&self, client_id: &str) -> Result<Option<Shown>> {
        let Some(object) = self.object(&kube().await?, client_id).await? else {
            return Ok(None);
        };
        let secret = object.data["secret"].as_str().map(str::to_owned);
        ensure!(
            secret.is_some() || object.data["public"] == true,
            "confidential and without a secret"
        );
        let mut data = object.data;
        data.as_object_mut().context("no object")?.remove("secret");
        Ok(Some(Shown {
            secret,
            settings: vec![
                data.to_string(),
                format!("labels: {:?}", object.metadata.labels),
                format!("annotations: {:?}", object.metadata.annotations),
            ],
        }))
    }

    async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool> {
        secret_accepted(self.dex.ca_pem(), &self.dex.token_endpoint(), client_id, secret).await
    }

    async fn mark(&self) -> Result<()> {
        Ok(())
    }

    /// Scenarios run side by side in one namespace.
    async fn writes_since(&self, _: ()) -> Result<BTreeMap<String, usize>> {
        Ok(BTreeMap::new())
    }

    /// Each scenario has another client ID.
    async fn clear(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

/// The provider of all scenarios.
async fn subject() -> Result<Subject<StoredDex>> {
    static DEX: OnceCell<StoredDex> = OnceCell::const_new();
    static SUBJECT: OnceCell<Subject<StoredDex>> = OnceCell::const_new();
    let start = async || StoredDex::start(stage::cluster().await?, "crash-stored-dex").await;
    let provide = async || stage::provide(DEX.get_or_try_init(start).await?).await;
    SUBJECT.get_or_try_init(provide).await.cloned()
}

/// A hand changes the client's object.
async fn edit(run: &Run<StoredDex>, patch: serde_json::Value) -> Result<()> {
    let (server, id) = (run.subject.server, run.client_id());
    server.edit(&run.kube, &id, patch).await.map(drop)
}

/// What somebody does in the middle of a pass, on a thread of its own: the compiler cannot tell that futures of kube's which hold
/// references may be sent to another.
fn act<F: Future<Output = Result<()>>>(act: impl FnOnce() -> F + Send + 'static) -> BoxFuture<'static, Result<()>> {
    Box::pin(async {
        let done = tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(act()));
        done.await?
    })
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
    change_and_clear, {"displayName": "Web", "logoURI": "https://app.example.com/logo.png"}, made: true,
    |run| Box::pin(run.change(json!({
        "displayName": null, "logoURI": null,
        "redirectURIs": ["https://app.example.com/a", "https://app.example.com/b"],
    }))),
    ["update-remote", "update-secret"]
);

crash_loop!(
    rotation_asked, {}, made: true,
    |run| Box::pin(run.rotate("1")),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    edited_secret_and_spec, {}, made: true,
    |run| Box::pin(async move {
        run.edit_secret(json!({"stringData": {"client-secret": "guessed"}})).await?;
        run.change(json!({"displayName": "Web"})).await
    }),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
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

crash_loop!(
    existing_secret_set_while_a_rotation_stands, {}, made: true,
    |run| Box::pin(async move {
        run.edit_secret(json!({"stringData": {"client-secret": "guessed"}})).await?;
        run.live(Death::After(0)).await?;
        run.refer_to_users_secret().await
    }),
    ["delete-secret", "update-remote", "prove", "update-secret"]
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
    drift_of_redirect_uri_and_secret, {}, made: true,
    |run| Box::pin(edit(run, json!({"redirectURIs": ["https://evil.example.com/"], "secret": "theirs"}))),
    ["update-remote", "prove"]
);

crash_loop!(
    deleted_by_hand, {}, made: true,
    |run| Box::pin(async move {
        run.subject.server.delete(&run.kube, &run.client_id()).await
    }),
    ["create-remote", "prove"]
);

// Between the look and the change: what was looked at is not there any more, and nothing is written over what is.
crash_loop!(
    edited_by_hand_during_an_update, {}, made: true,
    |run| Box::pin(run.change(json!({"displayName": "Web"}))),
    meanwhile: Some(("update-remote", |dex, client_id| act(move || async move {
        let edit = json!({"redirectURIs": ["https://evil.example.com/"]});
        dex.edit(&kube().await?, &client_id, edit).await.map(drop)
    }))),
    ["update-remote", "update-remote"]
);

crash_loop!(
    deleted_by_hand_during_an_update, {}, made: true,
    |run| Box::pin(run.change(json!({"displayName": "Web", "scopes": ["openid"]}))),
    meanwhile: Some(("update-remote", |dex, client_id| act(move || async move {
        dex.delete(&kube().await?, &client_id).await
    }))),
    ["update-remote", "create-remote", "update-secret", "prove"]
);

crash_loop!(
    renamed_by_hand, {}, made: true,
    |run| Box::pin(async move {
        let renamed = format!("{}-renamed", run.client_id());
        edit(run, json!({"id": renamed})).await
    }),
    ["update-remote"]
);

crash_loop!(
    edited_by_hand_during_a_deletion, {}, made: true,
    |run| Box::pin(run.delete()),
    meanwhile: Some(("delete-remote", |dex, client_id| act(move || async move {
        dex.edit(&kube().await?, &client_id, json!({"name": "By hand"})).await.map(drop)
    }))),
    ["delete-remote", "delete-remote", "remove-finalizer"]
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
    retained_and_taken_back, {"deletionPolicy": "Retain"}, made: true,
    |run| Box::pin(async move {
        run.delete().await?;
        run.live(Death::Never).await?;
        run.apply(&json!({"displayName": "Web"})).await
    }),
    ["add-finalizer", "update-remote", "update-secret", "update-configmap", "prove"]
);
