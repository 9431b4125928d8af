//! Every CEL rule of OIDCClient, both ways.

use serde_json::{Value, json};

use crate::{
    provider::reference,
    table::{Attempt, Row, create, row, update},
};

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn redirect(uri: &str) -> Attempt {
    create(json!({"redirectURIs": ["https://app.example.com/first", uri]}))
}

fn post_logout(uri: &str) -> Attempt {
    create(json!({"postLogoutRedirectURIs": ["https://app.example.com/first", uri]}))
}

fn origin(origin: &str) -> Attempt {
    create(json!({"webOrigins": [origin]}))
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

fn roles(type_: &str, name: &str) -> Attempt {
    claim(json!({"name": name, "type": type_}))
}

fn secret(patch: Value) -> Attempt {
    create(json!({"outputs": {"secret": patch}}))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = immutable();
    rows.extend(names());
    rows.extend(meaning());
    rows.extend(browser_uri("a redirect URI", &redirect));
    rows.extend(browser_uri("a post-logout redirect URI", &post_logout));
    rows.push(different_redirect_uris());
    rows.extend(web_origins());
    rows.extend(logout());
    rows.extend(texts());
    rows.extend(claims());
    rows.extend(credentials());
    rows.extend(rotation());
    rows.extend(contents());
    rows.extend(keys("labels", &LABELS));
    rows.extend(keys("annotations", &ANNOTATIONS));
    rows.push(label_values());
    rows.push(workload_names());
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

fn workload_names() -> Row {
    let workload = |name: &str| create(json!({"rolloutRestart": [{"kind": "Deployment", "name": name}]}));
    row(
        "rolloutRestart[].name must be a DNS subdomain",
        [workload("shop"), workload("shop.web-1")],
        [
            workload("Shop"),
            workload("shop_web"),
            workload("-shop"),
            workload("shop/web"),
        ],
    )
}

fn rotation() -> Vec<Row> {
    let rotation = |rotation: Value| create(json!({"credentials": {"rotation": rotation}}));
    let interval = |interval: &str| rotation(json!({"interval": interval}));
    let window = |duration: &str| {
        rotation(
            json!({"interval": "720h", "window": {"start": "02:00", "duration": duration, "timeZone": "Europe/Berlin"}}),
        )
    };
    let overlap = |overlap: &str| rotation(json!({"interval": "43800h", "overlap": overlap}));
    let beside = json!({"existingSecretRef": {"name": "by-hand"}, "rotation": {"interval": "720h"}});
    vec![
        row(
            "credentials.rotation does not go with existingSecretRef",
            [
                interval("720h"),
                create(json!({"credentials": {"existingSecretRef": {"name": "by-hand"}}})),
            ],
            [create(json!({ "credentials": beside }))],
        ),
        row(
            "credentials.rotation goes with type Confidential only",
            [interval("720h"), create(json!({"type": "Public", "credentials": {}}))],
            [create(
                json!({"type": "Public", "credentials": {"rotation": {"interval": "720h"}}}),
            )],
        ),
        row(
            "credentials.rotation.interval must be between 1m and 43800h",
            [interval("1m"), interval("43800h"), interval("720h30m")],
            [interval("59s"), interval("43801h"), interval("1m500ms")],
        ),
        row(
            "credentials.rotation.overlap must be between 5s and 8760h",
            [overlap("5s"), overlap("8760h")],
            [overlap("4s"), overlap("8761h"), overlap("1m1ms")],
        ),
        row(
            "credentials.rotation.overlap must be shorter than the interval",
            [overlap("1h30m")],
            [rotation(json!({"interval": "720h", "overlap": "720h"}))],
        ),
        row(
            "credentials.rotation.window.duration must be between 10m and 24h",
            [window("10m"), window("24h")],
            [window("9m59s"), window("24h1s")],
        ),
    ]
}

/// What the outputs hold.
fn contents() -> Vec<Row> {
    let secret = |patch: Value| create(json!({"outputs": {"secret": patch}}));
    let template = |key: &str| json!([{"key": key, "value": "x"}]);
    let generate = |key: &str| json!([{"key": key}]);
    let mount = |path: &str| create(json!({"outputs": {"mountPath": path}}));
    let keys = |message: &'static str, attempt: &dyn Fn(&str) -> Attempt| {
        row(
            message,
            ["application.properties", "A_b-c.1", ".hidden"].map(attempt),
            ["a/b", "a b", "..", "..data", "."].map(attempt),
        )
    };
    vec![
        keys("outputs.secret.templates[].key must be a key", &|key| {
            secret(json!({ "templates": template(key) }))
        }),
        keys("outputs.secret.generate[].key must be a key", &|key| {
            secret(json!({ "generate": generate(key) }))
        }),
        keys("outputs.configMap.templates[].key must be a key", &|key| {
            create(json!({"outputs": {"configMap": {"templates": template(key)}}}))
        }),
        row(
            "outputs.secret: a key must not stand under both templates and generate",
            [secret(json!({"templates": template("a"), "generate": generate("b")}))],
            [secret(json!({"templates": template("a"), "generate": generate("a")}))],
        ),
        row(
            "outputs.mountPath must be an absolute path",
            [mount("/etc/oidc"), mount("/run/secrets/oidc_1.d")],
            [
                mount("etc/oidc"),
                mount("/"),
                mount("/etc/oidc/"),
                mount("/etc/../oidc"),
                mount("/a b"),
                mount("/a//b"),
            ],
        ),
    ]
}

fn credentials() -> Vec<Row> {
    let existing = |reference: Value| create(json!({"credentials": {"existingSecretRef": reference}}));
    let beside = |name: &str, outputs: Value| {
        create(json!({"credentials": {"existingSecretRef": {"name": name}}, "outputs": outputs})).named("shop")
    };
    let public = |credentials: Value| create(json!({"type": "Public", "credentials": credentials}));
    let mut rows = vec![
        row(
            "credentials.existingSecretRef goes with type Confidential only",
            [existing(json!({"name": "by-hand"})), public(json!({}))],
            [public(json!({"existingSecretRef": {"name": "by-hand"}}))],
        ),
        row(
            "credentials.existingSecretRef.name must not be the name of the output Secret",
            [
                beside("shop", json!(null)),
                beside("shop-oidc", json!({"secret": {"name": "creds"}})),
                beside("shop-next", json!({"secret": {}})),
            ],
            [
                beside("shop-oidc", json!(null)),
                beside("shop-oidc-next", json!(null)),
                beside("shop-oidc", json!({"secret": {}})),
                beside("shop-oidc", json!({"configMap": {"name": "creds"}})),
                beside("creds", json!({"secret": {"name": "creds"}})),
                beside("creds-next", json!({"secret": {"name": "creds"}})),
            ],
        ),
    ];
    rows.extend(reference("credentials.existingSecretRef", &existing));
    rows
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
                method("Confidential", "private_key_jwt"),
                method("Public", "none"),
                public(json!({})),
            ],
            [
                method("Confidential", "none"),
                create(json!({"tokenEndpointAuthMethod": "none"})),
                method("Public", "client_secret_basic"),
                method("Public", "private_key_jwt"),
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
            "optionalScopes must not hold what scopes holds",
            [
                create(json!({"optionalScopes": ["phone", "groups"]})),
                create(json!({"optionalScopes": ["email"], "scopes": ["openid"]})),
                create(json!({"optionalScopes": [], "scopes": ["openid"]})),
            ],
            [
                create(json!({"optionalScopes": ["phone", "email"]})),
                create(json!({"optionalScopes": ["profile"]})),
                create(json!({"optionalScopes": ["phone"], "scopes": ["openid", "phone"]})),
            ],
        ),
        row(
            "tokenLifetimes needs accessToken or refreshToken",
            [
                create(json!({"tokenLifetimes": {"accessToken": "5m"}})),
                create(json!({"tokenLifetimes": {"refreshToken": "24h"}})),
                create(json!({"tokenLifetimes": {"accessToken": "5m", "refreshToken": "24h"}})),
            ],
            [create(json!({"tokenLifetimes": {}}))],
        ),
        row(
            "tokenLifetimes.refreshToken needs refresh_token in grantTypes",
            [
                create(json!({"tokenLifetimes": {"refreshToken": "24h"}})),
                create(json!({
                    "tokenLifetimes": {"refreshToken": "24h"}, "grantTypes": ["authorization_code", "refresh_token"],
                })),
                create(json!({"tokenLifetimes": {"accessToken": "5m"}, "grantTypes": ["client_credentials"]})),
            ],
            [create(
                json!({"tokenLifetimes": {"refreshToken": "24h"}, "grantTypes": ["authorization_code"]}),
            )],
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

/// The rules of `browser_uri!`: `what` is the URI's name in them.
fn browser_uri(what: &str, uri: &dyn Fn(&str) -> Attempt) -> Vec<Row> {
    let absolute = format!("{what} must be absolute");
    let backslash = format!("{what} must have no backslash");
    let user = format!("{what} must have no user information");
    vec![
        row(
            &absolute,
            [
                uri("https://app.example.com"),
                uri("HTTPS://app.example.com/cb?x=y&z=%20"),
                uri("com.example.app:/cb"),
                uri("com.example.app:/"),
                uri("my-app+x.1://cb"),
                // Wildcards and plain http to other hosts depend on the provider's grants: not CEL's business.
                uri("https://*.example.com/*"),
                uri("http://app.example.com/cb"),
            ],
            [
                uri("/cb"),
                uri("//app.example.com/cb"),
                uri("app.example.com/cb"),
                uri("localhost:8080/cb"),
                uri("app.example.com:443/cb"),
                uri("*"),
                uri("urn:ietf:wg:oauth:2.0:oob"),
                uri("1app:/cb"),
                uri(" https://app.example.com/cb"),
                uri("https://app.example.com/a b"),
                uri("https://app.example.com/caf\u{e9}"),
                uri("https://b\u{fc}cher.example.com/cb"),
                uri("https://app.example.com/cb\n"),
            ],
        ),
        row(
            format!("{what} must have no fragment"),
            [uri("https://app.example.com/a%23b")],
            [
                uri("https://app.example.com/cb#x"),
                uri("https://app.example.com/cb#"),
                uri("https://app.example.com#"),
            ],
        ),
        row(
            &backslash,
            [uri("https://app.example.com/a/b")],
            [
                uri("https://app.example.com/a\\b"),
                uri("https://app.example.com\\.evil.example.com/cb"),
                uri("https://app.example.com\\@evil.example.com/cb").also(&user),
            ],
        ),
        row(
            &user,
            [
                uri("https://app.example.com/@me/cb"),
                uri("https://app.example.com/cb?mail=a@example.com"),
                uri("https://app.example.com?mail=a@example.com"),
                uri("com.example.app:/cb@x"),
            ],
            [
                uri("https://user:password@app.example.com/cb"),
                uri("https://app.example.com@evil.example.com/cb"),
                uri("http://localhost:80@evil.example.com/cb"),
                uri("my-app://user@cb"),
                uri("https://@app.example.com/cb"),
            ],
        ),
        row(
            format!("{what} must have no '..' in its path"),
            [
                uri("https://app.example.com/a..b/c"),
                uri("https://app.example.com/.../c"),
                uri("https://app.example.com/..a"),
                uri("https://app.example.com/.well-known/cb"),
                uri("https://app.example.com/cb?next=/../x"),
                uri("https://app.example.com/%2e/c"),
            ],
            [
                uri("https://app.example.com/a/../b"),
                uri("https://app.example.com/.."),
                uri("https://app.example.com/..?x=y"),
                uri("https://app.example.com/%2e%2e/b"),
                uri("https://app.example.com/%2E./b"),
                uri("https://app.example.com/.%2e"),
                uri("https://app.example.com/a%2f..%2Fb"),
                uri("https://app.example.com/a%5c..%5cb"),
                uri("https://app.example.com/%252e%252E/b"),
                uri("https://app.example.com/a%252f../b"),
                uri("https://app.example.com/..;x=y/b"),
                uri("com.example.app:/../cb"),
                uri("https://app.example.com/a\\..\\b").also(&backslash),
            ],
        ),
        row(
            format!("{what} must not use a scheme that runs or reads local content"),
            [
                uri("com.example.app:/cb"),
                uri("javascripts://cb"),
                uri("https://app.example.com/javascript:x"),
            ],
            [
                uri("javascript://app.example.com/%0aalert(1)"),
                uri("JavaScript:/x"),
                uri("javascript:alert(1)").also(&absolute),
                uri("data:/text/html,x"),
                uri("data:text/html,x").also(&absolute),
                uri("vbscript:/x"),
                uri("file:///etc/passwd"),
                uri("blob:/x"),
                uri("about:/blank"),
                uri("filesystem:/x"),
                uri("view-source:/x"),
                uri("jar:/x"),
            ],
        ),
        row(
            format!("{what} of scheme http or https must name a host"),
            [
                uri("http://localhost:8080"),
                uri("http://127.0.0.1:5000/callback"),
                uri("http://[::1]:8080/cb"),
                uri("com.example.app:///cb"),
            ],
            [
                uri("https:///x"),
                uri("https:/app.example.com/cb"),
                uri("HTTP:///x"),
                uri("https://"),
                uri("https://:443/cb"),
                uri("https://?x"),
            ],
        ),
    ]
}

fn different_redirect_uris() -> Row {
    row(
        "redirectURIs must differ from each other",
        [
            redirect("https://app.example.com/second"),
            redirect("https://app.example.com/First"),
        ],
        [redirect("https://app.example.com/first")],
    )
}

fn web_origins() -> Vec<Row> {
    vec![
        row(
            "a web origin must be exactly scheme://host[:port]",
            [
                origin("https://app.example.com"),
                origin("https://app.example.com:8443"),
                origin("http://localhost:3000"),
                origin("http://127.0.0.1:65535"),
                origin("http://[::1]:8080"),
                origin("https://xn--bcher-kva.example.com"),
            ],
            [
                origin("*"),
                origin("+"),
                origin("null"),
                origin("https://*.example.com"),
                origin("https://app.example.com/"),
                origin("https://app.example.com/path"),
                origin("https://app.example.com?a=b"),
                origin("https://app.example.com#a"),
                origin("https://App.example.com"),
                origin("HTTPS://app.example.com"),
                origin("https://user@app.example.com"),
                origin("https://app.example.com:"),
                origin("https://app.example.com:0"),
                origin("https://app.example.com:65536"),
                origin("https://app..example.com"),
                origin("https://-app.example.com"),
                origin("https://app.example.com."),
                origin("https://b\u{fc}cher.example.com"),
                origin("https://app.example.com https://b.example.com"),
                origin("https://app.example.com\n"),
                origin("https://"),
                origin("//app.example.com"),
                origin("app.example.com"),
                origin("com.example.app://host"),
            ],
        ),
        row(
            "a web origin must not name the default port",
            [
                origin("https://app.example.com:80"),
                origin("http://app.example.com:443"),
                origin("http://[::80]"),
                origin("https://app.example.com:4443"),
            ],
            [
                origin("https://app.example.com:443"),
                origin("http://app.example.com:80"),
                origin("http://[::1]:80"),
            ],
        ),
    ]
}

fn logout() -> Vec<Row> {
    let uri = |uri: &str| create(json!({"logout": {"type": "BackChannel", "uri": uri}}));
    vec![
        row(
            "logout.uri must be an http or https URL",
            [
                uri("https://app.example.com/logout?tenant=a"),
                uri("http://app.shop.svc:8080/logout"),
                uri("http://[::1]:8080/"),
                create(
                    json!({"logout": {"type": "FrontChannel", "uri": "https://app.example.com", "sessionRequired": false}}),
                ),
            ],
            [
                uri("/logout"),
                uri("https:///logout"),
                uri("com.example.app:/logout"),
                uri("javascript:alert(1)"),
                uri("https://app.example.com/a b"),
                uri("https://app.example.com/a\\b"),
                uri("https://\u{fc}.example.com/logout"),
            ],
        ),
        row(
            "logout.uri must have no fragment",
            [uri("https://app.example.com/a%23b")],
            [uri("https://app.example.com/a#b"), uri("https://app.example.com#")],
        ),
        row(
            "logout.uri must have no user information",
            [
                uri("https://app.example.com/@me"),
                uri("https://app.example.com?mail=a@example.com"),
            ],
            [
                uri("https://user:password@app.example.com/logout"),
                uri("https://app.example.com@evil.example.com/logout"),
            ],
        ),
    ]
}

fn texts() -> Vec<Row> {
    let access = |text: &str| create(json!({"tokenLifetimes": {"accessToken": text}}));
    let refresh = |text: &str| create(json!({"tokenLifetimes": {"refreshToken": text}}));
    vec![
        web_page("homepageURI"),
        web_page("logoURI"),
        one_line("displayName"),
        one_line("description"),
        scope_token("a scope", &|scope| create(json!({"scopes": ["openid", scope]}))),
        scope_token("an optional scope", &|scope| {
            create(json!({"scopes": ["openid"], "optionalScopes": [scope]}))
        }),
        row(
            "an optional scope must not be openid",
            [create(json!({"optionalScopes": ["open"]}))],
            [create(
                json!({"optionalScopes": ["openid"], "scopes": ["reports"], "grantTypes": ["client_credentials"]}),
            )],
        ),
        row(
            "tokenLifetimes.accessToken must be between",
            [access("10s"), access("24h"), access("1m30s"), access("10s1000ms")],
            [
                access("9s"),
                access("24h1s"),
                access("9s999ms"),
                access("10s500ms"),
                access("0s"),
            ],
        ),
        row(
            "tokenLifetimes.refreshToken must be between",
            [refresh("1m"), refresh("8760h"), refresh("60000ms")],
            [
                refresh("59s"),
                refresh("8760h1s"),
                refresh("59s999ms"),
                refresh("1m1ms"),
            ],
        ),
    ]
}

fn web_page(field: &str) -> Row {
    let page = |uri: &str| create(json!({field: uri}));
    row(
        format!("{field} must be an http or https URL"),
        [
            page("https://app.example.com/logo.png"),
            page("http://[::1]/x"),
            page("https://app.example.com/a?b=c#d"),
        ],
        [
            page("javascript:alert(1)"),
            page("data:image/png;base64,AA=="),
            page("/logo.png"),
            page("https:///logo.png"),
            page("https://app.example.com/a b"),
            page("https://\u{fc}.example.com/logo.png"),
        ],
    )
}

fn one_line(field: &str) -> Row {
    let text = |text: &str| create(json!({field: text}));
    row(
        format!("{field} must hold no control characters"),
        [
            text("A shop"),
            text("K\u{fc}che \u{1f373} \u{2019}<b>"),
            text("\u{5d0}"),
        ],
        [
            text("a\nb"),
            text("a\u{0}b"),
            text("a\u{7f}"),
            text("a\u{85}b"),
            text("a\u{2028}b"),
            text("a\u{202e}b"),
            text("a\u{2066}b"),
        ],
    )
}

fn scope_token(what: &str, scope: &dyn Fn(&str) -> Attempt) -> Row {
    row(
        format!("{what} must hold printable ASCII characters"),
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
    )
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
            "a claim of type Groups, RealmRoles or ClientRoles must not be named",
            [
                groups("groups"),
                groups("roles"),
                groups("teams"),
                groups("realm_access.roles"),
                roles("RealmRoles", "roles"),
                roles("RealmRoles", "realm_access.roles"),
                roles("ClientRoles", "resource_access.shop.roles"),
            ],
            [
                groups("sub"),
                groups("email"),
                groups("preferred_username"),
                groups("aud"),
                groups("sub.x"),
                roles("RealmRoles", "sub"),
                roles("RealmRoles", "email.x"),
                roles("ClientRoles", "preferred_username"),
                roles("ClientRoles", "acr"),
            ],
        ),
        row(
            "claims[].constant must be set if, and only if, type is Constant",
            [constant("tier"), groups("groups"), roles("RealmRoles", "roles")],
            [
                claim(json!({"name": "tier", "type": "Constant"})),
                claim(json!({"name": "roles", "type": "RealmRoles", "constant": {"value": "x"}})),
                claim(
                    json!({"name": "tier", "type": "UserAttribute", "userAttribute": {"attribute": "x"}, "constant": {"value": "x"}}),
                ),
            ],
        ),
        row(
            "claims[].userAttribute must be set if, and only if, type is UserAttribute",
            [attribute("dept"), groups("groups"), roles("ClientRoles", "roles")],
            [
                claim(json!({"name": "dept", "type": "UserAttribute"})),
                claim(json!({"name": "roles", "type": "ClientRoles", "userAttribute": {"attribute": "x"}})),
                claim(json!({"name": "dept", "type": "Groups", "userAttribute": {"attribute": "x"}})),
            ],
        ),
        row(
            "claims[].groups goes with type Groups only",
            [groups("groups"), claim(json!({"name": "groups", "type": "Groups"}))],
            [
                claim(
                    json!({"name": "tier", "type": "Constant", "constant": {"value": "x"}, "groups": {"path": "Name"}}),
                ),
                claim(json!({"name": "roles", "type": "RealmRoles", "groups": {"path": "Name"}})),
            ],
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
