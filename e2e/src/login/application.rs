//! Logins at a running application, one after the other, to see when they fail and for how long.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::{join, join_all};
use reqwest::redirect::Policy;
use tokio::sync::watch;
use url::Url;

use super::short;
use super::walk::{End, walk};
use crate::http;

/// How a user logs into an application.
#[derive(Debug, Clone)]
pub struct ApplicationLogin {
    /// The link that begins it.
    pub start: String,
    /// The CAs of the application and of the identity provider, PEM.
    pub ca_pem: String,
    /// What the user types.
    pub username: String,
    /// What the user types.
    pub password: String,
    /// HTML that only the page of somebody who is logged in has.
    pub inside: String,
}

impl ApplicationLogin {
    /// Logs in, with no cookies of a former login.
    ///
    /// # Errors
    /// The application or the identity provider cannot be reached, or one of them refuses: the text has its words.
    pub async fn run(&self) -> Result<()> {
        let web = http::builder(&self.ca_pem)?
            .cookie_store(true)
            .redirect(Policy::none())
            .build()?;
        let start = Url::parse(&self.start).with_context(|| self.start.clone())?;
        let nowhere = |_: &Url| false;
        match walk(&web, start, (&self.username, &self.password), nowhere).await? {
            End::Page { status, page, .. } if status.is_success() && page.contains(&self.inside) => Ok(()),
            End::Page { url, status, page } => bail!("{} answered {status}:\n{}", url.path(), short(&page)),
            End::Redirected(url) => bail!("ended at {url}"),
        }
    }
}

/// One login of a [`stream`].
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub started: Instant,
    /// When it had ended, well or not.
    pub ended: Instant,
    /// Why it failed; `None` if it did not.
    pub failure: Option<String>,
}

/// Lets `users` log in at the same time, each again and again, until `body` has ended; gives what it gave, and all logins in the order in
/// which they began.
///
/// # Errors
/// When one login before the stream fails. It is there so that the provider knows the user: of two first logins at once Dex 2.45 fails
/// one ("failed to finalize login", "ID already exists").
pub async fn stream<T>(
    login: &ApplicationLogin,
    users: usize,
    body: impl Future<Output = T>,
) -> Result<(T, Vec<Attempt>)> {
    login.run().await.context("the login before the stream")?;
    let (end, ended) = watch::channel(false);
    let user = async || {
        let mut attempts = Vec::new();
        while !*ended.borrow() {
            let started = Instant::now();
            let failure = login.run().await.err().map(|error| format!("{error:#}"));
            let ended = Instant::now();
            attempts.push(Attempt {
                started,
                ended,
                failure,
            });
            if attempts.last().is_some_and(|attempt| attempt.failure.is_some()) {
                // A refused connection costs nothing; its tries should not take the processor from what is awaited.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        attempts
    };
    let body = async {
        let given = body.await;
        // Each user ends the login that has begun.
        let _ = end.send(true);
        given
    };
    let (given, attempts) = join(body, join_all((0..users).map(|_| user()))).await;
    let mut attempts = attempts.concat();
    attempts.sort_by_key(|attempt| attempt.started);
    Ok((given, attempts))
}

/// Why logins of a [`stream`] failed.
pub fn failures(attempts: &[Attempt]) -> Vec<&str> {
    attempts
        .iter()
        .filter_map(|attempt| attempt.failure.as_deref())
        .collect()
}

/// Whether a login failed for a secret that one side has and the other has not yet: what Dex and Keycloak answer then, and Dex's
/// login page while it knows no such client, between the deletion and the creation of a client whose secret it can't replace.
pub fn refused_for_a_secret(failure: &str) -> bool {
    let said = ["invalid_client", "unauthorized_client", "Invalid client_id"];
    said.iter().any(|said| failure.contains(said))
}

/// A time in which no login worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When the first login began that failed.
    pub began: Instant,
    /// From then until the next one began that worked; at least until the last that failed had ended.
    pub length: Duration,
    /// How many logins failed in it.
    pub failures: usize,
}

/// The gaps in a [`stream`], whose logins are in the order in which they began.
pub fn gaps(attempts: &[Attempt]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut open: Option<Gap> = None;
    for attempt in attempts {
        if attempt.failure.is_some() {
            let gap = open.get_or_insert(Gap {
                began: attempt.started,
                length: Duration::ZERO,
                failures: 0,
            });
            gap.failures += 1;
            gap.length = gap.length.max(attempt.ended - gap.began);
        } else if let Some(mut gap) = open.take() {
            gap.length = gap.length.max(attempt.started - gap.began);
            gaps.push(gap);
        }
    }
    gaps.extend(open);
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_ends_with_the_first_login_that_works_again() {
        let zero = Instant::now();
        let at = |millis: u64| zero + Duration::from_millis(millis);
        let attempt = |started: u64, ended: u64, works: bool| Attempt {
            started: at(started),
            ended: at(ended),
            failure: (!works).then(|| "refused".to_owned()),
        };
        let attempts = [
            attempt(0, 90, true),
            attempt(100, 150, false),
            attempt(160, 200, false),
            attempt(300, 400, true),
            attempt(400, 480, false),
        ];
        let gap = |began: u64, length: u64, failures| Gap {
            began: at(began),
            length: Duration::from_millis(length),
            failures,
        };
        assert_eq!(gaps(&attempts), [gap(100, 200, 2), gap(400, 80, 1)]);
        assert_eq!(gaps(&attempts[..1]), []);
    }
}
