//! An installation as units run it: a database that is there before, and processes over it.

use std::{
    io::{BufRead, BufReader},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value;
use tenon_db::managed::{Managed, ManagedConfig};

use crate::{
    command_line::{directory, text},
    people::with_input_and,
    processes::{command, until},
};

/// A migrated database, and a directory that processes share.
pub(crate) struct Installation {
    dir: tempfile::TempDir,
    postgres: Managed,
    /// What every process finds in its environment.
    environment: Vec<(String, String)>,
}

impl Installation {
    /// With an administrator called operator.
    pub(crate) async fn new() -> Self {
        let dir = directory();
        let postgres = ManagedConfig { data_dir: dir.path().join("postgres"), ..ManagedConfig::default() };
        let postgres = Managed::start(postgres).await.unwrap();
        let mut this = Self { dir, postgres, environment: Vec::new() };
        let url = this.postgres.url();
        this.set("TENON__DATABASE__URL", &url);
        this.tenon(&["migrate"]);
        this.person("operator", &["--admin"]);
        this
    }

    /// Makes an account that can be used at once.
    pub(crate) fn person(&self, name: &str, options: &[&str]) {
        let email = format!("{name}@example.org");
        let create = ["user", "create", &*email, "--name", name, "--password-stdin"];
        let arguments = [&create[..], options].concat();
        let made = with_input_and(self.dir(), &arguments, "a long and unusual password\n", &self.environment);
        assert!(made.status.success(), "{}", text(&made.stderr));
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Takes a variable out, and answers what it was.
    pub(crate) fn unset(&mut self, name: &str) -> String {
        let place = self.environment.iter().position(|(known, _)| known == name).unwrap();
        self.environment.remove(place).1
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `tenon` with these arguments, not started yet.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.dir(), arguments);
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Runs a command that must succeed; answers what it printed.
    #[track_caller]
    pub(crate) fn tenon(&self, arguments: &[&str]) -> String {
        let output = self.outcome(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    }

    pub(crate) fn outcome(&self, arguments: &[&str]) -> Output {
        self.command(arguments).stderr(Stdio::piped()).output().unwrap()
    }

    /// A personal access token of the operator for everything.
    pub(crate) fn token(&self) -> String {
        let scopes =
            "read-account,write-account,read-workspaces,write-workspaces,read-projects,write-projects,admin";
        self.tenon(&["token", "create", "operator", "--name", "t", "--scopes", scopes])
    }

    /// Starts a process of one role, which answers on loopback where that is asked of it.
    pub(crate) fn start(&self, arguments: &[&str]) -> Unit {
        Unit::of(self.command(arguments))
    }

    /// Starts the API as systemd does: with these two sockets open.
    pub(crate) fn start_with_sockets(&self, first: OwnedFd, second: OwnedFd) -> Unit {
        // systemd passes sockets from number 3 on, to the process whose number it names.
        let script =
            "exec 3<&0 4<&2 </dev/null 2>/dev/null; export LISTEN_FDS=2 LISTEN_PID=$$; exec \"$0\" serve";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_tenon")])
            .current_dir(self.dir())
            .env_remove("TENON_CONFIG")
            .envs(self.environment.iter().cloned())
            .stdin(first)
            .stderr(second)
            .stdout(Stdio::piped());
        Unit::of(command)
    }

    pub(crate) async fn end(self) {
        self.postgres.stop().await.unwrap();
    }
}

/// A process, and the lines of its log. What a failed test leaves of it is ended.
pub(crate) struct Unit {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
}

impl Unit {
    pub(crate) fn of(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = Arc::<Mutex<Vec<String>>>::default();
        let (output, lines) = (child.stdout.take().unwrap(), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self { child, log }
    }

    /// The first line of the log that has `word`, as soon as it is there.
    #[track_caller]
    pub(crate) fn says(&self, word: &str) -> Value {
        let line = until(|| self.said(word));
        serde_json::from_str(&line).unwrap()
    }

    pub(crate) fn said(&self, word: &str) -> Option<String> {
        self.log.lock().unwrap().iter().find(|line| line.contains(word)).cloned()
    }

    /// Where it answers requests, as `host:port`.
    pub(crate) fn address(&self) -> String {
        self.says("Tenon answers at")["address"].as_str().unwrap().replace("http://", "")
    }

    /// Where its figures are.
    pub(crate) fn metrics(&self) -> String {
        self.says("Figures are at")["address"].as_str().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Lets it open no file and accept no connection until the next line with `word`, then as many as before.
    pub(crate) fn starve_until(&self, address: &str, word: &str) -> Value {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        let told = self.log.lock().unwrap().len();
        let limit = |limit| prlimit(Some(pid), Resource::Nofile, limit).unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let maximum = files.split_whitespace().nth(4).unwrap().parse().ok();
        let scarce = Rlimit { current: Some(8), maximum };
        let usual = limit(scarce);
        let waiting = std::net::TcpStream::connect(address).unwrap();
        let line = until(|| {
            let log = self.log.lock().unwrap();
            log.iter().skip(told).find(|line| line.contains(word)).cloned()
        });
        limit(usual);
        drop(waiting);
        serde_json::from_str(&line).unwrap()
    }

    /// Waits for its end, which must be a good one.
    #[track_caller]
    pub(crate) fn ends(mut self) {
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{:#?}", self.log.lock().unwrap());
        assert!(self.said("Stopped with work left").is_none(), "{:#?}", self.log.lock().unwrap());
    }

    /// Asks it to end and waits.
    #[track_caller]
    pub(crate) fn stop(self) {
        self.signal(Signal::TERM);
        self.ends();
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // Ended already, where all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
