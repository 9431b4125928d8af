//! Clients that differ from a usual one.

use std::time::Duration;

use crate::domain::{
    Claim, ClaimSource, ClaimToken, ClientType, DesiredClient, GrantType, Logout, LogoutChannel, Pkce,
    SignatureAlgorithm, TokenEndpointAuthMethod, TokenLifetimes,
};

/// The client as a public one.
pub(super) fn public(client: DesiredClient) -> DesiredClient {
    DesiredClient {
        client_type: ClientType::Public,
        auth_method: TokenEndpointAuthMethod::None,
        ..client
    }
}

/// The client with one field changed, and with what it has cleared; several times a field where it has several forms.
pub(super) fn variants(original: &DesiredClient) -> Vec<(&'static str, DesiredClient)> {
    const APP: &str = "https://app.example.com";
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let uris = |paths: &[&str]| paths.iter().map(|path| format!("{APP}{path}")).collect::<Vec<_>>();
    let mut found = Vec::new();
    let mut with = |field, change: &dyn Fn(&mut DesiredClient)| {
        let mut desired = original.clone();
        change(&mut desired);
        found.push((field, desired));
    };
    for paths in [
        &["/second"][..],
        &["/callback", "/second"],
        &["/second", "/callback"],
        &[],
    ] {
        with("redirectURIs", &|c| c.redirect_uris = uris(paths));
        with("postLogoutRedirectURIs", &|c| c.post_logout_redirect_uris = uris(paths));
    }
    for name in [Some("Another"), None] {
        with("displayName", &|c| c.display_name = name.map(str::to_owned));
        with("description", &|c| c.description = name.map(str::to_owned));
        with("logoURI", &|c| {
            c.logo_uri = name.map(|name| format!("{APP}/{name}.png"))
        });
        with("homepageURI", &|c| {
            c.homepage_uri = name.map(|name| format!("{APP}/{name}"))
        });
    }
    with("displayName", &|c| {
        (c.display_name, c.logo_uri, c.redirect_uris) = (None, None, Vec::new());
    });
    with("webOrigins", &|c| c.web_origins = texts(&[APP]));
    with("webOrigins", &|c| {
        c.web_origins = texts(&[APP, "http://localhost:8080"])
    });
    for grants in [
        &[GrantType::AuthorizationCode, GrantType::RefreshToken][..],
        &[GrantType::ClientCredentials],
        &[GrantType::DeviceCode, GrantType::RefreshToken],
        &[GrantType::AuthorizationCode, GrantType::TokenExchange],
    ] {
        with("grantTypes", &|c| c.grant_types = grants.iter().copied().collect());
    }
    with("tokenEndpointAuthMethod", &|c| {
        c.auth_method = TokenEndpointAuthMethod::ClientSecretPost;
    });
    with("pkce", &|c| c.pkce = Pkce::Required);
    for algorithm in [SignatureAlgorithm::RS256, SignatureAlgorithm::ES256] {
        with("idTokenSignedResponseAlg", &|c| c.id_token_alg = Some(algorithm));
    }
    with("scopes", &|c| c.scopes = texts(&["openid", "profile"]));
    with("scopes", &|c| {
        c.scopes = texts(&["openid", "profile", "email", "offline_access"])
    });
    with("optionalScopes", &|c| c.optional_scopes = texts(&["phone", "address"]));
    with("optionalScopes", &|c| {
        (c.scopes, c.optional_scopes) = (texts(&["openid", "phone"]), texts(&["profile"]));
    });
    with("optionalScopes", &|c| {
        (c.scopes, c.optional_scopes) = (texts(&["openid", "profile"]), texts(&["phone"]));
    });
    for (channel, session_required) in [
        (LogoutChannel::Back, true),
        (LogoutChannel::Back, false),
        (LogoutChannel::Front, true),
        (LogoutChannel::Front, false),
    ] {
        with("logout", &|c| {
            c.logout = Some(Logout {
                channel,
                uri: format!("{APP}/logout"),
                session_required,
            });
        });
    }
    for (access, refresh) in [(Some(60), None), (None, Some(600)), (Some(120), Some(900))] {
        with("tokenLifetimes", &|c| {
            c.lifetimes = TokenLifetimes {
                access: access.map(Duration::from_secs),
                refresh: refresh.map(Duration::from_secs),
            };
        });
    }
    for source in [
        ClaimSource::Groups { full_path: false },
        ClaimSource::Groups { full_path: true },
        ClaimSource::RealmRoles,
        ClaimSource::ClientRoles,
        ClaimSource::Constant("gold, \"quoted\" & <odd> 漢字".to_owned()),
        ClaimSource::UserAttribute("department".to_owned()),
    ] {
        let claim = |name: &str, tokens: &[ClaimToken]| Claim {
            name: name.to_owned(),
            source: source.clone(),
            tokens: tokens.iter().copied().collect(),
        };
        let all = [ClaimToken::IDToken, ClaimToken::AccessToken, ClaimToken::UserInfo];
        with("claims", &|c| c.claims = vec![claim("first", &all)]);
        with("claims", &|c| {
            c.claims = vec![claim("first", &all[..1]), claim("in.another", &all[1..])];
        });
    }
    found
}
