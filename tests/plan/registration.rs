//! Clients that the server names: every step may be the last one, no answer is lost but the one that got lost, and nothing else
//! than the record ever manages a client.

use oidc_operator::{
    api::{Reason, client::DeletionPolicy, common::ConditionStatus},
    domain::{IdpErrorKind, Registration, ResourceName},
    idp::memory::{Like, Operation, When},
    plan::{
        snapshot::{KeptRegistration, NotReady, ProviderView, RegistrationView},
        step::OutputKind,
    },
};
use serde_json::json;

use crate::{
    end_state::summary,
    simulator::{Pass, Simulator, TROUBLES, Trouble, text},
};

fn fresh() -> Simulator {
    Simulator::new(Like::Registration)
}

fn standing() -> Simulator {
    let mut simulator = fresh();
    simulator.settle();
    simulator
}

fn record(simulator: &Simulator) -> &Registration {
    match &simulator.record {
        RegistrationView::Kept(KeptRegistration { record, .. }) => record,
        other => panic!("{other:?}"),
    }
}

fn condition(simulator: &Simulator, type_: &str) -> (ConditionStatus, String, String) {
    let conditions = &simulator.world.client.status.conditions;
    let found = conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    (found.status, found.reason.clone(), found.message.clone())
}

fn is(simulator: &Simulator, type_: &str, status: ConditionStatus, reason: Reason) {
    let (found, why, message) = condition(simulator, type_);
    assert_eq!((found, why.as_str()), (status, reason.as_str()), "{type_}: {message}");
}

/// Everything that was told by Events.
fn events(passes: &[Pass]) -> Vec<Reason> {
    let events = passes.iter().flat_map(|pass| &pass.events);
    events.map(|note| note.reason).collect()
}

#[test]
fn a_client_is_registered_kept_and_only_then_published() {
    let mut simulator = fresh();
    let pass = simulator.pass(None);
    assert_eq!(
        pass.names(),
        [
            "add-finalizer",
            "stage-registration",
            "create-remote",
            "keep-registration",
            "create-secret",
            "create-configmap",
            "prove"
        ]
    );
    let status = &simulator.world.client.status;
    assert_eq!(status.client_id.as_deref(), Some("registered-1"));
    assert_eq!(status.registration, None, "nothing is amiss");
    let secret = simulator.cluster.secret("web-oidc");
    assert_eq!(text(secret, "client-id"), "registered-1");
    assert_eq!(text(secret, "client-secret"), "hunter2-of-the-server-1");
    let mut keys = secret.data.keys();
    assert!(
        keys.all(|key| !key.contains("registration")),
        "{:?}",
        secret.data.keys()
    );
    assert!(!simulator.pass(None).wrote(), "again");
}

#[test]
fn what_the_server_decides_is_refused_in_a_spec() {
    for (credentials, client_id) in [
        (json!({}), Some("mine")),
        (json!({"existingSecretRef": {"name": "by-hand"}}), None),
        (json!({"rotation": {"interval": "24h"}}), None),
    ] {
        let mut simulator = fresh();
        simulator.world.spec(|spec| {
            spec.client_id = client_id.map(str::to_owned);
            spec.credentials = serde_json::from_value(credentials).unwrap();
        });
        simulator.settle();
        is(
            &simulator,
            "Accepted",
            ConditionStatus::False,
            Reason::UnsupportedByProvider,
        );
        assert_eq!(simulator.driver.writes(), 0);
        assert_eq!(simulator.record, RegistrationView::Missing);
    }
}

#[test]
fn a_change_is_sent_once_and_its_answer_kept_at_once() {
    let mut simulator = standing();
    let before = record(&simulator).clone();
    simulator.world.redirect_uris(&["https://shop/other"]);
    let pass = simulator.pass(None);
    assert_eq!(pass.names(), ["update-remote", "keep-registration", "update-secret"]);
    let after = record(&simulator);
    assert_ne!(after.client, before.client);
    assert_eq!(
        (&after.attempt, &after.registered_at),
        (&before.attempt, &before.registered_at)
    );
    simulator.restart();
    assert!(!simulator.pass(None).wrote());
}

#[test]
fn a_request_to_rotate_is_answered_in_words() {
    let mut simulator = standing();
    let before = text(simulator.cluster.secret("web-oidc"), "client-secret");
    simulator.world.client.rotate_request = Some("1".to_owned());
    simulator.settle();
    let (status, _, message) = condition(&simulator, "Provisioned");
    assert_eq!(status, ConditionStatus::True);
    assert!(message.contains("oidc-operator.io/rotate changes nothing"), "{message}");
    assert_eq!(text(simulator.cluster.secret("web-oidc"), "client-secret"), before);
}

#[test]
fn a_public_client_that_becomes_confidential_is_given_a_secret_by_the_server() {
    let mut simulator = fresh();
    simulator.world.public();
    simulator.settle();
    assert!(!simulator.cluster.secret("web-oidc").data.contains_key("client-secret"));
    simulator.world.spec(|spec| spec.type_ = Default::default());
    simulator.settle();
    let secret = text(simulator.cluster.secret("web-oidc"), "client-secret");
    assert!(simulator.is_valid(&secret), "{secret}");
    is(&simulator, "Ready", ConditionStatus::True, Reason::Ready);
}

type Situation = (&'static str, fn() -> Simulator);

/// Situations just before a pass with steps.
const SITUATIONS: &[Situation] = &[
    ("create", fresh),
    ("create public", || {
        let mut simulator = fresh();
        simulator.world.public();
        simulator
    }),
    ("change", || {
        let mut simulator = standing();
        simulator.world.redirect_uris(&["https://shop/other"]);
        simulator
    }),
    ("to public", || {
        let mut simulator = standing();
        simulator.world.public();
        simulator
    }),
    ("secret gone", || {
        let mut simulator = standing();
        simulator.cluster.remove(OutputKind::Secret, "web-oidc");
        simulator
    }),
    ("config map gone", || {
        let mut simulator = standing();
        simulator.cluster.remove(OutputKind::ConfigMap, "web-oidc");
        simulator
    }),
    ("delete", || {
        let mut simulator = standing();
        simulator.world.deleted();
        simulator
    }),
    ("retain", || {
        let mut simulator = standing();
        simulator.world.retain().deleted();
        simulator
    }),
    ("taken back", || {
        let mut simulator = standing();
        simulator.world.retain().deleted();
        simulator.settle();
        assert!(simulator.gone);
        simulator.gone = false;
        simulator.world.reborn();
        simulator
    }),
];

/// The steps after which an answer of the server is lost for good.
fn loses_an_answer(step: &str, trouble: Trouble) -> bool {
    matches!(step, "create-remote" | "update-remote")
        && matches!(trouble, Trouble::CrashAfter | Trouble::ReplyLost)
        // Its answer is in nobody's hands but this process'.
        || step == "keep-registration" && matches!(trouble, Trouble::CrashBefore | Trouble::NotReached)
}

#[test]
fn every_step_may_be_the_last_one() {
    let mut runs = 0;
    for (name, prepare) in SITUATIONS {
        let mut undisturbed = prepare();
        let steps = prepare().pass(None).names();
        undisturbed.settle();
        for (at, step) in steps.iter().enumerate() {
            for (trouble, wipe) in TROUBLES
                .into_iter()
                .flat_map(|trouble| [(trouble, false), (trouble, true)])
            {
                runs += 1;
                let what = format!("{name}: {trouble:?} at {step}, wiped: {wipe}");
                let mut simulator = prepare();
                let before = simulator.driver.clients().len();
                let mut passes = vec![simulator.pass(Some((at, trouble)))];
                if wipe {
                    simulator.wipe_status();
                }
                passes.extend(simulator.settle());
                simulator.restart();
                assert!(!simulator.pass(None).wrote(), "{what}: no end");
                let clients = simulator.driver.clients().len();
                let told = events(&passes);
                let lost =
                    loses_an_answer(step, trouble) || *step == "create-remote" && trouble != Trouble::CrashBefore;
                match *name {
                    "create" | "create public" => {
                        assert!(clients <= 2, "{what}: {clients} registrations");
                        if clients == 2 {
                            assert!(loses_an_answer(step, trouble), "{what}: two registrations");
                            assert!(told.contains(&Reason::PossibleOrphan), "{what}: {told:?}");
                            let status = simulator.world.client.status.registration.as_ref().unwrap();
                            assert_eq!(status.possible_orphans.len(), 1, "{what}");
                        }
                        assert_ready(&simulator, &what);
                    }
                    "change" | "to public" if loses_an_answer(step, trouble) => {
                        // The token went with the answer: nobody can know it.
                        is(
                            &simulator,
                            "Provisioned",
                            ConditionStatus::Unknown,
                            Reason::ManagementTokenLost,
                        );
                        assert_eq!(clients, before, "{what}");
                    }
                    "delete" => {
                        assert!(simulator.gone, "{what}");
                        assert_eq!(simulator.record, RegistrationView::Missing, "{what}");
                        assert_eq!(clients, 0, "{what}");
                    }
                    "retain" => {
                        assert!(simulator.gone, "{what}");
                        assert_eq!(clients, 1, "{what}");
                        assert!(
                            simulator.cluster.get(OutputKind::Secret, "web-oidc").is_some(),
                            "{what}"
                        );
                    }
                    _ => {
                        assert!(!lost || clients == before, "{what}");
                        assert_eq!(clients, before, "{what}");
                        assert_ready(&simulator, &what);
                        assert_eq!(
                            summary(&simulator.world.client.status),
                            summary(&undisturbed.world.client.status),
                            "{what}"
                        );
                    }
                }
            }
        }
    }
    assert!(runs > 250, "only {runs} runs");
}

fn assert_ready(simulator: &Simulator, what: &str) {
    let (status, reason, message) = condition(simulator, "Ready");
    assert_eq!(
        (status, reason.as_str()),
        (ConditionStatus::True, "Ready"),
        "{what}: {message}"
    );
    let secret = simulator.cluster.secret("web-oidc");
    assert_eq!(text(secret, "client-id"), simulator.client_id(), "{what}");
    if secret.data.contains_key("client-secret") {
        assert!(simulator.is_valid(&text(secret, "client-secret")), "{what}");
    }
}

#[test]
fn a_refusal_costs_no_registration_and_is_not_repeated() {
    let mut simulator = fresh();
    simulator
        .driver
        .fail(Operation::Create, IdpErrorKind::Refused, When::Before, 9);
    simulator.settle();
    is(
        &simulator,
        "Accepted",
        ConditionStatus::False,
        Reason::RefusedByProvider,
    );
    assert_eq!(
        simulator.record,
        RegistrationView::Missing,
        "nothing was sent that could have left something"
    );
    let calls = simulator.driver.count(Operation::Create);
    simulator.restart();
    let again = simulator.pass(None);
    assert!(!again.wrote());
    assert_eq!(simulator.driver.count(Operation::Create), calls, "tried again");
    simulator.driver.heal();
    simulator.world.redirect_uris(&["https://shop/mended"]);
    simulator.settle();
    assert_ready(&simulator, "mended");
    assert_eq!(simulator.driver.clients().len(), 1);
}

#[test]
fn a_refused_initial_token_is_no_lost_answer() {
    let mut simulator = fresh();
    simulator
        .driver
        .fail(Operation::Create, IdpErrorKind::Unauthorized, When::Before, 1);
    simulator.pass(None);
    is(
        &simulator,
        "Provisioned",
        ConditionStatus::Unknown,
        Reason::Unauthorized,
    );
    assert_eq!(simulator.record, RegistrationView::Missing);
    let passes = simulator.settle();
    assert!(!events(&passes).contains(&Reason::PossibleOrphan));
    assert_ready(&simulator, "with a good one");
}

#[test]
fn each_lost_answer_costs_one_registration_and_is_named() {
    let mut simulator = fresh();
    simulator
        .driver
        .fail(Operation::Create, IdpErrorKind::Timeout, When::After, 2);
    let mut attempts = Vec::new();
    for _ in 0..2 {
        simulator.pass(None);
        attempts.push(record(&simulator).software_id());
    }
    let passes = simulator.settle();
    assert!(events(&passes).contains(&Reason::PossibleOrphan));
    assert_ready(&simulator, "at last");
    assert_eq!(simulator.driver.clients().len(), 3);
    let status = simulator.world.client.status.registration.as_ref().unwrap();
    assert_eq!(status.possible_orphans, attempts);
}

#[test]
fn without_its_record_a_client_works_on_and_is_neither_changed_nor_made_again() {
    let mut simulator = standing();
    simulator.record = RegistrationView::Missing;
    simulator.world.redirect_uris(&["https://shop/other"]);
    let calls = simulator.driver.writes();
    simulator.settle();
    is(
        &simulator,
        "Provisioned",
        ConditionStatus::Unknown,
        Reason::ManagementTokenLost,
    );
    assert_eq!(simulator.driver.writes(), calls);
    let secret = text(simulator.cluster.secret("web-oidc"), "client-secret");
    assert!(simulator.driver.client("registered-1").is_some() && secret == "hunter2-of-the-server-1");
    // What else the outputs show stays up to date.
    simulator.cluster.remove(OutputKind::ConfigMap, "web-oidc");
    simulator.settle();
    assert!(simulator.cluster.get(OutputKind::ConfigMap, "web-oidc").is_some());
    // And the way out.
    simulator.cluster.remove(OutputKind::ConfigMap, "web-oidc");
    simulator.cluster.remove(OutputKind::Secret, "web-oidc");
    simulator.settle();
    assert_ready(&simulator, "another one");
    assert_eq!(simulator.driver.clients().len(), 2);
}

#[test]
fn a_record_that_cannot_be_read_is_left_alone() {
    let mut simulator = standing();
    simulator.record = RegistrationView::Broken("cannot be read".to_owned());
    let calls = simulator.driver.writes();
    simulator.settle();
    is(
        &simulator,
        "Provisioned",
        ConditionStatus::Unknown,
        Reason::ManagementTokenLost,
    );
    assert_eq!(simulator.driver.writes(), calls);
}

#[test]
fn a_server_that_only_creates_says_so_once_the_spec_changes() {
    let mut simulator = fresh();
    simulator.driver.forbid_management();
    simulator.settle();
    assert_ready(&simulator, "made");
    simulator.world.redirect_uris(&["https://shop/other"]);
    simulator.settle();
    is(&simulator, "Provisioned", ConditionStatus::False, Reason::CreateOnly);
    let (_, _, message) = condition(&simulator, "Provisioned");
    assert!(message.contains("redirectURIs"), "{message}");
    // Its deletion ends all the same, and somebody is told.
    simulator.world.deleted();
    let passes = simulator.settle();
    assert!(simulator.gone);
    assert!(events(&passes).contains(&Reason::LeftBehind));
}

#[test]
fn a_token_that_is_refused_ends_in_a_deletion_that_tells() {
    let mut simulator = standing();
    simulator
        .driver
        .fail(Operation::Delete, IdpErrorKind::Unauthorized, When::Before, 9);
    simulator.world.deleted();
    let passes = simulator.settle();
    assert!(simulator.gone);
    assert!(events(&passes).contains(&Reason::LeftBehind));
    assert_eq!(simulator.record, RegistrationView::Missing);
}

#[test]
fn an_unreachable_server_is_waited_for_and_then_its_record_stays() {
    let mut simulator = standing();
    simulator
        .world
        .provider(|provider| provider.not_ready = Some(NotReady::AdminApi));
    simulator.world.deleted();
    simulator.settle();
    assert!(!simulator.gone, "it waits");
    simulator.world.pass_time(700);
    let passes = simulator.settle();
    assert!(simulator.gone);
    let note = passes.iter().flat_map(|pass| &pass.events).next().unwrap();
    assert_eq!(note.reason, Reason::LeftBehind);
    assert!(
        note.message.contains("registered-1") && note.message.contains("oidc-registration-"),
        "{}",
        note.message
    );
    record(&simulator);
}

#[test]
fn an_unanswered_attempt_is_told_of_when_its_object_goes() {
    let mut simulator = fresh();
    simulator.pass(Some((2, Trouble::CrashAfter)));
    let attempt = record(&simulator).software_id();
    simulator.world.deleted();
    let passes = simulator.settle();
    assert!(simulator.gone);
    let told = passes
        .iter()
        .flat_map(|pass| &pass.events)
        .find(|note| note.reason == Reason::LeftBehind);
    assert!(told.unwrap().message.contains(&attempt));
    assert_eq!(simulator.record, RegistrationView::Missing);
}

#[test]
fn a_provider_that_is_gone_holds_no_deletion() {
    let mut simulator = standing();
    simulator.world.provider = ProviderView::NotFound;
    simulator.world.deleted();
    let passes = simulator.settle();
    assert!(simulator.gone);
    assert_eq!(events(&passes), [Reason::LeftBehind]);
}

#[test]
fn retained_and_taken_back_it_is_the_same_client() {
    let mut simulator = standing();
    simulator.world.retain().deleted();
    simulator.settle();
    simulator.gone = false;
    simulator.world.reborn();
    simulator
        .world
        .spec(|spec| spec.deletion_policy = DeletionPolicy::Delete);
    simulator.settle();
    assert_ready(&simulator, "taken back");
    assert_eq!(simulator.driver.clients().len(), 1);
    assert_eq!(record(&simulator).mark, simulator.world.mark());
    simulator.world.deleted();
    simulator.settle();
    assert!(simulator.driver.clients().is_empty());
}

#[test]
fn another_object_or_another_provider_never_finds_the_record() {
    use oidc_operator::domain::registration::secret_name;
    let name = |namespace: &str, client: &str, provider: &str| {
        secret_name(
            &ResourceName::new(namespace, client),
            &ResourceName::new("identity", provider),
        )
    };
    let mine = name("shop", "web", "idp");
    assert_eq!(mine, name("shop", "web", "idp"));
    for other in [
        name("shop", "other", "idp"),
        name("shop2", "web", "idp"),
        name("shop", "web", "other"),
    ] {
        assert_ne!(mine, other);
    }
}
