//! Our queues, as a worker uses them through the port.
//!
//! The one in Postgres is what most is about; those outside the database are measured as they are given jobs by the
//! relay, without the two writes in Postgres that each job costs besides.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::Utc;
use diesel_async::SimpleAsyncConnection;
use futures_util::future::join_all;
use serde_json::json;
use tenon_adapters::queue::{Config, connect};
use tenon_core::{
    Time,
    ports::{
        clock::Clock,
        queue::{NewJob, Outcome, Queue, Remote},
    },
};
use tenon_db::{Db, DbConfig, jobs, migrations, pool::Watch, sql::sql};

use crate::{SINGLY, cluster::Cluster};

const LEASE: Duration = Duration::from_secs(30);
const WORKERS: usize = 2;

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Utc::now()
    }
}

pub(crate) struct Ours {
    queue: Arc<dyn Queue>,
    db: Db,
    queues: [String; 1],
    statements: Arc<AtomicU64>,
}

impl Ours {
    pub(crate) async fn new(cluster: &Cluster, config: &Config) -> Self {
        let statements = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&statements);
        let watch: Watch = Arc::new(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let db = Db::open(DbConfig { watch: Some(watch), ..DbConfig::new(cluster.database().await) });
        migrations::run(&db).await.unwrap();
        let queue = connect(config, &db, Arc::new(SystemClock)).await.unwrap();
        Self { queue, db, queues: ["default".to_owned()], statements }
    }

    /// As a use-case does, where the queue takes part in its transaction, which is none besides here; or as the relay.
    async fn enqueue(&self, new: Vec<NewJob>) {
        if self.queue.capabilities().transactional {
            jobs::insert(&mut self.db.conn().await.unwrap(), &new).await.unwrap();
            self.queue.notify(&self.queues).await;
        } else {
            self.queue.push(new).await.unwrap();
        }
    }

    pub(crate) async fn singly(&self, at_once: usize) {
        join_all((0..at_once).map(|_| async {
            for _ in 0..SINGLY / at_once {
                self.enqueue(vec![job(0)]).await;
            }
        }))
        .await;
    }

    pub(crate) async fn thousands(&self, jobs: usize, priority: i16) {
        for _ in 0..jobs / 1000 {
            self.enqueue((0..1000).map(|_| job(priority)).collect()).await;
        }
    }

    /// Takes and ends everything that is ready.
    pub(crate) async fn drain(&self, batch: usize) {
        let is_over = AtomicBool::new(false);
        let work = async {
            join_all(
                (0..WORKERS).map(|n| async move { while self.turn(&format!("w{n}"), batch).await > 0 {} }),
            )
            .await;
            is_over.store(true, Ordering::Relaxed);
        };
        let relay = async {
            if let Some(remote) = self.queue.remote() {
                forget_ended(remote, &is_over).await;
            }
        };
        tokio::join!(work, relay);
    }

    async fn turn(&self, worker: &str, batch: usize) -> usize {
        let jobs = self.queue.fetch(worker, &self.queues, batch, LEASE).await.unwrap();
        let count = jobs.len();
        if count > 0 {
            let outcomes = jobs.into_iter().map(|job| (job.id, Outcome::Done)).collect();
            self.queue.settle(worker, outcomes).await.unwrap();
        }
        count
    }

    /// Milliseconds from before each push until the job is in an idle worker's hands.
    pub(crate) async fn pick_up(&self, times: usize) -> Vec<f64> {
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
                tokio::time::sleep(Duration::from_millis(20)).await;
                let began = Instant::now();
                self.enqueue(vec![job(0)]).await;
                began
            };
            let (had, began) = tokio::join!(worker, push);
            waits.push((had - began).as_secs_f64() * 1000.0);
        }
        waits
    }

    /// Jobs run in each second while others are enqueued, all the time; if `is_pinned`, beside an idle transaction that
    /// keeps vacuum from removing anything, as a dump does.
    pub(crate) async fn steadily(&self, span: Duration, is_pinned: bool) -> Vec<f64> {
        let mut dump = self.db.dedicated().await.unwrap();
        if is_pinned {
            dump.batch_execute("SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM jobs")
                .await
                .unwrap();
        }
        let (is_over, ran) = (AtomicBool::new(false), AtomicU64::new(0));
        let push = async {
            let mut pushed = 0;
            while !is_over.load(Ordering::Relaxed) {
                self.thousands(1000, 0).await;
                pushed += 1000;
                // Never more than some thousands ahead.
                while !is_over.load(Ordering::Relaxed) && pushed > ran.load(Ordering::Relaxed) + 5_000 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        };
        let work = join_all((0..WORKERS).map(|n| {
            let (is_over, ran) = (&is_over, &ran);
            async move {
                while !is_over.load(Ordering::Relaxed) {
                    let count = self.turn(&format!("w{n}"), 100).await;
                    ran.fetch_add(count as u64, Ordering::Relaxed);
                }
            }
        }));
        let watch = async {
            let mut rates = vec![];
            let began = Instant::now();
            while began.elapsed() < span {
                let (before, since) = (ran.load(Ordering::Relaxed), Instant::now());
                tokio::time::sleep(Duration::from_secs(1)).await;
                let more = u32::try_from(ran.load(Ordering::Relaxed) - before).unwrap();
                rates.push(f64::from(more) / since.elapsed().as_secs_f64());
            }
            is_over.store(true, Ordering::Relaxed);
            rates
        };
        let (rates, (), _) = tokio::join!(watch, push, work);
        if is_pinned {
            dump.batch_execute("COMMIT").await.unwrap();
        }
        self.drain(500).await;
        rates
    }

    /// Milliseconds that ten jobs take.
    pub(crate) async fn fetches(&self, times: usize) -> f64 {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            self.enqueue((0..10).map(|_| job(0)).collect()).await;
            let began = Instant::now();
            assert_eq!(self.turn("w", 10).await, 10);
            took += began.elapsed();
        }
        took.as_secs_f64() * 1000.0 / f64::from(u32::try_from(times).unwrap())
    }

    /// Adds jobs that ended an hour ago.
    pub(crate) async fn remember(&self, jobs: i64) {
        use diesel_async::RunQueryDsl as _;
        sql("INSERT INTO finished_jobs (id, queue, name, payload, priority, state, attempts, max_attempts, created_at,
                                        started_at, finished_at)
             SELECT gen_random_uuid(), 'default', 'nothing', '{}', 0, 'done', 1, 3, h, h, h
             FROM generate_series(1, $1), (SELECT now() - interval '1 hour' AS h) hour")
        .bind::<diesel::sql_types::BigInt, _>(jobs)
        .execute(&mut *self.db.conn().await.unwrap())
        .await
        .unwrap();
    }

    /// Statements in a second of a worker that finds nothing to do.
    pub(crate) async fn idle_statements(&self, span: Duration) -> f64 {
        let queue = ["elsewhere".to_owned()];
        let worker = async {
            loop {
                self.queue.wait(&queue, Duration::from_secs(2)).await;
                self.queue.fetch("idle", &queue, 1, LEASE).await.unwrap();
            }
        };
        let before = self.statements.load(Ordering::Relaxed);
        let _ = tokio::time::timeout(span, worker).await;
        let statements = u32::try_from(self.statements.load(Ordering::Relaxed) - before).unwrap();
        f64::from(statements) / span.as_secs_f64()
    }
}

/// Forgets what ended until `is_over`, and the rest then, as the relay does.
async fn forget_ended(remote: &dyn Remote, is_over: &AtomicBool) {
    loop {
        let is_last = is_over.load(Ordering::Relaxed);
        let ended = remote.ended(500).await.unwrap();
        remote.forget(&ended).await.unwrap();
        if ended.is_empty() {
            if is_last {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

fn job(priority: i16) -> NewJob {
    NewJob {
        id: uuid::Uuid::now_v7().into(),
        name: "nothing".to_owned(),
        payload: json!({}),
        queue: "default".to_owned(),
        priority,
        run_at: Utc::now(),
        max_attempts: 3,
        attempts: 0,
        correlation_id: None,
        lock: None,
        unique_key: None,
    }
}
