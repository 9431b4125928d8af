//! What Dex can do by its configuration file. What a client may be, and how it looks, is as with Dex's gRPC API; how a change takes
//! effect is not.

use super::entry::normal;
use crate::{
    domain::{
        Assessment, Capabilities, ClientSecret, DesiredClient, Model, ObservedClient, ProviderFacts, RemoteDiff,
        model::{DriftDetection, RotationCapability, created_secret},
    },
    idp::dex::model::{DexModel, create_request, observe},
};

/// The pure half of the driver for Dex's configuration file.
#[derive(Clone, Copy, Debug, Default)]
pub struct DexConfigModel;

impl Model for DexConfigModel {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            // In one write; it takes effect with the roll-out that follows.
            rotation: RotationCapability::Atomic,
            drift: DriftDetection::Watch,
            ..DexModel.capabilities()
        }
    }

    fn refresh_needs_offline_access(&self) -> bool {
        DexModel.refresh_needs_offline_access()
    }

    fn takes_effect_later(&self) -> bool {
        true
    }

    fn assess(&self, desired: &DesiredClient, facts: &ProviderFacts) -> Assessment {
        DexModel.assess(desired, facts)
    }

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            secret: created_secret(desired, secret),
            ..observe(&normal(create_request(desired, secret)))
        }
    }

    /// The file is written anew each time: everything changes in place.
    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff {
        RemoteDiff::between(observed, &self.created(desired, secret), |_| false)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::entry::StaticClient, *};
    use crate::domain::{ClientType, Mark, MarkUid, ObservedSecret, OwnerId, ResourceName};

    fn web() -> DesiredClient {
        let mark = Mark {
            owner: OwnerId::new("c1").unwrap(),
            client: ResourceName::new("shop", "web"),
            uid: MarkUid::Uid("u1".to_owned()),
        };
        DesiredClient {
            redirect_uris: vec!["https://shop/cb".to_owned()],
            ..DesiredClient::new("shop_web", mark)
        }
    }

    fn shown(desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        observe(&StaticClient::new(&create_request(desired, secret)).shown(secret))
    }

    #[test]
    fn nothing_differs_once_it_is_written() {
        let secret = ClientSecret::new("hunter2");
        let named = |name: &str| DesiredClient {
            display_name: Some(name.to_owned()),
            logo_uri: Some("https://shop/logo.png".to_owned()),
            ..web()
        };
        let public = DesiredClient {
            client_type: ClientType::Public,
            ..web()
        };
        // Dex requires a name: that of a client without one is its ID.
        for desired in [web(), named("Shop"), named("shop_web"), public] {
            let observed = shown(&desired, Some(&secret));
            let diff = DexConfigModel.diff(&desired, Some(&secret), &observed);
            assert_eq!(diff, RemoteDiff::default(), "{desired:?}");
            assert!(observed.ownership(&desired.mark).is_ours());
        }
    }

    #[test]
    fn everything_changes_in_place() {
        let secret = ClientSecret::new("hunter2");
        let observed = shown(&web(), Some(&secret));
        let public = DesiredClient {
            client_type: ClientType::Public,
            redirect_uris: Vec::new(),
            ..web()
        };
        let diff = DexConfigModel.diff(&public, None, &observed);
        assert!(
            !diff.recreate && diff.changes("type") && diff.changes("redirectURIs"),
            "{diff:?}"
        );
        let diff = DexConfigModel.diff(&web(), Some(&ClientSecret::new("another")), &observed);
        assert!(!diff.recreate && diff.changes("secret"), "{diff:?}");
    }

    #[test]
    fn a_secret_that_is_missing_is_seen() {
        let observed = shown(&web(), None);
        assert_eq!(observed.secret, ObservedSecret::Absent);
    }
}
