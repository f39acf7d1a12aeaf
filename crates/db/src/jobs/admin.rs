//! Looking after jobs: what there is, and what an administrator may do about it.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{Time, ids::JobId, ports::queue::Cancel};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
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

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
    /// The state of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Waiting, Self::Running, Self::Done, Self::Dead, Self::Cancelled]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// Which jobs.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this state.
    pub state: Option<State>,
    /// Of this queue.
    pub queue: Option<String>,
    /// Of this name.
    pub name: Option<String>,
}

/// A job as an administrator sees it.
#[derive(Debug, Clone, QueryableByName)]
pub struct JobRow {
    /// Its id.
    #[diesel(sql_type = st::Uuid)]
    pub id: Uuid,
    /// Its queue.
    #[diesel(sql_type = st::Text)]
    pub queue: String,
    /// Name of its handler.
    #[diesel(sql_type = st::Text)]
    pub name: String,
    /// What the handler gets.
    #[diesel(sql_type = st::Json)]
    pub payload: serde_json::Value,
    /// Word of its [`State`].
    #[diesel(sql_type = st::Text)]
    pub state: String,
    /// −100 to 100, higher first.
    #[diesel(sql_type = st::SmallInt)]
    pub priority: i16,
    /// Not before, while it waits.
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    pub run_at: Option<Time>,
    /// How often it was tried.
    #[diesel(sql_type = st::Integer)]
    pub attempts: i32,
    /// How often it is tried at most.
    #[diesel(sql_type = st::Integer)]
    pub max_attempts: i32,
    /// The request that caused it.
    #[diesel(sql_type = st::Nullable<st::Text>)]
    pub correlation_id: Option<String>,
    /// Who runs it.
    #[diesel(sql_type = st::Nullable<st::Text>)]
    pub worker: Option<String>,
    /// When it was added.
    #[diesel(sql_type = st::Timestamptz)]
    pub created_at: Time,
    /// When it was last taken.
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    pub started_at: Option<Time>,
    /// When it ended.
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    pub finished_at: Option<Time>,
    /// Why it last failed.
    #[diesel(sql_type = st::Nullable<st::Text>)]
    pub error: Option<String>,
    /// Each failed attempt, oldest first: its number, when, by which worker, why.
    #[diesel(sql_type = st::Nullable<st::Jsonb>)]
    pub errors: Option<serde_json::Value>,
    /// Jobs of one lock run one after another.
    #[diesel(sql_type = st::Nullable<st::Text>)]
    pub lock: Option<String>,
    /// While it waits, no other with this key is added.
    #[diesel(sql_type = st::Nullable<st::Text>)]
    pub unique_key: Option<String>,
    /// Somebody asked for its end.
    #[diesel(sql_type = st::Bool)]
    pub cancel_asked: bool,
    /// How far it says it is, in percent.
    #[diesel(sql_type = st::Nullable<st::SmallInt>)]
    pub progress: Option<i16>,
    /// What it says it is at.
    #[diesel(sql_type = st::Nullable<st::Text>)]
    pub progress_note: Option<String>,
}

/// Jobs in order of their ids, so the oldest first, after `after`. Those that a queue outside the database has are said
/// to wait: it knows better.
pub async fn list(
    conn: &mut AsyncPgConnection,
    filter: &Filter,
    after: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobRow>> {
    let rows = sql("SELECT * FROM (
           SELECT id, queue, name, payload, CASE WHEN worker IS NULL THEN 'waiting' ELSE 'running' END AS state,
                  priority, run_at, attempts, max_attempts, correlation_id, worker, created_at, started_at,
                  NULL::timestamptz AS finished_at, error, errors, lock, unique_key, cancel_asked, progress, progress_note
           FROM jobs
           UNION ALL
           SELECT id, job->>'queue' AS queue, job->>'name' AS name, job->'payload' AS payload, 'waiting' AS state,
                  (job->>'priority')::smallint AS priority, (job->>'run_at')::timestamptz AS run_at,
                  coalesce((job->>'attempts')::integer, 0) AS attempts, (job->>'max_attempts')::integer AS max_attempts,
                  job->>'correlation_id' AS correlation_id, NULL AS worker, created_at, NULL::timestamptz AS started_at,
                  NULL::timestamptz AS finished_at, refusal AS error, NULL::jsonb AS errors, job->>'lock' AS lock,
                  job->>'unique_key' AS unique_key, false AS cancel_asked, NULL::smallint AS progress,
                  NULL AS progress_note
           FROM outbox
           UNION ALL
           SELECT id, queue, name, payload, state, priority, NULL, attempts, max_attempts, correlation_id, NULL,
                  created_at, started_at, finished_at, error, errors, lock, NULL, false, NULL, NULL
           FROM finished_jobs
         ) j
         WHERE ($1 IS NULL OR j.state = $1) AND ($2 IS NULL OR j.queue = $2) AND ($3 IS NULL OR j.name = $3)
           AND ($4 IS NULL OR j.id > $4)
         ORDER BY j.id LIMIT $5")
    .bind::<st::Nullable<st::Text>, _>(filter.state.map(State::as_str))
    .bind::<st::Nullable<st::Text>, _>(filter.queue.as_deref())
    .bind::<st::Nullable<st::Text>, _>(filter.name.as_deref())
    .bind::<st::Nullable<st::Uuid>, _>(after.map(JobId::uuid))
    .bind::<st::BigInt, _>(limit)
    .load(conn)
    .await?;
    Ok(rows)
}

/// A job, alive or ended.
pub async fn find(conn: &mut AsyncPgConnection, job: JobId) -> Result<Option<JobRow>> {
    let rows: Vec<JobRow> = sql("SELECT id, queue, name, payload, CASE WHEN worker IS NULL THEN 'waiting' ELSE 'running' END AS state,
                priority, run_at, attempts, max_attempts, correlation_id, worker, created_at, started_at,
                NULL::timestamptz AS finished_at, error, errors, lock, unique_key, cancel_asked, progress, progress_note
         FROM jobs WHERE id = $1
         UNION ALL
         SELECT id, job->>'queue' AS queue, job->>'name' AS name, job->'payload' AS payload, 'waiting' AS state,
                  (job->>'priority')::smallint AS priority, (job->>'run_at')::timestamptz AS run_at,
                  coalesce((job->>'attempts')::integer, 0) AS attempts, (job->>'max_attempts')::integer AS max_attempts,
                  job->>'correlation_id' AS correlation_id, NULL AS worker, created_at, NULL::timestamptz AS started_at,
                  NULL::timestamptz AS finished_at, refusal AS error, NULL::jsonb AS errors, job->>'lock' AS lock,
                  job->>'unique_key' AS unique_key, false AS cancel_asked, NULL::smallint AS progress,
                  NULL AS progress_note
           FROM outbox WHERE id = $1
         UNION ALL
         SELECT id, queue, name, payload, state, priority, NULL, attempts, max_attempts, correlation_id, NULL,
                created_at, started_at, finished_at, error, errors, lock, NULL, false, NULL, NULL
         FROM finished_jobs WHERE id = $1")
    .bind::<st::Uuid, _>(job.uuid())
    .load(conn)
    .await?;
    Ok(rows.into_iter().next())
}

/// Makes a dead job wait again, with all its attempts; says whether there was one.
pub async fn retry(conn: &mut AsyncPgConnection, job: JobId, now: Time) -> Result<bool> {
    let changed = sql("WITH dead AS (
           DELETE FROM finished_jobs WHERE id = $1 AND state = 'dead' RETURNING *
         )
         INSERT INTO jobs (id, queue, name, payload, priority, run_at, max_attempts, correlation_id, lock, created_at, error, errors)
         SELECT id, queue, name, payload, priority, $2, max_attempts, correlation_id, lock, created_at, error, errors FROM dead")
    .bind::<st::Uuid, _>(job.uuid())
    .bind::<st::Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// Forgets a dead job; says whether there was one.
pub async fn discard(conn: &mut AsyncPgConnection, job: JobId) -> Result<bool> {
    let changed = sql("DELETE FROM finished_jobs WHERE id = $1 AND state = 'dead'")
        .bind::<st::Uuid, _>(job.uuid())
        .execute(conn)
        .await?;
    Ok(changed == 1)
}

/// Ends a waiting job at once, asks for the end of a running one.
pub async fn cancel(conn: &mut AsyncPgConnection, job: JobId, now: Time) -> Result<Cancel> {
    // Between the two statements it may be taken, or come back.
    for _ in 0..3 {
        if take_back(conn, job, now).await? {
            return Ok(Cancel::Taken);
        }
        let asked = sql("UPDATE jobs SET cancel_asked = true WHERE id = $1 AND worker IS NOT NULL")
            .bind::<st::Uuid, _>(job.uuid())
            .execute(conn)
            .await?;
        if asked == 1 {
            return Ok(Cancel::Asked);
        }
    }
    Ok(Cancel::Late)
}

async fn take_back(conn: &mut AsyncPgConnection, job: JobId, now: Time) -> Result<bool> {
    let changed = sql("WITH cancelled AS (
           DELETE FROM jobs WHERE id = $1 AND worker IS NULL RETURNING *
         )
         INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts,
                                    correlation_id, lock, created_at, started_at, finished_at, error, errors)
         SELECT id, queue, name, payload, priority, 'cancelled', attempts, max_attempts,
                correlation_id, lock, created_at, started_at, $2, error, errors
         FROM cancelled")
    .bind::<st::Uuid, _>(job.uuid())
    .bind::<st::Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// Pauses a queue or resumes it.
pub async fn pause(conn: &mut AsyncPgConnection, queue: &str, paused: bool) -> Result<()> {
    let statement = if paused {
        sql("INSERT INTO paused_queues (queue) VALUES ($1) ON CONFLICT DO NOTHING")
    } else {
        sql("DELETE FROM paused_queues WHERE queue = $1")
    };
    statement.bind::<st::Text, _>(queue).execute(conn).await?;
    Ok(())
}

/// The queues that are paused.
pub async fn paused(conn: &mut AsyncPgConnection) -> Result<Vec<String>> {
    let rows: Vec<PausedRow> = sql("SELECT queue FROM paused_queues ORDER BY queue").load(conn).await?;
    Ok(rows.into_iter().map(|row| row.queue).collect())
}

#[derive(QueryableByName)]
struct PausedRow {
    #[diesel(sql_type = st::Text)]
    queue: String,
}

/// Makes a waiting job ready now; says whether it was waiting.
pub async fn run_now(conn: &mut AsyncPgConnection, job: JobId, now: Time) -> Result<bool> {
    let changed = sql("UPDATE jobs SET run_at = least(run_at, $2) WHERE id = $1 AND worker IS NULL")
        .bind::<st::Uuid, _>(job.uuid())
        .bind::<st::Timestamptz, _>(now)
        .execute(conn)
        .await?;
    Ok(changed == 1)
}
