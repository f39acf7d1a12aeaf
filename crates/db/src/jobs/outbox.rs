//! Jobs of a queue that lives elsewhere: on their way to it, and in it until they have ended.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{
    Time,
    ids::JobId,
    outside::OutsideText,
    ports::queue::{End, Ended, NewJob},
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    sql::sql,
};

/// Adds jobs to the outbox in the caller's transaction, in one statement; those whose id is known are skipped.
pub async fn insert(conn: &mut AsyncPgConnection, jobs: &[NewJob]) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    sql("INSERT INTO outbox (id, job)
         SELECT id, job FROM unnest($1, $2) WITH ORDINALITY AS n(id, job, place)
         WHERE NOT EXISTS (SELECT FROM finished_jobs f WHERE f.id = n.id AND f.finished_at >= $3)
         ORDER BY place
         ON CONFLICT DO NOTHING")
    .bind::<st::Array<st::Uuid>, _>(uuids(jobs.iter().map(|job| job.id)))
    .bind::<st::Array<st::Json>, _>(written(jobs)?)
    .bind::<st::Timestamptz, _>(super::earliest(jobs))
    .execute(conn)
    .await?;
    Ok(())
}

/// Waits for whoever forwards, and forwards alone until the transaction ends: so the order is kept, and what is read
/// of the queue meanwhile agrees with the rows.
pub async fn begin(conn: &mut AsyncPgConnection) -> Result<()> {
    sql("SELECT pg_advisory_xact_lock(7222)").execute(conn).await?;
    Ok(())
}

/// The oldest jobs that the queue was not given, or has lost.
pub async fn unforwarded(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<NewJob>> {
    let rows: Vec<OutboxRow> = sql("SELECT seq, id, job, created_at, forwarded, refusal FROM outbox
             WHERE NOT forwarded AND refusal IS NULL ORDER BY seq LIMIT $1")
    .bind::<st::BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.into_iter().map(|row| row.read().map(|entry| entry.job)).collect()
}

/// Notes that the queue has these jobs.
pub async fn forwarded(conn: &mut AsyncPgConnection, jobs: &[JobId]) -> Result<()> {
    sql("UPDATE outbox SET forwarded = true WHERE id = ANY($1)")
        .bind::<st::Array<st::Uuid>, _>(uuids(jobs.iter().copied()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Notes that these jobs are to be given to the queue again; says how many had been.
pub async fn recall(conn: &mut AsyncPgConnection, jobs: &[JobId]) -> Result<usize> {
    let recalled = sql("UPDATE outbox SET forwarded = false WHERE id = ANY($1) AND forwarded")
        .bind::<st::Array<st::Uuid>, _>(uuids(jobs.iter().copied()))
        .execute(conn)
        .await?;
    Ok(recalled)
}

/// Keeps a job from the queue, which refuses it for this reason.
pub async fn refuse(conn: &mut AsyncPgConnection, job: JobId, reason: &OutsideText) -> Result<()> {
    sql("UPDATE outbox SET refusal = $2 WHERE id = $1")
        .bind::<st::Uuid, _>(job.uuid())
        .bind::<st::Text, _>(reason.as_str())
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes jobs without a trace: they are elsewhere, or are one with another that waits under the same key.
pub async fn remove(conn: &mut AsyncPgConnection, jobs: &[JobId]) -> Result<()> {
    sql("DELETE FROM outbox WHERE id = ANY($1)")
        .bind::<st::Array<st::Uuid>, _>(uuids(jobs.iter().copied()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes a job anew, as it is to be given to the queue.
pub async fn rewrite(conn: &mut AsyncPgConnection, jobs: &[NewJob]) -> Result<()> {
    sql("UPDATE outbox o SET job = n.job, forwarded = false, refusal = NULL
         FROM unnest($1, $2) AS n(id, job) WHERE o.id = n.id")
    .bind::<st::Array<st::Uuid>, _>(uuids(jobs.iter().map(|job| job.id)))
    .bind::<st::Array<st::Json>, _>(written(jobs)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes history of what has ended in the queue.
pub async fn end(conn: &mut AsyncPgConnection, ended: &[Ended]) -> Result<()> {
    let states = ended.iter().map(|ended| match ended.end {
        End::Done => "done",
        End::Dead { .. } => "dead",
        End::Cancelled => "cancelled",
    });
    let errors = ended.iter().map(|ended| match &ended.end {
        End::Dead { error } => Some(error.as_str()),
        End::Done | End::Cancelled => None,
    });
    sql("WITH over AS MATERIALIZED (
           SELECT * FROM unnest($1, $2, $3, $4, $5, $6) AS e(id, state, attempts, started_at, finished_at, error)
         ), gone AS (
           DELETE FROM outbox o USING over WHERE o.id = over.id RETURNING o.id, o.job, o.created_at
         )
         INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts,
                                    correlation_id, lock, created_at, started_at, finished_at, error)
         SELECT gone.id, job->>'queue', job->>'name', job->'payload', (job->>'priority')::smallint, over.state,
                over.attempts, (job->>'max_attempts')::integer, job->>'correlation_id', job->>'lock', gone.created_at,
                over.started_at, over.finished_at, over.error
         FROM gone JOIN over ON over.id = gone.id")
    .bind::<st::Array<st::Uuid>, _>(uuids(ended.iter().map(|ended| ended.id)))
    .bind::<st::Array<st::Text>, _>(states.collect::<Vec<_>>())
    .bind::<st::Array<st::Integer>, _>(ended.iter().map(|ended| ended.attempts).collect::<Vec<_>>())
    .bind::<st::Array<st::Nullable<st::Timestamptz>>, _>(
        ended.iter().map(|ended| ended.started_at).collect::<Vec<_>>(),
    )
    .bind::<st::Array<st::Timestamptz>, _>(ended.iter().map(|ended| ended.ended_at).collect::<Vec<_>>())
    .bind::<st::Array<st::Nullable<st::Text>>, _>(errors.collect::<Vec<_>>())
    .execute(conn)
    .await?;
    Ok(())
}

/// What a job of `$row` is to a queue outside the database, ready at `$run_at`.
macro_rules! job_of {
    ($row:literal, $run_at:literal, $attempts:literal, $unique_key:literal) => {
        concat!(
            "json_build_object('id', ",
            $row,
            ".id, 'name', ",
            $row,
            ".name, 'payload', ",
            $row,
            ".payload,
              'queue', ",
            $row,
            ".queue, 'priority', ",
            $row,
            ".priority,
              'run_at', to_char(",
            $run_at,
            " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
              'max_attempts', ",
            $row,
            ".max_attempts, 'attempts', ",
            $attempts,
            ",
              'correlation_id', ",
            $row,
            ".correlation_id, 'lock', ",
            $row,
            ".lock, 'unique_key', ",
            $unique_key,
            ")"
        )
    };
}

/// Makes a dead job wait again, with all its attempts; says whether there was one.
pub async fn retry(conn: &mut AsyncPgConnection, job: JobId, now: Time) -> Result<bool> {
    let changed = sql(concat!(
        "WITH dead AS (
           DELETE FROM finished_jobs WHERE id = $1 AND state = 'dead' RETURNING *
         )
         INSERT INTO outbox (id, job, created_at) SELECT id, ",
        job_of!("dead", "$2", "0", "NULL"),
        ", created_at FROM dead"
    ))
    .bind::<st::Uuid, _>(job.uuid())
    .bind::<st::Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(changed == 1)
}

/// Moves jobs that wait in the database's own queue to the outbox, at most `limit`, in the order of their locks; says
/// how many.
pub async fn fill_from_jobs(conn: &mut AsyncPgConnection, limit: i64) -> Result<usize> {
    let moved = sql(concat!(
        "WITH picked AS MATERIALIZED (
           SELECT id FROM jobs WHERE worker IS NULL
           ORDER BY lock_seq NULLS FIRST, created_at, id LIMIT $1 FOR UPDATE
         ), gone AS (
           DELETE FROM jobs j USING picked WHERE j.id = picked.id RETURNING j.*
         )
         INSERT INTO outbox (id, job, created_at) SELECT id, ",
        job_of!("gone", "gone.run_at", "gone.attempts", "gone.unique_key"),
        ", created_at FROM gone ORDER BY lock_seq NULLS FIRST, created_at, id"
    ))
    .bind::<st::BigInt, _>(limit)
    .execute(conn)
    .await?;
    Ok(moved)
}

/// A job of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its place in the order of enqueueing.
    pub place: i64,
    /// The job.
    pub job: NewJob,
    /// When it was added.
    pub created_at: Time,
    /// Whether the queue was given it.
    pub is_forwarded: bool,
    /// Why the queue refuses it.
    pub refusal: Option<String>,
}

/// Jobs after a place in the order of enqueueing, the oldest first.
pub async fn after(conn: &mut AsyncPgConnection, place: i64, limit: i64) -> Result<Vec<Entry>> {
    let rows: Vec<OutboxRow> = sql("SELECT seq, id, job, created_at, forwarded, refusal FROM outbox
             WHERE seq > $1 ORDER BY seq LIMIT $2")
    .bind::<st::BigInt, _>(place)
    .bind::<st::BigInt, _>(limit)
    .load(conn)
    .await?;
    rows.into_iter().map(OutboxRow::read).collect()
}

/// The ids of jobs that the queue was given, after a place, with their places.
pub async fn forwarded_after(
    conn: &mut AsyncPgConnection,
    place: i64,
    limit: i64,
) -> Result<Vec<(i64, JobId)>> {
    let rows: Vec<PlaceRow> =
        sql("SELECT seq, id FROM outbox WHERE seq > $1 AND forwarded ORDER BY seq LIMIT $2")
            .bind::<st::BigInt, _>(place)
            .bind::<st::BigInt, _>(limit)
            .load(conn)
            .await?;
    Ok(rows.into_iter().map(|row| (row.seq, row.id.into())).collect())
}

/// A job of the outbox.
pub async fn find(conn: &mut AsyncPgConnection, job: JobId) -> Result<Option<Entry>> {
    let rows: Vec<OutboxRow> =
        sql("SELECT seq, id, job, created_at, forwarded, refusal FROM outbox WHERE id = $1")
            .bind::<st::Uuid, _>(job.uuid())
            .load(conn)
            .await?;
    rows.into_iter().next().map(OutboxRow::read).transpose()
}

fn uuids(jobs: impl Iterator<Item = JobId>) -> Vec<Uuid> {
    jobs.map(JobId::uuid).collect()
}

fn written(jobs: &[NewJob]) -> Result<Vec<serde_json::Value>> {
    let jobs = jobs.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    jobs.map_err(|e| Error::Query(diesel::result::Error::SerializationError(e.into())))
}

#[derive(QueryableByName)]
struct OutboxRow {
    #[diesel(sql_type = st::BigInt)]
    seq: i64,
    #[diesel(sql_type = st::Json)]
    job: serde_json::Value,
    #[diesel(sql_type = st::Timestamptz)]
    created_at: Time,
    #[diesel(sql_type = st::Bool)]
    forwarded: bool,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    refusal: Option<String>,
}

impl OutboxRow {
    fn read(self) -> Result<Entry> {
        let job = serde_json::from_value(self.job)
            .map_err(|e| Error::Query(diesel::result::Error::DeserializationError(e.into())))?;
        let Self { seq, created_at, forwarded, refusal, .. } = self;
        Ok(Entry { place: seq, job, created_at, is_forwarded: forwarded, refusal })
    }
}

#[derive(QueryableByName)]
struct PlaceRow {
    #[diesel(sql_type = st::BigInt)]
    seq: i64,
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
}
