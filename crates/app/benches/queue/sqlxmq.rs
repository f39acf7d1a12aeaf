//! sqlxmq as it comes: its migrations, its builder, its runner at fifty jobs at once.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use sqlx::{
    PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use sqlxmq::{CurrentJob, JobBuilder, JobRunnerHandle, JobRunnerOptions};
use tokio::sync::Notify;

use crate::{PICK_UPS, RUN_SLOWLY, SINGLY, cluster::Cluster, table::Table};

const WHOSE: &str = "sqlxmq, 50 at once";
const AT_ONCE: usize = 50;

pub(crate) struct Sqlxmq {
    pool: PgPool,
    /// One was handed out.
    taken: Arc<Notify>,
    ran: Arc<AtomicUsize>,
    /// One more ran.
    ended: Arc<Notify>,
}

impl Sqlxmq {
    /// On a database of its own; none when its migrations are not at hand.
    pub(crate) async fn start(cluster: &Cluster) -> Option<Self> {
        let migrations = PathBuf::from(std::env::var_os("TENON_BENCH_SQLXMQ")?);
        let options: PgConnectOptions = cluster.database().await.parse().unwrap();
        let pool = PgPoolOptions::new().max_connections(16).connect_with(options).await.unwrap();
        Migrator::new(migrations).await.unwrap().run(&pool).await.unwrap();
        Some(Self { pool, taken: Arc::default(), ran: Arc::default(), ended: Arc::default() })
    }

    pub(crate) async fn measure(self, cluster: &Cluster, table: &mut Table) {
        table.phase(cluster, WHOSE, "singly", SINGLY, self.singly(1)).await;
        table.phase(cluster, WHOSE, "ten at once", SINGLY, self.singly(10)).await;
        self.run(2 * SINGLY).await;
        table.phase(cluster, WHOSE, "thousands", RUN_SLOWLY, self.thousands(RUN_SLOWLY)).await;
        table.phase(cluster, WHOSE, "run", RUN_SLOWLY, self.run(RUN_SLOWLY)).await;
        table.waits(WHOSE, self.pick_up().await);
    }

    async fn singly(&self, at_once: usize) {
        join_all((0..at_once).map(|_| async {
            for _ in 0..SINGLY / at_once {
                self.spawn().await;
            }
        }))
        .await;
    }

    async fn spawn(&self) {
        JobBuilder::new("nothing").set_json(&json!({})).unwrap().spawn(&self.pool).await.unwrap();
    }

    /// Its builder spawns one at a time; its function in the database takes any number.
    async fn thousands(&self, jobs: usize) {
        for _ in 0..jobs / 1000 {
            sqlx::query(
                "SELECT mq_insert(array_agg(ROW(gen_random_uuid(), interval '0', 4, interval '1 s', '', '', NULL, false,
                                                'nothing', '{}', NULL)::mq_new_t))
                 FROM generate_series(1, 1000)",
            )
            .execute(&self.pool)
            .await
            .unwrap();
        }
    }

    async fn runner(&self) -> JobRunnerHandle {
        let (taken, ran, ended) = (Arc::clone(&self.taken), Arc::clone(&self.ran), Arc::clone(&self.ended));
        let dispatch = move |mut job: CurrentJob| {
            taken.notify_waiters();
            let (ran, ended) = (Arc::clone(&ran), Arc::clone(&ended));
            tokio::spawn(async move {
                job.complete().await.unwrap();
                ran.fetch_add(1, Ordering::SeqCst);
                ended.notify_one();
            });
        };
        JobRunnerOptions::new(&self.pool, dispatch).set_concurrency(AT_ONCE / 2, AT_ONCE).run().await.unwrap()
    }

    async fn run(&self, jobs: usize) {
        let enough = self.ran.load(Ordering::SeqCst) + jobs;
        let mut runner = self.runner().await;
        while self.ran.load(Ordering::SeqCst) < enough {
            self.ended.notified().await;
        }
        runner.stop().await;
    }

    /// Milliseconds from before each push until the job is handed out.
    async fn pick_up(&self) -> Vec<f64> {
        let mut runner = self.runner().await;
        let mut waits = vec![];
        for _ in 0..PICK_UPS {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let (taken, began) = (self.taken.notified(), Instant::now());
            self.spawn().await;
            taken.await;
            waits.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        runner.stop().await;
        waits
    }
}
