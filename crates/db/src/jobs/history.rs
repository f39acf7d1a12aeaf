//! What is remembered of jobs that ended, and for how long.

use chrono::{Days, NaiveDate};
use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::Time;

use crate::{error::Result, sql::sql};

/// Days that have their partition before they begin.
const AHEAD: u64 = 3;

/// Makes the partitions of today and the next days; says how many were missing. What ends on a day without a partition
/// is kept all the same, and moves when the day gets one.
pub async fn make_days(conn: &mut AsyncPgConnection, now: Time) -> Result<usize> {
    let mut made = 0;
    for ahead in 0..=AHEAD {
        let day = now.date_naive().checked_add_days(Days::new(ahead)).unwrap_or(NaiveDate::MAX);
        let row: MadeRow = sql("SELECT make_finished_jobs_day($1::text::date) AS made")
            .bind::<st::Text, _>(day.to_string())
            .get_result(conn)
            .await?;
        made += usize::from(row.made);
    }
    Ok(made)
}

/// Drops the days that were over before; says how many.
pub async fn drop_days(conn: &mut AsyncPgConnection, before: Time) -> Result<i32> {
    // Dropping waits for whoever reads the history, and everybody else for the dropping: not for long.
    sql("SELECT set_config('lock_timeout', '2s', true)").execute(conn).await?;
    let row: DroppedRow = sql("SELECT drop_finished_jobs_days($1::text::date) AS dropped")
        .bind::<st::Text, _>(before.date_naive().to_string())
        .get_result(conn)
        .await?;
    Ok(row.dropped)
}

/// Forgets at most `limit` jobs that have no day and ended before: the dead `dead_before`, others `done_before`.
/// Says how many.
pub async fn prune(
    conn: &mut AsyncPgConnection,
    done_before: Time,
    dead_before: Time,
    limit: i64,
) -> Result<usize> {
    let pruned = sql("WITH dead AS (
           DELETE FROM finished_jobs_dead WHERE id IN (
             SELECT id FROM finished_jobs_dead WHERE finished_at < $2 LIMIT $3
           ) RETURNING id
         ), other AS (
           DELETE FROM finished_jobs_other WHERE id IN (
             SELECT id FROM finished_jobs_other WHERE finished_at < $1 LIMIT greatest(0, $3)
           ) RETURNING id
         )
         SELECT id FROM dead UNION ALL SELECT id FROM other")
    .bind::<st::Timestamptz, _>(done_before)
    .bind::<st::Timestamptz, _>(dead_before)
    .bind::<st::BigInt, _>(limit)
    .execute(conn)
    .await?;
    Ok(pruned)
}

#[derive(QueryableByName)]
struct MadeRow {
    #[diesel(sql_type = st::Bool)]
    made: bool,
}

#[derive(QueryableByName)]
struct DroppedRow {
    #[diesel(sql_type = st::Integer)]
    dropped: i32,
}
