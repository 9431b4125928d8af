//! What Dex answers at its issuer, seen from the driver: where its token endpoint is, and whether it accepts an empty secret.

use std::collections::BTreeMap;

use futures::StreamExt as _;

use crate::{
    domain::{ClientSecret, Endpoints, Proof, TokenEndpointAuthMethod, error::bounded},
    idp::{
        Credentials,
        http::HttpClient,
        issuer::{self, IssuerRequest},
        proof,
    },
};

/// Empty secrets that are tried at once.
const AT_ONCE: usize = 8;

/// The issuer of a Dex.
#[derive(Clone, Debug)]
pub struct ConfigIssuer {
    /// Trusts the issuer's CA.
    pub http: HttpClient,
    /// What its discovery document must name.
    pub issuer: String,
    /// Where the document lies, if not below the issuer.
    pub discovery_url: Option<String>,
    /// May endpoints be plain http?
    pub insecure_endpoints_allowed: bool,
    /// The endpoints, where they are given by hand.
    pub endpoints: Option<Endpoints>,
}

impl ConfigIssuer {
    /// The endpoints that it names now; why there are none, for people.
    pub(super) async fn endpoints(&self) -> Result<Endpoints, String> {
        if let Some(given) = &self.endpoints {
            return Ok(given.clone());
        }
        let request = IssuerRequest {
            issuer: &self.issuer,
            field: "issuerURL",
            discovery_url: self.discovery_url.as_deref(),
            insecure_endpoints_allowed: self.insecure_endpoints_allowed,
        };
        match issuer::read(&self.http, &request).await {
            Ok((discovery, _)) => Ok(discovery.endpoints),
            Err(error) => Err(format!(
                "Dex does not answer at its issuer: {}",
                bounded(&error.to_string())
            )),
        }
    }

    /// Tries an empty secret for each client, and gives those that Dex accepts it for, with what that means.
    ///
    /// # Errors
    /// Why it cannot be told, for people.
    pub(super) async fn accepts_empty_secrets(
        &self,
        clients: impl IntoIterator<Item = String>,
    ) -> Result<BTreeMap<String, String>, String> {
        let endpoints = &self.endpoints().await?;
        let empty = &ClientSecret::new("");
        let tries = clients.into_iter().map(|client_id| async move {
            let credentials = Credentials {
                client_id: &client_id,
                secret: empty,
                method: TokenEndpointAuthMethod::ClientSecretPost,
                redirect_uri: None,
                audience: "",
            };
            let proof = proof::by_invalid_code(&self.http, &credentials, endpoints).await;
            (client_id, proof)
        });
        let mut tries = futures::stream::iter(tries).buffer_unordered(AT_ONCE);
        let mut accepted = BTreeMap::new();
        while let Some((client_id, proof)) = tries.next().await {
            match proof {
                Proof::Disproven => {}
                Proof::Proven => {
                    let told = format!(
                        "Dex accepts an empty secret for client {client_id}: anybody who knows this ID can act as the application. Its Pod runs without the client's variable: see that nobody changes the Pod template that the operator wrote, and restart Dex"
                    );
                    accepted.insert(client_id, told);
                }
                Proof::Unknown(why) | Proof::Undecided(why) | Proof::WrongIssuer(why) => {
                    return Err(format!("whether Dex refuses an empty secret could not be tried: {why}"));
                }
            }
        }
        Ok(accepted)
    }
}
