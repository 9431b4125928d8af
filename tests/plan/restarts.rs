//! Workloads that follow the outputs: what the scenarios do not show.

use oidc_operator::{
    api::{Reason, common::ConditionStatus},
    domain::ErrorClass,
    idp::memory::Like,
    plan::{Requeue, snapshot::WorkloadView},
};

use crate::{
    scenarios::{CONSENT, deployment, standing_with_workloads, workload},
    simulator::{Simulator, assert_hides_secrets},
};

fn rotating() -> Simulator {
    let mut simulator = Simulator::new(Like::Keycloak);
    standing_with_workloads(&mut simulator);
    simulator.cluster.workload(&workload("DaemonSet", "web"), &CONSENT);
    simulator.settle();
    simulator.world.client.rotate_request = Some("1".to_owned());
    simulator
}

fn condition(simulator: &Simulator) -> (ConditionStatus, String) {
    let conditions = &simulator.world.client.status.conditions;
    let found = conditions
        .iter()
        .find(|found| found.type_ == "WorkloadsCurrent")
        .unwrap();
    (found.status, found.reason.clone())
}

#[test]
fn one_that_is_changed_again_and_again_is_left_for_later() {
    let mut simulator = rotating();
    deployment(&mut simulator).contested = 100;
    let pass = simulator.pass(None);
    let verdict = pass.verdict();
    assert_eq!(verdict.requeue, Requeue::Backoff(ErrorClass::Transient));
    assert_eq!(verdict.workloads.as_ref().unwrap().reason, Reason::RestartFailed);
    // Nobody waits for it.
    let tries = pass.names().iter().filter(|name| **name == "restart-workload").count();
    assert_eq!(tries, 5 + 2);
    let restarts: Vec<_> = simulator
        .cluster
        .workloads
        .values()
        .map(|model| model.restarts.len())
        .collect();
    assert_eq!(restarts, [0, 1, 1]);
    let ready = simulator
        .world
        .client
        .status
        .conditions
        .iter()
        .find(|found| found.type_ == "Ready");
    assert_eq!(ready.unwrap().status, ConditionStatus::True);

    deployment(&mut simulator).contested = 0;
    simulator.settle();
    assert_eq!(deployment(&mut simulator).restarts.len(), 1);
    assert_eq!(
        condition(&simulator),
        (ConditionStatus::True, "WorkloadsCurrent".to_owned())
    );
}

/// kubectl's own form has whole seconds: the second of two restarts within one would change nothing.
#[test]
fn two_restarts_within_a_second_differ() {
    let mut simulator = rotating();
    simulator.settle();
    simulator.world.now -= jiff::SignedDuration::from_millis(1001);
    simulator.world.client.rotate_request = Some("2".to_owned());
    simulator.settle();
    let restarts = &deployment(&mut simulator).restarts;
    assert_eq!(restarts.len(), 2);
    assert_ne!(restarts[0], restarts[1]);
    for at in restarts {
        assert!(at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    }
}

/// It is read by many who may not read the Secret.
#[test]
fn what_is_noted_is_another_text_for_the_same_secret_elsewhere() {
    let note = |passes: usize| {
        let mut simulator = Simulator::new(Like::Keycloak);
        // Other passes have other random values.
        for _ in 0..passes {
            simulator.gone = true;
            simulator.pass(None);
            simulator.gone = false;
        }
        simulator.world.users_secret("made-by-hand").existing_secret_ref(true);
        standing_with_workloads(&mut simulator);
        let WorkloadView::Found(seen) = deployment(&mut simulator).view.clone() else {
            panic!("it is there");
        };
        let note = seen.annotations["restart.oidc-operator.io/web"].clone();
        assert_hides_secrets(&note);
        let secret = simulator.cluster.secret("web-oidc");
        for (key, value) in &secret.annotations {
            assert!(!note.contains(value.as_str()), "it shows {key}");
        }
        (note, secret.data.clone())
    };
    let (one, data) = note(0);
    let (other, same) = note(3);
    assert!(data == same, "the same client secret");
    assert_ne!(one, other);
}
