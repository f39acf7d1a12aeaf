//! Work of the tests, in processes of their own: jobs that succeed, fail, fall over, sleep and enqueue others, and tables
//! that tell what became of each.

use std::{
    io::BufRead,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{QueryableByName, sql_types as st};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tenon_adapters::{clock::SystemClock, queue};
use tenon_app::{
    App,
    jobs::{Context, Failure, Handle},
    worker::Worker,
    write::Options,
};
use tenon_core::{Error, Result, Time, ids::JobId, jobs::Job, ports::clock::Clock};
use tenon_db::{Connection, Db, DbConfig, PooledConnection};
use tokio_util::sync::CancellationToken;

use crate::harness;

/// Where a process of workers finds its orders.
const ORDERS: &str = "TENON_TEST_TOIL";

/// What a job says that panics.
const ROOF: &str = "the roof came down";

/// A job of the tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Toil {
    /// What becomes of it.
    pub(crate) end: End,
    /// How much longer its first run takes than others, in milliseconds.
    pub(crate) first: u64,
    /// How long each run takes, in milliseconds.
    pub(crate) each: u64,
    /// How many jobs it enqueues when it succeeds.
    pub(crate) children: u32,
}

/// What becomes of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// It succeeds.
    Succeeds,
    /// It succeeds once it has run so often.
    SucceedsAt(i64),
    /// It always fails.
    Fails,
    /// It always panics.
    Panics,
    /// It always takes its process with it.
    Kills,
}

impl Toil {
    pub(crate) fn sleeping(first: Duration) -> Self {
        Self { first: u64::try_from(first.as_millis()).unwrap(), ..Self::ending(End::Succeeds) }
    }

    pub(crate) fn lasting(each: Duration) -> Self {
        Self { each: u64::try_from(each.as_millis()).unwrap(), ..Self::ending(End::Succeeds) }
    }

    pub(crate) const fn ending(end: End) -> Self {
        Self { end, first: 0, each: 0, children: 0 }
    }
}

impl Job for Toil {
    const NAME: &'static str = "toil";
    const MAX_ATTEMPTS: i32 = 20;
}

impl Handle for Toil {
    async fn handle(self, cx: Context<'_>) -> std::result::Result<(), Failure> {
        let run = cx.app.write(&[], "toil", async |tx| begin(tx.conn(), cx.id).await).await?;
        if run == 1 {
            tokio::time::sleep(Duration::from_millis(self.first)).await;
        }
        tokio::time::sleep(Duration::from_millis(self.each)).await;
        match self.end {
            End::Succeeds => {}
            End::SucceedsAt(wanted) if run >= wanted => {}
            End::SucceedsAt(_) | End::Fails => return Err(Failure::Retry("the tool broke".into())),
            End::Panics => std::panic::panic_any(ROOF),
            End::Kills => {
                kill_process(rustix::process::getpid(), Signal::KILL)
                    .map_err(|e| Failure::Fatal(e.into()))?;
            }
        }
        cx.app
            .write(&[], "toil", async |tx| {
                if effect(tx.conn(), cx.id).await? {
                    let child = Self::ending(End::Succeeds);
                    for _ in 0..self.children {
                        order(tx, &child, &Options::default()).await?;
                    }
                }
                Ok(())
            })
            .await?;
        Ok(())
    }
}

/// Enqueues a job and writes down that it must end.
pub(crate) async fn order(tx: &mut tenon_app::Tx<'_>, job: &Toil, options: &Options) -> Result<JobId> {
    let gives_up = matches!(job.end, End::Fails | End::Panics);
    let options = if gives_up { options.clone().max_attempts(2) } else { options.clone() };
    let id = tx.enqueue_with(job, &options)?;
    let dies = gives_up || job.end == End::Kills;
    run(tx.conn(), &format!("INSERT INTO ordered (job, dies) VALUES ('{id}', {dies})")).await?;
    Ok(id)
}

/// The tables that tell what became of each job.
pub(crate) async fn prepare(db: &Db) {
    let tables = "CREATE TABLE ordered (job uuid PRIMARY KEY, dies boolean NOT NULL);
         CREATE TABLE begun (job uuid NOT NULL, process integer NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
         CREATE INDEX begun_job ON begun (job);
         CREATE TABLE effects (job uuid PRIMARY KEY)";
    conn(db).await.batch_execute(tables).await.unwrap();
}

/// Writes down that a run begins; says which run of this job it is.
async fn begin(conn: &mut Connection, id: JobId) -> Result<i64> {
    let process = std::process::id();
    run(conn, &format!("INSERT INTO begun (job, process) VALUES ('{id}', {process})")).await?;
    let query = format!("SELECT count(*) FROM begun WHERE job = '{id}'");
    let counted = diesel::sql_query(query).get_result::<Count>(conn).await;
    counted.map(|row| row.count).map_err(Error::internal)
}

/// What the job is for; says whether it was not there before.
async fn effect(conn: &mut Connection, id: JobId) -> Result<bool> {
    Ok(run(conn, &format!("INSERT INTO effects VALUES ('{id}') ON CONFLICT DO NOTHING")).await? == 1)
}

async fn run(conn: &mut Connection, statement: &str) -> Result<usize> {
    diesel::sql_query(statement).execute(conn).await.map_err(Error::internal)
}

async fn conn(db: &Db) -> PooledConnection {
    db.conn().await.unwrap()
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = st::BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = st::Text)]
    line: String,
}

pub(crate) async fn count(conn: &mut Connection, query: &str) -> i64 {
    diesel::sql_query(query).get_result::<Count>(conn).await.unwrap().count
}

pub(crate) async fn lines(conn: &mut Connection, query: &str) -> Vec<String> {
    let lines: Vec<Line> = diesel::sql_query(query).load(conn).await.unwrap();
    lines.into_iter().map(|line| line.line).collect()
}

/// Waits until nothing waits or runs, and then for what must hold: each job ended once, as it had to.
pub(crate) async fn settles(db: &Db, patience: Duration) {
    let deadline = Instant::now() + patience;
    while count(&mut *conn(db).await, "SELECT count(*) FROM jobs").await > 0 {
        if Instant::now() > deadline {
            let left =
                "SELECT concat_ws(' ', id, worker, lease_until, run_at, attempts, error) AS line FROM jobs";
            panic!("jobs that did not end: {:#?}", lines(&mut *conn(db).await, left).await);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let wrong = wrongs(&mut *conn(db).await).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Everything that must not be, a line each.
pub(crate) async fn wrongs(conn: &mut Connection) -> Vec<String> {
    let lost = "its worker vanished while running it";
    let query = format!(
        "SELECT 'ended ' || count(f.id) || ' times: ' || o.job AS line
         FROM ordered o LEFT JOIN finished_jobs f ON f.id = o.job GROUP BY o.job HAVING count(f.id) <> 1
         UNION ALL
         SELECT 'ended and alive: ' || j.id FROM jobs j JOIN finished_jobs f ON f.id = j.id
         UNION ALL
         SELECT 'done without its effect: ' || f.id FROM finished_jobs f
         WHERE f.name = 'toil' AND f.state = 'done' AND NOT EXISTS (SELECT FROM effects e WHERE e.job = f.id)
         UNION ALL
         SELECT 'dead with its effect: ' || f.id FROM finished_jobs f JOIN effects e ON e.job = f.id
         WHERE f.state = 'dead' AND f.error <> '{lost}'
         UNION ALL
         SELECT 'should have died: ' || f.id FROM finished_jobs f JOIN ordered o ON o.job = f.id
         WHERE o.dies AND f.state <> 'dead'
         UNION ALL
         SELECT 'should have succeeded: ' || f.id || ' ' || f.error FROM finished_jobs f JOIN ordered o ON o.job = f.id
         WHERE NOT o.dies AND f.state <> 'done' AND f.error <> '{lost}'
         UNION ALL
         SELECT 'ran more often than it was taken: ' || f.id FROM finished_jobs f JOIN begun b ON b.job = f.id
         GROUP BY f.id, f.attempts HAVING count(*) > f.attempts"
    );
    lines(conn, &query).await
}

/// A process of one worker; it ends with this value.
pub(crate) struct Process {
    child: Child,
}

/// What a process of a worker is told at its start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// Where the database is.
    pub(crate) url: String,
    /// In milliseconds.
    pub(crate) lease: u64,
    /// Most jobs at once.
    pub(crate) concurrency: usize,
    /// Most jobs taken ahead.
    pub(crate) prefetch: usize,
}

impl Process {
    pub(crate) fn start(orders: &Orders) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["toil::works_as_it_is_told", "--exact", "--ignored", "--nocapture"])
            .env(ORDERS, serde_json::to_string(orders).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap(), signal).unwrap();
    }

    /// Moves its clock so many seconds away from the right time.
    pub(crate) fn set_clock(&mut self, seconds: i64) {
        use std::io::Write as _;
        writeln!(self.child.stdin.as_mut().unwrap(), "{seconds}").unwrap();
    }

    /// Waits until somebody kills it. Unlike `wait`, this leaves its input open.
    pub(crate) async fn killed(mut self) {
        while self.child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Lets it end what it does.
    pub(crate) fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success(), "the worker ends well");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The right time, moved.
#[derive(Debug, Default)]
struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Time {
        SystemClock.now() + chrono::Duration::seconds(AtomicI64::load(&self.0, Ordering::SeqCst))
    }
}

/// The application of such a process, and of who gives the orders.
pub(crate) async fn app(url: &str, clock: Arc<dyn Clock>) -> App {
    let db = Db::open(DbConfig { pool_size: 8, ..DbConfig::new(url) });
    let queue = queue::connect(&queue::Config::Postgres {}, &db, clock.clone()).await.unwrap();
    let post = Arc::new(harness::Post::default());
    App::new(harness::parts(db, clock, queue, post).await).handling::<Toil>()
}

/// Not a test: what [`Process`] runs, until its input ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is a process that other tests start"]
async fn works_as_it_is_told() {
    #[expect(clippy::disallowed_methods, reason = "this is how a process gets its orders")]
    let Ok(orders) = std::env::var(ORDERS) else { return };
    let orders: Orders = serde_json::from_str(&orders).unwrap();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Those that are meant are no news.
        if panic.payload().downcast_ref::<&str>() != Some(&ROOF) {
            usual(panic);
        }
    }));
    let clock = Arc::new(MovedClock::default());
    let app = Arc::new(app(&orders.url, clock.clone()).await);
    let shutdown = CancellationToken::new();
    let ending = shutdown.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            clock.0.store(line.parse().unwrap(), Ordering::SeqCst);
        }
        ending.cancel();
    });
    let worker = Worker {
        name: format!("{}-{}", std::process::id(), app.id::<uuid::Uuid>()),
        app,
        queues: vec!["default".to_owned()],
        concurrency: orders.concurrency,
        prefetch: orders.prefetch,
        lease: Duration::from_millis(orders.lease),
        grace: Duration::from_secs(20),
    };
    worker.run(shutdown).await;
}
