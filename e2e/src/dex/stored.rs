//! A real Dex that keeps its clients as objects in a namespace of a control plane.

use anyhow::{Context, Result};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client};
use serde_json::{Value, json};

use super::{Dex, DexOptions, Storage};
use crate::control_plane::ControlPlane;
use crate::install::{self, CA};

/// What Dex itself needs, as its own documentation has it (`examples/k8s/dex.yaml`), for ServiceAccount `dex` of a namespace.
fn rights(namespace: &str) -> String {
    let account = json!({"kind": "ServiceAccount", "name": "dex", "namespace": namespace});
    let name = format!("dex-of-{namespace}");
    let group = "rbac.authorization.k8s.io";
    let items = json!([
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "dex", "namespace": namespace},
        },
        {
            "apiVersion": format!("{group}/v1"),
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": [
                {"apiGroups": ["dex.coreos.com"], "resources": ["*"], "verbs": ["*"]},
                {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["create"]},
            ],
        },
        {
            "apiVersion": format!("{group}/v1"),
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [account],
        },
    ]);
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// The Dex and its namespace.
#[derive(Debug)]
pub struct StoredDex {
    /// Dex.
    pub dex: Dex,
    namespace: String,
}

impl StoredDex {
    /// Starts one, with its own rights, in a namespace of its own, and waits until it serves and its CRDs are there. The operator
    /// has no rights there: see [`Self::allow_operator`].
    ///
    /// # Errors
    /// The API server refuses, or Dex does not serve.
    pub async fn start(cluster: &ControlPlane, name: &str) -> Result<Self> {
        let namespace = cluster.namespace(name).await?;
        Self::start_in(cluster, name, &namespace).await
    }

    /// The same in a namespace that is there.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_in(cluster: &ControlPlane, name: &str, namespace: &str) -> Result<Self> {
        let namespace = namespace.to_owned();
        cluster.kubectl()?.apply(&rights(&namespace)).await?;
        let kubeconfig = cluster.service_account_kubeconfig(&namespace, "dex").await?;
        let kubeconfig = cluster.kubeconfig_in(&kubeconfig, &namespace)?;
        let dex = Dex::start(DexOptions {
            name: name.to_owned(),
            storage: Storage::Kubernetes(kubeconfig),
            ..DexOptions::default()
        })
        .await?;
        let established = [
            "wait",
            "--for=condition=Established",
            "crd/oauth2clients.dex.coreos.com",
        ];
        cluster.kubectl()?.run(established).await?;
        Ok(Self { dex, namespace })
    }

    /// Gives the operator the rights of `config/dex-storage`, as users do, and waits until the API server knows.
    ///
    /// # Errors
    /// kubectl or the API server refuses.
    pub async fn allow_operator(&self, cluster: &ControlPlane) -> Result<()> {
        let kubectl = cluster.kubectl()?;
        kubectl
            .run(["apply", "-n", &self.namespace, "-k", "config/dex-storage"])
            .await?;
        install::may(cluster, "watch", "oauth2clients.dex.coreos.com", &self.namespace, true).await
    }

    /// The namespace that Dex keeps its objects in.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its OAuth2Clients.
    pub fn clients(&self, kube: &Client) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("dex.coreos.com", "v1", "OAuth2Client");
        let resource = ApiResource::from_gvk_with_plural(&kind, "oauth2clients");
        Api::namespaced_with(kube.clone(), &self.namespace, &resource)
    }

    /// The object of a client; `None` if there is none.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn object(&self, kube: &Client, client_id: &str) -> Result<Option<DynamicObject>> {
        // Found by what is in it, and not by its name: that is the operator's to make.
        let all = self.clients(kube).list(&kube::api::ListParams::default()).await?;
        Ok(all.items.into_iter().find(|object| object.data["id"] == client_id))
    }

    /// A hand changes the object of a client: a JSON merge patch.
    ///
    /// # Errors
    /// There is no such client, or the API server refuses.
    pub async fn edit(&self, kube: &Client, client_id: &str, patch: Value) -> Result<DynamicObject> {
        let name = self.name_of(kube, client_id).await?;
        let patch = Patch::Merge(patch);
        Ok(self.clients(kube).patch(&name, &PatchParams::default(), &patch).await?)
    }

    /// A hand deletes the object of a client.
    ///
    /// # Errors
    /// There is no such client, or the API server refuses.
    pub async fn delete(&self, kube: &Client, client_id: &str) -> Result<()> {
        let name = self.name_of(kube, client_id).await?;
        self.clients(kube).delete(&name, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn name_of(&self, kube: &Client, client_id: &str) -> Result<String> {
        let object = self.object(kube, client_id).await?;
        let object = object.with_context(|| format!("no OAuth2Client with id {client_id}"))?;
        object.metadata.name.context("it has no name")
    }

    /// An OIDCProvider for it, for OIDCClients of every namespace.
    pub fn provider(&self, name: &str) -> Value {
        json!({
            "apiVersion": "oidc-operator.io/v1alpha1",
            "kind": "OIDCProvider",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "type": "Dex",
                "issuer": {"issuerURL": self.dex.issuer(), "issuerCertificateAuthority": {"name": CA}},
                "dex": {"type": "KubernetesStorage"},
                "clients": {"allowedNamespaces": {"from": "All"}},
            },
        })
    }
}
