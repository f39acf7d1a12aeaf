//! Transactions, begun and ended by hand so that what runs between may be any async closure.
//!
//! A connection dropped in mid-transaction is closed by the pool, which rolls it back.

use diesel_async::{AnsiTransactionManager, AsyncPgConnection, TransactionManager};

use crate::error::Result;

/// Begins.
pub async fn begin(conn: &mut AsyncPgConnection) -> Result<()> {
    AnsiTransactionManager::begin_transaction(conn).await?;
    Ok(())
}

/// Makes everything since [`begin`] durable.
pub async fn commit(conn: &mut AsyncPgConnection) -> Result<()> {
    AnsiTransactionManager::commit_transaction(conn).await?;
    Ok(())
}

/// Undoes everything since [`begin`].
pub async fn rollback(conn: &mut AsyncPgConnection) -> Result<()> {
    AnsiTransactionManager::rollback_transaction(conn).await?;
    Ok(())
}
