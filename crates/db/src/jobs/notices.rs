//! Notices between processes that there are new jobs. They may be lost.
//!
//! Never inside the transaction that adds the jobs: a commit with a notice takes a lock of the whole server, and
//! writers would queue up behind it.

use std::pin::pin;

use diesel::sql_types as st;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::StreamExt;

use crate::{error::Result, pool::Db, sql::sql};

/// Tells every listener that there are new jobs, and who says so.
pub async fn send(conn: &mut AsyncPgConnection, sender: &str) -> Result<()> {
    sql("SELECT pg_notify('tenon_jobs', $1)").bind::<st::Text, _>(sender).execute(conn).await?;
    Ok(())
}

/// Ends every connection to this database that hears notices, and says how many those were. Whoever listens makes a
/// new one: tests see to it that it does.
pub async fn cut(conn: &mut AsyncPgConnection) -> Result<usize> {
    let cut = sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND query = $1")
    .bind::<st::Text, _>(LISTEN)
    .execute(conn)
    .await?;
    Ok(cut)
}

const LISTEN: &str = "LISTEN tenon_jobs";

/// A connection that hears notices.
pub struct Notices {
    conn: AsyncPgConnection,
}

impl Notices {
    /// Hears every notice from when this returns.
    pub async fn listen(db: &Db) -> Result<Self> {
        let mut conn = db.dedicated().await?;
        conn.batch_execute(LISTEN).await?;
        Ok(Self { conn })
    }

    /// The sender of the next notice; none when the connection is lost.
    pub async fn next(&mut self) -> Option<String> {
        let notice = pin!(self.conn.notifications_stream()).next().await?;
        notice.ok().map(|notice| notice.payload)
    }
}
