//! The API server with our CRDs, and what it answers to an attempt.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use oidc_operator::api::crd;
use oidc_operator_e2e::{control_plane::ControlPlane, shared};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::table::{Attempt, Kind};

/// A second group with the same CRDs but for two enums: what is immutable can only be changed where there is a choice.
const WIDENED_GROUP: &str = "widened.example.com";

/// The API server, and a namespace of the test's own.
pub(crate) struct Server {
    pub(crate) control_plane: &'static ControlPlane,
    pub(crate) namespace: String,
    client: Client,
}

/// One thing that the API server finds wrong.
#[derive(Debug)]
pub(crate) struct Cause {
    pub(crate) field: String,
    pub(crate) message: String,
}

impl Server {
    pub(crate) async fn new() -> Result<Self> {
        static INSTALLED: OnceCell<()> = OnceCell::const_new();
        let control_plane = shared::control_plane().await?;
        INSTALLED.get_or_try_init(|| install(control_plane)).await?;
        let namespace = control_plane.namespace("api-rules").await?;
        Ok(Self {
            control_plane,
            namespace,
            client: control_plane.client().await?,
        })
    }

    /// The objects of `kind` in this test's namespace.
    pub(crate) fn api(&self, kind: Kind, widened: bool) -> Api<DynamicObject> {
        let group = if widened { WIDENED_GROUP } else { "oidc-operator.io" };
        let (name, plural) = match kind {
            Kind::Provider => ("OIDCProvider", "oidcproviders"),
            Kind::Client => ("OIDCClient", "oidcclients"),
        };
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1alpha1", name), plural);
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    /// An object of `kind`, not yet sent.
    pub(crate) fn object(&self, kind: Kind, widened: bool, name: &str, spec: &Value) -> Result<DynamicObject> {
        let resource = self.api(kind, widened);
        let mut object: DynamicObject = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": spec,
        }))?;
        object.types = Some(kube::core::TypeMeta {
            api_version: resource
                .resource_url()
                .split('/')
                .skip(2)
                .take(2)
                .collect::<Vec<_>>()
                .join("/"),
            kind: kind.name().to_owned(),
        });
        Ok(object)
    }

    /// Tries it, leaving nothing behind; gives what is wrong with it: nothing if it is accepted.
    pub(crate) async fn attempt(&self, kind: Kind, attempt: &Attempt) -> Result<Vec<Cause>> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let name = attempt
            .name
            .clone()
            .unwrap_or_else(|| format!("x-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let api = self.api(kind, attempt.widened);
        let mut object = self.object(kind, attempt.widened, &name, &attempt.spec)?;
        let answer = match &attempt.before {
            None => api.create(&dry_run, &object).await,
            Some(before) => {
                let before = self.object(kind, attempt.widened, &name, before)?;
                let stored = api
                    .create(&PostParams::default(), &before)
                    .await
                    .context("the object before the update")?;
                object.metadata.resource_version = stored.metadata.resource_version;
                let answer = api.replace(&name, &dry_run, &object).await;
                api.delete(&name, &DeleteParams::default()).await?;
                answer
            }
        };
        match answer {
            Ok(stored) => {
                let stored = &stored.data["spec"];
                ensure!(
                    contains(stored, &attempt.spec),
                    "sent {}, stored {stored}: a field that the schema lacks?",
                    attempt.spec
                );
                Ok(Vec::new())
            }
            Err(kube::Error::Api(status)) => Ok(causes(&status)),
            Err(error) => Err(error.into()),
        }
    }
}

async fn install(control_plane: &ControlPlane) -> Result<()> {
    let kubectl = control_plane.kubectl()?;
    kubectl.apply_path("crds").await?;
    for (_, crd) in crd::all()? {
        let mut crd = serde_json::to_value(crd)?;
        let name = format!(
            "{}.{WIDENED_GROUP}",
            crd["spec"]["names"]["plural"].as_str().unwrap_or_default()
        );
        crd["metadata"]["name"] = json!(name);
        crd["spec"]["group"] = json!(WIDENED_GROUP);
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        for place in ["type/enum", "dex/properties/type/enum"] {
            if let Some(Value::Array(choices)) = crd.pointer_mut(&format!("{spec}/{place}")) {
                choices.push(json!("Other"));
            }
        }
        kubectl.apply(&crd.to_string()).await?;
    }
    kubectl
        .run(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"])
        .await?;
    Ok(())
}

fn causes(status: &kube::core::Status) -> Vec<Cause> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut causes: Vec<_> = causes
        .map(|cause| Cause {
            field: cause.field.clone(),
            message: cause.message.clone(),
        })
        .collect();
    // What a schema error keeps from being checked is no finding of its own.
    causes.retain(|cause| !cause.message.contains("some validation rules were not checked"));
    if causes.is_empty() {
        causes.push(Cause {
            field: String::new(),
            message: status.message.clone(),
        });
    }
    causes
}

/// Is everything that was `sent` in what is `stored`? Nulls are dropped on the way, defaults come in.
fn contains(stored: &Value, sent: &Value) -> bool {
    match (stored, sent) {
        (Value::Object(stored), Value::Object(sent)) => sent
            .iter()
            .filter(|(_, value)| !value.is_null())
            .all(|(name, value)| stored.get(name).is_some_and(|stored| contains(stored, value))),
        (Value::Array(stored), Value::Array(sent)) => {
            stored.len() == sent.len() && stored.iter().zip(sent).all(|(stored, sent)| contains(stored, sent))
        }
        (stored, sent) => stored == sent,
    }
}
