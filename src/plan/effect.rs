//! Providers that read what is written only later: until a client is in effect there, it is not called provisioned, and its
//! credentials are not tried.

use super::{
    client::{Work, settled},
    step::{Move, Need},
    verdict::{Finding, Requeue, Verdict},
};
use crate::{
    api::{Reason, common::ConditionStatus},
    domain::Effect,
};

impl Work<'_> {
    /// Is the client in effect as it is written?
    ///
    /// # Errors
    /// The look that tells it.
    pub(super) fn effect(&self) -> Result<Effect, Move> {
        if !self.model.takes_effect_later() {
            return Ok(Effect::InEffect);
        }
        let known = self.snapshot.memory.effect.clone();
        known.ok_or(Move::Look(Need::Effect))
    }

    /// Waits until credentials can be tried; `None`: they can.
    pub(super) fn wait_for_effect(&self) -> Option<Move> {
        let effect = match self.effect() {
            Ok(effect) => effect,
            Err(look) => return Some(look),
        };
        if effect == Effect::InEffect {
            return None;
        }
        // The driver says when that has changed.
        let mut verdict = self.verdict(Requeue::Resync(self.provider.resync));
        self.tell_of_effect(&mut verdict, &effect);
        Some(settled(verdict))
    }

    /// Puts what is not in effect into the verdict. A client that was provisioned before keeps working as it did.
    pub(super) fn tell_of_effect(&self, verdict: &mut Verdict, effect: &Effect) {
        match effect {
            Effect::InEffect => {}
            Effect::NotYet(why) => {
                verdict.reconciling = Some((Reason::RollingOut, why.clone()));
                verdict.provisioned = (!self.was_provisioned()).then(|| {
                    let client_id = &self.desired.client_id;
                    Finding::no(
                        Reason::RollingOut,
                        format!("Client {client_id} is written, and not in effect yet: {why}"),
                    )
                });
            }
            Effect::Unsafe(why) => {
                verdict.provisioned = Some(Finding::no(Reason::EmptySecretAccepted, why.clone()));
            }
        }
    }

    fn was_provisioned(&self) -> bool {
        let conditions = &self.snapshot.client.status.conditions;
        conditions
            .iter()
            .any(|condition| condition.type_ == "Provisioned" && condition.status == ConditionStatus::True)
    }
}
