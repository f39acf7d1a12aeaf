//! What clients notice of a process that is replaced, or that is short of files: nothing.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use rustix::process::Signal;

use crate::{
    installation::{Installation, Unit},
    processes::{get, until},
};

/// A port that was free a moment ago.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A real Caddy, ended when dropped.
struct Caddy {
    child: Child,
    address: String,
}

impl Caddy {
    /// In front of two addresses; `None` where there is no Caddy.
    fn before(dir: &Path, ports: [u16; 2], settings: &str) -> Option<Self> {
        let found = Command::new("caddy").arg("version").stdout(Stdio::null()).status();
        if found.is_err() {
            #[expect(clippy::print_stderr, reason = "whoever runs the tests is to know what was not tried")]
            {
                eprintln!("SKIPPED: there is no caddy, so no rolling restart behind one was tried");
            }
            return None;
        }
        let address = format!("127.0.0.1:{}", port());
        let [a, b] = ports;
        let file = dir.join("Caddyfile");
        std::fs::write(
            &file,
            format!(
                "{{\n admin off\n auto_https off\n}}\nhttp://{address} {{\n \
                 reverse_proxy 127.0.0.1:{a} 127.0.0.1:{b} {{\n  lb_policy round_robin\n{settings}\n }}\n}}\n"
            ),
        )
        .unwrap();
        let child = Command::new("caddy")
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(file)
            .env("HOME", dir)
            .env("XDG_DATA_HOME", dir)
            .env("XDG_CONFIG_HOME", dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until(|| TcpStream::connect(&address).ok());
        Some(Self { child, address })
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks over and over, on a new connection each time; counts what is answered, and keeps what is not a good answer.
fn clients(
    address: &str,
    ends: &Arc<AtomicBool>,
    answered: &Arc<AtomicUsize>,
) -> Vec<std::thread::JoinHandle<Vec<String>>> {
    (0..4)
        .map(|_| {
            let (address, ends, answered) = (address.to_owned(), Arc::clone(ends), Arc::clone(answered));
            std::thread::spawn(move || {
                let mut failed = vec![];
                while !ends.load(Ordering::Relaxed) {
                    // Not so many that a busy machine answers a look at readiness too late.
                    std::thread::sleep(Duration::from_millis(4));
                    match ask(&address) {
                        Ok(answer) if answer.starts_with("HTTP/1.1 200") => {
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(answer) => failed.push(answer),
                        Err(error) => failed.push(error.to_string()),
                    }
                }
                failed
            })
        })
        .collect()
}

fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    write!(stream, "GET /api/v1/health HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Replaces both processes behind Caddy, one after the other, while people ask.
async fn roll(drain: &str, settings: &str) {
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__DRAIN", drain);
    let ports = [port(), port()];
    let Some(caddy) = Caddy::before(installation.dir(), ports, settings) else {
        return installation.end().await;
    };
    let start = |port: u16| {
        let mut command = installation.command(&["serve"]);
        command.env("TENON__SERVER__LISTEN", format!("127.0.0.1:{port}"));
        let unit = Unit::of(command);
        unit.address();
        unit
    };
    let mut units: Vec<Unit> = ports.into_iter().map(start).collect();
    until(|| ask(&caddy.address).ok().filter(|answer| answer.starts_with("HTTP/1.1 200")));
    let (ends, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients = clients(&caddy.address, &ends, &answered);
    let more = || {
        let goal = answered.load(Ordering::Relaxed) + 100;
        until(|| (answered.load(Ordering::Relaxed) >= goal).then_some(()));
    };
    more();
    for port in ports {
        let old = units.remove(0);
        old.signal(Signal::TERM);
        old.ends();
        more();
        units.push(start(port));
        let address = format!("127.0.0.1:{port}");
        until(|| Some(get(&address, "/api/v1/readiness")).filter(|answer| answer.contains(" 200 ")));
        // What it logs of the first one shows that Caddy sends requests there again.
        units[1].says("/api/v1/health");
        more();
    }
    ends.store(true, Ordering::Relaxed);
    let failed: Vec<String> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(failed.is_empty(), "{} of {:?} failed: {:?}", failed.len(), answered, failed.first());
    for unit in units {
        unit.stop();
    }
    drop(caddy);
    installation.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_that_closes_the_listener_at_once_fails_no_request() {
    roll("0s", "  lb_try_duration 10s\n  lb_try_interval 20ms").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_that_drains_fails_no_request_of_a_proxy_that_only_looks_at_readiness() {
    roll(
        "2s",
        "  health_uri /api/v1/readiness\n  health_interval 200ms\n  health_timeout 10s\n  health_status 200",
    )
    .await;
}

#[tokio::test]
async fn with_every_place_held_by_others_a_process_says_how_it_is() {
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    installation.set("TENON__METRICS__LISTEN", "127.0.0.1:0");
    let mut command = Command::new("sh");
    // The hard limit, which the process cannot raise.
    command
        .args(["-c", "ulimit -n 256; exec \"$0\" serve", env!("CARGO_BIN_EXE_tenon")])
        .current_dir(installation.dir())
        .env_remove("TENON_CONFIG")
        .envs(installation.environment().iter().cloned())
        .stdout(Stdio::piped());
    let unit = Unit::of(command);
    let (address, metrics) = (unit.address(), unit.metrics());
    let held: Vec<TcpStream> = (0..400).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let figures = until(|| {
        let figures = get(&metrics, "/metrics");
        let line = figures.lines().find_map(|line| line.strip_prefix("http_connections "));
        line.and_then(|count| count.parse::<f64>().ok())
            .filter(|count| *count >= 80.0)
            .map(|_| figures.clone())
    });
    let open: f64 =
        figures.lines().find_map(|line| line.strip_prefix("process_open_fds ")).unwrap().parse().unwrap();
    assert!(open < 200.0, "{open} of 256");
    assert!(get(&metrics, "/readiness").starts_with("HTTP/1.1 200"));
    assert!(unit.said("Cannot accept connections").is_none(), "none was refused");
    drop(held);
    let first = unit.starve_until(&address, "Cannot accept connections");
    let second = unit.starve_until(&address, "Cannot accept connections");
    assert_eq!(first["level"], "error");
    assert!(second["accept.errors"].as_u64().unwrap() > 3, "one line for all of a second: {second}");
    assert!(get(&address, "/api/v1/health").starts_with("HTTP/1.1 200"));
    unit.stop();
    installation.end().await;
}
