//! What a container finds when the kubelet starts it, from the template of its Pod: environment and files. There is no kubelet here,
//! so this does what one does with `env`, `envFrom`, and volumes of Secrets and ConfigMaps, and refuses everything else.
//! <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/>

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container as ContainerSpec, EnvVar, EnvVarSource, KeyToPath, PodSpec, Secret, Volume,
};
use kube::{Api, Client};

/// Keys and values of a Secret or ConfigMap.
type Data = BTreeMap<String, Vec<u8>>;

/// A container that is about to start: its files are written.
#[derive(Clone)]
pub struct Container {
    /// Its environment, without what the image sets.
    pub env: BTreeMap<String, String>,
    /// `args`.
    pub args: Vec<String>,
}

/// Without the values of the environment.
impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container")
            .field("env", &self.env.keys())
            .field("args", &self.args)
            .finish()
    }
}

/// Prepares a container of a Pod in `namespace`, and writes its volumes to where it mounts them, which must be inside `root`.
///
/// # Errors
/// There is no such container; a Secret, ConfigMap or key is missing that is not optional, as when a Pod waits with
/// `CreateContainerConfigError`; the template has something that is not done here.
pub async fn prepare(kube: &Client, namespace: &str, pod: &PodSpec, name: &str, root: &Path) -> Result<Container> {
    let container = pod.containers.iter().find(|container| container.name == name);
    let container = container.with_context(|| format!("the Pod has no container {name}"))?;
    let kubelet = Kubelet {
        secrets: Api::namespaced(kube.clone(), namespace),
        config_maps: Api::namespaced(kube.clone(), namespace),
    };
    for mount in container.volume_mounts.iter().flatten() {
        let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name);
        let volume = volume.with_context(|| format!("there is no volume {}", mount.name))?;
        ensure!(mount.sub_path.is_none(), "subPath of {} is not supported", mount.name);
        let folder = Path::new(&mount.mount_path);
        ensure!(
            folder.starts_with(root),
            "{} is not in {}",
            folder.display(),
            root.display()
        );
        let files = kubelet
            .files(volume)
            .await
            .with_context(|| format!("volume {}", volume.name))?;
        write(folder, &files)?;
    }
    Ok(Container {
        env: kubelet.environment(container).await?,
        args: container.args.clone().unwrap_or_default(),
    })
}

/// Brings the folder to these files. Each is there at every moment, old or new: a container that runs may read them.
fn write(folder: &Path, files: &Data) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    let scratch = tempfile::tempdir_in(folder.parent().context("a mount at the root")?)?;
    for (name, content) in files {
        let (written, path) = (scratch.path().join("file"), folder.join(name));
        let parent = path.parent().context("a file without folder")?;
        fs::create_dir_all(parent).with_context(|| format!("{}", parent.display()))?;
        fs::write(&written, content).with_context(|| format!("{}", path.display()))?;
        fs::rename(&written, &path).with_context(|| format!("{}", path.display()))?;
    }
    let wanted = |path: &Path| files.keys().any(|name| folder.join(name).starts_with(path));
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if !wanted(&path) {
            fs::remove_file(&path).with_context(|| format!("{}", path.display()))?;
        }
    }
    Ok(())
}

struct Kubelet {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
}

impl Kubelet {
    async fn environment(&self, container: &ContainerSpec) -> Result<BTreeMap<String, String>> {
        let mut environment = BTreeMap::new();
        for source in container.env_from.iter().flatten() {
            let prefix = source.prefix.as_deref().unwrap_or_default();
            let data = match (&source.secret_ref, &source.config_map_ref) {
                (Some(secret), None) => self.secret(&secret.name, secret.optional).await?,
                (None, Some(config_map)) => self.config_map(&config_map.name, config_map.optional).await?,
                _ => bail!("envFrom without a Secret or a ConfigMap"),
            };
            for (key, value) in data {
                environment.insert(format!("{prefix}{key}"), text(&key, value)?);
            }
        }
        for variable in container.env.iter().flatten() {
            if let Some(value) = self
                .value(variable)
                .await
                .with_context(|| format!("env {}", variable.name))?
            {
                environment.insert(variable.name.clone(), value);
            }
        }
        Ok(environment)
    }

    async fn value(&self, variable: &EnvVar) -> Result<Option<String>> {
        let (name, key, optional, data) = match &variable.value_from {
            None => return Ok(Some(variable.value.clone().unwrap_or_default())),
            Some(EnvVarSource {
                secret_key_ref: Some(reference),
                ..
            }) => {
                let data = self.secret(&reference.name, reference.optional).await?;
                (&reference.name, &reference.key, reference.optional, data)
            }
            Some(EnvVarSource {
                config_map_key_ref: Some(reference),
                ..
            }) => {
                let data = self.config_map(&reference.name, reference.optional).await?;
                (&reference.name, &reference.key, reference.optional, data)
            }
            Some(other) => bail!("not supported here: {other:?}"),
        };
        match data.get(key) {
            Some(value) => text(key, value.clone()).map(Some),
            None if optional == Some(true) => Ok(None),
            None => bail!("{name} has no key {key}"),
        }
    }

    async fn files(&self, volume: &Volume) -> Result<Data> {
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().context("a Secret without name")?;
            return items(self.secret(name, secret.optional).await?, secret.items.as_deref());
        }
        if let Some(config_map) = &volume.config_map {
            let data = self.config_map(&config_map.name, config_map.optional).await?;
            return items(data, config_map.items.as_deref());
        }
        let projected = volume.projected.as_ref().context("neither Secret nor ConfigMap")?;
        let mut files = Data::new();
        for source in projected.sources.iter().flatten() {
            files.extend(match (&source.secret, &source.config_map) {
                (Some(secret), None) => {
                    let data = self.secret(&secret.name, secret.optional).await?;
                    items(data, secret.items.as_deref())?
                }
                (None, Some(config_map)) => {
                    let data = self.config_map(&config_map.name, config_map.optional).await?;
                    items(data, config_map.items.as_deref())?
                }
                _ => bail!("a source without a Secret or a ConfigMap"),
            });
        }
        Ok(files)
    }

    async fn secret(&self, name: &str, optional: Option<bool>) -> Result<Data> {
        let Some(secret) = self.secrets.get_opt(name).await? else {
            ensure!(optional == Some(true), "there is no Secret {name}");
            return Ok(Data::new());
        };
        let data = secret.data.unwrap_or_default();
        Ok(data.into_iter().map(|(key, value)| (key, value.0)).collect())
    }

    async fn config_map(&self, name: &str, optional: Option<bool>) -> Result<Data> {
        let Some(config_map) = self.config_maps.get_opt(name).await? else {
            ensure!(optional == Some(true), "there is no ConfigMap {name}");
            return Ok(Data::new());
        };
        let data = config_map.data.unwrap_or_default();
        Ok(data.into_iter().map(|(key, value)| (key, value.into_bytes())).collect())
    }
}

/// All keys under their own names, or only those that `items` names, each at its path.
fn items(mut data: Data, items: Option<&[KeyToPath]>) -> Result<Data> {
    let Some(items) = items else { return Ok(data) };
    let chosen = items.iter().map(|item| {
        let value = data.remove(&item.key).with_context(|| format!("no key {}", item.key))?;
        Ok((item.path.clone(), value))
    });
    chosen.collect()
}

fn text(key: &str, value: Vec<u8>) -> Result<String> {
    String::from_utf8(value).with_context(|| format!("{key} is not text"))
}
