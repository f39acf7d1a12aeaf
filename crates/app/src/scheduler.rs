//! Schedules: jobs that nobody asks for. Of all processes that run this, one leads.
//!
//! Leading only saves work. That a tick is enqueued once is the database's doing: the leader takes it in the
//! transaction that enqueues its job, so two processes that both believe to lead do no harm.

use std::{sync::Arc, time::Duration};

use chrono::DateTime;
use sha2::{Digest, Sha256};
use tenon_core::{
    Error, Result, Time,
    ids::JobId,
    jobs::{Job, PurgeExpired, QUEUES, SweepBlobs},
};
use tenon_db::leader::{Candidate, SCHEDULER};
use tokio_util::sync::CancellationToken;

use crate::{App, Tx};

/// Time between two looks at the clock, and between two tries to lead.
const BEAT: Duration = Duration::from_secs(5);
/// A tick missed by up to this much is made up for; of several, the latest.
const GRACE: Duration = Duration::from_mins(10);

/// Something done regularly.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Stable for ever.
    pub name: &'static str,
    /// Ticks are at the multiples of this since 1970.
    pub every: Duration,
    enqueue: fn(&mut Tx<'_>, JobId) -> Result<()>,
}

/// Everything done regularly.
pub const SCHEDULES: [Schedule; 2] = [
    Schedule {
        name: PurgeExpired::NAME,
        every: Duration::from_hours(1),
        enqueue: |tx, id| tx.enqueue_as(id, &PurgeExpired {}),
    },
    Schedule {
        name: SweepBlobs::NAME,
        every: Duration::from_hours(24),
        enqueue: |tx, id| tx.enqueue_as(id, &SweepBlobs {}),
    },
];

impl Schedule {
    /// The latest tick at or before `now`.
    pub(crate) fn latest_tick(&self, now: Time) -> Time {
        let every = i64::try_from(self.every.as_secs()).unwrap_or(i64::MAX).max(1);
        let seconds = now.timestamp();
        DateTime::from_timestamp(seconds - seconds.rem_euclid(every), 0).unwrap_or(now)
    }

    /// Enqueues its job now, besides its ticks.
    pub(crate) fn enqueue_now(&self, tx: &mut Tx<'_>, id: JobId) -> Result<()> {
        (self.enqueue)(tx, id)
    }

    /// The id of the job of a tick, the same whoever enqueues it.
    fn job_of(&self, tick: Time) -> JobId {
        let digest = Sha256::digest(format!("{}@{}", self.name, tick.timestamp()));
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().into()
    }
}

/// Leads when nobody else does, and while leading enqueues what is due, until `shutdown`.
pub async fn run(app: Arc<App>, shutdown: CancellationToken) {
    let mut candidate = None;
    let mut led = false;
    while !shutdown.is_cancelled() {
        let leads = match beat(&app, &mut candidate).await {
            Ok(leads) => leads,
            Err(error) => {
                candidate = None;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "The scheduler's beat failed; trying again."
                );
                false
            }
        };
        if leads != led {
            tracing::info!(scheduler.leads = leads, "The leadership of the scheduler changed.");
            led = leads;
        }
        metrics::gauge!("scheduler_leader").set(if leads { 1.0 } else { 0.0 });
        let _ = tokio::time::timeout(BEAT, shutdown.cancelled()).await;
    }
    metrics::gauge!("scheduler_leader").set(0.0);
}

/// Whether this process leads; if so, with everything enqueued that is due.
async fn beat(app: &App, candidate: &mut Option<Candidate>) -> Result<bool> {
    let stand = async {
        if candidate.is_none() {
            *candidate = Some(Candidate::stand(app.db(), SCHEDULER).await?);
        }
        match candidate {
            Some(candidate) => candidate.leads().await,
            None => Ok(false),
        }
    };
    // A connection may hang where it should break.
    let leads = tokio::time::timeout(BEAT, stand).await.map_err(Error::internal)??;
    if leads {
        enqueue_due(app).await?;
        measure_queues(app).await?;
    }
    Ok(leads)
}

/// The leader measures, so that each queue is counted by one process. Queues elsewhere are measured where they are.
async fn measure_queues(app: &App) -> Result<()> {
    if !app.queue.capabilities().transactional {
        return Ok(());
    }
    let now = app.now();
    let rows = tenon_db::jobs::admin::queues(&mut *app.read().await?, now).await?;
    // A queue without jobs has no row, and must not keep the figures it had.
    for queue in QUEUES {
        let row = rows.iter().find(|row| row.queue == queue);
        let counts = row.map_or([0; 3], |row| [row.waiting, row.running, row.dead]);
        for (state, jobs) in ["waiting", "running", "dead"].into_iter().zip(counts) {
            let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
            metrics::gauge!("queue_jobs", "queue" => queue, "state" => state).set(jobs);
        }
        let since = row.and_then(|row| row.ready_since);
        let age = since.and_then(|since| (now - since).to_std().ok()).unwrap_or_default();
        metrics::gauge!("queue_oldest_age_seconds", "queue" => queue).set(age.as_secs_f64());
    }
    Ok(())
}

/// Enqueues every tick that is due and was not enqueued before; answers the names of their schedules.
pub async fn enqueue_due(app: &App) -> Result<Vec<&'static str>> {
    let mut enqueued = vec![];
    let now = app.now();
    for schedule in &SCHEDULES {
        let tick = schedule.latest_tick(now);
        if now - tick <= chrono::Duration::from_std(GRACE).map_err(Error::internal)?
            && enqueue(app, schedule, tick).await?
        {
            enqueued.push(schedule.name);
        }
    }
    Ok(enqueued)
}

async fn enqueue(app: &App, schedule: &Schedule, tick: Time) -> Result<bool> {
    let correlation_id = format!("schedule.{}.{}", schedule.name, tick.timestamp());
    app.write(&[], &correlation_id, async |tx| {
        let taken = tenon_db::schedules::take(tx.conn(), schedule.name, tick).await?;
        if taken {
            (schedule.enqueue)(tx, schedule.job_of(tick))?;
        }
        Ok(taken)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_at_the_full_hour_and_each_has_its_own_job() {
        let schedule = &SCHEDULES[0];
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(schedule.latest_tick(at("2026-01-02T03:59:59.9Z")), at("2026-01-02T03:00:00Z"));
        assert_eq!(schedule.latest_tick(at("2026-01-02T04:00:00Z")), at("2026-01-02T04:00:00Z"));
        assert_eq!(schedule.job_of(at("2026-01-02T03:00:00Z")), schedule.job_of(at("2026-01-02T03:00:00Z")));
        assert_ne!(schedule.job_of(at("2026-01-02T03:00:00Z")), schedule.job_of(at("2026-01-02T04:00:00Z")));
    }
}
