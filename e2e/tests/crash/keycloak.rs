//! Scenarios at a real Keycloak. Each has a realm of its own: what is requested there is this scenario's doing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use oidc_operator_e2e::{
    keycloak::{Mark, Realm, Rotation},
    login::secret_accepted,
    shared,
};
use serde_json::{Value, json};

use crate::{
    loops::{crash_loop, with_users_secret},
    operator::Death,
    server::{Server, Shown, Subject},
    stage,
};

impl Server for Realm {
    type Mark = Mark;

    async fn client(&self, client_id: &str) -> Result<Option<Shown>> {
        let ids = self.client_ids().await?;
        ensure!(
            ids.is_empty() || ids == [client_id],
            "{client_id} is not the only client: {ids:?}"
        );
        Ok(Realm::client(self, client_id).await?.map(shown))
    }

    async fn accepts(&self, client_id: &str, secret: &str) -> Result<bool> {
        secret_accepted(self.ca_pem(), &self.token_endpoint(), client_id, secret).await
    }

    async fn mark(&self) -> Result<Mark> {
        Realm::mark(self).await
    }

    async fn writes_since(&self, mark: Mark) -> Result<BTreeMap<String, usize>> {
        let writes = self.requests_since(mark).await?.of_operator().admin_writes();
        Ok(writes.such(|write| write.status < 300).kinds())
    }

    async fn clear(&self, _: &str) -> Result<()> {
        for client_id in self.client_ids().await? {
            self.delete_client(&client_id).await?;
        }
        Ok(())
    }
}

/// Members of a representation that two runs never share, and what says the same as others.
const OWN: [&str; 3] = ["id", "secret", "access"];

fn shown(mut client: Value) -> Shown {
    let mut secret = client["secret"].as_str().map(str::to_owned);
    let mut settings = BTreeSet::new();
    let mappers = client["protocolMappers"].take();
    for mut mapper in mappers.as_array().cloned().unwrap_or_default() {
        mapper["id"].take();
        settings.insert(format!("protocolMapper {mapper}"));
    }
    for (name, value) in client["attributes"].take().as_object().into_iter().flatten() {
        match name.as_str() {
            time if time.starts_with("client.secret.") && time.ends_with(".time") => {}
            // Whether there is one.
            "client.secret.rotated" => drop(settings.insert(format!("attribute {name}"))),
            "jwks.string" => {
                // The ids of its keys, in the place of a secret.
                let keys: Value = value
                    .as_str()
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default();
                let ids = keys["keys"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|key| key["kid"].as_str().unwrap_or("none"));
                secret = Some(ids.collect::<Vec<_>>().join(" "));
            }
            _ => drop(settings.insert(format!("attribute {name}: {value}"))),
        }
    }
    for (name, value) in client.as_object().into_iter().flatten() {
        match value {
            Value::Null => {}
            Value::Array(list) => settings.extend(list.iter().map(|value| format!("{name}: {value}"))),
            _ if OWN.contains(&name.as_str()) => {}
            value => {
                settings.insert(format!("{name}: {value}"));
            }
        }
    }
    Shown {
        settings: settings.into_iter().collect(),
        secret,
    }
}

/// A realm for one scenario.
pub(crate) async fn subject() -> Result<Subject<Realm>> {
    let realm = shared::keycloak().await?.realm("loop").await?;
    stage::provide(Box::leak(Box::new(realm))).await
}

crash_loop!(
    create, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    create_with_claims_and_scopes, {}, made: false,
    |run| Box::pin(async move {
        run.apply(&json!({
            "displayName": "Web",
            "scopes": ["openid", "profile", "address"],
            "optionalScopes": ["phone"],
            "claims": [
                {"name": "tenant", "type": "Constant", "constant": {"value": "blue"}},
                {"name": "teams", "type": "Groups", "groups": {"path": "FullPath"}},
            ],
            "tokenLifetimes": {"accessToken": "5m"},
            "logout": {"type": "BackChannel", "uri": "https://app.example.com/logout"},
        })).await
    }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    create_public, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({"type": "Public"})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap"]
);

// One edit, seven requests: the representation, a scope and a claim that go, a claim that changes, what comes.
crash_loop!(
    update_of_every_kind,
    {
        "displayName": "Web",
        "scopes": ["openid", "profile", "email"],
        "claims": [
            {"name": "changed", "type": "Constant", "constant": {"value": "before"}},
            {"name": "gone", "type": "RealmRoles"},
            {"name": "kept", "type": "Groups", "groups": {"path": "Name"}},
        ],
    },
    made: true,
    |run| Box::pin(run.change(json!({
        "displayName": null,
        "redirectURIs": ["https://app.example.com/a", "https://app.example.com/b"],
        "scopes": ["openid", "profile", "address"],
        "optionalScopes": ["email"],
        "claims": [
            {"name": "changed", "type": "Constant", "constant": {"value": "after"}},
            {"name": "kept", "type": "Groups", "groups": {"path": "Name"}},
            {"name": "new", "type": "Constant", "constant": {"value": "x"}},
        ],
    }))),
    [
        "update-remote", "update-remote", "update-remote", "update-remote", "update-remote", "update-remote",
        "update-remote", "update-secret"
    ]
);

crash_loop!(
    edited_secret, {}, made: true,
    |run| Box::pin(run.edit_secret(json!({"stringData": {"client-secret": "guessed"}}))),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

// A rotation and a change of the spec at once.
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

crash_loop!(
    rotation_asked, {}, made: true,
    |run| Box::pin(run.rotate("1")),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    rotation_due, {"credentials": {"rotation": {"interval": "720h"}}}, made: true,
    |run| Box::pin(run.age()),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

// A client policy lets the former secret be valid for a while. Nothing is promised that was not tried, whenever the operator dies.
crash_loop!(
    rotation_with_overlap, {"credentials": {"rotation": {"interval": "720h", "overlap": "1h"}}}, made: true,
    |run| Box::pin(async move {
        run.subject.server.set_rotation_policy(Rotation::default()).await?;
        run.rotate("1").await
    }),
    ["create-next", "update-remote", "prove", "prove-previous", "update-secret", "delete-secret"]
);

// The emergency: no former secret is valid after it, nor the one before that.
crash_loop!(
    secret_deleted_in_an_overlap, {"credentials": {"rotation": {"interval": "720h", "overlap": "1h"}}}, made: true,
    |run| Box::pin(async move {
        run.subject.server.set_rotation_policy(Rotation::default()).await?;
        run.rotate("1").await?;
        run.live(Death::Never).await?;
        run.delete_secret().await
    }),
    ["create-next", "update-remote", "prove", "create-secret", "delete-secret"]
);

// A rotation was cut off after its first step, then its output goes: both are made good by the one secret.
crash_loop!(
    secret_deleted_while_a_rotation_stands, {}, made: true,
    |run| Box::pin(async move {
        run.rotate("1").await?;
        run.live(Death::After(0)).await?;
        run.delete_secret().await
    }),
    ["update-remote", "prove", "create-secret", "delete-secret"]
);

crash_loop!(
    secret_type_changed, {"outputs": {"secret": {"generate": [{"key": "session-key"}]}}}, made: true,
    |run| Box::pin(run.change(json!({"outputs": {"secret": {"type": "servicebinding.io/oauth2"}}}))),
    ["create-next", "update-remote", "prove", "delete-secret", "create-secret", "delete-secret"]
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
    ["update-remote", "prove", "update-secret"]
);

crash_loop!(
    existing_secret_changed, {}, made: false,
    |run| Box::pin(async move {
        run.stand_with_users_secret().await?;
        run.users_secret("made-by-hand-again").await
    }),
    ["update-remote", "prove", "update-secret"]
);

crash_loop!(
    existing_secret_removed, {}, made: false,
    |run| Box::pin(async move {
        run.stand_with_users_secret().await?;
        run.change(json!({"credentials": null})).await
    }),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

// A rotation was cut off after its first step.
crash_loop!(
    existing_secret_set_while_a_rotation_stands, {}, made: true,
    |run| Box::pin(async move {
        run.edit_secret(json!({"stringData": {"client-secret": "guessed"}})).await?;
        run.live(Death::After(0)).await?;
        run.refer_to_users_secret().await
    }),
    ["delete-secret", "update-remote", "prove", "update-secret"]
);

// Somebody makes a client of this ID just before the operator does.
crash_loop!(
    client_id_taken_by_hand, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({})).await }),
    meanwhile: Some(("create-remote", |realm, client_id| Box::pin(async move {
        realm.create_client(&json!({"clientId": client_id, "name": "by hand", "secret": "theirs"})).await.map(drop)
    }))),
    ["add-finalizer", "create-secret", "create-remote", "delete-secret"]
);

crash_loop!(
    drift_of_redirect_uri_and_secret, {}, made: true,
    |run| Box::pin(async move {
        let (realm, id) = (run.subject.server, run.client_id());
        realm.update_client(&id, &json!({"redirectUris": ["https://evil.example.com/"]})).await?;
        realm.regenerate_secret(&id).await.map(drop)
    }),
    ["update-remote", "prove"]
);

crash_loop!(
    deleted_by_hand, {}, made: true,
    |run| Box::pin(async move {
        ensure!(run.subject.server.delete_client(&run.client_id()).await?, "it was not there");
        Ok(())
    }),
    ["create-remote", "prove"]
);

// Between the look and the change.
crash_loop!(
    deleted_by_hand_during_an_update, {}, made: true,
    |run| Box::pin(run.change(json!({"displayName": "Web", "scopes": ["openid"]}))),
    meanwhile: Some(("update-remote", |realm, client_id| Box::pin(async move {
        ensure!(realm.delete_client(&client_id).await?, "it was not there");
        Ok(())
    }))),
    ["update-remote", "create-remote", "update-secret", "prove"]
);

crash_loop!(
    renamed_by_hand, {}, made: true,
    |run| Box::pin(async move {
        let id = run.client_id();
        run.subject.server.update_client(&id, &json!({"clientId": format!("{id}-renamed")})).await
    }),
    ["update-remote"]
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

// The same client, under the UUID of the former object.
crash_loop!(
    retained_and_taken_back, {"deletionPolicy": "Retain"}, made: true,
    |run| Box::pin(async move {
        run.delete().await?;
        run.live(Death::Never).await?;
        run.apply(&json!({"displayName": "Web"})).await
    }),
    ["add-finalizer", "update-remote", "update-secret", "update-configmap", "prove"]
);

crash_loop!(
    create_with_a_key, {}, made: false,
    |run| Box::pin(async move { run.apply(&json!({"tokenEndpointAuthMethod": "private_key_jwt"})).await }),
    ["add-finalizer", "create-secret", "create-remote", "create-configmap", "prove"]
);

crash_loop!(
    secret_to_key, {}, made: true,
    |run| Box::pin(run.change(json!({"tokenEndpointAuthMethod": "private_key_jwt"}))),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    key_to_secret, {"tokenEndpointAuthMethod": "private_key_jwt"}, made: true,
    |run| Box::pin(run.change(json!({"tokenEndpointAuthMethod": null}))),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

crash_loop!(
    rotate_a_key, {"tokenEndpointAuthMethod": "private_key_jwt"}, made: true,
    |run| Box::pin(run.rotate("1")),
    ["create-next", "update-remote", "prove", "update-secret", "delete-secret"]
);

// A key reached Keycloak, and then the secret that the application has was to do after all.
crash_loop!(
    to_a_key_and_back, {}, made: true,
    |run| Box::pin(async move {
        run.change(json!({"tokenEndpointAuthMethod": "private_key_jwt"})).await?;
        run.live(Death::After(1)).await?;
        run.change(json!({"tokenEndpointAuthMethod": null})).await
    }),
    ["update-remote", "delete-secret", "prove"]
);
