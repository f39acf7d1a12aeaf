//! Which ticks of the schedules were enqueued.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::Time;

use crate::{error::Result, sql::sql};

/// Takes the tick at `tick` of a schedule; false when it, or a later one, was taken before.
pub async fn take(conn: &mut AsyncPgConnection, name: &str, tick: Time) -> Result<bool> {
    let taken = sql("INSERT INTO schedules (name, last_tick) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET last_tick = excluded.last_tick WHERE schedules.last_tick < excluded.last_tick")
        .bind::<st::Text, _>(name)
        .bind::<st::Timestamptz, _>(tick)
        .execute(conn)
        .await?;
    Ok(taken == 1)
}

/// The latest tick of each schedule that was enqueued.
pub async fn last_ticks(conn: &mut AsyncPgConnection) -> Result<Vec<(String, Time)>> {
    let rows: Vec<TickRow> = sql("SELECT name, last_tick FROM schedules").load(conn).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.last_tick)).collect())
}

#[derive(QueryableByName)]
struct TickRow {
    #[diesel(sql_type = st::Text)]
    name: String,
    #[diesel(sql_type = st::Timestamptz)]
    last_tick: Time,
}
