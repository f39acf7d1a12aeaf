//! Removes stored files that no row knows.
//!
//! An upload is stored first and written down after; one that broke off in between left bytes that
//! nobody will ever ask for. Keys tell their age, so a file on its way to its row is left alone. So is every file of the
//! backup window: in a database that was restored to an earlier moment it has no row, and in the one restored next,
//! to a later moment, it has.

use std::time::Duration;

use chrono::DateTime;
use tenon_core::{Time, jobs::SweepBlobs, ports::blob::Key};
use tenon_db::purge;
use uuid::Uuid;

use super::{Context, Failure, Handle};

/// Under which files are stored.
const PREFIX: &str = "attachments/";
/// No upload takes longer.
const LONGEST_UPLOAD: Duration = Duration::from_hours(24);
const BATCH: usize = 1000;

impl Handle for SweepBlobs {
    async fn handle(self, cx: Context<'_>) -> Result<(), Failure> {
        let before = cx.app.now() - cx.app.settings.backup_window.max(LONGEST_UPLOAD);
        let mut after: Option<Key> = None;
        loop {
            let keys = cx.app.blobs.list(PREFIX, after.as_ref(), BATCH).await?;
            let Some(last) = keys.last().cloned() else { return Ok(()) };
            let old = keys.into_iter().filter(|key| made_at(key).is_some_and(|at| at < before));
            remove_unknown(cx, old.collect()).await?;
            after = Some(last);
        }
    }
}

async fn remove_unknown(cx: Context<'_>, keys: Vec<Key>) -> Result<(), Failure> {
    let texts: Vec<&str> = keys.iter().map(Key::as_str).collect();
    let known = purge::known_blobs(&mut *cx.app.read().await?, &texts).await?;
    for key in keys.iter().filter(|key| !known.contains(key.as_str())) {
        cx.app.blobs.delete(key).await?;
        tracing::info!(blob.key = key.as_str(), "Removed a file that was never written down.");
    }
    Ok(())
}

/// When the id in a key was made; none for a key that is not ours.
fn made_at(key: &Key) -> Option<Time> {
    let id: Uuid = key.as_str().strip_prefix(PREFIX)?.parse().ok()?;
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}
