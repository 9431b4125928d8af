//! Each step may be the last one that ran: whatever strikes there, and whether the status survives or not, the end is that
//! of an undisturbed run, and stays.

use oidc_operator::{api::common::ConditionStatus, idp::memory::Like};

use crate::{
    end_state::summary,
    scenarios::{SCENARIOS, Scenario},
    simulator::{Simulator, TROUBLES, Trouble},
};

/// What was made and deleted, all told.
fn counts(simulator: &Simulator) -> String {
    let Simulator {
        cluster, made, unmade, ..
    } = simulator;
    format!(
        "created {:?}\ndeleted {:?}\nat the provider: made {made}, deleted {unmade}",
        cluster.created, cluster.deleted
    )
}

/// Runs to the end, which must stay.
fn run(scenario: &Scenario, like: Like, trouble: Option<(usize, Trouble)>, wipe: bool) -> Simulator {
    let mut simulator = scenario.simulator(like);
    simulator.pass(trouble);
    if wipe {
        simulator.wipe_status();
    }
    simulator.settle();
    for restarted in [false, true] {
        if restarted {
            simulator.restart();
        }
        let again = simulator.pass(None);
        assert!(!again.wrote(), "{}: {:?} again", scenario.name, again.names());
    }
    simulator
}

#[test]
fn every_step_may_be_the_last_one_with_dex() {
    every_step_may_be_the_last_one(Like::Dex);
}

#[test]
fn every_step_may_be_the_last_one_with_dexs_storage() {
    every_step_may_be_the_last_one(Like::DexStorage);
}

#[test]
fn every_step_may_be_the_last_one_with_dex_by_its_configuration() {
    every_step_may_be_the_last_one(Like::DexConfig);
}

#[test]
fn every_step_may_be_the_last_one_with_keycloak() {
    every_step_may_be_the_last_one(Like::Keycloak);
}

#[test]
fn every_step_may_be_the_last_one_with_authentik() {
    every_step_may_be_the_last_one(Like::Authentik);
}

fn every_step_may_be_the_last_one(like: Like) {
    let found = SCENARIOS.iter().map(|scenario| every_step_of(scenario, like));
    let (runs, failures): (Vec<_>, Vec<_>) = found.unzip();
    let failures = failures.concat();
    assert!(
        failures.is_empty(),
        "{} failures\n{}",
        failures.len(),
        failures.join("\n")
    );
    let runs: usize = runs.iter().sum();
    assert!(runs > 1000, "only {runs} runs");
}

/// How many runs, and those that ended otherwise.
fn every_step_of(scenario: &Scenario, like: Like) -> (usize, Vec<String>) {
    let steps = scenario.simulator(like).pass(None).steps.len();
    let undisturbed = run(scenario, like, None, false);
    let mut runs = 0;
    let mut failures = Vec::new();
    for at in 0..steps {
        for (trouble, wipe) in TROUBLES
            .into_iter()
            .flat_map(|trouble| [(trouble, false), (trouble, true)])
        {
            runs += 1;
            let simulator = run(scenario, like, Some((at, trouble)), wipe);
            let (status, expected) = (&simulator.world.client.status, &undisturbed.world.client.status);
            // A wiped status comes back with what is looked at, and an object that goes is not looked at any more.
            let status_is_back = !simulator.gone
                && simulator.world.client.deletion.is_none()
                && (!wipe
                    || expected
                        .conditions
                        .iter()
                        .all(|condition| condition.status == ConditionStatus::True));
            // Where the refusal was not reported, it is tried once more, which costs one more Secret.
            let same_counts = scenario.name != "create_refused";
            let differing = [
                status_is_back.then(|| difference(&summary(status), &summary(expected))),
                Some(difference(&simulator.end_state(), &undisturbed.end_state())),
                same_counts.then(|| difference(&counts(&simulator), &counts(&undisturbed))),
            ];
            let differing = differing.into_iter().flatten().flatten();
            failures.extend(differing.map(|difference| {
                format!(
                    "{} {like:?}, {trouble:?} {at}, wiped: {wipe}:\n{difference}",
                    scenario.name
                )
            }));
        }
    }
    (runs, failures)
}

/// The first line that differs.
fn difference(found: &str, expected: &str) -> Option<String> {
    let (mut found, mut expected) = (found.lines(), expected.lines());
    loop {
        match (found.next(), expected.next()) {
            (None, None) => return None,
            (found, expected) if found == expected => {}
            (found, expected) => return Some(format!("  {found:?}\n  instead of {expected:?}")),
        }
    }
}
