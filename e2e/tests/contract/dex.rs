//! Dex.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use oidc_operator::idp::{
    ClientIdentity, Driver as _, Transport,
    contract::Fixture,
    dex::{AdminTls, DexDriver},
    http::HttpClient,
    issuer::{self, IssuerRequest},
};
use oidc_operator_e2e::{
    case,
    dex::{Dex, DexOptions, StaticClient, Storage},
    http,
    pki::Ca,
    shared,
};

fn transport(dex: &Dex, identity: bool) -> Transport {
    Transport {
        timeout: Duration::from_secs(10),
        certificate_authority: Some(dex.ca_pem().to_owned()),
        system_roots: false,
        identity: identity.then(|| ClientIdentity {
            certificate: dex.client_identity().certificate.clone(),
            key: dex.client_identity().key.clone().into(),
        }),
    }
}

fn web_of(dex: &Dex) -> Result<HttpClient> {
    Ok(HttpClient::new(&transport(dex, false))?)
}

/// Shows a certificate that Dex's client CA did not sign.
fn stranger(dex: &Dex, address: &str, web: HttpClient) -> Result<DexDriver> {
    let other = Ca::new("another")?.client("stranger")?;
    let transport = Transport {
        identity: Some(ClientIdentity {
            certificate: other.certificate,
            key: other.key.into(),
        }),
        ..transport(dex, true)
    };
    Ok(DexDriver::new(address, AdminTls::Mutual, &transport, web)?)
}

async fn run(dex: &Dex, prefix: &str) -> Result<()> {
    http::choose_crypto();
    let web = web_of(dex)?;
    let request = IssuerRequest {
        issuer: dex.issuer(),
        field: "issuerURL",
        discovery_url: None,
        insecure_endpoints_allowed: false,
    };
    let (discovery, keys) = issuer::read(&web, &request).await?;
    ensure!(!keys.is_empty(), "no keys");
    let address = dex.grpc_address().to_string();
    let driver = DexDriver::new(&address, AdminTls::Mutual, &transport(dex, true), web)?;
    let before = dex.admin().await?.list().await.unwrap_or_default();
    let stranger = stranger(dex, &address, web_of(dex)?)?;
    let (_listener, nowhere) = super::silent();
    let hasty = Transport {
        timeout: Duration::from_millis(300),
        ..transport(dex, true)
    };
    let silent = DexDriver::new(&nowhere, AdminTls::Mutual, &hasty, web_of(dex)?)?;
    let fixture = Fixture::new(prefix, Some(discovery.endpoints))
        .with_stranger(Box::new(stranger))
        .with_silent(Box::new(silent));
    super::run(&driver, &fixture).await;
    assert_eq!(
        dex.admin().await?.list().await.unwrap_or_default(),
        before,
        "something is left"
    );
    Ok(())
}

#[tokio::test]
async fn dex_with_memory_storage() {
    case::run(async { run(shared::dex().await?, "memory").await }).await;
}

#[tokio::test]
async fn dex_with_a_database() {
    case::run(async {
        let options = DexOptions {
            name: "dex-database".to_owned(),
            storage: Storage::Sqlite,
            ..DexOptions::default()
        };
        run(&Dex::start(options).await?, "database").await
    })
    .await;
}

/// What no client of ours can be, and the driver must tell: a client of Dex's configuration file.
#[tokio::test]
async fn static_clients_are_shown_and_refused() {
    case::run(async {
        let fixed = StaticClient {
            id: "fixed_client".to_owned(),
            secret: "theirs".to_owned(),
            redirect_uris: vec!["https://theirs.example.com".to_owned()],
        };
        let options = DexOptions {
            name: "dex-static".to_owned(),
            static_clients: vec![fixed],
            ..DexOptions::default()
        };
        let dex = Dex::start(options).await?;
        let address = dex.grpc_address().to_string();
        let driver = DexDriver::new(&address, AdminTls::Mutual, &transport(&dex, true), web_of(&dex)?)?;
        let (mut desired, secret) = Fixture::new("fixed", None).client("client");
        desired.client_id = "fixed_client".to_owned();
        let shown = driver.get("fixed_client", &desired.mark).await?;
        let shown = shown.context("it is not shown")?;
        assert_eq!(shown.marks, Vec::<String>::new());
        let error = driver
            .create(&desired, Some(&secret))
            .await
            .expect_err("a static client");
        assert!(error.is_definite(), "{error}");
        let error = driver.delete(&shown).await.expect_err("a static client");
        assert!(error.is_definite(), "{error}");
        Ok(())
    })
    .await;
}
