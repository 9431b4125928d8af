//! The client secret before the current one: valid beside it for a time, where the spec wants that and the provider can.
//!
//! The same of keys: the provider takes both while the operator leaves both there.
//!
//! Nothing is promised that was not seen: the provider shows until when the former secret is valid, and the token endpoint
//! accepted it after the write. Then the output Secret says so.

use jiff::Timestamp;

use super::{client::Work, conditions, drafts::Credential, outputs, schedule, snapshot::OutputView, step::Move};
use crate::domain::{ObservedClient, ObservedSecret, PreviousSecret, PrivateKey, Proof, PublicKey};

/// The public half of a key that is replaced, for the annotation that remembers it.
pub(super) fn key_of(previous: &PreviousSecret) -> Option<String> {
    Some(PrivateKey::of(&previous.secret)?.public().to_jwk().to_string())
}

/// The key that the provider takes beside that of `credential`: the one that is replaced now, or in an overlap that stands.
pub(super) fn previous_key(former: &Former, credential: Option<&Credential>) -> Option<PublicKey> {
    match &former.previous {
        Some(previous) => PrivateKey::of(&previous.secret).map(|key| key.public()),
        None => standing_key(credential?),
    }
}

/// The key before that of `credential`, in an overlap that stands.
pub(super) fn standing_key(credential: &Credential) -> Option<PublicKey> {
    PublicKey::from_jwk(&serde_json::from_str(credential.previous_key.as_deref()?).ok()?)
}

/// When the key before this one has to be taken away.
pub(super) fn key_ends(credential: &Credential) -> Option<Timestamp> {
    let until = credential
        .previous_key
        .as_ref()
        .and(credential.previous_until.as_ref())?;
    until.parse().ok()
}

fn shows_key(observed: &ObservedClient, previous: &PreviousSecret) -> bool {
    let key = PrivateKey::of(&previous.secret);
    match (&observed.secret, key) {
        (ObservedSecret::Keys(keys), Some(key)) => keys.contains(&key.public().key_id()),
        _ => false,
    }
}

/// What the write of a secret does with the one before it. By default that ends.
#[derive(Default)]
pub(super) struct Former {
    /// Stays valid for a time, where the provider can.
    pub(super) previous: Option<PreviousSecret>,
    /// Is valid, and must not be.
    pub(super) must_end: bool,
}

impl Work<'_> {
    /// What becomes of the secret before `credential`, which `output` holds, if it stands.
    pub(super) fn former(
        &self,
        credential: &Credential,
        output: Option<&OutputView>,
        remote: Option<&ObservedClient>,
    ) -> Former {
        Former {
            previous: self.previous(credential, output),
            must_end: remote.is_some_and(|observed| self.former_must_end(observed, output)),
        }
    }

    /// The secret that `credential` replaces in `output`, if it shall stay valid for a time. Not one that was lost or edited: that is
    /// an emergency. Nor where the Secret's type changes: in between there is no Secret, as in an emergency.
    fn previous(&self, credential: &Credential, output: Option<&OutputView>) -> Option<PreviousSecret> {
        let overlap = self.overlap().filter(|_| self.model.may_overlap())?;
        let held = outputs::credential(output.filter(|seen| self.has_type(seen))?)?;
        // The provider counts in seconds.
        let since = Timestamp::from_second(self.snapshot.now.as_second()).ok()?;
        // A client authenticates in one way.
        let alike = self.desired.takes(&held.secret);
        (alike && held.secret != credential.secret).then_some(PreviousSecret {
            secret: held.secret,
            since,
            until: since.checked_add(overlap).ok()?,
        })
    }

    fn overlap(&self) -> Option<jiff::SignedDuration> {
        let spec = self.snapshot.client.spec.rotation()?;
        spec.overlap.as_deref().and_then(schedule::length)
    }

    /// Is a former secret valid beside this one although its holders lost the Secret, which is the emergency rotation?
    fn former_must_end(&self, observed: &ObservedClient, output: Option<&OutputView>) -> bool {
        output.is_none() && self.snapshot.memory.previous_proof.is_none() && self.previous_end(observed).is_some()
    }

    /// Until when the provider lets the former secret be valid, if it still does.
    fn previous_end(&self, observed: &ObservedClient) -> Option<Timestamp> {
        observed
            .validity
            .previous_until
            .filter(|until| *until > self.snapshot.now)
    }

    /// Until when the former secret is valid beside this one, by what was tried.
    ///
    /// # Errors
    /// The step that tries it.
    pub(super) fn promise(
        &self,
        previous: Option<&PreviousSecret>,
        remote: Option<&ObservedClient>,
    ) -> Result<Option<String>, Move> {
        let stands = |observed| match previous.filter(|_| self.desired.has_key()) {
            Some(previous) => shows_key(observed, previous).then_some(previous.until),
            None => self.previous_end(observed),
        };
        let Some(until) = remote.and_then(stands) else {
            return Ok(None);
        };
        match (&self.snapshot.memory.previous_proof, previous) {
            (Some(Proof::Proven), _) => Ok(Some(conditions::timestamp(until))),
            (None, Some(previous)) => Err(self.try_secret(&previous.secret, true)),
            _ => Ok(None),
        }
    }

    /// The credential, with what it says of the secret before it only while that is true, or once it has been.
    pub(super) fn with_promise_kept(&self, credential: Credential, remote: Option<&ObservedClient>) -> Credential {
        let Some(until) = &credential.previous_until else {
            return credential;
        };
        let is_over = |until| until <= self.snapshot.now;
        let (is_true, has_key) = match until.parse::<Timestamp>() {
            Ok(until) if is_over(until) => (true, false),
            // A key stands as long as the operator wants it.
            Ok(_) if credential.previous_key.is_some() && self.desired.has_key() => (true, true),
            Ok(until) => (
                remote.and_then(|observed| self.previous_end(observed)) == Some(until),
                false,
            ),
            Err(_) => (false, false),
        };
        Credential {
            previous_until: credential.previous_until.filter(|_| is_true),
            previous_key: credential.previous_key.filter(|_| has_key),
            ..credential
        }
    }

    /// When the client secret must be rotated because the provider would let it expire.
    pub(super) fn before_expiry(&self, made: Timestamp, remote: Option<&ObservedClient>) -> Option<Timestamp> {
        let end = remote?.validity.secret_until?;
        Some(schedule::before(made, end, self.overlap(), &self.snapshot.client.uid))
    }
}
