//! kubectl, as users run it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::tools;

/// The longest that one call may take; `kubectl wait` has a `--timeout` of its own below it.
const BOUND: Duration = Duration::from_secs(120);

/// kubectl with the rights of one kubeconfig.
///
/// It tries 50 s before it gives up on a server that refuses connections: ask such a server with a client instead.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    /// kubectl remembers an API server's resources by its address, and the next control plane may have the same one.
    cache: PathBuf,
}

/// What a call of kubectl gave.
#[derive(Debug, Clone)]
pub struct Output {
    /// Whether it exited with 0.
    pub success: bool,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr: errors and warnings.
    pub stderr: String,
}

impl Kubectl {
    /// kubectl for `kubeconfig`; its cache is kept in `cache`.
    ///
    /// # Errors
    /// kubectl was not built.
    pub fn new(kubeconfig: &Path, cache: &Path) -> Result<Self> {
        Ok(Self {
            program: tools::tool("kubectl")?,
            kubeconfig: kubeconfig.to_owned(),
            cache: cache.to_owned(),
        })
    }

    /// Runs kubectl and gives its stdout.
    ///
    /// # Errors
    /// It exits with another code than 0: the text is what it wrote to stderr. It takes longer than two minutes.
    pub async fn run<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Result<String> {
        self.run_with_input(args, "").await
    }

    /// As [`Self::run`], with `input` on stdin.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_with_input<S: AsRef<str>>(
        &self,
        args: impl IntoIterator<Item = S>,
        input: &str,
    ) -> Result<String> {
        let args: Vec<String> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let output = self.output(&args, input).await?;
        if !output.success {
            bail!("kubectl {}: {}", args.join(" "), output.stderr.trim());
        }
        Ok(output.stdout)
    }

    /// Runs kubectl and gives all it said, also when it failed.
    ///
    /// # Errors
    /// It cannot be started or takes longer than two minutes.
    pub async fn output<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>, input: &str) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(&self.cache);
        command.args(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        command
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env_remove("KUBECONFIG")
            .current_dir(tools::repository());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let finish = async {
            if let Some(mut stdin) = child.stdin.take() {
                // A kubectl that fails early does not read its input; what it says then is the better error.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            child.wait_with_output().await
        };
        let output = tokio::time::timeout(BOUND, finish)
            .await
            .context("kubectl took too long")?
            .context("kubectl")?;
        Ok(Output {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// `kubectl apply` of manifests in YAML.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn apply(&self, yaml: &str) -> Result<String> {
        self.run_with_input(["apply", "-f", "-"], yaml).await
    }

    /// `kubectl apply` of a file, or of a folder; relative paths are the repository's. A folder with a kustomization is built first.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn apply_path(&self, path: impl AsRef<Path>) -> Result<String> {
        let path = path.as_ref();
        let kustomize = tools::repository().join(path).join("kustomization.yaml").is_file();
        let flag = if kustomize { "-k" } else { "-f" };
        self.run(["apply", "--server-side", flag, &path.to_string_lossy()])
            .await
    }

    /// `kubectl get <args> -o json`.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn get_json<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Result<Value> {
        let mut all = vec!["get".to_owned(), "-o".to_owned(), "json".to_owned()];
        all.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        let text = self.run(all).await?;
        serde_json::from_str(&text).with_context(|| format!("kubectl gave no JSON: {text}"))
    }

    /// `kubectl delete`; waits until the object is gone, and is content if it was gone before.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<String> {
        self.run([
            "delete",
            kind,
            name,
            "-n",
            namespace,
            "--ignore-not-found",
            "--timeout=60s",
        ])
        .await
    }
}
