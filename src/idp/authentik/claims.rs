//! Claims as scope mappings of authentik: short Python expressions, made from a fixed set, with every text as a literal.

use std::{collections::BTreeSet, fmt::Write as _};

use super::wire::Mapping;
use crate::domain::{
    Claim, ClaimSource, DesiredClient, GrantType, Mark,
    authentik::EmailVerified,
    client::{OFFLINE_ACCESS, OPENID},
};

/// The key of the mapping that replaces authentik's own of the scope `email`. No claim of a spec can have this name.
pub(super) const EMAIL: &str = "email";

/// A scope mapping that the operator makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WantedMapping {
    /// The claim, or [`EMAIL`].
    pub(super) key: String,
    /// Evaluated when the application asks for it.
    pub(super) scope: &'static str,
    /// What it evaluates.
    pub(super) expression: String,
}

impl WantedMapping {
    /// Its name: the mark, and what it is for.
    pub(super) fn name(&self, mark: &Mark) -> String {
        format!("{mark}/{}", self.key)
    }

    /// Scope and expression in one text.
    pub(super) fn normal(&self) -> String {
        normal(self.scope, &self.expression)
    }
}

/// Scope and expression in one text.
fn normal(scope: &str, expression: &str) -> String {
    format!("{scope}: {}", expression.trim())
}

/// A mapping of the operator's, as found: whose it is, and what for.
pub(super) fn ours(mapping: &Mapping) -> Option<(Mark, &str)> {
    let mut parts = mapping.name.splitn(6, '/');
    let mark: Vec<&str> = parts.by_ref().take(5).collect();
    let key = parts.next().filter(|key| !key.is_empty())?;
    Some((Mark::parse(&mark.join("/"))?, key))
}

/// As it is, to compare with [`WantedMapping::normal`].
pub(super) fn found(mapping: &Mapping) -> String {
    normal(&mapping.scope_name, &mapping.expression)
}

/// What all mappings of a client begin with, whatever its life.
pub(super) fn prefix(mark: &Mark) -> String {
    let text = mark.to_string();
    let end = text.rfind('/').map_or(text.len(), |at| at + 1);
    text[..end].to_owned()
}

/// The scopes whose mappings the client gets: whatever it may ask for.
pub(super) fn scopes(desired: &DesiredClient) -> BTreeSet<&str> {
    let asked = desired.scopes.iter().chain(&desired.optional_scopes);
    let mut scopes: BTreeSet<&str> = asked.map(String::as_str).collect();
    scopes.insert(OPENID);
    if desired.uses(GrantType::RefreshToken) {
        scopes.insert(OFFLINE_ACCESS);
    }
    scopes
}

/// Those of them that authentik's own mappings, or an administrator's, serve.
pub(super) fn their_scopes(desired: &DesiredClient, email_verified: EmailVerified) -> BTreeSet<String> {
    scopes(desired)
        .into_iter()
        .filter(|scope| *scope != EMAIL || email_verified == EmailVerified::Default)
        .map(str::to_owned)
        .collect()
}

/// The mappings that a spec needs.
pub(super) fn wanted(desired: &DesiredClient, email_verified: EmailVerified) -> Vec<WantedMapping> {
    let mut mappings: Vec<WantedMapping> = desired.claims.iter().filter_map(of_claim).collect();
    if email_verified == EmailVerified::AlwaysTrue && scopes(desired).contains(EMAIL) {
        mappings.push(WantedMapping {
            key: EMAIL.to_owned(),
            scope: EMAIL,
            expression: "return {\"email\": request.user.email, \"email_verified\": True}".to_owned(),
        });
    }
    mappings
}

/// In the scope `openid`, which every request has. `None` where authentik has no such source.
fn of_claim(claim: &Claim) -> Option<WantedMapping> {
    let value = match &claim.source {
        // Not by the user's own attribute: it is `ak_groups` before 2025.12 and `groups` after.
        ClaimSource::Groups { full_path: false } => {
            "[group.name for group in Group.objects.filter(users=request.user).order_by(\"name\")]".to_owned()
        }
        ClaimSource::ClientRoles => {
            "[entitlement.name for entitlement in request.user.app_entitlements(provider.application)]".to_owned()
        }
        ClaimSource::Constant(text) => literal(text),
        ClaimSource::UserAttribute(name) => format!("request.user.attributes.get({})", literal(name)),
        ClaimSource::Groups { full_path: true } | ClaimSource::RealmRoles => return None,
    };
    let mut object = value_of(&claim.name, "value");
    if matches!(claim.source, ClaimSource::UserAttribute(_)) {
        // Who has no such attribute has no such claim.
        object = format!("{object} if value is not None else {{}}");
    }
    let import = match claim.source {
        ClaimSource::Groups { .. } => "from authentik.core.models import Group\n",
        _ => "",
    };
    Some(WantedMapping {
        key: claim.name.clone(),
        scope: OPENID,
        expression: format!("{import}value = {value}\nreturn {object}"),
    })
}

/// `a.b` is a claim within a claim.
fn value_of(name: &str, value: &str) -> String {
    name.rsplit('.').fold(value.to_owned(), |inner, part| {
        format!("{{{}: {inner}}}", literal(part))
    })
}

/// A Python string literal. All but letters, digits and a few harmless marks is escaped by its number, so that no text can end
/// the literal.
fn literal(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let number = u32::from(c);
        // Writing to a String cannot fail.
        let _ = match c {
            c if c.is_ascii_alphanumeric() || " _-.:/@+,=".contains(c) => write!(quoted, "{c}"),
            _ if number <= 0xff => write!(quoted, "\\x{number:02x}"),
            _ if number <= 0xffff => write!(quoted, "\\u{number:04x}"),
            _ => write!(quoted, "\\U{number:08x}"),
        };
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MarkUid, OwnerId, ResourceName};

    fn mark() -> Mark {
        Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid("u1".to_owned()),
        }
    }

    fn expression(name: &str, source: ClaimSource) -> Option<String> {
        let claim = Claim {
            name: name.to_owned(),
            source,
            tokens: BTreeSet::new(),
        };
        of_claim(&claim).map(|mapping| mapping.expression)
    }

    #[test]
    fn no_text_ends_its_literal() {
        assert_eq!(literal("plain-1"), "\"plain-1\"");
        assert_eq!(literal("\"+exit()#\\\n"), "\"\\x22+exit\\x28\\x29\\x23\\x5c\\x0a\"");
        assert_eq!(literal("é€😀{}"), "\"\\xe9\\u20ac\\U0001f600\\x7b\\x7d\"");
    }

    #[test]
    fn claims_are_short_expressions() {
        assert_eq!(
            expression("a.b", ClaimSource::Constant("x'y".to_owned())).unwrap(),
            "value = \"x\\x27y\"\nreturn {\"a\": {\"b\": value}}"
        );
        assert_eq!(
            expression("team", ClaimSource::UserAttribute("team".to_owned())).unwrap(),
            "value = request.user.attributes.get(\"team\")\nreturn {\"team\": value} if value is not None else {}"
        );
        let groups = expression("g", ClaimSource::Groups { full_path: false }).unwrap();
        assert!(
            groups.starts_with("from authentik.core.models import Group\nvalue = [group.name"),
            "{groups}"
        );
        assert_eq!(expression("g", ClaimSource::Groups { full_path: true }), None);
        assert_eq!(expression("g", ClaimSource::RealmRoles), None);
    }

    #[test]
    fn ours_are_told_by_name() {
        let mapping = |name: &str| Mapping {
            pk: String::new(),
            name: name.to_owned(),
            scope_name: OPENID.to_owned(),
            expression: String::new(),
            managed: None,
        };
        let wanted = WantedMapping {
            key: "a.b".to_owned(),
            scope: OPENID,
            expression: String::new(),
        };
        let named = mapping(&wanted.name(&mark()));
        assert_eq!(ours(&named), Some((mark(), "a.b")));
        for other in [
            "groups",
            "oidc-operator.io/c1/shop/web/u1",
            "oidc-operator.io/c1/shop/web/u1/",
        ] {
            assert_eq!(ours(&mapping(other)), None, "{other}");
        }
        assert_eq!(prefix(&mark()), "oidc-operator.io/c1/shop/web/");
    }
}
