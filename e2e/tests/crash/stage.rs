//! The API server of all crash loops, without a running operator.

use anyhow::Result;
use oidc_operator::domain::ResourceName;
use oidc_operator_e2e::{
    control_plane::{ControlPlane, Options},
    http, install,
    scene::{Idp, Scene},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::server::Subject;

pub(crate) async fn cluster() -> Result<&'static ControlPlane> {
    static CELL: OnceCell<ControlPlane> = OnceCell::const_new();
    CELL.get_or_try_init(|| async {
        http::choose_crypto();
        let cluster = ControlPlane::start(Options {
            name: "crash-control-plane".to_owned(),
            ..Options::default()
        })
        .await?;
        install::install(&cluster).await?;
        // The garbage collector learns of new CRDs every 30 s only.
        cluster.start_controller_manager().await?;
        Ok(cluster)
    })
    .await
}

/// An OIDCProvider for `server`, in a namespace of its own.
pub(crate) async fn provide<P: Idp>(server: &'static P) -> Result<Subject<P>> {
    provide_as(server, json!({})).await
}

/// The same, with `provider` merged into it.
pub(crate) async fn provide_as<P: Idp>(server: &'static P, provider: Value) -> Result<Subject<P>> {
    let scene = Scene::empty(cluster().await?, server, P::NAME).await?;
    scene.provider(provider).await?;
    Ok(Subject {
        server,
        provider: ResourceName::new(&scene.identity, P::NAME),
    })
}
