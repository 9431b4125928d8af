//! What must hold after any history: changes of the spec, edits and deletions by others, loss of the provider's storage,
//! crashes and lost replies, in any order.

use std::collections::BTreeMap;

use oidc_operator::{
    domain::{ClientSecret, ObservedSecret, client::ClientType},
    idp::memory::Like,
    plan::step::OutputKind,
    publish::Data,
};
use proptest::prelude::*;

use crate::{
    end_state::summary,
    keys,
    scenarios::{CONSENT, at_provider, deployment, set_field, stranger, workload},
    simulator::{Simulator, TROUBLES, Trouble, name_of, text},
    world::KEY_PREFIX,
};

/// One thing that happens.
#[derive(Clone, Debug)]
enum Event {
    RedirectUris(u8),
    Wildcard,
    DisplayName(Option<u8>),
    Logo(bool),
    Type(ClientType),
    SecretName(u8),
    ConfigMapName(u8),
    Metadata { labels: u8, annotations: u8 },
    EditKey(OutputKind, bool),
    EditSecret,
    EditAnnotation(bool),
    DeleteOutput(OutputKind, bool),
    ExistingSecretRef(bool),
    UsersSecret(Option<u8>),
    UsersKey(usize),
    Method(bool),
    LoseStorage,
    Drift,
    DriftOfSecret,
    WipeStatus,
    Restart,
    Resync,
    Pass(Option<(usize, Trouble)>),
}

fn kinds() -> impl Strategy<Value = OutputKind> {
    prop_oneof![Just(OutputKind::Secret), Just(OutputKind::ConfigMap)]
}

fn events() -> impl Strategy<Value = Event> {
    let trouble = proptest::option::of((0..8_usize, proptest::sample::select(&TROUBLES[..])));
    prop_oneof![
        1 => (0..3_u8).prop_map(Event::RedirectUris),
        1 => Just(Event::Wildcard),
        1 => proptest::option::of(0..2_u8).prop_map(Event::DisplayName),
        1 => any::<bool>().prop_map(Event::Logo),
        2 => prop_oneof![Just(ClientType::Public), Just(ClientType::Confidential)].prop_map(Event::Type),
        1 => (0..3_u8).prop_map(Event::SecretName),
        1 => (0..2_u8).prop_map(Event::ConfigMapName),
        1 => (0..4_u8, 0..4_u8).prop_map(|(labels, annotations)| Event::Metadata { labels, annotations }),
        1 => (kinds(), any::<bool>()).prop_map(|(kind, add)| Event::EditKey(kind, add)),
        2 => Just(Event::EditSecret),
        1 => any::<bool>().prop_map(Event::EditAnnotation),
        2 => (kinds(), any::<bool>()).prop_map(|(kind, all)| Event::DeleteOutput(kind, all)),
        2 => any::<bool>().prop_map(Event::ExistingSecretRef),
        2 => proptest::option::of(0..2_u8).prop_map(Event::UsersSecret),
        1 => (0..2_usize).prop_map(Event::UsersKey),
        2 => any::<bool>().prop_map(Event::Method),
        1 => Just(Event::LoseStorage),
        1 => Just(Event::Drift),
        1 => Just(Event::DriftOfSecret),
        1 => Just(Event::WipeStatus),
        1 => Just(Event::Restart),
        2 => Just(Event::Resync),
        8 => trouble.prop_map(Event::Pass),
    ]
}

fn histories() -> impl Strategy<Value = (Like, Vec<Event>)> {
    let like = prop_oneof![
        Just(Like::Dex),
        Just(Like::DexStorage),
        Just(Like::Keycloak),
        Just(Like::Authentik)
    ];
    (like, proptest::collection::vec(events(), 0..16))
}

const KEYS: [&str; 2] = ["team", "tier"];

fn metadata(mask: u8) -> Option<BTreeMap<String, String>> {
    let chosen = KEYS.iter().enumerate().filter(|(index, _)| mask & (1 << index) != 0);
    Some(chosen.map(|(_, key)| ((*key).to_owned(), format!("v{mask}"))).collect())
}

fn happen(simulator: &mut Simulator, event: &Event) {
    let (world, cluster) = (&mut simulator.world, &mut simulator.cluster);
    let secret_name = world.client.secret_name();
    match event {
        Event::RedirectUris(number) => drop(world.redirect_uris(&[&format!("https://shop/cb{number}")])),
        Event::Wildcard => drop(world.redirect_uris(&["https://*.shop/cb"])),
        Event::DisplayName(name) => drop(world.display_name(name.map(|name| format!("Shop {name}")).as_deref())),
        Event::Logo(there) => {
            let logo = there.then(|| "https://shop/logo.png".to_owned());
            world.spec(|spec| spec.logo_uri = logo);
        }
        Event::Type(type_) => keys::type_(simulator, *type_),
        Event::Method(_) if world.client.spec.type_ == ClientType::Public => {}
        Event::Method(key) => keys::with_key(simulator, *key),
        Event::SecretName(number) => {
            let name = ["web-oidc", "creds", "web-next"][usize::from(*number)];
            world.secret_output(|secret| secret.name = Some(name.to_owned()));
        }
        Event::ConfigMapName(number) => {
            let name = ["web-oidc", "endpoints"][usize::from(*number)];
            world.outputs(|outputs| {
                outputs.config_map.get_or_insert_with(Default::default).name = Some(name.to_owned());
            });
        }
        Event::Metadata { labels, annotations } => drop(world.secret_output(|secret| {
            secret.labels = metadata(*labels);
            secret.annotations = metadata(*annotations);
        })),
        Event::EditKey(kind, add) => {
            let key = if *add { "more" } else { "issuer-uri" };
            let name = match kind {
                OutputKind::Secret => secret_name,
                OutputKind::ConfigMap => world.client.config_map_name(),
            };
            cluster.edit(*kind, &name, |view| {
                drop(view.data.insert(key.to_owned(), b"theirs".to_vec()))
            });
        }
        Event::EditSecret => cluster.edit(OutputKind::Secret, &secret_name, |view| {
            let key = view.client_secret_key().to_owned();
            view.data.insert(key, b"theirs".to_vec());
        }),
        Event::EditAnnotation(mark) => {
            let key = if *mark { "mark" } else { "client-secret-sha256" };
            cluster.edit(OutputKind::Secret, &secret_name, |view| {
                view.annotations
                    .insert(format!("oidc-operator.io/{key}"), "theirs".to_owned());
            });
        }
        Event::DeleteOutput(kind, all) => {
            let ours: Vec<_> = cluster
                .objects
                .keys()
                .filter(|(of, name)| *of == kind.to_string() && name != "theirs")
                .cloned()
                .collect();
            for (_, name) in ours.iter().take(if *all { usize::MAX } else { 1 }) {
                cluster.remove(*kind, name);
            }
        }
        Event::ExistingSecretRef(there) => drop(world.existing_secret_ref(*there)),
        Event::UsersSecret(Some(number)) => drop(world.users_secret(&format!("made-by-hand-{number}"))),
        Event::UsersKey(number) => drop(world.users_key(*number)),
        Event::UsersSecret(None) => world.existing = None,
        Event::LoseStorage => drop(simulator.driver.remove("shop_web")),
        Event::Drift => at_provider(simulator, |client| {
            set_field(client, "redirectURIs", "https://evil/cb");
        }),
        Event::DriftOfSecret => at_provider(simulator, |client| {
            if let ObservedSecret::Keys(keys) = &mut client.secret {
                keys.insert("theirs".to_owned());
            } else if client.is_confidential() {
                client.secret = ObservedSecret::Shown(ClientSecret::new("theirs"));
            }
        }),
        Event::WipeStatus => simulator.wipe_status(),
        Event::Restart => simulator.restart(),
        Event::Resync => simulator.resync(),
        Event::Pass(trouble) => drop(simulator.pass(*trouble)),
    }
}

/// Whatever the spec asks for, it does not wait for anybody.
fn can_be_served(simulator: &mut Simulator, like: Like) {
    if matches!(&simulator.world.client.spec.redirect_uris, Some(uris) if uris[0].contains('*')) {
        simulator.world.redirect_uris(&["https://shop/cb"]);
    }
    // Keys are Keycloak's alone; and what the user brings must be what the client wants.
    if like != Like::Keycloak {
        keys::with_key(simulator, false);
    }
    let with_key = simulator.world.client.spec.token_endpoint_auth_method.is_some();
    let value = simulator
        .world
        .existing
        .as_ref()
        .and_then(|secret| secret.value.as_deref());
    let usable = value.is_some_and(|value| String::from_utf8_lossy(value).contains(KEY_PREFIX) == with_key);
    if !usable && simulator.world.client.spec.existing_secret_ref().is_some() {
        if with_key {
            simulator.world.users_key(0);
        } else {
            simulator.world.users_secret("made-by-hand");
        }
    }
}

/// The Pods of a Deployment that consents, as a kubelet starts them.
#[derive(Debug, Default)]
struct Pods {
    restarts: usize,
    /// What Secret and ConfigMap held when they were started; `None`: they wait for both.
    hold: Option<(Data, Data)>,
}

impl Pods {
    fn deployed(simulator: &mut Simulator) -> Self {
        simulator.cluster.workload(&workload("Deployment", "web"), &CONSENT);
        let mut pods = Self::default();
        pods.follow(simulator);
        pods
    }

    /// What stands now, where both do.
    fn standing(simulator: &Simulator) -> Option<(Data, Data)> {
        let client = &simulator.world.client;
        let secret = simulator.cluster.get(OutputKind::Secret, &client.secret_name())?;
        let config_map = simulator
            .cluster
            .get(OutputKind::ConfigMap, &client.config_map_name())?;
        Some((secret.data.clone(), config_map.data.clone()))
    }

    fn follow(&mut self, simulator: &mut Simulator) {
        let restarts = deployment(simulator).restarts.len();
        if self.hold.is_none() || restarts != self.restarts {
            self.hold = Self::standing(simulator);
        }
        self.restarts = restarts;
    }
}

/// A simulator with all of the history behind it, settled on a spec that can be served.
fn after(like: Like, history: &[Event]) -> Simulator {
    let mut simulator = Simulator::new(like);
    simulator.cluster.put(OutputKind::Secret, "theirs", |_| {});
    let mut theirs = stranger(&[]);
    theirs.client_id = "theirs".to_owned();
    simulator.driver.put(theirs.clone());
    let secret = simulator.cluster.secret("theirs").clone();
    for event in history {
        happen(&mut simulator, event);
    }
    can_be_served(&mut simulator, like);
    // Drift of a secret is not in Dex's lists: found on the next start, or where it matters.
    simulator.restart();
    simulator.settle();
    // What is not ours was not touched; the rest is not looked at with it.
    let untouched = simulator.cluster.secret("theirs");
    assert_eq!(
        (&untouched.uid, &untouched.resource_version),
        (&secret.uid, &secret.resource_version)
    );
    assert_eq!(simulator.driver.remove("theirs"), Some(theirs));
    simulator.cluster.remove(OutputKind::Secret, "theirs");
    simulator
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The end is that of the last spec, applied afresh; it stays, and the Secret's secret is the valid one.
    #[test]
    fn the_last_spec_wins((like, history) in histories()) {
        let mut simulator = after(like, &history);
        let mut fresh = Simulator::new(like);
        fresh.world.client.spec = simulator.world.client.spec.clone();
        fresh.world.existing = simulator.world.existing.clone();
        fresh.settle();
        prop_assert_eq!(simulator.end_state(), fresh.end_state());
        prop_assert_eq!(summary(&simulator.world.client.status), summary(&fresh.world.client.status));

        let secret = simulator.cluster.secret(&simulator.world.client.secret_name());
        prop_assert_eq!(simulator.valid_secret().unwrap_or_default(), name_of(&text(secret, secret.client_secret_key())));

        let again = simulator.pass(None);
        prop_assert!(!again.wrote(), "{:?}", again.names());
    }

    /// Pods of a workload that consents hold what the outputs hold, whenever the workload was made, and whatever happened since.
    #[test]
    fn pods_hold_what_the_outputs_hold((like, history) in histories(), deployed in proptest::collection::vec(proptest::bool::weighted(0.3), 16)) {
        let mut simulator = Simulator::new(like);
        simulator.world.spec(|spec| spec.rollout_restart = Some(vec![workload("Deployment", "web")]));
        let mut pods = Pods::deployed(&mut simulator);
        for (event, anew) in history.iter().zip(deployed) {
            if anew {
                pods = Pods::deployed(&mut simulator);
            }
            let view = deployment(&mut simulator).view.clone();
            if matches!(event, Event::DeleteOutput(..)) && simulator.noted(&view) == "nothing noted" {
                // What nobody has looked at yet: taken for one that waits.
                pods = Pods::default();
                pods.restarts = deployment(&mut simulator).restarts.len();
            }
            happen(&mut simulator, event);
            pods.follow(&mut simulator);
        }
        can_be_served(&mut simulator, like);
        simulator.restart();
        simulator.settle();
        pods.follow(&mut simulator);
        prop_assert!(pods.hold.is_some());
        // Not printed: they are secrets, and many.
        prop_assert!(pods.hold == Pods::standing(&simulator), "the Pods hold something else");
    }

    /// Deleted, nothing of ours is left.
    #[test]
    fn nothing_is_left_behind((like, history) in histories(), trouble in proptest::option::of((0..3_usize, proptest::sample::select(&TROUBLES[..])))) {
        let mut simulator = after(like, &history);
        simulator.world.deleted();
        simulator.pass(trouble);
        simulator.settle();
        prop_assert!(simulator.gone);
        prop_assert_eq!(simulator.end_state(), "");
    }

    /// Retained, the credentials go on working, and the next object of this name takes them back as they are.
    #[test]
    fn what_is_retained_is_taken_back((like, history) in histories(), trouble in proptest::option::of((0..6_usize, proptest::sample::select(&TROUBLES[..])))) {
        let mut simulator = after(like, &history);
        let before = simulator.valid_secret();
        simulator.world.retain().deleted();
        simulator.pass(trouble);
        simulator.settle();
        prop_assert!(simulator.gone);
        prop_assert!(simulator.cluster.objects.values().all(|view| view.owners.is_empty()));
        prop_assert_eq!(simulator.valid_secret(), before.clone());

        simulator.gone = false;
        simulator.restart();
        simulator.world.reborn();
        simulator.settle();
        prop_assert_eq!(simulator.valid_secret(), before);
        let mut fresh = Simulator::new(like);
        fresh.world.client.spec = simulator.world.client.spec.clone();
        fresh.world.existing = simulator.world.existing.clone();
        fresh.world.client.uid = "uid-2".to_owned();
        fresh.settle();
        prop_assert_eq!(simulator.end_state(), fresh.end_state());
    }
}
