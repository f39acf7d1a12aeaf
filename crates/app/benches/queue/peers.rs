//! The queues of others, each in a process of its own, which does a phase when told to and says what it took.

use std::{path::PathBuf, process::Stdio};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::{cluster::Cluster, table::Table};

pub(crate) struct Kind {
    pub(crate) name: &'static str,
    program: &'static str,
    argument: &'static str,
    /// Does hundreds of jobs a second where others do ten thousands.
    pub(crate) is_slow: bool,
}

const fn kind(name: &'static str, program: &'static str, argument: &'static str, is_slow: bool) -> Kind {
    Kind { name, program, argument, is_slow }
}

pub(crate) const KINDS: [Kind; 6] = [
    kind("Procrastinate, 10 at once", "procrastinate_peer.py", "10", true),
    kind("Procrastinate, 50 at once", "procrastinate_peer.py", "50", true),
    kind("PGQueuer, batches of 50", "pgqueuer_peer.py", "50", false),
    kind("PGQueuer, batches of 500", "pgqueuer_peer.py", "500", false),
    kind("graphile-worker", "graphile_peer.mjs", "plain", false),
    kind("graphile-worker, local queue", "graphile_peer.mjs", "local", false),
];

pub(crate) struct Peer {
    name: &'static str,
    _process: Child,
    said: Lines<BufReader<ChildStdout>>,
    ask: ChildStdin,
}

#[derive(Deserialize)]
struct Took {
    seconds: f64,
    cpu: f64,
}

#[derive(Deserialize)]
struct Waited {
    waits: Vec<f64>,
}

impl Peer {
    /// On a database of its own; none when the peers are not installed.
    pub(crate) async fn start(cluster: &Cluster, kind: &Kind) -> Option<Self> {
        let Some(installed) = std::env::var_os("TENON_BENCH_PEERS").map(PathBuf::from) else {
            println!("SKIPPED: {} (TENON_BENCH_PEERS is not set)", kind.name);
            return None;
        };
        let url = cluster.database().await.replacen("postgres://", "postgresql://", 1);
        let script = installed.join(kind.program);
        let is_python = script.extension().is_some_and(|extension| extension == "py");
        let program = if is_python { installed.join("venv/bin/python") } else { "node".into() };
        let mut process = Command::new(program)
            .arg(script)
            .args([&url, kind.argument])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let ask = process.stdin.take().unwrap();
        Some(Self { name: kind.name, _process: process, said, ask })
    }

    pub(crate) async fn phase(&mut self, cluster: &Cluster, table: &mut Table, phase: &str, jobs: usize) {
        let server = cluster.processor();
        let took: Took = serde_json::from_str(&self.ask(phase, jobs).await).unwrap();
        let phase = if phase == "ten" { "ten at once" } else { phase };
        table.cost(self.name, phase, jobs, took.seconds, took.cpu, cluster.processor() - server);
    }

    /// Milliseconds from before each push until the job is in hand.
    pub(crate) async fn pick_up(&mut self, times: usize) -> Vec<f64> {
        serde_json::from_str::<Waited>(&self.ask("pick-up", times).await).unwrap().waits
    }

    async fn ask(&mut self, phase: &str, count: usize) -> String {
        self.ask.write_all(format!("{phase} {count}\n").as_bytes()).await.unwrap();
        self.said.next_line().await.unwrap().unwrap_or_else(|| panic!("{} ended during {phase}", self.name))
    }
}
