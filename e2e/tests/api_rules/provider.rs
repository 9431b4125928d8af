//! Every CEL rule of OIDCProvider, both ways.

use serde_json::{Value, json};

use crate::table::{
    Attempt, Row, authentik, by_hand, create, keycloak, keycloak_password, merge, registration, row, update,
};

fn issuer(url: &str) -> Attempt {
    create(json!({"issuer": {"issuerURL": url}}))
}

fn internal(internal: Value) -> Attempt {
    create(json!({"issuer": {"internal": internal}}))
}

fn credentials(credentials: Value) -> Attempt {
    create(keycloak(&json!({"credentials": credentials})))
}

fn insecure(part: &str, mut patch: Value) -> Attempt {
    patch["insecureTransport"] = json!({"allowed": [part]});
    create(patch)
}

fn grpc(patch: Value) -> Value {
    json!({"dex": {"grpc": patch}})
}

fn address(address: &str) -> Attempt {
    create(grpc(json!({"address": address})))
}

fn namespaces(choice: Value) -> Attempt {
    create(json!({"clients": {"allowedNamespaces": choice}}))
}

fn expression(expression: Value) -> Attempt {
    namespaces(json!({"from": "Selector", "selector": {"matchExpressions": [expression]}}))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = immutable();
    rows.extend(unions());
    rows.extend(transport());
    rows.extend(server_url("issuerURL", "issuer.issuerURL", &|url| issuer(url)));
    rows.extend(server_url(
        "issuer.internal.discoveryURL",
        "issuer.internal.discoveryURL",
        &|url| internal(json!({"discoveryURL": url})),
    ));
    rows.extend(server_url("issuer.discoveryURL", "issuer.discoveryURL", &|url| {
        elsewhere(json!({"discoveryURL": url}))
    }));
    rows.extend(server_url(
        "issuer.internal.issuerURL",
        "issuer.internal.issuerURL",
        &|url| elsewhere(json!({"internal": {"issuerURL": url}})),
    ));
    for field in ["authorization", "token", "userinfo", "jwks", "endSession"] {
        rows.extend(endpoint_url(field));
    }
    rows.extend(documents());
    rows.extend(server_url("keycloak.adminURL", "keycloak.adminURL", &|url| {
        create(keycloak(&json!({"adminURL": url})))
    }));
    rows.extend(server_url("authentik.publicURL", "authentik.publicURL", &|url| {
        create(authentik(&json!({"publicURL": url})))
    }));
    rows.extend(server_url(
        "authentik.adminURL",
        "authentik.adminURL, or publicURL in its place,",
        &|url| create(authentik(&json!({"adminURL": url}))),
    ));
    rows.extend(server_url(
        "dynamicRegistration.registrationURL",
        "dynamicRegistration.registrationURL",
        &|url| create(registration(&json!({"registrationURL": url}))),
    ));
    rows.extend(references());
    rows.extend(crate::dex_config::rows());
    rows.extend(shapes());
    rows
}

/// An issuer whose URL is none of those that are tried here.
fn elsewhere(mut issuer: Value) -> Attempt {
    issuer["issuerURL"] = json!("https://issuer.example.com");
    create(json!({"issuer": issuer}))
}

/// Endpoints by hand, with `patch` on them.
fn endpoints(patch: &Value) -> Value {
    let mut endpoints = json!({
        "authorization": "https://login.example.com/oauth2/authorize",
        "token": "https://login.example.com/oauth2/token",
        "userinfo": "https://login.example.com/oauth2/userinfo",
        "jwks": "https://login.example.com/oauth2/jwks",
        "endSession": "https://login.example.com/oauth2/logout",
    });
    merge(&mut endpoints, patch);
    endpoints
}

fn endpoint_url(field: &str) -> [Row; 2] {
    let url = |url: &str| create(json!({"issuer": {"endpoints": endpoints(&json!({field: url}))}}));
    [
        row(
            format!("issuer.endpoints.{field} must be an absolute https URL"),
            [
                url("https://login.example.com"),
                url("https://login.example.com:8443/oauth2/x?p=policy"),
                url("https://[2001:db8::1]/x"),
            ],
            [
                url("https:///x"),
                url("https://login.example.com/a\\b"),
                url("https://login.example.com/\u{fc}"),
                url("/oauth2/x").also("issuer.endpoints must be https"),
                url("ldap://login.example.com/x").also("issuer.endpoints must be https"),
            ],
        ),
        row(
            format!("issuer.endpoints.{field} must have no fragment"),
            [url("https://login.example.com/@x?a=b@c")],
            [
                url("https://login.example.com/x#a"),
                url("https://user@login.example.com/x"),
                url("https://user:password@login.example.com"),
            ],
        ),
    ]
}

/// Which document is read, and whether any.
fn documents() -> Vec<Row> {
    const ISSUER: &str = "https://dex.example.com/dex";
    let issuer = |patch: Value| create(json!({"issuer": patch}));
    let given = |mut patch: Value| {
        patch["endpoints"] = endpoints(&json!({"userinfo": null, "endSession": null}));
        create(json!({"issuer": patch}))
    };
    let plain =
        |field: &str| json!({"issuer": {"endpoints": endpoints(&json!({field: "http://login.example.com/x"}))}});
    vec![
        row(
            "issuer.internal.issuerURL must differ from issuerURL",
            [
                issuer(json!({"internal": {"issuerURL": "https://dex.identity.svc/dex"}})),
                issuer(json!({"internal": {"issuerURL": format!("{ISSUER}/")}})),
            ],
            [issuer(json!({"internal": {"issuerURL": ISSUER}}))],
        ),
        row(
            "issuer.discoveryURL must differ from issuerURL",
            [
                issuer(json!({"discoveryURL": "https://dex.example.com/"})),
                issuer(json!({"discoveryURL": format!("{ISSUER}/.well-known/openid-configuration")})),
            ],
            [
                issuer(json!({"discoveryURL": ISSUER})),
                issuer(json!({"discoveryURL": format!("{ISSUER}/")})),
            ],
        ),
        row(
            "issuer.endpoints excludes discoveryURL",
            [
                given(json!({})),
                given(json!({"internal": {"certificateAuthority": {"name": "inside"}}})),
                create(by_hand(&json!({"endpoints": endpoints(&json!({}))}))),
            ],
            [
                given(json!({"discoveryURL": "https://elsewhere.example.com/doc"})),
                given(json!({"internal": {"discoveryURL": "https://dex.identity.svc/doc"}})),
                given(json!({"internal": {"issuerURL": "https://dex.identity.svc/dex"}})),
            ],
        ),
        row(
            "issuer.endpoints must be https",
            [
                given(json!({})),
                insecure("Endpoints", plain("token")),
                insecure("Endpoints", plain("endSession")),
            ],
            [
                create(plain("authorization")),
                create(plain("token")),
                create(plain("userinfo")),
                create(plain("jwks")),
                create(plain("endSession")),
                insecure("Discovery", plain("token")),
            ],
        ),
    ]
}

fn immutable() -> Vec<Row> {
    vec![
        row(
            "type is immutable",
            [update(json!({}), json!({"resyncInterval": "5m"}))],
            [
                update(json!({}), keycloak(&json!({}))),
                update(keycloak(&json!({})), json!({})),
            ],
        ),
        row(
            "issuer.issuerURL is immutable",
            [
                update(
                    json!({}),
                    json!({"issuer": {"issuerCertificateAuthority": {"name": "dex-ca"}}}),
                ),
                update(authentik(&json!({})), {
                    let mut patch = authentik(&json!({}));
                    patch["resyncInterval"] = json!("5m");
                    patch
                }),
            ],
            [
                update(
                    json!({}),
                    json!({"issuer": {"issuerURL": "https://dex.example.com/other"}}),
                ),
                update(json!({}), json!({"issuer": {"issuerURL": null}}))
                    .also("issuer.issuerURL is required with every type but Authentik"),
            ],
        ),
        row(
            "dex.type is immutable",
            [update(json!({}), grpc(json!({"address": "dex.other.svc:5557"})))],
            [
                update(json!({}), json!({"dex": {"type": "Other", "grpc": null}})).widened(),
                update(json!({}), json!({"dex": {"type": "KubernetesStorage", "grpc": null}})),
                update(json!({"dex": {"type": "KubernetesStorage", "grpc": null}}), json!({})),
            ],
        ),
        row(
            "keycloak.realm is immutable",
            [update(
                keycloak(&json!({})),
                keycloak(&json!({"adminURL": "https://keycloak.example.com", "authRealm": "master"})),
            )],
            [update(keycloak(&json!({})), keycloak(&json!({"realm": "other"})))],
        ),
        row(
            "authentik.publicURL is immutable",
            [update(
                authentik(&json!({})),
                authentik(&json!({"adminURL": null, "authorizationFlow": "ask", "emailVerified": "AlwaysTrue"})),
            )],
            [
                update(
                    authentik(&json!({})),
                    authentik(&json!({"publicURL": "https://other.example.com"})),
                ),
                update(
                    authentik(&json!({})),
                    authentik(&json!({"publicURL": "https://auth.example.com/"})),
                ),
            ],
        ),
        fixed_choice("subMode", "hashed_user_id", ["user_username", "user_email"]),
        fixed_choice("issuerMode", "per_provider", ["global"; 2]),
    ]
}

/// A choice of authentik that cannot be changed; to write the default down changes nothing.
fn fixed_choice(field: &str, default: &str, others: [&str; 2]) -> Row {
    let unset = || authentik(&json!({}));
    let set = |value: &str| authentik(&json!({field: value}));
    row(
        format!("authentik.{field} is immutable"),
        [
            update(unset(), set(default)),
            update(set(default), unset()),
            update(set(others[0]), set(others[0])),
        ],
        [
            update(unset(), set(others[0])),
            update(set(others[1]), unset()),
            update(set(others[0]), set(default)),
        ],
    )
}

fn unions() -> Vec<Row> {
    vec![
        row(
            "dex must be set if, and only if, type is Dex",
            [
                create(json!({})),
                create(json!({"type": "Other", "dex": null})).widened(),
            ],
            [create(json!({"dex": null})), create(json!({"type": "Other"})).widened()],
        ),
        row(
            "keycloak must be set if, and only if, type is Keycloak",
            [create(json!({})), create(keycloak(&json!({})))],
            [
                create(json!({"type": "Keycloak", "dex": null})),
                create(json!({"keycloak": keycloak(&json!({}))["keycloak"]})),
            ],
        ),
        row(
            "authentik must be set if, and only if, type is Authentik",
            [create(json!({})), create(authentik(&json!({})))],
            [
                create(json!({"type": "Authentik", "dex": null, "issuer": {"issuerURL": null}})),
                create(json!({"authentik": authentik(&json!({}))["authentik"]})),
            ],
        ),
        row(
            "issuer must hold no more than issuerCertificateAuthority with type Authentik",
            [
                create(json!({})),
                create(authentik(&json!({}))),
                create(with_issuer(
                    json!({"issuerURL": null, "issuerCertificateAuthority": {"name": "authentik-ca"}}),
                )),
            ],
            [
                create(with_issuer(
                    json!({"issuerURL": "https://auth.example.com/application/o/shop/"}),
                )),
                create(with_issuer(
                    json!({"issuerURL": null, "internal": {"certificateAuthority": {"name": "authentik-ca"}}}),
                )),
                create(with_issuer(
                    json!({"issuerURL": null, "discoveryURL": "https://auth.example.com/doc"}),
                )),
                create(with_issuer(
                    json!({"issuerURL": null, "endpoints": endpoints(&json!({}))}),
                )),
            ],
        ),
        row(
            "issuer.issuerURL is required with every type but Authentik",
            [
                create(json!({})),
                create(by_hand(&json!({}))),
                create(registration(&json!({}))),
                create(authentik(&json!({}))),
            ],
            [
                create(json!({"issuer": {"issuerURL": null}})),
                create(json!({"issuer": null})),
                create(by_hand(&json!({"issuerURL": null}))),
                {
                    let mut patch = keycloak(&json!({}));
                    patch["issuer"] = json!({"issuerURL": null});
                    create(patch)
                },
            ],
        ),
        row(
            "dynamicRegistration must be set if, and only if, type is DynamicRegistration",
            [
                create(registration(&json!({}))),
                create(json!({"type": "DynamicRegistration", "dex": null, "dynamicRegistration": {}})),
            ],
            [
                create(json!({"type": "DynamicRegistration", "dex": null})),
                create(json!({"dynamicRegistration": {}})),
            ],
        ),
        row(
            "dynamicRegistration.registrationURL is required with issuer.endpoints",
            [
                create(with_endpoints(registration(&json!({})))),
                create(registration(&json!({"registrationURL": null}))),
            ],
            [create(with_endpoints(registration(&json!({"registrationURL": null}))))],
        ),
        row(
            "issuer.internal needs issuerURL, discoveryURL or certificateAuthority",
            [
                internal(json!({"issuerURL": "https://keycloak.identity.svc:8443/realms/apps"})),
                internal(
                    json!({"discoveryURL": "https://keycloak.identity.svc:8443/realms/apps/.well-known/openid-configuration"}),
                ),
                internal(json!({"certificateAuthority": {"name": "keycloak-ca"}})),
            ],
            [internal(json!({}))],
        ),
        row(
            "keycloak.credentials.clientCredentials must be set if, and only if",
            [create(keycloak(&json!({}))), create(keycloak_password(&json!({})))],
            [
                credentials(json!({"clientCredentials": null})),
                create({
                    let mut patch = keycloak_password(&json!({}));
                    patch["keycloak"]["credentials"]["clientCredentials"] =
                        keycloak(&json!({}))["keycloak"]["credentials"]["clientCredentials"].clone();
                    patch
                }),
            ],
        ),
        row(
            "keycloak.credentials.password must be set if, and only if",
            [create(keycloak(&json!({}))), create(keycloak_password(&json!({})))],
            [
                credentials(json!({"type": "Password", "clientCredentials": null})),
                credentials(json!({"password": keycloak_password(&json!({}))["keycloak"]["credentials"]["password"]})),
            ],
        ),
        row(
            "dex.grpc must be set if, and only if, dex.type is GRPC",
            [
                create(json!({})),
                create(json!({"dex": {"type": "Other", "grpc": null}})).widened(),
                create(json!({"dex": {"type": "KubernetesStorage", "grpc": null}})),
            ],
            [
                create(json!({"dex": {"grpc": null}})),
                create(json!({"dex": {"type": "KubernetesStorage"}})),
                create(json!({"dex": {"type": "Other"}})).widened(),
            ],
        ),
        row(
            "allowedNamespaces.selector must be set if, and only if, from is Selector",
            [
                namespaces(json!({"from": "Same"})),
                namespaces(json!({"from": "All"})),
                namespaces(json!({"from": "Selector", "selector": {"matchLabels": {"sso": "allowed"}}})),
                namespaces(json!({"from": "Selector", "selector": {}})),
            ],
            [
                namespaces(json!({"from": "Selector"})),
                namespaces(json!({"from": "All", "selector": {"matchLabels": {"sso": "allowed"}}})),
                namespaces(json!({"from": "Same", "selector": {}})),
            ],
        ),
        row(
            "matchExpressions: operator must be In or NotIn with values",
            [
                expression(json!({"key": "sso", "operator": "In", "values": ["allowed"]})),
                expression(json!({"key": "sso", "operator": "NotIn", "values": ["refused"]})),
                expression(json!({"key": "sso", "operator": "Exists"})),
                expression(json!({"key": "sso", "operator": "DoesNotExist", "values": []})),
            ],
            [
                expression(json!({"key": "sso", "operator": "In"})),
                expression(json!({"key": "sso", "operator": "NotIn", "values": []})),
                expression(json!({"key": "sso", "operator": "Exists", "values": ["x"]})),
                expression(json!({"key": "sso", "operator": "exists"})),
            ],
        ),
    ]
}

/// One whose endpoints are given by hand.
fn with_endpoints(mut patch: Value) -> Value {
    patch["issuer"] = json!({"endpoints": endpoints(&json!({}))});
    patch
}

/// One of authentik with this issuer.
fn with_issuer(issuer: Value) -> Value {
    let mut patch = authentik(&json!({}));
    patch["issuer"] = issuer;
    patch
}

fn transport() -> Vec<Row> {
    let plain = json!({"issuer": {"issuerURL": "http://dex.example.com/dex"}});
    let plain_document = json!({"issuer": {"discoveryURL": "http://dex.identity.svc/doc"}});
    let plain_internal = json!({"issuer": {"internal": {"issuerURL": "http://dex.identity.svc/dex"}}});
    let plain_discovery = json!({"issuer": {"internal": {"discoveryURL": "http://dex.identity.svc:5556/dex"}}});
    let plain_admin = keycloak(&json!({"adminURL": "http://keycloak.identity.svc:8080"}));
    let plain_public = authentik(&json!({"publicURL": "http://auth.example.com"}));
    let plain_inside = authentik(&json!({"adminURL": "http://authentik-server.authentik.svc"}));
    let plain_both = authentik(&json!({"publicURL": "http://auth.example.com", "adminURL": null}));
    let plain_registration = registration(&json!({"registrationURL": "http://sso.example.com/register"}));
    let neither = grpc(json!({"certificateAuthority": null, "clientCertificateSecretRef": null}));
    let authority_only = grpc(json!({"clientCertificateSecretRef": null}));
    let certificate_only = grpc(json!({"certificateAuthority": null}));
    vec![
        row(
            "issuer.issuerURL must be https",
            [create(json!({})), insecure("Discovery", plain.clone())],
            [
                create(plain.clone()),
                insecure("Endpoints", plain),
                issuer("HTTPS://dex.example.com/dex").also("issuerURL must start with https://"),
            ],
        ),
        row(
            "issuer.discoveryURL must be https",
            [
                create(json!({"issuer": {"discoveryURL": "https://dex.identity.svc/doc"}})),
                insecure("Discovery", plain_document.clone()),
            ],
            [create(plain_document.clone()), insecure("AdminAPI", plain_document)],
        ),
        row(
            "issuer.internal.issuerURL must be https",
            [
                internal(json!({"issuerURL": "https://dex.identity.svc/dex"})),
                insecure("Discovery", plain_internal.clone()),
            ],
            [create(plain_internal.clone()), insecure("AdminAPI", plain_internal)],
        ),
        row(
            "issuer.internal.discoveryURL must be https",
            [
                internal(json!({"discoveryURL": "https://dex.identity.svc/dex"})),
                insecure("Discovery", plain_discovery.clone()),
            ],
            [create(plain_discovery.clone()), insecure("AdminAPI", plain_discovery)],
        ),
        row(
            "keycloak.adminURL must be https",
            [create(keycloak(&json!({}))), insecure("AdminAPI", plain_admin.clone())],
            [create(plain_admin.clone()), insecure("Discovery", plain_admin)],
        ),
        row(
            "dynamicRegistration.registrationURL must be https",
            [
                create(registration(&json!({}))),
                insecure("AdminAPI", plain_registration.clone()),
            ],
            [
                create(plain_registration.clone()),
                insecure("Discovery", plain_registration),
            ],
        ),
        row(
            "authentik.publicURL must be https",
            [
                create(authentik(&json!({}))),
                insecure("Discovery", plain_public.clone()),
                create({
                    let mut patch = plain_both.clone();
                    patch["insecureTransport"] = json!({"allowed": ["Discovery", "AdminAPI"]});
                    patch
                }),
            ],
            [
                create(plain_public.clone()),
                insecure("AdminAPI", plain_public),
                insecure("AdminAPI", plain_both.clone()),
            ],
        ),
        row(
            "authentik.adminURL, or publicURL in its place, must be https",
            [
                create(authentik(&json!({}))),
                create(authentik(&json!({"adminURL": null}))),
                insecure("AdminAPI", plain_inside.clone()),
            ],
            [
                create(plain_inside.clone()),
                insecure("Discovery", plain_inside),
                insecure("Discovery", plain_both),
            ],
        ),
        row(
            "dex.grpc needs certificateAuthority and clientCertificateSecretRef",
            [
                create(json!({})),
                insecure("AdminAPI", neither.clone()),
                insecure("AdminAPI", authority_only.clone()),
            ],
            [
                create(neither.clone()),
                create(authority_only),
                insecure("Discovery", neither),
            ],
        ),
        row(
            "dex.grpc.clientCertificateSecretRef needs certificateAuthority",
            [create(json!({})), insecure("AdminAPI", json!({}))],
            [insecure("AdminAPI", certificate_only)],
        ),
    ]
}

/// The rules of `server_url!`: `field` is its name in them, `https` the one in the rule on transport.
fn server_url(field: &str, https: &str, url: &dyn Fn(&str) -> Attempt) -> Vec<Row> {
    let https = format!("{https} must be https");
    let scheme = format!("{field} must start with https://");
    vec![
        row(
            format!("{field} must be an absolute URL with a host"),
            [
                url("https://dex.example.com"),
                url("https://dex.example.com:8443/dex/"),
                url("https://[2001:db8::1]:5556/dex"),
            ],
            [
                url("https:///dex"),
                url("https://:443/dex"),
                url("https://dex.example.com:port/dex"),
                url("dex.example.com/dex").also(&https).also(&scheme),
                url("/dex").also(&https).also(&scheme),
            ],
        ),
        row(
            &scheme,
            [url("https://dex.example.com/a-b_c~d.e:f,g;h=i(j)'k'%20")],
            [
                url("ftp://dex.example.com/dex").also(&https),
                url("https://dex.example.com/d\u{e9}x"),
                url("https://dex.example.com/a b"),
                url("https://dex.example.com/a\\b"),
            ],
        ),
        row(
            format!("{field} must have no query"),
            [url("https://dex.example.com/a")],
            [
                url("https://dex.example.com/dex?a=b"),
                url("https://dex.example.com/dex?"),
            ],
        ),
        row(
            format!("{field} must have no fragment"),
            [url("https://dex.example.com/a")],
            [
                url("https://dex.example.com/dex#a"),
                url("https://dex.example.com/dex#"),
            ],
        ),
        row(
            format!("{field} must have no user information"),
            [url("https://dex.example.com/a")],
            [
                url("https://user:password@dex.example.com/dex"),
                url("https://dex.example.com/@dex"),
            ],
        ),
    ]
}

/// References to Secrets and ConfigMaps, each with the object that refers so.
fn references() -> Vec<Row> {
    let mut rows = Vec::new();
    rows.extend(reference("dex.grpc.certificateAuthority", &|reference| {
        create(grpc(json!({"certificateAuthority": reference})))
    }));
    rows.extend(reference("issuer.internal.certificateAuthority", &|reference| {
        internal(json!({"certificateAuthority": reference}))
    }));
    rows.extend(reference("keycloak.certificateAuthority", &|reference| {
        create(keycloak(&json!({"certificateAuthority": reference})))
    }));
    rows.extend(reference(
        "keycloak.credentials.clientCredentials.clientSecretRef",
        &|reference| credentials(json!({"clientCredentials": {"clientSecretRef": reference}})),
    ));
    rows.extend(reference(
        "keycloak.credentials.password.usernameSecretRef",
        &|reference| create(keycloak_password(&json!({"usernameSecretRef": reference}))),
    ));
    rows.extend(reference(
        "keycloak.credentials.password.passwordSecretRef",
        &|reference| create(keycloak_password(&json!({"passwordSecretRef": reference}))),
    ));
    rows.extend(reference("authentik.certificateAuthority", &|reference| {
        create(authentik(&json!({"certificateAuthority": reference})))
    }));
    rows.extend(reference("authentik.tokenSecretRef", &|reference| {
        create(authentik(&json!({"tokenSecretRef": reference})))
    }));
    rows.extend(reference(
        "dynamicRegistration.initialAccessTokenSecretRef",
        &|reference| create(registration(&json!({"initialAccessTokenSecretRef": reference}))),
    ));
    rows
}

pub(crate) fn reference(field: &str, patch: &dyn Fn(Value) -> Attempt) -> [Row; 2] {
    let name = |name: &str| patch(json!({"name": name, "key": "key"}));
    let key = |key: &str| patch(json!({"name": "name", "key": key}));
    [
        row(
            format!("{field}.name must be a DNS subdomain"),
            [name("ca"), name("ca.example-2.com")],
            [name("a/b"), name("-ca"), name("../secrets/x"), name("CA")],
        ),
        row(
            format!("{field}.key must be a key"),
            [key("ca.crt"), key("CA_Bundle-1.pem"), key(".ca")],
            [key("a/b"), key("a b"), key("."), key(".."), key("..ca")],
        ),
    ]
}

fn shapes() -> Vec<Row> {
    let authority = |name: &str| create(json!({"issuer": {"issuerCertificateAuthority": {"name": name}}}));
    let client_id = |id: &str| credentials(json!({"clientCredentials": {"clientID": id}}));
    let key = |name: &str| create(authentik(&json!({"signingKey": name})));
    let certificate = |name: &str| create(grpc(json!({"clientCertificateSecretRef": {"name": name}})));
    let timeout = |text: &str| create(json!({"adminAPI": {"timeout": text}}));
    let resync = |text: &str| create(json!({"resyncInterval": text}));
    vec![
        row(
            "issuerCertificateAuthority.name must be a DNS subdomain",
            [authority("ca"), authority("ca.example-2.com")],
            [
                authority("CA"),
                authority("../secrets/x"),
                authority("a..b"),
                authority("a_b"),
            ],
        ),
        row(
            "dex.grpc.clientCertificateSecretRef.name must be a DNS subdomain",
            [certificate("tls")],
            [certificate("a/b"), certificate("tls.")],
        ),
        row(
            "dex.grpc.address must be host:port",
            [
                address("dex.identity.svc:5557"),
                address("127.0.0.1:1"),
                address("[::1]:65535"),
                address("dex:60000"),
            ],
            [
                address("dex"),
                address("dex:0"),
                address("dex:05557"),
                address("dex:65536"),
                address("dex:99999"),
                address(":5557"),
                address("https://dex:5557"),
                address("dex:5557/api"),
                address("user@dex:5557"),
            ],
        ),
        realm("keycloak.realm", &|realm| create(keycloak(&json!({"realm": realm})))),
        realm("keycloak.authRealm", &|realm| {
            create(keycloak(&json!({"authRealm": realm})))
        }),
        row(
            "keycloak.credentials.clientCredentials.clientID must hold",
            [client_id("oidc-operator"), client_id("a:b c\\~")],
            [client_id("a\n"), client_id("\u{fc}"), client_id("a\u{7f}")],
        ),
        slug("authorizationFlow"),
        slug("invalidationFlow"),
        row(
            "authentik.signingKey must hold no control characters",
            [
                key("authentik Self-signed Certificate"),
                key("K\u{fc}che & S\u{f6}hne, 2026"),
            ],
            [key("a\nb"), key("a\u{85}"), key("a\u{202e}b")],
        ),
        row(
            "adminAPI.timeout must be between 1s and 60s",
            [timeout("1s"), timeout("1000ms"), timeout("60s"), timeout("1m")],
            [timeout("999ms"), timeout("61s"), timeout("0s"), timeout("1h")],
        ),
        row(
            "resyncInterval must be between 5s and 24h",
            [resync("5s"), resync("1h30m"), resync("24h")],
            [resync("4s"), resync("24h1s"), resync("99999h")],
        ),
    ]
}

fn slug(field: &str) -> Row {
    let slug = |slug: &str| create(authentik(&json!({field: slug})));
    row(
        format!("authentik.{field} must be a slug"),
        [slug("default-provider-authorization-explicit-consent"), slug("-_A9")],
        [
            slug("a b"),
            slug("a/b"),
            slug("../a"),
            slug("a?b"),
            slug("\u{fc}"),
            slug("a\n"),
        ],
    )
}

fn realm(field: &str, realm: &dyn Fn(&str) -> Attempt) -> Row {
    row(
        format!("{field} must hold no"),
        [realm("apps"), realm("My realm.2"), realm("..."), realm("\u{fc}ber")],
        [
            realm("a/b"),
            realm("a\\b"),
            realm("a?b"),
            realm("a#b"),
            realm("a%2fb"),
            realm("a;b"),
            realm("a\nb"),
            realm("a\u{85}b"),
            realm("."),
            realm(".."),
        ],
    )
}
