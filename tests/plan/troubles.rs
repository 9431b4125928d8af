//! What answers other than "done" lead to.

use oidc_operator::{
    api::{Reason, common::ConditionStatus},
    domain::{IdpErrorKind, ObservedClient, Proof},
    idp::memory::{Like, Operation, When},
    plan::{
        self, Move, Requeue, Snapshot, Verdict,
        rehearsal::{MAX_STEPS, Outcome, expected},
        step::OutputKind,
    },
};

use crate::{
    scenarios::BOTH,
    simulator::{End, Simulator},
};

/// Plays a pass in which every proof says `proof`, and everything else succeeds.
fn with_proof(mut snapshot: Snapshot, proof: &Proof) -> (Vec<&'static str>, Verdict) {
    let mut steps = Vec::new();
    while steps.len() < MAX_STEPS {
        match plan::next(&snapshot) {
            Move::Settled(verdict) => return (steps, *verdict),
            // The provider shows what was written.
            Move::Look(_) => snapshot.see_remote(snapshot.remote.clone()),
            Move::Do(step) => {
                let outcome = match step.name() {
                    "prove" => Outcome::Proof(proof.clone()),
                    _ => expected(&step, &snapshot),
                };
                steps.push(step.name());
                snapshot.learn(&step, outcome);
            }
        }
    }
    panic!("no end: {steps:?}");
}

/// A clear disproof sets the secret once more, and not again and again in every pass.
#[test]
fn a_disproof_sets_the_secret_once_more() {
    for (like, again) in BOTH
        .into_iter()
        .zip([&["delete-remote", "create-remote"][..], &["update-remote"]])
    {
        let mut simulator = Simulator::new(like);
        simulator.settle();
        simulator.wipe_status();
        let (steps, verdict) = with_proof(simulator.observe(), &Proof::Disproven);
        assert_eq!(steps, [&["prove"], again, &["prove"]].concat(), "{like:?}");
        assert_eq!(verdict.verified.as_ref().unwrap().reason, Reason::CredentialsRefused);
        assert!(matches!(verdict.requeue, Requeue::Backoff(_)));

        let now = simulator.world.now;
        simulator.world.client.status = plan::conditions::client_status(&simulator.world.client, &verdict, now);
        let (steps, verdict) = with_proof(simulator.observe(), &Proof::Disproven);
        assert_eq!(
            steps,
            ["prove"],
            "{like:?}: a pass that finds nothing new writes nothing"
        );
        let status = plan::conditions::client_status(&simulator.world.client, &verdict, now);
        assert_eq!(status, simulator.world.client.status);

        let (steps, verdict) = with_proof(simulator.observe(), &Proof::Proven);
        assert_eq!(
            (steps, verdict.verified.unwrap().reason),
            (vec!["prove"], Reason::Verified)
        );
    }
}

/// A rotation stops at a clear disproof, and goes on where nobody knows.
#[test]
fn rotations_and_proofs() {
    let mut simulator = Simulator::new(Like::Keycloak);
    simulator.settle();
    simulator.cluster.remove(OutputKind::Secret, "web-oidc");
    let (steps, verdict) = with_proof(simulator.observe(), &Proof::Unknown("down".to_owned()));
    assert_eq!(
        steps,
        [
            "create-next",
            "update-remote",
            "prove",
            "create-secret",
            "delete-secret"
        ]
    );
    assert_eq!(verdict.verified.unwrap().reason, Reason::ProofUnavailable);

    let (steps, verdict) = with_proof(simulator.observe(), &Proof::Disproven);
    assert_eq!(
        steps,
        ["create-next", "update-remote", "prove", "update-remote", "prove"]
    );
    assert_eq!(verdict.verified.as_ref().unwrap().reason, Reason::CredentialsRefused);
    // What else is known of the client does not suffer from it.
    assert_eq!(verdict.accepted.as_ref().unwrap().reason, Reason::Accepted);
    assert!(!verdict.facts.enforcement.as_ref().unwrap().is_empty());
}

/// Where the answer says neither, it is asked once after each change, and then once a day.
#[test]
fn what_cannot_be_told_is_not_asked_again_and_again() {
    let mut simulator = Simulator::new(Like::Keycloak);
    crate::scenarios::standing_by_hand(&mut simulator);
    simulator.wipe_status();
    let undecided = Proof::Undecided("it says neither".to_owned());
    let (steps, verdict) = with_proof(simulator.observe(), &undecided);
    assert_eq!(steps, ["prove"]);
    let verified = verdict.verified.as_ref().unwrap();
    assert_eq!(
        (verified.reason, verified.status),
        (Reason::ProofUnavailable, ConditionStatus::Unknown)
    );
    assert!(matches!(verdict.requeue, Requeue::Resync(_)));
    let now = simulator.world.now;
    let status = plan::conditions::client_status(&simulator.world.client, &verdict, now);
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.reason, "Ready", "it does not stand in the way");
    simulator.world.client.status = status;

    assert!(!simulator.pass(None).wrote());
    simulator.world.pass_time(24 * 60 * 60);
    let (steps, _) = with_proof(simulator.observe(), &undecided);
    assert_eq!(steps, ["prove"], "a day later");
    simulator.world.users_secret("changed-by-hand");
    let (steps, _) = with_proof(simulator.observe(), &undecided);
    assert_eq!(
        steps,
        ["prove", "update-secret"],
        "a changed secret is written all the same"
    );
}

/// Good credentials help nobody whose issuer is another one: it is told, and tried again, and nothing is written for it.
#[test]
fn the_wrong_issuer_is_told() {
    let mut simulator = Simulator::new(Like::Authentik);
    simulator.settle();
    simulator.wipe_status();
    let wrong = Proof::WrongIssuer("the document names https://other/".to_owned());
    let (steps, verdict) = with_proof(simulator.observe(), &wrong);
    assert_eq!(steps, ["prove"]);
    let verified = verdict.verified.as_ref().unwrap();
    assert_eq!(verified.reason, Reason::IssuerMismatch);
    assert_eq!(verified.message, "the document names https://other/");
    assert!(matches!(verdict.requeue, Requeue::Backoff(_)));
    let status = plan::conditions::client_status(&simulator.world.client, &verdict, simulator.world.now);
    let ready = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
        .unwrap();
    assert_eq!(ready.reason, "IssuerMismatch");
}

/// A secret that was written into an existing client is tried too.
#[test]
fn what_was_written_is_proven() {
    let mut simulator = Simulator::new(Like::Keycloak);
    simulator.settle();
    let client = simulator.driver.client("shop_web").unwrap();
    let secret = oidc_operator::domain::ObservedSecret::Absent;
    simulator.driver.put(ObservedClient { secret, ..client });
    simulator.restart();
    assert_eq!(simulator.pass(None).names(), ["update-remote", "prove"]);
}

/// The provider is away: what is there stays, and the object says why work goes on.
#[test]
fn an_absent_provider_takes_nothing_away() {
    use IdpErrorKind as Kind;
    for (kind, reason) in [
        (Kind::Unreachable, Reason::Unreachable),
        (Kind::Timeout, Reason::Timeout),
        (Kind::Tls, Reason::TLSFailed),
        (Kind::Unauthorized, Reason::Unauthorized),
        (Kind::Forbidden, Reason::Forbidden),
        (Kind::Throttled, Reason::Throttled),
        (Kind::Protocol, Reason::UnexpectedAnswer),
        (Kind::Server, Reason::ServerError),
    ] {
        let mut simulator = Simulator::new(Like::Dex);
        simulator.settle();
        let before = simulator.end_state();
        simulator.restart();
        simulator.driver.fail(Operation::Get, kind, When::Before, 2);
        let pass = simulator.pass(None);
        assert_eq!(pass.verdict().reconciling.as_ref().unwrap().0, reason);
        assert_eq!(simulator.end_state(), before);
        let ready = |simulator: &Simulator| {
            let find = |condition: &&oidc_operator::api::Condition| condition.type_ == "Ready";
            simulator
                .world
                .client
                .status
                .conditions
                .iter()
                .find(find)
                .unwrap()
                .reason
                .clone()
        };
        assert_eq!(ready(&simulator), "Ready", "{kind:?}: it works as before");
        assert!(!simulator.pass(None).wrote(), "{kind:?}: said once");
        assert_eq!(simulator.settle().len(), 1, "{kind:?}: and taken back");
    }
}

/// What the provider refuses for good costs one try; a request, or a new spec, one more.
#[test]
fn a_refused_client_costs_no_writes() {
    let mut simulator = Simulator::new(Like::Dex);
    simulator
        .driver
        .fail(Operation::Create, IdpErrorKind::Refused, When::Before, 3);
    assert_eq!(simulator.pass(None).writes, 3, "finalizer; the Secret, and gone again");
    assert!(!simulator.pass(None).wrote());
    simulator.world.client.reconcile_request = Some("again".to_owned());
    assert_eq!(simulator.pass(None).writes, 2);
    assert!(!simulator.pass(None).wrote());
    simulator.world.display_name(Some("Shop"));
    assert_eq!(simulator.pass(None).writes, 2);
    assert!(!simulator.pass(None).wrote());
    assert_eq!(simulator.driver.count(Operation::Create), 3);
    // Healed: the next spec works.
    simulator.world.display_name(Some("Store"));
    assert!(matches!(simulator.pass(None).end, End::Settled(_)));
    assert!(simulator.valid_secret().is_some());
}

/// A Secret that only a renamed ConfigMap tells of was handed out all the same.
#[test]
fn what_was_published_is_never_called_never_made() {
    let mut simulator = Simulator::new(Like::Dex);
    simulator.settle();
    let before = simulator.cluster.secret("web-oidc").uid.clone();
    simulator.driver.put(crate::scenarios::stranger(&[]));
    simulator.world.outputs(|outputs| {
        outputs.config_map = Some(oidc_operator::api::client::ConfigMapOutput {
            name: Some("endpoints".to_owned()),
            ..Default::default()
        });
    });
    simulator.restart();
    assert_eq!(
        simulator.pass(None).verdict().accepted.as_ref().unwrap().reason,
        Reason::ClientIDTaken
    );
    assert_eq!(simulator.cluster.secret("web-oidc").uid, before);
}

/// Somebody writes between the look and the write: looked at again, and done then.
#[test]
fn a_race_is_looked_at_again() {
    let mut simulator = Simulator::new(Like::Dex);
    simulator.settle();
    simulator.world.secret_output(|secret| {
        secret.labels = Some([("team".to_owned(), "web".to_owned())].into());
    });
    let mut snapshot = simulator.observe();
    simulator.cluster.edit(OutputKind::Secret, "web-oidc", |view| {
        view.labels.insert("theirs".to_owned(), "stays".to_owned());
    });
    let Move::Do(step) = plan::next(&snapshot) else {
        panic!("nothing to do")
    };
    let plan::Step::UpdateOutput {
        draft, precondition, ..
    } = step.as_ref()
    else {
        panic!("{step}")
    };
    let outcome = simulator.cluster.update(&simulator.world.client, draft, precondition);
    assert!(matches!(outcome, Outcome::OutputChanged));
    snapshot.learn(&step, outcome);
    assert!(matches!(plan::next(&snapshot), Move::Look(plan::Need::Outputs)));
    simulator.settle();
    let labels = &simulator.cluster.secret("web-oidc").labels;
    assert_eq!((labels["team"].as_str(), labels["theirs"].as_str()), ("web", "stays"));
}
