//! `just bench queue`: our queue beside those of others and a bare loop, on one server, in turns, in three rounds.
//!
//! Figures of one run compare with one another, not with those of another machine. Counts are bounded; the whole
//! takes some minutes. `TENON_BENCH_PEERS` names the directory that the peers are installed in (the recipe does that);
//! without it they are left out; `TENON_BENCH_SQLXMQ` names the directory of sqlxmq's own migrations.
//! `TENON_BENCH_ROUNDS` is how many rounds there are; `TENON_BENCH_PINNED` is how many seconds the run with vacuum held back takes, and `TENON_BENCH_REMEMBERED` how many
//! ended jobs are kept in the end.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench stops at the first error and prints")]
#![expect(
    clippy::disallowed_methods,
    reason = "a bench is told by its environment, and runs by the clock on the wall"
)]

mod bare;
mod cluster;
mod ours;
mod peers;
mod sqlxmq;
mod table;

use std::time::Duration;

use tenon_adapters::queue::{Config, RedisConfig};
use tenon_testkit::services::redis;

use self::{bare::Bare, cluster::Cluster, ours::Ours, peers::Peer, sqlxmq::Sqlxmq, table::Table};

/// Jobs that are enqueued one by one.
const SINGLY: usize = 1_000;
/// Jobs that are enqueued in thousands, and run.
const RUN: usize = 40_000;
/// As many, of the slow ones.
const RUN_SLOWLY: usize = 2_000;
/// Times that an idle worker is woken.
const PICK_UPS: usize = 200;
const BACKLOGS: [usize; 3] = [0, 10_000, 1_000_000];

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cluster = Cluster::start().await;
        let rounds = setting("TENON_BENCH_ROUNDS", 3);
        let mut table = Table::default();
        for round in 1..=rounds {
            println!("round {round} of {rounds}");
            against_each_other(&cluster, &mut table).await;
        }
        table.print();
        println!("ours alone");
        let mut table = Table::default();
        alone(&cluster, &mut table).await;
        table.print();
        cluster.stop().await;
    });
}

/// What every queue is measured in.
async fn against_each_other(cluster: &Cluster, table: &mut Table) {
    let bare = Bare::new(cluster).await;
    table.phase(cluster, "bare loop", "singly", SINGLY, bare.singly(1)).await;
    table.phase(cluster, "bare loop", "ten at once", SINGLY, bare.singly(10)).await;
    bare.drain(100).await;
    table.phase(cluster, "bare loop", "thousands", RUN, bare.thousands(RUN)).await;
    table.phase(cluster, "bare loop", "run", RUN, bare.drain(100)).await;
    drop(bare);

    measure(cluster, table, "ours", &Config::Postgres {}).await;
    measure(cluster, table, "ours on sqlxmq", &Config::Sqlxmq {}).await;
    // One without persistence, which costs it nothing: the database keeps the jobs.
    if let Some(server) = redis::Server::start() {
        measure(cluster, table, "ours on Redis", &Config::Redis(RedisConfig::new(server.url()))).await;
    }
    match Sqlxmq::start(cluster).await {
        Some(sqlxmq) => sqlxmq.measure(cluster, table).await,
        None => println!("SKIPPED: sqlxmq (TENON_BENCH_SQLXMQ is not set)"),
    }

    for kind in peers::KINDS {
        let Some(mut peer) = Peer::start(cluster, &kind).await else { continue };
        let run = if kind.is_slow { RUN_SLOWLY } else { RUN };
        peer.phase(cluster, table, "singly", SINGLY).await;
        peer.phase(cluster, table, "ten", SINGLY).await;
        peer.phase(cluster, table, "thousands", run).await;
        // Everything that was enqueued until now.
        peer.phase(cluster, table, "run", run + 2 * SINGLY).await;
        table.waits(kind.name, peer.pick_up(PICK_UPS).await);
    }
}

/// One of our queues.
async fn measure(cluster: &Cluster, table: &mut Table, whose: &str, config: &Config) {
    let ours = Ours::new(cluster, config).await;
    table.phase(cluster, whose, "singly", SINGLY, ours.singly(1)).await;
    table.phase(cluster, whose, "ten at once", SINGLY, ours.singly(10)).await;
    ours.drain(100).await;
    table.phase(cluster, whose, "thousands", RUN, ours.thousands(RUN, 0)).await;
    table.phase(cluster, whose, "run", RUN, ours.drain(100)).await;
    ours.thousands(RUN, 0).await;
    table.phase(cluster, &format!("{whose}, batches of 500"), "run", RUN, ours.drain(500)).await;
    table.waits(whose, ours.pick_up(PICK_UPS).await);
}

/// What only ours is asked: what a backlog, a long history and a transaction that holds vacuum back cost.
async fn alone(cluster: &Cluster, table: &mut Table) {
    let ours = Ours::new(cluster, &Config::Postgres {}).await;
    let span = setting("TENON_BENCH_PINNED", 20);
    for is_pinned in [false, true] {
        let rates = ours.steadily(Duration::from_secs(span), is_pinned).await;
        let what = if is_pinned { "with vacuum held back" } else { "freely" };
        let third = rates.len() / 3;
        for (part, rates) in [("first", &rates[..third]), ("last", &rates[rates.len() - third..])] {
            let mean = rates.iter().sum::<f64>() / f64::from(u32::try_from(rates.len().max(1)).unwrap());
            table.note(&format!("enqueue and run {what} for {span} s, {part} third, jobs/s"), mean);
        }
    }
    let mut there = 0;
    for backlog in BACKLOGS {
        // Of a lower priority, so that what is fetched was added just now.
        ours.thousands(backlog - there, -1).await;
        there = backlog;
        table.note(&format!("fetch and end 10 of a backlog of {backlog}, ms"), ours.fetches(200).await);
    }
    let remembered = setting("TENON_BENCH_REMEMBERED", 2_000_000);
    ours.remember(i64::try_from(remembered).unwrap()).await;
    table.note(&format!("the same with {remembered} ended jobs kept, ms"), ours.fetches(200).await);
    table
        .note("statements of an idle worker in a second", ours.idle_statements(Duration::from_secs(6)).await);
}

/// A number that the environment may say.
fn setting(name: &str, unset: u64) -> u64 {
    std::env::var(name)
        .map_or(unset, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
