//! Wakes passes from within: a provider became ready, a list showed drift, a referenced Secret changed.

use futures::{Stream, StreamExt as _};
use kube::{core::DeserializeGuard, runtime::reflector::ObjectRef};
use tokio::sync::mpsc;

use crate::{
    api::{OIDCClient, OIDCProvider},
    domain::ResourceName,
};

/// Names of objects to look at; the queues behind take each name once, however often it is sent.
#[derive(Clone)]
pub struct Triggers {
    clients: mpsc::UnboundedSender<ResourceName>,
    providers: mpsc::UnboundedSender<ResourceName>,
}

/// The other ends.
pub struct Triggered {
    /// Clients to look at.
    pub clients: mpsc::UnboundedReceiver<ResourceName>,
    /// Providers to look at.
    pub providers: mpsc::UnboundedReceiver<ResourceName>,
}

impl Triggers {
    /// Both ends.
    pub fn new() -> (Self, Triggered) {
        let (clients, client_names) = mpsc::unbounded_channel();
        let (providers, provider_names) = mpsc::unbounded_channel();
        (
            Self { clients, providers },
            Triggered {
                clients: client_names,
                providers: provider_names,
            },
        )
    }

    /// Looks at a client soon. Nobody listens any more once the operator stops.
    pub fn client(&self, name: ResourceName) {
        let _ = self.clients.send(name);
    }

    /// Looks at a provider soon.
    pub fn provider(&self, name: ResourceName) {
        let _ = self.providers.send(name);
    }
}

/// A receiver as the queue of OIDCClients wants it.
pub fn clients(
    receiver: mpsc::UnboundedReceiver<ResourceName>,
) -> impl Stream<Item = ObjectRef<DeserializeGuard<OIDCClient>>> + Send {
    names(receiver).map(|name| ObjectRef::new(&name.name).within(&name.namespace))
}

/// A receiver as the queue of OIDCProviders wants it.
pub fn providers(
    receiver: mpsc::UnboundedReceiver<ResourceName>,
) -> impl Stream<Item = ObjectRef<DeserializeGuard<OIDCProvider>>> + Send {
    names(receiver).map(|name| ObjectRef::new(&name.name).within(&name.namespace))
}

fn names(receiver: mpsc::UnboundedReceiver<ResourceName>) -> impl Stream<Item = ResourceName> + Send {
    futures::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    })
}
