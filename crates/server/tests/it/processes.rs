//! Whole processes: started, asked, stopped.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tenon_db::managed::{Managed, ManagedConfig};

use crate::command_line::{directory, tenon, text};

/// What `address` answers to `GET path`.
pub(crate) fn get(address: &str, path: &str) -> String {
    get_with(address, path, "")
}

/// The same with further headers, each ended by a line break.
pub(crate) fn get_with(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\n{headers}connection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// `tenon up` on a port of the system's choice, and what it says once it answers.
pub(crate) fn up(dir: &Path, arguments: &[&str]) -> (Child, serde_json::Value) {
    let mut up = command(dir, &["--json", "up", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .env("TENON__LOG__LEVEL", "warn")
        .spawn()
        .unwrap();
    let greeting = line_with(&mut up, "address");
    (up, greeting)
}

/// Where it listens, as `host:port`.
pub(crate) fn address(greeting: &serde_json::Value) -> String {
    greeting["address"].as_str().unwrap().replace("http://", "")
}

/// The first line that the child says and that has `word`.
pub(crate) fn line_with(child: &mut Child, word: &str) -> serde_json::Value {
    let mut lines = BufReader::with_capacity(1, child.stdout.as_mut().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains(word));
    serde_json::from_str(&line.expect("the process ended before")).unwrap()
}

/// What `look` finds, as soon as it finds something.
#[track_caller]
pub(crate) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "nothing was found in time");
        std::thread::yield_now();
    }
}

pub(crate) fn stop(mut child: Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    // Whatever it still says must have somewhere to go.
    std::io::copy(child.stdout.as_mut().unwrap(), &mut std::io::sink()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    command.args(arguments).current_dir(dir).env_remove("TENON_CONFIG").stdout(Stdio::piped());
    command
}

#[test]
fn a_process_can_be_asked_how_it_is_without_curl() {
    let dir = directory();
    let (up, greeting) = up(dir.path(), &[]);
    let health = |listen: &str, options: &[&str]| {
        command(dir.path(), &[&["health"], options].concat())
            .env("TENON__SERVER__LISTEN", listen)
            .stderr(Stdio::piped())
            .output()
            .unwrap()
    };
    let here = address(&greeting);
    let port = here.rsplit(':').next().unwrap();
    for options in [&[][..], &["--ready"]] {
        let well = health(&format!("0.0.0.0:{port}"), options);
        assert_eq!((text(&well.stdout), well.status.code()), ("ok\n", Some(0)), "{}", text(&well.stderr));
    }
    stop(up);
    let gone = health(&here, &[]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone.stderr).contains("does not answer"), "{}", text(&gone.stderr));
}

#[test]
fn up_starts_from_nothing_answers_and_stops_with_its_database() {
    let dir = directory();
    let (up, greeting) = up(dir.path(), &[]);
    let address = address(&greeting);
    let ready = get(&address, "/api/v1/readiness");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    for component in ["database", "migrations", "storage", "bus", "draining"] {
        assert!(ready.contains(&format!("\"{component}\"")), "{component}: {ready}");
    }

    let second = tenon(dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).starts_with("tenon: another tenon is running"), "{}", text(&second.stderr));
    let beside = tenon(dir.path(), &["doctor"]);
    assert_eq!(beside.status.code(), Some(0), "commands use the database of the running one");

    std::fs::remove_dir_all(dir.path().join(".tenon/files")).unwrap();
    let ill = until(|| Some(get(&address, "/api/v1/readiness")).filter(|answer| answer.contains(" 503 ")));
    assert!(ill.contains("storage"), "{ill}");
    stop(up);
    assert_eq!(Managed::running(&dir.path().join(".tenon/postgres")), None);
}

#[test]
fn an_ephemeral_instance_leaves_nothing_behind() {
    let dir = directory();
    let mut up = command(dir.path(), &["--json", "up", "--ephemeral", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", dir.path())
        .env("TENON__LOG__LEVEL", "warn")
        .spawn()
        .unwrap();
    line_with(&mut up, "address");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    stop(up);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn serve_takes_the_socket_that_systemd_passes_and_tells_it_when_it_is_ready() {
    let dir = directory();
    let postgres = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
    let postgres = Managed::start(postgres).await.unwrap();
    let url = postgres.url();
    let unset = tenon(dir.path(), &["serve"]);
    assert!(text(&unset.stderr).starts_with("tenon: database.url is not set"), "{}", text(&unset.stderr));

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let notified = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    let serve = || {
        // systemd passes sockets from number 3 on, to the process whose number it names.
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "exec 3<&0; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$0\" serve",
                env!("CARGO_BIN_EXE_tenon"),
            ])
            .current_dir(dir.path())
            .env_remove("TENON_CONFIG")
            .env("TENON__DATABASE__URL", &url)
            .env("NOTIFY_SOCKET", dir.path().join("notify"))
            .stdin(OwnedFd::from(listener.try_clone().unwrap()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let behind = serve().wait_with_output().unwrap();
    assert!(text(&behind.stderr).contains("run `tenon migrate`"), "{}", text(&behind.stderr));

    let migrated = command(dir.path(), &["migrate"]).env("TENON__DATABASE__URL", &url).output().unwrap();
    assert_eq!(migrated.status.code(), Some(0), "{}", text(&migrated.stderr));
    let serving = serve();
    let mut state = [0; 64];
    let length = notified.recv(&mut state).unwrap();
    assert_eq!(&state[..length], b"READY=1");
    assert!(get(&address, "/api/v1/readiness").starts_with("HTTP/1.1 200"));
    stop(serving);
    let length = notified.recv(&mut state).unwrap();
    assert_eq!(&state[..length], b"STOPPING=1");
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn workers_and_schedulers_tell_how_they_are_without_the_bus_and_what_they_measured() {
    let dir = directory();
    let postgres = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
    let postgres = Managed::start(postgres).await.unwrap();
    let url = postgres.url();
    let run = |arguments: &[&str]| {
        let mut command = command(dir.path(), arguments);
        command.env("TENON__DATABASE__URL", &url).env("TENON__METRICS__LISTEN", "127.0.0.1:0");
        command
    };
    assert_eq!(run(&["migrate"]).output().unwrap().status.code(), Some(0));
    for role in ["worker", "scheduler"] {
        let mut process = run(&[role]).spawn().unwrap();
        let address = line_with(&mut process, "Figures are at")["address"].as_str().unwrap().to_owned();
        let ready = get(&address, "/readiness");
        assert!(ready.starts_with("HTTP/1.1 200") && ready.contains("\"storage\""), "{role}: {ready}");
        assert!(!ready.contains("\"bus\""), "{role}: {ready}");
        let wanted = match role {
            "scheduler" => "queue_oldest_age_seconds{queue=",
            _ => "db_pool_connections{state=\"idle\"}",
        };
        let figures = until(|| Some(get(&address, "/metrics")).filter(|figures| figures.contains(wanted)));
        for name in [
            "build_info{",
            "process_resident_memory_bytes",
            "process_cpu_seconds_total",
            "db_pool_connections_max",
        ] {
            assert!(figures.contains(name), "{role}: {name}: {figures}");
        }
        stop(process);
    }
    postgres.stop().await.unwrap();
}
