//! Every CEL rule of OIDCClient, both ways.

use serde_json::{Value, json};

use crate::table::{Attempt, Row, create, row, update};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn redirect(uri: &str) -> Attempt {
    create(json!({"redirectURIs": ["https://app.example.com/first", uri]}))
}

fn grants(grants: &[&str]) -> Attempt {
    create(json!({"grantTypes": grants}))
}

fn claim(claim: Value) -> Attempt {
    create(json!({"claims": [claim]}))
}

fn constant(name: &str) -> Attempt {
    claim(json!({"name": name, "type": "Constant", "constant": {"value": "x"}}))
}

fn attribute(name: &str) -> Attempt {
    claim(json!({"name": name, "type": "UserAttribute", "userAttribute": {"attribute": "x"}}))
}

fn groups(name: &str) -> Attempt {
    claim(json!({"name": name, "type": "Groups", "groups": {"path": "Name"}}))
}

fn secret(patch: Value) -> Attempt {
    create(json!({"outputs": {"secret": patch}}))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = immutable();
    rows.extend(names());
    rows.extend(meaning());
    rows.extend(redirect_uris());
    rows.extend(texts());
    rows.extend(claims());
    rows.extend(keys("labels", &LABELS));
    rows.extend(keys("annotations", &ANNOTATIONS));
    rows.push(label_values());
    rows
}

fn immutable() -> Vec<Row> {
    let provider = |reference: Value| json!({"providerRef": reference});
    let there = || provider(json!({"name": "dex", "namespace": "identity"}));
    vec![
        row(
            "providerRef is immutable",
            [update(
                there(),
                json!({"providerRef": {"name": "dex", "namespace": "identity"}, "displayName": "A shop"}),
            )],
            [
                update(there(), provider(json!({"name": "keycloak", "namespace": "identity"}))),
                update(there(), provider(json!({"name": "dex", "namespace": "other"}))),
                update(there(), json!({})),
                update(json!({}), there()),
            ],
        ),
        row(
            "clientID is immutable",
            [
                update(
                    json!({"clientID": "shop"}),
                    json!({"clientID": "shop", "displayName": "A shop"}),
                ),
                update(json!({}), json!({"displayName": "A shop"})),
            ],
            [
                update(json!({"clientID": "shop"}), json!({"clientID": "other"})),
                update(json!({"clientID": "shop"}), json!({})),
                update(json!({}), json!({"clientID": "shop"})),
            ],
        ),
    ]
}

fn names() -> Vec<Row> {
    let id = || json!({"clientID": "shop"});
    let both = |outputs: Value| json!({"clientID": "shop", "outputs": outputs});
    let client_id = |id: &str| create(json!({"clientID": id}));
    let provider = |name: &str| create(json!({"providerRef": {"name": name}}));
    let namespace = |name: &str| create(json!({"providerRef": {"namespace": name}}));
    let secret_name = |name: &str| secret(json!({"name": name}));
    let config_map_name = |name: &str| create(json!({"outputs": {"configMap": {"name": name}}}));
    vec![
        row(
            "metadata.name must have at most 86 characters",
            [
                create(json!({})).named("n".repeat(86)),
                create(id()).named("n".repeat(87)),
            ],
            [create(json!({})).named("n".repeat(87))],
        ),
        row(
            "metadata.name must have at most 243 characters",
            [
                create(id()).named("n".repeat(243)),
                create(both(json!({"secret": {"name": "shop"}}))).named("n".repeat(244)),
            ],
            [
                create(id()).named("n".repeat(244)),
                create(both(json!({"secret": {}}))).named("n".repeat(244)),
            ],
        ),
        row(
            "metadata.name must have at most 248 characters",
            [
                create(both(json!({"secret": {"name": "shop"}}))).named("n".repeat(248)),
                create(both(json!({"secret": {"name": "shop"}, "configMap": {"name": "shop"}}))).named("n".repeat(249)),
            ],
            [create(both(json!({"secret": {"name": "shop"}}))).named("n".repeat(249))],
        ),
        row(
            "providerRef.name must be a DNS subdomain",
            [provider("dex"), provider("dex.prod-2")],
            [provider("../dex"), provider("Dex"), provider("dex.")],
        ),
        row(
            "providerRef.namespace must be a DNS label",
            [namespace("identity"), namespace("team-1")],
            [
                namespace("a/b"),
                namespace("a.b"),
                namespace("Identity"),
                namespace("-a"),
            ],
        ),
        row(
            "clientID must hold printable ASCII characters only",
            [
                client_id("shop"),
                client_id("0oabc123/def@x_y-z.~!\"#'\\"),
                client_id("https;//shop"),
            ],
            [
                client_id("a:b"),
                client_id("a b"),
                client_id("a\tb"),
                client_id("a\n"),
                client_id("sh\u{f6}p"),
                client_id("a\u{7f}"),
            ],
        ),
        row(
            "clientID must not start with oidc-operator.io/",
            [client_id("oidc-operator.io"), client_id("x/oidc-operator.io/")],
            [client_id("oidc-operator.io/x")],
        ),
        row(
            "outputs.secret.name must be a DNS subdomain",
            [secret_name("shop-oidc"), secret_name("a.b")],
            [
                secret_name("Shop"),
                secret_name("a_b"),
                secret_name("a/b"),
                secret_name("a."),
            ],
        ),
        row(
            "outputs.configMap.name must be a DNS subdomain",
            [config_map_name("shop-oidc"), config_map_name("a.b")],
            [config_map_name("Shop"), config_map_name("../x")],
        ),
    ]
}

fn meaning() -> Vec<Row> {
    let method = |type_: &str, method: &str| create(json!({"type": type_, "tokenEndpointAuthMethod": method}));
    let public = |patch: Value| {
        let mut patch = patch;
        patch["type"] = json!("Public");
        create(patch)
    };
    let scopes = |scopes: &[&str]| create(json!({"scopes": scopes}));
    vec![
        row(
            "tokenEndpointAuthMethod none goes with type Public",
            [
                method("Confidential", "client_secret_post"),
                method("Confidential", "client_secret_basic"),
                method("Public", "none"),
                public(json!({})),
            ],
            [
                method("Confidential", "none"),
                create(json!({"tokenEndpointAuthMethod": "none"})),
                method("Public", "client_secret_basic"),
                update(
                    json!({"tokenEndpointAuthMethod": "client_secret_post"}),
                    json!({"type": "Public", "tokenEndpointAuthMethod": "client_secret_post"}),
                ),
            ],
        ),
        row(
            "a Public client cannot use client_credentials",
            [
                grants(&["authorization_code", "client_credentials"]),
                public(json!({"grantTypes": ["authorization_code"]})),
            ],
            [public(
                json!({"grantTypes": ["authorization_code", "client_credentials"]}),
            )],
        ),
        row(
            "redirectURIs is required for authorization_code",
            [
                create(json!({"grantTypes": ["client_credentials"], "redirectURIs": null})),
                create(json!({"grantTypes": [DEVICE_CODE], "redirectURIs": []})),
                create(json!({})),
            ],
            [
                create(json!({"redirectURIs": null})),
                create(json!({"redirectURIs": []})),
                create(json!({"redirectURIs": null, "grantTypes": ["authorization_code"]})),
            ],
        ),
        row(
            "grantTypes: refresh_token needs authorization_code or device_code",
            [
                grants(&["authorization_code", "refresh_token"]),
                grants(&[DEVICE_CODE, "refresh_token"]),
            ],
            [
                grants(&["refresh_token"]),
                grants(&["client_credentials", "refresh_token"]),
            ],
        ),
        row(
            "scopes must hold openid",
            [
                scopes(&["openid"]),
                scopes(&["email", "openid"]),
                create(json!({"scopes": ["api"], "grantTypes": ["client_credentials"]})),
            ],
            [
                scopes(&["email"]),
                create(json!({"scopes": ["email"], "grantTypes": ["authorization_code"]})),
            ],
        ),
        row(
            "a Public client must use PKCE",
            [
                public(json!({"pkce": "Required"})),
                public(json!({})),
                create(json!({"pkce": "Optional"})),
            ],
            [public(json!({"pkce": "Optional"}))],
        ),
    ]
}

fn redirect_uris() -> Vec<Row> {
    vec![
        row(
            "a redirect URI must be absolute",
            [
                redirect("https://app.example.com"),
                redirect("HTTPS://app.example.com/cb?x=y&z=%20"),
                redirect("com.example.app:/cb"),
                redirect("com.example.app:/"),
                redirect("my-app+x.1://cb"),
                // Wildcards and plain http to other hosts depend on the provider's grants: not CEL's business.
                redirect("https://*.example.com/*"),
                redirect("http://app.example.com/cb"),
            ],
            [
                redirect("/cb"),
                redirect("//app.example.com/cb"),
                redirect("app.example.com/cb"),
                redirect("localhost:8080/cb"),
                redirect("app.example.com:443/cb"),
                redirect("*"),
                redirect("urn:ietf:wg:oauth:2.0:oob"),
                redirect("1app:/cb"),
                redirect(" https://app.example.com/cb"),
                redirect("https://app.example.com/a b"),
                redirect("https://app.example.com/caf\u{e9}"),
                redirect("https://b\u{fc}cher.example.com/cb"),
                redirect("https://app.example.com/cb\n"),
            ],
        ),
        row(
            "a redirect URI must have no fragment",
            [redirect("https://app.example.com/a%23b")],
            [
                redirect("https://app.example.com/cb#x"),
                redirect("https://app.example.com/cb#"),
                redirect("https://app.example.com#"),
            ],
        ),
        row(
            "a redirect URI must have no backslash",
            [redirect("https://app.example.com/a/b")],
            [
                redirect("https://app.example.com/a\\b"),
                redirect("https://app.example.com\\.evil.example.com/cb"),
                redirect("https://app.example.com\\@evil.example.com/cb")
                    .also("a redirect URI must have no user information"),
            ],
        ),
        row(
            "a redirect URI must have no user information",
            [
                redirect("https://app.example.com/@me/cb"),
                redirect("https://app.example.com/cb?mail=a@example.com"),
                redirect("https://app.example.com?mail=a@example.com"),
                redirect("com.example.app:/cb@x"),
            ],
            [
                redirect("https://user:password@app.example.com/cb"),
                redirect("https://app.example.com@evil.example.com/cb"),
                redirect("http://localhost:80@evil.example.com/cb"),
                redirect("my-app://user@cb"),
                redirect("https://@app.example.com/cb"),
            ],
        ),
        row(
            "a redirect URI must have no '..' in its path",
            [
                redirect("https://app.example.com/a..b/c"),
                redirect("https://app.example.com/.../c"),
                redirect("https://app.example.com/..a"),
                redirect("https://app.example.com/.well-known/cb"),
                redirect("https://app.example.com/cb?next=/../x"),
                redirect("https://app.example.com/%2e/c"),
            ],
            [
                redirect("https://app.example.com/a/../b"),
                redirect("https://app.example.com/.."),
                redirect("https://app.example.com/..?x=y"),
                redirect("https://app.example.com/%2e%2e/b"),
                redirect("https://app.example.com/%2E./b"),
                redirect("https://app.example.com/.%2e"),
                redirect("https://app.example.com/a%2f..%2Fb"),
                redirect("https://app.example.com/a%5c..%5cb"),
                redirect("https://app.example.com/%252e%252E/b"),
                redirect("https://app.example.com/a%252f../b"),
                redirect("https://app.example.com/..;x=y/b"),
                redirect("com.example.app:/../cb"),
                redirect("https://app.example.com/a\\..\\b").also("a redirect URI must have no backslash"),
            ],
        ),
        row(
            "a redirect URI must not use a scheme that runs or reads local content",
            [
                redirect("com.example.app:/cb"),
                redirect("javascripts://cb"),
                redirect("https://app.example.com/javascript:x"),
            ],
            [
                redirect("javascript://app.example.com/%0aalert(1)"),
                redirect("JavaScript:/x"),
                redirect("javascript:alert(1)").also("a redirect URI must be absolute"),
                redirect("data:/text/html,x"),
                redirect("data:text/html,x").also("a redirect URI must be absolute"),
                redirect("vbscript:/x"),
                redirect("file:///etc/passwd"),
                redirect("blob:/x"),
                redirect("about:/blank"),
                redirect("filesystem:/x"),
                redirect("view-source:/x"),
                redirect("jar:/x"),
            ],
        ),
        row(
            "a redirect URI of scheme http or https must name a host",
            [
                redirect("http://localhost:8080"),
                redirect("http://127.0.0.1:5000/callback"),
                redirect("http://[::1]:8080/cb"),
                redirect("com.example.app:///cb"),
            ],
            [
                redirect("https:///x"),
                redirect("https:/app.example.com/cb"),
                redirect("HTTP:///x"),
                redirect("https://"),
                redirect("https://:443/cb"),
                redirect("https://?x"),
            ],
        ),
        row(
            "redirectURIs must differ from each other",
            [
                redirect("https://app.example.com/second"),
                redirect("https://app.example.com/First"),
            ],
            [redirect("https://app.example.com/first")],
        ),
    ]
}

fn texts() -> Vec<Row> {
    let logo = |uri: &str| create(json!({"logoURI": uri}));
    let display = |name: &str| create(json!({"displayName": name}));
    let scope = |scope: &str| create(json!({"scopes": ["openid", scope]}));
    vec![
        row(
            "logoURI must be an http or https URL",
            [
                logo("https://app.example.com/logo.png"),
                logo("http://[::1]/x"),
                logo("https://app.example.com/a?b=c#d"),
            ],
            [
                logo("javascript:alert(1)"),
                logo("data:image/png;base64,AA=="),
                logo("/logo.png"),
                logo("https:///logo.png"),
                logo("https://app.example.com/a b"),
                logo("https://\u{fc}.example.com/logo.png"),
            ],
        ),
        row(
            "displayName must hold no control characters",
            [
                display("A shop"),
                display("K\u{fc}che \u{1f373} \u{2019}<b>"),
                display("\u{5d0}"),
            ],
            [
                display("a\nb"),
                display("a\u{0}b"),
                display("a\u{7f}"),
                display("a\u{85}b"),
                display("a\u{2028}b"),
                display("a\u{202e}b"),
                display("a\u{2066}b"),
            ],
        ),
        row(
            "a scope must hold printable ASCII characters",
            [
                scope("profile"),
                scope("audience:server:client_id:shop"),
                scope("https://example.com/a[b]!#'"),
            ],
            [
                scope("a b"),
                scope("a\"b"),
                scope("a\\b"),
                scope("\u{fc}"),
                scope("a\n"),
            ],
        ),
    ]
}

fn claims() -> Vec<Row> {
    vec![
        row(
            "a claim of type Constant or UserAttribute must not be named",
            [
                constant("tier"),
                constant("issuer"),
                constant("my.sub"),
                attribute("department"),
                attribute("email_domain"),
                groups("groups"),
            ],
            [
                constant("iss"),
                constant("sub"),
                constant("aud"),
                constant("azp"),
                constant("exp"),
                constant("nonce"),
                constant("acr"),
                constant("amr"),
                constant("email"),
                attribute("email_verified"),
                attribute("preferred_username"),
                attribute("groups"),
                attribute("roles"),
                attribute("realm_access"),
                attribute("resource_access"),
                attribute("sub"),
                constant("realm_access.roles"),
                attribute("resource_access.shop.roles"),
            ],
        ),
        row(
            "a claim of type Groups must not be named",
            [
                groups("groups"),
                groups("roles"),
                groups("teams"),
                groups("realm_access.roles"),
            ],
            [
                groups("sub"),
                groups("email"),
                groups("preferred_username"),
                groups("aud"),
                groups("sub.x"),
            ],
        ),
        row(
            "claims[].constant must be set if, and only if, type is Constant",
            [constant("tier"), groups("groups")],
            [
                claim(json!({"name": "tier", "type": "Constant"})),
                claim(
                    json!({"name": "tier", "type": "UserAttribute", "userAttribute": {"attribute": "x"}, "constant": {"value": "x"}}),
                ),
            ],
        ),
        row(
            "claims[].userAttribute must be set if, and only if, type is UserAttribute",
            [attribute("dept"), groups("groups")],
            [
                claim(json!({"name": "dept", "type": "UserAttribute"})),
                claim(json!({"name": "dept", "type": "Groups", "userAttribute": {"attribute": "x"}})),
            ],
        ),
        row(
            "claims[].groups goes with type Groups only",
            [groups("groups"), claim(json!({"name": "groups", "type": "Groups"}))],
            [claim(
                json!({"name": "tier", "type": "Constant", "constant": {"value": "x"}, "groups": {"path": "Name"}}),
            )],
        ),
    ]
}

/// The start of a message for each of the two maps.
struct KeyRules {
    foreign: &'static str,
    legal: &'static str,
}

const LABELS: KeyRules = KeyRules {
    foreign: "outputs.secret.labels must not use keys of",
    legal: "outputs.secret.labels must have legal keys",
};

const ANNOTATIONS: KeyRules = KeyRules {
    foreign: "outputs.secret.annotations must not use keys of",
    legal: "outputs.secret.annotations must have legal keys",
};

fn keys(map: &str, rules: &KeyRules) -> Vec<Row> {
    let key = |key: &str| secret(json!({map: {"fine": "x", key: "x"}}));
    let label = |length: usize| format!("{}/x", vec!["a"; length.div_ceil(2)].join("."));
    vec![
        row(
            rules.foreign,
            [
                key("team"),
                key("example.com/team"),
                key("app.kubernetes.io/part-of"),
                key("app.kubernetes.io/name"),
                key("notkubernetes.io/x"),
                key("kubernetes.io.example.com/x"),
                key("kubernetes.io"),
                key("my-oidc-operator.io/x"),
            ],
            [
                key("kubernetes.io/service-account.name"),
                key("app.kubernetes.io/instance"),
                key("app.kubernetes.io/managed-by"),
                key("x.app.kubernetes.io/part-of"),
                key("pod-security.kubernetes.io/enforce"),
                key("k8s.io/x"),
                key("node.k8s.io/x"),
                key("argocd.argoproj.io/secret-type"),
                key("argoproj.io/x"),
                key("oidc-operator.io/client-uid"),
                key("x.oidc-operator.io/x"),
            ],
        ),
        row(
            rules.legal,
            [
                key("A"),
                key("a-b_c.D9"),
                key(&"a".repeat(63)),
                key(&format!("example.com/{}", "a".repeat(63))),
                key(&label(253)),
            ],
            [
                key(""),
                key("a b"),
                key("-a"),
                key("a."),
                key("a/b/c"),
                key("/a"),
                key("a/"),
                key("Example.com/a"),
                key("a..b/c"),
                key("a_b/c"),
                key(&"a".repeat(64)),
                key(&label(255)),
                key("k\u{e9}y"),
            ],
        ),
    ]
}

fn label_values() -> Row {
    let value = |value: &str| secret(json!({"labels": {"team": value}}));
    row(
        "outputs.secret.labels must have legal values",
        [value(""), value("a"), value("A-b_c.9"), value(&"a".repeat(63))],
        [value("a b"), value("-a"), value("a."), value("a/b"), value("\u{e9}")],
    )
}
