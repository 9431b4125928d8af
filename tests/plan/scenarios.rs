//! The situations that plans, crash loops and other tests are asked about: each is a world just before a pass.

use std::{collections::BTreeMap, sync::Arc};

use oidc_operator::{
    api::{
        client::{CaBundlePolicy, OutputFormat, SecretType, WorkloadReference},
        provider::ClientGrants,
    },
    domain::{
        ClientSecret, ClientType, ErrorClass, IdpErrorKind, ObservedClient, ObservedSecret, ProviderFacts, Validity,
    },
    idp::{
        by_hand::ByHandModel,
        memory::{Like, Operation, When},
    },
    plan::{
        outputs,
        snapshot::{ExistingSecret, ModelRef, NotReady, OwnerView, ProviderView, WorkloadView},
        step::OutputKind,
    },
};
use serde_json::json;

use crate::{
    cluster::WorkloadModel,
    keys,
    simulator::{Simulator, Trouble},
    world,
};

/// One situation.
pub struct Scenario {
    pub name: &'static str,
    /// Brings a fresh simulator there.
    pub prepare: fn(&mut Simulator),
}

pub const BOTH: [Like; 2] = [Like::Dex, Like::Keycloak];

impl Scenario {
    pub fn simulator(&self, like: Like) -> Simulator {
        let mut simulator = Simulator::new(like);
        (self.prepare)(&mut simulator);
        simulator
    }
}

macro_rules! scenarios {
    ($($name:ident: $prepare:expr;)+) => {
        /// All of them.
        pub const SCENARIOS: &[Scenario] = &[$(Scenario { name: stringify!($name), prepare: $prepare },)+];
    };
}

/// The client stands, with a display name and some metadata, and nothing is to be done.
pub fn standing(simulator: &mut Simulator) {
    simulator.world.display_name(Some("Shop")).secret_output(|secret| {
        secret.labels = Some(BTreeMap::from([("team".to_owned(), "web".to_owned())]));
    });
    simulator.settle();
}

/// The same, as a public client.
fn standing_public(simulator: &mut Simulator) {
    simulator.world.public();
    simulator.settle();
}

/// The client stands, and a rotation was cut off after its first step: `-next` stands.
pub fn staged(simulator: &mut Simulator) {
    standing(simulator);
    edit_secret(simulator, "client-secret", "mine");
    simulator.pass(Some((0, Trouble::CrashAfter)));
    assert!(simulator.cluster.secret("web-oidc-next").immutable);
}

/// The client stands with a secret of its user's.
fn standing_existing(simulator: &mut Simulator) {
    simulator.world.users_secret("made-by-hand").existing_secret_ref(true);
    standing(simulator);
}

/// The client stands with a secret of its user's, which was changed, and reached the provider alone before the object was deleted.
pub fn retained_by_half(simulator: &mut Simulator) {
    simulator.world.retain();
    standing_existing(simulator);
    simulator.world.users_secret("changed-by-hand");
    simulator.pass(Some((1, Trouble::CrashAfter)));
    simulator.world.deleted();
}

/// A client whose user's Secret is as `change` makes it, and that was never made.
fn existing(simulator: &mut Simulator, change: impl FnOnce(&mut ExistingSecret)) {
    simulator.world.users_secret("made-by-hand").existing_secret_ref(true);
    change(simulator.world.existing.as_mut().unwrap());
}

/// A provider whose clients are made by hand, and one that somebody made there, with a Secret that holds what it has there.
fn by_hand(simulator: &mut Simulator) {
    simulator
        .world
        .provider(|provider| provider.model = Some(ModelRef(Arc::new(ByHandModel))));
    simulator
        .world
        .spec(|spec| spec.client_id = Some("shop_web".to_owned()));
    simulator.world.users_secret("made-by-hand").existing_secret_ref(true);
    secret_by_hand(simulator, "hunter2-made-by-hand");
}

/// Its secret there is set.
fn secret_by_hand(simulator: &Simulator, secret: &str) {
    let secret = ObservedSecret::Shown(ClientSecret::new(secret));
    simulator.driver.put(ObservedClient {
        secret,
        ..stranger(&[])
    });
}

pub fn standing_by_hand(simulator: &mut Simulator) {
    by_hand(simulator);
    standing(simulator);
}

/// The client was retained by a former object of this name, and stands without owner.
fn retained(simulator: &mut Simulator) {
    simulator.world.retain();
    standing(simulator);
    simulator.world.deleted();
    simulator.settle();
    assert!(simulator.gone);
    simulator.gone = false;
    simulator.restart();
    simulator.world.reborn();
}

fn edit_secret(simulator: &mut Simulator, key: &str, value: &str) {
    let (key, value) = (key.to_owned(), value.as_bytes().to_vec());
    simulator.cluster.edit(OutputKind::Secret, "web-oidc", |view| {
        view.data.insert(key, value);
    });
}

/// A client of that ID that somebody made, with these marks.
pub fn stranger(marks: &[&str]) -> ObservedClient {
    ObservedClient {
        client_id: "shop_web".to_owned(),
        remote_id: "made-by-hand".to_owned(),
        marks: world::strings(marks),
        secret: ObservedSecret::Shown(ClientSecret::new("theirs")),
        validity: Validity::default(),
        disabled: false,
        fields: [
            ("type", "Confidential"),
            ("displayName", "Somebody's"),
            ("redirectURIs", "https://else/cb"),
        ]
        .map(|(field, value)| (field.to_owned(), value.to_owned()))
        .into(),
        handles: BTreeMap::new(),
        registered: None,
    }
}

/// Somebody changes the client at the provider.
pub fn at_provider(simulator: &Simulator, change: impl FnOnce(&mut ObservedClient)) {
    if let Some(mut client) = simulator.driver.remove("shop_web") {
        change(&mut client);
        simulator.driver.put(client);
    }
}

pub fn set_field(client: &mut ObservedClient, field: &str, value: &str) {
    client.fields.insert(field.to_owned(), value.to_owned());
}

/// Claims of type Constant, by name.
fn claims(simulator: &mut Simulator, claims: &[(&str, &str)]) {
    let claims = claims
        .iter()
        .map(|(name, value)| json!({"name": name, "type": "Constant", "constant": {"value": value}}));
    let claims = serde_json::from_value(claims.collect()).unwrap();
    simulator.world.spec(|spec| spec.claims = Some(claims));
}

fn scopes(simulator: &mut Simulator, scopes: &[&str]) {
    simulator.world.spec(|spec| spec.scopes = Some(world::strings(scopes)));
}

/// A format that has no key `client-secret`, a generated value, and a template that uses both.
fn own_keys(simulator: &mut Simulator) {
    simulator
        .world
        .outputs(|outputs| outputs.formats = Some(vec![OutputFormat::Env]));
    let generate = json!([{"key": "session-key", "length": 48}]);
    let template = json!([{"key": "own", "value": "{{ clientSecret }}:{{ generated['session-key'] }}"}]);
    simulator.world.secret_output(|secret| {
        secret.generate = serde_json::from_value(generate).unwrap();
        secret.templates = serde_json::from_value(template).unwrap();
    });
}

fn ask_to_rotate(simulator: &mut Simulator, value: &str) {
    simulator.world.client.rotate_request = Some(value.to_owned());
}

fn rotation(simulator: &mut Simulator, rotation: Option<serde_json::Value>) {
    let rotation = rotation.map(|rotation| serde_json::from_value(rotation).unwrap());
    simulator
        .world
        .spec(|spec| spec.credentials.get_or_insert_default().rotation = rotation);
}

fn standing_with_rotation(simulator: &mut Simulator) {
    rotation(simulator, Some(json!({"interval": "24h"})));
    standing(simulator);
}

/// The client stands, and a former secret may stay valid for 5 hours: as far as the operator is concerned.
fn standing_with_overlap(simulator: &mut Simulator) {
    rotation(simulator, Some(json!({"interval": "24h", "overlap": "5h"})));
    standing(simulator);
}

/// The client was rotated, and the provider lets the former secret be valid beside the new one.
pub fn overlapping(simulator: &mut Simulator) {
    simulator.driver.allow_overlap();
    standing_with_overlap(simulator);
    ask_to_rotate(simulator, "1");
    simulator.settle();
}

/// The client's key was rotated, and the provider takes the former one beside it.
fn overlapping_keys(simulator: &mut Simulator) {
    keys::with_key(simulator, true);
    overlapping(simulator);
}

/// A rotation reached the provider, with overlap, and was cut off there.
pub fn overlapping_by_half(simulator: &mut Simulator) {
    simulator.driver.allow_overlap();
    standing_with_overlap(simulator);
    ask_to_rotate(simulator, "1");
    simulator.pass(Some((1, Trouble::CrashAfter)));
}

/// The provider lets the client's secret be valid for so many hours from now.
fn expires(simulator: &mut Simulator, hours: i64) {
    let mut client = simulator.driver.client("shop_web").unwrap();
    client.validity.secret_until = Some(simulator.world.now + jiff::SignedDuration::from_hours(hours));
    simulator.driver.put(client);
    simulator.resync();
}

/// Hours pass.
fn later(simulator: &mut Simulator, hours: i64) {
    simulator.world.now += jiff::SignedDuration::from_hours(hours);
}

fn other_type(simulator: &mut Simulator) {
    simulator
        .world
        .secret_output(|secret| secret.type_ = Some(SecretType::ServiceBindingOauth2));
}

/// What is known of the provider changes.
fn facts(simulator: &mut Simulator, change: impl FnOnce(&mut ProviderFacts)) {
    simulator.world.provider(|provider| {
        let mut facts = provider.facts.as_deref().cloned().unwrap();
        change(&mut facts);
        provider.facts = Some(Arc::new(facts));
    });
}

/// The provider gets another CA: a change that is one write.
fn another_ca(simulator: &mut Simulator) {
    facts(simulator, |facts| {
        facts.ca_bundle = "-----BEGIN CERTIFICATE-----\nnew\n".to_owned();
    });
}

fn with_system_roots(simulator: &mut Simulator) {
    simulator.world.outputs(|outputs| {
        outputs.config_map.get_or_insert_default().ca_bundle = Some(CaBundlePolicy::WithSystemRoots);
    });
}

fn not_ready(simulator: &mut Simulator) {
    simulator
        .world
        .provider(|provider| provider.not_ready = Some(NotReady::AdminApi));
}

pub fn workload(kind: &str, name: &str) -> WorkloadReference {
    serde_json::from_value(json!({"kind": kind, "name": name})).unwrap()
}

pub const CONSENT: [(&str, &str); 1] = [("oidc-operator.io/restart-on", "admin, web")];

/// The spec names workloads of all kinds, and some are there.
fn workloads(simulator: &mut Simulator) {
    let all = [("Deployment", "web"), ("StatefulSet", "web"), ("DaemonSet", "web")];
    let all: Vec<_> = all.iter().map(|(kind, name)| workload(kind, name)).collect();
    for reference in &all[..2] {
        simulator.cluster.workload(reference, &CONSENT);
    }
    simulator.world.spec(|spec| spec.rollout_restart = Some(all));
}

/// The client stands with its workloads, and they were started with the outputs as they are.
pub fn standing_with_workloads(simulator: &mut Simulator) {
    workloads(simulator);
    standing(simulator);
}

/// The first of its workloads.
pub fn deployment(simulator: &mut Simulator) -> &mut WorkloadModel {
    simulator
        .cluster
        .workloads
        .get_mut(&workload("Deployment", "web"))
        .unwrap()
}

scenarios! {
    // Making.
    first_create: |_| {};
    first_create_public: |s| { s.world.public(); };
    first_create_after_a_lost_reply: |s| { s.pass(Some((2, Trouble::ReplyLost))); };
    unchanged: standing;
    unchanged_public: standing_public;
    status_wiped: |s| { standing(s); s.wipe_status(); };

    // The spec changes.
    changed_redirect_uris: |s| {
        standing(s);
        s.world.redirect_uris(&["https://shop/new", "https://shop/cb"]);
    };
    changed_display_name: |s| { standing(s); s.world.display_name(Some("Store")); };
    cleared_display_name: |s| { standing(s); s.world.display_name(None); };
    confidential_to_public: |s| { standing(s); s.world.public(); };
    confidential_to_public_with_a_standing_next: |s| { staged(s); s.world.public(); };
    confidential_to_public_under_the_name_of_a_standing_next: |s| {
        staged(s);
        s.world.public().secret_output(|secret| secret.name = Some("web-oidc-next".to_owned()));
    };
    public_to_confidential: |s| {
        standing_public(s);
        s.world.spec(|spec| spec.type_ = ClientType::Confidential);
    };
    new_secret_name: |s| { standing(s); s.world.secret_output(|secret| secret.name = Some("creds".to_owned())); };
    new_secret_name_with_a_standing_next: |s| {
        staged(s);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    new_secret_name_that_ends_in_next: |s| {
        s.world.secret_output(|secret| secret.name = Some("web-next".to_owned()));
        s.settle();
        s.cluster.remove(OutputKind::Secret, "web-next");
    };
    new_secret_name_is_that_of_a_standing_next: |s| {
        staged(s);
        s.world.secret_output(|secret| secret.name = Some("web-oidc-next".to_owned()));
    };
    new_config_map_name: |s| {
        standing(s);
        s.world.outputs(|outputs| outputs.config_map = Some(Default::default()));
        s.world.outputs(|outputs| {
            outputs.config_map.as_mut().unwrap().name = Some("endpoints".to_owned());
        });
    };
    changed_labels_and_annotations: |s| {
        standing(s);
        s.cluster.edit(OutputKind::Secret, "web-oidc", |view| {
            view.labels.insert("others".to_owned(), "stay".to_owned());
        });
        s.world.secret_output(|secret| {
            secret.labels = Some(BTreeMap::from([("tier".to_owned(), "front".to_owned())]));
            secret.annotations = Some(BTreeMap::from([("note".to_owned(), "hello".to_owned())]));
        });
    };
    label_becomes_annotation: |s| {
        standing(s);
        s.world.secret_output(|secret| secret.annotations = secret.labels.take());
    };

    // The secret is rotated.
    rotation_asked: |s| { standing(s); ask_to_rotate(s, "1"); };
    rotation_asked_and_listed: |s| { standing(s); ask_to_rotate(s, "1"); s.resync(); };
    rotation_asked_before_it_was_made: |s| { ask_to_rotate(s, "1"); };
    rotation_asked_with_a_standing_next: |s| { staged(s); ask_to_rotate(s, "1"); };
    rotation_asked_again: |s| {
        standing(s);
        ask_to_rotate(s, "1");
        s.settle();
        ask_to_rotate(s, "2");
    };
    rotation_not_asked_any_more: |s| {
        standing(s);
        ask_to_rotate(s, "1");
        s.settle();
        s.world.client.rotate_request = None;
    };
    rotation_asked_of_a_public_client: |s| { standing_public(s); ask_to_rotate(s, "1"); };
    rotation_asked_of_a_users_secret: |s| { standing_existing(s); ask_to_rotate(s, "1"); };
    rotation_asked_while_the_client_is_gone: |s| {
        standing(s);
        ask_to_rotate(s, "1");
        s.driver.remove("shop_web");
        s.resync();
    };
    rotation_asked_while_the_provider_is_not_ready: |s| { standing(s); ask_to_rotate(s, "1"); not_ready(s); };
    rotation_asked_and_refused: |s| {
        standing(s);
        ask_to_rotate(s, "1");
        s.driver.fail(Operation::Update, IdpErrorKind::Refused, When::Before, usize::MAX);
        s.driver.fail(Operation::Create, IdpErrorKind::Refused, When::Before, usize::MAX);
    };
    rotation_with_generated_values: |s| { own_keys(s); standing(s); ask_to_rotate(s, "1"); };
    rotation_and_new_secret_name: |s| {
        standing(s);
        ask_to_rotate(s, "1");
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    rotation_due: |s| { standing_with_rotation(s); later(s, 25); };
    rotation_not_due: |s| { standing_with_rotation(s); later(s, 21); };
    rotation_due_and_asked: |s| { standing_with_rotation(s); later(s, 25); ask_to_rotate(s, "1"); };
    rotation_due_in_a_time_zone_that_there_is_not: |s| {
        standing_with_rotation(s);
        rotation(s, Some(json!({
            "interval": "24h",
            "window": {"start": "02:00", "duration": "1h", "timeZone": "Mars/Olympus"},
        })));
    };
    rotation_with_overlap: |s| { s.driver.allow_overlap(); standing_with_overlap(s); ask_to_rotate(s, "1"); };
    rotation_with_overlap_due: |s| { s.driver.allow_overlap(); standing_with_overlap(s); later(s, 25); };
    rotation_with_overlap_that_there_is_not: |s| { standing_with_overlap(s); ask_to_rotate(s, "1"); };
    rotation_with_overlap_and_listed: |s| { overlapping(s); s.resync(); };
    rotation_with_overlap_again: |s| { overlapping(s); ask_to_rotate(s, "2"); };
    rotation_with_overlap_of_a_client_that_is_gone: |s| {
        s.driver.allow_overlap();
        standing_with_overlap(s);
        ask_to_rotate(s, "1");
        s.driver.remove("shop_web");
        s.resync();
    };
    rotation_with_overlap_and_new_type: |s| {
        s.driver.allow_overlap();
        standing_with_overlap(s);
        ask_to_rotate(s, "1");
        other_type(s);
    };
    rotation_with_overlap_cut_off: overlapping_by_half;
    overlap_is_over: |s| { overlapping(s); later(s, 6); s.driver.end_overlaps(); };
    overlap_and_secret_deleted: |s| { overlapping(s); s.cluster.remove(OutputKind::Secret, "web-oidc"); };
    overlap_and_secret_edited: |s| { overlapping(s); edit_secret(s, "client-secret", "mine"); };
    overlap_and_secret_deleted_while_next_stands: |s| {
        overlapping_by_half(s);
        s.cluster.remove(OutputKind::Secret, "web-oidc");
    };
    overlap_and_other_fields_change: |s| { overlapping(s); s.world.display_name(Some("Store")); };
    overlap_and_drifted_secret: |s| {
        overlapping(s);
        let client = s.driver.client("shop_web").unwrap();
        s.driver.put(ObservedClient { secret: ObservedSecret::Shown(ClientSecret::new("theirs")), ..client });
        s.restart();
    };
    overlap_not_wanted_any_more: |s| { overlapping(s); rotation(s, None); };
    overlap_and_public: |s| { overlapping(s); rotation(s, None); s.world.public(); };
    overlap_by_half_and_retained: |s| { s.world.retain(); overlapping_by_half(s); s.world.deleted(); };
    key_rotated_with_overlap: |s| {
        keys::with_key(s, true);
        standing_with_overlap(s);
        ask_to_rotate(s, "1");
    };
    key_overlap_is_over: |s| { overlapping_keys(s); later(s, 6); };
    key_overlap_and_secret_deleted: |s| { overlapping_keys(s); s.cluster.remove(OutputKind::Secret, "web-oidc"); };
    key_overlap_and_rotated_again: |s| { overlapping_keys(s); ask_to_rotate(s, "2"); };
    key_overlap_and_listed: |s| { overlapping_keys(s); s.resync(); };
    secret_expires_later: |s| { standing(s); expires(s, 100); };
    secret_expires_soon: |s| { standing(s); expires(s, 100); later(s, 90); };
    secret_expired: |s| { standing(s); expires(s, 100); later(s, 101); };
    rotation_not_wanted_any_more: |s| { standing_with_rotation(s); later(s, 25); rotation(s, None); };

    // What the outputs hold changes.
    formats_changed: |s| {
        standing(s);
        s.world.outputs(|outputs| outputs.formats = Some(vec![OutputFormat::Env, OutputFormat::Oauth2Proxy]));
    };
    formats_changed_with_a_standing_next: |s| {
        staged(s);
        s.world.outputs(|outputs| outputs.formats = Some(vec![OutputFormat::Env, OutputFormat::Oauth2Proxy]));
    };
    keys_of_ones_own: |s| { standing(s); own_keys(s); };
    keys_of_ones_own_public: |s| { s.world.public(); own_keys(s); };
    generated_value_edited: |s| { own_keys(s); standing(s); edit_secret(s, "session-key", "mine"); };
    generated_value_left_the_spec: |s| {
        own_keys(s);
        standing(s);
        s.world.secret_output(|secret| (secret.generate, secret.templates) = (None, None));
    };
    generated_values_and_secret_deleted: |s| {
        own_keys(s);
        standing(s);
        s.cluster.remove(OutputKind::Secret, "web-oidc");
    };
    generated_values_and_a_new_secret_name: |s| {
        own_keys(s);
        standing(s);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    generated_values_and_an_edited_client_secret: |s| {
        own_keys(s);
        standing(s);
        edit_secret(s, "OIDC_CLIENT_SECRET", "mine");
    };
    template_invalid: |s| {
        let template = json!([{"key": "own", "value": "{{ nothing }}"}]);
        s.world.secret_output(|secret| secret.templates = serde_json::from_value(template).unwrap());
    };
    secret_type_changed: |s| { own_keys(s); standing(s); other_type(s); };
    secret_type_changed_public: |s| { standing_public(s); other_type(s); };
    secret_type_changed_with_a_standing_next: |s| { staged(s); other_type(s); };
    secret_type_and_name_changed: |s| {
        standing(s);
        other_type(s);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };

    // A secret of the user's own.
    existing_secret: |s| existing(s, |_| {});
    existing_secret_unchanged: standing_existing;
    existing_secret_with_a_line_break_at_its_end: |s| existing(s, |secret| {
        secret.value.as_mut().unwrap().extend(b"\r\n");
    });
    existing_secret_missing: |s| { s.world.existing_secret_ref(true); };
    existing_secret_not_labelled: |s| existing(s, |secret| secret.labels.clear());
    existing_secret_without_its_key: |s| existing(s, |secret| secret.value = None);
    existing_secret_too_short: |s| existing(s, |secret| secret.value = Some(b"hunter2-1234567\n".to_vec()));
    existing_secret_too_long: |s| existing(s, |secret| secret.value = Some(vec![b'x'; 4097]));
    existing_secret_of_other_characters: |s| existing(s, |secret| {
        secret.value = Some("hunter2-\u{fc}ber-alles".as_bytes().to_vec());
    });
    existing_secret_is_an_output: |s| existing(s, |secret| {
        secret.labels.insert("app.kubernetes.io/managed-by".to_owned(), "oidc-operator".to_owned());
    });
    existing_secret_set: |s| { standing(s); s.world.users_secret("made-by-hand").existing_secret_ref(true); };
    existing_secret_set_and_listed: |s| {
        standing(s);
        s.world.users_secret("made-by-hand").existing_secret_ref(true);
        s.resync();
    };
    existing_secret_set_before_it_is_there: |s| {
        standing(s);
        s.world.existing_secret_ref(true).display_name(Some("Store"));
    };
    existing_secret_set_with_a_standing_next: |s| {
        staged(s);
        s.world.users_secret("made-by-hand").existing_secret_ref(true);
    };
    existing_secret_set_with_a_standing_next_that_is_valid: |s| {
        staged(s);
        let staged = outputs::credential(s.cluster.secret("web-oidc-next")).unwrap().secret;
        at_provider(s, |client| client.secret = ObservedSecret::Shown(staged));
        s.world.users_secret("made-by-hand").existing_secret_ref(true);
    };
    existing_secret_changed: |s| { standing_existing(s); s.world.users_secret("changed-by-hand"); };
    existing_secret_changed_and_listed: |s| {
        standing_existing(s);
        s.world.users_secret("changed-by-hand");
        s.resync();
    };
    existing_secret_changed_before_the_client_was_made: |s| {
        existing(s, |_| {});
        s.pass(Some((1, Trouble::CrashAfter)));
        s.world.users_secret("changed-by-hand");
    };
    existing_secret_changed_and_new_secret_name: |s| {
        standing_existing(s);
        s.world.users_secret("changed-by-hand");
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    existing_secret_changed_and_secret_deleted: |s| {
        standing_existing(s);
        s.world.users_secret("changed-by-hand");
        s.cluster.remove(OutputKind::Secret, "web-oidc");
        s.resync();
    };
    existing_secret_touched: |s| { standing_existing(s); s.world.users_secret("made-by-hand"); };
    existing_secret_gone: |s| {
        standing_existing(s);
        s.world.existing = None;
        s.world.display_name(Some("Store"));
        edit_secret(s, "issuer-uri", "https://evil");
    };
    existing_secret_and_edited_client_secret: |s| { standing_existing(s); edit_secret(s, "client-secret", "mine"); };
    existing_secret_and_deleted_secret: |s| {
        standing_existing(s);
        s.cluster.remove(OutputKind::Secret, "web-oidc");
    };
    existing_secret_and_storage_lost: |s| { standing_existing(s); s.driver.remove("shop_web"); s.resync(); };
    existing_secret_refused: |s| {
        standing_existing(s);
        s.world.users_secret("changed-by-hand");
        s.driver.fail(Operation::Update, IdpErrorKind::Refused, When::Before, usize::MAX);
        s.driver.fail(Operation::Create, IdpErrorKind::Refused, When::Before, usize::MAX);
    };
    existing_secret_not_wanted_any_more: |s| { standing_existing(s); s.world.existing_secret_ref(false); };
    existing_secret_not_wanted_any_more_and_gone: |s| {
        standing_existing(s);
        s.world.existing_secret_ref(false).existing = None;
    };
    existing_secret_not_wanted_any_more_and_new_secret_name: |s| {
        standing_existing(s);
        s.world.existing_secret_ref(false);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    existing_secret_and_public_now: |s| { standing_existing(s); s.world.existing_secret_ref(false).public(); };
    public_to_confidential_with_an_existing_secret: |s| {
        standing_public(s);
        s.world.spec(|spec| spec.type_ = ClientType::Confidential);
        s.world.users_secret("made-by-hand").existing_secret_ref(true);
    };

    // Workloads follow the outputs.
    workloads_of_a_new_client: workloads;
    workloads_unchanged: standing_with_workloads;
    workloads_of_a_standing_client: |s| { standing(s); workloads(s); };
    workloads_and_rotation: |s| { standing_with_workloads(s); ask_to_rotate(s, "1"); };
    // Started with the outputs as they were: noted before the rotation begins, although it is asked for already.
    workloads_and_rotation_at_once: |s| { standing(s); workloads(s); ask_to_rotate(s, "1"); };
    workloads_and_rotation_cut_off: |s| {
        standing_with_workloads(s);
        ask_to_rotate(s, "1");
        s.pass(Some((0, Trouble::CrashAfter)));
    };
    workloads_and_deleted_secret: |s| { standing_with_workloads(s); s.cluster.remove(OutputKind::Secret, "web-oidc"); };
    workloads_and_edited_key: |s| { standing_with_workloads(s); edit_secret(s, "issuer-uri", "https://evil"); };
    workloads_and_deleted_config_map: |s| {
        standing_with_workloads(s);
        s.cluster.remove(OutputKind::ConfigMap, "web-oidc");
    };
    workloads_and_another_ca: |s| {
        standing_with_workloads(s);
        another_ca(s);
    };
    workloads_and_new_secret_name: |s| {
        standing_with_workloads(s);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    workloads_and_secret_type_changed: |s| { standing_with_workloads(s); other_type(s); };
    workloads_and_existing_secret_changed: |s| {
        workloads(s);
        standing_existing(s);
        s.world.users_secret("changed-by-hand");
    };
    workloads_of_a_public_client: |s| {
        workloads(s);
        standing_public(s);
        s.world.outputs(|outputs| outputs.formats = Some(vec![OutputFormat::Env]));
    };
    workloads_of_a_client_made_by_hand: |s| {
        workloads(s);
        standing_by_hand(s);
        secret_by_hand(s, "hunter2-changed-by-hand");
        s.world.users_secret("changed-by-hand");
    };
    workload_of_no_consent_and_another_ca: |s| {
        workloads(s);
        s.cluster.workload(&workload("Deployment", "web"), &[("oidc-operator.io/restart-on", "another")]);
        standing(s);
        another_ca(s);
    };
    workload_that_took_its_consent_back_and_another_ca: |s| {
        standing_with_workloads(s);
        let view = deployment(s).view.clone();
        if let WorkloadView::Found(mut seen) = view {
            seen.annotations.remove("oidc-operator.io/restart-on");
            deployment(s).view = WorkloadView::Found(seen);
        }
        another_ca(s);
    };
    workload_that_cannot_be_read_and_another_ca: |s| {
        workloads(s);
        deployment(s).view = WorkloadView::Failed {
            message: "Kubernetes forbids it: no".to_owned(),
            class: ErrorClass::Auth,
        };
        standing(s);
        another_ca(s);
    };
    workload_that_cannot_be_changed_and_another_ca: |s| {
        standing_with_workloads(s);
        deployment(s).forbidden = true;
        another_ca(s);
    };
    workload_contested_and_another_ca: |s| {
        standing_with_workloads(s);
        deployment(s).contested = 3;
        another_ca(s);
    };
    workloads_while_restarts_are_disabled: |s| {
        s.world.settings.rollout_restart = false;
        workloads(s);
        standing(s);
        another_ca(s);
    };
    workloads_not_named_any_more: |s| {
        standing_with_workloads(s);
        s.world.spec(|spec| spec.rollout_restart = None);
        another_ca(s);
    };
    workloads_and_retained_is_taken_back: |s| {
        workloads(s);
        retained(s);
    };
    workloads_and_delete: |s| { standing_with_workloads(s); s.world.deleted(); };

    // A client that is made by hand at the provider.
    by_hand: by_hand;
    by_hand_unchanged: standing_by_hand;
    by_hand_public: |s| { by_hand(s); s.world.existing_secret_ref(false).public(); };
    by_hand_without_client_id: |s| { by_hand(s); s.world.spec(|spec| spec.client_id = None); };
    by_hand_without_a_secret: |s| { by_hand(s); s.world.existing_secret_ref(false); };
    by_hand_strict: |s| { by_hand(s); s.world.strict(); };
    by_hand_secret_changed: |s| {
        standing_by_hand(s);
        secret_by_hand(s, "hunter2-changed-by-hand");
        s.world.users_secret("changed-by-hand");
    };
    by_hand_secret_refused: |s| { by_hand(s); s.world.users_secret("not-what-it-has-there"); };
    by_hand_changed_secret_refused: |s| { standing_by_hand(s); s.world.users_secret("not-what-it-has-there"); };
    by_hand_edited_client_secret: |s| { standing_by_hand(s); edit_secret(s, "client-secret", "mine"); };
    by_hand_new_secret_name: |s| {
        standing_by_hand(s);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    by_hand_delete: |s| { standing_by_hand(s); s.world.deleted(); };
    by_hand_delete_while_not_ready: |s| { standing_by_hand(s); not_ready(s); s.world.deleted(); };
    by_hand_retain: |s| { s.world.retain(); standing_by_hand(s); s.world.deleted(); };

    // Outputs are touched.
    edited_key: |s| { standing(s); edit_secret(s, "issuer-uri", "https://evil"); };
    added_key: |s| { standing(s); edit_secret(s, "more", "x"); };
    edited_client_secret: |s| { standing(s); edit_secret(s, "client-secret", "mine"); };
    rotation_cut_off: staged;
    rotation_cut_off_and_listed: |s| { staged(s); s.resync(); };
    rotation_cut_off_and_secret_deleted: |s| { staged(s); s.cluster.remove(OutputKind::Secret, "web-oidc"); };
    deleted_secret: |s| { standing(s); s.cluster.remove(OutputKind::Secret, "web-oidc"); };
    deleted_secret_public: |s| { standing_public(s); s.cluster.remove(OutputKind::Secret, "web-oidc"); };
    another_ca: |s| {
        standing(s);
        another_ca(s);
    };
    no_ca_any_more: |s| { standing(s); facts(s, |facts| facts.ca_bundle.clear()); };
    with_system_roots: |s| { standing(s); with_system_roots(s); };
    without_system_roots: |s| {
        standing(s);
        with_system_roots(s);
        facts(s, |facts| facts.ca_bundle_with_system_roots = "".into());
    };
    too_many_system_roots: |s| {
        with_system_roots(s);
        facts(s, |facts| facts.ca_bundle_with_system_roots = "x".repeat(1 << 19).into());
    };
    deleted_config_map: |s| { standing(s); s.cluster.remove(OutputKind::ConfigMap, "web-oidc"); };
    all_is_gone: |s| {
        standing(s);
        s.cluster.objects.clear();
        s.driver.remove("shop_web");
        s.resync();
    };

    // The provider's side changes.
    storage_lost: |s| { standing(s); s.driver.remove("shop_web"); s.resync(); };
    storage_lost_public: |s| { standing_public(s); s.driver.remove("shop_web"); s.resync(); };
    drift: |s| {
        standing(s);
        at_provider(s, |client| {
            set_field(client, "redirectURIs", "https://evil/cb");
            set_field(client, "trustedPeers", "another-client");
        });
        s.resync();
    };
    drift_of_parts: |s| {
        scopes(s, &["openid", "profile"]);
        standing(s);
        at_provider(s, |client| {
            client.fields.remove("scopes.profile");
            set_field(client, "scopes.roles", "assigned");
            set_field(client, "audience", "another");
            set_field(client, "displayName", "Evil");
        });
        s.resync();
    };
    renamed_at_the_provider: |s| {
        standing(s);
        at_provider(s, |client| client.client_id = "renamed".to_owned());
        s.resync();
    };
    switched_off_at_the_provider: |s| {
        standing(s);
        at_provider(s, |client| client.disabled = true);
        s.resync();
    };
    switched_off_before_it_was_proven: |s| {
        s.pass(Some((4, Trouble::CrashBefore)));
        at_provider(s, |client| client.disabled = true);
    };
    claims_and_scopes_changed: |s| {
        claims(s, &[("gone", "x"), ("same", "x"), ("changed", "x")]);
        scopes(s, &["openid", "profile"]);
        standing(s);
        claims(s, &[("same", "x"), ("changed", "y"), ("new", "x")]);
        scopes(s, &["openid", "email"]);
        s.world.display_name(Some("Shop"));
    };
    secret_changed_at_the_provider: |s| {
        standing(s);
        let client = s.driver.client("shop_web").unwrap();
        s.driver.put(ObservedClient { secret: ObservedSecret::Shown(ClientSecret::new("theirs")), ..client });
        s.restart();
    };

    // A private key in the place of a secret.
    key: |s| keys::with_key(s, true);
    key_unchanged: keys::standing_key;
    key_of_an_environment: |s| { keys::formats(s, &[OutputFormat::Env]); keys::with_key(s, true); };
    key_for_a_format_that_has_no_place_for_it: |s| {
        keys::formats(s, &[OutputFormat::Default, OutputFormat::Oauth2Proxy]);
        keys::with_key(s, true);
    };
    key_wanted_by_a_format_that_has_no_place_for_it: |s| {
        keys::formats(s, &[OutputFormat::Oauth2Proxy]);
        keys::secret_to_key(s);
    };
    key_rotated: |s| { keys::standing_key(s); ask_to_rotate(s, "1"); };
    key_rotated_and_listed: |s| { keys::standing_key(s); ask_to_rotate(s, "1"); s.resync(); };
    key_edited: |s| { keys::standing_key(s); keys::edit_key(s, |value| value.extend(b"mine")); };
    key_emptied: |s| { keys::standing_key(s); keys::edit_key(s, Vec::clear); };
    key_deleted: |s| { keys::standing_key(s); s.cluster.remove(OutputKind::Secret, "web-oidc"); };
    key_id_edited: |s| { keys::standing_key(s); edit_secret(s, "client-key-id", "mine"); };
    key_and_storage_lost: |s| { keys::standing_key(s); s.driver.remove("shop_web"); s.resync(); };
    key_added_at_the_provider: |s| { keys::standing_key(s); keys::key_at_provider(s, true); s.resync(); };
    key_replaced_at_the_provider: |s| { keys::standing_key(s); keys::key_at_provider(s, false); s.resync(); };
    key_in_a_secret_of_another_name: |s| {
        keys::standing_key(s);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    key_in_another_format: |s| { keys::standing_key(s); keys::formats(s, &[OutputFormat::Env]); };
    key_and_public_now: |s| { keys::standing_key(s); keys::type_(s, ClientType::Public); };
    public_to_key: |s| {
        standing_public(s);
        keys::type_(s, ClientType::Confidential);
        keys::with_key(s, true);
    };
    secret_to_key: keys::secret_to_key;
    secret_to_key_and_listed: |s| { keys::secret_to_key(s); s.resync(); };
    secret_to_key_before_it_was_made: |s| {
        s.pass(Some((1, Trouble::CrashAfter)));
        keys::with_key(s, true);
    };
    secret_to_key_and_storage_lost: |s| { keys::secret_to_key(s); s.driver.remove("shop_web"); s.resync(); };
    secret_to_key_and_new_secret_name: |s| {
        keys::secret_to_key(s);
        s.world.secret_output(|secret| secret.name = Some("creds".to_owned()));
    };
    secret_to_key_with_generated_values: |s| { own_keys(s); keys::secret_to_key(s); };
    secret_to_key_with_a_standing_next: |s| { staged(s); keys::with_key(s, true); };
    key_to_secret: keys::key_to_secret;
    key_to_secret_and_listed: |s| { keys::key_to_secret(s); s.resync(); };
    key_to_secret_and_another_format: |s| { keys::key_to_secret(s); keys::formats(s, &[OutputFormat::Oauth2Proxy]); };
    secret_to_key_staged_and_back: |s| keys::to_key_and_back(s, false);
    secret_to_key_at_the_provider_and_back: |s| keys::to_key_and_back(s, true);
    key_to_secret_staged_and_back: |s| keys::to_secret_and_back(s, false);
    key_to_secret_at_the_provider_and_back: |s| keys::to_secret_and_back(s, true);
    existing_key: |s| { s.world.users_key(0).existing_secret_ref(true); keys::with_key(s, true); };
    existing_key_unchanged: keys::standing_existing_key;
    existing_key_changed: |s| { keys::standing_existing_key(s); s.world.users_key(1); };
    existing_key_is_a_secret: |s| { existing(s, |_| {}); keys::with_key(s, true); };
    existing_key_is_rsa: |s| {
        existing(s, |secret| {
            secret.value = Some(b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n".to_vec());
        });
        keys::with_key(s, true);
    };
    existing_secret_is_a_key: |s| { s.world.users_key(0).existing_secret_ref(true); };
    existing_secret_to_existing_key: |s| {
        standing_existing(s);
        s.world.users_key(0);
        keys::with_key(s, true);
    };
    existing_secret_to_existing_key_and_new_secret_name: |s| {
        standing_existing(s);
        s.world.users_key(0).secret_output(|secret| secret.name = Some("creds".to_owned()));
        keys::with_key(s, true);
    };
    existing_secret_to_key: |s| {
        standing_existing(s);
        s.world.existing_secret_ref(false);
        keys::with_key(s, true);
    };
    key_to_existing_secret: |s| {
        keys::standing_key(s);
        s.world.users_secret("made-by-hand").existing_secret_ref(true);
        keys::with_key(s, false);
    };
    retain_with_a_standing_key: |s| { s.world.retain(); keys::standing_key(s); s.world.deleted(); };
    retain_with_a_staged_key_at_the_provider: |s| {
        s.world.retain();
        keys::secret_to_key(s);
        s.pass(Some((1, Trouble::CrashAfter)));
        s.world.deleted();
    };
    retain_with_a_staged_key_that_is_not_wanted_any_more: |s| {
        s.world.retain();
        keys::to_key_and_back(s, true);
        s.world.deleted();
    };
    retain_with_a_staged_secret_that_is_not_wanted_any_more: |s| {
        s.world.retain();
        keys::to_secret_and_back(s, true);
        s.world.deleted();
    };

    // What is not ours.
    unmarked_client: |s| { s.driver.put(stranger(&[])); };
    foreign_client: |s| { s.driver.put(stranger(&["oidc-operator.io/c2/shop/web/uid-1"])); };
    client_with_two_marks: |s| {
        s.driver.put(stranger(&["oidc-operator.io/c1/shop/web/uid-1", "oidc-operator.io/c2/shop/web/uid-1"]));
    };
    former_life_at_the_provider: |s| { s.driver.put(stranger(&["oidc-operator.io/c1/shop/web/uid-0"])); };
    taken_meanwhile: |s| {
        // The first look shows nothing; a crash later, somebody was faster.
        s.pass(Some((1, Trouble::CrashAfter)));
        s.driver.put(stranger(&[]));
    };
    taken_after_it_was_made: |s| { standing(s); s.driver.put(stranger(&[])); s.resync(); };
    create_refused: |s| {
        s.driver.fail(Operation::Create, IdpErrorKind::Refused, When::Before, usize::MAX);
    };
    update_refused: |s| {
        standing(s);
        s.world.redirect_uris(&["https://shop/new"]);
        s.driver.fail(Operation::Update, IdpErrorKind::Refused, When::Before, usize::MAX);
    };
    update_refused_before_it_was_published: |s| {
        s.pass(Some((3, Trouble::CrashBefore)));
        s.world.redirect_uris(&["https://shop/new"]);
        s.driver.fail(Operation::Update, IdpErrorKind::Refused, When::Before, usize::MAX);
    };
    secret_of_somebody_else: |s| { s.cluster.put(OutputKind::Secret, "web-oidc", |_| {}); };
    config_map_of_somebody_else: |s| { s.cluster.put(OutputKind::ConfigMap, "web-oidc", |_| {}); };
    next_of_somebody_else: |s| {
        standing(s);
        s.cluster.put(OutputKind::Secret, "web-oidc-next", |_| {});
        edit_secret(s, "client-secret", "mine");
    };
    former_life_waits_for_garbage_collection: |s| {
        s.cluster.put(OutputKind::Secret, "web-oidc", |view| {
            view.owners = vec![OwnerView { is_client: true, name: "web".to_owned(), uid: "uid-0".to_owned() }];
        });
    };
    output_refused_by_a_policy: |s| { s.cluster.refused.push("web-oidc".to_owned()); };
    retained_is_taken_back: retained;
    retained_is_taken_back_and_was_edited: |s| { retained(s); edit_secret(s, "client-secret", "mine"); };

    // The provider object, and what it allows.
    provider_not_found: |s| { s.world.provider = ProviderView::NotFound; };
    provider_not_looked_at_yet: |s| { s.world.provider = ProviderView::Starting; };
    provider_not_ready: |s| { standing(s); not_ready(s); s.world.display_name(None); };
    provider_terminating: |s| { standing(s); s.world.provider(|provider| provider.terminating = true); };
    namespace_not_allowed: |s| {
        standing(s);
        s.world.spec(|spec| spec.provider_ref = world::reference("platform", "idp"));
        s.world.provider(|provider| provider.grants = Some(ClientGrants { allowed_namespaces: None }));
    };
    namespace_terminating: |s| {
        standing(s);
        s.cluster.objects.clear();
        s.world.namespace.terminating = true;
    };
    strict_enforcement: |s| { s.world.strict(); };
    unsupported_scope: |s| { s.world.spec(|spec| spec.scopes = Some(world::strings(&["openid", "shoe-size"]))); };
    wildcard_redirect_uri: |s| { s.world.redirect_uris(&["https://*.shop/cb"]); };
    plain_http_redirect_uri: |s| { s.world.redirect_uris(&["http://shop/cb"]); };

    // The end.
    delete: |s| { standing(s); s.world.deleted(); };
    delete_before_anything_was_made: |s| { s.pass(Some((0, Trouble::CrashAfter))); s.world.deleted(); };
    delete_what_was_lost: |s| { standing(s); s.driver.remove("shop_web"); s.world.deleted(); };
    delete_what_is_foreign: |s| { standing(s); s.driver.put(stranger(&[])); s.world.deleted(); };
    delete_in_a_terminating_namespace: |s| {
        standing(s);
        s.world.namespace.terminating = true;
        s.world.deleted();
    };
    delete_with_a_standing_next: |s| { staged(s); s.world.deleted(); };
    delete_from_a_namespace_not_allowed_any_more: |s| {
        standing(s);
        s.world.spec(|spec| spec.provider_ref = world::reference("platform", "idp"));
        s.world.deleted();
    };
    delete_with_orphan: |s| {
        standing(s);
        s.world.client.orphan = true;
        s.world.deleted();
    };
    delete_without_provider: |s| { standing(s); s.world.provider = ProviderView::NotFound; s.world.deleted(); };
    delete_while_not_ready: |s| { standing(s); not_ready(s); s.world.deleted(); };
    delete_when_the_timeout_is_over: |s| { standing(s); not_ready(s); s.world.deleted().pass_time(600); };
    delete_while_credentials_are_gone: |s| {
        standing(s);
        not_ready(s);
        s.world.provider(|provider| provider.credentials_gone = true);
        s.world.deleted();
    };
    delete_while_credentials_are_gone_for_good: |s| {
        standing(s);
        not_ready(s);
        s.world.provider(|provider| {
            provider.credentials_gone = true;
            provider.terminating = true;
        });
        s.world.deleted();
    };
    retain: |s| { s.world.retain(); standing(s); s.world.deleted(); };
    retain_public: |s| { s.world.retain(); standing_public(s); s.world.deleted(); };
    retain_with_a_last_change: |s| {
        s.world.retain();
        standing(s);
        s.world.redirect_uris(&["https://shop/last"]).display_name(None).deleted();
    };
    retain_with_a_standing_next: |s| { s.world.retain(); staged(s); s.world.deleted(); };
    retain_with_a_standing_next_when_the_timeout_is_over: |s| {
        s.world.retain();
        staged(s);
        not_ready(s);
        s.world.deleted().pass_time(600);
    };
    retain_with_a_standing_next_and_an_existing_secret: |s| {
        s.world.retain();
        staged(s);
        s.world.users_secret("made-by-hand").existing_secret_ref(true).deleted();
    };
    retain_with_an_existing_secret_taken_over_by_half: retained_by_half;
    retain_with_an_existing_secret: |s| { s.world.retain(); standing_existing(s); s.world.deleted(); };
    retain_in_a_terminating_namespace: |s| {
        s.world.retain();
        standing(s);
        s.world.namespace.terminating = true;
        s.world.deleted();
    };
    retain_with_orphan: |s| {
        s.world.retain();
        standing(s);
        s.world.client.orphan = true;
        s.world.deleted();
    };
    retain_refused: |s| {
        s.world.retain();
        standing(s);
        s.driver.fail(Operation::Update, IdpErrorKind::Refused, When::Before, usize::MAX);
        s.world.deleted();
    };
    retain_refused_when_the_timeout_is_over: |s| {
        s.world.retain();
        standing(s);
        s.driver.fail(Operation::Update, IdpErrorKind::Refused, When::Before, usize::MAX);
        s.world.deleted().pass_time(600);
    };
    retain_refused_by_a_policy: |s| {
        s.world.retain();
        standing(s);
        s.cluster.refused.push("web-oidc".to_owned());
        s.world.deleted();
    };
}
