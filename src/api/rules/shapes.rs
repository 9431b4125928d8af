//! Rules that stand in several places, each with the name of its field in the message.

/// A name in Kubernetes: an RFC 1123 subdomain. Also keeps path separators out of the operator's requests.
macro_rules! object_name {
    ($path:expr, $field:expr) => {
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
    ($path:expr, $field:expr) => {
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

/// A `CertificateAuthorityReference`.
macro_rules! certificate_authority {
    ($path:literal, $field:literal) => {
        &[
            object_name!(concat!($path, ".name"), concat!($field, ".name")),
            data_key!(concat!($path, ".key"), concat!($field, ".key")),
        ]
    };
}

/// A `SecretKeyReference`.
macro_rules! secret_key {
    ($path:literal, $field:literal) => {
        &[
            object_name!(concat!($path, ".name"), concat!($field, ".name")),
            data_key!(concat!($path, ".key"), concat!($field, ".key")),
        ]
    };
}

/// A realm of Keycloak: one segment of a URL's path, whoever takes that apart.
macro_rules! realm {
    ($path:literal, $field:literal) => {
        rule(
            $path,
            r"!self.matches('[/\\\\?#%;\\p{Cc}]') && !(self in ['.', '..'])",
            concat!(
                $field,
                r" must hold no '/', '\', '?', '#', '%', ';' or control characters, and not be '.' or '..'"
            ),
        )
    };
}

/// A slug of authentik: Django's `SlugField`.
macro_rules! slug {
    ($path:literal, $field:literal) => {
        rule(
            $path,
            "self.matches('^[-_a-zA-Z0-9]+$')",
            concat!(
                $field,
                " must be a slug: letters, digits, '-' and '_', as in the flow's address"
            ),
        )
    };
}

/// Labels and annotations of others, on which other programs act.
macro_rules! foreign_keys {
    ($path:expr, $field:expr) => {
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
    ($path:expr, $field:expr) => {
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

/// The address of a server. As in OpenShift, an `@` is refused anywhere.
macro_rules! server_url {
    ($path:expr, $field:expr) => {
        &[
            rule(
                $path,
                "isURL(self) && url(self).getHostname() != ''",
                concat!($field, " must be an absolute URL with a host, for example https://sso.example.com/path"),
            ),
            rule(
                $path,
                r"self.matches('^https?://[!-\\[\\]-~]+$')",
                concat!($field, " must start with https:// (http:// only with insecureTransport) and hold printable ASCII characters only, no backslash"),
            ),
            rule(
                $path,
                "!self.contains('?')",
                concat!($field, " must have no query"),
            ),
            rule(
                $path,
                "!self.contains('#')",
                concat!($field, " must have no fragment"),
            ),
            rule(
                $path,
                "!self.contains('@')",
                concat!($field, " must have no user information, nor '@' anywhere"),
            ),
        ]
    };
}

/// An endpoint that is given by hand. It may have a query (RFC 6749, sections 3.1 and 3.2).
macro_rules! endpoint_url {
    ($path:literal, $field:literal) => {
        &[
            rule(
                $path,
                r"isURL(self) && url(self).getHostname() != '' && self.matches('^https?://[!-\\[\\]-~]+$')",
                concat!($field, " must be an absolute https URL (http only with insecureTransport) with a host, in printable ASCII characters, no backslash"),
            ),
            rule(
                $path,
                "!self.contains('#') && !self.matches('^[^/?]*://[^/?]*@')",
                concat!($field, " must have no fragment and no user information before its host"),
            ),
        ]
    };
}

/// Where browsers are sent (RFC 6749, section 3.1.2; RFC 8252, section 7). A scheme alone, as in `localhost:8080`, is a
/// forgotten `http://` and not a private-use scheme: those have a path.
macro_rules! browser_uri {
    ($path:expr, $what:expr) => {
        &[
            rule(
                $path,
                "self.matches('^[A-Za-z][A-Za-z0-9+.-]*:/[!-~]*$')",
                concat!($what, " must be absolute (https://host/path, or com.example.app:/path) and hold printable ASCII characters only"),
            ),
            rule(
                $path,
                "!self.contains('#')",
                concat!($what, " must have no fragment"),
            ),
            rule(
                $path,
                r"!self.contains('\\')",
                concat!($what, " must have no backslash"),
            ),
            rule(
                $path,
                "!self.matches('^[^/?]*://[^/?]*@')",
                concat!($what, " must have no user information before its host"),
            ),
            // Separator, two dots, separator or end; each as it is or percent-encoded, once or more (`%2e`, `%252e`).
            rule(
                $path,
                r"!self.matches('(?i)^[^?]*([/\\\\]|%(25)*2f|%(25)*5c)([.]|%(25)*2e){2}([/\\\\?#;]|%(25)*(2f|5c|3b)|$)')",
                concat!($what, " must have no '..' in its path, percent-encoded or not"),
            ),
            rule(
                $path,
                "!self.matches('(?i)^(javascript|vbscript|data|blob|file|filesystem|about|view-source|jar):')",
                concat!($what, " must not use a scheme that runs or reads local content (javascript, data, file, ...)"),
            ),
            rule(
                $path,
                "!self.matches('(?i)^https?:') || self.matches('(?i)^https?://[^/?#:]')",
                concat!($what, " of scheme http or https must name a host"),
            ),
        ]
    };
}

/// A text that people read: no line breaks, and no marks that make it read otherwise than it is written.
macro_rules! one_line {
    ($path:expr, $field:expr) => {
        rule(
            $path,
            r"!self.matches('[\\p{Cc}\\x{2028}\\x{2029}\\x{202A}-\\x{202E}\\x{2066}-\\x{2069}]')",
            concat!(
                $field,
                " must hold no control characters, line breaks or bidirectional overrides"
            ),
        )
    };
}

/// An address that browsers load, as a link or a picture.
macro_rules! web_page {
    ($path:literal, $field:literal) => {
        rule(
            $path,
            r"self.matches('^https?://[A-Za-z0-9\\[][!-~]*$')",
            concat!(
                $field,
                " must be an http or https URL with a host, in printable ASCII characters"
            ),
        )
    };
}

/// A scope, as OAuth writes it.
macro_rules! scope_token {
    ($path:literal, $what:literal) => {
        rule(
            $path,
            r#"self.matches('^[!#-\\[\\]-~]+$')"#,
            concat!(
                $what,
                " must hold printable ASCII characters other than space, '\"' and '\\' (RFC 6749, section 3.3)"
            ),
        )
    };
}

/// How long a token lives. Providers count in seconds.
macro_rules! token_lifetime {
    ($path:literal, $field:literal, $least:literal, $most:literal) => {
        rule(
            $path,
            concat!(
                "duration(self) >= duration('",
                $least,
                "') && duration(self) <= duration('",
                $most,
                "') && duration(self).getMilliseconds() % 1000 == 0"
            ),
            concat!(
                $field,
                " must be between ",
                $least,
                " and ",
                $most,
                ", in whole seconds"
            ),
        )
    };
}
