//! The user's own Secret (`credentials.existingSecretRef`): whether it can be used, and how its secret takes effect.
//!
//! The user's Secret is the source, the output Secret follows: its annotation `oidc-operator.io/secret-source` tells whose secret
//! it holds. What is found in it is never pushed to the provider.

use super::{
    client::{Work, settled},
    conditions,
    drafts::Credential,
    outputs::{self, Outputs},
    publishing::{delete_output, repaired},
    snapshot::{Evidence, ExistingSecret, ExistingView, OutputView},
    step::{Move, Need, Note, OutputKind},
    verdict::{Finding, Requeue},
};
use crate::{
    api::{Reason, client::ExistingSecretReference},
    domain::{
        ClientSecret, ErrorClass, ObservedClient, PrivateKey, SecretKind, TokenEndpointAuthMethod, key as keys,
        vocabulary::{ANNOTATION_SECRET_DIGEST, CREDENTIAL_CLIENT, LABEL_CREDENTIAL, LABEL_MANAGED_BY, MANAGED_BY},
    },
};

/// Fewer bytes can be guessed: 128 bits, if they are random (RFC 6749, section 10.10).
const SHORTEST: usize = 16;
/// Longer than any that is known: Apple's are signed tokens of some hundred.
const LONGEST: usize = 4096;

/// The client secret in the user's Secret, or the private key where the client has one, or why it cannot be used, for `CredentialsPublished`.
///
/// # Errors
/// A finding that says what to do.
pub fn judge(
    reference: &ExistingSecretReference,
    found: &ExistingView,
    method: TokenEndpointAuthMethod,
) -> Result<ClientSecret, Finding> {
    let ExistingSecretReference { name, key } = reference;
    let cannot = |reason: Reason, what: String| {
        Err(Finding::no(
            reason,
            format!("credentials.existingSecretRef: {what}. What was made before stays as it is meanwhile"),
        ))
    };
    let secret = match found {
        ExistingView::Found(secret) => secret,
        ExistingView::Missing | ExistingView::Unknown => {
            return cannot(
                Reason::SecretNotFound,
                format!(
                    "there is no Secret {name} in this namespace. Create it, with the label {LABEL_CREDENTIAL}: {CREDENTIAL_CLIENT}"
                ),
            );
        }
    };
    let label = |key: &str| secret.labels.get(key).map(String::as_str);
    // Who may write an OIDCClient shall not read every Secret of the namespace through the operator.
    if label(LABEL_CREDENTIAL) != Some(CREDENTIAL_CLIENT) {
        return cannot(
            Reason::SecretNotLabelled,
            format!(
                "Secret {name} is not used, because it lacks the label {LABEL_CREDENTIAL}: {CREDENTIAL_CLIENT}. Its owner must add it"
            ),
        );
    }
    if label(LABEL_MANAGED_BY) == Some(MANAGED_BY) {
        return cannot(
            Reason::InvalidSecret,
            format!("Secret {name} was written by the operator itself. Name one of your own"),
        );
    }
    let Some(value) = usable(secret) else {
        return cannot(
            Reason::KeyNotFound,
            format!("Secret {name} has no text under key {key}"),
        );
    };
    if method == TokenEndpointAuthMethod::PrivateKeyJwt {
        return match PrivateKey::parse(value) {
            Ok(key) => Ok(key.to_secret()),
            Err(why) => cannot(
                Reason::InvalidSecret,
                format!("tokenEndpointAuthMethod is private_key_jwt, and what Secret {name} has under key {key} {why}"),
            ),
        };
    }
    let wrong = if keys::looks_like_key(&ClientSecret::new(value)) {
        "is a private key: that goes with tokenEndpointAuthMethod private_key_jwt only".to_owned()
    } else if value.len() < SHORTEST {
        format!("has fewer than {SHORTEST} bytes: it could be guessed. Use a longer one")
    } else if value.len() > LONGEST {
        format!("has more than {LONGEST} bytes")
    } else if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        "holds other characters than printable ASCII (RFC 6749, appendix A.2)".to_owned()
    } else {
        return Ok(ClientSecret::new(value));
    };
    cannot(
        Reason::InvalidSecret,
        format!("the client secret in Secret {name}, key {key}, {wrong}"),
    )
}

/// The text. A line break at its end, which editors and `echo` leave there, does not belong to it.
fn usable(secret: &ExistingSecret) -> Option<&str> {
    let text = std::str::from_utf8(secret.value.as_deref()?).ok()?;
    Some(text.trim_end_matches(['\r', '\n'])).filter(|text| !text.is_empty())
}

/// The credential that an output holds, if it is this secret, as its user's.
pub(super) fn holds(output: &OutputView, secret: &ClientSecret) -> Option<Credential> {
    outputs::credential(output).filter(|held| held.source == SecretKind::Existing && held.secret == *secret)
}

impl Work<'_> {
    /// The user's secret, where the spec names one that can be used.
    pub(super) fn existing_secret(&self) -> Option<ClientSecret> {
        let reference = self.snapshot.client.spec.existing_secret_ref()?;
        judge(reference, &self.snapshot.existing, self.desired.auth_method).ok()
    }

    /// Looks at the user's Secret. While it cannot be used, nothing is invented, and nothing is changed.
    pub(super) fn wait_for_existing(&self) -> Option<Move> {
        let reference = self.snapshot.client.spec.existing_secret_ref()?;
        if matches!(self.snapshot.existing, ExistingView::Unknown) {
            return Some(Move::Look(Need::ExistingSecret));
        }
        let finding = judge(reference, &self.snapshot.existing, self.desired.auth_method).err()?;
        let mut verdict = self.verdict(Requeue::Backoff(ErrorClass::User));
        let why = (finding.reason, finding.message.clone());
        // What is missing may be on its way (External Secrets); all else needs a person.
        if finding.reason == Reason::SecretNotFound {
            verdict.reconciling = Some(why);
        } else {
            verdict.stalled = Some(why);
            verdict.request_done = true;
        }
        verdict.published = Some(finding);
        Some(settled(verdict))
    }

    /// The steps that make the user's secret the valid one; `None`: it is, and all else is as the spec wants it.
    pub(super) fn bring_existing(
        &self,
        secret: &ClientSecret,
        outputs: &Outputs<'_>,
        remote: Option<(&ObservedClient, Evidence)>,
    ) -> Option<Move> {
        if let Some((staged, _)) = &outputs.next {
            return Some(delete_output(
                OutputKind::Secret,
                staged,
                "the client's secret is the user's now",
            ));
        }
        let output = outputs.secret.filter(|output| self.has_type(output));
        if let Some(held) = output.and_then(|output| holds(output, secret)) {
            return self
                .remote(Some(&held), remote)
                .or_else(|| self.secret_up_to_date(outputs, Some(&held)))
                .or_else(|| self.config_map_up_to_date(outputs));
        }
        let name = self.snapshot.client.secret_name();
        let taken_over = Credential {
            secret: secret.clone(),
            source: SecretKind::Existing,
            attempt: None,
            rotated_at: Some(conditions::timestamp(self.snapshot.now)),
            request: None,
            previous_until: None,
            previous_key: None,
        };
        // A new Secret name: the same values first, then what changed. Not made at all: the Secret first, as ever.
        let first = match (outputs.secret, outputs.former_secret) {
            (Some(_), _) => None,
            (None, Some(former)) => outputs::credential(former).filter(|held| self.desired.takes(&held.secret)),
            (None, None) => remote.is_none().then(|| taken_over.clone()),
        };
        Some(match first {
            Some(credential) => self.create_secret(outputs, &name, Some(&credential)),
            None => self.take_over(outputs, &taken_over, outputs.secret, &name, remote),
        })
    }

    /// The resourceVersion of the Secret that a user's secret was read from.
    pub(super) fn existing_version(&self, credential: &Credential) -> Option<String> {
        match &self.snapshot.existing {
            ExistingView::Found(secret) if credential.source == SecretKind::Existing => {
                Some(secret.resource_version.clone())
            }
            _ => None,
        }
    }

    /// What to tell once an output Secret holds the user's secret.
    pub(super) fn tell_of_existing(
        &self,
        credential: &Credential,
        output: Option<&OutputView>,
        target: &str,
    ) -> Option<Note> {
        if credential.source != SecretKind::Existing {
            return None;
        }
        let Some(seen) = output else {
            return self
                .was_published()
                .then(|| repaired(OutputKind::Secret, target, "is gone"));
        };
        let digest = seen.annotations.get(ANNOTATION_SECRET_DIGEST);
        Some(if digest == Some(&credential.secret.digest()) {
            repaired(OutputKind::Secret, target, "was edited")
        } else {
            Note {
                warning: false,
                reason: Reason::SecretReplaced,
                message: format!(
                    "The {} of the user's own Secret was taken over into Secret {target}",
                    self.what_credentials()
                ),
            }
        })
    }
}
