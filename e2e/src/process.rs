//! A child process that ends with its handle, and with this process however that ends.
//!
//! `Drop` does not run when the tests are killed, abort or get Ctrl-C, and `PR_SET_PDEATHSIG` needs `unsafe` and follows the
//! spawning thread, which in a test run ends early. So each child runs under a small shell script, `watchdog.sh`, that
//! reads from a pipe which only this process holds.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::record;
use crate::wait::eventually;

const WATCHDOG: &str = include_str!("watchdog.sh");

/// How long a dropped process may take to end after SIGTERM, unless [`Process::with_grace`] says otherwise.
const GRACE: Duration = Duration::from_secs(5);

/// The exit code of a process whose watchdog was killed before it could tell another.
const KILLED: i32 = 128 + 9;

/// Variables that would send loopback traffic elsewhere or name somebody's cluster.
const NOT_INHERITED: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
];

/// A running program with its log.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: Pid,
    log: PathBuf,
    /// Where this process's own part of the log begins: a restarted program appends to the log of the one before.
    log_start: u64,
    grace: Duration,
    watchdog: Mutex<Watchdog>,
}

#[derive(Debug)]
struct Watchdog {
    /// Owns the pipe: while it lives, its stdin is open.
    shell: Child,
    /// Gives the exit code once the shell is gone, and never blocks then: nobody else holds its other end.
    answers: BufReader<ChildStdout>,
    exit_code: Option<i32>,
}

impl Process {
    /// Starts `command`; what it writes is appended to `<log_dir>/<name>.log`. Environment and folder of `command` are kept,
    /// its stdin and output are not.
    ///
    /// # Errors
    /// The log cannot be written or the shell cannot be started. A missing program shows as a process that ended with code 127.
    pub fn spawn(name: &str, command: &Command, log_dir: &Path) -> Result<Self> {
        let log = log_dir.join(format!("{name}.log"));
        let log_file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let log_start = log_file.metadata()?.len();
        record::follow(&log)?;

        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(command.get_program())
            .args(command.get_args());
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .process_group(0);
        for variable in NOT_INHERITED {
            shell.env_remove(variable);
        }
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let mut shell = shell
            .spawn()
            .with_context(|| format!("cannot start a shell for {name}"))?;
        let mut answers = BufReader::new(shell.stdout.take().context("stdout of the watchdog")?);
        let mut line = String::new();
        answers.read_line(&mut line).with_context(|| format!("pid of {name}"))?;
        let pid = line.trim().parse().ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("the watchdog of {name} gave {line:?} as its pid"))?;
        tracing::debug!(name, pid = pid.as_raw_nonzero(), log = %log.display(), "started");
        Ok(Self {
            name: name.to_owned(),
            pid,
            log,
            log_start,
            grace: GRACE,
            watchdog: Mutex::new(Watchdog {
                shell,
                answers,
                exit_code: None,
            }),
        })
    }

    /// How long `Drop` waits between SIGTERM and SIGKILL; zero for programs that have nothing to say goodbye to.
    #[must_use]
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The name it was started under; its log is `<name>.log`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pid of the program itself, not of its watchdog.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// The file with everything it wrote.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// What this process wrote since it was started, as far as it is text.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn log_text(&self) -> Result<String> {
        let bytes = fs::read(&self.log).with_context(|| format!("cannot read {}", self.log.display()))?;
        let start = usize::try_from(self.log_start).unwrap_or(usize::MAX).min(bytes.len());
        Ok(String::from_utf8_lossy(&bytes[start..]).into_owned())
    }

    /// The last `lines` lines that it wrote; empty if there is no log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = self.log_text().unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        self.exit_code().is_none()
    }

    /// Its exit code once it has ended; 128 + n after signal n.
    pub fn exit_code(&self) -> Option<i32> {
        let mut watchdog = self.watchdog.lock().unwrap_or_else(PoisonError::into_inner);
        // An error means that somebody else reaped the shell: it is gone either way.
        if watchdog.exit_code.is_none() && !matches!(watchdog.shell.try_wait(), Ok(None)) {
            let mut line = String::new();
            let _ = watchdog.answers.read_line(&mut line);
            watchdog.exit_code = Some(line.trim().parse().unwrap_or(KILLED));
        }
        watchdog.exit_code
    }

    /// An error with the end of the log if it has ended.
    ///
    /// # Errors
    /// It is not running any more.
    pub fn must_run(&self) -> Result<()> {
        match self.exit_code() {
            None => Ok(()),
            Some(code) => bail!(
                "{} ended with code {code}; it said last:\n{}",
                self.name,
                self.log_tail(15)
            ),
        }
    }

    /// Waits until it has ended by itself and gives its exit code.
    ///
    /// # Errors
    /// It is still running after `bound`.
    pub async fn wait(&self, bound: Duration) -> Result<i32> {
        eventually(format!("{} has ended", self.name), bound, async || {
            self.exit_code().context("still running")
        })
        .await
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// The kernel did not end it within ten seconds.
    pub async fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.wait(Duration::from_secs(10)).await.map(drop)
    }

    /// SIGTERM, and waits for the end; gives the time it took.
    ///
    /// # Errors
    /// It is still running after `bound` (and is left so).
    pub async fn terminate(&self, bound: Duration) -> Result<Duration> {
        let start = Instant::now();
        self.signal(Signal::TERM)?;
        // A stopped process takes no signal but SIGKILL.
        self.signal(Signal::CONT)?;
        self.wait(bound).await?;
        Ok(start.elapsed())
    }

    /// SIGSTOP: sockets stay open and nothing answers. Blocks until every thread stands still, a few milliseconds.
    ///
    /// # Errors
    /// It has ended, or a thread does not stop within five seconds.
    pub fn pause(&self) -> Result<()> {
        self.must_run()?;
        self.signal(Signal::STOP)?;
        // The signal is under way when `kill` returns: until a thread meets it, it may still answer.
        let start = Instant::now();
        while !self.stands_still()? {
            if start.elapsed() > Duration::from_secs(5) {
                bail!("{} does not stop", self.name);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn stands_still(&self) -> Result<bool> {
        for thread in fs::read_dir(format!("/proc/{}/task", self.pid()))? {
            // A thread that ended meanwhile does nothing more.
            let stat = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
            if stat
                .rsplit_once(") ")
                .is_some_and(|(_, rest)| !rest.starts_with(['T', 'Z', 'X']))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// SIGCONT after [`Self::pause`].
    ///
    /// # Errors
    /// It has ended.
    pub fn resume(&self) -> Result<()> {
        self.must_run()?;
        self.signal(Signal::CONT)
    }

    /// Sends a signal to the program; nothing happens if it has ended.
    fn signal(&self, signal: Signal) -> Result<()> {
        // Once the watchdog is gone the pid may belong to somebody else.
        if !self.is_running() {
            return Ok(());
        }
        match kill_process(self.pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot send {signal:?} to {}", self.name)),
        }
    }

    /// Processor time it has used so far (user and system), in seconds; a resolution of 10 ms.
    ///
    /// # Errors
    /// It has ended, or this is not Linux.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds_of(self.pid()).with_context(|| self.name.clone())
    }

    /// The most memory it ever held (resident set), in bytes.
    ///
    /// # Errors
    /// It has ended, or this is not Linux.
    pub fn peak_rss(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// The memory it holds now (resident set), in bytes.
    ///
    /// # Errors
    /// It has ended, or this is not Linux.
    pub fn rss(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, field: &str) -> Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes = line.and_then(|rest| rest.split_whitespace().next());
        let kibibytes: u64 = kibibytes
            .with_context(|| format!("no {field} in /proc/{}/status", self.pid()))?
            .parse()?;
        Ok(kibibytes * 1024)
    }

    fn proc(&self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.pid());
        fs::read_to_string(&path).with_context(|| format!("{path} of {}", self.name))
    }
}

impl Process {
    /// SIGKILL, and blocks until it is gone: a few milliseconds.
    pub fn end_now(&self) {
        let _ = self.signal(Signal::KILL);
        // Nothing to do if the kernel cannot end it: closing the pipe of the watchdog is the last resort.
        let _ = self.gone_within(Duration::from_secs(5));
    }

    /// SIGTERM, and blocks until it is gone; `false` if it is still running after `bound`.
    pub fn terminate_now(&self, bound: Duration) -> bool {
        let _ = self.signal(Signal::TERM);
        // A stopped process takes no signal but SIGKILL.
        let _ = self.signal(Signal::CONT);
        self.gone_within(bound)
    }

    fn gone_within(&self, bound: Duration) -> bool {
        let start = Instant::now();
        while self.is_running() {
            if start.elapsed() >= bound {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

/// Blocks, as a destructor cannot wait in any other way.
impl Drop for Process {
    fn drop(&mut self) {
        if !self.grace.is_zero() {
            self.terminate_now(self.grace);
        }
        self.end_now();
    }
}

/// Processor time that a process has used so far (user and system), in seconds; a resolution of 10 ms.
///
/// # Errors
/// There is no such process, or this is not Linux.
pub fn cpu_seconds_of(pid: i32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The second field is the program's name in parentheses and may hold spaces; utime and stime are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').context("unexpected /proc/<pid>/stat")?;
    let ticks: Result<Vec<u32>, _> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second())?;
    Ok(ticks?.into_iter().map(f64::from).sum::<f64>() / f64::from(per_second))
}
