//! The server of dynamic registration in memory: what is asked for is registered as it is, and each answer ends the token before.

use crate::domain::{
    ClientSecret, DesiredClient, IdpError, IdpErrorKind, Management, Model, ObservedClient, Registered,
};

#[derive(Debug, Default)]
pub(super) struct Registrar {
    said: usize,
    /// Does it let clients be changed and deleted?
    pub(super) create_only: bool,
}

pub(super) fn shows_nothing(operation: &'static str) -> IdpError {
    IdpError::new(
        IdpErrorKind::Unsupported,
        operation,
        "dynamic registration shows no clients",
    )
}

fn token(client: &ObservedClient) -> Option<&ClientSecret> {
    Some(&client.management()?.token)
}

/// Is the token the last one that was given for this client?
pub(super) fn authenticated(
    operation: &'static str,
    stored: Option<&ObservedClient>,
    shown: &ObservedClient,
) -> Result<(), IdpError> {
    if stored.is_some() && stored.and_then(token) == token(shown) {
        Ok(())
    } else {
        Err(IdpError::new(
            IdpErrorKind::Unauthorized,
            operation,
            "the registration access token is not the last one",
        ))
    }
}

impl Registrar {
    fn next(&mut self) -> usize {
        self.said += 1;
        self.said
    }

    fn management(&mut self, client_id: &str) -> Option<Management> {
        let number = self.next();
        (!self.create_only).then(|| Management {
            uri: format!("https://idp/register/{client_id}"),
            token: ClientSecret::new(format!("hunter2-token-{number}")),
            refused: false,
        })
    }

    fn answer(&mut self, client: ObservedClient) -> ObservedClient {
        ObservedClient {
            registered: Some(Box::new(Registered {
                management: self.management(&client.client_id),
                altered: Default::default(),
                secret_expires: None,
            })),
            ..client
        }
    }

    pub(super) fn register(&mut self, model: &dyn Model, desired: &DesiredClient) -> ObservedClient {
        let number = self.next();
        let named = DesiredClient {
            client_id: format!("registered-{number}"),
            ..desired.clone()
        };
        let secret = ClientSecret::new(format!("hunter2-of-the-server-{number}"));
        self.answer(model.created(&named, Some(&secret)))
    }

    pub(super) fn change(
        &mut self,
        model: &dyn Model,
        stored: Option<&ObservedClient>,
        shown: &ObservedClient,
        desired: &DesiredClient,
    ) -> Result<ObservedClient, IdpError> {
        authenticated("Update", stored, shown)?;
        // A public client that becomes confidential is given one.
        let secret = match stored.and_then(|stored| stored.secret.shown()) {
            Some(secret) => secret.clone(),
            None => ClientSecret::new(format!("hunter2-of-the-server-{}", self.next())),
        };
        Ok(self.answer(model.created(desired, Some(&secret))))
    }
}
