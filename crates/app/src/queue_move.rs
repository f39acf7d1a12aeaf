//! Moving jobs from one queue to another.
//!
//! Each batch is one transaction that changes the rows of its jobs, so whatever interrupts it, a job is on one side or
//! the other. A job that was taken out of a queue outside the database and whose row still says that it is there, is
//! found by the next move, or is given to that queue again by its relay.

use std::{collections::HashMap, time::Duration};

use tenon_core::{
    Error, Result,
    ids::JobId,
    ports::queue::{NewJob, Queue, QueueError, Remote, Seen, SeenState},
};
use tenon_db::{
    Connection,
    jobs::{self, figures, outbox},
};

use crate::{App, relay};

/// Jobs of one transaction.
const BATCH: i64 = 500;
/// How often those that run are looked for.
const LOOK: Duration = Duration::from_millis(500);

/// What a move did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Jobs that waited in the one queue and wait in the other.
    pub moved: usize,
    /// Jobs that a worker took meanwhile, and that are where they were.
    pub left: usize,
}

/// Moves every job that waits in `from` to `to`, in order, with its time, priority and attempts. What ended stays
/// remembered. Refuses while workers hold jobs of `from`, unless it is to `wait` until they have ended.
///
/// Workers must be stopped, or be about to be: what one of them takes meanwhile stays where it was.
pub async fn run(app: &App, from: &dyn Queue, to: &dyn Queue, wait: bool) -> Result<Moved> {
    let running = loop {
        let running = running(app, from).await?;
        if running == 0 || !wait {
            break running;
        }
        tokio::time::sleep(LOOK).await;
    };
    if running > 0 {
        let held = if running == 1 { "1 job is".to_owned() } else { format!("{running} jobs are") };
        let detail = format!("{held} in workers' hands: stop the workers, or wait until they are done.");
        return Err(Error::conflict("queue-busy", detail));
    }
    let mut done = Moved::default();
    match from.remote() {
        None => out_of_database(app, &mut done).await?,
        Some(remote) => {
            relay::collect_ended_of(app, remote).await?;
            out_of_remote(app, remote, to, &mut done).await?;
        }
    }
    // Memory of this process is of no use to another; its relay gives it what is in the outbox.
    if to.remote().is_some() && to.capabilities().durable {
        while app.write(&[], "queue-move", async |tx| relay::forward(to, tx.conn()).await).await? > 0 {}
    }
    Ok(done)
}

/// How many jobs of a queue are in workers' hands, those not counted whose lease is over.
async fn running(app: &App, queue: &dyn Queue) -> Result<usize> {
    // Leases that are over are taken back.
    queue.fetch("queue-move", &[], 0, LOOK).await.map_err(away)?;
    let Some(remote) = queue.remote() else {
        let queues = figures::queues(&mut *app.read().await?, app.now()).await?;
        return Ok(queues.iter().filter_map(|row| usize::try_from(row.counts.running).ok()).sum());
    };
    Ok(remote.running().await.map_err(away)?.iter().map(|(_, count)| count).sum())
}

async fn out_of_database(app: &App, done: &mut Moved) -> Result<()> {
    loop {
        let moved = app
            .write(&[], "queue-move", async |tx| {
                outbox::begin(tx.conn()).await?;
                Ok(outbox::fill_from_jobs(tx.conn(), BATCH).await?)
            })
            .await?;
        done.moved += moved;
        if moved == 0 {
            let queues = figures::queues(&mut *app.read().await?, app.now()).await?;
            done.left = queues.iter().filter_map(|row| usize::try_from(row.counts.running).ok()).sum();
            return Ok(());
        }
    }
}

async fn out_of_remote(app: &App, from: &dyn Remote, to: &dyn Queue, done: &mut Moved) -> Result<()> {
    let mut place = 0;
    loop {
        let (last, moved, left) = app
            .write(&[], "queue-move", async |tx| {
                outbox::begin(tx.conn()).await?;
                let entries = outbox::after(tx.conn(), place, BATCH).await?;
                let last = entries.last().map(|entry| entry.place);
                let (ready, left) = take_out(from, entries).await?;
                put_in(tx.conn(), to, &ready).await?;
                Ok((last, ready.len(), left))
            })
            .await?;
        done.moved += moved;
        done.left += left;
        let Some(last) = last else { return Ok(()) };
        place = last;
    }
}

/// Takes jobs out of a queue that wait there; says what they are now, and how many stay.
async fn take_out(from: &dyn Remote, entries: Vec<outbox::Entry>) -> Result<(Vec<NewJob>, usize)> {
    let ids: Vec<JobId> = entries.iter().map(|entry| entry.job.id).collect();
    if ids.is_empty() {
        return Ok((vec![], 0));
    }
    let by_id = |seen: Vec<Seen>| seen.into_iter().map(|seen| (seen.id, seen)).collect::<HashMap<_, _>>();
    let taken = by_id(from.take(&ids).await.map_err(away)?);
    let kept = by_id(from.inspect(&ids).await.map_err(away)?);
    let mut left = 0;
    let mut ready = vec![];
    for outbox::Entry { mut job, .. } in entries {
        if let Some(seen) = kept.get(&job.id) {
            left += usize::from(seen.state != SeenState::Ended);
            continue;
        }
        if let Some(seen) = taken.get(&job.id) {
            job.attempts = seen.attempts;
            job.run_at = seen.run_at;
        }
        ready.push(job);
    }
    Ok((ready, left))
}

async fn put_in(conn: &mut Connection, to: &dyn Queue, ready: &[NewJob]) -> Result<()> {
    if ready.is_empty() {
        return Ok(());
    }
    if to.capabilities().transactional {
        jobs::insert_unknown(conn, ready).await?;
        outbox::remove(conn, &ready.iter().map(|job| job.id).collect::<Vec<_>>()).await?;
    } else {
        outbox::rewrite(conn, ready).await?;
    }
    Ok(())
}

fn away(error: QueueError) -> Error {
    Error::Unavailable { component: "queue", source: Box::new(error) }
}
