//! `just soak queue`: a queue works for minutes while its workers are killed and frozen.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tenon_adapters::clock::SystemClock;
use tenon_app::{App, write::Options};
use tenon_testkit::TestDb;

use crate::toil::{self, End, Orders, Process, Toil, count, settles};

const WORKERS: usize = 4;
/// Time between two blows.
const BLOW: Duration = Duration::from_secs(3);
/// How long a frozen worker stays so.
const FROST: Duration = Duration::from_secs(5);
const LEASE: Duration = Duration::from_secs(3);
/// Jobs ordered at once, and the time between two such orders.
const LOT: usize = 30;
const PAUSE: Duration = Duration::from_millis(200);
/// With more than so many waiting, no more are ordered for now.
const ENOUGH: i64 = 3000;
/// The largest that the table of live jobs may become, with its indexes.
const MOST_BYTES: i64 = 64 << 20;

/// The generator `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn job(&mut self) -> Toil {
        match self.below(100) {
            0..70 => Toil::ending(End::Succeeds),
            70..80 => Toil::sleeping(Duration::from_millis(50 + self.below(500))),
            80..88 => Toil::ending(End::SucceedsAt(2)),
            88..92 => Toil::ending(End::Fails),
            92..95 => Toil::ending(End::Panics),
            _ => Toil { children: 3, ..Toil::ending(End::Succeeds) },
        }
    }

    fn options(&mut self) -> Options {
        let options = Options::default();
        match self.below(10) {
            0 => options.lock(format!("lock-{}", self.below(8))),
            1 => options.priority(i16::try_from(self.below(201)).unwrap() - 100),
            2 => options.delay(Duration::from_millis(self.below(2000))),
            _ => options,
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    kills: usize,
    freezes: usize,
    largest: i64,
}

/// What the environment says.
fn setting<T: std::str::FromStr<Err: std::fmt::Debug>>(name: &str) -> Option<T> {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration of their own")]
    let said = std::env::var(name);
    said.ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: `just soak queue`"]
async fn a_queue_holds_while_its_workers_are_killed() {
    let length = Duration::from_secs_f64(setting("TENON_SOAK_MINUTES").unwrap_or(10.0) * 60.0);
    let seed = setting("TENON_TEST_SEED").unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
    let mut dice = Dice(seed);
    println!("{WORKERS} workers for {} s; TENON_TEST_SEED={seed}", length.as_secs());
    let db = TestDb::new().await;
    let app = toil::app(db.url(), std::sync::Arc::new(SystemClock)).await;
    toil::prepare(app.db()).await;
    let start = || {
        let lease = u64::try_from(LEASE.as_millis()).unwrap();
        Process::start(&Orders { url: db.url().to_owned(), lease, concurrency: 8, prefetch: 100 })
    };
    let mut workers: Vec<Process> = (0..WORKERS).map(|_| start()).collect();
    let mut frozen: Option<(usize, Instant)> = None;
    let mut figures = Seen::default();
    let (began, mut blow) = (Instant::now(), Instant::now() + BLOW);
    while began.elapsed() < length {
        feed(&app, &mut dice).await;
        look(&app, &mut figures).await;
        if let Some((victim, _)) = frozen.take_if(|(_, since)| since.elapsed() > FROST) {
            workers[victim].signal(Signal::CONT);
        }
        if Instant::now() > blow {
            blow = Instant::now() + BLOW;
            let victim = usize::try_from(dice.below(u64::try_from(WORKERS).unwrap())).unwrap();
            if frozen.is_none() && dice.below(4) == 0 {
                workers[victim].signal(Signal::STOP);
                (frozen, figures.freezes) = (Some((victim, Instant::now())), figures.freezes + 1);
            } else if frozen.is_none_or(|(cold, _)| cold != victim) {
                workers[victim] = start();
                figures.kills += 1;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    if let Some((victim, _)) = frozen {
        workers[victim].signal(Signal::CONT);
    }
    settles(app.db(), Duration::from_mins(3)).await;
    look(&app, &mut figures).await;
    println!("{}", summary(&app, &figures, began.elapsed()).await);
    let conn = &mut app.read().await.unwrap();
    let idle = "SELECT count(*) FROM pg_stat_activity
                WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    assert_eq!(count(conn, idle).await, 0, "connections are left idle in a transaction");
    assert!(figures.largest <= MOST_BYTES, "the table of live jobs grew to {} bytes", figures.largest);
    for worker in workers {
        worker.stop();
    }
}

async fn feed(app: &App, dice: &mut Dice) {
    if count(&mut app.read().await.unwrap(), "SELECT count(*) FROM jobs").await > ENOUGH {
        return;
    }
    let ordered = app.write(&[], "soak", async |tx| {
        for _ in 0..LOT {
            toil::order(tx, &dice.job(), &dice.options()).await?;
        }
        Ok(())
    });
    ordered.await.unwrap();
}

async fn look(app: &App, seen: &mut Seen) {
    let size = "SELECT pg_total_relation_size('jobs') AS count";
    seen.largest = seen.largest.max(count(&mut app.read().await.unwrap(), size).await);
}

async fn summary(app: &App, seen: &Seen, took: Duration) -> String {
    let conn = &mut app.read().await.unwrap();
    let mut of = async |query: &str| count(conn, query).await;
    let ordered = of("SELECT count(*) FROM ordered").await;
    let done = of("SELECT count(*) FROM finished_jobs WHERE state = 'done'").await;
    let dead = of("SELECT count(*) FROM finished_jobs WHERE state = 'dead'").await;
    let lost =
        of("SELECT count(*) FROM finished_jobs WHERE state = 'dead' AND error LIKE 'its worker vanished%'")
            .await;
    let effects = of("SELECT count(*) FROM effects").await;
    let runs = of("SELECT count(*) FROM begun").await;
    let again = of("SELECT count(*) FROM (SELECT job FROM begun JOIN effects USING (job) GROUP BY job
                    HAVING count(*) > 1) twice")
    .await;
    let size = of("SELECT pg_total_relation_size('jobs') AS count").await;
    format!(
        "{ordered} jobs in {} s: {done} done, {dead} dead ({lost} of them after losing three workers), {effects} effects
{runs} runs; {again} jobs with an effect ran more than once, by a failure, a kill or a frost
{} kills, {} freezes; the table of live jobs: at most {} KiB, at the end {} KiB",
        took.as_secs(),
        seen.kills,
        seen.freezes,
        seen.largest / 1024,
        size / 1024
    )
}
