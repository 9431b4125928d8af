//! Dex's gRPC API as a test sees it: a plain client that shares no code with the operator's.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::http::choose_crypto;
use crate::pki::Identity;

/// What is generated from `proto/dex/api.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    reason = "generated"
)]
pub mod api {
    tonic::include_proto!("api");
}

/// A connection to Dex's gRPC API.
#[derive(Debug, Clone)]
pub struct DexAdmin {
    /// The generated client, for calls that have no method here.
    pub client: api::dex_client::DexClient<Channel>,
}

impl DexAdmin {
    /// Connects, trusting `ca_pem`, with a client certificate or without.
    ///
    /// With TLS 1.3 a missing or wrong client certificate shows only with the first call.
    ///
    /// # Errors
    /// The server cannot be reached within five seconds, or TLS fails.
    pub async fn connect(address: SocketAddr, ca_pem: &str, identity: Option<&Identity>) -> Result<Self> {
        choose_crypto();
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca_pem));
        if let Some(identity) = identity {
            tls = tls.identity(tonic::transport::Identity::from_pem(
                &identity.certificate,
                &identity.key,
            ));
        }
        let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(10));
        let channel = endpoint.connect().await.with_context(|| format!("gRPC to {address}"))?;
        Ok(Self {
            client: api::dex_client::DexClient::new(channel),
        })
    }

    /// The client with this id, secret included; `None` if there is none.
    ///
    /// # Errors
    /// Any other refusal.
    pub async fn get(&self, id: &str) -> Result<Option<api::Client>> {
        let answer = self
            .client
            .clone()
            .get_client(api::GetClientReq { id: id.to_owned() })
            .await;
        match answer {
            Ok(answer) => Ok(answer.into_inner().client),
            // Dex has no code for it: status Unknown and this text.
            Err(status) if status.message().contains("not found") => Ok(None),
            Err(status) => Err(status).with_context(|| format!("GetClient {id}")),
        }
    }

    /// The ids of all clients, sorted. Not with Kubernetes storage, where Dex has not implemented it.
    ///
    /// # Errors
    /// Dex refuses.
    pub async fn list(&self) -> Result<Vec<String>> {
        let answer = self
            .client
            .clone()
            .list_clients(api::ListClientReq {})
            .await
            .context("ListClients")?;
        let mut ids: Vec<String> = answer
            .into_inner()
            .clients
            .into_iter()
            .map(|client| client.id)
            .collect();
        ids.sort();
        Ok(ids)
    }

    /// Makes a client and gives it as Dex keeps it.
    ///
    /// # Errors
    /// There is one with this id, or Dex refuses.
    pub async fn create(&self, client: api::Client) -> Result<api::Client> {
        let id = client.id.clone();
        let request = api::CreateClientReq { client: Some(client) };
        let answer = self
            .client
            .clone()
            .create_client(request)
            .await
            .context("CreateClient")?
            .into_inner();
        ensure!(!answer.already_exists, "there is a client {id} already");
        answer
            .client
            .with_context(|| format!("CreateClient {id} gave no client"))
    }

    /// Deletes a client; `false` if there was none.
    ///
    /// # Errors
    /// Dex refuses.
    pub async fn delete(&self, id: &str) -> Result<bool> {
        let answer = self
            .client
            .clone()
            .delete_client(api::DeleteClientReq { id: id.to_owned() })
            .await;
        Ok(!answer
            .with_context(|| format!("DeleteClient {id}"))?
            .into_inner()
            .not_found)
    }
}
