//! The client as Keycloak shows it, in the same fields.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::{
    names::{
        AS_REDIRECT_URIS, ASSIGNED, ATTRIBUTE_ACCESS_LIFESPAN, ATTRIBUTE_BACK_SESSION, ATTRIBUTE_BACK_URL,
        ATTRIBUTE_CIBA, ATTRIBUTE_DEVICE, ATTRIBUTE_EXCHANGE, ATTRIBUTE_FRONT_SESSION, ATTRIBUTE_FRONT_URL,
        ATTRIBUTE_ID_TOKEN_ALG, ATTRIBUTE_JWT_BEARER, ATTRIBUTE_LOGO, ATTRIBUTE_MARK, ATTRIBUTE_PKCE,
        ATTRIBUTE_POST_LOGOUT, ATTRIBUTE_PREVIOUS, ATTRIBUTE_PREVIOUS_UNTIL, ATTRIBUTE_REFRESH,
        ATTRIBUTE_SECRET_METHOD, ATTRIBUTE_SECRET_UNTIL, ATTRIBUTE_SESSION_IDLE, AUTH_METHOD, BEARER_ONLY, CIBA,
        FULL_SCOPE, HANDLE_AUTHORIZATION, HANDLE_NO_SCOPES, ID_TOKEN_ALG, IMPLICIT, JWT_BEARER, NONE, OPTIONAL_SCOPES,
        PASSWORD, PKCE, SCOPES, SECRET_AUTHENTICATOR, SEPARATOR, WEB_ORIGINS,
    },
    wanted::{is_assigned, logout_text},
};
use crate::{
    domain::{
        ClientSecret, ClientType, Fields, GrantType, Logout, LogoutChannel, ObservedClient, ObservedSecret,
        TokenEndpointAuthMethod, Validity, client::FIELD_TYPE,
    },
    idp::{
        keycloak::{
            key_authentication::{self, KEY_AUTHENTICATOR},
            mappers::Mapper,
        },
        normal_form::{
            ACCESS_TOKEN_LIFETIME, Collected, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT,
            POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, sorted, text,
        },
    },
};

/// What is shown of a secret to callers that may not see it.
const MASK: &str = "**********";

/// A client, as Keycloak shows it; unknown members are ignored.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::idp::keycloak) struct Representation {
    id: String,
    pub(in crate::idp::keycloak) client_id: String,
    name: Option<String>,
    description: Option<String>,
    base_url: Option<String>,
    enabled: bool,
    client_authenticator_type: Option<String>,
    secret: Option<String>,
    redirect_uris: Vec<String>,
    web_origins: Vec<String>,
    bearer_only: bool,
    standard_flow_enabled: bool,
    implicit_flow_enabled: bool,
    direct_access_grants_enabled: bool,
    service_accounts_enabled: bool,
    authorization_services_enabled: bool,
    public_client: bool,
    frontchannel_logout: bool,
    full_scope_allowed: bool,
    attributes: BTreeMap<String, Option<String>>,
    protocol_mappers: Vec<Mapper>,
    default_client_scopes: Vec<String>,
    optional_client_scopes: Vec<String>,
}

/// What an absent member means (`ClientRepresentation`, `ClientModel`).
impl Default for Representation {
    fn default() -> Self {
        Self {
            id: String::new(),
            client_id: String::new(),
            name: None,
            description: None,
            base_url: None,
            enabled: true,
            client_authenticator_type: None,
            secret: None,
            redirect_uris: Vec::new(),
            web_origins: Vec::new(),
            bearer_only: false,
            standard_flow_enabled: false,
            implicit_flow_enabled: false,
            direct_access_grants_enabled: false,
            service_accounts_enabled: false,
            authorization_services_enabled: false,
            public_client: false,
            frontchannel_logout: false,
            full_scope_allowed: false,
            attributes: BTreeMap::new(),
            protocol_mappers: Vec::new(),
            default_client_scopes: Vec::new(),
            optional_client_scopes: Vec::new(),
        }
    }
}

impl Representation {
    /// The client in normal form. Where the caller sees no scopes at all, that none are shown says nothing.
    pub(in crate::idp::keycloak) fn observe(&self, sees_scopes: bool) -> ObservedClient {
        let marks = match self.attribute(ATTRIBUTE_MARK) {
            "" => Vec::new(),
            mark => vec![mark.to_owned()],
        };
        let mut handles: BTreeMap<String, String> = self
            .our_mappers()
            .filter_map(|mapper| Some((mapper.field(), mapper.id.clone()?)))
            .collect();
        if self.authorization_services_enabled {
            handles.insert(HANDLE_AUTHORIZATION.to_owned(), true.to_string());
        }
        if !sees_scopes && self.default_client_scopes.is_empty() && self.optional_client_scopes.is_empty() {
            handles.insert(HANDLE_NO_SCOPES.to_owned(), true.to_string());
        }
        ObservedClient {
            client_id: self.client_id.clone(),
            remote_id: self.id.clone(),
            marks,
            secret: self.observed_secret(),
            validity: self.validity(),
            disabled: !self.enabled,
            fields: self.fields(),
            handles,
            registered: None,
        }
    }

    fn our_mappers(&self) -> impl Iterator<Item = &Mapper> {
        self.protocol_mappers.iter().filter(|mapper| mapper.is_ours())
    }

    fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).and_then(Option::as_deref).unwrap_or_default()
    }

    fn is_on(&self, attribute: &str, unless_set: bool) -> bool {
        match self.attribute(attribute) {
            "" => unless_set,
            value => value == "true",
        }
    }

    fn observed_secret(&self) -> ObservedSecret {
        match self.secret.as_deref() {
            _ if self.public_client => ObservedSecret::Absent,
            // The secret that such a client has beside its keys opens nothing.
            _ if self.has_key_authenticator() => {
                ObservedSecret::Keys(key_authentication::shown_keys(|name| self.attribute(name)))
            }
            // Not for this caller's eyes: says nothing.
            None | Some(MASK) => ObservedSecret::NotShown,
            Some(secret) => ObservedSecret::Shown(ClientSecret::new(secret)),
        }
    }

    fn validity(&self) -> Validity {
        let time = |attribute| Timestamp::from_second(self.attribute(attribute).parse().ok()?).ok();
        // Of a client with keys, no secret counts.
        if self.has_key_authenticator() {
            return Validity::default();
        }
        let has_previous = !self.attribute(ATTRIBUTE_PREVIOUS).is_empty();
        Validity {
            secret_until: time(ATTRIBUTE_SECRET_UNTIL),
            previous_until: time(ATTRIBUTE_PREVIOUS_UNTIL).filter(|_| has_previous),
        }
    }

    fn has_key_authenticator(&self) -> bool {
        self.client_authenticator_type.as_deref() == Some(KEY_AUTHENTICATOR)
    }

    fn fields(&self) -> Fields {
        let mut fields = Collected::default();
        let type_ = if self.public_client {
            ClientType::Public
        } else {
            ClientType::Confidential
        };
        fields.put(FIELD_TYPE, type_.as_str());
        fields.put(BEARER_ONLY, if self.bearer_only { "true" } else { "" });
        fields.put(FULL_SCOPE, if self.full_scope_allowed { "true" } else { "" });
        fields.put(DISPLAY_NAME, text(&self.name));
        fields.put(DESCRIPTION, text(&self.description));
        fields.put(HOMEPAGE_URI, text(&self.base_url));
        fields.put(LOGO_URI, self.attribute(ATTRIBUTE_LOGO));
        fields.put(REDIRECT_URIS, sorted(&self.redirect_uris));
        fields.put(POST_LOGOUT_REDIRECT_URIS, self.post_logout());
        fields.put(WEB_ORIGINS, sorted(&self.web_origins));
        fields.put(GRANT_TYPES, sorted(self.grants()));
        if !self.public_client {
            fields.put(AUTH_METHOD, self.auth_method());
        }
        fields.put(PKCE, self.attribute(ATTRIBUTE_PKCE));
        fields.put(ID_TOKEN_ALG, self.attribute(ATTRIBUTE_ID_TOKEN_ALG));
        fields.put(LOGOUT, self.logout().as_ref().map(logout_text).unwrap_or_default());
        fields.put(ACCESS_TOKEN_LIFETIME, self.attribute(ATTRIBUTE_ACCESS_LIFESPAN));
        fields.put(REFRESH_TOKEN_LIFETIME, self.attribute(ATTRIBUTE_SESSION_IDLE));
        for (prefix, scopes) in [
            (SCOPES, &self.default_client_scopes),
            (OPTIONAL_SCOPES, &self.optional_client_scopes),
        ] {
            for scope in scopes.iter().filter(|scope| is_assigned(scope)) {
                fields.put(format!("{prefix}{scope}"), ASSIGNED);
            }
        }
        for mapper in self.our_mappers() {
            fields.put(mapper.field(), mapper.normal_form());
        }
        fields.0
    }

    fn post_logout(&self) -> String {
        match self.attribute(ATTRIBUTE_POST_LOGOUT) {
            "" => AS_REDIRECT_URIS.to_owned(),
            NONE => String::new(),
            uris => sorted(uris.split(SEPARATOR)),
        }
    }

    fn grants(&self) -> impl Iterator<Item = &'static str> {
        [
            (self.standard_flow_enabled, GrantType::AuthorizationCode.as_str()),
            (self.service_accounts_enabled, GrantType::ClientCredentials.as_str()),
            (self.is_on(ATTRIBUTE_REFRESH, true), GrantType::RefreshToken.as_str()),
            (self.is_on(ATTRIBUTE_DEVICE, false), GrantType::DeviceCode.as_str()),
            (self.is_on(ATTRIBUTE_EXCHANGE, false), GrantType::TokenExchange.as_str()),
            (self.implicit_flow_enabled, IMPLICIT),
            (self.direct_access_grants_enabled, PASSWORD),
            (self.is_on(ATTRIBUTE_CIBA, false), CIBA),
            (self.is_on(ATTRIBUTE_JWT_BEARER, false), JWT_BEARER),
        ]
        .into_iter()
        .filter_map(|(on, grant)| on.then_some(grant))
    }

    fn auth_method(&self) -> String {
        match (
            self.client_authenticator_type.as_deref(),
            self.attribute(ATTRIBUTE_SECRET_METHOD),
        ) {
            (None | Some(SECRET_AUTHENTICATOR), "") => {
                let either = [
                    TokenEndpointAuthMethod::ClientSecretBasic,
                    TokenEndpointAuthMethod::ClientSecretPost,
                ];
                either.map(TokenEndpointAuthMethod::as_str).join(" or ")
            }
            (None | Some(SECRET_AUTHENTICATOR), method) => method.to_owned(),
            (Some(KEY_AUTHENTICATOR), _) => key_authentication::shown_method(|name| self.attribute(name)),
            (Some(other), _) => other.to_owned(),
        }
    }

    fn logout(&self) -> Option<Logout> {
        let (channel, uri, session) = if self.frontchannel_logout {
            (LogoutChannel::Front, ATTRIBUTE_FRONT_URL, ATTRIBUTE_FRONT_SESSION)
        } else {
            (LogoutChannel::Back, ATTRIBUTE_BACK_URL, ATTRIBUTE_BACK_SESSION)
        };
        let uri = self.attribute(uri);
        (self.frontchannel_logout || !uri.is_empty()).then(|| Logout {
            channel,
            uri: uri.to_owned(),
            session_required: self.is_on(session, channel == LogoutChannel::Front),
        })
    }
}

impl std::fmt::Debug for Representation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Representation")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
