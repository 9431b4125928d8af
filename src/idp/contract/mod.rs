//! What every driver must do: one suite, run against the one in memory and against every real provider.
//!
//! A case is a function that tells what went wrong instead of panicking, so that it can run anywhere: `cargo test`,
//! e2e, or by hand against a server. Each works on clients of its own, cleans up, and leaves other clients alone.

mod registered;

use std::time::Duration;

use futures::future::BoxFuture;

use super::{Created, Credentials, Driver, Written};
use crate::domain::{
    Claim, ClaimSource, ClaimToken, ClientSecret, ClientType, DesiredClient, Effect, Endpoints, GrantType, IdpError,
    IdpErrorKind, Logout, LogoutChannel, Mark, MarkUid, ObservedClient, ObservedSecret, OwnerId, Ownership, Pkce,
    Proof, ProviderFacts, RemoteDiff, ResourceName, SignatureAlgorithm, Support, TokenEndpointAuthMethod,
    TokenLifetimes,
};

/// What the cases need to know.
pub struct Fixture {
    prefix: String,
    owner: OwnerId,
    endpoints: Option<Endpoints>,
    page: usize,
    facts: Option<ProviderFacts>,
    plain_basic: bool,
    altered: &'static [&'static str],
    stranger: Option<Box<dyn Driver>>,
    silent: Option<Box<dyn Driver>>,
}

impl std::fmt::Debug for Fixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixture")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Fixture {
    /// Client IDs start with `prefix`: give each run its own where runs share a server. Without `endpoints` nothing is
    /// proven at the token endpoint.
    pub fn new(prefix: impl Into<String>, endpoints: Option<Endpoints>) -> Self {
        Self {
            prefix: prefix.into(),
            // The only way to fail is an illegal constant.
            owner: OwnerId::new("contract-suite").unwrap_or_else(|_| unreachable!("a legal owner id")),
            endpoints,
            page: 2,
            facts: None,
            plain_basic: false,
            altered: &[],
            stranger: None,
            silent: None,
        }
    }

    /// Marks name this owner: give each run its own where a server wants marks to be unique.
    #[must_use]
    pub fn with_owner(mut self, owner: OwnerId) -> Self {
        self.owner = owner;
        self
    }

    /// The list shows so many clients on a page: enough are made to fill more than one.
    #[must_use]
    pub fn with_page(mut self, page: usize) -> Self {
        self.page = page;
        self
    }

    /// What is known of the server: variants of a client that its model refuses there are not tried.
    #[must_use]
    pub fn with_facts(mut self, facts: ProviderFacts) -> Self {
        self.facts = Some(facts);
        self
    }

    /// The server reads Basic credentials as they are, and not form-encoded as RFC 6749, section 2.3.1, wants it: odd ones are
    /// good in the body of a request only.
    #[must_use]
    pub fn with_plain_basic(mut self) -> Self {
        self.plain_basic = true;
        self
    }

    /// The server registers these fields otherwise than it is asked to, and says so.
    #[must_use]
    pub fn with_altered(mut self, fields: &'static [&'static str]) -> Self {
        self.altered = fields;
        self
    }

    /// A driver for the same server with credentials that it does not accept.
    #[must_use]
    pub fn with_stranger(mut self, driver: Box<dyn Driver>) -> Self {
        self.stranger = Some(driver);
        self
    }

    /// A driver, of a short timeout, for a server that accepts connections and never answers.
    #[must_use]
    pub fn with_silent(mut self, driver: Box<dyn Driver>) -> Self {
        self.silent = Some(driver);
        self
    }

    /// A confidential client as most are, and its secret.
    pub fn client(&self, name: &str) -> (DesiredClient, ClientSecret) {
        let mark = self.mark(name, MarkUid::Uid("1b671a64-40d5-491e-99b0-da01ff1f3341".to_owned()));
        let client = DesiredClient {
            display_name: Some("Contract".to_owned()),
            logo_uri: Some("https://app.example.com/logo.png".to_owned()),
            redirect_uris: vec!["https://app.example.com/callback".to_owned()],
            ..DesiredClient::new(format!("{}_{name}", self.prefix), mark)
        };
        (client, ClientSecret::generate())
    }

    fn mark(&self, name: &str, uid: MarkUid) -> Mark {
        Mark {
            owner: self.owner.clone(),
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

/// More requests than any change of a client takes.
const MAX_REQUESTS: usize = 32;

/// How long a client may take until it is in effect: a roll-out.
const EFFECT_LOOKS: usize = 1200;
const EFFECT_PERIOD: Duration = Duration::from_millis(100);

/// All cases.
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

/// How many cases there are for this driver.
pub fn cases_of(driver: &dyn Driver) -> usize {
    if driver.model().registers() {
        registered::CASES.len()
    } else {
        CASES.len()
    }
}

/// Runs all cases, one after the other: those of drivers whose server names the clients, or those of all others.
pub async fn run(driver: &dyn Driver, fixture: &Fixture) -> Report {
    let mut report = Report::default();
    if driver.model().registers() {
        for (name, case) in registered::CASES {
            let outcome = case(&Subject { driver, fixture, name }).await;
            report.outcomes.push((name, outcome));
        }
        return report;
    }
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
        self.remove(&self.client().0).await
    }

    async fn remove(&self, desired: &DesiredClient) -> Outcome {
        let told = |error| format!("cleaning up: {error}");
        let found = self.driver.get(&desired.client_id, &desired.mark).await.map_err(told)?;
        match found {
            Some(client) => self.driver.delete(&client).await.map(drop).map_err(told),
            None => Ok(()),
        }
    }

    async fn create(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
        let created = self.driver.create(desired, secret).await.map_err(text)?;
        match created {
            Created::As(shown) => same("what create shows", &Some(*shown), &self.find(desired).await?),
            created => same("the answer to create", &created, &Created::Created),
        }
    }

    async fn get(&self, desired: &DesiredClient) -> Result<ObservedClient, String> {
        let found = self.find(desired).await?;
        found.ok_or_else(|| "the client is not there".to_owned())
    }

    async fn find(&self, desired: &DesiredClient) -> Result<Option<ObservedClient>, String> {
        self.driver.get(&desired.client_id, &desired.mark).await.map_err(text)
    }

    /// Brings the client to `desired` as plan and executor do, and checks that nothing differs then.
    async fn bring(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Outcome {
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

    async fn list(&self) -> Result<Option<Vec<ObservedClient>>, String> {
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
    async fn takes_effect(&self, desired: &DesiredClient) -> Outcome {
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

    async fn proves(&self, desired: &DesiredClient, secret: &ClientSecret, expected: &Proof) -> Outcome {
        match self.prove(desired, secret).await? {
            Some(proof) => same("the proof", &proof, expected),
            None => Ok(()),
        }
    }
}

fn text(error: IdpError) -> String {
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

/// The client with one field changed, and with what it has cleared; several times a field where it has several forms.
fn variants(original: &DesiredClient) -> Vec<(&'static str, DesiredClient)> {
    const APP: &str = "https://app.example.com";
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let uris = |paths: &[&str]| paths.iter().map(|path| format!("{APP}{path}")).collect::<Vec<_>>();
    let mut found = Vec::new();
    let mut with = |field, change: &dyn Fn(&mut DesiredClient)| {
        let mut desired = original.clone();
        change(&mut desired);
        found.push((field, desired));
    };
    for paths in [
        &["/second"][..],
        &["/callback", "/second"],
        &["/second", "/callback"],
        &[],
    ] {
        with("redirectURIs", &|c| c.redirect_uris = uris(paths));
        with("postLogoutRedirectURIs", &|c| c.post_logout_redirect_uris = uris(paths));
    }
    for name in [Some("Another"), None] {
        with("displayName", &|c| c.display_name = name.map(str::to_owned));
        with("description", &|c| c.description = name.map(str::to_owned));
        with("logoURI", &|c| {
            c.logo_uri = name.map(|name| format!("{APP}/{name}.png"))
        });
        with("homepageURI", &|c| {
            c.homepage_uri = name.map(|name| format!("{APP}/{name}"))
        });
    }
    with("displayName", &|c| {
        (c.display_name, c.logo_uri, c.redirect_uris) = (None, None, Vec::new());
    });
    with("webOrigins", &|c| c.web_origins = texts(&[APP]));
    with("webOrigins", &|c| {
        c.web_origins = texts(&[APP, "http://localhost:8080"])
    });
    for grants in [
        &[GrantType::AuthorizationCode, GrantType::RefreshToken][..],
        &[GrantType::ClientCredentials],
        &[GrantType::DeviceCode, GrantType::RefreshToken],
        &[GrantType::AuthorizationCode, GrantType::TokenExchange],
    ] {
        with("grantTypes", &|c| c.grant_types = grants.iter().copied().collect());
    }
    with("tokenEndpointAuthMethod", &|c| {
        c.auth_method = TokenEndpointAuthMethod::ClientSecretPost;
    });
    with("pkce", &|c| c.pkce = Pkce::Required);
    for algorithm in [SignatureAlgorithm::RS256, SignatureAlgorithm::ES256] {
        with("idTokenSignedResponseAlg", &|c| c.id_token_alg = Some(algorithm));
    }
    with("scopes", &|c| c.scopes = texts(&["openid", "profile"]));
    with("scopes", &|c| {
        c.scopes = texts(&["openid", "profile", "email", "offline_access"])
    });
    with("optionalScopes", &|c| c.optional_scopes = texts(&["phone", "address"]));
    with("optionalScopes", &|c| {
        (c.scopes, c.optional_scopes) = (texts(&["openid", "phone"]), texts(&["profile"]));
    });
    with("optionalScopes", &|c| {
        (c.scopes, c.optional_scopes) = (texts(&["openid", "profile"]), texts(&["phone"]));
    });
    for (channel, session_required) in [
        (LogoutChannel::Back, true),
        (LogoutChannel::Back, false),
        (LogoutChannel::Front, true),
        (LogoutChannel::Front, false),
    ] {
        with("logout", &|c| {
            c.logout = Some(Logout {
                channel,
                uri: format!("{APP}/logout"),
                session_required,
            });
        });
    }
    for (access, refresh) in [(Some(60), None), (None, Some(600)), (Some(120), Some(900))] {
        with("tokenLifetimes", &|c| {
            c.lifetimes = TokenLifetimes {
                access: access.map(Duration::from_secs),
                refresh: refresh.map(Duration::from_secs),
            };
        });
    }
    for source in [
        ClaimSource::Groups { full_path: false },
        ClaimSource::Groups { full_path: true },
        ClaimSource::RealmRoles,
        ClaimSource::ClientRoles,
        ClaimSource::Constant("gold, \"quoted\" & <odd> 漢字".to_owned()),
        ClaimSource::UserAttribute("department".to_owned()),
    ] {
        let claim = |name: &str, tokens: &[ClaimToken]| Claim {
            name: name.to_owned(),
            source: source.clone(),
            tokens: tokens.iter().copied().collect(),
        };
        let all = [ClaimToken::IDToken, ClaimToken::AccessToken, ClaimToken::UserInfo];
        with("claims", &|c| c.claims = vec![claim("first", &all)]);
        with("claims", &|c| {
            c.claims = vec![claim("first", &all[..1]), claim("in.another", &all[1..])];
        });
    }
    found
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

fn public(client: DesiredClient) -> DesiredClient {
    DesiredClient {
        client_type: ClientType::Public,
        auth_method: TokenEndpointAuthMethod::None,
        ..client
    }
}
