//! The user's own keys.

use oidc_operator::publish::{MAX_DATA, RenderError};
use serde_json::json;

use super::material::{Given, KEY, SECRET, given, text};

fn in_secret(template: &str) -> Result<String, String> {
    let given = given(json!({ "secret": { "templates": [{ "key": "own", "value": template }] } }));
    given
        .secret()
        .map(|data| data.get("own").map_or(String::new(), |_| text(&data, "own")))
        .map_err(|error| error.to_string())
}

fn in_config_map(template: &str) -> Result<String, String> {
    let given = given(json!({ "configMap": { "templates": [{ "key": "own", "value": template }] } }));
    given
        .config_map()
        .map(|data| text(&data, "own"))
        .map_err(|error| error.to_string())
}

#[test]
fn every_value_can_be_named() {
    for (template, value) in [
        ("{{ clientID }}:{{ clientSecret }}", format!("shop:{SECRET}")),
        (
            "{{ issuer }} {{ issuerNoSlash }}",
            "https://sso.example.com/realms/apps https://sso.example.com/realms/apps".to_owned(),
        ),
        (
            "{{ discoveryURL }}",
            "https://sso.example.com/realms/apps/.well-known/openid-configuration".to_owned(),
        ),
        (
            "{{ endpoints.token }} {{ endpoints['jwks'] }}",
            "https://sso.example.com/realms/apps/token https://sso.example.com/realms/apps/certs".to_owned(),
        ),
        (
            "{{ scopes }} {{ scopeList | join(',') }}",
            "openid profile email openid,profile,email".to_owned(),
        ),
        (
            "{{ redirectURI }} {{ redirectURIs[1] }}",
            "https://shop.example.com/auth/callback http://localhost:5000/callback".to_owned(),
        ),
        (
            "{{ audience }} {{ usernameClaim }} {{ provider | lower }}",
            "shop preferred_username keycloak".to_owned(),
        ),
        ("{% if internalIssuer %}inside{% endif %}", String::new()),
        ("{{ caFile }}", "/etc/oidc/ca-bundle.crt".to_owned()),
        (
            "{{ clientID | b64encode }} {{ clientID | upper | tojson }}",
            "c2hvcA== \"SHOP\"".to_owned(),
        ),
        (
            "{% for uri in redirectURIs %}- {{ uri }}\n{% endfor %}",
            "- https://shop.example.com/auth/callback\n- http://localhost:5000/callback\n".to_owned(),
        ),
        (
            "{% if discoveryURL and not (provider == 'Dex') %}yes{% else %}no{% endif %}",
            "yes".to_owned(),
        ),
        (
            "{{ redirectURIs | tojson }}",
            r#"["https://shop.example.com/auth/callback","http://localhost:5000/callback"]"#.to_owned(),
        ),
        (
            "quarkus.oidc.client-id={{ clientID }}\n",
            "quarkus.oidc.client-id=shop\n".to_owned(),
        ),
        ("{{ '' }}", String::new()),
    ] {
        assert_eq!(in_secret(template), Ok(value), "{template}");
    }
}

#[test]
fn generated_values_can_be_named() {
    let given = given(json!({ "secret": {
        "generate": [{ "key": "session-key", "length": 48, "alphabet": "Hex" }],
        "templates": [{ "key": "own", "value": "key={{ generated['session-key'] }}" }],
    }}));
    let secret = given.secret().expect("Secret");
    let key = text(&secret, "session-key");
    assert_eq!(key.len(), 48);
    assert_eq!(text(&secret, "own"), format!("key={key}"));
}

#[test]
fn a_template_can_ask_which_credentials_there_are() {
    let template = "{% if privateKey %}{{ keyID }} {{ privateKey }}{% else %}{{ clientSecret }}{% endif %}";
    let render = |given: Given| text(&given.secret().expect("Secret"), "own");
    let outputs = || given(json!({"secret": {"templates": [{"key": "own", "value": template}]}}));
    assert_eq!(render(outputs()), SECRET);
    let id = text(&outputs().with_key().secret().expect("Secret"), "client-key-id");
    assert_eq!(render(outputs().with_key()), format!("{id} {KEY}"));
}

#[test]
fn nothing_secret_is_bound_in_the_config_map() {
    assert_eq!(in_config_map("{{ clientID }}").as_deref(), Ok("shop"));
    for template in [
        "{{ clientSecret }}",
        "{{ privateKey }}",
        "{{ keyID }}",
        "{{ generated }}",
        "{{ generated['cookie-secret'] }}",
    ] {
        let error = in_config_map(template).expect_err(template);
        assert!(
            error.contains("outputs.configMap.templates, key own: line 1, column 4"),
            "{error}"
        );
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (template, what) in [
        ("a\nb {{ clientID", "line 2, column"),
        ("{{ nothing }}", "line 1, column 4: it uses a value that there is not"),
        ("{{ endpoints.nothing }}", "it uses a value that there is not"),
        ("{% if clientID %}", "syntax error: unexpected end of input"),
        (
            "x{% set a = 1 %}",
            "line 1, column 5: the statement \"set\" is not supported",
        ),
        (
            "{% macro m() %}{% endmacro %}",
            "the statement \"macro\" is not supported",
        ),
        (
            "{% filter upper %}{% endfilter %}",
            "the statement \"filter\" is not supported",
        ),
        ("{% include 'x' %}", "the statement \"include\" is not supported"),
        (
            "{{ clientID ~ clientID }}",
            "line 1, column 13: this operator is not supported",
        ),
        ("{{ clientID + clientID }}", "this operator is not supported"),
        ("{{ 'a' * 1000000 }}", "this operator is not supported"),
        ("{{ range(100) }}", "functions and methods cannot be called"),
        ("{{ clientID.upper() }}", "functions and methods cannot be called"),
        ("{{ clientID | replace('a', 'b') }}", "unknown filter"),
        ("{{ clientID | join(clientID) }}", "invalid operation"),
    ] {
        let error = in_secret(template).expect_err(template);
        assert!(error.contains(what), "{template}: {error}");
        assert!(error.starts_with("spec.outputs.secret.templates, key own: "), "{error}");
        assert!(error.ends_with(". Correct the template"), "{error}");
    }
}

#[test]
fn errors_never_quote_a_value() {
    for template in [
        "{{ clientSecret | nothing }}",
        "{{ clientSecret.x }}",
        "{{ clientSecret | join }}",
        "{% for c in clientSecret %}{{ c.d }}{% endfor %}",
    ] {
        let error = in_secret(template).expect_err(template);
        assert!(!error.contains(SECRET), "{error}");
    }
}

/// A template of an application team takes neither the operator's time nor its memory.
#[test]
fn a_template_cannot_grow_without_bounds() {
    let loops = "{% for a in redirectURIs %}".repeat(15);
    let ends = "{% endfor %}".repeat(15);
    let error = in_secret(&format!("{loops}{{{{ clientID }}}}{ends}")).expect_err("2^15 rounds");
    assert!(error.contains("too many steps"), "{error}");

    let mut large = given(
        json!({ "secret": { "templates": [{ "key": "own", "value": "{% for a in redirectURIs %}{{ caPEM }}{% endfor %}" }] } }),
    );
    large.facts.ca_bundle = "x".repeat(MAX_DATA * 3 / 4);
    let error = large.secret().expect_err("too much").to_string();
    assert!(error.contains("it gives more than 1048576 bytes"), "{error}");

    in_secret(&format!("{{{{ clientID{} }}}}", " | b64encode".repeat(60))).expect_err("60 times 4/3");
}

#[test]
fn an_output_that_kubernetes_would_not_take_is_refused() {
    let mut large = given(json!({ "formats": ["default"] }));
    large.facts.ca_bundle = "x".repeat(MAX_DATA * 3 / 4);
    let error = large.config_map().expect_err("twice the bundle");
    assert!(
        matches!(error, RenderError::TooLarge { kind: "ConfigMap", .. }),
        "{error}"
    );
    large.outputs.formats = Some(vec![oidc_operator::api::client::OutputFormat::Env]);
    assert!(large.config_map().is_ok());
}

#[test]
fn keys_of_formats_cannot_be_overridden() {
    for outputs in [
        json!({ "secret": { "templates": [{ "key": "client-secret", "value": "x" }] } }),
        json!({ "secret": { "generate": [{ "key": "client-id" }] } }),
        json!({ "formats": ["oauth2-proxy"], "secret": { "generate": [{ "key": "cookie-secret" }] } }),
    ] {
        let error = given(outputs.clone()).secret().expect_err("taken").to_string();
        assert!(
            error.contains("cannot be overridden. Choose another key"),
            "{outputs}: {error}"
        );
    }
}
