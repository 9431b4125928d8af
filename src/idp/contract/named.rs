//! The cases of drivers whose clients have the client ID that was asked for: it finds them.

use super::{
    Case, Outcome, Subject,
    subject::{same, text},
    variants::{public, variants},
};
use crate::{
    domain::{
        ClientSecret, DesiredClient, IdpError, IdpErrorKind, MarkUid, ObservedSecret, Ownership, Proof, ProviderFacts,
        RemoteDiff, Support, TokenEndpointAuthMethod,
    },
    idp::{Created, Driver, Written},
};

/// Each begins with none of its clients there.
pub const CASES: &[Case] = &[
    ("probe", |s| Box::pin(probe(s))),
    ("create-shows-all", |s| Box::pin(create_shows_all(s))),
    ("create-twice-is-taken", |s| Box::pin(create_twice_is_taken(s))),
    ("create-needs-a-secret", |s| Box::pin(create_needs_a_secret(s))),
    ("public-has-no-secret", |s| Box::pin(public_has_no_secret(s))),
    ("list-shows-it", |s| Box::pin(list_shows_it(s))),
    ("get-missing-is-none", |s| Box::pin(get_missing_is_none(s))),
    ("an-id-finds-its-client", |s| Box::pin(an_id_finds_its_client(s))),
    ("update-missing-is-not-found", |s| {
        Box::pin(update_missing_is_not_found(s))
    }),
    ("delete-twice-is-not-found", |s| Box::pin(delete_twice_is_not_found(s))),
    ("fields-forth-and-back", |s| Box::pin(fields_forth_and_back(s))),
    ("secret-is-replaced", |s| Box::pin(secret_is_replaced(s))),
    ("type-forth-and-back", |s| Box::pin(type_forth_and_back(s))),
    ("mark-is-replaced", |s| Box::pin(mark_is_replaced(s))),
    ("update-changes-nothing-else", |s| {
        Box::pin(update_changes_nothing_else(s))
    }),
    ("update-refuses-a-recreation", |s| {
        Box::pin(update_refuses_a_recreation(s))
    }),
    ("odd-values-survive", |s| Box::pin(odd_values_survive(s))),
    ("odd-secrets-prove", |s| Box::pin(odd_secrets_prove(s))),
    ("credentials-are-proven", |s| Box::pin(credentials_are_proven(s))),
    ("keys-take-the-place-of-secrets", |s| {
        Box::pin(keys_take_the_place_of_secrets(s))
    }),
    ("list-has-pages", |s| Box::pin(list_has_pages(s))),
    ("what-is-added-by-hand-stays", |s| {
        Box::pin(a_change_leaves_other_fields_alone(s))
    }),
    ("strangers-are-refused", |s| Box::pin(strangers_are_refused(s))),
    ("silence-ends", |s| Box::pin(silence_ends(s))),
];

pub(super) async fn probe(s: &Subject<'_>) -> Outcome {
    let info = s.driver.probe().await.map_err(text)?;
    same(
        "an empty version",
        &info.version.as_deref(),
        &info.version.as_deref().filter(|version| !version.is_empty()),
    )?;
    same("an empty product", &info.product.is_empty(), &false)
}

async fn create_shows_all(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    s.stands(&desired, Some(&secret)).await?;
    let observed = s.get(&desired).await?;
    let mut expected = s.driver.model().created(&desired, Some(&secret));
    if expected.remote_id.is_empty() {
        // The provider's choice.
        expected.remote_id.clone_from(&observed.remote_id);
    }
    // A provider may keep secrets to itself, and what it does not know; what it shows must be right. The model said that nothing
    // differs.
    expected.fields.retain(|field, _| observed.fields.contains_key(field));
    if observed.looks_like(&expected) {
        return Ok(());
    }
    Err(format!("the client is {observed:?}, expected {expected:?}"))
}

/// It was done, whether it shows how the client looks now or not.
fn done(what: &str, written: &Written) -> Outcome {
    match written {
        Written::As(_) => Ok(()),
        written => same(what, written, &Written::Done),
    }
}

async fn create_twice_is_taken(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    let (other, other_secret) = s.client();
    let other = DesiredClient {
        display_name: Some("Usurper".to_owned()),
        ..other
    };
    let again = s.driver.create(&other, Some(&other_secret)).await.map_err(text)?;
    same("the answer to the second create", &again, &Created::Taken)?;
    s.stands(&desired, Some(&secret)).await
}

async fn create_needs_a_secret(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    // A provider would make one up, and nobody would know it.
    match s.driver.create(&desired, None).await {
        Err(error) => same("the kind of the error", &error.kind, &IdpErrorKind::Refused)?,
        Ok(created) => return Err(format!("a confidential client without a secret is {created:?}")),
    }
    same("the client", &s.find(&desired).await?, &None)
}

async fn public_has_no_secret(s: &Subject<'_>) -> Outcome {
    let desired = public(s.client().0);
    s.create(&desired, None).await?;
    s.stands(&desired, None).await?;
    same("the secret", &s.get(&desired).await?.secret, &ObservedSecret::Absent)
}

async fn list_shows_it(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    let Some(listed) = s.list().await? else {
        return Ok(());
    };
    let rows: Vec<_> = listed
        .iter()
        .filter(|client| client.client_id == desired.client_id)
        .collect();
    let [row] = rows.as_slice() else {
        return Err(format!("{} rows in the list, expected 1", rows.len()));
    };
    same(
        "what differs in the list",
        &s.driver.model().diff(&desired, Some(&secret), row),
        &RemoteDiff::default(),
    )?;
    same("whose the row is", &row.ownership(&desired.mark), &Ownership::Ours)
}

async fn get_missing_is_none(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    for odd in ["", "-other", ".", "%2e", " x", "é"] {
        let id = format!("{}{odd}", desired.client_id);
        same(
            &format!("{id:?}"),
            &s.driver.get(&id, &desired.mark).await.map_err(text)?,
            &None,
        )?;
    }
    Ok(())
}

async fn an_id_finds_its_client(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    let by_id = async |id: &str| s.driver.get_by_id(id).await.map_err(text);
    let id = s.driver.model().created(&desired, None).remote_id;
    same("before it is made", &by_id(&id).await?, &None)?;
    s.create(&desired, Some(&secret)).await?;
    // Where the client ID is the only one, nothing need be found.
    if let Some(found) = by_id(&id).await? {
        same("what it finds", &found, &s.get(&desired).await?)?;
    }
    for odd in ["", ".", "..", "../clients", "a/b", "%2e", "é"] {
        same(&format!("{odd:?}"), &by_id(odd).await?, &None)?;
    }
    Ok(())
}

async fn update_missing_is_not_found(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    let missing = s.driver.model().created(&desired, Some(&secret));
    let updated = s
        .driver
        .update(&missing, &desired, Some(&secret), &RemoteDiff::default())
        .await
        .map_err(text)?;
    same("the answer", &updated, &Written::NotFound)?;
    same("the client", &s.find(&desired).await?, &None)
}

async fn delete_twice_is_not_found(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    let client = s.get(&desired).await?;
    for (which, expected) in [("first", Written::Done), ("second", Written::NotFound)] {
        let answer = s.driver.delete(&client).await.map_err(text)?;
        same(&format!("the {which} answer"), &answer, &expected)?;
        same("the client", &s.find(&desired).await?, &None)?;
    }
    Ok(())
}

async fn fields_forth_and_back(s: &Subject<'_>) -> Outcome {
    let (original, secret) = s.client();
    s.create(&original, Some(&secret)).await?;
    let supported = s.driver.model().capabilities().fields;
    for (field, changed) in variants(&original) {
        let refused = |facts: &ProviderFacts| !s.driver.model().assess(&changed, facts).unsupported.is_empty();
        if supported.get(field) != Some(&Support::PerClient) || s.fixture.facts.as_ref().is_some_and(refused) {
            continue;
        }
        for (desired, way) in [(&changed, "forth"), (&original, "back")] {
            let brought = s.bring(desired, Some(&secret)).await;
            brought.map_err(|why| format!("{field}, {way}: {why}"))?;
        }
    }
    Ok(())
}

async fn secret_is_replaced(s: &Subject<'_>) -> Outcome {
    let (desired, old) = s.client();
    let new = ClientSecret::generate();
    s.create(&desired, Some(&old)).await?;
    s.bring(&desired, Some(&new)).await?;
    s.proves(&desired, &new, &Proof::Proven).await?;
    s.proves(&desired, &old, &Proof::Disproven).await
}

async fn type_forth_and_back(s: &Subject<'_>) -> Outcome {
    let (confidential, secret) = s.client();
    let public = public(confidential.clone());
    s.create(&confidential, Some(&secret)).await?;
    s.bring(&public, None).await?;
    same("the secret", &s.get(&public).await?.secret, &ObservedSecret::Absent)?;
    s.bring(&confidential, Some(&secret)).await
}

async fn mark_is_replaced(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    for uid in [
        MarkUid::Uid("9f0b3d0c-0000-4000-8000-000000000000".to_owned()),
        MarkUid::Released,
    ] {
        let marked = DesiredClient {
            mark: s.fixture.mark(s.name, uid),
            ..desired.clone()
        };
        s.bring(&marked, Some(&secret)).await?;
        same(
            "its marks",
            &s.get(&desired).await?.marks,
            &vec![marked.mark.to_string()],
        )?;
        same(
            "whose it is",
            &s.get(&desired).await?.ownership(&desired.mark),
            &Ownership::FormerLife,
        )?;
    }
    s.bring(&desired, Some(&secret)).await
}

async fn update_changes_nothing_else(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    let before = s.get(&desired).await?;
    let updated = s
        .driver
        .update(&before, &desired, Some(&secret), &RemoteDiff::default())
        .await
        .map_err(text)?;
    done("the answer", &updated)?;
    same("the client", &s.get(&desired).await?, &before)
}

async fn update_refuses_a_recreation(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    let impossible = RemoteDiff {
        changes: Vec::new(),
        recreate: true,
    };
    let observed = s.get(&desired).await?;
    match s.driver.update(&observed, &desired, Some(&secret), &impossible).await {
        Err(error) => same("the kind of the error", &error.kind, &IdpErrorKind::Unsupported)?,
        Ok(written) => return Err(format!("an update that needs a re-creation is {written:?}")),
    }
    s.stands(&desired, Some(&secret)).await
}

async fn odd_values_survive(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    let desired = DesiredClient {
        display_name: Some("Bücher & <Söhne> \"GmbH\" 漢字 🦀".to_owned()),
        redirect_uris: vec![
            "https://app.example.com/cb?a=b&c=d%20e".to_owned(),
            "http://localhost:8080/".to_owned(),
            "com.example.app:/oauth2redirect".to_owned(),
        ],
        ..desired
    };
    s.create(&desired, Some(&secret)).await?;
    s.stands(&desired, Some(&secret)).await
}

/// A secret that a user brings may hold what a header or a form must escape.
async fn odd_secrets_prove(s: &Subject<'_>) -> Outcome {
    let (desired, _) = s.client();
    let odd = ClientSecret::new("a+b c%20:d&e=f/ü\"");
    s.create(&desired, Some(&odd)).await?;
    for auth_method in [
        TokenEndpointAuthMethod::ClientSecretBasic,
        TokenEndpointAuthMethod::ClientSecretPost,
    ] {
        let desired = DesiredClient {
            auth_method,
            ..desired.clone()
        };
        s.bring(&desired, Some(&odd)).await?;
        let spoilt = s.fixture.plain_basic && auth_method == TokenEndpointAuthMethod::ClientSecretBasic;
        let expected = if spoilt { Proof::Disproven } else { Proof::Proven };
        s.proves(&desired, &odd, &expected).await?;
    }
    Ok(())
}

async fn credentials_are_proven(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    let wrong = ClientSecret::generate();
    s.proves(&desired, &secret, &Proof::Disproven).await?;
    s.create(&desired, Some(&secret)).await?;
    for auth_method in [
        TokenEndpointAuthMethod::ClientSecretBasic,
        TokenEndpointAuthMethod::ClientSecretPost,
    ] {
        let desired = DesiredClient {
            auth_method,
            ..desired.clone()
        };
        s.bring(&desired, Some(&secret)).await?;
        s.proves(&desired, &secret, &Proof::Proven).await?;
        s.proves(&desired, &wrong, &Proof::Disproven).await?;
    }
    Ok(())
}

/// From a shared secret to a private key, to another one, and back; what was good before is good no more each time.
async fn keys_take_the_place_of_secrets(s: &Subject<'_>) -> Outcome {
    let (with_secret, secret) = s.client();
    let with_key = DesiredClient {
        auth_method: TokenEndpointAuthMethod::PrivateKeyJwt,
        ..with_secret.clone()
    };
    let facts = s.fixture.facts.clone().unwrap_or_default();
    if !s.driver.model().assess(&with_key, &facts).unsupported.is_empty() {
        return Ok(());
    }
    match s.driver.create(&with_key, Some(&secret)).await {
        Err(error) => same("the kind of the error", &error.kind, &IdpErrorKind::Refused)?,
        Ok(created) => return Err(format!("a client of keys, with a shared secret, is {created:?}")),
    }
    let key = || ClientSecret::generate_for(with_key.auth_method);
    let (first, second, other_secret) = (key(), key(), ClientSecret::generate());
    s.create(&with_secret, Some(&secret)).await?;
    let mut former = (&with_secret, &secret);
    for (way, desired, valid) in [
        ("from a secret to a key", &with_key, &first),
        ("to another key", &with_key, &second),
        ("from a key to a secret", &with_secret, &other_secret),
    ] {
        let told = |why| format!("{way}: {why}");
        s.bring(desired, Some(valid)).await.map_err(told)?;
        s.proves(desired, valid, &Proof::Proven).await.map_err(told)?;
        let told = |why| format!("{way}, what was good before: {why}");
        s.proves(former.0, former.1, &Proof::Disproven).await.map_err(told)?;
        former = (desired, valid);
    }
    s.remove(&with_key).await?;
    s.create(&with_key, Some(&first)).await?;
    s.stands(&with_key, Some(&first)).await?;
    s.proves(&with_key, &first, &Proof::Proven).await?;
    s.proves(&with_key, &second, &Proof::Disproven).await
}

async fn list_has_pages(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    let many: Vec<DesiredClient> = (0..=s.fixture.page)
        .map(|number| DesiredClient {
            client_id: format!("{}-{number}", desired.client_id),
            mark: s
                .fixture
                .mark(&format!("{}-{number}", s.name), desired.mark.uid.clone()),
            ..desired.clone()
        })
        .collect();
    for desired in &many {
        s.remove(desired).await?;
        s.create(desired, Some(&secret)).await?;
    }
    let listed = s.list().await;
    for desired in &many {
        s.remove(desired).await?;
    }
    let Some(listed) = listed? else { return Ok(()) };
    for desired in &many {
        let rows = listed.iter().filter(|row| row.client_id == desired.client_id).count();
        same(&format!("the number of rows of {}", desired.client_id), &rows, &1)?;
    }
    Ok(())
}

/// A request carries what it changes, and nothing that the spec says besides.
async fn a_change_leaves_other_fields_alone(s: &Subject<'_>) -> Outcome {
    let (original, secret) = s.client();
    s.create(&original, Some(&secret)).await?;
    let other = DesiredClient {
        display_name: Some("Not yet".to_owned()),
        redirect_uris: vec!["https://app.example.com/second".to_owned()],
        ..original.clone()
    };
    let observed = s.get(&original).await?;
    let mut diff = s.driver.model().diff(&other, None, &observed);
    diff.changes.retain(|change| change.field == "displayName");
    same("the changes", &diff.changes.len(), &1)?;
    let updated = s.driver.update(&observed, &other, None, &diff).await.map_err(text)?;
    done("the answer", &updated)?;
    let expected = DesiredClient {
        display_name: other.display_name,
        ..original
    };
    s.stands(&expected, Some(&secret)).await
}

/// What a driver that cannot work answers to each kind of call.
async fn answers_of(driver: &dyn Driver, desired: &DesiredClient, secret: &ClientSecret) -> [Result<(), IdpError>; 4] {
    [
        driver.probe().await.map(drop),
        driver.list(0).await.map(drop),
        driver.get(&desired.client_id, &desired.mark).await.map(drop),
        driver.create(desired, Some(secret)).await.map(drop),
    ]
}

async fn strangers_are_refused(s: &Subject<'_>) -> Outcome {
    let Some(stranger) = &s.fixture.stranger else {
        return Ok(());
    };
    let (desired, secret) = s.client();
    for answer in answers_of(stranger.as_ref(), &desired, &secret).await {
        match answer {
            // Dex refuses strangers in the TLS handshake.
            Err(error) if matches!(error.kind, IdpErrorKind::Unauthorized | IdpErrorKind::Tls) => {
                same(
                    "a secret in the text",
                    &error.to_string().contains(secret.expose()),
                    &false,
                )?;
            }
            other => return Err(format!("a stranger is answered {other:?}")),
        }
    }
    same("the client", &s.find(&desired).await?, &None)
}

async fn silence_ends(s: &Subject<'_>) -> Outcome {
    let Some(silent) = &s.fixture.silent else {
        return Ok(());
    };
    let (desired, secret) = s.client();
    for answer in answers_of(silent.as_ref(), &desired, &secret).await {
        match answer {
            Err(error) => same("the kind of the error", &error.kind, &IdpErrorKind::Timeout)?,
            Ok(()) => return Err("an answer came from nowhere".to_owned()),
        }
    }
    Ok(())
}
