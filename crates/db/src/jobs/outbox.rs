//! Jobs on their way to a queue that lives elsewhere.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::ports::queue::NewJob;

use crate::{
    error::{Error, Result},
    sql::sql,
};

/// Adds jobs to the outbox in the caller's transaction, in one statement.
pub async fn insert(conn: &mut AsyncPgConnection, jobs: &[NewJob]) -> Result<()> {
    if jobs.is_empty() {
        return Ok(());
    }
    let jobs = jobs.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>();
    let jobs = jobs.map_err(|e| Error::Query(diesel::result::Error::SerializationError(e.into())))?;
    sql("INSERT INTO outbox (job) SELECT * FROM unnest($1)")
        .bind::<st::Array<st::Json>, _>(jobs)
        .execute(conn)
        .await?;
    Ok(())
}

/// The oldest jobs of the outbox and their places. They are locked for the caller's transaction, which hands them
/// to the queue and then [`remove`]s them: a queue may see a job twice, and knows it by its id.
pub async fn oldest(conn: &mut AsyncPgConnection, limit: i64) -> Result<Vec<(i64, NewJob)>> {
    let rows: Vec<OutboxRow> =
        sql("SELECT seq, job FROM outbox ORDER BY seq LIMIT $1 FOR UPDATE SKIP LOCKED")
            .bind::<st::BigInt, _>(limit)
            .load(conn)
            .await?;
    rows.into_iter()
        .map(|row| match serde_json::from_value(row.job) {
            Ok(job) => Ok((row.seq, job)),
            Err(e) => Err(Error::Query(diesel::result::Error::DeserializationError(e.into()))),
        })
        .collect()
}

/// Removes what the queue has taken.
pub async fn remove(conn: &mut AsyncPgConnection, places: &[i64]) -> Result<()> {
    sql("DELETE FROM outbox WHERE seq = ANY($1)")
        .bind::<st::Array<st::BigInt>, _>(places)
        .execute(conn)
        .await?;
    Ok(())
}

#[derive(QueryableByName)]
struct OutboxRow {
    #[diesel(sql_type = st::BigInt)]
    seq: i64,
    #[diesel(sql_type = st::Json)]
    job: serde_json::Value,
}
