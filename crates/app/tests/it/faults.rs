//! Workers that are killed or frozen, a database that goes away, connections that are cut, clocks that are moved: each
//! job has its effect, and ends, once.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tenon_adapters::clock::SystemClock;
use tenon_app::{App, write::Options};
use tenon_core::ids::JobId;
use tenon_db::{
    Db,
    managed::{Managed, ManagedConfig},
};
use tenon_testkit::TestDb;
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::JoinSet,
};

use crate::toil::{self, End, Orders, Process, Toil, count, settles};

const LEASE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(40);

/// A database with the tables of toil, and an application that gives the orders.
struct Site {
    db: Db,
    app: App,
    url: String,
}

impl Site {
    async fn on(url: &str) -> Self {
        let app = toil::app(url, Arc::new(SystemClock)).await;
        let db = app.db().clone();
        toil::prepare(&db).await;
        Self { db, app, url: url.to_owned() }
    }

    /// A process of a worker that does so many jobs at once.
    fn worker(&self, concurrency: usize) -> Process {
        Self::worker_through(&self.url, concurrency)
    }

    fn worker_through(url: &str, concurrency: usize) -> Process {
        let lease = u64::try_from(LEASE.as_millis()).unwrap();
        Process::start(&Orders { url: url.to_owned(), lease, concurrency, prefetch: 20 })
    }

    async fn order(&self, jobs: &[Toil]) -> Vec<JobId> {
        let ordered = self.app.write(&[], "site", async |tx| {
            let mut ids = vec![];
            for job in jobs {
                ids.push(toil::order(tx, job, &Options::default()).await?);
            }
            Ok(ids)
        });
        ordered.await.unwrap()
    }

    async fn begun(&self, job: JobId) -> i64 {
        count(&mut self.db.conn().await.unwrap(), &format!("SELECT count(*) FROM begun WHERE job = '{job}'"))
            .await
    }

    /// Waits until a job has begun so often.
    async fn begins(&self, job: JobId, times: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.begun(job).await < times {
            assert!(Instant::now() < deadline, "the job does not begin");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn column(&self, job: JobId, column: &str) -> String {
        let query = format!("SELECT {column}::text AS line FROM finished_jobs WHERE id = '{job}'");
        toil::lines(&mut self.db.conn().await.unwrap(), &query).await.concat()
    }
}

#[tokio::test]
async fn the_job_of_a_worker_that_is_killed_is_done_by_another() {
    let db = TestDb::new().await;
    let site = Site::on(db.url()).await;
    let job = site.order(&[Toil::sleeping(Duration::from_mins(5))]).await[0];
    let killed = site.worker(1);
    site.begins(job, 1).await;
    drop(killed);
    let _other = site.worker(1);
    settles(&site.db, PATIENCE).await;
    assert_eq!((site.begun(job).await, site.column(job, "attempts").await.as_str()), (2, "2"));
    let errors = site.column(job, "errors").await;
    assert!(errors.contains("its worker vanished"), "{errors}");
}

#[tokio::test]
async fn a_job_that_takes_three_workers_with_it_is_dead() {
    let db = TestDb::new().await;
    let site = Site::on(db.url()).await;
    let jobs = site.order(&[Toil::ending(End::Kills), Toil::ending(End::Succeeds)]).await;
    for _ in 0..3 {
        site.worker(1).killed().await;
    }
    let _survivor = site.worker(1);
    settles(&site.db, PATIENCE).await;
    assert_eq!(site.begun(jobs[0]).await, 3);
    let errors = site.column(jobs[0], "errors").await;
    assert_eq!(errors.matches("its worker vanished").count(), 3, "{errors}");
}

#[tokio::test]
async fn those_beside_a_job_that_kills_do_not_die_with_it() {
    let db = TestDb::new().await;
    let site = Site::on(db.url()).await;
    let beside = Toil::lasting(Duration::from_secs(1));
    let jobs = site.order(&[Toil::ending(End::Kills), beside.clone(), beside.clone(), beside]).await;
    for _ in 0..3 {
        site.worker(4).killed().await;
    }
    let _survivor = site.worker(4);
    settles(&site.db, PATIENCE).await;
    assert_eq!((site.begun(jobs[0]).await, site.column(jobs[0], "state").await.as_str()), (3, "dead"));
    for job in &jobs[1..] {
        assert_eq!(site.column(*job, "state").await, "done");
    }
}

#[tokio::test]
async fn a_worker_that_was_frozen_leaves_its_job_to_who_has_it_since() {
    let db = TestDb::new().await;
    let site = Site::on(db.url()).await;
    let job = site.order(&[Toil::sleeping(Duration::from_secs(5))]).await[0];
    let frozen = site.worker(1);
    site.begins(job, 1).await;
    frozen.signal(Signal::STOP);
    let other = site.worker(1);
    settles(&site.db, PATIENCE).await;
    other.stop();
    frozen.signal(Signal::CONT);
    // It works on, and what it held does not count.
    let next = site.order(&[Toil::ending(End::Succeeds)]).await[0];
    settles(&site.db, PATIENCE).await;
    assert_eq!((site.begun(job).await, site.begun(next).await), (2, 1));
    frozen.stop();
    settles(&site.db, PATIENCE).await;
}

#[tokio::test]
async fn jobs_outlive_a_restart_of_the_database() {
    let dir = directory();
    let config = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
    let postgres = Managed::start(config.clone()).await.unwrap();
    let url = postgres.url();
    tenon_db::migrations::run(&tenon_testkit::postgres::open(&url)).await.unwrap();
    let site = Site::on(&url).await;
    let mut jobs = vec![Toil::sleeping(Duration::from_millis(700)); 12];
    jobs.extend(vec![Toil::ending(End::SucceedsAt(2)); 4]);
    jobs.push(Toil { children: 5, ..Toil::sleeping(Duration::from_millis(100)) });
    let first = site.order(&jobs).await[0];
    let workers = [site.worker(4), site.worker(4)];
    site.begins(first, 1).await;
    postgres.stop().await.unwrap();
    let postgres = Managed::start(config).await.unwrap();
    assert_eq!(postgres.url(), url);
    settles(&site.db, PATIENCE).await;
    for worker in workers {
        worker.stop();
    }
    drop(site);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn jobs_outlive_connections_that_are_cut() {
    let dir = directory();
    let config = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
    let postgres = Managed::start(config).await.unwrap();
    let url = postgres.url();
    tenon_db::migrations::run(&tenon_testkit::postgres::open(&url)).await.unwrap();
    let site = Site::on(&url).await;
    let mut proxy = Proxy::before(postgres.socket_dir(), dir.path());
    let jobs = vec![Toil { children: 1, ..Toil::sleeping(Duration::from_millis(150)) }; 60];
    site.order(&jobs).await;
    let worker = Site::worker_through(&proxy.url(&url), 4);
    for _ in 0..12 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        proxy.cut().await;
    }
    settles(&site.db, PATIENCE).await;
    assert!(proxy.cuts > 5, "{} connections were cut", proxy.cuts);
    worker.stop();
    drop(site);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_and_back_runs_nothing_beside_itself() {
    let db = TestDb::new().await;
    let site = Site::on(db.url()).await;
    let job = site.order(&[Toil::sleeping(Duration::from_secs(5))]).await[0];
    let mut worker = site.worker(2);
    site.begins(job, 1).await;
    // By its own clock every lease has run out, its own one too.
    worker.set_clock(3600);
    let other = site.order(&[Toil::ending(End::Succeeds)]).await[0];
    site.begins(other, 1).await;
    worker.set_clock(0);
    settles(&site.db, PATIENCE).await;
    assert_eq!(site.begun(job).await, 1, "what it held went on, and was not begun again");
    worker.stop();
}

/// Passes on connections to the database, until it cuts them.
struct Proxy {
    dir: PathBuf,
    connections: Arc<tokio::sync::Mutex<JoinSet<()>>>,
    cuts: usize,
    _listening: JoinSet<()>,
}

impl Proxy {
    fn before(sockets: &Path, dir: &Path) -> Self {
        const SOCKET: &str = ".s.PGSQL.5432";
        let (dir, behind) = (dir.join("proxy"), sockets.join(SOCKET));
        std::fs::create_dir(&dir).unwrap();
        let listener = UnixListener::bind(dir.join(SOCKET)).unwrap();
        let connections = Arc::new(tokio::sync::Mutex::new(JoinSet::new()));
        let (mut listening, held) = (JoinSet::new(), connections.clone());
        listening.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let behind = behind.clone();
                held.lock().await.spawn(async move {
                    if let Ok(mut server) = UnixStream::connect(behind).await {
                        copy_bidirectional(&mut client, &mut server).await.ok();
                    }
                });
            }
        });
        Self { dir, connections, cuts: 0, _listening: listening }
    }

    /// The database's URL by way of this proxy.
    fn url(&self, url: &str) -> String {
        let (user, rest) = url.split_once('@').unwrap();
        let (_, database) = rest.rsplit_once('/').unwrap();
        let dir = self.dir.display().to_string().replace('/', "%2F");
        format!("{user}@{dir}/{database}")
    }

    async fn cut(&mut self) {
        let mut connections = self.connections.lock().await;
        while connections.try_join_next().is_some() {}
        self.cuts += connections.len();
        connections.shutdown().await;
    }
}

/// A directory that an unprivileged account can enter, for when the tests run as root.
fn directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}
