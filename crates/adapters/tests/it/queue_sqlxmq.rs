//! The queue sqlxmq, beyond its laws: what was found wrong with sqlxmq itself is not wrong here.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};
use tenon_adapters::queue::{Config, connect};
use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{Beat, NewJob, Outcome, Queue, QueueError},
    },
};
use tenon_db::{Db, DbConfig};
use tenon_testkit::{TestDb, clock::FakeClock, laws::soon};

const LEASE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_exhausted_leaves_nothing_behind_and_blocks_nobody() {
    let t = Test::new().await;
    let (dies, next) = (NewJob { max_attempts: 1, ..t.job() }, t.job());
    t.queue.push(vec![dies.clone(), next.clone()]).await.unwrap();
    assert_eq!(t.fetch(1).await, [dies.id]);
    let retry = Outcome::Retry { at: t.clock.now(), error: "broken".into() };
    t.queue.settle("w", vec![(dies.id, retry)]).await.unwrap();
    assert_eq!(t.fetch(1).await, [next.id]);
    t.queue.settle("w", vec![(next.id, Outcome::Done)]).await.unwrap();
    let remote = t.queue.remote().unwrap();
    let ended = remote.ended(10).await.unwrap();
    assert_eq!(ended.len(), 2);
    remote.forget(&ended).await.unwrap();
    for table in ["mq_msgs", "mq_payloads", "mq_ended"] {
        assert_eq!(t.count(&format!("SELECT count(*) FROM sqlxmq.{table}")).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_job_that_was_kept_alive_for_long_comes_back_after_one_lease() {
    let t = Test::new().await;
    let job = t.job();
    t.queue.push(vec![job.clone()]).await.unwrap();
    t.fetch(1).await;
    let beat = [Beat { id: job.id, progress: None }];
    for _ in 0..100 {
        t.clock.advance(LEASE / 3);
        assert_eq!(t.queue.renew("w", &beat, LEASE).await.unwrap().len(), 1);
    }
    t.clock.advance(LEASE);
    assert_eq!(t.fetch(1).await, [job.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_on_live_work_run_nothing_twice() {
    let t = Test::new().await;
    let held = Mutex::new(HashSet::<JobId>::new());
    let adding = async {
        for _ in 0..30 {
            t.queue.push((0..10).map(|_| t.job()).collect()).await.unwrap();
        }
    };
    let working = futures_util::future::join_all((0..4).map(|n| {
        let (t, held) = (&t, &held);
        async move {
            let worker = format!("w{n}");
            while held.lock().unwrap().len() < 300 {
                let jobs = t.queue.fetch(&worker, &["default".to_owned()], 7, LEASE).await.unwrap();
                for job in &jobs {
                    assert!(held.lock().unwrap().insert(job.id), "run twice");
                }
                let outcomes = jobs.iter().map(|job| (job.id, Outcome::Done)).collect();
                t.queue.settle(&worker, outcomes).await.unwrap();
            }
        }
    }));
    soon(async { tokio::join!(adding, working) }).await;
}

#[tokio::test]
async fn no_extension_is_needed() {
    let t = Test::new().await;
    assert_eq!(t.count("SELECT count(*) FROM pg_extension WHERE extname <> 'plpgsql'").await, 0);
}

#[tokio::test]
async fn it_goes_on_when_its_connections_were_cut() {
    let t = Test::new().await;
    let job = t.job();
    t.queue.push(vec![job.clone()]).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE application_name = 'tenon-queue' AND datname = current_database()";
    assert!(t.count(cut).await > 0);
    let fetched = soon(async {
        loop {
            if let Ok(jobs) = t.queue.fetch("w", &["default".to_owned()], 1, LEASE).await {
                break jobs;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(fetched.await[0].id, job.id);
}

#[tokio::test]
async fn a_payload_keeps_what_a_jsonb_would_not() {
    let t = Test::new().await;
    let odd = NewJob { payload: json!({"nul": "a\u{0}b", "z": 1, "a": 2}), ..t.job() };
    t.queue.push(vec![odd.clone()]).await.unwrap();
    let fetched = t.queue.fetch("w", &["default".to_owned()], 1, LEASE).await.unwrap();
    assert_eq!(fetched[0].payload.to_string(), odd.payload.to_string());
}

#[tokio::test]
async fn a_value_that_the_database_refuses_is_told_from_a_database_that_is_away() {
    let t = Test::new().await;
    let job = t.job();
    t.queue.push(vec![job.clone()]).await.unwrap();
    t.fetch(1).await;
    let check = "ALTER TABLE sqlxmq.mq_ended ADD CHECK (error <> 'poison')";
    t.connection().await.execute(check).await.unwrap();
    let dead = Outcome::Dead { error: "poison".into() };
    let settled = t.queue.settle("w", vec![(job.id, dead)]).await;
    assert!(matches!(settled, Err(QueueError::Refused(_))), "{settled:?}");
}

#[tokio::test]
async fn a_message_that_sqlxmq_spawned_elsewhere_is_a_job() {
    let t = Test::new().await;
    t.clock.advance(Duration::from_hours(24 * 365 * 50));
    let mut connection = t.connection().await;
    connection.execute("SET search_path = sqlxmq").await.unwrap();
    for commits in [false, true] {
        let mut transaction = connection.begin().await.unwrap();
        let mut builder = sqlxmq::JobBuilder::new("count_sheep");
        builder.set_channel_name("default").set_json(&json!({"n": 3})).unwrap();
        builder.spawn(&mut *transaction).await.unwrap();
        if commits {
            transaction.commit().await.unwrap();
        }
    }
    let fetched = t.queue.fetch("w", &["default".to_owned()], 10, LEASE).await.unwrap();
    assert_eq!(fetched.len(), 1, "one was not committed");
    assert_eq!((fetched[0].name.as_str(), &fetched[0].payload), ("count_sheep", &json!({"n": 3})));
}

#[tokio::test]
async fn what_it_cannot_do_is_refused_and_nothing_is_pushed() {
    let t = Test::new().await;
    let locked = NewJob { lock: Some("l".to_owned()), ..t.job() };
    let keyed = NewJob { unique_key: Some("k".to_owned()), ..t.job() };
    for job in [locked, keyed] {
        t.queue.push(vec![t.job(), job]).await.unwrap_err();
    }
    assert_eq!(t.fetch(10).await, []);
}

#[tokio::test]
async fn a_database_that_is_away_or_refuses_the_schema_is_named() {
    let t = Test::new().await;
    let role = format!("reader_{}", uuid::Uuid::now_v7().simple());
    let mut connection = t.connection().await;
    connection.execute(format!("CREATE ROLE {role} LOGIN").as_str()).await.unwrap();
    connection.execute("DROP SCHEMA sqlxmq CASCADE").await.unwrap();
    let mut url = url::Url::parse(t.database.url()).unwrap();
    url.set_username(&role).unwrap();
    let refused = open(&Db::open(DbConfig::new(url.as_str())), &t.clock).await;
    let away = open(&Db::open(DbConfig::new("postgres://u@127.0.0.1:9/x?sslmode=disable")), &t.clock).await;
    let odd = open(&Db::open(DbConfig::new("host=/tmp user=u")), &t.clock).await;
    connection.execute(format!("DROP ROLE {role}").as_str()).await.unwrap();
    let said = |refused: Result<_, tenon_adapters::ConnectError>| refused.map(drop).unwrap_err().to_string();
    assert_eq!(said(refused), "The database does not let the queue make its schema `sqlxmq`.");
    assert_eq!(said(away), "The database of the queue cannot be reached.");
    assert_eq!(said(odd), "The queue cannot read the database's URL.");
}

struct Test {
    queue: Arc<dyn Queue>,
    clock: FakeClock,
    database: TestDb,
}

impl Test {
    async fn new() -> Self {
        let (database, clock) = (TestDb::new().await, FakeClock::new());
        let queue = open(database.db(), &clock).await.unwrap();
        Self { queue, clock, database }
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(self.database.url()).await.unwrap()
    }

    async fn count(&self, statement: &str) -> i64 {
        sqlx::query_scalar(statement).fetch_one(&mut self.connection().await).await.unwrap()
    }

    async fn fetch(&self, limit: usize) -> Vec<JobId> {
        let fetched = self.queue.fetch("w", &["default".to_owned()], limit, LEASE).await.unwrap();
        fetched.into_iter().map(|job| job.id).collect()
    }

    fn job(&self) -> NewJob {
        NewJob {
            id: uuid::Uuid::now_v7().into(),
            name: "count_sheep".to_owned(),
            payload: json!({"n": 1}),
            queue: "default".to_owned(),
            priority: 0,
            run_at: self.clock.now(),
            max_attempts: 3,
            attempts: 0,
            correlation_id: None,
            lock: None,
            unique_key: None,
        }
    }
}

async fn open(db: &Db, clock: &FakeClock) -> Result<Arc<dyn Queue>, tenon_adapters::ConnectError> {
    let config: Config = serde_json::from_value(json!({"backend": "sqlxmq"})).unwrap();
    connect(&config, db, Arc::new(clock.clone())).await
}
