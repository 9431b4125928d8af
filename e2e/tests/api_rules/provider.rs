//! Every CEL rule of OIDCProvider, both ways.

use serde_json::{Value, json};

use crate::table::{Attempt, Row, create, row, update};

fn issuer(url: &str) -> Attempt {
    create(json!({"issuer": {"issuerURL": url}}))
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
    rows.extend(issuer_url());
    rows.extend(shapes());
    rows
}

fn immutable() -> Vec<Row> {
    vec![
        row(
            "type is immutable",
            [update(json!({}), json!({"resyncInterval": "5m"}))],
            [update(json!({}), json!({"type": "Other", "dex": null})).widened()],
        ),
        row(
            "issuer.issuerURL is immutable",
            [
                update(
                    json!({}),
                    json!({"issuer": {"issuerCertificateAuthority": {"name": "dex-ca"}}}),
                ),
                update(
                    json!({"type": "Other", "dex": null, "issuer": {"issuerURL": null}}),
                    json!({"type": "Other", "dex": null, "issuer": {"issuerURL": null}, "resyncInterval": "5m"}),
                )
                .widened(),
            ],
            [
                update(
                    json!({}),
                    json!({"issuer": {"issuerURL": "https://dex.example.com/other"}}),
                ),
                update(json!({}), json!({"issuer": {"issuerURL": null}}))
                    .also("issuer.issuerURL is required with type Dex"),
                update(
                    json!({"type": "Other", "dex": null, "issuer": {"issuerURL": null}}),
                    json!({"type": "Other", "dex": null}),
                )
                .widened(),
            ],
        ),
        row(
            "dex.type is immutable",
            [update(json!({}), grpc(json!({"address": "dex.other.svc:5557"})))],
            [update(json!({}), json!({"dex": {"type": "Other", "grpc": null}})).widened()],
        ),
    ]
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
            "issuer.issuerURL is required with type Dex",
            [
                create(json!({})),
                create(json!({"type": "Other", "dex": null, "issuer": {"issuerURL": null}})).widened(),
            ],
            [create(json!({"issuer": {"issuerURL": null}}))],
        ),
        row(
            "dex.grpc must be set if, and only if, dex.type is GRPC",
            [
                create(json!({})),
                create(json!({"dex": {"type": "Other", "grpc": null}})).widened(),
            ],
            [
                create(json!({"dex": {"grpc": null}})),
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

fn transport() -> Vec<Row> {
    let plain = json!({"issuer": {"issuerURL": "http://dex.example.com/dex"}});
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

fn issuer_url() -> Vec<Row> {
    vec![
        row(
            "issuerURL must be an absolute URL with a host",
            [
                issuer("https://dex.example.com"),
                issuer("https://dex.example.com:8443/dex/"),
                issuer("https://[2001:db8::1]:5556/dex"),
            ],
            [
                issuer("https:///dex"),
                issuer("https://:443/dex"),
                issuer("https://dex.example.com:port/dex"),
                issuer("dex.example.com/dex")
                    .also("issuer.issuerURL must be https")
                    .also("issuerURL must start with"),
                issuer("/dex")
                    .also("issuer.issuerURL must be https")
                    .also("issuerURL must start with"),
            ],
        ),
        row(
            "issuerURL must start with https://",
            [issuer("https://dex.example.com/a-b_c~d.e:f,g;h=i(j)'k'%20")],
            [
                issuer("ftp://dex.example.com/dex").also("issuer.issuerURL must be https"),
                issuer("https://dex.example.com/d\u{e9}x"),
                issuer("https://dex.example.com/a b"),
                issuer("https://dex.example.com/a\\b"),
            ],
        ),
        row(
            "issuerURL must have no query",
            [issuer("https://dex.example.com/a")],
            [
                issuer("https://dex.example.com/dex?a=b"),
                issuer("https://dex.example.com/dex?"),
            ],
        ),
        row(
            "issuerURL must have no fragment",
            [issuer("https://dex.example.com/a")],
            [
                issuer("https://dex.example.com/dex#a"),
                issuer("https://dex.example.com/dex#"),
            ],
        ),
        row(
            "issuerURL must have no user information",
            [issuer("https://dex.example.com/a")],
            [
                issuer("https://user:password@dex.example.com/dex"),
                issuer("https://dex.example.com/@dex"),
            ],
        ),
    ]
}

fn shapes() -> Vec<Row> {
    let authority = |name: &str| create(json!({"issuer": {"issuerCertificateAuthority": {"name": name}}}));
    let grpc_authority = |name: &str| create(grpc(json!({"certificateAuthority": {"name": name}})));
    let key = |key: &str| create(grpc(json!({"certificateAuthority": {"key": key}})));
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
            "dex.grpc.certificateAuthority.name must be a DNS subdomain",
            [grpc_authority("ca")],
            [grpc_authority("a/b"), grpc_authority("-ca")],
        ),
        row(
            "dex.grpc.certificateAuthority.key must be a key",
            [key("ca.crt"), key("CA_Bundle-1.pem"), key(".ca")],
            [key("a/b"), key("a b"), key("."), key(".."), key("..ca")],
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
