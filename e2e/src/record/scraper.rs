//! What an operator's metrics said while it lived.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;

use super::{append, follow, is_kept};

/// A series may go with the object that it is about: whoever wants to see it must look while that lives.
const INTERVAL: Duration = Duration::from_secs(2);
/// A stopped operator does not answer.
const BOUND: Duration = Duration::from_millis(500);

/// Reads the metrics of one operator now and then, and writes each series that it sees for the first time to `metrics.log`. (Values
/// are numbers: only names and labels can tell something.)
#[derive(Debug)]
pub(crate) struct Scraper {
    series: Arc<Series>,
    /// Dropped: the thread ends.
    _lives: Sender<()>,
}

#[derive(Debug)]
struct Series {
    address: SocketAddr,
    seen: Mutex<(HashSet<String>, std::fs::File)>,
}

impl Scraper {
    /// Begins, if there is a record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn start(address: SocketAddr, folder: &Path) -> Result<Option<Self>> {
        if !is_kept() {
            return Ok(None);
        }
        let file = folder.join("metrics.log");
        let seen = Mutex::new((HashSet::new(), append(&file)?));
        follow(&file)?;
        let series = Arc::new(Series { address, seen });
        let (lives, ended) = channel();
        let regular = Arc::clone(&series);
        std::thread::spawn(move || {
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                regular.read();
            }
        });
        Ok(Some(Self { series, _lives: lives }))
    }

    /// Reads them now: the operator is about to be ended.
    pub(crate) fn last_words(&self) {
        self.series.read();
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.last_words();
    }
}

impl Series {
    /// An operator that does not listen yet, or no more, has no metrics.
    fn read(&self) {
        let Ok(text) = self.scrape() else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = String::new();
        for line in text.lines() {
            let series = line.rsplit_once(' ').map_or(line, |(series, _)| series);
            if seen.0.insert(series.to_owned()) {
                let _ = writeln!(new, "{line}");
            }
        }
        let _ = seen.1.write_all(new.as_bytes());
    }

    /// Without a runtime: a destructor has none.
    fn scrape(&self) -> std::io::Result<String> {
        let mut connection = TcpStream::connect_timeout(&self.address, BOUND)?;
        connection.set_read_timeout(Some(BOUND))?;
        connection.set_write_timeout(Some(BOUND))?;
        write!(
            connection,
            "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}
