//! CEL rules and list types of the CRDs, as one table: where a rule stands, what it says, what a person reads.
//!
//! A rule stands here when what is wrong can be seen in the object alone; what depends on the provider (wildcards,
//! plain http to other hosts, supported grants) is a check in `plan`. Every row is tested both ways on a real API
//! server. Immutability stands on the parent struct, because a rule on an optional field does not run when the field
//! appears or disappears. A rule about one item of a list stands on the item (`[]`), so that the answer names it. Lengths
//! and counts are bounded wherever a rule walks, so that its cost is bounded too.
//!
//! Regular expressions are RE2's (`re2/wiki/Syntax`): no look-around, and `$` is the end of the text.

/// One CEL rule of a CRD.
#[derive(Clone, Copy, Debug)]
pub struct CelRule {
    /// The property it stands on, as a path from the root (`spec.issuer`; empty: the root; `[]`: a list's items).
    pub path: &'static str,
    /// The CEL expression.
    pub rule: &'static str,
    /// What a person reads when it fails.
    pub message: &'static str,
}

const fn rule(path: &'static str, rule: &'static str, message: &'static str) -> CelRule {
    CelRule { path, rule, message }
}

/// A name in Kubernetes: an RFC 1123 subdomain. Also keeps path separators out of the operator's requests.
macro_rules! object_name {
    ($path:literal, $field:literal) => {
        rule(
            $path,
            "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",
            concat!(
                $field,
                " must be a DNS subdomain: lower-case letters, digits, '-' and '.'"
            ),
        )
    };
}

/// A key of a Secret or ConfigMap.
macro_rules! data_key {
    ($path:literal, $field:literal) => {
        rule(
            $path,
            "self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && !self.startsWith('..')",
            concat!(
                $field,
                " must be a key of a ConfigMap or Secret: letters, digits, '-', '_' and '.'"
            ),
        )
    };
}

/// Labels and annotations of others, on which other programs act.
macro_rules! foreign_keys {
    ($path:literal, $field:literal) => {
        rule(
            $path,
            "self.all(k, !k.matches('^([^/]*[.])?(kubernetes|k8s|argoproj|oidc-operator)[.]io/') || (k.startsWith('app.kubernetes.io/') && !(k in ['app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'])))",
            concat!(
                $field,
                " must not use keys of kubernetes.io, k8s.io, argoproj.io or oidc-operator.io: they can mint tokens, register clusters or get objects pruned (app.kubernetes.io/* other than instance and managed-by is allowed)"
            ),
        )
    };
}

/// Keys of labels and annotations, as Kubernetes takes them (a qualified name).
macro_rules! legal_keys {
    ($path:literal, $field:literal) => {
        rule(
            $path,
            "self.all(k, k.indexOf('/') <= 253 && k.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
            concat!(
                $field,
                " must have legal keys: [prefix/]name, the prefix a DNS subdomain, the name up to 63 letters, digits, '-', '_' and '.'"
            ),
        )
    };
}

/// Rules of OIDCProvider.
pub const PROVIDER_RULES: &[CelRule] = &[
    // Fixed from the start.
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
    // Unions.
    rule(
        "spec",
        "(self.type == 'Dex') == has(self.dex)",
        "dex must be set if, and only if, type is Dex",
    ),
    rule(
        "spec",
        "self.type != 'Dex' || has(self.issuer.issuerURL)",
        "issuer.issuerURL is required with type Dex",
    ),
    rule(
        "spec.dex",
        "(self.type == 'GRPC') == has(self.grpc)",
        "dex.grpc must be set if, and only if, dex.type is GRPC",
    ),
    // Transport: https and mutual TLS unless allowed otherwise.
    rule(
        "spec",
        "!has(self.issuer.issuerURL) || self.issuer.issuerURL.startsWith('https://') || (has(self.insecureTransport) && 'Discovery' in self.insecureTransport.allowed)",
        "issuer.issuerURL must be https, unless insecureTransport.allowed holds Discovery (development only)",
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
    // Shapes.
    rule(
        "spec.issuer.issuerURL",
        "isURL(self) && url(self).getHostname() != ''",
        "issuerURL must be an absolute URL with a host, for example https://sso.example.com/dex",
    ),
    rule(
        "spec.issuer.issuerURL",
        r"self.matches('^https?://[!-\\[\\]-~]+$')",
        "issuerURL must start with https:// (http:// only with insecureTransport) and hold printable ASCII characters only, no backslash",
    ),
    rule(
        "spec.issuer.issuerURL",
        "!self.contains('?')",
        "issuerURL must have no query",
    ),
    rule(
        "spec.issuer.issuerURL",
        "!self.contains('#')",
        "issuerURL must have no fragment",
    ),
    rule(
        "spec.issuer.issuerURL",
        "!self.contains('@')",
        "issuerURL must have no user information, nor '@' anywhere (as in OpenShift)",
    ),
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
        "spec.dex.grpc.certificateAuthority.name",
        "dex.grpc.certificateAuthority.name"
    ),
    data_key!(
        "spec.dex.grpc.certificateAuthority.key",
        "dex.grpc.certificateAuthority.key"
    ),
    object_name!(
        "spec.dex.grpc.clientCertificateSecretRef.name",
        "dex.grpc.clientCertificateSecretRef.name"
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

/// Rules of OIDCClient.
pub const CLIENT_RULES: &[CelRule] = &[
    // Fixed from the start.
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
    // Unions of meaning.
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
    rule(
        "spec",
        "self.type != 'Public' || !has(self.pkce) || self.pkce == 'Required'",
        "a Public client must use PKCE (RFC 9700, section 2.1.1): leave pkce unset or set it to Required",
    ),
    // Redirect URIs (RFC 6749, section 3.1.2; RFC 8252, section 7). A scheme alone, as in `localhost:8080`, is a forgotten
    // `http://` and not a private-use scheme: those have a path.
    rule(
        "spec.redirectURIs.[]",
        "self.matches('^[A-Za-z][A-Za-z0-9+.-]*:/[!-~]*$')",
        "a redirect URI must be absolute (https://host/path, or com.example.app:/path) and hold printable ASCII characters only",
    ),
    rule(
        "spec.redirectURIs.[]",
        "!self.contains('#')",
        "a redirect URI must have no fragment (RFC 6749, section 3.1.2)",
    ),
    rule(
        "spec.redirectURIs.[]",
        r"!self.contains('\\')",
        "a redirect URI must have no backslash",
    ),
    rule(
        "spec.redirectURIs.[]",
        "!self.matches('^[^/?]*://[^/?]*@')",
        "a redirect URI must have no user information before its host",
    ),
    // Separator, two dots, separator or end; each as it is or percent-encoded, once or more (`%2e`, `%252e`).
    rule(
        "spec.redirectURIs.[]",
        r"!self.matches('(?i)^[^?]*([/\\\\]|%(25)*2f|%(25)*5c)([.]|%(25)*2e){2}([/\\\\?#;]|%(25)*(2f|5c|3b)|$)')",
        "a redirect URI must have no '..' in its path, percent-encoded or not",
    ),
    rule(
        "spec.redirectURIs.[]",
        "!self.matches('(?i)^(javascript|vbscript|data|blob|file|filesystem|about|view-source|jar):')",
        "a redirect URI must not use a scheme that runs or reads local content (javascript, data, file, ...)",
    ),
    rule(
        "spec.redirectURIs.[]",
        "!self.matches('(?i)^https?:') || self.matches('(?i)^https?://[^/?#:]')",
        "an http or https redirect URI must name a host",
    ),
    rule(
        "spec.redirectURIs",
        "self.all(u, self.exists_one(v, v == u))",
        "redirectURIs must differ from each other",
    ),
    rule(
        "spec.logoURI",
        r"self.matches('^https?://[A-Za-z0-9\\[][!-~]*$')",
        "logoURI must be an http or https URL with a host, in printable ASCII characters",
    ),
    // Line breaks, and marks that make a text read otherwise than it is written.
    rule(
        "spec.displayName",
        r"!self.matches('[\\p{Cc}\\x{2028}\\x{2029}\\x{202A}-\\x{202E}\\x{2066}-\\x{2069}]')",
        "displayName must hold no control characters, line breaks or bidirectional overrides",
    ),
    rule(
        "spec.scopes.[]",
        r#"self.matches('^[!#-\\[\\]-~]+$')"#,
        "a scope must hold printable ASCII characters other than space, '\"' and '\\' (RFC 6749, section 3.3)",
    ),
    // Claims: what could impersonate is never a constant or an attribute. A '.' makes a claim within a claim
    // (`realm_access.roles`), so it is a name's end here.
    rule(
        "spec.claims.[]",
        "!(self.type in ['Constant', 'UserAttribute']) || !self.name.matches('^(iss|sub|aud|azp|exp|nonce|acr|amr|email|email_verified|preferred_username|groups|roles|realm_access|resource_access)([.]|$)')",
        "a claim of type Constant or UserAttribute must not be named iss, sub, aud, azp, exp, nonce, acr, amr, email, email_verified, preferred_username, groups, roles, realm_access or resource_access, nor be within one of them: they decide who a user is",
    ),
    rule(
        "spec.claims.[]",
        "self.type != 'Groups' || !self.name.matches('^(iss|sub|aud|azp|exp|nonce|acr|amr|email|email_verified|preferred_username)([.]|$)')",
        "a claim of type Groups must not be named iss, sub, aud, azp, exp, nonce, acr, amr, email, email_verified or preferred_username, nor be within one of them: they hold no groups",
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
    // Outputs.
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
];

/// How a list is merged by server-side apply.
#[derive(Clone, Copy, Debug)]
pub enum ListType {
    /// Replaced as a whole: the order has a meaning.
    Atomic,
    /// A set of scalars.
    Set,
    /// Told apart by this key.
    Map(&'static str),
}

/// List types of OIDCProvider.
pub const PROVIDER_LISTS: &[(&str, ListType)] = &[
    ("spec.insecureTransport.allowed", ListType::Set),
    ("status.conditions", ListType::Map("type")),
    ("status.issuer.keys", ListType::Atomic),
];

/// List types of OIDCClient.
pub const CLIENT_LISTS: &[(&str, ListType)] = &[
    ("spec.redirectURIs", ListType::Atomic),
    ("spec.grantTypes", ListType::Set),
    ("spec.scopes", ListType::Set),
    ("spec.claims", ListType::Map("name")),
    ("spec.claims.[].tokens", ListType::Set),
    ("status.conditions", ListType::Map("type")),
    ("status.resolved.grantTypes", ListType::Set),
    ("status.resolved.scopes", ListType::Set),
];

/// Limits that a type of somebody else does not bring: where, which keyword, how much.
pub const PROVIDER_LIMITS: &[(&str, &str, u32)] = &[
    (
        "spec.clients.allowedNamespaces.selector.matchLabels",
        "maxProperties",
        32,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchLabels.{}",
        "maxLength",
        63,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions",
        "maxItems",
        32,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].key",
        "maxLength",
        317,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].operator",
        "maxLength",
        12,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].values",
        "maxItems",
        128,
    ),
    (
        "spec.clients.allowedNamespaces.selector.matchExpressions.[].values.[]",
        "maxLength",
        63,
    ),
];
