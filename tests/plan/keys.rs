//! Clients that authenticate with a private key: the situations that plans and crash loops are asked about.

use oidc_operator::{
    api::client::OutputFormat,
    domain::{ClientType, ObservedSecret, PrivateKey, TokenEndpointAuthMethod},
    idp::memory::Like,
    plan::step::OutputKind,
};

use crate::{
    scenarios::{at_provider, standing},
    simulator::{Simulator, Trouble},
};

/// How the application authenticates; with a shared secret where the spec says nothing.
pub fn with_key(simulator: &mut Simulator, key: bool) {
    let method = key.then_some(TokenEndpointAuthMethod::PrivateKeyJwt);
    simulator.world.spec(|spec| spec.token_endpoint_auth_method = method);
}

/// The client stands, and has a key.
pub fn standing_key(simulator: &mut Simulator) {
    with_key(simulator, true);
    standing(simulator);
}

/// The client stands with a secret, and shall have a key.
pub fn secret_to_key(simulator: &mut Simulator) {
    standing(simulator);
    with_key(simulator, true);
}

/// The client stands with a key, and shall have a secret.
pub fn key_to_secret(simulator: &mut Simulator) {
    standing_key(simulator);
    with_key(simulator, false);
}

/// A client was to get a key, which was staged, and reached the provider too if `at_provider`; then it was to have its secret again.
pub fn to_key_and_back(simulator: &mut Simulator, at_provider: bool) {
    secret_to_key(simulator);
    simulator.pass(Some((usize::from(at_provider), Trouble::CrashAfter)));
    with_key(simulator, false);
}

/// The same the other way round.
pub fn to_secret_and_back(simulator: &mut Simulator, at_provider: bool) {
    key_to_secret(simulator);
    simulator.pass(Some((usize::from(at_provider), Trouble::CrashAfter)));
    with_key(simulator, true);
}

/// The client stands with a key of its user's.
pub fn standing_existing_key(simulator: &mut Simulator) {
    simulator.world.users_key(0).existing_secret_ref(true);
    standing_key(simulator);
}

/// Somebody changes what the output holds as a key.
pub fn edit_key(simulator: &mut Simulator, change: impl Fn(&mut Vec<u8>)) {
    simulator.cluster.edit(OutputKind::Secret, "web-oidc", |view| {
        let key = view.client_secret_key().to_owned();
        view.data.entry(key).and_modify(|value| change(value));
    });
}

/// Somebody registers another key at the provider, beside ours or in its place.
pub fn key_at_provider(simulator: &Simulator, beside: bool) {
    at_provider(simulator, |client| {
        if let ObservedSecret::Keys(keys) = &mut client.secret {
            if !beside {
                keys.clear();
            }
            keys.insert(PrivateKey::generate().public().key_id());
        }
    });
}

pub fn formats(simulator: &mut Simulator, formats: &[OutputFormat]) {
    simulator
        .world
        .outputs(|outputs| outputs.formats = Some(formats.to_vec()));
}

pub fn type_(simulator: &mut Simulator, type_: ClientType) {
    simulator.world.spec(|spec| {
        spec.type_ = type_;
        if type_ == ClientType::Public {
            spec.token_endpoint_auth_method = None;
        }
    });
}

/// What stands in a condition of a client at Keycloak, after a pass.
fn told(condition: &str, prepare: impl Fn(&mut Simulator)) -> String {
    let mut simulator = Simulator::new(Like::Keycloak);
    prepare(&mut simulator);
    simulator.pass(None);
    let conditions = &simulator.world.client.status.conditions;
    let found = conditions.iter().find(|found| found.type_ == condition).unwrap();
    format!("{:?} {}: {}", found.status, found.reason, found.message)
}

/// What a format cannot show is refused before anything changes: the secret that an application has goes on being valid.
#[test]
fn formats_without_a_place_for_a_key_are_refused() {
    for format in [
        OutputFormat::Oauth2Proxy,
        OutputFormat::Dploy,
        OutputFormat::Qualytics,
        OutputFormat::Openshift,
    ] {
        let name = serde_json::to_value(format).unwrap();
        let name = name.as_str().unwrap();
        let mut simulator = Simulator::new(Like::Keycloak);
        standing(&mut simulator);
        let valid = simulator.valid_secret();
        let told = told("Accepted", |simulator| {
            formats(simulator, &[format]);
            with_key(simulator, true);
        });
        let expected = format!("False UnsupportedByFormat: spec.outputs.formats: {name} is for applications");
        assert!(told.starts_with(&expected), "{told}, not {expected}");
        formats(&mut simulator, &[format]);
        with_key(&mut simulator, true);
        simulator.settle();
        assert_eq!(simulator.valid_secret(), valid, "{name}");
    }
    for format in [OutputFormat::Default, OutputFormat::Env] {
        let told = told("Ready", |simulator| {
            formats(simulator, &[format]);
            with_key(simulator, true);
        });
        assert!(told.starts_with("True Ready"), "{told}");
    }
}

#[test]
fn what_the_user_brings_must_be_of_the_kind_that_the_client_wants() {
    let bring = |value: &str, key: bool| {
        let value = value.as_bytes().to_vec();
        told("CredentialsPublished", move |simulator| {
            simulator.world.users_key(0).existing_secret_ref(true);
            simulator.world.existing.as_mut().unwrap().value = Some(value.clone());
            with_key(simulator, key);
        })
    };
    let key = PrivateKey::generate().to_secret();
    let sec1 = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIPO9\n-----END EC PRIVATE KEY-----\n";
    assert!(bring(key.expose(), true).starts_with("True Published"));
    for (value, with_key, expected) in [
        (
            key.expose(),
            false,
            "is a private key: that goes with tokenEndpointAuthMethod private_key_jwt only",
        ),
        ("sixteen-bytes-or-more", true, "is no private key in PEM"),
        (sec1, true, "is not in PKCS#8"),
        (
            "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
            true,
            "is no key for ES256",
        ),
    ] {
        let told = bring(value, with_key);
        assert!(
            told.starts_with("False InvalidSecret") && told.contains(expected),
            "{told}, not {expected}"
        );
    }
}

/// Editors and other operating systems leave their marks on a file; what the application finds is the same all the same.
#[test]
fn a_users_key_is_published_in_one_form() {
    let mut simulator = Simulator::new(Like::Keycloak);
    standing_existing_key(&mut simulator);
    let published = simulator.cluster.secret("web-oidc").clone();
    let users = simulator.world.existing.as_mut().unwrap();
    let value = String::from_utf8(users.value.take().unwrap()).unwrap();
    assert_eq!(published.client_secret().unwrap().expose(), value);
    users.value = Some(format!("  {}\r\n", value.replace('\n', "\r\n  ")).into_bytes());
    let before = published.resource_version;
    simulator.settle();
    assert_eq!(simulator.cluster.secret("web-oidc").resource_version, before);
}
