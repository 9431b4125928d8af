//! Dex by the objects of its Kubernetes storage: what a hand changes is put right at once.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use oidc_operator_e2e::{
    control_plane::ControlPlane,
    dex::{self, StoredDex},
    wait::eventually,
};

use crate::{Demo, Sample, Shown, say, show};

/// How long a repair may take.
const SOON: Duration = Duration::from_secs(60);
/// Where an attacker would send users of the application.
const ELSEWHERE: &str = r#"{"redirectURIs":["https://elsewhere.example.com/callback"]}"#;

impl Shown for StoredDex {
    type Idp = Self;
    const SAMPLES: &'static str = "dex-storage";
    const STARTS: &'static str = "a Dex in it, in namespace dex, that keeps its objects there";
    const ADAPTED: &'static str = "with this Dex's address and CA";
    const CLIENT: Sample = Sample {
        namespace: "portal",
        name: "portal",
    };

    async fn start(cluster: &ControlPlane) -> Result<Self> {
        cluster.kubectl()?.run(["create", "namespace", "dex"]).await?;
        Self::start_in(cluster, "demo-dex", "dex").await
    }

    async fn prepare(&self, cluster: &ControlPlane) -> Result<()> {
        println!("$ kubectl apply -n dex -k config/dex-storage");
        self.allow_operator(cluster).await
    }

    fn idp(&self) -> &Self {
        self
    }

    fn issuer(&self) -> String {
        self.dex.issuer().to_owned()
    }

    fn replacements(&self) -> Vec<(&'static str, String)> {
        vec![("https://login.example.com/dex", self.dex.issuer().to_owned())]
    }

    fn user(&self) -> (&str, &str) {
        (dex::USER_EMAIL, dex::USER_PASSWORD)
    }

    async fn own_part(&self, demo: &Demo) -> Result<()> {
        say("The client is an object of Dex's; somebody edits it by hand");
        let object = ["-n", "dex", "-l", "oidc-operator.io/client-uid"];
        let list = ["get", "oauth2clients.dex.coreos.com"].into_iter().chain(object);
        show(&demo.kubectl, &list.collect::<Vec<_>>()).await?;
        let uri = demo.secret_value("redirect-uri").await?;
        let id = demo.secret_value("client-id").await?;
        let objects = demo
            .kubectl
            .get_json(["oauth2clients.dex.coreos.com", "-n", "dex"])
            .await?;
        let mut items = objects["items"].as_array().into_iter().flatten();
        let name = items
            .find(|item| item["id"] == id.as_str())
            .map(|item| item["metadata"]["name"].clone());
        let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();
        let edit = [
            "patch",
            "oauth2clients.dex.coreos.com",
            name,
            "-n",
            "dex",
            "--type",
            "merge",
            "-p",
            ELSEWHERE,
        ];
        let start = Instant::now();
        show(&demo.kubectl, &edit).await?;
        eventually("the client is as the spec says", SOON, async || {
            let client = demo
                .kubectl
                .get_json(["oauth2clients.dex.coreos.com", name, "-n", "dex"])
                .await?;
            ensure!(client["redirectURIs"][0] == uri.as_str(), "{}", client["redirectURIs"]);
            Ok(())
        })
        .await?;
        println!(
            "put right within {:.1} s, kubectl included; nobody asked for it",
            start.elapsed().as_secs_f64()
        );

        say("A new client secret takes effect in place: the client is never away");
        let before = demo.secret_value("client-secret").await?;
        let Sample { namespace, name } = demo.sample;
        let rotate = [
            "annotate",
            "oidcc",
            name,
            "-n",
            namespace,
            "oidc-operator.io/rotate=now",
        ];
        show(&demo.kubectl, &rotate).await?;
        eventually("a new secret", SOON, async || {
            ensure!(demo.secret_value("client-secret").await? != before);
            demo.log_in().await
        })
        .await?;
        println!("logged in with the new secret");
        Ok(())
    }

    fn proposals() -> String {
        "# Delete a client of Dex's, and watch it come back:
kubectl delete oauth2clients.dex.coreos.com -n dex -l oidc-operator.io/client-uid
kubectl get oauth2clients.dex.coreos.com -n dex -w"
            .to_owned()
    }
}
