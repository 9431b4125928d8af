//! Deletion ends: at once, when the client is deleted, or when the timeout is over.

use std::time::Duration;

use oidc_operator::{
    api::Reason,
    domain::{IdpErrorKind, ObservedSecret},
    idp::memory::{Like, Operation, When},
    plan::{
        Requeue,
        snapshot::{NotReady, ProviderView},
        step::OutputKind,
    },
};

use crate::{
    scenarios,
    simulator::{End, Simulator, text},
    world::{NOW, time},
};

fn standing(retain: bool) -> Simulator {
    let mut simulator = Simulator::new(Like::Dex);
    if retain {
        simulator.world.retain();
    }
    simulator.settle();
    simulator.world.deleted();
    simulator
}

/// Until when a deletion waits, if it does; what was told when it ended.
fn outcome(simulator: &mut Simulator) -> Result<String, Requeue> {
    let pass = simulator.pass(None);
    match pass.end {
        End::Settled(verdict) => Err(verdict.requeue),
        End::Gone => Ok(pass
            .events
            .iter()
            .map(|event| event.reason.to_string())
            .collect::<Vec<_>>()
            .join(" ")),
        End::Cut => panic!("nothing cut it off"),
    }
}

#[test]
fn what_ends_at_once() {
    let not_ready = |simulator: &mut Simulator, gone: bool| {
        simulator.world.provider(|provider| {
            provider.not_ready = Some(NotReady::AdminApi);
            provider.credentials_gone = gone;
        });
    };
    for retain in [false, true] {
        for terminating in ["none", "provider", "namespace"] {
            for (orphan, found, gone) in [
                (false, true, false),
                (false, true, true),
                (false, false, false),
                (true, true, false),
            ] {
                let mut simulator = standing(retain);
                not_ready(&mut simulator, gone);
                simulator.world.client.orphan = orphan;
                simulator.world.namespace.terminating = terminating == "namespace";
                simulator
                    .world
                    .provider(|provider| provider.terminating = terminating == "provider");
                if !found {
                    simulator.world.provider = ProviderView::NotFound;
                }
                let ends = orphan || !found || gone && terminating != "none";
                let found = outcome(&mut simulator);
                let what = format!("retain {retain}, terminating {terminating}, orphan {orphan}, gone {gone}");
                assert_eq!(found.is_ok(), ends, "{what}: {found:?}");
                assert_eq!(found.is_ok_and(|told| told == "LeftBehind"), ends, "{what}");
            }
        }
    }
}

/// The timeout counts from the later of the deletion and the start of the process.
#[test]
fn the_timeout_counts_from_the_later_of_two() {
    for (started, now, over) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T12:09:58Z", false),
        ("2026-01-01T00:00:00Z", "2026-01-01T12:10:00Z", true),
        ("2026-01-01T12:05:00Z", "2026-01-01T12:10:00Z", false),
        ("2026-01-01T12:05:00Z", "2026-01-01T12:15:00Z", true),
    ] {
        let mut simulator = standing(false);
        simulator.world.client.deletion = Some(time(NOW));
        simulator.world.settings.started = time(started);
        simulator.world.now = time(now);
        simulator
            .driver
            .fail(Operation::Get, IdpErrorKind::Unreachable, When::Before, usize::MAX);
        let found = outcome(&mut simulator);
        assert_eq!(found.is_ok(), over, "started {started}, now {now}: {found:?}");
    }
}

#[test]
fn an_endless_timeout_never_ends() {
    let mut simulator = standing(false);
    simulator.world.settings.deletion_timeout = Duration::MAX;
    simulator.world.pass_time(1_000_000_000);
    simulator
        .driver
        .fail(Operation::Get, IdpErrorKind::Unreachable, When::Before, usize::MAX);
    assert!(matches!(outcome(&mut simulator), Err(Requeue::NotAfter(_))));
}

#[test]
fn every_failure_of_the_provider_is_waited_for_and_forgotten_in_the_end() {
    use IdpErrorKind as Kind;
    for retain in [false, true] {
        for operation in [Operation::Get, Operation::Delete, Operation::Update] {
            if retain == (operation == Operation::Delete) || !retain && operation == Operation::Update {
                continue;
            }
            for kind in [
                Kind::Unreachable,
                Kind::Timeout,
                Kind::Unauthorized,
                Kind::Forbidden,
                Kind::Refused,
                Kind::Server,
            ] {
                let mut simulator = standing(retain);
                simulator.driver.fail(operation, kind, When::Before, usize::MAX);
                let waits = outcome(&mut simulator);
                assert!(
                    matches!(waits, Err(Requeue::NotAfter(_))),
                    "{operation:?} {kind:?}: {waits:?}"
                );
                assert!(
                    !simulator.pass(None).wrote(),
                    "{operation:?} {kind:?}: waiting costs no writes"
                );
                simulator.world.pass_time(600);
                assert_eq!(
                    outcome(&mut simulator),
                    Ok("LeftBehind".to_owned()),
                    "{operation:?} {kind:?}"
                );
                assert!(!retain || simulator.cluster.secret("web-oidc").owners.is_empty());
            }
        }
    }
}

/// What the provider's owner sees is not for tenants.
#[test]
fn waiting_does_not_tell_admin_errors() {
    let mut simulator = standing(false);
    simulator
        .world
        .provider(|provider| provider.not_ready = Some(NotReady::AdminApi));
    let pass = simulator.pass(None);
    let (reason, message) = pass.verdict().reconciling.clone().unwrap();
    assert_eq!(reason, Reason::Terminating);
    assert!(
        message.contains("OIDCProvider shop/idp is not ready") && !message.contains("10.0.0.7"),
        "{message}"
    );
}

/// To delete a client needs the admin API, and no issuer.
#[test]
fn an_issuer_that_is_away_holds_no_deletion() {
    for (retain, ends) in [(false, true), (true, false)] {
        let mut simulator = standing(retain);
        simulator
            .world
            .provider(|provider| provider.not_ready = Some(NotReady::Issuer));
        let ended = !matches!(outcome(&mut simulator), Err(Requeue::NotAfter(_)));
        // A rotation that stands could not be finished.
        assert_eq!(ended, ends, "retain: {retain}");
    }
}

/// An OIDCProvider that this version cannot read is not taken for one that is gone.
#[test]
fn an_unreadable_provider_is_waited_for() {
    let mut simulator = standing(false);
    simulator.world.provider = ProviderView::Unreadable;
    assert!(matches!(outcome(&mut simulator), Err(Requeue::NotAfter(_))));
    simulator.world.pass_time(600);
    assert_eq!(outcome(&mut simulator), Ok("LeftBehind".to_owned()));
}

/// A rotation that cannot be finished, because Kubernetes refuses to delete its staged Secret, holds nothing for ever.
#[test]
fn a_policy_on_the_staged_secret_does_not_either() {
    let mut simulator = Simulator::new(Like::Dex);
    simulator.world.retain();
    scenarios::staged(&mut simulator);
    simulator.cluster.undeletable.push("web-oidc-next".to_owned());
    simulator.world.deleted();
    assert!(outcome(&mut simulator).is_err(), "it is tried until the timeout");
    simulator.world.pass_time(600);
    assert!(outcome(&mut simulator).is_ok());
}

/// What is retained works on: the output holds the secret that the provider has, not one from before.
#[test]
fn a_users_secret_that_reached_the_provider_alone_is_taken_over_before_the_end() {
    for like in scenarios::BOTH {
        let mut simulator = Simulator::new(like);
        scenarios::retained_by_half(&mut simulator);
        let valid = simulator.valid_secret();
        assert_ne!(valid, Some(text(simulator.cluster.secret("web-oidc"), "client-secret")));
        simulator.settle();
        assert!(simulator.gone);
        assert_eq!(
            valid,
            simulator
                .driver
                .client("shop_web")
                .and_then(|client| match client.secret {
                    ObservedSecret::Shown(secret) => Some(secret.expose().to_owned()),
                    ObservedSecret::Absent | ObservedSecret::NotShown | ObservedSecret::Keys(_) => None,
                })
        );
        assert_eq!(valid, Some(text(simulator.cluster.secret("web-oidc"), "client-secret")));
    }
}

/// Kubernetes refuses to release what is retained: waited for, and then the object goes all the same.
#[test]
fn a_policy_does_not_hold_the_object_for_ever() {
    let mut simulator = standing(true);
    simulator.cluster.refused.push("web-oidc".to_owned());
    assert!(matches!(outcome(&mut simulator), Err(Requeue::NotAfter(_))));
    simulator.world.pass_time(600);
    assert!(outcome(&mut simulator).is_ok());
}

#[test]
fn an_unfinished_rotation_is_named_when_it_is_let_go() {
    let mut simulator = standing(true);
    simulator.world.client.deletion = None;
    simulator.cluster.edit(OutputKind::Secret, "web-oidc", |view| {
        view.data.insert("client-secret".to_owned(), b"mine".to_vec());
    });
    simulator.pass(Some((0, crate::simulator::Trouble::CrashAfter)));
    simulator.world.deleted().pass_time(600);
    simulator.world.provider = ProviderView::NotFound;
    let pass = simulator.pass(None);
    assert!(pass.events[0].message.contains("web-oidc-next"), "{:?}", pass.events);
    assert!(simulator.cluster.objects.values().all(|view| view.owners.is_empty()));
}
