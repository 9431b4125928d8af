//! What a browser and its user do between the first request and the last page: follow redirects, fill in the login form.

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, StatusCode};
use url::Url;

use super::{form, short};

/// Far more than any identity provider and any application take.
const STEPS: usize = 16;

/// Where the way ended.
pub(super) enum End {
    /// At a redirect to where it was to end; nothing was requested from there.
    Redirected(Url),
    /// At a page that is no login form.
    Page { url: Url, status: StatusCode, page: String },
}

/// Goes from `start` to the first redirect that is the `end`, or to the first page that is no login form. The user types name and
/// password once. `web` must keep cookies and follow no redirects.
pub(super) async fn walk(web: &Client, start: Url, user: (&str, &str), end: impl Fn(&Url) -> bool) -> Result<End> {
    let mut here = start.clone();
    let mut response = web.get(start).send().await?;
    let mut password_given = false;
    for _ in 0..STEPS {
        let status = response.status();
        if status.is_redirection() {
            let location = response
                .headers()
                .get("location")
                .context("a redirect without location")?
                .to_str()?;
            let next = here.join(location).with_context(|| format!("location {location}"))?;
            if end(&next) {
                return Ok(End::Redirected(next));
            }
            response = web.get(next.clone()).send().await?;
            here = next;
            continue;
        }
        let page = response.text().await?;
        let Some(form) = form::login_form(&page) else {
            return Ok(End::Page {
                url: here,
                status,
                page,
            });
        };
        ensure!(!password_given, "the login was refused ({status}):\n{}", short(&page));
        password_given = true;
        let action = here
            .join(&form.action)
            .with_context(|| format!("form action {}", form.action))?;
        response = web
            .post(action.clone())
            .form(&form.filled(user.0, user.1))
            .send()
            .await?;
        here = action;
    }
    bail!("no end after {STEPS} steps; the last was {here}")
}
