//! Jobs, queues and schedules, as administrators of the instance see them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tenon_app::{
    job_admin::{self, Counts, Filter, Job, QueueFigures, ScheduleState, State},
    users::Operator,
};
use tenon_core::{Error, ids::JobId, tokens::Scope};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    endpoint::{
        Api, Caller, Ctx, NoContent, Page, Path, Plain, Query,
        methods::{Delete, Get, Post},
    },
    paging::{self, Paging},
    problem::Problem,
};

/// The permission of this group, as the document says it.
const ADMIN: &str = "administrator";

pub(super) fn mount(api: &mut Api) {
    let mut group = api
        .group("jobs", "What is done after the answer, for administrators of the instance.")
        .scopes(Scope::Admin, Scope::Admin);
    group
        .op("list_jobs", Get, "/jobs", "Jobs", list)
        .describe("Oldest first: those that wait, run, or have ended and are still remembered.")
        .permission(ADMIN);
    group.op("get_job", Get, "/jobs/{job_id}", "A job", get).permission(ADMIN);
    group
        .op("discard_job", Delete, "/jobs/{job_id}", "Forget a dead job", discard)
        .conflicts(&["job-not-dead"])
        .permission(ADMIN);
    group
        .op("retry_job", Post, "/jobs/{job_id}/retry", "Try a dead job again", retry)
        .describe("With all its attempts.")
        .conflicts(&["job-not-dead"])
        .permission(ADMIN);
    group
        .op("cancel_job", Post, "/jobs/{job_id}/cancel", "Cancel a job", cancel)
        .describe("One that waits never runs. One that runs is asked to end, and is not tried again.")
        .conflicts(&["job-ended", "queue-cannot"])
        .permission(ADMIN);
    group
        .op("run_job_now", Post, "/jobs/{job_id}/run-now", "Run a delayed job now", run_now)
        .conflicts(&["job-not-waiting"])
        .permission(ADMIN);
    group
        .op("list_queues", Get, "/queues", "Queues and how they fare", queues)
        .describe("Every queue that has a job, alive or dead, or is paused.")
        .permission(ADMIN);
    group
        .op("pause_queue", Post, "/queues/{queue}/pause", "Pause a queue", pause)
        .describe("Nothing of it is handed out until it is resumed. What runs goes on.")
        .conflicts(&["queue-cannot"])
        .permission(ADMIN);
    group
        .op("resume_queue", Post, "/queues/{queue}/resume", "Resume a queue", resume)
        .conflicts(&["queue-cannot"])
        .permission(ADMIN);
    group.op("list_schedules", Get, "/schedules", "What is done regularly", schedules).permission(ADMIN);
    group
        .op(
            "run_schedule",
            Post,
            "/schedules/{schedule}/run-now",
            "Do now what is done regularly",
            run_schedule,
        )
        .describe("Besides its ticks, which stay as they are.")
        .permission(ADMIN);
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobState)]
enum StateView {
    /// Not taken yet.
    Waiting,
    /// In a worker's hands.
    Running,
    /// Finished well.
    Done,
    /// Given up, with its error.
    Dead,
    /// Ended because somebody asked for it.
    Cancelled,
}

impl From<StateView> for State {
    fn from(state: StateView) -> Self {
        match state {
            StateView::Waiting => Self::Waiting,
            StateView::Running => Self::Running,
            StateView::Done => Self::Done,
            StateView::Dead => Self::Dead,
            StateView::Cancelled => Self::Cancelled,
        }
    }
}

impl From<State> for StateView {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Dead => Self::Dead,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
struct JobView {
    /// Id.
    #[schema(example = "01993c5e-7c1f-7d5e-9b42-9f1f6c1f0a02")]
    id: Uuid,
    /// Queue it is in.
    #[schema(example = "mail")]
    queue: String,
    /// What kind of job.
    #[schema(example = "send_mail")]
    name: String,
    /// What it works on; its shape depends on the name.
    payload: serde_json::Value,
    /// Where it is in its life.
    state: StateView,
    /// −100 to 100, higher first.
    #[schema(minimum = -100, maximum = 100, example = 0)]
    priority: i16,
    /// Not before, while it waits.
    run_at: Option<DateTime<Utc>>,
    /// How often it was tried.
    #[schema(example = 1)]
    attempts: i32,
    /// How often it is tried before it is dead.
    #[schema(example = 8)]
    max_attempts: i32,
    /// The request that caused it.
    correlation_id: Option<String>,
    /// Who runs it.
    worker: Option<String>,
    /// Jobs with the same lock run one after another.
    lock: Option<String>,
    /// While it waits, no other with this key is added.
    unique_key: Option<String>,
    /// Somebody asked for its end.
    cancel_asked: bool,
    /// How far it says it is, in percent.
    #[schema(minimum = 0, maximum = 100)]
    progress: Option<i16>,
    /// What it says it is at.
    progress_note: Option<String>,
    /// Why it last failed.
    error: Option<String>,
    /// Each attempt that failed, oldest first; the latest fifty.
    errors: Vec<JobErrorView>,
    /// When it was added.
    created_at: DateTime<Utc>,
    /// When it was last taken.
    started_at: Option<DateTime<Utc>>,
    /// When it ended.
    finished_at: Option<DateTime<Utc>>,
}

/// An attempt that failed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = JobError)]
struct JobErrorView {
    /// Which attempt, from 1.
    #[schema(example = 1)]
    attempt: i32,
    /// When it failed, or was found to have.
    at: DateTime<Utc>,
    /// Who tried.
    worker: Option<String>,
    /// Why it failed.
    #[schema(example = "the mail could not be sent for now: connection refused")]
    error: String,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id,
            queue: job.queue,
            name: job.name,
            payload: job.payload,
            state: State::parse(&job.state).map_or(StateView::Dead, StateView::from),
            priority: job.priority,
            run_at: job.run_at,
            attempts: job.attempts,
            max_attempts: job.max_attempts,
            correlation_id: job.correlation_id,
            worker: job.worker,
            lock: job.lock,
            unique_key: job.unique_key,
            cancel_asked: job.cancel_asked,
            progress: job.progress,
            progress_note: job.progress_note,
            error: job.error,
            errors: job.errors.and_then(|errors| serde_json::from_value(errors).ok()).unwrap_or_default(),
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

/// How a queue fares.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Queue)]
pub(crate) struct QueueView {
    /// Name.
    #[schema(example = "mail")]
    name: String,
    /// Hands out nothing.
    is_paused: bool,
    /// Jobs ready or delayed.
    #[schema(example = 3)]
    waiting: i64,
    /// Jobs in workers' hands.
    #[schema(example = 1)]
    running: i64,
    /// Jobs given up.
    #[schema(example = 0)]
    dead: i64,
    /// Since when the job has been ready that has been ready longest.
    ready_since: Option<DateTime<Utc>>,
    /// The same by name of the job.
    jobs: Vec<CountsView>,
}

/// How the jobs of one name in a queue fare.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueueJobs)]
struct CountsView {
    /// Name.
    #[schema(example = "send_mail")]
    name: String,
    /// Jobs ready or delayed.
    #[schema(example = 3)]
    waiting: i64,
    /// Jobs in workers' hands.
    #[schema(example = 1)]
    running: i64,
    /// Jobs given up.
    #[schema(example = 0)]
    dead: i64,
}

impl From<(String, Counts)> for CountsView {
    fn from((name, counts): (String, Counts)) -> Self {
        let Counts { waiting, running, dead } = counts;
        Self { name, waiting, running, dead }
    }
}

impl From<QueueFigures> for QueueView {
    fn from(queue: QueueFigures) -> Self {
        Self {
            name: queue.queue,
            is_paused: queue.paused,
            waiting: queue.counts.waiting,
            running: queue.counts.running,
            dead: queue.counts.dead,
            ready_since: queue.ready_since,
            jobs: queue.names.into_iter().map(CountsView::from).collect(),
        }
    }
}

/// Something done regularly.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Schedule)]
struct ScheduleView {
    /// Name.
    #[schema(example = "purge_expired")]
    name: String,
    /// When: minute, hour, day of the month, month, day of the week.
    #[schema(example = "15 3 * * *")]
    cron: String,
    /// Where that is the time.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// Whether it ticks.
    is_enabled: bool,
    /// The tick that was enqueued last.
    last_tick: Option<DateTime<Utc>>,
    /// The job of that tick; forgotten some time after it ended.
    last_job: Option<Uuid>,
    /// The next tick, if it ticks.
    next_tick: Option<DateTime<Utc>>,
}

impl From<ScheduleState> for ScheduleView {
    fn from(state: ScheduleState) -> Self {
        let timetable = &state.schedule.timetable;
        Self {
            name: state.schedule.name().to_owned(),
            cron: timetable.cron.to_string(),
            time_zone: timetable.zone.as_str().to_owned(),
            is_enabled: state.schedule.is_enabled,
            last_tick: state.last_tick,
            last_job: state.last_job.map(JobId::uuid),
            next_tick: state.next_tick,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
struct JobPath {
    /// The job.
    job_id: Uuid,
}

#[derive(Debug, Deserialize, IntoParams)]
struct QueuePath {
    /// Name of the queue.
    queue: String,
}

#[derive(Debug, Deserialize, IntoParams)]
struct SchedulePath {
    /// Name of the schedule.
    schedule: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct JobFilter {
    /// Only those in this state.
    #[param(inline)]
    state: Option<StateView>,
    /// Only those of this queue.
    #[param(max_length = 100, example = "mail")]
    queue: Option<String>,
    /// Only those of this name.
    #[param(max_length = 100, example = "send_mail")]
    name: Option<String>,
}

async fn list(
    ctx: Ctx,
    caller: Caller,
    Query(filter): Query<JobFilter>,
    Query(paging): Query<Paging>,
) -> Result<Page<JobView>, Problem> {
    let page = paging.page(&ctx, "jobs")?;
    if paging.wants_count() {
        return Err(Error::invalid("count", "not-supported", "is not known for this list").into());
    }
    let filter = Filter { state: filter.state.map(State::from), queue: filter.queue, name: filter.name };
    let items = job_admin::list(&ctx, Operator::Caller(&caller), &filter, &page).await?;
    Ok(paging::answer(&ctx, "jobs", items)?)
}

async fn get(ctx: Ctx, caller: Caller, Path(p): Path<JobPath>) -> Result<Plain<JobView>, Problem> {
    Ok(Plain(job_admin::get(&ctx, Operator::Caller(&caller), p.job_id.into()).await?.into()))
}

async fn discard(ctx: Ctx, caller: Caller, Path(p): Path<JobPath>) -> Result<NoContent, Problem> {
    job_admin::discard(&ctx, Operator::Caller(&caller), p.job_id.into()).await?;
    Ok(NoContent)
}

async fn retry(ctx: Ctx, caller: Caller, Path(p): Path<JobPath>) -> Result<Plain<JobView>, Problem> {
    Ok(Plain(job_admin::retry(&ctx, Operator::Caller(&caller), p.job_id.into()).await?.into()))
}

async fn cancel(ctx: Ctx, caller: Caller, Path(p): Path<JobPath>) -> Result<Plain<JobView>, Problem> {
    Ok(Plain(job_admin::cancel(&ctx, Operator::Caller(&caller), p.job_id.into()).await?.into()))
}

async fn run_now(ctx: Ctx, caller: Caller, Path(p): Path<JobPath>) -> Result<Plain<JobView>, Problem> {
    Ok(Plain(job_admin::run_now(&ctx, Operator::Caller(&caller), p.job_id.into()).await?.into()))
}

async fn queues(ctx: Ctx, caller: Caller) -> Result<Plain<Vec<QueueView>>, Problem> {
    let queues = job_admin::queues(&ctx, Operator::Caller(&caller)).await?;
    Ok(Plain(queues.into_iter().map(QueueView::from).collect()))
}

async fn pause(ctx: Ctx, caller: Caller, Path(p): Path<QueuePath>) -> Result<NoContent, Problem> {
    job_admin::pause(&ctx, Operator::Caller(&caller), &p.queue, true).await?;
    Ok(NoContent)
}

async fn resume(ctx: Ctx, caller: Caller, Path(p): Path<QueuePath>) -> Result<NoContent, Problem> {
    job_admin::pause(&ctx, Operator::Caller(&caller), &p.queue, false).await?;
    Ok(NoContent)
}

async fn schedules(ctx: Ctx, caller: Caller) -> Result<Plain<Vec<ScheduleView>>, Problem> {
    let schedules = job_admin::schedules(&ctx, Operator::Caller(&caller)).await?;
    Ok(Plain(schedules.into_iter().map(ScheduleView::from).collect()))
}

async fn run_schedule(ctx: Ctx, caller: Caller, Path(p): Path<SchedulePath>) -> Result<NoContent, Problem> {
    job_admin::run_schedule(&ctx, Operator::Caller(&caller), &p.schedule).await?;
    Ok(NoContent)
}
