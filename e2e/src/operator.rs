//! The operator's own binary as a running process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::process::Process;
use crate::record::Scraper;
use crate::wait::eventually;
use crate::workdir::WorkDir;
use crate::{http, install, ports, tools};

/// How to start the operator.
#[derive(Debug, Clone)]
pub struct OperatorOptions {
    /// Names its folder and log.
    pub name: String,
    /// What it may do in the cluster: see [`crate::control_plane::ControlPlane::service_account_kubeconfig`].
    pub kubeconfig: PathBuf,
    /// `--owner-id`: operators with different ones leave each other's clients alone.
    pub owner_id: String,
    /// More arguments, after those of the harness.
    pub args: Vec<String>,
    /// More environment variables.
    pub env: Vec<(String, String)>,
}

impl OperatorOptions {
    /// An operator with nothing special about it.
    pub fn new(kubeconfig: impl Into<PathBuf>, owner_id: &str) -> Self {
        Self {
            name: "operator".to_owned(),
            kubeconfig: kubeconfig.into(),
            owner_id: owner_id.to_owned(),
            // The kubeconfig has no namespace of its own.
            args: vec![format!("--namespace={}", install::NAMESPACE)],
            env: Vec::new(),
        }
    }

    /// The same with one more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }
}

/// A running operator; ends when dropped.
#[derive(Debug)]
pub struct Operator {
    /// Before the process, as it has to end first.
    metrics: Option<Scraper>,
    process: Process,
    health: SocketAddr,
    options: OperatorOptions,
    workdir: WorkDir,
}

impl Operator {
    /// Starts the operator; [`Self::wait_ready`] waits until it works.
    ///
    /// # Errors
    /// Its binary was not built.
    pub fn start(options: OperatorOptions) -> Result<Self> {
        let workdir = WorkDir::new(&options.name)?;
        let health = ports::free_address()?;
        let process = spawn(&options, health, &workdir)?;
        Ok(Self {
            metrics: Scraper::start(health, workdir.path())?,
            process,
            health,
            options,
            workdir,
        })
    }

    /// Starts it again with the same options and address, after it has ended or not (then by SIGKILL). The log is continued.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.last_words();
        self.process.end_now();
        self.process = spawn(&self.options, self.health, &self.workdir)?;
        Ok(())
    }

    /// Waits until `/readyz` says ready.
    ///
    /// # Errors
    /// It ends, or is not ready within `bound`: the text has the end of its log.
    pub async fn wait_ready(&self, bound: Duration) -> Result<()> {
        let url = format!("http://{}/readyz", self.health);
        let web = http::plain()?;
        let ready = eventually("the operator is ready", bound, async || {
            if !self.process.is_running() {
                return Ok(false);
            }
            let answer = web.get(&url).send().await?;
            let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
            ensure!(status.is_success(), "{status}: {text}");
            Ok(true)
        });
        let ready = ready
            .await
            .with_context(|| format!("log of the operator:\n{}", self.process.log_tail(20)))?;
        if !ready {
            self.process.must_run()?;
        }
        Ok(())
    }

    /// The process, for pid, log, exit code, processor time and memory.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// `http://127.0.0.1:<port>`, with `/healthz`, `/readyz` and `/metrics`.
    pub fn health_url(&self) -> String {
        format!("http://{}", self.health)
    }

    /// `/metrics` as text.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<String> {
        let answer = http::plain()?
            .get(format!("{}/metrics", self.health_url()))
            .send()
            .await
            .context("/metrics")?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// The sum of the samples of a metric that carry all of `labels`; 0 without any.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        Ok(sum(&self.metrics().await?, name, labels))
    }

    /// SIGKILL: the crash.
    ///
    /// # Errors
    /// The kernel did not end it.
    pub async fn kill(&self) -> Result<()> {
        self.last_words();
        self.process.kill().await
    }

    /// SIGTERM: the polite end; gives the time it took.
    ///
    /// # Errors
    /// It is still running after `bound`.
    pub async fn terminate(&self, bound: Duration) -> Result<Duration> {
        self.last_words();
        self.process.terminate(bound).await
    }

    /// For the record of the run, if there is one.
    fn last_words(&self) {
        if let Some(metrics) = &self.metrics {
            metrics.last_words();
        }
    }
}

fn spawn(options: &OperatorOptions, health: SocketAddr, workdir: &WorkDir) -> Result<Process> {
    let mut command = Command::new(tools::operator()?);
    command
        .arg("run")
        .args(["--owner-id", &options.owner_id, "--log-format", "json"]);
    command.arg("--health-addr").arg(health.to_string()).args(&options.args);
    command
        .env("KUBECONFIG", &options.kubeconfig)
        .envs(options.env.iter().cloned());
    command.current_dir(workdir.path());
    Process::spawn("operator", &command, workdir.path())
}

/// Sums samples of the text exposition format.
fn sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}=\"{value}\""))
        .collect();
    metrics
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (series, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.rsplit_once('}')?,
                None if rest.starts_with(' ') => ("", rest),
                None => return None,
            };
            let matches = labels.iter().all(|label| series.split(',').any(|pair| pair == label));
            let value = value.split_whitespace().next()?.parse::<f64>().ok()?;
            matches.then_some(value)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn samples_are_summed_by_label() {
        let text = "# HELP a_total x\na_total{kind=\"x\",result=\"ok\"} 2\na_total{kind=\"y\",result=\"ok\"} 3\na_total_more 9\nb 1.5\n";
        assert_eq!(sum(text, "a_total", &[]), 5.0);
        assert_eq!(sum(text, "a_total", &[("kind", "x")]), 2.0);
        assert_eq!(sum(text, "a_total", &[("kind", "z")]), 0.0);
        assert_eq!(sum(text, "b", &[]), 1.5);
    }
}
