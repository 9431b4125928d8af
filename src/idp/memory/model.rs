//! The model of a provider without quirks: everything is set for each client, and changed in place.

use crate::domain::{
    Assessment, Capabilities, ClientSecret, DesiredClient, Enforcement, Model, ObservedClient, ObservedSecret, Pkce,
    ProviderFacts, RemoteDiff, Support,
    model::{FieldChange, RotationCapability},
};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct InPlaceModel;

const FIELDS: &[&str] = &[
    "clientID",
    "type",
    "displayName",
    "logoURI",
    "redirectURIs",
    "grantTypes",
    "scopes",
    "pkce",
];

impl Model for InPlaceModel {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            rotation: RotationCapability::Atomic,
            bulk_list: true,
            fields: FIELDS
                .iter()
                .map(|field| ((*field).to_owned(), Support::PerClient))
                .collect(),
        }
    }

    fn assess(&self, desired: &DesiredClient, _facts: &ProviderFacts) -> Assessment {
        let mut restricted = vec!["type", "redirectURIs", "grantTypes", "scopes"];
        restricted.extend((desired.pkce == Pkce::Required).then_some("pkce"));
        let enforcement = restricted
            .into_iter()
            .map(|field| (field.to_owned(), Enforcement::Client))
            .collect();
        Assessment {
            unsupported: Vec::new(),
            enforcement,
        }
    }

    fn diff(&self, desired: &DesiredClient, secret: Option<&ClientSecret>, observed: &ObservedClient) -> RemoteDiff {
        let wanted = self.created(desired, secret);
        let secret_differs = match (&wanted.secret, &observed.secret) {
            (_, ObservedSecret::NotShown) => false,
            (ObservedSecret::Absent, _) if desired.has_secret() => false,
            (wanted, observed) => wanted != observed,
        };
        let differing = [
            ("redirectURIs", wanted.redirect_uris != observed.redirect_uris),
            ("displayName", wanted.display_name != observed.display_name),
            ("logoURI", wanted.logo_uri != observed.logo_uri),
            ("mark", wanted.marks != observed.marks),
            ("extraGrants", wanted.extra_grants != observed.extra_grants),
            ("type", wanted.client_type != observed.client_type),
            ("secret", secret_differs),
        ];
        let changes = differing
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(field, _)| FieldChange {
                field,
                from: "as it is".to_owned(),
                to: "as the spec says".to_owned(),
            })
            .collect();
        RemoteDiff {
            changes,
            recreate: false,
        }
    }

    fn created(&self, desired: &DesiredClient, secret: Option<&ClientSecret>) -> ObservedClient {
        ObservedClient {
            client_id: desired.client_id.clone(),
            marks: vec![desired.mark.to_string()],
            client_type: desired.client_type,
            display_name: desired.display_name.clone(),
            logo_uri: desired.logo_uri.clone(),
            redirect_uris: desired.redirect_uris.clone(),
            secret: match secret {
                Some(secret) if desired.has_secret() => ObservedSecret::Shown(secret.clone()),
                _ => ObservedSecret::Absent,
            },
            extra_grants: Vec::new(),
        }
    }
}
