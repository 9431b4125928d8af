//! A real browser: headless Chromium, with a fresh profile and no other authorities than those it is given.
//!
//! It is spoken to over the DevTools protocol. Clicks and keys are those of a user: what a page hides cannot be clicked.
//! When a test fails, what the page showed last is kept as a picture and as HTML.

mod devtools;
mod page;

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use page::Page;

use crate::process::Process;
use crate::tools;
use crate::wait::eventually;
use crate::workdir::WorkDir;

/// It starts in one second on an idle machine.
const READY_BOUND: Duration = Duration::from_secs(60);

/// Arguments besides the profile. Without those about networking it would look for hosts of its maker's.
const ARGUMENTS: [&str; 13] = [
    "--headless",
    // The tests may run as root, where its sandbox does not start.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-proxy-server",
    "--window-size=1000,800",
    "--remote-debugging-port=0",
];

/// A running Chromium; ends when dropped. Many tests may use one: each [`Page`] has cookies of its own.
#[derive(Debug)]
pub struct Browser {
    process: Process,
    /// `127.0.0.1:<port>` and the path of the WebSocket.
    devtools: (String, String),
    _workdir: WorkDir,
}

impl Browser {
    /// Starts Chromium and waits until it can be spoken to. `authorities` are the CAs that it trusts, PEM; no others.
    ///
    /// # Errors
    /// It was not built, an authority is no certificate, or it does not start: the text has the end of its log.
    pub async fn start(authorities: &[&str]) -> Result<Self> {
        let workdir = WorkDir::new("browser")?;
        let program = tools::tool("chromium")?;
        let (home, profile) = (workdir.folder("home")?, workdir.folder("profile")?);
        let ca = workdir.write("ca.pem", authorities.concat())?;
        let trust = tokio::process::Command::new(&program)
            .arg("trust")
            .arg(&ca)
            .env("HOME", &home)
            .output()
            .await
            .context("chromium trust")?;
        ensure!(
            trust.status.success(),
            "chromium trust: {}",
            String::from_utf8_lossy(&trust.stderr)
        );

        let mut command = Command::new(&program);
        command
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env("HOME", &home)
            .env_remove("XDG_CONFIG_HOME")
            .env("XDG_CACHE_HOME", home.join(".cache"));
        // Dropped at once: it has nothing to say goodbye to.
        let process = Process::spawn("chromium", &command, workdir.path())?.with_grace(Duration::ZERO);
        // Its first line is the port, its second the path.
        let file = profile.join("DevToolsActivePort");
        let devtools = eventually("Chromium can be spoken to", READY_BOUND, async || {
            if !process.is_running() {
                return Ok(None);
            }
            let text = fs::read_to_string(&file).context("DevToolsActivePort")?;
            let (port, path) = text.split_once('\n').context("no path in DevToolsActivePort")?;
            Ok(Some((format!("127.0.0.1:{port}"), path.trim().to_owned())))
        });
        let devtools = devtools
            .await
            .with_context(|| format!("log of Chromium:\n{}", process.log_tail(15)))?;
        if devtools.is_none() {
            process.must_run()?;
        }
        Ok(Self {
            process,
            devtools: devtools.context("Chromium has ended")?,
            _workdir: workdir,
        })
    }

    /// An empty page with cookies of its own, as in a private window; `name` is for the files that a failure leaves.
    ///
    /// # Errors
    /// Chromium has ended or does not answer.
    pub async fn page(&self, name: &str) -> Result<Page> {
        self.process.must_run()?;
        Page::open(&self.devtools.0, &self.devtools.1, name).await
    }
}
