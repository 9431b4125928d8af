//! Everything that may happen between any two writes, with a model of Pods: at no moment does any of them run with a client whose
//! variable is missing, and whatever is cut off ends where an undisturbed run does.

mod at_work;
mod world;

use std::collections::BTreeSet;

use proptest::prelude::*;

use self::world::{BASE, Template, World, names};
use super::{
    change::{Answer, Change},
    document,
    effects::Effects,
    entry::{StaticClient, tests::confidential, variable},
    installation::{Keys, Target, Text, Workload},
    roll::{self, Ages, Roll},
    seen::Seen,
    setup,
};
use crate::domain::{ClientSecret, Effect, IdpErrorKind, RemoteDiff, model::FieldChange};

fn create(id: &str, secret: &str) -> Change {
    Change::Create(confidential(id), Some(ClientSecret::new(secret)))
}

fn update(entry: StaticClient, secret: Option<&str>, fields: &[&str]) -> Change {
    let changes = fields.iter().map(|field| FieldChange {
        field: (*field).to_owned(),
        from: "a".to_owned(),
        to: "b".to_owned(),
    });
    let diff = RemoteDiff {
        changes: changes.collect(),
        recreate: false,
    };
    Change::Update(entry, secret.map(ClientSecret::new), diff)
}

fn public(id: &str) -> StaticClient {
    StaticClient {
        public: true,
        secret_env: None,
        ..confidential(id)
    }
}

fn moved(id: &str) -> StaticClient {
    StaticClient {
        redirect_uris: vec!["https://elsewhere.example.com".to_owned()],
        ..confidential(id)
    }
}

/// The client that runs in the end, with its secret; `None`: it does not.
type Expected = Option<(&'static str, Option<&'static str>)>;

/// The changes of acceptance, each on a world where `a` stands with `old`.
fn scenarios() -> Vec<(&'static str, Change, Expected)> {
    vec![
        ("create", create("b", "new"), Some(("b", Some("new")))),
        (
            "rotate",
            update(confidential("a"), Some("new"), &["secret"]),
            Some(("a", Some("new"))),
        ),
        (
            "change",
            update(moved("a"), None, &["redirectURIs"]),
            Some(("a", Some("old"))),
        ),
        (
            "to public",
            update(public("a"), None, &["type", "secret"]),
            Some(("a", None)),
        ),
        ("delete", Change::Delete("a".to_owned()), None),
    ]
}

fn standing() -> World {
    let mut world = World::new();
    world.done(&create("a", "old"));
    world.settle();
    world
}

#[test]
fn dex_starts_with_the_platforms_clients_alone() {
    let world = World::new();
    assert_eq!(world.target.as_ref().unwrap().0, BASE);
    assert!(world.seen().is_guarded() && world.running().is_empty());
    assert!(world.salt.is_some());
}

#[test]
fn each_change_takes_effect_with_one_roll_out() {
    for (name, change, expected) in scenarios() {
        let mut world = standing();
        let (before, restarts) = (world.newest(), world.restarts);
        world.done(&change);
        assert_eq!(world.newest(), before, "{name}: the call itself rolls nothing out");
        world.settle();
        assert_eq!(world.newest(), before + 1, "{name}");
        assert_eq!(world.restarts, restarts + 1, "{name}");
        match expected {
            Some((id, secret)) => {
                assert_eq!(world.running()[id].as_deref(), secret, "{name}");
                assert_eq!(world.effects.of(id), Effect::InEffect, "{name}");
            }
            None => assert!(!world.running().contains_key("a"), "{name}"),
        }
        let used: BTreeSet<String> = world
            .running()
            .iter()
            .filter(|(_, secret)| secret.is_some())
            .map(|(id, _)| variable(id))
            .collect();
        let held: BTreeSet<String> = world.keys.clone().unwrap().into_keys().collect();
        assert_eq!(held, used, "{name}: what nobody reads any more is gone");
        let quiet = world.clone();
        world.settle();
        assert_eq!(
            (world.newest(), world.restarts),
            (quiet.newest(), quiet.restarts),
            "{name}: and stays"
        );
    }
}

#[test]
fn whatever_is_cut_off_ends_as_an_undisturbed_run() {
    for (name, change, _) in scenarios() {
        let mut undisturbed = standing();
        undisturbed.done(&change);
        undisturbed.settle();
        for written in 0..3 {
            for rolled in 0..4 {
                let mut world = standing();
                let cut = world.call(&change, written).is_none();
                // A Pod may start anew at any moment, and the process may be another one.
                world.restart();
                world.effects = Effects::default();
                for _ in 0..rolled {
                    world.step();
                    world.restart();
                    world.effects = Effects::default();
                }
                if cut {
                    // The plan looks, and asks for what is missing.
                    let again = world.call(&change, usize::MAX);
                    assert!(again.is_some(), "{name}");
                }
                world.settle();
                let what = format!("{name}, after {written} writes and {rolled} steps");
                assert_eq!(world.running(), undisturbed.running(), "{what}");
                assert_eq!(world.text(), undisturbed.text(), "{what}");
                assert_eq!(world.keys, undisturbed.keys, "{what}");
            }
        }
    }
}

#[test]
fn many_changes_are_one_roll_out() {
    let mut world = World::new();
    let before = world.newest();
    for number in 0..60 {
        world.done(&create(&format!("client-{number}"), "secret"));
    }
    world.settle();
    assert_eq!(world.newest(), before + 1);
    assert_eq!(world.running().len(), 60);
}

#[test]
fn what_others_do_to_the_objects_never_opens_a_client() {
    type Deed = (&'static str, fn(&mut World));
    let deeds: [Deed; 7] = [
        ("the Secret is deleted", |world| {
            (world.keys, world.salt, world.keys_revision) = (None, None, None)
        }),
        ("a key is deleted", |world| {
            drop(world.keys.as_mut().unwrap().remove(&variable("a")))
        }),
        ("a key is emptied", |world| {
            drop(world.keys.as_mut().unwrap().insert(variable("a"), String::new()))
        }),
        ("the target is deleted", |world| world.target = None),
        ("the target is broken", |world| {
            world.target.as_mut().unwrap().0 = "no: [yaml".to_owned()
        }),
        ("base changes", |world| world.base.push_str("logger: {level: debug}\n")),
        ("the salt is lost", |world| world.salt = None),
    ];
    for (name, deed) in deeds {
        for pods_start in [false, true] {
            let mut world = standing();
            // Written, and not rolled out yet.
            world.done(&create("b", "new"));
            deed(&mut world);
            for _ in 0..8 {
                world.step();
                // A key that was emptied is an empty secret to whoever starts before the operator has seen it.
                if pods_start && name != "a key is emptied" {
                    world.restart();
                }
            }
            world.settle();
            // Clients that were lost are made again, as their passes do.
            for (id, secret) in [("a", "old"), ("b", "new")] {
                let _ = world.call(&create(id, secret), usize::MAX);
            }
            world.settle();
            let running = world.running();
            assert_eq!(running["a"].as_deref(), Some("old"), "{name}");
            assert_eq!(running["b"].as_deref(), Some("new"), "{name}");
        }
    }
}

#[test]
fn a_template_that_lost_what_is_ours_is_mended_before_clients_are_added() {
    let mut world = standing();
    world.templates.push(Template::default());
    let seen = world.seen();
    assert!(!seen.is_guarded());
    world.step();
    assert_eq!(
        world.target.as_ref().unwrap().1,
        None,
        "first, nothing is called guarded any more"
    );
    world.step();
    assert!(world.templates.last().unwrap().env_from);
    world.settle();
    assert!(world.seen().is_guarded());
}

#[test]
fn a_foreign_object_is_left_alone() {
    let world = standing();
    let seen = world.seen();
    let (target, keys) = (seen.target.clone().unwrap(), seen.keys.clone().unwrap());
    let foreign_target = Target {
        ours: false,
        ..target.clone()
    };
    let foreign_keys = Keys {
        ours: false,
        ..keys.clone()
    };
    for (target, keys, told) in [
        (foreign_target, keys, "ConfigMap dex/target exists"),
        (target, foreign_keys, "Secret dex/keys exists"),
    ] {
        let base = Text(BASE.to_owned());
        let error = Seen::new(&names(), &base, Some(target), Some(keys), Workload::default()).unwrap_err();
        assert_eq!(error.kind, IdpErrorKind::Configuration);
        assert!(
            error.message.contains(told) && error.message.contains("left as it is"),
            "{error}"
        );
    }
}

#[test]
fn the_platforms_clients_are_taken_and_read_only() {
    let mut world = standing();
    assert_eq!(world.call(&create("theirs", "x"), usize::MAX), Some(Ok(Answer::Taken)));
    assert_eq!(world.call(&create("a", "x"), usize::MAX), Some(Ok(Answer::Taken)));
    for change in [
        Change::Delete("theirs".to_owned()),
        update(moved("theirs"), None, &["redirectURIs"]),
    ] {
        assert_eq!(world.call(&change, usize::MAX), Some(Err(IdpErrorKind::Refused)));
    }
    assert_eq!(
        world.call(&Change::Delete("none".to_owned()), usize::MAX),
        Some(Ok(Answer::NotFound))
    );
    assert_eq!(
        world.call(&update(moved("none"), None, &[]), usize::MAX),
        Some(Ok(Answer::NotFound))
    );
    // The platform adds one of the same ID.
    world.base.push_str("- {id: a, name: A, secret: s}\n");
    let error = setup::next(&world.seen(), "salt").unwrap_err();
    assert!(
        error.kind == IdpErrorKind::Configuration && error.message.contains("remove one of both"),
        "{error}"
    );
}

#[test]
fn no_confidential_client_is_written_without_a_secret() {
    let mut world = standing();
    for change in [
        Change::Create(confidential("b"), None),
        create("b", ""),
        update(confidential("a"), None, &["secret"]),
        update(confidential("a"), Some(""), &["secret"]),
    ] {
        assert_eq!(
            world.call(&change, usize::MAX),
            Some(Err(IdpErrorKind::Refused)),
            "{change:?}"
        );
    }
    world.done(&update(public("a"), None, &["type"]));
    world.settle();
    let back = update(confidential("a"), None, &["type"]);
    assert_eq!(world.call(&back, usize::MAX), Some(Err(IdpErrorKind::Refused)));
    world.done(&update(confidential("a"), Some("again"), &["type", "secret"]));
    world.settle();
    assert_eq!(world.running()["a"].as_deref(), Some("again"));
}

#[test]
fn a_roll_out_under_way_is_waited_for() {
    let mut world = standing();
    world.done(&create("b", "new"));
    assert!(world.step() && !world.step(), "one template, then it waits");
    world.done(&create("c", "new"));
    assert!(!world.step(), "the Pods of the last one are not there yet");
    let newest = world.newest();
    world.start(newest);
    // What the last roll-out brought is in effect, although there is more to come.
    assert!(world.step());
    assert_eq!(world.effects.of("b"), Effect::InEffect);
    world.settle();
    assert_eq!(world.newest(), newest + 1);
    assert_eq!(world.effects.of("c"), Effect::InEffect);
}

#[test]
fn what_was_there_for_a_moment_only_is_rolled_out_too() {
    let mut world = standing();
    world.done(&create("b", "new"));
    // A Pod that starts now reads it.
    world.restart();
    assert!(world.running().contains_key("b"));
    world.done(&Change::Delete("b".to_owned()));
    world.settle();
    assert!(!world.running().contains_key("b"), "it was taken away");
    // A secret that comes back.
    for secret in ["another", "old"] {
        world.done(&update(confidential("a"), Some(secret), &["secret"]));
        world.restart();
    }
    world.settle();
    assert_eq!(world.running()["a"].as_deref(), Some("old"));
}

#[test]
fn changes_are_gathered_for_a_while() {
    use std::time::Duration;
    let mut world = standing();
    world.done(&create("b", "new"));
    let next = |first: u64, last: u64, streak: u32| {
        let ages = Ages {
            first_change: Some(Duration::from_secs(first)),
            last_change: Some(Duration::from_secs(last)),
            last_template: None,
            streak,
        };
        roll::next(&world.seen(), &Effects::default(), ages).unwrap()
    };
    assert_eq!(next(1, 1, 0), Roll::Quiet(Duration::from_secs(1)));
    assert_eq!(next(14, 0, 0), Roll::Quiet(Duration::from_secs(1)));
    assert!(matches!(next(15, 0, 0), Roll::Template(..)));
    assert!(matches!(next(5, 2, 0), Roll::Template(..)));
    // In a stream each roll-out waits longer than the last one, to an end.
    assert_eq!(next(5, 2, 1), Roll::Quiet(Duration::from_secs(2)));
    assert_eq!(next(59, 0, 1), Roll::Quiet(Duration::from_secs(1)));
    assert!(matches!(next(60, 0, 1), Roll::Template(..)) && matches!(next(5, 4, 1), Roll::Template(..)));
    for streak in [2, 30] {
        assert_eq!(next(10, 0, streak), Roll::Quiet(Duration::from_secs(8)));
        assert!(matches!(next(240, 0, streak), Roll::Template(..)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any history of changes, deaths, restarts and deletions: [`World::start`] looks at each Pod.
    #[test]
    fn no_history_opens_a_client(deeds in prop::collection::vec((0_usize..9, 0_usize..4, 0_usize..3), 1..40)) {
        let mut world = World::new();
        for (deed, number, writes) in deeds {
            let id = ["a", "b", "c", "d"][number];
            let change = match deed {
                0 | 1 => create(id, "secret"),
                2 => update(confidential(id), Some("another"), &["secret"]),
                3 => update(public(id), None, &["type", "secret"]),
                4 => Change::Delete(id.to_owned()),
                5 => { world.step(); world.restart(); continue }
                6 => { world.restart(); continue }
                7 => { (world.keys, world.salt, world.keys_revision) = (None, None, None); continue }
                _ => { world.effects = Effects::default(); world.settle(); continue }
            };
            if world.keys.is_some() && world.target.is_some() && world.seen().is_guarded() {
                let _ = world.call(&change, writes);
            }
            world.restart();
        }
        world.settle();
        let running = world.running();
        let written = document::entries(&world.target.as_ref().unwrap().0);
        prop_assert_eq!(running.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    }
}
