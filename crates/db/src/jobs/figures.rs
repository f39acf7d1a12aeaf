//! How many jobs there are, by queue and by name.

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::Time;

use crate::{error::Result, sql::sql};

/// How a queue fares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueFigures {
    /// Its name.
    pub queue: String,
    /// Hands out nothing.
    pub paused: bool,
    /// All its jobs.
    pub counts: Counts,
    /// Its jobs by name.
    pub names: Vec<(String, Counts)>,
    /// Since when the job has been ready that has been ready longest.
    pub ready_since: Option<Time>,
}

/// Jobs by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Ready or delayed.
    pub waiting: i64,
    /// In workers' hands.
    pub running: i64,
    /// Given up.
    pub dead: i64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = st::Text)]
    queue: String,
    /// None for the row that only says that the queue is paused.
    #[diesel(sql_type = st::Nullable<st::Text>)]
    name: Option<String>,
    #[diesel(sql_type = st::BigInt)]
    waiting: i64,
    #[diesel(sql_type = st::BigInt)]
    running: i64,
    #[diesel(sql_type = st::BigInt)]
    dead: i64,
    #[diesel(sql_type = st::Bool)]
    paused: bool,
    #[diesel(sql_type = st::Nullable<st::Timestamptz>)]
    ready_since: Option<Time>,
}

/// Every queue that has a job, alive or dead, or is paused, in order of its name.
pub async fn queues(conn: &mut AsyncPgConnection, now: Time) -> Result<Vec<QueueFigures>> {
    let rows: Vec<Row> = sql("SELECT queue, name, sum(waiting)::bigint AS waiting, sum(running)::bigint AS running,
                sum(dead)::bigint AS dead, bool_or(paused) AS paused, min(ready_since) AS ready_since
         FROM (
           SELECT queue, name, count(*) FILTER (WHERE worker IS NULL) AS waiting, count(worker) AS running,
                  0 AS dead, false AS paused, min(run_at) FILTER (WHERE worker IS NULL AND run_at <= $1) AS ready_since
           FROM jobs GROUP BY queue, name
           UNION ALL
           SELECT job->>'queue', job->>'name', count(*), 0, 0, false,
                  min((job->>'run_at')::timestamptz) FILTER (WHERE (job->>'run_at')::timestamptz <= $1)
           FROM outbox GROUP BY job->>'queue', job->>'name'
           UNION ALL
           SELECT queue, name, 0, 0, count(*), false, NULL FROM finished_jobs WHERE state = 'dead' GROUP BY queue, name
           UNION ALL
           SELECT queue, NULL, 0, 0, 0, true, NULL FROM paused_queues
         ) q
         GROUP BY queue, name ORDER BY queue, name")
    .bind::<st::Timestamptz, _>(now)
    .load(conn)
    .await?;
    let mut queues: Vec<QueueFigures> = vec![];
    for row in rows {
        if queues.last().is_none_or(|queue| queue.queue != row.queue) {
            queues.push(QueueFigures { queue: row.queue.clone(), ..QueueFigures::default() });
        }
        if let Some(queue) = queues.last_mut() {
            queue.add(row);
        }
    }
    Ok(queues)
}

impl QueueFigures {
    fn add(&mut self, row: Row) {
        let Row { name, waiting, running, dead, paused, ready_since, .. } = row;
        self.paused |= paused;
        self.counts.waiting += waiting;
        self.counts.running += running;
        self.counts.dead += dead;
        self.ready_since = self.ready_since.into_iter().chain(ready_since).min();
        self.names.extend(name.map(|name| (name, Counts { waiting, running, dead })));
    }
}
