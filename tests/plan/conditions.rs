//! From a verdict to a status: what moves, and what does not.

use std::time::Duration;

use oidc_operator::{
    api::{
        Condition, Reason,
        common::ConditionStatus::{self, False, True, Unknown},
    },
    idp::memory::Like,
    plan::{Finding, Requeue, Verdict, conditions},
};

use crate::world::{NOW, World, time};

const LATER: &str = "2026-01-01T13:00:00Z";

fn condition(type_: &str, status: ConditionStatus, reason: Reason) -> Condition {
    Condition::new(type_, status, reason, format!("because of {reason}"), time(NOW))
}

#[test]
fn ready_sums_up() {
    let needed = ["A", "B"];
    for (a, b, tolerated, expected, reason) in [
        (Some(True), Some(True), Some(True), True, Reason::Ready),
        (Some(True), Some(True), Some(Unknown), True, Reason::Ready),
        (Some(True), Some(True), None, True, Reason::Ready),
        (Some(True), Some(True), Some(False), False, Reason::CredentialsRefused),
        (Some(True), Some(Unknown), Some(True), Unknown, Reason::Unreachable),
        (Some(Unknown), Some(False), Some(True), False, Reason::Unreachable),
        (
            Some(False),
            Some(False),
            Some(False),
            False,
            Reason::UnsupportedByProvider,
        ),
        (None, Some(True), Some(True), Unknown, Reason::Pending),
    ] {
        let conditions: Vec<_> = [
            a.map(|status| condition("A", status, Reason::UnsupportedByProvider)),
            b.map(|status| condition("B", status, Reason::Unreachable)),
            tolerated.map(|status| condition("C", status, Reason::CredentialsRefused)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let ready = conditions::ready(&conditions, &needed, &["C"], "all is well");
        assert_eq!(
            (ready.status, ready.reason),
            (expected, reason),
            "{a:?} {b:?} {tolerated:?}"
        );
        if expected == True {
            assert_eq!(ready.message, "all is well");
        }
    }
}

#[test]
fn time_moves_only_with_the_status() {
    let mut conditions = vec![condition("A", Unknown, Reason::Pending)];
    let mut set = |finding: Finding, at: &str| {
        conditions::set(&mut conditions, "A", &finding, 7, time(at));
        assert_eq!(conditions.len(), 1);
        conditions[0].clone()
    };
    let same = set(Finding::unknown(Reason::Timeout, "slow"), LATER);
    assert_eq!(
        (same.last_transition_time.0, same.reason.as_str()),
        (time(NOW), "Timeout")
    );
    assert_eq!((same.message.as_str(), same.observed_generation), ("slow", 7));
    let moved = set(Finding::yes(Reason::Accepted, "well"), LATER);
    assert_eq!((moved.last_transition_time.0, moved.status), (time(LATER), True));
}

#[test]
fn abnormal_conditions_stand_only_while_they_hold() {
    let mut conditions = Vec::new();
    let why = (Reason::Unreachable, "down".to_owned());
    conditions::set_while(&mut conditions, "Stalled", Some(&why), 1, time(NOW));
    assert_eq!(
        (conditions[0].status, conditions[0].reason.as_str()),
        (True, "Unreachable")
    );
    conditions::set_while(&mut conditions, "Stalled", None, 1, time(NOW));
    assert_eq!(conditions, []);
}

#[test]
fn all_conditions_are_there_in_order() {
    let mut conditions = vec![
        condition("Stalled", True, Reason::Timeout),
        condition("B", True, Reason::Ready),
    ];
    conditions::complete(&mut conditions, &["A", "B"]);
    let found: Vec<_> = conditions
        .iter()
        .map(|condition| {
            (
                condition.type_.as_str(),
                condition.status,
                condition.observed_generation,
            )
        })
        .collect();
    assert_eq!(found, [("A", Unknown, 0), ("B", True, 0), ("Stalled", True, 0)]);
}

fn verdict() -> Verdict {
    let mut verdict = Verdict::new(Requeue::Resync(Duration::from_secs(1)));
    verdict.provider_resolved = Some(Finding::yes(Reason::Resolved, "found"));
    verdict.accepted = Some(Finding::no(Reason::UnsupportedByProvider, "no"));
    verdict.stalled = Some((Reason::UnsupportedByProvider, "no".to_owned()));
    verdict.facts.client_id = Some("shop_web".to_owned());
    verdict
}

#[test]
fn the_same_verdict_changes_nothing() {
    let mut world = World::new(Like::Dex);
    world.client.status = conditions::client_status(&world.client, &verdict(), time(NOW));
    let again = conditions::client_status(&world.client, &verdict(), time(LATER));
    assert_eq!(again, world.client.status);

    // A new generation is news, and no transition.
    world.client.generation += 1;
    let newer = conditions::client_status(&world.client, &verdict(), time(LATER));
    assert_eq!(newer.observed_generation, 2);
    let times = |status: &oidc_operator::api::OIDCClientStatus| -> Vec<_> {
        status
            .conditions
            .iter()
            .map(|condition| condition.last_transition_time.0)
            .collect()
    };
    assert_eq!(times(&newer), times(&again));
}

#[test]
fn what_is_not_news_keeps_its_value() {
    let mut world = World::new(Like::Dex);
    world.client.status = conditions::client_status(&world.client, &verdict(), time(NOW));
    let mut news = Verdict::new(Requeue::Never);
    news.accepted = Some(Finding::yes(Reason::Accepted, "yes"));
    let status = conditions::client_status(&world.client, &news, time(LATER));
    let find = |type_: &str| status.conditions.iter().find(|condition| condition.type_ == type_);
    assert_eq!(find("ProviderResolved").unwrap().status, True);
    assert_eq!(find("Accepted").unwrap().last_transition_time.0, time(LATER));
    assert_eq!(find("Stalled"), None);
    assert_eq!(find("Ready").unwrap().status, Unknown);
    assert_eq!(status.client_id.as_deref(), Some("shop_web"));
}

/// A proof is tried once a day, and only its time changes then.
#[test]
fn proofs_are_renewed_daily() {
    let mut simulator = crate::simulator::Simulator::new(Like::Dex);
    simulator.settle();
    simulator.world.pass_time(23 * 3600);
    assert_eq!(simulator.pass(None).names(), Vec::<&str>::new());
    simulator.world.pass_time(3600);
    let renewed = simulator.pass(None);
    assert_eq!((renewed.names(), renewed.writes), (vec!["prove"], 0));
    assert!(!simulator.pass(None).wrote());
}

#[test]
fn a_reconcile_request_is_answered_once() {
    let mut simulator = crate::simulator::Simulator::new(Like::Dex);
    simulator.settle();
    simulator.driver.take_calls();
    simulator.world.client.reconcile_request = Some("now".to_owned());
    let pass = simulator.pass(None);
    assert_eq!((pass.writes, pass.status_written), (0, true));
    assert_eq!(simulator.driver.take_calls().len(), 1, "the client is asked for anew");
    assert_eq!(
        simulator.world.client.status.last_reconcile_request.as_deref(),
        Some("now")
    );
    assert!(!simulator.pass(None).wrote());
    assert_eq!(simulator.driver.take_calls(), []);
}
