//! One test case: keeps the folders of its environments if it fails.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;

use crate::workdir::Folder;

tokio::task_local! {
    static FOLDERS: Arc<Mutex<Vec<Folder>>>;
}

/// Runs the body of a test, in which `?` can be used, and panics with the whole error if it fails.
///
/// A test function that itself returns an error does the same but for one thing: its environments are dropped, and their logs
/// removed, before anybody knows that it failed.
///
/// # Panics
/// The body gave an error.
#[expect(clippy::panic, reason = "a panic is how a Rust test fails")]
pub async fn run(body: impl Future<Output = Result<()>>) {
    let folders = Arc::new(Mutex::new(Vec::new()));
    if let Err(error) = FOLDERS.scope(Arc::clone(&folders), body).await {
        folders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter_mut()
            .for_each(Folder::keep);
        drop(folders);
        panic!("{error:?}");
    }
}

/// Keeps `folder` until the running case has ended; outside a case it is dropped at once.
pub(crate) fn hand_over(folder: Folder) {
    let mut folder = Some(folder);
    let _ = FOLDERS.try_with(|folders| {
        folders
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(folder.take());
    });
}
