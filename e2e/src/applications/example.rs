//! The examples of docs/applications.md, brought to a place where they can run.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::{Place, Program};
use crate::tools;

/// What the documentation's hosts, ports and paths are here, in the text of a manifest.
const MOUNT_PATH: &str = "/etc/oidc";
const UPSTREAM: &str = "http://127.0.0.1:8080";

/// An OIDCClient and its Deployment.
#[derive(Debug, Clone)]
pub struct Example {
    /// The OIDCClient.
    pub client: Value,
    /// The Deployment.
    pub deployment: Value,
}

impl Example {
    /// The example of `program`, for `namespace` and the OIDCProvider `provider` (`name`, `namespace`); `upstream` is the
    /// application behind oauth2-proxy. Host, port and mount path are those of `place`; all else is as documented.
    ///
    /// # Errors
    /// The documentation has no such example.
    pub fn of(
        program: Program,
        place: &Place,
        namespace: &str,
        provider: (&str, &str),
        upstream: &str,
    ) -> Result<Self> {
        let path = tools::repository().join("docs/applications.md");
        let text = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        let mount_path = place.mount_path().display().to_string();
        let host = format!("https://{}.example.com", program.name());
        let text = text.replace(&host, &place.url());
        let text = text.replace(MOUNT_PATH, &mount_path).replace(UPSTREAM, upstream);
        let mut example = Self {
            client: document(&text, "OIDCClient", program.name())?,
            deployment: document(&text, "Deployment", program.name())?,
        };
        for document in [&mut example.client, &mut example.deployment] {
            document["metadata"]["namespace"] = namespace.into();
        }
        example.client["spec"]["providerRef"] = serde_json::json!({"name": provider.0, "namespace": provider.1});
        Ok(example)
    }
}

/// The document of this kind and name in the fenced YAML of a page.
fn document(page: &str, kind: &str, name: &str) -> Result<Value> {
    let blocks = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    for block in blocks {
        for document in serde_yaml::Deserializer::from_str(block) {
            let document = Value::deserialize(document)?;
            if document["kind"] == kind && document["metadata"]["name"] == name {
                return Ok(document);
            }
        }
    }
    anyhow::bail!("docs/applications.md has no {kind} {name}")
}
