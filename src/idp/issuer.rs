//! Reads what an issuer says of itself: the discovery document and the keys.

use super::http::{Answer, HttpClient};
pub use crate::domain::discovery::IssuerError;
use crate::domain::{
    Discovery, JsonWebKeySummary,
    discovery::{Expected, parse_discovery, parse_jwks, well_known},
};

/// Which issuer, and how strictly.
#[derive(Clone, Copy, Debug)]
pub struct IssuerRequest<'a> {
    /// What the document must name, byte for byte.
    pub issuer: &'a str,
    /// The field of the spec that names it.
    pub field: &'static str,
    /// Where its document lies, if not at the well-known path below the issuer.
    pub discovery_url: Option<&'a str>,
    /// May endpoints be plain http (`insecureTransport.allowed: [Endpoints]`)?
    pub insecure_endpoints_allowed: bool,
}

impl IssuerRequest<'_> {
    /// Where the document is read.
    pub fn url(&self) -> String {
        self.discovery_url
            .map_or_else(|| well_known(self.issuer), str::to_owned)
    }
}

/// Reads and checks the discovery document and the keys of an issuer; two requests, each within the client's timeout.
///
/// # Errors
/// [`IssuerError`].
pub async fn read(
    http: &HttpClient,
    request: &IssuerRequest<'_>,
) -> Result<(Discovery, Vec<JsonWebKeySummary>), IssuerError> {
    let (discovery, _) = document(http, request).await?;
    let keys = keys(http, &discovery).await?;
    Ok((discovery, keys))
}

/// Reads and checks the discovery document; the answer holds what it says besides.
///
/// # Errors
/// [`IssuerError`].
pub async fn document(http: &HttpClient, request: &IssuerRequest<'_>) -> Result<(Discovery, Answer), IssuerError> {
    let url = request.url();
    let document = fetch(http, "discovery", &url).await?;
    let expected = Expected {
        issuer: request.issuer,
        field: request.field,
        url: &url,
        insecure_endpoints_allowed: request.insecure_endpoints_allowed,
    };
    let discovery = parse_discovery(document.body.as_bytes(), expected)?;
    Ok((discovery, document))
}

/// Reads the keys of an issuer and keeps what is usable.
///
/// # Errors
/// [`IssuerError`].
pub async fn keys(http: &HttpClient, discovery: &Discovery) -> Result<Vec<JsonWebKeySummary>, IssuerError> {
    let url = &discovery.endpoints.jwks;
    let jwks = fetch(http, "keys", url).await?;
    parse_jwks(jwks.body.as_bytes(), url, &discovery.signing_algorithms)
}

async fn fetch(http: &HttpClient, operation: &'static str, url: &str) -> Result<Answer, IssuerError> {
    let answer = http.get(operation, url).await.map_err(IssuerError::Request)?;
    match answer.status {
        200 => Ok(answer),
        status => Err(IssuerError::Status {
            url: url.to_owned(),
            status,
            location: answer.location,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idp::testing::{Authority, response, serve, transport};

    /// An RSA modulus of 2048 bits, in base64url.
    fn modulus() -> String {
        format!("{}w", "_".repeat(341))
    }

    fn document(issuer: &str) -> String {
        format!(
            r#"{{"issuer":"{issuer}","authorization_endpoint":"{issuer}/auth","token_endpoint":"{issuer}/token",
            "jwks_uri":"{issuer}/keys","response_types_supported":["code"],"subject_types_supported":["public"],
            "id_token_signing_alg_values_supported":["RS256"]}}"#
        )
    }

    /// An issuer that knows its port only once it is asked.
    fn serve_issuer(ca: &Authority) -> String {
        let port = serve(Some(ca.server(&["localhost"], |_| {})), move |request| {
            let host = request
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap()
                .trim();
            let path = request.split(' ').nth(1).unwrap();
            match path {
                "/dex/.well-known/openid-configuration" => {
                    response("200 OK", &document(&format!("https://{host}/dex")))
                }
                "/dex/keys" => {
                    let keys = format!(
                        r#"{{"keys":[{{"kty":"RSA","use":"sig","n":"{}","e":"AQAB"}}]}}"#,
                        modulus()
                    );
                    response("200 OK", &keys)
                }
                _ => response("404 Not Found", "<html>"),
            }
        });
        format!("https://localhost:{port}/dex")
    }

    async fn read_as(ca: &Authority, issuer: &str, discovery_url: Option<&str>) -> Result<Discovery, IssuerError> {
        let request = IssuerRequest {
            issuer,
            field: "issuerURL",
            discovery_url,
            insecure_endpoints_allowed: false,
        };
        read(&HttpClient::new(&transport(Some(ca))).unwrap(), &request)
            .await
            .map(|(discovery, keys)| {
                assert_eq!(keys.len(), 1);
                discovery
            })
    }

    #[tokio::test]
    async fn reads_document_and_keys() {
        let ca = Authority::new("ours");
        let issuer = serve_issuer(&ca);
        let discovery = read_as(&ca, &issuer, None).await.unwrap();
        assert_eq!(discovery.issuer, issuer);
        assert_eq!(discovery.url, format!("{issuer}/.well-known/openid-configuration"));
    }

    #[tokio::test]
    async fn a_trailing_slash_finds_the_document_and_does_not_match() {
        let ca = Authority::new("ours");
        let issuer = serve_issuer(&ca);
        let error = read_as(&ca, &format!("{issuer}/"), None).await.unwrap_err();
        assert!(error.to_string().contains("trailing slash"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_document_names_the_address() {
        let ca = Authority::new("ours");
        let url = format!("{}/other", serve_issuer(&ca));
        let error = read_as(&ca, "https://issuer", Some(&url)).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("{url} answered 404")), "{error}");
        assert_eq!(error.reason(), "UnexpectedAnswer");
    }

    /// As Entra ID answers for `common` and `organizations`, whose issuer is a template, and for one tenant.
    fn entra(issuer: &str, base: &str) -> String {
        format!(
            r#"{{"token_endpoint":"{base}/oauth2/v2.0/token","token_endpoint_auth_methods_supported":["client_secret_post","private_key_jwt",
            "client_secret_basic"],"jwks_uri":"{base}/discovery/v2.0/keys","response_modes_supported":["query","fragment","form_post"],
            "subject_types_supported":["pairwise"],"id_token_signing_alg_values_supported":["RS256"],
            "response_types_supported":["code","id_token","code id_token","id_token token"],
            "scopes_supported":["openid","profile","email","offline_access"],"issuer":"{issuer}","request_uri_parameter_supported":false,
            "userinfo_endpoint":"https://graph.microsoft.com/oidc/userinfo","authorization_endpoint":"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint":"{base}/oauth2/v2.0/devicecode","http_logout_supported":true,
            "frontchannel_logout_supported":true,"end_session_endpoint":"{base}/oauth2/v2.0/logout",
            "claims_supported":["sub","iss","aud","exp","iat","preferred_username","name","tid","email"],
            "tenant_region_scope":null,"cloud_instance_name":"microsoftonline.com"}}"#
        )
    }

    #[tokio::test]
    async fn the_document_of_all_tenants_is_refused_with_a_way_out() {
        let ca = Authority::new("ours");
        let port = serve(Some(ca.server(&["localhost"], |_| {})), |request| {
            let host = request
                .lines()
                .find_map(|line| line.strip_prefix("host: "))
                .unwrap()
                .trim();
            let path = request.split(' ').nth(1).unwrap();
            let tenant = path.split('/').nth(1).unwrap();
            let issued_by = if tenant == "common" { "{tenantid}" } else { tenant };
            match path.rsplit('/').next() {
                Some("openid-configuration") => response(
                    "200 OK",
                    &entra(
                        &format!("https://{host}/{issued_by}/v2.0"),
                        &format!("https://{host}/{tenant}"),
                    ),
                ),
                Some("keys") => response(
                    "200 OK",
                    &format!(
                        r#"{{"keys":[{{"kty":"RSA","use":"sig","kid":"1","n":"{}","e":"AQAB"}}]}}"#,
                        modulus()
                    ),
                ),
                _ => response("404 Not Found", ""),
            }
        });
        let tenant = format!("https://localhost:{port}/00000000-0000-0000-0000-000000000000/v2.0");
        let discovery = read_as(&ca, &tenant, None).await.unwrap();
        assert!(
            discovery.endpoints.registration.is_none(),
            "its clients are made by hand"
        );
        let error = read_as(&ca, &format!("https://localhost:{port}/common/v2.0"), None)
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "IssuerMismatch");
        assert!(error.to_string().contains("use the issuer of one tenant"), "{error}");
    }

    #[tokio::test]
    async fn an_untrusted_issuer_is_tls_failed() {
        let issuer = serve_issuer(&Authority::new("theirs"));
        let error = read_as(&Authority::new("ours"), &issuer, None).await.unwrap_err();
        assert_eq!(error.reason(), "TLSFailed");
        assert!(error.to_string().contains("is not signed by the given CA"), "{error}");
    }
}
