//! The authorization endpoint, asked as a browser asks it: does it take the redirect URI?
//!
//! RFC 6749, section 4.1.2.1: where the redirect URI or the client is not known, the server tells the user, and sends nobody
//! anywhere; all other errors it sends to the redirect URI. Measured: Keycloak and authentik answer 400 to an unknown one, and
//! with a login page, or the way to one, else. Dex looks at it one step later, at its connector (`/auth/{connector}`), where it
//! redirects to, or to which its page of connectors has links.

use url::Url;

/// What the authorization endpoint said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// A login begins.
    Login,
    /// It sends the user back to the redirect URI with an error (`invalid_scope`): the redirect URI is known, but no login will
    /// end well. The error's name, if it is a plain word.
    Returned(String),
    /// It refuses, and sends the user nowhere.
    Refused(u16),
    /// An answer that says neither.
    Unclear(u16),
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// That is the answer.
    Done(Authorization),
    /// Dex's connector says more.
    Follow(Url),
}

/// An answer of the authorization endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The endpoint.
    pub endpoint: &'a Url,
    /// The redirect URI that was asked for.
    pub redirect_uri: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// Where it redirects to.
    pub target: Option<&'a Url>,
    /// The page.
    pub body: &'a str,
}

/// Reads an answer.
pub fn read(asked: Asked<'_>) -> Step {
    match (asked.status, asked.target) {
        (300..=399, Some(target)) if target.as_str().starts_with(asked.redirect_uri) => {
            Step::Done(Authorization::Returned(error_of(target)))
        }
        (300..=399, Some(target)) if is_below(asked.endpoint, target) => Step::Follow(target.clone()),
        (300..=399, Some(_)) => Step::Done(Authorization::Login),
        (200, _) => match connector(asked.endpoint, asked.body) {
            Some(link) => Step::Follow(link),
            None => Step::Done(Authorization::Login),
        },
        (status @ 400..=499, _) => Step::Done(Authorization::Refused(status)),
        (status, _) => Step::Done(Authorization::Unclear(status)),
    }
}

/// Is `target` at the same server, below the authorization endpoint?
fn is_below(endpoint: &Url, target: &Url) -> bool {
    let folder = format!("{}/", endpoint.path().trim_end_matches('/'));
    endpoint.origin() == target.origin() && target.path().starts_with(&folder)
}

/// The first link of a page that leads below the authorization endpoint: that to a connector.
fn connector(endpoint: &Url, body: &str) -> Option<Url> {
    body.split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter_map(|link| endpoint.join(&link.replace("&amp;", "&")).ok())
        .find(|link| is_below(endpoint, link))
}

/// The name of the error (RFC 6749, section 4.1.2.1), which is foreign text: a plain word, or nothing of it.
fn error_of(target: &Url) -> String {
    let found = target.query_pairs().find(|(key, _)| key == "error");
    let name = found.map(|(_, value)| value.into_owned()).unwrap_or_default();
    let plain = name.len() <= 64 && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if plain && !name.is_empty() {
        name
    } else {
        "an error".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLBACK: &str = "https://app.example.com/cb";

    fn step(endpoint: &str, status: u16, target: Option<&str>, body: &str) -> Step {
        let endpoint = Url::parse(endpoint).unwrap();
        let target = target.map(|target| endpoint.join(target).unwrap());
        read(Asked {
            endpoint: &endpoint,
            redirect_uri: CALLBACK,
            status,
            target: target.as_ref(),
            body,
        })
    }

    #[test]
    fn keycloak_and_authentik_answer_at_once() {
        let keycloak = "https://sso.example.com/realms/apps/protocol/openid-connect/auth";
        let login = Step::Done(Authorization::Login);
        assert_eq!(
            step(keycloak, 200, None, "<a href=\"/realms/apps/login-actions\">"),
            login
        );
        assert_eq!(step(keycloak, 302, Some("/realms/apps/broker/x/login"), ""), login);
        assert_eq!(step(keycloak, 400, None, ""), Step::Done(Authorization::Refused(400)));
        let authentik = "https://auth.example.com/application/o/authorize/";
        assert_eq!(step(authentik, 302, Some("/if/flow/login/?next=x"), ""), login);
    }

    #[test]
    fn dex_answers_at_its_connector() {
        let dex = "https://dex.example.com/dex/auth";
        let Step::Follow(next) = step(dex, 302, Some("/dex/auth/local?client_id=x"), "") else {
            panic!("not followed")
        };
        assert_eq!(next.as_str(), "https://dex.example.com/dex/auth/local?client_id=x");
        let page = r#"<link href="theme/styles.css"><a href="/dex/auth/ldap?client_id=x&amp;scope=openid">"#;
        let Step::Follow(next) = step(dex, 200, None, page) else {
            panic!("not followed")
        };
        assert_eq!(next.query(), Some("client_id=x&scope=openid"));
        let elsewhere = step(dex, 302, Some("https://evil.example.com/dex/auth/local"), "");
        assert_eq!(
            elsewhere,
            Step::Done(Authorization::Login),
            "another server is not asked"
        );
    }

    #[test]
    fn an_error_that_comes_back_is_named_if_it_is_a_word() {
        let returned = |query: &str| {
            let target = format!("{CALLBACK}?{query}");
            step("https://idp.example.com/auth", 302, Some(&target), "")
        };
        let named = |name: &str| Step::Done(Authorization::Returned(name.to_owned()));
        assert_eq!(returned("error=invalid_scope&state=x"), named("invalid_scope"));
        assert_eq!(returned("error=%3Cscript%3E"), named("an error"));
        assert_eq!(returned(""), named("an error"));
    }
}
