//! The IO half: nothing but the proof.

use async_trait::async_trait;

use super::ByHandModel;
use crate::{
    domain::{
        ClientSecret, DesiredClient, Endpoints, IdpError, IdpErrorKind, Mark, Model, ObservedClient, Proof, RemoteDiff,
    },
    idp::{Created, Credentials, Driver, Page, ServerInfo, Written, http::HttpClient, proof},
};

/// An issuer whose clients are made by hand.
#[derive(Debug)]
pub struct ByHandDriver {
    issuer_http: HttpClient,
    model: ByHandModel,
}

impl ByHandDriver {
    /// `issuer_http` trusts the issuer's CA.
    pub fn new(issuer_http: HttpClient) -> Self {
        Self {
            issuer_http,
            model: ByHandModel,
        }
    }
}

fn unsupported<T>(operation: &'static str) -> Result<T, IdpError> {
    Err(IdpError::new(
        IdpErrorKind::Unsupported,
        operation,
        "there is no admin API: clients are made by hand",
    ))
}

#[async_trait]
impl Driver for ByHandDriver {
    fn model(&self) -> &dyn Model {
        &self.model
    }

    /// Nobody is asked.
    async fn probe(&self) -> Result<ServerInfo, IdpError> {
        Ok(ServerInfo {
            product: "Static",
            version: None,
            api_version: None,
            bulk_list: false,
            scopes: None,
            signing_algorithms: None,
        })
    }

    async fn list(&self, _: u32) -> Result<Page, IdpError> {
        unsupported("list clients")
    }

    async fn get(&self, _: &str, _: &Mark) -> Result<Option<ObservedClient>, IdpError> {
        unsupported("get client")
    }

    async fn create(&self, _: &DesiredClient, _: Option<&ClientSecret>) -> Result<Created, IdpError> {
        unsupported("create client")
    }

    async fn update(
        &self,
        _: &ObservedClient,
        _: &DesiredClient,
        _: Option<&ClientSecret>,
        _: &RemoteDiff,
    ) -> Result<Written, IdpError> {
        unsupported("update client")
    }

    async fn delete(&self, _: &ObservedClient) -> Result<Written, IdpError> {
        unsupported("delete client")
    }

    async fn prove(&self, credentials: &Credentials<'_>, endpoints: &Endpoints) -> Proof {
        proof::of_unknown_server(&self.issuer_http, credentials, endpoints).await
    }
}
