//! What Dex can do where its objects are written directly: as much as by its gRPC API, and all of it in place. Pure.

use super::names::{MAX_CLIENT_ID, object_name};
use crate::{
    domain::{
        Assessment, Capabilities, ClientSecret, DesiredClient, Model, ObservedClient, ProviderFacts, Unsupported,
        model::{DriftDetection, RotationCapability},
    },
    idp::dex::DexModel,
};

/// The pure half of the driver for Dex's Kubernetes storage.
#[derive(Clone, Copy, Debug, Default)]
pub struct DexStorageModel;

impl Model for DexStorageModel {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // Dex reads the object at each request: a patch takes effect at once, and for all of it at the same time.
            rotation: RotationCapability::Atomic,
            drift: DriftDetection::Watch,
            ..DexModel.capabilities()
        }
    }

    fn assess(&self, desired: &DesiredClient, facts: &ProviderFacts) -> Assessment {
        let mut assessment = DexModel.assess(desired, facts);
        if object_name(&desired.client_id).is_none() {
            assessment.unsupported.push(Unsupported {
                field: "spec.clientID".to_owned(),
                why: format!(
                    "Dex's Kubernetes storage holds client IDs of at most {MAX_CLIENT_ID} bytes, and this one has {}",
                    desired.client_id.len()
                ),
            });
        }
        assessment
    }

    fn refresh_needs_offline_access(&self) -> bool {
        DexModel.refresh_needs_offline_access()
    }

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            remote_id: object_name(&desired.client_id).unwrap_or_default(),
            ..DexModel.created(desired, secret)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ClientType, RemoteDiff},
        idp::contract::Fixture,
    };

    fn client() -> (DesiredClient, ClientSecret) {
        Fixture::new("test", None).client("web")
    }

    #[test]
    fn an_id_that_is_too_long_is_refused() {
        let (desired, _) = client();
        let assess = |id: String| {
            let desired = DesiredClient {
                client_id: id,
                ..desired.clone()
            };
            let found = DexStorageModel.assess(&desired, &ProviderFacts::default()).unsupported;
            found.into_iter().map(|found| found.field).collect::<Vec<_>>()
        };
        assert_eq!(assess("x".repeat(150)), Vec::<String>::new());
        assert_eq!(assess("é".repeat(76)), ["spec.clientID"]);
    }

    #[test]
    fn nothing_asks_for_a_new_client() {
        let (desired, secret) = client();
        let observed = DexStorageModel.created(&desired, Some(&secret));
        let cleared = DesiredClient {
            display_name: None,
            logo_uri: None,
            redirect_uris: Vec::new(),
            ..desired.clone()
        };
        let public = DesiredClient {
            client_type: ClientType::Public,
            ..desired.clone()
        };
        for (wanted, secret) in [
            (&desired, Some(ClientSecret::new("another"))),
            (&cleared, Some(secret.clone())),
            (&public, None),
        ] {
            let diff = DexStorageModel.diff(wanted, secret.as_ref(), &observed);
            assert!(!diff.changes.is_empty() && !diff.recreate, "{diff:?}");
            assert_eq!(DexStorageModel.next_request(diff.clone()), diff, "one request");
        }
        assert_eq!(
            DexStorageModel.diff(&desired, Some(&secret), &observed),
            RemoteDiff::default()
        );
    }

    #[test]
    fn it_refuses_and_enforces_what_the_other_way_in_does() {
        let (desired, _) = client();
        let facts = ProviderFacts::default();
        assert_eq!(
            DexStorageModel.assess(&desired, &facts),
            DexModel.assess(&desired, &facts)
        );
        let (here, there) = (DexStorageModel.capabilities(), DexModel.capabilities());
        assert_eq!(here.fields, there.fields);
        assert_eq!(here.rotation, RotationCapability::Atomic);
    }
}
