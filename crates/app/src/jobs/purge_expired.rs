//! Removes what has ended, kind by kind.
//!
//! The log of changes stays: it is the history of stories, boards and projects, and goes only with
//! the thing whose log it is.

use std::time::Duration;

use tenon_core::{jobs::PurgeExpired, ports::blob::Key};
use tenon_db::{jobs::history, purge, schedules};

use super::{Context, Failure, Handle};
use crate::accounts;

const BATCH: i64 = 500;

/// How long a job that is done, or was cancelled, is remembered.
const DONE_JOBS: Duration = Duration::from_hours(24);
/// How long a dead job waits for an administrator.
const DEAD_JOBS: Duration = Duration::from_hours(7 * 24);

/// Calls a batch until it removes less than it may.
macro_rules! drain {
    ($cx:ident, $percent:literal, $what:literal, $batch:expr, |$conn:ident, $now:ident| $remove:expr) => {
        $cx.progress($percent, $what);
        loop {
            let removed = $cx
                .app
                .write(&[], &$cx.correlation_id(), async |tx| {
                    let $now = tx.now();
                    let $conn = tx.conn();
                    Ok($remove.await?)
                })
                .await?;
            if removed > 0 {
                tracing::info!(what = $what, removed, "Removed what had ended.");
            }
            if i64::try_from(removed).is_ok_and(|n| n < $batch) {
                break;
            }
        }
    };
}

impl Handle for PurgeExpired {
    async fn handle(self, cx: Context<'_>) -> Result<(), Failure> {
        let purged = accounts::purge(cx.app, &cx.correlation_id()).await?;
        tracing::info!(?purged, "Removed what of accounts had ended.");
        let trash = cx.app.settings.trash;
        drain!(cx, 10, "stories", BATCH, |conn, now| purge::stories(conn, now - trash, now, BATCH));
        // One at a time: everything in a project goes with it.
        drain!(cx, 25, "projects", 1, |conn, now| purge::projects(conn, now - trash, now, 1));
        drain!(cx, 50, "workspaces", BATCH, |conn, now| purge::workspaces(conn, now - trash, BATCH));
        drain!(cx, 60, "jobs", BATCH, |conn, now| history::prune(
            conn,
            now - DONE_JOBS,
            now - DEAD_JOBS,
            BATCH
        ));
        drain!(cx, 75, "ticks", BATCH, |conn, _now| schedules::prune(conn, BATCH));
        cx.progress(80, "days of jobs");
        turn_job_days(cx).await?;
        cx.progress(90, "files");
        unlink_blobs(cx).await
    }
}

/// Days of finished jobs come and go as a whole.
async fn turn_job_days(cx: Context<'_>) -> Result<(), Failure> {
    let correlation_id = cx.correlation_id();
    let made = cx
        .app
        .write(&[], &correlation_id, async |tx| {
            let now = tx.now();
            Ok(history::make_days(tx.conn(), now).await?)
        })
        .await?;
    let dropped = cx
        .app
        .write(&[], &correlation_id, async |tx| {
            let before = tx.now() - DONE_JOBS;
            Ok(history::drop_days(tx.conn(), before).await?)
        })
        .await?;
    tracing::info!(made, dropped, "Made and dropped days of finished jobs.");
    Ok(())
}

/// The bytes first, then the row: a blob whose row remains is tried again, one without a row would be forgotten.
async fn unlink_blobs(cx: Context<'_>) -> Result<(), Failure> {
    let before = cx.app.now() - cx.app.settings.backup_window;
    loop {
        let keys = purge::unreferenced_blobs(&mut *cx.app.read().await?, before, BATCH).await?;
        if keys.is_empty() {
            return Ok(());
        }
        for key in &keys {
            let key = Key::parse(key).map_err(|e| Failure::Fatal(Box::new(e)))?;
            cx.app.blobs.delete(&key).await?;
        }
        cx.app
            .write(&[], &cx.correlation_id(), async |tx| Ok(purge::forget_blobs(tx.conn(), &keys).await?))
            .await?;
        tracing::info!(blobs = keys.len(), "Removed files that nothing refers to.");
    }
}
