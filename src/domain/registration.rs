//! A client that the server itself named, by dynamic registration (RFC 7591), and what is kept of it: nobody can look it up there
//! again, because whoever reads it (RFC 7592) is given another token, and the one before ends.
//!
//! The record is kept in a Secret of the operator's own namespace. Who holds the registration access token may change all of a
//! client; the application's team is given its credentials, and never that.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    client::{Fields, ObservedClient, ObservedSecret, Validity},
    digest,
    mark::Mark,
    names::ResourceName,
    secret::ClientSecret,
    vocabulary::KEY_CLIENT_SECRET,
};

/// What goes with a client that was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// How it is changed and deleted; `None`: the server offers neither (RFC 7592 is optional).
    pub management: Option<Management>,
    /// What the server registered otherwise than it was asked to, by field of the spec: as it is now. Empty: not set.
    pub altered: Fields,
    /// When the secret expires (`client_secret_expires_at`); `None`: never.
    pub secret_expires: Option<Timestamp>,
}

impl Registered {
    /// Can nobody change or delete it through this protocol (any more)?
    pub fn is_unmanaged(&self) -> bool {
        self.management.as_ref().is_none_or(|management| management.refused)
    }
}

/// Where a client is managed, and by whom (RFC 7592, section 3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management {
    /// `registration_client_uri`.
    pub uri: String,
    /// `registration_access_token`. Each answer may bring another one, and ends this.
    pub token: ClientSecret,
    /// Did the server refuse the token? Nobody holds a good one then.
    pub refused: bool,
}

/// The record of one OIDCClient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Whose it is.
    pub mark: Mark,
    /// The attempt that made it, or is to make it: its `software_id` ends with it.
    pub attempt: String,
    /// Software IDs of earlier attempts whose answer was lost: each may have left a client that nobody holds the secret of.
    pub possible_orphans: Vec<String>,
    /// The client, once the server has answered.
    pub client: Option<ObservedClient>,
    /// When it was made (RFC 3339).
    pub registered_at: Option<String>,
}

/// Attempts that are remembered: the newest.
const MAX_ORPHANS: usize = 16;

impl Registration {
    /// A new attempt; an earlier one that was never answered is remembered.
    pub fn stage(mark: &Mark, attempt: &str, before: Option<&Self>) -> Self {
        let mut possible_orphans: Vec<String> = before
            .map(|before| {
                let unanswered = before.client.is_none().then(|| before.software_id());
                before.possible_orphans.iter().cloned().chain(unanswered).collect()
            })
            .unwrap_or_default();
        let many = possible_orphans.len();
        possible_orphans.drain(..many.saturating_sub(MAX_ORPHANS));
        Self {
            mark: mark.clone(),
            attempt: attempt.to_owned(),
            possible_orphans,
            client: None,
            registered_at: None,
        }
    }

    /// What the attempt is sent with: `oidc-operator/<uid>/<attempt>` (RFC 7591, section 2).
    pub fn software_id(&self) -> String {
        software_id(&self.mark, &self.attempt)
    }
}

/// `software_id` of an attempt, by which an administrator finds what it left behind.
pub fn software_id(mark: &Mark, attempt: &str) -> String {
    let uid = match &mark.uid {
        super::mark::MarkUid::Uid(uid) => uid.as_str(),
        super::mark::MarkUid::Released => "released",
    };
    format!("oidc-operator/{uid}/{attempt}")
}

/// Name of the Secret that holds the record: an OIDCClient of the same name finds it again in another life, at the same provider.
pub fn secret_name(client: &ResourceName, provider: &ResourceName) -> String {
    let digest = digest::sha256_hex(format!("{client} {provider}").as_bytes());
    format!("oidc-registration-{}", &digest[..32])
}

/// Keys of the Secret, for administrators who must manage a client by hand.
const KEY_STATE: &str = "registration.json";
const KEY_CLIENT_ID: &str = "client-id";
const KEY_MANAGEMENT_URI: &str = "registration-client-uri";
/// Key of the registration access token.
pub const KEY_MANAGEMENT_TOKEN: &str = "registration-access-token";

/// What of a record is no secret and has no key of its own.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct State {
    mark: String,
    attempt: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    possible_orphans: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    registered_at: Option<String>,
    #[serde(default)]
    answered: bool,
    /// As the server was asked for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: Fields,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    altered: Fields,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret_expires: Option<Timestamp>,
    #[serde(default)]
    token_refused: bool,
}

type Data = BTreeMap<String, Vec<u8>>;

impl Registration {
    /// All keys that a Secret with a record may have.
    pub const KEYS: [&str; 5] = [
        KEY_STATE,
        KEY_CLIENT_ID,
        KEY_CLIENT_SECRET,
        KEY_MANAGEMENT_URI,
        KEY_MANAGEMENT_TOKEN,
    ];

    /// As the data of a Secret.
    pub fn to_data(&self) -> Data {
        let client = self.client.as_ref();
        let registered = client.and_then(|client| client.registered.as_deref());
        let management = client.and_then(ObservedClient::management);
        let state = State {
            mark: self.mark.to_string(),
            attempt: self.attempt.clone(),
            possible_orphans: self.possible_orphans.clone(),
            registered_at: self.registered_at.clone(),
            answered: client.is_some(),
            fields: client.map(|client| client.fields.clone()).unwrap_or_default(),
            altered: registered
                .map(|registered| registered.altered.clone())
                .unwrap_or_default(),
            secret_expires: registered.and_then(|registered| registered.secret_expires),
            token_refused: management.is_some_and(|management| management.refused),
        };
        // Strings, numbers and maps of them: nothing in it can fail to be written.
        let json = serde_json::to_vec(&state).unwrap_or_default();
        let mut data = Data::from([(KEY_STATE.to_owned(), json)]);
        let mut put = |key: &str, value: &str| drop(data.insert(key.to_owned(), value.as_bytes().to_vec()));
        if let Some(client) = client {
            put(KEY_CLIENT_ID, &client.client_id);
            if let Some(secret) = client.secret.shown() {
                put(KEY_CLIENT_SECRET, secret.expose());
            }
        }
        if let Some(management) = management {
            put(KEY_MANAGEMENT_URI, &management.uri);
            put(KEY_MANAGEMENT_TOKEN, management.token.expose());
        }
        data
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// What is wrong with it, for people, without any value.
    pub fn from_data(data: &Data) -> Result<Self, &'static str> {
        let text = |key: &str| {
            let bytes = data.get(key)?;
            std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
        };
        let state: State = data
            .get(KEY_STATE)
            .and_then(|json| serde_json::from_slice(json).ok())
            .ok_or("its key registration.json is not as the operator wrote it")?;
        let mark = Mark::parse(&state.mark).ok_or("its mark cannot be read")?;
        let client = if state.answered {
            let client_id = text(KEY_CLIENT_ID).ok_or("it lacks the key client-id")?;
            let management = match (text(KEY_MANAGEMENT_URI), text(KEY_MANAGEMENT_TOKEN)) {
                (Some(uri), Some(token)) => Some(Management {
                    uri: uri.to_owned(),
                    token: ClientSecret::new(token),
                    refused: state.token_refused,
                }),
                (None, None) => None,
                _ => return Err("it has only one of the keys registration-client-uri and registration-access-token"),
            };
            Some(ObservedClient {
                client_id: client_id.to_owned(),
                remote_id: client_id.to_owned(),
                marks: vec![state.mark.clone()],
                secret: text(KEY_CLIENT_SECRET).map_or(ObservedSecret::Absent, |secret| {
                    ObservedSecret::Shown(ClientSecret::new(secret))
                }),
                validity: Validity::default(),
                disabled: false,
                fields: state.fields,
                handles: BTreeMap::new(),
                registered: Some(Box::new(Registered {
                    management,
                    altered: state.altered,
                    secret_expires: state.secret_expires,
                })),
            })
        } else {
            None
        };
        Ok(Self {
            mark,
            attempt: state.attempt,
            possible_orphans: state.possible_orphans,
            client,
            registered_at: state.registered_at,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::{MarkUid, OwnerId};

    fn mark(uid: &str) -> Mark {
        Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid(uid.to_owned()),
        }
    }

    fn answered(management: bool) -> Registration {
        let mut record = Registration::stage(&mark("u1"), "a1", None);
        record.registered_at = Some("2026-01-01T12:00:00Z".to_owned());
        record.client = Some(ObservedClient {
            client_id: "0oabc".to_owned(),
            remote_id: "0oabc".to_owned(),
            marks: vec![record.mark.to_string()],
            secret: ObservedSecret::Shown(ClientSecret::new("hunter2")),
            validity: Validity::default(),
            disabled: false,
            fields: [("redirectURIs".to_owned(), "https://shop/cb".to_owned())].into(),
            handles: BTreeMap::new(),
            registered: Some(Box::new(Registered {
                management: management.then(|| Management {
                    uri: "https://idp/register/0oabc".to_owned(),
                    token: ClientSecret::new("correct horse"),
                    refused: false,
                }),
                altered: [("grantTypes".to_owned(), "authorization_code".to_owned())].into(),
                secret_expires: Some(Timestamp::UNIX_EPOCH),
            })),
        });
        record
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        for record in [
            Registration::stage(&mark("u1"), "a1", None),
            Registration::stage(&mark("u1"), "a2", Some(&Registration::stage(&mark("u1"), "a1", None))),
            answered(true),
            answered(false),
        ] {
            let data = record.to_data();
            assert!(data.keys().all(|key| Registration::KEYS.contains(&key.as_str())));
            assert_eq!(Registration::from_data(&data), Ok(record));
        }
    }

    #[test]
    fn what_is_not_as_it_was_written_is_told_by_name_and_never_by_value() {
        let whole = answered(true).to_data();
        for (key, spoilt) in [
            (KEY_STATE, None),
            (KEY_STATE, Some("{}")),
            (KEY_STATE, Some("hunter2")),
            (KEY_CLIENT_ID, None),
            (KEY_MANAGEMENT_TOKEN, None),
            (KEY_MANAGEMENT_URI, Some("")),
        ] {
            let mut data = whole.clone();
            match spoilt {
                Some(text) => drop(data.insert(key.to_owned(), text.as_bytes().to_vec())),
                None => drop(data.remove(key)),
            }
            let why = Registration::from_data(&data).unwrap_err();
            assert!(!why.contains("hunter2"), "{key}: {why}");
        }
    }

    #[test]
    fn only_attempts_without_an_answer_may_have_left_something() {
        let first = Registration::stage(&mark("u1"), "a1", None);
        let second = Registration::stage(&mark("u1"), "a2", Some(&first));
        assert_eq!(second.possible_orphans, ["oidc-operator/u1/a1"]);
        let after = Registration::stage(&mark("u1"), "a3", Some(&answered(true)));
        assert!(after.possible_orphans.is_empty());
    }

    #[test]
    fn the_newest_attempts_are_remembered() {
        let mut record = Registration::stage(&mark("u1"), "0", None);
        for attempt in 1..=40 {
            record = Registration::stage(&mark("u1"), &attempt.to_string(), Some(&record));
        }
        assert_eq!(record.possible_orphans.len(), MAX_ORPHANS);
        assert_eq!(record.possible_orphans[MAX_ORPHANS - 1], "oidc-operator/u1/39");
    }

    #[test]
    fn nothing_of_it_is_told_by_debug() {
        let told = format!("{:?}", answered(true));
        assert!(!told.contains("hunter2") && !told.contains("correct horse"), "{told}");
    }
}
