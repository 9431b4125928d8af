//! Client metadata (RFC 7591, section 2; OpenID Connect Dynamic Client Registration 1.0, section 2; RP-Initiated, Back-Channel and
//! Front-Channel Logout 1.0), in both directions.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::{
    domain::{
        ClientType, DesiredClient, Fields, GrantType, LogoutChannel,
        client::{FIELD_TYPE, OPENID},
        registration::software_id,
    },
    idp::normal_form::{
        Collected, DISPLAY_NAME, GRANT_TYPES, HOMEPAGE_URI, LOGO_URI, LOGOUT, POST_LOGOUT_REDIRECT_URIS, REDIRECT_URIS,
        sorted, text,
    },
};

pub(super) const AUTH_METHOD: &str = "tokenEndpointAuthMethod";
pub(super) const ID_TOKEN_ALG: &str = "idTokenSignedResponseAlg";
pub(super) const SCOPES: &str = "scopes";

/// What is asked for, or was registered. A member that is not there was not mentioned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) redirect_uris: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) application_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token_endpoint_auth_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) grant_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_types: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id_token_signed_response_alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) post_logout_redirect_uris: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backchannel_logout_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backchannel_logout_session_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frontchannel_logout_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) frontchannel_logout_session_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) software_id: Option<String>,
}

/// A native application has addresses of its own machine or its own scheme only (OpenID Connect Dynamic Client Registration 1.0,
/// section 2, `application_type`; RFC 8252, section 7). A server may refuse those of any other.
fn is_native(desired: &DesiredClient) -> bool {
    let own = |uri: &String| match Url::parse(uri) {
        Ok(url) if url.scheme() == "http" || url.scheme() == "https" => match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        },
        Ok(_) => true,
        Err(_) => false,
    };
    desired.client_type == ClientType::Public
        && !desired.redirect_uris.is_empty()
        && desired.redirect_uris.iter().all(own)
}

/// The scopes but `openid`, sorted.
fn permissions(scope: &str) -> String {
    sorted(scope.split_ascii_whitespace().filter(|scope| *scope != OPENID))
}

fn unless_empty(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}

impl Metadata {
    /// As the spec wants it. An update replaces all: what is not mentioned is cleared (RFC 7592, section 2.2).
    pub(super) fn of(desired: &DesiredClient) -> Self {
        let grants = desired.grant_types.iter().map(|grant| grant.as_str().to_owned());
        let scopes = sorted(desired.scopes.iter().chain(&desired.optional_scopes));
        let logout = desired.logout.as_ref();
        let told = |channel: LogoutChannel| logout.filter(|logout| logout.channel == channel);
        let (back, front) = (told(LogoutChannel::Back), told(LogoutChannel::Front));
        let uses_code = desired.uses(GrantType::AuthorizationCode);
        Self {
            redirect_uris: unless_empty(&desired.redirect_uris),
            client_name: desired.display_name.clone(),
            client_uri: desired.homepage_uri.clone(),
            logo_uri: desired.logo_uri.clone(),
            application_type: Some(if is_native(desired) { "native" } else { "web" }.to_owned()),
            token_endpoint_auth_method: Some(desired.auth_method.as_str().to_owned()),
            grant_types: Some(grants.collect()),
            response_types: Some(if uses_code { vec!["code".to_owned()] } else { Vec::new() }),
            scope: Some(scopes).filter(|scopes| !scopes.is_empty()),
            id_token_signed_response_alg: desired.id_token_alg.map(|algorithm| algorithm.as_str().to_owned()),
            post_logout_redirect_uris: unless_empty(&desired.post_logout_redirect_uris),
            backchannel_logout_uri: back.map(|logout| logout.uri.clone()),
            backchannel_logout_session_required: back.map(|logout| logout.session_required),
            frontchannel_logout_uri: front.map(|logout| logout.uri.clone()),
            frontchannel_logout_session_required: front.map(|logout| logout.session_required),
            software_id: desired
                .attempt
                .as_ref()
                .map(|attempt| software_id(&desired.mark, attempt)),
        }
    }

    /// The same without the scope `openid`: no permission, but what makes a request one of OpenID Connect (OIDC Core, section 3.1.2.1).
    /// Some servers want it in a client's metadata (Hydra), others refuse it there as a scope that they do not know (Keycloak's policy
    /// `Allowed Client Scopes`). `None` where it is not in there.
    pub(super) fn without_openid(&self) -> Option<Self> {
        let scope = self.scope.as_ref()?;
        let others = permissions(scope);
        (others != *scope).then(|| Self {
            scope: Some(others).filter(|scope| !scope.is_empty()),
            ..self.clone()
        })
    }

    /// In normal form: what a spec may ask for, by its names there.
    pub(super) fn fields(&self) -> Fields {
        let mut fields = Collected::default();
        let list = |values: &Option<Vec<String>>| values.clone().unwrap_or_default();
        if let Some(method) = &self.token_endpoint_auth_method {
            let public = method == "none";
            let type_ = if public {
                ClientType::Public
            } else {
                ClientType::Confidential
            };
            fields.put(FIELD_TYPE, type_.as_str());
            fields.put(AUTH_METHOD, if public { "" } else { method.as_str() });
        }
        // The order has no meaning there, whatever it has in output formats.
        fields.put(REDIRECT_URIS, sorted(list(&self.redirect_uris)));
        fields.put(POST_LOGOUT_REDIRECT_URIS, sorted(list(&self.post_logout_redirect_uris)));
        fields.put(DISPLAY_NAME, text(&self.client_name));
        fields.put(HOMEPAGE_URI, text(&self.client_uri));
        fields.put(LOGO_URI, text(&self.logo_uri));
        fields.put(GRANT_TYPES, sorted(list(&self.grant_types)));
        fields.put(SCOPES, permissions(&text(&self.scope)));
        fields.put(ID_TOKEN_ALG, text(&self.id_token_signed_response_alg));
        fields.put(LOGOUT, self.logout());
        fields.0
    }

    fn logout(&self) -> String {
        let of = |channel: &str, uri: &Option<String>, session: Option<bool>| {
            let uri = uri.as_ref().filter(|uri| !uri.is_empty())?;
            let session = if session.unwrap_or_default() {
                " with the session"
            } else {
                ""
            };
            Some(format!("{channel} {uri}{session}"))
        };
        let back = of(
            "BackChannel",
            &self.backchannel_logout_uri,
            self.backchannel_logout_session_required,
        );
        let front = of(
            "FrontChannel",
            &self.frontchannel_logout_uri,
            self.frontchannel_logout_session_required,
        );
        back.into_iter().chain(front).collect::<Vec<_>>().join(", ")
    }

    /// For an update: texts that go are sent empty. To leave them out is enough by RFC 7592, section 2.2, and Keycloak keeps them then.
    #[must_use]
    pub(super) fn clearing(mut self, before: &Fields) -> Self {
        let texts = [
            (DISPLAY_NAME, &mut self.client_name),
            (HOMEPAGE_URI, &mut self.client_uri),
            (LOGO_URI, &mut self.logo_uri),
        ];
        for (field, text) in texts {
            if before.contains_key(field) {
                text.get_or_insert_default();
            }
        }
        self
    }

    /// What was registered otherwise than `asked`, as it is now. What an answer does not mention, nobody knows. A server may provision
    /// what was not asked for (RFC 7591, section 3.2.1); that is told where the spec means none (Keycloak lets users come back to
    /// every redirect URI after a logout).
    pub(super) fn altered(&self, asked: &Self) -> Fields {
        // Whether the notice names the session may be left out, too.
        let told = Self {
            backchannel_logout_session_required: self
                .backchannel_logout_session_required
                .or(asked.backchannel_logout_session_required),
            frontchannel_logout_session_required: self
                .frontchannel_logout_session_required
                .or(asked.frontchannel_logout_session_required),
            ..self.clone()
        };
        let (registered, wanted) = (told.fields(), asked.fields());
        let mentioned = |field: &str| match field {
            REDIRECT_URIS => self.redirect_uris.is_some(),
            POST_LOGOUT_REDIRECT_URIS => self.post_logout_redirect_uris.is_some(),
            DISPLAY_NAME => self.client_name.is_some(),
            HOMEPAGE_URI => self.client_uri.is_some(),
            LOGO_URI => self.logo_uri.is_some(),
            GRANT_TYPES => self.grant_types.is_some(),
            ID_TOKEN_ALG => self.id_token_signed_response_alg.is_some(),
            LOGOUT => self.backchannel_logout_uri.is_some() || self.frontchannel_logout_uri.is_some(),
            AUTH_METHOD | FIELD_TYPE => self.token_endpoint_auth_method.is_some(),
            // Of scopes the answer tells nothing: Keycloak leaves out those that every client has.
            _ => false,
        };
        let none = [POST_LOGOUT_REDIRECT_URIS, LOGOUT].map(|field| (field.to_owned(), String::new()));
        Fields::from(none)
            .into_iter()
            .chain(wanted)
            .collect::<Fields>()
            .into_iter()
            .map(|(field, value)| {
                let now = registered.get(&field).cloned().unwrap_or_default();
                (field, value, now)
            })
            .filter(|(field, value, now)| mentioned(field) && now != value)
            .map(|(field, _, now)| (field, now))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use serde_json::json;

    use super::*;
    use crate::domain::{Logout, Mark, MarkUid, OwnerId, ResourceName, SignatureAlgorithm, TokenEndpointAuthMethod};

    fn desired() -> DesiredClient {
        let mark = Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid("u1".to_owned()),
        };
        DesiredClient {
            redirect_uris: vec!["https://shop/cb".to_owned()],
            attempt: Some("a1".to_owned()),
            ..DesiredClient::new("", mark)
        }
    }

    #[test]
    fn a_client_as_it_is_asked_for() {
        let mut client = desired();
        client.display_name = Some("Shop".to_owned());
        client.scopes = vec!["openid".to_owned(), "email".to_owned()];
        client.optional_scopes = vec!["address".to_owned()];
        client.id_token_alg = Some(SignatureAlgorithm::RS256);
        client.logout = Some(Logout {
            channel: LogoutChannel::Back,
            uri: "https://shop/out".to_owned(),
            session_required: true,
        });
        assert_eq!(
            serde_json::to_value(Metadata::of(&client)).unwrap(),
            json!({
                "redirect_uris": ["https://shop/cb"],
                "client_name": "Shop",
                "application_type": "web",
                "token_endpoint_auth_method": "client_secret_basic",
                "grant_types": ["authorization_code"],
                "response_types": ["code"],
                "scope": "address email openid",
                "id_token_signed_response_alg": "RS256",
                "backchannel_logout_uri": "https://shop/out",
                "backchannel_logout_session_required": true,
                "software_id": "oidc-operator/u1/a1",
            })
        );
    }

    #[test]
    fn only_public_clients_of_the_own_machine_are_native() {
        let public = |uris: &[&str]| DesiredClient {
            client_type: ClientType::Public,
            auth_method: TokenEndpointAuthMethod::None,
            redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            ..desired()
        };
        let type_of = |client: &DesiredClient| Metadata::of(client).application_type.unwrap();
        assert_eq!(
            type_of(&public(&["http://localhost:8080/cb", "com.example:/cb"])),
            "native"
        );
        assert_eq!(type_of(&public(&["http://[::1]/cb", "http://127.0.0.1/cb"])), "native");
        assert_eq!(type_of(&public(&["http://localhost/cb", "https://shop/cb"])), "web");
        assert_eq!(type_of(&public(&[])), "web");
        assert_eq!(type_of(&desired()), "web");
    }

    #[test]
    fn what_the_server_changed_is_told_and_what_it_added_or_kept_to_itself_is_not() {
        let mut client = desired();
        client.display_name = Some("Shop".to_owned());
        client.scopes.push("email".to_owned());
        let asked = Metadata::of(&client);
        let answer = |value: serde_json::Value| serde_json::from_value::<Metadata>(value).unwrap().altered(&asked);
        assert!(answer(json!({})).is_empty());
        assert!(answer(json!({"scope": "phone"})).is_empty());
        assert!(answer(json!({"grant_types": ["authorization_code"], "logo_uri": "https://idp/logo"})).is_empty());
        let altered = answer(json!({
            "grant_types": ["refresh_token", "authorization_code"],
            "client_name": "",
            "redirect_uris": ["https://shop/cb"],
            "scope": "",
            "token_endpoint_auth_method": "client_secret_post",
        }));
        let altered: Vec<(&str, &str)> = altered
            .iter()
            .map(|(field, now)| (field.as_str(), now.as_str()))
            .collect();
        assert_eq!(
            altered,
            [
                ("displayName", ""),
                ("grantTypes", "authorization_code refresh_token"),
                ("tokenEndpointAuthMethod", "client_secret_post"),
            ]
        );
    }

    #[test]
    fn what_means_none_is_told_where_the_server_knows_better() {
        // As Keycloak answers.
        let answer: Metadata = serde_json::from_value(json!({
            "post_logout_redirect_uris": ["https://shop/cb"],
            "backchannel_logout_session_required": false,
            "id_token_signed_response_alg": "RS256",
            "client_name": "Made up",
        }))
        .unwrap();
        let altered = answer.altered(&Metadata::of(&desired()));
        assert_eq!(
            altered,
            [("postLogoutRedirectURIs".to_owned(), "https://shop/cb".to_owned())].into()
        );
    }

    #[test]
    fn texts_that_go_are_sent_empty_and_only_those() {
        let mut named = desired();
        named.display_name = Some("Shop".to_owned());
        let before = Metadata::of(&named).fields();
        let sent = Metadata::of(&desired()).clearing(&before);
        assert_eq!(
            (sent.client_name.as_deref(), sent.logo_uri.as_deref()),
            (Some(""), None)
        );
        assert_eq!(sent.fields(), Metadata::of(&desired()).fields());
        assert_eq!(Metadata::of(&named).clearing(&before), Metadata::of(&named));
    }

    #[test]
    fn openid_is_no_permission() {
        let mut client = desired();
        client.scopes = vec!["openid".to_owned(), "email".to_owned()];
        let asked = Metadata::of(&client);
        let less = asked.without_openid().unwrap();
        assert_eq!(
            (asked.scope.as_deref(), less.scope.as_deref()),
            (Some("email openid"), Some("email"))
        );
        assert_eq!(less.fields(), asked.fields(), "nothing differs");
        assert!(less.altered(&asked).is_empty());
        assert_eq!(less.without_openid(), None);
        assert_eq!(Metadata::of(&desired()).without_openid().unwrap().scope, None);
    }

    #[test]
    fn the_order_of_lists_is_no_difference() {
        let mut one = desired();
        one.redirect_uris.push("https://shop/other".to_owned());
        let mut other = one.clone();
        other.redirect_uris.reverse();
        assert_eq!(Metadata::of(&one).fields(), Metadata::of(&other).fields());
    }
}
