//! Every field of OIDCClient that is about the client: set, changed and cleared, and what Keycloak shows of it each time.
//!
//! Each table says all that changes at Keycloak, so that whatever else changed fails too. It starts and ends with a client that
//! has nothing set: what is cleared is as if it had never been set.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{case, scene::merge};
use serde_json::{Value, json};

use crate::{
    held::{Held, difference, flat, shown, writes_to},
    scene,
};

/// The requests that a change takes: one for the representation, one for each scope and each mapper.
fn requests(before: &Value, after: &Value) -> BTreeMap<String, usize> {
    let mut requests = BTreeMap::new();
    let mut one = |kind: String| *requests.entry(kind).or_default() += 1;
    let clients = "/admin/clients/{id}";
    let (mut whole, was) = (false, flat(before));
    for (name, value) in difference(before, after) {
        let list = match name.as_str() {
            "defaultClientScopes" => "default-client-scopes",
            "optionalClientScopes" => "optional-client-scopes",
            _ if !name.starts_with("mapper ") => {
                whole = true;
                continue;
            }
            _ => {
                let models = format!("{clients}/protocol-mappers/models");
                one(match (was.get(&name), value) {
                    (None, _) => format!("POST {models}"),
                    (Some(_), Value::Null) => format!("DELETE {models}/{{id}}"),
                    (Some(_), _) => format!("PUT {models}/{{id}}"),
                });
                continue;
            }
        };
        let names = |list: Option<&Value>| -> BTreeSet<String> {
            let names = list.and_then(Value::as_array).into_iter().flatten();
            // Keycloak's own doing, with client_credentials.
            let names = names.filter(|name| *name != "service_account");
            names.filter_map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let (old, new) = (names(was.get(&name)), names(Some(&value)));
        for _ in new.difference(&old) {
            one(format!("PUT {clients}/{list}/{{id}}"));
        }
        for _ in old.difference(&new) {
            one(format!("DELETE {clients}/{list}/{{id}}"));
        }
    }
    if whole {
        one(format!("PUT {clients}"));
    }
    requests
}

/// Brings a client from spec to spec. Each step: the spec, and all that changes of the representation.
async fn table(prefix: &str, steps: Vec<(Value, Value)>) -> Result<()> {
    let scene = scene(prefix).await?;
    scene.ready_client("shop", json!({})).await?;
    let first = Held::of(&scene, "shop").await?;
    let mut before = first.shown.clone();
    let mut wrong = Vec::new();
    for (spec, expected) in steps {
        let mark = scene.idp.mark().await?;
        scene.ready_client("shop", spec.clone()).await?;
        let after = shown(&scene, first.client_id()).await?;
        let found = json!(difference(&before, &after));
        if found != expected {
            wrong.push(format!("{spec}\n  changed  {found}\n  expected {expected}"));
        }
        let (wanted, made) = (
            requests(&before, &after),
            writes_to(scene.idp, mark, first.id()).await?.kinds(),
        );
        if wanted != made {
            wrong.push(format!("{spec}\n  requests {made:?}\n  expected {wanted:?}"));
        }
        before = after;
    }
    let left = difference(&first.shown, &before);
    if !left.is_empty() {
        wrong.push(format!("in the end something is left: {left:?}"));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Held::of(&scene, "shop").await?.works(&scene).await
}

#[tokio::test]
async fn a_client_with_nothing_set_has_no_more_than_it_needs() {
    case::run(async {
        let scene = scene("least").await?;
        let client = scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        let id = scene.client_id("shop");
        let mut flat = flat(&held.shown);
        flat.retain(|name, value| {
            // Keycloak adds what says no, and when the secret was made.
            let is_default = [json!(false), json!(""), json!({}), json!("false")].contains(value);
            !is_default && name != "attributes.client.secret.creation.time"
        });
        let uid = client.metadata.uid.context("uid")?;
        let expected = json!({
            "id": client.status.and_then(|status| status.remote).context("remote")?.id,
            "clientId": id,
            "enabled": true,
            "protocol": "openid-connect",
            "clientAuthenticatorType": "client-secret",
            "secret": "a secret",
            "redirectUris": ["https://app.example.com/callback"],
            "webOrigins": [],
            "standardFlowEnabled": true,
            "nodeReRegistrationTimeout": -1,
            "notBefore": 0,
            "attributes.oidc-operator.io/mark": format!("oidc-operator.io/e2e/{}/shop/{uid}", scene.app),
            "attributes.post.logout.redirect.uris": "-",
            "attributes.use.refresh.tokens": "true",
            "attributes.client.secret.authentication.allowed.method": "client_secret_basic",
            "mapper oidc-operator.io/audience": {
                "type": "oidc-audience-mapper",
                "config": {
                    "included.client.audience": id,
                    "access.token.claim": "true",
                    "introspection.token.claim": "true",
                    "id.token.claim": "false",
                    "userinfo.token.claim": "false",
                },
            },
            "defaultClientScopes": ["acr", "basic", "email", "profile", "web-origins"],
            "optionalClientScopes": [],
        });
        assert_eq!(json!(flat), expected);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn texts_and_addresses() {
    case::run(table(
        "texts",
        vec![
            (json!({"displayName": "Shop"}), json!({"name": "Shop"})),
            (json!({"displayName": "Läden & <Co>"}), json!({"name": "Läden & <Co>"})),
            (json!({"description": "d"}), json!({"name": "", "description": "d"})),
            (json!({"description": "e"}), json!({"description": "e"})),
            (json!({}), json!({"description": ""})),
            (
                json!({"homepageURI": "https://a.example.com/?b=c"}),
                json!({"baseUrl": "https://a.example.com/?b=c"}),
            ),
            (
                json!({"homepageURI": "https://b.example.com"}),
                json!({"baseUrl": "https://b.example.com"}),
            ),
            (
                json!({"logoURI": "https://a.example.com/logo.png"}),
                json!({"baseUrl": "", "attributes.logoUri": "https://a.example.com/logo.png"}),
            ),
            (
                json!({"logoURI": "https://a.example.com/logo.svg"}),
                json!({"attributes.logoUri": "https://a.example.com/logo.svg"}),
            ),
            (json!({}), json!({"attributes.logoUri": null})),
        ],
    ))
    .await;
}

#[tokio::test]
async fn redirect_uris_and_origins() {
    let (one, two) = ("https://one.example.com/callback", "https://two.example.com/callback");
    let machine = json!({"redirectURIs": null, "grantTypes": ["client_credentials"]});
    case::run(table(
        "redirects",
        vec![
            (json!({"redirectURIs": [two, one]}), json!({"redirectUris": [one, two]})),
            (json!({"redirectURIs": [two]}), json!({"redirectUris": [two]})),
            // The order matters to output formats, not to Keycloak.
            (json!({"redirectURIs": [one, two]}), json!({"redirectUris": [one, two]})),
            (json!({"redirectURIs": [two, one]}), json!({})),
            (
                machine,
                json!({
                    "redirectUris": [],
                    "standardFlowEnabled": false,
                    "serviceAccountsEnabled": true,
                    "attributes.use.refresh.tokens": "false",
                    "defaultClientScopes": ["acr", "basic", "email", "profile", "service_account", "web-origins"],
                }),
            ),
            (
                json!({}),
                json!({
                    "redirectUris": ["https://app.example.com/callback"],
                    "standardFlowEnabled": true,
                    "serviceAccountsEnabled": false,
                    "attributes.use.refresh.tokens": "true",
                    "defaultClientScopes": ["acr", "basic", "email", "profile", "web-origins"],
                }),
            ),
            (
                json!({"postLogoutRedirectURIs": ["https://one.example.com/bye", "https://two.example.com/bye"]}),
                json!({"attributes.post.logout.redirect.uris": "https://one.example.com/bye##https://two.example.com/bye"}),
            ),
            (
                json!({"postLogoutRedirectURIs": ["https://two.example.com/bye", "https://one.example.com/bye"]}),
                json!({}),
            ),
            (
                json!({"postLogoutRedirectURIs": ["https://two.example.com/bye"]}),
                json!({"attributes.post.logout.redirect.uris": "https://two.example.com/bye"}),
            ),
            (json!({}), json!({"attributes.post.logout.redirect.uris": "-"})),
            (
                json!({"webOrigins": ["https://one.example.com", "https://two.example.com:8443"]}),
                json!({"webOrigins": ["https://one.example.com", "https://two.example.com:8443"]}),
            ),
            (
                json!({"webOrigins": ["https://one.example.com"]}),
                json!({"webOrigins": ["https://one.example.com"]}),
            ),
            // Neither lost nor filled from redirectUris with a write that is about something else.
            (
                json!({"webOrigins": ["https://one.example.com"], "displayName": "Shop"}),
                json!({"name": "Shop"}),
            ),
            (json!({"displayName": "Shop"}), json!({"webOrigins": []})),
            (json!({}), json!({"name": ""})),
        ],
    ))
    .await;
}

#[tokio::test]
async fn grants() {
    let device = "urn:ietf:params:oauth:grant-type:device_code";
    let exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
    let all = [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        device,
        exchange,
    ];
    let scopes = json!(["acr", "basic", "email", "profile", "web-origins"]);
    let with_account = json!(["acr", "basic", "email", "profile", "service_account", "web-origins"]);
    case::run(table(
        "grants",
        vec![
            (
                json!({"grantTypes": ["authorization_code"]}),
                json!({"attributes.use.refresh.tokens": "false"}),
            ),
            (
                json!({"grantTypes": all}),
                json!({
                    "serviceAccountsEnabled": true,
                    "defaultClientScopes": with_account,
                    "attributes.use.refresh.tokens": "true",
                    "attributes.oauth2.device.authorization.grant.enabled": "true",
                    "attributes.standard.token.exchange.enabled": "true",
                }),
            ),
            (
                json!({"grantTypes": [device]}),
                json!({
                    "standardFlowEnabled": false,
                    "serviceAccountsEnabled": false,
                    "defaultClientScopes": scopes,
                    "attributes.use.refresh.tokens": "false",
                    "attributes.standard.token.exchange.enabled": "false",
                }),
            ),
            (
                json!({"grantTypes": [exchange]}),
                json!({
                    "attributes.oauth2.device.authorization.grant.enabled": "false",
                    "attributes.standard.token.exchange.enabled": "true",
                }),
            ),
            (
                json!({}),
                json!({
                    "standardFlowEnabled": true,
                    "attributes.use.refresh.tokens": "true",
                    "attributes.standard.token.exchange.enabled": "false",
                }),
            ),
        ],
    ))
    .await;
}

#[tokio::test]
async fn signatures_authentication_and_lifetimes() {
    let method = "attributes.client.secret.authentication.allowed.method";
    let (access, refresh) = (
        "attributes.access.token.lifespan",
        "attributes.client.session.idle.timeout",
    );
    case::run(table(
        "security",
        vec![
            (
                json!({"tokenEndpointAuthMethod": "client_secret_post"}),
                json!({method: "client_secret_post"}),
            ),
            (
                json!({"tokenEndpointAuthMethod": "client_secret_basic"}),
                json!({method: "client_secret_basic"}),
            ),
            (
                json!({"pkce": "Required"}),
                json!({"attributes.pkce.code.challenge.method": "S256"}),
            ),
            (
                json!({"pkce": "Optional"}),
                json!({"attributes.pkce.code.challenge.method": null}),
            ),
            (
                json!({"idTokenSignedResponseAlg": "RS256"}),
                json!({"attributes.id.token.signed.response.alg": "RS256"}),
            ),
            (
                json!({"idTokenSignedResponseAlg": "ES256"}),
                json!({"attributes.id.token.signed.response.alg": "ES256"}),
            ),
            (json!({}), json!({"attributes.id.token.signed.response.alg": null})),
            (
                json!({"tokenLifetimes": {"accessToken": "2m", "refreshToken": "25m"}}),
                json!({access: "120", refresh: "1500"}),
            ),
            (
                json!({"tokenLifetimes": {"accessToken": "90s", "refreshToken": "25m"}}),
                json!({access: "90"}),
            ),
            (
                json!({"tokenLifetimes": {"refreshToken": "20m"}}),
                json!({access: null, refresh: "1200"}),
            ),
            (json!({}), json!({refresh: null})),
        ],
    ))
    .await;
}

#[tokio::test]
async fn logout() {
    let (back, front) = ("attributes.backchannel.logout", "attributes.frontchannel.logout");
    let (one, two) = ("https://shop.example.com/logout", "https://shop.example.com/bye?now");
    let key = |channel: &str, what: &str| format!("{channel}.{what}");
    let spec = |type_: &str, uri: &str, session: bool| json!({"logout": {"type": type_, "uri": uri, "sessionRequired": session}});
    case::run(table(
        "logout",
        vec![
            (
                json!({"logout": {"type": "BackChannel", "uri": one}}),
                json!({key(back, "url"): one, key(back, "session.required"): "true"}),
            ),
            (
                spec("BackChannel", one, false),
                json!({key(back, "session.required"): "false"}),
            ),
            (spec("BackChannel", two, false), json!({key(back, "url"): two})),
            (
                spec("FrontChannel", two, true),
                json!({
                    "frontchannelLogout": true,
                    key(back, "url"): null,
                    key(back, "session.required"): null,
                    key(front, "url"): two,
                    key(front, "session.required"): "true",
                }),
            ),
            (
                spec("FrontChannel", one, false),
                json!({key(front, "url"): one, key(front, "session.required"): "false"}),
            ),
            (
                spec("BackChannel", one, true),
                json!({
                    "frontchannelLogout": false,
                    key(front, "url"): null,
                    key(front, "session.required"): null,
                    key(back, "url"): one,
                    key(back, "session.required"): "true",
                }),
            ),
            (
                json!({}),
                json!({key(back, "url"): null, key(back, "session.required"): null}),
            ),
        ],
    ))
    .await;
}

#[tokio::test]
async fn scopes() {
    let default = |scopes: &[&str]| {
        let mut all = [&["acr", "basic", "web-origins"], scopes].concat();
        all.sort_unstable();
        json!(all)
    };
    let usual = json!(["openid", "profile", "email"]);
    case::run(table(
        "scopes",
        vec![
            (
                json!({"scopes": ["openid", "profile", "phone"]}),
                json!({"defaultClientScopes": default(&["phone", "profile"])}),
            ),
            (
                json!({"scopes": ["openid"]}),
                json!({"defaultClientScopes": default(&[])}),
            ),
            (
                json!({"scopes": ["openid"], "optionalScopes": ["phone", "address"]}),
                json!({"optionalClientScopes": ["address", "phone"]}),
            ),
            // From the one list to the other.
            (
                json!({"scopes": ["openid", "phone"], "optionalScopes": ["address"]}),
                json!({"defaultClientScopes": default(&["phone"]), "optionalClientScopes": ["address"]}),
            ),
            (
                json!({"scopes": ["openid", "address"], "optionalScopes": ["phone"]}),
                json!({"defaultClientScopes": default(&["address"]), "optionalClientScopes": ["phone"]}),
            ),
            (
                json!({}),
                json!({"defaultClientScopes": default(&["email", "profile"]), "optionalClientScopes": []}),
            ),
            // Never by default: every session would be one that outlives the logout.
            (
                json!({"scopes": ["openid", "profile", "email", "offline_access"]}),
                json!({"optionalClientScopes": ["offline_access"]}),
            ),
            (
                json!({"scopes": usual, "optionalScopes": ["offline_access"]}),
                json!({}),
            ),
            (json!({"scopes": usual}), json!({"optionalClientScopes": []})),
            // Roles in tokens are a scope like others.
            (
                json!({"optionalScopes": ["roles"]}),
                json!({"optionalClientScopes": ["roles"]}),
            ),
            (json!({}), json!({"optionalClientScopes": []})),
        ],
    ))
    .await;
}

/// A mapper, as Keycloak shows it.
fn mapper(type_: &str, config: Value, tokens: &[&str]) -> Value {
    let mut config = config;
    for (token, keys) in [
        ("AccessToken", &["access.token.claim", "introspection.token.claim"][..]),
        ("IDToken", &["id.token.claim"]),
        ("UserInfo", &["userinfo.token.claim"]),
    ] {
        for key in keys {
            config[*key] = json!(tokens.contains(&token).to_string());
        }
    }
    json!({"type": type_, "config": config})
}

#[tokio::test]
async fn claims() {
    let all = &["AccessToken", "IDToken", "UserInfo"][..];
    let named = |name: &str| format!("mapper oidc-operator.io/claim/{name}");
    let one = |claim: Value| json!({"claims": [claim]});
    let groups = |full: &str, tokens: &[&str]| {
        let config = json!({"claim.name": "groups", "full.path": full});
        mapper("oidc-group-membership-mapper", config, tokens)
    };
    let constant = |value: &str, tokens: &[&str]| {
        let config = json!({"claim.name": "tier", "claim.value": value, "jsonType.label": "String"});
        mapper("oidc-hardcoded-claim-mapper", config, tokens)
    };
    let attribute = |attribute: &str, tokens: &[&str]| {
        let config = json!({
            "claim.name": "unit.name", "user.attribute": attribute, "jsonType.label": "String", "multivalued": "false",
        });
        mapper("oidc-usermodel-attribute-mapper", config, tokens)
    };
    let realm_roles = |tokens: &[&str]| {
        let config = json!({"claim.name": "is", "jsonType.label": "String", "multivalued": "true"});
        mapper("oidc-usermodel-realm-role-mapper", config, tokens)
    };
    let config = json!({"claim.name": "is", "full.path": "false"});
    let groups_as_is = mapper("oidc-group-membership-mapper", config, all);
    case::run(async {
        table(
            "claims",
            vec![
                (
                    one(json!({"name": "groups", "type": "Groups", "groups": {"path": "Name"}})),
                    json!({named("groups"): groups("false", all)}),
                ),
                (
                    one(json!({"name": "groups", "type": "Groups", "groups": {"path": "FullPath"}, "tokens": ["IDToken"]})),
                    json!({named("groups"): groups("true", &["IDToken"])}),
                ),
                (
                    one(json!({"name": "tier", "type": "Constant", "constant": {"value": "gold"}, "tokens": ["UserInfo"]})),
                    json!({named("groups"): null, named("tier"): constant("gold", &["UserInfo"])}),
                ),
                (
                    one(json!({"name": "tier", "type": "Constant", "constant": {"value": "silver"}})),
                    json!({named("tier"): constant("silver", all)}),
                ),
                (
                    one(json!({
                        "name": "unit.name", "type": "UserAttribute", "userAttribute": {"attribute": "department"},
                    })),
                    json!({named("tier"): null, named("unit.name"): attribute("department", all)}),
                ),
                (
                    one(json!({
                        "name": "unit.name", "type": "UserAttribute", "userAttribute": {"attribute": "unit"},
                        "tokens": ["AccessToken", "UserInfo"],
                    })),
                    json!({named("unit.name"): attribute("unit", &["AccessToken", "UserInfo"])}),
                ),
                (
                    one(json!({"name": "is", "type": "RealmRoles"})),
                    json!({named("unit.name"): null, named("is"): realm_roles(all)}),
                ),
                (
                    one(json!({"name": "is", "type": "RealmRoles", "tokens": ["AccessToken"]})),
                    json!({named("is"): realm_roles(&["AccessToken"])}),
                ),
                // One becomes of another type, another comes.
                (
                    json!({"claims": [
                        {"name": "tier", "type": "Constant", "constant": {"value": "gold"}},
                        {"name": "is", "type": "Groups", "groups": {"path": "Name"}},
                    ]}),
                    json!({named("tier"): constant("gold", all), named("is"): groups_as_is}),
                ),
                (json!({}), json!({named("tier"): null, named("is"): null})),
            ],
        )
        .await
    })
    .await;
}

#[tokio::test]
async fn a_client_becomes_public_and_confidential_again() {
    case::run(async {
        let scene = scene("type").await?;
        scene.ready_client("shop", json!({})).await?;
        let first = Held::of(&scene, "shop").await?;
        let client = scene.ready_client("shop", json!({"type": "Public"})).await?;
        let public = Held::of(&scene, "shop").await?;
        ensure!(
            !public.secret.contains_key("client-secret"),
            "the Secret keeps a client secret"
        );
        assert_eq!(
            json!(difference(&first.shown, &public.shown)),
            json!({
                "publicClient": true,
                "secret": null,
                "attributes.client.secret.authentication.allowed.method": null,
                "attributes.pkce.code.challenge.method": "S256",
            })
        );
        assert_eq!(
            client
                .status
                .context("status")?
                .enforcement
                .get("tokenEndpointAuthMethod"),
            None
        );
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "NotApplicable")
            .await?;

        scene.ready_client("shop", json!({})).await?;
        let again = Held::of(&scene, "shop").await?;
        assert_eq!(json!(difference(&first.shown, &again.shown)), json!({}));
        assert_ne!(again.client_secret(), first.client_secret());
        again.works(&scene).await
    })
    .await;
}

/// All fields at once.
fn full() -> Value {
    json!({
        "displayName": "Shop",
        "description": "Where things are sold",
        "homepageURI": "https://shop.example.com",
        "logoURI": "https://shop.example.com/logo.png",
        "redirectURIs": ["https://shop.example.com/callback", "https://shop.example.com/silent"],
        "postLogoutRedirectURIs": ["https://shop.example.com/bye"],
        "webOrigins": ["https://shop.example.com"],
        "grantTypes": [
            "authorization_code", "refresh_token", "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
        ],
        "tokenEndpointAuthMethod": "client_secret_post",
        "pkce": "Required",
        "idTokenSignedResponseAlg": "ES256",
        "scopes": ["openid", "email", "offline_access"],
        "optionalScopes": ["phone"],
        "logout": {"type": "FrontChannel", "uri": "https://shop.example.com/logout", "sessionRequired": false},
        "tokenLifetimes": {"accessToken": "2m", "refreshToken": "20m"},
        "claims": [
            {"name": "groups", "type": "Groups", "groups": {"path": "Name"}},
            {"name": "tier", "type": "Constant", "constant": {"value": "gold"}, "tokens": ["IDToken"]},
        ],
    })
}

#[tokio::test]
async fn a_small_change_spoils_nothing_of_all_that_is_set() {
    case::run(async {
        let scene = scene("small").await?;
        let logout = |type_: &str| json!({"type": type_, "uri": "https://shop.example.com/logout"});
        for patch in [
            json!({}),
            json!({"logout": logout("BackChannel")}),
            json!({"logout": null, "webOrigins": null, "postLogoutRedirectURIs": null}),
            json!({"type": "Public", "logout": logout("BackChannel")}),
            json!({"type": "Public"}),
        ] {
            let mut spec = full();
            merge(&mut spec, &patch);
            if patch["type"] == "Public" {
                merge(&mut spec, &json!({"tokenEndpointAuthMethod": null, "grantTypes": null}));
            }
            let id = scene.client_id("shop");
            scene.ready_client("shop", spec.clone()).await?;
            let before = shown(&scene, &id).await?;
            spec["description"] = json!("Another");
            scene.ready_client("shop", spec).await?;
            let after = shown(&scene, &id).await?;
            let found = json!(difference(&before, &after));
            assert_eq!(found, json!({"description": "Another"}), "{patch}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn made_with_all_or_changed_to_all_is_the_same() {
    case::run(async {
        let scene = scene("full").await?;
        scene.ready_client("changed", json!({})).await?;
        let mark = scene.idp.mark().await?;
        scene.ready_client("changed", full()).await?;
        scene.ready_client("made", full()).await?;
        let (made, changed) = (Held::of(&scene, "made").await?, Held::of(&scene, "changed").await?);
        let differs: Vec<String> = difference(&made.shown, &changed.shown).into_keys().collect();
        let own = [
            "attributes.oidc-operator.io/mark",
            "clientId",
            "id",
            "mapper oidc-operator.io/audience",
        ];
        let creation = "attributes.client.secret.creation.time";
        let differs: Vec<&str> = differs
            .iter()
            .map(String::as_str)
            .filter(|name| *name != creation)
            .collect();
        assert_eq!(differs, own);
        // Nothing is left to be done.
        let requests = scene.idp.requests_since(mark).await?;
        for held in [&made, &changed] {
            let writes = requests.such(|request| request.path.contains(held.id())).admin_writes();
            ensure!(writes.count("PUT /admin/clients/{id}") <= 1, "{:?}", writes.kinds());
        }
        for (name, held) in [("made", made), ("changed", changed)] {
            // And back to nothing, in which both are alike too.
            scene.ready_client(name, json!({})).await?;
            held.works(&scene).await?;
        }
        let (made, changed) = (Held::of(&scene, "made").await?, Held::of(&scene, "changed").await?);
        let differs: Vec<String> = difference(&made.shown, &changed.shown).into_keys().collect();
        let differs: Vec<&str> = differs
            .iter()
            .map(String::as_str)
            .filter(|name| *name != creation)
            .collect();
        assert_eq!(differs, own);
        Ok(())
    })
    .await;
}
