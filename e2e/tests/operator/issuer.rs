//! Where the issuer's discovery document lies, and which issuer it names.

use anyhow::{Context as _, Result, ensure};
use oidc_operator::api::{OIDCClient, OIDCProvider, provider::IssuerStatus};
use oidc_operator_e2e::{
    case,
    proxy::{FaultProxy, Mode},
    scene::{PROVIDER, Scene, Stage},
};
use serde_json::json;

use crate::held::{Held, tells};

const WELL_KNOWN: &str = "/.well-known/openid-configuration";
const PUBLIC: &str = "https://sso.example.com/dex";

async fn issuer(scene: &Scene<'_>) -> Result<IssuerStatus> {
    let status = scene.api::<OIDCProvider>().get(PROVIDER).await?.status;
    status.and_then(|status| status.issuer).context("no issuer")
}

/// The document lies at another address, here one that can be switched off; it names the same issuer.
#[tokio::test]
async fn the_document_lies_elsewhere() {
    case::run(async {
        let stage = Stage::shared().await?;
        let url = url::Url::parse(stage.dex.issuer())?;
        let address = url.socket_addrs(|| None)?.first().copied().context("no address")?;
        let proxy = FaultProxy::start(address)?;
        let document = format!("https://{}{}{WELL_KNOWN}", proxy.address(), url.path());
        let provider = json!({"spec": {
            "issuer": {"discoveryURL": document},
            "adminAPI": {"timeout": "1s"},
            "resyncInterval": "5s",
        }});
        let scene = stage.scene_at(&stage.dex, "elsewhere-doc", provider).await?;
        scene.ready_client("shop", json!({})).await?;
        let held = Held::of(&scene, "shop").await?;
        assert_eq!(held.config_map["discovery-url"], document);
        assert_eq!(held.config_map["issuer-uri"], stage.dex.issuer());
        assert_eq!(held.config_map["token-uri"], stage.dex.token_endpoint());
        held.works(&scene).await?;

        proxy.set(Mode::Refuse);
        scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "Unreachable")
            .await?;
        proxy.set(Mode::Pass);
        scene.ready::<OIDCProvider>(PROVIDER).await.map(drop)
    })
    .await;
}

/// Inside, tokens carry another issuer, and the document names that; browsers, and what checks their tokens, know the public one.
#[tokio::test]
async fn another_issuer_inside() {
    case::run(async {
        let stage = Stage::shared().await?;
        let inside = stage.dex.issuer();
        let provider = json!({"spec": {"issuer": {"issuerURL": PUBLIC, "internal": {"issuerURL": inside}}}});
        let scene = stage.scene_at(&stage.dex, "inside", provider).await?;
        let told = issuer(&scene).await?;
        assert_eq!(
            (told.url.as_str(), told.internal_url.as_deref()),
            (PUBLIC, Some(inside))
        );
        let client = scene.ready_client("shop", json!({})).await?;
        assert_eq!(client.status.and_then(|status| status.issuer).as_deref(), Some(PUBLIC));
        scene
            .condition::<OIDCClient>("shop", "CredentialsVerified", "True", "Verified")
            .await?;
        let held = Held::of(&scene, "shop").await?;
        held.works(&scene).await?;
        assert_eq!(held.secret["issuer-uri"], PUBLIC);
        assert_eq!(held.config_map["issuer-uri"], PUBLIC);
        assert_eq!(held.config_map["discovery-url"], format!("{inside}{WELL_KNOWN}"));
        assert_eq!(held.secret["token-uri"], stage.dex.token_endpoint());

        // What is said of it is compared byte for byte.
        let wrong = format!("{inside}/");
        scene
            .provider(json!({"spec": {"issuer": {"issuerURL": PUBLIC, "internal": {"issuerURL": wrong}}}}))
            .await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "IssuerMismatch")
            .await?;
        tells(&message, &["issuer.internal.issuerURL says", "trailing slash"])?;
        scene
            .provider(json!({"spec": {"issuer": {
                "issuerURL": PUBLIC,
                "internal": {"discoveryURL": format!("{inside}{WELL_KNOWN}")},
            }}}))
            .await?;
        scene
            .condition::<OIDCProvider>(PROVIDER, "DiscoveryValid", "False", "IssuerMismatch")
            .await?;
        let message = scene
            .condition::<OIDCProvider>(PROVIDER, "Ready", "False", "IssuerMismatch")
            .await?;
        ensure!(message.contains(PUBLIC) && message.contains(inside), "{message}");
        Ok(())
    })
    .await;
}
