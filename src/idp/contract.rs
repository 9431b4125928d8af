//! What every driver must do: one suite, run against the one in memory and against every real provider.
//!
//! A case is a function that tells what went wrong instead of panicking, so that it can run anywhere: `cargo test`,
//! e2e, or by hand against a server. Each works on clients of its own, cleans up, and leaves other clients alone.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use super::{Created, Credentials, Driver, Written};
use crate::domain::{
    ClientSecret, ClientType, DesiredClient, Endpoints, GrantType, IdpErrorKind, Mark, MarkUid, ObservedClient,
    ObservedSecret, OwnerId, Ownership, Pkce, Proof, RemoteDiff, ResourceName, TokenEndpointAuthMethod,
};

/// What the cases need to know.
#[derive(Clone, Debug)]
pub struct Fixture {
    prefix: String,
    endpoints: Option<Endpoints>,
}

impl Fixture {
    /// Client IDs start with `prefix`: give each run its own where runs share a server. Without `endpoints` nothing is
    /// proven at the token endpoint.
    pub fn new(prefix: impl Into<String>, endpoints: Option<Endpoints>) -> Self {
        Self {
            prefix: prefix.into(),
            endpoints,
        }
    }

    /// A confidential client as most are, and its secret.
    pub fn client(&self, name: &str) -> (DesiredClient, ClientSecret) {
        let client = DesiredClient {
            client_id: format!("{}_{name}", self.prefix),
            mark: self.mark(name, MarkUid::Uid("1b671a64-40d5-491e-99b0-da01ff1f3341".to_owned())),
            client_type: ClientType::Confidential,
            display_name: Some("Contract".to_owned()),
            logo_uri: Some("https://app.example.com/logo.png".to_owned()),
            redirect_uris: vec!["https://app.example.com/callback".to_owned()],
            grant_types: BTreeSet::from([GrantType::AuthorizationCode]),
            auth_method: TokenEndpointAuthMethod::ClientSecretBasic,
            pkce: Pkce::Optional,
            scopes: vec!["openid".to_owned()],
            id_token_alg: None,
            claims: Vec::new(),
        };
        (client, ClientSecret::generate())
    }

    fn mark(&self, name: &str, uid: MarkUid) -> Mark {
        // The only way to fail is an illegal constant.
        let owner = OwnerId::new("contract-suite").unwrap_or_else(|_| unreachable!("a legal owner id"));
        Mark {
            owner,
            client: ResourceName::new("contract", name),
            uid,
        }
    }
}

/// What came of each case, by name.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of [`CASES`].
    pub outcomes: Vec<(&'static str, Result<(), String>)>,
}

impl Report {
    /// Those that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.outcomes
            .iter()
            .filter_map(|(name, outcome)| Some((*name, outcome.as_ref().err()?.as_str())))
    }
}

/// One case; the name is also part of its client's ID.
pub type Case = (&'static str, for<'a> fn(&'a Subject<'a>) -> BoxFuture<'a, Outcome>);

type Outcome = Result<(), String>;

/// All cases.
pub const CASES: &[Case] = &[
    ("probe", |s| Box::pin(probe(s))),
    ("create-shows-all", |s| Box::pin(create_shows_all(s))),
    ("create-twice-is-taken", |s| Box::pin(create_twice_is_taken(s))),
    ("create-needs-a-secret", |s| Box::pin(create_needs_a_secret(s))),
    ("public-has-no-secret", |s| Box::pin(public_has_no_secret(s))),
    ("list-shows-it", |s| Box::pin(list_shows_it(s))),
    ("get-missing-is-none", |s| Box::pin(get_missing_is_none(s))),
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
];

/// Runs all cases, one after the other.
pub async fn run(driver: &dyn Driver, fixture: &Fixture) -> Report {
    let mut report = Report::default();
    for (name, case) in CASES {
        let subject = Subject { driver, fixture, name };
        // What an interrupted run left behind.
        let ready = subject.clean().await;
        let outcome = match ready {
            Ok(()) => case(&subject).await,
            Err(why) => Err(why),
        };
        report.outcomes.push((name, outcome.and(subject.clean().await)));
    }
    report
}

/// What a case works on.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    driver: &'a dyn Driver,
    fixture: &'a Fixture,
    name: &'static str,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Subject<'_> {
    fn client(&self) -> (DesiredClient, ClientSecret) {
        self.fixture.client(self.name)
    }

    async fn clean(&self) -> Outcome {
        let (desired, _) = self.client();
        self.driver
            .delete(&desired.client_id)
            .await
            .map(drop)
            .map_err(|error| format!("cleaning up: {error}"))
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
        let created = self.driver.create(desired, secret).await.map_err(text)?;
        same("the answer to create", &created, &Created::Created)
    }

    async fn get(&self, desired: &DesiredClient) -> Result<ObservedClient, String> {
        let found = self.driver.get(&desired.client_id).await.map_err(text)?;
        found.ok_or_else(|| "the client is not there".to_owned())
    }

    /// Brings the client to `desired` as the executor does, and checks that nothing differs then.
    async fn bring(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
        let model = self.driver.model();
        let diff = model.diff(desired, secret, &self.get(desired).await?);
        if diff.recreate {
            let deleted = self.driver.delete(&desired.client_id).await.map_err(text)?;
            same("the answer to delete", &deleted, &Written::Done)?;
            self.create(desired, secret).await?;
        } else if !diff.changes.is_empty() {
            let updated = self.driver.update(desired, secret, &diff).await.map_err(text)?;
            same("the answer to update", &updated, &Written::Done)?;
        }
        self.stands(desired, secret).await
    }

    /// The client is there, ours, and as `desired` says.
    async fn stands(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
        let observed = self.get(desired).await?;
        same(
            "what still differs",
            &self.driver.model().diff(desired, secret, &observed),
            &RemoteDiff::default(),
        )?;
        same("whose it is", &observed.ownership(&desired.mark), &Ownership::Ours)
    }

    async fn prove(&self, desired: &DesiredClient, secret: &ClientSecret) -> Result<Option<Proof>, String> {
        let Some(endpoints) = &self.fixture.endpoints else {
            return Ok(None);
        };
        let credentials = Credentials {
            client_id: &desired.client_id,
            secret,
            method: desired.auth_method,
            redirect_uri: desired.redirect_uris.first().map(String::as_str),
        };
        Ok(Some(self.driver.prove(&credentials, endpoints).await))
    }

    async fn proves(&self, desired: &DesiredClient, secret: &ClientSecret, expected: &Proof) -> Outcome {
        match self.prove(desired, secret).await? {
            Some(proof) => same("the proof", &proof, expected),
            None => Ok(()),
        }
    }
}

fn text(error: crate::domain::IdpError) -> String {
    format!("{:?}: {error}", error.kind)
}

/// `Debug` of all that is compared here shows no secrets.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Outcome {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{what} is {found:?}, expected {expected:?}"))
    }
}

async fn probe(s: &Subject<'_>) -> Outcome {
    let info = s.driver.probe().await.map_err(text)?;
    same("an empty version", &info.version.is_empty(), &false)
}

async fn create_shows_all(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    s.stands(&desired, Some(&secret)).await?;
    let observed = s.get(&desired).await?;
    let expected = s.driver.model().created(&desired, Some(&secret));
    // A provider may keep secrets to itself; what it shows must be right.
    let expected = match observed.secret {
        ObservedSecret::NotShown => ObservedClient {
            secret: ObservedSecret::NotShown,
            ..expected
        },
        _ => expected,
    };
    same("the client", &observed, &expected)
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
    same(
        "the client",
        &s.driver.get(&desired.client_id).await.map_err(text)?,
        &None,
    )
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
    let listed = match s.driver.list().await {
        Err(error) if error.kind == IdpErrorKind::Unsupported => return Ok(()),
        listed => listed.map_err(text)?,
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
        same(&format!("{id:?}"), &s.driver.get(&id).await.map_err(text)?, &None)?;
    }
    Ok(())
}

async fn update_missing_is_not_found(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    let updated = s
        .driver
        .update(&desired, Some(&secret), &RemoteDiff::default())
        .await
        .map_err(text)?;
    same("the answer", &updated, &Written::NotFound)?;
    same(
        "the client",
        &s.driver.get(&desired.client_id).await.map_err(text)?,
        &None,
    )
}

async fn delete_twice_is_not_found(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    same(
        "the first answer",
        &s.driver.delete(&desired.client_id).await.map_err(text)?,
        &Written::Done,
    )?;
    same(
        "the client",
        &s.driver.get(&desired.client_id).await.map_err(text)?,
        &None,
    )?;
    same(
        "the second answer",
        &s.driver.delete(&desired.client_id).await.map_err(text)?,
        &Written::NotFound,
    )
}

async fn fields_forth_and_back(s: &Subject<'_>) -> Outcome {
    let (original, secret) = s.client();
    s.create(&original, Some(&secret)).await?;
    let uris = |uris: &[&str]| uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>();
    let (first, second) = ("https://app.example.com/callback", "https://app.example.com/second");
    for changed in [
        DesiredClient {
            redirect_uris: uris(&[second]),
            ..original.clone()
        },
        DesiredClient {
            redirect_uris: uris(&[first, second]),
            ..original.clone()
        },
        DesiredClient {
            redirect_uris: uris(&[second, first]),
            ..original.clone()
        },
        DesiredClient {
            redirect_uris: Vec::new(),
            ..original.clone()
        },
        DesiredClient {
            display_name: Some("Another".to_owned()),
            ..original.clone()
        },
        DesiredClient {
            display_name: None,
            ..original.clone()
        },
        DesiredClient {
            logo_uri: Some("https://app.example.com/other.png".to_owned()),
            ..original.clone()
        },
        DesiredClient {
            logo_uri: None,
            ..original.clone()
        },
        DesiredClient {
            display_name: None,
            logo_uri: None,
            redirect_uris: Vec::new(),
            ..original.clone()
        },
    ] {
        s.bring(&changed, Some(&secret)).await?;
        s.bring(&original, Some(&secret)).await?;
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
        .update(&desired, Some(&secret), &RemoteDiff::default())
        .await
        .map_err(text)?;
    same("the answer", &updated, &Written::Done)?;
    same("the client", &s.get(&desired).await?, &before)
}

async fn update_refuses_a_recreation(s: &Subject<'_>) -> Outcome {
    let (desired, secret) = s.client();
    s.create(&desired, Some(&secret)).await?;
    let impossible = RemoteDiff {
        changes: Vec::new(),
        recreate: true,
    };
    match s.driver.update(&desired, Some(&secret), &impossible).await {
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
        s.proves(
            &DesiredClient {
                auth_method,
                ..desired.clone()
            },
            &odd,
            &Proof::Proven,
        )
        .await?;
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
        s.proves(&desired, &secret, &Proof::Proven).await?;
        s.proves(&desired, &wrong, &Proof::Disproven).await?;
    }
    Ok(())
}

fn public(client: DesiredClient) -> DesiredClient {
    DesiredClient {
        client_type: ClientType::Public,
        auth_method: TokenEndpointAuthMethod::None,
        ..client
    }
}
