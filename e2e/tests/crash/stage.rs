//! The API server and the Dex of all crash loops, without a running operator.

use anyhow::Result;
use oidc_operator_e2e::{
    control_plane::{ControlPlane, Options},
    dex::{Dex, DexOptions},
    http, install,
};
use tokio::sync::OnceCell;

#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) dex: Dex,
    pub(crate) cluster: ControlPlane,
}

/// The namespace and name of the one provider.
pub(crate) const PROVIDER: (&str, &str) = ("identity", "dex");

pub(crate) async fn shared() -> Result<&'static Stage> {
    static CELL: OnceCell<Stage> = OnceCell::const_new();
    CELL.get_or_try_init(|| async {
        http::choose_crypto();
        let (cluster, dex) = tokio::try_join!(
            ControlPlane::start(Options {
                name: "crash-control-plane".to_owned(),
                ..Options::default()
            }),
            Dex::start(DexOptions {
                name: "crash-dex".to_owned(),
                ..DexOptions::default()
            }),
        )?;
        install::install(&cluster).await?;
        // The garbage collector learns of new CRDs every 30 s only.
        cluster.start_controller_manager().await?;
        let kubectl = cluster.kubectl()?;
        let (namespace, name) = PROVIDER;
        kubectl.run(["create", "namespace", namespace]).await?;
        for reference in install::references(&dex, namespace) {
            kubectl.apply(&reference.to_string()).await?;
        }
        kubectl
            .apply(&install::provider(&dex, namespace, name).to_string())
            .await?;
        Ok(Stage { dex, cluster })
    })
    .await
}
