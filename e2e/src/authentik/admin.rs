//! What administrators do by the API, with code that is not the operator's.

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::Managed;
use crate::http;

/// The API with the rights of [`super::ADMIN`].
#[derive(Debug)]
pub struct Admin {
    web: Client,
    /// Ends in `/api/v3/`.
    base: String,
    token: String,
}

impl Admin {
    pub(super) fn of(managed: &Managed) -> Result<Self> {
        Ok(Self {
            web: http::client(managed.ca.pem())?,
            base: format!("{}/api/v3/", managed.server.url()),
            token: managed.server.token().to_owned(),
        })
    }

    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(u16, Value)> {
        let mut request = self.web.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.bearer_auth(&self.token).send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// An object; `None`: there is none.
    ///
    /// # Errors
    /// Any other answer.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        match self.ask(Method::GET, path, None).await? {
            (200, found) => Ok(Some(found)),
            (404, _) => Ok(None),
            (status, answer) => bail!("GET {path}: {status} {answer}"),
        }
    }

    /// A whole list; `path` has its filters, at least one.
    ///
    /// # Errors
    /// Any other answer.
    pub async fn all(&self, path: &str) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut page = 1;
        while page != 0 {
            let found = self.get(&format!("{path}&page_size=100&page={page}")).await?;
            let found = found.with_context(|| format!("no list {path}"))?;
            rows.extend(found["results"].as_array().cloned().unwrap_or_default());
            page = found["pagination"]["next"].as_u64().context("no next page")?;
        }
        Ok(rows)
    }

    /// Makes an object.
    ///
    /// # Errors
    /// It is refused.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.ask(Method::POST, path, Some(body)).await?;
        ensure!(status == 201, "POST {path}: {status} {answer}");
        Ok(answer)
    }

    /// Changes an object.
    ///
    /// # Errors
    /// It is refused.
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.ask(Method::PATCH, path, Some(body)).await?;
        ensure!(status == 200, "PATCH {path}: {status} {answer}");
        Ok(answer)
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// There is none, or it is refused.
    pub async fn delete(&self, path: &str) -> Result<()> {
        let (status, answer) = self.ask(Method::DELETE, path, None).await?;
        ensure!(status == 204, "DELETE {path}: {status} {answer}");
        Ok(())
    }

    /// All OAuth2 providers.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub async fn providers(&self) -> Result<Vec<Value>> {
        self.all("providers/oauth2/?ordering=pk").await
    }

    /// All applications.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub async fn applications(&self) -> Result<Vec<Value>> {
        self.all("core/applications/?superuser_full_list=true").await
    }

    /// All scope mappings that authentik did not bring.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub async fn made_mappings(&self) -> Result<Vec<Value>> {
        let mut all = self.all("propertymappings/provider/scope/?ordering=name").await?;
        all.retain(|mapping| mapping["managed"].is_null());
        Ok(all)
    }

    /// The path of the provider with this client ID.
    ///
    /// # Errors
    /// There is none.
    pub async fn path_of(&self, client_id: &str) -> Result<String> {
        let found = self.all(&format!("providers/oauth2/?client_id={client_id}")).await?;
        let found = found.first().with_context(|| format!("no provider for {client_id}"))?;
        Ok(format!("providers/oauth2/{}/", found["pk"]))
    }

    /// Makes a provider as a person would, with what it needs; `more` is merged into it.
    ///
    /// # Errors
    /// It is refused.
    pub async fn make_provider(&self, more: &Value) -> Result<Value> {
        let flow = async |slug: &str| {
            let flow = self.get(&format!("flows/instances/{slug}/")).await?;
            anyhow::Ok(flow.with_context(|| format!("no flow {slug}"))?["pk"].clone())
        };
        let mut body = json!({
            "authorization_flow": flow("default-provider-authorization-implicit-consent").await?,
            "invalidation_flow": flow("default-provider-invalidation-flow").await?,
            "client_type": "confidential",
            "grant_types": ["authorization_code"],
            "redirect_uris": [{"matching_mode": "strict", "url": "https://by-hand.example.com/callback"}],
        });
        crate::scene::merge(&mut body, more);
        self.post("providers/oauth2/", &body).await
    }
}
