//! One leader among processes, by an advisory lock that lives and dies with a connection of its own.
//!
//! A process that is frozen keeps its connection, and its lock with it. So the server ends the connection of a
//! candidate that it has not heard of for a while.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};

use crate::{Db, error::Result, locks::Lock, sql::sql};

/// The lock of the scheduler.
pub const SCHEDULER: i64 = Lock::Scheduler as i64;

/// How long the server waits for a sign of life: a few of the scheduler's beats.
const GIVE_UP: &str = "SET idle_session_timeout = '15s'";

/// A process that leads or stands by. Dropping it ends the leadership.
pub struct Candidate {
    conn: AsyncPgConnection,
    office: i64,
    leads: bool,
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = st::Bool)]
    leads: bool,
}

impl Candidate {
    /// Stands for `office`; [`Candidate::leads`] says who got it.
    pub async fn stand(db: &Db, office: i64) -> Result<Self> {
        let mut conn = db.dedicated().await?;
        conn.batch_execute(GIVE_UP).await?;
        Ok(Self { conn, office, leads: false })
    }

    /// Whether this process leads, having tried to if nobody did. An error means that the connection is lost and
    /// the leadership with it.
    pub async fn leads(&mut self) -> Result<bool> {
        // The lock counts how often it was taken, so a leader only asks whether the connection still lives.
        let statement = if self.leads {
            sql("SELECT $1 IS NOT NULL AS leads")
        } else {
            sql("SELECT pg_try_advisory_lock($1) AS leads")
        };
        let answer: Answer = statement.bind::<st::BigInt, _>(self.office).get_result(&mut self.conn).await?;
        self.leads = answer.leads;
        Ok(self.leads)
    }
}
