//! Schedules: jobs that nobody asks for. Of all processes that run this, one leads.
//!
//! Leading only saves work. That a tick is enqueued once is the database's doing: the leader takes it in the
//! transaction that enqueues its job, so two processes that both believe to lead do no harm.

mod schedules;
mod timetable;

use std::{sync::Arc, time::Duration};

use tenon_core::{Error, Result, Time, jobs::QUEUES};
use tenon_db::leader::{Candidate, SCHEDULER};
use tokio_util::sync::CancellationToken;

pub use self::{
    schedules::{Schedule, Schedules},
    timetable::{Cron, NotCron, Timetable},
};
use crate::{App, job_admin};

/// Longest time between two looks at the clock, and between two tries to lead.
const BEAT: Duration = Duration::from_secs(5);
/// Shortest time between two looks at the clock.
const SHORTEST: Duration = Duration::from_millis(20);
/// A tick missed by up to this much is made up for; of several, the latest.
const GRACE: Duration = Duration::from_mins(10);

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
        let pause = if leads { until_next(&app) } else { BEAT };
        let _ = tokio::time::timeout(pause, shutdown.cancelled()).await;
    }
    metrics::gauge!("scheduler_leader").set(0.0);
}

/// The time to the next tick, or a beat.
fn until_next(app: &App) -> Duration {
    let now = app.now();
    let next = app.settings.schedules.iter().filter_map(|schedule| schedule.next_tick(now)).min();
    let until = next.and_then(|next| (next - now).to_std().ok());
    until.unwrap_or(BEAT).clamp(SHORTEST, BEAT)
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

/// The leader measures, so that each queue is counted by one process.
async fn measure_queues(app: &App) -> Result<()> {
    let now = app.now();
    let rows = job_admin::figures(app, &mut *app.read().await?).await?;
    // A queue without jobs has no row, and must not keep the figures it had.
    for queue in QUEUES {
        let row = rows.iter().find(|row| row.queue == queue);
        let counts = row.map_or([0; 3], |row| [row.counts.waiting, row.counts.running, row.counts.dead]);
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
    for schedule in app.settings.schedules.iter() {
        let Some(tick) = schedule.latest_tick(now) else { continue };
        let lag = (now - tick).to_std().unwrap_or_default();
        if lag <= GRACE && enqueue(app, schedule, tick).await? {
            metrics::histogram!("scheduler_tick_lag_seconds", "schedule" => schedule.name())
                .record(lag.as_secs_f64());
            enqueued.push(schedule.name());
        }
    }
    Ok(enqueued)
}

async fn enqueue(app: &App, schedule: &Schedule, tick: Time) -> Result<bool> {
    let correlation_id = format!("schedule.{}.{}", schedule.name(), tick.timestamp());
    app.write(&[], &correlation_id, async |tx| {
        let job = schedule.job_of(tick);
        let taken = tenon_db::schedules::take(tx.conn(), schedule.name(), tick, job).await?;
        if taken {
            schedule.enqueue(tx, job)?;
        }
        Ok(taken)
    })
    .await
}
