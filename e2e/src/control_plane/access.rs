//! Ways into a control plane: kubeconfigs, clients, namespaces of a test's own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use reqwest::header::{HeaderValue, USER_AGENT};

use super::{ControlPlane, kubeconfig};
use crate::kubectl::Kubectl;
use crate::{http, wait};

/// Longer than any test or benchmark takes, in seconds.
const TOKEN_SECONDS: i64 = 24 * 3600;

impl ControlPlane {
    /// The kubeconfig of a user in group `system:masters`, named `admin` in the audit log.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.admin_kubeconfig
    }

    /// Writes a kubeconfig for one of the [`super::Options::users`]; `name` names the file.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn kubeconfig_for(&self, name: &str, token: &str) -> Result<PathBuf> {
        kubeconfig::write(&self.workdir, name, &self.url(), self.ca_pem(), token)
    }

    /// Writes a kubeconfig with a real token of a ServiceAccount: what is done with it has exactly the rights of the bindings
    /// that were applied.
    ///
    /// # Errors
    /// There is no such ServiceAccount within ten seconds.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name).await?;
        self.kubeconfig_for(&format!("{namespace}.{name}"), &token)
    }

    /// A token of a ServiceAccount, valid for a day.
    ///
    /// # Errors
    /// There is no such ServiceAccount within ten seconds.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        // The account `default` of a new namespace comes a moment after the namespace.
        wait::eventually(
            format!("a token of ServiceAccount {namespace}/{name}"),
            Duration::from_secs(10),
            async || {
                let answer = accounts
                    .create_token_request(name, &PostParams::default(), &request)
                    .await?;
                answer
                    .status
                    .and_then(|status| status.token)
                    .context("no token in the answer")
            },
        )
        .await
    }

    /// A copy of `kubeconfig` that goes through `proxy` (in front of [`Self::address`]).
    ///
    /// # Errors
    /// It cannot be read, or the copy cannot be written.
    pub fn kubeconfig_through(&self, kubeconfig: &Path, proxy: SocketAddr) -> Result<PathBuf> {
        let text =
            std::fs::read_to_string(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        let stem = kubeconfig.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}.through-{}.kubeconfig", proxy.port());
        self.workdir
            .write(&name, text.replace(&self.url(), &format!("https://{proxy}")))
    }

    /// A copy of `kubeconfig` whose namespace is `namespace`.
    ///
    /// # Errors
    /// It cannot be read, or the copy cannot be written.
    pub fn kubeconfig_in(&self, kubeconfig: &Path, namespace: &str) -> Result<PathBuf> {
        let text =
            std::fs::read_to_string(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
        let mut config: serde_json::Value = serde_json::from_str(&text)?;
        config["contexts"][0]["context"]["namespace"] = namespace.into();
        let stem = kubeconfig.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{stem}.in-{namespace}.kubeconfig");
        self.workdir.write(&name, serde_json::to_vec_pretty(&config)?)
    }

    /// A client with the admin's rights, for the runtime it is made in: a client dies with its runtime, so each test makes
    /// its own.
    ///
    /// # Errors
    /// None that a running control plane would give.
    pub async fn client(&self) -> Result<Client> {
        self.client_for(&self.admin_kubeconfig).await
    }

    /// A client with the rights of `kubeconfig`. Its `User-Agent` is [`http::USER_AGENT`], so that the audit log tells it
    /// from the operator.
    ///
    /// # Errors
    /// `kubeconfig` cannot be read.
    pub async fn client_for(&self, kubeconfig: &Path) -> Result<Client> {
        http::choose_crypto();
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config
            .headers
            .push((USER_AGENT, HeaderValue::from_static(http::USER_AGENT)));
        config.proxy_url = None;
        Ok(Client::try_from(config)?)
    }

    /// kubectl with the admin's rights.
    ///
    /// # Errors
    /// kubectl was not built.
    pub fn kubectl(&self) -> Result<Kubectl> {
        self.kubectl_for(&self.admin_kubeconfig)
    }

    /// kubectl with the rights of `kubeconfig`.
    ///
    /// # Errors
    /// kubectl was not built.
    pub fn kubectl_for(&self, kubeconfig: &Path) -> Result<Kubectl> {
        Kubectl::new(kubeconfig, &self.workdir.path().join("kubectl-cache"))
    }

    /// Makes a namespace that no other test has; gives its name, `<prefix>-<number>`.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("{prefix}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .with_context(|| format!("namespace {name}"))?;
        Ok(name)
    }
}
