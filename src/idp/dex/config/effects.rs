//! Which clients are in effect: written is not enough, because Dex reads its file at its start only. Pure.

use std::collections::BTreeMap;

use super::seen::Digests;
use crate::domain::Effect;

/// What this process knows of it. Nothing of it is kept elsewhere: after a start it is found out anew.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// The clients as they are written.
    written: Digests,
    /// The clients as all Pods have read them; `None`: not found out yet.
    read: Option<Digests>,
    /// Clients whose empty secret is accepted, and why.
    unsafe_: BTreeMap<String, String>,
    /// How many roll-outs were concluded.
    conclusions: u64,
    /// The generation of the workload for which that was tried.
    tried: Option<i64>,
    /// The generation whose roll-out could not be concluded, because Dex does not answer, and is not waited for.
    skipped: Option<i64>,
    /// What the Pods of the template with this checksum read at the least.
    rolled: Option<(String, Digests)>,
    /// Why the rest waits, for people.
    waiting: String,
}

impl Effects {
    /// Notes how the clients are written.
    pub(super) fn wrote(&mut self, written: Digests) {
        self.written = written;
    }

    /// Notes that a template was written, whose Pods will read at least these.
    pub(super) fn rolls(&mut self, checksum: String, written: Digests) {
        self.rolled = Some((checksum, written));
    }

    /// What all Pods of the template with this checksum have read, where that is known.
    pub(super) fn read_by(&self, checksum: &str) -> Option<&Digests> {
        let (rolled, digests) = self.rolled.as_ref()?;
        (rolled == checksum).then_some(digests)
    }

    /// Was the roll-out of this generation concluded, with these clients?
    pub(super) fn is_concluded(&self, generation: i64, read: &Digests) -> bool {
        self.tried == Some(generation) && self.read.as_ref() == Some(read)
    }

    /// The roll-out of this generation cannot be concluded: the next one is not held up by it.
    pub(super) fn skip(&mut self, generation: i64) {
        self.skipped = Some(generation);
    }

    /// Is the next roll-out not to wait for the conclusion of this one?
    pub(super) fn is_skipped(&self, generation: i64) -> bool {
        self.skipped == Some(generation)
    }

    /// Does any client accept an empty secret?
    pub(super) fn is_unsafe(&self) -> bool {
        !self.unsafe_.is_empty()
    }

    /// Has the last roll-out concluded anew: empty secrets are tried once more.
    pub(super) fn try_again(&mut self) {
        self.tried = None;
    }

    /// Was any roll-out concluded since the start?
    pub(super) fn is_known(&self) -> bool {
        self.read.is_some()
    }

    /// How many roll-outs were concluded since the start.
    pub(super) fn conclusions(&self) -> u64 {
        self.conclusions
    }

    /// Why clients wait.
    pub(super) fn waits(&mut self, why: String) {
        self.waiting = why;
    }

    /// A roll-out has ended: all Pods have read these, and these accept an empty secret. Gives the clients for which that is news.
    pub(super) fn conclude(
        &mut self,
        generation: i64,
        read: Digests,
        unsafe_: BTreeMap<String, String>,
    ) -> Vec<String> {
        let ids: Vec<String> = self.written.keys().cloned().collect();
        let before: Vec<Effect> = ids.iter().map(|id| self.of(id)).collect();
        self.read = Some(read);
        self.unsafe_ = unsafe_;
        self.tried = Some(generation);
        self.conclusions += 1;
        self.waiting.clear();
        let news = ids
            .into_iter()
            .zip(before)
            .filter(|(id, before)| self.of(id) != *before);
        news.map(|(id, _)| id).collect()
    }

    /// Is this client in effect as it is written?
    pub(super) fn of(&self, id: &str) -> Effect {
        let read = self.read.as_ref().and_then(|read| read.get(id));
        match self.written.get(id) {
            Some(written) if read == Some(written) => match self.unsafe_.get(id) {
                Some(why) => Effect::Unsafe(why.clone()),
                None => Effect::InEffect,
            },
            _ if self.waiting.is_empty() => Effect::NotYet("Dex reads it with its next roll-out".to_owned()),
            _ => Effect::NotYet(self.waiting.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(clients: &[(&str, &str)]) -> Digests {
        clients
            .iter()
            .map(|(id, digest)| ((*id).to_owned(), (*digest).to_owned()))
            .collect()
    }

    fn is_in_effect(effects: &Effects, id: &str) -> bool {
        effects.of(id) == Effect::InEffect
    }

    #[test]
    fn a_client_is_in_effect_once_all_pods_have_read_it() {
        let mut effects = Effects::default();
        assert!(!effects.is_known());
        effects.wrote(digests(&[("a", "1")]));
        assert!(!is_in_effect(&effects, "a"));
        effects.waits("1 of 2 Pods".to_owned());
        assert_eq!(effects.of("a"), Effect::NotYet("1 of 2 Pods".to_owned()));
        assert_eq!(effects.conclude(2, digests(&[("a", "1")]), BTreeMap::new()), ["a"]);
        assert!(is_in_effect(&effects, "a") && effects.is_known());
        assert!(
            effects.conclude(2, digests(&[("a", "1")]), BTreeMap::new()).is_empty(),
            "no news"
        );

        // Another client is written: this one stays in effect.
        effects.wrote(digests(&[("a", "1"), ("b", "1")]));
        assert!(is_in_effect(&effects, "a") && !is_in_effect(&effects, "b"));
        // It is changed itself.
        effects.wrote(digests(&[("a", "2"), ("b", "1")]));
        assert!(!is_in_effect(&effects, "a"));
        assert_eq!(
            effects.conclude(3, digests(&[("a", "1"), ("b", "1")]), BTreeMap::new()),
            ["b"]
        );
    }

    #[test]
    fn an_accepted_empty_secret_is_told_and_tried_again() {
        let mut effects = Effects::default();
        effects.wrote(digests(&[("a", "1"), ("b", "1")]));
        let read = digests(&[("a", "1"), ("b", "1")]);
        let accepts = BTreeMap::from([("a".to_owned(), "accepted".to_owned())]);
        assert_eq!(effects.conclude(2, read.clone(), accepts), ["a", "b"]);
        assert_eq!(effects.of("a"), Effect::Unsafe("accepted".to_owned()));
        assert!(effects.is_unsafe() && effects.is_concluded(2, &read));
        effects.try_again();
        assert!(!effects.is_concluded(2, &read));
        assert_eq!(effects.conclude(2, read.clone(), BTreeMap::new()), ["a"]);
        assert!(effects.is_concluded(2, &read) && !effects.is_concluded(3, &read));
    }

    #[test]
    fn what_a_template_brought_is_remembered_by_its_checksum() {
        let mut effects = Effects::default();
        effects.rolls("c1".to_owned(), digests(&[("a", "1")]));
        assert_eq!(effects.read_by("c1"), Some(&digests(&[("a", "1")])));
        assert_eq!(effects.read_by("c2"), None);
    }
}
