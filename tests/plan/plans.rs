//! What is planned in each situation, as a diff, and what becomes of it.

use std::fmt::Write as _;

use oidc_operator::{
    api::common::ConditionStatus,
    idp::memory::Like,
    plan::{Requeue, rehearse},
};

use crate::{
    scenarios::{BOTH, SCENARIOS, Scenario},
    simulator::{End, Pass, Simulator},
};

/// The plan, then what differs from it once it is carried out; and the conditions.
fn told(scenario: &Scenario, like: Like) -> (String, String) {
    let mut simulator = scenario.simulator(like);
    let plan = rehearse(simulator.observe());
    let mut text = format!("{plan}\n");
    let pass = simulator.pass(None);
    let planned: Vec<_> = plan.steps.iter().map(|step| step.name()).collect();
    if planned != pass.names() {
        writeln!(text, "carried out: {}", pass.names().join(", ")).unwrap();
    }
    for note in &pass.events {
        let type_ = if note.warning { "Warning" } else { "Normal" };
        writeln!(text, "Event {type_} {}: {}", note.reason, note.message).unwrap();
    }
    (text, ending(&simulator, &pass))
}

fn ending(simulator: &Simulator, pass: &Pass) -> String {
    let verdict = match &pass.end {
        End::Gone => return "=> gone".to_owned(),
        End::Cut => panic!("nothing cut it off"),
        End::Settled(verdict) if verdict.silent => return format!("=> silent, again {}", again(&verdict.requeue)),
        End::Settled(verdict) => verdict,
    };
    let mut text = format!("=> again {}", again(&verdict.requeue));
    for condition in &simulator.world.client.status.conditions {
        write!(
            text,
            "\n{} {:?} {}",
            condition.type_, condition.status, condition.reason
        )
        .unwrap();
        let well = condition.status == ConditionStatus::True && condition.type_ != "Stalled";
        if !well && condition.type_ != "Ready" && condition.reason != "Pending" {
            write!(text, ": {}", condition.message).unwrap();
        }
    }
    text
}

fn again(requeue: &Requeue) -> String {
    match requeue {
        Requeue::Resync(interval) => format!("in {interval:?}"),
        Requeue::Backoff(class) => format!("by backoff ({class:?})"),
        Requeue::NotBefore(wait, class) => format!("by backoff ({class:?}), not before {wait:?} have passed"),
        Requeue::ResyncOrAt(wait, time) => format!("resync {wait:?}, or at {time}"),
        Requeue::NotAfter(end) => format!("by backoff, at {end} at the latest"),
        Requeue::Never => "when something changes".to_owned(),
    }
}

#[test]
fn plans_read_as_diffs() {
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        for scenario in SCENARIOS {
            // The conditions are the same but for what each enforces: Dex's will do.
            let [(dex, ending), (keycloak, _)] = BOTH.map(|like| told(scenario, like));
            let keycloak = if dex == keycloak {
                String::new()
            } else {
                format!("-- with Keycloak:\n{keycloak}")
            };
            insta::assert_snapshot!(scenario.name, format!("{dex}{keycloak}{ending}"));
        }
    });
}

/// A rehearsal says what will be done: where nothing goes wrong, the steps are the same.
#[test]
fn rehearsals_come_true() {
    // Faults, races and policies, of which a rehearsal knows nothing.
    let surprising = [
        "create_refused",
        "update_refused",
        "update_refused_before_it_was_published",
        "next_of_somebody_else",
        "existing_secret_refused",
        "rotation_asked_and_refused",
        "by_hand_changed_secret_refused",
        "output_refused_by_a_policy",
        "retain_refused",
        "retain_refused_when_the_timeout_is_over",
        "retain_refused_by_a_policy",
        "workload_contested_and_another_ca",
    ];
    for scenario in SCENARIOS.iter().filter(|scenario| !surprising.contains(&scenario.name)) {
        for like in BOTH {
            let mut simulator = scenario.simulator(like);
            let planned: Vec<_> = rehearse(simulator.observe())
                .steps
                .iter()
                .map(ToString::to_string)
                .collect();
            let done: Vec<_> = simulator.pass(None).steps.iter().map(ToString::to_string).collect();
            assert_eq!(planned, done, "{} {like:?}", scenario.name);
        }
    }
}
