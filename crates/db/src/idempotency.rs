//! First answers of requests that may be retried.

use diesel::{prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::Time;

use crate::{error::Result, schema::idempotency_keys, sql::sql};

/// An answer as it was first given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers worth repeating.
    pub headers: serde_json::Value,
    /// Body.
    pub body: Vec<u8>,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Of the request that came first.
    pub fingerprint: Vec<u8>,
    /// Its answer; none while it runs.
    pub answer: Option<Answer>,
}

/// Claims a key until `lease_until`, if nobody holds it; says whether it did.
pub async fn claim(
    conn: &mut AsyncPgConnection,
    caller: &str,
    key: &str,
    fingerprint: [u8; 32],
    now: Time,
    lease_until: Time,
) -> Result<bool> {
    let rows = sql("INSERT INTO idempotency_keys (caller, key, fingerprint, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (caller, key) DO UPDATE
           SET fingerprint = excluded.fingerprint, status = NULL, headers = NULL, body = NULL,
               created_at = excluded.created_at, expires_at = excluded.expires_at
           WHERE idempotency_keys.expires_at <= $4")
    .bind::<st::Text, _>(caller)
    .bind::<st::Text, _>(key)
    .bind::<st::Bytea, _>(fingerprint)
    .bind::<st::Timestamptz, _>(now)
    .bind::<st::Timestamptz, _>(lease_until)
    .execute(conn)
    .await?;
    Ok(rows == 1)
}

/// What is known of a key that somebody holds.
pub async fn find(conn: &mut AsyncPgConnection, caller: &str, key: &str) -> Result<Option<Known>> {
    #[derive(Queryable, Selectable)]
    #[diesel(table_name = idempotency_keys)]
    struct Row {
        fingerprint: Vec<u8>,
        status: Option<i16>,
        headers: Option<serde_json::Value>,
        body: Option<Vec<u8>>,
    }
    let row: Option<Row> =
        idempotency_keys::table.find((caller, key)).select(Row::as_select()).first(conn).await.optional()?;
    Ok(row.map(|row| Known {
        fingerprint: row.fingerprint,
        answer: row.status.and_then(|status| u16::try_from(status).ok()).map(|status| Answer {
            status,
            headers: row.headers.unwrap_or_default(),
            body: row.body.unwrap_or_default(),
        }),
    }))
}

/// Keeps the answer of the request that holds a key, until `expires_at`.
pub async fn finish(
    conn: &mut AsyncPgConnection,
    caller: &str,
    key: &str,
    fingerprint: [u8; 32],
    answer: &Answer,
    expires_at: Time,
) -> Result<()> {
    let running = idempotency_keys::table
        .find((caller, key))
        .filter(idempotency_keys::fingerprint.eq(fingerprint.to_vec()))
        .filter(idempotency_keys::status.is_null());
    diesel::update(running)
        .set((
            idempotency_keys::status.eq(i16::try_from(answer.status).unwrap_or(i16::MAX)),
            idempotency_keys::headers.eq(&answer.headers),
            idempotency_keys::body.eq(&answer.body),
            idempotency_keys::expires_at.eq(expires_at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Lets go of a key whose request came to no answer worth keeping.
pub async fn abandon(
    conn: &mut AsyncPgConnection,
    caller: &str,
    key: &str,
    fingerprint: [u8; 32],
) -> Result<()> {
    let running = idempotency_keys::table
        .find((caller, key))
        .filter(idempotency_keys::fingerprint.eq(fingerprint.to_vec()))
        .filter(idempotency_keys::status.is_null());
    diesel::delete(running).execute(conn).await?;
    Ok(())
}

/// Removes keys that ended before `now`; says how many.
pub async fn purge(conn: &mut AsyncPgConnection, now: Time) -> Result<usize> {
    Ok(diesel::delete(idempotency_keys::table.filter(idempotency_keys::expires_at.lt(now)))
        .execute(conn)
        .await?)
}
