//! The end state, without what differs from run to run.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Secret},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use oidc_operator::{
    api::OIDCClient,
    controller::gather,
    plan::restarts::{fingerprint, noted_under},
};

use crate::{
    loops::{NAME, SECRET},
    server::Server,
};

/// What is left of a scenario when all has settled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EndState {
    /// Finalizers, and conditions as `type=status (reason)`.
    client: Option<(Vec<String>, Vec<String>)>,
    /// Name, owners, labels, annotations, data.
    secrets: Vec<Output>,
    config_maps: Vec<Output>,
    /// The workload of a scenario that has one: what it was started with, and whether it was restarted.
    workload: Option<(&'static str, bool)>,
    /// At the identity provider: its settings, and whether it has a secret.
    there: Option<(Vec<String>, bool)>,
}

type Output = (String, Vec<String>, BTreeMap<String, String>, BTreeMap<String, String>);

/// The values of a run that no two runs share, masked wherever they come up.
struct Mask(Vec<(String, &'static str)>);

impl Mask {
    fn text(&self, text: &str) -> String {
        self.0
            .iter()
            .filter(|(value, _)| !value.is_empty())
            .fold(text.to_owned(), |text, (value, name)| text.replace(value, name))
    }
}

/// Reads the end state of client `name` in `namespace`, and checks what must hold in every one of them: a Secret that
/// authenticates, and no staged secret left.
pub(crate) async fn end_state<P: Server>(kube: &Client, server: &P, namespace: &str, name: &str) -> Result<EndState> {
    let client: Option<OIDCClient> = Api::namespaced(kube.clone(), namespace).get_opt(name).await?;
    let secrets: Api<Secret> = Api::namespaced(kube.clone(), namespace);
    let secrets = secrets.list(&ListParams::default()).await?.items;
    let maps: Api<ConfigMap> = Api::namespaced(kube.clone(), namespace);
    let maps = maps.list(&ListParams::default()).await?.items;
    let client_id = format!("{namespace}_{name}");
    let there = server.client(&client_id).await?;

    let ours = |meta: &ObjectMeta| {
        meta.annotations
            .iter()
            .flatten()
            .any(|(key, _)| key == "oidc-operator.io/mark")
    };
    let secrets: Vec<Secret> = secrets.into_iter().filter(|secret| ours(&secret.metadata)).collect();
    for secret in &secrets {
        ensure!(!secret.name_any().ends_with("-next"), "a staged secret is left");
        let data = secret.data.clone().unwrap_or_default();
        let Some(value) = data.get("client-secret").or_else(|| data.get("client-private-key.pem")) else {
            continue;
        };
        // Of a private key, the provider knows the name.
        let known = data.get("client-key-id").unwrap_or(value);
        let known = String::from_utf8(known.0.clone())?;
        let value = String::from_utf8(value.0.clone())?;
        let there = there
            .as_ref()
            .with_context(|| format!("Secret {} is for no client", secret.name_any()))?;
        ensure!(
            there.secret.as_ref() == Some(&known),
            "the provider holds another secret than the Secret"
        );
        ensure!(
            server.accepts(&client_id, &value).await?,
            "the provider refuses the Secret"
        );
    }

    let mut values = vec![(namespace.to_owned(), "<namespace>")];
    values.extend(
        client
            .as_ref()
            .and_then(|client| client.uid())
            .map(|uid| (uid, "<uid>")),
    );
    let mask = Mask(values);
    let workload = workload(kube, namespace, &secrets, &maps).await?;
    Ok(EndState {
        workload,
        client: client.map(|client| {
            let conditions = client
                .status
                .as_ref()
                .map(|status| status.conditions.clone())
                .unwrap_or_default();
            let conditions = conditions
                .iter()
                .map(|condition| format!("{}={:?} ({})", condition.type_, condition.status, condition.reason));
            (client.finalizers().to_vec(), conditions.collect())
        }),
        secrets: secrets
            .into_iter()
            .map(|secret| {
                let data = secret.data.unwrap_or_default();
                let data = data
                    .into_iter()
                    .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()));
                output(&secret.metadata, data.collect(), &mask)
            })
            .collect(),
        config_maps: maps
            .into_iter()
            .filter(|map| ours(&map.metadata))
            .map(|map| output(&map.metadata, map.data.unwrap_or_default(), &mask))
            .collect(),
        there: there.map(|client| {
            let settings = client.settings.iter().map(|setting| mask.text(setting)).collect();
            (settings, client.secret.is_some())
        }),
    })
}

async fn workload(
    kube: &Client,
    namespace: &str,
    secrets: &[Secret],
    maps: &[ConfigMap],
) -> Result<Option<(&'static str, bool)>> {
    let deployments: Api<Deployment> = Api::namespaced(kube.clone(), namespace);
    let Some(deployment) = deployments.get_opt(NAME).await? else {
        return Ok(None);
    };
    let secret = secrets.iter().find(|secret| secret.name_any() == SECRET);
    let map = maps.iter().find(|map| map.name_any() == SECRET);
    let (secret, map) = secret.cloned().zip(map.cloned()).context("no outputs")?;
    let now = fingerprint(&gather::secret(secret), &gather::config_map(map));
    let noted = deployment.annotations().get(&noted_under(NAME)).cloned();
    let template = deployment.spec.and_then(|spec| spec.template.metadata);
    let annotations = template.and_then(|meta| meta.annotations).unwrap_or_default();
    let what = match noted {
        None => "nothing noted",
        noted if noted == now => "with these outputs",
        Some(_) => "with other outputs",
    };
    Ok(Some((
        what,
        annotations.contains_key("kubectl.kubernetes.io/restartedAt"),
    )))
}

/// Keys of random values.
const RANDOM: [&str; 8] = [
    "client-secret",
    "client-private-key.pem",
    "client-key-id",
    "cookie-secret",
    "session-key",
    "OIDC_CLIENT_SECRET",
    "OAUTH2_PROXY_CLIENT_SECRET",
    "OAUTH2_PROXY_COOKIE_SECRET",
];

fn output(meta: &ObjectMeta, data: BTreeMap<String, String>, mask: &Mask) -> Output {
    let owners = meta.owner_references.iter().flatten();
    let owners = owners
        .map(|owner| format!("{} {} {}", owner.kind, owner.name, mask.text(&owner.uid)))
        .collect();
    let own = |key: &str| {
        !matches!(
            key,
            "oidc-operator.io/client-secret-sha256" | "oidc-operator.io/rotation-attempt"
        )
    };
    let annotations = meta
        .annotations
        .iter()
        .flatten()
        .filter(|(key, _)| own(key))
        .map(|(key, value)| {
            // The moment, and digests of data that has the namespace or random values in it.
            let differs = matches!(
                key.as_str(),
                "oidc-operator.io/rotated-at"
                    | "oidc-operator.io/previous-secret-valid-until"
                    | "oidc-operator.io/restart-salt"
                    | "oidc-operator.io/data-sha256"
                    | "oidc-operator.io/output-sha256"
                    | "oidc-operator.io/generated-sha256"
            );
            (
                key.clone(),
                if differs {
                    "<differs>".to_owned()
                } else {
                    mask.text(value)
                },
            )
        });
    let data = data.into_iter().map(|(key, value)| {
        let secret = RANDOM.contains(&key.as_str());
        (
            key,
            if secret {
                "<secret>".to_owned()
            } else {
                mask.text(&value)
            },
        )
    });
    (
        meta.name.clone().unwrap_or_default(),
        owners,
        annotations.collect(),
        data.collect(),
    )
}

/// Is the namespace gone?
pub(crate) async fn namespace_gone(kube: &Client, name: &str) -> Result<()> {
    let api: Api<Namespace> = Api::all(kube.clone());
    ensure!(api.get_opt(name).await?.is_none(), "namespace {name} is there");
    Ok(())
}
