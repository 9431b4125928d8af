//! Unset fields of a spec become what the provider and the client type ask for.

use crate::{
    api::client::{self as api, ClaimType, GroupPath, ResolvedFields},
    domain::{
        Claim, ClaimSource, ClaimToken, ClientType, DesiredClient, GrantType, Mark, MarkUid, Pkce,
        TokenEndpointAuthMethod,
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
        logo_uri: spec.logo_uri.clone(),
        redirect_uris: spec.redirect_uris.clone().unwrap_or_default(),
        grant_types: spec.grant_types.as_ref().map_or_else(
            || [GrantType::AuthorizationCode, GrantType::RefreshToken].into(),
            |grants| grants.iter().copied().collect(),
        ),
        auth_method: spec.token_endpoint_auth_method.unwrap_or(if public {
            TokenEndpointAuthMethod::None
        } else {
            TokenEndpointAuthMethod::ClientSecretBasic
        }),
        pkce: spec
            .pkce
            .unwrap_or(if public { Pkce::Required } else { Pkce::Optional }),
        scopes: spec
            .scopes
            .clone()
            .unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec()),
        id_token_alg: spec.id_token_signed_response_alg,
        claims: spec.claims.iter().flatten().map(claim).collect(),
        ..DesiredClient::new(client_id(client), mark(client, settings))
    }
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
