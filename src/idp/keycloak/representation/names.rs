//! Fields, attributes and values by name.

use crate::{
    domain::{
        client::FIELD_TYPE,
        model::{MARK, SECRET},
    },
    idp::normal_form::{
        ACCESS_TOKEN_LIFETIME, DESCRIPTION, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT,
        POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS, REFRESH_TOKEN_LIFETIME,
    },
};

/// Prefix of fields: a scope that every token of the client carries.
pub(in crate::idp::keycloak) const SCOPES: &str = "scopes.";
/// Prefix of fields: a scope that the application may ask for.
pub(in crate::idp::keycloak) const OPTIONAL_SCOPES: &str = "optionalScopes.";
/// The client's own ID in the audience of its access tokens.
pub(in crate::idp::keycloak) const AUDIENCE: &str = "audience";

pub(super) const WEB_ORIGINS: &str = "webOrigins";
pub(in crate::idp::keycloak) const AUTH_METHOD: &str = "tokenEndpointAuthMethod";
pub(super) const PKCE: &str = "pkce";
pub(super) const ID_TOKEN_ALG: &str = "idTokenSignedResponseAlg";
/// Powers that no spec can ask for yet.
pub(super) const FULL_SCOPE: &str = "fullScopeAllowed";
pub(super) const BEARER_ONLY: &str = "bearerOnly";

/// Fields of the representation that are sent when a client is made.
pub(super) const ALL: &[&str] = &[
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
pub(super) const BUILT_IN_SCOPES: &[&str] = &["basic", "acr", "web-origins", "service_account"];
pub(super) const FIRST_SCOPES: &[&str] = &["basic", "acr", "web-origins"];

// Attributes (`OIDCConfigAttributes`, `ClientModel`, `OIDCAdvancedConfigWrapper`). All values are texts.
pub(super) const ATTRIBUTE_MARK: &str = "oidc-operator.io/mark";
pub(super) const ATTRIBUTE_LOGO: &str = "logoUri";
pub(super) const ATTRIBUTE_POST_LOGOUT: &str = "post.logout.redirect.uris";
pub(super) const ATTRIBUTE_PKCE: &str = "pkce.code.challenge.method";
pub(super) const ATTRIBUTE_ID_TOKEN_ALG: &str = "id.token.signed.response.alg";
pub(super) const ATTRIBUTE_SECRET_METHOD: &str = "client.secret.authentication.allowed.method";
pub(super) const ATTRIBUTE_ACCESS_LIFESPAN: &str = "access.token.lifespan";
pub(super) const ATTRIBUTE_SESSION_IDLE: &str = "client.session.idle.timeout";
pub(super) const ATTRIBUTE_BACK_URL: &str = "backchannel.logout.url";
pub(super) const ATTRIBUTE_BACK_SESSION: &str = "backchannel.logout.session.required";
pub(super) const ATTRIBUTE_FRONT_URL: &str = "frontchannel.logout.url";
pub(super) const ATTRIBUTE_FRONT_SESSION: &str = "frontchannel.logout.session.required";
pub(super) const ATTRIBUTE_REFRESH: &str = "use.refresh.tokens";
pub(super) const ATTRIBUTE_DEVICE: &str = "oauth2.device.authorization.grant.enabled";
pub(super) const ATTRIBUTE_EXCHANGE: &str = "standard.token.exchange.enabled";
pub(super) const ATTRIBUTE_CIBA: &str = "oidc.ciba.grant.enabled";
// `OIDCClientSecretConfigWrapper`: times in seconds since the epoch.
pub(super) const ATTRIBUTE_SECRET_UNTIL: &str = "client.secret.expiration.time";
pub(super) const ATTRIBUTE_PREVIOUS: &str = "client.secret.rotated";
pub(super) const ATTRIBUTE_PREVIOUS_SINCE: &str = "client.secret.rotated.creation.time";
pub(super) const ATTRIBUTE_PREVIOUS_UNTIL: &str = "client.secret.rotated.expiration.time";
pub(super) const ATTRIBUTE_JWT_BEARER: &str = "oauth2.jwt.authorization.grant.enabled";

/// Between addresses in one attribute.
pub(super) const SEPARATOR: &str = "##";
/// No address at all: absent would mean "as redirectUris".
pub(super) const NONE: &str = "-";
/// As redirectUris.
pub(super) const AS_REDIRECT_URIS: &str = "+";
pub(super) const SECRET_AUTHENTICATOR: &str = "client-secret";

/// Grants that no spec can name, by what they are called elsewhere.
pub(super) const IMPLICIT: &str = "implicit";
pub(super) const PASSWORD: &str = "password";
pub(super) const CIBA: &str = "urn:openid:params:grant-type:ciba";
pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// What stands in the field of an assigned scope.
pub(super) const ASSIGNED: &str = "assigned";

/// [`ObservedClient::handles`](crate::domain::ObservedClient::handles): does the client use Keycloak's authorization services?
pub(super) const HANDLE_AUTHORIZATION: &str = "authorizationServicesEnabled";

/// [`ObservedClient::handles`](crate::domain::ObservedClient::handles): were the client's scopes kept from us?
pub(in crate::idp::keycloak) const HANDLE_NO_SCOPES: &str = "scopesNotShown";
