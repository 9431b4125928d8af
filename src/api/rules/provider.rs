//! Rules of OIDCProvider.

use super::{CelRule, rule};

/// Rules of OIDCProvider, in groups.
pub const PROVIDER_RULES: &[&[CelRule]] = &[
    FIXED,
    UNIONS,
    TRANSPORT,
    server_url!("spec.issuer.issuerURL", "issuerURL"),
    server_url!("spec.issuer.discoveryURL", "issuer.discoveryURL"),
    server_url!("spec.issuer.internal.issuerURL", "issuer.internal.issuerURL"),
    server_url!("spec.issuer.internal.discoveryURL", "issuer.internal.discoveryURL"),
    endpoint_url!("spec.issuer.endpoints.authorization", "issuer.endpoints.authorization"),
    endpoint_url!("spec.issuer.endpoints.token", "issuer.endpoints.token"),
    endpoint_url!("spec.issuer.endpoints.userinfo", "issuer.endpoints.userinfo"),
    endpoint_url!("spec.issuer.endpoints.jwks", "issuer.endpoints.jwks"),
    endpoint_url!("spec.issuer.endpoints.endSession", "issuer.endpoints.endSession"),
    certificate_authority!(
        "spec.issuer.internal.certificateAuthority",
        "issuer.internal.certificateAuthority"
    ),
    certificate_authority!("spec.dex.grpc.certificateAuthority", "dex.grpc.certificateAuthority"),
    secret_key!("spec.dex.config.base", "dex.config.base"),
    secret_key!("spec.dex.config.target", "dex.config.target"),
    DEX_CONFIG,
    server_url!("spec.keycloak.adminURL", "keycloak.adminURL"),
    certificate_authority!("spec.keycloak.certificateAuthority", "keycloak.certificateAuthority"),
    secret_key!(
        "spec.keycloak.credentials.clientCredentials.clientSecretRef",
        "keycloak.credentials.clientCredentials.clientSecretRef"
    ),
    secret_key!(
        "spec.keycloak.credentials.password.usernameSecretRef",
        "keycloak.credentials.password.usernameSecretRef"
    ),
    secret_key!(
        "spec.keycloak.credentials.password.passwordSecretRef",
        "keycloak.credentials.password.passwordSecretRef"
    ),
    server_url!("spec.authentik.publicURL", "authentik.publicURL"),
    server_url!("spec.authentik.adminURL", "authentik.adminURL"),
    certificate_authority!("spec.authentik.certificateAuthority", "authentik.certificateAuthority"),
    secret_key!("spec.authentik.tokenSecretRef", "authentik.tokenSecretRef"),
    secret_key!(
        "spec.dynamicRegistration.initialAccessTokenSecretRef",
        "dynamicRegistration.initialAccessTokenSecretRef"
    ),
    server_url!(
        "spec.dynamicRegistration.registrationURL",
        "dynamicRegistration.registrationURL"
    ),
    SHAPES,
];

/// Fixed from the start.
const FIXED: &[CelRule] = &[
    rule(
        "spec",
        "self.type == oldSelf.type",
        "type is immutable: make a new OIDCProvider",
    ),
    rule(
        "spec",
        "has(self.issuer.issuerURL) == has(oldSelf.issuer.issuerURL) && (!has(self.issuer.issuerURL) || self.issuer.issuerURL == oldSelf.issuer.issuerURL)",
        "issuer.issuerURL is immutable: make a new OIDCProvider",
    ),
    rule(
        "spec",
        "!has(self.dex) || !has(oldSelf.dex) || self.dex.type == oldSelf.dex.type",
        "dex.type is immutable: make a new OIDCProvider",
    ),
    rule(
        "spec",
        "!has(self.keycloak) || !has(oldSelf.keycloak) || self.keycloak.realm == oldSelf.keycloak.realm",
        "keycloak.realm is immutable: make a new OIDCProvider",
    ),
    rule(
        "spec",
        "!has(self.authentik) || !has(oldSelf.authentik) || self.authentik.publicURL == oldSelf.authentik.publicURL",
        "authentik.publicURL is immutable: make a new OIDCProvider",
    ),
    // Writing down what holds anyway changes nothing.
    rule(
        "spec",
        "!has(self.authentik) || !has(oldSelf.authentik) || (has(self.authentik.subMode) ? self.authentik.subMode : 'hashed_user_id') == (has(oldSelf.authentik.subMode) ? oldSelf.authentik.subMode : 'hashed_user_id')",
        "authentik.subMode is immutable: make a new OIDCProvider",
    ),
    rule(
        "spec",
        "!has(self.authentik) || !has(oldSelf.authentik) || (has(self.authentik.issuerMode) ? self.authentik.issuerMode : 'per_provider') == (has(oldSelf.authentik.issuerMode) ? oldSelf.authentik.issuerMode : 'per_provider')",
        "authentik.issuerMode is immutable: make a new OIDCProvider",
    ),
];

/// What goes together.
const UNIONS: &[CelRule] = &[
    rule(
        "spec",
        "(self.type == 'Dex') == has(self.dex)",
        "dex must be set if, and only if, type is Dex",
    ),
    rule(
        "spec",
        "(self.type == 'Keycloak') == has(self.keycloak)",
        "keycloak must be set if, and only if, type is Keycloak",
    ),
    rule(
        "spec",
        "(self.type == 'Authentik') == has(self.authentik)",
        "authentik must be set if, and only if, type is Authentik",
    ),
    rule(
        "spec",
        "(self.type == 'DynamicRegistration') == has(self.dynamicRegistration)",
        "dynamicRegistration must be set if, and only if, type is DynamicRegistration (it may be empty: {})",
    ),
    rule(
        "spec",
        "self.type == 'Authentik' || has(self.issuer.issuerURL)",
        "issuer.issuerURL is required with every type but Authentik",
    ),
    rule(
        "spec",
        "!has(self.dynamicRegistration) || !has(self.issuer.endpoints) || has(self.dynamicRegistration.registrationURL)",
        "dynamicRegistration.registrationURL is required with issuer.endpoints: no discovery document is read then",
    ),
    rule(
        "spec",
        "self.type != 'Authentik' || (!has(self.issuer.issuerURL) && !has(self.issuer.discoveryURL) && !has(self.issuer.internal) && !has(self.issuer.endpoints))",
        "issuer must hold no more than issuerCertificateAuthority with type Authentik: the issuer belongs to the application and follows from authentik.publicURL",
    ),
    rule(
        "spec.issuer.internal",
        "has(self.issuerURL) || has(self.discoveryURL) || has(self.certificateAuthority)",
        "issuer.internal needs issuerURL, discoveryURL or certificateAuthority: leave it out if the operator reaches the issuer as everybody does",
    ),
    rule(
        "spec.issuer",
        "!has(self.internal) || !has(self.internal.issuerURL) || !has(self.issuerURL) || self.internal.issuerURL != self.issuerURL",
        "issuer.internal.issuerURL must differ from issuerURL: leave it out where tokens carry issuerURL everywhere",
    ),
    // As in OpenShift.
    rule(
        "spec.issuer",
        "!has(self.discoveryURL) || !has(self.issuerURL) || (self.discoveryURL.endsWith('/') ? self.discoveryURL : self.discoveryURL + '/') != (self.issuerURL.endsWith('/') ? self.issuerURL : self.issuerURL + '/')",
        "issuer.discoveryURL must differ from issuerURL: it is the address of the document itself",
    ),
    rule(
        "spec.issuer",
        "!has(self.endpoints) || (!has(self.discoveryURL) && (!has(self.internal) || (!has(self.internal.discoveryURL) && !has(self.internal.issuerURL))))",
        "issuer.endpoints excludes discoveryURL, internal.discoveryURL and internal.issuerURL: no discovery document is read where endpoints are given",
    ),
    rule(
        "spec.dex",
        "(self.type == 'GRPC') == has(self.grpc)",
        "dex.grpc must be set if, and only if, dex.type is GRPC",
    ),
    rule(
        "spec.dex",
        "(self.type == 'Config') == has(self.config)",
        "dex.config must be set if, and only if, dex.type is Config",
    ),
    rule(
        "spec.keycloak.credentials",
        "(self.type == 'ClientCredentials') == has(self.clientCredentials)",
        "keycloak.credentials.clientCredentials must be set if, and only if, type is ClientCredentials",
    ),
    rule(
        "spec.keycloak.credentials",
        "(self.type == 'Password') == has(self.password)",
        "keycloak.credentials.password must be set if, and only if, type is Password",
    ),
];

/// https and mutual TLS unless allowed otherwise.
const TRANSPORT: &[CelRule] = &[
    rule(
        "spec",
        "!has(self.issuer.issuerURL) || self.issuer.issuerURL.startsWith('https://') || (has(self.insecureTransport) && 'Discovery' in self.insecureTransport.allowed)",
        "issuer.issuerURL must be https, unless insecureTransport.allowed holds Discovery (development only)",
    ),
    rule(
        "spec",
        "!has(self.issuer.discoveryURL) || self.issuer.discoveryURL.startsWith('https://') || (has(self.insecureTransport) && 'Discovery' in self.insecureTransport.allowed)",
        "issuer.discoveryURL must be https, unless insecureTransport.allowed holds Discovery (development only)",
    ),
    rule(
        "spec",
        "!has(self.issuer.internal) || !has(self.issuer.internal.issuerURL) || self.issuer.internal.issuerURL.startsWith('https://') || (has(self.insecureTransport) && 'Discovery' in self.insecureTransport.allowed)",
        "issuer.internal.issuerURL must be https, unless insecureTransport.allowed holds Discovery (development only)",
    ),
    rule(
        "spec",
        "!has(self.issuer.endpoints) || (has(self.insecureTransport) && 'Endpoints' in self.insecureTransport.allowed) || (self.issuer.endpoints.authorization.startsWith('https://') && self.issuer.endpoints.token.startsWith('https://') && self.issuer.endpoints.jwks.startsWith('https://') && (!has(self.issuer.endpoints.userinfo) || self.issuer.endpoints.userinfo.startsWith('https://')) && (!has(self.issuer.endpoints.endSession) || self.issuer.endpoints.endSession.startsWith('https://')))",
        "issuer.endpoints must be https, unless insecureTransport.allowed holds Endpoints (development only)",
    ),
    rule(
        "spec",
        "!has(self.issuer.internal) || !has(self.issuer.internal.discoveryURL) || self.issuer.internal.discoveryURL.startsWith('https://') || (has(self.insecureTransport) && 'Discovery' in self.insecureTransport.allowed)",
        "issuer.internal.discoveryURL must be https, unless insecureTransport.allowed holds Discovery (development only)",
    ),
    rule(
        "spec",
        "!has(self.keycloak) || self.keycloak.adminURL.startsWith('https://') || (has(self.insecureTransport) && 'AdminAPI' in self.insecureTransport.allowed)",
        "keycloak.adminURL must be https, unless insecureTransport.allowed holds AdminAPI (development only)",
    ),
    rule(
        "spec",
        "!has(self.dynamicRegistration) || !has(self.dynamicRegistration.registrationURL) || self.dynamicRegistration.registrationURL.startsWith('https://') || (has(self.insecureTransport) && 'AdminAPI' in self.insecureTransport.allowed)",
        "dynamicRegistration.registrationURL must be https, unless insecureTransport.allowed holds AdminAPI (development only)",
    ),
    rule(
        "spec",
        "!has(self.authentik) || self.authentik.publicURL.startsWith('https://') || (has(self.insecureTransport) && 'Discovery' in self.insecureTransport.allowed)",
        "authentik.publicURL must be https, unless insecureTransport.allowed holds Discovery (development only)",
    ),
    rule(
        "spec",
        "!has(self.authentik) || (has(self.authentik.adminURL) ? self.authentik.adminURL : self.authentik.publicURL).startsWith('https://') || (has(self.insecureTransport) && 'AdminAPI' in self.insecureTransport.allowed)",
        "authentik.adminURL, or publicURL in its place, must be https, unless insecureTransport.allowed holds AdminAPI (development only)",
    ),
    rule(
        "spec",
        "!has(self.dex) || !has(self.dex.grpc) || (has(self.dex.grpc.certificateAuthority) && has(self.dex.grpc.clientCertificateSecretRef)) || (has(self.insecureTransport) && 'AdminAPI' in self.insecureTransport.allowed)",
        "dex.grpc needs certificateAuthority and clientCertificateSecretRef (mutual TLS is Dex's only protection), unless insecureTransport.allowed holds AdminAPI (development only)",
    ),
    rule(
        "spec",
        "!has(self.dex) || !has(self.dex.grpc) || has(self.dex.grpc.certificateAuthority) || !has(self.dex.grpc.clientCertificateSecretRef)",
        "dex.grpc.clientCertificateSecretRef needs certificateAuthority: a client certificate is of no use without TLS",
    ),
];

/// Dex by its configuration file.
const DEX_CONFIG: &[CelRule] = &[
    rule(
        "spec.dex.config",
        "self.target.kind == self.base.kind",
        "dex.config.target.kind must be that of base: the configuration may hold secrets in both, or in neither",
    ),
    rule(
        "spec.dex.config",
        "self.target.name != self.base.name",
        "dex.config.target.name must differ from that of base: the operator writes the one, and reads the other only",
    ),
    rule(
        "spec.dex.config",
        "self.base.kind != 'Secret' || self.base.name != self.target.name + '-client-secrets'",
        "dex.config.base.name must not be that of the Secret with the client secrets (target.name with -client-secrets after it)",
    ),
    object_name!("spec.dex.config.workload.name", "dex.config.workload.name"),
    rule(
        "spec.dex.config.workload.container",
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "dex.config.workload.container must be the name of a container: lower-case letters, digits and '-'",
    ),
];

const SHAPES: &[CelRule] = &[
    object_name!(
        "spec.issuer.issuerCertificateAuthority.name",
        "issuerCertificateAuthority.name"
    ),
    rule(
        "spec.dex.grpc.address",
        r"self.matches('^([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\\[[0-9A-Fa-f:.]+\\]):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$')",
        "dex.grpc.address must be host:port, for example dex.identity.svc:5557",
    ),
    object_name!(
        "spec.dex.grpc.clientCertificateSecretRef.name",
        "dex.grpc.clientCertificateSecretRef.name"
    ),
    realm!("spec.keycloak.realm", "keycloak.realm"),
    realm!("spec.keycloak.authRealm", "keycloak.authRealm"),
    slug!("spec.authentik.authorizationFlow", "authentik.authorizationFlow"),
    slug!("spec.authentik.invalidationFlow", "authentik.invalidationFlow"),
    one_line!("spec.authentik.signingKey", "authentik.signingKey"),
    rule(
        "spec.keycloak.credentials.clientCredentials.clientID",
        "self.matches('^[ -~]+$')",
        "keycloak.credentials.clientCredentials.clientID must hold printable ASCII characters only (RFC 6749, appendix A.1)",
    ),
    rule(
        "spec.adminAPI.timeout",
        "duration(self) >= duration('1s') && duration(self) <= duration('60s')",
        "adminAPI.timeout must be between 1s and 60s",
    ),
    rule(
        "spec.resyncInterval",
        "duration(self) >= duration('5s') && duration(self) <= duration('24h')",
        "resyncInterval must be between 5s and 24h",
    ),
    rule(
        "spec.clients.allowedNamespaces",
        "(self.from == 'Selector') == has(self.selector)",
        "allowedNamespaces.selector must be set if, and only if, from is Selector",
    ),
    rule(
        "spec.clients.allowedNamespaces.selector.matchExpressions.[]",
        "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : self.operator in ['Exists', 'DoesNotExist'] && (!has(self.values) || size(self.values) == 0)",
        "matchExpressions: operator must be In or NotIn with values, or Exists or DoesNotExist without",
    ),
];
