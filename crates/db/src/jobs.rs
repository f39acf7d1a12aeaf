//! Jobs in this database: what waits and what runs.
//!
//! Times are the caller's, by its clock, and never the server's: a worker whose tests hold time still leases by
//! that time too. Statements take whole batches, and complete jobs by primary key only.

pub mod admin;
pub mod notices;
pub mod outbox;

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::JobId,
    ports::queue::{LeasedJob, MAX_LOST_WORKERS, NewJob, Outcome},
};
use uuid::Uuid;

pub use outbox::insert as insert_outbox;

use crate::{error::Result, sql::sql};

/// Adds jobs in the caller's transaction, in one statement; those whose id is known are skipped.
pub async fn insert(conn: &mut AsyncPgConnection, jobs: &[NewJob]) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO jobs (id, queue, name, payload, priority, run_at, max_attempts, correlation_id)
         SELECT n.* FROM unnest($1, $2, $3, $4, $5, $6, $7, $8)
           AS n(id, queue, name, payload, priority, run_at, max_attempts, correlation_id)
         WHERE NOT EXISTS (SELECT FROM finished_jobs f WHERE f.id = n.id)
         ON CONFLICT (id) DO NOTHING")
    .bind::<st::Array<st::Uuid>, _>(column(jobs, |job| job.id.uuid()))
    .bind::<st::Array<st::Text>, _>(column(jobs, |job| job.queue.as_str()))
    .bind::<st::Array<st::Text>, _>(column(jobs, |job| job.name.as_str()))
    .bind::<st::Array<st::Json>, _>(column(jobs, |job| &job.payload))
    .bind::<st::Array<st::SmallInt>, _>(column(jobs, |job| job.priority))
    .bind::<st::Array<st::Timestamptz>, _>(column(jobs, |job| job.run_at))
    .bind::<st::Array<st::Integer>, _>(column(jobs, |job| job.max_attempts))
    .bind::<st::Array<st::Nullable<st::Text>>, _>(column(jobs, |job| job.correlation_id.as_deref()))
    .execute(conn)
    .await?;
    Ok(())
}

fn column<'a, T>(jobs: &'a [NewJob], of: impl Fn(&'a NewJob) -> T) -> Vec<T> {
    jobs.iter().map(of).collect()
}

/// Leases up to `limit` jobs of `queues` that are ready at `now` to `worker`, the most urgent first.
pub async fn fetch(
    conn: &mut AsyncPgConnection,
    worker: &str,
    queues: &[String],
    limit: i64,
    now: Time,
    until: Time,
) -> Result<Vec<LeasedJob>> {
    // Each queue by itself, so that each walks its own part of the index in order and stops.
    let mut rows: Vec<LeasedRow> = sql("WITH picked AS MATERIALIZED (
           SELECT ready.id
           FROM (SELECT DISTINCT name FROM unnest($1) AS q(name)) q
           CROSS JOIN LATERAL (
             SELECT j.id, j.priority, j.run_at FROM jobs j
             WHERE j.queue = q.name AND j.worker IS NULL AND j.run_at <= $2
             ORDER BY j.priority DESC, j.run_at, j.id
             LIMIT $3
             FOR UPDATE SKIP LOCKED
           ) ready
           ORDER BY ready.priority DESC, ready.run_at, ready.id
           LIMIT $3
         )
         UPDATE jobs j SET worker = $4, lease_until = $5, started_at = $2, attempts = j.attempts + 1
         FROM picked WHERE j.id = picked.id
         RETURNING j.id, j.name, j.payload, j.queue, j.priority, j.run_at, j.attempts, j.max_attempts, j.correlation_id")
    .bind::<st::Array<st::Text>, _>(queues)
    .bind::<st::Timestamptz, _>(now)
    .bind::<st::BigInt, _>(limit)
    .bind::<st::Text, _>(worker)
    .bind::<st::Timestamptz, _>(until)
    .load(conn)
    .await?;
    rows.sort_unstable_by_key(|row| (-row.priority, row.run_at, row.id));
    Ok(rows.into_iter().map(LeasedJob::from).collect())
}

#[derive(QueryableByName)]
struct LeasedRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Text)]
    name: String,
    #[diesel(sql_type = st::Json)]
    payload: serde_json::Value,
    #[diesel(sql_type = st::Text)]
    queue: String,
    #[diesel(sql_type = st::SmallInt)]
    priority: i16,
    #[diesel(sql_type = st::Timestamptz)]
    run_at: Time,
    #[diesel(sql_type = st::Integer)]
    attempts: i32,
    #[diesel(sql_type = st::Integer)]
    max_attempts: i32,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    correlation_id: Option<String>,
}

impl From<LeasedRow> for LeasedJob {
    fn from(row: LeasedRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            payload: row.payload,
            queue: row.queue,
            attempt: row.attempts,
            max_attempts: row.max_attempts,
            correlation_id: row.correlation_id,
        }
    }
}

/// Ends `worker`'s hold on jobs, in one statement; what it no longer holds is left as it is.
pub async fn settle(
    conn: &mut AsyncPgConnection,
    worker: &str,
    outcomes: &[(JobId, Outcome)],
    now: Time,
) -> Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = outcomes.iter().map(|(id, _)| id.uuid()).collect();
    let told: Vec<Told<'_>> = outcomes.iter().map(|(_, outcome)| Told::from(outcome)).collect();
    sql("WITH told AS MATERIALIZED (
           SELECT j.id, t.run_at, t.error,
                  CASE WHEN t.state = 'retry' AND j.attempts >= j.max_attempts THEN 'dead' ELSE t.state END AS state
           FROM unnest($2, $3, $4, $5) AS t(id, state, run_at, error)
           JOIN jobs j ON j.id = t.id
           WHERE j.worker = $1
           ORDER BY j.id
           FOR UPDATE OF j
         ), waiting AS (
           UPDATE jobs j SET worker = NULL, lease_until = NULL, error = coalesce(t.error, j.error),
                  run_at = CASE t.state WHEN 'retry' THEN t.run_at ELSE j.run_at END,
                  attempts = CASE t.state WHEN 'released' THEN j.attempts - 1 ELSE j.attempts END
           FROM told t WHERE j.id = t.id AND t.state IN ('retry', 'released')
         ), ended AS (
           DELETE FROM jobs j USING told t WHERE j.id = t.id AND t.state IN ('done', 'dead')
           RETURNING j.*, t.state, t.error AS last_error
         )
         INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts,
                                    correlation_id, created_at, started_at, finished_at, error)
         SELECT id, queue, name, payload, priority, state, attempts, max_attempts,
                correlation_id, created_at, started_at, $6, last_error
         FROM ended")
    .bind::<st::Text, _>(worker)
    .bind::<st::Array<st::Uuid>, _>(ids)
    .bind::<st::Array<st::Text>, _>(told.iter().map(|t| t.state).collect::<Vec<_>>())
    .bind::<st::Array<st::Nullable<st::Timestamptz>>, _>(told.iter().map(|t| t.run_at).collect::<Vec<_>>())
    .bind::<st::Array<st::Nullable<st::Text>>, _>(told.iter().map(|t| t.error).collect::<Vec<_>>())
    .bind::<st::Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

/// An outcome as a row.
struct Told<'a> {
    state: &'static str,
    run_at: Option<Time>,
    error: Option<&'a str>,
}

impl<'a> From<&'a Outcome> for Told<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        let (state, run_at, error) = match outcome {
            Outcome::Done => ("done", None, None),
            Outcome::Retry { at, error } => ("retry", Some(*at), Some(error.as_str())),
            Outcome::Dead { error } => ("dead", None, Some(error.as_str())),
            Outcome::Released => ("released", None, None),
        };
        Self { state, run_at, error }
    }
}

/// Extends `worker`'s leases to `until`, and says which of `jobs` it still holds.
pub async fn renew(
    conn: &mut AsyncPgConnection,
    worker: &str,
    jobs: &[JobId],
    until: Time,
) -> Result<Vec<JobId>> {
    let ids: Vec<Uuid> = jobs.iter().map(|id| id.uuid()).collect();
    let rows: Vec<IdRow> = sql("WITH held AS MATERIALIZED (
           SELECT id FROM jobs WHERE id = ANY($2) AND worker = $1 ORDER BY id FOR UPDATE
         )
         UPDATE jobs j SET lease_until = $3 FROM held WHERE j.id = held.id RETURNING j.id")
    .bind::<st::Text, _>(worker)
    .bind::<st::Array<st::Uuid>, _>(ids)
    .bind::<st::Timestamptz, _>(until)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.id.into()).collect())
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
}

/// Makes jobs ready again whose lease ran out by `now`, and those dead that have no attempt left or lost too many
/// workers.
pub async fn take_back_expired(conn: &mut AsyncPgConnection, now: Time) -> Result<()> {
    sql("WITH expired AS MATERIALIZED (
           SELECT id, attempts < max_attempts AND lost_workers + 1 < $2 AS again
           FROM jobs WHERE worker IS NOT NULL AND lease_until <= $1
           ORDER BY lease_until LIMIT 1000
           FOR UPDATE SKIP LOCKED
         ), waiting AS (
           UPDATE jobs j SET worker = NULL, lease_until = NULL, lost_workers = j.lost_workers + 1, error = $3
           FROM expired e WHERE j.id = e.id AND e.again
         ), dead AS (
           DELETE FROM jobs j USING expired e WHERE j.id = e.id AND NOT e.again RETURNING j.*
         )
         INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts,
                                    correlation_id, created_at, started_at, finished_at, error)
         SELECT id, queue, name, payload, priority, 'dead', attempts, max_attempts,
                correlation_id, created_at, started_at, $1, $3
         FROM dead")
    .bind::<st::Timestamptz, _>(now)
    .bind::<st::Integer, _>(MAX_LOST_WORKERS)
    .bind::<st::Text, _>(LOST_WORKER)
    .execute(conn)
    .await?;
    Ok(())
}

/// What is written down of a job whose worker vanished.
const LOST_WORKER: &str = "its worker vanished while running it";
