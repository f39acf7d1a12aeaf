//! Jobs in this database: what waits and what runs.
//!
//! Times are the caller's, by its clock, and never the server's: a worker whose tests hold time still leases by
//! that time too. Statements take whole batches, and complete jobs by primary key only.
//!
//! Locks are kept by triggers of the table: of the jobs of a lock all but the first are `blocked`, and whoever
//! deletes the first, for whatever reason, lets the next go.

pub mod admin;
mod fetch;
pub mod figures;
pub mod history;
pub mod notices;
pub mod outbox;
mod settle;

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta};
use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{Time, ids::JobId, ports::queue::NewJob};
use uuid::Uuid;

pub use fetch::{Ask, Marks, fetch, fetch_past};
pub use outbox::insert as insert_outbox;
pub use settle::{renew, settle, take_back_expired};

use crate::{
    error::{Error, Result},
    sql::sql,
};

/// Whether a new job `n` is not one that has ended.
///
/// Not `NOT EXISTS`: that may be planned as a join, which reads the whole history.
macro_rules! unknown {
    () => {
        "(SELECT true FROM finished_jobs f WHERE f.id = n.id AND f.finished_at >= $12 LIMIT 1) IS NULL"
    };
}

/// The columns of new jobs as arrays, bound to one statement: adds all of them, or those that are unknown.
macro_rules! insert {
    (all, $jobs:expr, $returning:literal) => {
        insert!(@where "true", $jobs, $returning)
    };
    (unknown, $jobs:expr, $returning:literal) => {
        insert!(@where unknown!(), $jobs, $returning).bind::<st::Timestamptz, _>(earliest($jobs))
    };
    (@where $only:expr, $jobs:expr, $returning:literal) => {
        // In order of locks and keys, so that two transactions wait for one another in one direction only.
        sql(concat!(
            "INSERT INTO jobs (id, queue, name, payload, priority, run_at, max_attempts, correlation_id, lock, unique_key,
                               attempts)
             SELECT id, queue, name, payload, priority, run_at, max_attempts, correlation_id, lock, unique_key, attempts
             FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY
               AS n(id, queue, name, payload, priority, run_at, max_attempts, correlation_id, lock, unique_key, attempts,
                    place)
             WHERE ",
            $only,
            " ORDER BY lock, unique_key, place
             ON CONFLICT DO NOTHING ",
            $returning
        ))
        .bind::<st::Array<st::Uuid>, _>(column($jobs, |job| job.id.uuid()))
        .bind::<st::Array<st::Text>, _>(column($jobs, |job| job.queue.as_str()))
        .bind::<st::Array<st::Text>, _>(column($jobs, |job| job.name.as_str()))
        .bind::<st::Array<st::Json>, _>(column($jobs, |job| &job.payload))
        .bind::<st::Array<st::SmallInt>, _>(column($jobs, |job| job.priority))
        .bind::<st::Array<st::Timestamptz>, _>(column($jobs, |job| job.run_at))
        .bind::<st::Array<st::Integer>, _>(column($jobs, |job| job.max_attempts))
        .bind::<st::Array<st::Nullable<st::Text>>, _>(column($jobs, |job| job.correlation_id.as_deref()))
        .bind::<st::Array<st::Nullable<st::Text>>, _>(column($jobs, |job| job.lock.as_deref()))
        .bind::<st::Array<st::Nullable<st::Text>>, _>(column($jobs, |job| job.unique_key.as_deref()))
        .bind::<st::Array<st::Integer>, _>(column($jobs, |job| job.attempts))
    };
}

/// Adds jobs that were just made, in the caller's transaction, and gives the id of each.
///
/// A job whose unique key waits already is not added. The id given is that of the one that waits, which no worker
/// takes before the caller's transaction ends: it will see what the caller wrote.
pub async fn insert(conn: &mut AsyncPgConnection, jobs: &[NewJob]) -> Result<Vec<JobId>> {
    if jobs.iter().any(|job| job.unique_key.is_some()) {
        return insert_unique(conn, jobs).await;
    }
    if !jobs.is_empty() {
        insert!(all, jobs, "").execute(conn).await?;
    }
    Ok(jobs.iter().map(|job| job.id).collect())
}

/// As [`insert`], for jobs that were perhaps added before: those whose id is known, even of a job that has ended, are
/// skipped.
pub async fn insert_unknown(conn: &mut AsyncPgConnection, jobs: &[NewJob]) -> Result<Vec<JobId>> {
    if jobs.iter().any(|job| job.unique_key.is_some()) {
        return insert_unique(conn, jobs).await;
    }
    if !jobs.is_empty() {
        insert!(unknown, jobs, "").execute(conn).await?;
    }
    Ok(jobs.iter().map(|job| job.id).collect())
}

/// How often one that waits may be taken just as it is looked for.
const TRIES: u32 = 10;

async fn insert_unique(conn: &mut AsyncPgConnection, jobs: &[NewJob]) -> Result<Vec<JobId>> {
    let mut waiting: HashMap<String, JobId> = HashMap::new();
    let mut known: HashSet<JobId> = HashSet::new();
    let mut left = jobs.to_vec();
    for _ in 0..TRIES {
        let added: Vec<IdRow> = insert!(unknown, &left, "RETURNING id").load(conn).await?;
        known.extend(added.iter().map(|row| JobId::from(row.id)));
        let keys: Vec<&str> =
            left.iter().filter(|j| !known.contains(&j.id)).filter_map(|j| j.unique_key.as_deref()).collect();
        let ids: Vec<Uuid> = left.iter().map(|job| job.id.uuid()).collect();
        for row in find_waiting(conn, &keys).await? {
            waiting.insert(row.unique_key, row.id.into());
        }
        known
            .extend(find_known(conn, &ids, earliest(jobs)).await?.into_iter().map(|row| JobId::from(row.id)));
        let is_placed = |job: &NewJob| {
            known.contains(&job.id) || job.unique_key.as_ref().is_some_and(|key| waiting.contains_key(key))
        };
        left.retain(|job| !is_placed(job));
        if left.is_empty() {
            let id_of = |job: &NewJob| {
                let other = job.unique_key.as_ref().and_then(|key| waiting.get(key));
                if known.contains(&job.id) { job.id } else { other.copied().unwrap_or(job.id) }
            };
            return Ok(jobs.iter().map(id_of).collect());
        }
    }
    Err(Error::Query(diesel::result::Error::RollbackTransaction))
}

/// The jobs that wait under these keys, kept from every worker until the transaction ends.
async fn find_waiting(conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<Vec<KeyRow>> {
    if keys.is_empty() {
        return Ok(vec![]);
    }
    let rows = sql("SELECT id, unique_key FROM jobs WHERE worker IS NULL AND unique_key = ANY($1) FOR SHARE")
        .bind::<st::Array<st::Text>, _>(keys)
        .load(conn)
        .await?;
    Ok(rows)
}

async fn find_known(conn: &mut AsyncPgConnection, ids: &[Uuid], earliest: Time) -> Result<Vec<IdRow>> {
    let rows = sql("SELECT id FROM jobs WHERE id = ANY($1)
         UNION ALL
         SELECT id FROM finished_jobs WHERE id = ANY($1) AND finished_at >= $2")
    .bind::<st::Array<st::Uuid>, _>(ids)
    .bind::<st::Timestamptz, _>(earliest)
    .load(conn)
    .await?;
    Ok(rows)
}

fn column<'a, T>(jobs: &'a [NewJob], of: impl Fn(&'a NewJob) -> T) -> Vec<T> {
    jobs.iter().map(of).collect()
}

/// Before any of these jobs can have ended, so that only the latest days are asked whether they know them: most ids
/// tell when they were made. Clocks may differ by a day.
fn earliest(jobs: &[NewJob]) -> Time {
    let of = |job: &NewJob| match job.id.uuid().get_timestamp() {
        Some(made) => {
            let (seconds, nanos) = made.to_unix();
            i64::try_from(seconds)
                .ok()
                .and_then(|s| DateTime::from_timestamp(s, nanos))
                .map(|t| t.min(job.run_at))
        }
        None => None,
    };
    let earliest = jobs.iter().map(|job| of(job).unwrap_or(DateTime::UNIX_EPOCH)).min();
    earliest.and_then(|t| t.checked_sub_signed(TimeDelta::days(1))).unwrap_or(DateTime::UNIX_EPOCH)
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
}

#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Text)]
    unique_key: String,
}
