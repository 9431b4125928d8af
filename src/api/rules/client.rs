//! Rules of OIDCClient.

use super::{CelRule, rule};

/// Rules of OIDCClient, in groups.
pub const CLIENT_RULES: &[&[CelRule]] = &[
    FIXED,
    NAMES,
    MEANING,
    browser_uri!("spec.redirectURIs.[]", "a redirect URI"),
    browser_uri!("spec.postLogoutRedirectURIs.[]", "a post-logout redirect URI"),
    WEB_ORIGINS,
    LOGOUT,
    SHAPES,
    CLAIMS,
    CREDENTIALS,
    secret_key!("spec.credentials.existingSecretRef", "credentials.existingSecretRef"),
    OUTPUTS,
    ROLLOUT_RESTART,
];

/// Fixed from the start.
const FIXED: &[CelRule] = &[
    rule(
        "spec",
        "self.providerRef.name == oldSelf.providerRef.name && has(self.providerRef.__namespace__) == has(oldSelf.providerRef.__namespace__) && (!has(self.providerRef.__namespace__) || self.providerRef.__namespace__ == oldSelf.providerRef.__namespace__)",
        "providerRef is immutable: make a new OIDCClient",
    ),
    rule(
        "spec",
        "has(self.clientID) == has(oldSelf.clientID) && (!has(self.clientID) || self.clientID == oldSelf.clientID)",
        "clientID is immutable: make a new OIDCClient",
    ),
];

const NAMES: &[CelRule] = &[
    // The default client ID, <namespace>_<name>, has at most 150 characters: 63 + 1 + 86. The default names of the outputs,
    // <name>-oidc, have at most 248 (with room for `-next`) and 253.
    rule(
        "",
        "has(self.spec.clientID) || size(self.metadata.name) <= 86",
        "metadata.name must have at most 86 characters, unless clientID is set",
    ),
    rule(
        "",
        "(has(self.spec.outputs) && has(self.spec.outputs.secret) && has(self.spec.outputs.secret.name)) || size(self.metadata.name) <= 243",
        "metadata.name must have at most 243 characters, unless outputs.secret.name is set",
    ),
    rule(
        "",
        "(has(self.spec.outputs) && has(self.spec.outputs.configMap) && has(self.spec.outputs.configMap.name)) || size(self.metadata.name) <= 248",
        "metadata.name must have at most 248 characters, unless outputs.configMap.name is set",
    ),
    object_name!("spec.providerRef.name", "providerRef.name"),
    rule(
        "spec.providerRef.namespace",
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "providerRef.namespace must be a DNS label: lower-case letters, digits and '-'",
    ),
    rule(
        "spec.clientID",
        "self.matches('^[!-9;-~]+$')",
        "clientID must hold printable ASCII characters only, no white space and no ':'",
    ),
    rule(
        "spec.clientID",
        "!self.startsWith('oidc-operator.io/')",
        "clientID must not start with oidc-operator.io/",
    ),
];

/// What goes together.
const MEANING: &[CelRule] = &[
    rule(
        "spec",
        "!has(self.tokenEndpointAuthMethod) || (self.type == 'Public') == (self.tokenEndpointAuthMethod == 'none')",
        "tokenEndpointAuthMethod none goes with type Public, and only with it",
    ),
    rule(
        "spec",
        "self.type != 'Public' || !has(self.grantTypes) || !('client_credentials' in self.grantTypes)",
        "a Public client cannot use client_credentials: it has no credentials",
    ),
    rule(
        "spec",
        "(has(self.grantTypes) && !('authorization_code' in self.grantTypes)) || (has(self.redirectURIs) && size(self.redirectURIs) > 0)",
        "redirectURIs is required for authorization_code (unset grantTypes include it)",
    ),
    rule(
        "spec",
        "!has(self.grantTypes) || !('refresh_token' in self.grantTypes) || 'authorization_code' in self.grantTypes || 'urn:ietf:params:oauth:grant-type:device_code' in self.grantTypes",
        "grantTypes: refresh_token needs authorization_code or device_code beside it",
    ),
    rule(
        "spec",
        "!has(self.scopes) || 'openid' in self.scopes || (has(self.grantTypes) && !('authorization_code' in self.grantTypes))",
        "scopes must hold openid: without it there is no ID token (OIDC Core, section 3.1.2.1)",
    ),
    // Unset scopes are these three (`plan::resolve`); openid has a rule of its own.
    rule(
        "spec",
        "!has(self.optionalScopes) || self.optionalScopes.all(s, !(s in (has(self.scopes) ? self.scopes : ['profile', 'email'])))",
        "optionalScopes must not hold what scopes holds (unset scopes are openid, profile and email)",
    ),
    rule(
        "spec.tokenLifetimes",
        "has(self.accessToken) || has(self.refreshToken)",
        "tokenLifetimes needs accessToken or refreshToken: leave it out for the provider's own",
    ),
    rule(
        "spec",
        "!has(self.tokenLifetimes) || !has(self.tokenLifetimes.refreshToken) || !has(self.grantTypes) || 'refresh_token' in self.grantTypes",
        "tokenLifetimes.refreshToken needs refresh_token in grantTypes",
    ),
    rule(
        "spec",
        "self.type != 'Public' || !has(self.pkce) || self.pkce == 'Required'",
        "a Public client must use PKCE (RFC 9700, section 2.1.1): leave pkce unset or set it to Required",
    ),
];

/// Compared byte for byte with what browsers send in `Origin` (RFC 6454, section 6.2).
const WEB_ORIGINS: &[CelRule] = &[
    rule(
        "spec.webOrigins.[]",
        r"self.matches('^https?://([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*|\\[[0-9a-f:.]+\\])(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?$')",
        "a web origin must be exactly scheme://host[:port], with http or https, a lower-case host, no path and no slash at its end; no wildcard and no '+': origins are listed one by one",
    ),
    rule(
        "spec.webOrigins.[]",
        "!self.matches('^(http://.*:80|https://.*:443)$')",
        "a web origin must not name the default port of its scheme: browsers leave it out",
    ),
];

/// OpenID Connect Back-Channel Logout 1.0, section 2.2, and Front-Channel Logout 1.0, section 2.
const LOGOUT: &[CelRule] = &[
    rule(
        "spec.logout.uri",
        r"self.matches('^https?://[A-Za-z0-9\\[][!-\\[\\]-~]*$')",
        "logout.uri must be an http or https URL with a host, in printable ASCII characters, no backslash",
    ),
    rule(
        "spec.logout.uri",
        "!self.contains('#')",
        "logout.uri must have no fragment",
    ),
    rule(
        "spec.logout.uri",
        "!self.matches('^[^/?]*://[^/?]*@')",
        "logout.uri must have no user information before its host",
    ),
];

const SHAPES: &[CelRule] = &[
    rule(
        "spec.redirectURIs",
        "self.all(u, self.exists_one(v, v == u))",
        "redirectURIs must differ from each other",
    ),
    web_page!("spec.homepageURI", "homepageURI"),
    web_page!("spec.logoURI", "logoURI"),
    one_line!("spec.displayName", "displayName"),
    one_line!("spec.description", "description"),
    scope_token!("spec.scopes.[]", "a scope"),
    scope_token!("spec.optionalScopes.[]", "an optional scope"),
    rule(
        "spec.optionalScopes.[]",
        "self != 'openid'",
        "an optional scope must not be openid: every login asks for it, so it belongs to scopes",
    ),
    token_lifetime!(
        "spec.tokenLifetimes.accessToken",
        "tokenLifetimes.accessToken",
        "10s",
        "24h"
    ),
    token_lifetime!(
        "spec.tokenLifetimes.refreshToken",
        "tokenLifetimes.refreshToken",
        "1m",
        "8760h"
    ),
];

/// What could impersonate is never a constant or an attribute. A `.` makes a claim within a claim (`realm_access.roles`), so
/// it is a name's end here.
const CLAIMS: &[CelRule] = &[
    rule(
        "spec.claims.[]",
        "!(self.type in ['Constant', 'UserAttribute']) || !self.name.matches('^(iss|sub|aud|azp|exp|nonce|acr|amr|email|email_verified|preferred_username|groups|roles|realm_access|resource_access)([.]|$)')",
        "a claim of type Constant or UserAttribute must not be named iss, sub, aud, azp, exp, nonce, acr, amr, email, email_verified, preferred_username, groups, roles, realm_access or resource_access, nor be within one of them: they decide who a user is",
    ),
    rule(
        "spec.claims.[]",
        "!(self.type in ['Groups', 'RealmRoles', 'ClientRoles']) || !self.name.matches('^(iss|sub|aud|azp|exp|nonce|acr|amr|email|email_verified|preferred_username)([.]|$)')",
        "a claim of type Groups, RealmRoles or ClientRoles must not be named iss, sub, aud, azp, exp, nonce, acr, amr, email, email_verified or preferred_username, nor be within one of them: they hold neither groups nor roles",
    ),
    rule(
        "spec.claims.[]",
        "(self.type == 'Constant') == has(self.constant)",
        "claims[].constant must be set if, and only if, type is Constant",
    ),
    rule(
        "spec.claims.[]",
        "(self.type == 'UserAttribute') == has(self.userAttribute)",
        "claims[].userAttribute must be set if, and only if, type is UserAttribute",
    ),
    rule(
        "spec.claims.[]",
        "self.type == 'Groups' || !has(self.groups)",
        "claims[].groups goes with type Groups only",
    ),
];

const CREDENTIALS: &[CelRule] = &[
    rule(
        "spec.credentials",
        "!has(self.existingSecretRef) || !has(self.rotation)",
        "credentials.rotation does not go with existingSecretRef: whoever keeps that Secret rotates it",
    ),
    rule(
        "spec",
        "self.type != 'Public' || !has(self.credentials) || !has(self.credentials.rotation)",
        "credentials.rotation goes with type Confidential only: a Public client has no secret",
    ),
    token_lifetime!(
        "spec.credentials.rotation.interval",
        "credentials.rotation.interval",
        "1m",
        "43800h"
    ),
    token_lifetime!(
        "spec.credentials.rotation.overlap",
        "credentials.rotation.overlap",
        "5s",
        "8760h"
    ),
    rule(
        "spec.credentials.rotation",
        "!has(self.overlap) || duration(self.overlap) < duration(self.interval)",
        "credentials.rotation.overlap must be shorter than the interval",
    ),
    token_lifetime!(
        "spec.credentials.rotation.window.duration",
        "credentials.rotation.window.duration",
        "10m",
        "24h"
    ),
    rule(
        "spec",
        "self.type != 'Public' || !has(self.credentials) || !has(self.credentials.existingSecretRef)",
        "credentials.existingSecretRef goes with type Confidential only: a Public client has no secret",
    ),
    // What is found in the output Secret is never taken for what the user wants.
    rule(
        "",
        "!has(self.spec.credentials) || !has(self.spec.credentials.existingSecretRef) || !(self.spec.credentials.existingSecretRef.name in (has(self.spec.outputs) && has(self.spec.outputs.secret) && has(self.spec.outputs.secret.name) ? [self.spec.outputs.secret.name, self.spec.outputs.secret.name + '-next'] : [self.metadata.name + '-oidc', self.metadata.name + '-oidc-next']))",
        "credentials.existingSecretRef.name must not be the name of the output Secret, nor that with -next: the operator writes those",
    ),
];

const OUTPUTS: &[CelRule] = &[
    object_name!("spec.outputs.secret.name", "outputs.secret.name"),
    object_name!("spec.outputs.configMap.name", "outputs.configMap.name"),
    foreign_keys!("spec.outputs.secret.labels", "outputs.secret.labels"),
    legal_keys!("spec.outputs.secret.labels", "outputs.secret.labels"),
    rule(
        "spec.outputs.secret.labels",
        "self.all(k, self[k].matches('^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$'))",
        "outputs.secret.labels must have legal values: up to 63 letters, digits, '-', '_' and '.'",
    ),
    foreign_keys!("spec.outputs.secret.annotations", "outputs.secret.annotations"),
    legal_keys!("spec.outputs.secret.annotations", "outputs.secret.annotations"),
    data_key!("spec.outputs.secret.templates.[].key", "outputs.secret.templates[].key"),
    data_key!("spec.outputs.secret.generate.[].key", "outputs.secret.generate[].key"),
    data_key!(
        "spec.outputs.configMap.templates.[].key",
        "outputs.configMap.templates[].key"
    ),
    rule(
        "spec.outputs.secret",
        "!has(self.templates) || !has(self.generate) || self.templates.all(t, !self.generate.exists(g, g.key == t.key))",
        "outputs.secret: a key must not stand under both templates and generate",
    ),
    rule(
        "spec.outputs.mountPath",
        "self.matches('^(/[A-Za-z0-9_][-A-Za-z0-9_.]*)+$')",
        "outputs.mountPath must be an absolute path of letters, digits, '-', '_' and '.', with no slash at its end",
    ),
];

const ROLLOUT_RESTART: &[CelRule] = &[object_name!("spec.rolloutRestart.[].name", "rolloutRestart[].name")];
