//! The CA of a provider changes. Each scenario has an OIDCProvider of its own, beside those of the others, whose CA stays.

use std::sync::LazyLock;

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use oidc_operator_e2e::pki::Ca;
use serde_json::json;

use crate::{loops::Run, operator::Death, server::Server};

/// The same in every run: the end of all of them is compared.
static NEXT: LazyLock<Ca> = LazyLock::new(|| Ca::new("the next CA").unwrap());

/// A provider whose CA is `pem`, and a client that knows; then the next CA comes beside it, and nobody has looked yet.
async fn changes<P: Server>(run: &Run<P>, config_map: &str, pem: &str) -> Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(run.kube.clone(), &run.subject.provider.namespace);
    let holds = async |pem: String| {
        let patch = Patch::Merge(json!({"data": {"ca-bundle.crt": pem}}));
        maps.patch(config_map, &PatchParams::default(), &patch).await
    };
    // A former run has left it changed.
    holds(pem.to_owned()).await?;
    run.live(Death::Never).await?;
    holds(format!("{pem}{}", NEXT.pem())).await?;
    Ok(())
}

mod dex {
    use anyhow::Result;
    use oidc_operator_e2e::{dex::Dex, install};

    use super::changes;
    use crate::{loops::crash_loop, server::Subject, stage};

    async fn subject() -> Result<Subject<Dex>> {
        stage::provide(crate::dex::dex().await?).await
    }

    crash_loop!(
        ca_changed, {}, made: true,
        |run| Box::pin(changes(run, install::CA, run.subject.server.ca_pem())),
        ["update-configmap"]
    );
}

mod keycloak {
    use oidc_operator_e2e::keycloak::CA;

    use super::changes;
    use crate::{keycloak::subject, loops::crash_loop};

    crash_loop!(
        ca_changed, {}, made: true,
        |run| Box::pin(changes(run, CA, run.subject.server.ca_pem())),
        ["update-configmap"]
    );
}
