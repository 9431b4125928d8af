//! What this process knows of the clients at one provider: from lists or a watch, from its passes, and of its own writes.

use std::{collections::HashMap, time::Instant};

use crate::{
    domain::ObservedClient,
    idp::WatchedRow,
    plan::snapshot::{Evidence, RemoteView},
};

/// Clients at a provider, as seen, by client ID.
#[derive(Default)]
pub struct Remotes {
    /// The last list, and what a watch showed since.
    list: Option<List>,
    /// What a pass saw or wrote last.
    known: HashMap<String, (Instant, ObservedClient)>,
    /// Our last write.
    writes: HashMap<String, Write>,
}

struct List {
    /// Before it was asked for: what is missing from `rows` was missing then.
    began: Instant,
    rows: HashMap<String, Row>,
}

/// A client in the list, or in an event of the watch.
struct Row {
    /// Before it was asked for, or when the watch showed it.
    at: Instant,
    revision: Option<u64>,
    client: Option<ObservedClient>,
}

/// A write of ours.
enum Write {
    UnderWay {
        /// Did the watch show the client meanwhile?
        shown: bool,
    },
    /// Its pass was cut off: it may still take effect.
    Died,
    Ended {
        at: Instant,
        left: Left,
    },
}

/// What a write left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// The client, at this revision.
    Revision(u64),
    /// No client.
    Nothing,
    /// Nobody knows, or the provider does not count its changes.
    Unknown,
}

impl Row {
    /// Does it show the client as our last write left it, or later?
    fn is_after(&self, write: Option<&Write>) -> bool {
        match (write, self.revision) {
            (None, _) => true,
            (Some(Write::UnderWay { .. } | Write::Died), _) => false,
            (
                Some(Write::Ended {
                    left: Left::Revision(left),
                    ..
                }),
                Some(shown),
            ) => shown >= *left,
            (Some(Write::Ended { at, .. }), _) => self.at > *at,
        }
    }

    /// Is it the echo of our last write, or older?
    fn is_echo(&self, write: Option<&Write>) -> bool {
        match (write, self.revision) {
            (
                Some(Write::Ended {
                    left: Left::Revision(left),
                    ..
                }),
                Some(shown),
            ) => shown <= *left,
            (
                Some(Write::Ended {
                    left: Left::Nothing, ..
                }),
                _,
            ) if self.client.is_none() => true,
            (Some(Write::Ended { at, .. }), _) => self.at <= *at,
            (Some(Write::UnderWay { .. } | Write::Died) | None, _) => false,
        }
    }

    /// Is it newer than what a pass saw last? Where the provider counts changes, they tell, and not the time: what a watch
    /// shows may be late.
    fn is_newer(&self, (seen, known): &(Instant, ObservedClient)) -> bool {
        match (self.revision, known.revision()) {
            (Some(shown), Some(known)) => shown > known,
            _ => self.at > *seen,
        }
    }
}

impl Remotes {
    /// The client in the list, or that it is missing from it; `None` without a list.
    fn row<T>(&self, client_id: &str, read: impl FnOnce(&Row) -> T) -> Option<T> {
        let list = self.list.as_ref()?;
        let missing = Row {
            at: list.began,
            revision: None,
            client: None,
        };
        Some(read(list.rows.get(client_id).unwrap_or(&missing)))
    }

    /// What is known of a client without asking. What was listed is evidence only if its fetch began after our last write to that
    /// client ended, or if it shows what that write left, or later; absence from a list is never evidence.
    pub fn remembered(&self, client_id: &str) -> RemoteView {
        let write = self.writes.get(client_id);
        if matches!(write, Some(Write::UnderWay { .. } | Write::Died)) {
            return RemoteView::Unknown;
        }
        let known = self.known.get(client_id);
        let seen = |client: &ObservedClient| RemoteView::Present {
            client: client.clone(),
            evidence: Evidence::Listed,
        };
        let listed = self.row(client_id, |row| {
            let counts = row.is_after(write) && known.is_none_or(|known| row.is_newer(known));
            counts.then(|| row.client.as_ref().map_or(RemoteView::Unlisted, seen))
        });
        listed
            .flatten()
            .or_else(|| known.map(|(_, client)| seen(client)))
            .unwrap_or(RemoteView::Unknown)
    }

    /// Notes how a client looked at the end of a pass; `None`: it is gone, or nobody knows.
    pub fn remember(&mut self, client_id: &str, client: Option<ObservedClient>) {
        match client {
            Some(client) => drop(self.known.insert(client_id.to_owned(), (Instant::now(), client))),
            None => drop(self.known.remove(client_id)),
        }
    }

    /// Forgets a client that is nobody's business any more.
    pub fn forget(&mut self, client_id: &str) {
        self.known.remove(client_id);
        self.writes.remove(client_id);
        self.unlist(client_id);
    }

    /// Forgets how the list showed a client that no OIDCClient asks for.
    pub fn unlist(&mut self, client_id: &str) {
        if let Some(list) = &mut self.list {
            list.rows.remove(client_id);
        }
    }

    /// Forgets all that was seen, so that every client is asked for anew.
    pub fn forget_all(&mut self) {
        self.known.clear();
        self.list = None;
    }

    /// A write to a client begins: until it ends, nothing seen is evidence.
    pub fn write_begins(&mut self, client_id: &str) {
        self.writes
            .insert(client_id.to_owned(), Write::UnderWay { shown: false });
    }

    /// It was cut off.
    pub fn write_died(&mut self, client_id: &str) {
        self.writes.insert(client_id.to_owned(), Write::Died);
    }

    /// It ended, whatever came of it. Did the watch meanwhile show more than its echo?
    pub fn write_ended(&mut self, client_id: &str, left: Left) -> bool {
        let ended = Write::Ended {
            at: Instant::now(),
            left,
        };
        let shown = matches!(
            self.writes.insert(client_id.to_owned(), ended),
            Some(Write::UnderWay { shown: true })
        );
        shown && !self.unchanged(client_id)
    }

    /// Takes a list whose fetch began at `began`.
    pub fn listed(&mut self, began: Instant, rows: impl IntoIterator<Item = (String, ObservedClient)>) {
        let row = |client: ObservedClient| Row {
            at: began,
            revision: client.revision(),
            client: Some(client),
        };
        let rows = rows.into_iter().map(|(id, client)| (id, row(client))).collect();
        self.list = Some(List { began, rows });
    }

    /// Takes what the watch shows of one client. Is it worth a look? While a write of ours is under way, its end decides.
    pub fn changed(&mut self, shown: WatchedRow) -> bool {
        let Some(list) = &mut self.list else {
            return false;
        };
        let row = Row {
            at: Instant::now(),
            revision: shown.revision,
            client: shown.client,
        };
        list.rows.insert(shown.client_id.clone(), row);
        if let Some(Write::UnderWay { shown }) = self.writes.get_mut(&shown.client_id) {
            *shown = true;
            return false;
        }
        !self.unchanged(&shown.client_id)
    }

    /// Does the last list, where it is evidence, show this client as a pass last saw it? What is missing from it, or was not
    /// there before, is worth a look; without a list everything is.
    pub fn unchanged(&self, client_id: &str) -> bool {
        let unchanged = self.row(client_id, |row| {
            if row.is_echo(self.writes.get(client_id)) {
                return true;
            }
            match (self.known.get(client_id), &row.client) {
                (None, shown) => shown.is_none(),
                (Some(known), _) if !row.is_newer(known) => true,
                (Some((_, known)), Some(shown)) => shown.looks_like(known),
                (Some(_), None) => false,
            }
        });
        unchanged.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::{Fields, ObservedSecret, Validity, client::REVISION};

    fn client(revision: u64, uri: &str) -> ObservedClient {
        ObservedClient {
            client_id: "x".to_owned(),
            remote_id: "x".to_owned(),
            marks: Vec::new(),
            secret: ObservedSecret::Absent,
            validity: Validity::default(),
            disabled: false,
            fields: Fields::from([("redirectURIs".to_owned(), uri.to_owned())]),
            handles: BTreeMap::from([(REVISION.to_owned(), revision.to_string())]),
            registered: None,
        }
    }

    fn shows(revision: u64, uri: &str) -> WatchedRow {
        WatchedRow {
            client_id: "x".to_owned(),
            revision: Some(revision),
            client: Some(client(revision, uri)),
        }
    }

    fn gone(revision: u64) -> WatchedRow {
        WatchedRow {
            client: None,
            ..shows(revision, "")
        }
    }

    /// A pass has seen or written revision 10, and a watch stands.
    fn watched() -> Remotes {
        let mut remotes = Remotes::default();
        remotes.listed(Instant::now(), [("x".to_owned(), client(10, "ours"))]);
        remotes.remember("x", Some(client(10, "ours")));
        remotes
    }

    fn remembered(remotes: &Remotes) -> Option<String> {
        match remotes.remembered("x") {
            RemoteView::Present { client, .. } => client.fields.get("redirectURIs").cloned(),
            RemoteView::Unlisted => Some("unlisted".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn a_hand_edit_is_worth_a_look_and_evidence() {
        let mut remotes = watched();
        assert!(remotes.changed(shows(11, "theirs")));
        assert_eq!(remembered(&remotes).as_deref(), Some("theirs"));
        let mut remotes = watched();
        assert!(remotes.changed(gone(11)));
        assert_eq!(remembered(&remotes).as_deref(), Some("unlisted"));
        let mut remotes = watched();
        assert!(!remotes.changed(shows(11, "ours")), "somebody's label");
    }

    #[test]
    fn what_comes_late_is_no_news() {
        let mut remotes = watched();
        assert!(!remotes.changed(shows(9, "before")));
        assert_eq!(remembered(&remotes).as_deref(), Some("ours"));
    }

    #[test]
    fn the_echo_of_a_write_wakes_nobody_whenever_it_comes() {
        // Before the answer.
        let mut remotes = watched();
        remotes.write_begins("x");
        assert!(!remotes.changed(shows(11, "new")));
        assert!(!remotes.write_ended("x", Left::Revision(11)));
        // After it, before the pass has ended.
        let mut remotes = watched();
        remotes.write_begins("x");
        assert!(!remotes.write_ended("x", Left::Revision(11)));
        assert!(!remotes.changed(shows(11, "new")));
        // Of two writes, the first one's after the second.
        remotes.write_begins("x");
        assert!(!remotes.write_ended("x", Left::Revision(12)));
        assert!(!remotes.changed(shows(11, "new")));
        assert!(!remotes.changed(shows(12, "newer")));
        // Of a client that nobody knew.
        let mut remotes = Remotes::default();
        remotes.listed(Instant::now(), []);
        remotes.write_begins("x");
        assert!(!remotes.write_ended("x", Left::Revision(5)));
        assert!(!remotes.changed(shows(5, "new")));
    }

    #[test]
    fn the_echo_of_a_deletion_wakes_nobody() {
        let mut remotes = watched();
        remotes.write_begins("x");
        assert!(!remotes.changed(gone(11)));
        assert!(!remotes.write_ended("x", Left::Nothing));
        let mut remotes = watched();
        remotes.write_begins("x");
        assert!(!remotes.write_ended("x", Left::Nothing));
        assert!(!remotes.changed(gone(11)));
        assert!(remotes.changed(shows(12, "theirs")), "somebody made it again");
    }

    #[test]
    fn a_hand_that_is_quicker_than_our_answer_is_seen() {
        let mut remotes = watched();
        remotes.write_begins("x");
        assert!(!remotes.changed(shows(12, "theirs")));
        assert!(remotes.write_ended("x", Left::Revision(11)), "after our write");
        remotes.remember("x", Some(client(11, "new")));
        assert_eq!(remembered(&remotes).as_deref(), Some("theirs"));
    }

    #[test]
    fn a_write_that_died_lets_nothing_be_evidence_and_nothing_be_missed() {
        let mut remotes = watched();
        remotes.write_begins("x");
        remotes.write_died("x");
        assert_eq!(remembered(&remotes), None);
        assert!(remotes.changed(shows(11, "perhaps ours")));
        assert_eq!(remembered(&remotes), None, "a look tells");
    }

    #[test]
    fn after_a_write_of_unknown_outcome_only_what_comes_later_is_evidence() {
        let mut remotes = watched();
        remotes.write_begins("x");
        remotes.changed(shows(11, "ours, perhaps"));
        remotes.write_ended("x", Left::Unknown);
        remotes.remember("x", None);
        assert_eq!(remembered(&remotes), None);
        assert!(remotes.changed(shows(12, "theirs")));
        assert_eq!(remembered(&remotes).as_deref(), Some("theirs"));
    }

    #[test]
    fn a_client_that_nobody_asks_for_is_not_kept() {
        let mut remotes = watched();
        remotes.forget("x");
        assert_eq!(remembered(&remotes).as_deref(), Some("unlisted"));
        remotes.changed(shows(11, "of nobody"));
        remotes.unlist("x");
        assert_eq!(remembered(&remotes).as_deref(), Some("unlisted"));
    }
}
