//! Processes and folders end when they should, whatever ends their owner.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use oidc_operator_e2e::dex::{Dex, DexOptions};
use oidc_operator_e2e::process::Process;
use oidc_operator_e2e::wait::eventually;
use oidc_operator_e2e::workdir::WorkDir;
use oidc_operator_e2e::{case, shared};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

const BOUND: Duration = Duration::from_secs(10);
/// Where the victim below writes what it has started.
const VICTIM_FILE: &str = "E2E_VICTIM_FILE";
/// How the case below ends.
const CASE_OUTCOME: &str = "E2E_CASE_OUTCOME";

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]);
    command
}

#[tokio::test]
async fn a_process_is_watched_stopped_and_ended() {
    case::run(async {
        let folder = WorkDir::new("process")?;
        let process = Process::spawn("busy", &shell("echo started; while :; do :; done"), folder.path())?;
        eventually("it writes its log", BOUND, async || {
            ensure!(process.log_tail(1) == "started", "{}", process.log_text()?);
            Ok(())
        })
        .await?;
        assert!(process.peak_rss()? > 0 && process.rss()? > 0);
        eventually("it uses its processor", BOUND, async || {
            ensure!(process.cpu_seconds()? > 0.0, "none yet");
            Ok(())
        })
        .await?;
        process.pause()?;
        eventually("it is stopped", BOUND, async || {
            let state = state(process.pid())?;
            ensure!(state == 'T', "{state}");
            Ok(())
        })
        .await?;
        assert!(process.is_running());
        // Also a stopped process can be asked to end.
        let time = process.terminate(BOUND).await?;
        assert!(time < BOUND);
        assert_eq!(process.exit_code(), Some(128 + 15));
        process.must_run().expect_err("it has ended");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn exit_codes_are_kept() {
    case::run(async {
        let folder = WorkDir::new("codes")?;
        let process = Process::spawn("three", &shell("exit 3"), folder.path())?;
        assert_eq!(process.wait(BOUND).await?, 3);
        let process = Process::spawn("missing", &Command::new("/no/such/program"), folder.path())?;
        assert_eq!(process.wait(BOUND).await?, 127);
        assert!(
            process.log_tail(1).contains("/no/such/program"),
            "{}",
            process.log_tail(3)
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dropped_process_is_gone_with_its_children_even_if_it_ignores_sigterm() {
    case::run(async {
        let folder = WorkDir::new("stubborn")?;
        let script = "trap '' TERM; sleep 1000 & echo $!; while :; do wait; done";
        let process = Process::spawn("stubborn", &shell(script), folder.path())?.with_grace(Duration::from_millis(100));
        let child = eventually("it has a child", BOUND, async || {
            Ok(process.log_tail(1).parse::<i32>()?)
        })
        .await?;
        let pid = process.pid();
        drop(process);
        assert!(is_gone(pid));
        eventually("its child is gone", BOUND, async || {
            ensure!(is_gone(child), "{child} runs");
            Ok(())
        })
        .await
    })
    .await;
}

#[test]
fn a_failed_case_keeps_its_folders_and_a_good_one_does_not() -> Result<()> {
    // In a process of its own: a panic here would keep the shared folders of all the tests.
    let run = |outcome: &str| -> Result<(bool, PathBuf)> {
        let output = Command::new(std::env::current_exe()?)
            .args(["--exact", "process::case", "--nocapture"])
            .env(CASE_OUTCOME, outcome)
            .env_remove("E2E_KEEP")
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let folder = text
            .lines()
            .find_map(|line| line.split_once("folder "))
            .context("no folder")?
            .1;
        Ok((output.status.success(), PathBuf::from(folder)))
    };
    let (success, folder) = run("good")?;
    assert!(success && !folder.exists());
    for failure in ["error", "panic"] {
        let (success, folder) = run(failure)?;
        assert!(!success && folder.join("part.log").exists(), "{failure}");
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// Not a test of its own: the cases of the test above.
#[tokio::test]
async fn case() {
    let Ok(outcome) = std::env::var(CASE_OUTCOME) else {
        return;
    };
    case::run(async {
        let folder = WorkDir::new("case")?;
        println!("\nfolder {}", folder.path().display());
        folder.write("part.log", "something")?;
        match outcome.as_str() {
            "good" => Ok(()),
            "error" => bail!("this one is meant to fail"),
            _ => panic!("this one is meant to panic"),
        }
    })
    .await;
}

/// What the victim has started.
#[derive(Serialize, Deserialize)]
struct Started {
    pids: Vec<i32>,
    folders: Vec<PathBuf>,
}

/// Not a test of its own: the process that the tests below kill.
#[tokio::test]
async fn victim() -> Result<()> {
    let Some(file) = std::env::var_os(VICTIM_FILE).map(PathBuf::from) else {
        return Ok(());
    };
    let cluster = shared::control_plane().await?;
    let dex = Dex::start(DexOptions {
        name: "victim-dex".to_owned(),
        ..DexOptions::default()
    })
    .await?;
    let folder = WorkDir::new("victim")?;
    let stubborn = Process::spawn(
        "stubborn",
        &shell("trap '' TERM INT HUP; while :; do sleep 1; done"),
        folder.path(),
    )?;
    let pids = cluster.pids().into_iter().chain([dex.pid(), stubborn.pid()]).collect();
    let started = Started {
        pids,
        folders: vec![cluster.folder().to_owned(), folder.path().to_owned()],
    };
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, serde_json::to_vec(&started)?)?;
    fs::rename(&unfinished, &file)?;
    tokio::time::sleep(Duration::from_secs(120)).await;
    bail!("nobody killed the victim")
}

#[tokio::test]
async fn nothing_is_left_of_a_killed_parent() {
    case::run(nothing_is_left_after(|victim| Ok(kill_process(victim, Signal::KILL)?))).await;
}

#[tokio::test]
async fn nothing_is_left_after_ctrl_c() {
    // A terminal sends it to the whole group.
    case::run(nothing_is_left_after(|victim| {
        Ok(kill_process_group(victim, Signal::INT)?)
    }))
    .await;
}

async fn nothing_is_left_after(end: impl Fn(Pid) -> Result<()>) -> Result<()> {
    let folder = WorkDir::new("parent")?;
    let file = folder.path().join("started.json");
    let log = fs::File::create(folder.path().join("victim.log"))?;
    // A shell that starts a job in the background has it ignore SIGINT, and all of its children too.
    let mut victim = Command::new("env")
        .arg("--default-signal=INT")
        .arg(std::env::current_exe()?)
        .args(["--exact", "process::victim", "--nocapture"])
        .env(VICTIM_FILE, &file)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    let started = eventually(
        "the victim has started its parts",
        Duration::from_secs(90),
        async || {
            if let Some(status) = victim.try_wait()? {
                return Ok(Err(status));
            }
            Ok(Ok(serde_json::from_slice::<Started>(&fs::read(&file)?)?))
        },
    );
    let started = started
        .await?
        .map_err(|status| anyhow::anyhow!("the victim ended by itself: {status}"))?;
    assert_eq!(started.pids.len(), 5);
    assert!(started.pids.iter().all(|&pid| !is_gone(pid)));

    end(Pid::from_child(&victim))?;
    victim.wait()?;
    eventually("all processes and folders of the victim are gone", BOUND, async || {
        let left: Vec<_> = started.pids.iter().filter(|&&pid| !is_gone(pid)).collect();
        let folders: Vec<_> = started.folders.iter().filter(|folder| folder.exists()).collect();
        ensure!(left.is_empty() && folders.is_empty(), "left: {left:?} {folders:?}");
        Ok(())
    })
    .await
}

/// A zombie counts as gone: in a container its new parent may never ask for its exit code.
fn is_gone(pid: i32) -> bool {
    state(pid).is_ok_and(|state| state == 'Z') || !Path::new(&format!("/proc/{pid}")).exists()
}

fn state(pid: i32) -> Result<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = stat.rsplit_once(") ").context("unexpected /proc/<pid>/stat")?;
    rest.chars().next().context("no state")
}
