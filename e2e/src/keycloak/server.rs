//! The process: which arguments, where it may write, when it serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::access_log::PATTERN;
use super::{Access, Hostname, KeycloakOptions, Storage, Version};
use crate::pki::Ca;
use crate::process::Process;
use crate::wait::eventually;
use crate::workdir::WorkDir;
use crate::{http, tools};

/// Generous: it computes for 15 s, and others do too.
const READY_BOUND: Duration = Duration::from_secs(180);

/// The launcher's own choice of `JAVA_OPTS`, without `TieredStopAtLevel`.
const BOTH_COMPILERS: &str = "-Xms128m -Xmx768m -XX:+UseSerialGC";

/// Where Keycloak listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) web: SocketAddr,
    /// Health, over plain HTTP.
    pub(super) management: SocketAddr,
}

/// Writes the certificate of the web port.
pub(super) fn prepare(workdir: &WorkDir, ca: &Ca) -> Result<()> {
    let identity = ca.server(&[])?;
    workdir.write("web.crt", &identity.certificate)?;
    workdir.write("web.key", &identity.key)?;
    Ok(())
}

/// The database. With [`Storage::Memory`] it is a file too, which is made anew at each start.
pub(super) fn database(workdir: &WorkDir) -> PathBuf {
    workdir.path().join("database.mv.db")
}

/// Runs Keycloak until it serves.
pub(super) async fn serve(
    workdir: &WorkDir,
    options: &KeycloakOptions,
    addresses: Addresses,
    access: &Access,
) -> Result<Process> {
    let program = program(access.version)?;
    prepare_database(workdir, options.storage, &program)?;
    let mut command = command(&program, workdir.path(), options, addresses, access);
    // What somebody has set for a Keycloak of their own is none of ours.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KC_") || name == "JAVA_OPTS" {
            command.env_remove(name);
        }
    }
    if options.lasting {
        command.env("JAVA_OPTS", BOTH_COMPILERS);
    }
    command
        .env("KEYCLOAK_HOME", workdir.path().join("home"))
        .env("KC_BOOTSTRAP_ADMIN_USERNAME", &access.admin.username)
        .env("KC_BOOTSTRAP_ADMIN_PASSWORD", &access.admin.password);
    command.current_dir(workdir.path());
    // Dropped at once: it has nothing to say goodbye to.
    let process = Process::spawn("keycloak", &command, workdir.path())?.with_grace(Duration::ZERO);
    let ready = format!("http://{}/health/ready", addresses.management);
    let realm = format!("{}/realms/master", access.base_url);
    let (plain, web) = (http::plain()?, access.web()?);
    let serving = eventually("Keycloak serves", READY_BOUND, async || {
        if !process.is_running() {
            return Ok(false);
        }
        plain.get(&ready).send().await?.error_for_status()?;
        // 26.4 says so before it listens.
        web.get(&realm).send().await?.error_for_status()?;
        Ok(true)
    });
    let serving = serving
        .await
        .with_context(|| format!("log of Keycloak:\n{}", process.log_tail(15)))?;
    if !serving {
        process.must_run()?;
    }
    Ok(process)
}

fn program(version: Version) -> Result<PathBuf> {
    match version {
        Version::Current => tools::tool("keycloak"),
        Version::Former => tools::tool("keycloak-former").context("run `hack/tools/tools.sh install keycloak-former`"),
    }
}

/// A database that is there already spares half of the start: the tool brings one that is as the first start would make it.
fn prepare_database(workdir: &WorkDir, storage: Storage, program: &Path) -> Result<()> {
    let database = database(workdir);
    if storage == Storage::Memory && database.exists() {
        std::fs::remove_file(&database).context("database")?;
    }
    // The program is a link into the tool's folder.
    let fresh = program.canonicalize()?.with_file_name("fresh.mv.db");
    if !database.exists() && fresh.exists() {
        std::fs::copy(&fresh, &database).with_context(|| format!("{}", fresh.display()))?;
    }
    Ok(())
}

fn command(program: &Path, folder: &Path, options: &KeycloakOptions, addresses: Addresses, access: &Access) -> Command {
    let mut command = Command::new(program);
    command
        .args(["start", "--optimized", "--cache=local", "--http-enabled=false"])
        .arg(format!("--http-host={}", addresses.web.ip()))
        .arg(format!("--https-port={}", addresses.web.port()))
        .arg(format!("--https-certificate-file={}", folder.join("web.crt").display()))
        .arg(format!(
            "--https-certificate-key-file={}",
            folder.join("web.key").display()
        ))
        .args(["--http-management-scheme=http".to_owned()])
        .arg(format!("--http-management-host={}", addresses.management.ip()))
        .arg(format!("--http-management-port={}", addresses.management.port()))
        .arg(format!("--hostname={}", access.public_url))
        .arg("--http-access-log-enabled=true")
        .arg(format!("--http-access-log-pattern={PATTERN}"))
        // It would tell every failed check while it starts.
        .arg("--log-level=info,io.smallrye.health:warn");
    if matches!(options.hostname, Hostname::Public(_)) {
        command.arg("--hostname-backchannel-dynamic=true");
    }
    // It was built for H2 in memory, and this is H2 too.
    let mut url = format!(
        "jdbc:h2:file:{};NON_KEYWORDS=VALUE;DB_CLOSE_DELAY=0",
        folder.join("database").display()
    );
    if options.storage == Storage::File {
        // Else SIGKILL loses the last half second.
        url.push_str(";WRITE_DELAY=0");
    }
    command.arg(format!("--db-url={url}"));
    command.args(&options.args);
    command
}
