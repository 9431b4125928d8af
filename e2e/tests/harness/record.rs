//! The search for secrets in what a run left behind finds one that was told, and nothing where none was.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use oidc_operator_e2e::{
    case,
    control_plane::{ControlPlane, Options},
    process::Process,
    record::{self, Record, Report},
    workdir::WorkDir,
};
use serde_json::json;

/// What the run below tells, if it is one.
const TELLS: &str = "OIDC_OPERATOR_E2E_TELLS";
/// As long as what the operator makes.
const VALUE: &str = "Zk3vPq8sT1xY7bN4mC9dF2gH6jL0wR5uA-_eK_iQoZ0";

/// A run of its own: a process of this program that runs [`run`] only.
fn record_of(tells: &str) -> Result<Report> {
    let record = Record::new()?;
    let mut run = Command::new(std::env::current_exe()?);
    run.args(["--exact", "record::run", "--nocapture"])
        .env(TELLS, tells)
        .env(record::VARIABLE, record.folder())
        .stdout(Stdio::null());
    let status = run.status()?;
    ensure!(status.success(), "{status}");
    record.sweep()
}

/// Which files, by what they are called.
fn files(report: &Report) -> BTreeSet<String> {
    let names = report.found.iter().filter_map(|finding| finding.file.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_run_that_tells_nothing_is_clean() {
    case::run(async {
        let report = record_of("nothing")?;
        ensure!(report.is_clean(), "{report}");
        // That of the Secret which was deleted at once too, and not the short one.
        ensure!(report.secrets == 3, "{report}");
        // etcd, API server, audit and the program.
        ensure!(report.files == 4 && report.bytes > 10_000, "{report}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_is_told_is_found_wherever_it_stands() {
    case::run(async {
        for (tells, file, form) in [
            ("log", "teller.log", "the value"),
            ("basic", "teller.log", "the base64"),
            ("digest", "teller.log", "the sha256"),
            ("config-map", "audit.log", "the value"),
        ] {
            let report = record_of(tells)?;
            let shown = report.to_string();
            ensure!(
                !report.is_clean() && files(&report) == [file.to_owned()].into(),
                "{tells}: {report}"
            );
            let [found] = report.found.as_slice() else {
                bail!("{tells}: {report}")
            };
            ensure!(found.form == form, "{tells}: {report}");
            ensure!(
                found
                    .secret
                    .starts_with("client-secret of Secret default/gone of record-"),
                "{report}"
            );
            ensure!(file != "teller.log" || found.line == 2, "{report}");
            ensure!(
                !shown.contains(VALUE) && shown.contains(&found.secret),
                "the report tells it again"
            );
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_record_that_is_not_whole_is_not_clean() {
    case::run(async {
        let report = record_of("blind")?;
        ensure!(report.found.is_empty() && report.gaps.len() == 1, "{report}");
        ensure!(
            !report.is_clean() && report.to_string().contains("the record is not whole"),
            "{report}"
        );
        Ok(())
    })
    .await;
}

/// Not a test of its own: the run of those above. All that it starts ends with it, as at the end of a real test program.
#[tokio::test]
async fn run() {
    let Ok(tells) = std::env::var(TELLS) else { return };
    case::run(async {
        let cluster = ControlPlane::start(Options {
            name: "record".to_owned(),
            controller_manager: false,
            ..Options::default()
        })
        .await?;
        let kube = cluster.client().await?;
        let secrets: Api<Secret> = Api::namespaced(kube.clone(), "default");
        let ours = json!({"app.kubernetes.io/managed-by": "oidc-operator"});
        let secret =
            |name: &str, labels: &serde_json::Value, annotations: serde_json::Value, data: serde_json::Value| {
                serde_json::from_value::<Secret>(json!({
                    "metadata": {"name": name, "labels": labels, "annotations": annotations}, "stringData": data,
                }))
            };
        let gone = secret(
            "gone",
            &ours,
            json!({}),
            json!({"client-secret": VALUE, "issuer": "https://issuer.example.com"}),
        )?;
        secrets.create(&PostParams::default(), &gone).await?;
        secrets.delete("gone", &DeleteParams::default()).await?;
        let annotations = json!({
            "oidc-operator.io/client-secret-key": "OIDC_CLIENT_SECRET",
            "oidc-operator.io/generated-sha256": "session-key:0123 short:4567",
        });
        let data = json!({
            "OIDC_CLIENT_SECRET": "another-secret-of-twenty-and-more",
            "session-key": "a-session-key-of-twenty-and-more",
            "short": "short",
            "issuer": "https://issuer.example.com",
        });
        secrets
            .create(&PostParams::default(), &secret("kept", &ours, annotations, data)?)
            .await?;
        // Somebody else's.
        let data = json!({"password": "not-known-to-the-operator-at-all"});
        secrets
            .create(&PostParams::default(), &secret("foreign", &json!({}), json!({}), data)?)
            .await?;

        let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("shop:{VALUE}"));
        let digest = oidc_operator::domain::digest::sha256_hex(VALUE.as_bytes());
        let told = match tells.as_str() {
            "log" => format!("it is {VALUE}."),
            "basic" => format!("Authorization: Basic {basic}"),
            "digest" => digest,
            _ => "nothing".to_owned(),
        };
        let mut program = Command::new("/bin/sh");
        program.args(["-c", "echo first; echo \"$0\"", &told]);
        if tells == "config-map" {
            let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "told"}, "data": {"it": VALUE}}))?;
            let maps: Api<ConfigMap> = Api::namespaced(kube, "default");
            maps.create(&PostParams::default(), &map).await?;
        }
        let folder = WorkDir::new("teller")?;
        let teller = Process::spawn("teller", &program, folder.path())?;
        teller.wait(std::time::Duration::from_secs(10)).await?;
        if tells == "blind" {
            // etcd is the first.
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(cluster.pids()[0]).unwrap(),
                rustix::process::Signal::KILL,
            )?;
        }
        Ok(())
    })
    .await;
}
