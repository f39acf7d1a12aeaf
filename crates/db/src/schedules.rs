//! Which ticks of the schedules were enqueued.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{Time, ids::JobId};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// Ticks of each schedule that are remembered. A clock that is set back by less than they span enqueues nothing twice.
const REMEMBERED: i64 = 1000;

/// Takes the tick at `tick` of a schedule for `job`; false when it was taken before.
pub async fn take(conn: &mut AsyncPgConnection, schedule: &str, tick: Time, job: JobId) -> Result<bool> {
    let taken =
        sql("INSERT INTO schedule_ticks (schedule, tick, job) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
            .bind::<st::Text, _>(schedule)
            .bind::<st::Timestamptz, _>(tick)
            .bind::<st::Uuid, _>(job.uuid())
            .execute(conn)
            .await?;
    Ok(taken == 1)
}

/// Forgets up to `limit` ticks that so many of their schedule came after that nobody asks for them; says how many.
pub async fn prune(conn: &mut AsyncPgConnection, limit: i64) -> Result<usize> {
    let pruned = sql("WITH latest AS (
           SELECT s.schedule, (SELECT t.seq FROM schedule_ticks t WHERE t.schedule = s.schedule
                               ORDER BY t.seq DESC OFFSET $1 LIMIT 1) AS seq
           FROM (SELECT DISTINCT schedule FROM schedule_ticks) s
         )
         DELETE FROM schedule_ticks t USING latest l
         WHERE t.schedule = l.schedule AND t.seq <= l.seq
           AND t.seq IN (SELECT seq FROM schedule_ticks WHERE schedule = l.schedule ORDER BY seq LIMIT $2)")
    .bind::<st::BigInt, _>(REMEMBERED)
    .bind::<st::BigInt, _>(limit)
    .execute(conn)
    .await?;
    Ok(pruned)
}

/// The tick of a schedule that was enqueued last.
#[derive(Debug, Clone, QueryableByName)]
pub struct LastTick {
    /// The schedule.
    #[diesel(sql_type = st::Text)]
    pub schedule: String,
    /// When it was due.
    #[diesel(sql_type = st::Timestamptz)]
    pub tick: Time,
    /// Its job.
    #[diesel(sql_type = st::Uuid)]
    pub job: Uuid,
}

/// The tick of each of these schedules that was enqueued last.
pub async fn last_ticks(conn: &mut AsyncPgConnection, schedules: &[&str]) -> Result<Vec<LastTick>> {
    let rows = sql("SELECT l.* FROM unnest($1) AS s(name)
         CROSS JOIN LATERAL (
           SELECT schedule, tick, job FROM schedule_ticks WHERE schedule = s.name ORDER BY seq DESC LIMIT 1
         ) l")
    .bind::<st::Array<st::Text>, _>(schedules)
    .load(conn)
    .await?;
    Ok(rows)
}
