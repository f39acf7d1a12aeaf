//! Taking jobs.
//!
//! A finished job leaves a dead entry in the index of what is ready, and as long as vacuum cannot remove those (a
//! dump holds it back for minutes) every walk from the start of the index steps over all of them. So a busy worker
//! walks on from where it was, its [`Marks`], and from the start only now and then: for jobs that came back, and
//! those whose transaction committed late.

use std::{cmp::Reverse, collections::BTreeMap};

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use tenon_core::{Time, ports::queue::LeasedJob};
use uuid::Uuid;

use crate::{error::Result, sql::sql};

/// Who takes how many of what, for how long.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who.
    pub worker: &'a str,
    /// Of these queues.
    pub queues: &'a [String],
    /// At most so many.
    pub limit: i64,
    /// Those that are ready now.
    pub now: Time,
    /// Until then.
    pub until: Time,
}

/// The last job that a worker took of each queue and priority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(BTreeMap<(String, Reverse<i16>), (Time, Uuid)>);

impl Marks {
    fn note(&mut self, row: &LeasedRow) {
        let mark = self.0.entry((row.queue.clone(), Reverse(row.priority))).or_default();
        *mark = (*mark).max((row.run_at, row.id));
    }

    /// The priorities of `queue` between those with a mark, as pairs of bounds that do not belong to them.
    fn gaps(&self, queue: &str) -> Vec<(i16, i16)> {
        let mut above = 101;
        let mut gaps = vec![];
        let known = self.0.keys().filter(|(of, _)| of == queue).map(|(_, Reverse(priority))| *priority);
        for priority in known.chain([-101]) {
            if above - priority > 1 {
                gaps.push((priority, above));
            }
            above = priority;
        }
        gaps
    }
}

/// The outer half of both statements: leases what `picked` says.
macro_rules! lease {
    ($picked:literal) => {
        concat!(
            "WITH ",
            $picked,
            "UPDATE jobs j SET worker = $1, lease_until = $2, started_at = $3, attempts = j.attempts + 1
             FROM picked WHERE j.id = picked.id
             RETURNING j.id, j.name, j.payload, j.queue, j.priority, j.run_at, j.attempts, j.max_attempts,
                       j.lost_workers, j.correlation_id"
        )
    };
}

/// Leases jobs that are ready, the most urgent first, and notes how far that was.
pub async fn fetch(conn: &mut AsyncPgConnection, ask: Ask<'_>, marks: &mut Marks) -> Result<Vec<LeasedJob>> {
    // Each queue by itself, so that each walks its own part of the index in order and stops.
    let rows = sql(lease!(
        "picked AS MATERIALIZED (
           SELECT ready.id
           FROM (SELECT DISTINCT name FROM unnest($5) AS q(name)) q
           CROSS JOIN LATERAL (
             SELECT j.id, j.priority, j.run_at FROM jobs j
             WHERE j.queue = q.name AND j.worker IS NULL AND NOT j.blocked AND j.run_at <= $3
             ORDER BY j.priority DESC, j.run_at, j.id
             LIMIT $4
             FOR UPDATE SKIP LOCKED
           ) ready
           WHERE NOT EXISTS (SELECT FROM paused_queues p WHERE p.queue = q.name)
           ORDER BY ready.priority DESC, ready.run_at, ready.id
           LIMIT $4
         ) "
    ))
    .bind::<st::Text, _>(ask.worker)
    .bind::<st::Timestamptz, _>(ask.until)
    .bind::<st::Timestamptz, _>(ask.now)
    .bind::<st::BigInt, _>(ask.limit)
    .bind::<st::Array<st::Text>, _>(ask.queues)
    .load(conn)
    .await?;
    Ok(in_order(rows, marks))
}

/// As [`fetch`], but of the queues and priorities that have a mark only what is past it.
pub async fn fetch_past(
    conn: &mut AsyncPgConnection,
    ask: Ask<'_>,
    marks: &mut Marks,
) -> Result<Vec<LeasedJob>> {
    let mut queues: Vec<&String> = ask.queues.iter().collect();
    queues.sort_unstable();
    queues.dedup();
    let gaps: Vec<(&str, (i16, i16))> = queues
        .iter()
        .flat_map(|queue| marks.gaps(queue).into_iter().map(|gap| (queue.as_str(), gap)))
        .collect();
    let marked: Vec<_> = marks.0.iter().filter(|((queue, _), _)| queues.contains(&queue)).collect();
    let rows = sql(lease!(
        "past AS MATERIALIZED (
           SELECT ready.*
           FROM unnest($5, $6, $7, $8) AS m(queue, priority, run_at, id)
           CROSS JOIN LATERAL (
             SELECT j.id, j.priority, j.run_at FROM jobs j
             WHERE j.queue = m.queue AND j.priority = m.priority AND (j.run_at, j.id) > (m.run_at, m.id)
               AND j.worker IS NULL AND NOT j.blocked AND j.run_at <= $3
             ORDER BY j.run_at, j.id
             LIMIT $4
             FOR UPDATE SKIP LOCKED
           ) ready
           WHERE NOT EXISTS (SELECT FROM paused_queues p WHERE p.queue = m.queue)
         ), between_marks AS MATERIALIZED (
           SELECT ready.*
           FROM unnest($9, $10, $11) AS g(queue, above, below)
           CROSS JOIN LATERAL (
             SELECT j.id, j.priority, j.run_at FROM jobs j
             WHERE j.queue = g.queue AND j.priority > g.above AND j.priority < g.below
               AND j.worker IS NULL AND NOT j.blocked AND j.run_at <= $3
             ORDER BY j.priority DESC, j.run_at, j.id
             LIMIT $4
             FOR UPDATE SKIP LOCKED
           ) ready
           WHERE NOT EXISTS (SELECT FROM paused_queues p WHERE p.queue = g.queue)
         ), picked AS MATERIALIZED (
           SELECT id FROM (TABLE past UNION ALL TABLE between_marks) ready
           ORDER BY priority DESC, run_at, id LIMIT $4
         ) "
    ))
    .bind::<st::Text, _>(ask.worker)
    .bind::<st::Timestamptz, _>(ask.until)
    .bind::<st::Timestamptz, _>(ask.now)
    .bind::<st::BigInt, _>(ask.limit)
    .bind::<st::Array<st::Text>, _>(marked.iter().map(|((queue, _), _)| queue.as_str()).collect::<Vec<_>>())
    .bind::<st::Array<st::SmallInt>, _>(marked.iter().map(|((_, p), _)| p.0).collect::<Vec<_>>())
    .bind::<st::Array<st::Timestamptz>, _>(marked.iter().map(|(_, mark)| mark.0).collect::<Vec<_>>())
    .bind::<st::Array<st::Uuid>, _>(marked.iter().map(|(_, mark)| mark.1).collect::<Vec<_>>())
    .bind::<st::Array<st::Text>, _>(gaps.iter().map(|(queue, _)| *queue).collect::<Vec<_>>())
    .bind::<st::Array<st::SmallInt>, _>(gaps.iter().map(|(_, gap)| gap.0).collect::<Vec<_>>())
    .bind::<st::Array<st::SmallInt>, _>(gaps.iter().map(|(_, gap)| gap.1).collect::<Vec<_>>())
    .load(conn)
    .await?;
    Ok(in_order(rows, marks))
}

fn in_order(mut rows: Vec<LeasedRow>, marks: &mut Marks) -> Vec<LeasedJob> {
    rows.sort_unstable_by_key(|row| (-row.priority, row.run_at, row.id));
    for row in &rows {
        marks.note(row);
    }
    rows.into_iter().map(LeasedJob::from).collect()
}

#[derive(QueryableByName)]
struct LeasedRow {
    #[diesel(sql_type = st::Uuid)]
    id: Uuid,
    #[diesel(sql_type = st::Text)]
    name: String,
    #[diesel(sql_type = st::Json)]
    payload: serde_json::Value,
    #[diesel(sql_type = st::Text)]
    queue: String,
    #[diesel(sql_type = st::SmallInt)]
    priority: i16,
    #[diesel(sql_type = st::Timestamptz)]
    run_at: Time,
    #[diesel(sql_type = st::Integer)]
    attempts: i32,
    #[diesel(sql_type = st::Integer)]
    max_attempts: i32,
    #[diesel(sql_type = st::Integer)]
    lost_workers: i32,
    #[diesel(sql_type = st::Nullable<st::Text>)]
    correlation_id: Option<String>,
}

impl From<LeasedRow> for LeasedJob {
    fn from(row: LeasedRow) -> Self {
        Self {
            id: row.id.into(),
            name: row.name,
            payload: row.payload,
            queue: row.queue,
            attempt: row.attempts,
            max_attempts: row.max_attempts,
            lost_workers: row.lost_workers,
            correlation_id: row.correlation_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_mark_lies_between_the_marks() {
        let mut marks = Marks::default();
        assert_eq!(marks.gaps("mail"), [(-101, 101)]);
        for priority in [0, 1, 100, -100] {
            marks.0.insert(("mail".to_owned(), Reverse(priority)), Default::default());
        }
        assert_eq!(marks.gaps("mail"), [(1, 100), (-100, 0)]);
        assert_eq!(marks.gaps("default"), [(-101, 101)]);
    }
}
