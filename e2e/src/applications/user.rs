//! What a user does to log in: clicks, types, reads.

use anyhow::{Context, Result};

use super::{Application, Program};
use crate::browser::Page;
use crate::login::ApplicationLogin;
use crate::{dex, keycloak};

/// How the login page of an identity provider is filled in: CSS selectors.
#[derive(Debug, Clone, Copy)]
pub struct LoginPage {
    username: &'static str,
    password: &'static str,
    submit: &'static str,
    /// Of the page after it that asks whether the application may know who one is, if such a page comes.
    grant: &'static str,
}

impl LoginPage {
    /// That of Dex's password database.
    pub const DEX: Self = Self {
        username: "#login",
        password: "#password",
        submit: "#submit-login",
        // The harness's Dex does not ask, but oauth2-proxy wants it to (`approval_prompt=force`).
        grant: "form:has([name=approval][value=approve]) button",
    };
    /// Keycloak's.
    pub const KEYCLOAK: Self = Self {
        username: "#username",
        password: "#password",
        submit: "#kc-login",
        grant: "#kc-oauth [name=accept]",
    };
}

/// Somebody who can log in.
#[derive(Debug, Clone)]
pub struct User {
    /// Where.
    pub page: LoginPage,
    /// What is typed.
    pub username: String,
    /// What is typed.
    pub password: String,
    /// The claim `name`.
    pub name: String,
    /// The claim `email`.
    pub email: String,
}

impl User {
    /// The user of Dex's password database.
    pub fn of_dex() -> Self {
        Self {
            page: LoginPage::DEX,
            username: dex::USER_EMAIL.to_owned(),
            password: dex::USER_PASSWORD.to_owned(),
            name: dex::USER_NAME.to_owned(),
            email: dex::USER_EMAIL.to_owned(),
        }
    }

    /// The user of a realm.
    pub fn of_keycloak(user: &keycloak::User) -> Self {
        Self {
            page: LoginPage::KEYCLOAK,
            username: user.username.clone(),
            password: user.password.clone(),
            name: format!("{} {}", user.first_name, user.last_name),
            email: user.email.clone(),
        }
    }

    /// What an application calls this user.
    pub fn called_by(&self, program: Program) -> &str {
        match program {
            Program::OAuth2Proxy => &self.email,
            Program::Flask | Program::FastApi => &self.name,
        }
    }
}

/// How a login ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The application greets the user by this name.
    In(String),
    /// The application shows an error: its words.
    Refused(String),
}

impl Application {
    /// The same login over HTTP, without a browser; `provider_ca` is the identity provider's CA, PEM.
    pub fn login(&self, user: &User, provider_ca: &str) -> ApplicationLogin {
        let start = match self.program {
            Program::OAuth2Proxy => "/oauth2/start?rd=/",
            Program::Flask | Program::FastApi => "/login",
        };
        ApplicationLogin {
            start: format!("{}{start}", self.url()),
            ca_pem: [self.ca_pem(), provider_ca].concat(),
            username: user.username.clone(),
            password: user.password.clone(),
            inside: format!("<b id=\"user\">{}</b>", user.called_by(self.program)),
        }
    }

    /// Opens the application, logs in there with `page`, which nobody has used yet, and reads how it went.
    ///
    /// # Errors
    /// A page does not show what a user would look for; it is kept as a picture and as HTML.
    pub async fn log_in(&self, page: &Page, user: &User) -> Result<Outcome> {
        page.recorded("login", self.try_log_in(page, user))
            .await
            .with_context(|| {
                format!(
                    "login at {}, which said last:\n{}",
                    self.program.name(),
                    self.process.log_tail(10)
                )
            })
    }

    async fn try_log_in(&self, page: &Page, user: &User) -> Result<Outcome> {
        page.go(&self.url()).await?;
        let (login, user_or_error) = match self.program {
            Program::OAuth2Proxy => ("form[action$='/oauth2/start'] button", "#user, #more-info"),
            Program::Flask | Program::FastApi => ("#login", "#user, #error"),
        };
        page.click(login).await?;
        // Only then: Flask's own link is called #login as well.
        page.shows(user.page.password).await?;
        page.fill(user.page.username, &user.username).await?;
        page.fill(user.page.password, &user.password).await?;
        page.click(user.page.submit).await?;
        let LoginPage { grant, .. } = user.page;
        page.shows(&format!("{user_or_error}, {grant}")).await?;
        if page.has(grant).await? {
            page.click(grant).await?;
            page.shows(user_or_error).await?;
        }
        let words = page
            .evaluate("document.querySelector('#user')?.innerText ?? null")
            .await?;
        match words.as_str() {
            Some(name) => Ok(Outcome::In(name.to_owned())),
            None => Ok(Outcome::Refused(page.words().await?)),
        }
    }

    /// Logs out of the application, and sees that it offers to log in again.
    ///
    /// # Errors
    /// As [`Self::log_in`].
    pub async fn log_out(&self, page: &Page) -> Result<()> {
        let offer = match self.program {
            Program::OAuth2Proxy => "form[action$='/oauth2/start'] button",
            Program::Flask | Program::FastApi => "#login",
        };
        let steps = async {
            page.click("#logout").await?;
            page.shows(offer).await.map(drop)
        };
        page.recorded("logout", steps).await
    }
}
