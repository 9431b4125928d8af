//! Dex's configuration file.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Addresses, DexOptions, Storage, USER_EMAIL, USER_ID, USER_NAME};
use crate::pki::Ca;
use crate::workdir::WorkDir;

/// bcrypt of [`super::USER_PASSWORD`], cost 10: the hash of Dex's own example configuration.
pub(super) const USER_PASSWORD_HASH: &str = "$2a$10$2b2cU8CPhOTaGrs1HRQuAueS7JTT5ZHsHSzYiFPm1leZck7Mc8T4W";

/// The certificate of both ports, and its key.
pub(super) const CERTIFICATE: &str = "server.crt";
pub(super) const KEY: &str = "server.key";

/// Writes certificates and `dex.json`; gives the path of the latter.
pub(super) fn write(
    workdir: &WorkDir,
    options: &DexOptions,
    addresses: &Addresses,
    issuer: &str,
    ca: &Ca,
) -> Result<PathBuf> {
    let server = ca.server(&["dex", "dex.dex.svc"])?;
    let certificate = workdir.write(CERTIFICATE, &server.certificate)?;
    let key = workdir.write(KEY, &server.key)?;
    let client_ca = workdir.write("ca.crt", ca.pem())?;
    let web = if options.plain_http {
        json!({"http": addresses.web})
    } else {
        json!({"https": addresses.web, "tlsCert": certificate, "tlsKey": key})
    };
    let static_clients: Vec<Value> = options
        .static_clients
        .iter()
        .map(|client| {
            let name = &client.id;
            json!({"id": client.id, "name": name, "secret": client.secret, "redirectURIs": client.redirect_uris})
        })
        .collect();
    let config = json!({
        "issuer": issuer,
        "storage": storage(&options.storage, workdir),
        "web": web,
        "grpc": {"addr": addresses.grpc, "tlsCert": certificate, "tlsKey": key, "tlsClientCA": client_ca},
        "telemetry": {"http": addresses.telemetry},
        "logger": {"level": "debug", "format": "json"},
        "oauth2": {"skipApprovalScreen": true},
        "enablePasswordDB": true,
        "staticPasswords": [{
            "email": USER_EMAIL,
            "hash": USER_PASSWORD_HASH,
            "username": USER_NAME,
            "userID": USER_ID,
        }],
        "staticClients": static_clients,
    });
    // Every JSON document is a YAML document.
    workdir.write("dex.json", serde_json::to_vec_pretty(&config)?)
}

fn storage(storage: &Storage, workdir: &WorkDir) -> Value {
    match storage {
        Storage::Memory => json!({"type": "memory"}),
        Storage::Sqlite => json!({"type": "sqlite3", "config": {"file": workdir.path().join("dex.db")}}),
        Storage::Kubernetes(kubeconfig) => json!({"type": "kubernetes", "config": {"kubeConfigFile": kubeconfig}}),
    }
}
