//! Where it is measured: servers, provider, clients; everything but the operator.

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{Api, Client, api::PostParams};
use oidc_operator::api::OIDCClient;
use oidc_operator_e2e::{
    control_plane::{ControlPlane, Options},
    install,
    scene::Idp,
};
use serde_json::json;

use crate::calls::Measured;

pub(crate) const NAMESPACES: usize = 10;
/// Namespace of the OIDCProvider.
pub(crate) const IDENTITY: &str = "identity";
/// Calls at once that the bench's providers allow.
pub(crate) const IN_FLIGHT: usize = 16;
/// Requests at once that make the OIDCClients.
const MADE_AT_ONCE: usize = 8;

/// Where it is measured.
pub(crate) struct Site<P> {
    pub(crate) cluster: ControlPlane,
    pub(crate) provider: P,
    pub(crate) kube: Client,
    /// Namespace and name of each OIDCClient.
    pub(crate) clients: Vec<(String, String)>,
}

impl<P: Measured> Site<P> {
    /// A control plane with the operator's rights, and the provider.
    pub(crate) async fn prepare() -> Result<Self> {
        println!("starting a control plane and {}", P::LABEL);
        let (cluster, provider) = tokio::try_join!(
            ControlPlane::start(Options {
                name: "bench-control-plane".to_owned(),
                ..Options::default()
            }),
            P::start(),
        )?;
        install::install(&cluster).await?;
        cluster.kubectl()?.run(["create", "namespace", IDENTITY]).await?;
        apply_provider(&cluster, provider.idp()).await?;
        Ok(Self {
            kube: cluster.client().await?,
            cluster,
            provider,
            clients: Vec::new(),
        })
    }

    /// The OIDCClients.
    pub(crate) async fn make_clients(&mut self, clients: usize) -> Result<()> {
        println!("making {clients} OIDCClients");
        let namespaces: Vec<String> = stream::iter(0..NAMESPACES)
            .then(|_| self.cluster.namespace("bench"))
            .try_collect()
            .await?;
        let names = (0..clients).map(|number| (namespaces[number % NAMESPACES].clone(), format!("app-{number}")));
        self.clients = names.collect();
        make(&self.kube, <P::Idp as Idp>::NAME, &self.clients).await
    }
}

/// An OIDCProvider with what it refers to.
pub(crate) async fn apply_provider<I: Idp>(cluster: &ControlPlane, idp: &I) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    for reference in idp.references(IDENTITY) {
        kubectl.apply(&reference.to_string()).await?;
    }
    let mut provider = idp.provider(IDENTITY);
    // As fast as it can: the limits that protect a provider in production are not what is measured.
    provider["spec"]["adminAPI"] = json!({"maxInFlight": IN_FLIGHT, "requestsPerSecond": 1000});
    kubectl.apply(&provider.to_string()).await.map(drop)
}

/// Makes OIDCClients for a provider, in namespaces that exist.
pub(crate) async fn make(kube: &Client, provider: &str, clients: &[(String, String)]) -> Result<()> {
    stream::iter(clients)
        .map(|(namespace, name)| {
            let api: Api<OIDCClient> = Api::namespaced(kube.clone(), namespace);
            async move {
                let client: OIDCClient = serde_json::from_value(json!({
                    "apiVersion": "oidc-operator.io/v1alpha1",
                    "kind": "OIDCClient",
                    "metadata": {"name": name},
                    "spec": {
                        "providerRef": {"name": provider, "namespace": IDENTITY},
                        "displayName": format!("Application {name}"),
                        "redirectURIs": [redirect_uri(name)],
                    },
                }))?;
                api.create(&PostParams::default(), &client).await?;
                anyhow::Ok(())
            }
        })
        .buffer_unordered(MADE_AT_ONCE)
        .try_collect()
        .await
}

/// That of the OIDCClient of this name.
pub(crate) fn redirect_uri(name: &str) -> String {
    format!("https://{name}.example.com/callback")
}
