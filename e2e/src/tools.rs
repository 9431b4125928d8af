//! Where the binaries are that the harness starts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};

/// The root of the repository.
pub fn repository() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        crate_folder.parent().unwrap_or(crate_folder).to_owned()
    });
    &ROOT
}

/// The path of a pinned tool such as `kube-apiserver`.
///
/// # Errors
/// The tool was not built; the text says how to build it.
pub fn tool(name: &str) -> Result<PathBuf> {
    let path = folder()?.join(name);
    ensure!(path.exists(), "{} is missing: run `make tools`", path.display());
    Ok(path)
}

/// The folder with a link to each tool, as `hack/tools/tools.sh bin` prints it. Asked once per process.
fn folder() -> Result<&'static Path> {
    static FOLDER: LazyLock<Result<PathBuf, String>> =
        LazyLock::new(|| ask_script().map_err(|error| format!("{error:#}")));
    FOLDER.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn ask_script() -> Result<PathBuf> {
    let script = repository().join("hack/tools/tools.sh");
    let output = Command::new(&script)
        .arg("bin")
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{} bin` failed: run `make tools`\n{}", script.display(), said.trim());
    }
    let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    ensure!(
        folder.is_dir(),
        "{} is not a folder: run `make tools`",
        folder.display()
    );
    Ok(folder)
}

/// The operator's own binary: `OIDC_OPERATOR_BIN`, or the one of the same target folder and profile as the running program.
///
/// # Errors
/// It was not built: cargo builds a dependency's library for a test, never its binary.
pub fn operator() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("OIDC_OPERATOR_BIN").map(PathBuf::from) {
        ensure!(path.is_file(), "OIDC_OPERATOR_BIN={} is not a file", path.display());
        return Ok(path);
    }
    let running = std::env::current_exe().context("path of the running program")?;
    // target/<profile>/deps/<test>-<hash> for tests, target/<profile>/<name> for programs.
    let found = running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("oidc-operator"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "no oidc-operator beside {}: run `cargo build --bin oidc-operator`, or set OIDC_OPERATOR_BIN",
            running.display()
        )
    })
}
