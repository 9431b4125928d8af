//! Fields that not all releases have. Servers ignore fields of a request that they do not know, and the operator ignores such
//! fields of an answer.

use super::{Case, Release};
use crate::openapi::{Part, Rule};

/// A field that came with a release, or went.
#[derive(Debug)]
pub struct Change {
    /// Its pointer in its object, without the first slash; `*` for a place in a list.
    pub field: &'static str,
    /// What the paths of its operations begin with.
    paths: &'static [&'static str],
    /// Which releases have it.
    releases: Releases,
    /// Where that is known from, and what goes with it. "The documents": they differ from each other in it.
    pub source: &'static str,
}

/// Some of the releases.
#[derive(Debug)]
enum Releases {
    /// This one and later ones.
    Since(Release),
    /// Those before this one.
    Before(Release),
}

const PROVIDERS: &[&str] = &["/providers/oauth2/", "/core/transactional/applications/"];
const APPLICATIONS: &[&str] = &["/core/applications/", "/core/transactional/applications/"];
const FLOWS: &[&str] = &["/flows/instances/"];
const KEYS: &[&str] = &["/crypto/certificatekeypairs/"];
const USERS: &[&str] = &["/core/users/", "/core/tokens/"];
const BINDINGS: &[&str] = &["/policies/bindings/"];
const CONFIG: &[&str] = &["/root/config/"];

/// All that concern us.
pub const CHANGES: &[Change] = &[
    Change::new(
        "grant_types",
        PROVIDERS,
        Releases::Since(Release::R2026_5),
        "recording 102: 2026.2 ignores it",
    ),
    Change::new(
        "redirect_uris/*/redirect_uri_type",
        PROVIDERS,
        Releases::Since(Release::R2026_5),
        "recording 122: to 2026.2 each is a redirect URI",
    ),
    Change::new(
        "logout_uri",
        PROVIDERS,
        Releases::Since(Release::R2025_12),
        "the documents; 2025.8 has backchannel_logout_uri",
    ),
    Change::new(
        "logout_method",
        PROVIDERS,
        Releases::Since(Release::R2025_12),
        "the documents; 2025.8 has backchannel_logout_uri",
    ),
    Change::new(
        "refresh_token_threshold",
        PROVIDERS,
        Releases::Since(Release::R2025_12),
        "the documents",
    ),
    Change::new(
        "dcr_registration",
        PROVIDERS,
        Releases::Since(Release::R2026_8),
        "the documents; dynamic registration of clients",
    ),
    Change::new(
        "meta_hide",
        APPLICATIONS,
        Releases::Since(Release::R2026_5),
        "the documents",
    ),
    Change::new(
        "meta_icon",
        APPLICATIONS,
        Releases::Since(Release::R2025_12),
        "the documents; 2025.8 shows it, and takes it at set_icon_url",
    ),
    Change::new(
        "meta_icon_url",
        APPLICATIONS,
        Releases::Since(Release::R2025_12),
        "the documents; for display",
    ),
    Change::new(
        "meta_icon_themed_urls",
        APPLICATIONS,
        Releases::Since(Release::R2025_12),
        "the documents; for display",
    ),
    Change::new(
        "pbm_uuid",
        APPLICATIONS,
        Releases::Since(Release::R2026_8),
        "the documents",
    ),
    Change::new(
        "background_url",
        FLOWS,
        Releases::Since(Release::R2025_12),
        "the documents; for display",
    ),
    Change::new(
        "background_themed_urls",
        FLOWS,
        Releases::Since(Release::R2025_12),
        "the documents; for display",
    ),
    Change::new(
        "key_type",
        KEYS,
        Releases::Since(Release::R2025_12),
        "the documents; before, private_key_type",
    ),
    Change::new(
        "private_key_type",
        KEYS,
        Releases::Before(Release::R2025_12),
        "the documents; later, key_type",
    ),
    Change::new(
        "roles",
        USERS,
        Releases::Since(Release::R2025_12),
        "the documents; rights go to roles",
    ),
    Change::new(
        "roles_obj",
        USERS,
        Releases::Since(Release::R2025_12),
        "the documents; rights go to roles",
    ),
    Change::new("is_current", USERS, Releases::Since(Release::R2026_8), "the documents"),
    Change::new("users", USERS, Releases::Since(Release::R2026_8), "the documents"),
    Change::new("expires", BINDINGS, Releases::Since(Release::R2026_8), "the documents"),
    Change::new("expiring", BINDINGS, Releases::Since(Release::R2026_8), "the documents"),
    Change::new(
        "cache_timeout_reputation",
        CONFIG,
        Releases::Before(Release::R2025_12),
        "the documents",
    ),
];

impl Change {
    const fn new(
        field: &'static str,
        paths: &'static [&'static str],
        releases: Releases,
        source: &'static str,
    ) -> Self {
        Self {
            field,
            paths,
            releases,
            source,
        }
    }

    fn known(&self, release: Release) -> bool {
        match self.releases {
            Releases::Since(first) => release >= first,
            Releases::Before(first) => release < first,
        }
    }

    pub(super) fn explains(&self, case: &Case<'_>) -> bool {
        let path = case.exchange.path.strip_prefix("/api/v3").unwrap_or_default();
        if !self.paths.iter().any(|prefix| path.starts_with(prefix)) || !self.is_at(&case.violation.at) {
            return false;
        }
        match (case.violation.part, case.violation.rule) {
            (Part::Request, Rule::UnknownField) => !self.known(case.document),
            (Part::Response, Rule::UnknownField) => !self.known(case.document) && self.known(case.server),
            (Part::Response, Rule::MissingField) => self.known(case.document) && !self.known(case.server),
            _ => false,
        }
    }

    /// Whether the pointer is that of the field: of an object alone, in a list, in a transaction, or of a user in another object.
    fn is_at(&self, pointer: &str) -> bool {
        let general = |step: &'static str, given: &str| given == step || step == "*" && given.parse::<usize>().is_ok();
        let given: Vec<_> = pointer.split('/').skip(1).collect();
        ["", "results/*/", "provider/", "app/", "user/", "user_obj/"]
            .iter()
            .any(|place| {
                let wanted = place.split_terminator('/').chain(self.field.split('/'));
                wanted.clone().count() == given.len() && wanted.zip(&given).all(|(step, given)| general(step, given))
            })
    }
}
