//! The schema's own limits, both ways: lengths, counts, ranges, enums, patterns, sets.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::crd;
use oidc_operator_e2e::case;
use serde_json::{Value, json};

use crate::{
    server::Server,
    table::{Attempt, Kind, authentik, by_hand, create, keycloak, keycloak_password, merge, place, registration},
};

/// A field with what it just takes and what it does not.
pub(crate) struct Limit {
    pub(crate) field: &'static str,
    pub(crate) taken: Vec<Attempt>,
    pub(crate) refused: Vec<Attempt>,
}

pub(crate) fn limit<const T: usize, const R: usize>(
    field: &'static str,
    taken: [Value; T],
    refused: [Value; R],
) -> Limit {
    Limit {
        field,
        taken: taken.into_iter().map(create).collect(),
        refused: refused.into_iter().map(create).collect(),
    }
}

/// An enum: each of its values, and one that it does not have.
pub(crate) fn choice<const N: usize>(field: &'static str, values: [&str; N], patch: impl Fn(&str) -> Value) -> Limit {
    let first = values.first().copied().unwrap_or_default();
    Limit {
        field,
        taken: values.iter().map(|value| create(patch(value))).collect(),
        refused: [&format!("{first}x"), "no such", ""]
            .map(|value| create(patch(value)))
            .into(),
    }
}

pub(crate) fn long(length: usize) -> String {
    "a".repeat(length)
}

fn many(count: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..count).map(item).collect()
}

fn map(count: usize) -> Value {
    (0..count).map(|number| (format!("k{number}"), json!("x"))).collect()
}

fn provider() -> Vec<Limit> {
    let mut limits = provider_fields();
    limits.extend(keycloak_fields());
    limits.extend(authentik_fields());
    limits.extend(registration_fields());
    limits.extend(crate::dex_config::limits());
    limits
}

fn provider_fields() -> Vec<Limit> {
    let issuer = |patch: Value| json!({"issuer": patch});
    let url = |length: usize| issuer(json!({"issuerURL": format!("https://dex.example.com/{}", long(length - 24))}));
    let authority = |name: String| issuer(json!({"issuerCertificateAuthority": {"name": name}}));
    let grpc = |patch: Value| json!({"dex": {"grpc": patch}});
    let address = |length: usize| grpc(json!({"address": format!("{}:5557", long(length - 5))}));
    let api = |patch: Value| json!({"adminAPI": patch});
    let insecure = |parts: &[&str]| json!({"insecureTransport": {"allowed": parts}});
    let namespaces = |patch: Value| json!({"clients": {"allowedNamespaces": patch}});
    let selector = |patch: Value| namespaces(json!({"from": "Selector", "selector": patch}));
    let values =
        |values: Value| selector(json!({"matchExpressions": [{"key": "k", "operator": "In", "values": values}]}));
    vec![
        Limit {
            field: "spec.type",
            taken: vec![
                create(json!({"type": "Dex"})),
                create(keycloak(&json!({}))),
                create(authentik(&json!({}))),
                create(registration(&json!({}))),
                create(by_hand(&json!({}))),
            ],
            refused: ["Dexx", "keycloak", "authentik", "static", ""]
                .map(|value| create(json!({"type": value})))
                .into(),
        },
        limit(
            "spec.issuer",
            [],
            [json!({"issuer": []}), json!({"issuer": "https://dex.example.com"})],
        ),
        limit(
            "spec.issuer.issuerURL",
            [url(512)],
            [
                url(513),
                issuer(json!({"issuerURL": ""})),
                issuer(json!({"issuerURL": 1})),
            ],
        ),
        limit(
            "spec.issuer.issuerCertificateAuthority.name",
            [authority(long(253))],
            [authority(long(254)), authority(long(0))],
        ),
        limit(
            "spec.dex.grpc.address",
            [address(260)],
            [
                address(261),
                grpc(json!({"address": "a:"})),
                grpc(json!({"address": null})),
            ],
        ),
        limit(
            "spec.dex.grpc.clientCertificateSecretRef.name",
            [grpc(json!({"clientCertificateSecretRef": {"name": long(253)}}))],
            [
                grpc(json!({"clientCertificateSecretRef": {"name": long(254)}})),
                grpc(json!({"clientCertificateSecretRef": {"name": ""}})),
            ],
        ),
        limit(
            "spec.adminAPI.maxInFlight",
            [api(json!({"maxInFlight": 1})), api(json!({"maxInFlight": 64}))],
            [
                api(json!({"maxInFlight": 0})),
                api(json!({"maxInFlight": 65})),
                api(json!({"maxInFlight": 1.5})),
            ],
        ),
        limit(
            "spec.adminAPI.requestsPerSecond",
            [
                api(json!({"requestsPerSecond": 1})),
                api(json!({"requestsPerSecond": 1000})),
            ],
            [
                api(json!({"requestsPerSecond": 0})),
                api(json!({"requestsPerSecond": 1001})),
            ],
        ),
        limit(
            "spec.adminAPI.timeout",
            [
                api(json!({"timeout": "1s500ms"})),
                api(json!({"timeout": "0h0m30s0ms"})),
            ],
            [
                api(json!({"timeout": ""})),
                api(json!({"timeout": "30"})),
                api(json!({"timeout": "-1s"})),
                api(json!({"timeout": "1.5s"})),
                api(json!({"timeout": "1s1s1s1s1s"})),
                api(json!({"timeout": "0".repeat(32) + "1s"})),
            ],
        ),
        limit(
            "spec.resyncInterval",
            [json!({"resyncInterval": "23h59m59s999ms"})],
            [
                json!({"resyncInterval": "1d"}),
                json!({"resyncInterval": "10 m"}),
                json!({"resyncInterval": "000001s"}),
                json!({"resyncInterval": 600}),
            ],
        ),
        limit(
            "spec.claimMappings.username.claim",
            [json!({"claimMappings": {"username": {"claim": long(256)}}})],
            [
                json!({"claimMappings": {"username": {"claim": long(257)}}}),
                json!({"claimMappings": {"username": {"claim": ""}}}),
                json!({"claimMappings": {"username": {}}}),
            ],
        ),
        limit(
            "spec.insecureTransport.allowed",
            [
                insecure(&["AdminAPI", "Discovery", "Endpoints"]),
                insecure(&["AdminAPI"]),
            ],
            [
                insecure(&[]),
                insecure(&["Everything"]),
                insecure(&["AdminAPI", "AdminAPI"]),
                insecure(&["AdminAPI", "Discovery", "Endpoints", "AdminAPI"]),
            ],
        ),
        limit(
            "spec.clients.allowedNamespaces.from",
            [
                namespaces(json!({"from": "All"})),
                namespaces(json!({"from": "Same"})),
                selector(json!({})),
            ],
            [namespaces(json!({"from": "all"})), namespaces(json!({}))],
        ),
        limit(
            "spec.clients.allowedNamespaces.selector.matchLabels",
            [
                selector(json!({"matchLabels": map(32)})),
                selector(json!({"matchLabels": {"k": long(63)}})),
            ],
            [
                selector(json!({"matchLabels": map(33)})),
                selector(json!({"matchLabels": {"k": long(64)}})),
            ],
        ),
        limit(
            "spec.clients.allowedNamespaces.selector.matchExpressions",
            [selector(
                json!({"matchExpressions": many(32, |_| json!({"key": "k", "operator": "Exists"}))}),
            )],
            [selector(
                json!({"matchExpressions": many(33, |_| json!({"key": "k", "operator": "Exists"}))}),
            )],
        ),
        limit(
            "spec.clients.allowedNamespaces.selector.matchExpressions.key",
            [selector(
                json!({"matchExpressions": [{"key": long(317), "operator": "Exists"}]}),
            )],
            [selector(
                json!({"matchExpressions": [{"key": long(318), "operator": "Exists"}]}),
            )],
        ),
        limit(
            "spec.clients.allowedNamespaces.selector.matchExpressions.operator",
            [selector(
                json!({"matchExpressions": [{"key": "k", "operator": "DoesNotExist"}]}),
            )],
            [selector(
                json!({"matchExpressions": [{"key": "k", "operator": long(13)}]}),
            )],
        ),
        limit(
            "spec.clients.allowedNamespaces.selector.matchExpressions.values",
            [values(many(128, |_| json!("x"))), values(json!([long(63)]))],
            [values(many(129, |_| json!("x"))), values(json!([long(64)]))],
        ),
    ]
}

fn keycloak_fields() -> Vec<Limit> {
    let admin_url =
        |length: usize| keycloak(&json!({"adminURL": format!("https://keycloak.example.com/{}", long(length - 29))}));
    let discovery = |length: usize| {
        json!({"issuer": {"internal": {
            "discoveryURL": format!("https://keycloak.example.com/{}", long(length - 29)),
        }}})
    };
    let realm = |field: &str, value: Value| keycloak(&json!({field: value}));
    let client_id = |id: Value| keycloak(&json!({"credentials": {"clientCredentials": {"clientID": id}}}));
    let authority = |reference: Value| keycloak(&json!({"certificateAuthority": reference}));
    let mut limits = vec![
        limit(
            "spec.issuer.internal.discoveryURL",
            [discovery(512)],
            [discovery(513), json!({"issuer": {"internal": {"discoveryURL": ""}}})],
        ),
        limit(
            "spec.issuer.internal.issuerURL",
            [json!({"issuer": {"internal": {"issuerURL": address(512)}}})],
            [
                json!({"issuer": {"internal": {"issuerURL": address(513)}}}),
                json!({"issuer": {"internal": {"issuerURL": ""}}}),
            ],
        ),
        limit(
            "spec.issuer.discoveryURL",
            [json!({"issuer": {"discoveryURL": address(2048)}})],
            [
                json!({"issuer": {"discoveryURL": address(2049)}}),
                json!({"issuer": {"discoveryURL": ""}}),
            ],
        ),
        endpoint("spec.issuer.endpoints.authorization", "authorization", true),
        endpoint("spec.issuer.endpoints.token", "token", true),
        endpoint("spec.issuer.endpoints.userinfo", "userinfo", false),
        endpoint("spec.issuer.endpoints.jwks", "jwks", true),
        endpoint("spec.issuer.endpoints.endSession", "endSession", false),
        limit(
            "spec.keycloak.adminURL",
            [admin_url(512)],
            [
                admin_url(513),
                keycloak(&json!({"adminURL": ""})),
                keycloak(&json!({"adminURL": null})),
            ],
        ),
        limit(
            "spec.keycloak.realm",
            [realm("realm", json!(long(255)))],
            [
                realm("realm", json!(long(256))),
                realm("realm", json!("")),
                realm("realm", json!(null)),
            ],
        ),
        limit(
            "spec.keycloak.authRealm",
            [realm("authRealm", json!(long(255)))],
            [realm("authRealm", json!(long(256))), realm("authRealm", json!(""))],
        ),
        limit(
            "spec.keycloak.credentials",
            [],
            [
                keycloak(&json!({"credentials": null})),
                keycloak(&json!({"credentials": "admin"})),
            ],
        ),
        limit(
            "spec.keycloak.credentials.type",
            [keycloak(&json!({})), keycloak_password(&json!({}))],
            [
                keycloak(&json!({"credentials": {"type": "password"}})),
                keycloak(&json!({"credentials": {"type": null}})),
            ],
        ),
        limit(
            "spec.keycloak.credentials.clientCredentials.clientID",
            [client_id(json!(long(255)))],
            [
                client_id(json!(long(256))),
                client_id(json!("")),
                client_id(json!(null)),
            ],
        ),
    ];
    limits.extend(authority_limits(
        [
            "spec.dex.grpc.certificateAuthority.kind",
            "spec.dex.grpc.certificateAuthority.name",
            "spec.dex.grpc.certificateAuthority.key",
        ],
        &|reference| json!({"dex": {"grpc": {"certificateAuthority": reference}}}),
    ));
    limits.extend(authority_limits(
        [
            "spec.issuer.internal.certificateAuthority.kind",
            "spec.issuer.internal.certificateAuthority.name",
            "spec.issuer.internal.certificateAuthority.key",
        ],
        &|reference| json!({"issuer": {"internal": {"certificateAuthority": reference}}}),
    ));
    limits.extend(authority_limits(
        [
            "spec.keycloak.certificateAuthority.kind",
            "spec.keycloak.certificateAuthority.name",
            "spec.keycloak.certificateAuthority.key",
        ],
        &authority,
    ));
    limits.extend(secret_key_limits(
        [
            "spec.keycloak.credentials.clientCredentials.clientSecretRef.name",
            "spec.keycloak.credentials.clientCredentials.clientSecretRef.key",
        ],
        &|reference| keycloak(&json!({"credentials": {"clientCredentials": {"clientSecretRef": reference}}})),
    ));
    limits.extend(secret_key_limits(
        [
            "spec.keycloak.credentials.password.usernameSecretRef.name",
            "spec.keycloak.credentials.password.usernameSecretRef.key",
        ],
        &|reference| keycloak_password(&json!({"usernameSecretRef": reference})),
    ));
    limits.extend(secret_key_limits(
        [
            "spec.keycloak.credentials.password.passwordSecretRef.name",
            "spec.keycloak.credentials.password.passwordSecretRef.key",
        ],
        &|reference| keycloak_password(&json!({"passwordSecretRef": reference})),
    ));
    limits
}

fn authentik_fields() -> Vec<Limit> {
    let block = |field: &str, value: Value| authentik(&json!({field: value}));
    let url =
        |field: &str, length: usize| block(field, json!(format!("https://auth.example.com/{}", long(length - 25))));
    let text = |path: &'static str, field: &'static str| {
        limit(
            path,
            [block(field, json!(long(255))), block(field, json!(null))],
            [block(field, json!(long(256))), block(field, json!(""))],
        )
    };
    let mut limits = vec![
        limit(
            "spec.authentik.publicURL",
            [url("publicURL", 512)],
            [
                url("publicURL", 513),
                block("publicURL", json!("")),
                block("publicURL", json!(null)),
            ],
        ),
        limit(
            "spec.authentik.adminURL",
            [url("adminURL", 512), block("adminURL", json!(null))],
            [url("adminURL", 513), block("adminURL", json!(""))],
        ),
        limit(
            "spec.authentik.tokenSecretRef",
            [],
            [
                block("tokenSecretRef", json!(null)),
                block("tokenSecretRef", json!("token")),
            ],
        ),
        text("spec.authentik.authorizationFlow", "authorizationFlow"),
        text("spec.authentik.invalidationFlow", "invalidationFlow"),
        text("spec.authentik.signingKey", "signingKey"),
        choice(
            "spec.authentik.subMode",
            [
                "hashed_user_id",
                "user_id",
                "user_uuid",
                "user_username",
                "user_email",
                "user_upn",
            ],
            |value| block("subMode", json!(value)),
        ),
        choice("spec.authentik.issuerMode", ["per_provider", "global"], |value| {
            block("issuerMode", json!(value))
        }),
        choice("spec.authentik.emailVerified", ["Default", "AlwaysTrue"], |value| {
            block("emailVerified", json!(value))
        }),
    ];
    limits.extend(authority_limits(
        [
            "spec.authentik.certificateAuthority.kind",
            "spec.authentik.certificateAuthority.name",
            "spec.authentik.certificateAuthority.key",
        ],
        &|reference| authentik(&json!({"certificateAuthority": reference})),
    ));
    limits.extend(secret_key_limits(
        [
            "spec.authentik.tokenSecretRef.name",
            "spec.authentik.tokenSecretRef.key",
        ],
        &|reference| authentik(&json!({"tokenSecretRef": reference})),
    ));
    limits
}

fn registration_fields() -> Vec<Limit> {
    let url = |length: usize| json!({"registrationURL": format!("https://sso.example.com/{}", long(length - 24))});
    let mut limits = vec![
        limit(
            "spec.dynamicRegistration",
            [json!({"type": "DynamicRegistration", "dex": null, "dynamicRegistration": {}})],
            [json!({"type": "DynamicRegistration", "dex": null, "dynamicRegistration": "token"})],
        ),
        limit(
            "spec.dynamicRegistration.registrationURL",
            [registration(&url(512)), registration(&json!({"registrationURL": null}))],
            [registration(&url(513)), registration(&json!({"registrationURL": ""}))],
        ),
        limit(
            "spec.dynamicRegistration.initialAccessTokenSecretRef",
            [registration(&json!({"initialAccessTokenSecretRef": null}))],
            [registration(&json!({"initialAccessTokenSecretRef": "token"}))],
        ),
    ];
    limits.extend(secret_key_limits(
        [
            "spec.dynamicRegistration.initialAccessTokenSecretRef.name",
            "spec.dynamicRegistration.initialAccessTokenSecretRef.key",
        ],
        &|reference| registration(&json!({"initialAccessTokenSecretRef": reference})),
    ));
    limits
}

/// Kind, name and key of a `CertificateAuthorityReference`.
fn authority_limits([kind, name, key]: [&'static str; 3], patch: &dyn Fn(Value) -> Value) -> [Limit; 3] {
    let named = |name: Value| patch(json!({"name": name}));
    let keyed = |key: String| patch(json!({"name": "ca", "key": key}));
    [
        choice(kind, ["ConfigMap", "Secret"], |value| {
            patch(json!({"name": "ca", "kind": value}))
        }),
        limit(
            name,
            [named(json!(long(253)))],
            [named(json!(long(254))), named(json!("")), named(json!(null))],
        ),
        limit(key, [keyed(long(253))], [keyed(long(254)), keyed(long(0))]),
    ]
}

/// An https address of that length.
fn address(length: usize) -> String {
    let start = "https://a.example.com/";
    format!("{start}{}", "x".repeat(length - start.len()))
}

/// An endpoint that is given by hand.
fn endpoint(field: &'static str, name: &str, required: bool) -> Limit {
    let given = |value: Value| {
        let mut endpoints = json!({
            "authorization": "https://a.example.com/a",
            "token": "https://a.example.com/t",
            "jwks": "https://a.example.com/k",
        });
        merge(&mut endpoints, &json!({name: value}));
        json!({"issuer": {"endpoints": endpoints}})
    };
    let without = given(json!(null));
    let (mut taken, mut refused) = (
        vec![given(json!(address(2048)))],
        vec![given(json!(address(2049))), given(json!(""))],
    );
    if required {
        refused.push(without);
    } else {
        taken.push(without);
    }
    let create = |patches: Vec<Value>| patches.into_iter().map(create).collect();
    Limit {
        field,
        taken: create(taken),
        refused: create(refused),
    }
}

/// Name and key of a `SecretKeyReference`.
fn secret_key_limits([name, key]: [&'static str; 2], patch: &dyn Fn(Value) -> Value) -> [Limit; 2] {
    let named = |name: Value| patch(json!({"name": name, "key": "key"}));
    let keyed = |key: Value| patch(json!({"name": "name", "key": key}));
    [
        limit(
            name,
            [named(json!(long(253)))],
            [named(json!(long(254))), named(json!("")), named(json!(null))],
        ),
        limit(
            key,
            [keyed(json!(long(253)))],
            [keyed(json!(long(254))), keyed(json!("")), keyed(json!(null))],
        ),
    ]
}

fn client() -> Vec<Limit> {
    let mut limits = client_fields();
    limits.extend(client_lists());
    limits.extend(client_credentials());
    limits.extend(client_rotation());
    limits.extend(client_contents());
    limits.extend(client_outputs());
    limits.extend(client_workloads());
    limits
}

fn client_fields() -> Vec<Limit> {
    let reference = |patch: Value| json!({"providerRef": patch});
    let logout = |patch: Value| {
        let mut logout = json!({"type": "BackChannel", "uri": "https://a.example.com/logout"});
        merge(&mut logout, &patch);
        json!({"logout": logout})
    };
    vec![
        limit(
            "spec.providerRef",
            [],
            [json!({"providerRef": null}), json!({"providerRef": "dex"})],
        ),
        limit(
            "spec.providerRef.name",
            [reference(json!({"name": long(253)}))],
            [
                reference(json!({"name": long(254)})),
                reference(json!({"name": ""})),
                reference(json!({"name": null})),
            ],
        ),
        limit(
            "spec.providerRef.namespace",
            [reference(json!({"namespace": long(63)}))],
            [
                reference(json!({"namespace": long(64)})),
                reference(json!({"namespace": ""})),
            ],
        ),
        limit(
            "spec.clientID",
            [json!({"clientID": long(150)}), json!({"clientID": "a"})],
            [json!({"clientID": long(151)}), json!({"clientID": ""})],
        ),
        limit(
            "spec.type",
            [json!({"type": "Confidential"}), json!({"type": "Public"})],
            [json!({"type": "public"}), json!({"type": ""})],
        ),
        limit(
            "spec.displayName",
            [json!({"displayName": long(256)})],
            [json!({"displayName": long(257)}), json!({"displayName": ""})],
        ),
        limit(
            "spec.logoURI",
            [json!({"logoURI": format!("https://a.example.com/{}", long(2026))})],
            [
                json!({"logoURI": format!("https://a.example.com/{}", long(2027))}),
                json!({"logoURI": ""}),
            ],
        ),
        limit(
            "spec.description",
            [json!({"description": long(255)})],
            [json!({"description": long(256)}), json!({"description": ""})],
        ),
        limit(
            "spec.homepageURI",
            [json!({"homepageURI": format!("https://a.example.com/{}", long(2026))})],
            [
                json!({"homepageURI": format!("https://a.example.com/{}", long(2027))}),
                json!({"homepageURI": ""}),
            ],
        ),
        limit(
            "spec.logout.uri",
            [logout(json!({"uri": format!("https://a.example.com/{}", long(1002))}))],
            [
                logout(json!({"uri": format!("https://a.example.com/{}", long(1003))})),
                logout(json!({"uri": ""})),
                logout(json!({"uri": null})),
            ],
        ),
        choice("spec.logout.type", ["BackChannel", "FrontChannel"], |value| {
            logout(json!({"type": value}))
        }),
        limit(
            "spec.logout.sessionRequired",
            [
                logout(json!({"sessionRequired": true})),
                logout(json!({"sessionRequired": false})),
            ],
            [logout(json!({"sessionRequired": "true"}))],
        ),
        limit(
            "spec.tokenLifetimes.accessToken",
            [json!({"tokenLifetimes": {"accessToken": "1h30m0s0ms"}})],
            [
                json!({"tokenLifetimes": {"accessToken": "5"}}),
                json!({"tokenLifetimes": {"accessToken": ""}}),
                json!({"tokenLifetimes": {"accessToken": 300}}),
                json!({"tokenLifetimes": {"accessToken": "0".repeat(32) + "5m"}}),
            ],
        ),
        limit(
            "spec.tokenLifetimes.refreshToken",
            [json!({"tokenLifetimes": {"refreshToken": "1h30m0s0ms"}})],
            [
                json!({"tokenLifetimes": {"refreshToken": "1d"}}),
                json!({"tokenLifetimes": {"refreshToken": ""}}),
                json!({"tokenLifetimes": {"refreshToken": "-5m"}}),
            ],
        ),
        limit(
            "spec.tokenEndpointAuthMethod",
            [
                json!({"tokenEndpointAuthMethod": "client_secret_basic"}),
                json!({"tokenEndpointAuthMethod": "client_secret_post"}),
                json!({"tokenEndpointAuthMethod": "private_key_jwt"}),
                json!({"type": "Public", "tokenEndpointAuthMethod": "none"}),
            ],
            [
                json!({"tokenEndpointAuthMethod": "client_secret_jwt"}),
                json!({"tokenEndpointAuthMethod": ""}),
            ],
        ),
        choice("spec.pkce", ["Required", "Optional"], |value| json!({"pkce": value})),
        choice(
            "spec.idTokenSignedResponseAlg",
            ["RS256", "ES256"],
            |value| json!({"idTokenSignedResponseAlg": value}),
        ),
        choice(
            "spec.enforcement",
            ["BestEffort", "Strict"],
            |value| json!({"enforcement": value}),
        ),
        choice(
            "spec.adoption.policy",
            ["Never"],
            |value| json!({"adoption": {"policy": value}}),
        ),
        choice(
            "spec.deletionPolicy",
            ["Delete", "Retain"],
            |value| json!({"deletionPolicy": value}),
        ),
    ]
}

fn client_lists() -> Vec<Limit> {
    let uri = |number: usize| json!(format!("https://app.example.com/{number}"));
    let uri_of = |length: usize| json!({"redirectURIs": [format!("https://app.example.com/{}", long(length - 24))]});
    let post_logout_of =
        |length: usize| json!({"postLogoutRedirectURIs": [format!("https://app.example.com/{}", long(length - 24))]});
    let origin = |number: usize| json!(format!("https://app-{number}.example.com"));
    let optional = |count: usize| json!({"optionalScopes": many(count, |number| json!(format!("o{number}")))});
    let scopes = |count: usize| {
        let mut scopes = vec![json!("openid")];
        scopes.extend((1..count).map(|number| json!(format!("s{number}"))));
        json!({"scopes": scopes})
    };
    let claims =
        |count: usize| json!({"claims": many(count, |number| json!({"name": format!("c{number}"), "type": "Groups"}))});
    let claim = |claim: Value| json!({"claims": [claim]});
    let constant = |length: usize| claim(json!({"name": "c", "type": "Constant", "constant": {"value": long(length)}}));
    let attribute = |length: usize| {
        claim(json!({"name": "c", "type": "UserAttribute", "userAttribute": {"attribute": long(length)}}))
    };
    let path = |path: &str| claim(json!({"name": "c", "type": "Groups", "groups": {"path": path}}));
    let tokens = |tokens: &[&str]| claim(json!({"name": "c", "type": "Groups", "tokens": tokens}));
    let all_grants = [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ];
    vec![
        limit(
            "spec.redirectURIs",
            [json!({"redirectURIs": many(32, uri)}), uri_of(1024)],
            [
                json!({"redirectURIs": many(33, uri)}),
                uri_of(1025),
                json!({"redirectURIs": [""]}),
                json!({"redirectURIs": [null]}),
                json!({"redirectURIs": "https://app.example.com/cb"}),
            ],
        ),
        limit(
            "spec.postLogoutRedirectURIs",
            [
                json!({"postLogoutRedirectURIs": many(32, uri)}),
                post_logout_of(1024),
                json!({"postLogoutRedirectURIs": []}),
            ],
            [
                json!({"postLogoutRedirectURIs": many(33, uri)}),
                post_logout_of(1025),
                json!({"postLogoutRedirectURIs": [""]}),
                json!({"postLogoutRedirectURIs": [uri(1), uri(1)]}),
            ],
        ),
        limit(
            "spec.webOrigins",
            [
                json!({"webOrigins": many(32, origin)}),
                json!({"webOrigins": [format!("https://{}", long(247))]}),
                json!({"webOrigins": []}),
            ],
            [
                json!({"webOrigins": many(33, origin)}),
                json!({"webOrigins": [format!("https://{}", long(248))]}),
                json!({"webOrigins": [""]}),
                json!({"webOrigins": [origin(1), origin(1)]}),
            ],
        ),
        limit(
            "spec.optionalScopes",
            [optional(64), optional(0), json!({"optionalScopes": [long(256)]})],
            [
                optional(65),
                json!({"optionalScopes": [long(257)]}),
                json!({"optionalScopes": [""]}),
                json!({"optionalScopes": ["phone", "phone"]}),
            ],
        ),
        limit(
            "spec.grantTypes",
            [json!({"grantTypes": all_grants})],
            [
                json!({"grantTypes": []}),
                json!({"grantTypes": ["authorization_code", "authorization_code"]}),
                json!({"grantTypes": ["authorization_code", "implicit"]}),
                json!({"grantTypes": ["authorization_code", "password"]}),
            ],
        ),
        limit(
            "spec.scopes",
            [scopes(64), json!({"scopes": ["openid", long(256)]})],
            [
                scopes(65),
                json!({"scopes": []}),
                json!({"scopes": ["openid", long(257)]}),
                json!({"scopes": ["openid", ""]}),
                json!({"scopes": ["openid", "openid"]}),
            ],
        ),
        limit(
            "spec.claims",
            [claims(32), claims(0)],
            [
                claims(33),
                json!({"claims": [{"name": "c", "type": "Groups"}, {"name": "c", "type": "Groups", "groups": {"path": "Name"}}]}),
            ],
        ),
        limit(
            "spec.claims.name",
            [claim(json!({"name": long(128), "type": "Groups"}))],
            [
                claim(json!({"name": long(129), "type": "Groups"})),
                claim(json!({"name": "", "type": "Groups"})),
            ],
        ),
        limit(
            "spec.claims.type",
            [
                claim(json!({"name": "c", "type": "RealmRoles"})),
                claim(json!({"name": "c", "type": "ClientRoles"})),
            ],
            [
                claim(json!({"name": "c", "type": "Script"})),
                claim(json!({"name": "c"})),
            ],
        ),
        limit(
            "spec.claims.constant.value",
            [constant(1024), constant(0)],
            [constant(1025)],
        ),
        limit(
            "spec.claims.userAttribute.attribute",
            [attribute(256)],
            [attribute(257), attribute(0)],
        ),
        limit(
            "spec.claims.groups.path",
            [path("Name"), path("FullPath")],
            [path("/a/b")],
        ),
        limit(
            "spec.claims.tokens",
            [tokens(&["IDToken", "AccessToken", "UserInfo"])],
            [tokens(&[]), tokens(&["IDToken", "IDToken"]), tokens(&["RefreshToken"])],
        ),
    ]
}

fn client_credentials() -> Vec<Limit> {
    let existing = |patch: Value| {
        let mut reference = json!({"name": "by-hand", "key": "key"});
        merge(&mut reference, &patch);
        json!({"credentials": {"existingSecretRef": reference}})
    };
    vec![
        limit(
            "spec.credentials.existingSecretRef.name",
            [existing(json!({"name": long(253)}))],
            [
                existing(json!({"name": long(254)})),
                existing(json!({"name": ""})),
                existing(json!({"name": null})),
            ],
        ),
        limit(
            "spec.credentials.existingSecretRef.key",
            [existing(json!({"key": long(253)})), existing(json!({"key": null}))],
            [existing(json!({"key": long(254)})), existing(json!({"key": ""}))],
        ),
    ]
}

fn client_rotation() -> Vec<Limit> {
    let rotation = |patch: Value| {
        let mut rotation = json!({"interval": "720h"});
        merge(&mut rotation, &patch);
        json!({"credentials": {"rotation": rotation}})
    };
    let window = |patch: Value| {
        let mut window = json!({"start": "02:00", "duration": "3h"});
        merge(&mut window, &patch);
        rotation(json!({ "window": window }))
    };
    vec![
        limit(
            "spec.credentials.rotation.interval",
            [rotation(json!({"interval": "1h30m0s0ms"}))],
            [
                rotation(json!({"interval": "1d"})),
                rotation(json!({"interval": ""})),
                rotation(json!({"interval": null})),
                rotation(json!({"interval": "0".repeat(32) + "5m"})),
            ],
        ),
        limit(
            "spec.credentials.rotation.overlap",
            [
                rotation(json!({"overlap": "1h30m0s0ms"})),
                rotation(json!({"overlap": null})),
            ],
            [
                rotation(json!({"overlap": "1d"})),
                rotation(json!({"overlap": ""})),
                rotation(json!({"overlap": "0".repeat(32) + "5m"})),
            ],
        ),
        limit(
            "spec.credentials.rotation.window.start",
            [window(json!({"start": "00:00"})), window(json!({"start": "23:59"}))],
            [
                window(json!({"start": "24:00"})),
                window(json!({"start": "2:00"})),
                window(json!({"start": "02:60"})),
                window(json!({"start": null})),
            ],
        ),
        limit(
            "spec.credentials.rotation.window.duration",
            [window(json!({"duration": "90m"}))],
            [
                window(json!({"duration": "1d"})),
                window(json!({"duration": null})),
                window(json!({"duration": "0".repeat(32) + "30m"})),
            ],
        ),
        limit(
            "spec.credentials.rotation.window.timeZone",
            [window(json!({"timeZone": long(64)}))],
            [window(json!({"timeZone": long(65)})), window(json!({"timeZone": ""}))],
        ),
    ]
}

/// What the outputs hold.
fn client_contents() -> Vec<Limit> {
    let outputs = |patch: Value| json!({ "outputs": patch });
    let secret = |patch: Value| outputs(json!({ "secret": patch }));
    let config_map = |patch: Value| outputs(json!({ "configMap": patch }));
    let templates = |count| many(count, |number| json!({"key": format!("k{number}"), "value": "x"}));
    let template = |patch: Value| {
        let mut template = json!({"key": "key", "value": "x"});
        merge(&mut template, &patch);
        json!({"templates": [template]})
    };
    let generate = |patch: Value| {
        let mut value = json!({"key": "key"});
        merge(&mut value, &patch);
        secret(json!({"generate": [value]}))
    };
    let generated = |count| secret(json!({"generate": many(count, |number| json!({"key": format!("k{number}")}))}));
    let twice = json!({"templates": [{"key": "k", "value": "x"}, {"key": "k", "value": "y"}]});
    vec![
        limit(
            "spec.outputs.formats",
            [
                outputs(json!({"formats": ["default", "env", "oauth2-proxy", "dploy", "qualytics", "openshift"]})),
                outputs(json!({"formats": ["env"]})),
            ],
            [
                outputs(json!({"formats": []})),
                outputs(json!({"formats": ["Env"]})),
                outputs(json!({"formats": ["env", "env"]})),
            ],
        ),
        limit(
            "spec.outputs.mountPath",
            [outputs(json!({"mountPath": format!("/{}", long(254))}))],
            [
                outputs(json!({"mountPath": format!("/{}", long(255))})),
                outputs(json!({"mountPath": ""})),
            ],
        ),
        choice(
            "spec.outputs.secret.type",
            ["Opaque", "servicebinding.io/oauth2"],
            |value| json!({"outputs": {"secret": {"type": value}}}),
        ),
        limit(
            "spec.outputs.secret.templates",
            [secret(json!({"templates": templates(16)}))],
            [secret(json!({"templates": templates(17)})), secret(twice.clone())],
        ),
        limit(
            "spec.outputs.secret.templates.key",
            [secret(template(json!({"key": long(200)})))],
            [
                secret(template(json!({"key": long(201)}))),
                secret(template(json!({"key": ""}))),
                secret(template(json!({"key": null}))),
            ],
        ),
        limit(
            "spec.outputs.secret.templates.value",
            [secret(template(json!({"value": long(16384)})))],
            [
                secret(template(json!({"value": long(16385)}))),
                secret(template(json!({"value": ""}))),
                secret(template(json!({"value": null}))),
            ],
        ),
        limit(
            "spec.outputs.secret.generate",
            [generated(16)],
            [
                generated(17),
                secret(json!({"generate": [{"key": "k"}, {"key": "k", "length": 20}]})),
            ],
        ),
        limit(
            "spec.outputs.secret.generate.key",
            [generate(json!({"key": long(200)}))],
            [
                generate(json!({"key": long(201)})),
                generate(json!({"key": ""})),
                generate(json!({"key": null})),
            ],
        ),
        limit(
            "spec.outputs.secret.generate.length",
            [generate(json!({"length": 16})), generate(json!({"length": 1024}))],
            [generate(json!({"length": 15})), generate(json!({"length": 1025}))],
        ),
        choice(
            "spec.outputs.secret.generate.alphabet",
            ["Alphanumeric", "Hex", "Base64URL"],
            |value| json!({"outputs": {"secret": {"generate": [{"key": "key", "alphabet": value}]}}}),
        ),
        limit(
            "spec.outputs.configMap.templates",
            [config_map(json!({"templates": templates(16)}))],
            [config_map(json!({"templates": templates(17)})), config_map(twice)],
        ),
        limit(
            "spec.outputs.configMap.templates.key",
            [config_map(template(json!({"key": long(200)})))],
            [
                config_map(template(json!({"key": long(201)}))),
                config_map(template(json!({"key": ""}))),
            ],
        ),
        limit(
            "spec.outputs.configMap.templates.value",
            [config_map(template(json!({"value": long(16384)})))],
            [
                config_map(template(json!({"value": long(16385)}))),
                config_map(template(json!({"value": ""}))),
            ],
        ),
    ]
}

fn client_outputs() -> Vec<Limit> {
    let secret = |patch: Value| json!({"outputs": {"secret": patch}});
    let config_map = |name: String| json!({"outputs": {"configMap": {"name": name}}});
    vec![
        limit(
            "spec.outputs.secret.name",
            [secret(json!({"name": long(248)}))],
            [secret(json!({"name": long(249)})), secret(json!({"name": ""}))],
        ),
        limit(
            "spec.outputs.secret.labels",
            [
                secret(json!({"labels": map(32)})),
                secret(json!({"labels": {"k": long(63)}})),
            ],
            [
                secret(json!({"labels": map(33)})),
                secret(json!({"labels": {"k": long(64)}})),
                secret(json!({"labels": {"k": 1}})),
            ],
        ),
        limit(
            "spec.outputs.secret.annotations",
            [
                secret(json!({"annotations": map(32)})),
                secret(json!({"annotations": {"k": long(4096)}})),
            ],
            [
                secret(json!({"annotations": map(33)})),
                secret(json!({"annotations": {"k": long(4097)}})),
            ],
        ),
        limit(
            "spec.outputs.configMap.name",
            [config_map(long(253))],
            [config_map(long(254)), config_map(long(0))],
        ),
        choice(
            "spec.outputs.configMap.caBundle",
            ["IssuerOnly", "WithSystemRoots"],
            |value| json!({"outputs": {"configMap": {"caBundle": value}}}),
        ),
    ]
}

fn client_workloads() -> Vec<Limit> {
    let workloads = |workloads: Value| json!({"rolloutRestart": workloads});
    let workload = |kind: &str, name: Value| json!({"kind": kind, "name": name});
    let shops = |count| many(count, |number| workload("Deployment", json!(format!("shop-{number}"))));
    let one = |kind: &str, name: Value| workloads(json!([workload(kind, name)]));
    // Told apart by kind and name.
    let of_both_kinds = json!([
        workload("Deployment", json!("shop")),
        workload("StatefulSet", json!("shop"))
    ]);
    let twice = json!([
        workload("Deployment", json!("shop")),
        workload("Deployment", json!("shop"))
    ]);
    vec![
        limit(
            "spec.rolloutRestart",
            [workloads(json!([])), workloads(shops(8)), workloads(of_both_kinds)],
            [workloads(shops(9)), workloads(twice)],
        ),
        choice(
            "spec.rolloutRestart.kind",
            ["Deployment", "StatefulSet", "DaemonSet"],
            |kind| one(kind, json!("shop")),
        ),
        limit(
            "spec.rolloutRestart.name",
            [one("Deployment", json!("a")), one("Deployment", json!(long(253)))],
            [
                one("Deployment", json!("")),
                one("Deployment", json!(null)),
                one("Deployment", json!(long(254))),
            ],
        ),
    ]
}

async fn check(server: &Server, kind: Kind, limits: &[Limit]) -> Result<()> {
    let mut wrong = Vec::new();
    let tested: BTreeSet<_> = limits
        .iter()
        .filter(|limit| !limit.refused.is_empty())
        .map(|limit| limit.field.to_owned())
        .collect();
    let untested: Vec<_> = limited_fields(kind)?
        .into_iter()
        .filter(|field| !tested.contains(field))
        .collect();
    if !untested.is_empty() {
        wrong.push(format!("limits without a case: {untested:?}"));
    }
    for limit in limits {
        for attempt in &limit.taken {
            let causes = server.attempt(kind, &attempt.complete(kind)).await?;
            if !causes.is_empty() {
                wrong.push(format!("refused: {attempt:?}\n  {causes:?}"));
            }
        }
        for attempt in &limit.refused {
            let causes = server.attempt(kind, &attempt.complete(kind)).await?;
            // A missing union member is the parent's business too; what counts is that the field is named.
            if !causes.iter().any(|cause| place(&cause.field).starts_with(limit.field)) {
                wrong.push(format!(
                    "{} not named in refusal of {attempt:?}\n  {causes:?}",
                    limit.field
                ));
            }
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        kind.name(),
        wrong.join("\n")
    );
    Ok(())
}

/// Fields of the spec with a limit in the schema.
fn limited_fields(kind: Kind) -> Result<BTreeSet<String>> {
    let crds = crd::all()?.into_iter().map(|(_, crd)| crd);
    let crd = crds
        .into_iter()
        .find(|crd| crd.spec.names.kind == kind.name())
        .context("no such CRD")?;
    let crd = serde_json::to_value(crd)?;
    let spec = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec")
        .context("no spec")?;
    let mut found = BTreeSet::new();
    collect(spec, "spec", &mut found);
    Ok(found)
}

fn collect(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    const LIMITS: [&str; 8] = [
        "maxLength",
        "minLength",
        "maxItems",
        "minItems",
        "maxProperties",
        "maximum",
        "enum",
        "pattern",
    ];
    if LIMITS.iter().any(|keyword| schema.get(keyword).is_some()) {
        found.insert(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        collect(property, &format!("{path}.{name}"), found);
    }
    for keyword in ["items", "additionalProperties"] {
        if schema[keyword].is_object() {
            collect(&schema[keyword], path, found);
        }
    }
}

#[tokio::test]
async fn every_limit_of_oidcprovider_works_both_ways() {
    case::run(async { check(&Server::new().await?, Kind::Provider, &provider()).await }).await;
}

#[tokio::test]
async fn every_limit_of_oidcclient_works_both_ways() {
    case::run(async { check(&Server::new().await?, Kind::Client, &client()).await }).await;
}
