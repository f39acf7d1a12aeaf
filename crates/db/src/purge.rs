//! Emptying the trash, in batches that no other write waits for long.
//!
//! The log is not purged: it is also the history that people read. What is removed for good takes
//! its own log with it.

use std::collections::HashSet;

use diesel::{prelude::*, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::Time;

use crate::{error::Result, schema::blobs, sql::sql};

/// Removes up to `limit` workspaces in the trash since before `before`, once their projects are gone.
pub async fn workspaces(conn: &mut AsyncPgConnection, before: Time, limit: i64) -> Result<usize> {
    let removed = sql("WITH doomed AS MATERIALIZED (
           SELECT id FROM workspaces w
           WHERE deleted_at < $1 AND NOT EXISTS (SELECT FROM projects p WHERE p.workspace_id = w.id)
           LIMIT $2 FOR UPDATE SKIP LOCKED
         ), logs AS (
           DELETE FROM streams WHERE id IN (SELECT id FROM doomed)
         )
         DELETE FROM workspaces WHERE id IN (SELECT id FROM doomed)")
    .bind::<st::Timestamptz, _>(before)
    .bind::<st::BigInt, _>(limit)
    .execute(conn)
    .await?;
    Ok(removed)
}

/// Removes up to `limit` stories in the trash since before `before`; their files are unreferenced since `now`.
pub async fn stories(conn: &mut AsyncPgConnection, before: Time, now: Time, limit: i64) -> Result<usize> {
    let removed = sql("WITH doomed AS MATERIALIZED (
           SELECT id FROM stories WHERE deleted_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
         ), files AS (
           UPDATE blobs SET unreferenced_at = $3 FROM attachments a
           WHERE a.blob_key = blobs.key AND a.story_id IN (SELECT id FROM doomed)
         )
         DELETE FROM stories WHERE id IN (SELECT id FROM doomed)")
    .bind::<st::Timestamptz, _>(before)
    .bind::<st::BigInt, _>(limit)
    .bind::<st::Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(removed)
}

/// Removes up to `limit` projects in the trash since before `before`, or in a workspace that is; their files are
/// unreferenced since `now`.
pub async fn projects(conn: &mut AsyncPgConnection, before: Time, now: Time, limit: i64) -> Result<usize> {
    let removed = sql("WITH doomed AS MATERIALIZED (
           SELECT p.id FROM projects p JOIN workspaces w ON w.id = p.workspace_id
           WHERE p.deleted_at < $1 OR w.deleted_at < $1 LIMIT $2 FOR UPDATE OF p SKIP LOCKED
         ), files AS (
           UPDATE blobs SET unreferenced_at = $3 FROM attachments a JOIN stories s ON s.id = a.story_id
           WHERE a.blob_key = blobs.key AND s.project_id IN (SELECT id FROM doomed)
         ), logs AS (
           DELETE FROM streams WHERE id IN (SELECT id FROM doomed)
         )
         DELETE FROM projects WHERE id IN (SELECT id FROM doomed)")
    .bind::<st::Timestamptz, _>(before)
    .bind::<st::BigInt, _>(limit)
    .bind::<st::Timestamptz, _>(now)
    .execute(conn)
    .await?;
    Ok(removed)
}

/// Keys of blobs that nothing has referred to since before `before`, longest first, at most `limit`.
pub async fn unreferenced_blobs(
    conn: &mut AsyncPgConnection,
    before: Time,
    limit: i64,
) -> Result<Vec<String>> {
    let keys = blobs::table
        .filter(blobs::unreferenced_at.lt(before))
        .order(blobs::unreferenced_at)
        .limit(limit)
        .select(blobs::key)
        .load(conn)
        .await?;
    Ok(keys)
}

/// Forgets blobs whose bytes are gone.
pub async fn forget_blobs(conn: &mut AsyncPgConnection, keys: &[String]) -> Result<()> {
    diesel::delete(blobs::table.filter(blobs::key.eq_any(keys))).execute(conn).await?;
    Ok(())
}

/// Which of `keys` have a row.
pub async fn known_blobs(conn: &mut AsyncPgConnection, keys: &[&str]) -> Result<HashSet<String>> {
    let known: Vec<String> =
        blobs::table.filter(blobs::key.eq_any(keys)).select(blobs::key).load(conn).await?;
    Ok(known.into_iter().collect())
}
