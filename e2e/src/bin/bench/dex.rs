//! Dex: calls are counted from its own metrics.

use std::collections::BTreeMap;

use anyhow::Result;
use oidc_operator_e2e::dex::{Dex, DexOptions};

use crate::calls::{Calls, Measured};

impl Measured for Dex {
    type Idp = Self;
    /// Calls since it was started: gRPC by method, and the token endpoint as `Prove`.
    type Mark = BTreeMap<String, u64>;
    const LABEL: &'static str = "Dex";
    const CLIENTS: usize = 500;

    async fn start() -> Result<Self> {
        Dex::start(DexOptions {
            name: "bench-dex".to_owned(),
            ..DexOptions::default()
        })
        .await
    }

    fn idp(&self) -> &Self {
        self
    }

    fn cpu_seconds(&self) -> Result<f64> {
        Dex::cpu_seconds(self)
    }

    async fn mark(&self) -> Result<Self::Mark> {
        let mut calls = self.grpc_requests().await?;
        calls.insert("Prove".to_owned(), self.http_requests("/token").await?);
        Ok(calls)
    }

    async fn calls_since(&self, mark: &Self::Mark) -> Result<Calls> {
        let mut counts = self.mark().await?;
        for (method, count) in &mut counts {
            *count -= mark.get(method).copied().unwrap_or_default();
        }
        counts.retain(|_, count| *count > 0);
        Ok(Calls {
            counts,
            is_write: |method| ["CreateClient", "UpdateClient", "DeleteClient"].contains(&method),
        })
    }
}
