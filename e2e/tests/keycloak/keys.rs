//! Clients that authenticate with a private key (`private_key_jwt`), at Keycloak.

use anyhow::{Context as _, Result, bail, ensure};
use oidc_operator::{
    api::OIDCClient,
    domain::{ClientSecret, PrivateKey, TokenEndpointAuthMethod},
};
use oidc_operator_e2e::{
    case,
    login::{ClientAuth, Login},
    scene::SOON,
    verify,
    wait::eventually,
};
use serde_json::{Value, json};

use crate::{
    held::{Held, Scene, accepted, becomes, look, rare_scene, told},
    scene,
};

const KEY: &str = "client-private-key.pem";

fn with_key() -> Value {
    json!({"tokenEndpointAuthMethod": "private_key_jwt"})
}

fn key(held: &Held) -> Result<&str> {
    held.secret
        .get(KEY)
        .map(String::as_str)
        .context("no private key in the Secret")
}

/// The keys that Keycloak has for the client.
fn registered(shown: &Value) -> Result<Vec<Value>> {
    let text = shown["attributes"]["jwks.string"].as_str().context("no jwks.string")?;
    let set: Value = serde_json::from_str(text)?;
    Ok(set["keys"].as_array().context("no keys")?.clone())
}

fn login(scene: &Scene<'_>, held: &Held, auth: ClientAuth) -> Login {
    let redirect = &held.secret["redirect-uri"];
    let login = scene.idp.login(held.client_id(), auth, redirect);
    login.with_scope(&held.secret["scope"]).with_pkce()
}

/// The key in the Secret is the one that Keycloak has, and logs users in; nothing else does.
async fn works(scene: &Scene<'_>, held: &Held) -> Result<()> {
    ensure!(
        !held.secret.contains_key("client-secret"),
        "a client secret is in the Secret"
    );
    assert_eq!(held.shown["clientAuthenticatorType"], "client-jwt");
    let attributes = &held.shown["attributes"];
    assert_eq!(attributes["use.jwks.string"], "true");
    assert_eq!(attributes["token.endpoint.auth.signing.alg"], "ES256");
    assert_eq!(attributes["use.jwks.url"], Value::Null);
    let keys = registered(&held.shown)?;
    let [registered] = keys.as_slice() else {
        bail!("{} keys", keys.len())
    };
    assert_eq!(registered["kid"], held.secret["client-key-id"].as_str());
    assert_eq!(
        (&registered["kty"], &registered["crv"]),
        (&json!("EC"), &json!("P-256"))
    );
    ensure!(registered.get("d").is_none(), "Keycloak has the private key");

    let claims = login(scene, held, ClientAuth::PrivateKey(key(held)?.to_owned()))
        .run()
        .await?
        .claims;
    assert_eq!(claims["preferred_username"], "jane");
    // What Keycloak shows its administrator as a secret opens nothing.
    if let Some(secret) = held.shown["secret"].as_str() {
        ensure!(
            !accepted(scene, secret, held.client_id()).await?,
            "a secret is good beside the key"
        );
        ensure!(
            login(scene, held, ClientAuth::SecretPost(secret.to_owned()))
                .run()
                .await
                .is_err(),
            "a login with a secret"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_client_with_a_key_is_made_and_rotated() {
    case::run(async {
        let scene = scene("key").await?;
        scene.ready_client("shop", with_key()).await?;
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "Verified")
            .await?;
        let held = Held::of(&scene, "shop").await?;
        works(&scene, &held).await?;

        let report = verify::verify(scene.cluster.admin_kubeconfig(), &scene.app, "shop").await?;
        ensure!(report.success && report.with("FAILED").is_empty(), "{report:#?}");
        ensure!(report.check("credentials")?.outcome == "OK", "{report:#?}");
        let body = key(&held)?.lines().nth(1).context("an empty key")?;
        ensure!(!report.text.contains(body), "the key is in the report");

        scene.rotate("shop", "1").await?;
        let before = key(&held)?.to_owned();
        let rotated = becomes(&scene, "shop", "another key", |now| {
            now.secret.get(KEY).is_some_and(|key| *key != before)
        })
        .await?;
        works(&scene, &rotated).await?;
        ensure!(
            !accepted(&scene, &before, held.client_id()).await?,
            "the former key is still good"
        );
        assert_eq!((rotated.id(), &rotated.secret_uid), (held.id(), &held.secret_uid));
        told(&scene, "shop", "Rotated", &["private key"]).await
    })
    .await;
}

#[tokio::test]
async fn from_a_secret_to_a_key_and_back() {
    case::run(async {
        let scene = scene("to-key").await?;
        scene.ready_client("shop", json!({})).await?;
        let first = Held::of(&scene, "shop").await?;
        first.works(&scene).await?;

        scene.ready_client("shop", with_key()).await?;
        let with_key = becomes(&scene, "shop", "a key", |now| now.secret.contains_key(KEY)).await?;
        works(&scene, &with_key).await?;
        assert_eq!((with_key.id(), &with_key.secret_uid), (first.id(), &first.secret_uid));
        ensure!(
            with_key.shown["secret"] != first.client_secret(),
            "Keycloak keeps the former secret"
        );
        ensure!(
            !accepted(&scene, first.client_secret(), first.client_id()).await?,
            "the former secret is still good"
        );

        scene.ready_client("shop", json!({})).await?;
        let back = becomes(&scene, "shop", "a secret", |now| !now.client_secret().is_empty()).await?;
        back.works(&scene).await?;
        ensure!(
            back.client_secret() != first.client_secret(),
            "the former secret is back"
        );
        ensure!(!back.secret.contains_key(KEY), "the key stays in the Secret");
        ensure!(
            !accepted(&scene, key(&with_key)?, first.client_id()).await?,
            "the key is still good"
        );
        for attribute in ["jwks.string", "use.jwks.string", "token.endpoint.auth.signing.alg"] {
            assert_eq!(back.shown["attributes"][attribute], Value::Null, "{attribute}");
        }
        assert_eq!(back.shown["clientAuthenticatorType"], "client-secret");
        Ok(())
    })
    .await;
}

/// Somebody opens another door at Keycloak: it is closed at the next look.
#[tokio::test]
async fn what_is_changed_by_hand_is_set_back() {
    case::run(async {
        let scene = rare_scene("key-drift").await?;
        scene.ready_client("shop", with_key()).await?;
        let held = Held::of(&scene, "shop").await?;
        let id = held.client_id();
        let theirs = PrivateKey::generate();
        let (their_key, their_secret) = (theirs.public().to_jwk(), "known-to-somebody");
        let theirs = theirs.to_secret();
        let set = |keys: &[Value]| json!({"attributes": {"jwks.string": json!({"keys": keys}).to_string()}});
        // Keycloak tries the first one of a kind where an assertion names no key.
        let mut both = registered(&held.shown)?;
        both.insert(0, their_key.clone());
        let address = json!({"attributes": {
            "use.jwks.string": "false", "use.jwks.url": "true", "jwks.url": "https://evil.example.com",
        }});
        let secret = json!({"clientAuthenticatorType": "client-secret", "secret": their_secret});
        for (what, patch, opens) in [
            (
                "another key",
                set(std::slice::from_ref(&their_key)),
                Some(theirs.expose()),
            ),
            ("one more key", set(&both), Some(theirs.expose())),
            ("keys of an address", address, None),
            (
                "any algorithm",
                json!({"attributes": {"token.endpoint.auth.signing.alg": ""}}),
                None,
            ),
            (
                "no keys",
                json!({"attributes": {"jwks.string": "", "use.jwks.string": ""}}),
                None,
            ),
            ("a secret", secret, Some(their_secret)),
        ] {
            scene.idp.update_client(id, &patch).await?;
            if let Some(opens) = opens {
                ensure!(accepted(&scene, opens, id).await?, "{what}: the test opens no door");
            }
            look(&scene, what).await?;
            eventually(what, SOON, async || {
                let now = Held::of(&scene, "shop").await?;
                ensure!(now.secret == held.secret, "the Secret changed");
                for member in ["clientAuthenticatorType", "attributes"] {
                    let (now, then) = (&now.shown[member], &held.shown[member]);
                    ensure!(without_times(now) == without_times(then), "{now}, not {then}");
                }
                Ok(())
            })
            .await?;
            for opens in [theirs.expose(), their_secret] {
                ensure!(!accepted(&scene, opens, id).await?, "{what}: another door is open");
            }
            ensure!(
                accepted(&scene, key(&held)?, id).await?,
                "{what}: the key is not good any more"
            );
        }
        Ok(())
    })
    .await;
}

/// Keycloak's own bookkeeping.
fn without_times(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(attributes) = value.as_object_mut() {
        attributes.remove("client.secret.creation.time");
    }
    value
}

#[tokio::test]
async fn a_users_own_key_is_used() {
    case::run(async {
        let scene = scene("own-key").await?;
        let own = ClientSecret::generate_for(TokenEndpointAuthMethod::PrivateKeyJwt);
        let other = ClientSecret::generate_for(TokenEndpointAuthMethod::PrivateKeyJwt);
        scene.users_secret("key.pem", own.expose()).await?;
        let mut spec = with_key();
        spec["credentials"] = json!({"existingSecretRef": {"name": "by-hand", "key": "key.pem"}});
        scene.ready_client("shop", spec).await?;
        let held = Held::of(&scene, "shop").await?;
        assert_eq!(key(&held)?, own.expose());
        works(&scene, &held).await?;

        scene.users_secret("key.pem", other.expose()).await?;
        let held = becomes(&scene, "shop", "the new key", |now| {
            now.secret.get(KEY).is_some_and(|key| key == other.expose())
        })
        .await?;
        works(&scene, &held).await?;
        ensure!(
            !accepted(&scene, own.expose(), held.client_id()).await?,
            "the former key is still good"
        );

        // What is no key changes nothing.
        scene.users_secret("key.pem", "a-secret-and-no-key").await?;
        let said = scene
            .condition::<OIDCClient>("shop", "CredentialsPublished", "False", "InvalidSecret")
            .await?;
        ensure!(
            said.contains("no private key in PEM") && !said.contains("a-secret"),
            "{said}"
        );
        works(&scene, &Held::of(&scene, "shop").await?).await
    })
    .await;
}

/// Both keys are good until the time that is promised, without any policy of the realm; then the operator takes the former one away.
#[tokio::test]
async fn both_keys_are_good_in_an_overlap() {
    case::run(async {
        let scene = scene("key-overlap").await?;
        let mut spec = with_key();
        spec["credentials"] = json!({"rotation": {"interval": "720h", "overlap": "20s"}});
        scene.ready_client("shop", spec).await?;
        let first = Held::of(&scene, "shop").await?;
        scene.rotate("shop", "1").await?;
        let count = |held: &Held| registered(&held.shown).map_or(0, |keys| keys.len());
        let second = becomes(&scene, "shop", "another key", |now| {
            now.secret[KEY] != first.secret[KEY]
        })
        .await?;
        assert_eq!(count(&second), 2);
        let annotation = async |name: &str| -> Result<Option<String>> {
            let mut annotations = scene.secret_annotations("shop-oidc").await?;
            Ok(annotations.remove(&format!("oidc-operator.io/{name}")))
        };
        let promised = annotation("previous-secret-valid-until").await?;
        let until: jiff::Timestamp = promised.as_deref().context("no promise")?.parse()?;
        let remembered = annotation("previous-key").await?.context("the former key")?;
        ensure!(remembered.contains(&first.secret["client-key-id"]), "{remembered}");
        let named = |held: &Held| -> Result<ClientAuth> {
            Ok(ClientAuth::NamedKey {
                pem: key(held)?.to_owned(),
                id: held.secret["client-key-id"].clone(),
            })
        };
        eventually("status tells the former key", SOON, async || {
            let told = scene.credentials("shop").await?.previous_key_id;
            ensure!(told.as_ref() == Some(&first.secret["client-key-id"]), "{told:?}");
            Ok(())
        })
        .await?;
        for held in [&first, &second] {
            login(&scene, held, named(held)?)
                .run()
                .await
                .context("in the overlap")?;
        }

        let last = becomes(&scene, "shop", "one key", |now| count(now) == 1).await?;
        ensure!(jiff::Timestamp::now() >= until, "the former key ended early");
        works(&scene, &last).await?;
        assert_eq!(last.secret[KEY], second.secret[KEY]);
        ensure!(
            login(&scene, &first, named(&first)?).run().await.is_err(),
            "the former key is still good"
        );
        eventually("the former key is forgotten", SOON, async || {
            ensure!(annotation("previous-key").await?.is_none(), "it is remembered");
            let told = scene.credentials("shop").await?.previous_key_id;
            ensure!(told.is_none(), "status tells it");
            Ok(())
        })
        .await?;
        assert_eq!(
            annotation("previous-secret-valid-until").await?,
            promised,
            "what was stays told"
        );
        Ok(())
    })
    .await;
}
