//! The relay: between the database and a queue that does not live in it.
//!
//! The database keeps a row for each job until it has ended, so the queue is never the only one that knows of a job.
//! The relay gives the queue what is new, makes history of what has ended there, and looks whether the queue still
//! knows what it was given: a queue that was emptied, or came back without its last jobs, is given them again.
//!
//! It may die at any point. A job that the queue has, and whose row does not say so, is given to the queue again, which
//! knows it by its id; an end that is history and that the queue still tells is told again, and changes nothing.
//! Any number of processes relay: they take turns.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tenon_core::{
    Error, Result,
    ids::JobId,
    outside::OutsideText,
    ports::queue::{End, Ended, NewJob, Queue, QueueError, Remote},
};
use tenon_db::{
    Connection,
    jobs::{admin, outbox},
};
use tokio_util::sync::CancellationToken;

use crate::{App, worker::UNRECORDED};

/// Longest time between two looks at the outbox; another process may have filled it.
const POLL: Duration = Duration::from_secs(1);
/// Time until the next try while the database or the queue is away.
const PAUSE: Duration = Duration::from_secs(5);
const BATCH: i64 = 500;
/// Payloads of more bytes than that go in several messages.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Relays until `shutdown`. Returns at once when the queue lives in the database.
pub async fn run(app: Arc<App>, shutdown: CancellationToken) {
    if app.queue.capabilities().transactional {
        return;
    }
    let mut away = false;
    let mut looked_at = 0;
    while !shutdown.is_cancelled() {
        let relayed = relay(&app, &mut looked_at).await;
        match &relayed {
            Ok(()) if away => tracing::info!("Jobs are forwarded to the queue again."),
            Err(error) if !away => tracing::warn!(
                error = error as &dyn std::error::Error,
                "Jobs cannot be forwarded to the queue; they wait in the outbox."
            ),
            _ => {}
        }
        away = relayed.is_err();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(if away { PAUSE } else { POLL }) => {}
            () = app.outbox_filled.notified(), if !away => {}
        }
    }
}

async fn relay(app: &App, looked_at: &mut i64) -> Result<()> {
    collect_ended(app).await?;
    let lost = look_after(app, looked_at).await?;
    if lost > 0 {
        tracing::warn!(jobs = lost, "The queue has lost jobs; it is given them again.");
    }
    keep_paused(app).await?;
    forward_all(app).await?;
    Ok(())
}

/// Tells the queue which of its queues are paused, should it have forgotten.
async fn keep_paused(app: &App) -> Result<()> {
    if !app.queue.capabilities().pause {
        return Ok(());
    }
    app.write(&[], "relay", async |tx| {
        outbox::begin(tx.conn()).await?;
        for queue in admin::paused(tx.conn()).await? {
            app.queue.pause(&queue, true).await.map_err(away)?;
        }
        Ok(())
    })
    .await
}

/// Forwards what the queue was not given, oldest first; answers how many jobs. With a queue in the database there is
/// none.
pub async fn forward_all(app: &App) -> Result<usize> {
    let mut forwarded = 0;
    if app.queue.capabilities().transactional {
        return Ok(forwarded);
    }
    loop {
        let of_batch = app.write(&[], "relay", async |tx| forward(&*app.queue, tx.conn()).await).await?;
        forwarded += of_batch;
        if of_batch == 0 {
            return Ok(forwarded);
        }
    }
}

/// Forwards one batch to `queue` within the caller's transaction; answers how many jobs left the outbox or changed
/// there.
pub async fn forward(queue: &dyn Queue, conn: &mut Connection) -> Result<usize> {
    outbox::begin(conn).await?;
    let mut jobs = outbox::unforwarded(conn, BATCH).await?;
    let mut bytes = 0;
    jobs.retain(|job| {
        let is_first = bytes == 0;
        bytes += job.payload.to_string().len();
        is_first || bytes <= BATCH_BYTES
    });
    if jobs.is_empty() {
        return Ok(0);
    }
    match queue.push(jobs.clone()).await {
        Ok(ids) => note(conn, &jobs, &ids).await?,
        // One of them is to blame, and must not hold up the others.
        Err(QueueError::Unsupported(_) | QueueError::PayloadTooLarge { .. } | QueueError::Refused(_)) => {
            for job in &jobs {
                forward_one(queue, conn, job).await?;
            }
        }
        Err(error) => return Err(away(error)),
    }
    Ok(jobs.len())
}

async fn forward_one(queue: &dyn Queue, conn: &mut Connection, job: &NewJob) -> Result<()> {
    match queue.push(vec![job.clone()]).await {
        Ok(ids) => note(conn, std::slice::from_ref(job), &ids).await,
        Err(
            refusal @ (QueueError::Unsupported(_)
            | QueueError::PayloadTooLarge { .. }
            | QueueError::Refused(_)),
        ) => {
            let reason = OutsideText::of_error(&refusal);
            tracing::error!(job.id = %job.id, job.name, error = %reason, "The queue refuses a job; it is kept.");
            Ok(outbox::refuse(conn, job.id, &reason).await?)
        }
        Err(error) => Err(away(error)),
    }
}

/// Notes what the queue has; what it took for another that waits under the same key is one with that.
async fn note(conn: &mut Connection, jobs: &[NewJob], ids: &[JobId]) -> Result<()> {
    let (mut taken, mut merged) = (vec![], vec![]);
    for (job, id) in jobs.iter().zip(ids) {
        if job.id == *id { taken.push(*id) } else { merged.push(job.id) }
    }
    outbox::forwarded(conn, &taken).await?;
    outbox::remove(conn, &merged).await?;
    Ok(())
}

/// Makes history of everything that has ended in the queue; answers how many jobs.
pub async fn collect_ended(app: &App) -> Result<usize> {
    match app.queue.remote() {
        Some(remote) => collect_ended_of(app, remote).await,
        None => Ok(0),
    }
}

/// The same of a queue that need not be the application's.
pub async fn collect_ended_of(app: &App, remote: &dyn Remote) -> Result<usize> {
    let mut collected = 0;
    loop {
        let batch = usize::try_from(BATCH).unwrap_or(usize::MAX);
        let ended = match collect(app, remote, batch).await {
            // One of them is to blame, and must not hold up the others.
            Err(Error::Internal(_)) => collect_each(app, remote, batch).await?,
            ended => ended?,
        };
        if ended.is_empty() {
            return Ok(collected);
        }
        remote.forget(&ended).await.map_err(away)?;
        collected += ended.len();
    }
}

/// Makes history of the oldest ends, all or none.
async fn collect(app: &App, remote: &dyn Remote, batch: usize) -> Result<Vec<Ended>> {
    app.write(&[], "relay", async |tx| {
        outbox::begin(tx.conn()).await?;
        let ended = remote.ended(batch).await.map_err(away)?;
        if !ended.is_empty() {
            outbox::end(tx.conn(), &ended).await?;
        }
        Ok(ended)
    })
    .await
}

/// The same one by one. What cannot be recorded as it is ends dead, with a plain text.
async fn collect_each(app: &App, remote: &dyn Remote, batch: usize) -> Result<Vec<Ended>> {
    let ended = remote.ended(batch).await.map_err(away)?;
    for one in &ended {
        if let Err(Error::Internal(cause)) = write_down(app, one).await {
            tracing::error!(job.id = %one.id, error = &*cause as &dyn std::error::Error, "The end of a job cannot be recorded; the job is dead.");
            let end = End::Dead { error: UNRECORDED.into() };
            write_down(app, &Ended { end, started_at: None, ended_at: app.now(), ..one.clone() }).await?;
        }
    }
    Ok(ended)
}

async fn write_down(app: &App, ended: &Ended) -> Result<()> {
    app.write(&[], "relay", async |tx| {
        outbox::begin(tx.conn()).await?;
        Ok(outbox::end(tx.conn(), std::slice::from_ref(ended)).await?)
    })
    .await
}

/// Looks whether the queue knows what it was given, some jobs at a time and from the start again after the last;
/// answers how many it does not, which are forwarded again.
pub async fn look_after(app: &App, looked_at: &mut i64) -> Result<usize> {
    let mut lost = 0;
    let Some(remote) = app.queue.remote() else { return Ok(lost) };
    loop {
        let place = *looked_at;
        let (upto, of_batch) = app
            .write(&[], "relay", async |tx| {
                outbox::begin(tx.conn()).await?;
                let given = outbox::forwarded_after(tx.conn(), place, BATCH).await?;
                let ids: Vec<JobId> = given.iter().map(|(_, id)| *id).collect();
                let lost = unknown(remote, &ids).await?;
                let end = given.last().filter(|_| i64::try_from(given.len()).is_ok_and(|n| n == BATCH));
                Ok((end.map_or(0, |(place, _)| *place), outbox::recall(tx.conn(), &lost).await?))
            })
            .await?;
        *looked_at = upto;
        lost += of_batch;
        // One that lost something has probably lost more.
        if of_batch == 0 || upto == 0 {
            return Ok(lost);
        }
    }
}

async fn unknown(remote: &dyn Remote, ids: &[JobId]) -> Result<Vec<JobId>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let known: HashSet<JobId> =
        remote.inspect(ids).await.map_err(away)?.into_iter().map(|seen| seen.id).collect();
    Ok(ids.iter().copied().filter(|id| !known.contains(id)).collect())
}

fn away(error: QueueError) -> Error {
    Error::Unavailable { component: "queue", source: Box::new(error) }
}
