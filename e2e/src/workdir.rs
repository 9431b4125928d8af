//! A folder per environment, for data, keys and logs: removed when all went well, kept when a test failed.
//!
//! Folders lie in `target/e2e-logs/` of the repository (or in `E2E_LOG_DIR`), so that a CI run can store what was kept.
//! `E2E_KEEP=1` keeps all. A folder that no destructor removes, because it belongs to a static or because the process was
//! killed, is removed by `janitor.sh`, unless a test panicked meanwhile.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, Once, PoisonError};

use anyhow::{Context, Result};

use crate::case;
use crate::tools;

const JANITOR: &str = include_str!("janitor.sh");
/// A file of this name in a folder tells the janitor to leave it.
const KEEP: &str = "KEEP";

/// Folders that exist now; a panic marks all of them, as the janitor cannot know whose test it was.
static EXISTING: LazyLock<Mutex<Vec<PathBuf>>> = LazyLock::new(Mutex::default);

/// The folder of one environment.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    /// `None` only after drop has handed the folder on.
    folder: Option<Folder>,
}

impl WorkDir {
    /// Makes a new folder; `name` is for readers and need not be unique.
    ///
    /// # Errors
    /// The folder cannot be made, or the shell of the janitor cannot be started.
    pub fn new(name: &str) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent().join(format!("{name}-{}-{number}", std::process::id()));
        // What is there already is of a former process with the same pid.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let folder = Folder::guard(path.clone())?;
        Ok(Self {
            path,
            folder: Some(folder),
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into the folder, readable by this user only (it may be a key), and gives its path.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.path.join(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        let written = file.and_then(|mut file| file.write_all(content.as_ref()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Leaves the folder to the reader, as after a failed test.
    pub fn keep(&mut self) {
        if let Some(folder) = &mut self.folder {
            folder.keep();
        }
    }

    /// Makes a folder inside and gives its path.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take() {
            // Inside `case::run` the case decides later, when it knows how it ended.
            case::hand_over(folder);
        }
    }
}

/// Removes the folder on drop, unless it is to be kept.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    janitor: Child,
    keep: bool,
}

impl Folder {
    fn guard(path: PathBuf) -> Result<Self> {
        install_panic_hook();
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start a shell as janitor")?;
        let keep = std::env::var("E2E_KEEP").is_ok_and(|value| value == "1");
        if keep {
            mark(&path);
        }
        EXISTING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(path.clone());
        Ok(Self { path, janitor, keep })
    }

    /// The case failed: leave the folder to the reader.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        EXISTING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|path| *path != self.path);
        if self.keep || std::thread::panicking() {
            mark(&self.path);
            announce(&self.path);
        } else {
            let _ = fs::remove_dir_all(&self.path);
        }
        // Closing its pipe ends the janitor: it finds either nothing or the mark.
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}

fn mark(path: &Path) {
    let _ = fs::write(path.join(KEEP), "");
}

#[expect(
    clippy::print_stderr,
    reason = "for the person who reads the failed test: the test runner shows it with the failure"
)]
fn announce(path: &Path) {
    let mut names: Vec<String> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".log") || name.ends_with(".png"))
        .collect();
    names.sort();
    eprintln!("kept {}: {}", path.display(), names.join(" "));
}

/// Folders of statics outlive every test, so what keeps them is noted when a test panics.
fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if let Ok(existing) = EXISTING.try_lock() {
                existing.iter().for_each(|path| mark(path));
            }
            before(info);
        }));
    });
}

fn parent() -> PathBuf {
    std::env::var_os("E2E_LOG_DIR").map_or_else(|| tools::repository().join("target/e2e-logs"), PathBuf::from)
}
