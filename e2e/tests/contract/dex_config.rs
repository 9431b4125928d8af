//! Dex by its configuration file: its objects on a real API server, and a process that starts anew with each roll-out.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::Client;
use oidc_operator::{
    api::dex_config::DexConfig,
    controller::connect::dex_config::installation,
    domain::{OwnerId, ResourceName},
    idp::{Driver as _, contract::Fixture, dex::config::DexConfigDriver},
    telemetry::metrics::Metrics,
};
use oidc_operator_e2e::{
    case,
    control_plane::{ControlPlane, Options},
    dex::{
        Storage,
        supervised::{KEYS, SupervisedDex, TARGET},
    },
    http, login,
    wait::eventually,
};

const BOUND: Duration = Duration::from_secs(120);

fn driver(dex: &SupervisedDex, kube: &Client, namespace: &str, timeout: Duration) -> Result<DexConfigDriver> {
    let config: DexConfig = serde_json::from_value(dex.spec())?;
    let (owner, provider) = (OwnerId::new("contract").unwrap(), ResourceName::new(namespace, "dex"));
    let installation = installation(kube, &Metrics::new(), &owner, &provider, config);
    Ok(DexConfigDriver::new(
        installation,
        dex.as_issuer(timeout)?,
        timeout,
        Box::new(|_| ()),
    ))
}

#[tokio::test]
async fn dex_by_its_configuration() {
    case::run(async {
        http::choose_crypto();
        let cluster = ControlPlane::start(Options {
            name: "contract-dex-config".to_owned(),
            workloads: true,
            ..Options::default()
        })
        .await?;
        let dex = SupervisedDex::new("contract-dex", Storage::Memory)?;
        let kube = cluster.client().await?;
        let (namespace, _kubelet) = dex.place(&cluster).await?;
        let good = driver(&dex, &kube, &namespace, Duration::from_secs(60))?;
        eventually("Dex is set up", BOUND, async || {
            let probed = good.probe().await;
            ensure!(probed.is_ok(), "{probed:?}; Pod: {:?}", dex.refused());
            Ok(())
        })
        .await?;
        let config_maps: Api<ConfigMap> = Api::namespaced(kube.clone(), &namespace);
        let target = async || {
            let data = config_maps.get(TARGET).await?.data.context("no data")?;
            data.get("config.yaml").cloned().context("no configuration")
        };
        assert_eq!(target().await?, dex.base());

        let web = http::client(dex.ca_pem())?;
        let discovery = login::discover(&web, dex.issuer()).await?;
        let endpoints = oidc_operator::domain::Endpoints {
            token: discovery.token_endpoint,
            ..Default::default()
        };
        let (_listener, nowhere) = super::silent();
        let silent = Client::try_from(kube::Config::new(format!("http://{nowhere}").parse()?))?;
        let fixture = Fixture::new("config", Some(endpoints)).with_silent(Box::new(driver(
            &dex,
            &silent,
            &namespace,
            Duration::from_millis(300),
        )?));
        super::run(&good, &fixture).await;

        assert_eq!(target().await?, dex.base(), "something is left");
        eventually("no secret is left", BOUND, async || {
            let secrets: Api<Secret> = Api::namespaced(kube.clone(), &namespace);
            let data = secrets.get(KEYS).await?.data.unwrap_or_default();
            ensure!(data.is_empty(), "{:?}", data.keys());
            Ok(())
        })
        .await?;
        for start in dex.starts() {
            assert_eq!(start.open, [""; 0], "Dex accepted an empty secret");
        }
        Ok(())
    })
    .await;
}
