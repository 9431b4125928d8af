//! Providers that read what is written at their start only.

use oidc_operator::{
    api::{Condition, common::ConditionStatus},
    idp::memory::{Like, Operation},
    plan::Requeue,
};

use crate::simulator::Simulator;

/// A provider that was started before anything was made.
fn simulator() -> Simulator {
    let simulator = Simulator::new(Like::DexConfig);
    simulator.driver.read_at_start();
    simulator
}

/// A client that stands, and is in effect.
fn standing() -> Simulator {
    let mut simulator = simulator();
    simulator.pass(None);
    simulator.driver.roll_out();
    simulator.settle();
    simulator
}

fn condition(simulator: &Simulator, type_: &str) -> Option<Condition> {
    let conditions = &simulator.world.client.status.conditions;
    conditions.iter().find(|condition| condition.type_ == type_).cloned()
}

/// Status and reason of a condition.
fn is(simulator: &Simulator, type_: &str) -> Option<(ConditionStatus, String)> {
    condition(simulator, type_).map(|found| (found.status, found.reason))
}

fn held(simulator: &Simulator) -> String {
    crate::simulator::text(simulator.cluster.secret("web-oidc"), "client-secret")
}

#[test]
fn a_new_client_is_provisioned_once_it_is_read() {
    let mut simulator = simulator();
    let pass = simulator.pass(None);
    assert_eq!(
        pass.names(),
        ["add-finalizer", "create-secret", "create-remote", "create-configmap"],
        "credentials are not tried yet"
    );
    assert!(
        matches!(pass.verdict().requeue, Requeue::Resync(_)),
        "the driver wakes it"
    );
    let rolling = Some((ConditionStatus::False, "RollingOut".to_owned()));
    assert_eq!(is(&simulator, "Provisioned"), rolling);
    assert_eq!(is(&simulator, "Ready"), rolling);
    assert_eq!(
        is(&simulator, "Reconciling"),
        Some((ConditionStatus::True, "RollingOut".to_owned()))
    );
    assert_eq!(is(&simulator, "CredentialsPublished").unwrap().0, ConditionStatus::True);
    let told = condition(&simulator, "Provisioned").unwrap().message;
    assert!(told.contains("1 of 2 Pods"), "{told}");
    assert!(!simulator.pass(None).wrote(), "nothing new");

    simulator.driver.roll_out();
    let pass = simulator.pass(None);
    assert_eq!(pass.names(), ["prove"]);
    assert_eq!(is(&simulator, "Ready").unwrap().0, ConditionStatus::True);
    assert_eq!(is(&simulator, "Reconciling"), None);
    assert!(!simulator.pass(None).wrote());
}

#[test]
fn a_client_that_was_provisioned_stays_so_while_a_change_is_rolled_out() {
    let mut simulator = standing();
    simulator.world.redirect_uris(&["https://shop/other"]);
    let pass = simulator.pass(None);
    assert_eq!(pass.names()[0], "update-remote");
    assert!(!pass.names().contains(&"prove"));
    assert_eq!(is(&simulator, "Ready").unwrap().0, ConditionStatus::True);
    assert_eq!(is(&simulator, "Reconciling").unwrap().1, "RollingOut");
    simulator.driver.roll_out();
    simulator.pass(None);
    assert_eq!(is(&simulator, "Reconciling"), None);
}

#[test]
fn applications_get_a_new_secret_once_it_is_valid() {
    let mut simulator = standing();
    let former = held(&simulator);
    simulator.world.client.rotate_request = Some("1".to_owned());
    assert_eq!(simulator.pass(None).names(), ["create-next", "update-remote"]);
    assert_eq!(held(&simulator), former);
    assert!(!simulator.pass(None).wrote(), "it waits");
    assert_eq!(is(&simulator, "Ready").unwrap().0, ConditionStatus::True);
    assert_eq!(is(&simulator, "Reconciling").unwrap().1, "RollingOut");

    // The process starts anew meanwhile.
    simulator.restart();
    assert!(!simulator.pass(None).wrote());
    simulator.driver.roll_out();
    assert_eq!(
        simulator.pass(None).names(),
        ["prove", "update-secret", "delete-secret"]
    );
    assert_ne!(held(&simulator), former);
    assert!(simulator.is_valid(&held(&simulator)));
}

#[test]
fn nobody_is_taken_for_provisioned_whose_empty_secret_is_accepted() {
    let mut simulator = standing();
    let client_id = simulator.world.client_id();
    simulator.driver.accept_empty_secret(&client_id);
    let before = simulator.driver.count(Operation::Prove);
    simulator.pass(None);
    assert_eq!(
        is(&simulator, "Provisioned"),
        Some((ConditionStatus::False, "EmptySecretAccepted".to_owned()))
    );
    assert_eq!(is(&simulator, "Ready").unwrap().0, ConditionStatus::False);
    assert_eq!(simulator.driver.count(Operation::Prove), before);
    assert!(!simulator.pass(None).wrote());
}

#[test]
fn what_is_not_in_effect_is_deleted_like_all_else() {
    let mut simulator = simulator();
    simulator.pass(None);
    simulator.world.deleted();
    simulator.settle();
    assert!(simulator.gone && simulator.driver.clients().is_empty());
}
