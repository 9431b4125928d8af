//! Who may use a provider, and which redirect URIs are refused.

use oidc_operator::{
    api::{Reason, provider::ClientGrants},
    domain::ResourceName,
    idp::memory::Like,
    plan::{
        Requeue, checks,
        snapshot::{ClientBrief, NamespaceView},
    },
};
use serde_json::{Value, json};

use crate::{
    simulator::{End, Simulator},
    world::{World, time},
};

fn allowed(grants: Value, client_namespace: &str, labels: Value) -> bool {
    let grants: ClientGrants = serde_json::from_value(grants).unwrap();
    let namespace = NamespaceView {
        labels: serde_json::from_value(labels).unwrap(),
        terminating: false,
    };
    checks::namespace_allowed(
        &ResourceName::new("platform", "idp"),
        Some(&grants),
        &ResourceName::new(client_namespace, "web"),
        &namespace,
    )
}

#[test]
fn only_the_own_namespace_unless_more_is_said() {
    let namespace = NamespaceView::default();
    let (idp, own, other) = (
        ResourceName::new("platform", "idp"),
        ResourceName::new("platform", "web"),
        ResourceName::new("shop", "web"),
    );
    assert!(checks::namespace_allowed(&idp, None, &own, &namespace));
    assert!(!checks::namespace_allowed(&idp, None, &other, &namespace));
    for (grants, own, other) in [
        (json!({}), true, false),
        (json!({"allowedNamespaces": {"from": "Same"}}), true, false),
        (json!({"allowedNamespaces": {"from": "All"}}), true, true),
        // Without selector nothing is chosen; an empty one chooses all, as everywhere in Kubernetes.
        (json!({"allowedNamespaces": {"from": "Selector"}}), false, false),
        (
            json!({"allowedNamespaces": {"from": "Selector", "selector": {}}}),
            true,
            true,
        ),
    ] {
        assert_eq!(allowed(grants.clone(), "platform", json!({})), own, "{grants}");
        assert_eq!(allowed(grants.clone(), "shop", json!({})), other, "{grants}");
    }
}

#[test]
fn every_operator_of_a_selector() {
    let requirement = |operator: &str, values: Value| json!({"matchExpressions": [{"key": "tier", "operator": operator, "values": values}]});
    let (front, back, none) = (
        json!({"tier": "front"}),
        json!({"tier": "back"}),
        json!({"other": "front"}),
    );
    for (selector, expected) in [
        (json!({"matchLabels": {"tier": "front"}}), [true, false, false]),
        (requirement("In", json!(["front", "x"])), [true, false, false]),
        (requirement("NotIn", json!(["front"])), [false, true, true]),
        (requirement("Exists", json!(null)), [true, true, false]),
        (requirement("DoesNotExist", json!(null)), [false, false, true]),
        // What Kubernetes would not read matches nothing.
        (requirement("In", json!([])), [false; 3]),
        (requirement("NotIn", json!([])), [false; 3]),
        (requirement("NotIn", json!(null)), [false; 3]),
        (requirement("Exists", json!(["front"])), [false; 3]),
        (requirement("DoesNotExist", json!(["front"])), [false; 3]),
        (requirement("Gt", json!(["1"])), [false; 3]),
        (requirement("in", json!(["front"])), [false; 3]),
        // All must match.
        (
            json!({"matchLabels": {"tier": "front"}, "matchExpressions": [{"key": "other", "operator": "Exists"}]}),
            [false; 3],
        ),
    ] {
        let grants = json!({"allowedNamespaces": {"from": "Selector", "selector": selector}});
        let found = [&front, &back, &none].map(|labels| allowed(grants.clone(), "shop", labels.clone()));
        assert_eq!(found, expected, "{selector}");
    }
}

/// What the check of a redirect URI says, through a whole pass.
fn refusal(uri: &str) -> Option<String> {
    let mut simulator = Simulator::new(Like::Keycloak);
    simulator.world.redirect_uris(&["https://shop/cb", uri]);
    let pass = simulator.pass(None);
    let accepted = pass.verdict().accepted.clone().unwrap();
    (accepted.reason == Reason::RedirectURINotAllowed).then(|| {
        assert_eq!(pass.writes, 0, "{uri}: refused, and yet something is written");
        accepted.message
    })
}

#[test]
fn redirect_uris() {
    for uri in [
        "https://shop.example.com/cb?x=1",
        "http://localhost:8080/cb",
        "http://LOCALHOST/cb",
        "http://127.0.0.1/cb",
        "http://127.9.9.9:1/cb",
        "http://[::1]:8080/cb",
        "com.example.app:/cb",
        "https://shop/%2A",
    ] {
        assert_eq!(refusal(uri), None, "{uri}");
    }
    for (uri, why) in [
        ("https://*.shop/cb", "wildcard"),
        ("https://shop/*", "wildcard"),
        ("*", "wildcard"),
        ("http://localhost/*", "wildcard"),
        ("http://shop/cb", "plain http"),
        ("HTTP://shop/cb", "plain http"),
        ("http://localhost.evil/cb", "plain http"),
        ("http://localhost@evil/cb", "plain http"),
        ("http://127.0.0.1.evil/cb", "plain http"),
        ("http://10.0.0.1/cb", "plain http"),
        ("http://[::2]/cb", "plain http"),
        ("not a URI", "plain http"),
    ] {
        let message = refusal(uri).unwrap_or_else(|| panic!("{uri} is allowed"));
        assert!(message.contains(why) && message.contains(uri), "{message}");
    }
}

/// Another OIDCClient of the same client ID.
fn other(namespace: &str, provisioned: bool, created: &str) -> ClientBrief {
    ClientBrief {
        name: ResourceName::new(namespace, "other"),
        uid: "uid-other".to_owned(),
        client_id: "shop_web".to_owned(),
        finalizer: true,
        provisioned,
        created: Some(time(created)),
    }
}

#[test]
fn a_client_id_goes_to_one() {
    const EARLIER: &str = "2026-01-01T10:00:00Z";
    const LATER: &str = "2026-01-01T12:00:00Z";
    let finding = |finalizer: bool, provisioned: bool, other: ClientBrief| {
        let mut world = World::new(Like::Dex);
        world.client.finalizer = finalizer;
        world.others = vec![other];
        let mut all = world.rivals();
        all.iter_mut()
            .filter(|brief| brief.uid == "uid-1")
            .for_each(|brief| brief.provisioned = provisioned);
        checks::rival(&world.client, &all).map(|finding| finding.message)
    };
    for (finalizer, provisioned, rival, taken) in [
        (false, false, other("shop", false, LATER), true),
        (true, false, other("shop", false, LATER), false),
        (true, false, other("shop", false, EARLIER), true),
        (true, false, other("shop", true, LATER), true),
        (true, true, other("shop", false, EARLIER), false),
        (
            false,
            false,
            ClientBrief {
                finalizer: false,
                ..other("shop", false, EARLIER)
            },
            false,
        ),
    ] {
        let found = finding(finalizer, provisioned, rival.clone());
        assert_eq!(
            found.is_some(),
            taken,
            "finalizer: {finalizer}, provisioned: {provisioned}, {rival:?}"
        );
    }
    // Names of other namespaces are nobody's business.
    assert!(
        !finding(false, false, other("secret-project", false, EARLIER))
            .unwrap()
            .contains("secret-project")
    );
}

#[test]
fn a_rival_costs_no_writes() {
    let mut simulator = Simulator::new(Like::Dex);
    simulator.world.others = vec![other("shop", true, "2026-01-01T10:00:00Z")];
    let pass = simulator.pass(None);
    assert_eq!((pass.writes, simulator.driver.writes()), (0, 0));
    assert_eq!(
        pass.verdict().accepted.as_ref().unwrap().reason,
        Reason::ClientIDConflict
    );
    assert!(matches!(pass.verdict().requeue, Requeue::Backoff(_)));
    assert!(matches!(simulator.pass(None).end, End::Settled(_)));
    assert_eq!(simulator.driver.writes(), 0);
}
