//! Claims as protocol mappers. Ours are told by a prefix of their names; others are an administrator's and stay.
//!
//! Types and configuration keys: Keycloak's `OIDCAttributeMapperHelper` and the mappers beside it. Measured on 26.7.3 and
//! 26.4.7: the server adds keys of its own (`userinfo.token.claim: false`), hence only ours are compared.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::representation::AUDIENCE;
use crate::{
    domain::{Claim, ClaimSource, ClaimToken, DesiredClient},
    idp::normal_form::CLAIMS,
};

/// Names of our mappers start so.
const PREFIX: &str = "oidc-operator.io/";
/// Then so, if they make a claim of the spec.
const CLAIM: &str = "claim/";
/// The mapper that puts the client's own ID into the audience of its access tokens: without it Keycloak names there only
/// whom the user has roles at, and a resource server that checks `aud` refuses the application's own tokens.
const OWN_AUDIENCE: &str = "audience";

const AUDIENCE_TYPE: &str = "oidc-audience-mapper";

/// A mapper, as it is sent and as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mapper {
    /// Its id; made by the server.
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    protocol_mapper: String,
    #[serde(default)]
    config: BTreeMap<String, Option<String>>,
}

impl Mapper {
    /// Is it ours?
    pub(super) fn is_ours(&self) -> bool {
        self.name.starts_with(PREFIX)
    }

    /// The field that it stands for: of an unknown name of ours, too, so that it goes.
    pub(super) fn field(&self) -> String {
        let name = self.name.strip_prefix(PREFIX).unwrap_or(&self.name);
        match name.strip_prefix(CLAIM) {
            _ if name == OWN_AUDIENCE => AUDIENCE.to_owned(),
            Some(claim) => format!("{CLAIMS}{claim}"),
            None => format!("{CLAIMS}{name}"),
        }
    }

    /// What is compared: its type, and the keys that we set for that type. One of a type that we never make shows all.
    pub(super) fn normal_form(&self) -> String {
        let ours = keys(&self.protocol_mapper);
        let settings = self
            .config
            .iter()
            .filter(|(key, _)| {
                ours.is_none_or(|ours| ours.contains(&key.as_str()) || TOKEN_KEYS.contains(&key.as_str()))
            })
            .map(|(key, value)| format!(" {key}={}", value.as_deref().unwrap_or_default()));
        std::iter::once(self.protocol_mapper.clone()).chain(settings).collect()
    }

    /// As it is sent.
    pub(super) fn body(&self) -> Value {
        let mut body = json!({
            "name": self.name,
            "protocol": "openid-connect",
            "protocolMapper": self.protocol_mapper,
            "config": self.config,
        });
        if let Some(id) = &self.id {
            body["id"] = json!(id);
        }
        body
    }
}

const ACCESS_TOKEN: &str = "access.token.claim";
const ID_TOKEN: &str = "id.token.claim";
const USERINFO: &str = "userinfo.token.claim";
/// What the introspection endpoint shows of an access token.
const INTROSPECTION: &str = "introspection.token.claim";
const TOKEN_KEYS: &[&str] = &[ACCESS_TOKEN, ID_TOKEN, USERINFO, INTROSPECTION];

/// The keys that we set for a type of mapper, beside those of tokens.
fn keys(protocol_mapper: &str) -> Option<&'static [&'static str]> {
    Some(match protocol_mapper {
        AUDIENCE_TYPE => &["included.client.audience", "included.custom.audience"],
        "oidc-group-membership-mapper" => &["claim.name", "full.path"],
        "oidc-usermodel-realm-role-mapper" => &[
            "claim.name",
            "jsonType.label",
            "multivalued",
            "usermodel.realmRoleMapping.rolePrefix",
        ],
        "oidc-usermodel-client-role-mapper" => &[
            "claim.name",
            "jsonType.label",
            "multivalued",
            "usermodel.clientRoleMapping.clientId",
            "usermodel.clientRoleMapping.rolePrefix",
        ],
        "oidc-usermodel-attribute-mapper" => &[
            "claim.name",
            "jsonType.label",
            "multivalued",
            "user.attribute",
            "aggregate.attrs",
        ],
        "oidc-hardcoded-claim-mapper" => &["claim.name", "claim.value", "jsonType.label"],
        _ => return None,
    })
}

/// The mappers of a client.
pub(super) fn wanted(desired: &DesiredClient) -> Vec<Mapper> {
    let audience = mapper(
        OWN_AUDIENCE,
        AUDIENCE_TYPE,
        &[("included.client.audience", &desired.client_id)],
        [
            (ACCESS_TOKEN, true),
            (INTROSPECTION, true),
            (ID_TOKEN, false),
            (USERINFO, false),
        ],
    );
    let claims = desired.claims.iter().map(|claim| of_claim(claim, &desired.client_id));
    std::iter::once(audience).chain(claims).collect()
}

/// The one that stands for `field`.
pub(super) fn wanted_for(desired: &DesiredClient, field: &str) -> Option<Mapper> {
    wanted(desired).into_iter().find(|mapper| mapper.field() == field)
}

fn of_claim(claim: &Claim, client_id: &str) -> Mapper {
    let name = ("claim.name", claim.name.as_str());
    let text = ("jsonType.label", "String");
    let many = ("multivalued", "true");
    let (protocol_mapper, config) = match &claim.source {
        ClaimSource::Groups { full_path } => (
            "oidc-group-membership-mapper",
            vec![name, ("full.path", if *full_path { "true" } else { "false" })],
        ),
        ClaimSource::RealmRoles => ("oidc-usermodel-realm-role-mapper", vec![name, text, many]),
        ClaimSource::ClientRoles => (
            "oidc-usermodel-client-role-mapper",
            vec![name, text, many, ("usermodel.clientRoleMapping.clientId", client_id)],
        ),
        ClaimSource::Constant(value) => ("oidc-hardcoded-claim-mapper", vec![name, text, ("claim.value", value)]),
        ClaimSource::UserAttribute(attribute) => (
            "oidc-usermodel-attribute-mapper",
            vec![name, text, ("multivalued", "false"), ("user.attribute", attribute)],
        ),
    };
    let carried = |token| claim.tokens.contains(&token);
    mapper(
        &format!("{CLAIM}{}", claim.name),
        protocol_mapper,
        &config,
        [
            (ACCESS_TOKEN, carried(ClaimToken::AccessToken)),
            (INTROSPECTION, carried(ClaimToken::AccessToken)),
            (ID_TOKEN, carried(ClaimToken::IDToken)),
            (USERINFO, carried(ClaimToken::UserInfo)),
        ],
    )
}

fn mapper(name: &str, protocol_mapper: &str, config: &[(&str, &str)], tokens: [(&str, bool); 4]) -> Mapper {
    let texts = config
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
    let switches = tokens
        .into_iter()
        .map(|(key, on)| (key.to_owned(), Some(on.to_string())));
    Mapper {
        id: None,
        name: format!("{PREFIX}{name}"),
        protocol_mapper: protocol_mapper.to_owned(),
        config: texts.chain(switches).collect(),
    }
}
