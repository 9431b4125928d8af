//! One request to authentik's API, and what its answer means.

use reqwest::Method;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{
    errors,
    wire::{Application, Listed, Mapping, Provider},
};
use crate::{
    domain::{ClientSecret, IdpError, IdpErrorKind},
    idp::{
        Transport,
        http::{Answer, CONFIGURATION, HttpClient, parse_url},
    },
};

/// Rows on a page; more are never given.
pub(super) const PAGE_SIZE: &str = "100";
/// Pages of one look-up: ten thousand objects.
const MAX_PAGES: u32 = 100;

/// What became of a POST.
pub(super) enum Made<T> {
    /// It was made, and looks like this.
    Made(T),
    /// One of its unique members is taken.
    Taken(Answer),
}

/// Authentik's API, with the operator's token.
pub(super) struct Api {
    /// `{adminURL}/api/v3/`.
    base: Url,
    token: SecretString,
    http: HttpClient,
}

impl Api {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// Where the address is none, or the CA cannot be used.
    pub(super) fn new(admin_url: &str, token: SecretString, transport: &Transport) -> Result<Self, IdpError> {
        let root = parse_url(admin_url).ok_or_else(|| {
            let message = format!("adminURL {admin_url:?} is not an http(s) URL");
            IdpError::new(IdpErrorKind::Refused, CONFIGURATION, message)
        })?;
        Ok(Self {
            base: below(&root, &["api", "v3"]),
            token,
            http: HttpClient::new(transport)?,
        })
    }

    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// The address of an object or a list; all end in a slash.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = below(&self.base, path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn send(
        &self,
        operation: &'static str,
        method: Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Answer, IdpError> {
        self.http
            .with_token(operation, method, url.clone(), &self.token, body)
            .await
    }

    /// An object; `None` where authentik says that there is none, or that the user may not see it.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
    ) -> Result<Option<T>, IdpError> {
        self.read(operation, &self.url(path, &[])).await
    }

    async fn read<T: DeserializeOwned>(&self, operation: &'static str, url: &Url) -> Result<Option<T>, IdpError> {
        let answer = self.send(operation, Method::GET, url, None).await?;
        match answer.status {
            200 => parsed(operation, url, &answer).map(Some),
            404 if errors::is_missing_object(&answer) => Ok(None),
            _ => Err(errors::of_answer(operation, url, &answer, None)),
        }
    }

    /// One page of a list, 1 being the first; `None` beyond the end.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
        page: u32,
    ) -> Result<Option<Listed<T>>, IdpError> {
        let number = page.to_string();
        let paging = [("page", number.as_str()), ("page_size", PAGE_SIZE)];
        let query: Vec<(&str, &str)> = query.iter().copied().chain(paging).collect();
        self.read(operation, &self.url(path, &query)).await
    }

    /// A whole list. Filters that a release does not know are ignored there: the caller looks at each row again.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Vec<T>, IdpError> {
        let mut rows = Vec::new();
        for page in 1..=MAX_PAGES {
            let Some(found) = self.page(operation, path, query, page).await? else {
                return Ok(rows);
            };
            let more = found.has_more();
            rows.extend(found.results);
            if !more {
                return Ok(rows);
            }
        }
        let message = format!("more than {MAX_PAGES} pages of {PAGE_SIZE}");
        Err(IdpError::new(IdpErrorKind::Protocol, operation, message))
    }

    /// Makes an object, of which `unique` members may be taken.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        body: &Value,
        unique: &[&str],
        secret: Option<&ClientSecret>,
    ) -> Result<Made<T>, IdpError> {
        let url = self.url(path, &[]);
        let answer = self.send(operation, Method::POST, &url, Some(body)).await?;
        match answer.status {
            200 | 201 => parsed(operation, &url, &answer).map(Made::Made),
            400 if errors::is_taken(&answer, unique) => Ok(Made::Taken(answer)),
            _ => Err(errors::of_answer(operation, &url, &answer, secret)),
        }
    }

    /// Changes members of an object; `None` where there is none.
    pub(super) async fn patch<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        body: &Value,
        secret: Option<&ClientSecret>,
    ) -> Result<Option<T>, IdpError> {
        let url = self.url(path, &[]);
        let answer = self.send(operation, Method::PATCH, &url, Some(body)).await?;
        match answer.status {
            200 => parsed(operation, &url, &answer).map(Some),
            404 if errors::is_missing_object(&answer) => Ok(None),
            _ => Err(errors::of_answer(operation, &url, &answer, secret)),
        }
    }

    /// Deletes an object; `false` where there is none.
    pub(super) async fn delete(&self, operation: &'static str, path: &[&str]) -> Result<bool, IdpError> {
        let url = self.url(path, &[]);
        let answer = self.send(operation, Method::DELETE, &url, None).await?;
        match answer.status {
            200 | 202 | 204 => Ok(true),
            404 if errors::is_missing_object(&answer) => Ok(false),
            _ => Err(errors::of_answer(operation, &url, &answer, None)),
        }
    }
}

fn parsed<T: DeserializeOwned>(operation: &'static str, url: &Url, answer: &Answer) -> Result<T, IdpError> {
    serde_json::from_slice(answer.body.as_bytes()).map_err(|_| errors::not_authentik(operation, url))
}

/// Every address of the API ends in a slash; without it, a POST is answered by an empty 405.
fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // An http(s) URL always has segments.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments).push("");
    }
    url
}

/// Providers with this client ID, or this name: at most one each.
pub(super) async fn provider_by(api: &Api, member: &'static str, value: &str) -> Result<Option<Provider>, IdpError> {
    let rows: Vec<Provider> = api
        .list("GET provider", &["providers", "oauth2"], &[(member, value)])
        .await?;
    let is_it = |row: &Provider| {
        let found = if member == "name" { &row.name } else { &row.client_id };
        found == value
    };
    Ok(rows.into_iter().find(is_it))
}

/// The application with this slug. Its list is no help: it leaves out what the user may not open, and is cached.
pub(super) async fn application(api: &Api, slug: &str) -> Result<Option<Application>, IdpError> {
    api.get("GET application", &["core", "applications", slug]).await
}

/// Scope mappings whose name contains `text`; all, without.
pub(super) async fn mappings(api: &Api, text: Option<&str>) -> Result<Vec<Mapping>, IdpError> {
    let query: Vec<(&str, &str)> = text.map(|text| ("search", text)).into_iter().collect();
    api.list("GET scope mappings", &["propertymappings", "provider", "scope"], &query)
        .await
}
