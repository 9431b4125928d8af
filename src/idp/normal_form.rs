//! What drivers share of a client's normal form ([`Fields`]): the names of fields, and how values become texts.

use std::collections::BTreeSet;

use crate::domain::Fields;

// Fields of OIDCClient's spec, by their names there.
pub(super) const DISPLAY_NAME: &str = "displayName";
pub(super) const DESCRIPTION: &str = "description";
pub(super) const HOMEPAGE_URI: &str = "homepageURI";
pub(super) const LOGO_URI: &str = "logoURI";
pub(super) const REDIRECT_URIS: &str = "redirectURIs";
pub(super) const POST_LOGOUT_REDIRECT_URIS: &str = "postLogoutRedirectURIs";
pub(super) const GRANT_TYPES: &str = "grantTypes";
pub(super) const LOGOUT: &str = "logout";
pub(super) const ACCESS_TOKEN_LIFETIME: &str = "tokenLifetimes.accessToken";
pub(super) const REFRESH_TOKEN_LIFETIME: &str = "tokenLifetimes.refreshToken";
/// Prefix: a claim of the spec.
pub(super) const CLAIMS: &str = "claims.";

/// Fields without the empty ones: what is not set has no entry.
#[derive(Default)]
pub(super) struct Collected(pub(super) Fields);

impl Collected {
    pub(super) fn put(&mut self, field: impl Into<String>, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.insert(field.into(), value);
        }
    }
}

/// A value that may be unset.
pub(super) fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

/// A set of values: order and repetition mean nothing.
pub(super) fn sorted<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> String {
    let set: BTreeSet<String> = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
    set.into_iter().collect::<Vec<_>>().join(" ")
}
