//! Client secrets: made, rotated by way of a staged Secret, and proven.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{
    client::{Work, settled, step},
    conditions,
    drafts::{self, Credential},
    outputs::{self, Outputs},
    overlap::{self, Former},
    publishing::{TYPE_CHANGES, delete_output},
    snapshot::{Evidence, OutputView},
    step::{Move, Need, Note, OutputKind, Step},
    verdict::{Finding, Requeue, Tried},
};
use crate::{
    api::Reason,
    domain::{
        ClientSecret, ErrorClass, ObservedClient, ObservedSecret, Proof, SecretKind,
        vocabulary::{ANNOTATION_SECRET_DIGEST, GENERATED_PREFIX},
    },
};

/// How long a proof of credentials is good.
const PROOF_LASTS: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Why a staged Secret goes that serves nobody any more.
const METHOD_CHANGES: &str = "the spec wants credentials of another kind";

/// How often a disproven secret is set again in one pass before it is reported.
const SET_AGAIN_AT_MOST: u32 = 1;

/// Why a client gets a new secret.
#[derive(Clone, Copy)]
enum Why {
    Edited,
    KeyGone,
    Gone,
    ConfidentialNow,
    TypeChanged,
    MethodChanged,
    Asked,
    Due,
    Expiring,
    NotTheUsers,
}

impl Why {
    /// For the Event: is it a warning, and what happened to `what`, the client's secret or private key.
    fn tell(self, what: &str) -> (bool, String) {
        let told = |text: &str| text.to_owned();
        match self {
            Self::Edited => (true, format!("The {what} in the output Secret was edited")),
            Self::KeyGone => (true, format!("The output Secret holds no {what} any more")),
            Self::Gone => (true, told("The output Secret is gone")),
            Self::ConfidentialNow => (false, told("The client is confidential now")),
            Self::TypeChanged => (false, told("The spec wants the output Secret to be of another type")),
            Self::MethodChanged => (
                false,
                format!("The spec wants the client to authenticate with a {what}"),
            ),
            Self::Asked => (
                false,
                told("The annotation oidc-operator.io/rotate asks for a rotation"),
            ),
            Self::Due => (false, told("The rotation interval is over")),
            Self::Expiring => (false, format!("The provider would let the {what} expire")),
            Self::NotTheUsers => (false, told("The spec has no existingSecretRef any more")),
        }
    }
}

impl Work<'_> {
    /// The credential that shall be valid, or the write that makes one.
    pub(super) fn credential(
        &self,
        outputs: &Outputs<'_>,
        remote: Option<&ObservedClient>,
    ) -> Result<Credential, Move> {
        let exists = remote.is_some();
        let name = self.snapshot.client.secret_name();
        let supply = &self.snapshot.supply;
        let fresh = |attempt: Option<String>| Credential {
            secret: supply.secret.clone(),
            source: SecretKind::Generated,
            attempt,
            rotated_at: Some(conditions::timestamp(self.snapshot.now)),
            request: self.snapshot.client.rotate_request.clone(),
            previous_until: None,
            previous_key: None,
        };
        let stage = |target: &str, why: Why| {
            let credential = fresh(Some(supply.attempt.clone()));
            let draft = drafts::next(self.context(), target, &credential, &self.generated(outputs));
            let what = self.what_credentials();
            let (warning, happened) = why.tell(what);
            let mut message = format!("{happened}; a new {what} is made and written to Secret {target}");
            let made_anew: Vec<&str> = match (why, outputs.secret) {
                // Nobody knows what was in it.
                (Why::Gone, _) => draft
                    .data
                    .keys()
                    .filter_map(|key| key.strip_prefix(GENERATED_PREFIX))
                    .collect(),
                (_, Some(secret)) => outputs::lost(secret),
                (_, None) => Vec::new(),
            };
            if !made_anew.is_empty() {
                let _ = write!(
                    message,
                    ". Made anew too, because nobody knows them any more: {}",
                    made_anew.join(", ")
                );
            }
            let note = Note {
                warning,
                reason: Reason::SecretReplaced,
                message,
            };
            step(Step::CreateOutput {
                draft,
                note: Some(note),
            })
        };
        match (outputs.secret, outputs.former_secret) {
            (Some(secret), _) => match outputs::credential(secret) {
                Some(_) if !self.has_type(secret) => Err(stage(&name, Why::TypeChanged)),
                // A private key where a shared secret is wanted, or the reverse.
                Some(credential)
                    if credential.source == SecretKind::Generated && !self.desired.takes(&credential.secret) =>
                {
                    Err(stage(&name, Why::MethodChanged))
                }
                Some(credential) if credential.source == SecretKind::Generated => {
                    // What is not there cannot be rotated: it is made again first, with the secret that it had.
                    match self.rotation_wanted(&credential, remote).filter(|_| exists) {
                        Some(why) => Err(stage(&name, why)),
                        None => Ok(self.with_promise_kept(credential, remote)),
                    }
                }
                Some(_) => Err(stage(&name, Why::NotTheUsers)),
                None => {
                    // Outputs of a public client carry no digest.
                    let was_public = !secret.annotations.contains_key(ANNOTATION_SECRET_DIGEST);
                    let why = match secret.client_secret() {
                        Some(_) => Why::Edited,
                        None if was_public => Why::ConfidentialNow,
                        None => Why::KeyGone,
                    };
                    Err(stage(&name, why))
                }
            },
            // A new Secret name: the same values under the new name, then the old one goes.
            (None, Some(former)) => Err(match outputs::credential(former) {
                Some(credential) if !self.desired.takes(&credential.secret) => stage(&former.name, Why::MethodChanged),
                Some(credential) => self.create_secret(outputs, &name, Some(&credential)),
                None => stage(&former.name, Why::Edited),
            }),
            (None, None) if exists => Err(stage(&name, Why::Gone)),
            (None, None) => Err(self.create_secret(outputs, &name, Some(&fresh(None)))),
        }
    }

    /// Why the client secret is to be rotated now, if it is.
    fn rotation_wanted(&self, credential: &Credential, remote: Option<&ObservedClient>) -> Option<Why> {
        let request = self.snapshot.client.rotate_request.as_ref();
        if request.is_some() && request != credential.request.as_ref() {
            return Some(Why::Asked);
        }
        let due = |time: Option<Timestamp>| time.is_some_and(|time| time <= self.snapshot.now);
        let (by_interval, by_provider) = self.rotations(credential, remote);
        match () {
            () if due(by_interval) => Some(Why::Due),
            () if due(by_provider) => Some(Why::Expiring),
            () => None,
        }
    }

    /// When the client secret is rotated by the clock; `None`: not at all.
    pub(super) fn next_rotation(&self, credential: &Credential, remote: Option<&ObservedClient>) -> Option<Timestamp> {
        let (by_interval, by_provider) = self.rotations(credential, remote);
        by_interval.into_iter().chain(by_provider).min()
    }

    /// By the interval of the spec, and by the end that the provider has set. A secret that nobody knows the age of is old.
    fn rotations(
        &self,
        credential: &Credential,
        remote: Option<&ObservedClient>,
    ) -> (Option<Timestamp>, Option<Timestamp>) {
        let made = credential.rotated_at.as_deref().and_then(|time| time.parse().ok());
        let schedule = self.schedule.as_ref().ok().and_then(Option::as_ref);
        (
            schedule.map(|schedule| made.map_or(Timestamp::UNIX_EPOCH, |made| schedule.due(made))),
            self.before_expiry(made.unwrap_or(Timestamp::UNIX_EPOCH), remote),
        )
    }

    /// Steps 2 to 5 of a rotation. While the staged Secret stands, its secret is the desired one.
    pub(super) fn finish_rotation(
        &self,
        outputs: &Outputs<'_>,
        staged: &OutputView,
        target: &str,
        remote: Option<(&ObservedClient, Evidence)>,
    ) -> Move {
        let Some(credential) = outputs::credential(staged) else {
            return delete_output(OutputKind::Secret, staged, "it is not as the operator wrote it");
        };
        let output = outputs
            .secret
            .into_iter()
            .chain(outputs.former_secret)
            .find(|secret| secret.name == target);
        if !self.desired.takes(&credential.secret) {
            return self.drop_rotation(staged, output, remote);
        }
        let taken_over = output.is_some_and(|output| {
            // What it says of the secret before it was found out on the way.
            let as_staged = |held| Credential {
                previous_until: None,
                previous_key: None,
                ..held
            };
            self.has_type(output) && outputs::credential(output).map(as_staged).as_ref() == Some(&credential)
        });
        if taken_over {
            return delete_output(OutputKind::Secret, staged, "the rotation is finished");
        }
        self.take_over(outputs, &credential, output, target, remote)
    }

    /// The spec wants credentials of another kind than those that are staged. They may be valid already, and somebody must hold what
    /// is valid: what the output holds is set again first, if it is of the kind that is wanted now.
    fn drop_rotation(
        &self,
        staged: &OutputView,
        output: Option<&OutputView>,
        remote: Option<(&ObservedClient, Evidence)>,
    ) -> Move {
        let held = output.and_then(outputs::credential);
        held.filter(|held| self.desired.takes(&held.secret))
            .and_then(|held| self.set_at_provider(&held, Former::default(), remote))
            .unwrap_or_else(|| delete_output(OutputKind::Secret, staged, METHOD_CHANGES))
    }

    /// Makes this secret the valid one; `None`: it is, as far as the provider shows it.
    fn set_at_provider(
        &self,
        credential: &Credential,
        former: Former,
        remote: Option<(&ObservedClient, Evidence)>,
    ) -> Option<Move> {
        // A list that shows no secrets cannot tell whether this one was set already.
        if let Some((observed, Evidence::Listed)) = remote
            && observed.secret == ObservedSecret::NotShown
        {
            return Some(Move::Look(Need::FreshRemote));
        }
        self.remote_with(Some(credential), former, remote)
    }

    /// A secret takes effect: at the provider first, then it is proven, then the output Secret holds it.
    pub(super) fn take_over(
        &self,
        outputs: &Outputs<'_>,
        credential: &Credential,
        output: Option<&OutputView>,
        target: &str,
        remote: Option<(&ObservedClient, Evidence)>,
    ) -> Move {
        let observed = remote.map(|(observed, _)| observed);
        let former = self.former(credential, output, observed);
        let previous = former.previous.clone();
        if let Some(write) = self.set_at_provider(credential, former, remote) {
            return write;
        }
        let disabled = remote.is_some_and(|(observed, _)| observed.disabled);
        match self.proof(credential) {
            // A client that is switched off refuses good credentials, too: nothing is learned.
            _ if disabled => {}
            None => return self.prove(credential),
            Some(Proof::Disproven) => {
                let mut verdict = self.verdict(Requeue::Backoff(ErrorClass::Auth));
                let refused = self.refused_credentials();
                // By hand, only a person can go on.
                verdict.reconciling = (!self.model.made_by_hand()).then(|| (refused.reason, refused.message.clone()));
                verdict.verified = Some(refused);
                return settled(verdict);
            }
            // Unreachable or unclear: it goes on.
            Some(Proof::Proven | Proof::Unknown(_) | Proof::Undecided(_) | Proof::WrongIssuer(_)) => {}
        }
        let promise = match self.promise(previous.as_ref(), observed) {
            Ok(promise) => promise,
            Err(_) if disabled => None,
            Err(step) => return step,
        };
        if let Some(seen) = output.filter(|seen| !self.has_type(seen)) {
            return delete_output(OutputKind::Secret, seen, TYPE_CHANGES);
        }
        let credential = &Credential {
            previous_key: promise.as_ref().and(previous.as_ref()).and_then(overlap::key_of),
            previous_until: promise,
            ..credential.clone()
        };
        let draft = match self.secret_draft(outputs, target, Some(credential), output) {
            Ok(draft) => draft,
            Err(finding) => return self.outputs_unusable(finding),
        };
        let note = self
            .tell_of_existing(credential, output, target)
            .or_else(|| self.tell_of_rotation(credential, target));
        step(match output {
            None => Step::CreateOutput { draft, note },
            Some(seen) => Step::UpdateOutput {
                draft,
                precondition: drafts::seen_version(seen),
                note,
            },
        })
    }

    /// The credentials are refused, and the operator can do no more about it.
    pub(super) fn refused_credentials(&self) -> Finding {
        Finding::no(
            Reason::CredentialsRefused,
            if self.model.made_by_hand() && self.desired.has_key() {
                "The provider refuses what is signed with the private key. The client is made by hand there: check that clientID and the public key are those that it has there, that it takes ES256, and that its clock agrees with the operator's. A changed Secret is tried at once"
            } else if self.model.made_by_hand() {
                "The provider refuses the client secret. The client is made by hand there: check that clientID and the secret in your own Secret are those that it has there. A changed Secret is tried at once"
            } else if self.desired.has_key() {
                "The provider refuses what is signed with the private key in the Secret, although its public key was just set. Check that issuer and admin API belong to the same server, and that the clocks of provider and operator agree"
            } else {
                "The provider refuses the credentials in the Secret although they were just set. Check that issuer and admin API belong to the same server"
            },
        )
    }

    /// What to tell once an output Secret holds a new client secret.
    fn tell_of_rotation(&self, credential: &Credential, target: &str) -> Option<Note> {
        credential.attempt.as_ref()?;
        let former = match &credential.previous_until {
            Some(until) => format!("the former one stays valid until {until}. Restart what still holds it before that"),
            None => "the former one is not valid any more. Restart what still holds it".to_owned(),
        };
        Some(Note {
            warning: false,
            reason: Reason::Rotated,
            message: format!("Secret {target} holds a new {}; {former}", self.what_credentials()),
        })
    }

    /// For people: what the client authenticates with.
    pub(super) fn what_credentials(&self) -> &'static str {
        if self.desired.has_key() {
            "private key"
        } else {
            "client secret"
        }
    }

    /// What the last proof in this pass said of this credential.
    pub(super) fn proof(&self, credential: &Credential) -> Option<&Proof> {
        let (digest, proof) = self.snapshot.memory.proof.as_ref()?;
        (*digest == credential.secret.digest()).then_some(proof)
    }

    pub(super) fn prove(&self, credential: &Credential) -> Move {
        self.wait_for_effect()
            .unwrap_or_else(|| self.try_secret(&credential.secret, false))
    }

    pub(super) fn try_secret(&self, secret: &ClientSecret, previous: bool) -> Move {
        step(Step::Prove {
            client_id: self.desired.client_id.clone(),
            secret: secret.clone(),
            previous,
            method: self.desired.auth_method,
            redirect_uri: self.desired.redirect_uris.first().cloned(),
            audience: self.model.assertion_audience(&self.facts).to_owned(),
        })
    }

    pub(super) fn last_proof(&self, secret: &OutputView, credential: &Credential) -> Option<Timestamp> {
        let proof = self.snapshot.client.status.credentials.as_ref()?.last_proof.as_ref()?;
        let tried = Tried {
            secret_uid: proof.secret_uid.clone(),
            attempt: proof.attempt.clone(),
            resource_version: proof.resource_version.clone(),
        };
        proof
            .time
            .parse()
            .ok()
            .filter(|_| tried == self.tried(secret, credential))
    }

    /// How a proof of this credential is remembered.
    pub(super) fn tried(&self, secret: &OutputView, credential: &Credential) -> Tried {
        Tried {
            secret_uid: secret.uid.clone(),
            attempt: credential.attempt.clone(),
            resource_version: self.existing_version(credential),
        }
    }

    pub(super) fn proof_is_due(&self, secret: &OutputView, credential: &Credential) -> bool {
        self.snapshot.memory.secret_written
            || self
                .last_proof(secret, credential)
                .is_none_or(|time| self.snapshot.now.duration_since(time) >= PROOF_LASTS)
    }
}

impl super::snapshot::Memory {
    /// Notes what a proof said. A clear disproof asks for the secret to be set again, once.
    pub fn learn_proof(&mut self, digest: String, proof: Proof) {
        if proof == Proof::Disproven && self.secret_set_again < SET_AGAIN_AT_MOST {
            self.set_again = true;
            self.look_fresh = true;
            self.proof = None;
        } else {
            self.proof = Some((digest, proof));
        }
    }

    /// Notes that the client's secret was written.
    pub fn learn_secret_written(&mut self) {
        if self.set_again {
            self.set_again = false;
            self.secret_set_again += 1;
        }
        self.secret_written = true;
        self.proof = None;
    }
}
