//! What the last look found, so that only what others did since is news. Pure.

use std::collections::BTreeMap;

use super::installation::{Keys, Part, Target, Version, Workload};
use crate::domain::{ErrorClass, IdpError};

/// What is known of the objects without looking.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// What the last look found; `None`: there was none.
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
    /// Takes in what a look found.
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

    /// What a sighting means. Whoever writes must have looked since: its own writes are no news.
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

/// The version by which a workload is told of: its status, which changes all the time, does not count.
fn version_of(workload: &Workload) -> Version {
    Version {
        uid: workload.uid.clone(),
        resource_version: workload.generation.to_string(),
    }
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
