//! The recordings in `e2e/recordings`, one file a request.

use std::path::Path;

use anyhow::{Context, Result};
use oidc_operator_e2e::authentik::Release;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Recording {
    /// The number of the file, `027`.
    #[serde(skip)]
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) request: Sent,
    pub(crate) response: Answered,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sent {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    #[serde(default)]
    pub(crate) headers: Map<String, Value>,
    pub(crate) body: Value,
}

impl Answered {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_str())
    }
}

/// All of a release, in their order.
pub(crate) fn all(release: Release) -> Result<Vec<Recording>> {
    let folder = match release {
        Release::R2026_2 => "2026.2",
        Release::R2026_5 => "2026.5",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings").join(folder);
    let mut recordings = Vec::new();
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        let mut recording: Recording = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        recording.number = file.chars().take(3).collect();
        recordings.push(recording);
    }
    recordings.sort_by(|a, b| a.number.cmp(&b.number));
    Ok(recordings)
}
