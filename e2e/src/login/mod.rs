//! A login as an application does it, without a browser: authorization code flow, token request, verified ID token
//! (OpenID Connect Core 1.0, section 3.1; PKCE: RFC 7636).

mod application;
mod form;
mod id_token;
mod token;
mod walk;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

pub use application::{ApplicationLogin, Attempt, Gap, failures, gaps, refused_for_a_secret, stream};
pub use token::{ClientAuth, secret_accepted};

use crate::{dex, http, random};
use walk::End;

/// Everything an application and its user need for a login.
#[derive(Debug, Clone)]
pub struct Login {
    /// The issuer; its discovery document says the rest.
    pub issuer: String,
    /// The CA that the application trusts, PEM.
    pub ca_pem: String,
    /// `client_id`.
    pub client_id: String,
    /// How the client proves itself at the token endpoint.
    pub client_auth: ClientAuth,
    /// One of the client's redirect URIs. Nothing is requested from it.
    pub redirect_uri: String,
    /// Scopes with spaces between them.
    pub scope: String,
    /// Whether to use PKCE (S256).
    pub pkce: bool,
    /// What the user types.
    pub username: String,
    /// What the user types.
    pub password: String,
}

/// What a login gave.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The claims of the ID token, whose signature, issuer, audience, expiry and nonce were verified.
    pub claims: Value,
    /// The token endpoint's whole answer: `id_token`, `access_token`, `refresh_token`, ...
    pub tokens: Value,
}

/// What is used of the discovery document (OpenID Connect Discovery 1.0).
#[derive(Debug, Clone, Deserialize)]
pub struct Discovery {
    /// Must be the issuer that was asked.
    pub issuer: String,
    /// Where the browser is sent.
    pub authorization_endpoint: String,
    /// Where the code is exchanged.
    pub token_endpoint: String,
    /// The keys of the ID tokens.
    pub jwks_uri: String,
}

impl Login {
    /// A login of Dex's user ([`dex::USER_EMAIL`]) with scope `openid profile email` and without PKCE.
    pub fn new(issuer: &str, ca_pem: &str, client_id: &str, client_auth: ClientAuth, redirect_uri: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            ca_pem: ca_pem.to_owned(),
            client_id: client_id.to_owned(),
            client_auth,
            redirect_uri: redirect_uri.to_owned(),
            scope: "openid profile email".to_owned(),
            pkce: false,
            username: dex::USER_EMAIL.to_owned(),
            password: dex::USER_PASSWORD.to_owned(),
        }
    }

    /// The same as another user.
    #[must_use]
    pub fn with_user(mut self, username: &str, password: &str) -> Self {
        username.clone_into(&mut self.username);
        password.clone_into(&mut self.password);
        self
    }

    /// The same with other scopes, with spaces between them.
    #[must_use]
    pub fn with_scope(mut self, scope: &str) -> Self {
        scope.clone_into(&mut self.scope);
        self
    }

    /// The same with PKCE.
    #[must_use]
    pub fn with_pkce(mut self) -> Self {
        self.pkce = true;
        self
    }

    /// Logs in.
    ///
    /// # Errors
    /// The identity provider refuses any of it (the text has its words), or the ID token is not good.
    pub async fn run(&self) -> Result<LoggedIn> {
        let web = http::builder(&self.ca_pem)?
            .cookie_store(true)
            .redirect(Policy::none())
            .build()?;
        let discovery = discover(&web, &self.issuer).await?;
        let (state, nonce, verifier) = (random::token()?, random::token()?, random::token()? + &random::token()?);

        let mut start = Url::parse(&discovery.authorization_endpoint).context("authorization_endpoint")?;
        start
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &self.scope)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce);
        if self.pkce {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
            start
                .query_pairs_mut()
                .append_pair("code_challenge", &challenge)
                .append_pair("code_challenge_method", "S256");
        }
        let code = self.authorize(&web, start, &state).await.context("authorization")?;

        let request = token::Exchange {
            client_id: &self.client_id,
            auth: &self.client_auth,
            code: &code,
            redirect_uri: &self.redirect_uri,
            verifier: self.pkce.then_some(verifier.as_str()),
        };
        let tokens = token::exchange(&web, &discovery.token_endpoint, &request)
            .await
            .context("token request")?;
        let keys = json(web.get(&discovery.jwks_uri).send().await?).await.context("JWKS")?;
        let token = tokens["id_token"].as_str().context("no id_token in the answer")?;
        let expected = id_token::Expected {
            issuer: &self.issuer,
            client_id: &self.client_id,
            nonce: &nonce,
        };
        let claims = id_token::verify(token, &keys, &expected).context("ID token")?;
        Ok(LoggedIn { claims, tokens })
    }

    /// Plays the browser and its user until the redirect URI comes up; gives the code.
    async fn authorize(&self, web: &Client, start: Url, state: &str) -> Result<String> {
        let at_the_end = |url: &Url| url.as_str().starts_with(&self.redirect_uri);
        match walk::walk(web, start, (&self.username, &self.password), at_the_end).await? {
            End::Redirected(url) => code_of(&url, state),
            End::Page { url, status, page } => bail!("{url} answered {status}:\n{}", short(&page)),
        }
    }
}

/// Fetches an issuer's discovery document.
///
/// # Errors
/// It cannot be fetched, or names another issuer.
pub async fn discover(web: &Client, issuer: &str) -> Result<Discovery> {
    // OpenID Connect Discovery 1.0, section 4: a slash at the end of the issuer is taken away first.
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let answer = json(web.get(&url).send().await.with_context(|| url.clone())?)
        .await
        .with_context(|| url.clone())?;
    let discovery: Discovery = serde_json::from_value(answer).with_context(|| url.clone())?;
    ensure!(
        discovery.issuer == issuer,
        "{url} is of the issuer {}",
        discovery.issuer
    );
    Ok(discovery)
}

fn code_of(redirected: &Url, state: &str) -> Result<String> {
    let value = |name: &str| {
        redirected
            .query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if let Some(error) = value("error") {
        bail!("refused: {error}: {}", value("error_description").unwrap_or_default());
    }
    ensure!(value("state").as_deref() == Some(state), "the state came back changed");
    value("code").with_context(|| format!("no code in {redirected}"))
}

async fn json(response: Response) -> Result<Value> {
    let status = response.status();
    let text = response.text().await?;
    ensure!(status.is_success(), "{status}: {}", short(&text));
    serde_json::from_str(&text).with_context(|| format!("not JSON: {}", short(&text)))
}

/// The words of a page, cut to what a person reads in a failed test.
fn short(page: &str) -> String {
    let mut text = String::new();
    for (number, part) in page.split('<').enumerate() {
        let words = if number == 0 {
            part
        } else {
            part.split_once('>').map_or("", |(_, words)| words)
        };
        text.extend(words.split_whitespace().flat_map(|word| [word, " "]));
    }
    text.chars().take(400).collect()
}
