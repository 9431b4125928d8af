//! What a case works on, and how it tells what went wrong.

use std::time::Duration;

use super::{Fixture, Outcome};
use crate::{
    domain::{
        ClientSecret, DesiredClient, Effect, IdpError, IdpErrorKind, ObservedClient, Ownership, Proof, RemoteDiff,
    },
    idp::{Created, Credentials, Driver, Written},
};

/// More requests than any change of a client takes.
const MAX_REQUESTS: usize = 32;

/// How long a client may take until it is in effect: a roll-out.
const EFFECT_LOOKS: usize = 1200;
const EFFECT_PERIOD: Duration = Duration::from_millis(100);

/// What a case works on.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    pub(super) driver: &'a dyn Driver,
    pub(super) fixture: &'a Fixture,
    pub(super) name: &'static str,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Subject<'_> {
    pub(super) fn client(&self) -> (DesiredClient, ClientSecret) {
        self.fixture.client(self.name)
    }

    pub(super) async fn clean(&self) -> Outcome {
        self.remove(&self.client().0).await
    }

    pub(super) async fn remove(&self, desired: &DesiredClient) -> Outcome {
        let told = |error| format!("cleaning up: {error}");
        let found = self.driver.get(&desired.client_id, &desired.mark).await.map_err(told)?;
        match found {
            Some(client) => self.driver.delete(&client).await.map(drop).map_err(told),
            None => Ok(()),
        }
    }

    pub(super) async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
        let created = self.driver.create(desired, secret).await.map_err(text)?;
        match created {
            Created::As(shown) => same("what create shows", &Some(*shown), &self.find(desired).await?),
            created => same("the answer to create", &created, &Created::Created),
        }
    }

    pub(super) async fn get(&self, desired: &DesiredClient) -> Result<ObservedClient, String> {
        let found = self.find(desired).await?;
        found.ok_or_else(|| "the client is not there".to_owned())
    }

    pub(super) async fn find(&self, desired: &DesiredClient) -> Result<Option<ObservedClient>, String> {
        self.driver.get(&desired.client_id, &desired.mark).await.map_err(text)
    }

    /// Brings the client to `desired` as plan and executor do, and checks that nothing differs then.
    pub(super) async fn bring(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
        let model = self.driver.model();
        let mut observed = self.get(desired).await?;
        let mut diff = model.diff(desired, secret, &observed);
        if diff.recreate {
            let deleted = self.driver.delete(&observed).await.map_err(text)?;
            same("the answer to delete", &deleted, &Written::Done)?;
            self.create(desired, secret).await?;
        } else {
            let wanted = model.created(desired, secret);
            for _ in 0..MAX_REQUESTS {
                if diff.changes.is_empty() {
                    break;
                }
                let request = model.next_request(diff);
                let updated = self.driver.update(&observed, desired, secret, &request).await;
                observed = match updated.map_err(text)? {
                    Written::As(shown) => *shown,
                    updated => {
                        same("the answer to update", &updated, &Written::Done)?;
                        observed.with(&request, &wanted)
                    }
                };
                diff = model.diff(desired, secret, &observed);
            }
        }
        self.stands(desired, secret).await
    }

    pub(super) async fn list(&self) -> Result<Option<Vec<ObservedClient>>, String> {
        let mut rows = Vec::new();
        for page in 0.. {
            let found = match self.driver.list(page).await {
                Err(error) if error.kind == IdpErrorKind::Unsupported => return Ok(None),
                found => found.map_err(text)?,
            };
            rows.extend(found.rows);
            if !found.more {
                break;
            }
        }
        Ok(Some(rows))
    }

    /// The client is there, ours, and as `desired` says.
    pub(super) async fn stands(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
        let observed = self.get(desired).await?;
        same(
            "what still differs",
            &self.driver.model().diff(desired, secret, &observed),
            &RemoteDiff::default(),
        )?;
        same("whose it is", &observed.ownership(&desired.mark), &Ownership::Ours)
    }

    pub(super) async fn prove(&self, desired: &DesiredClient, secret: &ClientSecret) -> Result<Option<Proof>, String> {
        let Some(endpoints) = &self.fixture.endpoints else {
            return Ok(None);
        };
        self.takes_effect(desired).await?;
        let credentials = Credentials {
            client_id: &desired.client_id,
            secret,
            method: desired.auth_method,
            redirect_uri: desired.redirect_uris.first().map(String::as_str),
            audience: match &self.fixture.facts {
                Some(facts) => self.driver.model().assertion_audience(facts),
                None => "",
            },
        };
        Ok(Some(self.driver.prove(&credentials, endpoints).await))
    }

    /// Waits until the client, where there is one, is in effect as it is written.
    pub(super) async fn takes_effect(&self, desired: &DesiredClient) -> Outcome {
        if !self.driver.model().takes_effect_later() || self.find(desired).await?.is_none() {
            return Ok(());
        }
        let mut last = Effect::InEffect;
        for _ in 0..EFFECT_LOOKS {
            last = self.driver.effect(&desired.client_id);
            if last == Effect::InEffect {
                return Ok(());
            }
            tokio::time::sleep(EFFECT_PERIOD).await;
        }
        Err(format!("it does not take effect: {last:?}"))
    }

    pub(super) async fn proves(&self, desired: &DesiredClient, secret: &ClientSecret, expected: &Proof) -> Outcome {
        match self.prove(desired, secret).await? {
            Some(proof) => same("the proof", &proof, expected),
            None => Ok(()),
        }
    }
}

pub(super) fn text(error: IdpError) -> String {
    format!("{:?}: {error}", error.kind)
}

/// `Debug` of all that is compared here shows no secrets.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, expected {expected:?}"))
    }
}
