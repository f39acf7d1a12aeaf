//! Ending and prolonging a worker's hold on jobs.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::JobId,
    ports::queue::{Beat, Held, MAX_LOST_WORKERS, Outcome},
};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// Ends `worker`'s hold on jobs; what it no longer holds is left as it is.
pub async fn settle(
    conn: &mut AsyncPgConnection,
    worker: &str,
    outcomes: &[(JobId, Outcome)],
    now: Time,
) -> Result<()> {
    let (done, other): (Vec<_>, Vec<_>) = outcomes.iter().partition(|(_, outcome)| *outcome == Outcome::Done);
    if !done.is_empty() {
        complete(conn, worker, &done, now).await?;
    }
    if !other.is_empty() {
        settle_other(conn, worker, &other, now).await?;
    }
    Ok(())
}

/// The way of nearly all jobs.
async fn complete(
    conn: &mut AsyncPgConnection,
    worker: &str,
    done: &[&(JobId, Outcome)],
    now: Time,
) -> Result<()> {
    sql("WITH ended AS (
           DELETE FROM jobs WHERE id = ANY($2) AND worker = $1 RETURNING *
         )
         INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts,
                                    correlation_id, lock, created_at, started_at, finished_at, errors)
         SELECT id, queue, name, payload, priority, 'done', attempts, max_attempts,
                correlation_id, lock, created_at, started_at, $3, errors
         FROM ended")
    .bind::<st::Text, _>(worker)
    .bind::<st::Array<st::Uuid>, _>(done.iter().map(|(id, _)| id.uuid()).collect::<Vec<_>>())
    .bind::<st::Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(())
}

async fn settle_other(
    conn: &mut AsyncPgConnection,
    worker: &str,
    outcomes: &[&(JobId, Outcome)],
    now: Time,
) -> Result<()> {
    let ids: Vec<Uuid> = outcomes.iter().map(|(id, _)| id.uuid()).collect();
    let told: Vec<Told<'_>> = outcomes.iter().map(|(_, outcome)| Told::from(outcome)).collect();
    // One that goes back to wait gives up its key when another came to wait under it meanwhile, or does so before it.
    sql("WITH told AS MATERIALIZED (
           SELECT j.id, j.unique_key, t.place, t.run_at, t.error,
                  CASE WHEN t.state IN ('retry', 'released') AND j.cancel_asked THEN 'cancelled'
                       WHEN t.state = 'retry' AND j.attempts >= j.max_attempts THEN 'dead'
                       ELSE t.state END AS state
           FROM unnest($2, $3, $4, $5) WITH ORDINALITY AS t(id, state, run_at, error, place)
           JOIN jobs j ON j.id = t.id
           WHERE j.worker = $1
           ORDER BY j.id
           FOR UPDATE OF j
         ), back AS (
           SELECT *, row_number() OVER (PARTITION BY unique_key ORDER BY place) AS turn
           FROM told WHERE state IN ('retry', 'released')
         ), waiting AS (
           UPDATE jobs j SET worker = NULL, lease_until = NULL, error = coalesce(t.error, j.error),
                  errors = job_errors_with(j.errors, j.attempts, $6, $1, t.error),
                  progress = NULL, progress_note = NULL,
                  run_at = CASE t.state WHEN 'retry' THEN t.run_at ELSE j.run_at END,
                  attempts = CASE t.state WHEN 'released' THEN j.attempts - 1 ELSE j.attempts END,
                  unique_key = CASE WHEN t.turn = 1 AND NOT EXISTS (SELECT FROM jobs o WHERE o.unique_key = j.unique_key
                                                                    AND o.worker IS NULL) THEN j.unique_key END
           FROM back t WHERE j.id = t.id
         ), ended AS (
           DELETE FROM jobs j USING told t WHERE j.id = t.id AND t.state IN ('done', 'dead', 'cancelled')
           RETURNING j.*, t.state, t.error AS last_error
         )
         INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts,
                                    correlation_id, lock, created_at, started_at, finished_at, error, errors)
         SELECT id, queue, name, payload, priority, state, attempts, max_attempts,
                correlation_id, lock, created_at, started_at, $6, last_error,
                job_errors_with(errors, attempts, $6, $1, last_error)
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
            Outcome::Cancelled => ("cancelled", None, None),
        };
        Self { state, run_at, error }
    }
}

/// Extends `worker`'s leases to `until`, notes progress, and says what it still holds.
pub async fn renew(
    conn: &mut AsyncPgConnection,
    worker: &str,
    beats: &[Beat],
    until: Time,
) -> Result<Vec<Held>> {
    let ids: Vec<Uuid> = beats.iter().map(|beat| beat.id.uuid()).collect();
    let percent = beats.iter().map(|beat| beat.progress.as_ref().map(|p| i16::from(p.percent.min(100))));
    let notes = beats.iter().map(|beat| beat.progress.as_ref().and_then(|p| p.note.as_deref()));
    let rows: Vec<HeldRow> = sql("WITH held AS MATERIALIZED (
           SELECT j.id, b.percent, b.note FROM unnest($2, $3, $4) AS b(id, percent, note)
           JOIN jobs j ON j.id = b.id
           WHERE j.worker = $1 ORDER BY j.id FOR UPDATE OF j
         )
         UPDATE jobs j SET lease_until = $5, progress = coalesce(held.percent, j.progress),
                progress_note = CASE WHEN held.percent IS NULL THEN j.progress_note ELSE held.note END
         FROM held WHERE j.id = held.id RETURNING j.id, j.cancel_asked")
    .bind::<st::Text, _>(worker)
    .bind::<st::Array<st::Uuid>, _>(ids)
    .bind::<st::Array<st::Nullable<st::SmallInt>>, _>(percent.collect::<Vec<_>>())
    .bind::<st::Array<st::Nullable<st::Text>>, _>(notes.collect::<Vec<_>>())
    .bind::<st::Timestamptz, _>(until)
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| Held { id: row.id.into(), cancel_asked: row.cancel_asked }).collect())
}

#[derive(QueryableByName)]
struct HeldRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Bool)]
    cancel_asked: bool,
}

/// Makes jobs ready again whose lease ran out by `now`, and those dead that have no attempt left or lost too many
/// workers. Says how many are ready again or ended.
pub async fn take_back_expired(conn: &mut AsyncPgConnection, now: Time) -> Result<i64> {
    let row: CountRow = sql("WITH expired AS MATERIALIZED (
           SELECT id, unique_key, lease_until,
                  attempts < max_attempts AND lost_workers + 1 < $2 AND NOT cancel_asked AS again
           FROM jobs WHERE worker IS NOT NULL AND lease_until <= $1
           ORDER BY lease_until LIMIT 1000
           FOR UPDATE SKIP LOCKED
         ), back AS (
           SELECT id, row_number() OVER (PARTITION BY unique_key ORDER BY lease_until, id) AS turn
           FROM expired WHERE again
         ), waiting AS (
           UPDATE jobs j SET worker = NULL, lease_until = NULL, lost_workers = j.lost_workers + 1, error = $3,
                  errors = job_errors_with(j.errors, j.attempts, $1, j.worker, $3),
                  progress = NULL, progress_note = NULL,
                  unique_key = CASE WHEN b.turn = 1 AND NOT EXISTS (SELECT FROM jobs o WHERE o.unique_key = j.unique_key
                                                                    AND o.worker IS NULL) THEN j.unique_key END
           FROM back b WHERE j.id = b.id
         ), ended AS (
           DELETE FROM jobs j USING expired e WHERE j.id = e.id AND NOT e.again RETURNING j.*
         ), written AS (
           INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts,
                                      correlation_id, lock, created_at, started_at, finished_at, error, errors)
           SELECT id, queue, name, payload, priority, CASE WHEN cancel_asked THEN 'cancelled' ELSE 'dead' END,
                  attempts, max_attempts, correlation_id, lock, created_at, started_at, $1, $3,
                  job_errors_with(errors, attempts, $1, worker, $3)
           FROM ended
         )
         SELECT count(*) AS count FROM expired")
    .bind::<st::Timestamptz, _>(now)
    .bind::<st::Integer, _>(MAX_LOST_WORKERS)
    .bind::<st::Text, _>(LOST_WORKER)
    .get_result(conn)
    .await?;
    Ok(row.count)
}

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = st::BigInt)]
    count: i64,
}

/// What is written down of a job whose worker vanished.
const LOST_WORKER: &str = "its worker vanished while running it";
