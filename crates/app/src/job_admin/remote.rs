//! Jobs of a queue outside the database: their rows are here, where they are in their lives is there.

use std::collections::HashMap;

use tenon_core::{
    Result, Time,
    ids::JobId,
    ports::queue::{Cancel, End, Ended, QueueError, Remote, Seen, SeenState},
};
use tenon_db::{
    Connection,
    jobs::{
        admin::{self, JobRow, State},
        figures::QueueFigures,
        outbox,
    },
};

use super::refused;
use crate::{App, relay, write::Tx};

/// The oldest jobs that are looked at for the one that has waited longest.
const OLDEST: i64 = 500;

/// Says of each row that is not history what the queue knows of it.
pub(super) async fn complete(remote: &dyn Remote, rows: &mut [JobRow]) -> Result<()> {
    let alive = |row: &JobRow| row.finished_at.is_none();
    let ids: Vec<JobId> = rows.iter().filter(|row| alive(row)).map(|row| row.id.into()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut seen: HashMap<JobId, Seen> = HashMap::new();
    for seen_there in remote.inspect(&ids).await.map_err(refused)? {
        seen.insert(seen_there.id, seen_there);
    }
    for row in rows.iter_mut().filter(|row| alive(row)) {
        if let Some(seen) = seen.remove(&row.id.into()) {
            tell(row, seen);
        }
    }
    Ok(())
}

fn tell(row: &mut JobRow, seen: Seen) {
    // One that has ended and is not history yet still runs, as far as anybody is told.
    let (state, worker) = match seen.state {
        SeenState::Waiting => (State::Waiting, None),
        SeenState::Running { worker } => (State::Running, Some(worker)),
        SeenState::Ended => (State::Running, None),
    };
    state.as_str().clone_into(&mut row.state);
    row.worker = worker;
    row.attempts = seen.attempts;
    row.run_at = Some(seen.run_at);
    row.started_at = seen.started_at;
    row.error = seen.error;
    row.cancel_asked = seen.cancel_asked;
    row.progress = seen.progress.as_ref().map(|progress| i16::from(progress.percent));
    row.progress_note = seen.progress.and_then(|progress| progress.note).map(Into::into);
}

/// Makes a dead job wait again.
pub(super) async fn retry(tx: &mut Tx<'_>, remote: &dyn Remote, id: JobId) -> Result<bool> {
    outbox::begin(tx.conn()).await?;
    // Its end is history. Should a relay have died before the queue forgot it, the queue forgets it now.
    let seen = remote.inspect(&[id]).await.map_err(refused)?;
    if seen.iter().any(|seen| seen.state == SeenState::Ended) {
        let mut ended = remote.ended(usize::MAX >> 33).await.map_err(refused)?;
        ended.retain(|ended| ended.id == id);
        remote.forget(&ended).await.map_err(refused)?;
    }
    let now = tx.now();
    Ok(outbox::retry(tx.conn(), id, now).await?)
}

/// Makes a waiting job ready now.
pub(super) async fn run_now(tx: &mut Tx<'_>, remote: &dyn Remote, id: JobId) -> Result<bool> {
    outbox::begin(tx.conn()).await?;
    let now = tx.now();
    let Some(outbox::Entry { mut job, is_forwarded, .. }) = outbox::find(tx.conn(), id).await? else {
        return Ok(false);
    };
    if is_forwarded {
        match remote.take(&[id]).await.map_err(refused)?.first() {
            Some(seen) => job.attempts = seen.attempts,
            None => return Ok(false),
        }
    }
    job.run_at = job.run_at.min(now);
    outbox::rewrite(tx.conn(), &[job]).await?;
    Ok(true)
}

/// Ends a job that the queue has, or has yet to be given.
pub(super) async fn cancel(app: &App, tx: &mut Tx<'_>, remote: &dyn Remote, id: JobId) -> Result<Cancel> {
    outbox::begin(tx.conn()).await?;
    let now = tx.now();
    let Some(entry) = outbox::find(tx.conn(), id).await? else { return Ok(Cancel::Late) };
    let known = remote.inspect(&[id]).await.map_err(refused)?;
    let mut attempts = entry.job.attempts;
    if !known.is_empty() {
        if app.queue.capabilities().cancel {
            return app.queue.cancel(id).await.map_err(refused);
        }
        // What only waits can be taken out by any; of the rest it says that it cannot.
        match remote.take(&[id]).await.map_err(refused)?.first() {
            Some(seen) => attempts = seen.attempts,
            None => return app.queue.cancel(id).await.map_err(refused),
        }
    }
    let ended =
        Ended { id, mark: String::new(), end: End::Cancelled, attempts, started_at: None, ended_at: now };
    outbox::end(tx.conn(), &[ended]).await?;
    Ok(Cancel::Taken)
}

/// What ended just now is shown as ended.
pub(super) async fn catch_up(app: &App) -> Result<()> {
    relay::collect_ended(app).await.map(drop)
}

/// Says how many run, and since when the oldest waits.
pub(super) async fn measure(
    remote: &dyn Remote,
    conn: &mut Connection,
    rows: &mut [QueueFigures],
    now: Time,
) -> Result<()> {
    let unavailable = |e: QueueError| refused(e);
    for (queue, running) in remote.running().await.map_err(unavailable)? {
        if let Some(row) = rows.iter_mut().find(|row| row.queue == queue) {
            let running = i64::try_from(running).unwrap_or(i64::MAX).min(row.counts.waiting);
            row.counts.waiting -= running;
            row.counts.running += running;
        }
    }
    let oldest = outbox::after(conn, 0, OLDEST).await?;
    let ids: Vec<JobId> = oldest.iter().map(|entry| entry.job.id).collect();
    let seen = if ids.is_empty() { vec![] } else { remote.inspect(&ids).await.map_err(unavailable)? };
    let seen: HashMap<JobId, &Seen> = seen.iter().map(|seen| (seen.id, seen)).collect();
    for row in rows {
        let waits = oldest.iter().filter(|entry| entry.job.queue == row.queue).filter_map(|entry| match seen
            .get(&entry.job.id)
        {
            None => Some(entry.job.run_at),
            Some(seen) => (seen.state == SeenState::Waiting).then_some(seen.run_at),
        });
        row.ready_since = waits.filter(|since| *since <= now).min();
    }
    Ok(())
}

/// Pauses or resumes a queue: written down here, so that a queue that forgets is told again.
pub(super) async fn pause(app: &App, tx: &mut Tx<'_>, queue: &str, paused: bool) -> Result<()> {
    outbox::begin(tx.conn()).await?;
    app.queue.pause(queue, paused).await.map_err(refused)?;
    Ok(admin::pause(tx.conn(), queue, paused).await?)
}
