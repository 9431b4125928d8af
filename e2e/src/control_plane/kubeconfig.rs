//! Kubeconfig files.

use std::path::PathBuf;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::workdir::WorkDir;

/// Writes `<name>.kubeconfig` for a bearer of `token`.
pub(super) fn write(workdir: &WorkDir, name: &str, url: &str, ca_pem: &str, token: &str) -> Result<PathBuf> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "e2e",
            "cluster": {"server": url, "certificate-authority-data": STANDARD.encode(ca_pem)},
        }],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "e2e", "user": name}}],
        "current-context": name,
    });
    // Every JSON document is a YAML document.
    workdir.write(&format!("{name}.kubeconfig"), serde_json::to_vec_pretty(&config)?)
}
