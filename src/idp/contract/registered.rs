//! The cases of drivers whose server names the clients ([`Model::registers`](crate::domain::Model::registers)): nothing can be looked
//! up there, so each goes by what the server answered last.

use super::{
    Case, Outcome, Subject, named,
    subject::{same, text},
    variants::{public, variants},
};
use crate::domain::{
    ClientSecret, DesiredClient, IdpErrorKind, ObservedClient, ObservedSecret, Proof, ProviderFacts, Registered,
    Support, TokenEndpointAuthMethod,
};
use crate::idp::{Created, Written};

/// What a case registers, it deletes.
pub(super) const CASES: &[Case] = &[
    ("probe", |s| Box::pin(named::probe(s))),
    ("register-shows-all", |s| Box::pin(register_shows_all(s))),
    ("each-registration-is-another-client", |s| Box::pin(each_is_another(s))),
    ("public-has-no-secret", |s| Box::pin(public_has_no_secret(s))),
    ("nothing-can-be-looked-up", |s| Box::pin(nothing_can_be_looked_up(s))),
    ("fields-forth-and-back", |s| Box::pin(fields_forth_and_back(s))),
    ("type-forth-and-back", |s| Box::pin(type_forth_and_back(s))),
    ("the-secret-stays", |s| Box::pin(the_secret_stays(s))),
    ("odd-values-survive", |s| Box::pin(odd_values_survive(s))),
    ("the-last-token-counts", |s| Box::pin(the_last_token_counts(s))),
    ("delete-twice-is-unauthorized", |s| Box::pin(delete_twice(s))),
    ("strangers-are-refused", |s| Box::pin(strangers_are_refused(s))),
    ("silence-ends", |s| Box::pin(silence_ends(s))),
];

impl Subject<'_> {
    /// As a first attempt asks for it.
    fn attempt(&self, desired: &DesiredClient) -> DesiredClient {
        DesiredClient {
            client_id: String::new(),
            attempt: Some("contract".to_owned()),
            ..desired.clone()
        }
    }

    async fn register(&self, desired: &DesiredClient) -> Result<ObservedClient, String> {
        match self.driver.create(&self.attempt(desired), None).await.map_err(text)? {
            Created::As(client) => Ok(*client),
            other => Err(format!("the answer to a registration is {other:?}")),
        }
    }

    async fn change(&self, observed: &ObservedClient, desired: &DesiredClient) -> Result<ObservedClient, String> {
        let named = DesiredClient {
            client_id: observed.client_id.clone(),
            ..self.attempt(desired)
        };
        let diff = self.driver.model().diff(&named, None, observed);
        match self.driver.update(observed, &named, None, &diff).await.map_err(text)? {
            Written::As(client) => Ok(*client),
            other => Err(format!("the answer to a change is {other:?}")),
        }
    }

    async fn unregister(&self, observed: &ObservedClient) -> Outcome {
        same(
            "the answer to delete",
            &self.driver.delete(observed).await.map_err(text)?,
            &Written::Done,
        )
    }

    async fn is_good(&self, desired: &DesiredClient, observed: &ObservedClient, good: bool) -> Outcome {
        let secret = secret_of(observed)?;
        let named = DesiredClient {
            client_id: observed.client_id.clone(),
            ..desired.clone()
        };
        match self.prove(&named, secret).await? {
            // Servers differ in what they answer to good credentials with a bad code.
            None | Some(Proof::Proven | Proof::Undecided(_)) if good => Ok(()),
            None => Ok(()),
            Some(proof) => same(
                "the proof",
                &proof,
                &if good { Proof::Proven } else { Proof::Disproven },
            ),
        }
    }
}

fn secret_of(client: &ObservedClient) -> Result<&ClientSecret, String> {
    let shown = client.secret.shown();
    shown.ok_or_else(|| format!("the secret is {:?}", client.secret))
}

fn registered(client: &ObservedClient) -> Result<&Registered, String> {
    client
        .registered
        .as_deref()
        .ok_or_else(|| "nothing goes with it".to_owned())
}

/// It is as it was asked for, as far as the server tells.
fn is_as_asked(s: &Subject<'_>, desired: &DesiredClient, client: &ObservedClient) -> Outcome {
    let named = DesiredClient {
        client_id: client.client_id.clone(),
        ..s.attempt(desired)
    };
    let diff = s.driver.model().diff(&named, None, client);
    same("what differs", &diff.changes, &Vec::new())?;
    let mut altered = registered(client)?.altered.clone();
    altered.retain(|field, _| !s.fixture.altered.contains(&field.as_str()));
    same("what the server altered", &altered, &Default::default())
}

async fn register_shows_all(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let client = s.register(&desired).await?;
    is_as_asked(s, &desired, &client)?;
    same("an empty ID", &client.client_id.is_empty(), &false)?;
    same("its marks", &client.marks, &vec![desired.mark.to_string()])?;
    same("is it managed", &registered(&client)?.is_unmanaged(), &false)?;
    s.is_good(&desired, &client, true).await?;
    s.unregister(&client).await
}

async fn each_is_another(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let (one, other) = (s.register(&desired).await?, s.register(&desired).await?);
    same("one ID for both", &(one.client_id == other.client_id), &false)?;
    same("one secret for both", &(secret_of(&one)? == secret_of(&other)?), &false)?;
    s.unregister(&one).await?;
    s.is_good(&desired, &other, true).await?;
    s.unregister(&other).await
}

async fn public_has_no_secret(s: &Subject<'_>) -> Outcome {
    let desired = public(s.client().0);
    let client = s.register(&desired).await?;
    is_as_asked(s, &desired, &client)?;
    same("the secret", &client.secret, &ObservedSecret::Absent)?;
    s.unregister(&client).await
}

async fn nothing_can_be_looked_up(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let client = s.register(&desired).await?;
    let answers = [
        s.driver.list(0).await.map(drop),
        s.driver.get(&client.client_id, &desired.mark).await.map(drop),
    ];
    for answer in answers {
        let kind = answer.err().map(|error| error.kind);
        same("the kind of the error", &kind, &Some(IdpErrorKind::Unsupported))?;
    }
    s.unregister(&client).await
}

async fn fields_forth_and_back(s: &Subject<'_>) -> Outcome {
    let (original, _) = s.client();
    let mut client = s.register(&original).await?;
    let supported = s.driver.model().capabilities().fields;
    for (field, changed) in variants(&original) {
        let refused = |facts: &ProviderFacts| !s.driver.model().assess(&changed, facts).unsupported.is_empty();
        // Without grants and addresses, no server need take a client.
        let bare = changed.redirect_uris.is_empty();
        if supported.get(field) != Some(&Support::PerClient) || bare || s.fixture.facts.as_ref().is_some_and(refused) {
            continue;
        }
        for (desired, way) in [(&changed, "forth"), (&original, "back")] {
            let told = |why: String| format!("{field}, {way}: {why}");
            client = s.change(&client, desired).await.map_err(told)?;
            is_as_asked(s, desired, &client).map_err(told)?;
        }
    }
    s.unregister(&client).await
}

async fn type_forth_and_back(s: &Subject<'_>) -> Outcome {
    let (confidential, _) = s.client();
    let public = public(confidential.clone());
    let mut client = s.register(&confidential).await?;
    client = s.change(&client, &public).await?;
    same("the secret", &client.secret, &ObservedSecret::Absent)?;
    client = s.change(&client, &confidential).await?;
    s.is_good(&confidential, &client, true).await?;
    s.unregister(&client).await
}

async fn the_secret_stays(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let client = s.register(&desired).await?;
    let changed = DesiredClient {
        auth_method: TokenEndpointAuthMethod::ClientSecretPost,
        redirect_uris: vec!["https://app.example.com/second".to_owned()],
        ..desired
    };
    let after = s.change(&client, &changed).await?;
    same("the same secret", &(secret_of(&after)? == secret_of(&client)?), &true)?;
    s.is_good(&changed, &after, true).await?;
    s.unregister(&after).await
}

async fn odd_values_survive(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let desired = DesiredClient {
        display_name: Some("Bücher & <Söhne> \"GmbH\" 漢字 🦀".to_owned()),
        redirect_uris: vec!["https://app.example.com/cb?a=b&c=d%20e".to_owned()],
        ..desired
    };
    let client = s.register(&desired).await?;
    is_as_asked(s, &desired, &client)?;
    s.unregister(&client).await
}

/// Where an answer brings another token, the one before is good no more.
async fn the_last_token_counts(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let before = s.register(&desired).await?;
    let named = DesiredClient {
        display_name: Some("Another".to_owned()),
        ..desired
    };
    let after = s.change(&before, &named).await?;
    let token = |client: &ObservedClient| -> Result<Option<ClientSecret>, String> {
        Ok(registered(client)?
            .management
            .as_ref()
            .map(|management| management.token.clone()))
    };
    if token(&before)? != token(&after)? {
        match s.driver.delete(&before).await {
            Err(error) => same("the kind of the error", &error.kind, &IdpErrorKind::Unauthorized)?,
            Ok(written) => return Err(format!("a delete with a former token is {written:?}")),
        }
    }
    s.unregister(&after).await
}

async fn delete_twice(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let client = s.register(&desired).await?;
    s.unregister(&client).await?;
    match s.driver.delete(&client).await {
        Err(error) => same("the kind of the error", &error.kind, &IdpErrorKind::Unauthorized)?,
        Ok(written) => return Err(format!("the second delete is {written:?}")),
    }
    s.is_good(&desired, &client, false).await
}

async fn strangers_are_refused(s: &Subject<'_>) -> Outcome {
    let Some(stranger) = &s.fixture.stranger else {
        return Ok(());
    };
    let (desired, _) = s.client();
    match stranger.create(&s.attempt(&desired), None).await {
        Err(error) => same("the kind of the error", &error.kind, &IdpErrorKind::Unauthorized),
        Ok(created) => Err(format!("a stranger is answered {created:?}")),
    }
}

async fn silence_ends(s: &Subject<'_>) -> Outcome {
    let Some(silent) = &s.fixture.silent else {
        return Ok(());
    };
    let (desired, _) = s.client();
    let answers = [
        silent.probe().await.map(drop),
        silent.create(&s.attempt(&desired), None).await.map(drop),
    ];
    for answer in answers {
        let kind = answer.err().map(|error| error.kind);
        same("the kind of the error", &kind, &Some(IdpErrorKind::Timeout))?;
    }
    Ok(())
}
