//! Dex's configuration file, its Secret and its workload in Kubernetes, for the driver that knows none of these.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::stream::BoxStream;
use k8s_openapi::{
    ByteString,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Context, allows, dex_sightings, dex_workload, given_discovery, issuer_request,
    references::{Reader, text_of},
};
use crate::{
    api::{
        dex_config::{DexConfig, DexConfigKind},
        provider::{InsecurePart, OIDCProviderSpec},
    },
    domain::{
        ClientSecret, IdpError, IdpErrorKind, OwnerId, ResourceName,
        vocabulary::{
            ANNOTATION_DEX_CONFIG_SALT, ANNOTATION_GUARDED, ANNOTATION_PROVIDER, ANNOTATION_REVISION, FIELD_MANAGER,
            LABEL_MANAGED_BY, MANAGED_BY,
        },
    },
    idp::{
        dex::config::{
            ConfigIssuer, DexConfigDriver, Installation, Keys, KeysChange, Listener, Names, Notice, Sighting, Stored,
            Target, TargetDraft, TemplateDraft, Text, Version, Workload,
        },
        http::HttpClient,
    },
    kubernetes::client::{KubeError, within},
    telemetry::metrics::Metrics,
};

/// The driver. Nothing is read or written yet.
///
/// # Errors
/// Where the spec has no such block: an object from before the CRD's rules.
pub(super) fn driver(
    context: &Context,
    name: &ResourceName,
    spec: &OIDCProviderSpec,
    http: HttpClient,
    timeout: Duration,
) -> Result<DexConfigDriver, IdpError> {
    let Some(config) = spec.dex.as_ref().and_then(|dex| dex.config.clone()) else {
        let message = "spec.dex.config is required with type Config";
        return Err(IdpError::new(IdpErrorKind::Configuration, "configuration", message));
    };
    let request = issuer_request(spec);
    let issuer = ConfigIssuer {
        http,
        issuer: request.issuer.to_owned(),
        discovery_url: request.discovery_url.map(str::to_owned),
        insecure_endpoints_allowed: allows(spec, InsecurePart::Endpoints),
        endpoints: given_discovery(spec).map(|given| given.endpoints),
    };
    let installation = installation(&context.kube, &context.metrics, &context.settings.owner, name, config);
    Ok(DexConfigDriver::new(
        installation,
        issuer,
        timeout,
        listener(context, name),
    ))
}

/// The objects of `config`, in the namespace of the OIDCProvider `provider`.
pub fn installation(
    kube: &Client,
    metrics: &Metrics,
    owner: &OwnerId,
    provider: &ResourceName,
    config: DexConfig,
) -> Box<dyn Installation> {
    Box::new(InKubernetes {
        kube: kube.clone(),
        metrics: metrics.clone(),
        namespace: provider.namespace.clone(),
        names: names(&provider.namespace, &config),
        owner: format!("{owner}/{provider}"),
        config,
    })
}

fn names(namespace: &str, config: &DexConfig) -> Names {
    let kind = config.target.kind.as_str();
    Names {
        base: format!("{kind} {namespace}/{}, key {},", config.base.name, config.base.key),
        target: format!("{kind} {namespace}/{}", config.target.name),
        keys: format!("Secret {namespace}/{}", config.target.keys_name()),
        workload: format!("Deployment {namespace}/{}", config.workload.name),
    }
}

/// Wakes those whom the driver has something to tell.
fn listener(context: &Context, name: &ResourceName) -> Listener {
    let (objects, triggers, name) = (Arc::clone(&context.objects), context.triggers.clone(), name.clone());
    Box::new(move |notice| match notice {
        Notice::Provider => triggers.provider(name.clone()),
        Notice::Clients(client_ids) => {
            let (objects, triggers, name) = (Arc::clone(&objects), triggers.clone(), name.clone());
            tokio::spawn(async move {
                for client_id in client_ids {
                    for client in objects.clients_with(&name, &client_id).await {
                        triggers.client(client.name);
                    }
                }
            });
        }
    })
}

/// The objects of one Dex, in the namespace of its provider.
struct InKubernetes {
    kube: Client,
    metrics: Metrics,
    namespace: String,
    config: DexConfig,
    names: Names,
    /// Whose its objects are ([`ANNOTATION_PROVIDER`]).
    owner: String,
}

/// What the driver needs of an object.
struct Found {
    metadata: ObjectMeta,
    text: Option<String>,
}

impl InKubernetes {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.kube.clone(), &self.namespace)
    }

    fn is_ours(&self, metadata: &ObjectMeta) -> bool {
        annotation(metadata, ANNOTATION_PROVIDER) == Some(&self.owner)
    }

    /// Metadata of an object that is made or changed: bound to the version that was seen, where there is one.
    fn metadata(&self, name: &str, former: Option<&Version>, annotations: &Value) -> Value {
        let mut annotations = annotations.clone();
        annotations[ANNOTATION_PROVIDER] = json!(self.owner);
        let mut metadata = json!({
            "name": name,
            "namespace": self.namespace,
            "labels": {LABEL_MANAGED_BY: MANAGED_BY},
            "annotations": annotations,
        });
        if let Some(former) = former {
            metadata["uid"] = json!(former.uid);
            metadata["resourceVersion"] = json!(former.resource_version);
        }
        metadata
    }

    /// Makes an object, or changes the version that was seen.
    async fn write<K>(
        &self,
        operations: [&'static str; 2],
        name: &str,
        former: Option<&Version>,
        mut object: Value,
    ) -> Result<Stored, IdpError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + std::fmt::Debug
            + Serialize
            + DeserializeOwned,
    {
        let api = self.api::<K>();
        let [create, patch] = operations;
        let answer = if former.is_some() {
            let params = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            within(&self.metrics, patch, api.patch(name, &params, &Patch::Merge(object))).await
        } else {
            drop_nulls(&mut object);
            let object: K = serde_json::from_value(object).map_err(|_| {
                let message = "the object cannot be written: a defect of the operator";
                IdpError::new(IdpErrorKind::Protocol, create, message)
            })?;
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            within(&self.metrics, create, api.create(&params, &object)).await
        };
        stored(if former.is_some() { patch } else { create }, answer)
    }
}

/// What a merge patch takes away is not there in the first place.
fn drop_nulls(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, value| !value.is_null());
        members.values_mut().for_each(drop_nulls);
    }
}

fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a String> {
    metadata.annotations.as_ref()?.get(name)
}

/// The version of a target or a Secret.
pub(super) fn version(metadata: &ObjectMeta) -> Version {
    Version {
        uid: metadata.uid.clone().unwrap_or_default(),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// The answer to a write.
fn stored<K: Resource>(operation: &'static str, answer: Result<K, KubeError>) -> Result<Stored, IdpError> {
    match answer {
        Ok(object) => Ok(Stored::Done(version(object.meta()))),
        Err(KubeError::AlreadyExists | KubeError::Conflict | KubeError::NotFound) => Ok(Stored::Conflict),
        Err(error) => Err(failed(operation, &error)),
    }
}

/// A failed call to Kubernetes, as one to an admin API.
pub(super) fn failed(operation: &'static str, error: &KubeError) -> IdpError {
    let kind = match error {
        KubeError::Forbidden { .. } => IdpErrorKind::Forbidden,
        KubeError::Invalid { .. } => IdpErrorKind::Configuration,
        KubeError::Throttled { .. } => IdpErrorKind::Throttled,
        KubeError::Timeout { .. } => IdpErrorKind::Timeout,
        KubeError::NotFound | KubeError::AlreadyExists | KubeError::Conflict | KubeError::Failed { .. } => {
            IdpErrorKind::Unreachable
        }
    };
    let rights = match kind {
        IdpErrorKind::Forbidden => ". The operator needs a Role for it: see config/dex-config",
        _ => "",
    };
    IdpError::new(kind, operation, format!("{error}{rights}"))
}

#[async_trait]
impl Installation for InKubernetes {
    fn names(&self) -> &Names {
        &self.names
    }

    fn sightings(&self) -> BoxStream<'static, Sighting> {
        dex_sightings::follow(&self.kube, &self.metrics, &self.namespace, &self.config)
    }

    async fn base(&self) -> Result<Text, IdpError> {
        let reader = Reader {
            kube: &self.kube,
            metrics: &self.metrics,
            namespace: &self.namespace,
        };
        let read = reader.dex_config_text(&self.config.base).await;
        match read.map_err(|error| failed("get base", &error))? {
            Ok(text) => Ok(Text(text)),
            Err(problem) => Err(IdpError::new(
                IdpErrorKind::Configuration,
                "configuration",
                problem.message,
            )),
        }
    }

    async fn target(&self) -> Result<Option<Target>, IdpError> {
        let (name, key) = (&self.config.target.name, &self.config.target.key);
        let found = match self.config.target.kind {
            DexConfigKind::ConfigMap => {
                let get = "get configmaps";
                let found = within(&self.metrics, get, self.api::<ConfigMap>().get_opt(name)).await;
                found.map_err(|error| failed(get, &error))?.map(|mut map| Found {
                    text: map.data.as_mut().and_then(|data| data.remove(key)),
                    metadata: map.metadata,
                })
            }
            DexConfigKind::Secret => {
                let get = "get secrets";
                let found = within(&self.metrics, get, self.api::<Secret>().get_opt(name)).await;
                found.map_err(|error| failed(get, &error))?.map(|secret| Found {
                    text: text_of(&secret, key),
                    metadata: secret.metadata,
                })
            }
        };
        Ok(found.map(|found| Target {
            version: version(&found.metadata),
            ours: self.is_ours(&found.metadata),
            guarded: annotation(&found.metadata, ANNOTATION_GUARDED).cloned(),
            revision: annotation(&found.metadata, ANNOTATION_REVISION).cloned(),
            text: Text(found.text.unwrap_or_default()),
        }))
    }

    async fn keys(&self) -> Result<Option<Keys>, IdpError> {
        let get = "get secrets";
        let name = self.config.target.keys_name();
        let found = within(&self.metrics, get, self.api::<Secret>().get_opt(&name)).await;
        let Some(secret) = found.map_err(|error| failed(get, &error))? else {
            return Ok(None);
        };
        let text =
            |(key, value): (String, ByteString)| Some((key, ClientSecret::new(String::from_utf8(value.0).ok()?)));
        Ok(Some(Keys {
            version: version(&secret.metadata),
            ours: self.is_ours(&secret.metadata),
            salt: annotation(&secret.metadata, ANNOTATION_DEX_CONFIG_SALT).cloned(),
            revision: annotation(&secret.metadata, ANNOTATION_REVISION).cloned(),
            secrets: secret.data.unwrap_or_default().into_iter().filter_map(text).collect(),
        }))
    }

    async fn workload(&self) -> Result<Workload, IdpError> {
        let get = "get deployments";
        let name = &self.config.workload.name;
        let found = within(&self.metrics, get, self.api::<Deployment>().get_opt(name)).await;
        let deployment = found.map_err(|error| failed(get, &error))?.ok_or_else(|| {
            let message = format!(
                "spec.dex.config.workload: there is no {}. Create it",
                self.names.workload
            );
            IdpError::new(IdpErrorKind::Configuration, "configuration", message)
        })?;
        let container = &self.config.workload.container;
        dex_workload::read(&deployment, container, &self.config.target.keys_name()).ok_or_else(|| {
            let message = format!(
                "spec.dex.config.workload: {} has no container {container}",
                self.names.workload
            );
            IdpError::new(IdpErrorKind::Configuration, "configuration", message)
        })
    }

    async fn write_target(&self, former: Option<&Version>, draft: &TargetDraft) -> Result<Stored, IdpError> {
        let (name, key) = (&self.config.target.name, &self.config.target.key);
        let annotations = json!({ANNOTATION_GUARDED: draft.guarded, ANNOTATION_REVISION: draft.revision});
        let metadata = self.metadata(name, former, &annotations);
        let text = &draft.text.0;
        match self.config.target.kind {
            DexConfigKind::ConfigMap => {
                let object = json!({"metadata": metadata, "data": {key: text}});
                let operations = ["create configmaps", "patch configmaps"];
                self.write::<ConfigMap>(operations, name, former, object).await
            }
            DexConfigKind::Secret => {
                let object = json!({"metadata": metadata, "stringData": {key: text}});
                let operations = ["create secrets", "patch secrets"];
                self.write::<Secret>(operations, name, former, object).await
            }
        }
    }

    async fn write_keys(&self, former: Option<&Version>, change: &KeysChange) -> Result<Stored, IdpError> {
        let name = self.config.target.keys_name();
        let mut annotations = json!({});
        if let Some(salt) = &change.salt {
            annotations[ANNOTATION_DEX_CONFIG_SALT] = json!(salt);
        }
        if let Some(revision) = &change.revision {
            annotations[ANNOTATION_REVISION] = json!(revision);
        }
        let mut data = json!({});
        for (variable, secret) in change.bytes() {
            data[variable] = json!(ByteString(secret));
        }
        for variable in &change.remove {
            data[variable] = Value::Null;
        }
        let object = json!({"metadata": self.metadata(&name, former, &annotations), "data": data});
        let operations = ["create secrets", "patch secrets"];
        self.write::<Secret>(operations, &name, former, object).await
    }

    async fn write_template(&self, former: &Workload, draft: &TemplateDraft) -> Result<Stored, IdpError> {
        let get = "get deployments";
        let patch = "patch deployments";
        let (name, api) = (&self.config.workload.name, self.api::<Deployment>());
        // `envFrom` is replaced as a whole: what of it is not ours must be known.
        let found = within(&self.metrics, get, api.get_opt(name)).await;
        let Some(deployment) = found.map_err(|error| failed(get, &error))? else {
            return Ok(Stored::Conflict);
        };
        let seen = &deployment.metadata;
        if seen.uid.as_ref() != Some(&former.uid) || seen.resource_version.as_ref() != Some(&former.resource_version) {
            return Ok(Stored::Conflict);
        }
        let (container, keys) = (&self.config.workload.container, self.config.target.keys_name());
        let body = dex_workload::patch(&deployment, container, &keys, former, draft);
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let answer = within(&self.metrics, patch, api.patch(name, &params, &Patch::Strategic(body))).await;
        stored(patch, answer)
    }
}
