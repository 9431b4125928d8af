use std::{collections::BTreeMap, time::Duration};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    changed_application, changed_provider, is_hidden, mapping,
    names::{HANDLE_OTHERS, NOWHERE, SCOPES, SIGNING_KEY},
    new_application, new_provider, observe, wanted,
};
use crate::{
    domain::{
        Claim, ClaimSource, ClaimToken, ClientSecret, ClientType, DesiredClient, GrantType, Logout, LogoutChannel,
        Mark, MarkUid, ObservedClient, ObservedSecret, OwnerId, ResourceName, TokenLifetimes, client::FIELD_TYPE,
        model::SECRET,
    },
    idp::{
        authentik::{
            claims,
            lookups::Lookups,
            settings::Settings,
            wire::{Application, Mapping, Provider},
        },
        normal_form::{ACCESS_TOKEN_LIFETIME, DESCRIPTION, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT, REDIRECT_URIS},
    },
};

fn settings() -> Settings {
    Settings {
        public_url: "https://auth.example.com".to_owned(),
        authorization_flow: "consent".to_owned(),
        invalidation_flow: "end".to_owned(),
        signing_key: "key".to_owned(),
        sub_mode: Default::default(),
        issuer_mode: Default::default(),
        email_verified: Default::default(),
    }
}

/// A mapping for each of these scopes, whose id is the scope.
fn lookups() -> Lookups {
    let scopes = ["openid", "profile", "email", "offline_access"];
    let mapping = |scope: &str| Mapping {
        pk: scope.to_owned(),
        name: format!("authentik default OAuth Mapping: {scope}"),
        scope_name: scope.to_owned(),
        expression: "return {}".to_owned(),
        managed: Some(format!("goauthentik.io/providers/oauth2/scope-{scope}")),
    };
    Lookups {
        authorization_flow: "flow-1".to_owned(),
        invalidation_flow: "flow-2".to_owned(),
        signing_key: "key-1".to_owned(),
        mappings: scopes.into_iter().map(mapping).collect(),
    }
}

fn plain() -> DesiredClient {
    let mark = Mark {
        owner: OwnerId::new("c1").unwrap(),
        client: ResourceName::new("shop", "web"),
        uid: MarkUid::Uid("u1".to_owned()),
    };
    DesiredClient::new("shop_web", mark)
}

fn full() -> DesiredClient {
    let claim = |name: &str, source| Claim {
        name: name.to_owned(),
        source,
        tokens: [ClaimToken::IDToken].into(),
    };
    DesiredClient {
        display_name: Some("Shop".to_owned()),
        description: Some("Where things are sold".to_owned()),
        homepage_uri: Some("https://shop.example/".to_owned()),
        logo_uri: Some("https://shop.example/logo.png".to_owned()),
        redirect_uris: vec!["https://shop.example/b".to_owned(), "https://shop.example/a".to_owned()],
        post_logout_redirect_uris: vec!["https://shop.example/bye".to_owned()],
        grant_types: [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
        scopes: vec!["openid".to_owned(), "email".to_owned()],
        optional_scopes: vec!["profile".to_owned()],
        logout: Some(Logout {
            channel: LogoutChannel::Front,
            uri: "https://shop.example/out".to_owned(),
            session_required: true,
        }),
        claims: vec![
            claim("tier", ClaimSource::Constant("gold".to_owned())),
            claim("org.groups", ClaimSource::Groups { full_path: false }),
        ],
        lifetimes: TokenLifetimes {
            access: Some(Duration::from_secs(90)),
            refresh: Some(Duration::from_secs(3600)),
        },
        ..plain()
    }
}

fn public() -> DesiredClient {
    DesiredClient {
        client_type: ClientType::Public,
        ..plain()
    }
}

/// A body as the server shows it, with this id.
fn kept<T: DeserializeOwned>(mut body: Value, pk: impl Into<Value>) -> T {
    body["pk"] = pk.into();
    serde_json::from_value(body).unwrap()
}

/// The client as it is after these bodies were sent to a server that keeps them.
fn made(desired: &DesiredClient, secret: Option<&ClientSecret>, settings: &Settings) -> ObservedClient {
    let wanted = claims::wanted(desired, settings.email_verified);
    let mappings: Vec<Mapping> = wanted
        .iter()
        .map(|wanted| kept(mapping(wanted, &desired.mark), format!("own-{}", wanted.key)))
        .collect();
    let own = wanted
        .iter()
        .map(|wanted| (wanted.key.clone(), format!("own-{}", wanted.key)));
    let body = new_provider(desired, secret, settings, &lookups(), &own.collect());
    let provider: Provider = kept(body, 7);
    let application: Application = kept(new_application(desired, 7), "application-1");
    observe(&provider, Some(&application), &mappings, &lookups(), settings)
}

#[test]
fn a_client_that_was_made_looks_as_it_should() {
    let verified = Settings {
        email_verified: crate::domain::authentik::EmailVerified::AlwaysTrue,
        ..settings()
    };
    let secret = ClientSecret::new("hunter2");
    for settings in [settings(), verified] {
        for desired in [plain(), full()] {
            let observed = made(&desired, Some(&secret), &settings);
            assert_eq!(observed.fields, wanted(&desired, &settings));
            assert_eq!(observed.client_id, desired.client_id);
            assert_eq!(observed.marks, [desired.mark.to_string()]);
            assert_eq!(observed.secret, ObservedSecret::Shown(secret.clone()));
            assert_eq!(observed.remote_id, "application-1");
        }
        let observed = made(&public(), None, &settings);
        assert_eq!(observed.fields, wanted(&public(), &settings));
        assert_eq!(observed.secret, ObservedSecret::Absent);
    }
}

#[test]
fn a_new_provider_has_all_that_authentik_does_not_set_well() {
    let body = new_provider(&plain(), None, &settings(), &lookups(), &BTreeMap::new());
    assert_eq!(body["grant_types"], json!(["authorization_code"]));
    assert_eq!(body["signing_key"], "key-1");
    assert_eq!(body["include_claims_in_id_token"], true);
    assert_eq!(
        body["redirect_uris"],
        json!([{ "matching_mode": "strict", "url": NOWHERE }])
    );
    // A server would keep an empty one, and accept it.
    assert_eq!(body.get("client_secret"), None);
    assert_eq!(body.get("logout_uri"), None);
}

#[test]
fn a_change_holds_its_field_and_nothing_else() {
    let (desired, secret) = (full(), ClientSecret::new("hunter2"));
    let mut observed = made(&desired, Some(&secret), &settings());
    let body = |field: &str, observed: &ObservedClient| {
        let own = [("tier".to_owned(), "own-tier".to_owned())].into();
        let fields = [field].into_iter();
        changed_provider(fields, observed, &desired, Some(&secret), &settings(), &lookups(), &own)
    };
    assert_eq!(
        body(ACCESS_TOKEN_LIFETIME, &observed),
        json!({ "access_token_validity": "seconds=90" })
    );
    assert_eq!(body(SECRET, &observed), json!({ "client_secret": "hunter2" }));
    assert_eq!(
        body(FIELD_TYPE, &observed),
        json!({ "client_type": "confidential", "client_secret": "hunter2" })
    );
    let uris = body(REDIRECT_URIS, &observed);
    let kinds: Vec<_> = uris["redirect_uris"]
        .as_array()
        .unwrap()
        .iter()
        .map(|uri| uri.get("redirect_uri_type"))
        .collect();
    assert_eq!(
        kinds,
        [None, None, Some(&json!("logout"))],
        "the list is replaced as a whole"
    );
    // Mappings of others stay.
    observed.handles.insert(HANDLE_OTHERS.to_owned(), "strange".to_owned());
    assert_eq!(
        body(SCOPES, &observed),
        json!({ "property_mappings": ["email", "offline_access", "openid", "own-tier", "profile", "strange"] })
    );
    let body = changed_application([DESCRIPTION].into_iter(), &plain(), None);
    assert_eq!(body, json!({ "meta_description": "" }));
}

#[test]
fn what_is_not_shown_is_hidden() {
    let provider: Provider = kept(
        json!({ "name": "By hand", "client_id": "a", "client_type": "confidential", "assigned_application_slug": "a" }),
        7,
    );
    let observed = observe(&provider, None, &[], &lookups(), &settings());
    assert_eq!(observed.marks, [""; 0]);
    assert_eq!(observed.secret, ObservedSecret::NotShown);
    for field in [GRANT_TYPES, LOGOUT, DESCRIPTION, HOMEPAGE_URI, LOGO_URI] {
        assert!(is_hidden(&observed, field), "{field}");
    }
    assert!(!is_hidden(&observed, REDIRECT_URIS));
    assert_eq!(observed.fields[SIGNING_KEY], "none");
}
