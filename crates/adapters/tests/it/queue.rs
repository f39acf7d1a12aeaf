//! Queues.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use tenon_adapters::queue::{Config, MemoryQueue, connect};
use tenon_core::{
    ids::JobId,
    ports::{
        clock::Clock,
        queue::{Cancel, NewJob, Outcome, Queue},
    },
};
use tenon_db::{
    Db,
    jobs::{self, admin, figures, history, notices},
    transaction,
};
use tenon_testkit::{
    TestDb,
    clock::FakeClock,
    laws::{DEADLINE, soon},
    queue_laws,
};

pub(crate) mod fixtures {
    use futures_util::FutureExt as _;
    use tenon_core::ports::queue::{End, Ended};
    use tenon_db::DbConfig;
    use tenon_testkit::{laws::queue::Fixture, laws::unique, services};

    use super::*;

    #[expect(clippy::unused_async, reason = "fixtures are async, since most connect to something")]
    pub(crate) async fn memory() -> Option<Fixture> {
        let clock = FakeClock::new();
        let queue = Arc::new(MemoryQueue::new(Arc::new(clock.clone())));
        let seen = queue.clone();
        let dead = move || std::future::ready(seen.dead()).boxed();
        Some(Fixture { elsewhere: queue.clone(), queue, clock, dead: Box::new(dead), keep: Box::new(()) })
    }

    /// Of a server that all share: each has its own keys.
    pub(crate) async fn redis() -> Option<Fixture> {
        let url = services::redis::shared()?;
        let clock = FakeClock::new();
        let config = json!({"backend": "redis", "url": url, "prefix": unique("queue")});
        let config: Config = serde_json::from_value(config).unwrap();
        let open = async || {
            let no_database = Db::open(DbConfig::new("postgres://127.0.0.1:9"));
            connect(&config, &no_database, Arc::new(clock.clone())).await.unwrap()
        };
        let (queue, elsewhere) = (open().await, open().await);
        let seen = elsewhere.clone();
        let dead = move || ended_badly(seen.clone()).boxed();
        Some(Fixture { queue, clock, elsewhere, dead: Box::new(dead), keep: Box::new(()) })
    }

    #[cfg(feature = "sqlxmq")]
    pub(crate) async fn sqlxmq() -> Option<Fixture> {
        let database = TestDb::new().await;
        let clock = FakeClock::new();
        let config: Config = serde_json::from_value(json!({"backend": "sqlxmq"})).unwrap();
        let open = async || connect(&config, database.db(), Arc::new(clock.clone())).await.unwrap();
        let (queue, elsewhere) = (open().await, open().await);
        let seen = elsewhere.clone();
        let dead = move || ended_badly(seen.clone()).boxed();
        Some(Fixture { queue, clock, elsewhere, dead: Box::new(dead), keep: Box::new(database) })
    }

    /// The dead of a queue that does not live in the database.
    pub(super) async fn ended_badly(queue: Arc<dyn Queue>) -> Vec<(JobId, String)> {
        let ended = queue.remote().unwrap().ended(100).await.unwrap();
        let error = |ended: Ended| match ended.end {
            End::Dead { error } => Some((ended.id, error.into())),
            End::Done | End::Cancelled => None,
        };
        ended.into_iter().filter_map(error).collect()
    }

    pub(crate) async fn postgres() -> Option<Fixture> {
        let database = TestDb::new().await;
        let clock = FakeClock::new();
        let queue = super::postgres_queue(database.db(), &clock).await;
        let elsewhere = super::postgres_queue(database.db(), &clock).await;
        let db = database.db().clone();
        let dead = move || dead(db.clone()).boxed();
        Some(Fixture { queue, clock, elsewhere, dead: Box::new(dead), keep: Box::new(database) })
    }

    async fn dead(db: Db) -> Vec<(JobId, String)> {
        let filter = admin::Filter { state: Some(admin::State::Dead), ..admin::Filter::default() };
        let rows = admin::list(&mut db.conn().await.unwrap(), &filter, None, 100).await.unwrap();
        rows.into_iter().map(|row| (row.id.into(), row.error.unwrap_or_default())).collect()
    }
}

queue_laws!(memory, crate::queue::fixtures::memory);
queue_laws!(postgres, crate::queue::fixtures::postgres);
queue_laws!(redis, crate::queue::fixtures::redis);
#[cfg(feature = "sqlxmq")]
queue_laws!(sqlxmq, crate::queue::fixtures::sqlxmq);

#[tokio::test]
async fn a_rolled_back_transaction_enqueues_nothing() {
    let t = Test::new().await;
    let (gone, kept) = (t.job(), t.job());
    for (job, commits) in [(&gone, false), (&kept, true)] {
        let mut conn = t.database.db().conn().await.unwrap();
        transaction::begin(&mut conn).await.unwrap();
        jobs::insert(&mut conn, std::slice::from_ref(job)).await.unwrap();
        assert_eq!(t.fetch(10).await, [], "seen before the commit");
        if commits {
            transaction::commit(&mut conn).await.unwrap();
        } else {
            transaction::rollback(&mut conn).await.unwrap();
        }
    }
    assert_eq!(t.fetch(10).await, [kept.id]);
}

#[tokio::test]
async fn another_process_hears_of_a_push_without_looking() {
    let t = Test::new().await;
    let elsewhere = postgres_queue(t.database.db(), &t.clock).await;
    let queues = ["default".to_owned()];
    let (began, mut heard_at_once) = (Instant::now(), 0);
    while heard_at_once < 6 {
        assert!(began.elapsed() < DEADLINE, "pushes are found by polling only");
        let waiting = async {
            let since = Instant::now();
            t.queue.wait(&queues, DEADLINE).await;
            since.elapsed()
        };
        let pushing = async { elsewhere.push(vec![t.job()]).await.unwrap() };
        let (waited, _) = tokio::join!(waiting, pushing);
        // Polling takes longer. The first two may be the listener's own doing, as it begins to hear.
        if waited < Duration::from_secs(1) {
            heard_at_once += 1;
        }
    }
}

#[tokio::test]
async fn a_lost_listening_connection_is_made_again() {
    let t = Test::new().await;
    let mut conn = t.database.db().dedicated().await.unwrap();
    let cut = async |conn: &mut tenon_db::Connection| notices::cut(conn).await.unwrap();
    let until = Instant::now() + DEADLINE;
    while cut(&mut conn).await == 0 {
        assert!(Instant::now() < until, "nobody listens");
        tokio::task::yield_now().await;
    }
    while cut(&mut conn).await == 0 {
        assert!(Instant::now() < until, "nobody listens again");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_dead_job_can_be_retried_or_discarded() {
    let t = Test::new().await;
    let (again, never) = (t.job(), t.job());
    t.queue.push(vec![again.clone(), never.clone()]).await.unwrap();
    t.fetch(2).await;
    let dead = || Outcome::Dead { error: "broken".into() };
    t.queue.settle("w", vec![(again.id, dead()), (never.id, dead())]).await.unwrap();
    let mut conn = t.database.db().conn().await.unwrap();
    let now = t.clock.now();
    let queues = figures::queues(&mut conn, now).await.unwrap();
    let counts = figures::Counts { waiting: 0, running: 0, dead: 2 };
    assert_eq!(queues[0].counts, counts);
    assert_eq!(queues[0].names, [(again.name.clone(), counts)]);
    assert!(admin::retry(&mut conn, again.id, now).await.unwrap());
    assert!(!admin::retry(&mut conn, again.id, now).await.unwrap());
    assert!(admin::discard(&mut conn, never.id).await.unwrap());
    assert!(!admin::discard(&mut conn, never.id).await.unwrap());
    assert_eq!(t.fetch(2).await, [again.id]);
    let rows = admin::list(&mut conn, &admin::Filter::default(), None, 10).await.unwrap();
    let seen: Vec<_> =
        rows.iter().map(|row| (row.state.as_str(), row.attempts, row.error.as_deref())).collect();
    assert_eq!(seen, [("running", 1, Some("broken"))]);
}

#[tokio::test]
async fn every_failed_attempt_is_remembered_through_a_retry_by_hand() {
    let t = Test::new().await;
    let job = NewJob { max_attempts: 3, ..t.job() };
    t.queue.push(vec![job.clone()]).await.unwrap();
    t.fetch(1).await;
    let at = t.clock.now();
    t.queue.settle("w", vec![(job.id, Outcome::Retry { at, error: "the first".into() })]).await.unwrap();
    t.fetch(1).await;
    t.clock.advance(Duration::from_mins(1));
    t.fetch(1).await;
    t.queue.settle("w", vec![(job.id, Outcome::Retry { at, error: "x".repeat(5000).into() })]).await.unwrap();
    let mut conn = t.database.db().conn().await.unwrap();
    assert!(admin::retry(&mut conn, job.id, t.clock.now()).await.unwrap());
    t.fetch(1).await;
    t.queue.settle("w", vec![(job.id, Outcome::Done)]).await.unwrap();
    let row = admin::find(&mut conn, job.id).await.unwrap().unwrap();
    let errors = row.errors.unwrap();
    let told: Vec<_> =
        errors.as_array().unwrap().iter().map(|error| (&error["attempt"], &error["worker"])).collect();
    assert_eq!(told, [(&json!(1), &json!("w")), (&json!(2), &json!("w")), (&json!(3), &json!("w"))]);
    assert_eq!(
        (&errors[0]["error"], errors[2]["error"].as_str().unwrap().chars().count()),
        (&json!("the first"), 2000)
    );
    assert!(errors[1]["error"].as_str().unwrap().contains("vanished"));
    assert_eq!(row.state, "done");
}

#[tokio::test]
async fn a_cancelled_job_never_runs_and_a_hurried_one_runs_now() {
    let t = Test::new().await;
    let later = t.clock.now() + Duration::from_hours(1);
    let (cancelled, hurried) = (NewJob { run_at: later, ..t.job() }, NewJob { run_at: later, ..t.job() });
    t.queue.push(vec![cancelled.clone(), hurried.clone()]).await.unwrap();
    let mut conn = t.database.db().conn().await.unwrap();
    assert_eq!(admin::cancel(&mut conn, cancelled.id, t.clock.now()).await.unwrap(), Cancel::Taken);
    assert!(admin::run_now(&mut conn, hurried.id, t.clock.now()).await.unwrap());
    assert_eq!(t.fetch(10).await, [hurried.id]);
    assert_eq!(
        admin::cancel(&mut conn, hurried.id, t.clock.now()).await.unwrap(),
        Cancel::Asked,
        "it runs already"
    );
    t.clock.advance(Duration::from_hours(2));
    t.queue.push(vec![cancelled]).await.unwrap();
    t.queue.settle("w", vec![(hurried.id, Outcome::Done)]).await.unwrap();
    assert_eq!(t.fetch(10).await, []);
}

#[tokio::test]
async fn finished_jobs_are_forgotten_by_age() {
    let t = Test::new().await;
    let mut conn = t.database.db().conn().await.unwrap();
    let day = Duration::from_hours(24);
    let mut ended = vec![];
    // The first day has no partition yet; it gets one before the second job ends.
    for _ in 0..3 {
        let (done, dead) = (t.job(), t.job());
        ended.extend([done.id, dead.id]);
        t.queue.push(vec![done.clone(), dead.clone()]).await.unwrap();
        t.fetch(2).await;
        let outcomes = vec![(done.id, Outcome::Done), (dead.id, Outcome::Dead { error: "".into() })];
        t.queue.settle("w", outcomes).await.unwrap();
        history::make_days(&mut conn, t.clock.now()).await.unwrap();
        t.clock.advance(day);
    }
    let all = async |conn: &mut tenon_db::Connection| {
        let rows = admin::list(conn, &admin::Filter::default(), None, 100).await.unwrap();
        rows.into_iter().map(|row| JobId::from(row.id)).collect::<Vec<_>>()
    };
    ended.sort_unstable();
    assert_eq!(all(&mut conn).await, ended, "nothing is lost when a day gets its partition");
    let now = t.clock.now();
    assert_eq!(history::make_days(&mut conn, now - day).await.unwrap(), 0, "days are made ahead");
    assert_eq!(history::drop_days(&mut conn, now - day).await.unwrap(), 2);
    assert_eq!(all(&mut conn).await.len(), 4, "the dead, and one that was done yesterday");
    assert_eq!(history::prune(&mut conn, now - day, now - 2 * day - day / 2, 100).await.unwrap(), 1);
    assert_eq!(all(&mut conn).await.len(), 3);
}

#[tokio::test]
async fn a_busy_worker_misses_neither_what_is_more_urgent_nor_what_came_late() {
    let t = Test::new().await;
    let jobs: Vec<NewJob> = (0..6).map(|_| t.job()).collect();
    t.queue.push(jobs.clone()).await.unwrap();
    assert_eq!(t.fetch(2).await, [jobs[0].id, jobs[1].id]);
    let late = NewJob { run_at: t.clock.now() - Duration::from_secs(1), ..t.job() };
    let (urgent, lazy) = (NewJob { priority: 7, ..t.job() }, NewJob { priority: -7, ..t.job() });
    t.queue.push(vec![lazy.clone(), late.clone(), urgent.clone()]).await.unwrap();
    let mut rest = vec![];
    while rest.len() < 7 {
        let fetched = t.fetch(2).await;
        assert!(!fetched.is_empty(), "{rest:?}");
        rest.extend(fetched);
    }
    assert_eq!(rest[0], urgent.id);
    assert!(rest.contains(&late.id) && rest.contains(&lazy.id));
    assert_eq!(t.fetch(2).await, []);
}

#[tokio::test]
async fn a_job_behind_the_mark_is_found_within_about_a_second() {
    let t = Test::new().await;
    let late = NewJob { run_at: t.clock.now() - Duration::from_secs(1), ..t.job() };
    t.queue.push((0..10).map(|_| t.job()).collect()).await.unwrap();
    t.fetch(1).await;
    t.queue.push(vec![late.clone()]).await.unwrap();
    let until = Instant::now() + DEADLINE;
    // There is always more past the mark.
    while t.fetch(1).await != [late.id] {
        assert!(Instant::now() < until, "it was passed by");
        t.queue.push(vec![t.job()]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_job_that_came_back_is_handed_out_at_once() {
    let t = Test::new().await;
    let jobs: Vec<NewJob> = (0..4).map(|_| t.job()).collect();
    t.queue.push(jobs.clone()).await.unwrap();
    assert_eq!(t.fetch(2).await, [jobs[0].id, jobs[1].id]);
    t.queue.settle("w", vec![(jobs[0].id, Outcome::Released)]).await.unwrap();
    assert_eq!(t.fetch(2).await, [jobs[0].id, jobs[2].id]);
}

#[tokio::test]
async fn who_finds_a_key_waiting_keeps_it_from_workers_until_the_commit() {
    let t = Test::new().await;
    let (first, second) = (t.keyed(), t.keyed());
    t.queue.push(vec![first.clone()]).await.unwrap();
    let mut conn = t.database.db().conn().await.unwrap();
    transaction::begin(&mut conn).await.unwrap();
    assert_eq!(jobs::insert(&mut conn, &[second]).await.unwrap(), [first.id]);
    assert_eq!(t.fetch(10).await, [], "it would not see what this transaction writes");
    transaction::commit(&mut conn).await.unwrap();
    assert_eq!(t.fetch(10).await, [first.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_of_one_lock_never_overlap_whoever_adds_and_runs_them() {
    let t = Test::new().await;
    let adders = (0..4).map(|_| async {
        for _ in 0..15 {
            let locked = |lock: &str| NewJob { lock: Some(lock.to_owned()), ..t.job() };
            t.queue.push(vec![locked("a"), locked("b")]).await.unwrap();
        }
    });
    let ended = std::sync::atomic::AtomicUsize::new(0);
    let holders = std::sync::Mutex::new(std::collections::HashSet::<JobId>::new());
    let workers = (0..3).map(|n| {
        let (t, ended, holders) = (&t, &ended, &holders);
        async move {
            let (name, queues) = (format!("w{n}"), ["default".to_owned()]);
            let until = Instant::now() + DEADLINE;
            while ended.load(std::sync::atomic::Ordering::SeqCst) < 120 {
                assert!(Instant::now() < until, "a lock is stuck");
                let jobs = t.queue.fetch(&name, &queues, 10, Duration::from_secs(30)).await.unwrap();
                for job in &jobs {
                    let mut holders = holders.lock().unwrap();
                    holders.insert(job.id);
                    assert!(holders.len() <= 2, "more run than there are locks");
                }
                tokio::task::yield_now().await;
                for job in jobs {
                    holders.lock().unwrap().remove(&job.id);
                    t.queue.settle(&name, vec![(job.id, Outcome::Done)]).await.unwrap();
                    ended.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                }
            }
        }
    });
    soon(futures_util::future::join(
        futures_util::future::join_all(adders),
        futures_util::future::join_all(workers),
    ))
    .await;
}

/// A queue in a database of its own.
struct Test {
    queue: Arc<dyn Queue>,
    clock: FakeClock,
    database: TestDb,
}

impl Test {
    async fn new() -> Self {
        let (database, clock) = (TestDb::new().await, FakeClock::new());
        Self { queue: postgres_queue(database.db(), &clock).await, clock, database }
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

    fn keyed(&self) -> NewJob {
        NewJob { unique_key: Some("k".to_owned()), ..self.job() }
    }

    async fn fetch(&self, limit: usize) -> Vec<JobId> {
        let queues = ["default".to_owned()];
        let fetching = self.queue.fetch("w", &queues, limit, Duration::from_secs(30));
        soon(fetching).await.unwrap().into_iter().map(|job| job.id).collect()
    }
}

async fn postgres_queue(db: &Db, clock: &FakeClock) -> Arc<dyn Queue> {
    connect(&Config::Postgres {}, db, Arc::new(clock.clone())).await.unwrap()
}
