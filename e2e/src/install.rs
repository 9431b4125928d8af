//! The operator on a control plane, as users install it, and what a provider needs around it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::control_plane::ControlPlane;
use crate::dex::Dex;
use crate::pki::Identity;
use crate::tools;
use crate::wait::eventually;

/// The namespace and the ServiceAccount of `config/rbac`.
pub const NAMESPACE: &str = "oidc-operator-system";
/// See [`NAMESPACE`].
pub const SERVICE_ACCOUNT: &str = "oidc-operator";

/// Name of the CA ConfigMap in [`references`] and [`provider`].
pub const CA: &str = "dex-ca";
/// Name of the client certificate's Secret in [`references`] and [`provider`].
pub const CLIENT_CERTIFICATE: &str = "dex-grpc-client";

/// Applies CRDs, namespace and rights with kubectl; gives a kubeconfig with exactly the operator's rights.
///
/// # Errors
/// kubectl or the API server refuses.
pub async fn install(cluster: &ControlPlane) -> Result<PathBuf> {
    let kubectl = cluster.kubectl()?;
    kubectl.apply_path("config/crd").await.context("CRDs")?;
    kubectl.apply_path("config/manager/namespace.yaml").await?;
    kubectl.apply_path("config/rbac").await.context("rights")?;
    kubectl
        .run([
            "wait",
            "--for=condition=Established",
            "crd/oidcproviders.oidc-operator.io",
            "crd/oidcclients.oidc-operator.io",
            "--timeout=60s",
        ])
        .await?;
    cluster.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT).await
}

/// A ConfigMap with a CA, labelled so that a change is followed at once.
pub fn ca_config_map(namespace: &str, name: &str, pem: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"oidc-operator.io/certificate-authority": "true"},
        },
        "data": {"ca-bundle.crt": pem},
    })
}

/// A Secret with a client certificate, labelled so that the operator may read it.
pub fn certificate_secret(namespace: &str, name: &str, identity: &Identity) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"oidc-operator.io/credential": "provider"},
        },
        "data": {"tls.crt": STANDARD.encode(&identity.certificate), "tls.key": STANDARD.encode(&identity.key)},
    })
}

/// What [`provider`] refers to.
pub fn references(dex: &Dex, namespace: &str) -> [Value; 2] {
    [
        ca_config_map(namespace, CA, dex.ca_pem()),
        certificate_secret(namespace, CLIENT_CERTIFICATE, dex.client_identity()),
    ]
}

/// An OIDCProvider for `dex`, for OIDCClients of every namespace.
pub fn provider(dex: &Dex, namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "oidc-operator.io/v1alpha1",
        "kind": "OIDCProvider",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "type": "Dex",
            "issuer": {"issuerURL": dex.issuer(), "issuerCertificateAuthority": {"name": CA}},
            "dex": {"type": "GRPC", "grpc": {
                "address": dex.grpc_address().to_string(),
                "certificateAuthority": {"name": CA},
                "clientCertificateSecretRef": {"name": CLIENT_CERTIFICATE},
            }},
            "clients": {"allowedNamespaces": {"from": "All"}},
        },
    })
}

/// The role and the policy of `config/rollout-restart`. The role is bound by [`allow_restarts`], namespace by namespace.
///
/// # Errors
/// kubectl or the API server refuses.
pub async fn restarts(cluster: &ControlPlane) -> Result<()> {
    let folder = tools::repository().join("config/rollout-restart");
    let rights = std::fs::read_to_string(folder.join("rights.yaml"))?;
    let (role, _binding) = rights.split_once("\n---\n").context("no binding after the role")?;
    let kubectl = cluster.kubectl()?;
    kubectl.apply(role).await?;
    kubectl.apply_path(folder.join("limits.yaml")).await?;
    Ok(())
}

/// Lets the operator restart workloads of `namespace`, and waits until the API server knows.
///
/// # Errors
/// kubectl or the API server refuses.
pub async fn allow_restarts(cluster: &ControlPlane, namespace: &str) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    let account = format!("--serviceaccount={NAMESPACE}:{SERVICE_ACCOUNT}");
    let role = "--clusterrole=oidc-operator-rollout-restart";
    kubectl
        .run(["create", "rolebinding", "restarts", role, &account, "-n", namespace])
        .await?;
    may(cluster, "patch", "deployments.apps", namespace, true).await
}

/// Waits until the API server knows that the operator may do `verb` to `resource` in `namespace`, or that it may not.
///
/// # Errors
/// kubectl fails, or the API server says the other thing for too long.
pub async fn may(cluster: &ControlPlane, verb: &str, resource: &str, namespace: &str, may: bool) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    let user = format!("system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}");
    let ask = ["auth", "can-i", verb, resource, "-n", namespace, "--as", &user];
    let expected = if may { "yes" } else { "no" };
    eventually(
        format!("may the operator {verb} {resource}: {expected}"),
        Duration::from_secs(30),
        async || {
            // Its exit code says the same.
            let answer = kubectl.output(ask, "").await?;
            ensure!(answer.stdout.trim() == expected, "{answer:?}");
            Ok(())
        },
    )
    .await
}

/// Lets the operator roll out the Deployment `dex` of `namespace`, as `config/dex-config` does, and waits until the API server knows.
///
/// # Errors
/// kubectl or the API server refuses.
pub async fn allow_dex_config(cluster: &ControlPlane, namespace: &str) -> Result<()> {
    let rights = std::fs::read_to_string(tools::repository().join("config/dex-config/rights.yaml"))?;
    let rights = rights.replace("namespace: dex\n", &format!("namespace: {namespace}\n"));
    let kubectl = cluster.kubectl()?;
    kubectl.apply(&rights).await?;
    may(cluster, "watch", "deployments.apps/dex", namespace, true).await
}
