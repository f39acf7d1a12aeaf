//! Jobs in this database: the live table, and the outbox of queues elsewhere.

use diesel_async::AsyncPgConnection;
use tenon_core::ports::queue::NewJob;

use crate::error::Result;

/// Adds jobs in the caller's transaction, in one statement.
#[expect(clippy::unused_async, reason = "the table comes with the next change")]
pub async fn insert(_conn: &mut AsyncPgConnection, _jobs: &[NewJob]) -> Result<()> {
    Ok(())
}

/// Adds jobs to the outbox in the caller's transaction, in one statement.
#[expect(clippy::unused_async, reason = "the table comes with the next change")]
pub async fn insert_outbox(_conn: &mut AsyncPgConnection, _jobs: &[NewJob]) -> Result<()> {
    Ok(())
}
