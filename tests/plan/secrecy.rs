//! No secret shows where people look. (The simulator checks every step, verdict, status and snapshot it meets; this is the
//! check of that check, and of the parts by themselves.)

use oidc_operator::{
    domain::{ClientSecret, ObservedSecret, PrivateKey},
    idp::memory::Like,
    plan::{Step, rehearse},
};

use crate::{
    scenarios::{BOTH, SCENARIOS, stranger},
    simulator::{Simulator, assert_hides_secrets},
    world::{KEY_PREFIX, SECRET_PREFIX},
};

fn is_key(value: &[u8]) -> bool {
    String::from_utf8_lossy(value).contains(KEY_PREFIX)
}

#[test]
fn plans_hide_secrets() {
    let mut with_secret = 0;
    for scenario in SCENARIOS {
        for like in BOTH {
            let plan = rehearse(scenario.simulator(like).observe());
            assert_hides_secrets(&format!("{plan} {plan:?}"));
            let holds = |step: &Step| match step {
                Step::CreateOutput { draft, .. } | Step::UpdateOutput { draft, .. } => draft
                    .data
                    .values()
                    .any(|value| value.starts_with(SECRET_PREFIX.as_bytes()) || is_key(value)),
                Step::CreateRemote { secret, .. } => secret.is_some(),
                _ => false,
            };
            with_secret += plan.steps.iter().filter(|step| holds(step)).count();
        }
    }
    assert!(with_secret > 50, "only {with_secret} steps had something to hide");
}

#[test]
#[should_panic(expected = "a secret shows")]
fn the_check_finds_a_key_that_shows() {
    assert_hides_secrets(PrivateKey::generate().to_secret().expose());
}

#[test]
#[should_panic(expected = "a secret shows")]
fn the_check_finds_what_shows() {
    assert_hides_secrets(&format!("oops: {SECRET_PREFIX}1"));
}

/// Neither what others put into the Secret, nor what the provider holds, is repeated.
#[test]
fn what_was_found_is_not_repeated() {
    let mut simulator = Simulator::new(Like::Dex);
    simulator.settle();
    let found = ClientSecret::new("found-in-the-cellar");
    let mut client = simulator.driver.client("shop_web").unwrap();
    client.secret = ObservedSecret::Shown(found.clone());
    simulator.driver.put(client);
    simulator.restart();
    let snapshot = simulator.observe();
    let plan = rehearse(snapshot.clone());
    assert_eq!(
        plan.steps.iter().map(Step::name).collect::<Vec<_>>(),
        ["delete-remote", "create-remote", "prove"]
    );
    let text = format!("{snapshot:?} {plan} {plan:?} {:?}", stranger(&[]));
    assert!(!text.contains(found.expose()) && !text.contains("theirs"), "{text}");
}
