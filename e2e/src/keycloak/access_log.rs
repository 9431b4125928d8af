//! What was requested of Keycloak, from its access log: method, path, status and who asked.
//!
//! The log has no durations, because Keycloak does not record when a request began.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Access;
use crate::random;
use crate::wait::eventually;

/// `e2e` tells our lines from others; the user agent is last because it may hold spaces.
pub(super) const PATTERN: &str = "e2e %m %s %U %{i,User-Agent}";
const LOGGER: &str = "[org.keycloak.http.access-log] ";
/// What the operator calls itself begins so; the harness is `oidc-operator-e2e/`.
const OPERATOR: &str = "oidc-operator/";
/// The path of the requests that [`settle`] makes.
const SETTLE: &str = "/e2e-settle/";

/// A point in the access log; it stays valid when Keycloak is started again.
#[derive(Debug, Clone, Copy)]
pub struct Mark(u64);

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it was answered, `2026-11-24 18:17:33,197` in the server's time zone.
    pub time: String,
    /// `GET` and so on.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, without `?`; empty if there was none.
    pub query: String,
    /// The status of the answer.
    pub status: u16,
    /// `User-Agent`; `-` if there was none.
    pub user_agent: String,
}

impl Request {
    fn parse(line: &str) -> Option<Self> {
        let (prefix, rest) = line.split_once(LOGGER)?;
        let (_thread, rest) = rest.split_once(") e2e ")?;
        let mut fields = rest.splitn(4, ' ');
        let (method, status, target) = (fields.next()?, fields.next()?, fields.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(Self {
            time: prefix.chars().take(23).collect(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            status: status.parse().ok()?,
            user_agent: fields.next().unwrap_or_default().to_owned(),
        })
    }

    /// One that was not answered yet, without time, status and user agent.
    pub(crate) fn arriving(method: &str, uri: &hyper::Uri) -> Self {
        Self {
            time: String::new(),
            method: method.to_owned(),
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            status: 0,
            user_agent: String::new(),
        }
    }

    /// The realm, if the path is of one.
    pub fn realm(&self) -> Option<&str> {
        let (realm, _) = self.in_realm()?;
        Some(realm)
    }

    /// Realm, and what follows it: `/admin/...` for the admin API.
    fn in_realm(&self) -> Option<(&str, String)> {
        let (admin, rest) = match self.path.strip_prefix("/admin/realms/") {
            Some(rest) => ("/admin", rest),
            None => ("", self.path.strip_prefix("/realms/")?),
        };
        let (realm, rest) = rest.split_once('/').unwrap_or((rest, ""));
        Some((realm, format!("{admin}/{rest}")))
    }

    /// What it asks for, whichever realm and object: `POST /admin/clients`, `PUT /admin/clients/{id}`,
    /// `GET /admin/clients?clientId`, `GET /admin/clients?first&max`, `POST /protocol/openid-connect/token`. A part that is a UUID
    /// becomes `{id}`; of the query the names remain, in order.
    pub fn kind(&self) -> String {
        let path = self.in_realm().map_or_else(|| self.path.clone(), |(_, path)| path);
        let parts: Vec<&str> = path
            .split('/')
            .map(|part| if is_uuid(part) { "{id}" } else { part })
            .collect();
        let mut names: Vec<&str> = self
            .query
            .split('&')
            .filter_map(|pair| pair.split('=').next())
            .collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        let query = if names.is_empty() { "" } else { "?" };
        format!("{} {}{query}{}", self.method, parts.join("/"), names.join("&"))
    }
}

fn is_uuid(part: &str) -> bool {
    part.len() == 36
        && part.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Requests, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests(pub Vec<Request>);

impl Requests {
    /// Those of the operator: its User-Agent begins with `oidc-operator/`.
    #[must_use]
    pub fn of_operator(&self) -> Self {
        self.such(|request| request.user_agent.starts_with(OPERATOR))
    }

    /// Those of one realm.
    #[must_use]
    pub fn of_realm(&self, realm: &str) -> Self {
        self.such(|request| request.realm() == Some(realm))
    }

    /// Those that write through the admin API: all but `GET`.
    #[must_use]
    pub fn admin_writes(&self) -> Self {
        self.such(|request| request.path.starts_with("/admin/") && request.method != "GET")
    }

    /// Those to the token endpoints.
    #[must_use]
    pub fn token_requests(&self) -> Self {
        self.such(|request| request.path.ends_with("/protocol/openid-connect/token"))
    }

    /// Those that `wanted` says.
    #[must_use]
    pub fn such(&self, wanted: impl Fn(&Request) -> bool) -> Self {
        Self(self.0.iter().filter(|request| wanted(request)).cloned().collect())
    }

    /// How many there are of each [`Request::kind`].
    pub fn kinds(&self) -> BTreeMap<String, usize> {
        let mut kinds = BTreeMap::new();
        for request in &self.0 {
            *kinds.entry(request.kind()).or_default() += 1;
        }
        kinds
    }

    /// How many there are of one [`Request::kind`].
    pub fn count(&self, kind: &str) -> usize {
        self.0.iter().filter(|request| request.kind() == kind).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The end of the log.
pub(super) fn end(log: &Path) -> Result<Mark> {
    let length = std::fs::metadata(log)
        .with_context(|| format!("{}", log.display()))?
        .len();
    Ok(Mark(length))
}

/// The requests after `mark`.
pub(super) fn read(log: &Path, mark: Mark) -> Result<Requests> {
    let mut requests: Vec<Request> = text_after(log, mark)?.lines().filter_map(Request::parse).collect();
    requests.retain(|request| !request.path.starts_with(SETTLE));
    Ok(Requests(requests))
}

fn text_after(log: &Path, mark: Mark) -> Result<String> {
    let mut bytes = Vec::new();
    let mut file = File::open(log).with_context(|| format!("{}", log.display()))?;
    file.seek(SeekFrom::Start(mark.0))?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A request is logged after it was answered, by whichever thread answered it: a later one of another connection may stand
/// in the log before it. Waits until several of our own show, each of a connection of its own and with a pause between, so
/// that all before them do too.
pub(super) async fn settle(access: &Access) -> Result<()> {
    const ROUNDS: u32 = 3;
    const PAUSE: Duration = Duration::from_millis(100);

    for round in 0..ROUNDS {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let start = end(&access.log)?;
        let path = format!("{SETTLE}{}", random::token()?);
        let url = format!("{}{path}", access.base_url);
        access.web()?.get(url).send().await.context("access log")?;
        eventually("the access log is up to date", Duration::from_secs(60), async || {
            if !text_after(&access.log, start)?.contains(&path) {
                bail!("not yet");
            }
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> Request {
        let line = format!(
            "2026-11-24 18:17:33,197 INFO  [org.keycloak.http.access-log] (executor-thread-1) e2e GET 200 {target} oidc-operator/0.1 (x)"
        );
        Request::parse(&line).expect("a line of the access log")
    }

    #[test]
    fn lines_are_read() {
        let read = request("/realms/r/.well-known/openid-configuration?a=b%20c");
        let expected = Request {
            time: "2026-11-24 18:17:33,197".to_owned(),
            method: "GET".to_owned(),
            path: "/realms/r/.well-known/openid-configuration".to_owned(),
            query: "a=b%20c".to_owned(),
            status: 200,
            user_agent: "oidc-operator/0.1 (x)".to_owned(),
        };
        assert_eq!(read, expected);
        assert_eq!(
            Request::parse("2026-11-24 18:17:33,197 INFO  [org.keycloak] (main) e2e GET 200 /"),
            None
        );
    }

    #[test]
    fn kinds_name_no_realm_and_no_object() {
        let id = "8f14e45f-ceea-467f-a0e6-000000000001";
        for (target, kind) in [
            (
                "/admin/realms/r/clients?max=100&first=0",
                "GET /admin/clients?first&max",
            ),
            (
                &format!("/admin/realms/r/clients/{id}/default-client-scopes/{id}"),
                "GET /admin/clients/{id}/default-client-scopes/{id}",
            ),
            (
                "/realms/r/protocol/openid-connect/certs",
                "GET /protocol/openid-connect/certs",
            ),
            ("/realms/r", "GET /"),
            ("/admin/serverinfo", "GET /admin/serverinfo"),
        ] {
            assert_eq!(request(target).kind(), kind);
        }
    }

    #[test]
    fn the_harness_is_not_the_operator() {
        let mut harness = request("/");
        harness.user_agent = crate::http::USER_AGENT.to_owned();
        let both = Requests(vec![request("/a"), harness]);
        assert_eq!(both.of_operator().len(), 1);
    }
}
