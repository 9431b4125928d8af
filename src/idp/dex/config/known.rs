//! What is known of the objects, so that only what others did to them is news. Pure.
//!
//! A look alone makes nothing known: whoever looked at a target from which somebody took a client writes it again only if the client
//! is looked at too. Known is what a look at the whole provider found, and what was written on top of that and nothing else.

use std::collections::BTreeMap;

use super::installation::{Keys, Part, Target, Version, Workload};
use crate::domain::{ErrorClass, IdpError};

/// What is known of the objects without looking.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the last look at the whole provider found, with what was written since; `None`: there was none.
    found: Option<BTreeMap<Part, Version>>,
    /// What cannot be seen for now.
    hidden: BTreeMap<Part, IdpError>,
}

/// What to do about a sighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing: a look found it already, or finds it anyway.
    Nothing,
    /// Somebody else changed the Pod template: it is brought in order.
    Template,
    /// Somebody else changed what clients are made of.
    Clients,
    /// Whether changes are heard of is another matter than before.
    Sight,
}

impl Known {
    /// Takes in what a look found, after which all clients are looked at.
    pub(super) fn looked(&mut self, target: Option<&Target>, keys: Option<&Keys>, workload: &Workload) {
        let workload = version_of(workload);
        let found = [
            (Part::Target, target.map(|target| &target.version)),
            (Part::Keys, keys.map(|keys| &keys.version)),
            (Part::Workload, Some(&workload)),
        ];
        let found = found.into_iter();
        self.found = Some(
            found
                .filter_map(|(part, version)| Some((part, version?.clone())))
                .collect(),
        );
    }

    /// Takes in a write of the operator's own, over `former`. Where that was somebody else's, it stays news.
    pub(super) fn wrote(&mut self, part: Part, former: Option<&Version>, version: Version) {
        if let Some(found) = &mut self.found
            && found.get(&part) == former
        {
            found.insert(part, version);
        }
    }

    /// Takes in the template of the workload, which is about to be compared with what it should be.
    pub(super) fn compared(&mut self, workload: &Workload) {
        if let Some(found) = &mut self.found {
            found.insert(Part::Workload, version_of(workload));
        }
    }

    /// What a sighting means.
    pub(super) fn seen(&mut self, part: Part, shown: Result<Option<Version>, IdpError>) -> News {
        let shown = match shown {
            Ok(shown) => shown,
            // What passes by itself shows what it missed.
            Err(error) if error.class() != ErrorClass::Auth => return News::Nothing,
            Err(error) => {
                return match self.hidden.insert(part, error) {
                    None => News::Sight,
                    Some(_) => News::Nothing,
                };
            }
        };
        if self.hidden.remove(&part).is_some() {
            return News::Sight;
        }
        let Some(found) = &self.found else {
            return News::Nothing;
        };
        let is_known = match (found.get(&part), &shown) {
            (None, None) => true,
            (Some(found), Some(shown)) => found.uid == shown.uid && number(shown) <= number(found),
            (None, Some(_)) | (Some(_), None) => false,
        };
        match part {
            _ if is_known => News::Nothing,
            Part::Workload => News::Template,
            Part::Target | Part::Keys => News::Clients,
        }
    }

    /// Why changes of others are not heard of, if they are not.
    pub(super) fn hidden(&self) -> Option<&IdpError> {
        self.hidden.values().next()
    }
}

fn version_of(workload: &Workload) -> Version {
    Version::of_template(workload.uid.clone(), workload.generation)
}

/// Versions of one object can be compared as numbers (Kubernetes API concepts, "Resource versions", since 1.35; true of every server
/// before).
fn number(version: &Version) -> Option<u64> {
    version.resource_version.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::IdpErrorKind;

    fn version(uid: &str, number: u32) -> Version {
        Version {
            uid: uid.to_owned(),
            resource_version: number.to_string(),
        }
    }

    fn target(uid: &str, number: u32) -> Target {
        Target {
            version: version(uid, number),
            ours: true,
            text: Default::default(),
            guarded: None,
            revision: None,
        }
    }

    /// Target `t` in version 9, no Secret, workload `w` of generation 3.
    fn known() -> Known {
        let workload = Workload {
            uid: "w".to_owned(),
            resource_version: "70".to_owned(),
            generation: 3,
            ..Workload::default()
        };
        let mut known = Known::default();
        known.looked(Some(&target("t", 9)), None, &workload);
        known
    }

    #[test]
    fn what_others_did_since_the_last_look_is_news() {
        for (part, shown, expected) in [
            (Part::Target, Some(version("t", 9)), News::Nothing),
            // An echo that comes late; as numbers, since "10" < "9" as texts.
            (Part::Target, Some(version("t", 8)), News::Nothing),
            (Part::Target, Some(version("t", 10)), News::Clients),
            (Part::Target, Some(version("another", 1)), News::Clients),
            (Part::Target, None, News::Clients),
            (Part::Keys, None, News::Nothing),
            (Part::Keys, Some(version("k", 1)), News::Clients),
            (Part::Workload, Some(version("w", 3)), News::Nothing),
            (Part::Workload, Some(version("w", 4)), News::Template),
            (Part::Workload, None, News::Template),
        ] {
            assert_eq!(known().seen(part, Ok(shown.clone())), expected, "{part:?} {shown:?}");
        }
    }

    #[test]
    fn a_write_is_no_news_unless_it_hides_that_of_somebody_else() {
        let mut known = known();
        known.wrote(Part::Target, Some(&version("t", 9)), version("t", 10));
        assert_eq!(known.seen(Part::Target, Ok(Some(version("t", 10)))), News::Nothing);
        // Version 11 was not ours, and 12 was written over it.
        known.wrote(Part::Target, Some(&version("t", 11)), version("t", 12));
        assert_eq!(known.seen(Part::Target, Ok(Some(version("t", 12)))), News::Clients);
        // Made again by whoever found it missing: that it was missing stays news.
        known.wrote(Part::Target, None, version("another", 13));
        assert_eq!(known.seen(Part::Target, Ok(None)), News::Clients);
        known.wrote(Part::Keys, None, version("k", 14));
        assert_eq!(known.seen(Part::Keys, Ok(Some(version("k", 14)))), News::Nothing);
    }

    #[test]
    fn before_the_first_look_nothing_is_news() {
        assert_eq!(Known::default().seen(Part::Target, Ok(None)), News::Nothing);
    }

    #[test]
    fn only_a_lack_of_rights_hides_and_it_is_told_when_it_comes_and_goes() {
        let mut known = known();
        let fails = |kind| Err(IdpError::new(kind, "watch", "no"));
        assert_eq!(known.seen(Part::Keys, fails(IdpErrorKind::Unreachable)), News::Nothing);
        assert!(known.hidden().is_none());
        let told: Vec<News> = [
            fails(IdpErrorKind::Forbidden),
            fails(IdpErrorKind::Forbidden),
            fails(IdpErrorKind::Unreachable),
        ]
        .map(|shown| known.seen(Part::Workload, shown))
        .into();
        assert_eq!(told, [News::Sight, News::Nothing, News::Nothing]);
        assert!(known.hidden().is_some());
        assert_eq!(known.seen(Part::Workload, Ok(None)), News::Sight);
        assert!(known.hidden().is_none());
    }
}
