//! What units need of the processes they run: sockets passed, news told, signals heeded.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener, UnixStream},
    },
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::json;

use crate::{
    client::Client,
    installation::Installation,
    processes::{get, until},
};

/// No test waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(30);
const RESTARTS: usize = 4;

/// Two sockets as a `.socket` unit holds them, one of each kind.
struct Sockets {
    tcp: TcpListener,
    unix: UnixListener,
}

impl Sockets {
    fn open(installation: &Installation) -> Self {
        let unix = UnixListener::bind(installation.path("tenon.sock")).unwrap();
        Self { tcp: TcpListener::bind("127.0.0.1:0").unwrap(), unix }
    }

    fn address(&self) -> String {
        self.tcp.local_addr().unwrap().to_string()
    }

    fn passed(&self) -> (OwnedFd, OwnedFd) {
        (self.tcp.try_clone().unwrap().into(), self.unix.try_clone().unwrap().into())
    }
}

/// What the process tells systemd, one message after the other.
struct Notified(UnixDatagram);

impl Notified {
    fn of(installation: &mut Installation) -> Self {
        let path = installation.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        installation.set("NOTIFY_SOCKET", path.to_str().unwrap());
        Self(socket)
    }

    fn next(&self) -> String {
        let mut message = [0; 256];
        let length = loop {
            match self.0.recv(&mut message) {
                // A child that ended.
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received.expect("systemd is told something"),
            }
        };
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The next message that begins so, whatever is told before it.
    fn until(&self, beginning: &str) -> String {
        std::iter::repeat_with(|| self.next()).find(|message| message.starts_with(beginning)).unwrap()
    }
}

/// One request on a connection of its own; the status and whatever follows it.
fn once(mut stream: impl Read + Write, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn tcp(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn unix(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn request(token: &str, body: &str) -> String {
    format!(
        "POST /api/v1/workspaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn restarts_under_load_lose_no_request_with_sockets_that_systemd_holds() {
    let mut installation = Installation::new().await;
    installation.set("TENON__RATE_LIMITS__TOKEN", "1000000/1m");
    installation.set("TENON__LOG__LEVEL", "warn");
    let notified = Notified::of(&mut installation);
    let token = installation.token();
    let sockets = Sockets::open(&installation);
    let (address, path) = (sockets.address(), installation.path("tenon.sock"));
    let start = || {
        let (first, second) = sockets.passed();
        let unit = installation.start_with_sockets(first, second);
        assert_eq!(notified.until("READY"), "READY=1");
        unit
    };
    let (answered, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let note = |answer: &str| {
        assert!(answer.starts_with("HTTP/1.1 201"), "a request failed: {answer:?}");
        answered.fetch_add(1, SeqCst);
    };
    let last = std::thread::scope(|scope| {
        let first = start();
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    note(&once(tcp(&address), &request(&token, r#"{"name":"One"}"#)));
                }
            });
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    note(&once(unix(&path), &request(&token, r#"{"name":"Two"}"#)));
                }
            });
        }
        // A proxy keeps connections, and asks again on a new one when an idle one was closed under it.
        scope.spawn(|| {
            let mut client = Client::new(&*address).bearing(&token);
            while !over.load(SeqCst) {
                let answer = client.get("/me").or_else(|_| client.get("/me"));
                assert_eq!(answer.unwrap().status, 200);
            }
        });
        let restarting = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut unit = first;
            for _ in 0..RESTARTS {
                let before = answered.load(SeqCst);
                until(|| (answered.load(SeqCst) > before + 20).then_some(()));
                unit.stop();
                unit = start();
            }
            let before = answered.load(SeqCst);
            until(|| (answered.load(SeqCst) > before + 20).then_some(()));
            unit
        }));
        over.store(true, SeqCst);
        restarting.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    assert!(answered.load(SeqCst) > 20 * RESTARTS);
    last.stop();
    installation.end().await;
}

#[tokio::test]
async fn a_request_that_runs_when_the_process_is_asked_to_stop_is_answered() {
    let mut installation = Installation::new().await;
    let notified = Notified::of(&mut installation);
    let token = installation.token();
    let sockets = Sockets::open(&installation);
    let (first, second) = sockets.passed();
    let unit = installation.start_with_sockets(first, second);
    notified.until("READY");
    let request = request(&token, r#"{"name":"Late"}"#);
    let (early, late) = request.split_at(request.len() - 4);
    let mut stream = tcp(&sockets.address());
    stream.write_all(early.as_bytes()).unwrap();
    // The connection is the process's, as the answer to another one behind it shows.
    assert!(get(&sockets.address(), "/api/v1/health").starts_with("HTTP/1.1 200"));
    unit.signal(Signal::TERM);
    notified.until("STOPPING");
    let answer = once(stream, late);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    unit.ends();
    installation.end().await;
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_cut_before_the_process_must_be_gone() {
    let mut installation = Installation::new().await;
    installation.set("TENON__SERVER__SHUTDOWN_GRACE", "2s");
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    let unit = installation.start(&["serve"]);
    let address = unit.address();
    let mut silent = tcp(&address);
    assert!(get(&address, "/api/v1/health").starts_with("HTTP/1.1 200"));
    // Not "with work left": the grace of the requests is shorter than that of the process.
    unit.stop();
    let mut rest = Vec::new();
    // Closed or reset, but not left open.
    let _ = silent.read_to_end(&mut rest);
    assert!(rest.is_empty());
    installation.end().await;
}

#[tokio::test]
async fn a_hangup_takes_over_the_log_level_and_nothing_that_is_wrong() {
    let mut installation = Installation::new().await;
    let notified = Notified::of(&mut installation);
    installation.set("WATCHDOG_USEC", "200000");
    let configure = |text: &str| std::fs::write(installation.path("t.toml"), text).unwrap();
    configure("[server]\nlisten = '127.0.0.1:0'\n[log]\nlevel = 'info'\n");
    let mut command = installation.command(&["serve"]);
    command.env("TENON_CONFIG", "t.toml");
    let unit = crate::installation::Unit::of(command);
    let address = unit.address();
    assert_eq!(notified.next(), "READY=1");
    // The watchdog hears of a process that lives, and again.
    notified.until("WATCHDOG=1");
    notified.until("WATCHDOG=1");
    let health = || get(&address, "/api/v1/health");
    health();
    unit.says("answered a request");

    configure("[server]\nlisten = '127.0.0.1:0'\n[log]\nlevel = 'loud'\n");
    unit.signal(Signal::HUP);
    let refused = unit.says("cannot be taken over");
    assert!(refused["error"].as_str().unwrap().contains("log.level"), "{refused}");
    configure("[server]\nlisten = 7\n");
    unit.signal(Signal::HUP);
    until(|| unit.said("server.listen must be"));
    assert!(health().starts_with("HTTP/1.1 200"));

    configure(
        "[server]\nlisten = '127.0.0.1:0'\n[log]\nlevel = 'info,tenon_http=debug,tenon_server=trace'\n",
    );
    unit.signal(Signal::HUP);
    assert_eq!(unit.says("Took over")["log.level"], "info,tenon_http=debug,tenon_server=trace");
    let told = notified.until("RELOADING=1\nMONOTONIC_USEC=");
    assert!(told.lines().nth(1).unwrap().len() > "MONOTONIC_USEC=".len(), "{told}");
    notified.until("READY=1");
    unit.stop();
    assert_eq!(notified.until("STOPPING"), "STOPPING=1");
    installation.end().await;
}

#[tokio::test]
async fn secrets_come_from_the_directory_that_systemd_passes() {
    let mut installation = Installation::new().await;
    let credentials = installation.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let url = installation.unset("TENON__DATABASE__URL");
    let without = installation.outcome(&["serve"]);
    assert_eq!(without.status.code(), Some(1));
    std::fs::write(credentials.join("database.url"), format!("{url}\n")).unwrap();
    std::fs::write(credentials.join("metrics.token"), "a token of some length\n").unwrap();
    installation.set("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap());
    installation.set("TENON__SERVER__LISTEN", "127.0.0.1:0");
    let unit = installation.start(&["serve", "--metrics-listen", "127.0.0.1:0"]);
    let figures = unit.metrics();
    assert!(get(&figures, "/metrics").starts_with("HTTP/1.1 401"));
    let shown = "authorization: Bearer a token of some length\r\n";
    assert!(crate::processes::get_with(&figures, "/metrics", shown).starts_with("HTTP/1.1 200"));
    let mut client = Client::new(unit.address());
    let body = json!({ "login": "operator", "password": "a long and unusual password" });
    client.post("/auth/sign-in", &body).unwrap().expect(200);
    unit.stop();
    installation.end().await;
}
