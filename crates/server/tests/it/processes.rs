//! Whole processes: started, asked, stopped.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tenon_db::managed::{Managed, ManagedConfig};

use crate::command_line::{directory, tenon, text};

/// What `address` answers to `GET path`.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The first line of the child's log that has `word`.
pub(crate) fn line_with(child: &mut Child, word: &str) -> serde_json::Value {
    let log = BufReader::new(child.stdout.as_mut().unwrap());
    let line = log.lines().map(Result::unwrap).find(|line| line.contains(word));
    serde_json::from_str(&line.expect("the process ended before")).unwrap()
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
fn up_starts_from_nothing_answers_and_stops_with_its_database() {
    let dir = directory();
    let mut up = command(dir.path(), &["up", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let address = line_with(&mut up, "Tenon answers")["address"].as_str().unwrap().replace("http://", "");
    assert!(get(&address, "/api/v1/readiness").starts_with("HTTP/1.1 200"));

    let second = tenon(dir.path(), &["up", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).starts_with("tenon: another tenon is running"), "{}", text(&second.stderr));
    let beside = tenon(dir.path(), &["doctor"]);
    assert_eq!(beside.status.code(), Some(0), "commands use the database of the running one");

    stop(up);
    assert_eq!(Managed::running(&dir.path().join(".tenon/postgres")), None);
}

#[test]
fn an_ephemeral_instance_leaves_nothing_behind() {
    let dir = directory();
    let mut up = command(dir.path(), &["up", "--ephemeral", "--listen", "127.0.0.1:0"])
        .env("TMPDIR", dir.path())
        .spawn()
        .unwrap();
    line_with(&mut up, "Tenon answers");
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
