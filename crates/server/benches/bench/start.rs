//! From exec to the first 200 on readiness, on a warm data directory; and the memory of the idle process.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Stdio,
    time::{Duration, Instant},
};

use tenon_db::managed::{Managed, ManagedConfig};

use crate::{
    client::Client,
    program::{Program, command, directory, resident, stop},
};

const RUNS: usize = 15;
/// When a process counts as idle.
const IDLE: Duration = Duration::from_secs(3);

pub(crate) fn run() {
    let dir = directory();
    // Makes the cluster, migrates it and warms the caches of the system.
    drop(Program::up(dir.path(), |_| ()));
    let managed: Vec<f64> = (0..RUNS).map(|_| until_ready(dir.path(), None)).collect();

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let beside = directory();
    let config = ManagedConfig { data_dir: beside.path().join("postgres"), ..ManagedConfig::default() };
    let postgres = runtime.block_on(Managed::start(config)).unwrap();
    let url = postgres.url();
    drop(Program::up(dir.path(), |command| {
        command.env("TENON__DATABASE__URL", &url);
    }));
    let external: Vec<f64> = (0..RUNS).map(|_| until_ready(dir.path(), Some(&url))).collect();
    let idle = {
        let program = Program::up(dir.path(), |command| {
            command.env("TENON__DATABASE__URL", &url);
        });
        std::thread::sleep(IDLE);
        resident(program.child.id())
    };
    runtime.block_on(postgres.stop()).unwrap();

    println!("| from exec to ready, {RUNS} runs | median | least | most | target |\n|---|---|---|---|---|");
    line("with Postgres up", external, 300);
    line("with the managed Postgres", managed, 1000);
    println!("\nidle memory: {idle:.1} MiB (target 40)");
}

fn line(what: &str, mut took: Vec<f64>, target: u32) {
    took.sort_by(f64::total_cmp);
    let (median, least, most) = (took[took.len() / 2], took[0], took[took.len() - 1]);
    println!("| {what} | {median:.0} ms | {least:.0} ms | {most:.0} ms | {target} ms |");
}

/// Milliseconds from exec to readiness.
fn until_ready(dir: &std::path::Path, url: Option<&str>) -> f64 {
    let address: SocketAddr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = command(dir);
    command.args(["up", "--listen", &address.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(url) = url {
        command.env("TENON__DATABASE__URL", url);
    }
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let ready = || {
        TcpStream::connect(address).is_ok()
            && Client::new(address.to_string()).get("/readiness").is_ok_and(|answer| answer.status == 200)
    };
    while !ready() {
        assert!(start.elapsed() < Duration::from_secs(30), "it does not become ready");
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = start.elapsed().as_secs_f64() * 1000.0;
    stop(&mut child);
    took
}
