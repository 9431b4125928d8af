use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Representation, create,
    names::{
        ASSIGNED, ATTRIBUTE_PREVIOUS, ATTRIBUTE_PREVIOUS_SINCE, ATTRIBUTE_PREVIOUS_UNTIL, ATTRIBUTE_SECRET_METHOD,
        ATTRIBUTE_SECRET_UNTIL, AUDIENCE, AUTH_METHOD, BEARER_ONLY, FULL_SCOPE, WEB_ORIGINS,
    },
    update, wanted_fields,
};
use crate::{
    domain::{
        ClientSecret, ClientType, DesiredClient, Logout, LogoutChannel, Mark, MarkUid, ObservedSecret, OwnerId,
        PreviousSecret, RemoteDiff, ResourceName, TokenEndpointAuthMethod, Validity, client::FIELD_TYPE, model::SECRET,
    },
    idp::normal_form::{GRANT_TYPES, POST_LOGOUT_REDIRECT_URIS},
};

fn web() -> DesiredClient {
    let mark = Mark {
        owner: OwnerId::new("c1").unwrap(),
        client: ResourceName::new("shop", "web"),
        uid: MarkUid::Uid("u1".to_owned()),
    };
    DesiredClient {
        redirect_uris: vec!["https://shop/b".to_owned(), "https://shop/a".to_owned()],
        scopes: ["openid", "profile", "offline_access", "basic"]
            .map(str::to_owned)
            .to_vec(),
        ..DesiredClient::new("shop_web", mark)
    }
}

/// As the server keeps what it was sent.
fn kept(body: Value) -> Representation {
    serde_json::from_value(body).unwrap()
}

fn secret() -> ClientSecret {
    ClientSecret::new("hunter2")
}

fn diff(fields: &[&str]) -> RemoteDiff {
    let change = |field: &&str| crate::domain::model::FieldChange {
        field: (*field).to_owned(),
        from: String::new(),
        to: "x".to_owned(),
    };
    RemoteDiff {
        changes: fields.iter().map(change).collect(),
        recreate: false,
    }
}

fn updated(desired: &DesiredClient, secret: Option<&ClientSecret>, fields: &[&str]) -> Value {
    let observed = kept(create("id", desired, secret)).observe(true);
    update(&observed, desired, secret, &diff(fields))
}

#[test]
fn what_was_made_reads_back_as_wanted() {
    let client = kept(create("id", &web(), Some(&secret()))).observe(true);
    let mut fields = client.fields.clone();
    assert!(fields.remove(AUDIENCE).is_some(), "the mapper of the own audience");
    assert_eq!(fields, wanted_fields(&web()));
    assert_eq!(
        (client.remote_id.as_str(), client.client_id.as_str()),
        ("id", "shop_web")
    );
    assert_eq!(client.marks, [web().mark.to_string()]);
    assert!(!client.disabled);
}

#[test]
fn nothing_is_left_to_the_defaults_of_the_server() {
    let body = create("id", &web(), Some(&secret()));
    assert_eq!(body["webOrigins"], json!([]), "absent: made from redirectUris");
    assert_eq!(
        body["attributes"]["post.logout.redirect.uris"], "-",
        "absent: as redirectUris"
    );
    assert_eq!(body["fullScopeAllowed"], false);
    assert_eq!(body["directAccessGrantsEnabled"], false);
    assert_eq!(body["implicitFlowEnabled"], false);
    assert_eq!(
        body["defaultClientScopes"],
        json!(["acr", "basic", "profile", "web-origins"])
    );
    assert_eq!(
        body["optionalClientScopes"],
        json!(["offline_access"]),
        "as a default scope it would make every session an offline one"
    );
}

#[test]
fn a_new_client_is_sent_no_empty_texts() {
    let body = create("id", &web(), Some(&secret()));
    for (name, value) in body.as_object().unwrap() {
        assert_ne!(value, "", "{name}");
    }
    // What was set is cleared by an empty text: absent, it would stay.
    let body = updated(&web(), Some(&secret()), &["homepageURI", "logoURI"]);
    assert_eq!(
        (&body["baseUrl"], &body["attributes"]["logoUri"]),
        (&json!(""), &json!(""))
    );
}

#[test]
fn only_what_changes_is_sent() {
    let body = updated(&web(), Some(&secret()), &["displayName"]);
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    let kept = [
        "attributes",
        "authorizationServicesEnabled",
        "frontchannelLogout",
        "name",
        "webOrigins",
    ];
    assert_eq!(members, kept, "and what a PUT without it would spoil");
    assert_eq!(body["frontchannelLogout"], false);
    let front = DesiredClient {
        logout: Some(Logout {
            channel: LogoutChannel::Front,
            uri: "https://shop/logout".to_owned(),
            session_required: true,
        }),
        ..web()
    };
    let body = updated(&front, Some(&secret()), &["displayName"]);
    assert_eq!(body["frontchannelLogout"], true);
    let body = updated(&web(), Some(&secret()), &["mark", "logoURI"]);
    assert_eq!(body["attributes"].as_object().unwrap().len(), 2, "{body}");
}

#[test]
fn a_new_secret_says_what_becomes_of_the_one_before() {
    let attributes = |desired: &DesiredClient| updated(desired, Some(&secret()), &[SECRET])["attributes"].clone();
    let emergency = attributes(&web());
    for attribute in [ATTRIBUTE_PREVIOUS, ATTRIBUTE_PREVIOUS_SINCE, ATTRIBUTE_PREVIOUS_UNTIL] {
        assert_eq!(
            emergency[attribute], "",
            "{attribute}: absent, a former secret would stay valid"
        );
    }
    let overlap = DesiredClient {
        previous: Some(PreviousSecret {
            secret: ClientSecret::new("hunter1"),
            since: Timestamp::from_second(1_000).unwrap(),
            until: Timestamp::from_second(2_000).unwrap(),
        }),
        ..web()
    };
    let sent = attributes(&overlap);
    assert_eq!(sent[ATTRIBUTE_PREVIOUS], "hunter1");
    assert_eq!(sent[ATTRIBUTE_PREVIOUS_SINCE], "1000");
    assert_eq!(sent[ATTRIBUTE_PREVIOUS_UNTIL], "2000");
    for sent in [&emergency, &sent] {
        assert_eq!(sent[ATTRIBUTE_SECRET_UNTIL], "", "a whole life of its own");
    }
    let mut shown = create("id", &web(), Some(&secret()));
    assert_eq!(kept(shown.clone()).observe(true).validity, Validity::default());
    for (name, value) in sent.as_object().unwrap() {
        shown["attributes"][name] = value.clone();
    }
    shown["attributes"][ATTRIBUTE_SECRET_UNTIL] = json!("3000");
    let end = |seconds| Timestamp::from_second(seconds).ok();
    let expected = Validity {
        secret_until: end(3_000),
        previous_until: end(2_000),
    };
    assert_eq!(kept(shown.clone()).observe(true).validity, expected);
    shown["attributes"][ATTRIBUTE_PREVIOUS] = json!("");
    assert_eq!(
        kept(shown).observe(true).validity.previous_until,
        None,
        "an end of nothing"
    );
}

#[test]
fn a_secret_is_sent_only_when_it_must_change() {
    let sent = |fields: &[&str]| updated(&web(), Some(&secret()), fields)["secret"].clone();
    assert_eq!(sent(&["displayName"]), Value::Null);
    assert_eq!(sent(&[SECRET]), "hunter2");
    assert_eq!(sent(&[FIELD_TYPE]), "hunter2", "else the server makes one up");
    assert_eq!(sent(&[BEARER_ONLY]), "hunter2", "the same");
    let public = DesiredClient {
        client_type: ClientType::Public,
        auth_method: TokenEndpointAuthMethod::None,
        ..web()
    };
    assert_eq!(
        updated(&public, Some(&secret()), &[FIELD_TYPE, SECRET])["secret"],
        Value::Null
    );
    let empty = ClientSecret::new("");
    assert_eq!(
        updated(&web(), Some(&empty), &[SECRET])["secret"],
        Value::Null,
        "an empty one would be accepted"
    );
}

#[test]
fn a_key_takes_the_place_of_the_secret() {
    let with_key = DesiredClient {
        auth_method: TokenEndpointAuthMethod::PrivateKeyJwt,
        ..web()
    };
    let key = ClientSecret::generate_for(with_key.auth_method);
    let body = create("id", &with_key, Some(&key));
    assert_eq!(body["clientAuthenticatorType"], "client-jwt");
    assert_eq!(body["attributes"][ATTRIBUTE_SECRET_METHOD], "");
    assert!(!body.to_string().contains("PRIVATE KEY"), "the private key is sent");
    let client = kept(body).observe(true);
    let id = crate::domain::PrivateKey::of(&key).unwrap().public().key_id();
    assert_eq!(client.secret, ObservedSecret::Keys([id].into()));
    assert_eq!(client.fields[AUTH_METHOD], "private_key_jwt");
    // A former secret does not lie there for the day on which somebody switches the authenticator back.
    let sent = |desired, secret| updated(desired, Some(secret), &[AUTH_METHOD, SECRET])["secret"].clone();
    assert!(sent(&with_key, &key).as_str().unwrap().len() >= 43);
    assert_ne!(sent(&with_key, &key), sent(&with_key, &key));
    assert_eq!(sent(&web(), &secret()), "hunter2");
    let body = updated(&web(), Some(&secret()), &[AUTH_METHOD, SECRET]);
    assert_eq!(body["clientAuthenticatorType"], "client-secret");
    assert_eq!(body["attributes"]["jwks.string"], "");
}

#[test]
fn authorization_settings_are_not_deleted() {
    let mut shown = create("id", &web(), Some(&secret()));
    for on in [true, false] {
        shown["authorizationServicesEnabled"] = json!(on);
        let observed = kept(shown.clone()).observe(true);
        let body = update(&observed, &web(), None, &diff(&["displayName"]));
        assert_eq!(body["authorizationServicesEnabled"], on);
    }
}

#[test]
fn what_is_cleared_is_sent_empty() {
    let body = updated(
        &web(),
        None,
        &["displayName", "logoURI", "pkce", "idTokenSignedResponseAlg", "logout"],
    );
    assert_eq!(body["name"], "");
    assert_eq!(body["frontchannelLogout"], false);
    for attribute in [
        "logoUri",
        "pkce.code.challenge.method",
        "id.token.signed.response.alg",
        "backchannel.logout.url",
    ] {
        assert_eq!(body["attributes"][attribute], "", "{attribute}");
    }
}

#[test]
fn a_masked_secret_says_nothing() {
    let mut shown = create("id", &web(), Some(&secret()));
    assert_eq!(
        kept(shown.clone()).observe(true).secret,
        ObservedSecret::Shown(secret())
    );
    shown["secret"] = json!("**********");
    assert_eq!(kept(shown.clone()).observe(true).secret, ObservedSecret::NotShown);
    shown["secret"] = Value::Null;
    assert_eq!(kept(shown.clone()).observe(true).secret, ObservedSecret::NotShown);
    shown["publicClient"] = json!(true);
    assert_eq!(kept(shown).observe(true).secret, ObservedSecret::Absent);
}

#[test]
fn powers_given_by_hand_show() {
    let field = |member: &str, value: Value, field: &str| {
        let mut shown = create("id", &web(), None);
        shown[member] = value;
        kept(shown).observe(true).fields.get(field).cloned().unwrap_or_default()
    };
    assert_eq!(field("fullScopeAllowed", json!(true), FULL_SCOPE), "true");
    assert_eq!(field("bearerOnly", json!(true), BEARER_ONLY), "true");
    assert_eq!(
        field("directAccessGrantsEnabled", json!(true), GRANT_TYPES),
        "authorization_code password"
    );
    assert_eq!(
        field("implicitFlowEnabled", json!(true), GRANT_TYPES),
        "authorization_code implicit"
    );
    assert_eq!(
        field("clientAuthenticatorType", json!("client-x509"), AUTH_METHOD),
        "client-x509"
    );
    assert_eq!(field("webOrigins", json!(["*"]), WEB_ORIGINS), "*");
    assert_eq!(field("attributes", json!({}), POST_LOGOUT_REDIRECT_URIS), "+");
    assert_eq!(
        field("attributes", json!({}), AUTH_METHOD),
        "client_secret_basic or client_secret_post"
    );
    assert_eq!(
        field("attributes", json!({"oidc.ciba.grant.enabled": "true"}), GRANT_TYPES),
        "authorization_code refresh_token urn:openid:params:grant-type:ciba"
    );
    assert_eq!(field("defaultClientScopes", json!(["roles"]), "scopes.roles"), ASSIGNED);
}

#[test]
fn what_others_add_elsewhere_is_not_seen() {
    let mut shown = create("id", &web(), None);
    let before = kept(shown.clone()).observe(true);
    shown["attributes"]["saml.artifact.binding"] = json!("false");
    shown["attributes"]["acr.loa.map"] = Value::Null;
    shown["consentRequired"] = json!(true);
    shown["rootUrl"] = json!("https://shop");
    shown["nodeReRegistrationTimeout"] = json!(-1);
    shown["protocolMappers"].as_array_mut().unwrap().push(json!({
        "id": "m2", "name": "by hand", "protocolMapper": "oidc-hardcoded-claim-mapper", "config": {"claim.value": "x"},
    }));
    let scopes = shown["defaultClientScopes"].as_array_mut().unwrap();
    scopes.retain(|scope| scope != "acr");
    scopes.push(json!("service_account"));
    assert_eq!(kept(shown).observe(true), before);
}

#[test]
fn a_mapper_is_compared_by_what_we_set() {
    let mut shown = create("id", &web(), None);
    let before = kept(shown.clone()).observe(true);
    let config = &mut shown["protocolMappers"][0]["config"];
    config["lightweight.claim"] = json!("false");
    assert_eq!(kept(shown.clone()).observe(true).fields, before.fields);
    shown["protocolMappers"][0]["config"]["included.client.audience"] = json!("other");
    assert_ne!(kept(shown).observe(true).fields, before.fields);
}
