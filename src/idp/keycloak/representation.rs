//! The client as Keycloak's `ClientRepresentation`: built from the spec alone, and read back into the same fields.
//!
//! What Keycloak makes of a PUT (`RepresentationToModel`, measured on 26.7.3): an absent member stays, a list replaces, an
//! attribute that is sent as `""` goes, `secret` is stored as it is.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    key_authentication::{self, KEY_AUTHENTICATOR},
    mappers::{self, Mapper},
};
use crate::{
    domain::{
        ClientSecret, ClientType, DesiredClient, Fields, GrantType, Logout, LogoutChannel, ObservedClient,
        ObservedSecret, Pkce, PreviousSecret, RemoteDiff, TokenEndpointAuthMethod, Validity,
        client::{FIELD_TYPE, OFFLINE_ACCESS, OPENID},
        model::{CLIENT_ID, MARK, SECRET},
    },
    idp::normal_form::{
        ACCESS_TOKEN_LIFETIME, Collected, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT,
        POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME, sorted, text,
    },
};

/// Prefix of fields: a scope that every token of the client carries.
pub(super) const SCOPES: &str = "scopes.";
/// Prefix of fields: a scope that the application may ask for.
pub(super) const OPTIONAL_SCOPES: &str = "optionalScopes.";
/// The client's own ID in the audience of its access tokens.
pub(super) const AUDIENCE: &str = "audience";

const WEB_ORIGINS: &str = "webOrigins";
pub(super) const AUTH_METHOD: &str = "tokenEndpointAuthMethod";
const PKCE: &str = "pkce";
const ID_TOKEN_ALG: &str = "idTokenSignedResponseAlg";
/// Powers that no spec can ask for yet.
const FULL_SCOPE: &str = "fullScopeAllowed";
const BEARER_ONLY: &str = "bearerOnly";

/// Fields of the representation that are sent when a client is made.
const ALL: &[&str] = &[
    FIELD_TYPE,
    DISPLAY_NAME,
    DESCRIPTION,
    HOMEPAGE_URI,
    LOGO_URI,
    REDIRECT_URIS,
    POST_LOGOUT_REDIRECT_URIS,
    WEB_ORIGINS,
    GRANT_TYPES,
    AUTH_METHOD,
    PKCE,
    ID_TOKEN_ALG,
    LOGOUT,
    ACCESS_TOKEN_LIFETIME,
    REFRESH_TOKEN_LIFETIME,
    FULL_SCOPE,
    BEARER_ONLY,
    MARK,
    SECRET,
];

/// Scopes that belong to Keycloak's own workings: `sub` and the like (`basic`, `acr`), CORS (`web-origins`), and what the
/// server itself adds to clients with client_credentials (`service_account`). A new client gets the first three; after
/// that they stay as they are.
const BUILT_IN_SCOPES: &[&str] = &["basic", "acr", "web-origins", "service_account"];
const FIRST_SCOPES: &[&str] = &["basic", "acr", "web-origins"];

// Attributes (`OIDCConfigAttributes`, `ClientModel`, `OIDCAdvancedConfigWrapper`). All values are texts.
const ATTRIBUTE_MARK: &str = "oidc-operator.io/mark";
const ATTRIBUTE_LOGO: &str = "logoUri";
const ATTRIBUTE_POST_LOGOUT: &str = "post.logout.redirect.uris";
const ATTRIBUTE_PKCE: &str = "pkce.code.challenge.method";
const ATTRIBUTE_ID_TOKEN_ALG: &str = "id.token.signed.response.alg";
const ATTRIBUTE_SECRET_METHOD: &str = "client.secret.authentication.allowed.method";
const ATTRIBUTE_ACCESS_LIFESPAN: &str = "access.token.lifespan";
const ATTRIBUTE_SESSION_IDLE: &str = "client.session.idle.timeout";
const ATTRIBUTE_BACK_URL: &str = "backchannel.logout.url";
const ATTRIBUTE_BACK_SESSION: &str = "backchannel.logout.session.required";
const ATTRIBUTE_FRONT_URL: &str = "frontchannel.logout.url";
const ATTRIBUTE_FRONT_SESSION: &str = "frontchannel.logout.session.required";
const ATTRIBUTE_REFRESH: &str = "use.refresh.tokens";
const ATTRIBUTE_DEVICE: &str = "oauth2.device.authorization.grant.enabled";
const ATTRIBUTE_EXCHANGE: &str = "standard.token.exchange.enabled";
const ATTRIBUTE_CIBA: &str = "oidc.ciba.grant.enabled";
// `OIDCClientSecretConfigWrapper`: times in seconds since the epoch.
const ATTRIBUTE_SECRET_UNTIL: &str = "client.secret.expiration.time";
const ATTRIBUTE_PREVIOUS: &str = "client.secret.rotated";
const ATTRIBUTE_PREVIOUS_SINCE: &str = "client.secret.rotated.creation.time";
const ATTRIBUTE_PREVIOUS_UNTIL: &str = "client.secret.rotated.expiration.time";
const ATTRIBUTE_JWT_BEARER: &str = "oauth2.jwt.authorization.grant.enabled";

/// Between addresses in one attribute.
const SEPARATOR: &str = "##";
/// No address at all: absent would mean "as redirectUris".
const NONE: &str = "-";
/// As redirectUris.
const AS_REDIRECT_URIS: &str = "+";
const SECRET_AUTHENTICATOR: &str = "client-secret";

/// Grants that no spec can name, by what they are called elsewhere.
const IMPLICIT: &str = "implicit";
const PASSWORD: &str = "password";
const CIBA: &str = "urn:openid:params:grant-type:ciba";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The client as the spec wants it, in normal form, but for mappers.
pub(super) fn wanted_fields(desired: &DesiredClient) -> Fields {
    let mut fields = Collected::default();
    fields.put(FIELD_TYPE, desired.client_type.as_str());
    fields.put(DISPLAY_NAME, text(&desired.display_name));
    fields.put(DESCRIPTION, text(&desired.description));
    fields.put(HOMEPAGE_URI, text(&desired.homepage_uri));
    fields.put(LOGO_URI, text(&desired.logo_uri));
    fields.put(REDIRECT_URIS, sorted(&desired.redirect_uris));
    fields.put(POST_LOGOUT_REDIRECT_URIS, sorted(&desired.post_logout_redirect_uris));
    fields.put(WEB_ORIGINS, sorted(&desired.web_origins));
    fields.put(
        GRANT_TYPES,
        sorted(desired.grant_types.iter().map(|grant| grant.as_str())),
    );
    if desired.has_secret() {
        fields.put(AUTH_METHOD, desired.auth_method.as_str());
    }
    fields.put(PKCE, if desired.pkce == Pkce::Required { "S256" } else { "" });
    fields.put(
        ID_TOKEN_ALG,
        desired.id_token_alg.map_or("", |algorithm| algorithm.as_str()),
    );
    fields.put(LOGOUT, desired.logout.as_ref().map(logout_text).unwrap_or_default());
    fields.put(ACCESS_TOKEN_LIFETIME, seconds(desired.lifetimes.access));
    fields.put(REFRESH_TOKEN_LIFETIME, seconds(desired.lifetimes.refresh));
    for (prefix, scopes) in [
        (SCOPES, default_scopes(desired)),
        (OPTIONAL_SCOPES, optional_scopes(desired)),
    ] {
        for scope in scopes {
            fields.put(format!("{prefix}{scope}"), ASSIGNED);
        }
    }
    fields.0
}

const ASSIGNED: &str = "assigned";

/// What every token carries. `openid` is no client scope there; `offline_access` must be asked for.
fn default_scopes(desired: &DesiredClient) -> BTreeSet<&str> {
    let scopes = desired.scopes.iter().map(String::as_str);
    scopes
        .filter(|scope| is_assigned(scope) && *scope != OFFLINE_ACCESS)
        .collect()
}

fn optional_scopes(desired: &DesiredClient) -> BTreeSet<&str> {
    let offline = desired.scopes.iter().filter(|scope| *scope == OFFLINE_ACCESS);
    let scopes = desired.optional_scopes.iter().chain(offline).map(String::as_str);
    scopes.filter(|scope| is_assigned(scope)).collect()
}

fn is_assigned(scope: &str) -> bool {
    scope != OPENID && !BUILT_IN_SCOPES.contains(&scope)
}

fn seconds(lifetime: Option<std::time::Duration>) -> String {
    lifetime
        .map(|lifetime| lifetime.as_secs().to_string())
        .unwrap_or_default()
}

fn logout_text(logout: &Logout) -> String {
    let channel = match logout.channel {
        LogoutChannel::Back => "BackChannel",
        LogoutChannel::Front => "FrontChannel",
    };
    let session = if logout.session_required { "with" } else { "without" };
    format!("{channel} {} {session} session", logout.uri)
}

/// The body that makes a client, under the UUID `id`. Without the lists of scopes it would get the realm's defaults.
pub(super) fn create(id: &str, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Value {
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
pub(super) fn update(
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

/// [`ObservedClient::handles`]: does the client use Keycloak's authorization services?
const HANDLE_AUTHORIZATION: &str = "authorizationServicesEnabled";

/// [`ObservedClient::handles`]: were the client's scopes kept from us?
pub(super) const HANDLE_NO_SCOPES: &str = "scopesNotShown";

/// What is shown of a secret to callers that may not see it.
const MASK: &str = "**********";

/// A client, as Keycloak shows it; unknown members are ignored.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Representation {
    id: String,
    pub(super) client_id: String,
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
    pub(super) fn observe(&self, sees_scopes: bool) -> ObservedClient {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Mark, MarkUid, OwnerId, ResourceName};

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
        shown["secret"] = json!(MASK);
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
}
