//! What was found of a provider becomes its status.

use std::{sync::Arc, time::Duration};

use oidc_operator::{
    api::{OIDCProviderStatus, Reason, provider::OIDCProviderSpec},
    domain::{Discovery, ErrorClass, IdpError, IdpErrorKind, IssuerError},
    idp::memory::Like,
    plan::{
        Requeue,
        provider::{AdminProblem, BadReference, Findings, IssuerProblem, Server, reason_of, status},
    },
};
use serde_json::json;

use crate::world::{NOW, facts, time};

fn spec() -> OIDCProviderSpec {
    serde_json::from_value(json!({"type": "Dex", "issuer": {"issuerURL": "https://idp"}})).unwrap()
}

fn findings() -> Findings {
    Findings {
        issuer: Ok(Arc::new(facts(Like::Dex))),
        admin: Ok(Server {
            product: "Dex",
            version: Some("2.45.1".to_owned()),
            api_version: Some(4),
        }),
        certificates: Vec::new(),
        insecure: Vec::new(),
        capabilities: None,
        clients: 3,
        waiting_for: Vec::new(),
        request: None,
    }
}

fn issuer(error: IssuerError) -> Findings {
    Findings {
        issuer: Err(IssuerProblem::Issuer(error)),
        ..findings()
    }
}

fn admin(kind: IdpErrorKind) -> Findings {
    Findings {
        admin: Err(AdminProblem::Call(IdpError::new(kind, "GetVersion", "no"))),
        ..findings()
    }
}

fn missing(reason: Reason) -> BadReference {
    BadReference {
        reason,
        message: "Secret dex is missing".to_owned(),
    }
}

/// Status and reason of each condition, in order.
fn told(findings: &Findings) -> String {
    let status = status(&spec(), &OIDCProviderStatus::default(), 2, findings, time(NOW));
    assert_eq!((status.observed_generation, status.clients.unwrap().total), (2, 3));
    // The certificates' has tests of its own (`plan::certificates`).
    let conditions = status.conditions.iter();
    conditions
        .filter(|condition| condition.type_ != "CertificatesValid")
        .map(|condition| format!("{}={:?}/{}", condition.type_, condition.status, condition.reason))
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn conditions_by_what_was_found() {
    const WELL: &str = "DiscoveryValid=True/DiscoveryValid AdminAPIReady=True/AdminAPIReady";
    assert_eq!(
        told(&findings()),
        format!("{WELL} TransportSecure=True/TransportSecure Ready=True/Ready")
    );
    // Insecure transport is told, and does not make the provider unready.
    assert_eq!(
        told(&Findings {
            insecure: vec!["Discovery"],
            ..findings()
        }),
        format!("{WELL} TransportSecure=False/InsecureTransport Ready=True/Ready")
    );
    let bad_issuer = |reason: &str| {
        format!(
            "DiscoveryValid=False/{reason} AdminAPIReady=True/AdminAPIReady TransportSecure=True/TransportSecure Ready=False/{reason} Reconciling=True/{reason}"
        )
    };
    let mismatch = IssuerError::IssuerMismatch {
        field: "issuerURL",
        expected: "https://idp".to_owned(),
        found: "https://idp/".to_owned(),
    };
    assert_eq!(told(&issuer(mismatch)), bad_issuer("IssuerMismatch"));
    assert_eq!(
        told(&issuer(IssuerError::Missing { member: "jwks_uri" })),
        bad_issuer("InvalidDocument")
    );
    let timeout = IdpError::new(IdpErrorKind::Timeout, "discovery", "slow");
    assert_eq!(told(&issuer(IssuerError::Request(timeout))), bad_issuer("Timeout"));
    let reference = IssuerProblem::Reference(missing(Reason::ConfigMapNotFound));
    assert_eq!(
        told(&Findings {
            issuer: Err(reference),
            ..findings()
        }),
        bad_issuer("ConfigMapNotFound")
    );

    let bad_admin = |reason: &str| {
        format!(
            "DiscoveryValid=True/DiscoveryValid AdminAPIReady=False/{reason} TransportSecure=True/TransportSecure Ready=False/{reason} Reconciling=True/{reason}"
        )
    };
    for (kind, reason) in [
        (IdpErrorKind::Unreachable, "Unreachable"),
        (IdpErrorKind::Tls, "TLSFailed"),
        (IdpErrorKind::Unauthorized, "Unauthorized"),
        (IdpErrorKind::Protocol, "UnexpectedAnswer"),
        (IdpErrorKind::Refused, "RefusedByProvider"),
    ] {
        assert_eq!(told(&admin(kind)), bad_admin(reason));
        assert_eq!(reason_of(kind).as_str(), reason);
    }
    let reference = AdminProblem::Reference(missing(Reason::SecretNotLabelled));
    assert_eq!(
        told(&Findings {
            admin: Err(reference),
            ..findings()
        }),
        bad_admin("SecretNotLabelled")
    );
}

/// Where the issuer belongs to the client, the provider has none to show, also where an earlier version showed one.
#[test]
fn an_issuer_per_client_is_not_shown() {
    let before = status(&spec(), &OIDCProviderStatus::default(), 2, &findings(), time(NOW));
    assert!(before.issuer.is_some());
    let mut per_client = facts(Like::Dex);
    per_client.discovery = Discovery::default();
    let found = Findings {
        issuer: Ok(Arc::new(per_client)),
        ..findings()
    };
    let after = status(&spec(), &before, 2, &found, time(NOW));
    assert_eq!(after.issuer, None);
    assert_eq!(
        told(&found),
        "DiscoveryValid=True/PerClient AdminAPIReady=True/AdminAPIReady TransportSecure=True/TransportSecure Ready=True/Ready"
    );
}

#[test]
fn a_provider_that_goes_names_whom_it_waits_for() {
    let waiting_for: Vec<_> = (0..7).map(|number| format!("shop/web-{number}")).collect();
    let found = Findings {
        waiting_for,
        ..findings()
    };
    let status = status(&spec(), &OIDCProviderStatus::default(), 2, &found, time(NOW));
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.reason, "ClientsRemain");
    assert!(
        ready.message.contains("shop/web-4 and 2 more") && !ready.message.contains("web-5"),
        "{}",
        ready.message
    );
}

/// The sooner of both tries.
#[test]
fn when_to_look_again() {
    let interval = Duration::from_secs(600);
    let both = |class_of: IdpErrorKind, error: IssuerError| Findings {
        issuer: Err(IssuerProblem::Issuer(error)),
        ..admin(class_of)
    };
    let missing_member = || IssuerError::Missing { member: "jwks_uri" };
    for (findings, expected) in [
        (findings(), Requeue::Resync(interval)),
        (
            admin(IdpErrorKind::Unreachable),
            Requeue::Backoff(ErrorClass::Transient),
        ),
        (admin(IdpErrorKind::Unauthorized), Requeue::Backoff(ErrorClass::Auth)),
        (issuer(missing_member()), Requeue::Backoff(ErrorClass::Auth)),
        (
            both(IdpErrorKind::Refused, missing_member()),
            Requeue::Backoff(ErrorClass::Auth),
        ),
        (
            both(IdpErrorKind::Timeout, missing_member()),
            Requeue::Backoff(ErrorClass::Transient),
        ),
    ] {
        assert_eq!(findings.requeue(interval), expected);
        assert_eq!(findings.ready(), expected == Requeue::Resync(interval));
    }
}

/// What was known stays while it cannot be looked at, and nothing moves without news.
#[test]
fn known_facts_stay() {
    let first = status(&spec(), &OIDCProviderStatus::default(), 2, &findings(), time(NOW));
    assert_eq!(first.issuer.as_ref().unwrap().token_endpoint, "https://idp/token");
    assert_eq!(first.server.as_ref().unwrap().api_version, Some(4));
    let later = time("2026-01-01T13:00:00Z");
    assert_eq!(status(&spec(), &first, 2, &findings(), later), first);

    let timeout = IdpError::new(IdpErrorKind::Timeout, "discovery", "slow");
    let away = Findings {
        issuer: Err(IssuerProblem::Issuer(IssuerError::Request(timeout))),
        ..admin(IdpErrorKind::Unreachable)
    };
    let second = status(&spec(), &first, 2, &away, later);
    assert_eq!((&second.issuer, &second.server), (&first.issuer, &first.server));
    let transport = second
        .conditions
        .iter()
        .find(|condition| condition.type_ == "TransportSecure")
        .unwrap();
    assert_eq!(transport.last_transition_time.0, time(NOW));
    // Back again, it is Ready, and nothing of the trouble is left.
    let third = status(&spec(), &second, 2, &findings(), later);
    assert!(
        third
            .conditions
            .iter()
            .all(|condition| condition.type_ != "Reconciling")
    );
}
