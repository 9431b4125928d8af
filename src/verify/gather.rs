//! IO in: what the checks look at. Reads only; every call has a deadline.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use super::{
    authorization::{Asked, Authorization, Step, read},
    evidence::{ConfigMapEvidence, Evidence, Found, IssuerEvidence, Outputs, SecretEvidence, Unread},
    route,
};
use crate::{
    api::{
        OIDCClient, OIDCProvider,
        common::{CA_BUNDLE_KEY, CA_KEY},
    },
    controller::gather,
    domain::{
        ClientSecret, Endpoints, GrantType, IdpError, IdpErrorKind, Proof, ResourceName, TokenEndpointAuthMethod,
        pem::CaBundle,
    },
    idp::{
        Credentials, Transport,
        http::{Answer, HttpClient, parse_url},
        issuer::{self, IssuerRequest},
        proof,
    },
    kubernetes::client::{KubeError, within},
    plan::snapshot::ClientView,
    telemetry::metrics::Metrics,
};

/// Steps at the authorization endpoint: one to it, and one on (Dex).
const MAX_STEPS: usize = 2;

/// A code verifier that nobody will ever need (RFC 7636, section 4.1), for clients that must use PKCE.
const CODE_VERIFIER: &str = "oidc-operator-verify-oidc-operator-verify-00";

/// Looks at everything; `limit`: of each call to the issuer.
pub(super) async fn evidence(kube: &Client, name: &ResourceName, limit: Duration) -> Evidence {
    let reader = Reader {
        kube,
        metrics: Metrics::new(),
    };
    let mut evidence = Evidence {
        name: name.clone(),
        client: Err(Unread::NotFound),
        outputs: None,
        issuer: None,
    };
    let object: OIDCClient = match reader.get("get oidcclients", &name.namespace, &name.name).await {
        Ok(object) => object,
        Err(unread) => {
            evidence.client = Err(unread);
            return evidence;
        }
    };
    let view = gather::client(&object);
    let (outputs, delivered) = reader.outputs(&view).await;
    if let Some(delivered) = delivered
        && let Some(expected) = view.status.issuer.clone()
    {
        let provider = view.provider();
        let provider: Option<OIDCProvider> = (reader
            .get("get oidcproviders", &provider.namespace, &provider.name)
            .await)
            .ok();
        evidence.issuer = ask_issuer(&view, delivered, expected, provider.as_ref(), limit).await;
    }
    evidence.outputs = Some(outputs);
    evidence.client = Ok(Box::new(object));
    evidence
}

struct Reader<'a> {
    kube: &'a Client,
    metrics: Metrics,
}

/// What the issuer is asked with.
struct Delivered {
    ca: Option<CaBundle>,
    discovery_url: Option<String>,
    provider: Option<String>,
    secret: Option<ClientSecret>,
}

impl Reader<'_> {
    async fn get<K>(&self, operation: &'static str, namespace: &str, name: &str) -> Result<K, Unread>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.kube.clone(), namespace);
        match within(&self.metrics, operation, api.get_opt(name)).await {
            Ok(found) => found.ok_or(Unread::NotFound),
            Err(KubeError::Forbidden { message }) => Err(Unread::Forbidden(message)),
            Err(error) => Err(Unread::Failed(error.to_string())),
        }
    }

    /// The outputs; and what the issuer is asked with, unless nobody knows which CA is meant.
    async fn outputs(&self, client: &ClientView) -> (Outputs, Option<Delivered>) {
        let namespace = &client.name.namespace;
        let (secret_name, config_map_name) = (client.secret_name(), client.config_map_name());
        let secret = self.get::<Secret>("get secrets", namespace, &secret_name).await;
        let map = (self.get::<ConfigMap>("get configmaps", namespace, &config_map_name)).await;
        let found = secret.as_ref().ok().and_then(client_secret);
        let delivered = map.as_ref().ok().and_then(|map| {
            Some(Delivered {
                ca: ca(map).transpose().ok()?,
                discovery_url: value(map, "discovery-url"),
                provider: secret.as_ref().ok().and_then(|secret| text(secret, "provider")),
                secret: found.as_ref().map(|(secret, _)| secret.clone()),
            })
        });
        let outputs = Outputs {
            secret: secret.map(|secret| SecretEvidence {
                keys: secret.data.iter().flatten().map(|(key, _)| key.clone()).collect(),
                client_id: text(&secret, "client-id"),
                issuer: text(&secret, "issuer-uri"),
                has_client_secret: found.is_some(),
                is_as_written: found.is_some_and(|(_, as_written)| as_written),
            }),
            config_map: map.map(|map| ConfigMapEvidence {
                keys: map.data.iter().flatten().map(|(key, _)| key.clone()).collect(),
                issuer: value(&map, "issuer-uri"),
                audience: value(&map, "jwtAudience"),
                ca: ca(&map),
            }),
            secret_name,
            config_map_name,
        };
        (outputs, delivered)
    }
}

fn value(map: &ConfigMap, key: &str) -> Option<String> {
    map.data.as_ref()?.get(key).cloned()
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

fn ca(map: &ConfigMap) -> Option<Result<CaBundle, crate::domain::pem::PemError>> {
    let text = [CA_BUNDLE_KEY, CA_KEY].into_iter().find_map(|key| value(map, key))?;
    Some(CaBundle::parse(&text))
}

/// The client secret, and whether it is the one that the operator wrote; read as the operator reads it.
fn client_secret(secret: &Secret) -> Option<(ClientSecret, bool)> {
    let output = gather::secret(secret.clone());
    let as_written = output.intact_secret().is_some();
    output.client_secret().map(|value| (value, as_written))
}

/// What every discovery document may say besides what the operator needs of it.
#[derive(Default, Deserialize)]
struct More {
    claims_supported: Option<BTreeSet<String>>,
    revocation_endpoint: Option<String>,
}

async fn ask_issuer(
    client: &ClientView,
    delivered: Delivered,
    expected: String,
    provider: Option<&OIDCProvider>,
    limit: Duration,
) -> Option<IssuerEvidence> {
    let provider_type = match (provider, &delivered.provider) {
        (Some(provider), _) => provider.spec.type_.as_str().to_owned(),
        (None, given) => given.clone().unwrap_or_default(),
    };
    // The document that applications inside read names the issuer inside.
    let inside = provider.and_then(|provider| provider.spec.issuer.internal_issuer_url());
    let expected = inside.map_or(expected, str::to_owned);
    let username_claim = match provider {
        Some(provider) => provider.spec.username_claim(),
        None => match provider_type.as_str() {
            "dex" => "name",
            "keycloak" | "authentik" => "preferred_username",
            _ => "sub",
        },
    };
    let request = IssuerRequest {
        issuer: &expected,
        field: "issuer-uri",
        discovery_url: delivered.discovery_url.as_deref(),
        // The operator allowed it, or there would be no outputs.
        insecure_endpoints_allowed: true,
    };
    let discovery_url = request.url();
    let url = parse_url(&discovery_url)?;
    let mut found = IssuerEvidence {
        expected: expected.clone(),
        route: route::walk(&url, limit).await,
        discovery_url: discovery_url.clone(),
        username_claim: username_claim.to_owned(),
        provider_type,
        discovery: None,
        keys: None,
        redirects: Vec::new(),
        proof: None,
        audience: None,
    };
    if matches!(&found.route.connected, Some(Err(_))) || matches!(&found.route.addresses, Some(Err(_))) {
        return Some(found);
    }
    let http = match HttpClient::new(&Transport {
        timeout: limit,
        certificate_authority: delivered.ca.as_ref().map(CaBundle::to_pem),
        system_roots: false,
        identity: None,
    }) {
        Ok(http) => http,
        Err(error) => {
            found.route.handshake = Some(Err(error));
            return Some(found);
        }
    };
    let read = issuer::document(&http, &request).await;
    found.route.handshake = Some(match &read {
        Err(issuer::IssuerError::Request(error)) if error.kind == IdpErrorKind::Tls => Err(error.clone()),
        _ => Ok(()),
    });
    if matches!(found.route.handshake, Some(Err(_))) {
        return Some(found);
    }
    let more: More = read
        .as_ref()
        .ok()
        .and_then(|(_, answer)| serde_json::from_slice(answer.body.as_bytes()).ok())
        .unwrap_or_default();
    found.discovery = Some(read.map(|(discovery, _)| Found {
        discovery,
        claims: more.claims_supported,
    }));
    let Some(Ok(Found { discovery, .. })) = &found.discovery else {
        return Some(found);
    };
    let asking = Asking {
        http: &http,
        client,
        endpoints: &discovery.endpoints,
        issuer: &discovery.issuer,
    };
    let (keys, redirects, (proof, audience)) = tokio::join!(
        issuer::keys(&http, discovery),
        asking.redirects(),
        asking.credentials(
            delivered.secret.as_ref(),
            &found.provider_type,
            more.revocation_endpoint.as_deref()
        ),
    );
    found.keys = Some(keys);
    found.redirects = redirects;
    found.proof = proof;
    found.audience = audience;
    Some(found)
}

/// An issuer that can be asked for a client.
struct Asking<'a> {
    http: &'a HttpClient,
    client: &'a ClientView,
    endpoints: &'a Endpoints,
    issuer: &'a str,
}

impl Asking<'_> {
    fn client_id(&self) -> &str {
        self.client.status.client_id.as_deref().unwrap_or_default()
    }

    fn uses(&self, grant: GrantType) -> bool {
        let resolved = self.client.status.resolved.as_ref();
        resolved.is_some_and(|resolved| resolved.grant_types.contains(&grant))
    }

    /// All redirect URIs, at once.
    async fn redirects(&self) -> Vec<(String, Result<Authorization, IdpError>)> {
        if !self.uses(GrantType::AuthorizationCode) {
            return Vec::new();
        }
        let uris = self.client.spec.redirect_uris.iter().flatten();
        join_all(uris.map(async |uri| (uri.clone(), self.authorize(uri).await))).await
    }

    async fn authorize(&self, redirect_uri: &str) -> Result<Authorization, IdpError> {
        const OPERATION: &str = "authorization";
        let Some(endpoint) = parse_url(&self.endpoints.authorization) else {
            let message = "the authorization endpoint is not an http(s) URL";
            return Err(IdpError::new(IdpErrorKind::Protocol, OPERATION, message));
        };
        let resolved = self.client.status.resolved.as_ref();
        let scopes = resolved.map(|resolved| resolved.scopes.join(" ")).unwrap_or_default();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(CODE_VERIFIER));
        let mut next = endpoint.clone();
        next.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id())
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &scopes)
            .append_pair("state", "oidc-operator-verify")
            .append_pair("nonce", "oidc-operator-verify")
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let mut said = Authorization::Login;
        for step in 1..=MAX_STEPS {
            let answer = self.http.get(OPERATION, next.as_str()).await?;
            let read = read(Asked {
                endpoint: &endpoint,
                redirect_uri,
                status: answer.status,
                target: answer.target.as_ref(),
                body: &String::from_utf8_lossy(answer.body.as_bytes()),
            });
            match read {
                Step::Done(answer) => {
                    said = answer;
                    break;
                }
                // A second way on is that of a login that begins.
                Step::Follow(_) if step == MAX_STEPS => {}
                Step::Follow(url) => next = url,
            }
        }
        Ok(said)
    }

    /// The proof of the credentials, and the audience of an access token where the client may have one by itself.
    async fn credentials(
        &self,
        secret: Option<&ClientSecret>,
        provider_type: &str,
        revocation: Option<&str>,
    ) -> (Option<Proof>, Option<Result<Vec<String>, String>>) {
        let resolved = self.client.status.resolved.as_ref();
        let method = resolved.map(|resolved| resolved.token_endpoint_auth_method);
        let (Some(secret), Some(method)) = (secret, method) else {
            return (None, None);
        };
        if method == TokenEndpointAuthMethod::None {
            return (None, None);
        }
        let uris = self.client.spec.redirect_uris.iter().flatten();
        let credentials = Credentials {
            client_id: self.client_id(),
            secret,
            method,
            redirect_uri: uris.map(String::as_str).next(),
            // As the drivers' models have it.
            audience: if provider_type.eq_ignore_ascii_case("static") {
                &self.endpoints.token
            } else {
                self.issuer
            },
        };
        // Its token endpoint says `invalid_grant` to bad credentials too, and makes users of clients.
        let authentik = provider_type.eq_ignore_ascii_case("authentik");
        let proof = match revocation {
            Some(endpoint) if authentik => proof::by_revocation(self.http, &credentials, endpoint).await,
            _ => proof::by_invalid_code(self.http, &credentials, self.endpoints).await,
        };
        let own_token = !authentik && self.uses(GrantType::ClientCredentials) && proof == Proof::Proven;
        let audience = if own_token {
            Some(self.audience(&credentials).await)
        } else {
            None
        };
        (Some(proof), audience)
    }

    async fn audience(&self, credentials: &Credentials<'_>) -> Result<Vec<String>, String> {
        let form = vec![("grant_type", "client_credentials")];
        let answer = proof::post(self.http, credentials, &self.endpoints.token, form).await;
        let answer = answer.map_err(|proof| match proof {
            Proof::Unknown(why) => why,
            _ => "the token endpoint could not be asked".to_owned(),
        })?;
        if answer.status != 200 {
            return Err(format!("the token endpoint answered {}", answer.status));
        }
        audience_of(&answer).ok_or_else(|| "the access token is opaque, or names no audience".to_owned())
    }
}

/// `aud` of the access token in a token response (RFC 7519, section 4.1.3). Its signature is nobody's business here.
fn audience_of(answer: &Answer) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Token {
        access_token: String,
    }
    #[derive(Deserialize)]
    struct Payload {
        aud: Audience,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    let token: Token = serde_json::from_slice(answer.body.as_bytes()).ok()?;
    let payload = URL_SAFE_NO_PAD.decode(token.access_token.split('.').nth(1)?).ok()?;
    let payload: Payload = serde_json::from_slice(&payload).ok()?;
    Some(match payload.aud {
        Audience::One(one) => vec![one],
        Audience::Many(many) => many,
    })
}
