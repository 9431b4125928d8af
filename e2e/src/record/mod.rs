//! What a test run leaves behind, and whether a secret stands in it.
//!
//! `with-keycloak` begins a [`Record`] and names it to its command with [`VARIABLE`]. All programs that the tests start then log
//! into files that stay until the end of the run ([`follow`]), whatever becomes of the folders of the tests; each control plane
//! notes every secret that was ever stored in it (`secrets`); and when all is over the one is searched for the other (`sweep`).
//! Without the variable nothing of this happens.
//!
//! Databases, configuration and keys of the servers hold secrets rightfully: they are not kept, and not searched.

mod logs;
mod scraper;
mod secrets;
mod sweep;

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

pub use logs::keep_own_logs;
pub(crate) use scraper::Scraper;
pub(crate) use secrets::Watcher;
pub use sweep::{Finding, Report};

use crate::workdir::WorkDir;

/// Names the folder of the [`Record`] of this run.
pub const VARIABLE: &str = "OIDC_OPERATOR_E2E_RECORD";

/// Every text that somebody told, a folder for each that told it.
const TOLD: &str = "told";
/// Every secret: files that only this user can read.
const SECRETS: &str = "secrets";
/// Why the record is not whole, a line each.
const GAPS: &str = "gaps";

/// The record of a test run.
#[derive(Debug)]
pub struct Record {
    folder: PathBuf,
    /// Only of the process that began it: it goes with this.
    own: Option<WorkDir>,
}

static CURRENT: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The record that this process writes to, if there is one.
pub(crate) fn current() -> Option<Record> {
    let named = || std::env::var_os(VARIABLE).map(PathBuf::from);
    let folder = CURRENT.get_or_init(named).clone()?;
    Some(Record { folder, own: None })
}

/// Whether there is a record.
pub(crate) fn is_kept() -> bool {
    current().is_some()
}

/// Has the record keep what is written to `file` from now on, also when `file` itself is removed. Nothing without a record.
///
/// # Errors
/// It cannot be kept: then the sweep would not see it.
pub(crate) fn follow(file: &Path) -> Result<()> {
    current().map_or(Ok(()), |record| record.follow(file))
}

/// Keeps a text that somebody told in another way than by a log; `name` says who. Nothing without a record.
///
/// # Errors
/// It cannot be written.
pub(crate) fn told(name: &str, text: &str) -> Result<()> {
    let Some(record) = current() else { return Ok(()) };
    // A write of the whole: other tests append to the same file.
    let text = format!("{}\n", text.trim_end());
    record
        .own_file(name)?
        .write_all(text.as_bytes())
        .context(name.to_owned())
}

impl Record {
    /// A new record, empty. It is removed when dropped, unless [`Self::keep`] was called.
    ///
    /// # Errors
    /// Its folder cannot be made.
    pub fn new() -> Result<Self> {
        let workdir = WorkDir::new("record")?;
        workdir.folder(TOLD)?;
        workdir.folder(SECRETS)?;
        let (folder, own) = (workdir.path().to_owned(), Some(workdir));
        Ok(Self { folder, own })
    }

    /// A new record that this process itself writes to as well.
    ///
    /// # Errors
    /// As [`Self::new`], or it writes to one already.
    pub fn begin() -> Result<Self> {
        let record = Self::new()?;
        if CURRENT.set(Some(record.folder.clone())).is_err() {
            bail!("this process has a record already");
        }
        Ok(record)
    }

    /// The value of [`VARIABLE`] for other processes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Leaves to the reader what was told, without the secrets.
    pub fn keep(&mut self) {
        let _ = fs::remove_dir_all(self.folder.join(SECRETS));
        if let Some(workdir) = &mut self.own {
            workdir.keep();
        }
    }

    /// A second name (hard link) for the file: both are the same file, whoever writes to it, and however its writer ends.
    fn follow(&self, file: &Path) -> Result<()> {
        let name = file.file_name().context("a log without a name")?;
        let teller = file.parent().and_then(Path::file_name).context("a log in no folder")?;
        let teller = teller.to_string_lossy();
        for number in 0.. {
            // The folder of a former process with the same pid may have had the same name.
            let folder = match number {
                0 => teller.clone().into_owned(),
                _ => format!("{teller}.{number}"),
            };
            let folder = self.folder.join(TOLD).join(folder);
            fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
            let link = folder.join(name);
            match fs::hard_link(file, &link) {
                Ok(()) => return Ok(()),
                // A program that was started again goes on with its log.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    if fs::metadata(&link)?.ino() == fs::metadata(file)?.ino() {
                        return Ok(());
                    }
                }
                Err(error) => {
                    let (file, link) = (file.display(), link.display());
                    return Err(error).with_context(|| format!("cannot keep {file} as {link}"));
                }
            }
        }
        Ok(())
    }

    /// A file for what this process tells itself, to append to.
    fn own_file(&self, name: &str) -> Result<File> {
        let program = std::env::current_exe().unwrap_or_default();
        let program = program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.folder.join(TOLD).join(format!("{program}-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        append(&folder.join(format!("{name}.log")))
    }

    /// A file for what this process's command prints.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn output(&self, name: &str) -> Result<File> {
        self.own_file(name)
    }

    /// Notes that something is missing: the sweep fails then, as it would prove nothing.
    fn gap(&self, what: &str) {
        let line = format!("{}\n", what.replace('\n', " "));
        if let Ok(mut file) = append(&self.folder.join(GAPS)) {
            let _ = file.write_all(line.as_bytes());
        }
    }
}

/// Readable by this user only.
fn append(file: &Path) -> Result<File> {
    let opened = File::options().create(true).append(true).mode(0o600).open(file);
    opened.with_context(|| format!("cannot write {}", file.display()))
}
