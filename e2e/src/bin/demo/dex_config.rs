//! Dex by its configuration file: a new secret reaches the application once Dex has it.

use std::{sync::Mutex, time::Duration};

use anyhow::{Result, ensure};
use oidc_operator_e2e::{
    control_plane::ControlPlane,
    dex::{
        self, Storage,
        supervised::{Kubelet, SupervisedDex},
    },
    install,
    wait::eventually,
};

use crate::{Demo, Sample, Shown, say, show};

/// A Dex, and who runs its Pods.
pub(crate) struct ByConfiguration {
    dex: SupervisedDex,
    kubelet: Mutex<Option<Kubelet>>,
}

impl Shown for ByConfiguration {
    type Idp = SupervisedDex;
    const STARTS: &'static str = "the configuration of a Dex, with a Deployment that waits for it";
    const NOTICE: Option<&'static str> =
        Some("There is no node here: the Pod's container is a process of this machine, started as a kubelet would.");
    const WORKLOAD: bool = true;
    const ADAPTED: &'static str = "with this Dex's address, CA and Deployment";
    const CLIENT: Sample = Sample {
        namespace: "playpen",
        name: "playpen",
    };

    async fn start(_: &ControlPlane) -> Result<Self> {
        Ok(Self {
            dex: SupervisedDex::new("demo-dex", Storage::Sqlite)?,
            kubelet: Mutex::default(),
        })
    }

    fn idp(&self) -> &SupervisedDex {
        &self.dex
    }

    fn issuer(&self) -> String {
        self.dex.issuer().to_owned()
    }

    fn replacements(&self) -> Vec<(&'static str, String)> {
        vec![("https://login.example.com/dex", self.issuer())]
    }

    fn user(&self) -> (&str, &str) {
        (dex::USER_EMAIL, dex::USER_PASSWORD)
    }

    async fn placed(&self, cluster: &ControlPlane) -> Result<()> {
        println!("$ kubectl apply -f config/dex-config/rights.yaml    (in namespace identity)");
        install::allow_dex_config(cluster, "identity").await?;
        let kubelet = self.dex.kubelet(cluster, "identity")?;
        if let Ok(mut running) = self.kubelet.lock() {
            *running = Some(kubelet);
        }
        Ok(())
    }

    async fn own_part(&self, demo: &Demo) -> Result<()> {
        say("What Dex reads: the platform's configuration, and the client with its secret by environment variable");
        let target = [
            "get",
            "configmap",
            "dex-config",
            "-n",
            "identity",
            "-o",
            r"jsonpath={.data.config\.yaml}",
        ];
        show(&demo.kubectl, &target).await?;

        say("A new secret: Dex is rolled out with it, then the application's Secret holds it");
        let (former, starts) = (demo.secret_value("client-secret").await?, self.dex.starts().len());
        let Sample { namespace, name } = Self::CLIENT;
        let annotation = "oidc-operator.io/rotate=1";
        show(&demo.kubectl, &["annotate", "oidcc", name, "-n", namespace, annotation]).await?;
        eventually("the Secret holds a new secret", Duration::from_secs(60), async || {
            let secret = demo.secret_value("client-secret").await?;
            ensure!(secret != former, "it is the former one");
            Ok(())
        })
        .await?;
        demo.log_in().await?;
        println!(
            "logged in with it; Dex was started {} time(s) for that",
            self.dex.starts().len() - starts
        );
        Ok(())
    }

    fn proposals() -> String {
        let Sample { namespace, name } = Self::CLIENT;
        format!(
            "# See how a change waits for the roll-out:
kubectl patch oidcc {name} -n {namespace} --type merge -p '{{\"spec\":{{\"displayName\":\"Playpen\"}}}}'
kubectl get oidcc {name} -n {namespace} -o jsonpath='{{.status.conditions}}'"
        )
    }
}
