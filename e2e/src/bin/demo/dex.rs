//! Dex: what it forgets comes back, with the same secrets.

use std::time::Duration;

use anyhow::Result;
use oidc_operator_e2e::{
    control_plane::ControlPlane,
    dex::{self, Dex, DexOptions},
    scene::Idp,
    wait::eventually,
};

use crate::{Demo, Sample, Shown, say};

impl Shown for Dex {
    type Idp = Self;
    const STARTS: &'static str = "a Dex with TLS and a gRPC API that asks for a client certificate";
    const ADAPTED: &'static str = "with this Dex's addresses, CA and client certificate";
    const CLIENT: Sample = Sample {
        namespace: "playpen-platform",
        name: "playpen",
    };

    async fn start(_: &ControlPlane) -> Result<Self> {
        Dex::start(DexOptions {
            name: "demo-dex".to_owned(),
            ..DexOptions::default()
        })
        .await
    }

    fn idp(&self) -> &Self {
        self
    }

    fn issuer(&self) -> String {
        Dex::issuer(self).to_owned()
    }

    fn replacements(&self) -> Vec<(&'static str, String)> {
        vec![
            ("https://dex.example.com/dex", Dex::issuer(self).to_owned()),
            ("dex.identity.svc:5557", self.grpc_address().to_string()),
        ]
    }

    fn user(&self) -> (&str, &str) {
        (dex::USER_EMAIL, dex::USER_PASSWORD)
    }

    async fn own_part(&self, demo: &Demo) -> Result<()> {
        say("Dex loses its memory; the operator gives it the same clients with the same secrets again");
        self.restart().await?;
        demo.ask(Self::NAME).await?;
        eventually("the login works again", Duration::from_secs(60), async || {
            demo.log_in().await
        })
        .await?;
        println!("logged in again with the Secret that was there before");
        Ok(())
    }

    fn proposals() -> String {
        let Sample { namespace, name } = Self::CLIENT;
        format!(
            "# Ask for what Dex cannot do:
kubectl patch oidcc {name} -n {namespace} --type merge -p '{{\"spec\":{{\"grantTypes\":[\"client_credentials\"]}}}}'"
        )
    }
}
