use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::{
    domain::{
        CaBundle, Discovery, Endpoints, IdpError, IdpErrorKind, IssuerError, JsonWebKeySummary, Proof, ResourceName,
        certificate::Validity,
    },
    idp::testing::Authority,
    verify::{
        authorization::Authorization,
        evidence::{ConfigMapEvidence, Found, Route, SecretEvidence, Unread},
    },
};

const ISSUER: &str = "https://sso.example.com/dex";

fn client(spec: &Value, status: &Value) -> OIDCClient {
    let mut object = json!({
        "metadata": {"name": "shop", "namespace": "shop", "generation": 1},
        "spec": {"providerRef": {"name": "dex"}, "redirectURIs": ["https://shop.example.com/cb"]},
        "status": {
            "observedGeneration": 1, "provider": "identity/dex", "clientID": "shop_shop", "issuer": ISSUER,
            "resolved": {
                "grantTypes": ["authorization_code"], "tokenEndpointAuthMethod": "client_secret_basic",
                "pkce": "Optional", "scopes": ["openid"],
            },
            "conditions": [condition("True", "Ready", "all is well")],
        },
    });
    for (part, patch) in [("spec", spec), ("status", status)] {
        for (field, value) in patch.as_object().unwrap() {
            object[part][field] = value.clone();
        }
    }
    serde_json::from_value(object).unwrap()
}

fn condition(status: &str, reason: &str, message: &str) -> Value {
    json!({"type": "Ready", "status": status, "reason": reason, "message": message,
           "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn set(values: &[&str]) -> BTreeSet<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// All is well.
fn good() -> Evidence {
    let key = JsonWebKeySummary {
        key_id: None,
        key_type: "RSA".to_owned(),
        algorithm: None,
    };
    let discovery = Discovery {
        issuer: ISSUER.to_owned(),
        endpoints: Endpoints {
            jwks: format!("{ISSUER}/keys"),
            ..Endpoints::default()
        },
        signing_algorithms: set(&["RS256"]),
        ..Discovery::default()
    };
    Evidence {
        name: ResourceName::new("shop", "shop"),
        client: Ok(Box::new(client(&json!({}), &json!({})))),
        outputs: Some(Outputs {
            secret_name: "shop-oidc".to_owned(),
            secret: Ok(SecretEvidence {
                keys: vec!["client-id".to_owned(), "client-secret".to_owned()],
                client_id: Some("shop_shop".to_owned()),
                issuer: Some(ISSUER.to_owned()),
                has_client_secret: true,
                is_as_written: true,
            }),
            config_map_name: "shop-oidc".to_owned(),
            config_map: Ok(ConfigMapEvidence {
                keys: vec!["issuer-uri".to_owned()],
                issuer: Some(ISSUER.to_owned()),
                audience: None,
                ca: Some(CaBundle::parse(&Authority::new("ours").pem())),
            }),
        }),
        issuer: Some(IssuerEvidence {
            expected: ISSUER.to_owned(),
            discovery_url: format!("{ISSUER}/.well-known/openid-configuration"),
            provider_type: "Dex".to_owned(),
            username_claim: "name".to_owned(),
            route: Route {
                host: "sso.example.com".to_owned(),
                peer: "sso.example.com".to_owned(),
                tls: true,
                addresses: Some(Ok(vec!["192.0.2.1:443".parse().unwrap()])),
                connected: Some(Ok("192.0.2.1:443".parse().unwrap())),
                handshake: Some(Ok(())),
                ..Route::default()
            },
            discovery: Some(Ok(Found {
                discovery,
                claims: Some(set(&["sub", "name"])),
            })),
            keys: Some(Ok(vec![key])),
            redirects: vec![("https://shop.example.com/cb".to_owned(), Ok(Authorization::Login))],
            proof: Some(Proof::Proven),
            audience: None,
        }),
    }
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

/// The check `name` of evidence that was `changed`.
fn check(name: &str, change: impl FnOnce(&mut Evidence)) -> Check {
    let mut evidence = good();
    change(&mut evidence);
    let checks = all(&evidence, now());
    let found = checks.iter().find(|check| check.name == name);
    found.unwrap_or_else(|| panic!("{checks:#?}")).clone()
}

fn issuer(evidence: &mut Evidence) -> &mut IssuerEvidence {
    evidence.issuer.as_mut().unwrap()
}

fn outputs(evidence: &mut Evidence) -> &mut Outputs {
    evidence.outputs.as_mut().unwrap()
}

fn object(evidence: &mut Evidence, spec: &Value, status: &Value) {
    evidence.client = Ok(Box::new(client(spec, status)));
}

/// It failed, says all of `words`, and says what to do with all of `hints`.
fn failed(check: &Check, words: &[&str], hints: &[&str]) {
    assert_eq!(check.outcome, Outcome::Failed, "{check:?}");
    told(check, words, hints);
}

fn told(check: &Check, words: &[&str], hints: &[&str]) {
    let hint = check.hint.clone().unwrap_or_default();
    assert!(words.iter().all(|word| check.message.contains(word)), "{check:?}");
    assert!(hints.iter().all(|word| hint.contains(word)), "{check:?}");
}

#[test]
fn all_is_well() {
    let checks = all(&good(), now());
    let names: Vec<_> = checks.iter().map(|check| check.name).collect();
    let expected: Vec<_> = ["client", "conditions", "secret", "configmap", "ca"]
        .into_iter()
        .chain(AT_ISSUER)
        .chain([CLAIMS])
        .collect();
    assert_eq!(names, expected);
    for check in checks {
        let expected = if check.name == "audience" {
            Outcome::Skipped
        } else {
            Outcome::Ok
        };
        assert_eq!(check.outcome, expected, "{check:?}");
    }
}

#[test]
fn objects_that_cannot_be_read() {
    for (unread, words) in [
        (Unread::NotFound, "no OIDCClient shop/shop"),
        (Unread::Forbidden("no".to_owned()), "may not be read"),
        (Unread::Failed("no".to_owned()), "could not be read"),
    ] {
        let mut evidence = good();
        evidence.client = Err(unread.clone());
        let checks = all(&evidence, now());
        assert_eq!(checks.len(), 1, "nothing else can be told");
        assert!(checks[0].hint.is_some());
        failed(&checks[0], &[words], &[]);
        let secret = check("secret", |evidence| outputs(evidence).secret = Err(unread.clone()));
        failed(&secret, &["shop-oidc"], &[]);
        let map = check("configmap", |evidence| outputs(evidence).config_map = Err(unread));
        failed(&map, &["ConfigMap shop-oidc"], &[]);
    }
}

#[test]
fn conditions_of_the_operator() {
    let ready = |status: &str| json!({"conditions": [condition(status, "ProviderNotReady", "look there")]});
    let refused = check("conditions", |evidence| object(evidence, &json!({}), &ready("False")));
    failed(&refused, &["ProviderNotReady", "look there"], &["docs/conditions.md"]);
    let open = check("conditions", |evidence| object(evidence, &json!({}), &ready("Unknown")));
    assert_eq!(open.outcome, Outcome::Unknown);
    let stale = check("conditions", |evidence| {
        object(evidence, &json!({}), &json!({"observedGeneration": 0}))
    });
    assert_eq!(stale.outcome, Outcome::Unknown);
    let new = check("client", |evidence| {
        object(evidence, &json!({}), &json!({"clientID": null, "issuer": null}));
        evidence.issuer = None;
    });
    failed(&new, &["not looked at"], &["is the operator running"]);
}

#[test]
fn outputs_that_somebody_edited() {
    let change = |change: fn(&mut SecretEvidence)| {
        check("secret", |evidence| change(outputs(evidence).secret.as_mut().unwrap()))
    };
    failed(
        &change(|secret| secret.client_id = Some("other".to_owned())),
        &["client-id", "other", "shop_shop"],
        &["edited"],
    );
    failed(
        &change(|secret| secret.issuer = Some(format!("{ISSUER}/"))),
        &["issuer-uri"],
        &["edited"],
    );
    failed(
        &change(|secret| secret.has_client_secret = false),
        &["no client secret"],
        &["edited"],
    );
    failed(
        &change(|secret| secret.is_as_written = false),
        &["not the one"],
        &["edited"],
    );
    let map = check("configmap", |evidence| {
        outputs(evidence).config_map.as_mut().unwrap().issuer = Some("https://other".to_owned());
    });
    failed(&map, &["https://other", ISSUER], &["edited"]);
}

#[test]
fn a_ca_that_does_not_do() {
    let change = |ca| check("ca", |evidence| outputs(evidence).config_map.as_mut().unwrap().ca = ca);
    assert_eq!(change(None).outcome, Outcome::Skipped);
    failed(
        &change(Some(CaBundle::parse("garbage"))),
        &["holds no certificate"],
        &["edited"],
    );
    let old = Authority::with("old", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1)).pem();
    failed(
        &change(Some(CaBundle::parse(&old))),
        &["have expired", "CN=old"],
        &["spec.issuer"],
    );
    let both = change(Some(CaBundle::parse(&(old + &Authority::new("new").pem()))));
    assert_eq!(both.outcome, Outcome::Ok);
    told(&both, &["2 CA certificates"], &["CN=old"]);
}

#[test]
fn each_layer_of_the_way_is_told_apart() {
    let dead = |change: fn(&mut Route)| {
        let mut evidence = good();
        let found = issuer(&mut evidence);
        change(&mut found.route);
        (found.discovery, found.keys, found.proof) = (None, None, None);
        let checks = all(&evidence, now());
        let failed: Vec<_> = checks
            .iter()
            .filter(|check| check.outcome == Outcome::Failed)
            .cloned()
            .collect();
        assert_eq!(failed.len(), 1, "only one is to blame: {checks:#?}");
        let after = checks
            .iter()
            .skip_while(|check| check.outcome != Outcome::Failed)
            .skip(1);
        for check in after {
            assert_eq!(check.outcome, Outcome::Skipped);
            told(check, &[&format!("{} failed", failed[0].name)], &[]);
        }
        failed[0].clone()
    };
    let dns = dead(|route| {
        route.addresses = Some(Err("there is no such name".to_owned()));
        (route.connected, route.handshake) = (None, None);
    });
    assert_eq!(dns.name, "dns");
    failed(&dns, &["sso.example.com", "no such name"], &["run this in the cluster"]);
    let tcp = dead(|route| {
        route.connected = Some(Err("192.0.2.1:443: connection refused".to_owned()));
        route.handshake = None;
    });
    assert_eq!(tcp.name, "tcp");
    failed(&tcp, &["connection refused"], &["network policy"]);
    let tls = dead(|route| {
        let error = IdpError::new(IdpErrorKind::Tls, "discovery", "is not signed by the given CA");
        route.handshake = Some(Err(error));
    });
    assert_eq!(tls.name, "tls");
    failed(&tls, &["not signed by the given CA"], &["issuerCertificateAuthority"]);
}

#[test]
fn what_is_not_looked_at_says_why() {
    let plain = check("tls", |evidence| issuer(evidence).route.tls = false);
    assert_eq!(plain.outcome, Outcome::Skipped);
    told(&plain, &["plain http"], &["development"]);
    for name in ["dns", "tcp"] {
        let through = check(name, |evidence| {
            let route = &mut issuer(evidence).route;
            (route.proxy, route.addresses, route.connected) = (true, None, None);
        });
        assert_eq!(through.outcome, Outcome::Skipped);
        told(&through, &["HTTPS_PROXY"], &[]);
    }
    let soon = check("tls", |evidence| {
        issuer(evidence).route.certificate = Some(Validity {
            subject: String::new(),
            not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
            not_after: "2026-06-10T00:00:00Z".parse().unwrap(),
        });
    });
    assert_eq!(soon.outcome, Outcome::Ok);
    told(&soon, &["2026-06-10T00:00:00Z"], &["renewed"]);
}

fn discovery(error: IssuerError) -> Check {
    check("discovery", |evidence| issuer(evidence).discovery = Some(Err(error)))
}

#[test]
fn a_discovery_document_that_does_not_do() {
    let mismatch = discovery(IssuerError::IssuerMismatch {
        field: "issuer-uri",
        expected: ISSUER.to_owned(),
        found: format!("{ISSUER}/"),
    });
    failed(
        &mismatch,
        &[&format!("{ISSUER:?}"), &format!("\"{ISSUER}/\""), "trailing slash"],
        &["iss of each token"],
    );
    let http = IdpError::new(IdpErrorKind::Timeout, "discovery", "did not answer");
    failed(
        &discovery(IssuerError::Request(http)),
        &["did not answer"],
        &["right port"],
    );
    let status = |status| IssuerError::Status {
        url: ISSUER.to_owned(),
        status,
        location: None,
    };
    failed(&discovery(status(503)), &["503"], &["log of the issuer"]);
    failed(&discovery(status(404)), &["404", "no discovery document"], &[]);
}

#[test]
fn keys_and_algorithms_that_do_not_do() {
    let offers = |spec: Value, algorithms: &[&str]| {
        check("signature", |evidence| {
            object(evidence, &spec, &json!({}));
            let Some(Ok(found)) = &mut issuer(evidence).discovery else {
                panic!()
            };
            found.discovery.signing_algorithms = set(algorithms);
        })
    };
    failed(
        &offers(json!({}), &["ES256"]),
        &["ES256", "RS256"],
        &["idTokenSignedResponseAlg"],
    );
    let es256 = json!({"idTokenSignedResponseAlg": "ES256"});
    failed(
        &offers(es256.clone(), &["RS256"]),
        &["idTokenSignedResponseAlg is ES256"],
        &["set it"],
    );
    assert_eq!(offers(es256, &["RS256", "ES256"]).outcome, Outcome::Ok);
    let jwks = |error| check("jwks", |evidence| issuer(evidence).keys = Some(Err(error)));
    let unreachable = IssuerError::Request(IdpError::new(IdpErrorKind::Unreachable, "keys", "refuses connections"));
    failed(
        &jwks(unreachable),
        &["/keys", "refuses connections"],
        &["must be reachable"],
    );
    let none = IssuerError::NoUsableKey {
        url: ISSUER.to_owned(),
        reason: "there are no keys".to_owned(),
    };
    failed(&jwks(none), &["no usable signature key"], &["RSA or EC"]);
}

#[test]
fn redirect_uris_that_no_login_begins_for() {
    let said = |answer| {
        check("redirect-uri", |evidence| {
            issuer(evidence)
                .redirects
                .push(("https://shop.example.com/other".to_owned(), answer));
        })
    };
    failed(
        &said(Ok(Authorization::Refused(400))),
        &["refuses https://shop.example.com/other (400)"],
        &["byte for byte", "reconcile-requested"],
    );
    failed(
        &said(Ok(Authorization::Returned("invalid_scope".to_owned()))),
        &["invalid_scope"],
        &["scopes"],
    );
    assert_eq!(said(Ok(Authorization::Unclear(502))).outcome, Outcome::Unknown);
    let error = IdpError::new(IdpErrorKind::Unreachable, "authorization", "refuses connections");
    let unknown = said(Err(error));
    assert_eq!(unknown.outcome, Outcome::Unknown);
    told(&unknown, &["refuses connections"], &["reached from here"]);
    let machine = json!({"resolved": {"grantTypes": ["client_credentials"], "pkce": "Optional", "scopes": [],
        "tokenEndpointAuthMethod": "client_secret_basic"}});
    let skipped = check("redirect-uri", |evidence| object(evidence, &json!({}), &machine));
    assert_eq!(skipped.outcome, Outcome::Skipped);
}

#[test]
fn credentials_that_are_refused_or_not_there() {
    let proof = |proof| check("credentials", |evidence| issuer(evidence).proof = proof);
    failed(
        &proof(Some(Proof::Disproven)),
        &["refuses"],
        &["reconcile-requested", "restarted"],
    );
    failed(
        &proof(Some(Proof::WrongIssuer("another".to_owned()))),
        &["another"],
        &[],
    );
    assert_eq!(proof(Some(Proof::Unknown("down".to_owned()))).outcome, Outcome::Unknown);
    assert_eq!(proof(None).outcome, Outcome::Skipped);
    let public = |name| {
        check(name, |evidence| {
            object(evidence, &json!({"type": "Public"}), &json!({}))
        })
    };
    assert_eq!(public("credentials").outcome, Outcome::Skipped);
    told(&public("credentials"), &["Public"], &[]);
    assert_eq!(public("secret").outcome, Outcome::Ok);
}

#[test]
fn audiences_that_differ() {
    let delivered = check("audience", |evidence| {
        outputs(evidence).config_map.as_mut().unwrap().audience = Some("other".to_owned());
    });
    failed(
        &delivered,
        &["jwtAudience", "other", "shop_shop"],
        &["refuses every token"],
    );
    let token = |found| check("audience", |evidence| issuer(evidence).audience = Some(found));
    assert_eq!(token(Ok(vec!["shop_shop".to_owned()])).outcome, Outcome::Ok);
    let account = token(Ok(vec!["account".to_owned()]));
    assert_eq!(account.outcome, Outcome::Unknown);
    told(&account, &["account"], &["must expect that audience"]);
    assert_eq!(token(Err("opaque".to_owned())).outcome, Outcome::Unknown);
}

#[test]
fn claims_that_are_not_there() {
    let listed = |spec: Value, claims: Option<BTreeSet<String>>| {
        check("claims", |evidence| {
            object(evidence, &spec, &json!({}));
            let Some(Ok(found)) = &mut issuer(evidence).discovery else {
                panic!()
            };
            found.claims = claims;
        })
    };
    failed(&listed(json!({}), Some(set(&["sub"]))), &["lacks name"], &["email"]);
    assert_eq!(listed(json!({}), None).outcome, Outcome::Unknown, "it need not say");
    let groups = json!({"claims": [{"name": "teams", "type": "Groups"}]});
    let own = listed(groups, Some(set(&["name"])));
    assert_eq!(own.outcome, Outcome::Unknown);
    told(&own, &["teams"], &["need not list"]);
}
