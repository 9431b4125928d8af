//! A server over TLS, the driver with an account of its own, and an administrator who sets traps.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator::domain::{
    Claim, ClaimSource, ClaimToken, ClientSecret, DesiredClient, Endpoints, IdpError, ObservedClient, Ownership, Proof,
    RemoteDiff, TokenEndpointAuthMethod,
};
use oidc_operator::idp::authentik::{AuthentikConfig, AuthentikDriver, Settings};
use oidc_operator::idp::contract::Fixture;
use oidc_operator::idp::http::HttpClient;
use oidc_operator::idp::{Created, Credentials, Driver as _, Transport, Written};
use oidc_operator_e2e::authentik::{Authentik, AuthentikOptions, Logged, RIGHTS, Release};
use oidc_operator_e2e::http;
use oidc_operator_e2e::pki::Ca;
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const PROVIDERS: &str = "/api/v3/providers/oauth2/";
pub(crate) const APPLICATIONS: &str = "/api/v3/core/applications/";
pub(crate) const MAPPINGS: &str = "/api/v3/propertymappings/provider/scope/";
pub(crate) const TOKEN: &str = "/application/o/token/";

/// More requests than any change of a client takes.
const MAX_REQUESTS: usize = 32;

pub(crate) struct Room {
    pub(crate) server: Authentik,
    ca: Ca,
    web: reqwest::Client,
    /// The operator's.
    pub(crate) token: String,
    pub(crate) driver: AuthentikDriver,
    /// Names of scope mappings that were there before any client.
    mappings: BTreeSet<String>,
}

impl Room {
    pub(crate) async fn new() -> Result<Self> {
        Self::with(AuthentikOptions::default()).await
    }

    pub(crate) async fn of(release: Release) -> Result<Self> {
        Self::with(AuthentikOptions {
            release: Some(release),
            ..AuthentikOptions::default()
        })
        .await
    }

    pub(crate) async fn with(options: AuthentikOptions<'_>) -> Result<Self> {
        let ca = Ca::new("authentik")?;
        let web = http::client(ca.pem())?;
        let server = Authentik::start(AuthentikOptions {
            tls: Some(&ca),
            ..options
        })?;
        let token = server.service_account("oidc-operator", RIGHTS)?;
        let driver = driver(&server, &ca, &token)?;
        let mut room = Self {
            server,
            ca,
            web,
            token,
            driver,
            mappings: BTreeSet::new(),
        };
        room.mappings = room.mappings().await?;
        Ok(room)
    }

    /// A driver with another token, that has looked nothing up yet.
    pub(crate) fn driver(&self, token: &str) -> Result<AuthentikDriver> {
        driver(&self.server, &self.ca, token)
    }

    /// What an administrator asks; the answer must be a good one.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: Value) -> Result<Value> {
        let token = self.server.token().to_owned();
        let (status, answer) = self.ask(&token, method, path, body).await?;
        ensure!((200..300).contains(&status), "{path} is {status} {answer}");
        Ok(answer)
    }

    pub(crate) async fn ask(&self, token: &str, method: Method, path: &str, body: Value) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.server.url());
        let mut request = self.web.request(method, url).bearer_auth(token);
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// What an application asks.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<(u16, Value)> {
        let url = format!("{}{path}", self.server.url());
        let answer = self.web.post(url).form(fields).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    pub(crate) async fn mappings(&self) -> Result<BTreeSet<String>> {
        let list = self
            .admin(Method::GET, &format!("{MAPPINGS}?page_size=100"), Value::Null)
            .await?;
        let rows = list["results"].as_array().context("no rows")?;
        Ok(rows
            .iter()
            .filter_map(|row| Some(row["name"].as_str()?.to_owned()))
            .collect())
    }

    /// Client IDs, slugs and names of scope mappings that clients brought.
    pub(crate) async fn all(&self) -> Result<(Vec<String>, Vec<String>, Vec<String>)> {
        let mappings = self.mappings().await?;
        let own = mappings.difference(&self.mappings).cloned().collect();
        Ok((self.server.client_ids(), self.server.slugs(), own))
    }

    pub(crate) async fn nothing_is_left(&self) -> Result<()> {
        let left = self.all().await?;
        ensure!(left == (vec![], vec![], vec![]), "left behind: {left:?}");
        Ok(())
    }

    /// Just this client, whole, and nothing else.
    pub(crate) async fn is_all_there_is(&self, desired: &DesiredClient) -> Result<()> {
        let id = desired.client_id.clone();
        let claims = desired.claims.iter();
        let own = claims.map(|claim| format!("{}/{}", desired.mark, claim.name)).collect();
        let found = self.all().await?;
        ensure!(found == (vec![id.clone()], vec![id], own), "{found:?}");
        Ok(())
    }

    pub(crate) async fn get(&self, desired: &DesiredClient) -> Result<ObservedClient> {
        let found = self.driver.get(&desired.client_id, &desired.mark).await?;
        found.context("the client is not there")
    }

    pub(crate) async fn create(&self, desired: &DesiredClient, secret: &ClientSecret) -> Result<ObservedClient> {
        match self.driver.create(desired, Some(secret)).await? {
            Created::As(shown) => Ok(*shown),
            other => anyhow::bail!("create is {other:?}"),
        }
    }

    /// What separates the client from its spec.
    pub(crate) async fn diff(&self, desired: &DesiredClient, secret: &ClientSecret) -> Result<RemoteDiff> {
        let observed = self.get(desired).await?;
        Ok(self.driver.model().diff(desired, Some(secret), &observed))
    }

    /// Brings the client to `desired` as plan and executor do: looks, and makes it or changes it until nothing differs.
    pub(crate) async fn bring(&self, desired: &DesiredClient, secret: &ClientSecret) -> Result<()> {
        let model = self.driver.model();
        let Some(mut observed) = self.driver.get(&desired.client_id, &desired.mark).await? else {
            self.create(desired, secret).await?;
            return self.stands(desired, secret).await;
        };
        ensure!(observed.ownership(&desired.mark) == Ownership::Ours, "{observed:?}");
        let wanted = model.created(desired, Some(secret));
        for _ in 0..MAX_REQUESTS {
            let diff = model.diff(desired, Some(secret), &observed);
            if diff.changes.is_empty() {
                break;
            }
            let request = model.next_request(diff);
            let written = self.driver.update(&observed, desired, Some(secret), &request);
            observed = match written.await? {
                Written::As(shown) => *shown,
                Written::Done => observed.with(&request, &wanted),
                Written::NotFound | Written::Outdated => anyhow::bail!("{request:?} found nothing"),
            };
        }
        self.stands(desired, secret).await
    }

    pub(crate) async fn stands(&self, desired: &DesiredClient, secret: &ClientSecret) -> Result<()> {
        let diff = self.diff(desired, secret).await?;
        ensure!(diff == RemoteDiff::default(), "still differs: {diff:?}");
        Ok(())
    }

    pub(crate) async fn prove(&self, client_id: &str, secret: &ClientSecret) -> Proof {
        let credentials = Credentials {
            client_id,
            secret,
            // Basic credentials are not decoded there, so that no ID with a colon could be told.
            method: TokenEndpointAuthMethod::ClientSecretPost,
            redirect_uri: None,
            audience: "",
        };
        self.driver.prove(&credentials, &Endpoints::default()).await
    }

    /// What the operator sent with this method to paths that begin so, oldest first.
    pub(crate) fn sent(&self, method: &str, prefix: &str) -> Vec<Logged> {
        let mut sent = self.server.requests();
        sent.retain(|one| {
            one.user_agent.starts_with("oidc-operator/") && one.method == method && one.path.starts_with(prefix)
        });
        sent
    }

    /// A provider as people make them, with its application if it has a slug.
    pub(crate) async fn by_hand(&self, client_id: &str, name: &str, slug: Option<&str>) -> Result<Value> {
        let flow = |slug: &str| format!("/api/v3/flows/instances/?slug={slug}");
        let authorize = flow("default-provider-authorization-implicit-consent");
        let authorize = self.admin(Method::GET, &authorize, Value::Null).await?;
        let invalidate = flow("default-provider-invalidation-flow");
        let invalidate = self.admin(Method::GET, &invalidate, Value::Null).await?;
        let body = json!({
            "name": name,
            "client_id": client_id,
            "authorization_flow": authorize["results"][0]["pk"],
            "invalidation_flow": invalidate["results"][0]["pk"],
            "redirect_uris": [{ "matching_mode": "strict", "url": "https://other.example.test/" }],
        });
        let provider = self.admin(Method::POST, PROVIDERS, body).await?;
        if let Some(slug) = slug {
            let body = json!({ "name": slug, "slug": slug, "provider": provider["pk"] });
            self.admin(Method::POST, APPLICATIONS, body).await?;
        }
        Ok(provider)
    }

    /// Nothing was sent or answered that authentik's own documents forbid.
    pub(crate) fn finish(&self) -> Result<()> {
        let findings = self.server.findings();
        ensure!(findings.is_empty(), "{}", findings.join("\n"));
        Ok(())
    }
}

fn driver(server: &Authentik, ca: &Ca, token: &str) -> Result<AuthentikDriver> {
    let transport = Transport {
        timeout: Duration::from_secs(10),
        certificate_authority: Some(ca.pem().to_owned()),
        system_roots: false,
        identity: None,
    };
    let config = AuthentikConfig {
        admin_url: server.url(),
        token: token.to_owned().into(),
        settings: Settings {
            public_url: server.url(),
            authorization_flow: "default-provider-authorization-implicit-consent".to_owned(),
            invalidation_flow: "default-provider-invalidation-flow".to_owned(),
            signing_key: "authentik Self-signed Certificate".to_owned(),
            sub_mode: Default::default(),
            issuer_mode: Default::default(),
            email_verified: Default::default(),
        },
    };
    Ok(AuthentikDriver::new(&config, &transport, HttpClient::new(&transport)?)?)
}

/// A client with a claim: a provider, an application and a scope mapping.
pub(crate) fn client(name: &str) -> (DesiredClient, ClientSecret) {
    let (mut desired, secret) = Fixture::new("driver", None).client(name);
    let tokens = BTreeSet::from([ClaimToken::IDToken, ClaimToken::AccessToken, ClaimToken::UserInfo]);
    desired.claims = vec![Claim {
        name: "tier".to_owned(),
        source: ClaimSource::Constant("gold".to_owned()),
        tokens,
    }];
    (desired, secret)
}

/// The error that was hoped for.
pub(crate) fn error<T: std::fmt::Debug>(what: &str, outcome: Result<T, IdpError>) -> Result<IdpError> {
    match outcome {
        Err(error) => Ok(error),
        Ok(done) => anyhow::bail!("{what} is {done:?}"),
    }
}
