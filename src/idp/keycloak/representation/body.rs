//! Bodies of requests, built from the spec alone.
//!
//! What Keycloak makes of a PUT (`RepresentationToModel`, measured on 26.7.3): an absent member stays, a list replaces, an
//! attribute that is sent as `""` goes, `secret` is stored as it is.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    names::{
        ALL, ATTRIBUTE_ACCESS_LIFESPAN, ATTRIBUTE_BACK_SESSION, ATTRIBUTE_BACK_URL, ATTRIBUTE_CIBA, ATTRIBUTE_DEVICE,
        ATTRIBUTE_EXCHANGE, ATTRIBUTE_FRONT_SESSION, ATTRIBUTE_FRONT_URL, ATTRIBUTE_ID_TOKEN_ALG, ATTRIBUTE_JWT_BEARER,
        ATTRIBUTE_LOGO, ATTRIBUTE_MARK, ATTRIBUTE_PKCE, ATTRIBUTE_POST_LOGOUT, ATTRIBUTE_PREVIOUS,
        ATTRIBUTE_PREVIOUS_SINCE, ATTRIBUTE_PREVIOUS_UNTIL, ATTRIBUTE_REFRESH, ATTRIBUTE_SECRET_METHOD,
        ATTRIBUTE_SECRET_UNTIL, ATTRIBUTE_SESSION_IDLE, AUTH_METHOD, BEARER_ONLY, FIRST_SCOPES, FULL_SCOPE,
        HANDLE_AUTHORIZATION, ID_TOKEN_ALG, NONE, PKCE, SECRET_AUTHENTICATOR, SEPARATOR, WEB_ORIGINS,
    },
    wanted::{default_scopes, optional_scopes, seconds},
};
use crate::{
    domain::{
        ClientSecret, ClientType, DesiredClient, GrantType, Logout, LogoutChannel, ObservedClient, Pkce,
        PreviousSecret, RemoteDiff,
        client::FIELD_TYPE,
        model::{CLIENT_ID, MARK, SECRET},
    },
    idp::{
        keycloak::{
            key_authentication::{self, KEY_AUTHENTICATOR},
            mappers::{self, Mapper},
        },
        normal_form::{
            ACCESS_TOKEN_LIFETIME, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT,
            POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, text,
        },
    },
};

/// The body that makes a client, under the UUID `id`. Without the lists of scopes it would get the realm's defaults.
pub(in crate::idp::keycloak) fn create(id: &str, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Value {
    let mut body = Body::default();
    for field in ALL {
        body.set(field, desired, secret);
    }
    body.leave_out_empty();
    let scopes: BTreeSet<&str> = default_scopes(desired)
        .into_iter()
        .chain(FIRST_SCOPES.iter().copied())
        .collect();
    let mappers: Vec<Value> = mappers::wanted(desired).iter().map(Mapper::body).collect();
    body.put("id", json!(id));
    body.put("clientId", json!(desired.client_id));
    body.put("protocol", json!("openid-connect"));
    body.put("enabled", json!(true));
    body.put("defaultClientScopes", json!(scopes));
    body.put("optionalClientScopes", json!(optional_scopes(desired)));
    body.put("protocolMappers", json!(mappers));
    body.finish()
}

/// The body that makes the changes of the representation in `diff`, and no other but what a PUT would spoil.
pub(in crate::idp::keycloak) fn update(
    observed: &ObservedClient,
    desired: &DesiredClient,
    secret: Option<&ClientSecret>,
    diff: &RemoteDiff,
) -> Value {
    let mut body = Body::default();
    for change in &diff.changes {
        body.set(&change.field, desired, secret);
    }
    // A client that becomes confidential would be given a secret that nobody knows; bearer-only ones have none either (26.4).
    if diff.changes(FIELD_TYPE) || diff.changes(BEARER_ONLY) {
        body.set(SECRET, desired, secret);
    }
    // Absent, an empty list would be filled from redirectUris (measured; the documentation says that only of a create).
    body.set(WEB_ORIGINS, desired, secret);
    // Absent, 26.4 sets it to what publicClient is (measured).
    body.front_channel(desired.logout.as_ref());
    let authorization = observed.handles.contains_key(HANDLE_AUTHORIZATION);
    body.put("authorizationServicesEnabled", json!(authorization));
    body.finish()
}

#[derive(Default)]
struct Body {
    members: Map<String, Value>,
    attributes: BTreeMap<&'static str, String>,
}

impl Body {
    fn put(&mut self, member: &str, value: Value) {
        self.members.insert(member.to_owned(), value);
    }

    /// All that makes up a field.
    fn set(&mut self, field: &str, desired: &DesiredClient, secret: Option<&ClientSecret>) {
        match field {
            CLIENT_ID => self.put("clientId", json!(desired.client_id)),
            MARK => self.attribute(ATTRIBUTE_MARK, desired.mark.to_string()),
            SECRET if desired.has_key() => {
                self.attributes.extend(key_authentication::keys(desired, secret));
                // What stands there as a secret is not asked for any more, unless somebody changes the authenticator by hand: it
                // becomes one that nobody knows.
                self.put("secret", json!(ClientSecret::generate().expose()));
                self.validity(None);
            }
            // Never an empty one: it would be stored, and accepted.
            SECRET => {
                if let Some(secret) = secret.filter(|secret| desired.has_secret() && !secret.expose().is_empty()) {
                    self.put("secret", json!(secret.expose()));
                    self.validity(desired.previous.as_ref());
                }
            }
            FIELD_TYPE => {
                self.put("publicClient", json!(desired.client_type == ClientType::Public));
                self.put("bearerOnly", json!(false));
            }
            BEARER_ONLY => self.put("bearerOnly", json!(false)),
            FULL_SCOPE => self.put("fullScopeAllowed", json!(false)),
            DISPLAY_NAME => self.put("name", json!(text(&desired.display_name))),
            DESCRIPTION => self.put("description", json!(text(&desired.description))),
            HOMEPAGE_URI => self.put("baseUrl", json!(text(&desired.homepage_uri))),
            LOGO_URI => self.attribute(ATTRIBUTE_LOGO, text(&desired.logo_uri)),
            REDIRECT_URIS => self.put("redirectUris", json!(desired.redirect_uris)),
            POST_LOGOUT_REDIRECT_URIS => {
                let uris = &desired.post_logout_redirect_uris;
                let value = if uris.is_empty() {
                    NONE.to_owned()
                } else {
                    uris.join(SEPARATOR)
                };
                self.attribute(ATTRIBUTE_POST_LOGOUT, value);
            }
            WEB_ORIGINS => self.put("webOrigins", json!(desired.web_origins)),
            GRANT_TYPES => self.grants(desired),
            AUTH_METHOD => {
                let authenticator = if desired.has_key() {
                    KEY_AUTHENTICATOR
                } else {
                    SECRET_AUTHENTICATOR
                };
                self.put("clientAuthenticatorType", json!(authenticator));
                let method = if desired.has_secret() && !desired.has_key() {
                    desired.auth_method.as_str()
                } else {
                    ""
                };
                self.attribute(ATTRIBUTE_SECRET_METHOD, method);
                self.attributes.extend(key_authentication::settings(desired.has_key()));
            }
            PKCE => self.attribute(ATTRIBUTE_PKCE, if desired.pkce == Pkce::Required { "S256" } else { "" }),
            ID_TOKEN_ALG => {
                let algorithm = desired.id_token_alg.map_or("", |algorithm| algorithm.as_str());
                self.attribute(ATTRIBUTE_ID_TOKEN_ALG, algorithm);
            }
            LOGOUT => self.logout(desired.logout.as_ref()),
            ACCESS_TOKEN_LIFETIME => self.attribute(ATTRIBUTE_ACCESS_LIFESPAN, seconds(desired.lifetimes.access)),
            REFRESH_TOKEN_LIFETIME => self.attribute(ATTRIBUTE_SESSION_IDLE, seconds(desired.lifetimes.refresh)),
            _ => {}
        }
    }

    fn grants(&mut self, desired: &DesiredClient) {
        self.put("standardFlowEnabled", json!(desired.uses(GrantType::AuthorizationCode)));
        self.put(
            "serviceAccountsEnabled",
            json!(desired.uses(GrantType::ClientCredentials)),
        );
        self.put("implicitFlowEnabled", json!(false));
        self.put("directAccessGrantsEnabled", json!(false));
        let switches = [
            (ATTRIBUTE_REFRESH, desired.uses(GrantType::RefreshToken)),
            (ATTRIBUTE_DEVICE, desired.uses(GrantType::DeviceCode)),
            (ATTRIBUTE_EXCHANGE, desired.uses(GrantType::TokenExchange)),
            (ATTRIBUTE_CIBA, false),
            (ATTRIBUTE_JWT_BEARER, false),
        ];
        for (attribute, on) in switches {
            self.attribute(attribute, on.to_string());
        }
    }

    /// What goes with a new secret (client policy `secret-rotation`; measured on 26.7.3). A rotated secret that stands stays valid
    /// unless it is taken away. An empty end makes the policy give the new secret a whole life of its own. Without the
    /// policy all of this is dropped.
    fn validity(&mut self, previous: Option<&PreviousSecret>) {
        let text = |value: &dyn Fn(&PreviousSecret) -> String| previous.map(value).unwrap_or_default();
        self.attribute(
            ATTRIBUTE_PREVIOUS,
            text(&|previous| previous.secret.expose().to_owned()),
        );
        self.attribute(
            ATTRIBUTE_PREVIOUS_SINCE,
            text(&|previous| previous.since.as_second().to_string()),
        );
        self.attribute(
            ATTRIBUTE_PREVIOUS_UNTIL,
            text(&|previous| previous.until.as_second().to_string()),
        );
        self.attribute(ATTRIBUTE_SECRET_UNTIL, "");
    }

    fn front_channel(&mut self, logout: Option<&Logout>) {
        let front = logout.is_some_and(|logout| logout.channel == LogoutChannel::Front);
        self.put("frontchannelLogout", json!(front));
    }

    /// One way only: Keycloak skips the back channel of a client whose front channel is on.
    fn logout(&mut self, logout: Option<&Logout>) {
        let by = |channel| logout.filter(|logout| logout.channel == channel);
        let uri = |logout: Option<&Logout>| logout.map(|logout| logout.uri.clone()).unwrap_or_default();
        let session = |logout: Option<&Logout>| {
            logout
                .map(|logout| logout.session_required.to_string())
                .unwrap_or_default()
        };
        let (back, front) = (by(LogoutChannel::Back), by(LogoutChannel::Front));
        self.front_channel(logout);
        self.attribute(ATTRIBUTE_BACK_URL, uri(back));
        self.attribute(ATTRIBUTE_BACK_SESSION, session(back));
        self.attribute(ATTRIBUTE_FRONT_URL, uri(front));
        self.attribute(ATTRIBUTE_FRONT_SESSION, session(front));
    }

    fn attribute(&mut self, name: &'static str, value: impl Into<String>) {
        self.attributes.insert(name, value.into());
    }

    /// Empty texts clear what stands; where nothing stands yet, client policies take them for bad addresses (26.4, executor
    /// `secure-client-uris`: `Invalid baseUrl`, `Invalid jwksUri`). Other attributes stay: without `backchannel.logout.url` Keycloak sets
    /// `backchannel.logout.session.required`, whatever is sent for that (measured on 26.7).
    fn leave_out_empty(&mut self) {
        self.members.retain(|_, value| value != "");
        self.attributes
            .retain(|name, value| *name != key_authentication::URL || !value.is_empty());
    }

    fn finish(mut self) -> Value {
        // Even an empty one: where a client policy gives secrets an end, a PUT without it fails with 500 (measured).
        self.put("attributes", json!(self.attributes));
        Value::Object(self.members)
    }
}
