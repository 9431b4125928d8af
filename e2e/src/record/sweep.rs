//! The search: every secret of a run, in every form, in every text of it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aho_corasick::AhoCorasick;
use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{GAPS, Record, TOLD};

/// Programs that outlive a test program by a moment still write; after so long a silence they do not.
const SILENCE: Duration = Duration::from_millis(500);
/// Longer than any of them lives.
const SILENCE_BOUND: Duration = Duration::from_secs(20);
/// Lines of a PEM file that are shorter may stand anywhere.
const SHORTEST_LINE: usize = 20;
/// More are counted, and not shown.
const SHOWN: usize = 30;

/// Where a test itself tells a secret on purpose, to see what the operator makes of it: what all is in such a line. The secret may
/// stand there and nowhere else.
const ON_PURPOSE: [&[&str]; 1] = [
    // tests/operator, references::a_config_map_with_a_private_key: the test's own write, not one of the operator's.
    &[
        r#""requestURI":"/api/v1/namespaces/ca-private-identity-"#,
        "/configmaps/dex-ca?",
        r#""verb":"patch","user":{"username":"admin","#,
    ],
];

/// What a sweep found.
#[derive(Debug, Clone)]
pub struct Report {
    /// How many secrets were looked for.
    pub secrets: usize,
    /// In how many files.
    pub files: usize,
    /// Of so many bytes together.
    pub bytes: u64,
    /// How long the search took.
    pub took: Duration,
    /// How many lines tell one on purpose, and are not among those found.
    pub on_purpose: usize,
    /// Where one stands. Must be empty.
    pub found: Vec<Finding>,
    /// What is missing in the record. Must be empty.
    pub gaps: Vec<String>,
}

/// A secret where it should not be. Without the secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, below the folder of the record.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// Which secret: key, Secret and control plane.
    pub secret: String,
    /// As what it stands there: itself, its base64 and so on.
    pub form: &'static str,
}

impl Report {
    /// Whether nothing was found, and nothing was missing.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty() && self.gaps.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.found.len() {
            0 => "no secret is told".to_owned(),
            count => format!("a secret is told {count} times"),
        };
        let megabytes = self.bytes.div_ceil(1_000_000);
        write!(
            f,
            "{verdict}: looked for {} secrets in {} files, {megabytes} MB, {:.1} s",
            self.secrets,
            self.files,
            self.took.as_secs_f64()
        )?;
        if self.on_purpose > 0 {
            write!(f, " (told on purpose by tests: {})", self.on_purpose)?;
        }
        for Finding {
            file,
            line,
            secret,
            form,
        } in self.found.iter().take(SHOWN)
        {
            write!(f, "\n  {}:{line}: {form} of {secret}", file.display())?;
        }
        if self.found.len() > SHOWN {
            write!(f, "\n  and more")?;
        }
        for gap in &self.gaps {
            write!(f, "\n  the record is not whole: {gap}")?;
        }
        Ok(())
    }
}

impl Record {
    /// Searches everything that was told for every secret. Waits until nobody writes any more.
    ///
    /// # Errors
    /// The record cannot be read.
    pub fn sweep(&self) -> Result<Report> {
        let files = self.silent()?;
        let start = Instant::now();
        let secrets = self.secrets()?;
        let (mut patterns, mut meanings) = (Vec::new(), Vec::new());
        for (value, what) in &secrets {
            for (form, pattern) in forms(value) {
                patterns.push(pattern);
                meanings.push((form, what.as_str()));
            }
        }
        let search = AhoCorasick::new(&patterns)?;
        let (mut found, mut bytes, mut on_purpose) = (BTreeSet::new(), 0, 0);
        for path in &files {
            let file = path.strip_prefix(&self.folder).unwrap_or(path);
            let seen = search_file(&search, path).with_context(|| format!("{}", path.display()))?;
            bytes += seen.bytes;
            on_purpose += seen.on_purpose;
            found.extend(seen.places.into_iter().map(|(line, pattern)| Finding {
                file: file.to_owned(),
                line,
                secret: meanings[pattern].1.to_owned(),
                form: meanings[pattern].0,
            }));
        }
        let gaps = fs::read_to_string(self.folder.join(GAPS)).unwrap_or_default();
        Ok(Report {
            secrets: secrets.len(),
            files: files.len(),
            bytes,
            took: start.elapsed(),
            on_purpose,
            found: found.into_iter().collect(),
            gaps: gaps.lines().map(str::to_owned).collect(),
        })
    }

    /// All files of what was told, once none of them grows.
    fn silent(&self) -> Result<Vec<PathBuf>> {
        let start = Instant::now();
        let sizes = || -> Result<Vec<(PathBuf, u64)>> {
            let mut files = Vec::new();
            for folder in fs::read_dir(self.folder.join(TOLD))? {
                for file in fs::read_dir(folder?.path())? {
                    let file = file?;
                    files.push((file.path(), file.metadata()?.len()));
                }
            }
            files.sort();
            Ok(files)
        };
        let mut before = sizes()?;
        loop {
            std::thread::sleep(SILENCE);
            let now = sizes()?;
            if now == before || start.elapsed() > SILENCE_BOUND {
                return Ok(now.into_iter().map(|(path, _)| path).collect());
            }
            before = now;
        }
    }
}

/// What stands in one file.
#[derive(Default)]
struct Seen {
    bytes: u64,
    /// Line, from 1, and pattern.
    places: Vec<(usize, usize)>,
    /// Lines of [`ON_PURPOSE`].
    on_purpose: usize,
}

fn search_file(search: &AhoCorasick, path: &Path) -> Result<Seen> {
    let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
    let (mut seen, mut line) = (Seen::default(), Vec::new());
    for number in 1.. {
        line.clear();
        let length = file.read_until(b'\n', &mut line)?;
        if length == 0 {
            break;
        }
        seen.bytes += u64::try_from(length)?;
        let before = seen.places.len();
        let places = search
            .find_iter(&line)
            .map(|place| (number, place.pattern().as_usize()));
        seen.places.extend(places);
        if seen.places.len() > before && is_on_purpose(&String::from_utf8_lossy(&line)) {
            seen.places.truncate(before);
            seen.on_purpose += 1;
        }
    }
    Ok(seen)
}

fn is_on_purpose(line: &str) -> bool {
    ON_PURPOSE
        .iter()
        .any(|texts| texts.iter().all(|text| line.contains(text)))
}

/// The forms in which a secret may be told.
fn forms(value: &str) -> Vec<(&'static str, String)> {
    let digest = Sha256::digest(value.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("the sha256", hex),
        ("the sha256 in base64", STANDARD_NO_PAD.encode(digest)),
        ("the sha256 in base64url", URL_SAFE_NO_PAD.encode(digest)),
    ];
    if value.contains("-----BEGIN") {
        // Whatever became of its line ends.
        let lines = value.lines().map(str::trim);
        let body = lines.filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"));
        forms.extend(body.map(|line| ("a line", line.to_owned())));
        forms.push(("the base64", STANDARD.encode(value)));
    } else {
        forms.push(("the value", value.to_owned()));
        // Also amid other text, as in `Authorization: Basic` and in a body.
        forms.extend((0..3).map(|offset| ("the base64", base64_amid(value.as_bytes(), offset))));
    }
    forms
}

/// The base64 of `value` in a text where so many bytes (modulo 3) come before it, without the characters that depend on others.
fn base64_amid(value: &[u8], offset: usize) -> String {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(value);
    let encoded = STANDARD_NO_PAD.encode(&bytes);
    let whole = bytes.len() * 8 / 6;
    encoded[(offset * 8).div_ceil(6)..whole].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::{base64_amid, forms};

    #[test]
    fn base64_is_found_amid_other_text() {
        let value = "p-Qe3zZ_secret-of-some-length";
        for before in ["", "a", "ab", "client:", "client_id="] {
            for after in ["", "x", "\"}", "&scope=openid"] {
                let text = STANDARD.encode(format!("{before}{value}{after}"));
                let hits = (0..3).filter(|offset| text.contains(&base64_amid(value.as_bytes(), *offset)));
                assert_eq!(hits.collect::<Vec<_>>(), [before.len() % 3], "{before} {after}");
            }
        }
    }

    #[test]
    fn a_key_is_found_by_each_of_its_lines() {
        let lines = [
            "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49",
            "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQ",
            "short=",
        ];
        let key = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            lines.join("\r\n")
        );
        let told: Vec<_> = forms(&key)
            .into_iter()
            .filter(|(form, _)| *form == "a line")
            .map(|(_, text)| text)
            .collect();
        assert_eq!(told, lines[..2]);
    }
}
