//! `just bench queue`: the Postgres queue beside a bare loop, on the same server, interleaved, in three rounds.
//!
//! Figures of one run compare with one another, not with those of another machine. Counts are bounded; the whole
//! takes a minute or two.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first error and prints")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::join_all;
use serde_json::json;
use tenon_adapters::queue::{Config, connect};
use tenon_core::{
    Time,
    ports::{
        clock::Clock,
        queue::{NewJob, Outcome, Queue},
    },
};
use tenon_db::sql::sql;
use tenon_testkit::TestDb;

const ROUNDS: usize = 3;
const LEASE: Duration = Duration::from_secs(30);
const WORKERS: usize = 2;
const SINGLY: usize = 1_000;
const RUN: usize = 20_000;
const BACKLOGS: [usize; 3] = [0, 10_000, 1_000_000];

struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "a bench runs by the clock on the wall")]
    fn now(&self) -> Time {
        Utc::now()
    }
}

struct Bench {
    queue: Arc<dyn Queue>,
    database: TestDb,
    queues: [String; 1],
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut rows: Vec<(String, Vec<f64>)> = vec![];
        for round in 1..=ROUNDS {
            println!("round {round} of {ROUNDS}");
            let mut note = |what: &str, figure: f64| match rows.iter_mut().find(|(of, _)| of == what) {
                Some((_, figures)) => figures.push(figure),
                None => rows.push((what.to_owned(), vec![figure])),
            };
            Bench::new().await.round(&mut note, round == ROUNDS).await;
        }
        println!("| measured | median of {ROUNDS} rounds |\n|---|---|");
        for (what, mut figures) in rows {
            figures.sort_by(f64::total_cmp);
            println!("| {what} | {:.*} |", usize::from(what.ends_with("ms")), figures[figures.len() / 2]);
        }
    });
}

impl Bench {
    async fn new() -> Self {
        let database = TestDb::new().await;
        let queue = connect(&Config::Postgres {}, database.db(), Arc::new(SystemClock));
        let mut conn = database.db().conn().await.unwrap();
        let bare =
            "CREATE TABLE bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload json NOT NULL,
                      taken boolean NOT NULL DEFAULT false);
                    CREATE INDEX bare_ready ON bare (id) WHERE NOT taken";
        conn.batch_execute(bare).await.unwrap();
        drop(conn);
        Self { queue, database, queues: ["default".to_owned()] }
    }

    async fn round(&self, note: &mut impl FnMut(&str, f64), is_last: bool) {
        note("bare: enqueue singly, one at a time, jobs/s", per_second(SINGLY, self.bare_singly()).await);
        note("ours: enqueue singly, one at a time, jobs/s", per_second(SINGLY, self.singly(1)).await);
        note("ours: enqueue singly, ten at a time, jobs/s", per_second(SINGLY, self.singly(10)).await);
        self.drain(100).await;
        self.bare_drain(100).await;
        note("bare: enqueue in thousands, jobs/s", per_second(RUN, self.bare_thousands(RUN)).await);
        note("ours: enqueue in thousands, jobs/s", per_second(RUN, self.thousands(RUN)).await);
        note("bare: run, batches of 100, jobs/s", per_second(RUN, self.bare_drain(100)).await);
        note("ours: run, batches of 100, jobs/s", per_second(RUN, self.drain(100)).await);
        self.thousands(RUN).await;
        note("ours: run, batches of 500, jobs/s", per_second(RUN, self.drain(500)).await);
        let mut waits = self.pick_up(200).await;
        waits.sort_by(f64::total_cmp);
        note("ours: pick-up by an idle worker, p50 ms", waits[waits.len() / 2]);
        note("ours: pick-up by an idle worker, p99 ms", waits[waits.len() * 99 / 100]);
        self.pinned(note).await;
        if is_last {
            let mut there = 0;
            for backlog in BACKLOGS {
                // Of a lower priority, so that what is fetched was added just now.
                self.add(backlog - there, -1).await;
                there = backlog;
                note(
                    &format!("ours: fetch and end 10 of a backlog of {backlog}, ms"),
                    self.fetches(200).await,
                );
            }
        }
    }

    async fn singly(&self, at_a_time: usize) {
        let one = async || {
            for _ in 0..SINGLY / at_a_time {
                self.queue.push(vec![job(0)]).await.unwrap();
            }
        };
        join_all((0..at_a_time).map(|_| one())).await;
    }

    async fn thousands(&self, jobs: usize) {
        self.add(jobs, 0).await;
    }

    async fn add(&self, jobs: usize, priority: i16) {
        for _ in 0..jobs / 1000 {
            self.queue.push((0..1000).map(|_| job(priority)).collect()).await.unwrap();
        }
    }

    async fn drain(&self, batch: usize) {
        join_all((0..WORKERS).map(|n| async move {
            let name = format!("w{n}");
            loop {
                let jobs = self.queue.fetch(&name, &self.queues, batch, LEASE).await.unwrap();
                if jobs.is_empty() {
                    return;
                }
                let outcomes = jobs.into_iter().map(|job| (job.id, Outcome::Done)).collect();
                self.queue.settle(&name, outcomes).await.unwrap();
            }
        }))
        .await;
    }

    /// Milliseconds from before the push until the job is in hand.
    async fn pick_up(&self, times: usize) -> Vec<f64> {
        let mut waits = vec![];
        for _ in 0..times {
            let worker = async {
                loop {
                    self.queue.wait(&self.queues, Duration::from_secs(2)).await;
                    let jobs = self.queue.fetch("idle", &self.queues, 1, LEASE).await.unwrap();
                    if let [job, ..] = &jobs[..] {
                        let had = Instant::now();
                        self.queue.settle("idle", vec![(job.id, Outcome::Done)]).await.unwrap();
                        return had;
                    }
                }
            };
            let push = async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                let began = Instant::now();
                self.queue.push(vec![job(0)]).await.unwrap();
                began
            };
            let (had, began) = tokio::join!(worker, push);
            waits.push((had - began).as_secs_f64() * 1000.0);
        }
        waits
    }

    /// With an idle transaction that keeps vacuum from removing anything.
    async fn pinned(&self, note: &mut impl FnMut(&str, f64)) {
        let mut dump = self.database.db().dedicated().await.unwrap();
        dump.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobs").await.unwrap();
        self.thousands(2 * RUN).await;
        note(
            "ours: run, batches of 100, vacuum held back, jobs/s",
            per_second(2 * RUN, self.drain(100)).await,
        );
        dump.batch_execute("COMMIT").await.unwrap();
    }

    /// Milliseconds that ten jobs take.
    async fn fetches(&self, times: usize) -> f64 {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            self.queue.push((0..10).map(|_| job(0)).collect()).await.unwrap();
            let began = Instant::now();
            let jobs = self.queue.fetch("w", &self.queues, 10, LEASE).await.unwrap();
            assert_eq!(jobs.len(), 10);
            let outcomes = jobs.into_iter().map(|job| (job.id, Outcome::Done)).collect();
            self.queue.settle("w", outcomes).await.unwrap();
            took += began.elapsed();
        }
        took.as_secs_f64() * 1000.0 / f64::from(u32::try_from(times).unwrap())
    }

    async fn bare_singly(&self) {
        let mut conn = self.database.db().conn().await.unwrap();
        for _ in 0..SINGLY {
            sql("INSERT INTO bare (payload) VALUES ('{}')").execute(&mut *conn).await.unwrap();
        }
    }

    async fn bare_thousands(&self, jobs: usize) {
        let mut conn = self.database.db().conn().await.unwrap();
        for _ in 0..jobs / 1000 {
            sql("INSERT INTO bare (payload) SELECT '{}' FROM generate_series(1, 1000)")
                .execute(&mut *conn)
                .await
                .unwrap();
        }
    }

    async fn bare_drain(&self, batch: i64) {
        join_all((0..WORKERS).map(|_| async move {
            let mut conn = self.database.db().conn().await.unwrap();
            while bare_batch(&mut conn, batch).await > 0 {}
        }))
        .await;
    }
}

#[derive(diesel::QueryableByName)]
struct Bare {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    id: i64,
    #[diesel(sql_type = diesel::sql_types::Json)]
    #[expect(dead_code, reason = "read as a worker would")]
    payload: serde_json::Value,
}

/// Claims a batch, then deletes it.
async fn bare_batch(conn: &mut AsyncPgConnection, batch: i64) -> usize {
    let taken: Vec<Bare> = sql("UPDATE bare SET taken = true WHERE id = ANY(ARRAY(
           SELECT id FROM bare WHERE NOT taken ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
         )) RETURNING id, payload")
    .bind::<diesel::sql_types::BigInt, _>(batch)
    .load(conn)
    .await
    .unwrap();
    let ids: Vec<i64> = taken.iter().map(|row| row.id).collect();
    sql("DELETE FROM bare WHERE id = ANY($1)")
        .bind::<diesel::sql_types::Array<diesel::sql_types::BigInt>, _>(ids)
        .execute(conn)
        .await
        .unwrap();
    taken.len()
}

async fn per_second(jobs: usize, work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    f64::from(u32::try_from(jobs).unwrap()) / began.elapsed().as_secs_f64()
}

fn job(priority: i16) -> NewJob {
    NewJob {
        id: uuid::Uuid::now_v7().into(),
        name: "nothing".to_owned(),
        payload: json!({}),
        queue: "default".to_owned(),
        priority,
        run_at: SystemClock.now(),
        max_attempts: 3,
        correlation_id: None,
        lock: None,
        unique_key: None,
    }
}
