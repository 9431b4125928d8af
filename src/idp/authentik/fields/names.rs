//! Fields, handles and values by name.

use crate::idp::normal_form::{DESCRIPTION, DISPLAY_NAME, HOMEPAGE_URI, LOGO_URI};

/// The application's slug.
pub(in crate::idp::authentik) const APPLICATION: &str = "application";
pub(super) const SCOPES: &str = "scopes";
/// The operator's scope mappings that the provider uses.
pub(super) const USED_CLAIMS: &str = "usedClaims";
// What the OIDCProvider says for all.
pub(super) const AUTHORIZATION_FLOW: &str = "authorizationFlow";
pub(super) const INVALIDATION_FLOW: &str = "invalidationFlow";
pub(super) const SIGNING_KEY: &str = "signingKey";
pub(super) const SUB_MODE: &str = "subMode";
pub(super) const ISSUER_MODE: &str = "issuerMode";
/// Claims belong into ID tokens, too.
pub(super) const CLAIMS_IN_ID_TOKEN: &str = "claimsInIDToken";
// Powers, and hindrances, that no spec can ask for yet.
pub(super) const FEDERATION: &str = "jwtFederation";
pub(super) const ENCRYPTION_KEY: &str = "encryptionKey";

/// Fields of the application but for [`APPLICATION`]; a list of providers shows none but the name.
pub(super) const OF_APPLICATION: &[&str] = &[DISPLAY_NAME, DESCRIPTION, HOMEPAGE_URI, LOGO_URI];
/// Those of them that only the application itself shows.
pub(super) const DETAILS: &[&str] = &[DESCRIPTION, HOMEPAGE_URI, LOGO_URI];

/// [`ObservedClient::handles`](crate::domain::ObservedClient::handles): the provider's number.
pub(in crate::idp::authentik) const HANDLE_PROVIDER: &str = "provider";
/// [`ObservedClient::handles`](crate::domain::ObservedClient::handles): the slug of its application, as it is.
pub(in crate::idp::authentik) const HANDLE_SLUG: &str = "slug";
/// [`ObservedClient::handles`](crate::domain::ObservedClient::handles): mappings of others that the provider uses; they stay.
pub(super) const HANDLE_OTHERS: &str = "otherMappings";
/// [`ObservedClient::handles`](crate::domain::ObservedClient::handles): slug and id of an application without a provider that stands where the client's belongs.
pub(super) const HANDLE_ORPHAN: &str = "orphan";
pub(super) const HANDLE_ORPHAN_ID: &str = "orphanID";
/// Prefix of [`ObservedClient::handles`](crate::domain::ObservedClient::handles): fields that were not shown.
pub(super) const HIDDEN: &str = "hidden.";

/// Where a list of redirect URIs would be empty: authentik then takes the first that is used. Nobody owns this name (RFC 6761,
/// section 6.4).
pub(super) const NOWHERE: &str = "https://nowhere.invalid/";
pub(super) const STRICT: &str = "strict";
pub(super) const LOGOUT_TYPE: &str = "logout";
/// Lifetimes that authentik gives where none is set. They are sent, so that nothing depends on a release's default.
pub(super) const DEFAULT_ACCESS_SECONDS: u64 = 3600;
pub(super) const DEFAULT_REFRESH_SECONDS: u64 = 30 * 86400;

/// Is it done to the application, rather than to the provider?
pub(in crate::idp::authentik) fn is_of_application(field: &str) -> bool {
    field == APPLICATION || OF_APPLICATION.contains(&field)
}
