//! The processes of a control plane and their flags.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::User;
use crate::pki::{Ca, SigningKey};
use crate::process::Process;
use crate::wait::eventually;
use crate::workdir::WorkDir;
use crate::{audit, http, ports, record, tools};

/// Name of the audit log in the work folder.
pub(super) const AUDIT_LOG: &str = "audit.log";

const READY_BOUND: Duration = Duration::from_secs(60);
/// The issuer of ServiceAccount tokens; nobody fetches anything from there.
const TOKEN_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Those that act on what the operator makes. All others would only use processor time.
const CONTROLLERS: &str = "garbage-collector-controller,namespace-controller,serviceaccount-controller,\
    root-ca-certificate-publisher-controller,clusterrole-aggregation-controller,\
    validatingadmissionpolicy-status-controller";

/// Those that make Pods of Deployments.
const WORKLOAD_CONTROLLERS: &str = ",deployment-controller,replicaset-controller";

/// Keys, certificates, tokens and the audit policy.
pub(super) fn write_files(workdir: &WorkDir, ca: &Ca, users: &[User], signing_key: &SigningKey) -> Result<()> {
    // The names under which pods would reach it, so that kubeconfigs with such a name work too.
    let server = ca.server(&["kubernetes", "kubernetes.default", "kubernetes.default.svc", "10.0.0.1"])?;
    workdir.write("apiserver.crt", &server.certificate)?;
    workdir.write("apiserver.key", &server.key)?;
    workdir.write("ca.crt", ca.pem())?;
    workdir.write("service-account.key", &signing_key.private)?;
    workdir.write("service-account.pub", &signing_key.public)?;
    workdir.write("audit-policy.yaml", audit::policy())?;
    // The server goes on with a file that is there.
    record::follow(&workdir.write(AUDIT_LOG, "")?)?;
    let tokens: String = users
        .iter()
        .map(|user| {
            format!(
                "{},{},{},\"{}\"\n",
                user.token,
                user.name,
                user.name,
                user.groups.join(",")
            )
        })
        .collect();
    workdir.write("tokens.csv", tokens)?;
    Ok(())
}

/// etcd and its client URL. Plain HTTP: it is reached over loopback only.
pub(super) async fn start_etcd(workdir: &WorkDir) -> Result<(Process, String)> {
    let client = format!("http://{}", ports::free_address()?);
    let peer = format!("http://{}", ports::free_address()?);
    let mut command = Command::new(tools::tool("etcd")?);
    command.arg("--data-dir").arg(workdir.path().join("etcd"));
    command.args(["--name=e2e", "--unsafe-no-fsync", "--log-level=warn"]);
    command
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"));
    command
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"));
    command.arg(format!("--initial-cluster=e2e={peer}"));
    let etcd = Process::spawn("etcd", &command, workdir.path())?.with_grace(Duration::ZERO);

    let health = format!("{client}/readyz");
    let web = http::plain()?;
    wait_for_ok(&etcd, || web.get(&health)).await?;
    Ok((etcd, client))
}

/// kube-apiserver; not ready yet.
pub(super) fn start_apiserver(workdir: &WorkDir, address: SocketAddr, etcd: &str, more: &[String]) -> Result<Process> {
    let file = |name: &str| workdir.path().join(name).display().to_string();
    let mut command = Command::new(tools::tool("kube-apiserver")?);
    command.args([
        format!("--etcd-servers={etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--cert-dir={}", file("apiserver-certs")),
        format!("--token-auth-file={}", file("tokens.csv")),
        format!("--service-account-issuer={TOKEN_ISSUER}"),
        // It takes a PKCS #8 private key to sign with, but not to verify with.
        format!("--service-account-key-file={}", file("service-account.pub")),
        format!("--service-account-signing-key-file={}", file("service-account.key")),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
        format!("--audit-policy-file={}", file("audit-policy.yaml")),
        format!("--audit-log-path={}", file(AUDIT_LOG)),
        // A line is in the file before the answer ends; and no rotation, which would lose counts (size in MB).
        "--audit-log-mode=blocking-strict".to_owned(),
        "--audit-log-maxsize=100000".to_owned(),
        // The default of 60 s keeps the address of a stopped server in the `kubernetes` Service; nobody uses it here.
        "--endpoint-reconciler-type=none".to_owned(),
    ]);
    command.args(more);
    Ok(Process::spawn("kube-apiserver", &command, workdir.path())?.with_grace(Duration::ZERO))
}

/// Waits until the API server says that it is ready.
pub(super) async fn wait_ready(apiserver: &Process, web: &reqwest::Client, url: &str, token: &str) -> Result<()> {
    wait_for_ok(apiserver, || web.get(format!("{url}/readyz")).bearer_auth(token)).await
}

/// kube-controller-manager, ready.
pub(super) async fn start_controller_manager(
    workdir: &WorkDir,
    kubeconfig: &Path,
    ca_pem: &str,
    workloads: bool,
) -> Result<Process> {
    let workloads = if workloads { WORKLOAD_CONTROLLERS } else { "" };
    let file = |name: &str| workdir.path().join(name).display().to_string();
    let port = ports::free()?;
    let mut command = Command::new(tools::tool("kube-controller-manager")?);
    command.args([
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--controllers={CONTROLLERS}{workloads}"),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        // Made for 127.0.0.1, so it serves both.
        format!("--tls-cert-file={}", file("apiserver.crt")),
        format!("--tls-private-key-file={}", file("apiserver.key")),
        format!("--root-ca-file={}", file("ca.crt")),
    ]);
    let manager = Process::spawn("kube-controller-manager", &command, workdir.path())?.with_grace(Duration::ZERO);
    let health = format!("https://127.0.0.1:{port}/healthz");
    let web = http::client(ca_pem)?;
    wait_for_ok(&manager, || web.get(&health)).await?;
    Ok(manager)
}

/// Asks until the answer is 200; gives up at once when the process has ended.
async fn wait_for_ok(process: &Process, request: impl Fn() -> reqwest::RequestBuilder) -> Result<()> {
    let name = process.name();
    let answer = eventually(format!("{name} is ready"), READY_BOUND, async || {
        if !process.is_running() {
            return Ok(false);
        }
        let response = request().send().await?;
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        ensure!(status.is_success(), "{status}: {text}");
        Ok(true)
    });
    let answered = answer
        .await
        .with_context(|| format!("log of {name}:\n{}", process.log_tail(15)))?;
    if !answered {
        process.must_run()?;
    }
    Ok(())
}
