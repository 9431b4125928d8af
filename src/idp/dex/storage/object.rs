//! OAuth2Client objects, to and from a client's normal form. Pure.
//!
//! Their fields stand at the top level, beside `metadata` (`storage/kubernetes/types.go`, `Client`), and the CRD checks none of
//! them: a hand may have left anything in their place. What Dex could not read differs from every spec here, so that it is
//! repaired.

use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta};
use serde_json::{Map, Value, json};

use super::names;
use crate::{
    domain::{
        ClientSecret, DesiredClient, IdpError, IdpErrorKind, Mark, MarkUid, ObservedClient, ObservedSecret, RemoteDiff,
        client::{FIELD_TYPE, REVISION},
        model::{CLIENT_ID, MARK, SECRET},
        vocabulary::{ANNOTATION_MARK, LABEL_CLIENT_UID},
    },
    idp::{
        dex::model::{TRUSTED_PEERS, create_request, observed},
        normal_form::{DISPLAY_NAME, LOGO_URI, REDIRECT_URIS},
    },
};

/// [`ObservedClient::handles`]: the object's uid.
const UID: &str = "uid";

/// The kind, as Dex's own CRD has it.
pub(super) fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("dex.coreos.com", "v1", "OAuth2Client");
    ApiResource::from_gvk_with_plural(&kind, "oauth2clients")
}

/// What a write is bound to, so that it meets the very object that was looked at, as it was then.
#[derive(Debug)]
pub(super) struct Version<'a> {
    pub(super) uid: &'a str,
    pub(super) resource_version: &'a str,
}

/// The version that was looked at; `None` where the client was not read from an object.
pub(super) fn version(observed: &ObservedClient) -> Option<Version<'_>> {
    Some(Version {
        uid: observed.handles.get(UID)?,
        resource_version: observed.handles.get(REVISION)?,
    })
}

/// A client as an object shows it. Its ID is what the object says, which a hand may have changed: under which one Dex looks for
/// it, [`names::client_id`] tells from its name.
pub(super) fn observe(object: &DynamicObject) -> ObservedClient {
    let (meta, data) = (&object.metadata, &object.data);
    // A client that was made through the gRPC API carries its mark here (docs/decisions/0002).
    let mut peers = list(data, "trustedPeers");
    let marked = meta.annotations.as_ref().and_then(|all| all.get(ANNOTATION_MARK));
    if let Some(mark) = marked
        && !peers.contains(mark)
    {
        // What stands there in the mark's place is an unreadable mark, whatever it looks like.
        let mark = if Mark::looks_like_one(mark) {
            mark.clone()
        } else {
            format!("{}/", crate::domain::vocabulary::GROUP)
        };
        peers.push(mark);
    }
    let secret = match text(data, "secret") {
        secret if secret.is_empty() => ObservedSecret::Absent,
        secret => ObservedSecret::Shown(ClientSecret::new(secret)),
    };
    let public = match &data["public"] {
        Value::Bool(public) => Ok(*public),
        Value::Null => Ok(false),
        other => Err(other.to_string()),
    };
    let mut client = observed(
        &text(data, "id"),
        &list(data, "redirectURIs"),
        &peers,
        *public.as_ref().unwrap_or(&false),
        [&text(data, "name"), &text(data, "logoURL")],
        secret,
    );
    if let Err(unreadable) = public {
        client.fields.insert(FIELD_TYPE.to_owned(), unreadable);
    }
    client.remote_id = meta.name.clone().unwrap_or_default();
    let handles = [(UID, &meta.uid), (REVISION, &meta.resource_version)];
    client.handles = handles
        .into_iter()
        .filter_map(|(handle, value)| Some((handle.to_owned(), value.clone()?)))
        .collect();
    client
}

/// A text; what is none is shown as JSON, which no spec asks for.
fn text(data: &Value, key: &str) -> String {
    match &data[key] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A list of texts without spaces, which separate them in the normal form; what is none is shown as JSON.
fn list(data: &Value, key: &str) -> Vec<String> {
    let item = |value: &Value| value.as_str().filter(|text| !text.contains(' ')).map(str::to_owned);
    match &data[key] {
        Value::Null => Vec::new(),
        Value::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(item).collect();
            texts.unwrap_or_else(|| vec![data[key].to_string()])
        }
        other => vec![other.to_string()],
    }
}

/// The object of a new client. It is complete: a confidential client never stands without its secret, which Dex would take
/// for an empty one.
///
/// # Errors
/// [`IdpErrorKind::Refused`] where the client ID has no name, or a confidential client no secret.
pub(super) fn new(
    operation: &'static str,
    desired: &DesiredClient,
    secret: Option<&ClientSecret>,
) -> Result<DynamicObject, IdpError> {
    let wanted = create_request(desired, secret);
    if !wanted.public && wanted.secret.is_empty() {
        return Err(needs_a_secret(operation));
    }
    let Some(name) = names::object_name(&desired.client_id) else {
        let message = format!("Dex holds client IDs of at most {} bytes", names::MAX_CLIENT_ID);
        return Err(IdpError::new(IdpErrorKind::Refused, operation, message));
    };
    let mut object = DynamicObject::new(&name, &resource());
    object.metadata = ObjectMeta {
        name: Some(name),
        annotations: Some([(ANNOTATION_MARK.to_owned(), desired.mark.to_string())].into()),
        labels: owner(&desired.mark).map(|uid| [(LABEL_CLIENT_UID.to_owned(), uid.to_owned())].into()),
        ..ObjectMeta::default()
    };
    let mut data = json!({"id": wanted.id, "public": wanted.public});
    for (key, value) in [
        ("secret", text_of(wanted.secret)),
        ("redirectURIs", list_of(wanted.redirect_uris)),
        ("name", text_of(wanted.name)),
        ("logoURL", text_of(wanted.logo_url)),
    ] {
        if !value.is_null() {
            data[key] = value;
        }
    }
    object.data = data;
    Ok(object)
}

/// The changes of `diff` as one merge patch (RFC 7396), bound to the version that was looked at. It names what changes, and
/// nothing else.
///
/// # Errors
/// [`IdpErrorKind::Refused`] where it would leave a confidential client without a secret.
pub(super) fn patch(
    operation: &'static str,
    version: &Version<'_>,
    observed: &ObservedClient,
    desired: &DesiredClient,
    secret: Option<&ClientSecret>,
    diff: &RemoteDiff,
) -> Result<Value, IdpError> {
    let wanted = create_request(desired, secret);
    let (type_changes, secret_changes) = (diff.changes(FIELD_TYPE), diff.changes(SECRET));
    let confidential = if type_changes {
        !wanted.public
    } else {
        observed.is_confidential()
    };
    let has_secret = if secret_changes {
        !wanted.secret.is_empty()
    } else {
        observed.secret != ObservedSecret::Absent
    };
    if (type_changes || secret_changes) && confidential && !has_secret {
        return Err(needs_a_secret(operation));
    }
    let mut metadata = json!({"uid": version.uid, "resourceVersion": version.resource_version});
    if diff.changes(MARK) {
        metadata["annotations"] = json!({ANNOTATION_MARK: desired.mark.to_string()});
        metadata["labels"] = json!({LABEL_CLIENT_UID: owner(&desired.mark)});
    }
    let mut patch = Map::from_iter([("metadata".to_owned(), metadata)]);
    let mut put = |changes: bool, key: &str, value: Value| {
        if changes {
            patch.insert(key.to_owned(), value);
        }
    };
    put(diff.changes(CLIENT_ID), "id", json!(wanted.id));
    put(type_changes, "public", json!(wanted.public));
    put(secret_changes, "secret", text_of(wanted.secret));
    put(
        diff.changes(REDIRECT_URIS),
        "redirectURIs",
        list_of(wanted.redirect_uris),
    );
    // Nobody's tokens are for others. A mark that stood here, from the gRPC API, is in the annotation now.
    put(
        diff.changes(TRUSTED_PEERS) || diff.changes(MARK),
        "trustedPeers",
        Value::Null,
    );
    put(diff.changes(DISPLAY_NAME), "name", text_of(wanted.name));
    put(diff.changes(LOGO_URI), "logoURL", text_of(wanted.logo_url));
    Ok(Value::Object(patch))
}

/// The uid of the OIDCClient, for the label; none once it was let go.
fn owner(mark: &Mark) -> Option<&str> {
    match &mark.uid {
        MarkUid::Uid(uid) => Some(uid),
        MarkUid::Released => None,
    }
}

/// A text; an empty one is not there.
fn text_of(text: String) -> Value {
    if text.is_empty() { Value::Null } else { json!(text) }
}

/// A list; an empty one is not there.
fn list_of(values: Vec<String>) -> Value {
    if values.is_empty() { Value::Null } else { json!(values) }
}

fn needs_a_secret(operation: &'static str) -> IdpError {
    let message = "a confidential client needs a secret: without one Dex would accept an empty secret";
    IdpError::new(IdpErrorKind::Refused, operation, message)
}

#[cfg(test)]
mod tests {
    use super::{super::DexStorageModel, *};
    use crate::{
        domain::{ClientType, Model as _, Ownership, TokenEndpointAuthMethod},
        idp::contract::Fixture,
    };

    fn client() -> (DesiredClient, ClientSecret) {
        Fixture::new("test", None).client("web")
    }

    fn public(desired: DesiredClient) -> DesiredClient {
        DesiredClient {
            client_type: ClientType::Public,
            auth_method: TokenEndpointAuthMethod::None,
            ..desired
        }
    }

    /// As the API server would keep what was sent.
    fn made(desired: &DesiredClient, secret: Option<&ClientSecret>) -> DynamicObject {
        let mut object = new("create", desired, secret).unwrap();
        object.metadata.uid = Some("u1".to_owned());
        object.metadata.resource_version = Some("7".to_owned());
        object
    }

    fn changed(object: &DynamicObject, desired: &DesiredClient, secret: Option<&ClientSecret>) -> Value {
        let observed = observe(object);
        let diff = DexStorageModel.diff(desired, secret, &observed);
        patch("patch", &version(&observed).unwrap(), &observed, desired, secret, &diff).unwrap()
    }

    fn bound(mut patch: Value) -> Value {
        let metadata = json!({"uid": "u1", "resourceVersion": "7"});
        patch.as_object_mut().unwrap().insert("metadata".to_owned(), metadata);
        patch
    }

    #[test]
    fn a_new_object_is_what_dex_reads_and_ours() {
        let (desired, secret) = client();
        let object = made(&desired, Some(&secret));
        assert_eq!(
            object.data,
            json!({
                "id": "test_web", "public": false, "secret": secret.expose(), "name": "Contract",
                "redirectURIs": ["https://app.example.com/callback"], "logoURL": "https://app.example.com/logo.png",
            })
        );
        let uid = "1b671a64-40d5-491e-99b0-da01ff1f3341";
        assert_eq!(object.metadata.labels.as_ref().unwrap()[LABEL_CLIENT_UID], uid);
        let observed = observe(&object);
        assert_eq!(observed.ownership(&desired.mark), Ownership::Ours);
        assert!(observed.looks_like(&DexStorageModel.created(&desired, Some(&secret))));
        assert_eq!(observed.revision(), Some(7));
    }

    #[test]
    fn a_patch_names_what_changes_and_nothing_else() {
        let (desired, secret) = client();
        let object = made(&desired, Some(&secret));
        let new = ClientSecret::new("another");
        assert_eq!(
            changed(&object, &desired, Some(&new)),
            bound(json!({"secret": "another"}))
        );
        let cleared = DesiredClient {
            display_name: None,
            logo_uri: None,
            redirect_uris: Vec::new(),
            ..desired.clone()
        };
        assert_eq!(
            changed(&object, &cleared, Some(&secret)),
            bound(json!({"name": null, "logoURL": null, "redirectURIs": null}))
        );
        assert_eq!(changed(&object, &desired, Some(&secret)), bound(json!({})));
    }

    #[test]
    fn type_and_secret_change_together() {
        let (desired, secret) = client();
        let public = public(desired.clone());
        assert_eq!(
            changed(&made(&desired, Some(&secret)), &public, None),
            bound(json!({"public": true, "secret": null}))
        );
        assert_eq!(
            changed(&made(&public, None), &desired, Some(&secret)),
            bound(json!({"public": false, "secret": secret.expose()}))
        );
    }

    #[test]
    fn no_write_leaves_a_confidential_client_without_a_secret() {
        let (desired, secret) = client();
        for none in [None, Some(ClientSecret::new(""))] {
            let refused = new("create", &desired, none.as_ref()).unwrap_err();
            assert_eq!(refused.kind, IdpErrorKind::Refused);
            for before in [made(&public(desired.clone()), None), made(&desired, Some(&secret))] {
                let observed = observe(&before);
                for field in [FIELD_TYPE, SECRET] {
                    let wish = RemoteDiff {
                        changes: vec![crate::domain::model::FieldChange {
                            field: field.to_owned(),
                            from: String::new(),
                            to: String::new(),
                        }],
                        recreate: false,
                    };
                    let version = version(&observed).unwrap();
                    let written = patch("patch", &version, &observed, &desired, none.as_ref(), &wish);
                    let keeps_one = written.as_ref().is_ok_and(|patch| {
                        !patch.as_object().unwrap().contains_key("secret") && observed.is_confidential()
                    });
                    let stays_public = written.as_ref().is_ok_and(|patch| {
                        !observed.is_confidential() && patch.get("public").is_none_or(|public| public == true)
                    });
                    assert!(written.is_err() || keeps_one || stays_public, "{field}: {written:?}");
                }
            }
        }
    }

    #[test]
    fn a_mark_is_written_with_its_label_and_takes_the_place_of_one_among_the_peers() {
        let (desired, secret) = client();
        let mut object = made(&desired, Some(&secret));
        let released = DesiredClient {
            mark: desired.mark.released(),
            ..desired.clone()
        };
        let patch = changed(&object, &released, Some(&secret));
        assert_eq!(
            patch["metadata"],
            json!({
                "uid": "u1", "resourceVersion": "7", "labels": {LABEL_CLIENT_UID: null},
                "annotations": {ANNOTATION_MARK: released.mark.to_string()},
            })
        );
        // As the gRPC API leaves it.
        object.metadata.annotations = None;
        object.data["trustedPeers"] = json!([released.mark.to_string()]);
        assert_eq!(observe(&object).ownership(&desired.mark), Ownership::FormerLife);
        let patch = changed(&object, &desired, Some(&secret));
        assert_eq!(patch["trustedPeers"], Value::Null);
        assert!(patch.as_object().unwrap().contains_key("trustedPeers"));
        assert_eq!(
            patch["metadata"]["annotations"][ANNOTATION_MARK],
            desired.mark.to_string()
        );
    }

    #[test]
    fn whose_an_object_is_is_never_guessed() {
        let (desired, secret) = client();
        let with = |mark: Option<&str>, peers: Value| {
            let mut object = made(&desired, Some(&secret));
            object.metadata.annotations = mark.map(|mark| [(ANNOTATION_MARK.to_owned(), mark.to_owned())].into());
            object.data["trustedPeers"] = peers;
            observe(&object).ownership(&desired.mark)
        };
        let (ours, other) = (
            desired.mark.to_string(),
            "oidc-operator.io/another/contract/web/u1".to_owned(),
        );
        assert_eq!(with(None, Value::Null), Ownership::Unmarked);
        assert_eq!(with(Some("no mark"), Value::Null), Ownership::Foreign);
        assert_eq!(with(Some(&other), Value::Null), Ownership::Foreign);
        assert_eq!(
            with(Some(&ours), json!([other])),
            Ownership::Foreign,
            "two are nobody's"
        );
        assert_eq!(with(Some(&ours), json!([ours])), Ownership::Ours);
    }

    #[test]
    fn whatever_a_hand_leaves_differs() {
        let (desired, secret) = client();
        for (key, value, field) in [
            (
                "redirectURIs",
                json!("https://app.example.com/callback"),
                "redirectURIs",
            ),
            ("redirectURIs", json!([1]), "redirectURIs"),
            ("redirectURIs", json!(["https://a https://b"]), "redirectURIs"),
            ("public", json!("false"), "type"),
            ("public", json!(true), "type"),
            ("secret", json!(7), "secret"),
            ("secret", Value::Null, "secret"),
            ("name", json!({}), "displayName"),
            ("logoURL", Value::Null, "logoURI"),
            ("trustedPeers", json!(["another-client"]), "trustedPeers"),
            ("id", json!("renamed"), "clientID"),
            ("id", Value::Null, "clientID"),
        ] {
            let mut object = made(&desired, Some(&secret));
            object.data[key] = value.clone();
            let diff = DexStorageModel.diff(&desired, Some(&secret), &observe(&object));
            let found: Vec<_> = diff.changes.iter().map(|change| change.field.as_str()).collect();
            assert_eq!(found, [field], "{key}: {value}");
            // One patch puts it right.
            let patch = changed(&object, &desired, Some(&secret));
            assert!(patch.as_object().unwrap().contains_key(key), "{patch}");
        }
    }

    #[test]
    fn nothing_of_it_prints_a_secret() {
        let (desired, secret) = client();
        let observed = observe(&made(&desired, Some(&secret)));
        assert!(!format!("{observed:?}").contains(secret.expose()));
    }
}
