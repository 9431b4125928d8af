//! Each format, key by key.

use std::{collections::BTreeMap, fmt::Write as _};

use oidc_operator::publish::{self, Data, RenderError};
use serde_json::json;

use super::material::{Given, KEY, SECRET, given, text};

fn shown(data: &Data) -> String {
    data.iter().fold(String::new(), |mut shown, (key, value)| {
        let value = String::from_utf8_lossy(value);
        let _ = match value.trim_end_matches('\n').contains('\n') {
            true => writeln!(shown, "{key}: |\n  {}", value.trim_end().replace('\n', "\n  ")),
            false => writeln!(shown, "{key}: {value}"),
        };
        shown
    })
}

fn golden(name: &str, given: &Given) {
    let (secret, map) = (given.secret().expect("Secret"), given.config_map().expect("ConfigMap"));
    let both = format!("# Secret\n{}\n# ConfigMap\n{}", shown(&secret), shown(&map));
    insta::assert_snapshot!(name, both);
}

#[test]
fn each_format_is_as_its_application_expects_it() {
    for format in ["default", "env", "oauth2-proxy", "dploy", "qualytics", "openshift"] {
        golden(format, &given(json!({ "formats": [format] })));
    }
}

#[test]
fn without_discovery_formats_name_endpoints() {
    for format in ["default", "env", "oauth2-proxy", "dploy", "qualytics"] {
        golden(
            &format!("{format}-without-discovery"),
            &given(json!({ "formats": [format] })).without_discovery(),
        );
    }
}

#[test]
fn a_client_with_a_key_has_it_in_the_place_of_a_secret() {
    for format in ["default", "env"] {
        let with_key = given(json!({ "formats": [format] })).with_key();
        golden(&format!("{format}-with-a-key"), &with_key);
        let secret = with_key.secret().expect("Secret");
        let (spec, desired) = (Some(&with_key.outputs), &with_key.desired);
        assert_eq!(text(&secret, publish::secret_key(spec, desired)), KEY, "{format}");
        // And nobody can read it in the ConfigMap.
        assert!(!shown(&with_key.config_map().expect("ConfigMap")).contains("PRIVATE KEY"));
    }
    for format in ["oauth2-proxy", "dploy", "qualytics", "openshift"] {
        let error = given(json!({ "formats": ["default", format] })).with_key().secret();
        assert_eq!(error, Err(RenderError::NeedsSecret { format }));
    }
}

#[test]
fn an_issuer_inside_stands_beside_the_public_one() {
    let mut inside = given(json!({ "formats": ["default", "env", "dploy"] }));
    inside.facts.internal_issuer = Some("https://keycloak.identity.svc:8443/realms/apps/".to_owned());
    golden("internal-issuer", &inside);
}

#[test]
fn a_public_client_without_ca_has_fewer_keys() {
    let mut public = given(json!({ "formats": ["default", "env", "oauth2-proxy", "openshift"] }));
    public.desired.client_type = oidc_operator::domain::ClientType::Public;
    public.desired.auth_method = oidc_operator::domain::TokenEndpointAuthMethod::None;
    public.facts.ca_bundle = String::new();
    public.facts.discovery.endpoints.userinfo = None;
    golden("public", &public);
    let secret = public.secret().expect("Secret");
    assert!(!shown(&secret).contains(SECRET), "{secret:?}");
}

#[test]
fn formats_are_put_together() {
    let all = ["default", "env", "oauth2-proxy", "dploy", "qualytics", "openshift"];
    let together = given(json!({ "formats": all }));
    let (secret, map) = (
        together.secret().expect("Secret"),
        together.config_map().expect("ConfigMap"),
    );
    let (mut one_by_one, mut maps) = (BTreeMap::new(), BTreeMap::new());
    for format in all {
        let alone = given(json!({ "formats": [format] }));
        one_by_one.extend(alone.secret().expect("Secret"));
        maps.extend(alone.config_map().expect("ConfigMap"));
    }
    assert_eq!((secret, map), (one_by_one, maps));
}

/// Service Binding 1.1, Workload Projection: a folder for the binding, in it a file for each key; `type` says what it is.
#[test]
fn the_default_format_is_a_service_binding() {
    let folder = tempfile::tempdir().expect("folder");
    let binding = folder.path().join("shop-oidc");
    std::fs::create_dir(&binding).expect("folder");
    for (key, value) in given(json!({})).secret().expect("Secret") {
        // "Entries … must match [a-z0-9\-\.]{1,253}."
        assert!(
            key.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte)),
            "{key}"
        );
        std::fs::write(binding.join(key), value).expect("file");
    }
    let read = |file: &str| std::fs::read_to_string(binding.join(file)).expect("file");
    assert_eq!(
        (read("type"), read("provider")),
        ("oauth2".to_owned(), "keycloak".to_owned())
    );
    assert_eq!(
        (read("client-id"), read("client-secret")),
        ("shop".to_owned(), SECRET.to_owned())
    );
    assert_eq!(read("issuer-uri"), "https://sso.example.com/realms/apps");
}

#[test]
fn oauth2_proxys_cookie_secret_is_a_key_of_aes_256() {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    let secret = given(json!({ "formats": ["oauth2-proxy"] })).secret().expect("Secret");
    let cookie = URL_SAFE_NO_PAD
        .decode(text(&secret, "cookie-secret"))
        .expect("base64url");
    assert_eq!(cookie.len(), 32);
    assert_eq!(
        text(&secret, "cookie-secret"),
        text(&secret, "OAUTH2_PROXY_COOKIE_SECRET")
    );
}

#[test]
fn the_mount_path_names_the_file_of_the_bundle() {
    let elsewhere = given(json!({ "formats": ["env", "oauth2-proxy"], "mountPath": "/run/oidc" }));
    let map = elsewhere.config_map().expect("ConfigMap");
    assert_eq!(text(&map, "OIDC_CA_FILE"), "/run/oidc/ca-bundle.crt");
    assert!(text(&map, "oauth2_proxy.cfg").contains(r#"provider_ca_files = ["/run/oidc/ca-bundle.crt"]"#));
}

#[test]
fn what_is_quoted_in_files_stays_one_value() {
    let mut hostile = given(json!({ "formats": ["oauth2-proxy", "dploy", "qualytics"] }));
    hostile.desired.client_id = r#"a"b\c: #{x}"#.to_owned();
    hostile.desired.redirect_uris = vec![r#"https://x.example.com/"\#: y"#.to_owned()];
    let map = hostile.config_map().expect("ConfigMap");
    let values: serde_json::Value = serde_yaml::from_str(&text(&map, "values.yaml")).expect("YAML");
    assert_eq!(values["auth"]["oidcClientID"], hostile.desired.client_id.as_str());
    let line = text(&map, "oauth2_proxy.cfg");
    let line = line.lines().find_map(|line| line.strip_prefix("redirect_url = "));
    let read: String = serde_json::from_str(line.expect("redirect_url")).expect("a basic string");
    assert_eq!(read, hostile.desired.redirect_uris[0]);
}
