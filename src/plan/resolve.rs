//! Unset fields of a spec become what the provider and the client type ask for.

use crate::{
    api::{
        OIDCClientSpec,
        client::{self as api, ClaimType, GroupPath, LogoutType, ResolvedFields},
    },
    domain::{
        Claim, ClaimSource, ClaimToken, ClientType, DesiredClient, GrantType, Logout, LogoutChannel, Mark, MarkUid,
        Pkce, TokenEndpointAuthMethod, TokenLifetimes, duration,
    },
    plan::snapshot::{ClientView, Settings},
};

/// What an application asks for unless it says otherwise.
const DEFAULT_SCOPES: [&str; 3] = ["openid", "profile", "email"];

/// The mark of an OIDCClient.
pub fn mark(client: &ClientView, settings: &Settings) -> Mark {
    Mark {
        owner: settings.owner.clone(),
        client: client.name.clone(),
        uid: MarkUid::Uid(client.uid.clone()),
    }
}

/// The client ID of an OIDCClient.
pub fn client_id(client: &ClientView) -> String {
    client.spec.client_id_of(&client.name)
}

/// The client that the spec wants.
pub fn desired(client: &ClientView, settings: &Settings) -> DesiredClient {
    let spec = &client.spec;
    let public = spec.type_ == ClientType::Public;
    DesiredClient {
        client_type: spec.type_,
        display_name: spec.display_name.clone(),
        description: spec.description.clone(),
        homepage_uri: spec.homepage_uri.clone(),
        logo_uri: spec.logo_uri.clone(),
        redirect_uris: list(&spec.redirect_uris),
        post_logout_redirect_uris: list(&spec.post_logout_redirect_uris),
        web_origins: list(&spec.web_origins),
        grant_types: spec.grant_types.as_ref().map_or_else(
            || [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
            |grants| grants.iter().copied().collect(),
        ),
        auth_method: auth_method(spec),
        pkce: spec
            .pkce
            .unwrap_or(if public { Pkce::Required } else { Pkce::Optional }),
        scopes: spec
            .scopes
            .clone()
            .unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec()),
        optional_scopes: list(&spec.optional_scopes),
        id_token_alg: spec.id_token_signed_response_alg,
        logout: spec.logout.as_ref().map(|logout| Logout {
            channel: match logout.type_ {
                LogoutType::BackChannel => LogoutChannel::Back,
                LogoutType::FrontChannel => LogoutChannel::Front,
            },
            uri: logout.uri.clone(),
            session_required: logout.session_required,
        }),
        lifetimes: spec
            .token_lifetimes
            .as_ref()
            .map_or_else(TokenLifetimes::default, |given| TokenLifetimes {
                access: given.access_token.as_deref().and_then(duration::parse),
                refresh: given.refresh_token.as_deref().and_then(duration::parse),
            }),
        claims: spec.claims.iter().flatten().map(claim).collect(),
        ..DesiredClient::new(client_id(client), mark(client, settings))
    }
}

/// How the application authenticates.
pub fn auth_method(spec: &OIDCClientSpec) -> TokenEndpointAuthMethod {
    spec.token_endpoint_auth_method.unwrap_or(match spec.type_ {
        ClientType::Public => TokenEndpointAuthMethod::None,
        ClientType::Confidential => TokenEndpointAuthMethod::ClientSecretBasic,
    })
}

fn list(values: &Option<Vec<String>>) -> Vec<String> {
    values.clone().unwrap_or_default()
}

fn claim(claim: &api::Claim) -> Claim {
    let text = |value: Option<&String>| value.cloned().unwrap_or_default();
    let source = match claim.type_ {
        ClaimType::Groups => ClaimSource::Groups {
            full_path: claim
                .groups
                .as_ref()
                .is_some_and(|groups| groups.path == GroupPath::FullPath),
        },
        ClaimType::RealmRoles => ClaimSource::RealmRoles,
        ClaimType::ClientRoles => ClaimSource::ClientRoles,
        ClaimType::Constant => ClaimSource::Constant(text(claim.constant.as_ref().map(|constant| &constant.value))),
        ClaimType::UserAttribute => {
            ClaimSource::UserAttribute(text(claim.user_attribute.as_ref().map(|user| &user.attribute)))
        }
    };
    let all = [ClaimToken::IDToken, ClaimToken::AccessToken, ClaimToken::UserInfo];
    Claim {
        name: claim.name.clone(),
        source,
        tokens: claim
            .tokens
            .as_ref()
            .map_or_else(|| all.into(), |tokens| tokens.iter().copied().collect()),
    }
}

/// The same, as status shows it.
pub fn resolved(desired: &DesiredClient, requested_scopes: &[String]) -> ResolvedFields {
    ResolvedFields {
        grant_types: desired.grant_types.iter().copied().collect(),
        token_endpoint_auth_method: desired.auth_method,
        pkce: desired.pkce,
        scopes: requested_scopes.to_vec(),
    }
}
