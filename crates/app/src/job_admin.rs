//! Jobs, as administrators of the instance see them.
//!
//! A queue outside the database has its rows here too, and is asked what it knows of them beyond that.

mod remote;

use std::collections::BTreeSet;

use tenon_core::{
    Error, Result, Time,
    ids::JobId,
    jobs::QUEUES,
    page::{Items, Page},
    ports::queue::{Cancel, QueueError},
};
use tenon_db::{
    Connection,
    jobs::{admin, figures::queues as measure},
};
use uuid::Uuid;

pub use tenon_db::jobs::{
    admin::{Filter, JobRow as Job, State},
    figures::{Counts, QueueFigures},
};

use crate::{App, names, scheduler::Schedule, users::Operator};

/// Something done regularly, and when.
#[derive(Debug, Clone)]
pub struct ScheduleState {
    /// What and when.
    pub schedule: Schedule,
    /// The tick that was enqueued last.
    pub last_tick: Option<Time>,
    /// The job of that tick.
    pub last_job: Option<JobId>,
    /// The next tick; none when it is switched off.
    pub next_tick: Option<Time>,
}

/// Jobs in order of their ids, so the oldest first.
pub async fn list(
    app: &App,
    operator: Operator<'_>,
    filter: &Filter,
    page: &Page<Uuid>,
) -> Result<Items<Job, Uuid>> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    if filter.queue.is_some() || filter.name.is_some() {
        let there_are = measure(&mut conn, app.now()).await?;
        let of =
            |pointer: &'static str| move |e: Error| Error::invalid(pointer, "unknown-name", e.to_string());
        filter.queue.iter().try_for_each(|queue| check_queue(&there_are, queue)).map_err(of("queue"))?;
        filter.name.iter().try_for_each(|name| check_kind(app, &there_are, name)).map_err(of("name"))?;
    }
    let after = page.after.map(JobId::from);
    let Some(there) = app.queue.remote() else {
        let rows = admin::list(&mut conn, filter, after, page.fetch()).await?;
        return Ok(Items::cut(rows, page, |job| job.id));
    };
    // Whether one waits or runs is not known here: a page may have fewer than there are.
    let alive = filter.state.filter(|state| matches!(state, State::Waiting | State::Running));
    let filter =
        Filter { state: filter.state.map(|s| alive.map_or(s, |_| State::Waiting)), ..filter.clone() };
    let rows = admin::list(&mut conn, &filter, after, page.fetch()).await?;
    let mut page = Items::cut(rows, page, |job| job.id);
    remote::complete(there, &mut page.items).await?;
    page.items.retain(|job| alive.is_none_or(|state| job.state == state.as_str()));
    Ok(page)
}

/// A job, alive or ended.
pub async fn get(app: &App, operator: Operator<'_>, id: JobId) -> Result<Job> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    let mut row = admin::find(&mut conn, id).await?.ok_or(Error::NotFound("job"))?;
    if let Some(there) = app.queue.remote() {
        remote::complete(there, std::slice::from_mut(&mut row)).await?;
    }
    Ok(row)
}

/// Makes a dead job wait again, with all its attempts.
pub async fn retry(app: &App, operator: Operator<'_>, id: JobId) -> Result<Job> {
    get(app, operator, id).await?;
    let retried = app
        .write(&[], operator.correlation_id(), async |tx| {
            operator.enter(tx).await?;
            let now = tx.now();
            match app.queue.remote() {
                Some(there) => remote::retry(tx, there, id).await,
                None => Ok(admin::retry(tx.conn(), id, now).await?),
            }
        })
        .await?;
    refuse_unless(retried, "job-not-dead", "Only a job that is dead can be retried.")?;
    wake(app).await;
    get(app, operator, id).await
}

/// Forgets a dead job.
pub async fn discard(app: &App, operator: Operator<'_>, id: JobId) -> Result<()> {
    get(app, operator, id).await?;
    let discarded = app
        .write(&[], operator.correlation_id(), async |tx| {
            operator.enter(tx).await?;
            Ok(admin::discard(tx.conn(), id).await?)
        })
        .await?;
    refuse_unless(discarded, "job-not-dead", "Only a job that is dead can be discarded.")
}

/// Makes a waiting job ready now.
pub async fn run_now(app: &App, operator: Operator<'_>, id: JobId) -> Result<Job> {
    get(app, operator, id).await?;
    let hurried = app
        .write(&[], operator.correlation_id(), async |tx| {
            operator.enter(tx).await?;
            let now = tx.now();
            match app.queue.remote() {
                Some(there) => remote::run_now(tx, there, id).await,
                None => Ok(admin::run_now(tx.conn(), id, now).await?),
            }
        })
        .await?;
    refuse_unless(hurried, "job-not-waiting", "Only a job that waits can be run now.")?;
    wake(app).await;
    get(app, operator, id).await
}

/// Ends a waiting job at once, and asks for the end of a running one.
pub async fn cancel(app: &App, operator: Operator<'_>, id: JobId) -> Result<Job> {
    get(app, operator, id).await?;
    let cancel = match app.queue.remote() {
        None => app.queue.cancel(id).await.map_err(refused)?,
        Some(there) => {
            let cancel = app
                .write(&[], operator.correlation_id(), async |tx| remote::cancel(app, tx, there, id).await)
                .await?;
            remote::catch_up(app).await?;
            cancel
        }
    };
    match cancel {
        Cancel::Taken | Cancel::Asked => get(app, operator, id).await,
        Cancel::Late => Err(Error::conflict("job-ended", "The job has ended already.")),
    }
}

/// Pauses a queue, so that nothing of it is handed out, or resumes it.
pub async fn pause(app: &App, operator: Operator<'_>, queue: &str, paused: bool) -> Result<()> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    check_queue(&measure(&mut conn, app.now()).await?, queue)?;
    drop(conn);
    if app.queue.remote().is_none() {
        return app.queue.pause(queue, paused).await.map_err(refused);
    }
    let correlation_id = operator.correlation_id();
    app.write(&[], correlation_id, async |tx| remote::pause(app, tx, queue, paused).await).await
}

/// Refuses a queue that no job goes to, none is in, and that is not paused.
fn check_queue(there_are: &[QueueFigures], queue: &str) -> Result<()> {
    let busy = there_are.iter().map(|figures| figures.queue.as_str());
    let known: BTreeSet<&str> = QUEUES.into_iter().chain(busy).collect();
    names::check("queue", queue, &known.into_iter().collect::<Vec<_>>())
}

/// Refuses what is no kind of job, here or of those that there are.
fn check_kind(app: &App, there_are: &[QueueFigures], name: &str) -> Result<()> {
    let there = there_are.iter().flat_map(|figures| &figures.names).map(|(name, _)| name.as_str());
    let mut known: Vec<&str> = app.handlers.names().collect();
    known.extend(there);
    known.sort_unstable();
    known.dedup();
    names::check("job", name, &known)
}

/// Every queue that has a job, alive or dead, or is paused.
pub async fn queues(app: &App, operator: Operator<'_>) -> Result<Vec<QueueFigures>> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    figures(app, &mut conn).await
}

/// How every queue fares.
pub(crate) async fn figures(app: &App, conn: &mut Connection) -> Result<Vec<QueueFigures>> {
    let now = app.now();
    let mut rows = measure(conn, now).await?;
    if let Some(there) = app.queue.remote() {
        remote::measure(there, conn, &mut rows, now).await?;
    }
    Ok(rows)
}

/// Lets what changed be seen: by workers, or by the relay that forwards it to them.
async fn wake(app: &App) {
    if app.queue.remote().is_some() {
        app.outbox_filled.notify_one();
    } else {
        app.queue.notify(&[]).await;
    }
}

/// Whether the operator may watch jobs.
pub async fn may_watch(app: &App, operator: Operator<'_>) -> Result<()> {
    operator.check(app, &mut *app.read().await?).await
}

/// How queues fare, for those who [`may_watch`].
pub async fn watch(app: &App) -> Result<Vec<QueueFigures>> {
    figures(app, &mut *app.read().await?).await
}

/// Everything done regularly.
pub async fn schedules(app: &App, operator: Operator<'_>) -> Result<Vec<ScheduleState>> {
    let mut conn = app.read().await?;
    operator.check(app, &mut conn).await?;
    let schedules = &app.settings.schedules;
    let names: Vec<&str> = schedules.iter().map(Schedule::name).collect();
    let ticks = tenon_db::schedules::last_ticks(&mut conn, &names).await?;
    let now = app.now();
    let state = |schedule: &Schedule| {
        let last = ticks.iter().find(|last| last.schedule == schedule.name());
        ScheduleState {
            schedule: schedule.clone(),
            last_tick: last.map(|last| last.tick),
            last_job: last.map(|last| last.job.into()),
            next_tick: schedule.next_tick(now),
        }
    };
    Ok(schedules.iter().map(state).collect())
}

/// Enqueues the job of a schedule now, besides its ticks.
pub async fn run_schedule(app: &App, operator: Operator<'_>, name: &str) -> Result<JobId> {
    operator.check(app, &mut *app.read().await?).await?;
    let schedules = &app.settings.schedules;
    names::check("schedule", name, &schedules.iter().map(Schedule::name).collect::<Vec<_>>())?;
    let schedule = schedules.find(name).ok_or(Error::NotFound("schedule"))?;
    let id = app.id();
    app.write(&[], operator.correlation_id(), async |tx| {
        operator.enter(tx).await?;
        schedule.enqueue(tx, id)
    })
    .await?;
    Ok(id)
}

fn refuse_unless(done: bool, code: &'static str, detail: &str) -> Result<()> {
    if done { Ok(()) } else { Err(Error::conflict(code, detail)) }
}

fn refused(error: QueueError) -> Error {
    match error {
        QueueError::Unsupported(what) => {
            Error::conflict("queue-cannot", format!("The configured queue does not support {what}."))
        }
        other => Error::Unavailable { component: "queue", source: Box::new(other) },
    }
}
