//! Authentik's API as the holder of a token sees it, by nothing but what a real server offers: for the demo, and for a run
//! against a server of the user's own, whose traces it takes away again.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use oidc_operator::idp::{
    Transport,
    http::{Answer, HttpClient},
};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

const PROVIDERS: &str = "providers/oauth2/";
const APPLICATIONS: &str = "core/applications/";
const MAPPINGS: &str = "propertymappings/provider/scope/";

/// How long an answer may take. Real servers take seconds for a list.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pages of a list that are read at most; there are 100 rows on each.
const MAX_PAGES: usize = 200;

/// A server, and a token for it.
#[derive(Debug)]
pub struct Api {
    /// `{address}/api/v3/`.
    base: Url,
    token: SecretString,
    http: HttpClient,
}

/// What stands at a server under a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    /// Slugs of applications.
    pub applications: Vec<String>,
    /// Ids and names of OAuth2 providers.
    pub providers: Vec<(String, String)>,
    /// Ids and names of scope mappings.
    pub mappings: Vec<(String, String)>,
}

impl Traces {
    /// How many objects there are.
    pub fn count(&self) -> usize {
        self.applications.len() + self.providers.len() + self.mappings.len()
    }
}

/// How to speak to a server: with its CA in PEM, or with the system's.
pub fn transport(ca: Option<&str>, timeout: Duration) -> Transport {
    Transport {
        timeout,
        certificate_authority: ca.map(str::to_owned),
        system_roots: false,
        identity: None,
    }
}

impl Api {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// The address is none, or the CA cannot be used.
    pub fn new(address: &str, ca: Option<&str>, token: &str) -> Result<Self> {
        let address = format!("{}/api/v3/", address.trim_end_matches('/'));
        Ok(Self {
            base: Url::parse(&address).with_context(|| address.clone())?,
            token: token.to_owned().into(),
            http: HttpClient::new(&transport(ca, PATIENCE))?,
        })
    }

    async fn ask(&self, method: Method, path: &str, query: &[(&str, &str)], body: Option<&Value>) -> Result<Answer> {
        let mut url = self.base.join(path).with_context(|| path.to_owned())?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(self
            .http
            .with_token("a request of the tests", method, url, &self.token, body)
            .await?)
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Option<Value>> {
        let answer = self.ask(Method::GET, path, query, None).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        ensure!(
            answer.status == 200,
            "GET {path} is answered {}: {}",
            answer.status,
            text(&answer)
        );
        Ok(Some(serde_json::from_slice(answer.body.as_bytes()).with_context(
            || format!("GET {path} is answered with something else than JSON"),
        )?))
    }

    async fn list(&self, path: &str, filter: &[(&str, &str)]) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        for page in 1..=MAX_PAGES {
            let page = page.to_string();
            let paging = [("ordering", "pk"), ("page", page.as_str()), ("page_size", "100")];
            let query: Vec<_> = filter.iter().copied().chain(paging).collect();
            let Some(found) = self.get(path, &query).await? else {
                return Ok(rows);
            };
            rows.extend(found["results"].as_array().context("results")?.iter().cloned());
            if found["pagination"]["next"].as_f64().unwrap_or_default() == 0.0 {
                return Ok(rows);
            }
        }
        anyhow::bail!("{path} has more than {MAX_PAGES} pages")
    }

    /// The OAuth2 provider with this client ID.
    ///
    /// # Errors
    /// The server does not answer as it should.
    pub async fn provider(&self, client_id: &str) -> Result<Option<Value>> {
        let rows = self.list(PROVIDERS, &[("client_id", client_id)]).await?;
        Ok(rows.into_iter().find(|row| row["client_id"] == client_id))
    }

    /// The application with this slug.
    ///
    /// # Errors
    /// As [`Self::provider`].
    pub async fn application(&self, slug: &str) -> Result<Option<Value>> {
        self.get(&format!("{APPLICATIONS}{slug}/"), &[]).await
    }

    /// Scope mappings whose name begins so.
    ///
    /// # Errors
    /// As [`Self::provider`].
    pub async fn mappings(&self, name: &str) -> Result<Vec<Value>> {
        let rows = self.list(MAPPINGS, &[("search", name)]).await?;
        Ok(rows.into_iter().filter(|row| begins(&row["name"], name)).collect())
    }

    /// Changes an OAuth2 provider, as an administrator does by hand.
    ///
    /// # Errors
    /// There is none with this client ID, or the server refuses.
    pub async fn change_provider(&self, client_id: &str, patch: &Value) -> Result<()> {
        let provider = self.provider(client_id).await?.context("no such provider")?;
        let path = format!("{PROVIDERS}{}/", provider["pk"]);
        self.write(Method::PATCH, &path, Some(patch)).await.map(drop)
    }

    /// `false`: there was nothing.
    async fn write(&self, method: Method, path: &str, body: Option<&Value>) -> Result<bool> {
        let answer = self.ask(method.clone(), path, &[], body).await?;
        ensure!(
            matches!(answer.status, 200..=204 | 404),
            "{method} {path} is answered {}: {}",
            answer.status,
            text(&answer)
        );
        Ok(answer.status != 404)
    }

    /// What there is whose name begins with `mark`, and applications whose slug begins with `slug`. The list of applications is
    /// right only if something is searched.
    ///
    /// # Errors
    /// As [`Self::provider`].
    pub async fn traces(&self, mark: &str, slug: &str) -> Result<Traces> {
        let pair = |id: String, row: &Value| (id, row["name"].as_str().unwrap_or_default().to_owned());
        let mut found = Traces::default();
        for row in self.list(PROVIDERS, &[]).await? {
            if begins(&row["name"], mark) {
                found.providers.push(pair(row["pk"].to_string(), &row));
                found
                    .applications
                    .extend(row["assigned_application_slug"].as_str().map(str::to_owned));
            }
        }
        for row in self.list(APPLICATIONS, &[("search", slug)]).await? {
            if begins(&row["slug"], slug) {
                found.applications.extend(row["slug"].as_str().map(str::to_owned));
            }
        }
        for row in self.mappings(mark).await? {
            found
                .mappings
                .push(pair(row["pk"].as_str().unwrap_or_default().to_owned(), &row));
        }
        found.applications.sort();
        found.applications.dedup();
        found.applications.retain(|slug| !slug.is_empty());
        Ok(found)
    }

    /// Takes them away.
    ///
    /// # Errors
    /// The server refuses, or does not answer: the rest is still there.
    pub async fn remove(&self, traces: &Traces) -> Result<()> {
        let applications = traces.applications.iter().map(|slug| format!("{APPLICATIONS}{slug}/"));
        let providers = traces.providers.iter().map(|(id, _)| format!("{PROVIDERS}{id}/"));
        let mappings = traces.mappings.iter().map(|(id, _)| format!("{MAPPINGS}{id}/"));
        for path in applications.chain(providers).chain(mappings) {
            self.write(Method::DELETE, &path, None).await?;
        }
        Ok(())
    }
}

fn begins(value: &Value, prefix: &str) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(prefix))
}

/// The beginning of what was said.
fn text(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(answer.body.as_bytes());
    text.chars().take(200).collect()
}
